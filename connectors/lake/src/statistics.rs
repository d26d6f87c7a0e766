//! What a Delta log says about a file, so that readers can pass it over: taken from the file's own footer.

use chrono::{DateTime, Datelike, SecondsFormat};
use deltalake_core::protocol::{ColumnCountStat, ColumnValueStat, Stats};
use parquet::basic::{LogicalType, TimeUnit};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};
use parquet::file::statistics::Statistics;
use serde_json::{Number, Value};

/// Records, least and greatest values, and nulls of a file.
///
/// A bound that the log cannot express (bytes, infinity) is left out; a reader then takes the file to hold anything.
pub(crate) fn of_file(footer: &ParquetMetaData) -> Stats {
    let mut stats = Stats {
        num_records: footer.file_metadata().num_rows(),
        ..Stats::default()
    };
    for (index, column) in footer.file_metadata().schema_descr().columns().iter().enumerate() {
        let parts: Option<Vec<&Statistics>> = footer
            .row_groups()
            .iter()
            .map(|group: &RowGroupMetaData| group.column(index).statistics())
            .collect();
        let Some(parts) = parts else { continue };
        let name = column.name().to_owned();
        let nulls: Option<u64> = parts.iter().map(|part| part.null_count_opt()).sum();
        let Some(nulls) = nulls else { continue };
        stats.null_count.insert(
            name.clone(),
            ColumnCountStat::Value(i64::try_from(nulls).unwrap_or(i64::MAX)),
        );
        if let Some((least, greatest)) = bounds(&parts, column.logical_type_ref()) {
            stats.min_values.insert(name.clone(), ColumnValueStat::Value(least));
            stats.max_values.insert(name, ColumnValueStat::Value(greatest));
        }
    }
    stats
}

/// The bounds of a column over its row groups; none if a row group that has values does not know them.
fn bounds(parts: &[&Statistics], logical_type: Option<&LogicalType>) -> Option<(Value, Value)> {
    match (parts.first()?, logical_type) {
        (Statistics::Int64(_), Some(LogicalType::Timestamp(of))) if matches!(of.unit, TimeUnit::MICROS) => {
            let (least, greatest) = range(parts, whole)?;
            Some((instant(least, Round::Down)?, instant(greatest, Round::Up)?))
        }
        (Statistics::Int64(_), None) => {
            let (least, greatest) = range(parts, whole)?;
            Some((least.into(), greatest.into()))
        }
        (Statistics::Double(_), None) => {
            let (least, greatest) = range(parts, real)?;
            Some((Number::from_f64(least)?.into(), Number::from_f64(greatest)?.into()))
        }
        (Statistics::ByteArray(_), Some(LogicalType::String)) => {
            let (least, greatest) = range(parts, text)?;
            Some((least.into(), greatest.into()))
        }
        _ => None,
    }
}

type Bounds<T> = Option<(T, T)>;

/// The least and the greatest over row groups.
fn range<T: PartialOrd>(parts: &[&Statistics], bounds: impl Fn(&Statistics) -> Bounds<T>) -> Bounds<T> {
    let mut range: Bounds<T> = None;
    for part in parts {
        let (least, greatest) = bounds(part)?;
        range = Some(match range {
            None => (least, greatest),
            Some((before, after)) => (
                if least < before { least } else { before },
                if greatest > after { greatest } else { after },
            ),
        });
    }
    range
}

fn whole(statistics: &Statistics) -> Bounds<i64> {
    let Statistics::Int64(values) = statistics else {
        return None;
    };
    Some((*values.min_opt()?, *values.max_opt()?))
}

fn real(statistics: &Statistics) -> Bounds<f64> {
    let Statistics::Double(values) = statistics else {
        return None;
    };
    Some((*values.min_opt()?, *values.max_opt()?))
}

/// Long texts are cut in the footer, the greatest rounded up, so that they still bound.
fn text(statistics: &Statistics) -> Bounds<String> {
    let Statistics::ByteArray(values) = statistics else {
        return None;
    };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    Some((text(values.min_bytes_opt()?)?, text(values.max_bytes_opt()?)?))
}

enum Round {
    Down,
    Up,
}

/// The Delta log knows milliseconds only: bounds are rounded outwards.
fn instant(micros: i64, round: Round) -> Option<Value> {
    let millis = match round {
        Round::Down => micros.div_euclid(1_000),
        Round::Up => micros.checked_add(999)?.div_euclid(1_000),
    };
    // rounded up it may be in the year 10000, which no reader can read
    let instant = DateTime::from_timestamp_millis(millis).filter(|instant| (0..=9999).contains(&instant.year()))?;
    Some(instant.to_rfc3339_opts(SecondsFormat::Millis, true).into())
}

/// The statistics as the text that the log holds.
pub(crate) fn text_of(stats: &Stats) -> Option<String> {
    serde_json::to_string(stats).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, BinaryArray, Float64Array, Int64Array, StringArray, TimestampMicrosecondArray};
    use arrow::record_batch::RecordBatch;
    use parquet::arrow::ArrowWriter;

    use super::*;

    fn written(columns: Vec<(&str, ArrayRef)>) -> Value {
        let batch =
            RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)));
        let batch = batch.unwrap();
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
        // two row groups
        for half in [batch.slice(0, 1), batch.slice(1, batch.num_rows() - 1)] {
            writer.write(&half).unwrap();
            writer.flush().unwrap();
        }
        serde_json::from_str(&text_of(&of_file(&writer.close().unwrap())).unwrap()).unwrap()
    }

    #[test]
    fn bounds_span_row_groups_and_instants_are_rounded_outwards() {
        let stats = written(vec![
            ("n", Arc::new(Int64Array::from(vec![Some(5), None, Some(-3)]))),
            ("x", Arc::new(Float64Array::from(vec![0.5, 2.5, -1.5]))),
            ("s", Arc::new(StringArray::from(vec!["m", "a", "z"]))),
            (
                "t",
                Arc::new(TimestampMicrosecondArray::from(vec![1_001, 2_000, 1]).with_timezone("UTC")),
            ),
        ]);
        let expected_least = serde_json::json!({ "n": -3, "x": -1.5, "s": "a", "t": "1970-01-01T00:00:00.000Z" });
        let expected_greatest = serde_json::json!({ "n": 5, "x": 2.5, "s": "z", "t": "1970-01-01T00:00:00.002Z" });
        assert_eq!(stats["numRecords"], 3);
        assert_eq!(stats["minValues"], expected_least);
        assert_eq!(stats["maxValues"], expected_greatest);
        assert_eq!(
            stats["nullCount"],
            serde_json::json!({ "n": 1, "x": 0, "s": 0, "t": 0 })
        );
    }

    #[test]
    fn what_has_no_bound_in_the_log_has_none() {
        // 9999-12-31T23:59:59.999999Z
        let last: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![253_402_300_799_999_999; 2]).with_timezone("UTC"));
        let stats = written(vec![
            ("t", last),
            ("b", Arc::new(BinaryArray::from_vec(vec![b"\xff", b"\x00"]))),
            ("x", Arc::new(Float64Array::from(vec![f64::INFINITY, 1.0]))),
            ("n", Arc::new(Int64Array::from(vec![None, Some(1)]))),
        ]);
        assert_eq!(stats["minValues"], serde_json::json!({}));
        assert_eq!(stats["maxValues"], serde_json::json!({}));
        assert_eq!(
            stats["nullCount"],
            serde_json::json!({ "t": 0, "b": 0, "x": 0, "n": 1 })
        );
    }

    #[test]
    fn a_long_text_is_still_bounded() {
        let long = "k".repeat(500);
        let stats = written(vec![("s", Arc::new(StringArray::from(vec![long.as_str(), "b"])))]);
        let greatest = stats["maxValues"]["s"].as_str().unwrap();
        assert!(greatest >= long.as_str() && greatest.len() < 100, "{greatest}");
    }
}
