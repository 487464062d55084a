//! Writing: a file appears under its name only once it is complete.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
pub(super) use sim_core::report::grouped;

/// A file being written under a name of its own, or standard output.
pub(super) enum Output {
    Stdout(BufWriter<io::Stdout>),
    File { out: BufWriter<File>, part: PathBuf, path: PathBuf },
}

const BUFFER_BYTES: usize = 1 << 20;

impl Output {
    /// Begins to write PATH, `-` for standard output.
    pub(super) fn create(path: &Path) -> Result<Self> {
        if path.as_os_str() == "-" {
            return Ok(Self::Stdout(BufWriter::with_capacity(BUFFER_BYTES, io::stdout())));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let file = File::create(&part).with_context(|| {
            format!("{} cannot be written; check the folder and its rights", path.display())
        })?;
        Ok(Self::File { out: BufWriter::with_capacity(BUFFER_BYTES, file), part, path: path.to_owned() })
    }

    /// Writes what is buffered and gives the file its name.
    pub(super) fn finish(self) -> Result<()> {
        match self {
            Self::Stdout(mut out) => out.flush().context("standard output"),
            Self::File { mut out, part, path } => {
                let done = out.flush().and_then(|()| std::fs::rename(&part, &path));
                if done.is_err() {
                    // The reason is in `done`; a part that cannot be removed either changes nothing.
                    let _ = std::fs::remove_file(&part);
                }
                done.with_context(|| format!("{} could not be completed; is the disk full?", path.display()))
            }
        }
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Stdout(out) => out.write(bytes),
            Self::File { out, .. } => out.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Stdout(out) => out.flush(),
            Self::File { out, .. } => out.flush(),
        }
    }
}

/// Prints an object as JSON on one line.
pub(super) fn json(value: &impl serde::Serialize) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}
