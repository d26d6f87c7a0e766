//! Reads one file in order.

use std::fs::File;
use std::io::{self, Read as _, Seek, SeekFrom};
use std::path::PathBuf;

use backplane_connector_api::{ConnectorError, PartitionReader, Position, Read};

use crate::FileError;
use crate::blocks::Blocks;
use crate::decompress::Format;
use crate::identity::{self, Identity};
use crate::source::{Extent, Known};

/// What skipping to a position in compressed text reads at a time.
const SKIP_STEP: u64 = 1 << 20;

/// A reader of one file.
pub(crate) struct FileReader {
    connector: String,
    path: PathBuf,
    extent: Extent,
    /// The offset at which reading stops, if the file has not ended there.
    limit: u64,
    identity: Identity,
    format: Format,
    input: Input,
    blocks: Blocks,
    state: State,
}

enum Input {
    /// The text itself.
    Plain(File),
    /// Text that is made from the file.
    Decompressed(Box<dyn io::Read + Send>),
}

/// Where the reader is in the life of its file.
enum State {
    /// There may be more to read.
    Reading,
    /// The end was reached and the file may have grown since (files that are followed).
    Waiting,
    /// Nothing will come any more.
    Ended,
    /// All that can be read was; what follows is damaged.
    Damaged(String),
}

impl FileReader {
    /// Opens a known file at a position.
    pub(crate) fn open(
        connector: &str,
        known: &Known,
        extent: Extent,
        longest_line: Option<usize>,
        from: Option<&Position>,
    ) -> Result<Self, FileError> {
        let path = known.path.clone();
        let reading = |error| FileError::reading(&path, error);
        let mut file = File::open(&path).map_err(reading)?;
        let metadata = file.metadata().map_err(reading)?;
        let (identity, _) = Identity::of(&mut file, &metadata).map_err(reading)?;
        if identity != known.identity {
            return Err(FileError::Gone { path });
        }
        let at = from.cloned().unwrap_or_default();
        let input = match known.format {
            Format::Plain if metadata.len() < at.offset => {
                return Err(FileError::Truncated {
                    path,
                    length: metadata.len(),
                    position: at.offset,
                });
            }
            Format::Plain => {
                file.seek(SeekFrom::Start(at.offset)).map_err(reading)?;
                Input::Plain(file)
            }
            format => {
                let mut text = format.decompress(file).map_err(reading)?;
                let skipped = skip(text.as_mut(), at.offset).map_err(|(offset, error)| FileError::Damaged {
                    path: path.clone(),
                    format: format.name(),
                    offset,
                    reason: error.to_string(),
                })?;
                if skipped < at.offset {
                    return Err(FileError::Truncated {
                        path,
                        length: skipped,
                        position: at.offset,
                    });
                }
                Input::Decompressed(text)
            }
        };
        let blocks = match longest_line {
            None => Blocks::at(at),
            Some(bytes) => Blocks::at(at).with_longest_line(bytes),
        };
        Ok(Self {
            connector: connector.to_owned(),
            path,
            extent,
            limit: match (extent, known.format) {
                (Extent::UntilNow, Format::Plain) => known.length,
                _ => u64::MAX,
            },
            identity,
            format: known.format,
            input,
            blocks,
            state: State::Reading,
        })
    }

    /// Reads until `max_bytes` are held or the input ends; says whether it ended.
    fn fill(&mut self, max_bytes: usize) -> io::Result<bool> {
        let wanted = max_bytes.saturating_sub(self.blocks.held());
        let most = self.limit.saturating_sub(self.blocks.end_of_input()).min(wanted as u64);
        let buffer = self.blocks.input();
        buffer.reserve(wanted);
        let read = match &mut self.input {
            Input::Plain(file) => file.take(most).read_to_end(buffer)?,
            Input::Decompressed(text) => text.take(most).read_to_end(buffer)?,
        };
        Ok(read < wanted)
    }

    /// What reading came to once the input has nothing more.
    fn at_end(&mut self) -> Result<Read, FileError> {
        if self.extent == Extent::Growing
            && let Input::Plain(file) = &self.input
        {
            if let Some(block) = self.blocks.complete_lines() {
                return Ok(Read::Block(block));
            }
            let metadata = file.metadata().map_err(|error| FileError::reading(&self.path, error))?;
            let position = self.blocks.end_of_input();
            if metadata.len() < position {
                return Err(FileError::Truncated {
                    path: self.path.clone(),
                    length: metadata.len(),
                    position,
                });
            }
            let nothing_can_come = metadata.len() == position && identity::is_deleted(&metadata);
            self.state = if nothing_can_come { State::Ended } else { State::Waiting };
            return Ok(Read::Pending);
        }
        self.state = State::Ended;
        Ok(self.ended())
    }

    /// What there is to give of a file that has ended.
    fn ended(&mut self) -> Read {
        let left = match (self.extent, self.format) {
            // the last line is not finished
            (Extent::Growing | Extent::UntilNow, Format::Plain) => self.blocks.complete_lines(),
            _ => self.blocks.everything(),
        };
        match left {
            Some(block) => Read::Block(block),
            None if self.extent == Extent::Growing => Read::Pending,
            None => Read::End,
        }
    }

    /// Sees whether a file that has waited is still the one whose beginning was read: it may have been cut and written anew, past the
    /// position, in the meantime.
    fn look_again(&mut self) -> Result<(), FileError> {
        let Input::Plain(file) = &mut self.input else {
            return Ok(());
        };
        let reading = |error| FileError::reading(&self.path, error);
        let metadata = file.metadata().map_err(reading)?;
        let position = self.blocks.end_of_input();
        if metadata.len() < position {
            return Err(FileError::Truncated {
                path: self.path.clone(),
                length: metadata.len(),
                position,
            });
        }
        if metadata.len() > position {
            let (identity, _) = Identity::of(file, &metadata).map_err(reading)?;
            file.seek(SeekFrom::Start(position)).map_err(reading)?;
            if identity != self.identity {
                return Err(FileError::Overwritten {
                    path: self.path.clone(),
                });
            }
        }
        Ok(())
    }

    /// Gives the complete lines before the damage; the damage itself comes at the next call.
    fn damaged(&mut self, error: &io::Error) -> Result<Read, FileError> {
        let offset = self.blocks.end_of_input();
        let path = self.path.clone();
        let damage = FileError::Damaged {
            path,
            format: self.format.name(),
            offset,
            reason: error.to_string(),
        };
        self.state = State::Damaged(damage.to_string());
        self.blocks.complete_lines().map(Read::Block).ok_or(damage)
    }

    fn next(&mut self, max_bytes: usize) -> Result<Read, FileError> {
        if matches!(self.state, State::Waiting) {
            self.look_again()?;
            self.state = State::Reading;
        }
        let mut wanted = max_bytes.max(1);
        loop {
            let ended = match self.fill(wanted) {
                Ok(ended) => ended,
                Err(error) if self.format != Format::Plain => return self.damaged(&error),
                Err(error) => return Err(FileError::reading(&self.path, error)),
            };
            if ended {
                return self.at_end();
            }
            if let Some(block) = self.blocks.complete_lines() {
                return Ok(Read::Block(block));
            }
            // one line is longer than a block
            wanted = self.blocks.wanted_of_a_long_line();
        }
    }
}

impl PartitionReader for FileReader {
    fn read(&mut self, max_bytes: usize) -> Result<Read, ConnectorError> {
        match &self.state {
            State::Reading | State::Waiting => self.next(max_bytes).map_err(|error| error.of(&self.connector)),
            // a line that is too long can leave something behind it
            State::Ended => Ok(self.ended()),
            State::Damaged(message) => match self.blocks.complete_lines() {
                Some(block) => Ok(Read::Block(block)),
                None => Err(ConnectorError::damaged(&self.connector, message)),
            },
        }
    }
}

/// Reads and forgets `bytes` bytes; gives how many there were, also with an error.
pub(crate) fn skip(input: &mut (impl io::Read + ?Sized), bytes: u64) -> Result<u64, (u64, io::Error)> {
    let mut skipped = 0;
    while skipped < bytes {
        let step = SKIP_STEP.min(bytes - skipped);
        match io::copy(&mut input.take(step), &mut io::sink()) {
            Ok(0) => break,
            Ok(read) => skipped += read,
            Err(error) => return Err((skipped, error)),
        }
    }
    Ok(skipped)
}
