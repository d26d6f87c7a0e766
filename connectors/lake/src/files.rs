//! The Parquet files that are being written: one for each table and day.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use arrow::record_batch::RecordBatch;
use backplane_events::Table;
use chrono::Utc;
use deltalake_core::kernel::Add;
use object_store::ObjectStoreExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use parquet::arrow::AsyncArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::layout::{Day, EVENT_DATE, by_day, writer_properties};
use crate::location::Location;
use crate::{LakeError, statistics};

/// Files that are open at a time; each holds a row group in memory.
const MOST_OPEN: usize = 24;
/// A file that has become this long is closed, so that readers can share out the work.
const LONGEST_FILE: usize = 512 << 20;
/// How names of files begin and end; between them stands what makes them unique.
const PREFIX: &str = "part-";
const SUFFIX: &str = ".zstd.parquet";

/// The files of the current epoch.
pub(crate) struct Files {
    location: Location,
    open: HashMap<(Table, Day), OpenFile>,
    closed: BTreeMap<Table, Vec<Add>>,
    /// Every file that was begun in this epoch.
    begun: Vec<(Table, Path)>,
    /// Counts writes, to know which file was written to least lately.
    clock: u64,
}

struct OpenFile {
    path: Path,
    writer: AsyncArrowWriter<BufWriter>,
    last_written: u64,
}

impl Files {
    pub(crate) fn new(location: Location) -> Self {
        Self {
            location,
            open: HashMap::new(),
            closed: BTreeMap::new(),
            begun: Vec::new(),
            clock: 0,
        }
    }

    /// Gives up the epoch: removes its files.
    pub(crate) async fn discard(&mut self) {
        // what is not complete goes with its writer
        self.open.clear();
        self.closed.clear();
        remove(&self.location, std::mem::take(&mut self.begun)).await;
    }

    /// Begins the next epoch; the files of this one are somebody else's now.
    pub(crate) fn hand_over(&mut self) {
        self.begun.clear();
    }

    /// Encodes rows into the files of their days.
    pub(crate) async fn write(&mut self, table: Table, batch: &RecordBatch) -> Result<(), LakeError> {
        if batch.schema_ref().fields() != table.schema().fields() {
            return Err(LakeError::internal(format!(
                "rows of {} do not have its columns",
                table.name()
            )));
        }
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let today = Day::of_micros(Utc::now().timestamp_micros());
        for (day, rows) in by_day(table, batch, today).map_err(LakeError::internal)? {
            self.write_day(table, day, &rows).await?;
        }
        Ok(())
    }

    async fn write_day(&mut self, table: Table, day: Day, rows: &RecordBatch) -> Result<(), LakeError> {
        self.clock += 1;
        let key = (table, day);
        if !self.open.contains_key(&key) {
            self.make_room().await?;
            let file = OpenFile::create(&self.location, table, day)?;
            self.begun.push((table, file.path.clone()));
            self.open.insert(key, file);
        }
        let Some(file) = self.open.get_mut(&key) else {
            return Err(LakeError::internal("an open file is missing"));
        };
        file.last_written = self.clock;
        let path = file.path.to_string();
        let written = file.writer.write(rows).await;
        written.map_err(|error| LakeError::storage(format!("writing {}/{path}", table.name()), error))?;
        if file.writer.bytes_written() > LONGEST_FILE {
            self.close(key).await?;
        }
        Ok(())
    }

    /// Closes the file that was written to least lately, if too many are open.
    async fn make_room(&mut self) -> Result<(), LakeError> {
        if self.open.len() < MOST_OPEN {
            return Ok(());
        }
        let idle = self
            .open
            .iter()
            .min_by_key(|(_, file)| file.last_written)
            .map(|(key, _)| *key);
        match idle {
            Some(key) => self.close(key).await,
            None => Ok(()),
        }
    }

    async fn close(&mut self, (table, day): (Table, Day)) -> Result<(), LakeError> {
        let Some(file) = self.open.remove(&(table, day)) else {
            return Ok(());
        };
        let add = file.finish(&self.location, table, day).await?;
        self.closed.entry(table).or_default().push(add);
        Ok(())
    }

    /// Completes every file, all side by side; gives what each table must say of them.
    pub(crate) async fn finish(&mut self) -> Result<BTreeMap<Table, Vec<Add>>, LakeError> {
        let mut closing = JoinSet::new();
        for ((table, day), file) in self.open.drain() {
            let location = self.location.clone();
            closing.spawn(async move { Ok::<_, LakeError>((table, file.finish(&location, table, day).await?)) });
        }
        // where one fails the others are waited for: what they write can be removed then
        let mut failure = None;
        while let Some(closed) = closing.join_next().await {
            match closed.map_err(LakeError::internal).flatten() {
                Ok((table, add)) => self.closed.entry(table).or_default().push(add),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        let mut closed = std::mem::take(&mut self.closed);
        closed
            .values_mut()
            .for_each(|adds| adds.sort_by(|a, b| a.path.cmp(&b.path)));
        Ok(closed)
    }
}

/// Removes files that no commit names, and the folders that are empty then. What cannot be removed stays: no Delta reader sees it.
pub(crate) async fn remove(location: &Location, files: Vec<(Table, Path)>) {
    for (table, path) in files {
        let Ok(delta) = location.delta_table(table) else {
            continue;
        };
        let _ = delta.object_store().delete(&path).await;
        remove_empty_folders(location, table, &path);
    }
}

/// Removes the local folders of a file that was removed, up to the first that something is in.
pub(crate) fn remove_empty_folders(location: &Location, table: Table, file: &Path) {
    let Some(lake) = location.folder() else { return };
    let below = PathBuf::from(table.name()).join(file.as_ref());
    let folders = below
        .ancestors()
        .skip(1)
        .filter(|folder| !folder.as_os_str().is_empty());
    let _ = folders
        .map(|folder| std::fs::remove_dir(lake.join(folder)))
        .find(Result::is_err);
}

/// A new name for a file of a day.
fn data_file(day: Day) -> Path {
    let name = format!("{PREFIX}{}{SUFFIX}", Uuid::new_v4());
    Path::from(format!("{EVENT_DATE}={}/{name}", day.text()))
}

/// Whether a file in the folder of a table has a name as [`data_file`] gives them.
pub(crate) fn is_data_file(path: &Path) -> bool {
    let parts: Vec<_> = path.parts().collect();
    let [folder, file] = parts.as_slice() else { return false };
    let day = folder
        .as_ref()
        .strip_prefix(EVENT_DATE)
        .and_then(|rest| rest.strip_prefix('='));
    let id = file
        .as_ref()
        .strip_prefix(PREFIX)
        .and_then(|rest| rest.strip_suffix(SUFFIX));
    day.and_then(Day::parse).is_some() && id.is_some_and(|id| Uuid::parse_str(id).is_ok())
}

impl OpenFile {
    fn create(location: &Location, table: Table, day: Day) -> Result<Self, LakeError> {
        let path = data_file(day);
        let output = BufWriter::new(location.delta_table(table)?.object_store(), path.clone());
        // without the Arrow schema a reader sees plain text where we have dictionaries, as the Delta log says
        let options = ArrowWriterOptions::new()
            .with_properties(writer_properties(table))
            .with_skip_arrow_metadata(true);
        let writer = AsyncArrowWriter::try_new_with_options(output, table.schema(), options);
        let writer = writer.map_err(|error| LakeError::storage(format!("making {}/{path}", table.name()), error))?;
        Ok(Self {
            path,
            writer,
            last_written: 0,
        })
    }

    async fn finish(self, location: &Location, table: Table, day: Day) -> Result<Add, LakeError> {
        let doing = || format!("writing {}/{}", table.name(), self.path);
        let footer = self
            .writer
            .close()
            .await
            .map_err(|error| LakeError::storage(doing(), error))?;
        let store = location.delta_table(table)?.object_store();
        let written = store
            .head(&self.path)
            .await
            .map_err(|error| LakeError::storage(doing(), error))?;
        Ok(Add {
            path: self.path.to_string(),
            size: i64::try_from(written.size).map_err(LakeError::internal)?,
            partition_values: [(EVENT_DATE.to_owned(), Some(day.text()))].into(),
            modification_time: written.last_modified.timestamp_millis(),
            data_change: true,
            stats: statistics::text_of(&statistics::of_file(&footer)),
            tags: None,
            deletion_vector: None,
            base_row_id: None,
            default_row_commit_version: None,
            clustering_provider: None,
        })
    }
}
