//! The canonical queries: how the result tables follow from the events, as SQL over the lake's tables.
//!
//! Each file of `sql/` is one query and becomes the view of its name in the schema `analysis`, in the order of the data's way:
//!
//! | view | says |
//! |---|---|
//! | `all_windows`, `window_lateness`, `too_late` | which windows there are, which counted records were late for them, what did not count |
//! | `counted_exposures`, `counted_outcomes` | the events that count, each once |
//! | `experiment_rules`, `experiment_segments`, `metric_rules`, `measures` | what was declared, resolved for each experiment |
//! | `allocation_epochs`, `subjects`, `subject_states`, `segmented_states` | first exposure, variant and crossover of each subject as each window sees them |
//! | `assignment_counts` | **the table `assignment_counts`** |
//! | `attributed_outcomes`, `exposures_joined` | **exposures joined to outcomes**, in windows and to date |
//! | `subjects_at_risk`, `folded_outcomes`, `metric_stats` | **the table `metric_stats`** |
//!
//! The stream maintains the same results incrementally. Others read the result tables:
//!
//! | view | says |
//! |---|---|
//! | `variant_shares`, `assignment_evidence` | the share of each variant in each allocation epoch, and where the anytime-valid test of it stands |
//! | `comparisons`, `effects` | each variant with the control, and the statistics of each metric in a treatment and in its control |
//!
//! Those that people ask for first, [`BESIDE_TABLES`], stand under their names beside the tables:
//!
//! | view | says |
//! |---|---|
//! | `srm` | the split of subjects against the allocation, to date and in every window |
//! | `scorecard` | every metric in every treatment against the control |

/// A query of `sql/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CanonicalQuery {
    /// The name of the file and of the view, in the schema [`SCHEMA`] or beside the tables.
    pub name: &'static str,
    /// The text of the file.
    pub sql: &'static str,
}

/// The schema that holds the canonical queries of [`ALL`] as views.
pub const SCHEMA: &str = "analysis";

macro_rules! query {
    ($name:literal) => {
        CanonicalQuery {
            name: $name,
            sql: include_str!(concat!("../sql/", $name, ".sql")),
        }
    };
}

/// Exposures joined to outcomes: one row for each attributed outcome, the experiment to date.
pub const EXPOSURES_JOINED: CanonicalQuery = query!("exposures_joined");
/// The rows of the table `assignment_counts`.
pub const ASSIGNMENT_COUNTS: CanonicalQuery = query!("assignment_counts");
/// The rows of the table `metric_stats`.
pub const METRIC_STATS: CanonicalQuery = query!("metric_stats");

/// The queries of the schema [`SCHEMA`], each after those that it reads.
pub const ALL: &[CanonicalQuery] = &[
    query!("all_windows"),
    query!("window_lateness"),
    query!("too_late"),
    query!("counted_exposures"),
    query!("counted_outcomes"),
    query!("experiment_rules"),
    query!("experiment_segments"),
    query!("metric_rules"),
    query!("measures"),
    query!("allocation_epochs"),
    query!("subjects"),
    query!("subject_states"),
    query!("segmented_states"),
    ASSIGNMENT_COUNTS,
    query!("attributed_outcomes"),
    EXPOSURES_JOINED,
    query!("subjects_at_risk"),
    query!("folded_outcomes"),
    METRIC_STATS,
    query!("variant_shares"),
    query!("assignment_evidence"),
    query!("comparisons"),
    query!("effects"),
];

/// The queries that are views beside the tables. They read those of [`ALL`].
pub const BESIDE_TABLES: &[CanonicalQuery] = &[query!("srm"), query!("scorecard")];
