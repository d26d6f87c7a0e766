//! Standard input.

use std::io::{self, Cursor, Write as _};
use std::time::{Duration, Instant};

use backplane_connector_api::conformance::{self, Record};
use backplane_connector_api::{BlockData, PartitionReader, Position, Read, Source};
use backplane_file::StdinSource;

use crate::{gzip, numbered, zstandard};

fn open(mut source: StdinSource, from: Option<&Position>) -> Box<dyn PartitionReader> {
    let partition = source.discover().unwrap().remove(0);
    source.open(&partition, from).unwrap()
}

/// The next thing that is not `Pending`.
fn next(reader: &mut dyn PartitionReader) -> Result<Read, String> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        match reader.read(1000) {
            Ok(Read::Pending) if Instant::now() < until => std::thread::sleep(Duration::from_millis(1)),
            other => return other.map_err(|error| error.to_string()),
        }
    }
}

#[test]
fn standard_input_conforms_plain_and_compressed() {
    let text = numbered(300);
    let expected: Vec<_> = text.lines().map(|line| Record::Line(line.to_owned().into())).collect();
    for input in [
        text.clone().into_bytes(),
        gzip(text.as_bytes()),
        zstandard(text.trim_end().as_bytes()),
    ] {
        let partitions =
            conformance::source(|| Ok(Box::new(StdinSource::of("stdin", Cursor::new(input.clone()))))).unwrap();
        assert_eq!(partitions[0].records, expected);
        assert_eq!(partitions[0].name, "standard input");
    }
}

#[test]
fn a_live_pipe_that_is_silent_holds_nobody_up() {
    let (read_end, mut write_end) = io::pipe().unwrap();
    let mut reader = open(StdinSource::of("stdin", read_end), None);
    assert!(matches!(reader.read(1000).unwrap(), Read::Pending));
    write_end.write_all(b"{\"a\":1}\n{\"b\"").unwrap();
    let Read::Block(block) = next(reader.as_mut()).unwrap() else {
        panic!("a line was written")
    };
    let BlockData::Lines(lines) = block.data else {
        panic!("pipes hold lines")
    };
    assert_eq!(lines.as_ref(), b"{\"a\":1}\n");
    assert!(matches!(reader.read(1000).unwrap(), Read::Pending));
    drop(write_end);
    let Read::Block(block) = next(reader.as_mut()).unwrap() else {
        panic!("the rest is the last line")
    };
    assert_eq!((block.end.offset, block.end.line), (12, 2));
    assert!(matches!(next(reader.as_mut()).unwrap(), Read::End));
}

#[test]
fn an_input_that_ends_before_the_position_is_refused() {
    let from = Position {
        offset: 100,
        line: 1,
        detail: None,
    };
    let mut reader = open(StdinSource::of("stdin", Cursor::new(b"short\n")), Some(&from));
    let message = next(reader.as_mut()).unwrap_err();
    assert!(
        message.contains("ended after 6 bytes, before the position 100"),
        "{message}"
    );
}

#[test]
fn only_the_same_input_is_gone_on_with() {
    // positions within the beginning that is compared, and beyond it
    for (lines, blocks) in [(3, 1), (2_000, 1), (2_000, 9)] {
        let text = numbered(lines);
        let mut reader = open(StdinSource::of("stdin", Cursor::new(text.clone())), None);
        let mut from = Position::default();
        for _ in 0..blocks {
            let Read::Block(block) = next(reader.as_mut()).unwrap() else {
                break;
            };
            from = serde_json::from_value(serde_json::to_value(&block.end).unwrap()).unwrap();
        }
        let longer = text.clone() + "one more\n";
        let mut again = open(StdinSource::of("stdin", Cursor::new(longer.clone())), Some(&from));
        let Read::Block(second) = next(again.as_mut()).unwrap() else {
            panic!("the rest is there")
        };
        assert_eq!((second.start.offset, second.start.line), (from.offset, from.line));
        let BlockData::Lines(rest) = &second.data else {
            panic!("lines are lines")
        };
        let offset = usize::try_from(from.offset).unwrap();
        assert_eq!(rest[..], longer.as_bytes()[offset..offset + rest.len()]);
        let other = text.replace('1', "2");
        let mut other = open(StdinSource::of("stdin", Cursor::new(other)), Some(&from));
        let message = next(other.as_mut()).unwrap_err();
        assert!(
            message.contains("standard input is another one than before"),
            "{message}"
        );
    }
}

#[test]
fn standard_input_cannot_be_read_twice() {
    let mut source = StdinSource::of("stdin", Cursor::new(b"a\n"));
    let partition = source.discover().unwrap().remove(0);
    source.open(&partition, None).unwrap();
    assert!(source.open(&partition, None).is_err());
}

#[test]
fn an_input_cut_off_in_compression_gives_its_lines_and_then_an_error() {
    let whole = zstandard(numbered(20_000).as_bytes());
    let cut = whole[..whole.len() * 3 / 4].to_vec();
    let mut reader = open(StdinSource::of("stdin", Cursor::new(cut)), None);
    let mut lines = 0;
    let error = loop {
        match next(reader.as_mut()) {
            Ok(Read::Block(block)) => lines = block.end.line,
            Ok(other) => panic!("{other:?} instead of an error"),
            Err(error) => break error,
        }
    };
    assert!(lines > 1000);
    assert!(error.contains("standard input cannot be read"), "{error}");
}
