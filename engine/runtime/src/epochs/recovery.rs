//! What there is to go on from, and the first epoch of a run: it makes sure that nobody else decides one any more.

use std::collections::BTreeMap;

use backplane_checkpoint::{CheckpointError, CheckpointStore, Manifest, PartRef};
use backplane_connector_api::{Effect, Epoch, steps};

use super::Checkpoints;
use super::commit::publish;
use crate::error::RuntimeError;
use crate::outlets::SinkHandle;
use crate::state::blocks::Extent;

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
    /// The last decided epoch.
    latest: Option<Manifest>,
    /// The epoch whose state is taken; none to begin at the beginning.
    from: Option<Manifest>,
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
    /// How much of a block the journal takes.
    pub extent: Extent,
}

impl Recovery {
    /// Finds out what there is.
    ///
    /// # Errors
    /// There is no such epoch, what describes it is damaged, or the storage failed.
    pub fn read(store: &CheckpointStore, start: Start) -> Result<Self, CheckpointError> {
        let epochs = store.epochs()?;
        let manifest = |epoch: Epoch| {
            let read = store.manifest(epoch);
            read.map_err(|error| error.with_last_good(store.last_good_before(epoch)))
        };
        let latest = epochs.last().copied().map(manifest).transpose()?;
        let mut withdrawn = Vec::new();
        if let Start::Epoch(wanted) = start {
            let mut later = epochs.iter().filter(|epoch| **epoch > wanted);
            if let Some(by) = later.find(|later| {
                store
                    .manifest(**later)
                    .is_ok_and(|kept| kept.withdrawn.contains(&wanted))
            }) {
                return Err(CheckpointError::NoSuchEpoch {
                    wanted,
                    available: format!(
                        "its rows were taken back when epoch {} went back to an earlier one",
                        by.0
                    ),
                });
            }
        }
        let from = match start {
            Start::Latest => latest.clone(),
            Start::Beginning => None,
            Start::Epoch(wanted) => {
                let from = manifest(wanted)?;
                for later in epochs.iter().rev().filter(|epoch| **epoch > wanted) {
                    withdrawn.push(manifest(*later)?);
                }
                Some(from)
            }
        };
        // an epoch that only says who runs the job has no state of its own
        let from = from.filter(|manifest| !manifest.base.is_empty());
        Ok(Recovery {
            latest,
            from,
            withdrawn,
        })
    }

    /// The epoch that is gone on from; none at the beginning.
    #[must_use]
    pub fn from(&self) -> Option<&Manifest> {
        self.from.as_ref()
    }

    /// Completes the last decided epoch in the sinks: it may have been decided and no more.
    pub(crate) fn roll_forward(&self, store: &CheckpointStore, sinks: &[SinkHandle]) -> Result<(), RuntimeError> {
        for sink in sinks {
            let effect = self.latest.as_ref().and_then(|latest| latest.effects.get(sink.name()));
            sink.recover(effect.unwrap_or(&Effect::Null)).wait()?;
        }
        let Some(latest) = &self.latest else { return Ok(()) };
        for epoch in &latest.withdrawn {
            withdraw(&store.manifest(*epoch)?, sinks)?;
        }
        for (name, effect) in &latest.effects {
            match sinks.iter().find(|sink| sink.name() == name) {
                Some(sink) => publish(sink, latest.epoch, effect)?,
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

    /// Decides an epoch with the state that is gone on from, so that an earlier instance can decide none any more; then takes back what was
    /// written after that state.
    pub(crate) fn claim(
        self,
        checkpoints: &Checkpoints,
        sinks: &[SinkHandle],
        extent: Extent,
    ) -> Result<Recovered, RuntimeError> {
        let last = self.latest.map_or(0, |latest| latest.epoch.0);
        let (base, changes, head) = match self.from {
            Some(from) => (from.base, from.changes, from.head),
            None => (Vec::new(), Vec::new(), serde_json::Value::Null),
        };
        let epoch = Epoch(last + 1);
        let mut manifest = checkpoints.manifest(epoch, head, (&base, &changes), BTreeMap::new());
        manifest.withdrawn = self.withdrawn.iter().map(|later| later.epoch).collect();
        checkpoints.decide(&manifest)?;
        steps::reach("claimed");
        for later in &self.withdrawn {
            withdraw(later, sinks)?;
        }
        Ok(Recovered {
            epoch,
            base,
            changes,
            extent,
        })
    }
}

fn withdraw(later: &Manifest, sinks: &[SinkHandle]) -> Result<(), RuntimeError> {
    for sink in sinks {
        if let Some(effect) = later.effects.get(sink.name()) {
            sink.withdraw(later.epoch, effect).wait()?;
        }
    }
    Ok(())
}
