//! `backplane decide`: a decision on an experiment, for the ledger.

use super::{Context, check_url, load};
use crate::args::DecideArgs;
use crate::exit::{CliError, Outcome};
use crate::lakes::{self, OpenLake};
use crate::ledger;

/// Records the decision.
///
/// # Errors
/// There is no lake, it knows no such experiment, or it cannot be written.
pub fn execute(args: &DecideArgs, context: &Context) -> Result<Outcome, CliError> {
    let url = match (&args.lake, &args.config) {
        (Some(lake), _) => check_url("--lake", lake)?,
        (None, Some(path)) => lakes::named_in(path, &load(path, &[])?.config)?,
        (None, None) => return Err(lakes::which_lake()),
    };
    lakes::check_experiment(&OpenLake::open(&url)?, &args.experiment)?;
    ledger::decide(&url, &args.experiment, args.decision.name(), args.detail.as_deref())?;
    context.note(&format!("recorded: {} {}", args.decision.name(), args.experiment));
    Ok(Outcome::Done)
}
