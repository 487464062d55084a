//! `.atrace` among the other formats. The crate `atrace` reads and writes it; here its errors and its writer take the
//! forms that all formats have.

use std::io::{self, Write};
use std::ops::Range;

use sim_core::{Trace, TraceBuilder};

use crate::error::TraceError;
use crate::loss::Loss;
use crate::reader::Reader;
use crate::writer::Writer;

pub use atrace::{AtraceFile, BlockKind, Entry, FileProfile};

pub(crate) use atrace::{AtraceReader, MAGIC};

/// A writer for a profile. An archive is packed with LZ4 where this build has no zstd.
pub fn writer<'a>(out: impl Write + 'a, profile: FileProfile) -> Box<dyn Writer + 'a> {
    writer_in_blocks(out, profile, atrace::BLOCK_OPERATIONS, atrace::TIGHT)
}

/// A writer whose blocks have this many operations. Shorter ones are larger in all; a program that is
/// killed loses less. An archive's columns are tight where they take between so many bytes an operation.
pub fn writer_in_blocks<'a>(
    out: impl Write + 'a,
    profile: FileProfile,
    operations: usize,
    tight: Range<f64>,
) -> Box<dyn Writer + 'a> {
    Box::new(atrace::AtraceWriter::new(out, profile, operations, tight))
}

impl<W: Write> Writer for atrace::AtraceWriter<W> {
    fn write(&mut self, piece: &Trace) -> io::Result<()> {
        self.write(piece)
    }

    fn finish(mut self: Box<Self>, trace: &Trace) -> io::Result<Vec<Loss>> {
        atrace::AtraceWriter::finish(&mut self, trace)?;
        // It carries everything.
        Ok(Vec::new())
    }
}

impl Reader for AtraceReader {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), TraceError> {
        Ok(self.feed(bytes)?)
    }

    fn complete(&self) -> bool {
        self.complete()
    }

    fn end(&mut self) -> Result<(), TraceError> {
        Ok(self.end()?)
    }

    fn cut(&mut self, reason: TraceError) -> Result<(), TraceError> {
        Ok(self.cut(&reason.to_string())?)
    }

    fn builder(&self) -> &TraceBuilder {
        self.builder()
    }

    fn builder_mut(&mut self) -> &mut TraceBuilder {
        self.builder_mut()
    }
}
