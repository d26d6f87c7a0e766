//! Sufficient statistics of experiments: pure functions and plain data, no I/O, no Arrow, no threads.
//!
//! | module | holds |
//! |---|---|
//! | [`double_double`] | arithmetic with about 106 significant bits, on which the sums are kept |
//! | [`moments`] | [`Moments`]: count, mean, squared deviations and extremes of one variable |
//! | [`cross_moments`] | [`CrossMoments`]: the same for a pair of variables, with their co-moment |
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

pub mod cross_moments;
pub mod double_double;
pub mod moments;

pub use cross_moments::CrossMoments;
pub use double_double::DoubleDouble;
pub use moments::Moments;
