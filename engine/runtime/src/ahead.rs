//! Reading ahead: what a batch of records will need is asked for before any of it is used.
//!
//! The state is larger than the caches, and a record's way through it is a chain: index, subject, row, accumulator. Taken record by record
//! each step waits for memory. Taken step by step over a batch, the steps of different records do not depend on each other, and a processor
//! waits for a dozen of them at once (Chen, Ailamaki, Gibbons, Mowry 2004, group prefetching). Loads do what prefetch instructions would, and
//! need no `unsafe`: what they give is thrown away.

use std::hint::black_box;

use backplane_events::EventType;

use crate::experiment::ExperimentState;
use crate::names::NO_NAME;
use crate::panes::PaneEntry;
use crate::pending::Segment;
use crate::recent::RecentRecord;
use crate::row::Rows;
use crate::shard::{Maturing, Shard, ShardContext};
use crate::subjects::{NONE, SubjectTable};

impl Shard {
    /// Finds the subjects of a segment's records; [`NONE`] for those that are new, and for second deliveries.
    pub(crate) fn locate(&self, segment: &Segment, located: &mut Vec<u32>) {
        let block = &segment.block;
        located.clear();
        located.extend(segment.records.iter().map(|index| {
            let record = block.records.get(*index as usize);
            let record = record.filter(|_| !block.is_dropped(*index));
            record
                .and_then(|record| self.subjects.guess(record.subject_hash))
                .unwrap_or(NONE)
        }));
        let mut seen = 0;
        for slot in located.iter() {
            seen ^= self.subjects.get(*slot).map_or(0, |subject| subject.first_row);
        }
        black_box(seen);
        for (index, slot) in segment.records.iter().zip(located).filter(|(_, slot)| **slot != NONE) {
            let Some(record) = block.records.get(*index as usize) else {
                continue;
            };
            if !self.subjects.is(*slot, record.subject_hash) {
                *slot = self.subjects.find(record.subject_hash).unwrap_or(NONE);
            }
        }
    }

    /// Touches the rows of a segment's subjects and the ids of its exposures, then what its outcomes fold into.
    pub(crate) fn touch(&self, context: &ShardContext<'_>, segment: &Segment, located: &[u32]) {
        let block = &segment.block;
        let mut seen = 0;
        for (index, slot) in segment.records.iter().zip(located) {
            seen ^= first_time(*slot, &self.subjects, &self.rows);
            let exposure = block.records.get(*index as usize);
            let exposure = exposure.filter(|record| record.event_type == EventType::Exposure);
            let id = exposure.map_or("", |record| block.event_id(record));
            seen ^= i64::from(id.as_bytes().first().copied().unwrap_or(0));
        }
        black_box(seen);
        let mut seen = 0;
        for (index, slot) in segment.records.iter().zip(located) {
            let outcome = segment.block.records.get(*index as usize);
            let outcome = outcome.filter(|record| *slot != NONE && record.event_type == EventType::Outcome);
            let Some(record) = outcome else { continue };
            let row_id = match record.experiment {
                NO_NAME => self.subjects.get(*slot).map(|subject| subject.first_row),
                experiment => self.find_row(*slot, experiment),
            };
            let row = row_id.and_then(|row_id| Some((row_id, self.rows.get(row_id)?)));
            let Some((row_id, row)) = row else { continue };
            let Some(Some(state)) = self.experiments.get(row.kind.experiment as usize) else {
                continue;
            };
            let Some(slot) = state.existing_slot(record.name) else {
                continue;
            };
            seen ^= u64::from(state.is_folded(slot, row.local));
            for (window, open) in context.plan.windows.iter().zip(&self.open) {
                let index = window.first_ending_after(record.time);
                let pane = open.panes.get(&index);
                seen ^= u64::from(pane.is_some_and(|pane| pane.get(row_id, slot).is_some()));
            }
        }
        black_box(seen);
    }
}

/// So many of a longer list are looked after at a time.
pub(crate) const BATCH: usize = 64;

/// Touches the rows of a window's entries.
pub(crate) fn touch_entries(entries: &[PaneEntry], rows: &Rows) {
    let mut seen = 0;
    for entry in entries {
        seen ^= rows.get(entry.row).map_or(0, |row| row.first_time);
    }
    black_box(seen);
}

/// Touches the first row of a subject.
fn first_time(slot: u32, subjects: &SubjectTable, rows: &Rows) -> i64 {
    let first = subjects.get(slot).and_then(|subject| rows.get(subject.first_row));
    first.map_or(0, |row| row.first_time)
}

/// Touches the rows whose attribution windows close, and their accumulators.
pub(crate) fn touch_maturing(maturing: &[Maturing], rows: &Rows, experiments: &[Option<ExperimentState>]) {
    let mut seen = 0;
    for maturing in maturing {
        seen ^= rows.get(maturing.row).map_or(0, |row| row.first_time);
    }
    black_box(seen);
    let mut seen = false;
    for maturing in maturing {
        let Some(row) = rows.get(maturing.row) else {
            continue;
        };
        if let Some(Some(state)) = experiments.get(row.kind.experiment as usize) {
            seen ^= state.has_outcomes(row.local);
        }
    }
    black_box(seen);
}

/// Touches the subjects of records that are judged when they are forgotten, and their first rows.
pub(crate) fn touch_forgotten(records: &[RecentRecord], subjects: &SubjectTable, rows: &Rows) {
    let judged = || records.iter().filter(|record| !record.is_regular());
    let mut seen = 0;
    for record in judged() {
        seen ^= subjects.get(record.subject).map_or(0, |subject| subject.first_row);
    }
    black_box(seen);
    let mut seen = 0;
    for record in judged() {
        seen ^= first_time(record.subject, subjects, rows);
    }
    black_box(seen);
}
