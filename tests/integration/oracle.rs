//! The oracle's own tests: hand-computed cases, so that what the engine is held to is itself held to something.

use std::process::Command;

use backplane_tests::{python, root, run};

#[test]
fn the_polars_oracle_agrees_with_hand_computed_cases() {
    run(Command::new(python()).current_dir(root().join("tests/oracle")).args(["-m", "unittest", "--quiet"]));
}
