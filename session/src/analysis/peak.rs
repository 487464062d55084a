//! The most bytes that were live at once, and the first step that had as many.
//!
//! What a trace's *peak* is without further words, as in `--at peak`: the most bytes asked for and live, in all domains, the C library's
//! among them, whatever a block really takes. Chunks of a data stack and memory of the allocators themselves are not
//! asked for through a domain and do not count. Beside it stands what is in use in pymalloc's blocks.

use sim_core::arena::{ArenaBackend as _, SimArenas, Target};
use sim_core::tape::Action;
use sim_core::{Addr, Kind, Machine, SizeClass, Slot, Trace};

/// The pointer that an operation returned.
type Pointer = <SimArenas as sim_core::arena::ArenaBackend>::Ptr;

/// The most bytes, and the first step that had as many.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct High {
    /// Bytes.
    pub bytes: u64,
    /// Operations done by then.
    pub step: u64,
}

/// Bytes in use now, and at most.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    now: u128,
    high: High,
}

/// What a slot's block counts for.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    asked: u64,
    /// Bytes of the block in a pool; no class has blocks of 64 KiB.
    block: u16,
}

/// Watches a run for its peaks.
#[derive(Clone, Debug, Default)]
pub struct Peaks {
    slots: Vec<Counted>,
    asked: Level,
    blocks: Level,
}

/// The peaks of a trace, which `machine` runs from its beginning on.
pub fn peaks(machine: &mut Machine, trace: &Trace) -> Peaks {
    let mut peaks = Peaks::default();
    for index in 0..trace.len() as usize {
        let pointer = machine.step(trace, index, &mut ());
        if machine.stopped().is_some() {
            break;
        }
        peaks.after(machine, trace, index, pointer);
    }
    peaks
}

impl Level {
    #[inline]
    fn change(&mut self, before: u64, after: u64, step: u64) {
        self.now = self.now - u128::from(before) + u128::from(after);
        if self.now > u128::from(self.high.bytes) {
            // No process has as many.
            self.high = High { bytes: u64::try_from(self.now).unwrap_or(u64::MAX), step };
        }
    }
}

impl Peaks {
    /// The most bytes asked for and live, in all domains.
    pub fn asked(&self) -> High {
        self.asked.high
    }

    /// The most bytes of pymalloc's blocks in use: each with all that its size class has, pads of debug hooks among them. Blocks from
    /// before the trace do not count.
    pub fn blocks(&self) -> High {
        self.blocks.high
    }

    /// Forgets the blocks, once nothing more comes.
    pub fn rest(&mut self) {
        self.slots = Vec::new();
    }

    /// Takes in the operation that was done last, with the pointer that it returned.
    #[inline]
    pub fn after(&mut self, machine: &Machine, trace: &Trace, index: usize, pointer: Pointer) {
        let op = trace.packed(index);
        let at = op.slot.0 as usize;
        let now = match op.kind {
            Kind::Free | Kind::FreeKeep if op.null => return,
            Kind::Free | Kind::FreeKeep => Counted::default(),
            Kind::Act => match trace.action(op.size) {
                Some(Action::FreeDelayed { id, .. }) if id != 0 => Counted::default(),
                _ => return,
            },
            Kind::Malloc | Kind::Calloc | Kind::Realloc => {
                if given(machine, pointer) {
                    Counted { asked: op.size, block: block_bytes(machine, op.slot) }
                } else if op.kind == Kind::Realloc {
                    // A request that failed leaves the old block.
                    return;
                } else {
                    Counted::default()
                }
            }
        };
        if at >= self.slots.len() {
            self.slots.resize((at + 1).max(trace.slot_count() as usize), Counted::default());
        }
        let before = std::mem::replace(&mut self.slots[at], now);
        let step = trace.first() + index as u64 + 1;
        self.asked.change(before.asked, now.asked, step);
        if before.block != now.block {
            self.blocks.change(u64::from(before.block), u64::from(now.block), step);
        }
    }
}

/// Whether the operation that was done last gave a block.
#[inline]
fn given(machine: &Machine, pointer: Pointer) -> bool {
    !matches!(SimArenas::target(pointer), Target::Null)
        || machine.layers().is_some_and(|layers| layers.returned() != Addr(0))
        || machine.mimalloc().is_some_and(|run| run.returned_addr().is_some())
}

/// Bytes of the block in a pool that a slot's pointer leads to.
#[inline]
fn block_bytes(machine: &Machine, slot: Slot) -> u16 {
    let Target::Block(block) = machine.target(slot) else { return 0 };
    let pymalloc = machine.pymalloc();
    let memory = pymalloc.memory();
    let class = memory.header(memory.pool_of(block)).szidx;
    let bytes = pymalloc.profile().block_size(SizeClass(class as u16));
    u16::try_from(bytes).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Setup;
    use crate::setup::Overrides;
    use sim_core::domains::AllocatorName;
    use sim_core::{Call, Domain, Op, TraceBuilder};
    use trace_io::care::Stats;
    use trace_io::workload::Workload;

    fn tape(calls: &[(Domain, Call)]) -> Trace {
        let mut tape = TraceBuilder::new("t");
        for &(domain, call) in calls {
            tape.push(Op { thread: 0, domain, call }).unwrap();
        }
        tape.finish()
    }

    fn of(trace: &Trace, overrides: &Overrides) -> Peaks {
        let mut machine = Setup::resolve(trace, overrides).unwrap().machine(trace).unwrap();
        peaks(&mut machine, trace)
    }

    #[test]
    fn the_peak_is_of_all_domains_and_its_first_step() {
        let malloc = |id, size| Call::Malloc { id, size };
        let trace = tape(&[
            (Domain::Obj, malloc(1, 100)),
            (Domain::Raw, malloc(2, 1000)),
            (Domain::Mem, Call::Calloc { id: 3, nelem: 10, elsize: 60 }),
            // A request that fails takes nothing from the old block, nor does one of a new block give any.
            (Domain::Raw, Call::Realloc { id: 2, newid: 2, size: 1 << 63 }),
            (Domain::Obj, malloc(4, 1 << 63)),
            (Domain::Obj, Call::Realloc { id: 1, newid: 1, size: 101 }),
            (Domain::Raw, Call::Free { id: 2 }),
            (Domain::Raw, malloc(5, 1000)),
            (Domain::Obj, Call::Free { id: 0 }),
            (Domain::Raw, Call::Free { id: 5 }),
        ]);
        for malloc in [AllocatorName::Pymalloc, AllocatorName::Malloc, AllocatorName::PymallocDebug] {
            let peaks = of(&trace, &Overrides { malloc: Some(malloc), ..Overrides::default() });
            assert_eq!(peaks.asked(), High { bytes: 1701, step: 6 }, "{malloc:?}");
            // 100 bytes are a block of 112 there, with the 24 of debug hooks one of 128; 600 are not small.
            let block = match malloc {
                AllocatorName::Pymalloc => High { bytes: 112, step: 1 },
                AllocatorName::Malloc => High::default(),
                _ => High { bytes: 128, step: 1 },
            };
            assert_eq!(peaks.blocks(), block, "{malloc:?}");
        }
        let preset = Overrides::preset("cpython-3.14t");
        assert_eq!(of(&trace, &preset).asked(), High { bytes: 1701, step: 6 }, "mimalloc");
        assert_eq!(of(&tape(&[]), &Overrides::default()).asked(), High::default());
    }

    #[test]
    fn it_is_what_statistics_say_and_what_each_step_counts() {
        let mut tape = TraceBuilder::new("t");
        for op in &Workload::python(11, 4000, 120) {
            tape.push(op).unwrap();
        }
        let trace = tape.finish();
        let peaks = of(&trace, &Overrides::default());
        let mut stats = Stats::default();
        stats.take(&trace);
        let report = stats.report(&trace, 1);
        assert_eq!((peaks.asked().bytes, peaks.asked().step), report.peak_bytes);
        // Blocks in use, read off the pools after each operation.
        let mut machine = Machine::for_trace(&sim_core::Profile::default(), &trace, None).unwrap();
        let mut high = High::default();
        for index in 0..trace.len() as usize {
            machine.step(&trace, index, &mut ());
            let bytes = machine.occupancy().allocated_bytes;
            if bytes > high.bytes {
                high = High { bytes, step: index as u64 + 1 };
            }
        }
        assert_eq!(peaks.blocks(), high);
    }

    #[test]
    fn a_process_that_would_have_ended_has_no_later_peak() {
        let trace = tape(&[
            (Domain::Obj, Call::Malloc { id: 1, size: 100 }),
            (Domain::Obj, Call::FreeKeep { id: 1 }),
            (Domain::Obj, Call::Free { id: 1 }),
            (Domain::Obj, Call::Malloc { id: 2, size: 5000 }),
        ]);
        let debug = Overrides { malloc: Some(AllocatorName::Debug), ..Overrides::default() };
        assert_eq!(of(&trace, &debug).asked(), High { bytes: 100, step: 1 });
    }
}
