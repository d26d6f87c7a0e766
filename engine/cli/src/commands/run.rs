//! `backplane run`: a job as its configuration says.

use super::{Context, load};
use crate::args::RunArgs;
use crate::assemble::{Manner, assemble};
use crate::epochs;
use crate::exit::{CliError, Outcome};
use crate::session;

/// Runs the job.
///
/// # Errors
/// The configuration is wrong, or the job failed.
pub fn execute(args: &RunArgs, context: &Context) -> Result<Outcome, CliError> {
    let start = args.restore.as_deref().map(epochs::start_of);
    let loaded = load(&args.config, &args.overrides.sets)?;
    loaded.check_runnable()?;
    let manner = Manner {
        until_end: args.until_end,
        keeps_epochs: true,
        start: start.transpose()?,
        ..Manner::default()
    };
    let summary = session::run(assemble(&loaded, manner, &context.terminal)?, context)?;
    summary.tell(context.log_format, &mut context.terminal.errors());
    Ok(session::outcome(&summary, args.strict))
}
