//! What can go wrong in a job.

use backplane_checkpoint::CheckpointError;
use backplane_connector_api::{ConnectorError, Fault};
use backplane_queries::QueryError;

/// An error that ends a job. Its text is one sentence that says what happened and what to do.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// A source or sink failed.
    #[error(transparent)]
    Connector(#[from] ConnectorError),
    /// An epoch could not be committed, or none be gone on from.
    #[error(transparent)]
    Checkpoint(CheckpointError),
    /// The configuration asks for what the job cannot do.
    #[error("{0}")]
    Configuration(String),
    /// A user's query failed on a closed window.
    #[error("query {name}: {source}")]
    Query {
        /// The query's name in the configuration.
        name: String,
        /// What is wrong with it.
        source: QueryError,
    },
    /// State that was written down is not what this version writes.
    #[error(
        "the state of the job cannot be {doing}: {reason}; go on from an earlier checkpoint, or start anew with --restore none"
    )]
    State {
        /// Written or read.
        doing: &'static str,
        /// Why not.
        reason: String,
    },
    /// State has outgrown its memory, and the disk does not take it.
    #[error(
        "the state has outgrown engine.memory and cannot be put on disk: {reason}; put that right, or raise engine.memory"
    )]
    Memory {
        /// Why not.
        reason: String,
    },
    /// State has outgrown the numbers by which its parts are found.
    #[error(
        "the state has no place for another subject or record: an eighth of the subjects may be 4,294,967,295, in as many experiments, with \
         2,147,483,647 records within engine.time.correctionHorizon; spread the subjects over several jobs, or shorten the horizon"
    )]
    Full,
    /// The disk has lost state.
    #[error(
        "the disk did not keep state that was put there because it had outgrown engine.memory: {reason}; nothing was committed with it: look at \
         the disk, then start the job again"
    )]
    Lost {
        /// What the disk said.
        reason: String,
    },
    /// The engine broke a rule of its own.
    #[error("{message} (this is a defect of backplane, please report it)")]
    Internal {
        /// The rule that was broken.
        message: String,
    },
}

impl RuntimeError {
    /// A defect of the engine.
    pub fn internal(message: impl std::fmt::Display) -> Self {
        Self::Internal {
            message: message.to_string(),
        }
    }

    /// State cannot be written or read.
    pub(crate) fn state(doing: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::State {
            doing,
            reason: reason.to_string(),
        }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Connector(error) => error.fault(),
            Self::Checkpoint(error) => error.fault(),
            Self::Configuration(_) | Self::Query { .. } | Self::Full => Fault::User,
            Self::State { .. } | Self::Memory { .. } | Self::Lost { .. } => Fault::Outside,
            Self::Internal { .. } => Fault::Ours,
        }
    }
}

impl From<arrow::error::ArrowError> for RuntimeError {
    fn from(error: arrow::error::ArrowError) -> Self {
        Self::internal(error)
    }
}
