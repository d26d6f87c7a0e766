//! Why a configuration cannot be used. All of it is the user's to put right: exit status 2.

use crate::Diagnostic;

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The document cannot be read at all: check the path.
    #[error("{file}: {message}")]
    Unreadable {
        /// The document's path as it was given.
        file: String,
        /// One sentence.
        message: String,
    },
    /// An override names no place that there could be, or has no value: change the command line.
    #[error("--set {argument}: {message}")]
    Override {
        /// The path of the override; its value may be a secret.
        argument: String,
        /// One sentence.
        message: String,
    },
    /// The document has errors: put each right. Warnings are among the findings too.
    #[error("{}", lines(.0))]
    Invalid(Vec<Diagnostic>),
}

fn lines(diagnostics: &[Diagnostic]) -> String {
    diagnostics
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
