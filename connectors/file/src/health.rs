//! Whether files can be read and written, before anything is.

use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::FileError;

/// Says whether rows can be appended to this file. Makes nothing.
///
/// # Errors
/// It is a folder, its folder does not exist, or it must not be written.
pub(crate) fn check_target(path: &Path) -> Result<(), FileError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(FileError::TargetIsFolder { path: path.to_owned() }),
        Ok(_) => {
            let opened = OpenOptions::new().append(true).open(path);
            opened.map(drop).map_err(|error| FileError::writing(path, error))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => check_folder(path),
        Err(error) => Err(FileError::writing(path, error)),
    }
}

/// Says whether a file can be made in the folder of `path`: makes one without a name, which is gone when it is closed.
fn check_folder(path: &Path) -> Result<(), FileError> {
    let folder = folder_of(path);
    match fs::metadata(&folder) {
        Ok(metadata) if metadata.is_dir() => tempfile::tempfile_in(&folder)
            .map(drop)
            .map_err(|error| FileError::writing(path, error)),
        Ok(_) | Err(_) => Err(FileError::NoFolder {
            path: path.to_owned(),
            folder,
        }),
    }
}

/// The folder that a file is in, or would be.
pub(crate) fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &Path) -> String {
        check_target(path).unwrap_err().to_string()
    }

    #[test]
    fn a_target_that_cannot_be_written_is_refused_in_a_sentence() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path();
        assert_eq!(
            refusal(at),
            format!(
                "{0} is a folder; name a file to write to, e.g. {0}/out.ndjson",
                at.display()
            )
        );
        assert_eq!(
            refusal(&at.join("no/out.ndjson")),
            format!(
                "{0}/no/out.ndjson cannot be written: the folder {0}/no does not exist; make it first",
                at.display()
            )
        );
        fs::write(at.join("file"), "x").unwrap();
        assert!(refusal(&at.join("file/out.ndjson")).contains("cannot be written"));
    }

    #[test]
    fn a_check_makes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        check_target(&dir.path().join("out.ndjson")).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
