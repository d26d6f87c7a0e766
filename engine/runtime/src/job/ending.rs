//! The ends of epochs, and of the job.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use backplane_connector_api::steps;

use super::state::Head;
use super::{Barrier, BarrierState, Job};
use crate::error::RuntimeError;
use crate::records_out::emit_block;

/// So far apart are the ends of epochs, at least, that come before their time because signals wait for them.
const BETWEEN_SIGNALS: Duration = Duration::from_millis(100);
/// And so many times as long as the last one took: they are not what a job is busy with.
const TIMES_AS_LONG: u32 = 4;

/// When epochs end.
#[derive(Debug)]
pub(super) struct Pace {
    /// The last one that ended, or began to.
    last: Instant,
    /// The last one whose time it was.
    last_regular: Instant,
    /// Whether the last one is still looked at: how long it takes is not known yet.
    is_timed: bool,
    /// How long the last one took, from the barrier until it was visible.
    took: Duration,
}

impl From<Instant> for Pace {
    fn from(now: Instant) -> Self {
        Pace {
            last: now,
            last_regular: now,
            is_timed: false,
            took: Duration::ZERO,
        }
    }
}

impl Pace {
    /// No epoch is under way.
    fn note_rest(&mut self, now: Instant) {
        if std::mem::take(&mut self.is_timed) {
            self.took = now.saturating_duration_since(self.last);
        }
    }

    /// Whether it is time for an epoch to end.
    fn is_time(&self, now: Instant, interval: Duration) -> bool {
        now.saturating_duration_since(self.last_regular) >= interval
    }

    /// Whether one may end before its time.
    fn is_soon(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.last) >= BETWEEN_SIGNALS.max(self.took * TIMES_AS_LONG)
    }

    fn note_end(&mut self, now: Instant, is_regular: bool) {
        self.last = now;
        self.is_timed = true;
        if is_regular {
            self.last_regular = now;
        }
    }
}

impl Job {
    /// Ends an epoch when it is time, or when a signal of a live job waits for it, unless the one before it is still on its way.
    pub(super) fn end_epoch_if_due(&mut self, now: Instant) -> Result<(), RuntimeError> {
        if self.epochs.is_under_way()? {
            return Ok(());
        }
        self.pace.note_rest(now);
        let is_time = self.pace.is_time(now, self.options.checkpoint_interval);
        // in a bounded job nobody waits
        let is_waited_for = self.signals_wait && !self.input.is_bounded() && self.pace.is_soon(now);
        if !is_time && !is_waited_for {
            return Ok(());
        }
        self.pace.note_end(now, is_time);
        if is_time {
            self.follow_ledger()?;
        } else {
            // the lakes' ledgers are read in their time
            self.judge()?;
        }
        let state = self.barrier_state()?;
        self.end_epoch(&self.head(), state)
    }

    fn end_epoch(&mut self, head: &Head, state: Option<BarrierState>) -> Result<(), RuntimeError> {
        self.signals_wait = false;
        steps::reach("barrier");
        let epoch = self.epochs.next();
        let barrier = Barrier {
            epoch,
            head: serde_json::to_value(head).map_err(RuntimeError::internal)?,
            prepared: self.outlets.prepare(epoch),
        };
        self.epochs.end_epoch(barrier, state)
    }

    /// Ends an epoch here, and waits until all that was handed to the sinks is visible.
    pub(super) fn commit(&mut self) -> Result<(), RuntimeError> {
        self.epochs.wait()?;
        let state = self.barrier_state()?;
        self.end_epoch(&self.head(), state)?;
        self.epochs.wait()
    }

    /// The job was told to stop. What waits for the watermark stays in the state; where none is kept, the lake gets the events that the
    /// results have.
    pub(super) fn stop(&mut self) -> Result<(), RuntimeError> {
        if !self.epochs.are_kept() {
            for block in &self.waiting {
                self.counters.take_in(block, self.watermark);
                emit_block(block, self.watermark, &self.plan, &mut self.outlets)?;
            }
        }
        self.follow_ledger()?;
        self.emit_cumulative()?;
        self.commit()
    }

    /// All sources are exhausted: nothing waits for the watermark any more, and every window is final. The state that is kept is the one
    /// before that: should a source grow, or a new file come, the job goes on from there, and restates what was not final.
    pub(super) fn end(&mut self) -> Result<(), RuntimeError> {
        self.follow_ledger()?;
        let state = self.barrier_state()?;
        let mut head = self.head();
        head.handed_on.extend(self.waiting.iter().map(|block| block.key()));
        self.telling = Some(BTreeSet::new());
        if !self.input.partitions.is_empty() {
            self.settle_until(i64::MAX)?;
            self.release_blocks()?;
            self.evaluate_the_end()?;
        }
        self.follow_ledger()?;
        self.emit_cumulative()?;
        head.is_completed = true;
        head.revision = self.revision;
        head.counters.signals = self.counters.signals;
        head.told.extend(self.telling.take().unwrap_or_default());
        // what comes at the end was made while the epoch before it was still on its way
        self.epochs.wait()?;
        self.end_epoch(&head, state)?;
        self.epochs.wait()
    }
}
