//! Where a lake and its tables are.

use std::path::{Path, PathBuf};

use backplane_connector_api::places::resolved;
use backplane_events::Table;
use deltalake_core::logstore::{StorageConfig, logstore_for};
use deltalake_core::{DeltaTable, DeltaTableError};
use url::Url;

use crate::LakeError;

/// The root of a lake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Location {
    /// As the user wrote it.
    text: String,
    /// Ends with a slash.
    url: Url,
}

impl Location {
    /// The place that a URL or a local path names. It need not exist.
    pub(crate) fn parse(text: &str) -> Result<Self, LakeError> {
        let bad = |reason: &str| LakeError::BadUrl {
            url: text.to_owned(),
            reason: reason.to_owned(),
        };
        if text.is_empty() {
            return Err(bad("it is empty"));
        }
        let url = if text.contains("://") {
            Url::parse(text).map_err(|error| bad(&error.to_string()))?
        } else {
            refuse_lookalikes(text).map_err(|reason| bad(&reason))?;
            folder_url(Path::new(text)).map_err(|reason| bad(&reason))?
        };
        if url.scheme() != "file" {
            return Ok(Self {
                text: text.to_owned(),
                url: with_slash(url),
            });
        }
        let folder = url
            .to_file_path()
            .map_err(|()| bad("a file URL has three slashes, file:///folder"))?;
        Ok(Self {
            text: text.to_owned(),
            url: folder_url(&folder).map_err(|reason| bad(&reason))?,
        })
    }

    /// As the user wrote it.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The local folder, if it is one.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        if self.url.scheme() == "file" {
            // without the slash at the end, which would make a file in its place invisible
            let path = self.url.to_file_path().ok()?;
            Some(path.components().collect())
        } else {
            None
        }
    }

    /// The Delta table of this name, not loaded; it need not exist.
    pub(crate) fn delta_table(&self, table: Table) -> Result<DeltaTable, LakeError> {
        let bad = |reason: String| LakeError::BadUrl {
            url: self.text.clone(),
            reason,
        };
        let url = self
            .url
            .join(&format!("{}/", table.name()))
            .map_err(|error| bad(error.to_string()))?;
        let log_store = logstore_for(&url, StorageConfig::default()).map_err(|error| match error {
            DeltaTableError::InvalidTableLocation(_) if url.scheme() != "file" => bad(format!(
                "{}:// is not a kind of storage that this build can use",
                url.scheme()
            )),
            error => bad(error.to_string()),
        })?;
        Ok(DeltaTable::new(log_store))
    }
}

/// Refuses what would make a folder of a name that nobody means.
fn refuse_lookalikes(text: &str) -> Result<(), String> {
    if text == "~" || text.starts_with("~/") {
        return Err("~ is the home folder in a shell only; write the folder out".to_owned());
    }
    if text.starts_with("file:") {
        return Err("a file URL has three slashes, file:///folder".to_owned());
    }
    Ok(())
}

/// The URL of a local folder, which need not exist; `..` and links are resolved, because URLs know neither.
fn folder_url(folder: &Path) -> Result<Url, String> {
    let place = resolved(folder);
    // the libraries below undo the encoding of these twice, and would write beside the folder
    if let Some(character) = place
        .to_string_lossy()
        .chars()
        .find(|character| ['%', '\\'].contains(character))
    {
        return Err(format!(
            "the names of Delta tables' folders cannot have a {character}, as {} has",
            place.display()
        ));
    }
    Url::from_directory_path(&place).map_err(|()| format!("{} is not an absolute path", place.display()))
}

/// So that the names of tables can be joined to it.
fn with_slash(mut url: Url) -> Url {
    if !url.path().ends_with('/') {
        url.set_path(&format!("{}/", url.path()));
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_and_its_url_are_the_same_place() {
        let path = Location::parse("/data/a lake").unwrap();
        let url = Location::parse("file:///data/a%20lake/").unwrap();
        assert_eq!(path.url, url.url);
        assert_eq!(path.folder().unwrap(), PathBuf::from("/data/a lake"));
        assert_eq!(path.text(), "/data/a lake");
    }

    #[test]
    fn a_folder_is_the_same_by_every_path_that_leads_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let written = |path: &str| dir.path().join(path).display().to_string();
        let lake = Location::parse(&written("lake")).unwrap();
        for same in ["lake/", "./lake", "no/../lake", "lake/new/.."] {
            let same = Location::parse(&written(same)).unwrap();
            assert_eq!((&same.url, same.folder()), (&lake.url, lake.folder()));
            assert!(same.delta_table(Table::Looks).is_ok());
        }
        assert!(
            Location::parse("../no-such-lake")
                .unwrap()
                .delta_table(Table::Looks)
                .is_ok()
        );
    }

    #[test]
    fn an_address_that_is_none_is_refused_in_a_sentence() {
        for (text, reason) in [
            ("", "it is empty"),
            ("file://lake", "a file URL has three slashes"),
            ("file:lake", "a file URL has three slashes"),
            ("~/lake", "~ is the home folder in a shell only; write the folder out"),
            ("a%20lake", "cannot have a %, as /"),
            ("file:///a%2520lake", "cannot have a %, as /a%20lake has"),
            ("a\\lake", "cannot have a \\, as /"),
            ("s3://", ""),
        ] {
            let refused = Location::parse(text).and_then(|location| location.delta_table(Table::Looks));
            let message = refused.unwrap_err().to_string();
            assert!(
                message.contains(reason) && message.contains("is not the address of a lake"),
                "{message}"
            );
        }
    }
}
