//! What a scenario does besides calling allocators: it changes tables and writes into memory.

use std::fmt;

use super::StackId;
use crate::domains::{ArenaChoice, UserAllocator};

/// An action. It belongs to the domain of its operation where that matters.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// `PyMem_SetupDebugHooks()`.
    SetupDebugHooks,
    /// `PyMem_SetAllocator(domain, table)`.
    SetAllocator(TableChoice),
    /// The program writes bytes at an offset from a pointer it holds or has held.
    Poke {
        /// The block's id.
        id: u64,
        /// Bytes from the pointer, negative for in front of it.
        offset: i64,
        /// What is written.
        bytes: Poked,
    },
    /// From here on calls come from this Python stack of the trace's.
    Stack(StackId),
    /// `tracemalloc.start(nframe)`.
    TracemallocStart(i32),
    /// `tracemalloc.stop()`.
    TracemallocStop,
    /// `tracemalloc.clear_traces()`.
    TracemallocClear,
    /// `tracemalloc.reset_peak()`.
    TracemallocResetPeak,
    /// `PyTraceMalloc_Track(domain, pointer, size)`.
    Track {
        /// tracemalloc's domain, which has nothing to do with the allocators' three.
        domain: u32,
        /// The block's id.
        id: u64,
        /// Bytes.
        size: u64,
    },
    /// `PyTraceMalloc_Untrack(domain, pointer)`.
    Untrack {
        /// tracemalloc's domain.
        domain: u32,
        /// The block's id.
        id: u64,
    },
    /// `mi_heap_collect(heap, force)` of all heaps of the thread.
    HeapCollect {
        /// Whether by force.
        force: bool,
    },
    /// The thread ends.
    ThreadExit,
    /// A walk over the heaps whose bits are set, as garbage collection does.
    HeapWalk {
        /// Bit 0 mem, 1 obj, 2 gc, 3 `gc_pre`.
        mask: u64,
    },
    /// The thread passes a quiescent state.
    Quiescent,
    /// `_PyMem_FreeDelayed(pointer, size)`.
    FreeDelayed {
        /// The block's id, 0 for NULL.
        id: u64,
        /// Bytes.
        size: u64,
    },
    /// `_PyMem_ProcessDelayed`, as the eval breaker does.
    ProcessDelayed,
    /// The thread attaches or detaches its thread state (takes or releases the GIL).
    ThreadState {
        /// Whether it has one afterwards.
        attached: bool,
    },
    /// `tracemalloc.take_snapshot()`, kept under a name: its number among the trace's names.
    TracemallocSnapshot(u32),
    /// `PyObject_SetArenaAllocator(hook)`, for the whole process.
    SetArenaAllocator(ArenaChoice),
    /// `_PyObject_VirtualAlloc(size)`: a chunk of an interpreter's data stack, from the arena hook.
    VirtualAlloc {
        /// The id the chunk gets.
        id: u64,
        /// Bytes, 16 KiB as a rule.
        size: u64,
    },
    /// `_PyObject_VirtualFree(chunk, size)`.
    VirtualFree {
        /// The chunk's id.
        id: u64,
    },
    /// `Py_NewInterpreterFromConfig`. The one that runs goes on.
    InterpreterNew {
        /// Its number; the main interpreter is 0.
        number: u32,
        /// Whether it gets a pymalloc state of its own (`use_main_obmalloc` = 0).
        own_obmalloc: bool,
    },
    /// `PyThreadState_Swap`: from here on this interpreter runs.
    InterpreterSwitch(u32),
    /// `Py_EndInterpreter`. If it was running, the main one runs afterwards.
    InterpreterEnd(u32),
}

impl Action {
    /// What ptrace calls it, if only a run with mimalloc can do it.
    pub fn of_mimalloc(self) -> Option<&'static str> {
        Some(match self {
            Self::HeapCollect { .. } => "g",
            Self::ThreadExit => "x",
            Self::HeapWalk { .. } => "v",
            Self::Quiescent => "q",
            Self::FreeDelayed { .. } => "d",
            Self::ProcessDelayed => "P",
            _ => return None,
        })
    }

    /// The block it is about, if it is about one.
    pub fn id(self) -> Option<u64> {
        match self {
            Self::FreeDelayed { id, .. } => Some(id).filter(|&id| id != 0),
            Self::Poke { id, .. }
            | Self::Track { id, .. }
            | Self::Untrack { id, .. }
            | Self::VirtualAlloc { id, .. }
            | Self::VirtualFree { id } => Some(id),
            _ => None,
        }
    }
}

/// A table that a scenario can install.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TableChoice {
    /// The C library's functions.
    Libc,
    /// pymalloc's.
    Pymalloc,
    /// One of its own over the table in force.
    User(UserAllocator),
}

/// Up to 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Poked {
    len: u8,
    bytes: [u8; 16],
}

impl Poked {
    /// From 1 to 16 bytes.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let mut all = [0; 16];
        all.get_mut(..bytes.len())?.copy_from_slice(bytes);
        (!bytes.is_empty()).then_some(Self { len: bytes.len() as u8, bytes: all })
    }

    /// Parses pairs of hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if !digits.len().is_multiple_of(2) || !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        let bytes: Vec<u8> = (0..digits.len() / 2)
            .filter_map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).ok())
            .collect();
        Self::new(&bytes)
    }

    /// The bytes.
    pub fn as_slice(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl fmt::Display for Poked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Display for TableChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Libc => f.write_str("libc"),
            Self::Pymalloc => f.write_str("pymalloc"),
            Self::User(UserAllocator::Count) => f.write_str("count"),
            Self::User(UserAllocator::Log) => f.write_str("log"),
            Self::User(UserAllocator::FailEvery(n)) => write!(f, "fail:{n}"),
            Self::User(UserAllocator::Bump { bytes }) => write!(f, "bump:{bytes}"),
        }
    }
}

impl std::str::FromStr for TableChoice {
    /// What it takes.
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const TAKES: &str = "write libc, pymalloc, count, log, fail:N or bump:BYTES";
        Ok(match text.split_once(':') {
            None if text == "libc" => Self::Libc,
            None if text == "pymalloc" => Self::Pymalloc,
            None if text == "count" => Self::User(UserAllocator::Count),
            None if text == "log" => Self::User(UserAllocator::Log),
            Some(("fail", n)) => Self::User(UserAllocator::FailEvery(n.parse().map_err(|_| TAKES)?)),
            Some(("bump", n)) => Self::User(UserAllocator::Bump { bytes: n.parse().map_err(|_| TAKES)? }),
            _ => return Err(TAKES),
        })
    }
}
