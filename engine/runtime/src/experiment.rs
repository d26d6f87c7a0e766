//! The state of one experiment in one shard: rows' columns, groups, and how a row counts in its groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use backplane_memory::StateColumn;
use hashbrown::HashMap;
use smallvec::SmallVec;

use crate::crossover::VariantHistory;
use crate::group::{Group, GroupKey};
use crate::plan::{Caps, ExperimentDefinition, Fold, Plan};
use crate::recent::{RecentLog, RecentRecord};
use crate::row::Row;
use crate::snapshot::{AssignedCounts, Moved, RecordTally};
use crate::subjects::NONE;
use crate::totals::{Accumulator, PairTotals, PairUnit, Totals, Unit, absent_value};

/// The accumulators of one metric, by row.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Column {
    /// The metric's id.
    pub metric: u32,
    /// How it folds.
    pub fold: Fold,
    /// Its caps.
    pub caps: Caps,
    /// Its attribution class.
    pub class: u8,
    /// By `local`; shorter than the rows where later ones have no outcome.
    accumulators: StateColumn<Accumulator>,
    /// By `local`, only for [`Fold::Last`]: the last outcome by event time and event id, a reference into the recent records; 0 for none.
    last: StateColumn<u64>,
    /// Indices of the ratios it is part of.
    ratios: Vec<usize>,
}

impl Column {
    /// The accumulator of a row.
    #[must_use]
    pub fn get(&self, local: u32) -> Accumulator {
        self.accumulators.get(local as usize).copied().unwrap_or_default()
    }

    /// The contribution of a row.
    #[must_use]
    pub fn unit(&self, local: u32) -> Option<Unit> {
        self.get(local).unit(self.fold, self.caps)
    }
}

/// An experiment in a shard.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct ExperimentState {
    /// What was declared; given anew when a state is read back.
    #[serde(skip)]
    pub definition: Arc<ExperimentDefinition>,
    /// How many rows it has.
    rows: u32,
    /// Metric columns by slot.
    pub columns: Vec<Column>,
    #[serde(skip)]
    slots: HashMap<u32, u32>,
    /// Of the first metrics, nearly always all: (metric, slot).
    #[serde(skip)]
    first_slots: SmallVec<[(u32, u32); FEW]>,
    /// By segment, by `local`: the shard's id of the value of the first exposure.
    pub segment_values: Vec<StateColumn<u32>>,
    /// By segment, by `local`: the analysed group; [`NONE`] where the row is left out.
    segment_groups: Vec<StateColumn<u32>>,
    /// Groups in order of appearance.
    pub groups: Vec<Group>,
    #[serde(skip)]
    group_index: HashMap<GroupKey, u32>,
    /// Of some variants as a whole, where there are few nearly always: (variant, group).
    #[serde(skip)]
    whole_groups: SmallVec<[(u32, u32); FEW]>,
    /// Histories of rows that were seen in several variants or epochs.
    pub histories: BTreeMap<u32, VariantHistory>,
    /// What was counted of its records.
    pub tally: RecordTally,
    /// By variant: subjects assigned to it.
    pub assigned: BTreeMap<u32, AssignedCounts>,
    /// Whether anything changed since the last evaluation.
    pub has_changed: bool,
    /// The groups that did.
    pub changed_groups: Vec<u32>,
}

/// So many variants, or metrics, are found by looking at each.
const FEW: usize = 8;

/// The groups of a row: of all subjects, and of a few segments.
pub type RowGroups = SmallVec<[u32; 4]>;

/// A (row, metric slot) that changed from one contribution to another.
#[derive(Debug, Clone, Copy)]
struct Change<'a> {
    slot: u32,
    old: Option<&'a Unit>,
    new: Option<&'a Unit>,
}

impl ExperimentState {
    /// An experiment without rows.
    #[must_use]
    pub fn new(definition: Arc<ExperimentDefinition>, plan: &Plan) -> Self {
        let segments = definition.segments.len();
        let mut state = ExperimentState {
            rows: 0,
            columns: Vec::new(),
            slots: HashMap::new(),
            first_slots: SmallVec::new(),
            segment_values: (0..segments).map(|_| StateColumn::default()).collect(),
            segment_groups: (0..segments).map(|_| StateColumn::default()).collect(),
            groups: Vec::new(),
            group_index: HashMap::new(),
            whole_groups: SmallVec::new(),
            histories: BTreeMap::new(),
            tally: RecordTally::default(),
            assigned: BTreeMap::new(),
            has_changed: false,
            changed_groups: Vec::new(),
            definition: Arc::clone(&definition),
        };
        for metric in definition.listed_metrics(plan) {
            state.slot_of(metric, plan);
        }
        for ratio in &definition.ratios {
            state.slot_of(ratio.numerator, plan);
            state.slot_of(ratio.denominator, plan);
        }
        state
    }

    /// Gives a state that was read back what the configuration says of it, and its indexes.
    pub fn rebuild(&mut self, definition: Arc<ExperimentDefinition>) {
        self.definition = definition;
        self.slots = (0u32..)
            .zip(&self.columns)
            .map(|(slot, column)| (column.metric, slot))
            .collect();
        let slots = (0u32..).zip(&self.columns).take(FEW);
        self.first_slots = slots.map(|(slot, column)| (column.metric, slot)).collect();
        self.group_index = (0u32..)
            .zip(&self.groups)
            .map(|(index, group)| (group.key, index))
            .collect();
        let whole = (0u32..)
            .zip(&self.groups)
            .filter(|(_, group)| group.key.segment.is_none());
        let whole = whole.map(|(index, group)| (group.key.variant, index));
        self.whole_groups = whole.take(FEW).collect();
    }

    /// The slot of a metric, a new one at its first outcome; `None` for a ratio's own name.
    pub fn slot_of(&mut self, metric: u32, plan: &Plan) -> Option<u32> {
        if let Some(slot) = self.existing_slot(metric) {
            return Some(slot);
        }
        let (fold, caps) = plan.fold_of(metric)?;
        let slot = u32::try_from(self.columns.len()).ok()?;
        let is_part =
            |ratio: &&(usize, &crate::plan::RatioPlan)| ratio.1.numerator == metric || ratio.1.denominator == metric;
        let ratios: Vec<(usize, &crate::plan::RatioPlan)> = self.definition.ratios.iter().enumerate().collect();
        self.columns.push(Column {
            metric,
            fold,
            caps,
            class: self.definition.class_of(metric),
            accumulators: StateColumn::default(),
            last: StateColumn::default(),
            ratios: ratios.iter().filter(is_part).map(|(index, _)| *index).collect(),
        });
        self.slots.insert(metric, slot);
        if self.first_slots.len() < FEW {
            self.first_slots.push((metric, slot));
        }
        Some(slot)
    }

    /// The slot of a metric that has one.
    #[must_use]
    pub fn existing_slot(&self, metric: u32) -> Option<u32> {
        if let Some((_, slot)) = self.first_slots.iter().find(|(first, _)| *first == metric) {
            return Some(*slot);
        }
        if self.first_slots.len() < FEW {
            return None;
        }
        self.slots.get(&metric).copied()
    }

    /// Adds a row's place; gives its `local`.
    pub fn add_row(&mut self, segment_values: &[u32]) -> u32 {
        let local = self.rows;
        self.rows += 1;
        for (column, value) in self.segment_values.iter_mut().zip(segment_values) {
            column.push(*value);
        }
        for column in &mut self.segment_groups {
            column.push(NONE);
        }
        local
    }

    /// Changes the segment values of a row (whose first exposure changed).
    pub fn set_segment_values(&mut self, local: u32, segment_values: &[u32]) {
        for (column, value) in self.segment_values.iter_mut().zip(segment_values) {
            if let Some(place) = column.get_mut(local as usize) {
                *place = *value;
            }
        }
    }

    /// The groups of a variant that a row belongs to by its segment values: all subjects first, then each segment.
    pub fn groups_of(&mut self, variant: u32, local: u32) -> RowGroups {
        let mut groups = RowGroups::new();
        groups.push(self.group(GroupKey { variant, segment: None }));
        for index in 0..self.segment_values.len() {
            let value = self
                .segment_values
                .get(index)
                .and_then(|column| column.get(local as usize))
                .copied()
                .unwrap_or(NONE);
            let segment = Some((u16::try_from(index).unwrap_or(u16::MAX), value));
            groups.push(self.group(GroupKey { variant, segment }));
        }
        groups
    }

    fn group(&mut self, key: GroupKey) -> u32 {
        let is_whole = key.segment.is_none();
        if is_whole && let Some((_, group)) = self.whole_groups.iter().find(|(variant, _)| *variant == key.variant) {
            return *group;
        }
        if let Some(group) = self.group_index.get(&key) {
            return *group;
        }
        let classes = self.definition.attribution_classes.len();
        let group = u32::try_from(self.groups.len()).unwrap_or(NONE);
        self.groups.push(Group {
            key,
            subjects: 0,
            crossovers: 0,
            first_exposures: vec![0; self.definition.epoch_starts.len() + 1],
            metrics: Vec::new(),
            ratios: vec![PairTotals::default(); self.definition.ratios.len()],
            matured_subjects: vec![0; classes],
            matured_metrics: Vec::new(),
            matured_ratios: vec![PairTotals::default(); self.definition.ratios.len()],
            windows: Vec::new(),
            moved: Moved::None,
            has_moved: false,
        });
        self.group_index.insert(key, group);
        if is_whole && self.whole_groups.len() < FEW {
            self.whole_groups.push((key.variant, group));
        }
        group
    }

    /// Counts a row in (`delta` 1) or out of (`delta` -1) everything but the windows: subjects, crossovers, first exposures, metrics,
    /// matured statistics. `analysed` is `None` where the row is left out. Sets the row's groups.
    pub fn count_row(&mut self, row: &mut Row, analysed: Option<u32>, is_crossover: bool, delta: i64) {
        let moved = if row.kind.matured == 0 {
            Moved::Counts
        } else {
            Moved::Matured
        };
        for group in self.groups_of(row.kind.variant, row.local) {
            self.mark(group, Moved::Counts);
            let Some(group) = self.groups.get_mut(group as usize) else {
                continue;
            };
            if let Some(count) = group.first_exposures.get_mut(usize::from(row.kind.epoch)) {
                *count += delta;
            }
            if is_crossover {
                group.crossovers += delta;
            }
        }
        row.kind.group = NONE;
        for column in &mut self.segment_groups {
            if let Some(place) = column.get_mut(row.local as usize) {
                *place = NONE;
            }
        }
        let Some(variant) = analysed else { return };
        let groups = self.groups_of(variant, row.local);
        for (position, group) in groups.iter().enumerate() {
            self.mark(*group, moved);
            match position.checked_sub(1) {
                None => row.kind.group = *group,
                Some(segment) => {
                    let place = self
                        .segment_groups
                        .get_mut(segment)
                        .and_then(|column| column.get_mut(row.local as usize));
                    if let Some(place) = place {
                        *place = *group;
                    }
                }
            }
            if let Some(group) = self.groups.get_mut(*group as usize) {
                group.subjects += delta;
                for (class, count) in (0u8..).zip(&mut group.matured_subjects) {
                    if row.kind.is_matured(class) {
                        *count += delta;
                    }
                }
            }
        }
        self.move_all_metrics(row, delta);
        if delta < 0 {
            row.kind.group = NONE;
        }
    }

    /// Whether a row has an outcome of a metric.
    pub fn is_folded(&self, slot: u32, local: u32) -> bool {
        let column = self.columns.get(slot as usize);
        column.is_some_and(|column| !column.get(local).is_empty())
    }

    /// Whether a row has an outcome of any metric; else it contributes to none, and to no ratio.
    pub fn has_outcomes(&self, local: u32) -> bool {
        self.columns.iter().any(|column| !column.get(local).is_empty())
    }

    /// Adds or takes away all metric contributions of a row in its groups.
    fn move_all_metrics(&mut self, row: &Row, delta: i64) {
        if !self.has_outcomes(row.local) {
            return;
        }
        let units: Vec<Option<Unit>> = self.columns.iter().map(|column| column.unit(row.local)).collect();
        let sign = |unit: Option<Unit>| if delta > 0 { (None, unit) } else { (unit, None) };
        let pairs: Vec<PairUnit> = (0..self.definition.ratios.len())
            .map(|ratio| self.pair_of(ratio, |slot| self.unit_at(slot, row.local)))
            .collect();
        for position in 0..=self.segment_groups.len() {
            let Some(group) = group_at(&mut self.groups, &self.segment_groups, row, position) else {
                continue;
            };
            for (slot, (unit, column)) in units.iter().zip(&self.columns).enumerate() {
                if unit.is_none() {
                    continue;
                }
                let (old, new) = sign(*unit);
                totals_at(&mut group.metrics, slot).replace(column.fold, old.as_ref(), new.as_ref());
                if row.kind.is_matured(column.class) {
                    totals_at(&mut group.matured_metrics, slot).replace(column.fold, old.as_ref(), new.as_ref());
                }
            }
            for (index, pair) in pairs.iter().enumerate() {
                let nothing = PairUnit::default();
                let (old, new) = if delta > 0 { (&nothing, pair) } else { (pair, &nothing) };
                if let Some(totals) = group.ratios.get_mut(index) {
                    totals.replace(old, new);
                }
                let class = self
                    .definition
                    .ratios
                    .get(index)
                    .map_or(0, |ratio| self.definition.class_of(ratio.numerator));
                if row.kind.is_matured(class)
                    && let Some(totals) = group.matured_ratios.get_mut(index)
                {
                    totals.replace(old, new);
                }
            }
        }
    }

    /// The groups that a row counts in; none where it is left out.
    pub fn groups_of_row<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = u32> + 'a {
        let segments = self
            .segment_groups
            .iter()
            .filter_map(|column| column.get(row.local as usize).copied());
        std::iter::once(row.kind.group)
            .chain(segments)
            .filter(|group| *group != NONE)
    }

    fn unit_at(&self, slot: u32, local: u32) -> Option<Unit> {
        self.columns.get(slot as usize).and_then(|column| column.unit(local))
    }

    /// A row's contribution to a ratio, with its metrics' contributions from `unit_of`.
    pub fn pair_of(&self, ratio: usize, unit_of: impl Fn(u32) -> Option<Unit>) -> PairUnit {
        let Some(plan) = self.definition.ratios.get(ratio) else {
            return PairUnit::default();
        };
        let part = |metric: u32| {
            let slot = self.existing_slot(metric)?;
            let column = self.columns.get(slot as usize)?;
            Some((unit_of(slot), absent_value(column.fold, column.caps)))
        };
        let (numerator, absent_numerator) = part(plan.numerator).unwrap_or((None, Some(0.0)));
        let (denominator, absent_denominator) = part(plan.denominator).unwrap_or((None, Some(0.0)));
        PairUnit::new(
            numerator.as_ref(),
            denominator.as_ref(),
            absent_numerator,
            absent_denominator,
        )
    }

    /// Folds an attributed outcome, which `reference` refers to, into a row and moves its groups by the difference.
    pub fn fold_outcome(&mut self, row: &Row, slot: u32, outcome: &RecentRecord, reference: u64, recent: &RecentLog) {
        let local = row.local as usize;
        let Some(column) = self.columns.get_mut(slot as usize) else {
            return;
        };
        column.accumulators.fill_up_to(local + 1, Accumulator::default());
        let mut is_last = false;
        if column.fold == Fold::Last {
            column.last.fill_up_to(local + 1, 0);
            if let Some(last) = column.last.get_mut(local) {
                is_last = recent.is_later(reference, *last);
                if is_last {
                    *last = reference;
                }
            }
        }
        let (fold, caps) = (column.fold, column.caps);
        let Some(accumulator) = column.accumulators.get_mut(local) else {
            return;
        };
        let old = accumulator.unit(fold, caps);
        accumulator.fold(fold, outcome.value, outcome.is_binary(), is_last);
        let new = accumulator.unit(fold, caps);
        if row.kind.group != NONE {
            self.move_metric(
                row,
                Change {
                    slot,
                    old: old.as_ref(),
                    new: new.as_ref(),
                },
            );
        }
    }

    fn move_metric(&mut self, row: &Row, change: Change<'_>) {
        let Some(column) = self.columns.get(change.slot as usize) else {
            return;
        };
        let (fold, is_matured) = (column.fold, row.kind.is_matured(column.class));
        let pairs: SmallVec<[(usize, PairUnit, PairUnit); 2]> = column
            .ratios
            .iter()
            .map(|ratio| {
                let with = |unit: Option<&Unit>| {
                    let unit = unit.copied();
                    self.pair_of(*ratio, |slot| {
                        if slot == change.slot {
                            unit
                        } else {
                            self.unit_at(slot, row.local)
                        }
                    })
                };
                (*ratio, with(change.old), with(change.new))
            })
            .collect();
        if is_matured {
            // the groups of segments take no part in tests of effects
            self.mark(row.kind.group, Moved::Matured);
        }
        for position in 0..=self.segment_groups.len() {
            let Some(group) = group_at(&mut self.groups, &self.segment_groups, row, position) else {
                continue;
            };
            let slot = change.slot as usize;
            totals_at(&mut group.metrics, slot).replace(fold, change.old, change.new);
            if is_matured {
                totals_at(&mut group.matured_metrics, slot).replace(fold, change.old, change.new);
            }
            for (ratio, old, new) in &pairs {
                if let Some(totals) = group.ratios.get_mut(*ratio) {
                    totals.replace(old, new);
                }
                if is_matured && let Some(totals) = group.matured_ratios.get_mut(*ratio) {
                    totals.replace(old, new);
                }
            }
        }
    }

    /// Empties a row's accumulators. The row must not be counted in any group.
    pub fn clear_outcomes(&mut self, local: u32) {
        for column in &mut self.columns {
            if let Some(accumulator) = column.accumulators.get_mut(local as usize) {
                *accumulator = Accumulator::default();
            }
            if let Some(last) = column.last.get_mut(local as usize) {
                *last = 0;
            }
        }
    }

    /// Marks an attribution class of a row as closed, and counts it in the matured statistics of its groups.
    pub fn mature(&mut self, row: &mut Row, class: u8) {
        if row.kind.is_matured(class) {
            return;
        }
        row.kind.matured |= 1 << class;
        if row.kind.group == NONE {
            return;
        }
        self.mark(row.kind.group, Moved::Matured);
        for position in 0..=self.segment_groups.len() {
            let group = group_at(&mut self.groups, &self.segment_groups, row, position);
            if let Some(count) = group.and_then(|group| group.matured_subjects.get_mut(usize::from(class))) {
                *count += 1;
            }
        }
        if self.has_outcomes(row.local) {
            self.mature_metrics(row, class);
        }
    }

    /// Counts what a row contributes to the metrics of a class in the matured statistics of its groups.
    fn mature_metrics(&mut self, row: &Row, class: u8) {
        let local = row.local;
        let of_class = |state: &Self, slot: usize| state.columns.get(slot).is_some_and(|column| column.class == class);
        let units: SmallVec<[Option<(Fold, Unit)>; 8]> = (0..self.columns.len())
            .map(|slot| {
                let column = self.columns.get(slot).filter(|_| of_class(self, slot))?;
                Some((column.fold, column.unit(local)?))
            })
            .collect();
        let pairs: SmallVec<[(usize, PairUnit); 2]> = (0..self.definition.ratios.len())
            .filter(|ratio| {
                self.definition
                    .ratios
                    .get(*ratio)
                    .is_some_and(|plan| self.definition.class_of(plan.numerator) == class)
            })
            .map(|ratio| (ratio, self.pair_of(ratio, |slot| self.unit_at(slot, local))))
            .collect();
        for position in 0..=self.segment_groups.len() {
            let Some(group) = group_at(&mut self.groups, &self.segment_groups, row, position) else {
                continue;
            };
            for (slot, unit) in units.iter().enumerate() {
                if let Some((fold, unit)) = unit {
                    totals_at(&mut group.matured_metrics, slot).replace(*fold, None, Some(unit));
                }
            }
            for (ratio, pair) in &pairs {
                if let Some(totals) = group.matured_ratios.get_mut(*ratio) {
                    totals.replace(&PairUnit::default(), pair);
                }
            }
        }
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory(&self) -> usize {
        let columns: usize = self
            .columns
            .iter()
            .map(|column| column.accumulators.memory() + column.last.memory())
            .sum();
        let segments: usize = self
            .segment_values
            .iter()
            .chain(&self.segment_groups)
            .map(StateColumn::memory)
            .sum();
        let groups: usize = self.groups.iter().map(Group::memory).sum();
        let histories: usize = self.histories.values().map(VariantHistory::memory).sum();
        columns + segments + groups + histories
    }
}

/// A row's analysed group: of all subjects at position 0, of segment `position - 1` else.
fn group_at<'a>(
    groups: &'a mut [Group],
    segment_groups: &[StateColumn<u32>],
    row: &Row,
    position: usize,
) -> Option<&'a mut Group> {
    let group = match position.checked_sub(1) {
        None => row.kind.group,
        Some(segment) => *segment_groups.get(segment)?.get(row.local as usize)?,
    };
    let group = groups.get_mut(group as usize)?;
    group.has_moved = true;
    Some(group)
}

/// The totals of a slot, empty ones where there were none.
fn totals_at(totals: &mut Vec<Totals>, slot: usize) -> &mut Totals {
    if totals.len() <= slot {
        totals.resize(slot + 1, Totals::default());
    }
    &mut totals[slot]
}
