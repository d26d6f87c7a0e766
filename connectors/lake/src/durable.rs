//! Making local files durable: object stores are, local file systems are when they are told.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use crate::LakeError;

/// Writes local files through to the disk, with the folders that lead to them from `root` on.
pub(crate) async fn sync(root: PathBuf, files: Vec<PathBuf>) -> Result<(), LakeError> {
    let doing = format!("writing {} through to the disk", root.display());
    let synced = tokio::task::spawn_blocking(move || sync_all(&root, &files)).await;
    synced
        .map_err(LakeError::internal)?
        .map_err(|error| LakeError::storage(doing, error))
}

fn sync_all(root: &Path, files: &[PathBuf]) -> io::Result<()> {
    let mut folders = Vec::new();
    for file in files {
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
