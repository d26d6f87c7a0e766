//! The storage of a job's checkpoints: a local folder or any object store, by the same calls.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::future::Future;
use std::io;
use std::path::{Path as LocalPath, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backplane_connector_api::{Epoch, durable};
use futures::TryStreamExt as _;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{Error, GetResultPayload, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

use crate::error::CheckpointError;
use crate::layout;
use crate::manifest::{EpochRecord, FORMAT, Manifest, ManifestRef, PartRef, Writer};
use crate::part::{Bytestream, PartReader, PartWriter, hash_of};
use crate::place::{Credentials, in_short};
use crate::protocol::{self, Attempt, Verdict};

/// How often a call that may be repeated is made.
const ATTEMPTS: u32 = 4;

/// The checkpoints of one job.
pub struct CheckpointStore {
    store: Arc<dyn ObjectStore>,
    /// The job's folder in the store.
    root: Path,
    /// The same on the local file system, where it is there.
    folder: Option<PathBuf>,
    runtime: Runtime,
    credentials: Credentials,
    pub(crate) patience: Patience,
}

/// How long things are waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// A call that gives no answer for so long has failed.
    pub answer: Duration,
    /// How long a call that failed and may be repeated is waited with before the second time; twice as long before each further one.
    pub repeat: Duration,
    /// How often a running instance gives a sign of life.
    pub beat: Duration,
    /// An instance without a sign of life for so long may be taken over.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            answer: Duration::from_secs(60),
            repeat: Duration::from_millis(100),
            beat: Duration::from_secs(1),
            silence: Duration::from_secs(5),
        }
    }
}

impl CheckpointStore {
    /// The checkpoints of a job in a local folder, which need not exist.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn local(folder: &LocalPath, job: &str) -> Result<Self, CheckpointError> {
        let bad = |reason: String| CheckpointError::BadUrl {
            url: folder.display().to_string(),
            reason,
        };
        let folder = folder.join(folder_name(job));
        std::fs::create_dir_all(&folder).map_err(|error| bad(error.to_string()))?;
        let folder = folder.canonicalize().map_err(|error| bad(error.to_string()))?;
        let store =
            object_store::local::LocalFileSystem::new_with_prefix(&folder).map_err(|error| bad(error.to_string()))?;
        Self::with(Arc::new(store), Path::default(), Some(folder))
    }

    /// The checkpoints of a job below a path of a store.
    ///
    /// # Errors
    /// The system gives no room for it.
    pub fn remote(store: Arc<dyn ObjectStore>, below: &Path, job: &str) -> Result<Self, CheckpointError> {
        let root = below.clone().join(folder_name(job));
        Self::with(store, root, None)
    }

    fn with(store: Arc<dyn ObjectStore>, root: Path, folder: Option<PathBuf>) -> Result<Self, CheckpointError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("checkpoint")
            .enable_all()
            .build()
            .map_err(|error| CheckpointError::internal(format!("cannot start the threads of checkpoints: {error}")))?;
        Ok(CheckpointStore {
            store,
            root,
            folder,
            runtime,
            credentials: Credentials::default(),
            patience: Patience::default(),
        })
    }

    /// With credentials that no error may show.
    pub(crate) fn hiding(mut self, credentials: Credentials) -> Self {
        self.credentials = credentials;
        self
    }

    /// What the store says, in short and without credentials.
    pub(crate) fn told(&self, error: &impl Display) -> String {
        self.credentials.hidden_in(&in_short(&error.to_string()))
    }

    /// Waits as long as this.
    #[must_use]
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// The job's folder, where it is on the local file system.
    #[must_use]
    pub fn folder(&self) -> Option<&LocalPath> {
        self.folder.as_deref()
    }

    /// Waits for a call that is not made again, as long as for any.
    pub(crate) fn wait_for<T>(&self, work: impl Future<Output = T>) -> io::Result<T> {
        self.answer(work)
            .map_err(|silent| io::Error::new(io::ErrorKind::TimedOut, silent.to_string()))
    }

    /// Waits for work as long as for any.
    fn answer<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let in_time = async { tokio::time::timeout(self.patience.answer, work).await };
        let silent = |_| Failure::Silent(self.patience.answer);
        self.runtime.block_on(in_time).map_err(silent)
    }

    fn at(&self, path: &str) -> Path {
        path.split('/').fold(self.root.clone(), |place, name| place.join(name))
    }

    /// Makes a call that may be made again, until it succeeds, the error says that it never will, or there is no hope left.
    fn again<T, F>(&self, doing: &str, mut call: impl FnMut() -> F) -> Result<Option<T>, CheckpointError>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut pause = self.patience.repeat;
        for attempt in 1.. {
            let error = match self.in_time(call()) {
                Ok(value) => return Ok(Some(value)),
                Err(Failure::Said(Error::NotFound { .. })) => return Ok(None),
                Err(failure) => failure,
            };
            let told = self.told(&error);
            if attempt >= ATTEMPTS || !error.may_pass() {
                return Err(CheckpointError::storage(doing, told));
            }
            tracing::warn!(error = told, attempt, "{doing} failed; trying again");
            std::thread::sleep(pause);
            pause *= 2;
        }
        Err(CheckpointError::internal("no attempt was made"))
    }

    fn in_time<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, Failure> {
        self.answer(call)?.map_err(Failure::Said)
    }

    pub(crate) fn make_durable(&self, path: &str) -> Result<(), CheckpointError> {
        match &self.folder {
            Some(folder) => durable::sync(folder, [path])
                .map_err(|error| CheckpointError::storage(format!("writing {path} through to the disk"), error)),
            None => Ok(()),
        }
    }

    pub(crate) fn put(&self, path: &str, bytes: Vec<u8>) -> Result<(), CheckpointError> {
        self.put_lightly(path, bytes)?;
        self.make_durable(path)
    }

    /// As [`CheckpointStore::put`], for what may be lost when the machine fails.
    fn put_lightly(&self, path: &str, bytes: Vec<u8>) -> Result<(), CheckpointError> {
        let (place, payload) = (self.at(path), PutPayload::from(bytes));
        let doing = format!("writing {path}");
        let put = self.again(&doing, || self.store.put(&place, payload.clone()))?;
        // only what is to be read may be missing
        put.map(drop)
            .ok_or_else(|| CheckpointError::storage(doing, "there is no such bucket or container; make it first"))
    }

    fn get(&self, path: &str) -> Result<Option<Vec<u8>>, CheckpointError> {
        let place = self.at(path);
        let read = || async { Ok(self.store.get(&place).await?.bytes().await?.to_vec()) };
        self.again(&format!("reading {path}"), read)
    }

    fn list(&self, folder: &str) -> Result<Vec<String>, CheckpointError> {
        let place = self.at(folder);
        let list = || async {
            let found: Vec<_> = self.store.list(Some(&place)).try_collect().await?;
            Ok(found)
        };
        let found = self.again(&format!("listing {folder}"), list)?.unwrap_or_default();
        let mut names: Vec<String> = found
            .iter()
            .filter_map(|object| object.location.filename())
            .map(|name| format!("{folder}/{name}"))
            .collect();
        names.sort();
        Ok(names)
    }

    fn read_json<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, CheckpointError> {
        let Some(bytes) = self.get(path)? else {
            return Ok(None);
        };
        let value = serde_json::from_slice(&bytes);
        value.map(Some).map_err(|error| CheckpointError::damaged(path, error))
    }

    fn to_json(value: &impl Serialize) -> Result<Vec<u8>, CheckpointError> {
        serde_json::to_vec_pretty(value).map_err(CheckpointError::internal)
    }

    /// Begins a piece of state.
    #[must_use]
    pub fn write_part(self: &Arc<Self>, epoch: Epoch, writer: Writer, name: &str) -> PartWriter {
        PartWriter::new(Arc::clone(self), layout::part(epoch, writer, name))
    }

    pub(crate) fn upload(&self, path: &str) -> BufWriter {
        BufWriter::new(Arc::clone(&self.store), self.at(path))
    }

    /// Opens a piece of state.
    ///
    /// # Errors
    /// It is gone, or the storage failed.
    pub fn read_part<'a>(&'a self, part: &'a PartRef) -> Result<PartReader<'a>, CheckpointError> {
        let place = self.at(&part.path);
        let found = self.again(&format!("reading {}", part.path), || self.store.get(&place))?;
        let found =
            found.ok_or_else(|| CheckpointError::damaged(format!("the state part {}", part.path), "it is gone"))?;
        let input = match found.payload {
            GetResultPayload::File(file, _) => Bytestream::File(file),
            GetResultPayload::Stream(stream) => Bytestream::Stream(stream),
        };
        Ok(PartReader::new(self, part, input))
    }

    /// Writes a manifest down.
    ///
    /// # Errors
    /// The storage failed.
    pub fn put_manifest(&self, manifest: &Manifest) -> Result<ManifestRef, CheckpointError> {
        let path = layout::manifest(manifest.epoch, manifest.writer);
        let bytes = Self::to_json(manifest)?;
        let hash = hash_of(&bytes);
        self.put(&path, bytes)?;
        Ok(ManifestRef { path, hash })
    }

    /// Decides an epoch, if nobody else has.
    ///
    /// # Errors
    /// [`CheckpointError::TakenOver`] if somebody has; [`CheckpointError::Ambiguous`] if the storage does not say who.
    pub fn decide(&self, record: &EpochRecord) -> Result<(), CheckpointError> {
        let path = layout::record(record.epoch);
        let doing = format!("deciding epoch {}", record.epoch.0);
        let (place, payload) = (self.at(&path), PutPayload::from(Self::to_json(record)?));
        let mut pause = self.patience.repeat;
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            let created = self.in_time(self.store.put_opts(&place, payload.clone(), PutMode::Create.into()));
            let attempt = match &created {
                Ok(_) => Attempt::Created,
                Err(Failure::Said(Error::AlreadyExists { .. } | Error::Precondition { .. })) => Attempt::Exists,
                Err(failure) => {
                    last = self.told(failure);
                    Attempt::Unknown
                }
            };
            let mut verdict = protocol::verdict(record.writer, attempt, None);
            if verdict == Verdict::ReadBack {
                let found = self.record(record.epoch);
                let found = found.map_err(|error| CheckpointError::Ambiguous {
                    doing: doing.clone(),
                    reason: format!("{last} {error}"),
                })?;
                verdict = protocol::verdict(record.writer, attempt, Some(found.as_ref()));
            }
            match verdict {
                // it is there, whatever becomes of it
                Verdict::Mine => {
                    return self.make_durable(&path).map_err(|error| CheckpointError::Ambiguous {
                        doing,
                        reason: error.to_string(),
                    });
                }
                Verdict::Another(writer) => {
                    return Err(CheckpointError::TakenOver {
                        epoch: record.epoch,
                        by: self.name_of(writer),
                    });
                }
                Verdict::TryAgain | Verdict::ReadBack => {
                    tracing::warn!(error = last, "{doing} failed; trying again");
                    std::thread::sleep(pause);
                    pause *= 2;
                }
            }
        }
        Err(CheckpointError::Ambiguous { doing, reason: last })
    }

    /// Who a writer is, as far as it can be told.
    fn name_of(&self, writer: Writer) -> String {
        match self.owner() {
            Ok(Some(owner)) if owner.writer == writer => owner.to_string(),
            _ => format!("writer {writer}"),
        }
    }

    /// The decided epochs that are kept, in order.
    ///
    /// # Errors
    /// The storage failed.
    pub fn epochs(&self) -> Result<Vec<Epoch>, CheckpointError> {
        let names = self.list(layout::EPOCHS)?;
        Ok(names.iter().filter_map(|name| layout::epoch_of(name)).collect())
    }

    /// The decision on an epoch, if there is one.
    ///
    /// # Errors
    /// The storage failed, or the record cannot be read.
    pub fn record(&self, epoch: Epoch) -> Result<Option<EpochRecord>, CheckpointError> {
        self.read_json(&layout::record(epoch))
    }

    /// The manifest of a decided epoch.
    ///
    /// # Errors
    /// There is no such epoch, its manifest is missing or not what was decided, or of another format.
    pub fn manifest(&self, epoch: Epoch) -> Result<Manifest, CheckpointError> {
        let Some(record) = self.record(epoch)? else {
            let kept: Vec<String> = self.epochs()?.iter().map(|epoch| epoch.0.to_string()).collect();
            return Err(CheckpointError::NoSuchEpoch {
                wanted: epoch,
                available: match kept.as_slice() {
                    [] => "the job has none".to_owned(),
                    _ => format!("there are {}", kept.join(", ")),
                },
            });
        };
        let what = format!("the manifest of epoch {}", epoch.0);
        let bytes = self.get(&record.manifest.path)?;
        let bytes = bytes.ok_or_else(|| CheckpointError::damaged(&what, "it is gone"))?;
        if hash_of(&bytes) != record.manifest.hash {
            return Err(CheckpointError::damaged(&what, "its checksum is another"));
        }
        let manifest: Manifest =
            serde_json::from_slice(&bytes).map_err(|error| CheckpointError::damaged(&what, error))?;
        if manifest.format != FORMAT {
            return Err(CheckpointError::OtherFormat {
                engine: manifest.engine,
                format: manifest.format,
            });
        }
        Ok(manifest)
    }

    /// Reads everything that an epoch names, and says whether it is what was written.
    ///
    /// # Errors
    /// The first thing that is not.
    pub fn verify(&self, epoch: Epoch) -> Result<Manifest, CheckpointError> {
        let manifest = self.manifest(epoch)?;
        for part in manifest.parts() {
            self.read_part(part)?.finish()?;
        }
        Ok(manifest)
    }

    /// The last decided epoch before this one that is whole.
    #[must_use]
    pub fn last_good_before(&self, epoch: Epoch) -> Option<Epoch> {
        let epochs = self.epochs().ok()?;
        let mut before = epochs.into_iter().rev().filter(|kept| *kept < epoch);
        // the first epoch of a job has no state to go on from
        before.find(|kept| {
            self.verify(*kept)
                .is_ok_and(|manifest| manifest.parts().next().is_some())
        })
    }

    /// Removes what no kept epoch names; `last` is the last decided epoch. What cannot be removed is left for the next time.
    ///
    /// # Errors
    /// The epochs to keep cannot be read: then nothing is removed.
    pub fn collect_garbage(
        &self,
        last: Epoch,
        retain: usize,
        known: &BTreeMap<Epoch, Manifest>,
    ) -> Result<usize, CheckpointError> {
        let decided = self.epochs()?;
        if decided.last().is_some_and(|later| *later > last) {
            // another instance has gone on, perhaps from what we would remove
            return Ok(0);
        }
        let mut kept = Vec::new();
        for epoch in protocol::retained(&decided, retain) {
            kept.push(match known.get(epoch) {
                Some(manifest) => manifest.clone(),
                None => self.manifest(*epoch)?,
            });
        }
        let mut names = self.list(layout::MANIFESTS)?;
        names.extend(self.list(layout::STATE)?);
        let garbage = protocol::garbage(&names, &decided, &kept, last);
        let remove = |path: &String| match self.in_time(self.store.delete(&self.at(path))) {
            Ok(()) | Err(Failure::Said(Error::NotFound { .. })) => true,
            Err(error) => {
                tracing::debug!(error = self.told(&error), path, "garbage could not be removed");
                false
            }
        };
        if !garbage.records.iter().all(remove) {
            return Ok(0);
        }
        Ok(garbage.records.len() + garbage.others.iter().filter(|path| remove(path)).count())
    }

    /// Removes what uploads of killed processes have left in a local folder. Nothing may be on its way.
    pub fn remove_broken_uploads(&self) {
        let Some(folder) = &self.folder else { return };
        for folder in [layout::STATE, layout::MANIFESTS, layout::EPOCHS].map(|name| folder.join(name)) {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let name = entry.file_name().to_string_lossy().into_owned();
                let suffix = name.split_once('#').map(|(_, suffix)| suffix);
                if suffix.is_some_and(|suffix| suffix.bytes().all(|byte| byte.is_ascii_digit())) {
                    drop(std::fs::remove_file(entry.path()));
                }
            }
        }
    }

    /// Removes all checkpoints of the job.
    ///
    /// # Errors
    /// The storage failed; what is left is no checkpoint.
    pub fn reset(&self) -> Result<usize, CheckpointError> {
        let mut removed = 0;
        // decisions first: without them the rest is garbage
        for folder in [layout::EPOCHS, layout::MANIFESTS, layout::STATE] {
            for path in self.list(folder)? {
                let place = self.at(&path);
                self.again(&format!("removing {path}"), || self.store.delete(&place))?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Who runs the job, or ran it last.
    ///
    /// # Errors
    /// The storage failed.
    pub fn owner(&self) -> Result<Option<crate::Owner>, CheckpointError> {
        self.read_json(layout::OWNER)
    }

    /// Why a write of the instance that holds the job failed: an owner that is gone has gone with everything else.
    #[must_use]
    pub fn why(&self, error: CheckpointError) -> CheckpointError {
        match self.owner() {
            Ok(None) => CheckpointError::Removed,
            _ => error,
        }
    }

    pub(crate) fn write_owner(&self, owner: &crate::Owner) -> Result<(), CheckpointError> {
        self.put_lightly(layout::OWNER, Self::to_json(owner)?)
    }
}

/// A job's name as that of a folder: what a path could misread is written as `_` and its number.
fn folder_name(job: &str) -> String {
    if job.is_empty() {
        return "_".to_owned();
    }
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let mut name = String::with_capacity(job.len());
    for byte in job.bytes() {
        if is_plain(byte) || (byte == b'.' && !name.is_empty()) {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("_{byte:02x}"));
        }
    }
    name
}

/// How a call failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{0}")]
    Said(Error),
    #[error("it gave no answer for {} seconds", .0.as_secs())]
    Silent(Duration),
}

impl Failure {
    /// Whether another attempt may succeed.
    fn may_pass(&self) -> bool {
        match self {
            Failure::Silent(_) => true,
            Failure::Said(error) => !matches!(
                error,
                Error::NotSupported { .. }
                    | Error::NotImplemented { .. }
                    | Error::PermissionDenied { .. }
                    | Error::Unauthenticated { .. }
                    | Error::InvalidPath { .. }
            ),
        }
    }
}
