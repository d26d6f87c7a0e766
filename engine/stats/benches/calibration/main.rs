//! Whether the tests that may be read at any time keep what they promise, how much data they need for it, and how fast they are.
//!
//! Prints Markdown tables. Seeds are fixed, so that the shares and medians are the same in every run; only the times are not. Ends
//! with status 1 if healthy streams raise more false alarms than chance allows.
//!
//! `cargo bench -p backplane-stats --bench calibration -- --streams 200` looks at fewer streams, for a quick look.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark whose arguments are wrong is none"
)]

mod always_valid;
mod bound;
mod detection;
mod random;
mod ratio;
mod speed;

use std::process::ExitCode;
use std::time::Instant;

/// Healthy streams of each kind, ...
const STREAMS: u32 = 2_000;
/// ... and how many events each of them has.
const EVENTS: u64 = 20_000;

fn main() -> ExitCode {
    let streams = streams().unwrap_or(STREAMS);
    let started = Instant::now();
    let ratios_hold = ratio::false_alarms(streams, EVENTS);
    let effects_hold = always_valid::false_alarms(streams, EVENTS);
    let small_arms_hold = always_valid::limits(streams.div_ceil(2), 4 * EVENTS);
    detection::subjects_to_an_alert(streams.div_ceil(4));
    speed::one_scorecard_round();
    println!("\nAll of this took {:.0} s.", started.elapsed().as_secs_f64());
    if ratios_hold && effects_hold && small_arms_hold {
        ExitCode::SUCCESS
    } else {
        println!("\nHealthy streams raised more false alarms than chance allows.");
        ExitCode::FAILURE
    }
}

/// The number after `--streams`; cargo gives arguments of its own as well.
fn streams() -> Option<u32> {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--streams");
    arguments.next()?;
    let streams = arguments.next().expect("give a number after --streams");
    Some(streams.parse().expect("give a number after --streams"))
}
