//! The part of [`Engine`] that runs the playground: a program that is written beside the picture, for itself or to solve a puzzle.

use std::fmt::Write as _;
use std::sync::Arc;

use sim_core::{Call, Domain, Profile, ProfileError, Trace};
use trace_io::LineColumn;
use trace_io::lesson::{Lesson, Puzzle, Step};
use trace_io::program::{Bounds, Fault, Program};

use crate::puzzle::check;
use crate::run::Session;
use crate::setup::Overrides;
use crate::view::program::{PLAYGROUND, Played};

use super::Engine;
use super::lessons::{Of, Taught};

/// What the engine keeps of the playground.
#[derive(Default)]
pub(super) struct Playground {
    shown: Played,
    text: String,
    lines: Vec<u32>,
    forks: u64,
    /// What the program is to solve.
    puzzle: Option<Puzzle>,
}

/// Operations of a piece of a trace that can be forked: more is no text to read.
const FORK_MAX: u64 = 2_000;

impl Engine {
    /// Runs a program, under the profile that is open, and stands after its last operation. What was there stays if the
    /// program has a fault.
    pub(super) fn run_program(&mut self, text: String, preset: Option<&str>) {
        let open = self.session.as_ref().map(|session| session.profile().name.clone());
        if self.playground.as_ref().is_some_and(|playground| playground.puzzle.is_some()) {
            // A puzzle begins under its own profile, whatever is open.
            let preset = preset.map(str::to_owned).or(open.filter(|_| self.plays()));
            self.run_attempt(text, preset.as_deref());
            return;
        }
        let preset = preset.map(str::to_owned).or(open);
        let expanded = Program::parse(&text).and_then(|program| {
            let profile = profile_of(&program, preset.as_deref())?;
            let expanded = program.expand(PLAYGROUND, &profile, Bounds::default())?;
            Ok((program, profile, expanded))
        });
        let playground = self.playground.get_or_insert_default();
        playground.text = text;
        playground.shown.runs += 1;
        match expanded {
            Err(fault) => playground.shown.fault = Some(fault.into()),
            Ok((program, profile, expanded)) => {
                playground.shown.fault = None;
                playground.lines = expanded.lines;
                let mut trace = expanded.trace;
                trace.head.lesson = true;
                trace.head.settings = program.settings;
                self.stand_at_end(trace, &profile.name);
            }
        }
    }

    /// The same for a program that is to solve the puzzle that is open.
    fn run_attempt(&mut self, text: String, preset: Option<&str>) {
        let Some(playground) = &mut self.playground else { return };
        let Some(puzzle) = &playground.puzzle else { return };
        let attempt = check(puzzle, &text, preset);
        playground.text = text;
        playground.shown.runs += 1;
        match attempt {
            Err((fault, view)) => {
                playground.shown.fault = Some(fault.into());
                playground.shown.puzzle = Some(view);
            }
            Ok(attempt) => {
                playground.shown.fault = None;
                playground.shown.puzzle = Some(Box::new(attempt.view));
                playground.lines = attempt.lines;
                self.stand_at_end(attempt.trace, &attempt.profile.name);
            }
        }
    }

    /// Gives the operations of what was written as a trace in RON.
    pub(super) fn save_program(&mut self) {
        let session = self.session.as_ref().filter(|session| self.plays() && !session.trace().is_empty());
        let Some(session) = session else {
            self.error = Some("there are no operations to save; write a program first".to_owned().into());
            return;
        };
        let mut file = Vec::new();
        // Writing to memory cannot fail, and RON is text.
        let written = trace_io::lesson::write(&mut file, session.trace());
        if let (Ok(()), Ok(text)) = (written, String::from_utf8(file)) {
            let puzzle = self.playground.as_ref().and_then(|playground| playground.puzzle.as_ref());
            let name = puzzle.map_or("playground.ron".to_owned(), |puzzle| format!("{}.ron", puzzle.id));
            self.saved = Some((name, text));
        }
    }

    /// Opens a puzzle, with what stands in its editor at first.
    pub(super) fn pose(&mut self, puzzle: Puzzle) {
        self.taught = None;
        let start = puzzle.start.clone();
        let playground = self.playground.get_or_insert_default();
        playground.puzzle = Some(puzzle);
        playground.shown.puzzle = None;
        self.take_program(start);
    }

    /// Goes on without the puzzle.
    pub(super) fn leave_puzzle(&mut self) {
        if let Some(playground) = &mut self.playground {
            playground.puzzle = None;
            playground.shown.puzzle = None;
            playground.shown.fault = None;
        }
    }

    fn stand_at_end(&mut self, trace: Trace, preset: &str) {
        let overrides = Overrides::preset(preset);
        match Session::new(Arc::new(trace), &overrides, self.next_revision()) {
            Err(error) => self.error = Some(crate::trouble::Trouble::running(PLAYGROUND, &error)),
            Ok(mut session) => {
                session.seek(session.len());
                self.taught = None;
                self.placing.forget();
                self.real = None;
                self.hint = None;
                self.checked = None;
                self.selection.pinned = None;
                self.session = Some(session);
                self.forget_beside();
                self.told.head = false;
                self.seen = None;
            }
        }
    }

    /// Takes what is open into the playground: a lesson's program up to its beat, or the operations before the step.
    pub(super) fn fork(&mut self) {
        let text = match (&self.taught, &self.session) {
            (Some(Taught { of: Of::Lesson(lesson), .. }), session) => {
                let settings = session.as_ref().map(|session| session.trace().head.settings.clone());
                program_of(lesson, &settings.unwrap_or_default())
            }
            (_, Some(session)) => program_of_trace(session.trace(), session.step()),
            (_, None) => String::new(),
        };
        self.leave_puzzle();
        self.take_program(text);
    }

    /// Takes a program into the editor, and runs it.
    pub(super) fn take_program(&mut self, text: String) {
        let playground = self.playground.get_or_insert_default();
        playground.forks += 1;
        playground.shown.forked = Some((playground.forks, text.clone()));
        self.run_program(text, None);
    }

    /// Whether what is open is the playground's program.
    pub(super) fn plays(&self) -> bool {
        let (Some(playground), Some(session)) = (&self.playground, &self.session) else { return false };
        let name = session.trace().head.name.as_str();
        match &playground.puzzle {
            Some(puzzle) => name == puzzle.trace_name(),
            None => name == PLAYGROUND,
        }
    }

    /// Runs it anew under another preset, since its counts may follow from that.
    pub(super) fn run_program_again(&mut self, preset: &str) {
        let text = self.playground.as_ref().map(|playground| playground.text.clone());
        self.run_program(text.unwrap_or_default(), Some(preset));
    }

    /// The playground as a front shows it, where it was used.
    pub(super) fn played(&self) -> Option<Played> {
        let playground = self.playground.as_ref()?;
        let step = self.session.as_ref().map_or(0, Session::step);
        let ours = self.plays();
        let line = step
            .checked_sub(1)
            .filter(|_| ours)
            .and_then(|at| playground.lines.get(at as usize))
            .copied()
            .filter(|line| *line > 0);
        Some(Played { line, ..playground.shown.clone() })
    }
}

/// What a program runs under: the profile that it names, else the one that is open.
fn profile_of(program: &Program, open: Option<&str>) -> Result<Profile, Fault> {
    let fault = |error: ProfileError| Fault {
        at: LineColumn { line: 1, column: 1 },
        problem: error.to_string(),
        remedy: "change or leave out the line with `#!`".to_owned(),
    };
    let preset = Profile::chosen(program.profile.as_deref().or(open));
    preset.and_then(|profile| profile.changed(&program.settings)).map_err(fault)
}

/// A lesson's program, piece by piece.
fn program_of(lesson: &Lesson, settings: &[(String, String)]) -> String {
    let pieces = lesson.steps.iter().filter_map(|step| match step {
        Step::Run(text) => Some(text.trim_end()),
        _ => None,
    });
    let mut text = format!("# From \"{}\"\n", lesson.name);
    for (key, value) in settings {
        let _ = writeln!(text, "#! {key}={value}");
    }
    for piece in pieces {
        text.push_str(piece);
        text.push('\n');
    }
    text
}

/// The last operations before a step as a program. What was there before them is not made again, so frees of it are left out.
fn program_of_trace(trace: &Trace, step: u64) -> String {
    let from = step.saturating_sub(FORK_MAX);
    let mut text = format!("# From \"{}\", operations {} to {step}\n", trace.head.name, from + 1);
    let mut known = std::collections::BTreeSet::new();
    let names: std::collections::BTreeMap<u64, &String> =
        trace.head.names.iter().map(|(id, name)| (*id, name)).collect();
    let name = |id: u64| names.get(&id).map_or_else(|| format!("b[{id}]"), |name| (*name).clone());
    for index in from..step {
        let Some(op) = trace.op(index) else { break };
        write_marks(&mut text, trace, index);
        let domain = match op.domain {
            Domain::Raw => ", raw",
            Domain::Mem => ", mem",
            Domain::Obj => "",
        };
        let thread = if op.thread == 0 { String::new() } else { format!(", thread={}", op.thread) };
        // Writing to a string cannot fail.
        let _ = match op.call {
            Call::Malloc { id, size } => {
                known.insert(id);
                writeln!(text, "{} = malloc({size}{domain}{thread})", name(id))
            }
            Call::Calloc { id, nelem, elsize } => {
                known.insert(id);
                writeln!(text, "{} = calloc({nelem}, {elsize}{domain}{thread})", name(id))
            }
            Call::Realloc { id, newid, size } if id == 0 || known.remove(&id) => {
                known.insert(newid);
                let from = if id == 0 { "NULL".to_owned() } else { name(id) };
                writeln!(text, "{} = realloc({from}, {size}{domain}{thread})", name(newid))
            }
            // A block from before becomes one that begins here.
            Call::Realloc { newid, size, .. } => {
                known.insert(newid);
                writeln!(text, "{} = malloc({size}{domain}{thread})", name(newid))
            }
            Call::Free { id } if known.remove(&id) => writeln!(text, "free({}{domain}{thread})", name(id)),
            Call::FreeKeep { id } if known.contains(&id) => {
                writeln!(text, "free_keep({}{domain}{thread})", name(id))
            }
            Call::Free { .. } | Call::FreeKeep { .. } | Call::Act(_) => Ok(()),
        };
    }
    write_marks(&mut text, trace, step);
    text
}

/// The marks at a step. A text of the language cannot have quotes in it.
fn write_marks(text: &mut String, trace: &Trace, step: u64) {
    for mark in trace.marks_at(step) {
        let _ = writeln!(text, "mark(\"{}\")", mark.name().replace('"', "'"));
    }
}
