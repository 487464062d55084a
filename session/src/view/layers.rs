//! The tables of each domain, the hook that arenas come from, and what debug hooks left of a block.

use serde::{Deserialize, Serialize};
use sim_core::arena::ArenaBackend as _;
use sim_core::domains::{
    AllocatorTable, ArenaAllocator, ArenaFunction, ArenaHookState, LoggedCall, UserState,
};
use sim_core::event::Function;
use sim_core::{Addr, ArenaId, Domain, Event};

use crate::analysis::anatomy::{self, Anatomy, At};
use crate::facts;
use crate::place::Place;
use crate::run::Session;

/// Logged calls that are shown.
const LOGGED: usize = 12;
/// Arenas and chunks that are listed.
const LISTED: usize = 12;

/// A table that the current operation called.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TableCall {
    /// The domain whose chain it stands in.
    pub domain: Domain,
    /// The table.
    pub table: AllocatorTable,
    /// Which of its four functions.
    pub function: Function,
    /// Bytes asked for.
    pub nbytes: u64,
}

/// The table of each domain and the chain it begins.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Domains {
    /// `_PyMem_GetCurrentAllocatorName()`; `None` is NULL.
    pub current_name: Option<String>,
    /// `is_debug_enabled`.
    pub is_debug_enabled: bool,
    /// The interpreter that runs, and the one whose pymalloc state it uses, where there are several.
    pub interpreter: Option<(u32, u32)>,
    /// The chains of RAW, MEM and OBJ.
    pub chains: [Vec<AllocatorTable>; 3],
    /// Tables that the current operation called, in order.
    pub calls: Vec<TableCall>,
    /// Tables of the program's own.
    pub user: Vec<UserState>,
    /// Logged calls, the last first.
    pub log: Vec<LoggedCall>,
    /// Logged calls in all.
    pub logged: u64,
    /// The hook that arenas come from.
    pub hooks: Hooks,
}

/// A call of a hook's function in the current operation.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HookCall {
    /// The hook.
    pub hook: ArenaAllocator,
    /// alloc or free.
    pub function: ArenaFunction,
    /// Bytes.
    pub size: u64,
}

/// The hook that arenas come from, and what it passes calls on to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Hooks {
    /// Whether the program ever put one in place of the default.
    pub replaced: bool,
    /// The hook in force and those it passes calls on to.
    pub chain: Vec<ArenaAllocator>,
    /// Calls of the current operation, in order.
    pub calls: Vec<HookCall>,
    /// Hooks of the program's own.
    pub user: Vec<ArenaHookState>,
    /// The first live arenas, and the hook that made each.
    pub arenas: Vec<(ArenaId, Addr, ArenaAllocator)>,
    /// Chunks of data stacks: bytes, and the hook that made each.
    pub chunks: Vec<(u64, ArenaAllocator)>,
}

impl Domains {
    pub(super) fn of(session: &Session) -> Self {
        let machine = session.machine();
        let layers = machine.layers();
        let allocators = machine.allocators();
        let chain = |domain| match layers {
            Some(layers) => layers.chain(domain),
            None => allocators.chain(allocators.get(domain), &|_| None),
        };
        let calls = session.events().iter().filter_map(|event| match *event {
            Event::TableCalled { domain, table, function, nbytes } => {
                Some(TableCall { domain, table, function, nbytes })
            }
            _ => None,
        });
        let log = layers.map(sim_core::machine::Layers::log);
        Self {
            current_name: allocators.current_name().map(str::to_owned),
            is_debug_enabled: allocators.is_debug_enabled,
            interpreter: machine.interpreters().map(|all| (all.running(), all.state_of())),
            chains: Domain::ALL.map(chain),
            calls: calls.collect(),
            user: layers.map_or_else(Vec::new, |l| l.user().to_vec()),
            log: log.map_or_else(Vec::new, |log| log.iter().rev().take(LOGGED).copied().collect()),
            logged: log.map_or(0, |log| log.len() as u64),
            hooks: Hooks::of(session),
        }
    }
}

impl Hooks {
    fn of(session: &Session) -> Self {
        let (heap, arena_size) = (session.heap(), session.profile().arena_size);
        let hooks = heap.memory().hooks();
        // While there is only the default one, its calls are known from what became of arenas.
        let call = |event: &Event| match *event {
            Event::ArenaHookCalled { hook, function, size, .. } => Some(HookCall { hook, function, size }),
            Event::ArenaObtained { .. } if hooks.is_none() => {
                Some(default_call(ArenaFunction::Alloc, arena_size))
            }
            Event::ArenaReleased { .. } if hooks.is_none() => {
                Some(default_call(ArenaFunction::Free, arena_size))
            }
            _ => None,
        };
        let made = |h: &sim_core::arena::ArenaHooks| {
            facts::arenas(heap).into_iter().take(LISTED).map(|a| (a.id, a.base, h.maker(a.base))).collect()
        };
        let chunks = |h: &sim_core::arena::ArenaHooks| {
            let chunks = h.made().filter(|(_, made)| made.size != arena_size);
            chunks.take(LISTED).map(|(_, made)| (made.size, made.by)).collect()
        };
        Self {
            replaced: hooks.is_some(),
            chain: hooks.map_or_else(|| vec![ArenaAllocator::Default], sim_core::arena::ArenaHooks::chain),
            calls: session.events().iter().filter_map(call).collect(),
            user: hooks.map_or_else(Vec::new, |h| h.user().to_vec()),
            arenas: hooks.map_or_else(Vec::new, made),
            chunks: hooks.map_or_else(Vec::new, chunks),
        }
    }
}

fn default_call(function: ArenaFunction, size: u64) -> HookCall {
    HookCall { hook: ArenaAllocator::Default, function, size }
}

/// What debug hooks left of a block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DebugHooks {
    /// What would have ended the process by now, as it would have been printed.
    pub fatal: Option<String>,
    /// The block that is pinned, else the one touched last.
    pub block: Option<Anatomy>,
}

impl DebugHooks {
    pub(super) fn of(session: &Session, pinned: Option<Place>) -> Self {
        let at = At { machine: session.machine(), trace: session.trace(), step: session.step() };
        Self { fatal: session.stopped(), block: anatomy::anatomy(at, pinned) }
    }
}
