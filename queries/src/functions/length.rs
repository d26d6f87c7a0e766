//! Lengths of time as arguments: a text such as `'1h'`, an interval, or a number of microseconds.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{
    DataType, DurationMicrosecondType, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, exec_err, plan_err};

use super::arguments::is_text;

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The type that a length of this type is converted to before [`micros`] reads it.
pub(super) fn coerced(usage: &str, given: &DataType) -> Result<DataType> {
    match given {
        DataType::Interval(_) => Ok(DataType::Interval(IntervalUnit::MonthDayNano)),
        DataType::Duration(_) => Ok(DataType::Duration(TimeUnit::Microsecond)),
        text if is_text(text) => Ok(DataType::Utf8),
        number if number.is_integer() || number.is_null() => Ok(DataType::Int64),
        other => {
            plan_err!("{usage}: a length of time is a text such as '1h', an interval, or microseconds, not {other}")
        }
    }
}

/// The lengths in microseconds.
pub(super) fn micros(lengths: &ArrayRef) -> Result<Int64Array> {
    match lengths.data_type() {
        DataType::Int64 => Ok(lengths.as_primitive::<Int64Type>().clone()),
        DataType::Duration(TimeUnit::Microsecond) => Ok(lengths
            .as_primitive::<DurationMicrosecondType>()
            .reinterpret_cast::<Int64Type>()),
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let intervals = lengths.as_primitive::<IntervalMonthDayNanoType>();
            intervals
                .iter()
                .map(|interval| interval.map(of_interval).transpose())
                .collect()
        }
        DataType::Utf8 => lengths
            .as_string::<i32>()
            .iter()
            .map(|text| text.map(of_text).transpose())
            .collect(),
        other => exec_err!("{other} is no length of time"),
    }
}

fn of_interval(interval: arrow::datatypes::IntervalMonthDayNano) -> Result<i64> {
    if interval.months != 0 {
        return exec_err!("months differ in length, give days or hours instead");
    }
    if interval.nanoseconds % 1_000 != 0 {
        return exec_err!("a length of time is a whole number of microseconds");
    }
    i64::from(interval.days)
        .checked_mul(DAY)
        .and_then(|days| days.checked_add(interval.nanoseconds / 1_000))
        .ok_or_else(|| exec_datafusion_err!("the interval is too long"))
}

/// `1h`, `500ms`, `1d12h`: whole numbers, each with its unit.
fn of_text(text: &str) -> Result<i64> {
    let not_a_length = || -> DataFusionError {
        exec_datafusion_err!("'{text}' is no length of time, write it as 500ms, 30s, 5m, 1h or 7d")
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(not_a_length());
    }
    let mut total: i64 = 0;
    while !rest.is_empty() {
        let (number, after_number) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
        let (unit, after_unit) = after_number.split_at(
            after_number
                .find(|c: char| !c.is_ascii_alphabetic())
                .unwrap_or(after_number.len()),
        );
        let unit = match unit {
            "us" => 1,
            "ms" => 1_000,
            "s" => SECOND,
            "m" => MINUTE,
            "h" => HOUR,
            "d" => DAY,
            _ => return Err(not_a_length()),
        };
        let length = number
            .parse::<i64>()
            .ok()
            .and_then(|number| number.checked_mul(unit))
            .ok_or_else(not_a_length)?;
        total = total.checked_add(length).ok_or_else(not_a_length)?;
        rest = after_unit;
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_sums_of_numbers_with_units() {
        assert_eq!(of_text("1h").unwrap(), HOUR);
        assert_eq!(of_text("500ms").unwrap(), 500_000);
        assert_eq!(of_text("1d12h").unwrap(), 36 * HOUR);
    }

    #[test]
    fn what_is_no_length_is_refused_with_an_example() {
        for text in ["", "h", "1", "1 h", "1w", "-1h", "1.5h", "9223372036854775807d"] {
            let error = of_text(text).unwrap_err().to_string();
            assert!(error.contains("500ms, 30s, 5m, 1h or 7d"), "{text}: {error}");
        }
    }
}
