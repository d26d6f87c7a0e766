//! What can go wrong with a file, named by what the user can do about it.

use std::io;
use std::path::{Path, PathBuf};

use backplane_connector_api::ConnectorError;

/// An error of a file. Each is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Name another file, or make this one.
    #[error("{path}: there is no such file", path = path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// Change the pattern, or put files there.
    #[error("no file matches {pattern}; give the path of a file, or a pattern that matches one")]
    NoMatch {
        /// The pattern.
        pattern: String,
    },
    /// Write the pattern differently.
    #[error("{pattern} is not a valid pattern: {reason}")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Name files.
    #[error("no files are named; give at least one path under `paths`")]
    NoPaths,
    /// Name the files in the folder.
    #[error("{path} is a folder; name its files, e.g. {example}", path = path.display(), example = path.join("*.ndjson").display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// Name another file to write to.
    #[error("{path} is a folder; name a file to write to, e.g. {example}", path = path.display(), example = path.join("out.ndjson").display())]
    TargetIsFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Read pipes through standard input.
    #[error("{path} is a pipe or a device, not a file; read it through standard input (a source of type stdin)", path = path.display())]
    NotAFile {
        /// What was named.
        path: PathBuf,
    },
    /// Give permission, or look at the disk.
    #[error("{path} cannot be read: {source}", path = path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Make the folder.
    #[error("{path} cannot be written: the folder {folder} does not exist; make it first", path = path.display(), folder = folder.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
        /// The folder it would be in.
        folder: PathBuf,
    },
    /// Give permission, or make room.
    #[error("{path} cannot be written: {source}", path = path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Name the file by what it is.
    #[error("{path} is named like a {format} file, but is not one; rename it, or compress it", path = path.display())]
    MisnamedFormat {
        /// The file.
        path: PathBuf,
        /// The format its name promises.
        format: &'static str,
    },
    /// Get a whole copy of the file.
    #[error("{path} is damaged: its {format} data breaks off or is corrupt after {offset} bytes of text ({reason}); every complete line before was read", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The format.
        format: &'static str,
        /// Bytes of decompressed text before the damage.
        offset: u64,
        /// What the decompressor said.
        reason: String,
    },
    /// Start anew, or put the file back: it is not the one that was read.
    #[error("{path} has {length} bytes, fewer than the {position} that were read: it was truncated or replaced; use rotation by renaming, or start anew with --restore none", path = path.display())]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Its length now.
        length: u64,
        /// How much of it was read before.
        position: u64,
    },
    /// As [`FileError::Truncated`], seen by the content.
    #[error("{path} begins differently than when reading began: it was overwritten; use rotation by renaming, or start anew with --restore none", path = path.display())]
    Overwritten {
        /// The file.
        path: PathBuf,
    },
    /// Put it back as it was.
    #[error("{path} was changed within its first {lines} lines, which have been read; put it back as it was: such a file may only grow", path = path.display())]
    Edited {
        /// The file.
        path: PathBuf,
        /// How many lines were read before.
        lines: u64,
    },
    /// Give each job a file of its own.
    #[error("{path} was written to by somebody else while a job was writing to it; give the job a file of its own", path = path.display())]
    Shared {
        /// The file.
        path: PathBuf,
    },
    /// Put the file back where a pattern finds it.
    #[error("{path} is gone, and no file of the set is the same one under another name", path = path.display())]
    Gone {
        /// Where it was last seen.
        path: PathBuf,
    },
    /// Standard input can be given once.
    #[error("standard input is read once only, and is being read already")]
    AlreadyReading,
    /// Give the same input again.
    #[error(
        "standard input ended after {length} bytes, before the position {position} to go on from; give the same input again, or start anew with --restore none"
    )]
    ShortInput {
        /// What there was.
        length: u64,
        /// The position.
        position: u64,
    },
    /// Standard input failed.
    #[error("standard input cannot be read: {reason}")]
    BrokenInput {
        /// What the system said.
        reason: String,
    },
    /// Feed the same stream again, from its start.
    #[error(
        "standard input is another one than before: its first {length} bytes are not those that were read; feed it the same stream from its start, or start anew with --restore none"
    )]
    OtherInput {
        /// How much was compared.
        length: usize,
    },
    /// The sink was given rows that it cannot write.
    #[error("rows of {table} cannot be written as JSON: {reason}")]
    NotJson {
        /// The table or query.
        table: String,
        /// What Arrow said.
        reason: String,
    },
    /// The effect is not one of this sink.
    #[error("the effect to recover from is not one of a file sink: {reason}")]
    BadEffect {
        /// What is wrong.
        reason: String,
    },
}

impl FileError {
    /// The failure to read `path`.
    pub(crate) fn reading(path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { path: path.to_owned() },
            _ => Self::Unreadable {
                path: path.to_owned(),
                source,
            },
        }
    }

    /// The failure to write `path`.
    pub(crate) fn writing(path: &Path, source: io::Error) -> Self {
        Self::Unwritable {
            path: path.to_owned(),
            source,
        }
    }

    /// This error as the engine sees it, of the connector of this name.
    #[must_use]
    pub fn of(self, connector: &str) -> ConnectorError {
        let message = self.to_string();
        match self {
            Self::Damaged { .. }
            | Self::Truncated { .. }
            | Self::Overwritten { .. }
            | Self::Edited { .. }
            | Self::Shared { .. } => ConnectorError::damaged(connector, message),
            Self::Gone { .. } => ConnectorError::gone(connector, message),
            Self::BrokenInput { .. } => ConnectorError::Unavailable {
                connector: connector.to_owned(),
                message,
                retry: false,
            },
            Self::Unreadable { source, .. } | Self::Unwritable { source, .. } if !is_users(&source) => {
                ConnectorError::unavailable(connector, message)
            }
            Self::NotJson { .. } | Self::BadEffect { .. } | Self::AlreadyReading => {
                ConnectorError::internal(connector, message)
            }
            _ => ConnectorError::invalid(connector, message),
        }
    }
}

/// Whether the user, not the disk, must act.
fn is_users(error: &io::Error) -> bool {
    use io::ErrorKind::{IsADirectory, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem};
    matches!(
        error.kind(),
        PermissionDenied | NotFound | IsADirectory | NotADirectory | ReadOnlyFilesystem
    )
}
