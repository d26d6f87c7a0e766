//! Rows as JSON, one object per line.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BinaryArray};
use arrow::datatypes::{
    DataType, FieldRef, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use arrow::error::ArrowError;
use arrow::json::writer::{Encoder, EncoderFactory, EncoderOptions, NullableEncoder, make_encoder};
use backplane_connector_api::Output;
use backplane_events::Table;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};

use crate::FileError;

/// The column of dead letters that holds the bytes of the record.
const RAW: &str = "raw";

/// Appends the rows, each as one line.
///
/// The first member is `table` (or `query`) with the name, then every column in order; null is written out, so that every line of a table has
/// the same members. Instants are RFC 3339 in UTC with six digits. The raw bytes of a dead letter are the text `raw` where they are UTF-8
/// and `rawBase64` where they are not.
pub(crate) fn append_rows(lines: &mut Vec<u8>, output: &Output) -> Result<(), FileError> {
    let (kind, name, batch) = match output {
        Output::Rows { table, batch } => ("table", table.name(), batch),
        Output::Query { name, batch } => ("query", name.as_str(), batch),
    };
    let is_dead_letters = matches!(
        output,
        Output::Rows {
            table: Table::DeadLetters,
            ..
        }
    );
    let failed = |error: ArrowError| FileError::NotJson {
        table: name.to_owned(),
        reason: error.to_string(),
    };

    let mut head = format!("{{\"{kind}\":").into_bytes();
    append_text(&mut head, name);
    let options = EncoderOptions::default().with_encoder_factory(Arc::new(Formats));
    let mut columns = Vec::with_capacity(batch.num_columns());
    let schema = batch.schema_ref();
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        columns.push(match column.as_binary_opt::<i32>() {
            Some(raw) if is_dead_letters && field.name() == RAW => Column::Raw(raw),
            _ => Column::other(field, column.as_ref(), &options).map_err(failed)?,
        });
    }
    for row in 0..batch.num_rows() {
        lines.extend_from_slice(&head);
        for column in &mut columns {
            column.append(row, lines);
        }
        lines.extend_from_slice(b"}\n");
    }
    Ok(())
}

/// A column and how its members are written.
enum Column<'a> {
    Raw(&'a BinaryArray),
    Other {
        member: Vec<u8>,
        encoder: NullableEncoder<'a>,
    },
}

impl<'a> Column<'a> {
    fn other(field: &'a FieldRef, column: &'a dyn Array, options: &'a EncoderOptions) -> Result<Self, ArrowError> {
        let mut member = vec![b','];
        append_text(&mut member, field.name());
        member.push(b':');
        Ok(Self::Other {
            member,
            encoder: make_encoder(field, column, options)?,
        })
    }

    fn append(&mut self, row: usize, line: &mut Vec<u8>) {
        match self {
            Self::Raw(raw) if raw.is_null(row) => line.extend_from_slice(b",\"raw\":null"),
            Self::Raw(raw) => match std::str::from_utf8(raw.value(row)) {
                Ok(text) => {
                    line.extend_from_slice(b",\"raw\":");
                    append_text(line, text);
                }
                Err(_) => {
                    line.extend_from_slice(b",\"rawBase64\":");
                    append_text(line, &STANDARD.encode(raw.value(row)));
                }
            },
            Self::Other { member, encoder } => {
                line.extend_from_slice(member);
                if encoder.is_null(row) {
                    line.extend_from_slice(b"null");
                } else {
                    encoder.encode(row, line);
                }
            }
        }
    }
}

/// Appends a text as JSON.
fn append_text(line: &mut Vec<u8>, text: &str) {
    // writing into memory cannot fail, and every text is JSON
    drop(serde_json::to_writer(line, text));
}

/// Writes every timestamp as RFC 3339 in UTC.
#[derive(Debug)]
struct Formats;

impl EncoderFactory for Formats {
    fn make_default_encoder<'a>(
        &self,
        _field: &'a FieldRef,
        array: &'a dyn Array,
        _options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let DataType::Timestamp(unit, _) = array.data_type() else {
            return Ok(None);
        };
        let values: &[i64] = match unit {
            TimeUnit::Second => array.as_primitive::<TimestampSecondType>().values(),
            TimeUnit::Millisecond => array.as_primitive::<TimestampMillisecondType>().values(),
            TimeUnit::Microsecond => array.as_primitive::<TimestampMicrosecondType>().values(),
            TimeUnit::Nanosecond => array.as_primitive::<TimestampNanosecondType>().values(),
        };
        let instants = Instants { values, unit: *unit };
        Ok(Some(NullableEncoder::new(Box::new(instants), array.nulls().cloned())))
    }
}

struct Instants<'a> {
    values: &'a [i64],
    unit: TimeUnit,
}

impl Instants<'_> {
    fn micros(&self, row: usize) -> Option<i64> {
        let value = *self.values.get(row)?;
        match self.unit {
            TimeUnit::Second => value.checked_mul(1_000_000),
            TimeUnit::Millisecond => value.checked_mul(1_000),
            TimeUnit::Microsecond => Some(value),
            TimeUnit::Nanosecond => Some(value.div_euclid(1_000)),
        }
    }
}

impl Encoder for Instants<'_> {
    fn encode(&mut self, row: usize, line: &mut Vec<u8>) {
        match self.micros(row).and_then(DateTime::from_timestamp_micros) {
            Some(instant) => {
                line.push(b'"');
                line.extend_from_slice(instant.to_rfc3339_opts(SecondsFormat::Micros, true).as_bytes());
                line.push(b'"');
            }
            None => line.extend_from_slice(b"null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, StringArray, TimestampMicrosecondArray};
    use arrow::record_batch::RecordBatch;

    use super::*;

    fn written(output: &Output) -> Vec<serde_json::Value> {
        let mut lines = Vec::new();
        append_rows(&mut lines, output).unwrap();
        let text = String::from_utf8(lines).unwrap();
        assert!(text.ends_with('\n'));
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn a_row_has_its_table_first_and_every_column_after() {
        for table in Table::ALL {
            let batch = backplane_connector_api::conformance::sample(*table, 0, 4).unwrap();
            for row in written(&Output::Rows { table: *table, batch }) {
                let members: Vec<_> = row.as_object().unwrap().keys().cloned().collect();
                let columns = table
                    .schema()
                    .fields()
                    .iter()
                    .map(|field| field.name().clone())
                    .collect::<Vec<_>>();
                assert_eq!(members[0], "table");
                assert_eq!(row["table"], table.name());
                assert_eq!(members.len(), columns.len() + 1, "{row}");
            }
        }
    }

    #[test]
    fn instants_have_six_digits_and_reals_that_are_not_numbers_are_null() {
        let batch = RecordBatch::try_from_iter([
            (
                "at",
                Arc::new(TimestampMicrosecondArray::from(vec![1_767_571_200_000_001])) as _,
            ),
            ("x", Arc::new(Float64Array::from(vec![f64::NAN])) as _),
        ]);
        let rows = written(&Output::Query {
            name: "q \"1\"".to_owned(),
            batch: batch.unwrap(),
        });
        let expected = serde_json::json!({ "query": "q \"1\"", "at": "2026-01-05T00:00:00.000001Z", "x": null });
        assert_eq!(rows, [expected]);
    }

    #[test]
    fn a_dead_letter_holds_its_bytes_as_text_or_else_as_base64() {
        let texts = |text: &str| Arc::new(StringArray::from(vec![text, text])) as arrow::array::ArrayRef;
        let batch = RecordBatch::try_new(
            Table::DeadLetters.schema(),
            vec![
                Arc::new(TimestampMicrosecondArray::from(vec![0, 0]).with_timezone("UTC")),
                texts("a.ndjson"),
                texts("line 1"),
                texts("notJson"),
                texts("no JSON"),
                Arc::new(BinaryArray::from_vec(vec![b"{\"a\"", b"\xff\x00"])),
            ],
        );
        let rows = written(&Output::Rows {
            table: Table::DeadLetters,
            batch: batch.unwrap(),
        });
        assert_eq!(rows[0]["raw"], "{\"a\"");
        assert_eq!(rows[0]["time"], "1970-01-01T00:00:00.000000Z");
        assert_eq!(rows[1]["rawBase64"], "/wA=");
        assert!(rows[1].get("raw").is_none());
    }
}
