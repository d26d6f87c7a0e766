//! Rules of `dataPlane`.

use super::Rules;
use crate::{scalar, tree::Node};

impl<'a> Rules<'a> {
    pub(super) fn data_plane(&mut self) {
        let tree: &'a Node = self.tree;
        if let Some(backplane) = tree.get("dataPlane").and_then(|data_plane| data_plane.get("backplane")) {
            self.backplane("dataPlane.backplane", backplane);
        }
    }

    fn backplane(&mut self, path: &str, backplane: &Node) {
        let kind = backplane.get("type").and_then(Node::text).unwrap_or_default();
        let parts_path = format!("{path}.backplanes");
        match (kind, backplane.get("backplanes")) {
            ("composite", None) => self.error(&parts_path, "is missing: a composite backplane is made of others"),
            ("composite", Some(parts)) => {
                for (index, part) in parts.items().iter().enumerate() {
                    self.backplane(&format!("{parts_path}[{index}]"), part);
                }
            }
            (_, Some(_)) if self.is_sound(&format!("{path}.type")) => {
                self.error(&parts_path, "only a backplane of type composite is made of others");
            }
            _ => {}
        }
        let Some(options) = backplane.get("options") else {
            return;
        };
        match kind {
            "kafka" => self.kafka(&format!("{path}.options"), options),
            "azureServiceBus" if options.get("queueName").is_some() && options.get("topicName").is_some() => {
                self.error(
                    &format!("{path}.options.topicName"),
                    "give either queueName or topicName",
                );
            }
            _ => {}
        }
    }

    /// What librdkafka refuses when a producer is made.
    fn kafka(&mut self, path: &str, options: &Node) {
        let text = |key: &str| options.get(key).and_then(Node::text);
        let is_idempotent = text("enableIdempotence").and_then(scalar::flag).unwrap_or(true);
        if !is_idempotent {
            return;
        }
        if matches!(text("acks"), Some("0" | "1")) {
            self.error(&format!("{path}.acks"), "must be all while enableIdempotence is true");
        }
        if text("maxInFlight")
            .and_then(scalar::integer)
            .is_some_and(|requests| requests > 5)
        {
            self.error(
                &format!("{path}.maxInFlight"),
                "may be at most 5 while enableIdempotence is true",
            );
        }
    }
}
