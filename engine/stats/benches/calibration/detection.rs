//! How many subjects a broken allocation needs until it is found.

use backplane_stats::power::z_sample_size;
use backplane_stats::srm::{Concentration, SrmPath};

use crate::random::Random;

const SEED: u64 = 0x4465_7465;

/// How far the share of an arm is from its one half.
const DEVIATIONS: [f64; 3] = [0.01, 0.02, 0.05];

/// The e-values at which a warning and an alert are raised, `1 / α`.
const LEVELS: [f64; 2] = [0.01, 0.001];

/// The power that the test to be read once is planned for.
const POWER: f64 = 0.8;

/// Prints the subjects until the mixture finds broken allocations, beside those of a chi-square test that is read once.
pub fn subjects_to_an_alert(streams: u32) {
    println!("\n### Subjects until a broken allocation is found\n");
    println!(
        "Designed 50/50. Quantiles over {streams} streams, read after every subject. *Once* is the size at which a chi-square test that is read once \
         has power {POWER}; it cannot be stopped earlier, and must know the mismatch that it looks for.\n"
    );
    println!("| true share | found at | median | 80 % of streams by | once, at the same level |");
    println!("|---|---|---|---|---|");
    for (experiment, deviation) in (0..).zip(DEVIATIONS) {
        let mut found = LEVELS.map(|_| Vec::new());
        for stream in 0..streams {
            let subjects = subjects_until(&mut Random::new(SEED + experiment, stream), 0.5 + deviation);
            for (found, subjects) in found.iter_mut().zip(subjects) {
                found.push(subjects);
            }
        }
        for (found, alpha) in found.iter_mut().zip(LEVELS) {
            found.sort_unstable();
            let (median, late) = (quantile(found, 0.5), quantile(found, POWER));
            let once = chi_square_size(deviation, alpha);
            let (share, e_value) = (0.5 + deviation, 1.0 / alpha);
            println!("| {share} | E ≥ {e_value:.0} | {median} | {late} | {once:.0} |");
        }
    }
}

/// The number of subjects at which each level is reached.
fn subjects_until(random: &mut Random, share: f64) -> [u64; LEVELS.len()] {
    let mut path = SrmPath::new(Concentration::Mixture).expect("the mixture has its concentrations");
    let epoch = path.begin_epoch(&[0.5, 0.5]).expect("shares are weights");
    let mut subjects = 0;
    LEVELS.map(|alpha| {
        // the levels ascend, and an e-value grows without end where the allocation is broken
        while path.process().log_e_max() < -alpha.ln() {
            let increments = if random.chance(share) { [1, 0] } else { [0, 1] };
            path.add(epoch, &increments).expect("counts are small");
            path.evaluate();
            subjects += 1;
        }
        subjects
    })
}

/// The value that this part of the ascending ones does not exceed.
fn quantile(ascending: &[u64], part: f64) -> u64 {
    let rank = (ascending.len() as f64 * part).ceil() as usize;
    ascending.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

/// The subjects with which the chi-square test of a 50/50 allocation finds this deviation of a share with power 0.8.
///
/// Its statistic is noncentral chi-square with one degree of freedom and noncentrality `N w²`, `w = 2 · deviation` (J. Cohen, "Statistical
/// power analysis for the behavioral sciences", 1988, 7.2): the square of a normal shifted by `w sqrt(N)`. The z-test of two arms of n
/// subjects shifts by `w sqrt(n / 2)`, so that N is half of its n.
fn chi_square_size(deviation: f64, alpha: f64) -> f64 {
    let arm = z_sample_size(2.0 * deviation, POWER, 1.0, alpha).expect("an effect, a power and a level");
    (0.5 * arm).ceil()
}
