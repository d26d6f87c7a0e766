//! How a command ends: its errors, the words for them, and the exit status.

use std::io;
use std::process::ExitCode;

use backplane_checkpoint::CheckpointError;
use backplane_config::ConfigError;
use backplane_connector_api::{ConnectorError, Fault};
use backplane_generator::GeneratorError;
use backplane_queries::QueryError;
use backplane_runtime::RuntimeError;

/// The exit status of an interrupted program.
pub const INTERRUPTED: u8 = 130;

/// A command that did what it was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// `validate` found errors, and has told them.
    FoundErrors,
    /// Done, but records could not be read, and `--strict` was given.
    DeadLettered,
    /// Interrupted, after a clean stop.
    Interrupted,
}

/// Why a command did not do what it was told. Each text is one sentence that says what to do, save for a configuration: every finding is a
/// line of its own.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The command line asks for what cannot be: change it.
    #[error("{0}")]
    Usage(String),
    /// The configuration is wrong: put it right.
    #[error(transparent)]
    Configuration(#[from] ConfigError),
    /// A source or sink cannot be used, or failed.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// The checkpoints of a job cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The job failed.
    #[error(transparent)]
    Job(#[from] RuntimeError),
    /// A query failed.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// A stream could not be made.
    #[error(transparent)]
    Generator(#[from] GeneratorError),
    /// A file or folder of the command itself cannot be read or written.
    #[error("{place}: {source}")]
    File {
        /// The file or folder, and what was to be done with it.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// Standard output cannot be written.
    #[error("standard output cannot be written: {0}")]
    Output(io::Error),
    /// The program broke a rule of its own.
    #[error("{0} (this is a defect of backplane, please report it)")]
    Internal(String),
}

impl CliError {
    /// A file or folder that cannot be used.
    pub fn file(place: impl std::fmt::Display, source: io::Error) -> Self {
        CliError::File {
            place: place.to_string(),
            source,
        }
    }

    /// A defect.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        CliError::Internal(message.to_string())
    }

    /// The exit status: 2 where the command line or the configuration must change, 1 where something failed, 130 where the user stopped it.
    fn status(&self) -> u8 {
        match self {
            CliError::Generator(GeneratorError::Stopped) => INTERRUPTED,
            CliError::Usage(_)
            | CliError::Configuration(_)
            | CliError::Generator(GeneratorError::InvalidConfig { .. }) => 2,
            CliError::Connector(error) => of_fault(error.fault()),
            CliError::Checkpoint(error) => of_fault(error.fault()),
            // by the time a job runs its queries have been planned, so it was the data that one of them failed on
            CliError::Job(RuntimeError::Query { .. }) => 1,
            CliError::Job(error) => of_fault(error.fault()),
            CliError::Generator(GeneratorError::File { source, .. }) | CliError::File { source, .. } => of_io(source),
            CliError::Query(_) | CliError::Generator(GeneratorError::Write(_)) | CliError::Internal(_) => 1,
            // whoever read the output has had enough of it, which is no error
            CliError::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => 0,
            CliError::Output(_) => 1,
        }
    }
}

fn of_fault(fault: Fault) -> u8 {
    match fault {
        Fault::User => 2,
        Fault::Outside | Fault::Ours => 1,
    }
}

/// A name that is wrong is the command line's fault, a full disk is not.
fn of_io(error: &io::Error) -> u8 {
    use io::ErrorKind::{AlreadyExists, IsADirectory, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    let names_wrong = [
        AlreadyExists,
        IsADirectory,
        NotADirectory,
        NotFound,
        PermissionDenied,
        ReadOnlyFilesystem,
    ];
    if names_wrong.contains(&error.kind()) { 2 } else { 1 }
}

/// Says what went wrong, if anything, and gives the exit status. The only place that prints errors.
pub fn conclude(result: Result<Outcome, CliError>) -> ExitCode {
    let status = match &result {
        Ok(Outcome::Done) => 0,
        Ok(Outcome::FoundErrors) => 2,
        Ok(Outcome::DeadLettered) => 3,
        Ok(Outcome::Interrupted) => INTERRUPTED,
        Err(error) => error.status(),
    };
    match result {
        Err(error) if status != 0 => say(&error),
        _ => {}
    }
    ExitCode::from(status)
}

/// Prints an error to standard error.
pub fn say(error: &CliError) {
    use std::io::Write as _;
    let text = match error {
        // each line has its place and severity
        CliError::Configuration(ConfigError::Invalid(_)) => format!("{error}\n"),
        _ => format!("{} {error}\n", console::style("error:").red().bold().for_stderr()),
    };
    // where even this cannot be written there is nobody to tell
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(error: impl Into<CliError>) -> u8 {
        error.into().status()
    }

    #[test]
    fn what_the_user_must_change_ends_with_2_and_what_failed_with_1() {
        assert_eq!(status(CliError::Usage("no".into())), 2);
        assert_eq!(status(ConnectorError::invalid("file", "there is no such file")), 2);
        assert_eq!(status(ConnectorError::damaged("file", "it breaks off")), 1);
        assert_eq!(status(RuntimeError::Configuration("no".into())), 2);
        assert_eq!(
            status(RuntimeError::Query {
                name: "q".into(),
                source: QueryError::Failed("division by zero".into())
            }),
            1
        );
        assert_eq!(
            status(QueryError::Invalid {
                message: "no".into(),
                position: None,
                suggestion: None
            }),
            1
        );
        assert_eq!(
            status(CliError::file("x", io::Error::from(io::ErrorKind::PermissionDenied))),
            2
        );
        assert_eq!(
            status(CliError::file("x", io::Error::from(io::ErrorKind::StorageFull))),
            1
        );
    }

    #[test]
    fn a_reader_that_has_had_enough_is_no_error() {
        assert_eq!(status(CliError::Output(io::Error::from(io::ErrorKind::BrokenPipe))), 0);
        assert_eq!(status(CliError::Output(io::Error::from(io::ErrorKind::StorageFull))), 1);
    }
}
