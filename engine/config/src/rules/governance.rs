//! Rules of `governance`: a gate or policy that lacks what its type needs is an error, never skipped.

use super::Rules;
use crate::tree::Node;

impl<'a> Rules<'a> {
    pub(super) fn governance(&mut self) {
        let tree: &'a Node = self.tree;
        let Some(governance) = tree.get("governance") else {
            return;
        };
        for (index, gate) in governance
            .get("approvalGates")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .enumerate()
        {
            if matches!(gate.get("type").and_then(Node::text), Some("roleBased" | "role-based")) {
                self.needs(
                    gate,
                    &format!("governance.approvalGates[{index}]"),
                    "a roleBased gate",
                    &["allowedRoles"],
                );
            }
        }
        for (index, policy) in governance
            .get("policies")
            .map(Node::items)
            .unwrap_or_default()
            .iter()
            .enumerate()
        {
            let path = format!("governance.policies[{index}]");
            match policy.get("type").and_then(Node::text) {
                Some("trafficLimit" | "traffic-limit") => {
                    self.needs(policy, &path, "a trafficLimit policy", &["maxTrafficPercentage"]);
                }
                Some("errorRate" | "error-rate") => self.needs(policy, &path, "an errorRate policy", &["maxErrorRate"]),
                Some("timeWindow" | "time-window") => {
                    self.needs(
                        policy,
                        &path,
                        "a timeWindow policy",
                        &["allowedStartTime", "allowedEndTime"],
                    );
                }
                Some("conflictPrevention" | "conflict-prevention") => {
                    self.needs(
                        policy,
                        &path,
                        "a conflictPrevention policy",
                        &["conflictingExperiments"],
                    );
                }
                _ => {}
            }
        }
        if let Some(persistence) = governance.get("persistence")
            && matches!(persistence.get("type").and_then(Node::text), Some("sql" | "redis"))
        {
            self.needs(
                persistence,
                "governance.persistence",
                "persistence of this type",
                &["connectionString"],
            );
        }
    }

    fn needs(&mut self, node: &Node, path: &str, what: &str, keys: &[&str]) {
        for key in keys {
            if node.get(key).is_none() {
                self.error(&format!("{path}.{key}"), format!("is missing: {what} needs it"));
            }
        }
    }
}
