//! e-values: evidence that may be read at any time, and its running maximum.
//!
//! An e-process is a non-negative process whose expectation is at most 1 whenever one stops, if there is no effect; so it exceeds
//! `1 / α` at any time with probability at most α (J. Ville, 1939). e-values are kept as natural logarithms, because those of
//! strong effects overflow.

/// The p-value of an e-value, `min(1, 1 / E)`: valid at the time it is read, whenever that is.
///
/// ```
/// assert!((backplane_stats::anytime_p(1000_f64.ln()) - 0.001).abs() < 1e-15);
/// assert_eq!(backplane_stats::anytime_p(-3.0), 1.0);
/// ```
#[must_use]
pub fn anytime_p(log_e: f64) -> f64 {
    anytime_ln_p(log_e).exp()
}

/// The logarithm of [`anytime_p`].
#[must_use]
pub fn anytime_ln_p(log_e: f64) -> f64 {
    -log_e.max(0.0)
}

/// The logarithm of the mean of e-values that are given as logarithms. A mean of e-values is one, however they depend on each
/// other.
pub(crate) fn log_mean_exp<const N: usize>(logs: [f64; N]) -> f64 {
    let greatest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = logs.iter().map(|log| (log - greatest).exp()).sum();
    greatest + (sum / N as f64).ln()
}

/// An e-process as far as it has come: its value now, and the greatest it has had.
///
/// The running p-value, that of the maximum, never rises again; it is what an alert or a verdict may rest on, as long as history
/// is not restated. Where it is, the path is built anew.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EProcess {
    log_e: f64,
    log_e_max: f64,
}

impl EProcess {
    /// The number of words of [`EProcess::to_array`].
    pub const WORDS: usize = 2;

    /// Before any data: `E = 1`.
    #[must_use]
    pub const fn new() -> Self {
        EProcess {
            log_e: 0.0,
            log_e_max: 0.0,
        }
    }

    /// Moves on to this value. NaN, which no function of this crate gives, changes nothing.
    pub fn observe(&mut self, log_e: f64) {
        if log_e.is_nan() {
            return;
        }
        self.log_e = log_e;
        self.log_e_max = self.log_e_max.max(log_e);
    }

    /// The natural logarithm of the e-value now.
    #[must_use]
    pub fn log_e(&self) -> f64 {
        self.log_e
    }

    /// The natural logarithm of the greatest e-value so far, at least 0.
    #[must_use]
    pub fn log_e_max(&self) -> f64 {
        self.log_e_max
    }

    /// The running p-value: the least of all p-values so far.
    #[must_use]
    pub fn p(&self) -> f64 {
        anytime_p(self.log_e_max)
    }

    /// The logarithm of [`EProcess::p`].
    #[must_use]
    pub fn ln_p(&self) -> f64 {
        anytime_ln_p(self.log_e_max)
    }

    /// The state as plain words, for checkpoints: the bits of `log_e` and `log_e_max`.
    #[must_use]
    pub fn to_array(&self) -> [u64; Self::WORDS] {
        [self.log_e.to_bits(), self.log_e_max.to_bits()]
    }

    /// The state of these words, as [`EProcess::to_array`] gave them; none if no path leads there.
    #[must_use]
    pub fn from_array(words: [u64; Self::WORDS]) -> Option<Self> {
        let [log_e, log_e_max] = words.map(f64::from_bits);
        (log_e_max >= 0.0 && log_e_max >= log_e).then_some(EProcess { log_e, log_e_max })
    }
}

impl Default for EProcess {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_p_value_never_rises_again() {
        let mut process = EProcess::new();
        assert_eq!(process.p(), 1.0);
        process.observe(3.0);
        process.observe(-1.0);
        assert_eq!((process.log_e(), process.log_e_max()), (-1.0, 3.0));
        assert_eq!(process.ln_p(), -3.0);
        process.observe(f64::NAN);
        assert_eq!(process.log_e(), -1.0);
    }

    #[test]
    fn words_make_the_same_process_again_and_no_other() {
        let mut process = EProcess::new();
        process.observe(2.5);
        process.observe(1.0);
        assert_eq!(EProcess::from_array(process.to_array()), Some(process));
        assert_eq!(EProcess::from_array([5_f64.to_bits(), 1_f64.to_bits()]), None);
        assert_eq!(EProcess::from_array([0, f64::NAN.to_bits()]), None);
    }

    #[test]
    fn a_mean_of_e_values_does_not_overflow() {
        assert_eq!(log_mean_exp([2000.0; 3]), 2000.0);
        let mean = log_mean_exp([5000.0, -5000.0, 0.0]);
        assert!((mean - (5000.0 - 3_f64.ln())).abs() < 1e-9, "{mean}");
    }
}
