//! Epochs are prepared, decided and made visible here, one after the other, while the job goes on.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use backplane_checkpoint::{CheckpointError, EpochRecord, FORMAT, Manifest, PartRef};
use backplane_connector_api::{ConnectorError, Effect, Epoch, steps};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::recovery::Recovered;
use super::{Barrier, Checkpoints, NewState};
use crate::error::RuntimeError;
use crate::outlets::{Answer, SinkHandle};

/// How often it is looked whether the job is still ours.
const BEAT: Duration = Duration::from_millis(250);
/// What was decided is made visible in so many attempts, if the sink says that another may succeed.
const ATTEMPTS: u32 = 5;
/// The pause before the second attempt; before each further one twice as long.
const PAUSE: Duration = Duration::from_millis(200);
/// The name of pieces of changes that were put together.
const MERGED: &str = "merged-changes";
/// So many pieces stand by themselves before they are put together, in tests so few that it happens.
const SINGLE_PARTS: usize = if cfg!(test) { 3 } else { 32 };
/// So many pieces that were put together are, before all of them are made one.
const MERGED_PARTS: usize = if cfg!(test) { 2 } else { 16 };
/// Stores that are not on this machine are looked through for garbage once in so many epochs.
const REMOTE_GARBAGE: u64 = 16;

/// An epoch to commit.
pub struct Work {
    barrier: Barrier,
    state: Option<Result<NewState, RuntimeError>>,
}

impl Work {
    pub fn without_state(barrier: Barrier) -> Self {
        Work { barrier, state: None }
    }

    pub fn with_state(barrier: Barrier, state: Result<NewState, RuntimeError>) -> Self {
        Work {
            barrier,
            state: Some(state),
        }
    }
}

/// Commits epochs.
pub struct Committer {
    sinks: Vec<SinkHandle>,
    storage: Option<Storage>,
}

/// The storage of a job's epochs, and what the last of them is made of.
pub struct Storage {
    checkpoints: Checkpoints,
    base: Vec<PartRef>,
    changes: Vec<PartRef>,
    /// The manifests that are kept.
    manifests: BTreeMap<Epoch, Manifest>,
    /// How many epochs were committed.
    commits: u64,
}

impl Committer {
    pub fn new(sinks: Vec<SinkHandle>, storage: Option<Storage>) -> Self {
        Committer { sinks, storage }
    }

    /// Commits what comes until the job is gone or an epoch has failed.
    pub fn carry_out(mut self, work: &Receiver<Work>, tell: &Sender<Result<Epoch, RuntimeError>>) {
        loop {
            let done = match work.recv_timeout(BEAT) {
                Ok(work) => self.commit(work),
                Err(RecvTimeoutError::Timeout) => match self.check() {
                    Ok(()) => continue,
                    Err(error) => Err(error),
                },
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let has_failed = done.is_err();
            if tell.send(done).is_err() || has_failed {
                break;
            }
        }
    }

    /// Whether the job is still ours.
    fn check(&self) -> Result<(), RuntimeError> {
        match &self.storage {
            Some(Storage { checkpoints, .. }) => Ok(checkpoints.lease.check()?),
            None => Ok(()),
        }
    }

    fn why(&self, error: RuntimeError) -> RuntimeError {
        match (error, &self.storage) {
            (RuntimeError::Checkpoint(error), Some(storage)) => storage.checkpoints.store.why(error).into(),
            (error, _) => error,
        }
    }

    fn commit(&mut self, work: Work) -> Result<Epoch, RuntimeError> {
        let Barrier { epoch, head, prepared } = work.barrier;
        let effects = self.effects(epoch, prepared)?;
        steps::reach("prepared");
        if let (Some(storage), Some(state)) = (&mut self.storage, work.state) {
            let by_sink = self.sinks.iter().zip(&effects);
            let by_sink = by_sink.map(|(sink, effect)| (sink.name().to_owned(), effect.clone()));
            let decided = state.and_then(|state| storage.decide(epoch, head, state, by_sink.collect()));
            if let Err(error) = decided {
                // once the record may be there, nothing of the epoch is removed
                let may_be_decided = matches!(&error, RuntimeError::Checkpoint(CheckpointError::Ambiguous { .. }));
                if !may_be_decided {
                    self.discard(epoch, &effects, 0);
                }
                return Err(self.why(error));
            }
        }
        for (index, (sink, effect)) in self.sinks.iter().zip(&effects).enumerate() {
            if let Err(error) = publish(sink, epoch, effect) {
                if self.storage.is_none() {
                    self.discard(epoch, &effects, index);
                }
                return Err(error.into());
            }
            steps::reach("published");
        }
        if let Some(storage) = &mut self.storage {
            storage.collect_garbage(epoch);
            steps::reach("collected");
        }
        self.check()?;
        Ok(epoch)
    }

    /// What every sink has prepared. Where one has failed, the others give up what they have.
    fn effects(&self, epoch: Epoch, prepared: Vec<Answer<Effect>>) -> Result<Vec<Effect>, RuntimeError> {
        let answers: Vec<Result<Effect, ConnectorError>> = prepared.into_iter().map(Answer::wait).collect();
        if answers.iter().all(Result::is_ok) {
            return Ok(answers.into_iter().flatten().collect());
        }
        let mut failure = None;
        for (sink, answer) in self.sinks.iter().zip(answers) {
            match answer {
                // what cannot be removed stays, and no reader sees it
                Ok(effect) => drop(sink.discard(epoch, &effect).wait()),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        Err(failure.map_or_else(|| RuntimeError::internal("no sink has failed"), RuntimeError::from))
    }

    /// Has the sinks from `from` on give up an epoch that nobody will ever publish.
    fn discard(&self, epoch: Epoch, effects: &[Effect], from: usize) {
        for (sink, effect) in self.sinks.iter().zip(effects).skip(from) {
            drop(sink.discard(epoch, effect).wait());
        }
    }
}

/// Makes an epoch visible in a sink; a place that is out of reach for a moment is waited for.
///
/// # Errors
/// The sink failed.
pub fn publish(sink: &SinkHandle, epoch: Epoch, effect: &Effect) -> Result<(), ConnectorError> {
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match sink.publish(epoch, effect).wait() {
            Err(error) if error.is_retryable() => {
                tracing::warn!(sink = sink.name(), epoch = epoch.0, %error, "making an epoch visible failed; trying again");
                std::thread::sleep(pause);
                pause *= 2;
            }
            done => return done,
        }
    }
    sink.publish(epoch, effect).wait()
}

impl Storage {
    pub fn new(checkpoints: Checkpoints, recovered: Recovered) -> Self {
        Storage {
            checkpoints,
            base: recovered.base,
            changes: recovered.changes,
            manifests: BTreeMap::new(),
            commits: 0,
        }
    }

    /// Makes an epoch's state durable, and decides it.
    fn decide(
        &mut self,
        epoch: Epoch,
        head: serde_json::Value,
        state: NewState,
        effects: BTreeMap<String, Effect>,
    ) -> Result<(), RuntimeError> {
        match state {
            NewState::Base(parts) => {
                let parts: Result<_, CheckpointError> = parts.into_iter().map(|part| part.finish()).collect();
                self.base = parts?;
                self.changes.clear();
            }
            NewState::Change(part) => self.changes.push(part.finish()?),
        }
        self.merge_changes(epoch)?;
        steps::reach("state-written");
        let manifest = self
            .checkpoints
            .manifest(epoch, head, (&self.base, &self.changes), effects);
        self.checkpoints.decide(&manifest)?;
        self.manifests.insert(epoch, manifest);
        while self.manifests.len() > self.checkpoints.retain.max(1) {
            self.manifests.pop_first();
        }
        Ok(())
    }

    /// Puts pieces of changes together where they have become many: a manifest names them all, and recovery reads them one by one.
    fn merge_changes(&mut self, epoch: Epoch) -> Result<(), CheckpointError> {
        let is_merged = |part: &&PartRef| part.path.ends_with(MERGED);
        let merged = self.changes.iter().take_while(is_merged).count();
        let from = match (merged, self.changes.len() - merged) {
            (_, single) if single <= SINGLE_PARTS => return Ok(()),
            (merged, _) if merged < MERGED_PARTS => merged,
            _ => 0,
        };
        let Checkpoints { store, writer, .. } = &self.checkpoints;
        let mut whole = store.write_part(epoch, *writer, MERGED);
        for part in self.changes.iter().skip(from) {
            let mut bytes = store.read_part(part)?;
            let copied = io::copy(&mut bytes, &mut whole);
            // says why reading failed, if it did
            bytes.finish()?;
            copied.map_err(|error| CheckpointError::storage(format!("putting {} beside others", part.path), error))?;
        }
        let whole = whole.finish()?;
        self.changes.truncate(from);
        self.changes.push(whole);
        Ok(())
    }

    /// Removes what no kept epoch names. What cannot be done now is done later.
    fn collect_garbage(&mut self, last: Epoch) {
        let Checkpoints { store, retain, .. } = &self.checkpoints;
        let is_first_of_some = self.commits.is_multiple_of(REMOTE_GARBAGE);
        self.commits += 1;
        if store.folder().is_none() && !is_first_of_some {
            return;
        }
        if let Err(error) = store.collect_garbage(last, *retain, &self.manifests) {
            tracing::debug!(%error, "garbage stays for now");
        }
    }
}

impl Checkpoints {
    /// What an epoch of these parts is.
    pub(super) fn manifest(
        &self,
        epoch: Epoch,
        head: serde_json::Value,
        (base, changes): (&[PartRef], &[PartRef]),
        effects: BTreeMap<String, Effect>,
    ) -> Manifest {
        Manifest {
            format: FORMAT,
            engine: env!("CARGO_PKG_VERSION").to_owned(),
            job: self.job.clone(),
            epoch,
            writer: self.writer,
            created: chrono::Utc::now().to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            fingerprint: self.fingerprint.clone(),
            base: base.to_vec(),
            changes: changes.to_vec(),
            head,
            effects,
            withdrawn: Vec::new(),
        }
    }

    /// Writes an epoch down and decides it. This is the one deciding act of a job: where a Kafka transaction is to decide, it takes the place
    /// of the second call.
    pub(super) fn decide(&self, manifest: &Manifest) -> Result<(), RuntimeError> {
        backplane_memory::check().map_err(|error| RuntimeError::Lost {
            reason: error.to_string(),
        })?;
        let record = EpochRecord {
            epoch: manifest.epoch,
            writer: manifest.writer,
            manifest: self.store.put_manifest(manifest)?,
        };
        steps::reach("manifest-written");
        self.store.decide(&record)?;
        steps::reach("decided");
        Ok(())
    }
}
