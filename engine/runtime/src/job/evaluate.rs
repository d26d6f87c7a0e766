//! The job's part of evaluations: when they happen, and where their signals go.

use std::time::{Duration, Instant};

use arrow::array::BooleanArray;
use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use backplane_events::Table;
use backplane_queries::BatchQueries;
use backplane_queries::evaluation::LOOK_NUMBERS;
use rayon::prelude::*;

use super::{Job, wall_clock};
use crate::error::RuntimeError;
use crate::evaluation::{EvaluationContext, Evaluations, Looker, Signal, ids_in_sink, look_rows, signal_rows};
use crate::ledger::LedgerRows;
use crate::shard::Shard;
use crate::snapshot::ShardChanges;

/// A live job judges this often at most, in wall-clock time: what falls due in between is one batch.
const BETWEEN_BATCHES: Duration = Duration::from_millis(50);

impl Job {
    /// The last evaluation: once all sources are exhausted, event time stands at their last event.
    pub(super) fn last_evaluation(&self) -> i64 {
        if self.watermark == i64::MAX && self.last_event_time != i64::MIN {
            self.plan.evaluation_at_or_after(self.last_event_time.saturating_add(1))
        } else {
            i64::MAX
        }
    }

    /// Lets the evaluations happen that the state has passed.
    pub(super) fn evaluate(&mut self, changes: &[ShardChanges], settled: i64) -> Result<(), RuntimeError> {
        let until = settled.min(self.last_evaluation());
        let signals = self.with_evaluations(|evaluations, context| evaluations.advance(context, changes, until))?;
        self.emit_signals(signals)
    }

    /// The last evaluation of a bounded run: every attribution window is closed.
    pub(super) fn evaluate_the_end(&mut self) -> Result<(), RuntimeError> {
        let end = self.last_evaluation();
        if end == i64::MAX {
            return Ok(());
        }
        let shards = &mut self.shards;
        let changes: Vec<ShardChanges> = self.pool.install(|| {
            let take = |shard: &mut Shard| {
                let mut changes = ShardChanges::default();
                shard.take_changes(end, &mut changes);
                changes
            };
            shards.par_iter_mut().map(take).collect()
        });
        self.evaluate(&changes, end)
    }

    /// In a live job, judges soon after something has happened.
    pub(super) fn judge_if_due(&mut self, now: Instant) -> Result<(), RuntimeError> {
        let is_due = now.saturating_duration_since(self.last_judged) >= BETWEEN_BATCHES;
        if self.input.is_bounded() || !is_due {
            return Ok(());
        }
        self.last_judged = now;
        self.judge()
    }

    /// Judges looks and decisions that have come since, and all else that waits.
    pub(super) fn follow_ledger(&mut self) -> Result<(), RuntimeError> {
        let ledger = match &mut self.ledger {
            Some(ledger) => ledger.poll()?,
            None => Vec::new(),
        };
        for rows in ledger {
            let (looks, decisions) =
                self.with_evaluations(|evaluations, context| evaluations.take_looks(context, &rows))?;
            if !rows.are_kept {
                self.outlets.rows(Table::Looks, looks)?;
                self.outlets.rows(Table::Decisions, decisions)?;
            }
        }
        self.judge()
    }

    /// Judges the looks and decisions that came after the last event, in an epoch of their own.
    ///
    /// # Errors
    /// The ledger cannot be read, or a sink failed.
    pub fn follow_up(&mut self) -> Result<(), RuntimeError> {
        self.follow_ledger()?;
        self.commit()
    }

    /// Judges what waits.
    pub(super) fn judge(&mut self) -> Result<(), RuntimeError> {
        if !self.evaluations.are_waiting() {
            return Ok(());
        }
        let signals = self.with_evaluations(Evaluations::judge)?;
        self.emit_signals(signals)
    }

    /// Has the job's threads do something with the evaluations, and what they need to know of the job.
    fn with_evaluations<R: Send>(
        &mut self,
        act: impl FnOnce(&mut Evaluations, &EvaluationContext<'_>) -> R + Send,
    ) -> R {
        let context = EvaluationContext {
            plan: &self.plan,
            definitions: &self.definitions,
            names: &self.names,
        };
        let evaluations = &mut self.evaluations;
        self.pool.install(|| act(evaluations, &context))
    }

    fn emit_signals(&mut self, mut signals: Vec<Signal>) -> Result<(), RuntimeError> {
        // what was told at an end is not told again where the job goes on from before it
        signals.retain(|signal| self.told.is_empty() || !self.told.remove(&signal.key()));
        if signals.is_empty() {
            return Ok(());
        }
        if let Some(telling) = &mut self.telling {
            telling.extend(signals.iter().map(Signal::key));
        }
        let raised = signals.iter().filter(|signal| signal.is_raised()).count();
        self.counters.signals += raised as u64;
        self.signals_wait = true;
        self.outlets.rows(Table::Signals, signal_rows(&signals, wall_clock())?)
    }

    /// Results that go to a sink which a person watches are looked at: the ledger gets a row for each effect, and it is judged.
    pub(super) fn look(&mut self, counts: RecordBatch, statistics: RecordBatch) -> Result<(), RuntimeError> {
        let sinks: Vec<String> = self.outlets.looking().map(str::to_owned).collect();
        if sinks.is_empty() || statistics.num_rows() == 0 {
            return Ok(());
        }
        let (assignments, effects) = self.evaluations.current_paths(&self.names)?;
        let mut tables = vec![
            (Table::AssignmentCounts, counts),
            (Table::MetricStats, statistics),
            (Table::AssignmentPath, assignments),
            (Table::EffectPath, effects),
        ];
        tables.extend(self.declared_experiments.clone().map(|rows| (Table::Experiments, rows)));
        let queries = BatchQueries::new().map_err(RuntimeError::internal)?;
        let numbers = queries.run(LOOK_NUMBERS, &tables).map_err(RuntimeError::internal)?;
        for sink in sinks {
            let looker = Looker {
                principal: &sink,
                origin: "sink",
                query_hash: "",
            };
            let ids = ids_in_sink(&numbers, &sink)?;
            let is_new: BooleanArray = ids.iter().map(|id| Some(!self.evaluations.knows_look(id))).collect();
            let looks = look_rows(&numbers, &looker, ids, wall_clock())?;
            let looks = filter_record_batch(&looks, &is_new)?;
            self.outlets.rows(Table::Looks, looks.clone())?;
            let rows = LedgerRows {
                looks,
                decisions: RecordBatch::new_empty(Table::Decisions.schema()),
                are_kept: true,
            };
            self.with_evaluations(|evaluations, context| evaluations.take_looks(context, &rows))?;
        }
        self.judge()
    }

    /// Emits the paths of sequential tests that went on.
    pub(super) fn emit_paths(&mut self) -> Result<(), RuntimeError> {
        let (assignments, effects) = self.evaluations.take_changed_paths(&self.names)?;
        self.outlets.rows(Table::AssignmentPath, assignments)?;
        self.outlets.rows(Table::EffectPath, effects)
    }
}
