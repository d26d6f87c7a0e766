//! How long it takes to evaluate all experiments of a large company once, on one core.

use std::hint::black_box;
use std::time::{Duration, Instant};

use backplane_stats::srm::{Concentration, SrmPath, chi_square};
use backplane_stats::{AlwaysValidPath, Sample, Scale, always_valid, relative_lift, welch};

use crate::random::Random;

const SEED: u64 = 0x5370_6565;

const EXPERIMENTS: usize = 10_000;
const VARIANTS: usize = 4;
const METRICS: usize = 10;
const ROUNDS: usize = 5;

const WEIGHTS: [f64; VARIANTS] = [0.25; VARIANTS];

/// Prints the time of each test for all experiments, variants and metrics.
pub fn one_scorecard_round() {
    let effects = EXPERIMENTS * (VARIANTS - 1) * METRICS;
    println!("\n### Speed\n");
    println!(
        "{EXPERIMENTS} experiments of {VARIANTS} variants and {METRICS} metrics, evaluated once on one core: {effects} effects. \
         Medians of {ROUNDS} rounds.\n"
    );
    println!("| evaluation | calls | seconds | ns a call |");
    println!("|---|---|---|---|");
    let mut random = Random::new(SEED, 0);
    let experiments: Vec<Experiment> = (0..EXPERIMENTS).map(|_| Experiment::draw(&mut random)).collect();
    sample_ratios(&experiments);
    row("Welch, with its interval", effects, || {
        each_effect(&experiments, |control, treatment| {
            black_box(welch(control, treatment, 0.05)).expect("moments are sound");
        })
    });
    row("relative lift, delta and Fieller", effects, || {
        each_effect(&experiments, |control, treatment| {
            black_box(relative_lift(control, treatment, 0.05)).expect("moments are sound");
        })
    });
    row("always valid, with its interval", effects, || {
        each_effect(&experiments, |control, treatment| {
            black_box(always_valid(control, treatment, 0.05, 5_000.0, Scale::Absolute)).expect("moments are sound");
        })
    });
    row("always valid, a step of a path", effects, || {
        let mut path = AlwaysValidPath::new(0.05, 5_000.0, 100).expect("a level and a size");
        each_effect(&experiments, |control, treatment| {
            black_box(path.evaluate(control, treatment)).expect("moments are sound");
        })
    });
}

fn sample_ratios(experiments: &[Experiment]) {
    row(
        "sample ratio: chi-square and a step of the sequential path",
        EXPERIMENTS,
        || {
            let mut paths: Vec<SrmPath> = experiments.iter().map(|_| new_path()).collect();
            let started = Instant::now();
            for (experiment, path) in experiments.iter().zip(&mut paths) {
                black_box(chi_square(&experiment.counts, &WEIGHTS)).expect("weights are sound");
                path.add(0, &experiment.counts).expect("the epoch was begun");
                black_box(path.evaluate());
            }
            started.elapsed()
        },
    );
}

fn new_path() -> SrmPath {
    let mut path = SrmPath::new(Concentration::Mixture).expect("the mixture has its concentrations");
    path.begin_epoch(&WEIGHTS).expect("shares are weights");
    path
}

/// The state of an experiment at some time.
struct Experiment {
    counts: [u64; VARIANTS],
    /// By metric, then by variant.
    samples: [[Sample; VARIANTS]; METRICS],
}

impl Experiment {
    /// Some hundred to some million subjects, metrics of all scales, small effects.
    fn draw(random: &mut Random) -> Self {
        let size = libm::exp(6.0 + 8.0 * random.unit());
        let counts = WEIGHTS.map(|_| (size + size.sqrt() * random.normal()).max(2.0) as u64);
        let samples = std::array::from_fn(|_| {
            let (mean, deviation) = (random.lognormal(2.0), random.lognormal(2.0));
            counts.map(|n| Sample {
                n,
                mean: mean + 2.0 * deviation / (n as f64).sqrt() * random.normal(),
                m2: deviation * deviation * n as f64,
            })
        });
        Experiment { counts, samples }
    }
}

/// The time that it takes to call for each treatment of each metric.
fn each_effect(experiments: &[Experiment], mut call: impl FnMut(&Sample, &Sample)) -> Duration {
    let started = Instant::now();
    for experiment in experiments {
        for [control, treatments @ ..] in &experiment.samples {
            for treatment in treatments {
                call(control, treatment);
            }
        }
    }
    started.elapsed()
}

fn row(name: &str, calls: usize, mut round: impl FnMut() -> Duration) {
    let mut times: Vec<f64> = (0..ROUNDS).map(|_| round().as_secs_f64()).collect();
    times.sort_by(f64::total_cmp);
    let median = times[ROUNDS / 2];
    println!(
        "| {name} | {calls} | {median:.4} | {:.0} |",
        median * 1e9 / calls as f64
    );
}
