//! The system's memory for the window's engine.

use mmap_arenas::MmapMachine;
use session::Setup;
use session::real::{RealArenas, RealMachine};
use sim_core::report::{ArenaEvents, Placement, Summary};
use sim_core::{Addr, Trace};

/// Arenas that the system maps.
pub(crate) struct SystemMemory;

impl RealArenas for SystemMemory {
    fn machine(&self, setup: &Setup, trace: &Trace) -> Result<Box<dyn RealMachine>, String> {
        let machine = MmapMachine::for_trace(&setup.profile, trace, Some(setup.malloc));
        machine
            .map(|machine| Box::new(Mapped(machine)) as Box<dyn RealMachine>)
            .map_err(|why| why.to_string())
    }
}

struct Mapped(MmapMachine);

impl RealMachine for Mapped {
    fn place(&mut self, trace: &Trace, index: usize, events: &mut ArenaEvents) -> Placement {
        self.0.place(trace, index, events)
    }

    fn summary(&self) -> Summary {
        self.0.summary()
    }

    fn arenas(&self) -> Vec<(u64, Addr)> {
        self.0.arenas()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use session::real::Real;
    use session::view::Status;
    use session::{Engine, Opened, Order};

    use super::SystemMemory;

    fn settle(engine: &mut Engine) -> Status {
        engine.work(0.0, Duration::from_millis(4));
        while engine.busy() {
            engine.work(0.0, Duration::from_millis(4));
        }
        engine.update(true).unwrap().status
    }

    fn opened(text: &str) -> Engine {
        let mut engine = Engine::new(None).over(Box::new(SystemMemory));
        engine.open(Opened::bytes("t.ptrace", text.as_bytes().to_vec()));
        assert_eq!(settle(&mut engine).real, Real::Offered);
        engine
    }

    #[test]
    fn every_block_lands_where_the_simulation_has_it() {
        let lines = (1..=9_000).map(|id| format!("m o {id} {}\n", 1 + id % 600));
        let text = lines.collect::<Vec<_>>().concat();
        let mut engine = opened(&text);
        engine.order(Order::Seek(7_000));
        settle(&mut engine);
        engine.order(Order::RunOverMemory);
        let Real::Done(report) = settle(&mut engine).real else { panic!("it is done") };
        assert_eq!((report.steps, report.first_difference, report.same_state), (7_000, None, true));
        // Sizes up to 512 of 600 are pymalloc's: 11 rounds of 512 and the first 400 of another.
        assert_eq!(report.blocks, 6_032);
        let arenas = engine.session().unwrap().heap().counters().narenas_currently_allocated;
        assert!(arenas > 1 && report.arenas.len() as u64 == arenas);
        assert!(report.arenas.iter().all(|(_, at)| at.0 > 1 << 20));
        // Another trace under the same engine has not been asked for it.
        engine.open(Opened::bytes("u.ptrace", &b"m o 1 48\n"[..]));
        assert_eq!(settle(&mut engine).real, Real::Offered);
    }

    #[test]
    fn what_real_memory_would_not_survive_is_refused_with_a_reason() {
        let mut engine = opened("x setup_debug_hooks\nm o 1 48\n");
        engine.order(Order::RunOverMemory);
        let Real::Refused(why) = settle(&mut engine).real else { panic!("it is refused") };
        assert!(why.contains("simulated only"), "{why}");
    }

    #[test]
    fn a_run_can_be_stopped() {
        let mut engine = opened(&"m o 1 48\nf o 1\n".repeat(100_000));
        engine.order(Order::End);
        settle(&mut engine);
        engine.order(Order::RunOverMemory);
        engine.work(0.0, Duration::ZERO);
        assert!(matches!(engine.update(true).unwrap().status.real, Real::Running(share) if share < 1.0));
        engine.order(Order::Cancel);
        assert_eq!(settle(&mut engine).real, Real::Offered);
    }
}
