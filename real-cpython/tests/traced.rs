//! tracemalloc's hooks: which blocks have a trace after random calls in all domains, here and in each real
//! interpreter, with starts, stops and clears in between.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::Stdio;

use real_cpython::interpreters::{self, Interpreter};
use real_cpython::outside::compared;
use real_cpython::random::Random;
use sim_core::tape::Action;
use sim_core::{Call, Domain, Machine, Op, Profile, TraceBuilder};

/// The calls as the script reads them, and the sizes that our machine has traces of at each report.
fn scenario(profile: &Profile, seed: u64, malloc: &str) -> (String, Vec<String>) {
    let mut random = Random(seed);
    let mut text = String::new();
    let mut tape = TraceBuilder::new("traced");
    tape.trace_mut().head.malloc = Some(sim_core::domains::AllocatorName::parse(malloc).unwrap());
    let mut live: Vec<(u64, Domain)> = Vec::new();
    let mut reports = Vec::new();
    let push = |tape: &mut TraceBuilder, domain, call| tape.push(Op { thread: 0, domain, call }).unwrap();
    for step in 0..120_u64 {
        let (id, size) = (step + 1, 1_000_000 + step * 16);
        let domain = Domain::ALL[random.below(3) as usize];
        let act = |tape: &mut TraceBuilder, action| {
            tape.push(Op { thread: 0, domain: Domain::Obj, call: Call::Act(action) }).unwrap();
        };
        match random.below(100) {
            0..6 => {
                writeln!(text, "start").unwrap();
                act(&mut tape, Action::TracemallocStart(1));
            }
            6..8 => {
                writeln!(text, "stop").unwrap();
                act(&mut tape, Action::TracemallocStop);
            }
            8..10 => {
                writeln!(text, "clear").unwrap();
                act(&mut tape, Action::TracemallocClear);
            }
            10..20 => {
                writeln!(text, "report").unwrap();
                reports.push(tape.len());
            }
            20..45 if !live.is_empty() => {
                let (id, domain) = live.swap_remove(random.below(live.len() as u64) as usize);
                writeln!(text, "f {} {id}", domain.letter()).unwrap();
                push(&mut tape, domain, Call::Free { id });
            }
            45..65 if !live.is_empty() => {
                let at = random.below(live.len() as u64) as usize;
                let (old, domain) = std::mem::replace(&mut live[at], (id, Domain::Raw));
                live[at].1 = domain;
                // Every third shrinks below the size that reports look at.
                let size = if step % 3 == 0 { 900_000 } else { size };
                writeln!(text, "r {} {old} {id} {size}", domain.letter()).unwrap();
                push(&mut tape, domain, Call::Realloc { id: old, newid: id, size });
            }
            65..75 => {
                writeln!(text, "c {} {id} 4 {}", domain.letter(), size / 4).unwrap();
                live.push((id, domain));
                push(&mut tape, domain, Call::Calloc { id, nelem: 4, elsize: size / 4 });
            }
            _ => {
                writeln!(text, "m {} {id} {size}", domain.letter()).unwrap();
                live.push((id, domain));
                push(&mut tape, domain, Call::Malloc { id, size });
            }
        }
    }
    writeln!(text, "report").unwrap();
    reports.push(tape.len());
    let trace = tape.finish();
    let mut machine = Machine::for_trace(profile, &trace, None).unwrap();
    let mut expected = Vec::new();
    let mut done = 0;
    for at in reports {
        while done < at {
            machine.step(&trace, done as usize, &mut ());
            assert_eq!(machine.stopped(), None);
            done += 1;
        }
        let traces = machine.layers().map(|l| l.tracemalloc().get_traces()).unwrap_or_default();
        let mut sizes: Vec<u64> = traces.iter().map(|t| t.size).filter(|&s| s >= 1_000_000).collect();
        sizes.sort_unstable();
        expected.push(sizes.iter().map(u64::to_string).collect::<Vec<_>>().join(" "));
    }
    (text, expected)
}

fn ask(python: &Interpreter, malloc: &str, input: &str) -> Vec<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/traced.py");
    let mut child = python
        .command(Some(malloc))
        .arg(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(out.status.success(), "CPython {python}: {}", out.status);
    String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_same_blocks_are_traced() {
    let Some(interpreters) = interpreters::compared() else { return };
    let (mut reports, mut traces) = (0, 0);
    for python in interpreters {
        for (seed, malloc) in
            (1..).zip(["pymalloc", "malloc", "pymalloc_debug", "debug", "malloc_debug", "default"])
        {
            let (input, expected) = scenario(&python.profile(), seed, malloc);
            assert_eq!(
                expected,
                ask(python, malloc, &input),
                "CPython {python}, {malloc}, seed {seed}\n{input}"
            );
            reports += expected.len();
            traces += expected.iter().map(|l| l.split_whitespace().count()).sum::<usize>();
        }
    }
    let versions: Vec<String> = interpreters.iter().map(ToString::to_string).collect();
    compared(
        "blocks that tracemalloc knows",
        &format!("CPython {}: {reports} reports with {traces} traces", versions.join(", ")),
    );
    assert!(traces > 200, "the scenarios are too tame");
}
