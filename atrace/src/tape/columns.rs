//! The tape's columns as those of a block. Both hold the same numbers, so whole columns change hands.

use std::mem::swap;

use sim_core::domains::ObjectHeap;
use sim_core::tape::{Columns, IdRule, Packed};

use super::action::{put_action, take_action};
use crate::columns::Block;
use crate::prediction::Call;
use crate::varint::Numbers;
use crate::{columns, head};

/// Lends the tape's columns to a block, or takes them back: all but the actions, which have other forms.
pub(super) fn exchange(tape: &mut Columns, block: &mut Block) {
    swap(&mut tape.heads, &mut block.heads);
    swap(&mut tape.tight, &mut block.tight);
    swap(&mut tape.sizes, &mut block.sizes);
    swap(&mut tape.wide, &mut block.wide);
    swap(&mut tape.callocs, &mut block.callocs);
    swap(&mut tape.near, &mut block.near);
    swap(&mut tape.codes, &mut block.codes);
    swap(&mut tape.far, &mut block.far);
    swap(&mut tape.ids, &mut block.ids);
    let rule = match block.rule {
        columns::IdRule::Next => IdRule::Next,
        columns::IdRule::Slot => IdRule::Slot,
    };
    block.rule = match tape.id_rule {
        IdRule::Next => columns::IdRule::Next,
        IdRule::Slot => columns::IdRule::Slot,
    };
    tape.id_rule = rule;
}

/// The actions as they stand in a file.
pub(super) fn put_actions(tape: &Columns, block: &mut Block) {
    block.actions.clear();
    tape.actions.iter().for_each(|&action| put_action(&mut block.actions, action));
}

/// The actions of a block; `None` where it does not hold what it must.
pub(super) fn take_actions(block: &Block, tape: &mut Columns) -> Option<()> {
    tape.actions.clear();
    let mut from = Numbers(&block.actions);
    while !from.done() {
        tape.actions.push(take_action(&mut from)?);
    }
    Some(())
}

/// The number of a heap that objects go to.
pub(super) fn heap_code(heap: ObjectHeap) -> u8 {
    match heap {
        ObjectHeap::Object => 0,
        ObjectHeap::Gc => 1,
        ObjectHeap::GcPre => 2,
    }
}

/// The heap with a number.
pub(super) fn heap_of(code: u8) -> ObjectHeap {
    match code {
        0 => ObjectHeap::Object,
        1 => ObjectHeap::Gc,
        _ => ObjectHeap::GcPre,
    }
}

/// What the prediction needs of an operation.
#[inline]
pub(super) fn call(op: &Packed) -> Call {
    let null = if op.null { head::NULL } else { 0 };
    Call {
        head: op.kind as u8 | (op.domain as u8) << head::DOMAIN_SHIFT | null,
        slot: op.slot.0,
        size: op.size,
    }
}
