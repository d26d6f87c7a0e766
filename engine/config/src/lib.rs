//! The configuration document: typed model, validation with positions, secrets.
//!
//! A document is YAML or JSON, with or without the root key `experimentFramework`. Its way:
//!
//! 1. text becomes a tree in which every key and value knows its line and column ([`Document`]), within a budget that hostile text
//!    cannot exceed;
//! 2. overrides (`--set path=value`) and then environment variables (`${NAME}`, `${NAME:-default}`, `$$` for a dollar sign) are put in;
//! 3. the tree is checked against tables of known keys, which also fill in defaults and mark secrets, then against the rules between
//!    values; all findings are reported at once, each with its place and, for a misspelt name, a suggestion ([`Diagnostic`]);
//! 4. the typed model is read from it ([`Config`]).
//!
//! ```
//! use backplane_config::{Document, Syntax};
//!
//! let text = "engine:\n  sorces: []\n";
//! let error = Document::parse("job.yaml", text, Syntax::Yaml)?.load(&|_| None).unwrap_err();
//! assert_eq!(error.to_string(), "job.yaml:2:3: error: engine.sorces: unknown key \"sorces\" (did you mean sources?)");
//! # Ok::<(), backplane_config::ConfigError>(())
//! ```
//!
//! Everything that can be wrong here is the user's to put right.

#[macro_use]
mod named_enum;
mod build;
mod check;
mod derived;
mod diagnostic;
mod document;
mod effective;
mod error;
mod fingerprint;
mod json;
mod load;
mod model;
mod path;
mod rules;
mod scalar;
mod schema;
mod secret;
mod shape;
mod storage;
mod substitute;
mod tables;
mod tree;
mod units;
mod yaml;

pub use diagnostic::{Diagnostic, Severity};
pub use document::{Document, Syntax};
pub use effective::{Effective, EffectiveValue};
pub use error::ConfigError;
pub use fingerprint::Fingerprint;
pub use load::{Loaded, validate};
pub use model::{
    Aggregation, AllocationEpoch, Auth, CUMULATIVE, Checkpoint, Config, Correction, Covariate, Crossovers,
    DEFAULT_ATTRIBUTION_WINDOW, DeadLetter, Design, Engine, Experiment, FileSink, FileSource, Format, LakeSink,
    LakeSource, Metric, MetricDefinition, MetricType, Peeking, Plan, Query, Role, SampleRatioMismatch, Segment, Server,
    Signals, Sink, SinkKind, Source, SourceKind, Spending, StdinSource, Take, TerminalSink, Time, Window, WindowKind,
    Winsorize,
};
pub use schema::schema;
pub use secret::{MASK, Secret};
pub use storage::StorageUrl;
pub use substitute::{Environment, process_environment};
pub use tree::{Origin, Section};
pub use units::{ByteSize, Micros, Timestamp};
