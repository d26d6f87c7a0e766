//! When exposures come: enough of it to tell that they have stopped.

use std::collections::VecDeque;

/// An hour of event time, microseconds.
pub const HOUR: i64 = 3_600_000_000;
/// Evaluations closer than this are counted together.
const GRAIN: i64 = 60_000_000;

/// The exposures of the last two hours of an experiment.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct Traffic {
    /// (evaluation, exposures that it was the first to see), oldest first.
    recent: VecDeque<(i64, i64)>,
    total: i64,
}

impl Traffic {
    /// Notes how many exposures there are to date at an evaluation. Whether there are more than before.
    pub fn note(&mut self, at: i64, total: i64) -> bool {
        let new = total - self.total;
        self.total = total;
        while self.recent.front().is_some_and(|(seen, _)| *seen <= at - 2 * HOUR) {
            self.recent.pop_front();
        }
        if new == 0 {
            return false;
        }
        match self.recent.back_mut() {
            // the later instant stands: what is counted together is never thought older than it is
            Some((seen, count)) if seen.div_euclid(GRAIN) == at.div_euclid(GRAIN) => {
                *seen = at;
                *count += new;
            }
            _ => self.recent.push_back((at, new)),
        }
        true
    }

    /// Exposures seen in the hour up to an evaluation, and in the hour before that.
    #[must_use]
    pub fn last_hours(&self, at: i64) -> (i64, i64) {
        let until = |instant: i64| self.recent.partition_point(|(seen, _)| *seen <= instant);
        let (from, middle, to) = (until(at - 2 * HOUR), until(at - HOUR), until(at));
        let count = |from: usize, to: usize| self.recent.range(from..to).map(|(_, count)| count).sum();
        (count(middle, to), count(from, middle))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exposures_are_counted_by_the_hour_that_saw_them() {
        let mut traffic = Traffic::default();
        let minute = HOUR / 60;
        for at in 1..=30 {
            assert!(traffic.note(at * minute, at * 2));
        }
        assert!(!traffic.note(31 * minute, 60));
        assert_eq!(traffic.last_hours(31 * minute), (60, 0));
        assert_eq!(traffic.last_hours(89 * minute), (2, 58));
        assert_eq!(traffic.last_hours(90 * minute), (0, 60));
        assert!(traffic.note(91 * minute, 61));
        assert_eq!(traffic.last_hours(91 * minute), (1, 60));
        assert!(!traffic.note(200 * minute, 61));
        assert_eq!(traffic.recent.len(), 1, "what is older than two hours is forgotten");
    }
}
