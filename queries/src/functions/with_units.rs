//! `with_units`: statistics and a number of further units that all have the same value.
//!
//! Subjects at risk without an outcome are units of value 0 (or of what winsorising makes of 0). They are counted, not listed: so
//! the statistics of a window cost as much as its outcomes, not as its subjects.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use backplane_stats::{CrossMoments, Moments};
use datafusion::common::{Result, exec_err, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::arguments::{argument, arrays, check_count, is_number};
use super::statistics::{Statistics, from_state, is_of_pairs, states_in, statistics_type, to_array};

const WITH_UNITS: &str = "with_units(s, count, x[, y])";

/// `with_units(s, count, x[, y])`: statistics `s` (null: of nothing) and `count` further units of value x, or (x, y).
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct WithUnits {
    signature: Signature,
}

impl WithUnits {
    pub(super) fn new() -> Self {
        WithUnits {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for WithUnits {
    fn name(&self) -> &str {
        "with_units"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        check_count(WITH_UNITS, given, 3, 4)?;
        let [statistics, count, values @ ..] = given else {
            return plan_err!("{WITH_UNITS} needs statistics and a count");
        };
        let pairs = is_of_pairs(WITH_UNITS, statistics)?;
        if pairs != (values.len() == 2) {
            return plan_err!("{WITH_UNITS}: statistics of pairs need x and y, those of one variable x alone");
        }
        if !is_number(count) || !values.iter().all(is_number) {
            return plan_err!("{WITH_UNITS} takes numbers as count, x and y");
        }
        let mut types = vec![statistics.clone(), DataType::Int64];
        types.resize(given.len(), DataType::Float64);
        Ok(types)
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(statistics_type(given.len() == 4))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = arrays(arguments.args, arguments.number_rows)?;
        let all: ArrayRef = if arguments.len() == 4 {
            Arc::new(to_array(&with_units::<CrossMoments>(&arguments)?)?)
        } else {
            Arc::new(to_array(&with_units::<Moments>(&arguments)?)?)
        };
        Ok(ColumnarValue::Array(all))
    }
}

fn with_units<S: Statistics>(arguments: &[ArrayRef]) -> Result<Vec<Option<S>>> {
    let states = states_in(argument(arguments, 0)?)?;
    let counts = argument(arguments, 1)?.as_primitive::<Int64Type>();
    let xs = argument(arguments, 2)?.as_primitive::<Float64Type>();
    let ys = arguments.get(3).map(|ys| ys.as_primitive::<Float64Type>());
    let mut all = Vec::with_capacity(states.len());
    for row in 0..states.len() {
        let mut statistics: S = if states.is_null(row) {
            S::default()
        } else {
            from_state(states.value(row))?
        };
        let count = if counts.is_null(row) { 0 } else { counts.value(row) };
        let Ok(count) = u64::try_from(count) else {
            return exec_err!("{WITH_UNITS}: a count of {count} takes units away");
        };
        if count > 0 {
            if xs.is_null(row) || ys.is_some_and(|ys| ys.is_null(row)) {
                return exec_err!("{WITH_UNITS}: {count} units need a value");
            }
            statistics.merge(&S::repeated(xs.value(row), ys.map_or(0.0, |ys| ys.value(row)), count));
        }
        all.push(Some(statistics));
    }
    Ok(all)
}
