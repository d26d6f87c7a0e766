//! False alarms of an effect, with both arms alike, read after every event.

use backplane_stats::{AlwaysValidPath, Moments, Sample, welch};

use crate::bound::{Verdict, percent};
use crate::random::Random;

const SEED: u64 = 0x4566_6665;
const SMALL_ARM_SEED: u64 = 0x536d_616c;

const LEVELS: [f64; 2] = [0.05, 0.01];

const TUNINGS: [f64; 2] = [5_000.0, 20_000.0];

/// The burn-in that is advised for arms of equal size, ...
const BURN_IN: u64 = 100;
/// ... and those that are tried where one is small.
const SMALL_ARM_BURN_INS: [u64; 4] = [100, 500, NINE_TO_ONE_BURN_IN, 2_000];
/// The one that the engine asks for at nine to one: `100 · 20 (1 - b)² / (1 + b)` with `b = 1/9`.
const NINE_TO_ONE_BURN_IN: u64 = 1_422;

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

/// A test as it is watched.
#[derive(Clone, Copy)]
struct Watch {
    alpha: f64,
    tuning_n: f64,
    /// Subjects that each arm has before anything is read.
    burn_in: u64,
}

/// Streams without an effect.
#[derive(Clone, Copy)]
struct Streams {
    experiment: u64,
    outcome: Outcome,
    treatment_share: f64,
    streams: u32,
    events: u64,
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
    let watches = TUNINGS.into_iter().flat_map(|tuning_n| {
        LEVELS.map(|alpha| Watch {
            alpha,
            tuning_n,
            burn_in: BURN_IN,
        })
    });
    let watches: Vec<Watch> = watches.collect();
    let mut all_hold = true;
    for (experiment, outcome) in (SEED..).zip(Outcome::ALL) {
        let healthy = Streams {
            experiment,
            outcome,
            treatment_share: 0.5,
            streams,
            events,
        };
        for (watch, alarms) in watches.iter().zip(healthy.alarms(&watches)) {
            let verdict = Verdict {
                alarms,
                streams,
                alpha: watch.alpha,
            };
            all_hold &= verdict.holds();
            let (name, share, allowed, word) = (outcome.name(), verdict.share(), verdict.allowed(), verdict.word());
            let Watch { alpha, tuning_n, .. } = watch;
            println!("| {name} | always valid, `tuning_n` {tuning_n} | {alpha} | {share} | {allowed} | {word} |");
        }
    }
    let watched_once = Streams {
        experiment: SEED,
        outcome: Outcome::Normal,
        treatment_share: 0.5,
        streams: streams.div_ceil(4),
        events,
    };
    watched_once.print_welch();
    all_hold
}

/// Prints where the guarantee, which is asymptotic, does not hold yet: arms of unequal size and outcomes whose variance a small arm
/// has not seen. Tells whether it holds from the engine's burn-in on.
pub fn limits(streams: u32, events: u64) -> bool {
    println!("\n### False alarms: effects in small arms\n");
    println!(
        "{streams} streams of {events} subjects, one in ten of them in the treatment, without an effect; level 0.05, `tuning_n` 5000, by the number of \
         subjects in the smaller arm from which on it is read. The test is asymptotic, and this is where that shows: at 0.05 chance allows {}.\n",
        Verdict {
            alarms: 0,
            streams,
            alpha: 0.05
        }
        .allowed()
    );
    let columns: Vec<String> = SMALL_ARM_BURN_INS
        .iter()
        .map(|burn_in| format!(" from {burn_in} |"))
        .collect();
    println!("| outcome |{}", columns.concat());
    println!("|---|{}", "---|".repeat(SMALL_ARM_BURN_INS.len()));
    let watches = SMALL_ARM_BURN_INS.map(|burn_in| Watch {
        alpha: 0.05,
        tuning_n: 5_000.0,
        burn_in,
    });
    let mut holds = true;
    for (experiment, outcome) in (SMALL_ARM_SEED..).zip(Outcome::ALL) {
        let healthy = Streams {
            experiment,
            outcome,
            treatment_share: 0.1,
            streams,
            events,
        };
        let alarms = healthy.alarms(&watches);
        let shares: Vec<String> = alarms
            .iter()
            .map(|alarms| format!(" {} |", percent(*alarms, streams)))
            .collect();
        println!("| {} |{}", outcome.name(), shares.concat());
        for (watch, alarms) in watches.iter().zip(alarms) {
            let verdict = Verdict {
                alarms,
                streams,
                alpha: watch.alpha,
            };
            holds &= watch.burn_in != NINE_TO_ONE_BURN_IN || verdict.holds();
        }
    }
    holds
}

impl Streams {
    /// How many of these streams had an alarm, by test.
    fn alarms(&self, watches: &[Watch]) -> Vec<u32> {
        let mut counted = vec![0; watches.len()];
        for stream in 0..self.streams {
            let path = |watch: &Watch| AlwaysValidPath::new(watch.alpha, watch.tuning_n, watch.burn_in);
            let mut paths: Vec<AlwaysValidPath> = watches
                .iter()
                .map(|watch| path(watch).expect("a level and a size"))
                .collect();
            self.each_pair(stream, |control, treatment| {
                for path in &mut paths {
                    path.evaluate(control, treatment).expect("outcomes are small");
                }
            });
            for ((alarms, watch), path) in counted.iter_mut().zip(watches).zip(&paths) {
                *alarms += u32::from(path.process().log_e_max() >= -watch.alpha.ln());
            }
        }
        counted
    }

    /// Calls with both arms after every subject of a stream.
    fn each_pair(&self, stream: u32, mut call: impl FnMut(&Sample, &Sample)) {
        let mut random = Random::new(self.experiment, stream);
        let mut moments = [Moments::new(); 2];
        let mut samples = moments.map(|moments| Sample::from(&moments));
        for _ in 0..self.events {
            let arm = usize::from(random.chance(self.treatment_share));
            moments[arm].add(self.outcome.draw(&mut random));
            samples[arm] = Sample::from(&moments[arm]);
            let [control, treatment] = &samples;
            call(control, treatment);
        }
    }

    /// The test that is to be read once, read as often.
    fn print_welch(&self) {
        for alpha in LEVELS {
            let mut alarms = 0;
            for stream in 0..self.streams {
                let mut alarm = false;
                self.each_pair(stream, |control, treatment| {
                    if alarm || control.n.min(treatment.n) < BURN_IN {
                        return;
                    }
                    let result = welch(control, treatment, alpha).expect("outcomes are small");
                    alarm = result.test.tested().is_some_and(|test| test.p < alpha);
                });
                alarms += u32::from(alarm);
            }
            let (name, share) = (self.outcome.name(), percent(alarms, self.streams));
            println!(
                "| {name} | Welch, {} streams, for comparison | {alpha} | {share} | | |",
                self.streams
            );
        }
    }
}
