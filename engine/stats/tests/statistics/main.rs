//! The tests on sufficient statistics, against the golden tables and against what must hold for all inputs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helpers may fail as the test does"
)]

mod closeness;
mod distributions;
mod effects;
mod multiple;
mod power;
mod properties;
mod srm;
#[path = "../support/mod.rs"]
mod support;
