//! A set of files as a source.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::path::{Path, PathBuf};
use std::time::Duration;

use backplane_connector_api::{ConnectorError, PartitionId, PartitionReader, Position, Read, Source};

use crate::decompress::Format;
use crate::health::folder_of;
use crate::identity::Identity;
use crate::patterns::{is_pattern, matches};
use crate::reader::FileReader;
use crate::{FileError, FileOptions};

/// Files named one by one or by patterns; each file is one partition.
///
/// Plain text, gzip and Zstandard are told apart by content. A file is known by its device, its inode and its first line, so that a
/// renamed file is not read again and a second name of the same file does not count. Positions are bytes and lines of the decompressed text.
///
/// Files at rest end. Files that are followed never do: an unfinished last line waits for its line feed, a file that got shorter is an
/// error, and new files that match a pattern are found by the next [`Source::discover`]. A compressed file among them is read once nobody has
/// written to it for five seconds: it cannot be read in part, and its beginning, by which it is known, changes as long as it is short.
#[derive(Debug)]
pub struct FileSource {
    name: String,
    options: FileOptions,
    extent: Extent,
    /// How many bytes of a line are read at most; as many as a record may have where this says nothing.
    longest_line: Option<usize>,
    /// Every file that was ever discovered, where it was seen last.
    known: HashMap<PartitionId, Known>,
    /// The identities in the order in which they were discovered.
    order: Vec<PartitionId>,
}

/// How far files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All that is there: the file is complete.
    Whole,
    /// All that is there and all that comes.
    Growing,
    /// The complete lines that were there when the file was discovered.
    UntilNow,
}

/// A file that was discovered.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) path: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) format: Format,
    /// Its length when it was discovered.
    pub(crate) length: u64,
    /// Whether it is to be read already if it may still be written to.
    is_settled: bool,
}

/// Nobody has written to a compressed file for so long: it is complete.
const SETTLED_AFTER: Duration = Duration::from_secs(5);

impl FileSource {
    /// A source of these files; `name` is what errors call it.
    #[must_use]
    pub fn new(name: impl Into<String>, options: FileOptions) -> Self {
        let extent = if options.follow { Extent::Growing } else { Extent::Whole };
        Self {
            name: name.into(),
            options,
            extent,
            longest_line: None,
            known: HashMap::new(),
            order: Vec::new(),
        }
    }

    /// Reads files that are followed to what is their end when they are discovered first, and ends; an unfinished last line is left unread.
    #[must_use]
    pub fn until_now(mut self) -> Self {
        if self.extent == Extent::Growing {
            self.extent = Extent::UntilNow;
        }
        self
    }

    /// Reads lines that may be longer than a record.
    pub(crate) fn with_longest_line(mut self, bytes: usize) -> Self {
        self.longest_line = Some(bytes);
        self
    }

    /// The files that the paths name now, sorted, each name once, and whether it was a pattern that found them.
    fn paths(&self) -> Result<Vec<(PathBuf, bool)>, FileError> {
        if self.options.paths.is_empty() {
            return Err(FileError::NoPaths);
        }
        let mut paths = Vec::new();
        for text in &self.options.paths {
            let path = Path::new(text);
            if !is_pattern(text) {
                paths.push((path.to_owned(), false));
                continue;
            }
            let matches = matches(text)?;
            if matches.is_empty() {
                if self.extent != Extent::Growing {
                    return Err(FileError::NoMatch { pattern: text.clone() });
                }
                tracing::debug!(pattern = text, "no file matches yet");
            }
            paths.extend(matches.into_iter().map(|path| (path, true)));
        }
        paths.sort();
        paths.dedup_by(|(path, _), (before, _)| path == before);
        Ok(paths)
    }

    /// Looks at the files that there are now and remembers the new ones; gives the identities in the order of their paths.
    fn look(&mut self) -> Result<Vec<PartitionId>, FileError> {
        let mut found = Vec::new();
        for (path, was_found) in self.paths()? {
            let Some(known) = self.identify(&path, was_found)? else {
                continue;
            };
            let id = known.identity.partition();
            match self.known.get_mut(&id) {
                // a second name in the same look is the same file, and the first name stays
                Some(_) if found.contains(&id) => continue,
                Some(before) => before.path = path,
                None => {
                    self.known.insert(id.clone(), known);
                    self.order.push(id.clone());
                }
            }
            found.push(id);
        }
        Ok(found)
    }

    /// What the file at `path` is; nothing if it is not to be read yet, or no longer there.
    fn identify(&self, path: &Path, was_found: bool) -> Result<Option<Known>, FileError> {
        let follow = self.options.follow;
        let known_before = || self.known.values().any(|known| known.path == path);
        match Known::at(path) {
            // what is compressed can be read whole or not at all, and who reads until now does not come back for it
            Ok(known) if known.format != Format::Plain && self.extent == Extent::UntilNow => Ok(Some(known)),
            Ok(known) if follow && !known.is_settled => Ok(None),
            Ok(known) => Ok(Some(known)),
            // removed since it was found; or between a renaming and the next file there is none
            Err(FileError::Missing { .. }) if follow && (was_found || known_before()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Finds a file that is no longer where it was: under another name of the set, or beside it.
    fn find(&mut self, partition: &PartitionId) -> Result<Known, FileError> {
        self.look()?;
        if let Some(known) = self.known.get(partition).filter(|known| known.is_there()) {
            return Ok(known.clone());
        }
        let paths = self.options.paths.iter().map(PathBuf::from);
        let mut folders: Vec<PathBuf> = paths
            .map(|path| folder_of(&path))
            .filter(|folder| folder.is_dir())
            .collect();
        folders.sort();
        folders.dedup();
        for folder in folders {
            let entries = fs::read_dir(&folder).map_err(|error| FileError::reading(&folder, error))?;
            for path in entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.is_file())
            {
                if let Some(known) = Known::at(&path)
                    .ok()
                    .filter(|known| known.identity.partition() == *partition)
                {
                    self.known.insert(partition.clone(), known.clone());
                    return Ok(known);
                }
            }
        }
        let path = self.known.get(partition).map(|known| known.path.clone());
        Err(FileError::Gone {
            path: path.unwrap_or_else(|| PathBuf::from(format!("the file {}", partition.0))),
        })
    }
}

impl Known {
    /// The file at `path`.
    fn at(path: &Path) -> Result<Self, FileError> {
        let reading = |error| FileError::reading(path, error);
        let metadata = fs::metadata(path).map_err(reading)?;
        if metadata.is_dir() {
            return Err(FileError::Folder { path: path.to_owned() });
        }
        // opening a pipe would wait for its other end
        if !metadata.is_file() {
            return Err(FileError::NotAFile { path: path.to_owned() });
        }
        let mut file = File::open(path).map_err(reading)?;
        let metadata = file.metadata().map_err(reading)?;
        let (identity, head) = Identity::of(&mut file, &metadata).map_err(reading)?;
        let format = Format::of_file(path, head.bytes())?;
        Ok(Self {
            path: path.to_owned(),
            identity,
            format,
            length: metadata.len(),
            is_settled: match format {
                Format::Plain => head.is_settled(),
                _ => is_quiet(&metadata),
            },
        })
    }

    /// Whether its path still leads to it.
    fn is_there(&self) -> bool {
        Self::at(&self.path).is_ok_and(|now| now.identity == self.identity)
    }
}

/// Whether nobody has written to a file lately. One from the future was given its time, by whoever had written it.
fn is_quiet(metadata: &Metadata) -> bool {
    let written = metadata.modified();
    written.is_ok_and(|time| time.elapsed().unwrap_or(SETTLED_AFTER) >= SETTLED_AFTER)
}

impl Source for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_bounded(&self) -> bool {
        self.extent != Extent::Growing
    }

    /// Files at rest: in the order of their paths. Followed files: in the order in which they were first seen, also when they have been
    /// renamed since, so that what is left in them is still read.
    fn discover(&mut self) -> Result<Vec<PartitionId>, ConnectorError> {
        let found = self.look().map_err(|error| error.of(&self.name))?;
        Ok(match self.extent {
            Extent::Growing => self.order.clone(),
            Extent::Whole | Extent::UntilNow => found,
        })
    }

    fn describe(&self, partition: &PartitionId) -> String {
        match self.known.get(partition) {
            Some(known) => known.path.display().to_string(),
            None => partition.0.clone(),
        }
    }

    fn open(
        &mut self,
        partition: &PartitionId,
        from: Option<&Position>,
    ) -> Result<Box<dyn PartitionReader>, ConnectorError> {
        let known = match self.known.get(partition).filter(|known| known.is_there()) {
            Some(known) => Ok(known.clone()),
            None => self.find(partition),
        };
        let opened = known.and_then(|known| FileReader::open(&self.name, &known, self.extent, self.longest_line, from));
        match opened {
            Ok(reader) => Ok(Box::new(reader)),
            // it might as well have gone before it was discovered
            Err(FileError::Gone { path } | FileError::Missing { path }) if self.options.follow && from.is_none() => {
                tracing::warn!(path = %path.display(), "a file was removed before anything of it was read");
                Ok(Box::new(Removed(self.extent)))
            }
            Err(error) => Err(error.of(&self.name)),
        }
    }
}

/// Reads a file that is no longer there.
struct Removed(Extent);

impl PartitionReader for Removed {
    fn read(&mut self, _max_bytes: usize) -> Result<Read, ConnectorError> {
        Ok(match self.0 {
            Extent::Growing => Read::Pending,
            Extent::Whole | Extent::UntilNow => Read::End,
        })
    }
}
