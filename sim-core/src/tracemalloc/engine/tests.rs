//! The state against figures read off `CPython` 3.14.

use super::*;

const PTR: Addr = Addr(0x1000);

fn tracing() -> Tracemalloc {
    let mut tracemalloc = Tracemalloc::new(8, TracemallocVersion::V3_14);
    tracemalloc.start(1).unwrap();
    tracemalloc
}

/// A traceback of its own line in one file.
fn at(tracemalloc: &mut Tracemalloc, lineno: u32) -> TracebackId {
    let filename = tracemalloc.file("a.py");
    tracemalloc.traceback(&[Frame { filename, lineno }], 1)
}

#[test]
fn start_checks_the_limit_and_keeps_the_first() {
    let mut tracemalloc = Tracemalloc::new(8, TracemallocVersion::V3_14);
    assert_eq!((tracemalloc.is_tracing(), tracemalloc.get_traceback_limit()), (false, 1));
    let text = "the number of frames must be in range [1; 65535]";
    for nframe in [0, -1, 65536, i32::MIN, i32::MAX] {
        assert_eq!(tracemalloc.start(nframe).unwrap_err().to_string(), text);
    }
    tracemalloc.start(65535).unwrap();
    tracemalloc.start(3).unwrap();
    assert_eq!(tracemalloc.start(0), Err(StartError), "an error even when tracing");
    assert_eq!(tracemalloc.get_traceback_limit(), 65535);
    tracemalloc.stop();
    assert_eq!((tracemalloc.is_tracing(), tracemalloc.get_traceback_limit()), (false, 65535));
    tracemalloc.start(3).unwrap();
    assert_eq!(tracemalloc.get_traceback_limit(), 3);
}

#[test]
fn nothing_is_known_and_nothing_happens_while_off() {
    let mut tracemalloc = Tracemalloc::new(8, TracemallocVersion::V3_14);
    assert_eq!(tracemalloc.track(1, PTR, 5, TracebackId::EMPTY), -2);
    assert_eq!(tracemalloc.untrack(1, PTR), -2);
    assert_eq!(tracemalloc.add(0, PTR, 5, TracebackId::EMPTY), Ok(()));
    assert_eq!(tracemalloc.get_traced_memory(), (0, 0));
    assert_eq!(tracemalloc.get_tracemalloc_memory(), 0);
    assert!(tracemalloc.get_traces().is_empty());
    tracemalloc.start(1).unwrap();
    tracemalloc.add(0, PTR, 5, TracebackId::EMPTY).unwrap();
    tracemalloc.stop();
    assert_eq!(tracemalloc.get_traced_memory(), (0, 0));
    assert_eq!(tracemalloc.get_object_traceback(PTR), None);
    tracemalloc.start(1).unwrap();
    assert!(tracemalloc.get_traces().is_empty());
}

#[test]
fn tables_grow_as_measured() {
    let mut tracemalloc = tracing();
    assert_eq!(tracemalloc.get_tracemalloc_memory(), 624);
    for n in 1..=40 {
        let before = tracemalloc.get_tracemalloc_memory();
        tracemalloc.add(0, Addr(n * 16), 1, TracebackId::EMPTY).unwrap();
        let expected = match n {
            9 => 160,
            17 => 288,
            33 => 544,
            _ => 32,
        };
        assert_eq!(tracemalloc.get_tracemalloc_memory() - before, expected, "trace {n}");
    }
    let before = tracemalloc.get_tracemalloc_memory();
    tracemalloc.add(7, PTR, 1, TracebackId::EMPTY).unwrap();
    assert_eq!(tracemalloc.get_tracemalloc_memory() - before, 208 + 32, "a new domain");
    tracemalloc.remove(7, PTR);
    assert_eq!(tracemalloc.get_tracemalloc_memory() - before, 208, "an empty domain stays");
    tracemalloc.clear_traces();
    assert_eq!(tracemalloc.get_tracemalloc_memory(), 624);
}

#[test]
fn tracebacks_and_file_names_count_once_and_again_after_clearing() {
    let mut tracemalloc = tracing();
    let traceback = at(&mut tracemalloc, 1);
    assert_eq!(tracemalloc.get_tracemalloc_memory(), 624, "an id alone is no entry");
    for _ in 0..2 {
        tracemalloc.add(0, PTR, 1, traceback).unwrap();
        assert_eq!(tracemalloc.get_tracemalloc_memory(), 624 + 3 * 32);
        tracemalloc.add(0, Addr(0x2000), 1, traceback).unwrap();
        assert_eq!(tracemalloc.get_tracemalloc_memory(), 624 + 4 * 32);
        tracemalloc.clear_traces();
    }
    let stack = [Frame { filename: FileId::UNKNOWN, lineno: 3 }];
    let unknown = tracemalloc.traceback(&stack, 1);
    tracemalloc.add(0, PTR, 1, unknown).unwrap();
    assert_eq!(tracemalloc.get_tracemalloc_memory(), 624 + 2 * 32, "no entry for <unknown>");
}

#[test]
fn domain_0_comes_first_and_the_others_as_their_table_has_them() {
    let mut tracemalloc = tracing();
    for domain in [5, 1, 33, 17, 77, 78, 0] {
        tracemalloc.add(domain, PTR, 1, TracebackId::EMPTY).unwrap();
    }
    let domains: Vec<u32> = tracemalloc.get_traces().iter().map(|trace| trace.domain).collect();
    assert_eq!(domains, [0, 1, 33, 17, 5, 77, 78]);
}

#[test]
fn tracking_again_replaces_and_the_peak_ignores_the_old_size() {
    let mut tracemalloc = tracing();
    let (first, second) = (at(&mut tracemalloc, 1), at(&mut tracemalloc, 2));
    assert_eq!(tracemalloc.track(3, PTR, 100, first), 0);
    assert_eq!(tracemalloc.track(3, PTR, 120, second), 0);
    assert_eq!(tracemalloc.get_traced_memory(), (120, 120));
    assert_eq!(tracemalloc.get_traceback(3, PTR), Some(second));
    assert_eq!(tracemalloc.get_object_traceback(PTR), None, "another domain");
    assert_eq!(tracemalloc.untrack(0, PTR), 0, "unknown there");
    assert_eq!(tracemalloc.untrack(4, PTR), 0, "no such domain");
    assert_eq!(tracemalloc.get_traced_memory(), (120, 120));
    assert_eq!(tracemalloc.untrack(3, PTR), 0);
    assert_eq!(tracemalloc.get_traced_memory(), (0, 120));
    tracemalloc.reset_peak();
    assert_eq!(tracemalloc.get_traced_memory(), (0, 0));
}

#[test]
fn clearing_forgets_blocks_and_ignores_that_they_are_freed_later() {
    let mut tracemalloc = tracing();
    tracemalloc.add(0, PTR, 10, TracebackId::EMPTY).unwrap();
    tracemalloc.add(9, PTR, 10, TracebackId::EMPTY).unwrap();
    tracemalloc.clear_traces();
    assert_eq!((tracemalloc.is_tracing(), tracemalloc.get_traced_memory()), (true, (0, 0)));
    tracemalloc.remove(0, PTR);
    tracemalloc.remove(9, PTR);
    assert_eq!(tracemalloc.get_traced_memory(), (0, 0));
}

#[test]
fn an_object_made_in_a_known_block_renews_its_traceback_alone() {
    let mut tracemalloc = tracing();
    let (first, second) = (at(&mut tracemalloc, 1), at(&mut tracemalloc, 2));
    tracemalloc.add(0, PTR, 10, first).unwrap();
    tracemalloc.trace_ref(PTR, second);
    tracemalloc.trace_ref(Addr(0x2000), second);
    let traces = tracemalloc.get_traces();
    assert_eq!(traces, [Trace { domain: 0, ptr: PTR, size: 10, traceback: second }]);
}

#[test]
fn without_memory_a_trace_is_refused_and_what_was_entered_before_stays() {
    let mut tracemalloc = tracing();
    let traceback = at(&mut tracemalloc, 1);
    tracemalloc.fail_next(Failure::Traceback);
    assert_eq!(tracemalloc.track(5, PTR, 10, traceback), -1);
    assert_eq!(tracemalloc.get_tracemalloc_memory(), 624 + 32, "the file name");
    tracemalloc.fail_next(Failure::Domain);
    assert_eq!(tracemalloc.track(5, PTR, 10, traceback), -1);
    assert_eq!(tracemalloc.get_tracemalloc_memory(), 624 + 64, "the traceback");
    tracemalloc.fail_next(Failure::Trace);
    assert_eq!(tracemalloc.track(5, PTR, 10, traceback), -1);
    assert_eq!(tracemalloc.get_tracemalloc_memory(), 624 + 64 + 208, "the domain");
    assert_eq!((tracemalloc.get_traced_memory(), tracemalloc.get_traces().len()), ((0, 0), 0));
    assert_eq!(tracemalloc.track(5, PTR, 10, traceback), 0);
    tracemalloc.fail_next(Failure::Trace);
    assert_eq!(tracemalloc.track(5, PTR, 11, traceback), 0, "replacing needs no memory");
    assert_eq!(tracemalloc.get_traced_memory(), (11, 11));
}
