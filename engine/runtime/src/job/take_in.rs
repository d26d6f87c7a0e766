//! Decoded blocks come into the stream: names become the job's, records are stamped, and bad ones leave it.

use std::sync::Arc;
use std::time::Instant;

use backplane_events::{BadReason, EventTime, EventType, Table};

use super::{Job, wall_clock};
use crate::block::{Block, SharedBlock};
use crate::decoded::DecodedBlock;
use crate::error::RuntimeError;
use crate::evaluation::Evaluations;
use crate::input::Partition;
use crate::names::NO_NAME;
use crate::plan::{Plan, TimePlan};
use crate::records_out::{DeadLetter, dead_letter_rows};
use crate::stamp::{Limits, StampCounts, stamp};

impl Job {
    /// Stamps blocks in record order, and sends bad records on their way.
    pub(super) fn take_in(
        &mut self,
        decoded: Vec<DecodedBlock>,
        now: Instant,
    ) -> Result<Vec<SharedBlock>, RuntimeError> {
        let mut letters = Vec::new();
        let mut blocks = Vec::with_capacity(decoded.len());
        let settled = self.boundaries_settled();
        for DecodedBlock {
            partition,
            mut block,
            bad,
            lines,
            source,
            end,
        } in decoded
        {
            block.resolve_names(&mut self.names);
            self.counters.lines += lines;
            self.counters.bytes += source.bytes() as u64;
            self.counters.records += block.records.len() as u64;
            let source_name = self.input.source_name(partition).to_owned();
            let Some(input) = self.input.partitions.get_mut(partition) else {
                continue;
            };
            input.take_in(end);
            // a file at rest may have grown since time went on without it
            let is_limited = input.state.live || input.is_occasional || self.epochs.are_kept();
            let limits = is_limited.then(|| Limits {
                latest: latest_of(input, &self.plan.time, self.last_event_time),
                watermark: self.watermark,
                settled,
                is_unordered: input.is_occasional,
            });
            let mut counts = StampCounts::default();
            let mut clock = input.state.clock;
            let refused = stamp(
                &mut block,
                &mut clock,
                &self.plan,
                &self.boundaries,
                limits,
                &mut counts,
            );
            self.last_event_time = self.last_event_time.max(clock.running_maximum);
            if !input.is_occasional {
                input.state.clock = clock;
            }
            if block.records.len() > refused.len() {
                input.state.silent_since = None;
            } else {
                input.state.silent_since.get_or_insert(now);
            }
            note_too_late(&mut self.evaluations, &self.plan, &block);
            self.counters.too_late += counts.too_late;
            let place = |line: u64| format!("{}:{}", input.description, source.first_line() + line + 1);
            for letter in bad {
                letters.push(DeadLetter {
                    source: source_name.clone(),
                    position: place(u64::from(letter.line)),
                    reason: letter.reason,
                    detail: letter.detail,
                    raw: letter.raw,
                });
            }
            let lines: Vec<u64> = refused.iter().map(|index| source.line_of(*index)).collect();
            for ((index, line), raw) in refused.iter().zip(&lines).zip(source.raw(&lines)) {
                letters.push(future_letter(&block, *index, &source_name, place(*line), raw));
            }
            let shared: SharedBlock = Arc::new(block);
            blocks.push(shared);
        }
        self.define_experiments(self.names.experiments.len());
        self.counters.dead_letters += letters.len() as u64;
        if !letters.is_empty() {
            self.outlets
                .rows(Table::DeadLetters, dead_letter_rows(&letters, wall_clock())?)?;
        }
        Ok(blocks)
    }
}

/// Tells the evaluations which records came beyond the correction horizon.
fn note_too_late(evaluations: &mut Evaluations, plan: &Plan, block: &Block) {
    for late in block.late.iter().filter(|late| late.window.is_none()) {
        let Some(record) = block.records.get(late.record as usize) else {
            continue;
        };
        let counts = matches!(record.event_type, EventType::Exposure | EventType::Outcome);
        if counts && record.experiment != NO_NAME {
            evaluations.note_too_late(plan, record.experiment, record.time, late.watermark);
        }
    }
}

/// The latest event time that is taken from a partition.
fn latest_of(partition: &Partition, time: &TimePlan, last_event_time: i64) -> i64 {
    let by_clock = wall_clock().saturating_add(time.max_future_skew);
    match (partition.state.live, partition.is_occasional) {
        (true, _) => by_clock,
        // files at rest are not compared with the clock: what the stream has come to is not too far
        (false, true) => by_clock.max(last_event_time),
        (false, false) => i64::MAX,
    }
}

fn future_letter(block: &Block, index: u32, source: &str, position: String, raw: Vec<u8>) -> DeadLetter {
    let time = block.records.get(index as usize).map_or(0, |record| record.time);
    DeadLetter {
        source: source.to_owned(),
        position,
        reason: BadReason::FutureTimestamp,
        detail: format!(
            "the event time {} is further ahead of the clock than engine.time.maxFutureSkew allows; set the producer's clock right",
            EventTime(time)
        ),
        raw,
    }
}
