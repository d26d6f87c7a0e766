//! p-values adjusted for the number of tests: `holm`, `benjamini_hochberg`.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, AsArray, Float64Builder, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field};
use backplane_stats::{benjamini_hochberg, holm};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::allocations::elements;
use super::parameters::{Arguments, Kind, Parameters, list_of, real, reals_in, unconverted};

/// `holm(p_values)`, `benjamini_hochberg(p_values)`: for each list, that of the adjusted p-values, each in its place. What is null,
/// or no number from 0 to 1, is not in the family, and null.
#[derive(Debug)]
pub(super) struct Adjustment {
    signature: Signature,
    parameters: &'static Parameters,
    adjust: fn(&[f64]) -> Vec<f64>,
}

impl Adjustment {
    pub(super) fn holm() -> Self {
        const HOLM: &Parameters = &Parameters {
            function: "holm",
            required: &[("p_values", Kind::Reals)],
            optional: &[],
        };
        Self::new(HOLM, holm)
    }

    pub(super) fn benjamini_hochberg() -> Self {
        const BENJAMINI_HOCHBERG: &Parameters = &Parameters {
            function: "benjamini_hochberg",
            required: &[("p_values", Kind::Reals)],
            optional: &[],
        };
        Self::new(BENJAMINI_HOCHBERG, benjamini_hochberg)
    }

    fn new(parameters: &'static Parameters, adjust: fn(&[f64]) -> Vec<f64>) -> Self {
        Adjustment {
            signature: Signature::user_defined(Volatility::Immutable),
            parameters,
            adjust,
        }
    }
}

/// Functions of one name are the same.
impl PartialEq for Adjustment {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Adjustment {}

impl Hash for Adjustment {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl ScalarUDFImpl for Adjustment {
    fn name(&self) -> &str {
        self.parameters.function
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        self.parameters.coerce(given)
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(list_of(DataType::Float64))
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = Arguments::new(self.parameters, arguments.args, arguments.number_rows)?;
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
            for adjusted in (self.adjust)(&family) {
                all.append_option((!adjusted.is_nan()).then_some(adjusted));
            }
        }
        let lists = ListArray::try_new(
            Arc::new(Field::new_list_field(DataType::Float64, true)),
            OffsetBuffer::from_lengths(lengths),
            Arc::new(all.finish()),
            lists.nulls().cloned(),
        )?;
        Ok(ColumnarValue::Array(Arc::new(lists)))
    }
}
