//! A record as the bytes of its envelope.

use crate::config::{GeneratorConfig, MetricType};
use crate::random::mix;
use crate::record::{Kind, NO_EXPERIMENT, Record, STRANGERS};
use crate::spelling::{Object, Spelling, decimal, hex, quote};

const COUNTRIES: [&str; 8] = ["de", "fr", "us", "gb", "br", "in", "jp", "se"];
const SUBJECT_TYPES: [&str; 4] = ["user", "session", "", "device"];
const ID_PREFIXES: [&str; 4] = ["e", "E", "\u{e9}-", "z\""];
const POLICIES: [&str; 4] = ["BestEffort", "SessionSticky", "SubjectSticky", "GloballySticky"];
const ERROR_TYPES: [&str; 3] = ["TimeoutException", "HttpRequestException", "NullReferenceException"];
const SUBJECT_STICKY: usize = 2;

/// Writes records as lines.
pub(crate) struct EnvelopeWriter<'a> {
    config: &'a GeneratorConfig,
    /// How the record at hand is spelt.
    spelling: Spelling,
    scratch: Vec<u8>,
}

impl<'a> EnvelopeWriter<'a> {
    pub(crate) fn new(config: &'a GeneratorConfig) -> Self {
        Self {
            config,
            spelling: Spelling::CANONICAL,
            scratch: Vec::new(),
        }
    }

    /// Appends the line of a record that is not bad.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>, record: &Record) {
        let seed = self.config.seed;
        if self.config.mixed_spellings {
            self.spelling = Spelling::of(seed, record.id);
        }
        let spelling = self.spelling;
        let bits = mix(mix(seed, 0x6964), u64::from(record.id));
        let transport_delay = i64::from(bits as u8) * 16;
        let event_time = record.time;
        let envelope_time = if spelling.envelope_time_only {
            event_time
        } else {
            event_time + transport_delay
        };

        let mut envelope = Object::begin(out, spelling);
        self.event_id(record.id, bits);
        envelope.member(out, "eventId");
        quote_bytes(out, &self.scratch, spelling.escapes);
        envelope.instant(out, "timestamp", envelope_time);
        let (name, ordinal) = match record.kind {
            Kind::Exposure => ("Exposure", 0),
            Kind::Assignment => ("Assignment", 1),
            Kind::Outcome => ("Outcome", 2),
            Kind::Signal => ("AnalysisSignal", 3),
            Kind::Error | Kind::Bad => ("Error", 4),
        };
        envelope.one_of(out, "eventType", name, ordinal);
        envelope.text(out, "schemaVersion", if spelling.unknown { "1.4.0" } else { "1.0.0" });
        envelope.member(out, "payload");
        let payload = Object::begin(out, spelling);
        match record.kind {
            Kind::Exposure => self.exposure(out, record, payload),
            Kind::Assignment => self.assignment(out, record, payload),
            Kind::Outcome => self.outcome(out, record, payload, bits),
            Kind::Signal => self.signal(out, record, payload),
            Kind::Error | Kind::Bad => self.error(out, record, payload, bits),
        }
        self.tail(out, envelope, record, bits);
        out.push(b'\n');
    }

    /// The text by which ties between equal event times are broken.
    pub(crate) fn event_id_text(&mut self, id: u32) -> &[u8] {
        let bits = mix(mix(self.config.seed, 0x6964), u64::from(id));
        self.event_id(id, bits);
        &self.scratch
    }

    fn event_id(&mut self, id: u32, bits: u64) {
        self.scratch.clear();
        if self.config.mixed_spellings && bits & 1 == 0 {
            let prefix = ID_PREFIXES[(bits >> 1) as usize & 3];
            self.scratch.extend_from_slice(prefix.as_bytes());
            return decimal(&mut self.scratch, u64::from(id), 0);
        }
        let low = mix(bits, u64::from(id));
        for (value, digits) in [(bits >> 32, 8), (bits >> 16, 4), (bits, 4), (low >> 48, 4), (low, 12)] {
            if !self.scratch.is_empty() {
                self.scratch.push(b'-');
            }
            hex(&mut self.scratch, value, digits);
        }
    }

    fn tail(&mut self, out: &mut Vec<u8>, mut envelope: Object, record: &Record, bits: u64) {
        if matches!(record.kind, Kind::Exposure | Kind::Error) {
            envelope.member(out, "correlationId");
            out.extend_from_slice(b"\"req-");
            hex(out, mix(bits, u64::from(record.subject)), 16);
            out.push(b'"');
        } else {
            envelope.absent(out, "correlationId");
        }
        if bits & 0x300 == 0 {
            envelope.member(out, "metadata");
            out.extend_from_slice(br#"{"source":"web-gateway","region":"eu-west-1"}"#);
        } else {
            envelope.absent(out, "metadata");
        }
        if self.config.mixed_spellings && bits & 0xC00 == 0 {
            envelope.member(out, "shardHint");
            out.extend_from_slice(br#"{"ring":[1,2.50,null],"label":"\u00e9"}"#);
        }
        envelope.end(out);
    }

    fn exposure(&mut self, out: &mut Vec<u8>, record: &Record, mut payload: Object) {
        payload.text(out, "experimentName", self.experiment(record));
        payload.text(out, "variantKey", self.variant(record));
        self.subject(out, record, &mut payload, true);
        self.own_time(out, record, &mut payload);
        payload.text(out, "selectionReason", "hash-assignment");
        payload.absent(out, "rulePath");
        self.policy(out, record, &mut payload);
        payload.member(out, "isRepeatExposure");
        out.extend_from_slice(if record.repeat { b"true" } else { b"false" });
        self.attributes(out, record, &mut payload);
        payload.end(out);
    }

    fn assignment(&mut self, out: &mut Vec<u8>, record: &Record, mut payload: Object) {
        payload.text(out, "experimentName", self.experiment(record));
        self.subject(out, record, &mut payload, false);
        payload.text(out, "previousVariantKey", "");
        payload.text(out, "newVariantKey", self.variant(record));
        self.own_time(out, record, &mut payload);
        payload.text(out, "changeReason", "first-assignment");
        self.policy(out, record, &mut payload);
        payload.absent(out, "attributes");
        payload.end(out);
    }

    fn outcome(&mut self, out: &mut Vec<u8>, record: &Record, mut payload: Object, bits: u64) {
        payload.member(out, "id");
        out.extend_from_slice(b"\"oc-");
        hex(out, mix(bits, 5), 16);
        out.push(b'"');
        payload.text(out, "experimentName", self.experiment(record));
        let name = if self.spelling.trial_key {
            "trialKey"
        } else {
            "variantKey"
        };
        let variant = if record.experiment == NO_EXPERIMENT {
            ""
        } else {
            self.variant(record)
        };
        payload.text(out, name, variant);
        self.subject(out, record, &mut payload, false);
        let metric = self.config.metrics.get(usize::from(record.metric));
        let outcome_type = metric.map_or(MetricType::Continuous, |metric| metric.outcome_type);
        let continuous_by_default = self.spelling.defaults && outcome_type == MetricType::Continuous;
        if !continuous_by_default {
            payload.one_of(out, "outcomeType", outcome_type.name(), outcome_type as u8);
        }
        payload.text(out, "metricName", metric.map_or("", |metric| &metric.name));
        payload.member(out, "value");
        number(out, record.cents, self.config.mixed_spellings && bits & 0x7000 == 0);
        self.own_time(out, record, &mut payload);
        payload.absent(out, "metadata");
        payload.end(out);
    }

    fn signal(&mut self, out: &mut Vec<u8>, record: &Record, mut payload: Object) {
        payload.text(out, "experimentName", self.experiment(record));
        payload.one_of(out, "signalType", "Custom", 5);
        payload.one_of(out, "severity", "Info", 0);
        self.own_time(out, record, &mut payload);
        payload.text(out, "message", "nightly import finished");
        payload.member(out, "data");
        out.extend_from_slice(br#"{"signal":"import.finished","rows":1250}"#);
        payload.end(out);
    }

    fn error(&mut self, out: &mut Vec<u8>, record: &Record, mut payload: Object, bits: u64) {
        payload.text(out, "experimentName", self.experiment(record));
        payload.text(out, "variantKey", self.variant(record));
        self.subject(out, record, &mut payload, false);
        self.own_time(out, record, &mut payload);
        payload.text(out, "errorType", ERROR_TYPES[(bits >> 20) as usize % ERROR_TYPES.len()]);
        payload.text(
            out,
            "message",
            "the call to the payment provider took longer than 2,000 ms",
        );
        payload.absent(out, "stackTrace");
        payload.absent(out, "attributes");
        payload.end(out);
    }

    fn experiment(&self, record: &Record) -> &'a str {
        self.config
            .experiments
            .get(usize::from(record.experiment))
            .map_or("", |plan| &plan.name)
    }

    fn variant(&self, record: &Record) -> &'a str {
        let plan = self.config.experiments.get(usize::from(record.experiment));
        plan.and_then(|plan| plan.variants.get(usize::from(record.variant)))
            .map_or("", String::as_str)
    }

    /// The subject's id, its type where the payload has one, and its tenant.
    fn subject(&mut self, out: &mut Vec<u8>, record: &Record, payload: &mut Object, with_type: bool) {
        let config = self.config;
        let tenants = u32::try_from(config.tenants.len()).unwrap_or(1).max(1);
        let traits = mix(config.seed ^ 0x7465_6E61, u64::from(record.subject));
        // with mixed spellings the tenants' subjects have the same ids: only both together are a subject
        let (number, tenant) = if config.mixed_spellings {
            (record.subject / tenants, record.subject % tenants)
        } else {
            (record.subject % STRANGERS, (traits >> 8) as u32 % tenants)
        };
        payload.member(out, "subjectId");
        out.push(b'"');
        let odd = config.mixed_spellings && number % 7 == 3;
        let prefix = match (record.subject >= STRANGERS, odd) {
            (true, _) => "stranger-",
            (false, true) => "\u{fc}ser \\\"x\\\" ",
            (false, false) => "user-",
        };
        out.extend_from_slice(prefix.as_bytes());
        decimal(out, u64::from(number), 8);
        out.push(b'"');
        if with_type {
            let chosen = if config.mixed_spellings {
                SUBJECT_TYPES[(traits >> 40) as usize & 3]
            } else {
                "user"
            };
            payload.text(out, "subjectType", chosen);
        }
        let tenant = usize::try_from(tenant)
            .ok()
            .and_then(|tenant| config.tenants.get(tenant));
        payload.text(out, "tenantId", tenant.map_or("", String::as_str));
    }

    fn own_time(&self, out: &mut Vec<u8>, record: &Record, payload: &mut Object) {
        if self.spelling.envelope_time_only {
            payload.absent(out, "timestamp");
        } else {
            payload.instant(out, "timestamp", record.time);
        }
    }

    fn policy(&self, out: &mut Vec<u8>, record: &Record, payload: &mut Object) {
        let index = if self.config.mixed_spellings {
            record.id as usize & 3
        } else {
            SUBJECT_STICKY
        };
        payload.one_of(out, "assignmentPolicy", POLICIES[index], index as u8);
    }

    /// Platform and country; with mixed spellings they differ between the exposures of a subject, and are not only texts.
    fn attributes(&self, out: &mut Vec<u8>, record: &Record, payload: &mut Object) {
        let mixed = self.config.mixed_spellings;
        let salt = if mixed { u64::from(record.id) } else { 0 };
        let traits = mix(self.config.seed ^ 0x6174_7472 ^ salt, u64::from(record.subject));
        if mixed && traits & 0xF0_0000 == 0 {
            return payload.absent(out, "attributes");
        }
        let platforms = &self.config.platforms;
        let platform = platforms
            .get((traits >> 8) as usize % platforms.len().max(1))
            .map_or("", String::as_str);
        payload.member(out, "attributes");
        out.push(b'{');
        if !platform.is_empty() {
            out.extend_from_slice(b"\"platform\":");
            quote(out, platform, false);
            out.push(b',');
        }
        out.extend_from_slice(b"\"country\":");
        quote(out, COUNTRIES[(traits >> 16) as usize & 7], false);
        if mixed {
            out.extend_from_slice(
                [",\"beta\":true", ",\"beta\":false", ",\"beta\":null", ""][traits as usize & 3].as_bytes(),
            );
            out.extend_from_slice(
                [",\"level\":1.50", ",\"level\":2", ",\"level\":\"2\"", ""][(traits >> 2) as usize & 3].as_bytes(),
            );
        }
        out.push(b'}');
    }
}

fn quote_bytes(out: &mut Vec<u8>, text: &[u8], escapes: bool) {
    quote(out, std::str::from_utf8(text).unwrap_or_default(), escapes);
}

/// Hundredths as a JSON number: `12.5`, `-3`, or with an exponent `1250e-2`.
fn number(out: &mut Vec<u8>, cents: i64, with_exponent: bool) {
    if cents < 0 {
        out.push(b'-');
    }
    let magnitude = cents.unsigned_abs();
    if with_exponent {
        decimal(out, magnitude, 1);
        return out.extend_from_slice(if magnitude.is_multiple_of(2) { b"e-2" } else { b"E-2" });
    }
    decimal(out, magnitude / 100, 1);
    let fraction = magnitude % 100;
    if fraction > 0 {
        out.push(b'.');
        decimal(out, fraction, 2);
        if fraction.is_multiple_of(10) {
            out.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hundredths_are_written_as_short_as_they_are() {
        for (cents, text) in [
            (0, "0"),
            (100, "1"),
            (-50, "-0.5"),
            (1205, "12.05"),
            (1_999_999, "19999.99"),
        ] {
            let mut out = Vec::new();
            number(&mut out, cents, false);
            assert_eq!(String::from_utf8(out).unwrap(), text);
            let mut out = Vec::new();
            number(&mut out, cents, true);
            assert_eq!(
                String::from_utf8(out).unwrap().parse::<f64>().unwrap(),
                cents as f64 / 100.0
            );
        }
    }
}
