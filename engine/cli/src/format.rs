//! Numbers, sizes and times as people read them.

use std::time::Duration;

use backplane_events::EventTime;
use chrono::{DateTime, Utc};

/// A whole number in groups of three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A whole number and its noun, in the plural where there is not exactly one.
pub fn counted(number: u64, noun: &str) -> String {
    let number_text = grouped(number);
    match noun.strip_suffix('y') {
        _ if number == 1 => format!("{number_text} {noun}"),
        Some(stem) => format!("{number_text} {stem}ies"),
        None => format!("{number_text} {noun}s"),
    }
}

/// A real number to four significant digits, never fewer than its whole part.
pub fn real(number: f64) -> String {
    let size = number.abs();
    if size == 0.0 {
        return "0".to_owned();
    }
    if !size.is_finite() {
        return number.to_string();
    }
    if !(1e-6..1e15).contains(&size) {
        return format!("{number:.3e}");
    }
    let decimals = (3.0 - size.log10().floor()).clamp(0.0, 9.0);
    format!("{number:.*}", decimals as usize)
}

/// A share from 0 to 1 in per cent.
pub fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// A relative difference in per cent, with its sign.
pub fn change(relative: f64) -> String {
    let text = format!("{:+.1}%", relative * 100.0);
    if text == "-0.0%" { "+0.0%".to_owned() } else { text }
}

/// An amount of bytes.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut amount = bytes as f64;
    let mut unit = 0;
    while amount >= 1024.0 && unit + 1 < UNITS.len() {
        amount /= 1024.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or_default();
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{amount:.1} {name}")
    }
}

/// A length of wall-clock time.
pub fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 if duration.as_millis() < 1000 => format!("{} ms", duration.as_millis()),
        0..=59 => format!("{:.1} s", duration.as_secs_f64()),
        60..=3599 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3600..=172_799 => format!("{} h {:02} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} days", grouped(seconds / 86_400)),
    }
}

/// An instant of event time to the second; the ends of time in words.
pub fn instant(time: EventTime) -> String {
    match time {
        EventTime::MIN => "none yet".to_owned(),
        EventTime::MAX => "the end".to_owned(),
        EventTime(micros) => match DateTime::<Utc>::from_timestamp_micros(micros) {
            Some(instant) => instant.format("%Y-%m-%d %H:%M:%S").to_string(),
            None => time.to_string(),
        },
    }
}

/// A text in lines of at most `width` characters, all but the first indented; a longer word stays whole.
pub fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let unindented = text.trim_start_matches(' ');
    let mut lines = " ".repeat(text.len() - unindented.len());
    let mut used = lines.len();
    let mut is_first = true;
    for word in unindented.split(' ') {
        let length = console::measure_text_width(word);
        if !is_first && used + 1 + length > width {
            lines.push('\n');
            lines.push_str(&" ".repeat(indent));
            used = indent;
        } else if !is_first {
            lines.push(' ');
            used += 1;
        }
        is_first = false;
        lines.push_str(word);
        used += length;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_short() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(counted(1, "record"), "1 record");
        assert_eq!(counted(2_000, "record"), "2,000 records");
        assert_eq!(counted(2, "second delivery"), "2 second deliveries");
        assert_eq!(real(0.103_456), "0.1035");
        assert_eq!(real(123_456.7), "123457");
        assert_eq!(real(1e-9), "1.000e-9");
    }

    #[test]
    fn shares_and_changes_are_per_cent() {
        assert_eq!(percent(0.531_2), "53.1%");
        assert_eq!(change(0.124), "+12.4%");
        assert_eq!(change(-0.000_1), "+0.0%");
    }

    #[test]
    fn sizes_and_times_have_the_unit_that_fits() {
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(24_536_678), "23.4 MiB");
        assert_eq!(duration(Duration::from_millis(850)), "850 ms");
        assert_eq!(duration(Duration::from_millis(9_240)), "9.2 s");
        assert_eq!(duration(Duration::from_secs(3 * 60 + 4)), "3 min 04 s");
        assert_eq!(duration(Duration::from_secs(7_500)), "2 h 05 min");
        assert_eq!(duration(Duration::from_secs(27_680_940)), "320 days");
    }

    #[test]
    fn an_instant_is_told_to_the_second() {
        assert_eq!(instant(EventTime(1_767_571_200_123_456)), "2026-01-05 00:00:00");
        assert_eq!(instant(EventTime::MAX), "the end");
    }

    #[test]
    fn long_texts_are_wrapped_between_words() {
        assert_eq!(wrapped("one two three four", 9, 2), "one two\n  three\n  four");
        assert_eq!(wrapped("  one two three", 9, 4), "  one two\n    three");
        assert_eq!(wrapped("short", 9, 2), "short");
    }
}
