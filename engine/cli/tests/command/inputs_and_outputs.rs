//! Where a job reads and writes: files that are followed, outputs among inputs, the addresses of lakes.

use std::fs;

use crate::EXPOSURE;
use crate::harness::Sandbox;

/// A job over the files of a pattern, with these options more, and a sink.
fn job(pattern: &str, more: &str, sink: &str) -> String {
    format!(
        "engine:\n  sources:\n    - {{ type: file, options: {{ paths: [\"{pattern}\"]{more} }} }}\n  sinks:\n    - {sink}\n"
    )
}

const TO_TERMINAL: &str = "{ type: terminal }";
const TO_FILE: &str = "{ type: file, options: { path: out.ndjson } }";
const TO_LAKE: &str = "{ type: lake, options: { url: lake } }";

#[test]
fn a_pattern_that_would_match_an_output_to_come_is_refused() {
    let refusal = |pattern: &str, more: &str, sink: &str| {
        let sandbox = Sandbox::new()
            .with("job.yaml", &job(pattern, more, sink))
            .with("events.ndjson", &format!("{EXPOSURE}\nnot a record\n"));
        let run = sandbox.run(&["run", "job.yaml"]);
        assert_eq!(run.status, 2, "{}", run.errors);
        assert_eq!(sandbox.names(), ["events.ndjson", "job.yaml"]);
        run.errors
    };
    assert_eq!(
        refusal("*.ndjson", ", follow: true", TO_TERMINAL),
        "error: the dead-letter file (engine.deadLetter) would write dead-letters.ndjson, which source file would read by its pattern *.ndjson; \
         write it to another folder, or give a pattern that does not match it\n"
    );
    let said = refusal("[eo]*.ndjson", "", TO_FILE);
    assert!(
        said.starts_with("error: sink file would write out.ndjson, which"),
        "{said}"
    );
    let said = refusal("**/*s*n", "", TO_LAKE);
    assert!(said.starts_with("error: sink lake would write lake/"), "{said}");
}

#[test]
fn until_end_leaves_an_unfinished_last_line_to_the_next_run() {
    let sandbox = Sandbox::new()
        .with("job.yaml", &job("events.ndjson", ", follow: true", TO_TERMINAL))
        .with("events.ndjson", &format!("{EXPOSURE}\n{{\"eventId\":\"e-2"));
    let run = sandbox.run(&["run", "job.yaml", "--until-end", "--strict"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert!(run.errors.contains("done: 1 record"), "{}", run.errors);
    assert_eq!(sandbox.names(), ["events.ndjson", "job.yaml"]);
}

#[test]
fn a_lake_may_be_named_by_a_path_with_dots() {
    let sandbox = Sandbox::new()
        .with(
            "job.yaml",
            &job("events.ndjson", "", "{ type: lake, options: { url: sub/../lake } }"),
        )
        .with("events.ndjson", &format!("{EXPOSURE}\n"));
    fs::create_dir(sandbox.path("sub")).unwrap();
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert!(sandbox.path("lake/exposures").is_dir());
    let query = "select count(*) as n from exposures";
    let asked = sandbox.run(&["sql", "--lake", "sub/./../lake", "--format", "csv", query]);
    assert_eq!(asked.output, "n\n1\n", "{}", asked.errors);
}

#[test]
fn an_address_of_a_lake_that_would_lead_elsewhere_is_refused_at_once() {
    for (url, reason) in [
        ("a%20lake", "the names of Delta tables' folders cannot have a %"),
        ("a\\lake", "the names of Delta tables' folders cannot have a \\"),
        ("~/lake", "~ is the home folder in a shell only"),
        ("file:lake", "a file URL has three slashes"),
    ] {
        let sink = format!("{{ type: lake, options: {{ url: '{url}' }} }}");
        let sandbox = Sandbox::new()
            .with("job.yaml", &job("events.ndjson", "", &sink))
            .with("events.ndjson", &format!("{EXPOSURE}\n"));
        let run = sandbox.run(&["run", "job.yaml"]);
        assert_eq!(run.status, 2, "{}", run.errors);
        assert!(run.errors.contains(reason), "{}", run.errors);
        assert_eq!(sandbox.names(), ["events.ndjson", "job.yaml"]);
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_stream_leaves_nothing_behind() {
    let second = std::time::Duration::from_secs(1);
    for args in [
        &["generate", "--events", "5000000", "-o", "events.ndjson.gz"][..],
        &["demo", "--events", "5000000"],
    ] {
        let sandbox = Sandbox::new();
        let run = sandbox.run_until_interrupted(args, second);
        assert_eq!(
            (run.status, run.errors.as_str()),
            (
                130,
                "error: interrupted before the stream was complete; nothing of it was kept\n"
            )
        );
        assert_eq!(sandbox.names(), Vec::<String>::new());
    }
}

#[test]
fn storage_that_is_not_there_yet_is_told_by_the_option_that_asked_for_it() {
    let sandbox = Sandbox::new().with("job.yaml", &job("events.ndjson", "", TO_TERMINAL));
    let url = "s3://key:secret@bucket";
    for (args, option) in [
        (&["export", "--from", "events.ndjson", "--to", url][..], "--to"),
        (&["replay", "--from", url, "-c", "job.yaml"], "--from"),
        (&["sql", "--lake", url, "select 1"], "--lake"),
    ] {
        let run = sandbox.run(args);
        let told =
            format!("error: {option}: s3 storage is not available in this version; use a path or file:///path\n");
        assert_eq!((run.status, run.errors), (2, told));
    }
}

#[test]
fn a_damaged_log_is_one_sentence() {
    let sandbox = Sandbox::new();
    fs::create_dir_all(sandbox.path("lake/outcomes/_delta_log")).unwrap();
    fs::write(
        sandbox.path("lake/outcomes/_delta_log/00000000000000000000.json"),
        "x\n",
    )
    .unwrap();
    let run = sandbox.run(&["sql", "--lake", "lake", "select count(*) from outcomes"]);
    assert_eq!(run.status, 1);
    assert!(
        run.errors
            .starts_with("error: lake: reading the log of lake/outcomes failed: "),
        "{}",
        run.errors
    );
    assert_eq!(run.errors.lines().count(), 1, "{}", run.errors);
}
