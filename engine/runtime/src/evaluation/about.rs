//! What a row of an evaluation, and so a signal, is about.

use std::sync::Arc;

/// The subject of a finding. Ids are the job's.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct About {
    /// The experiment.
    pub experiment: u32,
    /// What of it.
    pub part: Part,
}

/// A part of an experiment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Part {
    /// All of it.
    Whole,
    /// A value of one of its segments, `None` where the value is absent.
    Segment(u16, Option<Arc<str>>),
    /// A variant, by name: it may be declared and never seen.
    Variant(Arc<str>),
    /// A metric in a treatment, against the control.
    Effect {
        /// The metric.
        metric: u32,
        /// The treatment and the control, as one text.
        pair: Arc<str>,
    },
}

impl About {
    /// About an experiment as a whole.
    #[must_use]
    pub fn whole(experiment: u32) -> About {
        About {
            experiment,
            part: Part::Whole,
        }
    }
}
