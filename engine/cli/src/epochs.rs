//! Where a job keeps its epochs, and what it may go on from.

use std::sync::Arc;

use backplane_checkpoint::{CheckpointStore, Lease, Manifest, Writer};
use backplane_config::{Config, process_environment};
use backplane_connector_api::Epoch;
use backplane_runtime::{Checkpoints, LEAST_JOURNAL, Recovery, Start};

use crate::exit::CliError;

/// Reads `--restore`.
///
/// # Errors
/// It is none of the words, and no number.
pub fn start_of(restore: &str) -> Result<Start, CliError> {
    match restore {
        "latest" => Ok(Start::Latest),
        "none" => Ok(Start::Beginning),
        number => number.parse().map(|number| Start::Epoch(Epoch(number))).map_err(|_| {
            CliError::Usage(format!(
                "--restore {restore}: give latest, none, or the number of an epoch (`backplane checkpoint list` shows them)"
            ))
        }),
    }
}

/// The checkpoints of a configuration's job; none where it names no place for them.
///
/// # Errors
/// The place cannot be used.
pub fn store_of(config: &Config) -> Result<Option<Arc<CheckpointStore>>, CliError> {
    let Some(url) = &config.engine.checkpoint.url else {
        return Ok(None);
    };
    let store = CheckpointStore::open(url.as_str(), process_environment, &config.engine.job)?;
    Ok(Some(Arc::new(store)))
}

/// The error of a command that needs a job's state, where there is none.
pub fn nothing_to_go_on_from(job: &str) -> CliError {
    CliError::Usage(format!(
        "the job {job} has no checkpoint to go on from; start it with `backplane run` first"
    ))
}

/// The epochs of a job that is about to run, and what it goes on from. No other instance runs it from now on.
pub struct Kept {
    /// The place.
    pub checkpoints: Checkpoints,
    /// What there is.
    pub recovery: Recovery,
}

/// Takes the job of a configuration, and finds out what it goes on from; none where it keeps nothing.
///
/// # Errors
/// Another instance runs the job, its state is damaged, or it was computed by rules that the configuration does not have any more.
pub fn take(config: &Config, start: Option<Start>) -> Result<Option<Kept>, CliError> {
    let Some(store) = store_of(config)? else {
        return match start {
            Some(Start::Latest | Start::Epoch(_)) => Err(CliError::Usage(
                "--restore: the job keeps no checkpoints; name a folder for them in engine.checkpoint.url".to_owned(),
            )),
            _ => Ok(None),
        };
    };
    let writer = Writer::new();
    let lease = Lease::take(&store, writer)?;
    let recovery = Recovery::read(&store, start.unwrap_or(Start::Latest))?;
    if let Some(manifest) = recovery.from() {
        compare(config, manifest)?;
        tracing::info!(
            epoch = manifest.epoch.0,
            created = manifest.created,
            "going on from a checkpoint"
        );
    }
    let checkpoints = Checkpoints {
        store,
        lease,
        writer,
        job: config.engine.job.clone(),
        fingerprint: config.fingerprint().parts().clone(),
        retain: usize::try_from(config.engine.checkpoint.retain).unwrap_or(usize::MAX),
        least_journal: LEAST_JOURNAL,
    };
    Ok(Some(Kept { checkpoints, recovery }))
}

/// Refuses a configuration that would mix two meanings in one state; says what is carried over.
fn compare(config: &Config, manifest: &Manifest) -> Result<(), CliError> {
    let fingerprint = config.fingerprint();
    let mut refused = Vec::new();
    for part in fingerprint.changed_since(&manifest.fingerprint) {
        match reason(part) {
            Some(reason) => refused.push(format!("{part} ({reason})")),
            None => tracing::warn!(part, "changed since the checkpoint: it holds from now on"),
        }
    }
    if refused.is_empty() {
        return Ok(());
    }
    Err(CliError::Usage(format!(
        "the configuration has changed since epoch {} where its state cannot follow: {}; put it back, or start anew with --restore none and \
         outputs of its own",
        manifest.epoch.0,
        refused.join("; ")
    )))
}

/// Why a part of the configuration cannot change under a state; none where it can.
fn reason(part: &str) -> Option<&'static str> {
    match part {
        "signals" => None,
        "metrics" => Some("what was folded by other rules is not kept event by event"),
        "experiments" => Some("subjects were counted by other allocations, segments and attribution windows"),
        "time" => Some("what was late, and what was forgotten, was decided by other times"),
        "crossovers" => Some("subjects were counted by another rule"),
        "windows" => Some("windows that are open now would miss what came before"),
        "evaluateEvery" => Some("event time was cut by another step"),
        _ => Some("this version does not know it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_a_word_or_a_number() {
        assert_eq!(start_of("latest").unwrap(), Start::Latest);
        assert_eq!(start_of("none").unwrap(), Start::Beginning);
        assert_eq!(start_of("12").unwrap(), Start::Epoch(Epoch(12)));
        let error = start_of("yesterday").unwrap_err().to_string();
        assert!(error.contains("checkpoint list"), "{error}");
    }

    #[test]
    fn every_part_of_a_fingerprint_has_its_reason_or_is_carried_over() {
        for part in Config::default().fingerprint().parts().keys() {
            assert_ne!(reason(part), Some("this version does not know it"), "{part}");
        }
    }
}
