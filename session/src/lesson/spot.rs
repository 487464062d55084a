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
}

impl Spot {
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
