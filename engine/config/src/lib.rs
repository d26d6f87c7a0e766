//! The configuration document: typed model, validation with positions, secrets.

#[macro_use]
mod named_enum;
mod model;
mod secret;
mod storage;
mod tree;
mod units;

pub use model::{
    Aggregation, AllocationEpoch, Auth, CUMULATIVE, Checkpoint, Config, Correction, Covariate, Crossovers,
    DEFAULT_ATTRIBUTION_WINDOW, DeadLetter, Design, Engine, Experiment, FileSink, FileSource, Format, LakeSink, LakeSource, Metric,
    MetricDefinition, MetricType, Peeking, Plan, Query, Role, SampleRatioMismatch, Segment, Server, Signals, Sink, SinkKind, Source,
    SourceKind, Spending, StdinSource, Take, TerminalSink, Time, Window, WindowKind, Winsorize,
};
pub use secret::{MASK, Secret};
pub use storage::StorageUrl;
pub use tree::{Origin, Section};
pub use units::{ByteSize, Micros, Timestamp};
