//! Several processes that were forked from one another, seen at one moment: what they hold together, and what of the arenas from before
//! the fork each has for itself by now.

use std::collections::BTreeMap;

pub use super::kin::{Copied, CopiedType, Member, Process};
use super::kin::{Kin, add, sorted};

/// Copied pages are worth a word from so many hundredths of what all hold together on.
const MUCH_PERCENT: u64 = 5;
/// And from so many bytes on.
const LEAST: u64 = 1 << 20;
/// From so many hundredths on what is said of copied objects is said of most.
const MOST_PERCENT: u64 = 75;

/// How what is held together was counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Counted {
    /// By the system: each page divided by how many processes have it.
    Proportional,
    /// Private pages of each, and the shared ones of the one that has most.
    PrivateAndMostShared,
}

impl Counted {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Proportional => "pss",
            Self::PrivateAndMostShared => "private_and_most_shared",
        }
    }
}

/// What there is to say first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Says {
    /// They share no arena.
    NoFamily,
    /// Much was copied.
    Copied {
        /// Whether most of the objects are as they were.
        unchanged: bool,
        /// Whether most of the pages have an object that the garbage collector writes to.
        collected: bool,
    },
    /// Of much it is unknown whether it was copied.
    Unknown,
    /// Much was made by several after the fork.
    Twice,
    /// Little was copied.
    Little,
}

impl Says {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoFamily => "no_family",
            Self::Copied { .. } => "copied",
            Self::Unknown => "unknown",
            Self::Twice => "made_twice",
            Self::Little => "little_copied",
        }
    }
}

/// All of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Family {
    /// Each process, in the order in which they were named.
    pub processes: Vec<Process>,
    /// Bytes that they hold together, a page that several have counted once, as well as can be known.
    pub held_bytes: u64,
    /// How that was counted.
    pub counted: Counted,
    /// What was copied, of all of them.
    pub copied: Copied,
}

impl Family {
    /// Of processes that were copied at one moment.
    pub fn of(members: &[Member<'_>]) -> Self {
        let kin = Kin::of(members);
        let processes: Vec<Process> = (0..members.len()).map(|at| kin.process(at)).collect();
        let (held_bytes, counted) = held(&processes);
        let mut copied = Copied::default();
        let mut types = BTreeMap::new();
        for process in &processes {
            copied.bytes += process.copied.bytes;
            copied.buffer_bytes += process.copied.buffer_bytes;
            copied.uncollected_bytes += process.copied.uncollected_bytes;
            for row in &process.copied.types {
                add(&mut types, row);
            }
        }
        copied.types = sorted(types);
        Self { processes, held_bytes, counted, copied }
    }

    /// Whether any of them has something in common with another one.
    pub fn is_one(&self) -> bool {
        self.processes.iter().any(|process| process.arenas_before > 0)
    }

    /// What there is to say first.
    pub fn says(&self) -> Says {
        let much = (self.held_bytes / 100 * MUCH_PERCENT).max(LEAST);
        let all = |of: fn(&Process) -> u64| self.processes.iter().map(of).sum::<u64>();
        let (unknown, twice) = (all(|process| process.unknown_bytes), all(|process| process.twice_bytes));
        let Copied { bytes, types, uncollected_bytes, .. } = &self.copied;
        let most = |part: u64, of: u64| part >= of / 100 * MOST_PERCENT;
        let sum = |of: fn(&CopiedType) -> u64| types.iter().map(of).sum::<u64>();
        if *bytes >= much.max(unknown).max(twice) {
            Says::Copied {
                unchanged: most(sum(|row| row.unchanged), sum(|row| row.bytes)),
                collected: most(bytes.saturating_sub(*uncollected_bytes), *bytes),
            }
        } else if unknown >= much.max(twice) {
            Says::Unknown
        } else if twice >= much {
            Says::Twice
        } else if self.is_one() {
            Says::Little
        } else {
            Says::NoFamily
        }
    }
}

/// What processes hold together.
fn held(processes: &[Process]) -> (u64, Counted) {
    let proportional: Option<u64> = processes.iter().map(|process| process.pss_bytes).sum();
    if let Some(bytes) = proportional {
        return (bytes, Counted::Proportional);
    }
    let private: u64 = processes.iter().map(|process| process.private_bytes).sum();
    let shared = processes.iter().map(|process| process.shared_bytes).max();
    (private + shared.unwrap_or(0), Counted::PrivateAndMostShared)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;

    #[test]
    fn what_is_held_together_counts_a_shared_page_once() {
        let one = |pss_bytes, private_bytes, shared_bytes| Process {
            pss_bytes,
            private_bytes,
            shared_bytes,
            ..Process::default()
        };
        let known = [one(Some(60 * MB), 10 * MB, 100 * MB), one(Some(80 * MB), 30 * MB, 90 * MB)];
        assert_eq!(held(&known), (140 * MB, Counted::Proportional));
        let unknown = [known[0].clone(), Process { pss_bytes: None, ..known[1].clone() }];
        assert_eq!(held(&unknown), (140 * MB, Counted::PrivateAndMostShared));
    }

    #[test]
    fn no_more_is_said_than_the_pages_show() {
        let says = |bytes, unchanged, uncollected_bytes, (unknown_bytes, twice_bytes), arenas_before| {
            let process = Process { arenas_before, unknown_bytes, twice_bytes, ..Process::default() };
            let row = CopiedType { bytes, unchanged, ..CopiedType::default() };
            let copied = Copied { bytes, types: vec![row], uncollected_bytes, ..Copied::default() };
            let (held_bytes, counted) = (100 * MB, Counted::Proportional);
            Family { processes: vec![process], held_bytes, counted, copied }.says()
        };
        let copied = |unchanged, collected| Says::Copied { unchanged, collected };
        assert_eq!(says(20 * MB, 19 * MB, MB, (0, 0), 9), copied(true, true));
        assert_eq!(says(20 * MB, 19 * MB, 12 * MB, (0, 0), 9), copied(true, false));
        assert_eq!(says(20 * MB, MB, MB, (0, 0), 9), copied(false, true));
        assert_eq!(says(4 * MB, 4 * MB, 0, (0, 0), 9), Says::Little);
        assert_eq!(says(4 * MB, 4 * MB, 0, (50 * MB, 0), 9), Says::Unknown);
        assert_eq!(says(20 * MB, 20 * MB, 0, (0, 50 * MB), 9), Says::Twice);
        assert_eq!(says(0, 0, 0, (0, 0), 0), Says::NoFamily);
    }
}
