//! A few counts, as a sequence.

use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

use crate::partial::Counts;

pub(crate) fn serialize<S: Serializer>(counts: &Counts, serializer: S) -> Result<S::Ok, S::Error> {
    counts.as_slice().serialize(serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Counts, D::Error> {
    Vec::deserialize(deserializer).map(Counts::from_vec)
}
