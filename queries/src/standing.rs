//! Queries that are planned once and run again and again, over the rows that are at hand each time.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::memory::MemoryStream;
use datafusion::physical_plan::streaming::PartitionStream;
use datafusion::physical_plan::{ExecutionPlan, collect};
use datafusion::prelude::SessionContext;
use tokio::runtime::{Builder, Runtime};

use crate::error::QueryError;
use crate::session::{micro_batch, plan_reading};

/// Runs queries of a fixed set of tables, on the calling thread. Planning takes longer than running over a few rows, so each query is
/// planned when it is first run and kept.
pub struct StandingQueries {
    runtime: Runtime,
    session: SessionContext,
    tables: Vec<Arc<Rows>>,
    plans: Vec<(&'static str, Arc<dyn ExecutionPlan>)>,
}

impl StandingQueries {
    /// Queries over these tables, which are empty so far.
    ///
    /// # Errors
    /// [`QueryError::Internal`] if the system gives no room for it, or two tables have one name.
    pub fn new(tables: impl IntoIterator<Item = (&'static str, SchemaRef)>) -> Result<Self, QueryError> {
        let runtime = Builder::new_current_thread()
            .build()
            .map_err(|error| QueryError::Internal(format!("queries cannot be run: {error}")))?;
        let session = micro_batch(Arc::<RuntimeEnv>::default());
        let mut rows = Vec::new();
        for (name, schema) in tables {
            let table = Arc::new(Rows {
                name,
                batch: Mutex::new(RecordBatch::new_empty(Arc::clone(&schema))),
                schema: Arc::clone(&schema),
            });
            let partition: Arc<dyn PartitionStream> = Arc::clone(&table) as _;
            session.register_table(name, Arc::new(StreamingTable::try_new(schema, vec![partition])?))?;
            rows.push(table);
        }
        Ok(StandingQueries {
            runtime,
            session,
            tables: rows,
            plans: Vec::new(),
        })
    }

    /// Puts rows into a table, in the place of those that it had.
    ///
    /// # Errors
    /// [`QueryError::Internal`] if there is no such table, or the rows have another schema.
    pub fn put(&self, name: &str, batch: RecordBatch) -> Result<(), QueryError> {
        let table = self.tables.iter().find(|table| table.name == name);
        let table = table.filter(|table| table.schema == batch.schema());
        let table = table.ok_or_else(|| QueryError::Internal(format!("rows do not fit a table {name}")))?;
        // a holder that panicked left whole rows behind
        *table.batch.lock().unwrap_or_else(PoisonError::into_inner) = batch;
        Ok(())
    }

    /// The rows of a query over what the tables hold now, as one batch.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] where it cannot be planned, [`QueryError::Failed`] where it fails on the rows.
    pub fn run(&mut self, sql: &'static str) -> Result<RecordBatch, QueryError> {
        let plan = self.plan(sql).map_err(|error| self.explain(&error))?;
        let rows = || {
            let schema = plan.schema();
            let plan = reset_plan_states(Arc::clone(&plan))?;
            let batches = self.runtime.block_on(collect(plan, self.session.task_ctx()))?;
            Ok::<_, DataFusionError>(concat_batches(&schema, &batches)?)
        };
        rows().map_err(|error| self.explain(&error))
    }

    fn plan(&mut self, sql: &'static str) -> Result<Arc<dyn ExecutionPlan>, DataFusionError> {
        if let Some((_, plan)) = self.plans.iter().find(|(text, _)| *text == sql) {
            return Ok(Arc::clone(plan));
        }
        let plan = self.runtime.block_on(async {
            let frame = plan_reading(&self.session, sql).await?;
            frame.create_physical_plan().await
        })?;
        self.plans.push((sql, Arc::clone(&plan)));
        Ok(plan)
    }

    fn explain(&self, error: &DataFusionError) -> QueryError {
        let tables: Vec<String> = self.tables.iter().map(|table| table.name.to_owned()).collect();
        QueryError::explain(error, &tables)
    }
}

impl fmt::Debug for StandingQueries {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("StandingQueries")
            .field("tables", &self.tables)
            .finish_non_exhaustive()
    }
}

/// A table whose rows are those of the moment at which a plan runs.
#[derive(Debug)]
struct Rows {
    name: &'static str,
    schema: SchemaRef,
    batch: Mutex<RecordBatch>,
}

impl PartitionStream for Rows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let batch = self.batch.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match MemoryStream::try_new(vec![batch], Arc::clone(&self.schema), None) {
            Ok(stream) => Box::pin(stream),
            // a projection is what could fail, and there is none
            Err(_) => Box::pin(datafusion::physical_plan::EmptyRecordBatchStream::new(Arc::clone(
                &self.schema,
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use arrow::array::{ArrayRef, AsArray, Int64Array};
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::evaluation::{EvaluationTable, PATHS, SIGNALS};

    fn numbers(values: &[i64]) -> RecordBatch {
        let column: ArrayRef = Arc::new(Int64Array::from(values.to_vec()));
        RecordBatch::try_from_iter([("a", column)]).unwrap()
    }

    #[test]
    fn a_query_sees_the_rows_that_are_at_hand_each_time() {
        let mut queries = StandingQueries::new([("numbers", numbers(&[]).schema())]).unwrap();
        let sum = "select sum(n.a) as total, count(*) from numbers n cross join (select max(a) as most from numbers) m where n.a <= m.most";
        let mut totals = Vec::new();
        for rows in [&[1, 2][..], &[5], &[]] {
            queries.put("numbers", numbers(rows)).unwrap();
            let found = queries.run(sum).unwrap();
            totals.push(found.column(0).as_primitive::<Int64Type>().iter().next().flatten());
        }
        assert_eq!(totals, [Some(3), Some(5), None]);
        assert!(
            queries
                .put(
                    "numbers",
                    RecordBatch::new_empty(Arc::new(arrow::datatypes::Schema::empty()))
                )
                .is_err()
        );
        assert!(queries.put("letters", numbers(&[])).is_err());
    }

    #[test]
    fn every_signal_query_gives_the_columns_that_a_signal_needs() {
        let tables = EvaluationTable::ALL.iter().map(|table| (table.name(), table.schema()));
        let mut queries = StandingQueries::new(tables).unwrap();
        let mut by_name = BTreeMap::new();
        for query in SIGNALS {
            let rows = queries
                .run(query.sql)
                .unwrap_or_else(|error| panic!("{}: {error}", query.signal));
            let schema = rows.schema();
            let mut needed = vec!["row", "watermark", "experiment", "severity", "statistic", "threshold"];
            needed.extend(match query.table {
                EvaluationTable::Assignments => &["segment", "segment_value"][..],
                EvaluationTable::Effects => &["metric", "pair"],
                EvaluationTable::Looks if !query.of_experiment => &["metric", "pair"],
                EvaluationTable::Variants => &["variant"],
                EvaluationTable::Experiments | EvaluationTable::Looks | EvaluationTable::Thresholds => &[],
            });
            for column in needed {
                assert!(
                    schema.column_with_name(column).is_some(),
                    "{} lacks {column}",
                    query.signal
                );
            }
            if let Some((_, still)) = query.still {
                assert!(queries.run(still).unwrap().column_by_name("severity").is_some());
            }
            assert!(by_name.insert(query.signal, query.sql).is_none());
        }
        for (_, sql) in PATHS {
            let schema = queries.run(sql).unwrap().schema();
            assert!(schema.column_with_name("row").is_some() && schema.column_with_name("log_e").is_some());
        }
    }
}
