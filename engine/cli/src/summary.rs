//! What a job has done, at its end.

use std::path::PathBuf;

use backplane_runtime::{Ending, Progress};

use crate::args::LogFormat;
use crate::format::{counted, duration, grouped, instant};
use crate::tally::Counts;

/// The most reasons that are told of records that could not be read.
const REASONS: usize = 3;

/// What a job has done.
#[derive(Debug, Clone)]
pub struct Summary {
    /// How it ended.
    pub ending: Ending,
    /// How far it has come.
    pub progress: Progress,
    /// Experiments that were declared or seen.
    pub experiments: usize,
    /// What it handed to its sinks.
    pub counts: Counts,
    /// Where records are that could not be read: a file, or a table of the lake.
    pub dead_letters: PathBuf,
}

impl Summary {
    /// As lines for people.
    pub fn lines(&self) -> Vec<String> {
        let counters = &self.progress.counters;
        let seconds = self.progress.elapsed.as_secs_f64().max(1e-9);
        let records = counters.records.saturating_sub(self.progress.records_before);
        let per_second = (records as f64 / seconds) as u64;
        let ended = match self.ending {
            Ending::Exhausted => "done",
            Ending::Stopped => "stopped",
            Ending::NothingNew => {
                return vec![
                    "nothing new: an earlier run has read every source to its end, and its results stand".to_owned(),
                ];
            }
        };
        let mut lines = vec![format!(
            "{ended}: {} in {}, {} a second",
            counted(records, "record"),
            duration(self.progress.elapsed),
            grouped(per_second)
        )];
        if self.progress.records_before > 0 {
            lines.push(format!(
                "with those of earlier runs: {}",
                counted(counters.records, "record")
            ));
        }
        lines.push(format!(
            "{} with {}; {}",
            counted(self.experiments as u64, "experiment"),
            counted(self.progress.subjects as u64, "subject"),
            match self.ending {
                Ending::Exhausted | Ending::NothingNew => format!(
                    "{} closed, all results final",
                    counted(self.counts.windows.len() as u64, "window")
                ),
                Ending::Stopped => format!(
                    "{} closed, results complete up to {}",
                    counted(self.counts.windows.len() as u64, "window"),
                    instant(self.progress.watermark)
                ),
            }
        ));
        if counters.signals > 0 {
            lines.push(format!("{} raised", counted(counters.signals, "signal")));
        }
        lines.push(format!(
            "left out: {}, {} late for a window, {} too late for every result",
            counted(counters.duplicates, "second delivery"),
            grouped(counters.late),
            grouped(counters.too_late)
        ));
        if self.progress.waiting_records > 0 {
            lines.push(format!(
                "{} came after that instant: not in the results, and not in the lake",
                counted(self.progress.waiting_records as u64, "record")
            ));
        }
        // of this run, as its reasons
        let unreadable = self.counts.unreadable();
        if unreadable > 0 {
            let reasons = self.counts.commonest_reasons(REASONS);
            let mut reasons: Vec<String> = reasons
                .iter()
                .map(|(reason, count)| format!("{} {reason}", grouped(*count)))
                .collect();
            if self.counts.dead_letters.len() > REASONS {
                reasons.push("others".to_owned());
            }
            lines.push(format!(
                "{} could not be read ({}); they are in {}",
                counted(unreadable, "record"),
                reasons.join(", "),
                self.dead_letters.display()
            ));
        }
        lines
    }

    /// Tells it on standard error: as lines, or as one JSON log line.
    pub fn tell(&self, log_format: LogFormat, errors: &mut impl std::io::Write) {
        if log_format == LogFormat::Json {
            return self.log();
        }
        for line in self.lines() {
            // where standard error is closed there is nobody to tell
            let _ = writeln!(errors, "{line}");
        }
    }

    fn log(&self) {
        let counters = &self.progress.counters;
        tracing::info!(
            ending = ?self.ending,
            events = counters.records,
            seconds = self.progress.elapsed.as_secs_f64(),
            watermark = %self.progress.watermark,
            experiments = self.experiments,
            windows = self.counts.windows.len(),
            subjects = self.progress.subjects,
            duplicates = counters.duplicates,
            late = counters.late,
            too_late = counters.too_late,
            dead_letters = counters.dead_letters,
            signals = counters.signals,
            dead_letters_at = %self.dead_letters.display(),
            "summary"
        );
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use backplane_events::EventTime;
    use backplane_runtime::Counters;

    use super::*;

    #[test]
    fn a_summary_says_what_became_of_every_record() {
        let counters = Counters {
            records: 199_800,
            duplicates: 2_000,
            late: 48,
            too_late: 1,
            dead_letters: 200,
            ..Counters::default()
        };
        let progress = Progress {
            counters,
            watermark: EventTime::MAX,
            last_event_time: EventTime(0),
            subjects: 60_000,
            rows: 70_000,
            memory: 1,
            on_disk: 0,
            waiting_records: 0,
            records_before: 0,
            elapsed: Duration::from_millis(2_000),
            bounded: true,
        };
        let counts = Counts {
            dead_letters: [
                ("invalid_json", 150),
                ("empty_id", 40),
                ("wrong_type", 6),
                ("too_deep", 4),
            ]
            .map(|(reason, count)| (reason.to_owned(), count))
            .into(),
            windows: [("hourly".to_owned(), 0)].into(),
            ..Counts::default()
        };
        let summary = Summary {
            ending: Ending::Exhausted,
            progress,
            experiments: 2,
            counts,
            dead_letters: "dead-letters.ndjson".into(),
        };
        insta::assert_snapshot!(summary.lines().join("\n"), @r"
        done: 199,800 records in 2.0 s, 99,900 a second
        2 experiments with 60,000 subjects; 1 window closed, all results final
        left out: 2,000 second deliveries, 48 late for a window, 1 too late for every result
        200 records could not be read (150 invalid_json, 40 empty_id, 6 wrong_type, others); they are in dead-letters.ndjson
        ");
    }
}
