//! Rules of the sections that this engine leaves alone: those of the framework's own validator.

use super::Rules;
use crate::{Timestamp, scalar, tree::Node};

impl<'a> Rules<'a> {
    pub(super) fn framework(&mut self) {
        let tree: &'a Node = self.tree;
        for (index, decorator) in items(tree, "decorators").iter().enumerate() {
            if text(decorator, "type") == Some("custom") && decorator.get("typeName").is_none() {
                self.error(
                    &format!("decorators[{index}].typeName"),
                    "is missing: a custom decorator needs it",
                );
            }
        }
        self.trials(tree, "");
        for (index, experiment) in items(tree, "experiments").iter().enumerate() {
            let path = format!("experiments[{index}].");
            self.trials(experiment, &path);
            self.activation(experiment, &path);
            if let Some(hypothesis) = experiment.get("hypothesis") {
                self.hypothesis(hypothesis, &format!("{path}hypothesis"));
            }
        }
    }

    fn trials(&mut self, parent: &Node, prefix: &str) {
        for (index, trial) in items(parent, "trials").iter().enumerate() {
            let path = format!("{prefix}trials[{index}].");
            self.selection_mode(trial, &path);
            let keys = self.conditions(trial, &path);
            self.error_policy(trial, &path, &keys);
            self.activation(trial, &path);
        }
    }

    fn selection_mode(&mut self, trial: &Node, prefix: &str) {
        let Some(mode) = trial.get("selectionMode") else { return };
        let needed = match text(mode, "type") {
            Some("featureFlag") => "flagName",
            Some("configurationKey") => "key",
            Some("custom") => "modeIdentifier",
            _ => return,
        };
        if mode.get(needed).is_none() {
            self.error(
                &format!("{prefix}selectionMode.{needed}"),
                "is missing: this selection mode needs it",
            );
        }
    }

    /// The keys of all conditions; no two may be the same.
    fn conditions(&mut self, trial: &Node, prefix: &str) -> Vec<String> {
        let control = trial.get("control").and_then(|control| text(control, "key"));
        let mut keys: Vec<String> = control.map(str::to_lowercase).into_iter().collect();
        for (index, condition) in items(trial, "conditions").iter().enumerate() {
            let Some(key) = text(condition, "key") else { continue };
            if keys.contains(&key.to_lowercase()) {
                self.error(
                    &format!("{prefix}conditions[{index}].key"),
                    format!("the key {key:?} is taken; keys must differ"),
                );
            }
            keys.push(key.to_lowercase());
        }
        keys
    }

    fn error_policy(&mut self, trial: &Node, prefix: &str, keys: &[String]) {
        let Some(policy) = trial.get("errorPolicy") else { return };
        let path = format!("{prefix}errorPolicy");
        match text(policy, "type") {
            Some("fallbackTo") if policy.get("fallbackKey").is_none() => {
                self.error(&format!("{path}.fallbackKey"), "is missing: fallbackTo needs it");
            }
            Some("tryInOrder") if items(policy, "fallbackKeys").is_empty() => {
                self.error(
                    &format!("{path}.fallbackKeys"),
                    "is missing: tryInOrder needs at least one",
                );
            }
            _ => {}
        }
        let single = text(policy, "fallbackKey").map(|key| (format!("{path}.fallbackKey"), key));
        let listed = items(policy, "fallbackKeys").iter().enumerate();
        let listed =
            listed.filter_map(|(index, key)| key.text().map(|key| (format!("{path}.fallbackKeys[{index}]"), key)));
        for (key_path, key) in single.into_iter().chain(listed) {
            if !keys.contains(&key.to_lowercase()) {
                self.warning(&key_path, format!("there is no condition {key:?}"));
            }
        }
    }

    fn activation(&mut self, parent: &Node, prefix: &str) {
        let Some(activation) = parent.get("activation") else {
            return;
        };
        let instant = |key: &str| text(activation, key).and_then(|text| Timestamp::parse(text).ok());
        if let (Some(from), Some(until)) = (instant("from"), instant("until"))
            && until <= from
        {
            self.error(
                &format!("{prefix}activation.until"),
                format!("{until} is not after from ({from})"),
            );
        }
    }

    fn hypothesis(&mut self, hypothesis: &Node, path: &str) {
        let primary = hypothesis
            .get("primaryEndpoint")
            .map(|endpoint| (format!("{path}.primaryEndpoint"), endpoint));
        let secondary = items(hypothesis, "secondaryEndpoints").iter().enumerate();
        let secondary = secondary.map(|(index, endpoint)| (format!("{path}.secondaryEndpoints[{index}]"), endpoint));
        for (endpoint_path, endpoint) in primary.into_iter().chain(secondary) {
            let is_true = |key: &str| text(endpoint, key).and_then(scalar::flag) == Some(true);
            if is_true("higherIsBetter") && is_true("lowerIsBetter") {
                self.error(
                    &format!("{endpoint_path}.lowerIsBetter"),
                    "higher and lower cannot both be better",
                );
            }
        }
    }
}

fn items<'n>(node: &'n Node, key: &str) -> &'n [Node] {
    node.get(key).map(Node::items).unwrap_or_default()
}

fn text<'n>(node: &'n Node, key: &str) -> Option<&'n str> {
    node.get(key).and_then(Node::text)
}
