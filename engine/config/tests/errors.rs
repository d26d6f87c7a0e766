//! Every kind of error, with its exact place and words.

mod common;

use backplane_config::{Document, Severity, Syntax, validate};
use common::{findings, load};
use insta::assert_snapshot;

#[test]
fn all_errors_of_a_document_come_at_once_with_their_places() {
    let text = "\
experimentFramework:
  metrics:
    - { nam: purchase, type: Continous }
    - { name: click, winsorize: { lower: 5, upper: 1 } }
  engine:
    sorces: []
    windows:
      - name: hourly
        type: tumble
        size: 1 hour
      - { name: hourly, type: hop, size: 1h, slide: 2h }
    parallelism: many
  extra: 1
";
    assert_snapshot!(findings(text), @r#"
    job.yaml:3:7: error: metrics[0].name: is missing
    job.yaml:3:9: error: metrics[0].nam: unknown key "nam" (did you mean name?)
    job.yaml:3:30: error: metrics[0].type: one of Binary, Continuous, Count, Duration is expected, not "Continous" (did you mean Continuous?)
    job.yaml:4:33: error: metrics[1].winsorize: lower (5) is above upper (1)
    job.yaml:6:5: error: engine.sorces: unknown key "sorces" (did you mean sources?)
    job.yaml:10:15: error: engine.windows[0].size: a duration such as 500ms, 30s, 5m, 1h, 7d or 1h30m is expected, not "1 hour"
    job.yaml:11:17: error: engine.windows[1].name: the name "hourly" is taken by engine.windows[0]; names must differ
    job.yaml:12:18: error: engine.parallelism: a whole number from 1 to 1024 is expected, not "many"
    job.yaml:13:3: error: extra: unknown key "extra"; known here: settings, decorators, configurationPaths, trials, dataPlane, governance, metrics, experiments, engine, experimentFramework
    "#);
}

#[test]
fn rules_between_metrics() {
    let text = "\
metrics:
  - { name: a, attributionWindow: 1h }
  - { name: b }
  - { name: r, ratio: { numerator: a, denominator: b } }
  - { name: s, ratio: { numerator: r, denominator: c } }
  - { name: t, ratio: { numerator: a, denominator: a }, aggregation: sum, winsorize: { upper: 1 } }
  - { name: a }
  - { name: u, covariate: { metric: r } }
";
    assert_snapshot!(findings(text), @r#"
    job.yaml:4:21: error: metrics[2].ratio: numerator and denominator need the same attributionWindow; a has 1h, b has none of its own
    job.yaml:5:34: error: metrics[3].ratio.numerator: r is a ratio itself; name a metric that is none
    job.yaml:5:50: error: metrics[3].ratio.denominator: there is no metric "c" (did you mean a?)
    job.yaml:6:50: error: metrics[4].ratio.denominator: numerator and denominator are the same metric
    job.yaml:6:68: error: metrics[4].aggregation: a ratio has no aggregation of its own; its numerator and denominator have
    job.yaml:6:84: error: metrics[4].winsorize: a ratio has no winsorize of its own; its numerator and denominator have
    job.yaml:7:13: error: metrics[5].name: the name "a" is taken by metrics[0]; names must differ
    job.yaml:8:16: warning: metrics[6].covariate: is checked, but has no effect in this version
    job.yaml:8:35: error: metrics[6].covariate.metric: r is a ratio itself; name a metric that is none
    "#);
}

#[test]
fn rules_of_experiments() {
    let text = "\
metrics: [{ name: purchase }]
experiments:
  - name: Exp
    allocation: { control: 0.5, treatment: -1 }
  - name: exp
    allocation: { control: 0, treatment: 0 }
    metrics: [purchase, purchase, purchas]
    segments: [tenantId, platform, attributes.os, attributes.os]
  - name: dated
    allocation:
      - { shares: { a: 1 } }
      - { from: 2026-02-01T00:00:00Z, shares: { a: 1, b: 1 } }
      - { from: 2026-01-01T00:00:00Z, shares: {} }
      - { shares: { a: 1 } }
    control: aa
    startsAt: 2026-01-05
    plan: { endsAt: 2026-01-01T00:00:00Z, alpha: 1, looks: 5 }
  - name: half
    allocation: half
";
    assert_snapshot!(findings(text), @r#"
    job.yaml:4:44: error: experiments[0].allocation.treatment: a number, 0 or greater, is expected, not "-1"
    job.yaml:5:11: error: experiments[1].name: the name "exp" is taken by experiments[0]; names must differ
    job.yaml:6:17: error: experiments[1].allocation: the shares add up to 0; at least one must be greater
    job.yaml:7:25: error: experiments[1].metrics[1]: the metric "purchase" is listed twice
    job.yaml:7:35: error: experiments[1].metrics[2]: there is no metric "purchas" (did you mean purchase?)
    job.yaml:8:26: error: experiments[1].segments[1]: tenantId, subjectType or attributes.NAME is expected, not "platform"
    job.yaml:13:17: error: experiments[2].allocation[2].from: 2026-01-01T00:00:00Z is not after 2026-02-01T00:00:00Z; dates must rise
    job.yaml:13:47: error: experiments[2].allocation[2].shares: at least one variant is expected
    job.yaml:14:9: error: experiments[2].allocation[3]: `from` is missing; only the first entry may have none
    job.yaml:17:21: error: experiments[2].plan.endsAt: 2026-01-01T00:00:00Z is not after startsAt (2026-01-05T00:00:00Z)
    job.yaml:17:50: error: experiments[2].plan.alpha: a number between 0 and 1, both excluded, is expected, not "1"
    job.yaml:17:53: warning: experiments[2].plan.looks: is checked, but has no effect in this version
    job.yaml:17:60: error: experiments[2].plan.looks: looks belongs to design: groupSequential; this one is fixed
    job.yaml:19:17: error: experiments[3].allocation: shares by variant, as in { control: 0.5, treatment: 0.5 }, or a list of dated ones are expected, this is a single value
    "#);
}

#[test]
fn a_control_is_one_of_the_declared_variants() {
    let text = "\
experiments:
  - { name: e, allocation: { control: 1, treatment: 1 }, control: contrl }
  - { name: f, control: anything }
";
    assert_snapshot!(
        findings(text),
        @r#"job.yaml:2:67: error: experiments[0].control: there is no variant "contrl" (did you mean control?)"#
    );
}

#[test]
fn rules_of_the_engine() {
    let text = "\
engine:
  job: my job
  sources:
    - { type: stdin }
    - { type: stdin }
    - { type: kafka, options: { brokers: [localhost:9092] } }
    - { type: files }
    - { type: file, options: { paths: [] } }
    - { type: lake }
  time: { allowedLateness: 2h }
  crossovers: drop
  windows:
    - { name: cumulative, type: tumble, size: 1h }
    - { name: a, type: tumble, size: 1h, slide: 1h }
    - { name: b, type: hop, size: 1h }
    - { name: c, type: tumble, size: 1h, offset: 90m }
    - { name: d, type: tumble, size: 0s }
  evaluateEvery: 0s
  signals: { sampleRatioMismatch: { warning: 100, error: 10 } }
  queries:
    - { name: q, window: hourly, sql: select 1, sinks: [nowhere] }
    - { name: r, window: a, sql: '' }
  sinks:
    - { type: lake, options: { url: s3://key:hunter2@bucket/lake } }
    - { name: out, type: file, options: { path: out.ndjson }, take: [result] }
    - { name: out, type: webhook }
    - { name: again, type: file, options: { path: out.ndjson, append: true } }
  checkpoint: { url: file://relative }
  memory: 4096
  server: { http: 8080 }
";
    assert_snapshot!(findings(text), @r#""#);
}

#[test]
fn a_key_given_twice_is_an_error_also_where_keys_are_free() {
    let text = "\
engine: { job: a, job: b }
experiments:
  - { name: e, allocation: { a: 1, a: 2 }, metadata: { owner: x, owner: y } }
";
    assert_snapshot!(findings(text), @r#"
    job.yaml:1:19: error: engine.job: the key "job" is given twice
    job.yaml:3:36: error: experiments[0].allocation.a: the key "a" is given twice
    job.yaml:3:66: error: experiments[0].metadata.owner: the key "owner" is given twice
    "#);
}

#[test]
fn wrong_shapes_are_told_in_words() {
    let text = "\
metrics: purchase
experiments:
  -
  - [a]
engine: [1]
";
    assert_snapshot!(findings(text), @r#"
    job.yaml:1:10: error: metrics: a list is expected, this is a single value
    job.yaml:3:4: error: experiments[0]: a mapping is expected, this is nothing
    job.yaml:4:5: error: experiments[1]: a mapping is expected, this is a list
    job.yaml:5:9: error: engine: a mapping is expected, this is a list
    "#);
    assert_snapshot!(findings("- a\n"), @"job.yaml:1:1: error: a mapping is expected, this is a list");
}

#[test]
fn a_missing_variable_is_an_error_that_names_it_once() {
    let text = "engine: { parallelism: '${CORES}', job: '${JOB:-j}', memory: '${MEMORY:-64}' }\n";
    assert_snapshot!(findings(text), @r#"
    job.yaml:1:24: error: engine.parallelism: the environment variable CORES is not set; set it, or give a default: ${CORES:-...}
    job.yaml:1:62: error: engine.memory: a size such as 64MiB, 4GiB or 10MB is expected; a number needs its unit, not "${MEMORY:-64}"
    "#);
}

#[test]
fn no_error_shows_a_secret() {
    let text = "\
dataPlane:
  backplane:
    type: sqlServer
    options: { connectionString: [hunter2], batchSize: 0 }
governance:
  persistence: { type: sql, connectionStrin: hunter2, connectionString: '${GOVERNANCE_DB_CONNECTION}', provider: oracle }
engine:
  server: { auth: { tokens: hunter2 } }
  job: '${REDIS_CONNECTION}'
";
    let shown = findings(text);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_snapshot!(shown, @"");
}

#[test]
fn governance_that_lacks_what_its_type_needs_fails_closed() {
    let text = "\
governance:
  approvalGates:
    - { type: roleBased, toState: Running }
    - { type: manual, toState: Runing }
  policies:
    - { type: trafficLimit, minStableTime: 10m }
    - { type: timeWindow, allowedStartTime: '9' }
    - { type: errorRate, maxErrorRate: 5 }
    - { type: conflictPrevention }
  persistence: { type: redis }
";
    assert_snapshot!(findings(text), @"");
}

#[test]
fn rules_of_backplanes_are_those_that_their_servers_would_enforce() {
    let text = "\
dataPlane:
  samplingRate: 1.5
  backplane:
    type: composite
    backplanes:
      - { type: kafka, options: { brokers: a:1, acks: 1, maxInFlight: 6 } }
      - { type: kafka, options: { acks: some } }
      - { type: azureServiceBus, options: { connectionString: x, queueName: q, topicName: t } }
      - { type: kafak }
      - { type: logging, options: { level: info } }
      - { type: composite }
      - { type: custom, options: { anything: [goes] } }
";
    assert_snapshot!(findings(text), @"");
}

#[test]
fn the_rules_of_the_frameworks_own_sections_are_kept() {
    let text = "\
decorators: [{ type: custom }]
trials:
  - serviceType: IPay
    selectionMode: { type: featureFlag }
    control: { key: a, implementationType: A }
    conditions: [{ key: A, implementationType: B }]
    errorPolicy: { type: fallbackTo }
    activation: { from: 2026-02-01, until: 2026-01-01 }
experiments:
  - name: e
    hypothesis:
      name: h
      type: superiority
      nullHypothesis: none
      alternativeHypothesis: some
      primaryEndpoint: { name: p, outcomeType: binary, higherIsBetter: true, lowerIsBetter: true }
";
    assert_snapshot!(findings(text), @"");
}

#[test]
fn nothing_stands_beside_the_root_key() {
    assert_snapshot!(findings("experimentFramework: {}\nengine: {}\n"), @"");
    assert_snapshot!(findings("ExperimentFramework: {}\n"), @"");
}

#[test]
fn overrides_are_checked_like_the_document_and_say_so() {
    let mut document = Document::parse("job.yaml", "engine: { windows: [] }\n", Syntax::Yaml).unwrap();
    document.set("engine.parallelism", "0").unwrap();
    document.set("engine.windows[0]", "{ name: h, type: tumble, size: 1x }").unwrap();
    document.set("experimentFramework.engine.jobb", "j").unwrap();
    let error = document.load(&|_| None).unwrap_err().to_string();
    assert_snapshot!(error, @"");
}

#[test]
fn an_override_that_leads_nowhere_is_refused() {
    let mut document = Document::parse("job.yaml", "engine: { job: a, windows: [] }\n", Syntax::Yaml).unwrap();
    let refused = [("engine.job.name", "x"), ("engine.windows[1]", "{}"), ("engine..job", "x"), ("engine.job", "[")];
    let messages: Vec<String> = refused.iter().map(|(path, value)| document.set(path, value).unwrap_err().to_string()).collect();
    assert_snapshot!(messages.join("\n"), @"");
    assert_snapshot!(document.set_argument("engine.job").unwrap_err(), @"");
}

#[test]
fn a_document_that_cannot_be_read_is_one_clear_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let paths = [
        folder.path().join("missing.yaml"),
        folder.path().to_owned(),
        write("empty.yaml", b""),
        write("comments.yaml", b"# nothing yet\n"),
        write("binary.yaml", b"\x1f\x8b\x08\xff\xfe"),
        write("nul.yaml", b"a: \0"),
        write("broken.yaml", b"engine:\n  job: a\n bad\n"),
        write("broken.json", b"{ \"engine\": }"),
    ];
    let mut lines = Vec::new();
    for path in paths {
        let findings = validate(&path, &|_| None, &[] as &[&str]);
        assert_eq!(findings.len(), 1);
        lines.push(findings[0].to_string().replace(&folder.path().display().to_string(), "DIR"));
    }
    assert_snapshot!(lines.join("\n"), @"");
}

#[test]
fn a_document_without_sources_is_valid_and_not_runnable() {
    let loaded = load("engine:\n  job: a\n").unwrap();
    assert_snapshot!(loaded.check_runnable().unwrap_err(), @"");
    assert!(load("engine: { sources: [{ type: stdin }] }").unwrap().check_runnable().is_ok());
}

#[test]
fn findings_serialise_for_programs() {
    let loaded = load("engine: { sources: [{ type: stdin }] }").unwrap();
    assert_eq!(loaded.diagnostics[0].severity, Severity::Warning);
    assert_snapshot!(serde_json::to_string(&loaded.diagnostics).unwrap(), @"");
}
