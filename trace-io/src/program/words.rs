//! The words of the language, each with a line on it, for who writes a program and for who helps with that.

/// Calls that a program can make, and blocks that `with` can begin.
pub const CALLS: &[(&str, &str)] = &[
    ("malloc(n)", "asks for n bytes; a domain may follow"),
    ("calloc(n, size)", "asks for n elements of size bytes, zeroed"),
    ("realloc(x, n)", "gives x another size; it may move"),
    ("free(x)", "gives x back, through the domain that it came from"),
    ("free_keep(x)", "frees x, and the program goes on using the pointer"),
    ("poke(x, offset, \"41 42\")", "writes bytes at an offset from x"),
    ("setup_debug_hooks()", "PyMem_SetupDebugHooks()"),
    ("set_allocator(domain, \"count\")", "PyMem_SetAllocator"),
    ("set_arena_allocator(\"count\")", "PyObject_SetArenaAllocator"),
    ("stack(\"file.py:3\")", "calls come from this Python stack, most recent frame first"),
    ("tracemalloc_start(n)", "tracemalloc.start(n)"),
    ("tracemalloc_stop()", "tracemalloc.stop()"),
    ("clear_traces()", "tracemalloc.clear_traces()"),
    ("reset_peak()", "tracemalloc.reset_peak()"),
    ("snapshot(\"name\")", "tracemalloc.take_snapshot(), kept under the name"),
    ("track(x, domain, size)", "PyTraceMalloc_Track"),
    ("untrack(x, domain)", "PyTraceMalloc_Untrack"),
    ("mark(\"name\")", "the step here is called so, to be found again; no operation"),
    ("virtual_alloc(n)", "a chunk of an interpreter's data stack, from the arena hook"),
    ("virtual_free(x)", "gives such a chunk back"),
    ("interpreter_new(1, own=True)", "a new interpreter, with an allocator state of its own"),
    ("interpreter_switch(1)", "interpreter 1 runs from here on"),
    ("interpreter_end(1)", "interpreter 1 ends"),
    ("attach()", "the thread takes its thread state"),
    ("detach()", "the thread gives its thread state up"),
    ("collect(force=True)", "mi_heap_collect of the thread's heaps"),
    ("thread_exit()", "the thread ends, its heaps are abandoned"),
    ("quiescent()", "the thread passes a quiescent state"),
    ("process_delayed()", "_PyMem_ProcessDelayed()"),
    ("free_delayed(x, n)", "_PyMem_FreeDelayed of x, which has n bytes"),
];

/// What a call's domain can be.
pub const DOMAINS: &[(&str, &str)] = &[
    ("raw", "PYMEM_DOMAIN_RAW"),
    ("mem", "PYMEM_DOMAIN_MEM"),
    ("obj", "PYMEM_DOMAIN_OBJ, where nothing is said"),
    ("gc", "OBJ with mimalloc: an object with garbage collection"),
    ("gc_pre", "OBJ with mimalloc: one with a pre-header too"),
];

/// Words of the grammar.
pub const KEYWORDS: &[(&str, &str)] = &[
    ("for", "for i in range(10): does something ten times"),
    ("in", "for i in range(10):"),
    ("range(n)", "0 to n - 1; range(1, 11) is 1 to 10"),
    ("if", "if version >= 309: does something for some builds"),
    ("else", "what is done where the condition does not hold"),
    ("with", "with thread(1): or with tracemalloc(1): or with stack(\"file.py:3\"):"),
    ("thread(n)", "with thread(1): calls are of thread 1"),
    ("tracemalloc(n)", "with tracemalloc(1): starts it, and stops it at the end"),
    ("and", "both hold"),
    ("or", "one of them holds"),
    ("not", "it does not hold"),
    ("NULL", "no block"),
    ("True", "1"),
    ("False", "0"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::{Bounds, Program};
    use sim_core::Profile;

    /// Each call is one that the language knows: what it says of wrong arguments is not that there is no such call.
    #[test]
    fn calls_are_known() {
        for (call, _) in CALLS {
            let name = call.split('(').next().unwrap();
            let of = |text: &str| {
                Program::parse(text).unwrap().expand("t", &Profile::default(), Bounds::default()).err()
            };
            let said = of(&format!("{name}()")).map_or(String::new(), |fault| fault.problem);
            assert!(!said.contains("there is no call"), "{name}: {said}");
            assert!(of(&format!("{name}s()")).unwrap().problem.contains("there is no call"), "{name}");
        }
    }
}
