//! Blocks whose records are not settled, or are still wanted, as bytes.

use std::sync::Arc;

use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use backplane_events::EventType;
use serde::{Deserialize, Serialize};

use crate::block::{Block, LateRecord, RecordMeta, SharedBlock};
use crate::error::RuntimeError;

/// A block as it is written down.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct SavedBlock {
    partition: u32,
    sequence: u64,
    records: Vec<RecordMeta>,
    dropped: Vec<bool>,
    late: Vec<LateRecord>,
    last_slice: i64,
    /// By event type: its columns, as a stream of Arrow IPC.
    columns: Vec<(EventType, Vec<u8>)>,
}

impl SavedBlock {
    /// As the block is now.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if its columns cannot be written.
    pub(crate) fn of(block: &Block) -> Result<Self, RuntimeError> {
        let mut columns = Vec::new();
        for event_type in EventType::ALL {
            let Some(of_type) = block.columns_of(*event_type) else {
                continue;
            };
            let mut writer = StreamWriter::try_new(Vec::new(), &of_type.batch.schema())?;
            writer.write(&of_type.batch)?;
            columns.push((*event_type, writer.into_inner()?));
        }
        let indices = 0..u32::try_from(block.records.len()).unwrap_or(u32::MAX);
        Ok(SavedBlock {
            partition: block.partition,
            sequence: block.sequence,
            records: block.records.clone(),
            dropped: indices.map(|index| block.is_dropped(index)).collect(),
            late: block.late.clone(),
            last_slice: block.last_slice,
            columns,
        })
    }

    /// The block again.
    ///
    /// # Errors
    /// [`RuntimeError::State`] if it is none.
    pub(crate) fn restore(self) -> Result<SharedBlock, RuntimeError> {
        let mut batches = Vec::with_capacity(self.columns.len());
        for (event_type, bytes) in &self.columns {
            let mut reader =
                StreamReader::try_new(bytes.as_slice(), None).map_err(|error| RuntimeError::state("read", error))?;
            let batch = reader.next().transpose();
            let batch = batch.map_err(|error| RuntimeError::state("read", error))?;
            let batch = batch.ok_or_else(|| RuntimeError::state("read", "a block lacks its columns"))?;
            batches.push((*event_type, batch));
        }
        let order: Vec<(EventType, u32)> = self
            .records
            .iter()
            .map(|record| (record.event_type, record.row))
            .collect();
        let mut block = Block::new(self.partition, self.sequence, batches, order.into_iter())?;
        block.records = self.records;
        block.late = self.late;
        block.last_slice = self.last_slice;
        for (index, is_dropped) in (0u32..).zip(self.dropped) {
            if is_dropped {
                block.drop_record(index);
            }
        }
        Ok(Arc::new(block))
    }
}
