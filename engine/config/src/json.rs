//! JSON text to a positioned tree. Comments and trailing commas are allowed, as the framework allows them.

use crate::{
    tree::{Entry, Node, Origin, Value},
    yaml::{MAX_DEPTH, MAX_NODES, SyntaxError, too_many_nodes},
};

/// The tree of `text`; none if there is nothing but comments.
pub(crate) fn parse(text: &str) -> Result<Option<Node>, SyntaxError> {
    let mut reader = Reader {
        rest: text,
        line: 1,
        column: 1,
        nodes: 0,
    };
    reader.skip_space()?;
    if reader.rest.is_empty() {
        return Ok(None);
    }
    let root = reader.value(0)?;
    reader.skip_space()?;
    if !reader.rest.is_empty() {
        return Err(reader.error("the document ends before this"));
    }
    Ok(if root.is_null() { None } else { Some(root) })
}

struct Reader<'a> {
    rest: &'a str,
    line: u32,
    column: u32,
    nodes: usize,
}

impl<'a> Reader<'a> {
    fn origin(&self) -> Origin {
        Origin::File {
            line: self.line,
            column: self.column,
        }
    }

    fn error(&self, message: &str) -> SyntaxError {
        SyntaxError {
            origin: self.origin(),
            message: message.to_owned(),
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let mut letters = self.rest.chars();
        let letter = letters.next()?;
        self.rest = letters.as_str();
        if letter == '\n' {
            self.line = self.line.saturating_add(1);
            self.column = 1;
        } else {
            self.column = self.column.saturating_add(1);
        }
        Some(letter)
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.rest.starts_with(text);
        if found {
            for _ in text.chars() {
                self.next();
            }
        }
        found
    }

    /// White space and comments.
    fn skip_space(&mut self) -> Result<(), SyntaxError> {
        loop {
            if self
                .peek()
                .is_some_and(|letter| matches!(letter, ' ' | '\t' | '\r' | '\n'))
            {
                self.next();
            } else if self.take("//") {
                while self.peek().is_some_and(|letter| letter != '\n') {
                    self.next();
                }
            } else if self.rest.starts_with("/*") {
                let unclosed = self.error("this comment does not end");
                self.take("/*");
                while !self.take("*/") {
                    self.next().ok_or_else(|| unclosed.clone())?;
                }
            } else {
                return Ok(());
            }
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, SyntaxError> {
        if depth > MAX_DEPTH {
            return Err(self.error(&format!("the document nests deeper than {MAX_DEPTH} levels")));
        }
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(too_many_nodes(self.origin()));
        }
        let origin = self.origin();
        match self.peek() {
            Some('{') => self.object(depth).map(|entries| Node::new(Value::Map(entries), origin)),
            Some('[') => self.array(depth).map(|items| Node::new(Value::List(items), origin)),
            Some('"') => self.text().map(|text| Node::quoted(text, origin)),
            Some(_) => self.word(origin),
            None => Err(self.error("a value is missing here")),
        }
    }

    fn object(&mut self, depth: usize) -> Result<Vec<Entry>, SyntaxError> {
        self.next();
        let mut entries = Vec::new();
        loop {
            self.skip_space()?;
            if self.take("}") {
                return Ok(entries);
            }
            let key_origin = self.origin();
            if self.peek() != Some('"') {
                return Err(self.error("a key in double quotes or } is expected"));
            }
            let key = self.text()?;
            self.skip_space()?;
            if !self.take(":") {
                return Err(self.error("a colon is expected after the key"));
            }
            self.skip_space()?;
            let node = self.value(depth + 1)?;
            entries.push(Entry { key, key_origin, node });
            self.skip_space()?;
            if !self.take(",") && self.peek() != Some('}') {
                return Err(self.error("a comma or } is expected"));
            }
        }
    }

    fn array(&mut self, depth: usize) -> Result<Vec<Node>, SyntaxError> {
        self.next();
        let mut items = Vec::new();
        loop {
            self.skip_space()?;
            if self.take("]") {
                return Ok(items);
            }
            items.push(self.value(depth + 1)?);
            self.skip_space()?;
            if !self.take(",") && self.peek() != Some(']') {
                return Err(self.error("a comma or ] is expected"));
            }
        }
    }

    /// A text in double quotes; escapes are left to `serde_json`.
    fn text(&mut self) -> Result<String, SyntaxError> {
        let unclosed = self.error("this text does not end");
        let begin: &'a str = self.rest;
        self.next();
        loop {
            match self.next() {
                Some('"') => break,
                Some('\\') => {
                    self.next();
                }
                Some(letter) if letter < ' ' => return Err(unclosed),
                Some(_) => {}
                None => return Err(unclosed),
            }
        }
        let length = begin.len() - self.rest.len();
        let quoted = begin.get(..length).unwrap_or_default();
        serde_json::from_str(quoted).map_err(|_| SyntaxError {
            message: "this text has a wrong escape".to_owned(),
            ..unclosed
        })
    }

    /// A number, `true`, `false` or `null`.
    fn word(&mut self, origin: Origin) -> Result<Node, SyntaxError> {
        let end = self
            .rest
            .find(|letter: char| !letter.is_ascii_alphanumeric() && !matches!(letter, '+' | '-' | '.'));
        let word = self.rest.get(..end.unwrap_or(self.rest.len())).unwrap_or_default();
        let is_number = || serde_json::from_str::<serde_json::Number>(word).is_ok();
        let node = match word {
            "null" => Node::new(Value::Null, origin),
            "true" | "false" => Node::plain(word, origin),
            _ if is_number() => Node::plain(word, origin),
            _ => return Err(self.error("a value is expected here: text needs double quotes")),
        };
        self.take(word);
        Ok(node)
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
    fn values_comments_and_trailing_commas_are_read_with_their_places() {
        let text = "// jobs\n{ \"a\": [1.5, true, \"\\u00fc\\\"\",], /* b */ \"b\": null, }\n";
        let root = parse(text).unwrap().unwrap();
        let items: Vec<_> = root
            .get("a")
            .unwrap()
            .items()
            .iter()
            .map(|item| item.text().unwrap())
            .collect();
        assert_eq!(items, ["1.5", "true", "ü\""]);
        assert_eq!(root.entries()[1].key_origin, Origin::File { line: 2, column: 42 });
        assert!(root.get("b").is_none());
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        assert_eq!(
            message("{\"a\": one}"),
            "1:7: a value is expected here: text needs double quotes"
        );
        assert_eq!(message("{\"a\" 1}"), "1:6: a colon is expected after the key");
        assert_eq!(message("{\"a\": 1 \"b\": 2}"), "1:9: a comma or } is expected");
        assert_eq!(message("[1 2]"), "1:4: a comma or ] is expected");
        assert_eq!(message("{a: 1}"), "1:2: a key in double quotes or } is expected");
        assert_eq!(message("{\"a\": \"b\n\"}"), "1:7: this text does not end");
        assert_eq!(message("{\"a\": \"\\x\"}"), "1:7: this text has a wrong escape");
        assert_eq!(message("{} {}"), "1:4: the document ends before this");
        assert_eq!(message("{\"a\":"), "1:6: a value is missing here");
        assert_eq!(message("/* a"), "1:1: this comment does not end");
        assert!(message(&"[".repeat(1_000_000)).contains("nests deeper"));
    }
}
