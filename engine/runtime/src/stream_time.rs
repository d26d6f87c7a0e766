//! Stream time: what a record's event time means for its partition, decided from the record order alone.
//!
//! Pure functions; the wall clock comes in as an argument.

use std::time::{Duration, Instant};

use crate::plan::{Boundaries, TimePlan, WindowPlan};

/// The clock of one source partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PartitionClock {
    /// Running maximum of event time, `i64::MIN` before the first record.
    pub running_maximum: i64,
}

impl Default for PartitionClock {
    fn default() -> Self {
        PartitionClock {
            running_maximum: i64::MIN,
        }
    }
}

impl PartitionClock {
    /// The watermark: no record is expected before it. `i64::MIN` before the first record.
    #[must_use]
    pub fn watermark(self, time: &TimePlan) -> i64 {
        if self.running_maximum == i64::MIN {
            i64::MIN
        } else {
            self.running_maximum - time.max_out_of_orderness
        }
    }

    /// Whether a record at `event_time` comes later than the correction horizon.
    #[must_use]
    pub fn is_too_late(self, event_time: i64, time: &TimePlan) -> bool {
        self.running_maximum != i64::MIN && self.running_maximum.saturating_sub(event_time) > time.correction_horizon
    }

    /// Takes a record's event time in.
    pub fn advance(&mut self, event_time: i64) {
        self.running_maximum = self.running_maximum.max(event_time);
    }
}

/// The end of the last window of this kind that a record at `event_time` is late for, when its watermark was `watermark`.
#[must_use]
pub fn late_for(window: &WindowPlan, event_time: i64, watermark: i64, allowed_lateness: i64) -> Option<i64> {
    if watermark == i64::MIN {
        return None;
    }
    let end = window.end(window.last_ended_by(watermark - allowed_lateness));
    (end > event_time).then_some(end)
}

/// The slice of a record: the first boundary after its event time and after what its partition (and, live, the job) has settled.
#[must_use]
pub fn slice_of(boundaries: &Boundaries, event_time: i64, watermark: i64) -> i64 {
    boundaries.after(event_time.max(watermark))
}

/// What the job's watermark needs to know of a partition.
#[derive(Debug, Clone, Copy)]
pub struct PartitionState {
    /// Its clock.
    pub clock: PartitionClock,
    /// Whether it has ended (a bounded source).
    pub exhausted: bool,
    /// Whether it may be idle (a live source).
    pub live: bool,
    /// Since when it has been asked for records in vain; `None` where its last answer was a record, or where it was not asked yet.
    pub silent_since: Option<Instant>,
}

impl PartitionState {
    /// Whether a live partition has been silent for so long that the others do not wait for it.
    #[must_use]
    pub fn is_idle(&self, now: Instant, idle_timeout: Duration) -> bool {
        self.live
            && self
                .silent_since
                .is_some_and(|since| now.saturating_duration_since(since) >= idle_timeout)
    }
}

/// The job's watermark: the least over partitions that are not idle; it never goes back, and stands still while all are idle.
///
/// `i64::MAX` once every partition is exhausted, unless a live source may bring new ones.
#[must_use]
pub fn job_watermark(
    previous: i64,
    partitions: &[PartitionState],
    may_grow: bool,
    time: &TimePlan,
    now: Instant,
) -> i64 {
    let waited_for = partitions
        .iter()
        .filter(|partition| !partition.exhausted && !partition.is_idle(now, time.idle_timeout));
    match waited_for.map(|partition| partition.clock.watermark(time)).min() {
        Some(least) => previous.max(least),
        None if may_grow || partitions.is_empty() => previous,
        None => i64::MAX,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time() -> TimePlan {
        TimePlan {
            max_out_of_orderness: 30,
            idle_timeout: Duration::from_secs(60),
            allowed_lateness: 50,
            correction_horizon: 100,
            max_future_skew: 1000,
        }
    }

    fn partition(maximum: i64, live: bool, silent_for: u64, now: Instant) -> PartitionState {
        PartitionState {
            clock: PartitionClock {
                running_maximum: maximum,
            },
            exhausted: false,
            live,
            silent_since: Some(now - Duration::from_secs(silent_for)),
        }
    }

    #[test]
    fn a_record_is_too_late_only_beyond_the_correction_horizon() {
        let mut clock = PartitionClock::default();
        assert!(!clock.is_too_late(-1_000_000, &time()));
        clock.advance(1_000);
        assert!(!clock.is_too_late(900, &time()));
        assert!(clock.is_too_late(899, &time()));
        assert_eq!(clock.watermark(&time()), 970);
    }

    #[test]
    fn a_record_is_late_for_windows_that_its_own_partition_has_closed() {
        let hour = WindowPlan {
            name: "w".into(),
            size: 100,
            slide: 100,
            offset: 0,
        };
        assert_eq!(late_for(&hour, 90, 149, 50), None);
        assert_eq!(late_for(&hour, 90, 150, 50), Some(100));
        assert_eq!(late_for(&hour, 90, 260, 50), Some(200));
        assert_eq!(late_for(&hour, 210, 260, 50), None);
        assert_eq!(late_for(&hour, 90, i64::MIN, 50), None);
    }

    #[test]
    fn the_watermark_is_the_least_of_those_that_are_not_idle_and_never_goes_back() {
        let now = Instant::now() + Duration::from_secs(1_000);
        let quick = partition(1_000, true, 0, now);
        let slow = partition(500, true, 0, now);
        assert_eq!(job_watermark(i64::MIN, &[quick, slow], true, &time(), now), 470);
        assert_eq!(job_watermark(600, &[quick, slow], true, &time(), now), 600);
        let silent = partition(500, true, 61, now);
        assert_eq!(job_watermark(i64::MIN, &[quick, silent], true, &time(), now), 970);
        assert_eq!(job_watermark(700, &[silent], true, &time(), now), 700);
    }

    #[test]
    fn a_partition_without_a_record_holds_the_watermark_until_it_is_idle() {
        let now = Instant::now() + Duration::from_secs(1_000);
        let quick = partition(1_000, true, 0, now);
        let empty = partition(i64::MIN, true, 1, now);
        assert_eq!(job_watermark(i64::MIN, &[quick, empty], true, &time(), now), i64::MIN);
    }

    #[test]
    fn exhausted_files_let_time_run_to_the_end_but_not_beside_a_live_source() {
        let now = Instant::now() + Duration::from_secs(1_000);
        let mut file = partition(1_000, false, 900, now);
        file.exhausted = true;
        assert_eq!(job_watermark(0, &[file], false, &time(), now), i64::MAX);
        assert_eq!(
            job_watermark(0, &[file], true, &time(), now),
            0,
            "its live source has no partition yet"
        );
        let idle = partition(500, true, 900, now);
        assert_eq!(job_watermark(0, &[file, idle], true, &time(), now), 0);
    }

    #[test]
    fn a_partition_that_was_not_asked_is_not_idle() {
        let now = Instant::now() + Duration::from_secs(1_000);
        let unasked = PartitionState {
            silent_since: None,
            ..partition(500, true, 0, now)
        };
        assert_eq!(
            job_watermark(0, &[partition(1_000, true, 0, now), unasked], true, &time(), now),
            470
        );
    }
}
