//! YAML text to a positioned tree.
//!
//! The parser gives events with their places and never recurses; what is bounded here is what a short text can make of itself by
//! aliases and nesting.

use std::collections::HashMap;

use serde_saphyr::granit_parser::{ErrorKind, Event, Marker, Options, Parser, ScalarStyle, ScanError, Tag, options};

use crate::tree::{Entry, Node, Origin, Style, Value};

/// Why a text is no document: one sentence and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub origin: Origin,
    pub message: String,
}

/// How deep a document may nest.
pub(crate) const MAX_DEPTH: usize = 64;

/// How many keys and values a document may have, aliases counted each time they are used.
pub(crate) const MAX_NODES: usize = 100_000;

pub(crate) fn too_many_nodes(origin: Origin) -> SyntaxError {
    SyntaxError {
        origin,
        message: format!("the document has more than {MAX_NODES} values, aliases counted"),
    }
}

/// The tree of the one document in `text`; none if there is nothing but comments.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, SyntaxError> {
    let mut builder = Builder::default();
    for next in Parser::new_from_str_with_options(text, limits()) {
        let (event, span) = next.map_err(|error| not_yaml(&error))?;
        builder.take(event, &origin(&span.start))?;
    }
    Ok(builder.root)
}

fn not_yaml(error: &ScanError) -> SyntaxError {
    if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
        return too_deep(&origin(error.marker()));
    }
    let message = match error.kind() {
        ErrorKind::UnknownAnchor => "this alias names nothing; text that begins with * needs quotes".to_owned(),
        ErrorKind::UnexpectedCharacter { character } => {
            format!("text may not begin with {character:?} here; put it in quotes")
        }
        ErrorKind::TabInIndentation | ErrorKind::TabInBlockIndentation | ErrorKind::TabNotAllowed => {
            "tabs do not indent; use spaces".to_owned()
        }
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator => {
            "a comma or the closing bracket is expected; text with brackets, braces or commas in it, also ${NAME}, needs quotes".to_owned()
        }
        ErrorKind::ExpectedBlockMappingKey => "a key is expected; is the line indented as those it belongs to?".to_owned(),
        ErrorKind::SimpleKeyExpected => "a key without a colon and a value".to_owned(),
        kind => format!("this is not YAML: {kind}"),
    };
    SyntaxError {
        origin: origin(error.marker()),
        message,
    }
}

fn limits() -> Options {
    // one more than ours, so that the sentence is ours
    let mut limits = options! { flow_nesting_limit: MAX_DEPTH + 1, block_nesting_limit: MAX_DEPTH + 1 };
    limits.set_emit_comments(false);
    limits
}

fn origin(marker: &Marker) -> Origin {
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    Origin::File {
        line: number(marker.line()),
        column: number(marker.col().saturating_add(1)),
    }
}

/// A collection that has begun and not ended.
struct Open {
    collection: Collection,
    origin: Origin,
    anchor: usize,
}

enum Collection {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        key: Option<(String, Origin)>,
    },
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    documents: usize,
    root: Option<Node>,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, origin: &Origin) -> Result<(), SyntaxError> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(error(origin, "a second document begins here; one is expected"));
                }
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let node = scalar(&text, style, tag.as_deref(), origin)?;
                self.finish(node, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                refuse_custom(tag.as_deref(), origin)?;
                self.begin(Collection::List(Vec::new()), origin, anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                refuse_custom(tag.as_deref(), origin)?;
                self.begin(
                    Collection::Map {
                        entries: Vec::new(),
                        key: None,
                    },
                    origin,
                    anchor,
                )
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(node) if self.open.len() + node.depth() > MAX_DEPTH => Err(too_deep(origin)),
                Some(node) => self.finish(node.clone(), 0),
                None => Err(error(origin, "an alias may not stand inside what it repeats")),
            },
            _ => Ok(()),
        }
    }

    fn begin(&mut self, collection: Collection, origin: &Origin, anchor: usize) -> Result<(), SyntaxError> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(origin));
        }
        if let Some(Open {
            collection: Collection::Map { key: None, .. },
            ..
        }) = self.open.last()
        {
            return Err(error(origin, "a key must be plain text"));
        }
        self.open.push(Open {
            collection,
            origin: origin.clone(),
            anchor,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), SyntaxError> {
        let Some(Open {
            collection,
            origin,
            anchor,
        }) = self.open.pop()
        else {
            return Ok(());
        };
        let value = match collection {
            Collection::List(items) => Value::List(items),
            Collection::Map { entries, .. } => Value::Map(entries),
        };
        // the children were counted when they were finished
        self.attach(Node::new(value, origin), anchor, 1)
    }

    fn finish(&mut self, node: Node, anchor: usize) -> Result<(), SyntaxError> {
        let weight = node.weight();
        self.attach(node, anchor, weight)
    }

    fn attach(&mut self, node: Node, anchor: usize, weight: usize) -> Result<(), SyntaxError> {
        // an anchored node is kept a second time
        self.nodes += if anchor > 0 { weight + node.weight() } else { weight };
        if self.nodes > MAX_NODES {
            return Err(too_many_nodes(node.origin));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.collection) {
            None => self.root = if node.is_null() { None } else { Some(node) },
            Some(Collection::List(items)) => items.push(node),
            Some(Collection::Map { entries, key }) => match key.take() {
                Some((key, key_origin)) => entries.push(Entry { key, key_origin, node }),
                None => *key = Some(as_key(node)?),
            },
        }
        Ok(())
    }
}

fn as_key(node: Node) -> Result<(String, Origin), SyntaxError> {
    match node.value {
        Value::Scalar {
            text,
            style: Style::Plain,
        } if text == "<<" => Err(error(
            &node.origin,
            "merge keys (<<) are not supported; repeat the keys, or alias the whole value",
        )),
        Value::Scalar { text, .. } => Ok((text, node.origin)),
        Value::Null => Err(error(&node.origin, "a key is missing")),
        Value::List(_) | Value::Map(_) => Err(error(&node.origin, "a key must be plain text")),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, origin: &Origin) -> Result<Node, SyntaxError> {
    refuse_custom(tag, origin)?;
    let is_text = style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
    if is_text {
        return Ok(Node::quoted(text, origin.clone()));
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Node::new(Value::Null, origin.clone()),
        _ => Node::plain(text, origin.clone()),
    })
}

fn refuse_custom(tag: Option<&Tag>, origin: &Origin) -> Result<(), SyntaxError> {
    match tag {
        Some(tag) if tag.core_suffix().is_none() => Err(error(origin, "tags have no meaning here; leave it out")),
        _ => Ok(()),
    }
}

fn too_deep(origin: &Origin) -> SyntaxError {
    error(origin, &format!("the document nests deeper than {MAX_DEPTH} levels"))
}

fn error(origin: &Origin, message: &str) -> SyntaxError {
    SyntaxError {
        origin: origin.clone(),
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> String {
        match parse(text) {
            Err(SyntaxError {
                origin: Origin::File { line, column },
                message,
            }) => format!("{line}:{column}: {message}"),
            other => format!("{:?}", other.map(|_| ())),
        }
    }

    #[test]
    fn every_key_and_value_has_its_place() {
        let root = parse("a:\n  - b: \"ü\" # c\n    d: {e: 1}\n").unwrap().unwrap();
        let item = root.get("a").and_then(|list| list.items().first()).unwrap();
        let entry = &item.entries()[1];
        assert_eq!(
            (entry.key.as_str(), &entry.key_origin),
            ("d", &Origin::File { line: 3, column: 5 })
        );
        let inner = &entry.node.entries()[0];
        assert_eq!(
            (inner.node.text(), &inner.node.origin),
            (Some("1"), &Origin::File { line: 3, column: 12 })
        );
    }

    #[test]
    fn null_is_told_from_the_text_null() {
        let root = parse("a: null\nb: 'null'\nc:\nd: !!str null\n").unwrap().unwrap();
        let texts: Vec<Option<&str>> = root.entries().iter().map(|entry| entry.node.text()).collect();
        assert_eq!(texts, [None, Some("null"), None, Some("null")]);
    }

    #[test]
    fn an_alias_repeats_what_it_names() {
        let root = parse("a: &x {b: [1, 2]}\nc: *x\n").unwrap().unwrap();
        assert!(root.get("a") == root.get("c"));
    }

    #[test]
    fn what_is_no_document_is_refused_with_its_place() {
        assert_eq!(
            message("a: 1\n---\nb: 2\n"),
            "2:1: a second document begins here; one is expected"
        );
        assert_eq!(message("? [a]\n: b\n"), "1:3: a key must be plain text");
        assert_eq!(
            message("a: &x [*x]\n"),
            "1:8: an alias may not stand inside what it repeats"
        );
        assert_eq!(
            message("a: !thing 1\n"),
            "1:11: tags have no meaning here; leave it out"
        );
        assert!(message("a:\n  <<: {b: 1}\n").starts_with("2:3: merge keys"));
        assert!(
            message("a: [1, 2\nb: 3\n").starts_with("2:"),
            "{}",
            message("a: [1, 2\nb: 3\n")
        );
        assert!(parse("# nothing\n").unwrap().is_none());
    }

    #[test]
    fn an_alias_bomb_and_deep_nesting_are_refused_at_once() {
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..40 {
            let before = level - 1;
            bomb.push_str(&format!(
                "a{level}: &a{level} [*a{before}, *a{before}, *a{before}, *a{before}, *a{before}]\n"
            ));
        }
        assert!(message(&bomb).contains("more than 100000 values"), "{}", message(&bomb));
        assert!(
            message(&"[".repeat(1_000_000)).contains("nests deeper"),
            "{}",
            message(&"[".repeat(1_000_000))
        );
        let mut chain = "a0: &a0 [x]\n".to_owned();
        for level in 1..200 {
            chain.push_str(&format!("a{level}: &a{level} [*a{}]\n", level - 1));
        }
        assert!(message(&chain).contains("nests deeper"), "{}", message(&chain));
        let block: String = (0..1000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
        assert!(message(&block).contains("nests deeper"), "{}", message(&block));
    }
}
