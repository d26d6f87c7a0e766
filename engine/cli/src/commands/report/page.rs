//! The report as a page, for a terminal and as Markdown.

use console::style;

use super::facts::{Facts, Rows};
use crate::format::{change, counted, grouped, instant, percent, real, wrapped};
use crate::table::TextTable;

/// A part of the page.
struct Section {
    heading: String,
    /// What stands above the table.
    lines: Vec<String>,
    table: Option<Table>,
}

/// A table; the first `keys` columns say what a row is about.
struct Table {
    keys: usize,
    headings: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

/// The whole report.
pub struct Page {
    title: String,
    sections: Vec<Section>,
}

impl Page {
    /// The page of what is known.
    pub fn of(facts: &Facts) -> Self {
        let mut sections = vec![
            conclusion(facts),
            allocation(facts),
            metrics(facts),
            looks(facts),
            signals(facts),
        ];
        sections.retain(|section| !section.lines.is_empty() || section.table.is_some());
        Page {
            title: facts.experiment.clone(),
            sections,
        }
    }

    /// For a terminal of so many characters.
    pub fn terminal(&self, width: usize) -> String {
        let mut text = format!("{}\n", style(&self.title).bold().underlined());
        for section in &self.sections {
            text.push_str(&format!("\n{}\n", style(&section.heading).bold()));
            for line in &section.lines {
                text.push_str(&wrapped(line, width, 2));
                text.push('\n');
            }
            let Some(table) = &section.table else { continue };
            let mut shown = TextTable::new();
            for (index, heading) in table.headings.iter().enumerate() {
                shown = if index < table.keys {
                    shown.key(*heading)
                } else {
                    shown.right(*heading)
                };
            }
            for row in &table.rows {
                shown.row(row.iter().cloned());
            }
            for line in shown.folded(width) {
                text.push_str(&line);
                text.push('\n');
            }
        }
        text
    }

    /// As Markdown.
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n", escaped(&self.title));
        for section in &self.sections {
            text.push_str(&format!("\n## {}\n", section.heading));
            for line in &section.lines {
                text.push_str(&format!("\n{}\n", escaped(line)));
            }
            let Some(table) = &section.table else { continue };
            let align = (0..table.headings.len()).map(|index| if index < table.keys { "---" } else { "---:" });
            text.push_str(&format!("\n| {} |\n", table.headings.join(" | ")));
            text.push_str(&format!("| {} |\n", align.collect::<Vec<_>>().join(" | ")));
            for row in &table.rows {
                let cells: Vec<String> = row.iter().map(|cell| escaped(cell)).collect();
                text.push_str(&format!("| {} |\n", cells.join(" | ")));
            }
        }
        text
    }
}

/// A text that Markdown takes literally, also in a cell of a table.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        if matches!(letter, '|' | '*' | '_' | '`' | '<' | '[' | ']' | '\\' | '#') {
            safe.push('\\');
        }
        safe.push(if letter == '\n' { ' ' } else { letter });
    }
    safe
}

/// With more comparisons than these, secondary metrics are left out of the conclusions.
const MOST_CONCLUSIONS: usize = 8;

/// What a reader may conclude: never more than the design allows.
fn conclusion(facts: &Facts) -> Section {
    let mut lines = Vec::new();
    let plan = &facts.plan;
    if let Some(watermark) = facts.watermark {
        let design = plan.text(0, "design").unwrap_or_else(|| "fixed".to_owned());
        let planned = match plan.count(0, "planned_total") {
            0 => "no planned sample".to_owned(),
            total => format!("{} planned in all", counted(total, "subject")),
        };
        let alpha = plan.real(0, "alpha").unwrap_or(0.05);
        lines.push(format!(
            "as of {} UTC, {design} design, alpha {alpha}, {planned}",
            instant(watermark)
        ));
    }
    if facts.allocation.text(0, "verdict").as_deref() == Some("mismatch") {
        lines.push(
            "Broken: subjects are not split as allocated. No result below is to be believed until the cause is found."
                .to_owned(),
        );
        return section("What to conclude", lines, None);
    }
    let effects = &facts.effects;
    if effects.len() == 0 {
        lines.push("Nothing yet: no metric has outcomes of exposed subjects.".to_owned());
    }
    let is_secondary = |row: usize| effects.text(row, "role").as_deref() == Some("secondary");
    let secondary = (0..effects.len()).filter(|row| is_secondary(*row)).count();
    let shows_all = effects.len() <= MOST_CONCLUSIONS || secondary == effects.len();
    for row in (0..effects.len()).filter(|row| shows_all || !is_secondary(*row)) {
        let verdict = effects.text(row, "verdict").unwrap_or_default();
        let name = |name: &str| effects.text(row, name).unwrap_or_default();
        lines.push(format!(
            "{}, {} against {}: {}",
            name("metric"),
            name("variant"),
            name("control"),
            sentence(&verdict, effects, row)
        ));
    }
    if !shows_all && secondary > 0 {
        lines.push(format!(
            "and {} of secondary metrics, below",
            counted(secondary as u64, "comparison")
        ));
    }
    section("What to conclude", lines, None)
}

fn sentence(verdict: &str, effects: &Rows, row: usize) -> String {
    let direction = match effects.real(row, "difference") {
        Some(difference) if difference > 0.0 => "more",
        Some(difference) if difference < 0.0 => "less",
        _ => "different",
    };
    let planned = effects.real(row, "planned_share").map(percent).unwrap_or_default();
    match verdict {
        "broken" => "not to be believed, the split of subjects is broken".to_owned(),
        "insufficient" => "too little to judge by".to_owned(),
        "no_plan" => "no conclusion: no sample was planned, so no moment is the one to read a p-value at".to_owned(),
        "planned_sample_not_reached" => format!("no conclusion yet, {planned} of the planned sample are there"),
        "significant_always_valid" => {
            format!("{direction}; proven at any time it is read, though before the planned sample")
        }
        "significant" => format!("{direction}, significant as planned"),
        "not_significant" => "no difference was found with the planned sample".to_owned(),
        "undecided" => "undecided so far".to_owned(),
        other => other.to_owned(),
    }
}

fn allocation(facts: &Facts) -> Section {
    let rows = &facts.allocation;
    let mut lines = Vec::new();
    let mut table = Vec::new();
    if rows.len() > 0 {
        let (variants, observed, expected) = (
            rows.texts(0, "variants"),
            rows.reals(0, "observed"),
            rows.reals(0, "expected"),
        );
        let total: f64 = observed.iter().sum();
        for (index, variant) in variants.iter().enumerate() {
            let count = observed.get(index).copied().unwrap_or(0.0);
            let wanted = expected.get(index).copied();
            table.push(vec![
                variant.clone(),
                grouped(count as u64),
                wanted.map_or_else(|| "-".to_owned(), |wanted| grouped(wanted.round() as u64)),
                percent(count / total.max(1.0)),
                wanted.map_or_else(|| "-".to_owned(), |wanted| percent(wanted / total.max(1.0))),
            ]);
        }
        lines.push(split_sentence(rows, 0));
    }
    for row in 1..rows.len() {
        let verdict = rows.text(row, "verdict").unwrap_or_default();
        if matches!(verdict.as_str(), "mismatch" | "warning") {
            let segment = rows.text(row, "segment").unwrap_or_default();
            let value = rows.text(row, "segment_value").unwrap_or_else(|| "absent".to_owned());
            lines.push(format!("{segment} = {value}: {}", split_sentence(rows, row)));
        }
    }
    let table = Table {
        keys: 1,
        headings: vec!["variant", "subjects", "expected", "share", "allocated"],
        rows: table,
    };
    section("Subjects against the allocation", lines, Some(table))
}

fn split_sentence(rows: &Rows, row: usize) -> String {
    let p = |name: &str| rows.real(row, name).map_or_else(|| "unknown".to_owned(), p_value);
    let assumed = rows.text(row, "assumed").as_deref() == Some("true");
    let what = match rows.text(row, "verdict").unwrap_or_default().as_str() {
        "mismatch" => "not split as allocated",
        "warning" => "perhaps not split as allocated",
        "too_few" => "too few to tell",
        "not_evaluated" => "not evaluated",
        "spans_epochs" => "not tested, because the allocation changed meanwhile",
        _ if assumed => "split evenly, as is assumed without a declared allocation",
        _ => "split as allocated",
    };
    let test = rows
        .text(row, "test")
        .unwrap_or_else(|| "chi_square".to_owned())
        .replace('_', "-");
    format!(
        "{what}: anytime-valid p {}; {test} p {}, valid when read once",
        p("sequential_p_value"),
        p("p_value")
    )
}

fn p_value(p: f64) -> String {
    match p {
        p if p >= 0.001 => format!("{p:.3}"),
        p if p > 0.0 => format!("{p:.1e}"),
        _ => "below 1e-300".to_owned(),
    }
}

fn metrics(facts: &Facts) -> Section {
    let effects = &facts.effects;
    let interval = |row: usize, low: &str, high: &str, show: fn(f64) -> String| {
        let ends = effects.real(row, low).zip(effects.real(row, high));
        ends.map_or_else(
            || "-".to_owned(),
            |(low, high)| format!("{} to {}", show(low), show(high)),
        )
    };
    let number =
        |row: usize, name: &str, show: fn(f64) -> String| effects.real(row, name).map_or_else(|| "-".to_owned(), show);
    let rows: Vec<Vec<String>> = (0..effects.len())
        .map(|row| {
            vec![
                effects.text(row, "metric").unwrap_or_default(),
                effects.text(row, "variant").unwrap_or_default(),
                effects.text(row, "role").unwrap_or_default(),
                format!(
                    "{} / {}",
                    grouped(effects.count(row, "n_control")),
                    grouped(effects.count(row, "n"))
                ),
                number(row, "mean_control", real),
                number(row, "mean", real),
                number(row, "lift", change),
                interval(row, "lift_low", "lift_high", change),
                number(row, "p_value", p_value),
                interval(row, "always_valid_low", "always_valid_high", real),
                number(row, "always_valid_p", p_value),
                number(row, "planned_share", percent),
                grouped(effects.count(row, "looks")),
                effects.text(row, "verdict").unwrap_or_default(),
            ]
        })
        .collect();
    if rows.is_empty() {
        return section("Metrics", Vec::new(), None);
    }
    let table = Table {
        keys: 2,
        headings: vec![
            "metric",
            "variant",
            "role",
            "n control / treatment",
            "mean control",
            "mean",
            "lift",
            "lift, interval",
            "p",
            "difference, always valid",
            "always-valid p",
            "planned",
            "looks",
            "verdict",
        ],
        rows,
    };
    let note = "The interval of the lift and p are valid when read once, at the planned sample; always-valid results may be read at any time, \
                and are of subjects whose outcomes are complete.";
    section("Metrics", vec![note.to_owned()], Some(table))
}

fn looks(facts: &Facts) -> Section {
    let looks = &facts.looks;
    let rows: Vec<Vec<String>> = (0..looks.len())
        .map(|row| {
            let time = |name: &str| looks.time(row, name).map(instant).unwrap_or_default();
            vec![
                looks.text(row, "principal").unwrap_or_default(),
                looks.text(row, "origin").unwrap_or_default(),
                grouped(looks.count(row, "times")),
                time("first_time"),
                time("last_time"),
            ]
        })
        .collect();
    if rows.is_empty() {
        return section(
            "Looks",
            vec!["Nobody has looked at results before this.".to_owned()],
            None,
        );
    }
    let table = Table {
        keys: 2,
        headings: vec!["who", "by", "times", "first", "last"],
        rows,
    };
    section("Looks before this one", Vec::new(), Some(table))
}

fn signals(facts: &Facts) -> Section {
    let signals = &facts.signals;
    let lines = (0..signals.len())
        .map(|row| {
            let text = |name: &str| signals.text(row, name).unwrap_or_default();
            let word = match text("state").as_str() {
                "resolved" => "closed".to_owned(),
                _ => text("severity"),
            };
            let at = signals.time(row, "event_time").map(instant).unwrap_or_default();
            format!(
                "{at} UTC  {}  {}: {}",
                word.to_uppercase(),
                text("signal"),
                text("message")
            )
        })
        .collect();
    section("Signals", lines, None)
}

fn section(heading: &str, lines: Vec<String>, table: Option<Table>) -> Section {
    Section {
        heading: heading.to_owned(),
        lines,
        table: table.filter(|table| !table.rows.is_empty()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_takes_names_literally() {
        let page = Page {
            title: "a|b_c".to_owned(),
            sections: vec![section(
                "Metrics",
                vec!["see *this*".to_owned()],
                Some(Table {
                    keys: 1,
                    headings: vec!["metric", "n"],
                    rows: vec![vec!["x|y".to_owned(), "1".to_owned()]],
                }),
            )],
        };
        let wanted = "# a\\|b\\_c\n\n## Metrics\n\nsee \\*this\\*\n\n| metric | n |\n| --- | ---: |\n| x\\|y | 1 |\n";
        assert_eq!(page.markdown(), wanted);
    }

    #[test]
    fn p_values_are_written_for_people() {
        assert_eq!(
            [0.04999, 0.00012, 0.0].map(p_value),
            ["0.050", "1.2e-4", "below 1e-300"]
        );
    }
}
