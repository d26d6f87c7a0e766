//! What the tests of documents share.

use backplane_config::{ConfigError, Document, Loaded, Syntax};

/// An environment of two variables.
pub fn environment(name: &str) -> Option<String> {
    match name {
        "GOVERNANCE_DB_CONNECTION" => Some("Server=db;Password=hunter2".to_owned()),
        "REDIS_CONNECTION" => Some("redis://:hunter2@cache:6379".to_owned()),
        _ => None,
    }
}

pub fn load(text: &str) -> Result<Loaded, ConfigError> {
    Document::parse("job.yaml", text, Syntax::Yaml)?.load(&environment)
}

/// The findings of a document, one line each.
#[allow(dead_code)]
pub fn findings(text: &str) -> String {
    match load(text) {
        Ok(loaded) => loaded
            .diagnostics
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n"),
        Err(error) => error.to_string(),
    }
}
