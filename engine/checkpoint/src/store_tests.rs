//! Epochs on a local folder, in memory, and on stores that fail.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::Duration;

use backplane_connector_api::Epoch;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use object_store::path::Path;

use crate::manifest::{EpochRecord, Manifest, PartRef, Writer};
use crate::owner::Lease;
use crate::store::{CheckpointStore, Patience};
use crate::testing::{Fault, FaultyStore, hold_still, manifest};
use crate::{CheckpointError, layout};

const HURRY: Patience = Patience {
    answer: Duration::from_millis(50),
    repeat: Duration::ZERO,
    beat: Duration::from_millis(20),
    silence: Duration::from_millis(300),
};

fn over(store: Arc<dyn ObjectStore>) -> Arc<CheckpointStore> {
    let store = CheckpointStore::remote(store, &Path::from("checkpoints"), "a job").unwrap();
    Arc::new(store.with_patience(HURRY))
}

fn local(dir: &tempfile::TempDir, job: &str) -> Arc<CheckpointStore> {
    Arc::new(CheckpointStore::local(dir.path(), job).unwrap().with_patience(HURRY))
}

fn write(store: &Arc<CheckpointStore>, epoch: u64, writer: Writer, text: &[u8]) -> Result<PartRef, CheckpointError> {
    let mut part = store.write_part(Epoch(epoch), writer, "changes");
    part.write_all(text).unwrap();
    part.finish()
}

/// Prepares and decides an epoch whose state are these parts and one more.
fn commit(
    store: &Arc<CheckpointStore>,
    epoch: u64,
    writer: Writer,
    parts: &mut Vec<PartRef>,
) -> Result<Manifest, CheckpointError> {
    parts.push(write(
        store,
        epoch,
        writer,
        format!("what epoch {epoch} changed").as_bytes(),
    )?);
    let manifest = manifest(Epoch(epoch), writer, parts);
    let record = EpochRecord {
        epoch: Epoch(epoch),
        writer,
        manifest: store.put_manifest(&manifest)?,
    };
    store.decide(&record)?;
    Ok(manifest)
}

fn text_of(store: &Arc<CheckpointStore>, part: &PartRef) -> String {
    let mut text = String::new();
    store.read_part(part).unwrap().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn what_is_decided_is_read_back_on_every_kind_of_store() {
    let dir = tempfile::tempdir().unwrap();
    for store in [local(&dir, "a job"), over(Arc::new(InMemory::new()))] {
        let writer = Writer::new();
        let mut parts = Vec::new();
        let first = commit(&store, 1, writer, &mut parts).unwrap();
        let second = commit(&store, 2, writer, &mut parts).unwrap();
        assert_eq!(store.epochs().unwrap(), [Epoch(1), Epoch(2)]);
        assert_eq!(
            (store.verify(Epoch(1)).unwrap(), store.verify(Epoch(2)).unwrap()),
            (first, second)
        );
        assert_eq!(text_of(&store, &parts[1]), "what epoch 2 changed");
        // prepared and never decided
        write(&store, 3, writer, b"nothing").unwrap();
        assert_eq!(store.epochs().unwrap().last(), Some(&Epoch(2)));
        let error = store.manifest(Epoch(7)).unwrap_err().to_string();
        assert_eq!(error, "there is no checkpoint of epoch 7; there are 1, 2");
        assert!(store.reset().unwrap() > 5);
        assert!(store.epochs().unwrap().is_empty());
    }
}

#[test]
fn long_pieces_are_written_and_read_bit_by_bit() {
    let dir = tempfile::tempdir().unwrap();
    for store in [local(&dir, "job"), over(Arc::new(InMemory::new()))] {
        let mut part = store.write_part(Epoch(1), Writer::new(), "base");
        let block: Vec<u8> = (0..=255).cycle().take(1_000_003).collect();
        for _ in 0..30 {
            part.write_all(&block).unwrap();
        }
        let part = part.finish().unwrap();
        assert_eq!(part.bytes, 30_000_090);
        let mut reader = store.read_part(&part).unwrap();
        let mut first = vec![0; block.len()];
        reader.read_exact(&mut first).unwrap();
        assert!(first == block);
        reader.finish().unwrap();
    }
}

#[test]
fn an_epoch_is_decided_once_and_the_loser_is_told() {
    let store = Arc::new(InMemory::new());
    let (one, other) = (over(Arc::clone(&store) as _), over(store));
    commit(&one, 1, Writer::new(), &mut Vec::new()).unwrap();
    let error = commit(&other, 1, Writer::new(), &mut Vec::new()).unwrap_err();
    assert!(
        matches!(error, CheckpointError::TakenOver { epoch: Epoch(1), .. }),
        "{error}"
    );
}

#[test]
fn garbage_is_what_no_kept_epoch_names() {
    let store = over(Arc::new(InMemory::new()));
    let writer = Writer::new();
    let mut parts = Vec::new();
    for epoch in 1..=3 {
        commit(&store, epoch, writer, &mut parts).unwrap();
    }
    // a new base: what came before is not needed any more
    parts.clear();
    let mut known = BTreeMap::new();
    for epoch in 4..=5 {
        known.insert(Epoch(epoch), commit(&store, epoch, writer, &mut parts).unwrap());
    }
    write(&store, 5, Writer::new(), b"of an instance that lost").unwrap();
    write(&store, 6, writer, b"of the next epoch").unwrap();
    assert_eq!(store.collect_garbage(Epoch(5), 2, &known).unwrap(), 3 + 3 + 3 + 1);
    assert_eq!(store.epochs().unwrap(), [Epoch(4), Epoch(5)]);
    store.verify(Epoch(4)).unwrap();
    store.verify(Epoch(5)).unwrap();
    assert_eq!(store.collect_garbage(Epoch(5), 2, &known).unwrap(), 0);
}

#[test]
fn damage_is_found_and_the_last_whole_epoch_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = local(&dir, "job");
    let writer = Writer::new();
    let mut parts = Vec::new();
    commit(&store, 1, writer, &mut parts).unwrap();
    commit(&store, 2, writer, &mut parts).unwrap();
    let path = store.folder().unwrap().join(&parts[1].path);
    let whole = std::fs::read(&path).unwrap();
    let mut damaged = whole.clone();
    damaged[3] ^= 1;
    for (bytes, reason) in [
        (Some(damaged), "checksum"),
        (Some(whole[1..].to_vec()), "bytes"),
        (None, "gone"),
    ] {
        match bytes {
            Some(bytes) => std::fs::write(&path, bytes).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let error = store.verify(Epoch(2)).unwrap_err();
        let error = error.with_last_good(store.last_good_before(Epoch(2))).to_string();
        assert!(error.contains(reason) && error.contains("--restore 1"), "{error}");
    }
    let manifest = store.folder().unwrap().join(layout::manifest(Epoch(1), writer));
    std::fs::write(manifest, "{}").unwrap();
    let error = store.verify(Epoch(1)).unwrap_err();
    let error = error.with_last_good(store.last_good_before(Epoch(1))).to_string();
    assert!(
        error.contains("manifest of epoch 1") && error.contains("--restore none"),
        "{error}"
    );
}

/// Two epochs and a collection of garbage.
fn some_epochs(store: &Arc<CheckpointStore>) -> Result<(), CheckpointError> {
    let writer = Writer::new();
    let mut parts = Vec::new();
    let first = commit(store, 1, writer, &mut parts)?;
    let second = commit(store, 2, writer, &mut parts)?;
    let known = BTreeMap::from([(Epoch(1), first), (Epoch(2), second)]);
    store.collect_garbage(Epoch(2), 1, &known)?;
    Ok(())
}

#[test]
fn whatever_call_fails_decided_epochs_are_whole_and_none_is_decided_twice() {
    let probe = Arc::new(FaultyStore::new(Arc::new(InMemory::new()), Fault::Refused, u64::MAX, 0));
    some_epochs(&over(Arc::clone(&probe) as _)).unwrap();
    let calls = probe.calls();
    assert!(calls > 8, "{calls}");
    for fault in [Fault::Refused, Fault::AnswerLost, Fault::Silent] {
        // one call fails, and then for so long that there is no hope
        for count in [1, 100] {
            for first in 0..calls {
                let inner = Arc::new(InMemory::new());
                let faulty = Arc::new(FaultyStore::new(Arc::clone(&inner) as _, fault, first, count));
                let outcome = some_epochs(&over(faulty));
                let sound = over(inner);
                let decided = sound.epochs().unwrap();
                for epoch in &decided {
                    sound
                        .verify(*epoch)
                        .unwrap_or_else(|error| panic!("{fault:?} at call {first}: {error}"));
                }
                match outcome {
                    Ok(()) => assert_eq!(decided.last(), Some(&Epoch(2))),
                    Err(error) => {
                        assert!(error.is_retryable(), "{fault:?} at call {first}: {error}");
                        // a call that fails once is made again
                        assert!(count > 1, "{fault:?} at call {first}: {error}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_write_that_fails_where_the_checkpoints_were_removed_says_that_they_were() {
    let dir = tempfile::tempdir().unwrap();
    let store = local(&dir, "job");
    let lease = Lease::take(&store, Writer::new()).unwrap();
    hold_still(&lease, true);
    let full = || CheckpointError::storage("writing", "no space left on device");
    assert!(matches!(store.why(full()), CheckpointError::Storage { .. }));
    std::fs::remove_dir_all(store.folder().unwrap()).unwrap();
    let error = store.make_durable("state/part").unwrap_err();
    assert!(matches!(store.why(error), CheckpointError::Removed));
}

#[test]
fn a_second_instance_is_refused_while_the_first_lives_and_takes_over_when_it_is_silent() {
    let dir = tempfile::tempdir().unwrap();
    let folder = || local(&dir, "job");
    let memory = Arc::new(InMemory::new());
    let remote = || over(Arc::clone(&memory) as _);
    let stores: [&dyn Fn() -> Arc<CheckpointStore>; 2] = [&folder, &remote];
    for make in stores {
        let (one, other) = (make(), make());
        let lease = Lease::take(&one, Writer::new()).unwrap();
        let refused = Lease::take(&other, Writer::new());
        assert!(matches!(refused, Err(CheckpointError::Running { .. })), "{refused:?}");
        lease.check().unwrap();
        hold_still(&lease, true);
        let second = Lease::take(&other, Writer::new()).unwrap();
        hold_still(&lease, false);
        std::thread::sleep(HURRY.beat * 5);
        let lost = lease.check().unwrap_err();
        assert!(matches!(lost, CheckpointError::TakenOver { .. }), "{lost}");
        second.check().unwrap();
        // what ends in order is taken over at once
        drop(lease);
        drop(second);
        let begun = std::time::Instant::now();
        Lease::take(&one, Writer::new()).unwrap();
        assert!(begun.elapsed() < HURRY.silence);
    }
}

#[test]
fn jobs_of_any_name_keep_apart() {
    let dir = tempfile::tempdir().unwrap();
    for (index, job) in ["a/b", "a_2fb", "..", ".", "é", "a b", "A", ""].into_iter().enumerate() {
        let store = local(&dir, job);
        assert!(store.epochs().unwrap().is_empty(), "{job:?} shares a folder");
        commit(&store, index as u64 + 1, Writer::new(), &mut Vec::new()).unwrap();
        assert!(store.folder().unwrap().starts_with(dir.path().canonicalize().unwrap()));
    }
}
