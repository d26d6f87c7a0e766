//! Sources, sinks and the dead-letter output.

use std::path::PathBuf;

use serde::Serialize;

use super::super::StorageUrl;

/// A source of events.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The name for people: the declared one, else the type, numbered where there are several of it.
    pub name: String,
    /// The type and its options.
    #[serde(flatten)]
    pub kind: SourceKind,
}

impl Source {
    /// A set of files at rest.
    #[must_use]
    pub fn file<P: Into<String>>(paths: impl IntoIterator<Item = P>) -> Self {
        let options = FileSource {
            paths: paths.into_iter().map(Into::into).collect(),
            follow: false,
            format: Format::Ndjson,
        };
        Self {
            name: "file".to_owned(),
            kind: SourceKind::File(options),
        }
    }

    /// A lake, to be replayed.
    #[must_use]
    pub fn lake(url: StorageUrl) -> Self {
        Self {
            name: "lake".to_owned(),
            kind: SourceKind::Lake(LakeSource { url }),
        }
    }

    /// Standard input.
    #[must_use]
    pub fn stdin() -> Self {
        Self {
            name: "stdin".to_owned(),
            kind: SourceKind::Stdin(StdinSource::default()),
        }
    }
}

/// The type of a source and its options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "options", rename_all = "camelCase")]
pub enum SourceKind {
    /// Files.
    File(FileSource),
    /// Standard input.
    Stdin(StdinSource),
    /// The event tables of a lake, in event-time order.
    Lake(LakeSource),
}

impl SourceKind {
    /// The name of the type in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Stdin(_) => "stdin",
            Self::Lake(_) => "lake",
        }
    }
}

/// Files, each a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSource {
    /// Paths or globs, relative to the working directory; at least one. `.gz` and `.zst` are decompressed by name.
    pub paths: Vec<String>,
    /// Whether the files grow and more may come.
    pub follow: bool,
    /// How records are written.
    pub format: Format,
}

/// Standard input, one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct StdinSource {
    /// How records are written.
    pub format: Format,
}

/// A lake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LakeSource {
    /// Where it is.
    pub url: StorageUrl,
}

named_enum! {
    /// How records are written in bytes.
    #[derive(Default)]
    Format {
        /// One envelope of JSON a line.
        #[default]
        Ndjson = "ndjson",
    }
}

/// A place for results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Sink {
    /// The name: the declared one, else the type, numbered where there are several of it.
    pub name: String,
    /// The type and its options.
    #[serde(flatten)]
    pub kind: SinkKind,
    /// What it takes, without repetition, in the order of [`Take::ALL`].
    pub take: Vec<Take>,
    /// Whether what it shows to people counts as a look at the results.
    pub counts_as_look: bool,
}

impl Sink {
    /// A lake that takes everything.
    #[must_use]
    pub fn lake(url: StorageUrl) -> Self {
        Self::of(SinkKind::Lake(LakeSink { url }))
    }

    /// A file of NDJSON.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::of(SinkKind::File(FileSink { path: path.into() }))
    }

    /// Lines for people on the terminal.
    #[must_use]
    pub fn terminal() -> Self {
        Self::of(SinkKind::Terminal(TerminalSink {}))
    }

    fn of(kind: SinkKind) -> Self {
        Self {
            name: kind.name().to_owned(),
            take: Take::default_of(kind.name()).to_vec(),
            kind,
            counts_as_look: false,
        }
    }

    /// The same sink under another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// The same sink taking these only.
    #[must_use]
    pub fn taking(mut self, take: impl IntoIterator<Item = Take>) -> Self {
        self.take = take.into_iter().collect();
        self.take.sort_unstable();
        self.take.dedup();
        self
    }

    /// Whether it takes this.
    #[must_use]
    pub fn takes(&self, what: Take) -> bool {
        self.take.contains(&what)
    }
}

/// The type of a sink and its options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "options", rename_all = "camelCase")]
pub enum SinkKind {
    /// Delta tables.
    Lake(LakeSink),
    /// NDJSON.
    File(FileSink),
    /// Lines for people.
    Terminal(TerminalSink),
}

impl SinkKind {
    /// The name of the type in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Lake(_) => "lake",
            Self::File(_) => "file",
            Self::Terminal(_) => "terminal",
        }
    }
}

/// Delta tables under one folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LakeSink {
    /// Where the lake is.
    pub url: StorageUrl,
}

/// A file of NDJSON.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileSink {
    /// The file, relative to the working directory.
    pub path: PathBuf,
}

/// The terminal has no options.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TerminalSink {}

named_enum! {
    /// What a sink takes.
    Take {
        /// The event tables.
        Events = "events",
        /// Windows' and cumulative results, and what was declared.
        Results = "results",
        /// Signals.
        Signals = "signals",
        /// Late and too late records.
        Late = "late",
        /// Records that could not be read.
        DeadLetters = "deadLetters",
    }
}

impl Take {
    /// What a sink of this type takes where `take` is not given: a lake everything, a file results, signals and late records, the
    /// terminal results and signals.
    #[must_use]
    pub fn default_of(sink_type: &str) -> &'static [Take] {
        match sink_type {
            "lake" => Take::ALL,
            "file" => &[Take::Results, Take::Signals, Take::Late],
            "terminal" => &[Take::Results, Take::Signals],
            _ => &[],
        }
    }
}

/// Where records go that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "type", content = "options", rename_all = "camelCase")]
pub enum DeadLetter {
    /// A file of NDJSON, created with the first bad record.
    File(FileSink),
}

impl DeadLetter {
    /// A file.
    #[must_use]
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self::File(FileSink { path: path.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sink_takes_by_its_type_unless_told_otherwise() {
        assert!(Sink::lake(StorageUrl::local("lake")).takes(Take::DeadLetters));
        let sink = Sink::terminal().taking([Take::Signals, Take::Late, Take::Signals]);
        assert_eq!(sink.take, [Take::Signals, Take::Late]);
    }

    #[test]
    fn a_source_is_written_as_in_the_document() {
        let written = serde_json::to_string(&Source::file(["a.ndjson"])).unwrap();
        let expected =
            r#"{"name":"file","type":"file","options":{"paths":["a.ndjson"],"follow":false,"format":"ndjson"}}"#;
        assert_eq!(written, expected);
    }
}
