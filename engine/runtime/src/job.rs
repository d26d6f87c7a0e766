//! The job: rounds of read, decode, stamp, settle, emit.
//!
//! A round takes a few blocks that were decoded while the round before was on, stamps them in record order, and moves the shards side by side
//! over every boundary that the watermark has passed. Between rounds all state is at rest, so the barrier of an epoch is a moment between two rounds.

mod emissions;
mod ending;
mod evaluate;
mod restore;
mod state;
mod take_in;

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arrow::record_batch::RecordBatch;
use backplane_connector_api::Source;
use backplane_events::{EventTime, Table};
use rayon::prelude::*;

use crate::block::SharedBlock;
use crate::decoding::{Decoding, RoundPlan, start_pool};
use crate::dedup::{SeenIds, SpanLength};
use crate::epochs::{Barrier, BarrierState, Epochs};
use crate::error::RuntimeError;
use crate::evaluation::Evaluations;
use crate::input::{BLOCK_BYTES, Input};
use crate::ledger::Ledger;
use crate::names::JobNames;
use crate::outlets::{Outlet, Outlets};
use crate::partial::{ClosedWindow, merge_windows};
use crate::plan::{Boundaries, ExperimentDefinition, Plan, SHARDS};
use crate::progress::{Counters, Observer, Progress};
use crate::records_out::emit_block;
use crate::shard::{Settled, Shard, ShardContext};
use crate::snapshot::ShardChanges;
use crate::stream_time::job_watermark;
use crate::user_queries::UserQueries;

/// How a job runs.
#[derive(Debug, Clone)]
pub struct JobOptions {
    /// Threads.
    pub parallelism: usize,
    /// Wall-clock time between provisional rows of a live job.
    pub emit_every: Duration,
    /// Wall-clock time between epochs.
    pub checkpoint_interval: Duration,
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every source was exhausted, and all windows are final.
    Exhausted,
    /// The sources have nothing that an earlier run of the job has not read to its end.
    NothingNew,
    /// It was told to stop; what the watermark had settled is in the sinks, open windows are not final.
    Stopped,
}

/// The stream job.
pub struct Job {
    plan: Plan,
    boundaries: Boundaries,
    definitions: Vec<Arc<ExperimentDefinition>>,
    names: JobNames,
    input: Input,
    // before the sinks, whose threads end when nobody commits any more
    epochs: Epochs,
    outlets: Outlets,
    pool: Arc<rayon::ThreadPool>,
    decoding: Decoding,
    seen: Vec<SeenIds>,
    shards: Vec<Shard>,
    /// Blocks whose records' fate is not known yet.
    waiting: Vec<SharedBlock>,
    /// Those of them that are whole in the state of the last epoch, by partition and number.
    whole: HashSet<(u32, u64)>,
    /// Those of them whose events an earlier run has handed on, when it came to its end.
    handed_on: BTreeSet<(u32, u64)>,
    queries: UserQueries,
    evaluations: Evaluations,
    ledger: Option<Box<dyn Ledger>>,
    declared_experiments: Option<RecordBatch>,
    /// Names of signals that were told at the end of an earlier run, and that the state does not know of.
    told: BTreeSet<String>,
    /// Those that are told at this run's end, while it is on.
    telling: Option<BTreeSet<String>>,
    /// Whether all that was taken in was so by an earlier run, which came to its end.
    was_completed: bool,
    /// Records that earlier runs had decoded.
    records_before: u64,
    /// Whether it was said that state lies on disk.
    is_on_disk: bool,
    watermark: i64,
    last_emitted_watermark: i64,
    /// The greatest event time of the stream.
    last_event_time: i64,
    counters: Counters,
    revision: i64,
    options: JobOptions,
    block_bytes: usize,
    started: Instant,
    last_emission: Instant,
    pace: ending::Pace,
    /// Whether signals wait for the end of the epoch, with which they become visible.
    signals_wait: bool,
    last_judged: Instant,
}

impl Job {
    /// A job that has read nothing yet.
    ///
    /// # Errors
    /// A query cannot be planned, or the threads cannot be started.
    pub fn new(
        plan: Plan,
        queries: UserQueries,
        sources: Vec<Box<dyn Source>>,
        outlets: Vec<Outlet>,
        options: JobOptions,
    ) -> Result<Self, RuntimeError> {
        let pool = Arc::new(start_pool(options.parallelism)?);
        let decoding = Decoding::new(Arc::clone(&pool))?;
        let mut names = JobNames::default();
        for metric in &plan.metric_names {
            names.metrics.intern(metric);
        }
        for experiment in &plan.experiments {
            names.experiments.intern(&experiment.name);
        }
        let now = Instant::now();
        let outlets = Outlets::new(outlets)?;
        Ok(Job {
            boundaries: plan.boundaries(),
            definitions: (0u32..)
                .take(plan.experiments.len())
                .map(|id| plan.define(id))
                .collect(),
            names,
            input: Input::new(sources),
            epochs: Epochs::without_checkpoints(outlets.sinks())?,
            outlets,
            pool,
            decoding,
            seen: (0..SHARDS).map(|_| SeenIds::default()).collect(),
            shards: (0..SHARDS).map(|_| Shard::new(&plan)).collect(),
            waiting: Vec::new(),
            whole: HashSet::new(),
            handed_on: BTreeSet::new(),
            queries,
            evaluations: Evaluations::new(&plan)?,
            ledger: None,
            declared_experiments: None,
            told: BTreeSet::new(),
            telling: None,
            was_completed: false,
            records_before: 0,
            is_on_disk: false,
            watermark: i64::MIN,
            last_emitted_watermark: i64::MIN,
            last_event_time: i64::MIN,
            counters: Counters::default(),
            revision: 0,
            options,
            block_bytes: BLOCK_BYTES,
            started: now,
            last_emission: now,
            pace: ending::Pace::from(now),
            signals_wait: false,
            last_judged: now,
            plan,
        })
    }

    /// Reads blocks of about this many bytes. Results do not depend on it.
    #[must_use]
    pub fn with_block_bytes(mut self, block_bytes: usize) -> Self {
        self.block_bytes = block_bytes.max(1);
        self
    }

    /// Follows a ledger of looks and decisions.
    #[must_use]
    pub fn with_ledger(mut self, ledger: Box<dyn Ledger>) -> Self {
        self.ledger = Some(ledger);
        self
    }

    /// Takes in what the configuration declares. Its rows are handed to the sinks before the first event; a job that is gone on with has done
    /// that: `is_new` is false for it.
    ///
    /// # Errors
    /// A sink failed.
    pub fn declare(&mut self, table: Table, rows: RecordBatch, is_new: bool) -> Result<(), RuntimeError> {
        if table == Table::Experiments {
            self.declared_experiments = Some(rows.clone());
        }
        if is_new { self.outlets.rows(table, rows) } else { Ok(()) }
    }

    /// Runs until every source is exhausted, or until `stop` is set.
    ///
    /// # Errors
    /// A source or sink failed; what the last epoch has committed stays.
    pub fn run(&mut self, stop: &AtomicBool, observer: &mut dyn Observer) -> Result<Ending, RuntimeError> {
        // one of the pool's threads is the job's own: what it does alone, others decode beside
        let pool = Arc::clone(&self.pool);
        pool.install(|| self.run_rounds(stop, observer))
    }

    fn run_rounds(&mut self, stop: &AtomicBool, observer: &mut dyn Observer) -> Result<Ending, RuntimeError> {
        let now = Instant::now();
        self.input.discover(now)?;
        if self.input.is_bounded() {
            // the first blocks are decoded while the ledger is read
            let round = self.round_plan();
            self.decoding
                .read_ahead(&mut self.input, round, now, EventTime(wall_clock()));
        }
        // what was looked at while no job ran
        if !self.was_completed {
            self.follow_ledger()?;
        }
        let ending = loop {
            if stop.load(Ordering::Relaxed) {
                break Ending::Stopped;
            }
            let now = Instant::now();
            self.input.discover(now)?;
            let has_read = self.round(now)?;
            self.watch_memory()?;
            if observer.is_due() {
                observer.round(&self.progress());
            }
            if self.input.is_exhausted() && self.input.is_bounded() {
                break if self.was_completed {
                    Ending::NothingNew
                } else {
                    Ending::Exhausted
                };
            }
            self.judge_if_due(now)?;
            self.emit_provisional(now)?;
            self.end_epoch_if_due(now)?;
            if !has_read {
                std::thread::sleep(Duration::from_millis(5));
            }
        };
        match ending {
            Ending::Exhausted => self.end()?,
            Ending::Stopped => self.stop()?,
            Ending::NothingNew => {}
        }
        observer.round(&self.progress());
        Ok(ending)
    }

    /// Says once that state has outgrown its memory; stops in good order where the disk does not take it.
    fn watch_memory(&mut self) -> Result<(), RuntimeError> {
        let is_on_disk = backplane_memory::usage().files > 0;
        if is_on_disk && !std::mem::replace(&mut self.is_on_disk, true) {
            tracing::warn!(
                "the state has outgrown engine.memory: what comes is kept on disk, and the job may slow down"
            );
        }
        let outgrown = memory_left();
        if outgrown.is_err()
            && let Err(error) = self.stop()
        {
            tracing::warn!(%error, "no last checkpoint could be made");
        }
        outgrown
    }

    /// How far the job has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        let (mut subjects, mut rows, mut memory) = (0, 0, 0);
        let mut counters = self.counters;
        for shard in &self.shards {
            let sizes = shard.sizes();
            subjects += sizes.0;
            rows += sizes.1;
            memory += shard.memory();
            counters.outcomes_without_exposure += shard.counts().outcomes_without_exposure;
            counters.variant_mismatches += shard.counts().variant_mismatches;
        }
        memory += self.seen.iter().map(SeenIds::memory).sum::<usize>();
        Progress {
            counters,
            watermark: EventTime(self.watermark),
            last_event_time: EventTime(self.last_event_time),
            subjects,
            rows,
            memory,
            on_disk: backplane_memory::usage().files,
            waiting_records: self.waiting.iter().map(|block| block.unsettled(self.watermark)).sum(),
            records_before: self.records_before,
            elapsed: self.started.elapsed(),
            bounded: self.input.is_bounded(),
        }
    }

    /// Names of experiments, variants and metrics seen so far.
    #[must_use]
    pub fn names(&self) -> &JobNames {
        &self.names
    }

    /// One round: what was decoded is taken in while what comes after it is read and decoded. Whether anything was read, or taken in.
    fn round(&mut self, now: Instant) -> Result<bool, RuntimeError> {
        let decoded = self.decoding.take()?;
        let has_taken = !decoded.is_empty();
        self.was_completed &= !has_taken;
        let blocks = self.take_in(decoded, now)?;
        let has_read = self.ingest_and_read_ahead(&blocks, now);
        let may_grow = !self.input.is_bounded();
        let mut watermark = job_watermark(self.watermark, &self.input.states(), may_grow, &self.plan.time, now);
        if watermark == i64::MAX {
            // the end of all sources is no round: see `end`
            watermark = self.watermark;
        }
        if !blocks.is_empty() || watermark != self.watermark {
            self.epochs.note_round(&blocks, watermark)?;
            self.settle_until(watermark)?;
            self.release_blocks()?;
        }
        Ok(has_read || has_taken)
    }

    /// Moves the state up to the watermark in steps, so that the windows that close in one step are few, however far the watermark moved.
    fn settle_until(&mut self, watermark: i64) -> Result<(), RuntimeError> {
        self.watermark = watermark;
        loop {
            let step = self.next_step(watermark);
            let (closed, changes) = self.settle(step);
            if self.shards.iter().any(Shard::is_full) {
                return Err(RuntimeError::Full);
            }
            self.emit_closed(closed, step)?;
            self.evaluate(&changes, step)?;
            if step >= watermark {
                return Ok(());
            }
        }
    }

    /// Where the next step ends: some windows after the next boundary at which there is anything to do.
    fn next_step(&self, watermark: i64) -> i64 {
        const WINDOWS: i64 = 64;
        let context = self.context();
        let next = self
            .shards
            .iter()
            .filter_map(|shard| shard.next_boundary(&context))
            .min();
        match (next, self.plan.windows.iter().map(|window| window.slide).min()) {
            (Some(next), Some(slide)) if next < watermark => {
                watermark.min(next.saturating_add(slide.saturating_mul(WINDOWS)))
            }
            _ => watermark,
        }
    }

    fn context(&self) -> ShardContext<'_> {
        ShardContext {
            plan: &self.plan,
            boundaries: &self.boundaries,
            definitions: &self.definitions,
            last_evaluation: self.last_evaluation(),
        }
    }

    /// The last boundary at or before the watermark.
    fn boundaries_settled(&self) -> i64 {
        if self.watermark == i64::MIN || self.watermark == i64::MAX {
            return self.watermark;
        }
        self.boundaries.at_or_before(self.watermark)
    }

    fn round_plan(&self) -> RoundPlan {
        RoundPlan {
            // so many that a thread which is done earlier does not wait long for the others, in proportion
            blocks: self.options.parallelism.max(1) * 4,
            block_bytes: self.block_bytes,
            extent: self.decoded_extent(),
        }
    }

    /// Hands new blocks to the shards of ids and of subjects; meanwhile reads those that come after them. Whether there were any.
    fn ingest_and_read_ahead(&mut self, blocks: &[SharedBlock], now: Instant) -> bool {
        let round = self.round_plan();
        let Job {
            pool,
            decoding,
            input,
            seen,
            shards,
            waiting,
            plan,
            ..
        } = self;
        let mut read_ahead = || decoding.read_ahead(input, round, now, EventTime(wall_clock()));
        if blocks.is_empty() {
            return read_ahead();
        }
        waiting.extend_from_slice(blocks);
        let take_in = || ingest(blocks, waiting, id_span(plan), seen, shards);
        let (has_read, ()) = pool.install(|| rayon::join(read_ahead, take_in));
        has_read
    }

    /// Hands blocks that were read before to the shards.
    fn ingest(&mut self, blocks: &[SharedBlock]) {
        self.waiting.extend_from_slice(blocks);
        let (waiting, length) = (&self.waiting, id_span(&self.plan));
        let (seen, shards) = (&mut self.seen, &mut self.shards);
        self.pool.install(|| ingest(blocks, waiting, length, seen, shards));
    }

    /// Moves subjects over the boundaries up to `watermark`.
    fn settle(&mut self, watermark: i64) -> (Vec<ClosedWindow>, Vec<ShardChanges>) {
        let context = ShardContext {
            plan: &self.plan,
            boundaries: &self.boundaries,
            definitions: &self.definitions,
            last_evaluation: self.last_evaluation(),
        };
        let length = id_span(&self.plan);
        self.seen.iter_mut().for_each(|seen| seen.forget(watermark, length));
        let shards = &mut self.shards;
        let settled: Vec<Settled> = self.pool.install(|| {
            shards
                .par_iter_mut()
                .with_max_len(1)
                .map(|shard| shard.settle(&context, watermark))
                .collect()
        });
        let plan = &self.plan;
        let (closed, changes) = settled
            .into_iter()
            .map(|settled| (settled.closed, settled.changes))
            .unzip();
        let closed = merge_windows(closed, |kind, index| {
            plan.windows.get(kind).map_or(0, |window| window.end(index))
        });
        (closed, changes)
    }

    /// Takes the blocks whose records' fate is known out of those that wait.
    fn take_released(&mut self) -> Vec<SharedBlock> {
        let watermark = self.watermark;
        let (known, waiting): (Vec<SharedBlock>, Vec<SharedBlock>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|block| block.last_slice <= watermark);
        self.waiting = waiting;
        known
    }

    /// Hands over the events of blocks whose records' fate is known.
    fn release_blocks(&mut self) -> Result<(), RuntimeError> {
        let watermark = self.watermark;
        for block in self.take_released() {
            if !self.handed_on.remove(&block.key()) {
                emit_block(&block, watermark, &self.plan, &mut self.outlets)?;
            }
            self.counters.take_in(&block, watermark);
            self.queries.keep(block);
        }
        self.queries.forget(&self.plan, watermark);
        Ok(())
    }
}

/// How long ids are remembered.
fn id_span(plan: &Plan) -> SpanLength {
    SpanLength::new(plan.time.correction_horizon, plan.evaluate_every)
}

/// Hands new blocks, which are among those that wait, to the shards of ids and of subjects.
fn ingest(
    blocks: &[SharedBlock],
    waiting: &[SharedBlock],
    length: SpanLength,
    seen: &mut [SeenIds],
    shards: &mut [Shard],
) {
    let ids = || {
        let seen = seen.par_iter_mut().with_max_len(1).enumerate();
        seen.for_each(|(shard, seen)| {
            blocks
                .iter()
                .for_each(|block| seen.ingest(block, shard, waiting, length));
        });
    };
    let subjects = || {
        let shards = shards.par_iter_mut().with_max_len(1).enumerate();
        shards.for_each(|(index, shard)| blocks.iter().for_each(|block| shard.ingest(block, index, i64::MIN)));
    };
    rayon::join(ids, subjects);
}

/// Microseconds since the Unix epoch.
fn wall_clock() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Whether the disk took what memory had no room for.
fn memory_left() -> Result<(), RuntimeError> {
    match backplane_memory::failure() {
        Some(reason) => Err(RuntimeError::Memory { reason }),
        None => Ok(()),
    }
}
