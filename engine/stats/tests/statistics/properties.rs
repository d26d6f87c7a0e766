//! What must hold for all inputs.

use backplane_stats::power::{t_power, z_power};
use backplane_stats::special::{chi_square_ln_sf, normal_ln_sf, student_t_ln_p};
use backplane_stats::srm::{
    Concentration, Epoch, Exact, SrmPath, chi_square, chi_square_epochs, exact, sequential, sequential_mixture,
};
use backplane_stats::{
    AlwaysValidPath, Inference, Sample, Scale, StatsError, always_valid, benjamini_hochberg, benjamini_yekutieli,
    bonferroni, hochberg, holm, proportion_z, relative_lift, welch,
};
use proptest::prelude::*;

/// Counts of all magnitudes, the least and the greatest among them.
fn any_count() -> impl Strategy<Value = u64> {
    prop_oneof![
        0..20_u64,
        0..2_000_000_u64,
        (0..64_u32, any::<u64>()).prop_map(|(shift, bits)| bits >> shift),
        Just(u64::MAX),
    ]
}

/// Weights as people give them, and others.
fn any_weight() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => 1e-3..100.0,
        1 => Just(0.0),
        1 => (-180.0..180.0_f64).prop_map(|power| 10_f64.powf(power)),
        1 => any::<f64>(),
    ]
}

fn any_arms() -> impl Strategy<Value = (Vec<u64>, Vec<f64>)> {
    prop::collection::vec((any_count(), any_weight()), 0..8).prop_map(|arms| arms.into_iter().unzip())
}

/// Arms of an experiment as they are: some thousand subjects, shares of some percent.
fn usual_arms() -> impl Strategy<Value = (Vec<u64>, Vec<f64>)> {
    prop::collection::vec((0..100_000_u64, 0.02..1.0_f64), 2..6).prop_map(|arms| arms.into_iter().unzip())
}

fn any_sample() -> impl Strategy<Value = Sample> {
    let real = || prop_oneof![-1e6..1e6_f64, any::<f64>(), Just(0.0)];
    (any_count(), real(), real()).prop_map(|(n, mean, m2)| Sample { n, mean, m2: m2.abs() })
}

fn usual_sample() -> impl Strategy<Value = Sample> {
    (2..1_000_000_u64, -50.0..50.0_f64, 0.1..20.0_f64).prop_map(|(n, mean, variance)| Sample {
        n,
        mean,
        m2: variance * (n - 1) as f64,
    })
}

fn is_probability(p: f64) -> bool {
    (0.0..=1.0).contains(&p)
}

fn is_ln_probability(ln_p: f64) -> bool {
    ln_p.is_finite() && ln_p <= 0.0
}

fn close(a: f64, b: f64, tolerance: f64) -> bool {
    (a - b).abs() <= tolerance * a.abs().max(b.abs()).max(1.0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn every_allocation_has_a_finite_answer_or_an_error((counts, weights) in any_arms()) {
        match chi_square(&counts, &weights) {
            Ok(test) => {
                prop_assert!(test.statistic.is_finite() && test.statistic >= 0.0, "{:?}", test);
                prop_assert!(is_probability(test.p) && is_ln_probability(test.ln_p), "{:?}", test);
                prop_assert!(is_probability(test.max_share_deviation) && test.min_expected.is_finite(), "{:?}", test);
                for concentration in [1e-50, 1.0, 1e4, 1e50] {
                    let log_e = sequential(&counts, &weights, concentration).unwrap();
                    prop_assert!(log_e.is_finite(), "{}", log_e);
                }
                prop_assert!(sequential_mixture(&counts, &weights).unwrap().is_finite());
                let epoch = Epoch { counts: &counts, weights: &weights };
                let epochs = chi_square_epochs(&[epoch, epoch]).unwrap();
                prop_assert!(is_probability(epochs.p) && is_ln_probability(epochs.ln_p), "{:?}", epochs);
                prop_assert!(epochs.statistic.is_finite() && is_ln_probability(epochs.omnibus_ln_p), "{:?}", epochs);
            }
            Err(error) => {
                let is_expected = matches!(error, StatsError::CorrectWeights { .. });
                prop_assert!(is_expected, "{}", error);
                prop_assert_eq!(sequential_mixture(&counts, &weights), Err(error));
            }
        }
    }

    #[test]
    fn batching_does_not_change_the_sequential_test(
        (totals, weights) in usual_arms(),
        cuts in prop::collection::vec(0.0..1.0_f64, 0..6),
    ) {
        let mut path = SrmPath::new(Concentration::Mixture).unwrap();
        path.begin_epoch(&weights).unwrap();
        let mut greatest = 0.0_f64;
        let mut cuts = cuts;
        cuts.sort_by(f64::total_cmp);
        let mut before = vec![0; totals.len()];
        for cut in cuts.into_iter().chain([1.0]) {
            let now: Vec<u64> = totals.iter().map(|total| (*total as f64 * cut) as u64).collect();
            let increments: Vec<u64> = now.iter().zip(&before).map(|(now, before)| now - before).collect();
            path.add(0, &increments).unwrap();
            greatest = greatest.max(path.evaluate());
            before = now;
        }
        prop_assert_eq!(Ok(path.process().log_e()), sequential_mixture(&totals, &weights));
        prop_assert_eq!(path.process().log_e_max(), greatest);
        prop_assert_eq!(SrmPath::from_words(&path.to_words()), Ok(path));
    }

    #[test]
    fn the_order_of_arms_and_the_scale_of_weights_do_not_matter((counts, weights) in usual_arms(), scale in 1e-3..1e3) {
        let other_counts: Vec<u64> = counts.iter().rev().copied().collect();
        let other_weights: Vec<f64> = weights.iter().rev().map(|weight| weight * scale).collect();
        let (one, other) = (chi_square(&counts, &weights).unwrap(), chi_square(&other_counts, &other_weights).unwrap());
        prop_assert!(close(one.statistic, other.statistic, 1e-12) && close(one.ln_p, other.ln_p, 1e-12));
        let one = sequential_mixture(&counts, &weights).unwrap();
        let other = sequential_mixture(&other_counts, &other_weights).unwrap();
        prop_assert!(close(one, other, 1e-12), "{} {}", one, other);
    }

    #[test]
    fn one_more_subject_multiplies_the_e_value_by_its_odds((counts, weights) in usual_arms(), arm in 0..2_usize) {
        // the Bayes factor is the product of predictive probabilities over configured ones
        let concentration = 300.0;
        let mut more = counts.clone();
        more[arm] += 1;
        let share = weights[arm] / weights.iter().sum::<f64>();
        let subjects = counts.iter().sum::<u64>() as f64;
        let predicted = (concentration * share + counts[arm] as f64) / (concentration + subjects);
        let step = sequential(&more, &weights, concentration).unwrap()
            - sequential(&counts, &weights, concentration).unwrap();
        let scale = sequential(&counts, &weights, concentration).unwrap().abs().max(1.0);
        prop_assert!((step - (predicted / share).ln()).abs() < 1e-12 * scale);
    }

    #[test]
    fn the_chi_square_of_two_arms_is_the_square_of_z(control in 1..1_000_000_u64, treatment in 1..1_000_000_u64) {
        let n = (control + treatment) as f64;
        let z = (control as f64 - treatment as f64) / n.sqrt();
        let test = chi_square(&[control, treatment], &[1.0, 1.0]).unwrap();
        prop_assert!(close(test.statistic, z * z, 1e-12));
        let two_sided = std::f64::consts::LN_2 + normal_ln_sf(z.abs());
        prop_assert!(close(test.ln_p, two_sided, 1e-12), "{} {}", test.ln_p, two_sided);
    }

    #[test]
    fn the_exact_test_of_two_equal_arms_is_the_doubled_tail(control in 0..400_u64, treatment in 0..400_u64) {
        let Exact::Tested { p, .. } = exact(&[control, treatment], &[3.0, 3.0]).unwrap() else {
            panic!("few outcomes");
        };
        let n = control + treatment;
        let mut term = 0.5_f64.powi(n as i32);
        let mut tail = 0.0;
        for x in 0..=control.min(treatment) {
            tail += term;
            term *= (n - x) as f64 / (x + 1) as f64;
        }
        prop_assert!(close(p, (2.0 * tail).min(1.0), 1e-11), "{} {}", p, tail);
    }

    #[test]
    fn tails_fall_as_statistics_rise(x in 0.0..1e4_f64, more in 1e-6..10.0_f64, dof in 1..200_u32) {
        prop_assert!(chi_square_ln_sf(x + more, dof) <= chi_square_ln_sf(x, dof));
        let real_dof = f64::from(dof) * 7.3;
        prop_assert!(student_t_ln_p(x + more, real_dof) <= student_t_ln_p(x, real_dof));
        prop_assert!(normal_ln_sf(x + more) < normal_ln_sf(x));
    }

    #[test]
    fn every_pair_of_samples_has_a_finite_answer_or_an_error(
        control in any_sample(),
        treatment in any_sample(),
        alpha in prop_oneof![1e-12..1.0_f64, Just(1e-300), Just(0.05)],
    ) {
        match welch(&control, &treatment, alpha) {
            Ok(result) => {
                prop_assert!(result.difference.is_none_or(f64::is_finite));
                if let Inference::Tested(test) = result.test {
                    let finite = [test.standard_error, test.dof, test.t, test.interval.low, test.interval.high];
                    prop_assert!(finite.iter().all(|value| value.is_finite()), "{:?}", test);
                    prop_assert!(is_probability(test.p) && is_ln_probability(test.ln_p), "{:?}", test);
                    prop_assert!(test.interval.low <= test.interval.high, "{:?}", test);
                }
            }
            Err(error) => {
                let is_expected = matches!(error, StatsError::CorrectMoments { .. } | StatsError::RescaleValues { .. });
                prop_assert!(is_expected, "{}", error);
            }
        }
        match relative_lift(&control, &treatment, alpha) {
            Ok(result) => {
                prop_assert!(result.lift.is_none_or(f64::is_finite));
                if let Inference::Tested(test) = result.test {
                    let finite = [test.standard_error, test.dof, test.t, test.interval.low, test.interval.high, test.fieller_g];
                    prop_assert!(finite.iter().all(|value| value.is_finite()), "{:?}", test);
                    prop_assert!(is_probability(test.p) && is_ln_probability(test.ln_p), "{:?}", test);
                    prop_assert!(test.fieller.is_none_or(|ends| ends.low.is_finite() && ends.low <= ends.high), "{:?}", test);
                }
            }
            Err(error) => {
                let is_expected = matches!(error, StatsError::CorrectMoments { .. } | StatsError::RescaleValues { .. });
                prop_assert!(is_expected, "{}", error);
            }
        }
        for scale in [Scale::Absolute, Scale::Relative] {
            if let Ok(Inference::Tested(effect)) = always_valid(&control, &treatment, alpha, 5_000.0, scale) {
                let finite = [effect.estimate, effect.standard_error, effect.log_e, effect.half_width];
                prop_assert!(finite.iter().all(|value| value.is_finite()), "{:?}", effect);
                prop_assert!(is_probability(effect.p) && effect.interval.low <= effect.interval.high, "{:?}", effect);
            }
        }
    }

    #[test]
    fn adjusted_p_values_are_in_the_order_of_their_strength(p_values in prop::collection::vec(0.0..=1.0_f64, 0..30)) {
        let all = |adjust: fn(&[f64]) -> Vec<f64>| adjust(&p_values);
        let (bonferroni, holm, hochberg) = (all(bonferroni), all(holm), all(hochberg));
        let (hochberg_rate, yekutieli) = (all(benjamini_hochberg), all(benjamini_yekutieli));
        for (index, p) in p_values.iter().enumerate() {
            let weaker = [*p, hochberg_rate[index], hochberg[index], holm[index], bonferroni[index], 1.0];
            prop_assert!(weaker.is_sorted_by(|one, other| *one <= other + 1e-15), "{:?}", weaker);
            prop_assert!(hochberg_rate[index] <= yekutieli[index] + 1e-15);
            for (other, other_p) in p_values.iter().enumerate() {
                prop_assert!(p > other_p || holm[index] <= holm[other]);
            }
        }
    }

    #[test]
    fn the_relative_interval_of_a_certain_baseline_is_that_of_the_difference(
        mean in prop_oneof![-50.0..-0.1_f64, 0.1..50.0_f64],
        treatment in usual_sample(),
    ) {
        let control = Sample { n: 1_000, mean, m2: 0.0 };
        let absolute = welch(&control, &treatment, 0.05).unwrap();
        let relative = relative_lift(&control, &treatment, 0.05).unwrap();
        let (Inference::Tested(absolute), Inference::Tested(relative)) = (absolute.test, relative.test) else {
            panic!("the treatment varies");
        };
        prop_assert!(close(relative.ln_p, absolute.ln_p, 1e-9));
        prop_assert!(close(relative.interval.low * mean.abs(), absolute.interval.low, 1e-12));
        prop_assert!(close(relative.interval.high * mean.abs(), absolute.interval.high, 1e-12));
    }

    #[test]
    fn swapping_the_arms_turns_the_effect_round(control in usual_sample(), treatment in usual_sample()) {
        let one = welch(&control, &treatment, 0.05).unwrap();
        let other = welch(&treatment, &control, 0.05).unwrap();
        prop_assert_eq!(one.difference, other.difference.map(|difference| -difference));
        let (Inference::Tested(one), Inference::Tested(other)) = (one.test, other.test) else {
            panic!("both vary");
        };
        prop_assert!(close(one.ln_p, other.ln_p, 1e-13) && close(one.dof, other.dof, 1e-13));
        prop_assert!(close(one.interval.low, -other.interval.high, 1e-13));
        let path = |control: &Sample, treatment: &Sample| {
            let mut path = AlwaysValidPath::new(0.05, 5_000.0, 2).unwrap();
            path.evaluate(control, treatment).unwrap()
        };
        prop_assert_eq!(path(&control, &treatment), path(&treatment, &control));
    }

    #[test]
    fn the_interval_excludes_no_effect_exactly_when_the_p_value_is_below_alpha(
        control in usual_sample(),
        treatment in usual_sample(),
        alpha in 1e-6..0.5_f64,
    ) {
        let Inference::Tested(test) = welch(&control, &treatment, alpha).unwrap().test else { panic!("both vary") };
        let excludes = test.interval.low > 0.0 || test.interval.high < 0.0;
        prop_assert!(excludes == (test.p < alpha) || close(test.p / alpha, 1.0, 1e-9), "{:?}", test);
    }

    #[test]
    fn every_pair_of_proportions_has_a_finite_answer(
        arms in [(any_count(), any_count()), (any_count(), any_count())],
        alpha in 1e-300..1.0_f64,
    ) {
        let [(a, b), (c, d)] = arms;
        let result = proportion_z(a.min(b), a.max(b), c.min(d), c.max(d), alpha).unwrap();
        if let Inference::Tested(test) = result {
            for interval in [test.wald, test.newcombe, test.agresti_caffo] {
                prop_assert!(interval.low.is_finite() && interval.low <= interval.high, "{:?}", test);
            }
            for z in [test.pooled, test.unpooled].iter().filter_map(Inference::tested) {
                prop_assert!(z.z.is_finite() && is_probability(z.p) && is_ln_probability(z.ln_p), "{:?}", test);
            }
            prop_assert!(test.fisher_p.is_none_or(is_probability), "{:?}", test);
        }
    }

    #[test]
    fn power_is_a_probability_that_grows_with_the_sample(
        effect in -3.0..3.0_f64,
        n in 2.0..1e5_f64,
        ratio in 0.1..10.0_f64,
        alpha in 1e-10..0.5_f64,
    ) {
        for power in [t_power, z_power] {
            let (less, more) = (power(effect, n, ratio, alpha).unwrap(), power(effect, n * 1.2, ratio, alpha).unwrap());
            prop_assert!(is_probability(less) && less >= alpha * (1.0 - 1e-9), "{}", less);
            prop_assert!(more >= less - 1e-12, "{} {}", less, more);
        }
    }
}
