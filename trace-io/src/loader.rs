//! One door for all formats: finds out what bytes are and reads them a slice at a time.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use ruzstd::decoding::StreamingDecoder;
use sim_core::Trace;

use crate::error::TraceError;
use crate::{lesson, ptrace};

/// A format of traces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Plain text, one operation a line.
    Ptrace,
    /// A lesson written by hand.
    Ron,
}

impl Format {
    /// Its name, as `info` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ptrace => "ptrace",
            Self::Ron => "ron",
        }
    }
}

/// How far a loader is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Bytes taken from the source.
    pub bytes: u64,
    /// Bytes of the source, where that is known.
    pub total_bytes: Option<u64>,
    /// Operations read.
    pub operations: u64,
}

/// Reads a trace slice by slice.
pub struct Loader {
    name: String,
    source: Source,
    consumed: Rc<Cell<u64>>,
    total_bytes: Option<u64>,
    compressed: bool,
    state: State,
    decoded: u64,
}

enum State {
    /// Nothing read yet.
    Start,
    Ptrace(Box<ptrace::Parser>),
    /// RON is parsed whole, once all of it is here.
    Ron(Vec<u8>),
    Done(Box<Trace>, Format),
}

enum Source {
    Plain(Counting),
    Zstd(Box<StreamingDecoder<Counting, ruzstd::decoding::FrameDecoder>>),
    /// Taken apart while the format is found out.
    None,
}

/// Bytes looked at before the format is decided.
const HEAD_BYTES: usize = 4096;
/// Bytes of one slice.
const SLICE_BYTES: usize = 1 << 16;
/// A lesson is written by hand; anything larger is not one.
const LESSON_BYTES_MAX: usize = 64 << 20;
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

impl Loader {
    /// A loader for what `source` gives. `name` is what the trace is called until it says otherwise; an
    /// ending `.ron` or `.ptrace` is cut off. `total_bytes` is for progress alone.
    pub fn new(name: &str, source: Box<dyn Read>, total_bytes: Option<u64>) -> Self {
        let consumed = Rc::new(Cell::new(0));
        let counting = Counting { inner: source, head: Vec::new(), at: 0, consumed: Rc::clone(&consumed) };
        let stem = name.strip_suffix(".zst").unwrap_or(name);
        let stem = stem.strip_suffix(".ptrace").or_else(|| stem.strip_suffix(".ron")).unwrap_or(stem);
        Self {
            name: stem.to_owned(),
            source: Source::Plain(counting),
            consumed,
            total_bytes,
            compressed: false,
            state: State::Start,
            decoded: 0,
        }
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        Progress {
            bytes: self.consumed.get(),
            total_bytes: self.total_bytes,
            operations: match &self.state {
                State::Ptrace(parser) => parser.operations(),
                State::Done(trace, _) => trace.len(),
                State::Start | State::Ron(_) => 0,
            },
        }
    }

    /// Whether the source is compressed; known once a slice was read.
    pub fn compressed(&self) -> bool {
        self.compressed
    }

    /// Reads one slice of at most 64 KiB of text; true once the trace is complete.
    pub fn advance(&mut self) -> Result<bool, TraceError> {
        if matches!(self.state, State::Start) {
            self.start()?;
        }
        let mut slice = vec![0; SLICE_BYTES];
        let filled = self.fill(&mut slice)?;
        slice.truncate(filled);
        self.decoded += filled as u64;
        let end = filled == 0;
        let done = match &mut self.state {
            State::Ptrace(parser) => {
                if end {
                    let parser = std::mem::take(parser);
                    Some((parser.finish()?, Format::Ptrace))
                } else {
                    parser.feed(&slice)?;
                    None
                }
            }
            State::Ron(text) => {
                if end {
                    Some((lesson::parse(&self.name, text)?, Format::Ron))
                } else {
                    text.extend_from_slice(&slice);
                    if text.len() > LESSON_BYTES_MAX {
                        return Err(TraceError::UnknownFormat {
                            offset: LESSON_BYTES_MAX as u64,
                            what: "it begins like RON but is larger than a lesson can be (64 MiB)".to_owned(),
                        });
                    }
                    None
                }
            }
            State::Start | State::Done(..) => None,
        };
        if let Some((trace, format)) = done {
            self.state = State::Done(Box::new(trace), format);
        }
        Ok(matches!(self.state, State::Done(..)))
    }

    /// The trace, once [`Self::advance`] returned true; before that all the rest is read first.
    pub fn finish(mut self) -> Result<(Trace, Format), TraceError> {
        while !self.advance()? {}
        match self.state {
            State::Done(trace, format) => Ok((*trace, format)),
            _ => Err(TraceError::Empty),
        }
    }

    /// Looks at the first bytes: compression first, then the format.
    fn start(&mut self) -> Result<(), TraceError> {
        let Source::Plain(mut counting) = std::mem::replace(&mut self.source, Source::None) else {
            return Ok(());
        };
        let head = counting.peek().map_err(|error| self.read_error(error))?;
        if head.starts_with(&ZSTD_MAGIC) {
            self.compressed = true;
            let decoder =
                StreamingDecoder::new(counting).map_err(|e| self.compression_error(&e.to_string()))?;
            self.source = Source::Zstd(Box::new(decoder));
        } else {
            self.source = Source::Plain(counting);
        }
        let mut first = vec![0; HEAD_BYTES];
        let filled = self.fill(&mut first)?;
        first.truncate(filled);
        self.decoded = filled as u64;
        match detect(&first)? {
            Format::Ptrace => {
                let mut parser = Box::new(ptrace::Parser::new(&self.name));
                parser.feed(&first)?;
                self.state = State::Ptrace(parser);
            }
            Format::Ron => self.state = State::Ron(first),
        }
        Ok(())
    }

    /// Fills `buffer` as far as the source goes.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, TraceError> {
        let mut filled = 0;
        while filled < buffer.len() {
            let part = &mut buffer[filled..];
            let read = match &mut self.source {
                Source::Plain(source) => source.read(part),
                Source::Zstd(source) => source.read(part),
                Source::None => Ok(0),
            };
            match read {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if self.compressed => return Err(self.compression_error(&error.to_string())),
                Err(error) => return Err(self.read_error(error)),
            }
        }
        Ok(filled)
    }

    fn read_error(&self, error: io::Error) -> TraceError {
        TraceError::Read { offset: self.consumed.get(), error }
    }

    fn compression_error(&self, message: &str) -> TraceError {
        // Decoders put their causes on lines of their own; an error here is one line.
        let message = message.split_whitespace().collect::<Vec<_>>().join(" ");
        TraceError::Compression { offset: self.consumed.get(), message }
    }
}

/// Reads a whole trace.
pub fn open(name: &str, source: Box<dyn Read>) -> Result<Trace, TraceError> {
    Loader::new(name, source, None).finish().map(|(trace, _)| trace)
}

/// What the first bytes of a text say.
fn detect(head: &[u8]) -> Result<Format, TraceError> {
    let unknown =
        |offset: usize, what: String| Err(TraceError::UnknownFormat { offset: offset as u64, what });
    if let Some(at) =
        head.iter().position(|&b| b == 0x7f || (b < 0x20 && !matches!(b, b'\n' | b'\r' | b'\t')))
    {
        return unknown(at, format!("byte value {:#04x} is no text", head[at]));
    }
    // A character may be cut at the end of the head.
    if let Err(error) = std::str::from_utf8(head)
        && error.error_len().is_some()
    {
        return unknown(error.valid_up_to(), "the text is not UTF-8".to_owned());
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    match text.iter().find(|b| !b.is_ascii_whitespace()) {
        None if head.len() < HEAD_BYTES => Err(TraceError::Empty),
        Some(b'(' | b'/') => Ok(Format::Ron),
        Some(b'#') if text.trim_ascii_start().starts_with(b"#![") => Ok(Format::Ron),
        _ => Ok(Format::Ptrace),
    }
}

/// A source that counts, with a head that was looked at before.
struct Counting {
    inner: Box<dyn Read>,
    head: Vec<u8>,
    at: usize,
    consumed: Rc<Cell<u64>>,
}

impl Counting {
    /// The first four bytes, or as many as there are.
    fn peek(&mut self) -> io::Result<&[u8]> {
        let mut first = [0; 4];
        let mut filled = 0;
        while filled < first.len() {
            match self.inner.read(&mut first[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.head = first[..filled].to_vec();
        Ok(&self.head)
    }
}

impl Read for Counting {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = &self.head[self.at..];
        let read = if left.is_empty() {
            self.inner.read(buffer)?
        } else {
            let n = left.len().min(buffer.len());
            buffer[..n].copy_from_slice(&left[..n]);
            self.at += n;
            n
        };
        self.consumed.set(self.consumed.get() + read as u64);
        Ok(read)
    }
}
