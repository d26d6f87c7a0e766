//! `backplane validate`: what is wrong with a configuration, and what delivery it really gives.

use backplane_config::{Config, ConfigError, DeadLetter, Diagnostic, Severity, SinkKind, process_environment};
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

/// What all guarantees share until positions are kept.
const NO_CHECKPOINTS: &str = "this version keeps no checkpoints: a run that is killed leaves what its last interval made visible, and its \
                              repetition starts from the beginning";

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
        };
    };
    let problems = match planning::plan(&loaded) {
        Ok(_) => Vec::new(),
        Err(CliError::Configuration(ConfigError::Invalid(problems))) => problems,
        Err(other) => vec![loaded.effective.error("", other.to_string())],
    };
    let valid = problems.is_empty();
    let delivery = if valid { delivery(&loaded.config) } else { Vec::new() };
    Findings {
        valid,
        diagnostics: loaded.diagnostics.into_iter().chain(problems).collect(),
        delivery,
    }
}

fn delivery(config: &Config) -> Vec<Delivery> {
    let engine = &config.engine;
    let of_sink = |sink: &backplane_config::Sink| Delivery {
        sink: sink.name.clone(),
        kind: sink.kind.name(),
        guarantee: match sink.kind {
            SinkKind::Lake(_) | SinkKind::File(_) => "at least once",
            SinkKind::Terminal(_) => "none",
        },
        detail: match sink.kind {
            SinkKind::Lake(_) => {
                "the rows of each checkpoint interval appear in a table by one atomic commit, and none twice in a run; a second run into \
                 the same lake is refused, so that nothing is doubled"
            }
            SinkKind::File(_) => {
                "the rows of each checkpoint interval are appended in one piece and are durable then; a second run appends its rows again"
            }
            SinkKind::Terminal(_) => "rows are shown once and not kept",
        },
    };
    let mut delivery: Vec<Delivery> = engine.sinks.iter().map(of_sink).collect();
    if engine.sinks.is_empty() && !engine.sources.is_empty() {
        delivery.push(of_sink(&backplane_config::Sink::terminal()));
    }
    let DeadLetter::File(_) = &engine.dead_letter;
    delivery.push(Delivery {
        sink: "deadLetter".to_owned(),
        kind: "file",
        guarantee: "at least once",
        detail: "as a sink of type file",
    });
    delivery
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
    text.push_str(&wrapped(&format!("  {NO_CHECKPOINTS}\n"), width, 2));
    text
}

#[cfg(test)]
mod tests {
    use backplane_config::{Sink, Source, StorageUrl};

    use super::*;

    #[test]
    fn every_output_is_told_and_none_claims_exactly_once() {
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
    }

    #[test]
    fn a_configuration_without_sinks_shows_its_results_on_the_terminal() {
        let mut config = Config::default();
        config.engine.sources = vec![Source::stdin()];
        assert_eq!(delivery(&config).first().map(|told| told.kind), Some("terminal"));
    }
}
