//! What `config show` prints, and round trips.

// helpers of tests may panic as tests do
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;

use backplane_config::{Config, Document, Secret, Syntax};
use common::{environment, load};
use insta::assert_snapshot;

const TEXT: &str = "\
experimentFramework:
  engine:
    job: ${JOB:-checkout}
    sources: [{ type: stdin }]
    parallelism: 2
    server: { auth: { tokens: ['${REDIS_CONNECTION}', plain-token] } }
  dataPlane:
    backplane:
      type: Kafka
      options:
        brokers: a:9092
        additionalConfig: { sasl.password: hunter2, client.dns.lookup: use_all_dns_ips }
";

#[test]
fn every_value_in_force_is_shown_with_its_origin_and_secrets_masked() {
    let mut document = Document::parse("job.yaml", TEXT, Syntax::Yaml).unwrap();
    document.set("engine.time.maxOutOfOrderness", "2s").unwrap();
    let loaded = document.load(&environment).unwrap();
    let shown = loaded.effective.to_string();
    for hidden in ["hunter2", "plain-token"] {
        assert!(!shown.contains(hidden), "{shown}");
        assert!(!format!("{loaded:?}").contains(hidden));
        assert!(
            !serde_json::to_string(&loaded.effective.values())
                .unwrap()
                .contains(hidden)
        );
        assert!(!serde_json::to_string(&loaded.config).unwrap().contains(hidden));
    }
    assert_eq!(loaded.config.engine.server.auth.tokens[1], Secret::new("plain-token"));
    assert_snapshot!(shown, @r#"
    dataPlane:
      enableExposureEvents: true                             # default
      enableAssignmentEvents: true                           # default
      enableOutcomeEvents: true                              # default
      enableAnalysisSignals: true                            # default
      enableErrorEvents: true                                # default
      exposureSemantics: onDecision                          # default
      samplingRate: 1                                        # default
      batchSize: 100                                         # default
      flushIntervalMs: 10000                                 # default
      maxQueueSize: 10000                                    # default
      failureMode: drop                                      # default
      backplane:
        type: kafka                                          # job.yaml:9
        options:
          brokers:
            - "a:9092"                                       # job.yaml:11
          additionalConfig:
            sasl.password: "***"                             # job.yaml:12
            client.dns.lookup: use_all_dns_ips               # job.yaml:12
    metrics: []                                              # default
    experiments: []                                          # default
    engine:
      job: checkout                                          # environment JOB, job.yaml:3
      sources:
        - name: stdin                                        # default
          type: stdin                                        # job.yaml:4
          options:
            format: ndjson                                   # default
      time:
        maxOutOfOrderness: 2s                                # --set
        idleTimeout: 60s                                     # default
        allowedLateness: 5m                                  # default
        correctionHorizon: 1h                                # default
        maxFutureSkew: 1h                                    # default
      crossovers: exclude                                    # default
      windows: []                                            # default
      emitEvery: 10s                                         # default
      evaluateEvery: 1m                                      # default
      signals:
        sampleRatioMismatch:
          warning: 100                                       # default
          error: 1000                                        # default
          errorDeviation: 0.001                              # default
          minimumSubjects: 100                               # default
          minimumDeviation: 0                                # default
        peeking:
          alpha: 0.05                                        # default
          distinctLook: 0.005                                # default
          burnIn: 100                                        # default
        resolveAfter: 30m                                    # default
      queries: []                                            # default
      sinks: []                                              # default
      deadLetter:
        type: file                                           # default
        options:
          path: dead-letters.ndjson                          # default
      checkpoint:
        interval: 10s                                        # default
        retain: 5                                            # default
      parallelism: 2                                         # job.yaml:5
      memory: 4GiB                                           # default
      server:
        auth:
          tokens:
            - "***"                                          # environment REDIS_CONNECTION, job.yaml:6
            - "***"                                          # job.yaml:6
    "#);
}

/// A document made of a configuration, without warnings.
fn again(text: &str, syntax: Syntax) -> Config {
    Document::parse("again", text, syntax)
        .unwrap()
        .load(&|_| None)
        .unwrap_or_else(|error| panic!("{error}\n{text}"))
        .config
}

#[test]
fn what_is_shown_and_what_is_serialised_load_to_the_same_configuration() {
    let texts = [
        include_str!("../../../examples/config/checkout.yaml").to_owned(),
        include_str!("../../../examples/config/replay.yaml").to_owned(),
        include_str!("samples/kafka-backplane-example.yaml").to_owned(),
        include_str!("samples/12-governance-with-inmemory-persistence.yaml").to_owned(),
        "experiments: [{ name: \"a: 'b' # $${c}\\n\\t\\u0007\", allocation: { 'x.y': 1, \"null\": 2, '1': 3 } }]"
            .to_owned(),
        "engine: { job: 'no', windows: [{ name: '-', type: tumble, size: 1h }], queries: [{ name: '-', window: '-', sql: \"select 'a'\\n\" }] }".to_owned(),
    ];
    for text in texts {
        let loaded = load(&text).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(again(&loaded.effective.to_string(), Syntax::Yaml), loaded.config);
        let json = serde_json::to_string_pretty(&loaded.config).unwrap().replace('$', "$$");
        assert_eq!(again(&json, Syntax::Json), loaded.config);
    }
}

#[test]
fn the_same_document_has_the_same_fingerprint_however_it_is_written() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/config/checkout.yaml");
    let loaded = Config::load(&path, &|_| None, &["engine.parallelism=7"]).unwrap();
    let shown = again(&loaded.effective.to_string(), Syntax::Yaml);
    assert_eq!(shown.fingerprint(), loaded.config.fingerprint());
    let other = Config::load(
        &path,
        &|_| None,
        &["engine.crossovers=lastVariant", "experiments[0].attributionWindow=2h"],
    )
    .unwrap();
    assert_eq!(
        other
            .config
            .fingerprint()
            .changed_since(loaded.config.fingerprint().parts()),
        ["crossovers", "experiments"]
    );
}
