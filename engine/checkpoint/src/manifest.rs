//! What an epoch is made of, as it is written down.

use std::collections::BTreeMap;
use std::fmt;

use backplane_connector_api::{Effect, Epoch};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The format of manifests and state parts that this version writes. It reads no other.
pub const FORMAT: u32 = 6;

/// One run of the engine, as it signs what it writes: two runs of one job never have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Writer(pub Uuid);

impl Writer {
    /// A new one.
    #[must_use]
    pub fn new() -> Self {
        Writer(Uuid::new_v4())
    }
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(formatter)
    }
}

/// A piece of state, written once and never changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartRef {
    /// Where it is, below the job's folder.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// XXH3 (128 bits) of its bytes, in hexadecimal.
    pub hash: String,
}

/// Everything that an epoch is: immutable, and without effect until the epoch is decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// See [`FORMAT`].
    pub format: u32,
    /// The version of the engine.
    pub engine: String,
    /// The job.
    pub job: String,
    /// The epoch.
    pub epoch: Epoch,
    /// Who wrote it.
    pub writer: Writer,
    /// When, RFC 3339.
    pub created: String,
    /// What decides the results, as hashes by part of the configuration.
    pub fingerprint: BTreeMap<String, String>,
    /// The state as it was at some epoch, or nothing at the beginning.
    pub base: Vec<PartRef>,
    /// What has changed since, in order.
    pub changes: Vec<PartRef>,
    /// What is written anew each time: positions, clocks, counts.
    pub head: serde_json::Value,
    /// What the sinks have to publish, by name.
    pub effects: BTreeMap<String, Effect>,
    /// Earlier epochs whose effects the sinks have to take back, the last first: the job has gone back to one before them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub withdrawn: Vec<Epoch>,
}

impl Manifest {
    /// Every part of the state.
    pub fn parts(&self) -> impl Iterator<Item = &PartRef> {
        self.base.iter().chain(&self.changes)
    }
}

/// Where a manifest is, and what it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestRef {
    /// Where it is, below the job's folder.
    pub path: String,
    /// XXH3 (128 bits) of its bytes, in hexadecimal.
    pub hash: String,
}

/// The decision on an epoch: it is there, or it is not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EpochRecord {
    /// The epoch.
    pub epoch: Epoch,
    /// Who decided.
    pub writer: Writer,
    /// What was decided.
    pub manifest: ManifestRef,
}
