//! Envelopes to JSON.

use arrow::array::RecordBatch;

use crate::bad::shortened;
use crate::decode::{is_object, members_of};
use crate::kinds::WireEnum;
use crate::{
    AnalysisSignal, Assignment, Envelope, ErrorEvent, EventTime, EventType, EventsError, Exposure, Outcome, Payload,
    instant,
};

/// How enumerations are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum EnumSpelling {
    /// As their names.
    #[default]
    Names,
    /// As their ordinals, which is what the .NET data plane writes and reads.
    Ordinals,
}

/// Writes envelopes as JSON: camelCase, in the order of the schema, members without value left out, instants in UTC with `Z`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Encoder {
    enums: EnumSpelling,
}

impl Encoder {
    /// An encoder that writes the names of enumerations.
    #[must_use]
    pub fn new() -> Encoder {
        Encoder::default()
    }

    /// The same encoder with another spelling of enumerations.
    #[must_use]
    pub fn with_enums(self, enums: EnumSpelling) -> Encoder {
        Encoder { enums }
    }

    /// Appends the envelope in this row of a batch of the event type's table, without an end of line.
    ///
    /// # Errors
    /// [`EventsError`] where the batch is not one of that table, or a value has no JSON text. Then nothing is appended.
    pub fn encode_row(
        &self,
        event_type: EventType,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), EventsError> {
        self.encode(&Envelope::borrow_row(event_type, batch, row)?, out)
    }

    /// Appends an envelope, without an end of line.
    ///
    /// # Errors
    /// [`EventsError`] where a value has no JSON text. Then nothing is appended.
    pub fn encode<S: AsRef<str>>(&self, envelope: &Envelope<S>, out: &mut Vec<u8>) -> Result<(), EventsError> {
        let length = out.len();
        let written = self.write_envelope(envelope, out);
        if written.is_err() {
            out.truncate(length);
        }
        written
    }

    fn write_envelope<S: AsRef<str>>(&self, envelope: &Envelope<S>, out: &mut Vec<u8>) -> Result<(), EventsError> {
        let extra = Extra::of(envelope.extra.as_ref().map(AsRef::as_ref))?;
        let mut object = ObjectWriter::open(out, self.enums);
        object.text("eventId", envelope.event_id.as_ref());
        object.time("timestamp", envelope.timestamp)?;
        object.choice("eventType", envelope.event_type());
        object.text("schemaVersion", envelope.schema_version.as_ref());
        object.payload(&envelope.payload, extra.payload)?;
        object.text_or_null("correlationId", &envelope.correlation_id);
        object.object_or_null("metadata", &envelope.metadata)?;
        object.members(extra.envelope);
        object.close();
        Ok(())
    }
}

impl<S: AsRef<str>> Envelope<S> {
    /// Appends the envelope as canonical JSON, without an end of line.
    ///
    /// # Errors
    /// [`EventsError`] where a value has no JSON text. Then nothing is appended.
    pub fn write_json(&self, out: &mut Vec<u8>) -> Result<(), EventsError> {
        Encoder::new().encode(self, out)
    }
}

/// The members of `extra`, as they stand between the braces of their objects.
#[derive(Default)]
struct Extra<'a> {
    envelope: &'a str,
    payload: &'a str,
}

impl<'a> Extra<'a> {
    fn of(extra: Option<&'a str>) -> Result<Extra<'a>, EventsError> {
        let mut found = Extra::default();
        let Some(text) = extra else { return Ok(found) };
        let wrong = || EventsError::NotAnObject {
            member: "extra",
            text: shortened(text),
        };
        for member in members_of(text).map_err(|_| wrong())? {
            let inner = member
                .value
                .strip_prefix('{')
                .and_then(|value| value.strip_suffix('}'))
                .ok_or_else(wrong)?;
            match &*member.name {
                "envelope" => found.envelope = inner.trim(),
                "payload" => found.payload = inner.trim(),
                _ => return Err(wrong()),
            }
        }
        Ok(found)
    }
}

/// A JSON object being written.
struct ObjectWriter<'a> {
    out: &'a mut Vec<u8>,
    enums: EnumSpelling,
    separator: u8,
}

impl<'a> ObjectWriter<'a> {
    fn open(out: &'a mut Vec<u8>, enums: EnumSpelling) -> ObjectWriter<'a> {
        ObjectWriter {
            out,
            enums,
            separator: b'{',
        }
    }

    fn close(self) {
        if self.separator == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
    }

    fn name(&mut self, name: &'static str) {
        self.out.push(self.separator);
        self.separator = b',';
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, name: &'static str, text: &str) {
        self.name(name);
        write_text(text, self.out);
    }

    fn text_or_null<S: AsRef<str>>(&mut self, name: &'static str, text: &Option<S>) {
        if let Some(text) = text {
            self.text(name, text.as_ref());
        }
    }

    fn time(&mut self, name: &'static str, time: EventTime) -> Result<(), EventsError> {
        self.name(name);
        self.out.push(b'"');
        if !instant::write(time.0, self.out) {
            return Err(EventsError::InstantOutOfRange { member: name });
        }
        self.out.push(b'"');
        Ok(())
    }

    fn time_or_null(&mut self, name: &'static str, time: Option<EventTime>) -> Result<(), EventsError> {
        time.map_or(Ok(()), |time| self.time(name, time))
    }

    fn choice<E: WireEnum>(&mut self, name: &'static str, choice: E) {
        match self.enums {
            EnumSpelling::Names => self.text(name, choice.wire_name()),
            EnumSpelling::Ordinals => {
                self.name(name);
                // No enumeration has more than ten values.
                self.out.push(b'0' + choice.ordinal());
            }
        }
    }

    fn flag_or_null(&mut self, name: &'static str, flag: Option<bool>) {
        if let Some(flag) = flag {
            self.name(name);
            self.out.extend_from_slice(if flag { b"true" } else { b"false" });
        }
    }

    fn number(&mut self, name: &'static str, number: f64) -> Result<(), EventsError> {
        if !number.is_finite() {
            return Err(EventsError::NonFiniteNumber { member: name });
        }
        self.name(name);
        self.out
            .extend_from_slice(ryu::Buffer::new().format_finite(number).as_bytes());
        Ok(())
    }

    fn object_or_null<S: AsRef<str>>(&mut self, name: &'static str, json: &Option<S>) -> Result<(), EventsError> {
        let Some(json) = json else { return Ok(()) };
        let json = json.as_ref();
        if !is_object(json) {
            return Err(EventsError::NotAnObject {
                member: name,
                text: shortened(json),
            });
        }
        self.name(name);
        self.out.extend_from_slice(json.as_bytes());
        Ok(())
    }

    /// Members as they stand between braces.
    fn members(&mut self, members: &str) {
        if !members.is_empty() {
            self.out.push(self.separator);
            self.separator = b',';
            self.out.extend_from_slice(members.as_bytes());
        }
    }

    fn payload<S: AsRef<str>>(&mut self, payload: &Payload<S>, extra: &str) -> Result<(), EventsError> {
        self.name("payload");
        let mut object = ObjectWriter::open(self.out, self.enums);
        match payload {
            Payload::Exposure(exposure) => object.exposure(exposure)?,
            Payload::Assignment(assignment) => object.assignment(assignment)?,
            Payload::Outcome(outcome) => object.outcome(outcome)?,
            Payload::AnalysisSignal(signal) => object.signal(signal)?,
            Payload::Error(error) => object.error(error)?,
        }
        object.members(extra);
        object.close();
        Ok(())
    }

    fn exposure<S: AsRef<str>>(&mut self, exposure: &Exposure<S>) -> Result<(), EventsError> {
        self.text("experimentName", exposure.experiment.as_ref());
        self.text("variantKey", exposure.variant.as_ref());
        self.text("subjectId", exposure.subject_id.as_ref());
        self.text_or_null("subjectType", &exposure.subject_type);
        self.text_or_null("tenantId", &exposure.tenant_id);
        self.time_or_null("timestamp", exposure.timestamp)?;
        self.text_or_null("selectionReason", &exposure.selection_reason);
        self.text_or_null("rulePath", &exposure.rule_path);
        self.choice("assignmentPolicy", exposure.assignment_policy);
        self.flag_or_null("isRepeatExposure", exposure.is_repeat_exposure);
        self.object_or_null("attributes", &exposure.attributes)
    }

    fn assignment<S: AsRef<str>>(&mut self, assignment: &Assignment<S>) -> Result<(), EventsError> {
        self.text("experimentName", assignment.experiment.as_ref());
        self.text("subjectId", assignment.subject_id.as_ref());
        // At a first assignment empty rather than left out: the .NET data plane requires the member.
        self.text(
            "previousVariantKey",
            assignment.previous_variant.as_ref().map_or("", AsRef::as_ref),
        );
        self.text("newVariantKey", assignment.new_variant.as_ref());
        self.time_or_null("timestamp", assignment.timestamp)?;
        self.text_or_null("changeReason", &assignment.change_reason);
        self.choice("assignmentPolicy", assignment.assignment_policy);
        self.text_or_null("tenantId", &assignment.tenant_id);
        self.object_or_null("attributes", &assignment.attributes)
    }

    fn outcome<S: AsRef<str>>(&mut self, outcome: &Outcome<S>) -> Result<(), EventsError> {
        self.text_or_null("id", &outcome.id);
        self.text_or_null("experimentName", &outcome.experiment);
        self.text_or_null("variantKey", &outcome.variant);
        self.text("subjectId", outcome.subject_id.as_ref());
        self.text_or_null("tenantId", &outcome.tenant_id);
        self.choice("outcomeType", outcome.outcome_type);
        self.text("metricName", outcome.metric.as_ref());
        self.number("value", outcome.value)?;
        self.time_or_null("timestamp", outcome.timestamp)?;
        self.object_or_null("metadata", &outcome.metadata)
    }

    fn signal<S: AsRef<str>>(&mut self, signal: &AnalysisSignal<S>) -> Result<(), EventsError> {
        self.text("experimentName", signal.experiment.as_ref());
        self.choice("signalType", signal.signal_type);
        self.choice("severity", signal.severity);
        self.time_or_null("timestamp", signal.timestamp)?;
        self.text("message", signal.message.as_ref());
        self.object_or_null("data", &signal.data)
    }

    fn error<S: AsRef<str>>(&mut self, error: &ErrorEvent<S>) -> Result<(), EventsError> {
        self.text_or_null("experimentName", &error.experiment);
        self.text_or_null("variantKey", &error.variant);
        self.text_or_null("subjectId", &error.subject_id);
        self.text_or_null("tenantId", &error.tenant_id);
        self.time_or_null("timestamp", error.timestamp)?;
        self.text("errorType", error.error_type.as_ref());
        self.text("message", error.message.as_ref());
        self.text_or_null("stackTrace", &error.stack_trace);
        self.object_or_null("attributes", &error.attributes)
    }
}

/// Appends a text in quotes, with only the escapes that JSON demands.
fn write_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        let (plain, escaped) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, following)) = escaped.split_first() else {
            break;
        };
        write_escape(*byte, out);
        rest = following;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn write_escape(byte: u8, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => out.extend_from_slice(b"\\\""),
        b'\\' => out.extend_from_slice(b"\\\\"),
        b'\n' => out.extend_from_slice(b"\\n"),
        b'\r' => out.extend_from_slice(b"\\r"),
        b'\t' => out.extend_from_slice(b"\\t"),
        control => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(control >> 4 & 15)]);
            out.push(HEX[usize::from(control & 15)]);
        }
    }
}
