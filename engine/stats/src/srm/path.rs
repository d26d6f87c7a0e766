//! The sequential test as it runs: over allocation epochs, with its running maximum.

use super::sequential::{CONCENTRATION_RANGE, CONCENTRATIONS};
use super::{Arms, sequential, sequential_mixture};
use crate::e_value::EProcess;
use crate::error::{StatsError, within};

/// The alternative that the sequential test weighs the allocation against.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Concentration {
    /// The mean of the e-values of the concentrations of [`MIXTURE`](super::MIXTURE).
    #[default]
    Mixture,
    /// One Dirichlet concentration, from 1e-50 to 1e50; 10,000 is Optimizely's.
    One(f64),
}

impl Concentration {
    fn log_e(self, counts: &[u64], weights: &[f64]) -> Result<f64, StatsError> {
        match self {
            Concentration::Mixture => sequential_mixture(counts, weights),
            Concentration::One(concentration) => sequential(counts, weights, concentration),
        }
    }
}

/// The sequential test of an experiment, or of one of its segments, as subjects come.
///
/// An **allocation epoch** begins whenever the shares change. Each has its own counts and its own e-value, which starts at 1, and the
/// experiment's is their product: `log E = sum log E_epoch`. With the default mixture it is the epochs' *mixtures* that multiply.
/// That is an e-process, because whichever epoch a subject belongs to, it multiplies one factor by something of expectation 1; and
/// epochs may take turns, as late events make them. (The mean of the products over concentrations is another e-process. It would
/// have to hold one concentration for the whole path; this one may find a small mismatch in one epoch and a large one in the next,
/// and every epoch's e-value can be shown beside its own counts.)
///
/// Counts only grow along a path. Where history is restated, rebuild the path from the counts by window; an old running maximum says
/// nothing about them.
///
/// ```
/// use backplane_stats::srm::{Concentration, SrmPath};
///
/// let mut path = SrmPath::new(Concentration::Mixture)?;
/// let first = path.begin_epoch(&[0.9, 0.1])?;
/// path.add(first, &[910, 95])?;
/// path.evaluate();
/// let second = path.begin_epoch(&[0.5, 0.5])?;
/// path.add(second, &[2_000, 1_600])?;
/// path.evaluate();
/// assert!(path.process().p() < 0.001);
/// assert_eq!(SrmPath::from_words(&path.to_words())?, path);
/// # Ok::<(), backplane_stats::StatsError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct SrmPath {
    concentration: Concentration,
    epochs: Vec<EpochPath>,
    process: EProcess,
}

#[derive(Debug, Clone, PartialEq)]
struct EpochPath {
    weights: Vec<f64>,
    counts: Vec<u64>,
    /// The epoch's own e-value, of these counts.
    log_e: f64,
}

impl SrmPath {
    /// No epochs yet.
    ///
    /// # Errors
    ///
    /// [`StatsError::CorrectParameter`] for a concentration outside its range.
    pub fn new(concentration: Concentration) -> Result<Self, StatsError> {
        if let Concentration::One(value) = concentration {
            within("concentration", value, CONCENTRATIONS, CONCENTRATION_RANGE)?;
        }
        Ok(SrmPath {
            concentration,
            epochs: Vec::new(),
            process: EProcess::new(),
        })
    }

    /// Begins an allocation epoch of these shares, on any scale, and gives its number, counted from 0.
    ///
    /// # Errors
    ///
    /// [`StatsError::CorrectWeights`].
    pub fn begin_epoch(&mut self, weights: &[f64]) -> Result<usize, StatsError> {
        let counts = vec![0; weights.len()];
        Arms::new(&counts, weights)?;
        self.epochs.push(EpochPath {
            weights: weights.to_vec(),
            counts,
            log_e: 0.0,
        });
        Ok(self.epochs.len() - 1)
    }

    /// The number of epochs begun.
    #[must_use]
    pub fn epochs(&self) -> usize {
        self.epochs.len()
    }

    /// The cumulative counts of an epoch by arm; none if it was not begun.
    #[must_use]
    pub fn counts(&self, epoch: usize) -> Option<&[u64]> {
        self.epochs.get(epoch).map(|epoch| epoch.counts.as_slice())
    }

    /// The logarithm of an epoch's own e-value; none if it was not begun.
    #[must_use]
    pub fn epoch_log_e(&self, epoch: usize) -> Option<f64> {
        self.epochs.get(epoch).map(|epoch| epoch.log_e)
    }

    /// Takes in the subjects that came to an epoch's arms since the last call. What is added between two calls of
    /// [`SrmPath::evaluate`] is one batch. On an error nothing changes.
    ///
    /// # Errors
    ///
    /// [`StatsError::BeginEpoch`], [`StatsError::PairCountsWithWeights`], and [`StatsError::CorrectCounts`] where a count would exceed
    /// `u64::MAX`.
    pub fn add(&mut self, epoch: usize, increments: &[u64]) -> Result<(), StatsError> {
        let begun = self.epochs.len();
        let concentration = self.concentration;
        let Some(epoch) = self.epochs.get_mut(epoch) else {
            return Err(StatsError::BeginEpoch { epoch, begun });
        };
        if increments.len() != epoch.counts.len() {
            return Err(StatsError::PairCountsWithWeights {
                counts: increments.len(),
                weights: epoch.weights.len(),
            });
        }
        let overflows = epoch.counts.iter().zip(increments);
        if overflows
            .map(|(count, more)| count.checked_add(*more))
            .any(|sum| sum.is_none())
        {
            return Err(StatsError::CorrectCounts {
                counted: "an arm's subjects",
                limit: "2^64 - 1",
            });
        }
        for (count, more) in epoch.counts.iter_mut().zip(increments) {
            *count = count.saturating_add(*more);
        }
        epoch.log_e = concentration.log_e(&epoch.counts, &epoch.weights)?;
        Ok(())
    }

    /// Reads the e-value of all that was added, takes it into the running maximum, and gives its logarithm.
    pub fn evaluate(&mut self) -> f64 {
        let log_e = self.epochs.iter().map(|epoch| epoch.log_e).sum();
        self.process.observe(log_e);
        log_e
    }

    /// The e-value at the last evaluation, its running maximum, and the running p-value.
    #[must_use]
    pub fn process(&self) -> &EProcess {
        &self.process
    }

    /// The state as plain words, for checkpoints: the concentration's bits (0 for the mixture), the words of
    /// [`EProcess::to_array`], then for each epoch its number of arms, the bits of their weights, and their counts.
    #[must_use]
    pub fn to_words(&self) -> Vec<u64> {
        let concentration = match self.concentration {
            Concentration::Mixture => 0,
            Concentration::One(concentration) => concentration.to_bits(),
        };
        let mut words = vec![concentration];
        words.extend(self.process.to_array());
        for epoch in &self.epochs {
            words.push(epoch.counts.len() as u64);
            words.extend(epoch.weights.iter().map(|weight| weight.to_bits()));
            words.extend(&epoch.counts);
        }
        words
    }

    /// The state of these words, as [`SrmPath::to_words`] gave them.
    ///
    /// # Errors
    ///
    /// [`StatsError::RebuildState`] if they are not such words, and what [`SrmPath::begin_epoch`] and [`SrmPath::add`] say of
    /// weights and counts.
    pub fn from_words(words: &[u64]) -> Result<Self, StatsError> {
        const DAMAGED: StatsError = StatsError::RebuildState {
            state: "a sample ratio path",
        };
        let [concentration, log_e, log_e_max, epochs @ ..] = words else {
            return Err(DAMAGED);
        };
        let mut path = SrmPath::new(match concentration {
            0 => Concentration::Mixture,
            bits => Concentration::One(f64::from_bits(*bits)),
        })?;
        path.process = EProcess::from_array([*log_e, *log_e_max]).ok_or(DAMAGED)?;
        let mut rest = epochs;
        while let [arms, after @ ..] = rest {
            let arms = usize::try_from(*arms).map_err(|_| DAMAGED)?;
            let (weights, after) = after.split_at_checked(arms).ok_or(DAMAGED)?;
            let (counts, after) = after.split_at_checked(arms).ok_or(DAMAGED)?;
            let weights: Vec<f64> = weights.iter().map(|bits| f64::from_bits(*bits)).collect();
            let epoch = path.begin_epoch(&weights)?;
            path.add(epoch, counts)?;
            rest = after;
        }
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> SrmPath {
        SrmPath::new(Concentration::Mixture).unwrap()
    }

    #[test]
    fn one_epoch_is_the_test_of_its_counts() {
        let mut path = path();
        let epoch = path.begin_epoch(&[1.0, 1.0]).unwrap();
        path.add(epoch, &[700, 300]).unwrap();
        path.add(epoch, &[100, 500]).unwrap();
        assert_eq!(path.counts(epoch), Some(&[800, 800][..]));
        assert_eq!(Ok(path.evaluate()), sequential_mixture(&[800, 800], &[1.0, 1.0]));
        assert_eq!(path.process().log_e_max(), 0.0, "the two batches were never seen apart");
    }

    #[test]
    fn the_e_values_of_epochs_multiply_and_epochs_may_take_turns() {
        let mut path = path();
        let first = path.begin_epoch(&[0.9, 0.1]).unwrap();
        let second = path.begin_epoch(&[0.5, 0.5]).unwrap();
        path.add(second, &[2_000, 1_700]).unwrap();
        path.add(first, &[900, 130]).unwrap();
        let first_log_e = sequential_mixture(&[900, 130], &[0.9, 0.1]).unwrap();
        let second_log_e = sequential_mixture(&[2_000, 1_700], &[0.5, 0.5]).unwrap();
        assert_eq!(path.epoch_log_e(first), Some(first_log_e));
        assert_eq!(path.evaluate(), first_log_e + second_log_e);
    }

    #[test]
    fn a_mismatch_that_heals_is_remembered() {
        let mut path = SrmPath::new(Concentration::One(10_000.0)).unwrap();
        let epoch = path.begin_epoch(&[0.5, 0.5]).unwrap();
        path.add(epoch, &[2_817, 2_183]).unwrap();
        let greatest = path.evaluate();
        path.add(epoch, &[2_183, 2_817]).unwrap();
        assert!(path.evaluate() < 0.0);
        assert_eq!(
            (path.process().log_e_max(), path.process().ln_p()),
            (greatest, -greatest)
        );
    }

    #[test]
    fn what_cannot_be_added_changes_nothing() {
        let mut path = path();
        let epoch = path.begin_epoch(&[1.0, 1.0]).unwrap();
        path.add(epoch, &[1, u64::MAX]).unwrap();
        let before = path.clone();
        assert_eq!(path.add(1, &[1, 1]), Err(StatsError::BeginEpoch { epoch: 1, begun: 1 }));
        assert!(matches!(
            path.add(epoch, &[1, 1]),
            Err(StatsError::CorrectCounts { .. })
        ));
        let unpaired = StatsError::PairCountsWithWeights { counts: 3, weights: 2 };
        assert_eq!(path.add(epoch, &[1, 1, 1]), Err(unpaired));
        assert_eq!(path, before);
        assert!(path.begin_epoch(&[1.0, -1.0]).is_err());
        assert!(SrmPath::new(Concentration::One(0.0)).is_err());
    }

    #[test]
    fn damaged_words_are_refused() {
        let mut path = path();
        let epoch = path.begin_epoch(&[1.0, 1.0]).unwrap();
        path.add(epoch, &[40, 10]).unwrap();
        path.evaluate();
        let words = path.to_words();
        for length in (0..words.len()).filter(|length| *length != 3) {
            assert!(SrmPath::from_words(&words[..length]).is_err(), "{length} words");
        }
        let mut endless = words;
        endless[3] = u64::MAX;
        assert!(SrmPath::from_words(&endless).is_err());
    }
}
