//! The stream, the canonical SQL over its lake and an independent polars program compute the same tables.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use backplane_generator::{CrossoverPolicy, GeneratorConfig, generate_files};
use backplane_tests::{run_job, run_python, sql, write_config};
use serde_json::{Value, json};

/// Runs one generated stream through all three at each number of threads.
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
    compare(folder.path(), &generator.config_json(), &events, threads);
}

/// Runs a stream of files through all three at each number of threads.
fn compare(folder: &Path, document: &Value, events: &[PathBuf], threads: &[usize]) {
    let mut expected: Option<PathBuf> = None;
    for threads in threads {
        let run = folder.join(format!("run-{threads}"));
        std::fs::create_dir(&run).expect("a folder");
        let config = write_config(&run, document.clone(), events, *threads);
        let oracle = expected.get_or_insert_with(|| {
            let out = folder.join("oracle");
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

#[test]
fn stream_sql_and_polars_agree_on_rare_forms() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let events = folder.path().join("events.ndjson");
    let line = |minute: u32, event_type: &str, payload: Value| {
        let time = format!("2026-03-01T{:02}:{:02}:00Z", minute / 60, minute % 60);
        let id = format!("{event_type}-{minute}-{}", payload["subjectId"]);
        json!({ "eventId": id, "timestamp": time, "eventType": event_type, "schemaVersion": "1.0.0", "payload": payload })
    };
    let exposure = |minute: u32, subject: &str, variant: &str, more: &Value| {
        let mut payload = json!({ "experimentName": "e", "variantKey": variant, "subjectId": subject });
        if let (Some(payload), Some(more)) = (payload.as_object_mut(), more.as_object()) {
            payload.extend(more.clone());
        }
        line(minute, "Exposure", payload)
    };
    let outcome = |minute: u32, subject: &str, experiment: Option<&str>, value: f64| {
        let payload =
            json!({ "experimentName": experiment, "subjectId": subject, "metricName": "revenue", "value": value });
        line(minute, "Outcome", payload)
    };
    let nothing = json!({});
    let lines = [
        exposure(0, "empty type", "a", &json!({ "subjectType": "", "tenantId": "" })),
        exposure(0, "type", "b", &json!({ "subjectType": "user", "tenantId": "t" })),
        exposure(
            1,
            "object",
            "a",
            &json!({ "attributes": { "plan": { "name": "pro  x", "seats": [1, 2.50, null] } } }),
        ),
        exposure(1, "number", "b", &json!({ "attributes": { "plan": 1.5 } })),
        exposure(2, "null", "a", &json!({ "attributes": { "plan": null } })),
        exposure(
            2,
            "quotes",
            "b",
            &json!({ "attributes": { "plan": "a \"b\" \\ \n ü" } }),
        ),
        // the instant of the exposure counts, that of its attribution window's end does not
        outcome(1, "object", Some("e"), 1.0),
        outcome(1 + 24 * 60, "object", Some("e"), 1e15),
        outcome(1, "number", Some(""), -0.0),
        outcome(2, "quotes", None, 1e-300),
        outcome(2, "quotes", Some("another"), 5.0),
        outcome(3, "never exposed", Some("e"), 7.0),
        // a record of another type with a counted record's time, and a window without anything between
        exposure(10 * 60, "later", "a", &nothing),
        exposure(10 * 60, "later", "a", &json!({ "subjectType": "again" })),
        outcome(10 * 60, "later", None, 3.0),
    ];
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&events, text).expect("a writable folder");
    let document = json!({ "experimentFramework": {
        "experiments": [{
            "name": "e", "allocation": { "a": 1, "b": 1 }, "attributionWindow": "1d",
            "segments": ["tenantId", "subjectType", "attributes.plan"],
        }],
        "engine": { "windows": [{ "name": "hourly", "type": "tumble", "size": "1h" }] },
    }});
    compare(folder.path(), &document, &[events], &[1, 2]);
}
