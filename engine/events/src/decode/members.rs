//! The members of the envelope and of each payload, and the guess which of them comes next.
//!
//! A producer writes its members in one order. So after each member the one that followed it last time is tried first, by comparing
//! whole words; only where that fails is the name looked for.

use crate::EventType;

/// A member that has a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Member {
    EventId,
    Timestamp,
    EventType,
    SchemaVersion,
    Payload,
    CorrelationId,
    Metadata,
    // from here on members of payloads
    ExperimentName,
    VariantKey,
    SubjectId,
    SubjectType,
    TenantId,
    PayloadTimestamp,
    SelectionReason,
    RulePath,
    AssignmentPolicy,
    IsRepeatExposure,
    Attributes,
    PreviousVariantKey,
    NewVariantKey,
    ChangeReason,
    OutcomeId,
    OutcomeType,
    MetricName,
    Value,
    PayloadMetadata,
    SignalType,
    Severity,
    Message,
    Data,
    ErrorType,
    StackTrace,
}

/// How many slots all members need; a power of two, so that an index can be masked instead of checked.
pub(crate) const MEMBERS: usize = 32;

/// The members of the envelope as bits.
pub(crate) const ENVELOPE_MASK: u64 = (1 << Member::ExperimentName as u64) - 1;

impl Member {
    /// The name as a person finds it in the record.
    pub(crate) fn path(self) -> String {
        let all = Object::ALL
            .iter()
            .flat_map(|object| object.members().iter().map(move |entry| (*object, entry)));
        let found = all.into_iter().find(|(_, (_, member))| *member == self);
        match found {
            Some((Object::Envelope, (name, _))) => (*name).to_owned(),
            Some((_, (name, _))) => format!("payload.{name}"),
            None => String::new(),
        }
    }
}

/// An object of a record whose members are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Object {
    Exposure,
    Assignment,
    Outcome,
    AnalysisSignal,
    Error,
    Envelope,
}

impl Object {
    pub(crate) const ALL: &'static [Object] = &[
        Object::Exposure,
        Object::Assignment,
        Object::Outcome,
        Object::AnalysisSignal,
        Object::Error,
        Object::Envelope,
    ];

    pub(crate) fn payload_of(event_type: EventType) -> Object {
        match event_type {
            EventType::Exposure => Object::Exposure,
            EventType::Assignment => Object::Assignment,
            EventType::Outcome => Object::Outcome,
            EventType::AnalysisSignal => Object::AnalysisSignal,
            EventType::Error => Object::Error,
        }
    }

    /// The members by their camelCase names, in canonical order, aliases last.
    pub(crate) fn members(self) -> &'static [(&'static str, Member)] {
        match self {
            Object::Envelope => &[
                ("eventId", Member::EventId),
                ("timestamp", Member::Timestamp),
                ("eventType", Member::EventType),
                ("schemaVersion", Member::SchemaVersion),
                ("payload", Member::Payload),
                ("correlationId", Member::CorrelationId),
                ("metadata", Member::Metadata),
            ],
            Object::Exposure => &[
                ("experimentName", Member::ExperimentName),
                ("variantKey", Member::VariantKey),
                ("subjectId", Member::SubjectId),
                ("subjectType", Member::SubjectType),
                ("tenantId", Member::TenantId),
                ("timestamp", Member::PayloadTimestamp),
                ("selectionReason", Member::SelectionReason),
                ("rulePath", Member::RulePath),
                ("assignmentPolicy", Member::AssignmentPolicy),
                ("isRepeatExposure", Member::IsRepeatExposure),
                ("attributes", Member::Attributes),
            ],
            Object::Assignment => &[
                ("experimentName", Member::ExperimentName),
                ("subjectId", Member::SubjectId),
                ("previousVariantKey", Member::PreviousVariantKey),
                ("newVariantKey", Member::NewVariantKey),
                ("timestamp", Member::PayloadTimestamp),
                ("changeReason", Member::ChangeReason),
                ("assignmentPolicy", Member::AssignmentPolicy),
                ("tenantId", Member::TenantId),
                ("attributes", Member::Attributes),
            ],
            Object::Outcome => &[
                ("id", Member::OutcomeId),
                ("experimentName", Member::ExperimentName),
                ("variantKey", Member::VariantKey),
                ("subjectId", Member::SubjectId),
                ("tenantId", Member::TenantId),
                ("outcomeType", Member::OutcomeType),
                ("metricName", Member::MetricName),
                ("value", Member::Value),
                ("timestamp", Member::PayloadTimestamp),
                ("metadata", Member::PayloadMetadata),
                ("trialKey", Member::VariantKey),
            ],
            Object::AnalysisSignal => &[
                ("experimentName", Member::ExperimentName),
                ("signalType", Member::SignalType),
                ("severity", Member::Severity),
                ("timestamp", Member::PayloadTimestamp),
                ("message", Member::Message),
                ("data", Member::Data),
            ],
            Object::Error => &[
                ("experimentName", Member::ExperimentName),
                ("variantKey", Member::VariantKey),
                ("subjectId", Member::SubjectId),
                ("tenantId", Member::TenantId),
                ("timestamp", Member::PayloadTimestamp),
                ("errorType", Member::ErrorType),
                ("message", Member::Message),
                ("stackTrace", Member::StackTrace),
                ("attributes", Member::Attributes),
            ],
        }
    }
}

/// The longest quoted name with its colon that is compared at once: three words.
const WIDEST: usize = 24;
/// More than the spellings of any object; a power of two, so that an index can be masked instead of checked.
const SPELLINGS: usize = 32;
/// The place before the first member.
pub(crate) const START: u8 = (SPELLINGS - 1) as u8;

/// One spelling of a member name, with its quotes and colon, as words to compare.
#[derive(Debug, Clone, Copy)]
struct Spelling {
    words: [u64; 3],
    masks: [u64; 3],
    length: u8,
    member: Member,
}

impl Spelling {
    /// Matches nothing: no UTF-8 text has a byte 0xFF.
    const NONE: Spelling = Spelling {
        words: [u64::MAX; 3],
        masks: [u64::MAX; 3],
        length: 0,
        member: Member::Payload,
    };

    fn new(name: &str, member: Member) -> Spelling {
        let quoted = format!("\"{name}\":");
        let mut text = [0; WIDEST];
        let mut mask = [0; WIDEST];
        for ((text, mask), byte) in text.iter_mut().zip(&mut mask).zip(quoted.bytes()) {
            *text = byte;
            *mask = 0xff;
        }
        if quoted.len() > WIDEST {
            return Spelling::NONE;
        }
        Spelling {
            words: words(&text),
            masks: words(&mask),
            length: quoted.len() as u8,
            member,
        }
    }

    #[inline(always)]
    fn matches(&self, text: &[u8; WIDEST]) -> bool {
        let found = words(text);
        let differing = ((found[0] ^ self.words[0]) & self.masks[0])
            | ((found[1] ^ self.words[1]) & self.masks[1])
            | ((found[2] ^ self.words[2]) & self.masks[2]);
        differing == 0
    }
}

#[inline(always)]
fn words(text: &[u8; WIDEST]) -> [u64; 3] {
    let (chunks, _) = text.as_chunks::<8>();
    let word = |index: usize| chunks.get(index).map_or(0, |chunk| u64::from_le_bytes(*chunk));
    [word(0), word(1), word(2)]
}

/// The spellings of one object's members, camelCase and PascalCase, and which one followed which.
#[derive(Debug)]
struct ObjectNames {
    spellings: [Spelling; SPELLINGS],
    names: Vec<(String, Member)>,
    /// By the spelling before.
    next: [u8; SPELLINGS],
}

impl ObjectNames {
    fn new(object: Object) -> ObjectNames {
        let camel = object
            .members()
            .iter()
            .map(|(name, member)| ((*name).to_owned(), *member));
        let pascal = object
            .members()
            .iter()
            .map(|(name, member)| (pascal_case(name), *member));
        let names: Vec<(String, Member)> = camel.chain(pascal).collect();
        let mut spellings = [Spelling::NONE; SPELLINGS];
        for (spelling, (name, member)) in spellings.iter_mut().zip(&names) {
            *spelling = Spelling::new(name, *member);
        }
        // Until a producer has shown its order: the canonical one.
        let mut next = [0; SPELLINGS];
        for (index, next) in (1..).zip(next.iter_mut().take(names.len())) {
            *next = index;
        }
        ObjectNames { spellings, names, next }
    }
}

fn pascal_case(name: &str) -> String {
    let mut letters = name.chars();
    letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .chain(letters)
        .collect()
}

/// The member names of every object.
#[derive(Debug)]
pub(crate) struct MemberNames {
    objects: [ObjectNames; 6],
}

impl MemberNames {
    pub(crate) fn new() -> MemberNames {
        // in the order of the discriminants
        MemberNames {
            objects: [
                Object::Exposure,
                Object::Assignment,
                Object::Outcome,
                Object::AnalysisSignal,
                Object::Error,
                Object::Envelope,
            ]
            .map(ObjectNames::new),
        }
    }

    /// The member whose quoted name stands at `pos` with its colon, if it is the one that is expected after the spelling `last`:
    /// itself, its spelling, and the position behind the colon.
    #[inline(always)]
    pub(crate) fn expected(&self, object: Object, last: u8, bytes: &[u8], pos: usize) -> Option<(Member, u8, usize)> {
        let text = bytes.get(pos..)?.first_chunk::<WIDEST>()?;
        let names = &self.objects[object as usize];
        let next = names.next[usize::from(last) % SPELLINGS];
        let spelling = &names.spellings[usize::from(next) % SPELLINGS];
        spelling
            .matches(text)
            .then(|| (spelling.member, next, pos + usize::from(spelling.length)))
    }

    /// The member of this name with its spelling, which from now on is expected after `last`.
    pub(crate) fn find(&mut self, object: Object, last: u8, name: &str) -> Option<(Member, u8)> {
        let names = &mut self.objects[object as usize];
        let (index, (_, member)) = (0..).zip(&names.names).find(|(_, (known, _))| known == name)?;
        names.next[usize::from(last) % SPELLINGS] = index;
        Some((*member, index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_fits_into_the_words_that_are_compared() {
        for object in Object::ALL {
            let names = ObjectNames::new(*object);
            assert!(names.names.len() < usize::from(START));
            for ((name, member), spelling) in names.names.iter().zip(&names.spellings) {
                assert!((*member as usize) < MEMBERS);
                assert_eq!(usize::from(spelling.length), name.len() + 3, "{name}");
            }
        }
    }

    #[test]
    fn the_order_of_a_producer_is_learned() {
        let mut names = MemberNames::new();
        let line = br#""VariantKey":"b","ExperimentName":"a"                 "#;
        assert_eq!(names.expected(Object::Exposure, START, line, 0), None);
        let (member, spelling) = names.find(Object::Exposure, START, "VariantKey").unwrap();
        assert_eq!(member, Member::VariantKey);
        assert_eq!(
            names.expected(Object::Exposure, START, line, 0),
            Some((member, spelling, 13))
        );
        assert_eq!(names.find(Object::Exposure, START, "variantkey"), None);
    }

    #[test]
    fn a_member_is_named_with_the_object_it_is_in() {
        assert_eq!(Member::Timestamp.path(), "timestamp");
        assert_eq!(Member::PayloadTimestamp.path(), "payload.timestamp");
        assert_eq!(Member::PayloadMetadata.path(), "payload.metadata");
    }
}
