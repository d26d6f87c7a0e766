//! Runs the built binary in a folder of its own.
#![allow(clippy::unwrap_used, reason = "a test that fails should panic, also in its helpers")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// A folder that a program runs in, gone at the end of the test.
pub struct Sandbox {
    folder: tempfile::TempDir,
}

/// What a program did.
#[derive(Debug)]
pub struct Run {
    pub status: i32,
    pub output: String,
    pub errors: String,
}

impl Run {
    /// The last line on standard error.
    pub fn last_error(&self) -> &str {
        self.errors.lines().last().unwrap_or_default()
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        Run {
            status: output.status.code().unwrap_or(-1),
            output: String::from_utf8_lossy(&output.stdout).into_owned(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Sandbox {
    pub fn new() -> Self {
        Sandbox {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// With a file in it.
    pub fn with(self, name: &str, text: &str) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The names in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    pub fn run(&self, args: &[&str]) -> Run {
        self.command(args).stdin(Stdio::null()).output().unwrap().into()
    }

    /// What it wrote to standard output, as bytes.
    pub fn run_bytes(&self, args: &[&str]) -> Vec<u8> {
        self.command(args).stdin(Stdio::null()).output().unwrap().stdout
    }

    pub fn run_with_input(&self, args: &[&str], input: &str) -> Run {
        let mut child = self.spawn(args, Stdio::piped());
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// Nobody reads standard output.
    pub fn run_without_reader(&self, args: &[&str]) -> Run {
        let mut child = self.spawn(args, Stdio::null());
        drop(child.stdout.take());
        child.wait_with_output().unwrap().into()
    }

    /// Runs with at most this many open files allowed, though the program may ask for more.
    #[cfg(unix)]
    pub fn run_with_few_files(&self, args: &[&str], files: u32) -> Run {
        let mut limited = Command::new("sh");
        limited
            .args([
                "-c",
                &format!("ulimit -Sn {files}; exec \"$0\" \"$@\""),
                env!("CARGO_BIN_EXE_backplane"),
            ])
            .args(args)
            .current_dir(self.folder.path())
            .env("RUST_LOG", "off");
        limited.output().unwrap().into()
    }

    /// Runs where no file can become longer than so many KiB: writing on fails, as on a full disk.
    #[cfg(unix)]
    pub fn run_with_little_room(&self, args: &[&str], kilobytes: u64) -> Run {
        let mut limited = Command::new("sh");
        limited
            .args([
                "-c",
                &format!("trap '' XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kilobytes * 2),
                env!("CARGO_BIN_EXE_backplane"),
            ])
            .args(args)
            .current_dir(self.folder.path())
            .env("RUST_LOG", "off");
        limited.output().unwrap().into()
    }

    /// Does something after a while, and waits half a minute for the program to end by it.
    #[cfg(unix)]
    pub fn run_and_meanwhile(&self, args: &[&str], after: Duration, act: impl FnOnce()) -> Run {
        let mut child = self.spawn(args, Stdio::null());
        std::thread::sleep(after);
        act();
        for _ in 0..300 {
            if child.try_wait().unwrap().is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        // one that runs on ends by this, and not with the status that a test expects
        child.kill().unwrap();
        child.wait_with_output().unwrap().into()
    }

    /// Sends SIGTERM after a while.
    #[cfg(unix)]
    pub fn run_until_interrupted(&self, args: &[&str], after: Duration) -> Run {
        let child = self.spawn(args, Stdio::null());
        std::thread::sleep(after);
        let sent = Command::new("kill")
            .args(["-TERM", &child.id().to_string()])
            .status()
            .unwrap();
        assert!(sent.success());
        child.wait_with_output().unwrap().into()
    }

    /// Kills the program where it reaches a step of the commit protocol; whether it did.
    pub fn kill_at(&self, step: &str, args: &[&str]) -> bool {
        let mut command = self.command(args);
        command.env("BACKPLANE_STOP_AT", step).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let name = step.split(':').next().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let is_reached = lines.any(|line| line.unwrap() == format!("reached {name}"));
        if is_reached {
            child.kill().unwrap();
        }
        child.wait().unwrap();
        is_reached
    }

    fn spawn(&self, args: &[&str], input: Stdio) -> std::process::Child {
        self.command(args)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_backplane"));
        command
            .args(args)
            .current_dir(self.folder.path())
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1");
        // only what is said by the commands, not the log lines beside it
        command.env(
            "RUST_LOG",
            if args.contains(&"json") {
                "backplane=info"
            } else {
                "off"
            },
        );
        command
    }
}
