//! A search along the tape that goes on between frames.

use sim_core::Replay;
use sim_core::index::Wanted;
use sim_core::replay::{Found, Hunt, Search};

use super::{Aim, CHUNK};
use crate::analysis::overview::Overview;
use crate::analysis::owner::Owner;

/// One search: what for, from where, which way, and how far it has come.
#[derive(Debug)]
pub struct Quest {
    what: String,
    from: u64,
    forward: bool,
    way: Way,
}

#[derive(Debug)]
enum Way {
    /// Along the marks of the overview.
    Arena,
    /// Once it is known who holds a block, along its life or its call site.
    Holder { block: sim_core::Addr, site: bool },
    /// Along the index.
    Search(Search),
    /// From operation to operation.
    Hunt(Box<Hunt>),
}

impl Quest {
    /// A search from a position; `what` is for sentences.
    pub fn new(aim: Aim, what: String, from: u64, forward: bool) -> Self {
        let way = match aim {
            Aim::Arena => Way::Arena,
            Aim::Of(wanted) => Way::Search(Search::new(wanted, from, forward)),
            Aim::HeldAt(block) => Way::Holder { block, site: false },
            Aim::SiteOf(block) => Way::Holder { block, site: true },
            Aim::Condition(condition) => Way::Hunt(Box::new(Hunt::new(vec![condition], from, forward))),
        };
        Self { what, from, forward, way }
    }

    /// Goes a bit further. `owner` says who holds a block now.
    pub fn advance(
        &mut self,
        replay: &mut Replay,
        overview: &Overview,
        owner: impl Fn(sim_core::Addr) -> Owner,
    ) -> Found {
        match &mut self.way {
            Way::Arena => {
                let mark = if self.forward {
                    overview.next_mark(self.from)
                } else if overview.known() < self.from {
                    return Found::NotRead;
                } else {
                    overview.previous_mark(self.from)
                };
                match mark {
                    Some(mark) => Found::At(mark.step),
                    None if overview.complete() || !self.forward => Found::Nowhere,
                    None => Found::NotRead,
                }
            }
            Way::Holder { block, site } => match owner(*block) {
                Owner::Searching => Found::NotRead,
                Owner::Nobody | Owner::Before(_) => Found::Nowhere,
                Owner::Operation(index) => {
                    let trace = replay.trace();
                    let wanted = if *site {
                        Wanted::Site(trace.stack_of(index as usize))
                    } else {
                        Wanted::Block(trace.packed(index as usize).slot)
                    };
                    self.way = Way::Search(Search::new(wanted, self.from, self.forward));
                    Found::Looking
                }
            },
            Way::Search(search) => replay.look(search, 1),
            Way::Hunt(hunt) => replay.hunt(hunt, CHUNK),
        }
    }

    /// What it is doing, in a few words.
    pub fn doing(&self) -> String {
        format!("looking {} for {}", if self.forward { "ahead" } else { "back" }, self.what)
    }

    /// That it found nothing, as a sentence.
    pub fn in_vain(&self) -> String {
        let which = if self.forward { "after" } else { "before" };
        format!("Nothing of {} {which} step {}", self.what, crate::format::grouped(self.from))
    }

    /// The share of the tape that it has looked at, where it has to look at all of it.
    pub fn share(&self, len: u64) -> Option<f32> {
        match &self.way {
            Way::Hunt(hunt) => Some(hunt.share(len)),
            _ => None,
        }
    }
}
