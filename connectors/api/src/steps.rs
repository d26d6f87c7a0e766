//! The steps of the commit protocol by name, so that tests can end the process at each of them.
//!
//! In a build with debug assertions the environment variable `BACKPLANE_STOP_AT` names a step, and after a colon the how-manieth time it is
//! reached (`decided:3`). There the process says `reached decided` on standard error and stands still, until somebody ends it, or the file
//! that `BACKPLANE_GO_ON_AT` names is there. Other builds have no such steps.

/// A step is reached.
#[cfg(not(debug_assertions))]
#[inline(always)]
pub fn reach(_step: &str) {}

/// A step is reached.
#[cfg(debug_assertions)]
pub fn reach(step: &str) {
    use std::io::Write as _;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    /// The step, and how often it is passed before the process stands still.
    static WANTED: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| {
        let wanted = std::env::var("BACKPLANE_STOP_AT").ok()?;
        let (name, count) = wanted.split_once(':').unwrap_or((&wanted, "1"));
        let count: u64 = count.parse().unwrap_or(1);
        Some((name.to_owned(), AtomicU64::new(count.saturating_sub(1))))
    });
    let Some((name, passes)) = wanted else { return };
    let passes_on = || {
        let passed = |left: u64| left.checked_sub(1);
        passes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, passed)
            .is_ok()
    };
    if name != step || passes_on() {
        return;
    }
    // where nobody listens, the process stands still all the same
    let _ = writeln!(std::io::stderr(), "reached {step}");
    let go_on = std::env::var_os("BACKPLANE_GO_ON_AT").map(std::path::PathBuf::from);
    for _ in 0..3_000 {
        if go_on.as_ref().is_some_and(|path| path.exists()) {
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    std::process::exit(99);
}
