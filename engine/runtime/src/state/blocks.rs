//! Decoded blocks as bytes: whole while their events may still be handed on, else what the shards need of them.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, StringArray};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use backplane_events::{EventType, Identity};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::bytes;
use crate::block::{Block, EventColumns, LateRecord, NO_SLICE, RecordMeta, SharedBlock};
use crate::error::RuntimeError;

/// The ids of events: the shards of ids need their hashes alone, which a [`RecordMeta`] has; those of subjects ask which of two comes first.
const EVENT_ID: &str = "event_id";
/// What they read where results are divided by segments.
const SEGMENTS: [&str; 3] = ["subject_type", "tenant_id", "attributes"];

/// The names that a [`RecordMeta`] has keys of.
const NAMES: [&str; 4] = ["experiment", "variant", "new_variant", "metric"];

/// How much of a block's columns is made, or written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of them.
    Whole,
    /// What the shards need.
    Keys(Keys),
}

/// What the shards need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keys {
    /// Also what results are divided by.
    pub segments: bool,
    /// Also the ids of outcomes: the last of several counts.
    pub outcome_ids: bool,
    /// Also signals, whole: somebody takes them.
    pub signals: bool,
}

impl Extent {
    /// Whether a decoder makes a column of events of a type.
    #[must_use]
    pub fn decodes(self, event_type: EventType, column: &str) -> bool {
        match self {
            Extent::Whole => true,
            Extent::Keys(keys) => keys.have_all(event_type) || NAMES.contains(&column) || keys.have(event_type, column),
        }
    }
}

impl Keys {
    fn have_all(self, event_type: EventType) -> bool {
        self.signals && event_type == EventType::AnalysisSignal
    }

    fn have(self, event_type: EventType, column: &str) -> bool {
        match event_type {
            EventType::Exposure => column == EVENT_ID || (self.segments && SEGMENTS.contains(&column)),
            EventType::Outcome => self.outcome_ids && column == EVENT_ID,
            EventType::Assignment | EventType::AnalysisSignal | EventType::Error => false,
        }
    }
}

/// Columns by event type.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedColumns(Vec<(EventType, SavedBatch)>);

#[derive(Debug, Serialize, Deserialize)]
enum SavedBatch {
    /// All columns, as a stream of Arrow IPC.
    Whole(#[serde(with = "super::bytes")] Vec<u8>),
    /// Some texts, as their buffers are: they are written for every event.
    Texts(Vec<(String, SavedText)>),
}

impl SavedColumns {
    /// Those of a block, as far as they are wanted.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if they cannot be written.
    pub fn of(block: &Block, extent: Extent) -> Result<Self, RuntimeError> {
        let mut columns = Vec::new();
        for event_type in EventType::ALL {
            let Some(of_type) = block.columns_of(*event_type) else {
                continue;
            };
            let saved = match extent {
                Extent::Whole => SavedBatch::Whole(written(&of_type.batch)?),
                Extent::Keys(keys) if keys.have_all(*event_type) => SavedBatch::Whole(written(&of_type.batch)?),
                Extent::Keys(keys) => {
                    let (schema, arrays) = (of_type.batch.schema(), of_type.batch.columns());
                    let named = schema.fields().iter().map(|field| field.name()).zip(arrays);
                    let needed = named.filter(|(name, _)| keys.have(*event_type, name));
                    let texts = needed.filter_map(|(name, array)| {
                        let texts = array.as_string_opt()?;
                        Some((name.clone(), SavedText::of(texts)))
                    });
                    SavedBatch::Texts(texts.collect())
                }
            };
            columns.push((*event_type, saved));
        }
        Ok(SavedColumns(columns))
    }

    /// By event type: whether all columns are there.
    fn are_whole(&self) -> [bool; 5] {
        let mut are_whole = [false; 5];
        for (event_type, saved) in &self.0 {
            if let Some(is_whole) = are_whole.get_mut(*event_type as usize) {
                *is_whole = matches!(saved, SavedBatch::Whole(_));
            }
        }
        are_whole
    }

    /// The columns again, with every row.
    fn restore(&self) -> Result<[Option<EventColumns>; 5], RuntimeError> {
        let mut columns = [const { None }; 5];
        for (event_type, saved) in &self.0 {
            let batch = match saved {
                SavedBatch::Whole(bytes) => read_batch(bytes)?,
                SavedBatch::Texts(texts) if texts.is_empty() => continue,
                SavedBatch::Texts(texts) => {
                    let restored = texts
                        .iter()
                        .map(|(name, saved)| Ok((name, Arc::new(saved.restore()?) as ArrayRef)));
                    let restored: Result<Vec<_>, RuntimeError> = restored.collect();
                    RecordBatch::try_from_iter(restored?).map_err(unreadable)?
                }
            };
            if let Some(place) = columns.get_mut(*event_type as usize) {
                *place = Some(EventColumns::new(batch));
            }
        }
        Ok(columns)
    }
}

fn written(batch: &RecordBatch) -> Result<Vec<u8>, RuntimeError> {
    let room = Vec::with_capacity(batch.get_array_memory_size() + 4_096);
    let mut writer = StreamWriter::try_new(room, &batch.schema())?;
    writer.write(batch)?;
    Ok(writer.into_inner()?)
}

fn read_batch(mut bytes: &[u8]) -> Result<RecordBatch, RuntimeError> {
    let mut reader = StreamReader::try_new(&mut bytes, None).map_err(unreadable)?;
    let batch = reader.next().transpose().map_err(unreadable)?;
    batch.ok_or_else(|| RuntimeError::state("read", "a block lacks its columns"))
}

fn unreadable(error: impl std::fmt::Display) -> RuntimeError {
    RuntimeError::state("read", error)
}

/// A column of texts as its buffers.
#[derive(Debug, Serialize, Deserialize)]
struct SavedText {
    /// Where each text begins, and where the last one ends.
    offsets: Bytes,
    values: Bytes,
    /// A bit for each text that is there; nothing where all are.
    present: Option<Bytes>,
}

/// Bytes that an array may share.
#[derive(Debug)]
struct Bytes(Buffer);

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        bytes::serialize(&self.0, serializer)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        bytes::deserialize(deserializer).map(|bytes| Bytes(Buffer::from_vec(bytes)))
    }
}

impl SavedText {
    fn of(texts: &StringArray) -> Self {
        let offsets = texts.offsets();
        // a part of an array has the values of all of it
        let first = offsets.first().map_or(0, |offset| *offset as usize);
        let last = offsets.last().map_or(0, |offset| *offset as usize);
        SavedText {
            offsets: Bytes(offsets.inner().inner().clone()),
            values: Bytes(texts.values().slice_with_length(first, last - first)),
            present: texts.nulls().map(|nulls| Bytes(nulls.inner().sliced())),
        }
    }

    fn restore(&self) -> Result<StringArray, RuntimeError> {
        let (offsets, rest) = self.offsets.0.as_chunks();
        let mut offsets: Vec<i32> = offsets.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect();
        let first = offsets.first().copied().filter(|first| *first >= 0);
        let Some(first) = first.filter(|_| rest.is_empty() && offsets.is_sorted()) else {
            return Err(unreadable("texts of a block have no ends"));
        };
        offsets.iter_mut().for_each(|offset| *offset -= first);
        let count = offsets.len() - 1;
        let nulls = match &self.present {
            None => None,
            Some(Bytes(bits)) if bits.len() >= count.div_ceil(8) => {
                Some(NullBuffer::new(BooleanBuffer::new(bits.clone(), 0, count)))
            }
            Some(_) => return Err(unreadable("it is not known which texts of a block are there")),
        };
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        StringArray::try_new(offsets, self.values.0.clone(), nulls).map_err(unreadable)
    }
}

/// A block as it is written down.
#[derive(Debug, Serialize, Deserialize)]
pub struct SavedBlock {
    partition: u32,
    sequence: u64,
    #[serde(with = "super::records")]
    records: Vec<RecordMeta>,
    /// Records that were second deliveries already, or refused.
    dropped: Vec<u32>,
    late: Vec<LateRecord>,
    last_slice: i64,
    columns: SavedColumns,
    /// Of the records whose columns are not all there, the hashes of event id and subject, 16 bytes each.
    #[serde(with = "super::bytes")]
    hashes: Vec<u8>,
}

impl SavedBlock {
    /// As the block is now.
    ///
    /// # Errors
    /// [`RuntimeError::Internal`] if its columns cannot be written.
    pub fn of(block: &Block, extent: Extent) -> Result<Self, RuntimeError> {
        Ok(SavedBlock::with(block, SavedColumns::of(block, extent)?))
    }

    /// As the block is now, with columns that were written down before.
    #[must_use]
    pub fn with(block: &Block, columns: SavedColumns) -> Self {
        let indices = 0..u32::try_from(block.records.len()).unwrap_or(u32::MAX);
        let are_whole = columns.are_whole();
        let mut hashes = Vec::with_capacity(block.records.len() * 2 * size_of::<u128>());
        for record in &block.records {
            if !is_among(&are_whole, record) {
                hashes.extend_from_slice(&record.id_hash.to_le_bytes());
                hashes.extend_from_slice(&record.subject_hash.to_le_bytes());
            }
        }
        SavedBlock {
            partition: block.partition,
            sequence: block.sequence,
            records: block.records.clone(),
            dropped: indices.filter(|index| block.is_dropped(*index)).collect(),
            late: block.late.clone(),
            last_slice: block.last_slice,
            columns,
            hashes,
        }
    }

    /// Without second deliveries, of which only those that were known by chance would be: whoever takes the block in again judges them again.
    #[must_use]
    pub fn unjudged(mut self) -> Self {
        let records = &self.records;
        self.dropped.retain(|index| {
            let record = records.get(*index as usize);
            record.is_some_and(|record| record.slice == NO_SLICE)
        });
        self
    }

    /// The block again.
    ///
    /// # Errors
    /// [`RuntimeError::State`] if it is none.
    pub fn restore(mut self) -> Result<SharedBlock, RuntimeError> {
        let are_whole = self.columns.are_whole();
        let columns = self.columns.restore()?;
        let (hashes, _) = self.hashes.as_chunks();
        let mut hashes = hashes.iter().map(|bytes| u128::from_le_bytes(*bytes));
        for record in &mut self.records {
            let identity = if is_among(&are_whole, record) {
                let of_type = columns.get(record.event_type as usize).and_then(Option::as_ref);
                of_type.map(|of_type| of_type.identity(record.row))
            } else {
                let hashes = hashes.next().zip(hashes.next());
                hashes.map(|(event_id, subject)| Identity { event_id, subject })
            };
            let identity =
                identity.ok_or_else(|| RuntimeError::state("read", "a block lacks the ids of its records"))?;
            (record.id_hash, record.subject_hash) = (identity.event_id, identity.subject);
        }
        let mut block = Block::assemble(self.partition, self.sequence, columns, self.records);
        block.late = self.late;
        block.last_slice = self.last_slice;
        self.dropped.iter().for_each(|index| block.drop_record(*index));
        Ok(Arc::new(block))
    }
}

/// Whether a record is of one of these types.
fn is_among(types: &[bool; 5], record: &RecordMeta) -> bool {
    types.get(record.event_type as usize).is_some_and(|is_so| *is_so)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_back_as_they_were() {
        let some = StringArray::from(vec![Some("a"), None, Some(""), Some("é€"), None, Some("xyz")]);
        let all = StringArray::from(vec!["one", "two", ""]);
        let none = StringArray::from(Vec::<&str>::new());
        for texts in [some.slice(1, 4), some, all.slice(1, 2), all, none] {
            let bytes = postcard::to_stdvec(&SavedText::of(&texts)).unwrap();
            let values: usize = texts.iter().flatten().map(str::len).sum();
            assert!(bytes.len() < values + 4 * (texts.len() + 1) + 12, "{bytes:?}");
            let saved: SavedText = postcard::from_bytes(&bytes).unwrap();
            assert_eq!(saved.restore().unwrap(), texts);
        }
    }

    #[test]
    fn what_are_no_texts_is_refused() {
        let saved = |offsets: &[i32], values: &str, present: Option<&[u8]>| SavedText {
            offsets: Bytes(Buffer::from_slice_ref(offsets)),
            values: Bytes(Buffer::from_slice_ref(values)),
            present: present.map(|bits| Bytes(Buffer::from_slice_ref(bits))),
        };
        assert!(saved(&[0, 2, 3], "abc", Some(&[3])).restore().is_ok());
        for wrong in [
            saved(&[], "abc", None),
            saved(&[0, 2, 1], "abc", None),
            saved(&[-1, 2], "abc", None),
            saved(&[0, 4], "abc", None),
            saved(&[0, 1], "é", None),
            saved(&[0; 10], "", Some(&[255])),
        ] {
            assert!(wrong.restore().is_err(), "{wrong:?}");
        }
        let mut cut = saved(&[0, 2], "ab", None);
        cut.offsets = Bytes(Buffer::from_slice_ref([0_u8; 7]));
        assert!(cut.restore().is_err());
    }
}
