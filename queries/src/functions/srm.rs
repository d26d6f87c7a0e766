//! Tests of the split of subjects between arms: `srm_chi_square`, `srm_exact`, `srm_sequential`.

use backplane_stats::srm::{
    ChiSquareEpochs, Epoch, Exact, chi_square, chi_square_epochs, exact, sequential, sequential_mixture,
};
use backplane_stats::{StatsError, anytime_ln_p, anytime_p};
use datafusion::common::Result;

use super::allocations::{self, Allocations, Epochs};
use super::function::Coerce;
use super::parameters::{Arguments, Kind, Parameters, real};
use super::test_function::{Members, StatisticalTest};

/// `srm_chi_square(counts, weights)`: Pearson's test, stratified where there are several epochs.
pub(super) struct SrmChiSquare;

pub(super) struct ChiSquareOutcome {
    test: ChiSquareEpochs,
    min_expected: f64,
}

impl StatisticalTest for SrmChiSquare {
    type Outcome = ChiSquareOutcome;

    const PARAMETERS: &'static Parameters = &Parameters {
        function: "srm_chi_square",
        required: &[("counts", Kind::CountsByEpoch), ("weights", Kind::WeightsByEpoch)],
        optional: &[],
    };

    const COERCE: Coerce = allocations::coerce;

    fn outcomes(arguments: &Arguments) -> Result<Vec<Option<ChiSquareOutcome>>> {
        Allocations::read(arguments)?.each_row(|epochs, _| {
            let outcome = match epochs.only() {
                Some(epoch) => of_one_epoch(&epoch),
                None => of_epochs(epochs),
            };
            outcome.map(Some).map_err(|error| arguments.refused(&error))
        })
    }

    fn members(outcomes: &[Option<ChiSquareOutcome>]) -> Members<'_, ChiSquareOutcome> {
        Members::of(outcomes)
            .real("statistic", |outcome| Some(outcome.test.statistic))
            .count("dof", |outcome| Some(outcome.test.dof.into()))
            .real("p_value", |outcome| Some(outcome.test.p))
            .real("ln_p_value", |outcome| Some(outcome.test.ln_p))
            .real("min_expected", |outcome| Some(outcome.min_expected))
            .real("max_share_deviation", |outcome| Some(outcome.test.max_share_deviation))
            .count("leak", |outcome| Some(outcome.test.leak))
            .real("omnibus_statistic", |outcome| Some(outcome.test.omnibus_statistic))
            .count("omnibus_dof", |outcome| Some(outcome.test.omnibus_dof.into()))
            .real("omnibus_p_value", |outcome| Some(outcome.test.omnibus_p))
            .real("omnibus_ln_p_value", |outcome| Some(outcome.test.omnibus_ln_p))
    }
}

/// With one epoch the stratified and the omnibus test are Pearson's.
fn of_one_epoch(epoch: &Epoch<'_>) -> Result<ChiSquareOutcome, StatsError> {
    let test = chi_square(epoch.counts, epoch.weights)?;
    Ok(ChiSquareOutcome {
        test: ChiSquareEpochs {
            statistic: test.statistic,
            dof: test.dof,
            p: test.p,
            ln_p: test.ln_p,
            omnibus_statistic: test.statistic,
            omnibus_dof: test.dof,
            omnibus_p: test.p,
            omnibus_ln_p: test.ln_p,
            max_share_deviation: test.max_share_deviation,
            leak: test.leak,
        },
        min_expected: test.min_expected,
    })
}

fn of_epochs(epochs: &Epochs) -> Result<ChiSquareOutcome, StatsError> {
    let all: Vec<Epoch<'_>> = epochs.iter().collect();
    let mut least = f64::INFINITY;
    for epoch in &all {
        let expected = chi_square(epoch.counts, epoch.weights)?.min_expected;
        // an epoch without subjects expects none, and takes no part
        if expected > 0.0 {
            least = least.min(expected);
        }
    }
    Ok(ChiSquareOutcome {
        test: chi_square_epochs(&all)?,
        min_expected: if least.is_finite() { least } else { 0.0 },
    })
}

/// `srm_exact(counts, weights)`: the exact multinomial test, for small counts.
pub(super) struct SrmExact;

impl StatisticalTest for SrmExact {
    type Outcome = Exact;

    const PARAMETERS: &'static Parameters = &Parameters {
        function: "srm_exact",
        required: &[("counts", Kind::CountsByArm), ("weights", Kind::WeightsByArm)],
        optional: &[],
    };

    fn outcomes(arguments: &Arguments) -> Result<Vec<Option<Exact>>> {
        Allocations::read(arguments)?.each_row(|epochs, _| {
            let outcome = epochs.only().map(|epoch| exact(epoch.counts, epoch.weights));
            outcome.transpose().map_err(|error| arguments.refused(&error))
        })
    }

    fn members(outcomes: &[Option<Exact>]) -> Members<'_, Exact> {
        Members::of(outcomes)
            .real("p_value", |outcome| match outcome {
                Exact::Tested { p, .. } => Some(*p),
                Exact::TooManyOutcomes => None,
            })
            .real("ln_p_value", |outcome| match outcome {
                Exact::Tested { ln_p, .. } => Some(*ln_p),
                Exact::TooManyOutcomes => None,
            })
            .status(|outcome| match outcome {
                Exact::Tested { .. } => "ok",
                Exact::TooManyOutcomes => "too_many_outcomes",
            })
    }
}

/// `srm_sequential(counts, weights[, concentration])`: the e-value of the counts as they are now. Those of epochs multiply.
pub(super) struct SrmSequential;

impl StatisticalTest for SrmSequential {
    /// The logarithm of the e-value.
    type Outcome = f64;

    const PARAMETERS: &'static Parameters = &Parameters {
        function: "srm_sequential",
        required: &[("counts", Kind::CountsByEpoch), ("weights", Kind::WeightsByEpoch)],
        optional: &[("concentration", Kind::Real)],
    };

    const COERCE: Coerce = allocations::coerce;

    fn outcomes(arguments: &Arguments) -> Result<Vec<Option<f64>>> {
        let allocations = Allocations::read(arguments)?;
        if arguments.given() < 3 {
            return allocations.each_row(|epochs, _| {
                let logs = epochs
                    .iter()
                    .map(|epoch| sequential_mixture(epoch.counts, epoch.weights));
                sum(logs).map(Some).map_err(|error| arguments.refused(&error))
            });
        }
        let concentrations = arguments.reals(2)?;
        allocations.each_row(|epochs, row| {
            let Some(concentration) = real(concentrations, row) else {
                return Ok(None);
            };
            let logs = epochs
                .iter()
                .map(|epoch| sequential(epoch.counts, epoch.weights, concentration));
            sum(logs).map(Some).map_err(|error| arguments.refused(&error))
        })
    }

    fn members(outcomes: &[Option<f64>]) -> Members<'_, f64> {
        Members::of(outcomes)
            .real("log_e", |log_e| Some(*log_e))
            .real("p_value", |log_e| Some(anytime_p(*log_e)))
            .real("ln_p_value", |log_e| Some(anytime_ln_p(*log_e) + 0.0)) // not -0
    }
}

/// Without epochs 0, and not the -0 of `Iterator::sum`.
fn sum(mut logs: impl Iterator<Item = Result<f64, StatsError>>) -> Result<f64, StatsError> {
    logs.try_fold(0.0, |sum, log_e| Ok(sum + log_e?))
}
