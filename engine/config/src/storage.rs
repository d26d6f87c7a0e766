//! Where a lake or a folder of checkpoints is.

use std::{fmt, path::PathBuf};

use serde::{Serialize, Serializer};

/// The schemes of object stores: Amazon S3 and what speaks like it, Azure by two names, Google Cloud Storage.
const OBJECT_STORES: [&str; 4] = ["s3", "az", "abfss", "gs"];

/// The place of a lake or of checkpoints: a `file:///absolute/path` URL, or a path, relative to the working directory. Checkpoints may also be
/// at the URL of an object store, which holds no credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StorageUrl(String);

impl StorageUrl {
    /// A folder on the local file system.
    #[must_use]
    pub fn local(path: impl AsRef<std::path::Path>) -> Self {
        Self(path.as_ref().to_string_lossy().into_owned())
    }

    /// Reads a path or the URL of a local folder.
    ///
    /// # Errors
    /// The URL is malformed, or of a scheme that this version cannot store to. The message never repeats the URL, which may hold
    /// credentials.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::read(text, |url| {
            let scheme = url.scheme();
            Err(format!(
                "{scheme} storage is not available in this version; use a path or file:///path"
            ))
        })
    }

    /// Reads a path or a URL, also one of an object store.
    ///
    /// # Errors
    /// As of [`StorageUrl::parse`]; the URL holds what may be credentials, or names no bucket.
    pub fn parse_remote(text: &str) -> Result<Self, String> {
        if !text.contains("://")
            && let Some((scheme, _)) = text.trim().split_once(":/")
            && OBJECT_STORES.contains(&scheme)
        {
            return Err(format!("a URL needs two slashes: {scheme}://bucket/path"));
        }
        Self::read(text, check_object_store)
    }

    fn read(text: &str, remote: impl Fn(&url::Url) -> Result<(), String>) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("a URL or a path is expected".to_owned());
        }
        if !text.contains("://") {
            return Ok(Self(text.to_owned()));
        }
        let url = url::Url::parse(text).map_err(|error| format!("this is not a URL: {error}"))?;
        if url.scheme() != "file" {
            remote(&url)?;
        } else if url.to_file_path().is_err() {
            return Err("a file URL needs three slashes and an absolute path: file:///path".to_owned());
        }
        Ok(Self(text.to_owned()))
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

/// Refuses what is no URL of an object store, and what may be a credential in one.
fn check_object_store(url: &url::Url) -> Result<(), String> {
    let scheme = url.scheme();
    if !OBJECT_STORES.contains(&scheme) {
        return Err(format!(
            "{scheme} storage is not available in this version; use a path, file:///path, s3://bucket/path, gs://bucket/path or \
             az://container/path"
        ));
    }
    // Azure's own way to write a container and its account looks like a user and a host
    let is_container = scheme == "abfss" && url.password().is_none();
    if url.password().is_some() || !(url.username().is_empty() || is_container) {
        return Err(
            "the URL holds a user name or a password; put credentials into the environment of the job, and leave them out here".to_owned(),
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(
            "the URL goes on behind its path; put credentials into the environment of the job, and leave out what begins with ? or #"
                .to_owned(),
        );
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(format!("the URL names no bucket: {scheme}://bucket/path is expected"));
    }
    Ok(())
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

    #[test]
    fn urls_of_object_stores_are_places_that_are_no_folders() {
        for text in [
            "s3://bucket",
            "s3://bucket/below/it",
            "gs://bucket/path",
            "az://container/path",
            "abfss://container@account.dfs.core.windows.net/path",
        ] {
            let url = StorageUrl::parse_remote(text).unwrap();
            assert_eq!((url.as_str(), url.local_path()), (text, None));
            assert!(StorageUrl::parse(text).is_err());
        }
        let folder = StorageUrl::parse_remote("checkpoints").unwrap();
        assert_eq!(folder.local_path(), Some(PathBuf::from("checkpoints")));
    }

    #[test]
    fn a_url_that_may_hold_credentials_is_refused_and_not_repeated() {
        for (text, reason) in [
            ("s3://id:hunter2@bucket/path", "put credentials into the environment"),
            ("s3://hunter2@bucket/path", "put credentials into the environment"),
            ("s3://id:hun/ter2@bucket/path", "this is not a URL"),
            (
                "abfss://c:hunter2@account.dfs.core.windows.net",
                "put credentials into the environment",
            ),
            (
                "az://container/path?sig=hunter2",
                "put credentials into the environment",
            ),
            ("gs://bucket/path#hunter2", "put credentials into the environment"),
            ("s3:///hunter2", "names no bucket"),
            ("s3:/hunter2", "needs two slashes: s3://bucket/path"),
            (
                "hdfs://hunter2/path",
                "hdfs storage is not available in this version; use a path",
            ),
        ] {
            let message = StorageUrl::parse_remote(text).unwrap_err();
            assert!(message.contains(reason), "{message}");
            assert!(!message.contains("ter2"), "{message}");
        }
    }
}
