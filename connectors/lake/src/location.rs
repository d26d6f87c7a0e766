//! Where a lake and its tables are.

use std::path::PathBuf;

use backplane_events::Table;
use deltalake_core::DeltaTable;
use deltalake_core::logstore::{StorageConfig, logstore_for};
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
        let mut url = if text.contains("://") {
            Url::parse(text).map_err(|error| bad(&error.to_string()))?
        } else {
            let path = std::path::absolute(text).map_err(|error| bad(&error.to_string()))?;
            Url::from_directory_path(path).map_err(|()| bad("it is not a path"))?
        };
        if url.scheme() == "file" && url.to_file_path().is_err() {
            return Err(bad("a file URL has three slashes, file:///folder"));
        }
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self {
            text: text.to_owned(),
            url,
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
        let log_store = logstore_for(&url, StorageConfig::default()).map_err(|_| {
            bad(format!(
                "{}:// is not a kind of storage that this build can use",
                url.scheme()
            ))
        })?;
        Ok(DeltaTable::new(log_store))
    }
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
    }

    #[test]
    fn an_address_that_is_none_is_refused_in_a_sentence() {
        for (text, reason) in [
            ("", "it is empty"),
            ("file://lake", "a file URL has three slashes"),
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
