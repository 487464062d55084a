//! `replay --until`: after so many operations, or where a condition holds.

use anyhow::{Result, ensure};
use sim_core::breakpoint::{Condition, Watch};
use sim_core::report::Trust;
use sim_core::{Event, Machine, Trace};

use super::stack;

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

/// Asks a condition after each operation.
pub(super) struct Lookout {
    /// The condition as it was given.
    pub(super) condition: String,
    watch: Watch,
    events: Vec<Event>,
    /// The step after which it held first.
    pub(super) stopped_at: Option<u64>,
}

impl Lookout {
    /// For a run that has not begun; `None` when it is to stop at a step or at the end.
    pub(super) fn new(until: Option<&Until>, machine: Option<&Machine>) -> Result<Option<Self>> {
        let Some(Until::Condition(condition)) = until else { return Ok(None) };
        ensure!(
            machine.is_some(),
            "--until CONDITION reads events, which --backend mmap does not make; leave it out"
        );
        let watch = machine.map(|machine| Watch::new(vec![condition.clone()], machine));
        let condition = condition.to_string();
        Ok(watch.map(|watch| Self { condition, watch, events: Vec::new(), stopped_at: None }))
    }

    /// Does the operations of a piece until the condition holds, and says how many.
    pub(super) fn run(&mut self, machine: &mut Machine, trace: &Trace, trust: &mut Trust) -> u64 {
        for index in 0..trace.len() as usize {
            self.events.clear();
            self.watch.before(machine);
            let ptr = machine.step(trace, index, &mut self.events);
            trust.after(machine, trace, index, ptr);
            stack::print_malloc_stats(Some(machine));
            if self.watch.holds(trace, index, &self.events, machine) {
                self.stopped_at = Some(trace.first() + index as u64 + 1);
                return index as u64 + 1;
            }
        }
        trace.len()
    }
}
