//! The look ledger in lakes: written by whoever shows results to a person, read by jobs.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use backplane_config::{Config, SinkKind, SourceKind, StorageUrl};
use backplane_connector_api::{Epoch, Output, Sink as _};
use backplane_events::Table;
use backplane_lake::{LakeOptions, LakeSink};
use backplane_queries::evaluation::LOOK_NUMBERS;
use backplane_queries::lineage::Look;
use backplane_runtime::evaluation::{Looker, look_rows};
use backplane_runtime::{Ledger, LedgerRows, RuntimeError};
use chrono::Utc;
use datafusion::prelude::{col, lit};
use uuid::Uuid;

use crate::exit::CliError;
use crate::lakes::{self, OpenLake};

/// By what name errors call the ledger.
const LEDGER: &str = "the look ledger";

/// Who shows results to a person: a command.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// `sql`, `report` or `demo`.
    pub origin: &'static str,
    /// What was asked.
    pub query: &'a str,
}

/// Records a look at results of a lake: a row for each metric of each treatment that it showed, with the numbers of now. Gives how many.
///
/// # Errors
/// The lake cannot be read, or not be written.
pub async fn record(lake: &OpenLake, look: &Look, shown: Shown<'_>) -> Result<usize, CliError> {
    let mut frame = lake.catalogue.query(LOOK_NUMBERS).await?;
    for (column, names) in [("experiment", &look.experiments), ("metric", &look.metrics)] {
        if let Some(names) = names {
            let names = names.iter().map(|name| lit(name.as_str())).collect();
            let filtered = frame.filter(col(column).in_list(names, false));
            frame = filtered.map_err(|error| lake.catalogue.explain(&error))?;
        }
    }
    let numbers = lake.rows(frame).await?;
    let count = numbers.num_rows();
    if count == 0 {
        return Ok(0);
    }
    let looker = Looker {
        principal: &principal(),
        origin: shown.origin,
        query_hash: &Uuid::new_v5(&Uuid::NAMESPACE_OID, shown.query.as_bytes())
            .simple()
            .to_string(),
    };
    let ids = (0..count).map(|_| Uuid::new_v4().to_string()).collect();
    let rows = look_rows(&numbers, &looker, ids, Utc::now().timestamp_micros())?;
    append(&lake.url, Table::Looks, rows)?;
    Ok(count)
}

/// Records a decision on an experiment.
///
/// # Errors
/// The lake cannot be written.
pub fn decide(url: &StorageUrl, experiment: &str, decision: &str, detail: Option<&str>) -> Result<(), CliError> {
    let text = |text: Option<&str>| Arc::new(StringArray::from(vec![text])) as ArrayRef;
    let columns = vec![
        Arc::new(TimestampMicrosecondArray::from_value(Utc::now().timestamp_micros(), 1).with_timezone("UTC"))
            as ArrayRef,
        text(Some(&principal())),
        text(Some(experiment)),
        text(Some(decision)),
        text(detail),
    ];
    let rows = RecordBatch::try_new(Table::Decisions.schema(), columns).map_err(CliError::internal)?;
    append(url, Table::Decisions, rows)
}

/// Who is at the terminal.
fn principal() -> String {
    ["USER", "LOGNAME", "USERNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()))
        .unwrap_or_else(|| "unknown".to_owned())
}

/// Appends rows to a table of a lake, in one commit.
fn append(url: &StorageUrl, table: Table, batch: RecordBatch) -> Result<(), CliError> {
    let mut sink = LakeSink::new(LEDGER, "ledger", &LakeOptions::at(url.as_str()))?;
    sink.accept(&Output::Rows { table, batch })?;
    let epoch = Epoch(1);
    let effect = sink.prepare(epoch)?;
    sink.publish(epoch, &effect)?;
    Ok(())
}

/// The ledgers of all lakes that a job reads or writes.
pub struct LakeLedger {
    /// Each with whether the job writes it.
    lakes: Vec<(StorageUrl, bool)>,
}

impl LakeLedger {
    /// Those of a configuration.
    pub fn of_config(config: &Config) -> Self {
        let written = config.engine.sinks.iter().filter_map(|sink| match &sink.kind {
            SinkKind::Lake(lake) => Some((&lake.url, true)),
            _ => None,
        });
        let read = config.engine.sources.iter().filter_map(|source| match &source.kind {
            SourceKind::Lake(lake) => Some((&lake.url, false)),
            _ => None,
        });
        let mut lakes: Vec<(StorageUrl, bool)> = Vec::new();
        for (url, is_written) in written.chain(read) {
            if lakes.iter().all(|(known, _)| known != url) {
                lakes.push((url.clone(), is_written));
            }
        }
        LakeLedger { lakes }
    }
}

impl Ledger for LakeLedger {
    fn poll(&mut self) -> Result<Vec<LedgerRows>, RuntimeError> {
        let mut found = Vec::new();
        for (url, is_written) in self.lakes.iter().filter(|(url, _)| may_have_ledger(url)) {
            match lakes::rows_of(url, [Table::Looks, Table::Decisions]) {
                Ok([looks, decisions]) => found.push(LedgerRows {
                    looks,
                    decisions,
                    are_kept: *is_written,
                }),
                // looks can be judged later; events cannot wait
                Err(error) => tracing::warn!(%error, lake = %url, "the looks of the lake cannot be read now"),
            }
        }
        Ok(found)
    }
}

/// Whether anybody has written to the ledger of a lake; of one that is no local folder that is found out by reading it.
fn may_have_ledger(url: &StorageUrl) -> bool {
    let has = |folder: &Path, table: Table| folder.join(table.name()).is_dir();
    url.local_path()
        .is_none_or(|folder| has(&folder, Table::Looks) || has(&folder, Table::Decisions))
}
