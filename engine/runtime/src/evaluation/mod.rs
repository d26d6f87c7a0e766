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

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::json::ArrayWriter;
use arrow::record_batch::RecordBatch;
use backplane_events::Severity;
use backplane_queries::StandingQueries;
use backplane_queries::evaluation::{EvaluationTable, PATHS, SIGNALS, SignalQuery};

use crate::error::RuntimeError;
use crate::ledger::LedgerRows;
use crate::names::JobNames;
use crate::plan::{ExperimentDefinition, Plan};
use crate::snapshot::{ExperimentSnapshot, ShardEvaluation};
use about::{About, Part};
use effects::{EffectKey, effect_rows};
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
    /// By index of the query.
    states: HashMap<(usize, About), SignalState>,
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
            states: HashMap::new(),
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
            let snapshots = changed.remove(&at).unwrap_or_default();
            self.evaluate(context, at, snapshots);
            self.settled = at;
            if self.rows.len() >= BATCH_ROWS {
                found.extend(self.judge(context)?);
            }
        }
        self.settled = self.settled.max(until);
        Ok(found)
    }

    /// Takes in what people have looked at and decided; it is judged with what waits.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if the rows have not their tables' columns.
    pub fn take_looks(&mut self, context: &EvaluationContext<'_>, rows: &LedgerRows) -> Result<(), RuntimeError> {
        self.looks
            .take_in(context, &rows.looks, &rows.decisions, &mut self.rows)
    }

    /// Whether anything waits to be judged.
    #[must_use]
    pub fn are_waiting(&self) -> bool {
        self.rows.len() > 0 || (self.settled > self.judged && self.states.values().any(SignalState::is_open))
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
            for (segment, counts) in ledger.assignment_rows(at, &changes, &mut self.rows) {
                let restarts = self.paths.restates(experiment, &segment, counts, ledger.is_assumed());
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
        let mut found = Vec::new();
        for table in [
            EvaluationTable::Assignments,
            EvaluationTable::Experiments,
            EvaluationTable::Variants,
            // before the effects, by which open signals of looks are judged anew
            EvaluationTable::Looks,
            EvaluationTable::Effects,
        ] {
            let (batch, about) = self.rows.take(table)?;
            if batch.num_rows() == 0 {
                continue;
            }
            self.queries.put(table.name(), batch).map_err(RuntimeError::internal)?;
            for (_, sql) in PATHS.iter().filter(|(over, _)| *over == table) {
                let result = self.queries.run(sql).map_err(RuntimeError::internal)?;
                self.observe_paths(table, &about, &result)?;
            }
            for (index, query) in SIGNALS.iter().enumerate() {
                let raised = if query.table == table {
                    raised_rows(&self.queries.run(query.sql).map_err(RuntimeError::internal)?)?
                } else {
                    BTreeMap::new()
                };
                let held_by = query.still.filter(|(of, _)| *of == table).map(|(_, sql)| sql);
                let still = match held_by.filter(|_| !raised.is_empty() || self.is_open(index)) {
                    Some(sql) => rows_of(&self.queries.run(sql).map_err(RuntimeError::internal)?)?,
                    None => Vec::new(),
                };
                let findings = Findings {
                    raised,
                    still: still.into_iter().collect(),
                    is_raising: query.table == table,
                    is_closing: query.still.map_or(query.table, |(of, _)| of) == table,
                };
                if findings.is_raising || findings.is_closing {
                    self.judge_query(context, (index, query), &about, findings, &mut found);
                }
            }
        }
        self.assignment_paths.clear();
        self.effect_paths.clear();
        self.judged = self.settled;
        let until = self.judged;
        for ((index, about), state) in &mut self.states {
            let Some(query) = SIGNALS.get(*index) else { continue };
            if let Some(turn) = state.advance(until, &rules_of(context.plan, query)) {
                found.extend(signal_of(context, query, about, turn, Evidence::new()));
            }
        }
        found.sort_by(|a: &Signal, b: &Signal| a.order().cmp(&b.order()));
        Ok(found)
    }

    fn is_open(&self, query: usize) -> bool {
        let mut states = self.states.iter();
        states.any(|((index, _), state)| *index == query && state.is_open())
    }

    /// The e-values of a table's rows go into the paths of what the rows are about.
    fn observe_paths(
        &mut self,
        table: EvaluationTable,
        about: &[(i64, About)],
        result: &RecordBatch,
    ) -> Result<(), RuntimeError> {
        let log_e = column(result, "log_e")?;
        let log_e = log_e
            .as_primitive_opt::<Float64Type>()
            .ok_or_else(|| unexpected("log_e"))?;
        let mut by_row: Vec<Option<f64>> = vec![None; about.len()];
        for (place, row) in rows_of(result)?.into_iter().enumerate() {
            if let Some(slot) = by_row.get_mut(row).filter(|_| log_e.is_valid(place)) {
                *slot = Some(log_e.value(place));
            }
        }
        match table {
            EvaluationTable::Assignments => {
                for (((experiment, segment, restarts), (at, _)), log_e) in
                    self.assignment_paths.iter().zip(about).zip(by_row)
                {
                    self.paths
                        .observe_assignment(*experiment, segment, *at, log_e, *restarts);
                }
            }
            _ => {
                for (((key, is_binary), (at, _)), log_e) in self.effect_paths.iter().zip(about).zip(by_row) {
                    self.paths.observe_effect(key, *is_binary, *at, log_e);
                }
            }
        }
        Ok(())
    }

    /// Takes what the queries of a signal found in rows about these.
    fn judge_query(
        &mut self,
        context: &EvaluationContext<'_>,
        (index, query): (usize, &'static SignalQuery),
        about: &[(i64, About)],
        mut findings: Findings,
        found: &mut Vec<Signal>,
    ) {
        let rules = rules_of(context.plan, query);
        let about_of = |about: &About| match query.of_experiment {
            true => About::whole(about.experiment),
            false => about.clone(),
        };
        for row in findings.raised.keys() {
            if let Some((_, about)) = about.get(*row) {
                self.states.entry((index, about_of(about))).or_default();
            }
        }
        if self.states.is_empty() {
            return;
        }
        for (row, (at, about)) in about.iter().enumerate() {
            let key = (index, about_of(about));
            let Some(state) = self.states.get_mut(&key) else {
                continue;
            };
            let Some((verdict, evidence)) = findings.verdict(row, *at, state.is_open()) else {
                continue;
            };
            for turn in state.judge(*at, verdict, &rules) {
                let evidence = match turn {
                    Turn::Raised { .. } => evidence.clone(),
                    Turn::Resolved { .. } => Evidence::new(),
                };
                found.extend(signal_of(context, query, &key.1, turn, evidence));
            }
        }
    }

    /// Rows of `assignment_path` and `effect_path` as they stand.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if they do not fit the tables' schemas.
    pub fn current_paths(&self, names: &JobNames) -> Result<(RecordBatch, RecordBatch), RuntimeError> {
        Ok((
            self.paths.assignment_rows(&self.ledgers, false)?,
            self.paths.effect_rows(&self.ledgers, names, false)?,
        ))
    }

    /// Rows of `assignment_path` and `effect_path` for what changed since they were last taken.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if they do not fit the tables' schemas.
    pub fn path_rows(&mut self, names: &JobNames) -> Result<(RecordBatch, RecordBatch), RuntimeError> {
        let rows = (
            self.paths.assignment_rows(&self.ledgers, true)?,
            self.paths.effect_rows(&self.ledgers, names, true)?,
        );
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

/// A row that a query raises a signal for.
struct Finding {
    severity: Severity,
    holds_until: Option<i64>,
    evidence: Evidence,
}

/// What the queries of a signal found in the rows of a table.
struct Findings {
    /// The rows for which it is raised.
    raised: BTreeMap<usize, Finding>,
    /// The rows for which an open one still holds.
    still: BTreeSet<usize>,
    /// Whether it is raised by this table.
    is_raising: bool,
    /// Whether it is closed by this table.
    is_closing: bool,
}

impl Findings {
    /// What they say of a row at an evaluation, with the evidence; none where they have no say.
    fn verdict(&mut self, row: usize, at: i64, is_open: bool) -> Option<(Verdict, Evidence)> {
        if let Some(finding) = self.raised.remove(&row) {
            let is_over = finding.holds_until.is_some_and(|until| until <= at);
            let verdict = Verdict::Raised {
                severity: finding.severity,
                holds_until: finding.holds_until,
            };
            return Some(if is_over {
                (Verdict::Clean, Evidence::new())
            } else {
                (verdict, finding.evidence)
            });
        }
        if !is_open || !self.is_closing {
            return None;
        }
        let verdict = if self.still.contains(&row) {
            // as grave as it is: what only holds on does not rise
            Verdict::Raised {
                severity: Severity::Info,
                holds_until: None,
            }
        } else {
            Verdict::Clean
        };
        Some((verdict, Evidence::new()))
    }
}

/// Columns that say what a row is about and how grave it is; all others are evidence.
const NO_EVIDENCE: [&str; 10] = [
    "row",
    "watermark",
    "experiment",
    "metric",
    "pair",
    "segment",
    "segment_value",
    "variant",
    "severity",
    "holds_until",
];

/// The rows with a severity, by the row of the table they judge.
fn raised_rows(result: &RecordBatch) -> Result<BTreeMap<usize, Finding>, RuntimeError> {
    let severity = column(result, "severity")?;
    let is_raised: BooleanArray = (0..result.num_rows()).map(|row| Some(severity.is_valid(row))).collect();
    if is_raised.true_count() == 0 {
        return Ok(BTreeMap::new());
    }
    let raised = filter_record_batch(result, &is_raised)?;
    let severity = column(&raised, "severity")?;
    let severity = severity.as_string_opt::<i32>().ok_or_else(|| unexpected("severity"))?;
    let holds_until = raised
        .column_by_name("holds_until")
        .and_then(|column| column.as_primitive_opt::<Int64Type>());
    let mut findings = BTreeMap::new();
    for ((place, row), evidence) in rows_of(&raised)?.into_iter().enumerate().zip(evidence_of(&raised)?) {
        let name = severity.value(place);
        findings.insert(
            row,
            Finding {
                severity: Severity::from_name(name.as_bytes()).ok_or_else(|| unexpected("severity"))?,
                holds_until: holds_until
                    .filter(|column| column.is_valid(place))
                    .map(|column| column.value(place)),
                evidence,
            },
        );
    }
    Ok(findings)
}

/// Each row's numbers as members in camelCase.
fn evidence_of(raised: &RecordBatch) -> Result<Vec<Evidence>, RuntimeError> {
    let schema = raised.schema();
    let columns: Vec<usize> = schema
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| !NO_EVIDENCE.contains(&field.name().as_str()))
        .map(|(index, _)| index)
        .collect();
    let mut writer = ArrayWriter::new(Vec::new());
    writer.write(&raised.project(&columns)?)?;
    writer.finish()?;
    let rows: Vec<Evidence> = serde_json::from_slice(&writer.into_inner()).map_err(RuntimeError::internal)?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let members = row.into_iter().filter(|(_, value)| !value.is_null());
            members.map(|(name, value)| (camel_case(&name), value)).collect()
        })
        .collect())
}

/// `share_deviation` as `shareDeviation`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut text = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    text
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

fn rows_of(result: &RecordBatch) -> Result<Vec<usize>, RuntimeError> {
    let rows = column(result, "row")?;
    let rows = rows.as_primitive_opt::<Int64Type>().ok_or_else(|| unexpected("row"))?;
    Ok(rows
        .values()
        .iter()
        .map(|row| usize::try_from(*row).unwrap_or(usize::MAX))
        .collect())
}

fn column(result: &RecordBatch, name: &str) -> Result<ArrayRef, RuntimeError> {
    result.column_by_name(name).cloned().ok_or_else(|| unexpected(name))
}

fn unexpected(column: &str) -> RuntimeError {
    RuntimeError::internal(format!("a signal query has no column {column} as it should be"))
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn evidence_is_in_camel_case() {
        assert_eq!(camel_case("share_deviation"), "shareDeviation");
        assert_eq!(camel_case("n"), "n");
    }
}
