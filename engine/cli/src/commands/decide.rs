//! `backplane decide`: a decision on an experiment, for the ledger.

use super::{Context, lake_url};
use crate::args::DecideArgs;
use crate::exit::{CliError, Outcome};
use crate::lakes::OpenLake;
use crate::ledger;

/// Records the decision.
///
/// # Errors
/// There is no lake, it knows no such experiment, or it cannot be written.
pub fn execute(args: &DecideArgs, context: &Context) -> Result<Outcome, CliError> {
    let url = lake_url(args.lake.as_deref(), args.config.as_deref())?;
    OpenLake::open(&url)?.check_experiment(&args.experiment)?;
    ledger::decide(&url, &args.experiment, args.decision.name(), args.detail.as_deref())?;
    context.note(&format!("recorded: {} {}", args.decision.name(), args.experiment));
    Ok(Outcome::Done)
}
