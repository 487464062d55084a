//! The command line: one module a subcommand. `docs/cli.md` has the contract.

mod anonymize;
mod ask;
mod convert;
mod cores;
mod generate;
mod ideal;
mod info;
mod input;
mod lesson;
mod merge;
mod output;
mod profiles;
mod render;
mod replay;
mod report;
mod run;
mod sink;
mod split;
mod stack;
mod start;
mod stats;
mod still;
mod trim;
mod trust;
mod until;
mod whatif;
pub(crate) mod words;
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
mod xray;

use std::io::{self, Write as _};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

/// Shows `CPython`'s memory allocator at work.
#[derive(Parser)]
#[command(
    name = "arenascope",
    version,
    about = "Shows CPython's memory allocator at work: replays a trace of allocations through pymalloc, exactly",
    after_help = "Without a subcommand it opens the window on FILE, or on the bundled first trace.\n\n\
                  Examples:\n  \
                  arenascope traces/tiny-script-3.11.ptrace.zst\n  \
                  arenascope replay traces/tiny-script-3.11.ptrace.zst --malloc-stats\n  \
                  arenascope replay trace.ptrace --set arena_placement=page --placement out.txt\n  \
                  arenascope render trace.ptrace --at 1000 -o map.png\n\n\
                  Exit codes: 0 done, 1 the input or the environment is at fault, 2 wrong usage.",
    args_conflicts_with_subcommands = true
)]
struct Cli {
    /// The trace to open in the window; `-` is standard input, and of a pipe is shown what has come
    file: Option<PathBuf>,
    /// Drag the position to the end of FILE and back in so many seconds, print how long frames took, and close
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "8", hide = true)]
    measure_drag: Option<Seconds>,
    /// Read on whatever a packed file becomes, also where it has hardly an operation or more than memory has room for
    #[arg(long, global = true)]
    unbounded: bool,
    #[command(subcommand)]
    command: Option<Command>,
}

/// A length of time that can be waited for.
#[derive(Clone, Copy, Debug)]
struct Seconds(f64);

impl std::str::FromStr for Seconds {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        let seconds = text.parse().ok().filter(|s| (0.5..=600.0).contains(s));
        seconds.map(Self).ok_or("write seconds, from 0.5 to 600")
    }
}

/// The word by which `lesson check --live` calls this program again to drive a libpython, of which a process has one. Nobody types it,
/// so neither help nor completions know it.
#[cfg(all(feature = "live", target_os = "linux", target_arch = "x86_64"))]
const DRIVE: &str = "drive-libpython";

#[derive(Subcommand)]
enum Command {
    /// Run whole traces and print a report
    Replay(replay::Args),
    /// Say what is in a trace: format, operations by kind and domain, threads, what is missing
    Info(info::Args),
    /// Write a trace in another format, told by the ending of OUT
    Convert(convert::Args),
    /// Cut a range of steps or of time out of a trace
    Trim(trim::Args),
    /// Replace names in a trace by keyed hashes, so that it can be shared
    Anonymize(anonymize::Args),
    /// Put several traces together as one
    Merge(merge::Args),
    /// Make one trace for each thread
    Split(split::Args),
    /// Count sizes, lifetimes, call sites, reallocs and the peak
    Stats(stats::Args),
    /// Say who holds the live blocks and the arenas
    Holders(ask::holders::Args),
    /// Say what freeing some blocks would give back, or what has to be freed to get so much
    Forecast(ask::forecast::Args),
    /// Say what every byte that is held is used for
    Waterfall(ask::waterfall::Args),
    /// Say what tracemalloc says at a step, or would say where it did not run
    Tracemalloc(ask::tracemalloc::Args),
    /// Say in a word what became of the memory, what speaks for it and what to try
    Verdict(ask::verdict::Args),
    /// Put two moments side by side: of one trace, of two, or under two builds
    Compare(ask::compare::Args),
    /// Hold figures against limits, and end with code 1 where one is exceeded
    Check(ask::check::Args),
    /// Write all that can be said of traces on one page of HTML
    Report(ask::document::Args),
    /// Keep the few operations that still show what became of the memory, as a lesson
    Shrink(ask::shrink::Args),
    /// Run one trace under many settings, and say which would hold less
    Whatif(whatif::Args),
    /// Say how few arenas the same blocks could lie in, and whose doing the rest is
    Ideal(ideal::Args),
    /// Say what a Python process that runs has in its memory, from outside
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    Xray(xray::Command),
    /// Draw the memory map at a step, without a display
    Render(render::Args),
    /// List the build profiles with their constants
    Profiles(profiles::Args),
    /// Make a random workload from a seed
    Generate(generate::Args),
    /// Check lessons against the machine
    #[command(subcommand)]
    Lesson(lesson::Command),
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// Runs what the arguments ask for. Wrong usage ends the process with code 2.
pub(crate) fn run() -> Result<()> {
    #[cfg(all(feature = "live", target_os = "linux", target_arch = "x86_64"))]
    {
        let mut words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
        if words.next().as_deref() == Some(DRIVE) {
            real_cpython::driver::run(&words.collect::<Vec<_>>());
        }
    }
    let cli = Cli::parse();
    if cli.unbounded {
        input::read_unbounded();
    }
    match cli.command {
        Some(Command::Replay(args)) => replay::run(&args),
        Some(Command::Info(args)) => info::run(&args),
        Some(Command::Convert(args)) => convert::run(&args),
        Some(Command::Trim(args)) => trim::run(&args),
        Some(Command::Anonymize(args)) => anonymize::run(&args),
        Some(Command::Merge(args)) => merge::run(&args),
        Some(Command::Split(args)) => split::run(&args),
        Some(Command::Stats(args)) => stats::run(&args),
        Some(Command::Holders(args)) => ask::holders::run(&args),
        Some(Command::Forecast(args)) => ask::forecast::run(&args),
        Some(Command::Waterfall(args)) => ask::waterfall::run(&args),
        Some(Command::Tracemalloc(args)) => ask::tracemalloc::run(&args),
        Some(Command::Verdict(args)) => ask::verdict::run(&args),
        Some(Command::Compare(args)) => ask::compare::run(&args),
        Some(Command::Check(args)) => ask::check::run(&args),
        Some(Command::Report(args)) => ask::document::run(&args),
        Some(Command::Shrink(args)) => ask::shrink::run(&args),
        Some(Command::Whatif(args)) => whatif::run(&args),
        Some(Command::Ideal(args)) => ideal::run(&args),
        #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
        Some(Command::Xray(args)) => xray::run(&args),
        Some(Command::Render(args)) => render::run(&args),
        Some(Command::Profiles(args)) => profiles::run(&args),
        Some(Command::Generate(args)) => generate::run(&args),
        Some(Command::Lesson(command)) => lesson::run(&command),
        Some(Command::Completions { shell }) => {
            // Into memory first: clap panics where it cannot write.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "arenascope", &mut script);
            io::stdout().write_all(&script).context("standard output")
        }
        None => window(cli.file, cli.measure_drag.map(|s| s.0)),
    }
}

#[cfg(feature = "window")]
fn window(file: Option<PathBuf>, drag_seconds: Option<f64>) -> Result<()> {
    crate::window::run(file, drag_seconds)
}

#[cfg(not(feature = "window"))]
fn window(file: Option<PathBuf>, _drag_seconds: Option<f64>) -> Result<()> {
    let file = file.map_or_else(|| "FILE".to_owned(), |f| f.display().to_string());
    anyhow::bail!(
        "this build has no window; `arenascope replay {file}` prints a report, `arenascope render {file} -o map.svg` a picture"
    )
}

/// Ends the process as clap does for arguments that do not fit together.
fn usage_error(message: &str) -> ! {
    Cli::command().error(clap::error::ErrorKind::ArgumentConflict, message).exit()
}

/// Whether an error is only that nobody reads the output any more.
pub(crate) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().filter_map(|e| e.downcast_ref::<io::Error>()).any(|e| e.kind() == io::ErrorKind::BrokenPipe)
}
