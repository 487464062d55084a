//! Opening a trace a few milliseconds a frame, with the old one still on screen.

use std::borrow::Cow;
use std::io::{Cursor, Read};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim_core::Trace;
use trace_io::account::Account;
use trace_io::lesson::{Lesson, Puzzle, Quiz};
use trace_io::stats_text::StatsText;
use trace_io::{Loaded, Loader, Progress, Remedy, TraceError};
use web_time::Instant;

use crate::feed::{Feed, What};
use crate::format::{bytes, count};
use crate::trouble::Trouble;

/// Where the bytes of a file come from.
pub enum Source {
    /// A reader, which may be taken to another thread.
    Reader(Box<dyn Read + Send>),
    /// They are here.
    Bytes(Cow<'static, [u8]>),
    /// A file that only the shell can reach, by the number it gave it.
    Shell(u32),
    /// A pipe, which is shown as far as it came.
    Feed(Feed),
}

/// A file that came in by dialog, drop or argument.
pub struct Opened {
    /// Its name, without folders.
    pub name: String,
    /// Its bytes.
    pub source: Source,
    /// How many there are, where that is known.
    pub total_bytes: Option<u64>,
    /// To be put beside what is open, which stays.
    pub beside: bool,
}

impl Opened {
    /// A file whose bytes can be read at any time.
    pub fn new(name: impl Into<String>, source: Box<dyn Read + Send>, total_bytes: Option<u64>) -> Self {
        Self { name: name.into(), source: Source::Reader(source), total_bytes, beside: false }
    }

    /// A pipe that other threads read.
    pub fn feed(name: impl Into<String>, feed: Feed) -> Self {
        Self { name: name.into(), source: Source::Feed(feed), total_bytes: None, beside: false }
    }

    /// Bytes that are here.
    pub fn bytes(name: impl Into<String>, bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        let bytes = bytes.into();
        let total_bytes = Some(bytes.len() as u64);
        Self { name: name.into(), source: Source::Bytes(bytes), total_bytes, beside: false }
    }

    /// The same beside what is open, where `yes` says so.
    #[must_use]
    pub fn beside(self, yes: bool) -> Self {
        Self { beside: yes, ..self }
    }
}

/// What a file says that has no operations: the text of `sys._debugmallocstats()`, which shows one moment, or an account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Still {
    /// The file's name.
    pub name: String,
    /// What the statistics say; nothing in an account.
    pub stats: StatsText,
    /// What it says otherwise.
    pub account: Option<Account>,
}

/// What a packed file may unpack to without operations: so large a part of the bound, and this at most.
const SWELL_PART: u64 = 8;
const SWELL_BYTES_MAX: u64 = 256 << 20;

/// A trace being read.
pub struct Loading {
    name: String,
    input: Input,
}

enum Input {
    Loader(Box<Loader>),
    Feed(Feed),
}

/// How a slice of work ended.
pub enum Outcome {
    /// There is more to read.
    Running(Loading),
    /// So much has come of a trace that is shown while it grows.
    Grown(Loading, Box<Trace>),
    /// The trace is complete.
    Done(Box<Trace>),
    /// It is a lesson of the course.
    Lesson(Box<Lesson>),
    /// It is a puzzle.
    Puzzle(Box<Puzzle>),
    /// It is a quiz.
    Quiz(Box<Quiz>),
    /// It is no trace but the text of statistics, or an account of something else.
    Still(Box<Still>),
    /// It is no trace: the file's name and the reason in one line, and what can be done.
    Failed(Trouble),
}

impl Loading {
    /// Begins with nothing read; the error says that only the shell could.
    pub fn new(opened: Opened) -> Result<Self, Trouble> {
        let Opened { name, source, total_bytes, beside: _ } = opened;
        match source {
            Source::Reader(reader) => Ok(Self::read(name, reader, total_bytes)),
            Source::Bytes(bytes) => Ok(Self::read(name, Box::new(Cursor::new(bytes)), total_bytes)),
            Source::Feed(feed) => Ok(Self { name, input: Input::Feed(feed) }),
            Source::Shell(_) => Err(format!("{name}: only the page can read it; open it there").into()),
        }
    }

    /// The same from a reader that stays in this thread.
    pub fn read(name: String, reader: Box<dyn Read>, total_bytes: Option<u64>) -> Self {
        let loader = Loader::new(&name, reader, total_bytes).or_quiz();
        Self { input: Input::Loader(Box::new(loader)), name }
    }

    /// The file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        match &self.input {
            Input::Loader(loader) => loader.progress(),
            Input::Feed(feed) => feed.progress(),
        }
    }

    /// Whether it is shown as far as it came, and only time has to pass until more is there.
    pub fn grows(&self) -> bool {
        matches!(self.input, Input::Feed(_))
    }

    /// Reads for about `slice`, at least one piece. A trace of more than `bytes_max` is
    /// given up, one that will be much larger as soon as that is seen.
    pub fn advance(mut self, slice: Duration, bytes_max: Option<u64>) -> Outcome {
        let begun = Instant::now();
        let Self { name, input } = &mut self;
        let loader = match input {
            Input::Loader(loader) => loader,
            Input::Feed(feed) => {
                return match feed.look() {
                    None => Outcome::Running(self),
                    Some(What::More(trace)) => match bytes_max.filter(|max| trace.state_bytes() > *max) {
                        Some(max) => Outcome::Failed(too_large(name, trace.len(), max)),
                        None => Outcome::Grown(self, trace),
                    },
                    Some(What::Whole(loaded)) => whole(name, loaded),
                    Some(What::Gone) => Outcome::Failed(format!("{name}: reading it stopped").into()),
                };
            }
        };
        if let Some(max) = bytes_max {
            // A page's bound is lower than the desktop's.
            loader.bound_swelling(Some((max / SWELL_PART).min(SWELL_BYTES_MAX)));
        }
        loop {
            if let (Some(max), Some(trace)) = (bytes_max, loader.trace())
                && trace.state_bytes() > max
            {
                return Outcome::Failed(too_large(name, trace.len(), max));
            }
            if let Some(refusal) = bytes_max.and_then(|max| will_be_too_large(name, loader, max)) {
                return Outcome::Failed(refusal);
            }
            match loader.advance() {
                Err(error) => return Outcome::Failed(Trouble::reading(name, &error)),
                Ok(true) => {
                    let Input::Loader(mut loader) = self.input else { return Outcome::Running(self) };
                    if let Some(lesson) = loader.take_lesson() {
                        return Outcome::Lesson(lesson);
                    }
                    if let Some(quiz) = loader.take_quiz() {
                        return Outcome::Quiz(quiz);
                    }
                    if let Some(puzzle) = loader.take_puzzle() {
                        return Outcome::Puzzle(puzzle);
                    }
                    return whole(&self.name, loader.finish());
                }
                Ok(false) => {
                    loader.make_room();
                    if begun.elapsed() >= slice {
                        return Outcome::Running(self);
                    }
                }
            }
        }
    }
}

/// What a file turned out to be once it was read.
fn whole(name: &str, loaded: Result<Loaded, TraceError>) -> Outcome {
    match loaded {
        Ok(Loaded::Trace(trace, _)) => Outcome::Done(trace),
        Ok(Loaded::Picture(stats)) => {
            Outcome::Still(Box::new(Still { name: name.to_owned(), stats: *stats, account: None }))
        }
        Ok(Loaded::Account(account)) => {
            let (name, stats) = (name.to_owned(), StatsText::default());
            Outcome::Still(Box::new(Still { name, stats, account: Some(*account) }))
        }
        Err(error) => Outcome::Failed(Trouble::reading(name, &error)),
    }
}

/// What to say when the part read so far tells that the whole takes more than twice `bytes_max`.
fn will_be_too_large(name: &str, loader: &Loader, bytes_max: u64) -> Option<Trouble> {
    /// The part of a file that tells: a fiftieth, and enough to be like the rest.
    const PART: u64 = 50;
    const PART_BYTES: u64 = 4 << 20;
    /// A small file that already takes so much of the bound tells by that.
    const PART_OF_BOUND: u64 = 16;
    let Progress { bytes: read, total_bytes, operations } = loader.progress();
    let (total, taken) = (total_bytes?, loader.trace()?.state_bytes());
    let tells = read >= PART_BYTES || taken >= bytes_max / PART_OF_BOUND;
    if !tells || read < total / PART || taken == 0 {
        return None;
    }
    let expected = taken as f64 * (total as f64 / read as f64);
    let fit = (operations as f64 * (bytes_max as f64 / taken as f64)) as u64;
    (expected > 2.0 * bytes_max as f64).then(|| Trouble {
        text: format!("{name}: it would take about {}, more than is safe here", bytes(expected as u64)),
        // Two digits say enough of what is a guess.
        remedy: Remedy::CutOut { operations: fit - fit % 10_u64.pow(fit.max(1).ilog10().saturating_sub(1)) },
    })
}

fn too_large(name: &str, operations: u64, bytes_max: u64) -> Trouble {
    Trouble {
        text: format!(
            "{name}: its first {} already take {}, more than is safe here",
            count(operations, "operation"),
            bytes(bytes_max)
        ),
        remedy: Remedy::CutOut { operations },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(bytes: &'static [u8]) -> Result<Trace, Trouble> {
        let mut loading = Loading::new(Opened::bytes("x.ptrace", bytes))?;
        loop {
            match loading.advance(Duration::ZERO, None) {
                Outcome::Running(more) => loading = more,
                Outcome::Grown(..) => return Err("a pipe".to_owned().into()),
                Outcome::Done(trace) => return Ok(*trace),
                Outcome::Lesson(_) | Outcome::Puzzle(_) | Outcome::Quiz(_) => {
                    return Err("a lesson".to_owned().into());
                }
                Outcome::Still(_) => return Err("statistics".to_owned().into()),
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
            let Trouble { text, remedy } = load(bytes).err().unwrap();
            assert!(text.starts_with("x.ptrace: ") && !text.contains('\n'), "{text}");
            assert_ne!(remedy, Remedy::None, "{text}");
        }
    }

    #[test]
    fn a_small_file_that_will_be_large_is_given_up_before_it_is() {
        // 700 KB of a file, of which each fourteen bytes become 26.
        let text = b"m o 1 48\nf o 1\n".repeat(50_000);
        let total = Some(text.len() as u64);
        let mut loading = Loading::read("small.ptrace".to_owned(), Box::new(Cursor::new(text)), total);
        let mut read = 0;
        let error = loop {
            match loading.advance(Duration::ZERO, Some(400_000)) {
                Outcome::Running(more) => loading = more,
                Outcome::Failed(error) => break error,
                _ => panic!("it was opened"),
            }
            read = loading.progress().bytes;
        };
        assert!(error.text.contains("it would take about") && read < 200_000, "{error:?} after {read} bytes");
    }

    #[test]
    fn an_account_of_something_else_is_handed_on() {
        let text = b"Debug memory block at address p=0x10: API 'o'\n    4 bytes originally requested\n";
        let loading = Loading::new(Opened::bytes("x.txt", &text[..])).ok().unwrap();
        let Outcome::Still(still) = loading.advance(Duration::MAX, None) else {
            panic!("it was something else")
        };
        let lines = still.account.unwrap().lines();
        assert!(still.name == "x.txt" && lines[1].contains("4 bytes requested"), "{lines:?}");
    }

    #[test]
    fn too_large_a_trace_is_given_up_with_advice() {
        let text = b"f o 0\n".repeat(1 << 16);
        let mut loading = Loading::read("big.ptrace".to_owned(), Box::new(Cursor::new(text)), None);
        let error = loop {
            match loading.advance(Duration::ZERO, Some(1 << 17)) {
                Outcome::Running(more) => loading = more,
                Outcome::Failed(error) => break error,
                _ => panic!("it was opened"),
            }
        };
        assert!(error.text.starts_with("big.ptrace: its first "), "{error:?}");
        assert!(matches!(error.remedy, Remedy::CutOut { operations: 1.. }), "{error:?}");
    }

    #[test]
    fn a_trace_that_will_be_too_large_is_given_up_at_once() {
        let text = b"f o 0\n".repeat(4 << 20);
        let total = Some(text.len() as u64);
        let mut loading = Loading::read("big.ptrace".to_owned(), Box::new(Cursor::new(text)), total);
        let error = loop {
            match loading.advance(Duration::ZERO, Some(24 << 20)) {
                Outcome::Running(more) => loading = more,
                Outcome::Failed(error) => break error,
                _ => panic!("it was opened"),
            }
        };
        // Before what was read reached the limit, at 13 bytes a row.
        assert!(error.text.contains("it would take about"), "{error:?}");
        assert_eq!(error.remedy, Remedy::CutOut { operations: 1_900_000 });
    }
}
