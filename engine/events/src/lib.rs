//! Envelopes and payloads of online experiments, the Arrow schemas of every table, and the JSON codec between the two.
//!
//! Bytes of NDJSON become one [`arrow::record_batch::RecordBatch`] per [`EventType`], built straight from the bytes; batches become
//! envelopes again without loss. Nothing here knows of tokio, DataFusion or any connector.
//!
//! ```
//! use backplane_events::{Decoder, Encoder, EventTime, EventType};
//!
//! let lines = br#"{"eventId":"e-1","timestamp":"2026-01-05T09:30:00+00:00","eventType":"Exposure","schemaVersion":"1.0.0",
//! "#;
//! let decoded = Decoder::new().decode(lines, EventTime(0));
//! assert_eq!(decoded.bad[0].detail, "at byte 105 of the line the line ends where a member name was expected");
//!
//! let line = br#"{"eventId":"e-1","timestamp":"2026-01-05T09:30:00+00:00","eventType":0,"schemaVersion":"1.0.0","payload":{"experimentName":"checkout","variantKey":"control","subjectId":"u-1"}}"#;
//! let decoded = Decoder::new().decode(line, EventTime(0));
//! let exposures = decoded.batches[EventType::Exposure as usize].as_ref().unwrap();
//! let mut json = Vec::new();
//! Encoder::new().encode_row(EventType::Exposure, exposures, 0, &mut json).unwrap();
//! assert_eq!(
//!     String::from_utf8(json).unwrap(),
//!     r#"{"eventId":"e-1","timestamp":"2026-01-05T09:30:00Z","eventType":"Exposure","schemaVersion":"1.0.0","payload":{"experimentName":"checkout","variantKey":"control","subjectId":"u-1","assignmentPolicy":"BestEffort"}}"#
//! );
//! ```

mod bad;
mod columns;
mod decode;
mod encode;
mod error;
mod identity;
mod instant;
mod kinds;
mod member;
mod model;
mod row;
pub mod tables;
mod time;

pub use bad::{BadReason, BadRecord};
pub use decode::scan::MAX_DEPTH;
pub use decode::{Decoded, DecodedRecord, Decoder, MAX_EVENT_ID_CHARACTERS, MAX_LINE_BYTES, NO_KEY};
pub use encode::{Encoder, EnumSpelling};
pub use error::EventsError;
pub use identity::Identity;
pub use kinds::{AssignmentPolicy, EventType, OutcomeType, Severity, SignalType};
pub use member::{json_elements, json_member};
pub use model::{AnalysisSignal, Assignment, Envelope, ErrorEvent, Exposure, Outcome, Payload, SCHEMA_VERSION};
pub use tables::{Table, timestamp_type};
pub use time::EventTime;
