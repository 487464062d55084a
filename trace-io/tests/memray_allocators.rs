//! memray's captures under every allocator, and blocks of RAW among pymalloc's. `data/memray/allocators.py` is what was recorded by memray 1.20 under
//! 3.13.0, as `tracemalloc_debug` under 3.11.7 with `-X tracemalloc` and `PYTHONMALLOC=pymalloc_debug`; `tiny-39` is a 2-MB buffer and then 9000 strings of 93 bytes under 3.9.18.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Cursor;

use sim_core::domains::AllocatorName;
use sim_core::{Domain, Kind, Machine, Profile, Trace};

fn open(name: &str) -> Trace {
    let path = format!("{}/tests/data/memray/{name}.bin.zst", env!("CARGO_MANIFEST_DIR"));
    trace_io::open(name, Box::new(Cursor::new(std::fs::read(path).unwrap()))).unwrap()
}

/// Runs it as it asks to be run: the machine at the end, and the most arenas at once.
fn run(trace: &Trace) -> (Machine, u64) {
    let mut profile =
        trace.head.profile.as_deref().map_or_else(Profile::default, |n| Profile::named(n).unwrap());
    for (key, value) in &trace.head.settings {
        profile.set(key, value).unwrap();
    }
    let mut machine = Machine::for_trace(&profile, trace, None).unwrap();
    for index in 0..trace.len() as usize {
        machine.step(trace, index, &mut ());
    }
    machine.verify().unwrap();
    let most = machine.pymalloc().counters().narenas_highwater;
    (machine, most)
}

/// The same program takes 4 arenas in 3.9.18; 5462 strings lie in one that ends where the buffer's mapping begins.
#[test]
fn an_arena_beside_a_large_block_is_one() {
    let trace = open("tiny-39");
    assert_eq!(trace.counts()[Domain::Raw as usize][Kind::Malloc as usize], 4);
    assert_eq!(run(&trace).1, 4);
    let guesses = trace.origin.source.get("guessed_domains").unwrap();
    assert!(guesses.starts_with("2 small blocks lie where"), "{guesses}");
}

#[test]
fn a_capture_runs_under_what_it_was_recorded_under() {
    for (name, malloc, pymalloc) in [
        ("malloc_debug", Some(AllocatorName::MallocDebug), false),
        ("mimalloc", Some(AllocatorName::Mimalloc), false),
        ("mimalloc_debug", Some(AllocatorName::MimallocDebug), false),
        ("tracemalloc", None, true),
        ("tracemalloc_debug", Some(AllocatorName::PymallocDebug), true),
    ] {
        let trace = open(name);
        assert_eq!(trace.head.malloc, malloc, "{name}");
        let python = if name == "tracemalloc_debug" { "cpython-3.11" } else { "cpython-3.13" };
        assert_eq!(trace.head.profile.as_deref(), Some(python), "{name}");
        let (machine, arenas) = run(&trace);
        assert_eq!(arenas > 0, pymalloc, "{name}: {arenas} arenas");
        assert_eq!(machine.mimalloc().is_some(), name.starts_with("mimalloc"), "{name}");
        let source = &trace.origin.source;
        let said = source.get("allocator_assumed").unwrap_or_default();
        match name {
            "malloc_debug" => {
                assert!(said.starts_with("malloc_debug, which memray has no name for"), "{said}");
            }
            "tracemalloc" => assert!(said.starts_with("pymalloc below another table"), "{said}"),
            "tracemalloc_debug" => assert!(said.starts_with("pymalloc_debug below another table"), "{said}"),
            _ => assert_eq!(said, ""),
        }
        let domains = &source.missing.iter().find(|m| m.what == "domains").unwrap().remedy;
        assert_eq!(domains.contains("count as OBJ"), !pymalloc, "{name}: {domains}");
    }
}

/// mimalloc came with 3.13; a header that says otherwise is damaged.
#[test]
fn an_allocator_that_the_version_lacks_is_not_believed() {
    let path = format!("{}/tests/data/memray/mimalloc.bin.zst", env!("CARGO_MANIFEST_DIR"));
    let mut bytes = Vec::new();
    let mut packed = ruzstd::decoding::StreamingDecoder::new(std::fs::File::open(path).unwrap()).unwrap();
    std::io::Read::read_to_end(&mut packed, &mut bytes).unwrap();
    // The minor version in PY_VERSION_HEX, behind the magic and the format.
    assert_eq!((bytes[13], bytes[14]), (13, 3));
    bytes[13] = 9;
    let trace = trace_io::open("x", Box::new(Cursor::new(bytes))).unwrap();
    assert_eq!((trace.head.malloc, trace.head.profile.as_deref()), (None, Some("cpython-3.9")));
    let said = trace.origin.source.get("allocator_assumed").unwrap();
    assert_eq!(said, "default, since CPython 3.9 has no mimalloc");
    run(&trace);
}

/// Linux puts an arena at any page, where it loses a pool to alignment: 64 pools take two.
#[test]
fn arenas_of_recordings_lie_where_linux_puts_them() {
    let text = |head: &str, line: fn(u64) -> String| {
        let lines = (0..64 * 31).map(|n| line(0x1000 + n * 0x210));
        std::iter::once(head.to_owned()).chain(lines).collect::<String>()
    };
    let heaptrack = text("v 10500 3\nx 2 /a\nI 1000 100\nt 10 0\n", |at| format!("+ 200 1 {at:x}\n"));
    let mtrace = text("= Start\n", |at| format!("@ /a:[0x10] + 0x{at:x} 0x200\n"));
    for (name, text) in [("heaptrack", heaptrack), ("mtrace", mtrace)] {
        let loader = trace_io::Loader::new(name, Box::new(Cursor::new(text)), None);
        let trace = loader.taken_as(Some(Domain::Obj)).finish().unwrap().trace().unwrap();
        assert_eq!(trace.head.settings, [("arena_placement".to_owned(), "page".to_owned())], "{name}");
        assert_eq!(run(&trace).1, 2, "{name}");
    }
}
