//! State at rest, as bytes: what a job holds between two rounds, written down and read back exactly.
//!
//! Everything is written as it is in memory, in the order in which it is held, so that a job that was read back goes on as if nothing had
//! happened, to the last bit. Indexes are built anew, and what the configuration says is given anew. The format is postcard's
//! (<https://postcard.jamesmunns.com>), and columns are the bytes of a little-endian machine.

pub(crate) mod blocks;
pub(crate) mod bytes;
pub(crate) mod counts;
pub(crate) mod map;
pub(crate) mod records;
pub(crate) mod table;

use std::io::{BufRead as _, BufReader, Read, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::RuntimeError;

/// The longest text or sequence of bytes that is read back in one piece: the longest line that a source gives, and more.
const LONGEST: usize = 64 << 20;

/// Writes a value.
///
/// # Errors
/// [`RuntimeError::State`] if its bytes cannot be written.
pub(crate) fn write(value: &impl Serialize, out: &mut (impl Write + ?Sized)) -> Result<(), RuntimeError> {
    match postcard::to_io(value, out) {
        Ok(_) => Ok(()),
        Err(error) => Err(RuntimeError::state("written", error)),
    }
}

/// Reads values one after the other.
pub struct Reader<'a> {
    input: BufReader<&'a mut dyn Read>,
    /// Where texts are put together.
    scratch: Vec<u8>,
}

impl<'a> Reader<'a> {
    /// Reads from these bytes, and somewhat ahead.
    pub fn new(input: &'a mut dyn Read) -> Self {
        Reader {
            input: BufReader::with_capacity(1 << 16, input),
            scratch: vec![0; LONGEST],
        }
    }

    /// The next value.
    ///
    /// # Errors
    /// [`RuntimeError::State`] if the bytes are not those of such a value.
    pub fn read<T: DeserializeOwned>(&mut self) -> Result<T, RuntimeError> {
        let value = postcard::from_io((&mut self.input, self.scratch.as_mut_slice()));
        value
            .map(|(value, _)| value)
            .map_err(|error| RuntimeError::state("read", error))
    }

    /// Whether nothing follows.
    ///
    /// # Errors
    /// [`RuntimeError::State`] if the bytes cannot be read.
    pub fn is_at_end(&mut self) -> Result<bool, RuntimeError> {
        let rest = self.input.fill_buf();
        rest.map(<[u8]>::is_empty)
            .map_err(|error| RuntimeError::state("read", error))
    }
}
