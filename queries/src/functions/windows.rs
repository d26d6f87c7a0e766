//! Windows over event time: `tumble` and `hop`.
//!
//! Windows are aligned to the Unix epoch plus an offset: the i-th is `[offset + i * slide, offset + i * slide + size)`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Int64Type, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::arguments::{argument, arrays, check_count, is_text};
use super::length;

/// An instant may fall into this many windows at most: a size beside a slide that was not meant fills the memory.
const MOST_WINDOWS: i64 = 100_000;

const TUMBLE: &str = "tumble(ts, size[, offset])";
const HOP: &str = "hop(ts, size, slide[, offset])";

/// `tumble(ts, size[, offset])`: the window of this size that `ts` falls into.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Tumble {
    signature: Signature,
}

impl Tumble {
    pub(super) fn new() -> Self {
        Tumble {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Tumble {
    fn name(&self) -> &str {
        "tumble"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        check_count(TUMBLE, given, 2, 3)?;
        coerced(TUMBLE, given)
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(DataType::Struct(bounds(instant_type(given)?)))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = arrays(arguments.args, arguments.number_rows)?;
        let call = Call::read(&arguments, 1, 2)?;
        let mut windows = Windows::default();
        let mut validity = Vec::with_capacity(call.len());
        for row in 0..call.len() {
            let window = call.row(row)?;
            validity.push(window.is_some());
            match window {
                Some(window) => windows.push(window.latest()?, window.size)?,
                None => windows.push(0, 0)?,
            }
        }
        let windows = windows.finish(&call, Some(NullBuffer::from(validity)))?;
        Ok(ColumnarValue::Array(Arc::new(windows)))
    }
}

/// `hop(ts, size, slide[, offset])`: every window of this size and slide that `ts` falls into, the earliest first.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Hop {
    signature: Signature,
}

impl Hop {
    pub(super) fn new() -> Self {
        Hop {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Hop {
    fn name(&self) -> &str {
        "hop"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        check_count(HOP, given, 3, 4)?;
        coerced(HOP, given)
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        let window = DataType::Struct(bounds(instant_type(given)?));
        Ok(DataType::List(Arc::new(Field::new_list_field(window, true))))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = arrays(arguments.args, arguments.number_rows)?;
        let call = Call::read(&arguments, 2, 3)?;
        let mut windows = Windows::default();
        let mut lengths = Vec::with_capacity(call.len());
        let mut validity = Vec::with_capacity(call.len());
        for row in 0..call.len() {
            let window = call.row(row)?;
            let before = windows.starts.len();
            if let Some(window) = &window {
                let latest = window.latest()?;
                // the windows reach back from the latest by whole slides, as long as they end after the instant
                for step in (0..window.count(latest)?).rev() {
                    windows.push(latest - step * window.slide, window.size)?;
                }
            }
            lengths.push(windows.starts.len() - before);
            validity.push(window.is_some());
        }
        let windows = windows.finish(&call, None)?;
        let element = Arc::new(Field::new_list_field(windows.data_type().clone(), true));
        let validity = NullBuffer::from(validity);
        let lists = ListArray::try_new(
            element,
            OffsetBuffer::from_lengths(lengths),
            Arc::new(windows),
            Some(validity),
        )?;
        Ok(ColumnarValue::Array(Arc::new(lists)))
    }
}

/// An instant is a timestamp, which is read in microseconds, or a number of microseconds; the bounds are of the same type.
fn coerced(usage: &str, given: &[DataType]) -> Result<Vec<DataType>> {
    let mut types = Vec::with_capacity(given.len());
    for (index, given) in given.iter().enumerate() {
        types.push(match given {
            length if index > 0 => length::coerced(usage, length)?,
            DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
            DataType::Date32 | DataType::Date64 | DataType::Null => DataType::Timestamp(TimeUnit::Microsecond, None),
            text if is_text(text) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            number if number.is_integer() => DataType::Int64,
            other => return plan_err!("{usage}: ts is a timestamp or a number of microseconds, not {other}"),
        });
    }
    Ok(types)
}

fn instant_type(given: &[DataType]) -> Result<DataType> {
    match given.first() {
        Some(instant) => Ok(instant.clone()),
        None => plan_err!("a window function needs an instant"),
    }
}

/// The members of a window.
fn bounds(instant: DataType) -> Fields {
    Fields::from(vec![
        Field::new("start", instant.clone(), true),
        Field::new("end", instant, true),
    ])
}

/// The arguments of one call, in microseconds.
struct Call {
    instant_type: DataType,
    instants: Int64Array,
    sizes: Int64Array,
    slides: Int64Array,
    offsets: Option<Int64Array>,
}

impl Call {
    fn read(arguments: &[ArrayRef], slide: usize, offset: usize) -> Result<Self> {
        let instants = argument(arguments, 0)?;
        let instant_type = instants.data_type().clone();
        let instants = match &instant_type {
            DataType::Int64 => instants.as_primitive::<Int64Type>().clone(),
            _ => instants
                .as_primitive::<TimestampMicrosecondType>()
                .reinterpret_cast::<Int64Type>(),
        };
        Ok(Call {
            instant_type,
            instants,
            sizes: length::micros(argument(arguments, 1)?)?,
            slides: length::micros(argument(arguments, slide)?)?,
            offsets: arguments.get(offset).map(length::micros).transpose()?,
        })
    }

    fn len(&self) -> usize {
        self.instants.len()
    }

    /// The instant and its windows' shape; none where an argument is null.
    fn row(&self, row: usize) -> Result<Option<Row>> {
        let offsets_valid = self.offsets.as_ref().is_none_or(|offsets| offsets.is_valid(row));
        if self.instants.is_null(row) || self.sizes.is_null(row) || self.slides.is_null(row) || !offsets_valid {
            return Ok(None);
        }
        let (size, slide) = (self.sizes.value(row), self.slides.value(row));
        if size <= 0 || slide <= 0 {
            return exec_err!("the size and the slide of a window must be longer than nothing");
        }
        let offset = self.offsets.as_ref().map_or(0, |offsets| offsets.value(row));
        Ok(Some(Row {
            instant: self.instants.value(row),
            size,
            slide,
            offset,
        }))
    }
}

/// An instant and the shape of its windows.
struct Row {
    instant: i64,
    size: i64,
    slide: i64,
    offset: i64,
}

impl Row {
    /// The greatest start that is not after the instant.
    fn latest(&self) -> Result<i64> {
        let (instant, slide, offset) = (
            i128::from(self.instant),
            i128::from(self.slide),
            i128::from(self.offset),
        );
        let latest = offset + (instant - offset).div_euclid(slide) * slide;
        match i64::try_from(latest) {
            Ok(latest) => Ok(latest),
            Err(_) => exec_err!("a window around this instant begins before all time"),
        }
    }

    /// How many windows that begin at `latest` or whole slides before it end after the instant.
    fn count(&self, latest: i64) -> Result<i64> {
        let since_start = self.instant - latest;
        if since_start >= self.size {
            return Ok(0); // the slide is longer than the size, and the instant lies between two windows
        }
        let count = (self.size - since_start - 1) / self.slide + 1;
        if count > MOST_WINDOWS {
            return exec_err!("an instant falls into {count} windows of this size and slide, choose a longer slide");
        }
        Ok(count)
    }
}

/// Windows being collected.
#[derive(Default)]
struct Windows {
    starts: Vec<i64>,
    ends: Vec<i64>,
}

impl Windows {
    fn push(&mut self, start: i64, size: i64) -> Result<()> {
        let Some(end) = start.checked_add(size) else {
            return exec_err!("a window that begins at {start} and is {size} microseconds long ends after all time");
        };
        self.starts.push(start);
        self.ends.push(end);
        Ok(())
    }

    fn finish(self, call: &Call, nulls: Option<NullBuffer>) -> Result<StructArray> {
        let columns = [self.starts, self.ends].map(|bounds| -> ArrayRef {
            let bounds = Int64Array::from(bounds);
            match &call.instant_type {
                DataType::Timestamp(_, zone) => {
                    let instants = bounds.reinterpret_cast::<TimestampMicrosecondType>();
                    Arc::new(instants.with_timezone_opt(zone.clone()))
                }
                _ => Arc::new(bounds),
            }
        });
        Ok(StructArray::try_new(
            bounds(call.instant_type.clone()),
            columns.to_vec(),
            nulls,
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn starts(instant: i64, size: i64, slide: i64, offset: i64) -> Vec<i64> {
        let row = Row {
            instant,
            size,
            slide,
            offset,
        };
        let latest = row.latest().unwrap();
        (0..row.count(latest).unwrap())
            .rev()
            .map(|step| latest - step * slide)
            .collect()
    }

    #[test]
    fn an_instant_falls_into_every_window_that_begins_at_or_before_it_and_ends_after_it() {
        assert_eq!(starts(10, 6, 2, 0), [6, 8, 10]);
        assert_eq!(starts(11, 6, 2, 0), [6, 8, 10]);
        assert_eq!(starts(11, 6, 2, 1), [7, 9, 11]);
        assert_eq!(starts(11, 5, 2, 0), [8, 10]);
        assert_eq!(starts(-1, 6, 3, 0), [-6, -3]);
    }

    #[test]
    fn an_instant_between_two_windows_falls_into_none() {
        assert_eq!(starts(5, 2, 10, 0), Vec::<i64>::new());
        assert_eq!(starts(11, 2, 10, 0), [10]);
    }

    #[test]
    fn too_many_windows_are_refused() {
        let row = Row {
            instant: 0,
            size: 7 * 86_400_000_000,
            slide: 1,
            offset: 0,
        };
        assert!(row.count(0).unwrap_err().to_string().contains("choose a longer slide"));
    }

    #[test]
    fn the_ends_of_time_overflow_nothing() {
        let row = Row {
            instant: i64::MIN,
            size: 10,
            slide: 7,
            offset: 3,
        };
        assert!(row.latest().is_err());
        assert!(Windows::default().push(i64::MAX, 1).is_err());
    }
}
