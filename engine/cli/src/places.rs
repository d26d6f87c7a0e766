//! The files and folders that a job reads and writes: no two outputs may share one, and none may be read.

use std::path::{Path, PathBuf};

use crate::exit::CliError;

/// The places that are taken so far.
#[derive(Debug, Default)]
pub struct Places {
    taken: Vec<(PathBuf, String)>,
}

impl Places {
    /// Notes that `who` reads `path`, which others may read too.
    pub fn reads(&mut self, who: impl Into<String>, path: &Path) {
        self.taken.push((resolved(path), who.into()));
    }

    /// Notes that `who` writes `path`.
    ///
    /// # Errors
    /// [`CliError::Usage`] if somebody else reads or writes it.
    pub fn writes(&mut self, who: impl Into<String>, path: &Path) -> Result<(), CliError> {
        let (who, place) = (who.into(), resolved(path));
        if let Some((_, other)) = self.taken.iter().find(|(taken, _)| *taken == place) {
            return Err(CliError::Usage(format!(
                "{who} would write to {}, which is that of {other}; give each a place of its own",
                path.display()
            )));
        }
        self.taken.push((place, who));
        Ok(())
    }
}

/// The same text for every way to write the same place: links followed, `.` and `..` resolved, as far as the path exists.
fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut missing: Vec<std::ffi::OsString> = Vec::new();
    let mut existing = absolute.as_path();
    loop {
        if let Ok(real) = existing.canonicalize() {
            return missing.iter().rev().fold(real, |path, name| path.join(name));
        }
        match (existing.parent(), existing.file_name()) {
            (Some(parent), Some(name)) => {
                missing.push(name.to_owned());
                existing = parent;
            }
            _ => return absolute,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_place_under_two_names_is_the_same() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let mut places = Places::default();
        places.writes("sink results", &dir.path().join("out.ndjson")).unwrap();
        places.writes("sink lake", &dir.path().join("lake")).unwrap();
        let refused = places
            .writes("the dead-letter file", &dir.path().join("sub/../out.ndjson"))
            .unwrap_err()
            .to_string();
        assert!(refused.contains("which is that of sink results"), "{refused}");
    }

    #[cfg(unix)]
    #[test]
    fn an_output_that_is_read_is_refused_also_through_a_link() {
        let dir = tempfile::tempdir().unwrap();
        let (events, link) = (dir.path().join("events.ndjson"), dir.path().join("link"));
        std::fs::write(&events, "").unwrap();
        std::os::unix::fs::symlink(&events, &link).unwrap();
        let mut places = Places::default();
        places.reads("source file", &events);
        places.reads("source again", &events);
        assert!(places.writes("sink file", &link).is_err());
    }
}
