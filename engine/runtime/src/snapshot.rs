//! What an evaluation sees of a shard: of each experiment that changed since the last one, its tallies and its changed groups.

use std::collections::BTreeMap;

use crate::closing::matured_group;
use crate::experiment::ExperimentState;
use crate::group::Group;
use crate::partial::{Counts, GroupPartial, PartialKey};
use crate::shard::Shard;

/// What one shard has to say at a multiple of `evaluateEvery`.
#[derive(Debug, Clone)]
pub struct ShardEvaluation {
    /// The multiple, microseconds of event time.
    pub at: i64,
    /// The experiments that changed since the evaluation before.
    pub experiments: Vec<ExperimentSnapshot>,
}

/// The part of an experiment that lies in one shard. All counts are to date.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct ExperimentSnapshot {
    /// The experiment's id.
    pub experiment: u32,
    /// What was counted of its records.
    pub tally: RecordTally,
    /// Assigned subjects by variant.
    pub assigned: BTreeMap<u32, AssignedCounts>,
    /// Its groups that changed.
    pub groups: Vec<GroupSnapshot>,
}

/// A group that changed.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct GroupSnapshot {
    /// Which.
    pub key: PartialKey,
    /// First exposures by allocation epoch, crossovers included.
    #[serde(with = "crate::state::counts")]
    pub first_exposures: Counts,
    /// Subjects analysed in it.
    pub subjects: i64,
    /// Crossovers.
    pub crossovers: i64,
    /// Statistics over matured subjects, where they changed and the group has all subjects of a variant.
    pub matured: Option<GroupPartial>,
}

/// What was counted of an experiment's records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct RecordTally {
    /// Exposures, repeated ones included.
    pub exposures: i64,
    /// Outcomes that name the experiment.
    pub outcomes: i64,
    /// Those more than [`CLOCK_SKEW`] before their subject's first exposure.
    pub outcomes_before_exposure: i64,
}

impl RecordTally {
    /// Adds another shard's tally up.
    pub fn add(&mut self, other: &RecordTally) {
        self.exposures += other.exposures;
        self.outcomes += other.outcomes;
        self.outcomes_before_exposure += other.outcomes_before_exposure;
    }
}

/// By how much the clocks of two producers may differ: an outcome that little before its exposure is no fault. Microseconds.
pub const CLOCK_SKEW: i64 = 5 * 60 * 1_000_000;

/// Assigned subjects of a variant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct AssignedCounts {
    /// All of them.
    pub assigned: i64,
    /// Those that brought an outcome and no exposure.
    pub missing: i64,
}

/// What changed in a group since the last evaluation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, serde::Serialize, serde::Deserialize)]
pub enum Moved {
    /// Nothing.
    #[default]
    None,
    /// Its counts.
    Counts,
    /// Its counts and its matured statistics.
    Matured,
}

impl ExperimentState {
    /// Notes what changed in a group.
    pub(crate) fn mark(&mut self, group: u32, moved: Moved) {
        if let Some(state) = self.groups.get_mut(group as usize) {
            if state.moved == Moved::None {
                self.changed_groups.push(group);
            }
            if moved > state.moved {
                state.moved = moved;
            }
        }
        self.has_changed = true;
    }
}

impl Shard {
    /// Whether any experiment changed since the last evaluation.
    pub(crate) fn has_changed(&self) -> bool {
        self.experiments.iter().flatten().any(|state| state.has_changed)
    }

    /// Takes out what changed since the last evaluation; none where nothing has.
    pub(crate) fn take_changes(&mut self, at: i64) -> Option<ShardEvaluation> {
        self.rebuild_spoilt_groups();
        let mut experiments = Vec::new();
        for index in 0..self.experiments.len() {
            let Some(Some(state)) = self.experiments.get_mut(index) else {
                continue;
            };
            if !std::mem::take(&mut state.has_changed) {
                continue;
            }
            let mut changed = std::mem::take(&mut state.changed_groups);
            changed.sort_unstable();
            let changes: Vec<(u32, Moved)> = changed
                .iter()
                .filter_map(|group| {
                    let state = state.groups.get_mut(*group as usize)?;
                    Some((*group, std::mem::take(&mut state.moved)))
                })
                .collect();
            experiments.extend(self.snapshot_of(index, &changes));
            if let Some(Some(state)) = self.experiments.get_mut(index) {
                changed.clear();
                state.changed_groups = changed;
            }
        }
        (!experiments.is_empty()).then_some(ShardEvaluation { at, experiments })
    }

    fn snapshot_of(&self, index: usize, changes: &[(u32, Moved)]) -> Option<ExperimentSnapshot> {
        let state = self.experiments.get(index)?.as_ref()?;
        let experiment = u32::try_from(index).ok()?;
        let snapshot = |(group, moved): &(u32, Moved)| {
            let group: &Group = state.groups.get(*group as usize)?;
            let has_statistics = *moved == Moved::Matured && group.key.segment.is_none();
            Some(GroupSnapshot {
                key: self.key_of(experiment, group),
                first_exposures: Counts::from_slice(&group.first_exposures),
                subjects: group.subjects,
                crossovers: group.crossovers,
                matured: has_statistics.then(|| matured_group(state, group)),
            })
        };
        Some(ExperimentSnapshot {
            experiment,
            tally: state.tally,
            assigned: state.assigned.clone(),
            groups: changes.iter().filter_map(snapshot).collect(),
        })
    }
}
