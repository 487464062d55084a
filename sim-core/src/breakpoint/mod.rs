//! Conditions over what an operation did and the state it led to: `arena_released && arenas > 40`.
//!
//! A condition is made of events ([`RareEvent::ALL`]), comparisons of [`Variable`]s and numbers, `&&`, `||`, `!` and
//! parentheses. It is read once and then asked after each operation without allocating anything. A comparison
//! with something that an operation does not have, such as the size class of a call that went to RAW, is false.

mod parse;

pub use parse::ConditionError;

use crate::addr::{Addr, SizeClass};
use crate::arena::ArenaBackend;
use crate::domains::Domain;
use crate::event::Event;
use crate::index::{RareEvent, RareEvents};
use crate::machine::Machine;
use crate::occupancy::Occupancy;
use crate::tape::{Kind, Trace};

/// A number that a condition can compare.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Variable {
    /// Operations done, of the whole trace.
    Step,
    /// Arenas live.
    Arenas,
    /// The most arenas that were live at once.
    ArenasHighwater,
    /// Pools that serve a size class: carved and not free.
    Pools,
    /// Blocks in use in pools.
    Blocks,
    /// Bytes of these blocks, rounded up to their classes.
    Bytes,
    /// Live blocks of the C library.
    RawBlocks,
    /// Bytes asked for in these.
    RawBytes,
    /// The class of the block that was handed out, else given back.
    SizeClass,
    /// Bytes asked for.
    Size,
    /// The domain of the call: raw, mem or obj.
    Domain,
    /// The call: malloc, calloc, realloc or free.
    Kind,
    /// The simulated thread.
    Thread,
    /// The arena of that block, in order of creation.
    Arena,
    /// Bytes from the arena's base to the pool of that block.
    PoolOffset,
}

impl Variable {
    /// All of them, with the names that conditions use.
    pub const ALL: [(Self, &'static str); 15] = [
        (Self::Step, "step"),
        (Self::Arenas, "arenas"),
        (Self::ArenasHighwater, "arenas_highwater"),
        (Self::Pools, "pools"),
        (Self::Blocks, "blocks"),
        (Self::Bytes, "bytes"),
        (Self::RawBlocks, "raw_blocks"),
        (Self::RawBytes, "raw_bytes"),
        (Self::SizeClass, "size_class"),
        (Self::Size, "size"),
        (Self::Domain, "domain"),
        (Self::Kind, "kind"),
        (Self::Thread, "thread"),
        (Self::Arena, "arena"),
        (Self::PoolOffset, "pool_offset"),
    ];

    /// Words that stand for numbers in comparisons with [`Self::Domain`] and [`Self::Kind`].
    pub const WORDS: [(Self, &'static str, u64); 7] = [
        (Self::Domain, "raw", Domain::Raw as u64),
        (Self::Domain, "mem", Domain::Mem as u64),
        (Self::Domain, "obj", Domain::Obj as u64),
        (Self::Kind, "malloc", Kind::Malloc as u64),
        (Self::Kind, "calloc", Kind::Calloc as u64),
        (Self::Kind, "realloc", Kind::Realloc as u64),
        (Self::Kind, "free", Kind::Free as u64),
    ];

    /// Whether it is counted along the way rather than read off the state.
    fn is_counted(self) -> bool {
        matches!(self, Self::Pools | Self::Blocks | Self::Bytes)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Operand {
    Number(u64),
    Variable(Variable),
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Node {
    Event(RareEvent),
    Compare(Operand, Comparison, Operand),
    Not(Box<Self>),
    And(Box<Self>, Box<Self>),
    Or(Box<Self>, Box<Self>),
}

/// A condition that has been read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    root: Node,
    text: String,
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl Condition {
    /// Reads a condition.
    pub fn parse(text: &str) -> Result<Self, ConditionError> {
        Ok(Self { root: parse::parse(text)?, text: text.trim().to_owned() })
    }

    /// Events of which an operation must have one for the condition to hold; `None` when it can hold
    /// without any.
    pub fn needs_one_of(&self) -> Option<RareEvents> {
        self.root.needs_one_of()
    }

    /// Whether it asks for something that is counted from one operation to the next.
    fn counts(&self) -> bool {
        self.root.any_variable(&Variable::is_counted)
    }
}

impl Node {
    fn needs_one_of(&self) -> Option<RareEvents> {
        match self {
            Self::Event(rare) => Some(RareEvents::default().with(*rare)),
            Self::And(a, b) => a.needs_one_of().or_else(|| b.needs_one_of()),
            Self::Or(a, b) => Some(a.needs_one_of()?.union(b.needs_one_of()?)),
            Self::Compare(..) | Self::Not(_) => None,
        }
    }

    fn any_variable(&self, is: &dyn Fn(Variable) -> bool) -> bool {
        match self {
            Self::Event(_) => false,
            Self::Compare(a, _, b) => [a, b].into_iter().any(|o| matches!(o, Operand::Variable(v) if is(*v))),
            Self::Not(a) => a.any_variable(is),
            Self::And(a, b) | Self::Or(a, b) => a.any_variable(is) || b.any_variable(is),
        }
    }

    fn holds(&self, facts: &Facts) -> bool {
        match self {
            Self::Event(rare) => facts.rare_events.has(*rare),
            Self::Not(a) => !a.holds(facts),
            Self::And(a, b) => a.holds(facts) && b.holds(facts),
            Self::Or(a, b) => a.holds(facts) || b.holds(facts),
            Self::Compare(a, how, b) => {
                let value = |operand: &Operand| match operand {
                    Operand::Number(n) => Some(*n),
                    Operand::Variable(v) => facts.get(*v),
                };
                let (Some(a), Some(b)) = (value(a), value(b)) else { return false };
                match how {
                    Comparison::Equal => a == b,
                    Comparison::NotEqual => a != b,
                    Comparison::Less => a < b,
                    Comparison::LessOrEqual => a <= b,
                    Comparison::Greater => a > b,
                    Comparison::GreaterOrEqual => a >= b,
                }
            }
        }
    }
}

/// One operation and the state after it, as a condition sees them.
#[derive(Clone, Copy, Debug, Default)]
struct Facts {
    rare_events: RareEvents,
    step: u64,
    arenas: u64,
    arenas_highwater: u64,
    pools: u64,
    blocks: u64,
    bytes: u64,
    raw_blocks: u64,
    raw_bytes: u64,
    raw_fallbacks: i64,
    stopped: bool,
    size_class: Option<SizeClass>,
    size: Option<u64>,
    domain: Option<Domain>,
    kind: Option<Kind>,
    thread: u16,
    arena: Option<u64>,
    pool_offset: Option<u64>,
}

impl Facts {
    fn get(&self, variable: Variable) -> Option<u64> {
        Some(match variable {
            Variable::Step => self.step,
            Variable::Arenas => self.arenas,
            Variable::ArenasHighwater => self.arenas_highwater,
            Variable::Pools => self.pools,
            Variable::Blocks => self.blocks,
            Variable::Bytes => self.bytes,
            Variable::RawBlocks => self.raw_blocks,
            Variable::RawBytes => self.raw_bytes,
            Variable::SizeClass => u64::from(self.size_class?.0),
            Variable::Size => self.size?,
            Variable::Domain => self.domain? as u64,
            Variable::Kind => self.kind? as u64,
            Variable::Thread => u64::from(self.thread),
            Variable::Arena => self.arena?,
            Variable::PoolOffset => self.pool_offset?,
        })
    }
}

/// Conditions being asked after one operation after the other.
#[derive(Clone, Debug)]
pub struct Watch {
    conditions: Vec<Condition>,
    held: Option<usize>,
    facts: Facts,
}

impl Watch {
    /// Beginning at the state of `machine`.
    pub fn new<A: ArenaBackend>(conditions: Vec<Condition>, machine: &Machine<A>) -> Self {
        let mut facts = Facts::default();
        if conditions.iter().any(Condition::counts) {
            let occupancy = Occupancy::of(machine.pymalloc());
            facts.pools = occupancy.classes.iter().map(|c| c.pools).sum();
            facts.blocks = occupancy.blocks();
            facts.bytes = occupancy.allocated_bytes;
        }
        Self { conditions, held: None, facts }
    }

    /// To be called before the operation that is to be asked about.
    pub fn before<A: ArenaBackend>(&mut self, machine: &Machine<A>) {
        self.facts.raw_fallbacks = machine.pymalloc().raw_allocated_blocks;
        self.facts.stopped = machine.stopped().is_some();
    }

    /// The number of the condition that held when they were asked last.
    pub fn held(&self) -> Option<usize> {
        self.held
    }

    /// Events of which an operation must have one to be asked about; `None` when all have to be.
    pub(crate) fn may_skip(conditions: &[Condition]) -> Option<RareEvents> {
        conditions.iter().try_fold(RareEvents::default(), |all, condition| {
            condition.needs_one_of().filter(|_| !condition.counts()).map(|rare_events| all.union(rare_events))
        })
    }

    /// Whether one holds after the operation that follows `index` others, which the machine has just done.
    /// Its events are all that it did; [`Self::before`] saw the state before it. A condition on pools, blocks or
    /// bytes must see every operation.
    pub fn holds<A: ArenaBackend>(
        &mut self,
        trace: &Trace,
        index: usize,
        events: &[Event],
        machine: &Machine<A>,
    ) -> bool {
        let op = trace.packed(index);
        let is_call = op.kind != Kind::Act;
        let pymalloc = machine.pymalloc();
        let (memory, profile) = (pymalloc.memory(), pymalloc.profile());
        let class_of = |pool: Addr| SizeClass(memory.header(memory.pool_at(pool)).szidx as u16);
        let facts = &mut self.facts;
        facts.rare_events = RareEvents::default();
        facts.step = trace.first() + index as u64 + 1;
        let (mut out, mut back) = (None, None);
        for event in events {
            if let Some(rare) = RareEvent::of(event) {
                facts.rare_events = facts.rare_events.with(rare);
            }
            match *event {
                Event::BlockPopped { pool, .. } | Event::PoolInitialised { pool, .. } => {
                    facts.blocks += 1;
                    facts.bytes += profile.block_size(class_of(pool));
                    out = Some(pool);
                }
                Event::BlockPushed { pool, .. } => {
                    facts.blocks = facts.blocks.saturating_sub(1);
                    facts.bytes = facts.bytes.saturating_sub(profile.block_size(class_of(pool)));
                    back = Some(pool);
                }
                Event::PoolTaken { .. } | Event::PoolCarved { .. } => facts.pools += 1,
                Event::PoolFreed { .. } => facts.pools = facts.pools.saturating_sub(1),
                _ => {}
            }
        }
        let pool = out.or(back);
        facts.size_class = pool.map(class_of);
        let record = pool.map(|p| memory.header(memory.pool_at(p)).arenaindex);
        let record = record.and_then(|index| pymalloc.arenas().get(index as usize));
        facts.arena = record.map(|a| a.ordinal);
        facts.pool_offset = pool.zip(record.and_then(|a| a.address)).map(|(p, base)| p.bytes_from(base));
        facts.kind = is_call.then_some(if op.kind == Kind::FreeKeep { Kind::Free } else { op.kind });
        facts.domain = is_call.then_some(op.domain);
        facts.size = matches!(op.kind, Kind::Malloc | Kind::Calloc | Kind::Realloc).then_some(op.size);
        facts.thread = trace.thread_of(index);
        let counters = machine.arena_counters();
        facts.arenas = counters.narenas_currently_allocated;
        facts.arenas_highwater = counters.narenas_highwater;
        facts.raw_blocks = machine.raw().live_blocks();
        facts.raw_bytes = machine.raw().live_bytes();
        if pymalloc.raw_allocated_blocks > facts.raw_fallbacks {
            facts.rare_events = facts.rare_events.with(RareEvent::RawFallback);
        }
        if machine.stopped().is_some() && !facts.stopped {
            facts.rare_events = facts.rare_events.with(RareEvent::Stopped);
        }
        self.held = self.conditions.iter().position(|condition| condition.root.holds(facts));
        self.held.is_some()
    }
}
