//! Envelopes of every shape, and every way a producer may write them.
#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(clippy::expect_used, reason = "a helper of tests fails as the test does")]

pub mod spelling;

use backplane_events::{
    AnalysisSignal, Assignment, AssignmentPolicy, Decoded, DecodedRecord, Decoder, Encoder, Envelope, ErrorEvent,
    EventTime, Exposure, Outcome, OutcomeType, Payload, Severity, SignalType,
};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// When the tests' records are read.
pub const INGEST: EventTime = EventTime(1_767_571_200_000_000);

/// Decodes with a new decoder.
pub fn decode(lines: &[u8]) -> Decoded {
    Decoder::new().decode(lines, INGEST)
}

/// The envelope of a decoded record.
pub fn envelope(decoded: &Decoded, record: &DecodedRecord) -> Envelope {
    let batch = decoded.batches[record.event_type as usize]
        .as_ref()
        .expect("a record is in a batch");
    Envelope::from_row(record.event_type, batch, record.row as usize).expect("a decoded row is an envelope")
}

/// All envelopes of a block, in record order.
pub fn envelopes(decoded: &Decoded) -> Vec<Envelope> {
    decoded.records.iter().map(|record| envelope(decoded, record)).collect()
}

/// What must hold of any bytes: each line is a record, bad or blank, and what was read is read again from what is written of it.
pub fn check_any_bytes(decoder: &mut Decoder, bytes: &[u8]) {
    let decoded = decoder.decode(bytes, INGEST);
    let rows: usize = decoded.batches.iter().flatten().map(|batch| batch.num_rows()).sum();
    assert_eq!(rows, decoded.records.len());
    assert!((decoded.records.len() + decoded.bad.len()) as u64 <= decoded.lines);
    assert!(decoded.records.is_sorted_by(|one, next| one.line < next.line));
    assert!(
        decoded
            .bad
            .is_sorted_by(|one, next| one.line < next.line && one.offset < next.offset)
    );
    for bad in &decoded.bad {
        assert_eq!(
            bytes.get(bad.offset..bad.offset + bad.raw.len()),
            Some(bad.raw.as_slice())
        );
        assert!(!bad.detail.is_empty());
    }

    let mut written = Vec::new();
    for record in &decoded.records {
        let batch = decoded.batches[record.event_type as usize]
            .as_ref()
            .expect("a record is in a batch");
        Encoder::new()
            .encode_row(record.event_type, batch, record.row as usize, &mut written)
            .expect("what was read can be written");
        written.push(b'\n');
    }
    let again = decoder.decode(&written, INGEST);
    assert!(
        again.bad.is_empty(),
        "{:?} of {}",
        again.bad,
        String::from_utf8_lossy(&written)
    );
    assert_eq!(again.batches, decoded.batches, "{}", String::from_utf8_lossy(&written));
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z][a-z0-9-]{0,40}",
        1 => any::<String>().prop_filter("a name is not empty", |text| !text.is_empty()),
        1 => select(vec!["\"", "\\", "\u{1f600}", "né\u{0}\u{1f}", "\u{2028}", "a\"b\\c/d"]).prop_map(str::to_owned),
    ]
}

fn event_id() -> impl Strategy<Value = String> {
    prop_oneof![
        "[0-9a-f]{8}-[0-9a-f]{27}",
        "[a-zé]{100}",
        name().prop_map(|name| name.chars().take(100).collect())
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![Just(String::new()), name()]
}

/// Any instant that RFC 3339 can write at every offset.
fn instant() -> impl Strategy<Value = EventTime> {
    const DAY: i64 = 86_400_000_000;
    let year_0 = -62_167_219_200_000_000;
    let year_10000 = 253_402_300_800_000_000;
    prop_oneof![
        year_0 + DAY..year_10000 - DAY,
        1_700_000_000_000_000..1_800_000_000_000_000_i64,
        -3..3_i64
    ]
    .prop_map(EventTime)
}

/// The JSON text of a value.
fn json(depth: u32) -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        select(vec![
            "null",
            "true",
            "false",
            "0",
            "-0",
            "1.50",
            "1e400",
            "12345678901234567890.10",
            "[]",
            "{}",
            "\"\""
        ])
        .prop_map(str::to_owned),
        any::<String>().prop_map(|text| serde_json::to_string(&text).expect("a text is JSON")),
        Just("\"\\u00e9\\ud83d\\ude00\\/\"".to_owned()),
    ];
    leaf.prop_recursive(depth, 16, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            members(inner, 0..4).prop_map(|members| format!("{{{}}}", members.join(" ,"))),
        ]
    })
}

/// Members with distinct names that mean nothing.
fn members(value: impl Strategy<Value = String>, count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<String>> {
    proptest::collection::btree_map("x[a-z\\\\\"é]{0,30}", value, count).prop_map(|members| {
        members
            .into_iter()
            .map(|(name, value)| format!("{}:{value}", serde_json::to_string(&name).expect("a text is JSON")))
            .collect()
    })
}

/// The JSON text of an object.
fn object() -> impl Strategy<Value = String> {
    members(json(3), 0..4).prop_map(|members| format!("{{{}}}", members.join(",")))
}

fn extra() -> impl Strategy<Value = Option<String>> {
    (members(json(2), 0..3), members(json(2), 0..3)).prop_map(|(envelope, payload)| {
        let part = |name: &str, members: Vec<String>| {
            (!members.is_empty()).then(|| format!("\"{name}\":{{{}}}", members.join(",")))
        };
        let parts: Vec<String> = part("envelope", envelope)
            .into_iter()
            .chain(part("payload", payload))
            .collect();
        (!parts.is_empty()).then(|| format!("{{{}}}", parts.join(",")))
    })
}

fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(1.0),
        (-1000..1000_i32).prop_map(|cents| f64::from(cents) / 100.0),
        any::<f64>()
    ]
    .prop_filter("a value is finite", |value| value.is_finite())
}

fn exposure() -> impl Strategy<Value = Payload> {
    let texts = (
        option::of(text()),
        option::of(name()),
        option::of(text()),
        option::of(text()),
    );
    let rest = (
        option::of(instant()),
        select(AssignmentPolicy::ALL),
        option::of(any::<bool>()),
        option::of(object()),
    );
    (name(), name(), name(), texts, rest).prop_map(|(experiment, variant, subject_id, texts, rest)| {
        let (subject_type, tenant_id, selection_reason, rule_path) = texts;
        let (timestamp, assignment_policy, is_repeat_exposure, attributes) = rest;
        Payload::Exposure(Exposure {
            subject_type,
            tenant_id,
            timestamp,
            selection_reason,
            rule_path,
            assignment_policy,
            is_repeat_exposure,
            attributes,
            ..Exposure::new(experiment, variant, subject_id)
        })
    })
}

fn assignment() -> impl Strategy<Value = Payload> {
    let texts = (option::of(name()), option::of(text()), option::of(name()));
    let rest = (
        option::of(instant()),
        select(AssignmentPolicy::ALL),
        option::of(object()),
    );
    (name(), name(), name(), texts, rest).prop_map(|(experiment, subject_id, new_variant, texts, rest)| {
        let (previous_variant, change_reason, tenant_id) = texts;
        let (timestamp, assignment_policy, attributes) = rest;
        Payload::Assignment(Assignment {
            previous_variant,
            timestamp,
            change_reason,
            assignment_policy,
            tenant_id,
            attributes,
            ..Assignment::new(experiment, subject_id, new_variant)
        })
    })
}

fn outcome() -> impl Strategy<Value = Payload> {
    let texts = (
        option::of(name()),
        option::of(name()),
        option::of(name()),
        option::of(name()),
    );
    let rest = (option::of(instant()), select(OutcomeType::ALL), option::of(object()));
    (name(), name(), value(), texts, rest).prop_map(|(subject_id, metric, value, texts, rest)| {
        let (id, experiment, variant, tenant_id) = texts;
        let (timestamp, outcome_type, metadata) = rest;
        Payload::Outcome(Outcome {
            id,
            experiment,
            variant,
            tenant_id,
            outcome_type,
            timestamp,
            metadata,
            ..Outcome::new(subject_id, metric, value)
        })
    })
}

fn signal() -> impl Strategy<Value = Payload> {
    let kinds = (select(SignalType::ALL), select(Severity::ALL));
    (name(), kinds, text(), option::of(instant()), option::of(object())).prop_map(
        |(experiment, (signal_type, severity), message, timestamp, data)| {
            Payload::AnalysisSignal(AnalysisSignal {
                timestamp,
                data,
                ..AnalysisSignal::new(experiment, signal_type, severity, message)
            })
        },
    )
}

fn error() -> impl Strategy<Value = Payload> {
    let names = (
        option::of(name()),
        option::of(name()),
        option::of(name()),
        option::of(name()),
    );
    (
        text(),
        text(),
        names,
        option::of(instant()),
        option::of(text()),
        option::of(object()),
    )
        .prop_map(|(error_type, message, names, timestamp, stack_trace, attributes)| {
            let (experiment, variant, subject_id, tenant_id) = names;
            Payload::Error(ErrorEvent {
                experiment,
                variant,
                subject_id,
                tenant_id,
                timestamp,
                stack_trace,
                attributes,
                ..ErrorEvent::new(error_type, message)
            })
        })
}

/// Any envelope that can be written and read.
pub fn any_envelope() -> impl Strategy<Value = Envelope> {
    let payload = prop_oneof![exposure(), assignment(), outcome(), signal(), error()];
    let version = prop_oneof![3 => Just("1.0.0".to_owned()), 1 => "1\\.[0-9]{1,3}\\.[0-9]{1,3}"];
    (
        event_id(),
        instant(),
        payload,
        version,
        option::of(name()),
        option::of(object()),
        extra(),
    )
        .prop_map(
            |(event_id, timestamp, payload, schema_version, correlation_id, metadata, extra)| Envelope {
                event_id,
                timestamp,
                schema_version,
                payload,
                correlation_id,
                metadata,
                extra,
            },
        )
}
