//! The statistical core: sufficient statistics of experiments, and the tests on them. Pure functions and plain data: no I/O, no
//! Arrow, no threads.
//!
//! | module | holds |
//! |---|---|
//! | [`double_double`] | arithmetic with about 106 significant bits, on which the sums are kept |
//! | [`moments`] | [`Moments`]: count, mean, squared deviations and extremes of one variable |
//! | [`cross_moments`] | [`CrossMoments`]: the same for a pair of variables, with their co-moment |
//! | [`srm`] | sample ratio mismatch: chi-square, exact, sequential, over allocation epochs |
//! | [`mod@welch`], [`proportion`] | differences of means and of proportions, read once |
//! | [`mod@relative_lift`] | differences of means as a part of the control's: delta method and Fieller |
//! | [`mod@always_valid`] | differences of means that may be looked at at any time |
//! | [`multiple`] | p-values of many tests, adjusted for their number |
//! | [`power`] | power, sample size, least detectable effect |
//! | [`inference`], [`e_value`], [`error`] | what the tests take and give, e-values over time, and what can be wrong with arguments |
//! | [`special`] | the distribution functions under all this |
//!
//! # Sufficient statistics
//!
//! The states merge: those of shards, windows and machines add up to the state of all their values, and a value may be
//! added, removed or replaced at any time. The result equals that of a batch computation over the values that are left.
//!
//! ```
//! use backplane_stats::Moments;
//!
//! let mut control = Moments::new();
//! control.add(2.0);
//! control.add(4.0);
//! control.replace(4.0, 7.0); // a subject's sum moved from 4 to 7
//! let with_idle_subjects = control.with_zeros(1); // one more subject, without an outcome
//! assert_eq!(with_idle_subjects.count(), 3);
//! assert_eq!(with_idle_subjects.mean(), Some(3.0));
//! assert_eq!(with_idle_subjects.m2(), Some(26.0));
//! ```
//!
//! # Tests
//!
//! Every input has an answer. Arguments that are none (NaN, a negative weight, more successes than subjects) are a [`StatsError`]
//! that says what to correct; data that cannot tell yet (one subject, no variance) are an [`Inference`] that says why. Differences
//! are treatment less control, tests are two-sided, logarithms natural. p-values come with their logarithm, which stays finite
//! where a p-value is too small for a float; e-values are logarithms only.
//!
//! The tests allocate nothing and take below a microsecond or two, except the exact ones and those over epochs.
//!
//! ```
//! use backplane_stats::{Moments, Sample, welch};
//!
//! let arm = |values: &[f64]| {
//!     let mut moments = Moments::new();
//!     values.iter().for_each(|value| moments.add(*value));
//!     Sample::from(&moments)
//! };
//! let result = welch(&arm(&[1.0, 2.0, 4.0]), &arm(&[2.0, 5.0, 9.0, 8.0]), 0.05)?;
//! assert_eq!(result.test.status(), "ok");
//! assert!(result.test.tested().is_some_and(|test| test.p > 0.05));
//! # Ok::<(), backplane_stats::StatsError>(())
//! ```

pub mod always_valid;
pub mod cross_moments;
pub mod double_double;
pub mod e_value;
pub mod error;
pub mod inference;
pub mod moments;
pub mod multiple;
pub mod power;
pub mod proportion;
pub mod relative_lift;
pub mod special;
pub mod srm;
pub mod welch;

pub use always_valid::{AlwaysValid, AlwaysValidPath, Scale, always_valid};
pub use cross_moments::CrossMoments;
pub use double_double::DoubleDouble;
pub use e_value::{EProcess, anytime_ln_p, anytime_p};
pub use error::StatsError;
pub use inference::{Inference, Interval, Sample};
pub use moments::Moments;
pub use multiple::{benjamini_hochberg, benjamini_yekutieli, bonferroni, hochberg, holm};
pub use proportion::{ProportionTest, ZTest, proportion_z};
pub use relative_lift::{RelativeLift, RelativeLiftTest, relative_lift};
pub use welch::{Welch, WelchTest, welch};
