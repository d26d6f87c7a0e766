//! The suite that every connector passes: what the engine relies on, asked of the real thing.
//!
//! ```
//! use backplane_connector_api::{conformance, memory::MemorySource};
//!
//! let text = "{\"eventId\":\"a\"}\n{\"eventId\":\"b\"}\n";
//! let partitions = conformance::source(|| {
//!     Ok(Box::new(MemorySource::bounded("memory", [("p".to_owned(), text.into())])))
//! })?;
//! assert_eq!(partitions[0].records.len(), 2);
//! # Ok::<(), conformance::Violation>(())
//! ```

mod sample;
mod sink;
mod source;

pub use sample::sample;
pub use sink::{Visibility, sink, withdrawal};
pub use source::{PartitionRecords, Record, source, unwrapping_source};

use crate::ConnectorError;

/// A rule that a connector broke.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    /// A call failed that must succeed.
    #[error("{step}: {error}")]
    Failed {
        /// What the suite was doing.
        step: String,
        /// What the connector said.
        error: ConnectorError,
    },
    /// A call gave what it must not give.
    #[error("{rule}: {found}")]
    Broken {
        /// The rule.
        rule: &'static str,
        /// What was found instead.
        found: String,
    },
}

/// Fails with the rule unless it holds.
fn hold(rule: &'static str, holds: bool, found: impl FnOnce() -> String) -> Result<(), Violation> {
    if holds {
        Ok(())
    } else {
        Err(Violation::Broken { rule, found: found() })
    }
}

/// Names the step in which a call failed.
trait During<T> {
    fn during(self, step: impl FnOnce() -> String) -> Result<T, Violation>;
}

impl<T> During<T> for Result<T, ConnectorError> {
    fn during(self, step: impl FnOnce() -> String) -> Result<T, Violation> {
        self.map_err(|error| Violation::Failed { step: step(), error })
    }
}
