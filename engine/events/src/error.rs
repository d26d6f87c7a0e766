//! What can go wrong when events are written.

/// Why a row or an envelope cannot be written as JSON. All of these are faults of the data or of the caller; none passes by itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// The batch is not one of this event type.
    #[error(
        "the batch has no column '{column}' of texts, numbers or instants as its event table has; pass a batch of that table"
    )]
    NotThisTable {
        /// The column that is missing or of another type.
        column: &'static str,
    },
    /// A column that may not be null is null.
    #[error("the column '{column}' is null in row {row}, which its event table does not allow")]
    MissingValue {
        /// The column.
        column: &'static str,
        /// The row.
        row: usize,
    },
    /// The row is not in the batch.
    #[error("row {row} is not among the {rows} rows of the batch")]
    NoSuchRow {
        /// The row that was asked for.
        row: usize,
        /// How many there are.
        rows: usize,
    },
    /// A column of an enumeration holds another text.
    #[error("the column '{column}' holds '{value}', which is none of its values")]
    UnknownEnumValue {
        /// The column.
        column: &'static str,
        /// The text.
        value: String,
    },
    /// An instant has no RFC 3339 text.
    #[error("the instant of '{member}' is outside the years 0000 to 9999 that RFC 3339 can write")]
    InstantOutOfRange {
        /// The member.
        member: &'static str,
    },
    /// A number is infinite or not a number.
    #[error("'{member}' is not a finite number, and JSON has no other")]
    NonFiniteNumber {
        /// The member.
        member: &'static str,
    },
    /// A text that should be a JSON object in one line is not.
    #[error("'{member}' is not the text of one JSON object in one line: {text}")]
    NotAnObject {
        /// The member.
        member: &'static str,
        /// The beginning of the text.
        text: String,
    },
}
