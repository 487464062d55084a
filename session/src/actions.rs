//! What a scenario's actions mean, and which Python stack an operation comes from.

use sim_core::tape::{Action, SourceLine, StackId, TableChoice};
use sim_core::{Call, Domain, Kind, Op, Trace};

use crate::format;

/// An operation as the C call it stands for; a stack by its lines.
pub fn call(trace: &Trace, op: &Op) -> String {
    match op.call {
        Call::Act(Action::Stack(number)) => match trace.origin.stacks.lines(number).as_slice() {
            [] => "stack without Python code".to_owned(),
            lines => format!("stack {}", stack_text(lines)),
        },
        Call::Act(Action::TracemallocSnapshot(name)) => {
            format!("{} = tracemalloc.take_snapshot()", trace.name_of(name))
        }
        _ => named(trace, op, format::call(op)),
    }
}

/// A call in the words of a trace whose author has names for blocks.
fn named(trace: &Trace, op: &Op, call: String) -> String {
    let names = &trace.head.names;
    let name = |id: u64| names.binary_search_by_key(&id, |(id, _)| *id).ok().map(|at| names[at].1.as_str());
    let (given, made) = match op.call {
        Call::Malloc { id, .. } | Call::Calloc { id, .. } => (None, Some(id)),
        Call::Realloc { id, newid, .. } => (Some(id), Some(newid)),
        Call::Free { id } | Call::FreeKeep { id } | Call::Act(Action::Poke { id, .. }) => (Some(id), None),
        Call::Act(_) => (None, None),
    };
    let call = match given.and_then(|id| Some((id, name(id)?))) {
        Some((id, name)) => call.replacen(&format!("#{id}"), name, 1),
        None => call,
    };
    match made.and_then(name) {
        Some(name) => format!("{name} = {call}"),
        None => call,
    }
}

/// The same where there is little room: without the long names that say nothing new in a list.
pub fn short_call(op: &Op, call: &str) -> String {
    match op.call {
        Call::Act(_) => call
            .replacen("PyTraceMalloc_", "", 1)
            .replacen("PyMem_SetAllocator(PYMEM_DOMAIN_", "SetAllocator(", 1)
            .replacen("PyMem_Setup", "Setup", 1)
            .replacen("PyObject_SetArena", "SetArena", 1)
            .replacen("Py_NewInterpreterFromConfig", "NewInterpreter", 1),
        // The family's letter stands for its name, as in traces.
        _ => call.replacen(op.domain.prefix(), &format!("{} ", op.domain.letter().to_ascii_uppercase()), 1),
    }
}

/// The first frames of a stack in a line, most recent first; the window lists all of them.
fn stack_text(lines: &[SourceLine]) -> String {
    const NAMED: usize = 3;
    let named = lines.iter().take(NAMED).map(format::frame).collect::<Vec<_>>().join(" < ");
    match lines.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} < {more} more"),
    }
}

/// Where calls begin to come from another stack: operations before, and the stack's number.
pub fn stack_changes(trace: &Trace, from: u64) -> Vec<(u64, StackId)> {
    if trace.action_count() == 0 {
        return Vec::new();
    }
    let stack_at = |at: u64| {
        let op = trace.packed(at as usize);
        match (op.kind, trace.action(op.size)) {
            (Kind::Act, Some(Action::Stack(number))) => Some((at, number)),
            _ => None,
        }
    };
    (from..trace.len()).filter_map(stack_at).collect()
}

/// The stack that the operation after `index` others comes from; `changes` are those of its trace. `None` where the trace says nothing.
#[inline]
pub fn stack_at(trace: &Trace, changes: &[(u64, StackId)], index: u64) -> Option<StackId> {
    if trace.has_stacks() {
        return Some(trace.stack_of(index as usize));
    }
    let before = changes.partition_point(|(at, _)| *at <= index);
    changes[..before].last().map(|(_, stack)| *stack)
}

/// The domain through which the block of the operation before `step` was called last: actions have none.
pub fn domain_of_last(trace: &Trace, step: u64) -> Domain {
    let Some(last) = step.checked_sub(1).filter(|at| *at < trace.len()) else { return Domain::Obj };
    let names_block = |at: u64| {
        let op = trace.packed(at as usize);
        match op.kind {
            Kind::Act => matches!(
                trace.action(op.size),
                Some(Action::Poke { .. } | Action::Track { .. } | Action::Untrack { .. })
            ),
            _ => !op.null,
        }
    };
    let Some(at) = (0..=last).rev().find(|at| names_block(*at)) else { return Domain::Obj };
    let slot = trace.packed(at as usize).slot;
    (0..=at)
        .rev()
        .map(|at| trace.packed(at as usize))
        .find(|op| op.kind != Kind::Act && op.slot == slot && !op.null)
        .map_or(Domain::Obj, |op| op.domain)
}

/// What an action did, in a sentence.
pub fn explain(trace: &Trace, action: Action, domain: Domain) -> String {
    let name = domain.name();
    match action {
        Action::SetupDebugHooks => "The debug hooks cover the table of each domain, unless its malloc is the debug one already. Blocks from before have no header".to_owned(),
        Action::SetAllocator(TableChoice::User(_)) => format!("{name}'s table is replaced by one of the program's own, which remembers the table it found"),
        Action::SetAllocator(table) => format!("{name}'s table is now {table}'s; whatever covered it is gone, and nobody is told"),
        Action::Poke { offset, bytes, .. } => {
            let n = bytes.as_slice().len() as u64;
            let place = match offset {
                0 => "at the pointer".to_owned(),
                1.. => format!("{} behind the pointer", format::count(offset.unsigned_abs(), "byte")),
                _ => format!("{} in front of the pointer", format::count(offset.unsigned_abs(), "byte")),
            };
            format!("The program writes {} {place}; no allocator is called", format::count(n, "byte"))
        }
        Action::Stack(StackId(0)) => {
            "No Python code runs from here on".to_owned()
        }
        Action::Stack(_) => "Calls from here on come from this Python stack, most recent frame first".to_owned(),
        Action::TracemallocStart(n) => format!("tracemalloc covers the tables of RAW, MEM and OBJ and keeps up to {n} frames of each stack, unless it is tracing already"),
        Action::TracemallocStop => "tracemalloc forgets all traces and puts the three tables back that it found".to_owned(),
        Action::TracemallocClear => "tracemalloc forgets all traces and goes on tracing".to_owned(),
        Action::TracemallocSnapshot(name) => format!("tracemalloc's traces of this moment are kept as {}, to be compared later", trace.name_of(name)),
        Action::SetArenaAllocator(_) => "The hook that arenas come from is replaced for the whole process. Nothing moves: an arena that is released from here on goes to the new hook, whoever made it".to_owned(),
        Action::VirtualAlloc { .. } => "An interpreter's data stack grows by a chunk. It comes through the arena hook, and pymalloc knows nothing of it".to_owned(),
        Action::VirtualFree { .. } => "A chunk of a data stack goes back through the arena hook".to_owned(),
        Action::InterpreterNew { own_obmalloc: true, .. } => "A new interpreter, with arenas of its own. Tables, hooks and tracemalloc are those of the process".to_owned(),
        Action::InterpreterNew { own_obmalloc: false, .. } => "A new interpreter that allocates from the main interpreter's arenas".to_owned(),
        Action::InterpreterSwitch(number) => format!("Calls from here on come from interpreter {number}; the panes show its pymalloc state"),
        Action::InterpreterEnd(_) => "The interpreter ends. Its arenas are freed only if it left no block".to_owned(),
        Action::TracemallocResetPeak => "The peak becomes what is traced now".to_owned(),
        Action::Track { domain, size, .. } => format!("tracemalloc is told of {} at this pointer, in its domain {domain}; nothing is allocated", format::count(size, "byte")),
        Action::Untrack { domain, .. } => format!("tracemalloc drops its trace of this pointer in its domain {domain}, if it has one"),
        Action::HeapCollect { force: false } => "Each heap of the thread frees what is empty".to_owned(),
        Action::HeapCollect { force: true } => "Each heap of the thread frees what is empty and looks at every page".to_owned(),
        Action::ThreadExit => "The thread ends: its pages lose their heap, and a segment with no other pages is abandoned".to_owned(),
        Action::HeapWalk { .. } => "A walk, as garbage collection does it: nothing is freed, but in each page what was freed comes in front of what was never used".to_owned(),
        Action::Quiescent => "The thread holds no reference it got before: what waited for it may go".to_owned(),
        Action::FreeDelayed { size, .. } => format!("The free of {} waits until no other thread can look at them; with the GIL it is a plain free", format::count(size, "byte")),
        Action::ProcessDelayed => "Delayed frees whose goal is reached are done".to_owned(),
        Action::ThreadState { attached: true } => "The thread has a thread state again: MEM and OBJ may be called".to_owned(),
        Action::ThreadState { attached: false } => "The thread has no thread state: only RAW may be called, and debug hooks check that".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim_core::TraceBuilder;

    #[test]
    fn stacks_and_domains_are_those_before() {
        let mut tape = TraceBuilder::new("t");
        let line = "app.py:10".parse::<SourceLine>().unwrap();
        let mut push = |domain, call| tape.push(Op { thread: 0, domain, call }).unwrap();
        push(Domain::Mem, Call::Malloc { id: 1, size: 8 });
        push(Domain::Obj, Call::Act(Action::SetupDebugHooks));
        let number = tape.stack(std::slice::from_ref(&line));
        let mut push = |domain, call| tape.push(Op { thread: 0, domain, call }).unwrap();
        push(Domain::Obj, Call::Act(Action::Stack(number)));
        push(Domain::Raw, Call::Malloc { id: 2, size: 8 });
        push(Domain::Obj, Call::Act(Action::Untrack { domain: 0, id: 1 }));
        let trace = tape.finish();
        assert_eq!(stack_changes(&trace, 0), [(2, number)]);
        assert_eq!(trace.origin.stacks.lines(number), [line]);
        let domains: Vec<Domain> = (0..=5).map(|step| domain_of_last(&trace, step)).collect();
        assert_eq!(domains, [Domain::Obj, Domain::Mem, Domain::Mem, Domain::Mem, Domain::Raw, Domain::Mem]);
        assert_eq!(call(&trace, &trace.op(2).unwrap()), "stack app.py:10");
    }
}
