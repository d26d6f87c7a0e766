//! From state to statistics: windows that become final, and the cumulative results.

use std::collections::BTreeMap;
use std::sync::Arc;

use backplane_stats::Moments;

use crate::ahead;
use crate::experiment::{ExperimentState, RowGroups};
use crate::group::Group;
use crate::names::Names;
use crate::panes::{Pane, PaneEntry};
use crate::partial::{ClosedWindow, Counts, GroupPartial, MetricPartial, PartialKey, Partials, RatioPartial};
use crate::plan::WindowPlan;
use crate::risk::WindowCounter;
use crate::row::Row;
use crate::shard::{Shard, ShardContext};
use crate::subjects::NONE;
use crate::totals::{PairTotals, PairUnit, Totals, Unit};

/// Statistics of one group of one window, by metric slot.
#[derive(Debug, Default)]
struct GroupScratch {
    partial: GroupPartial,
    metrics: Vec<MetricPartial>,
}

/// By group, of one experiment.
type ExperimentScratch = Vec<GroupScratch>;

impl Shard {
    /// Counts a row in or out of the windows it belongs to. Rows with a history are judged one by one when a window closes.
    pub(crate) fn count_in_windows(&mut self, context: &ShardContext<'_>, row_id: u32, delta: i64) {
        let Some(row) = self.rows.get(row_id) else {
            return;
        };
        if row.kind.has_history && delta < 0 {
            return;
        }
        let Some(Some(state)) = self.experiments.get_mut(row.kind.experiment as usize) else {
            return;
        };
        let groups = if row.kind.has_history {
            RowGroups::new()
        } else {
            state.groups_of(row.kind.variant, row.local)
        };
        let ExperimentState {
            definition,
            groups: states,
            ..
        } = state;
        for (kind, window) in context.plan.windows.iter().enumerate() {
            let next = self.next_window.get(kind).copied().unwrap_or(i64::MIN);
            let first = window.first_ending_after(row.first_time);
            let longest = definition.attribution_classes.iter().copied().max().unwrap_or(0);
            if let Some(occupied) = self.occupied.get_mut(kind) {
                let last = window.last_starting_before(row.first_time.saturating_add(longest.max(1)));
                occupied.insert(first.max(next), last);
            }
            for group in &groups {
                let Some(group) = states.get_mut(*group as usize) else {
                    continue;
                };
                let counters = counters_at(group, kind, definition.attribution_classes.len());
                let mut add = |index: usize, from: i64, to: i64| {
                    if let Some(counter) = counters.get_mut(index) {
                        counter.add(from, to, delta, next);
                    }
                };
                add(0, first, window.last_starting_before(row.first_time.saturating_add(1)));
                for (class, attribution) in definition.attribution_classes.iter().enumerate() {
                    let closes = row.first_time.saturating_add(*attribution);
                    let last = window.last_starting_before(closes);
                    add(1 + 2 * class, first, last);
                    add(2 + 2 * class, window.first_ending_at_or_after(closes).max(first), last);
                }
            }
        }
    }

    /// The event time at which the next window of this shard becomes final.
    pub(crate) fn next_final(&self, context: &ShardContext<'_>) -> Option<i64> {
        let kinds = context.plan.windows.iter().enumerate();
        kinds
            .filter_map(|(kind, window)| Some(self.next_closing(context, kind, window)?.1))
            .min()
    }

    /// The next window of a kind that may count anybody, and when it becomes final.
    fn next_closing(&self, context: &ShardContext<'_>, kind: usize, window: &WindowPlan) -> Option<(i64, i64)> {
        let index = self.occupied.get(kind)?.at_or_after(*self.next_window.get(kind)?)?;
        Some((
            index,
            window.end(index).saturating_add(context.plan.time.allowed_lateness),
        ))
    }

    /// Closes the windows that become final at `boundary`.
    pub(crate) fn close_windows(&mut self, context: &ShardContext<'_>, boundary: i64, closed: &mut Vec<ClosedWindow>) {
        for (kind, window) in context.plan.windows.iter().enumerate() {
            while let Some((index, closes)) = self.next_closing(context, kind, window) {
                if closes > boundary {
                    break;
                }
                if let Some(next) = self.next_window.get_mut(kind) {
                    *next = index + 1;
                }
                let partials = self.window_partials(context, kind, window, index, true);
                if !partials.is_empty() {
                    closed.push(ClosedWindow { kind, index, partials });
                }
            }
        }
    }

    /// The windows that have begun and are not final, as they stand.
    pub(crate) fn provisional_windows(&mut self, context: &ShardContext<'_>) -> Vec<ClosedWindow> {
        let mut open = Vec::new();
        for (kind, window) in context.plan.windows.iter().enumerate() {
            let mut next = self.next_window.get(kind).copied().unwrap_or(i64::MIN);
            while let Some(index) = self.occupied.get(kind).and_then(|occupied| occupied.at_or_after(next)) {
                if window.start(index) >= self.settled {
                    break;
                }
                next = index + 1;
                let partials = self.window_partials(context, kind, window, index, false);
                if !partials.is_empty() {
                    open.push(ClosedWindow { kind, index, partials });
                }
            }
        }
        open
    }

    /// The statistics of one window. `is_final` gives its state up.
    fn window_partials(
        &mut self,
        context: &ShardContext<'_>,
        kind: usize,
        window: &WindowPlan,
        index: i64,
        is_final: bool,
    ) -> Partials {
        let (start, end) = (window.start(index), window.end(index));
        let mut scratch: Vec<ExperimentScratch> = Vec::with_capacity(self.experiments.len());
        for state in &mut self.experiments {
            scratch.push(
                state
                    .as_mut()
                    .map(|state| window_counts(state, kind, index, is_final))
                    .unwrap_or_default(),
            );
        }
        self.add_rows_with_history(context, start, end, &mut scratch);
        let pane = match self.open.get_mut(kind) {
            Some(open) if is_final => open.panes.remove(&index),
            Some(open) => open.panes.get_mut(&index).map(std::mem::take),
            None => None,
        };
        if let Some(pane) = pane {
            self.add_pane(context, end, &pane, &mut scratch);
            if !is_final && let Some(open) = self.open.get_mut(kind) {
                open.panes.insert(index, pane);
            }
        }
        self.finish(scratch)
    }

    fn add_rows_with_history(
        &mut self,
        context: &ShardContext<'_>,
        start: i64,
        end: i64,
        scratch: &mut [ExperimentScratch],
    ) {
        let Shard { rows, experiments, .. } = self;
        for (state, scratch) in experiments.iter_mut().zip(scratch) {
            let Some(state) = state else { continue };
            if state.histories.is_empty() {
                continue;
            }
            let classes = state.definition.attribution_classes.clone();
            let longest = classes.iter().copied().max().unwrap_or(0);
            let histories = std::mem::take(&mut state.histories);
            for (row_id, history) in &histories {
                let Some(row) = rows.get(*row_id) else {
                    continue;
                };
                if row.first_time >= end || row.first_time.saturating_add(longest.max(1)) <= start {
                    continue;
                }
                let standing = history.standing_before(end, row.kind.variant, context.plan.crossovers);
                let is_member = row.first_time >= start;
                if standing.is_crossover && is_member {
                    for group in state.groups_of(row.kind.variant, row.local) {
                        scratch_at(scratch, group).partial.crossovers += 1;
                    }
                }
                let Some(variant) = standing.analysed else { continue };
                for group in state.groups_of(variant, row.local) {
                    let partial = &mut scratch_at(scratch, group).partial;
                    partial.subjects += i64::from(is_member);
                    partial.at_risk.resize(classes.len(), 0);
                    partial.matured.resize(classes.len(), 0);
                    for ((attribution, at_risk), matured) in
                        classes.iter().zip(&mut partial.at_risk).zip(&mut partial.matured)
                    {
                        let closes = row.first_time.saturating_add(*attribution);
                        *at_risk += i64::from(closes > start);
                        *matured += i64::from(closes > start && closes <= end);
                    }
                }
            }
            state.histories = histories;
        }
    }

    fn add_pane(&mut self, context: &ShardContext<'_>, end: i64, pane: &Pane, scratch: &mut [ExperimentScratch]) {
        for entries in pane.entries.chunks(ahead::BATCH) {
            ahead::touch_entries(entries, &self.rows);
            for entry in entries.iter().filter(|entry| !entry.accumulator.is_empty()) {
                self.add_pane_entry(context, end, pane, entry, scratch);
            }
        }
    }

    fn add_pane_entry(
        &mut self,
        context: &ShardContext<'_>,
        end: i64,
        pane: &Pane,
        entry: &PaneEntry,
        scratch: &mut [ExperimentScratch],
    ) {
        let Some(row) = self.rows.get(entry.row) else {
            return;
        };
        let Some(variant) = self.standing(context, entry.row, end).analysed else {
            return;
        };
        let experiment = row.kind.experiment as usize;
        let Some(Some(state)) = self.experiments.get_mut(experiment) else {
            return;
        };
        let Some(scratch) = scratch.get_mut(experiment) else {
            return;
        };
        let groups = state.groups_of(variant, row.local);
        add_entry(state, &row, end, pane, entry, &groups, scratch);
    }

    /// Turns slots and local ids into metrics and texts, and leaves out what is empty.
    fn finish(&self, scratch: Vec<ExperimentScratch>) -> Partials {
        let mut partials = Partials::new();
        for ((experiment, state), scratch) in (0u32..).zip(&self.experiments).zip(scratch) {
            let Some(state) = state else { continue };
            for (group, scratch) in state.groups.iter().zip(scratch) {
                let mut partial = scratch.partial;
                for (column, metric) in state.columns.iter().zip(scratch.metrics) {
                    if !metric.totals.is_empty() {
                        *partial.metrics.get_mut(column.metric) = metric;
                    }
                }
                let is_empty = partial.subjects == 0
                    && partial.crossovers == 0
                    && partial.at_risk.iter().all(|count| *count == 0)
                    && partial.metrics.is_empty();
                if !is_empty {
                    partials.insert(key_of(&self.segment_values, experiment, group), partial);
                }
            }
        }
        partials
    }

    /// The cumulative statistics, and those over matured subjects.
    pub(crate) fn cumulative_partials(&mut self) -> (Partials, Partials) {
        let mut all = Partials::new();
        let mut matured = Partials::new();
        self.rebuild_stale_groups();
        for (experiment, state) in (0u32..).zip(&self.experiments) {
            let Some(state) = state else { continue };
            for group in &state.groups {
                let key = key_of(&self.segment_values, experiment, group);
                if group.subjects != 0 || group.crossovers != 0 || group.first_exposures.iter().any(|count| *count != 0)
                {
                    all.insert(key.clone(), cumulative_group(state, group));
                }
                if group.matured_subjects.iter().any(|count| *count != 0) {
                    matured.insert(key, matured_group(state, group));
                }
            }
        }
        (all, matured)
    }
}

/// What a group is called outside its shard; `segment_values` are the shard's.
pub(crate) fn key_of(segment_values: &Names, experiment: u32, group: &Group) -> PartialKey {
    let segment = group.key.segment.map(|(index, value)| {
        let is_there = value != NONE;
        (index, is_there.then(|| Arc::from(segment_values.name(value))))
    });
    PartialKey {
        experiment,
        variant: group.key.variant,
        segment,
    }
}

/// The counters of a window kind: first exposures, then for each class subjects at risk and subjects that mature.
fn counters_at(group: &mut Group, kind: usize, classes: usize) -> &mut [WindowCounter] {
    if group.windows.len() <= kind {
        group.windows.resize(kind + 1, Vec::new());
    }
    match group.windows.get_mut(kind) {
        Some(counters) => {
            counters.resize(1 + 2 * classes, WindowCounter::default());
            counters
        }
        None => &mut [],
    }
}

/// The counts of subjects without a history in a window.
fn window_counts(state: &mut ExperimentState, kind: usize, index: i64, is_final: bool) -> ExperimentScratch {
    let read = |counter: &mut WindowCounter| {
        if is_final {
            counter.advance_to(index)
        } else {
            counter.peek(index)
        }
    };
    state
        .groups
        .iter_mut()
        .map(|group| {
            let mut scratch = GroupScratch::default();
            if let Some(counters) = group.windows.get_mut(kind) {
                let mut counts = counters.iter_mut().map(read);
                scratch.partial.subjects = counts.next().unwrap_or(0);
                while let (Some(at_risk), Some(matured)) = (counts.next(), counts.next()) {
                    scratch.partial.at_risk.push(at_risk);
                    scratch.partial.matured.push(matured);
                }
            }
            scratch
        })
        .collect()
}

fn scratch_at(scratch: &mut ExperimentScratch, group: u32) -> &mut GroupScratch {
    let index = group as usize;
    if scratch.len() <= index {
        scratch.resize_with(index + 1, GroupScratch::default);
    }
    &mut scratch[index]
}

/// Adds what a subject's outcomes of one metric in a window come to.
fn add_entry(
    state: &ExperimentState,
    row: &Row,
    end: i64,
    pane: &Pane,
    entry: &PaneEntry,
    groups: &[u32],
    scratch: &mut ExperimentScratch,
) {
    let Some(column) = state.columns.get(entry.slot as usize) else {
        return;
    };
    let Some(unit) = entry.accumulator.unit(column.fold, column.caps) else {
        return;
    };
    let is_matured = row
        .first_time
        .saturating_add(state.definition.attribution(column.class))
        <= end;
    let unit_of = |slot: u32| -> Option<Unit> {
        let column = state.columns.get(slot as usize)?;
        pane.get(entry.row, slot)?.accumulator.unit(column.fold, column.caps)
    };
    // A subject's pair is added once: with its numerator, or with its denominator where it has no numerator.
    let pairs: Vec<(usize, PairUnit)> = (0..state.definition.ratios.len())
        .filter(|ratio| {
            state.definition.ratios.get(*ratio).is_some_and(|plan| {
                let numerator = state.existing_slot(plan.numerator);
                let has_numerator = numerator.is_some_and(|slot| unit_of(slot).is_some());
                numerator == Some(entry.slot)
                    || (state.existing_slot(plan.denominator) == Some(entry.slot) && !has_numerator)
            })
        })
        .map(|ratio| (ratio, state.pair_of(ratio, unit_of)))
        .collect();
    for group in groups {
        let scratch = scratch_at(scratch, *group);
        if scratch.metrics.len() <= entry.slot as usize {
            scratch
                .metrics
                .resize(entry.slot as usize + 1, MetricPartial::default());
        }
        if let Some(metric) = scratch.metrics.get_mut(entry.slot as usize) {
            metric.totals.replace(column.fold, None, Some(&unit));
            metric.matured_with_outcome += i64::from(is_matured);
        }
        if scratch.partial.ratios.len() < state.definition.ratios.len() {
            scratch
                .partial
                .ratios
                .resize(state.definition.ratios.len(), RatioPartial::default());
        }
        for (ratio, pair) in &pairs {
            if let Some(partial) = scratch.partial.ratios.get_mut(*ratio) {
                partial.totals.replace(&PairUnit::default(), pair);
                partial.matured_pairs += i64::from(is_matured && pair.values.is_some());
            }
        }
    }
}

fn cumulative_group(state: &ExperimentState, group: &Group) -> GroupPartial {
    GroupPartial {
        subjects: group.subjects,
        crossovers: group.crossovers,
        at_risk: Counts::from_elem(group.subjects, state.definition.attribution_classes.len()),
        matured: Counts::from_slice(&group.matured_subjects),
        metrics: metric_partials(state, &group.metrics, &group.matured_metrics).collect(),
        ratios: ratio_partials(&group.ratios, &group.matured_ratios).collect(),
    }
}

/// The statistics of a group's matured subjects.
fn matured_group(state: &ExperimentState, group: &Group) -> GroupPartial {
    GroupPartial {
        subjects: 0,
        crossovers: 0,
        at_risk: Counts::from_slice(&group.matured_subjects),
        matured: Counts::from_slice(&group.matured_subjects),
        metrics: matured_metrics(state, group).collect(),
        ratios: matured_ratios(group).collect(),
    }
}

/// The statistics of a group's matured subjects, by metric.
pub(crate) fn matured_metrics<'a>(
    state: &'a ExperimentState,
    group: &'a Group,
) -> impl Iterator<Item = (u32, MetricPartial)> + 'a {
    metric_partials(state, &group.matured_metrics, &group.matured_metrics)
}

/// The same, by ratio.
pub(crate) fn matured_ratios(group: &Group) -> impl Iterator<Item = RatioPartial> + '_ {
    ratio_partials(&group.matured_ratios, &group.matured_ratios)
}

fn count_of(totals: &Totals) -> i64 {
    i64::try_from(totals.moments.count()).unwrap_or(i64::MAX)
}

fn pairs_of(totals: &PairTotals) -> i64 {
    i64::try_from(totals.moments.count()).unwrap_or(i64::MAX)
}

/// Of metrics with an outcome; `matured` has the totals of matured subjects.
fn metric_partials<'a>(
    state: &'a ExperimentState,
    totals: &'a [Totals],
    matured: &'a [Totals],
) -> impl Iterator<Item = (u32, MetricPartial)> + 'a {
    let columns = state.columns.iter().zip(totals).enumerate();
    let occupied = columns.filter(|(_, (_, totals))| !totals.is_empty());
    occupied.map(|(slot, (column, totals))| {
        let partial = MetricPartial {
            totals: totals.clone(),
            matured_with_outcome: matured.get(slot).map_or(0, count_of),
        };
        (column.metric, partial)
    })
}

fn ratio_partials<'a>(totals: &'a [PairTotals], matured: &'a [PairTotals]) -> impl Iterator<Item = RatioPartial> + 'a {
    totals.iter().enumerate().map(|(ratio, totals)| RatioPartial {
        totals: totals.clone(),
        matured_pairs: matured.get(ratio).map_or(0, pairs_of),
    })
}

impl Shard {
    /// Builds groups' statistics anew from their rows where a value that was taken back may have left its traces: it was an extreme, or so
    /// large that the digits of all others went under in its square.
    fn rebuild_stale_groups(&mut self) {
        self.rebuild_groups(|group| any_moments(group, |moments| moments.extremes_stale() || moments.needs_rebuild()));
    }

    /// Builds the groups anew from their rows whose sums outliers have spoilt. At evaluations, which event time alone decides on.
    pub(crate) fn rebuild_spoilt_groups(&mut self) {
        self.rebuild_groups(|group| std::mem::take(&mut group.has_moved) && any_moments(group, Moments::needs_rebuild));
    }

    fn rebuild_groups(&mut self, is_stale: impl Fn(&mut Group) -> bool) {
        // by experiment and group
        let mut stale: BTreeMap<(u32, u32), GroupTotals> = BTreeMap::new();
        for (experiment, state) in (0u32..).zip(&mut self.experiments) {
            for (index, group) in (0u32..).zip(state.iter_mut().flat_map(|state| &mut state.groups)) {
                if is_stale(group) {
                    stale.insert((experiment, index), GroupTotals::like(group));
                }
            }
        }
        if stale.is_empty() {
            return;
        }
        let mut has_stale = vec![false; self.experiments.len()];
        for (experiment, _) in stale.keys() {
            if let Some(has_stale) = has_stale.get_mut(*experiment as usize) {
                *has_stale = true;
            }
        }
        let is_concerned = |row: &Row| has_stale.get(row.kind.experiment as usize) == Some(&true);
        for row in self.rows.iter().filter(is_concerned) {
            let Some(Some(state)) = self.experiments.get(row.kind.experiment as usize) else {
                continue;
            };
            for group in state.groups_of_row(&row) {
                if let Some(totals) = stale.get_mut(&(row.kind.experiment, group)) {
                    totals.add_row(state, &row);
                }
            }
        }
        for ((experiment, index), totals) in stale {
            if let Some(Some(state)) = self.experiments.get_mut(experiment as usize)
                && let Some(group) = state.groups.get_mut(index as usize)
            {
                totals.correct(group);
            }
        }
    }
}

fn any_moments(group: &Group, is_so: impl Fn(&Moments) -> bool) -> bool {
    let metrics = group.metrics.iter().chain(&group.matured_metrics);
    let ratios = group.ratios.iter().chain(&group.matured_ratios);
    metrics
        .flat_map(|totals| std::iter::once(&totals.moments).chain(totals.any.as_deref()))
        .chain(ratios.flat_map(|totals| [totals.moments.x(), totals.moments.y()]))
        .any(is_so)
}

/// A group's statistics while they are built anew: of all rows, and of matured ones.
struct GroupTotals {
    /// Whether the sums are sound, and only extremes are looked for.
    only_extremes: bool,
    metrics: [Vec<Totals>; 2],
    ratios: [Vec<PairTotals>; 2],
}

impl GroupTotals {
    /// Empty ones, as many as the group has.
    fn like(group: &Group) -> Self {
        GroupTotals {
            only_extremes: !any_moments(group, Moments::needs_rebuild),
            metrics: [&group.metrics, &group.matured_metrics].map(|totals| vec![Totals::default(); totals.len()]),
            ratios: [&group.ratios, &group.matured_ratios].map(|totals| vec![PairTotals::default(); totals.len()]),
        }
    }

    /// Takes over what the group itself does not know exactly any more.
    fn correct(&self, group: &mut Group) {
        let metrics = group.metrics.iter_mut().chain(&mut group.matured_metrics);
        metrics
            .zip(self.metrics.iter().flatten())
            .for_each(|(own, built)| own.correct(built));
        let ratios = group.ratios.iter_mut().chain(&mut group.matured_ratios);
        ratios
            .zip(self.ratios.iter().flatten())
            .for_each(|(own, built)| own.correct(built));
    }

    fn add_row(&mut self, state: &ExperimentState, row: &Row) {
        let is_matured = |class: u8| row.kind.is_matured(class);
        for (slot, column) in state.columns.iter().enumerate() {
            let Some(unit) = column.unit(row.local) else { continue };
            let [all, matured] = &mut self.metrics;
            for totals in [Some(all), is_matured(column.class).then_some(matured)]
                .into_iter()
                .flatten()
            {
                match totals.get_mut(slot) {
                    Some(totals) if self.only_extremes => totals.add_extremes(column.fold, &unit),
                    Some(totals) => totals.replace(column.fold, None, Some(&unit)),
                    None => {}
                }
            }
        }
        for (index, ratio) in state.definition.ratios.iter().enumerate() {
            let unit_of = |slot: u32| state.columns.get(slot as usize)?.unit(row.local);
            let pair = state.pair_of(index, unit_of);
            let class = state.definition.class_of(ratio.numerator);
            let [all, matured] = &mut self.ratios;
            for totals in [Some(all), is_matured(class).then_some(matured)].into_iter().flatten() {
                match totals.get_mut(index) {
                    Some(totals) if self.only_extremes => totals.add_extremes(&pair),
                    Some(totals) => totals.replace(&PairUnit::default(), &pair),
                    None => {}
                }
            }
        }
    }
}
