//! Power, sample size and least effect, before an experiment: `power_t`, `power_z`, `power_proportions`, `sample_size_t`,
//! `sample_size_z`, `sample_size_proportions`, `least_effect_z`.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Float64Array, PrimitiveArray};
use arrow::datatypes::DataType;
use backplane_stats::StatsError;
use backplane_stats::power::{
    proportion_power, proportion_sample_size, t_power, t_sample_size, z_least_effect, z_power, z_sample_size,
};
use datafusion::common::Result;
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use super::parameters::{Arguments, Kind, Parameters, real};

const EFFECT: (&str, Kind) = ("effect", Kind::Real);
const N_CONTROL: (&str, Kind) = ("n_control", Kind::Real);
const POWER: (&str, Kind) = ("power", Kind::Real);
const RATIO: (&str, Kind) = ("ratio", Kind::Real);
const ALPHA: (&str, Kind) = ("alpha", Kind::Real);
const BASE_RATE: (&str, Kind) = ("base_rate", Kind::Real);

/// What is computed of the arguments.
#[derive(Debug, Clone, Copy)]
enum Formula {
    OfFour(fn(f64, f64, f64, f64) -> Result<f64, StatsError>),
    OfFive(fn(f64, f64, f64, f64, f64) -> Result<f64, StatsError>),
}

/// A number that is computed of numbers.
#[derive(Debug)]
pub(super) struct Planning {
    signature: Signature,
    parameters: &'static Parameters,
    formula: Formula,
}

impl Planning {
    /// All functions of planning.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        ALL.iter().map(|(parameters, formula)| Planning {
            signature: Signature::user_defined(Volatility::Immutable),
            parameters,
            formula: *formula,
        })
    }
}

const ALL: &[(Parameters, Formula)] = &[
    (
        Parameters {
            function: "power_t",
            required: &[EFFECT, N_CONTROL, RATIO, ALPHA],
            optional: &[],
        },
        Formula::OfFour(t_power),
    ),
    (
        Parameters {
            function: "power_z",
            required: &[EFFECT, N_CONTROL, RATIO, ALPHA],
            optional: &[],
        },
        Formula::OfFour(z_power),
    ),
    (
        Parameters {
            function: "power_proportions",
            required: &[BASE_RATE, EFFECT, N_CONTROL, RATIO, ALPHA],
            optional: &[],
        },
        Formula::OfFive(proportion_power),
    ),
    (
        Parameters {
            function: "sample_size_t",
            required: &[EFFECT, POWER, RATIO, ALPHA],
            optional: &[],
        },
        Formula::OfFour(t_sample_size),
    ),
    (
        Parameters {
            function: "sample_size_z",
            required: &[EFFECT, POWER, RATIO, ALPHA],
            optional: &[],
        },
        Formula::OfFour(z_sample_size),
    ),
    (
        Parameters {
            function: "sample_size_proportions",
            required: &[BASE_RATE, EFFECT, POWER, RATIO, ALPHA],
            optional: &[],
        },
        Formula::OfFive(proportion_sample_size),
    ),
    (
        Parameters {
            function: "least_effect_z",
            required: &[N_CONTROL, POWER, RATIO, ALPHA],
            optional: &[],
        },
        Formula::OfFour(z_least_effect),
    ),
];

/// Functions of one name are the same.
impl PartialEq for Planning {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Planning {}

impl Hash for Planning {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name().hash(state);
    }
}

impl ScalarUDFImpl for Planning {
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
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arguments = Arguments::new(self.parameters, arguments.args, arguments.number_rows)?;
        let values = match self.formula {
            Formula::OfFour(formula) => each_row(&arguments, |[a, b, c, d]| formula(a, b, c, d))?,
            Formula::OfFive(formula) => each_row(&arguments, |[a, b, c, d, e]| formula(a, b, c, d, e))?,
        };
        Ok(ColumnarValue::Array(Arc::new(values)))
    }
}

fn each_row<const N: usize>(
    arguments: &Arguments,
    formula: impl Fn([f64; N]) -> Result<f64, StatsError>,
) -> Result<Float64Array> {
    let columns: Vec<&Float64Array> = (0..N).map(|index| arguments.reals(index)).collect::<Result<_>>()?;
    let values = arguments.each_row(|row| {
        let mut given = [0.0; N];
        for (value, column) in given.iter_mut().zip(&columns) {
            match real(column, row) {
                Some(number) => *value = number,
                None => return Ok(None),
            }
        }
        formula(given).map(Some).map_err(|error| arguments.refused(&error))
    })?;
    Ok(PrimitiveArray::from(values))
}
