//! What a newcomer sees first: believable experiments, three of which have a story.

use std::time::Duration;

use super::{DAY, HOUR, constant, default_time, experiment, ratio, shop_metrics, start, texts, tumbling, usual_rates};
use crate::config::{
    AllocationEpoch, CrossoverPolicy, Draws, Effect, ExperimentPlan, Fault, GeneratorConfig, PartitionBy, SamplePlan,
};

const SPAN: Duration = Duration::from_secs(2 * 86_400);

/// Subjects in one half of an experiment of traffic 1, for each line of the stream. Follows from the rates and probabilities below:
/// a visit comes to 2.95 lines and is part of 1.15 experiments, which share a traffic of 6.2.
const SUBJECTS_PER_LINE: f64 = 0.989 / 2.95 * 1.15 / 6.2 / 2.0;

/// How many standard errors each planted fault is away from nothing at the end of the stream, whatever its length.
const BROKEN_ALLOCATION: f64 = 9.0;
const REAL_EFFECT: f64 = 7.0;
/// Beyond the 1.96 of a fixed test, within the bound of an always-valid one.
const EARLY_EFFECT: f64 = 2.4;

impl GeneratorConfig {
    /// The stream of the demonstration: two days of a shop's six experiments. `search-ranking-v2` has a broken allocation,
    /// `one-click-checkout` a real effect on purchases, `pricing-page-layout` looks significant long before its planned sample;
    /// `checkout-button-color`, `recommendation-carousel` (three variants) and `signup-form-length` (ramped from 90/10 to 50/50, as
    /// declared) are healthy. Crossovers, duplicates, late and bad records are there as in a well-kept pipeline: too few to worry.
    ///
    /// The planted sizes shrink as `events` grows, so that each shows as clearly in a short stream as in a long one (from about
    /// 20,000 events on). Chance alone is kept small by even draws: what is not planted does not show, for any seed.
    #[must_use]
    pub fn demo(events: u64, seed: u64) -> Self {
        let per_arm = (events as f64 * SUBJECTS_PER_LINE).max(1.0);
        let mut metrics = shop_metrics();
        metrics.push(ratio("revenuePerClick", "purchase", "click"));
        Self {
            events,
            seed,
            start: start(),
            span: SPAN,
            subjects: None,
            partitions: 1,
            partition_by: PartitionBy::Subject,
            tenants: texts(&["acme", "globex", "initech"]),
            platforms: texts(&["web", "ios", "android"]),
            experiments: experiments(per_arm),
            metrics,
            windows: vec![tumbling("hourly", HOUR)],
            time: default_time(),
            crossovers: CrossoverPolicy::Exclude,
            rates: usual_rates(),
            draws: Draws::Even,
            time_grain: Duration::from_micros(1),
            mixed_spellings: false,
        }
    }
}

fn experiments(per_arm: f64) -> Vec<ExperimentPlan> {
    vec![
        with_plan(experiment("checkout-button-color"), per_arm * 0.8, SPAN),
        broken_allocation(per_arm),
        real_effect(per_arm),
        read_early(per_arm),
        three_variants(per_arm),
        ramped(per_arm),
    ]
}

fn with_plan(plan: ExperimentPlan, subjects_per_variant: f64, ends_after: Duration) -> ExperimentPlan {
    let subjects_per_variant = (subjects_per_variant as u64).max(1);
    let plan_of_samples = SamplePlan {
        subjects_per_variant,
        ends_after,
        minimum_effect: 0.1,
    };
    ExperimentPlan {
        attribution_window: Some(6 * HOUR),
        plan: Some(plan_of_samples),
        ..plan
    }
}

fn broken_allocation(per_arm: f64) -> ExperimentPlan {
    let traffic = 1.2;
    // z = 2 * deviation * sqrt(n) for two equal shares
    let deviation = (BROKEN_ALLOCATION / (2.0 * (2.0 * traffic * per_arm).sqrt())).clamp(0.02, 0.25);
    let healthy = with_plan(experiment("search-ranking-v2"), per_arm * 0.8, SPAN);
    ExperimentPlan {
        traffic,
        allocation: constant(&[0.5 + deviation, 0.5 - deviation]),
        declared_allocation: Some(constant(&[0.5, 0.5])),
        segments: texts(&["attributes.platform"]),
        fault: Fault::BrokenAllocation,
        ..healthy
    }
}

fn real_effect(per_arm: f64) -> ExperimentPlan {
    let healthy = with_plan(experiment("one-click-checkout"), per_arm * 0.8, SPAN);
    ExperimentPlan {
        effects: vec![lift("purchase", 0.12, REAL_EFFECT, per_arm)],
        fault: Fault::RealEffect,
        ..healthy
    }
}

fn read_early(per_arm: f64) -> ExperimentPlan {
    let healthy = with_plan(experiment("pricing-page-layout"), per_arm * 20.0, 28 * DAY);
    ExperimentPlan {
        effects: vec![lift("click", 0.3, EARLY_EFFECT, per_arm)],
        fault: Fault::ReadEarly,
        ..healthy
    }
}

/// The lift of a probability that is so many standard errors of the difference of two proportions.
fn lift(metric: &str, probability: f64, standard_errors: f64, per_arm: f64) -> Effect {
    let standard_error = (2.0 * probability * (1.0 - probability) / per_arm).sqrt();
    let lift = (standard_errors * standard_error / probability).min(1.0);
    Effect {
        metric: metric.to_owned(),
        variant: "treatment".to_owned(),
        lift,
    }
}

fn three_variants(per_arm: f64) -> ExperimentPlan {
    let healthy = with_plan(experiment("recommendation-carousel"), per_arm * 0.4, SPAN);
    ExperimentPlan {
        variants: texts(&["control", "grid", "stories"]),
        allocation: constant(&[2.0, 1.0, 1.0]),
        segments: texts(&["attributes.platform", "tenantId"]),
        ..healthy
    }
}

fn ramped(per_arm: f64) -> ExperimentPlan {
    let healthy = with_plan(experiment("signup-form-length"), per_arm * 0.4, SPAN);
    let allocation = vec![
        AllocationEpoch {
            from: Duration::ZERO,
            shares: vec![0.9, 0.1],
        },
        AllocationEpoch {
            from: SPAN / 2,
            shares: vec![0.5, 0.5],
        },
    ];
    ExperimentPlan { allocation, ..healthy }
}
