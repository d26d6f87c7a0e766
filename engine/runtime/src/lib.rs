//! The stream job: sources, decode, dedup, join, windows, sinks, epochs.
//!
//! The files read as the data's way through the job:
//! `decoding` (rounds read ahead) → `block` (a decoded block) → `stream_time` (what its event times mean) → `dedup` → `join` over `subjects`, `experiment` and
//! `recent` → `panes` and `closing` (windows) → `emit` (rows of the result tables).

mod ahead;
mod assigned;
pub mod block;
mod closing;
mod crossover;
pub mod declared;
mod decoded;
mod decoding;
mod dedup;
mod emit;
mod epochs;
mod error;
pub mod evaluation;
mod experiment;
mod group;
mod input;
mod job;
#[cfg(test)]
mod job_tests;
mod join;
mod ledger;
pub mod names;
mod outlets;
mod panes;
pub mod partial;
mod pending;
pub mod plan;
mod progress;
mod recent;
mod records_out;
mod risk;
mod row;
pub mod shard;
pub mod snapshot;
mod stamp;
mod state;
mod stream_time;
mod subjects;
mod totals;
mod user_queries;

pub use epochs::{Checkpoints, LEAST_JOURNAL, Recovery, Start};
pub use error::RuntimeError;
pub use input::PartitionHead;
pub use job::{Ending, Job, JobOptions};
pub use ledger::{Ledger, LedgerRows};
pub use outlets::Outlet;
pub use progress::{Counters, Observer, Progress};
pub use records_out::{CUMULATIVE, DeadLetter, dead_letter_rows};
pub use user_queries::{UserQueries, UserQuery};
