//! What people have looked at and decided, as an input of the job that moves no watermark.

use arrow::record_batch::RecordBatch;

use crate::error::RuntimeError;

/// Rows of the ledger.
#[derive(Debug, Clone)]
pub struct LedgerRows {
    /// Rows of the table `looks`.
    pub looks: RecordBatch,
    /// Rows of the table `decisions`.
    pub decisions: RecordBatch,
    /// Whether a sink of the job holds them already; else the job hands them to its sinks, so that a replay keeps them.
    pub are_kept: bool,
}

/// Where looks and decisions are read from. Many write it; the job reads it from time to time.
pub trait Ledger: Send {
    /// What has come since the last call; rows given before may be given again.
    ///
    /// # Errors
    /// The ledger cannot be read.
    fn poll(&mut self) -> Result<Vec<LedgerRows>, RuntimeError>;
}
