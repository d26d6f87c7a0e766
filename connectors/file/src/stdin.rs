//! Standard input as a source.

use std::io::{self, Cursor, Read as _};
use std::thread;

use backplane_connector_api::{Block, ConnectorError, PartitionId, PartitionReader, Position, Read, Source};
use crossbeam_channel::{Receiver, Sender, TryRecvError, bounded};
use xxhash_rust::xxh3::xxh3_64;

use crate::FileError;
use crate::blocks::Blocks;
use crate::decompress::Format;
use crate::reader::skip;

/// What one read of the input asks for: what a pipe holds.
const CHUNK: usize = 64 * 1024;
/// So much of the beginning tells one input from another.
const HEAD: usize = 4096;
/// How many chunks are read ahead.
const AHEAD: usize = 32;

/// Standard input, or any other stream of bytes, as one bounded partition. gzip and Zstandard are recognised by their first bytes.
///
/// A thread of its own does the reading, so that a live pipe that has nothing to say holds nobody up. Opening at a position skips that much
/// of the input: a restarted job goes on where it was if it is given the same input again from its start. Positions carry a hash of the
/// input's beginning, and another input is refused.
pub struct StdinSource {
    name: String,
    input: Option<Box<dyn io::Read + Send>>,
}

impl StdinSource {
    /// The process's standard input.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self::of(name, io::stdin())
    }

    /// Any stream of bytes in place of standard input.
    pub fn of(name: impl Into<String>, input: impl io::Read + Send + 'static) -> Self {
        Self {
            name: name.into(),
            input: Some(Box::new(input)),
        }
    }
}

impl Source for StdinSource {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_bounded(&self) -> bool {
        true
    }

    fn discover(&mut self) -> Result<Vec<PartitionId>, ConnectorError> {
        Ok(vec![PartitionId("stdin".to_owned())])
    }

    fn describe(&self, _partition: &PartitionId) -> String {
        "standard input".to_owned()
    }

    fn open(
        &mut self,
        _partition: &PartitionId,
        from: Option<&Position>,
    ) -> Result<Box<dyn PartitionReader>, ConnectorError> {
        let at = from.cloned().unwrap_or_default();
        let input = self
            .input
            .take()
            .ok_or_else(|| FileError::AlreadyReading.of(&self.name))?;
        let (sender, receiver) = bounded(AHEAD);
        let from = at.clone();
        let thread = thread::Builder::new().name("stdin".to_owned());
        let started = thread.spawn(move || read_ahead(input, &from, &sender));
        started.map_err(|error| {
            FileError::BrokenInput {
                reason: error.to_string(),
            }
            .of(&self.name)
        })?;
        Ok(Box::new(StdinReader {
            connector: self.name.clone(),
            receiver,
            blocks: Blocks::at(at),
            head: Vec::new(),
            end: None,
        }))
    }
}

/// What the reading thread sends; nothing comes after the last two.
enum Chunk {
    /// The beginning, where it was passed over.
    Head(Vec<u8>),
    Bytes(Vec<u8>),
    End,
    Failed(FileError),
}

/// Reads the input to its end, for as long as somebody listens.
fn read_ahead(mut input: Box<dyn io::Read + Send>, from: &Position, sender: &Sender<Chunk>) {
    let last = match send_all(&mut input, from, sender) {
        Ok(()) => Chunk::End,
        Err(error) => Chunk::Failed(error),
    };
    // without a listener there is nobody to tell
    drop(sender.send(last));
}

fn send_all(input: &mut Box<dyn io::Read + Send>, from: &Position, sender: &Sender<Chunk>) -> Result<(), FileError> {
    let broken = |error: io::Error| FileError::BrokenInput {
        reason: error.to_string(),
    };
    let input = std::mem::replace(input, Box::new(io::empty()));
    let mut text = decompressed(input).map_err(broken)?;
    let mut head = Vec::new();
    let most = u64::try_from(HEAD).unwrap_or(u64::MAX).min(from.offset);
    text.by_ref().take(most).read_to_end(&mut head).map_err(broken)?;
    let head_length = head.len() as u64;
    let rest = skip(text.as_mut(), from.offset - head_length).map_err(|(_, error)| broken(error))?;
    let skipped = head_length + rest;
    if skipped < from.offset {
        return Err(FileError::ShortInput {
            length: skipped,
            position: from.offset,
        });
    }
    if let Some(known) = &from.detail
        && *known != detail_of(&head)
    {
        return Err(FileError::OtherInput { length: head.len() });
    }
    if sender.send(Chunk::Head(head)).is_err() {
        return Ok(());
    }
    loop {
        // a zeroed buffer for each chunk, because a chunk goes to the other thread as it is
        let mut chunk = vec![0; CHUNK];
        match text.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(length) => chunk.truncate(length),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(error)),
        }
        if sender.send(Chunk::Bytes(chunk)).is_err() {
            return Ok(());
        }
    }
}

/// What a position says of the input's beginning, as far as that was read.
fn detail_of(head: &[u8]) -> serde_json::Value {
    serde_json::json!({ "head": { "bytes": head.len(), "xxh3": format!("{:016x}", xxh3_64(head)) } })
}

/// The text of an input that may be compressed.
fn decompressed(mut input: Box<dyn io::Read + Send>) -> io::Result<Box<dyn io::Read + Send>> {
    let mut head = Vec::new();
    input.by_ref().take(4).read_to_end(&mut head)?;
    Format::of_content(&head).decompress(Cursor::new(head).chain(input))
}

struct StdinReader {
    connector: String,
    receiver: Receiver<Chunk>,
    blocks: Blocks,
    /// The beginning of the input, as far as it was read.
    head: Vec<u8>,
    /// How the input ended, once it has.
    end: Option<Result<(), String>>,
}

impl StdinReader {
    /// Takes what the thread has read by now, up to `max_bytes`.
    fn take(&mut self, max_bytes: usize) {
        while self.end.is_none() && self.blocks.held() < max_bytes {
            match self.receiver.try_recv() {
                Ok(Chunk::Head(head)) => self.head = head,
                Ok(Chunk::Bytes(bytes)) => {
                    let missing = HEAD.saturating_sub(self.head.len()).min(bytes.len());
                    self.head.extend(bytes.iter().take(missing));
                    match self.blocks.held() {
                        0 => *self.blocks.input() = bytes,
                        _ => self.blocks.input().extend_from_slice(&bytes),
                    }
                }
                Ok(Chunk::End) => self.end = Some(Ok(())),
                Ok(Chunk::Failed(error)) => self.end = Some(Err(error.to_string())),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => self.end = Some(Err("its reading thread ended early".to_owned())),
            }
        }
    }

    fn block(&mut self) -> Option<Block> {
        let mut block = match self.end {
            Some(Ok(())) => self.blocks.everything(),
            _ => self.blocks.complete_lines(),
        }?;
        for position in [&mut block.start, &mut block.end] {
            let known = usize::try_from(position.offset).map_or(self.head.len(), |offset| offset.min(self.head.len()));
            position.detail = self.head.get(..known).filter(|head| !head.is_empty()).map(detail_of);
        }
        Some(block)
    }
}

impl PartitionReader for StdinReader {
    fn read(&mut self, max_bytes: usize) -> Result<Read, ConnectorError> {
        let mut wanted = max_bytes.max(1);
        loop {
            self.take(wanted);
            if let Some(block) = self.block() {
                return Ok(Read::Block(block));
            }
            match &self.end {
                Some(Ok(())) => return Ok(Read::End),
                Some(Err(message)) => {
                    return Err(ConnectorError::Unavailable {
                        connector: self.connector.clone(),
                        message: message.clone(),
                        retry: false,
                    });
                }
                None if self.blocks.held() < wanted => return Ok(Read::Pending),
                // one line is longer than a block
                None => wanted = self.blocks.wanted_of_a_long_line(),
            }
        }
    }
}
