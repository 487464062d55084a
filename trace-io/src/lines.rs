//! What the formats of lines have in common: cutting slices into lines, and keeping what stands before damage.

use sim_core::{TapeError, TraceBuilder};

use crate::births::PointerTape;
use crate::error::{LineColumn, TraceError};
use crate::reader::Reader;

/// The longest line that is read: a path and a command line fit.
const LINE_BYTES_MAX: usize = 1 << 16;

/// Cuts slices of a text into lines, among which longer ones than `MAX` bytes are passed over: what is looked for has none.
#[derive(Debug, Default)]
pub(crate) struct ShortLines<const MAX: usize> {
    /// The start of a line whose end has not come yet.
    rest: Vec<u8>,
    /// Inside a line that is too long.
    skipping: bool,
}

impl<const MAX: usize> ShortLines<MAX> {
    /// Takes a slice, and gives the lines that end in it.
    pub(crate) fn feed(&mut self, bytes: &[u8], mut line: impl FnMut(&[u8])) {
        let mut pieces = bytes.split(|&b| b == b'\n').peekable();
        while let Some(piece) = pieces.next() {
            if self.rest.len() + piece.len() > MAX {
                self.skipping = true;
                self.rest.clear();
            } else if !self.skipping {
                self.rest.extend_from_slice(piece);
            }
            if pieces.peek().is_some() {
                self.end(&mut line);
            }
        }
    }

    /// The text is at its end, or a line is.
    pub(crate) fn end(&mut self, mut line: impl FnMut(&[u8])) {
        if !std::mem::take(&mut self.skipping) {
            line(&self.rest);
        }
        self.rest.clear();
    }
}

/// A format of lines whose blocks are named by pointers.
pub(crate) trait LineFormat {
    /// Takes a line without its end.
    fn line(&mut self, line: &[u8], at: Line) -> Result<(), TraceError>;

    /// All lines were given.
    fn end(&mut self, at: Line) -> Result<(), TraceError>;

    /// The trace so far.
    fn tape(&self) -> &PointerTape;

    /// The trace so far.
    fn tape_mut(&mut self) -> &mut PointerTape;
}

/// Which line it is, to say so in an error.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line {
    /// Counted from 1.
    number: u64,
}

impl Line {
    /// An error in this line, `column` bytes after its beginning.
    pub(crate) fn syntax(self, column: usize, problem: impl Into<String>, remedy: &str) -> TraceError {
        let at = LineColumn { line: self.number, column: column as u64 + 1 };
        TraceError::Syntax { at, problem: problem.into(), remedy: remedy.to_owned() }
    }

    /// An operation that the trace does not take.
    pub(crate) fn refused(self, error: TapeError) -> TraceError {
        TraceError::Operation { at: LineColumn { line: self.number, column: 1 }, error }
    }
}

/// Reads a [`LineFormat`].
pub(crate) struct Lined<F> {
    format: F,
    /// The start of a line whose end has not come yet.
    rest: Vec<u8>,
    lines: u64,
    bytes: u64,
    /// Damage was met: what follows is not read.
    over: bool,
}

impl<F: LineFormat> Lined<F> {
    pub(crate) fn new(format: F) -> Self {
        Self { format, rest: Vec::new(), lines: 0, bytes: 0, over: false }
    }

    fn at(&self) -> Line {
        Line { number: self.lines + 1 }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), TraceError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        self.format.line(line, self.at())?;
        self.lines += 1;
        Ok(())
    }

    fn take(&mut self, mut text: &[u8]) -> Result<(), TraceError> {
        while let Some(end) = text.iter().position(|&b| b == b'\n') {
            let (line, more) = (&text[..end], &text[end + 1..]);
            if self.rest.is_empty() {
                self.line(line)?;
                self.bytes += end as u64 + 1;
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(line);
                self.line(&whole)?;
                self.bytes += whole.len() as u64 + 1;
                whole.clear();
                self.rest = whole;
            }
            text = more;
        }
        self.rest.extend_from_slice(text);
        if self.rest.len() > LINE_BYTES_MAX {
            let problem = format!("the line is longer than {LINE_BYTES_MAX} bytes");
            return Err(self.at().syntax(LINE_BYTES_MAX, problem, "record it again"));
        }
        Ok(())
    }

    /// Damage ends the trace where something stands before it, and is an error where nothing does.
    fn damaged(&mut self, error: TraceError) -> Result<(), TraceError> {
        self.over = true;
        if matches!(error, TraceError::NoTrace { .. }) || self.builder().is_empty() {
            return Err(error);
        }
        let bytes = self.bytes;
        self.mark(format!("only what stands before byte {bytes} was read: {error}"));
        Ok(())
    }

    fn mark(&mut self, sentence: String) {
        self.builder_mut().trace_mut().origin.source.doubt.truncated.get_or_insert(sentence);
    }
}

impl<F: LineFormat> Reader for Lined<F> {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), TraceError> {
        match self.take(bytes) {
            Err(error) => self.damaged(error),
            fine => fine,
        }
    }

    fn complete(&self) -> bool {
        self.over
    }

    fn end(&mut self) -> Result<(), TraceError> {
        if !self.over && !self.rest.is_empty() && !self.builder().is_empty() {
            let bytes = self.bytes;
            self.mark(format!(
                "the file ends inside the line that begins at byte {bytes}, which was left out"
            ));
        }
        let at = self.at();
        match self.format.end(at) {
            Err(error) => self.damaged(error),
            fine => fine,
        }
    }

    fn cut(&mut self, reason: TraceError) -> Result<(), TraceError> {
        self.damaged(reason)?;
        self.end()
    }

    fn take_as(&mut self, domain: sim_core::Domain) -> bool {
        self.format.tape_mut().domain = domain;
        true
    }

    fn builder(&self) -> &TraceBuilder {
        &self.format.tape().builder
    }

    fn builder_mut(&mut self) -> &mut TraceBuilder {
        &mut self.format.tape_mut().builder
    }
}

/// A hexadecimal number of 64 bits, with or without `0x`.
pub(crate) fn hexadecimal(digits: &[u8]) -> Option<u64> {
    let digits = digits.strip_prefix(b"0x").unwrap_or(digits);
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0, |n, &b| Some(n << 4 | u64::from(char::from(b).to_digit(16)?)))
}
