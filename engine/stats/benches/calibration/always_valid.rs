//! False alarms of an effect, with both arms alike, read after every event.

use backplane_stats::{AlwaysValidPath, Moments, Sample, welch};

use crate::bound::{Verdict, percent};
use crate::random::Random;

const SEED: u64 = 0x4566_6665;

const LEVELS: [f64; 2] = [0.05, 0.01];

const TUNINGS: [f64; 2] = [5_000.0, 20_000.0];

/// Subjects that each arm has before anything is read.
const BURN_IN: u64 = 100;

/// What subjects do.
#[derive(Clone, Copy)]
enum Outcome {
    Normal,
    Bernoulli(f64),
    Lognormal,
    ZeroInflatedLognormal,
}

impl Outcome {
    const ALL: [Outcome; 5] = [
        Outcome::Normal,
        Outcome::Bernoulli(0.3),
        Outcome::Bernoulli(0.01),
        Outcome::Lognormal,
        Outcome::ZeroInflatedLognormal,
    ];

    const SIGMA: f64 = 1.5;

    fn name(self) -> String {
        match self {
            Outcome::Normal => "normal".to_owned(),
            Outcome::Bernoulli(rate) => format!("Bernoulli {rate}"),
            Outcome::Lognormal => format!("lognormal, σ {}", Self::SIGMA),
            Outcome::ZeroInflatedLognormal => format!("90 % zeros, else lognormal, σ {}", Self::SIGMA),
        }
    }

    fn draw(self, random: &mut Random) -> f64 {
        match self {
            Outcome::Normal => random.normal(),
            Outcome::Bernoulli(rate) => f64::from(u8::from(random.chance(rate))),
            Outcome::Lognormal => random.lognormal(Self::SIGMA),
            Outcome::ZeroInflatedLognormal if random.chance(0.9) => 0.0,
            Outcome::ZeroInflatedLognormal => random.lognormal(Self::SIGMA),
        }
    }
}

/// Prints how many healthy streams raised an alarm, and tells whether no more did than chance allows.
pub fn false_alarms(streams: u32, events: u64) -> bool {
    println!("\n### False alarms: effects\n");
    println!(
        "{streams} streams of {events} subjects, half of them in each arm, without an effect; read after every subject from {BURN_IN} an arm on. \
         The absolute scale.\n"
    );
    println!("| outcome | test | level | streams with an alarm | allowed | holds |");
    println!("|---|---|---|---|---|---|");
    let mut all_hold = true;
    for (experiment, outcome) in (0..).zip(Outcome::ALL) {
        let name = outcome.name();
        for (watch, alarms) in alarms(SEED + experiment, outcome, streams, events) {
            let verdict = Verdict {
                alarms,
                streams,
                alpha: watch.alpha,
            };
            all_hold &= verdict.holds();
            let (share, allowed, word) = (verdict.share(), verdict.allowed(), verdict.word());
            let Watch { alpha, tuning_n } = watch;
            println!("| {name} | always valid, `tuning_n` {tuning_n} | {alpha} | {share} | {allowed} | {word} |");
        }
    }
    watched_welch(streams.div_ceil(4), events);
    all_hold
}

/// A test as it is watched.
#[derive(Clone, Copy)]
struct Watch {
    alpha: f64,
    tuning_n: f64,
}

/// How many streams had an alarm, by test.
fn alarms(experiment: u64, outcome: Outcome, streams: u32, events: u64) -> Vec<(Watch, u32)> {
    let watches = TUNINGS
        .into_iter()
        .flat_map(|tuning_n| LEVELS.map(|alpha| Watch { alpha, tuning_n }));
    let mut counted: Vec<(Watch, u32)> = watches.map(|watch| (watch, 0)).collect();
    for stream in 0..streams {
        let mut paths: Vec<AlwaysValidPath> = counted
            .iter()
            .map(|(watch, _)| AlwaysValidPath::new(watch.alpha, watch.tuning_n, BURN_IN).expect("a level and a size"))
            .collect();
        each_pair(
            &mut Random::new(experiment, stream),
            outcome,
            events,
            |control, treatment| {
                for path in &mut paths {
                    path.evaluate(control, treatment).expect("outcomes are small");
                }
            },
        );
        for ((watch, alarms), path) in counted.iter_mut().zip(&paths) {
            *alarms += u32::from(path.process().log_e_max() >= -watch.alpha.ln());
        }
    }
    counted
}

/// Calls with both arms after every subject.
fn each_pair(random: &mut Random, outcome: Outcome, events: u64, mut call: impl FnMut(&Sample, &Sample)) {
    let mut moments = [Moments::new(); 2];
    let mut samples = moments.map(|moments| Sample::from(&moments));
    for _ in 0..events {
        let arm = usize::from(random.chance(0.5));
        moments[arm].add(outcome.draw(random));
        samples[arm] = Sample::from(&moments[arm]);
        let [control, treatment] = &samples;
        call(control, treatment);
    }
}

/// The test that is to be read once, read as often, on normal outcomes.
fn watched_welch(streams: u32, events: u64) {
    for alpha in LEVELS {
        let mut alarms = 0;
        for stream in 0..streams {
            let mut alarm = false;
            each_pair(
                &mut Random::new(SEED, stream),
                Outcome::Normal,
                events,
                |control, treatment| {
                    if alarm || control.n.min(treatment.n) < BURN_IN {
                        return;
                    }
                    let result = welch(control, treatment, alpha).expect("outcomes are small");
                    alarm = result.test.tested().is_some_and(|test| test.p < alpha);
                },
            );
            alarms += u32::from(alarm);
        }
        let share = percent(alarms, streams);
        println!("| normal | Welch, {streams} streams, for comparison | {alpha} | {share} | | |");
    }
}
