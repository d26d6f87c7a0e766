//! Records that could not be read: counted, shown, and tried again.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic, also in its helpers")]

use std::fs;
use std::io::Write as _;

use crate::harness::{Run, Sandbox};
use crate::shop::{self, JOB, ask};

/// One subject a minute from nine o'clock on.
fn exposure(minute: u32) -> Vec<u8> {
    shop::exposure(minute, minute).trim_end().as_bytes().to_vec()
}

fn replaced(line: &[u8], from: &str, to: &[u8]) -> Vec<u8> {
    let at = line
        .windows(from.len())
        .position(|part| part == from.as_bytes())
        .unwrap();
    [&line[..at], to, &line[at + from.len()..]].concat()
}

/// Minutes of the second hour, each spoilt in its own way.
fn spoilt(minute: u32) -> Option<Vec<u8>> {
    let line = exposure(minute);
    Some(match minute {
        70 => line[..line.len() - 1].to_vec(),
        75 => replaced(&line, "u-75", b"\xff\xfe\x00u-75\t"),
        80 => replaced(&line, "u-80", &vec![0xb8; 3_000_000]),
        85 => replaced(&line, "2026-01-05T", b"05.01.2026 "),
        90 => replaced(&line, "\"subjectId\"", b"\"subject\""),
        95 => replaced(&line, "\"subjectId\"", "\"subject é€\"".as_bytes()),
        _ => return None,
    })
}

const SPOILT: [u32; 6] = [70, 75, 80, 85, 90, 95];

fn lines(records: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut text = records.into_iter().collect::<Vec<_>>().join(&b'\n');
    text.push(b'\n');
    text
}

/// A job that has read two hours, of which some minutes are spoilt.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new().with("job.yaml", JOB);
    fs::create_dir(sandbox.path("in")).unwrap();
    let events = (0..120).map(|minute| spoilt(minute).unwrap_or_else(|| exposure(minute)));
    fs::write(sandbox.path("in/a.ndjson"), lines(events)).unwrap();
    let run = sandbox.run(&["run", "job.yaml", "--strict"]);
    assert_eq!(run.status, 3, "{}", run.errors);
    sandbox
}

fn repaired(minutes: &[u32]) -> Vec<u8> {
    lines(minutes.iter().map(|minute| exposure(*minute)))
}

fn assert_begins(run: &Run, told: &str) {
    assert!(run.errors.starts_with(told), "{}", run.errors);
}

/// All that the lake has of events and results, without what tells when it was written.
fn contents(sandbox: &Sandbox) -> Vec<String> {
    let counts = "select window_name, window_start, window_end, is_final, variant, subjects from assignment_counts order by 1, 2, 3, 4, 5, 6";
    let events = "select event_id, event_time, subject_id from exposures order by 1, 2";
    let late = "select event_id, window_name from late_events order by 1, 2";
    [counts, events, late].map(|query| ask(sandbox, query)).to_vec()
}

/// What the lake has where nothing was spoilt.
fn undisturbed() -> Vec<String> {
    let sandbox = Sandbox::new().with("job.yaml", JOB);
    fs::create_dir(sandbox.path("in")).unwrap();
    fs::write(sandbox.path("in/a.ndjson"), lines((0..120).map(exposure))).unwrap();
    assert_eq!(sandbox.run(&["run", "job.yaml"]).status, 0);
    contents(&sandbox)
}

fn replay(sandbox: &Sandbox, more: &[&str]) -> Run {
    sandbox.run(&[&["dead-letters", "replay", "job.yaml"], more].concat())
}

fn letters(sandbox: &Sandbox) -> usize {
    let text = fs::read(sandbox.path("dead-letters.ndjson")).unwrap_or_default();
    text.iter().filter(|byte| **byte == b'\n').count()
}

#[test]
fn letters_are_counted_by_reason_and_source_the_newest_last() {
    let sandbox = sandbox();
    let run = sandbox.run(&["dead-letters", "list", "job.yaml", "--format", "json"]);
    assert_eq!((run.status, run.errors.as_str()), (0, ""));
    let rows: serde_json::Value = serde_json::from_str(&run.output).unwrap();
    let told: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            let text = |key: &str| row[key].as_str().unwrap().to_owned();
            assert!(text("first") <= text("last") && text("last").starts_with("20"));
            (
                text("reason"),
                text("source"),
                row["count"].as_u64().unwrap(),
                text("example"),
            )
        })
        .collect();
    let expected = [
        ("invalid_json", 1, "in/a.ndjson:71"),
        ("invalid_timestamp", 1, "in/a.ndjson:86"),
        ("invalid_utf8", 2, "in/a.ndjson:81"),
        ("missing_member", 2, "in/a.ndjson:96"),
    ];
    let expected =
        expected.map(|(reason, count, example)| (reason.to_owned(), "events".to_owned(), count, example.to_owned()));
    assert_eq!(told, expected);

    // one that is newer, though its name comes before the others
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(sandbox.path("dead-letters.ndjson"))
        .unwrap();
    let newer = r#"{"table":"dead_letters","time":"2999-01-05T10:00:00.000000Z","source":"a","position":"p:1","reason":"empty_id","detail":"d","raw":""}"#;
    writeln!(file, "{newer}\nnot a letter").unwrap();
    let run = sandbox.run(&["dead-letters", "list", "job.yaml"]);
    assert_eq!(run.status, 0);
    let lines: Vec<&str> = run.output.lines().collect();
    assert!(
        lines[0].starts_with("reason") && lines[0].ends_with("such as"),
        "{}",
        run.output
    );
    assert!(
        lines[6].starts_with("empty_id") && lines[6].ends_with("2999-01-05 10:00:00  p:1"),
        "{}",
        run.output
    );
    assert_begins(
        &run,
        "passed over in dead-letters.ndjson: 1 line that no job has written there, the first is line 8: ",
    );
}

#[test]
fn letters_are_shown_with_what_is_wrong_and_what_to_do() {
    let sandbox = sandbox();
    let show = |more: &[&str]| sandbox.run(&[&["dead-letters", "show", "job.yaml"], more].concat());
    let run = show(&["--reason", "invalid_utf8"]);
    assert_eq!((run.status, run.errors.as_str()), (0, ""));
    let shown: Vec<&str> = run.output.trim_end().split("\n\n").collect();
    assert_eq!(shown.len(), 2, "{}", run.output);
    let lines: Vec<&str> = shown[0].lines().collect();
    assert!(
        lines[0].ends_with("  invalid_utf8  in/a.ndjson:76, source events"),
        "{}",
        shown[0]
    );
    assert!(lines[1].starts_with("  why     byte 1"), "{}", shown[0]);
    assert_eq!(lines[2], "  to do   have the producer write UTF-8");
    assert!(
        lines[3].starts_with("  record  {\"eventId\":\"e-75\"")
            && lines[3].ends_with("\"subjectId\":\"\\xff\\xfe\\0u-75\\t\"}}"),
        "{}",
        shown[0]
    );
    assert!(
        shown[1].len() < 4_000 && shown[1].ends_with(" bytes more"),
        "{}",
        shown[1]
    );

    let run = show(&["--limit", "1"]);
    assert!(
        run.output.contains("in/a.ndjson:96") && !run.output.contains("in/a.ndjson:91"),
        "{}",
        run.output
    );
    assert_eq!(show(&["--limit", "3"]).output.matches("source events").count(), 3);
    assert_eq!(show(&["--limit", "1000"]).output.matches("source events").count(), 6);
    let run = show(&["--source", "other"]);
    assert_eq!(
        (run.status, run.output.as_str(), run.errors.as_str()),
        (
            0,
            "",
            "none of the 6 dead letters of dead-letters.ndjson is of that reason and source\n"
        )
    );
    let run = show(&["--reason", "invalid"]);
    assert_eq!(run.status, 2);
    assert!(run.errors.contains("invalid_json"), "{}", run.errors);
}

#[test]
fn raw_records_come_out_byte_by_byte() {
    let sandbox = sandbox();
    let raw = sandbox.run_bytes(&["dead-letters", "show", "job.yaml", "--raw"]);
    assert!(raw == lines(SPOILT.iter().filter_map(|minute| spoilt(*minute))));
    let raw = sandbox.run_bytes(&[
        "dead-letters",
        "show",
        "job.yaml",
        "--raw",
        "--limit",
        "2",
        "--source",
        "events",
    ]);
    assert!(raw == lines([90, 95].into_iter().filter_map(spoilt)));
}

#[test]
fn records_that_were_put_right_go_in_once_as_if_they_had_come_in_time() {
    let expected = undisturbed();
    let sandbox = sandbox();
    assert_ne!(contents(&sandbox), expected);
    // in no order, with what still cannot be read, and not all at once
    let mut records = repaired(&[95, 70, 80]);
    fs::write(sandbox.path("repaired.ndjson"), &records).unwrap();
    let run = replay(&sandbox, &["--records", "repaired.ndjson", "--strict"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert_begins(
        &run,
        "tried again: 3 records of repaired.ndjson, all could be read\ndone: 3 records in ",
    );
    assert!(run.errors.contains(" 0 too late"), "{}", run.errors);
    assert!(!run.errors.contains("could not be read"), "{}", run.errors);
    let visible = contents(&sandbox);
    for _ in 0..2 {
        let run = replay(&sandbox, &["--records", "repaired.ndjson"]);
        assert_eq!(run.status, 0, "{}", run.errors);
        assert_begins(
            &run,
            "tried again: nothing, repaired.ndjson has no records that were not tried before\nnothing new: ",
        );
    }
    assert_eq!(contents(&sandbox), visible);

    records.extend(repaired(&[75, 85]));
    records.extend_from_slice(b"[]\n");
    fs::write(sandbox.path("repaired.ndjson"), &records).unwrap();
    let run = replay(&sandbox, &["--records", "repaired.ndjson", "--strict"]);
    assert_eq!(run.status, 3, "{}", run.errors);
    assert_begins(&run, "tried again: 3 records of repaired.ndjson, 1 could not be read\n");
    let run = sandbox.run(&["dead-letters", "show", "job.yaml", "--limit", "1"]);
    assert!(
        run.output.contains("repaired.ndjson:6, source dead-letters"),
        "{}",
        run.output
    );
    // another file, with a record that has gone in already; the job goes on beside it
    fs::write(sandbox.path("more.ndjson"), repaired(&[90, 95])).unwrap();
    let run = replay(&sandbox, &["--records", "more.ndjson"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert_eq!(contents(&sandbox), expected);
    let run = sandbox.run(&["run", "job.yaml"]);
    assert_begins(&run, "nothing new");
    assert_eq!(contents(&sandbox), expected);
}

#[test]
fn what_fails_again_is_a_new_letter_and_is_tried_the_next_time() {
    let sandbox = sandbox();
    let visible = contents(&sandbox);
    let run = replay(&sandbox, &["--strict"]);
    assert_eq!(run.status, 3, "{}", run.errors);
    assert_begins(
        &run,
        "tried again: 6 records of dead-letters.ndjson, 6 could not be read\n",
    );
    assert_eq!(letters(&sandbox), 12);
    let raw = sandbox.run_bytes(&["dead-letters", "show", "job.yaml", "--raw", "--source", "dead-letters"]);
    assert!(raw == lines(SPOILT.iter().filter_map(|minute| spoilt(*minute))));
    let run = sandbox.run(&["dead-letters", "show", "job.yaml", "--limit", "1"]);
    assert!(
        run.output
            .contains("missing_member  dead-letters.ndjson:6, source dead-letters"),
        "{}",
        run.output
    );

    let run = sandbox.run(&["run", "job.yaml", "--strict"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert_begins(&run, "nothing new");
    assert_eq!(letters(&sandbox), 12);

    // the job goes on, also with what is new in its own files, and only the newer letters are tried
    let mut file = fs::OpenOptions::new()
        .append(true)
        .open(sandbox.path("in/a.ndjson"))
        .unwrap();
    file.write_all(&lines((120..130).map(exposure))).unwrap();
    let run = replay(&sandbox, &[]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert_begins(
        &run,
        "tried again: 6 records of dead-letters.ndjson, 6 could not be read\ndone: 10 records in ",
    );
    assert_eq!(letters(&sandbox), 18);
    assert_eq!(
        ask(&sandbox, "select count(*), count(distinct event_id) from exposures"),
        "124,124"
    );
    assert_eq!(contents(&sandbox)[1].lines().count(), visible[1].lines().count() + 10);
    // the lake has the letters, too
    assert_eq!(ask(&sandbox, "select count(*) from dead_letters"), "18");
}

#[test]
fn what_is_beyond_the_horizon_is_kept_as_too_late() {
    let sandbox = sandbox();
    fs::write(sandbox.path("old.ndjson"), replaced(&exposure(1), "e-1", b"old")).unwrap();
    let run = replay(&sandbox, &["--records", "old.ndjson"]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert!(run.errors.contains("1 too late for every result"), "{}", run.errors);
    assert_eq!(
        ask(&sandbox, "select count(*) from exposures where event_id = 'old'"),
        "1"
    );
    assert_eq!(
        ask(
            &sandbox,
            "select window_name from late_events where event_id = 'old' order by 1"
        ),
        "cumulative\nhourly"
    );
}

#[test]
fn a_replay_that_is_killed_anywhere_is_run_again_and_takes_each_record_in_once() {
    let expected = undisturbed();
    for step in [
        "claimed",
        "barrier",
        "prepared",
        "manifest-written",
        "decided",
        "lake-committed:2",
        "published",
    ] {
        let sandbox = sandbox();
        let mut records = repaired(&SPOILT);
        records.extend_from_slice(b"[]\n");
        fs::write(sandbox.path("repaired.ndjson"), records).unwrap();
        let args = ["dead-letters", "replay", "job.yaml", "--records", "repaired.ndjson"];
        assert!(sandbox.kill_at(step, &args), "{step} is not reached");
        // who comes next need not know of it
        if step != "claimed" {
            let run = sandbox.run(&["run", "job.yaml"]);
            assert_eq!(run.status, 0, "{step}: {}", run.errors);
        }
        for _ in 0..2 {
            let run = sandbox.run(&args);
            assert_eq!(run.status, 0, "{step}: {}", run.errors);
        }
        assert_eq!(contents(&sandbox), expected, "{step}");
        assert_eq!(letters(&sandbox), 7, "{step}");
    }
}

#[test]
fn a_job_that_goes_back_gives_the_records_up_and_takes_them_in_again() {
    let expected = undisturbed();
    // however slow the machine, and many its epochs, the first ones are kept
    let patient = JOB.replace("url: checkpoints", "url: checkpoints, retain: 1000");
    let sandbox = sandbox().with("job.yaml", &patient);
    let before = contents(&sandbox);
    let list = sandbox.run(&["checkpoint", "list", "job.yaml", "--format", "json"]);
    let list: serde_json::Value = serde_json::from_str(&list.output).unwrap();
    let first = list.as_array().unwrap().last().unwrap()["epoch"].to_string();
    fs::write(sandbox.path("repaired.ndjson"), repaired(&SPOILT)).unwrap();
    assert_eq!(replay(&sandbox, &["--strict"]).status, 3);
    assert_eq!(replay(&sandbox, &["--records", "repaired.ndjson"]).status, 0);
    assert_eq!((contents(&sandbox), letters(&sandbox)), (expected.clone(), 12));

    let run = sandbox.run(&["run", "job.yaml", "--restore", &first]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert_eq!((contents(&sandbox), letters(&sandbox)), (before, 6));
    let run = replay(&sandbox, &["--strict"]);
    assert_begins(&run, "tried again: 6 records");
    assert_eq!(replay(&sandbox, &["--records", "repaired.ndjson"]).status, 0);
    assert_eq!((contents(&sandbox), letters(&sandbox)), (expected, 12));
}

#[test]
fn a_job_that_cannot_know_what_went_in_is_refused() {
    let without = JOB.replace(", url: checkpoints", "");
    let sandbox = sandbox().with("without.yaml", &without);
    let run = sandbox.run(&["dead-letters", "replay", "without.yaml"]);
    assert_eq!(
        (run.status, run.errors.as_str()),
        (
            2,
            "error: the job shop keeps no checkpoints, so nobody would know which records have gone in; name a folder for them in \
             engine.checkpoint.url\n"
        )
    );
    let run = replay(&sandbox, &["--set", "engine.job=other"]);
    assert_eq!(
        (run.status, run.errors.as_str()),
        (
            2,
            "error: the job other has no checkpoint to go on from; start it with `backplane run` first\n"
        )
    );
    // a window that is changed is refused as in a run
    let run = replay(&sandbox, &["--set", "engine.windows[0].size=2h"]);
    assert_eq!(run.status, 2);
    assert!(run.errors.contains("--restore none"), "{}", run.errors);
    assert_eq!(letters(&sandbox), 6);
}

#[test]
fn records_in_the_wrong_place_are_refused() {
    let sandbox = sandbox();
    let refusal = |file: &str| {
        let run = replay(&sandbox, &["--records", file]);
        assert_eq!(run.status, 2, "{}", run.errors);
        run.errors
    };
    assert_eq!(
        refusal("repaired.ndjson"),
        "error: dead-letters: repaired.ndjson: there is no such file\n"
    );
    assert!(refusal("in").contains("in is a folder; name its files"));
    let itself = refusal("./in/../dead-letters.ndjson");
    assert!(
        itself.contains("is the dead-letter file itself; leave --records out"),
        "{itself}"
    );
    fs::copy(sandbox.path("dead-letters.ndjson"), sandbox.path("copy.ndjson")).unwrap();
    let copy = refusal("copy.ndjson");
    assert!(
        copy.contains("holds dead letters, not the records themselves"),
        "{copy}"
    );
    fs::write(sandbox.path("in/repaired.ndjson"), repaired(&[70])).unwrap();
    let read = refusal("in/repaired.ndjson");
    assert!(
        read.contains("source events reads in/repaired.ndjson by itself, and its records would go in twice"),
        "{read}"
    );
    let written = refusal("results.ndjson");
    assert!(written.contains("which is that of --records"), "{written}");
}

#[test]
fn a_job_without_dead_letters_says_so() {
    let sandbox = Sandbox::new().with("job.yaml", JOB);
    fs::create_dir(sandbox.path("in")).unwrap();
    fs::write(sandbox.path("in/a.ndjson"), lines((0..30).map(exposure))).unwrap();
    let none = "no dead letters: dead-letters.ndjson is not there, or empty\n";
    for command in ["list", "show"] {
        let run = sandbox.run(&["dead-letters", command, "job.yaml"]);
        assert_eq!((run.status, run.output.as_str(), run.errors.as_str()), (0, "", none));
    }
    let run = sandbox.run(&["dead-letters", "list", "job.yaml", "--format", "json"]);
    assert_eq!(run.output, "[]\n");
    assert_eq!(sandbox.run(&["run", "job.yaml"]).status, 0);
    let run = replay(&sandbox, &[]);
    assert_eq!(run.status, 0, "{}", run.errors);
    assert_begins(&run, "tried again: nothing, ");

    let device = ["--set", "engine.deadLetter.options.path=/dev/null"];
    let run = sandbox.run(&[&["dead-letters", "list", "job.yaml"], &device[..]].concat());
    assert_eq!(run.status, 2);
    assert!(run.errors.contains("keeps no dead letters"), "{}", run.errors);
}
