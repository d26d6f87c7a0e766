//! Records that wait until the watermark has passed their slice.

use std::collections::BTreeMap;
use std::sync::Arc;

use smallvec::SmallVec;

use crate::block::SharedBlock;

/// Slices whose records are gathered at a time.
const MINGLED: usize = 8;

/// Records of one block and one slice, in record order.
#[derive(Debug)]
pub struct Segment {
    /// The block.
    pub block: SharedBlock,
    /// Indices into its records.
    pub records: Vec<u32>,
}

/// Waiting records by slice.
#[derive(Debug, Default)]
pub struct Pending {
    slices: BTreeMap<i64, Vec<Segment>>,
}

impl Pending {
    /// Takes some of a block's records in, in record order: those whose slices are not settled yet.
    pub fn ingest(&mut self, block: &SharedBlock, indices: impl Iterator<Item = u32>, settled: i64) {
        // records of a few slices are mingled where a stream is a little out of order; the slice of the record before is tried first
        let mut latest: SmallVec<[(i64, Vec<u32>); MINGLED]> = SmallVec::new();
        for index in indices {
            let Some(record) = block
                .records
                .get(index as usize)
                .filter(|record| !record.is_settled(settled))
            else {
                continue;
            };
            match latest.iter().rposition(|(slice, _)| *slice == record.slice) {
                Some(place) => {
                    if let Some((_, records)) = latest.get_mut(place) {
                        records.push(index);
                    }
                    if place + 1 < latest.len() {
                        let found = latest.remove(place);
                        latest.push(found);
                    }
                }
                None => {
                    if latest.len() == MINGLED {
                        let (slice, records) = latest.remove(0);
                        self.add(block, slice, records);
                    }
                    latest.push((record.slice, vec![index]));
                }
            }
        }
        for (slice, records) in latest {
            self.add(block, slice, records);
        }
    }

    fn add(&mut self, block: &SharedBlock, slice: i64, records: Vec<u32>) {
        let segments = self.slices.entry(slice).or_default();
        match segments.last_mut() {
            Some(last) if Arc::ptr_eq(&last.block, block) => last.records.extend(records),
            _ => segments.push(Segment {
                block: Arc::clone(block),
                records,
            }),
        }
    }

    /// The first slice that waits.
    #[must_use]
    pub fn first(&self) -> Option<i64> {
        self.slices.first_key_value().map(|(slice, _)| *slice)
    }

    /// Takes a slice's records out: partitions in order, each in record order, whatever the order in which they were read.
    pub fn take(&mut self, slice: i64) -> Vec<Segment> {
        let mut segments = self.slices.remove(&slice).unwrap_or_default();
        segments.sort_by_key(|segment| (segment.block.partition, segment.block.sequence));
        segments
    }
}
