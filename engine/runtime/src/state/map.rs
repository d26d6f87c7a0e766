//! A hash map as a sequence of its entries, in the order of the keys.

use backplane_memory::StateMap;
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

pub(crate) fn serialize<S: Serializer>(map: &StateMap<u32, u32>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut entries: Vec<(u32, u32)> = map.iter().map(|(key, value)| (*key, *value)).collect();
    entries.sort_unstable();
    entries.serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<StateMap<u32, u32>, D::Error> {
    let entries = Vec::<(u32, u32)>::deserialize(deserializer)?;
    Ok(entries.into_iter().collect())
}
