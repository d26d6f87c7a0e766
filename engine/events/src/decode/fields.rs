//! What the members of a line mean: each value judged by the type it should have.

use std::cell::Cell;

use crate::bad::{BadReason, Fault, shortened};
use crate::decode::members::Member;
use crate::decode::number;
use crate::decode::record::{Kind, RecordScanner, Slot, UnknownMember, ordinal};
use crate::decode::scan::unescape;
use crate::instant::{self, DateCache};
use crate::kinds::WireEnum;
use crate::{EventTime, EventType, MAX_EVENT_ID_CHARACTERS};

pub(crate) type Judged<T> = Result<T, Box<Fault>>;

/// The line that was scanned last, seen by its members.
#[derive(Clone, Copy)]
pub(crate) struct Record<'a> {
    text: &'a str,
    scanner: &'a RecordScanner,
}

impl<'a> Record<'a> {
    pub(crate) fn new(text: &'a str, scanner: &'a RecordScanner) -> Record<'a> {
        Record { text, scanner }
    }

    /// The members without meaning, of the envelope and of the payload.
    pub(crate) fn unknown(&self) -> (&'a [UnknownMember], &'a [UnknownMember]) {
        (&self.scanner.unknown_envelope, &self.scanner.unknown_payload)
    }

    pub(crate) fn block(&self) -> &'a str {
        self.text
    }

    fn dates(&self) -> &'a Cell<DateCache> {
        &self.scanner.dates
    }

    #[inline(always)]
    fn slot_text(&self, slot: Slot) -> &'a str {
        let source = if slot.kind == Kind::Unescaped {
            self.scanner.scratch.as_str()
        } else {
            self.text
        };
        source.get(slot.start as usize..slot.end as usize).unwrap_or_default()
    }

    /// The value of a member; `None` where it is absent or null.
    #[inline(always)]
    fn present(&self, member: Member) -> Option<Slot> {
        self.scanner.slot(member).filter(|slot| slot.kind != Kind::Null)
    }

    /// A text as it came.
    #[inline(always)]
    pub(crate) fn text(&self, member: Member) -> Judged<Option<&'a str>> {
        match self.present(member) {
            None => Ok(None),
            Some(slot) if matches!(slot.kind, Kind::Text | Kind::Unescaped) => Ok(Some(self.slot_text(slot))),
            Some(slot) => self.wrong_type(member, slot, "a text"),
        }
    }

    /// An id or name that may be missing: null, absent and empty are one.
    #[inline(always)]
    pub(crate) fn name_or_null(&self, member: Member) -> Judged<Option<&'a str>> {
        Ok(self.text(member)?.filter(|name| !name.is_empty()))
    }

    /// An id or name that must be there.
    #[inline(always)]
    pub(crate) fn name(&self, member: Member) -> Judged<&'a str> {
        match self.text(member)? {
            Some("") => Err(Fault::new(
                BadReason::EmptyId,
                format!(
                    "the member {} is empty; give it a text of at least one character",
                    member.path()
                ),
            )),
            Some(name) => Ok(name),
            None => missing(member),
        }
    }

    /// A text that must be there and may be empty.
    pub(crate) fn required_text(&self, member: Member) -> Judged<&'a str> {
        self.text(member)?.map_or_else(|| missing(member), Ok)
    }

    /// An event id: a name of bounded length.
    #[inline(always)]
    pub(crate) fn event_id(&self) -> Judged<&'a str> {
        let id = self.name(Member::EventId)?;
        if id.len() > MAX_EVENT_ID_CHARACTERS {
            let characters = id.chars().count();
            if characters > MAX_EVENT_ID_CHARACTERS {
                return Err(Fault::new(
                    BadReason::IdTooLong,
                    format!(
                        "the member eventId has {characters} characters, more than {MAX_EVENT_ID_CHARACTERS}: {}",
                        shortened(id)
                    ),
                ));
            }
        }
        Ok(id)
    }

    /// An instant in microseconds.
    #[inline(always)]
    pub(crate) fn time_or_null(&self, member: Member) -> Judged<Option<i64>> {
        match self.present(member) {
            None => Ok(None),
            Some(slot) if matches!(slot.kind, Kind::Text | Kind::Unescaped) => {
                let mut dates = self.dates().get();
                let text = self.slot_text(slot);
                let micros = instant::parse(text.as_bytes(), &mut dates);
                self.dates().set(dates);
                match micros {
                    Some(micros) => Ok(Some(micros)),
                    None => Err(Fault::new(
                        BadReason::InvalidTimestamp,
                        format!(
                            "the member {} is not an RFC 3339 instant with offset, as 2026-01-05T09:30:00Z is: \"{}\"",
                            member.path(),
                            shortened(text)
                        ),
                    )),
                }
            }
            Some(slot) => self.wrong_type(member, slot, "an RFC 3339 text"),
        }
    }

    /// An instant that must be there, in microseconds.
    #[inline(always)]
    pub(crate) fn time(&self, member: Member) -> Judged<i64> {
        self.time_or_null(member)?.map_or_else(|| missing(member), Ok)
    }

    /// An enumeration's value, by name in any case or by ordinal.
    #[inline(always)]
    pub(crate) fn choice<E: WireEnum>(&self, member: Member) -> Judged<Option<E>> {
        let Some(slot) = self.present(member) else {
            return Ok(None);
        };
        let text = self.slot_text(slot);
        let choice = match slot.kind {
            Kind::Text | Kind::Unescaped => E::of_name(text.as_bytes()),
            Kind::Number => ordinal(text.as_bytes()).and_then(E::of_ordinal),
            _ => return self.wrong_type(member, slot, "a name or an ordinal"),
        };
        match choice {
            Some(choice) => Ok(Some(choice)),
            None => Err(Fault::new(BadReason::UnknownEnumValue, not_a_choice::<E>(member, text))),
        }
    }

    /// The event type.
    pub(crate) fn event_type(&self) -> Judged<EventType> {
        if let Some(event_type) = self.scanner.event_type() {
            return Ok(event_type);
        }
        match self.choice::<EventType>(Member::EventType) {
            Ok(Some(event_type)) => Ok(event_type),
            Ok(None) => missing(Member::EventType),
            Err(fault) if fault.reason == BadReason::UnknownEnumValue => Err(Box::new(Fault {
                reason: BadReason::UnknownEventType,
                ..*fault
            })),
            Err(fault) => Err(fault),
        }
    }

    /// A schema version this engine speaks.
    #[inline(always)]
    pub(crate) fn schema_version(&self) -> Judged<&'a str> {
        match self.text(Member::SchemaVersion)? {
            Some(version) if version == "1.0.0" || is_version_1(version) => Ok(version),
            Some(version) => Err(Fault::new(
                BadReason::UnsupportedSchemaVersion,
                format!(
                    "the member schemaVersion is not of the form 1.MINOR.PATCH, which is what this engine reads: \"{}\"",
                    shortened(version)
                ),
            )),
            None => missing(Member::SchemaVersion),
        }
    }

    /// Whether the payload is there and an object.
    pub(crate) fn require_payload(&self) -> Judged<()> {
        match self.present(Member::Payload) {
            Some(Slot { kind: Kind::Object, .. }) => Ok(()),
            Some(slot) => self.wrong_type(Member::Payload, slot, "an object"),
            None => missing(Member::Payload),
        }
    }

    pub(crate) fn flag(&self, member: Member) -> Judged<Option<bool>> {
        match self.present(member) {
            None => Ok(None),
            Some(Slot { kind: Kind::True, .. }) => Ok(Some(true)),
            Some(Slot { kind: Kind::False, .. }) => Ok(Some(false)),
            Some(slot) => self.wrong_type(member, slot, "true or false"),
        }
    }

    /// A finite number that must be there.
    #[inline(always)]
    pub(crate) fn number(&self, member: Member) -> Judged<f64> {
        let Some(slot) = self.present(member) else {
            return missing(member);
        };
        let text = self.slot_text(slot);
        let names_no_number = || {
            ["nan", "infinity", "-infinity"]
                .iter()
                .any(|name| text.eq_ignore_ascii_case(name))
        };
        match slot.kind {
            Kind::Number => {
                let value = number::parse(text);
                if value.is_finite() {
                    Ok(value)
                } else {
                    not_finite(member, text)
                }
            }
            Kind::Text if names_no_number() => not_finite(member, text),
            _ => self.wrong_type(member, slot, "a number"),
        }
    }

    /// The JSON text of an object.
    #[inline(always)]
    pub(crate) fn object(&self, member: Member) -> Judged<Option<&'a str>> {
        match self.present(member) {
            None => Ok(None),
            Some(slot) if slot.kind == Kind::Object => Ok(Some(self.slot_text(slot))),
            Some(slot) => self.wrong_type(member, slot, "an object"),
        }
    }

    #[cold]
    fn wrong_type<T>(&self, member: Member, slot: Slot, expected: &str) -> Judged<T> {
        let found = match slot.kind {
            Kind::Text | Kind::Unescaped => "a text",
            Kind::Number => "a number",
            Kind::True | Kind::False => "a boolean",
            Kind::Null => "null",
            Kind::Object => "an object",
            Kind::Array => "an array",
        };
        let text = shortened(self.slot_text(slot));
        Err(Fault::new(
            BadReason::WrongType,
            format!(
                "the member {} is {found} where {expected} belongs: {text}",
                member.path()
            ),
        ))
    }
}

#[cold]
pub(crate) fn missing<T>(member: Member) -> Judged<T> {
    Err(Fault::new(
        BadReason::MissingMember,
        format!(
            "the member {} is missing or null; the record cannot be used without it",
            member.path()
        ),
    ))
}

#[cold]
fn not_finite<T>(member: Member, text: &str) -> Judged<T> {
    Err(Fault::new(
        BadReason::NonFiniteValue,
        format!(
            "the member {} is not a finite double: {}",
            member.path(),
            shortened(text)
        ),
    ))
}

#[cold]
fn not_a_choice<E: WireEnum>(member: Member, text: &str) -> String {
    let names: Vec<&str> = E::all().iter().map(|value| value.wire_name()).collect();
    format!(
        "the member {} is none of {}: {}",
        member.path(),
        names.join(", "),
        shortened(text)
    )
}

/// Three whole numbers with dots between, the first one 1.
fn is_version_1(version: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let mut parts = version.split('.');
    parts.next() == Some("1")
        && parts.next().is_some_and(is_number)
        && parts.next().is_some_and(is_number)
        && parts.next().is_none()
}

/// The unescaped name of an unknown member.
pub(crate) fn unknown_name(text: &str, member: &UnknownMember) -> String {
    let content = text
        .get(member.start as usize + 1..member.name_end as usize)
        .unwrap_or_default();
    let mut name = String::new();
    if member.name_has_escapes {
        unescape(content, &mut name);
    } else {
        name.push_str(content);
    }
    name
}

/// The instant in a JSON text member, or `None` where it is no instant.
pub(crate) fn instant_of(text: &str) -> Option<i64> {
    EventTime::from_rfc3339(text).map(|time| time.0)
}
