//! Lakes to be asked in SQL.

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::DataType;
use backplane_config::{Config, SinkKind, SourceKind, StorageUrl};
use backplane_events::Table;
use backplane_lake::{FileCount, Lake, LakeError, LakeOptions, Leftovers};
use backplane_queries::{Catalogue, session};
use datafusion::common::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::DataFrame;
use tokio::runtime::{Builder, Runtime};

use crate::exit::CliError;

/// The name by which errors call a lake that is not a source or sink.
const LAKE: &str = "lake";

/// A lake's tables under their names, and the threads on which queries run.
pub struct OpenLake {
    /// The tables and views.
    pub catalogue: Catalogue,
    /// Where it is.
    pub url: StorageUrl,
    runtime: &'static Runtime,
}

impl OpenLake {
    /// Opens the lake at a URL or path as it is now.
    ///
    /// # Errors
    /// There is no lake, or it cannot be read.
    pub fn open(url: &StorageUrl) -> Result<Self, CliError> {
        let runtime = runtime()?;
        let catalogue = runtime.block_on(async {
            let of_lake = |error: LakeError| CliError::from(error.of(LAKE));
            let lake = Lake::open(&LakeOptions::at(url.as_str())).await.map_err(of_lake)?;
            let catalogue = Catalogue::new(session::lake(Arc::new(RuntimeEnv::default())));
            catalogue.register(lake.tables().await.map_err(of_lake)?).await?;
            Ok::<_, CliError>(catalogue)
        })?;
        Ok(OpenLake {
            catalogue,
            url: url.clone(),
            runtime,
        })
    }

    /// The rows of a query.
    ///
    /// # Errors
    /// It cannot be planned, or it failed.
    pub async fn ask(&self, query: &str) -> Result<RecordBatch, CliError> {
        self.rows(self.catalogue.query(query).await?).await
    }

    /// The rows of a planned query.
    ///
    /// # Errors
    /// It failed.
    pub async fn rows(&self, frame: DataFrame) -> Result<RecordBatch, CliError> {
        rows_of_frame(frame)
            .await
            .map_err(|error| self.catalogue.explain(&error).into())
    }

    /// Refuses an experiment that the lake does not know, neither declared nor seen.
    ///
    /// # Errors
    /// [`CliError::Usage`] that names those it knows; the lake cannot be read.
    pub fn check_experiment(&self, experiment: &str) -> Result<(), CliError> {
        let known = "select experiment from experiments where experiment <> '*' \
                     union select experiment from assignment_counts order by 1";
        let known = self.wait_for(self.ask(known))?;
        let names = cast(known.column(0), &DataType::Utf8).map_err(CliError::internal)?;
        let names: Vec<&str> = names.as_string::<i32>().iter().flatten().collect();
        if names.contains(&experiment) {
            return Ok(());
        }
        Err(CliError::Usage(format!(
            "the lake knows no experiment {experiment}; it has {}",
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        )))
    }

    /// Waits for work on the lake.
    pub fn wait_for<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// The rows of a query as one batch.
async fn rows_of_frame(frame: DataFrame) -> Result<RecordBatch, DataFusionError> {
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let batches = frame.collect().await?;
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    Ok(concat_batches(&schema, &batches)?)
}

/// All rows of some tables of a lake as it is now, each as one batch, without rows where there is no such lake or table.
///
/// # Errors
/// The lake cannot be read.
pub fn rows_of<const N: usize>(url: &StorageUrl, tables: [Table; N]) -> Result<[RecordBatch; N], CliError> {
    let of_lake = |error: LakeError| CliError::from(error.of(LAKE));
    runtime()?.block_on(async {
        let mut rows = tables.map(|table| RecordBatch::new_empty(table.schema()));
        let lake = match Lake::open(&LakeOptions::at(url.as_str())).await {
            Ok(lake) => lake,
            Err(LakeError::NoFolder { .. } | LakeError::NotALake { .. }) => return Ok(rows),
            Err(error) => return Err(of_lake(error)),
        };
        let mut providers = lake.tables().await.map_err(of_lake)?;
        let session = session::lake(Arc::new(RuntimeEnv::default()));
        for (table, rows) in tables.iter().zip(&mut rows) {
            if let Some(provider) = providers.remove(table) {
                let frame = session.read_table(provider).map_err(CliError::internal)?;
                *rows = rows_of_frame(frame).await.map_err(CliError::internal)?;
            }
        }
        Ok(rows)
    })
}

/// Refuses a lake that holds rows where a run starts from the beginning: it would write once more what an earlier one wrote.
///
/// # Errors
/// [`CliError::Usage`] if there is a lake; it cannot be looked at.
pub fn refuse_earlier_rows(sink: &str, url: &StorageUrl) -> Result<(), CliError> {
    match runtime()?.block_on(Lake::open(&LakeOptions::at(url.as_str()))) {
        Ok(_) => Err(CliError::Usage(format!(
            "{sink}: the lake {url} already holds rows of an earlier run, and this one starts from the beginning; choose another folder or \
             remove it, or keep checkpoints (engine.checkpoint.url), so that a run goes on from the one before"
        ))),
        Err(LakeError::NoFolder { .. } | LakeError::NotALake { .. }) => Ok(()),
        Err(error) => Err(error.of(sink).into()),
    }
}

/// Removes the files of a lake that no reader needs and that are so old, or counts them only.
///
/// # Errors
/// There is no lake, or it cannot be read or written.
pub fn vacuum(url: &StorageUrl, older_than: Duration, dry_run: bool) -> Result<BTreeMap<Table, FileCount>, CliError> {
    let options = LakeOptions::at(url.as_str());
    let removed = runtime()?.block_on(async {
        let leftovers = Leftovers::find(&options, older_than).await?;
        let counts = leftovers.counts();
        if !dry_run {
            leftovers.remove().await?;
        }
        Ok(counts)
    });
    removed.map_err(|error: LakeError| error.of(LAKE).into())
}

/// The lake of a configuration: the first that it writes, else the first that it reads.
pub fn of_config(config: &Config) -> Option<&StorageUrl> {
    let written = config.engine.sinks.iter().find_map(|sink| match &sink.kind {
        SinkKind::Lake(lake) => Some(&lake.url),
        _ => None,
    });
    let read = || {
        config.engine.sources.iter().find_map(|source| match &source.kind {
            SourceKind::Lake(lake) => Some(&lake.url),
            _ => None,
        })
    };
    written.or_else(read)
}

/// The threads of the process on which queries run; Delta's storage needs several. They end with the process: where they ended earlier, what
/// a failed query has left running would panic.
fn runtime() -> Result<&'static Runtime, CliError> {
    static RUNTIME: OnceLock<io::Result<Runtime>> = OnceLock::new();
    let built = RUNTIME.get_or_init(|| {
        Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("query")
            .enable_all()
            .build()
    });
    built.as_ref().map_err(|error| {
        let copy = io::Error::new(error.kind(), error.to_string());
        CliError::file("the threads for queries cannot be started", copy)
    })
}

#[cfg(test)]
mod tests {
    use backplane_config::{Sink, Source};

    use super::*;

    #[test]
    fn the_lake_of_a_configuration_is_the_one_it_writes_else_the_one_it_reads() {
        let mut config = Config::default();
        assert_eq!(of_config(&config), None);
        config.engine.sources = vec![Source::stdin(), Source::lake(StorageUrl::local("read"))];
        assert_eq!(of_config(&config).unwrap().as_str(), "read");
        config.engine.sinks = vec![Sink::terminal(), Sink::lake(StorageUrl::local("written"))];
        assert_eq!(of_config(&config).unwrap().as_str(), "written");
    }

    #[test]
    fn a_folder_without_tables_is_free_for_a_first_run() {
        let dir = tempfile::tempdir().unwrap();
        let missing = StorageUrl::local(dir.path().join("lake"));
        assert!(refuse_earlier_rows("lake", &missing).is_ok());
        assert!(refuse_earlier_rows("lake", &StorageUrl::local(dir.path())).is_ok());
    }
}
