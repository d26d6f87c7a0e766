//! What goes in comes out: envelope to JSON to batch to envelope, in every spelling.

#![allow(clippy::expect_used, reason = "a helper of tests fails as the test does")]

mod support;

use backplane_events::{Decoder, Encoder, EnumSpelling, Envelope, EventType, Table};
use proptest::prelude::*;
use support::spelling::Spelling;
use support::{INGEST, any_envelope, check_any_bytes, decode, envelope, envelopes};

/// `extra` as a value: unknown members may change their order.
fn without_order(envelope: Envelope) -> (Envelope, Option<serde_json::Value>) {
    let members = envelope.extra.as_deref().map(spelled_numbers);
    (
        Envelope {
            extra: None,
            ..envelope
        },
        members,
    )
}

/// The JSON value with each number kept as the text it is spelled in.
fn spelled_numbers(json: &str) -> serde_json::Value {
    let mut quoted = String::new();
    let (mut in_text, mut escaped, mut in_number) = (false, false, false);
    for character in json.chars() {
        let of_number = !in_text && matches!(character, '0'..='9' | '-' | '+' | '.' | 'E')
            || !in_text && in_number && character == 'e';
        if of_number != in_number {
            quoted.push('"');
            in_number = of_number;
        }
        quoted.push(character);
        if character == '"' && !escaped {
            in_text = !in_text;
        }
        escaped = in_text && character == '\\' && !escaped;
    }
    serde_json::from_str(&quoted).expect("extra is JSON")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_envelope_in_any_accepted_spelling_is_read_as_that_envelope(
        envelopes_in in proptest::collection::vec(any_envelope(), 1..6),
        seed in any::<u64>(),
    ) {
        let mut spelling = Spelling::new(seed);
        let mut lines = String::new();
        for envelope in &envelopes_in {
            lines += &spelling.line(envelope);
            lines += if seed % 2 == 0 { "\n" } else { "\r\n" };
        }
        let decoded = decode(lines.as_bytes());
        prop_assert!(decoded.bad.is_empty(), "{:?}\n{}", decoded.bad, lines);
        prop_assert_eq!(decoded.lines, envelopes_in.len() as u64);
        for (record, expected) in decoded.records.iter().zip(envelopes_in) {
            prop_assert_eq!(without_order(envelope(&decoded, record)), without_order(expected));
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same_envelope(original in any_envelope(), ordinals in any::<bool>()) {
        let enums = if ordinals { EnumSpelling::Ordinals } else { EnumSpelling::Names };
        let mut line = Vec::new();
        Encoder::new().with_enums(enums).encode(&original, &mut line).unwrap();
        let decoded = decode(&line);
        prop_assert!(decoded.bad.is_empty(), "{:?}", decoded.bad);
        prop_assert_eq!(envelopes(&decoded), vec![original]);
    }

    #[test]
    fn what_is_written_is_json_to_others_too(original in any_envelope()) {
        let mut line = Vec::new();
        original.write_json(&mut line).unwrap();
        let value: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> = serde_json::from_slice(&line).unwrap();
        let id: String = serde_json::from_str(value["eventId"].get()).unwrap();
        prop_assert_eq!(id, original.event_id);
        prop_assert!(!line.contains(&b'\n'));
    }

    #[test]
    fn a_block_of_spelled_envelopes_survives_decode_encode_decode(
        envelopes in proptest::collection::vec(any_envelope(), 0..6),
        seed in any::<u64>(),
    ) {
        let mut spelling = Spelling::new(seed);
        let lines: Vec<String> = envelopes.iter().map(|envelope| spelling.line(envelope)).collect();
        check_any_bytes(&mut Decoder::new(), lines.join("\n").as_bytes());
    }

    #[test]
    fn a_decoder_gives_the_same_whatever_it_has_read_before(
        before in any_envelope(),
        after in any_envelope(),
        seed in any::<u64>(),
    ) {
        let mut spelling = Spelling::new(seed);
        let (before, after) = (spelling.line(&before), spelling.line(&after));
        let mut used = Decoder::new();
        used.decode(before.as_bytes(), INGEST);
        used.decode(&before.as_bytes()[..before.len() / 2], INGEST);
        prop_assert_eq!(used.decode(after.as_bytes(), INGEST).batches, decode(after.as_bytes()).batches);
    }
}

#[test]
fn every_batch_has_the_schema_of_its_table() {
    let lines = include_bytes!("data/one_of_each.ndjson");
    let decoded = decode(lines);
    assert_eq!(decoded.bad, []);
    for event_type in EventType::ALL {
        let batch = decoded.batches[*event_type as usize]
            .as_ref()
            .expect("there is one of each");
        assert_eq!(batch.schema(), Table::of_event(*event_type).schema());
        assert_eq!(batch.num_rows(), 2);
    }
}
