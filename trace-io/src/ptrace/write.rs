//! Writes ptrace.

use std::io::{self, Write};

use sim_core::tape::Action;
use sim_core::{Call, Mark, ObjectHeap, Op, Trace};

use super::directives::{DIRECTIVES, LESSON, MARK};
use crate::loss::Loss;
use crate::writer::recorded;

/// Writes one operation of a trace as a line.
pub fn write_op(out: &mut impl Write, trace: &Trace, op: &Op) -> io::Result<()> {
    write_op_in(out, trace, op, ObjectHeap::Object)
}

/// Writes one operation as a line, with the heap that its objects go to.
pub(crate) fn write_op_in(out: &mut impl Write, trace: &Trace, op: &Op, heap: ObjectHeap) -> io::Result<()> {
    if op.thread != 0 {
        write!(out, "t{} ", op.thread)?;
    }
    let dom = match heap {
        ObjectHeap::Object => op.domain.letter(),
        ObjectHeap::Gc => 'g',
        ObjectHeap::GcPre => 'p',
    };
    match op.call {
        Call::Malloc { id, size } => writeln!(out, "m {dom} {id} {size}"),
        Call::Calloc { id, nelem, elsize } => writeln!(out, "c {dom} {id} {nelem} {elsize}"),
        Call::Realloc { id, newid, size } => writeln!(out, "r {dom} {id} {newid} {size}"),
        Call::Free { id } => writeln!(out, "f {dom} {id}"),
        Call::FreeKeep { id } => writeln!(out, "k {dom} {id}"),
        Call::Act(Action::HeapCollect { force }) => writeln!(out, "g {}", u8::from(force)),
        Call::Act(Action::ThreadExit) => writeln!(out, "x"),
        Call::Act(Action::HeapWalk { mask }) => writeln!(out, "v {mask}"),
        Call::Act(Action::Quiescent) => writeln!(out, "q"),
        Call::Act(Action::FreeDelayed { id, size }) => writeln!(out, "d {dom} {id} {size}"),
        Call::Act(Action::ProcessDelayed) => writeln!(out, "P"),
        Call::Act(Action::SetupDebugHooks) => writeln!(out, "x setup_debug_hooks"),
        Call::Act(Action::Stack(stack)) => {
            write!(out, "x stack")?;
            for frame in trace.origin.stacks.lines(stack) {
                write!(out, " {}", as_word(&frame.to_string()))?;
            }
            writeln!(out)
        }
        Call::Act(Action::TracemallocStart(n)) => writeln!(out, "x tracemalloc start {n}"),
        Call::Act(Action::TracemallocStop) => writeln!(out, "x tracemalloc stop"),
        Call::Act(Action::TracemallocClear) => writeln!(out, "x tracemalloc clear_traces"),
        Call::Act(Action::TracemallocResetPeak) => writeln!(out, "x tracemalloc reset_peak"),
        Call::Act(Action::TracemallocSnapshot(name)) => {
            writeln!(out, "x tracemalloc snapshot {}", as_word(trace.name_of(name)))
        }
        Call::Act(Action::SetArenaAllocator(hook)) => writeln!(out, "x set_arena_allocator {hook}"),
        Call::Act(Action::VirtualAlloc { id, size }) => writeln!(out, "x virtual_alloc {id} {size}"),
        Call::Act(Action::VirtualFree { id }) => writeln!(out, "x virtual_free {id}"),
        Call::Act(Action::InterpreterNew { number, own_obmalloc }) => {
            writeln!(out, "x interpreter_new {number} {}", if own_obmalloc { "own" } else { "main" })
        }
        Call::Act(Action::InterpreterSwitch(number)) => writeln!(out, "x interpreter_switch {number}"),
        Call::Act(Action::InterpreterEnd(number)) => writeln!(out, "x interpreter_end {number}"),
        Call::Act(Action::Track { domain, id, size }) => writeln!(out, "x track {domain} {id} {size}"),
        Call::Act(Action::Untrack { domain, id }) => writeln!(out, "x untrack {domain} {id}"),
        Call::Act(Action::ThreadState { attached: true }) => writeln!(out, "x attach"),
        Call::Act(Action::ThreadState { attached: false }) => writeln!(out, "x detach"),
        Call::Act(Action::SetAllocator(table)) => writeln!(out, "x set_allocator {dom} {table}"),
        Call::Act(Action::Poke { id, offset, bytes }) => writeln!(out, "x poke {id} {offset} {bytes}"),
    }
}

/// A name as one field of a line.
fn as_word(name: &str) -> String {
    if name.is_empty() { "%20".to_owned() } else { name.replace(char::is_whitespace, "%20") }
}

/// What a ptrace file cannot carry of this trace.
pub fn losses(trace: &Trace) -> Vec<Loss> {
    let mut lost = recorded(trace);
    if !trace.head.notes.is_empty() {
        lost.push(Loss::of(format!("{} notes", trace.head.notes.len())));
    }
    if let Some(profile) = &trace.head.profile {
        lost.push(Loss::profile(profile));
    }
    for (key, value) in &trace.head.settings {
        if !DIRECTIVES.contains(&key.as_str()) {
            lost.push(Loss::setting(key, value));
        }
    }
    lost
}

/// Writes the text before the first operation.
pub fn write_header(out: &mut impl Write, trace: &Trace) -> io::Result<()> {
    let description =
        if trace.head.description.is_empty() { &trace.head.name } else { &trace.head.description };
    writeln!(out, "# {}", description.split_whitespace().collect::<Vec<_>>().join(" "))?;
    if let Some(malloc) = trace.head.malloc {
        writeln!(out, "#! malloc={}", malloc.name())?;
    }
    if let Some(value) = &trace.head.malloc_stats {
        writeln!(out, "#! malloc_stats={}", value.split_whitespace().collect::<String>())?;
    }
    if trace.is_lesson() {
        writeln!(out, "#! {}={}", LESSON.0, LESSON.1)?;
    }
    for (key, value) in trace.head.settings.iter().filter(|s| DIRECTIVES.contains(&s.0.as_str())) {
        writeln!(out, "#! {key}={value}")?;
    }
    Ok(())
}

/// Writes a whole trace.
pub fn write(out: &mut impl Write, trace: &Trace) -> io::Result<()> {
    write_header(out, trace)?;
    write_rows(out, trace)?;
    write_footer(out, trace)
}

/// Writes the operations that are here.
pub(crate) fn write_rows(out: &mut impl Write, trace: &Trace) -> io::Result<()> {
    for index in 0..trace.len() {
        write_marks(out, trace.marks_at(trace.first() + index))?;
        if let Some(op) = trace.op(index) {
            write_op_in(out, trace, &op, trace.object_heap(index as usize))?;
        }
    }
    Ok(())
}

/// Writes the marks after the last operation.
pub(crate) fn write_footer(out: &mut impl Write, trace: &Trace) -> io::Result<()> {
    write_marks(out, trace.marks_at(trace.first() + trace.len()))
}

fn write_marks(out: &mut impl Write, marks: &[Mark]) -> io::Result<()> {
    marks.iter().try_for_each(|mark| writeln!(out, "#! {MARK} {}", mark.name()))
}
