//! One record before it is written out: 40 bytes, whatever the text will be.

/// No experiment, no subject that was ever exposed, and the like.
pub(crate) const NO_EXPERIMENT: u16 = u16::MAX;

/// Subjects from here on are never exposed.
pub(crate) const STRANGERS: u32 = 1 << 31;

/// What a line holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Exposure,
    Assignment,
    Outcome,
    Signal,
    Error,
    /// A line that no reader accepts.
    Bad,
}

/// One line of the stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Record {
    /// When it comes, in microseconds since the start of the stream; the order of the lines.
    pub arrival: i64,
    /// Its event time, in microseconds since 1970.
    pub time: i64,
    /// Numbers the event; both deliveries of a duplicate share it.
    pub id: u32,
    pub subject: u32,
    /// The value of an outcome, in hundredths.
    pub cents: i64,
    pub experiment: u16,
    pub partition: u16,
    pub variant: u8,
    pub metric: u8,
    pub kind: Kind,
    /// An exposure after the first of its subject.
    pub repeat: bool,
    /// One of several deliveries.
    pub copied: bool,
}
