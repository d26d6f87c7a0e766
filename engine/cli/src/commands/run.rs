//! `backplane run`: a job as its configuration says.

use super::{Context, load};
use crate::args::RunArgs;
use crate::assemble::{Manner, assemble};
use crate::exit::{CliError, Outcome};
use crate::session;

/// Runs the job.
///
/// # Errors
/// The configuration is wrong, or the job failed.
pub fn execute(args: &RunArgs, context: &Context) -> Result<Outcome, CliError> {
    check_restore(args.restore.as_deref())?;
    let loaded = load(&args.config, &args.overrides.sets)?;
    loaded.check_runnable()?;
    let manner = Manner {
        until_end: args.until_end,
        ..Manner::default()
    };
    let summary = session::run(assemble(&loaded, manner, &context.terminal)?, context)?;
    summary.tell(context.log_format, &mut context.terminal.errors());
    Ok(session::outcome(&summary, args.strict))
}

fn check_restore(restore: Option<&str>) -> Result<(), CliError> {
    match restore {
        None | Some("none") => Ok(()),
        Some(wanted) => Err(CliError::Usage(format!(
            "--restore {wanted}: this version keeps no checkpoints to go on from yet; leave it out, or give none, to start from the beginning"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_start_from_the_beginning_can_be_asked_for() {
        assert!(check_restore(None).is_ok());
        assert!(check_restore(Some("none")).is_ok());
        assert!(check_restore(Some("latest")).is_err());
        assert!(check_restore(Some("12")).is_err());
    }
}
