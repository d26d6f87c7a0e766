//! Subjects that are seen in more than one variant, or in more than one allocation epoch.
//!
//! Windows judge a subject by what was exposed before their end, and become final one after the other; so the history keeps just enough
//! to answer for any instant that is not final yet.

use std::collections::VecDeque;

use crate::plan::CrossoverPolicy;

/// What is known of the exposures of one (experiment, subject).
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct VariantHistory {
    /// (allocation epoch, variant, earliest event time).
    firsts: Vec<(u16, u32, i64)>,
    /// Exposures in order of (event time, event id); kept only where the last one matters.
    recent: VecDeque<SeenExposure>,
}

/// An exposure whose order matters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct SeenExposure {
    /// Event time, microseconds.
    pub time: i64,
    /// Event id.
    pub event_id: Box<[u8]>,
    /// Variant.
    pub variant: u32,
}

/// How a subject counts in an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The variant under which it is analysed; `None` where it is left out.
    pub analysed: Option<u32>,
    /// Whether it is a crossover.
    pub is_crossover: bool,
}

impl VariantHistory {
    /// Takes an exposure in, in any order.
    pub fn observe(&mut self, epoch: u16, exposure: SeenExposure, policy: CrossoverPolicy) {
        match self
            .firsts
            .iter_mut()
            .find(|(its_epoch, variant, _)| *its_epoch == epoch && *variant == exposure.variant)
        {
            Some((_, _, first)) => *first = (*first).min(exposure.time),
            None => self.firsts.push((epoch, exposure.variant, exposure.time)),
        }
        if policy == CrossoverPolicy::LastVariant {
            let place = self.recent.partition_point(|seen| *seen < exposure);
            if self.recent.get(place) != Some(&exposure) {
                self.recent.insert(place, exposure);
            }
        }
    }

    /// Bytes of memory held, about.
    #[must_use]
    pub fn memory(&self) -> usize {
        let ids: usize = self.recent.iter().map(|seen| seen.event_id.len()).sum();
        size_of::<Self>()
            + self.firsts.capacity() * size_of::<(u16, u32, i64)>()
            + self.recent.capacity() * size_of::<SeenExposure>()
            + ids
    }

    /// How the subject counts by its exposures before `end`; `first_variant` is the variant of its first exposure.
    #[must_use]
    pub fn standing_before(&self, end: i64, first_variant: u32, policy: CrossoverPolicy) -> Standing {
        let is_crossover = self.is_crossover_before(end);
        let analysed = match policy {
            CrossoverPolicy::Exclude => (!is_crossover).then_some(first_variant),
            CrossoverPolicy::FirstVariant => Some(first_variant),
            CrossoverPolicy::LastVariant => {
                let after = self.recent.partition_point(|seen| seen.time < end);
                let last = after.checked_sub(1).and_then(|index| self.recent.get(index));
                Some(last.map_or(first_variant, |seen| seen.variant))
            }
        };
        Standing { analysed, is_crossover }
    }

    /// Forgets exposures before `time` of which only the last can still be asked for.
    pub fn forget_before(&mut self, time: i64) {
        let before = self.recent.partition_point(|seen| seen.time < time);
        if before > 1 {
            self.recent.drain(..before - 1);
        }
    }

    fn is_crossover_before(&self, end: i64) -> bool {
        self.firsts.iter().enumerate().any(|(index, &(epoch, variant, first))| {
            first < end
                && self
                    .firsts
                    .iter()
                    .skip(index + 1)
                    .any(|&(other_epoch, other_variant, other_first)| {
                        other_epoch == epoch && other_variant != variant && other_first < end
                    })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: u32 = 0;
    const B: u32 = 1;

    fn history(policy: CrossoverPolicy, exposures: &[(u16, i64, u32)]) -> VariantHistory {
        let mut history = VariantHistory::default();
        for &(epoch, time, variant) in exposures {
            let event_id = time.to_string().into_bytes().into_boxed_slice();
            history.observe(
                epoch,
                SeenExposure {
                    time,
                    event_id,
                    variant,
                },
                policy,
            );
        }
        history
    }

    #[test]
    fn a_second_variant_makes_a_crossover_only_from_its_time_on() {
        let history = history(CrossoverPolicy::Exclude, &[(0, 10, A), (0, 50, B)]);
        let before = history.standing_before(50, A, CrossoverPolicy::Exclude);
        assert_eq!(
            before,
            Standing {
                analysed: Some(A),
                is_crossover: false
            }
        );
        let after = history.standing_before(51, A, CrossoverPolicy::Exclude);
        assert_eq!(
            after,
            Standing {
                analysed: None,
                is_crossover: true
            }
        );
    }

    #[test]
    fn a_variant_change_across_allocation_epochs_is_a_reassignment() {
        let history = history(CrossoverPolicy::Exclude, &[(0, 10, A), (1, 50, B)]);
        let standing = history.standing_before(i64::MAX, A, CrossoverPolicy::Exclude);
        assert_eq!(
            standing,
            Standing {
                analysed: Some(A),
                is_crossover: false
            }
        );
    }

    #[test]
    fn the_last_variant_is_that_of_the_last_exposure_before_the_end_in_any_order_of_arrival() {
        let policy = CrossoverPolicy::LastVariant;
        let history = history(policy, &[(0, 50, B), (0, 10, A), (0, 70, A)]);
        assert_eq!(history.standing_before(50, A, policy).analysed, Some(A));
        assert_eq!(history.standing_before(51, A, policy).analysed, Some(B));
        assert_eq!(history.standing_before(i64::MAX, A, policy).analysed, Some(A));
    }

    #[test]
    fn forgetting_keeps_the_last_exposure_before_the_horizon() {
        let policy = CrossoverPolicy::LastVariant;
        let mut history = history(policy, &[(0, 10, A), (0, 50, B), (0, 70, A)]);
        history.forget_before(60);
        assert_eq!(history.recent.len(), 2);
        assert_eq!(history.standing_before(60, A, policy).analysed, Some(B));
    }
}
