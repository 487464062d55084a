//! What breaks rules, or an allocator, or a table: where blocks land all the same, as on the real CPython.
//!
//! Right values come from real interpreters driven call by call; the version stands with each.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::io::Cursor;

use sim_core::report::{ArenaEvents, PlacementWriter, Summary, malloc_stats};
use sim_core::{Machine, Profile, Trace};

/// A trace that ran to its end, or to the end of its process.
struct Ran {
    machine: Machine,
    /// What `--placement` writes, without frees and other lines that say nothing.
    places: Vec<String>,
}

fn trace(text: &str) -> Trace {
    trace_io::open("case.ptrace", Box::new(Cursor::new(text.to_owned()))).unwrap()
}

fn run_with(text: &str, preset: &str, settings: &[(&str, &str)]) -> Ran {
    let trace = trace(text);
    let mut profile = Profile::named(preset).unwrap();
    for (key, value) in settings {
        profile.set(key, value).unwrap();
    }
    let mut machine = Machine::for_trace(&profile, &trace, None).unwrap();
    let (mut lines, mut events) = (String::new(), ArenaEvents::default());
    for index in 0..trace.len() as usize {
        events.clear();
        let ptr = machine.step(&trace, index, &mut events);
        if machine.stopped().is_some() {
            break;
        }
        PlacementWriter::default().after(&machine, &trace, index, ptr, events.as_slice(), &mut lines);
    }
    let places = lines.lines().filter(|l| *l != "-").map(str::to_owned).collect();
    Ran { machine, places }
}

fn run(text: &str, preset: &str) -> Ran {
    run_with(text, preset, &[])
}

fn places(text: &str, preset: &str) -> Vec<String> {
    run(text, preset).places
}

fn death(ran: &Ran) -> String {
    ran.machine.stopped().map(ToString::to_string).unwrap_or_default()
}

/// libpython 3.11.2: the C library refuses more than `PTRDIFF_MAX` and its header, and no process has 2^47 bytes.
#[test]
fn sizes_that_no_process_has_give_null_and_leave_the_old_block() {
    let sizes = "m o 1 9223372036854775807\nm r 2 4611686018427387904\nc m 3 1 9223372036854775807\n\
                 m o 4 140737488355328\nr o 4 5 9223372036854775807\n";
    let realloc = "m o 6 100\nr o 6 7 9223372036854775807\nm o 8 100\nf o 7\nm o 9 100\n";
    for head in ["", "#! malloc=pymalloc_debug\n", "#! malloc=malloc\n", "#! malloc=debug\n"] {
        let ran = run(&format!("{head}{sizes}"), "cpython-3.14");
        assert_eq!(ran.places, ["null"; 5], "{head}");
        assert_eq!(ran.machine.raw().live_blocks(), 0, "{head}");
        assert_eq!(ran.machine.pymalloc().raw_allocated_blocks, 0, "{head}");
    }
    // The pool block is still there: the next one lies behind it, and it is what the free frees.
    assert_eq!(places(realloc, "cpython-3.14"), ["+arena 0", "0 48", "null", "0 160", "0 48"]);
    // A block of the C library keeps its size.
    let ran =
        run("m o 1 1000\nr o 1 2 4611686018427387904\nm r 3 1024\nr r 3 4 281474976710656\n", "cpython-3.14");
    assert_eq!(ran.places, ["raw", "null", "raw", "null"]);
    assert_eq!((ran.machine.raw().live_blocks(), ran.machine.raw().live_bytes()), (2, 2024));
    // Many blocks together are not more than one could be.
    let ran = run("m r 1 70368744177664\nm r 2 70368744177664\nm r 3 1000\n", "cpython-3.14");
    assert_eq!(ran.places, ["raw", "null", "raw"]);
}

/// `PyGILState_Check` compares the calling thread's own state.
#[test]
fn a_thread_that_gives_up_its_state_does_so_for_itself() {
    let ran = run(
        "#! malloc=debug\nt1 x detach\nt0 m o 1 16\nt1 m r 2 16\nt1 m o 3 16\nt0 m o 4 16\n",
        "cpython-3.12",
    );
    assert_eq!(ran.places, ["+arena 0", "0 64", "raw"]);
    assert!(
        death(&ran).contains("_PyMem_DebugMalloc: Python memory allocator called without holding the GIL")
    );
    let back =
        "#! malloc=debug\nt1 x detach\nt0 x detach\nt0 x attach\nt0 m o 1 16\nt1 x attach\nt1 m o 2 16\n";
    assert_eq!(death(&run(back, "cpython-3.12")), "");
}

/// A driver of 3.11 whose RAW fails at the third call sees both calls of the arena hook.
#[test]
fn an_arena_that_cannot_be_marked_comes_and_goes() {
    let text = "#! malloc=default\nx set_arena_allocator count\nm o 1 341\nm o 2 341\n";
    let ran = run_with(text, "cpython-3.14", &[("bookkeeping_fail_at", "3")]);
    assert_eq!(ran.places, ["+arena 0", "-arena 0", "raw", "+arena 1", "1 48"]);
    assert_eq!(ran.machine.pymalloc().counters().ntimes_arena_allocated, 1);
    let mixed = [("bookkeeping_fail_at", "3"), ("arena_placement", "mixed")];
    let ran = run_with(text, "cpython-3.14", &mixed);
    // Arena 1 lies at 4096 modulo 16384, so that its first pool begins 12288 bytes into it.
    assert_eq!(ran.places[3..], ["+arena 1", "1 12336"]);
    // Plain runs too, and the arena of the first attempt was released.
    let ran = run_with("m o 1 341\nm o 2 341\n", "cpython-3.14", &mixed);
    assert_eq!(ran.places, ["+arena 0", "-arena 0", "raw", "+arena 1", "1 12336"]);
}

/// Real 3.12.1 and 3.13.0: an interpreter that leaves a block leaves its arenas.
#[test]
fn arenas_of_ended_interpreters_are_counted() {
    let head = "x interpreter_new 1 own\nx interpreter_switch 1\nm o 1 48\nm o 2 512\nf o 1\n";
    let summary = |text: &str| Summary::of(&run(text, "cpython-3.13").machine);
    let leaked = summary(&format!("{head}x interpreter_end 1\n"));
    let counters = leaked.counters;
    assert_eq!((counters.ntimes_arena_allocated, counters.narenas_currently_allocated), (1, 1));
    assert_eq!((leaked.occupancy.arenas, leaked.occupancy.blocks()), (1, 1));
    let clean = summary(&format!("{head}f o 2\nx interpreter_end 1\n"));
    let counters = clean.counters;
    assert_eq!((counters.ntimes_arena_allocated, counters.narenas_currently_allocated), (1, 0));
    assert_eq!((counters.narenas_highwater, clean.occupancy.arenas), (1, 0));
    // One that still lives counts as well.
    let two = summary(&format!("m o 9 16\n{head}x interpreter_switch 0\nm o 3 16\n"));
    assert_eq!((two.counters.narenas_currently_allocated, two.counters.narenas_highwater), (2, 2));
    assert_eq!(two.occupancy.blocks(), 3);
}

/// i386 libpython 3.11.2: sums are `size_t`.
#[test]
fn sums_of_a_32_bit_build_wrap_around() {
    let text = "#! malloc=default\nm o 1 32\nm o 2 32\nm o 3 32\nk o 2\nf o 2\nm o 4 32\nm o 5 32\nm o 6 32\n\
                f o 1\nf o 3\nf o 4\nf o 5\nf o 6\n";
    let stats = malloc_stats(&run(text, "cpython-32bit").machine);
    assert!(stats.contains("# bytes in allocated blocks        =        4,294,967,264\n"), "{stats}");
    assert!(stats.contains("\nTotal                              =              266,240\n"), "{stats}");
}

/// i386 libpython 3.11.2: pointer arithmetic is modulo 2^32.
#[test]
fn addresses_of_a_32_bit_build_wrap_around() {
    let text = "#! malloc=pymalloc_debug\nm m 1 100\nx poke 1 -8 ffffffff\nx poke 1 0 00\nf o 1\n";
    let died = death(&run(text, "cpython-32bit"));
    // p - 1, which is the last byte of the leading pad; the last data are those before it.
    assert!(died.contains("p=0x40000028:") && died.contains("tail=0x40000027 are not all"), "{died}");
    assert!(died.contains("Data at p: 00 cd cd cd cd cd cd cd ... 00 ff ff ff ff 6d fd fd\n"), "{died}");
    let text = "#! malloc=pymalloc_debug\nm m 1 100\nx poke 1 -8 c0020040\nf o 1\n";
    let died = death(&run(text, "cpython-32bit"));
    assert!(died.contains("The 4 pad bytes at tail=0x20068 are Segmentation fault"), "{died}");
}

/// libpython 3.11.2 of Debian, 3.9.18 and 3.10.13: no crash, all of a processor. malloc, calloc and free do crash.
#[test]
fn a_realloc_between_raw_and_pymalloc_has_no_end() {
    let head = "#! malloc=default\nm o 1 16\nm r 2 513\nx set_allocator r pymalloc\n";
    assert!(death(&run(&format!("{head}r r 2 3 600\n"), "cpython-3.11")).starts_with("no end"));
    for call in ["m r 4 513", "c r 4 1 513", "f r 2"] {
        let ran = run(&format!("{head}{call}\n"), "cpython-3.11");
        assert!(death(&ran).starts_with("Segmentation fault (stack overflow"), "{call}");
    }
}

fn logged(ran: &Ran) -> Vec<String> {
    ran.machine.layers().unwrap().log().iter().map(ToString::to_string).collect()
}

/// libpython 3.11.2 driven by tables of its own: arena records come by `PyMem_RawRealloc`, nodes by `PyMem_RawCalloc`.
#[test]
fn pymalloc_takes_its_bookkeeping_through_the_table_of_raw() {
    let with = |table: &str| {
        run(
            &format!(
                "#! malloc=default\nx set_allocator r {table}\nm o 1 16\nm o 2 16\nm o 3 16\nm o 4 600\nm o 5 600\n"
            ),
            "cpython-3.11",
        )
    };
    assert_eq!(with("fail:1").places, ["null"; 5]);
    assert_eq!(with("fail:4").places, ["+arena 0", "0 48", "0 64", "0 80", "null", "raw"]);
    // The second call is the node's: the arena is given back, and the call itself is the third.
    assert_eq!(with("fail:2").places[..3], ["+arena 0", "-arena 0", "raw"]);
    let log = run(
        "#! malloc=default\nx set_allocator r log\nm o 1 16\nm o 2 600\nr o 2 3 700\nf o 3\n",
        "cpython-3.11",
    );
    let calls = logged(&log);
    assert!(calls[0].starts_with("realloc(NULL, 768) = 0x"), "{calls:?}");
    assert!(calls[1].starts_with("calloc(1, 262144) = 0x") && calls[2].starts_with("calloc(1, 131072) = 0x"));
    assert!(calls[3].starts_with("malloc(600)") && calls[4].starts_with("realloc(0x") && calls.len() == 6);
    // No radix tree before 3.10, and no record but in the first call.
    let calls = logged(&run("#! malloc=default\nx set_allocator r log\nm o 1 16\n", "cpython-3.9"));
    assert!(calls.len() == 1 && calls[0].starts_with("realloc(NULL, 768)"), "{calls:?}");
}

/// What the first 16 records lie in was taken before anybody looked, and it is what is resized.
#[test]
fn records_from_before_a_table_are_resized_by_it() {
    let mut text = "#! malloc=default\nm o 1 512\nx set_allocator r log\n".to_owned();
    // 63 pools of 31 blocks in the first arena, then 64 in each.
    for id in 2..17 * 64 * 31 {
        writeln!(text, "m o {id} 512").unwrap();
    }
    let ran = run(&text, "cpython-3.11");
    let calls = logged(&ran);
    assert!(calls.iter().any(|call| call.starts_with("realloc(0x") && call.contains(", 1536)")), "{calls:?}");
    assert_eq!(death(&ran), "");
    // Where RAW had debug hooks then, what it finds is a block of theirs.
    let ran = run(&text.replace("malloc=default", "malloc=debug"), "cpython-3.11");
    assert_eq!(death(&ran), "");
}

/// libpython 3.11.2: records of 768 bytes are asked of RAW, which is pymalloc, which asks RAW.
#[test]
fn raw_on_pymalloc_without_an_arena_has_no_bottom() {
    let ran = run("#! malloc=default\nx set_allocator r pymalloc\nm r 1 16\n", "cpython-3.11");
    assert!(death(&ran).starts_with("Segmentation fault (stack overflow"));
}

/// Real 3.11.7, 3.13.0 and 3.14.10: every block traced takes 16 bytes from the table that RAW had at the start.
#[test]
fn tracemalloc_takes_its_records_from_the_table_of_raw() {
    let text = "#! malloc=default\nm m 1 16\nx set_allocator r pymalloc\nx tracemalloc start 1\nm m 2 16\nm m 3 16\nm m 4 16\n";
    assert_eq!(places(text, "cpython-3.14")[1..], ["0 48", "0 64", "0 96", "0 128"]);
    // 3.8 has the trace in its hash table, which is not RAW's.
    assert_eq!(places(text, "cpython-3.8")[1..], ["0 48", "0 64", "0 80", "0 96"]);
    // A record goes back when its block does, and all of them when tracing ends.
    let back = format!("{text}f m 3\nm m 5 16\nx tracemalloc stop\nm m 6 16\n");
    // Blocks 64, 112 and 128 lie in buckets 4, 7 and 8, and the last record that is freed is the first to come back.
    assert_eq!(places(&back, "cpython-3.14")[5..], ["0 112", "0 144"]);
}

/// Real 3.9 to 3.14.10: a call of RAW that fails for the trace makes `PyMem_Malloc` return NULL.
#[test]
fn a_trace_without_a_record_gives_the_block_back() {
    let text = "#! malloc=default\nm m 1 100\nx set_allocator r fail:2\nx tracemalloc start 1\n\
                m m 2 100\nm m 3 100\nm m 4 600\n";
    let ran = run(text, "cpython-3.13");
    // Calls: record of 2; record of 3, which fails; 600 bytes, then its record, which fails.
    assert_eq!(ran.places, ["+arena 0", "0 48", "0 160", "null", "null"]);
    let traced = ran.machine.layers().unwrap().tracemalloc();
    assert_eq!(traced.get_traced_memory(), (100, 100));
    assert_eq!(ran.machine.raw().live_blocks(), 1, "the record alone");
    // 3.8 asks for none.
    assert_eq!(places(text, "cpython-3.8"), ["+arena 0", "0 48", "0 160", "0 272", "raw"]);
    // The traceback of a line not seen before is asked for first: 24 bytes, 12 more for each further frame.
    let stacks = "#! malloc=default\nm m 1 100\nx set_allocator r log\nx tracemalloc start 2\n\
                  x stack a.py:1 b.py:2\nm m 2 100\nm m 3 100\nf m 3\n";
    let calls = logged(&run(stacks, "cpython-3.13"));
    let sizes: Vec<_> = calls.iter().map(|call| call.split(" = ").next().unwrap().to_owned()).collect();
    assert_eq!(sizes[..3], ["malloc(36)", "malloc(16)", "malloc(16)"], "{calls:?}");
    assert!(sizes[3].starts_with("free(0x") && sizes.len() == 4);
}

/// libpython 3.11.2: the block whose link was overwritten is handed out, and the next allocation dies of the link.
#[test]
fn a_wild_link_kills_the_allocation_that_follows_it() {
    let head = "#! malloc=default\nm o 1 32\nm o 2 32\nm o 3 32\nk o 2\n";
    for preset in ["cpython-3.9", "cpython-3.11", "cpython-3.14"] {
        let ran = run(&format!("{head}x poke 2 0 3040000000000000\nm o 4 32\nm o 5 32\nm o 6 32\n"), preset);
        assert_eq!(ran.places, ["+arena 0", "0 48", "0 80", "0 112", "0 80"], "{preset}");
        assert!(death(&ran).starts_with("Segmentation fault"), "{preset}: {}", death(&ran));
    }
    // As long as nothing takes from that list the process lives; a block freed on top of it comes first.
    let ran = run(
        &format!("{head}x poke 2 0 3040000000000000\nm o 4 32\nf o 1\nm o 5 32\nf o 3\nm o 6 64\n"),
        "cpython-3.11",
    );
    assert_eq!(ran.places[4..], ["0 80", "0 48", "0 16432"]);
    assert_eq!(death(&ran), "");
}

/// libpython 3.11.2: an unaligned link into mapped memory is a block like any other.
#[test]
fn a_link_into_mapped_memory_is_handed_out() {
    let head = "#! malloc=default\nm o 1 32\nm o 2 32\nm o 3 32\nk o 2\n";
    let ran = run(
        &format!("{head}x poke 2 0 310000000 07e0000\nm o 4 32\nm o 5 32\n").replace(" 07e", "07e"),
        "cpython-3.11",
    );
    assert_eq!(ran.places[4..], ["0 80", "0 49"]);
}

/// libpython 3.11.2: calloc clears the link of a block that is on the list twice, so the list ends there.
#[test]
fn calloc_clears_a_link() {
    let text =
        "#! malloc=default\nm o 1 16\nm o 2 16\nm o 3 16\nk o 1\nf o 1\nc o 4 1 16\nm o 5 16\nm o 6 16\n";
    assert_eq!(places(text, "cpython-3.11")[4..], ["0 48", "0 48", "0 112"]);
    // Without the calloc the block's link still points to itself.
    assert_eq!(
        places(&text.replace("c o 4 1 16", "m o 4 16"), "cpython-3.11")[4..],
        ["0 48", "0 48", "0 48"]
    );
}

/// libpython 3.11.2: the header lies in the same memory.
#[test]
fn a_poke_into_a_pool_header_counts() {
    let head = "#! malloc=default\nm o 1 16\nm o 2 16\n";
    // ref.count 9: two frees leave 7, and the pool is not given back.
    let ran = run(&format!("{head}x poke 1 -48 09\nf o 1\nf o 2\nm o 3 100\n"), "cpython-3.11");
    assert_eq!(ran.places[3..], ["0 16432"]);
    let stats = malloc_stats(&ran.machine);
    assert!(stats.lines().any(|l| l.split_whitespace().eq(["0", "16", "1", "7", "1014"])), "{stats}");
    // nextoffset 256: the next block never handed out lies there.
    let ran = run(&format!("{head}x poke 1 -8 00010000\nm o 3 16\nm o 4 16\n"), "cpython-3.11");
    assert_eq!(ran.places[3..], ["0 80", "0 256"]);
    // szidx 3: the pool that was full goes to the list of 64 bytes, of which it gives a block of 16.
    let mut text = "#! malloc=default\n".to_owned();
    for id in 1..=1021 {
        writeln!(text, "m o {id} 16").unwrap();
    }
    let ran = run(&format!("{text}x poke 1 -12 03000000\nf o 7\nm o 2000 64\n"), "cpython-3.11");
    assert_eq!(ran.places.last().unwrap(), "0 144");
    // maxnextoffset 0: the pool is taken for full after the block that is linked already.
    let ran = run(&format!("{head}x poke 1 -4 00000000\nm o 3 16\nm o 4 16\n"), "cpython-3.11");
    assert_eq!(ran.places[3..], ["0 80", "0 16432"]);
    // A nextpool of the program's own is followed when the pool leaves its list.
    let ran = run(&format!("{head}x poke 1 -32 4100000000000000\nf o 1\nf o 2\n"), "cpython-3.11");
    assert!(death(&ran).starts_with("Segmentation fault"), "{}", death(&ran));
}

/// Real 3.8.18 and libpython 3.11.2: the memory of an arena given back is not there.
#[test]
fn a_pointer_into_an_arena_given_back_dies() {
    let mut second = "#! malloc=default\n".to_owned();
    // The first arena empties while the second has a block, and goes; the pointer into it is used again.
    let all = 64 * 31;
    for id in 1..=all + 1 {
        writeln!(second, "m o {id} 512").unwrap();
    }
    for id in 1..=all {
        writeln!(second, "{} o {id}", if id == all { "k" } else { "f" }).unwrap();
    }
    for call in [format!("f o {all}"), format!("r o {all} 9999 600"), format!("r o {all} 9999 100")] {
        let ran = run(&format!("{second}{call}\n"), "cpython-3.11");
        assert_eq!(ran.machine.pymalloc().counters().narenas_currently_allocated, 1);
        assert!(death(&ran).starts_with("Segmentation fault"), "{call}: {}", death(&ran));
    }
    let first = "#! malloc=default\nm o 1 16\nk o 1\nf o 1\n";
    assert!(death(&run(first, "cpython-3.8")).starts_with("Segmentation fault"));
    // From 3.9 on the last arena is kept, and the second free makes a list of one block.
    assert_eq!(death(&run(first, "cpython-3.9")), "");
}

/// Real 3.8.18: a free into a pool never carved, of an arena that was mapped again in the same place, takes zeros for a header.
#[test]
fn a_pointer_into_an_arena_mapped_again_finds_zeros() {
    let text = "#! malloc=pymalloc\nm o 1 111\nm m 2 111\nm m 3 200\nm m 4 111\nm m 5 111\nm o 6 200\nk o 6\nf m 4\nf m 3\n\
                f m 5\nf m 2\nf o 1\nm m 7 200\nf o 6\nm m 8 16\n";
    // The pool of zeros is in class 0 now, and so it gives what was freed.
    let ran = run(text, "cpython-3.8");
    assert_eq!(ran.places[6..], ["0 4352", "-arena 0", "+arena 1", "1 48", "1 4352"]);
}

/// Header bytes are what they are to debug hooks, too: here the id they look for is the low byte of `nextoffset`.
#[test]
fn debug_hooks_read_the_pool_header_in_front_of_its_first_block() {
    let ran = run("#! malloc=default\nm o 1 16\nx setup_debug_hooks\nf o 1\n", "cpython-3.11");
    assert!(
        death(&ran).contains("bad ID: Allocated using API 'P', verified using API 'o'"),
        "{}",
        death(&ran)
    );
}

/// A heap on bytes goes where the compact one goes, as long as nothing wild is in it.
#[test]
fn steps_on_bytes_are_the_steps_of_the_algorithm() {
    for preset in ["cpython-3.8", "cpython-3.9", "cpython-3.10", "cpython-3.14", "cpython-32bit"] {
        let mut random = 11_u64;
        let mut draw = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut text = String::new();
        let (mut live, mut next) = (Vec::new(), 10);
        for round in 0..40_000 {
            let grows = round % 20_000 < 14_000;
            if live.is_empty() || draw(10) < if grows { 7 } else { 2 } {
                let size = if draw(4) == 0 { 512 } else { 1 + draw(520) };
                let call = if draw(5) == 0 { "c o" } else { "m o" };
                let count = if call == "c o" { "1 " } else { "" };
                writeln!(text, "{call} {next} {count}{size}").unwrap();
                live.push(next);
                next += 1;
            } else {
                let at = draw(live.len() as u64) as usize;
                if draw(4) == 0 {
                    writeln!(text, "r o {} {next} {}", live[at], 1 + draw(600)).unwrap();
                    live[at] = next;
                    next += 1;
                } else {
                    writeln!(text, "f o {}", live.swap_remove(at)).unwrap();
                }
            }
        }
        // A block of its own class, freed and written to after, breaks the heap and leaves it as it was.
        let breaks = "#! malloc=default\nm o 1 16\nm o 2 16\nk o 1\nx poke 1 8 00\n";
        let on_bytes = run(&format!("{breaks}{text}"), preset);
        let compact = run(&format!("{}{text}", breaks.replace("x poke 1 8 00\n", "")), preset);
        assert!(
            on_bytes.machine.layers().unwrap().is_broken() && !compact.machine.layers().unwrap().is_broken()
        );
        let differs = on_bytes.places.iter().zip(&compact.places).position(|(a, b)| a != b);
        let lines = differs.map(|at| (at, &on_bytes.places[at], &compact.places[at]));
        assert_eq!(lines, None, "{preset}: {}", death(&on_bytes));
        assert_eq!(on_bytes.places.len(), compact.places.len(), "{preset}: {}", death(&on_bytes));
        let summary = |ran: &Ran| Summary::of(&ran.machine);
        assert_eq!(summary(&on_bytes), summary(&compact), "{preset}");
        assert_eq!(death(&on_bytes), "");
        on_bytes.machine.pymalloc().verify().unwrap();
        assert!(summary(&compact).counters.ntimes_arena_allocated > 2, "{preset}");
    }
}
