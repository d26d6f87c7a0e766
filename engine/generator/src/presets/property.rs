//! Small and nasty: everything that the semantics speak of, often, and much of it at once.

use std::time::Duration;

use super::{DAY, HOUR, MINUTE, constant, experiment, metric, ratio, start, texts, tumbling};
use crate::config::{
    AllocationEpoch, CrossoverPolicy, Draws, ExperimentPlan, GeneratorConfig, MetricPlan, MetricType, PartitionBy,
    Rates, TimePlan, WindowPlan,
};
use crate::random::{Random, mix};

const SALT: u64 = 0x7072_6F70;
const EVENTS: u64 = 4000;

impl GeneratorConfig {
    /// A stream for tests that compare two computations: 4,000 events (set `events` for more) of several tenants in one to three
    /// partitions, in every spelling, with all event types, every aggregation, ratios, caps, segments, dated allocations, undeclared
    /// experiments and metrics, tied event times, and a great share of crossovers, duplicates, late and bad records. Times, windows,
    /// policy and shapes follow from the seed: three seeds in a row have the three crossover policies.
    #[must_use]
    pub fn property(seed: u64) -> Self {
        let mut random = Random::new(mix(seed, SALT));
        let time = time(&mut random);
        let partitions = 1 + (random.below(3) as u16);
        let partition_by = random.one_of(&[PartitionBy::Subject, PartitionBy::Record], PartitionBy::Subject);
        let in_order = time.max_out_of_orderness + time.allowed_lateness;
        // records that are delivered twice in two partitions must not be late in either: see `arrival`
        let disorder = match partition_by {
            PartitionBy::Record => in_order,
            PartitionBy::Subject => random.one_of(&[in_order, MINUTE * 4], in_order),
        };
        let span = HOUR * (3 + random.below(5) as u32);
        Self {
            events: EVENTS,
            seed,
            start: start() + random.one_of(&[Duration::ZERO, Duration::from_secs(4567)], Duration::ZERO),
            span,
            subjects: Some(40 + random.below(400) as u32),
            partitions,
            partition_by,
            tenants: texts(&["", "acme", "globex"]),
            platforms: texts(&["ios", "android", "web", ""]),
            experiments: experiments(&mut random, span),
            metrics: metrics(&mut random),
            windows: windows(&mut random),
            time,
            crossovers: match seed % 3 {
                0 => CrossoverPolicy::Exclude,
                1 => CrossoverPolicy::FirstVariant,
                _ => CrossoverPolicy::LastVariant,
            },
            rates: rates(disorder),
            draws: Draws::Independent,
            time_grain: random.one_of(&[Duration::from_micros(1), Duration::from_secs(1), MINUTE], MINUTE),
            mixed_spellings: true,
        }
    }
}

fn rates(disorder: Duration) -> Rates {
    Rates {
        second_experiment: 0.4,
        repeat_exposure: 0.3,
        crossover: 0.08,
        assignment: 0.2,
        error: 0.1,
        signal: 0.05,
        without_experiment: 0.15,
        without_exposure: 0.03,
        before_exposure: 0.05,
        duplicate: 0.05,
        bad: 0.02,
        late: 0.05,
        too_late: 0.03,
        late_exposures: true,
        disorder,
    }
}

fn time(random: &mut Random) -> TimePlan {
    TimePlan {
        max_out_of_orderness: random.one_of(&[Duration::ZERO, Duration::from_secs(10), MINUTE * 2], MINUTE),
        allowed_lateness: random.one_of(&[Duration::ZERO, MINUTE, MINUTE * 5], MINUTE),
        correction_horizon: random.one_of(&[MINUTE * 20, HOUR, HOUR * 3], HOUR),
    }
}

fn windows(random: &mut Random) -> Vec<WindowPlan> {
    let offset = random.one_of(&[Duration::ZERO, MINUTE * 15], Duration::ZERO);
    let hop = WindowPlan {
        name: "sliding".to_owned(),
        size: random.one_of(&[HOUR * 2, MINUTE * 50], HOUR),
        slide: MINUTE * 15,
        offset: random.one_of(&[Duration::ZERO, MINUTE * 5], Duration::ZERO),
    };
    vec![
        WindowPlan {
            offset,
            ..tumbling("hourly", HOUR)
        },
        hop,
    ]
}

fn experiments(random: &mut Random, span: Duration) -> Vec<ExperimentPlan> {
    let dated = |shares: [[f64; 2]; 2]| {
        let [before, after] = shares.map(|shares| shares.to_vec());
        let since_start = AllocationEpoch {
            from: Duration::ZERO,
            shares: before,
        };
        vec![
            since_start,
            AllocationEpoch {
                from: span / 3,
                shares: after,
            },
        ]
    };
    let mut plans = vec![
        ExperimentPlan {
            attribution_window: random.one_of(&[Some(MINUTE * 20), Some(HOUR * 2)], None),
            segments: texts(&[
                "tenantId",
                "subjectType",
                "attributes.platform",
                "attributes.level",
                "attributes.beta",
            ]),
            ..experiment("checkout")
        },
        ExperimentPlan {
            allocation: dated([[0.9, 0.1], [0.3, 0.7]]),
            attribution_window: Some(HOUR * 2),
            metrics: Some(texts(&["purchase", "click", "latency", "purchasePerClick"])),
            segments: texts(&["attributes.platform"]),
            ..experiment("ramped")
        },
        ExperimentPlan {
            variants: texts(&["A", "B", "C \"quoted\""]),
            allocation: constant(&[1.0, 2.0, 1.0]),
            attribution_window: Some(MINUTE * 45),
            metrics: Some(texts(&["worst", "best", "lastScore", "waitPerView"])),
            ..experiment("prix d'\u{e9}t\u{e9} \"2026\"")
        },
        ExperimentPlan {
            declared: false,
            ..experiment("nobody declared it")
        },
    ];
    if random.chance(0.5) {
        // the default of seven days: windows go on long after the stream
        plans.push(ExperimentPlan {
            metrics: Some(texts(&["purchase", "latency"])),
            ..experiment("long-lived")
        });
    }
    plans
}

fn metrics(random: &mut Random) -> Vec<MetricPlan> {
    let cap = random.one_of(&[None, Some(40.0)], None);
    let floor = random.one_of(&[None, Some(2.5)], None);
    let folded = |name: &str, outcome_type: MetricType, aggregation: &str| MetricPlan {
        aggregation: Some(aggregation.to_owned()),
        again: 0.4,
        floor_cents: 1,
        scale_cents: 1500,
        zero_share: 0.1,
        delay: MINUTE * 15,
        ..metric(name, outcome_type)
    };
    let undeclared = |plan: MetricPlan| MetricPlan {
        declared: false,
        ..plan
    };
    vec![
        MetricPlan {
            winsorize: (floor, cap),
            probability: 0.4,
            negative_share: 0.1,
            ..folded("purchase", MetricType::Continuous, "sum")
        },
        folded("views", MetricType::Count, "count"),
        MetricPlan {
            probability: 0.4,
            winsorize: (None, cap),
            ..folded("latency", MetricType::Duration, "mean")
        },
        MetricPlan {
            negative_share: 0.5,
            ..folded("best", MetricType::Continuous, "max")
        },
        MetricPlan {
            negative_share: 0.5,
            ..folded("worst", MetricType::Continuous, "min")
        },
        MetricPlan {
            attribution_window: Some(random.one_of(&[MINUTE * 10, DAY], DAY)),
            ..folded("lastScore", MetricType::Continuous, "last")
        },
        MetricPlan {
            probability: 0.4,
            again: 0.3,
            zero_share: 0.3,
            ..metric("click", MetricType::Binary)
        },
        MetricPlan {
            zero_share: 0.4,
            ..folded("flagged", MetricType::Continuous, "any")
        },
        ratio("purchasePerClick", "purchase", "click"),
        ratio("waitPerView", "latency", "views"),
        ratio("spread", "best", "worst"),
        undeclared(MetricPlan {
            again: 0.5,
            ..metric("blink", MetricType::Binary)
        }),
        undeclared(folded("mystery", MetricType::Continuous, "sum")),
    ]
}
