//! Dead letters as their file has them: to be looked at, and to be tried again.

mod source;

use std::borrow::Cow;
use std::path::Path;

use backplane_connector_api::{BlockData, ConnectorError, PartitionReader, Read, Source};
use backplane_events::{EventTime, MAX_LINE_BYTES, Table};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use crate::{FileOptions, FileSource};

pub use source::LetterSource;

/// The longest line that a letter takes: every byte of its record may be written as six (`\u0000`), and something stands around it.
const LONGEST: usize = 6 * MAX_LINE_BYTES + (1 << 20);
/// What is read at a time.
const STEP: usize = 1 << 20;

/// A record that could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// When it was refused, by the clock.
    pub time: EventTime,
    /// The name of its source.
    pub source: String,
    /// Where in it.
    pub position: String,
    /// The name of the reason.
    pub reason: String,
    /// What is wrong with it.
    pub detail: String,
    /// Its bytes, without a line feed.
    pub raw: Vec<u8>,
}

/// A row of the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    #[serde(borrow)]
    table: Cow<'a, str>,
    #[serde(borrow)]
    time: Cow<'a, str>,
    source: String,
    position: String,
    reason: String,
    detail: String,
    raw: Option<String>,
    #[serde(borrow)]
    raw_base64: Option<Cow<'a, str>>,
}

impl Letter {
    /// Reads a line of the file, which the sink has written.
    ///
    /// # Errors
    /// It is no letter; the text says why.
    pub fn parse(line: &[u8]) -> Result<Self, String> {
        let row: Row<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        if row.table != Table::DeadLetters.name() {
            return Err(format!("it is a row of the table {}", row.table));
        }
        let time = EventTime::from_rfc3339(&row.time).ok_or("its time is no instant")?;
        let raw = match (row.raw, row.raw_base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(text)) => STANDARD
                .decode(text.as_bytes())
                .map_err(|error| format!("its rawBase64 is not base64: {error}"))?,
            _ => return Err("it has not its record once, as raw or as rawBase64".to_owned()),
        };
        // it would be two records
        if raw.contains(&b'\n') {
            return Err("there is a line feed in its record".to_owned());
        }
        Ok(Letter {
            time,
            source: row.source,
            position: row.position,
            reason: row.reason,
            detail: row.detail,
            raw,
        })
    }
}

/// A line of the dead-letter file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterLine {
    /// Its number, from 1.
    pub number: u64,
    /// The letter, or why it is none.
    pub letter: Result<Letter, String>,
}

/// The lines of a dead-letter file, from its beginning to what was its end when it was opened. They are read as they are asked for.
pub struct Letters {
    reader: Box<dyn PartitionReader>,
    /// Lines that were read and not given out.
    block: Bytes,
    read: u64,
}

impl Letters {
    /// Opens the file; gives nothing where there is none, or not a line in it.
    ///
    /// # Errors
    /// It cannot be read, or is no file.
    pub fn open(name: &str, path: &Path) -> Result<Option<Self>, ConnectorError> {
        if !is_there(path) {
            return Ok(None);
        }
        let mut files = files(name, path);
        let Some(partition) = files.discover()?.into_iter().next() else {
            return Ok(None);
        };
        Ok(Some(Letters {
            reader: files.open(&partition, None)?,
            block: Bytes::new(),
            read: 0,
        }))
    }
}

impl Iterator for Letters {
    type Item = Result<LetterLine, ConnectorError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while self.block.is_empty() {
                match self.reader.read(STEP) {
                    Ok(Read::Block(block)) => {
                        if let BlockData::Lines(lines) = block.data {
                            self.block = lines;
                        }
                    }
                    Ok(Read::Pending | Read::End) => return None,
                    Err(error) => return Some(Err(error)),
                }
            }
            let length = memchr::memchr(b'\n', &self.block).map_or(self.block.len(), |end| end + 1);
            let line = self.block.split_to(length);
            self.read += 1;
            if !line.trim_ascii().is_empty() {
                return Some(Ok(LetterLine {
                    number: self.read,
                    letter: Letter::parse(&line),
                }));
            }
        }
    }
}

/// The complete lines that the file has now.
fn files(name: &str, path: &Path) -> FileSource {
    let options = FileOptions::growing([path.to_string_lossy()]);
    FileSource::new(name, options).until_now().with_longest_line(LONGEST)
}

/// Whether there is anything under this name; what cannot be told is said where it is opened.
fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{BinaryArray, StringArray, TimestampMicrosecondArray};
    use arrow::record_batch::RecordBatch;
    use backplane_connector_api::Output;
    use proptest::prelude::*;

    use super::*;
    use crate::json::append_rows;

    /// The line that the sink writes for this record.
    fn written(raw: &[u8]) -> Vec<u8> {
        let text = |text: &str| Arc::new(StringArray::from(vec![text])) as arrow::array::ArrayRef;
        let batch = RecordBatch::try_new(
            Table::DeadLetters.schema(),
            vec![
                Arc::new(TimestampMicrosecondArray::from(vec![1_767_571_200_000_001]).with_timezone("UTC")),
                text("events"),
                text("in/\"a\".ndjson:7"),
                text("invalid_json"),
                text("at byte 1 of the line 'ö' stands"),
                Arc::new(BinaryArray::from_vec(vec![raw])),
            ],
        );
        let mut line = Vec::new();
        let output = Output::Rows {
            table: Table::DeadLetters,
            batch: batch.unwrap(),
        };
        append_rows(&mut line, &output).unwrap();
        line
    }

    fn letter(raw: &[u8]) -> Letter {
        Letter {
            time: EventTime(1_767_571_200_000_001),
            source: "events".to_owned(),
            position: "in/\"a\".ndjson:7".to_owned(),
            reason: "invalid_json".to_owned(),
            detail: "at byte 1 of the line 'ö' stands".to_owned(),
            raw: raw.to_vec(),
        }
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_of_a_record_are_they_are_read_back(raw in prop::collection::vec(any::<u8>().prop_filter("no line feed", |byte| *byte != b'\n'), 0..200)) {
            prop_assert_eq!(Letter::parse(&written(&raw)), Ok(letter(&raw)));
        }

        #[test]
        fn whatever_the_text_of_a_record_is_it_is_read_back(raw in "[^\\n]{0,60}") {
            prop_assert_eq!(Letter::parse(&written(raw.as_bytes())), Ok(letter(raw.as_bytes())));
        }
    }

    #[test]
    fn what_is_no_letter_is_told() {
        let line = String::from_utf8(written(b"{")).unwrap();
        let refusal = |from: &str, to: &str| {
            assert!(line.contains(from), "{line}");
            Letter::parse(line.replace(from, to).as_bytes()).unwrap_err()
        };
        assert_eq!(
            refusal("\"dead_letters\"", "\"windows\""),
            "it is a row of the table windows"
        );
        assert_eq!(refusal("2026-01-05T", "2026-13-05T"), "its time is no instant");
        assert_eq!(
            refusal("\"raw\":\"{\"", "\"raw\":\"{\\n\""),
            "there is a line feed in its record"
        );
        for record in ["\"raw\":null", "\"raw\":\"a\",\"rawBase64\":\"YQ==\"", "\"x\":1"] {
            assert_eq!(
                refusal("\"raw\":\"{\"", record),
                "it has not its record once, as raw or as rawBase64"
            );
        }
        assert!(refusal("\"raw\":\"{\"", "\"rawBase64\":\"YQ\"").starts_with("its rawBase64 is not base64: "));
        assert!(refusal("\"detail\":", "\"what\":").starts_with("missing field `detail`"));
        assert!(Letter::parse(b"not json").is_err());
    }
}
