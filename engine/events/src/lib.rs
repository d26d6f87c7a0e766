//! Envelopes and payloads of online experiments, the Arrow schemas of every table, and the JSON codec between the two.
//!
//! Bytes of NDJSON become one [`arrow::record_batch::RecordBatch`] per [`EventType`], built straight from the bytes; batches become
//! envelopes again without loss. Nothing here knows of tokio, DataFusion or any connector.

mod kinds;
pub mod tables;
mod time;

pub use kinds::{AssignmentPolicy, EventType, OutcomeType, Severity, SignalType};
pub use tables::Table;
pub use time::EventTime;
