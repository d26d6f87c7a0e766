//! How far a job has come: a line at the bottom of a terminal, elsewhere a log line from time to time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use backplane_events::EventTime;
use backplane_runtime::{Observer, Progress};
use chrono::Utc;
use indicatif::ProgressBar;

use crate::format;
use crate::terminal::Terminal;

/// How often the line is renewed.
const LINE_EVERY: Duration = Duration::from_millis(100);
/// How often a log line is written.
const LOG_EVERY: Duration = Duration::from_secs(10);
/// The time over which the speed is measured.
const SPEED_OVER: Duration = Duration::from_secs(3);

/// Tells people how far a job has come.
pub struct ProgressReport {
    terminal: Terminal,
    /// Where a person watches.
    line: Option<ProgressBar>,
    every: Duration,
    last: Instant,
    speed: Speed,
}

impl ProgressReport {
    /// Begins to tell.
    pub fn new(terminal: &Terminal) -> Self {
        let line = terminal.shows_errors().then(|| terminal.start_line());
        let every = if line.is_some() { LINE_EVERY } else { LOG_EVERY };
        let now = Instant::now();
        let mut speed = Speed::default();
        speed.at(now, 0);
        ProgressReport {
            terminal: terminal.clone(),
            line,
            every,
            last: now,
            speed,
        }
    }
}

impl Observer for ProgressReport {
    fn is_due(&mut self) -> bool {
        self.last.elapsed() >= self.every
    }

    fn round(&mut self, progress: &Progress) {
        // the end is told by the summary
        if !self.is_due() {
            return;
        }
        let now = Instant::now();
        self.last = now;
        let per_second = self.speed.at(now, progress.counters.records);
        match &self.line {
            Some(line) => line.set_message(message(progress, per_second)),
            None => log(progress, per_second),
        }
    }
}

impl Drop for ProgressReport {
    fn drop(&mut self) {
        self.terminal.end_line();
    }
}

/// The speed of the last seconds.
#[derive(Debug, Default)]
struct Speed {
    samples: VecDeque<(Instant, u64)>,
}

impl Speed {
    /// Records per second, now that there are `records`.
    fn at(&mut self, now: Instant, records: u64) -> u64 {
        self.samples.push_back((now, records));
        while self.samples.len() > 2
            && self
                .samples
                .get(1)
                .is_some_and(|(at, _)| now.saturating_duration_since(*at) >= SPEED_OVER)
        {
            self.samples.pop_front();
        }
        let Some((since, before)) = self.samples.front() else {
            return 0;
        };
        let seconds = now.saturating_duration_since(*since).as_secs_f64();
        if seconds <= 0.0 {
            0
        } else {
            (records.saturating_sub(*before) as f64 / seconds) as u64
        }
    }
}

/// How far the watermark is behind the wall clock; of a live job only, because what lies in files is old.
fn lag(progress: &Progress) -> Option<Duration> {
    let is_known = !progress.bounded && progress.watermark != EventTime::MIN && progress.watermark != EventTime::MAX;
    let behind = Utc::now().timestamp_micros().saturating_sub(progress.watermark.0);
    is_known.then(|| Duration::from_micros(u64::try_from(behind).unwrap_or(0)))
}

fn message(progress: &Progress, per_second: u64) -> String {
    let counters = &progress.counters;
    let mut parts = vec![
        format!("{} events", format::grouped(counters.records)),
        format!("{}/s", format::grouped(per_second)),
        format!("watermark {}", format::instant(progress.watermark)),
    ];
    if let Some(lag) = lag(progress) {
        parts.push(format!("lag {}", format::duration(lag)));
    }
    if counters.signals > 0 {
        parts.push(format::counted(counters.signals, "signal"));
    }
    parts.push(format!("state {}", format::bytes(progress.memory as u64)));
    if progress.on_disk > 0 {
        parts.push(format!("{} on disk", format::bytes(progress.on_disk)));
    }
    for (count, name) in [(counters.late, "late"), (counters.dead_letters, "unreadable")] {
        if count > 0 {
            parts.push(format!("{} {name}", format::grouped(count)));
        }
    }
    parts.join("  ")
}

fn log(progress: &Progress, per_second: u64) {
    let counters = &progress.counters;
    tracing::info!(
        events = counters.records,
        events_per_second = per_second,
        watermark = %progress.watermark,
        lag_seconds = lag(progress).map(|lag| lag.as_secs_f64()),
        state_bytes = progress.memory,
        state_bytes_on_disk = progress.on_disk,
        subjects = progress.subjects,
        waiting_records = progress.waiting_records,
        duplicates = counters.duplicates,
        late = counters.late,
        too_late = counters.too_late,
        dead_letters = counters.dead_letters,
        "progress"
    );
}

#[cfg(test)]
mod tests {
    use backplane_runtime::Counters;

    use super::*;

    #[test]
    fn the_speed_is_that_of_the_last_seconds() {
        let mut speed = Speed::default();
        let start = Instant::now();
        assert_eq!(speed.at(start, 0), 0);
        assert_eq!(speed.at(start + Duration::from_secs(2), 2_000), 1_000);
        for second in 3..=20 {
            speed.at(start + Duration::from_secs(second), 2_000);
        }
        assert_eq!(speed.at(start + Duration::from_secs(21), 2_000), 0);
    }

    fn progress(bounded: bool) -> Progress {
        Progress {
            counters: Counters {
                records: 1_234_567,
                late: 12,
                ..Counters::default()
            },
            watermark: EventTime(1_767_571_200_000_000),
            last_event_time: EventTime(1_767_571_230_000_000),
            subjects: 10,
            rows: 11,
            memory: 24_536_678,
            on_disk: 0,
            waiting_records: 5,
            records_before: 0,
            elapsed: Duration::from_secs(3),
            bounded,
        }
    }

    #[test]
    fn the_line_says_speed_watermark_and_state() {
        let text = "1,234,567 events  400,000/s  watermark 2026-01-05 00:00:00  state 23.4 MiB  12 late";
        assert_eq!(message(&progress(true), 400_000), text);
        let spilled = Progress {
            on_disk: 1 << 20,
            ..progress(true)
        };
        assert!(message(&spilled, 1).contains("state 23.4 MiB  1.0 MiB on disk"));
    }

    #[test]
    fn only_a_live_job_has_a_lag() {
        assert_eq!(lag(&progress(true)), None);
        assert!(lag(&progress(false)).is_some());
    }
}
