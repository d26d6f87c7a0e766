//! What must hold between values: unique names, references, orders.

mod data_plane;
mod engine;
mod experiments;
mod framework;
mod governance;
mod metrics;

use crate::{
    Config,
    diagnostic::{Findings, nearest},
    path,
    tree::{Node, Origin},
};

/// Checks a model and the effective tree that it was built from.
pub(crate) fn check(config: &Config, tree: &Node, findings: &mut Findings) {
    let mut rules = Rules { config, tree, findings };
    rules.metrics();
    rules.experiments();
    rules.engine();
    rules.data_plane();
    rules.governance();
    rules.framework();
}

struct Rules<'a> {
    config: &'a Config,
    tree: &'a Node,
    findings: &'a mut Findings,
}

impl Rules<'_> {
    /// Whether nothing is known to be wrong at a path, below it and with what it is a part of, so that rules there make sense.
    fn is_sound(&self, path: &str) -> bool {
        !self.findings.concern(path)
    }

    fn place(&self, path: &str) -> Origin {
        let steps = path::parse(path).unwrap_or_default();
        self.tree.place(&steps)
    }

    fn error(&mut self, path: &str, message: impl Into<String>) {
        let place = self.place(path);
        self.findings.error(&place, path, message);
    }

    fn warning(&mut self, path: &str, message: impl Into<String>) {
        let place = self.place(path);
        self.findings.warning(&place, path, message);
    }

    /// A name that refers to nothing; suggests the nearest of those that there are.
    fn unknown<'n>(&mut self, path: &str, what: &str, name: &str, known: impl Iterator<Item = &'n str> + Clone) {
        let suggestion = nearest(name, known.clone());
        let some: Vec<&str> = known.clone().take(10).collect();
        let message = match (suggestion, some.as_slice(), known.skip(10).count()) {
            (Some(_), _, _) => format!("there is no {what} {name:?}"),
            (None, [], _) => format!("there is no {what} {name:?}; none is declared"),
            (None, some, 0) => format!("there is no {what} {name:?}; there are {}", some.join(", ")),
            (None, some, more) => format!(
                "there is no {what} {name:?}; there are {} and {more} more",
                some.join(", ")
            ),
        };
        let place = self.place(path);
        self.findings.error_with_suggestion(&place, path, message, suggestion);
    }

    /// Names of a list, each at `list[i].name`, of which no two may be the same.
    fn unique_names<'n>(&mut self, list: &str, names: impl Iterator<Item = &'n str>, ignoring_case: bool) {
        let mut seen: std::collections::HashMap<String, usize> = std::collections::HashMap::new();
        for (index, name) in names.enumerate() {
            let path = format!("{list}[{index}].name");
            if name.is_empty() || !self.is_sound(&path) {
                continue;
            }
            let folded = if ignoring_case {
                name.to_lowercase()
            } else {
                name.to_owned()
            };
            match seen.get(&folded) {
                Some(first) => self.error(
                    &path,
                    format!("the name {name:?} is taken by {list}[{first}]; names must differ"),
                ),
                None => {
                    seen.insert(folded, index);
                }
            }
        }
    }
}
