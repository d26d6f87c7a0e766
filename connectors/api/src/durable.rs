//! Making local files durable: object stores are, local file systems are when they are told.

use std::fs::File;
use std::io;
use std::path::Path;

/// Writes files below `root` through to the disk, with the names of the folders that lead to them from `root` on.
///
/// # Errors
/// One of them is not there, or the disk failed.
pub fn sync(root: &Path, files: impl IntoIterator<Item = impl AsRef<Path>>) -> io::Result<()> {
    let mut folders = Vec::new();
    for file in files {
        let file = file.as_ref();
        File::open(root.join(file))?.sync_all()?;
        let mut folder = file.parent();
        while let Some(path) = folder {
            folders.push(root.join(path));
            folder = path.parent();
        }
    }
    folders.sort();
    folders.dedup();
    if cfg!(unix) {
        for folder in folders {
            File::open(folder)?.sync_all()?;
        }
    }
    Ok(())
}
