//! `backplane validate`: what is wrong with a configuration, and what delivery it really gives.

use backplane_config::{
    Config, ConfigError, DeadLetter, Diagnostic, Severity, SinkKind, SourceKind, process_environment,
};
use serde::Serialize;

use super::Context;
use crate::args::{FindingFormat, ValidateArgs};
use crate::exit::{CliError, Outcome};
use crate::format::{counted, wrapped};
use crate::planning;

/// What was found.
#[derive(Debug, Serialize)]
struct Findings {
    /// Whether a job can run with it.
    valid: bool,
    diagnostics: Vec<Diagnostic>,
    /// Nothing where the configuration has errors.
    delivery: Vec<Delivery>,
    /// What else it depends on.
    conditions: Vec<&'static str>,
}

/// What really happens to the rows of an output.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Delivery {
    sink: String,
    #[serde(rename = "type")]
    kind: &'static str,
    guarantee: &'static str,
    detail: &'static str,
}

/// What a run does that finds nothing to go on from.
const NO_CHECKPOINTS: &str = "engine.checkpoint.url names no place for checkpoints: a run that is killed leaves what its last interval made \
                              visible, and its repetition starts from the beginning";
/// What standard input needs to be gone on with.
const STANDARD_INPUT: &str = "standard input is gone on with only if the same stream is fed again from its start: what was read is passed \
                              over, and another stream is refused";

/// Prints all findings.
///
/// # Errors
/// Standard output cannot be written.
pub fn execute(args: &ValidateArgs, context: &Context) -> Result<Outcome, CliError> {
    let findings = findings(args);
    let text = match args.format {
        FindingFormat::Human => human(
            &findings,
            &args.config.display().to_string(),
            context.terminal.page_width(),
        ),
        FindingFormat::Json => serde_json::to_string_pretty(&findings).map_err(CliError::internal)? + "\n",
    };
    context.print(&text)?;
    Ok(if findings.valid {
        Outcome::Done
    } else {
        Outcome::FoundErrors
    })
}

fn findings(args: &ValidateArgs) -> Findings {
    let sets = &args.overrides.sets;
    let Ok(loaded) = Config::load(&args.config, &process_environment, sets) else {
        let diagnostics = backplane_config::validate(&args.config, &process_environment, sets);
        return Findings {
            valid: false,
            diagnostics,
            delivery: Vec::new(),
            conditions: Vec::new(),
        };
    };
    let problems = match planning::plan(&loaded) {
        Ok(_) => Vec::new(),
        Err(CliError::Configuration(ConfigError::Invalid(problems))) => problems,
        Err(other) => vec![loaded.effective.error("", other.to_string())],
    };
    let valid = problems.is_empty();
    let (delivery, conditions) = match valid {
        true => (delivery(&loaded.config), conditions(&loaded.config)),
        false => (Vec::new(), Vec::new()),
    };
    Findings {
        valid,
        diagnostics: loaded.diagnostics.into_iter().chain(problems).collect(),
        delivery,
        conditions,
    }
}

fn delivery(config: &Config) -> Vec<Delivery> {
    let engine = &config.engine;
    let keeps = engine.checkpoint.url.is_some();
    let of_sink = |sink: &backplane_config::Sink| {
        let (guarantee, detail) = guarantee(&sink.kind, keeps);
        Delivery {
            sink: sink.name.clone(),
            kind: sink.kind.name(),
            guarantee,
            detail,
        }
    };
    let mut delivery: Vec<Delivery> = engine.sinks.iter().map(of_sink).collect();
    if engine.sinks.is_empty() && !engine.sources.is_empty() {
        delivery.push(of_sink(&backplane_config::Sink::terminal()));
    }
    let DeadLetter::File(_) = &engine.dead_letter;
    delivery.push(Delivery {
        sink: "deadLetter".to_owned(),
        kind: "file",
        guarantee: if keeps { "exactly once" } else { "at least once" },
        detail: "as a sink of type file",
    });
    delivery
}

/// What a kind of sink really gives, with checkpoints or without.
fn guarantee(kind: &SinkKind, keeps: bool) -> (&'static str, &'static str) {
    match (kind, keeps) {
        (SinkKind::Lake(_), true) => (
            "exactly once",
            "each epoch appears in a table by one atomic commit that carries its number; after a crash the commit is made once more and does \
             nothing",
        ),
        (SinkKind::File(_), true) => (
            "exactly once",
            "the checkpoint says at which byte the rows of an epoch belong; after a crash the same bytes are written to the same place (a pipe or a \
             device may miss or repeat an epoch)",
        ),
        (SinkKind::Lake(_), false) => (
            "at least once",
            "the rows of each epoch appear in a table by one atomic commit, and none twice in a run; a second run into the same \
             lake is refused, so that nothing is doubled",
        ),
        (SinkKind::File(_), false) => (
            "at least once",
            "the rows of each epoch are appended in one piece and are durable then; a second run appends its rows again",
        ),
        (SinkKind::Terminal(_), true) => (
            "at least once",
            "rows are shown and not kept; after a crash some are shown again",
        ),
        (SinkKind::Terminal(_), false) => ("none", "rows are shown once and not kept"),
    }
}

/// What else decides the delivery of a configuration.
fn conditions(config: &Config) -> Vec<&'static str> {
    if config.engine.checkpoint.url.is_none() {
        return vec![NO_CHECKPOINTS];
    }
    let reads_stdin = config
        .engine
        .sources
        .iter()
        .any(|source| matches!(source.kind, SourceKind::Stdin(_)));
    reads_stdin.then_some(STANDARD_INPUT).into_iter().collect()
}

fn human(findings: &Findings, config: &str, width: usize) -> String {
    let mut text = String::new();
    for diagnostic in &findings.diagnostics {
        text.push_str(&format!("{diagnostic}\n"));
    }
    let of = |severity: Severity| {
        findings
            .diagnostics
            .iter()
            .filter(|found| found.severity == severity)
            .count() as u64
    };
    let (errors, warnings) = (of(Severity::Error), of(Severity::Warning));
    if errors > 0 {
        text.push_str(&format!(
            "{} and {} in {config}\n",
            counted(errors, "error"),
            counted(warnings, "warning")
        ));
        return text;
    }
    let aside = if warnings == 0 {
        String::new()
    } else {
        format!(", with {}", counted(warnings, "warning"))
    };
    text.push_str(&format!("{config} is valid{aside}\n\ndelivery:\n"));
    for Delivery {
        sink,
        kind,
        guarantee,
        detail,
    } in &findings.delivery
    {
        text.push_str(&wrapped(
            &format!("  {sink} ({kind}): {guarantee}; {detail}\n"),
            width,
            4,
        ));
    }
    for condition in &findings.conditions {
        text.push_str(&wrapped(&format!("  {condition}\n"), width, 2));
    }
    text
}

#[cfg(test)]
mod tests {
    use backplane_config::{Sink, Source, StorageUrl};

    use super::*;

    #[test]
    fn every_output_is_told_and_none_claims_exactly_once_without_checkpoints() {
        let mut config = Config::default();
        config.engine.sources = vec![Source::stdin()];
        config.engine.sinks = vec![
            Sink::lake(StorageUrl::local("lake")),
            Sink::file("out.ndjson"),
            Sink::terminal(),
        ];
        let told: Vec<_> = delivery(&config)
            .into_iter()
            .map(|told| (told.sink, told.guarantee))
            .collect();
        let expected = [
            ("lake", "at least once"),
            ("file", "at least once"),
            ("terminal", "none"),
            ("deadLetter", "at least once"),
        ];
        assert_eq!(told, expected.map(|(sink, guarantee)| (sink.to_owned(), guarantee)));
        assert_eq!(conditions(&config), [NO_CHECKPOINTS]);
    }

    #[test]
    fn with_checkpoints_what_can_be_exactly_once_is_and_standard_input_has_its_condition() {
        let mut config = Config::default();
        config.engine.sources = vec![Source::stdin()];
        config.engine.sinks = vec![Sink::lake(StorageUrl::local("lake")), Sink::terminal()];
        config.engine.checkpoint.url = Some(StorageUrl::local("checkpoints"));
        let told: Vec<_> = delivery(&config).into_iter().map(|told| told.guarantee).collect();
        assert_eq!(told, ["exactly once", "at least once", "exactly once"]);
        assert_eq!(conditions(&config), [STANDARD_INPUT]);
    }

    #[test]
    fn a_configuration_without_sinks_shows_its_results_on_the_terminal() {
        let mut config = Config::default();
        config.engine.sources = vec![Source::stdin()];
        assert_eq!(delivery(&config).first().map(|told| told.kind), Some("terminal"));
    }
}
