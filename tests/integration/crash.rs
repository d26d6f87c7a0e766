//! A job that is killed, at every step of the commit protocol and at any instant, ends with the outputs of one that was not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use backplane_generator::{GeneratorConfig, generate_files};
use backplane_tests::{ObjectStoreServer, backplane, sql, write_config};
use serde_json::{Value, json};

/// The steps of an epoch and of a recovery, in order.
const STEPS: [&str; 10] = [
    "barrier",
    "prepared",
    "state-written",
    "manifest-written",
    "decided",
    "lake-committed",
    "published",
    "collected",
    "rolled-forward",
    "claimed",
];

/// What a row of a file of results is about.
const KEYS: [&str; 7] = [
    "experiment",
    "variant",
    "metric",
    "segment",
    "segment_value",
    "window_name",
    "window_start",
];
/// What may differ between two runs over the same events.
const UNSTABLE: [&str; 5] = ["as_of", "revision", "ingest_time", "time", "since"];

/// A stream as files, and what came of it without any disturbance.
struct Stream {
    folder: tempfile::TempDir,
    events: Vec<PathBuf>,
    document: Value,
    expected: Outputs,
}

/// All that a job leaves: rows as texts, sorted, by table or file.
type Outputs = BTreeMap<String, Vec<String>>;

impl Stream {
    fn new(events: u64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let generator = GeneratorConfig {
            partitions: 3,
            ..GeneratorConfig::demo(events, 11)
        };
        let files: Vec<PathBuf> = (0..3)
            .map(|partition| folder.path().join(format!("events-{partition}.ndjson")))
            .collect();
        let paths: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        let truth = generate_files(&generator, &paths).expect("a stream");
        assert!(
            truth.decoded > 0 && truth.bad > 0,
            "the stream has good and bad records"
        );
        let mut stream = Stream {
            folder,
            events: files,
            document: generator.config_json(),
            expected: Outputs::new(),
        };
        let undisturbed = stream.job("undisturbed");
        assert!(undisturbed.finish().success());
        stream.expected = undisturbed.outputs();
        for (name, least) in [
            ("exposures", 1_000),
            ("signals", 1),
            ("dead-letters.ndjson", 1),
            ("looks", 1),
        ] {
            assert!(
                stream.expected[name].len() >= least,
                "{name}: {}",
                stream.expected[name].len()
            );
        }
        stream
    }

    /// A job over the stream, with a folder of its own.
    fn job(&self, name: &str) -> Job {
        let folder = self.folder.path().join(name);
        fs::create_dir(&folder).expect("a folder");
        let config = write_config(&folder, self.document.clone(), &self.events, 2);
        let mut document: Value = serde_json::from_slice(&fs::read(&config).unwrap()).unwrap();
        let engine = &mut document["experimentFramework"]["engine"];
        let file = json!({ "path": folder.join("results.ndjson") });
        engine["sinks"].as_array_mut().unwrap().push(
            json!({ "name": "results", "type": "file", "options": file, "take": ["results", "signals"], "countsAsLook": true }),
        );
        // as often as it can be done
        engine["checkpoint"]["interval"] = json!("1ms");
        if name.ends_with(['1', '3', '5', '7', '9']) {
            // all but the least pieces of its state lie in a file
            engine["memory"] = json!("1KiB");
        }
        fs::write(&config, document.to_string()).unwrap();
        Job {
            folder,
            config,
            environment: BTreeMap::new(),
        }
    }

    fn check(&self, job: &Job, what: &str) {
        let found = job.outputs();
        assert_eq!(found.len(), self.expected.len());
        self.compare(&found, what);
    }

    fn compare(&self, found: &Outputs, what: &str) {
        for (name, rows) in found {
            let expected = &self.expected[name];
            let (set, expected_set): (BTreeSet<_>, BTreeSet<_>) = (rows.iter().collect(), expected.iter().collect());
            let missing: Vec<_> = expected_set.difference(&set).take(3).collect();
            let surplus: Vec<_> = set.difference(&expected_set).take(3).collect();
            assert!(
                missing.is_empty() && surplus.is_empty(),
                "{what}: {name} misses {missing:#?} and has too much {surplus:#?}"
            );
            assert_eq!(rows.len(), expected.len(), "{what}: {name} has rows twice");
        }
    }
}

struct Job {
    folder: PathBuf,
    config: PathBuf,
    environment: BTreeMap<&'static str, String>,
}

impl Job {
    fn command(&self) -> Command {
        let mut command = Command::new(backplane());
        command
            .args(["run", "--until-end"])
            .arg(&self.config)
            .envs(&self.environment);
        command
            .env("RUST_LOG", "off")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn finish(&self) -> ExitStatus {
        let mut command = self.command();
        command.stderr(Stdio::inherit());
        command.status().expect("the job starts")
    }

    /// Starts the job, and waits until it has reached a step for the how-manieth time; gives nothing where it ended before.
    fn stop_at(&self, step: &str, count: u32, go_on: Option<&Path>) -> Option<Child> {
        let mut command = self.command();
        command
            .env("BACKPLANE_STOP_AT", format!("{step}:{count}"))
            .stderr(Stdio::piped());
        if let Some(path) = go_on {
            command.env("BACKPLANE_GO_ON_AT", path);
        }
        let mut child = command.spawn().expect("the job starts");
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let (mut line, wanted) = (String::new(), format!("reached {step}\n"));
        while errors.read_line(&mut line).expect("standard error") > 0 {
            if line == wanted {
                // nobody reads on, and the job has little more to say
                child.stderr = Some(errors.into_inner());
                return Some(child);
            }
            line.clear();
        }
        assert!(
            child.wait().unwrap().success(),
            "the job failed before it reached {step}"
        );
        None
    }

    fn outputs(&self) -> Outputs {
        let lake = self.folder.join("lake");
        let mut outputs = Outputs::new();
        for table in [
            "exposures",
            "assignments",
            "outcomes",
            "errors",
            "signals",
            "late_events",
            "dead_letters",
            "looks",
            "assignment_counts",
            "metric_stats",
            "matured_stats",
            "assignment_path",
            "effect_path",
            "experiments",
            "allocations",
            "metrics",
            "windows",
        ] {
            // to ask for results is a look too
            let asked = if table == "looks" { "where origin = 'sink'" } else { "" };
            let rows = sql(&lake, "json", &format!("select * from {table} {asked}"));
            let mut rows: Vec<String> = String::from_utf8(rows).unwrap().lines().map(stable).collect();
            rows.sort();
            outputs.insert(table.to_owned(), rows);
        }
        for name in ["results.ndjson", "dead-letters.ndjson"] {
            outputs.insert(name.to_owned(), self.rows_of_file(name));
        }
        outputs
    }

    /// The latest row of each key, and every row that has none.
    fn rows_of_file(&self, name: &str) -> Vec<String> {
        let text = fs::read_to_string(self.folder.join(name)).expect("the file was written");
        assert!(text.ends_with('\n'));
        let mut latest: BTreeMap<String, (i64, String)> = BTreeMap::new();
        let mut rows = Vec::new();
        for line in text.lines() {
            let row: Value = serde_json::from_str(line).expect("a line is a row");
            match row["revision"].as_i64() {
                None => rows.push(stable(line)),
                Some(revision) => {
                    // rows of the tables of results differ by what they have besides
                    let kind = row.get("crossovers").is_some();
                    let key = format!("{kind} {:?}", KEYS.map(|key| row[key].to_string()));
                    let known = latest.entry(key).or_default();
                    if revision >= known.0 {
                        *known = (revision, stable(line));
                    }
                }
            }
        }
        rows.extend(latest.into_values().map(|(_, row)| row));
        rows.sort();
        rows
    }
}

/// A row without what may differ between two runs.
fn stable(line: &str) -> String {
    let mut row: Value = serde_json::from_str(line).expect("a line is a row");
    let columns = row.as_object_mut().unwrap();
    columns.retain(|name, _| !UNSTABLE.contains(&name.as_str()));
    row.to_string()
}

fn kill(mut child: Child) {
    child.kill().expect("the job can be killed");
    child.wait().expect("the job ends");
}

/// How many kills there are in all.
fn kills() -> u32 {
    let wanted = std::env::var("BACKPLANE_CRASH_KILLS").ok();
    wanted.and_then(|text| text.parse().ok()).unwrap_or(40)
}

#[test]
fn killed_at_any_step_and_instant_it_ends_with_the_same_outputs() {
    let stream = Stream::new(40_000);
    // at every step, early and late, one after the other in one job
    let counts: Vec<u32> = (0..)
        .map(|round| 1 + 2 * round)
        .take(1 + kills() as usize / 40)
        .collect();
    let mut left = kills();
    for count in counts {
        let job = stream.job(&format!("steps-{count}"));
        for step in STEPS {
            // these are reached once in a run
            let count = if matches!(step, "rolled-forward" | "claimed") {
                1
            } else {
                count
            };
            if let Some(child) = job.stop_at(step, count, None) {
                kill(child);
                left = left.saturating_sub(1);
            }
        }
        assert!(job.finish().success());
        stream.check(&job, &format!("killed at step {count} of each kind"));
    }
    // and at random instants
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for round in 0.. {
        if left == 0 {
            break;
        }
        let job = stream.job(&format!("instants-{round}"));
        for _ in 0..left.min(15) {
            let mut child = job.command().spawn().expect("the job starts");
            std::thread::sleep(Duration::from_millis(50 + random.below(900)));
            if child.try_wait().unwrap().is_none() {
                kill(child);
            }
            left -= 1;
        }
        assert!(job.finish().success());
        stream.check(&job, &format!("killed at random instants, job {round}"));
    }
}

#[test]
fn a_process_that_was_stopped_and_revived_after_another_took_over_decides_nothing_more() {
    let stream = Stream::new(20_000);
    let steps = [
        "barrier",
        "prepared",
        "state-written",
        "manifest-written",
        "decided",
        "published",
    ];
    std::thread::scope(|scope| {
        for step in steps {
            let stream = &stream;
            scope.spawn(move || {
                let job = stream.job(&format!("zombie-{step}"));
                let go_on = job.folder.join("go-on");
                let mut zombie = job.stop_at(step, 2, Some(&go_on)).expect("the job comes so far");
                signal(&zombie, "-STOP");
                // it waits for a sign of life, and takes over
                assert!(job.finish().success(), "{step}");
                stream.check(&job, &format!("beside a process stopped at {step}"));
                fs::write(&go_on, "").unwrap();
                signal(&zombie, "-CONT");
                assert_eq!(zombie.wait().unwrap().code(), Some(1), "{step}");
                stream.check(&job, &format!("after a process stopped at {step} was revived"));
            });
        }
    });
}

#[test]
fn a_second_instance_is_refused_while_the_first_is_alive() {
    let stream = Stream::new(20_000);
    let job = stream.job("alive");
    // the job stands between two epochs, and gives its signs of life
    let mut follow: Value = serde_json::from_slice(&fs::read(&job.config).unwrap()).unwrap();
    follow["experimentFramework"]["engine"]["sources"][0]["options"]["follow"] = json!(true);
    fs::write(&job.config, follow.to_string()).unwrap();
    let mut first = Command::new(backplane());
    first
        .arg("run")
        .arg(&job.config)
        .env("RUST_LOG", "off")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut first = first.spawn().expect("the job starts");
    std::thread::sleep(Duration::from_secs(2));
    let mut command = job.command();
    let second = command.stderr(Stdio::piped()).output().unwrap();
    let errors = String::from_utf8_lossy(&second.stderr).into_owned();
    assert_eq!(second.status.code(), Some(2), "{errors}");
    assert!(
        errors.contains("another instance of this job is running (process"),
        "{errors}"
    );
    signal(&first, "-TERM");
    assert_eq!(first.wait().unwrap().code(), Some(130));
    // it has the rows of one that was never stopped, beside those that were shown when it was
    assert!(job.finish().success());
    let mut found = job.outputs();
    found.retain(|name, _| {
        !matches!(
            name.as_str(),
            "assignment_path" | "effect_path" | "looks" | "signals" | "results.ndjson"
        )
    });
    stream.compare(&found, "after a second instance was refused");
}

#[test]
fn checkpoints_on_an_object_store_are_gone_on_with() {
    let server = ObjectStoreServer::start();
    server.make_bucket("bucket");
    let stream = Stream::new(20_000);
    let mut job = stream.job("remote");
    job.environment = BTreeMap::from(server.environment());
    let mut document: Value = serde_json::from_slice(&fs::read(&job.config).unwrap()).unwrap();
    document["experimentFramework"]["engine"]["checkpoint"]["url"] = json!("s3://bucket/checkpoints");
    fs::write(&job.config, document.to_string()).unwrap();
    for step in ["prepared", "decided", "claimed"] {
        kill(job.stop_at(step, 1, None).expect("the job comes so far"));
    }
    assert!(job.finish().success());
    stream.check(&job, "with its checkpoints on an object store");
}

fn signal(child: &Child, signal: &str) {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(sent.unwrap().success());
}

/// Numbers that are the same in every run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}
