//! Blocks damaged under debug hooks: the text that a real interpreter prints before it dies, and ours.
//!
//! Each interpreter runs in a process of its own with `PYTHONMALLOC=debug`; addresses are compared relative
//! to the block, everything else to the letter.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;

use real_cpython::interpreters::{self, Interpreter};
use real_cpython::outside::compared;
use sim_core::domains::AllocatorName;
use sim_core::tape::Action;
use sim_core::{Addr, Call, Domain, Machine, Op, Profile, TraceBuilder};

/// Domain, size, bytes overwritten (offset from the pointer, value), freed or resized through which domain.
struct Case {
    domain: Domain,
    size: u64,
    pokes: &'static [(i64, u8)],
    realloc: bool,
    through: Domain,
}

fn cases() -> Vec<Case> {
    use Domain::{Mem, Obj, Raw};
    let case = |domain, size, pokes, realloc, through| Case { domain, size, pokes, realloc, through };
    vec![
        case(Obj, 5, &[(5, 0x41)], false, Obj),
        case(Mem, 48, &[(55, 0x00)], false, Mem),
        case(Raw, 9, &[(9, 1), (12, 2), (16, 3)], false, Raw),
        case(Obj, 100, &[(-1, 0x20)], false, Obj),
        case(Mem, 17, &[(-7, 0xff), (-3, 0)], true, Mem),
        case(Obj, 0, &[(0, 0x7f)], false, Obj),
        case(Mem, 600, &[(600, 9)], true, Mem),
        case(Obj, 1, &[], false, Mem),
        case(Mem, 488, &[], true, Obj),
        case(Mem, 16, &[], false, Raw),
        case(Raw, 8, &[], false, Obj),
        case(Obj, 24, &[(-8, b'z')], false, Obj),
        case(Obj, 513, &[(-1, 0), (513, 0)], false, Obj),
        case(Mem, 1000, &[], false, Mem),
    ]
}

/// What our machine prints, with addresses as `p+N` or `p`; `traced`, with tracemalloc knowing the block.
fn simulated(profile: &Profile, case: &Case, traced: bool) -> String {
    let mut tape = TraceBuilder::new("fatal");
    tape.trace_mut().head.malloc = Some(AllocatorName::Debug);
    if traced {
        let lines = ["inner.py:3", "outer.py:2", "fatal.py:1"].map(|line| line.parse().unwrap());
        let number = tape.stack(&lines);
        for action in [Action::TracemallocStart(2), Action::Stack(number)] {
            tape.push(Op { thread: 0, domain: case.domain, call: Call::Act(action) }).unwrap();
        }
    }
    let at = tape.len() as usize;
    tape.push(Op { thread: 0, domain: case.domain, call: Call::Malloc { id: 1, size: case.size } }).unwrap();
    let call = if case.realloc {
        Call::Realloc { id: 1, newid: 1, size: case.size + 100 }
    } else {
        Call::Free { id: 1 }
    };
    tape.push(Op { thread: 0, domain: case.through, call }).unwrap();
    let trace = tape.finish();
    let mut machine = Machine::for_trace(profile, &trace, None).unwrap();
    for index in 0..=at {
        machine.step(&trace, index, &mut ());
    }
    let slot = trace.packed(at).slot;
    let p = machine.address(slot).unwrap();
    for &(offset, byte) in case.pokes {
        machine.poke(slot, offset, &[byte]);
    }
    machine.step(&trace, at + 1, &mut ());
    machine.stopped().map_or_else(|| "alive".to_owned(), |fatal| relative(&fatal.to_string(), p))
}

fn relative(text: &str, p: Addr) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("0x") {
        let digits = rest[at + 2..].bytes().take_while(u8::is_ascii_hexdigit).count();
        let value = u64::from_str_radix(&rest[at + 2..at + 2 + digits], 16).unwrap_or(0);
        out.push_str(&rest[..at]);
        if digits > 4 {
            write!(out, "p+{}", value.wrapping_sub(p.0)).unwrap();
        } else {
            out.push_str(&rest[at..at + 2 + digits]);
        }
        rest = &rest[at + 2 + digits..];
    }
    out + rest
}

fn real(python: &Interpreter, case: &Case, traced: bool) -> String {
    let pokes: Vec<String> = case.pokes.iter().map(|(o, b)| format!("{o}={b:02x}")).collect();
    let verb = if case.realloc { "realloc" } else { "free" };
    let action = format!("{},{verb},{}", pokes.join("+"), case.through.letter());
    let (domain, size) = (case.domain.letter().to_string(), case.size.to_string());
    let mut args = vec![domain.as_str(), &size, &action];
    args.extend(traced.then_some("traced"));
    printed(python, &args)
}

/// What a process prints up to the fatal error, without the line that tells its block.
fn printed(python: &Interpreter, args: &[&str]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fatal.py");
    let out = python.command(Some("debug")).arg(script).args(args).output().unwrap();
    // One byte a character, as ours.
    let text: String = out.stderr.iter().map(|&b| char::from(b)).collect();
    let (first, rest) = text.split_once('\n').unwrap();
    let p = Addr(u64::from_str_radix(first.strip_prefix("p=0x").unwrap(), 16).unwrap());
    // What follows the fatal error is the runtime's own epilogue.
    let mut kept = String::new();
    for line in rest.lines() {
        kept.push_str(line);
        if line.starts_with("Fatal Python error") {
            break;
        }
        kept.push('\n');
    }
    relative(kept.trim_end_matches('\n'), p)
}

fn all_versions(interpreters: &[Interpreter]) -> String {
    interpreters.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[test]
fn damaged_blocks_die_with_cpythons_words() {
    let Some(interpreters) = interpreters::compared() else { return };
    let mut deaths = 0;
    for python in interpreters {
        for (number, case) in cases().iter().enumerate() {
            for traced in [false, true] {
                let place = format!("CPython {python}, case {number}, traced {traced}");
                assert_eq!(simulated(&python.profile(), case, traced), real(python, case, traced), "{place}");
                deaths += 1;
            }
        }
    }
    compared("damaged blocks", &format!("CPython {}: {deaths} deaths", all_versions(interpreters)));
}

#[test]
fn calls_without_a_thread_state_die_too() {
    let Some(interpreters) = interpreters::compared() else { return };
    let mut deaths = 0;
    for python in interpreters {
        for domain in Domain::ALL {
            for (name, args) in [("Malloc", "1"), ("Calloc", "2"), ("Realloc", "2"), ("Free", "1")] {
                let mut tape = TraceBuilder::new("detached");
                tape.trace_mut().head.malloc = Some(AllocatorName::Debug);
                let call = match name {
                    "Malloc" => Call::Malloc { id: 1, size: 0 },
                    "Calloc" => Call::Calloc { id: 1, nelem: 0, elsize: 0 },
                    "Realloc" => Call::Realloc { id: 0, newid: 1, size: 0 },
                    _ => Call::Free { id: 0 },
                };
                for call in [Call::Act(Action::ThreadState { attached: false }), call] {
                    tape.push(Op { thread: 0, domain, call }).unwrap();
                }
                let trace = tape.finish();
                let mut machine = Machine::for_trace(&python.profile(), &trace, None).unwrap();
                for index in 0..2 {
                    machine.step(&trace, index, &mut ());
                }
                let ours = machine.stopped().map_or_else(|| "alive".to_owned(), ToString::to_string);
                let function = format!("{}{name}", domain.prefix());
                let real = printed(python, &["detached", &function, args]);
                assert_eq!(ours, real, "CPython {python}, {function}");
                deaths += 1;
            }
        }
    }
    compared(
        "calls without a thread state",
        &format!("CPython {}: {deaths} calls", all_versions(interpreters)),
    );
}
