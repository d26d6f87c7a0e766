//! A vector of state.

use std::ops::{Deref, DerefMut};

use allocator_api2::vec::Vec;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::{StateMemory, pieces};

/// A vector of state: as [`std::vec::Vec`] in all it does.
///
/// Elements without padding are written down as they lie in memory, in pieces of about a mebibyte: state is much, and written while a job
/// runs.
#[derive(Debug, Clone)]
pub struct StateVec<T>(Vec<T, StateMemory>);

// what is written down on one machine is read on another
#[cfg(target_endian = "big")]
compile_error!("state is written down in the order of bytes of little-endian machines");

impl<T> Default for StateVec<T> {
    fn default() -> Self {
        StateVec(Vec::new_in(StateMemory))
    }
}

impl<T> Deref for StateVec<T> {
    type Target = Vec<T, StateMemory>;
    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for StateVec<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<T> Extend<T> for StateVec<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, elements: I) {
        self.0.extend(elements);
    }
}

impl<'a, T> IntoIterator for &'a StateVec<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Copy> StateVec<T> {
    /// Appends copies of elements, all at once.
    pub fn extend_from_slice(&mut self, elements: &[T]) {
        let Self(vector) = self;
        vector.reserve(elements.len());
        let length = vector.len();
        // SAFETY: there is room for them behind what is there, which no reference reaches, and they need no drop.
        #[expect(unsafe_code, reason = "the library's vector appends them one by one")]
        unsafe {
            let free = vector.as_mut_ptr().add(length);
            free.copy_from_nonoverlapping(elements.as_ptr(), elements.len());
            vector.set_len(length + elements.len());
        }
    }
}

impl<T: IntoBytes + Immutable> Serialize for StateVec<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        pieces::serialize(
            std::iter::once(self.0.as_slice().as_bytes()),
            size_of::<T>(),
            serializer,
        )
    }
}

impl<'de, T: FromBytes> Deserialize<'de> for StateVec<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut vector = StateVec::default();
        pieces::deserialize_elements(deserializer, |element| vector.push(element))?;
        Ok(vector)
    }
}
