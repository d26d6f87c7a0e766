//! A document against the tables: every key known, every value of its kind.
//!
//! The result is the effective tree: keys and names in their documented spelling and order, defaults filled in, secrets marked.

use std::collections::{HashMap, HashSet};

use crate::{
    diagnostic::{Findings, element, member, nearest},
    document::ROOT_KEY,
    scalar,
    secret::names_a_secret,
    shape::{Key, Kind, Options, Presence, Shape, Type},
    tables::{ALLOCATION_EPOCH, ROOT},
    tree::{Entry, Node, Origin, Value},
};

/// Checks a whole document, the root key taken off.
pub(crate) fn check(root: &Node, keys_in_any_case: bool, findings: &mut Findings) -> Node {
    Checker {
        keys_in_any_case,
        findings,
    }
    .object(root, &ROOT, "")
}

struct Checker<'a> {
    keys_in_any_case: bool,
    findings: &'a mut Findings,
}

impl Checker<'_> {
    /// A mapping of known keys.
    fn object(&mut self, node: &Node, shape: &'static Shape, path: &str) -> Node {
        let Value::Map(entries) = &node.value else {
            let message = format!("a mapping is expected, this is {}", node.kind_in_words());
            self.findings.error(&node.origin, path, message);
            return self.object(
                &Node::new(Value::Map(Vec::new()), node.origin.clone()),
                &UNCHECKED,
                path,
            );
        };
        let given = self.sort_out(entries, shape, path);
        let chosen = self.chosen_type(node, &given, shape, path);
        let mut effective = Vec::new();
        for key in shape.keys {
            let below = member(path, key.name);
            let found = given.get(key.name).filter(|entry| !entry.node.is_null());
            let checked = match found {
                Some(entry) => {
                    if key.without_effect {
                        self.findings.warning(
                            &entry.key_origin,
                            &below,
                            "is checked, but has no effect in this version",
                        );
                    }
                    Some((
                        entry.key_origin.clone(),
                        self.value(&entry.node, key.kind, chosen, &below),
                    ))
                }
                None => self
                    .absent(node, key, chosen, &below)
                    .map(|value| (Origin::Default, value)),
            };
            if let Some((key_origin, value)) = checked {
                effective.push(Entry {
                    key: key.name.to_owned(),
                    key_origin,
                    node: value,
                });
            }
        }
        Node::new(Value::Map(effective), node.origin.clone())
    }

    /// The entries by the table's spelling of their keys; reports the unknown and the repeated ones.
    fn sort_out<'n>(
        &mut self,
        entries: &'n [Entry],
        shape: &'static Shape,
        path: &str,
    ) -> HashMap<&'static str, &'n Entry> {
        let mut given: HashMap<&'static str, &Entry> = HashMap::new();
        for entry in entries {
            let same =
                |name: &str| name == entry.key || (self.keys_in_any_case && name.eq_ignore_ascii_case(&entry.key));
            match shape.keys.iter().find(|key| same(key.name)) {
                Some(key) if given.contains_key(key.name) => self.repeated(entry, path),
                Some(key) => {
                    given.insert(key.name, entry);
                }
                None => self.unknown(entry, shape, path),
            }
        }
        given
    }

    fn unknown(&mut self, entry: &Entry, shape: &'static Shape, path: &str) {
        let at_root = path.is_empty().then_some(ROOT_KEY);
        let names = shape.keys.iter().map(|key| key.name).chain(at_root);
        let suggestion = nearest(&entry.key, names.clone());
        let message = match suggestion {
            Some(_) => format!("unknown key {:?}", entry.key),
            None if shape.keys.is_empty() => format!("unknown key {:?}; there are none here", entry.key),
            None => format!(
                "unknown key {:?}; known here: {}",
                entry.key,
                names.collect::<Vec<_>>().join(", ")
            ),
        };
        self.findings
            .error_with_suggestion(&entry.key_origin, &member(path, &entry.key), message, suggestion);
    }

    fn repeated(&mut self, entry: &Entry, path: &str) {
        let message = format!("the key {:?} is given twice", entry.key);
        self.findings
            .error(&entry.key_origin, &member(path, &entry.key), message);
    }

    /// The type that the mapping's `type` names, if it has one and it is known.
    fn chosen_type(
        &mut self,
        node: &Node,
        given: &HashMap<&'static str, &Entry>,
        shape: &'static Shape,
        path: &str,
    ) -> Option<&'static Type> {
        let key = shape.keys.iter().find(|key| matches!(key.kind, Kind::TypeName))?;
        let default = match key.presence {
            Presence::Default(name) => Some(name),
            _ => None,
        };
        let entry = given.get(key.name).filter(|entry| !entry.node.is_null());
        let place = entry.map_or(&node.origin, |entry| &entry.node.origin);
        let name = entry.map_or(default, |entry| entry.node.text())?;
        let below = member(path, key.name);
        let known = shape.types.iter().find(|known| known.name.eq_ignore_ascii_case(name));
        let available = || {
            shape
                .types
                .iter()
                .filter(|known| known.available)
                .map(|known| known.name)
        };
        match known {
            Some(known) if !known.available => {
                let message = format!(
                    "{} is not available in this version; use {}",
                    known.name,
                    one_of(available())
                );
                self.findings.error(place, &below, message);
            }
            Some(_) => {}
            None => {
                let suggestion = nearest(name, shape.types.iter().map(|known| known.name));
                let shown = scalar::shown(entry.map(|entry| &entry.node), name);
                let message = format!("unknown type {shown}; use {}", one_of(available()));
                self.findings.error_with_suggestion(place, &below, message, suggestion);
            }
        }
        known
    }

    /// What holds for a key that was not given.
    fn absent(&mut self, parent: &Node, key: &Key, chosen: Option<&'static Type>, path: &str) -> Option<Node> {
        match (key.presence, key.kind) {
            (Presence::Required, _) => {
                self.findings.error(&parent.origin, path, "is missing");
                None
            }
            (Presence::Default(text), _) => Some(Node::plain(text, Origin::Default)),
            (Presence::Empty, Kind::Object(shape)) => {
                Some(self.object(&Node::new(Value::Map(Vec::new()), Origin::Default), shape, path))
            }
            (Presence::Empty, _) => Some(Node::new(Value::List(Vec::new()), Origin::Default)),
            // what a type requires is missed where the type stands
            (Presence::Optional, Kind::TypeOptions) => match chosen {
                Some(Type {
                    options: Options::Known(shape),
                    available: true,
                    ..
                }) => {
                    let nothing = Node::new(Value::Map(Vec::new()), parent.origin.clone());
                    let mut options = self.object(&nothing, shape, path);
                    options.origin = Origin::Default;
                    Some(options)
                }
                _ => None,
            },
            (Presence::Optional, _) => None,
        }
    }

    fn value(&mut self, node: &Node, kind: Kind, chosen: Option<&'static Type>, path: &str) -> Node {
        match kind {
            Kind::Object(shape) => self.object(node, shape, path),
            Kind::List { of, empty } => self.list(node, *of, empty, path),
            Kind::ListOrOne(of) => {
                if matches!(node.value, Value::Scalar { .. }) {
                    let one = self.value(node, *of, None, path);
                    return Node::new(Value::List(vec![one]), node.origin.clone());
                }
                self.list(node, *of, false, path)
            }
            Kind::TypeOptions => match chosen {
                Some(Type {
                    options: Options::Known(shape),
                    ..
                }) => self.object(node, shape, path),
                Some(_) => self.free_map(node, false, path),
                // the type is wrong, which has been said
                None => node.clone(),
            },
            // unknown types are reported where the type is chosen
            Kind::TypeName if node.text().is_some() => {
                let canonical = chosen.map_or_else(|| node.text().unwrap_or_default(), |known| known.name);
                Node {
                    substituted: node.substituted.clone(),
                    ..Node::quoted(canonical, node.origin.clone())
                }
            }
            Kind::Allocation => self.allocation(node, path),
            Kind::Shares => self.shares(node, path),
            Kind::FreeMap | Kind::TextMap => self.free_map(node, matches!(kind, Kind::TextMap), path),
            _ => self.scalar(node, kind, path),
        }
    }

    fn scalar(&mut self, node: &Node, kind: Kind, path: &str) -> Node {
        let mut effective = node.clone();
        effective.secret = matches!(kind, Kind::Secret);
        if node.substituted.as_ref().is_some_and(|substituted| substituted.failed) {
            return effective;
        }
        match scalar::check(&effective, kind) {
            Ok(canonical) => {
                if let (Some(canonical), Value::Scalar { text, .. }) = (canonical, &mut effective.value) {
                    canonical.clone_into(text);
                }
            }
            Err(wrong) => {
                self.findings
                    .error_with_suggestion(&node.origin, path, wrong.message, wrong.suggestion);
            }
        }
        effective
    }

    fn list(&mut self, node: &Node, of: Kind, may_be_empty: bool, path: &str) -> Node {
        let Value::List(items) = &node.value else {
            self.findings.error(
                &node.origin,
                path,
                format!("a list is expected, this is {}", node.kind_in_words()),
            );
            return Node::new(Value::List(Vec::new()), node.origin.clone());
        };
        if items.is_empty() && !may_be_empty {
            self.findings
                .error(&node.origin, path, "at least one entry is expected");
        }
        let checked = items
            .iter()
            .enumerate()
            .map(|(index, item)| self.value(item, of, None, &element(path, index)));
        let items = checked.collect();
        Node::new(Value::List(items), node.origin.clone())
    }

    fn allocation(&mut self, node: &Node, path: &str) -> Node {
        match node.value {
            Value::Map(_) => self.shares(node, path),
            Value::List(_) => self.list(node, Kind::Object(&ALLOCATION_EPOCH), false, path),
            _ => {
                let message = format!(
                    "shares by variant, as in {{ control: 0.5, treatment: 0.5 }}, or a list of dated ones are expected, this is {}",
                    node.kind_in_words()
                );
                self.findings.error(&node.origin, path, message);
                Node::new(Value::Map(Vec::new()), node.origin.clone())
            }
        }
    }

    fn shares(&mut self, node: &Node, path: &str) -> Node {
        let Value::Map(entries) = &node.value else {
            self.findings.error(
                &node.origin,
                path,
                format!("shares by variant are expected, this is {}", node.kind_in_words()),
            );
            return Node::new(Value::Map(Vec::new()), node.origin.clone());
        };
        self.repetitions(entries, path);
        let mut shares = Vec::new();
        for entry in entries {
            let below = member(path, &entry.key);
            if entry.key.is_empty() {
                self.findings.error(&entry.key_origin, &below, "a variant has no name");
            }
            let share = self.scalar(&entry.node, Kind::NOT_NEGATIVE, &below);
            shares.push(Entry {
                key: entry.key.clone(),
                key_origin: entry.key_origin.clone(),
                node: share,
            });
        }
        Node::new(Value::Map(shares), node.origin.clone())
    }

    /// A mapping with keys of the user's own.
    fn free_map(&mut self, node: &Node, text_only: bool, path: &str) -> Node {
        let Value::Map(entries) = &node.value else {
            self.findings.error(
                &node.origin,
                path,
                format!("a mapping is expected, this is {}", node.kind_in_words()),
            );
            return Node::new(Value::Map(Vec::new()), node.origin.clone());
        };
        if text_only {
            for entry in entries
                .iter()
                .filter(|entry| !matches!(entry.node.value, Value::Scalar { .. }))
            {
                let message = format!("text is expected, this is {}", entry.node.kind_in_words());
                self.findings
                    .error(&entry.node.origin, &member(path, &entry.key), message);
            }
        }
        self.free(node, path)
    }

    /// Anything; repeated keys are errors even so, and what looks like a secret is one.
    fn free(&mut self, node: &Node, path: &str) -> Node {
        let mut effective = node.clone();
        self.free_below(&mut effective, false, path);
        effective
    }

    fn free_below(&mut self, node: &mut Node, secret: bool, path: &str) {
        node.secret = secret;
        match &mut node.value {
            Value::Null | Value::Scalar { .. } => {}
            Value::List(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.free_below(item, secret, &element(path, index));
                }
            }
            Value::Map(entries) => {
                self.repetitions(entries, path);
                for entry in entries {
                    let secret = secret || names_a_secret(&entry.key);
                    self.free_below(&mut entry.node, secret, &member(path, &entry.key));
                }
            }
        }
    }

    fn repetitions(&mut self, entries: &[Entry], path: &str) {
        let mut seen: HashSet<&str> = HashSet::new();
        for entry in entries {
            if !seen.insert(&entry.key) {
                self.repeated(entry, path);
            }
        }
    }
}

/// Stands in for a mapping that is none, so that no key is missed in it.
static UNCHECKED: Shape = Shape::new("unchecked", "", &[]);

fn one_of<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, before)) => format!("{} or {last}", before.join(", ")),
        None => String::new(),
    }
}
