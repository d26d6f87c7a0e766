//! The typed model of a checked tree.
//!
//! Reading never fails: what is wrong has been reported by the check, and where something was reported the model is not given away. A
//! wrong value reads as the kind's default, so that the rules can still look at everything else; lists keep their length, so that
//! indexes in the model are those of the document.

use std::path::PathBuf;

use crate::{
    Aggregation, AllocationEpoch, Auth, ByteSize, Checkpoint, Config, Correction, Covariate, Crossovers, DeadLetter,
    Design, Engine, Experiment, FileSink, FileSource, Format, LakeSink, LakeSource, Metric, MetricDefinition,
    MetricType, Micros, Peeking, Plan, Query, Role, SampleRatioMismatch, Secret, Section, Segment, Server, Signals,
    Sink, SinkKind, Source, SourceKind, Spending, StdinSource, StorageUrl, Take, TerminalSink, Time, Timestamp, Window,
    WindowKind, Winsorize, scalar,
    tree::{Node, Origin, Value},
};

/// The model of a checked tree with its defaults filled in.
pub(crate) fn config(root: &Node) -> Config {
    Config {
        data_plane: root.get("dataPlane").cloned().map(Section),
        governance: root.get("governance").cloned().map(Section),
        metrics: list(root, "metrics", metric),
        experiments: list(root, "experiments", experiment),
        engine: engine(part(root, "engine")),
    }
}

fn metric(node: &Node) -> Metric {
    let definition = match node.get("ratio") {
        Some(ratio) => MetricDefinition::Ratio {
            numerator: text(ratio, "numerator"),
            denominator: text(ratio, "denominator"),
        },
        None => MetricDefinition::Fold {
            metric_type: named(node, "type", MetricType::from_name).unwrap_or(MetricType::Continuous),
            aggregation: named(node, "aggregation", Aggregation::from_name).unwrap_or(Aggregation::Sum),
            winsorize: node
                .get("winsorize")
                .map(|caps| Winsorize {
                    lower: real(caps, "lower"),
                    upper: real(caps, "upper"),
                })
                .unwrap_or_default(),
        },
    };
    let covariate = |node: &Node| Covariate {
        metric: text(node, "metric"),
        period: duration(node, "period"),
    };
    Metric {
        name: text(node, "name"),
        definition,
        attribution_window: read(node, "attributionWindow", |text| Micros::parse(text).ok()),
        higher_is_better: flag(node, "higherIsBetter"),
        role: named(node, "role", Role::from_name).unwrap_or(Role::Goal),
        tolerance: real(node, "tolerance"),
        margin: real(node, "margin"),
        covariate: node.get("covariate").map(covariate),
    }
}

fn experiment(node: &Node) -> Experiment {
    let allocation = match node.get("allocation") {
        Some(
            shares @ Node {
                value: Value::Map(_), ..
            },
        ) => vec![AllocationEpoch {
            from: None,
            shares: weights(shares),
        }],
        Some(Node {
            value: Value::List(epochs),
            ..
        }) => epochs.iter().map(allocation_epoch).collect(),
        _ => Vec::new(),
    };
    Experiment {
        name: text(node, "name"),
        allocation,
        control: node.get("control").and_then(Node::text).map(str::to_owned),
        metrics: node.get("metrics").map(texts_of),
        attribution_window: read(node, "attributionWindow", |text| Micros::parse(text).ok()),
        starts_at: instant(node, "startsAt"),
        segments: node
            .get("segments")
            .map(texts_of)
            .unwrap_or_default()
            .iter()
            .filter_map(|text| Segment::parse(text))
            .collect(),
        plan: node.get("plan").map(plan),
    }
}

fn allocation_epoch(node: &Node) -> AllocationEpoch {
    AllocationEpoch {
        from: instant(node, "from"),
        shares: weights(part(node, "shares")),
    }
}

fn weights(shares: &Node) -> Vec<(String, f64)> {
    let weight = |node: &Node| node.text().and_then(scalar::real).unwrap_or_default();
    shares
        .entries()
        .iter()
        .map(|entry| (entry.key.clone(), weight(&entry.node)))
        .collect()
}

fn plan(node: &Node) -> Plan {
    let default = Plan::default();
    Plan {
        subjects_per_variant: count(node, "subjectsPerVariant"),
        ends_at: instant(node, "endsAt"),
        alpha: real(node, "alpha").unwrap_or(default.alpha),
        power: real(node, "power").unwrap_or(default.power),
        minimum_effect: real(node, "minimumEffect"),
        correction: named(node, "correction", Correction::from_name).unwrap_or(default.correction),
        design: named(node, "design", Design::from_name).unwrap_or(default.design),
        looks: count(node, "looks").and_then(|looks| u32::try_from(looks).ok()),
        spending: named(node, "spending", Spending::from_name),
    }
}

fn engine(node: &Node) -> Engine {
    Engine {
        job: text(node, "job"),
        sources: list(node, "sources", source),
        time: time(part(node, "time")),
        crossovers: named(node, "crossovers", Crossovers::from_name).unwrap_or(Crossovers::Exclude),
        windows: list(node, "windows", window),
        emit_every: duration(node, "emitEvery"),
        evaluate_every: duration(node, "evaluateEvery"),
        signals: signals(part(node, "signals")),
        queries: list(node, "queries", query),
        sinks: list(node, "sinks", sink),
        dead_letter: dead_letter(part(node, "deadLetter")),
        checkpoint: checkpoint(part(node, "checkpoint")),
        parallelism: count(node, "parallelism")
            .and_then(|shards| usize::try_from(shards).ok())
            .unwrap_or(1),
        memory: read(node, "memory", |text| ByteSize::parse(text).ok()).unwrap_or_default(),
        server: server(part(node, "server")),
    }
}

fn source(node: &Node) -> Source {
    let options = part(node, "options");
    let format = named(options, "format", Format::from_name).unwrap_or_default();
    let kind = match node.get("type").and_then(Node::text) {
        Some("file") => SourceKind::File(FileSource {
            paths: texts(options, "paths"),
            follow: flag(options, "follow"),
            format,
        }),
        Some("lake") => SourceKind::Lake(LakeSource { url: storage(options) }),
        _ => SourceKind::Stdin(StdinSource { format }),
    };
    Source {
        name: text(node, "name"),
        kind,
    }
}

fn sink(node: &Node) -> Sink {
    let options = part(node, "options");
    let kind = match node.get("type").and_then(Node::text) {
        Some("lake") => SinkKind::Lake(LakeSink { url: storage(options) }),
        Some("file") => SinkKind::File(FileSink {
            path: PathBuf::from(text(options, "path")),
        }),
        _ => SinkKind::Terminal(TerminalSink {}),
    };
    let mut take: Vec<Take> = texts(node, "take")
        .iter()
        .filter_map(|name| Take::from_name(name))
        .collect();
    take.sort_unstable();
    take.dedup();
    Sink {
        name: text(node, "name"),
        kind,
        take,
        counts_as_look: flag(node, "countsAsLook"),
    }
}

fn dead_letter(node: &Node) -> DeadLetter {
    DeadLetter::file(text(part(node, "options"), "path"))
}

fn time(node: &Node) -> Time {
    Time {
        max_out_of_orderness: duration(node, "maxOutOfOrderness"),
        idle_timeout: duration(node, "idleTimeout"),
        allowed_lateness: duration(node, "allowedLateness"),
        correction_horizon: duration(node, "correctionHorizon"),
        max_future_skew: duration(node, "maxFutureSkew"),
    }
}

fn window(node: &Node) -> Window {
    let size = duration(node, "size");
    let kind = match node.get("type").and_then(Node::text) {
        Some("hop") => WindowKind::Hop {
            size,
            slide: duration(node, "slide"),
        },
        _ => WindowKind::Tumble { size },
    };
    Window {
        name: text(node, "name"),
        kind,
        offset: duration(node, "offset"),
    }
}

fn signals(node: &Node) -> Signals {
    let srm = part(node, "sampleRatioMismatch");
    let peeking = part(node, "peeking");
    Signals {
        sample_ratio_mismatch: SampleRatioMismatch {
            warning: real(srm, "warning").unwrap_or_default(),
            error: real(srm, "error").unwrap_or_default(),
            error_deviation: real(srm, "errorDeviation").unwrap_or_default(),
            minimum_subjects: count(srm, "minimumSubjects").unwrap_or_default(),
            minimum_deviation: real(srm, "minimumDeviation").unwrap_or_default(),
        },
        peeking: Peeking {
            alpha: real(peeking, "alpha").unwrap_or_default(),
            distinct_look: real(peeking, "distinctLook").unwrap_or_default(),
            burn_in: count(peeking, "burnIn").unwrap_or_default(),
        },
        resolve_after: duration(node, "resolveAfter"),
    }
}

fn query(node: &Node) -> Query {
    Query {
        name: text(node, "name"),
        window: text(node, "window"),
        sql: text(node, "sql"),
        sinks: texts(node, "sinks"),
    }
}

fn checkpoint(node: &Node) -> Checkpoint {
    Checkpoint {
        interval: duration(node, "interval"),
        url: read(node, "url", |text| StorageUrl::parse_remote(text).ok()),
        retain: count(node, "retain")
            .and_then(|retain| u32::try_from(retain).ok())
            .unwrap_or_default(),
    }
}

fn server(node: &Node) -> Server {
    let tokens = part(part(node, "auth"), "tokens");
    Server {
        http: read(node, "http", |text| text.parse().ok()),
        sql: read(node, "sql", |text| text.parse().ok()),
        auth: Auth {
            tokens: tokens.items().iter().filter_map(Node::text).map(Secret::new).collect(),
        },
    }
}

fn list<T>(node: &Node, key: &str, item: fn(&Node) -> T) -> Vec<T> {
    node.get(key)
        .map(|list| list.items().iter().map(item).collect())
        .unwrap_or_default()
}

/// The mapping under a key; an empty one where there is none.
fn part<'a>(node: &'a Node, key: &str) -> &'a Node {
    static NOTHING: Node = Node {
        value: Value::Map(Vec::new()),
        origin: Origin::Default,
        substituted: None,
        secret: false,
    };
    node.get(key).unwrap_or(&NOTHING)
}

fn read<T>(node: &Node, key: &str, parse: impl Fn(&str) -> Option<T>) -> Option<T> {
    node.get(key).and_then(Node::text).and_then(parse)
}

fn named<T>(node: &Node, key: &str, from_name: fn(&str) -> Option<T>) -> Option<T> {
    read(node, key, from_name)
}

fn text(node: &Node, key: &str) -> String {
    node.get(key).and_then(Node::text).unwrap_or_default().to_owned()
}

fn texts(node: &Node, key: &str) -> Vec<String> {
    node.get(key).map(texts_of).unwrap_or_default()
}

fn texts_of(list: &Node) -> Vec<String> {
    list.items().iter().filter_map(Node::text).map(str::to_owned).collect()
}

fn flag(node: &Node, key: &str) -> bool {
    read(node, key, scalar::flag).unwrap_or_default()
}

fn count(node: &Node, key: &str) -> Option<u64> {
    read(node, key, scalar::integer).and_then(|value| u64::try_from(value).ok())
}

fn real(node: &Node, key: &str) -> Option<f64> {
    read(node, key, scalar::real)
}

fn duration(node: &Node, key: &str) -> Micros {
    read(node, key, |text| Micros::parse(text).ok()).unwrap_or_default()
}

fn instant(node: &Node, key: &str) -> Option<Timestamp> {
    read(node, key, |text| Timestamp::parse(text).ok())
}

fn storage(options: &Node) -> StorageUrl {
    read(options, "url", |text| StorageUrl::parse(text).ok()).unwrap_or_else(|| StorageUrl::local(""))
}
