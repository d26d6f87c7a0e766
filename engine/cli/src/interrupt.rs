//! Ctrl-C and SIGTERM: the first asks for a clean stop, the second ends at once.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::exit::{CliError, INTERRUPTED};

/// Signals so close to the first are the same wish told twice: shells and supervisors signal the process and its group.
const SAME_WISH: Duration = Duration::from_millis(500);

/// A flag that is set by the first Ctrl-C or SIGTERM from now on; another one, half a second later or more, ends the process with status
/// 130.
///
/// # Errors
/// The system does not let us listen.
pub fn stop_flag() -> Result<Arc<AtomicBool>, CliError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .map_err(listening)?;
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let (ready, is_ready) = std::sync::mpsc::channel();
    let listen = move || {
        runtime.block_on(async {
            let mut signals = match Signals::new() {
                Ok(signals) => signals,
                Err(error) => return drop(ready.send(Err(error))),
            };
            drop(ready.send(Ok(())));
            let mut first: Option<Instant> = None;
            while signals.next().await {
                flag.store(true, Ordering::Relaxed);
                if first.get_or_insert_with(Instant::now).elapsed() >= SAME_WISH {
                    let _ = writeln!(
                        io::stderr(),
                        "interrupted again: stopping at once, what was not written yet is lost"
                    );
                    std::process::exit(INTERRUPTED.into());
                }
            }
        });
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(listen)
        .map_err(listening)?;
    match is_ready.recv() {
        Ok(Ok(())) => Ok(stop),
        Ok(Err(error)) => Err(listening(error)),
        Err(_) => Err(CliError::internal("the thread that listens for signals ended early")),
    }
}

fn listening(error: io::Error) -> CliError {
    CliError::file("cannot listen for Ctrl-C", error)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for the next signal; false if none can come any more.
    async fn next(&mut self) -> bool {
        tokio::select! {
            received = self.interrupt.recv() => received.is_some(),
            received = self.terminate.recv() => received.is_some(),
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    /// Waits for the next signal; false if none can come any more.
    async fn next(&mut self) -> bool {
        tokio::signal::ctrl_c().await.is_ok()
    }
}
