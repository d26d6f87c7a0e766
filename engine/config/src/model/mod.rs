//! The typed model of a configuration document.
//!
//! Every public field holds a validated value, defaults filled in. Values are built by loading a document, or in tests and in `demo`
//! by the constructors here, which give the same defaults. Serialising a value gives a document that loads to the same value again,
//! secrets masked.

mod engine;
mod experiments;
mod metrics;
mod outlets;

pub(crate) use engine::available_cores;
pub use engine::{
    Auth, Checkpoint, Crossovers, Engine, Peeking, Query, SampleRatioMismatch, Server, Signals, Time, Window,
    WindowKind,
};
pub use experiments::{AllocationEpoch, Correction, Design, Experiment, Plan, Segment, Spending};
pub use metrics::{Aggregation, Covariate, Metric, MetricDefinition, MetricType, Role, Winsorize};
pub use outlets::{
    DeadLetter, FileSink, FileSource, Format, LakeSink, LakeSource, Sink, SinkKind, Source, SourceKind, StdinSource,
    Take, TerminalSink,
};

use serde::Serialize;

use crate::{Micros, tree::Section};

/// The attribution window where neither the metric nor the experiment names one.
pub const DEFAULT_ATTRIBUTION_WINDOW: Micros = Micros::from_days(7);

/// The window name that always exists and may not be declared: the experiment to date.
pub const CUMULATIVE: &str = "cumulative";

/// A whole configuration document.
///
/// The sections of the .NET framework that this engine leaves alone (`settings`, `decorators`, `trials`, `configurationPaths`, and in
/// an experiment `trials`, `activation`, `metadata` and `hypothesis`) are checked in shape and are not part of the model.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Config {
    /// The producer's side, checked in shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data_plane: Option<Section>,
    /// Lifecycle, approvals and policies, checked in shape.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub governance: Option<Section>,
    /// The declared metrics, in document order; names are unique.
    pub metrics: Vec<Metric>,
    /// The declared experiments, in document order; names are unique, also ignoring case.
    pub experiments: Vec<Experiment>,
    /// The stream job.
    pub engine: Engine,
}

impl Config {
    /// The metric of this name.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|metric| metric.name == name)
    }

    /// The experiment of this name.
    #[must_use]
    pub fn experiment(&self, name: &str) -> Option<&Experiment> {
        self.experiments.iter().find(|experiment| experiment.name == name)
    }

    /// The attribution window of a metric in an experiment: the metric's, else the experiment's, else seven days. Either may be
    /// undeclared. A ratio's is that of its numerator and denominator, which have the same.
    #[must_use]
    pub fn attribution_window(&self, experiment: &str, metric: &str) -> Micros {
        let declared = self.metric(metric);
        let measured = match declared.map(|metric| &metric.definition) {
            Some(MetricDefinition::Ratio { numerator, .. }) => self.metric(numerator),
            _ => declared,
        };
        let of_metric = measured.and_then(|metric| metric.attribution_window);
        let of_experiment = || {
            self.experiment(experiment)
                .and_then(|experiment| experiment.attribution_window)
        };
        of_metric.or_else(of_experiment).unwrap_or(DEFAULT_ATTRIBUTION_WINDOW)
    }

    /// The metrics that an experiment reports: those it lists, else every declared one. An undeclared experiment reports every
    /// declared one.
    #[must_use]
    pub fn metrics_of(&self, experiment: &str) -> Vec<&Metric> {
        match self
            .experiment(experiment)
            .and_then(|experiment| experiment.metrics.as_ref())
        {
            Some(listed) => listed.iter().filter_map(|name| self.metric(name)).collect(),
            None => self.metrics.iter().collect(),
        }
    }
}
