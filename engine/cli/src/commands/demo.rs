//! `backplane demo`: a made-up stream with known faults through the whole job, and what was found.

mod findings;
mod folder;
mod page;

use std::path::Path;

use backplane_config::StorageUrl;
use backplane_generator::GeneratorConfig;
use backplane_runtime::Ending;
use serde_json::json;

use super::{Context, load, made_up};
use crate::args::DemoArgs;
use crate::assemble::{Manner, assemble};
use crate::exit::{CliError, Outcome};
use crate::lakes::OpenLake;
use crate::session;
use findings::Findings;
use folder::DemoFolder;
use page::Page;

const COMMENT: &str = "# The job of `backplane demo`: change what you like and run it with `backplane run`.\n";

/// Makes the stream, runs the job on it and shows what was found.
///
/// # Errors
/// The folder is somebody else's or cannot be written, or the job failed.
pub fn execute(args: &DemoArgs, context: &Context) -> Result<Outcome, CliError> {
    if args.serve {
        return Err(CliError::Usage("--serve: this version has no web page and no SQL port yet; leave it out".to_owned()));
    }
    let folder = DemoFolder::prepare(&args.dir)?;
    let stream = GeneratorConfig { partitions: folder::FILES, ..GeneratorConfig::demo(args.events, args.seed) };
    let truth = made_up::write_stream(&stream, &folder.events(), context)?;
    made_up::write_whole(&folder.config(), &document(&stream, &folder)?)?;

    let loaded = load(&folder.config(), &[])?;
    let summary = session::run(assemble(&loaded.config, Manner::default(), &context.terminal)?, context)?;
    if summary.ending == Ending::Stopped {
        summary.tell(context.log_format, &mut context.terminal.errors());
        return Ok(Outcome::Interrupted);
    }
    let lake = OpenLake::open(&StorageUrl::local(folder.lake()))?;
    let findings = Findings::read(&lake, &loaded.config)?;
    let page = Page { stream: &stream, truth: &truth, summary: &summary, findings: &findings, folder: &folder };
    context.print(&page.text(context.terminal.page_width(), &invocation()))?;
    Ok(Outcome::Done)
}

/// The configuration: the stream's declarations, its files in, a lake and a dead-letter file out.
fn document(stream: &GeneratorConfig, folder: &DemoFolder) -> Result<String, CliError> {
    let before = json!({ "job": "demo", "sources": made_up::file_sources(&folder.events()) });
    let after = json!({
        "sinks": [{ "name": "lake", "type": "lake", "options": { "url": made_up::absolute(&folder.lake()) } }],
        "deadLetter": { "type": "file", "options": { "path": made_up::absolute(&folder.dead_letters()) } },
        "checkpoint": { "url": made_up::absolute(&folder.checkpoints()) },
    });
    made_up::document(stream, COMMENT, before, after)
}

/// How the user calls this program: by its name where that finds it, else by its path.
fn invocation() -> String {
    let called = std::env::args_os().next().unwrap_or_default();
    let called = Path::new(&called);
    if called.components().count() > 1 { called.display().to_string() } else { "backplane".to_owned() }
}
