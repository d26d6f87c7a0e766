//! The parameters of the statistical functions: what a call is told it should have been, and how its arguments are read.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, StringArray, UInt64Array};
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type, UInt64Type};
use backplane_stats::StatsError;
use datafusion::common::{
    DataFusionError, Result, exec_datafusion_err, internal_datafusion_err, internal_err, plan_datafusion_err,
};
use datafusion::logical_expr::ColumnarValue;

use super::arguments::{argument, arrays, check_count, is_number, is_text};

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A whole number from 0 on, of any type.
    Count,
    /// A number.
    Real,
    /// A text.
    Text,
    /// A list of numbers.
    Reals,
    /// One count for each arm.
    CountsByArm,
    /// One weight for each arm.
    WeightsByArm,
    /// The same, or a list of such lists: one for each allocation epoch.
    CountsByEpoch,
    /// The same, or a list of such lists: one for each allocation epoch.
    WeightsByEpoch,
}

impl Kind {
    /// The type that an argument of this type is converted to; none if it does not fit.
    fn coerced(self, given: &DataType) -> Option<DataType> {
        match self {
            Kind::Count => count_type(given),
            Kind::Real => real_type(given),
            Kind::Text => (is_text(given) || given.is_null()).then_some(DataType::Utf8),
            Kind::Reals | Kind::WeightsByArm => lists_of(given, 1, real_type),
            Kind::CountsByArm => lists_of(given, 1, count_type),
            Kind::CountsByEpoch => lists_of(given, 2, count_type),
            Kind::WeightsByEpoch => lists_of(given, 2, real_type),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Kind::Count => "a whole number",
            Kind::Real => "a number",
            Kind::Text => "a text",
            Kind::Reals | Kind::WeightsByArm => "a list of numbers",
            Kind::CountsByArm => "a list of whole numbers",
            Kind::CountsByEpoch => "a list of whole numbers, or a list of such lists, one for each allocation epoch",
            Kind::WeightsByEpoch => "a list of numbers, or a list of such lists, one for each allocation epoch",
        })
    }
}

fn real_type(given: &DataType) -> Option<DataType> {
    is_number(given).then_some(DataType::Float64)
}

/// Counts keep a type that holds all that they may be: whether they are whole and not negative is seen when they are read.
fn count_type(given: &DataType) -> Option<DataType> {
    match given {
        DataType::UInt64 => Some(DataType::UInt64),
        whole if whole.is_integer() || whole.is_null() => Some(DataType::Int64),
        other => real_type(other),
    }
}

/// Lists within lists, up to so deep, of what a number is converted to.
fn lists_of(given: &DataType, deepest: usize, number: fn(&DataType) -> Option<DataType>) -> Option<DataType> {
    match element(given) {
        Some(element) if deepest > 0 => {
            let inner = if element.is_null() || element.is_numeric() {
                number(element)
            } else {
                lists_of(element, deepest - 1, number)
            };
            inner.map(list_of)
        }
        Some(_) => None,
        None => given.is_null().then(|| number(given).map(list_of)).flatten(),
    }
}

/// What a list is a list of; none if it is none.
fn element(list: &DataType) -> Option<&DataType> {
    match list {
        DataType::List(element)
        | DataType::LargeList(element)
        | DataType::FixedSizeList(element, _)
        | DataType::ListView(element)
        | DataType::LargeListView(element) => Some(element.data_type()),
        _ => None,
    }
}

/// The type of a list in which any element may be null.
pub(super) fn list_of(element: DataType) -> DataType {
    DataType::List(Arc::new(Field::new_list_field(element, true)))
}

/// How many lists are within each other.
pub(super) fn depth(data_type: &DataType) -> usize {
    element(data_type).map_or(0, |element| 1 + depth(element))
}

/// Whether a type says nothing about what is in it: that of null, and of lists of nothing but that.
pub(super) fn is_untyped(data_type: &DataType) -> bool {
    element(data_type).map_or(data_type.is_null(), is_untyped)
}

/// What a function takes.
#[derive(Debug)]
pub(super) struct Parameters {
    /// The function's name.
    pub(super) function: &'static str,
    /// What every call gives, by name.
    pub(super) required: &'static [(&'static str, Kind)],
    /// What a call may leave out, from the end.
    pub(super) optional: &'static [(&'static str, Kind)],
}

impl Parameters {
    /// The types that arguments of these types are converted to, or a planning error that says what the call should be.
    pub(super) fn coerce(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let least = self.required.len();
        check_count(&self.to_string(), given, least, least + self.optional.len())?;
        let coerced = self.all().zip(given).map(|((name, kind), given)| {
            kind.coerced(given)
                .ok_or_else(|| plan_datafusion_err!("{self}: {name} is {kind}, not {given}"))
        });
        coerced.collect()
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, Kind)> {
        self.required.iter().chain(self.optional).copied()
    }
}

/// The call as it should be: `welch(n1, mean1, m2_1, n2, mean2, m2_2[, alpha])`.
impl fmt::Display for Parameters {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = |parameters: &[(&'static str, Kind)]| parameters.iter().map(|(name, _)| *name).collect::<Vec<_>>();
        write!(formatter, "{}({}", self.function, names(self.required).join(", "))?;
        for name in names(self.optional) {
            write!(formatter, "[, {name}]")?;
        }
        formatter.write_str(")")
    }
}

/// The arguments of a call, as columns of one length.
#[derive(Debug)]
pub(super) struct Arguments {
    parameters: &'static Parameters,
    columns: Vec<ArrayRef>,
    rows: usize,
}

impl Arguments {
    pub(super) fn new(parameters: &'static Parameters, values: Vec<ColumnarValue>, rows: usize) -> Result<Self> {
        Ok(Arguments {
            parameters,
            columns: arrays(values, rows)?,
            rows,
        })
    }

    /// One value for each row.
    pub(super) fn each_row<T>(&self, value: impl FnMut(usize) -> Result<Option<T>>) -> Result<Vec<Option<T>>> {
        (0..self.rows).map(value).collect()
    }

    /// The column at `index`, of whatever type it was converted to.
    pub(super) fn column(&self, index: usize) -> Result<&ArrayRef> {
        argument(&self.columns, index)
    }

    pub(super) fn counts(&self, index: usize) -> Result<Counts<'_>> {
        self.counts_in(self.column(index)?, index)
    }

    /// Counts that are inside the argument at `index`.
    pub(super) fn counts_in<'a>(&self, column: &'a ArrayRef, index: usize) -> Result<Counts<'a>> {
        let name = self.parameters.all().nth(index).map_or("", |(name, _)| name);
        Counts::new(self.parameters, name, column)
    }

    pub(super) fn reals(&self, index: usize) -> Result<&Float64Array> {
        reals_in(self.column(index)?)
    }

    /// The numbers at `index`, or always this one where the call leaves them out.
    pub(super) fn reals_or(&self, index: usize, default: f64) -> Result<Reals<'_>> {
        if index < self.columns.len() {
            self.reals(index).map(Reals::Given)
        } else {
            Ok(Reals::Always(default))
        }
    }

    pub(super) fn texts(&self, index: usize) -> Result<&StringArray> {
        let column = self.column(index)?;
        column.as_string_opt::<i32>().ok_or_else(|| unconverted(column))
    }

    /// How many arguments were given.
    pub(super) fn given(&self) -> usize {
        self.columns.len()
    }

    /// That the statistics refuse the arguments of a row.
    pub(super) fn refused(&self, error: &StatsError) -> DataFusionError {
        self.wrong(error)
    }

    /// The outcome of a row; null where values are so large that their squares leave the range of a double: that is in the data, and one
    /// such metric shall not keep a reader from all others.
    pub(super) fn judged<T>(&self, outcome: std::result::Result<T, StatsError>) -> Result<Option<T>> {
        match outcome {
            Ok(outcome) => Ok(Some(outcome)),
            Err(StatsError::RescaleValues { .. }) => Ok(None),
            Err(error) => Err(self.refused(&error)),
        }
    }

    /// That the arguments of a row are wrong, in the words of `what`.
    pub(super) fn wrong(&self, what: impl fmt::Display) -> DataFusionError {
        exec_datafusion_err!("{}: {what}", self.parameters)
    }
}

/// Numbers that planning has converted.
pub(super) fn reals_in(column: &ArrayRef) -> Result<&Float64Array> {
    column
        .as_primitive_opt::<Float64Type>()
        .ok_or_else(|| unconverted(column))
}

/// That a column is not what [`Parameters::coerce`] asked for.
pub(super) fn unconverted(column: &ArrayRef) -> DataFusionError {
    internal_datafusion_err!("an argument of type {} was not converted", column.data_type())
}

/// A number for each row.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reals<'a> {
    Given(&'a Float64Array),
    Always(f64),
}

impl Reals<'_> {
    /// None where it is null.
    pub(super) fn get(&self, row: usize) -> Option<f64> {
        match self {
            Reals::Given(column) => real(column, row),
            Reals::Always(value) => Some(*value),
        }
    }
}

/// The number of a row; none where it is null.
pub(super) fn real(column: &Float64Array, row: usize) -> Option<f64> {
    column.is_valid(row).then(|| column.value(row))
}

/// A column of counts, in any of the types that [`Kind::Count`] is converted to.
#[derive(Debug)]
pub(super) struct Counts<'a> {
    parameters: &'static Parameters,
    name: &'static str,
    column: CountColumn<'a>,
}

#[derive(Debug)]
enum CountColumn<'a> {
    Signed(&'a Int64Array),
    Unsigned(&'a UInt64Array),
    Real(&'a Float64Array),
}

impl<'a> Counts<'a> {
    fn new(parameters: &'static Parameters, name: &'static str, column: &'a ArrayRef) -> Result<Self> {
        let column = match column.data_type() {
            DataType::Int64 => CountColumn::Signed(column.as_primitive::<Int64Type>()),
            DataType::UInt64 => CountColumn::Unsigned(column.as_primitive::<UInt64Type>()),
            DataType::Float64 => CountColumn::Real(column.as_primitive::<Float64Type>()),
            other => return internal_err!("counts of type {other} were not converted"),
        };
        Ok(Counts {
            parameters,
            name,
            column,
        })
    }

    /// None where it is null.
    pub(super) fn get(&self, row: usize) -> Result<Option<u64>> {
        match self.column {
            CountColumn::Signed(column) if column.is_valid(row) => {
                let value = column.value(row);
                u64::try_from(value).map(Some).map_err(|_| self.no_count(value))
            }
            CountColumn::Unsigned(column) if column.is_valid(row) => Ok(Some(column.value(row))),
            CountColumn::Real(column) if column.is_valid(row) => {
                let value = column.value(row);
                whole(value).map(Some).ok_or_else(|| self.no_count(value))
            }
            _ => Ok(None),
        }
    }

    fn no_count(&self, value: impl fmt::Display) -> DataFusionError {
        let Counts { parameters, name, .. } = self;
        exec_datafusion_err!("{parameters}: {value} is no count for {name}, give whole numbers from 0 on")
    }
}

fn whole(value: f64) -> Option<u64> {
    /// 2⁶⁴, the first float that is too great.
    const TOO_GREAT: f64 = 18_446_744_073_709_551_616.0;
    (value.fract() == 0.0 && (0.0..TOO_GREAT).contains(&value)).then_some(value as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    static TEST: Parameters = Parameters {
        function: "f",
        required: &[("counts", Kind::CountsByEpoch), ("n", Kind::Count)],
        optional: &[("alpha", Kind::Real)],
    };

    #[test]
    fn a_call_is_told_as_it_should_be() {
        assert_eq!(TEST.to_string(), "f(counts, n[, alpha])");
    }

    #[test]
    fn every_kind_of_list_and_number_is_taken() {
        let field = |element: DataType| Arc::new(Field::new("element", element, false));
        let flat = [
            DataType::List(field(DataType::UInt32)),
            DataType::LargeList(field(DataType::Int8)),
            DataType::FixedSizeList(field(DataType::Int64), 3),
            DataType::ListView(field(DataType::Null)),
            DataType::Null,
        ];
        for given in flat {
            let coerced = TEST
                .coerce(&[given.clone(), DataType::UInt64, DataType::Float32])
                .unwrap();
            let expected = [list_of(DataType::Int64), DataType::UInt64, DataType::Float64];
            assert_eq!(coerced, expected, "{given}");
        }
        let nested = list_of(DataType::LargeList(field(DataType::Float32)));
        let coerced = TEST.coerce(&[nested, DataType::Decimal128(10, 2)]).unwrap();
        assert_eq!(coerced, [list_of(list_of(DataType::Float64)), DataType::Float64]);
        assert_eq!((depth(&coerced[0]), depth(&coerced[1])), (2, 0));
    }

    #[test]
    fn what_does_not_fit_is_told_with_its_name() {
        let too_deep = list_of(list_of(list_of(DataType::Int64)));
        for given in [DataType::Int64, DataType::Utf8, list_of(DataType::Utf8), too_deep] {
            let error = TEST.coerce(&[given, DataType::Int64]).unwrap_err().to_string();
            let part = "f(counts, n[, alpha]): counts is a list of whole numbers, or a list of such lists";
            assert!(error.contains(part), "{error}");
        }
        let error = TEST.coerce(&[DataType::Null]).unwrap_err().to_string();
        assert!(
            error.contains("f(counts, n[, alpha]) was called with 1 arguments"),
            "{error}"
        );
    }

    #[test]
    fn floats_that_are_whole_are_counts() {
        assert_eq!(whole(-0.0), Some(0));
        assert_eq!(whole(1e18), Some(1_000_000_000_000_000_000));
        for value in [0.5, -1.0, f64::NAN, f64::INFINITY, 2_f64.powi(64)] {
            assert_eq!(whole(value), None);
        }
    }
}
