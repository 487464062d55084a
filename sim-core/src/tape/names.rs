//! Which slot an id stands for while its block is live.

use std::collections::BTreeMap;

const PAGE_IDS: usize = 1 << 12;
const NONE: u32 = u32::MAX;

/// Slots by id. Ids that grow no faster than the trace index pages of an array, and a page goes when the
/// last of its ids does, so that a long trace takes no more room than its live blocks; wild ids go to a map.
#[derive(Debug, Default)]
pub(super) struct Names {
    pages: Vec<Option<Box<Page>>>,
    sparse: BTreeMap<u64, u32>,
}

#[derive(Debug)]
struct Page {
    slots: [u32; PAGE_IDS],
    named: u32,
}

impl Names {
    #[inline]
    pub(super) fn get(&self, id: u64) -> Option<u32> {
        let (page, at) = place(id);
        if let Some(Some(page)) = self.pages.get(page)
            && page.slots[at] != NONE
        {
            return Some(page.slots[at]);
        }
        if self.sparse.is_empty() { None } else { self.sparse.get(&id).copied() }
    }

    /// Names a slot. The id must not be in use; `dense_below` says which ids may index the array.
    #[inline]
    pub(super) fn insert(&mut self, id: u64, slot: u32, dense_below: u64) {
        if id >= dense_below {
            self.sparse.insert(id, slot);
            return;
        }
        let (page, at) = place(id);
        if page >= self.pages.len() {
            if let Some(last) = self.pages.last_mut()
                && last.as_ref().is_some_and(|p| p.named == 0)
            {
                *last = None;
            }
            self.pages.resize_with(page + 1, || None);
        }
        let page =
            self.pages[page].get_or_insert_with(|| Box::new(Page { slots: [NONE; PAGE_IDS], named: 0 }));
        page.slots[at] = slot;
        page.named += 1;
    }

    #[inline]
    pub(super) fn remove(&mut self, id: u64) {
        let (number, at) = place(id);
        if let Some(entry) = self.pages.get_mut(number)
            && let Some(page) = entry
            && page.slots[at] != NONE
        {
            page.slots[at] = NONE;
            page.named -= 1;
            // The newest page is about to be filled; giving it back now would only take it again.
            if page.named == 0 && number + 1 < self.pages.len() {
                self.pages[number] = None;
            }
        } else {
            self.sparse.remove(&id);
        }
    }
}

/// Page and place in it. A number too large for this machine's `usize` names no page.
#[inline]
fn place(id: u64) -> (usize, usize) {
    let page = usize::try_from(id / PAGE_IDS as u64).unwrap_or(usize::MAX);
    (page, (id % PAGE_IDS as u64) as usize)
}
