//! A set of hashes as pieces of their bytes.

use std::hash::BuildHasher;

use backplane_memory::{StateSet, StateVec, pieces};
use serde::ser::SerializeSeq as _;
use serde::{Deserializer, Serializer};
use zerocopy::IntoBytes as _;

pub(crate) fn serialize<S: Serializer, H>(set: &StateSet<u128, H>, serializer: S) -> Result<S::Ok, S::Error> {
    // there are many of them, and no memory for all of them twice
    let length = pieces::length(size_of::<u128>()) / size_of::<u128>();
    let mut sequence = serializer.serialize_seq(Some(set.len().div_ceil(length)))?;
    let mut hashes = set.iter().copied();
    let mut piece = StateVec::<u128>::default();
    loop {
        piece.clear();
        piece.extend(hashes.by_ref().take(length));
        if piece.is_empty() {
            return sequence.end();
        }
        sequence.serialize_element(&pieces::Piece(piece.as_slice().as_bytes()))?;
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>, H: BuildHasher + Default>(
    deserializer: D,
) -> Result<StateSet<u128, H>, D::Error> {
    let mut set = StateSet::default();
    pieces::deserialize_elements(deserializer, |hash| {
        set.insert(hash);
    })?;
    Ok(set)
}
