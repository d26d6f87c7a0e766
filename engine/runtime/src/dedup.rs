//! Second deliveries: an event id counts once within the correction horizon.
//!
//! Ids are judged when their slice is settled, in the order (slice, partition, record), so the outcome depends on the input alone. Ids are
//! kept as 128-bit hashes in generations, and a whole generation is forgotten when no record that would not be too late can repeat it.

use std::collections::{BTreeMap, VecDeque};

use hashbrown::HashSet;

use crate::block::SharedBlock;

/// The ids of one shard of event ids.
#[derive(Debug, Default)]
pub struct SeenIds {
    generations: VecDeque<Generation>,
    pending: BTreeMap<i64, Vec<Segment>>,
}

#[derive(Debug)]
struct Generation {
    /// Slices up to here belong to it.
    until: i64,
    ids: HashSet<u128, PassThrough>,
}

/// Records of one block and one slice.
#[derive(Debug)]
struct Segment {
    block: SharedBlock,
    records: Vec<u32>,
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

impl SeenIds {
    /// Takes a block's records of id shard `shard` in, to be judged when their slices are settled.
    pub fn ingest(&mut self, block: &SharedBlock, shard: usize) {
        let Some(indices) = block.by_id_shard.get(shard) else { return };
        for &index in indices {
            let Some(record) = block.records.get(index as usize) else { continue };
            if record.slice == crate::block::NO_SLICE {
                continue;
            }
            let segments = self.pending.entry(record.slice).or_default();
            match segments.last_mut() {
                Some(last) if std::sync::Arc::ptr_eq(&last.block, block) => last.records.push(index),
                _ => segments.push(Segment { block: std::sync::Arc::clone(block), records: vec![index] }),
            }
        }
    }

    /// Judges all slices up to `watermark`: marks second deliveries in their blocks. `horizon` is the correction horizon, `slice_length` the
    /// greatest length of a slice, both in microseconds.
    pub fn settle(&mut self, watermark: i64, horizon: i64, slice_length: i64) {
        while let Some(entry) = self.pending.first_entry() {
            if *entry.key() > watermark {
                break;
            }
            let (slice, mut segments) = entry.remove_entry();
            segments.sort_by_key(|segment| (segment.block.partition, segment.block.sequence));
            self.forget(slice, horizon, slice_length);
            for segment in &segments {
                for &index in &segment.records {
                    if let Some(record) = segment.block.records.get(index as usize)
                        && !self.insert(slice, record.id_hash, horizon)
                    {
                        segment.block.drop_record(index);
                    }
                }
            }
        }
    }

    /// How many ids are remembered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.generations.iter().map(|generation| generation.ids.len()).sum()
    }

    fn forget(&mut self, slice: i64, horizon: i64, slice_length: i64) {
        // A repeat that is not too late has slice <= time + horizon + slice_length, and its first delivery's time lies before `until`.
        while self.generations.front().is_some_and(|oldest| {
            oldest.until.saturating_add(horizon).saturating_add(slice_length) < slice
        }) {
            self.generations.pop_front();
        }
    }

    /// Whether the id is new.
    fn insert(&mut self, slice: i64, id: u128, horizon: i64) -> bool {
        let (newest, older) = match self.generations.make_contiguous().split_last_mut() {
            Some((newest, older)) if slice <= newest.until => (newest, older),
            _ => {
                let until = slice.saturating_add(horizon.max(1));
                self.generations.push_back(Generation { until, ids: HashSet::with_hasher(PassThrough) });
                match self.generations.make_contiguous().split_last_mut() {
                    Some(parts) => parts,
                    None => return true,
                }
            }
        };
        if older.iter().any(|generation| generation.ids.contains(&id)) {
            return false;
        }
        newest.ids.insert(id)
    }
}
