//! What a shard contributes to a window or to the cumulative results, and how contributions add up.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::totals::{PairTotals, Totals};

/// Whose statistics: a variant of an experiment, all of it or one segment value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartialKey {
    /// The experiment's id.
    pub experiment: u32,
    /// The variant's id.
    pub variant: u32,
    /// (index of the segment, its value).
    pub segment: Option<(u16, Option<Arc<str>>)>,
}

/// Statistics of a metric over the subjects that have an outcome.
#[derive(Debug, Clone, Default)]
pub struct MetricPartial {
    /// The statistics.
    pub totals: Totals,
    /// Subjects with an outcome whose attribution window has closed.
    pub matured_with_outcome: i64,
}

/// Statistics of a ratio over the subjects that have an outcome of either part.
#[derive(Debug, Clone, Default)]
pub struct RatioPartial {
    /// The statistics.
    pub totals: PairTotals,
    /// Subjects with both parts present whose attribution window has closed.
    pub matured_pairs: i64,
}

/// Statistics of a group.
#[derive(Debug, Clone, Default)]
pub struct GroupPartial {
    /// Subjects whose first exposure is in the window.
    pub subjects: i64,
    /// Crossovers whose first exposure is in the window.
    pub crossovers: i64,
    /// By attribution class: subjects at risk.
    pub at_risk: Vec<i64>,
    /// By attribution class: those whose attribution window has closed.
    pub matured: Vec<i64>,
    /// By metric id.
    pub metrics: BTreeMap<u32, MetricPartial>,
    /// By ratio of the experiment.
    pub ratios: Vec<RatioPartial>,
    /// First exposures by allocation epoch, crossovers included (cumulative only).
    pub first_exposures: Vec<i64>,
}

/// By group, in a fixed order.
pub type Partials = BTreeMap<PartialKey, GroupPartial>;

/// A window that has become final.
#[derive(Debug, Clone)]
pub struct ClosedWindow {
    /// Index of the window kind.
    pub kind: usize,
    /// Index of the window.
    pub index: i64,
    /// Its statistics.
    pub partials: Partials,
}

impl GroupPartial {
    /// Adds another shard's part of the same group up.
    pub fn merge(&mut self, other: &GroupPartial) {
        self.subjects += other.subjects;
        self.crossovers += other.crossovers;
        add_up(&mut self.at_risk, &other.at_risk);
        add_up(&mut self.matured, &other.matured);
        add_up(&mut self.first_exposures, &other.first_exposures);
        for (metric, partial) in &other.metrics {
            let own = self.metrics.entry(*metric).or_default();
            own.totals.merge(&partial.totals);
            own.matured_with_outcome += partial.matured_with_outcome;
        }
        if self.ratios.len() < other.ratios.len() {
            self.ratios.resize(other.ratios.len(), RatioPartial::default());
        }
        for (own, partial) in self.ratios.iter_mut().zip(&other.ratios) {
            own.totals.merge(&partial.totals);
            own.matured_pairs += partial.matured_pairs;
        }
    }
}

fn add_up(own: &mut Vec<i64>, other: &[i64]) {
    if own.len() < other.len() {
        own.resize(other.len(), 0);
    }
    for (own, other) in own.iter_mut().zip(other) {
        *own += other;
    }
}

/// Adds one shard's groups to the others'. Shards are added in their order, so that sums come out the same to the last bit.
pub fn merge_into(all: &mut Partials, shard: Partials) {
    for (key, partial) in shard {
        match all.entry(key) {
            std::collections::btree_map::Entry::Occupied(mut entry) => entry.get_mut().merge(&partial),
            std::collections::btree_map::Entry::Vacant(entry) => {
                entry.insert(partial);
            }
        }
    }
}

/// Merges the windows that each shard closed, in order of their ends.
#[must_use]
pub fn merge_windows(shards: Vec<Vec<ClosedWindow>>, end_of: impl Fn(usize, i64) -> i64) -> Vec<ClosedWindow> {
    let mut merged: BTreeMap<(i64, usize, i64), Partials> = BTreeMap::new();
    for windows in shards {
        for window in windows {
            let key = (end_of(window.kind, window.index), window.kind, window.index);
            merge_into(merged.entry(key).or_default(), window.partials);
        }
    }
    merged
        .into_iter()
        .map(|((_, kind, index), partials)| ClosedWindow { kind, index, partials })
        .collect()
}
