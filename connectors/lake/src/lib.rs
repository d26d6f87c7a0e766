//! The Parquet lake as Delta tables: sink, source, reader.
//!
//! A lake is a folder (or any object store that Delta tables can be in) with one Delta table for each table of the engine, partitioned by
//! `event_date`:
//!
//! ```text
//! <url>/<table>/_delta_log/…
//! <url>/<table>/event_date=YYYY-MM-DD/….parquet
//! ```
//!
//! Readers that know Delta see what is published. One that knows only Parquet reads `<url>/<table>/event_date=*/*.parquet`, and may see files of
//! an unfinished or crashed commit; the log's own Parquet files are beside those folders.
//!
//! Event tables are partitioned by the date of the event's time, the others by the date on which the row was emitted. [`LakeSink`] writes
//! it, in two steps: files that no Delta reader sees, then one commit per table. [`Lake`] reads it with DataFusion, [`LakeSource`] gives its
//! events back as a stream in event-time order. [`Leftovers`] are the files that no reader needs.

mod config;
mod durable;
mod error;
mod files;
mod health;
mod layout;
mod location;
mod log;
mod merge;
mod reader;
mod runtime;
mod sink;
mod source;
mod statistics;
mod upkeep;
mod writer;

pub use config::LakeOptions;
pub use error::LakeError;
pub use layout::{EVENT_DATE, delta_schema, kinds_of_files};
pub use reader::Lake;
pub use sink::LakeSink;
pub use source::LakeSource;
pub use upkeep::{FileCount, Leftovers};
