//! Lessons of the course in a real interpreter: where every block of their programs lands, which arenas come and go, the
//! statistics, what tables count. What a lesson claims follows from these, so it holds there as well.

use session::lesson::compile;
use sim_core::domains::UserAllocator;
use sim_core::tape::{Action, TableChoice};
use sim_core::{Call, Profile, Trace, TraceBuilder};
use trace_io::lesson::{Lesson, Step};
use trace_io::program::Bounds;

use crate::beside::Real;

/// Settings that an interpreter was compiled with.
const COMPILED: [&str; 2] = ["arena_size", "pool_size"];

/// What came of a lesson in an interpreter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It does not hold for this build; its own words on that.
    Elsewhere(String),
    /// The driver cannot do it, and why.
    Left(&'static str),
    /// The interpreter did what the machine does.
    Agreed(Agreed),
    /// They parted, or could not be compared: what, in a line.
    Differs(String),
}

/// How much of a lesson an interpreter did as the machine does it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Agreed {
    /// Operations that were compared.
    pub operations: u64,
    /// Which part of the lesson.
    pub part: Part,
    /// Claims of the lesson that hold there.
    pub claims: u64,
    /// Claims on other settings of the build (`what_if`), which only the model can speak of.
    pub model_only: u64,
}

/// Which part of a lesson an interpreter can do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// All of it.
    Whole,
    /// All of it with arenas as large as the interpreter's own, where the lesson wants others. Claims that are only true of the
    /// lesson's are left out.
    OwnArenas,
    /// The same program, without the Python stacks that a trace only tells of. No claim is counted.
    NoStacks,
}

/// The operations that the driver can do, and whether some were left out; else why one that matters to the others cannot be done.
fn driven(trace: &Trace) -> Result<(Trace, bool), &'static str> {
    let mut tape = TraceBuilder::new(&trace.head.name);
    tape.trace_mut().head.malloc = trace.head.malloc;
    let mut whole = true;
    for op in (0..trace.len()).filter_map(|index| trace.op(index)) {
        if op.thread != 0 {
            return Err("it has several threads");
        }
        match op.call {
            // What frames there are is told by nobody's code here, and a snapshot only reads.
            Call::Act(Action::Stack(_) | Action::TracemallocSnapshot(_)) => {
                whole = false;
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
            Call::Act(
                Action::InterpreterNew { .. } | Action::InterpreterSwitch(_) | Action::InterpreterEnd(_),
            ) => {
                return Err("a real interpreter fills its arenas with its own objects when it begins");
            }
            Call::Act(_) => return Err("it does what the driver cannot"),
            _ => {}
        }
        tape.push(op).map_err(|_| "its operations do not stand alone")?;
    }
    Ok((tape.finish(), whole))
}

/// Runs a lesson in an interpreter, under the rules of its version. `name` is for files; with `smallest` a difference is told by the
/// smallest trace that shows it, which takes a while.
pub fn run(real: &Real, lesson: &Lesson, name: &str, smallest: bool) -> Outcome {
    match tried(real, lesson, name, smallest) {
        Ok(outcome) => outcome,
        Err(why) => Outcome::Differs(why),
    }
}

fn tried(real: &Real, lesson: &Lesson, name: &str, smallest: bool) -> Result<Outcome, String> {
    let said = |error: &dyn std::fmt::Display| format!("{}: {error}", lesson.id);
    let preset = Some(&*real.profile.name);
    if let Err(why) = lesson.holds(&lesson.profile(preset).map_err(|error| said(&error))?) {
        return Ok(Outcome::Elsewhere(why));
    }
    let (_, script) = compile(lesson, preset).map_err(|error| said(&error))?;
    if let Some(fault) = script.faults.first() {
        return Err(said(fault));
    }
    let mut own = lesson.clone();
    own.settings.retain(|key, _| !COMPILED.contains(&key.as_str()));
    let profile = own.profile(preset).map_err(|error| said(&error))?;
    let staged = own.stage(&profile, Bounds::default()).map_err(|error| said(&error))?;
    let (trace, whole) = match driven(&staged.expanded.trace) {
        Ok(driven) => driven,
        Err(why) => return Ok(Outcome::Left(why)),
    };
    let compared = if smallest {
        real.agree(&profile, &trace, name)?
    } else {
        real.compare(&profile, &trace, name).map_err(|fault| fault.to_string())?
    };
    let operations = compared.operations;
    let model_only = on_other_builds(lesson, &profile);
    Ok(Outcome::Agreed(if !whole {
        Agreed { operations, part: Part::NoStacks, claims: 0, model_only: 0 }
    } else if own.settings == lesson.settings {
        let claims = script.claims.saturating_sub(model_only);
        Agreed { operations, part: Part::Whole, claims, model_only }
    } else {
        // What is only true of the lesson's arenas is a fault of this one, and none of the lesson's.
        let (_, script) = compile(&own, preset).map_err(|error| said(&error))?;
        let claims = script.claims.saturating_sub(script.faults.len() as u64 + model_only);
        Agreed { operations, part: Part::OwnArenas, claims, model_only }
    }))
}

/// Claims and answers of a lesson that ask what would be under other settings, themselves or by a number that was kept.
fn on_other_builds(lesson: &Lesson, profile: &Profile) -> u64 {
    const ASKS: &str = "what_if(";
    let mut kept: Vec<&str> = Vec::new();
    let mut count = 0;
    for step in &lesson.steps {
        let asks = |formula: &str| {
            let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
            formula.contains(ASKS) || formula.split(|c| !word(c)).any(|name| kept.contains(&name))
        };
        match step {
            Step::Keep(name, formula) if asks(formula) => kept.push(name),
            Step::Say(say) => {
                let claims = say.claims_under(profile).unwrap_or_default();
                count += claims.iter().filter(|claim| asks(claim)).count();
            }
            Step::Ask(ask) => {
                count += ask.options.iter().filter(|option| asks(&option.is)).count();
                count += usize::from(ask.number.as_deref().is_some_and(asks));
            }
            _ => {}
        }
    }
    count as u64
}
