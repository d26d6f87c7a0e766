//! One row of an event table as an envelope.

use std::cell::Cell;

use arrow::array::{Array, AsArray, DictionaryArray, Float64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{
    ArrowDictionaryKeyType, DataType, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use crate::kinds::WireEnum;
use crate::{
    AnalysisSignal, Assignment, Envelope, ErrorEvent, EventTime, EventType, EventsError, Exposure, Outcome, Payload,
};

impl Envelope {
    /// The envelope in this row of a batch of the event type's table. Columns are found by name, so more of them, another order, or
    /// plain texts in place of dictionaries do no harm.
    ///
    /// # Errors
    /// [`EventsError`] where the batch is not one of that table or has no such row.
    pub fn from_row(event_type: EventType, batch: &RecordBatch, row: usize) -> Result<Envelope, EventsError> {
        read_row(event_type, batch, row)
    }
}

impl<'a> Envelope<&'a str> {
    /// As [`Envelope::from_row`], with the texts left in the batch.
    ///
    /// # Errors
    /// [`EventsError`] where the batch is not one of that table or has no such row.
    pub fn borrow_row(
        event_type: EventType,
        batch: &'a RecordBatch,
        row: usize,
    ) -> Result<Envelope<&'a str>, EventsError> {
        read_row(event_type, batch, row)
    }
}

fn read_row<'a, S: From<&'a str>>(
    event_type: EventType,
    batch: &'a RecordBatch,
    row: usize,
) -> Result<Envelope<S>, EventsError> {
    if row >= batch.num_rows() {
        return Err(EventsError::NoSuchRow {
            row,
            rows: batch.num_rows(),
        });
    }
    let row = Row {
        batch,
        row,
        next: Cell::new(0),
    };
    // In the order of the schemas, which lets `Row` find each column at once.
    let event_id = row.text("event_id")?;
    let event_time = row.time("event_time")?;
    let envelope_time = row.time_or_null("envelope_time")?;
    let own_time = envelope_time.map(|_| event_time);
    let payload = match event_type {
        EventType::Exposure => read_exposure(&row, own_time)?,
        EventType::Assignment => read_assignment(&row, own_time)?,
        EventType::Outcome => read_outcome(&row, own_time)?,
        EventType::AnalysisSignal => read_signal(&row, own_time)?,
        EventType::Error => read_error(&row, own_time)?,
    };
    Ok(Envelope {
        event_id,
        timestamp: envelope_time.unwrap_or(event_time),
        payload,
        correlation_id: row.text_or_null("correlation_id")?,
        schema_version: row.text("schema_version")?,
        metadata: row.text_or_null("metadata")?,
        extra: row.text_or_null("extra")?,
    })
}

fn read_exposure<'a, S: From<&'a str>>(row: &Row<'a>, timestamp: Option<EventTime>) -> Result<Payload<S>, EventsError> {
    Ok(Payload::Exposure(Exposure {
        timestamp,
        experiment: row.text("experiment")?,
        variant: row.text("variant")?,
        subject_id: row.text("subject_id")?,
        subject_type: row.text_or_null("subject_type")?,
        tenant_id: row.text_or_null("tenant_id")?,
        selection_reason: row.text_or_null("selection_reason")?,
        rule_path: row.text_or_null("rule_path")?,
        assignment_policy: row.choice("assignment_policy")?,
        is_repeat_exposure: row.flag_or_null("is_repeat_exposure")?,
        attributes: row.text_or_null("attributes")?,
    }))
}

fn read_assignment<'a, S: From<&'a str>>(
    row: &Row<'a>,
    timestamp: Option<EventTime>,
) -> Result<Payload<S>, EventsError> {
    Ok(Payload::Assignment(Assignment {
        timestamp,
        experiment: row.text("experiment")?,
        subject_id: row.text("subject_id")?,
        tenant_id: row.text_or_null("tenant_id")?,
        previous_variant: row.text_or_null("previous_variant")?,
        new_variant: row.text("new_variant")?,
        change_reason: row.text_or_null("change_reason")?,
        assignment_policy: row.choice("assignment_policy")?,
        attributes: row.text_or_null("attributes")?,
    }))
}

fn read_outcome<'a, S: From<&'a str>>(row: &Row<'a>, timestamp: Option<EventTime>) -> Result<Payload<S>, EventsError> {
    Ok(Payload::Outcome(Outcome {
        timestamp,
        id: row.text_or_null("outcome_id")?,
        experiment: row.text_or_null("experiment")?,
        variant: row.text_or_null("variant")?,
        subject_id: row.text("subject_id")?,
        tenant_id: row.text_or_null("tenant_id")?,
        outcome_type: row.choice("outcome_type")?,
        metric: row.text("metric")?,
        value: row.number("value")?,
        metadata: row.text_or_null("payload_metadata")?,
    }))
}

fn read_signal<'a, S: From<&'a str>>(row: &Row<'a>, timestamp: Option<EventTime>) -> Result<Payload<S>, EventsError> {
    Ok(Payload::AnalysisSignal(AnalysisSignal {
        timestamp,
        experiment: row.text("experiment")?,
        signal_type: row.choice("signal_type")?,
        severity: row.choice("severity")?,
        message: row.text("message")?,
        data: row.text_or_null("data")?,
    }))
}

fn read_error<'a, S: From<&'a str>>(row: &Row<'a>, timestamp: Option<EventTime>) -> Result<Payload<S>, EventsError> {
    Ok(Payload::Error(ErrorEvent {
        timestamp,
        experiment: row.text_or_null("experiment")?,
        variant: row.text_or_null("variant")?,
        subject_id: row.text_or_null("subject_id")?,
        tenant_id: row.text_or_null("tenant_id")?,
        error_type: row.text("error_type")?,
        message: row.text("message")?,
        stack_trace: row.text_or_null("stack_trace")?,
        attributes: row.text_or_null("attributes")?,
    }))
}

/// A row whose columns are read by name.
struct Row<'a> {
    batch: &'a RecordBatch,
    row: usize,
    /// Where the next column probably is: behind the one that was read last.
    next: Cell<usize>,
}

impl<'a> Row<'a> {
    /// The column, and whether it has a value here.
    fn column(&self, name: &'static str) -> Result<(&'a dyn Array, bool), EventsError> {
        let fields = self.batch.schema_ref().fields();
        let expected = self.next.get();
        let index = match fields.get(expected) {
            Some(field) if field.name() == name => expected,
            _ => fields
                .iter()
                .position(|field| field.name() == name)
                .ok_or(EventsError::NotThisTable { column: name })?,
        };
        self.next.set(index + 1);
        let column = self
            .batch
            .columns()
            .get(index)
            .ok_or(EventsError::NotThisTable { column: name })?;
        Ok((column.as_ref(), column.is_valid(self.row)))
    }

    fn str_or_null(&self, name: &'static str) -> Result<Option<&'a str>, EventsError> {
        let (column, valid) = self.column(name)?;
        if !valid {
            return Ok(None);
        }
        text_in(column, self.row)
            .map(Some)
            .ok_or(EventsError::NotThisTable { column: name })
    }

    fn text_or_null<S: From<&'a str>>(&self, name: &'static str) -> Result<Option<S>, EventsError> {
        Ok(self.str_or_null(name)?.map(S::from))
    }

    fn text<S: From<&'a str>>(&self, name: &'static str) -> Result<S, EventsError> {
        self.text_or_null(name)?.ok_or_else(|| self.missing(name))
    }

    fn choice<E: WireEnum>(&self, name: &'static str) -> Result<E, EventsError> {
        let text = self.str_or_null(name)?.ok_or_else(|| self.missing(name))?;
        E::of_name(text.as_bytes()).ok_or_else(|| EventsError::UnknownEnumValue {
            column: name,
            value: text.to_owned(),
        })
    }

    fn time_or_null(&self, name: &'static str) -> Result<Option<EventTime>, EventsError> {
        let (column, valid) = self.column(name)?;
        let times: &TimestampMicrosecondArray = column
            .as_primitive_opt::<TimestampMicrosecondType>()
            .ok_or(EventsError::NotThisTable { column: name })?;
        Ok(valid.then(|| EventTime(times.value(self.row))))
    }

    fn time(&self, name: &'static str) -> Result<EventTime, EventsError> {
        self.time_or_null(name)?.ok_or_else(|| self.missing(name))
    }

    fn number(&self, name: &'static str) -> Result<f64, EventsError> {
        let (column, valid) = self.column(name)?;
        let numbers: &Float64Array = column
            .as_primitive_opt::<Float64Type>()
            .ok_or(EventsError::NotThisTable { column: name })?;
        if valid {
            Ok(numbers.value(self.row))
        } else {
            Err(self.missing(name))
        }
    }

    fn flag_or_null(&self, name: &'static str) -> Result<Option<bool>, EventsError> {
        let (column, valid) = self.column(name)?;
        let flags = column
            .as_boolean_opt()
            .ok_or(EventsError::NotThisTable { column: name })?;
        Ok(valid.then(|| flags.value(self.row)))
    }

    fn missing(&self, column: &'static str) -> EventsError {
        EventsError::MissingValue { column, row: self.row }
    }
}

/// The text in a row that is not null, of any of Arrow's ways to hold texts.
fn text_in(column: &dyn Array, row: usize) -> Option<&str> {
    match column.data_type() {
        DataType::Utf8 => column.as_string_opt::<i32>().map(|texts| texts.value(row)),
        DataType::LargeUtf8 => column.as_string_opt::<i64>().map(|texts| texts.value(row)),
        DataType::Utf8View => column.as_string_view_opt().map(|texts| texts.value(row)),
        DataType::Dictionary(key, _) => match key.as_ref() {
            DataType::Int8 => dictionary_text(column.as_dictionary_opt::<Int8Type>()?, row),
            DataType::Int16 => dictionary_text(column.as_dictionary_opt::<Int16Type>()?, row),
            DataType::Int32 => dictionary_text(column.as_dictionary_opt::<Int32Type>()?, row),
            DataType::Int64 => dictionary_text(column.as_dictionary_opt::<Int64Type>()?, row),
            DataType::UInt8 => dictionary_text(column.as_dictionary_opt::<UInt8Type>()?, row),
            DataType::UInt16 => dictionary_text(column.as_dictionary_opt::<UInt16Type>()?, row),
            DataType::UInt32 => dictionary_text(column.as_dictionary_opt::<UInt32Type>()?, row),
            DataType::UInt64 => dictionary_text(column.as_dictionary_opt::<UInt64Type>()?, row),
            _ => None,
        },
        _ => None,
    }
}

fn dictionary_text<K: ArrowDictionaryKeyType>(column: &DictionaryArray<K>, row: usize) -> Option<&str> {
    let key = column.key(row)?;
    let texts = column.values();
    if texts.is_valid(key) {
        text_in(texts.as_ref(), key)
    } else {
        None
    }
}
