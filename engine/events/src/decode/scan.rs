//! The grammar of JSON over bytes: where each value ends, in one pass and without recursion.
//!
//! A line ends at `\n`, which is no white space here: a record never runs into the next line, however broken it is.

use wide::u8x16;

/// How deep objects and arrays may nest, the envelope itself counting as one.
pub const MAX_DEPTH: usize = 100;

/// Where and how a line stops being JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Syntax {
    pub(crate) kind: SyntaxKind,
    /// The position in the block.
    pub(crate) at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SyntaxKind {
    /// Something else stands where this is expected.
    Expected(&'static str),
    UnterminatedString,
    ControlCharacter,
    InvalidEscape,
    LoneSurrogate,
    TooDeep,
}

/// Boxed, so that results on the hot path stay small.
pub(crate) type Scan<T> = Result<T, Box<Syntax>>;

#[cold]
pub(crate) fn fail<T>(kind: SyntaxKind, at: usize) -> Scan<T> {
    Err(Box::new(Syntax { kind, at }))
}

/// The byte at `pos`; behind the end, the end of a line.
#[inline(always)]
pub(crate) fn byte_at(bytes: &[u8], pos: usize) -> u8 {
    bytes.get(pos).copied().unwrap_or(b'\n')
}

/// The position of the first byte from `pos` that is not white space within a line.
#[inline(always)]
pub(crate) fn skip_space(bytes: &[u8], mut pos: usize) -> usize {
    // Between the members of a record there is mostly none.
    if byte_at(bytes, pos) > b' ' {
        return pos;
    }
    while matches!(byte_at(bytes, pos), b' ' | b'\t' | b'\r') {
        pos += 1;
    }
    pos
}

/// The closing quote of the string whose content begins at `pos`, if no escape comes before it.
#[inline(always)]
pub(crate) fn plain_string_end(bytes: &[u8], pos: usize) -> Option<usize> {
    let end = find_special(bytes, pos);
    (byte_at(bytes, end) == b'"').then_some(end)
}

/// The closing quote of the string whose content begins at `pos`, and whether the content has escapes.
pub(crate) fn string_end(bytes: &[u8], pos: usize) -> Scan<(usize, bool)> {
    let end = find_special(bytes, pos);
    if byte_at(bytes, end) == b'"' {
        Ok((end, false))
    } else {
        escaped_string_end(bytes, end).map(|end| (end, true))
    }
}

fn escaped_string_end(bytes: &[u8], mut pos: usize) -> Scan<usize> {
    loop {
        pos = find_special(bytes, pos);
        match byte_at(bytes, pos) {
            b'"' => return Ok(pos),
            b'\\' => pos = escape_end(bytes, pos)?,
            b'\n' => return fail(SyntaxKind::UnterminatedString, pos),
            _ => return fail(SyntaxKind::ControlCharacter, pos),
        }
    }
}

/// The position behind the escape whose backslash is at `pos`; a surrogate must come as a pair.
fn escape_end(bytes: &[u8], pos: usize) -> Scan<usize> {
    match byte_at(bytes, pos + 1) {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Ok(pos + 2),
        b'u' => match hex_unit(bytes, pos) {
            None => fail(SyntaxKind::InvalidEscape, pos),
            Some(0xD800..=0xDBFF) => match hex_unit(bytes, pos + 6) {
                Some(0xDC00..=0xDFFF) => Ok(pos + 12),
                _ => fail(SyntaxKind::LoneSurrogate, pos),
            },
            Some(0xDC00..=0xDFFF) => fail(SyntaxKind::LoneSurrogate, pos),
            Some(_) => Ok(pos + 6),
        },
        _ => fail(SyntaxKind::InvalidEscape, pos),
    }
}

/// The UTF-16 unit of `\uXXXX` at `pos`.
fn hex_unit(bytes: &[u8], pos: usize) -> Option<u16> {
    let escape = bytes.get(pos..pos + 6)?;
    let [b'\\', b'u', digits @ ..] = escape else {
        return None;
    };
    let mut unit = 0;
    for digit in digits {
        unit = unit << 4 | u16::try_from(char::from(*digit).to_digit(16)?).ok()?;
    }
    Some(unit)
}

/// How many bytes of plain text are looked at together: a vector register of every machine of today.
const CHUNK: usize = 16;

/// Where in the chunk the first byte stands that ends or breaks plain text: a quote, a backslash or a control character.
#[inline(always)]
fn special_in(chunk: &[u8; CHUNK]) -> Option<usize> {
    let bytes = u8x16::new(*chunk);
    let controls = bytes.simd_eq(bytes.min(u8x16::splat(0x1f)));
    let marks = bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\')) | controls;
    let mask = marks.to_bitmask();
    (mask != 0).then(|| mask.trailing_zeros() as usize)
}

/// The first quote, backslash or control character from `pos`, or the end of the bytes.
#[inline(always)]
fn find_special(bytes: &[u8], mut pos: usize) -> usize {
    while let Some(chunk) = bytes.get(pos..).and_then(|rest| rest.first_chunk::<CHUNK>()) {
        if let Some(place) = special_in(chunk) {
            return pos + place;
        }
        pos += CHUNK;
    }
    while let Some(byte) = bytes.get(pos) {
        if matches!(byte, b'"' | b'\\' | 0..0x20) {
            break;
        }
        pos += 1;
    }
    pos
}

/// The position behind the number at `pos`.
#[inline]
pub(crate) fn number_end(bytes: &[u8], mut pos: usize) -> Scan<usize> {
    if byte_at(bytes, pos) == b'-' {
        pos += 1;
    }
    pos = match byte_at(bytes, pos) {
        b'0' => pos + 1,
        b'1'..=b'9' => digits_end(bytes, pos),
        _ => return fail(SyntaxKind::Expected("a digit"), pos),
    };
    if byte_at(bytes, pos) == b'.' {
        pos = some_digits_end(bytes, pos + 1)?;
    }
    if matches!(byte_at(bytes, pos), b'e' | b'E') {
        pos += 1;
        if matches!(byte_at(bytes, pos), b'+' | b'-') {
            pos += 1;
        }
        pos = some_digits_end(bytes, pos)?;
    }
    Ok(pos)
}

fn digits_end(bytes: &[u8], mut pos: usize) -> usize {
    while byte_at(bytes, pos).is_ascii_digit() {
        pos += 1;
    }
    pos
}

fn some_digits_end(bytes: &[u8], pos: usize) -> Scan<usize> {
    let end = digits_end(bytes, pos);
    if end == pos {
        fail(SyntaxKind::Expected("a digit"), pos)
    } else {
        Ok(end)
    }
}

/// The position behind the literal at `pos`.
#[inline]
pub(crate) fn literal_end(bytes: &[u8], pos: usize, literal: &'static str) -> Scan<usize> {
    let end = pos + literal.len();
    if bytes.get(pos..end) == Some(literal.as_bytes()) {
        Ok(end)
    } else {
        fail(SyntaxKind::Expected("a value"), pos)
    }
}

/// The position behind the value at `pos`, which stands inside `depth` objects and arrays.
pub(crate) fn value_end(bytes: &[u8], pos: usize, depth: usize) -> Scan<usize> {
    match byte_at(bytes, pos) {
        b'"' => string_end(bytes, pos + 1).map(|(end, _)| end + 1),
        b'{' | b'[' => container_end(bytes, pos, depth),
        b't' => literal_end(bytes, pos, "true"),
        b'f' => literal_end(bytes, pos, "false"),
        b'n' => literal_end(bytes, pos, "null"),
        b'-' | b'0'..=b'9' => number_end(bytes, pos),
        _ => fail(SyntaxKind::Expected("a value"), pos),
    }
}

/// The position behind the object or array that opens at `pos`, inside `depth` others.
pub(crate) fn container_end(bytes: &[u8], mut pos: usize, depth: usize) -> Scan<usize> {
    // One bit for each container that is open, the innermost lowest: set for an object.
    let mut objects: u128 = 0;
    let mut open = 0;
    'value: loop {
        // A value begins at `pos`.
        match byte_at(bytes, pos) {
            opening @ (b'{' | b'[') => {
                open += 1;
                if depth + open > MAX_DEPTH {
                    return fail(SyntaxKind::TooDeep, pos);
                }
                objects = objects << 1 | u128::from(opening == b'{');
                pos = skip_space(bytes, pos + 1);
                let closing = if opening == b'{' { b'}' } else { b']' };
                if byte_at(bytes, pos) != closing {
                    if opening == b'{' {
                        pos = name_end(bytes, pos)?;
                    }
                    continue 'value;
                }
            }
            // `value_end` does not come back here: it is no container.
            _ => pos = skip_space(bytes, value_end(bytes, pos, depth)?),
        }
        // A value has ended before `pos`, or an empty container ends at it.
        loop {
            let in_object = objects & 1 == 1;
            match byte_at(bytes, pos) {
                b',' => {
                    pos = skip_space(bytes, pos + 1);
                    if in_object {
                        pos = name_end(bytes, pos)?;
                    }
                    continue 'value;
                }
                b'}' if in_object => {}
                b']' if !in_object => {}
                _ => {
                    return fail(
                        SyntaxKind::Expected(if in_object { "',' or '}'" } else { "',' or ']'" }),
                        pos,
                    );
                }
            }
            pos += 1;
            open -= 1;
            objects >>= 1;
            if open == 0 {
                return Ok(pos);
            }
            pos = skip_space(bytes, pos);
        }
    }
}

/// The position of the value that belongs to the member name at `pos`.
fn name_end(bytes: &[u8], pos: usize) -> Scan<usize> {
    if byte_at(bytes, pos) != b'"' {
        return fail(SyntaxKind::Expected("a member name"), pos);
    }
    let (end, _) = string_end(bytes, pos + 1)?;
    colon_end(bytes, end + 1)
}

/// The position of the value behind the colon that follows at `pos`.
#[inline(always)]
pub(crate) fn colon_end(bytes: &[u8], pos: usize) -> Scan<usize> {
    let pos = skip_space(bytes, pos);
    if byte_at(bytes, pos) == b':' {
        Ok(skip_space(bytes, pos + 1))
    } else {
        fail(SyntaxKind::Expected("':'"), pos)
    }
}

/// Appends the text of a string's content, whose escapes [`string_end`] has found in order, to `out`.
pub(crate) fn unescape(content: &str, out: &mut String) {
    let mut rest = content;
    while let Some((plain, escape)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut characters = escape.chars();
        let (character, length) = match characters.next() {
            Some('u') => unescape_unit(escape),
            Some(other) => (simple_escape(other), other.len_utf8()),
            None => break,
        };
        out.push(character);
        rest = escape.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
}

fn simple_escape(letter: char) -> char {
    match letter {
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        other => other,
    }
}

/// The character of `uXXXX` or `uXXXX\uXXXX` at the beginning, and the length of it.
fn unescape_unit(escape: &str) -> (char, usize) {
    let unit = |at: usize| {
        let digits = escape.get(at..at + 4)?;
        u32::from_str_radix(digits, 16).ok()
    };
    match (unit(1), unit(7)) {
        (Some(high @ 0xD800..=0xDBFF), Some(low @ 0xDC00..=0xDFFF)) => {
            let code = 0x1_0000 + ((high - 0xD800) << 10 | (low - 0xDC00));
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 11)
        }
        (Some(code), _) => (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 5),
        (None, _) => (char::REPLACEMENT_CHARACTER, 1),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(text: &str) -> bool {
        value_end(text.as_bytes(), 0, 0).is_ok_and(|end| skip_space(text.as_bytes(), end) == text.len())
    }

    #[test]
    fn a_container_may_nest_as_deep_as_the_limit_and_no_deeper() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(accepts(&nested(MAX_DEPTH)));
        let deeper = nested(MAX_DEPTH + 1);
        assert_eq!(value_end(deeper.as_bytes(), 0, 0), fail(SyntaxKind::TooDeep, MAX_DEPTH));
        assert_eq!(value_end(b"[[]]", 0, MAX_DEPTH - 1), fail(SyntaxKind::TooDeep, 1));
    }

    #[test]
    fn the_first_byte_that_breaks_plain_text_is_found_at_every_place() {
        for length in 0..40 {
            for special in [b'"', b'\\', 0x1f, b'\n', 0] {
                let mut bytes = vec![b'a'; length];
                bytes.extend([special, b'"', 0xff]);
                assert_eq!(find_special(&bytes, 0), length);
            }
            // neither bytes above ASCII nor neighbours of the special ones
            let plain: Vec<u8> = [b'!', b'#', b'[', b']', 0x20, 0x7f, 0x80, 0xff]
                .into_iter()
                .cycle()
                .take(length)
                .collect();
            assert_eq!(find_special(&plain, 0), length);
        }
    }

    fn json_like() -> impl Strategy<Value = String> {
        proptest::collection::vec(
            prop_oneof![
                Just("{"),
                Just("}"),
                Just("["),
                Just("]"),
                Just(","),
                Just(":"),
                Just("\"a\""),
                Just("\"\\u00e9\\n\""),
                Just("\"\\ud83d\\ude00\""),
                Just("\"\\x\""),
                Just("1"),
                Just("-0.5e+3"),
                Just("01"),
                Just("1."),
                Just("-"),
                Just("true"),
                Just("null"),
                Just("nul"),
                Just(" "),
                Just("\t"),
                Just("\"é")
            ],
            0..12,
        )
        .prop_map(|tokens| tokens.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_json_here_is_json_to_serde_and_the_other_way_round(text in json_like()) {
            prop_assert_eq!(accepts(text.trim_start_matches([' ', '\t'])), serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok());
        }

        #[test]
        fn escapes_are_read_as_serde_reads_them(text in any::<String>()) {
            let quoted: String = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let written = serde_json::to_string(&text).unwrap();
            for content in [quoted.as_str(), &written[1..written.len() - 1]] {
                let line = format!("\"{content}\"");
                prop_assert_eq!(string_end(line.as_bytes(), 1).map(|(end, _)| end), Ok(line.len() - 1));
                let mut out = String::new();
                unescape(content, &mut out);
                prop_assert_eq!(&out, &text);
            }
        }
    }
}
