//! Bytes in long pieces, where serde would write and read them one by one.

use backplane_memory::pieces;
use serde::{Deserializer, Serializer};

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    pieces::serialize(std::iter::once(bytes), 1, serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let mut all = Vec::new();
    pieces::deserialize(deserializer, |piece| {
        all.extend_from_slice(piece);
        Ok(())
    })?;
    Ok(all)
}
