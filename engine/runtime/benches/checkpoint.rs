//! What checkpoints cost: bytes and time of an epoch by how much changed since the one before, and how long it takes, and how much memory,
//! to go on from a state of ten million subjects.
//!
//! `cargo bench --workspace --bench checkpoint [-- --subjects 10000000]`. Prints tables. The state is on a folder of the temporary files'
//! disk. Restoring is measured in a process of its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench may fail where its set-up does"
)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use backplane_checkpoint::{CheckpointStore, Lease, Manifest, Writer};
use backplane_config::{Config, Experiment, Metric, Micros, Window};
use backplane_connector_api::{Block, BlockData, ConnectorError, PartitionId, PartitionReader, Position, Read, Source};
use backplane_runtime::declared::plan_of;
use backplane_runtime::{
    Checkpoints, Job, JobOptions, LEAST_JOURNAL, Observer, Progress, Recovery, Start, UserQueries,
};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXPERIMENTS: u64 = 20;
/// 2026-01-05T00:00:00Z, seconds.
const START: i64 = 1_767_571_200;
const DAY: u64 = 86_400;

/// A stream that is made as it is read: each subject is exposed once, in the order of event time over a day, and every third has an outcome
/// soon after. When all are exposed, outcomes of subjects spread over all of them follow.
#[derive(Clone)]
struct Stream {
    subjects: u64,
    /// Lines up to here are there.
    until: Arc<AtomicU64>,
}

impl Stream {
    fn line(&self, index: u64, text: &mut String) {
        let (exposures, outcomes) = (self.subjects, self.subjects / 3);
        let day = exposures + outcomes;
        let millis = match index < day {
            true => u128::from(index) * u128::from(DAY * 1_000) / u128::from(day),
            // a minute for each ten thousand
            false => u128::from(DAY * 1_000 + (index - day) * 6),
        };
        let millis = i64::try_from(millis).unwrap();
        let time = chrono::DateTime::from_timestamp_millis(START * 1_000 + millis).unwrap();
        let time = time.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        // two thirds of four lines are exposures, the last of each four the outcome of the first
        let (subject, is_exposure) = match index < day {
            true if index % 4 < 3 => (index / 4 * 3 + index % 4, true),
            true => (index / 4 * 3, false),
            false => ((index - day).wrapping_mul(7_919) % self.subjects, false),
        };
        let experiment = subject % EXPERIMENTS;
        if is_exposure {
            let variant = if (subject / EXPERIMENTS).is_multiple_of(2) { "control" } else { "treatment" };
            write!(
                text,
                r#"{{"eventId":"e-{index}","timestamp":"{time}","eventType":"Exposure","schemaVersion":"1.0.0","payload":{{"experimentName":"experiment-{experiment}","variantKey":"{variant}","subjectId":"subject-{subject:010}"}}}}"#
            )
        } else {
            write!(
                text,
                r#"{{"eventId":"o-{index}","timestamp":"{time}","eventType":"Outcome","schemaVersion":"1.0.0","payload":{{"experimentName":"experiment-{experiment}","subjectId":"subject-{subject:010}","metricName":"metric-{}","value":{}}}}}"#,
                index % 3,
                index % 101
            )
        }
        .unwrap();
        text.push('\n');
    }
}

impl Source for Stream {
    fn name(&self) -> &str {
        "made"
    }

    fn is_bounded(&self) -> bool {
        false
    }

    fn discover(&mut self) -> Result<Vec<PartitionId>, ConnectorError> {
        Ok(vec![PartitionId("made".to_owned())])
    }

    fn describe(&self, _partition: &PartitionId) -> String {
        "made".to_owned()
    }

    fn open(&mut self, _: &PartitionId, from: Option<&Position>) -> Result<Box<dyn PartitionReader>, ConnectorError> {
        let at = from.cloned().unwrap_or_default();
        Ok(Box::new(Reader {
            stream: self.clone(),
            at,
        }))
    }
}

struct Reader {
    stream: Stream,
    at: Position,
}

impl PartitionReader for Reader {
    fn read(&mut self, max_bytes: usize) -> Result<Read, ConnectorError> {
        let until = self.stream.until.load(Ordering::Relaxed);
        if self.at.line >= until {
            return Ok(Read::Pending);
        }
        let start = self.at.clone();
        let mut text = String::with_capacity(max_bytes + 500);
        while self.at.line < until && text.len() < max_bytes {
            self.stream.line(self.at.line, &mut text);
            self.at.line += 1;
        }
        self.at.offset += text.len() as u64;
        let (data, end) = (BlockData::Lines(text.into()), self.at.clone());
        Ok(Read::Block(Block { data, start, end }))
    }
}

fn config() -> Config {
    let mut config = Config {
        metrics: (0..3).map(|metric| Metric::new(format!("metric-{metric}"))).collect(),
        experiments: (0..EXPERIMENTS)
            .map(|index| {
                Experiment::new(format!("experiment-{index}")).allocated([("control", 0.5), ("treatment", 0.5)])
            })
            .collect(),
        ..Config::default()
    };
    config.engine.windows = vec![Window::tumble("hourly", Micros::from_hours(1))];
    config
}

/// A job over the stream that ends an epoch when it is told to.
fn job(stream: &Stream) -> Job {
    let options = JobOptions {
        parallelism: 2,
        emit_every: Duration::from_secs(1_000_000),
        checkpoint_interval: Duration::from_secs(1_000_000),
    };
    let queries = UserQueries::new(Vec::new()).expect("no queries");
    let plan = plan_of(&config()).expect("a plan");
    Job::new(plan, queries, vec![Box::new(stream.clone())], Vec::new(), options).expect("a job")
}

fn resume(job: &mut Job, store: &Arc<CheckpointStore>) -> Duration {
    let recovery = Recovery::read(store, Start::Latest).expect("checkpoints");
    let writer = Writer::new();
    let checkpoints = Checkpoints {
        store: Arc::clone(store),
        lease: Lease::take(store, writer).expect("the job is free"),
        writer,
        job: "bench".to_owned(),
        fingerprint: BTreeMap::new(),
        retain: 2,
        least_journal: LEAST_JOURNAL,
    };
    let begin = Instant::now();
    job.resume(checkpoints, &recovery).expect("the state is whole");
    begin.elapsed()
}

/// Stops a job once it has read so many lines.
struct Until<'a> {
    lines: u64,
    stop: &'a AtomicBool,
}

impl Observer for Until<'_> {
    fn round(&mut self, progress: &Progress) {
        if progress.counters.lines >= self.lines {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Has the job read up to so many lines of the stream; it ends an epoch then.
fn read_until(job: &mut Job, stream: &Stream, lines: u64) {
    stream.until.store(lines, Ordering::Relaxed);
    let stop = AtomicBool::new(false);
    job.run(&stop, &mut Until { lines, stop: &stop }).expect("the job runs");
}

fn last(store: &CheckpointStore) -> Manifest {
    let epoch = *store.epochs().expect("epochs").last().expect("an epoch");
    store.manifest(epoch).expect("a manifest")
}

fn bytes(parts: &[backplane_checkpoint::PartRef]) -> u64 {
    parts.iter().map(|part| part.bytes).sum()
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn open(folder: &Path) -> Arc<CheckpointStore> {
    Arc::new(CheckpointStore::local(folder, "bench").expect("a folder"))
}

/// Bytes and time of epochs by what changed.
fn costs(subjects: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let store = open(folder.path());
    let stream = Stream {
        subjects,
        until: Arc::new(AtomicU64::new(0)),
    };
    let mut job = job(&stream);
    resume(&mut job, &store);
    let day = subjects + subjects / 3;
    read_until(&mut job, &stream, day);
    // a journal as long as the state: the state is written down whole once more
    let begin = Instant::now();
    job.follow_up().expect("an epoch");
    let seconds = begin.elapsed().as_secs_f64();
    let manifest = last(&store);
    println!(
        "{subjects:>10} {:>14} {:>12.2} {:>12.3}   whole state, {} parts since",
        "",
        megabytes(bytes(&manifest.base)),
        seconds,
        manifest.changes.len()
    );
    let mut lines = day;
    for changed in [0, 1_000, 10_000, 100_000] {
        lines += changed;
        stream.until.store(lines, Ordering::Relaxed);
        let before = last(&store).changes.len();
        let begin = Instant::now();
        read_until(&mut job, &stream, lines);
        let read = begin.elapsed().as_secs_f64();
        let manifest = last(&store);
        let new = manifest.changes.get(before..).unwrap_or_default();
        println!(
            "{subjects:>10} {changed:>14} {:>12.3} {read:>12.3}   read, judged and committed",
            megabytes(bytes(new))
        );
        let begin = Instant::now();
        job.follow_up().expect("an epoch");
        println!(
            "{:>10} {:>14} {:>12} {:>12.3}   an epoch without news",
            "",
            "",
            "",
            begin.elapsed().as_secs_f64()
        );
    }
}

/// A line of /proc/self/status, bytes.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    let kilobytes = line
        .split_whitespace()
        .nth(1)
        .and_then(|number| number.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1_024
}

/// Writes a state of so many subjects down, and restores it in another process.
fn restoring(subjects: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let stream = Stream {
        subjects,
        until: Arc::new(AtomicU64::new(0)),
    };
    {
        let store = open(folder.path());
        let mut job = job(&stream);
        resume(&mut job, &store);
        read_until(&mut job, &stream, subjects + subjects / 3);
        job.follow_up().expect("an epoch");
        // and some changes since
        read_until(&mut job, &stream, subjects + subjects / 3 + 100_000);
        let manifest = last(&store);
        println!(
            "state of {subjects} subjects: {:.0} MB and {:.0} MB of changes; {:.0} MB in memory",
            megabytes(bytes(&manifest.base)),
            megabytes(bytes(&manifest.changes)),
            megabytes(job.progress().memory as u64)
        );
    }
    let child = Command::new(std::env::current_exe().expect("a program"))
        .arg("--restore")
        .arg(folder.path())
        .status();
    assert!(child.expect("a process").success());
}

fn restore(folder: &Path) {
    let stream = Stream {
        subjects: 1,
        until: Arc::new(AtomicU64::new(0)),
    };
    let mut job = job(&stream);
    let before = memory("VmRSS");
    let elapsed = resume(&mut job, &open(folder));
    let (peak, now) = (memory("VmHWM"), memory("VmRSS"));
    println!(
        "restored in {:.2} s; resident {:.0} MB at the peak, {:.0} MB now, {:.0} MB before: {:.2} times the state; {} subjects",
        elapsed.as_secs_f64(),
        megabytes(peak),
        megabytes(now),
        megabytes(before),
        (peak - before) as f64 / job.progress().memory as f64,
        job.progress().subjects
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let place = arguments.iter().position(|argument| argument == name)?;
        arguments.get(place + 1).cloned()
    };
    if let Some(folder) = value("--restore") {
        return restore(&PathBuf::from(folder));
    }
    println!("{:>10} {:>14} {:>12} {:>12}", "subjects", "changed rows", "MB", "s");
    for subjects in [100_000, 1_000_000] {
        costs(subjects);
    }
    let subjects = value("--subjects")
        .and_then(|text| text.parse().ok())
        .unwrap_or(10_000_000);
    restoring(subjects);
}
