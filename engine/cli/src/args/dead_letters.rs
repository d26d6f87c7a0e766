//! The command line of `dead-letters`.

use std::path::PathBuf;

use backplane_events::BadReason;
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use super::{ListArgs, OverrideArgs};

/// What can be done with records that could not be read.
#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// Count them by reason and source
    List(ListArgs),
    /// Show each with where it came from, what is wrong with it, and its bytes
    Show(DeadLettersShowArgs),
    /// Try them again: after the engine or the configuration changed, or put right by hand
    Replay(DeadLettersReplayArgs),
}

/// Arguments of `dead-letters show`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  backplane dead-letters show job.yaml --reason invalid_timestamp --limit 5\n  backplane dead-letters show job.yaml \
                  --raw > records.ndjson"
)]
pub struct DeadLettersShowArgs {
    /// The configuration of the job
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// Only those of this reason
    #[arg(long, value_name = "REASON", value_parser = PossibleValuesParser::new(BadReason::ALL.iter().map(|reason| reason.name())))]
    pub reason: Option<String>,
    /// Only those of this source
    #[arg(long, value_name = "SOURCE")]
    pub source: Option<String>,
    /// Only the newest so many
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// Write the bytes of the records alone, as they came, one a line
    #[arg(long)]
    pub raw: bool,
    /// Overrides.
    #[command(flatten)]
    pub overrides: OverrideArgs,
}

/// Arguments of `dead-letters replay`.
#[derive(Debug, Args)]
#[command(
    after_help = "The job goes on from its last checkpoint, reads what is new in its own sources to their end, as `run --until-end` does, and takes \
                  each record in once, however often this is run.\n\nExamples:\n  backplane dead-letters replay job.yaml\n  backplane \
                  dead-letters show job.yaml --raw > repaired.ndjson   # put it right in an editor, then\n  backplane dead-letters replay \
                  job.yaml --records repaired.ndjson"
)]
pub struct DeadLettersReplayArgs {
    /// The configuration of the job; it must keep checkpoints
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,
    /// A file of envelopes, one a line, in the place of the dead letters' own bytes
    #[arg(long, value_name = "FILE")]
    pub records: Option<PathBuf>,
    /// End with status 3 if records could not be read
    #[arg(long)]
    pub strict: bool,
    /// Overrides.
    #[command(flatten)]
    pub overrides: OverrideArgs,
}
