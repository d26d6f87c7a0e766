//! Bytes of NDJSON to one Arrow batch per event type.
//!
//! A line is read in two steps. `record.rs` goes over its bytes once and notes where each member's value is; `columns/` then judges
//! the values and appends them to the columns. Nothing is pushed before all of the line is judged, so a bad line leaves no trace there.

pub(crate) mod fields;
pub(crate) mod members;
mod number;
mod object;
pub(crate) mod record;
pub(crate) mod scan;

use arrow::array::RecordBatch;

use self::fields::Record;
pub(crate) use self::object::{is_object, members_of};
use self::record::RecordScanner;
use self::scan::{Syntax, SyntaxKind, byte_at, skip_space};
use crate::bad::{BadReason, BadRecord, Fault};
use crate::columns::EventTables;
use crate::{EventTime, EventType, Identity};

/// The most bytes of a line, its ending not counted. A longer one is refused, and a source need not hold more of it than shows that.
pub const MAX_LINE_BYTES: usize = 64 << 20;

/// What is kept of a line that is too long.
const KEPT_OF_A_LONG_LINE: usize = 64 << 10;

/// The most bytes that one call of [`Decoder::decode`] reads: what the 32-bit offsets of Arrow's text columns reach. Blocks of sources are far
/// smaller.
const MAX_BLOCK_BYTES: usize = i32::MAX as usize;

/// The most characters of an event id.
pub const MAX_EVENT_ID_CHARACTERS: usize = 100;

/// What was in a block of lines.
#[derive(Debug)]
pub struct Decoded {
    /// The rows of each event type (the index is `EventType as usize`), with the schema of [`Table::of_event`](crate::Table::of_event), or
    /// with those of its columns that the decoder makes; `None` where there are none.
    pub batches: [Option<RecordBatch>; 5],
    /// The records in the order of their lines.
    pub records: Vec<DecodedRecord>,
    /// The lines that are no records, in their order.
    pub bad: Vec<BadRecord>,
    /// How many lines there were: records, bad ones and blank ones.
    pub lines: u64,
}

/// No key of a dictionary: there is no such name, or its column is not made.
pub const NO_KEY: u32 = u32::MAX;

/// Where a record came from, where it is, and what a stream needs to know of it at once.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DecodedRecord {
    /// Which batch it is in.
    pub event_type: EventType,
    /// Its row there.
    pub row: u32,
    /// Its line in the block, from 0.
    pub line: u32,
    /// The hashes of its ids.
    pub identity: Identity,
    /// Its event time.
    pub event_time: EventTime,
    /// The key of its experiment in the dictionary of its batch, or [`NO_KEY`].
    pub experiment: u32,
    /// That of an exposure's variant, an assignment's new variant, an outcome's metric.
    pub name: u32,
    /// That of the variant that an outcome names.
    pub other: u32,
    /// An outcome's value, else 0.
    pub value: f64,
    /// Whether an outcome is Binary.
    pub is_binary: bool,
}

/// Reads blocks of lines; keeps what it has learned of the producer's order of members, and its buffers, from one to the next.
#[derive(Debug)]
pub struct Decoder {
    scanner: RecordScanner,
    tables: EventTables,
    /// How many records the last block had: as many as the next one will have, more or less.
    records: usize,
}

impl Default for Decoder {
    fn default() -> Decoder {
        Decoder::new()
    }
}

/// The block that is being read.
struct Block<'a> {
    bytes: &'a [u8],
    records: Vec<DecodedRecord>,
    bad: Vec<BadRecord>,
    line: u32,
}

impl Block<'_> {
    fn refuse(&mut self, start: usize, end: usize, reason: BadReason, detail: String) {
        let raw = self.bytes.get(start..end).unwrap_or_default();
        let raw = raw.strip_suffix(b"\r").unwrap_or(raw);
        let kept = match reason {
            BadReason::LineTooLong => raw.get(..KEPT_OF_A_LONG_LINE).unwrap_or(raw),
            _ => raw,
        };
        self.bad.push(BadRecord {
            line: self.line,
            offset: start,
            raw: kept.to_vec(),
            reason,
            detail,
        });
        self.line = self.line.saturating_add(1);
    }

    fn refuse_too_long(&mut self, start: usize, end: usize) {
        let detail = format!("the line has more than {MAX_LINE_BYTES} bytes; only its beginning is kept");
        self.refuse(start, end, BadReason::LineTooLong, detail);
    }

    /// Of a line that is too long nothing else is said: it may have been cut on its way here.
    fn refuse_unless_too_long(&mut self, start: usize, end: usize, reason: BadReason, detail: String) {
        if is_too_long(self.bytes, start, end) {
            self.refuse_too_long(start, end);
        } else {
            self.refuse(start, end, reason, detail);
        }
    }
}

/// Whether the line from `start` to its line feed at `end` is longer than a line may be.
fn is_too_long(bytes: &[u8], start: usize, end: usize) -> bool {
    let line = bytes.get(start..end).unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line).len() > MAX_LINE_BYTES
}

impl Decoder {
    /// A decoder that expects the canonical order of members until it sees another.
    #[must_use]
    pub fn new() -> Decoder {
        Decoder::of_columns(|_, _| true)
    }

    /// A decoder that makes only the columns of the event tables which `is_wanted` names, in the order of their schemas. Records are judged
    /// all the same: what is bad for one decoder is bad for every other.
    #[must_use]
    pub fn of_columns(is_wanted: impl Fn(EventType, &str) -> bool) -> Decoder {
        Decoder {
            scanner: RecordScanner::new(),
            tables: EventTables::new(&is_wanted),
            records: 0,
        }
    }

    /// Reads `lines`: one record in each line that is not blank, ended by LF or CRLF, the last one perhaps by nothing. A byte order mark is no
    /// part of a line: who knows where the stream begins leaves it out. Whatever the bytes are, each line is in the result once or blank.
    pub fn decode(&mut self, lines: &[u8], ingest_time: EventTime) -> Decoded {
        let readable = readable_length(lines, MAX_BLOCK_BYTES);
        let mut block = Block {
            bytes: lines,
            records: Vec::with_capacity(self.records),
            bad: Vec::new(),
            line: 0,
        };
        let within = lines.get(..readable).unwrap_or_default();
        match simdutf8::basic::from_utf8(within) {
            Ok(text) => self.read_lines(text, 0, &mut block),
            Err(_) => self.read_one_by_one(within, &mut block),
        }
        refuse_unreadable(lines, readable, &mut block);
        self.records = block.records.len();
        Decoded {
            batches: self.tables.finish(ingest_time),
            records: block.records,
            bad: block.bad,
            lines: u64::from(block.line),
        }
    }

    /// Reads lines of which some are not UTF-8, each by itself, so that none is looked at twice however many are bad.
    fn read_one_by_one(&mut self, lines: &[u8], block: &mut Block<'_>) {
        let mut start = 0;
        while start < lines.len() {
            let end = line_end(lines, start);
            let line = lines.get(start..end).unwrap_or_default();
            match std::str::from_utf8(line) {
                // not even a blank line is left out of the count
                Ok("") => block.line = block.line.saturating_add(1),
                Ok(text) => self.read_lines(text, start, block),
                Err(error) => {
                    let place = error.valid_up_to() + 1;
                    let detail = format!("byte {place} of the line is not UTF-8; write the record in UTF-8");
                    block.refuse_unless_too_long(start, end, BadReason::InvalidUtf8, detail);
                }
            }
            start = end + 1;
        }
    }

    /// Reads lines of valid UTF-8 that begin at `base` in the block.
    fn read_lines(&mut self, text: &str, base: usize, block: &mut Block<'_>) {
        let bytes = text.as_bytes();
        let mut pos = 0;
        while pos < bytes.len() {
            let first = skip_space(bytes, pos);
            if byte_at(bytes, first) == b'\n' {
                block.line = block.line.saturating_add(1);
                pos = first + 1;
                continue;
            }
            match self.scanner.scan(text, first) {
                Ok(end) if end - pos > MAX_LINE_BYTES && is_too_long(bytes, pos, end) => {
                    block.refuse_too_long(base + pos, base + end);
                    pos = end + 1;
                }
                Ok(end) => {
                    match self.append(text, block.line) {
                        Ok(record) => {
                            block.records.push(record);
                            block.line = block.line.saturating_add(1);
                        }
                        Err(fault) => block.refuse(base + pos, base + end, fault.reason, fault.detail),
                    }
                    pos = end + 1;
                }
                Err(syntax) => {
                    let end = line_end(bytes, syntax.at.max(pos));
                    let fault = syntax_fault(text, pos, *syntax);
                    block.refuse_unless_too_long(base + pos, base + end, fault.reason, fault.detail);
                    pos = end + 1;
                }
            }
        }
    }

    #[inline(always)]
    fn append(&mut self, text: &str, line: u32) -> fields::Judged<DecodedRecord> {
        let record = Record::new(text, &self.scanner);
        let event_type = record.event_type()?;
        let told = self.tables.append(event_type, record)?;
        Ok(DecodedRecord { line, ..told })
    }
}

/// How many of the bytes are in lines that end within the first `most`.
fn readable_length(lines: &[u8], most: usize) -> usize {
    match lines.get(..most) {
        Some(within) if within.len() < lines.len() => memchr::memrchr(b'\n', within).map_or(0, |at| at + 1),
        _ => lines.len(),
    }
}

/// Refuses the lines from `start` on.
fn refuse_unreadable(lines: &[u8], mut start: usize, block: &mut Block<'_>) {
    while start < lines.len() {
        let end = line_end(lines, start);
        let detail = format!("the line ends beyond the {MAX_BLOCK_BYTES} bytes of one block; read smaller blocks");
        block.refuse(start, end, BadReason::LineTooLong, detail);
        start = end + 1;
    }
}

/// The end of the line that `pos` is in.
fn line_end(bytes: &[u8], pos: usize) -> usize {
    let rest = bytes.get(pos..).unwrap_or_default();
    memchr::memchr(b'\n', rest).map_or(bytes.len(), |at| pos + at)
}

#[cold]
fn syntax_fault(text: &str, line_start: usize, syntax: Syntax) -> Fault {
    let place = syntax.at.saturating_sub(line_start) + 1;
    let found = match text.get(syntax.at..).and_then(|rest| rest.chars().next()) {
        None | Some('\n') => "the line ends".to_owned(),
        Some(character) => format!("'{}' stands", character.escape_debug()),
    };
    let (reason, what) = match syntax.kind {
        SyntaxKind::Expected(expected) => (BadReason::InvalidJson, format!("{found} where {expected} was expected")),
        SyntaxKind::UnterminatedString => (BadReason::InvalidJson, "the line ends inside a text".to_owned()),
        SyntaxKind::ControlCharacter => (BadReason::InvalidJson, format!("{found} unescaped inside a text")),
        SyntaxKind::InvalidEscape => (
            BadReason::InvalidJson,
            "a backslash begins no escape of JSON".to_owned(),
        ),
        SyntaxKind::LoneSurrogate => (
            BadReason::InvalidJson,
            "half of a surrogate pair is escaped alone".to_owned(),
        ),
        SyntaxKind::TooDeep => (
            BadReason::TooDeep,
            format!("objects and arrays are nested more than {} deep", scan::MAX_DEPTH),
        ),
    };
    Fault {
        reason,
        detail: format!("at byte {place} of the line {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_end_within_the_limit_are_readable() {
        assert_eq!(readable_length(b"one\ntwo\n", 8), 8);
        assert_eq!(readable_length(b"one\ntwo", 7), 7);
        assert_eq!(readable_length(b"one\ntwo\n", 7), 4);
        assert_eq!(readable_length(b"one\ntwo\n", 4), 4);
        assert_eq!(readable_length(b"one\ntwo\n", 3), 0);
        assert_eq!(readable_length(b"", 3), 0);
    }

    #[test]
    fn lines_beyond_the_limit_are_refused_one_by_one() {
        let lines = b"one\ntwo\r\n\nfour";
        let mut block = Block {
            bytes: lines,
            records: Vec::new(),
            bad: Vec::new(),
            line: 1,
        };
        refuse_unreadable(lines, 4, &mut block);
        let seen: Vec<(u32, usize, &[u8])> = block
            .bad
            .iter()
            .map(|bad| (bad.line, bad.offset, bad.raw.as_slice()))
            .collect();
        assert_eq!(seen, [(1, 4, &b"two"[..]), (2, 9, b""), (3, 10, b"four")]);
        assert!(block.bad.iter().all(|bad| bad.reason == BadReason::LineTooLong));
        assert_eq!(block.line, 4);
    }
}
