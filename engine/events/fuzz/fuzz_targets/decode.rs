//! Whatever the bytes are, each line is a record, bad or blank, and nothing panics.
#![no_main]

use backplane_events::{Decoder, EventTime};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let decoded = Decoder::new().decode(bytes, EventTime(0));
    let rows: usize = decoded.batches.iter().flatten().map(|batch| batch.num_rows()).sum();
    assert_eq!(rows, decoded.records.len());
    assert!((decoded.records.len() + decoded.bad.len()) as u64 <= decoded.lines);
    for bad in &decoded.bad {
        assert_eq!(bytes.get(bad.offset..bad.offset + bad.raw.len()), Some(bad.raw.as_slice()));
    }
});
