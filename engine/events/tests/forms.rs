//! The forms of the wire that are accepted, one by one.

#![allow(clippy::expect_used, reason = "a helper of tests fails as the test does")]

mod support;

use arrow::array::{Array, AsArray};
use arrow::datatypes::TimestampMicrosecondType;
use backplane_events::{
    AssignmentPolicy, Decoder, Encoder, EnumSpelling, Envelope, EventTime, EventType, EventsError, Exposure, Outcome,
    OutcomeType, Payload,
};
use support::{INGEST, decode, envelopes};

#[track_caller]
fn read(line: &str) -> Envelope {
    let decoded = decode(line.as_bytes());
    assert_eq!(decoded.bad, []);
    envelopes(&decoded).remove(0)
}

fn time(text: &str) -> EventTime {
    EventTime::from_rfc3339(text).expect("the tests' instants are RFC 3339")
}

#[test]
fn what_the_dotnet_data_plane_writes_is_read() {
    let line = include_str!("data/one_of_each.ndjson").lines().next().unwrap();
    let instant = time("2025-12-30T05:14:36.844771Z");
    let expected = Envelope::new(
        "c37dc189-bf5a-4fe1-a23d-31d954d5301c",
        instant,
        Exposure {
            subject_type: Some("session".to_owned()),
            timestamp: Some(instant),
            selection_reason: Some("trial-selection".to_owned()),
            is_repeat_exposure: Some(false),
            ..Exposure::new("IPaymentProcessor", "control", "78f2d3cf887042f889344c9db54d80d6")
        },
    );
    assert_eq!(read(line), expected);
}

#[test]
fn a_payload_before_its_event_type_is_read() {
    let line = r#"{"payload":{"trialKey":"b","subjectId":"u","metricName":"m","value":-1e-2,"outcomeType":"BINARY","variant":1},"EventType":"oUTCOME","schemaVersion":"1.0.0","timestamp":"2026-01-05T09:30:00Z","eventId":"e"}"#;
    let envelope = read(line);
    let Payload::Outcome(outcome) = &envelope.payload else {
        panic!("not an outcome")
    };
    assert_eq!(outcome.variant.as_deref(), Some("b"));
    assert_eq!((outcome.value, outcome.outcome_type), (-0.01, OutcomeType::Binary));
    assert_eq!(envelope.extra.as_deref(), Some(r#"{"payload":{"variant":1}}"#));
}

#[test]
fn of_members_that_come_twice_the_last_counts() {
    let line = r#"{"eventType":0,"payload":{"experimentName":"x","y":1},"eventType":2,"a":1,"payload":{"subjectId":5,"value":"no","subjectId":"u","z":1,"metricName":"m","Value":2,"z":2},"eventId":"","eventId":"e","timestamp":"2026-01-05T09:30:00Z","schemaVersion":"9","schemaVersion":"1.0.0","\u0061":2}"#;
    let envelope = read(line);
    let outcome = Outcome::new("u", "m", 2.0);
    let mut expected = Envelope::new("e", time("2026-01-05T09:30:00Z"), outcome);
    expected.extra = Some(r#"{"envelope":{"\u0061":2},"payload":{"z":2}}"#.to_owned());
    assert_eq!(envelope, expected);
}

#[test]
fn an_instant_of_the_payload_is_the_event_time_and_the_envelopes_is_kept() {
    let line = |payload_time: &str| {
        format!(
            r#"{{"eventId":"e","timestamp":"2026-01-05T09:30:00Z","eventType":2,"schemaVersion":"1.0.0","payload":{{"subjectId":"u","metricName":"m","value":1{payload_time}}}}}"#
        )
    };
    let lines = [
        line(""),
        line(r#","timestamp":null"#),
        line(r#","timestamp":"1969-12-31T23:59:59.9999999Z""#),
    ]
    .join("\n");
    let decoded = decode(lines.as_bytes());
    let batch = decoded.batches[EventType::Outcome as usize].as_ref().unwrap();
    let times = |name: &str| {
        let column = batch
            .column_by_name(name)
            .unwrap()
            .as_primitive::<TimestampMicrosecondType>();
        column.iter().collect::<Vec<_>>()
    };
    let envelope_time = time("2026-01-05T09:30:00Z").0;
    assert_eq!(
        times("event_time"),
        [Some(envelope_time), Some(envelope_time), Some(-1)]
    );
    assert_eq!(times("envelope_time"), [None, None, Some(envelope_time)]);
    assert_eq!(times("ingest_time"), [Some(INGEST.0); 3]);
}

#[test]
fn json_texts_are_kept_as_they_are_spelled() {
    let line = r#"{"eventId":"e","timestamp":"2026-01-05T09:30:00Z","eventType":0,"schemaVersion":"1.0.0","payload":{"experimentName":"x","variantKey":"a","subjectId":"u","attributes":{ "n" : 1.50, "big":12345678901234567890123,"t":"\u00e9", "d":1,"d":2}},"metadata":{"samplingRate":0.10},"traceId" : [1e5, -0]}"#;
    let envelope = read(line);
    let Payload::Exposure(exposure) = &envelope.payload else {
        panic!("not an exposure")
    };
    assert_eq!(
        exposure.attributes.as_deref(),
        Some(r#"{ "n" : 1.50, "big":12345678901234567890123,"t":"\u00e9", "d":1,"d":2}"#)
    );
    assert_eq!(envelope.metadata.as_deref(), Some(r#"{"samplingRate":0.10}"#));
    assert_eq!(
        envelope.extra.as_deref(),
        Some(r#"{"envelope":{"traceId" : [1e5, -0]}}"#)
    );
    let mut written = Vec::new();
    envelope.write_json(&mut written).unwrap();
    assert_eq!(read(std::str::from_utf8(&written).unwrap()), envelope);
    assert!(written.ends_with(br#","traceId" : [1e5, -0]}"#));
}

#[test]
fn a_member_of_another_event_type_is_unknown_and_kept() {
    let line = r#"{"eventId":"e","timestamp":"2026-01-05T09:30:00Z","eventType":2,"schemaVersion":"1.0.0","payload":{"subjectId":"u","metricName":"m","value":1,"attributes":null,"EXPERIMENTNAME":"x"}}"#;
    assert_eq!(
        read(line).extra.as_deref(),
        Some(r#"{"payload":{"attributes":null,"EXPERIMENTNAME":"x"}}"#)
    );
}

#[test]
fn what_a_signals_data_tells_is_in_columns_too() {
    let decoded = decode(include_bytes!("data/one_of_each.ndjson"));
    let batch = decoded.batches[EventType::AnalysisSignal as usize].as_ref().unwrap();
    let texts = |name: &str| {
        batch
            .column_by_name(name)
            .unwrap()
            .as_string::<i32>()
            .iter()
            .collect::<Vec<_>>()
    };
    let times = |name: &str| {
        let column = batch
            .column_by_name(name)
            .unwrap()
            .as_primitive::<TimestampMicrosecondType>();
        column.iter().collect::<Vec<_>>()
    };
    assert_eq!(texts("signal"), [None, Some("traffic.drop")]);
    assert_eq!(texts("state"), [None, Some("raised")]);
    assert_eq!(texts("window_name"), [None, Some("hourly")]);
    assert_eq!(times("window_start"), [None, Some(time("2026-01-05T09:00:00Z").0)]);
    assert_eq!(times("window_end"), [None, Some(time("2026-01-05T10:00:00Z").0)]);
    assert_eq!(texts("message")[0], Some("Sample ratio mismatch (χ²=12.3)"));
}

#[test]
fn lines_may_end_in_any_way_and_blank_ones_are_counted() {
    let line = include_str!("data/one_of_each.ndjson").lines().last().unwrap();
    let block = format!("{line}\r\n\r\n \t\n{line}\n\n{line}");
    let decoded = decode(block.as_bytes());
    assert_eq!(decoded.bad, []);
    assert_eq!(decoded.lines, 6);
    let seen: Vec<(u32, u32)> = decoded.records.iter().map(|record| (record.row, record.line)).collect();
    assert_eq!(seen, [(0, 0), (1, 3), (2, 5)]);
    assert_eq!(decode(b"").lines, 0);
    assert_eq!(decode(b"\n").lines, 1);
    let marked = format!("{line}\n\u{feff}{line}\n");
    assert_eq!(
        decode(marked.as_bytes()).bad.len(),
        1,
        "a mark is the source's to pass over"
    );
}

#[test]
fn records_are_told_in_the_order_of_their_lines() {
    let decoded = decode(include_bytes!("data/one_of_each.ndjson"));
    let seen: Vec<(EventType, u32, u32)> = decoded
        .records
        .iter()
        .map(|record| (record.event_type, record.row, record.line))
        .collect();
    use EventType::*;
    let types = [
        Exposure,
        Assignment,
        AnalysisSignal,
        Outcome,
        Error,
        Exposure,
        Assignment,
        Outcome,
        AnalysisSignal,
        Error,
    ];
    let expected: Vec<_> = types
        .into_iter()
        .zip(0..)
        .map(|(event_type, line)| (event_type, u32::from(line >= 5), line))
        .collect();
    assert_eq!(seen, expected);
}

#[test]
fn few_texts_are_kept_once_in_a_dictionary() {
    let lines: Vec<String> = (0..1_000)
        .map(|index| {
            let mut line = Vec::new();
            let exposure = Exposure::new(
                format!("x-{}", index % 3),
                format!("v-{}", index % 7),
                format!("u-{index}"),
            );
            Envelope::new(format!("e-{index}"), INGEST, exposure)
                .write_json(&mut line)
                .unwrap();
            String::from_utf8(line).unwrap()
        })
        .collect();
    let mut decoder = Decoder::new();
    for _ in 0..2 {
        let decoded = decoder.decode(lines.join("\n").as_bytes(), INGEST);
        let batch = decoded.batches[EventType::Exposure as usize].as_ref().unwrap();
        let distinct = |name: &str| batch.column_by_name(name).unwrap().as_any_dictionary().values().len();
        assert_eq!(
            (distinct("experiment"), distinct("variant"), distinct("schema_version")),
            (3, 7, 1)
        );
        let last = Envelope::from_row(EventType::Exposure, batch, 999).unwrap();
        assert_eq!(last.payload, Exposure::new("x-0", "v-5", "u-999").into());
    }
}

#[test]
fn enumerations_are_written_as_ordinals_when_asked() {
    let exposure = Exposure {
        assignment_policy: AssignmentPolicy::SubjectSticky,
        ..Exposure::new("x", "a", "u")
    };
    let envelope = Envelope::new("e", EventTime(1_500), exposure);
    let mut line = Vec::new();
    Encoder::new()
        .with_enums(EnumSpelling::Ordinals)
        .encode(&envelope, &mut line)
        .unwrap();
    assert_eq!(
        std::str::from_utf8(&line).unwrap(),
        r#"{"eventId":"e","timestamp":"1970-01-01T00:00:00.001500Z","eventType":0,"schemaVersion":"1.0.0","payload":{"experimentName":"x","variantKey":"a","subjectId":"u","assignmentPolicy":2}}"#
    );
}

#[test]
fn what_has_no_json_is_not_written_and_leaves_nothing_behind() {
    let envelope = |outcome: Outcome, timestamp| Envelope::new("e", timestamp, outcome);
    let with_metadata = |metadata: &str| Outcome {
        metadata: Some(metadata.to_owned()),
        ..Outcome::new("u", "m", 1.0)
    };
    let mut out = b"before".to_vec();
    let mut refused = |envelope: Envelope| envelope.write_json(&mut out).unwrap_err();
    assert_eq!(
        refused(envelope(Outcome::new("u", "m", f64::NAN), INGEST)),
        EventsError::NonFiniteNumber { member: "value" }
    );
    assert_eq!(
        refused(envelope(Outcome::new("u", "m", 1.0), EventTime::MAX)),
        EventsError::InstantOutOfRange { member: "timestamp" }
    );
    for metadata in ["", "[]", "{\"a\":}", "{\n}", "{}{}"] {
        assert!(matches!(
            refused(envelope(with_metadata(metadata), INGEST)),
            EventsError::NotAnObject { member: "metadata", .. }
        ));
    }
    let mut with_extra = envelope(Outcome::new("u", "m", 1.0), INGEST);
    with_extra.extra = Some(r#"{"elsewhere":{"a":1}}"#.to_owned());
    assert!(matches!(
        refused(with_extra),
        EventsError::NotAnObject { member: "extra", .. }
    ));
    assert_eq!(out, b"before");
}

#[test]
fn a_batch_of_another_table_or_a_row_beyond_it_is_refused() {
    let decoded = decode(include_bytes!("data/one_of_each.ndjson"));
    let outcomes = decoded.batches[EventType::Outcome as usize].as_ref().unwrap();
    assert_eq!(
        Envelope::from_row(EventType::Exposure, outcomes, 0),
        Err(EventsError::NotThisTable { column: "subject_type" })
    );
    assert_eq!(
        Envelope::from_row(EventType::Outcome, outcomes, 2),
        Err(EventsError::NoSuchRow { row: 2, rows: 2 })
    );
}

#[test]
fn a_batch_that_another_reader_made_is_written_as_well() {
    use arrow::compute::cast;
    use arrow::datatypes::DataType;
    use arrow::record_batch::RecordBatch;
    let decoded = decode(include_bytes!("data/one_of_each.ndjson"));
    let outcomes = decoded.batches[EventType::Outcome as usize].as_ref().unwrap();
    let schema = outcomes.schema();
    let columns = schema
        .fields()
        .iter()
        .zip(outcomes.columns())
        .rev()
        .map(|(field, column)| {
            let column = match field.data_type() {
                DataType::Utf8 => cast(column, &DataType::Utf8View).unwrap(),
                DataType::Dictionary(..) => cast(column, &DataType::LargeUtf8).unwrap(),
                _ => column.clone(),
            };
            (field.name().clone(), column)
        });
    let other = RecordBatch::try_from_iter(columns.collect::<Vec<_>>()).unwrap();
    for row in 0..2 {
        assert_eq!(
            Envelope::from_row(EventType::Outcome, &other, row),
            Envelope::from_row(EventType::Outcome, outcomes, row)
        );
    }
}
