//! How bytes enter and leave the engine.
//!
//! A [`Source`] has partitions, each read in record order by a [`PartitionReader`]; a [`Sink`] takes batches of tables and makes them
//! visible in two steps, so that a crash between them neither loses nor repeats a row:
//!
//! 1. [`Sink::prepare`] makes everything accepted so far durable under names that no reader looks at, and returns an [`Effect`];
//! 2. [`Sink::publish`] makes an effect visible. It is idempotent: publishing the same effect of the same epoch again changes nothing.
//!
//! A job that goes back to an earlier epoch has [`Sink::withdraw`] take the later ones out again.
//!
//! [`memory`] has a source and a sink that hold everything in memory; [`conformance`] is the suite that every connector passes.

pub mod conformance;
pub mod durable;
mod error;
pub mod lines;
pub mod memory;
pub mod places;
mod sink;
mod source;
pub mod steps;

pub use error::{ConnectorError, Fault};
pub use sink::{Effect, Epoch, Output, Sink};
pub use source::{Block, BlockData, DecodedEvents, PartitionId, PartitionReader, Position, Read, RecordRef, Source};
