//! How the engine's tables lie in a lake: their columns, their partitions, how their files are encoded.

use std::path::{Path, PathBuf};

use arrow::array::{AsArray, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use backplane_events::{EventType, Table};
use chrono::{Days, NaiveDate};
use deltalake_core::kernel::{DataType as DeltaType, StructField};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use crate::LakeError;

/// The partition column: it is in the folders' names and in the Delta log, not in the files.
pub const EVENT_DATE: &str = "event_date";

/// Rows of a row group.
const ROW_GROUP_ROWS: usize = 1 << 20;
/// Bytes of a row group, encoded: what a writer holds in memory at most.
const ROW_GROUP_BYTES: usize = 128 << 20;
const MICROS_PER_DAY: i64 = 86_400_000_000;

/// A day since 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Day(pub(crate) i64);

impl Day {
    /// The day of an instant in microseconds since 1970-01-01T00:00:00Z.
    pub(crate) fn of_micros(micros: i64) -> Self {
        Self(micros.div_euclid(MICROS_PER_DAY))
    }

    /// `YYYY-MM-DD`. Every instant in microseconds is a date that can be written.
    pub(crate) fn text(self) -> String {
        let epoch = NaiveDate::default();
        let days = Days::new(self.0.unsigned_abs());
        let date = if self.0 < 0 {
            epoch.checked_sub_days(days)
        } else {
            epoch.checked_add_days(days)
        };
        date.unwrap_or_default().format("%Y-%m-%d").to_string()
    }

    /// The day that is written `YYYY-MM-DD`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some(Self(date.signed_duration_since(NaiveDate::default()).num_days()))
    }
}

/// A name for each kind of file that a lake has, in each of its tables: paths from the lake's folder on, as examples of all of that kind.
pub fn kinds_of_files() -> impl Iterator<Item = PathBuf> {
    let kinds = [
        format!("{EVENT_DATE}={}/part-0.zstd.parquet", Day(0).text()),
        "_delta_log/00000000000000000000.json".to_owned(),
        "_delta_log/00000000000000000000.checkpoint.parquet".to_owned(),
        "_delta_log/_last_checkpoint".to_owned(),
    ];
    let of_table = move |table: &Table| kinds.clone().map(|kind| Path::new(table.name()).join(kind));
    Table::ALL.iter().flat_map(of_table)
}

/// The column whose date is the partition; none where rows have no time of their own and the date of writing is taken.
fn time_column(table: Table) -> Option<&'static str> {
    match table {
        Table::Exposures | Table::Assignments | Table::Outcomes | Table::Errors | Table::Signals => Some("event_time"),
        Table::AssignmentCounts | Table::MetricStats | Table::MaturedStats => Some("as_of"),
        Table::DeadLetters | Table::Looks | Table::Decisions => Some("time"),
        Table::AssignmentPath
        | Table::EffectPath
        | Table::Experiments
        | Table::Allocations
        | Table::Metrics
        | Table::Windows
        | Table::LateEvents => None,
    }
}

/// The rows by their partition; `now` is the day of rows that have no time of their own.
pub(crate) fn by_day(table: Table, batch: &RecordBatch, now: Day) -> Result<Vec<(Day, RecordBatch)>, ArrowError> {
    let Some(name) = time_column(table) else {
        return Ok(vec![(now, batch.clone())]);
    };
    let missing = || ArrowError::SchemaError(format!("rows of {} have no {name}", table.name()));
    let times = batch
        .column_by_name(name)
        .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
    let times = times.ok_or_else(missing)?;
    // an instant without a value is a defect upstream, and its row must not be lost: it goes to 1970-01-01
    let days: Vec<Day> = times
        .iter()
        .map(|time| Day::of_micros(time.unwrap_or_default()))
        .collect();
    let mut distinct = days.clone();
    distinct.sort_unstable();
    distinct.dedup();
    if let [day] = distinct[..] {
        return Ok(vec![(day, batch.clone())]);
    }
    let mut parts = Vec::with_capacity(distinct.len());
    for day in distinct {
        let rows = days.iter().zip(0..).filter(|(of, _)| **of == day).map(|(_, row)| row);
        parts.push((day, take_record_batch(batch, &UInt32Array::from_iter_values(rows))?));
    }
    Ok(parts)
}

/// The columns of the Delta table: the table's own, dictionaries as plain text, and the partition.
///
/// # Errors
/// The table has a column of a type that no table had when this was written.
pub fn delta_schema(table: Table) -> Result<Vec<StructField>, LakeError> {
    let mut columns = Vec::new();
    for field in table.schema().fields() {
        let data_type = match field.data_type() {
            DataType::Utf8 | DataType::Dictionary(_, _) => DeltaType::STRING,
            DataType::Int64 => DeltaType::LONG,
            DataType::Float64 => DeltaType::DOUBLE,
            DataType::Boolean => DeltaType::BOOLEAN,
            DataType::Binary => DeltaType::BINARY,
            DataType::Timestamp(_, Some(_)) => DeltaType::TIMESTAMP,
            other => {
                let column = field.name();
                return Err(LakeError::internal(format!(
                    "column {column} has the type {other}, which no lake has"
                )));
            }
        };
        columns.push(StructField::new(field.name(), data_type, field.is_nullable()));
    }
    columns.push(StructField::new(EVENT_DATE, DeltaType::DATE, true));
    Ok(columns)
}

/// How the files of a table are encoded.
pub(crate) fn writer_properties(table: Table) -> WriterProperties {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
        .set_created_by(concat!("backplane ", env!("CARGO_PKG_VERSION")).to_owned());
    let mut events = EventType::ALL.iter().map(|event_type| Table::of_event(*event_type));
    let is_of_many = events.any(|events| events == table) && table != Table::Signals;
    for field in table.schema().fields() {
        let column = ColumnPath::from(field.name().as_str());
        match field.name().as_str() {
            // files of other tables are small, and most of them have every experiment
            "experiment" | "subject_id" if is_of_many => {
                // the filter is folded to what is needed when the row group is closed
                properties = properties
                    .set_column_bloom_filter_enabled(column.clone(), true)
                    .set_column_bloom_filter_fpp(column.clone(), 0.01)
                    .set_column_bloom_filter_max_ndv(column.clone(), ROW_GROUP_ROWS as u64);
                if field.name() == "subject_id" {
                    // it would be given up after a part of a row group
                    properties = properties.set_column_dictionary_enabled(column, false);
                }
            }
            // distinct in nearly every row: a dictionary would only be built to be thrown away
            "event_id" | "outcome_id" | "correlation_id" | "look_id" | "envelope" => {
                properties = properties.set_column_dictionary_enabled(column, false);
            }
            _ if matches!(field.data_type(), DataType::Timestamp(_, _)) => {
                properties = properties
                    .set_column_dictionary_enabled(column.clone(), false)
                    .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
            }
            _ => {}
        }
    }
    properties.build()
}

#[cfg(test)]
mod tests {
    use backplane_connector_api::conformance::sample;

    use super::*;

    #[test]
    fn every_table_has_a_delta_schema_that_ends_with_the_partition() {
        for table in Table::ALL {
            let schema = delta_schema(*table).unwrap();
            assert_eq!(schema.len(), table.schema().fields().len() + 1);
            assert_eq!(schema.last().unwrap().name(), EVENT_DATE);
        }
    }

    #[test]
    fn a_day_is_written_and_read_back() {
        for (micros, text) in [
            (0, "1970-01-01"),
            (-1, "1969-12-31"),
            (1_767_650_400_000_000, "2026-01-05"),
        ] {
            let day = Day::of_micros(micros);
            assert_eq!(day.text(), text);
            assert_eq!(Day::parse(text), Some(day));
        }
    }

    #[test]
    fn rows_go_to_the_day_of_their_time_and_none_is_lost() {
        let batch = sample(Table::Outcomes, 0, 60).unwrap();
        let parts = by_day(Table::Outcomes, &batch, Day(0)).unwrap();
        let rows: Vec<_> = parts.iter().map(|(day, rows)| (day.text(), rows.num_rows())).collect();
        let expected = [
            ("2026-01-05", 2),
            ("2026-01-06", 24),
            ("2026-01-07", 24),
            ("2026-01-08", 10),
        ];
        assert_eq!(rows, expected.map(|(day, rows)| (day.to_owned(), rows)));
    }

    #[test]
    fn rows_without_a_time_of_their_own_go_to_today() {
        let batch = sample(Table::LateEvents, 0, 60).unwrap();
        let parts = by_day(Table::LateEvents, &batch, Day(7)).unwrap();
        assert_eq!(
            parts
                .iter()
                .map(|(day, rows)| (*day, rows.num_rows()))
                .collect::<Vec<_>>(),
            [(Day(7), 60)]
        );
    }
}
