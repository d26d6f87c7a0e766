//! One job from its start to its summary: interruption, progress, exit status.

use std::sync::atomic::AtomicBool;

use crate::assemble::Assembled;
use crate::commands::Context;
use crate::exit::{CliError, Outcome};
use crate::interrupt;
use crate::progress::ProgressReport;
use crate::summary::Summary;

use backplane_runtime::Ending;

/// Runs a job to its end, or until it is interrupted.
///
/// # Errors
/// What the job ends with.
pub fn run(mut assembled: Assembled, context: &Context) -> Result<Summary, CliError> {
    run_until(interrupt::stop_flag()?.as_ref(), &mut assembled, context)
}

/// Runs a job to its end, or until the flag is set.
///
/// # Errors
/// What the job ends with.
pub fn run_until(stop: &AtomicBool, assembled: &mut Assembled, context: &Context) -> Result<Summary, CliError> {
    let Assembled {
        job,
        tally,
        dead_letters,
    } = assembled;
    let mut report = ProgressReport::new(&context.terminal);
    let ending = job.run(stop, &mut report);
    // the line of progress goes before anything else is said
    drop(report);
    Ok(Summary {
        ending: ending?,
        progress: job.progress(),
        experiments: job.names().experiments.len(),
        counts: tally.counts(),
        dead_letters: dead_letters.clone(),
    })
}

/// The outcome of a job.
pub fn outcome(summary: &Summary, strict: bool) -> Outcome {
    match summary.ending {
        Ending::Stopped => Outcome::Interrupted,
        Ending::Exhausted if strict && summary.counts.unreadable() > 0 => Outcome::DeadLettered,
        Ending::Exhausted | Ending::NothingNew => Outcome::Done,
    }
}
