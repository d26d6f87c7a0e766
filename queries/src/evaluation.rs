//! Signals: what an evaluation sees, as tables, and the queries of `sql/signals/` over them that say what is wrong.
//!
//! A job asks at every multiple of `evaluateEvery` that its watermark passes, and evaluations that fall due together are rows of one batch:
//! each row belongs to one evaluation of one experiment (column `watermark`, the multiple). The queries look at single rows, never across
//! evaluations; what an earlier one has found, and when a signal is raised and closed, is the job's business.
//!
//! A query gives the rows `severity is not null` where a signal is to be raised: `row` and `watermark` of the table it reads, what the
//! signal is about (`experiment` and, where they apply, `metric`, `pair`, `segment`, `segment_value`), `statistic` and `threshold`, and
//! further numbers as evidence. A row that it does not give is clean. `holds_until` lets a finding outlive its evaluation.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use backplane_events::timestamp_type;

/// A table that the signal queries read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EvaluationTable {
    /// First exposures by variant, of an experiment and of each segment value.
    Assignments,
    /// Counts of an experiment as a whole.
    Experiments,
    /// Variants that got none of their subjects, or subjects that were not theirs.
    Variants,
    /// Statistics over matured subjects of a metric in two variants.
    Effects,
    /// The thresholds of the configuration: one row.
    Thresholds,
}

impl EvaluationTable {
    /// Every table.
    pub const ALL: &'static [EvaluationTable] = &[
        EvaluationTable::Assignments,
        EvaluationTable::Experiments,
        EvaluationTable::Variants,
        EvaluationTable::Effects,
        EvaluationTable::Thresholds,
    ];

    /// The name in SQL.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            EvaluationTable::Assignments => "evaluated_assignments",
            EvaluationTable::Experiments => "evaluated_experiments",
            EvaluationTable::Variants => "evaluated_variants",
            EvaluationTable::Effects => "evaluated_effects",
            EvaluationTable::Thresholds => "thresholds",
        }
    }

    /// The Arrow schema.
    #[must_use]
    pub fn schema(self) -> SchemaRef {
        let mut fields = match self {
            EvaluationTable::Thresholds => Vec::new(),
            _ => vec![
                // the place of the row in its batch
                integer("row"),
                // the multiple of evaluateEvery: everything before it is settled
                Field::new("watermark", timestamp_type(), false),
                text("experiment"),
            ],
        };
        fields.extend(match self {
            EvaluationTable::Assignments => assignments(),
            EvaluationTable::Experiments => experiments(),
            EvaluationTable::Variants => variants(),
            EvaluationTable::Effects => effects(),
            EvaluationTable::Thresholds => thresholds(),
        });
        Arc::new(Schema::new(fields))
    }
}

fn assignments() -> Vec<Field> {
    vec![
        text_or_null("segment"),
        text_or_null("segment_value"),
        // no allocation is declared: equal shares are assumed
        flag("assumed"),
        // how many values of the segment are followed; 1 for the experiment as a whole
        integer("segment_values"),
        list("variants", DataType::Utf8),
        // by allocation epoch, by variant: first exposures, crossovers included, and shares (0 where the variant has none)
        list("counts", list_type(DataType::Int64)),
        list("weights", list_type(DataType::Float64)),
        // by variant, over all epochs: first exposures of variants with a share, and how many were to be expected
        list("observed", DataType::Int64),
        list("expected", DataType::Float64),
        // the sum of `observed`
        integer("subjects"),
    ]
}

fn experiments() -> Vec<Field> {
    vec![
        list("variants", DataType::Utf8),
        // exposures, repeated ones included
        integer("exposures"),
        // first exposures, crossovers included
        integer("first_exposures"),
        integer("crossovers"),
        // the fewest subjects that a planned variant has, and how many each is to have
        integer("least_subjects"),
        Field::new("planned_subjects", DataType::Int64, true),
        // by variant, and in all: assigned subjects, and those of them with an outcome and without an exposure
        list("assigned", DataType::Int64),
        list("missing", DataType::Int64),
        integer("assigned_subjects"),
        integer("missing_subjects"),
        // outcomes that name the experiment, and those over 5 minutes before their subject's first exposure
        integer("outcomes"),
        integer("outcomes_before_exposure"),
        // exposures and outcomes that count, and those that came beyond the correction horizon
        integer("records"),
        integer("too_late"),
        // whether it has started and not ended, and whether exposures are overdue since its start
        flag("is_running"),
        flag("is_awaited"),
        // exposures of the last hour, and of the hour before that
        integer("exposures_last_hour"),
        integer("exposures_hour_before"),
    ]
}

fn variants() -> Vec<Field> {
    vec![
        text("variant"),
        flag("is_declared"),
        // of the latest allocation epoch that has subjects: its share, its first exposures, those of all variants with a share
        Field::new("share", DataType::Float64, true),
        integer("first_exposures"),
        integer("epoch_first_exposures"),
        // first exposures while it had no share, when the last of them came, and first exposures of the experiment
        integer("stray_exposures"),
        Field::new("last_stray", timestamp_type(), true),
        integer("subjects"),
    ]
}

fn effects() -> Vec<Field> {
    vec![
        text("metric"),
        text("pair"),
        text("control"),
        text("treatment"),
        integer("n_control"),
        real_or_null("mean_control"),
        real_or_null("m2_control"),
        integer("n_treatment"),
        real_or_null("mean_treatment"),
        real_or_null("m2_treatment"),
        text("design"),
        real("alpha"),
        // the sample at which the always-valid interval is narrowest: the planned total of the pair, else 5000
        real("tuning_n"),
        real("power"),
        real_or_null("minimum_effect"),
    ]
}

fn thresholds() -> Vec<Field> {
    vec![
        real("srm_warning"),
        real("srm_error"),
        real("srm_error_deviation"),
        integer("srm_minimum_subjects"),
        real("srm_minimum_deviation"),
        integer("burn_in"),
        // microseconds
        integer("resolve_after"),
    ]
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}
fn text_or_null(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}
fn integer(name: &str) -> Field {
    Field::new(name, DataType::Int64, false)
}
fn real(name: &str) -> Field {
    Field::new(name, DataType::Float64, false)
}
fn real_or_null(name: &str) -> Field {
    Field::new(name, DataType::Float64, true)
}
fn flag(name: &str) -> Field {
    Field::new(name, DataType::Boolean, false)
}
fn list_type(item: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(item, true)))
}
fn list(name: &str, item: DataType) -> Field {
    Field::new(name, list_type(item), false)
}

/// What a signal is about, and so when it is judged: each time its row of the table is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalQuery {
    /// The name of what it raises, `data.signal`.
    pub signal: &'static str,
    /// The table whose rows it judges.
    pub table: EvaluationTable,
    /// The text of its file in `sql/signals/`.
    pub sql: &'static str,
    /// Whether it gives a row for each row of its table, with the logarithm of an e-value in `log_e`, also where nothing is wrong.
    pub has_path: bool,
}

macro_rules! signal {
    ($signal:literal, $table:ident, $file:literal, $has_path:literal) => {
        SignalQuery {
            signal: $signal,
            table: EvaluationTable::$table,
            sql: include_str!(concat!("../sql/signals/", $file, ".sql")),
            has_path: $has_path,
        }
    };
}

/// All signal queries.
pub const SIGNALS: &[SignalQuery] = &[
    signal!("srm", Assignments, "srm", true),
    signal!("sequential.boundary", Effects, "sequential_boundary", true),
    signal!("sample.power", Effects, "sample_power", false),
    signal!("sample.minimum", Experiments, "sample_minimum", false),
    signal!("assignment.inconsistent", Experiments, "assignment_inconsistent", false),
    signal!("exposure.missing", Experiments, "exposure_missing", false),
    signal!("outcome.before_exposure", Experiments, "outcome_before_exposure", false),
    signal!("data.late_dropped", Experiments, "data_late_dropped", false),
    signal!("traffic.none", Experiments, "traffic_none", false),
    signal!("variant.missing", Variants, "variant_missing", false),
    signal!("variant.unknown", Variants, "variant_unknown", false),
    signal!("variant.leak", Variants, "variant_leak", false),
];
