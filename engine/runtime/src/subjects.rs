//! The subjects of a shard: open addressing over a 64-bit hash, keys in one arena.

use backplane_memory::{StateMemory, StateTable, StateVec};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// No subject, row or group.
pub const NONE: u32 = u32::MAX;

/// A subject's place in the shard.
#[derive(Debug, Clone, Copy, IntoBytes, FromBytes, Immutable)]
#[repr(C)]
pub struct Subject {
    hash: u64,
    key: u64,
    /// One more than the number of its latest record in the recent log; 0 for none.
    pub latest_record: u64,
    key_length: u32,
    /// Length of the tenant within the key.
    tenant_length: u32,
    /// The first of its rows, linked through [`crate::row::Row::next`]; [`NONE`] if it is exposed nowhere.
    pub first_row: u32,
    is_kept: u32,
}

impl Subject {
    /// Something besides rows and recent records refers to it from now on.
    pub fn keep(&mut self) {
        self.is_kept = 1;
    }

    /// Whether something does.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.is_kept != 0
    }
}

/// All subjects of a shard.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct SubjectTable {
    /// Built anew when a table is read back.
    #[serde(skip)]
    index: StateTable<u32>,
    subjects: StateVec<Subject>,
    keys: StateVec<u8>,
    free: StateVec<u32>,
    unused_key_bytes: usize,
}

impl SubjectTable {
    /// The subject of this key, a new one if it was never seen.
    pub fn find_or_insert(&mut self, hash: u64, tenant: &str, subject: &str) -> u32 {
        if let Some(found) = self.find(hash, tenant, subject) {
            return found;
        }
        let key = self.keys.len() as u64;
        self.keys.extend_from_slice(tenant.as_bytes());
        self.keys.extend_from_slice(subject.as_bytes());
        let entry = Subject {
            hash,
            key,
            key_length: u32::try_from(tenant.len() + subject.len()).unwrap_or(u32::MAX),
            tenant_length: u32::try_from(tenant.len()).unwrap_or(u32::MAX),
            first_row: NONE,
            latest_record: 0,
            is_kept: 0,
        };
        let slot = match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.subjects.get_mut(slot as usize) {
                    *place = entry;
                }
                slot
            }
            None => {
                self.subjects.push(entry);
                u32::try_from(self.subjects.len() - 1).unwrap_or(NONE)
            }
        };
        let subjects = &self.subjects;
        self.index.insert_unique(hash, slot, |slot| {
            subjects.get(*slot as usize).map_or(0, |subject| subject.hash)
        });
        slot
    }

    /// The subject of this key, if it was seen.
    #[must_use]
    pub fn find(&self, hash: u64, tenant: &str, subject: &str) -> Option<u32> {
        self.index
            .find(hash, |slot| self.is(*slot, hash, tenant, subject))
            .copied()
    }

    /// A subject whose key has this hash: very likely the one that is looked for, see [`SubjectTable::is`].
    #[must_use]
    pub fn guess(&self, hash: u64) -> Option<u32> {
        let has_hash = |slot: &u32| self.get(*slot).is_some_and(|subject| subject.hash == hash);
        self.index.find(hash, has_hash).copied()
    }

    /// The subject of a slot.
    #[must_use]
    pub fn get(&self, slot: u32) -> Option<&Subject> {
        self.subjects.get(slot as usize)
    }

    /// The subject of a slot, to change.
    pub fn get_mut(&mut self, slot: u32) -> Option<&mut Subject> {
        self.subjects.get_mut(slot as usize)
    }

    /// Forgets a subject that is exposed nowhere and has no recent record.
    pub fn remove(&mut self, slot: u32) {
        let Some(subject) = self.subjects.get(slot as usize).copied() else {
            return;
        };
        if let Ok(entry) = self.index.find_entry(subject.hash, |candidate| *candidate == slot) {
            entry.remove();
            self.free.push(slot);
            self.unused_key_bytes += subject.key_length as usize;
            if self.unused_key_bytes > 1 << 20 && self.unused_key_bytes * 2 > self.keys.len() {
                self.compact_keys();
            }
        }
    }

    /// Builds the index of a table that was read back.
    pub fn rebuild(&mut self) {
        let mut is_used = vec![true; self.subjects.len()];
        for slot in &self.free {
            if let Some(is_used) = is_used.get_mut(*slot as usize) {
                *is_used = false;
            }
        }
        let subjects = &self.subjects;
        let hash_of = |slot: &u32| subjects.get(*slot as usize).map_or(0, |subject: &Subject| subject.hash);
        self.index = StateTable::with_capacity_in(subjects.len() - self.free.len(), StateMemory);
        for (slot, _) in (0u32..).zip(is_used).filter(|(_, is_used)| *is_used) {
            self.index.insert_unique(hash_of(&slot), slot, hash_of);
        }
    }

    /// How many subjects there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.keys.capacity() + self.subjects.capacity() * size_of::<Subject>() + self.index.capacity() * 5
    }

    /// Whether a subject has this key.
    #[must_use]
    pub fn is(&self, slot: u32, hash: u64, tenant: &str, subject: &str) -> bool {
        let Some(entry) = self.subjects.get(slot as usize) else {
            return false;
        };
        entry.hash == hash
            && entry.tenant_length as usize == tenant.len()
            && entry.key_length as usize == tenant.len() + subject.len()
            && self.key_of(entry).is_some_and(|key| {
                let (its_tenant, its_subject) = key.split_at(tenant.len());
                its_subject == subject.as_bytes() && its_tenant == tenant.as_bytes()
            })
    }

    fn key_of(&self, subject: &Subject) -> Option<&[u8]> {
        self.keys
            .get(subject.key as usize..subject.key as usize + subject.key_length as usize)
    }

    fn compact_keys(&mut self) {
        let mut keys = StateVec::default();
        keys.reserve(self.keys.len() - self.unused_key_bytes);
        for slot in self.index.iter() {
            let Some(subject) = self.subjects.get_mut(*slot as usize) else {
                continue;
            };
            let old = subject.key as usize..subject.key as usize + subject.key_length as usize;
            subject.key = keys.len() as u64;
            keys.extend_from_slice(self.keys.get(old).unwrap_or_default());
        }
        self.keys = keys;
        self.unused_key_bytes = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_tenant_and_an_id_even_when_hashes_collide() {
        let mut table = SubjectTable::default();
        let a = table.find_or_insert(7, "", "ab");
        let b = table.find_or_insert(7, "a", "b");
        let c = table.find_or_insert(7, "ab", "");
        assert_ne!(a, b);
        assert_ne!(b, c);
        assert_eq!(table.find_or_insert(7, "a", "b"), b);
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn a_forgotten_subject_leaves_no_trace() {
        let mut table = SubjectTable::default();
        for number in 0..200_000u64 {
            let name = format!("subject-{number}");
            let slot = table.find_or_insert(number.wrapping_mul(0x9e37_79b9_7f4a_7c15), "tenant", &name);
            if number % 10 != 0 {
                table.remove(slot);
            }
        }
        assert_eq!(table.len(), 20_000);
        assert!(table.keys.len() < 2_000_000, "{}", table.keys.len());
        for number in (0..200_000u64).step_by(10) {
            let name = format!("subject-{number}");
            assert!(
                table
                    .find(number.wrapping_mul(0x9e37_79b9_7f4a_7c15), "tenant", &name)
                    .is_some()
            );
        }
    }
}
