//! Blocks damaged under debug hooks: the text that a real interpreter prints before it dies, and ours.
//!
//! Each interpreter runs in a process of its own with `PYTHONMALLOC=debug`; addresses are compared relative
//! to the block, everything else to the letter.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

use std::fmt::Write as _;

use real_cpython::interpreters::{self, Interpreter};
use real_cpython::or_not_run;
use sim_core::domains::AllocatorName;
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

/// What our machine prints, with addresses as `p+N` or `p`.
fn simulated(case: &Case) -> String {
    let mut tape = TraceBuilder::new("fatal");
    tape.trace_mut().malloc = Some(AllocatorName::Debug);
    tape.push(Op { thread: 0, domain: case.domain, call: Call::Malloc { id: 1, size: case.size } }).unwrap();
    let call = if case.realloc {
        Call::Realloc { id: 1, newid: 1, size: case.size + 100 }
    } else {
        Call::Free { id: 1 }
    };
    tape.push(Op { thread: 0, domain: case.through, call }).unwrap();
    let trace = tape.finish();
    let mut machine = Machine::for_trace(&Profile::default(), &trace, None).unwrap();
    machine.step(&trace, 0, &mut ());
    let slot = trace.packed(0).slot;
    let p = machine.address(slot).unwrap();
    for &(offset, byte) in case.pokes {
        machine.poke(slot, offset, &[byte]);
    }
    machine.step(&trace, 1, &mut ());
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

fn real(python: &Interpreter, case: &Case) -> String {
    let pokes: Vec<String> = case.pokes.iter().map(|(o, b)| format!("{o}={b:02x}")).collect();
    let verb = if case.realloc { "realloc" } else { "free" };
    let action = format!("{},{verb},{}", pokes.join("+"), case.through.letter());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fatal.py");
    let out = python
        .command(Some("debug"))
        .args([script, &case.domain.letter().to_string(), &case.size.to_string(), &action])
        .output()
        .unwrap();
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

#[test]
fn damaged_blocks_die_with_cpythons_words() {
    let Some(interpreters) = or_not_run(interpreters::required()) else { return };
    let mut compared = 0;
    for python in interpreters {
        for (number, case) in cases().iter().enumerate() {
            assert_eq!(simulated(case), real(python, case), "CPython {python}, case {number}");
            compared += 1;
        }
    }
    let versions: Vec<String> = interpreters.iter().map(ToString::to_string).collect();
    eprintln!("{compared} deaths compared with CPython {}", versions.join(", "));
}
