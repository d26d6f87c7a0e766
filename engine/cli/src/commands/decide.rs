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
        (None, Some(path)) => {
            let loaded = load(path, &[])?;
            let url = lakes::of_config(&loaded.config).cloned();
            url.ok_or_else(|| CliError::Usage(format!("{} has no lake; name one with --lake", path.display())))?
        }
        (None, None) => {
            return Err(CliError::Usage(
                "which lake? name it with --lake, or a configuration that has one with --config".to_owned(),
            ));
        }
    };
    let known = OpenLake::open(&url)?.experiments()?;
    if !known.contains(&args.experiment) {
        let names: Vec<&str> = known.iter().map(String::as_str).collect();
        return Err(CliError::Usage(format!(
            "the lake knows no experiment {}; it has {}",
            args.experiment,
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        )));
    }
    ledger::decide(&url, &args.experiment, args.decision.name(), args.detail.as_deref())?;
    context.note(&format!("recorded: {} {}", args.decision.name(), args.experiment));
    Ok(Outcome::Done)
}
