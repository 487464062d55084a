//! What is chosen to be looked for: an aspect of the selection, a rare event, a condition, breakpoints.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim_core::breakpoint::Condition;
use sim_core::index::{RareEvent, Wanted};

use crate::facts;
use crate::format::{self, id_after};
use crate::place::Place;
use crate::run::Session;
use crate::search::Aim;

/// Which of the things that a selected place belongs to is followed along the tape.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Aspect {
    /// The block that the program holds there, from its birth to its end.
    Life,
    /// The place itself, whoever has it.
    #[default]
    Address,
    /// Its pool.
    Pool,
    /// Its arena.
    Arena,
    /// Its size class.
    Class,
    /// The call site that made it.
    Site,
}

impl Aspect {
    /// All of them, with what they are called and a sentence on each.
    pub const ALL: [(Self, &'static str, &'static str); 6] = [
        (Self::Life, "block's life", "The block that the program holds, from its birth to its end"),
        (Self::Address, "address", "Whatever block lies here, whoever has it"),
        (Self::Pool, "pool", "Any block of the pool, and the pool itself"),
        (Self::Arena, "arena", "Any pool of the arena, and the arena itself"),
        (Self::Class, "size class", "Any block of the size class"),
        (Self::Site, "call site", "Calls with the same Python stack"),
    ];

    /// What it is called.
    pub fn label(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    /// What to look for from a selected place, and what to call it; the error says why there is nothing.
    pub fn aim(self, session: &Session, place: Option<Place>, pinned: bool) -> Result<(Aim, String), String> {
        let heap = session.heap();
        let arena = |place: Place| match place {
            Place::Arena(id) => Some(id.ordinal),
            _ => place.resolve(heap).0.map(|id| id.ordinal),
        };
        let pool = |place: Place| match place {
            Place::Pool(addr) | Place::Block(addr) => facts::pool_at(heap, addr),
            Place::Arena(_) => None,
        };
        // What the last operation was about is known without looking for who holds it.
        let elsewhere = pinned && session.focus() != place;
        let nothing =
            |what: &str| Err(format!("There is no {what} here; click a place on the map to choose one"));
        let found = |wanted: Wanted, name: String| Ok((Aim::Of(wanted), name));
        match (self, place) {
            (Self::Site, _) if !session.trace().has_stacks() => {
                Err("This trace has no call stacks, so no call site can be followed".to_owned())
            }
            (Self::Site, Some(Place::Block(addr))) if elsewhere => {
                Ok((Aim::SiteOf(addr), "the call site of this block".to_owned()))
            }
            (Self::Site, _) => match session.last_call() {
                Some((index, _)) => {
                    let stack = session.trace().stack_of(index as usize);
                    let stacks = &session.trace().origin.stacks;
                    let site = stacks.node(stack).map(|(_, frame)| format::frame(&stacks.line(frame)));
                    found(Wanted::Site(stack), site.unwrap_or_else(|| "the empty stack".to_owned()))
                }
                None => Err("No operation has been done yet; step forward first".to_owned()),
            },
            (Self::Life, Some(Place::Block(addr))) if elsewhere => {
                Ok((Aim::HeldAt(addr), format!("the block at {addr}")))
            }
            (Self::Life, Some(Place::Block(_)) | None) | (Self::Address, None) => match session.last_call() {
                Some((index, slot)) => {
                    let id = session.trace().op(index).and_then(|op| id_after(&op));
                    let name = id.map_or_else(|| "this block".to_owned(), |id| format!("block #{id}"));
                    found(Wanted::Block(slot), name)
                }
                None => nothing("block"),
            },
            (Self::Address, Some(Place::Block(addr))) => found(Wanted::Address(addr), addr.to_string()),
            (
                Self::Life | Self::Address | Self::Pool,
                Some(place @ (Place::Pool(addr) | Place::Block(addr))),
            ) => {
                let addr = pool(place).map_or(addr, |p| p.addr);
                found(Wanted::Pool(addr), format!("the pool at {addr}"))
            }
            (Self::Life | Self::Address | Self::Pool | Self::Arena, Some(place)) => match arena(place) {
                Some(ordinal) => found(Wanted::Arena(ordinal), format!("arena {ordinal}")),
                None => nothing("arena"),
            },
            (Self::Class, Some(place)) => match pool(place).and_then(|p| p.class) {
                Some(class) => found(Wanted::Class(class), format!("size class {class}")),
                None => nothing("size class"),
            },
            (Self::Pool, None) => nothing("pool"),
            (Self::Arena, None) => nothing("arena"),
            (Self::Class, None) => nothing("size class"),
        }
    }
}

/// A condition at which Play stops.
#[derive(Clone, PartialEq, Debug)]
pub struct Breakpoint {
    /// The condition.
    pub condition: Condition,
    /// Whether it is heeded.
    pub on: bool,
}

/// What is chosen to be looked for. Changed by orders alone.
#[derive(Clone, PartialEq, Debug)]
pub struct Find {
    /// What of the selection is followed.
    pub aspect: Aspect,
    /// The rare event that is gone to.
    pub rare_event: RareEvent,
    /// The condition that is written in the field, when it is one.
    pub condition: Option<Condition>,
    /// Where Play stops.
    pub breakpoints: Vec<Breakpoint>,
    /// The name of the trace that they are for.
    of: String,
    /// Those of other traces, by name, for when one of these is open again.
    others: BTreeMap<String, Breakpoints>,
}

/// Conditions, and whether each is heeded.
pub type Breakpoints = Vec<(String, bool)>;

impl Default for Find {
    fn default() -> Self {
        Self {
            aspect: Aspect::default(),
            rare_event: RareEvent::ArenaObtained,
            condition: None,
            breakpoints: Vec::new(),
            of: String::new(),
            others: BTreeMap::new(),
        }
    }
}

impl Find {
    /// The conditions of the breakpoints that are heeded.
    pub fn heeded(&self) -> Vec<Condition> {
        self.breakpoints.iter().filter(|b| b.on).map(|b| b.condition.clone()).collect()
    }

    /// The condition that is written now; what is none is as nothing.
    pub fn write(&mut self, text: Option<&str>) {
        self.condition = text.and_then(|text| Condition::parse(text).ok());
    }

    /// Keeps a condition as a breakpoint; one that is kept already is heeded again.
    pub fn keep(&mut self, condition: Condition) {
        match self.breakpoints.iter_mut().find(|b| b.condition.to_string() == condition.to_string()) {
            Some(breakpoint) => breakpoint.on = true,
            None => self.breakpoints.push(Breakpoint { condition, on: true }),
        }
    }

    /// The breakpoints of the open trace as text.
    pub fn here(&self) -> Breakpoints {
        self.breakpoints.iter().map(|b| (b.condition.to_string(), b.on)).collect()
    }

    /// The breakpoints as they are saved: of each trace that has some, by its name.
    pub fn save(&self) -> Vec<(String, Breakpoints)> {
        let here = (!self.breakpoints.is_empty()).then(|| (self.of.clone(), self.here()));
        self.others.iter().map(|(of, all)| (of.clone(), all.clone())).chain(here).collect()
    }

    /// Takes saved breakpoints; what is no condition any more is left out.
    pub fn restore(&mut self, saved: Vec<(String, Breakpoints)>) {
        self.others = saved.into_iter().collect();
        self.breakpoints = read(self.others.remove(&self.of).unwrap_or_default());
    }

    /// A trace of this name is open: a condition that stops in one says nothing of another, so those of the one before
    /// are put away, and those that this one had come back.
    pub fn of_trace(&mut self, name: &str) {
        if self.of == name {
            return;
        }
        let here = self.here();
        let before = std::mem::replace(&mut self.of, name.to_owned());
        if !here.is_empty() {
            self.others.insert(before, here);
        }
        self.breakpoints = read(self.others.remove(name).unwrap_or_default());
    }
}

fn read(saved: Breakpoints) -> Vec<Breakpoint> {
    let read = |(text, on): (String, bool)| Some(Breakpoint { condition: Condition::parse(&text).ok()?, on });
    saved.into_iter().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn breakpoints_belong_to_their_trace() {
        let mut find = Find::default();
        find.of_trace("a");
        find.keep(Condition::parse("step == 3").unwrap());
        find.of_trace("b");
        assert!(find.breakpoints.is_empty(), "another trace has none yet");
        find.keep(Condition::parse("raw_fallback").unwrap());
        let saved = find.save();
        find.of_trace("a");
        assert_eq!(find.here(), [("step == 3".to_owned(), true)]);
        // Saved ones wait for their trace, or are for the one that is open.
        let mut later = Find::default();
        later.restore(saved.clone());
        assert!(later.breakpoints.is_empty());
        later.of_trace("b");
        assert_eq!(later.here(), [("raw_fallback".to_owned(), true)]);
        later.restore(saved.clone());
        assert_eq!((later.here().len(), later.save()), (1, saved));
    }
}
