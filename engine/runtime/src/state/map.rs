//! A hash map as a sequence of its entries, in the order of the keys.

use hashbrown::HashMap;
use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

pub(crate) fn serialize<S: Serializer>(map: &HashMap<u32, u32>, serializer: S) -> Result<S::Ok, S::Error> {
    let mut entries: Vec<(u32, u32)> = map.iter().map(|(key, value)| (*key, *value)).collect();
    entries.sort_unstable();
    entries.serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HashMap<u32, u32>, D::Error> {
    let entries = Vec::<(u32, u32)>::deserialize(deserializer)?;
    Ok(entries.into_iter().collect())
}
