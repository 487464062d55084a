//! A run over the operating system's memory beside the one shown, compared operation by operation.
//!
//! Not every front has memory to give: a shell that does hands the engine [`RealArenas`]. The headers and links of pools
//! then lie in that memory, where `CPython` has them, and every block must land where the simulation says.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sim_core::report::{ArenaEvents, Placement, Summary};
use sim_core::{Addr, Event, Machine, Trace};
use web_time::Instant;

use crate::setup::Setup;

/// Makes machines over real memory.
pub trait RealArenas {
    /// A pristine one for a trace; the error says what it is not for.
    fn machine(&self, setup: &Setup, trace: &Trace) -> Result<Box<dyn RealMachine>, String>;
}

/// A machine over real memory, which it lends nobody.
pub trait RealMachine {
    /// Does the operation after `index` others and says where its block landed.
    fn place(&mut self, trace: &Trace, index: usize, events: &mut ArenaEvents) -> Placement;
    /// The state in numbers.
    fn summary(&self) -> Summary;
    /// Arenas that it has now, by ordinal, and where they really lie.
    fn arenas(&self) -> Vec<(u64, Addr)>;
}

/// Arenas obtained and released.
fn came_and_went(events: &[Event]) -> (usize, usize) {
    let count = |of: fn(&Event) -> bool| events.iter().filter(|event| of(event)).count();
    (
        count(|event| matches!(event, Event::ArenaObtained { .. })),
        count(|event| matches!(event, Event::ArenaReleased { .. })),
    )
}

/// What fronts are told of it.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub enum Real {
    /// This front has no memory to give.
    #[default]
    None,
    /// It can be asked for.
    Offered,
    /// The share that is done, 0 to 1.
    Running(f32),
    /// Why this trace cannot.
    Refused(String),
    /// What came of it.
    Done(Box<RealReport>),
}

/// What came of a run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RealReport {
    /// Operations done.
    pub steps: u64,
    /// Blocks of arenas that they returned.
    pub blocks: u64,
    /// Operations before the first block, or arena, that is not where the simulation has it.
    pub first_difference: Option<u64>,
    /// Whether lists, counts and links are the same at the end.
    pub same_state: bool,
    /// Arenas at the end, by ordinal, and where they really lie: the first of them.
    pub arenas: Vec<(u64, Addr)>,
}

/// A run under way, or done: its memory stays as long as it is spoken of.
pub(crate) struct RealRun {
    trace: Arc<Trace>,
    real: Box<dyn RealMachine>,
    simulated: Machine,
    to: u64,
    report: RealReport,
    done: bool,
}

impl RealRun {
    /// Operations between two looks at the clock.
    const CHUNK: u64 = 4096;
    /// Arenas that are told.
    const ARENAS: usize = 512;

    /// To a step of a trace, from its start.
    pub(crate) fn new(
        arenas: &dyn RealArenas,
        setup: &Setup,
        trace: &Arc<Trace>,
        to: u64,
    ) -> Result<Self, String> {
        let real = arenas.machine(setup, trace)?;
        let simulated = setup.machine(trace).map_err(|error| error.to_string())?;
        let report =
            RealReport { steps: 0, blocks: 0, first_difference: None, same_state: false, arenas: Vec::new() };
        Ok(Self { trace: Arc::clone(trace), real, simulated, to, report, done: false })
    }

    /// Whether it is at its end.
    pub(crate) fn done(&self) -> bool {
        self.done
    }

    /// Goes on for about `slice`.
    pub(crate) fn advance(&mut self, slice: Duration) {
        let begun = Instant::now();
        // The simulation's are kept as the first pass keeps them: one more kind would be one more machine in the module.
        let (mut here, mut there) = (ArenaEvents::default(), Vec::new());
        while !self.done {
            for _ in 0..Self::CHUNK.min(self.to - self.report.steps) {
                let index = self.report.steps as usize;
                here.clear();
                there.clear();
                let placement = self.real.place(&self.trace, index, &mut here);
                let pointer = self.simulated.step(&self.trace, index, &mut there);
                let same = placement == Placement::of(&self.simulated, pointer)
                    && came_and_went(here.as_slice()) == came_and_went(&there);
                self.report.blocks += u64::from(matches!(placement, Placement::Arena { .. }));
                if !same && self.report.first_difference.is_none() {
                    self.report.first_difference = Some(self.report.steps);
                }
                self.report.steps += 1;
            }
            if self.report.steps == self.to {
                self.done = true;
                self.report.same_state = self.real.summary() == Summary::of(&self.simulated);
                self.report.arenas = self.real.arenas();
                self.report.arenas.truncate(Self::ARENAS);
            } else if begun.elapsed() >= slice {
                return;
            }
        }
    }

    /// What to tell of it.
    pub(crate) fn told(&self) -> Real {
        if self.done {
            Real::Done(Box::new(self.report.clone()))
        } else {
            Real::Running(self.report.steps as f32 / self.to.max(1) as f32)
        }
    }
}
