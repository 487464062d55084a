//! What a trace's author calls its blocks, in a trace that has names for them.

use std::collections::BTreeMap;

use sim_core::arena::{ArenaBackend as _, Target};
use sim_core::{Addr, Kind, Machine, Slot, Trace};

use crate::facts;

/// Who is called how, at every step of a trace.
#[derive(Debug, Default)]
pub struct Names {
    /// For each slot the operations that put a block there, and the block's name.
    births: BTreeMap<u32, Vec<(u64, String)>>,
}

/// Traces longer than this were written by no hand.
const OPERATIONS_MAX: u64 = 1_000_000;

impl Names {
    /// Reads who is born where; nothing in a trace without names.
    pub fn of(trace: &Trace) -> Self {
        let names: BTreeMap<u64, &String> = trace.head.names.iter().map(|(id, name)| (*id, name)).collect();
        let mut births: BTreeMap<u32, Vec<(u64, String)>> = BTreeMap::new();
        if names.is_empty() || trace.len() > OPERATIONS_MAX {
            return Self::default();
        }
        for index in 0..trace.len() {
            let op = trace.packed(index as usize);
            let id = match op.kind {
                Kind::Malloc | Kind::Calloc => trace.id_of(index as usize),
                Kind::Realloc => trace.newid_of(index as usize),
                Kind::Free | Kind::FreeKeep | Kind::Act => continue,
            };
            if let Some(name) = names.get(&id) {
                births.entry(op.slot.0).or_default().push((index, (*name).clone()));
            }
        }
        Self { births }
    }

    /// The named blocks of a machine that has done `step` operations, by address. Under debug hooks a program's pointer lies
    /// in a block; its block is meant.
    pub fn at(&self, machine: &Machine, step: u64) -> Vec<(Addr, String)> {
        if self.births.is_empty() {
            return Vec::new();
        }
        let heap = machine.pymalloc();
        let pymallocs = machine.live().filter_map(|(slot, target)| match (machine.address(slot), target) {
            (Some(addr), _) => Some((slot, facts::block_at(heap, addr).map_or(addr, |block| block.addr))),
            (None, Target::Block(block)) => Some((slot, heap.memory().block_addr(block))),
            (None, Target::Raw(_) | Target::Null) => None,
        });
        let mimallocs =
            machine.mimalloc_blocks().filter_map(|(slot, _)| Some((slot, machine.address(slot)?)));
        let named = |(slot, addr): (Slot, Addr)| {
            let births = self.births.get(&slot.0)?;
            let at = births.partition_point(|(index, _)| *index < step);
            Some((addr, births.get(at.checked_sub(1)?)?.1.clone()))
        };
        let mut found: Vec<(Addr, String)> = pymallocs.chain(mimallocs).filter_map(named).collect();
        found.sort_unstable();
        found
    }
}
