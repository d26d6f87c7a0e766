//! What happens behind a sink: rows become files, files become commits.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use backplane_connector_api::{Effect, Epoch, Output};
use backplane_events::Table;
use deltalake_core::kernel::Add;
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::files::{self, Files};
use crate::location::Location;
use crate::log::TableLog;
use crate::{LakeError, durable};

/// What an epoch adds to the lake.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Prepared {
    /// The identifier under which the epoch is committed. It is of the process that prepared it: numbers of epochs begin anew with a new job.
    transaction: String,
    /// The lake that has them: the configuration may name another one by the time they are committed.
    url: String,
    /// The files of each table.
    tables: BTreeMap<Table, Vec<Add>>,
}

impl Prepared {
    fn of(effect: Effect) -> Result<Self, LakeError> {
        serde_json::from_value(effect)
            .map_err(|error| LakeError::internal(format!("the effect is not one of a lake: {error}")))
    }
}

/// Writes one lake.
pub(crate) struct LakeWriter {
    location: Location,
    job: String,
    transaction: String,
    files: Files,
    logs: HashMap<Table, TableLog>,
    /// Why the current epoch cannot be completed.
    failure: Option<Arc<LakeError>>,
}

impl LakeWriter {
    pub(crate) fn new(location: Location, job: &str) -> Self {
        let files = Files::new(location.clone());
        Self {
            location,
            job: job.to_owned(),
            transaction: new_transaction(job),
            files,
            logs: HashMap::new(),
            failure: None,
        }
    }

    /// Encodes rows. After a failure the rest of the epoch is passed over: it cannot be completed.
    pub(crate) async fn write(&mut self, output: &Output) -> Result<(), Arc<LakeError>> {
        if let Some(failure) = &self.failure {
            return Err(Arc::clone(failure));
        }
        let written = match output {
            Output::Rows { table, batch } => self.files.write(*table, batch).await,
            Output::Query { name, .. } => Err(LakeError::NotATable { query: name.clone() }),
        };
        written.map_err(|error| {
            let failure = Arc::new(error);
            self.failure = Some(Arc::clone(&failure));
            failure
        })
    }

    /// Completes the files of the epoch and makes them durable.
    pub(crate) async fn prepare(&mut self) -> Result<Effect, Arc<LakeError>> {
        let tables = match self.failure.take() {
            Some(failure) => Err(failure),
            None => self.complete().await.map_err(Arc::new),
        };
        let tables = match tables {
            Ok(tables) => tables,
            Err(failure) => {
                self.files.discard().await;
                return Err(failure);
            }
        };
        self.files.hand_over();
        let prepared = Prepared {
            transaction: self.transaction.clone(),
            url: self.location.text().to_owned(),
            tables,
        };
        Ok(serde_json::to_value(prepared).map_err(LakeError::internal)?)
    }

    async fn complete(&mut self) -> Result<BTreeMap<Table, Vec<Add>>, LakeError> {
        let tables = self.files.finish().await?;
        if let Some(folder) = self.location.folder() {
            durable::sync(folder, local_paths(&tables)).await?;
        }
        Ok(tables)
    }

    /// Gives up what was accepted and not prepared.
    pub(crate) async fn give_up(&mut self) {
        self.files.discard().await;
    }

    /// Removes the files of a prepared epoch, save those that are committed or may be.
    pub(crate) async fn discard(&mut self, epoch: Epoch, effect: Effect) -> Result<(), LakeError> {
        let prepared = Prepared::of(effect)?;
        let location = Location::parse(&prepared.url)?;
        let number = i64::try_from(epoch.0).map_err(LakeError::internal)?;
        for (table, adds) in prepared.tables {
            if let Some(mut log) = TableLog::open(&location, table).await?
                && log.is_committed(&prepared.transaction, number).await?
            {
                continue;
            }
            let of_table = adds.into_iter().map(|add| (table, Path::from(add.path)));
            files::remove(&location, of_table.collect()).await;
        }
        Ok(())
    }

    /// Commits the files of an epoch, all tables side by side; each commit is made once, whoever makes it.
    pub(crate) async fn publish(&mut self, epoch: Epoch, effect: Effect) -> Result<(), LakeError> {
        let prepared = Prepared::of(effect)?;
        let location = Location::parse(&prepared.url)?;
        let is_here = prepared.url == self.location.text();
        let mut commits = JoinSet::new();
        for (table, adds) in prepared.tables {
            // a log that failed is read anew at the next attempt, so that a commit that did happen is seen
            let known = is_here.then(|| self.logs.remove(&table)).flatten();
            let (location, transaction) = (location.clone(), prepared.transaction.clone());
            commits.spawn(async move {
                let log = commit(&location, table, known, &transaction, epoch, adds).await?;
                Ok::<_, LakeError>((table, log))
            });
        }
        let mut failure = None;
        while let Some(done) = commits.join_next().await {
            match done.map_err(LakeError::internal).flatten() {
                Ok((table, log)) if is_here => drop(self.logs.insert(table, log)),
                Ok(_) => {}
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Takes the files of an epoch out of the tables to which they were committed. They stay on the disk for those who read earlier versions.
    pub(crate) async fn withdraw(&mut self, effect: Effect) -> Result<(), LakeError> {
        let prepared = Prepared::of(effect)?;
        let location = Location::parse(&prepared.url)?;
        for (table, adds) in prepared.tables {
            // what is known of it is over
            self.logs.remove(&table);
            if let Some(mut log) = TableLog::open(&location, table).await? {
                let paths: HashSet<String> = adds.into_iter().map(|add| add.path).collect();
                log.take_out(&paths).await?;
            }
        }
        if prepared.transaction == self.transaction {
            // the log says that this number was committed under the old name; it may come again
            self.transaction = new_transaction(&self.job);
        }
        Ok(())
    }
}

/// Commits the files of an epoch to one table; gives its log, which is read or made where it is not known.
async fn commit(
    location: &Location,
    table: Table,
    known: Option<TableLog>,
    transaction: &str,
    epoch: Epoch,
    adds: Vec<Add>,
) -> Result<TableLog, LakeError> {
    let number = i64::try_from(epoch.0).map_err(LakeError::internal)?;
    let mut log = match known {
        Some(log) => log,
        None => TableLog::open_or_create(location, table).await?,
    };
    if !log.is_committed(transaction, number).await? {
        check_are_there(location, table, &adds, epoch)?;
    }
    log.commit(transaction, number, adds).await?;
    Ok(log)
}

/// Refuses to commit files that somebody has removed: readers of the table would fail.
fn check_are_there(location: &Location, table: Table, adds: &[Add], epoch: Epoch) -> Result<(), LakeError> {
    let Some(folder) = location.folder().map(|folder| folder.join(table.name())) else {
        return Ok(());
    };
    match adds.iter().find(|add| !folder.join(&add.path).exists()) {
        None => Ok(()),
        Some(add) => Err(LakeError::damaged(
            format!("completing epoch {} in {}/{}", epoch.0, location.text(), table.name()),
            format!("its file {} is not there any more", add.path),
        )),
    }
}

/// A name that no other process has, and no earlier life of this one.
fn new_transaction(job: &str) -> String {
    format!("backplane/{job}/{}", Uuid::new_v4())
}

/// The files, from the lake's folder on. Their names need no decoding: we made them.
fn local_paths(tables: &BTreeMap<Table, Vec<Add>>) -> Vec<PathBuf> {
    let of_table = |(table, adds): (&Table, &Vec<Add>)| -> Vec<PathBuf> {
        adds.iter()
            .map(|add| PathBuf::from(table.name()).join(&add.path))
            .collect()
    };
    tables.iter().flat_map(of_table).collect()
}
