//! Bytes as they are read, cut into blocks of complete lines.

use backplane_connector_api::{Block, BlockData, Position, lines};
use backplane_events::MAX_LINE_BYTES;
use bytes::Bytes;

/// What is held of a line at most: enough for the decoder to see that it is too long, however it ends.
const MOST_OF_A_LINE: usize = MAX_LINE_BYTES + "\r".len() + 1;
/// How much is read at a time of a line that is longer than a block.
const LONG_STEP: usize = 8 << 20;
/// The byte order mark, which some programs put at the beginning of a text.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Read bytes that are not yet given out, and where they are.
#[derive(Debug)]
pub(crate) struct Blocks {
    /// The bytes from `at` on.
    bytes: Vec<u8>,
    /// The position of the first byte.
    at: Position,
    /// Bytes of the first line that were dropped because the line is too long; they were after the part that is held.
    dropped: u64,
    most_of_a_line: usize,
}

impl Blocks {
    /// Empty, at a position.
    pub(crate) fn at(at: Position) -> Self {
        Self {
            bytes: Vec::new(),
            at,
            dropped: 0,
            most_of_a_line: MOST_OF_A_LINE,
        }
    }

    /// Holds so many bytes of a line at most.
    pub(crate) fn with_longest_line(mut self, bytes: usize) -> Self {
        self.most_of_a_line = bytes;
        self
    }

    /// Where to append what is read next.
    pub(crate) fn input(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// How many bytes are held.
    pub(crate) fn held(&self) -> usize {
        self.bytes.len()
    }

    /// How many bytes to hold next, if what is held is less than a line.
    pub(crate) fn wanted_of_a_long_line(&self) -> usize {
        self.held() + self.held().clamp(4096, LONG_STEP)
    }

    /// How many bytes of input were read, given out or not.
    pub(crate) fn end_of_input(&self) -> u64 {
        self.at.offset + self.dropped + self.bytes.len() as u64
    }

    /// The complete lines that are held, as a block.
    pub(crate) fn complete_lines(&mut self) -> Option<Block> {
        if self.dropped > 0 {
            return self.long_line();
        }
        match lines::complete(&self.bytes) {
            0 if self.bytes.len() > self.most_of_a_line => {
                self.drop_the_rest();
                None
            }
            0 => None,
            length => Some(self.cut(length)),
        }
    }

    /// All that is held, as the last block of a partition; the last line may lack its line feed.
    pub(crate) fn everything(&mut self) -> Option<Block> {
        if self.dropped > 0 {
            return self.long_line().or_else(|| Some(self.cut_long(self.bytes.len(), 0)));
        }
        match self.bytes.len() {
            0 => None,
            length => Some(self.cut(length)),
        }
    }

    /// Gives out the first `length` bytes; what follows moves to a new buffer, which is the only copy that is made.
    fn cut(&mut self, length: usize) -> Block {
        let rest = self.bytes.split_off(length);
        let data = Bytes::from(std::mem::replace(&mut self.bytes, rest));
        let start = self.at.clone();
        self.at.offset += data.len() as u64;
        self.at.line += lines::count(&data);
        self.block(data, start)
    }

    /// A block from `start` to where we are.
    fn block(&self, data: Bytes, start: Position) -> Block {
        let has_mark = start.offset == 0 && data.starts_with(MARK);
        let data = if has_mark { data.slice(MARK.len()..) } else { data };
        Block {
            data: BlockData::Lines(data),
            start,
            end: self.at.clone(),
        }
    }

    /// Forgets what was read of a line that is too long, except for its beginning.
    fn drop_the_rest(&mut self) {
        self.dropped += self.bytes.len().saturating_sub(self.most_of_a_line) as u64;
        self.bytes.truncate(self.most_of_a_line);
    }

    /// The end of a line that is too long, if it has been read by now.
    fn long_line(&mut self) -> Option<Block> {
        let unseen = self.bytes.get(self.most_of_a_line..).unwrap_or_default();
        match memchr::memchr(b'\n', unseen) {
            Some(end) => Some(self.cut_long(self.most_of_a_line + end, 1)),
            None => {
                self.drop_the_rest();
                None
            }
        }
    }

    /// Gives out the beginning of a line that is too long; the line's held part is `length` bytes and its line feed `ending`.
    fn cut_long(&mut self, length: usize, ending: usize) -> Block {
        let rest = self.bytes.split_off(length + ending);
        let mut line = std::mem::replace(&mut self.bytes, rest);
        let start = self.at.clone();
        self.at.offset += self.dropped + line.len() as u64;
        self.at.line += 1;
        self.dropped = 0;
        line.truncate(self.most_of_a_line);
        line.push(b'\n');
        self.block(line.into(), start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(block: &Block) -> &[u8] {
        match &block.data {
            BlockData::Lines(text) => text,
            BlockData::Decoded(_) => b"",
        }
    }

    #[test]
    fn an_unfinished_line_waits_for_its_end() {
        let mut blocks = Blocks::at(Position {
            offset: 10,
            line: 2,
            detail: None,
        });
        blocks.input().extend_from_slice(b"one\ntwo\nthr");
        let block = blocks.complete_lines().unwrap();
        assert_eq!(text(&block), b"one\ntwo\n");
        assert_eq!(
            (block.start.offset, block.start.line, block.end.offset, block.end.line),
            (10, 2, 18, 4)
        );
        assert!(blocks.complete_lines().is_none());
        blocks.input().extend_from_slice(b"ee\n");
        assert_eq!(text(&blocks.complete_lines().unwrap()), b"three\n");
        assert!(blocks.everything().is_none());
    }

    #[test]
    fn a_byte_order_mark_is_passed_over_at_the_beginning_only() {
        let mut blocks = Blocks::at(Position::default());
        blocks.input().extend_from_slice("\u{feff}one\n".as_bytes());
        let block = blocks.complete_lines().unwrap();
        assert_eq!((text(&block), block.end.offset, block.end.line), (&b"one\n"[..], 7, 1));
        blocks.input().extend_from_slice("\u{feff}two\n".as_bytes());
        assert_eq!(text(&blocks.complete_lines().unwrap()), "\u{feff}two\n".as_bytes());
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_short_and_the_next_one_is_whole() {
        let mut blocks = Blocks {
            most_of_a_line: 100_000,
            ..Blocks::at(Position::default())
        };
        for _ in 0..5 {
            blocks.input().extend_from_slice(&[b'x'; 60_000]);
            assert!(blocks.complete_lines().is_none());
            assert!(blocks.held() <= 100_000);
        }
        blocks.input().extend_from_slice(b"x\nnext\n");
        let long = blocks.complete_lines().unwrap();
        assert_eq!(text(&long).len(), 100_001);
        assert_eq!((long.end.offset, long.end.line), (300_002, 1));
        assert_eq!(text(&blocks.complete_lines().unwrap()), b"next\n");
    }

    #[test]
    fn a_line_that_is_too_long_and_has_no_end_is_the_last_one() {
        let mut blocks = Blocks {
            most_of_a_line: 100_000,
            ..Blocks::at(Position::default())
        };
        blocks.input().extend_from_slice(&[0; 200_000]);
        assert!(blocks.complete_lines().is_none());
        blocks.input().extend_from_slice(&[0; 7]);
        let block = blocks.everything().unwrap();
        assert_eq!(
            block.end,
            Position {
                offset: 200_007,
                line: 1,
                detail: None
            }
        );
        assert!(blocks.everything().is_none());
    }
}
