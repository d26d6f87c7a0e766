//! Whether a lake can be read and written, before anything is.

use std::fs;
use std::path::Path;

use backplane_events::Table;
use futures::StreamExt;

use crate::LakeError;
use crate::location::Location;
use crate::log::TableLog;

/// Says whether the lake can be written, and whether the tables that it has are of this version. Makes nothing.
pub(crate) async fn check_target(location: &Location) -> Result<(), LakeError> {
    match location.folder() {
        Some(folder) => check_folder(location, &folder)?,
        None => check_storage(location).await?,
    }
    for table in Table::ALL {
        TableLog::open(location, *table).await?;
    }
    Ok(())
}

/// Looks for the nearest folder that exists, and whether a file can be made in it.
fn check_folder(location: &Location, folder: &Path) -> Result<(), LakeError> {
    let unwritable = |reason: String| LakeError::Unwritable {
        url: location.text().to_owned(),
        reason,
    };
    for ancestor in folder.ancestors() {
        match fs::metadata(ancestor) {
            Ok(metadata) if metadata.is_dir() => {
                let made = tempfile::tempfile_in(ancestor);
                return made
                    .map(drop)
                    .map_err(|error| unwritable(format!("{}: {error}", ancestor.display())));
            }
            Ok(_) => {
                return Err(LakeError::NotAFolder {
                    path: ancestor.display().to_string(),
                });
            }
            // a file stands where a folder should; the next ancestor is it
            Err(error)
                if matches!(
                    error.kind(),
                    std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
                ) => {}
            Err(error) => return Err(unwritable(format!("{}: {error}", ancestor.display()))),
        }
    }
    Err(unwritable("no folder above it exists".to_owned()))
}

/// Asks an object store for anything, to see that it answers.
async fn check_storage(location: &Location) -> Result<(), LakeError> {
    let store = location.delta_table(Table::Exposures)?.object_store();
    match store.list(None).next().await {
        None | Some(Ok(_) | Err(object_store::Error::NotFound { .. })) => Ok(()),
        Some(Err(error)) => Err(LakeError::Unwritable {
            url: location.text().to_owned(),
            reason: error.to_string(),
        }),
    }
}
