//! Rows of the result tables from merged statistics.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::record_batch::RecordBatch;
use backplane_events::Table;
use backplane_stats::{CrossMoments, Moments};

use crate::error::RuntimeError;
use crate::names::JobNames;
use crate::partial::{GroupPartial, MetricPartial, PartialKey, Partials};
use crate::plan::{ExperimentDefinition, Fold, Plan, RatioPlan};
use crate::totals::{Totals, absent_value};

/// What the rows of one emission have in common.
#[derive(Debug, Clone, Copy)]
pub struct Emission<'a> {
    /// What is computed.
    pub plan: &'a Plan,
    /// By experiment id.
    pub definitions: &'a [Arc<ExperimentDefinition>],
    /// Names of ids.
    pub names: &'a JobNames,
    /// The window's name; `cumulative` for the experiment to date.
    pub window_name: &'a str,
    /// Start and end of the window, microseconds; `None` for `cumulative`.
    pub window: Option<(i64, i64)>,
    /// Whether the rows will not change any more.
    pub is_final: bool,
    /// Greater than that of every earlier emission of the job.
    pub revision: i64,
    /// Wall-clock time of the emission, microseconds.
    pub as_of: i64,
}

/// Rows of `assignment_counts` and of `metric_stats`. `activity` is that of all subjects, also where `partials` has only some of them.
///
/// # Errors
/// [`RuntimeError::Internal`] if the rows do not fit the tables' schemas.
pub fn result_rows(
    emission: &Emission<'_>,
    partials: &Partials,
    activity: &ActivityByExperiment,
) -> Result<(RecordBatch, RecordBatch), RuntimeError> {
    let mut counts = CountRows::default();
    let mut statistics = StatisticsRows::default();
    for (key, partial) in partials {
        let Some(definition) = emission.definitions.get(key.experiment as usize) else {
            continue;
        };
        let group = GroupNames::new(emission, definition, key);
        if partial.subjects + partial.crossovers > 0 {
            counts.push(emission, &group, partial);
        }
        for metric in metrics_of(emission.plan, definition, activity.metrics(key.experiment)) {
            let undeclared_is_any = !activity.has_other_than_binary(key.experiment, metric);
            if let Some(row) = metric_row(emission.plan, definition, partial, metric, undeclared_is_any) {
                statistics.push(emission, &group, emission.names.metrics.name(metric), &row);
            }
        }
        for (index, ratio) in definition.ratios.iter().enumerate() {
            if let Some(row) = ratio_row(emission.plan, definition, partial, index, ratio) {
                statistics.push(emission, &group, emission.names.metrics.name(ratio.metric), &row);
            }
        }
    }
    Ok((counts.finish()?, statistics.finish(Table::MetricStats)?))
}

/// Which metrics have an outcome of an analysed subject in each experiment, and how many of those outcomes are not Binary.
#[derive(Debug, Default)]
pub struct ActivityByExperiment {
    not_binary: BTreeMap<u32, BTreeMap<u32, i64>>,
}

impl ActivityByExperiment {
    /// From the statistics of all subjects.
    #[must_use]
    pub fn of(partials: &Partials) -> Self {
        let mut not_binary: BTreeMap<u32, BTreeMap<u32, i64>> = BTreeMap::new();
        for (key, partial) in partials.iter().filter(|(key, _)| key.segment.is_none()) {
            let experiment = not_binary.entry(key.experiment).or_default();
            for (metric, partial) in partial.metrics.iter() {
                *experiment.entry(metric).or_insert(0) += partial.totals.not_binary;
            }
        }
        ActivityByExperiment { not_binary }
    }

    /// The metrics with an outcome.
    pub(crate) fn metrics(&self, experiment: u32) -> impl Iterator<Item = u32> + '_ {
        self.not_binary
            .get(&experiment)
            .into_iter()
            .flat_map(|metrics| metrics.keys().copied())
    }

    /// Whether a metric has an outcome that is not Binary.
    pub(crate) fn has_other_than_binary(&self, experiment: u32, metric: u32) -> bool {
        self.not_binary
            .get(&experiment)
            .and_then(|metrics| metrics.get(&metric))
            .is_some_and(|count| *count > 0)
    }
}

/// The metrics that have rows: the listed ones, and those with an outcome.
pub(crate) fn metrics_of(
    plan: &Plan,
    definition: &ExperimentDefinition,
    active: impl Iterator<Item = u32>,
) -> Vec<u32> {
    let mut metrics: Vec<u32> = definition.listed_metrics(plan).chain(active).collect();
    metrics.sort_unstable();
    metrics.dedup();
    metrics
}

struct GroupNames<'a> {
    experiment: &'a str,
    variant: &'a str,
    segment: Option<(String, Option<Arc<str>>)>,
}

impl<'a> GroupNames<'a> {
    fn new(emission: &Emission<'a>, definition: &ExperimentDefinition, key: &PartialKey) -> Self {
        let segment = key.segment.as_ref().map(|(index, value)| {
            let name = definition
                .segments
                .get(usize::from(*index))
                .map(|segment| segment.name())
                .unwrap_or_default();
            (name, value.clone())
        });
        GroupNames {
            experiment: emission.names.experiments.name(key.experiment),
            variant: emission.names.variants.name(key.variant),
            segment,
        }
    }
}

/// The numbers of one row of `metric_stats`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StatisticsRow {
    pub(crate) subjects: i64,
    subjects_with_outcome: i64,
    outcomes: i64,
    sum: f64,
    pub(crate) mean: Option<f64>,
    pub(crate) m2: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    pub(crate) mean_y: Option<f64>,
    pub(crate) m2_y: Option<f64>,
    pub(crate) c: Option<f64>,
    matured: i64,
}

/// The statistics of a metric in a group; none where nobody is in them.
pub(crate) fn metric_row(
    plan: &Plan,
    definition: &ExperimentDefinition,
    partial: &GroupPartial,
    metric: u32,
    undeclared_is_any: bool,
) -> Option<StatisticsRow> {
    let (fold, caps) = plan.fold_of(metric)?;
    let class = usize::from(definition.class_of(metric));
    let nothing = MetricPartial::default();
    let own = partial.metrics.get(metric).unwrap_or(&nothing);
    let with_outcome = i64::try_from(own.totals.moments.count()).unwrap_or(i64::MAX);
    let absent = absent_value(fold, caps);
    let subjects = if absent.is_some() {
        partial.at_risk.get(class).copied().unwrap_or(0)
    } else {
        with_outcome
    };
    if subjects <= 0 {
        return None;
    }
    let mut moments = moments_of(&own.totals, fold, undeclared_is_any);
    moments.merge(&Moments::repeated(
        absent.unwrap_or(0.0),
        u64::try_from(subjects - with_outcome).unwrap_or(0),
    ));
    Some(StatisticsRow {
        subjects,
        subjects_with_outcome: with_outcome,
        outcomes: own.totals.outcomes,
        sum: moments.sum(),
        mean: moments.mean(),
        m2: moments.m2(),
        min: moments.min(),
        max: moments.max(),
        mean_y: None,
        m2_y: None,
        c: None,
        matured: if absent.is_some() {
            partial.matured.get(class).copied().unwrap_or(0)
        } else {
            own.matured_with_outcome
        },
    })
}

fn moments_of(totals: &Totals, fold: Fold, undeclared_is_any: bool) -> Moments {
    match &totals.any {
        Some(any) if fold == Fold::SumOrAny && undeclared_is_any => **any,
        _ => totals.moments,
    }
}

/// The statistics of a ratio in a group; none where nobody is in them.
pub(crate) fn ratio_row(
    plan: &Plan,
    definition: &ExperimentDefinition,
    partial: &GroupPartial,
    index: usize,
    ratio: &RatioPlan,
) -> Option<StatisticsRow> {
    let absent = |metric: u32| plan.fold_of(metric).and_then(|(fold, caps)| absent_value(fold, caps));
    let absent_pair = absent(ratio.numerator).zip(absent(ratio.denominator));
    let class = usize::from(definition.class_of(ratio.numerator));
    let own = partial.ratios.get(index).cloned().unwrap_or_default();
    let pairs = i64::try_from(own.totals.moments.count()).unwrap_or(i64::MAX);
    let subjects = if absent_pair.is_some() {
        partial.at_risk.get(class).copied().unwrap_or(0)
    } else {
        pairs
    };
    if subjects <= 0 {
        return None;
    }
    let (x, y) = absent_pair.unwrap_or((0.0, 0.0));
    let mut moments = own.totals.moments;
    moments.merge(&CrossMoments::repeated(
        x,
        y,
        u64::try_from(subjects - pairs).unwrap_or(0),
    ));
    Some(StatisticsRow {
        subjects,
        subjects_with_outcome: pairs,
        outcomes: own.totals.outcomes,
        sum: moments.sum(),
        mean: moments.mean_x(),
        m2: moments.m2_x(),
        min: moments.min(),
        max: moments.max(),
        mean_y: moments.mean_y(),
        m2_y: moments.m2_y(),
        c: moments.c(),
        matured: if absent_pair.is_some() {
            partial.matured.get(class).copied().unwrap_or(0)
        } else {
            own.matured_pairs
        },
    })
}

/// The columns by which both tables name a group and a window.
#[derive(Debug, Default)]
struct KeyColumns {
    experiment: StringBuilder,
    variant: StringBuilder,
    segment: StringBuilder,
    segment_value: StringBuilder,
    window_name: StringBuilder,
    window_start: TimestampMicrosecondBuilder,
    window_end: TimestampMicrosecondBuilder,
    is_final: BooleanBuilder,
    revision: Int64Builder,
    as_of: TimestampMicrosecondBuilder,
}

impl KeyColumns {
    fn push(&mut self, emission: &Emission<'_>, group: &GroupNames<'_>) {
        self.experiment.append_value(group.experiment);
        self.variant.append_value(group.variant);
        self.segment.append_option(group.segment.as_ref().map(|(name, _)| name));
        self.segment_value
            .append_option(group.segment.as_ref().and_then(|(_, value)| value.as_deref()));
        self.window_name.append_value(emission.window_name);
        self.window_start.append_option(emission.window.map(|(start, _)| start));
        self.window_end.append_option(emission.window.map(|(_, end)| end));
        self.is_final.append_value(emission.is_final);
        self.revision.append_value(emission.revision);
        self.as_of.append_value(emission.as_of);
    }

    fn finish(mut self) -> BTreeMap<&'static str, ArrayRef> {
        let utc =
            |mut builder: TimestampMicrosecondBuilder| -> ArrayRef { Arc::new(builder.finish().with_timezone("UTC")) };
        BTreeMap::from([
            ("experiment", Arc::new(self.experiment.finish()) as ArrayRef),
            ("variant", Arc::new(self.variant.finish())),
            ("segment", Arc::new(self.segment.finish())),
            ("segment_value", Arc::new(self.segment_value.finish())),
            ("window_name", Arc::new(self.window_name.finish())),
            ("window_start", utc(self.window_start)),
            ("window_end", utc(self.window_end)),
            ("is_final", Arc::new(self.is_final.finish())),
            ("revision", Arc::new(self.revision.finish())),
            ("as_of", utc(self.as_of)),
        ])
    }
}

/// Puts columns into the order of a table.
fn in_table_order(table: Table, mut columns: BTreeMap<&'static str, ArrayRef>) -> Result<RecordBatch, RuntimeError> {
    let schema = table.schema();
    let ordered: Option<Vec<ArrayRef>> = schema
        .fields()
        .iter()
        .map(|field| columns.remove(field.name().as_str()))
        .collect();
    let ordered = ordered.ok_or_else(|| RuntimeError::internal(format!("a row of {} lacks a column", table.name())))?;
    Ok(RecordBatch::try_new(schema, ordered)?)
}

#[derive(Debug, Default)]
struct CountRows {
    key: KeyColumns,
    subjects: Int64Builder,
    crossovers: Int64Builder,
}

impl CountRows {
    fn push(&mut self, emission: &Emission<'_>, group: &GroupNames<'_>, partial: &GroupPartial) {
        self.key.push(emission, group);
        self.subjects.append_value(partial.subjects);
        self.crossovers.append_value(partial.crossovers);
    }

    fn finish(mut self) -> Result<RecordBatch, RuntimeError> {
        let mut columns = self.key.finish();
        columns.insert("subjects", Arc::new(self.subjects.finish()));
        columns.insert("crossovers", Arc::new(self.crossovers.finish()));
        in_table_order(Table::AssignmentCounts, columns)
    }
}

#[derive(Debug, Default)]
struct StatisticsRows {
    key: KeyColumns,
    metric: StringBuilder,
    integers: [Int64Builder; 4],
    sum: Float64Builder,
    reals: [Float64Builder; 7],
}

impl StatisticsRows {
    fn push(&mut self, emission: &Emission<'_>, group: &GroupNames<'_>, metric: &str, row: &StatisticsRow) {
        self.key.push(emission, group);
        self.metric.append_value(metric);
        let integers = [row.subjects, row.subjects_with_outcome, row.outcomes, row.matured];
        for (builder, value) in self.integers.iter_mut().zip(integers) {
            builder.append_value(value);
        }
        self.sum.append_value(row.sum);
        let reals = [row.mean, row.m2, row.min, row.max, row.mean_y, row.m2_y, row.c];
        for (builder, value) in self.reals.iter_mut().zip(reals) {
            builder.append_option(value);
        }
    }

    fn finish(mut self, table: Table) -> Result<RecordBatch, RuntimeError> {
        let mut columns = self.key.finish();
        columns.insert("metric", Arc::new(self.metric.finish()));
        let integers = ["subjects", "subjects_with_outcome", "outcomes", "matured_subjects"];
        for (name, builder) in integers.into_iter().zip(&mut self.integers) {
            columns.insert(name, Arc::new(builder.finish()));
        }
        columns.insert("sum", Arc::new(self.sum.finish()));
        let reals = ["mean", "m2", "min", "max", "mean_y", "m2_y", "c"];
        for (name, builder) in reals.into_iter().zip(&mut self.reals) {
            columns.insert(name, Arc::new(builder.finish()));
        }
        in_table_order(table, columns)
    }
}
