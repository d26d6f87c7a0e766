//! Records that could not be read, as a source: they are tried again.

use std::fs::File;
use std::io::{self, Read as _, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backplane_connector_api::{Block, BlockData, ConnectorError, PartitionId, PartitionReader, Position, Read, Source};
use bytes::Bytes;

use super::{Letter, files, is_there};
use crate::{FileError, FileOptions, FileSource};

/// Records that could not be read, to be tried again: those of the dead-letter file as they came, or a file in which somebody has put them
/// right. It is an occasional source: a job is the same job without it.
///
/// The records of the dead-letter file are handed on as the lines that they were, one for each line of that file, and positions are those of
/// the file. It is read up to its end when it is discovered: what is refused again is written behind that, and tried the next time. A line of
/// it that is no letter is handed on as it is, and so becomes one. The file must only grow: the records that were tried are known by their
/// place in it.
pub struct LetterSource {
    files: FileSource,
    path: PathBuf,
    form: Form,
    tried: Arc<AtomicU64>,
}

/// What lines are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Letters, which have the records in them.
    Letters,
    /// The records.
    Records,
}

impl LetterSource {
    /// The records of a dead-letter file as they came; none where there is no such file.
    #[must_use]
    pub fn of_letters(name: impl Into<String>, path: &Path) -> Self {
        Self::new(files(&name.into(), path), path, Form::Letters)
    }

    /// The records of a file, put right.
    #[must_use]
    pub fn of_records(name: impl Into<String>, path: &Path) -> Self {
        let options = FileOptions::at_rest([path.to_string_lossy()]);
        Self::new(FileSource::new(name, options), path, Form::Records)
    }

    fn new(files: FileSource, path: &Path, form: Form) -> Self {
        Self {
            files,
            path: path.to_owned(),
            form,
            tried: Arc::default(),
        }
    }

    /// How many records were handed on; counts on while the source is read.
    #[must_use]
    pub fn tried(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.tried)
    }

    /// Sees whether a file of letters still has lines up to a position: in one that was changed it may be anywhere.
    fn check(&self, partition: &PartitionId, from: &Position) -> Result<(), FileError> {
        if from.offset == 0 {
            return Ok(());
        }
        let path = PathBuf::from(self.files.describe(partition));
        let reading = |error| FileError::reading(&path, error);
        let mut file = File::open(&path).map_err(reading)?;
        file.seek(SeekFrom::Start(from.offset - 1)).map_err(reading)?;
        let mut before = [0];
        match file.read_exact(&mut before) {
            Ok(()) if before == *b"\n" => Ok(()),
            Ok(()) => Err(FileError::Edited { path, lines: from.line }),
            // who opens it says that it is too short
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(FileError::reading(&path, error)),
        }
    }
}

impl Source for LetterSource {
    fn name(&self) -> &str {
        self.files.name()
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn is_occasional(&self) -> bool {
        true
    }

    fn discover(&mut self) -> Result<Vec<PartitionId>, ConnectorError> {
        match self.form {
            Form::Letters if !is_there(&self.path) => Ok(Vec::new()),
            _ => self.files.discover(),
        }
    }

    fn describe(&self, partition: &PartitionId) -> String {
        self.files.describe(partition)
    }

    fn open(
        &mut self,
        partition: &PartitionId,
        from: Option<&Position>,
    ) -> Result<Box<dyn PartitionReader>, ConnectorError> {
        if let (Form::Letters, Some(from)) = (self.form, from) {
            self.check(partition, from).map_err(|error| error.of(self.name()))?;
        }
        Ok(Box::new(RecordReader {
            lines: self.files.open(partition, from)?,
            form: self.form,
            tried: Arc::clone(&self.tried),
        }))
    }
}

struct RecordReader {
    lines: Box<dyn PartitionReader>,
    form: Form,
    tried: Arc<AtomicU64>,
}

impl PartitionReader for RecordReader {
    fn read(&mut self, max_bytes: usize) -> Result<Read, ConnectorError> {
        let Read::Block(mut block) = self.lines.read(max_bytes)? else {
            return Ok(Read::End);
        };
        if let (Form::Letters, BlockData::Lines(letters)) = (self.form, &block.data) {
            block.data = BlockData::Lines(records_of(letters));
        }
        self.tried.fetch_add(records_in(&block), Ordering::Relaxed);
        Ok(Read::Block(block))
    }
}

/// The record of each line, as a line.
fn records_of(letters: &Bytes) -> Bytes {
    let mut records = Vec::with_capacity(letters.len());
    for line in letters
        .strip_suffix(b"\n")
        .unwrap_or(letters)
        .split(|byte| *byte == b'\n')
    {
        match Letter::parse(line) {
            Ok(letter) => records.extend_from_slice(&letter.raw),
            Err(_) => records.extend_from_slice(line),
        }
        records.push(b'\n');
    }
    records.into()
}

/// How many lines have something in them.
fn records_in(block: &Block) -> u64 {
    let BlockData::Lines(lines) = &block.data else { return 0 };
    let is_record = |line: &&[u8]| !line.trim_ascii().is_empty();
    lines.split(|byte| *byte == b'\n').filter(is_record).count() as u64
}
