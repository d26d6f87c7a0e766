//! The allocator of the program.
//!
//! State and blocks are made by some threads and taken apart by others, which the system's allocator is slow at. mimalloc is not, but it gives
//! memory that was not used for a while back to the system, which clears each page of it when it is wanted again: in a job with checkpoints, whose
//! journal holds blocks for some rounds, that was 4 % of all CPU time (`benches/README.md`). What is free is kept for the next block.
//!
//! Nor does it take huge pages: each of those is cleared whole, 2 MiB, for the first byte that is written to it, and blocks of all threads touch many. That
//! was a fifth of all samples of a profile, and a fifth of the memory that the process held (`docs/performance.md`).
#![allow(
    unsafe_code,
    reason = "the allocator and the system have no safe calls for their options"
)]

use libmimalloc_sys::{mi_option_set, mi_option_t};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`, which the bindings do not name: milliseconds until memory that is free is given back; -1 for never.
const PURGE_DELAY: mi_option_t = 15;

/// Sets it up; to be called before there are threads.
pub fn set_up() {
    // a user's own wish is read from the environment by the allocator
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        // SAFETY: an option is a number that is written; no other thread is there yet.
        unsafe { mi_option_set(PURGE_DELAY, -1) }
    }
}

/// What the loader calls before the program begins: the language's own start has the first memory, and clears some huge pages for it, which took
/// longer than all else before the first line of a small file.
#[cfg(target_os = "linux")]
#[used]
// SAFETY: the loader calls what lies in this section, once and by this convention; what it calls uses nothing that has to be set up.
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = refuse_huge_pages;

#[cfg(target_os = "linux")]
extern "C" fn refuse_huge_pages() {
    // SAFETY: no other thread is there that may change the environment; the name ends with a zero.
    if unsafe { libc::getenv(c"MIMALLOC_ALLOW_THP".as_ptr()) }.is_null() {
        let (yes, none): (libc::c_ulong, libc::c_ulong) = (1, 0);
        // SAFETY: the call changes an attribute of this process, and reads no memory. That it may fail does no harm.
        unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, yes, none, none, none) };
    }
}
