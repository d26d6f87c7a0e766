//! The stream job.

use serde::Serialize;

use super::{
    super::{ByteSize, Micros, Secret, StorageUrl},
    outlets::{DeadLetter, Sink, Source},
};

/// The stream job: where events come from, how time passes, what is computed when, and where it goes.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Engine {
    /// The job's name, which its checkpoints and table commits carry.
    pub job: String,
    /// Where events come from.
    pub sources: Vec<Source>,
    /// How event time passes.
    pub time: Time,
    /// What becomes of a subject seen in several variants.
    pub crossovers: Crossovers,
    /// The declared windows; `cumulative` exists beside them.
    pub windows: Vec<Window>,
    /// How often a live job emits provisional rows, in wall-clock time.
    pub emit_every: Micros,
    /// At which multiples of event time signals are evaluated.
    pub evaluate_every: Micros,
    /// Thresholds of the signals.
    pub signals: Signals,
    /// The user's own queries over each closed window.
    pub queries: Vec<Query>,
    /// Where results go.
    pub sinks: Vec<Sink>,
    /// Where records go that cannot be read.
    pub dead_letter: DeadLetter,
    /// How the job's state is kept.
    pub checkpoint: Checkpoint,
    /// How many threads do the work.
    pub parallelism: usize,
    /// How much memory state may take before it spills to disk.
    pub memory: ByteSize,
    /// The HTTP and SQL servers.
    pub server: Server,
}

impl Default for Engine {
    fn default() -> Self {
        Self {
            job: "backplane".to_owned(),
            sources: Vec::new(),
            time: Time::default(),
            crossovers: Crossovers::Exclude,
            windows: Vec::new(),
            emit_every: Micros::from_secs(10),
            evaluate_every: Micros::from_mins(1),
            signals: Signals::default(),
            queries: Vec::new(),
            sinks: Vec::new(),
            dead_letter: DeadLetter::file("dead-letters.ndjson"),
            checkpoint: Checkpoint::default(),
            parallelism: available_cores(),
            memory: ByteSize::from_mib(4096),
            server: Server::default(),
        }
    }
}

/// The number of cores that the process may use; 1 where the system does not tell.
pub(crate) fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

impl Engine {
    /// The sink of this name.
    #[must_use]
    pub fn sink(&self, name: &str) -> Option<&Sink> {
        self.sinks.iter().find(|sink| sink.name == name)
    }

    /// The declared window of this name.
    #[must_use]
    pub fn window(&self, name: &str) -> Option<&Window> {
        self.windows.iter().find(|window| window.name == name)
    }
}

/// How event time passes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Time {
    /// How far a partition's watermark stays behind its greatest event time.
    pub max_out_of_orderness: Micros,
    /// After how long without a record, in wall-clock time, a live partition holds nobody up.
    pub idle_timeout: Micros,
    /// How long after its end a window stays open for late records; at most `correction_horizon`.
    pub allowed_lateness: Micros,
    /// How late a record may be and still count.
    pub correction_horizon: Micros,
    /// How far ahead of the wall clock the event time of a live source may be.
    pub max_future_skew: Micros,
}

impl Default for Time {
    fn default() -> Self {
        Self {
            max_out_of_orderness: Micros::from_secs(30),
            idle_timeout: Micros::from_secs(60),
            allowed_lateness: Micros::from_mins(5),
            correction_horizon: Micros::from_hours(1),
            max_future_skew: Micros::from_hours(1),
        }
    }
}

named_enum! {
    /// What becomes of a subject seen in two or more variants of one allocation epoch.
    Crossovers {
        /// It is in no count of subjects and in no metric.
        Exclude = "exclude",
        /// It counts for the variant of its first exposure.
        FirstVariant = "firstVariant",
        /// It counts for the variant of its last exposure.
        LastVariant = "lastVariant",
    }
}

/// A declared window over event time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Window {
    /// The name in result tables; never `cumulative`.
    pub name: String,
    /// Tumbling or hopping.
    #[serde(flatten)]
    pub kind: WindowKind,
    /// By how much the windows are shifted from the Unix epoch; less than the slide.
    pub offset: Micros,
}

impl Window {
    /// Windows side by side.
    #[must_use]
    pub fn tumble(name: impl Into<String>, size: Micros) -> Self {
        Self {
            name: name.into(),
            kind: WindowKind::Tumble { size },
            offset: Micros(0),
        }
    }

    /// Windows that overlap.
    #[must_use]
    pub fn hop(name: impl Into<String>, size: Micros, slide: Micros) -> Self {
        Self {
            name: name.into(),
            kind: WindowKind::Hop { size, slide },
            offset: Micros(0),
        }
    }

    /// The length of a window.
    #[must_use]
    pub fn size(&self) -> Micros {
        match self.kind {
            WindowKind::Tumble { size } | WindowKind::Hop { size, .. } => size,
        }
    }

    /// From the start of a window to the start of the next; a tumbling window's size.
    #[must_use]
    pub fn slide(&self) -> Micros {
        match self.kind {
            WindowKind::Tumble { size } => size,
            WindowKind::Hop { slide, .. } => slide,
        }
    }
}

/// The kind of a window; lengths are positive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum WindowKind {
    /// Each record is in exactly one.
    Tumble {
        /// The length.
        size: Micros,
    },
    /// One begins at every slide.
    Hop {
        /// The length.
        size: Micros,
        /// From one start to the next; at most `size`.
        slide: Micros,
    },
}

impl WindowKind {
    /// `tumble` or `hop`, as in the table `windows`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tumble { .. } => "tumble",
            Self::Hop { .. } => "hop",
        }
    }
}

/// Thresholds of the signals.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Signals {
    /// Sample ratio mismatch.
    pub sample_ratio_mismatch: SampleRatioMismatch,
    /// Reading too early.
    pub peeking: Peeking,
    /// How long after its raising, in event time, a signal may first count a clean evaluation towards its resolution.
    pub resolve_after: Micros,
}

impl Default for Signals {
    fn default() -> Self {
        Self {
            sample_ratio_mismatch: SampleRatioMismatch::default(),
            peeking: Peeking::default(),
            resolve_after: Micros::from_mins(30),
        }
    }
}

/// When a sample ratio mismatch is raised.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SampleRatioMismatch {
    /// The e-value of a Warning.
    pub warning: f64,
    /// The e-value of an Error.
    pub error: f64,
    /// The least share deviation of an Error.
    pub error_deviation: f64,
    /// Nothing is raised with fewer subjects.
    pub minimum_subjects: u64,
    /// Nothing is raised with a smaller share deviation.
    pub minimum_deviation: f64,
}

impl Default for SampleRatioMismatch {
    fn default() -> Self {
        Self {
            warning: 100.0,
            error: 1000.0,
            error_deviation: 0.001,
            minimum_subjects: 100,
            minimum_deviation: 0.0,
        }
    }
}

/// When reading too early is raised.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Peeking {
    /// The type I error where an experiment has no plan.
    pub alpha: f64,
    /// By what share of the planned information a look must have grown to be a distinct one.
    pub distinct_look: f64,
    /// Subjects that each arm must have before a sequential verdict.
    pub burn_in: u64,
}

impl Default for Peeking {
    fn default() -> Self {
        Self {
            alpha: 0.05,
            distinct_look: 0.005,
            burn_in: 100,
        }
    }
}

/// A user's own query over each closed window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Query {
    /// The name that its rows carry.
    pub name: String,
    /// A declared window, or `cumulative`.
    pub window: String,
    /// One SQL statement.
    pub sql: String,
    /// Names of sinks that get its rows.
    pub sinks: Vec<String>,
}

/// How the job's state is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checkpoint {
    /// How often, in wall-clock time.
    pub interval: Micros,
    /// Where; without it the job keeps no state and starts anew each time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<StorageUrl>,
    /// How many are kept.
    pub retain: u32,
}

impl Default for Checkpoint {
    fn default() -> Self {
        Self {
            interval: Micros::from_secs(10),
            url: None,
            retain: 5,
        }
    }
}

/// The HTTP and SQL servers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Server {
    /// Where HTTP listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<std::net::SocketAddr>,
    /// Where the PostgreSQL wire protocol listens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sql: Option<std::net::SocketAddr>,
    /// Who may ask.
    pub auth: Auth,
}

/// Who may ask the servers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Auth {
    /// Tokens, one of which a client must show; without any everybody on the listening address may ask.
    pub tokens: Vec<Secret>,
}
