//! The verdict of the picture of a process, which is one moment and has all of its memory, not pymalloc's alone.

use sim_core::picture::{Cause, Finding};

use super::{Figures, Sentence, To, Try, Verdict, View, Word, percent, share};
use crate::diagnosis::holders::Rule;
use crate::diagnosis::process::Process;
use crate::format::bytes;

impl Word {
    /// The word for what was found in a process.
    pub fn of_finding(cause: Cause) -> Self {
        match cause {
            Cause::CLibraryFree | Cause::LostInC | Cause::Buffers | Cause::Native => Self::NotPymalloc,
            Cause::Pinned => Self::Pinned,
            Cause::Spread | Cause::MimallocFree => Self::HighWater,
            Cause::Objects => Self::Healthy,
        }
    }
}

impl Figures<'_> {
    pub(super) fn of_process(&self, process: &Process) -> Option<Verdict> {
        let (first, rest) = process.findings.split_first()?;
        // Of arenas the blocks in them say who keeps which.
        let mut verdict = if first.cause == Cause::Pinned {
            self.pinned()
        } else {
            self.verdict(Word::of_finding(first.cause), 0.9, self.sentence(process, *first))
        };
        for finding in rest {
            verdict.show(self.sentence(process, *finding), View::Process);
        }
        let parts: Vec<String> =
            process.parts.iter().map(|(name, part)| format!("{} {name}", bytes(*part))).collect();
        let said = Sentence::default().link(&bytes(process.resident), self.end.step, To::Process);
        let of = if process.source.core.is_empty() { " in memory" } else { " of memory mapped" };
        verdict.show(said.say(&format!("{of}, most of it {}", parts.join(", "))), View::Process);
        if first.cause != Cause::Pinned {
            verdict.tries = self.tries(first.cause);
        }
        if process.source.approximate {
            verdict.confidence -= 0.2;
            verdict
                .doubts
                .push("the process ran on while it was looked at: the picture is approximate".to_owned());
        }
        verdict.doubts.push("a picture shows a moment: whether it grows, only a second one tells".to_owned());
        verdict.tries.push(Try::Do(
            "take a second picture later: `arenascope xray diff` tells what grew in between".to_owned(),
        ));
        Some(verdict)
    }

    /// A finding in a sentence.
    fn sentence(&self, process: &Process, finding: Finding) -> Sentence {
        let to = match finding.cause {
            Cause::Pinned | Cause::Spread => To::Waterfall,
            Cause::Objects => self.holders(Rule::Split, None),
            _ => To::Process,
        };
        Sentence::default().link(&bytes(finding.bytes), self.end.step, to).say(&format!(
            " ({}): {}.",
            percent(share(finding.bytes, process.resident)),
            says(finding.cause)
        ))
    }

    /// What to do about it.
    fn tries(&self, cause: Cause) -> Vec<Try> {
        let ask = match cause {
            Cause::Spread => Some(Rule::Sole),
            Cause::Buffers | Cause::Objects | Cause::Pinned => Some(Rule::Split),
            Cause::CLibraryFree | Cause::LostInC | Cause::Native | Cause::MimallocFree => None,
        };
        let advice = advice(cause).map(|what| Try::Do(what.to_owned()));
        advice.into_iter().chain(ask.map(|rule| self.ask_holders(None, rule))).collect()
    }
}

/// What a number of bytes is that was found, behind the number.
pub fn says(cause: Cause) -> &'static str {
    match cause {
        Cause::CLibraryFree => {
            "the C library keeps memory that was freed, and would give this much back if it were asked"
        }
        Cause::LostInC => {
            "blocks that nothing refers to: C code has lost them, and Python's own tools do not see them"
        }
        Cause::Pinned => {
            "free in pymalloc's arenas, which go back to the system only when they are empty; many have hardly anything in them"
        }
        Cause::Spread => {
            "free in pymalloc's arenas, most of which are well used otherwise: what a higher peak left, and new objects go there first"
        }
        Cause::MimallocFree => {
            "free in pages of mimalloc, which go back to the system only when none of their blocks is in use: new objects of the same sizes \
             go there first"
        }
        Cause::Buffers => "large objects and buffers, which the C library has and not pymalloc",
        Cause::Native => {
            "code, variables and memory of the program and its libraries, not of Python's objects"
        }
        Cause::Objects => "objects that the program has, and their buffers",
    }
}

/// What to do about it, where that does not depend on who holds the memory.
pub fn advice(cause: Cause) -> Option<&'static str> {
    Some(match cause {
        Cause::CLibraryFree => {
            "ctypes.CDLL(None).malloc_trim(0) after the work that frees, or start with MALLOC_TRIM_THRESHOLD_=131072 and, with many threads, \
             MALLOC_ARENA_MAX=2"
        }
        Cause::LostInC => {
            "look for the extension that allocates blocks of these sizes; a recording with `memray run --native` names the C function"
        }
        Cause::Spread | Cause::MimallocFree => {
            "nothing, if the peak comes again; else look at what the peak was: a recording says"
        }
        Cause::Native => "fewer imports, or several workers that share the pages: import before the fork",
        Cause::Pinned | Cause::Buffers | Cause::Objects => return None,
    })
}
