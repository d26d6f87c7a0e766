//! Differences between arms: `welch`, `relative_lift`, `proportion_z`, `always_valid`; argument 1 is the control.

use backplane_stats::{
    Inference, Interval, Scale, StatsError, ZTest, always_valid, proportion_z, relative_lift, welch,
};

use super::inference::{Definition, Gives, Kind, Member, Members, Row};

/// The level of an interval where the call does not say.
const ALPHA: f64 = 0.05;

const MOMENTS: &[Kind] = &[
    Kind::Count,
    Kind::Real,
    Kind::Real,
    Kind::Count,
    Kind::Real,
    Kind::Real,
    Kind::Real,
];

/// `welch(n1, mean1, m2_1, n2, mean2, m2_2[, alpha])`.
pub(super) const WELCH: Definition = Definition {
    name: "welch",
    usage: "welch(n1, mean1, m2_1, n2, mean2, m2_2[, alpha])",
    arguments: MOMENTS,
    least: 6,
    gives: Gives::Struct(&[
        Member::Real("difference"),
        Member::Real("standard_error"),
        Member::Real("dof"),
        Member::Real("statistic"),
        Member::Real("p_value"),
        Member::Real("ln_p_value"),
        Member::Real("ci_low"),
        Member::Real("ci_high"),
        Member::Text("status"),
    ]),
    compute: |row, members| {
        let result = welch(
            &row.sample(0, "n1")?,
            &row.sample(3, "n2")?,
            row.real(6).unwrap_or(ALPHA),
        )?;
        members.real(result.difference);
        match result.test.tested() {
            Some(test) => {
                members.reals([test.standard_error, test.dof, test.t, test.p, test.ln_p]);
                interval(members, Some(test.interval));
            }
            None => members.nulls(7),
        }
        members.text(result.test.status());
        Ok(())
    },
};

/// `relative_lift(n1, mean1, m2_1, n2, mean2, m2_2[, alpha])`.
pub(super) const RELATIVE_LIFT: Definition = Definition {
    name: "relative_lift",
    usage: "relative_lift(n1, mean1, m2_1, n2, mean2, m2_2[, alpha])",
    arguments: MOMENTS,
    least: 6,
    gives: Gives::Struct(&[
        Member::Real("lift"),
        Member::Real("standard_error"),
        Member::Real("dof"),
        Member::Real("statistic"),
        Member::Real("p_value"),
        Member::Real("ln_p_value"),
        Member::Real("ci_low"),
        Member::Real("ci_high"),
        Member::Real("fieller_g"),
        Member::Real("fieller_low"),
        Member::Real("fieller_high"),
        Member::Flag("unstable"),
        Member::Text("status"),
    ]),
    compute: |row, members| {
        let result = relative_lift(
            &row.sample(0, "n1")?,
            &row.sample(3, "n2")?,
            row.real(6).unwrap_or(ALPHA),
        )?;
        members.real(result.lift);
        match result.test.tested() {
            Some(test) => {
                members.reals([test.standard_error, test.dof, test.t, test.p, test.ln_p]);
                interval(members, Some(test.interval));
                members.real(test.fieller_g);
                interval(members, test.fieller);
                members.flag(test.unstable());
            }
            None => members.nulls(11),
        }
        members.text(result.test.status());
        Ok(())
    },
};

/// `proportion_z(x1, n1, x2, n2[, alpha])`.
pub(super) const PROPORTION_Z: Definition = Definition {
    name: "proportion_z",
    usage: "proportion_z(x1, n1, x2, n2[, alpha])",
    arguments: &[Kind::Count, Kind::Count, Kind::Count, Kind::Count, Kind::Real],
    least: 4,
    gives: Gives::Struct(&[
        Member::Real("control"),
        Member::Real("treatment"),
        Member::Real("difference"),
        Member::Real("standard_error"),
        Member::Real("statistic"),
        Member::Real("p_value"),
        Member::Real("ln_p_value"),
        Member::Real("unpooled_standard_error"),
        Member::Real("unpooled_statistic"),
        Member::Real("unpooled_p_value"),
        Member::Real("unpooled_ln_p_value"),
        Member::Real("ci_low"),
        Member::Real("ci_high"),
        Member::Real("newcombe_low"),
        Member::Real("newcombe_high"),
        Member::Real("agresti_caffo_low"),
        Member::Real("agresti_caffo_high"),
        Member::Real("fisher_p_value"),
        Member::Text("status"),
    ]),
    compute: proportions,
};

fn proportions(row: &Row<'_>, members: &mut Members) -> Result<(), StatsError> {
    let [x1, n1] = [row.count(0, "x1")?, row.count(1, "n1")?];
    let [x2, n2] = [row.count(2, "x2")?, row.count(3, "n2")?];
    let result = proportion_z(x1, n1, x2, n2, row.real(4).unwrap_or(ALPHA))?;
    let Some(test) = result.tested() else {
        members.nulls(18);
        members.text(result.status());
        return Ok(());
    };
    let z = |members: &mut Members, test: &Inference<ZTest>| match test.tested() {
        Some(test) => members.reals([test.z, test.p, test.ln_p]),
        None => members.nulls(3),
    };
    members.reals([test.control, test.treatment, test.difference, test.pooled_error]);
    z(members, &test.pooled);
    members.real(test.unpooled_error);
    z(members, &test.unpooled);
    for ends in [test.wald, test.newcombe, test.agresti_caffo] {
        interval(members, Some(ends));
    }
    members.real(test.fisher_p);
    members.text(test.pooled.status());
    Ok(())
}

/// `always_valid(n1, mean1, m2_1, n2, mean2, m2_2, alpha, tuning_n, scale)`.
pub(super) const ALWAYS_VALID: Definition = Definition {
    name: "always_valid",
    usage: "always_valid(n1, mean1, m2_1, n2, mean2, m2_2, alpha, tuning_n, scale)",
    arguments: &[
        Kind::Count,
        Kind::Real,
        Kind::Real,
        Kind::Count,
        Kind::Real,
        Kind::Real,
        Kind::Real,
        Kind::Real,
        Kind::Text,
    ],
    least: 9,
    gives: Gives::Struct(&[
        Member::Real("estimate"),
        Member::Real("standard_error"),
        Member::Real("log_e"),
        Member::Real("p_value"),
        Member::Real("ln_p_value"),
        Member::Real("half_width"),
        Member::Real("ci_low"),
        Member::Real("ci_high"),
        Member::Text("status"),
    ]),
    compute: |row, members| {
        let scale = match row.text(8) {
            "absolute" => Scale::Absolute,
            "relative" => Scale::Relative,
            _ => {
                return Err(StatsError::CorrectParameter {
                    parameter: "scale",
                    value: f64::NAN,
                    range: "'absolute' or 'relative'",
                });
            }
        };
        let [alpha, tuning_n] = [6, 7].map(|index| row.real(index).unwrap_or_default());
        let result = always_valid(&row.sample(0, "n1")?, &row.sample(3, "n2")?, alpha, tuning_n, scale)?;
        match result.tested() {
            Some(effect) => {
                let ln_p = backplane_stats::anytime_ln_p(effect.log_e);
                members.reals([effect.estimate, effect.standard_error, effect.log_e, effect.p, ln_p]);
                members.real(effect.half_width);
                interval(members, Some(effect.interval));
            }
            None => members.nulls(8),
        }
        members.text(result.status());
        Ok(())
    },
};

fn interval(members: &mut Members, interval: Option<Interval>) {
    members.real(interval.map(|interval| interval.low));
    members.real(interval.map(|interval| interval.high));
}
