//! What the door out asks of a format.

use std::io;

use sim_core::Trace;

use crate::loss::Loss;

/// Writes one trace in one format.
pub trait Writer {
    /// Writes the operations that are here. They must follow those written before; what else is known
    /// of the trace may still grow.
    fn write(&mut self, piece: &Trace) -> io::Result<()>;

    /// Writes what stands after the operations. `trace` must be complete but for its operations. Returns
    /// what the format could not carry.
    fn finish(self: Box<Self>, trace: &Trace) -> io::Result<Vec<Loss>>;
}

/// What a recording brings along that text of operations has no place for.
pub(crate) fn recorded(trace: &Trace) -> Vec<Loss> {
    let source = &trace.origin.source;
    [
        (trace.has_stacks(), "the stack of each operation"),
        (trace.has_addresses(), "recorded addresses"),
        (trace.timed(), "times"),
        (!source.facts.is_empty(), "facts about program and recorder"),
        (source.thread_names.iter().any(|n| !n.is_empty()), "names of threads"),
    ]
    .into_iter()
    .filter(|(has, _)| *has)
    .map(|(_, what)| Loss::of(what))
    .collect()
}
