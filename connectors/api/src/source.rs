//! Where records come from.

use arrow::record_batch::RecordBatch;
use backplane_events::EventType;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::ConnectorError;

/// A source partition: the unit that has a record order, a running maximum of event time and a watermark.
///
/// The text is stable over restarts (a file's identity, a topic and partition number).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionId(pub String);

/// How far a partition has been read: everything before is behind us.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Position {
    /// Bytes of (decompressed) input, or records, before the next unread record.
    pub offset: u64,
    /// Lines before the next unread record; 0 where a source has no lines.
    pub line: u64,
    /// What else the connector needs to find the place again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<serde_json::Value>,
}

/// One record of [`DecodedEvents`]: where its row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef {
    /// Which batch.
    pub event_type: EventType,
    /// Which row of that batch.
    pub row: u32,
}

/// Events that are columns already (the lake), in record order.
#[derive(Debug, Clone, Default)]
pub struct DecodedEvents {
    /// At most one batch for each event type, of the schema of its table.
    pub batches: Vec<(EventType, RecordBatch)>,
    /// The records in order.
    pub records: Vec<RecordRef>,
}

/// What a block holds.
#[derive(Debug, Clone)]
pub enum BlockData {
    /// Complete NDJSON lines; the last may lack its line feed only at the end of a partition.
    Lines(Bytes),
    /// Columns.
    Decoded(DecodedEvents),
}

/// Consecutive records of one partition.
#[derive(Debug, Clone)]
pub struct Block {
    /// The records.
    pub data: BlockData,
    /// The position of the first of them.
    pub start: Position,
    /// The position after the last of them.
    pub end: Position,
}

/// What one call of [`PartitionReader::read`] found.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "there is one for each block, and a block is what is mostly read"
)]
pub enum Read {
    /// Records.
    Block(Block),
    /// Nothing now; more may come (live partitions only).
    Pending,
    /// Nothing more, ever (bounded partitions only).
    End,
}

/// Reads one partition in record order.
pub trait PartitionReader: Send {
    /// The next complete records, about `max_bytes` of them (always at least one record, however long); never blocks for longer
    /// than a read of what is there takes.
    ///
    /// # Errors
    /// The outside system failed, or what it holds is damaged. The reader stays where it was.
    fn read(&mut self, max_bytes: usize) -> Result<Read, ConnectorError>;
}

/// A set of partitions.
pub trait Source: Send {
    /// The name for people: of the configuration, or the type.
    fn name(&self) -> &str;

    /// Whether partitions end (files at rest, the lake) or may grow for ever.
    fn is_bounded(&self) -> bool;

    /// Whether a job has this source in some of its runs only (records that are tried again), and is the same job without it. Its records
    /// come in no order of event time.
    fn is_occasional(&self) -> bool {
        false
    }

    /// The partitions there are now, in a stable order. A live source is asked again from time to time.
    ///
    /// # Errors
    /// The outside system cannot be asked, or a bounded source has nothing under its name.
    fn discover(&mut self) -> Result<Vec<PartitionId>, ConnectorError>;

    /// A name of this partition for people (a path, a topic and number), used in errors and dead letters.
    fn describe(&self, partition: &PartitionId) -> String;

    /// Opens a partition at a position, or at its beginning.
    ///
    /// # Errors
    /// [`ConnectorError::Gone`] if the partition is not there any more; the position is not in it.
    fn open(
        &mut self,
        partition: &PartitionId,
        from: Option<&Position>,
    ) -> Result<Box<dyn PartitionReader>, ConnectorError>;
}
