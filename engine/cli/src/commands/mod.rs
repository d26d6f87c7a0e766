//! The commands, one file each.

mod checkpoint;
mod config_show;
mod dead_letters;
mod decide;
mod demo;
mod export;
mod generate;
mod made_up;
mod replay;
mod report;
mod run;
mod schema;
mod sql;
mod vacuum;
mod validate;

use std::io::Write as _;
use std::path::Path;

use backplane_config::{Config, Document, Loaded, StorageUrl, process_environment};

use crate::args::{Command, ConfigCommand, LogFormat};
use crate::exit::{CliError, Outcome};
use crate::lakes;
use crate::terminal::Terminal;

/// What every command needs.
pub struct Context {
    /// The process's outputs.
    pub terminal: Terminal,
    /// How log lines are written.
    pub log_format: LogFormat,
}

impl Context {
    /// Writes text to standard output.
    pub fn print(&self, text: &str) -> Result<(), CliError> {
        let mut output = self.terminal.output();
        output
            .write_all(text.as_bytes())
            .and_then(|()| output.flush())
            .map_err(CliError::Output)
    }

    /// Writes a line to standard error, for people; log lines are for programs.
    pub fn note(&self, text: &str) {
        // where standard error is closed there is nobody to tell
        let _ = writeln!(self.terminal.errors(), "{text}");
    }
}

/// The lake that a command is to ask: the one that is named, else that of a configuration.
///
/// # Errors
/// None is named, it cannot be one, or the configuration has none or is wrong.
fn lake_url(lake: Option<&str>, config: Option<&Path>) -> Result<StorageUrl, CliError> {
    if let Some(lake) = lake {
        return check_url("--lake", lake);
    }
    let Some(path) = config else {
        return Err(CliError::Usage(
            "which lake? name it with --lake, or a configuration that has one with --config".to_owned(),
        ));
    };
    let loaded = load(path, &[])?;
    let url = lakes::of_config(&loaded.config).cloned();
    url.ok_or_else(|| CliError::Usage(format!("{} has no lake; name one with --lake", path.display())))
}

/// Carries out a command.
///
/// # Errors
/// What keeps it from being done.
pub fn execute(command: Command, context: &Context) -> Result<Outcome, CliError> {
    match command {
        Command::Demo(args) => demo::execute(&args, context),
        Command::Generate(args) => generate::execute(&args, context),
        Command::Run(args) => run::execute(&args, context),
        Command::Validate(args) => validate::execute(&args, context),
        Command::Schema => schema::execute(context),
        Command::Sql(args) => sql::execute(&args, context),
        Command::Checkpoint(command) => checkpoint::execute(&command, context),
        Command::DeadLetters(command) => dead_letters::execute(&command, context),
        Command::Report(args) => report::execute(&args, context),
        Command::Decide(args) => decide::execute(&args, context),
        Command::Export(args) => export::execute(&args, context),
        Command::Replay(args) => replay::execute(&args, context),
        Command::Vacuum(args) => vacuum::execute(&args, context),
        Command::Config(ConfigCommand::Show(args)) => config_show::execute(&args, context),
    }
}

/// Reads a configuration with its overrides; warnings are logged.
fn load(path: &Path, sets: &[String]) -> Result<Loaded, CliError> {
    told(Config::load(path, &process_environment, sets)?)
}

/// Checks a document that a command has put together; warnings are logged.
fn load_document(document: Document) -> Result<Loaded, CliError> {
    told(document.load(&process_environment)?)
}

fn told(loaded: Loaded) -> Result<Loaded, CliError> {
    for warning in &loaded.diagnostics {
        tracing::warn!("{warning}");
    }
    Ok(loaded)
}

/// The place that an option names. An address that is refused is not repeated: it may hold credentials.
fn check_url(option: &str, text: &str) -> Result<StorageUrl, CliError> {
    StorageUrl::parse(text).map_err(|message| CliError::Usage(format!("{option}: {message}")))
}

/// A text as a scalar of a document: quoted, and no dollar sign in it taken for a variable.
fn scalar(text: &str) -> serde_json::Value {
    serde_json::Value::String(text.replace('$', "$$"))
}
