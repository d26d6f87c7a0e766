//! Rows as lines of JSON at the end of a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use backplane_connector_api::{ConnectorError, Effect, Epoch, Output, Sink};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::health::{check_target, folder_of};
use crate::json::append_rows;
use crate::{FileError, NdjsonOptions};

/// How much of an epoch waits in memory; what is more waits in a file without a name.
const IN_MEMORY: usize = 4 << 20;

/// Appends rows of any table or query to a file, one JSON object per line; also the dead-letter file.
///
/// The rows of an epoch are made durable beside the file, under a name that begins with a dot, and come into it when the epoch is published:
/// the same bytes at the same place, however often and by whomever. So what was never decided is never in it, and nothing is cut off but an
/// epoch that is withdrawn.
/// The file is made by the first row; its folder must exist. What is no regular file (a pipe, a device) gets its rows when they are
/// published, and after a crash may miss or repeat an epoch.
#[derive(Debug)]
pub struct NdjsonSink {
    name: String,
    path: PathBuf,
    lines: Vec<u8>,
    spilled: Option<File>,
    /// Rows of an epoch on their way to what is no regular file.
    in_memory: Option<(Epoch, Lines)>,
}

/// The lines of an epoch.
#[derive(Debug, Default)]
struct Lines {
    /// The first of them, where they were too many for the memory.
    spilled: Option<File>,
    rest: Vec<u8>,
}

/// Where the lines of an epoch are to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Appended {
    path: PathBuf,
    /// Length of the file before the epoch.
    offset: u64,
    /// Bytes of the epoch.
    length: u64,
    /// The name of the file, in the same folder, that has these bytes until they are published; none where there are none, or nowhere to keep
    /// them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    staged: Option<String>,
}

impl NdjsonSink {
    /// A sink into a file; `name` is what errors call it.
    #[must_use]
    pub fn new(name: impl Into<String>, options: NdjsonOptions) -> Self {
        Self {
            name: name.into(),
            path: options.path,
            lines: Vec::new(),
            spilled: None,
            in_memory: None,
        }
    }

    fn spill(&mut self) -> Result<(), FileError> {
        let failed = |error| FileError::writing(&self.path, error);
        let file = match &mut self.spilled {
            Some(file) => file,
            None => {
                let file = tempfile::tempfile_in(folder_of(&self.path)).map_err(failed)?;
                self.spilled.insert(file)
            }
        };
        file.write_all(&self.lines).map_err(failed)?;
        self.lines.clear();
        Ok(())
    }

    /// Puts the rows of the epoch aside.
    fn stage(&mut self, epoch: Epoch) -> Result<Appended, FileError> {
        let path = self.path.clone();
        let failed = |error| FileError::writing(&path, error);
        let offset = length_of(&path)?;
        let mut appended = Appended {
            path: path.clone(),
            offset,
            length: 0,
            staged: None,
        };
        if self.lines.is_empty() && self.spilled.is_none() {
            return Ok(appended);
        }
        check_target(&path)?;
        if path.exists() && !path.is_file() {
            let lines = self.take_lines();
            appended.length = lines.rest.len() as u64;
            self.in_memory = Some((epoch, lines));
            return Ok(appended);
        }
        let name = self.staging_prefix() + &Uuid::new_v4().simple().to_string();
        let staging = folder_of(&path).join(&name);
        let begins_line = offset == 0 || ends_with_line_feed(&path).map_err(failed)?;
        let written = self.write(&staging, begins_line);
        match written {
            Ok(length) => {
                self.take_lines();
                appended.length = length;
                appended.staged = Some(name);
                Ok(appended)
            }
            Err(error) => {
                // half an epoch must not stay; nobody would ever read it, but it takes room
                drop(fs::remove_file(&staging));
                Err(failed(error))
            }
        }
    }

    fn take_lines(&mut self) -> Lines {
        Lines {
            spilled: self.spilled.take(),
            rest: std::mem::take(&mut self.lines),
        }
    }

    /// Writes what waits to a new file and makes it durable; gives its length.
    fn write(&mut self, staging: &Path, begins_line: bool) -> io::Result<u64> {
        let mut file = OpenOptions::new().write(true).create_new(true).open(staging)?;
        let mut length = 0;
        if !begins_line {
            file.write_all(b"\n")?;
            length += 1;
        }
        if let Some(spilled) = &mut self.spilled {
            spilled.seek(SeekFrom::Start(0))?;
            length += io::copy(spilled, &mut file)?;
        }
        file.write_all(&self.lines)?;
        file.sync_all()?;
        sync_folder(staging)?;
        Ok(length + self.lines.len() as u64)
    }

    /// What the names of rows that wait begin with.
    fn staging_prefix(&self) -> String {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        format!(".{name}.epoch-")
    }

    /// Writes the rows of an epoch to where they belong.
    fn put(&mut self, epoch: Epoch, appended: &Appended) -> Result<(), FileError> {
        let failed = |error| FileError::writing(&appended.path, error);
        if let Some((_, lines)) = self.in_memory.take_if(|(of, _)| *of == epoch) {
            return lines.append_to(&appended.path).map_err(failed);
        }
        let Some(staged) = &appended.staged else { return Ok(()) };
        let staging = folder_of(&appended.path).join(staged);
        let end = appended.offset + appended.length;
        let length = length_of(&appended.path)?;
        let mut rows = match File::open(&staging) {
            Ok(rows) => rows,
            // published already, and by that put away
            Err(error) if error.kind() == io::ErrorKind::NotFound && length >= end => return Ok(()),
            Err(error) => return Err(FileError::reading(&staging, error)),
        };
        if length < appended.offset {
            return Err(FileError::Truncated {
                path: appended.path.clone(),
                length,
                position: appended.offset,
            });
        }
        let is_new = !appended.path.exists();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&appended.path)
            .map_err(failed)?;
        // what is there of them must be theirs: nobody else's rows are written over, or taken for them
        if !is_beginning(&mut file, appended.offset, length.min(end), &mut rows).map_err(failed)? {
            return Err(FileError::Shared {
                path: appended.path.clone(),
            });
        }
        if length < end {
            rows.seek(SeekFrom::Start(0)).map_err(failed)?;
            file.seek(SeekFrom::Start(appended.offset)).map_err(failed)?;
            io::copy(&mut rows, &mut file).map_err(failed)?;
            file.sync_all().map_err(failed)?;
            if is_new {
                sync_folder(&appended.path).map_err(failed)?;
            }
        }
        // what stays behind is put away by the next recovery
        drop(fs::remove_file(&staging));
        Ok(())
    }

    /// Cuts the rows of an epoch off, where they are the last.
    fn take_back(&mut self, epoch: Epoch, appended: &Appended) -> Result<(), FileError> {
        let failed = |error| FileError::writing(&appended.path, error);
        let was_waiting = self.in_memory.take_if(|(of, _)| *of == epoch).is_some();
        if was_waiting || appended.length == 0 {
            return Ok(());
        }
        let is_elsewhere = appended.path.exists() && !appended.path.is_file();
        let (Some(staged), false) = (&appended.staged, is_elsewhere) else {
            tracing::warn!(
                path = %appended.path.display(),
                epoch = epoch.0,
                "what was written to a pipe or a device cannot be taken back; whoever reads it has these rows"
            );
            return Ok(());
        };
        let staging = folder_of(&appended.path).join(staged);
        let length = length_of(&appended.path)?;
        if length > appended.offset {
            let mut file = OpenOptions::new()
                .read(true)
                .write(true)
                .open(&appended.path)
                .map_err(failed)?;
            if !appended.has_the_rest(&mut file, length, &staging).map_err(failed)? {
                return Err(FileError::Shared {
                    path: appended.path.clone(),
                });
            }
            file.set_len(appended.offset).map_err(failed)?;
            file.sync_all().map_err(failed)?;
        }
        match fs::remove_file(&staging) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FileError::writing(&staging, error)),
            _ => Ok(()),
        }
    }

    /// Puts rows away that belong to no decided epoch, and sees whether the rows of the others are there.
    fn tidy(&self, committed: &Effect) -> Result<(), FileError> {
        let committed = match committed {
            Effect::Null => None,
            effect => Some(Appended::of(effect)?),
        };
        let prefix = self.staging_prefix();
        for entry in fs::read_dir(folder_of(&self.path)).into_iter().flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_committed = committed.as_ref().and_then(|committed| committed.staged.as_ref()) == Some(&name);
            if name.starts_with(&prefix) && !is_committed {
                tracing::info!(path = %entry.path().display(), "removing rows of an epoch that was never decided");
                drop(fs::remove_file(entry.path()));
            }
        }
        let Some(committed) = committed else { return Ok(()) };
        if committed.path != self.path || !self.path.is_file() {
            // the configuration names another file now, or somebody has put the file away
            return Ok(());
        }
        let length = length_of(&self.path)?;
        if length < committed.offset {
            return Err(FileError::Truncated {
                path: self.path.clone(),
                length,
                position: committed.offset,
            });
        }
        Ok(())
    }
}

impl Appended {
    fn of(effect: &Effect) -> Result<Self, FileError> {
        serde_json::from_value(effect.clone()).map_err(|error| FileError::BadEffect {
            reason: error.to_string(),
        })
    }

    /// Whether everything that a file of this length has behind the offset can be the epoch's.
    fn has_the_rest(&self, file: &mut File, length: u64, staging: &Path) -> io::Result<bool> {
        if length > self.offset + self.length {
            return Ok(false);
        }
        match File::open(staging) {
            Ok(mut rows) => is_beginning(file, self.offset, length, &mut rows),
            // put away when all of it was in the file, or by a recovery: there is nothing to compare with
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error),
        }
    }
}

impl Lines {
    fn append_to(mut self, path: &Path) -> io::Result<()> {
        let mut file = OpenOptions::new().append(true).open(path)?;
        if let Some(spilled) = &mut self.spilled {
            spilled.seek(SeekFrom::Start(0))?;
            io::copy(spilled, &mut file)?;
        }
        file.write_all(&self.rest)
    }
}

/// Whether a file has from `from` to `to` what `rows` begins with.
fn is_beginning(file: &mut File, from: u64, to: u64, rows: &mut File) -> io::Result<bool> {
    file.seek(SeekFrom::Start(from))?;
    let mut left = to - from;
    let (mut found, mut wanted) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    while left > 0 {
        let step = usize::try_from(left).unwrap_or(usize::MAX).min(found.len());
        let (Some(found), Some(wanted)) = (found.get_mut(..step), wanted.get_mut(..step)) else {
            break;
        };
        file.read_exact(found)?;
        rows.read_exact(wanted)?;
        if found != wanted {
            return Ok(false);
        }
        left -= step as u64;
    }
    Ok(true)
}

/// The length of a file; 0 if there is none.
fn length_of(path: &Path) -> Result<u64, FileError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => Ok(metadata.len()),
        Ok(_) => Ok(0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(FileError::writing(path, error)),
    }
}

fn ends_with_line_feed(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Makes the name of a new file durable.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) {
        File::open(folder_of(path))?.sync_all()
    } else {
        Ok(())
    }
}

impl Sink for NdjsonSink {
    fn name(&self) -> &str {
        &self.name
    }

    fn check(&mut self) -> Result<(), ConnectorError> {
        check_target(&self.path).map_err(|error| error.of(&self.name))
    }

    fn recover(&mut self, committed: &Effect) -> Result<(), ConnectorError> {
        self.tidy(committed).map_err(|error| error.of(&self.name))
    }

    fn accept(&mut self, output: &Output) -> Result<(), ConnectorError> {
        append_rows(&mut self.lines, output).map_err(|error| error.of(&self.name))?;
        if self.lines.len() > IN_MEMORY {
            self.spill().map_err(|error| error.of(&self.name))?;
        }
        Ok(())
    }

    fn prepare(&mut self, epoch: Epoch) -> Result<Effect, ConnectorError> {
        let appended = self.stage(epoch).map_err(|error| error.of(&self.name))?;
        serde_json::to_value(appended).map_err(|error| ConnectorError::internal(&self.name, error))
    }

    fn publish(&mut self, epoch: Epoch, effect: &Effect) -> Result<(), ConnectorError> {
        let published = Appended::of(effect).and_then(|appended| self.put(epoch, &appended));
        published.map_err(|error| error.of(&self.name))
    }

    fn discard(&mut self, epoch: Epoch, effect: &Effect) {
        self.in_memory.take_if(|(of, _)| *of == epoch);
        if let Ok(Appended {
            path,
            staged: Some(staged),
            ..
        }) = Appended::of(effect)
        {
            drop(fs::remove_file(folder_of(&path).join(staged)));
        }
    }

    fn withdraw(&mut self, epoch: Epoch, effect: &Effect) -> Result<(), ConnectorError> {
        let withdrawn = Appended::of(effect).and_then(|appended| self.take_back(epoch, &appended));
        withdrawn.map_err(|error| error.of(&self.name))
    }
}
