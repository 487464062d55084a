//! What a question asks: read off a record, put into words, and as a formula over the machine.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use sim_core::{Call, Profile};
use trace_io::lesson::text::{Unit, said};

use super::record::{Record, Spot, Staged};

/// What is asked of what came of the operations. Texts are names of blocks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Asked {
    /// Where a block lies.
    Spot(String),
    /// In which pool.
    Pool(String),
    /// In which arena.
    Arena(String),
    /// How many bytes into its pool.
    OffsetInPool(String),
    /// How many bytes into its arena.
    OffsetInArena(String),
    /// In which pool, all arenas' pools numbered through.
    PoolNumber(String),
    /// Where a reallocated block lies, against where it lay.
    Moves(String),
    /// How many bytes the block of the first takes; the second is the next of its size.
    Block(String, String),
    /// The class of it.
    Class(String, String),
    /// The bytes that it does not use.
    Waste(String, String),
    /// Which of the others lie in one pool with the first.
    Shares(String, Vec<String>),
    /// How many pools have blocks.
    Pools,
    /// How many of a row of blocks lie in one pool with its first.
    Capacity(String),
    /// How many bytes into its pool the last of those lies.
    LastOffset(String),
    /// How many bytes lie behind it.
    Lost(String),
    /// `nextoffset` of the last block's pool.
    NextOffset(String),
    /// How many blocks are on its free list.
    Linked(String),
    /// Which arenas are there.
    Arenas,
    /// How many arenas were given back.
    Released,
    /// Which of the blocks are the C library's.
    ToLibrary(Vec<String>),
    /// `raw_allocated_blocks`.
    RawBlocks,
    /// What a formula over the machine is worth.
    Formula(String, Said),
    /// Which of some statements is true.
    Which(Vec<Statement>),
}

/// How a formula's number is said.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Said {
    /// As a number.
    Plain,
    /// As so many bytes.
    Bytes,
    /// As a byte in hexadecimal, the way CPython prints memory.
    Byte,
}

/// Something that may be true of the machine.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Statement {
    /// In words.
    pub say: String,
    /// As a formula.
    pub is: String,
    /// The misconception of who takes it for true.
    pub misconception: Option<u32>,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// A number.
    Number(i64),
    /// A place.
    Spot(Spot),
    /// The place where the block lay before.
    Stays,
    /// A pool.
    Pool {
        /// Its arena.
        arena: u64,
        /// Its number there.
        pool: u64,
    },
    /// An arena.
    Arena(u64),
    /// Some of several things.
    Names(Vec<String>),
    /// Some arenas.
    Arenas(Vec<u64>),
    /// A statement.
    Said(String),
}

impl Asked {
    /// The answer of a record; none where a formula is asked for, of which a record knows nothing.
    pub fn answer(&self, staged: &Staged, record: &Record) -> Option<Answer> {
        let spot = |name: &String| record.happened.get(staged.made(name)?)?.spot;
        let place = |name: &String| match spot(name)? {
            Spot::Block { arena, offset } => Some((arena, offset)),
            Spot::Raw | Spot::Null => None,
        };
        let apart = |first: &String, second: &String| {
            let ((arena, from), (other, to)) = (place(first)?, place(second)?);
            (arena == other && to > from).then_some(to - from)
        };
        let bytes = |name: &String| staged.result(staged.made(name)?).map(|(_, size)| size);
        let number = |number: u64| Some(Answer::Number(number.cast_signed()));
        match self {
            Self::Spot(name) => spot(name).map(Answer::Spot),
            Self::Pool(name) => Some(match place(name) {
                Some((arena, offset)) => Answer::Pool { arena, pool: offset / record.pool_size },
                None => Answer::Spot(spot(name)?),
            }),
            Self::Arena(name) => Some(match place(name) {
                Some((arena, _)) => Answer::Arena(arena),
                None => Answer::Spot(spot(name)?),
            }),
            Self::OffsetInPool(name) => number(place(name)?.1 % record.pool_size),
            Self::OffsetInArena(name) => number(place(name)?.1),
            Self::PoolNumber(name) => {
                let (arena, offset) = place(name)?;
                number((arena * staged.arena_size + offset) / record.pool_size)
            }
            Self::Moves(name) => {
                let now = spot(name)?;
                let before = (0..staged.shown)
                    .rev()
                    .find(|&index| staged.result(index).is_some_and(|(id, _)| staged.name(id) == name));
                let stays = matches!(now, Spot::Block { .. })
                    && before.and_then(|at| record.happened.get(at)?.spot) == Some(now);
                Some(if stays { Answer::Stays } else { Answer::Spot(now) })
            }
            Self::Block(first, second) => number(apart(first, second)?),
            Self::Class(first, second) => {
                Some(Answer::Number((apart(first, second)? / record.step).cast_signed() - 1))
            }
            Self::Waste(first, second) => number(apart(first, second)?.checked_sub(bytes(first)?)?),
            Self::Shares(name, others) => {
                let pool =
                    |name: &String| place(name).map(|(arena, offset)| (arena, offset / record.pool_size));
                let ours = pool(name)?;
                Some(Answer::Names(
                    others.iter().filter(|other| pool(other) == Some(ours)).cloned().collect(),
                ))
            }
            Self::Pools => {
                let mut live: std::collections::BTreeMap<u64, (u64, u64)> = std::collections::BTreeMap::new();
                for (index, happened) in record.happened.iter().enumerate() {
                    match staged.call(index)?.0 {
                        Call::Free { id } | Call::FreeKeep { id } | Call::Realloc { id, .. } => {
                            live.remove(&id);
                        }
                        _ => {}
                    }
                    if let (Some(Spot::Block { arena, offset }), Some((id, _))) =
                        (happened.spot, staged.result(index))
                    {
                        live.insert(id, (arena, offset / record.pool_size));
                    }
                }
                let pools: std::collections::BTreeSet<_> = live.into_values().collect();
                number(pools.len() as u64)
            }
            Self::Capacity(first) => number(row(staged, record, first)?.0),
            Self::LastOffset(first) => number(row(staged, record, first)?.1),
            Self::Lost(first) => {
                let (_, last, block) = row(staged, record, first)?;
                number(record.pool_size.checked_sub(last + block)?)
            }
            Self::NextOffset(_) => number(record.header?.nextoffset),
            Self::Linked(_) => number(record.header?.linked),
            Self::Arenas => {
                let obtained: u64 = record.happened.iter().map(|happened| happened.obtained).sum();
                let gone =
                    |arena: &u64| record.happened.iter().any(|happened| happened.released.contains(arena));
                Some(Answer::Arenas((0..obtained).filter(|arena| !gone(arena)).collect()))
            }
            Self::Released => {
                number(record.happened.iter().map(|happened| happened.released.len() as u64).sum())
            }
            Self::ToLibrary(names) => Some(Answer::Names(
                names.iter().filter(|name| spot(name) == Some(Spot::Raw)).cloned().collect(),
            )),
            Self::RawBlocks => Some(Answer::Number(record.raw_blocks)),
            Self::Formula(..) | Self::Which(_) => None,
        }
    }

    /// The operation that it is about, if it is one.
    pub(super) fn about(&self, staged: &Staged) -> Option<usize> {
        match self {
            Self::Spot(name)
            | Self::Pool(name)
            | Self::Arena(name)
            | Self::OffsetInPool(name)
            | Self::OffsetInArena(name)
            | Self::PoolNumber(name)
            | Self::Moves(name)
            | Self::NextOffset(name)
            | Self::Linked(name) => staged.made(name),
            _ => None,
        }
    }

    /// What happened to arenas, where they are asked about.
    pub(super) fn because(&self, staged: &Staged, right: &Record) -> Vec<String> {
        if !matches!(self, Self::Arenas | Self::Released) {
            return Vec::new();
        }
        let mut said = Vec::new();
        for (at, happened) in right.happened.iter().enumerate() {
            for arena in &happened.released {
                said.push(format!(
                    "With `{}` arena {arena} is wholly free and goes back.",
                    staged.written(at)
                ));
            }
        }
        if said.is_empty() {
            said.push("None went back.".to_owned());
        }
        said
    }

    /// Whether the answer is a number of bytes.
    fn in_bytes(&self) -> bool {
        matches!(
            self,
            Self::OffsetInPool(_)
                | Self::OffsetInArena(_)
                | Self::Block(..)
                | Self::Waste(..)
                | Self::LastOffset(_)
                | Self::Lost(_)
                | Self::Formula(_, Said::Bytes)
        )
    }

    /// A number in words.
    pub(super) fn number_words(&self, number: i64) -> String {
        match (self, number) {
            (Self::Formula(_, Said::Byte), _) => format!("{number:02x}"),
            (_, 1) if self.in_bytes() => "1 byte".to_owned(),
            _ if self.in_bytes() => format!("{} bytes", said(number, Unit::Plain)),
            _ => said(number, Unit::Plain),
        }
    }

    /// An answer in words.
    pub(super) fn words(&self, answer: &Answer, staged: &Staged, right: &Record) -> String {
        match answer {
            Answer::Number(number) => self.number_words(*number),
            Answer::Said(words) => words.clone(),
            Answer::Stays => "where it lies already".to_owned(),
            Answer::Spot(spot) => {
                let before = match self {
                    Self::Spot(name) | Self::Moves(name) => staged.made(name),
                    _ => None,
                };
                spot_words(*spot, staged, right, before.unwrap_or(staged.shown))
            }
            Answer::Pool { arena, pool } => {
                let held = |happened: &super::record::Happened| {
                    matches!(happened.spot, Some(Spot::Block { arena: a, offset })
                        if a == *arena && offset / right.pool_size == *pool)
                };
                let fresh = !right.happened.iter().take(staged.shown).any(held);
                format!("{}{}", if fresh { "a new pool, " } else { "" }, pool_words(*arena, *pool, right))
            }
            Answer::Arena(arena) => {
                let obtained: u64 =
                    right.happened.iter().take(staged.shown).map(|happened| happened.obtained).sum();
                format!("{}arena {arena}", if *arena >= obtained { "a new one, " } else { "" })
            }
            Answer::Names(names) if names.is_empty() => "none of them".to_owned(),
            Answer::Names(names) => and(&names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>()),
            Answer::Arenas(arenas) if arenas.is_empty() => "none".to_owned(),
            Answer::Arenas(arenas) => {
                let numbers: Vec<String> = arenas.iter().map(u64::to_string).collect();
                format!("{} {}", if arenas.len() == 1 { "arena" } else { "arenas" }, and(&numbers))
            }
        }
    }

    /// The block that is clicked, where that answers it.
    pub(super) fn click(&self) -> Option<String> {
        match self {
            Self::Spot(name) => Some(name.clone()),
            _ => None,
        }
    }

    /// The number that is asked for as a formula over the machine.
    pub(super) fn number(&self, staged: &Staged) -> Option<String> {
        let bytes = |name: &String| staged.result(staged.made(name)?).map(|(_, size)| size);
        Some(match self {
            Self::OffsetInPool(name) => format!("offset({name})"),
            Self::OffsetInArena(name) => format!("place({name}) % 2**40"),
            Self::PoolNumber(name) => format!("arena({name}) * arena.pools + pool({name})"),
            Self::Block(name, _) => format!("block({})", bytes(name)?),
            Self::Class(name, _) => format!("size_class({})", bytes(name)?),
            Self::Waste(name, _) => format!("waste({})", bytes(name)?),
            Self::Pools => "arenas * arena.pools - pools.unused".to_owned(),
            Self::Capacity(name) => format!("blocks({})", bytes(name)?),
            Self::LastOffset(name) => format!("maxnextoffset({name})-lost({})", bytes(name)?),
            Self::Lost(name) => format!("lost({})", bytes(name)?),
            Self::NextOffset(name) => format!("nextoffset({name})"),
            Self::Linked(name) => format!("linked({name})"),
            Self::Released => "arenas.released".to_owned(),
            Self::RawBlocks => "raw.blocks".to_owned(),
            Self::Formula(formula, _) => format!("({formula})"),
            Self::Which(_)
            | Self::Spot(_)
            | Self::Pool(_)
            | Self::Arena(_)
            | Self::Moves(_)
            | Self::Shares(..)
            | Self::Arenas
            | Self::ToLibrary(_) => return None,
        })
    }

    /// What has to be true of the machine for an answer to be right. `before` is where a reallocated block lay.
    pub(super) fn claim(&self, answer: &Answer, staged: &Staged, profile: &Profile) -> Option<String> {
        let each = |names: &[String], holds: &dyn Fn(&String) -> String| {
            names.iter().map(holds).collect::<Vec<_>>().join(" and ")
        };
        Some(match (self, answer) {
            (_, Answer::Number(value)) => format!("{} == {value}", self.number(staged)?),
            (Self::Which(all), Answer::Said(say)) => all.iter().find(|one| one.say == *say)?.is.clone(),
            (Self::Moves(name), Answer::Stays) => format!("pooled({name}) and place({name}) == before"),
            (Self::Moves(name), Answer::Spot(spot @ Spot::Block { .. })) => {
                format!("{} and place({name}) != before", spot_claim(name, *spot))
            }
            (
                Self::Spot(name) | Self::Moves(name) | Self::Pool(name) | Self::Arena(name),
                Answer::Spot(spot),
            ) => spot_claim(name, *spot),
            (Self::Pool(name), Answer::Pool { arena, pool }) => format!(
                "place({name}) // pool.size == {}",
                (arena + 1) * ((1 << 40) / profile.pool_size) + pool
            ),
            (Self::Arena(name), Answer::Arena(arena)) => format!("place({name}) // 2**40 == {}", arena + 1),
            (Self::Shares(name, others), Answer::Names(names)) => each(others, &|other| {
                format!(
                    "(place({name}) // pool.size == place({other}) // pool.size) == {}",
                    u8::from(names.contains(other))
                )
            }),
            (Self::ToLibrary(all), Answer::Names(names)) => {
                each(all, &|name| format!("raw({name}) == {}", u8::from(names.contains(name))))
            }
            (Self::Arenas, Answer::Arenas(arenas)) => {
                let mut text = format!("arenas == {}", arenas.len());
                for arena in arenas {
                    let _ = write!(text, " and arena_exists({arena})");
                }
                text
            }
            _ => return None,
        })
    }
}

/// How many blocks of a row lie in the pool of its first, where the last of them begins, and how far they lie apart.
fn row(staged: &Staged, record: &Record, first: &str) -> Option<(u64, u64, u64)> {
    let from = staged.made(first)?;
    let pool = |spot: Option<Spot>| match spot {
        Some(Spot::Block { arena, offset }) => Some((arena, offset / record.pool_size)),
        _ => None,
    };
    let ours = pool(record.happened[from].spot)?;
    let row = &record.happened[from..];
    let count = row.iter().take_while(|happened| pool(happened.spot) == Some(ours)).count();
    // If all of them do, the pool may have room for more.
    if count < 2 || count == row.len() {
        return None;
    }
    let offset = |at: usize| match row[at].spot {
        Some(Spot::Block { offset, .. }) => offset % record.pool_size,
        _ => 0,
    };
    Some((count as u64, offset(count - 1), offset(1) - offset(0)))
}

fn spot_claim(name: &str, spot: Spot) -> String {
    match spot {
        Spot::Block { arena, offset } => format!("place({name}) == {}", ((arena + 1) << 40) + offset),
        Spot::Raw => format!("raw({name})"),
        Spot::Null => format!("null({name})"),
    }
}

/// A place in words, with the name of a block that lay there.
pub(super) fn spot_words(spot: Spot, staged: &Staged, right: &Record, before: usize) -> String {
    match spot {
        Spot::Raw => "in the C library's memory".to_owned(),
        Spot::Null => "nowhere: the call returns NULL".to_owned(),
        Spot::Block { arena, offset } => {
            let (pool, rest) = (offset / right.pool_size, offset % right.pool_size);
            let mut text = format!(
                "{} bytes into {}",
                said(rest.cast_signed(), Unit::Plain),
                pool_words(arena, pool, right)
            );
            let owner = (0..before).rev().find(|&at| right.happened[at].spot == Some(spot));
            if let Some((id, _)) = owner.and_then(|at| staged.result(at)) {
                let _ = write!(text, ", the place of `{}`", staged.name(id));
            }
            text
        }
    }
}

fn pool_words(arena: u64, pool: u64, right: &Record) -> String {
    let obtained: u64 = right.happened.iter().map(|happened| happened.obtained).sum();
    if obtained > 1 || arena > 0 { format!("pool {pool} of arena {arena}") } else { format!("pool {pool}") }
}

/// Words one after the other.
pub(super) fn and(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
