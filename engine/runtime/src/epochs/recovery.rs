//! What there is to go on from, and the first epoch of a run: it makes sure that nobody else decides one any more.

use std::collections::BTreeMap;

use backplane_checkpoint::{CheckpointError, CheckpointStore, Manifest, PartRef};
use backplane_connector_api::{Effect, Epoch, steps};

use super::Checkpoints;
use super::commit::publish;
use crate::error::RuntimeError;
use crate::outlets::SinkHandle;

/// Where a run begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// At the last decided epoch, else at the beginning.
    Latest,
    /// At the beginning.
    Beginning,
    /// At an epoch that is kept; what was written after it is taken back.
    Epoch(Epoch),
}

/// What a run goes on from.
#[derive(Debug, Clone)]
pub struct Recovery {
    /// The number of the last decided epoch.
    last: Epoch,
    /// That epoch, where it is known what it is.
    latest: Option<Manifest>,
    /// The epoch whose state is taken; none to begin at the beginning.
    from: Option<Manifest>,
    /// Whether the user wants to begin at the beginning, whatever there is.
    begins_anew: bool,
    /// Epochs after that one, whose effects are taken back, the last first.
    withdrawn: Vec<Manifest>,
}

/// What the epochs of a run begin with.
pub struct Recovered {
    /// The last decided epoch.
    pub epoch: Epoch,
    /// Its state.
    pub base: Vec<PartRef>,
    /// Its state.
    pub changes: Vec<PartRef>,
}

impl Recovery {
    /// Finds out what there is.
    ///
    /// # Errors
    /// There is no such epoch, what describes it is damaged, or the storage failed.
    pub fn read(store: &CheckpointStore, start: Start) -> Result<Self, CheckpointError> {
        let epochs = store.epochs()?;
        let mut recovery = Recovery {
            last: epochs.last().copied().unwrap_or(Epoch(0)),
            latest: None,
            from: None,
            begins_anew: start == Start::Beginning,
            withdrawn: Vec::new(),
        };
        let Some(last) = epochs.last().copied() else {
            if let Start::Epoch(wanted) = start {
                store.manifest(wanted)?;
            }
            return Ok(recovery);
        };
        match start {
            Start::Latest => {
                recovery.latest = Some(store.manifest(last)?);
                recovery.from.clone_from(&recovery.latest);
            }
            Start::Beginning => match store.manifest(last) {
                Ok(manifest) => recovery.latest = Some(manifest),
                Err(error @ (CheckpointError::Damaged { .. } | CheckpointError::OtherFormat { .. })) => {
                    tracing::warn!(%error, "if the job was broken off, its last rows may be missing in its outputs");
                }
                Err(error) => return Err(error),
            },
            Start::Epoch(wanted) => {
                recovery.from = Some(store.manifest(wanted)?);
                for later in epochs.iter().rev().filter(|epoch| **epoch > wanted) {
                    let manifest = store.manifest(*later)?;
                    if manifest.withdrawn.contains(&wanted) {
                        return Err(CheckpointError::NoSuchEpoch {
                            wanted,
                            available: format!(
                                "its rows were taken back when epoch {} went back to an earlier one",
                                later.0
                            ),
                        });
                    }
                    recovery.withdrawn.push(manifest);
                }
                recovery.latest = recovery.withdrawn.first().or(recovery.from.as_ref()).cloned();
            }
        }
        // an epoch that only says who runs the job has no state of its own
        recovery.from = recovery.from.filter(|manifest| !manifest.base.is_empty());
        Ok(recovery)
    }

    /// The epoch that is gone on from; none at the beginning.
    #[must_use]
    pub fn from(&self) -> Option<&Manifest> {
        self.from.as_ref()
    }

    /// Completes the last decided epoch in the sinks, where it may have been decided and no more; decides an epoch with the state that is gone
    /// on from, so that an earlier instance can decide none any more; and only then tidies up, and takes back what was written after that
    /// state.
    pub(crate) fn claim(&self, checkpoints: &Checkpoints, sinks: &[SinkHandle]) -> Result<Recovered, RuntimeError> {
        self.roll_forward(&checkpoints.store, sinks)?;
        checkpoints.store.remove_broken_uploads();
        let (base, changes, head) = match &self.from {
            Some(from) => (from.base.clone(), from.changes.clone(), from.head.clone()),
            None => (Vec::new(), Vec::new(), serde_json::Value::Null),
        };
        let epoch = Epoch(self.last.0 + 1);
        let mut manifest = checkpoints.manifest(epoch, head, (&base, &changes), BTreeMap::new());
        manifest.withdrawn = self.withdrawn.iter().map(|later| later.epoch).collect();
        checkpoints.decide(&manifest)?;
        steps::reach("claimed");
        for sink in sinks {
            let effect = self.latest.as_ref().and_then(|latest| latest.effects.get(sink.name()));
            sink.recover(effect.unwrap_or(&Effect::Null)).wait()?;
        }
        for later in &self.withdrawn {
            withdraw(later, sinks)?;
        }
        Ok(Recovered { epoch, base, changes })
    }

    fn roll_forward(&self, store: &CheckpointStore, sinks: &[SinkHandle]) -> Result<(), RuntimeError> {
        let Some(latest) = &self.latest else { return Ok(()) };
        for epoch in &latest.withdrawn {
            withdraw(&store.manifest(*epoch)?, sinks)?;
        }
        for (name, effect) in &latest.effects {
            match sinks.iter().find(|sink| sink.name() == name) {
                Some(sink) => match publish(sink, latest.epoch, effect) {
                    // nobody goes on from these rows
                    Err(error) if self.begins_anew => {
                        tracing::warn!(%error, epoch = latest.epoch.0, "the last epoch could not be completed");
                    }
                    done => done?,
                },
                None => tracing::warn!(
                    sink = name,
                    epoch = latest.epoch.0,
                    "the configuration has this sink no more; if the job was broken off, its last rows may be missing there"
                ),
            }
        }
        steps::reach("rolled-forward");
        Ok(())
    }
}

fn withdraw(later: &Manifest, sinks: &[SinkHandle]) -> Result<(), RuntimeError> {
    for (name, effect) in &later.effects {
        match sinks.iter().find(|sink| sink.name() == name) {
            Some(sink) => sink.withdraw(later.epoch, effect).wait()?,
            None => tracing::warn!(
                sink = name,
                epoch = later.epoch.0,
                "the configuration has this sink no more: its rows of this epoch stay"
            ),
        }
    }
    Ok(())
}
