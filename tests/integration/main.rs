//! Tests that cross crates, in one binary.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod checkpoint_s3;
mod crash;
mod differential;
mod oracle;
mod readers;
mod real_data;
