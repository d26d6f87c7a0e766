//! What is wrong with a document, and where.

use std::{collections::BTreeSet, fmt};

use serde::Serialize;

use crate::tree::Origin;

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The document is refused.
    Error,
    /// The document is accepted, but something in it has no effect or is unlikely to be meant.
    Warning,
}

/// One finding. Its `Display` is `file:line:column: error: path: message (did you mean ...?)`.
///
/// No member ever holds a secret, nor a value that came from the environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How grave it is.
    pub severity: Severity,
    /// The document's name as it was given; `--set` where the value came from that option.
    pub file: String,
    /// The line, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column in characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The place in the document, without the root key: `engine.windows[0].size`. Empty where the whole document is meant.
    pub path: String,
    /// What is wrong and what to do.
    pub message: String,
    /// What was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
}

impl Diagnostic {
    /// An error at a place of the document `file`.
    pub(crate) fn error(file: &str, origin: &Origin, path: &str, message: String) -> Self {
        let (file, line, column) = match origin {
            Origin::File { line, column } => (file, Some(*line), Some(*column)),
            Origin::Set => ("--set", None, None),
            Origin::Default => (file, None, None),
        };
        Self {
            severity: Severity::Error,
            file: file.to_owned(),
            line,
            column,
            path: path.to_owned(),
            message,
            suggestion: None,
        }
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(formatter, ":{line}:{column}")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(formatter, ": {severity}: ")?;
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.message)?;
        if let Some(suggestion) = &self.suggestion {
            write!(formatter, " (did you mean {suggestion}?)")?;
        }
        Ok(())
    }
}

/// Collects findings, in the order of their places.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    file: String,
    found: Vec<Diagnostic>,
    /// The paths of errors, in order, so that a document of many errors is not searched for each of its rules.
    wrong: BTreeSet<String>,
}

impl Findings {
    pub fn new(file: &str) -> Self {
        Self {
            file: file.to_owned(),
            found: Vec::new(),
            wrong: BTreeSet::new(),
        }
    }

    pub fn error(&mut self, origin: &Origin, path: &str, message: impl Into<String>) {
        self.add(Severity::Error, origin, path, message.into(), None);
    }

    pub fn warning(&mut self, origin: &Origin, path: &str, message: impl Into<String>) {
        self.add(Severity::Warning, origin, path, message.into(), None);
    }

    pub fn error_with_suggestion(&mut self, origin: &Origin, path: &str, message: String, suggestion: Option<&str>) {
        self.add(Severity::Error, origin, path, message, suggestion.map(str::to_owned));
    }

    fn add(&mut self, severity: Severity, origin: &Origin, path: &str, message: String, suggestion: Option<String>) {
        if severity == Severity::Error {
            self.wrong.insert(path.to_owned());
        }
        self.found.push(Diagnostic {
            severity,
            suggestion,
            ..Diagnostic::error(&self.file, origin, path, message)
        });
    }

    /// Whether an error lies at this path, below it, or at something that it is a part of.
    pub fn concern(&self, path: &str) -> bool {
        let ends = path
            .char_indices()
            .filter(|(_, letter)| matches!(letter, '.' | '['))
            .map(|(index, _)| index);
        let mut above = ends.chain([path.len()]).filter_map(|end| path.get(..end));
        self.wrong.contains("")
            || above.any(|part| self.wrong.contains(part))
            || self.lie_below(path, '.')
            || self.lie_below(path, '[')
    }

    fn lie_below(&self, path: &str, sign: char) -> bool {
        let begin = format!("{path}{sign}");
        self.wrong
            .range(begin.clone()..)
            .next()
            .is_some_and(|next| next.starts_with(&begin))
    }

    /// All findings, by place; those of one place in the order in which they were found.
    pub fn into_sorted(mut self) -> Vec<Diagnostic> {
        self.found
            .sort_by_key(|finding| (finding.line.unwrap_or(0), finding.column.unwrap_or(0)));
        self.found.dedup();
        self.found
    }
}

/// The candidate that was probably meant by `word`, if one is near enough.
pub(crate) fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = letters(word);
    let near = candidates.into_iter().filter_map(|candidate| {
        let known = letters(candidate);
        let allowed = (wanted.chars().count().max(known.chars().count()) / 3).min(3);
        let distance = strsim::damerau_levenshtein(&wanted, &known);
        (distance <= allowed).then_some((distance, candidate))
    });
    near.min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Without the differences of snake case, kebab case and camel case; no longer than any name that could be meant.
fn letters(word: &str) -> String {
    word.chars()
        .filter(|letter| !matches!(letter, '_' | '-' | ' '))
        .take(80)
        .flat_map(char::to_lowercase)
        .collect()
}

/// `a.b` of `a` and `b`; keys with characters of their own meaning are quoted: `a["b.c"]`.
pub(crate) fn member(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && !key.contains(['.', '[', ']', '"', '\n', '=']);
    match (plain, path.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{path}.{key}"),
        // as JSON quotes, which is how paths are read
        (false, _) => format!("{path}[{}]", serde_json::Value::from(key)),
    }
}

/// `a[3]` of `a` and 3.
pub(crate) fn element(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_reads_as_one_line() {
        let mut findings = Findings::new("job.yaml");
        findings.error_with_suggestion(
            &Origin::File { line: 3, column: 5 },
            "engine.jb",
            "unknown key".to_owned(),
            Some("job"),
        );
        findings.warning(&Origin::Set, "engine.memory", "has no effect");
        let lines: Vec<String> = findings.into_sorted().iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "--set: warning: engine.memory: has no effect",
                "job.yaml:3:5: error: engine.jb: unknown key (did you mean job?)"
            ]
        );
    }

    #[test]
    fn misspelt_words_are_recognised_and_others_are_not() {
        let words = ["sources", "sinks", "maxOutOfOrderness", "time", "job"];
        assert_eq!(nearest("sorces", words), Some("sources"));
        assert_eq!(nearest("max_out_of_orderness", words), Some("maxOutOfOrderness"));
        assert_eq!(nearest("Sinks", words), Some("sinks"));
        assert_eq!(nearest("jbo", words), Some("job"));
        assert_eq!(nearest("jb", words), Some("job"));
        assert_eq!(nearest("kafka", words), None);
        assert_eq!(nearest("c", ["a", "b"]), None);
    }

    #[test]
    fn errors_concern_what_they_are_in_and_what_is_in_them_and_no_namesakes() {
        let mut findings = Findings::new("job.yaml");
        findings.error(&Origin::Default, "engine.windows[1].size", "bad");
        for concerned in [
            "engine",
            "engine.windows",
            "engine.windows[1]",
            "engine.windows[1].size",
            "engine.windows[1].size.x",
        ] {
            assert!(findings.concern(concerned), "{concerned}");
        }
        for other in ["engine.windows[10]", "engine.windows[1].name", "engine.win", "metrics"] {
            assert!(!findings.concern(other), "{other}");
        }
        findings.error(&Origin::Default, "", "no mapping");
        assert!(findings.concern("metrics"));
    }
}
