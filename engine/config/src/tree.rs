//! The document as a tree in which every key and value knows where it came from.

use std::fmt;

use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

use crate::secret::MASK;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// The document, line and column from 1, columns in characters.
    File {
        /// The line.
        line: u32,
        /// The column.
        column: u32,
    },
    /// A `--set` option.
    Set,
    /// No one gave it: the default.
    Default,
}

/// A value and where it came from.
#[derive(Clone)]
pub(crate) struct Node {
    pub value: Value,
    pub origin: Origin,
    /// The environment variables that this scalar took text from, and the text before they were put in.
    pub substituted: Option<Substituted>,
    /// Whether the position holds a secret.
    pub secret: bool,
}

/// What a scalar was before the environment was put in.
#[derive(Clone)]
pub(crate) struct Substituted {
    pub written: String,
    pub variables: Vec<String>,
    /// Whether something could not be put in, which has been reported.
    pub failed: bool,
}

#[derive(Clone)]
pub(crate) enum Value {
    Null,
    Scalar { text: String, style: Style },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// How a scalar was written: only a plain one can be anything but text for sure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Quoted,
}

#[derive(Clone)]
pub(crate) struct Entry {
    pub key: String,
    pub key_origin: Origin,
    pub node: Node,
}

impl Node {
    pub fn new(value: Value, origin: Origin) -> Self {
        Self {
            value,
            origin,
            substituted: None,
            secret: false,
        }
    }

    pub fn plain(text: impl Into<String>, origin: Origin) -> Self {
        Self::new(
            Value::Scalar {
                text: text.into(),
                style: Style::Plain,
            },
            origin,
        )
    }

    pub fn quoted(text: impl Into<String>, origin: Origin) -> Self {
        Self::new(
            Value::Scalar {
                text: text.into(),
                style: Style::Quoted,
            },
            origin,
        )
    }

    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ => &[],
        }
    }

    pub fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            _ => &[],
        }
    }

    /// The value under a key, if there is one that is not null.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entries()
            .iter()
            .find(|entry| entry.key == key)
            .map(|entry| &entry.node)
            .filter(|node| !node.is_null())
    }

    pub fn items_mut(&mut self) -> &mut [Node] {
        match &mut self.value {
            Value::List(items) => items,
            _ => &mut [],
        }
    }

    pub fn get_mut(&mut self, key: &str) -> Option<&mut Node> {
        match &mut self.value {
            Value::Map(entries) => entries
                .iter_mut()
                .find(|entry| entry.key == key)
                .map(|entry| &mut entry.node),
            _ => None,
        }
    }

    /// Says of everything here that it came from there.
    pub fn set_origin(&mut self, origin: &Origin) {
        self.origin = origin.clone();
        match &mut self.value {
            Value::Null | Value::Scalar { .. } => {}
            Value::List(items) => items.iter_mut().for_each(|item| item.set_origin(origin)),
            Value::Map(entries) => {
                for entry in entries {
                    entry.key_origin = origin.clone();
                    entry.node.set_origin(origin);
                }
            }
        }
    }

    /// How many nodes this is, with all below.
    pub fn weight(&self) -> usize {
        match &self.value {
            Value::Null | Value::Scalar { .. } => 1,
            Value::List(items) => 1 + items.iter().map(Node::weight).sum::<usize>(),
            Value::Map(entries) => 1 + entries.iter().map(|entry| 1 + entry.node.weight()).sum::<usize>(),
        }
    }

    /// How many collections stand in one another here; 0 for a scalar.
    pub fn depth(&self) -> usize {
        let below = |depths: &mut dyn Iterator<Item = usize>| depths.max().unwrap_or(0);
        match &self.value {
            Value::Null | Value::Scalar { .. } => 0,
            Value::List(items) => 1 + below(&mut items.iter().map(Node::depth)),
            Value::Map(entries) => 1 + below(&mut entries.iter().map(|entry| entry.node.depth())),
        }
    }

    /// Where the value at a path came from; where there is none, or only a default, the nearest place above it that was written.
    pub fn place(&self, steps: &[Step]) -> Origin {
        let mut node = self;
        let mut place = self.origin.clone();
        for step in steps {
            let next = match step {
                Step::Key(key) => node.get(key),
                Step::Index(index) => node.items().get(*index),
            };
            let Some(below) = next else { break };
            node = below;
            if node.origin != Origin::Default {
                place = node.origin.clone();
            }
        }
        place
    }

    /// What the value is, in words, for messages.
    pub fn kind_in_words(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Scalar { .. } => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }
}

impl PartialEq for Node {
    /// Of values; where they came from and how they were quoted does not matter.
    fn eq(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Scalar { text: left, .. }, Value::Scalar { text: right, .. }) => left == right,
            (Value::List(left), Value::List(right)) => left == right,
            (Value::Map(left), Value::Map(right)) => {
                left.len() == right.len()
                    && left
                        .iter()
                        .zip(right)
                        .all(|(one, two)| one.key == two.key && one.node == two.node)
            }
            _ => false,
        }
    }
}

/// Plain JSON, secrets masked. A plain scalar that is a number or a truth value in JSON is written as one.
impl Serialize for Node {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.value {
            Value::Null => serializer.serialize_none(),
            Value::Scalar { .. } if self.secret => serializer.serialize_str(MASK),
            Value::Scalar {
                text,
                style: Style::Quoted,
            } => serializer.serialize_str(text),
            Value::Scalar {
                text,
                style: Style::Plain,
            } => match serde_json::from_str::<serde_json::Value>(text) {
                Ok(value) if value.is_number() || value.is_boolean() => value.serialize(serializer),
                _ => serializer.serialize_str(text),
            },
            Value::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Value::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for entry in entries {
                    map.serialize_entry(&entry.key, &entry.node)?;
                }
                map.end()
            }
        }
    }
}

/// A part of the document that was checked in shape and is kept as it is.
///
/// It serialises to plain JSON with secrets masked; two are equal when their values are.
#[derive(Clone, PartialEq)]
pub struct Section(pub(crate) Node);

impl Serialize for Section {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl fmt::Debug for Section {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}
