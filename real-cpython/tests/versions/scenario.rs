//! Random traces of programs that break no rule: every size class and its edges, large and impossible sizes, arenas that are
//! full, nearly empty and given back, in orders that allocators do not like.

use real_cpython::random::Random;
use sim_core::domains::{AllocatorName, ArenaChoice, UserAllocator};
use sim_core::tape::{Action, TableChoice};
use sim_core::{Call, Domain, Op, Profile, Trace, TraceBuilder};
use trace_io::workload::{Lifetimes, Phase, Sizes, Workload};

/// What a scenario is about, beside its calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Calls alone.
    Plain,
    /// Many arenas with few blocks each.
    Thin,
    /// RAW's table fails now and then, for pymalloc's own requests too.
    RawFails,
    /// Tables over MEM and OBJ that come and go.
    Tables,
    /// The arena hook changes.
    Hooks,
    /// tracemalloc starts, stops and forgets.
    Traced,
}

/// How much of everything.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// Calls of each stretch of random ones.
    pub(crate) calls: u64,
    /// Blocks that fill arenas.
    pub(crate) crowd: u64,
    /// Bytes of arenas that are left with a block or two each.
    pub(crate) thin: u64,
}

struct Scenario<'a> {
    profile: &'a Profile,
    random: Random,
    tape: TraceBuilder,
    live: Vec<(u64, Domain)>,
    next_id: u64,
    /// Debug hooks want a block back through the domain that it came from.
    strict: bool,
}

/// A trace from a seed.
pub(crate) fn scenario(kind: Kind, seed: u64, size: Size, malloc: AllocatorName, profile: &Profile) -> Trace {
    let mut tape = TraceBuilder::new("versions");
    tape.trace_mut().head.malloc = Some(malloc);
    let mut scenario = Scenario {
        profile,
        random: Random(seed),
        tape,
        live: Vec::new(),
        // Those of a workload's blocks are below.
        next_id: 1 << 40,
        strict: matches!(
            malloc,
            AllocatorName::Debug | AllocatorName::PymallocDebug | AllocatorName::MallocDebug
        ),
    };
    scenario.all(kind, size);
    scenario.tape.finish()
}

impl Scenario<'_> {
    fn all(&mut self, kind: Kind, size: Size) {
        if kind == Kind::RawFails {
            let every = 2 + self.random.below(9);
            self.table(Domain::Raw, TableChoice::User(UserAllocator::FailEvery(every)));
        }
        if kind == Kind::Thin {
            self.thin(size.thin);
            self.churn(kind, size.calls);
            self.drain(0);
            self.thin(size.thin / 3);
            return self.churn(kind, size.calls / 4);
        }
        self.edges();
        self.workload(size.calls);
        for _ in 0..2 {
            self.crowd(size.crowd);
            self.churn(kind, size.calls);
            let left = self.random.below(200);
            self.drain(left as usize);
            self.churn(kind, size.calls / 2);
        }
        self.edges();
        self.drain(0);
    }

    fn push(&mut self, domain: Domain, call: Call) {
        let pushed = self.tape.push(Op { thread: 0, domain, call });
        assert!(pushed.is_ok(), "{call:?}: {pushed:?}");
    }

    fn act(&mut self, action: Action) {
        self.push(Domain::Obj, Call::Act(action));
    }

    fn table(&mut self, domain: Domain, choice: TableChoice) {
        self.push(domain, Call::Act(Action::SetAllocator(choice)));
    }

    fn domain(&mut self) -> Domain {
        match self.random.below(100) {
            0..8 => Domain::Raw,
            8..40 => Domain::Mem,
            _ => Domain::Obj,
        }
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn malloc(&mut self, domain: Domain, size: u64) {
        let id = self.id();
        if self.random.below(12) > 0 {
            self.push(domain, Call::Malloc { id, size });
        } else {
            // As one element, as many, or as a few that give at least the size.
            let elsize = [1, size.max(1), 1 + self.random.below(size.max(1))][self.random.below(3) as usize];
            self.push(domain, Call::Calloc { id, nelem: size.div_ceil(elsize), elsize });
        }
        self.live.push((id, domain));
    }

    /// The domain through which a block is freed or resized.
    fn through(&mut self, domain: Domain) -> Domain {
        if domain == Domain::Raw || self.strict {
            domain
        } else {
            self.random.pick(&[Domain::Mem, Domain::Obj])
        }
    }

    fn realloc(&mut self, at: usize, size: u64) {
        let (id, domain) = self.live[at];
        let newid = if self.random.below(3) == 0 { id } else { self.id() };
        let through = self.through(domain);
        self.push(through, Call::Realloc { id, newid, size });
        self.live[at] = (newid, if self.strict { domain } else { through });
    }

    fn free(&mut self, at: usize) {
        let (id, domain) = self.live.swap_remove(at);
        let through = self.through(domain);
        self.push(through, Call::Free { id });
    }

    /// The sizes around each class's limits, zero, large ones, and those that no process can have.
    fn edges(&mut self) {
        let align = self.profile.alignment;
        let mut sizes = vec![0, 1, 4095, 4096, 70_000, 1 << 20, 40 << 20];
        let limits = (1..=self.profile.small_request_threshold / align + 1).map(|n| n * align);
        sizes.extend(limits.flat_map(|limit| [limit - 1, limit, limit + 1]));
        // size_t holds no more in 32-bit builds.
        let impossible: &[u64] = if self.profile.pointer_bytes == 4 {
            &[1 << 31, u64::from(u32::MAX)]
        } else {
            &[1 << 47, 1 << 62, i64::MAX as u64, 1 << 63, u64::MAX]
        };
        sizes.extend(impossible);
        let first = self.live.len();
        while !sizes.is_empty() {
            let size = sizes.swap_remove(self.random.below(sizes.len() as u64) as usize);
            let domain = self.domain();
            self.malloc(domain, size);
            if self.random.below(3) == 0 {
                let id = self.id();
                self.push(domain, Call::Realloc { id: 0, newid: id, size });
                self.live.push((id, domain));
            }
        }
        let id = self.id();
        self.push(Domain::Mem, Call::Calloc { id, nelem: 1 << 33, elsize: 1 << 33 });
        self.live.push((id, Domain::Mem));
        self.push(Domain::Obj, Call::Free { id: 0 });
        // From each to another one.
        for at in first..self.live.len() {
            let classes = self.profile.small_request_threshold + 2 * align;
            let size = match self.random.below(20) {
                0 => self.random.pick(impossible),
                1 => 100_000,
                _ => self.random.below(classes),
            };
            self.realloc(at, size);
        }
    }

    /// A stretch of the workload generator's. Blocks that it leaves are gone for the rest of the trace.
    fn workload(&mut self, calls: u64) {
        let sizes = self.random.pick(&[
            Sizes::Python,
            Sizes::Uniform { min: 0, max: 600 },
            Sizes::Halving { min: 16, max: 1024 },
        ]);
        let lifetimes = self.random.pick(&[
            Lifetimes::Random,
            Lifetimes::DieYoung,
            Lifetimes::OldestFirst,
            Lifetimes::NewestFirst,
        ]);
        let live_to = calls / 4;
        let up = Phase {
            operations: calls / 2,
            sizes,
            lifetimes,
            live_from: 0,
            live_to,
            realloc_percent: 10,
            calloc_percent: 8,
            raw_percent: 4,
            mem_percent: 30,
        };
        let down = Phase { live_from: live_to, live_to: live_to / 8, ..up };
        for op in &(Workload { seed: self.random.below(1 << 40), phases: vec![up, down] }) {
            self.push(op.domain, op.call);
        }
    }

    /// Fills arenas with blocks of a few sizes, then thins them out in an odd order.
    fn crowd(&mut self, blocks: u64) {
        let threshold = self.profile.small_request_threshold;
        let sizes = [threshold, 1 + self.random.below(threshold), threshold * 3 / 4];
        let first = self.live.len();
        for n in 0..blocks {
            // Pools of one size lie beside each other, or alternate.
            let size = if blocks.is_multiple_of(2) {
                sizes[(n * 3 / blocks) as usize]
            } else {
                self.random.pick(&sizes)
            };
            self.malloc(Domain::Obj, size);
        }
        let step = 1 + self.random.below(7) as usize;
        match self.random.below(3) {
            0 => {
                for _ in 0..blocks * 9 / 10 {
                    let among = (self.live.len() - first) as u64;
                    let at = first + self.random.below(among) as usize;
                    self.free(at);
                }
            }
            1 => (first..self.live.len()).rev().step_by(step).for_each(|at| self.free(at)),
            _ => {
                // From the front, as a queue would, but each few stay.
                let blocks = self.live.split_off(first);
                for (n, (id, domain)) in blocks.into_iter().enumerate() {
                    if n % (20 * step) == 0 {
                        self.live.push((id, domain));
                    } else {
                        let through = self.through(domain);
                        self.push(through, Call::Free { id });
                    }
                }
            }
        }
    }

    /// Many arenas, each left with a block or two.
    fn thin(&mut self, bytes: u64) {
        let size = self.profile.small_request_threshold;
        let in_pool = (self.profile.pool_size - 48) / size;
        let in_arena = self.profile.arena_size / self.profile.pool_size * in_pool;
        let ids: Vec<u64> = (0..bytes / self.profile.arena_size * in_arena).map(|_| self.id()).collect();
        for &id in &ids {
            self.push(Domain::Mem, Call::Malloc { id, size });
        }
        let step = in_arena / (1 + self.random.below(3));
        let (stay, mut go): (Vec<_>, Vec<_>) =
            ids.into_iter().enumerate().partition(|(n, _)| (*n as u64).is_multiple_of(step));
        self.live.extend(stay.into_iter().map(|(_, id)| (id, Domain::Mem)));
        for n in (1..go.len()).rev() {
            go.swap(n, self.random.below(n as u64 + 1) as usize);
        }
        for (_, id) in go {
            self.push(Domain::Mem, Call::Free { id });
        }
    }

    /// Random calls, with what the scenario is about in between.
    fn churn(&mut self, kind: Kind, calls: u64) {
        let most = 200 + self.random.below(calls / 4 + 1) as usize;
        for n in 0..calls {
            if self.random.below(calls / 12 + 1) == 0 {
                self.change(kind);
            }
            let size = match self.random.below(60) {
                0 => self.random.below(100_000),
                1..4 => self.profile.small_request_threshold + self.random.below(64),
                4..30 => 1 + self.random.below(self.profile.small_request_threshold),
                _ => 1 + self.random.below(160),
            };
            let live = self.live.len() as u64;
            let falls = live as usize > most || n > calls * 2 / 3;
            match self.random.below(100) {
                0..15 if live > 0 => {
                    let at = self.random.below(live) as usize;
                    self.realloc(at, size);
                }
                15..45 if live > 0 => {
                    let at = self.random.below(live) as usize;
                    self.free(at);
                }
                45..65 if live > 0 && falls => self.free(live as usize - 1),
                _ => {
                    let domain = self.domain();
                    self.malloc(domain, size);
                }
            }
        }
    }

    fn change(&mut self, kind: Kind) {
        let n = self.random.below(7);
        match kind {
            Kind::Plain | Kind::Thin => {}
            Kind::RawFails => {
                self.table(Domain::Raw, TableChoice::Libc);
                self.table(Domain::Raw, TableChoice::User(UserAllocator::FailEvery(2 + n * n)));
            }
            Kind::Tables => {
                let domain = self.random.pick(&[Domain::Mem, Domain::Obj]);
                let choice = match n {
                    0 => TableChoice::User(UserAllocator::Count),
                    1 | 2 => TableChoice::User(UserAllocator::FailEvery(3 + self.random.below(90))),
                    _ => TableChoice::Pymalloc,
                };
                self.table(domain, choice);
            }
            Kind::Hooks => {
                let choice = match n {
                    0 => ArenaChoice::Count,
                    1 => ArenaChoice::FailEvery(2 + self.random.below(4)),
                    2 => ArenaChoice::FailFrom(1 + self.random.below(5)),
                    _ => ArenaChoice::Default,
                };
                self.act(Action::SetArenaAllocator(choice));
            }
            Kind::Traced => {
                let action = match n {
                    0 => Action::TracemallocStop,
                    1 => Action::TracemallocClear,
                    _ => Action::TracemallocStart(1 + self.random.below(3) as i32),
                };
                self.act(action);
            }
        }
    }

    /// Frees all but some blocks, in any order.
    fn drain(&mut self, left: usize) {
        while self.live.len() > left {
            let at = self.random.below(self.live.len() as u64) as usize;
            self.free(at);
        }
    }
}
