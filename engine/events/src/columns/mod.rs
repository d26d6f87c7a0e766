//! The columns of the five event tables, filled row by row from the records that were read.

mod builders;
mod extra;
mod payloads;
mod signal_data;

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;

use self::builders::{ConstantTimeColumn, DictionaryColumn, Finished, TextColumn, TimeColumn, Wanted};
use self::payloads::{AssignmentColumns, ErrorColumns, ExposureColumns, OutcomeColumns, SignalColumns};
use crate::decode::fields::{Judged, Record};
use crate::decode::members::Member;
use crate::{DecodedRecord, EventTime, EventType, Identity, NO_KEY, Table};

/// The columns of one event table. A row is appended whole or not at all: everything is judged before anything is pushed.
trait PayloadColumns {
    /// The event type of the table.
    const EVENT_TYPE: EventType;

    /// Judges the record's payload and appends it, after what all events have in common. Gives what it tells; its row and line are not known here.
    fn append(&mut self, common: &mut CommonColumns, record: Record<'_>) -> Judged<DecodedRecord>;

    /// Adds the columns that only this table has, and begins them anew empty.
    fn finish(&mut self, columns: &mut Columns);
}

/// The columns that every event table has.
#[derive(Debug)]
struct CommonColumns {
    event_id: TextColumn,
    event_time: TimeColumn,
    envelope_time: TimeColumn,
    ingest_time: ConstantTimeColumn,
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

    /// What a record tells that names an experiment at most.
    #[inline(always)]
    fn told(
        &self,
        event_type: EventType,
        tenant: Option<&str>,
        subject: Option<&str>,
        experiment: u32,
    ) -> DecodedRecord {
        DecodedRecord {
            event_type,
            row: 0,
            line: 0,
            identity: Identity::of(self.event_id, tenant, subject),
            event_time: EventTime(self.event_time),
            experiment,
            name: NO_KEY,
            other: NO_KEY,
            value: 0.0,
            is_binary: false,
        }
    }
}

impl CommonColumns {
    fn new(wanted: Wanted<'_>) -> CommonColumns {
        CommonColumns {
            event_id: wanted.text("event_id"),
            event_time: wanted.time("event_time"),
            envelope_time: wanted.time("envelope_time"),
            ingest_time: wanted.constant_time("ingest_time"),
            correlation_id: wanted.text("correlation_id"),
            schema_version: wanted.dictionary("schema_version"),
            metadata: wanted.text("metadata"),
            extra: wanted.text("extra"),
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

/// The finished columns, put into the order of the schema at the end.
struct Columns {
    named: Vec<(&'static str, ArrayRef)>,
}

impl Columns {
    fn add(&mut self, column: Finished) {
        self.named.extend(column);
    }

    /// The columns in the table's order, and the schema that has them alone.
    fn ordered(&self, table: Table) -> (SchemaRef, Vec<ArrayRef>) {
        let schema = table.schema();
        let (mut places, mut ordered) = (Vec::new(), Vec::new());
        for (place, field) in schema.fields().iter().enumerate() {
            if let Some((_, column)) = self.named.iter().find(|(name, _)| name == field.name()) {
                places.push(place);
                ordered.push(ArrayRef::clone(column));
            }
        }
        if places.len() == schema.fields().len() {
            return (schema, ordered);
        }
        match schema.project(&places) {
            Ok(projected) => (Arc::new(projected), ordered),
            Err(error) => unreachable!("the places are those of the schema's own fields: {error}"),
        }
    }
}

/// One event table being filled.
#[derive(Debug)]
struct EventTable<P> {
    common: CommonColumns,
    payload: P,
    rows: u32,
}

impl<P: PayloadColumns> EventTable<P> {
    fn new(is_wanted: &dyn Fn(EventType, &str) -> bool, payload: impl FnOnce(Wanted<'_>) -> P) -> EventTable<P> {
        let wanted = Wanted {
            event_type: P::EVENT_TYPE,
            is_wanted,
        };
        EventTable {
            common: CommonColumns::new(wanted),
            payload: payload(wanted),
            rows: 0,
        }
    }

    #[inline(always)]
    fn append(&mut self, record: Record<'_>) -> Judged<DecodedRecord> {
        let told = self.payload.append(&mut self.common, record)?;
        let row = self.rows;
        self.rows += 1;
        Ok(DecodedRecord { row, ..told })
    }

    fn finish(&mut self, ingest_time: EventTime) -> Option<RecordBatch> {
        let rows = std::mem::take(&mut self.rows) as usize;
        if rows == 0 {
            return None;
        }
        let mut columns = Columns {
            named: Vec::with_capacity(24),
        };
        let common = &mut self.common;
        columns.add(common.event_id.finish());
        columns.add(common.event_time.finish());
        columns.add(common.envelope_time.finish());
        columns.add(common.ingest_time.finish(ingest_time.0, rows));
        columns.add(common.correlation_id.finish());
        columns.add(common.schema_version.finish());
        columns.add(common.metadata.finish());
        columns.add(common.extra.finish());
        self.payload.finish(&mut columns);
        let (schema, ordered) = columns.ordered(Table::of_event(P::EVENT_TYPE));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        match RecordBatch::try_new_with_options(schema, ordered, &options) {
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
    /// Tables with the columns that are wanted.
    pub(crate) fn new(is_wanted: &dyn Fn(EventType, &str) -> bool) -> EventTables {
        EventTables {
            exposures: EventTable::new(is_wanted, ExposureColumns::new),
            assignments: EventTable::new(is_wanted, AssignmentColumns::new),
            outcomes: EventTable::new(is_wanted, OutcomeColumns::new),
            signals: EventTable::new(is_wanted, SignalColumns::new),
            errors: EventTable::new(is_wanted, ErrorColumns::new),
        }
    }

    /// Appends a record to the table of its type. Gives what it tells, and its row there; its line is not known here.
    #[inline(always)]
    pub(crate) fn append(&mut self, event_type: EventType, record: Record<'_>) -> Judged<DecodedRecord> {
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
