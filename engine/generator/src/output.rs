//! The stream into files: plain, gzip or zstd by name, whole or not at all, the truth beside it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::config::GeneratorConfig;
use crate::error::GeneratorError;
use crate::truth::Truth;

/// zstd's own default: fast, and these envelopes shrink to a tenth.
const ZSTD_LEVEL: i32 = 3;

/// Writes the stream into files, one for each partition of `config`, and the truth to [`truth_path`] of the first.
///
/// A name that ends in `.gz` or `.zst` is compressed so. The files appear under their names only when all of them are complete; what
/// was there before under such a name is replaced then.
///
/// # Errors
///
/// [`GeneratorError::InvalidConfig`] where the number of files is not that of the partitions or the stream contradicts itself;
/// [`GeneratorError::File`] where a file cannot be written.
pub fn generate_files(config: &GeneratorConfig, paths: &[&Path]) -> Result<Truth, GeneratorError> {
    generate_files_until(config, paths, &AtomicBool::new(false))
}

/// As [`generate_files`], until the flag is set: then nothing is left of the files.
///
/// # Errors
///
/// Those of [`generate_files`]; [`GeneratorError::Stopped`] where the flag was set before the files were complete.
pub fn generate_files_until(
    config: &GeneratorConfig,
    paths: &[&Path],
    stop: &AtomicBool,
) -> Result<Truth, GeneratorError> {
    let mut unfinished = Unfinished::default();
    let mut encoders = Vec::new();
    for path in paths {
        encoders.push(Encoder::create(path, unfinished.name_for(path)).map_err(|source| at(path, source))?);
    }
    let mut writers: Vec<&mut dyn Write> = encoders.iter_mut().map(|encoder| encoder as &mut dyn Write).collect();
    let truth = crate::write_stream(config, &mut writers, stop).map_err(|error| match (error, paths.first()) {
        (GeneratorError::Write(source), Some(path)) => at(path, source),
        (error, _) => error,
    })?;
    for (encoder, path) in encoders.into_iter().zip(paths) {
        encoder.finish().map_err(|source| at(path, source))?;
    }
    if let Some(path) = paths.first() {
        let beside = truth_path(path);
        let document = serde_json::to_vec_pretty(&truth).map_err(|error| at(&beside, error.into()))?;
        fs::write(unfinished.name_for(&beside), document).map_err(|source| at(&beside, source))?;
    }
    unfinished.publish()?;
    Ok(truth)
}

/// Where the truth of a stream lies: `FILE.truth.json`.
#[must_use]
pub fn truth_path(path: &Path) -> PathBuf {
    with_suffix(path, ".truth.json")
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

fn at(path: &Path, source: io::Error) -> GeneratorError {
    GeneratorError::File {
        path: path.to_owned(),
        source,
    }
}

/// Files under other names until they are complete; those left at the end are removed.
#[derive(Default)]
struct Unfinished {
    files: Vec<(PathBuf, PathBuf)>,
}

impl Unfinished {
    fn name_for(&mut self, path: &Path) -> PathBuf {
        let partial = with_suffix(path, ".partial");
        self.files.push((partial.clone(), path.to_owned()));
        partial
    }

    fn publish(&mut self) -> Result<(), GeneratorError> {
        for (partial, path) in &self.files {
            fs::rename(partial, path).map_err(|source| at(path, source))?;
        }
        self.files.clear();
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        for (partial, _) in &self.files {
            // it may never have been created, and there is nobody left to tell
            let _ = fs::remove_file(partial);
        }
    }
}

enum Encoder {
    Plain(BufWriter<File>),
    Gzip(GzEncoder<BufWriter<File>>),
    Zstd(zstd::Encoder<'static, BufWriter<File>>),
}

impl Encoder {
    /// Packs into `partial` as the name `path` says.
    fn create(path: &Path, partial: PathBuf) -> io::Result<Self> {
        let file = BufWriter::new(File::create(partial)?);
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("gz") => Ok(Self::Gzip(GzEncoder::new(file, Compression::fast()))),
            Some("zst") => zstd::Encoder::new(file, ZSTD_LEVEL).map(Self::Zstd),
            _ => Ok(Self::Plain(file)),
        }
    }

    fn finish(self) -> io::Result<()> {
        let mut file = match self {
            Self::Plain(file) => file,
            Self::Gzip(encoder) => encoder.finish()?,
            Self::Zstd(encoder) => encoder.finish()?,
        };
        file.flush()
    }
}

impl Write for Encoder {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
            Self::Zstd(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(encoder) => encoder.flush(),
            Self::Zstd(encoder) => encoder.flush(),
        }
    }
}
