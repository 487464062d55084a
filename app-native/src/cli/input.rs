//! Opening a trace from a file, with progress, and the profile it is to run with.

use std::fs::File;
use std::io::{IsTerminal as _, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use indicatif::{ProgressBar, ProgressStyle};
use session::analysis::peak::peaks;
use session::format::bytes;
use session::{Overrides, Setup};
use sim_core::domains::AllocatorName;
use sim_core::{Domain, Trace};
use trace_io::account::Account;
use trace_io::stats_text::StatsText;
use trace_io::{Format, Loaded, Loader, Packing, TraceError};

use super::output;

/// Whether `--unbounded` was given: packed files are read on whatever they become.
static UNBOUNDED: AtomicBool = AtomicBool::new(false);

/// Reads packed files on whatever they become, from now on.
pub(super) fn read_unbounded() {
    UNBOUNDED.store(true, Ordering::Relaxed);
}

/// Opens FILE, `-` for standard input, and reads all of it; `domain` is what `--as` says.
pub(super) fn load(path: &Path, domain: Option<Domain>) -> Result<Loaded> {
    let mut pieces = Pieces::open(path, domain)?;
    pieces.read_on(u64::MAX)?;
    pieces.loader.finish().context(pieces.shown)
}

/// The same for a trace; a picture is an error.
pub(super) fn open(path: &Path, domain: Option<Domain>) -> Result<Trace> {
    load(path, domain)?.trace().with_context(|| path.display().to_string())
}

/// What was counted.
pub(super) enum Counted {
    /// A trace, its operations gone.
    Trace(Pieces),
    /// A picture of one moment.
    Picture(StatsText),
    /// What else a file says that is no trace.
    Account(Account),
}

/// A file whose operations pass through memory a piece at a time.
pub(super) struct Pieces {
    loader: Loader,
    file_bytes: Option<u64>,
    shown: String,
    bar: ProgressBar,
    first_piece: u64,
    complete: bool,
    /// Memory that is free, where a bound is wanted and the system says it.
    memory_bytes: Option<u64>,
    /// The first piece was handed out.
    begun: bool,
}

/// Operations of the first piece: all of most files, and what a scenario brings along is known by then.
const FIRST_PIECE: u64 = 8 << 20;
/// Operations of the pieces after it.
const NEXT_PIECE: u64 = 1 << 18;

impl Pieces {
    /// Opens FILE, `-` for standard input; `domain` is what `--as` says.
    pub(super) fn open(path: &Path, domain: Option<Domain>) -> Result<Self> {
        let shown = path.display().to_string();
        let (source, file_bytes): (Box<dyn Read>, Option<u64>) = if path.as_os_str() == "-" {
            output::stdin_is_read();
            (Box::new(std::io::stdin()), None)
        } else {
            let file =
                File::open(path).with_context(|| format!("{shown} cannot be opened; check the path"))?;
            let meta = file.metadata().with_context(|| format!("{shown} cannot be read"))?;
            anyhow::ensure!(!meta.is_dir(), "{shown} is a folder; name a trace file in it");
            output::is_read(&meta);
            (Box::new(file), Some(meta.len()))
        };
        let name = path.file_name().map_or_else(|| "trace".to_owned(), |n| n.to_string_lossy().into_owned());
        let mut loader = Loader::new(&name, source, file_bytes).taken_as(domain);
        if UNBOUNDED.load(Ordering::Relaxed) {
            loader.bound_swelling(None);
        }
        let bar = progress_bar(file_bytes, "reading");
        let memory_bytes = if UNBOUNDED.load(Ordering::Relaxed) { None } else { free_memory() };
        let (first_piece, complete, begun) = (FIRST_PIECE, false, false);
        Ok(Self { loader, file_bytes, shown, bar, first_piece, complete, memory_bytes, begun })
    }

    /// Makes the first piece as small as the others, for what does not run the trace.
    pub(super) fn in_small_pieces(mut self) -> Self {
        self.first_piece = NEXT_PIECE;
        self
    }

    /// Reads all and keeps no operation; the trace then has what was counted.
    pub(super) fn count(path: &Path, domain: Option<Domain>) -> Result<Counted> {
        let mut pieces = Self::open(path, domain)?;
        pieces.loader = pieces.loader.counting();
        while !pieces.complete {
            pieces.read_on(1)?;
            pieces.loader.forget();
        }
        Ok(match pieces.loader.picture() {
            Some(stats) => Counted::Picture(stats.clone()),
            None => match pieces.loader.account() {
                Some(account) => Counted::Account(account.clone()),
                None => Counted::Trace(pieces),
            },
        })
    }

    /// Takes the bar away, for several files at once.
    pub(super) fn without_bar(mut self) -> Self {
        self.bar.finish_and_clear();
        self.bar = ProgressBar::hidden();
        self
    }

    /// Bytes of the file that were read.
    pub(super) fn bytes_read(&self) -> u64 {
        self.loader.progress().bytes
    }

    /// The first piece, or the next one, with all that is known of the trace; `None` after the last.
    pub(super) fn next_piece(&mut self) -> Result<Option<&Trace>> {
        if self.begun {
            self.loader.forget();
        }
        self.read_until(if self.begun { NEXT_PIECE } else { self.first_piece })?;
        // A trace may be nothing but the picture of a process.
        let is_first = !std::mem::replace(&mut self.begun, true);
        Ok(self.loader.trace().filter(|t| !t.is_empty() || is_first && t.origin.picture.is_some()))
    }

    /// Runs the program with another `PYTHONMALLOCSTATS` than the trace says.
    pub(super) fn set_malloc_stats(&mut self, value: &str) -> Result<()> {
        self.read_until(FIRST_PIECE)?;
        if let Some(trace) = self.loader.trace_mut() {
            trace.head.malloc_stats = Some(value.to_owned());
        }
        Ok(())
    }

    /// The trace without its operations, complete once [`Self::next_piece`] returned `None`.
    pub(super) fn trace(&self) -> Option<&Trace> {
        self.loader.trace()
    }

    /// The format, known from the first piece on.
    pub(super) fn format(&self) -> Option<Format> {
        self.loader.format()
    }

    /// How the file is packed, known from the first piece on.
    pub(super) fn packing(&self) -> Packing {
        self.loader.packing()
    }

    /// The file's size.
    pub(super) fn file_bytes(&self) -> Option<u64> {
        self.file_bytes
    }

    /// Reads until so many operations of a trace are here.
    fn read_until(&mut self, operations: u64) -> Result<()> {
        self.read_on(operations)?;
        if self.loader.picture().is_some() {
            return Err(TraceError::Picture).with_context(|| self.shown.clone());
        }
        if let Some(account) = self.loader.account() {
            return Err(account.refusal()).with_context(|| self.shown.clone());
        }
        Ok(())
    }

    /// Says so before a trace that is kept as a whole takes more than there is.
    fn fits_memory(&self) -> Result<()> {
        let (Some(trace), Some(free)) = (self.loader.trace(), self.memory_bytes) else { return Ok(()) };
        let progress = self.loader.progress();
        let (taken, read) = (trace.state_bytes(), progress.bytes.max(1));
        // A part of it that tells what the whole will take.
        let tells = taken >= free / 16 && progress.total_bytes.is_some_and(|total| read >= total / 50);
        let total = if tells { progress.total_bytes.unwrap_or(read).max(read) } else { read };
        let expected = taken as f64 * (total as f64 / read as f64);
        if expected <= free as f64 {
            return Ok(());
        }
        let fit =
            (progress.operations as f64 * (free as f64 / expected) * (total as f64 / read as f64)) as u64;
        anyhow::bail!(
            "{}: as a whole it takes about {}, and {} of memory are free; cut a part out first with `arenascope trim FILE OUT \
             --to {fit}`, or give --unbounded to read on",
            self.shown,
            bytes(expected as u64),
            bytes(free)
        )
    }

    fn read_on(&mut self, operations: u64) -> Result<()> {
        while !self.complete && self.loader.trace().is_none_or(|t| t.len() < operations) {
            self.complete = self.loader.advance().with_context(|| self.shown.clone())?;
            self.bar.set_position(self.loader.progress().bytes);
            if operations == u64::MAX {
                self.fits_memory()?;
            }
        }
        if self.complete {
            self.bar.finish_and_clear();
        }
        Ok(())
    }
}

/// What Linux says could be had without swapping.
fn free_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kb| kb << 10)
}

/// A bar on the terminal, hidden where there is none and for the first half second.
pub(super) fn progress_bar(total: Option<u64>, what: &'static str) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
    let form = match total {
        Some(_) => "{msg} {wide_bar} {percent}% {human_pos}/{human_len} {per_sec} {eta}",
        None => "{msg} {spinner} {human_pos} {per_sec}",
    };
    if let Ok(style) = ProgressStyle::with_template(form) {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// The step of a trace's peak, by a run of its own.
pub(super) fn peak(setup: &Setup, trace: &Trace) -> Result<u64, String> {
    let mut machine = setup.machine(trace).map_err(|error| error.to_string())?;
    Ok(peaks(&mut machine, trace).asked().step)
}

/// `--profile` and `--set`, shared by all subcommands that run a trace.
#[derive(clap::Args)]
pub(super) struct ProfileArgs {
    /// A profile of `arenascope profiles`; default: what the trace asks for, else cpython-3.14
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Change one field of the profile, e.g. arena_size=2M or arena_placement=page; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = key_value)]
    sets: Vec<(String, String)>,
}

impl ProfileArgs {
    /// What is wanted otherwise than a trace says.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides { profile: self.profile.clone(), settings: self.sets.clone(), ..Overrides::default() }
    }
}

/// What `--malloc` takes.
pub(super) fn malloc_name(text: &str) -> Result<AllocatorName, String> {
    AllocatorName::parse(text).map_err(|e| e.to_string())
}

/// How a trace is taken and run, for commands that ask about its memory.
#[derive(clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    profile: ProfileArgs,
    /// What PYTHONMALLOC takes; default: what the trace says, else default
    #[arg(long, value_name = "NAME", value_parser = malloc_name)]
    malloc: Option<AllocatorName>,
    #[command(flatten)]
    pub(super) taken: AsArgs,
}

impl RunArgs {
    /// What is wanted otherwise than a trace says.
    pub(super) fn overrides(&self) -> Overrides {
        Overrides { malloc: self.malloc, ..self.profile.overrides() }
    }
}

/// `--as`, for recordings made below Python.
#[derive(clap::Args)]
pub(super) struct AsArgs {
    /// Take the calls of a recording made below Python (heaptrack, mtrace) for calls of this domain: raw, mem or obj.
    /// With obj the answer is what pymalloc would have done; record with PYTHONMALLOC=malloc for that
    #[arg(long = "as", value_name = "DOMAIN", value_parser = domain)]
    pub(super) domain: Option<Domain>,
}

fn domain(text: &str) -> Result<Domain, String> {
    Domain::ALL
        .into_iter()
        .find(|d| d.name().eq_ignore_ascii_case(text))
        .ok_or_else(|| "write raw, mem or obj".to_owned())
}

pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    text.split_once('=')
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .ok_or_else(|| "write KEY=VALUE, for example arena_placement=page".to_owned())
}
