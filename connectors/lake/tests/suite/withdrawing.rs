//! Epochs that are taken back.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::DataType;
use backplane_connector_api::{ConnectorError, Epoch, Sink, conformance};
use backplane_events::Table;
use serde_json::Value;

use crate::{publish, rows, sink, sql, visible};

#[test]
fn the_lake_sink_takes_epochs_back() {
    let dir = tempfile::tempdir().unwrap();
    let make = || -> Result<Box<dyn Sink>, ConnectorError> { Ok(Box::new(sink(dir.path()))) };
    conformance::withdrawal(make, || visible(dir.path())).unwrap();
}

/// The actions of each version of a table, one line each.
fn versions(folder: &Path, table: &str) -> Vec<Vec<Value>> {
    let mut entries: Vec<_> = fs::read_dir(folder.join(table).join("_delta_log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    entries.sort();
    let actions = |path| -> Vec<Value> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    entries.into_iter().map(actions).collect()
}

fn outcomes(folder: &Path) -> BTreeSet<String> {
    let read = sql(folder, "select event_id from outcomes");
    let texts = read.iter().flat_map(|batch| {
        let column = cast(batch.column(0), &DataType::Utf8).unwrap();
        let texts: Vec<_> = column.as_string::<i32>().iter().flatten().map(str::to_owned).collect();
        texts
    });
    texts.collect()
}

#[test]
fn readers_of_the_log_see_exactly_the_rows_of_the_epoch_that_is_gone_back_to() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = sink(dir.path());
    publish(
        &mut first,
        1,
        &[rows(Table::Outcomes, 0, 40), rows(Table::Errors, 0, 3)],
    );
    let before = outcomes(dir.path());
    let second = publish(
        &mut first,
        2,
        &[rows(Table::Outcomes, 40, 40), rows(Table::Windows, 0, 5)],
    );
    assert_eq!(outcomes(dir.path()).len(), 80);

    let mut other = sink(dir.path());
    other.withdraw(Epoch(2), &second).unwrap();
    assert_eq!(outcomes(dir.path()), before);
    let counts = visible(dir.path()).unwrap();
    assert_eq!((counts[&Table::Errors], counts[&Table::Windows]), (3, 0));
    let log = versions(dir.path(), "outcomes");
    assert_eq!(log.len(), 4, "one commit takes all of it out");
    let removed: BTreeSet<_> = log[3]
        .iter()
        .filter_map(|action| action.get("remove"))
        .inspect(|remove| assert_eq!(remove["dataChange"], true))
        .map(|remove| remove["path"].as_str().unwrap().to_owned())
        .collect();
    let added: BTreeSet<_> = second["tables"]["outcomes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|add| add["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(removed, added);
    for path in &added {
        // for who reads an earlier version
        assert!(dir.path().join("outcomes").join(path).is_file());
    }
    assert_eq!(versions(dir.path(), "errors").len(), 2, "the epoch had no errors");

    other.withdraw(Epoch(2), &second).unwrap();
    first.publish(Epoch(2), &second).unwrap();
    assert_eq!(outcomes(dir.path()), before, "a revived process changes nothing");
    assert_eq!(versions(dir.path(), "outcomes").len(), 4);
}

#[test]
fn a_writer_that_knows_the_files_that_were_taken_out_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = sink(dir.path());
    let mut follower = sink(dir.path());
    publish(&mut first, 1, &[rows(Table::Outcomes, 0, 10)]);
    let second = publish(&mut first, 2, &[rows(Table::Outcomes, 10, 10)]);
    publish(&mut follower, 1, &[rows(Table::Outcomes, 20, 10)]);
    sink(dir.path()).withdraw(Epoch(2), &second).unwrap();
    publish(&mut follower, 2, &[rows(Table::Outcomes, 30, 10)]);
    publish(&mut first, 3, &[rows(Table::Outcomes, 40, 10)]);
    assert_eq!(visible(dir.path()).unwrap()[&Table::Outcomes], 40);
}

#[test]
fn an_epoch_that_was_committed_to_some_tables_is_taken_out_of_those() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = sink(dir.path());
    publish(&mut first, 1, &[rows(Table::Outcomes, 0, 10)]);
    first.accept(&rows(Table::Outcomes, 10, 10)).unwrap();
    first.accept(&rows(Table::Errors, 0, 10)).unwrap();
    let effect = first.prepare(Epoch(2)).unwrap();
    // publishing broke off after the first table
    let mut half = effect.clone();
    half["tables"].as_object_mut().unwrap().remove("errors");
    first.publish(Epoch(2), &half).unwrap();
    drop(first);

    sink(dir.path()).withdraw(Epoch(2), &effect).unwrap();
    assert_eq!(outcomes(dir.path()).len(), 10);
    assert!(!dir.path().join("errors/_delta_log").exists());
}

#[test]
fn withdrawals_and_commits_side_by_side_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    publish(&mut sink(dir.path()), 1, &[rows(Table::Outcomes, 1000, 1)]);
    let write = |turn: usize| {
        let folder = dir.path().to_owned();
        std::thread::spawn(move || {
            let mut sink = sink(&folder);
            for epoch in 0..4 {
                let first = (turn * 4 + epoch) * 20;
                publish(&mut sink, epoch as u64 * 2 + 1, &[rows(Table::Outcomes, first, 10)]);
                let number = epoch as u64 * 2 + 2;
                let effect = publish(&mut sink, number, &[rows(Table::Outcomes, first + 10, 10)]);
                sink.withdraw(Epoch(number), &effect).unwrap();
            }
        })
    };
    for thread in [write(0), write(1)] {
        thread.join().unwrap();
    }
    assert_eq!(outcomes(dir.path()).len(), 81);
}
