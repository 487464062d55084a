//! One moment of a lesson: the machine, and what names of the program stand for.

use std::collections::BTreeMap;

use sim_core::{Machine, Profile, Trace};
use trace_io::lesson::text::Piece;
use trace_io::program::expr::{Argument, Expr};

use super::spot::Spot;
use super::tally::Tally;
use crate::facts::{self, PoolFacts};
use crate::place::Place;

/// What is known at one moment of a lesson.
pub(super) struct Moment<'a> {
    pub(super) machine: &'a Machine,
    pub(super) profile: &'a Profile,
    pub(super) trace: &'a Trace,
    /// By the names of the program.
    pub(super) spots: &'a BTreeMap<String, Spot>,
    /// Numbers that were kept.
    pub(super) kept: &'a BTreeMap<String, i64>,
    /// What was counted on the way.
    pub(super) tally: &'a Tally,
    /// Operations done.
    pub(super) step: u64,
    /// Calls that reached the arena allocator for an arena, and arenas given back.
    pub(super) obtained: u64,
    pub(super) released: u64,
}

impl Moment<'_> {
    /// The full name of a block that an argument gives.
    fn block_name(&self, expr: &Expr) -> Result<String, String> {
        use std::fmt::Write as _;
        match expr {
            Expr::Name(name, _) => Ok(name.clone()),
            Expr::Element(name, indices, _) => {
                let mut full = name.clone();
                for index in indices {
                    let index = index.value(self).map_err(|fault| fault.problem)?;
                    let _ = write!(full, "[{index}]");
                }
                Ok(full)
            }
            _ => Err("a block is needed here, by its name".to_owned()),
        }
    }

    /// The block that the first argument names, if it names one.
    pub(super) fn known_spot(&self, arguments: &[Argument]) -> Option<Spot> {
        let name = self.block_name(&arguments.first()?.value).ok()?;
        self.spots.get(&name).copied()
    }

    pub(super) fn spot(&self, arguments: &[Argument]) -> Result<Spot, String> {
        let argument = arguments.first().ok_or("a block is needed here, by its name")?;
        let name = self.block_name(&argument.value)?;
        self.spots.get(&name).copied().ok_or_else(|| format!("no block is called `{name}` yet"))
    }

    pub(super) fn pool_of(&self, spot: Spot) -> Result<PoolFacts, String> {
        facts::pool_at(self.machine.pymalloc(), spot.addr).ok_or_else(|| "it lies in no pool".to_owned())
    }

    pub(super) fn number(&self, arguments: &[Argument], index: usize) -> Result<i64, String> {
        let argument = arguments.get(index).ok_or("a number is missing")?;
        argument.value.value(self).map_err(|fault| fault.problem)
    }

    pub(super) fn arena(&self, arguments: &[Argument]) -> Result<u32, String> {
        let wanted = self.number(arguments, 0)?;
        let heap = self.machine.pymalloc();
        let found =
            heap.live_arenas().find(|&index| heap.arenas()[index as usize].ordinal.cast_signed() == wanted);
        found.ok_or_else(|| format!("there is no arena {wanted}"))
    }

    /// The place that an expression names: a block, `pool(block)`, `arena(block)` or `arena(number)`.
    pub(super) fn place(&self, text: &str) -> Result<Place, String> {
        let expr = Expr::parse(text).map_err(|fault| fault.problem)?;
        let heap = self.machine.pymalloc();
        if let Expr::Call(name, arguments, _) = &expr
            && matches!(name.as_str(), "pool" | "arena")
        {
            let by_block = arguments
                .first()
                .is_some_and(|a| self.block_name(&a.value).is_ok_and(|n| self.spots.contains_key(&n)));
            if name == "arena" && !by_block {
                let index = self.arena(arguments)?;
                return Ok(Place::Arena(heap.arena_id(index)));
            }
            let spot = self.spot(arguments)?;
            return if name == "pool" {
                self.pool_of(spot).map(|pool| Place::Pool(pool.addr))
            } else {
                heap.arena_of(spot.addr).map(Place::Arena).ok_or_else(|| "its arena is gone".to_owned())
            };
        }
        let name = self.block_name(&expr)?;
        let spot = self.spots.get(&name).ok_or_else(|| format!("no block is called `{name}` yet"))?;
        if let Some(run) = self.machine.mimalloc() {
            let page = run.heap().page_around(spot.addr);
            return page.map(|_| Place::Block(spot.addr)).ok_or_else(|| format!("`{name}` lies on no page"));
        }
        facts::block_at(heap, spot.addr)
            .map(|block| Place::Block(block.addr))
            .ok_or_else(|| format!("`{name}` lies in no pool"))
    }

    /// The block that a piece of code names.
    pub(super) fn place_of_code(&self, piece: &Piece) -> Option<Place> {
        match piece {
            Piece::Code(text) => self.place(text).ok(),
            Piece::Words(_) | Piece::Term(..) => None,
        }
    }
}

/// The words that a function is given.
pub(super) fn text_of(arguments: &[Argument]) -> Result<&str, String> {
    match arguments.first().map(|a| &a.value) {
        Some(Expr::Text(text)) => Ok(text),
        _ => Err("words are needed here".to_owned()),
    }
}
