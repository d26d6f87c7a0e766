//! Rows as lines of a file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use backplane_connector_api::conformance::{self, Visibility, sample};
use backplane_connector_api::{ConnectorError, Effect, Epoch, Output, Sink};
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
    conformance::sink(make, || Ok(counts(&path)), Visibility::AtPublish).unwrap();
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
    let effect = sink.prepare(Epoch(2)).unwrap();
    assert!(!path.exists());
    sink.publish(Epoch(2), &effect).unwrap();
    assert_eq!(counts(&path)[&Table::Windows], 2);
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "what was put aside is gone"
    );
}

/// A file with a foreign line, and two epochs of rows that are prepared, the first of them decided.
fn two_epochs(dir: &Path) -> (PathBuf, Effect) {
    let path = dir.join("out.ndjson");
    fs::write(&path, "{\"table\":\"looks\"}\n").unwrap();
    let mut first = sink(&path);
    first.accept(&rows(Table::Windows, 0, 300)).unwrap();
    let committed = first.prepare(Epoch(1)).unwrap();
    first.accept(&rows(Table::Windows, 300, 5)).unwrap();
    first.prepare(Epoch(2)).unwrap();
    (path, committed)
}

#[test]
fn what_was_never_decided_is_never_in_the_file_and_put_away_at_recovery() {
    let dir = tempfile::tempdir().unwrap();
    let (path, committed) = two_epochs(dir.path());
    assert_eq!(counts(&path), BTreeMap::from([(Table::Looks, 1)]));
    for _ in 0..2 {
        let mut again = sink(&path);
        again.recover(&committed).unwrap();
        again.publish(Epoch(1), &committed).unwrap();
        assert_eq!(counts(&path)[&Table::Windows], 300);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_decided_epoch_is_completed_wherever_its_writing_broke_off_and_by_a_revived_process_too() {
    let whole = {
        let dir = tempfile::tempdir().unwrap();
        let (path, committed) = two_epochs(dir.path());
        sink(&path).publish(Epoch(1), &committed).unwrap();
        fs::read(&path).unwrap()
    };
    for written in [18, 19, 500, whole.len() - 1, whole.len()] {
        let dir = tempfile::tempdir().unwrap();
        let (path, committed) = two_epochs(dir.path());
        let mut zombie = sink(&path);
        fs::write(&path, &whole[..written]).unwrap();
        let mut next = sink(&path);
        next.recover(&committed).unwrap();
        next.publish(Epoch(1), &committed).unwrap();
        assert!(fs::read(&path).unwrap() == whole, "{written} bytes were there");
        next.accept(&rows(Table::Looks, 0, 2)).unwrap();
        let third = next.prepare(Epoch(2)).unwrap();
        next.publish(Epoch(2), &third).unwrap();
        let after = fs::read(&path).unwrap();
        zombie.publish(Epoch(1), &committed).unwrap();
        assert!(fs::read(&path).unwrap() == after, "a revived process changes nothing");
    }
}

#[test]
fn rows_of_somebody_else_are_not_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let (path, committed) = two_epochs(dir.path());
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("{\"table\":\"decisions\"}\n");
    fs::write(&path, &text).unwrap();
    let message = sink(&path).publish(Epoch(1), &committed).unwrap_err().to_string();
    assert!(message.contains("was written to by somebody else"), "{message}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[test]
fn a_file_that_lost_committed_rows_is_not_recovered() {
    let dir = tempfile::tempdir().unwrap();
    let (path, committed) = two_epochs(dir.path());
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
    let effect = sink.prepare(Epoch(1)).unwrap();
    sink.publish(Epoch(1), &effect).unwrap();
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
    let effect = sink.prepare(Epoch(1)).unwrap();
    sink.publish(Epoch(1), &effect).unwrap();
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
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    sink.discard(Epoch(2), &second);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(counts(&path)[&Table::Windows], 2);
}

#[test]
fn the_ndjson_sink_takes_epochs_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out.ndjson");
    let make = || -> Result<Box<dyn Sink>, ConnectorError> { Ok(Box::new(sink(&path))) };
    conformance::withdrawal(make, || Ok(counts(&path))).unwrap();
    assert_eq!(
        fs::read_dir(dir.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn an_epoch_is_taken_back_wherever_its_writing_broke_off() {
    let whole = {
        let dir = tempfile::tempdir().unwrap();
        let (path, committed) = two_epochs(dir.path());
        sink(&path).publish(Epoch(1), &committed).unwrap();
        fs::read(&path).unwrap()
    };
    let foreign = "{\"table\":\"looks\"}\n";
    for written in [foreign.len(), foreign.len() + 1, 500, whole.len() - 1, whole.len()] {
        let dir = tempfile::tempdir().unwrap();
        let (path, committed) = two_epochs(dir.path());
        fs::write(&path, &whole[..written]).unwrap();
        for _ in 0..2 {
            sink(&path).withdraw(Epoch(1), &committed).unwrap();
            assert_eq!(
                fs::read_to_string(&path).unwrap(),
                foreign,
                "{written} bytes were there"
            );
        }
        // only the epoch that nobody has withdrawn lies beside it
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }
}

#[test]
fn rows_of_somebody_else_are_not_cut_off() {
    let dir = tempfile::tempdir().unwrap();
    let (path, committed) = two_epochs(dir.path());
    sink(&path).publish(Epoch(1), &committed).unwrap();
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("{\"table\":\"decisions\"}\n");
    fs::write(&path, &text).unwrap();
    let message = sink(&path).withdraw(Epoch(1), &committed).unwrap_err().to_string();
    assert!(message.contains("was written to by somebody else"), "{message}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    // few enough to be the epoch's, but others
    let dir = tempfile::tempdir().unwrap();
    let (path, committed) = two_epochs(dir.path());
    let text = "{\"table\":\"looks\"}\n{\"table\":\"decisions\"}\n";
    fs::write(&path, text).unwrap();
    let message = sink(&path).withdraw(Epoch(1), &committed).unwrap_err().to_string();
    assert!(message.contains("was written to by somebody else"), "{message}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}

#[cfg(unix)]
#[test]
fn what_went_into_a_device_is_left_there() {
    let mut sink = sink(Path::new("/dev/null"));
    sink.accept(&rows(Table::Windows, 0, 2)).unwrap();
    let effect = sink.prepare(Epoch(1)).unwrap();
    sink.publish(Epoch(1), &effect).unwrap();
    sink.withdraw(Epoch(1), &effect).unwrap();
}
