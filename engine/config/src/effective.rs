//! The configuration in force, with the origin of every value: what `config show` prints.

use std::fmt;

use serde::Serialize;

use crate::{
    diagnostic::{Diagnostic, element, member},
    path,
    secret::MASK,
    tree::{Node, Origin, Value},
};

/// Where the comments of [`Effective`]'s text begin, if the value leaves room.
const COMMENT_COLUMN: usize = 56;

/// The configuration in force.
///
/// Its `Display` is a YAML document with every value in force, defaults too, and its origin as a comment; secrets are masked. Without
/// secrets, loading that document gives the same configuration again.
pub struct Effective {
    file: String,
    root: Node,
}

/// One value in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EffectiveValue {
    /// The place, as in findings: `engine.windows[0].size`.
    pub path: String,
    /// The value as text, `***` for a secret; `[]` and `{}` for an empty list and mapping.
    pub value: String,
    /// `default`, `file:line`, `--set`, or `environment NAME, file:line`.
    pub origin: String,
}

impl Effective {
    pub(crate) fn new(file: String, root: Node) -> Self {
        Self { file, root }
    }

    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    pub(crate) fn place(&self, path: &str) -> Origin {
        self.root.place(&path::parse(path).unwrap_or_default())
    }

    /// An error at a path such as `engine.queries[0].sql`, for what only the engine can find wrong.
    #[must_use]
    pub fn error(&self, path: &str, message: String) -> Diagnostic {
        Diagnostic::error(&self.file, &self.place(path), path, message)
    }

    /// Every value in document order.
    #[must_use]
    pub fn values(&self) -> Vec<EffectiveValue> {
        let mut values = Vec::new();
        self.collect(&self.root, "", &mut values);
        values
    }

    fn collect(&self, node: &Node, path: &str, values: &mut Vec<EffectiveValue>) {
        match &node.value {
            Value::List(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    self.collect(item, &element(path, index), values);
                }
            }
            Value::Map(entries) if !entries.is_empty() => {
                for entry in entries {
                    self.collect(&entry.node, &member(path, &entry.key), values);
                }
            }
            _ => {
                let value = if node.secret {
                    MASK.to_owned()
                } else {
                    node.text().map_or_else(|| inline(node), str::to_owned)
                };
                values.push(EffectiveValue {
                    path: path.to_owned(),
                    value,
                    origin: self.origin(node),
                });
            }
        }
    }

    fn origin(&self, node: &Node) -> String {
        let place = match &node.origin {
            Origin::File { line, .. } => format!("{}:{line}", self.file),
            Origin::Set => "--set".to_owned(),
            Origin::Default => "default".to_owned(),
        };
        match &node.substituted {
            Some(substituted) if !substituted.variables.is_empty() => {
                format!("environment {}, {place}", substituted.variables.join(", "))
            }
            _ => place,
        }
    }

    /// The lines of a node that does not fit on the line of its key.
    fn block(&self, formatter: &mut fmt::Formatter<'_>, node: &Node, indent: usize, first_indent: &str) -> fmt::Result {
        let mut lead = first_indent.to_owned();
        let next_lead = " ".repeat(indent);
        match &node.value {
            Value::Map(entries) => {
                for entry in entries {
                    self.entry(
                        formatter,
                        &format!("{lead}{}:", scalar(&entry.key)),
                        &entry.node,
                        indent + 2,
                    )?;
                    lead.clone_from(&next_lead);
                }
            }
            Value::List(items) => {
                for item in items {
                    let dash = format!("{lead}-");
                    if is_block(item) && matches!(item.value, Value::Map(_)) {
                        self.block(formatter, item, indent + 2, &format!("{dash} "))?;
                    } else {
                        self.entry(formatter, &dash, item, indent + 2)?;
                    }
                    lead.clone_from(&next_lead);
                }
            }
            Value::Null | Value::Scalar { .. } => {}
        }
        Ok(())
    }

    fn entry(&self, formatter: &mut fmt::Formatter<'_>, head: &str, node: &Node, indent: usize) -> fmt::Result {
        if is_block(node) {
            writeln!(formatter, "{head}")?;
            return self.block(formatter, node, indent, &" ".repeat(indent));
        }
        let line = format!("{head} {}", inline(node));
        writeln!(
            formatter,
            "{line:<COMMENT_COLUMN$} # {}",
            self.origin(node).replace(char::is_control, " ")
        )
    }
}

fn is_block(node: &Node) -> bool {
    match &node.value {
        Value::List(items) => !items.is_empty(),
        Value::Map(entries) => !entries.is_empty(),
        Value::Null | Value::Scalar { .. } => false,
    }
}

fn inline(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Scalar { .. } if node.secret => format!("\"{MASK}\""),
        Value::Scalar { text, .. } => scalar(text),
        Value::List(_) => "[]".to_owned(),
        Value::Map(_) => "{}".to_owned(),
    }
}

/// A text as YAML that reads as the same text, a dollar sign doubled.
fn scalar(text: &str) -> String {
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-' | '/');
    let is_plain = text.starts_with(|letter: char| letter.is_ascii_alphanumeric() || letter == '/')
        && text.chars().all(is_word)
        && !matches!(text.to_ascii_lowercase().as_str(), "null" | "yes" | "no" | "on" | "off");
    let is_number = text.parse::<f64>().is_ok_and(f64::is_finite);
    if is_plain || is_number {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '$' => quoted.push_str("$$"),
            letter if letter.is_control() || matches!(letter, '\u{2028}' | '\u{2029}' | '\u{feff}') => {
                quoted.push_str(&format!("\\u{:04x}", u32::from(letter)));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

/// The values, secrets masked.
impl fmt::Debug for Effective {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.values()).finish()
    }
}

impl fmt::Display for Effective {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.block(formatter, &self.root, 0, "")
    }
}
