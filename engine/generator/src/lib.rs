//! Streams of envelopes whose truth is known, for the demo, the tests and the benches.
//!
//! A [`GeneratorConfig`] says what a stream is made of: experiments with real and declared allocations, metrics with planted effects,
//! and how often each irregularity of real streams happens (disorder, second deliveries, crossovers, late and bad records, outcomes
//! without experiment …). [`generate`] writes it and returns the [`Truth`]; [`GeneratorConfig::config_json`] is the configuration under
//! which a job analyses it. The same seed gives the same bytes on every machine.
//!
//! ```
//! use backplane_generator::{GeneratorConfig, generate};
//!
//! let config = GeneratorConfig::demo(2_000, 7);
//! let mut lines = Vec::new();
//! let truth = generate(&config, &mut [&mut lines])?;
//! assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 2_000);
//! assert_eq!(truth.decoded + truth.bad, 2_000);
//! # Ok::<(), backplane_generator::GeneratorError>(())
//! ```
//!
//! The way of the data: `presets` and `config` (what is wanted), `simulate` (visits in event time), `arrival` (the order of the lines),
//! `envelope`, `spelling` and `bad` (bytes), `truth` (what came out), `output` (files).

mod arrival;
mod bad;
mod config;
mod document;
mod envelope;
mod error;
mod output;
mod presets;
mod random;
mod record;
mod simulate;
mod spelling;
mod truth;

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

pub use config::{
    AllocationEpoch, CrossoverPolicy, Draws, Effect, ExperimentPlan, Fault, GeneratorConfig, MetricPlan, MetricType,
    PartitionBy, Rates, SamplePlan, TimePlan, WindowPlan,
};
pub use document::yaml;
pub use error::GeneratorError;
pub use output::{generate_files, generate_files_until, truth_path};
pub use presets::BenchShape;
pub use truth::{ExperimentTruth, Truth};

use crate::envelope::EnvelopeWriter;
use crate::record::Kind;
use crate::truth::Bookkeeper;

/// Lines are handed to a writer in pieces of about this many bytes.
const PIECE: usize = 1 << 18;

/// Writes a stream, one writer for each partition, and returns its truth. The writers are flushed at the end.
///
/// # Errors
///
/// [`GeneratorError::InvalidConfig`] where the number of writers is not that of the partitions or the stream contradicts itself;
/// [`GeneratorError::Write`] where a writer fails.
pub fn generate(config: &GeneratorConfig, partitions: &mut [&mut dyn Write]) -> Result<Truth, GeneratorError> {
    write_stream(config, partitions, &AtomicBool::new(false))
}

/// As [`generate`], for as long as the flag is not set.
fn write_stream(
    config: &GeneratorConfig,
    partitions: &mut [&mut dyn Write],
    stop: &AtomicBool,
) -> Result<Truth, GeneratorError> {
    config.check()?;
    if partitions.len() != usize::from(config.partitions) {
        let reason = format!(
            "{} partitions need as many files, there are {}",
            config.partitions,
            partitions.len()
        );
        return Err(GeneratorError::InvalidConfig { reason });
    }
    let lines = usize::try_from(config.events).unwrap_or(usize::MAX);
    let share_of_lines = |share: f64| (lines as f64 * share).round() as usize;
    let (bad, copies) = (share_of_lines(config.rates.bad), share_of_lines(config.rates.duplicate));
    let records = simulate::simulate(config, lines - bad - copies, stop);
    if stop.load(Ordering::Relaxed) {
        return Err(GeneratorError::Stopped);
    }
    let stream = arrival::arrive(config, records, copies, bad);

    let start = config.start.timestamp_micros();
    let mut writer = EnvelopeWriter::new(config);
    let mut books = Bookkeeper::new(config);
    let mut pieces = vec![Vec::with_capacity(PIECE + 4096); partitions.len()];
    for record in &stream {
        let partition = usize::from(record.partition);
        let (Some(piece), Some(out)) = (pieces.get_mut(partition), partitions.get_mut(partition)) else {
            continue;
        };
        let before = piece.len();
        match record.kind {
            Kind::Bad => bad::write(piece, record, start),
            _ => writer.write(piece, record),
        }
        books.line(record, piece.len() - before);
        if piece.len() >= PIECE {
            if stop.load(Ordering::Relaxed) {
                return Err(GeneratorError::Stopped);
            }
            out.write_all(piece)?;
            piece.clear();
        }
    }
    for (piece, out) in pieces.iter().zip(partitions) {
        out.write_all(piece)?;
        out.flush()?;
    }
    Ok(books.finish())
}
