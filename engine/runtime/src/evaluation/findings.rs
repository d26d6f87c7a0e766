//! What the queries of a signal find in the rows of a table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array};
use arrow::compute::filter_record_batch;
use arrow::datatypes::{Float64Type, Int64Type};
use arrow::json::ArrayWriter;
use arrow::record_batch::RecordBatch;
use backplane_events::Severity;

use super::hysteresis::Verdict;
use super::message::Evidence;
use crate::error::RuntimeError;

/// A row that a query raises a signal for.
#[derive(Debug)]
pub struct Finding {
    severity: Severity,
    holds_until: Option<i64>,
    evidence: Evidence,
}

/// What the queries of a signal found in the rows of a table.
#[derive(Debug)]
pub struct Findings {
    /// The rows for which it is raised.
    pub raised: BTreeMap<usize, Finding>,
    /// The rows for which an open one still holds.
    pub still: BTreeSet<usize>,
}

impl Findings {
    /// What they say of a row at an evaluation, with the evidence; none where the row's table has no say.
    pub fn verdict(&mut self, row: usize, at: i64, is_raising: bool, is_closing: bool) -> Option<(Verdict, Evidence)> {
        let finding = if is_raising { self.raised.remove(&row) } else { None };
        let (verdict, evidence) = match finding {
            Some(finding) if finding.holds_until.is_some_and(|until| until <= at) => (Verdict::Clean, Evidence::new()),
            Some(Finding {
                severity,
                holds_until,
                evidence,
            }) => (Verdict::Raised { severity, holds_until }, evidence),
            None if !is_closing => return None,
            None if self.still.contains(&row) => (Verdict::Holds, Evidence::new()),
            None => (Verdict::Clean, Evidence::new()),
        };
        Some((verdict, evidence))
    }
}

/// Columns that say what a row is about and how grave it is; all others are evidence.
const NO_EVIDENCE: [&str; 10] = [
    "row",
    "watermark",
    "experiment",
    "metric",
    "pair",
    "segment",
    "segment_value",
    "variant",
    "severity",
    "holds_until",
];

/// The rows with a severity, by the row of the table they judge.
///
/// # Errors
/// [`RuntimeError::Internal`] if the query lacks a column.
pub fn raised_rows(result: &RecordBatch) -> Result<BTreeMap<usize, Finding>, RuntimeError> {
    let severity = column(result, "severity")?;
    let is_raised: BooleanArray = (0..result.num_rows()).map(|row| Some(severity.is_valid(row))).collect();
    if is_raised.true_count() == 0 {
        return Ok(BTreeMap::new());
    }
    let raised = filter_record_batch(result, &is_raised)?;
    let severity = column(&raised, "severity")?;
    let severity = severity.as_string_opt::<i32>().ok_or_else(|| unexpected("severity"))?;
    let holds_until = raised
        .column_by_name("holds_until")
        .and_then(|column| column.as_primitive_opt::<Int64Type>());
    let mut findings = BTreeMap::new();
    for ((place, row), evidence) in rows_of(&raised)?.into_iter().enumerate().zip(evidence_of(&raised)?) {
        let name = severity.value(place);
        findings.insert(
            row,
            Finding {
                severity: Severity::from_name(name.as_bytes()).ok_or_else(|| unexpected("severity"))?,
                holds_until: holds_until
                    .filter(|column| column.is_valid(place))
                    .map(|column| column.value(place)),
                evidence,
            },
        );
    }
    Ok(findings)
}

/// Each row's numbers as members in camelCase.
fn evidence_of(raised: &RecordBatch) -> Result<Vec<Evidence>, RuntimeError> {
    let schema = raised.schema();
    let columns: Vec<usize> = schema
        .fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| !NO_EVIDENCE.contains(&field.name().as_str()))
        .map(|(index, _)| index)
        .collect();
    let mut writer = ArrayWriter::new(Vec::new());
    writer.write(&raised.project(&columns)?)?;
    writer.finish()?;
    let rows: Vec<Evidence> = serde_json::from_slice(&writer.into_inner()).map_err(RuntimeError::internal)?;
    Ok(rows
        .into_iter()
        .map(|row| {
            let members = row.into_iter().filter(|(_, value)| !value.is_null());
            members.map(|(name, value)| (camel_case(&name), value)).collect()
        })
        .collect())
}

/// `share_deviation` as `shareDeviation`.
fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut text = words.next().unwrap_or_default().to_owned();
    for word in words {
        let mut letters = word.chars();
        text.extend(letters.next().map(|first| first.to_ascii_uppercase()));
        text.push_str(letters.as_str());
    }
    text
}

/// The rows of the table that a query gives.
///
/// # Errors
/// [`RuntimeError::Internal`] if it does not name them.
pub fn rows_of(result: &RecordBatch) -> Result<Vec<usize>, RuntimeError> {
    let rows = column(result, "row")?;
    let rows = rows.as_primitive_opt::<Int64Type>().ok_or_else(|| unexpected("row"))?;
    Ok(rows
        .values()
        .iter()
        .map(|row| usize::try_from(*row).unwrap_or(usize::MAX))
        .collect())
}

/// The e-values that a query of paths found, by the `rows` of its table.
///
/// # Errors
/// [`RuntimeError::Internal`] if the query lacks a column.
pub fn e_values(found: &RecordBatch, rows: usize) -> Result<Vec<Option<f64>>, RuntimeError> {
    let log_e = column(found, "log_e")?;
    let log_e = log_e
        .as_primitive_opt::<Float64Type>()
        .ok_or_else(|| unexpected("log_e"))?;
    let mut by_row = vec![None; rows];
    for (row, log_e) in rows_of(found)?.into_iter().zip(log_e) {
        if let Some(slot) = by_row.get_mut(row) {
            *slot = log_e;
        }
    }
    Ok(by_row)
}

/// The table with its e-values: those of now, and the greatest so far.
///
/// # Errors
/// [`RuntimeError::Internal`] if it does not end with their columns.
pub fn with_e_values(
    table: &RecordBatch,
    log_e: Vec<Option<f64>>,
    log_e_max: Vec<Option<f64>>,
) -> Result<RecordBatch, RuntimeError> {
    let mut columns = table.columns().to_vec();
    columns.truncate(columns.len().saturating_sub(2));
    columns.push(Arc::new(Float64Array::from(log_e)));
    columns.push(Arc::new(Float64Array::from(log_e_max)));
    Ok(RecordBatch::try_new(table.schema(), columns)?)
}

fn column(result: &RecordBatch, name: &str) -> Result<ArrayRef, RuntimeError> {
    result.column_by_name(name).cloned().ok_or_else(|| unexpected(name))
}

fn unexpected(column: &str) -> RuntimeError {
    RuntimeError::internal(format!("a signal query has no column {column} as it should be"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_in_camel_case() {
        assert_eq!(camel_case("share_deviation"), "shareDeviation");
        assert_eq!(camel_case("n"), "n");
    }
}
