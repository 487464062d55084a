//! Traces from a seed: sizes, lifetimes, phases and ramps.
//!
//! The generator is `ChaCha8Rng`, and every draw is integer arithmetic on its 64-bit output, so that a seed
//! gives the same trace on every platform and in every later version.

use std::collections::VecDeque;

use rand::rngs::ChaCha8Rng;
use rand::{Rng as _, SeedableRng as _};
use serde::Deserialize;
use sim_core::{Call, Domain, Op};

/// How large requests are. Sizes are in bytes, limits inclusive.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sizes {
    /// Every size from `min` to `max` equally often.
    Uniform {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// One size.
    Fixed(u64),
    /// As Python programs ask: mostly 32 to 128 bytes, one in thirty over the threshold.
    Python,
    /// Halving: `min` half of the time, twice that a quarter, and so on up to `max`.
    Halving {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
}

/// Which block is freed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lifetimes {
    /// Any, equally often.
    Random,
    /// The oldest, as a queue.
    OldestFirst,
    /// The newest, as a stack.
    NewestFirst,
    /// Seven times in eight one of the sixteen newest, else any.
    DieYoung,
}

/// A stretch of a workload.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Phase {
    /// Operations.
    pub operations: u64,
    /// Request sizes.
    pub sizes: Sizes,
    /// Which blocks go.
    pub lifetimes: Lifetimes,
    /// Live blocks aimed at when the phase begins.
    pub live_from: u64,
    /// Live blocks aimed at when it ends: another number makes a ramp.
    pub live_to: u64,
    /// Reallocs in a hundred operations.
    #[serde(default)]
    pub realloc_percent: u8,
    /// Callocs in a hundred allocations.
    #[serde(default)]
    pub calloc_percent: u8,
    /// Allocations in a hundred through RAW.
    #[serde(default)]
    pub raw_percent: u8,
    /// Allocations in a hundred through MEM; the rest go through OBJ.
    #[serde(default)]
    pub mem_percent: u8,
}

/// A whole workload.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workload {
    /// The seed.
    pub seed: u64,
    /// What happens, in order.
    pub phases: Vec<Phase>,
}

/// Upper ends of size ranges and how many in 1000 Python requests fall into each.
const PYTHON_SIZES: &[(u64, u64)] = &[
    (16, 12),
    (32, 176),
    (48, 158),
    (64, 226),
    (80, 142),
    (112, 96),
    (160, 64),
    (256, 56),
    (512, 37),
    (1024, 20),
    (4096, 9),
    (65536, 4),
];

impl Workload {
    /// One steady phase of Python-like requests, with a ramp over the first tenth.
    pub fn python(seed: u64, operations: u64, live: u64) -> Self {
        let steady = Phase {
            operations: operations - operations / 10,
            sizes: Sizes::Python,
            lifetimes: Lifetimes::DieYoung,
            live_from: live,
            live_to: live,
            realloc_percent: 4,
            calloc_percent: 3,
            raw_percent: 2,
            mem_percent: 15,
        };
        let ramp = Phase { operations: operations / 10, live_from: 0, ..steady };
        Self { seed, phases: vec![ramp, steady] }
    }

    /// What is wrong with it, in one sentence.
    pub fn check(&self) -> Result<(), String> {
        for (index, phase) in self.phases.iter().enumerate() {
            let number = index + 1;
            if let Sizes::Uniform { min, max } | Sizes::Halving { min, max } = phase.sizes
                && min > max
            {
                return Err(format!("phase {number}: the smallest size {min} is over the largest {max}"));
            }
            if phase.realloc_percent > 100
                || phase.calloc_percent > 100
                || u16::from(phase.raw_percent) + u16::from(phase.mem_percent) > 100
            {
                return Err(format!("phase {number}: percentages add up to more than 100"));
            }
        }
        if self.phases.iter().all(|p| p.operations == 0) {
            return Err("it has no operation; give at least one phase operations".to_owned());
        }
        Ok(())
    }

    /// Operations of all phases.
    pub fn operations(&self) -> u64 {
        self.phases.iter().map(|p| p.operations).sum()
    }

    /// The operations, made one by one: memory is needed for live blocks alone.
    pub fn iter(&self) -> Operations<'_> {
        Operations {
            rng: ChaCha8Rng::seed_from_u64(self.seed),
            phases: &self.phases,
            done: 0,
            live: VecDeque::new(),
            next_id: 1,
        }
    }
}

impl<'a> IntoIterator for &'a Workload {
    type Item = Op;
    type IntoIter = Operations<'a>;
    fn into_iter(self) -> Operations<'a> {
        self.iter()
    }
}

/// The operations of a workload, in order.
#[derive(Debug)]
pub struct Operations<'a> {
    rng: ChaCha8Rng,
    phases: &'a [Phase],
    /// Operations done in the first of `phases`.
    done: u64,
    live: VecDeque<(u64, Domain)>,
    next_id: u64,
}

impl Operations<'_> {
    /// A number below `n`, each equally likely to within 2^-64.
    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.rng.next_u64()) * u128::from(n)) >> 64) as u64
    }

    fn percent(&mut self, percent: u8) -> bool {
        self.below(100) < u64::from(percent)
    }

    fn size(&mut self, sizes: Sizes) -> u64 {
        match sizes {
            Sizes::Fixed(size) => size,
            Sizes::Uniform { min, max } => min + self.below((max - min).saturating_add(1)),
            Sizes::Halving { min, max } => {
                let doublings = self.rng.next_u64().trailing_zeros();
                min.checked_shl(doublings).filter(|&s| s >> doublings == min && s <= max).unwrap_or(max)
            }
            Sizes::Python => {
                let total = PYTHON_SIZES.iter().map(|r| r.1).sum();
                let mut pick = self.below(total);
                let mut from = 1;
                for &(to, share) in PYTHON_SIZES {
                    if pick < share {
                        return from + self.below(to - from + 1);
                    }
                    pick -= share;
                    from = to + 1;
                }
                from
            }
        }
    }

    fn victim(&mut self, lifetimes: Lifetimes) -> usize {
        let len = self.live.len() as u64;
        let at = match lifetimes {
            Lifetimes::OldestFirst => 0,
            Lifetimes::NewestFirst => len - 1,
            Lifetimes::DieYoung if self.below(8) < 7 => len - 1 - self.below(len.min(16)),
            Lifetimes::Random | Lifetimes::DieYoung => self.below(len),
        };
        at as usize
    }

    fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    fn allocation(&mut self, phase: &Phase) -> Op {
        let size = self.size(phase.sizes);
        let percent = self.below(100);
        let domain = if percent < u64::from(phase.raw_percent) {
            Domain::Raw
        } else if percent < u64::from(phase.raw_percent) + u64::from(phase.mem_percent) {
            Domain::Mem
        } else {
            Domain::Obj
        };
        let id = self.fresh_id();
        self.live.push_back((id, domain));
        let call = if self.percent(phase.calloc_percent) {
            let elsize = [1, 2, 4, 8][self.below(4) as usize];
            Call::Calloc { id, nelem: size.div_ceil(elsize), elsize }
        } else {
            Call::Malloc { id, size }
        };
        Op { thread: 0, domain, call }
    }
}

impl Iterator for Operations<'_> {
    type Item = Op;

    fn next(&mut self) -> Option<Op> {
        while self.phases.first().is_some_and(|p| self.done >= p.operations) {
            self.phases = &self.phases[1..];
            self.done = 0;
        }
        let phase = *self.phases.first()?;
        let (from, to) = (i128::from(phase.live_from), i128::from(phase.live_to));
        let target = from + (to - from) * i128::from(self.done) / i128::from(phase.operations);
        self.done += 1;
        if !self.live.is_empty() && self.percent(phase.realloc_percent) {
            let at = self.victim(phase.lifetimes);
            let newid = self.fresh_id();
            let size = self.size(phase.sizes);
            let (id, domain) = std::mem::replace(&mut self.live[at], (newid, Domain::Obj));
            self.live[at].1 = domain;
            return Some(Op { thread: 0, domain, call: Call::Realloc { id, newid, size } });
        }
        let below_target = (self.live.len() as i128) < target;
        // Three to one towards the target, so that frees and allocations stay mixed.
        let grow = self.live.is_empty() || ((self.below(4) > 0) == below_target);
        if grow {
            return Some(self.allocation(&phase));
        }
        let at = self.victim(phase.lifetimes);
        // Order matters to the queue and the stack only, and those take from the ends.
        let gone = if at == 0 { self.live.pop_front() } else { self.live.swap_remove_back(at) };
        gone.map(|(id, domain)| Op { thread: 0, domain, call: Call::Free { id } })
    }
}
