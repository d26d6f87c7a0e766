//! One envelope in one of the many spellings that are accepted.

use backplane_events::{Envelope, EventTime, Payload};
use chrono::{DateTime, FixedOffset, SecondsFormat};
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::value::RawValue;

/// The choices of one producer.
pub struct Spelling {
    random: ChaCha8Rng,
}

/// A member: its camelCase name and its JSON text.
type Member = (&'static str, String);

impl Spelling {
    pub fn new(seed: u64) -> Spelling {
        Spelling {
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    fn one_in(&mut self, count: u32) -> bool {
        self.random.random_ratio(1, count)
    }

    /// The envelope as a line without its end.
    pub fn line(&mut self, envelope: &Envelope) -> String {
        let (envelope_extra, payload_extra) = extra_members(envelope);
        let mut members = vec![
            ("eventId", self.text(&envelope.event_id)),
            ("timestamp", self.time(envelope.timestamp)),
            (
                "eventType",
                self.choice(envelope.event_type().name(), envelope.event_type() as u8),
            ),
            ("schemaVersion", self.text(&envelope.schema_version)),
        ];
        let payload = self.payload(&envelope.payload);
        members.push(("payload", self.object(payload, payload_extra)));
        self.name_or_null(&mut members, "correlationId", &envelope.correlation_id);
        self.json_or_null(&mut members, "metadata", &envelope.metadata);
        let object = self.object(members, envelope_extra);
        format!("{}{object}{}", self.space(), self.space())
    }

    fn payload(&mut self, payload: &Payload) -> Vec<Member> {
        let mut members = Vec::new();
        let of = &mut members;
        match payload {
            Payload::Exposure(exposure) => {
                of.push(("experimentName", self.text(&exposure.experiment)));
                of.push(("variantKey", self.text(&exposure.variant)));
                of.push(("subjectId", self.text(&exposure.subject_id)));
                self.text_or_null(of, "subjectType", &exposure.subject_type);
                self.name_or_null(of, "tenantId", &exposure.tenant_id);
                self.text_or_null(of, "selectionReason", &exposure.selection_reason);
                self.text_or_null(of, "rulePath", &exposure.rule_path);
                self.choice_or_default(
                    of,
                    "assignmentPolicy",
                    exposure.assignment_policy.name(),
                    exposure.assignment_policy as u8,
                    0,
                );
                let flag = exposure.is_repeat_exposure.map(|flag| flag.to_string());
                self.json_or_null(of, "isRepeatExposure", &flag);
                self.json_or_null(of, "attributes", &exposure.attributes);
            }
            Payload::Assignment(assignment) => {
                of.push(("experimentName", self.text(&assignment.experiment)));
                of.push(("subjectId", self.text(&assignment.subject_id)));
                self.name_or_null(of, "previousVariantKey", &assignment.previous_variant);
                of.push(("newVariantKey", self.text(&assignment.new_variant)));
                self.text_or_null(of, "changeReason", &assignment.change_reason);
                self.choice_or_default(
                    of,
                    "assignmentPolicy",
                    assignment.assignment_policy.name(),
                    assignment.assignment_policy as u8,
                    0,
                );
                self.name_or_null(of, "tenantId", &assignment.tenant_id);
                self.json_or_null(of, "attributes", &assignment.attributes);
            }
            Payload::Outcome(outcome) => {
                self.name_or_null(of, "id", &outcome.id);
                self.name_or_null(of, "experimentName", &outcome.experiment);
                let variant_key = if self.one_in(2) { "trialKey" } else { "variantKey" };
                self.name_or_null(of, variant_key, &outcome.variant);
                of.push(("subjectId", self.text(&outcome.subject_id)));
                self.name_or_null(of, "tenantId", &outcome.tenant_id);
                self.choice_or_default(
                    of,
                    "outcomeType",
                    outcome.outcome_type.name(),
                    outcome.outcome_type as u8,
                    1,
                );
                of.push(("metricName", self.text(&outcome.metric)));
                of.push(("value", self.number(outcome.value)));
                self.json_or_null(of, "metadata", &outcome.metadata);
            }
            Payload::AnalysisSignal(signal) => {
                of.push(("experimentName", self.text(&signal.experiment)));
                of.push((
                    "signalType",
                    self.choice(signal.signal_type.name(), signal.signal_type as u8),
                ));
                of.push(("severity", self.choice(signal.severity.name(), signal.severity as u8)));
                of.push(("message", self.text(&signal.message)));
                self.json_or_null(of, "data", &signal.data);
            }
            Payload::Error(error) => {
                self.name_or_null(of, "experimentName", &error.experiment);
                self.name_or_null(of, "variantKey", &error.variant);
                self.name_or_null(of, "subjectId", &error.subject_id);
                self.name_or_null(of, "tenantId", &error.tenant_id);
                of.push(("errorType", self.text(&error.error_type)));
                of.push(("message", self.text(&error.message)));
                self.text_or_null(of, "stackTrace", &error.stack_trace);
                self.json_or_null(of, "attributes", &error.attributes);
            }
        }
        let time = payload.timestamp().map(|time| self.time(time));
        self.json_or_null(of, "timestamp", &time);
        members
    }

    /// Members in any order, now and then one more time before with another value, between others that mean nothing.
    fn object(&mut self, members: Vec<Member>, extra: Vec<String>) -> String {
        let mut written: Vec<String> = Vec::new();
        for (name, value) in members {
            let member = format!("{}{}:{}{value}", self.member_name(name), self.space(), self.space());
            written.push(member);
        }
        written.extend(extra);
        if self.one_in(2) {
            written.shuffle(&mut self.random);
        }
        if self.one_in(10) {
            // The last coming counts, so whatever comes before is of no account.
            let wrong = [
                r#""payload":{"value":"x"}"#,
                r#""timestamp":"never""#,
                r#""SubjectId":7"#,
                r#""metadata":[]"#,
            ];
            let name_of = |member: &str| member.split('"').nth(1).unwrap_or_default().to_lowercase();
            let wrong = wrong
                .into_iter()
                .find(|wrong| written.iter().any(|member| name_of(member) == name_of(wrong)));
            written.splice(0..0, wrong.map(str::to_owned));
        }
        let mut object = "{".to_owned();
        for (index, member) in written.into_iter().enumerate() {
            if index > 0 {
                object.push(',');
            }
            object.push_str(self.space());
            object.push_str(&member);
            object.push_str(self.space());
        }
        object + "}"
    }

    fn member_name(&mut self, name: &str) -> String {
        let mut spelled = name.to_owned();
        if self.one_in(3) {
            let first = spelled.remove(0).to_ascii_uppercase();
            spelled.insert(0, first);
        }
        if self.one_in(20) {
            self.text(&spelled)
        } else {
            format!("\"{spelled}\"")
        }
    }

    fn space(&mut self) -> &'static str {
        if self.one_in(10) {
            [" ", "\t", "  ", " \r"][self.random.random_range(0..4)]
        } else {
            ""
        }
    }

    fn text(&mut self, text: &str) -> String {
        let escape_everything = self.one_in(6);
        let mut quoted = "\"".to_owned();
        for character in text.chars() {
            if escape_everything || self.one_in(30) {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    quoted += &if self.one_in(2) {
                        format!("\\u{unit:04x}")
                    } else {
                        format!("\\u{unit:04X}")
                    };
                }
            } else if character == '/' && self.one_in(2) {
                quoted += "\\/";
            } else {
                let plain = serde_json::to_string(&character).expect("a character is JSON");
                quoted += &plain[1..plain.len() - 1];
            }
        }
        quoted + "\""
    }

    /// The instant at any offset, in more digits than are kept.
    fn time(&mut self, time: EventTime) -> String {
        let instant = DateTime::from_timestamp_micros(time.0).expect("the tests' instants are in chrono's range");
        let text = if self.one_in(2) {
            instant.to_rfc3339_opts(SecondsFormat::AutoSi, true)
        } else {
            let minutes = if self.one_in(2) {
                0
            } else {
                self.random.random_range(-1439..=1439)
            };
            let offset = FixedOffset::east_opt(minutes * 60).expect("less than a day");
            instant
                .with_timezone(&offset)
                .to_rfc3339_opts(SecondsFormat::Micros, false)
        };
        let digits = ["", "7", "999", "0000001"][self.random.random_range(0..4)];
        let finer = match text.split_once('.') {
            Some((seconds, rest)) => {
                let (fraction, zone) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
                format!("{seconds}.{fraction:0<6}{digits}{zone}")
            }
            None => text,
        };
        format!("\"{finer}\"")
    }

    fn number(&mut self, value: f64) -> String {
        match self.random.random_range(0..3) {
            0 => format!("{value:?}"),
            1 => format!("{value}"),
            _ => format!("{value:e}").replace('e', if self.one_in(2) { "E" } else { "e" }),
        }
    }

    fn choice(&mut self, name: &str, ordinal: u8) -> String {
        match self.random.random_range(0..4) {
            0 => ordinal.to_string(),
            1 => format!("\"{}\"", name.to_uppercase()),
            2 => format!("\"{}\"", name.to_lowercase()),
            _ => format!("\"{name}\""),
        }
    }

    fn choice_or_default(
        &mut self,
        members: &mut Vec<Member>,
        key: &'static str,
        name: &str,
        ordinal: u8,
        default: u8,
    ) {
        if ordinal == default && self.one_in(2) {
            self.absent(members, key, &["null"]);
        } else {
            members.push((key, self.choice(name, ordinal)));
        }
    }

    /// Leaves the member out, or writes it in a way that means the same.
    fn absent(&mut self, members: &mut Vec<Member>, name: &'static str, ways: &[&str]) {
        if let Some(way) = ways.get(self.random.random_range(0..=ways.len())) {
            members.push((name, (*way).to_owned()));
        }
    }

    fn name_or_null(&mut self, members: &mut Vec<Member>, name: &'static str, value: &Option<String>) {
        match value {
            Some(value) => members.push((name, self.text(value))),
            None => self.absent(members, name, &["null", "\"\""]),
        }
    }

    fn text_or_null(&mut self, members: &mut Vec<Member>, name: &'static str, value: &Option<String>) {
        match value {
            Some(value) => members.push((name, self.text(value))),
            None => self.absent(members, name, &["null"]),
        }
    }

    fn json_or_null(&mut self, members: &mut Vec<Member>, name: &'static str, json: &Option<String>) {
        match json {
            Some(json) => members.push((name, json.clone())),
            None => self.absent(members, name, &["null"]),
        }
    }
}

/// The unknown members of envelope and payload, each as `"name":value`.
fn extra_members(envelope: &Envelope) -> (Vec<String>, Vec<String>) {
    type Object = std::collections::BTreeMap<String, Box<RawValue>>;
    let objects: std::collections::BTreeMap<String, Object> = match &envelope.extra {
        Some(extra) => serde_json::from_str(extra).expect("extra is an object of objects"),
        None => Default::default(),
    };
    let members = |name: &str| {
        let members = objects.get(name).into_iter().flatten();
        members
            .map(|(name, value)| format!("{}:{value}", serde_json::to_string(name).expect("a text is JSON")))
            .collect()
    };
    (members("envelope"), members("payload"))
}
