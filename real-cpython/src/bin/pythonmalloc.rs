//! Runs a ptrace through a real libpython whose tables `PYTHONMALLOC` of this very process has set up, and prints
//! where every block landed, in the lines of `arenascope replay --placement - --malloc-stats`.
//!
//! `pythonmalloc FILE PLACEMENT`. What `PYTHONMALLOCSTATS` makes the library print goes to standard error. A hook
//! that would abort the process prints `aborted` and ends the output.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;

use anyhow::{Context as _, Result};
use real_cpython::RealPymalloc;
use sim_core::tape::Action;
use sim_core::{Kind, Profile};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let path = args.next().context("name a ptrace")?;
    let mut profile = Profile::default();
    profile.set("arena_placement", &args.next().context("name a placement")?)?;
    let trace = trace_io::open(&path, Box::new(File::open(&path)?))?;
    let mut real = RealPymalloc::get()?;
    real.reset(&profile, trace.slot_count(), true);
    real.preinitialize()?;

    let mut out = String::new();
    // Arenas in order of creation, by base.
    let (mut ordinals, mut obtained) = (BTreeMap::new(), 0_u64);
    for index in 0..trace.len() as usize {
        let op = trace.packed(index);
        let address = match trace.action(op.size) {
            Some(Action::SetArenaAllocator(choice)) if op.kind == Kind::Act => {
                real.set_arena_allocator(choice);
                0
            }
            _ => real.apply(op),
        };
        for (came, base) in real.arena_marks() {
            if came {
                ordinals.insert(base, obtained);
                writeln!(out, "+arena {obtained}")?;
                obtained += 1;
            } else if let Some(ordinal) = ordinals.remove(&base) {
                writeln!(out, "-arena {ordinal}")?;
            }
        }
        if real.aborted() {
            out.push_str("aborted\n");
            break;
        }
        let arena = ordinals.range(..=address).next_back().filter(|a| address - a.0 < profile.arena_size);
        match (op.kind, arena) {
            (Kind::Free | Kind::FreeKeep | Kind::Act, _) => out.push_str("-\n"),
            _ if address == 0 => out.push_str("null\n"),
            (_, Some((base, ordinal))) => writeln!(out, "{ordinal} {}", address - base)?,
            (_, None) => out.push_str("raw\n"),
        }
    }
    out.push_str(&real.debugmallocstats()?);
    writeln!(out, "hooks {:?}", real.hook_calls())?;
    writeln!(out, "name {:?}", real.current_allocator_name())?;
    std::io::stdout().write_all(out.as_bytes())?;
    Ok(())
}
