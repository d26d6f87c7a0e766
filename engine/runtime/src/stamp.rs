//! What each record's event time means: its slice, and for what it is late. In record order, partition by partition.

use crate::block::{Block, LateRecord, NO_SLICE};
use crate::plan::{Boundaries, Plan};
use crate::stream_time::{PartitionClock, late_for, slice_of};

/// What stamping a block has counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StampCounts {
    /// Records too late for everything.
    pub too_late: u64,
    /// Records too far ahead of the wall clock.
    pub future: u64,
}

/// What a partition is held to besides its own record order: a live one, one that may have grown since time went on without it, and one of
/// an occasional source.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Event times after this are refused.
    pub latest: i64,
    /// The job's watermark.
    pub watermark: i64,
    /// The last boundary that was settled.
    pub settled: i64,
    /// Whether its own record order says nothing.
    pub is_unordered: bool,
}

/// Stamps a block's records and moves its partition's clock. Gives the indices of records that lie too far in the future: they are marked
/// as dropped, and move nothing.
pub fn stamp(
    block: &mut Block,
    clock: &mut PartitionClock,
    plan: &Plan,
    boundaries: &Boundaries,
    limits: Option<Limits>,
    counts: &mut StampCounts,
) -> Vec<u32> {
    let time = &plan.time;
    let is_ordered = limits.is_none_or(|limits| !limits.is_unordered);
    let mut refused = Vec::new();
    let mut late = Vec::new();
    // Most records fall into the slice of the one before: [slice_from, slice).
    let (mut slice_from, mut slice) = (i64::MAX, i64::MIN);
    for (index, record) in (0u32..).zip(block.records.iter_mut()) {
        if let Some(limits) = limits
            && record.time > limits.latest
        {
            refused.push(index);
            counts.future += 1;
            continue;
        }
        let order = if is_ordered { *clock } else { PartitionClock::default() };
        let mut watermark = order.watermark(time);
        let mut is_too_late = order.is_too_late(record.time, time);
        if let Some(limits) = limits {
            // The partition may have been idle while the others went on.
            watermark = watermark.max(limits.settled);
            is_too_late |=
                limits.watermark != i64::MIN && limits.watermark.saturating_sub(record.time) > time.correction_horizon;
        }
        clock.advance(record.time);
        if record.time < watermark {
            let windows = (0u16..).zip(&plan.windows);
            late.extend(windows.filter_map(|(kind, window)| {
                let window_end = late_for(window, record.time, watermark, time.allowed_lateness)?;
                Some(LateRecord {
                    record: index,
                    window: Some(kind),
                    window_end: Some(window_end),
                    watermark,
                })
            }));
        }
        if is_too_late {
            late.push(LateRecord {
                record: index,
                window: None,
                window_end: None,
                watermark,
            });
            counts.too_late += 1;
            record.slice = NO_SLICE;
            continue;
        }
        let reached = record.time.max(watermark);
        if reached < slice_from || reached >= slice {
            slice = slice_of(boundaries, record.time, watermark);
            slice_from = boundaries.at_or_before(reached);
        }
        record.slice = slice;
        block.last_slice = block.last_slice.max(slice);
    }
    block.late = late;
    for index in &refused {
        block.drop_record(*index);
    }
    refused
}
