//! The one error of this crate, its variants named by what the caller can do about it.

/// Why there is no answer to these arguments.
///
/// What the data themselves cannot tell (too few subjects, no variance) is no error: see [`Inference`](crate::Inference).
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StatsError {
    /// There must be one weight a count.
    #[error("there are {counts} counts and {weights} weights: give one weight for each count")]
    PairCountsWithWeights {
        /// How many counts were given.
        counts: usize,
        /// How many weights were given.
        weights: usize,
    },

    /// A weight is not one.
    #[error("the weight of arm {arm} is {weight}: give finite weights, each 0 or at least 1e-200 of their sum")]
    CorrectWeights {
        /// The arm, counted from 0.
        arm: usize,
        /// Its weight.
        weight: f64,
    },

    /// A count is larger than it may be.
    #[error("the count of {counted} is larger than {limit}: give a smaller count")]
    CorrectCounts {
        /// What was counted.
        counted: &'static str,
        /// What it may not exceed.
        limit: &'static str,
    },

    /// A mean is not a number, or squared deviations are negative or not a number.
    #[error("the moments of the {arm} are not those of any values: give a finite mean, and an m2 of 0 or more")]
    CorrectMoments {
        /// The arm.
        arm: &'static str,
    },

    /// Values are so far apart in size that their statistics do not fit a 64-bit float.
    #[error("the {statistic} overflows: give the values in a larger unit")]
    RescaleValues {
        /// What overflows.
        statistic: &'static str,
    },

    /// A parameter is outside its range.
    #[error("{parameter} is {value}: give {range}")]
    CorrectParameter {
        /// Its name.
        parameter: &'static str,
        /// What was given.
        value: f64,
        /// What may be given.
        range: &'static str,
    },

    /// More arms than the computation allows.
    #[error("there are {arms} arms: give at most {limit}")]
    ReduceArms {
        /// How many were given.
        arms: usize,
        /// How many may be given.
        limit: usize,
    },

    /// The epoch was not begun on this path.
    #[error("allocation epoch {epoch} is not one of the {begun} that were begun: begin it first")]
    BeginEpoch {
        /// The epoch, counted from 0.
        epoch: usize,
        /// How many there are.
        begun: usize,
    },

    /// The words are not those of a state.
    #[error("the words are not the state of {state}: rebuild it from its counts")]
    RebuildState {
        /// What the state would be of.
        state: &'static str,
    },
}

/// The probability `value`, or the error that names the parameter.
pub(crate) fn probability(parameter: &'static str, value: f64) -> Result<f64, StatsError> {
    if value > 0.0 && value < 1.0 {
        return Ok(value);
    }
    Err(StatsError::CorrectParameter {
        parameter,
        value,
        range: "a number between 0 and 1, both excluded",
    })
}

/// `value` within `[least, greatest]`, or the error that names the parameter and the range.
pub(crate) fn within(
    parameter: &'static str,
    value: f64,
    (least, greatest): (f64, f64),
    range: &'static str,
) -> Result<f64, StatsError> {
    if value >= least && value <= greatest {
        return Ok(value);
    }
    Err(StatsError::CorrectParameter {
        parameter,
        value,
        range,
    })
}

/// `value`, or that it overflowed.
pub(crate) fn finite(statistic: &'static str, value: f64) -> Result<f64, StatsError> {
    if value.is_finite() {
        return Ok(value);
    }
    Err(StatsError::RescaleValues { statistic })
}
