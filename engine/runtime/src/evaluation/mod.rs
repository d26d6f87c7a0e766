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
mod ledger;
mod looks;
mod message;
mod paths;
mod rows;
mod signals;
mod traffic;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use arrow::record_batch::RecordBatch;
use backplane_queries::StandingQueries;
use backplane_queries::evaluation::{EvaluationTable, PATHS, SIGNALS, SignalQuery};

use crate::error::RuntimeError;
use crate::ledger::LedgerRows;
use crate::names::JobNames;
use crate::plan::{ExperimentDefinition, Plan};
use crate::snapshot::{ExperimentSnapshot, ShardEvaluation};
use about::{About, Part};
use effects::{EffectKey, effect_rows};
use findings::{Findings, e_values, raised_rows, rows_of, with_e_values};
use hysteresis::{Rules, SignalState, Turn, Verdict};
use ledger::{Changes, ExperimentLedger, SegmentKey};
use looks::Looks;
use message::Evidence;
use paths::Paths;
use rows::{EvaluationRows, thresholds};
use traffic::HOUR;

pub use looks::{Looker, ids_in_sink, look_rows};
pub use signals::{OWN_METADATA, Signal, signal_rows};

/// So many rows are judged in one batch at most; more bring no further speed.
const BATCH_ROWS: usize = 16_384;

/// What the rows of each table that are judged are about: (evaluation, part of the experiment).
type Judged = BTreeMap<EvaluationTable, Vec<(i64, About)>>;

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
    ledgers: BTreeMap<u32, ExperimentLedger>,
    /// Evaluations that are due although nothing may have changed.
    due: BTreeMap<i64, BTreeSet<u32>>,
    /// By evaluation: records beyond the correction horizon, by experiment.
    too_late: BTreeMap<i64, BTreeMap<u32, i64>>,
    rows: EvaluationRows,
    /// For each row of [`EvaluationTable::Assignments`]: its path, and whether that begins anew.
    assignment_paths: Vec<(u32, SegmentKey, bool)>,
    /// For each row of [`EvaluationTable::Effects`]: its path, and whether the metric counts as Binary.
    effect_paths: Vec<(EffectKey, bool)>,
    paths: Paths,
    looks: Looks,
    queries: StandingQueries,
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
        let tables = EvaluationTable::ALL.iter().map(|table| (table.name(), table.schema()));
        let queries = StandingQueries::new(tables).map_err(RuntimeError::internal)?;
        queries
            .put(EvaluationTable::Thresholds.name(), thresholds(&plan.signals)?)
            .map_err(RuntimeError::internal)?;
        Ok(Evaluations {
            ledgers: BTreeMap::new(),
            due: BTreeMap::new(),
            too_late: BTreeMap::new(),
            rows: EvaluationRows::default(),
            assignment_paths: Vec::new(),
            effect_paths: Vec::new(),
            paths: Paths::default(),
            looks: Looks::default(),
            queries,
            states: SIGNALS.iter().map(|_| HashMap::new()).collect(),
            watched_since: None,
            settled: i64::MIN,
            judged: i64::MIN,
        })
    }

    /// Notes a record beyond the correction horizon, which came when its partition's watermark was `watermark`.
    pub fn note_too_late(&mut self, plan: &Plan, experiment: u32, time: i64, watermark: i64) {
        let at = plan.evaluation_at_or_after(time.max(watermark).saturating_add(1));
        *self.too_late.entry(at).or_default().entry(experiment).or_default() += 1;
    }

    /// Takes in what the shards saw, shard by shard, and lets the evaluations up to `until` happen. Gives the signals of those that were
    /// judged already, because enough of them had come together.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] where a query of our own fails.
    pub fn advance(
        &mut self,
        context: &EvaluationContext<'_>,
        shards: Vec<Vec<ShardEvaluation>>,
        until: i64,
    ) -> Result<Vec<Signal>, RuntimeError> {
        let mut changed: BTreeMap<i64, Vec<(usize, ExperimentSnapshot)>> = BTreeMap::new();
        for (shard, evaluations) in shards.into_iter().enumerate() {
            for evaluation in evaluations {
                let snapshots = evaluation.experiments.into_iter();
                changed
                    .entry(evaluation.at)
                    .or_default()
                    .extend(snapshots.map(|snapshot| (shard, snapshot)));
            }
        }
        let mut found = Vec::new();
        if self.watched_since.is_none()
            && let Some(first) = changed.keys().next()
        {
            self.begin(context, *first);
        }
        let until = context.plan.evaluation_at_or_before(until);
        loop {
            let next = [
                changed.first_key_value().map(|(at, _)| *at),
                self.due.first_key_value().map(|(at, _)| *at),
                self.too_late.first_key_value().map(|(at, _)| *at),
            ];
            let Some(at) = next.into_iter().flatten().min().filter(|at| *at <= until) else {
                break;
            };
            self.looks.release(context, at, &mut self.rows);
            let snapshots = changed.remove(&at).unwrap_or_default();
            self.evaluate(context, at, snapshots);
            self.settled = at;
            if self.rows.len() >= BATCH_ROWS {
                found.extend(self.judge(context)?);
            }
        }
        self.settled = self.settled.max(until);
        self.looks.release(context, self.settled, &mut self.rows);
        Ok(found)
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
        self.looks.release(context, self.settled, &mut self.rows);
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
        self.rows.len() > 0 || (self.settled > self.judged && states.any(SignalState::is_open))
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
                let at = context.plan.evaluation_at_or_after(time);
                self.due.entry(at).or_default().insert(id);
            }
        }
    }

    /// One evaluation of every experiment that changed or is due.
    fn evaluate(&mut self, context: &EvaluationContext<'_>, at: i64, snapshots: Vec<(usize, ExperimentSnapshot)>) {
        let mut concerned: BTreeMap<u32, Changes> = BTreeMap::new();
        for (shard, snapshot) in snapshots {
            let experiment = snapshot.experiment;
            let changes = concerned.entry(experiment).or_default();
            if let Some(ledger) = ledger_of(&mut self.ledgers, context, experiment) {
                ledger.take_in(shard, snapshot, context.names, changes);
            }
        }
        for experiment in self.due.remove(&at).unwrap_or_default() {
            concerned.entry(experiment).or_default();
        }
        for (experiment, count) in self.too_late.remove(&at).unwrap_or_default() {
            concerned.entry(experiment).or_default();
            if let Some(ledger) = ledger_of(&mut self.ledgers, context, experiment) {
                ledger.too_late += count;
            }
        }
        for (experiment, changes) in concerned {
            let Some(ledger) = ledger_of(&mut self.ledgers, context, experiment) else {
                continue;
            };
            if ledger.note_traffic(at) {
                let quiet = context.plan.evaluation_at_or_after(at.saturating_add(HOUR));
                self.due.entry(quiet).or_default().insert(experiment);
            }
            for (segment, evaluated) in ledger.assignment_rows(at, &changes, &mut self.rows) {
                let restarts = self.paths.restates(experiment, &segment, evaluated);
                self.assignment_paths.push((experiment, segment, restarts));
            }
            ledger.variant_rows(at, &mut self.rows);
            ledger.experiment_row(at, self.watched_since.unwrap_or(at), &mut self.rows);
            let effects = effect_rows(at, ledger, context.plan, context.names, &changes, &mut self.rows);
            self.effect_paths.extend(effects);
        }
    }

    /// Judges every evaluation that waits, and lets time pass for open signals. Gives the signals, in order.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] where a query of our own fails.
    pub fn judge(&mut self, context: &EvaluationContext<'_>) -> Result<Vec<Signal>, RuntimeError> {
        let judged = self.put_rows()?;
        let mut found = Vec::new();
        for (index, query) in SIGNALS.iter().enumerate() {
            let findings = self.findings(index, query, &judged)?;
            self.judge_query(context, (index, query), findings, &judged, &mut found);
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

    /// Hands all rows to the queries, with the e-values of those that have a path. Gives what they are about.
    fn put_rows(&mut self) -> Result<Judged, RuntimeError> {
        let mut judged = Judged::new();
        for table in EvaluationTable::ALL {
            let (batch, about) = self.rows.take(*table)?;
            if about.is_empty() {
                continue;
            }
            self.put(*table, batch.clone())?;
            for (_, sql) in PATHS.iter().filter(|(over, _)| over == table) {
                let log_e = e_values(&self.run(sql)?, about.len())?;
                let log_e_max = self.observe_paths(*table, &about, &log_e);
                self.put(*table, with_e_values(&batch, log_e, log_e_max)?)?;
            }
            judged.insert(*table, about);
        }
        self.assignment_paths.clear();
        self.effect_paths.clear();
        Ok(judged)
    }

    fn put(&self, table: EvaluationTable, rows: RecordBatch) -> Result<(), RuntimeError> {
        self.queries.put(table.name(), rows).map_err(RuntimeError::internal)
    }

    fn run(&mut self, sql: &'static str) -> Result<RecordBatch, RuntimeError> {
        self.queries.run(sql).map_err(RuntimeError::internal)
    }

    /// The e-values of a table's rows go into the paths of what the rows are about. Gives the greatest of each so far.
    fn observe_paths(
        &mut self,
        table: EvaluationTable,
        about: &[(i64, About)],
        log_e: &[Option<f64>],
    ) -> Vec<Option<f64>> {
        let paths = &mut self.paths;
        let rows = about.iter().map(|(at, _)| *at).zip(log_e);
        if table == EvaluationTable::Assignments {
            let rows = self.assignment_paths.iter().zip(rows);
            rows.map(|((experiment, segment, restarts), (at, log_e))| {
                paths.observe_assignment(*experiment, segment, at, *log_e, *restarts)
            })
            .collect()
        } else {
            let rows = self.effect_paths.iter().zip(rows);
            rows.map(|((key, is_binary), (at, log_e))| paths.observe_effect(key, *is_binary, at, *log_e))
                .collect()
        }
    }

    /// What the queries of a signal find in the rows that wait.
    fn findings(&mut self, index: usize, query: &SignalQuery, judged: &Judged) -> Result<Findings, RuntimeError> {
        let raised = match judged.get(&query.table) {
            Some(_) => raised_rows(&self.run(query.sql)?)?,
            None => BTreeMap::new(),
        };
        let is_open = || {
            self.states
                .get(index)
                .is_some_and(|states| states.values().any(SignalState::is_open))
        };
        let still = match query.still {
            Some((table, sql)) if judged.contains_key(&table) && (!raised.is_empty() || is_open()) => {
                rows_of(&self.run(sql)?)?
            }
            _ => Vec::new(),
        };
        Ok(Findings {
            raised,
            still: still.into_iter().collect(),
        })
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
                .flatten()
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
        self.paths.rows(&self.ledgers, names, false)
    }

    /// Rows of `assignment_path` and `effect_path` for what changed since they were last taken.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if they do not fit the tables' schemas.
    pub fn take_changed_paths(&mut self, names: &JobNames) -> Result<(RecordBatch, RecordBatch), RuntimeError> {
        let rows = self.paths.rows(&self.ledgers, names, true)?;
        self.paths.mark_taken();
        Ok(rows)
    }
}

fn ledger_of<'a>(
    ledgers: &'a mut BTreeMap<u32, ExperimentLedger>,
    context: &EvaluationContext<'_>,
    experiment: u32,
) -> Option<&'a mut ExperimentLedger> {
    let definition = context.definitions.get(experiment as usize)?;
    Some(ledgers.entry(experiment).or_insert_with(|| {
        let plan = context.plan.experiments.get(experiment as usize).cloned();
        let name = context.names.experiments.name(experiment);
        ExperimentLedger::new(experiment, name, plan.unwrap_or_default(), Arc::clone(definition))
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
