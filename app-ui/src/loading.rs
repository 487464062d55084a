//! Opening a trace a few milliseconds a frame, with the old one still on screen.

use std::time::Duration;

use sim_core::Trace;
use trace_io::{Loader, Progress};
use web_time::Instant;

use crate::platform::Opened;

/// A trace being read.
pub(crate) struct Loading {
    name: String,
    loader: Loader,
}

/// How a slice of work ended.
pub(crate) enum Outcome {
    /// There is more to read.
    Running(Loading),
    /// The trace is complete.
    Done(Box<Trace>),
    /// It is no trace: the file's name and the reason in one line.
    Failed(String),
}

impl Loading {
    /// Begins with nothing read.
    pub(crate) fn new(opened: Opened) -> Self {
        let loader = Loader::new(&opened.name, opened.source, opened.total_bytes);
        Self { name: opened.name, loader }
    }

    /// The file's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// How far it is.
    pub(crate) fn progress(&self) -> Progress {
        self.loader.progress()
    }

    /// Reads for about `slice`, at least one piece.
    pub(crate) fn advance(mut self, slice: Duration) -> Outcome {
        let begun = Instant::now();
        loop {
            match self.loader.advance() {
                Err(error) => return Outcome::Failed(format!("{}: {error}", self.name)),
                Ok(true) => {
                    return match self.loader.finish() {
                        Ok((trace, _)) => Outcome::Done(Box::new(trace)),
                        Err(error) => Outcome::Failed(format!("{}: {error}", self.name)),
                    };
                }
                Ok(false) if begun.elapsed() >= slice => return Outcome::Running(self),
                Ok(false) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(bytes: &'static [u8]) -> Result<Trace, String> {
        let mut loading = Loading::new(Opened {
            name: "x.ptrace".to_owned(),
            source: Box::new(std::io::Cursor::new(bytes)),
            total_bytes: Some(bytes.len() as u64),
        });
        loop {
            match loading.advance(Duration::ZERO) {
                Outcome::Running(more) => loading = more,
                Outcome::Done(trace) => return Ok(*trace),
                Outcome::Failed(error) => return Err(error),
            }
        }
    }

    #[test]
    fn reads_in_slices() {
        assert_eq!(load(b"m o 1 48\nf o 1\n").map(|t| t.len()), Ok(2));
    }

    #[test]
    fn failures_name_the_file() {
        for bytes in [&b""[..], b"\x00\x01", b"m o 1 48\nnonsense\n", b"("] {
            let error = load(bytes).err().unwrap_or_default();
            assert!(error.starts_with("x.ptrace: ") && !error.contains('\n'), "{error}");
        }
    }
}
