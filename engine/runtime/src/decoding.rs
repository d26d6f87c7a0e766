//! Blocks are read and decoded while the job moves its state over those before them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use backplane_events::{Decoder, EventTime};
use crossbeam_channel::{Receiver, bounded};

use crate::decoded::{DecodedBlock, decode};
use crate::error::RuntimeError;
use crate::input::{Input, ReadBlock};
use crate::priority::step_back;
use crate::state::blocks::Extent;

/// Rounds that are decoded ahead: with one alone the threads would wait for the job whenever they are quicker.
const AHEAD: usize = 2;

type Decoded = Result<DecodedBlock, RuntimeError>;

/// The threads that decode, and what they are at.
pub struct Decoding {
    pool: rayon::ThreadPool,
    /// Those that rest; a decoder keeps what it has learned from one block to the next. It is large to move.
    decoders: Arc<Mutex<Vec<Box<Decoder>>>>,
    /// By round, oldest first: its blocks in order.
    rounds: VecDeque<Vec<Receiver<Decoded>>>,
    /// Why a source cannot be read any further; what came before that is taken in first.
    failure: Option<RuntimeError>,
}

/// How a round is read.
#[derive(Debug, Clone, Copy)]
pub struct RoundPlan {
    /// How many blocks.
    pub blocks: usize,
    /// About how many bytes each.
    pub block_bytes: usize,
    /// How much of them is decoded: the same for all rounds.
    pub extent: Extent,
}

impl Decoding {
    /// So many threads.
    ///
    /// # Errors
    /// The system starts no thread.
    pub fn new(threads: usize) -> Result<Self, RuntimeError> {
        Ok(Decoding {
            // they have as much to do as the job, and time for it: they take what its threads leave while one waits for another
            pool: start_pool("decoder", threads, step_back)?,
            decoders: Arc::default(),
            rounds: VecDeque::new(),
            failure: None,
        })
    }

    /// Reads rounds as long as there are some and few are under way, and begins to decode them. Whether there was anything.
    pub fn read_ahead(&mut self, input: &mut Input, plan: RoundPlan, now: Instant, ingest_time: EventTime) -> bool {
        let mut has_read = false;
        while self.rounds.len() < AHEAD && self.failure.is_none() {
            let mut read = Vec::new();
            self.failure = input.read(plan.blocks, plan.block_bytes, now, &mut read).err();
            if read.is_empty() {
                break;
            }
            self.begin(read, plan.extent, ingest_time);
            has_read = true;
        }
        has_read
    }

    fn begin(&mut self, round: Vec<ReadBlock>, extent: Extent, ingest_time: EventTime) {
        let blocks = round.into_iter().map(|block| {
            let (tell, decoded) = bounded(1);
            let decoders = Arc::clone(&self.decoders);
            self.pool.spawn_fifo(move || {
                let rested = lock(&decoders).pop();
                let columns = |event_type, column: &str| extent.decodes(event_type, column);
                let mut decoder = rested.unwrap_or_else(|| Box::new(Decoder::of_columns(columns)));
                // a job that has ended does not ask any more
                drop(tell.send(decode(block, &mut decoder, ingest_time)));
                lock(&decoders).push(decoder);
            });
            decoded
        });
        let blocks = blocks.collect();
        self.rounds.push_back(blocks);
    }

    /// The oldest round, waited for; nothing where none is under way.
    ///
    /// # Errors
    /// A source failed, and all that was read before was taken.
    pub fn take(&mut self) -> Result<Vec<DecodedBlock>, RuntimeError> {
        let Some(round) = self.rounds.pop_front() else {
            return self.failure.take().map_or(Ok(Vec::new()), Err);
        };
        let lost = |_| RuntimeError::internal("a thread that decodes has ended");
        round
            .into_iter()
            .map(|decoded| decoded.recv().map_err(lost).flatten())
            .collect()
    }
}

/// A decoder that panicked is gone, the others are whole.
fn lock(decoders: &Mutex<Vec<Box<Decoder>>>) -> MutexGuard<'_, Vec<Box<Decoder>>> {
    decoders.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Threads of this name, each of which begins with `begin`.
///
/// # Errors
/// The system starts no thread.
pub fn start_pool(name: &'static str, threads: usize, begin: fn()) -> Result<rayon::ThreadPool, RuntimeError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .thread_name(move |index| format!("{name}-{index}"))
        .start_handler(move |_| begin())
        // a panic has been told of; whoever waits for what the thread was at finds that nothing comes
        .panic_handler(|_| {})
        .build()
        .map_err(|error| RuntimeError::Configuration(format!("cannot start {threads} threads: {error}")))
}
