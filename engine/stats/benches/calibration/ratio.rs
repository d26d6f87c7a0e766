//! False alarms of a sample ratio mismatch, with every allocation as configured, read after every event.

use backplane_stats::srm::{Concentration, SrmPath, chi_square};

use crate::bound::{Verdict, percent};
use crate::random::Random;

const SEED: u64 = 0x5261_7469;

/// Allocations, and what they are called.
const ALLOCATIONS: [(&str, &[f64]); 3] = [
    ("50/50", &[0.5, 0.5]),
    ("90/10", &[0.9, 0.1]),
    ("1/3 each", &[1.0 / 3.0, 1.0 / 3.0, 1.0 / 3.0]),
];

/// The last is that of an alert: `E >= 1000`.
const LEVELS: [f64; 3] = [0.05, 0.01, 0.001];

/// Levels of a chi-square test that is read as if it were read once.
const CHI_SQUARE_LEVELS: [f64; 2] = [0.01, 0.001];

/// Below this no one reads a chi-square test.
const LEAST_EXPECTED: f64 = 5.0;

/// Prints how many healthy streams raised an alarm, and tells whether no more did than chance allows.
pub fn false_alarms(streams: u32, events: u64) -> bool {
    println!("\n### False alarms: sample ratio\n");
    println!(
        "{streams} healthy streams of {events} subjects, read after every subject. *Allowed* is the 99.9 % quantile of a binomial.\n"
    );
    println!("| allocation | test | level | streams with an alarm | allowed | holds |");
    println!("|---|---|---|---|---|---|");
    let mut all_hold = true;
    for (experiment, (name, shares)) in (0..).zip(ALLOCATIONS) {
        let alarms = Alarms::count(SEED + experiment, shares, streams, events);
        for (alpha, alarms) in LEVELS.into_iter().zip(alarms.mixture) {
            let verdict = Verdict { alarms, streams, alpha };
            all_hold &= verdict.holds();
            let (share, allowed, word) = (verdict.share(), verdict.allowed(), verdict.word());
            println!("| {name} | sequential mixture | {alpha} | {share} | {allowed} | {word} |");
        }
        let compared = compared(streams);
        for (alpha, alarms) in CHI_SQUARE_LEVELS.into_iter().zip(alarms.chi_square) {
            let share = percent(alarms, compared);
            println!("| {name} | chi-square, {compared} streams, for comparison | {alpha} | {share} | | |");
        }
    }
    all_hold
}

/// How many streams had an alarm, by level.
#[derive(Default)]
struct Alarms {
    mixture: [u32; LEVELS.len()],
    chi_square: [u32; CHI_SQUARE_LEVELS.len()],
}

impl Alarms {
    fn count(experiment: u64, shares: &[f64], streams: u32, events: u64) -> Self {
        let mut alarms = Alarms::default();
        for stream in 0..streams {
            let arms = || arms(experiment, stream, shares, events);
            let log_e = greatest_log_e(shares, arms());
            for (alarms, alpha) in alarms.mixture.iter_mut().zip(LEVELS) {
                *alarms += u32::from(log_e >= -alpha.ln());
            }
            if stream < compared(streams) {
                let p = least_p(shares, arms());
                for (alarms, alpha) in alarms.chi_square.iter_mut().zip(CHI_SQUARE_LEVELS) {
                    *alarms += u32::from(p < alpha);
                }
            }
        }
        alarms
    }
}

/// How many streams are compared with a chi-square test.
fn compared(streams: u32) -> u32 {
    streams.div_ceil(4)
}

/// The arms that the subjects of a stream come to.
fn arms(experiment: u64, stream: u32, shares: &[f64], events: u64) -> impl Iterator<Item = usize> {
    let mut random = Random::new(experiment, stream);
    (0..events).map(move |_| random.index(shares))
}

/// The greatest logarithm of the e-value over a stream of subjects.
fn greatest_log_e(shares: &[f64], arms: impl Iterator<Item = usize>) -> f64 {
    let mut path = SrmPath::new(Concentration::Mixture).expect("the mixture has its concentrations");
    let epoch = path.begin_epoch(shares).expect("shares are weights");
    let mut increments = vec![0; shares.len()];
    for arm in arms {
        increments.fill(0);
        increments[arm] = 1;
        path.add(epoch, &increments).expect("counts are small");
        path.evaluate();
    }
    path.process().log_e_max()
}

/// The least p-value of the chi-square test over a stream of subjects.
fn least_p(shares: &[f64], arms: impl Iterator<Item = usize>) -> f64 {
    let mut counts = vec![0; shares.len()];
    let mut least = 1.0_f64;
    for arm in arms {
        counts[arm] += 1;
        let test = chi_square(&counts, shares).expect("shares are weights");
        if test.min_expected >= LEAST_EXPECTED {
            least = least.min(test.p);
        }
    }
    least
}
