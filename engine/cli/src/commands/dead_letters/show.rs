//! `backplane dead-letters show`: each letter, or the bytes alone.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};

use backplane_events::BadReason;
use backplane_file::Letter;
use console::style;

use super::{Pass, file_of};
use crate::args::DeadLettersShowArgs;
use crate::commands::{Context, load};
use crate::exit::{CliError, Outcome};
use crate::format::{counted, grouped, instant};

/// So many bytes of a record are shown at most.
const SHOWN: usize = 600;

/// Shows the letters that are wanted, the newest last.
///
/// # Errors
/// The configuration is wrong, or the file cannot be read.
pub fn execute(args: &DeadLettersShowArgs, context: &Context) -> Result<Outcome, CliError> {
    let loaded = load(&args.config, &args.overrides.sets)?;
    let path = file_of(&loaded.config);
    let is_wanted = |letter: &Letter| {
        args.reason.as_ref().is_none_or(|reason| letter.reason == *reason)
            && args.source.as_ref().is_none_or(|source| letter.source == *source)
    };
    let (first, last) = match args.limit {
        None => (0, u64::MAX),
        Some(limit) => newest(Pass::over(path)?, limit, is_wanted)?,
    };
    let mut pass = Pass::over(path)?;
    let mut output = BufWriter::new(context.terminal.output());
    let mut shown = 0;
    while let Some((line, letter)) = pass.next()? {
        if !(first..=last).contains(&line) || !is_wanted(&letter) {
            continue;
        }
        shown += 1;
        let written = match args.raw {
            true => output.write_all(&letter.raw).and_then(|()| output.write_all(b"\n")),
            false => output.write_all(text(&letter).as_bytes()),
        };
        written.map_err(CliError::Output)?;
    }
    output.flush().map_err(CliError::Output)?;
    if shown == 0 && pass.count > 0 && args.limit != Some(0) {
        context.note(&format!(
            "none of the {} of {} is of that reason and source",
            counted(pass.count, "dead letter"),
            path.display()
        ));
    }
    pass.tell(context);
    Ok(Outcome::Done)
}

/// The first and the last line of so many letters at the end. Their file may be far larger than the memory.
fn newest(mut pass: Pass, limit: u64, is_wanted: impl Fn(&Letter) -> bool) -> Result<(u64, u64), CliError> {
    let mut lines = VecDeque::new();
    while let Some((line, letter)) = pass.next()? {
        if is_wanted(&letter) {
            lines.push_back(line);
        }
        if lines.len() as u64 > limit {
            lines.pop_front();
        }
    }
    // an empty range where there are none
    let ends = lines.front().copied().zip(lines.back().copied());
    Ok(ends.unwrap_or((1, 0)))
}

/// A letter for people.
fn text(letter: &Letter) -> String {
    let shown = |text: &str| visible(text.as_bytes());
    let mut lines = format!(
        "{}  {}  {}, source {}\n  why     {}\n",
        instant(letter.time),
        style(shown(&letter.reason)).bold(),
        shown(&letter.position),
        shown(&letter.source),
        shown(&letter.detail)
    );
    if let Some(reason) = BadReason::from_name(&letter.reason) {
        // writing into memory cannot fail
        let _ = writeln!(lines, "  to do   {}", reason.remedy());
    }
    let (head, rest) = shortened(&letter.raw);
    let _ = write!(lines, "  record  {}", visible(head));
    if rest > 0 {
        let _ = write!(lines, "… and {} bytes more", grouped(rest as u64));
    }
    lines + "\n\n"
}

/// The beginning of a record, and how much follows it. A character is not cut in two.
fn shortened(raw: &[u8]) -> (&[u8], usize) {
    let is_inside = |at: &usize| raw.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let end = (SHOWN - 3..=SHOWN).rev().find(|at| !is_inside(at)).unwrap_or(SHOWN);
    match raw.split_at_checked(end) {
        Some((head, rest)) if raw.len() > SHOWN => (head, rest.len()),
        _ => (raw, 0),
    }
}

/// Bytes as a terminal can show them: what is no text as `\xff`, what would not be seen or would move the cursor as `\u{7}`.
pub fn visible(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\'' | '\\' => text.push(character),
                other => text.extend(other.escape_debug()),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\x{byte:02x}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_cannot_show_is_escaped() {
        let bytes = b"{\"a\\n\":\xff\xc3\xa9\x1b[2J\x00\t\xe2\x82\xac\xe2\x80\xae\xe2\x82";
        assert_eq!(visible(bytes), "{\"a\\n\":\\xffé\\u{1b}[2J\\0\\t€\\u{202e}\\xe2\\x82");
    }

    #[test]
    fn a_long_record_is_cut_between_characters() {
        let short = "é".repeat(SHOWN / 2);
        assert_eq!(shortened(short.as_bytes()), (short.as_bytes(), 0));
        let long = format!("x{}", "é".repeat(SHOWN));
        let (head, rest) = shortened(long.as_bytes());
        assert_eq!((head.len(), rest), (SHOWN - 1, SHOWN + 2));
        assert!(std::str::from_utf8(head).is_ok());
        assert_eq!(shortened(&[0x80; SHOWN + 1]).1, 1);
        assert_eq!(shortened(b""), (&b""[..], 0));
    }
}
