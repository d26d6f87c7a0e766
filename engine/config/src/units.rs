//! Lengths of time, sizes and instants as they are written in the configuration.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer};

/// A length of time in microseconds, the unit of event time; never negative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Micros(pub i64);

const UNITS: [(&str, i64); 6] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];

impl Micros {
    /// So many milliseconds.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// So many seconds.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// So many minutes.
    #[must_use]
    pub const fn from_mins(minutes: i64) -> Self {
        Self(minutes.saturating_mul(60_000_000))
    }

    /// So many hours.
    #[must_use]
    pub const fn from_hours(hours: i64) -> Self {
        Self(hours.saturating_mul(3_600_000_000))
    }

    /// So many days of 24 hours.
    #[must_use]
    pub const fn from_days(days: i64) -> Self {
        Self(days.saturating_mul(86_400_000_000))
    }

    /// The number of microseconds.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// As a length of wall-clock time.
    #[must_use]
    pub const fn to_std(self) -> Duration {
        Duration::from_micros(self.0.unsigned_abs())
    }

    /// Reads `500ms`, `30s`, `5m`, `1h`, `7d`, and sums in falling units such as `1h30m`; numbers may have a fraction (`1.5h`).
    ///
    /// # Errors
    /// The text is no length of time, or longer than about 292,000 years; the message says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = "a duration such as 500ms, 30s, 5m, 1h, 7d or 1h30m is expected";
        let mut rest = text.trim();
        if rest == "0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(expected.to_owned());
        }
        if rest.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
            return Err(format!("{expected}; a number needs its unit"));
        }
        let mut total: i64 = 0;
        let mut smallest_so_far = i64::MAX;
        while !rest.is_empty() {
            let number_end = rest
                .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
                .unwrap_or(rest.len());
            let (number, after_number) = rest.split_at(number_end);
            let unit_end = after_number
                .find(|letter: char| letter.is_ascii_digit() || letter == '.')
                .unwrap_or(after_number.len());
            let (unit, after_unit) = after_number.split_at(unit_end);
            let scale = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, scale)| *scale);
            let scale = scale
                .filter(|scale| *scale < smallest_so_far)
                .ok_or_else(|| expected.to_owned())?;
            let part = scaled(number, scale).ok_or_else(|| expected.to_owned())?;
            total = total
                .checked_add(part)
                .ok_or_else(|| "the duration is too long".to_owned())?;
            smallest_so_far = scale;
            rest = after_unit;
        }
        Ok(Self(total))
    }
}

/// `number * scale`, exactly where the result is whole; fractions finer than a microsecond are refused.
fn scaled(number: &str, scale: i64) -> Option<i64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if whole.is_empty() || fraction.is_empty() || fraction.len() > 12 {
        return None;
    }
    let whole: i64 = whole.parse().ok()?;
    let fraction_value: i128 = fraction.parse::<i64>().ok()?.into();
    let divisor = 10i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let product = fraction_value.checked_mul(scale.into())?;
    if product % divisor != 0 {
        return None;
    }
    whole
        .checked_mul(scale)?
        .checked_add(i64::try_from(product / divisor).ok()?)
}

/// In falling units, as [`Micros::parse`] reads it: `1h30m`, `500ms`, `0s`.
impl fmt::Display for Micros {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0.max(0);
        if rest == 0 {
            return formatter.write_str("0s");
        }
        for (name, scale) in UNITS {
            let count = rest / scale;
            if count > 0 {
                write!(formatter, "{count}{name}")?;
                rest %= scale;
            }
        }
        Ok(())
    }
}

impl Serialize for Micros {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An amount of memory or storage in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteSize(pub u64);

const SIZES: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl ByteSize {
    /// So many mebibytes.
    #[must_use]
    pub const fn from_mib(mebibytes: u64) -> Self {
        Self(mebibytes.saturating_mul(1 << 20))
    }

    /// The number of bytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Reads `64MiB`, `4GiB`, `10MB`, `512B`; the unit in any case, a fraction where the result is whole (`1.5GiB`).
    ///
    /// # Errors
    /// The text is no size; the message says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || "a size such as 64MiB, 4GiB or 10MB is expected".to_owned();
        let text = text.trim();
        let unit_start = text
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .ok_or_else(|| {
                if text.is_empty() {
                    expected()
                } else {
                    format!("{}; a number needs its unit", expected())
                }
            })?;
        let (number, unit) = text.split_at(unit_start);
        let unit = unit.trim_start();
        let scale = SIZES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit))
            .map(|(_, scale)| *scale);
        let scale = scale.and_then(|scale| i64::try_from(scale).ok()).ok_or_else(expected)?;
        let bytes = scaled(number, scale)
            .and_then(|bytes| u64::try_from(bytes).ok())
            .ok_or_else(expected)?;
        Ok(Self(bytes))
    }
}

/// In the largest unit that divides it: `64MiB`, `10MB`, `1000001B`.
impl fmt::Display for ByteSize {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = SIZES
            .iter()
            .find(|(_, scale)| self.0 > 0 && self.0.is_multiple_of(*scale));
        let (name, scale) = unit.copied().unwrap_or(("B", 1));
        write!(formatter, "{}{name}", self.0 / scale)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// An instant: microseconds since 1970-01-01T00:00:00Z, the unit of event time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The number of microseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Reads an instant of RFC 3339 (`2026-01-05T00:00:00Z`, `2026-01-05T01:00:00+01:00`); a date alone is its midnight in UTC.
    /// Digits past microseconds are cut, as for events.
    ///
    /// # Errors
    /// The text is no instant; the message says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if let Ok(date) = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d") {
            return Ok(Self(date.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros()));
        }
        match chrono::DateTime::parse_from_rfc3339(text) {
            Ok(instant) => Ok(Self(instant.timestamp_micros())),
            Err(_) => Err("an instant such as 2026-01-05T00:00:00Z is expected (RFC 3339, with its offset)".to_owned()),
        }
    }
}

/// RFC 3339 in UTC with as many fractional digits as needed.
impl fmt::Display for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match chrono::DateTime::from_timestamp_micros(self.0) {
            Some(instant) => formatter.write_str(&instant.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
            None => write!(formatter, "{}us", self.0),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read_in_every_unit_and_in_sums() {
        for (text, micros) in [
            ("500ms", 500_000),
            ("30s", 30_000_000),
            ("5m", 300_000_000),
            ("1h", 3_600_000_000),
            ("7d", 604_800_000_000),
            ("1h30m", 5_400_000_000),
            ("1.5h", 5_400_000_000),
            ("0", 0),
            ("0s", 0),
            ("250us", 250),
        ] {
            assert_eq!(Micros::parse(text), Ok(Micros(micros)), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in [
            "",
            "5",
            "1.5",
            "-5s",
            "5 s",
            "m",
            "1m1h",
            "1h1h",
            "5S",
            "0.1us",
            "1e3s",
            "..s",
            "999999999999d",
            "1h x",
        ] {
            assert!(Micros::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_in_binary_and_decimal_units() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("4GiB", 4 << 30),
            ("10MB", 10_000_000),
            ("1.5 gib", 3 << 29),
            ("0B", 0),
        ] {
            assert_eq!(ByteSize::parse(text), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "64", "MiB", "-1B", "0.1B", "5parsecs", "99999999TiB"] {
            assert!(ByteSize::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn instants_need_an_offset_and_dates_are_midnight_in_utc() {
        assert_eq!(
            Timestamp::parse("2026-01-05T00:00:00Z"),
            Ok(Timestamp(1_767_571_200_000_000))
        );
        assert_eq!(
            Timestamp::parse("2026-01-05T01:00:00.0000019+01:00"),
            Ok(Timestamp(1_767_571_200_000_001))
        );
        assert_eq!(Timestamp::parse("2026-01-05"), Ok(Timestamp(1_767_571_200_000_000)));
        assert!(Timestamp::parse("2026-01-05T00:00:00").is_err());
        assert!(Timestamp::parse("yesterday").is_err());
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(micros in 0..i64::MAX, bytes in 0..i64::MAX, instant in 0..253_402_300_799_999_999i64) {
            prop_assert_eq!(Micros::parse(&Micros(micros).to_string()), Ok(Micros(micros)));
            let size = ByteSize(u64::try_from(bytes).unwrap());
            prop_assert_eq!(ByteSize::parse(&size.to_string()), Ok(size));
            prop_assert_eq!(Timestamp::parse(&Timestamp(instant).to_string()), Ok(Timestamp(instant)));
        }

        #[test]
        fn no_text_makes_a_reader_panic(text in ".*") {
            let _ = (Micros::parse(&text), ByteSize::parse(&text), Timestamp::parse(&text));
        }
    }
}
