//! Where lines end: what every source of NDJSON needs to cut its input into blocks.

/// How many bytes of `bytes` are complete lines: the length up to and including the last line feed.
#[must_use]
pub fn complete(bytes: &[u8]) -> usize {
    memchr::memrchr(b'\n', bytes).map_or(0, |last| last + 1)
}

/// How many lines `bytes` holds; a last one without its line feed counts.
#[must_use]
pub fn count(bytes: &[u8]) -> u64 {
    let ended = memchr::memchr_iter(b'\n', bytes).count() as u64;
    match bytes.last() {
        None | Some(b'\n') => ended,
        Some(_) => ended + 1,
    }
}

/// How many bytes to take from `bytes` for a block of about `max_bytes`: as many complete lines as fit, at least one line, and the
/// unfinished last line only when nothing else is there.
#[must_use]
pub fn block(bytes: &[u8], max_bytes: usize) -> usize {
    let head = bytes.get(..max_bytes).unwrap_or(bytes);
    if head.len() == bytes.len() && !bytes.is_empty() {
        return bytes.len();
    }
    match complete(head) {
        0 => memchr::memchr(b'\n', bytes).map_or(bytes.len(), |end| end + 1),
        lines => lines,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_complete_with_its_line_feed() {
        assert_eq!(complete(b""), 0);
        assert_eq!(complete(b"ab"), 0);
        assert_eq!(complete(b"ab\ncd"), 3);
        assert_eq!(complete(b"ab\ncd\n"), 6);
    }

    #[test]
    fn an_unfinished_last_line_counts_as_a_line() {
        assert_eq!(count(b""), 0);
        assert_eq!(count(b"\n\n"), 2);
        assert_eq!(count(b"ab\ncd"), 2);
    }

    #[test]
    fn a_block_holds_the_lines_that_fit_and_at_least_one() {
        assert_eq!(block(b"", 4), 0);
        assert_eq!(block(b"ab\ncd\nef", 7), 6);
        assert_eq!(block(b"ab\ncd\nef", 1), 3);
        assert_eq!(block(b"abcdef", 2), 6);
        assert_eq!(block(b"ab\ncd", 5), 5);
    }
}
