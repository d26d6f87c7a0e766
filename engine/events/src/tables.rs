//! The tables of the engine and their Arrow schemas: the same on the live job, in sinks and in the lake.

use std::sync::{Arc, OnceLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use crate::EventType;

/// A table that the engine writes or reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// Exposure events.
    Exposures,
    /// Assignment events.
    Assignments,
    /// Outcome events.
    Outcomes,
    /// Error events.
    Errors,
    /// Analysis signals, the engine's own and others'.
    Signals,
    /// Subjects by variant, every revision.
    AssignmentCounts,
    /// Sufficient statistics of metrics, every revision.
    MetricStats,
    /// Sufficient statistics over subjects whose attribution window has closed.
    MaturedStats,
    /// First exposures by allocation epoch with the sequential test's path.
    AssignmentPath,
    /// The always-valid path of each effect.
    EffectPath,
    /// Declared experiments.
    Experiments,
    /// Declared allocations.
    Allocations,
    /// Declared metrics.
    Metrics,
    /// Declared windows.
    Windows,
    /// Records that could not be read.
    DeadLetters,
    /// Records that were late for a window, or too late for everything.
    LateEvents,
    /// The look ledger.
    Looks,
    /// Recorded decisions.
    Decisions,
}

impl Table {
    /// Every table.
    pub const ALL: &'static [Table] = &[
        Table::Exposures,
        Table::Assignments,
        Table::Outcomes,
        Table::Errors,
        Table::Signals,
        Table::AssignmentCounts,
        Table::MetricStats,
        Table::MaturedStats,
        Table::AssignmentPath,
        Table::EffectPath,
        Table::Experiments,
        Table::Allocations,
        Table::Metrics,
        Table::Windows,
        Table::DeadLetters,
        Table::LateEvents,
        Table::Looks,
        Table::Decisions,
    ];

    /// The name in SQL and of the folder in the lake.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Table::Exposures => "exposures",
            Table::Assignments => "assignments",
            Table::Outcomes => "outcomes",
            Table::Errors => "errors",
            Table::Signals => "signals",
            Table::AssignmentCounts => "assignment_counts",
            Table::MetricStats => "metric_stats",
            Table::MaturedStats => "matured_stats",
            Table::AssignmentPath => "assignment_path",
            Table::EffectPath => "effect_path",
            Table::Experiments => "experiments",
            Table::Allocations => "allocations",
            Table::Metrics => "metrics",
            Table::Windows => "windows",
            Table::DeadLetters => "dead_letters",
            Table::LateEvents => "late_events",
            Table::Looks => "looks",
            Table::Decisions => "decisions",
        }
    }

    /// The table of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Table> {
        Table::ALL.iter().copied().find(|table| table.name() == name)
    }

    /// The table that holds events of this type.
    #[must_use]
    pub fn of_event(event_type: EventType) -> Table {
        match event_type {
            EventType::Exposure => Table::Exposures,
            EventType::Assignment => Table::Assignments,
            EventType::Outcome => Table::Outcomes,
            EventType::AnalysisSignal => Table::Signals,
            EventType::Error => Table::Errors,
        }
    }

    /// The Arrow schema.
    #[must_use]
    pub fn schema(self) -> SchemaRef {
        static SCHEMAS: OnceLock<Vec<SchemaRef>> = OnceLock::new();
        let schemas = SCHEMAS.get_or_init(|| {
            Table::ALL
                .iter()
                .map(|table| Arc::new(Schema::new(fields(*table))))
                .collect()
        });
        // ALL is in the order of the discriminants, so the position is the discriminant.
        schemas
            .get(self as usize)
            .cloned()
            .unwrap_or_else(|| Arc::new(Schema::empty()))
    }
}

/// The type of every timestamp column: microseconds in UTC.
#[must_use]
pub fn timestamp_type() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
}

/// The type of a dictionary column: few distinct texts, many rows.
#[must_use]
pub fn dictionary_type() -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8))
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, false)
}
fn text_or_null(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}
fn dictionary(name: &str) -> Field {
    Field::new(name, dictionary_type(), false)
}
fn dictionary_or_null(name: &str) -> Field {
    Field::new(name, dictionary_type(), true)
}
fn time(name: &str) -> Field {
    Field::new(name, timestamp_type(), false)
}
fn time_or_null(name: &str) -> Field {
    Field::new(name, timestamp_type(), true)
}
fn integer(name: &str) -> Field {
    Field::new(name, DataType::Int64, false)
}
fn integer_or_null(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
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

/// The columns that every event table begins with.
fn event_head() -> Vec<Field> {
    vec![
        text("event_id"),
        time("event_time"),
        time_or_null("envelope_time"),
        time("ingest_time"),
    ]
}

fn window_key() -> Vec<Field> {
    vec![
        text("window_name"),
        time_or_null("window_start"),
        time_or_null("window_end"),
    ]
}

fn statistics() -> Vec<Field> {
    let mut fields = vec![
        text("experiment"),
        text("variant"),
        text("metric"),
        text_or_null("segment"),
        text_or_null("segment_value"),
    ];
    fields.extend(window_key());
    fields.extend([
        integer("subjects"),
        integer("subjects_with_outcome"),
        integer("outcomes"),
        real("sum"),
        real_or_null("mean"),
        real_or_null("m2"),
        real_or_null("min"),
        real_or_null("max"),
        // the second variable of a ratio metric (its denominator), and the co-moment of the two
        real_or_null("mean_y"),
        real_or_null("m2_y"),
        real_or_null("c"),
        integer("matured_subjects"),
        flag("is_final"),
        integer("revision"),
        time("as_of"),
    ]);
    fields
}

fn fields(table: Table) -> Vec<Field> {
    let mut fields = Vec::new();
    match table {
        Table::Exposures => {
            fields.extend(event_head());
            fields.extend([
                dictionary("experiment"),
                dictionary("variant"),
                text("subject_id"),
                text_or_null("subject_type"),
                text_or_null("tenant_id"),
                text_or_null("selection_reason"),
                text_or_null("rule_path"),
                dictionary("assignment_policy"),
                Field::new("is_repeat_exposure", DataType::Boolean, true),
                text_or_null("correlation_id"),
                dictionary("schema_version"),
                text_or_null("attributes"),
                text_or_null("metadata"),
                text_or_null("extra"),
            ]);
        }
        Table::Assignments => {
            fields.extend(event_head());
            fields.extend([
                dictionary("experiment"),
                text("subject_id"),
                text_or_null("tenant_id"),
                dictionary_or_null("previous_variant"),
                dictionary("new_variant"),
                text_or_null("change_reason"),
                dictionary("assignment_policy"),
                text_or_null("correlation_id"),
                dictionary("schema_version"),
                text_or_null("attributes"),
                text_or_null("metadata"),
                text_or_null("extra"),
            ]);
        }
        Table::Outcomes => {
            fields.extend(event_head());
            fields.extend([
                text_or_null("outcome_id"),
                dictionary_or_null("experiment"),
                dictionary_or_null("variant"),
                text("subject_id"),
                text_or_null("tenant_id"),
                dictionary("outcome_type"),
                dictionary("metric"),
                real("value"),
                text_or_null("correlation_id"),
                dictionary("schema_version"),
                text_or_null("metadata"),
                text_or_null("payload_metadata"),
                text_or_null("extra"),
            ]);
        }
        Table::Errors => {
            fields.extend(event_head());
            fields.extend([
                dictionary_or_null("experiment"),
                dictionary_or_null("variant"),
                text_or_null("subject_id"),
                text_or_null("tenant_id"),
                text("error_type"),
                text("message"),
                text_or_null("stack_trace"),
                text_or_null("correlation_id"),
                dictionary("schema_version"),
                text_or_null("attributes"),
                text_or_null("metadata"),
                text_or_null("extra"),
            ]);
        }
        Table::Signals => {
            fields.extend(event_head());
            fields.extend([
                dictionary("experiment"),
                dictionary("signal_type"),
                text_or_null("signal"),
                dictionary("severity"),
                text_or_null("state"),
                text("message"),
                text_or_null("data"),
                text_or_null("window_name"),
                time_or_null("window_start"),
                time_or_null("window_end"),
                text_or_null("correlation_id"),
                dictionary("schema_version"),
                text_or_null("metadata"),
                text_or_null("extra"),
            ]);
        }
        Table::AssignmentCounts => {
            fields.extend([
                text("experiment"),
                text("variant"),
                text_or_null("segment"),
                text_or_null("segment_value"),
            ]);
            fields.extend(window_key());
            fields.extend([
                integer("subjects"),
                integer("crossovers"),
                flag("is_final"),
                integer("revision"),
                time("as_of"),
            ]);
        }
        Table::MetricStats | Table::MaturedStats => fields.extend(statistics()),
        Table::AssignmentPath => fields.extend([
            text("experiment"),
            text_or_null("segment"),
            text_or_null("segment_value"),
            integer("allocation_epoch"),
            text("variant"),
            integer("first_exposures"),
            real_or_null("log_e"),
            real_or_null("log_e_max"),
            time("watermark"),
        ]),
        Table::EffectPath => fields.extend([
            text("experiment"),
            text("metric"),
            text("pair"),
            time("watermark"),
            real_or_null("log_e"),
            real_or_null("log_e_max"),
        ]),
        Table::Experiments => fields.extend([
            text("experiment"),
            text_or_null("control"),
            // seconds would lose sub-second windows: microseconds
            integer("attribution_window"),
            text("crossovers"),
            time_or_null("starts_at"),
            time_or_null("ends_at"),
            text("design"),
            real("alpha"),
            real("power"),
            real_or_null("minimum_effect"),
            integer_or_null("planned_total"),
            // a JSON array of segment names, null when there are none
            text_or_null("segments"),
            time("since"),
        ]),
        Table::Allocations => fields.extend([
            text("experiment"),
            time_or_null("from_time"),
            text("variant"),
            real("share"),
            flag("assumed"),
        ]),
        Table::Metrics => fields.extend([
            text("experiment"),
            text("metric"),
            text("type"),
            text("aggregation"),
            real_or_null("winsorize_lower"),
            real_or_null("winsorize_upper"),
            text_or_null("numerator"),
            text_or_null("denominator"),
            // null: the metric has none of its own, that of the experiment holds
            integer_or_null("attribution_window"),
            text("role"),
            time("since"),
        ]),
        Table::Windows => fields.extend([
            text("name"),
            text("type"),
            integer("size"),
            integer("slide"),
            integer("offset"),
        ]),
        Table::DeadLetters => fields.extend([
            time("time"),
            text("source"),
            text("position"),
            text("reason"),
            text("detail"),
            Field::new("raw", DataType::Binary, false),
        ]),
        Table::LateEvents => fields.extend([
            text("event_id"),
            time("event_time"),
            text("event_type"),
            text("window_name"),
            time_or_null("window_end"),
            time("watermark"),
            text("envelope"),
        ]),
        Table::Looks => fields.extend([
            text("look_id"),
            time("time"),
            text("principal"),
            text("origin"),
            text("experiment"),
            text("metric"),
            text("pair"),
            time_or_null("watermark"),
            integer("n_control"),
            integer("n_treatment"),
            integer("matured_n"),
            real_or_null("standard_error"),
            real_or_null("p_value"),
            real_or_null("log_e"),
            text("query_hash"),
        ]),
        Table::Decisions => fields.extend([
            time("time"),
            text("principal"),
            text("experiment"),
            text("decision"),
            text_or_null("detail"),
        ]),
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_has_a_schema_of_its_own_under_its_name() {
        for (index, table) in Table::ALL.iter().enumerate() {
            assert_eq!(*table as usize, index);
            assert!(!table.schema().fields().is_empty());
            assert_eq!(Table::from_name(table.name()), Some(*table));
        }
    }
}
