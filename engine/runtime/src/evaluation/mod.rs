//! Evaluations: at every multiple of `evaluateEvery` that the watermark passes, what is wrong with which experiment.
//!
//! ```text
//! shards: what changed (snapshot.rs) -> ledger.rs (added up by experiment) -> rows.rs (tables of one batch)
//!   -> the SQL of queries/sql/signals/ -> hysteresis.rs (raised once, closed once) -> signals.rs (envelopes)
//!                                      -> paths.rs (assignment_path, effect_path)
//! ```
//!
//! An experiment is evaluated where it changed, or where something is due by time. Evaluations that fall due together are one batch; how
//! they are cut into batches changes nothing, since each row is judged for itself and verdicts are taken in order.

mod about;
mod effects;
mod findings;
mod hysteresis;
mod judged;
mod judges;
mod ledger;
mod looks;
mod message;
mod paths;
mod rows;
mod signals;
mod traffic;
mod watched;

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use backplane_queries::evaluation::{EvaluationTable, SIGNALS, SignalQuery};

use rayon::prelude::*;

use crate::error::RuntimeError;
use crate::ledger::LedgerRows;
use crate::names::JobNames;
use crate::plan::{ExperimentDefinition, Plan};
use crate::snapshot::ShardChanges;
use crate::state::{self, Reader};
use about::{About, Part};
use findings::{Findings, with_e_values};
use hysteresis::{Rules, SignalState, Turn, Verdict};
use judged::JudgedRows;
use judges::Judges;
use ledger::ExperimentLedger;
use looks::Looks;
use message::Evidence;
use paths::PathRows;
use rows::EvaluationRows;
use traffic::HOUR;
use watched::Watched;

pub use looks::{Looker, ids_in_sink, look_rows};
pub use signals::{OWN_METADATA, Signal, signal_rows};

/// So many evaluations of an experiment happen at a time, while other threads are at other experiments.
const EVALUATIONS_AT_A_TIME: i64 = 64;

/// So many rows are judged in one batch, about; more bring no further speed.
const BATCH_ROWS: usize = 16_384;

/// By experiment and evaluation: records beyond the correction horizon.
type TooLate = BTreeMap<(u32, i64), i64>;

/// The rows that are judged, by table.
type Judged = BTreeMap<EvaluationTable, JudgedRows>;

/// What an evaluation needs to know of the job.
#[derive(Debug, Clone, Copy)]
pub struct EvaluationContext<'a> {
    /// What is computed.
    pub plan: &'a Plan,
    /// By experiment id.
    pub definitions: &'a [Arc<ExperimentDefinition>],
    /// Names of ids.
    pub names: &'a JobNames,
}

/// The evaluations of a job.
#[derive(Debug)]
pub struct Evaluations {
    /// By experiment.
    watched: BTreeMap<u32, Watched>,
    /// By experiment and evaluation: records beyond the correction horizon that were not handed over yet.
    too_late: TooLate,
    /// Rows of [`EvaluationTable::Looks`].
    look_rows: EvaluationRows,
    looks: Looks,
    judges: Judges,
    /// By query.
    states: Vec<HashMap<About, SignalState>>,
    /// The first evaluation of the job.
    watched_since: Option<i64>,
    /// Everything up to here is in the rows.
    settled: i64,
    /// Everything up to here is judged.
    judged: i64,
}

impl Evaluations {
    /// None yet.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if the system gives no room for the queries.
    pub fn new(plan: &Plan) -> Result<Self, RuntimeError> {
        Ok(Evaluations {
            watched: BTreeMap::new(),
            too_late: BTreeMap::new(),
            look_rows: EvaluationRows::default(),
            looks: Looks::default(),
            judges: Judges::new(plan)?,
            states: SIGNALS.iter().map(|_| HashMap::new()).collect(),
            watched_since: None,
            settled: i64::MIN,
            judged: i64::MIN,
        })
    }

    /// Notes a record beyond the correction horizon, which came when its partition's watermark was `watermark`.
    pub fn note_too_late(&mut self, plan: &Plan, experiment: u32, time: i64, watermark: i64) {
        let at = plan.evaluation_at_or_after(time.max(watermark).saturating_add(1));
        *self.too_late.entry((experiment, at)).or_default() += 1;
    }

    /// Takes in what the shards saw, shard by shard and up to `until`, and lets the evaluations up to there happen. Gives the signals of
    /// those that were judged already, because enough of them had come together.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] where a query of our own fails.
    pub fn advance(
        &mut self,
        context: &EvaluationContext<'_>,
        shards: &[ShardChanges],
        until: i64,
    ) -> Result<Vec<Signal>, RuntimeError> {
        let snapshots = || shards.iter().map(ShardChanges::snapshots);
        let first = snapshots().flatten().map(|snapshot| snapshot.at).min();
        for (shard, snapshots) in snapshots().enumerate() {
            for (place, snapshot) in snapshots.iter().enumerate() {
                if let Some(watched) = watch(&mut self.watched, context, snapshot.experiment) {
                    watched.hand_over(snapshot.at, shard, place);
                }
            }
        }
        self.watched
            .par_iter_mut()
            .for_each(|(_, watched)| watched.put_in_order());
        for ((experiment, at), count) in std::mem::take(&mut self.too_late) {
            if let Some(watched) = watch(&mut self.watched, context, experiment) {
                watched.note_too_late(at, count);
            }
        }
        if let Some(first) = first.filter(|_| self.watched_since.is_none()) {
            self.begin(context, first);
        }
        let until = context.plan.evaluation_at_or_before(until);
        let mut found = Vec::new();
        while let Some(next) = self
            .watched
            .values()
            .filter_map(Watched::next)
            .min()
            .filter(|at| *at <= until)
        {
            // so many at a time that there is work for all threads, and not more rows than a batch needs
            let step = next
                .saturating_add(EVALUATIONS_AT_A_TIME * context.plan.evaluate_every)
                .min(until);
            let since = self.watched_since;
            self.watched
                .par_iter_mut()
                .for_each(|(_, watched)| watched.advance(context, shards, since, step));
            self.settled = step;
            self.looks.release(context, step, &mut self.look_rows);
            if self.waiting_rows() >= BATCH_ROWS {
                found.extend(self.judge(context)?);
            }
        }
        debug_assert!(
            self.watched.values().all(Watched::has_taken_all),
            "a shard has handed over what lies beyond"
        );
        self.settled = self.settled.max(until);
        self.looks.release(context, self.settled, &mut self.look_rows);
        Ok(found)
    }

    fn waiting_rows(&self) -> usize {
        let of_experiments: usize = self.watched.values().map(|watched| watched.rows.len()).sum();
        of_experiments + self.look_rows.len()
    }

    /// Takes in what people have looked at and decided; a look is judged when the job has come to its watermark. Gives the rows that are new.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if the rows have not their tables' columns.
    pub fn take_looks(
        &mut self,
        context: &EvaluationContext<'_>,
        rows: &LedgerRows,
    ) -> Result<(RecordBatch, RecordBatch), RuntimeError> {
        let new = self.looks.take_in(context, &rows.looks, &rows.decisions)?;
        self.looks.release(context, self.settled, &mut self.look_rows);
        Ok(new)
    }

    /// Whether a look of this id was taken in.
    #[must_use]
    pub fn knows_look(&self, id: &str) -> bool {
        self.looks.knows(id)
    }

    /// Whether anything waits to be judged.
    #[must_use]
    pub fn are_waiting(&self) -> bool {
        let mut states = self.states.iter().flat_map(HashMap::values);
        self.waiting_rows() > 0 || (self.settled > self.judged && states.any(SignalState::is_open))
    }

    /// The job has begun: what is due by time follows.
    fn begin(&mut self, context: &EvaluationContext<'_>, first: i64) {
        self.watched_since = Some(first);
        for (id, experiment) in (0u32..).zip(&context.plan.experiments) {
            let times = [
                experiment.starts_at.map(|start| start.max(first).saturating_add(HOUR)),
                experiment.sample.ends_at.map(|end| end.max(first).saturating_add(1)),
            ];
            for time in times.into_iter().flatten() {
                if let Some(watched) = watch(&mut self.watched, context, id) {
                    watched.make_due(context.plan.evaluation_at_or_after(time));
                }
            }
        }
    }

    /// Judges every evaluation that waits, and lets time pass for open signals. Gives the signals, in order.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] where a query of our own fails.
    pub fn judge(&mut self, context: &EvaluationContext<'_>) -> Result<Vec<Signal>, RuntimeError> {
        let judged = self.take_rows()?;
        self.observe_paths(&judged)?;
        let is_open: Vec<bool> = self
            .states
            .iter()
            .map(|states| states.values().any(SignalState::is_open))
            .collect();
        let mut found = Vec::new();
        for (index, findings) in self.judges.findings(&judged, &is_open)? {
            if let Some(query) = SIGNALS.get(index) {
                self.judge_query(context, (index, query), findings, &judged, &mut found);
            }
        }
        self.judged = self.settled;
        let until = self.judged;
        for (query, states) in SIGNALS.iter().zip(&mut self.states) {
            for (about, state) in states {
                if let Some(turn) = state.advance(until, &rules_of(context.plan, query)) {
                    found.extend(signal_of(context, query, about, turn, Evidence::new()));
                }
            }
        }
        found.sort_by(|a: &Signal, b: &Signal| a.order().cmp(&b.order()));
        Ok(found)
    }

    /// Takes all rows that wait.
    fn take_rows(&mut self) -> Result<Judged, RuntimeError> {
        let mut judged = Judged::new();
        for table in EvaluationTable::ALL {
            let taken: Result<Vec<_>, RuntimeError> = self
                .watched
                .par_iter_mut()
                .filter(|(_, watched)| watched.rows.len_of(*table) > 0)
                .map(|(experiment, watched)| Ok((*experiment, watched.rows.take(*table)?)))
                .collect();
            let mut rows = JudgedRows::default();
            for (experiment, taken) in taken? {
                rows.extend(Some(experiment), taken);
            }
            if self.look_rows.len_of(*table) > 0 {
                rows.extend(None, self.look_rows.take(*table)?);
            }
            if !rows.about.is_empty() {
                judged.insert(*table, rows);
            }
        }
        Ok(judged)
    }

    /// The e-values of rows go into the paths of what they are about, and beside the rows.
    fn observe_paths(&mut self, judged: &Judged) -> Result<(), RuntimeError> {
        for (table, batch, log_e) in self.judges.put(judged)? {
            let Some(rows) = judged.get(&table) else { continue };
            let mut log_e_max = Vec::with_capacity(log_e.len());
            for (experiment, of_experiment) in rows.by_experiment() {
                let found = rows.about.get(of_experiment.clone()).zip(log_e.get(of_experiment));
                if let Some((watched, (about, log_e))) = self.watched.get_mut(&experiment).zip(found) {
                    log_e_max.extend(watched.observe_paths(table, about, log_e));
                }
            }
            self.judges.put_again(table, with_e_values(&batch, log_e, log_e_max)?)?;
        }
        Ok(())
    }

    /// Takes what the queries of a signal found, in the order of event time.
    fn judge_query(
        &mut self,
        context: &EvaluationContext<'_>,
        (index, query): (usize, &'static SignalQuery),
        mut findings: Findings,
        judged: &Judged,
        found: &mut Vec<Signal>,
    ) {
        let Some(states) = self.states.get_mut(index) else {
            return;
        };
        if findings.raised.is_empty() && states.is_empty() {
            return;
        }
        let rules = rules_of(context.plan, query);
        let raising = query.table;
        let closing = query.still.map_or(raising, |(table, _)| table);
        let rows_of = |table| {
            judged
                .get(&table)
                .into_iter()
                .flat_map(|rows| &rows.about)
                .enumerate()
                .map(move |row| (table, row))
        };
        let mut rows: Vec<_> = rows_of(raising).collect();
        if closing != raising {
            rows.extend(rows_of(closing));
            // what raises comes before what closes at the same instant
            rows.sort_by_key(|(_, (_, (at, _)))| *at);
        }
        for (table, (row, (at, about))) in rows {
            let about = match query.of_experiment {
                true => &About::whole(about.experiment),
                false => about,
            };
            let Some((verdict, evidence)) = findings.verdict(row, *at, table == raising, table == closing) else {
                continue;
            };
            let is_new = matches!(verdict, Verdict::Raised { .. }) && !states.contains_key(about);
            if is_new {
                states.insert(about.clone(), SignalState::default());
            }
            let Some(state) = states.get_mut(about) else { continue };
            for turn in state.judge(*at, verdict, &rules) {
                let evidence = match turn {
                    Turn::Raised { .. } => evidence.clone(),
                    Turn::Resolved { .. } => Evidence::new(),
                };
                found.extend(signal_of(context, query, about, turn, evidence));
            }
        }
    }

    /// Rows of `assignment_path` and `effect_path` as they stand.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if they do not fit the tables' schemas.
    pub fn current_paths(&self, names: &JobNames) -> Result<(RecordBatch, RecordBatch), RuntimeError> {
        self.paths(names, false)
    }

    /// Rows of `assignment_path` and `effect_path` for what changed since they were last taken.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if they do not fit the tables' schemas.
    pub fn take_changed_paths(&mut self, names: &JobNames) -> Result<(RecordBatch, RecordBatch), RuntimeError> {
        let rows = self.paths(names, true)?;
        self.watched.values_mut().for_each(|watched| watched.paths.mark_taken());
        Ok(rows)
    }

    fn paths(&self, names: &JobNames, only_changed: bool) -> Result<(RecordBatch, RecordBatch), RuntimeError> {
        let mut rows = PathRows::default();
        for watched in self.watched.values() {
            rows.add(&watched.ledger, &watched.paths, names, only_changed);
        }
        rows.finish()
    }
}

/// What is written down of [`Evaluations`]: those watched, records not handed over, looks, the state of signals by name, the first
/// evaluation, and how far all is settled and judged.
type Saved<W, L, T, S> = (W, L, T, S, Option<i64>, i64, i64);
type ReadBack = Saved<BTreeMap<u32, Watched>, Looks, TooLate, Vec<(String, BTreeMap<About, SignalState>)>>;

impl Evaluations {
    /// Writes them down. Nothing may wait to be judged.
    ///
    /// # Errors
    /// [`RuntimeError::State`] if the bytes cannot be written.
    pub fn write(&self, out: &mut dyn Write) -> Result<(), RuntimeError> {
        if self.waiting_rows() > 0 {
            return Err(RuntimeError::internal(
                "evaluations wait to be judged while state is written",
            ));
        }
        let states: Vec<(&str, BTreeMap<&About, &SignalState>)> = SIGNALS
            .iter()
            .zip(&self.states)
            .map(|(query, states)| (query.signal, states.iter().collect()))
            .collect();
        let saved: Saved<_, _, _, _> = (
            &self.watched,
            &self.looks,
            &self.too_late,
            states,
            self.watched_since,
            self.settled,
            self.judged,
        );
        state::write(&saved, out)
    }

    /// Reads them back.
    ///
    /// # Errors
    /// [`RuntimeError::State`] if the bytes are others.
    pub fn read(&mut self, context: &EvaluationContext<'_>, input: &mut Reader<'_>) -> Result<(), RuntimeError> {
        let saved: ReadBack = input.read()?;
        let (watched, looks, too_late, states, watched_since, settled, judged) = saved;
        self.watched = watched;
        for (experiment, watched) in &mut self.watched {
            let index = *experiment as usize;
            if let Some(definition) = context.definitions.get(index) {
                let plan = context.plan.experiments.get(index).cloned().unwrap_or_default();
                watched.ledger.rebuild(plan, Arc::clone(definition));
            }
        }
        self.looks = looks;
        self.too_late = too_late;
        for (signal, of_signal) in states {
            let index = SIGNALS.iter().position(|query| query.signal == signal);
            if let Some(states) = index.and_then(|index| self.states.get_mut(index)) {
                *states = of_signal.into_iter().collect();
            }
        }
        self.watched_since = watched_since;
        self.settled = settled;
        self.judged = judged;
        Ok(())
    }
}

/// An experiment, watched from now on if it was not before; none where nothing defines it.
fn watch<'a>(
    watched: &'a mut BTreeMap<u32, Watched>,
    context: &EvaluationContext<'_>,
    experiment: u32,
) -> Option<&'a mut Watched> {
    let definition = context.definitions.get(experiment as usize)?;
    Some(watched.entry(experiment).or_insert_with(|| {
        let plan = context.plan.experiments.get(experiment as usize).cloned();
        let name = context.names.experiments.name(experiment);
        let definition = Arc::clone(definition);
        Watched::new(ExperimentLedger::new(
            experiment,
            name,
            plan.unwrap_or_default(),
            definition,
        ))
    }))
}

/// How the signals of a query open and close.
fn rules_of(plan: &Plan, query: &SignalQuery) -> Rules {
    Rules {
        every: plan.evaluate_every,
        resolve_after: plan.signals.resolve_after,
        closes: query.closes,
    }
}

fn signal_of(
    context: &EvaluationContext<'_>,
    query: &'static SignalQuery,
    about: &About,
    turn: Turn,
    evidence: Evidence,
) -> Option<Signal> {
    let definition = context.definitions.get(about.experiment as usize)?;
    let mut signal = Signal {
        experiment: context.names.experiments.name(about.experiment).to_owned(),
        signal: query.signal,
        metric: None,
        pair: None,
        segment: None,
        turn,
        evidence,
    };
    match &about.part {
        Part::Whole => {}
        Part::Segment(index, value) => {
            let name = definition.segments.get(usize::from(*index))?.name();
            signal.segment = Some((name, value.as_deref().map(str::to_owned)));
        }
        Part::Variant(variant) => signal.pair = Some(variant.as_ref().to_owned()),
        Part::Effect { metric, pair } => {
            signal.metric = Some(context.names.metrics.name(*metric).to_owned());
            signal.pair = Some(pair.as_ref().to_owned());
        }
    }
    Some(signal)
}
