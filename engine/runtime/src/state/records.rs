//! Records in few bytes: they are many, and written while the job runs.
//!
//! A record is a byte that says what it is and what follows, and numbers of variable length (LEB128, differences zigzagged): its time since the
//! record before, its slice since its time, its names, its row where that is not the next of its type, and a value that is not 0.
//! Hashes are not among them: they are made again from what is hashed, or lie beside the columns (`blocks.rs`).

use backplane_events::EventType;
use serde::de::Error as _;
use serde::{Deserializer, Serializer};

use super::bytes;
use crate::block::{NO_SLICE, RecordMeta};

/// The bits of the first byte that are the type.
const TYPE: u8 = 0b0111;
const BINARY: u8 = 0b1000;
const HAS_VALUE: u8 = 0b1_0000;
const HAS_ROW: u8 = 0b10_0000;
const HAS_SLICE: u8 = 0b100_0000;

/// What is known from the records before.
#[derive(Default)]
struct Before {
    time: i64,
    /// By type: the row after that of the last record.
    next_row: [u32; 5],
}

impl Before {
    fn next_row(&mut self, event_type: EventType) -> Option<&mut u32> {
        self.next_row.get_mut(event_type as usize)
    }
}

pub(crate) fn serialize<S: Serializer>(records: &[RecordMeta], serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = Vec::with_capacity(records.len() * 24 + 10);
    put(&mut text, records.len() as u64);
    let mut before = Before::default();
    for record in records {
        write(record, &mut before, &mut text);
    }
    bytes::serialize(&text, serializer)
}

fn write(record: &RecordMeta, before: &mut Before, text: &mut Vec<u8>) {
    let is_next_row = before
        .next_row(record.event_type)
        .is_some_and(|next| *next == record.row);
    let has_value = record.value.to_bits() != 0;
    let has_slice = record.slice != NO_SLICE;
    let flag = |is: bool, bit: u8| if is { bit } else { 0 };
    text.push(
        record.event_type as u8
            | flag(record.binary, BINARY)
            | flag(has_value, HAS_VALUE)
            | flag(!is_next_row, HAS_ROW)
            | flag(has_slice, HAS_SLICE),
    );
    put(text, zigzag(record.time.wrapping_sub(before.time)));
    if has_slice {
        put(text, zigzag(record.slice.wrapping_sub(record.time)));
    }
    // one more, so that no name is 0
    for name in [record.experiment, record.name, record.other] {
        put(text, u64::from(name.wrapping_add(1)));
    }
    if !is_next_row {
        put(text, u64::from(record.row));
    }
    if has_value {
        text.extend_from_slice(&record.value.to_le_bytes());
    }
    before.time = record.time;
    if let Some(next) = before.next_row(record.event_type) {
        *next = record.row.wrapping_add(1);
    }
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RecordMeta>, D::Error> {
    let text = bytes::deserialize(deserializer)?;
    read_all(&mut text.as_slice()).ok_or_else(|| D::Error::custom("records break off, or are of no known type"))
}

fn read_all(text: &mut &[u8]) -> Option<Vec<RecordMeta>> {
    let count = take(text)?;
    // no record takes fewer than five bytes, whatever the count claims
    let mut records = Vec::with_capacity(usize::try_from(count).ok()?.min(text.len() / 5 + 1));
    let mut before = Before::default();
    for _ in 0..count {
        records.push(read(text, &mut before)?);
    }
    text.is_empty().then_some(records)
}

fn read(text: &mut &[u8], before: &mut Before) -> Option<RecordMeta> {
    let [flags] = next(text)?;
    let event_type = EventType::from_ordinal(u64::from(flags & TYPE))?;
    let time = before.time.wrapping_add(unzigzag(take(text)?));
    let slice = match flags & HAS_SLICE {
        0 => NO_SLICE,
        _ => time.wrapping_add(unzigzag(take(text)?)),
    };
    let mut name = || Some(u32::try_from(take(text)?).ok()?.wrapping_sub(1));
    let (experiment, its_name, other) = (name()?, name()?, name()?);
    let row = match flags & HAS_ROW {
        0 => *before.next_row(event_type)?,
        _ => u32::try_from(take(text)?).ok()?,
    };
    let value = match flags & HAS_VALUE {
        0 => 0.0,
        _ => f64::from_le_bytes(next(text)?),
    };
    before.time = time;
    *before.next_row(event_type)? = row.wrapping_add(1);
    Some(RecordMeta {
        id_hash: 0,
        subject_hash: 0,
        time,
        slice,
        value,
        experiment,
        name: its_name,
        other,
        row,
        event_type,
        binary: flags & BINARY != 0,
    })
}

fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn put(text: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        text.push(number as u8 | 0x80);
        number >>= 7;
    }
    text.push(number as u8);
}

fn take(text: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let [byte] = next(text)?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn next<const N: usize>(text: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = text.split_first_chunk()?;
    *text = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::names::NO_NAME;

    #[derive(Serialize, Deserialize)]
    struct Records(#[serde(with = "super")] Vec<RecordMeta>);

    fn record(time: i64, row: u32) -> RecordMeta {
        RecordMeta {
            id_hash: 0,
            subject_hash: 0,
            time,
            slice: time.saturating_add(5_000),
            value: 0.0,
            experiment: 1,
            name: 2,
            other: NO_NAME,
            row,
            event_type: EventType::Exposure,
            binary: false,
        }
    }

    #[test]
    fn records_are_read_back_as_they_were() {
        let usual = record(1_767_571_200_000_000, 0);
        let records = vec![
            usual,
            record(usual.time - 7, 1),
            RecordMeta {
                slice: NO_SLICE,
                value: -0.25,
                experiment: NO_NAME,
                event_type: EventType::Outcome,
                binary: true,
                ..record(i64::MAX, 77)
            },
            RecordMeta {
                slice: i64::MAX,
                value: f64::MIN_POSITIVE,
                event_type: EventType::Error,
                ..record(i64::MIN, u32::MAX)
            },
            record(usual.time, 2),
        ];
        let text = postcard::to_stdvec(&Records(records.clone())).unwrap();
        let Records(found) = postcard::from_bytes(&text).unwrap();
        assert_eq!(format!("{found:?}"), format!("{records:?}"));
        for length in 0..text.len() {
            assert!(postcard::from_bytes::<Records>(&text[..length]).is_err(), "{length}");
        }
    }
}
