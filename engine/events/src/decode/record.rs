//! One line to the places of its members: the syntax of a record.
//!
//! Nothing is copied but text with escapes. What the values mean is judged afterwards (`fields.rs`), when the whole line is known to be
//! JSON: so the order of members does not matter, and of members that come twice the last counts.

use std::cell::Cell;

use crate::EventType;
use crate::decode::members::{ENVELOPE_MASK, MEMBERS, Member, MemberNames, Object, START};
use crate::decode::scan::{
    Scan, SyntaxKind, byte_at, colon_end, container_end, fail, literal_end, plain_string_end, skip_space, string_end,
    unescape, value_end,
};
use crate::instant::DateCache;

/// What kind of JSON a member's value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Text in the block, without escapes.
    Text,
    /// Text in the scratch buffer, its escapes resolved.
    Unescaped,
    Number,
    True,
    False,
    Null,
    Object,
    Array,
}

/// Where a value is: for text without its quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) start: u32,
    pub(crate) end: u32,
    pub(crate) kind: Kind,
}

/// A member that has no meaning to the engine and is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UnknownMember {
    /// Where the quoted name begins.
    pub(crate) start: u32,
    /// The closing quote of the name.
    pub(crate) name_end: u32,
    /// Where the value ends.
    pub(crate) end: u32,
    pub(crate) name_has_escapes: bool,
}

/// Reads one line after the other; what it holds is of the line that was read last.
#[derive(Debug)]
pub(crate) struct RecordScanner {
    names: MemberNames,
    pub(crate) slots: [Slot; MEMBERS],
    /// A bit for each member that the line has.
    pub(crate) present: u64,
    pub(crate) scratch: String,
    pub(crate) unknown_envelope: Vec<UnknownMember>,
    pub(crate) unknown_payload: Vec<UnknownMember>,
    /// As whose payload the payload was read.
    payload_read_as: Option<EventType>,
    /// The event type, and of which value it was read: asked for more than once, judged once.
    event_type: Option<EventType>,
    event_type_of: Option<Slot>,
    pub(crate) dates: Cell<DateCache>,
}

impl RecordScanner {
    pub(crate) fn new() -> RecordScanner {
        RecordScanner {
            names: MemberNames::new(),
            slots: [Slot {
                start: 0,
                end: 0,
                kind: Kind::Null,
            }; MEMBERS],
            present: 0,
            scratch: String::new(),
            unknown_envelope: Vec::new(),
            unknown_payload: Vec::new(),
            payload_read_as: None,
            event_type: None,
            event_type_of: None,
            dates: Cell::default(),
        }
    }

    /// Reads the record that begins at `pos`; gives the end of its line.
    pub(crate) fn scan(&mut self, text: &str, pos: usize) -> Scan<usize> {
        self.present = 0;
        self.scratch.clear();
        self.unknown_envelope.clear();
        self.unknown_payload.clear();
        self.payload_read_as = None;
        self.event_type_of = None;
        let bytes = text.as_bytes();
        if byte_at(bytes, pos) != b'{' {
            return fail(SyntaxKind::Expected("an object"), pos);
        }
        let end = self.scan_object(text, pos, Object::Envelope)?;
        let end = skip_space(bytes, end);
        if byte_at(bytes, end) != b'\n' {
            return fail(SyntaxKind::Expected("the end of the line"), end);
        }
        self.settle_payload(text)?;
        Ok(end)
    }

    pub(crate) fn slot(&self, member: Member) -> Option<Slot> {
        let index = member as usize % MEMBERS;
        (self.present >> index & 1 == 1).then_some(self.slots[index])
    }

    /// The position behind the object that opens at `open`.
    fn scan_object(&mut self, text: &str, open: usize, object: Object) -> Scan<usize> {
        let bytes = text.as_bytes();
        let mut pos = skip_space(bytes, open + 1);
        if byte_at(bytes, pos) == b'}' {
            return Ok(pos + 1);
        }
        let mut last = START;
        loop {
            let name = pos;
            if let Some((member, spelling, end)) = self.names.expected(object, last, bytes, pos) {
                last = spelling;
                pos = self.scan_member(text, skip_space(bytes, end), member)?;
            } else {
                pos = self.scan_unexpected(text, name, object, &mut last)?;
            }
            pos = skip_space(bytes, pos);
            match byte_at(bytes, pos) {
                b',' => pos = skip_space(bytes, pos + 1),
                b'}' => return Ok(pos + 1),
                _ => return fail(SyntaxKind::Expected("',' or '}'"), pos),
            }
        }
    }

    /// A member that is not the expected one: another, or an unknown one.
    fn scan_unexpected(&mut self, text: &str, name: usize, object: Object, last: &mut u8) -> Scan<usize> {
        let bytes = text.as_bytes();
        if byte_at(bytes, name) != b'"' {
            return fail(SyntaxKind::Expected("a member name"), name);
        }
        let (name_end, name_has_escapes) = string_end(bytes, name + 1)?;
        let value = colon_end(bytes, name_end + 1)?;
        let content = text.get(name + 1..name_end).unwrap_or_default();
        let known = if name_has_escapes {
            let mut unescaped = String::new();
            unescape(content, &mut unescaped);
            self.names.find(object, *last, &unescaped)
        } else {
            self.names.find(object, *last, content)
        };
        if let Some((member, spelling)) = known {
            *last = spelling;
            return self.scan_member(text, value, member);
        }
        let (depth, unknown) = match object {
            Object::Envelope => (1, &mut self.unknown_envelope),
            _ => (2, &mut self.unknown_payload),
        };
        let end = value_end(bytes, value, depth)?;
        unknown.push(UnknownMember {
            start: name as u32,
            name_end: name_end as u32,
            end: end as u32,
            name_has_escapes,
        });
        Ok(end)
    }

    /// Notes where the value of a member is; gives the position behind it.
    #[inline(always)]
    fn scan_member(&mut self, text: &str, pos: usize, member: Member) -> Scan<usize> {
        let bytes = text.as_bytes();
        let (slot, end) = match byte_at(bytes, pos) {
            b'"' => match plain_string_end(bytes, pos + 1) {
                Some(end) => (slot(pos + 1, end, Kind::Text), end + 1),
                None => self.scan_escaped(text, pos + 1)?,
            },
            b'{' if member == Member::Payload => {
                let end = self.scan_payload(text, pos)?;
                (slot(pos, end, Kind::Object), end)
            }
            b'{' => {
                let end = container_end(bytes, pos, depth_of(member))?;
                (slot(pos, end, Kind::Object), end)
            }
            b'n' => (slot(pos, pos, Kind::Null), literal_end(bytes, pos, "null")?),
            b't' => (slot(pos, pos + 4, Kind::True), literal_end(bytes, pos, "true")?),
            b'f' => (slot(pos, pos + 5, Kind::False), literal_end(bytes, pos, "false")?),
            b'[' => {
                let end = container_end(bytes, pos, depth_of(member))?;
                (slot(pos, end, Kind::Array), end)
            }
            _ => {
                let end = value_end(bytes, pos, 0)?;
                (slot(pos, end, Kind::Number), end)
            }
        };
        let index = member as usize % MEMBERS;
        self.slots[index] = slot;
        self.present |= 1 << index;
        Ok(end)
    }

    /// Text with escapes (or without end) whose content begins at `start`.
    #[cold]
    fn scan_escaped(&mut self, text: &str, start: usize) -> Scan<(Slot, usize)> {
        let (end, _) = string_end(text.as_bytes(), start)?;
        let from = self.scratch.len();
        unescape(text.get(start..end).unwrap_or_default(), &mut self.scratch);
        Ok((slot(from, self.scratch.len(), Kind::Unescaped), end + 1))
    }

    /// Reads the payload's members if the event type is known by now, else only finds its end.
    fn scan_payload(&mut self, text: &str, pos: usize) -> Scan<usize> {
        self.present &= ENVELOPE_MASK;
        self.unknown_payload.clear();
        self.payload_read_as = self.judge_event_type(text);
        match self.payload_read_as {
            Some(event_type) => self.scan_object(text, pos, Object::payload_of(event_type)),
            None => container_end(text.as_bytes(), pos, 1),
        }
    }

    /// Reads the payload once more where the event type became known, or another, after it.
    fn settle_payload(&mut self, text: &str) -> Scan<()> {
        let event_type = self.judge_event_type(text);
        if event_type == self.payload_read_as {
            return Ok(());
        }
        match self.slot(Member::Payload) {
            Some(Slot {
                start,
                kind: Kind::Object,
                ..
            }) => self.scan_payload(text, start as usize).map(|_| ()),
            _ => Ok(()),
        }
    }

    /// The event type as far as the line was read.
    fn judge_event_type(&mut self, text: &str) -> Option<EventType> {
        let slot = self.slot(Member::EventType);
        if slot.is_none() || slot != self.event_type_of {
            self.event_type_of = slot;
            self.event_type = slot.and_then(|slot| self.event_type_at(text, slot));
        }
        self.event_type
    }

    fn event_type_at(&self, text: &str, slot: Slot) -> Option<EventType> {
        match slot.kind {
            Kind::Text => EventType::from_name(slot_bytes(text, slot)),
            Kind::Unescaped => EventType::from_name(slot_bytes(&self.scratch, slot)),
            Kind::Number => EventType::from_ordinal(ordinal(slot_bytes(text, slot))?),
            _ => None,
        }
    }

    /// The event type of the line that was read; `None` where it has none of the five.
    pub(crate) fn event_type(&self) -> Option<EventType> {
        self.event_type
    }
}

/// How many objects a member's value stands in.
fn depth_of(member: Member) -> usize {
    if 1_u64 << member as u64 & ENVELOPE_MASK == 0 {
        2
    } else {
        1
    }
}

#[inline(always)]
fn slot(start: usize, end: usize, kind: Kind) -> Slot {
    // A block is at most 2 GiB (MAX_BLOCK_BYTES).
    Slot {
        start: start as u32,
        end: end as u32,
        kind,
    }
}

#[inline(always)]
fn slot_bytes(text: &str, slot: Slot) -> &[u8] {
    text.as_bytes()
        .get(slot.start as usize..slot.end as usize)
        .unwrap_or_default()
}

/// The number of an enumeration's value: a whole number in plain digits.
pub(crate) fn ordinal(number: &[u8]) -> Option<u64> {
    match number {
        [digit] => Some(u64::from(digit.wrapping_sub(b'0'))),
        _ => std::str::from_utf8(number).ok()?.parse().ok(),
    }
}
