//! Writing: a file appears under its name only once it is complete.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use anyhow::{Context as _, Result};
pub(super) use sim_core::report::grouped;

/// A file being written under a name of its own, or standard output.
pub(super) enum Output {
    Stdout(BufWriter<io::Stdout>),
    File { out: BufWriter<File>, part: Part, path: PathBuf },
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
        let out = BufWriter::with_capacity(BUFFER_BYTES, file);
        Ok(Self::File { out, part: Part::new(part), path: path.to_owned() })
    }

    /// Writes what is buffered and gives the file its name.
    pub(super) fn finish(self) -> Result<()> {
        match self {
            Self::Stdout(mut out) => out.flush().context("standard output"),
            Self::File { mut out, part, path } => {
                // The disk may be found full only when the bytes go there.
                let done = out.flush().and_then(|()| out.get_ref().sync_data());
                done.and_then(|()| part.become_whole(&path))
                    .with_context(|| format!("{} could not be completed; is the disk full?", path.display()))
            }
        }
    }
}

/// Files being written, which Ctrl-C removes.
static PARTS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());
static HANDLER: Once = Once::new();

/// A file being written: it goes away unless it becomes whole.
pub(super) struct Part(PathBuf);

impl Part {
    fn new(path: PathBuf) -> Self {
        HANDLER.call_once(|| {
            // Without the handler Ctrl-C leaves a *.part behind, which is no reason not to write.
            let _ = ctrlc::set_handler(|| {
                // Held to the end, so that none is begun or completed any more.
                let parts = parts();
                for part in parts.iter() {
                    let _ = fs::remove_file(part);
                }
                stop();
            });
        });
        parts().push(path.clone());
        Self(path)
    }

    fn become_whole(self, path: &Path) -> io::Result<()> {
        // The lock is held so that Ctrl-C comes before or after it.
        let mut parts = parts();
        fs::rename(&self.0, path)?;
        parts.retain(|p| *p != self.0);
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let mut parts = parts();
        if let Some(at) = parts.iter().position(|p| *p == self.0) {
            parts.remove(at);
            // The reason why it is given up is said elsewhere.
            let _ = fs::remove_file(&self.0);
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "what destructors would remove is removed, and main cannot be told"
)]
fn stop() -> ! {
    std::process::exit(130)
}

fn parts() -> MutexGuard<'static, Vec<PathBuf>> {
    PARTS.lock().unwrap_or_else(PoisonError::into_inner)
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
