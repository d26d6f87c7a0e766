//! Each way of being bad has its reason, its place and a sentence that helps.

mod support;

use backplane_events::{BadReason, MAX_DEPTH, MAX_LINE_BYTES};
use support::{decode, envelopes};

const GOOD: &str = r#"{"eventId":"e-1","timestamp":"2026-01-05T09:30:00Z","eventType":"Outcome","schemaVersion":"1.0.0","payload":{"subjectId":"u-1","metricName":"revenue","value":19.99}}"#;

/// Puts the line between two good ones, and expects it alone to be refused, for this reason, with these words.
#[track_caller]
fn refused(line: impl AsRef<[u8]>, reason: BadReason, words: &str) {
    let line = line.as_ref();
    let block = [GOOD.as_bytes(), b"\r\n\n", line, b"\r\n", GOOD.as_bytes()].concat();
    let decoded = decode(&block);
    assert_eq!(decoded.bad.len(), 1, "{}", String::from_utf8_lossy(line));
    let bad = &decoded.bad[0];
    assert_eq!((bad.line, bad.offset), (2, GOOD.len() + 3));
    assert_eq!(bad.raw, line);
    assert_eq!(bad.reason, reason, "{}", bad.detail);
    assert!(bad.detail.contains(words), "{}", bad.detail);
    assert_eq!(decoded.lines, 4);
    let lines: Vec<u32> = decoded.records.iter().map(|record| record.line).collect();
    assert_eq!(lines, [0, 3]);
    let read = envelopes(&decoded);
    assert_eq!(read[0], read[1]);
}

/// The good line with one part replaced.
#[track_caller]
fn good_but(part: &str, replacement: &str) -> String {
    assert!(GOOD.contains(part));
    GOOD.replace(part, replacement)
}

#[test]
fn the_line_that_the_others_are_made_from_is_good() {
    assert_eq!(decode(GOOD.as_bytes()).bad, []);
}

#[test]
fn what_is_not_json_is_refused_with_the_place() {
    refused(
        "not json",
        BadReason::InvalidJson,
        "at byte 1 of the line 'n' stands where an object was expected",
    );
    refused("[1]", BadReason::InvalidJson, "'[' stands where an object was expected");
    refused(
        good_but("\"Outcome\"", "Outcome"),
        BadReason::InvalidJson,
        "'O' stands where a value was expected",
    );
    refused(
        good_but("19.99", "NaN"),
        BadReason::InvalidJson,
        "'N' stands where a value was expected",
    );
    refused(
        good_but("19.99", "019"),
        BadReason::InvalidJson,
        "'1' stands where ',' or '}' was expected",
    );
    refused(
        good_but("19.99", "1."),
        BadReason::InvalidJson,
        "'}' stands where a digit was expected",
    );
    refused(
        format!("{GOOD} {GOOD}"),
        BadReason::InvalidJson,
        "'{' stands where the end of the line was expected",
    );
    refused(
        &GOOD[..GOOD.len() - 1],
        BadReason::InvalidJson,
        "where ',' or '}' was expected",
    );
    refused(&GOOD[..20], BadReason::InvalidJson, "at byte 21 of the line");
    refused(&GOOD[..15], BadReason::InvalidJson, "inside a text");
    refused(
        good_but("u-1", "u\t1"),
        BadReason::InvalidJson,
        "'\\t' stands unescaped inside a text",
    );
    refused(
        good_but("u-1", "u\\x1"),
        BadReason::InvalidJson,
        "a backslash begins no escape",
    );
    refused(
        good_but("u-1", "\\ud83d"),
        BadReason::InvalidJson,
        "half of a surrogate pair",
    );
    refused(
        good_but("u-1", "\\ude00"),
        BadReason::InvalidJson,
        "half of a surrogate pair",
    );
    refused(
        good_but("\"value\"", "value"),
        BadReason::InvalidJson,
        "'v' stands where a member name was expected",
    );
    refused(
        good_but("\"value\":", "\"value\""),
        BadReason::InvalidJson,
        "where ':' was expected",
    );
    refused(
        good_but("19.99", "19.99,"),
        BadReason::InvalidJson,
        "'}' stands where a member name was expected",
    );
}

#[test]
fn what_is_broken_in_an_unknown_member_is_not_json_either() {
    refused(
        good_but("\"value\"", "\"x\":[1,],\"value\""),
        BadReason::InvalidJson,
        "a value was expected",
    );
    refused(
        good_but("\"value\"", "\"x\":{\"a\" 1},\"value\""),
        BadReason::InvalidJson,
        "':' was expected",
    );
}

#[test]
fn what_is_not_utf_8_is_refused_with_the_place() {
    let mut line = GOOD.as_bytes().to_vec();
    line[12] = 0xff;
    refused(&line, BadReason::InvalidUtf8, "byte 13 of the line is not UTF-8");
    line.truncate(13);
    line[12] = 0xe2;
    refused(&line, BadReason::InvalidUtf8, "byte 13");
}

#[test]
fn many_lines_that_are_not_utf_8_take_no_longer_each_than_few() {
    let mut block = Vec::new();
    for _ in 0..100_000 {
        block.extend_from_slice(b"\xff\r\n");
        block.extend_from_slice(GOOD.as_bytes());
        block.extend_from_slice(b"\n\n");
    }
    let started = std::time::Instant::now();
    let decoded = decode(&block);
    assert_eq!(
        (decoded.bad.len(), decoded.records.len(), decoded.lines),
        (100_000, 100_000, 300_000)
    );
    assert_eq!((decoded.bad[1].line, &decoded.bad[1].raw[..]), (3, &b"\xff"[..]));
    // looking at the rest again after each of them would take a hundred times as long
    assert!(
        started.elapsed() < std::time::Duration::from_secs(20),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_line_of_the_greatest_length_is_read_and_one_byte_more_is_refused() {
    let filled = |length: usize, ending: &str| {
        let line = good_but("\"value\"", "\"x\":\"\",\"value\"");
        let filler = "x".repeat(length - line.len());
        format!("{}{ending}", line.replacen("\"x\":\"", &format!("\"x\":\"{filler}"), 1))
    };
    for ending in ["\n", "\r\n", ""] {
        let decoded = decode(filled(MAX_LINE_BYTES, ending).as_bytes());
        assert_eq!((decoded.records.len(), decoded.bad.len()), (1, 0));
        let decoded = decode(filled(MAX_LINE_BYTES + 1, ending).as_bytes());
        assert_eq!((decoded.records.len(), decoded.bad.len()), (0, 1));
        assert_eq!(decoded.bad[0].reason, BadReason::LineTooLong);
        assert_eq!(
            decoded.bad[0].raw.len(),
            64 << 10,
            "a beginning is enough to find it by"
        );
    }
    let cut = &filled(MAX_LINE_BYTES + 1000, "")[..MAX_LINE_BYTES + 1];
    assert_eq!(
        decode(cut.as_bytes()).bad[0].reason,
        BadReason::LineTooLong,
        "whatever else is wrong with it"
    );
}

#[test]
fn nesting_beyond_the_limit_is_refused_and_up_to_it_accepted() {
    let nested = |depth: usize| {
        let attributes = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        good_but("\"value\"", &format!("\"x\":{attributes},\"value\""))
    };
    assert_eq!(decode(nested(MAX_DEPTH - 2).as_bytes()).bad, []);
    refused(nested(MAX_DEPTH - 1), BadReason::TooDeep, "nested more than 100 deep");
    refused(nested(100_000), BadReason::TooDeep, "nested more than 100 deep");
}

#[test]
fn a_required_member_that_is_absent_or_null_is_named() {
    for (member, name) in [
        (r#""eventId":"e-1","#, "eventId"),
        (r#""timestamp":"2026-01-05T09:30:00Z","#, "timestamp"),
        (r#""eventType":"Outcome","#, "eventType"),
        (r#""schemaVersion":"1.0.0","#, "schemaVersion"),
        (r#""subjectId":"u-1","#, "payload.subjectId"),
        (r#""metricName":"revenue","#, "payload.metricName"),
    ] {
        let words = format!("the member {name} is missing");
        refused(good_but(member, ""), BadReason::MissingMember, &words);
        let key = member.split(':').next().unwrap();
        refused(
            good_but(member, &format!("{key}:null,")),
            BadReason::MissingMember,
            &words,
        );
    }
    refused(
        good_but(",\"value\":19.99", ""),
        BadReason::MissingMember,
        "payload.value",
    );
    refused("{}", BadReason::MissingMember, "eventType");
    let without_payload = r#"{"eventId":"e","timestamp":"2026-01-05T09:30:00Z","eventType":0,"schemaVersion":"1.0.0"}"#;
    refused(without_payload, BadReason::MissingMember, "payload");
}

#[test]
fn each_event_type_has_its_own_required_members() {
    let event = |event_type: &str, members: &[(&str, &str)], left_out: &str| {
        let members: Vec<String> = members
            .iter()
            .filter(|(name, _)| *name != left_out)
            .map(|(name, value)| format!("\"{name}\":\"{value}\""))
            .collect();
        format!(
            r#"{{"eventId":"e","timestamp":"2026-01-05T09:30:00Z","eventType":"{event_type}","schemaVersion":"1.0.0","payload":{{{}}}}}"#,
            members.join(",")
        )
    };
    let types: [(&str, &[(&str, &str)]); 4] = [
        (
            "Exposure",
            &[("experimentName", "x"), ("variantKey", "a"), ("subjectId", "u")],
        ),
        (
            "Assignment",
            &[("experimentName", "x"), ("subjectId", "u"), ("newVariantKey", "a")],
        ),
        (
            "AnalysisSignal",
            &[
                ("experimentName", "x"),
                ("signalType", "Custom"),
                ("severity", "Info"),
                ("message", "m"),
            ],
        ),
        ("Error", &[("errorType", "t"), ("message", "m")]),
    ];
    for (event_type, members) in types {
        assert_eq!(
            decode(event(event_type, members, "").as_bytes()).bad,
            [],
            "{event_type}"
        );
        for (name, _) in members {
            refused(
                event(event_type, members, name),
                BadReason::MissingMember,
                &format!("payload.{name}"),
            );
        }
    }
}

#[test]
fn an_empty_id_or_name_that_is_required_is_refused() {
    refused(
        good_but("\"e-1\"", "\"\""),
        BadReason::EmptyId,
        "the member eventId is empty",
    );
    refused(
        good_but("\"u-1\"", "\"\""),
        BadReason::EmptyId,
        "the member payload.subjectId is empty",
    );
    refused(
        good_but("\"revenue\"", "\"\""),
        BadReason::EmptyId,
        "the member payload.metricName is empty",
    );
}

#[test]
fn an_event_id_is_measured_in_characters() {
    assert_eq!(decode(good_but("e-1", &"é".repeat(100)).as_bytes()).bad, []);
    assert_eq!(decode(good_but("e-1", &"\\u00e9".repeat(100)).as_bytes()).bad, []);
    refused(
        good_but("e-1", &"é".repeat(101)),
        BadReason::IdTooLong,
        "the member eventId has 101 characters, more than 100: é",
    );
    refused(good_but("e-1", &"\\u0065".repeat(101)), BadReason::IdTooLong, "eeee");
}

#[test]
fn a_member_of_another_type_is_named_with_what_stands_there() {
    refused(
        good_but("\"u-1\"", "17"),
        BadReason::WrongType,
        "the member payload.subjectId is a number where a text belongs: 17",
    );
    refused(
        good_but("19.99", "\"19.99\""),
        BadReason::WrongType,
        "the member payload.value is a text where a number belongs: 19.99",
    );
    refused(
        good_but("19.99", "true"),
        BadReason::WrongType,
        "payload.value is a boolean",
    );
    refused(
        good_but("\"Outcome\"", "[2]"),
        BadReason::WrongType,
        "eventType is an array",
    );
    refused(
        good_but("\"1.0.0\"", "1.0"),
        BadReason::WrongType,
        "schemaVersion is a number",
    );
    refused(
        good_but("\"2026-01-05T09:30:00Z\"", "1767605400"),
        BadReason::WrongType,
        "timestamp is a number",
    );
    refused(
        good_but("{\"subjectId\"", "[{\"subjectId\"").replace("19.99}", "19.99}]"),
        BadReason::WrongType,
        "payload is an array",
    );
    let with = |member: &str| good_but("\"value\"", &format!("{member},\"value\""));
    refused(
        with("\"metadata\":[1]"),
        BadReason::WrongType,
        "payload.metadata is an array where an object belongs: [1]",
    );
    refused(
        with("\"tenantId\":{}"),
        BadReason::WrongType,
        "payload.tenantId is an object",
    );
    refused(
        with("\"outcomeType\":false"),
        BadReason::WrongType,
        "payload.outcomeType is a boolean",
    );
    refused(
        good_but("\"payload\"", "\"metadata\":\"m\",\"payload\""),
        BadReason::WrongType,
        "metadata is a text where an object",
    );
    let exposure = good_but("\"Outcome\"", "0").replace(
        "\"value\":19.99",
        "\"experimentName\":\"x\",\"variantKey\":\"a\",\"isRepeatExposure\":\"no\"",
    );
    refused(
        exposure,
        BadReason::WrongType,
        "payload.isRepeatExposure is a text where true or false belongs",
    );
}

#[test]
fn a_timestamp_that_is_none_is_refused() {
    refused(
        good_but("2026-01-05T09:30:00Z", ""),
        BadReason::InvalidTimestamp,
        "the member timestamp is not an RFC 3339 instant",
    );
    refused(
        good_but("2026-01-05T09:30:00Z", "2026-01-05T09:30:00"),
        BadReason::InvalidTimestamp,
        "2026-01-05T09:30:00\"",
    );
    refused(
        good_but("2026-01-05T09:30:00Z", "2026-02-30T09:30:00Z"),
        BadReason::InvalidTimestamp,
        "timestamp",
    );
    let in_payload = good_but("\"value\"", "\"timestamp\":\"yesterday\",\"value\"");
    refused(
        in_payload,
        BadReason::InvalidTimestamp,
        "the member payload.timestamp is not",
    );
}

#[test]
fn an_event_type_that_is_none_of_the_five_is_refused() {
    refused(
        good_but("\"Outcome\"", "\"Conversion\""),
        BadReason::UnknownEventType,
        "none of Exposure, Assignment, Outcome, AnalysisSignal, Error: Conversion",
    );
    refused(good_but("\"Outcome\"", "5"), BadReason::UnknownEventType, ": 5");
    refused(good_but("\"Outcome\"", "-1"), BadReason::UnknownEventType, ": -1");
    refused(good_but("\"Outcome\"", "2.0"), BadReason::UnknownEventType, ": 2.0");
    refused(
        good_but("\"Outcome\"", "\"\""),
        BadReason::UnknownEventType,
        "eventType",
    );
}

#[test]
fn a_value_that_is_not_of_its_enumeration_is_refused() {
    let with = |member: &str| good_but("\"value\"", &format!("{member},\"value\""));
    refused(
        with("\"outcomeType\":\"Gauge\""),
        BadReason::UnknownEnumValue,
        "payload.outcomeType is none of Binary, Continuous, Count, Duration: Gauge",
    );
    refused(with("\"outcomeType\":4"), BadReason::UnknownEnumValue, ": 4");
}

#[test]
fn a_schema_version_of_another_form_or_major_is_refused() {
    for version in [
        "2.0.0", "0.9.0", "10.0.0", "1", "1.0", "1.0.0.0", "1.0.x", "1..0", "", "v1.0.0", "1.0.0-rc",
    ] {
        refused(
            good_but("\"1.0.0\"", &format!("\"{version}\"")),
            BadReason::UnsupportedSchemaVersion,
            &format!("\"{version}\""),
        );
    }
}

#[test]
fn a_value_that_is_not_finite_is_refused() {
    refused(
        good_but("19.99", "1e400"),
        BadReason::NonFiniteValue,
        "the member payload.value is not a finite double: 1e400",
    );
    refused(good_but("19.99", "-1e400"), BadReason::NonFiniteValue, "-1e400");
    refused(good_but("19.99", "\"NaN\""), BadReason::NonFiniteValue, "NaN");
    refused(
        good_but("19.99", "\"-Infinity\""),
        BadReason::NonFiniteValue,
        "-Infinity",
    );
    assert_eq!(decode(good_but("19.99", "1e-400").as_bytes()).bad, []);
}
