//! Sufficient statistics and the tests on them: pure functions.
