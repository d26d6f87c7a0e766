//! Event time: an instant in microseconds.

use std::fmt;

use crate::instant::{FIRST, LAST};

/// An instant in event time: microseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct EventTime(pub i64);

impl EventTime {
    /// Before every instant: the watermark of a partition that has shown no record.
    pub const MIN: EventTime = EventTime(i64::MIN);
    /// After every instant: the watermark of an exhausted source.
    pub const MAX: EventTime = EventTime(i64::MAX);

    /// The nearest instant that RFC 3339 can write: one of the years 0000 to 9999.
    #[must_use]
    pub fn writable(self) -> EventTime {
        EventTime(self.0.clamp(FIRST, LAST))
    }

    /// This instant moved by `micros` microseconds; the two ends absorb.
    #[must_use]
    pub fn plus(self, micros: i64) -> EventTime {
        if self == Self::MIN || self == Self::MAX {
            self
        } else {
            EventTime(self.0.saturating_add(micros))
        }
    }

    /// This instant moved back by `micros` microseconds; the two ends absorb.
    #[must_use]
    pub fn minus(self, micros: i64) -> EventTime {
        self.plus(micros.saturating_neg())
    }
}

/// RFC 3339 in UTC with as many fractional digits as needed, `-infinity` and `infinity` at the ends.
impl fmt::Display for EventTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::MIN => formatter.write_str("-infinity"),
            Self::MAX => formatter.write_str("infinity"),
            EventTime(micros) => match chrono::DateTime::from_timestamp_micros(micros) {
                Some(instant) => formatter.write_str(&instant.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
                None => write!(formatter, "{micros}us"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_of_time_absorb_arithmetic() {
        assert_eq!(EventTime::MAX.minus(5), EventTime::MAX);
        assert_eq!(EventTime::MIN.plus(5), EventTime::MIN);
        assert_eq!(EventTime(10).minus(3), EventTime(7));
    }

    #[test]
    fn what_the_calendar_does_not_have_is_written_as_its_end() {
        let first_of_10000 = EventTime(253_402_300_800_000_000);
        assert_eq!(first_of_10000.writable().to_string(), "9999-12-31T23:59:59.999999Z");
        assert_eq!(EventTime::MIN.writable().to_string(), "0000-01-01T00:00:00Z");
        assert_eq!(EventTime(7).writable(), EventTime(7));
    }

    #[test]
    fn an_instant_prints_as_rfc_3339() {
        assert_eq!(EventTime(1_767_571_200_000_000).to_string(), "2026-01-05T00:00:00Z");
        assert_eq!(
            EventTime(1_767_571_200_000_001).to_string(),
            "2026-01-05T00:00:00.000001Z"
        );
    }
}
