//! Bytes in long pieces, where serde would write and read them one by one.

use std::fmt;

use serde::de::{DeserializeSeed, Error, SeqAccess, Visitor};
use serde::ser::SerializeSeq as _;
use serde::{Deserializer, Serialize, Serializer};
use zerocopy::FromBytes;

/// Bytes of one piece, about.
pub const PIECE: usize = 1 << 20;

/// Bytes in one go.
#[derive(Debug)]
pub struct Piece<'a>(pub &'a [u8]);

impl Serialize for Piece<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Writes bytes whose elements have this size, as a sequence of pieces of whole elements. They may lie in several places, each with whole
/// elements.
///
/// # Errors
/// The serializer's.
pub fn serialize<'a, S: Serializer>(
    places: impl Iterator<Item = &'a [u8]> + Clone,
    size: usize,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let pieces = places.flat_map(|bytes| bytes.chunks(length(size)));
    let mut sequence = serializer.serialize_seq(Some(pieces.clone().count()))?;
    for piece in pieces {
        sequence.serialize_element(&Piece(piece))?;
    }
    sequence.end()
}

/// The bytes of a piece of elements of this size.
#[must_use]
pub fn length(size: usize) -> usize {
    (PIECE / size.max(1)).max(1) * size.max(1)
}

/// Reads pieces, and hands over each; what is said of one that is wrong becomes the error.
///
/// # Errors
/// The deserializer's.
pub fn deserialize<'de, D, F>(deserializer: D, each: F) -> Result<(), D::Error>
where
    D: Deserializer<'de>,
    F: FnMut(&[u8]) -> Result<(), &'static str>,
{
    deserializer.deserialize_seq(Pieces(each))
}

/// Reads pieces, and hands over each of their elements.
///
/// # Errors
/// The deserializer's, and where a piece ends within an element.
pub fn deserialize_elements<'de, D, T, F>(deserializer: D, mut each: F) -> Result<(), D::Error>
where
    D: Deserializer<'de>,
    T: FromBytes,
    F: FnMut(T),
{
    deserialize(deserializer, |bytes| {
        let chunks = bytes.chunks_exact(size_of::<T>());
        if !chunks.remainder().is_empty() {
            return Err("a piece ends within an element");
        }
        chunks
            .filter_map(|bytes| T::read_from_bytes(bytes).ok())
            .for_each(&mut each);
        Ok(())
    })
}

struct Pieces<F>(F);

impl<'de, F: FnMut(&[u8]) -> Result<(), &'static str>> Visitor<'de> for Pieces<F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("pieces of bytes")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut pieces: A) -> Result<(), A::Error> {
        while pieces.next_element_seed(One(&mut self.0))?.is_some() {}
        Ok(())
    }
}

struct One<'a, F>(&'a mut F);

impl<'de, F: FnMut(&[u8]) -> Result<(), &'static str>> DeserializeSeed<'de> for One<'_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_byte_buf(self)
    }
}

impl<F: FnMut(&[u8]) -> Result<(), &'static str>> Visitor<'_> for One<'_, F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<(), E> {
        (self.0)(bytes).map_err(E::custom)
    }
}
