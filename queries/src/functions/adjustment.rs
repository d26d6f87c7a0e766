//! p-values adjusted for the number of tests: `holm`, `benjamini_hochberg`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Builder, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use backplane_stats::{benjamini_hochberg, holm};
use datafusion::common::Result;

use super::allocations::elements;
use super::function::Function;
use super::parameters::{Arguments, Kind, Parameters, list_of, real, reals_in, unconverted};

const P_VALUES: &[(&str, Kind)] = &[("p_values", Kind::Reals)];

/// `holm(p_values)`, `benjamini_hochberg(p_values)`: for each list, that of the adjusted p-values, each in its place. What is null,
/// or no number from 0 to 1, is not in the family, and null.
pub(super) fn adjustments() -> [Function; 2] {
    const HOLM: &Parameters = &Parameters {
        function: "holm",
        required: P_VALUES,
        optional: &[],
    };
    const BENJAMINI_HOCHBERG: &Parameters = &Parameters {
        function: "benjamini_hochberg",
        required: P_VALUES,
        optional: &[],
    };
    let function =
        |parameters, compute| Function::new(parameters, Parameters::coerce, list_of(DataType::Float64), compute);
    [
        function(HOLM, |arguments| adjusted(arguments, holm)),
        function(BENJAMINI_HOCHBERG, |arguments| adjusted(arguments, benjamini_hochberg)),
    ]
}

/// Each list of p-values adjusted.
fn adjusted(arguments: &Arguments, adjust: fn(&[f64]) -> Vec<f64>) -> Result<ArrayRef> {
    let column = arguments.column(0)?;
    let lists = column.as_list_opt::<i32>().ok_or_else(|| unconverted(column))?;
    let p_values = reals_in(lists.values())?;
    let mut family = Vec::new();
    let mut all = Float64Builder::with_capacity(p_values.len());
    let mut lengths = Vec::with_capacity(lists.len());
    for row in 0..lists.len() {
        let places = elements(lists, row).unwrap_or_default();
        lengths.push(places.len());
        family.clear();
        family.extend(places.map(|place| real(p_values, place).unwrap_or(f64::NAN)));
        for adjusted in adjust(&family) {
            all.append_option((!adjusted.is_nan()).then_some(adjusted));
        }
    }
    Ok(Arc::new(ListArray::try_new(
        Arc::new(Field::new_list_field(DataType::Float64, true)),
        OffsetBuffer::from_lengths(lengths),
        Arc::new(all.finish()),
        lists.nulls().cloned(),
    )?))
}
