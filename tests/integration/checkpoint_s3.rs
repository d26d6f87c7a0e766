//! Checkpoints on an object store, over HTTP.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::time::{Duration, Instant};

use backplane_checkpoint::testing::{hold_still, manifest};
use backplane_checkpoint::{CheckpointError, CheckpointStore, EpochRecord, Lease, Manifest, PartRef, Patience, Writer};
use backplane_connector_api::Epoch;
use backplane_tests::ObjectStoreServer;

const HURRY: Patience = Patience {
    answer: Duration::from_secs(20),
    repeat: Duration::from_millis(10),
    beat: Duration::from_millis(100),
    silence: Duration::from_secs(3),
};

/// The store of a new process.
fn store(server: &ObjectStoreServer, job: &str) -> Arc<CheckpointStore> {
    open(server, "s3://bucket/below/it", job)
}

fn open(server: &ObjectStoreServer, url: &str, job: &str) -> Arc<CheckpointStore> {
    let variables = BTreeMap::from(server.environment());
    let opened = CheckpointStore::open(url, |name| variables.get(name).cloned(), job);
    Arc::new(opened.expect("an address").with_patience(HURRY))
}

fn server() -> ObjectStoreServer {
    let server = ObjectStoreServer::start();
    server.make_bucket("bucket");
    server
}

/// A piece of state of this many bytes, other ones for each epoch.
fn write(store: &Arc<CheckpointStore>, epoch: u64, writer: Writer, name: &str, bytes: usize) -> PartRef {
    let mut part = store.write_part(Epoch(epoch), writer, name);
    let block: Vec<u8> = (0..=255_u8).map(|byte| byte.wrapping_mul(epoch as u8 | 1)).collect();
    let mut left = bytes;
    while left > 0 {
        let step = left.min(block.len());
        part.write_all(&block[..step]).expect("the store takes it");
        left -= step;
    }
    part.finish().expect("the store keeps it")
}

fn prepare(store: &Arc<CheckpointStore>, epoch: u64, writer: Writer, parts: &[PartRef]) -> (Manifest, EpochRecord) {
    let manifest = manifest(Epoch(epoch), writer, parts);
    let record = EpochRecord {
        epoch: Epoch(epoch),
        writer,
        manifest: store.put_manifest(&manifest).expect("the store keeps it"),
    };
    (manifest, record)
}

/// Prepares and decides an epoch whose state are these parts and one more.
fn commit(store: &Arc<CheckpointStore>, epoch: u64, writer: Writer, parts: &mut Vec<PartRef>) -> Manifest {
    parts.push(write(store, epoch, writer, "changes", 1000));
    let (manifest, record) = prepare(store, epoch, writer, parts);
    store.decide(&record).expect("nobody else is there");
    manifest
}

#[test]
fn what_is_decided_is_read_back_in_another_process_whatever_its_length() {
    let server = server();
    let first = store(&server, "a job");
    let writer = Writer::new();
    // uploaded in several pieces, in one, and by one call
    let lengths = [30_000_007, (8 << 20) + 1, 8 << 20, (8 << 20) - 1, 3, 0];
    let parts: Vec<PartRef> = lengths
        .iter()
        .enumerate()
        .map(|(number, bytes)| write(&first, 1, writer, &format!("base-{number}"), *bytes))
        .collect();
    let (manifest, record) = prepare(&first, 1, writer, &parts);
    assert!(first.epochs().unwrap().is_empty());
    first.decide(&record).unwrap();
    first
        .decide(&record)
        .expect("whose answer was lost finds that it was done");
    // prepared and never decided
    write(&first, 2, writer, "changes", 10);

    let other = store(&server, "a job");
    assert_eq!(other.epochs().unwrap(), [Epoch(1)]);
    assert_eq!(other.record(Epoch(1)).unwrap(), Some(record));
    assert_eq!(other.verify(Epoch(1)).unwrap(), manifest);
    for (part, bytes) in parts.iter().zip(lengths) {
        let mut read = Vec::new();
        other.read_part(part).unwrap().read_to_end(&mut read).unwrap();
        assert_eq!((read.len(), part.bytes), (bytes, bytes as u64));
        assert!(
            read.iter()
                .zip((0..=255_u8).cycle())
                .all(|(found, byte)| *found == byte)
        );
    }
    let error = other.manifest(Epoch(7)).unwrap_err().to_string();
    assert_eq!(error, "there is no checkpoint of epoch 7; there are 1");
    assert!(store(&server, "another job").epochs().unwrap().is_empty());

    // seven pieces, a manifest, a decision
    assert_eq!(other.reset().unwrap(), 9);
    assert!(first.epochs().unwrap().is_empty());
    assert_eq!(other.reset().unwrap(), 0);
}

#[test]
fn an_epoch_is_decided_once_and_the_loser_is_told() {
    let server = server();
    let (one, other) = (store(&server, "job"), store(&server, "job"));
    commit(&one, 1, Writer::new(), &mut Vec::new());
    let writer = Writer::new();
    let (_, record) = prepare(&other, 1, writer, &[]);
    let error = other.decide(&record).unwrap_err();
    assert!(
        matches!(error, CheckpointError::TakenOver { epoch: Epoch(1), .. }),
        "{error}"
    );
    assert_ne!(one.record(Epoch(1)).unwrap().unwrap().writer, writer);
}

#[test]
fn of_eight_that_decide_an_epoch_at_once_exactly_one_wins() {
    let server = server();
    let stores: Vec<Arc<CheckpointStore>> = (0..8).map(|_| store(&server, "job")).collect();
    for epoch in 1..=20 {
        let prepared: Vec<(&Arc<CheckpointStore>, EpochRecord)> = stores
            .iter()
            .map(|store| (store, prepare(store, epoch, Writer::new(), &[]).1))
            .collect();
        let start = std::sync::Barrier::new(prepared.len());
        let decide = &|(store, record): &(&Arc<CheckpointStore>, EpochRecord)| {
            start.wait();
            store.decide(record)
        };
        let outcomes: Vec<Result<(), CheckpointError>> = std::thread::scope(|scope| {
            let begin = |one| scope.spawn(move || decide(one));
            let threads: Vec<_> = prepared.iter().map(begin).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let winners: Vec<Writer> = prepared
            .iter()
            .zip(&outcomes)
            .filter(|(_, outcome)| outcome.is_ok())
            .map(|((_, record), _)| record.writer)
            .collect();
        let decided = stores[0].record(Epoch(epoch)).unwrap().unwrap().writer;
        assert_eq!(winners, [decided], "of epoch {epoch}");
        for error in outcomes.into_iter().filter_map(Result::err) {
            assert!(matches!(error, CheckpointError::TakenOver { .. }), "{error}");
        }
    }
}

#[test]
fn garbage_is_what_no_kept_epoch_names() {
    let server = server();
    let store = store(&server, "job");
    let writer = Writer::new();
    let mut parts = Vec::new();
    for epoch in 1..=3 {
        commit(&store, epoch, writer, &mut parts);
    }
    // a new base: what came before is not needed any more
    parts.clear();
    let mut known = BTreeMap::new();
    for epoch in 4..=5 {
        known.insert(Epoch(epoch), commit(&store, epoch, writer, &mut parts));
    }
    write(&store, 5, Writer::new(), "changes", 10);
    write(&store, 6, writer, "changes", 10);
    assert_eq!(store.collect_garbage(Epoch(5), 2, &known).unwrap(), 3 + 3 + 3 + 1);
    assert_eq!(store.epochs().unwrap(), [Epoch(4), Epoch(5)]);
    store.verify(Epoch(4)).unwrap();
    store.verify(Epoch(5)).unwrap();
    assert_eq!(store.last_good_before(Epoch(5)), Some(Epoch(4)));
    assert_eq!(store.collect_garbage(Epoch(5), 2, &BTreeMap::new()).unwrap(), 0);
}

#[test]
fn a_second_instance_is_refused_while_the_first_gives_signs_of_life() {
    let server = server();
    let (one, other) = (store(&server, "job"), store(&server, "job"));
    let lease = Lease::take(&one, Writer::new()).unwrap();
    let refused = Lease::take(&other, Writer::new());
    assert!(matches!(refused, Err(CheckpointError::Running { .. })), "{refused:?}");
    hold_still(&lease, true);
    let second = Lease::take(&other, Writer::new()).unwrap();
    hold_still(&lease, false);
    std::thread::sleep(HURRY.beat * 5);
    let lost = lease.check().unwrap_err();
    assert!(matches!(lost, CheckpointError::TakenOver { .. }), "{lost}");
    // what ends in order is taken over at once
    drop(second);
    let begun = Instant::now();
    Lease::take(&one, Writer::new()).unwrap();
    assert!(begun.elapsed() < HURRY.silence);
}

#[test]
fn a_bucket_that_is_not_there_is_told_before_anything_is_kept() {
    let server = server();
    let store = open(&server, "s3://no-such-bucket/below", "job");
    let error = store.epochs().unwrap_err().to_string();
    assert!(
        error.contains("NoSuchBucket, The specified bucket does not exist; "),
        "{error}"
    );
    let error = Lease::take(&store, Writer::new()).unwrap_err().to_string();
    assert!(
        error.starts_with("writing owner.json failed: there is no such bucket or container; make it first"),
        "{error}"
    );
    let part = store.write_part(Epoch(1), Writer::new(), "base");
    assert!(part.finish().is_err());
    let record = EpochRecord {
        epoch: Epoch(1),
        writer: Writer::new(),
        manifest: backplane_checkpoint::ManifestRef {
            path: String::new(),
            hash: String::new(),
        },
    };
    let error = store.decide(&record).unwrap_err().to_string();
    assert!(error.contains("NoSuchBucket") || error.contains("not found"), "{error}");
}

#[test]
fn a_server_that_is_gone_is_told_in_a_sentence_without_credentials() {
    let server = server();
    let store = store(&server, "job");
    drop(server);
    let error = store.epochs().unwrap_err();
    assert!(error.is_retryable());
    let error = error.to_string();
    assert!(
        error.starts_with("listing epochs failed: ") && !error.contains('\n'),
        "{error}"
    );
    assert!(!error.contains("test-"), "{error}");
}
