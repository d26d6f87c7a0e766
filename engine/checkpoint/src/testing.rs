//! A store that fails, an owner that is silent and epochs of no job, where a test wants them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use backplane_connector_api::Epoch;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use serde_json::json;

use crate::{FORMAT, Lease, Manifest, PartRef, Writer};

/// An epoch of these parts, with one sink.
#[must_use]
pub fn manifest(epoch: Epoch, writer: Writer, parts: &[PartRef]) -> Manifest {
    Manifest {
        format: FORMAT,
        engine: "0".to_owned(),
        job: "a job".to_owned(),
        epoch,
        writer,
        created: String::new(),
        fingerprint: BTreeMap::new(),
        base: Vec::new(),
        changes: parts.to_vec(),
        head: json!({ "positions": [epoch.0 * 10] }),
        effects: BTreeMap::from([("sink".to_owned(), json!({ "offset": epoch }))]),
        withdrawn: Vec::new(),
    }
}

/// Lets an owner give no sign of life, as if its process were stopped, or revives it.
pub fn hold_still(lease: &Lease, holds_still: bool) {
    lease.hold_still(holds_still);
}

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is done, and an error is the answer.
    Refused,
    /// It is done, and an error is the answer.
    AnswerLost,
    /// Nothing is done, and there is no answer.
    Silent,
}

/// Passes calls on to another store, and lets some of them go wrong.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    fault: Fault,
    /// The first call that goes wrong, counted from 0, and how many do.
    first: u64,
    count: u64,
    calls: AtomicU64,
}

impl FaultyStore {
    /// Lets `count` calls from the `first` on, counted from 0, go wrong.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>, fault: Fault, first: u64, count: u64) -> Self {
        FaultyStore {
            inner,
            fault,
            first,
            count,
            calls: AtomicU64::new(0),
        }
    }

    /// How many calls there were.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Carries a call out, or lets it go wrong.
    async fn pass<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        if number < self.first || number - self.first >= self.count {
            return call.await;
        }
        match self.fault {
            Fault::Refused => Err(broken()),
            Fault::AnswerLost => {
                drop(call.await);
                Err(broken())
            }
            Fault::Silent => std::future::pending().await,
        }
    }
}

fn broken() -> Error {
    Error::Generic {
        store: "faulty",
        source: "the connection was reset".into(),
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "a faulty {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.pass(self.inner.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.pass(self.inner.put_multipart_opts(location, options)).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.pass(self.inner.get_opts(location, options)).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.pass(self.inner.get_ranges(location, ranges)).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        if number < self.first || number - self.first >= self.count {
            return self.inner.delete_stream(locations);
        }
        match self.fault {
            Fault::Refused => futures::stream::once(async { Err(broken()) }).boxed(),
            Fault::AnswerLost => {
                let inner = Arc::clone(&self.inner);
                async move {
                    drop(inner.delete_stream(locations).try_collect::<Vec<_>>().await);
                    Err(broken())
                }
                .into_stream()
                .boxed()
            }
            Fault::Silent => futures::stream::pending().boxed(),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        if number < self.first || number - self.first >= self.count {
            return self.inner.list(prefix);
        }
        match self.fault {
            Fault::Refused | Fault::AnswerLost => futures::stream::once(async { Err(broken()) }).boxed(),
            Fault::Silent => futures::stream::pending().boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.pass(self.inner.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.pass(self.inner.copy_opts(from, to, options)).await
    }
}
