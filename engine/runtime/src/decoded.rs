//! A block as it was read becomes records, and remembers where they came from.

use arrow::array::{AsArray, BooleanArray};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::DataType;
use backplane_connector_api::{BlockData, DecodedEvents, Position};
use backplane_events::{BadRecord, Decoder, EventTime, EventType};

use crate::block::Block;
use crate::error::RuntimeError;
use crate::evaluation::OWN_METADATA;
use crate::input::ReadBlock;

/// A block and what came with it.
pub struct DecodedBlock {
    /// Index of the partition.
    pub partition: usize,
    /// The records.
    pub block: Block,
    /// What could not be read.
    pub bad: Vec<BadRecord>,
    /// Lines, blank ones included.
    pub lines: u64,
    /// Where the records came from.
    pub source: SourceLines,
    /// The position after them.
    pub end: Position,
}

/// Where a block's records came from.
pub struct SourceLines {
    start_line: u64,
    bytes: Option<bytes::Bytes>,
    /// By record: its line in the block; nothing where every line is a record.
    lines: Vec<u32>,
}

impl SourceLines {
    /// The number of the first line in its partition, from 0.
    pub fn first_line(&self) -> u64 {
        self.start_line
    }

    /// Bytes read, after decompression.
    pub fn bytes(&self) -> usize {
        self.bytes.as_ref().map_or(0, bytes::Bytes::len)
    }

    /// The line of a record, from 0 in the block.
    pub fn line_of(&self, record: u32) -> u64 {
        self.lines
            .get(record as usize)
            .map_or(u64::from(record), |line| u64::from(*line))
    }

    /// The bytes of these lines, which ascend.
    pub fn raw(&self, lines: &[u64]) -> Vec<Vec<u8>> {
        let bytes = self.bytes.as_deref().unwrap_or_default();
        let mut found = Vec::with_capacity(lines.len());
        let mut split = (0u64..).zip(bytes.split(|byte| *byte == b'\n'));
        for wanted in lines {
            let line = split.find(|(number, _)| number == wanted).map(|(_, line)| line);
            found.push(line.unwrap_or_default().to_vec());
        }
        found
    }
}

/// Events of a lake without the signals that a job of this engine has raised: the job raises them anew.
fn without_own_signals(mut events: DecodedEvents) -> Result<DecodedEvents, RuntimeError> {
    let is_signal = |event_type: EventType| event_type == EventType::AnalysisSignal;
    let Some((_, batch)) = events.batches.iter_mut().find(|(event_type, _)| is_signal(*event_type)) else {
        return Ok(events);
    };
    let metadata = batch.column_by_name("metadata").cloned();
    let metadata = metadata.ok_or_else(|| RuntimeError::internal("signals have no metadata"))?;
    let metadata = cast(&metadata, &DataType::Utf8)?;
    let metadata = metadata.as_string::<i32>();
    let is_kept: Vec<bool> = metadata.iter().map(|text| text != Some(OWN_METADATA)).collect();
    if is_kept.iter().all(|is_kept| *is_kept) {
        return Ok(events);
    }
    *batch = filter_record_batch(batch, &BooleanArray::from(is_kept.clone()))?;
    // where each row stands now, if it is still there
    let mut places = Vec::with_capacity(is_kept.len());
    let mut next = 0;
    for is_kept in is_kept {
        places.push(is_kept.then_some(next));
        next += u32::from(is_kept);
    }
    events.records.retain_mut(|record| {
        if !is_signal(record.event_type) {
            return true;
        }
        let place = places.get(record.row as usize).copied().flatten();
        record.row = place.unwrap_or(record.row);
        place.is_some()
    });
    Ok(events)
}

/// Decodes a block as it was read.
///
/// # Errors
/// [`RuntimeError::Internal`] if its columns are not those of its tables.
pub fn decode(read: ReadBlock, decoder: &mut Decoder, ingest_time: EventTime) -> Result<DecodedBlock, RuntimeError> {
    let partition = u32::try_from(read.partition).unwrap_or(u32::MAX);
    let (start_line, end) = (read.block.start.line, read.block.end);
    match read.block.data {
        BlockData::Lines(bytes) => {
            let decoded = decoder.decode(&bytes, ingest_time);
            let block = Block::decoded(partition, read.sequence, decoded.batches, &decoded.records);
            let has_gaps = decoded.lines != decoded.records.len() as u64;
            let lines = decoded.records.iter().map(|record| record.line);
            let lines = if has_gaps { lines.collect() } else { Vec::new() };
            Ok(DecodedBlock {
                partition: read.partition,
                block,
                bad: decoded.bad,
                lines: decoded.lines,
                source: SourceLines {
                    start_line,
                    bytes: Some(bytes),
                    lines,
                },
                end,
            })
        }
        BlockData::Decoded(events) => {
            let events = without_own_signals(events)?;
            let order = events.records.iter().map(|record| (record.event_type, record.row));
            let block = Block::of_rows(partition, read.sequence, events.batches, order)?;
            let lines = block.records.len() as u64;
            let source = SourceLines {
                start_line,
                bytes: None,
                lines: Vec::new(),
            };
            Ok(DecodedBlock {
                partition: read.partition,
                block,
                bad: Vec::new(),
                lines,
                source,
                end,
            })
        }
    }
}
