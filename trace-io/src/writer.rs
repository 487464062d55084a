//! One door out: writes a trace in any format, whole or piece by piece.

use std::io::{self, Write};

use sim_core::Trace;

use crate::atrace::{AtraceWriter, FileProfile};
use crate::loader::Format;
use crate::{atrace, csv, lesson, ptrace};

/// Writes one trace in one format.
pub trait Writer {
    /// Writes the operations that are here. They must follow those written before; what else is known
    /// of the trace may still grow.
    fn write(&mut self, piece: &Trace) -> io::Result<()>;

    /// Writes what stands after the operations. `trace` must be complete but for its operations. Returns
    /// what the format could not carry, a noun each.
    fn finish(self: Box<Self>, trace: &Trace) -> io::Result<Vec<String>>;
}

/// A writer for a format; `None` where it can only be read.
pub fn writer<'a>(format: Format, out: impl Write + 'a) -> Option<Box<dyn Writer + 'a>> {
    match format {
        Format::Ptrace => Some(Box::new(Text { out, begun: false, form: &PTRACE })),
        Format::Ron => Some(Box::new(Text { out, begun: false, form: &RON })),
        Format::Atrace => Some(atrace_writer(out, FileProfile::best())),
        Format::Csv => Some(Box::new(Text { out, begun: false, form: &CSV })),
        _ => None,
    }
}

/// A writer of `.atrace` for a profile. An archive is packed with LZ4 where this build has no zstd.
pub fn atrace_writer<'a>(out: impl Write + 'a, profile: FileProfile) -> Box<dyn Writer + 'a> {
    Box::new(AtraceWriter::new(out, profile, atrace::BLOCK_OPERATIONS, atrace::TIGHT))
}

/// A format of text: a header, operations, a footer.
struct Form {
    header: fn(&mut dyn Write, &Trace) -> io::Result<()>,
    rows: fn(&mut dyn Write, &Trace) -> io::Result<()>,
    footer: fn(&mut dyn Write, &Trace) -> io::Result<()>,
    losses: fn(&Trace) -> Vec<String>,
}

const PTRACE: Form = Form {
    header: |mut out, trace| ptrace::write_header(&mut out, trace),
    rows: |mut out, trace| ptrace::write_rows(&mut out, trace),
    footer: |_, _| Ok(()),
    losses: ptrace::losses,
};

const RON: Form = Form {
    header: |mut out, trace| lesson::write_header(&mut out, trace),
    rows: |mut out, trace| lesson::write_rows(&mut out, trace),
    footer: |mut out, trace| lesson::write_footer(&mut out, trace),
    losses: recorded,
};

const CSV: Form = Form {
    header: |mut out, _| csv::write_header(&mut out),
    rows: |mut out, trace| csv::write_rows(&mut out, trace),
    footer: |mut out, trace| csv::write_footer(&mut out, trace),
    losses: csv::losses,
};

struct Text<W> {
    out: W,
    begun: bool,
    form: &'static Form,
}

impl<W: Write> Text<W> {
    fn begin(&mut self, trace: &Trace) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        (self.form.header)(&mut self.out, trace)
    }
}

impl<W: Write> Writer for Text<W> {
    fn write(&mut self, piece: &Trace) -> io::Result<()> {
        self.begin(piece)?;
        (self.form.rows)(&mut self.out, piece)
    }

    fn finish(mut self: Box<Self>, trace: &Trace) -> io::Result<Vec<String>> {
        self.begin(trace)?;
        (self.form.footer)(&mut self.out, trace)?;
        self.out.flush()?;
        Ok((self.form.losses)(trace))
    }
}

/// What a recording brings along that text of operations has no place for.
pub(crate) fn recorded(trace: &Trace) -> Vec<String> {
    let source = &trace.source;
    [
        (trace.has_stacks(), "the stack of each operation"),
        (trace.has_addresses(), "recorded addresses"),
        (trace.timed(), "times"),
        (!source.facts.is_empty(), "facts about program and recorder"),
        (source.thread_names.iter().any(|n| !n.is_empty()), "names of threads"),
    ]
    .into_iter()
    .filter(|(has, _)| *has)
    .map(|(_, what)| what.to_owned())
    .collect()
}
