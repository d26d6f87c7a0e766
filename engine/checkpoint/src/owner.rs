//! Who runs a job: one instance at a time, and a dead one keeps nobody out.
//!
//! Two things keep a second instance out: on one machine the lock of a file, which ends with its process; everywhere a sign of life that the
//! owner writes again and again. Neither decides anything: should both fail, the record of an epoch is created by one instance only
//! ([`CheckpointError::TakenOver`]).

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use backplane_connector_api::Epoch;
use serde::{Deserialize, Serialize};

use crate::error::CheckpointError;
use crate::manifest::Writer;
use crate::store::CheckpointStore;

/// The instance that runs a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    /// How it signs.
    pub writer: Writer,
    /// Its machine.
    pub host: String,
    /// Its process.
    pub process: u32,
    /// When it began, RFC 3339.
    pub since: String,
    /// Its signs of life, counted.
    pub beat: u64,
    /// Whether it has ended in order.
    pub released: bool,
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "process {} on {}, since {}",
            self.process, self.host, self.since
        )
    }
}

/// The right to run a job, given up when it is dropped. A thread of its own gives the signs of life, whatever the job is at.
#[derive(Debug)]
pub struct Lease {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
    /// Held for as long as the process lives.
    _lock: Option<File>,
}

#[derive(Debug, Default)]
struct Shared {
    has_ended: Mutex<bool>,
    ends: Condvar,
    /// As if the process were stopped (see `testing::hold_still`).
    holds_still: AtomicBool,
    /// Why the job must stop, until somebody is told.
    failure: Mutex<Option<CheckpointError>>,
}

impl Lease {
    /// Takes the job, once nobody else shows a sign of life. Waits for one where an instance has not ended in order.
    ///
    /// # Errors
    /// [`CheckpointError::Running`] if another instance is alive; the storage failed.
    pub fn take(store: &Arc<CheckpointStore>, writer: Writer) -> Result<Self, CheckpointError> {
        let lock = lock(store)?;
        if !matches!(lock, Lock::Held(_)) {
            wait_for_silence(store)?;
        }
        let owner = Owner {
            writer,
            host: host(),
            process: std::process::id(),
            since: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            beat: 0,
            released: false,
        };
        store.write_owner(&owner)?;
        let shared = Arc::new(Shared::default());
        let (theirs, store) = (Arc::clone(&shared), Arc::clone(store));
        let thread = std::thread::Builder::new()
            .name("owner".to_owned())
            .spawn(move || live(&store, owner, &theirs))
            .map_err(|error| CheckpointError::internal(format!("cannot start the thread of the owner: {error}")))?;
        Ok(Lease {
            shared,
            thread: Some(thread),
            _lock: match lock {
                Lock::Held(file) => Some(file),
                Lock::Taken | Lock::Impossible => None,
            },
        })
    }

    pub(crate) fn hold_still(&self, holds_still: bool) {
        self.shared.holds_still.store(holds_still, Ordering::Relaxed);
    }

    /// Whether the job is still ours.
    ///
    /// # Errors
    /// [`CheckpointError::TakenOver`] if another instance has taken the job; [`CheckpointError::Removed`] if its checkpoints are gone.
    pub fn check(&self) -> Result<(), CheckpointError> {
        match held(&self.shared.failure).take() {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        *held(&self.shared.has_ended) = true;
        self.shared.ends.notify_all();
        if let Some(thread) = self.thread.take() {
            // a thread that panicked has said so
            drop(thread.join());
        }
    }
}

/// A holder that panicked has left whole values behind.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives signs of life until the lease ends, or the job is somebody else's; then gives it up in order.
fn live(store: &CheckpointStore, mut owner: Owner, shared: &Shared) {
    let mut has_ended = held(&shared.has_ended);
    while !*has_ended {
        let waited = shared.ends.wait_timeout(has_ended, store.patience.beat);
        has_ended = waited.unwrap_or_else(PoisonError::into_inner).0;
        if *has_ended {
            break;
        }
        drop(has_ended);
        if !shared.holds_still.load(Ordering::Relaxed)
            && let Err(error) = beat(store, &mut owner)
        {
            *held(&shared.failure) = Some(error);
            return;
        }
        has_ended = held(&shared.has_ended);
    }
    owner.released = true;
    let is_mine = store
        .owner()
        .is_ok_and(|known| known.is_some_and(|known| known.writer == owner.writer));
    if is_mine && let Err(error) = store.write_owner(&owner) {
        tracing::debug!(%error, "the job could not be given up in order");
    }
}

/// Gives a sign of life. A failure of the storage is of no matter: the next one comes soon.
fn beat(store: &CheckpointStore, owner: &mut Owner) -> Result<(), CheckpointError> {
    match store.owner() {
        // one that came and went, refused for its configuration perhaps, has taken nothing
        Ok(Some(other)) if other.writer != owner.writer && !other.released => {
            return Err(CheckpointError::TakenOver {
                epoch: store.epochs()?.last().copied().unwrap_or(Epoch(0)),
                by: other.to_string(),
            });
        }
        Ok(Some(_)) => {}
        // what is written from now on would name pieces that are not there any more
        Ok(None) => return Err(CheckpointError::Removed),
        Err(error) => tracing::debug!(%error, "the owner of the job cannot be read"),
    }
    owner.beat += 1;
    if let Err(error) = store.write_owner(owner) {
        tracing::debug!(%error, "no sign of life could be given");
    }
    Ok(())
}

/// What became of the attempt to lock a local job.
enum Lock {
    /// It is ours: no other process of this machine runs the job.
    Held(File),
    /// Another process of this machine holds it.
    Taken,
    /// There is nothing to lock, or the file system knows no locks.
    Impossible,
}

fn lock(store: &CheckpointStore) -> Result<Lock, CheckpointError> {
    let Some(folder) = store.folder() else {
        return Ok(Lock::Impossible);
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(folder.join("lock"))
        .map_err(|error| CheckpointError::storage("locking the job's checkpoints", error))?;
    Ok(match file.try_lock() {
        Ok(()) => Lock::Held(file),
        Err(TryLockError::WouldBlock) => Lock::Taken,
        Err(TryLockError::Error(_)) => Lock::Impossible,
    })
}

/// Returns once the owner has shown no sign of life for long enough, or has ended in order.
fn wait_for_silence(store: &CheckpointStore) -> Result<(), CheckpointError> {
    let first = store.owner()?;
    let Some(first) = first.filter(|owner| !owner.released) else {
        return Ok(());
    };
    tracing::info!(owner = %first, "another instance has run this job; waiting for a sign of life");
    let begin = Instant::now();
    while begin.elapsed() < store.patience.silence {
        std::thread::sleep(store.patience.beat / 4);
        match store.owner()? {
            Some(now) if now.released => return Ok(()),
            Some(now) if (now.writer, now.beat) != (first.writer, first.beat) => {
                return Err(CheckpointError::Running { by: now.to_string() });
            }
            Some(_) => {}
            None => return Ok(()),
        }
    }
    Ok(())
}

fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .or_else(|| {
            std::env::var("HOSTNAME")
                .or_else(|_| std::env::var("COMPUTERNAME"))
                .ok()
        })
        .unwrap_or_else(|| "an unknown machine".to_owned())
}
