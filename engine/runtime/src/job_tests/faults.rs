//! A storage that fails, gives no answer or loses it, at every call in turn.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use backplane_checkpoint::testing::{Fault, FaultyStore};
use backplane_checkpoint::{CheckpointError, Patience};
use backplane_connector_api::memory::{MemorySource, MemoryStore};
use backplane_events::Table;
use object_store::ObjectStore;
use object_store::memory::InMemory;

use super::restored::{epochs_on, resume};
use super::{all_tables, exposure, hourly, job_of, lines, outcome, results, rows, texts};
use crate::{Ending, RuntimeError};

const HURRY: Patience = Patience {
    answer: Duration::from_millis(20),
    repeat: Duration::ZERO,
    beat: Duration::from_millis(5),
    silence: Duration::from_millis(40),
};

/// Runs a job of a few epochs to its end, its state on this storage.
fn run(storage: Arc<dyn ObjectStore>, visible: &MemoryStore) -> Result<Ending, RuntimeError> {
    let records: Vec<String> = (0..120)
        .flat_map(|id| {
            let (subject, at) = (format!("s{id}"), i64::from(id) * 60);
            [
                exposure(
                    &format!("e{id}"),
                    at,
                    &subject,
                    if id % 2 == 0 { "control" } else { "b" },
                ),
                outcome(&format!("o{id}"), at + 30, &subject, f64::from(id % 7)),
            ]
        })
        .collect();
    let partitions = lines(&records).into_iter().map(|(name, text)| (name, text.into()));
    let source = MemorySource::bounded("lines", partitions);
    let mut job = job_of(&hourly(), Vec::new(), source, vec![all_tables(visible)], 2).with_block_bytes(8_000);
    resume(&mut job, &Arc::new(epochs_on(storage).with_patience(HURRY)), 4_000)?;
    job.run(&AtomicBool::new(false), &mut ())
}

/// What can be seen: the latest of each result, and the ids of events.
fn seen(visible: &MemoryStore) -> (Vec<String>, Vec<Option<String>>) {
    let mut ids = texts(&rows(visible, Table::Exposures), "event_id");
    ids.extend(texts(&rows(visible, Table::Outcomes), "event_id"));
    ids.sort();
    let mut results = results(visible);
    results.dedup();
    (results, ids)
}

#[test]
fn whatever_call_fails_the_job_recovers_or_stops_and_no_result_is_wrong() {
    let undisturbed = MemoryStore::new();
    let probe = Arc::new(FaultyStore::new(Arc::new(InMemory::new()), Fault::Refused, u64::MAX, 0));
    assert_eq!(run(Arc::clone(&probe) as _, &undisturbed).unwrap(), Ending::Exhausted);
    let (expected, calls) = (seen(&undisturbed), probe.calls());
    assert!(calls > 15 && expected.1.len() == 240, "{calls} calls");
    let check = &|fault: Fault| {
        // one call fails, and then for so long that there is no hope
        let cases = [1, 1_000]
            .into_iter()
            .flat_map(|count| (0..calls).map(move |first| (count, first)));
        cases
            .filter(|(count, first)| has_stopped(fault, *count, *first, &expected))
            .count()
    };
    // mostly they wait
    let stopped: usize = std::thread::scope(|scope| {
        let threads = [Fault::Refused, Fault::AnswerLost, Fault::Silent].map(|fault| scope.spawn(move || check(fault)));
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert!(stopped > 10, "{stopped}");
}

/// Runs the job while calls fail, and once more where it has stopped. Whether it has.
fn has_stopped(fault: Fault, count: u64, first: u64, expected: &(Vec<String>, Vec<Option<String>>)) -> bool {
    let how = format!("{fault:?}, {count} from call {first}");
    let (inner, visible): (Arc<dyn ObjectStore>, _) = (Arc::new(InMemory::new()), MemoryStore::new());
    let faulty = Arc::new(FaultyStore::new(Arc::clone(&inner), fault, first, count));
    let ran = run(faulty, &visible);
    let stopped = ran.is_err();
    match ran {
        Ok(ending) => assert_eq!(ending, Ending::Exhausted, "{how}"),
        Err(RuntimeError::Checkpoint(
            error @ (CheckpointError::Storage { .. } | CheckpointError::Ambiguous { .. }),
        )) => {
            assert!(count > 1, "{how}: a call that fails once is made again: {error}");
            // the storage is back
            let ending = run(inner, &visible).unwrap_or_else(|error| panic!("{how}: {error}"));
            assert!(matches!(ending, Ending::Exhausted | Ending::NothingNew), "{how}");
        }
        Err(error) => panic!("{how}: {error}"),
    }
    assert!(&seen(&visible) == expected, "{how}: the results differ");
    stopped
}
