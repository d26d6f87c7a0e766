//! Files that no reader needs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use backplane_connector_api::{Effect, Epoch, Sink};
use backplane_events::Table;
use backplane_lake::{FileCount, Leftovers};

use crate::{block_on, options, publish, rows, sink, visible};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// The files of a table that an effect adds.
fn files_of(folder: &Path, effect: &Effect, table: &str) -> Vec<PathBuf> {
    let adds = effect["tables"][table].as_array().unwrap().iter();
    adds.map(|add| folder.join(table).join(add["path"].as_str().unwrap()))
        .collect()
}

fn leftovers(folder: &Path, older_than: Duration) -> Leftovers {
    block_on(Leftovers::find(&options(folder), older_than)).unwrap()
}

fn numbers(counts: BTreeMap<Table, FileCount>) -> Vec<(Table, u64)> {
    counts.into_iter().map(|(table, count)| (table, count.files)).collect()
}

fn vacuum(folder: &Path, older_than: Duration) -> Vec<(Table, u64)> {
    let leftovers = leftovers(folder, older_than);
    let counts = numbers(leftovers.counts());
    block_on(leftovers.remove()).unwrap();
    counts
}

fn make_old(file: &Path, age: Duration) {
    let opened = File::options().write(true).open(file).unwrap();
    opened.set_modified(SystemTime::now() - age).unwrap();
}

/// Two epochs of which the second was withdrawn, and one that was prepared and never published, also to a table that has no log yet.
fn lake(folder: &Path) -> [Effect; 3] {
    let mut sink = sink(folder);
    let first = publish(
        &mut sink,
        1,
        &[rows(Table::Outcomes, 0, 10), rows(Table::Windows, 0, 2)],
    );
    let second = publish(&mut sink, 2, &[rows(Table::Outcomes, 0, 1)]);
    sink.withdraw(Epoch(2), &second).unwrap();
    sink.accept(&rows(Table::Outcomes, 0, 1)).unwrap();
    sink.accept(&rows(Table::Errors, 0, 1)).unwrap();
    let third = sink.prepare(Epoch(3)).unwrap();
    [first, second, third]
}

#[test]
fn what_no_reader_needs_is_removed_and_every_row_stays() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second, third] = lake(dir.path());
    let before = visible(dir.path()).unwrap();
    assert_eq!((before[&Table::Outcomes], before[&Table::Errors]), (10, 0));

    // nothing is old enough
    assert_eq!(vacuum(dir.path(), HOUR), []);
    let [withdrawn] = &files_of(dir.path(), &second, "outcomes")[..] else {
        panic!("one day is one file")
    };
    let [orphan] = &files_of(dir.path(), &third, "outcomes")[..] else {
        panic!("one day is one file")
    };
    assert!(withdrawn.is_file() && orphan.is_file());

    let found = leftovers(dir.path(), Duration::ZERO).counts();
    let bytes = fs::metadata(withdrawn).unwrap().len() + fs::metadata(orphan).unwrap().len();
    assert_eq!(found[&Table::Outcomes], FileCount { files: 2, bytes });
    assert!(withdrawn.is_file() && orphan.is_file(), "finding removes nothing");
    assert_eq!(
        vacuum(dir.path(), Duration::ZERO),
        [(Table::Outcomes, 2), (Table::Errors, 1)]
    );
    assert!(!withdrawn.exists() && !orphan.exists());
    assert!(!dir.path().join("errors").exists(), "an empty folder is of no use");
    for file in files_of(dir.path(), &first, "outcomes") {
        assert!(file.is_file());
    }
    assert_eq!(visible(dir.path()).unwrap(), before);
    assert_eq!(vacuum(dir.path(), Duration::ZERO), [], "once is enough");
    publish(&mut sink(dir.path()), 1, &[rows(Table::Outcomes, 50, 5)]);
    assert_eq!(visible(dir.path()).unwrap()[&Table::Outcomes], 15);
}

#[test]
fn the_age_of_a_file_is_that_of_its_last_change_and_of_a_withdrawn_one_how_long_ago_that_was() {
    let dir = tempfile::tempdir().unwrap();
    let [first, second, third] = lake(dir.path());
    for (effect, table) in [
        (&first, "outcomes"),
        (&second, "outcomes"),
        (&third, "outcomes"),
        (&third, "errors"),
    ] {
        for file in files_of(dir.path(), effect, table) {
            make_old(&file, 8 * DAY);
        }
    }
    assert_eq!(vacuum(dir.path(), 9 * DAY), []);
    assert_eq!(vacuum(dir.path(), 7 * DAY), [(Table::Outcomes, 1), (Table::Errors, 1)]);
    // who opened the lake an hour ago may still read it
    assert!(files_of(dir.path(), &second, "outcomes")[0].is_file());
    assert_eq!(visible(dir.path()).unwrap()[&Table::Outcomes], 10);
}

#[test]
fn what_a_killed_process_was_writing_is_removed_and_what_is_not_ours_stays() {
    let dir = tempfile::tempdir().unwrap();
    let [first, ..] = lake(dir.path());
    assert_eq!(vacuum(dir.path(), Duration::ZERO).len(), 2);
    let file = &files_of(dir.path(), &first, "outcomes")[0];
    let beside = |name: &str| file.with_file_name(name);
    let half = PathBuf::from(format!("{}#1", file.display()));
    let of_others = [
        beside("part-00000-of-others.snappy.parquet"),
        beside("notes.txt"),
        dir.path().join("outcomes/notes.txt"),
        PathBuf::from(format!("{}#one", file.display())),
    ];
    for path in of_others.iter().chain([&half]) {
        fs::write(path, "half").unwrap();
    }
    assert_eq!(vacuum(dir.path(), HOUR), []);
    let found = leftovers(dir.path(), Duration::ZERO);
    assert_eq!(found.counts()[&Table::Outcomes], FileCount { files: 1, bytes: 4 });
    block_on(found.remove()).unwrap();
    assert!(!half.exists());
    assert!(of_others.iter().all(|path| path.is_file()));
    assert_eq!(visible(dir.path()).unwrap()[&Table::Outcomes], 10);
}

#[test]
fn what_is_no_lake_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = |folder: &Path| {
        block_on(Leftovers::find(&options(folder), HOUR))
            .unwrap_err()
            .to_string()
    };
    assert!(error(dir.path()).contains("is not a lake"), "{}", error(dir.path()));
    let missing = dir.path().join("no");
    assert!(error(&missing).contains("there is no such folder"));
    assert!(!missing.exists());
}
