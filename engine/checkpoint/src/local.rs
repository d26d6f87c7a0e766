//! Making local files durable: object stores are, local file systems are when they are told.

use std::fs::File;
use std::io;
use std::path::Path;

/// Writes a file and the names of the folders that lead to it from `root` on through to the disk.
pub(crate) fn sync(root: &Path, below: &str) -> io::Result<()> {
    let file = root.join(below);
    File::open(&file)?.sync_all()?;
    if cfg!(unix) {
        let mut folder = file.parent();
        while let Some(path) = folder.filter(|path| path.starts_with(root)) {
            File::open(path)?.sync_all()?;
            folder = path.parent();
        }
    }
    Ok(())
}
