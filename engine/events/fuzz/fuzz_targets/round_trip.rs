//! What was read can be written, and is read again as the same rows.
#![no_main]

use backplane_events::{Decoder, Encoder, EventTime};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut decoder = Decoder::new();
    let decoded = decoder.decode(bytes, EventTime(0));
    let mut written = Vec::new();
    for record in &decoded.records {
        let batch = decoded.batches[record.event_type as usize].as_ref().expect("a record is in a batch");
        Encoder::new()
            .encode_row(record.event_type, batch, record.row as usize, &mut written)
            .expect("what was read can be written");
        written.push(b'\n');
    }
    let again = decoder.decode(&written, EventTime(0));
    assert!(again.bad.is_empty());
    assert_eq!(again.batches, decoded.batches);
});
