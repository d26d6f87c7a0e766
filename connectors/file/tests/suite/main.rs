//! The file connectors as the engine uses them.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails should panic, also in its helpers"
)]

mod follow;
mod letters;
mod ndjson;
mod refusals;
mod rest;
mod stdin;
mod terminal;

use std::io::Write as _;

use backplane_connector_api::{BlockData, PartitionReader, Read};

/// `count` lines of JSON that differ in length.
pub fn numbered(count: usize) -> String {
    (0..count)
        .map(|number| format!("{{\"record\":{number},\"filler\":\"{}\"}}\n", "x".repeat(number % 50)))
        .collect()
}

/// A member of a gzip file.
pub fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// A frame of a Zstandard file.
pub fn zstandard(text: &[u8]) -> Vec<u8> {
    zstd::encode_all(text, 3).unwrap()
}

/// Everything that can be read now, with how it ended.
pub fn read_now(reader: &mut dyn PartitionReader) -> (String, Result<Read, String>) {
    let mut text = Vec::new();
    loop {
        match reader.read(1000) {
            Ok(Read::Block(block)) => match block.data {
                BlockData::Lines(lines) => text.extend_from_slice(&lines),
                BlockData::Decoded(_) => panic!("files hold lines"),
            },
            Ok(end) => return (String::from_utf8(text).unwrap(), Ok(end)),
            Err(error) => return (String::from_utf8(text).unwrap(), Err(error.to_string())),
        }
    }
}
