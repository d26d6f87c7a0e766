//! Statistical tests as functions that give a struct for each row.
//!
//! The members of all tests have one vocabulary, in which 1 is the control and 2 the treatment:
//!
//! | member | is |
//! |---|---|
//! | `difference`, `lift` | the effect, treatment less control |
//! | `standard_error` | its standard error |
//! | `statistic`, `dof` | the test statistic and its degrees of freedom |
//! | `p_value`, `ln_p_value` | the p-value, two-sided, and its natural logarithm, which is finite where the p-value is too small for a float |
//! | `log_e` | the natural logarithm of the e-value |
//! | `ci_low`, `ci_high` | the interval of level `1 - alpha` |
//! | `status` | `ok`, or why members are null |

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray, StructArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field};
use datafusion::common::Result;

use super::function::{Coerce, Function};
use super::parameters::{Arguments, Parameters};

/// A test of the values of one row.
pub(super) trait StatisticalTest {
    /// What the test gives.
    type Outcome;

    /// Its name and what it takes.
    const PARAMETERS: &'static Parameters;

    /// The types that arguments of these types are converted to.
    const COERCE: Coerce = Parameters::coerce;

    /// The outcome of each row; none where an argument is null.
    fn outcomes(arguments: &Arguments) -> Result<Vec<Option<Self::Outcome>>>;

    /// The outcomes as the members of a struct, the same for any outcomes.
    fn members(outcomes: &[Option<Self::Outcome>]) -> Members<'_, Self::Outcome>;
}

/// A test as a function of SQL.
pub(super) fn test_function<T: StatisticalTest>() -> Function {
    Function::new(T::PARAMETERS, T::COERCE, T::members(&[]).data_type(), |arguments| {
        let outcomes = T::outcomes(arguments)?;
        Ok(Arc::new(T::members(&outcomes).finish()?))
    })
}

/// Outcomes on their way to a column of structs, one member after the other. All members of a row without an outcome are null,
/// and so is its struct.
#[derive(Debug)]
pub(super) struct Members<'a, O> {
    outcomes: &'a [Option<O>],
    fields: Vec<Field>,
    columns: Vec<ArrayRef>,
}

impl<'a, O> Members<'a, O> {
    pub(super) fn of(outcomes: &'a [Option<O>]) -> Self {
        Members {
            outcomes,
            fields: Vec::new(),
            columns: Vec::new(),
        }
    }

    /// A number.
    pub(super) fn real(self, name: &str, get: impl Fn(&O) -> Option<f64>) -> Self {
        let column: Float64Array = self.values(get).collect();
        self.with(name, Arc::new(column))
    }

    /// A number of subjects or of degrees of freedom; the greatest `bigint` where it is more.
    pub(super) fn count(self, name: &str, get: impl Fn(&O) -> Option<u64>) -> Self {
        let signed = |count| i64::try_from(count).unwrap_or(i64::MAX);
        let column: Int64Array = self.values(get).map(|count| count.map(signed)).collect();
        self.with(name, Arc::new(column))
    }

    /// Whether something is so.
    pub(super) fn flag(self, name: &str, get: impl Fn(&O) -> Option<bool>) -> Self {
        let column: BooleanArray = self.values(get).collect();
        self.with(name, Arc::new(column))
    }

    /// The member `status`.
    pub(super) fn status(self, get: impl Fn(&O) -> &'static str) -> Self {
        let column: StringArray = self.values(|outcome| Some(get(outcome))).collect();
        self.with("status", Arc::new(column))
    }

    fn values<V>(&self, get: impl Fn(&O) -> Option<V>) -> impl Iterator<Item = Option<V>> {
        self.outcomes.iter().map(move |outcome| outcome.as_ref().and_then(&get))
    }

    fn with(mut self, name: &str, column: ArrayRef) -> Self {
        self.fields.push(Field::new(name, column.data_type().clone(), true));
        self.columns.push(column);
        self
    }

    fn data_type(self) -> DataType {
        DataType::Struct(self.fields.into())
    }

    fn finish(self) -> Result<StructArray> {
        let nulls: NullBuffer = self.outcomes.iter().map(Option::is_some).collect::<Vec<_>>().into();
        Ok(StructArray::try_new(self.fields.into(), self.columns, Some(nulls))?)
    }
}
