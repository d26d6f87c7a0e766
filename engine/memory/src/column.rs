//! A column of state, which grows without moving.

use std::ops::Range;

use serde::ser::SerializeSeq as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::pieces::{self, Piece};
use crate::place::LEAST_PIECE;
use crate::vector::{StateVec, elements};

/// Chunks from one power of two to the next, as a power of two.
const SPLIT: u32 = 2;

/// Elements in a vector as long as they are few, and in chunks beyond: at first half as long as what is before them, later a quarter to a
/// seventh.
///
/// A vector that is full moves to one twice as large: for a while it is there twice, and afterwards half of it may be empty. Chunks do not
/// move, and what is empty of the last one was never touched, at the price of some instructions for each access (Brodnik, Carlsson, Demaine, Munro,
/// Sedgewick 1999, "Resizable Arrays in Optimal Time and Space"). A vector it is up to four times [`LEAST_PIECE`], so that a chunk can go to a
/// file, and what is small takes no more than it needs.
#[derive(Debug)]
pub struct StateColumn<T> {
    chunks: Vec<StateVec<T>>,
    length: usize,
}

impl<T> Default for StateColumn<T> {
    fn default() -> Self {
        StateColumn {
            chunks: Vec::new(),
            length: 0,
        }
    }
}

impl<T> StateColumn<T> {
    /// Elements that the chunks would have if the first ones were chunks, too; a power of two.
    const LEAST: usize = (LEAST_PIECE / if size_of::<T>() == 0 { 1 } else { size_of::<T>() }).next_power_of_two();
    /// Elements of the vector.
    const FIRST: usize = Self::LEAST << SPLIT;

    /// The chunk of an element (0 for the vector), and its place there.
    #[inline(always)]
    fn place_of(index: usize) -> (usize, usize) {
        if index < Self::FIRST {
            return (0, index);
        }
        let place = index.saturating_add(Self::FIRST);
        let bits = place.ilog2() - SPLIT;
        let level = (bits - Self::LEAST.ilog2()) as usize;
        let within = (place >> bits) - (1 << SPLIT);
        (1 + ((level - 1) << SPLIT) + within, place & ((1 << bits) - 1))
    }

    /// Elements of a chunk.
    fn size_of_chunk(chunk: usize) -> usize {
        match chunk.checked_sub(1) {
            None => Self::FIRST,
            Some(chunk) => Self::LEAST << (1 + (chunk >> SPLIT)),
        }
    }

    /// How many elements there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// An element.
    #[inline(always)]
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&T> {
        let (chunk, place) = Self::place_of(index);
        self.chunks.get(chunk)?.get(place)
    }

    /// An element, to change.
    #[inline(always)]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        let (chunk, place) = Self::place_of(index);
        self.chunks.get_mut(chunk)?.get_mut(place)
    }

    /// Appends an element.
    pub fn push(&mut self, element: T) {
        self.last(1).push(element);
        self.length += 1;
    }

    /// All elements, in order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.chunks.iter().flatten()
    }

    /// The elements from `index` to the end of its chunk; none beyond the end.
    #[must_use]
    pub fn rest_of_chunk(&self, index: usize) -> &[T] {
        let (chunk, place) = Self::place_of(index);
        let found = self.chunks.get(chunk).and_then(|chunk| chunk.get(place..));
        found.unwrap_or_default()
    }

    /// The elements of a range, as far as there are any, in as many slices as it has chunks.
    pub fn slices(&self, range: Range<usize>) -> impl Iterator<Item = &[T]> {
        let mut next = range.start;
        std::iter::from_fn(move || {
            let rest = self.rest_of_chunk(next);
            let slice = rest.get(..rest.len().min(range.end.saturating_sub(next)))?;
            next += slice.len();
            (!slice.is_empty()).then_some(slice)
        })
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory(&self) -> usize {
        let elements: usize = self.chunks.iter().map(|chunk| chunk.capacity()).sum();
        elements * size_of::<T>()
    }

    /// The chunk that has room for another element, with room for as many of these as it can have.
    fn last(&mut self, more: usize) -> &mut StateVec<T> {
        let (last, place) = Self::place_of(self.length);
        if place == 0 {
            self.chunks.push(StateVec::default());
        }
        let chunk = &mut self.chunks[last];
        let size = Self::size_of_chunk(last);
        let needed = place.saturating_add(more).min(size);
        if chunk.capacity() < needed {
            let room = if last == 0 {
                needed.max(2 * place).min(size)
            } else {
                size
            };
            chunk.reserve_exact(room - place);
        }
        chunk
    }
}

impl<T: Copy> StateColumn<T> {
    /// Appends copies of an element up to this length; nothing where there are as many.
    pub fn fill_up_to(&mut self, length: usize, element: T) {
        while self.length < length {
            let missing = length - self.length;
            let chunk = self.last(missing);
            let added = missing.min(chunk.capacity() - chunk.len());
            let filled = chunk.len() + added;
            chunk.resize(filled, element);
            self.length += added;
        }
    }

    /// Appends copies of elements.
    pub fn extend_from_slice(&mut self, mut elements: &[T]) {
        while !elements.is_empty() {
            let chunk = self.last(elements.len());
            let (now, later) = elements.split_at(elements.len().min(chunk.capacity() - chunk.len()));
            chunk.extend_from_slice(now);
            self.length += now.len();
            elements = later;
        }
    }
}

impl<T: IntoBytes + Immutable> Serialize for StateColumn<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let pieces = || {
            let bytes = self.chunks.iter().map(|chunk| chunk.as_slice().as_bytes());
            bytes.flat_map(|bytes| bytes.chunks(pieces::length(size_of::<T>())))
        };
        let mut sequence = serializer.serialize_seq(Some(pieces().count()))?;
        for piece in pieces() {
            sequence.serialize_element(&Piece(piece))?;
        }
        sequence.end()
    }
}

impl<'de, T: FromBytes + Copy> Deserialize<'de> for StateColumn<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut column = StateColumn::default();
        pieces::deserialize(deserializer, |bytes| {
            for element in elements(bytes)? {
                column.push(element);
            }
            Ok(())
        })?;
        Ok(column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::alone;

    #[test]
    fn every_element_has_a_place_of_its_own_one_after_the_other() {
        let mut expected = (0, 0);
        for index in 0..1_000_000 {
            assert_eq!(StateColumn::<u64>::place_of(index), expected);
            expected.1 += 1;
            if expected.1 == StateColumn::<u64>::size_of_chunk(expected.0) {
                expected = (expected.0 + 1, 0);
            }
        }
        assert!(StateColumn::<u8>::place_of(u32::MAX as usize).0 < 100);
        assert_eq!(StateColumn::<u8>::default().get(usize::MAX), None);
        assert!(StateColumn::<[u8; 20]>::size_of_chunk(1) * 20 >= LEAST_PIECE);
    }

    #[test]
    fn what_is_small_takes_no_more_than_a_vector() {
        let _alone = alone();
        let mut column = StateColumn::default();
        column.push(1_u64);
        assert!(column.memory() <= 4 * 8);
        (0..1_000).for_each(|number| column.push(number));
        assert!(column.memory() <= 2 * 1_001 * 8);
    }

    #[test]
    fn a_column_holds_what_a_vector_holds_and_little_more() {
        let _alone = alone();
        let mut column = StateColumn::default();
        let mut vector = Vec::new();
        column.push(7_u32);
        vector.push(7);
        for round in 0..200_u32 {
            let some: Vec<u32> = (0..round * 7).collect();
            column.extend_from_slice(&some);
            vector.extend_from_slice(&some);
            column.push(round);
            vector.push(round);
            column.fill_up_to(vector.len() + round as usize, 9);
            vector.resize(vector.len() + round as usize, 9);
            column.fill_up_to(1, 1);
            *column.get_mut(vector.len() / 2).unwrap() += 1;
            *vector.get_mut(column.len() / 2).unwrap() += 1;
        }
        assert_eq!(column.len(), vector.len());
        for (index, (own, its)) in column.iter().zip(&vector).enumerate() {
            assert_eq!(own, its, "{index}");
        }
        assert!((0..=vector.len()).all(|index| column.get(index) == vector.get(index)));
        assert!(column.memory() <= vector.len() * 4 * 3 / 2 + 64);
        for range in [0..0, 0..1, 60..70, 0..vector.len(), 1_000..9_000] {
            let slices: Vec<u32> = column.slices(range.clone()).flatten().copied().collect();
            assert_eq!(slices, vector[range]);
        }
        assert_eq!(column.slices(vector.len() - 1..vector.len() + 9).flatten().count(), 1);
    }

    #[test]
    fn a_column_is_read_back_as_it_was_and_what_is_none_is_refused() {
        let _alone = alone();
        for count in [0, 1, 64, 300_000] {
            let mut column = StateColumn::<u64>::default();
            (0..count).for_each(|number| column.push(number * number));
            let bytes = postcard::to_stdvec(&column).unwrap();
            let found: StateColumn<u64> = postcard::from_bytes(&bytes).unwrap();
            assert!(found.iter().eq(column.iter()) && found.len() == column.len());
            if count > 0 {
                assert!(postcard::from_bytes::<StateColumn<u64>>(&bytes[..bytes.len() - 1]).is_err());
            }
        }
    }
}
