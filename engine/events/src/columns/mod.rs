//! The columns of the five event tables, filled row by row from the records that were read.

mod builders;
mod extra;
mod payloads;
mod signal_data;

use arrow::array::{ArrayRef, RecordBatch};

use self::builders::{DictionaryColumn, TextColumn, TimeColumn, constant_time};
use self::payloads::{AssignmentColumns, ErrorColumns, ExposureColumns, OutcomeColumns, SignalColumns};
use crate::decode::fields::{Judged, Record};
use crate::decode::members::Member;
use crate::{EventTime, EventType, Table};

/// The columns of one event table. A row is appended whole or not at all: everything is judged before anything is pushed.
trait PayloadColumns {
    /// The event type of the table.
    const EVENT_TYPE: EventType;

    /// Judges the record's payload and appends it, after what all events have in common.
    fn append(&mut self, common: &mut CommonColumns, record: Record<'_>) -> Judged<()>;

    /// Adds the columns that only this table has, and begins them anew empty.
    fn finish(&mut self, columns: &mut Columns<'_>);
}

/// The columns that every event table has.
#[derive(Debug)]
struct CommonColumns {
    event_id: TextColumn,
    event_time: TimeColumn,
    envelope_time: TimeColumn,
    correlation_id: TextColumn,
    schema_version: DictionaryColumn,
    metadata: TextColumn,
    extra: TextColumn,
}

/// The members that every event has, judged.
struct Common<'a> {
    event_id: &'a str,
    event_time: i64,
    envelope_time: Option<i64>,
    correlation_id: Option<&'a str>,
    schema_version: &'a str,
    metadata: Option<&'a str>,
    record: Record<'a>,
}

impl<'a> Common<'a> {
    #[inline(always)]
    fn of(record: Record<'a>) -> Judged<Common<'a>> {
        let event_id = record.event_id()?;
        let envelope_time = record.time(Member::Timestamp)?;
        let schema_version = record.schema_version()?;
        record.require_payload()?;
        let payload_time = record.time_or_null(Member::PayloadTimestamp)?;
        Ok(Common {
            event_id,
            event_time: payload_time.unwrap_or(envelope_time),
            envelope_time: payload_time.map(|_| envelope_time),
            correlation_id: record.name_or_null(Member::CorrelationId)?,
            schema_version,
            metadata: record.object(Member::Metadata)?,
            record,
        })
    }
}

impl CommonColumns {
    fn new() -> CommonColumns {
        CommonColumns {
            event_id: TextColumn::new(),
            event_time: TimeColumn::new(),
            envelope_time: TimeColumn::new(),
            correlation_id: TextColumn::new(),
            schema_version: DictionaryColumn::new(),
            metadata: TextColumn::new(),
            extra: TextColumn::new(),
        }
    }

    #[inline(always)]
    fn push(&mut self, common: &Common<'_>) {
        self.event_id.push(common.event_id);
        self.event_time.push(common.event_time);
        self.envelope_time.push_or_null(common.envelope_time);
        self.correlation_id.push_or_null(common.correlation_id);
        self.schema_version.push(common.schema_version);
        self.metadata.push_or_null(common.metadata);
        extra::push(&mut self.extra, common.record);
    }
}

/// The finished columns by name, put into the order of the schema at the end.
struct Columns<'a> {
    named: Vec<(&'a str, ArrayRef)>,
}

impl Columns<'_> {
    fn add(&mut self, name: &'static str, column: ArrayRef) {
        self.named.push((name, column));
    }
}

/// One event table being filled.
#[derive(Debug)]
struct EventTable<P> {
    common: CommonColumns,
    payload: P,
}

impl<P: PayloadColumns> EventTable<P> {
    fn new(payload: P) -> EventTable<P> {
        EventTable {
            common: CommonColumns::new(),
            payload,
        }
    }

    fn rows(&self) -> usize {
        self.common.event_time.len()
    }

    #[inline(always)]
    fn append(&mut self, record: Record<'_>) -> Judged<u32> {
        let row = self.rows() as u32;
        self.payload.append(&mut self.common, record)?;
        Ok(row)
    }

    fn finish(&mut self, ingest_time: EventTime) -> Option<RecordBatch> {
        let rows = self.rows();
        if rows == 0 {
            return None;
        }
        let schema = Table::of_event(P::EVENT_TYPE).schema();
        let mut columns = Columns {
            named: Vec::with_capacity(schema.fields().len()),
        };
        let common = &mut self.common;
        columns.add("event_id", common.event_id.finish());
        columns.add("event_time", common.event_time.finish());
        columns.add("envelope_time", common.envelope_time.finish());
        columns.add("ingest_time", constant_time(ingest_time.0, rows));
        columns.add("correlation_id", common.correlation_id.finish());
        columns.add("schema_version", common.schema_version.finish());
        columns.add("metadata", common.metadata.finish());
        columns.add("extra", common.extra.finish());
        self.payload.finish(&mut columns);
        let ordered: Vec<ArrayRef> = schema
            .fields()
            .iter()
            .filter_map(|field| columns.named.iter().find(|(name, _)| name == field.name()))
            .map(|(_, column)| ArrayRef::clone(column))
            .collect();
        match RecordBatch::try_new(schema, ordered) {
            Ok(batch) => Some(batch),
            Err(error) => unreachable!("the columns are those of the schema, of one length: {error}"),
        }
    }
}

/// The five event tables being filled.
#[derive(Debug)]
pub(crate) struct EventTables {
    exposures: EventTable<ExposureColumns>,
    assignments: EventTable<AssignmentColumns>,
    outcomes: EventTable<OutcomeColumns>,
    signals: EventTable<SignalColumns>,
    errors: EventTable<ErrorColumns>,
}

impl EventTables {
    pub(crate) fn new() -> EventTables {
        EventTables {
            exposures: EventTable::new(ExposureColumns::new()),
            assignments: EventTable::new(AssignmentColumns::new()),
            outcomes: EventTable::new(OutcomeColumns::new()),
            signals: EventTable::new(SignalColumns::new()),
            errors: EventTable::new(ErrorColumns::new()),
        }
    }

    /// Appends a record to the table of its type; gives its row there.
    #[inline(always)]
    pub(crate) fn append(&mut self, event_type: EventType, record: Record<'_>) -> Judged<u32> {
        match event_type {
            EventType::Exposure => self.exposures.append(record),
            EventType::Assignment => self.assignments.append(record),
            EventType::Outcome => self.outcomes.append(record),
            EventType::AnalysisSignal => self.signals.append(record),
            EventType::Error => self.errors.append(record),
        }
    }

    /// The tables that have rows, by event type; they begin anew empty.
    pub(crate) fn finish(&mut self, ingest_time: EventTime) -> [Option<RecordBatch>; 5] {
        [
            self.exposures.finish(ingest_time),
            self.assignments.finish(ingest_time),
            self.outcomes.finish(ingest_time),
            self.signals.finish(ingest_time),
            self.errors.finish(ingest_time),
        ]
    }
}
