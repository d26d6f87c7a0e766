//! Streams as files.

#![allow(clippy::unwrap_used, reason = "a test ends where something is missing")]

use std::fs;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backplane_generator::{GeneratorConfig, GeneratorError, Truth, generate_files, generate_files_until, truth_path};

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_is_packed_as_its_name_says() {
    let folder = tempfile::tempdir().unwrap();
    let config = GeneratorConfig::demo(500, 9);
    let path = |name: &str| folder.path().join(name);
    for name in ["events.ndjson", "events.ndjson.gz", "events.ndjson.zst"] {
        generate_files(&config, &[&path(name)]).unwrap();
    }
    let plain = fs::read(path("events.ndjson")).unwrap();
    let mut gzip = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(path("events.ndjson.gz")).unwrap())
        .read_to_end(&mut gzip)
        .unwrap();
    let zstd = zstd::decode_all(fs::File::open(path("events.ndjson.zst")).unwrap()).unwrap();
    assert!(!plain.is_empty() && plain == gzip && plain == zstd);
}

#[test]
fn the_truth_lies_beside_the_first_file() {
    let folder = tempfile::tempdir().unwrap();
    let config = GeneratorConfig {
        partitions: 2,
        ..GeneratorConfig::property(4)
    };
    let paths = [folder.path().join("0.ndjson"), folder.path().join("1.ndjson")];
    let truth = generate_files(&config, &[&paths[0], &paths[1]]).unwrap();
    let written: Truth = serde_json::from_slice(&fs::read(truth_path(&paths[0])).unwrap()).unwrap();
    assert_eq!(written, truth);
    assert_eq!(names(folder.path()), ["0.ndjson", "0.ndjson.truth.json", "1.ndjson"]);
}

#[test]
fn a_target_that_cannot_be_written_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let config = GeneratorConfig {
        partitions: 2,
        ..GeneratorConfig::property(4)
    };
    let good = folder.path().join("0.ndjson");
    let missing = folder.path().join("missing").join("1.ndjson");
    let refused = generate_files(&config, &[&good, &missing]);
    assert!(matches!(refused, Err(GeneratorError::File { path, .. }) if path == missing));
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_stream_that_is_stopped_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.ndjson.gz");
    let stop = AtomicBool::new(false);
    let (stopped, partial) = std::thread::scope(|threads| {
        let generating = threads.spawn(|| generate_files_until(&GeneratorConfig::demo(3_000_000, 1), &[&path], &stop));
        while names(folder.path()).is_empty() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let partial = names(folder.path());
        stop.store(true, Ordering::Relaxed);
        (generating.join().unwrap(), partial)
    });
    assert_eq!(partial, ["events.ndjson.gz.partial"]);
    assert!(matches!(stopped, Err(GeneratorError::Stopped)));
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_wrong_number_of_files_is_refused_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let refused = generate_files(&GeneratorConfig::demo(10, 1), &[]);
    assert!(matches!(refused, Err(GeneratorError::InvalidConfig { .. })));
    assert!(names(folder.path()).is_empty());
}
