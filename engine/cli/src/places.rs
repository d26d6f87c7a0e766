//! The files and folders that a job reads and writes: no two outputs may share one, and none may be read.

use std::path::{Path, PathBuf};

use backplane_connector_api::places::resolved;
use backplane_file::FileOptions;

use crate::exit::CliError;

/// The places that are taken so far.
#[derive(Debug, Default)]
pub struct Places {
    taken: Vec<(PathBuf, String)>,
    /// What is read, now or later, and by whom.
    matched: Vec<(FileOptions, String)>,
}

impl Places {
    /// Notes that `who` reads `path`, which others may read too.
    pub fn reads(&mut self, who: impl Into<String>, path: &Path) {
        self.taken.push((resolved(path), who.into()));
    }

    /// Notes that `who` reads `path`, which others must not read too: its records would go in twice.
    ///
    /// # Errors
    /// [`CliError::Usage`] if somebody else reads it, or will.
    pub fn reads_alone(&mut self, who: impl Into<String>, path: &Path) -> Result<(), CliError> {
        let (who, place) = (who.into(), resolved(path));
        let by_name = self.taken.iter().find(|(taken, _)| *taken == place);
        let by_pattern = self.matched.iter().find(|(files, _)| files.pattern_of(path).is_some());
        let by_name = by_name.map(|(_, reader)| reader);
        if let Some(reader) = by_name.or(by_pattern.map(|(_, reader)| reader)) {
            return Err(CliError::Usage(format!(
                "{who}: {reader} reads {} by itself, and its records would go in twice; put it where {reader} does not find it",
                path.display()
            )));
        }
        self.reads(who, path);
        Ok(())
    }

    /// Notes that `who` reads whatever the patterns among these paths match, also what is not there yet.
    pub fn reads_matches(&mut self, who: impl Into<String>, files: FileOptions) {
        self.matched.push((files, who.into()));
    }

    /// Notes that `who` writes files of these names, and no others, in a folder of its own.
    ///
    /// # Errors
    /// As of [`Places::writes`].
    pub fn writes_folder(
        &mut self,
        who: impl Into<String>,
        folder: &Path,
        names: impl IntoIterator<Item = PathBuf>,
    ) -> Result<(), CliError> {
        let who = who.into();
        for name in names {
            self.refuse_matched(&who, &folder.join(name))?;
        }
        self.take(who, folder)
    }

    /// Notes that `who` writes the file `path`.
    ///
    /// # Errors
    /// [`CliError::Usage`] if somebody else reads or writes it, or will.
    pub fn writes(&mut self, who: impl Into<String>, path: &Path) -> Result<(), CliError> {
        let who = who.into();
        self.refuse_matched(&who, path)?;
        self.take(who, path)
    }

    /// A job that reads what it writes would never come to an end, and its next run would begin with it.
    fn refuse_matched(&self, who: &str, path: &Path) -> Result<(), CliError> {
        let pattern =
            |(files, reader): &'_ (FileOptions, String)| Some((files.pattern_of(path)?.to_owned(), reader.clone()));
        match self.matched.iter().find_map(pattern) {
            None => Ok(()),
            Some((pattern, reader)) => Err(CliError::Usage(format!(
                "{who} would write {}, which {reader} would read by its pattern {pattern}; write it to another folder, or give a pattern that \
                 does not match it",
                path.display()
            ))),
        }
    }

    fn take(&mut self, who: String, path: &Path) -> Result<(), CliError> {
        let place = resolved(path);
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

    #[test]
    fn an_output_that_a_pattern_will_match_is_refused_before_it_exists() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let reading = |pattern: &str| {
            let mut places = Places::default();
            places.reads_matches("source file", FileOptions::at_rest([at(pattern).display().to_string()]));
            places
        };
        for (pattern, output) in [
            ("*.ndjson", "dead-letters.ndjson"),
            ("*.ndjson", "sub/../out.ndjson"),
            ("./sub/../*.ndjson", "out.ndjson"),
            ("**/*.ndjson", "a/b/out.ndjson"),
        ] {
            let refused = reading(pattern)
                .writes("sink out", &at(output))
                .unwrap_err()
                .to_string();
            assert!(
                refused.contains("which source file would read by its pattern"),
                "{refused}"
            );
        }
        for (pattern, output) in [
            ("*.ndjson", "out/out.ndjson"),
            ("events-*.ndjson", "dead-letters.ndjson"),
        ] {
            reading(pattern).writes("sink out", &at(output)).unwrap();
        }
    }

    #[test]
    fn a_lake_among_the_files_that_are_read_is_refused_only_if_a_pattern_matches_its_files() {
        let dir = tempfile::tempdir().unwrap();
        let writing = |pattern: &str| {
            let mut places = Places::default();
            let pattern = dir.path().join(pattern).display().to_string();
            places.reads_matches("source file", FileOptions::at_rest([pattern]));
            places.writes_folder("sink lake", &dir.path().join("lake"), backplane_lake::kinds_of_files())
        };
        for pattern in ["**/*.json", "**/*", "lake/*/_delta_log/*", "lake/exposures/*/*.parquet"] {
            assert!(writing(pattern).is_err(), "{pattern}");
        }
        for pattern in ["*", "**/*.ndjson", "*/*.ndjson", "*/*.json"] {
            writing(pattern).unwrap();
        }
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
