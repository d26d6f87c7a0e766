//! Which variant each subject was last assigned to, and which assigned subjects went missing before they were exposed.

use backplane_memory::{StateMap, StateVec};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::subjects::NONE;

/// The last assignment of a subject in an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoBytes, FromBytes, Immutable)]
#[repr(C)]
pub struct Assigned {
    /// Event time of the assignment.
    pub time: i64,
    /// The experiment.
    pub experiment: u32,
    /// The variant.
    pub variant: u32,
    /// The subject's next one; [`NONE`] at the end.
    next: u32,
    is_missing: u32,
}

impl Assigned {
    /// Whether it brought an outcome, and no exposure within the correction horizon of it.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.is_missing != 0
    }
}

/// The assignments of a shard's subjects.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct AssignedSubjects {
    /// By subject: its first entry.
    #[serde(with = "crate::state::map")]
    first: StateMap<u32, u32>,
    entries: StateVec<Assigned>,
}

impl AssignedSubjects {
    /// Whether nobody was assigned.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes an assignment in. Gives the entry that stood before, if any, and the one that stands now.
    pub fn assign(&mut self, subject: u32, experiment: u32, time: i64, variant: u32) -> (Option<Assigned>, Assigned) {
        let head = self.first.get(&subject).copied().unwrap_or(NONE);
        let new = Assigned {
            experiment,
            time,
            variant,
            next: head,
            is_missing: 0,
        };
        let Some(index) = self.place_of(head, experiment) else {
            let index = u32::try_from(self.entries.len()).unwrap_or(NONE);
            self.entries.push(new);
            self.first.insert(subject, index);
            return (None, new);
        };
        match self.entries.get_mut(index) {
            Some(entry) => {
                let before = *entry;
                if time >= entry.time {
                    (entry.time, entry.variant) = (time, variant);
                }
                (Some(before), *entry)
            }
            None => (None, new),
        }
    }

    /// Marks the assignments of a subject as missing, in one experiment or (`None`) in each, where `is_exposed` does not say otherwise.
    /// Calls `lost` for each that was not marked before.
    pub fn mark_missing(
        &mut self,
        subject: u32,
        experiment: Option<u32>,
        is_exposed: impl Fn(u32) -> bool,
        mut lost: impl FnMut(&Assigned),
    ) {
        let mut next = self.first.get(&subject).copied().unwrap_or(NONE);
        while let Some(entry) = self.entries.get_mut(next as usize) {
            next = entry.next;
            let concerns = experiment.is_none_or(|experiment| experiment == entry.experiment);
            if concerns && !entry.is_missing() && !is_exposed(entry.experiment) {
                entry.is_missing = 1;
                lost(entry);
            }
        }
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.entries.capacity() * size_of::<Assigned>() + self.first.capacity() * (size_of::<(u32, u32)>() + 1)
    }

    fn place_of(&self, head: u32, experiment: u32) -> Option<usize> {
        let mut next = head;
        while let Some(entry) = self.entries.get(next as usize) {
            if entry.experiment == experiment {
                return Some(next as usize);
            }
            next = entry.next;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_assignment_of_each_experiment_stands() {
        let mut subjects = AssignedSubjects::default();
        assert_eq!(subjects.assign(7, 0, 10, 1).0, None);
        let (before, now) = subjects.assign(7, 0, 20, 2);
        assert_eq!((before.map(|entry| entry.variant), now.variant), (Some(1), 2));
        let (_, older) = subjects.assign(7, 0, 15, 1);
        assert_eq!(older.variant, 2);
        assert_eq!(subjects.assign(7, 1, 5, 3).0, None);
        assert_eq!(subjects.assign(8, 0, 5, 1).0, None);
    }

    #[test]
    fn a_subject_goes_missing_once_in_each_experiment_that_it_was_not_exposed_in() {
        let mut subjects = AssignedSubjects::default();
        for experiment in 0..3 {
            subjects.assign(7, experiment, 10, experiment);
        }
        let mut lost = Vec::new();
        subjects.mark_missing(
            7,
            None,
            |experiment| experiment == 1,
            |entry| lost.push(entry.experiment),
        );
        subjects.mark_missing(7, Some(2), |_| false, |entry| lost.push(entry.experiment));
        subjects.mark_missing(9, None, |_| false, |entry| lost.push(entry.experiment));
        lost.sort_unstable();
        assert_eq!(lost, [0, 2]);
    }
}
