//! Other programs read the lake as it is.

use backplane_generator::{GeneratorConfig, generate_files};
use backplane_tests::{run_job, run_python, write_config};

#[test]
fn duckdb_polars_and_deltalake_see_the_same_rows() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let generator = GeneratorConfig {
        partitions: 1,
        ..GeneratorConfig::demo(20_000, 11)
    };
    let events = folder.path().join("events.ndjson");
    generate_files(&generator, &[&events]).expect("a stream");
    let config = write_config(folder.path(), generator.config_json(), &[events], 2);
    run_job(&config);
    run_python("readers/read_lake.py", &[folder.path().join("lake").as_os_str()]);
}
