//! Whatever the bytes are, decoding ends well. The fuzz targets hold the same properties.

mod support;

use backplane_events::Decoder;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use support::spelling::Spelling;
use support::{any_envelope, check_any_bytes};

/// A small change to bytes: one is replaced, some are removed, something is put in, or the rest is cut off.
#[derive(Debug, Clone)]
enum Damage {
    Replace(Index, u8),
    Remove(Index, usize),
    Insert(Index, &'static [u8]),
    Cut(Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let parts: Vec<&'static [u8]> = vec![
        b"\"",
        b"\\",
        b"\\u",
        b"\\ud800",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\n",
        b"\r\n",
        b"\0",
        b"\xff",
        b"\xed\xa0\x80",
        b"null",
        b"1e999",
        b"-",
        b"\xEF\xBB\xBF",
        b"\"payload\":{}",
        b"\"eventType\":2,",
        b"\"timestamp\":null,",
        b" ",
    ];
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        (any::<Index>(), 1..40_usize).prop_map(|(at, count)| Damage::Remove(at, count)),
        (any::<Index>(), select(parts)).prop_map(|(at, part)| Damage::Insert(at, part)),
        any::<Index>().prop_map(Damage::Cut),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    if bytes.is_empty() {
        return;
    }
    match damage {
        Damage::Replace(at, byte) => *at.get_mut(bytes) = *byte,
        Damage::Remove(at, count) => {
            let start = at.index(bytes.len());
            bytes.drain(start..(start + count).min(bytes.len()));
        }
        Damage::Insert(at, part) => {
            let start = at.index(bytes.len());
            bytes.splice(start..start, part.iter().copied());
        }
        Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        check_any_bytes(&mut Decoder::new(), &bytes);
    }

    #[test]
    fn bytes_that_look_like_json_are_read_without_a_panic(
        text in "([{}\\[\\],:\"\\\\u0-9eE.+\\- \n\r]|\"payload\":|\"eventType\":|true|null|\"\"){0,60}",
    ) {
        check_any_bytes(&mut Decoder::new(), text.as_bytes());
    }

    #[test]
    fn damaged_records_are_read_or_refused_and_their_neighbours_read(
        envelopes in proptest::collection::vec(any_envelope(), 3),
        damages in proptest::collection::vec(damage(), 1..5),
        seed in any::<u64>(),
    ) {
        let mut spelling = Spelling::new(seed);
        let mut lines: Vec<Vec<u8>> = envelopes.iter().map(|envelope| spelling.line(envelope).into_bytes()).collect();
        for damage in &damages {
            apply(&mut lines[1], damage);
        }
        let added_lines = lines[1].iter().filter(|byte| **byte == b'\n').count();
        let block = lines.join(&b'\n');
        let mut decoder = Decoder::new();
        check_any_bytes(&mut decoder, &block);

        let decoded = support::decode(&block);
        let last_line = 2 + added_lines as u32;
        prop_assert_eq!(decoded.records.first().map(|record| record.line), Some(0));
        prop_assert_eq!(decoded.records.last().map(|record| record.line), Some(last_line));
        prop_assert_eq!(decoded.lines, u64::from(last_line) + 1);
    }
}

#[test]
fn brackets_without_end_exhaust_nothing() {
    for opening in ["[", "{\"a\":", "{\"payload\":{\"a\":["] {
        let line = opening.repeat(200_000);
        check_any_bytes(&mut Decoder::new(), line.as_bytes());
    }
    let many_members: String = (0..50_000).map(|index| format!("\"m{}\":1,", index % 25_000)).collect();
    check_any_bytes(
        &mut Decoder::new(),
        format!("{{{many_members}\"eventId\":\"e\"}}").as_bytes(),
    );
}
