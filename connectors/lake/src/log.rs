//! The Delta log of one table.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use backplane_connector_api::steps;
use backplane_events::Table;
use deltalake_core::kernel::transaction::{CommitBuilder, CommitProperties, TransactionError};
use deltalake_core::kernel::{Action, Add, Transaction};
use deltalake_core::protocol::{DeltaOperation, SaveMode};
use deltalake_core::{DeltaTable, DeltaTableError};

use crate::layout::{EVENT_DATE, delta_schema};
use crate::location::Location;
use crate::{LakeError, durable};

/// Commits between two checkpoints of the log: readers read one checkpoint and at most this many commits.
const CHECKPOINT_EVERY: &str = "32";
/// Commits between two removals of commits that are older than the table's retention; each looks through the folder of the log.
const CLEAN_UP_EVERY: i64 = 256;
/// How often a commit is tried that others' commits stood against: each time the log is read anew.
const ATTEMPTS: usize = 8;
const OVERTAKEN: &str = "others change the table all the time";

/// The log of a table that exists.
pub(crate) struct TableLog {
    location: Location,
    table: Table,
    delta: DeltaTable,
    /// The last epoch of each transaction that is known to be committed.
    committed: HashMap<String, i64>,
}

impl TableLog {
    /// Reads the log of a table; nothing if there is no such table.
    pub(crate) async fn open(location: &Location, table: Table) -> Result<Option<Self>, LakeError> {
        let mut delta = location.delta_table(table)?;
        let doing = || format!("reading the log of {}/{}", location.text(), table.name());
        let exists = delta.log_store().is_delta_table_location().await;
        if !exists.map_err(|error| LakeError::storage(doing(), error))? {
            return Ok(None);
        }
        delta.load().await.map_err(|error| LakeError::damaged(doing(), error))?;
        let log = Self {
            location: location.clone(),
            table,
            delta,
            committed: HashMap::new(),
        };
        log.check_columns()?;
        Ok(Some(log))
    }

    /// Reads the log of a table, which is made if there is none.
    pub(crate) async fn open_or_create(location: &Location, table: Table) -> Result<Self, LakeError> {
        if let Some(log) = Self::open(location, table).await? {
            return Ok(log);
        }
        let created = location
            .delta_table(table)?
            .create()
            .with_save_mode(SaveMode::Ignore)
            .with_table_name(table.name())
            .with_columns(delta_schema(table)?)
            .with_partition_columns([EVENT_DATE])
            .with_configuration([("delta.checkpointInterval", Some(CHECKPOINT_EVERY))])
            .await;
        let doing = || format!("making the table {}/{}", location.text(), table.name());
        let delta = created.map_err(|error| LakeError::storage(doing(), error))?;
        let log = Self {
            location: location.clone(),
            table,
            delta,
            committed: HashMap::new(),
        };
        log.make_durable().await?;
        Ok(log)
    }

    /// The table as it was when it was last read.
    pub(crate) fn delta(&self) -> &DeltaTable {
        &self.delta
    }

    /// Refuses a table whose columns are not those of this version.
    fn check_columns(&self) -> Result<(), LakeError> {
        let state = self.delta.snapshot().map_err(LakeError::internal)?;
        let found = state.schema();
        let expected = delta_schema(self.table)?;
        let difference = expected.iter().find_map(|column| match found.field(column.name()) {
            None => Some(format!("it has no column {}", column.name())),
            Some(other) if other.data_type() != column.data_type() => Some(format!(
                "its column {} has the type {}",
                column.name(),
                other.data_type()
            )),
            Some(_) => None,
        });
        let unknown = || {
            found
                .fields()
                .find(|field| expected.iter().all(|column| column.name() != field.name()))
        };
        match difference.or_else(|| unknown().map(|field| format!("it has a column {} more", field.name()))) {
            None => Ok(()),
            Some(difference) => Err(LakeError::OtherVersion {
                url: self.location.text().to_owned(),
                table: self.table,
                difference,
            }),
        }
    }

    /// Adds files to the table, in one commit that is marked with the transaction and the epoch. Does nothing if that epoch of the transaction
    /// is committed already.
    pub(crate) async fn commit(&mut self, transaction: &str, epoch: i64, adds: Vec<Add>) -> Result<(), LakeError> {
        let actions: Vec<_> = adds.into_iter().map(Action::Add).collect();
        for _ in 0..ATTEMPTS {
            if self.is_committed(transaction, epoch).await? {
                return Ok(());
            }
            let mut properties =
                CommitProperties::default().with_application_transaction(Transaction::new(transaction, epoch));
            if epoch % CLEAN_UP_EVERY != 0 {
                properties = properties.with_cleanup_expired_logs(Some(false));
            }
            let operation = DeltaOperation::Write {
                mode: SaveMode::Append,
                partition_by: Some(vec![EVENT_DATE.to_owned()]),
                predicate: None,
            };
            if self.add_version(properties, actions.clone(), operation).await? {
                self.committed.insert(transaction.to_owned(), epoch);
                steps::reach("lake-committed");
                return Ok(());
            }
        }
        Err(LakeError::storage(self.committing(), OVERTAKEN))
    }

    /// Takes these files out of the table, in one commit. Does nothing if none of them is in it.
    pub(crate) async fn take_out(&mut self, paths: &HashSet<String>) -> Result<(), LakeError> {
        for _ in 0..ATTEMPTS {
            let state = self.delta.snapshot().map_err(LakeError::internal)?;
            let files = state.log_data();
            let theirs = files.iter().filter(|file| paths.contains(file.path().as_ref()));
            let actions: Vec<_> = theirs.map(|file| Action::Remove(file.remove_action(true))).collect();
            let operation = DeltaOperation::Delete { predicate: None };
            if actions.is_empty()
                || self
                    .add_version(CommitProperties::default(), actions, operation)
                    .await?
            {
                return Ok(());
            }
        }
        Err(LakeError::storage(self.committing(), OVERTAKEN))
    }

    /// Makes a new version of the table and gives true; where somebody else has made one that stands against it, reads that and gives false.
    async fn add_version(
        &mut self,
        properties: CommitProperties,
        actions: Vec<Action>,
        operation: DeltaOperation,
    ) -> Result<bool, LakeError> {
        self.check_is_there()?;
        let state = self.delta.snapshot().map_err(LakeError::internal)?;
        let committed = CommitBuilder::from(properties)
            .with_actions(actions)
            .build(Some(state), self.delta.log_store(), operation)
            .await;
        match committed {
            Ok(committed) => self.delta.state = Some(committed.snapshot()),
            // also for rows that are only added: Delta takes a writer for a reader of all that it has seen
            Err(DeltaTableError::Transaction {
                source: TransactionError::CommitConflict(_),
            }) => {
                self.committed.clear();
                let read = self.delta.load().await;
                read.map_err(|error| LakeError::storage(self.reading(), error))?;
                return Ok(false);
            }
            Err(error) => return Err(LakeError::storage(self.committing(), error)),
        }
        self.make_durable().await?;
        Ok(true)
    }

    /// Whether an epoch of a transaction is committed.
    pub(crate) async fn is_committed(&mut self, transaction: &str, epoch: i64) -> Result<bool, LakeError> {
        Ok(self.last_epoch(transaction).await?.is_some_and(|last| last >= epoch))
    }

    /// The last epoch of a transaction that is committed. The log is asked once; later commits are ours.
    async fn last_epoch(&mut self, transaction: &str) -> Result<Option<i64>, LakeError> {
        if let Some(epoch) = self.committed.get(transaction) {
            return Ok(Some(*epoch));
        }
        let state = self.delta.snapshot().map_err(LakeError::internal)?;
        let log_store = self.delta.log_store();
        let epoch = state.transaction_version(log_store.as_ref(), transaction).await;
        let epoch = epoch.map_err(|error| LakeError::storage(self.reading(), error))?;
        if let Some(epoch) = epoch {
            self.committed.insert(transaction.to_owned(), epoch);
        }
        Ok(epoch)
    }

    /// Refuses a local table whose log was removed since it was read: a commit would make a log that begins in the middle.
    fn check_is_there(&self) -> Result<(), LakeError> {
        match (self.location.folder(), self.newest_entry()) {
            (Some(folder), Some(entry)) if !folder.join(&entry).exists() => {
                let reason = format!("{} is not there any more", entry.display());
                Err(LakeError::damaged(self.committing(), reason))
            }
            _ => Ok(()),
        }
    }

    /// The newest entry of the log that is known, from the lake's folder on.
    fn newest_entry(&self) -> Option<PathBuf> {
        let version = self.delta.version()?;
        Some(PathBuf::from(format!(
            "{}/_delta_log/{version:020}.json",
            self.table.name()
        )))
    }

    /// Writes the newest entry of a local log through to the disk.
    async fn make_durable(&self) -> Result<(), LakeError> {
        match (self.location.folder(), self.newest_entry()) {
            (Some(folder), Some(entry)) => durable::sync(folder, vec![entry]).await,
            _ => Ok(()),
        }
    }

    fn reading(&self) -> String {
        format!("reading the log of {}/{}", self.location.text(), self.table.name())
    }

    fn committing(&self) -> String {
        format!("committing to {}/{}", self.location.text(), self.table.name())
    }
}
