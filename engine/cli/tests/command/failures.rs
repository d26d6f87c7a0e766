//! Outside faults while a job with checkpoints runs.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that fails should panic, also in its helpers")]

use std::fs;
use std::time::Duration;

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
