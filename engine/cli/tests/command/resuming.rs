//! A job with checkpoints, stopped and started by its users.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic, also in its helpers")]

use std::fs;
use std::time::Duration;

use crate::harness::Sandbox;
use crate::shop::{EXPOSED, JOB, append, ask, exposure, sandbox};

#[test]
fn a_job_that_is_done_has_nothing_new_and_goes_on_with_what_comes() {
    let sandbox = sandbox(0..30);
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert_eq!(ask(&sandbox, "select count(*) from exposures"), "30");
    let results = fs::read(sandbox.path("results.ndjson")).unwrap();

    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert!(run.errors.contains("nothing new"), "{}", run.errors);
    assert_eq!(fs::read(sandbox.path("results.ndjson")).unwrap(), results);

    // a file that grows, and one more
    append(&sandbox, "in/a.ndjson", 30..50);
    append(&sandbox, "in/b.ndjson", 50..80);
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert!(
        run.errors.contains("done: 50 records") && run.errors.contains("with those of earlier runs: 80 records"),
        "{}",
        run.errors
    );
    assert_eq!(
        ask(&sandbox, "select count(*), count(distinct event_id) from exposures"),
        "80,80"
    );
    assert_eq!(ask(&sandbox, EXPOSED), "80");
    let hours =
        "select sum(subjects) from assignment_counts where window_name = 'hourly' and is_final and segment is null";
    assert_eq!(ask(&sandbox, hours), "80");
    assert!(fs::read(sandbox.path("results.ndjson")).unwrap().starts_with(&results));
}

#[test]
fn a_file_that_is_renamed_is_not_read_again() {
    let sandbox = sandbox(0..30);
    assert_eq!(sandbox.run(&["run", "job.yaml"]).status, 0);
    fs::rename(sandbox.path("in/a.ndjson"), sandbox.path("in/z.ndjson")).unwrap();
    append(&sandbox, "in/z.ndjson", 30..31);
    append(&sandbox, "in/a.ndjson", 31..32);
    assert_eq!(sandbox.run(&["run", "job.yaml"]).status, 0);
    assert_eq!(
        ask(&sandbox, "select count(*), count(distinct event_id) from exposures"),
        "32,32"
    );
}

#[test]
fn a_changed_configuration_is_carried_over_or_refused_with_the_reason() {
    let sandbox = sandbox(0..30);
    assert_eq!(sandbox.run(&["run", "job.yaml"]).status, 0);
    append(&sandbox, "in/a.ndjson", 30..40);
    let refused = sandbox.run(&["run", "job.yaml", "--set", "engine.windows[0].size=2h"]);
    assert_eq!(refused.status, 2);
    assert!(
        refused
            .errors
            .contains("windows (windows that are open now would miss what came before)")
            && refused.errors.contains("--restore none"),
        "{}",
        refused.errors
    );
    let carried = sandbox.run(&[
        "run",
        "job.yaml",
        "--set",
        "engine.parallelism=1",
        "--set",
        "engine.signals.sampleRatioMismatch.minimumSubjects=50",
    ]);
    assert_eq!(carried.status, 0, "{}", carried.errors);
    assert_eq!(ask(&sandbox, EXPOSED), "40");
}

#[test]
fn a_query_that_is_new_begins_with_windows_that_begin_now() {
    let sandbox = sandbox(0..90);
    assert_eq!(sandbox.run(&["run", "job.yaml"]).status, 0);
    // the journal has what came in now, without what nobody asked for
    append(&sandbox, "in/a.ndjson", 90..100);
    assert_eq!(sandbox.run(&["run", "job.yaml"]).status, 0);
    append(&sandbox, "in/a.ndjson", 100..300);
    let text = JOB.to_owned()
        + "  queries:\n    - { name: counted, window: hourly, sql: 'select count(*) as n from exposures', sinks: [results] }\n";
    fs::write(sandbox.path("job.yaml"), text).unwrap();
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    let results = fs::read_to_string(sandbox.path("results.ndjson")).unwrap();
    let counted: Vec<&str> = results.lines().filter(|line| line.contains("\"n\":")).collect();
    // 9:00 to 10:00 was read by the run before, 10:00 to 11:00 in part
    assert_eq!(counted.len(), 3, "{counted:?}");
    assert!(counted.iter().all(|line| line.contains("\"n\":60")), "{counted:?}");
}

#[cfg(unix)]
#[test]
fn an_interrupted_job_leaves_a_checkpoint_and_goes_on() {
    let sandbox = sandbox(0..30);
    let follow = JOB.replace("['in/*.ndjson']", "['in/*.ndjson'], follow: true");
    fs::write(sandbox.path("job.yaml"), follow).unwrap();
    let run = sandbox.run_until_interrupted(&["run", "job.yaml"], Duration::from_secs(2));
    assert_eq!(run.status, 130, "{}", run.errors);
    // the watermark stays half a minute behind the last event, and results are those up to it
    assert_eq!(ask(&sandbox, EXPOSED), "28");
    append(&sandbox, "in/a.ndjson", 30..60);
    let run = sandbox.run_until_interrupted(&["run", "job.yaml"], Duration::from_secs(2));
    assert_eq!(run.status, 130, "{}", run.errors);
    append(&sandbox, "in/a.ndjson", 60..61);
    let run = sandbox.run(&["run", "job.yaml", "--until-end"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert_eq!(
        ask(&sandbox, "select count(*), count(distinct event_id) from exposures"),
        "61,61"
    );
    assert_eq!(ask(&sandbox, EXPOSED), "61");
}

#[test]
fn standard_input_is_gone_on_with_where_it_is_the_same() {
    let job = JOB.replace(
        "{ name: events, type: file, options: { paths: ['in/*.ndjson'] } }",
        "{ type: stdin }",
    );
    let sandbox = Sandbox::new().with("job.yaml", &job);
    let text = |ids: std::ops::Range<u32>| ids.map(|id| exposure(id, id)).collect::<String>();
    let run = sandbox.run_with_input(&["run", "job.yaml"], &text(0..30));
    assert_eq!(run.status, 0, "{}", run.errors);
    let run = sandbox.run_with_input(&["run", "job.yaml"], &text(0..40));
    assert_eq!(run.status, 0, "{}", run.errors);
    assert_eq!(
        ask(&sandbox, "select count(*), count(distinct event_id) from exposures"),
        "40,40"
    );
    let run = sandbox.run_with_input(&["run", "job.yaml"], &text(7..50));
    assert_eq!(run.status, 1);
    assert!(run.errors.contains("--restore none"), "{}", run.errors);
}

#[test]
fn going_back_takes_later_rows_back() {
    let sandbox = sandbox(0..30);
    assert_eq!(sandbox.run(&["run", "job.yaml"]).status, 0);
    let results = fs::read(sandbox.path("results.ndjson")).unwrap();
    let list = sandbox.run(&["checkpoint", "list", "job.yaml", "--format", "json"]);
    let list: serde_json::Value = serde_json::from_str(&list.output).unwrap();
    let first = list.as_array().unwrap().last().unwrap()["epoch"]
        .as_u64()
        .unwrap()
        .to_string();
    append(&sandbox, "in/a.ndjson", 30..50);
    assert_eq!(sandbox.run(&["run", "job.yaml"]).status, 0);
    assert_eq!(ask(&sandbox, EXPOSED), "50");

    // nothing is lost: the rows come again
    let run = sandbox.run(&["run", "job.yaml", "--restore", &first]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert_eq!(
        ask(&sandbox, "select count(*), count(distinct event_id) from exposures"),
        "50,50"
    );
    assert_eq!(ask(&sandbox, EXPOSED), "50");
    assert!(fs::read(sandbox.path("results.ndjson")).unwrap().starts_with(&results));

    let run = sandbox.run(&["run", "job.yaml", "--restore", "9999"]);
    assert_eq!(run.status, 2);
    assert!(
        run.errors.contains("there is no checkpoint of epoch 9999; there are"),
        "{}",
        run.errors
    );
}

#[test]
fn a_start_from_the_beginning_has_outputs_of_its_own() {
    let sandbox = sandbox(0..30);
    assert_eq!(sandbox.run(&["run", "job.yaml"]).status, 0);
    let refused = sandbox.run(&["run", "job.yaml", "--restore", "none"]);
    assert_eq!(refused.status, 2);
    assert!(
        refused.errors.contains("already holds rows of an earlier run"),
        "{}",
        refused.errors
    );
    let anew = [
        "run",
        "job.yaml",
        "--restore",
        "none",
        "--set",
        "engine.sinks[0].options.url=other",
        "--set",
        "engine.windows[0].size=2h",
    ];
    let run = sandbox.run(&anew);
    assert_eq!(run.status, 0, "{}", run.errors);
    let count = sandbox.run(&[
        "sql",
        "--lake",
        "other",
        "--format",
        "csv",
        "select count(*) from exposures",
    ]);
    assert_eq!(count.output, "count(*)\n30\n", "{}", count.errors);
    assert_eq!(ask(&sandbox, "select count(*) from exposures"), "30");
}

#[test]
fn damage_is_found_and_told_with_the_last_whole_epoch() {
    let sandbox = sandbox(0..30);
    assert_eq!(sandbox.run(&["run", "job.yaml"]).status, 0);
    append(&sandbox, "in/a.ndjson", 30..50);
    assert_eq!(sandbox.run(&["run", "job.yaml"]).status, 0);
    let shown = sandbox.run(&["checkpoint", "show", "job.yaml"]);
    let manifest: serde_json::Value = serde_json::from_str(&shown.output).unwrap();
    let part = manifest["changes"].as_array().unwrap().last().unwrap()["path"]
        .as_str()
        .unwrap();
    let part = sandbox.path("checkpoints/shop").join(part);
    let mut bytes = fs::read(&part).unwrap();
    bytes[20] ^= 1;
    fs::write(&part, bytes).unwrap();

    append(&sandbox, "in/a.ndjson", 50..60);
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 1, "{}", run.errors);
    assert!(
        run.errors.contains("is damaged (its checksum is another)"),
        "{}",
        run.errors
    );
    let good = run.errors.split("--restore ").nth(1).unwrap().trim().to_owned();
    let verified = sandbox.run(&["checkpoint", "verify", "job.yaml"]);
    assert_eq!(verified.status, 1);
    assert!(
        verified.output.contains(&format!("epoch {good}: whole")),
        "{}",
        verified.output
    );

    let run = sandbox.run(&["run", "job.yaml", "--restore", &good]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert_eq!(
        ask(&sandbox, "select count(*), count(distinct event_id) from exposures"),
        "60,60"
    );
    assert_eq!(ask(&sandbox, EXPOSED), "60");
}

#[test]
fn checkpoints_are_removed_when_that_is_confirmed() {
    let sandbox = sandbox(0..30);
    assert_eq!(sandbox.run(&["run", "job.yaml"]).status, 0);
    let asked = sandbox.run(&["checkpoint", "reset", "job.yaml"]);
    assert!(asked.output.contains("--yes"), "{}", asked.output);
    assert!(
        sandbox
            .run(&["checkpoint", "list", "job.yaml"])
            .output
            .contains("came to its end")
    );
    let reset = sandbox.run(&["checkpoint", "reset", "job.yaml", "--yes"]);
    assert!(reset.output.starts_with("removed"), "{}", reset.output);
    let empty = sandbox.run(&["checkpoint", "list", "job.yaml"]);
    assert!(empty.output.contains("has no checkpoints"), "{}", empty.output);
    // the lake has rows, and nothing is known of them any more
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 2);
    assert!(
        run.errors.contains("already holds rows of an earlier run"),
        "{}",
        run.errors
    );
}
