//! What came in since the state was last written down whole, as bytes: made by a thread of its own, from blocks that the job shares.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backplane_checkpoint::{CheckpointStore, PartWriter, Writer};
use backplane_connector_api::Epoch;
use crossbeam_channel::{Receiver, Sender};
use serde::{Deserialize, Serialize};

use super::commit::Work;
use super::{Barrier, BarrierState, NewState};
use crate::block::SharedBlock;
use crate::error::RuntimeError;
use crate::state;
use crate::state::blocks::{Extent, SavedBlock, SavedColumns};

/// Columns of a block that still waits at a barrier, by its partition and number.
pub type WholeColumns = ((u32, u64), SavedColumns);

/// One entry, as it is written down.
#[derive(Serialize, Deserialize)]
pub enum JournalEntry {
    /// A round took these blocks in, and moved the state to a watermark.
    Round(Vec<SavedBlock>, i64),
    /// A barrier: columns of blocks that wait, and what is the job's (see `Job::own`).
    Barrier(Vec<WholeColumns>, #[serde(with = "crate::state::bytes")] Vec<u8>),
}

/// What the journal is told.
pub enum Entry {
    /// See [`JournalEntry::Round`].
    Round(Vec<SharedBlock>, i64),
    /// The journal has become too long; the next barrier comes with the whole state.
    GiveUp,
    /// A barrier.
    Cut(Box<Barrier>, BarrierState),
}

/// Bytes in the journal since the last base, shared by the thread that writes and the one that asks.
#[derive(Debug, Clone)]
pub struct Length(Arc<AtomicU64>);

impl Length {
    pub fn new(bytes: u64) -> Self {
        Length(Arc::new(AtomicU64::new(bytes)))
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, bytes: u64) {
        self.0.store(bytes, Ordering::Relaxed);
    }
}

/// The journal's thread.
pub struct Journal {
    store: Arc<CheckpointStore>,
    writer: Writer,
    length: Length,
    /// How much of a block is written down when it comes in.
    extent: Extent,
    /// The epoch that is being written.
    epoch: Epoch,
    part: Option<PartWriter>,
    /// Bytes of the journal before this epoch.
    before: u64,
    failure: Option<RuntimeError>,
}

impl Journal {
    pub fn new(store: Arc<CheckpointStore>, writer: Writer, epoch: Epoch, length: Length, extent: Extent) -> Self {
        Journal {
            store,
            writer,
            before: length.get(),
            length,
            extent,
            epoch,
            part: None,
            failure: None,
        }
    }

    /// Writes entries down until there are no more, and hands finished epochs on.
    pub fn carry_out(mut self, entries: &Receiver<Entry>, work: &Sender<Work>) {
        for entry in entries {
            match entry {
                Entry::Round(blocks, watermark) => self.note_round(&blocks, watermark),
                Entry::GiveUp => self.begin(self.epoch, 0),
                Entry::Cut(barrier, state) => {
                    let epoch = barrier.epoch;
                    let state = self.end(state);
                    if work.send(Work::with_state(*barrier, state)).is_err() {
                        return;
                    }
                    let length = self.length.get();
                    self.begin(Epoch(epoch.0 + 1), length);
                }
            }
        }
    }

    fn begin(&mut self, epoch: Epoch, before: u64) {
        self.epoch = epoch;
        self.part = None;
        self.before = before;
        self.length.set(before);
    }

    fn note_round(&mut self, blocks: &[SharedBlock], watermark: i64) {
        // once something is missing the rest is of no use
        if self.failure.is_some() {
            return;
        }
        // the job may be some rounds further, and what those have judged is not of this one
        let unjudged = |block: &SharedBlock| Ok(SavedBlock::of(block, self.extent)?.unjudged());
        let saved: Result<Vec<SavedBlock>, RuntimeError> = blocks.iter().map(unjudged).collect();
        let noted = saved.and_then(|blocks| self.write(&JournalEntry::Round(blocks, watermark)));
        self.failure = noted.err();
    }

    fn write(&mut self, entry: &JournalEntry) -> Result<(), RuntimeError> {
        let part = self
            .part
            .get_or_insert_with(|| self.store.write_part(self.epoch, self.writer, "changes"));
        state::write(entry, part)?;
        self.length.set(self.before + part.bytes());
        Ok(())
    }

    /// The state of the epoch that ends.
    fn end(&mut self, state: BarrierState) -> Result<NewState, RuntimeError> {
        match state {
            BarrierState::Base(parts) => {
                self.failure = None;
                self.length.set(0);
                Ok(NewState::Base(parts))
            }
            BarrierState::Change(waiting, own) => {
                if let Some(failure) = self.failure.take() {
                    return Err(failure);
                }
                let whole = |block: &SharedBlock| {
                    let columns = SavedColumns::of(block, Extent::Whole)?;
                    Ok((block.key(), columns))
                };
                let columns: Result<Vec<WholeColumns>, RuntimeError> = waiting.iter().map(whole).collect();
                self.write(&JournalEntry::Barrier(columns?, own))?;
                let part = self.part.take();
                let part = part.ok_or_else(|| RuntimeError::internal("the journal of an epoch has no part"))?;
                Ok(NewState::Change(Box::new(part)))
            }
        }
    }
}
