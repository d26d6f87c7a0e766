//! The distribution functions against 50-digit arithmetic, over the whole range of their arguments.

use backplane_stats::special::{
    chi_square_ln_sf, chi_square_sf, ln_gamma_q, normal_ln_sf, normal_sf, normal_upper_quantile, stirling_remainder,
    student_t_ln_p, student_t_p, student_t_quantile,
};

use crate::closeness::Closeness;
use crate::support::rows;

#[test]
fn distribution_functions_meet_fifty_digit_arithmetic() {
    let names = [
        "student_t_ln_p",
        "ln_gamma_q",
        "normal_ln_sf",
        "normal_upper_quantile",
        "stirling_remainder",
    ];
    let [t, gamma, normal, quantile, stirling] = names.map(Closeness::of);
    for row in rows("distributions", 382) {
        let (x, parameter) = (row.value("x"), row.value("parameter"));
        match row.value::<String>("function").as_str() {
            "student_t_ln_p" => t.logarithm(&row, "value", student_t_ln_p(x, parameter), 2e-13),
            "ln_gamma_q" => gamma.logarithm(&row, "value", ln_gamma_q(parameter, x), 2e-13),
            "normal_ln_sf" => normal.logarithm(&row, "value", normal_ln_sf(x), 1e-14),
            "normal_upper_quantile" => quantile.logarithm(&row, "value", normal_upper_quantile(x), 2e-15),
            "stirling_remainder" => stirling.logarithm(&row, "value", stirling_remainder(x), 1e-14),
            other => panic!("{other}"),
        }
    }
}

#[test]
fn the_t_quantile_is_the_inverse_of_the_tail() {
    for dof in [0.4, 1.0, 1.7, 2.0, 5.5, 33.0, 299.0, 301.0, 5_000.0, 2e9] {
        for p in [1e-300, 1e-30, 1e-6, 0.001, 0.05, 0.3, 0.9, 0.999] {
            let t = student_t_quantile(p, dof);
            if t == f64::MAX {
                assert!(
                    student_t_p(t, dof) >= p,
                    "the quantile of {p} at {dof} is beyond the greatest float"
                );
                continue;
            }
            let error = (student_t_ln_p(t, dof) - p.ln()).abs() / p.ln().abs().max(0.01);
            assert!(error < 1e-12, "{p} at {dof}: {t}, error {error:e}");
        }
    }
    let cauchy = student_t_quantile(0.05, 1.0);
    assert!((cauchy / 12.706_204_736_174_694 - 1.0).abs() < 1e-13, "{cauchy}");
}

#[test]
fn tails_and_their_logarithms_agree() {
    for step in 0..300 {
        let x = f64::from(step) * 0.1;
        let pairs = [
            (normal_sf(x), normal_ln_sf(x)),
            (student_t_p(x, 7.5), student_t_ln_p(x, 7.5)),
            (student_t_p(x, 750.0), student_t_ln_p(x, 750.0)),
            (chi_square_sf(x, 1), chi_square_ln_sf(x, 1)),
            (chi_square_sf(x, 2), chi_square_ln_sf(x, 2)),
            (chi_square_sf(x, 9), chi_square_ln_sf(x, 9)),
        ];
        for (p, ln_p) in pairs {
            // a logarithm of this size has no more digits
            let tolerance = 1e-14 + 2.0 * f64::EPSILON * ln_p.abs();
            assert!((p / ln_p.exp() - 1.0).abs() < tolerance, "{x}: {p:e} and {ln_p}");
        }
    }
}

#[test]
fn very_many_degrees_of_freedom_have_an_answer() {
    assert!((student_t_p(1.96, 1e300) - 2.0 * normal_sf(1.96)).abs() < 1e-15);
    // Wilson and Hilferty's normal approximation, whose error vanishes with so many
    for statistic in [u32::MAX - 185_364, u32::MAX - 90_000, u32::MAX] {
        let dof = f64::from(u32::MAX);
        let cube = (f64::from(statistic) / dof).cbrt();
        let spread = 2.0 / (9.0 * dof);
        let expected = normal_sf((cube - (1.0 - spread)) / spread.sqrt());
        let actual = chi_square_sf(f64::from(statistic), u32::MAX);
        assert!(
            (actual - expected).abs() < 1e-6,
            "{statistic}: {actual}, about {expected}"
        );
    }
}

#[test]
fn arguments_outside_the_domain_are_not_a_number() {
    let results = [
        student_t_p(1.0, 0.0),
        student_t_p(f64::NAN, 3.0),
        student_t_quantile(0.0, 3.0),
        student_t_quantile(0.5, f64::NAN),
        chi_square_sf(-1.0, 3),
        chi_square_sf(f64::NAN, 1),
        ln_gamma_q(0.0, 1.0),
        normal_upper_quantile(1.1),
        normal_sf(f64::NAN),
        stirling_remainder(0.0),
    ];
    for (index, result) in results.into_iter().enumerate() {
        assert!(result.is_nan(), "{index}: {result}");
    }
}
