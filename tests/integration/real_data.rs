//! Real impressions and clicks: the Open Bandit logs of the Python package `obp`.

use std::path::PathBuf;

use backplane_tests::{run_job, run_python, write_config};

#[test]
fn counts_and_click_rates_of_the_open_bandit_logs_equal_a_direct_computation() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let expected = folder.path().join("expected");
    run_python("real_data/obd_to_envelopes.py", &[folder.path().as_os_str()]);
    run_python("real_data/obd_expected.py", &[expected.as_os_str()]);
    let document = std::fs::read(folder.path().join("config.json")).expect("the script writes a configuration");
    let document = serde_json::from_slice(&document).expect("JSON");
    let mut events: Vec<PathBuf> = std::fs::read_dir(folder.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ndjson"))
        .collect();
    events.sort();
    let run = folder.path().join("run");
    std::fs::create_dir(&run).expect("a folder");
    run_job(&write_config(&run, document, &events, 2));
    run_python(
        "oracle/compare.py",
        &[expected.as_os_str(), run.join("lake").as_os_str()],
    );
}
