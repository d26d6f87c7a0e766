//! What a person sees.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::record_batch::RecordBatch;
use backplane_connector_api::{Epoch, Output, Sink};
use backplane_events::Table;
use backplane_file::{TerminalOptions, TerminalSink};

const START: i64 = 1_767_571_200_000_000;
const HOUR: i64 = 3_600_000_000;

/// A row of a table from the columns that matter; the others are null, or zero where null is not allowed.
fn row(table: Table, members: &[(&str, Member)]) -> Output {
    let schema = table.schema();
    let column = |field: &arrow::datatypes::Field| -> ArrayRef {
        let values: ArrayRef = match members.iter().find(|(name, _)| *name == field.name()) {
            Some((_, Text(text))) => Arc::new(StringArray::from(vec![*text])),
            Some((_, Whole(number))) => Arc::new(Int64Array::from(vec![*number])),
            Some((_, Real(number))) => Arc::new(arrow::array::Float64Array::from(vec![*number])),
            Some((_, Flag(flag))) => Arc::new(arrow::array::BooleanArray::from(vec![*flag])),
            None if field.is_nullable() => new_null_array(field.data_type(), 1),
            None if matches!(
                field.data_type(),
                DataType::Utf8 | DataType::Binary | DataType::Dictionary(_, _)
            ) =>
            {
                Arc::new(StringArray::from(vec!["-"]))
            }
            None if *field.data_type() == DataType::Boolean => Arc::new(arrow::array::BooleanArray::from(vec![false])),
            None => Arc::new(Int64Array::from(vec![0])),
        };
        cast(&values, field.data_type()).unwrap()
    };
    let columns = schema.fields().iter().map(|field| column(field)).collect();
    Output::Rows {
        table,
        batch: RecordBatch::try_new(schema, columns).unwrap(),
    }
}

enum Member {
    Text(&'static str),
    Whole(i64),
    Real(f64),
    Flag(bool),
}
use Member::{Flag, Real, Text, Whole};

fn window(hour: i64) -> Vec<(&'static str, Member)> {
    let start = START + hour * HOUR;
    vec![
        ("window_name", Text("hourly")),
        ("window_start", Whole(start)),
        ("window_end", Whole(start + HOUR)),
        ("is_final", Flag(true)),
    ]
}

fn counted(variant: &'static str, subjects: i64, more: Vec<(&'static str, Member)>) -> Output {
    let mut members = vec![
        ("experiment", Text("checkout")),
        ("variant", Text(variant)),
        ("subjects", Whole(subjects)),
    ];
    members.extend(more);
    row(Table::AssignmentCounts, &members)
}

fn measured(variant: &'static str, metric: &'static str, mean: f64, more: Vec<(&'static str, Member)>) -> Output {
    let mut members = vec![
        ("experiment", Text("checkout")),
        ("variant", Text(variant)),
        ("metric", Text(metric)),
        ("mean", Real(mean)),
    ];
    members.extend(more);
    row(Table::MetricStats, &members)
}

fn to_date() -> Vec<(&'static str, Member)> {
    vec![("window_name", Text("cumulative"))]
}

/// What the epochs of these outputs show.
fn shown(options: TerminalOptions, epochs: &[Vec<Output>]) -> String {
    let mut sink = TerminalSink::new("terminal", options, Vec::new());
    for (number, outputs) in epochs.iter().enumerate() {
        for output in outputs {
            sink.accept(output).unwrap();
        }
        let epoch = Epoch(number as u64 + 1);
        let effect = sink.prepare(epoch).unwrap();
        sink.publish(epoch, &effect).unwrap();
        sink.publish(epoch, &effect).unwrap();
    }
    String::from_utf8(sink.into_inner()).unwrap()
}

#[test]
fn an_experiment_is_an_aligned_table() {
    let outputs = vec![
        counted("control", 15_012, to_date()),
        counted("treatment", 4_998, to_date()),
        measured("control", "purchase", 12.3456, to_date()),
        measured("treatment", "purchase", 0.5, to_date()),
        measured("treatment", "click", 0.12, to_date()),
    ];
    let expected = "\
checkout, to date
  variant    subjects  crossovers  mean click  mean purchase
  control      15,012           0           –          12.35
  treatment     4,998           0      0.1200         0.5000

";
    assert_eq!(shown(TerminalOptions::default(), &[outputs]), expected);
}

#[test]
fn an_epoch_that_changes_one_variant_shows_the_others_too() {
    let first = vec![counted("control", 1, to_date()), counted("treatment", 2, to_date())];
    let second = vec![counted("control", 7, to_date())];
    let text = shown(TerminalOptions::default(), &[first, second]);
    let last = text.split("checkout, to date").last().unwrap();
    assert!(
        last.contains("control           7") && last.contains("treatment         2"),
        "{text}"
    );
}

#[test]
fn provisional_results_are_shown_only_if_they_are_wanted() {
    let outputs = vec![vec![counted("control", 1, to_date())]];
    assert_eq!(shown(TerminalOptions { provisional: false }, &outputs), "");
}

#[test]
fn of_many_windows_that_close_at_once_the_latest_is_shown() {
    let outputs = vec![
        counted("control", 5, window(0)),
        counted("control", 6, window(1)),
        counted("control", 7, window(2)),
        counted("control", 8, vec![("window_name", Text("hourly"))]),
    ];
    let expected = "\
checkout, hourly 2026-01-05 02:00 to 03:00 UTC (and 2 earlier windows)
  variant  subjects  crossovers
  control         7           0

";
    assert_eq!(shown(TerminalOptions::default(), &[outputs]), expected);
}

#[test]
fn of_windows_without_subjects_none_is_shown() {
    let mut outputs = vec![counted("control", 5, window(0)), counted("control", 6, window(1))];
    for hour in 2..5 {
        outputs.push(counted("control", 0, window(hour)));
        outputs.push(measured("control", "click", f64::NAN, window(hour)));
    }
    let text = shown(TerminalOptions::default(), &[outputs]);
    assert!(
        text.starts_with("checkout, hourly 2026-01-05 01:00 to 02:00 UTC (and 1 earlier window)\n"),
        "{text}"
    );
    let empty = vec![counted("control", 0, window(0))];
    assert_eq!(shown(TerminalOptions::default(), &[empty]), "");
}

#[test]
fn a_mean_that_is_no_number_is_a_dash() {
    let outputs = vec![
        counted("control", 1, to_date()),
        measured("control", "click", f64::NAN, to_date()),
    ];
    let text = shown(TerminalOptions::default(), &[outputs]);
    assert!(text.contains("           –\n") && !text.contains("NaN"), "{text}");
}

#[test]
fn late_and_unreadable_records_are_counted_and_signals_are_lines() {
    let late = |window| row(Table::LateEvents, &[("window_name", Text(window))]);
    let dead = |reason| row(Table::DeadLetters, &[("reason", Text(reason))]);
    let signal = [
        ("severity", Text("Critical")),
        ("experiment", Text("checkout")),
        ("message", Text("1 : 3")),
    ];
    let outputs = vec![
        late("hourly"),
        late("cumulative"),
        late("hourly"),
        dead("notJson"),
        dead("notJson"),
        dead("noTime"),
        row(Table::Signals, &signal),
        row(Table::Exposures, &[]),
    ];
    let expected = "\
1970-01-01 00:00 UTC  CRITICAL  checkout  1 : 3
late records: 1 too late for every result, 2 for window hourly
records that could not be read: 3 (1 noTime, 2 notJson)
";
    assert_eq!(shown(TerminalOptions::default(), &[outputs]), expected);
}

#[test]
fn rows_of_segments_are_not_shown() {
    let mut of_segment = to_date();
    of_segment.extend([("segment", Text("tenantId")), ("segment_value", Text("acme"))]);
    assert_eq!(
        shown(TerminalOptions::default(), &[vec![counted("control", 1, of_segment)]]),
        ""
    );
}

#[test]
fn a_query_is_shown_as_a_table() {
    let batch = RecordBatch::try_from_iter([("errors", Arc::new(Int64Array::from(vec![3])) as ArrayRef)]).unwrap();
    let text = shown(
        TerminalOptions::default(),
        &[vec![Output::Query {
            name: "error-rate".to_owned(),
            batch,
        }]],
    );
    assert!(text.starts_with("query error-rate\n+--------+\n| errors |\n"), "{text}");
}
