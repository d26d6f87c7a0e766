//! Golden tables as tables of SQL.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float64Array, Float64Builder, Int64Array, Int64Builder, ListBuilder, RecordBatch, StringArray,
};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;

/// The rows of `<table>.csv` among the golden tables of the statistics; a test that expects another number of rows fails.
///
/// A column has the narrowest type that all its cells are of: whole numbers, reals (`nan` is one), lists of these (`1;2`), lists of such
/// lists (`1;2|3;4`), else texts. An empty cell of a column of lists is an empty list.
pub fn read(table: &str, rows: usize) -> RecordBatch {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/stats/tests/golden");
    let text = std::fs::read_to_string(folder.join(format!("{table}.csv"))).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let lines: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    assert_eq!(lines.len(), rows, "rows of {table}.csv");
    let columns = header.iter().enumerate().map(|(index, name)| {
        let cells: Vec<&str> = lines.iter().map(|line| line[index]).collect();
        (*name, column(&cells))
    });
    RecordBatch::try_from_iter(columns).unwrap()
}

fn column(cells: &[&str]) -> ArrayRef {
    if let Some(numbers) = all(cells, |cell| cell.parse::<i64>().ok()) {
        return Arc::new(Int64Array::from(numbers));
    }
    if let Some(numbers) = all(cells, |cell| cell.parse::<f64>().ok()) {
        return Arc::new(Float64Array::from(numbers));
    }
    if let Some(lists) = all(cells, |cell| list(cell, |value| value.parse().ok())) {
        let mut builder = ListBuilder::new(Int64Builder::new());
        lists
            .into_iter()
            .for_each(|list| builder.append_value(list.into_iter().map(Some)));
        return Arc::new(builder.finish());
    }
    if let Some(lists) = all(cells, |cell| list(cell, |value| value.parse().ok())) {
        let mut builder = ListBuilder::new(Float64Builder::new());
        lists
            .into_iter()
            .for_each(|list| builder.append_value(list.into_iter().map(Some)));
        return Arc::new(builder.finish());
    }
    nested(cells).unwrap_or_else(|| Arc::new(StringArray::from(cells.to_vec())))
}

fn nested(cells: &[&str]) -> Option<ArrayRef> {
    if let Some(lists) = all(cells, |cell| lists(cell, |value| value.parse().ok())) {
        let mut builder = ListBuilder::new(ListBuilder::new(Int64Builder::new()));
        for inner in lists {
            inner
                .into_iter()
                .for_each(|list| builder.values().append_value(list.into_iter().map(Some)));
            builder.append(true);
        }
        return Some(Arc::new(builder.finish()));
    }
    let lists = all(cells, |cell| lists(cell, |value| value.parse().ok()))?;
    let mut builder = ListBuilder::new(ListBuilder::new(Float64Builder::new()));
    for inner in lists {
        inner
            .into_iter()
            .for_each(|list| builder.values().append_value(list.into_iter().map(Some)));
        builder.append(true);
    }
    Some(Arc::new(builder.finish()))
}

fn all<T>(cells: &[&str], parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    cells.iter().map(|cell| parse(cell)).collect()
}

fn list<T>(cell: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    cell.split(';').filter(|value| !value.is_empty()).map(parse).collect()
}

fn lists<T>(cell: &str, parse: impl Fn(&str) -> Option<T>) -> Option<Vec<Vec<T>>> {
    cell.split('|').map(|part| list(part, &parse)).collect()
}

/// Makes rows a table of this name. Each of its batches is a slice of so many of them, so that functions see values that do not begin
/// where their buffers do.
pub fn register(context: &SessionContext, name: &str, rows: &RecordBatch, batch_rows: usize) {
    let batches = (0..rows.num_rows())
        .step_by(batch_rows)
        .map(|first| rows.slice(first, batch_rows.min(rows.num_rows() - first)))
        .collect();
    let table = MemTable::try_new(rows.schema(), vec![batches]).unwrap();
    context.register_table(name, Arc::new(table)).unwrap();
}
