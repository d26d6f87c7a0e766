//! The subjects of a shard: open addressing over a 64-bit hash, keys in one column.

use std::borrow::Cow;

use backplane_events::Identity;
use backplane_memory::{StateColumn, StateMemory, StateTable, StateVec};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::recent::Latest;

/// No subject, row or group.
pub const NONE: u32 = u32::MAX;

/// A subject's place in the shard: 12 bytes.
#[derive(Debug, Clone, Copy, IntoBytes, FromBytes, Immutable)]
#[repr(C)]
pub struct Subject {
    /// Where its key begins.
    key: u32,
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

    /// Its latest recent record.
    #[must_use]
    pub fn latest(&self) -> Latest {
        Latest::of_bits(self.latest & !KEPT)
    }

    /// Changes its latest recent record.
    pub fn set_latest(&mut self, latest: Latest) {
        self.latest = (self.latest & KEPT) | latest.bits();
    }
}

/// All subjects of a shard.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct SubjectTable {
    /// By the hash of the key. Built anew when it has to grow and when a table is read back.
    #[serde(skip)]
    index: StateTable<u32>,
    subjects: StateColumn<Subject>,
    /// One after the other: the lengths of tenant and subject id (LEB128), tenant, subject id.
    keys: StateColumn<u8>,
    free: StateVec<u32>,
    unused_key_bytes: usize,
    /// Whether a subject had no place any more.
    is_full: bool,
}

/// A key as it was put in.
struct Key<'a> {
    text: Cow<'a, [u8]>,
    tenant_length: usize,
    /// Its length with all that belongs to it.
    length: usize,
}

impl SubjectTable {
    /// The subject of this key, a new one if it was never seen. `None` where the table is full: 4 GiB of keys.
    pub fn find_or_insert(&mut self, hash: u64, tenant: &str, subject: &str) -> Option<u32> {
        if let Some(found) = self.find(hash, tenant, subject) {
            return Some(found);
        }
        let Ok(key) = u32::try_from(self.keys.len()) else {
            self.is_full = true;
            return None;
        };
        put_length(&mut self.keys, tenant.len());
        put_length(&mut self.keys, subject.len());
        self.keys.extend_from_slice(tenant.as_bytes());
        self.keys.extend_from_slice(subject.as_bytes());
        let entry = Subject {
            key,
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
                // a key has two bytes at least, so there are fewer of them than `NONE`
                self.subjects.push(entry);
                u32::try_from(self.subjects.len() - 1).unwrap_or(NONE)
            }
        };
        if self.index.len() == self.index.capacity() {
            self.build_index();
        } else {
            // there is room, so nothing is hashed anew
            self.index.insert_unique(hash, slot, |_| hash);
        }
        Some(slot)
    }

    /// The subject of this key, if it was seen.
    #[must_use]
    pub fn find(&self, hash: u64, tenant: &str, subject: &str) -> Option<u32> {
        self.index.find(hash, |slot| self.is(*slot, tenant, subject)).copied()
    }

    /// A subject whose key may have this hash: very likely the one that is looked for if there is one, see [`SubjectTable::is`].
    #[must_use]
    pub fn guess(&self, hash: u64) -> Option<u32> {
        self.index.find(hash, |_| true).copied()
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
        let Some(key) = self.key(slot) else { return };
        let (hash, length) = (key.hash(), key.length);
        if let Ok(entry) = self.index.find_entry(hash, |candidate| *candidate == slot) {
            entry.remove();
            self.free.push(slot);
            self.unused_key_bytes += length;
            if self.unused_key_bytes > 1 << 20 && self.unused_key_bytes * 2 > self.keys.len() {
                self.compact_keys();
            }
        }
    }

    /// Builds the index of a table that was read back.
    pub fn rebuild(&mut self) {
        self.build_index();
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
        self.keys.memory() + self.subjects.memory() + self.index.capacity() * 8 / 7 * 5
    }

    /// Whether a subject has this key.
    #[must_use]
    pub fn is(&self, slot: u32, tenant: &str, subject: &str) -> bool {
        self.key(slot).is_some_and(|key| {
            key.tenant_length == tenant.len()
                && key.text.len() == tenant.len() + subject.len()
                && key.tenant() == tenant.as_bytes()
                && key.subject() == subject.as_bytes()
        })
    }

    /// Touches where a subject's key lies.
    #[must_use]
    pub fn touch_key(&self, slot: u32) -> u8 {
        let subject = self.get(slot);
        let first = subject.and_then(|subject| self.keys.get(subject.key as usize));
        first.copied().unwrap_or(0)
    }

    #[inline]
    fn key(&self, slot: u32) -> Option<Key<'_>> {
        let start = self.subjects.get(slot as usize)?.key as usize;
        let rest = self.keys.rest_of_chunk(start);
        key_in(rest).or_else(|| {
            // it goes on in the next chunk
            let mut bytes = Vec::new();
            for slice in self.keys.slices(start..self.keys.len()) {
                bytes.extend_from_slice(slice);
                if let Some(key) = key_in(&bytes) {
                    return Some(Key {
                        text: Cow::Owned(key.text.into_owned()),
                        ..key
                    });
                }
            }
            None
        })
    }

    /// Slots that have a subject, ascending.
    fn used(&self) -> impl Iterator<Item = u32> + use<> {
        let mut is_used = vec![true; self.subjects.len()];
        for slot in &self.free {
            if let Some(is_used) = is_used.get_mut(*slot as usize) {
                *is_used = false;
            }
        }
        (0u32..)
            .zip(is_used)
            .filter(|(_, is_used)| *is_used)
            .map(|(slot, _)| slot)
    }

    /// Builds the index anew, with room for one more at least. The old one is given up before, and subjects are gone through as they lie: that is
    /// less memory, and less waiting for it, than to grow a table.
    fn build_index(&mut self) {
        self.index = StateTable::new_in(StateMemory);
        let mut index = StateTable::with_capacity_in(self.len() + 1, StateMemory);
        for slot in self.used() {
            let hash = self.key(slot).map_or(0, |key| key.hash());
            index.insert_unique(hash, slot, |_| hash);
        }
        self.index = index;
    }

    fn compact_keys(&mut self) {
        let mut keys = StateColumn::default();
        for slot in self.used() {
            let Some(key) = self.key(slot) else { continue };
            let place = u32::try_from(keys.len()).unwrap_or(NONE);
            put_length(&mut keys, key.tenant_length);
            put_length(&mut keys, key.text.len() - key.tenant_length);
            keys.extend_from_slice(&key.text);
            if let Some(subject) = self.subjects.get_mut(slot as usize) {
                subject.key = place;
            }
        }
        self.keys = keys;
        self.unused_key_bytes = 0;
    }
}

impl Key<'_> {
    fn tenant(&self) -> &[u8] {
        self.text.get(..self.tenant_length).unwrap_or_default()
    }

    fn subject(&self) -> &[u8] {
        self.text.get(self.tenant_length..).unwrap_or_default()
    }

    fn hash(&self) -> u64 {
        Identity::subject_hash(self.tenant(), self.subject())
    }
}

/// The key at the beginning of these bytes, if all of it is there.
#[inline]
fn key_in(bytes: &[u8]) -> Option<Key<'_>> {
    let mut rest = bytes;
    let tenant_length = take_length(&mut rest)?;
    let subject_length = take_length(&mut rest)?;
    let text = rest.get(..tenant_length.checked_add(subject_length)?)?;
    Some(Key {
        text: Cow::Borrowed(text),
        tenant_length,
        length: bytes.len() - rest.len() + text.len(),
    })
}

fn put_length(keys: &mut StateColumn<u8>, mut length: usize) {
    while length >= 0x80 {
        keys.push(length as u8 | 0x80);
        length >>= 7;
    }
    keys.push(length as u8);
}

#[inline]
fn take_length(bytes: &mut &[u8]) -> Option<usize> {
    let mut length = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        length |= usize::from(byte & 0x7f) << shift;
        if *byte < 0x80 {
            return Some(length);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn insert(table: &mut SubjectTable, tenant: &str, subject: &str) -> u32 {
        let hash = Identity::subject_hash(tenant.as_bytes(), subject.as_bytes());
        table.find_or_insert(hash, tenant, subject).unwrap()
    }

    fn find(table: &SubjectTable, tenant: &str, subject: &str) -> Option<u32> {
        let hash = Identity::subject_hash(tenant.as_bytes(), subject.as_bytes());
        table.find(hash, tenant, subject)
    }

    #[test]
    fn a_subject_is_a_tenant_and_an_id_even_when_hashes_collide() {
        let mut table = SubjectTable::default();
        table.build_index();
        let a = table.find_or_insert(7, "", "ab");
        let b = table.find_or_insert(7, "a", "b");
        let c = table.find_or_insert(7, "ab", "");
        assert_ne!(a, b);
        assert_ne!(b, c);
        assert_eq!(table.find_or_insert(7, "a", "b"), b);
        assert_eq!(table.len(), 3);
    }

    #[test]
    fn keys_of_every_length_are_found_wherever_they_lie() {
        let mut table = SubjectTable::default();
        let name = |number: usize| "s".repeat(number % 700) + &number.to_string();
        let tenant = |number: usize| "t".repeat(number % 130);
        let slots: Vec<u32> = (0..5_000)
            .map(|number| insert(&mut table, &tenant(number), &name(number)))
            .collect();
        let bytes = postcard::to_stdvec(&table).unwrap();
        let mut read: SubjectTable = postcard::from_bytes(&bytes).unwrap();
        read.rebuild();
        for table in [&table, &read] {
            for (number, slot) in slots.iter().enumerate() {
                assert_eq!(find(table, &tenant(number), &name(number)), Some(*slot));
                assert_eq!(find(table, &tenant(number + 1), &name(number)), None);
            }
        }
        assert_eq!(size_of::<Subject>(), 12);
    }

    #[test]
    fn a_forgotten_subject_leaves_no_trace() {
        let mut table = SubjectTable::default();
        for number in 0..200_000 {
            let name = format!("subject-{number}");
            let slot = insert(&mut table, "tenant", &name);
            if number % 10 != 0 {
                table.remove(slot);
            }
        }
        assert_eq!(table.len(), 20_000);
        assert!(table.keys.len() < 2_000_000, "{}", table.keys.len());
        for number in 0..200_000 {
            let name = format!("subject-{number}");
            assert_eq!(find(&table, "tenant", &name).is_some(), number % 10 == 0, "{number}");
        }
    }
}
