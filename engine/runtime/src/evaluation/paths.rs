//! The paths of sequential tests: e-values so far and the greatest of them, rows of `assignment_path` and `effect_path`.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Builder, Int64Builder, RecordBatch, StringBuilder, TimestampMicrosecondBuilder};
use backplane_events::Table;

use super::effects::EffectKey;
use super::ledger::{ExperimentLedger, SegmentKey};
use crate::error::RuntimeError;
use crate::names::JobNames;

/// Where a sequential test stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Path {
    /// Logarithm of the e-value, none before the burn-in.
    pub log_e: Option<f64>,
    /// The greatest so far.
    pub log_e_max: Option<f64>,
    /// The evaluation, microseconds of event time.
    pub at: i64,
    changed: bool,
}

impl Path {
    /// Goes on to the e-value of an evaluation; `restarts` where what was before it is no history of this one. Gives the greatest so far.
    pub fn observe(&mut self, at: i64, log_e: Option<f64>, restarts: bool) -> Option<f64> {
        let before = self.log_e_max.filter(|_| !restarts);
        *self = Path {
            log_e,
            log_e_max: [before, log_e].into_iter().flatten().reduce(f64::max),
            at,
            changed: true,
        };
        self.log_e_max
    }
}

/// The path of an allocation, with what it was last evaluated on.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
struct AssignmentPath {
    path: Path,
    evaluated: Evaluated,
}

/// What the test of an allocation is evaluated on.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub struct Evaluated {
    /// The variants.
    pub variants: Vec<Arc<str>>,
    /// By epoch and variant: first exposures.
    pub counts: Vec<Vec<i64>>,
    /// How many variants have a share, where equal shares are assumed; none where shares are declared.
    pub assumed_shares: Option<usize>,
}

impl Evaluated {
    /// Whether what was evaluated before is no history of this: a count has gone down, or the assumed shares are others.
    fn restates(&self, before: &Evaluated) -> bool {
        if before.variants.is_empty() {
            return false;
        }
        let count_of = |epoch: &[i64], name: &Arc<str>| -> i64 {
            let place = self.variants.iter().position(|variant| variant == name);
            place.and_then(|place| epoch.get(place).copied()).unwrap_or(0)
        };
        let mut epochs = before.counts.iter().zip(&self.counts);
        let has_gone_down = epochs.any(|(before_epoch, epoch)| {
            let mut variants = before.variants.iter().zip(before_epoch);
            variants.any(|(name, count)| count_of(epoch, name) < *count)
        });
        has_gone_down || self.assumed_shares != before.assumed_shares
    }
}

/// The path of an effect.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
struct EffectPath {
    path: Path,
    is_binary: Option<bool>,
}

/// The paths of an experiment.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct Paths {
    assignments: BTreeMap<SegmentKey, AssignmentPath>,
    effects: BTreeMap<EffectKey, EffectPath>,
}

impl Paths {
    /// Notes what an allocation is evaluated on. Whether its history is restated by it.
    pub fn restates(&mut self, segment: &SegmentKey, evaluated: Evaluated) -> bool {
        let path = self.assignments.entry(segment.clone()).or_default();
        let restates = evaluated.restates(&path.evaluated);
        path.evaluated = evaluated;
        restates
    }

    /// The path of an allocation goes on. Gives the greatest logarithm of an e-value so far.
    pub fn observe_assignment(
        &mut self,
        segment: &SegmentKey,
        at: i64,
        log_e: Option<f64>,
        restarts: bool,
    ) -> Option<f64> {
        let path = self.assignments.get_mut(segment)?;
        path.path.observe(at, log_e, restarts)
    }

    /// The path of an effect goes on; it begins anew where an undeclared metric has turned out not to be Binary. Gives the greatest logarithm
    /// of an e-value so far.
    pub fn observe_effect(&mut self, key: EffectKey, is_binary: bool, at: i64, log_e: Option<f64>) -> Option<f64> {
        let path = self.effects.entry(key).or_default();
        let restarts = path.is_binary.is_some_and(|before| before != is_binary);
        path.is_binary = Some(is_binary);
        path.path.observe(at, log_e, restarts)
    }

    /// Nothing has changed from here on.
    pub fn mark_taken(&mut self) {
        let assignments = self.assignments.values_mut().map(|path| &mut path.path);
        let effects = self.effects.values_mut().map(|path| &mut path.path);
        assignments.chain(effects).for_each(|path| path.changed = false);
    }
}

/// Rows of `assignment_path` and `effect_path` on their way.
#[derive(Debug, Default)]
pub struct PathRows {
    /// Experiment, segment, its value, variant.
    assignment_texts: [StringBuilder; 4],
    /// Allocation epoch, first exposures.
    assignment_counts: [Int64Builder; 2],
    assignments: PathColumns,
    /// Experiment, metric, pair.
    effect_texts: [StringBuilder; 3],
    effects: PathColumns,
}

/// The columns that say where a path is.
#[derive(Debug, Default)]
struct PathColumns {
    log_e: Float64Builder,
    log_e_max: Float64Builder,
    watermark: TimestampMicrosecondBuilder,
}

impl PathColumns {
    fn push(&mut self, path: &Path) {
        self.log_e.append_option(path.log_e);
        self.log_e_max.append_option(path.log_e_max);
        self.watermark.append_value(path.at);
    }
}

impl PathRows {
    /// Adds the paths of an experiment: all of them, or those that changed since they were last taken.
    pub fn add(&mut self, ledger: &ExperimentLedger, paths: &Paths, names: &JobNames, only_changed: bool) {
        let is_wanted = |path: &Path| path.changed || !only_changed;
        for (segment, path) in paths.assignments.iter().filter(|(_, path)| is_wanted(&path.path)) {
            let name = segment.as_ref().and_then(|(index, _)| {
                let segment = ledger.definition.segments.get(usize::from(*index))?;
                Some(segment.name())
            });
            for (epoch, by_variant) in (1i64..).zip(&path.evaluated.counts) {
                for (variant, count) in path.evaluated.variants.iter().zip(by_variant) {
                    let [experiments, segments, values, variants] = &mut self.assignment_texts;
                    experiments.append_value(&ledger.name);
                    segments.append_option(name.as_deref());
                    values.append_option(segment.as_ref().and_then(|(_, value)| value.as_deref()));
                    variants.append_value(variant);
                    let [epochs, counts] = &mut self.assignment_counts;
                    epochs.append_value(epoch);
                    counts.append_value(*count);
                    self.assignments.push(&path.path);
                }
            }
        }
        for (key, path) in paths.effects.iter().filter(|(_, path)| is_wanted(&path.path)) {
            let [experiments, metrics, pairs] = &mut self.effect_texts;
            experiments.append_value(&ledger.name);
            metrics.append_value(names.metrics.name(key.metric));
            pairs.append_value(&key.pair);
            self.effects.push(&path.path);
        }
    }

    /// The rows of both tables.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if they do not fit the tables' schemas.
    pub fn finish(mut self) -> Result<(RecordBatch, RecordBatch), RuntimeError> {
        let text = |texts: &mut StringBuilder| Arc::new(texts.finish()) as ArrayRef;
        let [experiments, segments, values, variants] = self.assignment_texts.each_mut().map(text);
        let [epochs, counts] = self
            .assignment_counts
            .each_mut()
            .map(|counts| Arc::new(counts.finish()) as ArrayRef);
        let assignments: Vec<ArrayRef> = vec![
            experiments,
            segments,
            values,
            epochs,
            variants,
            counts,
            Arc::new(self.assignments.log_e.finish()),
            Arc::new(self.assignments.log_e_max.finish()),
            Arc::new(self.assignments.watermark.finish().with_timezone("UTC")),
        ];
        let [experiments, metrics, pairs] = self.effect_texts.each_mut().map(text);
        let effects: Vec<ArrayRef> = vec![
            experiments,
            metrics,
            pairs,
            Arc::new(self.effects.watermark.finish().with_timezone("UTC")),
            Arc::new(self.effects.log_e.finish()),
            Arc::new(self.effects.log_e_max.finish()),
        ];
        Ok((
            RecordBatch::try_new(Table::AssignmentPath.schema(), assignments)?,
            RecordBatch::try_new(Table::EffectPath.schema(), effects)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_e_value_is_kept_until_history_is_restated() {
        let mut path = Path::default();
        path.observe(1, None, false);
        path.observe(2, Some(3.0), false);
        path.observe(3, Some(1.0), false);
        assert_eq!((path.log_e, path.log_e_max), (Some(1.0), Some(3.0)));
        path.observe(4, Some(2.0), true);
        assert_eq!((path.log_e_max, path.at), (Some(2.0), 4));
    }

    #[test]
    fn a_count_that_goes_down_restates_history_and_so_does_another_assumed_share() {
        let mut paths = Paths::default();
        let mut restates = |counts: &[(&str, i64)], assumed_shares| {
            let evaluated = Evaluated {
                variants: counts.iter().map(|(name, _)| Arc::from(*name)).collect(),
                counts: vec![counts.iter().map(|(_, count)| *count).collect()],
                assumed_shares,
            };
            paths.restates(&None, evaluated)
        };
        assert!(!restates(&[("a", 5), ("c", 5)], None));
        assert!(!restates(&[("a", 6), ("c", 5)], None));
        assert!(restates(&[("a", 5), ("c", 9)], None));
        // a variant between the others, with its own count
        assert!(!restates(&[("a", 5), ("b", 1), ("c", 9)], None));
        assert!(restates(&[("a", 5), ("b", 2), ("c", 8)], None));
        let mut paths = Paths::default();
        let mut restates = |assumed_shares| {
            let evaluated = Evaluated {
                variants: vec![Arc::from("a"), Arc::from("b")],
                counts: vec![vec![5, 0]],
                assumed_shares: Some(assumed_shares),
            };
            paths.restates(&None, evaluated)
        };
        assert!(!restates(1));
        assert!(restates(2), "a variant that was assigned is exposed now");
    }
}
