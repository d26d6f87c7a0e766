//! A set of hashes as pieces of their bytes.

use std::hash::BuildHasher;

use backplane_memory::{StateMemory, StateSet, StateVec};
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

pub(crate) fn serialize<S: Serializer, H>(set: &StateSet<u128, H>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut hashes = StateVec::default();
    hashes.extend(set.iter().copied());
    hashes.serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>, H: BuildHasher + Default>(
    deserializer: D,
) -> Result<StateSet<u128, H>, D::Error> {
    let hashes = StateVec::<u128>::deserialize(deserializer)?;
    let mut set = StateSet::with_capacity_and_hasher_in(hashes.len(), H::default(), StateMemory);
    set.extend(hashes.iter().copied());
    Ok(set)
}
