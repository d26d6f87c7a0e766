//! Streams that fit a purpose: to show, to measure, to break.

mod bench;
mod demo;
mod property;

pub use bench::BenchShape;

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::config::{AllocationEpoch, ExperimentPlan, Fault, MetricPlan, MetricType, Rates, TimePlan, WindowPlan};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// Monday, 2026-01-05T00:00:00Z.
const START_SECONDS: i64 = 1_767_571_200;

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(START_SECONDS, 0).unwrap_or_default()
}

fn texts(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The engine's own defaults.
fn default_time() -> TimePlan {
    TimePlan {
        max_out_of_orderness: MINUTE / 2,
        allowed_lateness: MINUTE * 5,
        correction_horizon: HOUR,
    }
}

fn tumbling(name: &str, size: Duration) -> WindowPlan {
    WindowPlan {
        name: name.to_owned(),
        size,
        slide: size,
        offset: Duration::ZERO,
    }
}

fn constant(shares: &[f64]) -> Vec<AllocationEpoch> {
    vec![AllocationEpoch {
        from: Duration::ZERO,
        shares: shares.to_vec(),
    }]
}

/// A healthy declared experiment of two equal variants.
fn experiment(name: &str) -> ExperimentPlan {
    ExperimentPlan {
        name: name.to_owned(),
        declared: true,
        traffic: 1.0,
        variants: texts(&["control", "treatment"]),
        allocation: constant(&[0.5, 0.5]),
        declared_allocation: None,
        metrics: None,
        attribution_window: None,
        segments: Vec::new(),
        plan: None,
        effects: Vec::new(),
        fault: Fault::None,
    }
}

/// A declared metric of this type with one outcome of value 1 in ten visits.
fn metric(name: &str, outcome_type: MetricType) -> MetricPlan {
    MetricPlan {
        name: name.to_owned(),
        declared: true,
        outcome_type,
        aggregation: None,
        winsorize: (None, None),
        attribution_window: None,
        ratio: None,
        role: "secondary",
        higher_is_better: true,
        probability: 0.1,
        again: 0.0,
        floor_cents: 100,
        scale_cents: 0,
        zero_share: 0.0,
        negative_share: 0.0,
        delay: MINUTE * 5,
    }
}

fn ratio(name: &str, numerator: &str, denominator: &str) -> MetricPlan {
    MetricPlan {
        ratio: Some((numerator.to_owned(), denominator.to_owned())),
        probability: 0.0,
        ..metric(name, MetricType::Continuous)
    }
}

/// `purchase`, `click` and `latency`, as a shop has them.
fn shop_metrics() -> Vec<MetricPlan> {
    let purchase = MetricPlan {
        aggregation: Some("sum".to_owned()),
        winsorize: (None, Some(500.0)),
        role: "goal",
        probability: 0.12,
        again: 0.05,
        floor_cents: 500,
        scale_cents: 3500,
        delay: MINUTE * 20,
        ..metric("purchase", MetricType::Continuous)
    };
    let click = MetricPlan {
        role: "goal",
        probability: 0.3,
        again: 0.15,
        delay: MINUTE * 2,
        ..metric("click", MetricType::Binary)
    };
    let latency = MetricPlan {
        aggregation: Some("mean".to_owned()),
        role: "guardrail",
        higher_is_better: false,
        probability: 0.6,
        floor_cents: 8000,
        scale_cents: 6000,
        delay: Duration::from_secs(20),
        ..metric("latency", MetricType::Duration)
    };
    vec![purchase, click, latency]
}

/// The irregularities of a well-kept pipeline.
fn usual_rates() -> Rates {
    Rates {
        second_experiment: 0.15,
        repeat_exposure: 0.15,
        crossover: 0.004,
        assignment: 0.3,
        error: 0.02,
        signal: 0.0,
        without_experiment: 0.01,
        without_exposure: 0.003,
        before_exposure: 0.002,
        duplicate: 0.01,
        bad: 0.001,
        late: 0.0003,
        too_late: 0.0001,
        late_exposures: false,
        disorder: Duration::from_secs(20),
    }
}
