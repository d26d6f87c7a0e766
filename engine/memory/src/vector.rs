//! A vector of state.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};

use allocator_api2::vec::Vec;
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::StateMemory;

/// A vector of state: as [`std::vec::Vec`] in all it does. As bytes it is a sequence.
#[derive(Debug, Clone)]
pub struct StateVec<T>(Vec<T, StateMemory>);

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

impl<'a, T> IntoIterator for &'a StateVec<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<T: Serialize> Serialize for StateVec<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
}

/// What a length that is read is believed before as many elements have come.
const BELIEVED: usize = 1 << 16;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for StateVec<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Elements<T> {
            type Value = StateVec<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a sequence")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<StateVec<T>, A::Error> {
                let mut vector = StateVec::default();
                vector.reserve(elements.size_hint().unwrap_or(0).min(BELIEVED));
                while let Some(element) = elements.next_element()? {
                    vector.push(element);
                }
                Ok(vector)
            }
        }
        deserializer.deserialize_seq(Elements(PhantomData))
    }
}
