//! Where results go.

use arrow::record_batch::RecordBatch;
use backplane_events::Table;
use serde::{Deserialize, Serialize};

use crate::ConnectorError;

/// The number of a checkpoint, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

/// Rows for a sink.
#[derive(Debug, Clone)]
pub enum Output {
    /// Rows of one of the engine's tables, of that table's schema.
    Rows {
        /// The table.
        table: Table,
        /// The rows.
        batch: RecordBatch,
    },
    /// Rows of a user's own query over a closed window, of the query's schema.
    Query {
        /// The query's name.
        name: String,
        /// The rows.
        batch: RecordBatch,
    },
}

/// What a sink has prepared for an epoch: enough to publish it, also in another process after a crash.
pub type Effect = serde_json::Value;

/// A place for results. See the crate's documentation for the two steps.
pub trait Sink: Send {
    /// The name in the configuration.
    fn name(&self) -> &str;

    /// Says whether the place can take rows, before anything is read. Leaves nothing behind.
    ///
    /// # Errors
    /// The place is not there, cannot be written, or is something else than this sink writes.
    fn check(&mut self) -> Result<(), ConnectorError> {
        Ok(())
    }

    /// Removes what epochs after the committed one left in the place, where a reader would see it. Called at most once, before the
    /// first [`Sink::accept`] of a run that keeps epochs; `committed` is the effect of the last epoch that was decided, null where it has none.
    ///
    /// # Errors
    /// The place is out of reach, or no longer holds what the committed epoch wrote.
    fn recover(&mut self, committed: &Effect) -> Result<(), ConnectorError> {
        let _ = committed;
        Ok(())
    }

    /// Takes rows into the current epoch; nothing becomes visible. Encoding may go on in the background.
    ///
    /// # Errors
    /// The place is out of reach or full; the epoch cannot be completed.
    fn accept(&mut self, output: &Output) -> Result<(), ConnectorError>;

    /// Makes all rows accepted since the last call durable, unpublished, and says how to publish them.
    ///
    /// # Errors
    /// As [`Sink::accept`].
    fn prepare(&mut self, epoch: Epoch) -> Result<Effect, ConnectorError>;

    /// Makes a prepared effect visible; does nothing if it is visible already.
    ///
    /// # Errors
    /// The place is out of reach; the same call must be made again.
    fn publish(&mut self, epoch: Epoch, effect: &Effect) -> Result<(), ConnectorError>;

    /// Gives up a prepared epoch that nobody will ever publish, in this process or another: removes what it left in the place, as far as that
    /// can be done. What is visible of it stays. Not to be called once the epoch was decided and can be published after a restart.
    fn discard(&mut self, epoch: Epoch, effect: &Effect) {
        let _ = (epoch, effect);
    }

    /// Takes a published epoch out of the place again, because the job goes back to an earlier one; does nothing where it is not there (never
    /// published, or withdrawn before). Epochs are withdrawn latest first. Its number may come again, with other rows.
    ///
    /// # Errors
    /// The sink cannot take rows back, the place is out of reach, or somebody else has written to it since.
    fn withdraw(&mut self, epoch: Epoch, effect: &Effect) -> Result<(), ConnectorError> {
        let _ = effect;
        Err(ConnectorError::invalid(
            self.name(),
            format_args!(
                "the rows of epoch {} cannot be taken back from a sink of this type; go on from the last epoch, or start anew into another place",
                epoch.0
            ),
        ))
    }
}
