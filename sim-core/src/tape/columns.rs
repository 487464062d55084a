//! Operations in columns, as they come in and go out.

use super::Action;
use crate::domains::Domain;

/// How an id is told that is not given.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum IdRule {
    /// One more than the id given last.
    #[default]
    Next,
    /// The id that the slot's block before had; in a fresh slot, and for the new id of a realloc, one more
    /// than the largest so far.
    Slot,
}

/// Columns of sizes.
pub const SIZE_COLUMNS: usize = 5;

/// The column of a size in tight columns: reallocs, RAW, MEM, OBJ after a free, and the rest of OBJ, 0 to 4.
#[inline]
pub(super) fn size_column(realloc: bool, domain: Domain, after_free: bool) -> usize {
    match domain {
        _ if realloc => 0,
        Domain::Raw => 1,
        Domain::Mem => 2,
        Domain::Obj => 4 - usize::from(after_free),
    }
}

/// Operations in columns. There are two kinds: tight ones are a fifth to a quarter smaller and read in nearly twice the time.
///
/// A head is a byte: bits 0 to 2 are the kind (malloc, calloc, realloc, free, kept free, action: 0 to 5), bits 3 and 4
/// the domain (RAW, MEM, OBJ: 0 to 2; tight: 3 for that of the used block's last malloc, calloc or realloc), bit 5 says that the pointer passed is NULL (realloc and free) or that an action is about no block, bit 6 that the
/// size stands in `wide` (malloc and realloc only), bit 7 that a realloc gives a new id.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// A byte for each operation.
    pub heads: Vec<u8>,
    /// Which kind they are.
    pub tight: bool,
    /// Bytes of each malloc and realloc that is not wide. Tight: reallocs, RAW, MEM, OBJ where the row before is a free, the
    /// rest of OBJ. Else all are in the last one.
    pub sizes: [Vec<u32>; SIZE_COLUMNS],
    /// Bytes of those that are.
    pub wide: Vec<u64>,
    /// Elements of each calloc and bytes of one.
    pub callocs: Vec<(u64, u64)>,
    /// Not tight: for each use of a block births back to its own among those of these rows, 1 for the last; 0 for a
    /// block of `far`. Malloc, calloc, realloc and `VirtualAlloc` are births; free and realloc of a block, kept free and other
    /// actions on a block are uses, and a realloc's use comes before its birth.
    pub near: Vec<u32>,
    /// Tight: for each use its code in the order of live blocks, 0 for a block of `far`.
    pub codes: Vec<u8>,
    /// Slots of the other blocks.
    pub far: Vec<u32>,
    /// Ids that are not told by `id_rule`: row and id.
    pub ids: Vec<(u32, u64)>,
    /// How the others are told.
    pub id_rule: IdRule,
    /// Actions; the id of the block they are about is filled in.
    pub actions: Vec<Action>,
}

impl Columns {
    /// Takes all rows away, and keeps the room for others.
    pub fn clear(&mut self) {
        self.heads.clear();
        self.sizes.iter_mut().for_each(Vec::clear);
        self.wide.clear();
        self.callocs.clear();
        self.near.clear();
        self.codes.clear();
        self.far.clear();
        self.ids.clear();
        self.actions.clear();
    }
}
