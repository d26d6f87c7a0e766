//! Second deliveries: an event id counts once within the correction horizon.
//!
//! Within a partition the first delivery in record order counts. Between partitions the one of the earlier slice does, then the one of the lower
//! partition: that depends on the input alone, not on the order in which partitions are read. So a delivery is judged when it comes in, with one
//! table for those that wait and those that are settled; where it comes before one of another partition, that one must still wait, and loses
//! what it had won.
//!
//! Ids are kept as 128-bit hashes. Slices are divided into spans that are at least as long as two deliveries can be apart; those of two spans
//! side by side are compared, and a whole span is forgotten at once.

use std::collections::VecDeque;
use std::ops::Range;

use backplane_memory::{StateMemory, StateTable};
use zerocopy::little_endian::U128;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::block::{Block, NO_SLICE, RecordMeta, SharedBlock};
use crate::state::table::Hashed;

/// The ids of one shard of event ids.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct SeenIds {
    /// In order.
    spans: VecDeque<Span>,
}

/// Deliveries whose slices lie in one span.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
struct Span {
    number: i64,
    /// Those that count.
    #[serde(with = "crate::state::table")]
    counting: StateTable<Delivery>,
    /// The first ones of partitions that do not, since another partition's does: what these bring again cannot count either.
    #[serde(with = "crate::state::table")]
    losing: StateTable<Delivery>,
}

/// A delivery: 24 bytes.
#[derive(Debug, Clone, Copy, IntoBytes, FromBytes, Immutable)]
#[repr(C)]
struct Delivery {
    id: U128,
    partition: u32,
    /// The low half of its block's number.
    block: u32,
}

impl Hashed for Delivery {
    fn word(&self) -> u64 {
        word(self.id.get())
    }
}

/// The half of a hash that tables go by; a shard has been chosen by the other one.
fn word(id: u128) -> u64 {
    (id >> 64) as u64
}

/// How far apart the slices of two deliveries of an id may be, at most.
#[derive(Debug, Clone, Copy)]
pub struct SpanLength(i64);

impl SpanLength {
    /// Of this correction horizon, and slices of at most this length, both in microseconds: a second delivery that is not too late lies no
    /// further behind the watermark than the horizon, and is settled one slice after it.
    #[must_use]
    pub fn new(horizon: i64, slice_length: i64) -> Self {
        SpanLength(horizon.saturating_add(slice_length).max(1))
    }

    fn number_of(self, slice: i64) -> i64 {
        slice.div_euclid(self.0)
    }

    fn contains(self, number: i64, slice: i64) -> bool {
        let offset = slice.wrapping_sub(number.wrapping_mul(self.0));
        (0..self.0).contains(&offset)
    }
}

/// A record that has come in.
#[derive(Clone, Copy)]
struct Arrival<'a> {
    block: &'a Block,
    index: u32,
    record: &'a RecordMeta,
}

impl Arrival<'_> {
    fn delivery(&self) -> Delivery {
        Delivery {
            id: U128::new(self.record.id_hash),
            partition: self.block.partition,
            block: self.block.sequence as u32,
        }
    }

    /// Of two partitions' deliveries the one with the lesser rank counts.
    fn rank(&self) -> (i64, u32) {
        (self.record.slice, self.block.partition)
    }
}

impl SeenIds {
    /// Judges a block's records of id shard `shard`, in record order: marks second deliveries, in it and, where one counts no more, in the
    /// blocks that wait. Those are all whose records are not settled, this one among them.
    pub fn ingest(&mut self, block: &Block, shard: usize, waiting: &[SharedBlock], length: SpanLength) {
        let Some(indices) = block.by_id_shard.get(shard) else {
            return;
        };
        // most records of a block lie in one span
        let (mut number, mut own, mut near) = (i64::MIN, 0, 0..0);
        for &index in indices {
            let Some(record) = block.records.get(index as usize) else {
                continue;
            };
            if record.slice == NO_SLICE {
                continue;
            }
            if near.is_empty() || !length.contains(number, record.slice) {
                number = length.number_of(record.slice);
                own = self.open(number);
                near = self.near(number);
            }
            match self.find(record.id_hash, near.clone()) {
                None => self.count(own, Arrival { block, index, record }.delivery()),
                Some((_, delivery)) if delivery.partition == block.partition => block.drop_record(index),
                Some((place, first)) => {
                    let arrival = Arrival { block, index, record };
                    if self.has_lost(&arrival, near.clone()) {
                        block.drop_record(index);
                        continue;
                    }
                    let waits = self.arrival_of(&first, place, shard, waiting, length);
                    match waits.filter(|first| arrival.rank() < first.rank()) {
                        Some(first) => self.take_over(place, own, &arrival, &first),
                        None => self.lose(own, &arrival),
                    }
                }
            }
        }
    }

    /// Forgets what nothing that comes after `watermark` can repeat.
    pub fn forget(&mut self, watermark: i64, length: SpanLength) {
        // at the end nothing comes any more
        if watermark == i64::MIN || watermark == i64::MAX {
            return;
        }
        let first = length.number_of(watermark) - 1;
        while self.spans.front().is_some_and(|oldest| oldest.number < first) {
            self.spans.pop_front();
        }
    }

    /// How many ids are remembered.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.spans.iter().map(|span| span.counting.len()).sum()
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory(&self) -> usize {
        // a place and a byte of its own for each, of which seven in eight are given away
        let places: usize = self.spans.iter().map(|span| span.counting.capacity() * 8 / 7).sum();
        places * (size_of::<Delivery>() + 1)
    }

    /// The place of a span, which is there from now on.
    fn open(&mut self, number: i64) -> usize {
        let place = self.spans.partition_point(|span| span.number < number);
        if self.spans.get(place).is_none_or(|span| span.number != number) {
            // it will have about as many as the one before it, and need not grow step by step
            let before = place.checked_sub(1).and_then(|before| self.spans.get(before));
            let count = before.map_or(0, |span| span.counting.len());
            let span = Span {
                number,
                counting: StateTable::with_capacity_in(count, StateMemory),
                losing: StateTable::default(),
            };
            self.spans.insert(place, span);
        }
        place
    }

    /// The places of a span and of those beside it.
    fn near(&self, number: i64) -> Range<usize> {
        let first = self.spans.partition_point(|span| span.number < number - 1);
        let end = self.spans.partition_point(|span| span.number <= number + 1);
        first..end
    }

    /// The delivery of an id that counts, and the place of its span.
    #[inline]
    fn find(&self, id: u128, near: Range<usize>) -> Option<(usize, Delivery)> {
        near.rev().find_map(|place| {
            let counting = &self.spans.get(place)?.counting;
            let found = counting.find(word(id), |delivery| delivery.id.get() == id)?;
            Some((place, *found))
        })
    }

    #[inline]
    fn count(&mut self, place: usize, delivery: Delivery) {
        if let Some(span) = self.spans.get_mut(place) {
            span.counting.insert_unique(delivery.word(), delivery, Delivery::word);
        }
    }

    /// Whether a partition has brought an id before, and it did not count.
    fn has_lost(&self, arrival: &Arrival<'_>, near: Range<usize>) -> bool {
        let Delivery { id, partition, .. } = arrival.delivery();
        let is_same = |lost: &Delivery| lost.id == id && lost.partition == partition;
        let mut spans = self.spans.range(near);
        spans.any(|span| span.losing.find(word(id.get()), is_same).is_some())
    }

    /// A partition's first delivery of an id does not count.
    fn lose(&mut self, place: usize, arrival: &Arrival<'_>) {
        arrival.block.drop_record(arrival.index);
        if let Some(span) = self.spans.get_mut(place) {
            let delivery = arrival.delivery();
            span.losing.insert_unique(delivery.word(), delivery, Delivery::word);
        }
    }

    /// A delivery counts in the place of another partition's that has come before it.
    fn take_over(&mut self, place: usize, own: usize, arrival: &Arrival<'_>, first: &Arrival<'_>) {
        let id = first.record.id_hash;
        if let Some(span) = self.spans.get_mut(place)
            && let Ok(entry) = span.counting.find_entry(word(id), |delivery| delivery.id.get() == id)
        {
            entry.remove();
        }
        self.lose(place, first);
        self.count(own, arrival.delivery());
    }

    /// The record of a delivery, if its block waits.
    fn arrival_of<'a>(
        &self,
        delivery: &Delivery,
        place: usize,
        shard: usize,
        waiting: &'a [SharedBlock],
        length: SpanLength,
    ) -> Option<Arrival<'a>> {
        let number = self.spans.get(place)?.number;
        let has_it =
            |block: &&SharedBlock| block.partition == delivery.partition && block.sequence as u32 == delivery.block;
        let block = waiting.iter().find(has_it)?;
        block.by_id_shard.get(shard)?.iter().find_map(|&index| {
            let record = block.records.get(index as usize)?;
            let is_it = record.id_hash == delivery.id.get()
                && record.slice != NO_SLICE
                && length.contains(number, record.slice);
            is_it.then_some(Arrival { block, index, record })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::block::Block;

    /// A block of exposures with these (event id, slice).
    fn block(partition: u32, sequence: u64, records: &[(&str, i64)]) -> SharedBlock {
        let line = |id: &str| {
            format!(
                "{{\"eventId\":\"{id}\",\"timestamp\":\"2026-01-05T00:00:00Z\",\"eventType\":\"Exposure\",\"schemaVersion\":\"1.0.0\",\
                 \"payload\":{{\"experimentName\":\"x\",\"variantKey\":\"a\",\"subjectId\":\"s\"}}}}\n"
            )
        };
        let text: String = records.iter().map(|(id, _)| line(id)).collect();
        let decoded = backplane_events::Decoder::new().decode(text.as_bytes(), backplane_events::EventTime(0));
        let mut block = Block::decoded(partition, sequence, decoded.batches, &decoded.records);
        for (record, (_, slice)) in block.records.iter_mut().zip(records) {
            record.slice = *slice;
        }
        Arc::new(block)
    }

    fn dropped(blocks: &[SharedBlock], horizon: i64) -> Vec<Vec<bool>> {
        let mut shards: Vec<SeenIds> = (0..crate::plan::SHARDS).map(|_| SeenIds::default()).collect();
        let length = SpanLength::new(horizon, 10);
        for (index, shard) in shards.iter_mut().enumerate() {
            blocks
                .iter()
                .for_each(|block| shard.ingest(block, index, blocks, length));
        }
        flags(blocks)
    }

    fn flags(blocks: &[SharedBlock]) -> Vec<Vec<bool>> {
        let flags = |block: &SharedBlock| {
            (0u32..)
                .zip(&block.records)
                .map(|(index, _)| block.is_dropped(index))
                .collect()
        };
        blocks.iter().map(flags).collect()
    }

    #[test]
    fn within_a_partition_the_first_in_record_order_counts_whatever_its_event_time() {
        let blocks = [block(0, 0, &[("e", 120)]), block(0, 1, &[("e", 60), ("f", 60)])];
        assert_eq!(dropped(&blocks, 100), [vec![false], vec![true, false]]);
    }

    #[test]
    fn across_partitions_the_earlier_slice_then_the_earlier_partition_counts() {
        let blocks = [
            block(1, 0, &[("e", 60), ("f", 60)]),
            block(0, 0, &[("e", 60), ("f", 120)]),
        ];
        assert_eq!(dropped(&blocks, 100), [vec![true, false], vec![false, true]]);
    }

    #[test]
    fn an_id_is_remembered_for_the_correction_horizon() {
        let blocks = [block(0, 0, &[("e", 60)]), block(1, 0, &[("e", 150)])];
        assert_eq!(dropped(&blocks, 100), [vec![false], vec![true]]);
    }

    #[test]
    fn which_of_several_partitions_delivery_counts_does_not_depend_on_the_order_of_reading() {
        let ids = ["e", "f", "g", "h"];
        let mut random = 7_u64;
        let mut next = |below: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        for _ in 0..50 {
            let mut partitions = Vec::new();
            for partition in 0..3 {
                let mut blocks = Vec::new();
                for sequence in 0..3 {
                    let records: Vec<(&str, i64)> = (0..3)
                        .map(|_| (ids[next(4) as usize], 1_000 + 10 * next(12) as i64))
                        .collect();
                    blocks.push((partition, sequence, records));
                }
                partitions.push(blocks);
            }
            let mut expected: Option<Vec<Vec<bool>>> = None;
            for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
                // partition by partition, and in turn
                let one_by_one = order.iter().flat_map(|partition| partitions[*partition].clone());
                let in_turn = (0..3).flat_map(|turn| order.map(|partition| partitions[partition][turn].clone()));
                for blocks in [one_by_one.collect::<Vec<_>>(), in_turn.collect()] {
                    let mut blocks: Vec<SharedBlock> = blocks
                        .iter()
                        .map(|(partition, sequence, records)| block(*partition, *sequence, records))
                        .collect();
                    let _ = dropped(&blocks, 200);
                    blocks.sort_by_key(|block| block.key());
                    let found = flags(&blocks);
                    assert_eq!(*expected.get_or_insert_with(|| found.clone()), found);
                    // one delivery of each id
                    let records = blocks
                        .iter()
                        .flat_map(|block| block.records.iter().zip(0..).map(move |it| (block, it)));
                    let mut counting: Vec<u128> = records
                        .filter(|(block, (_, index))| !block.is_dropped(*index))
                        .map(|(_, (record, _))| record.id_hash)
                        .collect();
                    let count = counting.len();
                    counting.sort_unstable();
                    counting.dedup();
                    assert_eq!(counting.len(), count);
                }
            }
        }
    }

    #[test]
    fn ids_are_forgotten_by_spans_and_read_back_as_they_were() {
        let length = SpanLength::new(90, 10);
        let mut seen = SeenIds::default();
        let shard = 0;
        let mut count = 0;
        for number in 0..200 {
            let ids: Vec<String> = (0..20).map(|id| format!("{number}-{id}")).collect();
            let slice = number * 10;
            let records: Vec<(&str, i64)> = ids.iter().map(|id| (id.as_str(), slice)).collect();
            let block = block(0, number as u64, &records);
            seen.ingest(&block, shard, std::slice::from_ref(&block), length);
            seen.forget(slice, length);
            count += block.by_id_shard[shard].len();
        }
        assert!(
            seen.spans.len() <= 3 && seen.len() < count / 5,
            "{} of {count}",
            seen.len()
        );
        let bytes = postcard::to_stdvec(&seen).unwrap();
        let mut read: SeenIds = postcard::from_bytes(&bytes).unwrap();
        assert_eq!((read.len(), read.spans.len()), (seen.len(), seen.spans.len()));
        // known again, whichever partition brings it; the settled one stays
        let last: Vec<String> = (0..20).map(|id| format!("199-{id}")).collect();
        let again: Vec<(&str, i64)> = last.iter().map(|id| (id.as_str(), 1_995)).collect();
        for partition in [0, 1] {
            let block = block(partition, 900, &again);
            read.ingest(&block, shard, std::slice::from_ref(&block), length);
            let mine = &block.by_id_shard[shard];
            assert!(!mine.is_empty() && mine.iter().all(|index| block.is_dropped(*index)));
        }
    }
}
