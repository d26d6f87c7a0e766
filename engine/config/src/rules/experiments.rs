//! Rules of `experiments`.

use std::collections::HashSet;

use super::Rules;
use crate::{AllocationEpoch, Design, Experiment, Plan};

/// A share below this, of all subjects, is no share that anybody means.
const LEAST_SHARE: f64 = 1e-9;

impl Rules<'_> {
    pub(super) fn experiments(&mut self) {
        let config = self.config;
        self.unique_names(
            "experiments",
            config.experiments.iter().map(|experiment| experiment.name.as_str()),
            true,
        );
        for (index, experiment) in config.experiments.iter().enumerate() {
            let path = format!("experiments[{index}]");
            self.allocation(
                &format!("{path}.allocation"),
                &experiment.allocation,
                self.has_dated_allocation(index),
            );
            self.control(&path, experiment);
            self.listed_metrics(&format!("{path}.metrics"), experiment);
            self.segments(&format!("{path}.segments"), experiment);
            if let Some(plan) = &experiment.plan {
                self.plan(&format!("{path}.plan"), experiment, plan);
            }
        }
    }

    fn has_dated_allocation(&self, index: usize) -> bool {
        let experiment = self
            .tree
            .get("experiments")
            .and_then(|experiments| experiments.items().get(index));
        experiment
            .and_then(|experiment| experiment.get("allocation"))
            .is_some_and(|allocation| !allocation.items().is_empty())
    }

    fn allocation(&mut self, path: &str, epochs: &[AllocationEpoch], is_list: bool) {
        if epochs.is_empty() || !self.is_sound(path) {
            return;
        }
        for (index, epoch) in epochs.iter().enumerate() {
            let epoch_path = if is_list {
                format!("{path}[{index}]")
            } else {
                path.to_owned()
            };
            let shares_path = if is_list {
                format!("{epoch_path}.shares")
            } else {
                epoch_path.clone()
            };
            let total: f64 = epoch.shares.iter().map(|(_, weight)| weight).sum();
            if epoch.shares.is_empty() {
                self.error(&shares_path, "at least one variant is expected");
            } else if total <= 0.0 {
                self.error(&shares_path, "the shares add up to 0; at least one must be greater");
            } else if !total.is_finite() {
                self.error(&shares_path, "the shares add up to more than a number can hold");
            } else if let Some((variant, _)) = epoch
                .shares
                .iter()
                .find(|(_, weight)| *weight > 0.0 && *weight < LEAST_SHARE * total)
            {
                let message = format!("the share of {variant} is less than a billionth; give it 0 or more than that");
                self.error(&shares_path, message);
            }
            let before = index.checked_sub(1).and_then(|before| epochs.get(before));
            if let Some(before) = before {
                match (before.from, epoch.from) {
                    (_, None) => self.error(&epoch_path, "`from` is missing; only the first entry may have none"),
                    (Some(earlier), Some(from)) if from <= earlier => {
                        self.error(
                            &format!("{epoch_path}.from"),
                            format!("{from} is not after {earlier}; dates must rise"),
                        );
                    }
                    _ => {}
                }
            }
        }
    }

    fn control(&mut self, path: &str, experiment: &Experiment) {
        let control_path = format!("{path}.control");
        let Some(control) = &experiment.control else { return };
        let variants: HashSet<&str> = experiment
            .allocation
            .iter()
            .flat_map(|epoch| epoch.shares.iter().map(|(variant, _)| variant.as_str()))
            .collect();
        let is_checked = self.is_sound(&control_path) && self.is_sound(&format!("{path}.allocation"));
        if is_checked && !variants.is_empty() && !variants.contains(control.as_str()) {
            let mut names: Vec<&str> = variants.into_iter().collect();
            names.sort_unstable();
            self.unknown(&control_path, "variant", control, names.into_iter());
        }
    }

    fn listed_metrics(&mut self, path: &str, experiment: &Experiment) {
        let config = self.config;
        let mut seen = HashSet::new();
        for (index, name) in experiment.metrics.iter().flatten().enumerate() {
            let below = format!("{path}[{index}]");
            if !self.is_sound(&below) {
                continue;
            }
            if config.metric(name).is_none() {
                self.unknown(
                    &below,
                    "metric",
                    name,
                    config.metrics.iter().map(|metric| metric.name.as_str()),
                );
            } else if !seen.insert(name) {
                self.error(&below, format!("the metric {name:?} is listed twice"));
            }
        }
    }

    fn segments(&mut self, path: &str, experiment: &Experiment) {
        if !self.is_sound(path) {
            return;
        }
        let mut seen = HashSet::new();
        for (index, segment) in experiment.segments.iter().enumerate() {
            if !seen.insert(segment) {
                self.error(
                    &format!("{path}[{index}]"),
                    format!("the segment {segment} is listed twice"),
                );
            }
        }
    }

    fn plan(&mut self, path: &str, experiment: &Experiment, plan: &Plan) {
        if let (Some(starts_at), Some(ends_at)) = (experiment.starts_at, plan.ends_at)
            && ends_at <= starts_at
        {
            self.error(
                &format!("{path}.endsAt"),
                format!("{ends_at} is not after startsAt ({starts_at})"),
            );
        }
        let design_path = format!("{path}.design");
        if plan.design == Design::GroupSequential {
            self.warning(
                &design_path,
                "the boundaries of a groupSequential design are not computed in this version",
            );
            return;
        }
        for (key, is_given) in [("looks", plan.looks.is_some()), ("spending", plan.spending.is_some())] {
            if is_given && self.is_sound(&design_path) {
                self.error(
                    &format!("{path}.{key}"),
                    format!("{key} belongs to design: groupSequential; this one is {}", plan.design),
                );
            }
        }
    }
}
