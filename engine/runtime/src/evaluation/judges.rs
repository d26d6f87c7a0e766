//! The signal queries, run side by side over the rows of a batch.

use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;
use backplane_queries::StandingQueries;
use backplane_queries::evaluation::{EvaluationTable, PATHS, SIGNALS, SignalQuery};
use rayon::prelude::*;

use super::Judged;
use super::findings::{Findings, e_values, raised_rows, rows_of};
use super::rows::thresholds;
use crate::error::RuntimeError;
use crate::plan::Plan;

/// Tables by who judges them. A signal's tables are together.
const TABLES: [&[EvaluationTable]; 2] = [
    &[EvaluationTable::Looks, EvaluationTable::Effects],
    &[
        EvaluationTable::Assignments,
        EvaluationTable::Experiments,
        EvaluationTable::Variants,
    ],
];

/// All queries, in parts that different threads may run.
#[derive(Debug)]
pub struct Judges(Vec<Judge>);

/// The queries over some of the tables.
#[derive(Debug)]
struct Judge {
    tables: &'static [EvaluationTable],
    queries: StandingQueries,
}

/// A table that has paths, its rows, and the e-value of each.
type WithPaths = (EvaluationTable, RecordBatch, Vec<Option<f64>>);

impl Judges {
    /// The queries of a job.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if the system gives no room for them.
    pub fn new(plan: &Plan) -> Result<Self, RuntimeError> {
        let judges = TABLES.iter().map(|tables| Judge::new(plan, tables));
        Ok(Judges(judges.collect::<Result<_, _>>()?))
    }

    /// Hands rows to the queries. Gives the e-values of those that have a path.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] where a query of our own fails.
    pub fn put(&mut self, judged: &Judged) -> Result<Vec<WithPaths>, RuntimeError> {
        let found: Result<Vec<_>, RuntimeError> = self.0.par_iter_mut().map(|judge| judge.put_all(judged)).collect();
        Ok(found?.into_iter().flatten().collect())
    }

    /// Hands rows with their e-values to the queries, in the place of those without.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if they are not rows of this table.
    pub fn put_again(&self, table: EvaluationTable, rows: RecordBatch) -> Result<(), RuntimeError> {
        let judge = self.0.iter().find(|judge| judge.tables.contains(&table));
        judge.map_or(Ok(()), |judge| judge.put(table, rows))
    }

    /// What each signal's queries find, by its index, in order. `is_open` tells of each whether one of its signals is open.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] where a query of our own fails.
    pub fn findings(&mut self, judged: &Judged, is_open: &[bool]) -> Result<BTreeMap<usize, Findings>, RuntimeError> {
        let found: Result<Vec<_>, RuntimeError> = self
            .0
            .par_iter_mut()
            .map(|judge| judge.findings(judged, is_open))
            .collect();
        Ok(found?.into_iter().flatten().collect())
    }
}

impl Judge {
    fn new(plan: &Plan, tables: &'static [EvaluationTable]) -> Result<Self, RuntimeError> {
        let all = tables.iter().chain([&EvaluationTable::Thresholds]);
        let schemas = all.map(|table| (table.name(), table.schema()));
        let judge = Judge {
            tables,
            queries: StandingQueries::new(schemas).map_err(RuntimeError::internal)?,
        };
        judge.put(EvaluationTable::Thresholds, thresholds(&plan.signals)?)?;
        Ok(judge)
    }

    fn put(&self, table: EvaluationTable, rows: RecordBatch) -> Result<(), RuntimeError> {
        self.queries.put(table.name(), rows).map_err(RuntimeError::internal)
    }

    fn run(&mut self, sql: &'static str) -> Result<RecordBatch, RuntimeError> {
        self.queries.run(sql).map_err(RuntimeError::internal)
    }

    fn put_all(&mut self, judged: &Judged) -> Result<Vec<WithPaths>, RuntimeError> {
        let mut found = Vec::new();
        for table in self.tables {
            let Some(rows) = judged.get(table) else { continue };
            let batch = rows.batch(*table)?;
            self.put(*table, batch.clone())?;
            for (_, sql) in PATHS.iter().filter(|(over, _)| over == table) {
                let log_e = e_values(&self.run(sql)?, rows.about.len())?;
                found.push((*table, batch.clone(), log_e));
            }
        }
        Ok(found)
    }

    fn findings(&mut self, judged: &Judged, is_open: &[bool]) -> Result<Vec<(usize, Findings)>, RuntimeError> {
        let mut found = Vec::new();
        for (index, query) in SIGNALS.iter().enumerate() {
            if self.tables.contains(&query.table) {
                let is_open = is_open.get(index).copied().unwrap_or(false);
                found.push((index, self.findings_of(query, judged, is_open)?));
            }
        }
        Ok(found)
    }

    fn findings_of(&mut self, query: &SignalQuery, judged: &Judged, is_open: bool) -> Result<Findings, RuntimeError> {
        let raised = match judged.get(&query.table) {
            Some(_) => raised_rows(&self.run(query.sql)?)?,
            None => BTreeMap::new(),
        };
        let still = match query.still {
            Some((table, sql)) if judged.contains_key(&table) && (is_open || !raised.is_empty()) => {
                rows_of(&self.run(sql)?)?
            }
            _ => Vec::new(),
        };
        Ok(Findings {
            raised,
            still: still.into_iter().collect(),
        })
    }
}
