//! Records that could not be read, and why.

/// Why a record is bad. The name (see [`BadReason::name`]) is stable: it is in dead letters, metrics and queries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BadReason {
    /// The line is not JSON.
    InvalidJson,
    /// The line is not UTF-8.
    InvalidUtf8,
    /// Objects and arrays are nested more than [`MAX_DEPTH`](crate::MAX_DEPTH) deep.
    TooDeep,
    /// A required member is absent or null.
    MissingMember,
    /// A member is of another JSON type than it should be.
    WrongType,
    /// A required id or name is an empty text.
    EmptyId,
    /// The event id has more than [`MAX_EVENT_ID_CHARACTERS`](crate::MAX_EVENT_ID_CHARACTERS) characters.
    IdTooLong,
    /// A timestamp is not RFC 3339 with an offset, or is outside the years 0000 to 9999.
    InvalidTimestamp,
    /// The event type is none of the five.
    UnknownEventType,
    /// A member of an enumeration has a name or ordinal that is not in it.
    UnknownEnumValue,
    /// The schema version is not of the form `1.MINOR.PATCH`.
    UnsupportedSchemaVersion,
    /// A number is infinite, not a number, or too large for a double.
    NonFiniteValue,
    /// The event time is too far ahead of the wall clock (told by the job, not by the decoder).
    FutureTimestamp,
    /// The line has more than [`MAX_LINE_BYTES`](crate::MAX_LINE_BYTES).
    LineTooLong,
}

impl BadReason {
    /// Every reason.
    pub const ALL: &'static [BadReason] = &[
        BadReason::InvalidJson,
        BadReason::InvalidUtf8,
        BadReason::TooDeep,
        BadReason::MissingMember,
        BadReason::WrongType,
        BadReason::EmptyId,
        BadReason::IdTooLong,
        BadReason::InvalidTimestamp,
        BadReason::UnknownEventType,
        BadReason::UnknownEnumValue,
        BadReason::UnsupportedSchemaVersion,
        BadReason::NonFiniteValue,
        BadReason::FutureTimestamp,
        BadReason::LineTooLong,
    ];

    /// The stable name, in snake case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            BadReason::InvalidJson => "invalid_json",
            BadReason::InvalidUtf8 => "invalid_utf8",
            BadReason::TooDeep => "too_deep",
            BadReason::MissingMember => "missing_member",
            BadReason::WrongType => "wrong_type",
            BadReason::EmptyId => "empty_id",
            BadReason::IdTooLong => "id_too_long",
            BadReason::InvalidTimestamp => "invalid_timestamp",
            BadReason::UnknownEventType => "unknown_event_type",
            BadReason::UnknownEnumValue => "unknown_enum_value",
            BadReason::UnsupportedSchemaVersion => "unsupported_schema_version",
            BadReason::NonFiniteValue => "non_finite_value",
            BadReason::FutureTimestamp => "future_timestamp",
            BadReason::LineTooLong => "line_too_long",
        }
    }

    /// What can be done about it, as a clause.
    #[must_use]
    pub fn remedy(self) -> &'static str {
        match self {
            BadReason::InvalidJson => "write each record as one JSON object on a line of its own",
            BadReason::InvalidUtf8 => "have the producer write UTF-8",
            BadReason::TooDeep => "nest its objects and arrays less deeply",
            BadReason::MissingMember => "have the producer write the member",
            BadReason::WrongType => "write the member as the type that it should have",
            BadReason::EmptyId => "have the producer give the id or the name",
            BadReason::IdTooLong => "shorten eventId",
            BadReason::InvalidTimestamp => "write instants as RFC 3339 with an offset, e.g. 2026-01-05T09:30:00Z",
            BadReason::UnknownEventType => "write one of Exposure, Assignment, Outcome, AnalysisSignal and Error",
            BadReason::UnknownEnumValue => "write one of the values that the member may have",
            BadReason::UnsupportedSchemaVersion => "write the record in a schema version that is read, e.g. 1.0.0",
            BadReason::NonFiniteValue => "write a number that a double can hold",
            BadReason::FutureTimestamp => {
                "have the producer's clock set right; if the time is right, try the record again when it has come"
            }
            BadReason::LineTooLong => {
                "take the whole record from where it came from and make it shorter; only its beginning is here"
            }
        }
    }

    /// The reason of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<BadReason> {
        BadReason::ALL.iter().copied().find(|reason| reason.name() == name)
    }
}

impl std::fmt::Display for BadReason {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A line that is not a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadRecord {
    /// The line within the decoded bytes, from 0.
    pub line: u32,
    /// Where the line begins within the decoded bytes.
    pub offset: usize,
    /// The line as it came, without its end of line; of one that is too long only its beginning.
    pub raw: Vec<u8>,
    /// Why it is bad.
    pub reason: BadReason,
    /// A sentence that names the member or the place and shows what stood there.
    pub detail: String,
}

/// Why the line at hand is bad; the decoder adds where it is.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) reason: BadReason,
    pub(crate) detail: String,
}

impl Fault {
    /// Boxed, so that results on the hot path stay small.
    #[cold]
    pub(crate) fn new(reason: BadReason, detail: impl Into<String>) -> Box<Fault> {
        Box::new(Fault {
            reason,
            detail: detail.into(),
        })
    }
}

/// `text` cut to a length that fits into a sentence, control characters made visible.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 40;
    let mut short: String = text.chars().take(MOST).flat_map(char::escape_debug).collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_found_under_its_own_name_and_serialises_as_it() {
        for reason in BadReason::ALL {
            assert_eq!(BadReason::from_name(reason.name()), Some(*reason));
            assert_eq!(serde_json::to_string(reason).unwrap(), format!("\"{}\"", reason.name()));
        }
    }

    #[test]
    fn long_text_is_shortened_by_characters() {
        assert_eq!(shortened("né\n"), "né\\n");
        assert_eq!(shortened(&"é".repeat(41)), format!("{}…", "é".repeat(40)));
    }
}
