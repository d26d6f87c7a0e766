//! Outside faults while a job with checkpoints runs.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that fails should panic, also in its helpers")]

use std::fs;
use std::time::Duration;

use crate::harness::Sandbox;
use crate::shop::{EXPOSED, JOB, append, ask, sandbox};

#[test]
fn a_full_disk_stops_the_job_and_it_goes_on_when_there_is_room() {
    // too little for an epoch's manifest, for rows, for the state
    for kilobytes in [1, 4, 16, 64, 256] {
        let sandbox = sandbox(0..3_000);
        let full = sandbox.run_with_little_room(&["run", "job.yaml"], kilobytes);
        if full.status != 0 {
            assert_eq!(full.status, 1, "{kilobytes} KiB: {}", full.errors);
            let error = full.last_error();
            assert!(
                error.contains("File too large") && error.starts_with("error: "),
                "{kilobytes} KiB: {error}"
            );
        }
        assert!(kilobytes > 64 || full.status == 1, "{kilobytes} KiB were enough");
        let run = sandbox.run(&["run", "job.yaml"]);
        assert_eq!(run.status, 0, "{kilobytes} KiB: {}", run.errors);
        assert_eq!(ask(&sandbox, EXPOSED), "3000");
        assert_eq!(
            ask(&sandbox, "select count(*), count(distinct event_id) from exposures"),
            "3000,3000"
        );
        let results = fs::read_to_string(sandbox.path("results.ndjson")).unwrap();
        assert!(results.lines().all(|line| line.starts_with('{') && line.ends_with('}')));
    }
}

#[test]
fn a_folder_that_is_removed_stops_the_job() {
    for (folder, status) in [("checkpoints", 2), ("lake", 1)] {
        let sandbox = sandbox(0..30);
        let follow = JOB.replace("['in/*.ndjson']", "['in/*.ndjson'], follow: true");
        fs::write(sandbox.path("job.yaml"), follow).unwrap();
        let run = sandbox.run_and_meanwhile(&["run", "job.yaml"], Duration::from_secs(2), || {
            // the first events are out when others have moved the watermark past them
            append(&sandbox, "in/a.ndjson", 30..60);
            std::thread::sleep(Duration::from_secs(2));
            // a process that writes into it cannot be beaten to removing it
            fs::rename(sandbox.path(folder), sandbox.path("gone")).unwrap();
            append(&sandbox, "in/a.ndjson", 60..90);
        });
        assert_eq!(run.status, status, "{folder}: {}", run.errors);
        assert!(run.last_error().contains(folder), "{folder}: {}", run.errors);
    }
}

/// A job whose state has next to no memory.
fn without_memory() -> Sandbox {
    let config = JOB.replace("  job: shop\n", "  job: shop\n  memory: 1KiB\n");
    sandbox(0..3_000).with("job.yaml", &config)
}

#[test]
fn state_that_outgrows_its_memory_goes_to_disk_and_results_stay_the_same() {
    let (spilling, usual) = (without_memory(), sandbox(0..3_000));
    let run = spilling.run(&["run", "job.yaml", "--log", "warn"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert!(run.errors.contains("outgrown engine.memory"), "{}", run.errors);
    let run = usual.run(&["run", "job.yaml", "--log", "warn"]);
    assert!(!run.errors.contains("outgrown"), "{}", run.errors);
    let counts =
        "select window_name, window_start, variant, subjects, is_final from assignment_counts order by 1, 2, 3, 5";
    assert_eq!(ask(&spilling, counts), ask(&usual, counts));
    assert_eq!(ask(&spilling, EXPOSED), "3000");
}

#[test]
fn a_disk_without_room_for_state_stops_the_job_at_a_checkpoint() {
    let sandbox = without_memory();
    // room for all but a piece of state
    let full = sandbox.run_with_little_room(&["run", "job.yaml"], 700);
    assert_eq!(full.status, 1, "{}", full.errors);
    let error = full.last_error();
    assert!(
        error.contains("outgrown engine.memory") && error.contains("File too large") && error.contains("checkpoints"),
        "{error}"
    );
    assert_eq!(sandbox.run(&["checkpoint", "verify", "job.yaml"]).status, 0);
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert_eq!(ask(&sandbox, EXPOSED), "3000");
    let events = "select count(*), count(distinct event_id) from exposures";
    assert_eq!(ask(&sandbox, events), "3000,3000");
}
