//! A column of state, which grows without moving.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::pieces;
use crate::place::LEAST_PIECE;
use crate::vector::StateVec;

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
}

impl<T: IntoBytes + Immutable> Serialize for StateColumn<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes = self.chunks.iter().map(|chunk| chunk.as_slice().as_bytes());
        pieces::serialize(bytes, size_of::<T>(), serializer)
    }
}

impl<'de, T: FromBytes + Copy> Deserialize<'de> for StateColumn<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut column = StateColumn::default();
        pieces::deserialize_elements(deserializer, |element| column.push(element))?;
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
            some.iter().for_each(|element| column.push(*element));
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
