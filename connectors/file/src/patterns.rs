//! Names of files and patterns of names.

use std::io;
use std::path::{Path, PathBuf};

use backplane_connector_api::places::resolved;
use glob::{MatchOptions, Pattern};

use crate::{FileError, FileOptions};

/// As files are looked for: `*` stays in its folder.
const AS_SEARCHED: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

impl FileOptions {
    /// The first pattern among the paths that matches `path`, whether or not there is such a file: a source with these options would read it.
    #[must_use]
    pub fn pattern_of(&self, path: &Path) -> Option<&str> {
        let patterns = self.paths.iter().filter(|text| is_pattern(text));
        patterns.map(String::as_str).find(|pattern| covers(pattern, path))
    }
}

/// Whether files are looked for by this text; a file that has this very name is that file.
pub(crate) fn is_pattern(text: &str) -> bool {
    has_wildcard(text) && !Path::new(text).exists()
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Whether a pattern matches a path, as they are written or where they lead.
fn covers(pattern: &str, path: &Path) -> bool {
    let folders: PathBuf = Path::new(pattern)
        .components()
        .take_while(|part| !has_wildcard(&part.as_os_str().to_string_lossy()))
        .collect();
    let rest = Path::new(pattern).strip_prefix(&folders).unwrap_or(Path::new(pattern));
    let matches = |folders: &Path, path: &Path| {
        let pattern = Path::new(&Pattern::escape(&folders.to_string_lossy())).join(rest);
        Pattern::new(&pattern.to_string_lossy()).is_ok_and(|pattern| pattern.matches_path_with(path, AS_SEARCHED))
    };
    let folders = Path::new(".").join(folders);
    let as_written = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    matches(&resolved(&folders), &resolved(path)) || matches(&as_written(&folders), &as_written(path))
}

/// The files that match a pattern now; folders are passed over.
pub(crate) fn matches(pattern: &str) -> Result<Vec<PathBuf>, FileError> {
    let entries = glob::glob(pattern).map_err(|error| FileError::BadPattern {
        pattern: pattern.to_owned(),
        reason: error.msg.to_owned(),
    })?;
    let mut paths = Vec::new();
    for entry in entries {
        match entry {
            Ok(path) if path.is_dir() => {}
            Ok(path) => paths.push(path),
            // removed while its folder was looked through
            Err(error) if error.error().kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(FileError::Unreadable {
                    path: error.path().to_owned(),
                    source: io::Error::from(error.error().kind()),
                });
            }
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_what_it_would_find() {
        let covered = |pattern: &str, path: &str| covers(pattern, Path::new(path));
        assert!(covered("*.ndjson", "dead-letters.ndjson"));
        assert!(covered("*.ndjson", "./dead-letters.ndjson"));
        assert!(covered("./events/../*.ndjson", "dead-letters.ndjson"));
        assert!(covered("**/*.ndjson", "a/b/out.ndjson"));
        assert!(covered("/var/*/[a-c].log", "/var/log/b.log"));
        assert!(!covered("*.ndjson", "events/out.ndjson"));
        assert!(!covered("events/*", "dead-letters.ndjson"));
        assert!(!covered("/var/*/[a-c].log", "/var/log/d.log"));
    }
}
