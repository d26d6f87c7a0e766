//! Files without names, mapped into memory.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::{MmapMut, MmapOptions};

/// So many bytes, all 0, in a file in this folder.
///
/// # Errors
/// The folder is not there or cannot be written to, the disk has no room for all of them, or the system maps no more files.
pub fn map(folder: &Path, bytes: usize) -> io::Result<MmapMut> {
    let file = tempfile::tempfile_in(folder)?;
    // A page that has no room on the disk when it is first written to would end the process.
    make_room(&file, bytes as u64)?;
    // SAFETY: the file has no name and is closed below, so nobody else can write to it or shorten it.
    #[expect(unsafe_code, reason = "the one way to map a file")]
    unsafe {
        MmapOptions::new().len(bytes).map_mut(&file)
    }
}

#[cfg(target_os = "linux")]
fn make_room(file: &File, bytes: u64) -> io::Result<()> {
    rustix::fs::fallocate(file, rustix::fs::FallocateFlags::empty(), 0, bytes).map_err(io::Error::from)
}

#[cfg(not(target_os = "linux"))]
fn make_room(mut file: &File, bytes: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), bytes), &mut file).map(|_| ())
}
