//! Rows of operations: columns of one length, and what hangs on single rows.

use std::collections::BTreeMap;

use super::column::Column;
use super::heads::{DOMAIN_SHIFT, GC_PRE_BIT, NEW_ID_BIT, NULL_BIT, WIDE_BIT, head_domain};
use super::{Kind, Packed};
use crate::addr::Slot;
use crate::domains::{Domain, ObjectHeap};

/// Operations in columns. Rows are counted from the first one here.
#[derive(Clone, Debug, Default)]
pub(super) struct Segment {
    pub(super) heads: Vec<u8>,
    pub(super) slots: Vec<u32>,
    pub(super) sizes: Vec<u32>,
    pub(super) ids: Ids,
    /// Realloc whose new id differs: row and id.
    newids: Vec<(u64, u64)>,
    /// Sizes that do not fit in a column's 32 bits: row and bytes.
    wide: BTreeMap<u64, u64>,
    /// Arguments of each calloc: row, elements, bytes of one.
    callocs: Vec<(u64, u64, u64)>,
    pub(super) threads: Column<u16>,
    /// The stack each operation comes from, where the recording has stacks.
    pub(super) stacks: Column<u32>,
    /// The pointer each call returned or freed in the recorded process, where the recording has it.
    pub(super) addresses: Column<u64>,
}

#[derive(Clone, Debug)]
pub(super) enum Ids {
    Narrow(Vec<u32>),
    Wide(Vec<u64>),
}

impl Default for Ids {
    fn default() -> Self {
        Self::Narrow(Vec::new())
    }
}

impl Ids {
    #[inline]
    fn push(&mut self, id: u64) {
        match self {
            Self::Wide(all) => all.push(id),
            Self::Narrow(all) => {
                if let Ok(id) = u32::try_from(id) {
                    all.push(id);
                } else {
                    self.widen();
                    self.push(id);
                }
            }
        }
    }

    /// Makes room for ids of 64 bits.
    fn widen(&mut self) {
        if let Self::Narrow(all) = self {
            *self = Self::Wide(all.iter().map(|&i| u64::from(i)).collect());
        }
    }

    pub(super) fn resize(&mut self, rows: usize) {
        match self {
            Self::Narrow(all) => all.resize(rows, 0),
            Self::Wide(all) => all.resize(rows, 0),
        }
    }

    pub(super) fn truncate(&mut self, rows: usize) {
        match self {
            Self::Narrow(all) => all.truncate(rows),
            Self::Wide(all) => all.truncate(rows),
        }
    }

    pub(super) fn get(&self, index: usize) -> u64 {
        match self {
            Self::Narrow(all) => u64::from(all[index]),
            Self::Wide(all) => all[index],
        }
    }
}

/// The columns that a machine needs, of the same length.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowsRef<'a> {
    pub(crate) heads: &'a [u8],
    pub(crate) slots: &'a [u32],
    pub(crate) sizes: &'a [u32],
}

impl<'a> RowsRef<'a> {
    /// Without the first `count`.
    #[inline]
    pub(crate) fn after(&self, count: usize) -> RowsRef<'a> {
        RowsRef { heads: &self.heads[count..], slots: &self.slots[count..], sizes: &self.sizes[count..] }
    }

    /// Whether it is malloc or calloc through MEM or OBJ with a size that its column holds.
    #[inline]
    pub(crate) fn is_small_malloc(head: u8) -> bool {
        const DOMAIN: u8 = 3 << DOMAIN_SHIFT;
        head & (6 | WIDE_BIT) == 0 && head & DOMAIN != 0
    }

    /// Whether it is free of a pointer that is not NULL by the trace's own word and not kept.
    #[inline]
    pub(crate) fn is_free(head: u8) -> bool {
        head & (7 | NULL_BIT) == Kind::Free as u8
    }
}

impl Segment {
    /// Rows.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.heads.len()
    }

    /// A row as the machine takes it. There must be one.
    #[inline]
    pub(super) fn packed(&self, row: usize) -> Packed {
        let head = self.heads[row];
        let size = if head & WIDE_BIT == 0 { u64::from(self.sizes[row]) } else { self.wide_size(row) };
        Packed {
            kind: Kind::of_code(head & 7),
            domain: head_domain(head),
            null: head & NULL_BIT != 0,
            slot: Slot(self.slots[row]),
            size,
        }
    }

    /// A size that its column cannot hold.
    #[cold]
    fn wide_size(&self, row: usize) -> u64 {
        self.wide.get(&(row as u64)).copied().unwrap_or(u64::MAX)
    }

    /// The columns from `from` to before `to`; they end with the rows.
    pub(super) fn range(&self, from: usize, to: usize) -> RowsRef<'_> {
        let to = to.min(self.heads.len());
        let range = from.min(to)..to;
        RowsRef {
            heads: &self.heads[range.clone()],
            slots: &self.slots[range.clone()],
            sizes: &self.sizes[range],
        }
    }

    /// The heap that a row's object goes to.
    #[inline]
    pub(super) fn object_heap(&self, row: usize) -> ObjectHeap {
        match self.heads.get(row) {
            Some(head) if (head >> DOMAIN_SHIFT) & 3 == 3 => {
                if head & GC_PRE_BIT == 0 {
                    ObjectHeap::Gc
                } else {
                    ObjectHeap::GcPre
                }
            }
            _ => ObjectHeap::Object,
        }
    }

    /// Gives a row's objects a heap of their own.
    pub(super) fn set_object_heap(&mut self, row: usize, is_gc_pre: bool) {
        if is_gc_pre {
            self.heads[row] |= GC_PRE_BIT;
        }
        self.heads[row] |= 3 << DOMAIN_SHIFT;
    }

    /// The id of the block once a row, a realloc, is done.
    #[inline]
    pub(super) fn newid(&self, row: usize) -> u64 {
        let renamed = self.newids.binary_search_by_key(&(row as u64), |n| n.0);
        renamed.map_or_else(|_| self.ids.get(row), |at| self.newids[at].1)
    }

    /// Elements and bytes of one that a row, a calloc, was called with, where they were kept.
    pub(super) fn calloc(&self, row: usize) -> Option<(u64, u64)> {
        let at = self.callocs.binary_search_by_key(&(row as u64), |c| c.0).ok()?;
        Some((self.callocs[at].1, self.callocs[at].2))
    }

    /// Lends the columns of slots, sizes and ids, the last for ids of 32 bits only where `narrow`.
    pub(super) fn take_columns(&mut self, narrow: bool) -> (Vec<u32>, Vec<u32>, Ids) {
        if !narrow {
            self.ids.widen();
        }
        (std::mem::take(&mut self.slots), std::mem::take(&mut self.sizes), std::mem::take(&mut self.ids))
    }

    pub(super) fn put_columns(&mut self, slots: Vec<u32>, sizes: Vec<u32>, ids: Ids) {
        (self.slots, self.sizes, self.ids) = (slots, sizes, ids);
    }

    /// Appends heads, which are as [`super::Columns`] has them, for rows whose other columns are there already.
    pub(super) fn append_heads(&mut self, heads: &[u8]) {
        let before = self.heads.len();
        self.heads.extend(heads.iter().map(|head| head & !NEW_ID_BIT));
        for &row in self.wide.range(before as u64..).map(|(row, _)| row) {
            self.heads[row as usize] |= WIDE_BIT;
        }
    }

    /// Appends a row. Calloc's arguments and a new id are kept before it.
    #[inline]
    pub(super) fn append(&mut self, kind: Kind, domain: Domain, null: bool, slot: u32, size: u64, id: u64) {
        let mut head = kind as u8 | ((domain as u8) << DOMAIN_SHIFT);
        if null {
            head |= NULL_BIT;
        }
        let narrow = u32::try_from(size);
        if narrow.is_err() {
            head |= WIDE_BIT;
            self.wide.insert(self.heads.len() as u64, size);
        }
        self.heads.push(head);
        self.slots.push(slot);
        self.sizes.push(narrow.unwrap_or(u32::MAX));
        self.ids.push(id);
    }

    pub(super) fn keep_calloc(&mut self, row: u64, nelem: u64, elsize: u64) {
        self.callocs.push((row, nelem, elsize));
    }

    pub(super) fn keep_newid(&mut self, row: u64, newid: u64) {
        self.newids.push((row, newid));
    }

    /// Keeps a size that has more than 32 bits.
    #[cold]
    pub(super) fn keep_wide(&mut self, row: u64, size: u64) {
        if u32::try_from(size).is_err() {
            self.wide.insert(row, size);
        }
    }

    /// The rows from `from` to before `to` as a segment of their own.
    pub(super) fn part(&self, from: usize, to: usize) -> Self {
        let to = to.min(self.len());
        let (first, end) = (from as u64, to as u64);
        let newids = &self.newids[self.newids.partition_point(|n| n.0 < first)..];
        let callocs = &self.callocs[self.callocs.partition_point(|c| c.0 < first)..];
        Self {
            heads: self.heads[from..to].to_vec(),
            slots: self.slots[from..to].to_vec(),
            sizes: self.sizes[from..to].to_vec(),
            ids: match &self.ids {
                Ids::Narrow(ids) => Ids::Narrow(ids[from..to].to_vec()),
                Ids::Wide(ids) => Ids::Wide(ids[from..to].to_vec()),
            },
            newids: newids.iter().take_while(|n| n.0 < end).map(|&(row, id)| (row - first, id)).collect(),
            wide: self.wide.range(first..end).map(|(row, &size)| (row - first, size)).collect(),
            callocs: callocs
                .iter()
                .take_while(|c| c.0 < end)
                .map(|&(row, n, s)| (row - first, n, s))
                .collect(),
            threads: self.threads.part(from, to),
            stacks: self.stacks.part(from, to),
            addresses: self.addresses.part(from, to),
        }
    }

    /// Drops all rows, and keeps the room for others.
    pub(super) fn clear(&mut self) {
        self.heads.clear();
        self.slots.clear();
        self.sizes.clear();
        match &mut self.ids {
            Ids::Narrow(ids) => ids.clear(),
            Ids::Wide(ids) => ids.clear(),
        }
        self.newids.clear();
        self.wide.clear();
        self.callocs.clear();
        self.threads.clear();
        self.stacks.clear();
        self.addresses.clear();
    }

    /// Columns grow by doubling; what is finished keeps no more than it needs.
    pub(super) fn shrink(&mut self) {
        self.heads.shrink_to_fit();
        self.slots.shrink_to_fit();
        self.sizes.shrink_to_fit();
        match &mut self.ids {
            Ids::Narrow(ids) => ids.shrink_to_fit(),
            Ids::Wide(ids) => ids.shrink_to_fit(),
        }
    }

    /// Makes room for at least so many more rows, and no more; without it columns grow by doubling.
    pub(super) fn reserve(&mut self, rows: usize) {
        // Where there is no room for so many, the rows may still turn out to be fewer.
        let _ = self.heads.try_reserve_exact(rows);
        let _ = self.slots.try_reserve_exact(rows);
        let _ = self.sizes.try_reserve_exact(rows);
        let _ = match &mut self.ids {
            Ids::Narrow(ids) => ids.try_reserve_exact(rows),
            Ids::Wide(ids) => ids.try_reserve_exact(rows),
        };
    }

    /// Rows for which there is room without moving the columns.
    pub(super) fn room(&self) -> usize {
        self.heads.capacity() - self.heads.len()
    }

    /// Bytes that the rows take.
    pub(super) fn state_bytes(&self) -> u64 {
        let ids = match &self.ids {
            Ids::Narrow(v) => v.len() * 4,
            Ids::Wide(v) => v.len() * 8,
        };
        (self.heads.len()
            + self.slots.len() * 4
            + self.sizes.len() * 4
            + ids
            + self.callocs.len() * 24
            + self.newids.len() * 16) as u64
            + self.threads.state_bytes()
            + self.stacks.state_bytes()
            + self.addresses.state_bytes()
    }
}
