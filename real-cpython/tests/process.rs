//! What is the process's and what an interpreter's: isolated and legacy interpreters of a real CPython, and the
//! reports that `PYTHONMALLOCSTATS` makes a real one print.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::os::unix::process::ExitStatusExt as _;
use std::process::Command;

use real_cpython::interpreters;
use real_cpython::outside::{compared, not_run};
use sim_core::arena::ArenaBackend as _;
use sim_core::domains::AllocatorName;
use sim_core::machine::{Fatal, Interpreters, LibcAbort};
use sim_core::report::debugmallocstats;
use sim_core::tape::Action;
use sim_core::{Call, Domain, Machine, Op, Profile, TraceBuilder};
use trace_io::lesson::Lesson;
use trace_io::program::Bounds;

/// Steps for both sides; a block's interpreter is the one that obtained its arena.
const SCENARIOS: [&[&str]; 6] = [
    &["new 1 own", "malloc 1 40", "switch 1", "malloc 2 40", "free 2", "switch 0", "free 1"],
    &["new 1 main", "switch 1", "malloc 1 40", "switch 0", "free 1"],
    &["new 1 own", "switch 1", "malloc 1 40", "switch 0", "free 1"],
    &["malloc 1 200", "new 1 own", "switch 1", "free 1"],
    &[
        "malloc 1 200",
        "new 1 main",
        "new 2 own",
        "switch 1",
        "free 1",
        "switch 2",
        "malloc 3 500",
        "malloc 4 600",
    ],
    &["new 1 own", "new 2 own", "switch 1", "malloc 1 100", "switch 2", "malloc 2 100", "free 2", "free 1"],
];

/// The same of the course's lesson on interpreters, whose ends are left out: what a real one leaves behind follows from its own objects.
fn of_the_lesson() -> Vec<String> {
    let lesson = Lesson::parse(include_str!("../../traces/course/24-interpreters.ron")).unwrap();
    let profile = lesson.profile(None).unwrap();
    let trace = lesson.stage(&profile, Bounds::default()).unwrap().expanded.trace;
    let step = |index| match trace.op(index).unwrap().call {
        Call::Malloc { id, size } => format!("malloc {id} {size}"),
        Call::Free { id } => format!("free {id}"),
        Call::Act(Action::InterpreterNew { number, own_obmalloc }) => {
            format!("new {number} {}", if own_obmalloc { "own" } else { "main" })
        }
        Call::Act(Action::InterpreterSwitch(number)) => format!("switch {number}"),
        Call::Act(Action::InterpreterEnd(_)) => "switch 0".to_owned(),
        other => panic!("the lesson does {other:?}"),
    };
    (0..trace.len()).map(step).collect()
}

/// What the machine says to the steps: for each malloc an interpreter, then how it ends. Interpreters begin with
/// objects of their own, as real ones do: a block of each class, so that they have an arena.
fn simulated(steps: &[String]) -> (Vec<String>, bool) {
    let mut tape = TraceBuilder::new("interpreters");
    let mut push = |call| tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
    push(Call::Malloc { id: 1000, size: 16 });
    let mut running = 0;
    for step in steps {
        let words: Vec<&str> = step.split(' ').collect();
        let number: u64 = words[1].parse().unwrap();
        match words[0] {
            "new" => {
                let number = number as u32;
                push(Call::Act(Action::InterpreterNew { number, own_obmalloc: words[2] == "own" }));
                push(Call::Act(Action::InterpreterSwitch(number)));
                push(Call::Malloc { id: 1000 + u64::from(number), size: 16 });
                push(Call::Act(Action::InterpreterSwitch(running)));
            }
            "switch" => {
                running = number as u32;
                push(Call::Act(Action::InterpreterSwitch(running)));
            }
            "malloc" => push(Call::Malloc { id: number, size: words[2].parse().unwrap() }),
            _ => push(Call::Free { id: number }),
        }
    }
    let trace = tape.finish();
    let mut machine = Machine::for_trace(&Profile::default(), &trace, None).unwrap();
    let mut lines = Vec::new();
    for index in 0..trace.len() as usize {
        machine.step(&trace, index, &mut ());
        if let Some(fatal) = machine.stopped() {
            assert_eq!(fatal, &Fatal::Libc(LibcAbort::FreeInvalidPointer));
            return (lines, true);
        }
        match trace.op(index as u64).unwrap().call {
            Call::Malloc { id, .. } if id < 1000 => {
                let p = machine.address(trace.packed(index).slot).unwrap();
                let owned = machine.pymalloc().address_in_range(p);
                let owner = machine.interpreters().map_or(0, Interpreters::state_of);
                lines.push(if owned { owner.to_string() } else { "raw".to_owned() });
            }
            Call::Free { .. } => lines.push("freed".to_owned()),
            _ => {}
        }
    }
    assert!(machine.pymalloc().memory().hooks().is_none());
    (lines, false)
}

#[test]
fn interpreters_own_their_blocks() {
    let Some(interpreters) = interpreters::compared() else { return };
    let mut all: Vec<Vec<String>> =
        SCENARIOS.iter().map(|steps| steps.iter().map(|step| (*step).to_owned()).collect()).collect();
    all.push(of_the_lesson());
    assert!(simulated(&of_the_lesson()).1, "the lesson ends the process");
    let (mut scenarios, mut versions) = (0, Vec::new());
    let recent = || interpreters.iter().filter(|python| python.version >= (3, 12, 0));
    let mut without: BTreeSet<u32> = recent().map(|python| python.version.1).collect();
    for python in recent() {
        let Some((prefix, library)) = python.shared_library() else { continue };
        without.remove(&python.version.1);
        for steps in &all {
            let out = Command::new(env!("CARGO_BIN_EXE_subinterpreters"))
                .arg(&library)
                .args(steps)
                .env("PYTHONHOME", &prefix)
                .env_remove("PYTHONMALLOC")
                .output()
                .unwrap();
            let lines: Vec<String> =
                String::from_utf8(out.stdout).unwrap().lines().map(str::to_owned).collect();
            // glibc aborts, or crashes over the size it finds in front of the pointer.
            let died = matches!(out.status.signal(), Some(libc::SIGABRT | libc::SIGSEGV));
            assert!(died || out.status.success(), "{python} {steps:?}: {:?}", out.status);
            assert_eq!((lines, died), simulated(steps), "CPython {python}, {steps:?}");
            scenarios += 1;
        }
        versions.push(python.to_string());
    }
    compared(
        "blocks of several interpreters",
        &format!("CPython {}: {scenarios} scenarios, lesson 24 among them", versions.join(", ")),
    );
    for minor in without {
        let why = format!(
            "it has no shared library; `PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install 3.{minor}` builds one that has"
        );
        not_run(&format!("blocks of several interpreters in a process of CPython 3.{minor}"), why);
    }
}

#[test]
fn pythonmallocstats_begins_with_zeros_and_0_is_on() {
    let Some(interpreters) = interpreters::compared() else { return };
    let mut runs = 0;
    for python in interpreters {
        let pristine = debugmallocstats(Machine::simulated(&python.profile(), 0).unwrap().pymalloc());
        for (malloc, value, on) in [
            ("pymalloc", "1", true),
            ("pymalloc", "0", true),
            ("debug", "0", true),
            ("pymalloc", "", false),
            ("malloc", "1", false),
            ("malloc_debug", "1", false),
        ] {
            assert!(AllocatorName::parse(malloc).is_ok());
            let out =
                python.command(Some(malloc)).env("PYTHONMALLOCSTATS", value).args(["-c", "pass"]).output();
            let text = String::from_utf8(out.unwrap().stderr).unwrap();
            let place = format!("CPython {python} PYTHONMALLOC={malloc} PYTHONMALLOCSTATS={value}");
            let reports: Vec<&str> = text.split_inclusive("Small block threshold").skip(1).collect();
            assert_eq!(!reports.is_empty(), on, "{place}: {text}");
            if on {
                assert!(text.starts_with(&pristine), "{place}: {text}");
                // Each report but the last precedes the arena that caused it.
                for (at, report) in reports.iter().enumerate() {
                    let line = report.lines().find(|l| l.starts_with("# arenas allocated total")).unwrap();
                    let total: usize = line.rsplit(' ').next().unwrap().parse().unwrap();
                    assert_eq!(total, at, "{place}");
                }
            }
            runs += 1;
        }
    }
    let versions: Vec<String> = interpreters.iter().map(ToString::to_string).collect();
    compared("PYTHONMALLOCSTATS", &format!("CPython {}: {runs} runs", versions.join(", ")));
}
