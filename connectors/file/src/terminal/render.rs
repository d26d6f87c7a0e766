//! Results as aligned text.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::tally::{Bounds, Results};

/// The most metrics that a table shows beside each other.
const METRICS: usize = 6;

/// What is shown of a mean that there is none of.
const NO_MEAN: &str = "–";

/// The latest of the windows that closed with subjects in it, and how many closed before it.
pub(super) fn windows(text: &mut String, experiment: &str, window: &str, closed: &BTreeMap<Bounds, Results>) {
    let has_subjects = |results: &Results| results.variants.values().any(|variant| variant.subjects > 0);
    let Some((bounds, results)) = closed.iter().rfind(|(_, results)| has_subjects(results)) else {
        return;
    };
    let earlier = match closed.range(..bounds).count() {
        0 => String::new(),
        1 => " (and 1 earlier window)".to_owned(),
        more => format!(" (and {} earlier windows)", grouped(more as i64)),
    };
    text.push_str(&format!("{experiment}, {window} {}{earlier}\n", period(*bounds)));
    table(text, results);
}

/// An experiment to date.
pub(super) fn to_date(text: &mut String, experiment: &str, results: &Results) {
    text.push_str(&format!("{experiment}, to date\n"));
    table(text, results);
}

/// How many records were late, and for what.
pub(super) fn late(text: &mut String, counts: &BTreeMap<String, u64>) {
    let parts = counts.iter().map(|(window, count)| match window.as_str() {
        "cumulative" => format!("{} too late for every result", grouped(*count as i64)),
        window => format!("{} for window {window}", grouped(*count as i64)),
    });
    let parts: Vec<_> = parts.collect();
    if !parts.is_empty() {
        text.push_str(&format!("late records: {}\n", parts.join(", ")));
    }
}

/// How many records could not be read, and why.
pub(super) fn dead_letters(text: &mut String, counts: &BTreeMap<String, u64>) {
    let total: u64 = counts.values().sum();
    if total > 0 {
        let reasons: Vec<_> = counts
            .iter()
            .map(|(reason, count)| format!("{} {reason}", grouped(*count as i64)))
            .collect();
        text.push_str(&format!(
            "records that could not be read: {} ({})\n",
            grouped(total as i64),
            reasons.join(", ")
        ));
    }
}

/// One line per variant under a heading, columns aligned.
fn table(text: &mut String, results: &Results) {
    let shown: Vec<&String> = results.metrics.iter().take(METRICS).collect();
    let mut heading = vec!["variant".to_owned(), "subjects".to_owned(), "crossovers".to_owned()];
    heading.extend(shown.iter().map(|metric| format!("mean {metric}")));
    let mut lines = vec![heading];
    for (name, variant) in &results.variants {
        let mut line = vec![name.clone(), grouped(variant.subjects), grouped(variant.crossovers)];
        line.extend(shown.iter().map(|metric| {
            let mean = variant.means.get(*metric).filter(|mean| mean.is_finite());
            mean.map_or_else(|| NO_MEAN.to_owned(), |mean| real(*mean))
        }));
        lines.push(line);
    }
    align(text, &lines);
    let hidden = results.metrics.len() - shown.len();
    if hidden > 0 {
        text.push_str(&format!(
            "  and {hidden} more {}\n",
            if hidden == 1 { "metric" } else { "metrics" }
        ));
    }
    text.push('\n');
}

/// The first column to the left, the others to the right.
fn align(text: &mut String, lines: &[Vec<String>]) {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
    };
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default()).collect();
    for line in lines {
        for (column, (cell, width)) in line.iter().zip(&widths).enumerate() {
            text.push_str(&if column == 0 {
                format!("  {cell:<width$}")
            } else {
                format!("  {cell:>width$}")
            });
        }
        text.push('\n');
    }
}

/// From and until, as short as is clear.
fn period((from, until): Bounds) -> String {
    let (Some(from), Some(until)) = (
        DateTime::from_timestamp_micros(from),
        DateTime::from_timestamp_micros(until),
    ) else {
        return format!("{from} to {until}");
    };
    let until_text = if from.date_naive() == until.date_naive() {
        clock(until)
    } else {
        format!("{} {}", until.date_naive(), clock(until))
    };
    format!("{} {} to {until_text} UTC", from.date_naive(), clock(from))
}

/// An instant, as short as is clear.
pub(super) fn instant(micros: i64) -> String {
    match DateTime::from_timestamp_micros(micros) {
        Some(instant) => format!("{} {}", instant.date_naive(), clock(instant)),
        None => micros.to_string(),
    }
}

/// The time of day, with what it needs of seconds.
fn clock(instant: DateTime<Utc>) -> String {
    let time = instant.time();
    let text = time.format("%H:%M:%S%.f").to_string();
    text.strip_suffix(":00").map(str::to_owned).unwrap_or(text)
}

/// A whole number in groups of three digits.
fn grouped(number: i64) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A real number to about four significant digits, never fewer than its whole part.
fn real(number: f64) -> String {
    let size = number.abs();
    match size {
        _ if size == 0.0 => "0".to_owned(),
        _ if !(1e-6..1e15).contains(&size) => format!("{number:.3e}"),
        _ => {
            let decimals = (3.0 - size.log10().floor()).clamp(0.0, 9.0);
            format!("{number:.*}", decimals as usize)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_whole_parts_are_whole() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(-999), "-999");
        assert_eq!(real(0.103_456), "0.1035");
        assert_eq!(real(12.345_6), "12.35");
        assert_eq!(real(123_456.7), "123457");
        assert_eq!(real(-0.000_012_3), "-0.00001230");
    }

    #[test]
    fn a_period_says_a_date_once_where_it_can() {
        let hour = 3_600_000_000;
        let from = 1_767_650_400_000_000;
        assert_eq!(period((from, from + hour)), "2026-01-05 22:00 to 23:00 UTC");
        assert_eq!(
            period((from, from + 6 * hour)),
            "2026-01-05 22:00 to 2026-01-06 04:00 UTC"
        );
        assert_eq!(period((from, from + 1_500_000)), "2026-01-05 22:00 to 22:00:01.500 UTC");
    }
}
