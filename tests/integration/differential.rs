//! The stream, the canonical SQL over its lake and an independent polars program compute the same tables.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use backplane_generator::{CrossoverPolicy, GeneratorConfig, generate_files};
use backplane_tests::{run_job, run_python, sql, write_config};

/// Runs one stream through all three at each number of threads.
fn compare_all(generator: &GeneratorConfig, threads: &[usize]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let events: Vec<PathBuf> = (0..generator.partitions)
        .map(|partition| folder.path().join(format!("events-{partition}.ndjson")))
        .collect();
    let paths: Vec<&Path> = events.iter().map(PathBuf::as_path).collect();
    let truth = generate_files(generator, &paths).expect("a stream");
    assert!(
        truth.decoded > 0 && truth.bad > 0,
        "the stream has good and bad records"
    );

    let mut expected: Option<PathBuf> = None;
    for threads in threads {
        let run = folder.path().join(format!("run-{threads}"));
        std::fs::create_dir(&run).expect("a folder");
        let config = write_config(&run, generator.config_json(), &events, *threads);
        let oracle = expected.get_or_insert_with(|| {
            let out = folder.path().join("oracle");
            let mut arguments = vec![
                OsStr::new("--config"),
                config.as_os_str(),
                OsStr::new("--out"),
                out.as_os_str(),
            ];
            arguments.extend(events.iter().map(|path| path.as_os_str()));
            run_python("oracle/oracle.py", &arguments);
            out
        });
        run_job(&config);
        let lake = run.join("lake");
        run_python("oracle/compare.py", &[oracle.as_os_str(), lake.as_os_str()]);
        let from_sql = canonical_tables(&run, &lake);
        run_python(
            "oracle/compare.py",
            &[
                lake.as_os_str(),
                from_sql.as_os_str(),
                OsStr::new("--tables"),
                OsStr::new("assignment_counts,metric_stats"),
            ],
        );
    }
}

/// The result tables as the canonical queries compute them from the lake's events.
fn canonical_tables(run: &Path, lake: &Path) -> PathBuf {
    let folder = run.join("sql");
    std::fs::create_dir(&folder).expect("a folder");
    for table in ["assignment_counts", "metric_stats"] {
        let rows = sql(lake, "parquet", &format!("select * from analysis.{table}"));
        std::fs::write(folder.join(format!("{table}.parquet")), rows).expect("a writable folder");
    }
    folder
}

#[test]
fn stream_sql_and_polars_agree_when_crossovers_are_excluded() {
    compare_all(
        &GeneratorConfig {
            crossovers: CrossoverPolicy::Exclude,
            ..GeneratorConfig::property(1)
        },
        &[1, 2, 4],
    );
}

#[test]
fn stream_sql_and_polars_agree_when_crossovers_count_under_their_first_variant() {
    compare_all(
        &GeneratorConfig {
            crossovers: CrossoverPolicy::FirstVariant,
            ..GeneratorConfig::property(2)
        },
        &[1, 2],
    );
}

#[test]
fn stream_sql_and_polars_agree_when_crossovers_count_under_their_last_variant() {
    compare_all(
        &GeneratorConfig {
            crossovers: CrossoverPolicy::LastVariant,
            ..GeneratorConfig::property(3)
        },
        &[1, 2],
    );
}

#[test]
fn stream_sql_and_polars_agree_on_random_streams() {
    let seeds = std::env::var("BACKPLANE_SEEDS")
        .ok()
        .and_then(|seeds| seeds.parse().ok())
        .unwrap_or(3);
    let policies = [
        CrossoverPolicy::Exclude,
        CrossoverPolicy::FirstVariant,
        CrossoverPolicy::LastVariant,
    ];
    for (seed, policy) in (100..100 + seeds).zip(policies.into_iter().cycle()) {
        compare_all(
            &GeneratorConfig {
                crossovers: policy,
                ..GeneratorConfig::property(seed)
            },
            &[2],
        );
    }
}

#[test]
fn stream_sql_and_polars_agree_on_the_demo() {
    compare_all(&GeneratorConfig::demo(30_000, 5), &[2]);
}
