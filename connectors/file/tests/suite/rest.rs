//! Files at rest.

use std::fs;

use backplane_connector_api::conformance::{self, Record};
use backplane_connector_api::{BlockData, Position, Read, Source};
use backplane_events::{BadReason, Decoder, EventTime, MAX_LINE_BYTES};
use backplane_file::{FileOptions, FileSource};

use crate::{gzip, numbered, read_now, zstandard};

fn source(paths: &[String]) -> FileSource {
    FileSource::new("file", FileOptions::at_rest(paths.to_vec()))
}

#[test]
fn files_of_every_format_conform_and_hold_the_same_lines() {
    let dir = tempfile::tempdir().unwrap();
    let text = numbered(400);
    let (first, second) = text.split_at(text.find("\"record\":200").unwrap() - 1);
    fs::write(dir.path().join("a.ndjson"), &text).unwrap();
    fs::write(dir.path().join("b.ndjson.gz"), gzip(text.as_bytes())).unwrap();
    fs::write(dir.path().join("c.ndjson.zst"), zstandard(text.as_bytes())).unwrap();
    fs::write(
        dir.path().join("d.members.gz"),
        [gzip(first.as_bytes()), gzip(second.as_bytes())].concat(),
    )
    .unwrap();
    fs::write(
        dir.path().join("e.frames.zst"),
        [zstandard(first.as_bytes()), zstandard(second.as_bytes())].concat(),
    )
    .unwrap();
    fs::write(dir.path().join("f.gzip-by-content"), gzip(text.as_bytes())).unwrap();
    fs::write(dir.path().join("g.unended"), text.trim_end()).unwrap();
    fs::write(dir.path().join("h.empty"), "").unwrap();

    let pattern = dir.path().join("*").display().to_string();
    let partitions = conformance::source(|| Ok(Box::new(source(std::slice::from_ref(&pattern))))).unwrap();

    let names: Vec<_> = partitions
        .iter()
        .map(|partition| partition.name.rsplit('/').next().unwrap())
        .collect();
    let expected_names = [
        "a.ndjson",
        "b.ndjson.gz",
        "c.ndjson.zst",
        "d.members.gz",
        "e.frames.zst",
        "f.gzip-by-content",
        "g.unended",
        "h.empty",
    ];
    assert_eq!(names, expected_names);
    let expected: Vec<_> = text.lines().map(|line| Record::Line(line.to_owned().into())).collect();
    for partition in &partitions[..7] {
        assert_eq!(partition.records, expected, "{}", partition.name);
    }
    assert!(partitions[7].records.is_empty());
}

#[test]
fn an_empty_file_ends_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("empty.ndjson").display().to_string();
    fs::write(&path, "").unwrap();
    let mut source = source(&[path]);
    let partition = source.discover().unwrap().remove(0);
    assert!(matches!(
        source.open(&partition, None).unwrap().read(1000).unwrap(),
        Read::End
    ));
}

#[test]
fn a_second_name_of_a_file_is_not_a_second_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.ndjson");
    fs::write(&path, numbered(3)).unwrap();
    fs::hard_link(&path, dir.path().join("b.ndjson")).unwrap();
    let names = [
        path.display().to_string(),
        dir.path().join("*.ndjson").display().to_string(),
    ];
    let mut source = source(&names);
    let partitions = source.discover().unwrap();
    assert_eq!(partitions.len(), 1);
    assert_eq!(source.describe(&partitions[0]), names[0]);
}

#[test]
fn a_file_whose_name_looks_like_a_pattern_is_read_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("day[1].ndjson").display().to_string();
    fs::write(&path, numbered(3)).unwrap();
    assert_eq!(source(&[path]).discover().unwrap().len(), 1);
}

#[test]
fn the_lines_before_the_damage_are_read_and_then_the_damage_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let text = numbered(20_000);
    for (name, whole) in [
        ("cut.ndjson.zst", zstandard(text.as_bytes())),
        ("cut.ndjson.gz", gzip(text.as_bytes())),
    ] {
        let path = dir.path().join(name).display().to_string();
        fs::write(&path, &whole[..whole.len() * 3 / 4]).unwrap();
        let mut source = source(std::slice::from_ref(&path));
        let partition = source.discover().unwrap().remove(0);
        let mut reader = source.open(&partition, None).unwrap();
        let (read, end) = read_now(reader.as_mut());
        assert!(!read.is_empty() && read.ends_with('\n'), "{name}");
        assert!(text.starts_with(&read), "{name}");
        let message = end.unwrap_err();
        assert!(message.contains(&path) && message.contains("is damaged"), "{message}");
        let said: usize = message
            .split("after ")
            .nth(1)
            .unwrap()
            .split(' ')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        assert!(said >= read.len() && text.len() > said, "{message}");
        assert_eq!(reader.read(1000).unwrap_err().to_string(), message, "the damage stays");
    }
}

#[test]
fn a_line_longer_than_a_block_is_given_whole() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.ndjson").display().to_string();
    let long = "y".repeat(3_000_000);
    fs::write(&path, format!("short\n{long}\nshort\n")).unwrap();
    let mut source = source(&[path]);
    let partition = source.discover().unwrap().remove(0);
    let mut reader = source.open(&partition, None).unwrap();
    let (read, _) = read_now(reader.as_mut());
    assert_eq!(read, format!("short\n{long}\nshort\n"));
}

#[test]
fn a_line_beyond_the_limit_is_refused_as_too_long_whatever_the_size_of_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.ndjson").display().to_string();
    let text = |length: usize| format!("{{\"x\":\"{}\"}}", "y".repeat(length - 8));
    let longest = text(MAX_LINE_BYTES);
    fs::write(
        &path,
        format!("{longest}\r\n{longest} \n{}\nshort\n", text(2 * MAX_LINE_BYTES)),
    )
    .unwrap();
    for block_bytes in [1000, 1 << 20, 1 << 30] {
        let mut source = source(std::slice::from_ref(&path));
        let partition = source.discover().unwrap().remove(0);
        let mut reader = source.open(&partition, None).unwrap();
        let mut reasons = Vec::new();
        while let Read::Block(block) = reader.read(block_bytes).unwrap() {
            let BlockData::Lines(lines) = block.data else {
                panic!("files hold lines")
            };
            let decoded = Decoder::new().decode(&lines, EventTime(0));
            reasons.extend(
                decoded
                    .bad
                    .iter()
                    .map(|bad| (block.start.line + u64::from(bad.line), bad.reason)),
            );
        }
        let expected = [
            (0, BadReason::MissingMember),
            (1, BadReason::LineTooLong),
            (2, BadReason::LineTooLong),
            (3, BadReason::InvalidJson),
        ];
        assert_eq!(reasons, expected, "blocks of {block_bytes} bytes");
    }
}

#[test]
fn bytes_that_are_not_text_come_through_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("binary").display().to_string();
    let bytes: Vec<u8> = (0..100_000_u32)
        .map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    fs::write(&path, &bytes).unwrap();
    let mut source = source(&[path]);
    let partition = source.discover().unwrap().remove(0);
    let mut reader = source.open(&partition, None).unwrap();
    let mut read = Vec::new();
    while let Read::Block(block) = reader.read(1000).unwrap() {
        let BlockData::Lines(lines) = block.data else {
            panic!("files hold lines")
        };
        read.extend_from_slice(&lines);
    }
    assert_eq!(read, bytes);
}

#[test]
fn a_position_beyond_the_file_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let text = numbered(10);
    let beyond = Position {
        offset: text.len() as u64 + 1,
        line: 11,
        detail: None,
    };
    for (name, bytes) in [("a.ndjson", text.clone().into_bytes()), ("a.gz", gzip(text.as_bytes()))] {
        let path = dir.path().join(name).display().to_string();
        fs::write(&path, bytes).unwrap();
        let mut source = source(&[path]);
        let partition = source.discover().unwrap().remove(0);
        let Err(error) = source.open(&partition, Some(&beyond)) else {
            panic!("the position is not in the file")
        };
        assert!(error.to_string().contains("it was truncated or replaced"), "{error}");
    }
}
