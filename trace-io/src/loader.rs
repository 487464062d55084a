//! One door for all formats: finds out what bytes are and reads them a slice at a time.
//!
//! A trace can be had whole ([`Loader::finish`]) or in pieces: [`Loader::trace`] has the operations read so
//! far, and [`Loader::forget`] drops them once they were dealt with, so that a file of any size passes
//! through a few megabytes.

use std::io::Read;

use sim_core::{Domain, Trace, TraceBuilder};

use crate::detect::{HEAD_BYTES, detect};
use crate::error::TraceError;
use crate::input::{Input, Packing};
use crate::lines::Lined;
use crate::reader::Reader;
use crate::{atrace, csv, heaptrack, lesson, memray, mtrace, mtrace_utils, ptrace, stats_text};

/// A format of traces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// Plain text, one operation a line.
    Ptrace,
    /// A lesson written by hand.
    Ron,
    /// memray's capture, formats 10 to 13.
    Memray,
    /// A table of text.
    Csv,
    /// heaptrack's raw recording.
    Heaptrack,
    /// glibc's `mtrace`.
    Mtrace,
    /// glibc-malloc-trace-utils' records.
    MtraceUtils,
    /// The text of `sys._debugmallocstats()`, which is no trace: [`TraceError::Still`] brings it.
    StatsText,
    /// Operations in columns, packed and seekable.
    Atrace,
}

impl Format {
    /// Its name, as `info` prints it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ptrace => "ptrace",
            Self::Ron => "ron",
            Self::Memray => "memray",
            Self::Csv => "csv",
            Self::Heaptrack => "heaptrack",
            Self::Mtrace => "mtrace",
            Self::MtraceUtils => "malloc-trace-utils",
            Self::StatsText => "debugmallocstats",
            Self::Atrace => "atrace",
        }
    }

    /// The format that a file's ending asks for.
    pub fn of_ending(ending: &str) -> Option<Self> {
        match ending {
            "ptrace" => Some(Self::Ptrace),
            "ron" => Some(Self::Ron),
            "bin" => Some(Self::Memray),
            "csv" => Some(Self::Csv),
            "atrace" => Some(Self::Atrace),
            _ => None,
        }
    }

    fn reader(self, name: &str) -> Box<dyn Reader> {
        match self {
            Self::Ptrace => Box::new(ptrace::Parser::new(name)),
            Self::Ron => Box::new(lesson::Parser::new(name)),
            Self::Memray => Box::new(memray::Parser::new(name)),
            Self::Csv => Box::new(csv::Parser::new(name)),
            Self::Heaptrack => Box::new(Lined::new(heaptrack::Format::new(name))),
            Self::Mtrace => Box::new(Lined::new(mtrace::Format::new(name))),
            Self::MtraceUtils => Box::new(mtrace_utils::Parser::new(name)),
            Self::StatsText => Box::new(stats_text::Parser::default()),
            Self::Atrace => Box::new(atrace::AtraceReader::new(name)),
        }
    }
}

/// Endings that are cut off a file's name to make the trace's.
const ENDINGS: &[&str] = &[".zst", ".gz", ".raw", ".ptrace", ".ron", ".csv", ".mtrace", ".bin", ".atrace"];

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
    total_bytes: Option<u64>,
    domain: Option<Domain>,
    counting: bool,
    state: State,
    buffer: Vec<u8>,
}

enum State {
    /// Nothing read yet.
    Start(Box<dyn Read>),
    Reading(Open),
    /// An error was returned.
    Failed,
}

struct Open {
    input: Input,
    format: Format,
    reader: Box<dyn Reader>,
    ended: bool,
}

/// Bytes of one slice.
const SLICE_BYTES: usize = 1 << 16;

impl Loader {
    /// A loader for what `source` gives. `name` is what the trace is called until it says otherwise; an
    /// ending such as `.ptrace` is cut off. `total_bytes` is for progress alone.
    pub fn new(name: &str, source: Box<dyn Read>, total_bytes: Option<u64>) -> Self {
        let stem = ENDINGS.iter().fold(name, |stem, ending| stem.strip_suffix(ending).unwrap_or(stem));
        Self {
            name: stem.to_owned(),
            total_bytes,
            domain: None,
            counting: false,
            state: State::Start(source),
            buffer: Vec::new(),
        }
    }

    /// Takes the calls of a recording that does not know domains for calls of `domain`: what would
    /// pymalloc have done with them? For other formats reading fails.
    #[must_use]
    pub fn taken_as(mut self, domain: Option<Domain>) -> Self {
        self.domain = domain;
        self
    }

    /// Asks only for what the trace has in it, which takes less time: its counts, tables and facts, complete once
    /// [`Self::advance`] returned true. Formats that make rows for that keep them as ever.
    #[must_use]
    pub fn counting(mut self) -> Self {
        self.counting = true;
        self
    }

    fn opened(&self) -> Option<&Open> {
        match &self.state {
            State::Reading(open) => Some(open),
            State::Start(_) | State::Failed => None,
        }
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let open = self.opened();
        Progress {
            bytes: open.map_or(0, |o| o.input.consumed()),
            total_bytes: self.total_bytes,
            operations: open.map_or(0, |o| o.reader.builder().len()),
        }
    }

    /// How the source is packed; known once a slice was read.
    pub fn packing(&self) -> Packing {
        self.opened().map_or(Packing::None, |o| o.input.packing)
    }

    /// The format; known once a slice was read.
    pub fn format(&self) -> Option<Format> {
        self.opened().map(|o| o.format)
    }

    /// What was read and not forgotten, with everything known of the trace; nothing before the first slice.
    /// Settings, description and stacks may still grow until [`Self::advance`] returned true.
    pub fn trace(&self) -> Option<&Trace> {
        self.opened().map(|o| o.reader.builder().trace())
    }

    /// The same, to change what is asked of a run.
    pub fn trace_mut(&mut self) -> Option<&mut Trace> {
        match &mut self.state {
            State::Reading(open) => Some(open.reader.builder_mut().trace_mut()),
            State::Start(_) | State::Failed => None,
        }
    }

    /// Drops the operations read so far; those to come are numbered on.
    pub fn forget(&mut self) {
        if let State::Reading(open) = &mut self.state {
            open.reader.builder_mut().forget();
        }
    }

    /// Reads one slice of at most 64 KiB; true once the trace is complete.
    pub fn advance(&mut self) -> Result<bool, TraceError> {
        match self.read_slice() {
            Err(error) => {
                self.state = State::Failed;
                Err(error)
            }
            done => done,
        }
    }

    fn read_slice(&mut self) -> Result<bool, TraceError> {
        self.buffer.resize(SLICE_BYTES, 0);
        let (filled, failure) = match &mut self.state {
            State::Start(source) => {
                let mut input = Input::new(std::mem::replace(source, Box::new(std::io::empty())))?;
                let (filled, failure) = input.fill(&mut self.buffer);
                if filled == 0
                    && let Some(failure) = failure
                {
                    return Err(failure);
                }
                let format = detect(&self.buffer[..filled.min(HEAD_BYTES)])?;
                let mut reader = format.reader(&self.name);
                if let Some(domain) = self.domain
                    && format != Format::StatsText
                    && !reader.take_as(domain)
                {
                    return Err(TraceError::HasDomains { format: format.name() });
                }
                if self.counting {
                    reader.count_only();
                }
                self.state = State::Reading(Open { input, format, reader, ended: false });
                (filled, failure)
            }
            State::Reading(open) if open.ended => return Ok(true),
            State::Reading(open) => open.input.fill(&mut self.buffer),
            State::Failed => return Err(TraceError::Empty),
        };
        let State::Reading(open) = &mut self.state else { return Err(TraceError::Empty) };
        open.reader.feed(&self.buffer[..filled])?;
        if let Some(failure) = failure {
            open.reader.cut(failure)?;
            open.ended = true;
        } else if filled < SLICE_BYTES || open.reader.complete() {
            open.reader.end()?;
            open.ended = true;
        }
        if open.ended && open.reader.builder().is_empty() {
            return Err(TraceError::Empty);
        }
        Ok(open.ended)
    }

    /// The trace with all operations that were not forgotten; what was not read yet is read first.
    pub fn finish(mut self) -> Result<(Trace, Format), TraceError> {
        while !self.advance()? {}
        match self.state {
            State::Reading(mut open) => {
                let builder: TraceBuilder = std::mem::take(open.reader.builder_mut());
                Ok((builder.finish(), open.format))
            }
            State::Start(_) | State::Failed => Err(TraceError::Empty),
        }
    }
}

/// Reads a whole trace.
pub fn open(name: &str, source: Box<dyn Read>) -> Result<Trace, TraceError> {
    Loader::new(name, source, None).finish().map(|(trace, _)| trace)
}
