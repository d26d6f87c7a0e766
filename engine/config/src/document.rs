//! A document as it was written, before anything is checked.

use std::{fs, io::Read, path::Path};

use crate::{
    ConfigError, Diagnostic, Severity,
    diagnostic::Findings,
    json, path,
    tree::{Entry, Node, Origin, Step, Value},
    yaml::{self, SyntaxError},
};

/// The key under which a document may stand.
pub(crate) const ROOT_KEY: &str = "experimentFramework";

/// The largest document that is read, in bytes.
const MAX_BYTES: u64 = 4 << 20;

/// How a document is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syntax {
    /// YAML 1.2; keys exactly as documented.
    Yaml,
    /// JSON; comments and trailing commas allowed, keys in any case.
    Json,
}

impl Syntax {
    /// By the name's ending, else by the first character: a brace begins JSON.
    #[must_use]
    pub fn of(name: &str, text: &str) -> Self {
        let ending = Path::new(name)
            .extension()
            .and_then(|ending| ending.to_str())
            .unwrap_or_default();
        match ending.to_ascii_lowercase().as_str() {
            "json" => Self::Json,
            "yaml" | "yml" => Self::Yaml,
            _ if text.trim_start().starts_with('{') => Self::Json,
            _ => Self::Yaml,
        }
    }
}

/// A document as it was written: parsed, its root key taken off, nothing checked yet.
///
/// Overrides are put in with [`Document::set`]; [`Document::load`] checks it and gives the typed [`Config`](crate::Config).
pub struct Document {
    pub(crate) name: String,
    pub(crate) syntax: Syntax,
    pub(crate) root: Node,
    pub(crate) findings: Findings,
}

impl Document {
    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] where there is no file, or a folder, or one that is empty, too large or no text;
    /// [`ConfigError::Invalid`] where it is no YAML or JSON.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let text = read_text(path).map_err(|message| ConfigError::Unreadable {
            file: name.clone(),
            message,
        })?;
        let syntax = Syntax::of(&name, &text);
        Self::parse(&name, &text, syntax)
    }

    /// Parses a text; `name` is what findings call it.
    ///
    /// # Errors
    /// [`ConfigError::Unreadable`] where there is nothing in it, [`ConfigError::Invalid`] where it is no YAML or JSON.
    pub fn parse(name: &str, text: &str, syntax: Syntax) -> Result<Self, ConfigError> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let parsed = match syntax {
            Syntax::Yaml => yaml::parse(text),
            Syntax::Json => json::parse(text),
        };
        let root = parsed
            .map_err(|error| invalid(name, error))?
            .ok_or_else(|| ConfigError::Unreadable {
                file: name.to_owned(),
                message: "the configuration is empty; `backplane schema` says what can stand in it".to_owned(),
            })?;
        let mut findings = Findings::new(name);
        let root = without_root_key(root, syntax, &mut findings);
        Ok(Self {
            name: name.to_owned(),
            syntax,
            root,
            findings,
        })
    }

    /// An empty document, for a configuration that is made of overrides alone.
    #[must_use]
    pub fn empty(name: &str) -> Self {
        let root = Node::new(Value::Map(Vec::new()), Origin::Default);
        Self {
            name: name.to_owned(),
            syntax: Syntax::Yaml,
            root,
            findings: Findings::new(name),
        }
    }

    /// Puts a value at a path, as `--set path=value` does: `value` is YAML (`2`, `30s`, `[a, b]`, `{ name: hourly, ... }`), the index
    /// after the last one appends to a list.
    ///
    /// # Errors
    /// [`ConfigError::Override`] where the path is malformed or leads through a value that has no parts, or the value is no YAML.
    pub fn set(&mut self, path: &str, value: &str) -> Result<(), ConfigError> {
        let wrong = |message: String| ConfigError::Override {
            argument: path.to_owned(),
            message,
        };
        let steps = path::parse(path).map_err(wrong)?;
        let mut node = match yaml::parse(value) {
            Ok(node) => node.unwrap_or_else(|| Node::new(Value::Null, Origin::Set)),
            Err(error) => return Err(wrong(format!("the value is no YAML: {}", error.message))),
        };
        node.set_origin(&Origin::Set);
        put(&mut self.root, &steps, node, self.syntax).map_err(wrong)
    }

    /// Puts a value at a path by one text `path=value`.
    ///
    /// # Errors
    /// As [`Document::set`], and where there is no equals sign.
    pub fn set_argument(&mut self, argument: &str) -> Result<(), ConfigError> {
        match argument.split_once('=') {
            Some((path, value)) => self.set(path, value),
            None => Err(ConfigError::Override {
                argument: argument.to_owned(),
                message: "an equals sign is missing; write path=value".to_owned(),
            }),
        }
    }
}

fn read_text(path: &Path) -> Result<String, String> {
    let metadata = fs::metadata(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => "there is no such file; check the path".to_owned(),
        std::io::ErrorKind::PermissionDenied => "the file may not be read; check its permissions".to_owned(),
        _ => format!("the file cannot be read: {error}"),
    })?;
    if metadata.is_dir() {
        return Err("this is a folder; name the file in it".to_owned());
    }
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => "the file may not be read; check its permissions".to_owned(),
        _ => format!("the file cannot be read: {error}"),
    })?;
    // a pipe has no length beforehand
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("the file cannot be read: {error}"))?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err("the file is larger than 4 MiB, which no configuration is; check the path".to_owned());
    }
    if bytes.is_empty() {
        return Err("the file is empty; `backplane schema` says what can stand in it".to_owned());
    }
    let text = String::from_utf8(bytes).map_err(|_| "the file is not text in UTF-8; check the path")?;
    if text.contains('\0') {
        Err("the file is not text; check the path".to_owned())
    } else {
        Ok(text)
    }
}

fn invalid(name: &str, error: SyntaxError) -> ConfigError {
    let (line, column) = match error.origin {
        Origin::File { line, column } => (Some(line), Some(column)),
        Origin::Set | Origin::Default => (None, None),
    };
    ConfigError::Invalid(vec![Diagnostic {
        severity: Severity::Error,
        file: name.to_owned(),
        line,
        column,
        path: String::new(),
        message: error.message,
        suggestion: None,
    }])
}

/// What stands under `experimentFramework`, where that key is; nothing may stand beside it.
fn without_root_key(root: Node, syntax: Syntax, findings: &mut Findings) -> Node {
    let Node {
        value: Value::Map(entries),
        origin,
        ..
    } = root
    else {
        return root;
    };
    let is_root = |key: &str| key == ROOT_KEY || (syntax == Syntax::Json && key.eq_ignore_ascii_case(ROOT_KEY));
    if !entries.iter().any(|entry| is_root(&entry.key)) {
        return Node::new(Value::Map(entries), origin);
    }
    let mut inner: Option<Node> = None;
    for Entry { key, key_origin, node } in entries {
        if !is_root(&key) {
            let message = format!("unknown key {key:?} beside {ROOT_KEY}; move it under that key");
            findings.error(&key_origin, &crate::diagnostic::member("", &key), message);
        } else if inner.is_some() {
            findings.error(&key_origin, "", format!("the key {ROOT_KEY} is given twice"));
        } else {
            // `experimentFramework:` with nothing below is an empty configuration
            let empty = || Node::new(Value::Map(Vec::new()), key_origin.clone());
            inner = Some(if node.is_null() { empty() } else { node });
        }
    }
    inner.unwrap_or_else(|| Node::new(Value::Map(Vec::new()), origin))
}

fn put(node: &mut Node, steps: &[Step], value: Node, syntax: Syntax) -> Result<(), String> {
    let Some((step, below)) = steps.split_first() else {
        *node = value;
        return Ok(());
    };
    if node.is_null() {
        let empty = match step {
            Step::Key(_) => Value::Map(Vec::new()),
            Step::Index(_) => Value::List(Vec::new()),
        };
        *node = Node::new(empty, Origin::Set);
    }
    let kind = node.kind_in_words();
    match (step, &mut node.value) {
        (Step::Key(key), Value::Map(entries)) => {
            let same =
                |entry: &Entry| entry.key == *key || (syntax == Syntax::Json && entry.key.eq_ignore_ascii_case(key));
            if let Some(entry) = entries.iter_mut().find(|entry| same(entry)) {
                return put(&mut entry.node, below, value, syntax);
            }
            let mut fresh = Node::new(Value::Null, Origin::Set);
            put(&mut fresh, below, value, syntax)?;
            entries.push(Entry {
                key: key.clone(),
                key_origin: Origin::Set,
                node: fresh,
            });
            Ok(())
        }
        (Step::Index(index), Value::List(items)) => {
            let length = items.len();
            if let Some(item) = items.get_mut(*index) {
                return put(item, below, value, syntax);
            }
            if *index > length {
                return Err(format!("the list has {length} entries; [{length}] adds one"));
            }
            let mut fresh = Node::new(Value::Null, Origin::Set);
            put(&mut fresh, below, value, syntax)?;
            items.push(fresh);
            Ok(())
        }
        (Step::Key(key), _) => Err(format!("{key} cannot be set in {kind}")),
        (Step::Index(index), _) => Err(format!("[{index}] cannot be set in {kind}")),
    }
}
