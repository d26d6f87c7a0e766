//! Metrics of matured subjects in each treatment against the control.

use std::sync::Arc;

use super::about::{About, Part};
use super::ledger::{Changes, ExperimentLedger, Variant};
use super::rows::{Arm, EffectRow, EvaluationRows};
use crate::emit::{StatisticsRow, metric_row, metrics_of, ratio_row};
use crate::names::JobNames;
use crate::plan::Plan;

/// The sample at which the always-valid interval is narrowest where nothing is planned: as in GrowthBook.
const TUNING_N: f64 = 5000.0;

/// A metric of an experiment in a treatment, against the control.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct EffectKey {
    /// The metric.
    pub metric: u32,
    /// The treatment and the control.
    pub pair: Arc<str>,
}

/// Rows of the effects whose matured statistics changed. Gives which, each with whether the metric was taken as Binary.
pub fn effect_rows(
    at: i64,
    ledger: &ExperimentLedger,
    plan: &Plan,
    names: &JobNames,
    changes: &Changes,
    rows: &mut EvaluationRows,
) -> Vec<(EffectKey, bool)> {
    let mut written = Vec::new();
    if changes.matured.is_empty() {
        return written;
    }
    let matured = |variant: &Variant| variant.id.and_then(|id| ledger.matured(id));
    let Some((control, of_control)) = ledger.control().and_then(|control| Some((control, matured(control)?))) else {
        return written;
    };
    let definition = &ledger.definition;
    let not_binary = ledger.matured_outcomes();
    let metrics = metrics_of(plan, definition, not_binary.keys().copied());
    let sample = &ledger.plan.sample;
    let changed = |variant: &Variant| variant.id.is_some_and(|id| changes.matured.contains(&id));
    for treatment in &ledger.variants {
        let Some((pair, of_treatment)) = treatment.pair.as_ref().zip(matured(treatment)) else {
            continue;
        };
        if !changed(control) && !changed(treatment) {
            continue;
        }
        let mut push = |metric: u32, arms: [Arm; 2], is_binary: bool| {
            let key = EffectKey {
                metric,
                pair: Arc::clone(pair),
            };
            let about = About {
                experiment: ledger.experiment,
                part: Part::Effect {
                    metric,
                    pair: Arc::clone(pair),
                },
            };
            let row = EffectRow {
                metric: names.metrics.name(metric),
                pair,
                subjects: ledger.subjects(control) + ledger.subjects(treatment),
                arms,
                design: sample.design,
                alpha: sample.alpha.unwrap_or(plan.signals.alpha),
                tuning_n: sample.planned_pair().unwrap_or(TUNING_N),
                power: sample.power,
                minimum_effect: sample.minimum_effect,
                planned_n: sample.planned_pair(),
            };
            rows.effect(at, &ledger.name, about, &row);
            written.push((key, is_binary));
        };
        for metric in &metrics {
            let is_binary = not_binary.get(metric).is_none_or(|count| *count <= 0);
            let arm = |partial| {
                metric_row(plan, definition, partial, *metric, is_binary)
                    .as_ref()
                    .map(arm_of_mean)
            };
            if let (Some(control), Some(treatment)) = (arm(of_control), arm(of_treatment)) {
                push(*metric, [control, treatment], is_binary);
            }
        }
        for (index, ratio) in definition.ratios.iter().enumerate() {
            let arm = |partial| {
                ratio_row(plan, definition, partial, index, ratio)
                    .as_ref()
                    .and_then(arm_of_ratio)
            };
            if let (Some(control), Some(treatment)) = (arm(of_control), arm(of_treatment)) {
                push(ratio.metric, [control, treatment], false);
            }
        }
    }
    written
}

/// Beyond these nothing can be told: differences and squares would leave the range of a double.
const GREATEST_MEAN: f64 = 1e140;
const GREATEST_M2: f64 = 1e290;

fn arm_of_mean(row: &StatisticsRow) -> Arm {
    arm(row.subjects, row.mean, row.m2)
}

fn arm(n: i64, mean: Option<f64>, m2: Option<f64>) -> Arm {
    let is_usable = mean.is_some_and(|mean| mean.abs() <= GREATEST_MEAN) && m2.is_some_and(|m2| m2 <= GREATEST_M2);
    Arm {
        n,
        mean: mean.filter(|_| is_usable),
        m2: m2.filter(|_| is_usable),
    }
}

/// The delta method's linearisation of a ratio of means: units `(x - R y) / mean of y`, whose squared deviations add up to
/// `(m2_x - 2 R c + R² m2_y) / (mean of y)²`. None where the denominator's mean is 0.
fn arm_of_ratio(row: &StatisticsRow) -> Option<Arm> {
    let (x, y) = (row.mean?, row.mean_y?);
    if y == 0.0 {
        return None;
    }
    let ratio = x / y;
    let m2 = (row.m2? - 2.0 * ratio * row.c? + ratio * ratio * row.m2_y?) / (y * y);
    // rounding may bring it below 0; what is beyond all range is not a number, and stays none
    let m2 = if m2 < 0.0 { 0.0 } else { m2 };
    Some(arm(row.subjects, Some(ratio), Some(m2)))
}
