//! Dead letters, read back from their file.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::{ArrayRef, BinaryArray, StringArray, TimestampMicrosecondArray};
use arrow::record_batch::RecordBatch;
use backplane_connector_api::conformance::{self, Record};
use backplane_connector_api::{BlockData, Epoch, Fault, Output, Position, Read, Sink, Source};
use backplane_events::{MAX_LINE_BYTES, Table};
use backplane_file::{LetterSource, Letters, NdjsonOptions, NdjsonSink};

use crate::numbered;

/// Has the sink append letters with these records.
fn write(path: &Path, records: &[&[u8]]) {
    let texts = |of: &str| -> ArrayRef {
        Arc::new(
            (0..records.len())
                .map(|number| Some(format!("{of} {number}")))
                .collect::<StringArray>(),
        )
    };
    let times = TimestampMicrosecondArray::from(vec![1_767_571_200_000_000; records.len()]);
    let columns: Vec<ArrayRef> = vec![
        Arc::new(times.with_timezone("UTC")),
        texts("source"),
        texts("position"),
        texts("reason"),
        texts("detail"),
        Arc::new(BinaryArray::from_vec(records.to_vec())),
    ];
    let batch = RecordBatch::try_new(Table::DeadLetters.schema(), columns).unwrap();
    let mut sink = NdjsonSink::new("deadLetter", NdjsonOptions { path: path.to_owned() });
    sink.accept(&Output::Rows {
        table: Table::DeadLetters,
        batch,
    })
    .unwrap();
    let effect = sink.prepare(Epoch(1)).unwrap();
    sink.publish(Epoch(1), &effect).unwrap();
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// The lines that a source has from a position on, and where they end.
fn read(source: &mut LetterSource, from: Option<&Position>) -> (Vec<u8>, Position) {
    let partition = source.discover().unwrap().remove(0);
    let mut reader = source.open(&partition, from).unwrap();
    let (mut text, mut end) = (Vec::new(), from.cloned().unwrap_or_default());
    while let Read::Block(block) = reader.read(1000).unwrap() {
        let BlockData::Lines(lines) = block.data else {
            panic!("letters hold lines")
        };
        text.extend_from_slice(&lines);
        end = block.end;
    }
    (text, end)
}

#[test]
fn records_come_out_of_their_letters_as_they_went_in() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dead-letters.ndjson");
    let every_byte: Vec<u8> = (0..=255).filter(|byte| *byte != b'\n').collect();
    let long = [b"\"".as_slice(), &[0x1f; 70_000], "é\u{2028}\r".as_bytes()].concat();
    let records: Vec<&[u8]> = vec![b"{", &every_byte, b"", &long, b"\xEF\xBB\xBF{}", b"\\u0000\r", b"last"];
    write(&path, &records);
    append(&path, "{\"table\":\"looks\"}\n");
    for number in 0..40 {
        write(&path, &[format!("record {number}").as_bytes()]);
    }
    let make = || -> Result<Box<dyn Source>, _> { Ok(Box::new(LetterSource::of_letters("dead-letters", &path))) };
    let partitions = conformance::unwrapping_source(make).unwrap();
    assert_eq!(partitions.len(), 1);
    assert_eq!(partitions[0].name, path.display().to_string());
    let mut expected: Vec<Vec<u8>> = records.iter().map(|record| record.to_vec()).collect();
    expected.push(b"{\"table\":\"looks\"}".to_vec());
    expected.extend((0..40).map(|number| format!("record {number}").into_bytes()));
    let expected: Vec<Record> = expected.into_iter().map(|line| Record::Line(line.into())).collect();
    assert!(partitions[0].records == expected);
}

#[test]
fn records_that_were_put_right_are_read_as_any_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("repaired.ndjson");
    fs::write(&path, numbered(300)).unwrap();
    let make = || -> Result<Box<dyn Source>, _> { Ok(Box::new(LetterSource::of_records("dead-letters", &path))) };
    let partitions = conformance::source(make).unwrap();
    assert_eq!(partitions[0].records.len(), 300);
    let mut source = LetterSource::of_records("dead-letters", &path);
    let tried = source.tried();
    read(&mut source, None);
    assert_eq!(tried.load(Ordering::Relaxed), 300);
    let refused = LetterSource::of_records("dead-letters", dir.path())
        .discover()
        .unwrap_err();
    assert_eq!(refused.fault(), Fault::User);
}

#[test]
fn what_is_written_while_letters_are_tried_is_for_the_next_time() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dead-letters.ndjson");
    let mut source = LetterSource::of_letters("dead-letters", &path);
    assert!(source.is_occasional() && source.is_bounded());
    assert!(source.discover().unwrap().is_empty(), "there is no such file");
    assert!(!path.exists());

    write(&path, &[b"one", b"two"]);
    source.discover().unwrap();
    write(&path, &[b"three"]);
    let (text, end) = read(&mut source, None);
    assert_eq!((text.as_slice(), end.line), (&b"one\ntwo\n"[..], 2));
    assert_eq!(source.tried().load(Ordering::Relaxed), 2);

    let mut again = LetterSource::of_letters("dead-letters", &path);
    let (text, last) = read(&mut again, Some(&end));
    assert_eq!((text.as_slice(), last.line), (&b"three\n"[..], 3));
    let mut again = LetterSource::of_letters("dead-letters", &path);
    assert_eq!(read(&mut again, Some(&last)), (Vec::new(), last));
}

#[test]
fn a_letter_may_be_longer_than_a_record() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dead-letters.ndjson");
    let long = vec![0xff; MAX_LINE_BYTES / 8 * 7];
    write(&path, &[&long, b"short"]);
    assert!(fs::metadata(&path).unwrap().len() > MAX_LINE_BYTES as u64);
    let (text, end) = read(&mut LetterSource::of_letters("dead-letters", &path), None);
    assert_eq!(end.line, 2);
    assert!(text == [&long, &b"\nshort\n"[..]].concat());
}

#[test]
fn letters_that_were_changed_after_they_were_tried_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dead-letters.ndjson");
    write(&path, &[b"one", b"two", b"three"]);
    let (_, end) = read(&mut LetterSource::of_letters("dead-letters", &path), None);
    let whole = fs::read_to_string(&path).unwrap();
    let refusal = |text: &str| {
        fs::write(&path, text).unwrap();
        let mut source = LetterSource::of_letters("dead-letters", &path);
        let partition = source.discover().unwrap().remove(0);
        let Err(error) = source.open(&partition, Some(&end)) else {
            panic!("the letters were changed")
        };
        error.to_string()
    };
    let longer = whole.replace("\"two\"", "\"two, and more\"") + &whole;
    let message = refusal(&longer);
    assert!(
        message.ends_with("was changed within its first 3 lines, which have been read; put it back as it was: such a file may only grow"),
        "{message}"
    );
    let shorter = whole.replace("\"two\"", "\"\"");
    assert!(refusal(&shorter).contains("it was truncated or replaced"));
}

#[test]
fn letters_are_listed_with_their_lines_also_what_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("dead-letters.ndjson");
    assert!(Letters::open("dead-letters", &path).unwrap().is_none());
    write(&path, &[b"one"]);
    append(&path, "\nno letter\n");
    write(&path, &[b"two"]);
    append(&path, "unfinished");
    let lines: Vec<_> = Letters::open("dead-letters", &path)
        .unwrap()
        .unwrap()
        .map(Result::unwrap)
        .collect();
    let numbers: Vec<u64> = lines.iter().map(|line| line.number).collect();
    assert_eq!(numbers, [1, 3, 4]);
    let raw = |index: usize| lines[index].letter.as_ref().unwrap().raw.clone();
    assert_eq!((raw(0), raw(2)), (b"one".to_vec(), b"two".to_vec()));
    assert!(lines[1].letter.is_err());
    assert!(Letters::open("dead-letters", dir.path()).is_err());
}
