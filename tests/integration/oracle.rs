//! The oracle's own tests: hand-computed cases, so that what the engine is held to is itself held to something.

use std::process::Command;

use backplane_tests::{python, root, run};

#[test]
fn the_python_programs_agree_with_hand_computed_cases() {
    for folder in ["oracle", "real_data", "readers"] {
        run(Command::new(python())
            .current_dir(root().join("tests").join(folder))
            .args(["-m", "unittest", "--quiet"]));
    }
}
