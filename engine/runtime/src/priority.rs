//! Which threads go first where there are more of them than processors.
#![allow(unsafe_code, reason = "the standard library has no call for a thread's priority")]

/// Lets all others go first; the calling thread has what they leave. Where a system has no such thing for a thread alone, nothing happens.
pub fn step_back() {
    /// About a ninth of the time of a thread that wants to go on as well (Linux: sched(7), the nice value).
    #[cfg(target_os = "linux")]
    const NICENESS: libc::c_int = 10;
    #[cfg(target_os = "linux")]
    // SAFETY: the call changes a number of the scheduler's, for the calling thread alone. That it may fail does no harm.
    unsafe {
        libc::nice(NICENESS);
    }
}
