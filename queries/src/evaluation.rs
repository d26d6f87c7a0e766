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
    /// Looks at the results of a metric in two variants, as the ledger has them.
    Looks,
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
        EvaluationTable::Looks,
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
            EvaluationTable::Looks => "evaluated_looks",
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
            EvaluationTable::Looks => looks(),
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
        // of the anytime-valid test now, and the greatest so far: filled in once its path has gone on; as in `effects`
        real_or_null("log_e"),
        real_or_null("log_e_max"),
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
        // subjects of the two variants, whether or not their outcomes are complete
        integer("subjects"),
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
        // the planned total of the two variants
        real_or_null("planned_n"),
        real_or_null("log_e"),
        real_or_null("log_e_max"),
    ]
}

fn looks() -> Vec<Field> {
    vec![
        text("metric"),
        text("pair"),
        text("design"),
        real("alpha"),
        real_or_null("planned_n"),
        // whether a sample, an end or a minimal effect is planned, and whether the look was judged before, without its decision
        flag("has_plan"),
        flag("is_new"),
        // subjects, and the effect over all outcomes so far
        integer("n_control"),
        integer("n_treatment"),
        real_or_null("standard_error"),
        real_or_null("p_value"),
        // the greatest so far of the always-valid test
        real_or_null("log_e"),
        // how many there were of it so far, and how many told something new: see `semantics`
        integer("looks"),
        integer("distinct_looks"),
        // what was decided within a day of it
        text_or_null("decision"),
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
    /// Where a signal that is open holds longer than it would be raised anew: the table by which it is judged then, and a query over it that
    /// gives the rows for which it still holds.
    pub still: Option<(EvaluationTable, &'static str)>,
    /// Whether it is about the experiment as a whole, whatever its rows are about.
    pub of_experiment: bool,
    /// Whether it is closed at all: what was reached or done stays so.
    pub closes: bool,
}

macro_rules! file {
    ($file:literal) => {
        include_str!(concat!("../sql/signals/", $file, ".sql"))
    };
}

/// A query that raises a signal and closes it when it gives its row no longer.
const fn signal(signal: &'static str, table: EvaluationTable, sql: &'static str) -> SignalQuery {
    SignalQuery {
        signal,
        table,
        sql,
        still: None,
        of_experiment: false,
        closes: true,
    }
}

impl SignalQuery {
    const fn that_stays(mut self) -> Self {
        self.closes = false;
        self
    }

    const fn of_experiment(mut self) -> Self {
        self.of_experiment = true;
        self
    }

    const fn while_still(mut self, table: EvaluationTable, sql: &'static str) -> Self {
        self.still = Some((table, sql));
        self
    }
}

use EvaluationTable as Over;

/// All signal queries.
pub const SIGNALS: &[SignalQuery] = &[
    signal("srm", Over::Assignments, file!("srm")).while_still(Over::Assignments, file!("srm_still")),
    signal("sequential.boundary", Over::Effects, file!("sequential_boundary")),
    signal("sample.power", Over::Effects, file!("sample_power")).that_stays(),
    signal("sample.minimum", Over::Experiments, file!("sample_minimum")).that_stays(),
    signal(
        "assignment.inconsistent",
        Over::Experiments,
        file!("assignment_inconsistent"),
    ),
    signal("exposure.missing", Over::Experiments, file!("exposure_missing")),
    signal(
        "outcome.before_exposure",
        Over::Experiments,
        file!("outcome_before_exposure"),
    ),
    signal("data.late_dropped", Over::Experiments, file!("data_late_dropped")),
    signal("traffic.none", Over::Experiments, file!("traffic_none"))
        .while_still(Over::Experiments, file!("traffic_none_still")),
    signal("variant.missing", Over::Variants, file!("variant_missing")),
    signal("variant.unknown", Over::Variants, file!("variant_unknown")),
    signal("variant.leak", Over::Variants, file!("variant_leak")),
    signal(
        "peek.premature_significance",
        Over::Looks,
        file!("peek_premature_significance"),
    )
    .while_still(Over::Effects, file!("peek_still_premature")),
    signal("peek.early_stop", Over::Looks, file!("peek_early_stop")).that_stays(),
    signal("peek.no_plan", Over::Looks, file!("peek_no_plan"))
        .of_experiment()
        .that_stays(),
];

/// The e-values of the rows of a table, as logarithms: `row` and `log_e`; rows without one are left out. They are asked for first and become
/// the last columns of the table, so that the signal queries need not find them again.
pub const PATHS: [(EvaluationTable, &str); 2] = [
    (Over::Assignments, file!("assignment_path")),
    (Over::Effects, file!("effect_path")),
];

/// What a look at each metric of each treatment sees in a lake now: the numbers of a row of `looks`.
pub const LOOK_NUMBERS: &str = include_str!("../sql/look_numbers.sql");
