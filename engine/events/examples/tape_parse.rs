//! What no reader of these bytes gets below: simd-json's tape of every line, on so many threads, and nothing done with it.
//!
//! ```sh
//! cargo run --release --package backplane-events --example tape_parse -- EVENTS.ndjson 2
//! ```
//!
//! The file is read before the clock starts. Prints one line of JSON: lines, seconds, lines a second.

use std::time::Instant;

use simd_json::Buffers;
use simd_json::value::tape::Tape;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("the first argument is the file of lines")?;
    let threads: usize = arguments.next().map_or(Ok(1), |text| text.parse())?;
    let mut bytes = std::fs::read(path)?;
    let parts = parts_of(&mut bytes, threads.max(1));
    let started = Instant::now();
    let lines: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = parts.into_iter().map(|part| scope.spawn(|| parse(part))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or_default())
            .sum()
    });
    let seconds = started.elapsed().as_secs_f64();
    let rate = lines as f64 / seconds;
    println!("{{\"lines\": {lines}, \"seconds\": {seconds:.3}, \"lines_per_second\": {rate:.0}}}");
    Ok(())
}

/// Parts of about the same length, each of whole lines.
fn parts_of(mut bytes: &mut [u8], count: usize) -> Vec<&mut [u8]> {
    let length = bytes.len().div_ceil(count);
    let mut parts = Vec::new();
    while bytes.len() > length {
        let end = bytes[length..].iter().position(|byte| *byte == b'\n');
        let (part, rest) = bytes.split_at_mut(end.map_or(bytes.len(), |end| length + end + 1));
        parts.push(part);
        bytes = rest;
    }
    parts.push(bytes);
    parts
}

/// How many lines there are that are JSON.
fn parse(bytes: &mut [u8]) -> usize {
    let (mut buffers, mut tape) = (Buffers::default(), Tape::null());
    let mut lines = 0;
    for line in bytes.split_mut(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let mut filled = tape.reset();
        lines += usize::from(simd_json::fill_tape(line, &mut buffers, &mut filled).is_ok());
        tape = filled.reset();
    }
    lines
}
