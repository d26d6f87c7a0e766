//! A shop's job, which several files of tests run.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic, also in its helpers")]

use std::fs;
use std::io::Write as _;

use crate::harness::Sandbox;

/// A job over files that match a pattern, with a lake, a file of results and checkpoints.
pub(crate) const JOB: &str = "engine:
  job: shop
  sources:
    - { name: events, type: file, options: { paths: ['in/*.ndjson'] } }
  sinks:
    - { type: lake, options: { url: lake } }
    - { name: results, type: file, options: { path: results.ndjson }, take: [results] }
  windows:
    - { name: hourly, type: tumble, size: 1h }
  checkpoint: { interval: 100ms, url: checkpoints }
";

/// An exposure so many minutes after nine o'clock.
pub(crate) fn exposure(id: u32, minute: u32) -> String {
    let minute = 9 * 60 + minute;
    let (day, hour, minute) = (5 + minute / 1_440, minute / 60 % 24, minute % 60);
    format!(
        r#"{{"eventId":"e-{id}","timestamp":"2026-01-{day:02}T{hour:02}:{minute:02}:00+00:00","eventType":"Exposure","schemaVersion":"1.0.0","payload":{{"experimentName":"checkout","variantKey":"control","subjectId":"u-{id}"}}}}"#
    ) + "\n"
}

pub(crate) fn sandbox(events: impl Iterator<Item = u32>) -> Sandbox {
    let sandbox = Sandbox::new().with("job.yaml", JOB);
    fs::create_dir(sandbox.path("in")).unwrap();
    let text: String = events.map(|id| exposure(id, id)).collect();
    fs::write(sandbox.path("in/a.ndjson"), text).unwrap();
    sandbox
}

pub(crate) fn append(sandbox: &Sandbox, file: &str, events: impl Iterator<Item = u32>) {
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(sandbox.path(file))
        .unwrap();
    for id in events {
        file.write_all(exposure(id, id).as_bytes()).unwrap();
    }
}

pub(crate) fn ask(sandbox: &Sandbox, query: &str) -> String {
    let run = sandbox.run(&["sql", "--lake", "lake", "--format", "csv", query]);
    assert_eq!(run.status, 0, "{}", run.errors);
    run.output.lines().skip(1).collect::<Vec<_>>().join("\n")
}

pub(crate) const EXPOSED: &str =
    "select sum(subjects) from assignment_counts where window_name = 'cumulative' and segment is null";
