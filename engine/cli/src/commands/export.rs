//! `backplane export`: files of events to the event tables of a lake.

use backplane_config::Document;
use serde_json::{Value, json};

use super::{Context, check_url, load_document, scalar};
use crate::args::ExportArgs;
use crate::assemble::{Manner, assemble};
use crate::exit::{CliError, Outcome};
use crate::session;

/// Runs a job without windows and queries from the files into the lake.
///
/// # Errors
/// A file or the lake cannot be used, the configuration is wrong, or the job failed.
pub fn execute(args: &ExportArgs, context: &Context) -> Result<Outcome, CliError> {
    check_url("--to", &args.to)?;
    let mut document = match &args.config {
        Some(path) => Document::read(path)?,
        None => Document::empty("export"),
    };
    for set in &args.overrides.sets {
        document.set_argument(set)?;
    }
    let sink =
        json!([{ "type": "lake", "options": { "url": scalar(&args.to) }, "take": ["events", "late", "deadLetters"] }]);
    document.set("engine.sources", &sources(&args.from)?.to_string())?;
    document.set("engine.sinks", &sink.to_string())?;
    document.set("engine.windows", "[]")?;
    document.set("engine.queries", "[]")?;
    let loaded = load_document(document)?;
    let manner = Manner {
        until_end: true,
        dead_letters_in_lake: true,
        ..Manner::default()
    };
    let summary = session::run(assemble(&loaded, manner, &context.terminal)?, context)?;
    summary.tell(context.log_format, &mut context.terminal.errors());
    Ok(session::outcome(&summary, args.strict))
}

/// The sources that `--from` names.
fn sources(from: &[String]) -> Result<Value, CliError> {
    let files: Vec<Value> = from
        .iter()
        .filter(|name| *name != "-")
        .map(|name| scalar(name))
        .collect();
    match (files.is_empty(), files.len() == from.len()) {
        (false, true) => Ok(json!([{ "type": "file", "options": { "paths": files } }])),
        (true, false) if from.len() == 1 => Ok(json!([{ "type": "stdin" }])),
        _ => Err(CliError::Usage(
            "--from: give either files or - for standard input, not both".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dash_is_standard_input_and_stands_alone() {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(sources(&texts(&["-"])).unwrap(), json!([{ "type": "stdin" }]));
        let files = json!([{ "type": "file", "options": { "paths": ["a.ndjson", "cost$$.ndjson"] } }]);
        assert_eq!(sources(&texts(&["a.ndjson", "cost$.ndjson"])).unwrap(), files);
        assert!(sources(&texts(&["-", "a"])).is_err());
        assert!(sources(&texts(&["-", "-"])).is_err());
    }
}
