//! The fewest sites whose blocks, never allocated, would leave so many bytes less at the end.
//!
//! Greedy: of the sites whose blocks lie in arenas at the end those that pin most are tried, each by a run without it, and the one that
//! leaves least is taken; then the next one beside it. What a site pins is only guessed, by its share of the blocks of each arena, and decides
//! no more than who is tried. In the end a site that was not needed after all is put back.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sim_core::arena::{ArenaBackend as _, Target};
use sim_core::{Machine, Trace};
use thiserror::Error;

use super::edit::{Deed, Edit, EditError, edit};
use super::matching::MatchError;
use super::run::{Allocator, CellError};
use crate::actions::{stack_at, stack_changes};
use crate::diagnosis::key::has_stacks;
use crate::diagnosis::meant::site_label;
use crate::diagnosis::{Births, Choice};
use crate::setup::Setup;

/// Sites that are tried for each place in the answer.
const TRIED: usize = 6;
/// Sites in an answer, at the most.
const SITES_MAX: usize = 32;

/// Why no sites can be named.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum FewestError {
    /// A run cannot be made.
    #[error(transparent)]
    Run(#[from] CellError),
    /// The trace cannot be edited.
    #[error(transparent)]
    Edit(#[from] EditError),
    /// Pools and arenas are pymalloc's.
    #[error("MEM and OBJ are not pymalloc's in this run, and sites are sought that keep its arenas")]
    NotPymalloc,
}

/// A site whose blocks are left out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Chosen {
    /// What it is called.
    pub site: String,
    /// Its blocks that live in arenas at the end.
    pub blocks: u64,
}

/// The search. Whoever drives it runs [`Self::tries`], in any order and at the same time, and hands what came of them to [`Self::take`].
#[derive(Debug)]
pub struct Fewest {
    wanted: u64,
    base: u64,
    /// Blocks by site of each arena that is left.
    arenas: Vec<BTreeMap<usize, u64>>,
    labels: Vec<String>,
    blocks: Vec<u64>,
    /// Sites with what is saved without them and those before, or once one was put back, without all that are left.
    chosen: Vec<(usize, u64)>,
    /// Which site of the answer is tried without, once it saves enough.
    doubted: Option<usize>,
    tried: Vec<usize>,
    runs: u64,
}

impl Fewest {
    /// Who keeps what at the end of a trace, of which `wanted` bytes less are to be held.
    pub fn new(trace: &Trace, setup: &Setup, wanted: u64) -> Result<Self, FewestError> {
        let mut machine = Self::machine(trace, setup)?;
        machine.run(trace, 0, trace.len() as usize);
        Ok(Self::at_end(trace, setup, &machine, wanted))
    }

    /// The machine that has to be run to the end for it.
    pub fn machine(trace: &Trace, setup: &Setup) -> Result<Machine, FewestError> {
        if Allocator::of(setup) != Allocator::Pymalloc {
            return Err(FewestError::NotPymalloc);
        }
        if !has_stacks(trace) {
            return Err(EditError::from(MatchError::NoStacks("site")).into());
        }
        Ok(setup.machine(trace).map_err(CellError::from)?)
    }

    /// The search, once that machine is there.
    pub fn at_end(trace: &Trace, setup: &Setup, machine: &Machine, wanted: u64) -> Self {
        let changes = stack_changes(trace, 0);
        let mut births = Births::default();
        births.go_to(trace, trace.len());
        let heap = machine.pymalloc();
        let mut bases: Vec<u64> = heap
            .live_arenas()
            .filter_map(|at| heap.arenas()[at as usize].address)
            .map(|base| base.0)
            .collect();
        bases.sort_unstable();
        let mut arenas = vec![BTreeMap::new(); bases.len()];
        let (mut labels, mut blocks, mut numbers) = (Vec::new(), Vec::new(), BTreeMap::new());
        // Stacks of one site share its number.
        let mut sites: Vec<Option<usize>> = vec![None; trace.origin.stacks.len() as usize + 1];
        for (slot, target) in machine.live() {
            let Target::Block(block) = target else { continue };
            let stack =
                births.of(slot).and_then(|birth| stack_at(trace, &changes, birth)).unwrap_or_default();
            let Some(known) = sites.get_mut(stack.0 as usize) else { continue };
            let site = *known.get_or_insert_with(|| {
                let stacks = &trace.origin.stacks;
                let label = site_label(stacks.frames(stack).next().map(|frame| stacks.line(frame)).as_ref());
                *numbers.entry(label.clone()).or_insert_with(|| {
                    labels.push(label);
                    blocks.push(0);
                    labels.len() - 1
                })
            });
            let at = bases.partition_point(|base| *base <= heap.memory().block_addr(block).0);
            if let Some(arena) = at.checked_sub(1).and_then(|at| arenas.get_mut(at)) {
                *arena.entry(site).or_insert(0) += 1;
                blocks[site] += 1;
            }
        }
        Self {
            wanted,
            base: machine.arena_counters().narenas_currently_allocated * setup.profile.arena_size,
            arenas,
            labels,
            blocks,
            chosen: Vec::new(),
            doubted: None,
            tried: Vec::new(),
            runs: 0,
        }
    }

    /// Bytes of arenas at the end with all sites.
    pub fn base_bytes(&self) -> u64 {
        self.base
    }

    /// Bytes that are to be held less.
    pub fn wanted(&self) -> u64 {
        self.wanted
    }

    /// Whether the answer saves what is wanted.
    pub fn reached(&self) -> bool {
        self.saved_bytes() >= self.wanted
    }

    /// Bytes that are held less at the end without the sites so far.
    pub fn saved_bytes(&self) -> u64 {
        self.chosen.last().map_or(0, |last| last.1)
    }

    /// Runs that were made.
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// The sites so far, in the order in which they were taken.
    pub fn chosen(&self) -> Vec<Chosen> {
        let of = |site: usize| Chosen { site: self.labels[site].clone(), blocks: self.blocks[site] };
        self.chosen.iter().map(|chosen| of(chosen.0)).collect()
    }

    /// Sets of sites to run without; none when the answer is there.
    pub fn tries(&mut self) -> Vec<Vec<String>> {
        let sites = |all: &[usize]| all.iter().map(|site| self.labels[*site].clone()).collect::<Vec<_>>();
        let taken: Vec<usize> = self.chosen.iter().map(|chosen| chosen.0).collect();
        if self.reached() || self.doubted.is_some() {
            // The last one was needed, since without it too little was saved.
            let at = self.doubted.unwrap_or(0);
            if at + 1 >= taken.len() {
                return Vec::new();
            }
            self.doubted = Some(at);
            let others: Vec<usize> = taken.iter().copied().filter(|site| *site != taken[at]).collect();
            return vec![sites(&others)];
        }
        if taken.len() >= SITES_MAX {
            return Vec::new();
        }
        let out: BTreeSet<usize> = taken.iter().copied().collect();
        let mut guess: BTreeMap<usize, f64> = BTreeMap::new();
        for arena in &self.arenas {
            let left: u64 = arena.iter().filter(|(site, _)| !out.contains(site)).map(|of| of.1).sum();
            for (site, blocks) in arena.iter().filter(|(site, _)| !out.contains(site)) {
                *guess.entry(*site).or_insert(0.0) += *blocks as f64 / left as f64;
            }
        }
        let mut order: Vec<(usize, f64)> = guess.into_iter().collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        self.tried = order.into_iter().take(TRIED).map(|of| of.0).collect();
        self.tried.iter().map(|site| sites(&[&taken[..], &[*site]].concat())).collect()
    }

    /// What [`Self::tries`] left in arenas at the end, in their order.
    pub fn take(&mut self, left_bytes: &[u64]) {
        self.runs += left_bytes.len() as u64;
        let saved = |left: u64| self.base.saturating_sub(left);
        if let Some(at) = self.doubted {
            match left_bytes.first().map(|left| saved(*left)).filter(|saved| *saved >= self.wanted) {
                Some(saved) => {
                    self.chosen.remove(at);
                    if let Some(last) = self.chosen.last_mut() {
                        last.1 = saved;
                    }
                }
                None => self.doubted = Some(at + 1),
            }
            return;
        }
        // Of those alike the one that seemed to pin most, which stands first.
        let best = self.tried.iter().zip(left_bytes).min_by_key(|(_, left)| **left);
        if let Some((&site, &left)) = best {
            self.chosen.push((site, saved(left)));
        }
    }
}

/// Leaving out the blocks of some sites.
pub fn leaving_out(sites: &[String]) -> Vec<Edit> {
    sites.iter().map(|site| Edit { deed: Deed::Without, want: Choice::site(site) }).collect()
}

/// Bytes of arenas at the end of a trace without some sites.
pub fn without(trace: &Trace, setup: &Setup, sites: &[String]) -> Result<u64, FewestError> {
    let edits = leaving_out(sites);
    let edited = edit(trace, &edits, &setup.profile)?;
    let mut bytes = 0;
    for lane in &edited.tape.lanes {
        let mut machine = setup.machine(lane).map_err(CellError::from)?;
        machine.run(lane, 0, lane.len() as usize);
        bytes += machine.arena_counters().narenas_currently_allocated * setup.profile.arena_size;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that no run gave: what is saved without a site that was taken first may be saved without it, too.
    #[test]
    fn a_site_that_is_not_needed_is_put_back() {
        let labels = ["a", "b", "c"].map(str::to_owned).to_vec();
        let search = |chosen: &[(usize, u64)]| Fewest {
            wanted: 5,
            base: 9,
            arenas: Vec::new(),
            labels: labels.clone(),
            blocks: vec![1, 2, 3],
            chosen: chosen.to_vec(),
            doubted: None,
            tried: Vec::new(),
            runs: 0,
        };
        let mut both = search(&[(0, 3), (1, 4), (2, 6)]);
        assert_eq!(both.tries(), [["b", "c"]]);
        both.take(&[4]);
        assert_eq!(both.tries(), [["c"]]);
        both.take(&[5]);
        assert!(both.tries().is_empty());
        let sites: Vec<_> = both.chosen().into_iter().map(|of| (of.site, of.blocks)).collect();
        assert_eq!((sites, both.saved_bytes(), both.runs()), (vec![("b".into(), 2), ("c".into(), 3)], 5, 2));
        assert!(search(&[]).tries().is_empty(), "nobody keeps anything");
    }
}
