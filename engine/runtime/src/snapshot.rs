//! What an evaluation sees of a shard: of each experiment that changed since the last one, its tallies and its changed groups.

use std::ops::Range;

use smallvec::SmallVec;

use crate::closing::{key_of, matured_metrics, matured_ratios};
use crate::experiment::ExperimentState;
use crate::partial::{Counts, MetricPartial, PartialKey, RatioPartial};
use crate::shard::Shard;

/// What one shard has to say at the multiples of `evaluateEvery` that it has come past. There are many of them, so all that is said lies
/// together.
#[derive(Debug, Default)]
pub struct ShardChanges {
    /// In order; in each, experiments in order.
    snapshots: Vec<ExperimentSnapshot>,
    groups: Vec<GroupSnapshot>,
    metrics: Vec<(u32, MetricPartial)>,
    ratios: Vec<RatioPartial>,
}

/// The part of an experiment that lies in one shard and changed since the evaluation before. All counts are to date.
#[derive(Debug)]
pub struct ExperimentSnapshot {
    /// The evaluation, microseconds of event time.
    pub at: i64,
    /// The experiment's id.
    pub experiment: u32,
    /// What was counted of its records.
    pub tally: RecordTally,
    /// Assigned subjects by variant, in its order.
    pub assigned: AssignedVariants,
    groups: Range<usize>,
}

/// Assigned subjects by variant, in its order.
pub type AssignedVariants = SmallVec<[(u32, AssignedCounts); 2]>;

/// A group that changed.
#[derive(Debug)]
pub struct GroupSnapshot {
    /// Which.
    pub key: PartialKey,
    /// First exposures by allocation epoch, crossovers included.
    pub first_exposures: Counts,
    /// Subjects analysed in it.
    pub subjects: i64,
    /// Crossovers.
    pub crossovers: i64,
    matured: Option<MaturedRanges>,
}

#[derive(Debug)]
struct MaturedRanges {
    subjects: Counts,
    metrics: Range<usize>,
    ratios: Range<usize>,
}

/// Statistics over matured subjects.
#[derive(Debug, Clone, Copy)]
pub struct MaturedSnapshot<'a> {
    /// By attribution class: matured subjects.
    pub subjects: &'a [i64],
    /// By metric id, in its order.
    pub metrics: &'a [(u32, MetricPartial)],
    /// By ratio of the experiment.
    pub ratios: &'a [RatioPartial],
}

impl ShardChanges {
    /// The experiments that changed, evaluation by evaluation.
    #[must_use]
    pub fn snapshots(&self) -> &[ExperimentSnapshot] {
        &self.snapshots
    }

    /// The groups of an experiment that changed.
    #[must_use]
    pub fn groups_of(&self, snapshot: &ExperimentSnapshot) -> &[GroupSnapshot] {
        self.groups.get(snapshot.groups.clone()).unwrap_or_default()
    }

    /// Statistics over matured subjects, where they changed and the group has all subjects of a variant.
    #[must_use]
    pub fn matured_of<'a>(&'a self, group: &'a GroupSnapshot) -> Option<MaturedSnapshot<'a>> {
        let ranges = group.matured.as_ref()?;
        Some(MaturedSnapshot {
            subjects: &ranges.subjects,
            metrics: self.metrics.get(ranges.metrics.clone())?,
            ratios: self.ratios.get(ranges.ratios.clone())?,
        })
    }

    /// Adds an experiment's part at an evaluation. Its groups are to follow.
    pub fn push(&mut self, at: i64, experiment: u32, tally: RecordTally, assigned: AssignedVariants) {
        self.snapshots.push(ExperimentSnapshot {
            at,
            experiment,
            tally,
            assigned,
            groups: self.groups.len()..self.groups.len(),
        });
    }

    /// Adds a group to the experiment that was added last.
    pub fn push_group(&mut self, key: PartialKey, first_exposures: Counts, subjects: i64, crossovers: i64) {
        self.groups.push(GroupSnapshot {
            key,
            first_exposures,
            subjects,
            crossovers,
            matured: None,
        });
        if let Some(snapshot) = self.snapshots.last_mut() {
            snapshot.groups.end = self.groups.len();
        }
    }

    /// Gives statistics over matured subjects to the group that was added last: by attribution class how many they are, by metric id, and by
    /// ratio of the experiment.
    pub fn push_matured(
        &mut self,
        subjects: Counts,
        metrics: impl Iterator<Item = (u32, MetricPartial)>,
        ratios: impl Iterator<Item = RatioPartial>,
    ) {
        let (first_metric, first_ratio) = (self.metrics.len(), self.ratios.len());
        self.metrics.extend(metrics);
        self.ratios.extend(ratios);
        if let Some(new) = self.metrics.get_mut(first_metric..) {
            new.sort_unstable_by_key(|(metric, _)| *metric);
        }
        if let Some(group) = self.groups.last_mut() {
            group.matured = Some(MaturedRanges {
                subjects,
                metrics: first_metric..self.metrics.len(),
                ratios: first_ratio..self.ratios.len(),
            });
        }
    }
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

    /// Adds what changed since the last evaluation.
    pub(crate) fn take_changes(&mut self, at: i64, changes: &mut ShardChanges) {
        self.rebuild_spoilt_groups();
        let Shard {
            experiments,
            segment_values,
            ..
        } = self;
        for (experiment, state) in (0u32..).zip(experiments.iter_mut()) {
            let Some(state) = state else { continue };
            if !std::mem::take(&mut state.has_changed) {
                continue;
            }
            let assigned = state.assigned.iter().map(|(variant, counts)| (*variant, *counts));
            changes.push(at, experiment, state.tally, assigned.collect());
            let mut changed = std::mem::take(&mut state.changed_groups);
            changed.sort_unstable();
            for place in changed.drain(..) {
                let group = state.groups.get_mut(place as usize);
                let Some(moved) = group.map(|group| std::mem::take(&mut group.moved)) else {
                    continue;
                };
                if let Some(group) = state.groups.get(place as usize) {
                    let key = key_of(segment_values, experiment, group);
                    let first_exposures = Counts::from_slice(&group.first_exposures);
                    changes.push_group(key, first_exposures, group.subjects, group.crossovers);
                    if moved == Moved::Matured && group.key.segment.is_none() {
                        let subjects = Counts::from_slice(&group.matured_subjects);
                        changes.push_matured(subjects, matured_metrics(state, group), matured_ratios(group));
                    }
                }
            }
            // its room is used again
            state.changed_groups = changed;
        }
    }
}
