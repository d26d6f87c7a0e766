//! From a document to a configuration: overrides, environment, tables, rules, model.

use std::path::Path;

use crate::{
    Config, ConfigError, Diagnostic, Document, Effective, Environment, Severity, build, check, derived,
    document::Syntax, rules, substitute::substitute, tree::Origin,
};

/// A configuration that was accepted.
#[derive(Debug)]
pub struct Loaded {
    /// The typed model.
    pub config: Config,
    /// Warnings, by place.
    pub diagnostics: Vec<Diagnostic>,
    /// Every value in force and where it came from, for `config show`.
    pub effective: Effective,
}

impl Config {
    /// Reads the document at `path`, puts in the overrides (each `path=value`) and then the environment, and checks it all.
    ///
    /// # Errors
    /// [`ConfigError`]; where the document has errors, all of them at once.
    ///
    /// ```
    /// # let folder = std::env::temp_dir();
    /// # let path = folder.join(format!("backplane-config-doc-{}.yaml", std::process::id()));
    /// std::fs::write(&path, "engine:\n  job: ${JOB:-checkout}\n")?;
    /// let loaded = backplane_config::Config::load(&path, &|_| None, &["engine.parallelism=2"])?;
    /// assert_eq!((loaded.config.engine.job.as_str(), loaded.config.engine.parallelism), ("checkout", 2));
    /// # std::fs::remove_file(&path)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn load<S: AsRef<str>>(path: &Path, environment: &Environment<'_>, sets: &[S]) -> Result<Loaded, ConfigError> {
        let mut document = Document::read(path)?;
        for set in sets {
            document.set_argument(set.as_ref())?;
        }
        document.load(environment)
    }
}

/// All findings about the document at `path` with these overrides, errors and warnings, by place; empty where it is fine.
///
/// What cannot be read at all is one finding without a line.
#[must_use]
pub fn validate<S: AsRef<str>>(path: &Path, environment: &Environment<'_>, sets: &[S]) -> Vec<Diagnostic> {
    let whole = |file: String, message: String| {
        let (severity, path) = (Severity::Error, String::new());
        vec![Diagnostic {
            severity,
            file,
            line: None,
            column: None,
            path,
            message,
            suggestion: None,
        }]
    };
    match Config::load(path, environment, sets) {
        Ok(loaded) => loaded.diagnostics,
        Err(ConfigError::Invalid(diagnostics)) => diagnostics,
        Err(ConfigError::Unreadable { file, message }) => whole(file, message),
        Err(ConfigError::Override { argument, message }) => whole(format!("--set {argument}"), message),
    }
}

impl Document {
    /// Puts the environment in and checks the document.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] with all findings, where at least one is an error.
    pub fn load(self, environment: &Environment<'_>) -> Result<Loaded, ConfigError> {
        let Document {
            name,
            syntax,
            mut root,
            mut findings,
        } = self;
        substitute(&mut root, environment, "", &mut findings);
        let mut tree = check::check(&root, syntax == Syntax::Json, &mut findings);
        derived::fill(&mut tree);
        let config = build::config(&tree);
        rules::check(&config, &tree, &mut findings);
        let diagnostics = findings.into_sorted();
        if diagnostics.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(ConfigError::Invalid(diagnostics));
        }
        Ok(Loaded {
            config,
            diagnostics,
            effective: Effective::new(name, tree),
        })
    }
}

impl Loaded {
    /// Whether the job can run: a document without `engine.sources` is valid, but there is nothing to run.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`] that says what is missing, and where.
    pub fn check_runnable(&self) -> Result<(), ConfigError> {
        if !self.config.engine.sources.is_empty() {
            return Ok(());
        }
        let (line, column) = match self.effective.place("engine.sources") {
            Origin::File { line, column } => (Some(line), Some(column)),
            Origin::Set | Origin::Default => (None, None),
        };
        Err(ConfigError::Invalid(vec![Diagnostic {
            severity: Severity::Error,
            file: self.effective.file().to_owned(),
            line,
            column,
            path: "engine.sources".to_owned(),
            message: "there is nothing to run; name at least one source".to_owned(),
            suggestion: None,
        }]))
    }
}
