//! Differences of means and of proportions against the golden tables.

use backplane_stats::{Inference, Interval, Sample, Scale, ZTest, always_valid, proportion_z, relative_lift, welch};

use crate::closeness::Closeness;
use crate::support::{Row, rows};

/// The arm of a row that has n, mean and unbiased variance.
fn sample(row: &Row, arm: &str) -> Sample {
    let n: u64 = row.value(&format!("n_{arm}"));
    let variance: f64 = row.value(&format!("var_{arm}"));
    Sample {
        n,
        mean: row.value(&format!("mean_{arm}")),
        m2: if n < 2 { 0.0 } else { variance * (n - 1) as f64 },
    }
}

fn check_interval(close: &Closeness, row: &Row, columns: [&str; 2], interval: Interval, standard_error: f64) {
    close.estimate(row, columns[0], interval.low, standard_error);
    close.estimate(row, columns[1], interval.high, standard_error);
}

#[test]
fn welch_meets_every_golden_row() {
    let close = Closeness::of("welch");
    for row in rows("welch", 97) {
        let result = welch(&sample(&row, "c"), &sample(&row, "t"), row.value("alpha")).unwrap();
        assert_eq!(result.test.status(), row.value::<String>("status"), "{}", row.place());
        let standard_error = row.value("se");
        match result.difference {
            Some(difference) => close.estimate(&row, "diff", difference, standard_error),
            None => assert!(row.value::<f64>("diff").is_nan(), "{}", row.place()),
        }
        let Some(test) = result.test.tested() else { continue };
        close.relative(&row, "se", test.standard_error, 1e-9);
        close.relative(&row, "dof", test.dof, 1e-9);
        close.relative(&row, "t", test.t, 1e-9);
        close.p_value(&row, "p", test.p);
        let p: f64 = row.value("p");
        if p > 1e-290 {
            assert!((test.ln_p - p.ln()).abs() <= 1e-9, "{}: {}", row.place(), test.ln_p);
        }
        check_interval(&close, &row, ["ci_lo", "ci_hi"], test.interval, standard_error);
    }
}

#[test]
fn relative_lifts_meet_every_golden_row() {
    let close = Closeness::of("relative_lift_delta");
    for row in rows("relative_lift_delta", 80) {
        let result = relative_lift(&sample(&row, "c"), &sample(&row, "t"), row.value("alpha")).unwrap();
        let (Some(lift), Some(test)) = (result.lift, result.test.tested()) else {
            panic!("{}", row.place());
        };
        let standard_error = row.value("se_delta");
        close.estimate(&row, "lift", lift, standard_error);
        close.relative(&row, "se_delta", test.standard_error, 1e-9);
        close.relative(&row, "dof", test.dof, 1e-9);
        close.relative(&row, "t", test.t, 1e-9);
        close.p_value(&row, "p", test.p);
        close.p_value(&row, "p", test.ln_p.exp());
        check_interval(&close, &row, ["ci_lo", "ci_hi"], test.interval, standard_error);
        close.relative(&row, "fieller_g", test.fieller_g, 1e-9);
        match test.fieller {
            Some(interval) => check_interval(&close, &row, ["fieller_lo", "fieller_hi"], interval, standard_error),
            None => assert!(row.value::<f64>("fieller_lo").is_nan(), "{}", row.place()),
        }
    }
}

#[test]
fn proportions_meet_every_golden_row() {
    let close = Closeness::of("prop_ztest");
    for row in rows("prop_ztest", 91) {
        let result = proportion_z(
            row.value("x_c"),
            row.value("n_c"),
            row.value("x_t"),
            row.value("n_t"),
            0.05,
        );
        let Inference::Tested(test) = result.unwrap() else {
            panic!("{}", row.place());
        };
        assert_eq!(test.pooled.status(), row.value::<String>("status"), "{}", row.place());
        let standard_error = row.value("se_unpooled");
        close.relative(&row, "p_c", test.control, 1e-9);
        close.relative(&row, "p_t", test.treatment, 1e-9);
        close.estimate(&row, "diff", test.difference, standard_error);
        close.relative(&row, "se_pooled", test.pooled_error, 1e-9);
        close.relative(&row, "se_unpooled", test.unpooled_error, 1e-9);
        check_z(&close, &row, ["z_pooled", "p_pooled"], &test.pooled);
        check_z(&close, &row, ["z_unpooled", "p_unpooled"], &test.unpooled);
        check_interval(&close, &row, ["wald_lo", "wald_hi"], test.wald, standard_error);
        check_interval(
            &close,
            &row,
            ["newcombe_lo", "newcombe_hi"],
            test.newcombe,
            standard_error,
        );
        let columns = ["agresti_caffo_lo", "agresti_caffo_hi"];
        check_interval(&close, &row, columns, test.agresti_caffo, standard_error);
        match test.fisher_p {
            Some(p) => close.p_value(&row, "fisher_p", p),
            None => assert!(row.value::<f64>("fisher_p").is_nan(), "{}", row.place()),
        }
    }
}

fn check_z(close: &Closeness, row: &Row, [z, p]: [&str; 2], test: &Inference<ZTest>) {
    match test.tested() {
        Some(test) => {
            close.relative(row, z, test.z, 1e-9);
            close.p_value(row, p, test.p);
            close.p_value(row, p, test.ln_p.exp());
        }
        None => assert!(row.value::<f64>(z).is_nan(), "{}", row.place()),
    }
}

#[test]
fn always_valid_meets_every_golden_row() {
    let close = Closeness::of("always_valid");
    for row in rows("always_valid", 80) {
        let scale = match row.value::<String>("scale").as_str() {
            "absolute" => Scale::Absolute,
            "relative" => Scale::Relative,
            other => panic!("{}: scale {other}", row.place()),
        };
        let (control, treatment) = (sample(&row, "c"), sample(&row, "t"));
        let result = always_valid(&control, &treatment, row.value("alpha"), row.value("tuning_n"), scale);
        let Inference::Tested(effect) = result.unwrap() else {
            panic!("{}", row.place());
        };
        let standard_error = row.value("se");
        close.estimate(&row, "est", effect.estimate, standard_error);
        close.relative(&row, "se", effect.standard_error, 1e-9);
        close.relative(&row, "half_width", effect.half_width, 1e-9);
        check_interval(&close, &row, ["cs_lo", "cs_hi"], effect.interval, standard_error);
        close.logarithm(&row, "log_e", effect.log_e, 1e-9);
        close.p_value(&row, "p_always_valid", effect.p);
    }
}
