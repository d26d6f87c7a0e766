//! Lakes as the engine uses them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails should panic, also in its helpers"
)]

mod reading;
mod replaying;
mod upkeep;
mod withdrawing;
mod writing;

use std::collections::BTreeMap;
use std::path::Path;

use arrow::record_batch::RecordBatch;
use backplane_connector_api::conformance::sample;
use backplane_connector_api::{ConnectorError, Effect, Epoch, Output, Sink};
use backplane_events::Table;
use backplane_lake::{Lake, LakeError, LakeOptions, LakeSink};
use datafusion::prelude::SessionContext;

/// The lake in a folder.
pub fn options(folder: &Path) -> LakeOptions {
    LakeOptions::at(folder.display().to_string())
}

/// A sink of a new process.
pub fn sink(folder: &Path) -> LakeSink {
    LakeSink::new("lake", "test", &options(folder)).unwrap()
}

/// Sample rows for a sink.
pub fn rows(table: Table, first: usize, count: usize) -> Output {
    Output::Rows {
        table,
        batch: sample(table, first, count).unwrap(),
    }
}

/// Writes an epoch and publishes it.
pub fn publish(sink: &mut LakeSink, epoch: u64, outputs: &[Output]) -> Effect {
    for output in outputs {
        sink.accept(output).unwrap();
    }
    let effect = sink.prepare(Epoch(epoch)).unwrap();
    sink.publish(Epoch(epoch), &effect).unwrap();
    effect
}

/// Carries out async work as a program with a runtime of its own does.
pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Runtime::new().unwrap().block_on(work)
}

/// A session with the tables of the lake.
pub async fn session(folder: &Path) -> Result<SessionContext, LakeError> {
    let session = SessionContext::new();
    for (table, provider) in Lake::open(&options(folder)).await?.tables().await? {
        session.register_table(table.name(), provider).unwrap();
    }
    Ok(session)
}

/// What a query over the lake gives.
pub fn sql(folder: &Path, query: &str) -> Vec<RecordBatch> {
    block_on(async {
        session(folder)
            .await
            .unwrap()
            .sql(query)
            .await
            .unwrap()
            .collect()
            .await
            .unwrap()
    })
}

/// The rows of each table that a Delta reader sees.
pub fn visible(folder: &Path) -> Result<BTreeMap<Table, u64>, ConnectorError> {
    block_on(async {
        let session = match session(folder).await {
            Ok(session) => session,
            Err(LakeError::NotALake { .. } | LakeError::NoFolder { .. }) => return Ok(BTreeMap::new()),
            Err(error) => return Err(error.of("lake")),
        };
        let mut counts = BTreeMap::new();
        for table in Table::ALL {
            let rows = session.table(table.name()).await.unwrap().count().await.unwrap();
            counts.insert(*table, rows as u64);
        }
        Ok(counts)
    })
}
