//! Defaults that depend on other values or on the machine.

use crate::{
    Aggregation, MetricType, Take,
    model::available_cores,
    tree::{Entry, Node, Origin, Value},
};

/// Fills in, in the effective tree, what the tables alone cannot say.
pub(crate) fn fill(root: &mut Node) {
    if let Some(metrics) = root.get_mut("metrics") {
        metrics.items_mut().iter_mut().for_each(metric);
    }
    let Some(engine) = root.get_mut("engine") else { return };
    default(
        engine,
        "parallelism",
        Node::plain(available_cores().to_string(), Origin::Default),
    );
    for list in ["sources", "sinks"] {
        if let Some(outlets) = engine.get_mut(list) {
            names_by_type(outlets.items_mut());
        }
    }
    for sink in engine.get_mut("sinks").map(Node::items_mut).unwrap_or_default() {
        let sink_type = sink.get("type").and_then(Node::text).unwrap_or_default();
        let take = Take::default_of(sink_type)
            .iter()
            .map(|take| Node::quoted(take.name(), Origin::Default))
            .collect();
        default(sink, "take", Node::new(Value::List(take), Origin::Default));
    }
}

fn metric(metric: &mut Node) {
    if metric.get("ratio").is_some() {
        return;
    }
    default(
        metric,
        "type",
        Node::quoted(MetricType::Continuous.name(), Origin::Default),
    );
    let is_binary = metric.get("type").and_then(Node::text) == Some(MetricType::Binary.name());
    let aggregation = if is_binary { Aggregation::Any } else { Aggregation::Sum };
    default(metric, "aggregation", Node::quoted(aggregation.name(), Origin::Default));
}

/// Names what has no name by its type, with a number where that name is taken.
fn names_by_type(outlets: &mut [Node]) {
    let mut taken: Vec<String> = outlets
        .iter()
        .filter_map(|outlet| outlet.get("name").and_then(Node::text).map(str::to_owned))
        .collect();
    for outlet in outlets {
        if outlet.get("name").is_some() {
            continue;
        }
        let Some(outlet_type) = outlet.get("type").and_then(Node::text).map(str::to_owned) else {
            continue;
        };
        let mut name = outlet_type.clone();
        let mut number = 2;
        while taken.contains(&name) {
            name = format!("{outlet_type}-{number}");
            number += 1;
        }
        if let Value::Map(entries) = &mut outlet.value {
            let node = Node::quoted(name.clone(), Origin::Default);
            entries.insert(
                0,
                Entry {
                    key: "name".to_owned(),
                    key_origin: Origin::Default,
                    node,
                },
            );
        }
        taken.push(name);
    }
}

fn default(node: &mut Node, key: &str, value: Node) {
    if let (None, Value::Map(entries)) = (node.get(key).map(|_| ()), &mut node.value) {
        entries.push(Entry {
            key: key.to_owned(),
            key_origin: Origin::Default,
            node: value,
        });
    }
}
