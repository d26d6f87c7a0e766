//! Queries inside the stream, over batches that are at hand.

use std::sync::Arc;

use arrow::compute::concat_batches;
use arrow::record_batch::RecordBatch;
use backplane_events::Table;
use datafusion::common::DataFusionError;
use datafusion::datasource::MemTable;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionContext;
use tokio::runtime::{Builder, Runtime};

use crate::error::QueryError;
use crate::session::{micro_batch, plan_reading};

/// Runs queries over batches at hand, on the calling thread.
///
/// Every table of [`Table::ALL`] can be named; those that no batch was given for are empty.
pub struct BatchQueries {
    runtime: Runtime,
    environment: Arc<RuntimeEnv>,
}

impl BatchQueries {
    /// Ready to run.
    ///
    /// # Errors
    /// [`QueryError::Internal`] if the system gives no room for it.
    pub fn new() -> Result<Self, QueryError> {
        let runtime = Builder::new_current_thread()
            .build()
            .map_err(|error| QueryError::Internal(format!("queries cannot be run: {error}")))?;
        Ok(BatchQueries {
            runtime,
            environment: Arc::default(),
        })
    }

    /// Plans a query over empty tables, so that a mistake is found before there are rows.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] with the place, where it is known.
    pub fn check(&self, sql: &str) -> Result<(), QueryError> {
        let session = self.session(&[])?;
        self.runtime
            .block_on(plan_reading(&session, sql))
            .map(drop)
            .map_err(|error| explain(&error))
    }

    /// The rows of a query over these tables, as one batch.
    ///
    /// # Errors
    /// [`QueryError::Failed`] where the query fails on the rows.
    pub fn run(&self, sql: &str, tables: &[(Table, RecordBatch)]) -> Result<RecordBatch, QueryError> {
        let session = self.session(tables)?;
        let rows = async {
            let frame = plan_reading(&session, sql).await?;
            let schema = Arc::new(frame.schema().as_arrow().clone());
            let batches = frame.collect().await?;
            let schema = batches.first().map_or(schema, RecordBatch::schema);
            Ok::<_, DataFusionError>(concat_batches(&schema, &batches)?)
        };
        self.runtime.block_on(rows).map_err(|error| explain(&error))
    }

    fn session(&self, tables: &[(Table, RecordBatch)]) -> Result<SessionContext, QueryError> {
        let session = micro_batch(Arc::clone(&self.environment));
        for table in Table::ALL {
            let given = tables.iter().find(|(candidate, _)| candidate == table);
            let provider = match given {
                Some((_, batch)) => MemTable::try_new(batch.schema(), vec![vec![batch.clone()]])?,
                None => MemTable::try_new(table.schema(), vec![vec![]])?,
            };
            session.register_table(table.name(), Arc::new(provider))?;
        }
        Ok(session)
    }
}

fn explain(error: &DataFusionError) -> QueryError {
    let tables: Vec<String> = Table::ALL.iter().map(|table| table.name().to_owned()).collect();
    QueryError::explain(error, &tables)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_that_would_write_is_refused_and_not_carried_out() {
        let queries = BatchQueries::new().unwrap();
        let folder = std::env::temp_dir().join(format!("backplane-queries-{}", std::process::id()));
        let copy = format!("copy (select 1 as a) to '{}/x.csv' stored as csv", folder.display());
        for sql in [
            "drop table errors",
            "create table t as select 1",
            "insert into errors select * from errors",
            "set datafusion.execution.time_zone = 'UTC'",
            &copy,
        ] {
            let error = queries.run(sql, &[]).unwrap_err().to_string();
            assert!(error.contains("tables are only read here"), "{sql}: {error}");
            assert!(queries.check(sql).is_err());
        }
        assert!(!folder.exists());
        assert!(queries.check("select count(*) from errors").is_ok());
        assert!(queries.check("explain select 1").is_ok());
    }
}
