//! Files of a lake that no reader needs: found, counted, removed.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use backplane_events::Table;
use chrono::TimeDelta;
use deltalake_core::DeltaTable;
use deltalake_core::operations::vacuum::VacuumMode;
use futures::{StreamExt as _, stream};
use object_store::path::Path;
use object_store::{Error, ObjectMeta};

use crate::files::{is_data_file, remove_empty_folders};
use crate::location::Location;
use crate::{Lake, LakeError, LakeOptions};

/// Files that no reader of a lake needs: those of epochs that were never committed or that were withdrawn, and what a process that was killed
/// has left half-written.
#[derive(Debug)]
pub struct Leftovers {
    location: Location,
    tables: BTreeMap<Table, Vec<Leftover>>,
}

#[derive(Debug)]
struct Leftover {
    /// In the table's folder.
    path: Path,
    /// The local file that was to become it, under a name that the store does not show.
    half_written: Option<PathBuf>,
    bytes: u64,
}

/// Files of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileCount {
    /// How many.
    pub files: u64,
    /// How long they are together.
    pub bytes: u64,
}

impl Leftovers {
    /// Looks for files that the Delta logs do not name, or have not named for so long, and that are so old. Younger ones may be of an epoch
    /// that a job has prepared and not yet published, and may still be read by those who opened the lake before.
    ///
    /// # Errors
    /// There is no lake, or it cannot be read.
    pub async fn find(options: &LakeOptions, older_than: Duration) -> Result<Self, LakeError> {
        let location = Location::parse(&options.url)?;
        // before the logs are read: what is committed in the meantime is not taken for a leftover
        let mut found = Vec::new();
        for table in Table::ALL {
            found.push((*table, stored(&location, *table).await?));
        }
        let lake = Lake::open(options).await?;
        let mut tables = BTreeMap::new();
        for (table, stored) in found {
            let mut leftovers = match lake.delta(table) {
                Some(delta) => {
                    let unnamed = unnamed(delta, older_than).await.map_err(|error| {
                        LakeError::damaged(format!("reading {}/{}", location.text(), table.name()), error)
                    })?;
                    in_store(stored, |file| unnamed.contains(file.location.as_ref()))
                }
                // nothing was ever committed to it
                None => in_store(stored, |file| is_older(file.last_modified.into(), older_than)),
            };
            leftovers.extend(half_written(&location, table, older_than));
            if !leftovers.is_empty() {
                tables.insert(table, leftovers);
            }
        }
        Ok(Leftovers { location, tables })
    }

    /// How many there are, by table; tables without any are not named.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Table, FileCount> {
        let count = |leftovers: &Vec<Leftover>| FileCount {
            files: leftovers.len() as u64,
            bytes: leftovers.iter().map(|leftover| leftover.bytes).sum(),
        };
        self.tables
            .iter()
            .map(|(table, leftovers)| (*table, count(leftovers)))
            .collect()
    }

    /// Removes them, and the folders that are empty then.
    ///
    /// # Errors
    /// One of them cannot be removed; those after it are left.
    pub async fn remove(self) -> Result<(), LakeError> {
        for (table, leftovers) in self.tables {
            let failed = |error: &dyn std::fmt::Display| {
                LakeError::storage(
                    format!("removing files from {}/{}", self.location.text(), table.name()),
                    error,
                )
            };
            let paths: Vec<Path> = leftovers.iter().map(|leftover| leftover.path.clone()).collect();
            let (half_written, stored): (Vec<_>, Vec<_>) = leftovers
                .into_iter()
                .partition(|leftover| leftover.half_written.is_some());
            for file in half_written
                .iter()
                .filter_map(|leftover| leftover.half_written.as_ref())
            {
                remove_file(file).map_err(|error| failed(&error))?;
            }
            let store = self.location.delta_table(table)?.object_store();
            let stored = stream::iter(stored).map(|leftover| Ok(leftover.path)).boxed();
            let mut removed = store.delete_stream(stored);
            while let Some(removed) = removed.next().await {
                match removed {
                    Ok(_) | Err(Error::NotFound { .. }) => {}
                    Err(error) => return Err(failed(&error)),
                }
            }
            for path in &paths {
                remove_empty_folders(&self.location, table, path);
            }
        }
        Ok(())
    }
}

/// Every data file in the folder of a table.
async fn stored(location: &Location, table: Table) -> Result<Vec<ObjectMeta>, LakeError> {
    let store = location.delta_table(table)?.object_store();
    let mut files = Vec::new();
    let mut listed = store.list(None);
    while let Some(file) = listed.next().await {
        match file {
            Ok(file) if is_data_file(&file.location) => files.push(file),
            Ok(_) | Err(Error::NotFound { .. }) => {}
            Err(error) => {
                let doing = format!("listing {}/{}", location.text(), table.name());
                return Err(LakeError::storage(doing, error));
            }
        }
    }
    Ok(files)
}

fn in_store(stored: Vec<ObjectMeta>, is_leftover: impl Fn(&ObjectMeta) -> bool) -> Vec<Leftover> {
    let leftovers = stored.into_iter().filter(is_leftover).map(|file| Leftover {
        path: file.location,
        half_written: None,
        bytes: file.size,
    });
    leftovers.collect()
}

/// The files that Delta's own rule gives up: not in the table, not taken out of it less than `older_than` ago, and so old if the log has never
/// named them.
async fn unnamed(delta: &DeltaTable, older_than: Duration) -> Result<HashSet<String>, deltalake_core::DeltaTableError> {
    let (_, found) = delta
        .clone()
        .vacuum()
        .with_mode(VacuumMode::Full)
        .with_retention_period(TimeDelta::from_std(older_than).unwrap_or(TimeDelta::MAX))
        // the caller decides, whatever the table's own least age is
        .with_enforce_retention_duration(false)
        // what a removal by it does more is two commits that say so, also where all files are long gone
        .with_dry_run(true)
        .await?;
    Ok(found.files_deleted.into_iter().collect())
}

/// Long files are written under their name with a number behind it, which local stores do not show.
fn half_written(location: &Location, table: Table, older_than: Duration) -> Vec<Leftover> {
    let Some(lake) = location.folder() else {
        return Vec::new();
    };
    let days = fs::read_dir(lake.join(table.name())).into_iter().flatten().flatten();
    let files = days.flat_map(|day| fs::read_dir(day.path()).into_iter().flatten().flatten());
    let leftovers = files.filter_map(|file| {
        let below = PathBuf::from(file.path().parent()?.file_name()?).join(file.file_name());
        let (whole, number) = below.to_str()?.rsplit_once('#')?;
        let path = Path::from(whole);
        let is_ours = is_data_file(&path) && number.bytes().all(|byte| byte.is_ascii_digit());
        let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
        let is_leftover = is_ours && is_older(metadata.modified().ok()?, older_than);
        is_leftover.then(|| Leftover {
            path,
            half_written: Some(file.path()),
            bytes: metadata.len(),
        })
    });
    leftovers.collect()
}

fn is_older(modified: SystemTime, than: Duration) -> bool {
    // a clock that is behind makes files of the future: they are young
    modified.elapsed().is_ok_and(|age| age >= than)
}

fn remove_file(path: &std::path::Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
