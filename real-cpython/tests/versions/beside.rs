//! A trace through a real libpython in a process of its own and through the simulation: where they differ, and the smallest
//! trace that shows it.

use std::fmt::{self, Write as _};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sim_core::arena::{ArenaBackend as _, arena_base, region_base};
use sim_core::domains::AllocatorName::{self, Debug, MallocDebug, PymallocDebug};
use sim_core::report::{ArenaEvents, PlacementWriter, debugmallocstats};
use sim_core::tape::Action;
use sim_core::{Call, Machine, Op, Profile, Trace, TraceBuilder};

/// Bytes of the int that holds tracemalloc's answer to how large its tables are.
const INT_BYTES: u64 = 28;

/// The driver for this program's own target.
pub(crate) const DRIVER: &str = env!("CARGO_BIN_EXE_driver");

/// Runs of a smaller trace that looking for the smallest one may cost.
const MOST_RUNS: u32 = 400;

/// A libpython and how it is run.
pub(crate) struct Real {
    /// `3.9.18`, or with what is special about it.
    pub(crate) name: String,
    /// The program that drives it: [`DRIVER`] or one for another target.
    pub(crate) driver: PathBuf,
    pub(crate) library: PathBuf,
    /// Its installation, where the interpreter is to be started.
    pub(crate) home: Option<PathBuf>,
    pub(crate) profile: Profile,
}

/// What was compared.
#[derive(Clone, Copy, Default)]
pub(crate) struct Compared {
    pub(crate) operations: u64,
    /// Arenas that came and that went again.
    pub(crate) obtained: u64,
    pub(crate) released: u64,
}

/// Where both sides parted.
#[derive(Debug)]
pub(crate) struct Difference {
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
    pub(crate) fn command(&self, profile: &Profile, trace: &Trace, file: &Path) -> Command {
        let (malloc, breaks_rules) = (trace.head.malloc, breaks_rules(trace));
        let mut command = Command::new(&self.driver);
        command.arg(&self.library).arg(file);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PYTHON"))
        {
            command.env_remove(name);
        }
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

    /// What a trace is to print, and what it prints.
    pub(crate) fn both(&self, profile: &Profile, trace: &Trace, name: &str) -> (String, String) {
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.ptrace"));
        let answer = file.with_extension("placement");
        trace_io::ptrace::write(&mut std::io::BufWriter::new(File::create(&file).unwrap()), trace).unwrap();
        let mut command = self.command(profile, trace, &file);
        let started = command.stdout(File::create(&answer).unwrap()).stderr(Stdio::piped()).spawn();
        let child = started.unwrap();
        let ours = expected(profile, trace);
        let out = child.wait_with_output().unwrap();
        let mut theirs = std::fs::read_to_string(&answer).unwrap();
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
        std::fs::remove_file(answer).unwrap();
        std::fs::remove_file(file).unwrap();
        if ours == theirs {
            assert!(out.status.success() || breaks_rules(trace), "{}: {}", self.name, out.status);
        }
        (ours, theirs)
    }

    /// Runs a trace on both sides.
    pub(crate) fn compare(
        &self,
        profile: &Profile,
        trace: &Trace,
        name: &str,
    ) -> Result<Compared, Difference> {
        let (ours, theirs) = self.both(profile, trace, name);
        if let Some(difference) = first_difference(&ours, &theirs) {
            return Err(difference);
        }
        let lines = |sign: &str| ours.lines().filter(|line| line.starts_with(sign)).count() as u64;
        Ok(Compared { operations: trace.len(), obtained: lines("+arena"), released: lines("-arena") })
    }

    /// The same; a difference is told with the smallest trace that shows one, which is kept.
    pub(crate) fn agree(&self, profile: &Profile, trace: &Trace, name: &str) -> Result<Compared, String> {
        self.compare(profile, trace, name).map_err(|difference| {
            let (smallest, last) = self.smallest(profile, trace, name, &difference);
            let differs = last.as_ref().unwrap_or(&difference);
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.ptrace"));
            trace_io::ptrace::write(&mut File::create(&kept).unwrap(), &smallest).unwrap();
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
                    Err(found) => {
                        last = Some(found);
                        kept = (0..fewer.len()).filter_map(|index| fewer.op(index)).collect();
                    }
                    Ok(_) => at = end,
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

/// What the driver is to print.
fn expected(profile: &Profile, trace: &Trace) -> String {
    let mut machine = Machine::for_trace(profile, trace, None).unwrap();
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
                return out;
            }
            let signal = signal.iter().find(|(begins, _)| why.starts_with(begins)).map(|s| s.1.to_owned());
            writeln!(out, "{}", signal.unwrap_or(format!("stopped: {why}"))).unwrap();
            return out;
        }
        writer.after(&machine, trace, index, pointer, events.as_slice(), &mut out);
    }
    if !breaks_rules(trace) {
        machine.verify().unwrap();
    }
    out.push_str("#stats\n");
    if machine.pymalloc_enabled() {
        out.push_str(&debugmallocstats(machine.pymalloc()));
    }
    let Some(layers) = machine.layers() else { return out };
    for user in layers.user() {
        writeln!(out, "table {:?}", user.calls).unwrap();
    }
    for hook in machine.pymalloc().memory().hooks().map_or(&[][..], |hooks| hooks.user()) {
        writeln!(out, "hook {:?}", hook.calls).unwrap();
    }
    let tracemalloc = layers.tracemalloc();
    if tracemalloc.is_tracing() {
        let ((current, peak), tables) =
            (tracemalloc.get_traced_memory(), tracemalloc.get_tracemalloc_memory());
        // The answer to the first question was a block itself, for a moment.
        let peak = peak.max(current + INT_BYTES);
        writeln!(out, "traced {current} bytes, {peak} at most\ntables of {tables} bytes").unwrap();
    }
    out
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
