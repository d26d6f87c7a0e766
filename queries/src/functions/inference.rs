//! The statistical tests as functions of one row: what they have in common.
//!
//! A test is a [`Definition`]: its name, what its arguments are, the members of the struct that it gives, and how one row is computed
//! by `backplane-stats`. Everything else (types, nulls, errors) is the same for all.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Float64Array, Float64Builder, Int64Array, Int64Builder, ListArray,
    StringArray, StringBuilder, StructArray,
};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, Fields, Float64Type, Int64Type};
use backplane_stats::{Sample, StatsError};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::arguments::{argument, arrays, check_count, is_number, is_text};

/// What an argument is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A count, not negative.
    Count,
    /// A real number.
    Real,
    /// A text.
    Text,
    /// A list of counts; of such lists, one for each allocation epoch.
    Counts,
    /// A list of weights; of such lists, one for each allocation epoch.
    Weights,
}

/// The type of a member of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Member {
    Real(&'static str),
    Integer(&'static str),
    Flag(&'static str),
    Text(&'static str),
}

/// What a function gives.
#[derive(Debug, Clone, Copy)]
pub(super) enum Gives {
    /// A struct.
    Struct(&'static [Member]),
    /// A number.
    Real,
}

/// A statistical test.
#[derive(Debug)]
pub(super) struct Definition {
    pub(super) name: &'static str,
    /// How it is called.
    pub(super) usage: &'static str,
    pub(super) arguments: &'static [Kind],
    /// How many of them there must be.
    pub(super) least: usize,
    pub(super) gives: Gives,
    /// Computes one row: gives the members in order.
    pub(super) compute: fn(&Row<'_>, &mut Members) -> std::result::Result<(), StatsError>,
}

/// A definition as DataFusion sees it.
#[derive(Debug)]
pub(super) struct StatisticalTest {
    definition: &'static Definition,
    signature: Signature,
}

impl StatisticalTest {
    pub(super) fn new(definition: &'static Definition) -> Self {
        StatisticalTest {
            definition,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl PartialEq for StatisticalTest {
    fn eq(&self, other: &Self) -> bool {
        self.definition.name == other.definition.name
    }
}

impl Eq for StatisticalTest {}

impl Hash for StatisticalTest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.definition.name.hash(state);
    }
}

impl ScalarUDFImpl for StatisticalTest {
    fn name(&self) -> &str {
        self.definition.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let Definition {
            usage,
            arguments,
            least,
            ..
        } = self.definition;
        check_count(usage, given, *least, arguments.len())?;
        let types = given.iter().zip(*arguments).enumerate();
        types
            .map(|(index, (given, kind))| match coerced(*kind, given) {
                Some(coerced) => Ok(coerced),
                None => plan_err!("{usage}: argument {} is {}, not {given}", index + 1, expectation(*kind)),
            })
            .collect()
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(match self.definition.gives {
            Gives::Struct(members) => DataType::Struct(fields(members)),
            Gives::Real => DataType::Float64,
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = arguments.number_rows;
        let columns = arrays(arguments.args, rows)?;
        let columns: Vec<Column> = (0..columns.len())
            .map(|index| Column::new(argument(&columns, index)?))
            .collect::<Result<_>>()?;
        let mut members = Members::new(self.definition.gives);
        let mut valid = Vec::with_capacity(rows);
        let mut scratch = Scratch::default();
        for row in 0..rows {
            let is_null = columns.iter().any(|column| column.is_null(row));
            valid.push(!is_null);
            if is_null {
                members.null();
                continue;
            }
            let row = Row {
                columns: &columns,
                row,
                scratch: std::cell::RefCell::new(&mut scratch),
            };
            let computed = (self.definition.compute)(&row, &mut members);
            computed.map_err(|error| exec_datafusion_err!("{}: {error}", self.definition.name))?;
        }
        members.finish(self.definition.gives, valid).map(ColumnarValue::Array)
    }
}

/// The type that an argument is converted to; none where it cannot be.
fn coerced(kind: Kind, given: &DataType) -> Option<DataType> {
    let item = match kind {
        Kind::Count => return is_number(given).then_some(DataType::Int64),
        Kind::Real => return is_number(given).then_some(DataType::Float64),
        Kind::Text => return (is_text(given) || given.is_null()).then_some(DataType::Utf8),
        Kind::Counts => DataType::Int64,
        Kind::Weights => DataType::Float64,
    };
    let list = |item: DataType| DataType::List(Arc::new(Field::new_list_field(item, true)));
    match item_of(given) {
        None => given.is_null().then(|| list(item)),
        Some(inner) => match item_of(inner) {
            Some(innermost) => is_number(innermost).then(|| list(list(item))),
            None => is_number(inner).then(|| list(item)),
        },
    }
}

fn item_of(list: &DataType) -> Option<&DataType> {
    match list {
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => Some(item.data_type()),
        _ => None,
    }
}

fn expectation(kind: Kind) -> &'static str {
    match kind {
        Kind::Count => "a count",
        Kind::Real => "a number",
        Kind::Text => "a text",
        Kind::Counts => "a list of counts (or a list of such lists, one for each allocation epoch)",
        Kind::Weights => "a list of weights (or a list of such lists, one for each allocation epoch)",
    }
}

fn fields(members: &[Member]) -> Fields {
    let field = |member: &Member| match member {
        Member::Real(name) => Field::new(*name, DataType::Float64, true),
        Member::Integer(name) => Field::new(*name, DataType::Int64, true),
        Member::Flag(name) => Field::new(*name, DataType::Boolean, true),
        Member::Text(name) => Field::new(*name, DataType::Utf8, true),
    };
    members.iter().map(field).collect()
}

/// An argument's values.
enum Column {
    Counts(Int64Array),
    Reals(Float64Array),
    Texts(StringArray),
    Lists(ListArray),
}

impl Column {
    fn new(array: &ArrayRef) -> Result<Column> {
        match array.data_type() {
            DataType::Int64 => Ok(Column::Counts(array.as_primitive::<Int64Type>().clone())),
            DataType::Float64 => Ok(Column::Reals(array.as_primitive::<Float64Type>().clone())),
            DataType::Utf8 => Ok(Column::Texts(array.as_string::<i32>().clone())),
            DataType::List(_) => Ok(Column::Lists(array.as_list::<i32>().clone())),
            other => Err(unexpected(other)),
        }
    }

    fn is_null(&self, row: usize) -> bool {
        match self {
            Column::Counts(values) => values.is_null(row),
            Column::Reals(values) => values.is_null(row),
            Column::Texts(values) => values.is_null(row),
            Column::Lists(values) => values.is_null(row),
        }
    }
}

fn unexpected(data_type: &DataType) -> DataFusionError {
    exec_datafusion_err!("an argument is {data_type} although it was to be converted")
}

/// Room for the lists of one row.
#[derive(Debug, Default)]
struct Scratch {
    counts: Vec<u64>,
    weights: Vec<f64>,
    /// Where each epoch's lists end.
    count_ends: Vec<usize>,
    weight_ends: Vec<usize>,
}

/// The arguments of one row.
pub(super) struct Row<'a> {
    columns: &'a [Column],
    row: usize,
    scratch: std::cell::RefCell<&'a mut Scratch>,
}

impl Row<'_> {
    /// The count at `index`; 0 where there is none.
    pub(super) fn count(&self, index: usize, name: &'static str) -> std::result::Result<u64, StatsError> {
        match self.columns.get(index) {
            Some(Column::Counts(values)) => count_of(values.value(self.row), name),
            _ => Ok(0),
        }
    }

    /// The number at `index`; none where the call has no such argument.
    pub(super) fn real(&self, index: usize) -> Option<f64> {
        match self.columns.get(index) {
            Some(Column::Reals(values)) => Some(values.value(self.row)),
            _ => None,
        }
    }

    /// The text at `index`; an empty one where there is none.
    pub(super) fn text(&self, index: usize) -> &str {
        match self.columns.get(index) {
            Some(Column::Texts(values)) => values.value(self.row),
            _ => "",
        }
    }

    /// The sample whose n, mean and m2 stand at `index` and after it.
    pub(super) fn sample(&self, index: usize, name: &'static str) -> std::result::Result<Sample, StatsError> {
        Ok(Sample {
            n: self.count(index, name)?,
            mean: self.real(index + 1).unwrap_or_default(),
            m2: self.real(index + 2).unwrap_or_default(),
        })
    }

    /// Hands over counts and weights of each allocation epoch, which stand at `index` and after it.
    pub(super) fn epochs<T>(
        &self,
        index: usize,
        visit: impl FnOnce(&[(&[u64], &[f64])]) -> std::result::Result<T, StatsError>,
    ) -> std::result::Result<T, StatsError> {
        let mut scratch = self.scratch.borrow_mut();
        let Scratch {
            counts,
            weights,
            count_ends,
            weight_ends,
        } = &mut **scratch;
        if let Some(Column::Lists(lists)) = self.columns.get(index) {
            read_lists(lists, self.row, counts, count_ends, |items, item| {
                let items = items
                    .as_primitive_opt::<Int64Type>()
                    .filter(|items| items.is_valid(item));
                count_of(items.map_or(-1, |items| items.value(item)), "a count")
            })?;
        }
        if let Some(Column::Lists(lists)) = self.columns.get(index + 1) {
            read_lists(lists, self.row, weights, weight_ends, |items, item| {
                let items = items
                    .as_primitive_opt::<Float64Type>()
                    .filter(|items| items.is_valid(item));
                Ok(items.map_or(f64::NAN, |items| items.value(item)))
            })?;
        }
        let part = |ends: &[usize], epoch: usize| {
            let start = epoch.checked_sub(1).and_then(|before| ends.get(before).copied());
            start.unwrap_or(0)..ends.get(epoch).copied().unwrap_or(0)
        };
        let epochs = count_ends.len().max(weight_ends.len());
        let paired: Vec<(&[u64], &[f64])> = (0..epochs)
            .map(|epoch| {
                (
                    counts.get(part(count_ends, epoch)).unwrap_or_default(),
                    weights.get(part(weight_ends, epoch)).unwrap_or_default(),
                )
            })
            .collect();
        if count_ends.len() != weight_ends.len() {
            return Err(StatsError::PairCountsWithWeights {
                counts: count_ends.len(),
                weights: weight_ends.len(),
            });
        }
        visit(&paired)
    }
}

/// Reads the list of a row, or the lists in it, end to end.
fn read_lists<T>(
    lists: &ListArray,
    row: usize,
    values: &mut Vec<T>,
    ends: &mut Vec<usize>,
    read: impl Fn(&dyn Array, usize) -> std::result::Result<T, StatsError>,
) -> std::result::Result<(), StatsError> {
    values.clear();
    ends.clear();
    let range = |list: &ListArray, row: usize| {
        let offsets = list.value_offsets();
        let at = |index: usize| {
            offsets
                .get(index)
                .map_or(0, |offset| usize::try_from(*offset).unwrap_or(0))
        };
        at(row)..at(row + 1)
    };
    let items = lists.values();
    match items.as_list_opt::<i32>() {
        Some(inner) => {
            for epoch in range(lists, row) {
                for item in range(inner, epoch) {
                    values.push(read(inner.values().as_ref(), item)?);
                }
                ends.push(values.len());
            }
        }
        None => {
            for item in range(lists, row) {
                values.push(read(items.as_ref(), item)?);
            }
            ends.push(values.len());
        }
    }
    Ok(())
}

fn count_of(count: i64, parameter: &'static str) -> std::result::Result<u64, StatsError> {
    u64::try_from(count).map_err(|_| StatsError::CorrectParameter {
        parameter,
        value: count as f64,
        range: "a number of subjects, not negative and not null",
    })
}

/// The members of the results, as they grow row by row.
#[derive(Debug)]
pub(super) struct Members {
    builders: Vec<Builder>,
    next: usize,
}

#[derive(Debug)]
enum Builder {
    Real(Float64Builder),
    Integer(Int64Builder),
    Flag(BooleanBuilder),
    Text(StringBuilder),
}

impl Members {
    fn new(gives: Gives) -> Self {
        let builder = |member: &Member| match member {
            Member::Real(_) => Builder::Real(Float64Builder::new()),
            Member::Integer(_) => Builder::Integer(Int64Builder::new()),
            Member::Flag(_) => Builder::Flag(BooleanBuilder::new()),
            Member::Text(_) => Builder::Text(StringBuilder::new()),
        };
        let builders = match gives {
            Gives::Struct(members) => members.iter().map(builder).collect(),
            Gives::Real => vec![Builder::Real(Float64Builder::new())],
        };
        Members { builders, next: 0 }
    }

    fn next(&mut self) -> Option<&mut Builder> {
        let index = self.next;
        self.next = (index + 1) % self.builders.len().max(1);
        self.builders.get_mut(index)
    }

    /// The next member is a number, or null; what is no number is null.
    pub(super) fn real(&mut self, value: impl Into<Option<f64>>) {
        if let Some(Builder::Real(builder)) = self.next() {
            builder.append_option(value.into().filter(|value| !value.is_nan()));
        }
    }

    /// The next members are numbers.
    pub(super) fn reals(&mut self, values: impl IntoIterator<Item = f64>) {
        values.into_iter().for_each(|value| self.real(value));
    }

    /// So many members are null.
    pub(super) fn nulls(&mut self, count: usize) {
        for _ in 0..count {
            match self.next() {
                Some(Builder::Real(builder)) => builder.append_null(),
                Some(Builder::Integer(builder)) => builder.append_null(),
                Some(Builder::Flag(builder)) => builder.append_null(),
                Some(Builder::Text(builder)) => builder.append_null(),
                None => {}
            }
        }
    }

    /// The next member is a whole number.
    pub(super) fn integer(&mut self, value: u64) {
        if let Some(Builder::Integer(builder)) = self.next() {
            builder.append_value(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }

    /// The next member is true or false.
    pub(super) fn flag(&mut self, value: bool) {
        if let Some(Builder::Flag(builder)) = self.next() {
            builder.append_value(value);
        }
    }

    /// The next member is a text.
    pub(super) fn text(&mut self, value: &str) {
        if let Some(Builder::Text(builder)) = self.next() {
            builder.append_value(value);
        }
    }

    fn null(&mut self) {
        self.nulls(self.builders.len());
    }

    fn finish(self, gives: Gives, valid: Vec<bool>) -> Result<ArrayRef> {
        let mut columns: Vec<ArrayRef> = self
            .builders
            .into_iter()
            .map(|builder| match builder {
                Builder::Real(mut builder) => Arc::new(builder.finish()) as ArrayRef,
                Builder::Integer(mut builder) => Arc::new(builder.finish()),
                Builder::Flag(mut builder) => Arc::new(builder.finish()),
                Builder::Text(mut builder) => Arc::new(builder.finish()),
            })
            .collect();
        match gives {
            Gives::Struct(members) => Ok(Arc::new(StructArray::try_new(
                fields(members),
                columns,
                Some(NullBuffer::from(valid)),
            )?)),
            Gives::Real => columns
                .pop()
                .ok_or_else(|| exec_datafusion_err!("a function gives nothing")),
        }
    }
}
