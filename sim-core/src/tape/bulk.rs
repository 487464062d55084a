//! Many operations at once, from columns: no id is looked up, yet nothing passes that cannot stand.
//!
//! A file that keeps operations in columns names a block by its slot, by how many births ago it was born or by where it
//! stands in the order of live blocks, and gives an id only where it is not the one expected. What remains to be checked is that a slot
//! is live, that its family fits, and that an id which is not newer than all others is nobody else's.

use super::builder::{Family, Naming, SlotBlock, family, takes_family};
use super::columns::{Columns, IdRule, SIZE_COLUMNS, size_column};
use super::heads::{DOMAIN_OF_BLOCK, DOMAIN_SHIFT, NEW_ID_BIT, NULL_BIT, WIDE_BIT, count_heads, head_domain};
use super::order::{BirthOrder, JUMP};
use super::segment::Ids;
use super::{Action, Kind, StackId, TapeError, TraceBuilder};
use crate::domains::{Domain, ObjectHeap};

/// Where rows go: the tape's columns of slots, sizes and ids from the first new row on.
struct Out<'a, I> {
    slots: &'a mut [u32],
    sizes: &'a mut [u32],
    ids: &'a mut [I],
    heads: &'a mut [u8],
    /// Rows done.
    done: usize,
}

/// The next value of a column.
struct Next<'a, T>(std::slice::Iter<'a, T>, &'static str);

impl<T: Copy> Next<'_, T> {
    #[inline]
    fn take(&mut self) -> Result<T, TapeError> {
        self.0.next().copied().ok_or(TapeError::Columns(self.1))
    }
}

impl TraceBuilder {
    /// Appends operations from columns, checked as [`TraceBuilder::push`] checks them. After an error the
    /// operations before the wrong one are there.
    pub fn extend_rows(&mut self, rows: &Columns) -> Result<(), TapeError> {
        let counts = count_heads(&rows.heads, rows.tight).map_err(TapeError::Head)?;
        self.name_by_slot();
        let order = if rows.tight { self.take_order() } else { BirthOrder::default() };
        let mut columns = Cursor {
            sizes: std::array::from_fn(|column| Next(rows.sizes[column].iter(), "sizes")),
            wide: Next(rows.wide.iter(), "wide sizes"),
            callocs: Next(rows.callocs.iter(), "arguments of calloc"),
            near: Next(rows.near.iter(), "uses"),
            codes: Next(rows.codes.iter(), "uses"),
            far: Next(rows.far.iter(), "slots"),
            ids: rows.ids.iter(),
            next_id: rows.ids.first().map_or(u32::MAX, |i| i.0),
            actions: Next(rows.actions.iter(), "actions"),
            births: std::mem::take(&mut self.births),
            order,
            after_free: false,
        };
        columns.births.clear();
        // Those of tight columns may have to be told their domain.
        let mut heads = std::mem::take(&mut self.heads);
        heads.clear();
        if rows.tight {
            heads.extend_from_slice(&rows.heads);
        }
        // The ids that are told grow by one a row, and are narrow where the given ones are.
        let given = rows.ids.iter().map(|i| i.1).fold(self.max_id, u64::max);
        let narrow = given.saturating_add(2 * rows.heads.len() as u64) < u64::from(u32::MAX);
        let (mut slots, mut sizes, mut ids) = self.trace.rows.end_mut().take_columns(narrow);
        let (from, to) = (slots.len(), slots.len() + rows.heads.len());
        slots.resize(to, 0);
        sizes.resize(to, 0);
        ids.resize(to);
        let (new_slots, new_sizes) = (&mut slots[from..], &mut sizes[from..]);
        let (rows_done, done) = match &mut ids {
            Ids::Narrow(ids) => {
                let ids = &mut ids[from..];
                let mut out = Out { slots: new_slots, sizes: new_sizes, ids, heads: &mut heads, done: 0 };
                let done = if rows.tight {
                    self.extend::<_, true>(rows, &mut columns, &mut out, |id| id as u32)
                } else {
                    self.extend::<_, false>(rows, &mut columns, &mut out, |id| id as u32)
                };
                (out.done, done)
            }
            Ids::Wide(ids) => {
                let ids = &mut ids[from..];
                let mut out = Out { slots: new_slots, sizes: new_sizes, ids, heads: &mut heads, done: 0 };
                let done = if rows.tight {
                    self.extend::<_, true>(rows, &mut columns, &mut out, |id| id)
                } else {
                    self.extend::<_, false>(rows, &mut columns, &mut out, |id| id)
                };
                (out.done, done)
            }
        };
        let left = columns.left();
        self.births = columns.births;
        // After an error it may not know the last block.
        self.order = (rows.tight && done.is_ok()).then_some(columns.order);
        slots.truncate(from + rows_done);
        sizes.truncate(from + rows_done);
        ids.truncate(from + rows_done);
        self.trace.rows.end_mut().put_columns(slots, sizes, ids);
        let kept = if rows.tight { &heads[..rows_done] } else { &rows.heads[..rows_done] };
        let same = !rows.tight && done.is_ok();
        self.trace.append_heads(
            kept,
            &if same { counts } else { count_heads(kept, false).map_err(TapeError::Head)? },
        );
        self.heads = heads;
        done?;
        if left { Err(TapeError::Columns("end of a column")) } else { Ok(()) }
    }

    // Each kind of columns has a loop of its own.
    #[inline(never)]
    fn extend<I, const TIGHT: bool>(
        &mut self,
        rows: &Columns,
        columns: &mut Cursor<'_>,
        out: &mut Out<'_, I>,
        as_id: impl Fn(u64) -> I,
    ) -> Result<(), TapeError> {
        let rule = rows.id_rule;
        let (before, first) = (self.trace.rows.end().len() as u64, self.len());
        let places = out.slots.iter_mut().zip(out.sizes.iter_mut()).zip(out.ids.iter_mut());
        for ((row, &head), ((slot_out, size_out), id_out)) in rows.heads.iter().enumerate().zip(places) {
            let row = row as u32;
            let (index, born) = (before + u64::from(row), first + u64::from(row));
            let domain = head_domain(head);
            let (slot, size, id) = match head & 7 {
                0 => {
                    let size = columns.size::<TIGHT>(head, domain)?;
                    let slot = self.birth_at(born, domain, size)?;
                    let id = self.give_id(slot, columns.id(row), rule, false)?;
                    columns.born::<TIGHT>(slot);
                    (slot, size, id)
                }
                1 => {
                    let (nelem, elsize) = columns.callocs.take()?;
                    let size = nelem.saturating_mul(elsize);
                    let slot = self.birth_at(born, domain, size)?;
                    let id = self.give_id(slot, columns.id(row), rule, false)?;
                    columns.born::<TIGHT>(slot);
                    self.trace.rows.end_mut().keep_calloc(index, nelem, elsize);
                    (slot, size, id)
                }
                2 if head & NULL_BIT != 0 => {
                    let size = columns.size::<TIGHT>(head, domain)?;
                    let slot = self.birth_at(born, domain, size)?;
                    let id = self.give_id(slot, columns.id(row), rule, false)?;
                    columns.born::<TIGHT>(slot);
                    (slot, size, id)
                }
                2 => {
                    let size = columns.size::<TIGHT>(head, domain)?;
                    let (slot, id, domain) = self.used::<TIGHT>(columns, head, out.heads, row)?;
                    if head & NEW_ID_BIT != 0 {
                        let newid = self.give_id(slot, columns.id(row), rule, true)?;
                        self.trace.rows.end_mut().keep_newid(index, newid);
                    }
                    takes_family(&mut self.slots[slot as usize], domain, size);
                    columns.gone::<TIGHT>(slot);
                    columns.born::<TIGHT>(slot);
                    (slot, size, id)
                }
                3 if head & NULL_BIT != 0 => (0, 0, 0),
                3 => {
                    let (slot, id, _) = self.used::<TIGHT>(columns, head, out.heads, row)?;
                    columns.gone::<TIGHT>(slot);
                    self.release_slot(slot);
                    (slot, 0, id)
                }
                4 => {
                    let (slot, id, _) = self.used::<TIGHT>(columns, head, out.heads, row)?;
                    columns.stays::<TIGHT>(slot);
                    self.trace.rows.tally.needs_layers = true;
                    (slot, 0, id)
                }
                _ => self.act::<TIGHT>(columns, (row, born), domain, head, rule)?,
            };
            if size >= u64::from(u32::MAX) {
                self.trace.rows.end_mut().keep_wide(index, size);
            }
            if TIGHT {
                columns.after_free = head & 7 == Kind::Free as u8;
            }
            (*slot_out, *size_out, *id_out) = (slot, u32::try_from(size).unwrap_or(u32::MAX), as_id(id));
            out.done = row as usize + 1;
        }
        Ok(())
    }

    #[cold]
    fn act<const TIGHT: bool>(
        &mut self,
        columns: &mut Cursor<'_>,
        (row, born): (u32, u64),
        domain: Domain,
        head: u8,
        rule: IdRule,
    ) -> Result<(u32, u64, u64), TapeError> {
        let mut action = columns.actions.take()?;
        let null = head & NULL_BIT != 0;
        if null == names_block(action, null) {
            return Err(TapeError::Head(head));
        }
        self.check_action(action)?;
        let mut about = (0, 0);
        match &mut action {
            Action::VirtualAlloc { id, size } => {
                let slot = self.birth_at(born, domain, *size)?;
                *id = self.give_id(slot, columns.id(row), rule, false)?;
                self.slots[slot as usize].family = Family::Chunk;
                columns.born::<TIGHT>(slot);
                about = (slot, *id);
            }
            Action::FreeDelayed { id, .. } if !null => {
                about = self.slot::<TIGHT>(columns)?;
                self.check_family(about.0, about.1, domain)?;
                *id = about.1;
                columns.gone::<TIGHT>(about.0);
                self.release_slot(about.0);
            }
            Action::VirtualFree { id } => {
                about = self.slot::<TIGHT>(columns)?;
                *id = about.1;
                if self.slots[about.0 as usize].family != Family::Chunk {
                    return Err(TapeError::NotAChunk { id: *id });
                }
                columns.gone::<TIGHT>(about.0);
                self.release_slot(about.0);
            }
            Action::Poke { id, .. } | Action::Track { id, .. } | Action::Untrack { id, .. } => {
                about = self.slot::<TIGHT>(columns)?;
                columns.stays::<TIGHT>(about.0);
                *id = about.1;
            }
            Action::Stack(stack) => self.use_stack(*stack)?,
            _ => {}
        }
        let number = self.trace.rows.keep_action(action);
        match action.of_mimalloc() {
            Some(name) => self.trace.rows.keep_first_of_mimalloc(born, name),
            None => self.trace.rows.tally.needs_layers = true,
        }
        Ok((about.0, number, about.1))
    }

    fn use_stack(&mut self, stack: StackId) -> Result<(), TapeError> {
        if stack.0 > self.trace.origin.stacks.len() {
            return Err(TapeError::UnknownStack(stack.0));
        }
        self.trace.origin.stacks.mark_used(stack);
        Ok(())
    }

    /// Slot and id of the block that is used next.
    #[inline]
    fn slot<const TIGHT: bool>(&self, columns: &mut Cursor<'_>) -> Result<(u32, u64), TapeError> {
        let slot = if TIGHT {
            let code = columns.codes.take()?;
            if code == JUMP {
                columns.order.jump();
                columns.far.take()?
            } else {
                columns.order.slot(code).ok_or(TapeError::UnknownUse(u32::from(code)))?
            }
        } else {
            let back = columns.near.take()?;
            if back == 0 {
                columns.far.take()?
            } else {
                let at = columns.births.len().checked_sub(back as usize);
                *at.and_then(|at| columns.births.get(at)).ok_or(TapeError::UnknownUse(back))?
            }
        };
        match self.slots.get(slot as usize) {
            Some(block) if block.family != Family::None => Ok((slot, block.id)),
            _ => Err(TapeError::UnknownSlot { slot }),
        }
    }

    /// The same with the domain of the call: its family is checked, or the head is told its domain.
    #[inline]
    fn used<const TIGHT: bool>(
        &self,
        columns: &mut Cursor<'_>,
        head: u8,
        heads: &mut [u8],
        row: u32,
    ) -> Result<(u32, u64, Domain), TapeError> {
        let (slot, id) = self.slot::<TIGHT>(columns)?;
        if TIGHT && head & DOMAIN_OF_BLOCK == DOMAIN_OF_BLOCK {
            let domain = self.slots[slot as usize].domain;
            heads[row as usize] = head & !DOMAIN_OF_BLOCK | (domain as u8) << DOMAIN_SHIFT;
            return Ok((slot, id, domain));
        }
        let domain = head_domain(head);
        self.check_family(slot, id, domain)?;
        Ok((slot, id, domain))
    }

    /// The id that a rule expects for the block in a slot.
    #[inline]
    pub(super) fn expected_id(&self, slot: u32, rule: IdRule, renamed: bool) -> u64 {
        let old = self.slots[slot as usize].id;
        match rule {
            IdRule::Slot if old != 0 && !renamed => old,
            IdRule::Slot => self.max_id.wrapping_add(1),
            IdRule::Next => self.last_id.wrapping_add(1),
        }
    }

    /// Gives the block in a slot its id: the one given, else by the rule.
    #[expect(clippy::inline_always, reason = "it is called for each birth, and was not inlined")]
    #[inline(always)]
    fn give_id(
        &mut self,
        slot: u32,
        given: Option<u64>,
        rule: IdRule,
        renamed: bool,
    ) -> Result<u64, TapeError> {
        let id = given.unwrap_or_else(|| self.expected_id(slot, rule, renamed));
        self.set_id(slot, id)?;
        Ok(id)
    }

    /// Names the block in a slot, if nobody else has the name.
    #[expect(clippy::inline_always, reason = "it is called for each birth, and was not inlined")]
    #[inline(always)]
    pub(super) fn set_id(&mut self, slot: u32, id: u64) -> Result<(), TapeError> {
        let old = self.slots[slot as usize].id;
        self.last_id = id;
        if id > self.max_id {
            self.max_id = id;
        } else if id != old || id == 0 {
            self.take_over(id)?;
        } else {
            return Ok(());
        }
        self.slots[slot as usize].id = id;
        if self.naming == Naming::AllSlots {
            self.names.remove(old);
            self.set_name(id, slot);
        }
        Ok(())
    }

    /// An id that is not newer than all others: the block that had it must be gone, and its slot loses it.
    #[cold]
    fn take_over(&mut self, id: u64) -> Result<(), TapeError> {
        if id == 0 {
            return Err(TapeError::IdZero);
        }
        if self.naming != Naming::AllSlots {
            self.naming = Naming::AllSlots;
            for slot in 0..self.slots.len() {
                let id = self.slots[slot].id;
                if id != 0 {
                    self.set_name(id, slot as u32);
                }
            }
        }
        let Some(owner) = self.names.get(id) else { return Ok(()) };
        let owner = &mut self.slots[owner as usize];
        if owner.family != Family::None {
            return Err(TapeError::IdInUse { id, born: owner.born + 1 });
        }
        owner.id = 0;
        self.names.remove(id);
        Ok(())
    }

    /// From here on blocks are known by slot alone; ids of dead blocks are forgotten, since those that
    /// [`Self::push`] gave may stand in several slots.
    pub(super) fn name_by_slot(&mut self) {
        if self.naming == Naming::LiveBlocks {
            self.naming = Naming::BySlot;
            self.names = super::names::Names::default();
            for block in &mut self.slots {
                if block.family == Family::None {
                    block.id = 0;
                }
            }
        }
    }

    /// Threads of the last rows, as lengths of runs; rows after them are on thread 0.
    pub fn extend_threads(&mut self, rows: usize, runs: &[(u32, u16)]) -> Result<(), TapeError> {
        let mut at = self.trace.rows.end().len().checked_sub(rows).ok_or(TapeError::Columns("threads"))?;
        let end = at + rows;
        for &(length, thread) in runs {
            let next = at + length as usize;
            if next > end {
                return Err(TapeError::Columns("threads"));
            }
            self.trace.rows.set_threads(at, next, thread);
            at = next;
        }
        self.trace.rows.set_threads(at, end, 0);
        Ok(())
    }

    /// The heaps that objects of the last rows go to, as lengths of runs; those after them to no heap of their own.
    pub fn extend_object_heaps(&mut self, rows: usize, runs: &[(u32, ObjectHeap)]) -> Result<(), TapeError> {
        const WHAT: &str = "object heaps";
        let mut at = self.trace.rows.end().len().checked_sub(rows).ok_or(TapeError::Columns(WHAT))?;
        let end = at + rows;
        for &(length, heap) in runs {
            let next = at + length as usize;
            if next > end {
                return Err(TapeError::Columns(WHAT));
            }
            if heap != ObjectHeap::Object {
                for row in at..next {
                    if self.trace.rows.end().packed(row).domain != Domain::Obj {
                        return Err(TapeError::Columns(WHAT));
                    }
                    self.trace.set_object_heap(row, heap);
                }
            }
            at = next;
        }
        Ok(())
    }

    /// The stack of each of the last rows. All must be in the trace's table.
    pub fn extend_stacks(&mut self, stacks: &[u32]) -> Result<(), TapeError> {
        let at = self.trace.rows.end().len().checked_sub(stacks.len()).ok_or(TapeError::Columns("stacks"))?;
        if let Some(&wrong) = stacks.iter().find(|&&s| s > self.trace.origin.stacks.len()) {
            return Err(TapeError::UnknownStack(wrong));
        }
        self.trace.rows.set_stacks(at, stacks, &mut self.trace.origin.stacks);
        Ok(())
    }

    /// The recorded pointer of each of the last rows, 0 for none.
    pub fn extend_addresses(&mut self, addresses: &[u64]) -> Result<(), TapeError> {
        let at = self
            .trace
            .rows
            .end()
            .len()
            .checked_sub(addresses.len())
            .ok_or(TapeError::Columns("addresses"))?;
        self.trace.rows.end_mut().addresses.set_all(at, addresses);
        Ok(())
    }

    /// A slot for a new block, its id to follow.
    #[inline]
    pub(super) fn birth(&mut self, domain: Domain, size: u64) -> Result<u32, TapeError> {
        self.birth_at(self.len(), domain, size)
    }

    #[inline]
    fn birth_at(&mut self, born: u64, domain: Domain, size: u64) -> Result<u32, TapeError> {
        let family = if size > i64::MAX as u64 { Family::Null } else { family(domain) };
        self.take_slot(SlotBlock { born, id: 0, family, domain })
    }
}

/// Where the loop is in each column.
struct Cursor<'a> {
    sizes: [Next<'a, u32>; SIZE_COLUMNS],
    wide: Next<'a, u64>,
    callocs: Next<'a, (u64, u64)>,
    near: Next<'a, u32>,
    codes: Next<'a, u8>,
    far: Next<'a, u32>,
    ids: std::slice::Iter<'a, (u32, u64)>,
    /// The row of the next id that is given.
    next_id: u32,
    actions: Next<'a, Action>,
    /// Not tight: slots by birth.
    births: Vec<u32>,
    /// Tight: all live blocks.
    order: BirthOrder,
    /// The row before is a free.
    after_free: bool,
}

impl Cursor<'_> {
    #[inline]
    fn born<const TIGHT: bool>(&mut self, slot: u32) {
        if TIGHT { self.order.born(slot) } else { self.births.push(slot) }
    }

    #[inline]
    fn gone<const TIGHT: bool>(&mut self, slot: u32) {
        if TIGHT {
            self.order.gone(slot);
        }
    }

    #[inline]
    fn stays<const TIGHT: bool>(&mut self, slot: u32) {
        if TIGHT {
            self.order.used(slot);
        }
    }

    #[inline]
    fn size<const TIGHT: bool>(&mut self, head: u8, domain: Domain) -> Result<u64, TapeError> {
        if head & WIDE_BIT != 0 {
            return self.wide.take();
        }
        if !TIGHT {
            return self.sizes[SIZE_COLUMNS - 1].take().map(u64::from);
        }
        let realloc = head & (7 | NULL_BIT) == Kind::Realloc as u8;
        self.sizes[size_column(realloc, domain, self.after_free)].take().map(u64::from)
    }

    #[inline]
    fn id(&mut self, row: u32) -> Option<u64> {
        if row != self.next_id {
            return None;
        }
        let given = self.ids.next().map(|i| i.1);
        self.next_id = self.ids.as_slice().first().map_or(u32::MAX, |i| i.0);
        given
    }

    /// Whether a column has values that no operation asked for.
    fn left(&self) -> bool {
        self.sizes.iter().map(|sizes| sizes.0.len()).sum::<usize>()
            + self.wide.0.len()
            + self.callocs.0.len()
            + self.near.0.len()
            + self.codes.0.len()
            + self.far.0.len()
            + self.ids.len()
            + self.actions.0.len()
            > 0
    }
}

/// Whether an action is about a block, its head's word taken where it may be or not.
fn names_block(action: Action, null: bool) -> bool {
    match action {
        Action::FreeDelayed { .. } => !null,
        Action::VirtualAlloc { .. }
        | Action::VirtualFree { .. }
        | Action::Poke { .. }
        | Action::Track { .. }
        | Action::Untrack { .. } => true,
        _ => false,
    }
}
