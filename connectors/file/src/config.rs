//! The options of each connector, as they stand in the configuration.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Options of a [`FileSource`](crate::FileSource).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FileOptions {
    /// Files to read: names, or patterns with `*`, `?`, `[…]` and `**`. A name that exists is taken as it is, whatever it has in it.
    #[serde(deserialize_with = "one_or_many")]
    pub paths: Vec<String>,
    /// Whether files grow and new ones appear, so that reading never ends.
    #[serde(default)]
    pub follow: bool,
}

impl FileOptions {
    /// Files that are complete: reading ends.
    pub fn at_rest<P: Into<String>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self {
            paths: paths.into_iter().map(Into::into).collect(),
            follow: false,
        }
    }

    /// Files that grow: reading never ends.
    pub fn growing<P: Into<String>>(paths: impl IntoIterator<Item = P>) -> Self {
        Self {
            follow: true,
            ..Self::at_rest(paths)
        }
    }
}

/// Options of a [`NdjsonSink`](crate::NdjsonSink).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NdjsonOptions {
    /// The file to append to; made when there is a first row.
    pub path: PathBuf,
}

/// Options of a [`TerminalSink`](crate::TerminalSink).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TerminalOptions {
    /// Whether to show the experiments to date while they are still changing, not only when they are final.
    pub provisional: bool,
}

impl Default for TerminalOptions {
    fn default() -> Self {
        Self { provisional: true }
    }
}

/// Takes one text or a list of texts.
fn one_or_many<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a path or a list of paths")]
    enum OneOrMany {
        One(String),
        Many(Vec<String>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(path) => vec![path],
        OneOrMany::Many(paths) => paths,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_path_or_many_are_accepted_and_unknown_keys_are_not() {
        let one: FileOptions = serde_json::from_str(r#"{"paths": "a"}"#).unwrap();
        assert_eq!(one, FileOptions::at_rest(["a"]));
        let many: FileOptions = serde_json::from_str(r#"{"paths": ["a", "b"], "follow": true}"#).unwrap();
        assert_eq!(many, FileOptions::growing(["a", "b"]));
        assert!(serde_json::from_str::<FileOptions>(r#"{"path": "a"}"#).is_err());
    }
}
