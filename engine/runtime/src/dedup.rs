//! Second deliveries: an event id counts once within the correction horizon.
//!
//! Within a partition the first delivery in record order counts. Between partitions the one of the earlier slice does, then the one of the lower
//! partition: that depends on the input alone, not on the order in which partitions are read. So a delivery is judged when it comes in, with one
//! table for those that wait and those that are settled; where it is before one of another partition, that one must still wait, and loses
//! what it had won.
//!
//! Ids are kept as 128-bit hashes. Slices are divided into spans that are at least as long as two deliveries can be apart; those in spans side
//! by side are compared, and a whole span is forgotten at once.

use std::collections::VecDeque;
use std::ops::Range;

use backplane_memory::{StateMemory, StateTable};
use smallvec::SmallVec;
use zerocopy::little_endian::U128;
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::block::{Block, NO_SLICE, RecordMeta, SharedBlock, word_of};
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
    /// Those that do not, since another partition's is before them.
    #[serde(with = "crate::state::table")]
    losing: StateTable<Delivery>,
}

/// The first delivery of an id by a partition: 28 bytes.
#[derive(Debug, Clone, Copy, IntoBytes, FromBytes, Immutable)]
#[repr(C)]
struct Delivery {
    id: U128,
    partition: u32,
    /// The low half of its block's number.
    block: u32,
    /// Its record there.
    index: u32,
}

impl Hashed for Delivery {
    fn word(&self) -> u64 {
        word_of(self.id.get())
    }
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
            index: self.index,
        }
    }

    /// Of the first deliveries of several partitions the one with the least rank counts.
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
            let arrival = Arrival { block, index, record };
            if self.spans.range(near.clone()).all(|span| span.is_new(record.id_hash)) {
                self.count(own, arrival.delivery());
            } else {
                self.judge(&arrival, own, near.clone(), waiting);
            }
        }
    }

    /// Judges a delivery of an id that is known. A partition's first one counts where no other partition's first one in the spans beside it has a
    /// lesser rank, whether that counts or not: so it does not matter which of them came first.
    fn judge(&mut self, arrival: &Arrival<'_>, own: usize, near: Range<usize>, waiting: &[SharedBlock]) {
        let id = arrival.record.id_hash;
        let known = near.clone().zip(self.spans.range(near));
        let known: SmallVec<[(usize, bool, Delivery); 4]> = known
            .flat_map(|(place, span)| {
                span.deliveries_of(id)
                    .map(move |(counts, delivery)| (place, counts, delivery))
            })
            .collect();
        if known
            .iter()
            .any(|(_, _, first)| first.partition == arrival.block.partition)
        {
            arrival.block.drop_record(arrival.index);
            return;
        }
        let mut is_least = true;
        for (place, counts, other) in known {
            match other.waiting_in(waiting).filter(|other| arrival.rank() < other.rank()) {
                Some(other) if counts => self.unseat(place, &other),
                Some(_) => {}
                // what is settled is before all that comes
                None => is_least = false,
            }
        }
        if is_least {
            self.count(own, arrival.delivery());
        } else {
            self.lose(own, arrival);
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
        let lengths = |span: &Span| span.counting.len() + span.losing.len();
        self.spans.iter().map(lengths).sum()
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory(&self) -> usize {
        let tables = self.spans.iter().flat_map(|span| [&span.counting, &span.losing]);
        // a place and a byte of its own for each, of which seven in eight are given away
        tables.map(|table| table.capacity() * 8 / 7).sum::<usize>() * (size_of::<Delivery>() + 1)
    }

    /// The place of a span, which is there from now on.
    fn open(&mut self, number: i64) -> usize {
        let place = self.spans.partition_point(|span| span.number < number);
        if self.spans.get(place).is_none_or(|span| span.number != number) {
            // it will have about as many as the one beside it, and need not grow step by step
            let before = place.checked_sub(1).and_then(|before| self.spans.get(before));
            let beside = before.filter(|before| before.number == number - 1);
            let count = beside.map_or(0, |span| span.counting.len());
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

    #[inline]
    fn count(&mut self, place: usize, delivery: Delivery) {
        if let Some(span) = self.spans.get_mut(place) {
            span.counting.insert_unique(delivery.word(), delivery, Delivery::word);
        }
    }

    /// A partition's first delivery of an id does not count.
    fn lose(&mut self, place: usize, arrival: &Arrival<'_>) {
        arrival.block.drop_record(arrival.index);
        if let Some(span) = self.spans.get_mut(place) {
            let delivery = arrival.delivery();
            span.losing.insert_unique(delivery.word(), delivery, Delivery::word);
        }
    }

    /// A delivery that counted does so no more.
    fn unseat(&mut self, place: usize, delivery: &Arrival<'_>) {
        let id = delivery.record.id_hash;
        if let Some(span) = self.spans.get_mut(place)
            && let Ok(entry) = span
                .counting
                .find_entry(word_of(id), |counting| counting.id.get() == id)
        {
            entry.remove();
        }
        self.lose(place, delivery);
    }
}

impl Span {
    /// Whether it has no delivery of an id.
    #[inline]
    fn is_new(&self, id: u128) -> bool {
        let is_it = |delivery: &Delivery| delivery.id.get() == id;
        self.counting.find(word_of(id), is_it).is_none()
            && (self.losing.is_empty() || self.losing.find(word_of(id), is_it).is_none())
    }

    /// Deliveries of an id, each with whether it counts.
    fn deliveries_of(&self, id: u128) -> impl Iterator<Item = (bool, Delivery)> {
        let counting = self.counting.iter_hash(word_of(id)).map(|delivery| (true, *delivery));
        let losing = self.losing.iter_hash(word_of(id)).map(|delivery| (false, *delivery));
        counting
            .chain(losing)
            .filter(move |(_, delivery)| delivery.id.get() == id)
    }
}

impl Delivery {
    /// Its record, if its block waits.
    fn waiting_in<'a>(&self, waiting: &'a [SharedBlock]) -> Option<Arrival<'a>> {
        let has_it = |block: &&SharedBlock| block.partition == self.partition && block.sequence as u32 == self.block;
        let block = waiting.iter().find(has_it)?;
        let record = block.records.get(self.index as usize)?;
        // of another block that has the same low half it is not
        (record.id_hash == self.id.get()).then_some(Arrival {
            block,
            index: self.index,
            record,
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
                        .map(|_| (ids[next(4) as usize], 1_000 + 10 * next(90) as i64))
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
                    // none beside another of the same id, and some of each
                    let length = SpanLength::new(200, 10);
                    let mut counting: Vec<(u128, i64)> = Vec::new();
                    for block in &blocks {
                        let counts = block
                            .records
                            .iter()
                            .zip(0..)
                            .filter(|(_, index)| !block.is_dropped(*index));
                        counting.extend(counts.map(|(record, _)| (record.id_hash, length.number_of(record.slice))));
                    }
                    counting.sort_unstable();
                    let is_apart = |pair: &[(u128, i64)]| pair[0].0 != pair[1].0 || pair[1].1 - pair[0].1 > 1;
                    assert!(counting.windows(2).all(is_apart), "{counting:?}");
                    let mut all: Vec<u128> = blocks
                        .iter()
                        .flat_map(|block| &block.records)
                        .map(|record| record.id_hash)
                        .collect();
                    all.sort_unstable();
                    all.dedup();
                    counting.dedup_by_key(|(id, _)| *id);
                    assert_eq!(counting.len(), all.len());
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
