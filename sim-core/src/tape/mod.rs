//! A trace: operations in columns, with names, notes, marks and settings.
//!
//! An operation takes 13 bytes: what it is, a dense slot that stands for the block, a size, and the id
//! the file gave the block. Slots are reused as soon as a block is gone, so that the machine's table of
//! pointers stays as small as the most blocks that were ever live at once.

mod action;
mod builder;
mod bulk;
mod column;
mod columns;
mod grown;
mod heads;
mod marks;
mod names;
mod order;
mod rows;
mod segment;
mod source;
mod split;
mod stacks;
mod state;
mod trace;

pub use action::{Action, Poked, TableChoice};
pub use builder::{NAMES_MAX, TapeError, TraceBuilder};
pub use columns::{Columns, IdRule, SIZE_COLUMNS};
pub use marks::{MARK_CHARS_MAX, MARKS_MAX, Mark, MarkError, MarkName};
pub(crate) use segment::RowsRef;
pub use source::{CallCount, Doubt, Missing, Source, TimeMark};
pub use split::Splitter;
pub use stacks::{Frame, FrameId, SourceLine, StackId, Stacks, StringId};
pub use state::{SlotOwner, SlotState, Totals, TraceState};
pub use trace::{Head, Origin, Trace};

use crate::addr::Slot;
use crate::domains::Domain;

/// What an operation asks for. Sizes are in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// `malloc(size)`.
    Malloc {
        /// The id the block gets.
        id: u64,
        /// Bytes.
        size: u64,
    },
    /// `calloc(nelem, elsize)`.
    Calloc {
        /// The id the block gets.
        id: u64,
        /// Elements.
        nelem: u64,
        /// Bytes of one.
        elsize: u64,
    },
    /// `realloc(id, size)`; id 0 is NULL.
    Realloc {
        /// The block, or 0.
        id: u64,
        /// Its id from now on.
        newid: u64,
        /// Bytes.
        size: u64,
    },
    /// `free(id)`; id 0 is NULL.
    Free {
        /// The block, or 0.
        id: u64,
    },
    /// `free(id)` by a program that goes on to use the pointer: the id stays and now dangles.
    FreeKeep {
        /// The block.
        id: u64,
    },
    /// Something other than a call of an allocator.
    Act(Action),
}

/// One operation as a person would write it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Op {
    /// The simulated thread.
    pub thread: u16,
    /// The domain whose entry point is called.
    pub domain: Domain,
    /// The call.
    pub call: Call,
}

/// What an operation is, as counted and as the hot loop tells them apart. Its number stands in columns and files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Kind {
    /// `malloc`.
    Malloc = 0,
    /// `calloc`.
    Calloc = 1,
    /// `realloc`.
    Realloc = 2,
    /// `free`.
    Free = 3,
    /// `free` of a pointer that the program keeps.
    FreeKeep = 4,
    /// An [`Action`].
    Act = 5,
}

impl Kind {
    /// The four functions, in the order of [`Counts`].
    pub const ALL: [Self; 4] = [Self::Malloc, Self::Calloc, Self::Realloc, Self::Free];
    /// The kind with a number, as the columns number them.
    #[inline]
    pub(crate) fn of_code(code: u8) -> Self {
        match code {
            0 => Self::Malloc,
            1 => Self::Calloc,
            2 => Self::Realloc,
            3 => Self::Free,
            4 => Self::FreeKeep,
            _ => Self::Act,
        }
    }

    /// The call's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malloc => "malloc",
            Self::Calloc => "calloc",
            Self::Realloc => "realloc",
            Self::Free | Self::FreeKeep => "free",
            Self::Act => "action",
        }
    }
}

/// An operation as the machine takes it: no ids, one slot, one size.
#[derive(Clone, Copy, Debug)]
pub struct Packed {
    /// Which call.
    pub kind: Kind,
    /// The domain.
    pub domain: Domain,
    /// Whether the pointer passed is NULL by the trace's own word (id 0).
    pub null: bool,
    /// The block.
    pub slot: Slot,
    /// Bytes; for calloc the product, `u64::MAX` when that overflows; for an action its number.
    pub size: u64,
}

/// A remark of the author, shown when the operation is reached.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// Operations done before the one it belongs to.
    pub at: u64,
    /// What it says.
    pub text: String,
}

/// Operations by domain and kind.
pub type Counts = [[u64; 4]; 3];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domains::ObjectHeap;

    /// What stands in columns and in files for ever.
    #[test]
    fn numbers_stay() {
        let kinds = [Kind::Malloc, Kind::Calloc, Kind::Realloc, Kind::Free, Kind::FreeKeep, Kind::Act];
        assert!(kinds.iter().map(|&k| k as u8).eq(0..6));
        assert!(kinds.iter().all(|&k| Kind::of_code(k as u8) == k));
        assert_eq!(Domain::ALL.map(|d| (d as u8, d.name())), [(0, "RAW"), (1, "MEM"), (2, "OBJ")]);
        let heaps = [ObjectHeap::Object, ObjectHeap::Gc, ObjectHeap::GcPre];
        assert_eq!(heaps.map(|h| (h as u8, h.tag())), [(0, 1), (1, 2), (2, 3)]);
    }
}
