//! A heap that the program broke: what there is of it beside the bytes of memory.

use std::collections::BTreeSet;

use crate::addr::Addr;

/// What arena records would hold if they were in memory, too, and what is still to be read back.
#[derive(Clone, Debug, Default)]
pub(super) struct Broken {
    /// `freepools` of each arena record; 0 for NULL.
    pub(super) freepools: Vec<Addr>,
    /// Pools whose headers or lists changed during this operation.
    pub(super) touched: BTreeSet<Addr>,
}
