//! What the job computes, with every name interned and every duration in microseconds: the configuration as the hot path wants it.

use std::sync::Arc;

use hashbrown::HashMap;

/// Number of parts into which each job's state is divided by subject.
///
/// It does not depend on the number of threads, so that sums are added in the same order, and results are the same to the last bit,
/// whatever the parallelism.
pub const SHARDS: usize = 8;

/// What becomes of a subject that is seen in two or more variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrossoverPolicy {
    /// It counts as a crossover and nowhere else.
    Exclude,
    /// It counts under the variant of its first exposure.
    FirstVariant,
    /// It counts under the variant of its last exposure.
    LastVariant,
}

impl CrossoverPolicy {
    /// The name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            CrossoverPolicy::Exclude => "exclude",
            CrossoverPolicy::FirstVariant => "firstVariant",
            CrossoverPolicy::LastVariant => "lastVariant",
        }
    }
}

/// How a subject's outcomes of one metric become one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Fold {
    /// Their sum; 0 without an outcome.
    Sum,
    /// Their number; 0 without an outcome.
    Count,
    /// Their mean; absent without an outcome.
    Mean,
    /// The greatest; absent without an outcome.
    Max,
    /// The least; absent without an outcome.
    Min,
    /// The one of the greatest event time; absent without an outcome.
    Last,
    /// 1 if one of them is not 0, else 0.
    Any,
    /// A metric that nobody declared: `Any` while all its outcomes are Binary, else `Sum`.
    SumOrAny,
}

impl Fold {
    /// Whether a subject without an outcome counts as 0 (else it is absent).
    #[must_use]
    pub fn counts_absent_as_zero(self) -> bool {
        matches!(self, Fold::Sum | Fold::Count | Fold::Any | Fold::SumOrAny)
    }

    /// The name in the configuration and in the table `metrics`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Fold::Sum | Fold::SumOrAny => "sum",
            Fold::Count => "count",
            Fold::Mean => "mean",
            Fold::Max => "max",
            Fold::Min => "min",
            Fold::Last => "last",
            Fold::Any => "any",
        }
    }
}

/// The ends to which a folded value is cut.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Caps {
    /// No value is below.
    pub lower: f64,
    /// No value is above.
    pub upper: f64,
}

impl Caps {
    /// Cuts nothing.
    pub const NONE: Caps = Caps {
        lower: f64::NEG_INFINITY,
        upper: f64::INFINITY,
    };

    /// The value within the caps.
    #[must_use]
    pub fn apply(self, value: f64) -> f64 {
        value.max(self.lower).min(self.upper)
    }
}

/// A window kind: `tumble` where `slide == size`, else `hop`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WindowPlan {
    /// The name in results.
    pub name: String,
    /// Length, microseconds.
    pub size: i64,
    /// Distance of starts, microseconds.
    pub slide: i64,
    /// Shift of all starts from the Unix epoch, microseconds.
    pub offset: i64,
}

impl WindowPlan {
    /// Start of window `index`.
    #[must_use]
    pub fn start(&self, index: i64) -> i64 {
        self.offset + index * self.slide
    }

    /// End (exclusive) of window `index`.
    #[must_use]
    pub fn end(&self, index: i64) -> i64 {
        self.start(index) + self.size
    }

    /// The least index whose window ends after `time`.
    #[must_use]
    pub fn first_ending_after(&self, time: i64) -> i64 {
        (time - self.offset - self.size).div_euclid(self.slide) + 1
    }

    /// The least index whose window ends at or after `time`.
    #[must_use]
    pub fn first_ending_at_or_after(&self, time: i64) -> i64 {
        (time - self.offset - self.size - 1).div_euclid(self.slide) + 1
    }

    /// The greatest index whose window starts before `time`.
    #[must_use]
    pub fn last_starting_before(&self, time: i64) -> i64 {
        (time - self.offset - 1).div_euclid(self.slide)
    }

    /// The greatest index whose window ends at or before `time`.
    #[must_use]
    pub fn last_ended_by(&self, time: i64) -> i64 {
        time.saturating_sub(self.offset + self.size).div_euclid(self.slide)
    }
}

/// The rules of stream time, microseconds of event time unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimePlan {
    /// How far the watermark stays behind the running maximum of a partition.
    pub max_out_of_orderness: i64,
    /// Wall-clock time without a record after which a live partition is idle.
    pub idle_timeout: std::time::Duration,
    /// How long after its end a window still takes records in.
    pub allowed_lateness: i64,
    /// How far behind its partition's running maximum a record still counts.
    pub correction_horizon: i64,
    /// How far ahead of the wall clock a live record may be.
    pub max_future_skew: i64,
}

/// A metric that outcomes carry by name.
#[derive(Debug, Clone)]
pub struct MetricPlan {
    /// How outcomes fold.
    pub fold: Fold,
    /// Caps of the folded value.
    pub caps: Caps,
    /// Attribution window, else the experiment's.
    pub attribution: Option<i64>,
    /// The declared type, for the table `metrics`.
    pub kind: &'static str,
    /// goal, guardrail or secondary, for the table `metrics`.
    pub role: &'static str,
}

/// A metric that is the ratio of two others.
#[derive(Debug, Clone)]
pub struct RatioPlan {
    /// Metric id of the ratio's own name.
    pub metric: u32,
    /// Metric id of the numerator.
    pub numerator: u32,
    /// Metric id of the denominator.
    pub denominator: u32,
    /// goal, guardrail or secondary, for the table `metrics`.
    pub role: &'static str,
}

/// A property of the first exposure by which results are divided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// The tenant.
    Tenant,
    /// The subject's type.
    SubjectType,
    /// A member of the exposure's attributes.
    Attribute(String),
}

impl Segment {
    /// The name in the configuration and in results.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Segment::Tenant => "tenantId".to_owned(),
            Segment::SubjectType => "subjectType".to_owned(),
            Segment::Attribute(name) => format!("attributes.{name}"),
        }
    }
}

/// An experiment as declared.
#[derive(Debug, Clone, Default)]
pub struct ExperimentPlan {
    /// The name.
    pub name: String,
    /// Names of its metrics; `None` is every declared one.
    pub metrics: Option<Vec<String>>,
    /// Attribution window, microseconds; `None` is the default.
    pub attribution: Option<i64>,
    /// Segments.
    pub segments: Vec<Segment>,
    /// Event times at which allocation epochs after the first begin, ascending.
    pub epoch_starts: Vec<i64>,
    /// By allocation epoch: variants and their shares, which add up to 1; empty where none is declared.
    pub allocation: Vec<Vec<(String, f64)>>,
    /// The declared control.
    pub control: Option<String>,
    /// When it starts, in event time.
    pub starts_at: Option<i64>,
    /// How it is to be decided.
    pub sample: SamplePlan,
}

/// How an experiment is to be decided.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplePlan {
    /// Subjects that each variant is to have.
    pub subjects_per_variant: Option<u64>,
    /// When it ends, in event time.
    pub ends_at: Option<i64>,
    /// The type I error that is accepted, two-sided; `None` is the job's.
    pub alpha: Option<f64>,
    /// The probability to find the minimal effect.
    pub power: f64,
    /// The least effect worth finding, relative to the control's mean.
    pub minimum_effect: Option<f64>,
    /// `fixed`, `sequential` or `groupSequential`.
    pub design: &'static str,
}

impl Default for SamplePlan {
    fn default() -> Self {
        SamplePlan {
            subjects_per_variant: None,
            ends_at: None,
            alpha: None,
            power: 0.8,
            minimum_effect: None,
            design: "fixed",
        }
    }
}

impl SamplePlan {
    /// The planned total of two variants.
    #[must_use]
    pub fn planned_pair(&self) -> Option<f64> {
        self.subjects_per_variant.map(|subjects| 2.0 * subjects.max(1) as f64)
    }
}

impl ExperimentPlan {
    /// The control among these variants: the declared one, else `control` if it is among them, else the first in byte order.
    #[must_use]
    pub fn control_among<'a>(&'a self, mut variants: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
        if let Some(control) = &self.control {
            return Some(control);
        }
        let named = variants.clone().find(|variant| *variant == "control");
        named.or_else(|| variants.by_ref().min())
    }
}

/// Thresholds of the signals.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SignalPlan {
    /// The e-value of a Warning of sample ratio mismatch.
    pub srm_warning: f64,
    /// The e-value of an Error.
    pub srm_error: f64,
    /// The least share deviation of an Error.
    pub srm_error_deviation: f64,
    /// Nothing is raised with fewer subjects.
    pub srm_minimum_subjects: u64,
    /// Nothing is raised with a smaller share deviation.
    pub srm_minimum_deviation: f64,
    /// The type I error where an experiment has no plan.
    pub alpha: f64,
    /// Subjects that each arm must have before a sequential verdict.
    pub burn_in: u64,
    /// By what share of the planned information it must have grown for a look to be a distinct one.
    pub distinct_look: f64,
    /// How long after its raising a clean evaluation first counts towards a signal's resolution, microseconds of event time.
    pub resolve_after: i64,
}

impl Default for SignalPlan {
    fn default() -> Self {
        SignalPlan {
            srm_warning: 100.0,
            srm_error: 1000.0,
            srm_error_deviation: 0.001,
            srm_minimum_subjects: 100,
            srm_minimum_deviation: 0.0,
            alpha: 0.05,
            burn_in: 100,
            distinct_look: 0.005,
            resolve_after: 30 * 60 * 1_000_000,
        }
    }
}

/// The attribution window where neither metric nor experiment states one: 7 days.
pub const DEFAULT_ATTRIBUTION: i64 = 7 * 24 * 3_600 * 1_000_000;

/// The whole job.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Stream time.
    pub time: TimePlan,
    /// Event time between evaluations, microseconds.
    pub evaluate_every: i64,
    /// Thresholds of the signals.
    pub signals: SignalPlan,
    /// What becomes of crossovers.
    pub crossovers: CrossoverPolicy,
    /// The windows besides `cumulative`.
    pub windows: Vec<WindowPlan>,
    /// Names of the declared metrics, ratios included; the index is the metric id.
    pub metric_names: Vec<String>,
    /// By metric id; `None` for a ratio.
    pub metrics: Vec<Option<MetricPlan>>,
    /// The ratio metrics.
    pub ratios: Vec<RatioPlan>,
    /// The declared experiments; the index is the experiment id.
    pub experiments: Vec<ExperimentPlan>,
}

/// One experiment, resolved: what every shard needs to know of it.
#[derive(Debug, Clone, Default)]
pub struct ExperimentDefinition {
    /// Whether the configuration names it.
    pub declared: bool,
    /// The distinct attribution windows of its metrics, microseconds; the first is the experiment's own.
    pub attribution_classes: Vec<i64>,
    /// By declared metric id: index into `attribution_classes`.
    metric_class: Vec<u8>,
    /// By declared metric id: whether the metric always has rows.
    listed: Vec<bool>,
    /// Its ratio metrics.
    pub ratios: Vec<RatioPlan>,
    /// Its segments.
    pub segments: Vec<Segment>,
    /// Starts of the allocation epochs after the first.
    pub epoch_starts: Vec<i64>,
}

impl ExperimentDefinition {
    /// The attribution class of a metric; undeclared metrics use the experiment's window.
    #[must_use]
    pub fn class_of(&self, metric: u32) -> u8 {
        self.metric_class.get(metric as usize).copied().unwrap_or(0)
    }

    /// The attribution window of a class, microseconds.
    #[must_use]
    pub fn attribution(&self, class: u8) -> i64 {
        self.attribution_classes
            .get(usize::from(class))
            .copied()
            .unwrap_or(DEFAULT_ATTRIBUTION)
    }

    /// Whether a metric has rows even without an outcome.
    #[must_use]
    pub fn is_listed(&self, metric: u32) -> bool {
        self.listed.get(metric as usize).copied().unwrap_or(false)
    }

    /// Ids of the metrics that have rows even without an outcome, ratios left out.
    pub fn listed_metrics<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = u32> + 'a {
        (0u32..)
            .zip(plan.metrics.iter())
            .filter(|(id, metric)| metric.is_some() && self.is_listed(*id))
            .map(|(id, _)| id)
    }

    /// The allocation epoch of an exposure at `time`, from 0.
    #[must_use]
    pub fn epoch_of(&self, time: i64) -> u16 {
        if self.epoch_starts.is_empty() {
            return 0;
        }
        // Before the first date counts as the first epoch, so the starts here begin with the second.
        u16::try_from(self.epoch_starts.partition_point(|start| *start <= time)).unwrap_or(u16::MAX)
    }
}

impl Plan {
    /// A metric's fold and caps; an undeclared metric is `SumOrAny` without caps, a ratio has none.
    #[must_use]
    pub fn fold_of(&self, metric: u32) -> Option<(Fold, Caps)> {
        match self.metrics.get(metric as usize) {
            Some(Some(declared)) => Some((declared.fold, declared.caps)),
            Some(None) => None,
            None => Some((Fold::SumOrAny, Caps::NONE)),
        }
    }

    /// Whether the last of several outcomes counts in any metric.
    #[must_use]
    pub fn folds_last(&self) -> bool {
        self.metrics.iter().flatten().any(|metric| metric.fold == Fold::Last)
    }

    /// Resolves an experiment by id: a declared one, or the default for one that the stream brought.
    #[must_use]
    pub fn define(&self, experiment: u32) -> Arc<ExperimentDefinition> {
        let declared = self.experiments.get(experiment as usize);
        let own = declared
            .and_then(|plan| plan.attribution)
            .unwrap_or(DEFAULT_ATTRIBUTION);
        let mut attribution_classes = vec![own];
        let mut class_index: HashMap<i64, u8> = HashMap::new();
        class_index.insert(own, 0);
        let mut class_for = |window: i64| {
            *class_index.entry(window).or_insert_with(|| {
                attribution_classes.push(window);
                // The configuration refuses more than 32 distinct windows in one experiment.
                u8::try_from(attribution_classes.len() - 1).unwrap_or(u8::MAX)
            })
        };
        let mut metric_class: Vec<u8> = self
            .metrics
            .iter()
            .map(|metric| {
                metric
                    .as_ref()
                    .map_or(0, |plan| class_for(plan.attribution.unwrap_or(own)))
            })
            .collect();
        let wanted = declared.and_then(|plan| plan.metrics.as_ref());
        let listed: Vec<bool> = self
            .metric_names
            .iter()
            .map(|name| wanted.is_none_or(|names| names.contains(name)))
            .collect();
        let is_listed = |metric: u32| listed.get(metric as usize).copied().unwrap_or(false);
        let ratios: Vec<RatioPlan> = self
            .ratios
            .iter()
            .filter(|ratio| is_listed(ratio.metric))
            .cloned()
            .collect();
        for ratio in &self.ratios {
            let numerator_class = metric_class.get(ratio.numerator as usize).copied().unwrap_or(0);
            if let Some(class) = metric_class.get_mut(ratio.metric as usize) {
                *class = numerator_class;
            }
        }
        Arc::new(ExperimentDefinition {
            declared: declared.is_some(),
            attribution_classes,
            metric_class,
            listed,
            ratios,
            segments: declared.map(|plan| plan.segments.clone()).unwrap_or_default(),
            epoch_starts: declared.map(|plan| plan.epoch_starts.clone()).unwrap_or_default(),
        })
    }

    /// Whether an instant is a multiple of `evaluateEvery`.
    #[must_use]
    pub fn is_evaluation(&self, time: i64) -> bool {
        time.rem_euclid(self.evaluate_every) == 0
    }

    /// The least multiple of `evaluateEvery` that is not before `time`.
    #[must_use]
    pub fn evaluation_at_or_after(&self, time: i64) -> i64 {
        match time.rem_euclid(self.evaluate_every) {
            0 => time,
            over => time.saturating_add(self.evaluate_every - over),
        }
    }

    /// The greatest multiple of `evaluateEvery` that is not after `time`.
    #[must_use]
    pub fn evaluation_at_or_before(&self, time: i64) -> i64 {
        time.saturating_sub(time.rem_euclid(self.evaluate_every))
    }

    /// For how long after its slice a record is remembered: nothing that still counts can change what it came to by then.
    #[must_use]
    pub fn memory(&self) -> i64 {
        self.time.correction_horizon.saturating_add(self.evaluate_every)
    }

    /// The instants at which state is settled; see [`Boundaries`].
    #[must_use]
    pub fn boundaries(&self) -> Boundaries {
        let mut phases: Vec<(i64, i64)> = vec![(self.evaluate_every, 0)];
        for window in &self.windows {
            let phase = (window.offset + window.size + self.time.allowed_lateness).rem_euclid(window.slide);
            let on_the_grid = window.slide % self.evaluate_every == 0 && phase % self.evaluate_every == 0;
            if !on_the_grid && !phases.contains(&(window.slide, phase)) {
                phases.push((window.slide, phase));
            }
        }
        Boundaries { phases }
    }
}

/// The instants of event time at which state moves: every multiple of `evaluateEvery`, and every instant at which a window becomes final.
///
/// A record belongs to the slice that ends at the first boundary after both its event time and its own partition's watermark before it;
/// so what an evaluation or a final row has seen depends on the input alone, not on how fast or by how many threads it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boundaries {
    /// (period, phase) of each arithmetic progression.
    phases: Vec<(i64, i64)>,
}

impl Boundaries {
    /// The least boundary after `time`.
    #[must_use]
    pub fn after(&self, time: i64) -> i64 {
        self.phases
            .iter()
            .map(|&(period, phase)| ((time - phase).div_euclid(period) + 1) * period + phase)
            .min()
            .unwrap_or(i64::MAX)
    }

    /// The greatest boundary at or before `time`.
    #[must_use]
    pub fn at_or_before(&self, time: i64) -> i64 {
        self.phases
            .iter()
            .map(|&(period, phase)| (time - phase).div_euclid(period) * period + phase)
            .max()
            .unwrap_or(i64::MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_windows_around_an_instant_are_found_by_index() {
        let hop = WindowPlan {
            name: "h".into(),
            size: 30,
            slide: 10,
            offset: 3,
        };
        // windows [-17,13) [-7,23) [3,33) [13,43)
        assert_eq!(hop.start(hop.first_ending_after(13)), -7);
        assert_eq!(hop.start(hop.first_ending_after(12)), -17);
        assert_eq!(hop.start(hop.first_ending_at_or_after(13)), -17);
        assert_eq!(hop.start(hop.first_ending_at_or_after(14)), -7);
        assert_eq!(hop.start(hop.last_starting_before(13)), 3);
        assert_eq!(hop.start(hop.last_starting_before(14)), 13);
        assert_eq!(hop.end(hop.last_ended_by(33)), 33);
        assert_eq!(hop.end(hop.last_ended_by(32)), 23);
    }

    #[test]
    fn boundaries_are_the_evaluations_and_the_finals() {
        let boundaries = Boundaries {
            phases: vec![(60, 0), (100, 7)],
        };
        assert_eq!(boundaries.after(0), 7);
        assert_eq!(boundaries.after(7), 60);
        assert_eq!(boundaries.after(106), 107);
        assert_eq!(boundaries.at_or_before(106), 60);
        assert_eq!(boundaries.at_or_before(107), 107);
        assert_eq!(boundaries.after(-1), 0);
    }
}
