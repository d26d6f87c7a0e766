//! A file without a name, and pieces of it that are mapped into memory.

use std::fs::File;
use std::io;
use std::path::Path;

use memmap2::{MmapMut, MmapOptions};

/// Pieces begin at multiples of this: no system has longer pages.
const ALIGNMENT: u64 = 64 << 10;

/// Where pieces come from.
pub struct Store {
    file: File,
    /// No piece goes beyond it. The file's addresses are not used again; its blocks are.
    end: u64,
}

/// Memory in a store; it is given back by [`Store::give_back`].
pub struct Piece {
    mapping: MmapMut,
    offset: u64,
}

impl Piece {
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.mapping
    }
}

impl Store {
    /// In this folder; nobody finds it there.
    ///
    /// # Errors
    /// The folder is not there or cannot be written to.
    pub fn create(folder: &Path) -> io::Result<Self> {
        let file = tempfile::tempfile_in(folder)?;
        Ok(Store { file, end: 0 })
    }

    /// So many bytes, all 0.
    ///
    /// # Errors
    /// The disk has no room for all of them, or the system maps no more.
    pub fn map(&mut self, bytes: usize) -> io::Result<Piece> {
        let offset = self.end;
        // a page that has no room on the disk when it is first written to would end the process
        make_room(&self.file, offset, bytes as u64)?;
        self.end = (offset + bytes as u64).next_multiple_of(ALIGNMENT);
        // SAFETY: the file has no name, so nobody else writes to it or shortens it, and no two pieces of it overlap.
        #[expect(unsafe_code, reason = "the one way to map a file")]
        let mapping = unsafe { MmapOptions::new().offset(offset).len(bytes).map_mut(&self.file) }?;
        Ok(Piece { mapping, offset })
    }

    /// Frees the blocks of a piece.
    pub fn give_back(&self, piece: Piece) {
        let (offset, bytes) = (piece.offset, piece.mapping.len() as u64);
        drop(piece);
        free(&self.file, offset, bytes.next_multiple_of(ALIGNMENT));
    }

    /// Whether all that was written so far is still known, or safely on the disk.
    ///
    /// # Errors
    /// The disk did not take some of it when the system wrote it there; it may be gone.
    pub fn check(&self) -> io::Result<()> {
        written(&self.file)
    }
}

#[cfg(target_os = "linux")]
mod system {
    use std::fs::File;
    use std::io;
    use std::os::fd::AsRawFd as _;

    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::{Errno, retry_on_intr};

    pub fn make_room(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
        match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), offset, bytes)) {
            Err(Errno::OPNOTSUPP) => super::write_zeros(file, offset, bytes),
            done => done.map_err(io::Error::from),
        }
    }

    /// Where the file system cannot, the blocks stay until the process ends.
    pub fn free(file: &File, offset: u64, bytes: u64) {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let _ = retry_on_intr(|| fallocate(file, flags, offset, bytes));
    }

    /// Begins no writing, and waits for what is being written only.
    pub fn written(file: &File) -> io::Result<()> {
        // SAFETY: the call takes numbers, and the file is open.
        #[expect(unsafe_code, reason = "no library has this call")]
        let result = unsafe { libc::sync_file_range(file.as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WAIT_BEFORE) };
        let error = io::Error::last_os_error();
        let is_loss = matches!(error.raw_os_error(), Some(libc::EIO | libc::ENOSPC | libc::EDQUOT));
        if result != 0 && is_loss { Err(error) } else { Ok(()) }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::fs::File;
    use std::io;

    pub fn make_room(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
        super::write_zeros(file, offset, bytes)
    }

    /// The blocks stay until the process ends.
    pub fn free(_file: &File, _offset: u64, _bytes: u64) {}

    pub fn written(file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

use system::{free, make_room, written};

fn write_zeros(mut file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    io::Seek::seek(&mut file, io::SeekFrom::Start(offset))?;
    io::copy(&mut io::Read::take(io::repeat(0), bytes), &mut file).map(|_| ())
}
