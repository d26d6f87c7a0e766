//! Experiments: allocation, control, plan.

use std::fmt;

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::super::{Micros, Timestamp};

/// A declared experiment.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Experiment {
    /// The name that events carry as `experimentName`.
    pub name: String,
    /// The declared shares in the order of their dates; empty where equal shares over the variants seen are assumed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allocation: Vec<AllocationEpoch>,
    /// The declared control; see [`Experiment::control_among`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// The metrics that it reports; every declared one where there is no list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Vec<String>>,
    /// How long after the first exposure outcomes count, where the metric does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution_window: Option<Micros>,
    /// When it starts, in event time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub starts_at: Option<Timestamp>,
    /// By what its results are split, beside the results of all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<Segment>,
    /// How it is to be decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Plan>,
}

impl Experiment {
    /// An experiment of this name, everything else undeclared.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }

    /// The same experiment with these shares for all time.
    #[must_use]
    pub fn allocated<V: Into<String>>(mut self, shares: impl IntoIterator<Item = (V, f64)>) -> Self {
        self.allocation = vec![AllocationEpoch::new(None, shares)];
        self
    }

    /// The same experiment with one more allocation epoch that begins at `from`.
    #[must_use]
    pub fn reallocated<V: Into<String>>(mut self, from: Timestamp, shares: impl IntoIterator<Item = (V, f64)>) -> Self {
        self.allocation.push(AllocationEpoch::new(Some(from), shares));
        self
    }

    /// The index of the allocation epoch at this event time; before the first date the first. 0 where nothing is declared.
    #[must_use]
    pub fn allocation_epoch_at(&self, event_time: i64) -> usize {
        let later = self.allocation.iter().skip(1);
        later
            .take_while(|epoch| epoch.from.is_some_and(|from| from.get() <= event_time))
            .count()
    }

    /// The control among these variants: the declared one, else `control` if it is among them, else the first in byte order.
    #[must_use]
    pub fn control_among<'a>(&'a self, variants: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
        if let Some(declared) = &self.control {
            return Some(declared);
        }
        let mut first: Option<&str> = None;
        for variant in variants {
            if variant == "control" {
                return Some(variant);
            }
            first = Some(first.map_or(variant, |least| least.min(variant)));
        }
        first
    }
}

/// Shares that hold from a date on, until the next one.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct AllocationEpoch {
    /// From when on, in event time; the first may have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Variant and weight as declared, in document order: no weight is negative, their sum is positive.
    #[serde(serialize_with = "as_map")]
    pub shares: Vec<(String, f64)>,
}

impl AllocationEpoch {
    /// An epoch of these shares.
    #[must_use]
    pub fn new<V: Into<String>>(from: Option<Timestamp>, shares: impl IntoIterator<Item = (V, f64)>) -> Self {
        Self {
            from,
            shares: shares
                .into_iter()
                .map(|(variant, weight)| (variant.into(), weight))
                .collect(),
        }
    }

    /// Variant and share, in document order; the shares add up to 1.
    #[must_use]
    pub fn normalized(&self) -> Vec<(&str, f64)> {
        let total: f64 = self.shares.iter().map(|(_, weight)| weight).sum();
        self.shares
            .iter()
            .map(|(variant, weight)| (variant.as_str(), weight / total))
            .collect()
    }
}

fn as_map<S: Serializer>(shares: &[(String, f64)], serializer: S) -> Result<S::Ok, S::Error> {
    let mut map = serializer.serialize_map(Some(shares.len()))?;
    for (variant, weight) in shares {
        map.serialize_entry(variant, weight)?;
    }
    map.end()
}

/// By what results are split.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Segment {
    /// `tenantId`.
    Tenant,
    /// `subjectType`.
    SubjectType,
    /// `attributes.NAME`: a member of the exposure's attributes.
    Attribute(String),
}

impl Segment {
    /// Reads `tenantId`, `subjectType` or `attributes.NAME`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "tenantId" => Some(Self::Tenant),
            "subjectType" => Some(Self::SubjectType),
            _ => text
                .strip_prefix("attributes.")
                .filter(|name| !name.is_empty())
                .map(|name| Self::Attribute(name.to_owned())),
        }
    }
}

/// As in the configuration and in the column `segment`.
impl fmt::Display for Segment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant => formatter.write_str("tenantId"),
            Self::SubjectType => formatter.write_str("subjectType"),
            Self::Attribute(name) => write!(formatter, "attributes.{name}"),
        }
    }
}

impl Serialize for Segment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How an experiment is to be decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Plan {
    /// Subjects that each variant is to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subjects_per_variant: Option<u64>,
    /// When it ends, in event time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ends_at: Option<Timestamp>,
    /// The type I error that is accepted, two-sided.
    pub alpha: f64,
    /// The probability to find the minimal effect.
    pub power: f64,
    /// The least effect worth finding, relative to the control's mean.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_effect: Option<f64>,
    /// How several goal metrics share alpha.
    pub correction: Correction,
    /// When results may be acted on.
    pub design: Design,
    /// The number of planned looks of a group-sequential design.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub looks: Option<u32>,
    /// How a group-sequential design spends alpha over its looks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spending: Option<Spending>,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            subjects_per_variant: None,
            ends_at: None,
            alpha: 0.05,
            power: 0.8,
            minimum_effect: None,
            correction: Correction::Holm,
            design: Design::Fixed,
            looks: None,
            spending: None,
        }
    }
}

named_enum! {
    /// How several goal metrics share alpha.
    Correction {
        /// Holm's step-down procedure.
        Holm = "holm",
        /// Benjamini and Hochberg's false discovery rate.
        BenjaminiHochberg = "benjaminiHochberg",
        /// Bonferroni's division.
        Bonferroni = "bonferroni",
        /// Not at all.
        None = "none",
    }
}
named_enum! {
    /// When results may be acted on.
    Design {
        /// Once, at the planned sample.
        Fixed = "fixed",
        /// At any time, by always-valid results.
        Sequential = "sequential",
        /// At planned looks, by their boundaries.
        GroupSequential = "groupSequential",
    }
}
named_enum! {
    /// How a group-sequential design spends alpha.
    Spending {
        /// O'Brien and Fleming's, in the form of Lan and DeMets.
        ObrienFleming = "obrienFleming",
        /// Pocock's.
        Pocock = "pocock",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_before_the_first_date_belongs_to_the_first_epoch() {
        let experiment = Experiment::new("e")
            .reallocated(Timestamp(10), [("a", 1.0)])
            .reallocated(Timestamp(20), [("a", 2.0)]);
        let epochs = [0, 10, 19, 20, 99].map(|time| experiment.allocation_epoch_at(time));
        assert_eq!(epochs, [0, 0, 0, 1, 1]);
    }

    #[test]
    fn the_control_is_the_declared_one_else_the_one_called_so_else_the_first() {
        let mut experiment = Experiment::new("e");
        assert_eq!(experiment.control_among(["b", "control", "a"]), Some("control"));
        assert_eq!(experiment.control_among(["b", "a"]), Some("a"));
        assert_eq!(experiment.control_among([]), None);
        experiment.control = Some("b".to_owned());
        assert_eq!(experiment.control_among(["b", "control"]), Some("b"));
    }

    #[test]
    fn weights_become_shares() {
        let epoch = AllocationEpoch::new(None, [("a", 1.0), ("b", 3.0)]);
        assert_eq!(epoch.normalized(), [("a", 0.25), ("b", 0.75)]);
    }
}
