//! A trace's operations as columns: the way back from [`TraceBuilder::extend_rows`].

use std::sync::Arc;

use super::builder::{Family, takes_family};
use super::columns::{Columns, IdRule, SIZE_COLUMNS, size_column};
use super::heads::{DOMAIN_OF_BLOCK, NEW_ID_BIT, NULL_BIT, WIDE_BIT};
use super::order::{BirthOrder, JUMP};
use super::{Action, Kind, TapeError, Trace, TraceBuilder, TraceState};
use crate::picture::ProcessPicture;

/// Splits operations into columns, block after block. It knows at each moment what a reader of them knows.
#[derive(Debug, Default)]
pub struct Splitter {
    state: TraceBuilder,
    /// By slot: births up to that of its block, as far as columns are not tight.
    born: Vec<u64>,
    births: u64,
    /// Births before the block that is being filled.
    block: u64,
    /// The last row of the block that is being filled is a free.
    after_free: bool,
}

impl Splitter {
    /// Begins with the blocks of a picture, see [`TraceBuilder::begin_with`].
    pub fn begin_with(&mut self, picture: Arc<ProcessPicture>) -> Result<(), TapeError> {
        self.state.begin_with(picture)
    }

    /// Of a trace from its beginning on.
    fn of(trace: &Trace) -> Self {
        let mut splitter = Self::default();
        if let Some(picture) = &trace.origin.picture {
            // One that cannot begin is refused when it is written.
            let _ = splitter.begin_with(Arc::clone(picture));
        }
        splitter
    }

    /// What the first operations of a trace become, at most so many, with these rules and no more than that.
    pub fn try_first(trace: &Trace, rows: usize, columns: &mut Columns) {
        // A trace that cannot be split is refused when it is written.
        let _ = Self::of(trace).split(trace, 0, rows, columns);
    }

    /// Forgets what a reader that begins here does not know, see [`TraceBuilder::forget_uses`].
    pub fn forget_uses(&mut self) {
        self.state.forget_uses();
    }

    /// What a reader needs to go on from here.
    pub fn state(&self) -> TraceState {
        self.state.state()
    }

    /// Slots in use so far.
    pub fn slot_count(&self) -> u32 {
        self.state.trace().slot_count()
    }

    /// Appends the operations of `trace` after `index` others to `columns`, at most `rows` of them. All
    /// operations of the trace must come in order; empty columns begin a block of their own.
    pub fn split(
        &mut self,
        trace: &Trace,
        index: usize,
        rows: usize,
        columns: &mut Columns,
    ) -> Result<(), TapeError> {
        if trace.first() + index as u64 != self.state.len() {
            return Err(TapeError::Columns("operations"));
        }
        self.state.name_by_slot();
        if columns.heads.is_empty() {
            self.block = self.births;
            self.after_free = false;
        }
        let mut order = columns.tight.then(|| self.state.take_order());
        let mut rows = index..(index + rows).min(trace.len() as usize);
        let done = rows.try_for_each(|i| self.row(trace, i, &mut order, columns));
        self.state.order = order;
        done
    }

    fn row(
        &mut self,
        trace: &Trace,
        index: usize,
        order: &mut Option<BirthOrder>,
        columns: &mut Columns,
    ) -> Result<(), TapeError> {
        let op = trace.packed(index);
        let row = columns.heads.len() as u32;
        let mut head = op.kind as u8 | (op.domain as u8) << 3;
        let slot = op.slot.0;
        let action = if op.kind == Kind::Act { trace.action(op.size) } else { None };
        if let Some(action) = action {
            self.state.check_action(action)?;
        }
        let used = match op.kind {
            Kind::Malloc | Kind::Calloc => false,
            Kind::Realloc | Kind::Free => !op.null,
            Kind::FreeKeep => true,
            Kind::Act => !op.null && !matches!(action, Some(Action::VirtualAlloc { .. })),
        };
        if used {
            self.check_live(slot)?;
            let is_far = if let Some(order) = order {
                if op.kind != Kind::Act && self.state.slots[slot as usize].domain == op.domain {
                    head |= DOMAIN_OF_BLOCK;
                }
                let code = order.code(slot);
                columns.codes.push(code);
                let goes = matches!(op.kind, Kind::Realloc | Kind::Free)
                    || matches!(action, Some(Action::FreeDelayed { .. } | Action::VirtualFree { .. }));
                if goes {
                    order.gone(slot);
                } else {
                    order.used(slot);
                }
                code == JUMP
            } else {
                let born = self.born.get(slot as usize).copied().filter(|&born| born > self.block);
                let back = born.map_or(0, |born| self.births + 1 - born);
                columns.near.push(back as u32);
                back == 0
            };
            if is_far {
                columns.far.push(slot);
            }
        }
        if op.null {
            head |= NULL_BIT;
        }
        let birth = match (op.kind, action) {
            (Kind::Malloc | Kind::Calloc, _) => Some(op.size),
            (Kind::Realloc, _) if op.null => Some(op.size),
            (_, Some(Action::VirtualAlloc { size, .. })) => Some(size),
            _ => None,
        };
        if let Some(size) = birth
            && self.state.birth(op.domain, size)? != slot
        {
            return Err(TapeError::UnknownSlot { slot });
        }
        let birth = birth.is_some();
        if birth || op.kind == Kind::Realloc {
            let id = if birth { trace.id_of(index) } else { trace.newid_of(index) };
            let renamed = !birth && id != trace.id_of(index);
            if renamed {
                head |= NEW_ID_BIT;
            }
            if birth || renamed {
                self.name_row(row, slot, id, renamed, columns)?;
            }
            if let Some(order) = order {
                order.born(slot);
            } else {
                self.born.resize(self.state.slots.len(), 0);
                self.births += 1;
                self.born[slot as usize] = self.births;
            }
        }
        match op.kind {
            Kind::Malloc | Kind::Realloc => {
                if let Ok(size) = u32::try_from(op.size) {
                    let realloc = op.kind == Kind::Realloc && !op.null;
                    let column = if order.is_some() {
                        size_column(realloc, op.domain, self.after_free)
                    } else {
                        SIZE_COLUMNS - 1
                    };
                    columns.sizes[column].push(size);
                } else {
                    head |= WIDE_BIT;
                    columns.wide.push(op.size);
                }
            }
            Kind::Calloc => columns.callocs.push(trace.calloc_of(index)),
            Kind::Free if !op.null => self.state.release_slot(slot),
            Kind::Act => {
                columns.actions.extend(action);
                match action {
                    Some(Action::VirtualAlloc { .. }) => {
                        self.state.slots[slot as usize].family = Family::Chunk;
                    }
                    Some(Action::FreeDelayed { .. } | Action::VirtualFree { .. }) if !op.null => {
                        self.state.release_slot(slot);
                    }
                    _ => {}
                }
            }
            Kind::Free | Kind::FreeKeep => {}
        }
        if op.kind == Kind::Realloc && !op.null {
            takes_family(&mut self.state.slots[slot as usize], op.domain, op.size);
        }
        columns.heads.push(head);
        self.after_free = op.kind == Kind::Free;
        self.state.trace.rows.tally.needs_layers |=
            op.kind == Kind::FreeKeep || action.is_some_and(|a| a.of_mimalloc().is_none());
        self.state.trace.rows.tally.first += 1;
        Ok(())
    }

    fn name_row(
        &mut self,
        row: u32,
        slot: u32,
        id: u64,
        renamed: bool,
        columns: &mut Columns,
    ) -> Result<(), TapeError> {
        if id != self.state.expected_id(slot, columns.id_rule, renamed) {
            columns.ids.push((row, id));
        }
        self.state.set_id(slot, id)
    }

    fn check_live(&self, slot: u32) -> Result<(), TapeError> {
        match self.state.slots.get(slot as usize) {
            Some(block) if block.family != Family::None => Ok(()),
            _ => Err(TapeError::UnknownSlot { slot }),
        }
    }

    /// The rule that tells more of the ids of a trace's first operations.
    pub fn better_rule(trace: &Trace, rows: usize) -> IdRule {
        let told = |id_rule| {
            let mut columns = Columns { id_rule, ..Columns::default() };
            Self::try_first(trace, rows, &mut columns);
            columns.ids.len()
        };
        if told(IdRule::Slot) < told(IdRule::Next) { IdRule::Slot } else { IdRule::Next }
    }
}
