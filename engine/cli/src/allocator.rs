//! The allocator of the program.
//!
//! State and blocks are made by some threads and taken apart by others, which the system's allocator is slow at. mimalloc is not, but it gives
//! memory that was not used for a while back to the system, which clears each page of it when it is wanted again: in a job with checkpoints, whose
//! journal holds blocks for some rounds, that was 4 % of all CPU time (`benches/README.md`). What is free is kept for the next block.
#![allow(unsafe_code, reason = "the allocator has no safe call for its options")]

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
