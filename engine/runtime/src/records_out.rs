//! Records leave the stream here and nowhere else, each with its reason: as rows of the event tables, as late events, as dead letters.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryBuilder, BooleanArray, StringBuilder, TimestampMicrosecondBuilder};
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use backplane_events::{BadReason, Encoder, EventType, Table};

use crate::block::Block;
use crate::error::RuntimeError;
use crate::outlets::Outlets;
use crate::plan::{Plan, WindowPlan};

/// The window name of records that are too late for everything.
pub const CUMULATIVE: &str = "cumulative";

/// Hands a block's events over that are settled by `watermark`: all but second deliveries, and those late for something once more as late
/// events.
///
/// # Errors
/// A sink failed.
pub fn emit_block(block: &Block, watermark: i64, plan: &Plan, outlets: &mut Outlets) -> Result<(), RuntimeError> {
    for event_type in EventType::ALL {
        let table = Table::of_event(*event_type);
        if !outlets.want(table) {
            continue;
        }
        // a sink that was added has what was read since
        let columns = block.columns_of(*event_type);
        if let Some(columns) = columns.filter(|columns| columns.are_whole(*event_type)) {
            outlets.rows(table, kept_rows(block, *event_type, watermark, &columns.batch)?)?;
        }
    }
    if !block.late.is_empty() && outlets.want(Table::LateEvents) {
        outlets.rows(Table::LateEvents, late_rows(block, watermark, &plan.windows)?)?;
    }
    Ok(())
}

/// The rows of a batch that are settled by `watermark`, without second deliveries.
///
/// # Errors
/// [`RuntimeError::Internal`] if the batch cannot be filtered.
fn kept_rows(
    block: &Block,
    event_type: EventType,
    watermark: i64,
    batch: &RecordBatch,
) -> Result<RecordBatch, RuntimeError> {
    let mut keep = vec![true; batch.num_rows()];
    let mut drops_any = false;
    for (index, record) in (0u32..).zip(&block.records) {
        if record.event_type == event_type && (block.is_dropped(index) || !record.is_settled(watermark)) {
            drops_any = true;
            if let Some(place) = keep.get_mut(record.row as usize) {
                *place = false;
            }
        }
    }
    if !drops_any {
        return Ok(batch.clone());
    }
    Ok(filter_record_batch(batch, &BooleanArray::from(keep))?)
}

fn late_rows(block: &Block, watermark: i64, windows: &[WindowPlan]) -> Result<RecordBatch, RuntimeError> {
    let encoder = Encoder::new();
    let (mut ids, mut types, mut names, mut envelopes) = (
        StringBuilder::new(),
        StringBuilder::new(),
        StringBuilder::new(),
        StringBuilder::new(),
    );
    let (mut times, mut ends, mut watermarks) = (
        TimestampMicrosecondBuilder::new(),
        TimestampMicrosecondBuilder::new(),
        TimestampMicrosecondBuilder::new(),
    );
    let mut json = Vec::new();
    for late in &block.late {
        let Some(record) = block
            .records
            .get(late.record as usize)
            .filter(|record| !block.is_dropped(late.record) && record.is_settled(watermark))
        else {
            continue;
        };
        let columns = block.columns_of(record.event_type);
        let Some(columns) = columns.filter(|columns| columns.are_whole(record.event_type)) else {
            continue;
        };
        json.clear();
        encoder
            .encode_row(record.event_type, &columns.batch, record.row as usize, &mut json)
            .map_err(RuntimeError::internal)?;
        ids.append_value(block.event_id(record));
        times.append_value(record.time);
        types.append_value(record.event_type.name());
        let window = late.window.and_then(|kind| windows.get(usize::from(kind)));
        names.append_value(window.map_or(CUMULATIVE, |window| &window.name));
        ends.append_option(late.window_end);
        watermarks.append_value(late.watermark);
        envelopes.append_value(String::from_utf8_lossy(&json));
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(ids.finish()),
        Arc::new(times.finish().with_timezone("UTC")),
        Arc::new(types.finish()),
        Arc::new(names.finish()),
        Arc::new(ends.finish().with_timezone("UTC")),
        Arc::new(watermarks.finish().with_timezone("UTC")),
        Arc::new(envelopes.finish()),
    ];
    Ok(RecordBatch::try_new(Table::LateEvents.schema(), columns)?)
}

/// A record that could not be taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// Name of the source.
    pub source: String,
    /// Where in it: path and line, topic, partition and offset.
    pub position: String,
    /// Why.
    pub reason: BadReason,
    /// What to do about it.
    pub detail: String,
    /// The bytes as they came.
    pub raw: Vec<u8>,
}

/// Rows of `dead_letters`; `time` is the wall-clock time, microseconds.
///
/// # Errors
/// [`RuntimeError::Internal`] if the rows do not fit the table's schema.
pub fn dead_letter_rows(letters: &[DeadLetter], time: i64) -> Result<RecordBatch, RuntimeError> {
    let mut times = TimestampMicrosecondBuilder::new();
    let (mut sources, mut positions, mut reasons, mut details) = (
        StringBuilder::new(),
        StringBuilder::new(),
        StringBuilder::new(),
        StringBuilder::new(),
    );
    let mut raw = BinaryBuilder::new();
    for letter in letters {
        times.append_value(time);
        sources.append_value(&letter.source);
        positions.append_value(&letter.position);
        reasons.append_value(letter.reason.name());
        details.append_value(&letter.detail);
        raw.append_value(&letter.raw);
    }
    let columns: Vec<ArrayRef> = vec![
        Arc::new(times.finish().with_timezone("UTC")),
        Arc::new(sources.finish()),
        Arc::new(positions.finish()),
        Arc::new(reasons.finish()),
        Arc::new(details.finish()),
        Arc::new(raw.finish()),
    ];
    Ok(RecordBatch::try_new(Table::DeadLetters.schema(), columns)?)
}
