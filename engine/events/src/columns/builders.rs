//! Columns that grow by one row at a time.

use std::fmt::Write;
use std::hash::BuildHasher;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, DictionaryArray, Float64Array, Int32Array, NullBufferBuilder, PrimitiveArray,
    StringArray, StringBuilder,
};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{ArrowPrimitiveType, Int32Type, TimestampMicrosecondType};
use hashbrown::{DefaultHashBuilder, HashTable};

use crate::kinds::WireEnum;
use crate::{EventType, NO_KEY};

/// A finished column; none where nobody wants it.
pub(super) type Finished = Option<(&'static str, ArrayRef)>;

/// Which columns of a table are made.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) event_type: EventType,
    pub(super) is_wanted: &'a dyn Fn(EventType, &str) -> bool,
}

impl Wanted<'_> {
    fn head(&self, name: &'static str) -> Head {
        Head {
            name,
            is_wanted: (self.is_wanted)(self.event_type, name),
        }
    }

    pub(super) fn text(&self, name: &'static str) -> TextColumn {
        TextColumn {
            head: self.head(name),
            builder: StringBuilder::with_capacity(0, 0),
            nulls: 0,
        }
    }

    pub(super) fn dictionary(&self, name: &'static str) -> DictionaryColumn {
        DictionaryColumn {
            head: self.head(name),
            keys: Vec::new(),
            nulls: NullBufferBuilder::new(0),
            texts: String::new(),
            ends: Vec::new(),
            keys_by_text: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            recent: [None; RECENT],
        }
    }

    pub(super) fn choice<E: WireEnum>(&self, name: &'static str) -> ChoiceColumn {
        let names = StringArray::from_iter_values(E::all().iter().map(|value| value.wire_name()));
        ChoiceColumn {
            head: self.head(name),
            keys: Vec::new(),
            names: Arc::new(names),
        }
    }

    pub(super) fn time(&self, name: &'static str) -> TimeColumn {
        TimeColumn {
            head: self.head(name),
            micros: Vec::new(),
            nulls: NullBufferBuilder::new(0),
        }
    }

    pub(super) fn number(&self, name: &'static str) -> NumberColumn {
        NumberColumn {
            head: self.head(name),
            values: Vec::new(),
        }
    }

    pub(super) fn flag(&self, name: &'static str) -> FlagColumn {
        FlagColumn {
            head: self.head(name),
            builder: BooleanBuilder::with_capacity(0),
        }
    }

    /// A column of one instant.
    pub(super) fn constant_time(&self, name: &'static str) -> ConstantTimeColumn {
        ConstantTimeColumn { head: self.head(name) }
    }
}

/// What a column is called, and whether it is made. One that is not takes values and forgets them.
#[derive(Debug, Clone, Copy)]
struct Head {
    name: &'static str,
    is_wanted: bool,
}

impl Head {
    fn finished(self, column: impl FnOnce() -> ArrayRef) -> Finished {
        self.is_wanted.then(|| (self.name, column()))
    }
}

/// Texts of many values.
#[derive(Debug)]
pub(super) struct TextColumn {
    head: Head,
    builder: StringBuilder,
    /// Nulls at the end that the builder does not have yet: many columns are null throughout, and that costs next to nothing.
    nulls: usize,
}

impl TextColumn {
    #[inline(always)]
    pub(super) fn push(&mut self, text: &str) {
        if !self.head.is_wanted {
            return;
        }
        if self.nulls > 0 {
            self.push_nulls();
        }
        self.builder.append_value(text);
    }

    #[inline(always)]
    pub(super) fn push_or_null(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.push(text),
            None => self.nulls += 1,
        }
    }

    fn push_nulls(&mut self) {
        self.builder.append_nulls(self.nulls);
        self.nulls = 0;
    }

    /// Adds to the row that [`TextColumn::end_row`] will end.
    pub(super) fn write(&mut self, part: &str) {
        if !self.head.is_wanted {
            return;
        }
        if self.nulls > 0 {
            self.push_nulls();
        }
        // Writing into memory does not fail.
        let _ = self.builder.write_str(part);
    }

    pub(super) fn end_row(&mut self) {
        if self.head.is_wanted {
            self.builder.append_value("");
        }
    }

    /// The column; the next one begins with as much room as this one took.
    pub(super) fn finish(&mut self) -> Finished {
        self.head.finished(|| {
            self.push_nulls();
            let (rows, bytes) = (self.builder.offsets_slice().len(), self.builder.values_slice().len());
            let next = StringBuilder::with_capacity(rows, bytes);
            Arc::new(std::mem::replace(&mut self.builder, next).finish())
        })
    }
}

/// How many texts a dictionary column finds without hashing; a power of two.
const RECENT: usize = 64;

/// A text by its ends: what tells texts of up to 16 bytes apart, and most of the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Ends {
    length: usize,
    first: u64,
    last: u64,
}

impl Ends {
    #[inline(always)]
    fn of(text: &str) -> Ends {
        let bytes = text.as_bytes();
        let (first, last) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => match (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
                (Some(first), Some(last)) => (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into()),
                _ => (bytes.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
            },
        };
        Ends {
            length: bytes.len(),
            first,
            last,
        }
    }

    /// Whether equal ends mean equal texts.
    #[inline(always)]
    fn tell_all(self) -> bool {
        self.length <= 16
    }

    #[inline(always)]
    fn place(self) -> usize {
        let mixed = (self.first ^ self.last.rotate_left(23) ^ self.length as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 58) as usize % RECENT
    }
}

/// Texts of few values, each kept once.
#[derive(Debug)]
pub(super) struct DictionaryColumn {
    head: Head,
    keys: Vec<i32>,
    nulls: NullBufferBuilder,
    /// The distinct texts one after the other, and where each ends.
    texts: String,
    ends: Vec<usize>,
    keys_by_text: HashTable<i32>,
    hasher: DefaultHashBuilder,
    /// The keys of texts seen before, each where its ends put it.
    recent: [Option<(Ends, i32)>; RECENT],
}

impl DictionaryColumn {
    /// Gives the text's key; [`NO_KEY`] where the column is not made.
    #[inline(always)]
    pub(super) fn push(&mut self, text: &str) -> u32 {
        if !self.head.is_wanted {
            return NO_KEY;
        }
        let ends = Ends::of(text);
        let place = ends.place();
        let key = match self.recent[place] {
            Some((known, key)) if known == ends && (ends.tell_all() || self.text_of(key) == Some(text)) => key,
            _ => {
                let key = self.intern(text);
                self.recent[place] = Some((ends, key));
                key
            }
        };
        self.keys.push(key);
        self.nulls.append_non_null();
        // keys are places, and never negative
        key.cast_unsigned()
    }

    /// As [`DictionaryColumn::push`]; a null has no key.
    #[inline(always)]
    pub(super) fn push_or_null(&mut self, text: Option<&str>) -> u32 {
        match text {
            Some(text) => return self.push(text),
            None if !self.head.is_wanted => {}
            None => {
                self.keys.push(0);
                self.nulls.append_null();
            }
        }
        NO_KEY
    }

    fn text_of(&self, key: i32) -> Option<&str> {
        text_of(&self.texts, &self.ends, key)
    }

    /// The key of a text.
    fn intern(&mut self, text: &str) -> i32 {
        let hash = self.hasher.hash_one(text.as_bytes());
        let (texts, ends) = (&self.texts, &self.ends);
        let known = self
            .keys_by_text
            .find(hash, |key| text_of(texts, ends, *key) == Some(text));
        if let Some(key) = known {
            return *key;
        }
        // A block has fewer texts than bytes, and at most i32::MAX bytes.
        let key = self.ends.len() as i32;
        self.texts.push_str(text);
        self.ends.push(self.texts.len());
        let (texts, ends, hasher) = (&self.texts, &self.ends, &self.hasher);
        self.keys_by_text.insert_unique(hash, key, |key| {
            hasher.hash_one(text_of(texts, ends, *key).unwrap_or_default().as_bytes())
        });
        key
    }

    pub(super) fn finish(&mut self) -> Finished {
        self.head.finished(|| {
            let mut texts = StringBuilder::with_capacity(self.ends.len(), self.texts.len());
            for key in 0..self.ends.len() {
                texts.append_option(self.text_of(key as i32));
            }
            self.texts.clear();
            self.ends.clear();
            self.keys_by_text.clear();
            self.recent = [None; RECENT];
            dictionary(&mut self.keys, &mut self.nulls, Arc::new(texts.finish()))
        })
    }
}

fn text_of<'a>(texts: &'a str, ends: &[usize], key: i32) -> Option<&'a str> {
    let key = key as usize;
    let end = *ends.get(key)?;
    let start = if key == 0 { 0 } else { *ends.get(key - 1)? };
    texts.get(start..end)
}

/// Names of an enumeration; the dictionary has them all, in ordinal order.
#[derive(Debug)]
pub(super) struct ChoiceColumn {
    head: Head,
    keys: Vec<i32>,
    names: ArrayRef,
}

impl ChoiceColumn {
    #[inline(always)]
    pub(super) fn push<E: WireEnum>(&mut self, choice: E) {
        if self.head.is_wanted {
            self.keys.push(i32::from(choice.ordinal()));
        }
    }

    pub(super) fn finish(&mut self) -> Finished {
        self.head
            .finished(|| dictionary(&mut self.keys, &mut NullBufferBuilder::new(0), Arc::clone(&self.names)))
    }
}

fn dictionary(keys: &mut Vec<i32>, nulls: &mut NullBufferBuilder, texts: ArrayRef) -> ArrayRef {
    let keys = Int32Array::new(taken(keys), nulls.finish());
    match DictionaryArray::<Int32Type>::try_new(keys, texts) {
        Ok(column) => Arc::new(column),
        Err(_) => unreachable!("every key was given out for a text of the dictionary"),
    }
}

/// Instants in microseconds.
#[derive(Debug)]
pub(super) struct TimeColumn {
    head: Head,
    micros: Vec<i64>,
    nulls: NullBufferBuilder,
}

impl TimeColumn {
    #[inline(always)]
    pub(super) fn push(&mut self, micros: i64) {
        self.push_or_null(Some(micros));
    }

    #[inline(always)]
    pub(super) fn push_or_null(&mut self, micros: Option<i64>) {
        if !self.head.is_wanted {
            return;
        }
        self.micros.push(micros.unwrap_or_default());
        self.nulls.append(micros.is_some());
    }

    pub(super) fn finish(&mut self) -> Finished {
        self.head
            .finished(|| times(taken(&mut self.micros), self.nulls.finish()))
    }
}

/// One instant in every row.
#[derive(Debug)]
pub(super) struct ConstantTimeColumn {
    head: Head,
}

impl ConstantTimeColumn {
    pub(super) fn finish(&self, micros: i64, rows: usize) -> Finished {
        self.head.finished(|| times(vec![micros; rows].into(), None))
    }
}

fn times(
    micros: ScalarBuffer<<TimestampMicrosecondType as ArrowPrimitiveType>::Native>,
    nulls: Option<arrow::buffer::NullBuffer>,
) -> ArrayRef {
    Arc::new(PrimitiveArray::<TimestampMicrosecondType>::new(micros, nulls).with_timezone("UTC"))
}

/// Doubles.
#[derive(Debug)]
pub(super) struct NumberColumn {
    head: Head,
    values: Vec<f64>,
}

impl NumberColumn {
    #[inline(always)]
    pub(super) fn push(&mut self, value: f64) {
        if self.head.is_wanted {
            self.values.push(value);
        }
    }

    pub(super) fn finish(&mut self) -> Finished {
        self.head
            .finished(|| Arc::new(Float64Array::new(taken(&mut self.values), None)))
    }
}

/// Booleans.
#[derive(Debug)]
pub(super) struct FlagColumn {
    head: Head,
    builder: BooleanBuilder,
}

impl FlagColumn {
    #[inline(always)]
    pub(super) fn push_or_null(&mut self, flag: Option<bool>) {
        if self.head.is_wanted {
            self.builder.append_option(flag);
        }
    }

    pub(super) fn finish(&mut self) -> Finished {
        self.head.finished(|| Arc::new(self.builder.finish()))
    }
}

/// The values gathered; the next column begins with as much room as this one took.
fn taken<T: arrow::datatypes::ArrowNativeType>(values: &mut Vec<T>) -> ScalarBuffer<T> {
    let next = Vec::with_capacity(values.len());
    std::mem::replace(values, next).into()
}
