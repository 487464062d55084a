//! Writes lessons.

use std::io::{self, Write};

use sim_core::tape::Action;
use sim_core::{Call, Domain, Mark, ObjectHeap, Op, Trace};

/// Writes a trace as a lesson.
pub fn write(out: &mut impl Write, trace: &Trace) -> io::Result<()> {
    write_header(out, trace)?;
    write_rows(out, trace)?;
    write_footer(out, trace)
}

/// What stands before the first operation.
pub(crate) fn write_header(out: &mut impl Write, trace: &Trace) -> io::Result<()> {
    writeln!(
        out,
        "#![enable(implicit_some)]\n(\n    name: {},\n    description: {},",
        quoted(&trace.head.name),
        quoted(&trace.head.description)
    )?;
    if let Some(profile) = &trace.head.profile {
        writeln!(out, "    profile: {},", quoted(profile))?;
    }
    if let Some(malloc) = trace.head.malloc {
        writeln!(out, "    malloc: {},", quoted(malloc.name()))?;
    }
    if let Some(value) = &trace.head.malloc_stats {
        writeln!(out, "    malloc_stats: {},", quoted(value))?;
    }
    if !trace.is_lesson() {
        writeln!(out, "    lesson: false,")?;
    }
    if !trace.head.settings.is_empty() {
        writeln!(out, "    settings: {{")?;
        for (key, value) in &trace.head.settings {
            writeln!(out, "        {}: {},", quoted(key), quoted(value))?;
        }
        writeln!(out, "    }},")?;
    }
    writeln!(out, "    operations: [")
}

/// The operations with their notes and marks.
pub(crate) fn write_rows(out: &mut impl Write, trace: &Trace) -> io::Result<()> {
    for index in 0..trace.len() {
        write_marks(out, trace.marks_at(trace.first() + index))?;
        if let Some(note) = trace.note_at(index) {
            writeln!(out, "        note({}),", quoted(&note.text))?;
        }
        if let Some(op) = trace.op(index) {
            write_op(out, trace, &op, trace.object_heap(index as usize))?;
        }
    }
    Ok(())
}

/// What stands after the last operation.
pub(crate) fn write_footer(out: &mut impl Write, trace: &Trace) -> io::Result<()> {
    write_marks(out, trace.marks_at(trace.first() + trace.len()))?;
    for note in trace.head.notes.iter().filter(|n| n.at >= trace.first() + trace.len()) {
        writeln!(out, "        note({}),", quoted(&note.text))?;
    }
    writeln!(out, "    ],\n)")
}

fn write_marks(out: &mut impl Write, marks: &[Mark]) -> io::Result<()> {
    marks.iter().try_for_each(|mark| writeln!(out, "        mark({}),", quoted(mark.name())))
}

fn write_op(out: &mut impl Write, trace: &Trace, op: &Op, heap: ObjectHeap) -> io::Result<()> {
    let mut tail = match (op.domain, heap) {
        (Domain::Raw, _) => ", domain: raw".to_owned(),
        (Domain::Mem, _) => ", domain: mem".to_owned(),
        (Domain::Obj, ObjectHeap::Object) => String::new(),
        (Domain::Obj, ObjectHeap::Gc) => ", domain: gc".to_owned(),
        (Domain::Obj, ObjectHeap::GcPre) => ", domain: gc_pre".to_owned(),
    };
    let thread = if op.thread == 0 { String::new() } else { format!(", thread: {}", op.thread) };
    tail.push_str(&thread);
    match op.call {
        Call::Malloc { id, size } => writeln!(out, "        malloc(id: {id}, size: {size}{tail}),"),
        Call::Calloc { id, nelem, elsize } => {
            writeln!(out, "        calloc(id: {id}, nelem: {nelem}, elsize: {elsize}{tail}),")
        }
        Call::Realloc { id, newid, size } if id == newid => {
            writeln!(out, "        realloc(id: {id}, size: {size}{tail}),")
        }
        Call::Realloc { id, newid, size } => {
            writeln!(out, "        realloc(id: {id}, newid: {newid}, size: {size}{tail}),")
        }
        Call::Free { id } => writeln!(out, "        free(id: {id}{tail}),"),
        Call::FreeKeep { id } => writeln!(out, "        free_keep(id: {id}{tail}),"),
        Call::Act(Action::Stack(number)) => {
            let frames: Vec<String> =
                trace.origin.stacks.lines(number).iter().map(|f| quoted(&f.to_string())).collect();
            writeln!(out, "        stack([{}]),", frames.join(", "))
        }
        Call::Act(Action::TracemallocStart(n)) => writeln!(out, "        tracemalloc_start({n}),"),
        Call::Act(Action::TracemallocStop) => writeln!(out, "        tracemalloc_stop,"),
        Call::Act(Action::TracemallocClear) => writeln!(out, "        tracemalloc_clear_traces,"),
        Call::Act(Action::TracemallocResetPeak) => writeln!(out, "        tracemalloc_reset_peak,"),
        Call::Act(Action::TracemallocSnapshot(name)) => {
            writeln!(out, "        tracemalloc_snapshot({}),", quoted(trace.name_of(name)))
        }
        Call::Act(Action::SetArenaAllocator(hook)) => {
            writeln!(out, "        set_arena_allocator(\"{hook}\"),")
        }
        Call::Act(Action::VirtualAlloc { id, size }) => {
            writeln!(out, "        virtual_alloc(id: {id}, size: {size}),")
        }
        Call::Act(Action::VirtualFree { id }) => writeln!(out, "        virtual_free(id: {id}),"),
        Call::Act(Action::InterpreterNew { number, own_obmalloc }) => {
            writeln!(out, "        interpreter_new(number: {number}, own_obmalloc: {own_obmalloc}),")
        }
        Call::Act(Action::InterpreterSwitch(number)) => {
            writeln!(out, "        interpreter_switch({number}),")
        }
        Call::Act(Action::InterpreterEnd(number)) => writeln!(out, "        interpreter_end({number}),"),
        Call::Act(Action::Track { domain, id, size }) => {
            writeln!(out, "        track(domain: {domain}, id: {id}, size: {size}),")
        }
        Call::Act(Action::Untrack { domain, id }) => {
            writeln!(out, "        untrack(domain: {domain}, id: {id}),")
        }
        Call::Act(Action::HeapCollect { force }) => writeln!(out, "        collect(force: {force}{thread}),"),
        Call::Act(Action::ThreadExit) => writeln!(out, "        thread_exit({}),", bare(&thread)),
        Call::Act(Action::HeapWalk { mask }) => writeln!(out, "        walk(mask: {mask}{thread}),"),
        Call::Act(Action::Quiescent) => writeln!(out, "        quiescent({}),", bare(&thread)),
        Call::Act(Action::FreeDelayed { id, size }) => {
            writeln!(out, "        free_delayed(id: {id}, size: {size}{tail}),")
        }
        Call::Act(Action::ProcessDelayed) => writeln!(out, "        process_delayed({}),", bare(&thread)),
        Call::Act(Action::SetupDebugHooks) => writeln!(out, "        setup_debug_hooks,"),
        Call::Act(Action::ThreadState { attached: true }) => writeln!(out, "        attach,"),
        Call::Act(Action::ThreadState { attached: false }) => writeln!(out, "        detach,"),
        Call::Act(Action::SetAllocator(table)) => {
            let domain = op.domain.name().to_lowercase();
            writeln!(out, "        set_allocator(domain: {domain}, table: \"{table}\"),")
        }
        Call::Act(Action::Poke { id, offset, bytes }) => {
            writeln!(out, "        poke(id: {id}, offset: {offset}, bytes: \"{bytes}\"),")
        }
    }
}

/// A list's tail as the whole list.
fn bare(tail: &str) -> &str {
    tail.trim_start_matches(", ")
}

/// A RON string.
fn quoted(text: &str) -> String {
    ron::to_string(text).unwrap_or_else(|_| "\"\"".to_owned())
}
