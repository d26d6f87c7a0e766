//! Bytes in long pieces, where serde would write and read them one by one.

use std::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Bytes of one piece.
const PIECE: usize = 1 << 20;

pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(bytes.chunks(PIECE).map(Piece))
}

struct Piece<'a>(&'a [u8]);

impl Serialize for Piece<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    struct Pieces;
    impl<'de> Visitor<'de> for Pieces {
        type Value = Vec<u8>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("pieces of bytes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut pieces: A) -> Result<Vec<u8>, A::Error> {
            let mut all = Vec::new();
            while let Some(OwnedPiece(piece)) = pieces.next_element()? {
                match all.is_empty() {
                    true => all = piece,
                    false => all.extend_from_slice(&piece),
                }
            }
            Ok(all)
        }
    }
    deserializer.deserialize_seq(Pieces)
}

struct OwnedPiece(Vec<u8>);

impl<'de> Deserialize<'de> for OwnedPiece {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = OwnedPiece;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<OwnedPiece, E> {
                Ok(OwnedPiece(bytes.to_vec()))
            }
        }
        deserializer.deserialize_byte_buf(Bytes)
    }
}
