//! Making the files of a local lake durable, away from the threads that wait for others.

use std::path::PathBuf;

use crate::LakeError;

/// Writes local files through to the disk, with the folders that lead to them from `root` on.
pub(crate) async fn sync(root: PathBuf, files: Vec<PathBuf>) -> Result<(), LakeError> {
    let doing = format!("writing {} through to the disk", root.display());
    let synced = tokio::task::spawn_blocking(move || backplane_connector_api::durable::sync(&root, files)).await;
    synced
        .map_err(LakeError::internal)?
        .map_err(|error| LakeError::storage(doing, error))
}
