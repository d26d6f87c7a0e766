//! What can go wrong.

use std::path::PathBuf;

/// Why no stream came out.
#[derive(Debug, thiserror::Error)]
pub enum GeneratorError {
    /// The description of the stream contradicts itself: the caller's fault.
    #[error("the stream cannot be generated: {reason}")]
    InvalidConfig {
        /// What is wrong.
        reason: String,
    },
    /// The caller's flag was set before the stream was complete.
    #[error("interrupted before the stream was complete; nothing of it was kept")]
    Stopped,
    /// A file cannot be written: choose another place or make room.
    #[error("cannot write {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A writer that the caller gave refused the bytes.
    #[error("cannot write the stream: {0}")]
    Write(#[from] std::io::Error),
}
