//! Records as bytes of fixed length: they are many, and written while the job runs. Their hashes are made again from what is hashed.

use backplane_events::EventType;
use serde::de::Error as _;
use serde::{Deserializer, Serializer};

use super::bytes;
use crate::block::RecordMeta;

/// Bytes of one record.
const LENGTH: usize = 42;

pub(crate) fn serialize<S: Serializer>(records: &[RecordMeta], serializer: S) -> Result<S::Ok, S::Error> {
    let mut text = Vec::with_capacity(records.len() * LENGTH);
    for record in records {
        for number in [record.time, record.slice] {
            text.extend_from_slice(&number.to_le_bytes());
        }
        text.extend_from_slice(&record.value.to_le_bytes());
        for number in [record.experiment, record.name, record.other, record.row] {
            text.extend_from_slice(&number.to_le_bytes());
        }
        text.push(record.event_type as u8);
        text.push(u8::from(record.binary));
    }
    bytes::serialize(&text, serializer)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RecordMeta>, D::Error> {
    let text = bytes::deserialize(deserializer)?;
    let (records, rest) = text.as_chunks::<LENGTH>();
    if !rest.is_empty() {
        return Err(D::Error::custom("records break off"));
    }
    let records = records.iter().map(|bytes| record(bytes));
    let records: Option<Vec<RecordMeta>> = records.collect();
    records.ok_or_else(|| D::Error::custom("a record is of no known type"))
}

fn record(mut bytes: &[u8]) -> Option<RecordMeta> {
    let bytes = &mut bytes;
    Some(RecordMeta {
        id_hash: 0,
        subject_hash: 0,
        time: i64::from_le_bytes(next(bytes)?),
        slice: i64::from_le_bytes(next(bytes)?),
        value: f64::from_le_bytes(next(bytes)?),
        experiment: u32::from_le_bytes(next(bytes)?),
        name: u32::from_le_bytes(next(bytes)?),
        other: u32::from_le_bytes(next(bytes)?),
        row: u32::from_le_bytes(next(bytes)?),
        event_type: EventType::from_ordinal(u64::from(u8::from_le_bytes(next(bytes)?)))?,
        binary: next::<1>(bytes)? == [1],
    })
}

fn next<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Records(#[serde(with = "super")] Vec<RecordMeta>);

    #[test]
    fn a_record_is_read_back_as_it_was() {
        let record = RecordMeta {
            id_hash: 0,
            subject_hash: 0,
            time: -3,
            slice: i64::MIN,
            value: -0.25,
            experiment: 1,
            name: 2,
            other: u32::MAX,
            row: 4,
            event_type: EventType::Outcome,
            binary: true,
        };
        let text = postcard::to_stdvec(&Records(vec![record; 3])).unwrap();
        assert_eq!(text.len(), 3 * LENGTH + 3);
        let Records(found) = postcard::from_bytes(&text).unwrap();
        assert_eq!(format!("{found:?}"), format!("{:?}", [record; 3]));
        assert!(postcard::from_bytes::<Records>(&text[..text.len() - 1]).is_err());
    }
}
