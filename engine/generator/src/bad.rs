//! Lines that every reader must refuse, one sort after the other.

use crate::record::Record;
use crate::spelling::{Zone, decimal, instant};

/// What a bad line looks like: the text around `ID` and `TIME`.
const SORTS: [&str; 12] = [
    // cut off in the middle
    r#"{"eventId":"ID","timestamp":TIME,"eventType":"Outcome","schemaVersion":"1.0.0","payload":{"subjectId":"user-0000"#,
    "2026-01-05 12:00:01 WARN gateway: upstream closed the connection (request ID)",
    // no subject
    r#"{"eventId":"ID","timestamp":TIME,"eventType":"Exposure","schemaVersion":"1.0.0","payload":{"experimentName":"x","variantKey":"control"}}"#,
    // values that are no finite numbers
    r#"{"eventId":"ID","timestamp":TIME,"eventType":"Outcome","schemaVersion":"1.0.0","payload":{"subjectId":"user-1","metricName":"purchase","value":1e999}}"#,
    r#"{"eventId":"ID","timestamp":TIME,"eventType":"Outcome","schemaVersion":"1.0.0","payload":{"subjectId":"user-1","metricName":"purchase","value":NaN}}"#,
    r#"{"eventId":"ID","timestamp":TIME,"eventType":"Outcome","schemaVersion":"1.0.0","payload":{"subjectId":"user-1","metricName":"purchase","value":"12"}}"#,
    // another major version
    r#"{"eventId":"ID","timestamp":TIME,"eventType":"Outcome","schemaVersion":"2.0.0","payload":{"subjectId":"user-1","metricName":"purchase","value":1}}"#,
    // an event type that there is not
    r#"{"eventId":"ID","timestamp":TIME,"eventType":"Heartbeat","schemaVersion":"1.0.0","payload":{"subjectId":"user-1"}}"#,
    // instants without offset, and of a day that there is not
    r#"{"eventId":"ID","timestamp":"2026-01-05T12:00:01","eventType":"Outcome","schemaVersion":"1.0.0","payload":{"subjectId":"user-1","metricName":"purchase","value":1}}"#,
    r#"{"eventId":"ID","timestamp":"2026-02-30T12:00:01Z","eventType":"Outcome","schemaVersion":"1.0.0","payload":{"subjectId":"user-1","metricName":"purchase","value":1}}"#,
    // no id, no payload
    r#"{"eventId":"","timestamp":TIME,"eventType":"Outcome","schemaVersion":"1.0.0","payload":{"subjectId":"user-1","metricName":"purchase","value":1}}"#,
    r#"{"eventId":"ID","timestamp":TIME,"eventType":"Outcome","schemaVersion":"1.0.0","payload":null}"#,
];

/// Appends a bad line.
pub(crate) fn write(out: &mut Vec<u8>, record: &Record, start: i64) {
    let number = record.id as usize;
    let mut id = b"bad-".to_vec();
    decimal(&mut id, u64::from(record.id), 6);
    let mut time = Vec::new();
    instant(&mut time, start + record.arrival, Zone::Z, false);
    let line = SORTS[number % SORTS.len()]
        .replace("TIME", &String::from_utf8_lossy(&time))
        .replace("ID", &String::from_utf8_lossy(&id));
    out.extend_from_slice(line.as_bytes());
    out.push(b'\n');
}
