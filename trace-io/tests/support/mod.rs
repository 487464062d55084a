//! Traces with everything that a trace can have.

#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses its part")]

use std::io::Cursor;

use sim_core::domains::{AllocatorName, ArenaChoice, ObjectHeap};
use sim_core::tape::{Action, CallCount, Poked, SourceLine, StackId, TableChoice, TimeMark};
use sim_core::{Addr, Call, Domain, Note, Op, Trace, TraceBuilder};
use trace_io::atrace::FileProfile;
use trace_io::workload::Workload;
use trace_io::{Remedy, TraceError, atrace_writer};

/// Draws from a seed.
pub struct Draw(pub u64);

impl Draw {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// What a trace has besides operations.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is drawn on its own")]
pub struct Extras {
    pub scenario: bool,
    pub stacks: bool,
    pub addresses: bool,
    pub times: bool,
    pub threads: bool,
    pub wild_ids: bool,
}

/// A trace from a seed, handed to `each` after every `piece` operations and then forgotten, where that is
/// asked for.
pub fn trace(
    seed: u64,
    operations: u64,
    extras: Extras,
    mut each: impl FnMut(&mut TraceBuilder),
) -> TraceBuilder {
    let mut draw = Draw(seed);
    let mut tape = TraceBuilder::new("everything");
    facts(tape.trace_mut(), extras);
    let rename = |id: u64| if extras.wild_ids && id.is_multiple_of(3) { u64::MAX - id } else { id };
    let mut address = 0x7f00_0000_0030_u64;
    for op in &Workload::python(seed, operations, 1 + draw.below(300)) {
        let mut op = op;
        match &mut op.call {
            Call::Malloc { id, size } => {
                *id = rename(*id);
                if draw.below(50) == 0 {
                    *size = 1 << (30 + draw.below(34));
                }
            }
            Call::Calloc { id, nelem, .. } => {
                *id = rename(*id);
                if draw.below(20) == 0 {
                    *nelem = u64::MAX - draw.below(3);
                }
            }
            Call::Free { id } => *id = rename(*id),
            Call::Realloc { id, newid, .. } => {
                *id = rename(*id);
                *newid = rename(*newid);
            }
            Call::FreeKeep { .. } | Call::Act(_) => {}
        }
        if extras.threads {
            op.thread = if draw.below(40) == 0 { 65_535 } else { draw.below(3) as u16 };
        }
        let at = tape.len();
        if extras.times && draw.below(30) == 0 {
            let rss_bytes = (draw.below(2) == 0).then(|| 4096 * draw.below(1000));
            tape.trace_mut().origin.moments.push(TimeMark {
                at,
                time_ns: at * 1_000 + draw.below(900),
                rss_bytes,
            });
        }
        if draw.below(100) == 0 {
            tape.trace_mut().head.notes.push(Note { at, text: format!("note before {at}: ünïcode") });
        }
        // At the places and under the names that a format might mistake, without a draw.
        match (at + seed) % 41 {
            0 => tape.mark(&format!("turn {}, \"ünï\\code\"", at % 3)).unwrap(),
            1 => (0..3).for_each(|n| tape.mark(["a#2", "mark(\"x\"), m o 1 8", "#! mark"][n]).unwrap()),
            _ => {}
        }
        if extras.scenario && draw.below(8) == 0 {
            act(&mut tape, &mut draw, &op);
        }
        let stack = if extras.stacks { stack(&mut tape, &mut draw) } else { StackId(0) };
        address = match draw.below(5) {
            0 => draw.0 & 0x0000_ffff_ffff_ffff,
            1 => 0,
            _ => address + 48,
        };
        // In some traces addresses begin late.
        let begun = extras.addresses && (seed.is_multiple_of(2) || tape.len() > operations / 3);
        let address = (begun && address != 0).then_some(Addr(address));
        if extras.scenario && !extras.stacks && !extras.addresses {
            let heap = [ObjectHeap::Object, ObjectHeap::Gc, ObjectHeap::GcPre][draw.below(3) as usize];
            tape.push_in(op, heap).unwrap();
        } else {
            tape.push_recorded(op, stack, address).unwrap();
        }
        each(&mut tape);
    }
    if extras.times {
        let at = tape.len();
        tape.trace_mut().origin.moments.push(TimeMark { at, time_ns: u64::MAX - 5, rss_bytes: None });
    }
    if seed.is_multiple_of(3) {
        tape.mark("end").unwrap();
    }
    tape.trace_mut().origin.source.set("ended", "well");
    tape
}

fn facts(trace: &mut Trace, extras: Extras) {
    "all that\na trace has".clone_into(&mut trace.head.description);
    trace.head.profile = Some("cpython-3.9".to_owned());
    trace.head.settings.push(("arena_limit".to_owned(), "7".to_owned()));
    trace.head.settings.push(("arena_placement".to_owned(), "page".to_owned()));
    if extras.scenario {
        trace.head.malloc = Some(AllocatorName::parse("debug").unwrap());
        trace.head.malloc_stats = Some("0".to_owned());
        trace.head.lesson = true;
    }
    let source = &mut trace.origin.source;
    source.set("python", "3.14.1");
    source.set("command_line", "python -c 'é'");
    source.records = Some(u64::MAX);
    source.peak_bytes = Some(0);
    source.calls.push(CallCount { function: "mmap".to_owned(), calls: 12 });
    source.thread_names = vec![String::new(), "worker".to_owned()];
    source.lacks("domains", "give --domains");
    source.doubt.unknown_frees = 3;
    source.doubt.ambiguous_reallocs = 1 << 40;
}

fn stack(tape: &mut TraceBuilder, draw: &mut Draw) -> StackId {
    let frames: Vec<SourceLine> = (0..draw.below(5))
        .map(|depth| SourceLine {
            function: format!("f{}", draw.below(4)),
            file: format!("m{depth}.py"),
            line: draw.below(9) as u32,
        })
        .collect();
    tape.trace_mut().origin.stacks.intern(&frames)
}

fn act(tape: &mut TraceBuilder, draw: &mut Draw, next: &Op) {
    let bytes = Poked::new(&[1, 2, 3][..=draw.below(3) as usize]).unwrap();
    let id = match next.call {
        Call::Free { id } | Call::Realloc { id, .. } => id,
        _ => 0,
    };
    let user = ["count", "fail:3", "bump:4096", "libc", "pymalloc", "log"][draw.below(6) as usize];
    let frames = [SourceLine { function: String::new(), file: "a b.py".to_owned(), line: 3 }];
    let fresh = 1 << 62 | tape.len();
    let name = tape.name_number(["before", "after"][draw.below(2) as usize]);
    let arenas = [ArenaChoice::Default, ArenaChoice::FailFrom(9), ArenaChoice::Bump { bytes: 1 << 21 }];
    let number = 1 + tape.len() as u32;
    let call = match draw.below(26) {
        0 => Call::Act(Action::SetupDebugHooks),
        1 => Call::Act(Action::SetAllocator(user.parse::<TableChoice>().unwrap())),
        2 if id != 0 => Call::Act(Action::Poke { id, offset: -9, bytes }),
        3 => Call::Act(Action::Stack(tape.stack(&frames))),
        4 => Call::Act(Action::TracemallocStart(25)),
        5 => Call::Act(Action::TracemallocStop),
        6 => Call::Act(Action::TracemallocClear),
        7 => Call::Act(Action::TracemallocResetPeak),
        8 if id != 0 => Call::Act(Action::Track { domain: u32::MAX, id, size: 1 << 50 }),
        9 if id != 0 => Call::Act(Action::Untrack { domain: 1, id }),
        10 => Call::Act(Action::ThreadState { attached: true }),
        11 => Call::Act(Action::ThreadState { attached: false }),
        12 if id != 0 => Call::FreeKeep { id },
        13 => Call::Act(Action::HeapCollect { force: true }),
        14 => Call::Act(Action::ThreadExit),
        15 => Call::Act(Action::HeapWalk { mask: 11 }),
        16 => Call::Act(Action::Quiescent),
        17 => Call::Act(Action::ProcessDelayed),
        18 => Call::Act(Action::TracemallocSnapshot(name)),
        19 => Call::Act(Action::SetArenaAllocator(arenas[draw.below(3) as usize])),
        20 => Call::Act(Action::VirtualAlloc { id: fresh, size: 1 << 14 }),
        21 => Call::Act(Action::FreeDelayed { id: 0, size: 5 }),
        22 => Call::Act(Action::InterpreterSwitch(0)),
        23 if tape.len() < 40 => {
            Call::Act(Action::InterpreterNew { number, own_obmalloc: number.is_multiple_of(2) })
        }
        _ => return,
    };
    tape.push(Op { thread: 0, domain: Domain::Mem, call }).unwrap();
    match call {
        // What was made is used and goes.
        Call::Act(Action::VirtualAlloc { id, .. }) if draw.below(2) == 0 => {
            let call = Call::Act(if draw.below(2) == 0 {
                Action::VirtualFree { id }
            } else {
                Action::FreeDelayed { id, size: 1 }
            });
            tape.push(Op { thread: 0, domain: Domain::Mem, call }).unwrap();
        }
        Call::Act(Action::InterpreterNew { number, .. }) => {
            for action in [Action::InterpreterSwitch(number), Action::InterpreterEnd(number)] {
                tape.push(Op { thread: 0, domain: Domain::Mem, call: Call::Act(action) }).unwrap();
            }
        }
        _ => {}
    }
}

/// A trace as an archive with blocks of `operations`, tight where they take between so many bytes an operation.
pub fn pack_in_blocks(trace: &Trace, operations: usize, tight: std::ops::Range<f64>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = trace_io::atrace::writer_in_blocks(&mut out, FileProfile::Archive, operations, tight);
    writer.write(trace).unwrap();
    writer.finish(trace).unwrap();
    out
}

/// A trace as `.atrace`.
pub fn pack(trace: &Trace, profile: FileProfile) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = atrace_writer(&mut out, profile);
    writer.write(trace).unwrap();
    assert!(writer.finish(trace).unwrap().is_empty(), "it carries everything");
    out
}

pub fn open(bytes: impl Into<Vec<u8>>) -> Result<Trace, TraceError> {
    trace_io::open("test", Box::new(Cursor::new(bytes.into())))
}

/// Asserts that two traces say the same in everything. Row `from` of the one is row 0 of the other.
#[track_caller]
pub fn check_same(back: &Trace, trace: &Trace, from: u64) {
    assert_eq!(back.len() + from, trace.len());
    for (at, index) in (from..trace.len()).enumerate() {
        assert_eq!(back.op(at as u64), trace.op(index), "operation {index}");
        let index = index as usize;
        assert_eq!(back.address_of(at), trace.address_of(index), "address of {index}");
        assert_eq!(back.stack_of(at), trace.stack_of(index), "stack of {index}");
        assert_eq!(back.object_heap(at), trace.object_heap(index), "heap of {index}");
        assert_eq!(back.packed(at).slot, trace.packed(index).slot, "slot of {index}");
    }
    assert_eq!(back.origin.stacks.len(), trace.origin.stacks.len());
    for stack in 0..=trace.origin.stacks.len() {
        assert_eq!(
            back.origin.stacks.lines(StackId(stack)),
            trace.origin.stacks.lines(StackId(stack)),
            "stack {stack}"
        );
    }
    assert_eq!(back.origin.source, trace.origin.source);
    assert_eq!((&back.head.malloc_stats, back.head.lesson), (&trace.head.malloc_stats, trace.head.lesson));
    let names = |t: &Trace| (0..t.name_count()).map(|n| t.name_of(n).to_owned()).collect::<Vec<_>>();
    assert_eq!(names(back), names(trace));
    assert_eq!(
        (&back.head.name, &back.head.description, &back.head.profile, &back.head.settings, back.head.malloc),
        (
            &trace.head.name,
            &trace.head.description,
            &trace.head.profile,
            &trace.head.settings,
            trace.head.malloc
        )
    );
    let notes = |t: &Trace| t.head.notes.iter().filter(|n| n.at >= from).cloned().collect::<Vec<_>>();
    assert_eq!(notes(back), notes(trace));
    let marks = |t: &Trace| t.head.marks.iter().filter(|m| m.at >= from).cloned().collect::<Vec<_>>();
    assert_eq!(marks(back), marks(trace));
    let moments = |t: &Trace| t.origin.moments.iter().filter(|m| m.at >= from).copied().collect::<Vec<_>>();
    assert_eq!(moments(back), moments(trace));
    if from == 0 {
        assert_eq!(back.totals(), trace.totals());
    }
}

/// Gives each block of a file the checksum that fits it.
pub fn seal(file: &mut [u8]) {
    let mut at = 16;
    while let Some(header) = file.get(at..at + 44) {
        let stored = u32::from_le_bytes(header[12..16].try_into().unwrap()) as usize;
        let Some(payload) = file.get(at + 44..).and_then(|rest| rest.get(..stored)) else { return };
        let seed = twox_hash::XxHash64::oneshot(0, &header[..36]);
        let sum = twox_hash::XxHash64::oneshot(seed, payload);
        file[at + 36..at + 44].copy_from_slice(&sum.to_le_bytes());
        at += 44 + stored;
    }
}

/// What is wrong, where, and what to do, as a program would put it that has no words of its own.
pub fn said(error: &TraceError) -> String {
    let line = match error.remedy() {
        Remedy::Do(sentence) => format!("{error}; {sentence}"),
        other => format!("{error}; {other:?}"),
    };
    assert!(!line.contains('\n'), "more than one line: {line}");
    line
}
