//! Runs the SQL contract: every file of `slt/`, each on an empty catalogue of its own, in every kind of session.
//!
//! The files are in the format of sqllogictest, of which these records are understood:
//!
//! ```text
//! statement ok
//! SQL
//!
//! statement error TEXT THAT THE MESSAGE CONTAINS
//! SQL
//!
//! query [rowsort]
//! SQL
//! ----
//! one line a row, values separated by one space, null as NULL
//!
//! table NAME
//! SQL
//! ```
//!
//! The last gives a table the rows of a query, in the place of those that it had. Columns go by name; one that the query lacks is null, or
//! 0 where it takes no nulls.
//!
//! A blank line ends a record, `#` begins a comment line between records.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helpers may fail as the test does"
)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, new_null_array};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::Field;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use backplane_events::Table;
use backplane_queries::{Catalogue, QueryError, session};
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

enum Expectation {
    Success,
    Error(String),
    Rows { sorted: bool, rows: Vec<String> },
    RowsOf(Table),
}

struct Record {
    line: usize,
    sql: String,
    expectation: Expectation,
}

fn records(path: &Path) -> Vec<Record> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let mut records = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let head = lines[at];
        if head.is_empty() || head.starts_with('#') {
            at += 1;
            continue;
        }
        let end = (at..lines.len())
            .find(|line| lines[*line].is_empty())
            .unwrap_or(lines.len());
        records.push(record(path, at, &lines[at..end]));
        at = end;
    }
    records
}

fn record(path: &Path, at: usize, lines: &[&str]) -> Record {
    let (head, body) = lines.split_first().unwrap();
    let (sql, rows) = match body.iter().position(|line| *line == "----") {
        Some(rule) => (&body[..rule], &body[rule + 1..]),
        None => (body, &[][..]),
    };
    let expectation = match head.split_once(' ').unwrap_or((head, "")) {
        ("statement", "ok") => Expectation::Success,
        ("statement", error) if error.starts_with("error ") => {
            Expectation::Error(error.trim_start_matches("error ").to_owned())
        }
        ("table", name) => Expectation::RowsOf(
            Table::from_name(name).unwrap_or_else(|| panic!("{}:{}: no such table: {name}", path.display(), at + 1)),
        ),
        ("query", options) => Expectation::Rows {
            sorted: options == "rowsort",
            rows: rows.iter().map(|row| (*row).to_owned()).collect(),
        },
        _ => panic!("{}:{}: no such record: {head}", path.display(), at + 1),
    };
    Record {
        line: at + 1,
        sql: sql.join("\n"),
        expectation,
    }
}

async fn run(catalogue: &Catalogue, sql: &str) -> Result<Vec<String>, QueryError> {
    let frame = catalogue.query(sql).await?;
    let batches = frame.collect().await.map_err(|error| catalogue.explain(&error))?;
    Ok(batches.iter().flat_map(rows).collect())
}

/// The rows of a query as rows of a table.
async fn rows_of(catalogue: &Catalogue, table: Table, sql: &str) -> RecordBatch {
    let frame = catalogue.query(sql).await.unwrap();
    let schema = Arc::new(frame.schema().as_arrow().clone());
    let given = concat_batches(&schema, &frame.collect().await.unwrap()).unwrap();
    for field in schema.fields() {
        assert!(
            table.schema().column_with_name(field.name()).is_some(),
            "{field} in {sql}"
        );
    }
    let column = |field: &Arc<Field>| -> ArrayRef {
        match given.column_by_name(field.name()) {
            Some(column) => cast(column, field.data_type()).unwrap(),
            None if field.is_nullable() => new_null_array(field.data_type(), given.num_rows()),
            None => cast(&Int64Array::from(vec![0; given.num_rows()]), field.data_type()).unwrap(),
        }
    };
    let columns = table.schema().fields().iter().map(column).collect();
    RecordBatch::try_new(table.schema(), columns).unwrap()
}

fn rows(batch: &RecordBatch) -> Vec<String> {
    let options = FormatOptions::default().with_null("NULL");
    let columns: Vec<ArrayFormatter> = batch
        .columns()
        .iter()
        .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
        .collect();
    let row = |row| {
        columns
            .iter()
            .map(|column| column.value(row).to_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    (0..batch.num_rows()).map(row).collect()
}

/// What is wrong with the answer, if anything.
async fn check(catalogue: &Catalogue, record: &Record) -> Option<String> {
    let answer = run(catalogue, &record.sql).await;
    match (&record.expectation, answer) {
        (Expectation::Success | Expectation::RowsOf(_), Ok(_)) => None,
        (Expectation::Error(part), Err(error)) if error.to_string().contains(part) => None,
        (Expectation::Error(part), Err(error)) => Some(format!("expected the error: {part}\nfound: {error}")),
        (Expectation::Error(part), Ok(_)) => Some(format!("expected the error: {part}\nbut it succeeded")),
        (_, Err(error)) => Some(format!("failed: {error}")),
        (Expectation::Rows { sorted, rows }, Ok(mut found)) => {
            let mut expected = rows.clone();
            if *sorted {
                expected.sort();
                found.sort();
            }
            (expected != found).then(|| format!("expected:\n{}\nfound:\n{}", expected.join("\n"), found.join("\n")))
        }
    }
}

async fn run_file(path: &Path, context: SessionContext, kind: &str, report: &mut String) {
    let catalogue = Catalogue::new(context);
    let mut tables: HashMap<Table, Arc<dyn TableProvider>> = HashMap::new();
    catalogue.register(tables.clone()).await.unwrap();
    for record in records(path) {
        if let Expectation::RowsOf(table) = record.expectation {
            let rows = rows_of(&catalogue, table, &record.sql).await;
            let provider = MemTable::try_new(table.schema(), vec![vec![rows]]).unwrap();
            tables.insert(table, Arc::new(provider));
            catalogue.register(tables.clone()).await.unwrap();
            continue;
        }
        if let Some(fault) = check(&catalogue, &record).await {
            writeln!(
                report,
                "\n{}:{} ({kind})\n{}\n{fault}",
                path.display(),
                record.line,
                record.sql
            )
            .unwrap();
        }
    }
}

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("slt");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn the_sql_contract_holds_in_every_kind_of_session() {
    let only = std::env::var("SLT").unwrap_or_default();
    let mut report = String::new();
    let mut count = 0;
    for path in files().iter().filter(|path| path.to_string_lossy().contains(&only)) {
        run_file(path, session::lake(Arc::default()), "lake", &mut report).await;
        run_file(path, session::micro_batch(Arc::default()), "micro-batch", &mut report).await;
        count += 1;
    }
    assert!(count > 0, "there are no files of the contract");
    assert!(report.is_empty(), "{report}");
}
