//! How far a job has come, for people and for metrics.

use std::time::Duration;

use backplane_events::EventTime;

use crate::block::Block;

/// What a job has counted. Every record that leaves the stream without entering a result is in one of these.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Lines read, blank ones included.
    pub lines: u64,
    /// Bytes read, after decompression.
    pub bytes: u64,
    /// Records decoded.
    pub records: u64,
    /// Records that went to the dead-letter output.
    pub dead_letters: u64,
    /// Second deliveries.
    pub duplicates: u64,
    /// Records late for at least one window.
    pub late: u64,
    /// Records too late for everything.
    pub too_late: u64,
    /// Outcomes whose subject had no exposure before them when the correction horizon had passed.
    pub outcomes_without_exposure: u64,
    /// Attributed outcomes that name another variant than their subject's.
    pub variant_mismatches: u64,
    /// Signals raised.
    pub signals: u64,
}

impl Counters {
    /// Counts what became of a block's records that are settled by `watermark`.
    pub(crate) fn take_in(&mut self, block: &Block, watermark: i64) {
        self.duplicates += block.duplicates(watermark);
        self.late += block.late_for_windows(watermark);
    }
}

/// How far a job has come.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// What it has counted.
    pub counters: Counters,
    /// Event time up to which results are complete.
    pub watermark: EventTime,
    /// The greatest event time seen.
    pub last_event_time: EventTime,
    /// Subjects held.
    pub subjects: usize,
    /// (experiment, subject) pairs held.
    pub rows: usize,
    /// Bytes of state, about.
    pub memory: usize,
    /// Bytes of the process's state that lie in files, because it has outgrown its memory.
    pub on_disk: u64,
    /// Records that wait for the watermark.
    pub waiting_records: usize,
    /// Records that earlier runs of the job had decoded.
    pub records_before: u64,
    /// Wall-clock time since the start.
    pub elapsed: Duration,
    /// Whether the job ends by itself.
    pub bounded: bool,
}

/// Is told after every round.
pub trait Observer: Send {
    /// Whether it wants to be told now; counting the state's size has its cost.
    fn is_due(&mut self) -> bool {
        true
    }

    /// A round is over.
    fn round(&mut self, progress: &Progress);
}

/// Looks away.
impl Observer for () {
    fn round(&mut self, _progress: &Progress) {}
}
