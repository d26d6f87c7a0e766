//! `backplane demo`: a made-up stream with known faults through the whole job, and what was found.

mod findings;
mod folder;
mod page;

use std::path::PathBuf;

use backplane_config::{Config, StorageUrl, process_environment};
use backplane_generator::GeneratorConfig;
use backplane_queries::lineage::Look;
use backplane_runtime::{Ending, Job};
use serde_json::json;

use super::{Context, made_up};
use crate::args::DemoArgs;
use crate::assemble::{Manner, assemble};
use crate::exit::{CliError, Outcome};
use crate::interrupt;
use crate::lakes::OpenLake;
use crate::ledger::{self, Shown};
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
        return Err(CliError::Usage(
            "--serve: this version has no web page and no SQL port yet; leave it out".to_owned(),
        ));
    }
    let folder = DemoFolder::prepare(&args.dir)?;
    let stream = GeneratorConfig {
        partitions: folder::FILES,
        ..GeneratorConfig::demo(args.events, args.seed)
    };
    let stop = interrupt::stop_flag()?;
    let truth = made_up::write_stream(&stream, &folder.events(), &stop, context).inspect_err(|_| folder.give_up())?;
    made_up::write_whole(&folder.config(), &document(&stream, &folder)?)?;

    let no_overrides: &[&str] = &[];
    let loaded = Config::load(&folder.config(), &process_environment, no_overrides)?;
    let mut assembled = assemble(&loaded, Manner::default(), &context.terminal)?;
    let mut summary = session::run_until(&stop, &mut assembled, context)?;
    if summary.ending == Ending::Stopped {
        summary.tell(context.log_format, &mut context.terminal.errors());
        return Ok(Outcome::Interrupted);
    }
    let findings = look_at_results(&folder, &loaded.config, &mut assembled.job)?;
    summary.progress = assembled.job.progress();
    let page = Page {
        stream: &stream,
        truth: &truth,
        summary: &summary,
        findings: &findings,
        folder: &folder,
    };
    context.print(&page.text(context.terminal.page_width(), path_of_program().as_deref()))?;
    Ok(Outcome::Done)
}

/// Reads what is shown below. That shows the outcomes of variants to a person, so it is a look like any other: it is recorded, and the job
/// judges it.
fn look_at_results(folder: &DemoFolder, config: &Config, job: &mut Job) -> Result<Findings, CliError> {
    let url = StorageUrl::local(folder.lake());
    let lake = OpenLake::open(&url)?;
    let shown = Shown {
        origin: "demo",
        query: "backplane demo",
    };
    lake.wait_for(ledger::record(&lake, &Look::default(), shown))?;
    job.follow_up()?;
    Findings::read(&OpenLake::open(&url)?, config)
}

/// The configuration: the stream's declarations, its files in, a lake and a dead-letter file out.
fn document(stream: &GeneratorConfig, folder: &DemoFolder) -> Result<String, CliError> {
    let before = json!({ "job": "demo", "sources": made_up::file_sources(&folder.events()) });
    let after = json!({
        "sinks": [{ "name": "lake", "type": "lake", "options": { "url": made_up::absolute(&folder.lake()) } }],
        "deadLetter": { "type": "file", "options": { "path": made_up::absolute(&folder.dead_letters()) } },
    });
    made_up::document(stream, COMMENT, before, after)
}

/// The path by which the user called this program; none where the shell finds it by its name.
fn path_of_program() -> Option<String> {
    let called = PathBuf::from(std::env::args_os().next()?);
    (called.components().count() > 1).then(|| called.display().to_string())
}
