//! Blocks are read and decoded while the job moves its state over those before them, by threads that have nothing else to do.
//!
//! Decoding runs in the job's own pool. There a thread that waits for another one looks for work, first among what the job's threads have put
//! aside, which is the round that is on, and last in the queue of what came from outside (rayon's injector). So blocks go in from outside, by a
//! thread that does nothing else: they fill the gaps of a round, and a round waits for one at most that was begun in a gap.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use backplane_events::{Decoder, EventTime};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, bounded, unbounded};
use rayon::{ThreadPool, Yield};

use crate::decoded::{DecodedBlock, decode};
use crate::error::RuntimeError;
use crate::input::{Input, ReadBlock};
use crate::state::blocks::Extent;

/// Rounds that are decoded ahead: with one alone the threads would wait for the job whenever they are quicker.
const AHEAD: usize = 2;

/// How long a thread of the pool sleeps that waits for a block and finds nothing to do.
const NAP: Duration = Duration::from_micros(100);

/// One of the threads is the job's own, which plans users' queries as well: as much as a main thread has.
const STACK: usize = 8 << 20;

type Decoded = Result<DecodedBlock, RuntimeError>;
type Task = Box<dyn FnOnce() + Send>;

/// What is read and decoded ahead.
pub struct Decoding {
    /// To the thread that puts tasks into the pool's outer queue; it ends with this.
    queue: Sender<Task>,
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
    /// By the threads of a pool.
    ///
    /// # Errors
    /// The system starts no thread.
    pub fn new(pool: Arc<ThreadPool>) -> Result<Self, RuntimeError> {
        let (queue, tasks) = unbounded::<Task>();
        let feed = move || tasks.iter().for_each(|task| pool.spawn(task));
        std::thread::Builder::new()
            .name("feeder".to_owned())
            .spawn(feed)
            .map_err(|error| {
                RuntimeError::Configuration(format!("cannot start a thread that hands out blocks: {error}"))
            })?;
        Ok(Decoding {
            queue,
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
            let task = Box::new(move || {
                let rested = lock(&decoders).pop();
                let columns = |event_type, column: &str| extent.decodes(event_type, column);
                let mut decoder = rested.unwrap_or_else(|| Box::new(Decoder::of_columns(columns)));
                // a job that has ended does not ask any more
                drop(tell.send(decode(block, &mut decoder, ingest_time)));
                lock(&decoders).push(decoder);
            });
            // it lives as long as this does; else the receiver tells
            drop(self.queue.send(task));
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
        round.into_iter().map(|decoded| wait_for(&decoded)).collect()
    }
}

/// Waits for a block; a thread of the pool decodes meanwhile, this block or another one.
fn wait_for(decoded: &Receiver<Decoded>) -> Decoded {
    let lost = || RuntimeError::internal("a thread that decodes has ended");
    loop {
        match decoded.try_recv() {
            Ok(block) => return block,
            Err(TryRecvError::Disconnected) => return Err(lost()),
            Err(TryRecvError::Empty) if rayon::yield_now() == Some(Yield::Executed) => continue,
            Err(TryRecvError::Empty) => {}
        }
        match decoded.recv_timeout(NAP) {
            Ok(block) => return block,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Err(lost()),
        }
    }
}

/// A decoder that panicked is gone, the others are whole.
fn lock(decoders: &Mutex<Vec<Box<Decoder>>>) -> MutexGuard<'_, Vec<Box<Decoder>>> {
    decoders.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The threads of a job.
///
/// # Errors
/// The system starts no thread.
pub fn start_pool(threads: usize) -> Result<ThreadPool, RuntimeError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .stack_size(STACK)
        .thread_name(|index| format!("worker-{index}"))
        // a panic has been told of; whoever waits for what the thread was at finds that nothing comes
        .panic_handler(|_| {})
        .build()
        .map_err(|error| RuntimeError::Configuration(format!("cannot start {threads} threads: {error}")))
}
