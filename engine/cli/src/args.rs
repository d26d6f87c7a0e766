//! The command line.

mod dead_letters;

use std::path::PathBuf;

use backplane_config::Micros;
use clap::{Args, Parser, Subcommand, ValueEnum};

pub use dead_letters::{DeadLettersCommand, DeadLettersReplayArgs, DeadLettersShowArgs};

/// Stream analytics for online experiments.
#[derive(Debug, Parser)]
#[command(
    name = "backplane",
    version,
    about = "Stream analytics for online experiments",
    long_about = "Reads the events of online experiments (exposures, assignments, outcomes, errors), joins outcomes to the exposures \
                  they follow, keeps statistics by experiment and variant in event-time windows, and writes them to a lake that any \
                  tool can read.\n\nBegin with `backplane demo`: it needs nothing and shows everything.",
    after_help = "Exit status: 0 done; 1 the job or query failed; 2 the command line or configuration is wrong; 3 done, but records \
                  could not be read and --strict was given; 130 interrupted, after a clean stop.",
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 120
)]
pub struct Cli {
    /// How the program says what it does.
    #[command(flatten)]
    pub logging: LoggingArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How the program says what it does.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Logging")]
pub struct LoggingArgs {
    /// What to log on standard error: error, warn, info, debug, trace, or directives such as `warn,backplane=debug`
    #[arg(
        long = "log",
        global = true,
        value_name = "LEVEL",
        env = "RUST_LOG",
        hide_env_values = true
    )]
    pub filter: Option<String>,
    /// How log lines are written
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people
    Text,
    /// One JSON object a line
    Json,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show everything on a made-up stream with known faults; needs no service
    Demo(DemoArgs),
    /// Write a made-up stream whose truth is known
    Generate(GenerateArgs),
    /// Run a job
    Run(RunArgs),
    /// Say what is wrong with a configuration, and what delivery it really gives
    Validate(ValidateArgs),
    /// Print the JSON Schema of the configuration, for editors
    Schema,
    /// Ask a lake in SQL: one query, or a prompt
    Sql(SqlArgs),
    /// Write files of events to a lake
    Export(ExportArgs),
    /// Run the events of a lake through a job
    Replay(ReplayArgs),
    /// Show the checkpoints of a job, check them, or remove them
    #[command(subcommand)]
    Checkpoint(CheckpointCommand),
    /// Look at records that could not be read, and try them again
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Show what is known of an experiment, and what may be concluded
    Report(ReportArgs),
    /// Record a decision on an experiment: stopped, shipped, or its allocation changed
    Decide(DecideArgs),
    /// Remove the files of a lake that no reader needs
    Vacuum(VacuumArgs),
    /// Look at the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// What can be done with a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every value in force and where it came from; secrets are masked
    Show(ConfigShowArgs),
}

/// Overrides of the configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct OverrideArgs {
    /// Put a value into the configuration, e.g. `engine.parallelism=4`; the value is YAML; may be repeated
    #[arg(long = "set", value_name = "PATH=VALUE")]
    pub sets: Vec<String>,
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  backplane demo\n  backplane demo --events 1000000 --seed 7 --dir /tmp/shop")]
pub struct DemoArgs {
    /// How many lines the stream has
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1_000..=50_000_000))]
    pub events: u64,
    /// The same seed makes the same stream
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// The folder for events, lake and dead letters; an earlier demo in it is replaced
    #[arg(long, value_name = "DIR", default_value = "./backplane-demo")]
    pub dir: PathBuf,
    /// Keep a web page and an SQL port up afterwards (not in this version)
    #[arg(long)]
    pub serve: bool,
}

/// Arguments of `generate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Beside the first FILE stand FILE.truth.json, what the stream holds, and FILE.config.yaml, a configuration that analyses \
                  it.\n\nExamples:\n  backplane generate --events 1000000 --seed 7 -o events.ndjson.zst\n  backplane generate --preset bench \
                  --events 2000000 -o part-0.ndjson -o part-1.ndjson"
)]
pub struct GenerateArgs {
    /// How many lines the stream has
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..=u64::from(u32::MAX)))]
    pub events: u64,
    /// The same seed makes the same stream
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub seed: u64,
    /// The file to write; compressed by its name (.gz, .zst); several make one partition each
    #[arg(short, long = "output", value_name = "FILE", required = true)]
    pub outputs: Vec<PathBuf>,
    /// What the stream is like
    #[arg(long, value_enum, default_value_t = Preset::Demo)]
    pub preset: Preset,
}

/// What a made-up stream is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Preset {
    /// Two days of a shop's six experiments, three of them with a story
    Demo,
    /// One day of twenty experiments and 400,000 subjects, for measuring
    Bench,
}

/// Arguments of `run`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  backplane run job.yaml --until-end\n  backplane run job.yaml --set engine.parallelism=4 --set \
                  'engine.sources[0].options.paths=[today.ndjson]'\n  zcat events.ndjson.gz | backplane run job.yaml --set \
                  'engine.sources=[{ type: stdin }]'"
)]
pub struct RunArgs {
    /// The configuration, YAML or JSON
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// Stop at the end of what is there now, also where files are followed, and emit the final windows
    #[arg(long)]
    pub until_end: bool,
    /// From which checkpoint to go on: the last (as if nothing were said), `none` to start from the beginning, or an epoch, behind which all that
    /// was written is taken back
    #[arg(long, value_name = "latest|none|EPOCH")]
    pub restore: Option<String>,
    /// End with status 3 if records could not be read
    #[arg(long)]
    pub strict: bool,
    /// Overrides.
    #[command(flatten)]
    pub overrides: OverrideArgs,
}

/// Arguments of `validate`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  backplane validate job.yaml\n  backplane validate job.yaml --format json")]
pub struct ValidateArgs {
    /// The configuration, YAML or JSON
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// How findings are written
    #[arg(long, value_enum, default_value_t = FindingFormat::Human)]
    pub format: FindingFormat,
    /// Overrides.
    #[command(flatten)]
    pub overrides: OverrideArgs,
}

/// How findings are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FindingFormat {
    /// One line each
    Human,
    /// One JSON document
    Json,
}

/// Arguments of `sql`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without QUERY a prompt is opened, or, where standard input is no terminal, the query is read from it.\n\nExamples:\n  \
                  backplane sql --lake backplane-demo/lake \"select * from assignment_counts where window_name = 'cumulative'\"\n  backplane sql \
                  -c job.yaml --format csv < query.sql > rows.csv\n  backplane sql --lake backplane-demo/lake --format parquet \"select * from \
                  metric_stats\" > stats.parquet"
)]
pub struct SqlArgs {
    /// The query
    #[arg(value_name = "QUERY", allow_hyphen_values = true)]
    pub query: Option<String>,
    /// The lake: a path or file:///path
    #[arg(long, value_name = "URL", conflicts_with = "connect")]
    pub lake: Option<String>,
    /// A running job's SQL port (not in this version)
    #[arg(long, value_name = "URL")]
    pub connect: Option<String>,
    /// A configuration, whose lake is asked
    #[arg(short, long, value_name = "CONFIG")]
    pub config: Option<PathBuf>,
    /// How rows are written
    #[arg(long, value_enum, default_value_t = RowFormat::Table)]
    pub format: RowFormat,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// Aligned columns for people, cut to the width of a terminal
    Table,
    /// A header and rows, null as empty, structs and lists as JSON, bytes as text or \x and digits
    Csv,
    /// One JSON object a line, no array around them
    Json,
    /// A Parquet file, to a pipe or a file
    Parquet,
}

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(
    after_help = "Records go through the job's codec and duplicate detection, without windows; those that cannot be read are in the \
                  lake's table dead_letters.\n\nExamples:\n  backplane export --from 'events/*.ndjson.zst' --to lake\n  zcat events.ndjson.gz | \
                  backplane export --from - --to lake"
)]
pub struct ExportArgs {
    /// Files or patterns of events (.gz and .zst are unpacked), `-` for standard input
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    pub from: Vec<String>,
    /// The lake to write: a path or file:///path
    #[arg(long, value_name = "URL")]
    pub to: String,
    /// A configuration, whose declarations and times hold
    #[arg(short, long, value_name = "CONFIG")]
    pub config: Option<PathBuf>,
    /// End with status 3 if records could not be read
    #[arg(long)]
    pub strict: bool,
    /// Overrides.
    #[command(flatten)]
    pub overrides: OverrideArgs,
}

/// Arguments of `replay`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  backplane replay --from lake -c job.yaml --set 'engine.sinks=[{ type: terminal }]'\n  backplane replay --from lake -c \
                  job.yaml --set engine.crossovers=firstVariant --set 'engine.sinks[0].options.url=lake-2'"
)]
pub struct ReplayArgs {
    /// The lake to read: a path or file:///path
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// The configuration; its sources are not read
    #[arg(short, long, value_name = "CONFIG")]
    pub config: PathBuf,
    /// Overrides.
    #[command(flatten)]
    pub overrides: OverrideArgs,
}

/// Arguments of `report`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  backplane report one-click-checkout --lake backplane-demo/lake --format markdown > report.md"
)]
pub struct ReportArgs {
    /// The experiment
    #[arg(value_name = "EXPERIMENT")]
    pub experiment: String,
    /// The lake: a path or file:///path
    #[arg(long, value_name = "URL")]
    pub lake: Option<String>,
    /// A configuration, whose lake is asked
    #[arg(short, long, value_name = "CONFIG")]
    pub config: Option<PathBuf>,
    /// How it is written
    #[arg(long, value_enum, default_value_t = ReportFormat::Terminal)]
    pub format: ReportFormat,
}

/// How a report is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For a terminal
    Terminal,
    /// For documents and pull requests
    Markdown,
}

/// Arguments of `decide`.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  backplane decide checkout-button-color stop --lake backplane-demo/lake --detail \"no effect\""
)]
pub struct DecideArgs {
    /// The experiment
    #[arg(value_name = "EXPERIMENT")]
    pub experiment: String,
    /// What was decided
    #[arg(value_name = "DECISION", value_enum)]
    pub decision: Decision,
    /// Why, in words of your own
    #[arg(long, value_name = "TEXT")]
    pub detail: Option<String>,
    /// The lake: a path or file:///path
    #[arg(long, value_name = "URL")]
    pub lake: Option<String>,
    /// A configuration, whose lake is written
    #[arg(short, long, value_name = "CONFIG")]
    pub config: Option<PathBuf>,
}

/// What can be decided on an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Decision {
    /// It ends, and everything stays as it was
    Stop,
    /// It ends, and a treatment becomes what everybody gets
    Ship,
    /// Its subjects are split otherwise than planned from now on
    Allocation,
}

impl Decision {
    /// The name in the table `decisions`.
    pub fn name(self) -> &'static str {
        match self {
            Decision::Stop => "stop",
            Decision::Ship => "ship",
            Decision::Allocation => "allocation",
        }
    }
}

/// Arguments of `vacuum`.
#[derive(Debug, Args)]
#[command(
    after_help = "Removed are files of epochs that were never published or were taken back, and what a process that was killed left half-written. \
                  Rows are never removed.\n\nExamples:\n  backplane vacuum --lake backplane-demo/lake --dry-run\n  backplane vacuum -c job.yaml \
                  --older-than 12h"
)]
pub struct VacuumArgs {
    /// The lake: a path or file:///path
    #[arg(long, value_name = "URL")]
    pub lake: Option<String>,
    /// A configuration, whose lake is meant
    #[arg(short, long, value_name = "CONFIG")]
    pub config: Option<PathBuf>,
    /// How old a file must be to be removed, e.g. 12h or 7d; at least 1h
    #[arg(long, value_name = "AGE", default_value = "7d", value_parser = Micros::parse)]
    pub older_than: Micros,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Allow an age below 1h; no job may be writing the lake
    #[arg(long)]
    pub force: bool,
}

/// Arguments of `config show`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  backplane config show job.yaml --set engine.parallelism=4")]
pub struct ConfigShowArgs {
    /// The configuration, YAML or JSON
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// How values are written
    #[arg(long, value_enum, default_value_t = ShowFormat::Yaml)]
    pub format: ShowFormat,
    /// Overrides.
    #[command(flatten)]
    pub overrides: OverrideArgs,
}

/// How the values of a configuration are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ShowFormat {
    /// A document with the origins as comments
    Yaml,
    /// A list of path, value and origin
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Cli::command().debug_assert();
    }
}

/// What can be done with checkpoints.
#[derive(Debug, Subcommand)]
pub enum CheckpointCommand {
    /// The epochs that are kept
    List(ListArgs),
    /// What an epoch is made of, as it is written down
    Show(CheckpointEpochArgs),
    /// Read everything that an epoch names, and say whether it is what was written
    Verify(CheckpointEpochArgs),
    /// Remove all checkpoints of the job: its next run starts from the beginning
    Reset(CheckpointResetArgs),
}

/// Arguments of `checkpoint list` and `dead-letters list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// The configuration of the job
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// How rows are written
    #[arg(long, value_enum, default_value_t = FindingFormat::Human)]
    pub format: FindingFormat,
    /// Overrides.
    #[command(flatten)]
    pub overrides: OverrideArgs,
}

/// Arguments of `checkpoint show` and `verify`.
#[derive(Debug, Args)]
pub struct CheckpointEpochArgs {
    /// The configuration of the job
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// The epoch; without it the last one (show) or every one (verify)
    #[arg(value_name = "EPOCH")]
    pub epoch: Option<u64>,
    /// Overrides.
    #[command(flatten)]
    pub overrides: OverrideArgs,
}

/// Arguments of `checkpoint reset`.
#[derive(Debug, Args)]
pub struct CheckpointResetArgs {
    /// The configuration of the job
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// Do it; without this it is only said what would be removed
    #[arg(long)]
    pub yes: bool,
    /// Overrides.
    #[command(flatten)]
    pub overrides: OverrideArgs,
}
