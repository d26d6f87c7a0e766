//! Bytes in long pieces, where serde would write and read them one by one.

use std::fmt;
use std::marker::PhantomData;

use backplane_memory::StateVec;
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

/// Where bytes are put together.
pub(crate) trait Bytes: Default {
    fn add(&mut self, piece: Vec<u8>);
}

impl Bytes for Vec<u8> {
    fn add(&mut self, piece: Vec<u8>) {
        match self.is_empty() {
            true => *self = piece,
            false => self.extend_from_slice(&piece),
        }
    }
}

impl Bytes for StateVec<u8> {
    fn add(&mut self, piece: Vec<u8>) {
        self.extend_from_slice(&piece);
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>, B: Bytes>(deserializer: D) -> Result<B, D::Error> {
    struct Pieces<B>(PhantomData<B>);
    impl<'de, B: Bytes> Visitor<'de> for Pieces<B> {
        type Value = B;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("pieces of bytes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut pieces: A) -> Result<B, A::Error> {
            let mut all = B::default();
            while let Some(OwnedPiece(piece)) = pieces.next_element()? {
                all.add(piece);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_seq(Pieces(PhantomData))
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
