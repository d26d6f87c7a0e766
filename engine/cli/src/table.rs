//! Aligned columns of text.

use console::{Alignment, measure_text_width, pad_str, style, truncate_str};

/// What stands between two columns.
const GAP: &str = "  ";
/// A column is never cut to less than this.
const NARROWEST: usize = 10;

/// A table of texts, which may be coloured.
#[derive(Debug, Clone, Default)]
pub struct TextTable {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    /// How many columns at the left say what a row is about.
    keys: usize,
}

#[derive(Debug, Clone)]
struct Column {
    heading: String,
    alignment: Alignment,
}

impl TextTable {
    /// A table without columns.
    pub fn new() -> Self {
        Self::default()
    }

    /// With a column that says what a row is about, which is repeated where the table has to be folded.
    pub fn key(mut self, heading: impl Into<String>) -> Self {
        self.keys += 1;
        self.left(heading)
    }

    /// With a column of texts.
    pub fn left(mut self, heading: impl Into<String>) -> Self {
        self.columns.push(Column {
            heading: heading.into(),
            alignment: Alignment::Left,
        });
        self
    }

    /// With a column of numbers.
    pub fn right(mut self, heading: impl Into<String>) -> Self {
        self.columns.push(Column {
            heading: heading.into(),
            alignment: Alignment::Right,
        });
        self
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines, with a heading. What does not fit side by side into `width` is folded into tables one below the other.
    pub fn folded(&self, width: usize) -> Vec<String> {
        let widths = self.widths();
        let keys: Vec<usize> = (0..self.keys).collect();
        let key_width: usize = keys
            .iter()
            .filter_map(|column| widths.get(*column))
            .map(|width| width + GAP.len())
            .sum();
        let mut lines = Vec::new();
        let mut group = keys.clone();
        let mut used = key_width;
        for (column, column_width) in widths.iter().enumerate().skip(self.keys) {
            let needed = column_width + GAP.len();
            if used + needed > width + GAP.len() && group.len() > self.keys {
                lines.extend(self.lines(&group, &widths));
                lines.push(String::new());
                group.clone_from(&keys);
                used = key_width;
            }
            group.push(column);
            used += needed;
        }
        lines.extend(self.lines(&group, &widths));
        lines
    }

    /// The lines, with a heading. Where they would be longer than `width`, the widest columns are cut; where that would leave
    /// too little of them, each row becomes lines of its own, one for each column.
    pub fn cut(&self, width: Option<usize>) -> Vec<String> {
        let mut widths = self.widths();
        if let Some(width) = width
            && !fit(&mut widths, width)
        {
            return self.records(width);
        }
        self.lines(&(0..self.columns.len()).collect::<Vec<_>>(), &widths)
    }

    /// One line for each column of each row.
    fn records(&self, width: usize) -> Vec<String> {
        let headings = self.columns.iter().map(|column| measure_text_width(&column.heading));
        let heading_width = headings.max().unwrap_or_default();
        let value_width = width.saturating_sub(heading_width + GAP.len()).max(NARROWEST);
        let mut lines = Vec::new();
        for (number, row) in (1..).zip(&self.rows) {
            lines.push(style(format!("─ row {number} ─")).dim().to_string());
            for (column, cell) in self.columns.iter().zip(row) {
                let heading = pad_str(&column.heading, heading_width, Alignment::Left, None);
                lines.push(format!("{heading}{GAP}{}", truncate_str(cell, value_width, "…")));
            }
        }
        lines
    }

    fn widths(&self) -> Vec<usize> {
        let of_column = |(index, column): (usize, &Column)| {
            let cells = self
                .rows
                .iter()
                .filter_map(|row| row.get(index))
                .map(|cell| measure_text_width(cell));
            cells
                .chain([measure_text_width(&column.heading)])
                .max()
                .unwrap_or_default()
        };
        self.columns.iter().enumerate().map(of_column).collect()
    }

    fn lines(&self, shown: &[usize], widths: &[usize]) -> Vec<String> {
        let heading = |column: &usize| {
            self.columns
                .get(*column)
                .map(|column| column.heading.as_str())
                .unwrap_or_default()
        };
        let rule = |column: &usize| "─".repeat(widths.get(*column).copied().unwrap_or_default());
        let rules: Vec<String> = shown.iter().map(rule).collect();
        let mut lines = vec![
            self.line(shown, widths, heading),
            style(rules.join(GAP)).dim().to_string(),
        ];
        for row in &self.rows {
            lines.push(self.line(shown, widths, |column| {
                row.get(*column).map(String::as_str).unwrap_or_default()
            }));
        }
        lines
    }

    fn line<'a>(&self, shown: &[usize], widths: &[usize], text: impl Fn(&usize) -> &'a str) -> String {
        let mut line = String::new();
        for (index, column) in shown.iter().enumerate() {
            let width = widths.get(*column).copied().unwrap_or_default();
            let alignment = self
                .columns
                .get(*column)
                .map_or(Alignment::Left, |column| column.alignment);
            let cell = truncate_str(text(column), width, "…");
            if index > 0 {
                line.push_str(GAP);
            }
            line.push_str(&pad_str(&cell, width, alignment, None));
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// Makes the widest columns narrower until all fit side by side; whether they do.
fn fit(widths: &mut [usize], width: usize) -> bool {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    let available = width.saturating_sub(gaps);
    let total_with = |most: usize| widths.iter().map(|width| (*width).min(most)).sum::<usize>();
    let widest = widths.iter().copied().max().unwrap_or_default().max(NARROWEST);
    let Some(most) = (NARROWEST..=widest).rev().find(|most| total_with(*most) <= available) else {
        return false;
    };
    for column in widths.iter_mut() {
        *column = (*column).min(most);
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TextTable {
        let mut table = TextTable::new()
            .key("experiment")
            .left("variant")
            .right("subjects")
            .right("share");
        table.row(["checkout", "control", "1,024", "50.1%"].map(str::to_owned));
        table.row(["", "treatment", "998", "49.9%"].map(str::to_owned));
        table
    }

    #[test]
    fn columns_are_aligned() {
        insta::assert_snapshot!(table().folded(80).join("\n"), @r"
        experiment  variant    subjects  share
        ──────────  ─────────  ────────  ─────
        checkout    control       1,024  50.1%
                    treatment       998  49.9%
        ");
    }

    #[test]
    fn what_does_not_fit_is_folded_under_the_same_keys() {
        insta::assert_snapshot!(table().folded(32).join("\n"), @r"
        experiment  variant    subjects
        ──────────  ─────────  ────────
        checkout    control       1,024
                    treatment       998

        experiment  share
        ──────────  ─────
        checkout    50.1%
                    49.9%
        ");
    }

    #[test]
    fn the_widest_columns_are_cut_first() {
        let mut widths = [30, 5, 12];
        assert!(fit(&mut widths, 30));
        // 30 less two gaps is 26: 10 + 5 + 10 fit, 11 + 5 + 11 do not
        assert_eq!(widths, [10, 5, 10]);
    }

    #[test]
    fn rows_that_are_far_too_wide_stand_below_each_other() {
        let mut wide = TextTable::new();
        for number in 1..=5 {
            wide = wide.left(format!("column {number}"));
        }
        wide.row((1..=5).map(|number| format!("a rather long value {number}")));
        insta::assert_snapshot!(wide.cut(Some(30)).join("\n"), @r"
        ─ row 1 ─
        column 1  a rather long value…
        column 2  a rather long value…
        column 3  a rather long value…
        column 4  a rather long value…
        column 5  a rather long value…
        ");
        assert_eq!(wide.cut(None).len(), 3);
    }
}
