//! A job from the bytes of an epoch: its last base, and what the journal has since, run through the shards again.

use std::collections::{HashMap, HashSet};

use backplane_checkpoint::{CheckpointError, CheckpointStore, Manifest, PartRef};
use rayon::prelude::*;

use super::state::Head;
use super::{Job, memory_left};
use crate::block::SharedBlock;
use crate::dedup::SeenIds;
use crate::epochs::{Checkpoints, Epochs, JournalEntry, Recovery, WholeColumns};
use crate::error::RuntimeError;
use crate::evaluation::EvaluationContext;
use crate::names::{JobNames, NO_NAME};
use crate::plan::SHARDS;
use crate::shard::Shard;
use crate::state::Reader;
use crate::state::blocks::{Extent, SavedBlock, SavedColumns};

/// No round brings so many; damage could claim more than there is memory for, before its checksum is known.
const NEW_EXPERIMENTS: usize = 1 << 22;

/// What the journal says while it is run through.
#[derive(Default)]
struct Replay {
    /// Columns of blocks that waited at a barrier.
    whole: HashMap<(u32, u64), SavedColumns>,
    /// What was the job's own at the last barrier.
    own: Option<Vec<u8>>,
    /// Whether there were queries, so that blocks are whole, and were kept for them.
    keeps_blocks: bool,
}

impl Job {
    /// Keeps epochs, and goes on from what was recovered. Nothing must have been declared or read. Gives whether it begins at the beginning.
    ///
    /// # Errors
    /// A sink cannot complete the last epoch, the state is damaged, or another instance runs the job.
    pub fn resume(&mut self, checkpoints: Checkpoints, recovery: &Recovery) -> Result<bool, RuntimeError> {
        let sinks = self.outlets.sinks();
        let recovered = recovery.claim(&checkpoints, &sinks)?;
        if let Some(manifest) = recovery.from() {
            let restored = self.restore(&checkpoints.store, manifest);
            restored.map_err(|error| with_last_good(error, &checkpoints.store, manifest))?;
        }
        self.epochs = Epochs::of(sinks, checkpoints, recovered, self.journal_extent())?;
        Ok(recovery.from().is_none())
    }

    /// Goes on from an epoch's state.
    fn restore(&mut self, store: &CheckpointStore, manifest: &Manifest) -> Result<(), RuntimeError> {
        let head: Head =
            serde_json::from_value(manifest.head.clone()).map_err(|error| RuntimeError::state("read", error))?;
        self.restore_base(store, &manifest.base)?;
        let mut replay = Replay {
            keeps_blocks: !head.queries.is_empty(),
            ..Replay::default()
        };
        for part in &manifest.changes {
            read_part(store, part, |input| {
                while !input.is_at_end()? {
                    self.replay(input.read()?, &mut replay)?;
                    memory_left()?;
                }
                Ok(())
            })?;
        }
        self.complete_waiting(replay.whole)?;
        if let Some(own) = replay.own {
            self.read_own(&mut Reader::new(&mut own.as_slice()))?;
        }
        self.watermark = head.watermark;
        self.last_emitted_watermark = head.last_emitted_watermark;
        self.last_event_time = head.last_event_time;
        self.counters = head.counters;
        self.records_before = head.counters.records;
        self.revision = head.revision;
        let not_whole = self.waiting.iter().filter(|block| !block.is_whole());
        let from = not_whole.map(|block| block.last_slice).fold(head.watermark, i64::max);
        if from > head.watermark && self.decoded_extent() == Extent::Whole {
            tracing::warn!("events are taken by a sink or a query that is new: it has those that are read from now on");
        }
        for query in self.queries.take_over(&head.queries, from) {
            tracing::warn!(query, "this query is new: it runs over windows that start from now on");
        }
        self.handed_on = head.handed_on;
        self.told = head.told;
        self.was_completed = head.is_completed;
        self.note_whole();
        self.input.restore(&head.partitions)
    }

    fn restore_base(&mut self, store: &CheckpointStore, base: &[PartRef]) -> Result<(), RuntimeError> {
        let Some((own, shards)) = base.split_first().filter(|(_, shards)| shards.len() == SHARDS) else {
            return Err(RuntimeError::state(
                "read",
                "it has not as many pieces as this version writes",
            ));
        };
        read_part(store, own, |input| {
            self.read_own(input)?;
            let (watermark, queries_settled) = input.read()?;
            self.watermark = watermark;
            self.waiting = read_blocks(input)?;
            self.queries.restore(read_blocks(input)?, queries_settled);
            Ok(())
        })?;
        let definitions = &self.definitions;
        let (states, seen) = (&mut self.shards, &mut self.seen);
        let read = |((part, shard), seen): ((&PartRef, &mut Shard), &mut SeenIds)| {
            (*shard, *seen) = read_part(store, part, |input| Ok((input.read()?, input.read()?)))?;
            shard.rebuild(definitions);
            memory_left()
        };
        let read: Result<(), RuntimeError> = self
            .pool
            .install(|| shards.par_iter().zip(states).zip(seen).map(read).collect());
        read?;
        self.take_waiting_in();
        Ok(())
    }

    /// Reads what is neither a shard's nor in the head.
    fn read_own(&mut self, input: &mut Reader<'_>) -> Result<(), RuntimeError> {
        let mut names: JobNames = input.read()?;
        names.rebuild();
        self.names = names;
        self.define_experiments(self.names.experiments.len());
        let context = EvaluationContext {
            plan: &self.plan,
            definitions: &self.definitions,
            names: &self.names,
        };
        self.evaluations.read(&context, input)
    }

    /// Gives experiments their definitions, so many of them.
    pub(super) fn define_experiments(&mut self, count: usize) {
        while self.definitions.len() < count {
            let id = u32::try_from(self.definitions.len()).unwrap_or(u32::MAX);
            self.definitions.push(self.plan.define(id));
        }
    }

    /// Hands what waits in blocks to the shards, which hold nothing that waits.
    fn take_waiting_in(&mut self) {
        let (watermark, waiting) = (self.watermark, &self.waiting);
        for (index, shard) in self.shards.iter_mut().enumerate() {
            waiting.iter().for_each(|block| shard.ingest(block, index, watermark));
        }
    }

    /// Runs an entry of the journal through the shards, as the job did once. What came of it is in the sinks.
    fn replay(&mut self, entry: JournalEntry, replay: &mut Replay) -> Result<(), RuntimeError> {
        match entry {
            JournalEntry::Round(blocks, watermark) => {
                let blocks: Result<Vec<SharedBlock>, RuntimeError> =
                    blocks.into_iter().map(SavedBlock::restore).collect();
                let blocks = blocks?;
                let experiments = blocks
                    .iter()
                    .flat_map(|block| &block.records)
                    .map(|record| record.experiment);
                if let Some(last) = experiments.filter(|experiment| *experiment != NO_NAME).max() {
                    if last as usize >= self.definitions.len() + NEW_EXPERIMENTS {
                        return Err(RuntimeError::state(
                            "read",
                            "its records name an experiment that nothing brought",
                        ));
                    }
                    self.define_experiments(last as usize + 1);
                }
                self.watermark = watermark;
                self.ingest(&blocks);
                loop {
                    let step = self.next_step(watermark);
                    self.settle(step);
                    if step >= watermark {
                        break;
                    }
                }
                for block in self.take_released().into_iter().filter(|_| replay.keeps_blocks) {
                    // columns that it got only when a query came
                    let block = match replay.whole.remove(&block.key()) {
                        Some(columns) => SavedBlock::with(&block, columns).restore()?,
                        None => block,
                    };
                    self.queries.keep(block);
                }
                self.queries.forget(&self.plan, watermark);
            }
            JournalEntry::Barrier(columns, own) => {
                replay.whole.extend::<Vec<WholeColumns>>(columns);
                let waits: HashSet<(u32, u64)> = self.waiting.iter().map(|block| block.key()).collect();
                replay.whole.retain(|key, _| waits.contains(key));
                replay.own = Some(own);
            }
        }
        Ok(())
    }

    /// Gives blocks that wait all of their columns, for whoever they will be handed on to.
    fn complete_waiting(&mut self, mut whole: HashMap<(u32, u64), SavedColumns>) -> Result<(), RuntimeError> {
        for block in &mut self.waiting {
            if let Some(columns) = whole.remove(&block.key()) {
                *block = SavedBlock::with(block, columns).restore()?;
            }
        }
        // they hold the blocks as they were
        self.shards.iter_mut().for_each(Shard::forget_waiting);
        self.take_waiting_in();
        Ok(())
    }
}

/// Reads a piece of state. Where its bytes make no sense, its checksum tells whether they are those that were written.
fn read_part<T>(
    store: &CheckpointStore,
    part: &PartRef,
    read: impl FnOnce(&mut Reader<'_>) -> Result<T, RuntimeError>,
) -> Result<T, RuntimeError> {
    let mut bytes = store.read_part(part)?;
    let value = read(&mut Reader::new(&mut bytes));
    bytes.finish()?;
    value
}

fn read_blocks(input: &mut Reader<'_>) -> Result<Vec<SharedBlock>, RuntimeError> {
    let count: u64 = input.read()?;
    (0..count).map(|_| input.read::<SavedBlock>()?.restore()).collect()
}

/// Adds to what is said of damaged state which epoch is whole.
fn with_last_good(error: RuntimeError, store: &CheckpointStore, manifest: &Manifest) -> RuntimeError {
    match error {
        RuntimeError::Checkpoint(error @ CheckpointError::Damaged { .. }) => {
            RuntimeError::Checkpoint(error.with_last_good(store.last_good_before(manifest.epoch)))
        }
        other => other,
    }
}
