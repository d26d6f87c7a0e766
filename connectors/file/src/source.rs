//! A set of files as a source.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use backplane_connector_api::{ConnectorError, PartitionId, PartitionReader, Position, Source};

use crate::decompress::Format;
use crate::health::folder_of;
use crate::identity::Identity;
use crate::reader::FileReader;
use crate::{FileError, FileOptions};

/// Files named one by one or by patterns; each file is one partition.
///
/// Plain text, gzip and Zstandard are told apart by content. A file is known by its device, its inode and its first line, so that a
/// renamed file is not read again and a second name of the same file does not count. Positions are bytes and lines of the decompressed text.
///
/// Files at rest end. Files that are followed never do: an unfinished last line waits for its line feed, a file that got shorter is an
/// error, and new files that match a pattern are found by the next [`Source::discover`].
#[derive(Debug)]
pub struct FileSource {
    name: String,
    options: FileOptions,
    /// Every file that was ever discovered, where it was seen last.
    known: HashMap<PartitionId, Known>,
    /// The identities in the order in which they were discovered.
    order: Vec<PartitionId>,
}

/// A file that was discovered.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) path: PathBuf,
    pub(crate) identity: Identity,
    pub(crate) format: Format,
}

impl FileSource {
    /// A source of these files; `name` is what errors call it.
    #[must_use]
    pub fn new(name: impl Into<String>, options: FileOptions) -> Self {
        Self {
            name: name.into(),
            options,
            known: HashMap::new(),
            order: Vec::new(),
        }
    }

    /// The files that the paths name now, sorted, each name once.
    fn paths(&self) -> Result<Vec<PathBuf>, FileError> {
        if self.options.paths.is_empty() {
            return Err(FileError::NoPaths);
        }
        let mut paths = Vec::new();
        for text in &self.options.paths {
            let path = Path::new(text);
            let is_pattern = text.contains(['*', '?', '[']);
            if !is_pattern || path.exists() {
                paths.push(path.to_owned());
                continue;
            }
            let matches = matches(text)?;
            if matches.is_empty() {
                if !self.options.follow {
                    return Err(FileError::NoMatch { pattern: text.clone() });
                }
                tracing::debug!(pattern = text, "no file matches yet");
            }
            paths.extend(matches);
        }
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// Looks at the files that there are now and remembers the new ones; gives the identities in the order of their paths.
    fn look(&mut self) -> Result<Vec<PartitionId>, FileError> {
        let mut found = Vec::new();
        for path in self.paths()? {
            let Some(known) = self.identify(&path)? else { continue };
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

    /// What the file at `path` is; nothing if it is not to be read yet.
    fn identify(&self, path: &Path) -> Result<Option<Known>, FileError> {
        let follow = self.options.follow;
        let known_before = || self.known.values().any(|known| known.path == path);
        match Known::at(path) {
            Ok((_, is_settled)) if follow && !is_settled => Ok(None),
            Ok((known, _)) => Ok(Some(known)),
            // between a renaming and the next file there may be none
            Err(FileError::Missing { .. }) if follow && known_before() => Ok(None),
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
                let candidate = Known::at(&path).ok().map(|(known, _)| known);
                if let Some(known) = candidate.filter(|known| known.identity.partition() == *partition) {
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
    /// The file at `path`, and whether its identity will stay when it grows.
    fn at(path: &Path) -> Result<(Self, bool), FileError> {
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
        Ok((
            Self {
                path: path.to_owned(),
                identity,
                format,
            },
            head.is_settled() || format != Format::Plain,
        ))
    }

    /// Whether its path still leads to it.
    fn is_there(&self) -> bool {
        Self::at(&self.path).is_ok_and(|(now, _)| now.identity == self.identity)
    }
}

/// The files that match a pattern; folders are passed over.
fn matches(pattern: &str) -> Result<Vec<PathBuf>, FileError> {
    let entries = glob::glob(pattern).map_err(|error| FileError::BadPattern {
        pattern: pattern.to_owned(),
        reason: error.msg.to_owned(),
    })?;
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| FileError::Unreadable {
            path: error.path().to_owned(),
            source: std::io::Error::from(error.error().kind()),
        })?;
        if !path.is_dir() {
            paths.push(path);
        }
    }
    Ok(paths)
}

impl Source for FileSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_bounded(&self) -> bool {
        !self.options.follow
    }

    /// Files at rest: in the order of their paths. Followed files: in the order in which they were first seen, also when they have been
    /// renamed since, so that what is left in them is still read.
    fn discover(&mut self) -> Result<Vec<PartitionId>, ConnectorError> {
        let found = self.look().map_err(|error| error.of(&self.name))?;
        Ok(if self.options.follow { self.order.clone() } else { found })
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
            Some(known) => known.clone(),
            None => self.find(partition).map_err(|error| error.of(&self.name))?,
        };
        let reader = FileReader::open(&self.name, &known, self.options.follow, from);
        Ok(Box::new(reader.map_err(|error| error.of(&self.name))?))
    }
}
