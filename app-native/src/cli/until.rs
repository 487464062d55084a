//! `replay --until`: after so many operations, at a mark, or where a condition holds.

use anyhow::{Result, ensure};
use session::at::{At, AtError};
use session::pass;
use sim_core::breakpoint::Condition;
use sim_core::{Machine, Trace};

/// Where to stop.
#[derive(Clone, Debug)]
pub(super) enum Until {
    Step(u64),
    /// A mark, which is found along the way.
    Mark(At),
    Condition(Condition),
}

impl std::str::FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(At::Step(step)) => return Ok(Self::Step(step)),
            Ok(mark @ At::Mark(_)) => return Ok(Self::Mark(mark)),
            Err(error) if text.trim_start().starts_with("mark:") => return Err(error.to_string()),
            _ => {}
        }
        Condition::parse(text).map(Self::Condition).map_err(|e| e.to_string())
    }
}

impl Until {
    /// The most operations to do, as far as the trace is known: a mark may stand in what has not been read.
    pub(super) fn steps(until: Option<&Self>, trace: &Trace) -> u64 {
        match until {
            Some(Self::Step(step)) => *step,
            Some(Self::Mark(mark)) => of_mark(mark, trace).unwrap_or(u64::MAX),
            Some(Self::Condition(_)) | None => u64::MAX,
        }
    }

    /// An error where there is no such mark in a trace that was read to its end.
    pub(super) fn check(until: Option<&Self>, trace: &Trace) -> Result<(), AtError> {
        if let Some(Self::Mark(mark)) = until { of_mark(mark, trace).map(drop) } else { Ok(()) }
    }
}

fn of_mark(mark: &At, trace: &Trace) -> Result<u64, AtError> {
    // No mark is a peak.
    mark.resolve(trace, || Ok(u64::MAX))
}

/// Who asks a condition after each operation of a run that has not begun; `None` when it is to stop at a step or at
/// the end.
pub(super) fn watcher(until: Option<&Until>, machine: Option<&Machine>) -> Result<Option<pass::Until>> {
    let Some(Until::Condition(condition)) = until else { return Ok(None) };
    ensure!(
        machine.is_some(),
        "--until CONDITION reads events, which --backend mmap does not make; leave it out"
    );
    Ok(machine.map(|machine| pass::Until::new(condition.clone(), machine)))
}
