//! What an epoch has to show, gathered from its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use arrow::array::{Array, ArrayRef, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use backplane_connector_api::Output;
use backplane_events::Table;

use super::render;

/// The window of an experiment to date.
const TO_DATE: &str = "cumulative";
/// The most rows that are shown of a query.
const QUERY_ROWS: usize = 20;

/// The results of one experiment in one window.
#[derive(Debug, Clone, Default)]
pub(super) struct Results {
    pub(super) variants: BTreeMap<String, Variant>,
    pub(super) metrics: BTreeSet<String>,
    pub(super) is_final: bool,
}

/// One line of a table.
#[derive(Debug, Clone, Default)]
pub(super) struct Variant {
    pub(super) subjects: i64,
    pub(super) crossovers: i64,
    /// By metric.
    pub(super) means: BTreeMap<String, f64>,
}

/// From and until, in microseconds.
pub(super) type Bounds = (i64, i64);

/// Everything that is to be shown.
#[derive(Debug, Default)]
pub(super) struct Tally {
    provisional: bool,
    /// By experiment; kept over epochs, because an epoch brings only what has changed.
    to_date: BTreeMap<String, Results>,
    changed: BTreeSet<String>,
    /// By experiment and window name: the windows that closed in this epoch.
    closed: BTreeMap<(String, String), BTreeMap<Bounds, Results>>,
    signals: Vec<String>,
    late: BTreeMap<String, u64>,
    dead: BTreeMap<String, u64>,
    queries: String,
}

impl Tally {
    pub(super) fn new(provisional: bool) -> Self {
        Self {
            provisional,
            ..Self::default()
        }
    }

    /// Takes rows of any table.
    pub(super) fn add(&mut self, output: &Output) -> Result<(), ArrowError> {
        match output {
            Output::Query { name, batch } => self.add_query(name, batch),
            Output::Rows {
                table: Table::AssignmentCounts,
                batch,
            } => self.add_counts(batch),
            Output::Rows {
                table: Table::MetricStats,
                batch,
            } => self.add_means(batch),
            Output::Rows {
                table: Table::Signals,
                batch,
            } => self.add_signals(batch),
            Output::Rows {
                table: Table::LateEvents,
                batch,
            } => count(&mut self.late, batch, "window_name"),
            Output::Rows {
                table: Table::DeadLetters,
                batch,
            } => count(&mut self.dead, batch, "reason"),
            Output::Rows { .. } => Ok(()),
        }
    }

    /// The text of the epoch, which is over then.
    pub(super) fn take_text(&mut self) -> String {
        let mut text = String::new();
        for ((experiment, window), windows) in std::mem::take(&mut self.closed) {
            render::windows(&mut text, &experiment, &window, &windows);
        }
        for experiment in std::mem::take(&mut self.changed) {
            if let Some(results) = self
                .to_date
                .get(&experiment)
                .filter(|results| results.is_final || self.provisional)
            {
                render::to_date(&mut text, &experiment, results);
            }
        }
        text.push_str(&std::mem::take(&mut self.queries));
        for signal in self.signals.drain(..) {
            text.push_str(&signal);
        }
        render::late(&mut text, &std::mem::take(&mut self.late));
        render::dead_letters(&mut text, &std::mem::take(&mut self.dead));
        text
    }

    fn add_counts(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let variants = texts(batch, "variant")?;
        let subjects = column(batch, "subjects")?.as_primitive::<Int64Type>();
        let crossovers = column(batch, "crossovers")?.as_primitive::<Int64Type>();
        self.add_results(batch, |results, row| {
            let variant = results.variants.entry(variants.value(row).to_owned()).or_default();
            variant.subjects = subjects.value(row);
            variant.crossovers = crossovers.value(row);
        })
    }

    fn add_means(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let variants = texts(batch, "variant")?;
        let metrics = texts(batch, "metric")?;
        let means = column(batch, "mean")?.as_primitive::<Float64Type>();
        let denominators = column(batch, "mean_y")?.as_primitive::<Float64Type>();
        self.add_results(batch, |results, row| {
            let metric = metrics.value(row).to_owned();
            let variant = results.variants.entry(variants.value(row).to_owned()).or_default();
            if means.is_valid(row) {
                // of a ratio metric the mean is the numerator's
                let ratio = if denominators.is_valid(row) {
                    denominators.value(row)
                } else {
                    1.0
                };
                variant.means.insert(metric.clone(), means.value(row) / ratio);
            }
            results.metrics.insert(metric);
        })
    }

    /// Finds the results that each row belongs to. Rows of segments and of windows that are still open are passed over.
    fn add_results(&mut self, batch: &RecordBatch, mut add: impl FnMut(&mut Results, usize)) -> Result<(), ArrowError> {
        let experiments = texts(batch, "experiment")?;
        let segments = texts(batch, "segment")?;
        let windows = texts(batch, "window_name")?;
        let starts = column(batch, "window_start")?.as_primitive::<TimestampMicrosecondType>();
        let ends = column(batch, "window_end")?.as_primitive::<TimestampMicrosecondType>();
        let finals = column(batch, "is_final")?.as_boolean();
        for row in 0..batch.num_rows() {
            if segments.is_valid(row) {
                continue;
            }
            let experiment = experiments.value(row).to_owned();
            let results = if windows.value(row) == TO_DATE {
                self.changed.insert(experiment.clone());
                self.to_date.entry(experiment).or_default()
            } else if finals.value(row) {
                let windows = self
                    .closed
                    .entry((experiment, windows.value(row).to_owned()))
                    .or_default();
                windows.entry((starts.value(row), ends.value(row))).or_default()
            } else {
                continue;
            };
            results.is_final = finals.value(row);
            add(results, row);
        }
        Ok(())
    }

    /// A signal is one line: since when, how grave, of which experiment, and what to know and do.
    fn add_signals(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let times = column(batch, "event_time")?.as_primitive::<TimestampMicrosecondType>();
        let severities = texts(batch, "severity")?;
        let states = texts(batch, "state")?;
        let signals = texts(batch, "signal")?;
        let experiments = texts(batch, "experiment")?;
        let messages = texts(batch, "message")?;
        for row in 0..batch.num_rows() {
            let is_closed = states.is_valid(row) && states.value(row) == "resolved";
            let word = if is_closed { "closed" } else { severities.value(row) };
            let signal = if signals.is_valid(row) {
                format!("{}: ", signals.value(row))
            } else {
                String::new()
            };
            self.signals.push(format!(
                "{} UTC  {:<7}  {}  {signal}{}\n",
                render::instant(times.value(row)),
                word.to_uppercase(),
                experiments.value(row),
                messages.value(row)
            ));
        }
        Ok(())
    }

    fn add_query(&mut self, name: &str, batch: &RecordBatch) -> Result<(), ArrowError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let shown = batch.slice(0, batch.num_rows().min(QUERY_ROWS));
        // writing into a text cannot fail
        let _ = writeln!(self.queries, "query {name}\n{}", pretty_format_batches(&[shown])?);
        if batch.num_rows() > QUERY_ROWS {
            let _ = writeln!(self.queries, "and {} more rows", batch.num_rows() - QUERY_ROWS);
        }
        self.queries.push('\n');
        Ok(())
    }
}

/// Counts rows by a column of text.
fn count(counts: &mut BTreeMap<String, u64>, batch: &RecordBatch, name: &str) -> Result<(), ArrowError> {
    for value in texts(batch, name)?.iter().flatten() {
        *counts.entry(value.to_owned()).or_default() += 1;
    }
    Ok(())
}

fn column<'a>(batch: &'a RecordBatch, name: &str) -> Result<&'a ArrayRef, ArrowError> {
    let missing = || ArrowError::SchemaError(format!("rows have no column {name}"));
    batch.column_by_name(name).ok_or_else(missing)
}

/// A column of text, whether or not it is a dictionary.
fn texts(batch: &RecordBatch, name: &str) -> Result<StringArray, ArrowError> {
    Ok(cast(column(batch, name)?, &DataType::Utf8)?.as_string().clone())
}
