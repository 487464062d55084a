//! A trace being written to a file, piece by piece.

use std::cell::RefCell;
use std::io::{self, Write};
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context as _, Result, bail};
use sim_core::{Trace, TraceBuilder};
use trace_io::atrace::FileProfile;
use trace_io::{Format, Writer, atrace_writer, writer};

use super::output::Output;
use super::words;

/// A file that takes a trace in the format that its ending names.
pub(super) struct Sink {
    writer: Box<dyn Writer>,
    out: Shared,
    format: Format,
    shown: String,
}

/// Output that the writer and its owner both hold.
#[derive(Clone)]
struct Shared(Rc<RefCell<Option<Output>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().as_mut().map_or(Ok(0), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.borrow_mut().as_mut().map_or(Ok(()), Write::flush)
    }
}

impl Sink {
    /// Begins to write PATH.
    pub(super) fn create(path: &Path) -> Result<Self> {
        Self::packed(path, FileProfile::best())
    }

    /// The same with a say in how `.atrace` is packed.
    pub(super) fn packed(path: &Path, profile: FileProfile) -> Result<Self> {
        let shown = path.display().to_string();
        let ending = path.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(format) = Format::of_ending(&ending) else {
            bail!(
                "{shown}: `.{ending}` is no format that can be written; end the name in .atrace, .csv, .ptrace or .ron"
            );
        };
        let out = Shared(Rc::new(RefCell::new(Some(Output::create(path)?))));
        let writer = match format {
            Format::Atrace => Some(atrace_writer(out.clone(), profile)),
            _ => writer(format, out.clone()),
        };
        let Some(writer) = writer else {
            bail!(
                "{shown}: {} can only be read; end the name in .atrace, .csv, .ptrace or .ron",
                format.name()
            );
        };
        Ok(Self { writer, out, format, shown })
    }

    /// Writes the operations that are here.
    pub(super) fn write(&mut self, piece: &Trace) -> Result<()> {
        self.writer.write(piece).with_context(|| self.shown.clone())
    }

    /// Writes what a builder has and lets it forget that.
    pub(super) fn drain(&mut self, builder: &mut TraceBuilder) -> Result<()> {
        if !builder.trace().is_empty() {
            self.write(builder.trace())?;
            builder.forget();
        }
        Ok(())
    }

    /// Completes the file, and says on standard error what its format cannot carry.
    pub(super) fn finish(self, trace: &Trace) -> Result<()> {
        let losses = self.writer.finish(trace).with_context(|| self.shown.clone())?;
        if let Some(out) = self.out.0.borrow_mut().take() {
            out.finish()?;
        }
        for lost in &losses {
            let lost = words::loss(lost);
            eprintln!("arenascope: {}: {} cannot carry {lost}", self.shown, self.format.name());
        }
        Ok(())
    }
}
