//! Pieces of state: streams of bytes with a hash.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::buffered::BufWriter;
use tokio::io::AsyncWriteExt as _;
use xxhash_rust::xxh3::Xxh3;

use crate::error::CheckpointError;
use crate::manifest::PartRef;
use crate::store::CheckpointStore;

/// Pieces up to this length are written by one call, which can be repeated.
const IN_ONE: usize = 8 << 20;
/// Bytes of longer ones that are handed to the storage, or read from it, at a time.
const CHUNK: usize = 1 << 20;

/// The hash of bytes as it is written down.
pub(crate) fn hash_of(bytes: &[u8]) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(bytes))
}

/// Writes a piece of state. It is there once [`PartWriter::finish`] has returned, and never in part under its name.
pub struct PartWriter {
    store: Arc<CheckpointStore>,
    path: String,
    /// What was not handed over yet, nor hashed.
    buffer: Vec<u8>,
    /// Where longer pieces go, bit by bit.
    upload: Option<BufWriter>,
    hash: Xxh3,
    bytes: u64,
}

impl PartWriter {
    pub(crate) fn new(store: Arc<CheckpointStore>, path: String) -> Self {
        PartWriter {
            store,
            path,
            buffer: Vec::new(),
            upload: None,
            hash: Xxh3::new(),
            bytes: 0,
        }
    }

    /// How much was written.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Completes the piece and makes it durable.
    ///
    /// # Errors
    /// The storage failed.
    pub fn finish(mut self) -> Result<PartRef, CheckpointError> {
        if self.upload.is_some() {
            let doing = format!("writing {}", self.path);
            self.hand_over()
                .map_err(|error| CheckpointError::storage(&doing, error))?;
            if let Some(upload) = &mut self.upload {
                let finished = self.store.wait_for(upload.shutdown()).flatten();
                finished.map_err(|error| CheckpointError::storage(&doing, self.store.told(&error)))?;
            }
            self.store.make_durable(&self.path)?;
        } else {
            self.hash.update(&self.buffer);
            self.store.put(&self.path, std::mem::take(&mut self.buffer))?;
        }
        Ok(PartRef {
            path: self.path,
            bytes: self.bytes,
            hash: format!("{:032x}", self.hash.digest128()),
        })
    }

    fn hand_over(&mut self) -> io::Result<()> {
        self.hash.update(&self.buffer);
        let chunk = Bytes::from(std::mem::replace(&mut self.buffer, Vec::with_capacity(2 * CHUNK)));
        let upload = self.upload.get_or_insert_with(|| self.store.upload(&self.path));
        let written = self.store.wait_for(upload.put(chunk))?;
        written.map_err(|error| io::Error::other(self.store.told(&error)))
    }
}

impl Write for PartWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes += bytes.len() as u64;
        if self.buffer.capacity() == 0 {
            // growing it would copy it again and again; what is not written to costs no memory
            self.buffer.reserve_exact(IN_ONE + CHUNK);
        }
        self.buffer.extend_from_slice(bytes);
        let most = if self.upload.is_some() { CHUNK } else { IN_ONE };
        if self.buffer.len() >= most {
            self.hand_over()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where a piece's bytes come from.
pub(crate) enum Bytestream {
    /// A local file.
    File(std::fs::File),
    /// An object.
    Stream(BoxStream<'static, object_store::Result<Bytes>>),
}

/// Reads a piece of state, and tells at its end whether it is what was written.
pub struct PartReader<'a> {
    store: &'a CheckpointStore,
    part: &'a PartRef,
    input: Bytestream,
    chunk: Bytes,
    hash: Xxh3,
    read: u64,
    /// Why reading broke off.
    failure: Option<String>,
}

impl<'a> PartReader<'a> {
    pub(crate) fn new(store: &'a CheckpointStore, part: &'a PartRef, input: Bytestream) -> Self {
        PartReader {
            store,
            part,
            input,
            chunk: Bytes::new(),
            hash: Xxh3::new(),
            read: 0,
            failure: None,
        }
    }

    /// Reads what is left, and says whether the whole is what was written.
    ///
    /// # Errors
    /// It cannot be read, or it is not.
    pub fn finish(mut self) -> Result<(), CheckpointError> {
        let what = format!("the state part {}", self.part.path);
        let read = match self.failure.take() {
            Some(failure) => Err(failure),
            None => io::copy(&mut self, &mut io::sink()).map_err(|error| error.to_string()),
        };
        read.map_err(|reason| CheckpointError::storage(format!("reading {}", self.part.path), reason))?;
        if self.read != self.part.bytes {
            let reason = format!("it has {} bytes where {} were written", self.read, self.part.bytes);
            return Err(CheckpointError::damaged(&what, reason));
        }
        if format!("{:032x}", self.hash.digest128()) != self.part.hash {
            return Err(CheckpointError::damaged(&what, "its checksum is another"));
        }
        Ok(())
    }

    fn refill(&mut self) -> io::Result<()> {
        let read = self.read_chunk();
        self.failure = read.as_ref().err().map(ToString::to_string);
        read
    }

    fn read_chunk(&mut self) -> io::Result<()> {
        match &mut self.input {
            Bytestream::File(file) => {
                let mut chunk = vec![0; CHUNK];
                let length = file.read(&mut chunk)?;
                chunk.truncate(length);
                self.chunk = Bytes::from(chunk);
            }
            Bytestream::Stream(stream) => {
                let next = self.store.wait_for(stream.next())?.transpose();
                let next = next.map_err(|error| io::Error::other(self.store.told(&error)))?;
                self.chunk = next.unwrap_or_default();
            }
        }
        self.hash.update(&self.chunk);
        self.read += self.chunk.len() as u64;
        Ok(())
    }
}

impl Read for PartReader<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            self.refill()?;
        }
        let length = self.chunk.len().min(bytes.len());
        let given = self.chunk.split_to(length);
        if let Some(place) = bytes.get_mut(..length) {
            place.copy_from_slice(&given);
        }
        Ok(length)
    }
}
