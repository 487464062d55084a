//! Files that hold no trace and yet say something: memray's sums by place, and messages of the debug hooks.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Cursor;

use sim_core::{Machine, Profile};
use trace_io::account::{Account, BlockMessage, Sites};
use trace_io::{Loaded, Loader, TraceError};

fn account(name: &str, bytes: impl Into<Vec<u8>>) -> Account {
    match Loader::new(name, Box::new(Cursor::new(bytes.into())), None).finish().unwrap() {
        Loaded::Account(account) => *account,
        other => panic!("{name} says something: {other:?}"),
    }
}

fn packed(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/data/memray/{name}.bin.zst", env!("CARGO_MANIFEST_DIR"));
    let mut bytes = Vec::new();
    let mut unpacked = ruzstd::decoding::StreamingDecoder::new(std::fs::File::open(path).unwrap()).unwrap();
    std::io::Read::read_to_end(&mut unpacked, &mut bytes).unwrap();
    bytes
}

fn sites(name: &str, bytes: Vec<u8>) -> Sites {
    let Account::Sites(sites) = account(name, bytes) else { panic!("{name} has sums") };
    sites
}

fn message(text: impl Into<Vec<u8>>) -> BlockMessage {
    let Account::Block(message) = account("message", text) else { panic!("it is a message") };
    message
}

/// At the peak and at the end, bytes and blocks; places; what the first two hold at the peak. All by memray's `FileReader`.
type Known = ((u64, u64), (u64, u64), usize, [(&'static str, &'static str, u32, u64, u64); 2]);

const KNOWN: [(&str, Known); 4] = [
    (
        "aggregate13",
        (
            (34_966_766, 108_067),
            (11_569, 40),
            28,
            [("<module>", "alt.py", 3, 24_000_812, 14), ("<listcomp>", "alt.py", 0, 10_951_392, 108_012)],
        ),
    ),
    (
        "aggregate13n",
        (
            (3_139_779, 19),
            (1_064_162, 17),
            6,
            [("<module>", "tiny.py", 1, 2_000_001, 1), ("<module>", "tiny.py", 2, 1_124_192, 2)],
        ),
    ),
    (
        "aggregate11",
        (
            (3_014_132, 9_548),
            (97_913, 519),
            171,
            [("<module>", "tiny.py", 1, 2_000_057, 2), ("<listcomp>", "tiny.py", 2, 912_648, 9_002)],
        ),
    ),
    (
        "aggregate11n",
        (
            (3_165_479, 45),
            (1_089_862, 43),
            27,
            [("<module>", "tiny.py", 1, 2_000_001, 1), ("<listcomp>", "tiny.py", 2, 1_124_192, 2)],
        ),
    ),
];

/// Recorded by memray 1.20 under 3.9.18 and 3.13.0, and by 1.18 under 3.11.7.
#[test]
fn sums_by_place_are_memrays() {
    for (name, (peak, leaked, places, first)) in KNOWN {
        let sites = sites(name, packed(name));
        assert_eq!((sites.peak_bytes, sites.leaked_bytes), (peak.0, leaked.0), "{name}");
        // Where two functions share a stack, memray's interface counts one block of the second.
        assert!(sites.peak_blocks >= peak.1 && sites.leaked_blocks >= leaked.1, "{name}");
        if name == "aggregate13" {
            assert_eq!((sites.peak_blocks, sites.leaked_blocks), (108_094, 40), "the sums of its rows");
        }
        assert_eq!(sites.truncated, None, "{name}");
        let mut by_place = std::collections::BTreeMap::<_, (u64, u64)>::new();
        for site in sites.sites.iter().filter(|s| s.peak_bytes > 0) {
            let sum = by_place.entry((&*site.function, &*site.file, site.line)).or_default();
            *sum = (sum.0 + site.peak_bytes, sum.1 + site.peak_blocks);
        }
        assert_eq!(by_place.len(), places, "{name}");
        for (function, file, line, bytes, blocks) in first {
            let found = by_place[&(function, file, line)];
            assert!(found.0 == bytes && found.1 >= blocks, "{name}: {function} {found:?}");
        }
        let lines = account(name, packed(name)).lines();
        assert!(lines.iter().any(|line| line.contains("it cannot tell the order of calls")), "{lines:#?}");
        let error = trace_io::open(name, Box::new(Cursor::new(packed(name)))).unwrap_err();
        assert!(matches!(error, TraceError::NoTrace { .. }), "{error}");
    }
}

#[test]
fn sums_that_are_cut_or_damaged_say_so() {
    for (name, _) in KNOWN {
        let whole = packed(name);
        for length in (600..whole.len()).step_by(whole.len() / 97) {
            let loaded = Loader::new(name, Box::new(Cursor::new(whole[..length].to_vec())), None).finish();
            match loaded {
                Ok(Loaded::Account(account)) => {
                    assert!(
                        account.lines().last().unwrap().contains("everything before is kept"),
                        "{name} {length}"
                    );
                }
                Err(error) => assert!(error.to_string().contains("header"), "{name} {length}: {error}"),
                Ok(other) => panic!("{name} {length}: {other:?}"),
            }
            let mut damaged = whole.clone();
            damaged[length] ^= 0x55;
            assert!(
                Loader::new(name, Box::new(Cursor::new(damaged)), None).finish().is_ok(),
                "{name} {length}"
            );
        }
    }
}

/// What a process prints that runs this trace under debug hooks.
fn printed(text: &str, preset: &str) -> String {
    let trace =
        trace_io::open("case.ptrace", Box::new(Cursor::new(format!("#! malloc=debug\n{text}")))).unwrap();
    let mut machine = Machine::for_trace(&Profile::named(preset).unwrap(), &trace, None).unwrap();
    for index in 0..trace.len() as usize {
        machine.step(&trace, index, &mut ());
    }
    machine.stopped().map(ToString::to_string).unwrap_or_default()
}

/// What the simulation prints, the reader explains.
#[test]
fn what_debug_hooks_print_is_explained() {
    for (text, verdict, finding) in [
        (
            "m o 1 14\nx poke 1 14 00\nf o 1\n",
            "Written one byte past the end: a NUL at index 14, as of a string whose end was not counted",
            "tail+0: 0x00, NUL, such as ends a string",
        ),
        (
            "m m 1 14\nx poke 1 14 68656c6c6f\nf m 1\n",
            "Written past the end by 5 bytes",
            "5 of 8 bytes of the guard behind the data are wrong, from tail+0 to tail+4: 68 65 6c 6c 6f, the text `hello`",
        ),
        (
            "m m 1 6\nx poke 1 0 e9bb91e4baba\nx poke 1 6 84e8a39de58c85\nf m 1\n",
            "Written past the end by 7 bytes",
            "7 of 8 bytes of the guard behind the data are wrong, from tail+0 to tail+6: 84 e8 a3 9d e5 8c 85, the UTF-8 text `裝包`",
        ),
        (
            "m r 1 14\nx poke 1 14 0102030405060708\nf r 1\n",
            "Written past the end by 8 bytes or more",
            "8 of 8 bytes of the guard behind the data are wrong, from tail+0 to tail+7: 01 02 03 04 05 06 07 08, the \
             little-endian number 578437695752307201 (0x807060504030201)",
        ),
        (
            "m o 1 14\nx poke 1 17 41\nf o 1\n",
            "Written behind the end, at index 17: not by a run over the end, but at a wrong place",
            "tail+3: 0x41, a value that was written, the character `A`",
        ),
        (
            "m o 1 14\nx poke 1 -1 41\nf o 1\n",
            "Written one byte before the block's beginning",
            "p-1: 0x41, a value that was written, the character `A`",
        ),
        (
            "m o 1 14\nf m 1\n",
            "Allocated through one API and freed through another: made by PyObject_Malloc's family, freed or resized as \
             PyMem_Malloc's",
            "the data shown is all 0xcd: it was never written",
        ),
        (
            "m o 1 14\nx poke 1 -8 dd\nf o 1\n",
            "Freed twice, or used after it was freed: the block's own header is gone",
            "the API's byte is 0xdd, what freed memory is filled with",
        ),
        (
            "m o 1 14\nx poke 1 -8 40\nf o 1\n",
            "Not a block of these hooks, or one whose header was overwritten from in front of it",
            "the API's byte is 0x40, the character `@`, and none of r, m and o",
        ),
    ] {
        for preset in ["cpython-3.8", "cpython-3.9", "cpython-3.12", "cpython-3.14"] {
            let printed = printed(text, preset);
            let message = message(printed.clone());
            assert_eq!(message.verdict, verdict, "{preset}: {printed}");
            assert!(message.findings.iter().any(|f| f == finding), "{preset}: {:#?}", message.findings);
            assert!(matches!(message.size, Some(6 | 14)) && message.messages == 1, "{preset}");
            assert!(message.fatal.is_some() && !message.next.is_empty(), "{preset}");
            let log = printed.lines().flat_map(|line| ["stderr| ", line, "\r\n"]).collect::<String>();
            let logged = self::message(format!("some program\n{log}"));
            assert_eq!(
                (logged.verdict.as_str(), &logged.findings),
                (verdict, &message.findings),
                "{preset}: in a log"
            );
        }
    }
}

/// As 3.7 and builds that count print it, and what tracemalloc adds.
#[test]
fn older_words_and_longer_messages_are_read() {
    let old = "Debug memory block at address p=0x7f3f2b1c0a10: API 'o'\n    6 bytes originally requested\n    \
        The 7 pad bytes at p-7 are FORBIDDENBYTE, as expected.\n    The 8 pad bytes at tail=0x7f3f2b1c0a16 are not all \
        FORBIDDENBYTE (0xfb):\n        at tail+0: 0xdb *** OUCH\n        at tail+1: 0xfb\n        at tail+2: 0xfb\n        \
        at tail+3: 0xfb\n        at tail+4: 0xfb\n        at tail+5: 0xfb\n        at tail+6: 0xfb\n        at tail+7: 0xfb\n    \
        The block was made by call #4711 to debug malloc/realloc.\n    Data at p: cb cb cb cb cb cb\n\n\
        Memory block allocated at (most recent call first):\n  File \"x.py\", line 3\n  File \"y.py\", line 9\n\n\
        Fatal Python error: bad trailing pad byte\n";
    let message = message(old);
    assert_eq!(message.verdict, "Written one byte past the end, at index 6 of 6 bytes");
    assert_eq!((message.serial, message.forbidden), (Some(4711), 0xfb));
    assert_eq!(message.allocated_at, ["File \"x.py\", line 3", "File \"y.py\", line 9"]);
    assert!(message.findings.contains(&"tail+0: 0xdb, what freed memory is filled with".to_owned()));
    assert!(message.findings.contains(&"the data shown is all 0xcb: it was never written".to_owned()));
    assert!(!message.next.iter().any(|step| step.contains("PYTHONTRACEMALLOC")));
    // Any cut and any byte are stood.
    for length in 34..old.len() {
        let cut = account("cut", &old.as_bytes()[..length]);
        assert!(cut.lines().iter().all(|line| !line.contains('\n')));
        let mut changed = old.as_bytes().to_vec();
        changed[length] = 0xdd;
        account("changed", changed);
    }
    for text in ["Debug memory block at address p=(nil):\n", "Debug memory block at address p=0x1"] {
        let Account::Block(message) = account("short", text) else { panic!("it is a message") };
        assert!(message.verdict.starts_with("No block"), "{}", message.verdict);
    }
}
