//! Files, standard input, NDJSON outputs, terminal lines.
//!
//! Bytes come in through [`FileSource`] (one partition per file, plain, gzip or Zstandard, at rest or growing) and [`StdinSource`]; rows go
//! out through [`NdjsonSink`] (one JSON object per line, appended to a file) and [`TerminalSink`] (what a person wants to see). What the job
//! could not read is looked at with [`Letters`] and comes in again through [`LetterSource`].
//!
//! ```no_run
//! use backplane_connector_api::{Read, Source};
//! use backplane_file::{FileOptions, FileSource};
//!
//! let mut source = FileSource::new("clicks", FileOptions::at_rest(["events/*.ndjson.zst"]));
//! for partition in source.discover()? {
//!     let mut reader = source.open(&partition, None)?;
//!     while let Read::Block(block) = reader.read(1 << 20)? {
//!         println!("{} to {}", source.describe(&partition), block.end.offset);
//!     }
//! }
//! # Ok::<(), backplane_connector_api::ConnectorError>(())
//! ```

mod blocks;
mod config;
mod decompress;
mod error;
mod health;
mod identity;
mod json;
mod letters;
mod patterns;
mod reader;
mod sink;
mod source;
mod stdin;
mod terminal;

pub use config::{FileOptions, NdjsonOptions, TerminalOptions};
pub use error::FileError;
pub use letters::{Letter, LetterLine, LetterSource, Letters};
pub use sink::NdjsonSink;
pub use source::FileSource;
pub use stdin::StdinSource;
pub use terminal::TerminalSink;
