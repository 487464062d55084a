//! A trace through a real libpython in a process of its own and through the simulation: where they differ, and the smallest
//! trace that shows it.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sim_core::arena::{ArenaBackend as _, arena_base, region_base};
use sim_core::domains::AllocatorName::{self, Debug, MallocDebug, PymallocDebug};
use sim_core::report::{ArenaEvents, PlacementWriter, debugmallocstats};
use sim_core::tape::Action;
use sim_core::{Call, Machine, Op, Profile, Trace, TraceBuilder};

/// Bytes of the int that holds tracemalloc's answer to how large its tables are.
const INT_BYTES: u64 = 28;

/// Runs of a smaller trace that looking for the smallest one may cost.
const MOST_RUNS: u32 = 400;

/// A libpython and how it is run.
#[derive(Clone, Debug)]
pub struct Real {
    /// `3.9.18`, or with what is special about it.
    pub name: String,
    /// What drives it, see [`crate::driver`].
    pub driver: Driver,
    /// The library.
    pub library: PathBuf,
    /// Its installation, where the interpreter is to be started.
    pub home: Option<PathBuf>,
    /// The rules of its version.
    pub profile: Profile,
}

/// A program that drives a libpython.
#[derive(Clone, Debug)]
pub struct Driver {
    /// The program: the one called `driver`, for this target or another one, or one that hands on to [`crate::driver::run`].
    pub program: PathBuf,
    /// What stands before the driver's own arguments.
    pub words: Vec<String>,
    /// A folder for files that pass between both.
    pub scratch: PathBuf,
}

impl Driver {
    /// A process of it, without what `PYTHON…` variables would change.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.words);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PYTHON"))
        {
            command.env_remove(name);
        }
        command
    }
}

/// What was compared.
#[derive(Clone, Copy, Debug, Default)]
pub struct Compared {
    /// Operations.
    pub operations: u64,
    /// Arenas that came.
    pub obtained: u64,
    /// Those that went again.
    pub released: u64,
}

/// Why a comparison did not end well.
#[derive(Debug)]
pub enum Fault {
    /// Both sides parted.
    Differs(Difference),
    /// It could not be made, and why.
    Failed(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Differs(difference) => difference.fmt(f),
            Self::Failed(why) => f.write_str(why),
        }
    }
}

/// Where both sides parted.
#[derive(Debug)]
pub struct Difference {
    /// Of the lines that both print.
    line: usize,
    ours: String,
    theirs: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: here `{}`, real `{}`", self.line, self.ours, self.theirs)
    }
}

impl Real {
    /// A process that runs a trace, which lies in a file.
    pub fn command(&self, profile: &Profile, trace: &Trace, file: &Path) -> Command {
        let (malloc, breaks_rules) = (trace.head.malloc, breaks_rules(trace));
        let mut command = self.driver.command();
        command.arg(&self.library).arg(file);
        let region = region_base(profile).0;
        let base = |slot, ordinal| arena_base(profile, slot, ordinal).0;
        let stride = base(1, 0) - base(0, 0);
        let shifts: Vec<String> = (0..4).map(|ordinal| (base(0, ordinal) - region).to_string()).collect();
        // An address space of 32 bits has other things in it.
        let room = if profile.pointer_bytes == 4 { 1 << 29 } else { 1 << 34 };
        command.args([
            format!("region={region}"),
            format!("stride={stride}"),
            format!("slots={}", room / stride),
            format!("shifts={}", shifts.join(",")),
            format!("arena_size={}", profile.arena_size),
        ]);
        for key in ["arena_limit", "arena_fail_at", "bookkeeping_fail_at"] {
            if let Some(value) = profile.get(key).filter(|value| value != "none") {
                command.arg(format!("{key}={value}"));
            }
        }
        if breaks_rules {
            command.arg("quiet=yes");
        }
        if let Some(home) = &self.home {
            let debug = matches!(malloc, Some(Debug | PymallocDebug | MallocDebug));
            command.arg("start=yes").env("PYTHONHOME", home);
            command.env("PYTHONMALLOC", if debug { "malloc_debug" } else { "malloc" });
        }
        command
    }

    /// What a trace is to print, and what it prints. `name` is for its files.
    pub fn both(&self, profile: &Profile, trace: &Trace, name: &str) -> Result<(String, String), Fault> {
        let file = self.driver.scratch.join(format!("{name}.ptrace"));
        let answer = file.with_extension("placement");
        let failed =
            |path: &Path, why: &dyn fmt::Display| Fault::Failed(format!("{}: {why}", path.display()));
        write(trace, &file).map_err(|why| failed(&file, &why))?;
        let out = File::create(&answer).map_err(|why| failed(&answer, &why))?;
        let mut command = self.command(profile, trace, &file);
        let started = command.stdout(out).stderr(Stdio::piped()).spawn();
        let child = started.map_err(|why| failed(&self.driver.program, &why))?;
        let ours = expected(profile, trace).map_err(Fault::Failed);
        let out = child.wait_with_output().map_err(|why| failed(&self.driver.program, &why))?;
        // Bytes that are no text are a difference, and not the end.
        let theirs = std::fs::read(&answer).map_err(|why| failed(&answer, &why))?;
        let (ours, mut theirs) = (ours?, String::from_utf8_lossy(&theirs).into_owned());
        let said = latin1(&out.stderr);
        if breaks_rules(trace) {
            // Of the C library's last words only the signal counts, and of the debug hooks' the report.
            if debugged(trace) {
                theirs = theirs
                    .lines()
                    .map(|line| if line.starts_with("signal ") { "died" } else { line })
                    .fold(String::new(), |all, line| all + line + "\n");
                theirs.push_str(report(&said));
            }
        } else {
            theirs.push_str(&said);
        }
        for file in [&answer, &file] {
            std::fs::remove_file(file).map_err(|why| failed(file, &why))?;
        }
        if ours == theirs && !out.status.success() && !breaks_rules(trace) {
            return Err(Fault::Failed(format!("CPython {} ended with {}", self.name, out.status)));
        }
        Ok((ours, theirs))
    }

    /// Runs a trace on both sides. `name` is for its files.
    pub fn compare(&self, profile: &Profile, trace: &Trace, name: &str) -> Result<Compared, Fault> {
        let (ours, theirs) = self.both(profile, trace, name)?;
        if let Some(difference) = first_difference(&ours, &theirs) {
            return Err(Fault::Differs(difference));
        }
        let lines = |sign: &str| ours.lines().filter(|line| line.starts_with(sign)).count() as u64;
        Ok(Compared { operations: trace.len(), obtained: lines("+arena"), released: lines("-arena") })
    }

    /// The same; a difference is told with the smallest trace that shows one, which is kept.
    pub fn agree(&self, profile: &Profile, trace: &Trace, name: &str) -> Result<Compared, String> {
        self.compare(profile, trace, name).map_err(|fault| {
            let difference = match fault {
                Fault::Differs(difference) => difference,
                Fault::Failed(why) => return format!("{name}: {why}"),
            };
            let (smallest, last) = self.smallest(profile, trace, name, &difference);
            let differs = last.as_ref().unwrap_or(&difference);
            let kept = self.driver.scratch.join(format!("{name}.ptrace"));
            if let Err(why) = write(&smallest, &kept) {
                return format!("{name}: {difference}; {}: {why}", kept.display());
            }
            format!(
                "CPython {}, {name}: {difference}. The smallest trace found has {} operations ({differs}): {:?}",
                self.name,
                smallest.len(),
                self.command(profile, &smallest, &kept)
            )
        })
    }

    /// Takes away stretches of operations, ever smaller ones, while a difference stays.
    fn smallest(
        &self,
        profile: &Profile,
        trace: &Trace,
        name: &str,
        difference: &Difference,
    ) -> (Trace, Option<Difference>) {
        let name = format!("{name}-smaller");
        // An operation prints a line at least.
        let all = (0..trace.len().min(difference.line as u64)).filter_map(|index| trace.op(index));
        let mut kept: Vec<Op> = all.collect();
        let (mut last, mut stretch, mut runs) = (None, kept.len().div_ceil(2), 0);
        while stretch > 0 && runs < MOST_RUNS {
            let mut at = 0;
            while at < kept.len() && runs < MOST_RUNS {
                let end = (at + stretch).min(kept.len());
                let fewer = rebuilt(trace, kept[..at].iter().chain(&kept[end..]));
                runs += 1;
                match self.compare(profile, &fewer, &name) {
                    Err(Fault::Differs(found)) => {
                        last = Some(found);
                        kept = (0..fewer.len()).filter_map(|index| fewer.op(index)).collect();
                    }
                    Ok(_) | Err(Fault::Failed(_)) => at = end,
                }
            }
            stretch /= 2;
        }
        (rebuilt(trace, kept.iter()), last)
    }
}

/// A trace of some operations of another; those that make no sense any more are left out.
fn rebuilt<'a>(of: &Trace, ops: impl Iterator<Item = &'a Op>) -> Trace {
    let mut tape = TraceBuilder::new("smaller");
    tape.trace_mut().head.malloc = of.head.malloc;
    for op in ops {
        let _ = tape.push(*op);
    }
    tape.finish()
}

/// Whether there are debug hooks from the beginning, or they are set up on the way.
fn debugged(trace: &Trace) -> bool {
    trace.head.malloc.is_some_and(AllocatorName::is_debug)
        || (0..trace.len())
            .filter_map(|index| trace.op(index))
            .any(|op| matches!(op.call, Call::Act(Action::SetupDebugHooks)))
}

/// An id that is no letter is printed as the byte it is.
fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// What debug hooks print of a block, of what a process printed.
fn report(said: &str) -> &str {
    let from = said.find("Debug memory block");
    let to = said.find("Enable tracemalloc").or_else(|| said.find("Segmentation fault"));
    from.map_or("", |from| &said[from..to.unwrap_or(said.len())])
}

/// Whether a trace's program keeps pointers to freed blocks or writes where it likes.
fn breaks_rules(trace: &Trace) -> bool {
    (0..trace.len())
        .filter_map(|index| trace.op(index))
        .any(|op| matches!(op.call, Call::FreeKeep { .. } | Call::Act(Action::Poke { .. })))
}

fn write(trace: &Trace, file: &Path) -> Result<(), String> {
    let said = |error: &dyn fmt::Display| error.to_string();
    let mut out = std::io::BufWriter::new(File::create(file).map_err(|error| said(&error))?);
    trace_io::ptrace::write(&mut out, trace).map_err(|error| said(&error))?;
    out.flush().map_err(|error| said(&error))
}

/// What the driver is to print.
fn expected(profile: &Profile, trace: &Trace) -> Result<String, String> {
    let machine = Machine::for_trace(profile, trace, None);
    let mut machine = machine.map_err(|error| format!("{}: {error}", trace.head.name))?;
    let (writer, mut events, mut out) = (PlacementWriter::default(), ArenaEvents::default(), String::new());
    for index in 0..trace.len() as usize {
        events.clear();
        let pointer = machine.step(trace, index, &mut events);
        if let Some(why) = machine.stopped() {
            let why = why.to_string();
            // The driver tells the signal alone.
            let signal =
                [("Segmentation fault", "signal 11"), ("free(): ", "signal 6"), ("realloc(): ", "signal 6")];
            // Where the interpreter was never started, a fatal error may die on the way to its last words.
            if breaks_rules(trace) && debugged(trace) {
                out.push_str("died\n");
                out.push_str(report(&why));
                return Ok(out);
            }
            let signal = signal.iter().find(|(begins, _)| why.starts_with(begins)).map(|s| s.1.to_owned());
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(out, "{}", signal.unwrap_or(format!("stopped: {why}")));
            return Ok(out);
        }
        writer.after(&machine, trace, index, pointer, events.as_slice(), &mut out);
    }
    if !breaks_rules(trace) {
        machine.verify().map_err(|why| format!("{}: the heap is not sound: {why:?}", trace.head.name))?;
    }
    out.push_str("#stats\n");
    if machine.pymalloc_enabled() {
        out.push_str(&debugmallocstats(machine.pymalloc()));
    }
    let Some(layers) = machine.layers() else { return Ok(out) };
    for user in layers.user() {
        let _ = writeln!(out, "table {:?}", user.calls);
    }
    for hook in machine.pymalloc().memory().hooks().map_or(&[][..], |hooks| hooks.user()) {
        let _ = writeln!(out, "hook {:?}", hook.calls);
    }
    let tracemalloc = layers.tracemalloc();
    if tracemalloc.is_tracing() {
        let ((current, peak), tables) =
            (tracemalloc.get_traced_memory(), tracemalloc.get_tracemalloc_memory());
        // The answer to the first question was a block itself, for a moment.
        let peak = peak.max(current + INT_BYTES);
        let _ = writeln!(out, "traced {current} bytes, {peak} at most\ntables of {tables} bytes");
    }
    Ok(out)
}

/// The first line that differs.
fn first_difference(ours: &str, theirs: &str) -> Option<Difference> {
    if ours == theirs {
        return None;
    }
    let (mut ours, mut theirs) = (ours.lines(), theirs.lines());
    (1..).find_map(|line| match (ours.next(), theirs.next()) {
        (Some(a), Some(b)) if a == b => None,
        (a, b) => {
            let word = |line: Option<&str>| line.unwrap_or("(nothing)").to_owned();
            Some(Difference { line, ours: word(a), theirs: word(b) })
        }
    })
}
