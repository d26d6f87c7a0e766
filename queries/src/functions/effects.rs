//! Tests of the difference between two arms: `welch`, `relative_lift`, `always_valid`, `proportion_z`.

use arrow::array::{Array, Float64Array};
use backplane_stats::{
    AlwaysValid, Inference, Interval, ProportionTest, RelativeLift, RelativeLiftTest, Sample, Scale, StatsError, Welch,
    WelchTest, ZTest, always_valid, anytime_ln_p, proportion_z, relative_lift, welch,
};
use datafusion::common::Result;

use super::parameters::{Arguments, Counts, Kind, Parameters, real};
use super::test_function::{Members, StatisticalTest};

/// The level where the call does not say one.
const ALPHA: f64 = 0.05;

/// Two arms by their sufficient statistics, the control first.
const MOMENTS: &[(&str, Kind)] = &[
    ("n1", Kind::Count),
    ("mean1", Kind::Real),
    ("m2_1", Kind::Real),
    ("n2", Kind::Count),
    ("mean2", Kind::Real),
    ("m2_2", Kind::Real),
];

/// `welch(n1, mean1, m2_1, n2, mean2, m2_2[, alpha])`: the difference of two means.
pub(super) struct WelchsTest;

impl StatisticalTest for WelchsTest {
    type Outcome = Welch;

    const PARAMETERS: &'static Parameters = &Parameters {
        function: "welch",
        required: MOMENTS,
        optional: &[("alpha", Kind::Real)],
    };

    fn outcomes(arguments: &Arguments) -> Result<Vec<Option<Welch>>> {
        outcomes_of_pairs(arguments, welch)
    }

    fn members(outcomes: &[Option<Welch>]) -> Members<'_, Welch> {
        let tested = |get: fn(&WelchTest) -> f64| move |outcome: &Welch| outcome.test.tested().map(get);
        Members::of(outcomes)
            .real("difference", |outcome| outcome.difference)
            .real("standard_error", tested(|test| test.standard_error))
            .real("statistic", tested(|test| test.t))
            .real("dof", tested(|test| test.dof))
            .real("p_value", tested(|test| test.p))
            .real("ln_p_value", tested(|test| test.ln_p))
            .real("ci_low", tested(|test| test.interval.low))
            .real("ci_high", tested(|test| test.interval.high))
            .status(|outcome| outcome.test.status())
    }
}

/// `relative_lift(n1, mean1, m2_1, n2, mean2, m2_2[, alpha])`: the same as a part of the control's mean.
pub(super) struct RelativeLifts;

impl StatisticalTest for RelativeLifts {
    type Outcome = RelativeLift;

    const PARAMETERS: &'static Parameters = &Parameters {
        function: "relative_lift",
        required: MOMENTS,
        optional: &[("alpha", Kind::Real)],
    };

    fn outcomes(arguments: &Arguments) -> Result<Vec<Option<RelativeLift>>> {
        outcomes_of_pairs(arguments, relative_lift)
    }

    fn members(outcomes: &[Option<RelativeLift>]) -> Members<'_, RelativeLift> {
        let tested = |get: fn(&RelativeLiftTest) -> f64| move |outcome: &RelativeLift| outcome.test.tested().map(get);
        let fieller = |get: fn(&Interval) -> f64| {
            move |outcome: &RelativeLift| outcome.test.tested().and_then(|test| test.fieller.as_ref().map(get))
        };
        Members::of(outcomes)
            .real("lift", |outcome| outcome.lift)
            .real("standard_error", tested(|test| test.standard_error))
            .real("statistic", tested(|test| test.t))
            .real("dof", tested(|test| test.dof))
            .real("p_value", tested(|test| test.p))
            .real("ln_p_value", tested(|test| test.ln_p))
            .real("ci_low", tested(|test| test.interval.low))
            .real("ci_high", tested(|test| test.interval.high))
            .real("fieller_g", tested(|test| test.fieller_g))
            .real("fieller_low", fieller(|interval| interval.low))
            .real("fieller_high", fieller(|interval| interval.high))
            .flag("unstable", |outcome| {
                outcome.test.tested().map(RelativeLiftTest::unstable)
            })
            .status(|outcome| outcome.test.status())
    }
}

/// `always_valid(n1, mean1, m2_1, n2, mean2, m2_2, alpha, tuning_n, scale)`: the confidence sequence of a difference.
pub(super) struct AlwaysValidTest;

impl StatisticalTest for AlwaysValidTest {
    type Outcome = Inference<AlwaysValid>;

    const PARAMETERS: &'static Parameters = &Parameters {
        function: "always_valid",
        required: &[
            ("n1", Kind::Count),
            ("mean1", Kind::Real),
            ("m2_1", Kind::Real),
            ("n2", Kind::Count),
            ("mean2", Kind::Real),
            ("m2_2", Kind::Real),
            ("alpha", Kind::Real),
            ("tuning_n", Kind::Real),
            ("scale", Kind::Text),
        ],
        optional: &[],
    };

    fn outcomes(arguments: &Arguments) -> Result<Vec<Option<Self::Outcome>>> {
        let samples = Samples::read(arguments)?;
        let (alphas, tuning_ns) = (arguments.reals(6)?, arguments.reals(7)?);
        let scales = arguments.texts(8)?;
        arguments.each_row(|row| {
            let (Some((control, treatment)), Some(alpha), Some(tuning_n), true) = (
                samples.get(row)?,
                real(alphas, row),
                real(tuning_ns, row),
                scales.is_valid(row),
            ) else {
                return Ok(None);
            };
            let scale = match scales.value(row) {
                "absolute" => Scale::Absolute,
                "relative" => Scale::Relative,
                other => {
                    return Err(arguments.wrong(format_args!("scale is '{other}', give 'absolute' or 'relative'")));
                }
            };
            arguments.judged(always_valid(&control, &treatment, alpha, tuning_n, scale))
        })
    }

    fn members(outcomes: &[Option<Self::Outcome>]) -> Members<'_, Self::Outcome> {
        let tested = |get: fn(&AlwaysValid) -> f64| move |outcome: &Self::Outcome| outcome.tested().map(get);
        Members::of(outcomes)
            .real("difference", tested(|effect| effect.estimate))
            .real("standard_error", tested(|effect| effect.standard_error))
            .real("log_e", tested(|effect| effect.log_e))
            .real("p_value", tested(|effect| effect.p))
            .real("ln_p_value", tested(|effect| anytime_ln_p(effect.log_e) + 0.0)) // not -0
            .real("half_width", tested(|effect| effect.half_width))
            .real("ci_low", tested(|effect| effect.interval.low))
            .real("ci_high", tested(|effect| effect.interval.high))
            .status(Inference::status)
    }
}

/// `proportion_z(x1, n1, x2, n2[, alpha])`: the difference of two proportions.
pub(super) struct ProportionZ;

impl StatisticalTest for ProportionZ {
    type Outcome = Inference<ProportionTest>;

    const PARAMETERS: &'static Parameters = &Parameters {
        function: "proportion_z",
        required: &[
            ("x1", Kind::Count),
            ("n1", Kind::Count),
            ("x2", Kind::Count),
            ("n2", Kind::Count),
        ],
        optional: &[("alpha", Kind::Real)],
    };

    fn outcomes(arguments: &Arguments) -> Result<Vec<Option<Self::Outcome>>> {
        let (x1, n1) = (arguments.counts(0)?, arguments.counts(1)?);
        let (x2, n2) = (arguments.counts(2)?, arguments.counts(3)?);
        let alphas = arguments.reals_or(4, ALPHA)?;
        arguments.each_row(|row| {
            let (Some(x1), Some(n1), Some(x2), Some(n2), Some(alpha)) =
                (x1.get(row)?, n1.get(row)?, x2.get(row)?, n2.get(row)?, alphas.get(row))
            else {
                return Ok(None);
            };
            let outcome = proportion_z(x1, n1, x2, n2, alpha);
            outcome.map(Some).map_err(|error| arguments.refused(&error))
        })
    }

    fn members(outcomes: &[Option<Self::Outcome>]) -> Members<'_, Self::Outcome> {
        let both = |get: fn(&ProportionTest) -> f64| move |outcome: &Self::Outcome| outcome.tested().map(get);
        let pooled = |get: fn(&ZTest) -> f64| {
            move |outcome: &Self::Outcome| outcome.tested().and_then(|both| both.pooled.tested().map(get))
        };
        let unpooled = |get: fn(&ZTest) -> f64| {
            move |outcome: &Self::Outcome| outcome.tested().and_then(|both| both.unpooled.tested().map(get))
        };
        Members::of(outcomes)
            .real("proportion1", both(|both| both.control))
            .real("proportion2", both(|both| both.treatment))
            .real("difference", both(|both| both.difference))
            .real("standard_error", both(|both| both.pooled_error))
            .real("statistic", pooled(|test| test.z))
            .real("p_value", pooled(|test| test.p))
            .real("ln_p_value", pooled(|test| test.ln_p))
            .real("ci_low", both(|both| both.wald.low))
            .real("ci_high", both(|both| both.wald.high))
            .real("newcombe_low", both(|both| both.newcombe.low))
            .real("newcombe_high", both(|both| both.newcombe.high))
            .real("agresti_caffo_low", both(|both| both.agresti_caffo.low))
            .real("agresti_caffo_high", both(|both| both.agresti_caffo.high))
            .real("unpooled_standard_error", both(|both| both.unpooled_error))
            .real("unpooled_statistic", unpooled(|test| test.z))
            .real("unpooled_p_value", unpooled(|test| test.p))
            .real("unpooled_ln_p_value", unpooled(|test| test.ln_p))
            .real("fisher_p_value", |outcome| {
                outcome.tested().and_then(|both| both.fisher_p)
            })
            .status(|outcome| match outcome {
                Inference::Tested(both) => both.pooled.status(),
                without => without.status(),
            })
    }
}

/// The outcome of each pair of arms at its level.
fn outcomes_of_pairs<T>(
    arguments: &Arguments,
    test: impl Fn(&Sample, &Sample, f64) -> std::result::Result<T, StatsError>,
) -> Result<Vec<Option<T>>> {
    let samples = Samples::read(arguments)?;
    let alphas = arguments.reals_or(MOMENTS.len(), ALPHA)?;
    arguments.each_row(|row| match (samples.get(row)?, alphas.get(row)) {
        (Some((control, treatment)), Some(alpha)) => arguments.judged(test(&control, &treatment, alpha)),
        _ => Ok(None),
    })
}

/// The sufficient statistics of both arms, in the first six arguments.
struct Samples<'a> {
    control: Moments<'a>,
    treatment: Moments<'a>,
}

impl<'a> Samples<'a> {
    fn read(arguments: &'a Arguments) -> Result<Self> {
        Ok(Samples {
            control: Moments::read(arguments, 0)?,
            treatment: Moments::read(arguments, 3)?,
        })
    }

    /// Control and treatment; none where one of them is null.
    fn get(&self, row: usize) -> Result<Option<(Sample, Sample)>> {
        Ok(self.control.get(row)?.zip(self.treatment.get(row)?))
    }
}

struct Moments<'a> {
    n: Counts<'a>,
    mean: &'a Float64Array,
    m2: &'a Float64Array,
}

impl<'a> Moments<'a> {
    fn read(arguments: &'a Arguments, first: usize) -> Result<Self> {
        Ok(Moments {
            n: arguments.counts(first)?,
            mean: arguments.reals(first + 1)?,
            m2: arguments.reals(first + 2)?,
        })
    }

    /// An empty arm has no mean, as `suff_stats` gives it, but is an arm.
    fn get(&self, row: usize) -> Result<Option<Sample>> {
        let Some(n) = self.n.get(row)? else {
            return Ok(None);
        };
        let of_nothing = (n == 0).then_some(0.0);
        let mean = real(self.mean, row).or(of_nothing);
        let m2 = real(self.m2, row).or(of_nothing);
        Ok(mean.zip(m2).map(|(mean, m2)| Sample { n, mean, m2 }))
    }
}
