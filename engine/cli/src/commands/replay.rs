//! `backplane replay`: the events of a lake through the job.

use backplane_config::Document;
use serde_json::json;

use super::{Context, check_url, load_document, scalar};
use crate::args::ReplayArgs;
use crate::assemble::{Manner, assemble};
use crate::exit::{CliError, Outcome};
use crate::session;

/// Runs the job with the lake in the place of its sources.
///
/// # Errors
/// The configuration is wrong, or the job failed.
pub fn execute(args: &ReplayArgs, context: &Context) -> Result<Outcome, CliError> {
    check_url("--from", &args.from)?;
    let mut document = Document::read(&args.config)?;
    for set in &args.overrides.sets {
        document.set_argument(set)?;
    }
    let source = json!([{ "type": "lake", "options": { "url": scalar(&args.from) } }]);
    document.set("engine.sources", &source.to_string())?;
    let loaded = load_document(document)?;
    let manner = Manner {
        until_end: true,
        ..Manner::default()
    };
    let summary = session::run(assemble(&loaded, manner, &context.terminal)?, context)?;
    summary.tell(context.log_format, &mut context.terminal.errors());
    Ok(session::outcome(&summary, false))
}
