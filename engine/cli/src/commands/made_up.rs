//! Made-up streams as files, and the configuration that analyses them.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use backplane_generator::{GeneratorConfig, Truth, generate_files_until, yaml};
use serde_json::{Map, Value, json};

use super::{Context, scalar};
use crate::exit::CliError;
use crate::format::grouped;

/// Writes the files of a stream, with a line of progress where a person watches. Nothing of them is left if it is stopped.
///
/// # Errors
/// A file cannot be written, or the flag was set.
pub fn write_stream(
    config: &GeneratorConfig,
    paths: &[PathBuf],
    stop: &AtomicBool,
    context: &Context,
) -> Result<Truth, CliError> {
    let shows = context.terminal.shows_errors();
    if shows {
        context
            .terminal
            .start_line()
            .set_message(format!("making a stream of {} lines", grouped(config.events)));
    }
    let paths: Vec<&Path> = paths.iter().map(PathBuf::as_path).collect();
    let truth = generate_files_until(config, &paths, stop);
    if shows {
        context.terminal.end_line();
    }
    Ok(truth?)
}

/// The configuration document of a stream: its declarations, `before` and `after` them what else `engine` has.
///
/// # Errors
/// [`CliError::Internal`] if the generator's document has no engine.
pub fn document(config: &GeneratorConfig, comment: &str, before: Value, after: Value) -> Result<String, CliError> {
    let mut document = config.config_json();
    let engine = document
        .pointer_mut("/experimentFramework/engine")
        .and_then(Value::as_object_mut);
    let engine = engine.ok_or_else(|| CliError::internal("a made-up stream's configuration has no engine"))?;
    let mut members = Map::new();
    for part in [before, Value::Object(std::mem::take(engine)), after] {
        if let Value::Object(part) = part {
            members.extend(part);
        }
    }
    *engine = members;
    Ok(format!("{comment}{}", yaml(&document)))
}

/// A source of these files, which can be read from any working directory.
pub fn file_sources(paths: &[PathBuf]) -> Value {
    let paths: Vec<Value> = paths.iter().map(|path| absolute(path)).collect();
    json!([{ "type": "file", "options": { "paths": paths } }])
}

/// A path as a scalar that means the same in any working directory.
pub fn absolute(path: &Path) -> Value {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    scalar(&path.to_string_lossy())
}

/// Writes a small file whole or not at all.
///
/// # Errors
/// It cannot be written.
pub fn write_whole(path: &Path, text: &str) -> Result<(), CliError> {
    let partial = with_suffix(path, ".partial");
    let written = fs::write(&partial, text).and_then(|()| fs::rename(&partial, path));
    written.map_err(|error| {
        // it may never have been made
        let _ = fs::remove_file(&partial);
        CliError::file(format!("{} cannot be written", path.display()), error)
    })
}

/// `FILE` with something after its name.
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use backplane_config::{Document, Severity, Syntax};

    use super::*;

    #[test]
    fn the_document_of_a_stream_is_a_configuration_without_errors() {
        let config = GeneratorConfig::demo(1_000, 1);
        let files = file_sources(&[PathBuf::from("/data/cost$/events.ndjson")]);
        let before = json!({ "job": "made-up", "sources": files });
        let text = document(
            &config,
            "# a comment\n",
            before,
            json!({ "sinks": [{ "type": "terminal" }] }),
        )
        .unwrap();
        let loaded = Document::parse("made-up.yaml", &text, Syntax::Yaml)
            .unwrap()
            .load(&|_| None)
            .unwrap();
        assert!(
            loaded
                .diagnostics
                .iter()
                .all(|found| found.severity == Severity::Warning),
            "{:?}",
            loaded.diagnostics
        );
        assert_eq!(loaded.config.engine.job, "made-up");
        assert_eq!(loaded.config.engine.sinks.len(), 1);
        assert_eq!(loaded.config.experiments.len(), 6);
        let sources = format!("{:?}", loaded.config.engine.sources);
        assert!(sources.contains("/data/cost$/events.ndjson"), "{sources}");
    }
}
