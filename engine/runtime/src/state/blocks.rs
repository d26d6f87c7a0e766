//! Decoded blocks as bytes: whole while their events may still be handed on, else what the shards need of them.

use std::sync::Arc;

use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use backplane_events::EventType;
use serde::{Deserialize, Serialize};

use crate::block::{Block, EventColumns, LateRecord, RecordMeta, SharedBlock, matters_to_subjects};
use crate::error::RuntimeError;

/// What the shards of ids read of an event besides its [`RecordMeta`].
const EVENT_ID: &str = "event_id";
/// What the shards of subjects read.
const KEYS: [&str; 3] = [EVENT_ID, "subject_id", "tenant_id"];
/// What they read besides where results are divided by segments.
const SEGMENTS: [&str; 2] = ["subject_type", "attributes"];

/// How much of a block's columns is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of them.
    Whole,
    /// What the shards need.
    Keys {
        /// Also what results are divided by.
        segments: bool,
    },
}

impl Extent {
    fn needs(self, event_type: EventType, column: &str) -> bool {
        match self {
            Extent::Whole => true,
            Extent::Keys { .. } if !matters_to_subjects(event_type) => column == EVENT_ID,
            Extent::Keys { segments } => KEYS.contains(&column) || (segments && SEGMENTS.contains(&column)),
        }
    }
}

/// Columns by event type, each as a stream of Arrow IPC.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedColumns(Vec<(EventType, Ipc)>);

#[derive(Debug, Serialize, Deserialize)]
struct Ipc(#[serde(with = "super::bytes")] Vec<u8>);

impl SavedColumns {
    /// Those of a block, as far as they are wanted.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if they cannot be written.
    pub fn of(block: &Block, extent: Extent) -> Result<Self, RuntimeError> {
        let mut columns = Vec::new();
        for event_type in EventType::ALL {
            let Some(of_type) = block.columns_of(*event_type) else {
                continue;
            };
            let fields = of_type.batch.schema();
            let wanted = (0..)
                .zip(fields.fields())
                .filter(|(_, field)| extent.needs(*event_type, field.name()));
            let wanted: Vec<usize> = wanted.map(|(index, _)| index).collect();
            if wanted.is_empty() {
                continue;
            }
            let batch = of_type.batch.project(&wanted)?;
            let room = Vec::with_capacity(batch.get_array_memory_size() + 4_096);
            let mut writer = StreamWriter::try_new(room, &batch.schema())?;
            writer.write(&batch)?;
            columns.push((*event_type, Ipc(writer.into_inner()?)));
        }
        Ok(SavedColumns(columns))
    }

    /// The columns again, with every row.
    fn restore(&self) -> Result<[Option<EventColumns>; 5], RuntimeError> {
        let mut columns = [const { None }; 5];
        for (event_type, Ipc(bytes)) in &self.0 {
            if let Some(place) = columns.get_mut(*event_type as usize) {
                *place = Some(EventColumns::new(read_batch(bytes)?)?);
            }
        }
        Ok(columns)
    }
}

fn read_batch(mut bytes: &[u8]) -> Result<RecordBatch, RuntimeError> {
    let unreadable = |error| RuntimeError::state("read", error);
    let mut reader = StreamReader::try_new(&mut bytes, None).map_err(unreadable)?;
    let batch = reader.next().transpose().map_err(unreadable)?;
    batch.ok_or_else(|| RuntimeError::state("read", "a block lacks its columns"))
}

/// A block as it is written down.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedBlock {
    partition: u32,
    sequence: u64,
    #[serde(with = "super::records")]
    records: Vec<RecordMeta>,
    /// Records that were second deliveries already, or refused.
    dropped: Vec<u32>,
    late: Vec<LateRecord>,
    last_slice: i64,
    columns: SavedColumns,
}

impl SavedBlock {
    /// As the block is now.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if its columns cannot be written.
    pub fn of(block: &Block, extent: Extent) -> Result<Self, RuntimeError> {
        Ok(SavedBlock::with(block, SavedColumns::of(block, extent)?))
    }

    /// As the block is now, with columns that were written down before.
    #[must_use]
    pub fn with(block: &Block, columns: SavedColumns) -> Self {
        let indices = 0..u32::try_from(block.records.len()).unwrap_or(u32::MAX);
        SavedBlock {
            partition: block.partition,
            sequence: block.sequence,
            records: block.records.clone(),
            dropped: indices.filter(|index| block.is_dropped(*index)).collect(),
            late: block.late.clone(),
            last_slice: block.last_slice,
            columns,
        }
    }

    /// The block again.
    ///
    /// # Errors
    /// [`RuntimeError::State`] if it is none.
    pub fn restore(mut self) -> Result<SharedBlock, RuntimeError> {
        let columns = self.columns.restore()?;
        for record in &mut self.records {
            let of_type = columns.get(record.event_type as usize).and_then(Option::as_ref);
            let of_type = of_type.ok_or_else(|| RuntimeError::state("read", "a block lacks columns of its records"))?;
            (record.id_hash, record.subject_hash) = of_type.hashes(record.row);
        }
        let mut block = Block::assemble(self.partition, self.sequence, columns, self.records);
        block.late = self.late;
        block.last_slice = self.last_slice;
        self.dropped.iter().for_each(|index| block.drop_record(*index));
        Ok(Arc::new(block))
    }
}
