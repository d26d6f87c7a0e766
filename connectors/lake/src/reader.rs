//! A lake to be read.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use backplane_events::Table;
use datafusion::catalog::TableProvider;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::session_state::SessionState;
use deltalake_core::DeltaTable;
use futures::future::try_join_all;

use crate::layout::{Day, EVENT_DATE};
use crate::location::Location;
use crate::log::TableLog;
use crate::{LakeError, LakeOptions};

/// A lake as it was when it was opened: later commits are not seen.
///
/// ```no_run
/// use backplane_lake::{Lake, LakeOptions};
/// use datafusion::prelude::SessionContext;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let lake = Lake::open(&LakeOptions::at("backplane-demo/lake")).await?;
/// let session = SessionContext::new();
/// for (table, provider) in lake.tables().await? {
///     session.register_table(table.name(), provider)?;
/// }
/// session.sql("select experiment, count(*) from exposures group by 1").await?.show().await?;
/// # Ok(())
/// # }
/// ```
pub struct Lake {
    location: Location,
    tables: BTreeMap<Table, DeltaTable>,
}

impl Lake {
    /// Opens the lake at a URL or path.
    ///
    /// # Errors
    /// There is no such folder, it has none of the engine's tables, a table is damaged, or one was written by another version.
    pub async fn open(options: &LakeOptions) -> Result<Self, LakeError> {
        let location = Location::parse(&options.url)?;
        if let Some(folder) = location.folder() {
            match std::fs::metadata(&folder) {
                Ok(metadata) if metadata.is_dir() => {}
                Ok(_) => {
                    return Err(LakeError::NotAFolder {
                        path: location.text().to_owned(),
                    });
                }
                Err(_) => {
                    return Err(LakeError::NoFolder {
                        url: location.text().to_owned(),
                    });
                }
            }
        }
        let logs = try_join_all(Table::ALL.iter().map(|table| TableLog::open(&location, *table))).await?;
        let tables: BTreeMap<_, _> = Table::ALL
            .iter()
            .zip(logs)
            .filter_map(|(table, log)| Some((*table, log?.delta().clone())))
            .collect();
        if tables.is_empty() {
            let names: Vec<_> = Table::ALL.iter().map(|table| table.name()).collect();
            return Err(LakeError::NotALake {
                url: location.text().to_owned(),
                tables: names.join(", "),
            });
        }
        Ok(Self { location, tables })
    }

    /// The address, as it was given.
    #[must_use]
    pub fn url(&self) -> &str {
        self.location.text()
    }

    /// Whether the lake has this table: it has those that were ever written to.
    #[must_use]
    pub fn has(&self, table: Table) -> bool {
        self.tables.contains_key(&table)
    }

    /// The Delta table; none if it was never written to.
    pub(crate) fn delta(&self, table: Table) -> Option<&DeltaTable> {
        self.tables.get(&table)
    }

    /// Every table of the engine for DataFusion, with the column `event_date`; those that were never written to are empty. Texts are
    /// string views, as in every Parquet table of DataFusion.
    ///
    /// # Errors
    /// A table uses features that this version cannot read.
    pub async fn tables(&self) -> Result<HashMap<Table, Arc<dyn TableProvider>>, LakeError> {
        let mut providers: HashMap<Table, Arc<dyn TableProvider>> = HashMap::new();
        for table in Table::ALL {
            let provider = match self.tables.get(table) {
                Some(delta) => {
                    let built = delta.table_provider().await;
                    built.map_err(|error| LakeError::damaged(self.reading(*table), error))?
                }
                None => Arc::new(EmptyTable::new(empty_schema(*table))),
            };
            providers.insert(*table, provider);
        }
        Ok(providers)
    }

    /// A table for a session, with the session's settings for Parquet; nothing if it was never written to.
    pub(crate) async fn table_for(
        &self,
        table: Table,
        session: Arc<SessionState>,
    ) -> Result<Option<Arc<dyn TableProvider>>, LakeError> {
        let Some(delta) = self.tables.get(&table) else {
            return Ok(None);
        };
        let provider = delta.table_provider().with_session(session).await;
        provider
            .map(Some)
            .map_err(|error| LakeError::damaged(self.reading(table), error))
    }

    /// How many rows each day of a table has.
    pub(crate) fn days(&self, table: Table) -> Result<BTreeMap<Day, u64>, LakeError> {
        let mut days = BTreeMap::new();
        let Some(delta) = self.tables.get(&table) else {
            return Ok(days);
        };
        let state = delta.snapshot().map_err(LakeError::internal)?;
        for file in state.log_data().iter() {
            let damaged = |what: &str| LakeError::damaged(self.reading(table), format!("{}: {what}", file.path()));
            let date = file.partition_values_map().remove(EVENT_DATE).flatten();
            let day = date
                .as_deref()
                .and_then(Day::parse)
                .ok_or_else(|| damaged("its date is missing"))?;
            let records = file
                .num_records()
                .ok_or_else(|| damaged("its number of records is missing"))?;
            *days.entry(day).or_default() += records as u64;
        }
        Ok(days)
    }

    /// The version of each table.
    pub(crate) fn versions(&self) -> BTreeMap<Table, u64> {
        self.tables
            .iter()
            .filter_map(|(table, delta)| Some((*table, delta.version()?)))
            .collect()
    }

    /// Goes back to earlier versions of tables; tables that are not named are not seen at all.
    pub(crate) async fn go_back_to(&mut self, versions: &BTreeMap<Table, u64>) -> Result<(), LakeError> {
        self.tables.retain(|table, _| versions.contains_key(table));
        for (table, version) in versions {
            let reading = self.reading(*table);
            let missing = || LakeError::damaged(reading.clone(), "the table is gone");
            let delta = self.tables.get_mut(table).ok_or_else(missing)?;
            delta
                .load_version(*version)
                .await
                .map_err(|error| LakeError::damaged(reading, error))?;
        }
        Ok(())
    }

    fn reading(&self, table: Table) -> String {
        format!("reading {}/{}", self.location.text(), table.name())
    }
}

/// The columns of a table as DataFusion reads them from a lake.
fn empty_schema(table: Table) -> SchemaRef {
    let as_read = |field: &Arc<Field>| {
        let data_type = match field.data_type() {
            DataType::Utf8 | DataType::Dictionary(_, _) => DataType::Utf8View,
            DataType::Binary => DataType::BinaryView,
            other => other.clone(),
        };
        field.as_ref().clone().with_data_type(data_type)
    };
    let mut fields: Vec<Field> = table.schema().fields().iter().map(as_read).collect();
    fields.push(Field::new(EVENT_DATE, DataType::Date32, true));
    Arc::new(Schema::new(fields))
}
