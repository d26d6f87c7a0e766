//! Rows as lines of JSON at the end of a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use backplane_connector_api::{ConnectorError, Effect, Epoch, Output, Sink};
use serde::{Deserialize, Serialize};

use crate::health::{check_target, folder_of};
use crate::json::append_rows;
use crate::{FileError, NdjsonOptions};

/// How much of an epoch waits in memory; what is more waits in a file without a name.
const IN_MEMORY: usize = 4 << 20;

/// Appends rows of any table or query to a file, one JSON object per line; also the dead-letter file.
///
/// Rows appear when an epoch is prepared, in one piece, and are durable then. [`Sink::recover`] cuts what was prepared after the last epoch
/// that was decided. The file is made by the first row; its folder must exist.
#[derive(Debug)]
pub struct NdjsonSink {
    name: String,
    path: PathBuf,
    lines: Vec<u8>,
    spilled: Option<File>,
}

/// Where the lines of an epoch are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Appended {
    path: PathBuf,
    /// Length of the file before the epoch.
    offset: u64,
    /// Bytes of the epoch.
    length: u64,
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

    fn append(&mut self) -> Result<Appended, FileError> {
        let path = self.path.clone();
        let failed = |error| FileError::writing(&path, error);
        if self.lines.is_empty() && self.spilled.is_none() {
            return Ok(Appended {
                offset: length_of(&path)?,
                length: 0,
                path,
            });
        }
        check_target(&path)?;
        let is_new = !path.exists();
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(&path)
            .map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let offset = if metadata.is_file() { metadata.len() } else { 0 };
        let written = self.write(&mut file, metadata.is_file(), offset);
        match written {
            Ok(length) => {
                if is_new {
                    sync_folder(&path).map_err(failed)?;
                }
                self.lines.clear();
                self.spilled = None;
                Ok(Appended { path, offset, length })
            }
            Err(error) => {
                // half an epoch must not stay; if even that fails, recovery cuts it
                drop(if is_new {
                    fs::remove_file(&path)
                } else {
                    file.set_len(offset)
                });
                Err(failed(error))
            }
        }
    }

    /// Writes what waits to the end of the file and makes it durable; gives its length.
    fn write(&mut self, file: &mut File, is_regular: bool, offset: u64) -> io::Result<u64> {
        let mut length = 0;
        if is_regular && offset > 0 && !ends_with_line_feed(file)? {
            file.write_all(b"\n")?;
            length += 1;
        }
        if let Some(spilled) = &mut self.spilled {
            spilled.seek(SeekFrom::Start(0))?;
            length += io::copy(spilled, file)?;
        }
        file.write_all(&self.lines)?;
        if is_regular {
            file.sync_all()?;
        }
        Ok(length + self.lines.len() as u64)
    }

    fn cut(&self, committed: &Effect) -> Result<(), FileError> {
        let committed: Appended = serde_json::from_value(committed.clone()).map_err(|error| FileError::BadEffect {
            reason: error.to_string(),
        })?;
        if committed.path != self.path || !self.path.is_file() {
            // the configuration names another file now: nothing of the committed epochs is in it
            return Ok(());
        }
        let end = committed.offset + committed.length;
        let length = length_of(&self.path)?;
        if length < end {
            return Err(FileError::Truncated {
                path: self.path.clone(),
                length,
                position: end,
            });
        }
        if length > end {
            tracing::info!(path = %self.path.display(), bytes = length - end, "removing rows of an epoch that was never decided");
            let failed = |error| FileError::writing(&self.path, error);
            let file = OpenOptions::new().write(true).open(&self.path).map_err(failed)?;
            file.set_len(end).map_err(failed)?;
            file.sync_all().map_err(failed)?;
        }
        Ok(())
    }
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

fn ends_with_line_feed(file: &mut File) -> io::Result<bool> {
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
        self.cut(committed).map_err(|error| error.of(&self.name))
    }

    fn accept(&mut self, output: &Output) -> Result<(), ConnectorError> {
        append_rows(&mut self.lines, output).map_err(|error| error.of(&self.name))?;
        if self.lines.len() > IN_MEMORY {
            self.spill().map_err(|error| error.of(&self.name))?;
        }
        Ok(())
    }

    fn prepare(&mut self, _epoch: Epoch) -> Result<Effect, ConnectorError> {
        let appended = self.append().map_err(|error| error.of(&self.name))?;
        serde_json::to_value(appended).map_err(|error| ConnectorError::internal(&self.name, error))
    }

    fn publish(&mut self, _epoch: Epoch, _effect: &Effect) -> Result<(), ConnectorError> {
        Ok(())
    }

    fn discard(&mut self, _epoch: Epoch, effect: &Effect) {
        let Ok(Appended { path, offset, length }) = serde_json::from_value(effect.clone()) else {
            return;
        };
        // where somebody has written after us, or the place cannot be reached any more, the rows stay: recovery would find them
        let is_at_the_end = length > 0 && length_of(&path).is_ok_and(|end| end == offset + length);
        if is_at_the_end {
            let cut = || match offset {
                0 => fs::remove_file(&path),
                _ => OpenOptions::new().write(true).open(&path)?.set_len(offset),
            };
            if let Err(error) = cut() {
                tracing::warn!(path = %path.display(), %error, "rows of an epoch that failed are left in the file");
            }
        }
    }
}
