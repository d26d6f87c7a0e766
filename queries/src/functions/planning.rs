//! Planning: power, sample size, least detectable effect. Effects of the t- and z-test are standardised, those of proportions are
//! differences of rates; `ratio` is the treatment's subjects over the control's.

use backplane_stats::StatsError;
use backplane_stats::power::{
    proportion_power, proportion_sample_size, t_power, t_sample_size, z_least_effect, z_power, z_sample_size,
};

use super::inference::{Definition, Gives, Kind, Members, Row};

const FOUR: &[Kind] = &[Kind::Real; 4];
const FIVE: &[Kind] = &[Kind::Real; 5];

/// All functions of planning. Each gives a number.
pub(super) const ALL: &[Definition] = &[
    Definition {
        name: "power_t",
        usage: "power_t(effect, n_control, ratio, alpha)",
        arguments: FOUR,
        least: 4,
        gives: Gives::Real,
        compute: |row, members| of_four(row, members, t_power),
    },
    Definition {
        name: "power_z",
        usage: "power_z(effect, n_control, ratio, alpha)",
        arguments: FOUR,
        least: 4,
        gives: Gives::Real,
        compute: |row, members| of_four(row, members, z_power),
    },
    Definition {
        name: "power_proportions",
        usage: "power_proportions(base_rate, effect, n_control, ratio, alpha)",
        arguments: FIVE,
        least: 5,
        gives: Gives::Real,
        compute: |row, members| of_five(row, members, proportion_power),
    },
    Definition {
        name: "sample_size_t",
        usage: "sample_size_t(effect, power, ratio, alpha)",
        arguments: FOUR,
        least: 4,
        gives: Gives::Real,
        compute: |row, members| of_four(row, members, t_sample_size),
    },
    Definition {
        name: "sample_size_z",
        usage: "sample_size_z(effect, power, ratio, alpha)",
        arguments: FOUR,
        least: 4,
        gives: Gives::Real,
        compute: |row, members| of_four(row, members, z_sample_size),
    },
    Definition {
        name: "sample_size_proportions",
        usage: "sample_size_proportions(base_rate, effect, power, ratio, alpha)",
        arguments: FIVE,
        least: 5,
        gives: Gives::Real,
        compute: |row, members| of_five(row, members, proportion_sample_size),
    },
    Definition {
        name: "least_effect_z",
        usage: "least_effect_z(n_control, power, ratio, alpha)",
        arguments: FOUR,
        least: 4,
        gives: Gives::Real,
        compute: |row, members| of_four(row, members, z_least_effect),
    },
];

fn of_four(
    row: &Row<'_>,
    members: &mut Members,
    formula: fn(f64, f64, f64, f64) -> Result<f64, StatsError>,
) -> Result<(), StatsError> {
    let [a, b, c, d] = given(row);
    members.real(formula(a, b, c, d)?);
    Ok(())
}

fn of_five(
    row: &Row<'_>,
    members: &mut Members,
    formula: fn(f64, f64, f64, f64, f64) -> Result<f64, StatsError>,
) -> Result<(), StatsError> {
    let [a, b, c, d, e] = given(row);
    members.real(formula(a, b, c, d, e)?);
    Ok(())
}

/// The first arguments; planning has made sure that they are there.
fn given<const N: usize>(row: &Row<'_>) -> [f64; N] {
    std::array::from_fn(|index| row.real(index).unwrap_or(f64::NAN))
}
