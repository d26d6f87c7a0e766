//! A set of hashes as a sequence.

use std::hash::BuildHasher;

use backplane_memory::{StateMemory, StateSet};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserializer, Serializer};

pub(crate) fn serialize<S: Serializer, H>(set: &StateSet<u128, H>, serializer: S) -> Result<S::Ok, S::Error> {
    // as bytes: hashes are long numbers, which gain nothing by being written short
    serializer.collect_seq(set.iter().map(|hash| hash.to_le_bytes()))
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>, H: BuildHasher + Default>(
    deserializer: D,
) -> Result<StateSet<u128, H>, D::Error> {
    struct Hashes<H>(std::marker::PhantomData<H>);
    impl<'de, H: BuildHasher + Default> Visitor<'de> for Hashes<H> {
        type Value = StateSet<u128, H>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("hashes of 16 bytes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut hashes: A) -> Result<Self::Value, A::Error> {
            let mut set =
                StateSet::with_capacity_and_hasher_in(hashes.size_hint().unwrap_or(0), H::default(), StateMemory);
            while let Some(bytes) = hashes.next_element::<[u8; 16]>()? {
                set.insert(u128::from_le_bytes(bytes));
            }
            Ok(set)
        }
    }
    deserializer.deserialize_seq(Hashes(std::marker::PhantomData))
}
