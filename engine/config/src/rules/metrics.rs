//! Rules of `metrics`.

use super::Rules;
use crate::{Metric, MetricDefinition, Winsorize};

impl<'a> Rules<'a> {
    pub(super) fn metrics(&mut self) {
        let metrics = &self.config.metrics;
        self.unique_names("metrics", metrics.iter().map(|metric| metric.name.as_str()), false);
        for (index, metric) in metrics.iter().enumerate() {
            let path = format!("metrics[{index}]");
            match &metric.definition {
                MetricDefinition::Fold { winsorize, .. } => self.caps(&format!("{path}.winsorize"), *winsorize),
                MetricDefinition::Ratio { numerator, denominator } => {
                    self.no_definition_of_its_own(index, &path);
                    self.ratio(&format!("{path}.ratio"), numerator, denominator);
                }
            }
            if let Some(covariate) = &metric.covariate {
                self.component(&format!("{path}.covariate.metric"), &covariate.metric);
            }
        }
    }

    fn caps(&mut self, path: &str, caps: Winsorize) {
        if let (Some(lower), Some(upper)) = (caps.lower, caps.upper)
            && lower > upper
        {
            self.error(path, format!("lower ({lower}) is above upper ({upper})"));
        }
    }

    fn no_definition_of_its_own(&mut self, index: usize, path: &str) {
        let Some(node) = self.tree.get("metrics").and_then(|metrics| metrics.items().get(index)) else {
            return;
        };
        for key in ["type", "aggregation", "winsorize", "attributionWindow"] {
            if node.get(key).is_some() {
                let message = format!("a ratio has no {key} of its own; its numerator and denominator have");
                self.error(&format!("{path}.{key}"), message);
            }
        }
    }

    fn ratio(&mut self, path: &str, numerator: &str, denominator: &str) {
        let above = self.component(&format!("{path}.numerator"), numerator);
        let below = self.component(&format!("{path}.denominator"), denominator);
        let (Some(above), Some(below)) = (above, below) else {
            return;
        };
        if above.name == below.name {
            self.error(
                &format!("{path}.denominator"),
                "numerator and denominator are the same metric",
            );
        } else if above.attribution_window != below.attribution_window {
            let has = |metric: &Metric| match metric.attribution_window {
                Some(window) => format!("{} has {window}", metric.name),
                None => format!("{} has none of its own", metric.name),
            };
            let message = format!(
                "numerator and denominator need the same attributionWindow; {}, {}",
                has(above),
                has(below)
            );
            self.error(path, message);
        }
    }

    /// The metric that another one is made of: declared, and no ratio.
    fn component(&mut self, path: &str, name: &str) -> Option<&'a Metric> {
        if !self.is_sound(path) {
            return None;
        }
        let config = self.config;
        match config.metric(name) {
            Some(metric) if metric.is_ratio() => {
                self.error(path, format!("{name} is a ratio itself; name a metric that is none"));
                None
            }
            Some(metric) => Some(metric),
            None => {
                self.unknown(
                    path,
                    "metric",
                    name,
                    config.metrics.iter().map(|metric| metric.name.as_str()),
                );
                None
            }
        }
    }
}
