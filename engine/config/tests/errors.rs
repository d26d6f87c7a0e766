//! Every kind of error, with its exact place and words.

// helpers of tests may panic as tests do
#![allow(clippy::unwrap_used, clippy::panic)]

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
    job.yaml:11:53: error: engine.windows[1].slide: 2h is longer than the size (1h); events between two windows would be in none
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
    job.yaml:4:23: error: metrics[2].ratio: numerator and denominator need the same attributionWindow; a has 1h, b has none of its own
    job.yaml:5:36: error: metrics[3].ratio.numerator: r is a ratio itself; name a metric that is none
    job.yaml:5:52: error: metrics[3].ratio.denominator: there is no metric "c"; there are a, b, r, s, t, a, u
    job.yaml:6:52: error: metrics[4].ratio.denominator: numerator and denominator are the same metric
    job.yaml:6:70: error: metrics[4].aggregation: a ratio has no aggregation of its own; its numerator and denominator have
    job.yaml:6:86: error: metrics[4].winsorize: a ratio has no winsorize of its own; its numerator and denominator have
    job.yaml:7:13: error: metrics[5].name: the name "a" is taken by metrics[0]; names must differ
    job.yaml:8:16: warning: metrics[6].covariate: is checked, but has no effect in this version
    job.yaml:8:37: error: metrics[6].covariate.metric: r is a ratio itself; name a metric that is none
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
    assert_snapshot!(findings(text), @r#"
    job.yaml:2:8: error: engine.job: a job's name has at most 100 letters, digits, dots, dashes and underscores, and begins with no dot
    job.yaml:5:15: error: engine.sources[1].type: standard input can be read only once
    job.yaml:6:15: error: engine.sources[2].type: kafka is not available in this version; use file, stdin or lake
    job.yaml:7:15: error: engine.sources[3].type: unknown type "files"; use file, stdin or lake (did you mean file?)
    job.yaml:8:39: error: engine.sources[4].options.paths: at least one entry is expected
    job.yaml:9:7: error: engine.sources[5].options.url: is missing
    job.yaml:10:28: error: engine.time.allowedLateness: 2h is longer than correctionHorizon (1h); a window cannot wait for records that no longer count
    job.yaml:11:15: error: engine.crossovers: one of exclude, firstVariant, lastVariant is expected, not "drop"
    job.yaml:13:15: error: engine.windows[0].name: the name cumulative is taken by the experiment to date, which is always there
    job.yaml:14:49: error: engine.windows[1].slide: tumble windows have no slide; leave it out, or use type: hop
    job.yaml:15:7: error: engine.windows[2].slide: is missing: hop windows need it
    job.yaml:16:50: error: engine.windows[3].offset: 1h30m is not less than 1h, after which windows repeat
    job.yaml:17:38: error: engine.windows[4].size: a duration longer than zero is expected
    job.yaml:18:18: error: engine.evaluateEvery: a duration longer than zero is expected
    job.yaml:19:58: error: engine.signals.sampleRatioMismatch.error: 10 is less than warning (100)
    job.yaml:21:26: error: engine.queries[0].window: there is no window "hourly"; there are cumulative, a, b, c, d
    job.yaml:21:57: error: engine.queries[0].sinks[0]: there is no sink "nowhere"; there are lake, out, out, again
    job.yaml:22:34: error: engine.queries[1].sql: text is expected, not ""
    job.yaml:24:37: error: engine.sinks[0].options.url: s3 storage is not available in this version; use a path or file:///path
    job.yaml:25:70: error: engine.sinks[1].take[0]: one of events, results, signals, late, deadLetters is expected, not "result" (did you mean results?)
    job.yaml:26:15: error: engine.sinks[2].name: the name "out" is taken by engine.sinks[1]; names must differ
    job.yaml:26:26: error: engine.sinks[2].type: webhook is not available in this version; use lake, file or terminal
    job.yaml:27:51: error: engine.sinks[3].options.path: this place is that of engine.sinks[1] already; use another one
    job.yaml:27:63: error: engine.sinks[3].options.append: unknown key "append"; known here: path
    job.yaml:28:22: error: engine.checkpoint.url: a file URL needs three slashes and an absolute path: file:///path
    job.yaml:29:11: error: engine.memory: a size such as 64MiB, 4GiB or 10MB is expected; a number needs its unit, not "4096"
    job.yaml:30:3: warning: engine.server: is checked, but has no effect in this version
    job.yaml:30:19: error: engine.server.http: an address and port such as 127.0.0.1:8080 is expected, not "8080"
    "#);
}

#[test]
fn checkpoints_may_be_on_an_object_store_and_no_url_is_repeated_that_may_hold_credentials() {
    let with = |url: &str| format!("engine: {{ checkpoint: {{ url: '{url}' }} }}");
    let config = load(&with("s3://bucket/path")).unwrap().config;
    assert_eq!(config.engine.checkpoint.url.unwrap().as_str(), "s3://bucket/path");
    assert_snapshot!(findings(&with("s3://id:hunter2@bucket/path")), @r"
    job.yaml:1:30: error: engine.checkpoint.url: the URL holds a user name or a password; put credentials into the environment of the job, and leave them out here
    ");
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
    assert_snapshot!(shown, @r#"
    job.yaml:1:1: warning: dataPlane: is checked, but has no effect in this version
    job.yaml:4:34: error: dataPlane.backplane.options.connectionString: text is expected, this is a list
    job.yaml:4:56: error: dataPlane.backplane.options.batchSize: a whole number, 1 or greater, is expected, not "0"
    job.yaml:5:1: warning: governance: is checked, but has no effect in this version
    job.yaml:6:29: error: governance.persistence.connectionStrin: unknown key "connectionStrin" (did you mean connectionString?)
    job.yaml:6:114: error: governance.persistence.provider: one of sqlserver, postgresql, sqlite, custom is expected, not "oracle"
    job.yaml:8:3: warning: engine.server: is checked, but has no effect in this version
    job.yaml:8:29: error: engine.server.auth.tokens: a list is expected, this is a single value
    job.yaml:9:8: error: engine.job: a job's name has at most 100 letters, digits, dots, dashes and underscores, and begins with no dot
    "#);
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
    assert_snapshot!(findings(text), @r#"
    job.yaml:1:1: warning: governance: is checked, but has no effect in this version
    job.yaml:3:7: error: governance.approvalGates[0].allowedRoles: is missing: a roleBased gate needs it
    job.yaml:4:32: error: governance.approvalGates[1].toState: one of Draft, PendingApproval, Approved, Running, Ramping, Paused, RolledBack, Archived, Rejected is expected, not "Runing" (did you mean Running?)
    job.yaml:6:7: error: governance.policies[0].maxTrafficPercentage: is missing: a trafficLimit policy needs it
    job.yaml:6:44: error: governance.policies[0].minStableTime: a length of time such as 00:30:00 (hh:mm:ss) is expected, not "10m"
    job.yaml:7:7: error: governance.policies[1].allowedEndTime: is missing: a timeWindow policy needs it
    job.yaml:7:45: error: governance.policies[1].allowedStartTime: a time of day such as 09:00 is expected, not "9"
    job.yaml:8:40: error: governance.policies[2].maxErrorRate: a number from 0 to 1 is expected, not "5"
    job.yaml:9:7: error: governance.policies[3].conflictingExperiments: is missing: a conflictPrevention policy needs it
    job.yaml:10:16: error: governance.persistence.connectionString: is missing: persistence of this type needs it
    "#);
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
    assert_snapshot!(findings(text), @r#"
    job.yaml:1:1: warning: dataPlane: is checked, but has no effect in this version
    job.yaml:2:17: error: dataPlane.samplingRate: a number from 0 to 1 is expected, not "1.5"
    job.yaml:6:55: error: dataPlane.backplane.backplanes[0].options.acks: must be all while enableIdempotence is true
    job.yaml:6:71: error: dataPlane.backplane.backplanes[0].options.maxInFlight: may be at most 5 while enableIdempotence is true
    job.yaml:7:33: error: dataPlane.backplane.backplanes[1].options.brokers: is missing
    job.yaml:7:41: error: dataPlane.backplane.backplanes[1].options.acks: one of all, -1, 1, 0 is expected, not "some"
    job.yaml:8:91: error: dataPlane.backplane.backplanes[2].options.topicName: give either queueName or topicName
    job.yaml:9:17: error: dataPlane.backplane.backplanes[3].type: unknown type "kafak"; use inMemory, logging, openTelemetry, kafka, azureServiceBus, sqlServer, composite or custom (did you mean kafka?)
    job.yaml:10:37: error: dataPlane.backplane.backplanes[4].options.level: unknown key "level"; there are none here
    job.yaml:11:9: error: dataPlane.backplane.backplanes[5].backplanes: is missing: a composite backplane is made of others
    "#);
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
    assert_snapshot!(findings(text), @r#"
    job.yaml:1:14: error: decorators[0].typeName: is missing: a custom decorator needs it
    job.yaml:4:20: error: trials[0].selectionMode.flagName: is missing: this selection mode needs it
    job.yaml:6:25: error: trials[0].conditions[0].key: the key "A" is taken; keys must differ
    job.yaml:7:18: error: trials[0].errorPolicy.fallbackKey: is missing: fallbackTo needs it
    job.yaml:8:44: error: trials[0].activation.until: 2026-01-01T00:00:00Z is not after from (2026-02-01T00:00:00Z)
    job.yaml:12:7: error: experiments[0].hypothesis.successCriteria: is missing
    job.yaml:16:93: error: experiments[0].hypothesis.primaryEndpoint.lowerIsBetter: higher and lower cannot both be better
    "#);
}

#[test]
fn nothing_stands_beside_the_root_key() {
    assert_snapshot!(findings("experimentFramework: {}\nengine: {}\n"), @r#"job.yaml:2:1: error: engine: unknown key "engine" beside experimentFramework; move it under that key"#);
    assert_snapshot!(findings("ExperimentFramework: {}\n"), @r#"job.yaml:1:1: error: ExperimentFramework: unknown key "ExperimentFramework" (did you mean experimentFramework?)"#);
}

#[test]
fn overrides_are_checked_like_the_document_and_say_so() {
    let mut document = Document::parse("job.yaml", "engine: { windows: [] }\n", Syntax::Yaml).unwrap();
    document.set("engine.parallelism", "0").unwrap();
    document
        .set("engine.windows[0]", "{ name: h, type: tumble, size: 1x }")
        .unwrap();
    document.set("experimentFramework.engine.jobb", "j").unwrap();
    let error = document.load(&|_| None).unwrap_err().to_string();
    assert_snapshot!(error, @r#"
    --set: error: engine.jobb: unknown key "jobb" (did you mean job?)
    --set: error: engine.windows[0].size: a duration such as 500ms, 30s, 5m, 1h, 7d or 1h30m is expected, not "1x"
    --set: error: engine.parallelism: a whole number from 1 to 1024 is expected, not "0"
    "#);
}

#[test]
fn an_override_that_leads_nowhere_is_refused() {
    let mut document = Document::parse("job.yaml", "engine: { job: a, windows: [] }\n", Syntax::Yaml).unwrap();
    let refused = [
        ("engine.job.name", "x"),
        ("engine.windows[1]", "{}"),
        ("engine..job", "x"),
        ("engine.job", "["),
    ];
    let messages: Vec<String> = refused
        .iter()
        .map(|(path, value)| document.set(path, value).unwrap_err().to_string())
        .collect();
    assert_snapshot!(messages.join("\n"), @r#"
    --set engine.job.name: name cannot be set in a single value
    --set engine.windows[1]: the list has 0 entries; [0] adds one
    --set engine..job: a key is missing in the path; write it as in engine.windows[0].size
    --set engine.job: the value is no YAML: this is not YAML: unclosed bracket '['
    "#);
    assert_snapshot!(document.set_argument("engine.job").unwrap_err(), @"--set engine.job: an equals sign is missing; write path=value");
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
        lines.push(
            findings[0]
                .to_string()
                .replace(&folder.path().display().to_string(), "DIR"),
        );
    }
    assert_snapshot!(lines.join("\n"), @r#"
    DIR/missing.yaml: error: there is no such file; check the path
    DIR: error: this is a folder; name the file in it
    DIR/empty.yaml: error: the file is empty; `backplane schema` says what can stand in it
    DIR/comments.yaml: error: the configuration is empty; `backplane schema` says what can stand in it
    DIR/binary.yaml: error: the file is not text in UTF-8; check the path
    DIR/nul.yaml: error: the file is not text; check the path
    DIR/broken.yaml:3:2: error: a key is expected; is the line indented as those it belongs to?
    DIR/broken.json:1:13: error: a value is expected here: text needs double quotes
    "#);
}

#[test]
fn a_document_without_sources_is_valid_and_not_runnable() {
    let loaded = load("engine:\n  job: a\n").unwrap();
    assert_snapshot!(loaded.check_runnable().unwrap_err(), @"job.yaml:2:3: error: engine.sources: there is nothing to run; name at least one source");
    assert!(
        load("engine: { sources: [{ type: stdin }] }")
            .unwrap()
            .check_runnable()
            .is_ok()
    );
}

#[test]
fn findings_serialise_for_programs() {
    let loaded = load("engine: { server: { http: '127.0.0.1:8080' } }").unwrap();
    assert_eq!(loaded.diagnostics[0].severity, Severity::Warning);
    assert_snapshot!(serde_json::to_string(&loaded.diagnostics).unwrap(), @r#"[{"severity":"warning","file":"job.yaml","line":1,"column":11,"path":"engine.server","message":"is checked, but has no effect in this version"}]"#);
}
