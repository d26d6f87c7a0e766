//! How the tests run the built `backplane` command, the polars oracle, other readers and servers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod object_store;

pub use object_store::ObjectStoreServer;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// The root of the project.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ has a parent")
        .to_owned()
}

/// The built command. It lies two folders above the test binary.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn backplane() -> PathBuf {
    let test = std::env::current_exe().expect("a test has an executable");
    let binary = test
        .parent()
        .and_then(Path::parent)
        .expect("deps/ has a parent")
        .join("backplane");
    assert!(
        binary.exists(),
        "{} is missing: build it first, as `make test` does",
        binary.display()
    );
    binary
}

/// The interpreter with polars, DuckDB, deltalake and moto; set up if it is not there yet.
///
/// # Panics
/// If the environment cannot be set up.
#[must_use]
pub fn python() -> PathBuf {
    if let Some(path) = std::env::var_os("BACKPLANE_PYTHON") {
        return path.into();
    }
    let output = Command::new(root().join("tests/setup_python.sh"))
        .output()
        .expect("a shell");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

/// Runs a command to its end.
///
/// # Panics
/// If it cannot be started, or ends with a status other than 0.
pub fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?} ended with {}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Runs a Python script of the tests.
pub fn run_python(script: &str, arguments: &[&std::ffi::OsStr]) -> Output {
    run(Command::new(python())
        .arg(root().join("tests").join(script))
        .args(arguments))
}

/// A job's configuration with its sources and a lake put in, written beside its folder.
///
/// # Panics
/// If it cannot be written.
#[must_use]
pub fn write_config(folder: &Path, mut document: Value, events: &[PathBuf], threads: usize) -> PathBuf {
    let engine = &mut document["experimentFramework"]["engine"];
    let paths: Vec<String> = events.iter().map(|path| path.display().to_string()).collect();
    engine["job"] = json!("differential");
    engine["sources"] = json!([{ "type": "file", "options": { "paths": paths } }]);
    engine["sinks"] = json!([{
        "name": "lake", "type": "lake", "options": { "url": format!("file://{}", folder.join("lake").display()) },
    }]);
    engine["deadLetter"] = json!({ "type": "file", "options": { "path": folder.join("dead-letters.ndjson") } });
    engine["checkpoint"] =
        json!({ "interval": "1s", "url": format!("file://{}", folder.join("checkpoints").display()) });
    engine["parallelism"] = json!(threads);
    let path = folder.join("config.json");
    std::fs::write(&path, document.to_string()).expect("a writable folder");
    path
}

/// Runs a job over files to their end.
pub fn run_job(config: &Path) -> Output {
    run(Command::new(backplane()).arg("run").arg(config).arg("--until-end"))
}

/// Asks a lake.
pub fn sql(lake: &Path, format: &str, query: &str) -> Vec<u8> {
    run(Command::new(backplane())
        .arg("sql")
        .arg("--lake")
        .arg(lake)
        .args(["--format", format])
        .arg(query))
    .stdout
}
