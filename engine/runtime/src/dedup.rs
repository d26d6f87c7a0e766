//! Second deliveries: an event id counts once within the correction horizon.
//!
//! Within a partition the first delivery in record order counts: a repeat of an id that still waits is known at once. The others are judged
//! when their slice is settled, in the order (slice, partition, record), so the outcome depends on the input alone. Ids are kept as
//! 128-bit hashes in generations, and a whole generation is forgotten when no record that would not be too late can repeat it.

use std::collections::VecDeque;

use backplane_memory::StateSet;

use crate::block::SharedBlock;
use crate::pending::{Pending, Segment};

/// The ids of one shard of event ids.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct SeenIds {
    generations: VecDeque<Generation>,
    #[serde(skip)]
    pending: Pending,
    /// Ids that wait, each with its partition: see [`in_partition`].
    #[serde(skip)]
    waiting: StateSet<u128, PassThrough>,
    /// Records that are judged and their ids, reused.
    #[serde(skip)]
    ids: Vec<(u32, u128)>,
}

#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Generation {
    /// Slices up to here belong to it.
    until: i64,
    #[serde(with = "crate::state::set")]
    ids: StateSet<u128, PassThrough>,
}

/// The ids are hashes already.
#[derive(Debug, Default, Clone, Copy)]
struct PassThrough;

impl std::hash::BuildHasher for PassThrough {
    type Hasher = LowWord;
    fn build_hasher(&self) -> LowWord {
        LowWord(0)
    }
}

#[derive(Debug)]
struct LowWord(u64);

impl std::hash::Hasher for LowWord {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            self.0 ^= chunk.iter().fold(0, |word, byte| (word << 8) | u64::from(*byte));
        }
    }
    fn write_u128(&mut self, value: u128) {
        // the shard was chosen by bits 32 and up of the low word
        self.0 = (value >> 64) as u64;
    }
}

/// The hash of an id and the partition that brought it.
fn in_partition(id_hash: u128, partition: u32) -> u128 {
    const ODD: u128 = 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835;
    id_hash ^ u128::from(partition).wrapping_mul(ODD)
}

impl SeenIds {
    /// Takes a block's records of id shard `shard` in that are not settled by `settled` (`i64::MIN` for a block just read), in record
    /// order, to be judged when their slices are.
    pub fn ingest(&mut self, block: &SharedBlock, shard: usize, settled: i64) {
        let Some(indices) = block.by_id_shard.get(shard) else {
            return;
        };
        let waiting = &mut self.waiting;
        let first_deliveries = indices.iter().copied().filter(|&index| {
            let Some(record) = block
                .records
                .get(index as usize)
                .filter(|record| !record.is_settled(settled))
            else {
                return false;
            };
            let is_first = waiting.insert(in_partition(record.id_hash, block.partition));
            if !is_first {
                block.drop_record(index);
            }
            is_first
        });
        self.pending.ingest(block, first_deliveries, settled);
    }

    /// Lets go of what waits.
    pub(crate) fn forget_waiting(&mut self) {
        self.pending = Pending::default();
        self.waiting.clear();
    }

    /// Judges all slices up to `watermark`: marks second deliveries in their blocks. `horizon` is the correction horizon, `slice_length` the
    /// greatest length of a slice, both in microseconds.
    pub fn settle(&mut self, watermark: i64, horizon: i64, slice_length: i64) {
        while let Some(slice) = self.pending.first().filter(|slice| *slice <= watermark) {
            self.forget(slice, horizon, slice_length);
            for segment in self.pending.take(slice) {
                self.settle_segment(slice, &segment, horizon);
            }
        }
    }

    /// Judges records of a slice. One table is asked for all of them after the other, so that a processor waits for many places at once.
    fn settle_segment(&mut self, slice: i64, segment: &Segment, horizon: i64) {
        let Segment { block, records } = segment;
        let found = records
            .iter()
            .filter_map(|index| Some((*index, block.records.get(*index as usize)?.id_hash)));
        self.ids.clear();
        self.ids.extend(found);
        for (_, id) in &self.ids {
            self.waiting.remove(&in_partition(*id, block.partition));
        }
        let ids = std::mem::take(&mut self.ids);
        if let Some((newest, older)) = self.newest(slice, horizon) {
            for (index, id) in &ids {
                let is_known = older.iter().any(|generation| generation.ids.contains(id));
                if is_known || !newest.ids.insert(*id) {
                    block.drop_record(*index);
                }
            }
        }
        self.ids = ids;
    }

    /// How many ids are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.generations.iter().map(|generation| generation.ids.len()).sum()
    }

    fn forget(&mut self, slice: i64, horizon: i64, slice_length: i64) {
        // A repeat that is not too late has slice <= time + horizon + slice_length, and its first delivery's time lies before `until`.
        while self
            .generations
            .front()
            .is_some_and(|oldest| oldest.until.saturating_add(horizon).saturating_add(slice_length) < slice)
        {
            self.generations.pop_front();
        }
    }

    /// The generation that the ids of a slice go to, and those before it.
    fn newest(&mut self, slice: i64, horizon: i64) -> Option<(&mut Generation, &mut [Generation])> {
        if self.generations.back().is_none_or(|newest| slice > newest.until) {
            let until = slice.saturating_add(horizon.max(1));
            self.generations.push_back(Generation {
                until,
                ids: StateSet::default(),
            });
        }
        self.generations.make_contiguous().split_last_mut()
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

    fn dropped(blocks: &[SharedBlock], watermark: i64, horizon: i64) -> Vec<Vec<bool>> {
        let mut shards: Vec<SeenIds> = (0..crate::plan::SHARDS).map(|_| SeenIds::default()).collect();
        for (index, shard) in shards.iter_mut().enumerate() {
            blocks.iter().for_each(|block| shard.ingest(block, index, i64::MIN));
            shard.settle(watermark, horizon, 10);
        }
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
        assert_eq!(dropped(&blocks, 200, 100), [vec![false], vec![true, false]]);
    }

    #[test]
    fn across_partitions_the_earlier_slice_then_the_earlier_partition_counts() {
        let blocks = [
            block(1, 0, &[("e", 60), ("f", 60)]),
            block(0, 0, &[("e", 60), ("f", 120)]),
        ];
        assert_eq!(dropped(&blocks, 200, 100), [vec![true, false], vec![false, true]]);
    }

    #[test]
    fn an_id_is_remembered_for_the_correction_horizon() {
        let blocks = [block(0, 0, &[("e", 60)]), block(1, 0, &[("e", 150)])];
        assert_eq!(dropped(&blocks, 200, 100), [vec![false], vec![true]]);
    }
}
