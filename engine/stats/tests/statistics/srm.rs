//! Sample ratio mismatch against the golden tables.

use std::collections::HashMap;

use backplane_stats::anytime_p;
use backplane_stats::srm::{
    Concentration, Epoch, Exact, SrmPath, chi_square, chi_square_epochs, exact, sequential, sequential_mixture,
};

use crate::closeness::Closeness;
use crate::support::{Row, rows};

fn arms(row: &Row, counts: &str) -> (Vec<u64>, Vec<f64>) {
    (row.list(counts, ';'), row.list("weights", ';'))
}

#[test]
fn chi_square_meets_every_golden_row() {
    let close = Closeness::of("srm_chisq");
    for row in rows("srm_chisq", 114) {
        let (counts, weights) = arms(&row, "counts");
        let test = chi_square(&counts, &weights).unwrap();
        assert_eq!(test.dof, row.value::<u32>("dof"), "{}", row.place());
        assert_eq!(test.leak, row.value::<u64>("zero_weight_leak"), "{}", row.place());
        close.relative(&row, "stat", test.statistic, 1e-9);
        close.relative(&row, "stat_ref", test.statistic, 1e-9);
        close.p_value(&row, "p", test.p);
        close.p_value(&row, "p_ref", test.p);
        close.logarithm(&row, "ln_p_ref", test.ln_p, 1e-8);
        close.relative(&row, "min_expected", test.min_expected, 1e-9);
        // a share of 1: its deviation may be a small difference
        close.absolute(&row, "max_abs_share_dev", test.max_share_deviation, 1e-12);
    }
}

#[test]
fn the_exact_test_meets_every_golden_row() {
    let close = Closeness::of("srm_exact");
    for row in rows("srm_exact", 45) {
        let (counts, weights) = arms(&row, "counts");
        let Exact::Tested { p, ln_p } = exact(&counts, &weights).unwrap() else {
            panic!("{}: too many outcomes", row.place());
        };
        close.p_value(&row, "p_exact", p);
        close.p_value(&row, "p_exact", ln_p.exp());
    }
}

#[test]
fn chi_square_over_epochs_meets_every_golden_row() {
    let close = Closeness::of("srm_epochs");
    for row in rows("srm_epochs", 24) {
        let counts: Vec<Vec<u64>> = epochs(&row, "epoch_counts");
        let weights: Vec<Vec<f64>> = epochs(&row, "epoch_weights");
        let pairs = counts.iter().zip(&weights);
        let epochs: Vec<Epoch<'_>> = pairs.map(|(counts, weights)| Epoch { counts, weights }).collect();
        let test = chi_square_epochs(&epochs).unwrap();
        assert_eq!(test.dof, row.value::<u32>("dof"), "{}", row.place());
        assert_eq!(test.omnibus_dof, row.value::<u32>("dof_omnibus"), "{}", row.place());
        close.relative(&row, "stat_stratified", test.statistic, 1e-9);
        close.p_value(&row, "p", test.p);
        close.p_value(&row, "p", test.ln_p.exp());
        close.relative(&row, "stat_omnibus", test.omnibus_statistic, 1e-9);
        close.p_value(&row, "p_omnibus", test.omnibus_p);
        close.p_value(&row, "p_omnibus", test.omnibus_ln_p.exp());
    }
}

fn epochs<T: std::str::FromStr<Err: std::fmt::Debug>>(row: &Row, column: &str) -> Vec<Vec<T>> {
    let lists: Vec<String> = row.list(column, '|');
    let values = |list: &String| list.split(';').map(|value| value.parse().unwrap()).collect();
    lists.iter().map(values).collect()
}

#[test]
fn the_sequential_test_meets_every_golden_row_along_its_paths() {
    let close = Closeness::of("srm_sequential");
    let informative = Closeness::of("srm_sequential, the package's own doubles");
    let mut paths: HashMap<String, SrmPath> = HashMap::new();
    for row in rows("srm_sequential", 444) {
        let (counts, weights) = arms(&row, "cum_counts");
        let concentration = row.value("concentration");
        let log_e = sequential(&counts, &weights, concentration).unwrap();
        close.logarithm(&row, "log_bf_ref", log_e, 1e-9);
        informative.logarithm(&row, "log_bf_ssrm", log_e, 2e-6);

        let path = paths.entry(row.value("case_id")).or_insert_with(|| {
            let mut path = SrmPath::new(Concentration::One(concentration)).unwrap();
            path.begin_epoch(&weights).unwrap();
            path
        });
        path.add(0, &row.list("increment", ';')).unwrap();
        assert_eq!(path.evaluate(), log_e, "{}", row.place());
        close.logarithm(&row, "ln_p_seq_ref", path.process().ln_p(), 1e-9);
        close.p_value(&row, "p_seq_ref", path.process().p());
        // as if the job had been restarted after every look
        *path = SrmPath::from_words(&path.to_words()).unwrap();
    }
    assert_eq!(paths.len(), 34);
}

#[test]
fn the_mixture_is_the_mean_of_its_concentrations() {
    for row in rows("srm_sequential", 444) {
        let (counts, weights) = arms(&row, "cum_counts");
        let logs = [1e2, 1e4, 1e6].map(|concentration| sequential(&counts, &weights, concentration).unwrap());
        let mixture = sequential_mixture(&counts, &weights).unwrap();
        let greatest = logs.into_iter().fold(f64::NEG_INFINITY, f64::max);
        assert!(
            mixture <= greatest && mixture >= greatest - 3_f64.ln(),
            "{}",
            row.place()
        );
        if greatest < 600.0 {
            let mean = logs.map(f64::exp).iter().sum::<f64>() / 3.0;
            assert!(
                (mixture - mean.ln()).abs() < 1e-12 * greatest.abs().max(1.0),
                "{}",
                row.place()
            );
        }
        assert!((0.0..=1.0).contains(&anytime_p(mixture)));
    }
}
