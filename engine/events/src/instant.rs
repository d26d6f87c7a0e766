//! RFC 3339 instants: text to microseconds and back.

use crate::EventTime;

const MICROS_PER_SECOND: i64 = 1_000_000;
const SECONDS_PER_DAY: i64 = 86_400;
/// 0000-01-01T00:00:00Z, the first instant that RFC 3339 can write.
pub(crate) const FIRST: i64 = -62_167_219_200 * MICROS_PER_SECOND;
/// 9999-12-31T23:59:59.999999Z, the last one.
pub(crate) const LAST: i64 = 253_402_300_800 * MICROS_PER_SECOND - 1;

/// The date that was read last: events of a stream are mostly of one day.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct DateCache {
    text: [u8; 10],
    days: i64,
}

/// Reads an RFC 3339 instant with offset; digits past microseconds are cut off. `None` where it is not one.
pub(crate) fn parse(text: &[u8], cache: &mut DateCache) -> Option<i64> {
    let (date, rest) = text.split_first_chunk::<10>()?;
    let (time, rest) = rest.split_first_chunk::<9>()?;
    let days = if *date == cache.text {
        cache.days
    } else {
        let days = parse_date(date)?;
        *cache = DateCache { text: *date, days };
        days
    };
    let seconds_of_day = parse_time_of_day(time)?;
    let (fraction, zone) = parse_fraction(rest)?;
    let offset = parse_offset(zone)?;
    let micros = (days * SECONDS_PER_DAY + seconds_of_day - offset) * MICROS_PER_SECOND + fraction;
    (FIRST..=LAST).contains(&micros).then_some(micros)
}

/// `YYYY-MM-DD` as days since 1970-01-01.
fn parse_date(date: &[u8; 10]) -> Option<i64> {
    let [y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = *date else {
        return None;
    };
    let year = two_digits(y0, y1)? * 100 + two_digits(y2, y3)?;
    let month = two_digits(m0, m1)?;
    let day = two_digits(d0, d1)?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_in_month = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return None,
    };
    if !(1..=days_in_month).contains(&day) {
        return None;
    }
    // Days of the proleptic Gregorian calendar, counted in years that begin in March (Howard Hinnant, "chrono-compatible
    // low-level date algorithms", days_from_civil).
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

/// `THH:MM:SS` as seconds; the second 60 of a leap second is the first of the next minute.
fn parse_time_of_day(time: &[u8; 9]) -> Option<i64> {
    let [b'T' | b't' | b' ', clock @ ..] = time else {
        return None;
    };
    // All eight characters at once, the first in the lowest byte: digits become 0 to 9, colons 0.
    let digits = u64::from_le_bytes(*clock) ^ u64::from_le_bytes(*b"00:00:00");
    let not_colons = digits & 0x0000_ff00_00ff_0000;
    let pairs = pairs(digits).filter(|_| not_colons == 0)?;
    let number = |place: u64| (pairs >> (8 * place) & 0xff) as i64;
    let (hour, minute, second) = (number(0), number(3), number(6));
    (hour <= 23 && minute <= 59 && second <= 60).then_some(hour * 3_600 + minute * 60 + second)
}

/// An optional `.` with digits as whole microseconds, and what follows.
fn parse_fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', digits)) = text.split_first() else {
        return Some((0, text));
    };
    if let Some((six, rest)) = digits.split_first_chunk()
        && let Some(micros) = six_digits(six)
    {
        let more = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        return Some((micros, rest.get(more..)?));
    }
    let count = digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    let (digits, rest) = digits.split_at_checked(count)?;
    if digits.is_empty() {
        return None;
    }
    let mut micros = 0;
    for place in 0..6 {
        micros = micros * 10 + digits.get(place).map_or(0, |digit| i64::from(digit - b'0'));
    }
    Some((micros, rest))
}

/// In each byte ten times its digit and the one of the byte that follows; `None` where a byte is beyond nine.
#[inline(always)]
fn pairs(digits: u64) -> Option<u64> {
    let beyond_nine = (digits | digits.wrapping_add(0x0606_0606_0606_0606)) & 0xf0f0_f0f0_f0f0_f0f0;
    (beyond_nine == 0).then(|| digits * 10 + (digits >> 8))
}

/// The number that six digits are, all at once as in [`parse_time_of_day`].
fn six_digits(text: &[u8; 6]) -> Option<i64> {
    let [d0, d1, d2, d3, d4, d5] = *text;
    let digits = u64::from_le_bytes([d0, d1, d2, d3, d4, d5, b'0', b'0']) ^ u64::from_le_bytes(*b"00000000");
    let pairs = pairs(digits)?;
    let pair = |place: u64| (pairs >> (8 * place) & 0xff) as i64;
    Some(pair(0) * 10_000 + pair(2) * 100 + pair(4))
}

/// `Z` or `±HH:MM` as seconds east of UTC.
fn parse_offset(zone: &[u8]) -> Option<i64> {
    match *zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h0, h1, b':', m0, m1] => {
            let (hours, minutes) = (two_digits(h0, h1)?, two_digits(m0, m1)?);
            let seconds = hours * 3_600 + minutes * 60;
            (hours <= 23 && minutes <= 59).then_some(if sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

fn two_digits(tens: u8, units: u8) -> Option<i64> {
    let (tens, units) = (tens.wrapping_sub(b'0'), units.wrapping_sub(b'0'));
    (tens <= 9 && units <= 9).then_some(i64::from(tens) * 10 + i64::from(units))
}

/// Writes the instant in UTC with `Z` and no more fractional digits than microseconds need (none, three or six); nothing and
/// `false` where its year is not of four digits.
pub(crate) fn write(micros: i64, out: &mut Vec<u8>) -> bool {
    if !(FIRST..=LAST).contains(&micros) {
        return false;
    }
    let seconds = micros.div_euclid(MICROS_PER_SECOND);
    let fraction = micros.rem_euclid(MICROS_PER_SECOND);
    let (year, month, day) = civil_date(seconds.div_euclid(SECONDS_PER_DAY));
    let second_of_day = seconds.rem_euclid(SECONDS_PER_DAY);
    push_digits(out, year, 4);
    out.push(b'-');
    push_digits(out, month, 2);
    out.push(b'-');
    push_digits(out, day, 2);
    out.push(b'T');
    push_digits(out, second_of_day / 3_600, 2);
    out.push(b':');
    push_digits(out, second_of_day / 60 % 60, 2);
    out.push(b':');
    push_digits(out, second_of_day % 60, 2);
    if fraction % 1_000 != 0 {
        out.push(b'.');
        push_digits(out, fraction, 6);
    } else if fraction != 0 {
        out.push(b'.');
        push_digits(out, fraction / 1_000, 3);
    }
    out.push(b'Z');
    true
}

/// The inverse of [`parse_date`] (Hinnant, civil_from_days).
fn civil_date(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

fn push_digits(out: &mut Vec<u8>, number: i64, width: u32) {
    for place in (0..width).rev() {
        let digit = number / 10_i64.pow(place) % 10;
        out.push(b'0' + u8::try_from(digit).unwrap_or(0));
    }
}

impl EventTime {
    /// Reads an RFC 3339 instant with offset (`Z` or `±HH:MM`); digits past microseconds are cut off. `None` where the text is not
    /// one, or the instant is outside the years 0000 to 9999.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<EventTime> {
        parse(text.as_bytes(), &mut DateCache::default()).map(EventTime)
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, SecondsFormat};
    use proptest::prelude::*;

    use super::*;

    fn micros(text: &str) -> Option<i64> {
        EventTime::from_rfc3339(text).map(|time| time.0)
    }

    #[test]
    fn offsets_fractions_and_case_are_all_read_as_the_same_instant() {
        let instant = micros("2025-12-30T05:14:36.844771Z");
        assert_eq!(instant, Some(1_767_071_676_844_771));
        for spelling in [
            "2025-12-30T05:14:36.8447717+00:00",
            "2025-12-30T05:14:36.844771999999-00:00",
            "2025-12-30T06:44:36.844771+01:30",
            "2025-12-29T21:14:36.844771-08:00",
            "2025-12-30t05:14:36.844771z",
            "2025-12-30 05:14:36.844771Z",
        ] {
            assert_eq!(micros(spelling), instant, "{spelling}");
        }
    }

    #[test]
    fn digits_past_microseconds_are_cut_towards_the_past_before_1970_too() {
        assert_eq!(micros("1969-12-31T23:59:59.9999999Z"), Some(-1));
        assert_eq!(micros("1969-12-31T23:59:59.0000009Z"), Some(-1_000_000));
    }

    #[test]
    fn a_fraction_has_any_number_of_digits_and_nothing_else() {
        let second = micros("2025-12-30T05:14:36Z").unwrap();
        for (fraction, expected) in [
            ("0", 0),
            ("9", 900_000),
            ("12345", 123_450),
            ("123456", 123_456),
            ("999999", 999_999),
            ("1234567", 123_456),
            ("000001999999999", 1),
        ] {
            assert_eq!(
                micros(&format!("2025-12-30T05:14:36.{fraction}Z")),
                Some(second + expected)
            );
        }
        for wrong in ["12345:", "12345/", "1234 6", "123456:", "12a", "1234567x"] {
            assert_eq!(micros(&format!("2025-12-30T05:14:36.{wrong}Z")), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_not_an_instant_with_offset_is_refused() {
        for wrong in [
            "",
            "2025-12-30",
            "2025-12-30T05:14:36",
            "2025-12-30T05:14:36.Z",
            "2025-12-30T05:14:36.5",
            "2025-13-01T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2025-04-31T00:00:00Z",
            "2025-01-00T00:00:00Z",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:60:00Z",
            "2025-01-01T00:00:61Z",
            "2025-01-01T00:00:00+24:00",
            "2025-01-01T00:00:00+0100",
            "2025-01-01T00:00:00+01:60",
            "2025-01-01T00:00:00Zx",
            "2025/01/01T00:00:00Z",
            "0000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "+2025-01-01T00:00:00Z",
        ] {
            assert_eq!(micros(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_wrong_date_does_not_stay_in_the_cache() {
        let mut cache = DateCache::default();
        assert_eq!(parse(b"2025-02-30T00:00:00Z", &mut cache), None);
        assert_eq!(parse(b"2025-02-30T00:00:00Z", &mut cache), None);
        assert_eq!(
            parse(b"2025-02-28T00:00:00Z", &mut cache),
            micros("2025-02-28T00:00:00Z")
        );
    }

    #[test]
    fn an_instant_outside_four_digit_years_is_not_written() {
        let mut out = Vec::new();
        assert!(!write(LAST + 1, &mut out) && !write(FIRST - 1, &mut out) && !write(i64::MIN, &mut out));
        assert!(out.is_empty());
    }

    proptest! {
        #[test]
        fn every_instant_is_read_and_written_as_chrono_does(instant in FIRST..=LAST) {
            let expected = DateTime::from_timestamp_micros(instant).unwrap();
            let text = expected.to_rfc3339_opts(SecondsFormat::AutoSi, true);
            let mut out = Vec::new();
            prop_assert!(write(instant, &mut out));
            prop_assert_eq!(std::str::from_utf8(&out).unwrap(), &text);
            prop_assert_eq!(micros(&text), Some(instant));
        }

        #[test]
        fn no_text_makes_the_reader_fail(text in "[0-9TZtz:+. -]{0,40}") {
            let ours = micros(&text);
            if let (Some(ours), Ok(theirs)) = (ours, DateTime::parse_from_rfc3339(&text))
                && !text.contains(":60")
            {
                prop_assert_eq!(ours, theirs.timestamp_micros());
            }
        }
    }
}
