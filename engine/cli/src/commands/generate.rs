//! `backplane generate`: a made-up stream whose truth is known.

use std::fs;
use std::path::{Path, PathBuf};

use backplane_generator::{GeneratorConfig, truth_path};
use serde_json::json;

use super::{Context, made_up};
use crate::args::{GenerateArgs, Preset};
use crate::exit::{CliError, Outcome};
use crate::format::{bytes, counted};
use crate::interrupt;
use crate::places::Places;

const COMMENT: &str = "# Analyses the stream of `backplane generate`; run it with `backplane run`.\n";

/// Writes the stream, its truth and its configuration.
///
/// # Errors
/// A file cannot be written.
pub fn execute(args: &GenerateArgs, context: &Context) -> Result<Outcome, CliError> {
    check_outputs(&args.outputs)?;
    let mut config = match args.preset {
        Preset::Demo => GeneratorConfig::demo(args.events, args.seed),
        Preset::Bench => GeneratorConfig::bench(args.events, args.seed),
    };
    config.partitions = u16::try_from(args.outputs.len())
        .map_err(|_| CliError::Usage(format!("--output: {} files are more than 65,535", args.outputs.len())))?;
    let Some(first) = args.outputs.first() else {
        return Err(CliError::Usage("--output: name a file to write".to_owned()));
    };
    let stop = interrupt::stop_flag()?;
    let truth = made_up::write_stream(&config, &args.outputs, &stop, context)?;
    let config_path = made_up::with_suffix(first, ".config.yaml");
    let before = json!({ "sources": made_up::file_sources(&args.outputs) });
    let after = json!({ "sinks": [{ "type": "terminal" }] });
    made_up::write_whole(&config_path, &made_up::document(&config, COMMENT, before, after)?)?;

    let mut text = format!(
        "{} ({}) in {}\n",
        counted(truth.lines, "line"),
        bytes(truth.bytes),
        names(&args.outputs)
    );
    text.push_str(&format!("truth          {}\n", truth_path(first).display()));
    text.push_str(&format!("configuration  {}\n", config_path.display()));
    context.print(&text)?;
    Ok(Outcome::Done)
}

fn names(paths: &[PathBuf]) -> String {
    paths
        .iter()
        .map(|path| path.display().to_string())
        .collect::<Vec<_>>()
        .join(", ")
}

/// Says in a sentence what the system would say in a word.
fn check_outputs(outputs: &[PathBuf]) -> Result<(), CliError> {
    let mut places = Places::default();
    for (number, path) in (1..).zip(outputs) {
        if path.is_dir() {
            let example = path.join("events.ndjson");
            return Err(CliError::Usage(format!(
                "{} is a folder; name a file to write, e.g. {}",
                path.display(),
                example.display()
            )));
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        if !fs::metadata(folder).is_ok_and(|metadata| metadata.is_dir()) {
            return Err(CliError::Usage(format!(
                "{} cannot be written: the folder {} does not exist; make it first",
                path.display(),
                folder.display()
            )));
        }
        places.writes(format!("output {number}"), path)?;
    }
    Ok(())
}
