//! A job at rest as bytes: between two rounds all state is at rest.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Write as _};

use backplane_checkpoint::PartWriter;
use backplane_events::{EventType, Table};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Job;
use crate::block::SharedBlock;
use crate::dedup::SeenIds;
use crate::epochs::BarrierState;
use crate::error::RuntimeError;
use crate::input::PartitionHead;
use crate::plan::SHARDS;
use crate::progress::Counters;
use crate::shard::Shard;
use crate::state;
use crate::state::blocks::{Extent, Keys, SavedBlock};
use crate::user_queries::KnownQuery;

/// What of a job is small and written anew each time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// How far each source partition was taken in, in the order of their discovery.
    pub partitions: Vec<PartitionHead>,
    /// The watermark, microseconds.
    pub watermark: i64,
    /// The watermark of the last provisional rows.
    pub last_emitted_watermark: i64,
    /// The greatest event time.
    pub last_event_time: i64,
    /// What was counted.
    pub counters: Counters,
    /// The last revision of a row of results.
    pub revision: i64,
    /// Users' queries.
    pub queries: BTreeMap<String, KnownQuery>,
    /// Whether every source was exhausted, and the results are out; the state is the one before that, so that sources may grow.
    pub is_completed: bool,
    /// Blocks that wait, and whose events were handed on at that end: partitions and numbers.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub handed_on: BTreeSet<(u32, u64)>,
    /// What was told at an end that the state does not know of: names of signals.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub told: BTreeSet<String>,
}

impl Job {
    /// Every block that waits is whole in the epoch's state.
    pub(super) fn note_whole(&mut self) {
        self.whole = self.waiting.iter().map(|block| block.key()).collect();
    }

    /// What must not depend on when a job was stopped and asked for results: names, all of the shards, the paths, how many ids are
    /// remembered. (Of evaluations, whether extremes were found again does.)
    #[cfg(test)]
    pub(crate) fn comparable_state(&self) -> Result<(Vec<u8>, String), RuntimeError> {
        let mut bytes = Vec::new();
        state::write(&self.names, &mut bytes)?;
        for (shard, seen) in self.shards.iter().zip(&self.seen) {
            state::write(shard, &mut bytes)?;
            state::write(&(seen.len() as u64), &mut bytes)?;
        }
        Ok((bytes, format!("{:?}", self.evaluations.current_paths(&self.names)?)))
    }

    /// How much of a block the journal takes when it comes in.
    pub(super) fn journal_extent(&self) -> Extent {
        if !self.queries.is_empty() {
            return Extent::Whole;
        }
        self.keys()
    }

    /// How much of a block is ever looked at.
    pub(super) fn decoded_extent(&self) -> Extent {
        let events = EventType::ALL.iter().map(|event_type| Table::of_event(*event_type));
        let mut whole = events
            .filter(|table| *table != Table::Signals)
            .chain([Table::LateEvents]);
        if !self.queries.is_empty() || whole.any(|table| self.outlets.want(table)) {
            return Extent::Whole;
        }
        self.keys()
    }

    /// What the shards need of a block.
    fn keys(&self) -> Extent {
        let mut experiments = self.plan.experiments.iter();
        Extent::Keys(Keys {
            segments: experiments.any(|experiment| !experiment.segments.is_empty()),
            outcome_ids: self.plan.folds_last(),
            signals: self.outlets.want(Table::Signals),
        })
    }

    /// Where the job stands.
    pub(super) fn head(&self) -> Head {
        Head {
            partitions: self.input.heads(),
            watermark: self.watermark,
            last_emitted_watermark: self.last_emitted_watermark,
            last_event_time: self.last_event_time,
            counters: self.counters,
            revision: self.revision,
            queries: self.queries.known(),
            is_completed: false,
            handed_on: self.handed_on.clone(),
            told: self.told.clone(),
        }
    }

    /// What is neither a shard's nor in the head, as `Job::read_own` reads it.
    fn own(&self) -> Result<Vec<u8>, RuntimeError> {
        let mut own = Vec::new();
        state::write(&self.names, &mut own)?;
        self.evaluations.write(&mut own)?;
        Ok(own)
    }

    /// The state that [`Job::head`] belongs to, on its way to the storage; none where nothing is kept. Not to be called while a round is on,
    /// nor while evaluations wait to be judged.
    pub(super) fn barrier_state(&mut self) -> Result<Option<BarrierState>, RuntimeError> {
        if !self.epochs.are_kept() {
            return Ok(None);
        }
        let (own, extent) = (self.own()?, self.decoded_extent());
        let Some(mut parts) = self.epochs.base_parts(SHARDS) else {
            let takes_all = self.journal_extent() == self.decoded_extent();
            let is_whole = |block: &&SharedBlock| takes_all || self.whole.contains(&block.key());
            let waiting = self.waiting.iter().filter(|block| !is_whole(block)).cloned().collect();
            self.note_whole();
            return Ok(Some(BarrierState::Change(waiting, own)));
        };
        self.note_whole();
        let (first, of_shards) = parts
            .split_first_mut()
            .ok_or_else(|| RuntimeError::internal("the state has no place to go to"))?;
        first
            .write_all(&own)
            .map_err(|error| RuntimeError::state("written", error))?;
        state::write(&(self.watermark, self.queries.settled()), first)?;
        for blocks in [&self.waiting, &self.queries.kept_blocks()] {
            state::write(&(blocks.len() as u64), first)?;
            for block in blocks {
                // one of a run in which nobody took events has no more
                let extent = if block.is_whole() { extent } else { self.keys() };
                state::write(&SavedBlock::of(block, extent)?, first)?;
            }
        }
        let (shards, seen) = (&self.shards, &self.seen);
        let written: Result<(), RuntimeError> = self.pool.install(|| {
            let states = shards.par_iter().zip(seen).zip(of_shards);
            let write = |((shard, seen), part): ((&Shard, &SeenIds), &mut PartWriter)| {
                // what is small is written number by number
                let mut part = BufWriter::with_capacity(1 << 16, part);
                state::write(shard, &mut part)?;
                state::write(seen, &mut part)?;
                part.flush().map_err(|error| RuntimeError::state("written", error))
            };
            states.map(write).collect()
        });
        written?;
        Ok(Some(BarrierState::Base(parts)))
    }
}
