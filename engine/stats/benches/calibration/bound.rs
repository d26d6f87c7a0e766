//! How many false alarms chance allows.

/// The rarity of a count that a test which keeps its level would exceed: one such row in a thousand.
const RARITY: f64 = 0.001;

/// The least count that a binomial of this many draws and this probability exceeds with probability at most 0.001.
///
/// An anytime-valid test of level α has a false alarm in *at most* a share α of streams, so that its count is stochastically
/// smaller than this binomial.
pub fn greatest_by_chance(draws: u32, probability: f64) -> u32 {
    let odds = probability / (1.0 - probability);
    let mut mass = (f64::from(draws) * (-probability).ln_1p()).exp();
    let mut within = mass;
    for count in 0..draws {
        if 1.0 - within <= RARITY {
            return count;
        }
        mass *= f64::from(draws - count) / f64::from(count + 1) * odds;
        within += mass;
    }
    draws
}

/// Streams with a false alarm, beside what chance allows.
pub struct Verdict {
    /// How many streams had an alarm, ...
    pub alarms: u32,
    /// ... of how many.
    pub streams: u32,
    /// The level of the test.
    pub alpha: f64,
}

impl Verdict {
    pub fn holds(&self) -> bool {
        self.alarms <= greatest_by_chance(self.streams, self.alpha)
    }

    /// The share, in percent.
    pub fn share(&self) -> String {
        percent(self.alarms, self.streams)
    }

    /// The greatest share that chance allows, in percent.
    pub fn allowed(&self) -> String {
        percent(greatest_by_chance(self.streams, self.alpha), self.streams)
    }

    /// `yes` or `**no**`.
    pub fn word(&self) -> &'static str {
        if self.holds() { "yes" } else { "**no**" }
    }
}

/// A share in percent.
pub fn percent(count: u32, of: u32) -> String {
    format!("{:.2} %", 100.0 * f64::from(count) / f64::from(of))
}
