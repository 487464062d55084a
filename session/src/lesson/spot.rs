//! Where a block of a program lies.

use sim_core::Addr;
use sim_core::report::Placement;

/// Where a block of a lesson lies, or lay when it was freed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Spot {
    /// What the call returned, as the machine says it.
    pub(super) placement: Option<Placement>,
    /// Its address; 0 where the run gives it none.
    pub(super) addr: Addr,
    /// Index of its pool among those of its arena that hold blocks.
    pub(super) pool: Option<u32>,
    /// Size class of that pool.
    pub(super) class: Option<u16>,
    /// Bytes from its pool.
    pub(super) offset: u64,
    /// Bytes that were asked for.
    pub(super) size: u64,
    /// Whether the program still has it.
    pub(super) live: bool,
    /// How it came there.
    pub(super) way: Way,
}

/// A block's way since it was made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Way {
    /// Operations done when it was made.
    pub(super) born: u64,
    /// Operations done when it was freed; 0 while it lives.
    pub(super) died: u64,
    /// The place where it was first.
    pub(super) first: i64,
    /// How often realloc moved it.
    pub(super) moves: u64,
    /// Size classes that it was in, a bit each.
    pub(super) classes: u128,
}

impl Spot {
    /// Its class as a bit; no build has more than 64.
    pub(super) fn class_bit(&self) -> u128 {
        self.class.and_then(|class| 1_u128.checked_shl(u32::from(class))).unwrap_or(0)
    }

    /// A number that two blocks share that lie, or lay, at the same place; 0 where the run does not tell.
    pub(super) fn place(&self) -> i64 {
        match self.placement {
            Some(Placement::Arena { ordinal, offset }) => {
                ((ordinal.cast_signed() + 1) << 40) + offset.cast_signed()
            }
            _ => self.addr.0.cast_signed(),
        }
    }
}
