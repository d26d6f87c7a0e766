//! The folder of a demonstration.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::exit::CliError;

/// Files of events, each a source partition.
pub const FILES: u16 = 2;
/// Says that the folder is a demonstration's, and may be replaced by the next.
const MARKER: &str = ".backplane-demo";

/// A folder that holds a demonstration and nothing of anybody else's.
#[derive(Debug)]
pub struct DemoFolder {
    path: PathBuf,
}

impl DemoFolder {
    /// Makes the folder, or empties that of an earlier demonstration. Files that no demonstration wrote stay where they are.
    ///
    /// # Errors
    /// It holds something else, or cannot be written.
    pub fn prepare(path: &Path) -> Result<Self, CliError> {
        // what is shown and typed later is the shorter for it
        let path = path
            .strip_prefix("./")
            .ok()
            .filter(|shorter| !shorter.as_os_str().is_empty())
            .unwrap_or(path);
        let folder = DemoFolder { path: path.to_owned() };
        match fs::read_dir(path) {
            Ok(entries) => {
                let is_demo = folder.marker().is_file();
                if !is_demo && entries.count() > 0 {
                    return Err(CliError::Usage(format!(
                        "{} is not empty and not an earlier demo; name another folder with --dir",
                        path.display()
                    )));
                }
                folder.clear()?;
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => folder.make()?,
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                return Err(CliError::Usage(format!(
                    "{} is a file; name a folder with --dir",
                    path.display()
                )));
            }
            Err(error) => return Err(CliError::file(format!("{} cannot be read", path.display()), error)),
        }
        let marked = fs::write(
            folder.marker(),
            "This folder was made by `backplane demo`, which may replace it.\n",
        );
        marked.map_err(|error| CliError::file(format!("{} cannot be written", path.display()), error))?;
        Ok(folder)
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the events are.
    pub fn events(&self) -> Vec<PathBuf> {
        (1..=FILES)
            .map(|number| self.path.join(format!("events-{number}.ndjson")))
            .collect()
    }

    /// Where the configuration is.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.yaml")
    }

    /// Where the lake is.
    pub fn lake(&self) -> PathBuf {
        self.path.join("lake")
    }

    /// Where a second lake could be.
    pub fn other_lake(&self) -> PathBuf {
        self.path.join("lake-2")
    }

    /// Where bad records are.
    pub fn dead_letters(&self) -> PathBuf {
        self.path.join("dead-letters.ndjson")
    }

    /// Where bad records of a second run could be.
    pub fn other_dead_letters(&self) -> PathBuf {
        self.path.join("dead-letters-2.ndjson")
    }

    fn marker(&self) -> PathBuf {
        self.path.join(MARKER)
    }

    fn make(&self) -> Result<(), CliError> {
        fs::create_dir_all(&self.path)
            .map_err(|error| CliError::file(format!("the folder {} cannot be made", self.path.display()), error))
    }

    /// Takes the folder away again, if nothing but the marker is in it.
    pub fn give_up(&self) {
        let is_empty = fs::read_dir(&self.path).is_ok_and(|entries| entries.count() == 1);
        if is_empty {
            // whoever interrupted us need not hear that an empty folder stays
            let _ = fs::remove_file(self.marker()).and_then(|()| fs::remove_dir(&self.path));
        }
    }

    /// Removes what a demonstration, and the commands that it proposes, have written.
    fn clear(&self) -> Result<(), CliError> {
        let mut places = vec![self.config(), self.lake(), self.dead_letters()];
        places.extend([self.other_lake(), self.other_dead_letters()]);
        for events in self.events() {
            places.push(backplane_generator::truth_path(&events));
            places.push(events);
        }
        for place in places {
            let removed = if place.is_dir() {
                fs::remove_dir_all(&place)
            } else {
                fs::remove_file(&place)
            };
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(CliError::file(
                        format!("{} of an earlier demo cannot be removed", place.display()),
                        error,
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_demo_is_replaced_and_what_else_is_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("demo");
        let folder = DemoFolder::prepare(&path).unwrap();
        fs::create_dir(folder.lake()).unwrap();
        fs::write(folder.lake().join("old"), "").unwrap();
        fs::write(path.join("notes.txt"), "mine").unwrap();
        let folder = DemoFolder::prepare(&path).unwrap();
        assert!(!folder.lake().exists());
        assert_eq!(fs::read_to_string(path.join("notes.txt")).unwrap(), "mine");
    }

    #[test]
    fn a_folder_of_somebody_else_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.yaml"), "mine").unwrap();
        let refused = DemoFolder::prepare(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("is not empty and not an earlier demo"), "{refused}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        let refused = DemoFolder::prepare(&dir.path().join("config.yaml"))
            .unwrap_err()
            .to_string();
        assert!(refused.contains("is a file; name a folder"), "{refused}");
    }
}
