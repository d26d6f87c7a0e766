//! A decoded block: the columns of its events, and of every record what the stream needs to know, in record order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, DictionaryArray, Float64Array, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::Int32Type;
use arrow::record_batch::RecordBatch;
use backplane_events::{DecodedRecord, EventType, Identity, Table};

use crate::error::RuntimeError;
use crate::names::{JobNames, NO_NAME, Names};
use crate::plan::SHARDS;

/// A slice that never comes: the record takes no part in any result.
pub const NO_SLICE: i64 = i64::MIN;

/// What the stream needs to know of one record.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct RecordMeta {
    /// 128-bit hash of the event id.
    pub id_hash: u128,
    /// 128-bit hash of (tenant, subject); 0 for records without a subject.
    pub subject_hash: u128,
    /// Event time, microseconds.
    pub time: i64,
    /// The boundary at which the record is settled, or [`NO_SLICE`].
    pub slice: i64,
    /// An outcome's value.
    pub value: f64,
    /// The experiment: of the block's dictionary until [`Block::resolve_names`], of the job after it.
    pub experiment: u32,
    /// The variant of an exposure, the new variant of an assignment, the metric of an outcome.
    pub name: u32,
    /// The variant that an outcome names.
    pub other: u32,
    /// Row of the batch of its type.
    pub row: u32,
    /// What it is.
    pub event_type: EventType,
    /// Whether an outcome is Binary.
    pub binary: bool,
}

impl From<&DecodedRecord> for RecordMeta {
    fn from(record: &DecodedRecord) -> Self {
        RecordMeta {
            id_hash: record.identity.event_id,
            subject_hash: record.identity.subject,
            time: record.event_time.0,
            slice: NO_SLICE,
            value: record.value,
            // what has no key has no name
            experiment: record.experiment,
            name: record.name,
            other: record.other,
            row: record.row,
            event_type: record.event_type,
            binary: record.is_binary,
        }
    }
}

impl RecordMeta {
    /// Whether its fate is decided once the watermark is here. Records that are in no slice are decided from the start.
    #[must_use]
    pub fn is_settled(&self, watermark: i64) -> bool {
        self.slice <= watermark
    }
}

/// Typed columns of one event type, so that rows are read without a look-up by name.
#[derive(Debug)]
pub struct EventColumns {
    /// The whole batch.
    pub batch: RecordBatch,
    /// `event_id`, where it was asked for.
    pub event_id: Option<StringArray>,
    /// `subject_id`, where the type has it.
    pub subject_id: Option<StringArray>,
    /// `tenant_id`, where the type has it.
    pub tenant_id: Option<StringArray>,
    /// `subject_type` of exposures.
    pub subject_type: Option<StringArray>,
    /// `attributes` of exposures.
    pub attributes: Option<StringArray>,
}

/// The text of a column at a row, `None` for null.
#[must_use]
pub fn text_at(column: Option<&StringArray>, row: u32) -> Option<&str> {
    let column = column?;
    let row = row as usize;
    (row < column.len() && column.is_valid(row)).then(|| column.value(row))
}

/// Consecutive records of one partition, decoded.
#[derive(Debug)]
pub struct Block {
    /// Index of the partition in the job.
    pub partition: u32,
    /// Number of the block within its partition, ascending in record order.
    pub sequence: u64,
    /// By event type.
    pub columns: [Option<EventColumns>; 5],
    /// In record order.
    pub records: Vec<RecordMeta>,
    /// Indices into `records` by shard of the subject (records that have one), in record order.
    pub by_subject_shard: [Vec<u32>; SHARDS],
    /// Indices into `records` by shard of the event id, in record order.
    pub by_id_shard: [Vec<u32>; SHARDS],
    /// By record: a second delivery, in no result and not in the lake.
    pub dropped: Box<[AtomicBool]>,
    /// Records that are late for a window or too late for everything.
    pub late: Vec<LateRecord>,
    /// The greatest slice of its records: when that is settled, every record's fate is known.
    pub last_slice: i64,
}

/// A record that is late for a window, or too late for everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LateRecord {
    /// Index into the block's records.
    pub record: u32,
    /// Index of the window kind; `None` where it is too late for everything.
    pub window: Option<u16>,
    /// End of the last window that it is late for; `None` where it is too late for everything.
    pub window_end: Option<i64>,
    /// The watermark of its partition before it.
    pub watermark: i64,
}

/// Which shard a hash belongs to; the tables within it go by [`word_of`].
#[must_use]
pub fn shard_of(hash: u128) -> usize {
    (hash >> 32) as usize % SHARDS
}

/// The half of a hash that the tables of a shard go by: the one that has not chosen the shard.
#[must_use]
pub fn word_of(hash: u128) -> u64 {
    (hash >> 64) as u64
}

impl Block {
    /// A block as it was decoded. Names stay the block's own until [`Block::resolve_names`].
    #[must_use]
    pub fn decoded(
        partition: u32,
        sequence: u64,
        batches: [Option<RecordBatch>; 5],
        records: &[DecodedRecord],
    ) -> Block {
        let columns = batches.map(|batch| batch.map(EventColumns::new));
        Block::assemble(
            partition,
            sequence,
            columns,
            records.iter().map(RecordMeta::from).collect(),
        )
    }

    /// Rows of batches, in record order. Names stay the block's own until [`Block::resolve_names`].
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if a batch has not its table's schema.
    pub fn of_rows(
        partition: u32,
        sequence: u64,
        batches: impl IntoIterator<Item = (EventType, RecordBatch)>,
        order: impl ExactSizeIterator<Item = (EventType, u32)>,
    ) -> Result<Block, RuntimeError> {
        let mut columns: [Option<EventColumns>; 5] = [const { None }; 5];
        for (event_type, batch) in batches {
            if let Some(place) = columns.get_mut(event_type as usize) {
                *place = Some(EventColumns::new(batch));
            }
        }
        let readers = RowReaders::new(&columns)?;
        let mut records = Vec::with_capacity(order.len());
        for (event_type, row) in order {
            records.push(readers.read(event_type, row)?);
        }
        Ok(Block::assemble(partition, sequence, columns, records))
    }

    /// A block of these records, in record order.
    #[must_use]
    pub fn assemble(
        partition: u32,
        sequence: u64,
        columns: [Option<EventColumns>; 5],
        records: Vec<RecordMeta>,
    ) -> Block {
        // a little more than an even share
        let room = records.len() / SHARDS + records.len() / (SHARDS * 8);
        let lists = || std::array::from_fn(|_| Vec::with_capacity(room));
        let (mut by_subject_shard, mut by_id_shard): ([Vec<u32>; SHARDS], [Vec<u32>; SHARDS]) = (lists(), lists());
        for (index, record) in (0u32..).zip(&records) {
            if let Some(list) = by_id_shard.get_mut(shard_of(record.id_hash)) {
                list.push(index);
            }
            if matters_to_subjects(record.event_type)
                && let Some(list) = by_subject_shard.get_mut(shard_of(record.subject_hash))
            {
                list.push(index);
            }
        }
        Block {
            partition,
            sequence,
            columns,
            dropped: records.iter().map(|_| AtomicBool::new(false)).collect(),
            records,
            by_subject_shard,
            by_id_shard,
            late: Vec::new(),
            last_slice: NO_SLICE,
        }
    }

    /// Replaces the block's own dictionary keys by the job's ids.
    pub fn resolve_names(&mut self, names: &mut JobNames) {
        let maps: Vec<Option<NameMaps>> = self
            .columns
            .iter()
            .enumerate()
            .map(|(index, columns)| {
                let columns = columns.as_ref()?;
                let event_type = EventType::from_ordinal(index as u64)?;
                Some(NameMaps::new(event_type, &columns.batch, names))
            })
            .collect();
        for record in &mut self.records {
            let Some(Some(maps)) = maps.get(record.event_type as usize) else {
                continue;
            };
            record.experiment = lookup(&maps.experiment, record.experiment);
            record.name = lookup(&maps.name, record.name);
            record.other = lookup(&maps.other, record.other);
        }
    }

    /// Its partition and number, by which it is known.
    #[must_use]
    pub fn key(&self) -> (u32, u64) {
        (self.partition, self.sequence)
    }

    /// The columns of a record's type.
    #[must_use]
    pub fn columns_of(&self, event_type: EventType) -> Option<&EventColumns> {
        self.columns.get(event_type as usize).and_then(Option::as_ref)
    }

    /// Whether it has every column of its tables.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let mut columns = EventType::ALL.iter().zip(&self.columns);
        columns.all(|(event_type, columns)| columns.as_ref().is_none_or(|columns| columns.are_whole(*event_type)))
    }

    /// The event id of a record; nothing where it was not asked for.
    #[must_use]
    pub fn event_id(&self, record: &RecordMeta) -> &str {
        self.columns_of(record.event_type)
            .and_then(|columns| text_at(columns.event_id.as_ref(), record.row))
            .unwrap_or("")
    }

    /// Marks a record as a second delivery.
    pub fn drop_record(&self, index: u32) {
        if let Some(flag) = self.dropped.get(index as usize) {
            flag.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a record is a second delivery.
    #[must_use]
    pub fn is_dropped(&self, index: u32) -> bool {
        self.dropped
            .get(index as usize)
            .is_some_and(|flag| flag.load(Ordering::Relaxed))
    }

    /// How many records are not settled by `watermark`.
    #[must_use]
    pub fn unsettled(&self, watermark: i64) -> usize {
        let is_unsettled = |record: &&RecordMeta| !record.is_settled(watermark);
        self.records.iter().filter(is_unsettled).count()
    }

    /// How many of the records settled by `watermark` are second deliveries.
    #[must_use]
    pub fn duplicates(&self, watermark: i64) -> u64 {
        let is_duplicate = |(index, record): &(u32, &RecordMeta)| {
            record.slice != NO_SLICE && record.is_settled(watermark) && self.is_dropped(*index)
        };
        (0u32..).zip(&self.records).filter(is_duplicate).count() as u64
    }

    /// How many of the records settled by `watermark` are late for at least one window, too late ones and second deliveries left out.
    #[must_use]
    pub fn late_for_windows(&self, watermark: i64) -> u64 {
        let mut records: Vec<u32> = self
            .late
            .iter()
            .filter(|late| late.window.is_some())
            .map(|late| late.record)
            .collect();
        records.dedup();
        let counts = |index: &&u32| {
            self.records
                .get(**index as usize)
                .is_some_and(|record| record.slice != NO_SLICE && record.is_settled(watermark))
                && !self.is_dropped(**index)
        };
        records.iter().filter(counts).count() as u64
    }
}

/// A block after stamping, shared by the shards.
pub type SharedBlock = Arc<Block>;

/// Whether events of a type go to the shards of subjects.
#[must_use]
pub fn matters_to_subjects(event_type: EventType) -> bool {
    matches!(
        event_type,
        EventType::Exposure | EventType::Assignment | EventType::Outcome
    )
}

fn lookup(map: &[u32], key: u32) -> u32 {
    map.get(key as usize).copied().unwrap_or(NO_NAME)
}

/// The job's ids of a batch's dictionary values.
struct NameMaps {
    experiment: Vec<u32>,
    name: Vec<u32>,
    other: Vec<u32>,
}

impl NameMaps {
    fn new(event_type: EventType, batch: &RecordBatch, names: &mut JobNames) -> NameMaps {
        let experiment = dictionary_map(batch, "experiment", &mut names.experiments);
        let (name, other) = match event_type {
            EventType::Exposure => (dictionary_map(batch, "variant", &mut names.variants), Vec::new()),
            EventType::Assignment => (dictionary_map(batch, "new_variant", &mut names.variants), Vec::new()),
            EventType::Outcome => (
                dictionary_map(batch, "metric", &mut names.metrics),
                dictionary_map(batch, "variant", &mut names.variants),
            ),
            EventType::AnalysisSignal | EventType::Error => (Vec::new(), Vec::new()),
        };
        NameMaps {
            experiment,
            name,
            other,
        }
    }
}

fn dictionary_map(batch: &RecordBatch, column: &str, names: &mut Names) -> Vec<u32> {
    let Some(dictionary) = dictionary(batch, column) else {
        return Vec::new();
    };
    let Some(values) = dictionary.values().as_string_opt::<i32>() else {
        return Vec::new();
    };
    values
        .iter()
        .map(|value| value.map_or(NO_NAME, |name| names.intern(name)))
        .collect()
}

fn dictionary<'a>(batch: &'a RecordBatch, column: &str) -> Option<&'a DictionaryArray<Int32Type>> {
    batch.column_by_name(column)?.as_dictionary_opt::<Int32Type>()
}

impl EventColumns {
    /// Whether they are all that the table of their type has.
    #[must_use]
    pub fn are_whole(&self, event_type: EventType) -> bool {
        self.batch.num_columns() == Table::of_event(event_type).schema().fields().len()
    }

    /// The hashes of the ids at a row.
    #[must_use]
    pub fn identity(&self, row: u32) -> Identity {
        Identity::of(
            text_at(self.event_id.as_ref(), row).unwrap_or(""),
            text_at(self.tenant_id.as_ref(), row),
            text_at(self.subject_id.as_ref(), row),
        )
    }

    /// The columns of a batch, which has all of its table or some.
    #[must_use]
    pub fn new(batch: RecordBatch) -> EventColumns {
        let text = |name: &str| {
            batch
                .column_by_name(name)
                .and_then(|column| column.as_string_opt::<i32>())
                .cloned()
        };
        EventColumns {
            event_id: text("event_id"),
            subject_id: text("subject_id"),
            tenant_id: text("tenant_id"),
            subject_type: text("subject_type"),
            attributes: text("attributes"),
            batch,
        }
    }
}

fn wrong_schema(column: &str) -> RuntimeError {
    RuntimeError::internal(format!(
        "a decoded batch lacks column {column} or has it in another type"
    ))
}

/// Reads record metadata of all types.
struct RowReaders<'a> {
    readers: [Option<RowReader<'a>>; 5],
}

struct RowReader<'a> {
    columns: &'a EventColumns,
    event_time: &'a TimestampMicrosecondArray,
    experiment: Option<&'a DictionaryArray<Int32Type>>,
    name: Option<&'a DictionaryArray<Int32Type>>,
    other: Option<&'a DictionaryArray<Int32Type>>,
    value: Option<&'a Float64Array>,
    /// By key of the dictionary `outcome_type`: whether it is Binary.
    binary: Option<(&'a DictionaryArray<Int32Type>, Vec<bool>)>,
}

impl<'a> RowReaders<'a> {
    fn new(columns: &'a [Option<EventColumns>; 5]) -> Result<Self, RuntimeError> {
        let mut readers: [Option<RowReader<'a>>; 5] = [const { None }; 5];
        for ((columns, place), event_type) in columns.iter().zip(readers.iter_mut()).zip(EventType::ALL) {
            let Some(columns) = columns else { continue };
            let batch = &columns.batch;
            let name_column = match event_type {
                EventType::Exposure => "variant",
                EventType::Assignment => "new_variant",
                EventType::Outcome => "metric",
                EventType::AnalysisSignal | EventType::Error => "",
            };
            let is_outcome = *event_type == EventType::Outcome;
            if columns.event_id.is_none() {
                return Err(wrong_schema("event_id"));
            }
            let binary = dictionary(batch, "outcome_type").and_then(|types| {
                let values = types.values().as_string_opt::<i32>()?;
                Some((types, values.iter().map(|value| value == Some("Binary")).collect()))
            });
            let value = batch
                .column_by_name("value")
                .and_then(|column| column.as_any().downcast_ref::<Float64Array>());
            if is_outcome && (value.is_none() || binary.is_none()) {
                return Err(wrong_schema("value"));
            }
            if !name_column.is_empty() && dictionary(batch, name_column).is_none() {
                return Err(wrong_schema(name_column));
            }
            if dictionary(batch, "experiment").is_none() {
                return Err(wrong_schema("experiment"));
            }
            let event_time = batch
                .column_by_name("event_time")
                .and_then(|column: &ArrayRef| column.as_any().downcast_ref::<TimestampMicrosecondArray>())
                .ok_or_else(|| wrong_schema("event_time"))?;
            *place = Some(RowReader {
                columns,
                event_time,
                experiment: dictionary(batch, "experiment"),
                name: dictionary(batch, name_column),
                other: if is_outcome { dictionary(batch, "variant") } else { None },
                value,
                binary,
            });
        }
        Ok(RowReaders { readers })
    }

    fn read(&self, event_type: EventType, row: u32) -> Result<RecordMeta, RuntimeError> {
        let reader = self
            .readers
            .get(event_type as usize)
            .and_then(Option::as_ref)
            .filter(|reader| (row as usize) < reader.columns.batch.num_rows())
            .ok_or_else(|| RuntimeError::internal("a record points at a row that its batch has not"))?;
        Ok(reader.read(event_type, row))
    }
}

impl RowReader<'_> {
    fn read(&self, event_type: EventType, row: u32) -> RecordMeta {
        let at = row as usize;
        let identity = self.columns.identity(row);
        RecordMeta {
            id_hash: identity.event_id,
            subject_hash: identity.subject,
            time: self.event_time.value(at),
            slice: NO_SLICE,
            value: self.value.map_or(0.0, |values| values.value(at)),
            experiment: key_at(self.experiment, at),
            name: key_at(self.name, at),
            other: key_at(self.other, at),
            row,
            event_type,
            binary: self.binary.as_ref().is_some_and(|(types, is_binary)| {
                types
                    .keys()
                    .value(at)
                    .try_into()
                    .ok()
                    .and_then(|key: usize| is_binary.get(key))
                    .copied()
                    .unwrap_or(false)
            }),
        }
    }
}

fn key_at(dictionary: Option<&DictionaryArray<Int32Type>>, row: usize) -> u32 {
    let Some(dictionary) = dictionary else { return NO_NAME };
    let keys = dictionary.keys();
    if keys.is_null(row) {
        NO_NAME
    } else {
        u32::try_from(keys.value(row)).unwrap_or(NO_NAME)
    }
}
