//! A job at rest as bytes, and back: between two rounds all state is at rest.

use std::io::{Read, Write};

use serde::{Deserialize, Serialize};

use super::Job;
use crate::block::SharedBlock;
use crate::dedup::SeenIds;
use crate::error::RuntimeError;
use crate::evaluation::EvaluationContext;
use crate::input::PartitionHead;
use crate::names::JobNames;
use crate::progress::Counters;
use crate::shard::Shard;
use crate::state::blocks::SavedBlock;
use crate::state::{self, Reader};

/// What of a job is small and written anew each time.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Head {
    /// How far each source partition was read, in the order of their discovery.
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
    /// Users' queries have run over every window that became final by then.
    pub queries_settled: i64,
}

impl Job {
    /// Leaves what is not settled in the state when the job is stopped, for a job that goes on from it.
    #[must_use]
    pub fn that_is_resumed(mut self) -> Self {
        self.is_resumed = true;
        self
    }

    /// Where the job stands.
    #[must_use]
    pub fn head(&self) -> Head {
        Head {
            partitions: self.input.heads(),
            watermark: self.watermark,
            last_emitted_watermark: self.last_emitted_watermark,
            last_event_time: self.last_event_time,
            counters: self.counters,
            revision: self.revision,
            queries_settled: self.queries.settled(),
        }
    }

    /// Writes the state that [`Job::head`] belongs to. Not to be called while a round is on, nor while evaluations wait to be judged.
    ///
    /// # Errors
    /// [`RuntimeError::State`] if the bytes cannot be written.
    pub fn write_state(&self, out: &mut dyn Write) -> Result<(), RuntimeError> {
        state::write(&self.names, out)?;
        self.evaluations.write(out)?;
        for blocks in [&self.waiting, &self.queries.kept_blocks()] {
            state::write(&(blocks.len() as u64), out)?;
            for block in blocks {
                state::write(&SavedBlock::of(block)?, out)?;
            }
        }
        for (shard, seen) in self.shards.iter().zip(&self.seen) {
            state::write(shard, out)?;
            state::write(seen, out)?;
        }
        Ok(())
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

    /// Goes on from a state that [`Job::write_state`] has written, of a job of the same configuration. The job must not have read anything.
    ///
    /// # Errors
    /// [`RuntimeError::State`] if the bytes are no state; a source that has not ended is gone.
    pub fn restore(&mut self, head: &Head, input: &mut dyn Read) -> Result<(), RuntimeError> {
        let mut input = Reader::new(input);
        let mut names: JobNames = input.read()?;
        names.rebuild();
        self.names = names;
        self.define_experiments();
        let context = EvaluationContext {
            plan: &self.plan,
            definitions: &self.definitions,
            names: &self.names,
        };
        self.evaluations.read(&context, &mut input)?;
        self.waiting = read_blocks(&mut input)?;
        self.queries.restore(read_blocks(&mut input)?, head.queries_settled);
        for (index, (shard, seen)) in self.shards.iter_mut().zip(&mut self.seen).enumerate() {
            *shard = input.read::<Shard>()?;
            *seen = input.read::<SeenIds>()?;
            shard.rebuild(&self.definitions);
            for block in &self.waiting {
                shard.ingest(block, index, head.watermark);
                seen.ingest(block, index, head.watermark);
            }
        }
        self.watermark = head.watermark;
        self.last_emitted_watermark = head.last_emitted_watermark;
        self.last_event_time = head.last_event_time;
        self.counters = head.counters;
        self.revision = head.revision;
        self.input.restore(&head.partitions)
    }

    /// Gives each experiment that has a name its definition.
    pub(super) fn define_experiments(&mut self) {
        while self.definitions.len() < self.names.experiments.len() {
            let id = u32::try_from(self.definitions.len()).unwrap_or(u32::MAX);
            self.definitions.push(self.plan.define(id));
        }
    }
}

fn read_blocks(input: &mut Reader<'_>) -> Result<Vec<SharedBlock>, RuntimeError> {
    let count: u64 = input.read()?;
    let mut blocks = Vec::new();
    for _ in 0..count {
        blocks.push(input.read::<SavedBlock>()?.restore()?);
    }
    Ok(blocks)
}
