//! Documents that are accepted, and what is read from them.

// helpers of tests may panic as tests do
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;

use backplane_config::{
    Aggregation, Config, Crossovers, DeadLetter, Document, Experiment, Metric, MetricDefinition, Micros, Segment, Sink,
    Source, StorageUrl, Syntax, Take, Timestamp, Window, WindowKind,
};
use common::{environment, load};

fn folder(relative: &str) -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(relative);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths
}

#[test]
fn every_document_of_the_framework_is_accepted() {
    let paths = folder("tests/samples");
    assert_eq!(paths.len(), 7);
    for path in paths {
        let loaded = Config::load(&path, &environment, &[] as &[&str]).unwrap_or_else(|error| panic!("{error}"));
        let has_part = loaded.config.data_plane.is_some() || loaded.config.governance.is_some();
        assert!(has_part, "{}", path.display());
    }
}

#[test]
fn a_variable_that_a_document_relies_on_must_be_set() {
    for name in [
        "10-governance-with-sql-persistence.yaml",
        "11-governance-with-redis-persistence.yaml",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples").join(name);
        let error = Config::load(&path, &|_| None, &[] as &[&str]).unwrap_err().to_string();
        assert!(
            error.contains("governance.persistence.connectionString: the environment variable"),
            "{error}"
        );
        assert_eq!(error.matches("error:").count(), 1, "{error}");
    }
}

#[test]
fn every_example_is_accepted_and_runs() {
    let paths = folder("../../examples/config");
    assert!(!paths.is_empty());
    for path in paths {
        let loaded = Config::load(&path, &|_| None, &[] as &[&str]).unwrap_or_else(|error| panic!("{error}"));
        loaded.check_runnable().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(loaded.diagnostics, [], "{}", path.display());
    }
}

#[test]
fn an_empty_document_is_the_default_configuration() {
    assert_eq!(load("{}").unwrap().config, Config::default());
    assert_eq!(load("experimentFramework:\n").unwrap().config, Config::default());
    assert_eq!(
        Document::empty("none").load(&|_| None).unwrap().config,
        Config::default()
    );
}

#[test]
fn everything_declared_is_in_the_model() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/config/checkout.yaml");
    let config = Config::load(&path, &|_| None, &[] as &[&str]).unwrap().config;

    let six_hours = Micros::from_hours(6);
    let mut latency = Metric::fold("latency", backplane_config::MetricType::Duration, Aggregation::Mean);
    latency.higher_is_better = false;
    latency.role = backplane_config::Role::Guardrail;
    let expected = [
        Metric::new("purchase").winsorized(None, Some(500.0)).within(six_hours),
        Metric::binary("click").within(six_hours),
        Metric::ratio("revenuePerClick", "purchase", "click"),
        latency,
    ];
    assert_eq!(config.metrics, expected);

    let first = &config.experiments[0];
    assert_eq!(first.attribution_window, Some(Micros::from_days(1)));
    assert_eq!(
        first.segments,
        [Segment::Tenant, Segment::Attribute("platform".to_owned())]
    );
    assert_eq!(first.starts_at, Some(Timestamp::parse("2026-01-05T00:00:00Z").unwrap()));
    assert_eq!(
        first.plan.as_ref().and_then(|plan| plan.subjects_per_variant),
        Some(20_000)
    );
    let dated = Experiment::new("ranking")
        .allocated([("control", 90.0), ("new-model", 10.0)])
        .reallocated(
            Timestamp::parse("2026-01-12T00:00:00Z").unwrap(),
            [("control", 50.0), ("new-model", 50.0)],
        );
    assert_eq!(config.experiments[1], dated);

    let engine = &config.engine;
    assert_eq!(
        engine.sources,
        [Source::file(["events/*.ndjson.zst", "events/extra.ndjson"])]
    );
    let hop = WindowKind::Hop {
        size: six_hours,
        slide: Micros::from_hours(1),
    };
    assert_eq!(engine.windows[1].kind, hop);
    assert_eq!(engine.crossovers, Crossovers::Exclude);
    assert_eq!(engine.queries[0].sinks, ["results"]);
    let sinks = [
        Sink::lake(StorageUrl::local("lake")),
        Sink::file("results.ndjson")
            .named("results")
            .taking([Take::Results, Take::Late]),
        Sink::terminal(),
    ];
    assert_eq!(engine.sinks, sinks);
    assert_eq!(engine.dead_letter, DeadLetter::file("dead-letters.ndjson"));
    assert_eq!(engine.parallelism, 2);
}

#[test]
fn attribution_windows_fall_back_from_metric_to_experiment_to_a_week() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/config/checkout.yaml");
    let config = Config::load(&path, &|_| None, &[] as &[&str]).unwrap().config;
    let windows = [
        ("checkout-button", "click"),
        ("checkout-button", "revenuePerClick"),
        ("checkout-button", "latency"),
        ("x", "y"),
    ]
    .map(|(experiment, metric)| config.attribution_window(experiment, metric).to_string());
    assert_eq!(windows, ["6h", "6h", "1d", "7d"]);
    let names = |experiment: &str| {
        config
            .metrics_of(experiment)
            .iter()
            .map(|metric| metric.name.clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names("checkout-button"), ["purchase", "click", "revenuePerClick"]);
    assert_eq!(names("ranking").len(), 4);
}

#[test]
fn keys_of_json_are_read_in_any_case_and_those_of_yaml_are_not() {
    let json = r#"{ "EXPERIMENTFRAMEWORK": { "Engine": { "JOB": "a", "Windows": [{ "Name": "h", "TYPE": "Tumble", "size": "1h" }] } } }"#;
    let mut document = Document::parse("job.json", json, Syntax::Json).unwrap();
    document.set("engine.job", "b").unwrap();
    let config = document.load(&|_| None).unwrap().config;
    assert_eq!(config.engine.job, "b");
    assert_eq!(config.engine.windows, [Window::tumble("h", Micros::from_hours(1))]);
    assert!(load("Engine: { job: a }").is_err());
}

#[test]
fn outlets_without_a_name_are_called_by_their_type() {
    let text = "
engine:
  sinks:
    - { type: file, options: { path: a } }
    - { name: file-2, type: terminal, take: [late, signals, late] }
    - { type: file, options: { path: b } }
";
    let sinks = load(text).unwrap().config.engine.sinks;
    assert_eq!(
        sinks.iter().map(|sink| sink.name.as_str()).collect::<Vec<_>>(),
        ["file", "file-2", "file-3"]
    );
    assert_eq!(sinks[1].take, [Take::Signals, Take::Late]);
}

#[test]
fn a_binary_metric_folds_by_any_and_others_by_sum() {
    let metrics = load("metrics: [{ name: a, type: binary }, { name: b, type: Count }]")
        .unwrap()
        .config
        .metrics;
    let aggregations = metrics.iter().map(|metric| match metric.definition {
        MetricDefinition::Fold { aggregation, .. } => aggregation,
        MetricDefinition::Ratio { .. } => panic!("no ratio was declared"),
    });
    assert_eq!(aggregations.collect::<Vec<_>>(), [Aggregation::Any, Aggregation::Sum]);
}

#[test]
fn a_variable_cannot_change_the_shape_of_the_document() {
    let environment = |name: &str| (name == "JOB").then(|| "a, parallelism: 7".to_owned());
    let document = Document::parse(
        "job.yaml",
        "engine: { windows: [{ name: w, type: tumble, size: 1h }], queries: [{ name: '${JOB}', window: w, sql: 's' }] }",
        Syntax::Yaml,
    );
    let config = document.unwrap().load(&environment).unwrap().config;
    assert_eq!(config.engine.queries[0].name, "a, parallelism: 7");
    assert_ne!(config.engine.parallelism, 7);
}
