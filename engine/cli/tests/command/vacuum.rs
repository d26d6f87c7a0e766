//! `vacuum`: what is left over in a lake, and what stays.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic, also in its helpers")]

use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::harness::{Run, Sandbox};
use crate::{EXPOSURE, JOB, OUTCOME};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A lake, and a file in it that no table names, of this age.
fn lake(age: Duration) -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new()
        .with("job.yaml", JOB)
        .with("events.ndjson", &format!("{EXPOSURE}\n{OUTCOME}\n"));
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    let orphan =
        sandbox.path("lake/outcomes/event_date=2026-01-05/part-0b6f2f0e-3f43-4ad0-9d2c-2d4a4e3f7f10.zstd.parquet");
    fs::write(&orphan, vec![0; 2048]).unwrap();
    let opened = File::options().write(true).open(&orphan).unwrap();
    opened.set_modified(SystemTime::now() - age).unwrap();
    (sandbox, orphan)
}

/// Every row of the lake's tables of events and results, counted.
fn rows(sandbox: &Sandbox) -> String {
    let query = "select (select count(*) from outcomes) o, (select count(*) from exposures) e, (select count(*) from metric_stats) m";
    let run = sandbox.run(&["sql", "--lake", "lake", "--format", "csv", query]);
    assert_eq!(run.status, 0, "{}", run.errors);
    run.output
}

fn told(run: Run) -> (i32, String, String) {
    (run.status, run.output, run.errors)
}

#[test]
fn what_is_left_over_is_counted_and_then_removed_and_no_row_with_it() {
    let (sandbox, orphan) = lake(8 * DAY);
    let before = rows(&sandbox);
    let table = "table     files     size\n────────  ─────  ───────\noutcomes      1  2.0 KiB\n";

    let counted = told(sandbox.run(&["vacuum", "--lake", "lake", "--dry-run"]));
    let would = (0, table.to_owned(), "1 file (2.0 KiB) would be removed\n".to_owned());
    assert_eq!(counted, would);
    assert!(orphan.exists());
    let kept = told(sandbox.run(&["vacuum", "--lake", "lake", "--older-than", "9d"]));
    let nothing = (
        0,
        String::new(),
        "nothing is left over that is older than 9d\n".to_owned(),
    );
    assert_eq!(kept, nothing);

    let removed = told(sandbox.run(&["vacuum", "-c", "job.yaml"]));
    assert_eq!(removed, (0, table.to_owned(), "removed 1 file (2.0 KiB)\n".to_owned()));
    assert!(!orphan.exists());
    assert_eq!(rows(&sandbox), before);
}

#[test]
fn an_age_at_which_a_running_job_would_lose_files_needs_force() {
    let (sandbox, orphan) = lake(Duration::from_secs(60));
    let refused = sandbox.run(&["vacuum", "--lake", "lake", "--older-than", "30s"]);
    assert_eq!(
        (refused.status, refused.errors.as_str()),
        (
            2,
            "error: --older-than 30s: so young a file may be of an epoch that a running job has prepared and the lake's tables do not name yet; \
             give 1h or more, or stop every job that writes this lake and add --force\n"
        )
    );
    assert!(orphan.exists());
    let removed = sandbox.run(&["vacuum", "--lake", "lake", "--older-than", "30s", "--force"]);
    assert_eq!(
        (removed.status, removed.errors.as_str()),
        (0, "removed 1 file (2.0 KiB)\n")
    );
    assert!(!orphan.exists());
}

#[test]
fn what_is_no_lake_or_no_age_is_told() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["vacuum", "--lake", "lake"]);
    assert_eq!(
        (run.status, run.errors.as_str()),
        (
            2,
            "error: lake: lake: there is no such folder; name the folder of a lake\n"
        )
    );
    let run = sandbox.run(&["vacuum", "--lake", "lake", "--older-than", "7"]);
    assert_eq!(run.status, 2);
    assert!(run.errors.contains("a number needs its unit"), "{}", run.errors);
    let run = sandbox.run(&["vacuum"]);
    assert!(run.errors.contains("which lake?"), "{}", run.errors);
}
