//! Compressed files, known by their first bytes or else by name.

use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::FileError;

/// How a file's text is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// As it is.
    Plain,
    /// gzip, of one or more members.
    Gzip,
    /// Zstandard, of one or more frames.
    Zstandard,
}

/// What is read from the file at a time: compressed data is dense, so this is a few hundred KiB of text.
const INPUT_BUFFER: usize = 128 * 1024;

impl Format {
    /// The format that these first bytes of a file show.
    pub(crate) fn of_content(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            // a frame, or a skippable frame, which may come first
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstandard,
            _ => Self::Plain,
        }
    }

    /// The format that this name promises.
    fn of_name(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst" | "zstd") => Self::Zstandard,
            _ => Self::Plain,
        }
    }

    /// The format of a file: what the content shows; of a file too short to show it, what the name says.
    pub(crate) fn of_file(path: &Path, head: &[u8]) -> Result<Self, FileError> {
        let named = Self::of_name(path);
        match Self::of_content(head) {
            Self::Plain if named == Self::Plain || head.is_empty() => Ok(Self::Plain),
            // cut off inside the signature: the decompressor will say so
            Self::Plain if head.len() < 4 => Ok(named),
            Self::Plain => Err(FileError::MisnamedFormat {
                path: path.to_owned(),
                format: named.name(),
            }),
            shown => Ok(shown),
        }
    }

    /// The name for people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "text",
            Self::Gzip => "gzip",
            Self::Zstandard => "Zstandard",
        }
    }

    /// A reader of the text in `input`.
    pub(crate) fn decompress(self, input: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        Ok(match self {
            Self::Plain => Box::new(input),
            Self::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(INPUT_BUFFER, input))),
            Self::Zstandard => Box::new(zstd::stream::read::Decoder::with_buffer(BufReader::with_capacity(
                INPUT_BUFFER,
                input,
            ))?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_decides_and_the_name_only_where_the_content_cannot() {
        let format = |name: &str, head: &[u8]| Format::of_file(Path::new(name), head);
        assert_eq!(format("a.ndjson", &[0x1f, 0x8b, 8, 0]).unwrap(), Format::Gzip);
        assert_eq!(format("a.gz", &[0x28, 0xb5, 0x2f, 0xfd]).unwrap(), Format::Zstandard);
        assert_eq!(format("a.zst", &[0x28, 0xb5]).unwrap(), Format::Zstandard);
        assert_eq!(format("a.zst", &[]).unwrap(), Format::Plain);
        assert_eq!(format("a.ndjson", b"{\"a\":1}").unwrap(), Format::Plain);
        let error = format("a.gz", b"{\"a\":1}").unwrap_err();
        assert_eq!(
            error.to_string(),
            "a.gz is named like a gzip file, but is not one; rename it, or compress it"
        );
    }
}
