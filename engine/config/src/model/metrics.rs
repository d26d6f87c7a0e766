//! Metrics: how the outcomes of a subject become one number.

use serde::Serialize;

use super::super::Micros;

/// A declared metric.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// The name that outcomes carry as `metricName`, or the name of a ratio.
    pub name: String,
    /// What is measured.
    #[serde(flatten)]
    pub definition: MetricDefinition,
    /// How long after the first exposure outcomes count; overrides the experiment's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution_window: Option<Micros>,
    /// Whether a rise is good news.
    pub higher_is_better: bool,
    /// What the metric is for.
    pub role: Role,
    /// How far a guardrail may fall, as a relative change (0.01 is one per cent).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// The relative difference that still counts as equivalent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// The pre-exposure value that reduces the variance (CUPED).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub covariate: Option<Covariate>,
}

impl Metric {
    /// A continuous metric that folds by sum.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self::fold(name, MetricType::Continuous, Aggregation::Sum)
    }

    /// A binary metric that folds by any.
    #[must_use]
    pub fn binary(name: impl Into<String>) -> Self {
        Self::fold(name, MetricType::Binary, Aggregation::Any)
    }

    /// A metric of this type and aggregation.
    #[must_use]
    pub fn fold(name: impl Into<String>, metric_type: MetricType, aggregation: Aggregation) -> Self {
        let definition = MetricDefinition::Fold {
            metric_type,
            aggregation,
            winsorize: Winsorize::default(),
        };
        Self::defined(name, definition)
    }

    /// The ratio of two other metrics.
    #[must_use]
    pub fn ratio(name: impl Into<String>, numerator: impl Into<String>, denominator: impl Into<String>) -> Self {
        let definition = MetricDefinition::Ratio {
            numerator: numerator.into(),
            denominator: denominator.into(),
        };
        Self::defined(name, definition)
    }

    fn defined(name: impl Into<String>, definition: MetricDefinition) -> Self {
        Self {
            name: name.into(),
            definition,
            attribution_window: None,
            higher_is_better: true,
            role: Role::Goal,
            tolerance: None,
            margin: None,
            covariate: None,
        }
    }

    /// The same metric with its folded values capped; does nothing to a ratio.
    #[must_use]
    pub fn winsorized(mut self, lower: Option<f64>, upper: Option<f64>) -> Self {
        if let MetricDefinition::Fold { winsorize, .. } = &mut self.definition {
            *winsorize = Winsorize { lower, upper };
        }
        self
    }

    /// The same metric with an attribution window of its own.
    #[must_use]
    pub fn within(mut self, attribution_window: Micros) -> Self {
        self.attribution_window = Some(attribution_window);
        self
    }

    /// Whether this is a ratio.
    #[must_use]
    pub fn is_ratio(&self) -> bool {
        matches!(self.definition, MetricDefinition::Ratio { .. })
    }
}

/// What a metric measures.
#[derive(Debug, Clone, PartialEq)]
pub enum MetricDefinition {
    /// Outcomes of the metric's name, folded to one number for each subject.
    Fold {
        /// The kind of value.
        metric_type: MetricType,
        /// How outcomes fold.
        aggregation: Aggregation,
        /// The caps of the folded value.
        winsorize: Winsorize,
    },
    /// The ratio of the folds of two other metrics, which are no ratios and have the same attribution window.
    Ratio {
        /// The metric above the line.
        numerator: String,
        /// The metric below the line.
        denominator: String,
    },
}

/// As the document's members `type`, `aggregation` and `winsorize`, or `ratio`.
impl Serialize for MetricDefinition {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(None)?;
        match self {
            MetricDefinition::Fold {
                metric_type,
                aggregation,
                winsorize,
            } => {
                map.serialize_entry("type", metric_type)?;
                map.serialize_entry("aggregation", aggregation)?;
                if winsorize.is_set() {
                    map.serialize_entry("winsorize", winsorize)?;
                }
            }
            MetricDefinition::Ratio { numerator, denominator } => {
                let names = std::collections::BTreeMap::from([("numerator", numerator), ("denominator", denominator)]);
                map.serialize_entry("ratio", &names)?;
            }
        }
        map.end()
    }
}

named_enum! {
    /// The kind of value that a metric's outcomes have.
    MetricType {
        /// Zero or one.
        Binary = "Binary",
        /// Any finite number.
        Continuous = "Continuous",
        /// A number of things.
        Count = "Count",
        /// A length of time.
        Duration = "Duration",
    }
}
named_enum! {
    /// How the attributed outcomes of a subject fold to one number.
    Aggregation {
        /// Their sum; 0 without an outcome.
        Sum = "sum",
        /// How many there are; 0 without an outcome.
        Count = "count",
        /// Their mean; absent without an outcome.
        Mean = "mean",
        /// The greatest; absent without an outcome.
        Max = "max",
        /// The least; absent without an outcome.
        Min = "min",
        /// The one of the greatest event time, ties by greatest event id; absent without an outcome.
        Last = "last",
        /// 1 if at least one is not 0, else 0.
        Any = "any",
    }
}

impl Aggregation {
    /// Whether a subject at risk without an outcome counts as 0, rather than being absent.
    #[must_use]
    pub fn counts_absent_as_zero(self) -> bool {
        matches!(self, Aggregation::Sum | Aggregation::Count | Aggregation::Any)
    }
}

named_enum! {
    /// What a metric is for.
    Role {
        /// The experiment is decided by it.
        Goal = "goal",
        /// It must not get worse.
        Guardrail = "guardrail",
        /// It explains.
        Secondary = "secondary",
    }
}

/// Caps of a folded value. Nothing is capped where there is none.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Winsorize {
    /// Lesser values are lifted to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    /// Greater values are cut to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper: Option<f64>,
}

impl Winsorize {
    /// Whether anything is capped.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.lower.is_some() || self.upper.is_some()
    }

    /// The value within the caps.
    #[must_use]
    pub fn apply(&self, value: f64) -> f64 {
        let lifted = self.lower.map_or(value, |lower| value.max(lower));
        self.upper.map_or(lifted, |upper| lifted.min(upper))
    }
}

/// A pre-exposure covariate: the fold of a metric over `[first exposure - period, first exposure)`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Covariate {
    /// The metric whose fold it is.
    pub metric: String,
    /// How long before the first exposure.
    pub period: Micros,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_lift_and_cut() {
        let caps = Winsorize {
            lower: Some(1.0),
            upper: Some(5.0),
        };
        assert_eq!([0.0, 3.0, 9.0].map(|value| caps.apply(value)), [1.0, 3.0, 5.0]);
        assert_eq!(Winsorize::default().apply(-7.0), -7.0);
    }

    #[test]
    fn enumerations_are_read_in_any_case_and_written_as_named() {
        assert_eq!(Aggregation::from_name("SUM"), Some(Aggregation::Sum));
        assert_eq!(MetricType::from_name("binary").map(MetricType::name), Some("Binary"));
        assert_eq!(Role::from_name("gaol"), None);
    }
}
