//! The look ledger as a job sees it: which looks there were, which told something new, and what was decided after them.
//!
//! A look is judged from its own row, and dated by its watermark; when it was made, and whether a job ran then, does not matter.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType};
use backplane_events::Table;
use uuid::Uuid;

use super::EvaluationContext;
use super::about::{About, Part};
use super::rows::{EvaluationRows, LookRow};
use crate::error::RuntimeError;

/// How long after a look a decision still follows from it, microseconds of wall-clock time.
const DECISION_WITHIN: i64 = 24 * 3_600 * 1_000_000;

/// A look at the results of a metric in two variants.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Look {
    /// Wall-clock time, microseconds.
    time: i64,
    experiment: u32,
    metric: u32,
    pair: Arc<str>,
    watermark: i64,
    n: [i64; 2],
    standard_error: Option<f64>,
    p_value: Option<f64>,
    log_e: Option<f64>,
    looks: i64,
    distinct_looks: i64,
    /// Whether a decision after it was judged.
    is_decided: bool,
}

#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
struct Decision {
    time: i64,
    experiment: u32,
    decision: String,
}

/// What is known of the looks at one effect.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
struct Seen {
    looks: i64,
    distinct: i64,
    /// The information of the last distinct look, 1 / squared standard error.
    information: f64,
}

/// The looks and decisions so far.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Looks {
    ids: HashSet<String>,
    decision_ids: HashSet<String>,
    looks: Vec<Look>,
    decisions: Vec<Decision>,
    /// By watermark: looks to be judged, each with whether it is new and the decision after it.
    waiting: BTreeMap<i64, Vec<(usize, bool, Option<String>)>>,
    seen: BTreeMap<(u32, u32, Arc<str>), Seen>,
}

impl Looks {
    /// Takes rows of `looks` and `decisions` in, also such as were taken in before. What is to be judged waits for [`Looks::release`]. Gives those
    /// that are new.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if the rows have not their tables' columns.
    pub fn take_in(
        &mut self,
        context: &EvaluationContext<'_>,
        looks: &RecordBatch,
        decisions: &RecordBatch,
    ) -> Result<(RecordBatch, RecordBatch), RuntimeError> {
        let (first_new, decisions_before) = (self.looks.len(), self.decisions.len());
        let new_looks = self.read_looks(context, looks)?;
        let new_decisions = self.read_decisions(context, decisions)?;
        let new = (
            filter_record_batch(&rows_as(Table::Looks, looks)?, &new_looks)?,
            filter_record_batch(&rows_as(Table::Decisions, decisions)?, &new_decisions)?,
        );
        if (self.looks.len(), self.decisions.len()) == (first_new, decisions_before) {
            return Ok(new);
        }
        for (index, look) in self.looks.iter_mut().enumerate() {
            let decision = self.decisions.iter().find(|decision| {
                let after = decision.time.saturating_sub(look.time);
                decision.experiment == look.experiment && (0..=DECISION_WITHIN).contains(&after)
            });
            let is_news = decision.is_some() && !look.is_decided;
            if index < first_new && !is_news {
                continue;
            }
            look.is_decided = decision.is_some();
            let decision = decision.map(|decision| decision.decision.clone());
            let waiting = self.waiting.entry(look.watermark).or_default();
            waiting.push((index, index >= first_new, decision));
        }
        Ok(new)
    }

    /// Adds the looks to `rows` that saw what the job has settled by now.
    pub fn release(&mut self, context: &EvaluationContext<'_>, settled: i64, rows: &mut EvaluationRows) {
        while let Some(entry) = self.waiting.first_entry().filter(|entry| *entry.key() <= settled) {
            for (index, is_new, decision) in entry.remove() {
                if let Some(look) = self.looks.get(index) {
                    push(context, look, is_new, decision.as_deref(), rows);
                }
            }
        }
    }

    /// Whether a look of this id was taken in.
    #[must_use]
    pub fn knows(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    fn read_looks(
        &mut self,
        context: &EvaluationContext<'_>,
        batch: &RecordBatch,
    ) -> Result<BooleanArray, RuntimeError> {
        let (ids, experiments) = (texts(batch, "look_id")?, texts(batch, "experiment")?);
        let (metrics, pairs) = (texts(batch, "metric")?, texts(batch, "pair")?);
        let (times, watermarks) = (times(batch, "time")?, times(batch, "watermark")?);
        let (n_control, n_treatment) = (integers(batch, "n_control")?, integers(batch, "n_treatment")?);
        let reals = ["standard_error", "p_value", "log_e"].map(|name| reals(batch, name));
        let [standard_errors, p_values, log_e] = reals;
        let (standard_errors, p_values, log_e) = (standard_errors?, p_values?, log_e?);
        let mut order: Vec<usize> = (0..batch.num_rows()).collect();
        order.sort_by_key(|row| (times.value(*row), ids.value(*row)));
        let mut is_new = vec![false; batch.num_rows()];
        for row in order {
            let names = context.names;
            let (Some(experiment), Some(metric)) = (
                names.experiments.find(experiments.value(row)),
                names.metrics.find(metrics.value(row)),
            ) else {
                continue;
            };
            // a look at nothing, before there were results
            if watermarks.is_null(row) || !self.ids.insert(ids.value(row).to_owned()) {
                continue;
            }
            let real = |column: &Float64Array| column.is_valid(row).then(|| column.value(row));
            let mut look = Look {
                time: times.value(row),
                experiment,
                metric,
                pair: Arc::from(pairs.value(row)),
                watermark: watermarks.value(row),
                n: [n_control.value(row), n_treatment.value(row)],
                standard_error: real(&standard_errors),
                p_value: real(&p_values),
                log_e: real(&log_e),
                looks: 0,
                distinct_looks: 0,
                is_decided: false,
            };
            self.count(context, &mut look);
            self.looks.push(look);
            if let Some(is_new) = is_new.get_mut(row) {
                *is_new = true;
            }
        }
        Ok(BooleanArray::from(is_new))
    }

    /// Counts a look, and whether it is a distinct one: the information has grown by a share of what is planned.
    fn count(&mut self, context: &EvaluationContext<'_>, look: &mut Look) {
        let key = (look.experiment, look.metric, Arc::clone(&look.pair));
        let seen = self.seen.entry(key).or_default();
        seen.looks += 1;
        let total: i64 = look.n.iter().sum();
        // so few subjects tell nothing, new or not
        let burn_in = i64::try_from(context.plan.signals.burn_in).unwrap_or(i64::MAX);
        let is_sufficient = look.n.iter().all(|n| *n >= burn_in);
        let information = look
            .standard_error
            .filter(|_| is_sufficient)
            .filter(|error| *error > 0.0)
            .map(|error| 1.0 / (error * error));
        if let Some(information) = information {
            let plan = context.plan.experiments.get(look.experiment as usize);
            let planned_n = plan.and_then(|plan| plan.sample.planned_pair());
            // at the planned sample with the variance of now; without a plan, relative to the information now
            let planned = planned_n.map_or(information, |planned| information * planned / (total.max(1) as f64));
            if seen.distinct == 0 || information - seen.information >= context.plan.signals.distinct_look * planned {
                seen.distinct += 1;
                seen.information = information;
            }
        }
        (look.looks, look.distinct_looks) = (seen.looks, seen.distinct);
    }

    fn read_decisions(
        &mut self,
        context: &EvaluationContext<'_>,
        batch: &RecordBatch,
    ) -> Result<BooleanArray, RuntimeError> {
        let mut is_new = Vec::with_capacity(batch.num_rows());
        let (experiments, decisions) = (texts(batch, "experiment")?, texts(batch, "decision")?);
        let (principals, times) = (texts(batch, "principal")?, times(batch, "time")?);
        for row in 0..batch.num_rows() {
            let id = format!(
                "{}|{}|{}|{}",
                times.value(row),
                principals.value(row),
                experiments.value(row),
                decisions.value(row)
            );
            let Some(experiment) = context.names.experiments.find(experiments.value(row)) else {
                is_new.push(false);
                continue;
            };
            is_new.push(self.decision_ids.insert(id));
            if is_new.last() == Some(&true) {
                self.decisions.push(Decision {
                    time: times.value(row),
                    experiment,
                    decision: decisions.value(row).to_owned(),
                });
            }
        }
        self.decisions.sort_by_key(|decision| decision.time);
        Ok(BooleanArray::from(is_new))
    }
}

fn push(context: &EvaluationContext<'_>, look: &Look, is_new: bool, decision: Option<&str>, rows: &mut EvaluationRows) {
    let plan = context.plan.experiments.get(look.experiment as usize);
    let sample = plan.map(|plan| plan.sample.clone()).unwrap_or_default();
    let about = About {
        experiment: look.experiment,
        part: Part::Effect {
            metric: look.metric,
            pair: Arc::clone(&look.pair),
        },
    };
    let row = LookRow {
        metric: context.names.metrics.name(look.metric),
        pair: &look.pair,
        design: sample.design,
        alpha: sample.alpha.unwrap_or(context.plan.signals.alpha),
        planned_n: sample.planned_pair(),
        has_plan: sample.subjects_per_variant.is_some() || sample.ends_at.is_some() || sample.minimum_effect.is_some(),
        is_new,
        n: look.n,
        evidence: [look.standard_error, look.p_value, look.log_e],
        looks: look.looks,
        distinct_looks: look.distinct_looks,
        decision,
    };
    rows.look(
        look.watermark,
        context.names.experiments.name(look.experiment),
        about,
        &row,
    );
}

/// Who looks, and how.
#[derive(Debug, Clone, Copy)]
pub struct Looker<'a> {
    /// The person, or the sink that persons watch.
    pub principal: &'a str,
    /// By what: a command, or `sink`.
    pub origin: &'a str,
    /// What was asked, not in the clear.
    pub query_hash: &'a str,
}

/// Rows of `looks` at `time` (microseconds), from the numbers of [`LOOK_NUMBERS`](backplane_queries::evaluation::LOOK_NUMBERS) with an id
/// for each.
///
/// # Errors
/// [`RuntimeError::Internal`] if the numbers lack a column.
pub fn look_rows(
    numbers: &RecordBatch,
    looker: &Looker<'_>,
    ids: Vec<String>,
    time: i64,
) -> Result<RecordBatch, RuntimeError> {
    let count = numbers.num_rows();
    let same = |text: &str| Arc::new(StringArray::from(vec![text; count])) as ArrayRef;
    let ids = Arc::new(StringArray::from(ids)) as ArrayRef;
    let schema = Table::Looks.schema();
    let columns = schema.fields().iter().map(|field| match field.name().as_str() {
        "look_id" => Ok(Arc::clone(&ids)),
        "time" => Ok(Arc::new(TimestampMicrosecondArray::from_value(time, count).with_timezone("UTC")) as ArrayRef),
        "principal" => Ok(same(looker.principal)),
        "origin" => Ok(same(looker.origin)),
        "query_hash" => Ok(same(looker.query_hash)),
        name => column(numbers, name, field.data_type()),
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(schema, columns)?)
}

/// The ids of looks at results in a sink: the same results in the same sink are the same look, however often they are written.
///
/// # Errors
/// [`RuntimeError::Internal`] if the numbers lack a column.
pub fn ids_in_sink(numbers: &RecordBatch, sink: &str) -> Result<Vec<String>, RuntimeError> {
    let (experiments, metrics) = (texts(numbers, "experiment")?, texts(numbers, "metric")?);
    let (pairs, watermarks) = (texts(numbers, "pair")?, times(numbers, "watermark")?);
    let (n_control, n_treatment) = (integers(numbers, "n_control")?, integers(numbers, "n_treatment")?);
    let (standard_errors, p_values) = (reals(numbers, "standard_error")?, reals(numbers, "p_value")?);
    let namespace = Uuid::new_v5(&Uuid::NAMESPACE_URL, b"urn:backplane:look");
    let id = |row: usize| {
        let name = format!(
            "{sink}|{}|{}|{}|{}|{}|{}|{:x}|{:x}",
            experiments.value(row),
            metrics.value(row),
            pairs.value(row),
            watermarks.value(row),
            n_control.value(row),
            n_treatment.value(row),
            standard_errors.value(row).to_bits(),
            p_values.value(row).to_bits()
        );
        Uuid::new_v5(&namespace, name.as_bytes()).to_string()
    };
    Ok((0..numbers.num_rows()).map(id).collect())
}

/// Rows with the columns of their table, whatever a reader has made of them.
fn rows_as(table: Table, rows: &RecordBatch) -> Result<RecordBatch, RuntimeError> {
    let schema = table.schema();
    let columns = schema
        .fields()
        .iter()
        .map(|field| column(rows, field.name(), field.data_type()));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(schema, columns)?)
}

fn column(batch: &RecordBatch, name: &str, data_type: &DataType) -> Result<Arc<dyn Array>, RuntimeError> {
    let column = batch.column_by_name(name);
    let column = column.ok_or_else(|| RuntimeError::internal(format!("the ledger has no column {name}")))?;
    Ok(cast(column, data_type)?)
}

fn texts(batch: &RecordBatch, name: &str) -> Result<StringArray, RuntimeError> {
    Ok(column(batch, name, &DataType::Utf8)?.as_string::<i32>().clone())
}

fn integers(batch: &RecordBatch, name: &str) -> Result<Int64Array, RuntimeError> {
    Ok(column(batch, name, &DataType::Int64)?
        .as_primitive::<Int64Type>()
        .clone())
}

fn reals(batch: &RecordBatch, name: &str) -> Result<Float64Array, RuntimeError> {
    Ok(column(batch, name, &DataType::Float64)?
        .as_primitive::<Float64Type>()
        .clone())
}

fn times(batch: &RecordBatch, name: &str) -> Result<TimestampMicrosecondArray, RuntimeError> {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")));
    Ok(column(batch, name, &micros)?
        .as_primitive::<TimestampMicrosecondType>()
        .clone())
}
