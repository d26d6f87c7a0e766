//! Planning against the golden table.

use backplane_stats::StatsError;
use backplane_stats::power::{
    proportion_power, proportion_sample_size, t_power, t_sample_size, z_least_effect, z_power, z_sample_size,
};

use crate::closeness::Closeness;
use crate::support::rows;

#[test]
fn planning_meets_every_golden_row() {
    let powers = Closeness::of("power, powers");
    let solutions = Closeness::of("power, solved");
    for row in rows("power", 174) {
        let (alpha, ratio) = (row.value("alpha"), row.value("ratio_nt_over_nc"));
        let (effect, base_rate, n, power) = (
            row.value("effect"),
            row.value("base_rate"),
            row.value("n_c"),
            row.value("power"),
        );
        match row.value::<String>("kind").as_str() {
            "t_solve_n" => solutions.relative(
                &row,
                "result",
                t_sample_size(effect, power, ratio, alpha).unwrap(),
                1e-6,
            ),
            "z_solve_n" => solutions.relative(
                &row,
                "result",
                z_sample_size(effect, power, ratio, alpha).unwrap(),
                1e-6,
            ),
            "z_mde" => solutions.relative(&row, "result", z_least_effect(n, power, ratio, alpha).unwrap(), 1e-9),
            "t_power" => powers.absolute(&row, "result", t_power(effect, n, ratio, alpha).unwrap(), 1e-9),
            "z_power" => powers.absolute(&row, "result", z_power(effect, n, ratio, alpha).unwrap(), 1e-9),
            "prop_power" => {
                let result = proportion_power(base_rate, effect, n, ratio, alpha).unwrap();
                powers.absolute(&row, "result", result, 1e-9);
            }
            "prop_solve_n" => {
                let result = proportion_sample_size(base_rate, effect, power, ratio, alpha).unwrap();
                solutions.relative(&row, "result", result, 1e-9);
            }
            other => panic!("{}: {other}", row.place()),
        }
    }
}

#[test]
fn no_effect_is_found_as_often_as_the_level_says() {
    for (n, ratio, alpha) in [(3.0, 1.0, 0.05), (1e6, 9.0, 1e-6), (40.0, 0.1, 0.5)] {
        for power in [t_power(0.0, n, ratio, alpha), z_power(0.0, n, ratio, alpha)] {
            assert!((power.unwrap() / alpha - 1.0).abs() < 1e-9);
        }
    }
}

#[test]
fn a_sample_size_gives_back_its_power() {
    for effect in [1e-6, 0.003, -0.2, 1.5, 40.0] {
        for power in [0.0501, 0.5, 0.8, 0.999_999] {
            for ratio in [0.05, 1.0, 12.0] {
                let n = t_sample_size(effect, power, ratio, 0.05).unwrap();
                let reached = t_power(effect, n, ratio, 0.05).unwrap();
                let least = n * (1.0 + ratio) < 3.001;
                assert!(
                    (reached - power).abs() < 1e-9 || least && reached > power,
                    "{effect} {power} {ratio}: {n}"
                );
                let n = z_sample_size(effect, power, ratio, 0.05).unwrap();
                assert!((z_power(effect, n.max(1e-3), ratio, 0.05).unwrap() - power).abs() < 1e-9 || n < 1e-3);
            }
        }
    }
}

#[test]
fn a_larger_noncentrality_never_lowers_the_power_where_the_method_changes() {
    // few subjects and a strict level, so that the critical value is of the size of the noncentrality
    let power = |effect: f64| t_power(effect, 2.0, 1.0, 1e-6).unwrap();
    let mut last = 0.0;
    for step in 0..200 {
        let next = power(998.0 + 0.02 * f64::from(step));
        assert!(next >= last - 1e-12 && next < 1.0, "{step}: {next} after {last}");
        assert!(last == 0.0 || next - last < 1e-4, "{step}: {next} after {last}");
        last = next;
    }
}

#[test]
fn arguments_that_are_none_are_refused() {
    let refused = [
        t_power(f64::NAN, 10.0, 1.0, 0.05),
        t_power(0.1, 1.0, 1.0, 0.05),
        t_power(0.1, 10.0, 0.0, 0.05),
        z_power(0.1, 10.0, 1.0, 0.0),
        z_power(0.1, -1.0, 1.0, 0.05),
        t_sample_size(0.0, 0.8, 1.0, 0.05),
        t_sample_size(0.1, 0.04, 1.0, 0.05),
        z_sample_size(0.1, 1.0, 1.0, 0.05),
        z_least_effect(10.0, f64::NAN, 1.0, 0.05),
        proportion_power(0.9, 0.2, 10.0, 1.0, 0.05),
        proportion_sample_size(0.1, 0.0, 0.8, 1.0, 0.05),
    ];
    for result in refused {
        assert!(matches!(result, Err(StatsError::CorrectParameter { .. })), "{result:?}");
    }
}
