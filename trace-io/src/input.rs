//! Where bytes come from, and what unpacks them on the way.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use flate2::read::MultiGzDecoder;
use lz4_flex::frame::FrameDecoder;
use ruzstd::decoding::StreamingDecoder;

use crate::error::TraceError;
use crate::utf16::{self, Utf16};

const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
const LZ4_FRAME_MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What a file is packed with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Packing {
    /// Not at all.
    None,
    /// zstd.
    Zstd,
    /// An LZ4 frame.
    Lz4,
    /// gzip.
    Gzip,
}

impl Packing {
    /// Its name; empty for none.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Zstd => "zstd",
            Self::Lz4 => "LZ4",
            Self::Gzip => "gzip",
        }
    }
}

/// Unpacked bytes of a source.
pub(crate) struct Input {
    source: Source,
    pub(crate) packing: Packing,
    consumed: Rc<Cell<u64>>,
    /// Bytes given so far.
    pub(crate) given: u64,
}

enum Source {
    Plain(Counting),
    Utf16(Box<Utf16<Counting>>),
    Zstd(Box<StreamingDecoder<Counting, ruzstd::decoding::FrameDecoder>>),
    Lz4(Box<FrameDecoder<Counting>>),
    Gzip(Box<MultiGzDecoder<Counting>>),
}

impl Input {
    /// Looks at the first bytes of `source` to find out how it is packed.
    pub(crate) fn new(source: Box<dyn Read>) -> Result<Self, TraceError> {
        let consumed = Rc::new(Cell::new(0));
        let mut counting =
            Counting { inner: source, head: Vec::new(), at: 0, consumed: Rc::clone(&consumed) };
        let head = counting.peek().map_err(|error| TraceError::Read { offset: 0, error })?;
        let (packing, source) = if head.starts_with(&ZSTD_MAGIC) {
            let decoder = StreamingDecoder::new(counting)
                .map_err(|e| TraceError::Compression { offset: consumed.get(), message: one_line(&e) })?;
            (Packing::Zstd, Source::Zstd(Box::new(decoder)))
        } else if head.starts_with(&LZ4_FRAME_MAGIC) {
            (Packing::Lz4, Source::Lz4(Box::new(FrameDecoder::new(counting))))
        } else if head.starts_with(&GZIP_MAGIC) {
            (Packing::Gzip, Source::Gzip(Box::new(MultiGzDecoder::new(counting))))
        } else if let Some(big_end_first) = utf16::mark(head) {
            (Packing::None, Source::Utf16(Box::new(Utf16::new(counting, big_end_first))))
        } else {
            (Packing::None, Source::Plain(counting))
        };
        Ok(Self { source, packing, consumed, given: 0 })
    }

    /// Bytes of the source taken so far.
    pub(crate) fn consumed(&self) -> u64 {
        self.consumed.get()
    }

    /// Takes what has come into `buffer`, and waits until that is at least `least` bytes or all. A source that fills it is asked for no more, one
    /// that gives less, as a pipe does, is not waited for. The bytes before a failure count, too: the number comes with the failure.
    pub(crate) fn take(&mut self, buffer: &mut [u8], least: usize) -> (usize, Came) {
        let mut filled = 0;
        while filled < buffer.len() {
            let part = &mut buffer[filled..];
            let wanted = part.len();
            let read = match &mut self.source {
                Source::Plain(source) => source.read(part),
                Source::Utf16(source) => source.read(part),
                Source::Zstd(source) => source.read(part),
                Source::Lz4(source) => source.read(part),
                Source::Gzip(source) => source.read(part),
            };
            match read {
                Ok(0) => return (filled, Came::All),
                Ok(n) => {
                    filled += n;
                    self.given += n as u64;
                    if n < wanted && filled >= least {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (filled, Came::Broke(self.failure(error))),
            }
        }
        (filled, Came::More)
    }

    /// Whether it is packed, and unpacks to far more than it is and than `bytes_max`.
    pub(crate) fn swells(&self, bytes_max: u64) -> bool {
        /// Text of operations that hardly differ can be a ten-thousandth when packed; what people record is a fifth to a hundredth.
        const TIMES: u64 = 200;
        self.packing != Packing::None && self.given > bytes_max && self.given / TIMES > self.consumed()
    }

    fn failure(&self, error: io::Error) -> TraceError {
        let offset = self.consumed.get();
        if self.packing == Packing::None {
            TraceError::Read { offset, error }
        } else {
            TraceError::Compression { offset, message: one_line(&error) }
        }
    }
}

/// What is known of a source after some of its bytes.
pub(crate) enum Came {
    /// There may be more.
    More,
    /// That was all.
    All,
    /// It failed.
    Broke(TraceError),
}

/// Decoders put their causes on lines of their own; an error here is one line.
fn one_line(error: &dyn std::error::Error) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
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
