//! A page of mimalloc's with its blocks: what a pool is on the map of pymalloc.

use serde::{Deserialize, Serialize};
use sim_core::mimalloc::{BlockId, Mimalloc, PageView};
use sim_core::{Addr, Machine};

use crate::place::Place;

/// Blocks of a page that a picture has room for.
const MOST: u32 = 640;
/// Blocks behind the last one that says something.
const BEHIND: u32 = 8;

/// How a block of a page is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MiBlock {
    /// Handed out.
    Live,
    /// On `free`, counted from its head: what malloc takes next.
    Free(u32),
    /// On `local_free`, counted from its head: its own thread freed it.
    Local(u32),
    /// On `thread_free`, counted from its head: another thread freed it.
    Remote(u32),
    /// Freed by another thread, on the list of the page's heap.
    Delayed,
    /// Beyond the page's capacity.
    NotMade,
}

/// A page with its blocks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MiPage {
    /// The page.
    pub page: PageView,
    /// Blocks on `free`, `local_free` and `thread_free`.
    pub lists: [u32; 3],
    /// Its blocks from the first on, but not all.
    pub blocks: Vec<MiBlock>,
    /// Blocks on `free` that are left out.
    pub ready: u32,
    /// Blocks beyond the capacity that are left out.
    pub not_made: u32,
    /// The block that the last operation returned.
    pub returned: Option<u32>,
}

impl MiPage {
    /// The page of what is selected, else of the block that the last operation returned, else the first one.
    pub(super) fn of(machine: &Machine, selected: Option<Place>) -> Option<Self> {
        let run = machine.mimalloc()?;
        let heap = run.heap();
        let page_of = |place| match place {
            Place::Block(addr) => heap.page_around(addr),
            Place::Arena(_) | Place::Pool(_) => None,
        };
        let first =
            || heap.segments().into_iter().find_map(|s| heap.pages_of(s.id).next()).map(|page| page.id);
        let returned_on = run.returned_place().map(|place| place.2);
        let id = selected.and_then(page_of).or(returned_on).or_else(first)?;
        let returned = run.returned_addr().and_then(|addr| heap.block_around(addr));
        let returned =
            returned.filter(|(block, _)| block.page == id).map(|(block, _)| u32::from(block.index));
        Some(Self::read(heap, id, returned))
    }

    fn read(heap: &Mimalloc, id: u32, returned: Option<u32>) -> Self {
        let (page, lists) = (heap.page(id), heap.list_lengths(id));
        let live = |index: u32| heap.is_live(BlockId { page: id, index: index as u16 });
        let state = |index| match (index < page.capacity, live(index)) {
            (false, _) => MiBlock::NotMade,
            (true, true) => MiBlock::Live,
            (true, false) => MiBlock::Delayed,
        };
        let mut blocks: Vec<MiBlock> = (0..page.reserved).map(state).collect();
        let [free, local, _] = lists;
        for (at, block) in (0..).zip(heap.free_blocks(id)) {
            let listed = match at {
                at if at < free => MiBlock::Free(at),
                at if at < free + local => MiBlock::Local(at - free),
                at => MiBlock::Remote(at - free - local),
            };
            if let Some(state) = blocks.get_mut(usize::from(block.index)) {
                *state = listed;
            }
        }
        let says = |state: &MiBlock| !matches!(state, MiBlock::NotMade | MiBlock::Free(1..));
        let kept = blocks.iter().rposition(says).map_or(0, |last| last as u32 + 1).max(1) + BEHIND;
        let kept = kept.min(MOST).min(page.reserved) as usize;
        let left_out = blocks.split_off(kept);
        let not_made = left_out.iter().filter(|state| **state == MiBlock::NotMade).count() as u32;
        Self { page, lists, blocks, ready: left_out.len() as u32 - not_made, not_made, returned }
    }

    /// Where a block begins.
    pub fn block_addr(&self, index: u32) -> Addr {
        self.page.first_block.offset(u64::from(index) * self.page.block_bytes)
    }

    /// The block at an address of this page that is in the picture.
    pub fn index_of(&self, addr: Addr) -> Option<u32> {
        let within = addr.0.checked_sub(self.page.first_block.0)?;
        let index = within.checked_div(self.page.block_bytes)?;
        (index < self.blocks.len() as u64).then_some(index as u32)
    }

    /// Whether an address lies in this page's blocks.
    pub(super) fn holds(&self, addr: Addr) -> bool {
        let bytes = u64::from(self.page.reserved) * self.page.block_bytes;
        addr.0.checked_sub(self.page.first_block.0).is_some_and(|within| within < bytes)
    }
}

#[cfg(test)]
mod tests {
    use sim_core::Profile;
    use trace_io::program::{Bounds, Program};

    use super::MiBlock::{Delayed, Free, Live, Local, NotMade, Remote};
    use super::*;

    #[test]
    fn blocks_are_on_their_lists() {
        let program = Program::parse(
            "for i in range(1, 6): b[i] = malloc(32)\nfree(b[4])\nfree(b[1])\nwith thread(1): free(b[2])\nc = malloc(32)",
        );
        let profile = Profile::named("cpython-3.14t").unwrap();
        let trace = program.unwrap().expand("t", &profile, Bounds::default()).unwrap().trace;
        let mut machine = Machine::for_trace(&profile, &trace, None).unwrap();
        for index in 0..trace.len() as usize {
            machine.step(&trace, index, &mut ());
        }
        let page = MiPage::of(&machine, None).unwrap();
        assert_eq!(page.blocks[..5], [Local(0), page.blocks[1], Live, Local(1), Live]);
        assert!(matches!(page.blocks[1], Remote(0) | Delayed));
        assert_eq!((page.blocks[5], page.blocks[6], page.returned), (Live, Free(0), Some(5)));
        assert_eq!(page.blocks.len(), 15, "those that say something and a few more");
        assert!(!page.blocks.contains(&NotMade));
        assert_eq!(15 + page.ready + page.not_made, page.page.reserved);
        assert_eq!(page.index_of(page.block_addr(5)), Some(5));
        assert_eq!(page.index_of(page.block_addr(15)), None);
        assert!(page.holds(page.block_addr(15)));
        // A place of another kind of heap chooses nothing.
        assert_eq!(MiPage::of(&machine, Some(Place::Pool(Addr(0)))), Some(page));
    }
}
