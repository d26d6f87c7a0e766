//! Where a piece of state goes: to the heap, or to a file.
#![allow(unsafe_code, reason = "an allocator hands out and takes back raw memory")]

use std::alloc::Layout;
use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use allocator_api2::alloc::{AllocError, Allocator, Global};

use crate::files::{Piece, Store};

/// Smaller pieces stay on the heap: a system maps some ten thousands of pieces for a process, not millions.
pub const LEAST_PIECE: usize = 64 << 10;

/// How much of the heap state may take.
static LIMIT: AtomicU64 = AtomicU64::new(u64::MAX);
/// How much it takes.
static HEAP: AtomicU64 = AtomicU64::new(0);
/// How much lies in files.
static FILED: AtomicU64 = AtomicU64::new(0);
static FILES: LazyLock<Mutex<Files>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Files {
    folder: PathBuf,
    /// Made when it is first needed.
    store: Option<Store>,
    /// By address.
    pieces: HashMap<usize, Piece>,
    /// Why a piece could not be put into a file.
    failure: Option<String>,
}

/// What it guards is changed by single inserts and removals.
fn files() -> MutexGuard<'static, Files> {
    FILES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Bytes that state takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// On the heap.
    pub heap: u64,
    /// In files.
    pub files: u64,
}

/// Bytes that the state of all jobs of the process takes.
#[must_use]
pub fn usage() -> Usage {
    Usage {
        heap: HEAP.load(Ordering::Relaxed),
        files: FILED.load(Ordering::Relaxed),
    }
}

/// Why a piece had to go to the heap beyond the limit, since this was last asked.
#[must_use]
pub fn failure() -> Option<String> {
    files().failure.take()
}

/// Whether all state in files is still known, or safely on the disk.
///
/// # Errors
/// The disk did not take some of it when the system wrote it there: what is computed from it may be wrong.
pub fn check() -> io::Result<()> {
    match &files().store {
        Some(store) => store.check(),
        None => Ok(()),
    }
}

pub fn limit(bytes: u64, folder: PathBuf) {
    let mut files = files();
    files.failure = None;
    // pieces that there are stay in the file that they are in
    if folder != files.folder && files.pieces.is_empty() {
        files.store = None;
    }
    files.folder = folder;
    LIMIT.store(bytes, Ordering::Relaxed);
}

/// Memory for state: see the crate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StateMemory;

// SAFETY: a piece is memory of `Global`, or of a mapping that is kept until the piece is given back; which of the two it is depends on the
// piece alone, so every copy of the allocator can take it back. Neither moves when an allocator does.
unsafe impl Allocator for StateMemory {
    fn allocate(&self, layout: Layout) -> Result<NonNull<[u8]>, AllocError> {
        if layout.size() >= LEAST_PIECE
            && !has_room_for(layout.size())
            && let Some(piece) = map(layout)
        {
            return Ok(piece);
        }
        let piece = Global.allocate(layout)?;
        HEAP.fetch_add(layout.size() as u64, Ordering::Relaxed);
        Ok(piece)
    }

    unsafe fn deallocate(&self, piece: NonNull<u8>, layout: Layout) {
        if !unmap(piece, layout) {
            HEAP.fetch_sub(layout.size() as u64, Ordering::Relaxed);
            // SAFETY: it is no mapping, so `Global` has given it, for this layout, as the caller promises.
            unsafe { Global.deallocate(piece, layout) }
        }
    }

    unsafe fn grow(&self, piece: NonNull<u8>, old: Layout, new: Layout) -> Result<NonNull<[u8]>, AllocError> {
        let more = new.size() - old.size();
        let stays = !is_filed(piece, old) && (new.size() < LEAST_PIECE || has_room_for(more));
        if stays {
            // SAFETY: `Global` has given it, for the old layout, and the new one is no smaller, as the caller promises.
            let grown = unsafe { Global.grow(piece, old, new) }?;
            HEAP.fetch_add(more as u64, Ordering::Relaxed);
            return Ok(grown);
        }
        let grown = self.allocate(new)?;
        // SAFETY: both are valid for the bytes of the old layout, and do not overlap: the new one was allocated while the old one was.
        unsafe { piece.copy_to_nonoverlapping(grown.cast(), old.size()) };
        // SAFETY: as the caller promises; nothing refers to it any more.
        unsafe { self.deallocate(piece, old) };
        Ok(grown)
    }
}

fn has_room_for(bytes: usize) -> bool {
    let limit = LIMIT.load(Ordering::Relaxed);
    HEAP.load(Ordering::Relaxed).saturating_add(bytes as u64) <= limit
}

fn may_be_filed(layout: Layout) -> bool {
    layout.size() >= LEAST_PIECE && FILED.load(Ordering::Relaxed) > 0
}

fn is_filed(piece: NonNull<u8>, layout: Layout) -> bool {
    may_be_filed(layout) && files().pieces.contains_key(&piece.as_ptr().addr())
}

/// Gives a piece back to its file, if it is in one.
fn unmap(piece: NonNull<u8>, layout: Layout) -> bool {
    if !may_be_filed(layout) {
        return false;
    }
    let mut files = files();
    let Some(mapped) = files.pieces.remove(&piece.as_ptr().addr()) else {
        return false;
    };
    if let Some(store) = &files.store {
        store.give_back(mapped);
    }
    FILED.fetch_sub(layout.size() as u64, Ordering::Relaxed);
    true
}

/// A piece in a file; none where that fails, which is noted.
fn map(layout: Layout) -> Option<NonNull<[u8]>> {
    let mut files = files();
    match files.map(layout) {
        Ok(mut piece) => {
            let start = NonNull::from(piece.bytes());
            files.pieces.insert(start.cast::<u8>().as_ptr().addr(), piece);
            FILED.fetch_add(layout.size() as u64, Ordering::Relaxed);
            Some(start)
        }
        Err(error) => {
            let reason = format!("{} bytes in {}: {error}", layout.size(), files.folder.display());
            files.failure.get_or_insert(reason);
            None
        }
    }
}

impl Files {
    fn map(&mut self, layout: Layout) -> io::Result<Piece> {
        // the least page that there is
        if layout.align() > 4_096 {
            return Err(io::Error::other("no page is aligned like that"));
        }
        let store = match &mut self.store {
            Some(store) => store,
            None => self.store.insert(Store::create(&self.folder)?),
        };
        store.map(layout.size())
    }
}
