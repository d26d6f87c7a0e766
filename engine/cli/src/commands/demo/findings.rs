//! What the job found, asked of the lake it wrote.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use backplane_config::Config;
use backplane_events::EventTime;

use crate::exit::CliError;
use crate::lakes::OpenLake;

const SUBJECTS: &str = "select experiment, variant, subjects, crossovers from assignment_counts \
                        where window_name = 'cumulative' and segment is null order by experiment, variant";
/// The mean of a ratio metric is that of its numerator; the ratio is that of the two means.
const MEANS: &str = "select experiment, variant, metric, mean / coalesce(mean_y, 1) as value from metric_stats \
                     where window_name = 'cumulative' and segment is null order by experiment, variant, metric";
/// A delivery that is too late for everything has a row for the window `cumulative` too.
const LATE: &str = "select late.window_name, count(*) as records from late_events late \
                    left join late_events too_late on too_late.window_name = 'cumulative' \
                    and too_late.event_id = late.event_id and too_late.watermark = late.watermark \
                    where late.window_name <> 'cumulative' and too_late.event_id is null group by 1 order by 1";

/// Signals of the engine's own, not those that other systems have published.
const SIGNALS: &str = "select event_time, severity, experiment, signal, state, message from signals \
                       where signal is not null and state is not null order by event_time, experiment, signal, event_id";

/// What the goals of each experiment come to.
const VERDICTS: &str = "select experiment, metric, variant, verdict, coalesce(difference, 0) as difference, \
                        coalesce(planned_share, 0) as planned_share from scorecard where role = 'goal' order by 1, 2, 3";

/// The experiments to date, what was late, and what was wrong.
#[derive(Debug, Default)]
pub struct Findings {
    /// In the order of the configuration.
    pub experiments: Vec<Experiment>,
    /// The metrics in the order of the configuration.
    pub metrics: Vec<String>,
    /// Records that still count but were late for a window, by its name.
    pub late: BTreeMap<String, u64>,
    /// In the order of their event times.
    pub signals: Vec<Signal>,
    /// By experiment: what its goals come to.
    pub verdicts: BTreeMap<String, Vec<Verdict>>,
}

/// What a goal comes to in a treatment.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// The metric.
    pub metric: String,
    /// The treatment.
    pub variant: String,
    /// The verdict of the view `scorecard`.
    pub verdict: String,
    /// Treatment less control.
    pub difference: f64,
    /// Subjects over those that are planned.
    pub planned_share: f64,
}

/// A signal of the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// When it was raised or closed.
    pub at: EventTime,
    /// Info, Warning or Error.
    pub severity: String,
    /// The experiment.
    pub experiment: String,
    /// Its name.
    pub signal: String,
    /// Whether it is closed by this.
    pub is_closing: bool,
    /// What a person should know.
    pub message: String,
}

/// An experiment to date.
#[derive(Debug, Default)]
pub struct Experiment {
    /// Its name.
    pub name: String,
    /// The variant that others are compared with.
    pub control: Option<String>,
    /// The control first.
    pub variants: Vec<Variant>,
}

/// A variant of an experiment.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Variant {
    /// Its name.
    pub name: String,
    /// Its subjects, without crossovers.
    pub subjects: u64,
    /// Subjects that were first in this variant and then in another.
    pub crossovers: u64,
    /// Its share of the experiment's subjects.
    pub share: f64,
    /// The declared shares, one for each allocation epoch.
    pub declared: Vec<f64>,
    /// The mean of each metric.
    pub means: BTreeMap<String, f64>,
}

impl Signal {
    /// Whether it says that something was reached, and not that something is wrong.
    pub fn is_milestone(&self) -> bool {
        self.signal.starts_with("sample.")
    }
}

impl Variant {
    /// By how much the mean of a metric differs from that of another variant, relative to it.
    pub fn change(&self, metric: &str, control: &Variant) -> Option<f64> {
        let (own, other) = (self.means.get(metric)?, control.means.get(metric)?);
        (*other != 0.0).then(|| (own - other) / other)
    }
}

impl Experiment {
    /// The variant that others are compared with.
    pub fn control_variant(&self) -> Option<&Variant> {
        self.variants
            .iter()
            .find(|variant| Some(&variant.name) == self.control.as_ref())
    }
}

impl Findings {
    /// Asks the lake.
    ///
    /// # Errors
    /// A query fails.
    pub fn read(lake: &OpenLake, config: &Config) -> Result<Self, CliError> {
        let (subjects, means, late, signals, verdicts) = lake.wait_for(async {
            Ok::<_, CliError>((
                lake.ask(SUBJECTS).await?,
                lake.ask(MEANS).await?,
                lake.ask(LATE).await?,
                lake.ask(SIGNALS).await?,
                lake.ask(VERDICTS).await?,
            ))
        })?;
        let mut findings = Self::of(&subjects, &means, &late, config).map_err(CliError::internal)?;
        findings.signals = signals_of(&signals).map_err(CliError::internal)?;
        findings.verdicts = verdicts_of(&verdicts).map_err(CliError::internal)?;
        Ok(findings)
    }

    fn of(
        subjects: &RecordBatch,
        means: &RecordBatch,
        late: &RecordBatch,
        config: &Config,
    ) -> Result<Self, ArrowError> {
        let mut found: BTreeMap<String, BTreeMap<String, Variant>> = BTreeMap::new();
        let (experiments, variants) = (texts(subjects, 0)?, texts(subjects, 1)?);
        let (counts, crossovers) = (integers(subjects, 2)?, integers(subjects, 3)?);
        for (row, (count, crossed)) in counts.iter().zip(&crossovers).enumerate() {
            let variant = of_variant(&mut found, experiments.value(row), variants.value(row));
            (variant.subjects, variant.crossovers) = (*count, *crossed);
        }
        let (experiments, variants, metrics) = (texts(means, 0)?, texts(means, 1)?, texts(means, 2)?);
        let values = cast(means.column(3), &DataType::Float64)?;
        let values = values.as_primitive::<Float64Type>();
        for row in 0..means.num_rows() {
            if values.is_valid(row) {
                let variant = of_variant(&mut found, experiments.value(row), variants.value(row));
                variant.means.insert(metrics.value(row).to_owned(), values.value(row));
            }
        }
        let (windows, records) = (texts(late, 0)?, integers(late, 1)?);
        let late = records
            .iter()
            .enumerate()
            .map(|(row, count)| (windows.value(row).to_owned(), *count))
            .collect();
        Ok(Findings {
            experiments: config
                .experiments
                .iter()
                .map(|declared| experiment(declared, &mut found))
                .collect(),
            metrics: config.metrics.iter().map(|metric| metric.name.clone()).collect(),
            late,
            signals: Vec::new(),
            verdicts: BTreeMap::new(),
        })
    }
}

fn verdicts_of(rows: &RecordBatch) -> Result<BTreeMap<String, Vec<Verdict>>, ArrowError> {
    let column = |column: usize| texts(rows, column);
    let (experiments, metrics, variants, verdicts) = (column(0)?, column(1)?, column(2)?, column(3)?);
    let reals = |column: usize| cast(rows.column(column), &DataType::Float64);
    let (differences, shares) = (reals(4)?, reals(5)?);
    let (differences, shares) = (
        differences.as_primitive::<Float64Type>(),
        shares.as_primitive::<Float64Type>(),
    );
    let mut found: BTreeMap<String, Vec<Verdict>> = BTreeMap::new();
    for row in 0..rows.num_rows() {
        found
            .entry(experiments.value(row).to_owned())
            .or_default()
            .push(Verdict {
                metric: metrics.value(row).to_owned(),
                variant: variants.value(row).to_owned(),
                verdict: verdicts.value(row).to_owned(),
                difference: differences.value(row),
                planned_share: shares.value(row),
            });
    }
    Ok(found)
}

fn signals_of(rows: &RecordBatch) -> Result<Vec<Signal>, ArrowError> {
    let times = rows.column(0).as_primitive::<TimestampMicrosecondType>();
    let column = |column: usize| texts(rows, column);
    let (severities, experiments, signals) = (column(1)?, column(2)?, column(3)?);
    let (states, messages) = (column(4)?, column(5)?);
    let signal = |row: usize| Signal {
        at: EventTime(times.value(row)),
        severity: severities.value(row).to_owned(),
        experiment: experiments.value(row).to_owned(),
        signal: signals.value(row).to_owned(),
        is_closing: states.value(row) == "resolved",
        message: messages.value(row).to_owned(),
    };
    Ok((0..rows.num_rows()).map(signal).collect())
}

fn of_variant<'a>(
    found: &'a mut BTreeMap<String, BTreeMap<String, Variant>>,
    experiment: &str,
    variant: &str,
) -> &'a mut Variant {
    let of_experiment = found.entry(experiment.to_owned()).or_default();
    let empty = || Variant {
        name: variant.to_owned(),
        ..Variant::default()
    };
    of_experiment.entry(variant.to_owned()).or_insert_with(empty)
}

fn experiment(
    declared: &backplane_config::Experiment,
    found: &mut BTreeMap<String, BTreeMap<String, Variant>>,
) -> Experiment {
    let mut variants: Vec<Variant> = found.remove(&declared.name).unwrap_or_default().into_values().collect();
    let control = declared
        .control_among(variants.iter().map(|variant| variant.name.as_str()))
        .map(str::to_owned);
    let total: u64 = variants.iter().map(|variant| variant.subjects).sum();
    for variant in &mut variants {
        variant.share = variant.subjects as f64 / total.max(1) as f64;
        let shares = declared.allocation.iter().flat_map(|epoch| epoch.normalized());
        variant.declared = shares
            .filter(|(name, _)| *name == variant.name)
            .map(|(_, share)| share)
            .collect();
    }
    variants.sort_by_key(|variant| Some(&variant.name) != control.as_ref());
    Experiment {
        name: declared.name.clone(),
        control,
        variants,
    }
}

/// A column of text, however it is encoded.
fn texts(batch: &RecordBatch, column: usize) -> Result<StringArray, ArrowError> {
    Ok(cast(batch.column(column), &DataType::Utf8)?.as_string().clone())
}

/// A column of counts.
fn integers(batch: &RecordBatch, column: usize) -> Result<Vec<u64>, ArrowError> {
    let column = cast(batch.column(column), &DataType::Int64)?;
    Ok(column
        .as_primitive::<Int64Type>()
        .iter()
        .map(|count| u64::try_from(count.unwrap_or(0)).unwrap_or(0))
        .collect())
}

#[cfg(test)]
mod tests {
    use backplane_config::{AllocationEpoch, Metric};

    use super::*;

    fn batch(columns: &[(&str, &[&str])]) -> RecordBatch {
        let columns = columns.iter().map(|(name, values)| {
            let values: arrow::array::ArrayRef = std::sync::Arc::new(StringArray::from(values.to_vec()));
            (*name, values)
        });
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn the_control_stands_first_and_shares_are_of_the_experiments_subjects() {
        let subjects = batch(&[
            ("experiment", &["e", "e"]),
            ("variant", &["blue", "control"]),
            ("subjects", &["60", "40"]),
            ("crossovers", &["1", "2"]),
        ]);
        let means = batch(&[
            ("experiment", &["e", "e"]),
            ("variant", &["blue", "control"]),
            ("metric", &["click", "click"]),
            ("value", &["0.3", "0.25"]),
        ]);
        let late = batch(&[("window_name", &["hourly"]), ("records", &["7"])]);
        let mut declared = backplane_config::Experiment::new("e");
        declared.allocation = vec![AllocationEpoch::new(None, [("control", 1.0), ("blue", 1.0)])];
        let config = Config {
            experiments: vec![declared],
            metrics: vec![Metric::new("click")],
            ..Config::default()
        };

        let found = Findings::of(&subjects, &means, &late, &config).unwrap();
        let experiment = found.experiments.first().unwrap();
        let (control, blue) = (
            experiment.control_variant().unwrap(),
            experiment.variants.get(1).unwrap(),
        );
        assert_eq!(
            (control.name.as_str(), control.subjects, control.share),
            ("control", 40, 0.4)
        );
        assert_eq!((blue.crossovers, blue.declared.as_slice()), (1, &[0.5][..]));
        assert!((blue.change("click", control).unwrap() - 0.2).abs() < 1e-12);
        assert_eq!(blue.change("purchase", control), None);
        assert_eq!(found.late.get("hourly"), Some(&7));
    }
}
