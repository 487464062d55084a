//! Flat tables whose saved states share the pages that did not change.
//!
//! The live table is one vector, so that reading and writing it costs what a vector costs; a write also
//! sets a byte for its page. Saving copies the pages so marked since the state it builds on and shares the
//! others with it. Going back copies only pages that differ.

use std::sync::Arc;

/// Items of one page.
const PAGE: usize = 256;
/// log2 of that.
pub(crate) const PAGE_BITS: u32 = PAGE.trailing_zeros();
/// Pages of one chunk.
const CHUNK: usize = 64;

type Page<P> = Option<Arc<P>>;
type Chunk<P> = [Page<P>; CHUNK];

/// What a saved page takes.
pub(crate) trait PageBytes {
    /// Bytes that go with it when nobody else holds it.
    fn own_bytes(&self) -> usize;
}

impl PageBytes for [u16] {
    fn own_bytes(&self) -> usize {
        size_of_val(self)
    }
}

/// A saved table: pages in chunks, both shared with other saved states as far as they are equal.
#[derive(Debug)]
pub(crate) struct Saved<P: ?Sized> {
    chunks: Vec<Arc<Chunk<P>>>,
}

impl<P: ?Sized> Clone for Saved<P> {
    fn clone(&self) -> Self {
        Self { chunks: self.chunks.clone() }
    }
}

impl<P: ?Sized> Default for Saved<P> {
    fn default() -> Self {
        Self { chunks: Vec::new() }
    }
}

/// What the counts of an `Arc` take beside its contents.
const ARC_BYTES: usize = 16;

impl<P: ?Sized + PageBytes> Saved<P> {
    /// The page with a number; `None` for one never written.
    fn page(&self, at: usize) -> Option<&Arc<P>> {
        self.chunks.get(at / CHUNK)?[at % CHUNK].as_ref()
    }

    /// This state with the pages marked in `dirty` replaced by what `copy` makes of them and of the page
    /// before, and the bytes that the result does not share with this one.
    pub(crate) fn with(
        &self,
        dirty: &[u8],
        mut copy: impl FnMut(usize, Option<&P>) -> Arc<P>,
    ) -> (Self, u64) {
        let mut new = self.clone();
        let mut bytes = 0;
        for at in marked(dirty) {
            while new.chunks.len() <= at / CHUNK {
                bytes += size_of::<Chunk<P>>() + ARC_BYTES;
                new.chunks.push(Arc::new([const { None }; CHUNK]));
            }
            let chunk = &mut new.chunks[at / CHUNK];
            if Arc::get_mut(chunk).is_none() {
                bytes += size_of::<Chunk<P>>() + ARC_BYTES;
            }
            let page = copy(at, self.page(at).map(Arc::as_ref));
            bytes += size_of_val::<P>(&page) + page.own_bytes() + ARC_BYTES;
            Arc::make_mut(chunk)[at % CHUNK] = Some(page);
        }
        bytes += new.chunks.len() * size_of::<Arc<Chunk<P>>>();
        (new, bytes as u64)
    }

    /// Pages that are marked in `dirty` or differ between this state and `to`, in order, as `to` has them.
    pub(crate) fn differing<'a>(
        &'a self,
        to: &'a Self,
        dirty: &'a [u8],
    ) -> impl Iterator<Item = (usize, Option<&'a P>)> + 'a {
        let pages = dirty.len();
        let same = |at: usize| match (self.chunks.get(at), to.chunks.get(at)) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        let same_page = |at: usize| match (self.page(at), to.page(at)) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        dirty
            .chunks(CHUNK)
            .enumerate()
            .filter(move |(at, flags)| !same(*at) || any_set(flags))
            .flat_map(move |(at, _)| at * CHUNK..pages.min((at + 1) * CHUNK))
            .filter(move |&at| dirty[at] != 0 || !same_page(at))
            .map(|at| (at, to.page(at).map(Arc::as_ref)))
    }

    /// Bytes that nothing but this state holds: what dropping it gives back.
    pub(crate) fn own_bytes(&self) -> u64 {
        let mut bytes = self.chunks.len() * size_of::<Arc<Chunk<P>>>();
        for chunk in self.chunks.iter().filter(|c| Arc::strong_count(c) == 1) {
            bytes += size_of::<Chunk<P>>() + ARC_BYTES;
            for page in chunk.iter().flatten().filter(|p| Arc::strong_count(p) == 1) {
                bytes += size_of_val::<P>(page) + page.own_bytes() + ARC_BYTES;
            }
        }
        bytes as u64
    }
}

/// A saved page of items: a whole one, perhaps another state's too, and what differs from it.
#[derive(Debug)]
struct Items<T> {
    whole: Arc<[T]>,
    /// Where items differ, and what they are.
    places: Box<[u8]>,
    values: Box<[T]>,
}

impl<T> PageBytes for Items<T> {
    fn own_bytes(&self) -> usize {
        let whole =
            if Arc::strong_count(&self.whole) == 1 { size_of_val::<[T]>(&self.whole) + ARC_BYTES } else { 0 };
        whole + self.places.len() + size_of_val::<[T]>(&self.values)
    }
}

impl<T: Copy + PartialEq> Items<T> {
    /// With as much as possible from the page before.
    fn new(items: &[T], before: Option<&Self>) -> Self {
        /// With more changes than these the page is better whole.
        const MOST: usize = PAGE / 4;
        if let Some(before) = before.filter(|b| b.whole.len() == items.len()) {
            let mut places = [0_u8; MOST];
            let mut changes = 0;
            for (at, (item, old)) in items.iter().zip(before.whole.iter()).enumerate() {
                if item != old {
                    if let Some(place) = places.get_mut(changes) {
                        *place = at as u8;
                    }
                    changes += 1;
                }
            }
            if let Some(places) = places.get(..changes) {
                return Self {
                    whole: Arc::clone(&before.whole),
                    places: Box::from(places),
                    values: places.iter().map(|&at| items[usize::from(at)]).collect(),
                };
            }
        }
        Self { whole: Arc::from(items), places: Box::default(), values: Box::default() }
    }

    /// Writes them over `to`, which has their length.
    fn write(&self, to: &mut [T]) {
        to.copy_from_slice(&self.whole);
        for (&place, &value) in self.places.iter().zip(&self.values) {
            to[usize::from(place)] = value;
        }
    }
}

fn any_set(flags: &[u8]) -> bool {
    flags.iter().fold(0, |all, f| all | f) != 0
}

/// Numbers of the marked pages. Most are not marked, so whole stretches are looked at first.
pub(crate) fn marked(dirty: &[u8]) -> impl Iterator<Item = usize> + '_ {
    dirty.chunks(CHUNK).enumerate().filter(|(_, flags)| any_set(flags)).flat_map(|(at, flags)| {
        flags.iter().enumerate().filter(|(_, f)| **f != 0).map(move |(i, _)| at * CHUNK + i)
    })
}

/// A vector that knows which of its pages were written since it was last saved.
#[derive(Clone, Debug)]
pub(crate) struct Paged<T> {
    items: Vec<T>,
    dirty: Vec<u8>,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self { items: Vec::new(), dirty: Vec::new() }
    }
}

/// A saved [`Paged`].
#[derive(Clone, Debug)]
pub(crate) struct SavedPaged<T> {
    pages: Saved<Items<T>>,
    len: usize,
}

impl<T> Default for SavedPaged<T> {
    fn default() -> Self {
        Self { pages: Saved::default(), len: 0 }
    }
}

impl<T> SavedPaged<T> {
    /// See [`Saved::own_bytes`].
    pub(crate) fn own_bytes(&self) -> u64 {
        self.pages.own_bytes()
    }
}

impl<T: Copy + PartialEq> Paged<T> {
    /// `len` times the same item.
    pub(crate) fn new(item: T, len: usize) -> Self {
        Self { items: vec![item; len], dirty: vec![1; len.div_ceil(PAGE)] }
    }

    /// Items.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// All items.
    pub(crate) fn as_slice(&self) -> &[T] {
        &self.items
    }

    /// The item at an index.
    #[inline]
    pub(crate) fn get(&self, at: usize) -> T {
        self.items[at]
    }

    /// Writes an item and gives the old one.
    #[inline]
    pub(crate) fn replace(&mut self, at: usize, item: T) -> T {
        self.dirty[at >> PAGE_BITS] = 1;
        std::mem::replace(&mut self.items[at], item)
    }

    /// The items, and a byte for each page of `1 << PAGE_BITS` of them that must be set when one is written.
    pub(crate) fn parts(&mut self) -> (&mut [T], &mut [u8]) {
        (&mut self.items, &mut self.dirty)
    }

    /// Appends an item.
    pub(crate) fn push(&mut self, item: T) {
        let page = self.items.len() / PAGE;
        self.items.push(item);
        if page == self.dirty.len() {
            self.dirty.push(1);
        }
        self.dirty[page] = 1;
    }

    /// Drops the items from `len` on.
    pub(crate) fn truncate(&mut self, len: usize) {
        if len < self.items.len() {
            self.items.truncate(len);
            self.dirty.truncate(len.div_ceil(PAGE));
            // The page that was cut is saved with its new length.
            if let Some(last) = self.dirty.last_mut() {
                *last = 1;
            }
        }
    }

    /// Appends an item until there are `len`.
    pub(crate) fn grow(&mut self, len: usize, item: T) {
        while self.items.len() < len {
            self.push(item);
        }
    }

    /// Bytes it takes.
    pub(crate) fn state_bytes(&self) -> u64 {
        (self.items.capacity() * size_of::<T>() + self.dirty.capacity()) as u64
    }

    /// Saves the state; `base` must be the one saved or restored last. With the bytes not shared with it.
    pub(crate) fn save(&mut self, base: &SavedPaged<T>) -> (SavedPaged<T>, u64) {
        let items = &self.items;
        let (pages, bytes) = base.pages.with(&self.dirty, |at, before| {
            let from = at * PAGE;
            Arc::new(Items::new(&items[from..items.len().min(from + PAGE)], before))
        });
        self.dirty.fill(0);
        (SavedPaged { pages, len: items.len() }, bytes)
    }

    /// Goes to the state `to`; `base` as for [`Self::save`].
    pub(crate) fn restore(&mut self, base: &SavedPaged<T>, to: &SavedPaged<T>) {
        // What lies behind a shorter length is marked when it is reached again.
        self.items.truncate(to.len);
        self.dirty.truncate(to.len.div_ceil(PAGE));
        self.dirty.resize(to.len.div_ceil(PAGE), 1);
        for (at, page) in base.pages.differing(&to.pages, &self.dirty) {
            let Some(page) = page else { continue };
            let from = at * PAGE;
            // Pages come in order, so a longer table grows here without a gap.
            let to = from + page.whole.len();
            if self.items.len() < to {
                self.items.extend_from_slice(&page.whole[self.items.len() - from..]);
            }
            page.write(&mut self.items[from..to]);
        }
        self.dirty.fill(0);
    }
}
