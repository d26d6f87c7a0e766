//! Stores by their address.

use std::path::Path as LocalPath;
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path;
use object_store::{ObjectStore, RetryConfig};
use url::Url;

use crate::error::CheckpointError;
use crate::store::CheckpointStore;

/// Object stores that checkpoints can be kept on: how their URLs begin, and the environment variables that are read, by the names that
/// `object_store` documents.
struct Remote {
    schemes: &'static [&'static str],
    /// What must never be shown.
    credentials: &'static [&'static str],
    settings: &'static [&'static str],
}

static S3: Remote = Remote {
    schemes: &["s3"],
    credentials: &[
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_SSE_CUSTOMER_KEY_BASE64",
    ],
    settings: &[
        "AWS_DEFAULT_REGION",
        "AWS_REGION",
        "AWS_ENDPOINT",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_S3",
        "AWS_ENDPOINT_URL_STS",
        "AWS_ALLOW_HTTP",
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
        "AWS_UNSIGNED_PAYLOAD",
        "AWS_CHECKSUM_ALGORITHM",
        "AWS_SKIP_SIGNATURE",
        "AWS_REQUEST_PAYER",
        "AWS_S3_EXPRESS",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "AWS_ROLE_SESSION_NAME",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
        "AWS_METADATA_ENDPOINT",
        "AWS_IMDSV1_FALLBACK",
        "AWS_SERVER_SIDE_ENCRYPTION",
        "AWS_SSE_KMS_KEY_ID",
        "AWS_SSE_BUCKET_KEY_ENABLED",
    ],
};

static AZURE: Remote = Remote {
    schemes: &["az", "abfss"],
    credentials: &[
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_MASTER_KEY",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_TOKEN",
        "AZURE_STORAGE_CLIENT_SECRET",
        "AZURE_CLIENT_SECRET",
    ],
    settings: &[
        "AZURE_STORAGE_ACCOUNT_NAME",
        "AZURE_STORAGE_CLIENT_ID",
        "AZURE_CLIENT_ID",
        "AZURE_STORAGE_TENANT_ID",
        "AZURE_TENANT_ID",
        "AZURE_STORAGE_AUTHORITY_HOST",
        "AZURE_AUTHORITY_HOST",
        "AZURE_STORAGE_ENDPOINT",
        "AZURE_ENDPOINT",
        "AZURE_STORAGE_USE_EMULATOR",
        "AZURE_ALLOW_HTTP",
        "AZURE_SKIP_SIGNATURE",
        "AZURE_MSI_ENDPOINT",
        "AZURE_IDENTITY_ENDPOINT",
        "IDENTITY_ENDPOINT",
        "AZURE_OBJECT_ID",
        "AZURE_MSI_RESOURCE_ID",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_USE_AZURE_CLI",
        "AZURE_USE_FABRIC_ENDPOINT",
    ],
};

static GOOGLE: Remote = Remote {
    schemes: &["gs"],
    credentials: &["GOOGLE_SERVICE_ACCOUNT_KEY"],
    settings: &[
        "SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_BASE_URL",
        "GOOGLE_ALLOW_HTTP",
        "GOOGLE_SKIP_SIGNATURE",
    ],
};

/// How often a store's client makes a call again by itself: long enough for a piece of state that is uploaded bit by bit, which cannot be begun
/// anew, and short enough that a wrong address is soon told.
fn retries() -> RetryConfig {
    RetryConfig {
        max_retries: 6,
        retry_timeout: Duration::from_secs(60),
        ..RetryConfig::default()
    }
}

/// Makes the store of a URL with a builder of `object_store`.
macro_rules! built {
    ($builder:ty, $url:expr, $options:expr) => {{
        let builder = <$builder>::new().with_url($url.as_str()).with_retry(retries());
        let builder = $options.into_iter().fold(builder, |builder, (name, value)| {
            match name.to_ascii_lowercase().parse() {
                Ok(key) => builder.with_config(key, value),
                Err(_) => builder,
            }
        });
        builder.build().map(|store| Arc::new(store) as Arc<dyn ObjectStore>)
    }};
}

impl CheckpointStore {
    /// The checkpoints of a job at a path, a `file:` URL, or the URL of an object store: `s3://bucket/path`, `gs://bucket/path`,
    /// `az://container/path` or `abfss://container@account.dfs.core.windows.net/path`. Credentials and the like come from the environment
    /// variables of the store (`AWS_*`, `GOOGLE_*`, `AZURE_*`), never from the URL. A folder need not exist; a bucket must.
    ///
    /// # Errors
    /// It is no such address, it holds credentials, or the environment does not fit; no error repeats a credential.
    pub fn open(url: &str, environment: impl Fn(&str) -> Option<String>, job: &str) -> Result<Self, CheckpointError> {
        if !url.contains("://") {
            return Self::local(LocalPath::new(url), job);
        }
        let bad = |reason: &str| CheckpointError::BadUrl {
            url: beginning(url),
            reason: reason.to_owned(),
        };
        let parsed = Url::parse(url).map_err(|error| bad(&format!("this is not a URL: {error}")))?;
        if parsed.scheme() == "file" {
            let folder = parsed
                .to_file_path()
                .map_err(|()| bad("a file URL has three slashes, file:///folder"))?;
            return Self::local(&folder, job);
        }
        let remote = [&S3, &AZURE, &GOOGLE]
            .into_iter()
            .find(|remote| remote.schemes.contains(&parsed.scheme()))
            .ok_or_else(|| {
                bad("use a path, file:///path, s3://bucket/path, gs://bucket/path or az://container/path")
            })?;
        refuse_credentials(&parsed).map_err(bad)?;
        // from here on it is known to hold none
        let bad = |reason: String| CheckpointError::BadUrl {
            url: url.to_owned(),
            reason,
        };
        let below = Path::from_url_path(parsed.path()).map_err(|error| bad(error.to_string()))?;
        let given = |names: &'static [&'static str]| -> Vec<(&'static str, String)> {
            let given = names.iter().filter_map(|name| Some((*name, environment(name)?)));
            given.filter(|(_, value)| !value.is_empty()).collect()
        };
        let mut options = given(remote.credentials);
        let credentials = Credentials(options.iter().map(|(_, value)| value.clone()).collect());
        options.extend(given(remote.settings));
        let built = match remote.schemes {
            ["s3"] => built!(AmazonS3Builder, parsed, options),
            ["gs"] => built!(GoogleCloudStorageBuilder, parsed, options),
            _ => built!(MicrosoftAzureBuilder, parsed, options),
        };
        let store = built.map_err(|error| bad(credentials.hidden_in(&in_short(&error.to_string()))))?;
        Ok(Self::remote(store, &below, job)?.hiding(credentials))
    }
}

/// What may be shown of a URL that may hold credentials.
fn beginning(url: &str) -> String {
    let scheme = url.split("://").next().unwrap_or_default();
    if scheme.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        format!("{scheme}://…")
    } else {
        "what is given".to_owned()
    }
}

/// Refuses what may be a credential, and where a bucket's name is missing.
fn refuse_credentials(url: &Url) -> Result<(), &'static str> {
    // Azure's own way to write a container and its account looks like a user and a host
    let is_container = url.scheme() == "abfss" && url.password().is_none();
    if url.password().is_some() || !(url.username().is_empty() || is_container) {
        return Err(
            "it holds a user name or a password; put credentials into the environment, and leave them out here",
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(
            "it goes on behind its path; put credentials into the environment, and leave out what begins with ? or #",
        );
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it names no bucket");
    }
    Ok(())
}

/// Texts that no error may show, also where a server repeats them.
#[derive(Clone, Default)]
pub(crate) struct Credentials(Vec<String>);

impl Credentials {
    pub(crate) fn hidden_in(&self, text: &str) -> String {
        self.0
            .iter()
            .fold(text.to_owned(), |text, credential| text.replace(credential, "***"))
    }
}

/// The text of a store's error in one line, of a server's document what it says.
pub(crate) fn in_short(text: &str) -> String {
    let said = |tag: &str| {
        let (_, rest) = text.split_once(&format!("<{tag}>"))?;
        Some(rest.split_once(&format!("</{tag}>"))?.0)
    };
    let head = text.split(['<', '\n']).next().unwrap_or_default();
    let head = head.trim_end_matches([' ', ':', '.']);
    match (said("Code"), said("Message")) {
        (Some(code), Some(message)) => format!("{head}: {code}, {}", message.trim_end_matches('.')),
        (Some(word), None) | (None, Some(word)) => format!("{head}: {}", word.trim_end_matches('.')),
        (None, None) => head.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    use object_store::aws::AmazonS3ConfigKey;
    use object_store::azure::AzureConfigKey;
    use object_store::gcp::GoogleConfigKey;

    use super::*;
    use crate::store::Patience;

    fn open(url: &str, environment: &[(&str, &str)]) -> Result<CheckpointStore, String> {
        let value = |name: &str| {
            let found = environment.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        CheckpointStore::open(url, value, "job").map_err(|error| error.to_string())
    }

    #[test]
    fn every_variable_is_one_that_its_store_knows() {
        let names = |remote: &Remote| [remote.credentials, remote.settings].concat();
        for name in names(&S3) {
            assert!(name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>().is_ok(), "{name}");
        }
        for name in names(&AZURE) {
            assert!(name.to_ascii_lowercase().parse::<AzureConfigKey>().is_ok(), "{name}");
        }
        for name in names(&GOOGLE) {
            assert!(name.to_ascii_lowercase().parse::<GoogleConfigKey>().is_ok(), "{name}");
        }
    }

    #[test]
    fn a_path_and_its_url_are_the_same_local_folder() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("my checkpoints");
        let by_path = open(folder.to_str().unwrap(), &[]).unwrap();
        let by_url = open(Url::from_file_path(&folder).unwrap().as_str(), &[]).unwrap();
        assert_eq!(by_path.folder(), by_url.folder());
        assert!(by_path.folder().unwrap().starts_with(folder.canonicalize().unwrap()));
    }

    #[test]
    fn each_kind_of_store_is_opened_with_what_the_environment_has() {
        let account = ("AZURE_STORAGE_ACCOUNT_NAME", "account");
        let key = ("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0");
        for (url, environment) in [
            ("s3://bucket/below/it", &[][..]),
            ("s3://bucket", &[("AWS_REGION", "eu-central-1")]),
            ("az://container/path", &[account, key]),
            ("abfss://container/path", &[account, key]),
            ("abfss://container@account.dfs.core.windows.net/path", &[key]),
            ("gs://bucket/path", &[("GOOGLE_SKIP_SIGNATURE", "true")]),
        ] {
            assert!(open(url, environment).unwrap().folder().is_none(), "{url}");
        }
        let error = open("az://container/path", &[key]).err().unwrap();
        assert!(
            error.starts_with("az://container/path is not the address of a folder for checkpoints: "),
            "{error}"
        );
        let error = open("s3://bucket", &[("AWS_ALLOW_HTTP", "perhaps")]).err().unwrap();
        assert!(error.contains("perhaps"), "{error}");
    }

    #[test]
    fn an_address_that_is_none_is_refused_without_what_may_be_a_credential() {
        for (url, reason) in [
            ("s3://hunter2@bucket/path", "put credentials into the environment"),
            ("s3://id:hunter2@bucket/path", "put credentials into the environment"),
            ("s3://id:hun/ter2@bucket/path", "is not a URL"),
            ("az://hunter2@account/path", "put credentials into the environment"),
            (
                "abfss://container:hunter2@account.dfs.core.windows.net/path",
                "put credentials into the environment",
            ),
            (
                "az://container/path?sig=hunter2",
                "put credentials into the environment",
            ),
            ("gs://bucket/path#hunter2", "put credentials into the environment"),
            ("id:hunter2@s3://bucket", "what is given is not the address"),
            ("s3:///hunter2", "names no bucket"),
            ("ftp://hunter2/path", "use a path, file:///path, s3://bucket/path"),
            ("file://hunter2/path", "three slashes"),
        ] {
            let error = open(url, &[]).err().unwrap();
            assert!(error.contains(reason), "{error}");
            assert!(!error.contains("ter2"), "{error}");
        }
    }

    #[test]
    fn what_a_server_says_is_one_line() {
        for (text, short) in [
            (
                "Server returned non-2xx status code: 404 Not Found: <?xml version=\"1.0\"?>\n<Error><Code>NoSuchBucket</Code>\n<Message>The \
                 specified bucket does not exist.</Message></Error>",
                "Server returned non-2xx status code: 404 Not Found: NoSuchBucket, The specified bucket does not exist",
            ),
            ("it is gone.\nsource: somewhere", "it is gone"),
            ("503: <html>", "503"),
        ] {
            assert_eq!(in_short(text), short);
        }
    }

    #[test]
    fn a_server_that_repeats_a_credential_is_not_quoted() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut asked = [0; 4096];
            let length = connection.read(&mut asked).unwrap();
            let body = "<Error><Code>InvalidAccessKeyId</Code><Message>There is no key hunter2.</Message></Error>";
            let length_line = format!("Content-Length: {}", body.len());
            write!(
                connection,
                "HTTP/1.1 403 Forbidden\r\n{length_line}\r\nConnection: close\r\n\r\n{body}"
            )
            .unwrap();
            String::from_utf8_lossy(&asked[..length]).into_owned()
        });
        let environment = [
            ("AWS_ACCESS_KEY_ID", "hunter2"),
            ("AWS_SECRET_ACCESS_KEY", "hunter3"),
            ("AWS_ENDPOINT", endpoint.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
        ];
        let store = open("s3://bucket/below", &environment).unwrap();
        let store = store.with_patience(Patience {
            repeat: Duration::ZERO,
            ..Patience::default()
        });
        let error = store.owner().unwrap_err().to_string();
        assert!(error.contains("InvalidAccessKeyId, There is no key ***"), "{error}");
        let asked = server.join().unwrap();
        assert!(asked.starts_with("GET /bucket/below/job/owner.json "), "{asked}");
        assert!(asked.contains("hunter2/"), "the request is signed: {asked}");
    }
}
