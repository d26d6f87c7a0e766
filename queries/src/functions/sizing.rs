//! Power, sample size and least effect, before an experiment: `power_t`, `power_z`, `power_proportions`, `sample_size_t`,
//! `sample_size_z`, `sample_size_proportions`, `least_effect_z`.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array};
use arrow::datatypes::DataType;
use backplane_stats::StatsError;
use backplane_stats::power::{
    proportion_power, proportion_sample_size, t_power, t_sample_size, z_least_effect, z_power, z_sample_size,
};
use datafusion::common::Result;

use super::function::{Compute, Function};
use super::parameters::{Arguments, Kind, Parameters, real};

const EFFECT: (&str, Kind) = ("effect", Kind::Real);
const N_CONTROL: (&str, Kind) = ("n_control", Kind::Real);
const POWER: (&str, Kind) = ("power", Kind::Real);
const RATIO: (&str, Kind) = ("ratio", Kind::Real);
const ALPHA: (&str, Kind) = ("alpha", Kind::Real);
const BASE_RATE: (&str, Kind) = ("base_rate", Kind::Real);

/// The functions, and what each computes of its arguments.
const ALL: &[(Parameters, Compute)] = &[
    (
        Parameters {
            function: "power_t",
            required: &[EFFECT, N_CONTROL, RATIO, ALPHA],
            optional: &[],
        },
        |arguments| each_row(arguments, |[a, b, c, d]| t_power(a, b, c, d)),
    ),
    (
        Parameters {
            function: "power_z",
            required: &[EFFECT, N_CONTROL, RATIO, ALPHA],
            optional: &[],
        },
        |arguments| each_row(arguments, |[a, b, c, d]| z_power(a, b, c, d)),
    ),
    (
        Parameters {
            function: "power_proportions",
            required: &[BASE_RATE, EFFECT, N_CONTROL, RATIO, ALPHA],
            optional: &[],
        },
        |arguments| each_row(arguments, |[a, b, c, d, e]| proportion_power(a, b, c, d, e)),
    ),
    (
        Parameters {
            function: "sample_size_t",
            required: &[EFFECT, POWER, RATIO, ALPHA],
            optional: &[],
        },
        |arguments| each_row(arguments, |[a, b, c, d]| t_sample_size(a, b, c, d)),
    ),
    (
        Parameters {
            function: "sample_size_z",
            required: &[EFFECT, POWER, RATIO, ALPHA],
            optional: &[],
        },
        |arguments| each_row(arguments, |[a, b, c, d]| z_sample_size(a, b, c, d)),
    ),
    (
        Parameters {
            function: "sample_size_proportions",
            required: &[BASE_RATE, EFFECT, POWER, RATIO, ALPHA],
            optional: &[],
        },
        |arguments| each_row(arguments, |[a, b, c, d, e]| proportion_sample_size(a, b, c, d, e)),
    ),
    (
        Parameters {
            function: "least_effect_z",
            required: &[N_CONTROL, POWER, RATIO, ALPHA],
            optional: &[],
        },
        |arguments| each_row(arguments, |[a, b, c, d]| z_least_effect(a, b, c, d)),
    ),
];

/// All functions of planning.
pub(super) fn planning() -> impl Iterator<Item = Function> {
    ALL.iter()
        .map(|(parameters, compute)| Function::new(parameters, Parameters::coerce, DataType::Float64, *compute))
}

fn each_row<const N: usize>(
    arguments: &Arguments,
    formula: impl Fn([f64; N]) -> Result<f64, StatsError>,
) -> Result<ArrayRef> {
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
    Ok(Arc::new(Float64Array::from(values)))
}
