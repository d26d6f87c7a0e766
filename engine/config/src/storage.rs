//! Where a lake or a folder of checkpoints is.

use std::{fmt, path::PathBuf};

use serde::{Serialize, Serializer};

/// The place of a lake or of checkpoints: a `file:///absolute/path` URL, or a path, relative to the working directory.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StorageUrl(String);

impl StorageUrl {
    /// A folder on the local file system.
    #[must_use]
    pub fn local(path: impl AsRef<std::path::Path>) -> Self {
        Self(path.as_ref().to_string_lossy().into_owned())
    }

    /// Reads a URL or a path.
    ///
    /// # Errors
    /// The URL is malformed, or of a scheme that this version cannot store to. The message never repeats the URL, which may hold
    /// credentials.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("a URL or a path is expected".to_owned());
        }
        if !text.contains("://") {
            return Ok(Self(text.to_owned()));
        }
        let url = url::Url::parse(text).map_err(|error| format!("this is not a URL: {error}"))?;
        if url.scheme() != "file" {
            let scheme = url.scheme();
            return Err(format!(
                "{scheme} storage is not available in this version; use a path or file:///path"
            ));
        }
        match url.to_file_path() {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(()) => Err("a file URL needs three slashes and an absolute path: file:///path".to_owned()),
        }
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder on the local file system, percent-encoding undone; none for other stores.
    #[must_use]
    pub fn local_path(&self) -> Option<PathBuf> {
        if !self.0.contains("://") {
            return Some(PathBuf::from(&self.0));
        }
        url::Url::parse(&self.0)
            .ok()
            .filter(|url| url.scheme() == "file")
            .and_then(|url| url.to_file_path().ok())
    }
}

impl fmt::Display for StorageUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for StorageUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_file_urls_are_folders() {
        assert_eq!(
            StorageUrl::parse("lake").unwrap().local_path(),
            Some(PathBuf::from("lake"))
        );
        let url = StorageUrl::parse("file:///var/lib/my%20lake").unwrap();
        assert_eq!(url.local_path(), Some(PathBuf::from("/var/lib/my lake")));
    }

    #[test]
    fn a_refused_url_is_not_repeated() {
        let message = StorageUrl::parse("s3://id:hunter2@bucket/lake").unwrap_err();
        assert!(
            message.contains("s3 storage is not available") && !message.contains("hunter2"),
            "{message}"
        );
        assert!(
            StorageUrl::parse("file://relative/lake")
                .unwrap_err()
                .contains("three slashes")
        );
        assert!(StorageUrl::parse(" ").is_err());
    }
}
