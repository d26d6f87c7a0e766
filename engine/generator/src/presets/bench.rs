//! What the benches measure.

use std::time::Duration;

use super::{DAY, HOUR, default_time, experiment, shop_metrics, start, texts, tumbling, usual_rates};
use crate::config::{
    CrossoverPolicy, Draws, ExperimentPlan, GeneratorConfig, MetricPlan, PartitionBy, Rates, SamplePlan,
};

/// The sizes that a bench may vary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BenchShape {
    /// Experiments, all declared.
    pub experiments: u16,
    /// Metrics, all declared; each experiment has all of them.
    pub metrics: u8,
    /// Subjects, who come back where there are more events than they bring at first (about five each).
    pub subjects: u32,
    /// Event time that the stream covers.
    pub span: Duration,
}

impl Default for BenchShape {
    /// 20 experiments, 3 metrics, 400,000 subjects, 24 hours.
    fn default() -> Self {
        Self {
            experiments: 20,
            metrics: 3,
            subjects: 400_000,
            span: DAY,
        }
    }
}

impl GeneratorConfig {
    /// The stream of the benches in its usual shape: 20 experiments, 3 metrics, 400,000 subjects, 24 hours of event time, one
    /// hourly window; an envelope has about 430 bytes.
    #[must_use]
    pub fn bench(events: u64, seed: u64) -> Self {
        Self::bench_of(events, seed, BenchShape::default())
    }

    /// The stream of the benches in another shape.
    #[must_use]
    pub fn bench_of(events: u64, seed: u64, shape: BenchShape) -> Self {
        Self {
            events,
            seed,
            start: start(),
            span: shape.span,
            subjects: Some(shape.subjects),
            partitions: 1,
            partition_by: PartitionBy::Subject,
            tenants: texts(&["acme", "globex", "initech", "umbrella"]),
            platforms: texts(&["web", "ios", "android"]),
            experiments: (1..=shape.experiments)
                .map(|number| bench_experiment(number, shape.span))
                .collect(),
            metrics: bench_metrics(shape.metrics),
            windows: vec![tumbling("hourly", HOUR)],
            time: default_time(),
            crossovers: CrossoverPolicy::Exclude,
            rates: Rates {
                second_experiment: 0.25,
                repeat_exposure: 0.2,
                crossover: 0.003,
                assignment: 0.1,
                error: 0.08,
                bad: 0.0001,
                late: 0.0005,
                ..usual_rates()
            },
            draws: Draws::Independent,
            time_grain: Duration::from_micros(1),
            mixed_spellings: false,
        }
    }
}

fn bench_experiment(number: u16, span: Duration) -> ExperimentPlan {
    let plan = SamplePlan {
        subjects_per_variant: 20_000,
        ends_after: span,
        minimum_effect: 0.02,
    };
    ExperimentPlan {
        attribution_window: Some(6 * HOUR),
        plan: Some(plan),
        ..experiment(&format!("experiment-{number:03}"))
    }
}

/// The shop's three metrics with more outcomes than in a real shop, so that a visit comes to about five lines; more metrics are
/// further ones like them, fewer outcomes each.
fn bench_metrics(count: u8) -> Vec<MetricPlan> {
    let shop = shop_metrics();
    let thinner = 3.0 / f64::from(count.max(3));
    let probabilities = [(0.5, 0.2), (0.8, 0.3), (0.8, 0.0)];
    let of_number = |number: usize| {
        let (metric, (probability, again)) = shop.iter().zip(probabilities).nth(number % 3)?;
        let name = if number < 3 {
            metric.name.clone()
        } else {
            format!("{}-{}", metric.name, number / 3 + 1)
        };
        Some(MetricPlan {
            name,
            probability: probability * thinner,
            again,
            ..metric.clone()
        })
    };
    (0..usize::from(count)).filter_map(of_number).collect()
}
