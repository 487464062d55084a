//! How a process ends when something is wrong, as a value.

use std::fmt;

use super::libc::LibcAbort;
use crate::addr::Addr;
use crate::debug_hooks::Damage;
use crate::mimalloc::BadFree;

/// What stopped the process.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fatal {
    /// A debug hook found a damaged block.
    Debug {
        /// `_PyMem_DebugRawFree` or `_PyMem_DebugRawRealloc`, whatever the domain; none where the version names none.
        function: Option<&'static str>,
        /// What was wrong.
        damage: Damage,
        /// The user's pointer.
        block: Addr,
        /// What was printed before the fatal error.
        dump: String,
    },
    /// MEM or OBJ was called without a thread state, under debug hooks.
    NoThreadState {
        /// The debug function, where the version names it.
        function: Option<&'static str>,
        /// Whether the build has no GIL to hold.
        free_threaded: bool,
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
    /// No end: RAW's realloc is pymalloc's, which passes what is not its own on to RAW. The compiler made that call a jump, so
    /// that it fills no stack and goes round for ever.
    EndlessRealloc,
    /// tracemalloc could not store the trace of a block that realloc had already moved.
    TraceLost {
        /// `tracemalloc_realloc`, where the version names it.
        function: Option<&'static str>,
    },
    /// The C library gave up.
    Libc(LibcAbort),
    /// mimalloc was given what is no live block. A process goes on with a broken heap; this one stops.
    Mimalloc {
        /// The pointer, 0 where it has no address.
        addr: Addr,
        /// What is wrong with it.
        why: BadFree,
    },
    /// A free list of mimalloc was overwritten: the next block it would hand out is no block.
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
                let message = damage.message();
                // Where the function is not named, the message is made in a buffer and printed up to its first NUL.
                let whole = if function.is_some() { None } else { message.split('\0').next() };
                write!(f, "{dump}{}{}", Beginning(*function), whole.unwrap_or(&message))
            }
            Self::NoThreadState { function, free_threaded } => write!(
                f,
                "{}Python memory allocator called without {}",
                Beginning(*function),
                if *free_threaded {
                    "an active thread state. Are you trying to call it inside of a Py_BEGIN_ALLOW_THREADS block?"
                } else {
                    "holding the GIL"
                }
            ),
            Self::Mimalloc { addr, why: BadFree::NoBlock } => write!(
                f,
                "Segmentation fault, or worse (the pointer{} is no block of mimalloc's, which finds segment and page from the address and does not check)",
                if *addr == Addr(0) { String::new() } else { format!(" {addr}") }
            ),
            Self::Mimalloc { addr, why: BadFree::Freed } => write!(
                f,
                "Memory corruption (the block {addr} is free already, which a release build of mimalloc does not notice; it would be handed out twice)"
            ),
            Self::Segfault { addr, doing, printed } => {
                write!(f, "{printed}Segmentation fault ({doing} at {addr})")
            }
            Self::StackOverflow => f.write_str(
                "Segmentation fault (stack overflow: the allocator tables call one another in a circle)",
            ),
            Self::EndlessRealloc => f.write_str(
                "no end: RAW's realloc is pymalloc's, which passes a block that is not its own on to RAW, and so round for ever \
                 (the call is a jump in optimised builds, so the stack does not overflow; the process takes all of a processor)",
            ),
            Self::TraceLost { function } => {
                write!(f, "{}tracemalloc_realloc() failed to allocate a trace", Beginning(*function))
            }
            Self::Libc(abort) => write!(f, "{}\nAborted", abort.message()),
            Self::WildFreeList { block, link } => write!(
                f,
                "Segmentation fault, or worse (the free list was overwritten: free block {block} says the next one is {link:#x})"
            ),
        }
    }
}

/// How `Py_FatalError` begins: with the function from 3.9 on.
struct Beginning(Option<&'static str>);

impl fmt::Display for Beginning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fatal Python error: ")?;
        self.0.map_or(Ok(()), |function| write!(f, "{function}: "))
    }
}
