//! From the configuration to the plan, and to the tables that tell readers of the lake what was declared.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use backplane_config::{
    Aggregation, Config, Crossovers, Experiment, Metric, MetricDefinition, Plan as ConfigPlan,
    Segment as ConfigSegment, Signals, WindowKind,
};
use backplane_events::Table;

use crate::error::RuntimeError;
use crate::plan::{
    Caps, CrossoverPolicy, DEFAULT_ATTRIBUTION, ExperimentPlan, Fold, MetricPlan, Plan, RatioPlan, SamplePlan, Segment,
    SignalPlan, TimePlan, WindowPlan,
};

/// The experiment name under which the tables `experiments` and `metrics` state what holds for undeclared experiments.
pub const EVERY_OTHER: &str = "*";

/// The plan of a configuration.
///
/// # Errors
/// [`RuntimeError::Configuration`] where it asks for what the job cannot do.
pub fn plan_of(config: &Config) -> Result<Plan, RuntimeError> {
    let engine = &config.engine;
    let metric_names: Vec<String> = config.metrics.iter().map(|metric| metric.name.clone()).collect();
    let plan = Plan {
        time: TimePlan {
            max_out_of_orderness: engine.time.max_out_of_orderness.get(),
            idle_timeout: Duration::from_micros(u64::try_from(engine.time.idle_timeout.get()).unwrap_or(0)),
            allowed_lateness: engine.time.allowed_lateness.get(),
            correction_horizon: engine.time.correction_horizon.get(),
            max_future_skew: engine.time.max_future_skew.get(),
        },
        evaluate_every: engine.evaluate_every.get().max(1),
        signals: signal_plan(&engine.signals),
        crossovers: match engine.crossovers {
            Crossovers::Exclude => CrossoverPolicy::Exclude,
            Crossovers::FirstVariant => CrossoverPolicy::FirstVariant,
            Crossovers::LastVariant => CrossoverPolicy::LastVariant,
        },
        windows: engine
            .windows
            .iter()
            .map(|window| WindowPlan {
                name: window.name.clone(),
                size: window.size().get(),
                slide: window.slide().get(),
                offset: window.offset.get(),
            })
            .collect(),
        metrics: config.metrics.iter().map(metric_plan).collect(),
        ratios: config
            .metrics
            .iter()
            .filter_map(|metric| ratio_plan(metric, &metric_names))
            .collect(),
        experiments: config.experiments.iter().map(experiment_plan).collect(),
        metric_names,
    };
    // The last id stands for experiments that only the stream names.
    for id in (0u32..).take(plan.experiments.len()).chain([u32::MAX]) {
        if plan.define(id).attribution_classes.len() > 32 {
            let name = plan
                .experiments
                .get(id as usize)
                .map_or("an undeclared experiment", |experiment| &experiment.name);
            return Err(RuntimeError::Configuration(format!(
                "{name} has more than 32 different attribution windows among its metrics; use fewer"
            )));
        }
    }
    refuse_eternities(&plan)?;
    Ok(plan)
}

/// Durations beyond a century would leave the range of event time.
fn refuse_eternities(plan: &Plan) -> Result<(), RuntimeError> {
    const CENTURY: i64 = 36_525 * 86_400 * 1_000_000;
    let time = &plan.time;
    let own = [
        time.max_out_of_orderness,
        time.allowed_lateness,
        time.correction_horizon,
        time.max_future_skew,
        plan.evaluate_every,
    ];
    let windows = plan
        .windows
        .iter()
        .flat_map(|window| [window.size, window.slide, window.offset]);
    let metrics = plan.metrics.iter().flatten().filter_map(|metric| metric.attribution);
    let experiments = plan.experiments.iter().filter_map(|experiment| experiment.attribution);
    match own
        .into_iter()
        .chain(windows)
        .chain(metrics)
        .chain(experiments)
        .find(|duration| *duration > CENTURY)
    {
        Some(duration) => Err(RuntimeError::Configuration(format!(
            "the duration {}d is longer than a century (36525d); use a shorter one",
            duration / 86_400_000_000
        ))),
        None => Ok(()),
    }
}

fn metric_plan(metric: &Metric) -> Option<MetricPlan> {
    let MetricDefinition::Fold {
        metric_type,
        aggregation,
        winsorize,
    } = &metric.definition
    else {
        return None;
    };
    Some(MetricPlan {
        fold: match aggregation {
            Aggregation::Sum => Fold::Sum,
            Aggregation::Count => Fold::Count,
            Aggregation::Mean => Fold::Mean,
            Aggregation::Max => Fold::Max,
            Aggregation::Min => Fold::Min,
            Aggregation::Last => Fold::Last,
            Aggregation::Any => Fold::Any,
        },
        caps: Caps {
            lower: winsorize.lower.unwrap_or(f64::NEG_INFINITY),
            upper: winsorize.upper.unwrap_or(f64::INFINITY),
        },
        attribution: metric.attribution_window.map(|window| window.get()),
        kind: metric_type.name(),
        role: metric.role.name(),
    })
}

fn ratio_plan(metric: &Metric, names: &[String]) -> Option<RatioPlan> {
    let MetricDefinition::Ratio { numerator, denominator } = &metric.definition else {
        return None;
    };
    let id = |name: &str| {
        names
            .iter()
            .position(|candidate| candidate == name)
            .and_then(|index| u32::try_from(index).ok())
    };
    Some(RatioPlan {
        metric: id(&metric.name)?,
        numerator: id(numerator)?,
        denominator: id(denominator)?,
        role: metric.role.name(),
    })
}

fn experiment_plan(experiment: &Experiment) -> ExperimentPlan {
    let segment = |segment: &ConfigSegment| match segment {
        ConfigSegment::Tenant => Segment::Tenant,
        ConfigSegment::SubjectType => Segment::SubjectType,
        ConfigSegment::Attribute(name) => Segment::Attribute(name.clone()),
    };
    ExperimentPlan {
        name: experiment.name.clone(),
        metrics: experiment.metrics.clone(),
        attribution: experiment.attribution_window.map(|window| window.get()),
        segments: experiment.segments.iter().map(segment).collect(),
        // Before the first date counts as the first epoch.
        epoch_starts: experiment
            .allocation
            .iter()
            .skip(1)
            .filter_map(|epoch| epoch.from.map(|from| from.0))
            .collect(),
        allocation: experiment
            .allocation
            .iter()
            .map(|epoch| {
                let shares = epoch.normalized().into_iter();
                shares.map(|(variant, share)| (variant.to_owned(), share)).collect()
            })
            .collect(),
        control: experiment.control.clone(),
        starts_at: experiment.starts_at.map(|at| at.0),
        sample: experiment.plan.as_ref().map(sample_plan).unwrap_or_default(),
    }
}

fn sample_plan(plan: &ConfigPlan) -> SamplePlan {
    SamplePlan {
        subjects_per_variant: plan.subjects_per_variant,
        ends_at: plan.ends_at.map(|at| at.0),
        alpha: Some(plan.alpha),
        power: plan.power,
        minimum_effect: plan.minimum_effect,
        design: plan.design.name(),
    }
}

fn signal_plan(signals: &Signals) -> SignalPlan {
    let srm = &signals.sample_ratio_mismatch;
    SignalPlan {
        srm_warning: srm.warning,
        srm_error: srm.error,
        srm_error_deviation: srm.error_deviation,
        srm_minimum_subjects: srm.minimum_subjects,
        srm_minimum_deviation: srm.minimum_deviation,
        alpha: signals.peeking.alpha,
        burn_in: signals.peeking.burn_in,
        distinct_look: signals.peeking.distinct_look,
        resolve_after: signals.resolve_after.get(),
    }
}

/// The rows of `experiments`, `allocations`, `metrics` and `windows`; `since` is the wall-clock time, microseconds.
///
/// # Errors
/// [`RuntimeError::Internal`] if the rows do not fit the tables' schemas.
pub fn declared_rows(config: &Config, plan: &Plan, since: i64) -> Result<Vec<(Table, RecordBatch)>, RuntimeError> {
    Ok(vec![
        (Table::Experiments, experiments(config, plan, since)?),
        (Table::Allocations, allocations(config)?),
        (Table::Metrics, metrics(config, since)?),
        (Table::Windows, windows(config, plan)?),
    ])
}

fn texts<T: Into<Option<String>>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<StringArray>())
}

fn times<T: Into<Option<i64>>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(
        values
            .into_iter()
            .map(Into::into)
            .collect::<TimestampMicrosecondArray>()
            .with_timezone("UTC"),
    )
}

fn integers<T: Into<Option<i64>>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<Int64Array>())
}

fn reals<T: Into<Option<f64>>>(values: impl IntoIterator<Item = T>) -> ArrayRef {
    Arc::new(values.into_iter().map(Into::into).collect::<Float64Array>())
}

fn experiments(config: &Config, plan: &Plan, since: i64) -> Result<RecordBatch, RuntimeError> {
    let every_other = Experiment::new(EVERY_OTHER);
    let rows: Vec<&Experiment> = config.experiments.iter().chain([&every_other]).collect();
    let own_plan = |experiment: &Experiment| experiment.plan.clone().unwrap_or_default();
    // those with a share in some epoch, as the job takes them
    let variants = |experiment: &Experiment| {
        let mut all: Vec<String> = experiment
            .allocation
            .iter()
            .flat_map(|epoch| epoch.normalized())
            .filter(|(_, share)| *share > 0.0)
            .map(|(variant, _)| variant.to_owned())
            .collect();
        all.sort();
        all.dedup();
        all
    };
    let control = |experiment: &&Experiment| {
        let variants = variants(experiment);
        experiment
            .control_among(variants.iter().map(String::as_str))
            .map(str::to_owned)
    };
    let segments = |experiment: &&Experiment| -> Option<String> {
        let names: Vec<String> = experiment_plan(experiment).segments.iter().map(Segment::name).collect();
        (!names.is_empty()).then(|| serde_json::Value::from(names).to_string())
    };
    // The planned total of all variants: subjects per variant times variants.
    let planned_total = |experiment: &&Experiment| {
        let per_variant = own_plan(experiment).subjects_per_variant?;
        i64::try_from(per_variant.saturating_mul(variants(experiment).len().max(2) as u64)).ok()
    };
    let columns = vec![
        texts(rows.iter().map(|row| row.name.clone())),
        texts(rows.iter().map(control)),
        integers(rows.iter().map(|row| {
            row.attribution_window
                .map_or(DEFAULT_ATTRIBUTION, |window| window.get())
        })),
        texts(rows.iter().map(|_| plan.crossovers.name().to_owned())),
        times(rows.iter().map(|row| row.starts_at.map(|at| at.0))),
        times(rows.iter().map(|row| own_plan(row).ends_at.map(|at| at.0))),
        texts(rows.iter().map(|row| own_plan(row).design.name().to_owned())),
        reals(
            rows.iter()
                .map(|row| row.plan.as_ref().map_or(plan.signals.alpha, |plan| plan.alpha)),
        ),
        reals(rows.iter().map(|row| own_plan(row).power)),
        reals(rows.iter().map(|row| own_plan(row).minimum_effect)),
        integers(rows.iter().map(planned_total)),
        texts(rows.iter().map(segments)),
        times(rows.iter().map(|_| since)),
    ];
    Ok(RecordBatch::try_new(Table::Experiments.schema(), columns)?)
}

fn allocations(config: &Config) -> Result<RecordBatch, RuntimeError> {
    let mut rows: Vec<(String, Option<i64>, String, f64)> = Vec::new();
    for experiment in &config.experiments {
        for epoch in &experiment.allocation {
            for (variant, share) in epoch.normalized() {
                rows.push((
                    experiment.name.clone(),
                    epoch.from.map(|from| from.0),
                    variant.to_owned(),
                    share,
                ));
            }
        }
    }
    let columns = vec![
        texts(rows.iter().map(|row| row.0.clone())),
        times(rows.iter().map(|row| row.1)),
        texts(rows.iter().map(|row| row.2.clone())),
        reals(rows.iter().map(|row| row.3)),
        Arc::new(rows.iter().map(|_| Some(false)).collect::<BooleanArray>()),
    ];
    Ok(RecordBatch::try_new(Table::Allocations.schema(), columns)?)
}

fn metrics(config: &Config, since: i64) -> Result<RecordBatch, RuntimeError> {
    let mut rows: Vec<(&str, &Metric)> = Vec::new();
    for experiment in &config.experiments {
        rows.extend(
            config
                .metrics_of(&experiment.name)
                .into_iter()
                .map(|metric| (experiment.name.as_str(), metric)),
        );
    }
    rows.extend(config.metrics.iter().map(|metric| (EVERY_OTHER, metric)));
    let fold = |metric: &Metric| match &metric.definition {
        MetricDefinition::Fold {
            metric_type,
            aggregation,
            winsorize,
        } => (metric_type.name(), aggregation.name(), winsorize.lower, winsorize.upper),
        MetricDefinition::Ratio { .. } => ("Ratio", "ratio", None, None),
    };
    let part = |metric: &Metric, numerator_wanted: bool| match &metric.definition {
        MetricDefinition::Fold { .. } => None,
        MetricDefinition::Ratio { numerator, denominator } => Some(if numerator_wanted {
            numerator.clone()
        } else {
            denominator.clone()
        }),
    };
    let columns = vec![
        texts(rows.iter().map(|row| row.0.to_owned())),
        texts(rows.iter().map(|row| row.1.name.clone())),
        texts(rows.iter().map(|row| fold(row.1).0.to_owned())),
        texts(rows.iter().map(|row| fold(row.1).1.to_owned())),
        reals(rows.iter().map(|row| fold(row.1).2)),
        reals(rows.iter().map(|row| fold(row.1).3)),
        texts(rows.iter().map(|row| part(row.1, true))),
        texts(rows.iter().map(|row| part(row.1, false))),
        integers(
            rows.iter()
                .map(|row| row.1.attribution_window.map(|window| window.get())),
        ),
        texts(rows.iter().map(|row| row.1.role.name().to_owned())),
        times(rows.iter().map(|_| since)),
    ];
    Ok(RecordBatch::try_new(Table::Metrics.schema(), columns)?)
}

fn windows(config: &Config, plan: &Plan) -> Result<RecordBatch, RuntimeError> {
    let kind = |kind: &WindowKind| kind.name().to_owned();
    let columns = vec![
        texts(plan.windows.iter().map(|window| window.name.clone())),
        texts(config.engine.windows.iter().map(|window| kind(&window.kind))),
        integers(plan.windows.iter().map(|window| window.size)),
        integers(plan.windows.iter().map(|window| window.slide)),
        integers(plan.windows.iter().map(|window| window.offset)),
    ];
    Ok(RecordBatch::try_new(Table::Windows.schema(), columns)?)
}

#[cfg(test)]
mod tests {
    use backplane_config::Plan as OwnPlan;

    use super::*;

    #[test]
    fn a_plan_is_that_of_the_variants_with_a_share() {
        let shared = Experiment::new("x").allocated([("a-old", 0.0), ("b", 0.5), ("c", 0.5)]);
        let mut planned = shared.clone();
        planned.name = "y".to_owned();
        planned.plan = Some(OwnPlan {
            subjects_per_variant: Some(1_000),
            ..OwnPlan::default()
        });
        let mut config = Config {
            experiments: vec![shared, planned],
            ..Config::default()
        };
        config.engine.signals.peeking.alpha = 0.01;
        let rows = experiments(&config, &plan_of(&config).unwrap(), 0).unwrap();
        let controls: Vec<_> = rows
            .column_by_name("control")
            .and_then(|column| column.as_any().downcast_ref::<StringArray>())
            .unwrap()
            .iter()
            .collect();
        assert_eq!(controls, [Some("b"), Some("b"), None]);
        let totals = rows.column_by_name("planned_total").unwrap();
        let totals = totals.as_any().downcast_ref::<Int64Array>().unwrap();
        assert_eq!(totals.iter().collect::<Vec<_>>(), [None, Some(2_000), None]);
        // where no experiment says another one, that of peeking holds
        let alphas = rows.column_by_name("alpha").unwrap();
        let alphas = alphas.as_any().downcast_ref::<Float64Array>().unwrap();
        assert_eq!(alphas.values(), &[0.01, 0.05, 0.01]);
    }
}
