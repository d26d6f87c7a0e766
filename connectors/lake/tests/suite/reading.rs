//! The reader.

use std::fs;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::Int64Type;
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use backplane_connector_api::Output;
use backplane_events::Table;
use backplane_lake::{EVENT_DATE, Lake, LakeOptions};

use crate::{block_on, options, publish, rows, session, sink, sql};

fn text(batches: &[RecordBatch]) -> String {
    pretty_format_batches(batches).unwrap().to_string()
}

#[test]
fn the_rows_that_were_written_are_read_in_every_column() {
    let dir = tempfile::tempdir().unwrap();
    let outputs: Vec<_> = Table::ALL.iter().map(|table| rows(*table, 0, 30)).collect();
    publish(&mut sink(dir.path()), 1, &outputs);
    for output in outputs {
        let Output::Rows { table, batch } = output else {
            panic!("rows are rows")
        };
        let schema = table.schema();
        let names: Vec<_> = schema
            .fields()
            .iter()
            .map(|field| format!("\"{}\"", field.name()))
            .collect();
        let first = names[0].as_str();
        let read = sql(
            dir.path(),
            &format!("select {} from {}", names.join(", "), table.name()),
        );
        let read = arrow::compute::concat_batches(&read[0].schema(), &read).unwrap();
        let columns = schema.fields().iter().zip(read.columns());
        let columns = columns
            .map(|(field, column)| cast(column, field.data_type()).unwrap())
            .collect();
        let read = RecordBatch::try_new(schema.clone(), columns).unwrap();
        // the order of files is free: compare row by row in the order of the first column's text
        let sorted = |batch: &RecordBatch| {
            let mut lines: Vec<_> = (0..batch.num_rows()).map(|row| text(&[batch.slice(row, 1)])).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(&read), sorted(&batch), "{} by {first}", table.name());
    }
}

#[test]
fn the_date_is_a_column_and_prunes_files() {
    let dir = tempfile::tempdir().unwrap();
    publish(&mut sink(dir.path()), 1, &[rows(Table::Exposures, 0, 60)]);
    let counts = sql(
        dir.path(),
        "select event_date::text as d, count(*) as n from exposures where event_date >= date '2026-01-07' group by 1 order by 1",
    );
    let expected = "\
+------------+----+
| d          | n  |
+------------+----+
| 2026-01-07 | 24 |
| 2026-01-08 | 10 |
+------------+----+";
    assert_eq!(text(&counts), expected);
    let plan = text(&sql(
        dir.path(),
        "explain analyze select count(event_id) from exposures where event_date = date '2026-01-08'",
    ));
    assert!(
        !plan.contains("2026-01-05") && plan.contains("event_date=2026-01-08"),
        "{plan}"
    );
}

#[test]
fn predicates_on_time_and_text_find_exactly_their_rows() {
    let dir = tempfile::tempdir().unwrap();
    publish(&mut sink(dir.path()), 1, &[rows(Table::Outcomes, 0, 60)]);
    let count = |condition: &str| {
        let batches = sql(dir.path(), &format!("select count(*) from outcomes where {condition}"));
        batches[0].column(0).as_primitive::<Int64Type>().value(0)
    };
    assert_eq!(
        count("event_time >= timestamp '2026-01-06T00:00:00Z' and event_time < timestamp '2026-01-06T05:00:00Z'"),
        5
    );
    assert_eq!(count("subject_id = 'subject_id-17'"), 1);
    assert_eq!(count("subject_id = 'nobody'"), 0);
    assert_eq!(count("tenant_id is null"), 20);
    assert_eq!(count("value > 50"), 10);
    assert_eq!(count("event_time > timestamp '2026-01-08T08:59:59.999999Z'"), 1);
}

#[test]
fn tables_that_were_never_written_are_empty_and_fit_those_that_were() {
    let dir = tempfile::tempdir().unwrap();
    publish(&mut sink(dir.path()), 1, &[rows(Table::Exposures, 0, 1)]);
    let lake = block_on(Lake::open(&options(dir.path()))).unwrap();
    assert!(lake.has(Table::Exposures) && !lake.has(Table::LateEvents));
    assert!(
        sql(dir.path(), "select * from late_events")
            .iter()
            .all(|batch| batch.num_rows() == 0)
    );

    // an empty table has the types that it will have once it is written
    let all: Vec<_> = Table::ALL.iter().map(|table| rows(*table, 0, 1)).collect();
    let full = tempfile::tempdir().unwrap();
    publish(&mut sink(full.path()), 1, &all);
    block_on(async {
        let (empty, full) = (session(dir.path()).await.unwrap(), session(full.path()).await.unwrap());
        for table in Table::ALL {
            let of = |schema: &arrow::datatypes::Schema| -> Vec<_> {
                schema
                    .fields()
                    .iter()
                    .map(|field| (field.name().clone(), field.data_type().clone()))
                    .collect()
            };
            let (empty, full) = (
                empty.table(table.name()).await.unwrap(),
                full.table(table.name()).await.unwrap(),
            );
            assert_eq!(
                of(empty.schema().as_arrow()),
                of(full.schema().as_arrow()),
                "{}",
                table.name()
            );
            assert_eq!(empty.schema().as_arrow().fields().last().unwrap().name(), EVENT_DATE);
        }
    });
}

#[test]
fn an_open_lake_does_not_change_under_its_reader() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = sink(dir.path());
    publish(&mut sink, 1, &[rows(Table::Exposures, 0, 10)]);
    block_on(async {
        let before = session(dir.path()).await.unwrap();
        publish(&mut sink, 2, &[rows(Table::Exposures, 10, 10)]);
        assert_eq!(before.table("exposures").await.unwrap().count().await.unwrap(), 10);
        let after = session(dir.path()).await.unwrap();
        assert_eq!(after.table("exposures").await.unwrap().count().await.unwrap(), 20);
    });
}

#[test]
fn what_is_no_lake_is_refused_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "x").unwrap();
    let refusal = |path: &str| {
        let url = dir.path().join(path).display().to_string();
        let message = block_on(Lake::open(&LakeOptions::at(url))).err().unwrap().to_string();
        message.replace(&dir.path().display().to_string(), "DIR")
    };
    assert_eq!(
        refusal("no"),
        "DIR/no: there is no such folder; name the folder of a lake"
    );
    assert_eq!(
        refusal("file"),
        "DIR/file is a file, not a folder; name a folder for the lake"
    );
    let empty = refusal("");
    assert!(
        empty.starts_with("DIR/ is not a lake: none of the Delta tables exposures, assignments, outcomes"),
        "{empty}"
    );
}

#[test]
fn a_lake_whose_file_was_removed_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let effect = publish(&mut sink(dir.path()), 1, &[rows(Table::Windows, 0, 3)]);
    let path = effect["tables"]["windows"][0]["path"].as_str().unwrap();
    fs::remove_file(dir.path().join("windows").join(path)).unwrap();
    block_on(async {
        let session = session(dir.path()).await.unwrap();
        let rows = session.sql("select name from windows").await.unwrap().collect().await;
        assert!(rows.unwrap_err().to_string().contains(path));
    });
}
