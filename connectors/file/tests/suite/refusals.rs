//! Wrong input, as a new user gives it.

use std::fs;
use std::path::Path;

use backplane_connector_api::{Fault, Source};
use backplane_file::{FileOptions, FileSource};

fn refusal(path: &Path, follow: bool) -> String {
    let options = FileOptions {
        paths: vec![path.display().to_string()],
        follow,
    };
    let error = FileSource::new("clicks", options).discover().unwrap_err();
    assert_eq!(error.fault(), Fault::User);
    error.to_string()
}

#[test]
fn a_missing_file_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("no.ndjson");
    let expected = format!("clicks: {}: there is no such file", path.display());
    assert_eq!(refusal(&path, false), expected);
    assert_eq!(refusal(&path, true), expected);
}

#[test]
fn a_pattern_that_matches_nothing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("*.ndjson");
    let expected = "; give the path of a file, or a pattern that matches one";
    assert_eq!(
        refusal(&path, false),
        format!("clicks: no file matches {}{expected}", path.display())
    );
}

#[test]
fn a_pattern_that_is_none_is_explained() {
    let message = refusal(Path::new("logs/a[b.ndjson"), false);
    assert!(
        message.starts_with("clicks: logs/a[b.ndjson is not a valid pattern: "),
        "{message}"
    );
}

#[test]
fn a_folder_is_told_how_to_name_its_files() {
    let dir = tempfile::tempdir().unwrap();
    let expected = format!(
        "clicks: {0} is a folder; name its files, e.g. {0}/*.ndjson",
        dir.path().display()
    );
    assert_eq!(refusal(dir.path(), false), expected);
}

#[test]
fn a_device_is_sent_to_standard_input() {
    let message = refusal(Path::new("/dev/zero"), false);
    assert!(message.contains("is a pipe or a device, not a file"), "{message}");
}

#[test]
fn a_file_that_is_not_what_its_name_says_is_explained() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ndjson.zst");
    fs::write(&path, "{\"a\": 1}\n").unwrap();
    let message = refusal(&path, false);
    assert!(
        message.contains("is named like a Zstandard file, but is not one"),
        "{message}"
    );
}

#[test]
fn no_paths_at_all_are_refused() {
    let error = FileSource::new("clicks", FileOptions::at_rest(Vec::<String>::new()))
        .discover()
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "clicks: no files are named; give at least one path under `paths`"
    );
}
