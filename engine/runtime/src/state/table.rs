//! A table of what has its hash with it, as pieces of bytes.

use backplane_memory::{StateMemory, StateTable, StateVec, pieces};
use serde::ser::SerializeSeq as _;
use serde::{Deserializer, Serializer};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// What tables are made of.
pub(crate) trait Hashed: Copy + IntoBytes + FromBytes + Immutable {
    /// The hash that its table goes by.
    fn word(&self) -> u64;
}

pub(crate) fn serialize<S: Serializer, T: Hashed>(table: &StateTable<T>, serializer: S) -> Result<S::Ok, S::Error> {
    // there are many of them, and no memory for all of them twice
    let length = pieces::length(size_of::<T>()) / size_of::<T>();
    let mut sequence = serializer.serialize_seq(Some(table.len().div_ceil(length)))?;
    let mut elements = table.iter().copied();
    let mut piece = StateVec::<T>::default();
    loop {
        piece.clear();
        piece.extend(elements.by_ref().take(length));
        if piece.is_empty() {
            return sequence.end();
        }
        sequence.serialize_element(&pieces::Piece(piece.as_slice().as_bytes()))?;
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>, T: Hashed>(deserializer: D) -> Result<StateTable<T>, D::Error> {
    let mut elements = StateVec::<T>::default();
    pieces::deserialize_elements(deserializer, |element| elements.push(element))?;
    // how many there are is known at the end alone; and in the order of a table, a smaller one that grows would take them in ever longer runs
    let mut table = StateTable::with_capacity_in(elements.len(), StateMemory);
    for element in &elements {
        table.insert_unique(element.word(), *element, Hashed::word);
    }
    Ok(table)
}
