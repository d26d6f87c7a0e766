//! Visits of subjects: who is exposed to what, and what comes of it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::{AllocationEpoch, Draws, ExperimentPlan, GeneratorConfig, MetricPlan, micros};
use crate::random::{Even, Random, exponential_of, mix, scaled, unit_of};
use crate::record::{Kind, NO_EXPERIMENT, Record, STRANGERS};

/// The records of all visits in event time, `wanted` of them, without disorder, duplicates and bad records.
/// Fewer, if the flag is set meanwhile.
pub(crate) fn simulate(config: &GeneratorConfig, wanted: usize, stop: &AtomicBool) -> Vec<Record> {
    let goes_on = || !stop.load(Ordering::Relaxed);
    // How many visits it takes is only known afterwards, and the visits are to fill the span evenly: a first pass counts them.
    let mut rehearsal = Simulation::new(config, 1);
    while rehearsal.records.len() < wanted && goes_on() {
        rehearsal.visit();
    }
    let mut simulation = Simulation::new(config, rehearsal.visits);
    simulation.records = rehearsal.records;
    simulation.records.clear();
    while simulation.records.len() < wanted && goes_on() {
        simulation.visit();
    }
    simulation.records.truncate(wanted);
    simulation.records
}

struct Simulation<'a> {
    config: &'a GeneratorConfig,
    random: Random,
    records: Vec<Record>,
    visits: u64,
    /// Over how many visits the span is spread.
    planned_visits: u64,
    next_id: u32,
    strangers: u32,
    start: i64,
    span: i64,
    grain: i64,
    arms: Vec<Vec<Arm>>,
    credits: Vec<Vec<f64>>,
    total_traffic: f64,
}

/// The even draws of one variant, for each metric: whether there is an outcome, and its value.
struct Arm {
    metrics: Vec<(Even, Even)>,
}

/// A subject in an experiment.
#[derive(Clone, Copy)]
struct Membership {
    experiment: u16,
    variant: u8,
    subject: u32,
    /// The time of the exposure, in microseconds since the start of the stream.
    exposed: i64,
}

impl<'a> Simulation<'a> {
    fn new(config: &'a GeneratorConfig, planned_visits: u64) -> Self {
        // all arms of an experiment begin at the same place of the same sequences: what differs between them was planted
        let arms = |(index, plan): (u64, &ExperimentPlan)| {
            let draws = |(metric, _): (u64, &MetricPlan)| {
                let start = mix(config.seed, (index << 8) + metric);
                (Even::new(start, Even::GOLDEN), Even::new(start, Even::ROOT_2))
            };
            let arm = |_: &String| Arm {
                metrics: (0u64..).zip(&config.metrics).map(draws).collect(),
            };
            plan.variants.iter().map(arm).collect()
        };
        Self {
            config,
            random: Random::new(config.seed),
            records: Vec::new(),
            visits: 0,
            planned_visits,
            next_id: 0,
            strangers: 0,
            start: config.start.timestamp_micros(),
            span: micros(config.span),
            grain: micros(config.time_grain).max(1),
            arms: (0u64..).zip(&config.experiments).map(arms).collect(),
            credits: config
                .experiments
                .iter()
                .map(|plan| vec![0.0; plan.variants.len()])
                .collect(),
            total_traffic: config.experiments.iter().map(|plan| plan.traffic).sum(),
        }
    }

    fn visit(&mut self) {
        let number = self.visits;
        self.visits += 1;
        let subject = match self.config.subjects {
            Some(pool) => u32::try_from(number % u64::from(pool.max(1))).unwrap_or(0),
            None => u32::try_from(number).unwrap_or(0),
        };
        let within = scaled(self.random.bits(), 1 << 20);
        let visited = self.time_of_visit(number, within);
        let memberships = self.enrol(subject, visited);
        for membership in memberships.into_iter().flatten() {
            self.expose(membership);
            self.bring_outcomes(membership);
            self.expose_again(membership);
        }
        self.bring_the_rest(subject, visited);
    }

    fn time_of_visit(&self, number: u64, within: u64) -> i64 {
        let position = (u128::from(number % self.planned_visits) << 20) + u128::from(within);
        let scaled = position * self.span.unsigned_abs() as u128 / (u128::from(self.planned_visits) << 20);
        i64::try_from(scaled).unwrap_or(0)
    }

    /// One experiment or two; those of a subject that comes back are the same as before.
    fn enrol(&mut self, subject: u32, visited: i64) -> [Option<Membership>; 2] {
        let traits = mix(self.config.seed, u64::from(subject));
        let first = self.experiment_of(unit_of(mix(traits, 1)));
        let second = self.experiment_of(unit_of(mix(traits, 2)));
        let in_both = second != first && unit_of(mix(traits, 3)) < self.config.rates.second_experiment;
        let mut enter = |experiment: u16| {
            let variant = self.assign(experiment, subject, visited, traits);
            Membership {
                experiment,
                variant,
                subject,
                exposed: visited,
            }
        };
        [Some(enter(first)), in_both.then(|| enter(second))]
    }

    fn experiment_of(&self, unit: f64) -> u16 {
        let mut left = unit * self.total_traffic;
        for (index, plan) in (0u16..).zip(&self.config.experiments) {
            left -= plan.traffic;
            if left < 0.0 {
                return index;
            }
        }
        0
    }

    fn plan(&self, experiment: u16) -> Option<&'a ExperimentPlan> {
        self.config.experiments.get(usize::from(experiment))
    }

    /// The variant of a subject under the allocation of this moment.
    fn assign(&mut self, experiment: u16, subject: u32, at: i64, traits: u64) -> u8 {
        let Some(plan) = self.plan(experiment) else { return 0 };
        let (epoch, shares) = allocation_at(&plan.allocation, at);
        let total: f64 = shares.iter().sum();
        match self.config.draws {
            Draws::Independent => {
                // a returning subject keeps its variant as long as the allocation stands
                let salt = (u64::from(experiment) << 16) + epoch as u64;
                let mut left = unit_of(mix(traits, mix(salt, u64::from(subject)))) * total;
                for (variant, share) in (0u8..).zip(shares) {
                    left -= share;
                    if left < 0.0 {
                        return variant;
                    }
                }
                0
            }
            Draws::Even => self.assign_evenly(experiment, shares, total),
        }
    }

    /// The variant that lags most behind its share, give or take some chance.
    fn assign_evenly(&mut self, experiment: u16, shares: &[f64], total: f64) -> u8 {
        let Some(credits) = self.credits.get_mut(usize::from(experiment)) else {
            return 0;
        };
        let (mut chosen, mut greatest) = (0u8, f64::NEG_INFINITY);
        for ((variant, credit), share) in (0u8..).zip(credits.iter_mut()).zip(shares) {
            *credit += share / total;
            let drawn = if *share > 0.0 {
                *credit + 3.0 * self.random.unit()
            } else {
                f64::NEG_INFINITY
            };
            if drawn > greatest {
                (chosen, greatest) = (variant, drawn);
            }
        }
        if let Some(credit) = credits.get_mut(usize::from(chosen)) {
            *credit -= 1.0;
        }
        chosen
    }

    fn expose(&mut self, membership: Membership) {
        if self.random.chance(self.config.rates.assignment) {
            let before = self.random.between(0, 2_000_000);
            self.push(Kind::Assignment, membership, membership.exposed - before);
        }
        self.push(Kind::Exposure, membership, membership.exposed);
    }

    fn expose_again(&mut self, membership: Membership) {
        let rates = &self.config.rates;
        if self.random.chance(rates.repeat_exposure) {
            let at = self.later(membership.exposed, 3_600_000_000);
            let variant = self.variant_later(membership, at);
            self.push(Kind::Exposure, Membership { variant, ..membership }, at);
            self.mark_last_as_repeat();
        }
        if self.random.chance(rates.crossover) {
            let at = self.later(membership.exposed, 3_600_000_000);
            let variants = self.plan(membership.experiment).map_or(1, |plan| plan.variants.len()) as u64;
            let steps = 1 + self.random.below(variants.saturating_sub(1));
            let other = (u64::from(membership.variant) + steps) % variants.max(1);
            let variant = u8::try_from(other).unwrap_or(0);
            self.push(Kind::Exposure, Membership { variant, ..membership }, at);
            self.mark_last_as_repeat();
        }
    }

    /// A later exposure shows the same variant, unless the allocation was changed in between: then half are reassigned.
    fn variant_later(&mut self, membership: Membership, at: i64) -> u8 {
        let reassigned = self.random.chance(0.5);
        let Some(plan) = self.plan(membership.experiment) else {
            return membership.variant;
        };
        let (before, _) = allocation_at(&plan.allocation, membership.exposed);
        let (after, shares) = allocation_at(&plan.allocation, at);
        if before == after || !reassigned {
            return membership.variant;
        }
        let total: f64 = shares.iter().sum();
        let mut left = self.random.unit() * total;
        for (variant, share) in (0u8..).zip(shares) {
            left -= share;
            if left < 0.0 {
                return variant;
            }
        }
        membership.variant
    }

    fn mark_last_as_repeat(&mut self) {
        if let Some(record) = self.records.last_mut() {
            record.repeat = true;
        }
    }

    fn bring_outcomes(&mut self, membership: Membership) {
        let config = self.config;
        let Some(plan) = self.plan(membership.experiment) else {
            return;
        };
        for (index, metric) in (0u8..).zip(&config.metrics) {
            if metric.ratio.is_some() || metric.probability <= 0.0 {
                continue;
            }
            let probability = metric.probability * (1.0 + planted_lift(plan, metric, membership.variant));
            let (happens, value) = self.draw(membership, index);
            if happens >= probability {
                continue;
            }
            self.bring_outcome(membership, index, metric, value);
            while self.random.chance(metric.again) {
                let value = self.random.unit();
                self.bring_outcome(membership, index, metric, value);
            }
        }
    }

    /// Two uniform draws: whether there is an outcome, and what its value is.
    fn draw(&mut self, membership: Membership, metric: u8) -> (f64, f64) {
        let even = self.config.draws == Draws::Even;
        let arm = self.arms.get_mut(usize::from(membership.experiment));
        let arm = arm.and_then(|arms| arms.get_mut(usize::from(membership.variant)));
        let draws = arm.and_then(|arm| arm.metrics.get_mut(usize::from(metric)));
        match draws {
            // together they fill the square evenly, so that the values are even among the outcomes too
            Some((happens, value)) if even => (happens.next(), value.next()),
            _ => (self.random.unit(), self.random.unit()),
        }
    }

    fn bring_outcome(&mut self, membership: Membership, index: u8, metric: &MetricPlan, value: f64) {
        let rates = &self.config.rates;
        let at = if self.random.chance(rates.before_exposure) {
            membership.exposed - self.random.between(1, 120_000_000)
        } else {
            let delay = self.random.exponential(micros(metric.delay));
            self.within_span(membership.exposed, membership.exposed + delay)
        };
        let zero = self.random.chance(metric.zero_share);
        let negative = self.random.chance(metric.negative_share);
        let magnitude = metric.floor_cents + (exponential_of(value) * metric.scale_cents as f64) as i64;
        let cents = match (zero, negative) {
            (true, _) => 0,
            (false, true) => -magnitude,
            (false, false) => magnitude,
        };
        let named = !self.random.chance(rates.without_experiment);
        let experiment = if named { membership.experiment } else { NO_EXPERIMENT };
        self.push(
            Kind::Outcome,
            Membership {
                experiment,
                ..membership
            },
            at,
        );
        if let Some(record) = self.records.last_mut() {
            record.metric = index;
            record.cents = cents;
        }
    }

    /// Errors, foreign signals, and outcomes of subjects that nobody exposed.
    fn bring_the_rest(&mut self, subject: u32, visited: i64) {
        let rates = &self.config.rates;
        let traits = mix(self.config.seed, u64::from(subject));
        let experiment = self.experiment_of(unit_of(mix(traits, 1)));
        let here = Membership {
            experiment,
            variant: 0,
            subject,
            exposed: visited,
        };
        if self.random.chance(rates.error) {
            self.push(Kind::Error, here, visited);
        }
        if self.random.chance(rates.signal) {
            self.push(Kind::Signal, here, visited);
        }
        if self.random.chance(rates.without_exposure) {
            let with_outcomes = self.config.metrics.iter().position(|metric| metric.ratio.is_none());
            let stranger = Membership {
                subject: STRANGERS + self.strangers,
                ..here
            };
            self.strangers += 1;
            self.push(Kind::Outcome, stranger, visited);
            if let (Some(record), Some(metric)) = (self.records.last_mut(), with_outcomes) {
                record.metric = u8::try_from(metric).unwrap_or(0);
                record.cents = 100;
            }
        }
    }

    /// A time up to `most` after this one.
    fn later(&mut self, at: i64, most: i64) -> i64 {
        let moved = at + self.random.between(1_000_000, most);
        self.within_span(at, moved)
    }

    /// The time itself, or some time between `from` and the end of the span where it lies beyond that end.
    fn within_span(&mut self, from: i64, at: i64) -> i64 {
        // drawn in any case: the number of draws must not depend on the times
        let instead = self.random.between(from, self.span.max(from + 1));
        if at < self.span { at } else { instead }
    }

    fn push(&mut self, kind: Kind, membership: Membership, at: i64) {
        let time = self.start + at;
        self.records.push(Record {
            arrival: at,
            time: time - time.rem_euclid(self.grain),
            id: self.next_id,
            subject: membership.subject,
            cents: 0,
            experiment: membership.experiment,
            partition: 0,
            variant: membership.variant,
            metric: 0,
            kind,
            repeat: false,
            copied: false,
        });
        self.next_id = self.next_id.wrapping_add(1);
    }
}

/// The index and the shares of the allocation in force; before the first date the first one.
pub(crate) fn allocation_at(epochs: &[AllocationEpoch], at: i64) -> (usize, &[f64]) {
    let later = epochs
        .iter()
        .skip(1)
        .take_while(|epoch| micros(epoch.from) <= at)
        .count();
    (later, epochs.get(later).map_or(&[], |epoch| &epoch.shares))
}

fn planted_lift(plan: &ExperimentPlan, metric: &MetricPlan, variant: u8) -> f64 {
    let variant = plan.variants.get(usize::from(variant));
    let planted = plan
        .effects
        .iter()
        .find(|effect| effect.metric == metric.name && Some(&effect.variant) == variant);
    planted.map_or(0.0, |effect| effect.lift)
}
