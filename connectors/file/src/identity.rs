//! What makes a file the same file: not its name.

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek, SeekFrom};

use backplane_connector_api::PartitionId;
use xxhash_rust::xxh3::xxh3_64;

/// The most of a file that identifies it.
const HEAD: usize = 4096;

/// Device, inode, and the hash of the file's first line (at most its first 4 KiB). Renaming keeps it; a new file that is given a
/// freed inode differs by its first line; growth keeps it once the first line is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    device: u64,
    inode: u64,
    head: u64,
}

impl Identity {
    /// The identity of an open file, with its head. The file is left at its beginning.
    pub(crate) fn of(file: &mut File, metadata: &Metadata) -> io::Result<(Self, Head)> {
        let head = Head::of(file)?;
        let (device, inode) = place(metadata);
        Ok((
            Self {
                device,
                inode,
                head: xxh3_64(&head.bytes),
            },
            head,
        ))
    }

    /// The text of it.
    pub(crate) fn partition(self) -> PartitionId {
        PartitionId(format!("{:x}-{:x}-{:016x}", self.device, self.inode, self.head))
    }
}

/// The beginning of a file, up to its first line feed.
#[derive(Debug)]
pub(crate) struct Head {
    bytes: Vec<u8>,
    line_is_complete: bool,
}

impl Head {
    fn of(file: &mut File) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        let mut bytes = Vec::with_capacity(HEAD);
        file.by_ref().take(HEAD as u64).read_to_end(&mut bytes)?;
        file.seek(SeekFrom::Start(0))?;
        let line = memchr::memchr(b'\n', &bytes).map(|end| end + 1);
        bytes.truncate(line.unwrap_or(bytes.len()));
        Ok(Self {
            line_is_complete: line.is_some() || bytes.len() == HEAD,
            bytes,
        })
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the identity stays as it is when the file grows.
    pub(crate) fn is_settled(&self) -> bool {
        self.line_is_complete
    }
}

#[cfg(unix)]
fn place(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

/// Without inodes the head alone identifies.
#[cfg(not(unix))]
fn place(_metadata: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// Whether no name leads to the open file any more.
#[cfg(unix)]
pub(crate) fn is_deleted(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    metadata.nlink() == 0
}

/// Cannot be known without inodes.
#[cfg(not(unix))]
pub(crate) fn is_deleted(_metadata: &Metadata) -> bool {
    false
}
