//! A vector of state.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use allocator_api2::vec::Vec;
use serde::de::{DeserializeSeed, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::StateMemory;

/// A vector of state: as [`std::vec::Vec`] in all it does.
///
/// Elements without padding are written down as they lie in memory, in pieces of about a mebibyte: state is much, and written while a job
/// runs.
#[derive(Debug, Clone)]
pub struct StateVec<T>(Vec<T, StateMemory>);

/// Bytes of one piece, about.
const PIECE: usize = 1 << 20;

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

impl<T: IntoBytes + Immutable> Serialize for StateVec<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let elements = (PIECE / size_of::<T>().max(1)).max(1);
        serializer.collect_seq(self.0.chunks(elements).map(Piece))
    }
}

struct Piece<'a, T>(&'a [T]);

impl<T: IntoBytes + Immutable> Serialize for Piece<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_bytes())
    }
}

impl<'de, T: IntoBytes + FromBytes> Deserialize<'de> for StateVec<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Pieces(PhantomData))
    }
}

struct Pieces<T>(PhantomData<T>);

impl<'de, T: IntoBytes + FromBytes> Visitor<'de> for Pieces<T> {
    type Value = StateVec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("pieces of bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pieces: A) -> Result<StateVec<T>, A::Error> {
        let mut vector = StateVec::default();
        while pieces.next_element_seed(Appended(&mut vector))?.is_some() {}
        Ok(vector)
    }
}

/// A piece that is read is appended to a vector.
struct Appended<'a, T>(&'a mut StateVec<T>);

impl<'de, T: IntoBytes + FromBytes> DeserializeSeed<'de> for Appended<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_byte_buf(self)
    }
}

impl<T: IntoBytes + FromBytes> Visitor<'_> for Appended<'_, T> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "bytes of whole elements of {}", size_of::<T>())
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<(), E> {
        let Appended(StateVec(vector)) = self;
        let (count, rest) = (bytes.len() / size_of::<T>().max(1), bytes.len() % size_of::<T>().max(1));
        if rest != 0 {
            return Err(E::invalid_length(bytes.len(), &Appended(&mut StateVec::<T>::default())));
        }
        let before = vector.len();
        vector.extend(std::iter::repeat_with(T::new_zeroed).take(count));
        match vector.get_mut(before..) {
            Some(added) => added.as_mut_bytes().copy_from_slice(bytes),
            None => return Err(E::custom("elements that were added are not there")),
        }
        Ok(())
    }
}
