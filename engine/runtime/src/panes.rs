//! The open windows of a kind: per window, what each subject's outcomes in it fold to.

use std::collections::BTreeMap;

use backplane_memory::{StateMemory, StateTable, StateVec};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::plan::Fold;
use crate::recent::{RecentLog, RecentRecord};
use crate::totals::Accumulator;

/// One (row, metric slot) of a window.
#[derive(Debug, Clone, Copy, IntoBytes, FromBytes, Immutable)]
#[repr(C)]
pub struct PaneEntry {
    /// The row of (experiment, subject).
    pub row: u32,
    /// The metric's slot in the experiment.
    pub slot: u32,
    /// For [`Fold::Last`]: the last outcome by event time and event id, a reference into the recent records; 0 for none.
    last: u64,
    /// The fold; empty where a correction took all outcomes away.
    pub accumulator: Accumulator,
}

/// One window.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Pane {
    /// Built anew when a window is read back.
    #[serde(skip)]
    index: StateTable<u32>,
    /// In order of their first outcome.
    pub entries: StateVec<PaneEntry>,
}

fn hash(row: u32, slot: u32) -> u64 {
    (u64::from(row) | (u64::from(slot) << 32))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .rotate_left(29)
}

impl Pane {
    /// The entry of (row, slot).
    #[must_use]
    pub fn get(&self, row: u32, slot: u32) -> Option<&PaneEntry> {
        let index = self.find(row, slot)?;
        self.entries.get(index as usize)
    }

    /// Builds the index of a window that was read back.
    fn rebuild(&mut self) {
        let entries = &self.entries;
        let hash_of = |index: &u32| {
            entries
                .get(*index as usize)
                .map_or(0, |entry: &PaneEntry| hash(entry.row, entry.slot))
        };
        self.index = StateTable::with_capacity_in(entries.len(), StateMemory);
        for index in (0u32..).take(entries.len()) {
            self.index.insert_unique(hash_of(&index), index, hash_of);
        }
    }

    fn find(&self, row: u32, slot: u32) -> Option<u32> {
        let is_it = |index: &u32| {
            self.entries
                .get(*index as usize)
                .is_some_and(|entry| entry.row == row && entry.slot == slot)
        };
        self.index.find(hash(row, slot), is_it).copied()
    }

    fn get_or_insert(&mut self, row: u32, slot: u32) -> Option<&mut PaneEntry> {
        let index = match self.find(row, slot) {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
                self.entries.push(PaneEntry {
                    row,
                    slot,
                    last: 0,
                    accumulator: Accumulator::default(),
                });
                let entries = &self.entries;
                self.index.insert_unique(hash(row, slot), index, |index| {
                    entries
                        .get(*index as usize)
                        .map_or(0, |entry| hash(entry.row, entry.slot))
                });
                index
            }
        };
        self.entries.get_mut(index as usize)
    }
}

/// An outcome for a window.
#[derive(Debug, Clone, Copy)]
pub struct PaneOutcome<'a> {
    /// The row of (experiment, subject).
    pub row: u32,
    /// The metric's slot in the experiment.
    pub slot: u32,
    /// How the metric folds.
    pub fold: Fold,
    /// The outcome.
    pub outcome: &'a RecentRecord,
    /// The reference to it.
    pub reference: u64,
}

/// The open windows of one kind in one shard.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct OpenWindows {
    /// By window index.
    pub panes: BTreeMap<i64, Pane>,
}

impl OpenWindows {
    /// Folds an outcome into window `index`.
    pub fn fold(&mut self, index: i64, outcome: &PaneOutcome<'_>, recent: &RecentLog) {
        let Some(entry) = self
            .panes
            .entry(index)
            .or_default()
            .get_or_insert(outcome.row, outcome.slot)
        else {
            return;
        };
        let PaneOutcome {
            fold,
            outcome,
            reference,
            ..
        } = *outcome;
        let is_last = fold == Fold::Last && recent.is_later(reference, entry.last);
        if is_last {
            entry.last = reference;
        }
        entry
            .accumulator
            .fold(fold, outcome.value, outcome.is_binary(), is_last);
    }

    /// Builds the indexes of windows that were read back.
    pub fn rebuild(&mut self) {
        self.panes.values_mut().for_each(Pane::rebuild);
    }

    /// Takes everything of a row out of all open windows; its outcomes will be folded anew.
    pub fn clear(&mut self, row: u32, slots: u32) {
        for pane in self.panes.values_mut() {
            for slot in 0..slots {
                if let Some(index) = pane.find(row, slot)
                    && let Some(entry) = pane.entries.get_mut(index as usize)
                {
                    entry.accumulator = Accumulator::default();
                    entry.last = 0;
                }
            }
        }
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.panes
            .values()
            .map(|pane| pane.entries.capacity() * size_of::<PaneEntry>() + pane.index.capacity() * 5)
            .sum()
    }
}
