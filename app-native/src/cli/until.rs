//! `replay --until`: after so many operations, or where a condition holds.

use anyhow::{Result, ensure};
use session::pass;
use sim_core::Machine;
use sim_core::breakpoint::Condition;

/// Where to stop.
#[derive(Clone, Debug)]
pub(super) enum Until {
    Step(u64),
    Condition(Condition),
}

impl std::str::FromStr for Until {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(step) = text.parse() {
            return Ok(Self::Step(step));
        }
        Condition::parse(text).map(Self::Condition).map_err(|e| e.to_string())
    }
}

impl Until {
    /// The most operations to do.
    pub(super) fn steps(until: Option<&Self>) -> u64 {
        if let Some(Self::Step(step)) = until { *step } else { u64::MAX }
    }
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
