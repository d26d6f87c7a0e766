//! How long the evaluations of a day take: 1,440 of them, one a minute, of 20 experiments with two variants and three metrics, all of which
//! move every minute, handed over by 8 shards ten minutes at a time, and judged in batches of an hour.
//!
//! Prints a table. Evaluating does not depend on how many subjects there are.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench may fail where its set-up does"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use backplane_config::{Config, Experiment, Metric};
use backplane_runtime::declared::plan_of;
use backplane_runtime::evaluation::{EvaluationContext, Evaluations};
use backplane_runtime::names::JobNames;
use backplane_runtime::partial::{Counts, MetricPartial, PartialKey};
use backplane_runtime::plan::{ExperimentDefinition, Plan, SHARDS};
use backplane_runtime::snapshot::{AssignedVariants, RecordTally, ShardChanges};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXPERIMENTS: u32 = 20;
const METRICS: u32 = 3;
const EVALUATIONS: i64 = 1_440;
/// A job of two million events a day reads about so many minutes of them in a round.
const ROUND: i64 = 10;
const MINUTE: i64 = 60_000_000;
/// 2026-01-05T00:00:00Z.
const START: i64 = 1_767_571_200_000_000;
const ROUNDS: usize = 5;

/// What a job of such experiments would hand over.
struct Day {
    plan: Plan,
    definitions: Vec<Arc<ExperimentDefinition>>,
    names: JobNames,
}

impl Day {
    fn new() -> Self {
        let config = Config {
            metrics: (0..METRICS)
                .map(|metric| Metric::new(format!("metric-{metric}")))
                .collect(),
            experiments: (0..EXPERIMENTS)
                .map(|index| Experiment::new(format!("experiment-{index}")).allocated([("a", 0.5), ("b", 0.5)]))
                .collect(),
            ..Config::default()
        };
        let plan = plan_of(&config).expect("a plan");
        let mut names = JobNames::default();
        for metric in &plan.metric_names {
            names.metrics.intern(metric);
        }
        for experiment in &plan.experiments {
            names.experiments.intern(&experiment.name);
        }
        for variant in ["a", "b"] {
            names.variants.intern(variant);
        }
        let definitions = (0..EXPERIMENTS).map(|experiment| plan.define(experiment)).collect();
        Day {
            plan,
            definitions,
            names,
        }
    }

    fn context(&self) -> EvaluationContext<'_> {
        EvaluationContext {
            plan: &self.plan,
            definitions: &self.definitions,
            names: &self.names,
        }
    }
}

/// What one shard hands over in a round, from evaluation `first` on: a few subjects more each minute, all of them matured.
fn round_of(shard: usize, first: i64) -> ShardChanges {
    let mut changes = ShardChanges::default();
    for evaluation in first..first + ROUND {
        for experiment in 0..EXPERIMENTS {
            let tally = RecordTally {
                exposures: 7 * evaluation,
                outcomes: 2 * evaluation,
                outcomes_before_exposure: 0,
            };
            changes.push(
                START + evaluation * MINUTE,
                experiment,
                tally,
                AssignedVariants::default(),
            );
            for variant in 0..2 {
                push_group(shard, evaluation, experiment, variant, &mut changes);
            }
        }
    }
    changes
}

fn push_group(shard: usize, evaluation: i64, experiment: u32, variant: u32, changes: &mut ShardChanges) {
    // alike but not the same in both variants
    let subjects = 3 * evaluation + (evaluation * 7 + i64::from(variant) * 3 + shard as i64) % 5;
    let key = PartialKey {
        experiment,
        variant,
        segment: None,
    };
    changes.push_group(key, Counts::from_elem(subjects, 1), subjects, 0);
    let metrics = (0..METRICS).map(|metric| {
        let mut partial = MetricPartial::default();
        let with_outcome = u64::try_from(subjects / 3).unwrap_or(0);
        partial.totals.moments = backplane_stats::Moments::repeated(1.0 + f64::from(metric), with_outcome);
        partial.totals.outcomes = subjects / 3;
        partial.totals.not_binary = subjects / 3;
        (metric, partial)
    });
    changes.push_matured(Counts::from_elem(subjects, 1), metrics, std::iter::empty());
}

fn day(day: &Day) -> Duration {
    let context = day.context();
    let mut evaluations = Evaluations::new(&day.plan).expect("queries");
    let mut spent = Duration::ZERO;
    for hour in 0..=EVALUATIONS / 60 {
        for first in (hour * 60..(hour + 1) * 60).step_by(ROUND as usize) {
            let shards: Vec<ShardChanges> = (0..SHARDS).map(|shard| round_of(shard, first)).collect();
            let started = Instant::now();
            evaluations
                .advance(&context, &shards, START + (first + ROUND - 1) * MINUTE)
                .expect("evaluations");
            spent += started.elapsed();
        }
        let started = Instant::now();
        let signals = evaluations.judge(&context).expect("evaluations");
        spent += started.elapsed();
        assert!(signals.len() < 100, "healthy experiments raise little");
        if hour == 0 {
            // the first run plans the queries, once in the life of a job
            spent = Duration::ZERO;
        }
    }
    spent
}

fn main() {
    let set_up = Day::new();
    let mut times: Vec<Duration> = (0..ROUNDS).map(|_| day(&set_up)).collect();
    times.sort();
    let median = times.get(ROUNDS / 2).copied().unwrap_or_default();
    println!("| evaluations of a day | seconds, median of {ROUNDS} | microseconds an evaluation of an experiment |");
    println!("|---|---|---|");
    println!(
        "| {EVALUATIONS} x {EXPERIMENTS} experiments x {METRICS} metrics, an hour a batch | {:.3} | {:.1} |",
        median.as_secs_f64(),
        median.as_secs_f64() * 1e6 / (EVALUATIONS as f64 * f64::from(EXPERIMENTS))
    );
}
