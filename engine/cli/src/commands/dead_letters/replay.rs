//! `backplane dead-letters replay`: records that could not be read, once more through the job.

use std::path::Path;
use std::sync::atomic::Ordering;

use backplane_config::Config;
use backplane_connector_api::places::resolved;
use backplane_file::{LetterSource, Letters};

use super::{DEAD_LETTERS, file_of, refuse_device};
use crate::args::{DeadLettersReplayArgs, LogFormat};
use crate::assemble::{Again, Manner, assemble_with};
use crate::commands::{Context, load};
use crate::epochs;
use crate::exit::{CliError, Outcome};
use crate::format::{counted, grouped};
use crate::session;
use crate::summary::Summary;

/// Has the job go on from its last checkpoint, with the records beside its own sources. How far they were read is in its checkpoints, as it is
/// of every source, so each goes in once.
///
/// # Errors
/// The job has no checkpoint to go on from, the records cannot be read, or the job failed.
pub fn execute(args: &DeadLettersReplayArgs, context: &Context) -> Result<Outcome, CliError> {
    let loaded = load(&args.config, &args.overrides.sets)?;
    loaded.check_runnable()?;
    let letters = file_of(&loaded.config);
    refuse_without_checkpoint(&loaded.config)?;
    let again = match &args.records {
        None => {
            refuse_device(letters)?;
            Again {
                source: LetterSource::of_letters(DEAD_LETTERS, letters),
                file: None,
            }
        }
        Some(file) => {
            refuse_letters(file, letters)?;
            Again {
                source: LetterSource::of_records(DEAD_LETTERS, file),
                file: Some(file.clone()),
            }
        }
    };
    let tried = again.source.tried();
    let manner = Manner {
        until_end: true,
        keeps_epochs: true,
        ..Manner::default()
    };
    let summary = session::run(assemble_with(&loaded, manner, Some(again), &context.terminal)?, context)?;
    let from = args.records.as_deref().unwrap_or(letters);
    tell(context, &summary, tried.load(Ordering::Relaxed), from);
    summary.tell(context.log_format, &mut context.terminal.errors());
    Ok(session::outcome(&summary, args.strict))
}

/// Refuses a job that keeps nothing, or has not run yet; before anybody takes it.
fn refuse_without_checkpoint(config: &Config) -> Result<(), CliError> {
    let job = &config.engine.job;
    let Some(store) = epochs::store_of(config)? else {
        return Err(CliError::Usage(format!(
            "the job {job} keeps no checkpoints, so nobody would know which records have gone in; name a folder for them in \
             engine.checkpoint.url"
        )));
    };
    match store.epochs()?.is_empty() {
        true => Err(epochs::nothing_to_go_on_from(job)),
        false => Ok(()),
    }
}

/// Refuses a file of letters where records are wanted.
fn refuse_letters(file: &Path, letters: &Path) -> Result<(), CliError> {
    if resolved(file) == resolved(letters) {
        return Err(CliError::Usage(format!(
            "--records: {} is the dead-letter file itself; leave --records out to try its records as they are, or write them to another file \
             with `backplane dead-letters show --raw` and put them right there",
            file.display()
        )));
    }
    if !file.is_file() {
        // whoever opens it says what it is
        return Ok(());
    }
    // a file that is compressed is not one that a job has written
    let first = Letters::open(DEAD_LETTERS, file)
        .ok()
        .flatten()
        .and_then(|mut lines| lines.next());
    match first {
        Some(Ok(line)) if line.letter.is_ok() => Err(CliError::Usage(format!(
            "--records: {} holds dead letters, not the records themselves; write those out with `backplane dead-letters show --raw`",
            file.display()
        ))),
        _ => Ok(()),
    }
}

/// Says what became of the records that were tried.
fn tell(context: &Context, summary: &Summary, tried: u64, from: &Path) {
    let failed = summary
        .counts
        .dead_letter_sources
        .get(DEAD_LETTERS)
        .copied()
        .unwrap_or(0);
    if context.log_format == LogFormat::Json {
        tracing::info!(records = tried, failed, from = %from.display(), "tried again");
        return;
    }
    context.note(&match (tried, failed) {
        (0, _) => format!(
            "tried again: nothing, {} has no records that were not tried before",
            from.display()
        ),
        (_, 0) => format!(
            "tried again: {} of {}, all could be read",
            counted(tried, "record"),
            from.display()
        ),
        (_, failed) => format!(
            "tried again: {} of {}, {} could not be read",
            counted(tried, "record"),
            from.display(),
            grouped(failed)
        ),
    });
}
