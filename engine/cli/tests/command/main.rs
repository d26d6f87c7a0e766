//! The binary as a new user meets it: what it says to wrong input, how it ends, and what it leaves behind.

mod dead_letters;
mod failures;
mod harness;
mod inputs_and_outputs;
mod looks;
mod resuming;
mod shop;
mod vacuum;

use std::fs;

use harness::Sandbox;

/// A job over one file of events, with a lake.
const JOB: &str = "engine:\n  sources:\n    - { type: file, options: { paths: [events.ndjson] } }\n  sinks:\n    - { type: lake, options: { url: lake } }\n";

const EXPOSURE: &str = r#"{"eventId":"e-1","timestamp":"2026-01-05T09:30:00+00:00","eventType":"Exposure","schemaVersion":"1.0.0","payload":{"experimentName":"checkout","variantKey":"control","subjectId":"u-1"}}"#;
const OUTCOME: &str = r#"{"eventId":"e-2","timestamp":"2026-01-05T09:31:00+00:00","eventType":"Outcome","schemaVersion":"1.0.0","payload":{"id":"o-2","experimentName":"checkout","subjectId":"u-1","outcomeType":"Binary","metricName":"click","value":1}}"#;

#[test]
fn an_unknown_command_is_answered_with_the_nearest_one() {
    let run = Sandbox::new().run(&["rum", "job.yaml"]);
    assert_eq!(run.status, 2);
    assert!(
        run.errors.starts_with("error: unrecognized subcommand 'rum'"),
        "{}",
        run.errors
    );
    assert!(
        run.errors.contains("a similar subcommand exists: 'run'"),
        "{}",
        run.errors
    );
}

#[test]
fn a_missing_configuration_is_named() {
    let run = Sandbox::new().run(&["run", "job.yaml"]);
    assert_eq!(
        (run.status, run.errors.as_str()),
        (2, "error: job.yaml: there is no such file; check the path\n")
    );
}

#[test]
fn a_missing_file_of_events_is_named_and_nothing_is_left_behind() {
    let sandbox = Sandbox::new().with("job.yaml", JOB);
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(
        (run.status, run.errors.as_str()),
        (2, "error: file: events.ndjson: there is no such file\n")
    );
    assert_eq!(sandbox.names(), ["job.yaml"]);
}

#[test]
fn a_folder_in_the_place_of_a_file_is_told() {
    let sandbox = Sandbox::new().with("job.yaml", JOB);
    fs::create_dir(sandbox.path("events.ndjson")).unwrap();
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 2);
    assert_eq!(
        run.errors,
        "error: file: events.ndjson is a folder; name its files, e.g. events.ndjson/*.ndjson\n"
    );
    assert_eq!(sandbox.names(), ["events.ndjson", "job.yaml"]);
}

#[test]
fn an_empty_file_is_a_stream_without_events() {
    let sandbox = Sandbox::new().with("job.yaml", JOB).with("events.ndjson", "");
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert!(run.errors.contains("done: 0 records"), "{}", run.errors);
}

#[test]
fn a_truncated_archive_fails_the_job_and_no_row_of_it_is_visible() {
    let sandbox = Sandbox::new().with("job.yaml", &JOB.replace("events.ndjson", "events.ndjson.zst"));
    let generated = sandbox.run(&["generate", "--events", "5000", "-o", "events.ndjson.zst"]);
    assert_eq!(generated.status, 0, "{}", generated.errors);
    let whole = fs::read(sandbox.path("events.ndjson.zst")).unwrap();
    fs::write(sandbox.path("events.ndjson.zst"), &whole[..whole.len() / 2]).unwrap();
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 1, "{}", run.errors);
    let said = run.last_error();
    assert!(
        said.starts_with(
            "error: file: events.ndjson.zst is damaged: its Zstandard data breaks off or is corrupt after"
        ),
        "{said}"
    );
    assert!(!sandbox.path("dead-letters.ndjson").exists());
    let asked = sandbox.run(&["sql", "--lake", "lake", "select count(*) from exposures"]);
    assert_eq!(asked.status, 2, "the lake has rows of half a stream: {}", asked.output);
}

#[test]
fn a_binary_file_ends_in_dead_letters_and_with_strict_in_status_3() {
    let sandbox = Sandbox::new().with("job.yaml", JOB);
    let bytes: Vec<u8> = (0..4096u32)
        .map(|index| (index * 37 % 251) as u8 | 0x80)
        .chain(*b"\n\xff\xfe\n")
        .collect();
    fs::write(sandbox.path("events.ndjson"), bytes).unwrap();
    let run = sandbox.run(&["run", "job.yaml", "--strict"]);
    assert_eq!(run.status, 3, "{}", run.errors);
    assert!(
        run.errors
            .contains("2 records could not be read (2 invalid_utf8); they are in dead-letters.ndjson"),
        "{}",
        run.errors
    );
    let letters = fs::read_to_string(sandbox.path("dead-letters.ndjson")).unwrap();
    assert_eq!(letters.lines().count(), 2);
    assert!(letters.contains("events.ndjson:1"), "{letters}");
}

#[test]
fn a_misspelt_key_is_told_with_its_place_and_what_was_meant() {
    let sandbox = Sandbox::new()
        .with("job.yaml", &JOB.replace("sinks", "sinsk"))
        .with("events.ndjson", EXPOSURE);
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 2);
    assert_eq!(
        run.last_error(),
        "job.yaml:4:3: error: engine.sinsk: unknown key \"sinsk\" (did you mean sinks?)"
    );
    assert_eq!(sandbox.names(), ["events.ndjson", "job.yaml"]);
}

#[test]
fn all_errors_of_a_configuration_are_told_at_once() {
    let text = "engine:\n  job: a b\n  parallelism: many\n  windows:\n    - { name: h, type: tumble, size: 1 hour }\n";
    let sandbox = Sandbox::new().with("job.yaml", text);
    let run = sandbox.run(&["validate", "job.yaml"]);
    assert_eq!(run.status, 2);
    let lines: Vec<&str> = run.output.lines().collect();
    assert_eq!(lines.len(), 4, "{}", run.output);
    for (line, place) in lines.iter().zip([
        "job.yaml:2:",
        "job.yaml:3:",
        "job.yaml:5:",
        "3 errors and 0 warnings in job.yaml",
    ]) {
        assert!(line.starts_with(place), "{line}");
    }
    let json = sandbox.run(&["validate", "job.yaml", "--format", "json"]);
    let found: serde_json::Value = serde_json::from_str(&json.output).unwrap();
    assert_eq!(
        (
            json.status,
            &found["valid"],
            found["diagnostics"].as_array().unwrap().len()
        ),
        (2, &serde_json::json!(false), 3)
    );
}

#[test]
fn a_wrong_query_of_the_configuration_is_found_before_anything_is_read() {
    let text = format!(
        "{JOB}    - {{ name: out, type: file, options: {{ path: out.ndjson }} }}\n  windows: [{{ name: hourly, type: tumble, size: 1h }}]\n  queries:\n    \
         - {{ name: errors, window: hourly, sql: \"select experimant from errors\", sinks: [out] }}\n"
    );
    let sandbox = Sandbox::new().with("job.yaml", &text).with("events.ndjson", EXPOSURE);
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 2, "{}", run.errors);
    let told = "job.yaml:9:44: error: engine.queries[0].sql: line 1, column 8: there is no column experimant, did you mean experiment?\n";
    assert_eq!(run.errors, told);
    assert_eq!(sandbox.names(), ["events.ndjson", "job.yaml"]);
    let validated = sandbox.run(&["validate", "job.yaml"]);
    assert_eq!(validated.status, 2);
    assert!(
        validated.output.contains("engine.queries[0].sql"),
        "{}",
        validated.output
    );
}

#[test]
fn an_unwritable_target_is_told_before_anything_is_read() {
    let sandbox = Sandbox::new().with("events.ndjson", EXPOSURE);
    let file = JOB.replace(
        "type: lake, options: { url: lake }",
        "type: file, options: { path: missing/out.ndjson }",
    );
    let run = sandbox.with("file.yaml", &file).run(&["run", "file.yaml"]);
    let told = "error: file: missing/out.ndjson cannot be written: the folder missing does not exist; make it first\n";
    assert_eq!((run.status, run.errors.as_str()), (2, told));

    let sandbox = Sandbox::new()
        .with("events.ndjson", EXPOSURE)
        .with("lake", "a file")
        .with("job.yaml", JOB);
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 2, "{}", run.errors);
    assert!(run.errors.contains("is a file, not a folder"), "{}", run.errors);
    assert_eq!(sandbox.names(), ["events.ndjson", "job.yaml", "lake"]);
}

#[test]
fn an_output_that_is_also_an_input_is_refused() {
    let text = JOB.replace(
        "type: lake, options: { url: lake }",
        "type: file, options: { path: ./events.ndjson }",
    );
    let sandbox = Sandbox::new().with("job.yaml", &text).with("events.ndjson", EXPOSURE);
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 2);
    assert!(
        run.errors
            .contains("which is that of source file; give each a place of its own"),
        "{}",
        run.errors
    );
    assert_eq!(fs::read_to_string(sandbox.path("events.ndjson")).unwrap(), EXPOSURE);
}

#[test]
fn a_checkpoint_that_is_not_kept_cannot_be_restored() {
    let sandbox = Sandbox::new().with("job.yaml", JOB).with("events.ndjson", EXPOSURE);
    let run = sandbox.run(&["run", "job.yaml", "--restore", "latest"]);
    assert_eq!(run.status, 2);
    assert!(
        run.errors.starts_with(
            "error: --restore: the job keeps no checkpoints; name a folder for them in engine.checkpoint.url"
        ),
        "{}",
        run.errors
    );
}

#[test]
fn a_stream_goes_to_a_lake_and_is_asked_in_every_format() {
    let sandbox = Sandbox::new()
        .with("job.yaml", JOB)
        .with("events.ndjson", &format!("{EXPOSURE}\n{OUTCOME}\nnot a record\n"));
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert!(
        run.errors
            .contains("1 record could not be read (1 invalid_json); they are in dead-letters.ndjson"),
        "{}",
        run.errors
    );

    let query = "select experiment, variant, metric, subjects, mean, segment from metric_stats";
    let csv = sandbox.run(&["sql", "--lake", "lake", "--format", "csv", query]);
    assert_eq!((csv.status, csv.errors.as_str()), (0, ""));
    assert_eq!(
        csv.output,
        "experiment,variant,metric,subjects,mean,segment\ncheckout,control,click,1,1.0,\n"
    );
    let json = sandbox.run(&["sql", "-c", "job.yaml", "--format", "json", query]);
    let line =
        r#"{"experiment":"checkout","variant":"control","metric":"click","subjects":1,"mean":1.0,"segment":null}"#;
    assert_eq!(json.output, format!("{line}\n"));
    let table = sandbox.run_with_input(&["sql", "--lake", "lake"], &format!("{query};\n"));
    assert!(
        table
            .output
            .starts_with("experiment  variant  metric  subjects  mean  segment\n"),
        "{}",
        table.output
    );
    assert!(table.errors.starts_with("(1 row, "), "{}", table.errors);
    let parquet = sandbox.run_bytes(&["sql", "--lake", "lake", "--format", "parquet", query]);
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));

    let again = sandbox.run(&["run", "job.yaml"]);
    assert_eq!(again.status, 2);
    assert!(
        again.last_error().contains("already holds rows of an earlier run"),
        "{}",
        again.errors
    );
}

#[test]
fn a_query_may_begin_with_a_comment() {
    let sandbox = Sandbox::new();
    let demo = sandbox.run(&["demo", "--events", "2000", "--dir", "demo"]);
    assert_eq!(demo.status, 0, "{}", demo.errors);
    let run = sandbox.run(&["sql", "--lake", "demo/lake", "--format", "csv", "-- one\nselect 1 as a"]);
    assert_eq!((run.status, run.output.as_str()), (0, "a\n1\n"), "{}", run.errors);
}

#[test]
fn a_typing_error_in_a_query_is_told_with_its_position() {
    let sandbox = Sandbox::new().with("job.yaml", JOB).with("events.ndjson", EXPOSURE);
    assert_eq!(sandbox.run(&["run", "job.yaml"]).status, 0);
    let ask = |query: &str| sandbox.run(&["sql", "--lake", "lake", query]);

    let run = ask("select\n  subjcts from assignment_counts");
    assert_eq!((run.status, run.output.as_str()), (1, ""));
    assert_eq!(
        run.errors,
        "error: line 2, column 3: there is no column subjcts, did you mean subjects?\n"
    );
    let run = ask("selct 1");
    assert_eq!(run.status, 1);
    assert!(
        run.errors.starts_with("error: line 1, column 1: this is not SQL: "),
        "{}",
        run.errors
    );
    let run = ask("select * from exposure");
    assert_eq!(run.status, 1);
    assert!(
        run.errors
            .contains("there is no table exposure, did you mean exposures?"),
        "{}",
        run.errors
    );
    let run = ask("copy (select 1) to 'out.csv'");
    assert_eq!(run.status, 1);
    assert!(run.errors.contains("tables are only read here"), "{}", run.errors);
    assert!(!sandbox.path("out.csv").exists());
    let run = ask("  ");
    assert_eq!(
        (run.status, run.errors.as_str()),
        (
            2,
            "error: there is no query; write one, e.g. \"select * from experiments\"\n"
        )
    );
}

#[test]
fn a_query_without_a_lake_is_told_how_to_name_one() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["sql", "select 1"]);
    assert_eq!(run.status, 2);
    assert!(
        run.errors.starts_with("error: which lake? name it with --lake"),
        "{}",
        run.errors
    );
    let run = sandbox.run(&["sql", "--lake", "nowhere", "select 1"]);
    assert_eq!(
        (run.status, run.errors.as_str()),
        (
            2,
            "error: lake: nowhere: there is no such folder; name the folder of a lake\n"
        )
    );
}

#[test]
fn what_this_version_has_not_is_said() {
    let sandbox = Sandbox::new();
    let serve = sandbox.run(&["demo", "--serve"]);
    assert_eq!(serve.status, 2);
    assert!(
        serve.errors.starts_with("error: --serve: this version has no web page"),
        "{}",
        serve.errors
    );
    let connect = sandbox.run(&["sql", "--connect", "127.0.0.1:5433", "select 1"]);
    assert_eq!(connect.status, 2);
    assert!(
        connect.errors.starts_with("error: --connect: jobs have no SQL port"),
        "{}",
        connect.errors
    );
    assert_eq!(sandbox.names(), Vec::<String>::new());
}

#[test]
fn events_are_exported_to_a_lake_and_replayed_from_it() {
    let events = format!("{EXPOSURE}\n{OUTCOME}\n{OUTCOME}\n[]\n");
    let sandbox = Sandbox::new().with("events.ndjson", &events);
    let run = sandbox.run(&["export", "--from", "events.ndjson", "--to", "lake", "--strict"]);
    assert_eq!(run.status, 3, "{}", run.errors);
    assert!(run.errors.contains("1 second delivery"), "{}", run.errors);
    assert!(run.errors.contains("they are in lake/dead_letters"), "{}", run.errors);
    let count = |table: &str| {
        let query = format!("select count(*) as n from {table}");
        sandbox
            .run(&["sql", "--lake", "lake", "--format", "csv", &query])
            .output
    };
    assert_eq!(count("exposures"), "n\n1\n");
    assert_eq!(count("outcomes"), "n\n1\n");
    assert_eq!(count("dead_letters"), "n\n1\n");
    assert_eq!(count("metric_stats"), "n\n0\n");

    let job = "engine:\n  sources: [{ type: stdin }]\n  sinks: [{ type: lake, options: { url: results } }]\n";
    let sandbox = sandbox.with("job.yaml", job);
    let run = sandbox.run(&["replay", "--from", "lake", "-c", "job.yaml"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    let query = "select subjects, mean from metric_stats";
    let rows = sandbox
        .run(&["sql", "--lake", "results", "--format", "csv", query])
        .output;
    assert_eq!(rows, "subjects,mean\n1,1.0\n");

    let run = sandbox.run(&[
        "replay",
        "--from",
        "lake",
        "-c",
        "job.yaml",
        "--set",
        "engine.sinks[0].options.url=lake",
    ]);
    assert_eq!(run.status, 2, "{}", run.errors);
}

#[test]
fn events_come_from_standard_input_and_results_go_to_the_terminal() {
    let sandbox = Sandbox::new().with("job.yaml", "engine:\n  sources: [{ type: stdin }]\n");
    let run = sandbox.run_with_input(&["run", "job.yaml"], &format!("{EXPOSURE}\n{OUTCOME}\n"));
    assert_eq!(run.status, 0, "{}", run.errors);
    assert!(run.output.contains("checkout, to date"), "{}", run.output);
    assert!(run.output.contains("mean click"), "{}", run.output);
    assert_eq!(sandbox.names(), ["job.yaml"]);
}

#[test]
fn a_generated_stream_runs_by_the_configuration_beside_it() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&[
        "generate",
        "--events",
        "3000",
        "--seed",
        "7",
        "-o",
        "a.ndjson.gz",
        "-o",
        "b.ndjson",
    ]);
    assert_eq!(run.status, 0, "{}", run.errors);
    let names = [
        "a.ndjson.gz",
        "a.ndjson.gz.config.yaml",
        "a.ndjson.gz.truth.json",
        "b.ndjson",
    ];
    assert_eq!(sandbox.names(), names);
    let run = sandbox.run(&[
        "run",
        "a.ndjson.gz.config.yaml",
        "--set",
        "engine.deadLetter.options.path=bad.ndjson",
    ]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert!(run.output.contains("search-ranking-v2, to date"), "{}", run.output);

    let refused = sandbox.run(&["generate", "-o", "missing/events.ndjson"]);
    let told = "error: missing/events.ndjson cannot be written: the folder missing does not exist; make it first\n";
    assert_eq!((refused.status, refused.errors.as_str()), (2, told));
    let refused = sandbox.run(&["generate", "-o", "same.ndjson", "-o", "./same.ndjson"]);
    assert_eq!(refused.status, 2);
    assert!(
        refused.errors.contains("which is that of output 1"),
        "{}",
        refused.errors
    );
}

#[test]
fn the_effective_configuration_says_where_each_value_came_from() {
    let sandbox = Sandbox::new().with("job.yaml", JOB);
    let run = sandbox.run(&["config", "show", "job.yaml", "--set", "engine.parallelism=3"]);
    assert_eq!((run.status, run.errors.as_str()), (0, ""));
    let line = |key: &str| {
        run.output
            .lines()
            .find(|line| line.trim_start().starts_with(key))
            .unwrap_or_default()
            .to_owned()
    };
    assert!(line("parallelism:").ends_with("# --set"), "{}", run.output);
    assert!(line("evaluateEvery:").ends_with("# default"), "{}", run.output);
    assert!(run.output.contains("# job.yaml:5"), "{}", run.output);
}

#[test]
fn the_schema_is_json() {
    let run = Sandbox::new().run(&["schema"]);
    let schema: serde_json::Value = serde_json::from_str(&run.output).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
}

#[cfg(unix)]
#[test]
fn an_interrupted_job_stops_cleanly_with_status_130() {
    let text = JOB.replace("paths: [events.ndjson]", "paths: [events.ndjson], follow: true");
    let sandbox = Sandbox::new()
        .with("job.yaml", &text)
        .with("events.ndjson", &format!("{EXPOSURE}\n"));
    let run = sandbox.run_until_interrupted(
        &["run", "job.yaml", "--log-format", "json"],
        std::time::Duration::from_secs(2),
    );
    assert_eq!(run.status, 130, "{}", run.errors);
    let summary: serde_json::Value = serde_json::from_str(run.last_error()).unwrap();
    assert_eq!(
        (&summary["message"], &summary["ending"], &summary["events"]),
        (&"summary".into(), &"Stopped".into(), &1.into())
    );
}

#[test]
fn a_reader_that_stops_reading_is_no_error() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.run_without_reader(&["schema"]).status, 0);
}

#[test]
fn the_demo_finds_what_is_planted_and_can_be_repeated() {
    let sandbox = Sandbox::new();
    let args = ["demo", "--events", "20000", "--seed", "7", "--dir", "./demo"];
    let run = sandbox.run(&args);
    assert_eq!(run.status, 0, "{}", run.errors);
    // what follows has times and paths in it
    let (page, rest) = run.output.split_once("The run\n").unwrap();
    insta::assert_snapshot!("demo", page);
    assert!(rest.contains("backplane sql --lake demo/lake"), "{rest}");
    let validated = sandbox.run(&["validate", "demo/config.yaml"]);
    assert_eq!(validated.status, 0, "{}", validated.output);

    let again = sandbox.run(&args);
    assert_eq!(again.status, 0, "{}", again.errors);
    assert_eq!(again.output.split_once("The run\n").unwrap().0, page);
    assert_eq!(sandbox.names(), ["demo"]);
}

#[test]
fn a_folder_of_somebody_else_is_no_place_for_a_demo() {
    let sandbox = Sandbox::new().with("thesis.txt", "all of it");
    let run = sandbox.run(&["demo", "--dir", "."]);
    assert_eq!(
        (run.status, run.errors.as_str()),
        (
            2,
            "error: . is not empty and not an earlier demo; name another folder with --dir\n"
        )
    );
    assert_eq!(sandbox.names(), ["thesis.txt"]);
}

#[cfg(unix)]
#[test]
fn a_job_over_many_files_asks_for_as_many_as_it_needs() {
    let mut sandbox = Sandbox::new().with("job.yaml", &JOB.replace("events.ndjson", "'many/*.ndjson'"));
    for file in 0..200 {
        sandbox = sandbox.with(
            &format!("many/{file}.ndjson"),
            &EXPOSURE.replace("e-1", &format!("e-{file}")),
        );
    }
    let run = sandbox.run_with_few_files(&["run", "job.yaml"], 64);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert!(run.errors.contains("200 records"), "{}", run.errors);
}
