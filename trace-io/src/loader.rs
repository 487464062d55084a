//! One door for all formats: finds out what bytes are and reads them a slice at a time.
//!
//! A trace can be had whole ([`Loader::finish`]) or in pieces: [`Loader::trace`] has the operations read so
//! far, and [`Loader::forget`] drops them once they were dealt with, so that a file of any size passes
//! through a few megabytes.

use std::io::Read;

use sim_core::{Domain, Trace, TraceBuilder};

use crate::account::Account;
use crate::block_reader::BlockReader;
use crate::detect::detect;
use crate::error::TraceError;
use crate::format::{Format, HEAD_BYTES, stem};
use crate::input::{Came, Input, Packing};
use crate::lesson::{Lesson, Puzzle, Quiz};
use crate::lesson_reader::LessonReader;
use crate::lines::Lined;
use crate::reader::Reader;
use crate::stats_text::StatsText;
use crate::{atrace, csv, heaptrack, memray, mtrace, mtrace_utils, ptrace, stats_reader};

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

/// What a file holds.
#[derive(Debug)]
pub enum Loaded {
    /// A trace, and its format.
    Trace(Box<Trace>, Format),
    /// A picture of one moment: the text of `sys._debugmallocstats()`.
    Picture(Box<StatsText>),
    /// What a file says that is neither: sums by place, or a damaged block.
    Account(Box<Account>),
}

impl Loaded {
    /// The trace. A picture is refused with [`TraceError::Picture`], an account with its own words.
    pub fn trace(self) -> Result<Trace, TraceError> {
        match self {
            Self::Trace(trace, _) => Ok(*trace),
            Self::Picture(_) => Err(TraceError::Picture),
            Self::Account(account) => Err(account.refusal()),
        }
    }
}

/// Reads a trace slice by slice.
pub struct Loader {
    name: String,
    total_bytes: Option<u64>,
    domain: Option<Domain>,
    counting: bool,
    quizzes: bool,
    swell_bytes_max: Option<u64>,
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
    /// Once it ended, where it is no trace.
    picture: Option<Box<StatsText>>,
    account: Option<Box<Account>>,
    lesson: Option<Box<Lesson>>,
    puzzle: Option<Box<Puzzle>>,
    quiz: Option<Box<Quiz>>,
}

/// Unpacked bytes that hold hardly an operation: real recordings have one in some ten bytes.
const SWELL_BYTES_MAX: u64 = 256 << 20;
/// In so many bytes there is one operation at least.
const BYTES_AN_OPERATION: u64 = 4096;
/// Bytes of one slice.
const SLICE_BYTES: usize = 1 << 16;

impl Loader {
    /// A loader for what `source` gives. `name` is what the trace is called until it says otherwise; an
    /// ending such as `.ptrace` is cut off. `total_bytes` is for progress alone.
    pub fn new(name: &str, source: Box<dyn Read>, total_bytes: Option<u64>) -> Self {
        Self {
            name: stem(name).to_owned(),
            total_bytes,
            domain: None,
            counting: false,
            quizzes: false,
            swell_bytes_max: Some(SWELL_BYTES_MAX),
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

    /// Gives a packed source up that unpacks to more than so many bytes with hardly an operation in them, if that is also far more than it is
    /// packed; `None` reads on for as long as it takes. Without this call it is 256 MiB.
    pub fn bound_swelling(&mut self, bytes_max: Option<u64>) {
        self.swell_bytes_max = bytes_max;
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

    /// What was read so far, to be shown while more is read: longer ones share its rows. [`sim_core::Replay::grow`] goes on with them. Nothing
    /// before the first slice.
    pub fn share(&mut self) -> Option<Trace> {
        match &mut self.state {
            State::Reading(open) => Some(open.reader.builder_mut().share()),
            State::Start(_) | State::Failed => None,
        }
    }

    /// Makes room for what is still to come, guessed from what has come so far, for who keeps it all.
    pub fn make_room(&mut self) {
        /// The rest is taken for at most so many times what there is: the beginning of a file need not be like the rest.
        const TIMES: u64 = 32;
        let Progress { bytes, total_bytes: Some(total), operations } = self.progress() else { return };
        if let State::Reading(open) = &mut self.state
            && let Some(left) = total.checked_sub(bytes)
        {
            let rest = operations as f64 * (left as f64 / bytes.max(1) as f64);
            open.reader.builder_mut().expect((rest as u64).min(operations.saturating_mul(TIMES)));
        }
    }

    /// Drops the operations read so far; those to come are numbered on.
    pub fn forget(&mut self) {
        if let State::Reading(open) = &mut self.state {
            open.reader.builder_mut().forget();
        }
    }

    /// Reads one slice of at most 64 KiB, or as much of it as a pipe has to give; true once all was read, be it a trace or a
    /// [`Self::picture`]. The first slice has 4 KiB at least, where there are so many, since they tell the format.
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
        let (filled, came) = match &mut self.state {
            State::Start(source) => {
                let mut input = Input::new(std::mem::replace(source, Box::new(std::io::empty())))?;
                let (filled, came) = input.take(&mut self.buffer, HEAD_BYTES);
                let came = match came {
                    Came::Broke(failure) if filled == 0 => return Err(failure),
                    came => came,
                };
                let format = detect(&self.buffer[..filled.min(HEAD_BYTES)])?;
                let mut reader = reader(format, &self.name);
                if let Some(domain) = self.domain
                    && format.is_trace()
                    && !reader.take_as(domain)
                {
                    return Err(TraceError::HasDomains { format: format.name() });
                }
                if self.counting {
                    reader.count_only();
                }
                self.state = State::Reading(Open {
                    input,
                    format,
                    reader,
                    ended: false,
                    picture: None,
                    account: None,
                    lesson: None,
                    puzzle: None,
                    quiz: None,
                });
                (filled, came)
            }
            State::Reading(open) if open.ended => return Ok(true),
            State::Reading(open) => open.input.take(&mut self.buffer, 1),
            State::Failed => return Err(TraceError::Empty),
        };
        let State::Reading(open) = &mut self.state else { return Err(TraceError::Empty) };
        open.reader.feed(&self.buffer[..filled])?;
        let operations = open.reader.builder().len();
        if let Some(max) = self.swell_bytes_max
            && open.input.swells(max)
            && operations < open.input.given / BYTES_AN_OPERATION
        {
            let (packed, unpacked) = (open.input.consumed(), open.input.given);
            return Err(TraceError::Swells { packed, unpacked, operations });
        }
        match came {
            Came::Broke(failure) => {
                open.reader.cut(failure)?;
                open.ended = true;
            }
            Came::More if !open.reader.complete() => {}
            Came::More | Came::All => {
                open.reader.end()?;
                open.ended = true;
            }
        }
        if open.ended {
            open.picture = open.reader.picture().map(Box::new);
            open.account = open.reader.account().map(Box::new);
            open.lesson = open.reader.lesson();
            open.puzzle = open.reader.puzzle();
            open.quiz = open.reader.quiz();
            if open.quiz.is_some() && !self.quizzes {
                return Err(TraceError::NoTrace {
                    what: "a quiz",
                    reason: "its questions are made when somebody sits down to it",
                    remedy: "open its file in the window, or print it with `arenascope lesson quiz sheet`",
                });
            }
            let other = open.picture.is_some() || open.account.is_some() || open.quiz.is_some();
            // The picture of a process is something to open by itself.
            let begun = open.reader.builder().trace().origin.picture.is_some();
            if !other && !begun && open.reader.builder().is_empty() {
                let doubt = &open.reader.builder().trace().origin.source.doubt;
                let skipped = doubt.unknown_frees + doubt.unknown_reallocs;
                return Err(match skipped {
                    0 => TraceError::Empty,
                    _ => TraceError::OnlyUnknown { format: open.format.name(), skipped },
                });
            }
        }
        Ok(open.ended)
    }

    /// The picture, once [`Self::advance`] returned true for what is no trace.
    pub fn picture(&self) -> Option<&StatsText> {
        self.opened().and_then(|open| open.picture.as_deref())
    }

    /// What it says, once [`Self::advance`] returned true for what is neither trace nor picture.
    pub fn account(&self) -> Option<&Account> {
        self.opened().and_then(|open| open.account.as_deref())
    }

    /// The lesson of the course that the trace is made of, once [`Self::advance`] returned true for one.
    pub fn take_lesson(&mut self) -> Option<Box<Lesson>> {
        match &mut self.state {
            State::Reading(open) => open.lesson.take(),
            State::Start(_) | State::Failed => None,
        }
    }

    /// The puzzle that the trace solves, once [`Self::advance`] returned true for one.
    pub fn take_puzzle(&mut self) -> Option<Box<Puzzle>> {
        match &mut self.state {
            State::Reading(open) => open.puzzle.take(),
            State::Start(_) | State::Failed => None,
        }
    }

    /// Takes a quiz as well, which is no trace; else it is an error.
    #[must_use]
    pub fn or_quiz(mut self) -> Self {
        self.quizzes = true;
        self
    }

    /// The quiz, once [`Self::advance`] returned true for one.
    pub fn take_quiz(&mut self) -> Option<Box<Quiz>> {
        match &mut self.state {
            State::Reading(open) => open.quiz.take(),
            State::Start(_) | State::Failed => None,
        }
    }

    /// The trace with all operations that were not forgotten, or the picture; what was not read yet is read first.
    pub fn finish(mut self) -> Result<Loaded, TraceError> {
        while !self.advance()? {
            self.make_room();
        }
        match self.state {
            State::Reading(Open { picture: Some(picture), .. }) => Ok(Loaded::Picture(picture)),
            State::Reading(Open { account: Some(account), .. }) => Ok(Loaded::Account(account)),
            State::Reading(mut open) => {
                let builder: TraceBuilder = std::mem::take(open.reader.builder_mut());
                Ok(Loaded::Trace(Box::new(builder.finish()), open.format))
            }
            State::Start(_) | State::Failed => Err(TraceError::Empty),
        }
    }
}

/// Reads a whole trace. A picture is refused with [`TraceError::Picture`].
pub fn open(name: &str, source: Box<dyn Read>) -> Result<Trace, TraceError> {
    Loader::new(name, source, None).finish()?.trace()
}

/// The reader of a format, for a trace that is called `name`.
fn reader(format: Format, name: &str) -> Box<dyn Reader> {
    match format {
        Format::Ptrace => Box::new(ptrace::Parser::new(name)),
        Format::Ron => Box::new(LessonReader::new(name)),
        Format::Memray => Box::new(memray::Parser::new(name)),
        Format::Csv => Box::new(csv::Parser::new(name)),
        Format::Heaptrack => Box::new(Lined::new(heaptrack::Format::new(name))),
        Format::Mtrace => Box::new(Lined::new(mtrace::Format::new(name))),
        Format::MtraceUtils => Box::new(mtrace_utils::Parser::new(name)),
        Format::StatsText => Box::new(stats_reader::Parser::default()),
        Format::BlockMessage => Box::new(BlockReader::default()),
        Format::Atrace => Box::new(atrace::AtraceReader::new(name)),
    }
}
