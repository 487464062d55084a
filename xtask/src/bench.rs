//! `cargo xtask bench`: speed and memory beside the real ones, in release mode, as the page docs/benchmarks.md.
//!
//! One program a table; what it prints is Markdown, and goes onto the page as it is.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::tools::Need;
use crate::workspace::{cargo, command, output, root, run as run_command, run_seen, shared};
use crate::{instructions, tools};

/// Options of `cargo xtask bench`.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// Measure only these tables: simulation, allocators, files, captures, travel, diagnosis, what-if, instructions. The page is then left as it is
    #[arg(long, value_name = "TABLE", value_delimiter = ',')]
    only: Vec<String>,
    /// Count instructions, and fail where they grew over those written down: what CI does
    #[arg(long)]
    instructions: bool,
    /// Write the counted instructions down as the ones to hold to
    #[arg(long, requires = "instructions")]
    write: bool,
    /// Goes on to the programs as it is: [--reps N] [FILE…]
    #[arg(last = true)]
    arguments: Vec<String>,
}

/// A table of the page.
struct Section {
    name: &'static str,
    title: &'static str,
    /// What its columns mean.
    text: &'static str,
    program: &'static [&'static str],
    needs: &'static [Need],
    /// Folders of `../shared` whose files it measures when none are named.
    shared: &'static [&'static str],
}

const PAGE: &str = "docs/benchmarks.md";

const SECTIONS: [Section; 7] = [
    Section {
        name: "simulation",
        title: "The simulation",
        text: "Each trace on the simulation and on the pymalloc of libpython by turns, in one process. *real* meets its arenas for the first time, as \
               a program does; *resident* has them in memory already. *ratio* and *to resident* are medians of each repetition's ratio of the \
               simulation to those; the simulation's time has the decoding of the tape in it, the real one's has not. *events* is the simulation \
               with every event made, *to plain* its ratio to the plain one. *state/heap* is all that the simulation keeps (headers, links, tables, \
               pointers, the C library's blocks) against the arenas at their most. What the C library does for RAW is real on one side and a table \
               on the other.",
        program: &["--bin", "bench"],
        needs: &[Need::Libpython],
        shared: &["oracle"],
    },
    Section {
        name: "allocators",
        title: "Allocators over real memory",
        text: "Each trace with real pointers, by calls that are not inlined, into mmap-arenas' `PymallocHeap` (*ours*), CPython's own pymalloc, glibc, \
               mimalloc and jemalloc by turns. *fresh* arenas are met for the first time, *resident* ones are in memory already; the others go on with \
               the heap of the repetition before. Ratios are ours to CPython's. RAW and everything over 512 bytes is glibc's in the pymallocs.",
        program: &["--bin", "allocators", "--features", "allocators"],
        needs: &[Need::Libpython, Need::Make],
        shared: &["oracle"],
    },
    Section {
        name: "files",
        title: "`.atrace`",
        text: "Bytes an operation, with stacks and addresses where the trace has them, and millions of operations read and written in a second of one \
               thread's processor time, for the archive and the capture profile. *no addr.* is the same capture without addresses.",
        program: &["--bin", "files"],
        needs: &[],
        shared: &["oracle", "captures"],
    },
    Section {
        name: "captures",
        title: "Captures beside memray",
        text: "`arenascope info` beside `memray stats` on the same file by turns, and `arenascope convert` to `.atrace`; seconds that pass, each the median.",
        program: &["--bin", "captures"],
        needs: &[Need::Venv],
        shared: &["captures"],
    },
    Section {
        name: "travel",
        title: "Time travel",
        text: "The first pass, random seeks, steps each way and searches for one thing of each kind, on a generated workload and on p02_json \
               several times in a row. Times are of the thread's own processor time. The states and the index share a budget of 256 MiB, 512 MiB \
               for 100 million operations.",
        program: &["--bin", "travel"],
        needs: &[],
        shared: &[],
    },
    Section {
        name: "diagnosis",
        title: "Who holds the memory",
        text: "Milliseconds of work of a question at a step that was not asked about before, median / slowest of eight steps all along the tape, once it is \
               open and indexed; *first* is what is made once: the arenas that recorded addresses imply, and the first count of live blocks. \
               Generated workloads with 2000 call sites and stacks of twelve frames; *recorded* has a run's own addresses.",
        program: &["--bin", "holding"],
        needs: &[],
        shared: &[],
    },
    Section {
        name: "what-if",
        title: "What if",
        text: "A grid of five arena sizes, five pool sizes and four thresholds, as `arenascope whatif` runs it, on generated workloads. *work* is \
               processor time of all threads, *passed* what a clock shows, with what else the machine does.",
        program: &["--bin", "grid"],
        needs: &[],
        shared: &[],
    },
];

/// Builds and runs the bench programs, and writes the page. All print their table, also when one before misses a bar.
pub(crate) fn run(options: &Options) -> Result<()> {
    let known = |name: &str| name == instructions::NAME || SECTIONS.iter().any(|s| s.name == name);
    if let Some(name) = options.only.iter().find(|name| !known(name)) {
        let names: Vec<_> = SECTIONS.iter().map(|s| s.name).collect();
        bail!("there is no table {name}; there are {}, {}", names.join(", "), instructions::NAME);
    }
    if options.instructions {
        tools::require(&instructions::NEEDS)?;
        say_uncounted();
        return instructions::hold(options.write);
    }
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    set_up(options, wanted)?;
    let mut page = head()?;
    let mut failed = Vec::new();
    for section in SECTIONS.iter().filter(|s| wanted(s.name)) {
        let (table, met) = measure(section, &options.arguments)?;
        write!(page, "\n## {}\n\n{}\n\n{}\n", section.title, wrapped(section.text), table.trim_end())?;
        if !met {
            failed.push(section.name);
        }
    }
    if wanted(instructions::NAME) {
        say_uncounted();
        let table = instructions::table()?;
        print!("\n{table}");
        write!(page, "\n## Instructions\n\n{table}")?;
    }
    if options.only.is_empty() && options.arguments.is_empty() {
        fs::write(root().join(PAGE), page).with_context(|| format!("{PAGE} cannot be written"))?;
        println!("\nwritten to {PAGE}");
    }
    if failed.is_empty() { Ok(()) } else { bail!("bars are missed: {}", failed.join(", ")) }
}

fn say_uncounted() {
    for line in instructions::uncounted() {
        println!("NOT RUN: {}: {}", line.what, line.why);
    }
}

/// Gets what the wanted tables need, before the first of them is built.
fn set_up(options: &Options, wanted: impl Fn(&str) -> bool) -> Result<()> {
    let mut needs = Vec::new();
    for section in SECTIONS.iter().filter(|section| wanted(section.name)) {
        needs.extend(section.needs);
        if options.arguments.is_empty() {
            for folder in section.shared {
                shared(folder).with_context(|| {
                    format!("the table {} measures ../shared/{folder}: name files after --, or others with --only", section.name)
                })?;
            }
        }
    }
    if wanted(instructions::NAME) {
        needs.extend(instructions::NEEDS);
    }
    tools::require(&needs)
}

fn measure(section: &Section, arguments: &[String]) -> Result<(String, bool)> {
    println!("\n# {}\n", section.title);
    let mut build = cargo();
    run_command(
        build.args(["build", "--locked", "--release", "--package", "real-cpython"]).args(section.program),
    )?;
    let mut bench = cargo();
    bench
        .args(["run", "--quiet", "--locked", "--release", "--package", "real-cpython"])
        .args(section.program);
    let mut table = String::new();
    let done = run_seen(bench.arg("--").args(arguments), |line| {
        table.push_str(line);
        table.push('\n');
    })?;
    Ok((table, done.success()))
}

/// Title, command and machine.
fn head() -> Result<String> {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cpu = cpu
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .map_or("an unknown processor", |l| l.trim_start_matches(['\t', ' ', ':']).trim());
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let rustc = output(command("rustc").arg("--version"))?;
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or("unknown");
    Ok(format!(
        "# Speed and memory beside the real ones\n\n`cargo xtask bench` measures all of this and writes this page.\n\n\
         {cpu}, {cores} cores, {} {}; {}; load {load} when it began.\n",
        std::env::consts::OS,
        std::env::consts::ARCH,
        rustc.trim(),
    ))
}

/// Text in lines of at most 140 letters.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].len() + word.len() >= 140 {
            lines.push(word.to_owned());
        } else {
            if !lines[last].is_empty() {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines.join("\n")
}
