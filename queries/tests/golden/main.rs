//! The statistical functions through SQL against the golden tables of the statistics: one query over each table, whose every row must
//! be as close as the tables' README says.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test's helpers may fail as the test does"
)]

mod answer;
mod table;

use answer::Answer;
use arrow::array::{Array, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{Float64Type, Int64Type};
use backplane_queries::session;
use std::sync::Arc;

/// The squared deviations of arms that are given by unbiased variances, which one subject has none of.
const ARMS: &str = "select *, case when n_c < 2 then 0.0 else var_c * (n_c - 1) end as m2_c,
                              case when n_t < 2 then 0.0 else var_t * (n_t - 1) end as m2_t from golden";

#[tokio::test]
async fn srm_chi_square_meets_every_golden_row() {
    let query = "select golden.*, srm_chi_square(counts, weights) as test from golden";
    let answer = Answer::of("srm_chisq", 114, &members(query, &CHI_SQUARE)).await;
    answer.same("t_dof", "dof");
    answer.same("t_leak", "zero_weight_leak");
    for expected in ["stat", "stat_ref"] {
        answer.relative("t_statistic", expected, 1e-9);
        answer.relative("t_omnibus_statistic", expected, 1e-9);
    }
    for expected in ["p", "p_ref"] {
        answer.p_value("t_p_value", expected);
        answer.p_value("t_omnibus_p_value", expected);
    }
    answer.absolute("t_ln_p_value", "ln_p_ref", 1e-8);
    answer.absolute("t_omnibus_ln_p_value", "ln_p_ref", 1e-8);
    answer.relative("t_min_expected", "min_expected", 1e-9);
    answer.absolute("t_max_share_deviation", "max_abs_share_dev", 1e-12);
}

#[tokio::test]
async fn srm_chi_square_over_epochs_meets_every_golden_row() {
    let query = "select golden.*, srm_chi_square(epoch_counts, epoch_weights) as test from golden";
    let answer = Answer::of("srm_epochs", 24, &members(query, &CHI_SQUARE)).await;
    answer.same("t_dof", "dof");
    answer.same("t_omnibus_dof", "dof_omnibus");
    answer.relative("t_statistic", "stat_stratified", 1e-9);
    answer.p_value("t_p_value", "p");
    answer.relative("t_omnibus_statistic", "stat_omnibus", 1e-9);
    answer.p_value("t_omnibus_p_value", "p_omnibus");
}

#[tokio::test]
async fn srm_exact_meets_every_golden_row() {
    let query = "select golden.*, srm_exact(counts, weights) as test from golden";
    let answer = Answer::of("srm_exact", 45, &members(query, &["p_value", "ln_p_value", "status"])).await;
    answer.p_value("t_p_value", "p_exact");
}

#[tokio::test]
async fn srm_sequential_meets_every_golden_row_and_its_path_is_a_running_minimum() {
    let query = "select case_id || '/' || lpad(look::varchar, 4, '0') as case_id, log_bf_ref, log_bf_ssrm, p_seq_ref, ln_p_seq_ref,
                        test['log_e'] as log_e,
                        min(test['p_value']) over path as p, min(test['ln_p_value']) over path as ln_p
                 from (select *, srm_sequential(cum_counts, weights, concentration) as test from golden)
                 window path as (partition by case_id order by look)";
    let answer = Answer::of("srm_sequential", 444, query).await;
    answer.absolute("log_e", "log_bf_ref", 1e-9);
    answer.absolute("log_e", "log_bf_ssrm", 2e-6);
    answer.p_value("p", "p_seq_ref");
    answer.absolute("ln_p", "ln_p_seq_ref", 1e-9);
}

#[tokio::test]
async fn without_a_concentration_srm_sequential_is_the_mean_of_three_and_epochs_add_up() {
    let query = "select case_id || '/' || lpad(look::varchar, 4, '0') as case_id,
                        srm_sequential(cum_counts, weights)['log_e'] as mixture,
                        srm_sequential(cum_counts, weights, 1e2)['log_e'] as first,
                        srm_sequential(cum_counts, weights, 1e4)['log_e'] as second,
                        srm_sequential(cum_counts, weights, 1e6)['log_e'] as third,
                        srm_sequential([cum_counts, increment], [weights, weights])['log_e'] as of_epochs,
                        srm_sequential(increment, weights)['log_e'] as of_increment
                 from golden";
    let answer = Answer::of("srm_sequential", 444, query).await;
    let [mixture, of_epochs, of_increment] = ["mixture", "of_epochs", "of_increment"].map(|name| answer.reals(name));
    let parts = ["first", "second", "third"].map(|name| answer.reals(name));
    for row in 0..mixture.len() {
        let logs = parts.each_ref().map(|part| part.value(row));
        let greatest = logs.into_iter().fold(f64::NEG_INFINITY, f64::max);
        let mean = greatest + (logs.map(|log| (log - greatest).exp()).iter().sum::<f64>() / 3.0).ln();
        let allowed = 1e-12 * mean.abs().max(1.0);
        assert!(
            (mixture.value(row) - mean).abs() <= allowed,
            "{row}: {}",
            mixture.value(row)
        );
        assert_eq!(
            of_epochs.value(row),
            mixture.value(row) + of_increment.value(row),
            "{row}"
        );
    }
}

#[tokio::test]
async fn welch_meets_every_golden_row() {
    let query = format!("select *, welch(n_c, mean_c, m2_c, n_t, mean_t, m2_t, alpha) as test from ({ARMS})");
    let answer = Answer::of("welch", 97, &members(&query, &EFFECT)).await;
    answer.same("t_status", "status");
    answer.estimate("t_difference", "diff", "se");
    answer.relative("t_standard_error", "se", 1e-9);
    answer.relative("t_dof", "dof", 1e-9);
    answer.relative("t_statistic", "t", 1e-9);
    answer.p_value("t_p_value", "p");
    answer.estimate("t_ci_low", "ci_lo", "se");
    answer.estimate("t_ci_high", "ci_hi", "se");
}

#[tokio::test]
async fn relative_lift_meets_every_golden_row() {
    let query = format!("select *, relative_lift(n_c, mean_c, m2_c, n_t, mean_t, m2_t, alpha) as test from ({ARMS})");
    let mut names = EFFECT.to_vec();
    names[0] = "lift";
    names.extend(["fieller_g", "fieller_low", "fieller_high", "unstable"]);
    let answer = Answer::of("relative_lift_delta", 80, &members(&query, &names)).await;
    answer.estimate("t_lift", "lift", "se_delta");
    answer.relative("t_standard_error", "se_delta", 1e-9);
    answer.relative("t_dof", "dof", 1e-9);
    answer.relative("t_statistic", "t", 1e-9);
    answer.p_value("t_p_value", "p");
    answer.estimate("t_ci_low", "ci_lo", "se_delta");
    answer.estimate("t_ci_high", "ci_hi", "se_delta");
    answer.relative("t_fieller_g", "fieller_g", 1e-9);
    answer.estimate("t_fieller_low", "fieller_lo", "se_delta");
    answer.estimate("t_fieller_high", "fieller_hi", "se_delta");
}

#[tokio::test]
async fn proportion_z_meets_every_golden_row() {
    let query = "select golden.*, proportion_z(x_c, n_c, x_t, n_t) as test from golden";
    let answer = Answer::of("prop_ztest", 91, &members(query, &PROPORTIONS)).await;
    answer.same("t_status", "status");
    answer.estimate("t_difference", "diff", "se_unpooled");
    for (actual, expected) in [
        ("t_proportion1", "p_c"),
        ("t_proportion2", "p_t"),
        ("t_standard_error", "se_pooled"),
        ("t_statistic", "z_pooled"),
        ("t_unpooled_standard_error", "se_unpooled"),
        ("t_unpooled_statistic", "z_unpooled"),
    ] {
        answer.relative(actual, expected, 1e-9);
    }
    for (actual, expected) in [
        ("t_p_value", "p_pooled"),
        ("t_unpooled_p_value", "p_unpooled"),
        ("t_fisher_p_value", "fisher_p"),
    ] {
        answer.p_value(actual, expected);
    }
    for (actual, expected) in [
        ("t_ci", "wald"),
        ("t_newcombe", "newcombe"),
        ("t_agresti_caffo", "agresti_caffo"),
    ] {
        answer.estimate(&format!("{actual}_low"), &format!("{expected}_lo"), "se_unpooled");
        answer.estimate(&format!("{actual}_high"), &format!("{expected}_hi"), "se_unpooled");
    }
}

#[tokio::test]
async fn always_valid_meets_every_golden_row() {
    let query = format!(
        "select *, always_valid(n_c, mean_c, m2_c, n_t, mean_t, m2_t, alpha, tuning_n, scale) as test from ({ARMS})"
    );
    let names = [
        "difference",
        "standard_error",
        "log_e",
        "p_value",
        "ln_p_value",
        "half_width",
        "ci_low",
        "ci_high",
        "status",
    ];
    let answer = Answer::of("always_valid", 80, &members(&query, &names)).await;
    answer.estimate("t_difference", "est", "se");
    answer.relative("t_standard_error", "se", 1e-9);
    answer.relative("t_half_width", "half_width", 1e-9);
    answer.estimate("t_ci_low", "cs_lo", "se");
    answer.estimate("t_ci_high", "cs_hi", "se");
    answer.absolute("t_log_e", "log_e", 1e-9);
    answer.p_value("t_p_value", "p_always_valid");
}

#[tokio::test]
async fn holm_and_benjamini_hochberg_meet_every_golden_row() {
    let query = "select golden.*, holm(p_values) as t_holm, benjamini_hochberg(p_values) as t_bh from golden";
    let answer = Answer::of("bh_holm", 48, query).await;
    for (actual, expected) in [("t_holm", "holm"), ("t_bh", "bh")] {
        let (found, wanted) = (answer.lists(actual), answer.lists(expected));
        for (row, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            assert_eq!(
                (found.len(), found.null_count()),
                (wanted.len(), 0),
                "{actual}, row {row}"
            );
            for (found, wanted) in found.values().iter().zip(wanted.values()) {
                assert!(
                    (found - wanted).abs() <= 1e-9 * wanted,
                    "{actual}, row {row}: {found:e}, expected {wanted:e}"
                );
            }
        }
    }
}

#[tokio::test]
async fn planning_meets_every_golden_row() {
    let query = "select case_id, kind, result, case when kind like '%_solve_n' then result end as size,
                        case when kind in ('t_power', 'z_power', 'prop_power') then result end as power,
                        case when kind = 'z_mde' then result end as least_effect,
                        case kind when 't_power' then power_t(effect, n_c, ratio, alpha)
                                  when 'z_power' then power_z(effect, n_c, ratio, alpha)
                                  when 'prop_power' then power_proportions(base_rate, effect, n_c, ratio, alpha)
                                  when 't_solve_n' then sample_size_t(effect, given_power, ratio, alpha)
                                  when 'z_solve_n' then sample_size_z(effect, given_power, ratio, alpha)
                                  when 'prop_solve_n' then sample_size_proportions(base_rate, effect, given_power, ratio, alpha)
                                  when 'z_mde' then least_effect_z(n_c, given_power, ratio, alpha) end as computed
                 from (select *, power as given_power, ratio_nt_over_nc as ratio from golden)";
    let answer = Answer::of("power", 174, query).await;
    let computed = answer.reals("computed");
    let mut checked = 0;
    for (kind, tolerance) in [("size", 1e-6), ("power", 1e-9), ("least_effect", 1e-9)] {
        let wanted = answer.reals(kind);
        for row in (0..wanted.len()).filter(|row| wanted.is_valid(*row)) {
            let (found, wanted) = (computed.value(row), wanted.value(row));
            let scale = if kind == "power" { 1.0 } else { wanted.abs() };
            assert!(
                computed.is_valid(row) && (found - wanted).abs() <= tolerance * scale,
                "{kind}, row {row}: {found:e}, expected {wanted:e}"
            );
            checked += 1;
        }
    }
    assert_eq!(checked, 174);
}

#[tokio::test]
async fn merged_statistics_of_parts_meet_every_golden_row() {
    let cases = table::read("merge_moments", 28);
    for context in [session::micro_batch(Arc::default()), session::lake(Arc::default())] {
        table::register(&context, "golden", &cases, cases.num_rows());
        table::register(&context, "units", &units(&cases), 100);
        let query = "select n, coalesce(s['n'], 0) as merged_n,
                            mean_x, s['mean'] as merged_mean_x, mean_y, s['mean_y'] as merged_mean_y,
                            var_x, case when s['n'] > 1 then s['m2'] / (s['n'] - 1) end as merged_var_x,
                            cov_xy, case when s['n'] > 1 then s['c'] / (s['n'] - 1) end as merged_cov_xy, golden.case_id
                     from golden left join (
                       select case_id, merge_suff_stats(part) as s
                       from (select case_id, shard, suff_stats(x, y) as part from units group by case_id, shard)
                       group by case_id) merged on merged.case_id = golden.case_id";
        let batches = context.sql(query).await.unwrap().collect().await.unwrap();
        assert_eq!(batches.iter().map(RecordBatch::num_rows).sum::<usize>(), 28);
        for batch in &batches {
            check_merged(batch);
        }
    }
}

fn check_merged(batch: &RecordBatch) {
    let counts = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().clone();
    assert_eq!(counts("merged_n"), counts("n"));
    for (name, tolerance) in [("mean_x", 1e-12), ("mean_y", 1e-12), ("var_x", 1e-9), ("cov_xy", 1e-9)] {
        let reals = |name: &str| {
            batch
                .column_by_name(name)
                .unwrap()
                .as_primitive::<Float64Type>()
                .clone()
        };
        let (found, wanted) = (reals(&format!("merged_{name}")), reals(name));
        for (row, wanted) in wanted.values().iter().enumerate() {
            let case = batch.column_by_name("case_id").unwrap().as_string::<i32>().value(row);
            if found.is_null(row) {
                assert!(wanted.is_nan(), "{case}: no {name}, expected {wanted:e}");
            } else {
                let error = (found.value(row) - wanted).abs();
                assert!(
                    error <= tolerance * wanted.abs(),
                    "{case}, {name}: {error:e} beside {wanted:e}"
                );
            }
        }
    }
}

/// The units of all cases, each with its shard and the value that it has in the end.
fn units(cases: &RecordBatch) -> RecordBatch {
    let column = |name: &str| cases.column_by_name(name).unwrap();
    let (mut ids, mut shards, mut xs, mut ys) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for case in 0..cases.num_rows() {
        let mut x = column("x")
            .as_list::<i32>()
            .value(case)
            .as_primitive::<Float64Type>()
            .values()
            .to_vec();
        let y = column("y").as_list::<i32>().value(case);
        for replacement in column("replace_x")
            .as_string::<i32>()
            .value(case)
            .split('|')
            .filter(|text| !text.is_empty())
        {
            let (index, value) = replacement.split_once(':').unwrap();
            x[index.parse::<usize>().unwrap()] = value.parse().unwrap();
        }
        let sizes = column("partition_sizes").as_list::<i32>().value(case);
        for (shard, size) in sizes.as_primitive::<Int64Type>().values().iter().enumerate() {
            shards.extend((0..*size).map(|_| i64::try_from(shard).unwrap()));
        }
        ids.extend(x.iter().map(|_| column("case_id").as_string::<i32>().value(case)));
        xs.extend(x);
        ys.extend_from_slice(y.as_primitive::<Float64Type>().values());
    }
    RecordBatch::try_from_iter([
        ("case_id", Arc::new(StringArray::from(ids)) as _),
        ("shard", Arc::new(Int64Array::from(shards)) as _),
        ("x", Arc::new(Float64Array::from(xs)) as _),
        ("y", Arc::new(Float64Array::from(ys)) as _),
    ])
    .unwrap()
}

const CHI_SQUARE: [&str; 11] = [
    "statistic",
    "dof",
    "p_value",
    "ln_p_value",
    "min_expected",
    "max_share_deviation",
    "leak",
    "omnibus_statistic",
    "omnibus_dof",
    "omnibus_p_value",
    "omnibus_ln_p_value",
];

const EFFECT: [&str; 9] = [
    "difference",
    "standard_error",
    "statistic",
    "dof",
    "p_value",
    "ln_p_value",
    "ci_low",
    "ci_high",
    "status",
];

const PROPORTIONS: [&str; 19] = [
    "proportion1",
    "proportion2",
    "difference",
    "standard_error",
    "statistic",
    "p_value",
    "ln_p_value",
    "ci_low",
    "ci_high",
    "newcombe_low",
    "newcombe_high",
    "agresti_caffo_low",
    "agresti_caffo_high",
    "unpooled_standard_error",
    "unpooled_statistic",
    "unpooled_p_value",
    "unpooled_ln_p_value",
    "fisher_p_value",
    "status",
];

/// The query with the members of its column `test` as columns `t_<member>`.
fn members(query: &str, names: &[&str]) -> String {
    let members: Vec<String> = names.iter().map(|name| format!("test['{name}'] as t_{name}")).collect();
    format!("select *, {} from ({query})", members.join(", "))
}
