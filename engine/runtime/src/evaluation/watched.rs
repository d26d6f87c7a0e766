//! One experiment as evaluations see it: its evaluations one after the other, its rows that wait to be judged, and its paths.

use std::collections::{BTreeMap, BTreeSet};

use backplane_queries::evaluation::EvaluationTable;

use super::EvaluationContext;
use super::about::About;
use super::effects::{EffectKey, effect_rows};
use super::ledger::{Changes, ExperimentLedger, SegmentKey};
use super::paths::Paths;
use super::rows::EvaluationRows;
use super::traffic::HOUR;
use crate::snapshot::ShardChanges;

/// An experiment that is watched.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Watched {
    /// What is known of it.
    pub ledger: ExperimentLedger,
    /// What shards hand over: (evaluation, shard, place among its snapshots), the first at the end once they are in order.
    #[serde(skip)]
    changed: Vec<(i64, usize, usize)>,
    /// Evaluations that are due although nothing may have changed.
    due: BTreeSet<i64>,
    /// By evaluation: records beyond the correction horizon.
    too_late: BTreeMap<i64, i64>,
    /// What waits to be judged; nothing does when a state is written down.
    #[serde(skip)]
    pub rows: EvaluationRows,
    /// For each row of [`EvaluationTable::Assignments`]: its path, and whether that begins anew.
    #[serde(skip)]
    assignment_paths: Vec<(SegmentKey, bool)>,
    /// For each row of [`EvaluationTable::Effects`]: its path, and whether the metric counts as Binary.
    #[serde(skip)]
    effect_paths: Vec<(EffectKey, bool)>,
    /// The paths of its sequential tests.
    pub paths: Paths,
}

impl Watched {
    /// An experiment of which nothing was heard.
    #[must_use]
    pub fn new(ledger: ExperimentLedger) -> Self {
        Watched {
            ledger,
            changed: Vec::new(),
            due: BTreeSet::new(),
            too_late: BTreeMap::new(),
            rows: EvaluationRows::default(),
            assignment_paths: Vec::new(),
            effect_paths: Vec::new(),
            paths: Paths::default(),
        }
    }

    /// Takes in what a shard hands over for an evaluation. [`Watched::put_in_order`] is to follow.
    pub fn hand_over(&mut self, at: i64, shard: usize, place: usize) {
        self.changed.push((at, shard, place));
    }

    /// Puts in order what was handed over: evaluations one after the other, in each the shards.
    pub fn put_in_order(&mut self) {
        self.changed.sort_unstable_by_key(|changed| std::cmp::Reverse(*changed));
    }

    /// Whether nothing is left of what was handed over.
    #[must_use]
    pub fn has_taken_all(&self) -> bool {
        self.changed.is_empty()
    }

    /// Has an evaluation happen, whether or not anything changes.
    pub fn make_due(&mut self, at: i64) {
        self.due.insert(at);
    }

    /// Notes records beyond the correction horizon.
    pub fn note_too_late(&mut self, at: i64, count: i64) {
        *self.too_late.entry(at).or_default() += count;
    }

    /// Its next evaluation.
    #[must_use]
    pub fn next(&self) -> Option<i64> {
        let next = [
            self.changed.last().map(|(at, _, _)| *at),
            self.due.first().copied(),
            self.too_late.first_key_value().map(|(at, _)| *at),
        ];
        next.into_iter().flatten().min()
    }

    /// Lets its evaluations up to `until` happen. `shards` have what was handed over; `since` is the first evaluation of the job.
    pub fn advance(
        &mut self,
        context: &EvaluationContext<'_>,
        shards: &[ShardChanges],
        since: Option<i64>,
        until: i64,
    ) {
        while let Some(at) = self.next().filter(|at| *at <= until) {
            let mut changes = Changes::default();
            while let Some((_, shard, place)) = self.changed.pop_if(|(of, _, _)| *of == at) {
                if let Some(of_shard) = shards.get(shard) {
                    self.ledger.take_in(shard, of_shard, place, context.names, &mut changes);
                }
            }
            self.due.remove(&at);
            self.ledger.too_late += self.too_late.remove(&at).unwrap_or(0);
            self.evaluate(context, at, since.unwrap_or(at), &changes);
        }
    }

    fn evaluate(&mut self, context: &EvaluationContext<'_>, at: i64, since: i64, changes: &Changes) {
        if self.ledger.note_traffic(at) {
            self.due
                .insert(context.plan.evaluation_at_or_after(at.saturating_add(HOUR)));
        }
        for (segment, evaluated) in self.ledger.assignment_rows(at, changes, &mut self.rows) {
            let restarts = self.paths.restates(&segment, evaluated);
            self.assignment_paths.push((segment, restarts));
        }
        self.ledger.variant_rows(at, &mut self.rows);
        self.ledger.experiment_row(at, since, &mut self.rows);
        self.ledger.sum_matured();
        let effects = effect_rows(at, &self.ledger, context.plan, context.names, changes, &mut self.rows);
        self.effect_paths.extend(effects);
    }

    /// The e-values of a table's rows, which were taken out to be judged, go into their paths. Gives the greatest of each so far.
    pub fn observe_paths(
        &mut self,
        table: EvaluationTable,
        about: &[(i64, About)],
        log_e: &[Option<f64>],
    ) -> Vec<Option<f64>> {
        let paths = &mut self.paths;
        let rows = about.iter().map(|(at, _)| *at).zip(log_e);
        if table == EvaluationTable::Assignments {
            let rows = self.assignment_paths.drain(..).zip(rows);
            rows.map(|((segment, restarts), (at, log_e))| paths.observe_assignment(&segment, at, *log_e, restarts))
                .collect()
        } else {
            let rows = self.effect_paths.drain(..).zip(rows);
            rows.map(|((key, is_binary), (at, log_e))| paths.observe_effect(key, is_binary, at, *log_e))
                .collect()
        }
    }
}
