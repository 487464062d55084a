//! One door out: writes a trace in any format, whole or piece by piece.

use std::io::{self, Write};

use sim_core::Trace;

use crate::atrace::FileProfile;
use crate::format::Format;
use crate::loss::Loss;
use crate::writer::{Writer, recorded};
use crate::{atrace, csv, lesson, ptrace};

/// A writer for a format; `None` where it can only be read.
pub fn writer<'a>(format: Format, out: impl Write + 'a) -> Option<Box<dyn Writer + 'a>> {
    match format {
        Format::Ptrace => Some(Box::new(Text { out, begun: false, form: &PTRACE })),
        Format::Ron => Some(Box::new(Text { out, begun: false, form: &RON })),
        Format::Atrace => Some(atrace::writer(out, FileProfile::best())),
        Format::Csv => Some(Box::new(Text { out, begun: false, form: &CSV })),
        _ => None,
    }
}

/// A format of text: a header, operations, a footer.
struct Form {
    header: fn(&mut dyn Write, &Trace) -> io::Result<()>,
    rows: fn(&mut dyn Write, &Trace) -> io::Result<()>,
    footer: fn(&mut dyn Write, &Trace) -> io::Result<()>,
    losses: fn(&Trace) -> Vec<Loss>,
}

const PTRACE: Form = Form {
    header: |mut out, trace| ptrace::write_header(&mut out, trace),
    rows: |mut out, trace| ptrace::write_rows(&mut out, trace),
    footer: |mut out, trace| ptrace::write_footer(&mut out, trace),
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
        if trace.origin.picture.is_some() {
            return Err(io::Error::other(
                "it begins with the picture of a process, which .atrace alone has room for",
            ));
        }
        (self.form.header)(&mut self.out, trace)
    }
}

impl<W: Write> Writer for Text<W> {
    fn write(&mut self, piece: &Trace) -> io::Result<()> {
        self.begin(piece)?;
        (self.form.rows)(&mut self.out, piece)
    }

    fn finish(mut self: Box<Self>, trace: &Trace) -> io::Result<Vec<Loss>> {
        self.begin(trace)?;
        (self.form.footer)(&mut self.out, trace)?;
        self.out.flush()?;
        Ok((self.form.losses)(trace))
    }
}
