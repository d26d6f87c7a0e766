//! What a stream is made of.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::error::GeneratorError;

/// Everything that decides the bytes of a stream. The presets [`GeneratorConfig::demo`], [`GeneratorConfig::bench`] and
/// [`GeneratorConfig::property`] are good points to start from; every field may be changed before [`crate::generate`].
#[derive(Debug, Clone, PartialEq)]
pub struct GeneratorConfig {
    /// Lines to write over all partitions, duplicates and bad records included.
    pub events: u64,
    /// The same seed gives the same bytes, on every machine.
    pub seed: u64,
    /// The event time at which the stream begins.
    pub start: DateTime<Utc>,
    /// How much event time the stream covers.
    pub span: Duration,
    /// How many subjects there are, who come back again and again; none: every visit is a new subject.
    pub subjects: Option<u32>,
    /// Source partitions (files).
    pub partitions: u16,
    /// What decides the partition of a record.
    pub partition_by: PartitionBy,
    /// Tenants, evenly over the subjects; an empty text is a subject without tenant.
    pub tenants: Vec<String>,
    /// Values of the attribute `platform`; an empty text is an exposure without it.
    pub platforms: Vec<String>,
    /// The experiments of the stream, declared or not.
    pub experiments: Vec<ExperimentPlan>,
    /// The metrics of the stream, declared or not; at most 255.
    pub metrics: Vec<MetricPlan>,
    /// The windows of the matching configuration.
    pub windows: Vec<WindowPlan>,
    /// The times of the matching configuration; lateness is planned against them.
    pub time: TimePlan,
    /// What the matching configuration does with crossovers.
    pub crossovers: CrossoverPolicy,
    /// How often each irregularity happens.
    pub rates: Rates,
    /// How outcomes and allocations are drawn.
    pub draws: Draws,
    /// Event times are whole multiples of this, so that some are equal.
    pub time_grain: Duration,
    /// Every accepted spelling of a record, instead of canonical JSON alone.
    pub mixed_spellings: bool,
}

/// What decides the partition of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartitionBy {
    /// All records of a subject are in one partition.
    Subject,
    /// Chance: the exposure and the outcome of a subject may be in different files.
    Record,
}

/// How outcomes and allocations are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Draws {
    /// Independently, as real subjects do.
    Independent,
    /// Evenly within each arm, so that planted effects and allocations show at once and no chance effect does.
    Even,
}

/// What becomes of a subject seen in several variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrossoverPolicy {
    /// It is left out and counted.
    Exclude,
    /// It belongs to its first variant.
    FirstVariant,
    /// It belongs to its last variant.
    LastVariant,
}

/// An experiment of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct ExperimentPlan {
    /// Its name.
    pub name: String,
    /// Whether the configuration declares it.
    pub declared: bool,
    /// Its share of the traffic, as a weight against the other experiments'.
    pub traffic: f64,
    /// Its variants; the first is the control.
    pub variants: Vec<String>,
    /// What the stream really does: shares by variant from an instant on (counted from the start of the stream), at least one.
    pub allocation: Vec<AllocationEpoch>,
    /// The declared shares where they differ from the real ones (a planted fault).
    pub declared_allocation: Option<Vec<AllocationEpoch>>,
    /// The metrics that it lists; none: every declared one.
    pub metrics: Option<Vec<String>>,
    /// Its attribution window; none: the default of 7 days.
    pub attribution_window: Option<Duration>,
    /// Its segments.
    pub segments: Vec<String>,
    /// Its plan.
    pub plan: Option<SamplePlan>,
    /// Planted effects.
    pub effects: Vec<Effect>,
    /// What is wrong or remarkable about it.
    pub fault: Fault,
}

/// The shares of the variants from an instant on.
#[derive(Debug, Clone, PartialEq)]
pub struct AllocationEpoch {
    /// Event time since the start of the stream.
    pub from: Duration,
    /// One weight for each variant.
    pub shares: Vec<f64>,
}

/// A planted difference.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// The metric.
    pub metric: String,
    /// The variant that differs.
    pub variant: String,
    /// By how much the probability of an outcome differs from the control's, relative to it.
    pub lift: f64,
}

/// The registered plan of an experiment.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplePlan {
    /// Subjects wanted in each variant.
    pub subjects_per_variant: u64,
    /// The planned end, counted from the start of the stream.
    pub ends_after: Duration,
    /// The relative effect that the plan is made for.
    pub minimum_effect: f64,
}

/// What is planted in an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// Nothing: it is healthy and its variants are alike.
    None,
    /// The subjects are not split as declared.
    BrokenAllocation,
    /// One variant really is better, and the plan is fulfilled.
    RealEffect,
    /// A fixed test calls it significant long before its plan is fulfilled, and an always-valid one does not.
    ReadEarly,
}

/// A metric of the stream.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricPlan {
    /// Its name.
    pub name: String,
    /// Whether the configuration declares it.
    pub declared: bool,
    /// The type of its outcomes: Binary, Continuous, Count or Duration.
    pub outcome_type: MetricType,
    /// The declared aggregation; none: the default of the type.
    pub aggregation: Option<String>,
    /// The declared caps, lower and upper.
    pub winsorize: (Option<f64>, Option<f64>),
    /// Its own attribution window.
    pub attribution_window: Option<Duration>,
    /// Numerator and denominator: such a metric has no outcomes of its own.
    pub ratio: Option<(String, String)>,
    /// goal, guardrail or secondary.
    pub role: &'static str,
    /// Whether more is better.
    pub higher_is_better: bool,
    /// The probability that a visit of the control brings an outcome.
    pub probability: f64,
    /// The probability of one more outcome after each.
    pub again: f64,
    /// The smallest value, in hundredths.
    pub floor_cents: i64,
    /// The mean of what is added to it, in hundredths; exponentially distributed. 0: every value is the floor.
    pub scale_cents: i64,
    /// The share of outcomes whose value is 0.
    pub zero_share: f64,
    /// The share of outcomes whose value has a minus.
    pub negative_share: f64,
    /// The mean time from the exposure to an outcome.
    pub delay: Duration,
}

/// The wire type of an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricType {
    /// Zero or one.
    Binary,
    /// Any number.
    Continuous,
    /// A number of things.
    Count,
    /// A length of time.
    Duration,
}

impl MetricType {
    /// The name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "Binary",
            Self::Continuous => "Continuous",
            Self::Count => "Count",
            Self::Duration => "Duration",
        }
    }
}

/// A window of the matching configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowPlan {
    /// Its name.
    pub name: String,
    /// Its length.
    pub size: Duration,
    /// The distance of two starts; the size for tumbling windows.
    pub slide: Duration,
    /// How far the starts are moved from the epoch's.
    pub offset: Duration,
}

/// The times of the matching configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimePlan {
    /// How far the watermark stays behind.
    pub max_out_of_orderness: Duration,
    /// How long a window waits after its end.
    pub allowed_lateness: Duration,
    /// Beyond this a record is too late.
    pub correction_horizon: Duration,
}

/// How often each irregularity happens, as shares from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Rates {
    /// A visit is part of a second experiment.
    pub second_experiment: f64,
    /// A subject is exposed again.
    pub repeat_exposure: f64,
    /// A subject is exposed to another variant.
    pub crossover: f64,
    /// An exposure has an assignment before it.
    pub assignment: f64,
    /// A visit brings an error.
    pub error: f64,
    /// A visit brings an analysis signal of another system.
    pub signal: f64,
    /// An outcome names no experiment.
    pub without_experiment: f64,
    /// A visit brings an outcome of a subject that is never exposed.
    pub without_exposure: f64,
    /// An outcome has an event time shortly before its exposure.
    pub before_exposure: f64,
    /// A record is delivered again, as a share of all lines.
    pub duplicate: f64,
    /// A line that is no record, as a share of all lines.
    pub bad: f64,
    /// A record comes after the allowed lateness and before the horizon.
    pub late: f64,
    /// A record comes beyond the horizon.
    pub too_late: f64,
    /// Exposures may be late too, not only outcomes.
    pub late_exposures: bool,
    /// Records come in disorder up to this time.
    pub disorder: Duration,
}

impl GeneratorConfig {
    /// Checks what the types do not say.
    ///
    /// # Errors
    ///
    /// [`GeneratorError::InvalidConfig`] with the first thing that is wrong.
    pub fn check(&self) -> Result<(), GeneratorError> {
        let refuse = |reason: String| Err(GeneratorError::InvalidConfig { reason });
        if self.partitions == 0 || self.span.is_zero() || self.tenants.is_empty() || self.platforms.is_empty() {
            return refuse("partitions, span, tenants and platforms must not be empty".to_owned());
        }
        if self.experiments.is_empty() || self.experiments.len() >= usize::from(u16::MAX) || self.metrics.len() > 255 {
            return refuse("there must be 1 to 65,534 experiments and at most 255 metrics".to_owned());
        }
        if self.events > u64::from(u32::MAX) {
            return refuse("at most 4,294,967,295 events can be numbered".to_owned());
        }
        for experiment in &self.experiments {
            let shares_fit = |epoch: &AllocationEpoch| {
                epoch.shares.len() == experiment.variants.len() && epoch.shares.iter().sum::<f64>() > 0.0
            };
            let declared = experiment.declared_allocation.iter().flatten();
            let fits = experiment.allocation.iter().chain(declared).all(shares_fit);
            if experiment.variants.is_empty() || experiment.allocation.is_empty() || !fits {
                return refuse(format!(
                    "{} must have a share for each of its variants",
                    experiment.name
                ));
            }
        }
        if self.rates.duplicate + self.rates.bad >= 1.0 {
            return refuse("duplicates and bad records must leave room for others".to_owned());
        }
        Ok(())
    }
}

/// Whole microseconds of a duration.
pub(crate) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
