//! Sample ratio mismatch: `srm_chi_square`, `srm_exact`, `srm_sequential`.

use backplane_stats::srm::{self, Epoch, Exact};
use backplane_stats::{StatsError, anytime_ln_p, anytime_p};

use super::inference::{Definition, Gives, Kind, Member, Members, Row};

/// `srm_chi_square(counts, weights)`.
pub(super) const CHI_SQUARE: Definition = Definition {
    name: "srm_chi_square",
    usage: "srm_chi_square(counts, weights)",
    arguments: &[Kind::Counts, Kind::Weights],
    least: 2,
    gives: Gives::Struct(&[
        Member::Real("statistic"),
        Member::Integer("dof"),
        Member::Real("p_value"),
        Member::Real("ln_p_value"),
        Member::Real("min_expected"),
        Member::Real("max_share_deviation"),
        Member::Integer("leak"),
        Member::Real("omnibus_statistic"),
        Member::Integer("omnibus_dof"),
        Member::Real("omnibus_p_value"),
        Member::Real("omnibus_ln_p_value"),
    ]),
    compute: chi_square,
};

/// `srm_exact(counts, weights)`.
pub(super) const EXACT: Definition = Definition {
    name: "srm_exact",
    usage: "srm_exact(counts, weights)",
    arguments: &[Kind::Counts, Kind::Weights],
    least: 2,
    gives: Gives::Struct(&[
        Member::Real("p_value"),
        Member::Real("ln_p_value"),
        Member::Text("status"),
    ]),
    compute: exact,
};

/// `srm_sequential(counts, weights[, concentration])`.
pub(super) const SEQUENTIAL: Definition = Definition {
    name: "srm_sequential",
    usage: "srm_sequential(counts, weights[, concentration])",
    arguments: &[Kind::Counts, Kind::Weights, Kind::Real],
    least: 2,
    gives: Gives::Struct(&[
        Member::Real("log_e"),
        Member::Real("p_value"),
        Member::Real("ln_p_value"),
    ]),
    compute: sequential,
};

fn chi_square(row: &Row<'_>, members: &mut Members) -> Result<(), StatsError> {
    row.epochs(0, |epochs| {
        if let [(counts, weights)] = epochs {
            let test = srm::chi_square(counts, weights)?;
            let same = |members: &mut Members| {
                members.real(test.statistic);
                members.integer(u64::from(test.dof));
                members.reals([test.p, test.ln_p]);
            };
            same(members);
            members.reals([test.min_expected, test.max_share_deviation]);
            members.integer(test.leak);
            same(members);
            return Ok(());
        }
        let pairs = epochs.iter().map(|(counts, weights)| Epoch { counts, weights });
        let test = srm::chi_square_epochs(&pairs.collect::<Vec<_>>())?;
        let mut min_expected = f64::INFINITY;
        for (counts, weights) in epochs {
            if counts.iter().any(|count| *count > 0) {
                min_expected = min_expected.min(srm::chi_square(counts, weights)?.min_expected);
            }
        }
        members.real(test.statistic);
        members.integer(u64::from(test.dof));
        members.reals([test.p, test.ln_p]);
        members.real(if min_expected.is_finite() { min_expected } else { 0.0 });
        members.real(test.max_share_deviation);
        members.integer(test.leak);
        members.real(test.omnibus_statistic);
        members.integer(u64::from(test.omnibus_dof));
        members.reals([test.omnibus_p, test.omnibus_ln_p]);
        Ok(())
    })
}

fn exact(row: &Row<'_>, members: &mut Members) -> Result<(), StatsError> {
    row.epochs(0, |epochs| {
        let [(counts, weights)] = epochs else {
            return Err(StatsError::CorrectParameter {
                parameter: "allocation epochs",
                value: epochs.len() as f64,
                range: "one: the exact test knows one allocation only",
            });
        };
        match srm::exact(counts, weights)? {
            Exact::Tested { p, ln_p } => {
                members.reals([p, ln_p]);
                members.text("ok");
            }
            Exact::TooManyOutcomes => {
                members.nulls(2);
                members.text("too_many_outcomes");
            }
        }
        Ok(())
    })
}

/// The logarithms of the epochs' e-values add up.
fn sequential(row: &Row<'_>, members: &mut Members) -> Result<(), StatsError> {
    let concentration = row.real(2);
    row.epochs(0, |epochs| {
        let mut log_e = 0.0;
        for (counts, weights) in epochs {
            log_e += match concentration {
                Some(concentration) => srm::sequential(counts, weights, concentration)?,
                None => srm::sequential_mixture(counts, weights)?,
            };
        }
        members.reals([log_e, anytime_p(log_e), anytime_ln_p(log_e)]);
        Ok(())
    })
}
