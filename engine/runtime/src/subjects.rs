//! The subjects of a shard, by the 128-bit hashes of their ids.

use backplane_memory::{StateColumn, StateMemory, StateTable, StateVec};
use zerocopy::little_endian::U128;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::block::word_of;
use crate::recent::Latest;

/// No subject, row or group.
pub const NONE: u32 = u32::MAX;

/// A subject's place in the shard: 24 bytes.
#[derive(Debug, Clone, Copy, IntoBytes, FromBytes, Immutable)]
#[repr(C)]
pub struct Subject {
    hash: U128,
    /// Its latest recent record, and in the highest bit whether something besides rows and recent records refers to it.
    latest: u32,
    /// The first of its rows, linked through [`crate::row::Row::next`]; [`NONE`] if it is exposed nowhere.
    pub first_row: u32,
}

const KEPT: u32 = 1 << 31;

impl Subject {
    /// Something besides rows and recent records refers to it from now on.
    pub fn keep(&mut self) {
        self.latest |= KEPT;
    }

    /// Whether something does.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.latest & KEPT != 0
    }

    /// Its latest recent record, which may be forgotten by now: see [`crate::recent::RecentLog::reference`].
    #[must_use]
    pub fn latest(&self) -> Latest {
        Latest::of_bits(self.latest & !KEPT)
    }

    /// Changes its latest recent record.
    pub fn set_latest(&mut self, latest: Latest) {
        self.latest = (self.latest & KEPT) | latest.bits();
    }
}

/// All subjects of a shard: open addressing over half of the hash.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct SubjectTable {
    /// Built anew when it has to grow and when a table is read back.
    #[serde(skip)]
    index: StateTable<u32>,
    subjects: StateColumn<Subject>,
    free: StateVec<u32>,
    /// Whether a subject had no place any more.
    is_full: bool,
}

impl SubjectTable {
    /// The subject of this hash, a new one if it was never seen. `None` where the table is full.
    pub fn find_or_insert(&mut self, hash: u128) -> Option<u32> {
        if let Some(found) = self.find(hash) {
            return Some(found);
        }
        let entry = Subject {
            hash: U128::new(hash),
            first_row: NONE,
            latest: Latest::NONE.bits(),
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.subjects.get_mut(slot as usize) {
                    *place = entry;
                }
                slot
            }
            None => {
                let Some(slot) = u32::try_from(self.subjects.len()).ok().filter(|slot| *slot != NONE) else {
                    self.is_full = true;
                    return None;
                };
                self.subjects.push(entry);
                slot
            }
        };
        if self.index.len() == self.index.capacity() {
            self.rebuild();
        } else {
            // there is room, so nothing moves
            self.index.insert_unique(word_of(hash), slot, |_| word_of(hash));
        }
        Some(slot)
    }

    /// The subject of this hash, if it was seen.
    #[must_use]
    pub fn find(&self, hash: u128) -> Option<u32> {
        self.index.find(word_of(hash), |slot| self.is(*slot, hash)).copied()
    }

    /// A subject that may have this hash: very likely it has, if there is one; see [`SubjectTable::is`]. Only the index is read.
    #[must_use]
    pub fn guess(&self, hash: u128) -> Option<u32> {
        self.index.find(word_of(hash), |_| true).copied()
    }

    /// Whether a subject has this hash.
    #[inline]
    #[must_use]
    pub fn is(&self, slot: u32, hash: u128) -> bool {
        self.get(slot).is_some_and(|subject| subject.hash.get() == hash)
    }

    /// The subject of a slot.
    #[inline]
    #[must_use]
    pub fn get(&self, slot: u32) -> Option<&Subject> {
        self.subjects.get(slot as usize)
    }

    /// The subject of a slot, to change.
    #[inline]
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Subject> {
        self.subjects.get_mut(slot as usize)
    }

    /// Forgets a subject that is exposed nowhere and has no recent record.
    pub fn remove(&mut self, slot: u32) {
        let Some(subject) = self.get(slot) else { return };
        let hash = word_of(subject.hash.get());
        if let Ok(entry) = self.index.find_entry(hash, |candidate| *candidate == slot) {
            entry.remove();
            self.free.push(slot);
        }
    }

    /// Builds the index anew, with room for another subject. The old one is given up before, and subjects are gone through as they lie: that is
    /// less memory, and less waiting for it, than a table takes that grows.
    pub fn rebuild(&mut self) {
        self.index = StateTable::new_in(StateMemory);
        let mut is_used = vec![true; self.subjects.len()];
        for slot in &self.free {
            if let Some(is_used) = is_used.get_mut(*slot as usize) {
                *is_used = false;
            }
        }
        // subjects that were removed may have left marks that take places up: with a little room only it would be built again soon
        self.index = StateTable::with_capacity_in(self.len() + self.len() / 8 + 1, StateMemory);
        for ((slot, subject), _) in (0u32..)
            .zip(self.subjects.iter())
            .zip(is_used)
            .filter(|(_, is_used)| *is_used)
        {
            let hash = word_of(subject.hash.get());
            self.index.insert_unique(hash, slot, |_| hash);
        }
    }

    /// Whether a subject had no place any more.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// How many subjects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.subjects.len() - self.free.len()
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory(&self) -> usize {
        // five bytes a place, of which seven in eight are given away
        self.subjects.memory() + self.free.capacity() * 4 + self.index.capacity() * 8 / 7 * 5
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_told_apart_by_all_of_the_hash() {
        let mut table = SubjectTable::default();
        let slots: Vec<u32> = (0..5_000)
            .map(|low| table.find_or_insert((7 << 64) | low).unwrap())
            .collect();
        let bytes = postcard::to_stdvec(&table).unwrap();
        let mut read: SubjectTable = postcard::from_bytes(&bytes).unwrap();
        read.rebuild();
        for table in [&table, &read] {
            for (low, slot) in (0..).zip(&slots) {
                assert_eq!(table.find((7 << 64) | low), Some(*slot));
                assert_eq!(table.find((8 << 64) | low), None);
            }
            assert!(table.guess(7 << 64).is_some());
            assert!(table.guess(u128::MAX).is_none_or(|slot| !table.is(slot, u128::MAX)));
        }
        assert_eq!(size_of::<Subject>(), 24);
    }

    #[test]
    fn a_forgotten_subject_leaves_no_trace() {
        let mut table = SubjectTable::default();
        let hash = |number: u128| number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        for number in 0..200_000 {
            let slot = table.find_or_insert(hash(number)).unwrap();
            if number % 10 != 0 {
                table.remove(slot);
            }
        }
        assert_eq!((table.len(), table.subjects.len()), (20_000, 20_001));
        for number in 0..200_000 {
            assert_eq!(table.find(hash(number)).is_some(), number % 10 == 0, "{number}");
        }
    }
}
