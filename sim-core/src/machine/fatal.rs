//! How a process ends when something is wrong, as a value.

use std::fmt;

use super::libc::LibcAbort;
use crate::addr::Addr;
use crate::debug_hooks::Damage;

/// What stopped the process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fatal {
    /// A debug hook found a damaged block.
    Debug {
        /// `_PyMem_DebugRawFree` or `_PyMem_DebugRawRealloc`, whatever the domain.
        function: &'static str,
        /// What was wrong.
        damage: Damage,
        /// The user's pointer.
        block: Addr,
        /// What was printed before the fatal error.
        dump: String,
    },
    /// MEM or OBJ was called without a thread state, under debug hooks.
    NoThreadState {
        /// The debug function.
        function: &'static str,
    },
    /// SIGSEGV.
    Segfault {
        /// The address.
        addr: Addr,
        /// What was being done.
        doing: &'static str,
        /// What was printed before.
        printed: String,
    },
    /// SIGSEGV because tables call one another in a circle.
    StackOverflow,
    /// tracemalloc could not store the trace of a block that realloc had already moved.
    TraceLost,
    /// The C library gave up.
    Libc(LibcAbort),
    /// A pool's free list was overwritten: the next block it would hand out is no block.
    WildFreeList {
        /// The free block whose first word was overwritten.
        block: Addr,
        /// What it holds now.
        link: u64,
    },
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Debug { function, damage, dump, .. } => {
                write!(f, "{dump}Fatal Python error: {function}: {}", damage.message())
            }
            Self::NoThreadState { function } => write!(
                f,
                "Fatal Python error: {function}: Python memory allocator called without holding the GIL"
            ),
            Self::Segfault { addr, doing, printed } => {
                write!(f, "{printed}Segmentation fault ({doing} at {addr})")
            }
            Self::StackOverflow => f.write_str(
                "Segmentation fault (stack overflow: the allocator tables call one another in a circle)",
            ),
            Self::TraceLost => f.write_str(
                "Fatal Python error: tracemalloc_realloc: tracemalloc_realloc() failed to allocate a trace",
            ),
            Self::Libc(abort) => write!(f, "{}\nAborted", abort.message()),
            Self::WildFreeList { block, link } => write!(
                f,
                "Segmentation fault, or worse (the free list was overwritten: free block {block} says the next one is {link:#x})"
            ),
        }
    }
}
