//! Reads the golden tables: comma-separated, a header line, no quoting.

use std::collections::HashMap;
use std::fmt::Debug;
use std::str::FromStr;

/// A row of a golden table, its columns by name.
pub struct Row {
    cells: HashMap<String, String>,
    /// Table and line, for messages.
    place: String,
}

/// All rows of `tests/golden/<table>.csv`; a test that calls this with another number of rows than the table's fails.
pub fn rows(table: &str, count: usize) -> Vec<Row> {
    let path = format!("{}/tests/golden/{table}.csv", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap();
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split(',').collect();
    let rows: Vec<Row> = lines
        .enumerate()
        .map(|(index, line)| {
            let cells: Vec<&str> = line.split(',').collect();
            let place = format!("{table}.csv line {}", index + 2);
            assert_eq!(cells.len(), header.len(), "{place}");
            let named = header.iter().zip(cells);
            Row {
                cells: named.map(|(name, cell)| (name.to_string(), cell.to_string())).collect(),
                place,
            }
        })
        .collect();
    assert_eq!(rows.len(), count, "rows of {table}.csv");
    rows
}

impl Row {
    #[track_caller]
    fn cell(&self, column: &str) -> &str {
        let cell = self.cells.get(column);
        cell.unwrap_or_else(|| panic!("{} has no column {column}", self.place))
    }

    /// The cell's value: a text, a count, or a real (`nan`, `inf`).
    #[track_caller]
    pub fn value<T: FromStr<Err: Debug>>(&self, column: &str) -> T {
        self.cell(column).parse().unwrap()
    }

    /// The values of a list cell; an empty one has none.
    #[track_caller]
    pub fn list<T: FromStr<Err: Debug>>(&self, column: &str, separator: char) -> Vec<T> {
        let parts = self.cell(column).split(separator).filter(|part| !part.is_empty());
        parts.map(|part| part.parse().unwrap()).collect()
    }

    /// Table, line, case and kind, for messages.
    pub fn place(&self) -> String {
        let named = |column| self.cells.get(column).map_or("", String::as_str);
        format!("{} ({} {})", self.place, named("case_id"), named("kind"))
    }
}
