//! The sink.

use std::fs;
use std::path::{Path, PathBuf};

use backplane_connector_api::conformance::{self, Visibility};
use backplane_connector_api::{ConnectorError, Epoch, Fault, Output, Sink};
use backplane_events::Table;
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::{publish, rows, sink, visible};

#[test]
fn the_lake_sink_conforms() {
    let dir = tempfile::tempdir().unwrap();
    let make = || -> Result<Box<dyn Sink>, ConnectorError> { Ok(Box::new(sink(dir.path()))) };
    conformance::sink(make, || visible(dir.path()), Visibility::AtPublish).unwrap();
}

#[test]
fn every_table_can_be_written_and_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let outputs: Vec<_> = Table::ALL.iter().map(|table| rows(*table, 0, 30)).collect();
    publish(&mut sink(dir.path()), 1, &outputs);
    let counts = visible(dir.path()).unwrap();
    assert_eq!(counts.len(), Table::ALL.len());
    assert!(counts.values().all(|rows| *rows == 30), "{counts:?}");
}

#[test]
fn files_lie_in_the_folder_of_their_day_and_do_not_hold_the_day() {
    let dir = tempfile::tempdir().unwrap();
    publish(&mut sink(dir.path()), 1, &[rows(Table::Exposures, 0, 40)]);
    let mut days: Vec<_> = fs::read_dir(dir.path().join("exposures"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name != "_delta_log")
        .collect();
    days.sort();
    assert_eq!(
        days,
        [
            "event_date=2026-01-05",
            "event_date=2026-01-06",
            "event_date=2026-01-07"
        ]
    );

    let file = fs::read_dir(dir.path().join("exposures/event_date=2026-01-06"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let reader = SerializedFileReader::new(fs::File::open(file).unwrap()).unwrap();
    let footer = reader.metadata().file_metadata();
    let columns: Vec<_> = footer
        .schema_descr()
        .columns()
        .iter()
        .map(|column| column.name().to_owned())
        .collect();
    let expected: Vec<_> = Table::Exposures
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    assert_eq!(columns, expected);
    assert!(
        footer
            .key_value_metadata()
            .is_none_or(|pairs| pairs.iter().all(|pair| pair.key != "ARROW:schema"))
    );
    let group = reader.metadata().row_group(0);
    for column in group.columns() {
        let name = column.column_descr().name();
        let has_bloom_filter = column.bloom_filter_offset().is_some();
        assert_eq!(has_bloom_filter, ["experiment", "subject_id"].contains(&name), "{name}");
        assert!(
            column.compression() == parquet::basic::Compression::ZSTD(Default::default()),
            "{name}"
        );
    }
}

#[test]
fn what_was_prepared_is_on_the_disk_and_no_delta_reader_sees_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = sink(dir.path());
    publish(&mut first, 1, &[rows(Table::Outcomes, 0, 10)]);
    first.accept(&rows(Table::Outcomes, 10, 5)).unwrap();
    let effect = first.prepare(Epoch(2)).unwrap();
    drop(first);
    let path = effect["tables"]["outcomes"][0]["path"].as_str().unwrap();
    assert!(dir.path().join("outcomes").join(path).is_file());
    assert_eq!(visible(dir.path()).unwrap()[&Table::Outcomes], 10);
}

#[test]
fn numbers_of_epochs_may_begin_anew_with_a_new_job() {
    let dir = tempfile::tempdir().unwrap();
    publish(&mut sink(dir.path()), 1, &[rows(Table::Outcomes, 0, 10)]);
    publish(&mut sink(dir.path()), 1, &[rows(Table::Outcomes, 10, 10)]);
    assert_eq!(visible(dir.path()).unwrap()[&Table::Outcomes], 20);
}

#[test]
fn two_sinks_that_commit_to_the_same_tables_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let write = |turn: usize| {
        let folder = dir.path().to_owned();
        std::thread::spawn(move || {
            let mut sink = sink(&folder);
            for epoch in 0..6 {
                publish(
                    &mut sink,
                    epoch as u64 + 1,
                    &[rows(Table::Outcomes, (turn * 6 + epoch) * 10, 10)],
                );
            }
        })
    };
    // the table exists before the two race
    publish(&mut sink(dir.path()), 1, &[rows(Table::Outcomes, 1000, 1)]);
    for thread in [write(0), write(1)] {
        thread.join().unwrap();
    }
    assert_eq!(visible(dir.path()).unwrap()[&Table::Outcomes], 121);
}

#[test]
fn rows_of_many_days_need_no_more_open_files_than_there_may_be() {
    let dir = tempfile::tempdir().unwrap();
    let outputs: Vec<_> = (0..4).map(|turn| rows(Table::Errors, turn * 1000, 1000)).collect();
    publish(&mut sink(dir.path()), 1, &outputs);
    assert_eq!(visible(dir.path()).unwrap()[&Table::Errors], 4000);
    let days = fs::read_dir(dir.path().join("errors")).unwrap().count() - 1;
    assert_eq!(days, 168);
}

#[test]
fn an_epoch_that_failed_gives_its_error_and_the_next_one_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = sink(dir.path());
    let misnamed = rows(Table::Windows, 0, 3);
    sink.accept(&rows(Table::Outcomes, 0, 3)).unwrap();
    sink.accept(&rows_of_another_table()).unwrap();
    let error = sink.prepare(Epoch(1)).unwrap_err();
    assert_eq!(error.fault(), Fault::Ours);
    publish(&mut sink, 1, &[misnamed]);
    let counts = visible(dir.path()).unwrap();
    assert_eq!((counts[&Table::Windows], counts[&Table::Outcomes]), (3, 0));
}

/// The Parquet files of a table, whether or not a commit names them.
fn parquet_files(folder: &Path, table: &str) -> usize {
    let Ok(days) = fs::read_dir(folder.join(table)) else {
        return 0;
    };
    let of_day = |day: PathBuf| fs::read_dir(day).unwrap().count();
    let days = days.map(|day| day.unwrap().path());
    days.filter(|day| !day.ends_with("_delta_log")).map(of_day).sum()
}

/// Rows that a lake does not take, after which the epoch cannot be completed.
fn rows_of_another_table() -> Output {
    match rows(Table::Outcomes, 0, 3) {
        Output::Rows { batch, .. } => Output::Rows {
            table: Table::Windows,
            batch,
        },
        other => other,
    }
}

#[test]
fn an_epoch_that_fails_or_is_never_prepared_leaves_no_files() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = sink(dir.path());
    publish(&mut sink, 1, &[rows(Table::Outcomes, 0, 1)]);
    // so many days that the first files are closed before the last are begun
    sink.accept(&rows(Table::Errors, 0, 2_000)).unwrap();
    sink.accept(&rows(Table::Outcomes, 0, 1)).unwrap();
    sink.accept(&rows_of_another_table()).unwrap();
    assert!(sink.prepare(Epoch(2)).is_err());
    assert_eq!(
        (
            parquet_files(dir.path(), "errors"),
            parquet_files(dir.path(), "outcomes")
        ),
        (0, 1)
    );

    sink.accept(&rows(Table::Errors, 0, 2_000)).unwrap();
    drop(sink);
    assert!(!dir.path().join("errors").exists());
    assert_eq!(parquet_files(dir.path(), "outcomes"), 1);
}

#[test]
fn a_discarded_epoch_leaves_what_is_committed_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = sink(dir.path());
    let committed = publish(&mut sink, 1, &[rows(Table::Outcomes, 0, 1)]);
    sink.accept(&rows(Table::Outcomes, 1, 1)).unwrap();
    sink.accept(&rows(Table::Errors, 0, 1)).unwrap();
    let effect = sink.prepare(Epoch(2)).unwrap();
    assert_eq!(parquet_files(dir.path(), "outcomes"), 2);
    sink.discard(Epoch(2), &effect);
    sink.discard(Epoch(1), &committed);
    assert_eq!(parquet_files(dir.path(), "outcomes"), 1);
    assert!(!dir.path().join("errors").exists());
    assert_eq!(visible(dir.path()).unwrap()[&Table::Outcomes], 1);
}

#[test]
fn an_epoch_whose_file_was_removed_is_not_committed() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = sink(dir.path());
    publish(&mut sink, 1, &[rows(Table::Outcomes, 0, 1)]);
    sink.accept(&rows(Table::Outcomes, 1, 1)).unwrap();
    let effect = sink.prepare(Epoch(2)).unwrap();
    let path = effect["tables"]["outcomes"][0]["path"].as_str().unwrap();
    fs::remove_file(dir.path().join("outcomes").join(path)).unwrap();
    let error = sink.publish(Epoch(2), &effect).unwrap_err().to_string();
    assert!(
        error.contains(path) && error.contains("is not there any more"),
        "{error}"
    );
    assert_eq!(visible(dir.path()).unwrap()[&Table::Outcomes], 1);
}

#[test]
fn a_target_that_cannot_be_written_is_refused_before_anything_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "x").unwrap();
    for path in [file.clone(), file.join("lake")] {
        let error = sink(&path).check().unwrap_err();
        assert_eq!(error.fault(), Fault::User);
        assert!(
            error
                .to_string()
                .contains("is a file, not a folder; name a folder for the lake"),
            "{error}"
        );
    }
    sink(&dir.path().join("new/lake")).check().unwrap();
    assert!(!dir.path().join("new").exists(), "a check makes nothing");
}

#[test]
fn a_table_of_another_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    publish(&mut sink(dir.path()), 1, &[rows(Table::Windows, 0, 1)]);
    fs::rename(dir.path().join("windows"), dir.path().join("looks")).unwrap();
    let error = sink(dir.path()).check().unwrap_err().to_string();
    assert!(
        error.contains("was written by another version of backplane (it has no column look_id)"),
        "{error}"
    );
}

#[test]
fn many_epochs_leave_a_reader_few_commits_to_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = sink(dir.path());
    for epoch in 1..=70 {
        publish(&mut sink, epoch, &[rows(Table::Outcomes, 0, 2)]);
    }
    let log = dir.path().join("outcomes/_delta_log");
    let last: serde_json::Value = serde_json::from_slice(&fs::read(log.join("_last_checkpoint")).unwrap()).unwrap();
    let checkpoint = last["version"].as_u64().unwrap();
    // the first version makes the table
    assert!(
        checkpoint <= 70 && 70 - checkpoint < 32,
        "the last checkpoint is of version {checkpoint}"
    );
    assert!(log.join(format!("{checkpoint:020}.checkpoint.parquet")).is_file());
    assert_eq!(visible(dir.path()).unwrap()[&Table::Outcomes], 140);
}
