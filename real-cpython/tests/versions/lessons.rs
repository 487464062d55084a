//! Lessons of the course in real interpreters: where every block of their programs lands, which arenas come and go, the statistics,
//! what tables count. What a lesson claims follows from these, so it holds there as well.

use std::fmt::Write as _;
use std::path::Path;

use real_cpython::outside::{compared, files, grouped};
use session::lesson::compile;
use sim_core::domains::UserAllocator;
use sim_core::tape::{Action, TableChoice};
use sim_core::{Call, Profile, Trace, TraceBuilder};
use trace_io::lesson::Lesson;
use trace_io::program::Bounds;

use super::beside::Real;
use super::libraries;

/// The lessons on pymalloc and what stands above it.
const NUMBERS: std::ops::RangeInclusive<u32> = 1..=16;

/// Settings that an interpreter was compiled with.
const COMPILED: [&str; 2] = ["arena_size", "pool_size"];

/// How much of a lesson an interpreter can do.
#[derive(PartialEq, Eq)]
enum Part {
    /// All of it.
    Whole,
    /// The same program, without the Python stacks that a trace only tells of.
    Same,
}

/// What came of the lessons in a version.
#[derive(Default)]
struct Told {
    lessons: u64,
    claims: u64,
    /// Claims that hold too where arenas are as large as the interpreter's, of lessons that want others.
    claims_own: u64,
    /// Runs without the Python stacks that a lesson tells of.
    in_part: u64,
    /// Those that the driver cannot do.
    left_out: u64,
    operations: u64,
    wrong: Vec<String>,
}

fn lessons() -> Vec<Lesson> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/course");
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        Lesson::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let all = files(&folder, ".ron").unwrap();
    let mut lessons: Vec<Lesson> = all.iter().map(read).collect();
    lessons.retain(|lesson| NUMBERS.contains(&lesson.number));
    lessons.sort_by_key(|lesson| lesson.number);
    lessons
}

/// The operations that the driver can do, and whether some were left out; none if one of them matters to the others.
fn driven(trace: &Trace) -> Option<(Trace, Part)> {
    let mut tape = TraceBuilder::new(&trace.head.name);
    tape.trace_mut().head.malloc = trace.head.malloc;
    let mut part = Part::Whole;
    for index in 0..trace.len() {
        let op = trace.op(index)?;
        if op.thread != 0 {
            return None;
        }
        match op.call {
            // What frames there are is told by nobody's code here, and a snapshot only reads.
            Call::Act(Action::Stack(_) | Action::TracemallocSnapshot(_)) => {
                part = Part::Same;
                continue;
            }
            Call::Act(
                Action::SetupDebugHooks
                | Action::SetAllocator(
                    TableChoice::Libc
                    | TableChoice::Pymalloc
                    | TableChoice::User(
                        UserAllocator::Count | UserAllocator::Log | UserAllocator::FailEvery(_),
                    ),
                )
                | Action::SetArenaAllocator(_)
                | Action::Poke { .. }
                | Action::TracemallocStart(_)
                | Action::TracemallocStop
                | Action::TracemallocClear
                | Action::TracemallocResetPeak,
            ) => {}
            Call::Act(_) => return None,
            _ => {}
        }
        tape.push(op).ok()?;
    }
    Some((tape.finish(), part))
}

/// A lesson in a version.
fn run(real: &Real, lesson: &Lesson, told: &mut Told) {
    let preset = &real.profile.name;
    if lesson.holds(&Profile::named(preset).unwrap()).is_err() {
        return;
    }
    let (_, script) = compile(lesson, Some(preset)).unwrap();
    told.wrong.extend(script.faults.iter().map(|fault| format!("{}: {fault}", lesson.id)));
    let mut own = lesson.clone();
    own.settings.retain(|key, _| !COMPILED.contains(&key.as_str()));
    let profile = own.profile(Some(preset)).unwrap();
    let staged = own.stage(&profile, Bounds::default()).unwrap();
    let Some((trace, part)) = driven(&staged.expanded.trace) else {
        told.left_out += 1;
        return;
    };
    let name = format!("{}-lesson-{}", real.name.replace(' ', "-"), lesson.id);
    match real.agree(&profile, &trace, &name) {
        Ok(done) => {
            told.operations += done.operations;
            if part == Part::Same {
                told.in_part += 1;
            } else if own.settings == lesson.settings {
                told.lessons += 1;
                told.claims += script.claims;
            } else {
                // What is only true of the lesson's arenas is a fault of this one, and none of the lesson's.
                let (_, script) = compile(&own, Some(preset)).unwrap();
                told.claims_own += script.claims.saturating_sub(script.faults.len() as u64);
            }
        }
        Err(difference) => told.wrong.push(difference),
    }
}

#[test]
fn lessons_hold_in_each_version() {
    let versions = libraries();
    let lessons = lessons();
    assert!(!lessons.is_empty(), "traces/course has no lesson");
    let mut all = Told::default();
    for real in &versions {
        for lesson in &lessons {
            run(real, lesson, &mut all);
        }
    }
    if versions.is_empty() {
        return;
    }
    let mut text = format!(
        "{} claims, {} versions: {} operations, {} differences",
        grouped(all.claims),
        versions.len(),
        grouped(all.operations),
        all.wrong.len()
    );
    if all.claims_own > 0 {
        let _ = write!(text, "; {} more with the interpreter's own arenas", grouped(all.claims_own));
    }
    if all.in_part > 0 {
        let _ = write!(text, "; {} runs without the Python stacks of their lesson", all.in_part);
    }
    if all.left_out > 0 {
        let _ = write!(text, "; {} not: they do what the driver cannot", all.left_out);
    }
    compared("lessons", &text);
    assert!(all.wrong.is_empty(), "{}", all.wrong.join("\n"));
    assert!(all.lessons > 0 && all.claims > all.lessons, "no lesson was compared");
}
