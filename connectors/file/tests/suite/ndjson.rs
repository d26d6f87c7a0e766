//! Rows as lines of a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use backplane_connector_api::conformance::{self, Visibility, sample};
use backplane_connector_api::{ConnectorError, Epoch, Output, Sink};
use backplane_events::Table;
use backplane_file::{NdjsonOptions, NdjsonSink};

fn sink(path: &Path) -> NdjsonSink {
    NdjsonSink::new("results", NdjsonOptions { path: path.to_owned() })
}

fn rows(table: Table, first: usize, count: usize) -> Output {
    Output::Rows {
        table,
        batch: sample(table, first, count).unwrap(),
    }
}

fn counts(path: &Path) -> BTreeMap<Table, u64> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(path).unwrap_or_default().lines() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        *counts
            .entry(Table::from_name(row["table"].as_str().unwrap()).unwrap())
            .or_default() += 1;
    }
    counts
}

#[test]
fn the_ndjson_sink_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.ndjson");
    let make = || -> Result<Box<dyn Sink>, ConnectorError> { Ok(Box::new(sink(&path))) };
    conformance::sink(make, || Ok(counts(&path)), Visibility::AtPrepare).unwrap();
}

#[test]
fn nothing_is_made_before_there_is_a_row() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.ndjson");
    let mut sink = sink(&path);
    sink.check().unwrap();
    let effect = sink.prepare(Epoch(1)).unwrap();
    sink.publish(Epoch(1), &effect).unwrap();
    sink.accept(&rows(Table::Windows, 0, 2)).unwrap();
    assert!(!path.exists());
    sink.prepare(Epoch(2)).unwrap();
    assert_eq!(counts(&path)[&Table::Windows], 2);
}

#[test]
fn what_was_prepared_and_never_decided_is_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.ndjson");
    fs::write(&path, "{\"table\":\"looks\"}\n").unwrap();
    let mut first = sink(&path);
    first.accept(&rows(Table::Windows, 0, 3)).unwrap();
    let committed = first.prepare(Epoch(1)).unwrap();
    let published = fs::read(&path).unwrap();
    first.accept(&rows(Table::Windows, 3, 5)).unwrap();
    first.prepare(Epoch(2)).unwrap();
    assert_eq!(counts(&path)[&Table::Windows], 8);

    sink(&path).recover(&committed).unwrap();
    assert_eq!(fs::read(&path).unwrap(), published);
    sink(&path).recover(&committed).unwrap();
    assert_eq!(fs::read(&path).unwrap(), published, "recovering again changes nothing");
}

#[test]
fn an_epoch_without_rows_is_a_mark_to_recover_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.ndjson");
    fs::write(&path, "{\"table\":\"looks\"}\n").unwrap();
    let mut first = sink(&path);
    let mark = first.prepare(Epoch(1)).unwrap();
    first.accept(&rows(Table::Windows, 0, 3)).unwrap();
    first.prepare(Epoch(2)).unwrap();
    sink(&path).recover(&mark).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "{\"table\":\"looks\"}\n");
}

#[test]
fn a_file_that_lost_committed_rows_is_not_recovered() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.ndjson");
    let mut first = sink(&path);
    first.accept(&rows(Table::Windows, 0, 3)).unwrap();
    let committed = first.prepare(Epoch(1)).unwrap();
    fs::write(&path, "").unwrap();
    let message = sink(&path).recover(&committed).unwrap_err().to_string();
    assert!(message.contains("has 0 bytes, fewer than"), "{message}");
}

#[test]
fn a_line_that_somebody_left_unfinished_stays_a_line_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.ndjson");
    fs::write(&path, "{\"table\":\"looks\"}").unwrap();
    let mut sink = sink(&path);
    sink.accept(&rows(Table::Windows, 0, 1)).unwrap();
    sink.prepare(Epoch(1)).unwrap();
    assert_eq!(counts(&path), BTreeMap::from([(Table::Looks, 1), (Table::Windows, 1)]));
}

#[test]
fn an_epoch_larger_than_memory_should_hold_waits_in_a_file_without_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.ndjson");
    let mut sink = sink(&path);
    for turn in 0..8 {
        sink.accept(&rows(Table::Outcomes, turn * 5000, 5000)).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
    sink.prepare(Epoch(1)).unwrap();
    assert!(fs::metadata(&path).unwrap().len() > 8 << 20);
    let text = fs::read_to_string(&path).unwrap();
    for (number, line) in text.lines().enumerate() {
        let row: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(row["event_id"], format!("event_id-{number}"));
    }
    assert_eq!(text.lines().count(), 40_000);
}

#[test]
fn a_target_that_cannot_be_written_is_refused_before_anything_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let message = sink(dir.path()).check().unwrap_err().to_string();
    assert!(message.contains("is a folder; name a file to write to"), "{message}");
    let message = sink(&dir.path().join("no/out.ndjson")).check().unwrap_err().to_string();
    assert!(message.contains("does not exist; make it first"), "{message}");
}

#[test]
fn an_epoch_that_is_given_up_takes_its_rows_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.ndjson");
    let mut sink = sink(&path);
    sink.accept(&rows(Table::Windows, 0, 2)).unwrap();
    let first = sink.prepare(Epoch(1)).unwrap();
    sink.publish(Epoch(1), &first).unwrap();
    sink.accept(&rows(Table::Windows, 2, 3)).unwrap();
    let second = sink.prepare(Epoch(2)).unwrap();
    assert_eq!(counts(&path)[&Table::Windows], 5);
    sink.discard(Epoch(2), &second);
    assert_eq!(counts(&path)[&Table::Windows], 2);
    sink.discard(Epoch(1), &first);
    assert!(!path.exists(), "a file that only had the rows of that epoch");
}
