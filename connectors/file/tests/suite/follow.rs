//! Files that grow.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use backplane_connector_api::{Position, Read, Source};
use backplane_file::{FileOptions, FileSource};

use crate::{gzip, numbered, read_now};

fn follow(pattern: &Path) -> FileSource {
    FileSource::new("file", FileOptions::growing([pattern.display().to_string()]))
}

fn append(path: &Path, text: &str) {
    OpenOptions::new()
        .append(true)
        .create(true)
        .open(path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
}

/// Makes it so that the file was last written so long ago.
fn written(path: &Path, ago: Duration) {
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - ago).unwrap();
}

#[test]
fn a_growing_file_is_pending_and_its_unfinished_line_waits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    append(&path, "one\ntw");
    let mut source = follow(&path);
    assert!(!source.is_bounded());
    let partition = source.discover().unwrap().remove(0);
    let mut reader = source.open(&partition, None).unwrap();
    let (text, end) = read_now(reader.as_mut());
    assert_eq!(text, "one\n");
    assert!(matches!(end, Ok(Read::Pending)));
    assert!(matches!(reader.read(1000).unwrap(), Read::Pending));
    append(&path, "o\nthree\n");
    let (text, _) = read_now(reader.as_mut());
    assert_eq!(text, "two\nthree\n");
    assert_eq!(
        source.discover().unwrap(),
        [partition],
        "growth does not change what the file is"
    );
}

#[test]
fn a_file_without_a_complete_line_is_not_there_yet() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    append(&path, "on");
    let mut source = follow(&path);
    assert!(source.discover().unwrap().is_empty());
    append(&path, "e\n");
    assert_eq!(source.discover().unwrap().len(), 1);
}

#[test]
fn rotation_repeats_nothing_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    append(&path, "one\ntwo\n");
    let mut source = follow(&path);
    let before = source.discover().unwrap();
    let mut reader = source.open(&before[0], None).unwrap();
    assert_eq!(read_now(reader.as_mut()).0, "one\ntwo\n");

    fs::rename(&path, dir.path().join("app.log.1")).unwrap();
    assert_eq!(source.discover().unwrap(), before, "there may be no file for a moment");
    append(&dir.path().join("app.log.1"), "three\n");
    append(&path, "four\n");

    let after = source.discover().unwrap();
    assert_eq!(after.len(), 2);
    assert_eq!(after[0], before[0]);
    assert_eq!(read_now(reader.as_mut()).0, "three\n");
    let mut reader = source.open(&after[1], None).unwrap();
    assert_eq!(read_now(reader.as_mut()).0, "four\n");
}

#[test]
fn a_restart_finds_a_rotated_file_beside_its_old_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    append(&path, "one\ntwo\n");
    let partition = follow(&path).discover().unwrap().remove(0);
    fs::rename(&path, dir.path().join("app.log.1")).unwrap();
    append(&path, "three\n");

    let mut restarted = follow(&path);
    assert_eq!(restarted.discover().unwrap().len(), 1);
    let from = Position {
        offset: 4,
        line: 1,
        detail: None,
    };
    let mut reader = restarted.open(&partition, Some(&from)).unwrap();
    assert_eq!(read_now(reader.as_mut()).0, "two\n");
    assert!(restarted.describe(&partition).ends_with("app.log.1"));
}

#[test]
fn a_file_that_was_cut_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    append(&path, "one\ntwo\n");
    let mut source = follow(&path);
    let partition = source.discover().unwrap().remove(0);
    let mut reader = source.open(&partition, None).unwrap();
    assert_eq!(read_now(reader.as_mut()).0, "one\ntwo\n");
    File::options().write(true).open(&path).unwrap().set_len(4).unwrap();
    let message = reader.read(1000).unwrap_err().to_string();
    assert!(
        message.contains("has 4 bytes, fewer than the 8 that were read"),
        "{message}"
    );
}

#[test]
fn a_file_that_was_cut_and_written_anew_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    append(&path, "one\ntwo\n");
    let mut source = follow(&path);
    let partition = source.discover().unwrap().remove(0);
    let mut reader = source.open(&partition, None).unwrap();
    assert_eq!(read_now(reader.as_mut()).0, "one\ntwo\n");
    File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
    append(&path, "another beginning, and more of it\n");
    let message = reader.read(1000).unwrap_err().to_string();
    assert!(message.contains("begins differently"), "{message}");
}

#[test]
fn new_files_of_a_pattern_come_after_those_that_are_known() {
    let dir = tempfile::tempdir().unwrap();
    let mut source = follow(&dir.path().join("*.log"));
    assert!(source.discover().unwrap().is_empty(), "a pattern may match nothing yet");
    append(&dir.path().join("m.log"), "m\n");
    let first = source.discover().unwrap();
    append(&dir.path().join("a.log"), "a\n");
    append(&dir.path().join("z.log"), "z\n");
    let all = source.discover().unwrap();
    let names: Vec<_> = all.iter().map(|partition| source.describe(partition)).collect();
    assert_eq!(all[0], first[0]);
    let ends: Vec<_> = names.iter().map(|name| name.rsplit('/').next().unwrap()).collect();
    assert_eq!(ends, ["m.log", "a.log", "z.log"]);
}

#[test]
fn a_compressed_file_among_growing_ones_is_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let text = numbered(50);
    let path = dir.path().join("old.log.gz");
    fs::write(&path, gzip(text.trim_end().as_bytes())).unwrap();
    written(&path, Duration::from_secs(60));
    let mut source = follow(&dir.path().join("*"));
    let partition = source.discover().unwrap().remove(0);
    let mut reader = source.open(&partition, None).unwrap();
    let (read, end) = read_now(reader.as_mut());
    assert_eq!(read, text.trim_end());
    assert!(matches!(end, Ok(Read::Pending)));
}

#[test]
fn a_deleted_file_is_read_to_its_end_and_then_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    append(&path, "one\n");
    let mut source = follow(&path);
    let partition = source.discover().unwrap().remove(0);
    let mut reader = source.open(&partition, None).unwrap();
    append(&path, "two\n");
    fs::remove_file(&path).unwrap();
    assert_eq!(read_now(reader.as_mut()).0, "one\ntwo\n");
    assert!(matches!(reader.read(1000).unwrap(), Read::Pending));
}

#[test]
fn a_compressed_file_that_is_still_written_is_not_there_yet() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.ndjson.gz");
    let whole = gzip(numbered(2000).as_bytes());
    let mut source = follow(&dir.path().join("*"));
    for length in [3, 40, whole.len() / 2] {
        fs::write(&path, &whole[..length]).unwrap();
        assert!(source.discover().unwrap().is_empty(), "{length} bytes");
    }
    fs::write(&path, &whole).unwrap();
    written(&path, Duration::from_secs(6));
    let partitions = source.discover().unwrap();
    assert_eq!(partitions.len(), 1);
    let mut reader = source.open(&partitions[0], None).unwrap();
    assert_eq!(read_now(reader.as_mut()).0, numbered(2000));
}

#[cfg(unix)]
#[test]
fn a_name_that_matches_and_leads_nowhere_is_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    // as a file that is removed between the search and the look
    std::os::unix::fs::symlink(dir.path().join("gone"), dir.path().join("a.log")).unwrap();
    append(&dir.path().join("b.log"), "one\n");
    assert_eq!(follow(&dir.path().join("*.log")).discover().unwrap().len(), 1);
    let named = follow(&dir.path().join("a.log")).discover();
    assert!(named.unwrap_err().to_string().contains("there is no such file"));
}

#[test]
fn a_file_that_is_removed_before_it_is_opened_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.log");
    append(&path, "one\n");
    let mut source = follow(&dir.path().join("*.log"));
    let partition = source.discover().unwrap().remove(0);
    fs::remove_file(&path).unwrap();
    let mut reader = source.open(&partition, None).unwrap();
    assert!(matches!(reader.read(1000).unwrap(), Read::Pending));
    let from = Position {
        offset: 4,
        line: 1,
        detail: None,
    };
    assert!(
        source.open(&partition, Some(&from)).is_err(),
        "what was begun must go on"
    );
}

#[test]
fn until_now_reads_the_complete_lines_that_were_there_when_it_began() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("app.log");
    append(&path, "one\ntwo\nthr");
    append(&dir.path().join("begun.log"), "unfinished");
    let mut source = follow(&dir.path().join("*.log")).until_now();
    assert!(source.is_bounded());
    let partition = source.discover().unwrap().remove(0);
    append(&path, "ee\nfour\n");
    assert_eq!(source.discover().unwrap(), std::slice::from_ref(&partition));
    let mut reader = source.open(&partition, None).unwrap();
    let (text, end) = read_now(reader.as_mut());
    assert_eq!(text, "one\ntwo\n");
    assert!(matches!(end, Ok(Read::End)));
    assert!(matches!(reader.read(1000).unwrap(), Read::End));
}

#[test]
fn until_now_reads_a_compressed_file_that_was_written_just_now() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.gz");
    fs::write(&path, gzip(b"one\ntwo")).unwrap();
    let mut source = follow(&path).until_now();
    let partition = source.discover().unwrap().remove(0);
    let (text, end) = read_now(source.open(&partition, None).unwrap().as_mut());
    assert_eq!(text, "one\ntwo");
    assert!(matches!(end, Ok(Read::End)));
}
