//! What a shard contributes to a window or to the cumulative results, and how contributions add up.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::snapshot::MaturedSnapshot;
use crate::totals::{PairTotals, Totals};

/// A few counts: most experiments have one attribution window and one allocation.
pub type Counts = SmallVec<[i64; 2]>;

/// Whose statistics: a variant of an experiment, all of it or one segment value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct PartialKey {
    /// The experiment's id.
    pub experiment: u32,
    /// The variant's id.
    pub variant: u32,
    /// (index of the segment, its value).
    pub segment: Option<(u16, Option<Arc<str>>)>,
}

/// Statistics of a metric over the subjects that have an outcome.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct MetricPartial {
    /// The statistics.
    pub totals: Totals,
    /// Subjects with an outcome whose attribution window has closed.
    pub matured_with_outcome: i64,
}

/// Statistics by metric id, in its order.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct MetricPartials(Vec<(u32, MetricPartial)>);

impl MetricPartials {
    /// Those of a metric.
    #[must_use]
    pub fn get(&self, metric: u32) -> Option<&MetricPartial> {
        let place = self.0.binary_search_by_key(&metric, |(id, _)| *id).ok()?;
        self.0.get(place).map(|(_, partial)| partial)
    }

    /// Those of a metric, to change; empty ones where there were none.
    pub fn get_mut(&mut self, metric: u32) -> &mut MetricPartial {
        let place = match self.0.binary_search_by_key(&metric, |(id, _)| *id) {
            Ok(place) => place,
            Err(place) => {
                self.0.insert(place, (metric, MetricPartial::default()));
                place
            }
        };
        &mut self.0[place].1
    }

    /// Empty ones of every metric that the others have.
    fn make_room_for(&mut self, others: &MetricPartials) {
        let are_same = self
            .0
            .iter()
            .map(|(metric, _)| metric)
            .eq(others.0.iter().map(|(metric, _)| metric));
        if !are_same {
            for (metric, _) in &others.0 {
                self.get_mut(*metric);
            }
        }
    }

    /// In the order of their ids.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &MetricPartial)> {
        self.0.iter().map(|(metric, partial)| (*metric, partial))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(u32, MetricPartial)> for MetricPartials {
    fn from_iter<I: IntoIterator<Item = (u32, MetricPartial)>>(partials: I) -> Self {
        let mut partials: Vec<_> = partials.into_iter().collect();
        partials.sort_by_key(|(metric, _)| *metric);
        MetricPartials(partials)
    }
}

/// Statistics of a ratio over the subjects that have an outcome of either part.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct RatioPartial {
    /// The statistics.
    pub totals: PairTotals,
    /// Subjects with both parts present whose attribution window has closed.
    pub matured_pairs: i64,
}

/// Statistics of a group.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct GroupPartial {
    /// Subjects whose first exposure is in the window.
    pub subjects: i64,
    /// Crossovers whose first exposure is in the window.
    pub crossovers: i64,
    /// By attribution class: subjects at risk.
    #[serde(with = "crate::state::counts")]
    pub at_risk: Counts,
    /// By attribution class: those whose attribution window has closed.
    #[serde(with = "crate::state::counts")]
    pub matured: Counts,
    /// By metric id.
    pub metrics: MetricPartials,
    /// By ratio of the experiment.
    pub ratios: Vec<RatioPartial>,
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
    /// Has the statistics of these matured subjects, and nothing else.
    pub fn set_matured(&mut self, matured: &MaturedSnapshot<'_>) {
        for counts in [&mut self.at_risk, &mut self.matured] {
            counts.clear();
            counts.extend_from_slice(matured.subjects);
        }
        self.metrics.0.clear();
        self.metrics.0.extend_from_slice(matured.metrics);
        self.ratios.clear();
        self.ratios.extend_from_slice(matured.ratios);
    }

    /// Adds shards' parts of one group up, in their order, in the place of what it held.
    pub fn add_up<'a>(&mut self, parts: impl Iterator<Item = &'a GroupPartial>) {
        self.subjects = 0;
        self.crossovers = 0;
        for counts in [&mut self.at_risk, &mut self.matured] {
            counts.fill(0);
        }
        // what is there is used again: it is mostly the same metrics
        self.metrics
            .0
            .iter_mut()
            .for_each(|(_, partial)| *partial = MetricPartial::default());
        self.ratios.fill(RatioPartial::default());
        for part in parts {
            self.merge(part);
        }
        self.metrics.0.retain(|(_, partial)| !partial.totals.is_empty());
    }

    /// Adds another shard's part of the same group up.
    pub fn merge(&mut self, other: &GroupPartial) {
        self.subjects += other.subjects;
        self.crossovers += other.crossovers;
        add_up(&mut self.at_risk, &other.at_risk);
        add_up(&mut self.matured, &other.matured);
        self.metrics.make_room_for(&other.metrics);
        let mut others = other.metrics.iter().peekable();
        for (metric, own) in &mut self.metrics.0 {
            let Some((_, partial)) = others.next_if(|(other, _)| other == metric) else {
                continue;
            };
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

fn add_up(own: &mut Counts, other: &[i64]) {
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
