//! The source.

use std::path::Path;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimestampMicrosecondType};
use backplane_connector_api::conformance::{self, Record};
use backplane_connector_api::{BlockData, Fault, Position, Read, Source};
use backplane_events::{EventType, Table};
use backplane_lake::LakeSource;

use crate::{options, publish, rows, sink};

fn source(folder: &Path) -> LakeSource {
    LakeSource::new("replay", options(folder))
}

/// A lake of all five event tables over several days and two epochs, written out of order.
fn lake(folder: &Path) {
    let mut sink = sink(folder);
    let tables = EventType::ALL.iter().map(|event_type| Table::of_event(*event_type));
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for (turn, table) in tables.enumerate() {
        first.push(rows(table, 20 + turn, 12));
        second.push(rows(table, turn, 20));
    }
    publish(&mut sink, 1, &first);
    publish(&mut sink, 2, &second);
}

fn key(record: &Record) -> (i64, String) {
    let Record::Row(event_type, row) = record else {
        panic!("a lake holds columns")
    };
    assert_eq!(row.schema(), Table::of_event(*event_type).schema());
    let time = row
        .column_by_name("event_time")
        .unwrap()
        .as_primitive::<TimestampMicrosecondType>()
        .value(0);
    let id = cast(row.column_by_name("event_id").unwrap(), &DataType::Utf8).unwrap();
    (time, id.as_string::<i32>().value(0).to_owned())
}

#[test]
fn the_lake_source_conforms_and_gives_events_in_the_order_of_their_time() {
    let dir = tempfile::tempdir().unwrap();
    lake(dir.path());
    let partitions = conformance::source(|| Ok(Box::new(source(dir.path())))).unwrap();
    assert_eq!(partitions.len(), 1);
    let keys: Vec<_> = partitions[0].records.iter().map(key).collect();
    assert_eq!(keys.len(), 5 * 32);
    assert!(keys.is_sorted(), "{keys:?}");
    for event_type in EventType::ALL {
        let of_type = partitions[0]
            .records
            .iter()
            .filter(|record| matches!(record, Record::Row(of, _) if of == event_type));
        assert_eq!(of_type.count(), 32);
    }
}

#[test]
fn a_position_stays_where_it_is_when_the_lake_grows() {
    let dir = tempfile::tempdir().unwrap();
    let mut sink = sink(dir.path());
    publish(&mut sink, 1, &[rows(Table::Exposures, 10, 10)]);
    let mut before = source(dir.path());
    let partition = before.discover().unwrap().remove(0);
    let mut reader = before.open(&partition, None).unwrap();
    let Read::Block(block) = reader.read(4 * 400).unwrap() else {
        panic!("there are events")
    };
    assert_eq!(block.end.offset, 4);

    // earlier events, and a table that was not there
    publish(
        &mut sink,
        2,
        &[rows(Table::Exposures, 0, 10), rows(Table::Outcomes, 0, 10)],
    );
    let mut reader = source(dir.path()).open(&partition, Some(&block.end)).unwrap();
    let Read::Block(rest) = reader.read(1 << 20).unwrap() else {
        panic!("there are events")
    };
    let BlockData::Decoded(events) = rest.data else {
        panic!("a lake holds columns")
    };
    assert_eq!(events.records.len(), 6);
    assert!(matches!(reader.read(1 << 20).unwrap(), Read::End));
}

#[test]
fn a_source_can_be_read_from_inside_a_runtime() {
    let dir = tempfile::tempdir().unwrap();
    lake(dir.path());
    crate::block_on(async {
        let mut source = source(dir.path());
        let partition = source.discover().unwrap().remove(0);
        let mut reader = source.open(&partition, None).unwrap();
        assert!(matches!(reader.read(1 << 20).unwrap(), Read::Block(_)));
    });
}

#[test]
fn what_cannot_be_replayed_is_refused_in_a_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("no");
    let error = source(&missing).discover().unwrap_err();
    assert_eq!(error.fault(), Fault::User);
    assert!(error.to_string().contains("there is no such folder"), "{error}");

    publish(&mut sink(dir.path()), 1, &[rows(Table::Windows, 0, 1)]);
    let message = source(dir.path()).discover().unwrap_err().to_string();
    assert!(
        message.contains("none of the Delta tables exposures, assignments, outcomes, signals, errors"),
        "{message}"
    );

    publish(&mut sink(dir.path()), 1, &[rows(Table::Errors, 0, 5)]);
    let mut source = source(dir.path());
    let partition = source.discover().unwrap().remove(0);
    let beyond = Position {
        offset: 6,
        line: 0,
        detail: None,
    };
    let Err(error) = source.open(&partition, Some(&beyond)) else {
        panic!("there are five events")
    };
    assert!(
        error.to_string().contains("the position 6 is not in the lake") && error.to_string().contains("has 5 events")
    );
}
