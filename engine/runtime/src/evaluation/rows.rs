//! What evaluations see, as rows of the tables that the signal queries read, until they are judged.

use std::sync::Arc;

use arrow::array::{
    ArrayBuilder, ArrayRef, ArrowPrimitiveType, BooleanBuilder, Float64Array, Float64Builder, Int64Array, Int64Builder,
    ListBuilder, PrimitiveBuilder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder,
};
use backplane_queries::evaluation::EvaluationTable;

use super::about::About;
use crate::error::RuntimeError;
use crate::plan::SignalPlan;

/// First exposures by variant, of an experiment or of a segment value.
#[derive(Debug, Clone)]
pub struct AssignmentRow<'a> {
    /// Name of the segment and its value, where it is one.
    pub segment: Option<(&'a str, Option<&'a str>)>,
    /// Whether equal shares are assumed.
    pub assumed: bool,
    /// How many values of the segment are followed.
    pub segment_values: i64,
    /// The variants.
    pub variants: &'a [&'a str],
    /// By allocation epoch and variant: first exposures.
    pub counts: &'a [Vec<i64>],
    /// By allocation epoch and variant: shares.
    pub weights: &'a [Vec<f64>],
}

/// Counts of an experiment as a whole; see [`EvaluationTable::Experiments`].
#[derive(Debug, Clone, Default)]
pub struct ExperimentRow<'a> {
    /// The variants.
    pub variants: &'a [&'a str],
    /// Exposures, repeated ones included.
    pub exposures: i64,
    /// First exposures, crossovers included.
    pub first_exposures: i64,
    /// Crossovers.
    pub crossovers: i64,
    /// The fewest subjects that a planned variant has.
    pub least_subjects: i64,
    /// How many each is to have.
    pub planned_subjects: Option<i64>,
    /// By variant: assigned subjects.
    pub assigned: Vec<i64>,
    /// By variant: those with an outcome and without an exposure.
    pub missing: Vec<i64>,
    /// Outcomes that name the experiment.
    pub outcomes: i64,
    /// Those before their subject's first exposure.
    pub outcomes_before_exposure: i64,
    /// Exposures and outcomes that count.
    pub records: i64,
    /// Those beyond the correction horizon.
    pub too_late: i64,
    /// Whether it has started and not ended.
    pub is_running: bool,
    /// Whether exposures are overdue since its start.
    pub is_awaited: bool,
    /// Exposures of the last hour.
    pub exposures_last_hour: i64,
    /// Exposures of the hour before that.
    pub exposures_hour_before: i64,
}

/// A variant without its subjects, or with some that are not its own; see [`EvaluationTable::Variants`].
#[derive(Debug, Clone)]
pub struct VariantRow<'a> {
    /// The variant.
    pub variant: &'a str,
    /// Whether an allocation names it.
    pub is_declared: bool,
    /// Its share in the latest allocation epoch that has subjects.
    pub share: Option<f64>,
    /// Its first exposures in that epoch.
    pub first_exposures: i64,
    /// Those of all variants with a share in it.
    pub epoch_first_exposures: i64,
    /// Its first exposures while it had no share.
    pub stray_exposures: i64,
    /// The evaluation that saw the last of them.
    pub last_stray: Option<i64>,
    /// First exposures of the experiment.
    pub subjects: i64,
}

/// Statistics over matured subjects of one arm.
#[derive(Debug, Clone, Copy, Default)]
pub struct Arm {
    /// Subjects.
    pub n: i64,
    /// Their mean.
    pub mean: Option<f64>,
    /// Sum of squared deviations.
    pub m2: Option<f64>,
}

/// A metric in two variants; see [`EvaluationTable::Effects`].
#[derive(Debug, Clone)]
pub struct EffectRow<'a> {
    /// The metric.
    pub metric: &'a str,
    /// The two variants as one text.
    pub pair: &'a str,
    /// Subjects of the two variants.
    pub subjects: i64,
    /// Statistics of the control and of the treatment, over matured subjects.
    pub arms: [Arm; 2],
    /// The design of the experiment.
    pub design: &'a str,
    /// The type I error.
    pub alpha: f64,
    /// The sample at which the always-valid interval is narrowest.
    pub tuning_n: f64,
    /// The planned power.
    pub power: f64,
    /// The planned minimal effect.
    pub minimum_effect: Option<f64>,
    /// The planned total of the two variants.
    pub planned_n: Option<f64>,
}

/// A look at a metric in two variants; see [`EvaluationTable::Looks`].
#[derive(Debug, Clone)]
pub struct LookRow<'a> {
    /// The metric.
    pub metric: &'a str,
    /// The two variants as one text.
    pub pair: &'a str,
    /// The design of the experiment.
    pub design: &'a str,
    /// The type I error.
    pub alpha: f64,
    /// The planned total of the two variants.
    pub planned_n: Option<f64>,
    /// Whether anything is planned.
    pub has_plan: bool,
    /// Whether it was not judged before.
    pub is_new: bool,
    /// Subjects of the control and of the treatment.
    pub n: [i64; 2],
    /// The effect's standard error, its p-value, and the always-valid test's greatest logarithm of an e-value.
    pub evidence: [Option<f64>; 3],
    /// How many looks there were so far.
    pub looks: i64,
    /// How many of them told something new.
    pub distinct_looks: i64,
    /// What was decided within a day of it.
    pub decision: Option<&'a str>,
}

/// Without room: the builders' own default has room for a thousand rows in each column, and there is one of each for every experiment.
trait Empty {
    fn empty() -> Self;
}

impl<T> Empty for Vec<T> {
    fn empty() -> Self {
        Vec::new()
    }
}

impl<T: ArrowPrimitiveType> Empty for PrimitiveBuilder<T> {
    fn empty() -> Self {
        PrimitiveBuilder::with_capacity(0)
    }
}

impl Empty for StringBuilder {
    fn empty() -> Self {
        StringBuilder::with_capacity(0, 0)
    }
}

impl Empty for BooleanBuilder {
    fn empty() -> Self {
        BooleanBuilder::with_capacity(0)
    }
}

impl<T: ArrayBuilder + Empty> Empty for ListBuilder<T> {
    fn empty() -> Self {
        ListBuilder::with_capacity(T::empty(), 0)
    }
}

impl<T: Empty, const N: usize> Empty for [T; N] {
    fn empty() -> Self {
        std::array::from_fn(|_| T::empty())
    }
}

impl Empty for Head {
    fn empty() -> Self {
        Head::default()
    }
}

macro_rules! starts_empty {
    ($rows:ident { $($field:ident),* }) => {
        impl Default for $rows {
            fn default() -> Self {
                $rows { $($field: Empty::empty()),* }
            }
        }
    };
}

/// The columns that all tables begin with, and what each row is about.
#[derive(Debug)]
struct Head {
    rows: Vec<(i64, About)>,
    watermark: TimestampMicrosecondBuilder,
    experiment: StringBuilder,
}

starts_empty!(Head {
    rows,
    watermark,
    experiment
});

impl Head {
    fn push(&mut self, at: i64, experiment: &str, about: About) {
        self.rows.push((at, about));
        self.watermark.append_value(at);
        self.experiment.append_value(experiment);
    }

    fn finish(&mut self) -> Vec<ArrayRef> {
        let count = i64::try_from(self.rows.len()).unwrap_or(i64::MAX);
        vec![
            Arc::new(Int64Array::from_iter_values(0..count)),
            Arc::new(self.watermark.finish().with_timezone("UTC")),
            Arc::new(self.experiment.finish()),
        ]
    }
}

#[derive(Debug)]
struct AssignmentRows {
    head: Head,
    segment: StringBuilder,
    segment_value: StringBuilder,
    assumed: BooleanBuilder,
    segment_values: Int64Builder,
    variants: ListBuilder<StringBuilder>,
    counts: ListBuilder<ListBuilder<Int64Builder>>,
    weights: ListBuilder<ListBuilder<Float64Builder>>,
    observed: ListBuilder<Int64Builder>,
    expected: ListBuilder<Float64Builder>,
    subjects: Int64Builder,
}

starts_empty!(AssignmentRows {
    head,
    segment,
    segment_value,
    assumed,
    segment_values,
    variants,
    counts,
    weights,
    observed,
    expected,
    subjects
});

#[derive(Debug)]
struct ExperimentRows {
    head: Head,
    variants: ListBuilder<StringBuilder>,
    counts: [Int64Builder; 4],
    planned_subjects: Int64Builder,
    assigned: ListBuilder<Int64Builder>,
    missing: ListBuilder<Int64Builder>,
    more_counts: [Int64Builder; 6],
    is_running: BooleanBuilder,
    is_awaited: BooleanBuilder,
    exposures: [Int64Builder; 2],
}

starts_empty!(ExperimentRows {
    head,
    variants,
    counts,
    planned_subjects,
    assigned,
    missing,
    more_counts,
    is_running,
    is_awaited,
    exposures
});

#[derive(Debug)]
struct VariantRows {
    head: Head,
    variant: StringBuilder,
    is_declared: BooleanBuilder,
    share: Float64Builder,
    counts: [Int64Builder; 3],
    last_stray: TimestampMicrosecondBuilder,
    subjects: Int64Builder,
}

starts_empty!(VariantRows {
    head,
    variant,
    is_declared,
    share,
    counts,
    last_stray,
    subjects
});

#[derive(Debug)]
struct EffectRows {
    head: Head,
    texts: [StringBuilder; 2],
    subjects: Int64Builder,
    n: [Int64Builder; 2],
    means: [Float64Builder; 2],
    m2: [Float64Builder; 2],
    design: StringBuilder,
    reals: [Float64Builder; 3],
    minimum_effect: Float64Builder,
    planned_n: Float64Builder,
}

starts_empty!(EffectRows {
    head,
    texts,
    subjects,
    n,
    means,
    m2,
    design,
    reals,
    minimum_effect,
    planned_n
});

#[derive(Debug)]
struct LookRows {
    head: Head,
    texts: [StringBuilder; 3],
    alpha: Float64Builder,
    planned_n: Float64Builder,
    has_plan: BooleanBuilder,
    is_new: BooleanBuilder,
    n: [Int64Builder; 2],
    evidence: [Float64Builder; 3],
    counts: [Int64Builder; 2],
    decision: StringBuilder,
}

starts_empty!(LookRows {
    head,
    texts,
    alpha,
    planned_n,
    has_plan,
    is_new,
    n,
    evidence,
    counts,
    decision
});

/// Rows of all tables.
#[derive(Debug, Default)]
pub struct EvaluationRows {
    assignments: AssignmentRows,
    experiments: ExperimentRows,
    variants: VariantRows,
    effects: EffectRows,
    looks: LookRows,
}

impl EvaluationRows {
    /// How many rows wait.
    #[must_use]
    pub fn len(&self) -> usize {
        EvaluationTable::ALL.iter().map(|table| self.len_of(*table)).sum()
    }

    /// How many rows of a table wait.
    #[must_use]
    pub fn len_of(&self, table: EvaluationTable) -> usize {
        let head = match table {
            EvaluationTable::Assignments => &self.assignments.head,
            EvaluationTable::Experiments => &self.experiments.head,
            EvaluationTable::Variants => &self.variants.head,
            EvaluationTable::Effects => &self.effects.head,
            EvaluationTable::Looks => &self.looks.head,
            EvaluationTable::Thresholds => return 0,
        };
        head.rows.len()
    }

    /// Adds a row of [`EvaluationTable::Assignments`].
    pub fn assignment(&mut self, at: i64, experiment: &str, about: About, row: &AssignmentRow<'_>) {
        let rows = &mut self.assignments;
        rows.head.push(at, experiment, about);
        rows.segment.append_option(row.segment.map(|(name, _)| name));
        rows.segment_value
            .append_option(row.segment.and_then(|(_, value)| value));
        rows.assumed.append_value(row.assumed);
        rows.segment_values.append_value(row.segment_values);
        texts(&mut rows.variants, row.variants);
        let (mut observed, mut expected) = (vec![0; row.variants.len()], vec![0.0; row.variants.len()]);
        for (counts, weights) in row.counts.iter().zip(row.weights) {
            integers(rows.counts.values(), counts);
            reals(rows.weights.values(), weights);
            let has_share = |weight: &f64| *weight > 0.0;
            let of_shares = counts.iter().zip(weights).filter(|(_, weight)| has_share(weight));
            let subjects: i64 = of_shares.map(|(count, _)| count).sum();
            let total: f64 = weights.iter().sum();
            for (((observed, expected), count), weight) in
                observed.iter_mut().zip(&mut expected).zip(counts).zip(weights)
            {
                if has_share(weight) {
                    *observed += count;
                    *expected += subjects as f64 * weight / total;
                }
            }
        }
        rows.counts.append(true);
        rows.weights.append(true);
        rows.subjects.append_value(observed.iter().sum());
        integers(&mut rows.observed, &observed);
        reals(&mut rows.expected, &expected);
    }

    /// Adds a row of [`EvaluationTable::Experiments`].
    pub fn experiment(&mut self, at: i64, experiment: &str, about: About, row: &ExperimentRow<'_>) {
        let rows = &mut self.experiments;
        rows.head.push(at, experiment, about);
        texts(&mut rows.variants, row.variants);
        append(
            &mut rows.counts,
            [row.exposures, row.first_exposures, row.crossovers, row.least_subjects],
        );
        rows.planned_subjects.append_option(row.planned_subjects);
        integers(&mut rows.assigned, &row.assigned);
        integers(&mut rows.missing, &row.missing);
        append(
            &mut rows.more_counts,
            [
                row.assigned.iter().sum(),
                row.missing.iter().sum(),
                row.outcomes,
                row.outcomes_before_exposure,
                row.records,
                row.too_late,
            ],
        );
        rows.is_running.append_value(row.is_running);
        rows.is_awaited.append_value(row.is_awaited);
        append(
            &mut rows.exposures,
            [row.exposures_last_hour, row.exposures_hour_before],
        );
    }

    /// Adds a row of [`EvaluationTable::Variants`].
    pub fn variant(&mut self, at: i64, experiment: &str, about: About, row: &VariantRow<'_>) {
        let rows = &mut self.variants;
        rows.head.push(at, experiment, about);
        rows.variant.append_value(row.variant);
        rows.is_declared.append_value(row.is_declared);
        rows.share.append_option(row.share);
        append(
            &mut rows.counts,
            [row.first_exposures, row.epoch_first_exposures, row.stray_exposures],
        );
        rows.last_stray.append_option(row.last_stray);
        rows.subjects.append_value(row.subjects);
    }

    /// Adds a row of [`EvaluationTable::Effects`].
    pub fn effect(&mut self, at: i64, experiment: &str, about: About, row: &EffectRow<'_>) {
        let rows = &mut self.effects;
        rows.head.push(at, experiment, about);
        for (builder, text) in rows.texts.iter_mut().zip([row.metric, row.pair]) {
            builder.append_value(text);
        }
        rows.subjects.append_value(row.subjects);
        append(&mut rows.n, row.arms.map(|arm| arm.n));
        for (side, arm) in row.arms.iter().enumerate() {
            if let (Some(mean), Some(m2)) = (rows.means.get_mut(side), rows.m2.get_mut(side)) {
                mean.append_option(arm.mean);
                m2.append_option(arm.m2);
            }
        }
        rows.design.append_value(row.design);
        for (builder, value) in rows.reals.iter_mut().zip([row.alpha, row.tuning_n, row.power]) {
            builder.append_value(value);
        }
        rows.minimum_effect.append_option(row.minimum_effect);
        rows.planned_n.append_option(row.planned_n);
    }

    /// Adds a row of [`EvaluationTable::Looks`].
    pub fn look(&mut self, at: i64, experiment: &str, about: About, row: &LookRow<'_>) {
        let rows = &mut self.looks;
        rows.head.push(at, experiment, about);
        for (builder, text) in rows.texts.iter_mut().zip([row.metric, row.pair, row.design]) {
            builder.append_value(text);
        }
        rows.alpha.append_value(row.alpha);
        rows.planned_n.append_option(row.planned_n);
        rows.has_plan.append_value(row.has_plan);
        rows.is_new.append_value(row.is_new);
        append(&mut rows.n, row.n);
        for (builder, value) in rows.evidence.iter_mut().zip(row.evidence) {
            builder.append_option(value);
        }
        append(&mut rows.counts, [row.looks, row.distinct_looks]);
        rows.decision.append_option(row.decision);
    }

    /// Takes the rows of a table out, with what each is about: (evaluation, subject of the row).
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if they do not fit its schema.
    pub fn take(&mut self, table: EvaluationTable) -> Result<(RecordBatch, Vec<(i64, About)>), RuntimeError> {
        let (columns, rows) = match table {
            EvaluationTable::Assignments => self.assignments.take(),
            EvaluationTable::Experiments => self.experiments.take(),
            EvaluationTable::Variants => self.variants.take(),
            EvaluationTable::Effects => self.effects.take(),
            EvaluationTable::Looks => self.looks.take(),
            EvaluationTable::Thresholds => return Ok((RecordBatch::new_empty(table.schema()), Vec::new())),
        };
        Ok((RecordBatch::try_new(table.schema(), columns)?, rows))
    }
}

/// The columns of a table, and what its rows are about.
type Taken = (Vec<ArrayRef>, Vec<(i64, About)>);

impl AssignmentRows {
    fn take(&mut self) -> Taken {
        let mut columns = self.head.finish();
        columns.extend([
            Arc::new(self.segment.finish()) as ArrayRef,
            Arc::new(self.segment_value.finish()),
            Arc::new(self.assumed.finish()),
            Arc::new(self.segment_values.finish()),
            Arc::new(self.variants.finish()),
            Arc::new(self.counts.finish()),
            Arc::new(self.weights.finish()),
            Arc::new(self.observed.finish()),
            Arc::new(self.expected.finish()),
            Arc::new(self.subjects.finish()),
            no_e_values(self.head.rows.len()),
            no_e_values(self.head.rows.len()),
        ]);
        (columns, std::mem::take(&mut self.head.rows))
    }
}

impl ExperimentRows {
    fn take(&mut self) -> Taken {
        let mut columns = self.head.finish();
        columns.push(Arc::new(self.variants.finish()));
        columns.extend(finished(&mut self.counts));
        columns.push(Arc::new(self.planned_subjects.finish()));
        columns.push(Arc::new(self.assigned.finish()));
        columns.push(Arc::new(self.missing.finish()));
        columns.extend(finished(&mut self.more_counts));
        columns.push(Arc::new(self.is_running.finish()));
        columns.push(Arc::new(self.is_awaited.finish()));
        columns.extend(finished(&mut self.exposures));
        (columns, std::mem::take(&mut self.head.rows))
    }
}

impl VariantRows {
    fn take(&mut self) -> Taken {
        let mut columns = self.head.finish();
        columns.push(Arc::new(self.variant.finish()));
        columns.push(Arc::new(self.is_declared.finish()));
        columns.push(Arc::new(self.share.finish()));
        columns.extend(finished(&mut self.counts));
        columns.push(Arc::new(self.last_stray.finish().with_timezone("UTC")));
        columns.push(Arc::new(self.subjects.finish()));
        (columns, std::mem::take(&mut self.head.rows))
    }
}

impl EffectRows {
    fn take(&mut self) -> Taken {
        let mut columns = self.head.finish();
        columns.extend(self.texts.iter_mut().map(|texts| Arc::new(texts.finish()) as ArrayRef));
        columns.push(Arc::new(self.subjects.finish()));
        for ((n, mean), m2) in self.n.iter_mut().zip(&mut self.means).zip(&mut self.m2) {
            columns.push(Arc::new(n.finish()));
            columns.push(Arc::new(mean.finish()));
            columns.push(Arc::new(m2.finish()));
        }
        columns.push(Arc::new(self.design.finish()));
        columns.extend(self.reals.iter_mut().map(|reals| Arc::new(reals.finish()) as ArrayRef));
        columns.push(Arc::new(self.minimum_effect.finish()));
        columns.push(Arc::new(self.planned_n.finish()));
        columns.extend([no_e_values(self.head.rows.len()), no_e_values(self.head.rows.len())]);
        (columns, std::mem::take(&mut self.head.rows))
    }
}

impl LookRows {
    fn take(&mut self) -> Taken {
        let mut columns = self.head.finish();
        columns.extend(self.texts.iter_mut().map(|texts| Arc::new(texts.finish()) as ArrayRef));
        columns.push(Arc::new(self.alpha.finish()));
        columns.push(Arc::new(self.planned_n.finish()));
        columns.push(Arc::new(self.has_plan.finish()));
        columns.push(Arc::new(self.is_new.finish()));
        columns.extend(finished(&mut self.n));
        columns.extend(
            self.evidence
                .iter_mut()
                .map(|reals| Arc::new(reals.finish()) as ArrayRef),
        );
        columns.extend(finished(&mut self.counts));
        columns.push(Arc::new(self.decision.finish()));
        (columns, std::mem::take(&mut self.head.rows))
    }
}

/// The column of e-values before they are found.
fn no_e_values(count: usize) -> ArrayRef {
    Arc::new(Float64Array::new_null(count))
}

/// The row of [`EvaluationTable::Thresholds`].
///
/// # Errors
/// [`RuntimeError::Internal`] if it does not fit its schema.
pub fn thresholds(plan: &SignalPlan) -> Result<RecordBatch, RuntimeError> {
    let real = |value: f64| Arc::new(Float64Array::from(vec![value])) as ArrayRef;
    let integer = |value: i64| Arc::new(Int64Array::from(vec![value])) as ArrayRef;
    let count = |value: u64| integer(i64::try_from(value).unwrap_or(i64::MAX));
    let columns = vec![
        real(plan.srm_warning),
        real(plan.srm_error),
        real(plan.srm_error_deviation),
        count(plan.srm_minimum_subjects),
        real(plan.srm_minimum_deviation),
        count(plan.burn_in),
        integer(plan.resolve_after),
    ];
    Ok(RecordBatch::try_new(EvaluationTable::Thresholds.schema(), columns)?)
}

fn texts(builder: &mut ListBuilder<StringBuilder>, values: &[&str]) {
    for value in values {
        builder.values().append_value(value);
    }
    builder.append(true);
}

fn integers(builder: &mut ListBuilder<Int64Builder>, values: &[i64]) {
    builder.values().append_slice(values);
    builder.append(true);
}

fn reals(builder: &mut ListBuilder<Float64Builder>, values: &[f64]) {
    builder.values().append_slice(values);
    builder.append(true);
}

fn append<const N: usize>(builders: &mut [Int64Builder; N], values: [i64; N]) {
    for (builder, value) in builders.iter_mut().zip(values) {
        builder.append_value(value);
    }
}

fn finished(builders: &mut [Int64Builder]) -> impl Iterator<Item = ArrayRef> {
    builders
        .iter_mut()
        .map(|builder| Arc::new(builder.finish()) as ArrayRef)
}
