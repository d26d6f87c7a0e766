//! `holm` and `benjamini_hochberg`: p-values of a family, adjusted.

use std::sync::Arc;

use arrow::array::{AsArray, Float64Builder, ListBuilder};
use arrow::datatypes::{DataType, Field, Float64Type};
use datafusion::common::{Result, plan_err};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::arguments::{argument, arrays, check_count, is_number};

/// An adjustment of p-values.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Adjustment {
    method: Method,
    signature: Signature,
}

/// How p-values are adjusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Method {
    Holm,
    BenjaminiHochberg,
}

impl Adjustment {
    pub(super) fn by(method: Method) -> Self {
        Adjustment {
            method,
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

fn list_type() -> DataType {
    DataType::List(Arc::new(Field::new_list_field(DataType::Float64, true)))
}

impl ScalarUDFImpl for Adjustment {
    fn name(&self) -> &str {
        match self.method {
            Method::Holm => "holm",
            Method::BenjaminiHochberg => "benjamini_hochberg",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let usage = format!("{}(p_values)", self.name());
        check_count(&usage, given, 1, 1)?;
        match given {
            [DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _)]
                if is_number(item.data_type()) => {}
            [DataType::Null] => {}
            _ => return plan_err!("{usage} takes a list of p-values"),
        }
        Ok(vec![list_type()])
    }

    fn return_type(&self, _given: &[DataType]) -> Result<DataType> {
        Ok(list_type())
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = arrays(arguments.args, arguments.number_rows)?;
        let lists = argument(&arguments, 0)?.as_list::<i32>();
        let adjust = match self.method {
            Method::Holm => backplane_stats::holm,
            Method::BenjaminiHochberg => backplane_stats::benjamini_hochberg,
        };
        let mut adjusted = ListBuilder::new(Float64Builder::new());
        for list in lists.iter() {
            let Some(list) = list else {
                adjusted.append_null();
                continue;
            };
            let values = list.as_primitive::<Float64Type>();
            // a null leaves the family, as what is no number does
            let family: Vec<f64> = values.iter().map(|value| value.unwrap_or(f64::NAN)).collect();
            for value in adjust(&family) {
                adjusted.values().append_option((!value.is_nan()).then_some(value));
            }
            adjusted.append(true);
        }
        Ok(ColumnarValue::Array(Arc::new(adjusted.finish())))
    }
}
