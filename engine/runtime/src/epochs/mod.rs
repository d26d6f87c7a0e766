//! Epochs as the job sees them: it says where it stands, and goes on reading while that is made durable, decided and made visible.
//!
//! ```text
//! job thread ── rounds, barrier ──> journal.rs (blocks as bytes) ── state, head ──> commit.rs (prepare, decide, publish)
//!      └─────── prepare ──────────> sinks (outlets/worker.rs) ───── effects ─────────┘
//! ```
//!
//! The state is written down whole from time to time (a base); in between the journal has what was read since, and recovery runs that
//! through the shards again. So an epoch costs what came in, not what there is.

mod commit;
mod journal;
mod recovery;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use backplane_checkpoint::{CheckpointError, CheckpointStore, Lease, PartWriter, Writer};
use backplane_connector_api::{Effect, Epoch};
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded, unbounded};

use crate::block::SharedBlock;
use crate::error::RuntimeError;
use crate::outlets::{Answer, SinkHandle};
use crate::state::blocks::Extent;

use commit::{Committer, Work};
use journal::{Entry, Journal};

pub use journal::{JournalEntry, WholeColumns};
pub use recovery::{Recovery, Start};

/// Rounds and barriers that the journal's thread may be behind: it holds their blocks.
const BEHIND: usize = 8;

/// Where and how a job keeps its epochs.
pub struct Checkpoints {
    /// The place.
    pub store: Arc<CheckpointStore>,
    /// The right to run the job.
    pub lease: Lease,
    /// How this run signs.
    pub writer: Writer,
    /// The job's name.
    pub job: String,
    /// What decides the results, as hashes by part of the configuration.
    pub fingerprint: BTreeMap<String, String>,
    /// How many epochs are kept.
    pub retain: usize,
    /// A journal up to this length is kept, however small the state is; a longer one as long as it is shorter than the state.
    pub least_journal: u64,
}

/// About two million events, which recovery runs through the shards again.
pub const LEAST_JOURNAL: u64 = 128 << 20;

/// State on its way to the storage.
pub enum NewState {
    /// All of it: what is the job's, then shard by shard.
    Base(Vec<PartWriter>),
    /// What came since the last epoch.
    Change(Box<PartWriter>),
}

/// What the job says at a barrier.
pub struct Barrier {
    /// The epoch that ends here.
    pub epoch: Epoch,
    /// Where the job stands.
    pub head: serde_json::Value,
    /// What the sinks have made durable of it.
    pub prepared: Vec<Answer<Effect>>,
}

/// The state of a barrier.
pub enum BarrierState {
    /// Written down whole.
    Base(Vec<PartWriter>),
    /// To be added to the journal: blocks that still wait and are not whole there, and what is the job's.
    Change(Vec<SharedBlock>, Vec<u8>),
}

/// What is kept for a job with checkpoints.
struct Kept {
    store: Arc<CheckpointStore>,
    writer: Writer,
    journal: Sender<Entry>,
    /// Bytes in the journal since the last base.
    journaled: journal::Length,
    /// Bytes of the last base.
    base: u64,
    /// See [`Checkpoints::least_journal`].
    least_journal: u64,
    /// Whether the next barrier needs a base, because nothing is in the journal since.
    needs_base: bool,
}

/// The epochs of a job.
pub struct Epochs {
    kept: Option<Kept>,
    /// To the committer, where no journal is between.
    work: Option<Sender<Work>>,
    done: Receiver<Result<Epoch, RuntimeError>>,
    last: u64,
    is_under_way: bool,
    threads: Vec<JoinHandle<()>>,
}

impl Epochs {
    /// Epochs that make rows visible and leave nothing to go on from.
    ///
    /// # Errors
    /// The system starts no thread.
    pub fn without_checkpoints(sinks: Vec<SinkHandle>) -> Result<Self, RuntimeError> {
        let (work, queue) = bounded(1);
        let (tell, done) = unbounded();
        let committer = Committer::new(sinks, None);
        let thread = start("epochs", move || committer.carry_out(&queue, &tell))?;
        Ok(Epochs {
            kept: None,
            work: Some(work),
            done,
            last: 0,
            is_under_way: false,
            threads: vec![thread],
        })
    }

    /// Goes on from what was recovered; `extent` is how much of a block the journal takes.
    ///
    /// # Errors
    /// The system starts no thread.
    pub fn of(
        sinks: Vec<SinkHandle>,
        checkpoints: Checkpoints,
        recovered: recovery::Recovered,
        extent: Extent,
    ) -> Result<Self, RuntimeError> {
        let (work, queue) = bounded(1);
        let (tell, done) = unbounded();
        let (journal, entries) = bounded(BEHIND);
        let (store, writer) = (Arc::clone(&checkpoints.store), checkpoints.writer);
        let (last, least_journal) = (recovered.epoch.0, checkpoints.least_journal);
        let sizes = |parts: &[backplane_checkpoint::PartRef]| parts.iter().map(|part| part.bytes).sum();
        let (base, journaled) = (sizes(&recovered.base), journal::Length::new(sizes(&recovered.changes)));
        let needs_base = recovered.base.is_empty();
        let writes = Journal::new(Arc::clone(&store), writer, Epoch(last + 1), journaled.clone(), extent);
        let committer = Committer::new(sinks, Some(commit::Storage::new(checkpoints, recovered)));
        let threads = vec![
            start("journal", move || writes.carry_out(&entries, &work))?,
            start("epochs", move || committer.carry_out(&queue, &tell))?,
        ];
        let kept = Kept {
            store,
            writer,
            journal,
            journaled,
            base,
            least_journal,
            needs_base,
        };
        Ok(Epochs {
            kept: Some(kept),
            work: None,
            done,
            last,
            is_under_way: false,
            threads,
        })
    }

    /// Whether a job can go on from them.
    #[must_use]
    pub fn are_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// Notes what a round took in, and the watermark that it moved the state to.
    ///
    /// # Errors
    /// The thread of the journal is gone.
    pub fn note_round(&mut self, blocks: &[SharedBlock], watermark: i64) -> Result<(), RuntimeError> {
        let Some(kept) = self.kept.as_mut().filter(|kept| !kept.needs_base) else {
            return Ok(());
        };
        let entry = if kept.journaled.get() > kept.base.max(kept.least_journal) {
            // writing down all there is costs less
            kept.needs_base = true;
            Entry::GiveUp
        } else {
            Entry::Round(blocks.to_vec(), watermark)
        };
        if kept.journal.send(entry).is_ok() {
            Ok(())
        } else {
            Err(self.failure())
        }
    }

    /// The number of the next epoch.
    #[must_use]
    pub fn next(&self) -> Epoch {
        Epoch(self.last + 1)
    }

    /// Where the whole state is to be written at the next barrier; nothing where its changes are enough. The pieces are the job's own and
    /// those of so many shards.
    #[must_use]
    pub fn base_parts(&self, shards: usize) -> Option<Vec<PartWriter>> {
        let kept = self.kept.as_ref().filter(|kept| kept.needs_base)?;
        let names = std::iter::once("base-job".to_owned()).chain((0..shards).map(|shard| format!("base-{shard}")));
        let part = |name: String| kept.store.write_part(self.next(), kept.writer, &name);
        Some(names.map(part).collect())
    }

    /// Ends the epoch here; it is decided while the job goes on. The one before it must be done.
    ///
    /// # Errors
    /// A thread is gone.
    pub fn end_epoch(&mut self, barrier: Barrier, state: Option<BarrierState>) -> Result<(), RuntimeError> {
        self.last = barrier.epoch.0;
        self.is_under_way = true;
        let is_sent = match (&mut self.kept, &self.work, state) {
            (Some(kept), _, Some(state)) => {
                if let BarrierState::Base(parts) = &state {
                    kept.base = parts.iter().map(PartWriter::bytes).sum();
                    kept.needs_base = false;
                }
                kept.journal.send(Entry::Cut(Box::new(barrier), state)).is_ok()
            }
            (None, Some(work), _) => work.send(Work::without_state(barrier)).is_ok(),
            _ => return Err(RuntimeError::internal("an epoch ends without its state")),
        };
        if is_sent { Ok(()) } else { Err(self.failure()) }
    }

    /// Why the threads have ended.
    fn failure(&self) -> RuntimeError {
        let told = self.done.recv_timeout(Duration::from_secs(10));
        let failed = told.ok().and_then(Result::err);
        failed.unwrap_or_else(|| RuntimeError::internal("the thread that commits epochs ended early"))
    }

    /// Whether an epoch is on its way; says so when one has failed.
    ///
    /// # Errors
    /// An epoch failed.
    pub fn is_under_way(&mut self) -> Result<bool, RuntimeError> {
        match self.done.try_recv() {
            Ok(done) => {
                self.is_under_way = false;
                done.map(|_| ())?;
            }
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => return Err(self.failure()),
        }
        Ok(self.is_under_way)
    }

    /// Waits for the epoch that is on its way.
    ///
    /// # Errors
    /// It failed.
    pub fn wait(&mut self) -> Result<(), RuntimeError> {
        if self.is_under_way {
            self.is_under_way = false;
            let done = self.done.recv().unwrap_or_else(|_| Err(self.failure()));
            done?;
        }
        Ok(())
    }
}

impl Drop for Epochs {
    fn drop(&mut self) {
        self.kept = None;
        self.work = None;
        for thread in self.threads.drain(..) {
            // a thread that panicked has said so
            drop(thread.join());
        }
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, RuntimeError> {
    let started = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    started.map_err(|error| RuntimeError::Configuration(format!("cannot start the thread {name}: {error}")))
}

impl From<CheckpointError> for RuntimeError {
    fn from(error: CheckpointError) -> Self {
        RuntimeError::Checkpoint(error)
    }
}
