//! Files that people have and that hold no trace: told by their first bytes, and refused by name.

use crate::error::TraceError;
use crate::format::HEAD_BYTES;

/// A kind of file.
struct Kind {
    test: fn(&[u8]) -> bool,
    what: &'static str,
    reason: &'static str,
    remedy: &'static str,
}

const RECORD: &str = "record each call in order with `memray run --trace-python-allocators`";
const AGGREGATED: &str = "it has sums and not each call in order";
const SAMPLED: &str = "it has samples and sums and not each call in order";

const KINDS: &[Kind] = &[
    Kind {
        test: |h| heaptrack_interpreted(h),
        what: "a heaptrack recording that was interpreted already",
        reason: "its frees no longer say which block they free",
        remedy: "record with `heaptrack -r` and open the *.raw.zst",
    },
    Kind {
        test: <[u8]>::is_empty,
        what: "an empty file",
        reason: "a recorder such as `memray run --aggregate` writes when the program ends",
        remedy: "wait for that, or record again",
    },
    Kind {
        test: |h| {
            [b"\x28\xb5\x2f\xfd".as_slice(), b"\x04\x22\x4d\x18", b"\x1f\x8b\x08"]
                .iter()
                .any(|magic| h.starts_with(magic))
        },
        what: "a file that is packed twice",
        reason: "one packing is undone in reading, and there is another in it",
        remedy: "unpack it once with zstd, lz4 or gzip and open that",
    },
    Kind {
        test: |h| h.starts_with(b"allocator,num_allocations,size,"),
        what: "a table that `memray transform csv` made",
        reason: AGGREGATED,
        remedy: "open the *.bin that it was made from",
    },
    Kind {
        test: |h| {
            has(h, b"Total allocations:") && has(h, b"Total memory allocated:")
                || json(h) && has(h, b"\"total_num_allocations\"")
        },
        what: "what `memray stats` prints",
        reason: AGGREGATED,
        remedy: "open the *.bin that it was made from",
    },
    Kind {
        test: memray_parse,
        what: "what `memray parse` prints",
        reason: "it is made for people and differs with the version",
        remedy: "open the *.bin that it was made from",
    },
    Kind {
        test: |h| {
            (h.starts_with(b"CMDLINE ") || h.starts_with(b"MEM "))
                && lines(h).any(|line| line.starts_with(b"MEM ") || line.starts_with(b"FUNC "))
        },
        what: "a recording of memory_profiler",
        reason: SAMPLED,
        remedy: RECORD,
    },
    Kind {
        test: |h| {
            h.starts_with(b"Arena 0:\nsystem bytes") || h.trim_ascii_start().starts_with(b"<malloc version=")
        },
        what: "what glibc's malloc_stats() or malloc_info() prints",
        reason: "it has the C library's sums at one moment",
        remedy: "paste the text of sys._debugmallocstats() for a picture of one moment",
    },
    Kind {
        test: |h| has(h, b"Memory not freed:") && has(h, b"Address     Size     Caller"),
        what: "a report of mtrace(1)",
        reason: "it has what was never freed and not each call in order",
        remedy: "open the file that MALLOC_TRACE named",
    },
    Kind {
        test: |h| json(h) && has(h, b"\"dhatFileVersion\""),
        what: "a DHAT profile",
        reason: AGGREGATED,
        remedy: RECORD,
    },
    Kind {
        test: |h| json(h) && (has(h, b"\"alloc_samples\"") || has(h, b"max_footprint")),
        what: "a Scalene profile",
        reason: SAMPLED,
        remedy: RECORD,
    },
    Kind {
        test: |h| json(h) && (has(h, b"\"traceEvents\"") || has(h, b"speedscope.app")),
        what: "a profile of time for a trace viewer",
        reason: "it does not say what was allocated",
        remedy: RECORD,
    },
    Kind {
        test: |h| pickle(h) && has(h, b"device_traces"),
        what: "a snapshot of PyTorch's CUDA allocator",
        reason: "that allocator manages the graphics card's memory and works otherwise than CPython's",
        remedy: "record the Python side with `memray run --trace-python-allocators`",
    },
    Kind {
        test: |h| pickle(h) && has(h, b"tracemalloc"),
        what: "a tracemalloc snapshot",
        reason: "it has the blocks that were live at one moment, without order, addresses and frees",
        remedy: RECORD,
    },
    Kind {
        test: pickle,
        what: "a Python pickle",
        reason: "unpickling runs whatever code it names, and no recorder of traces writes one",
        remedy: RECORD,
    },
    Kind {
        test: bytehound,
        what: "a bytehound recording, as it seems",
        reason: "its format is not read here",
        remedy: "record with `heaptrack -r` and PYTHONMALLOC=malloc instead",
    },
    Kind {
        test: |h| h.starts_with(b"desc: ") && has(h, b"\ncmd: "),
        what: "massif's output",
        reason: SAMPLED,
        remedy: "record with `heaptrack -r` and PYTHONMALLOC=malloc instead",
    },
    Kind {
        test: |h| h.starts_with(b"==") && has(h, b"== "),
        what: "valgrind's log",
        reason: "it has findings and not each call in order",
        remedy: RECORD,
    },
    Kind {
        test: smaps,
        what: "/proc/PID/smaps or maps",
        reason: "it has mappings at one moment; pymalloc's arenas are among them without a name",
        remedy: "paste the text of sys._debugmallocstats() for a picture of one moment",
    },
    Kind {
        test: |h| h.starts_with(b"Ftrace!"),
        what: "a uftrace recording",
        reason: "its calls lie in other files beside it, in a form not read here",
        remedy: "record with `heaptrack -r` and PYTHONMALLOC=malloc instead",
    },
    Kind {
        test: ltrace,
        what: "ltrace's or strace's output",
        reason: "its lines are made for people and differ with version and options",
        remedy: "record with glibc's mtrace and PYTHONMALLOC=malloc instead",
    },
    Kind {
        test: |h| h.starts_with(b"PERFILE2"),
        what: "a recording of perf",
        reason: "it has samples and not each call in order",
        remedy: RECORD,
    },
    Kind {
        test: |h| h.starts_with(b"/* CTF") || h.starts_with(&[0xc1, 0x1f, 0xfc, 0xc1]),
        what: "a Common Trace Format recording",
        reason: "CPython has no trace points at its allocator",
        remedy: RECORD,
    },
    Kind {
        test: |h| h.starts_with(b"heap profile:") || h.starts_with(b"heap_v2/"),
        what: "a heap profile of gperftools or jemalloc",
        reason: SAMPLED,
        remedy: RECORD,
    },
    Kind {
        test: |h| (html(h) || svg(h)) && has(h, b"memray"),
        what: "a report that memray made",
        reason: AGGREGATED,
        remedy: "open the *.bin that it was made from",
    },
    Kind {
        test: |h| svg(h) || html(h),
        what: "a page or picture, such as Fil's flame graph",
        reason: AGGREGATED,
        remedy: RECORD,
    },
    Kind {
        test: collapsed,
        what: "a list of collapsed stacks, as Fil and flame graphs have",
        reason: AGGREGATED,
        remedy: RECORD,
    },
    Kind {
        test: |h| h.starts_with(b"PAR1") || h.starts_with(b"ARROW1") || h.starts_with(b"SQLite format 3\0"),
        what: "a table in Parquet, Arrow or SQLite",
        reason: "such tables are not read here",
        remedy: "export it as CSV with the columns of docs/formats.md",
    },
    Kind {
        test: |h| h.starts_with(b"PK\x03\x04"),
        what: "a ZIP archive",
        reason: "which of its files is meant is not known",
        remedy: "unpack it and open the trace in it",
    },
    Kind { test: protobuf, what: "a Perfetto or pprof profile", reason: SAMPLED, remedy: RECORD },
    Kind {
        test: json,
        what: "JSON",
        reason: "no recorder of each call writes it",
        remedy: "write ptrace text or CSV, see docs/formats.md",
    },
];

/// Why the file is no trace, where it is one of those known.
pub(crate) fn refused(head: &[u8]) -> Option<TraceError> {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let kind = KINDS.iter().find(|k| (k.test)(head))?;
    Some(TraceError::NoTrace { what: kind.what, reason: kind.reason, remedy: kind.remedy })
}

fn has(head: &[u8], part: &[u8]) -> bool {
    head.windows(part.len()).any(|w| w == part)
}

fn lines(head: &[u8]) -> impl Iterator<Item = &[u8]> {
    head.split(|&b| b == b'\n')
}

/// Interpreted files have a table of strings where raw ones have modules.
fn heaptrack_interpreted(head: &[u8]) -> bool {
    head.starts_with(b"v ")
        && lines(head).skip(1).any(|l| l.starts_with(b"s "))
        && !lines(head).any(|l| l.starts_with(b"m "))
}

fn json(head: &[u8]) -> bool {
    let text = head.trim_ascii_start();
    let inside = text.get(1..).unwrap_or_default().trim_ascii_start().first();
    match text.first() {
        Some(b'{') => matches!(inside, Some(b'"' | b'}')),
        Some(b'[') => matches!(inside, Some(b'{' | b'[' | b'"' | b']')),
        _ => false,
    }
}

/// Protocol 2 and later: an opcode with the version, and mostly a frame after it.
fn pickle(head: &[u8]) -> bool {
    matches!(head, [0x80, 2..=5, ..])
}

/// bytehound writes blocks of LZ4 with a byte and a length before them; the first one names the program.
fn bytehound(head: &[u8]) -> bool {
    let Some(length) = head.get(1..5).and_then(|l| l.try_into().ok()).map(u32::from_le_bytes) else {
        return false;
    };
    head[0] == 1 && (64..=600_000).contains(&length) && has(&head[..head.len().min(512)], b"/")
}

fn smaps(head: &[u8]) -> bool {
    let first = lines(head).next().unwrap_or_default();
    let mut words = first.split(|&b| b == b' ');
    let (range, rights) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let hexadecimal = |b: &u8| b.is_ascii_hexdigit() || *b == b'-';
    range.len() > 16
        && range.iter().all(hexadecimal)
        && matches!(rights, [b'r' | b'-', b'w' | b'-', _, b'p' | b's'])
}

fn ltrace(head: &[u8]) -> bool {
    lines(head).take(20).any(|line| {
        // A process, a time, a library may stand before the call.
        let Some(open) = line.iter().position(|&b| b == b'(') else { return false };
        let name = line[..open].iter().rev().take_while(|b| b.is_ascii_alphanumeric() || **b == b'_').count();
        let before = &line[..open - name];
        let led =
            before.iter().all(|b| b.is_ascii_digit() || b" .:[]pid".contains(b)) || before.ends_with(b"->");
        let answer = &line[open..];
        name > 1
            && led
            && (has(answer, b") = ")
                || has(answer, b" = 0x")
                || has(answer, b"<void>")
                || has(answer, b") ="))
    })
}

fn svg(head: &[u8]) -> bool {
    has(&head[..head.len().min(1024)], b"<svg")
}

fn html(head: &[u8]) -> bool {
    let start = head.trim_ascii_start().get(..14).unwrap_or_default().to_ascii_lowercase();
    start.starts_with(b"<!doctype html") || start.starts_with(b"<html") || start.starts_with(b"<?xml")
}

/// One record a line, its kind in capitals, then its fields.
fn memray_parse(head: &[u8]) -> bool {
    const KINDS: [&[u8]; 5] =
        [b"HEADER magic=", b"ALLOCATION address=", b"FRAME_PUSH frame_id=", b"FRAME_ID ", b"MEMORY_RECORD "];
    lines(head).take(4).any(|line| KINDS.iter().any(|kind| line.starts_with(kind)))
}

/// `a;b;c 123` on the first lines. The last one may go on beyond the head; it counts where it is a stack by its looks.
fn collapsed(head: &[u8]) -> bool {
    let mut seen = 0;
    let cut = head.len() >= HEAD_BYTES && !head.ends_with(b"\n");
    let whole = if cut { head.iter().rposition(|&b| b == b'\n').unwrap_or(0) } else { head.len() };
    if whole == 0 {
        let frames =
            head.split(|&b| b == b';').filter(|frame| frame.ends_with(b")") && has(frame, b" (")).count();
        return frames > 3 && head.iter().all(|&b| b >= b' ');
    }
    for line in lines(&head[..whole]).take(3).filter(|l| !l.is_empty()) {
        let at = line.iter().rposition(|&b| b == b' ').unwrap_or(0);
        if !line[at..].trim_ascii().iter().all(u8::is_ascii_digit) || line[at..].len() < 2 || !has(line, b";")
        {
            return false;
        }
        seen += 1;
    }
    seen > 0
}

/// Messages one after the other, field 1 each, and not text.
fn protobuf(head: &[u8]) -> bool {
    let mut rest = head;
    let mut messages = 0;
    while let [0x0a, more @ ..] = rest {
        let mut length = 0_u64;
        let mut used = 0;
        for &byte in more.iter().take(5) {
            length |= u64::from(byte & 0x7f) << (7 * used);
            used += 1;
            if byte < 0x80 {
                break;
            }
        }
        messages += 1;
        match usize::try_from(length).ok().and_then(|l| more.get(used..)?.get(l..)) {
            Some(after) => rest = after,
            None => break,
        }
    }
    messages > 1 && head.iter().any(|&b| b < 9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_refused_by_its_name() {
        for (head, expected) in [
            (b"v 10400 3\nX python\nI 1000 5\ns 3 abc\n".as_slice(), "`heaptrack -r`"),
            (b"{\"dhatFileVersion\":2,\"mode\":\"heap\"", "DHAT"),
            (b"{ \"alloc_samples\": 12, ", "Scalene"),
            (b"{\"traceEvents\":[]}", "time"),
            (b"{\"a\": 1}", "JSON"),
            (b"\x80\x04\x95\x10\0\0\0\0\0\0\0}\x8c\x0ddevice_traces", "PyTorch"),
            (
                b"\x80\x04\x95\x10\0\0\0\0\0\0\0\x8c\x0btracemalloc\x94\x8c\x08Snapshot",
                "tracemalloc snapshot",
            ),
            (b"\x80\x03]q\0.", "pickle"),
            (b"\x01\x40\x01\0\0\xf0\x01xx/usr/bin/python", "bytehound"),
            (b"desc: --depth=30\ncmd: ./a\ntime_unit: i\n", "massif"),
            (b"==123== Memcheck, a memory error detector\n==123== \n", "valgrind"),
            (b"7f12a4c00000-7f12a4d00000 rw-p 00000000 00:00 0 \nSize:  1024 kB\n", "smaps"),
            (b"Ftrace!\0\x04\0", "uftrace"),
            (b"[pid 12] libpython3.so->malloc(24) = 0x55d0\n", "ltrace"),
            (b"libc.so.6->calloc(0, 1600)                       = 0x556d77caf560\n", "ltrace"),
            (b"libc.so.6->realloc(0x7ffdd1a36a64, 44)           = 0x2b\n", "ltrace"),
            (b"4242  brk(NULL)                         = 0x5581\n", "strace"),
            (b"4242  12:00:01.123 openat(AT_FDCWD, \"/etc\", O_RDONLY) = 3\n", "strace"),
            (b"", "an empty file"),
            (b"\x28\xb5\x2f\xfd\x04\x58", "packed twice"),
            (b"\x1f\x8b\x08\x00", "packed twice"),
            (b"allocator,num_allocations,size,tid,thread_name,stack_trace\n", "memray transform csv"),
            (
                "\u{1f4cf} Total allocations:\n\t24653\n\n Total memory allocated:\n".as_bytes(),
                "memray stats",
            ),
            (b"{\"total_num_allocations\": 3}", "memray stats"),
            (b"HEADER magic=b'memray' version=12\n", "memray parse"),
            (b"CMDLINE python x.py\nMEM 10.1 1600000000.1\n", "memory_profiler"),
            (b"Arena 0:\nsystem bytes     =    1638400\n", "malloc_stats()"),
            (b"<malloc version=\"1\">\n<heap nr=\"0\">", "malloc_info()"),
            (b"\nMemory not freed:\n-----\n           Address     Size     Caller\n", "mtrace(1)"),
            ("a (<f>:1);b (<f>:2);".repeat(400).as_bytes(), "collapsed"),
            (b"PERFILE2\x68", "perf"),
            (b"/* CTF 1.8 */", "Common Trace Format"),
            (b"heap profile:  1: 2 [ 3: 4] @ heap_v2/1\n", "gperftools"),
            (b"<!DOCTYPE html><title>memray - flamegraph</title>", "*.bin"),
            (b"<?xml version=\"1.0\"?><svg>", "Fil"),
            (b"a.py:1 (f);b.py:2 (g) 1234\nc.py:1 (f);d 5\n", "collapsed"),
            (b"PAR1\x15\x04", "Parquet"),
            (b"PK\x03\x04\x14", "ZIP"),
            (b"\x0a\x04\x08\x01\x10\x02\x0a\x04\x08\x03\x10\x04", "Perfetto"),
        ] {
            let error = refused(head).map(|e| format!("{e}; {:?}", e.remedy())).unwrap_or_default();
            assert!(error.contains(expected) && !error.contains('\n'), "{}: {error}", head.escape_ascii());
        }
        for fine in [
            b"m o 1 48\n".as_slice(),
            b"# x\n",
            b"(name: \"x\"",
            b"= Start\n",
            b"\n\n#\n",
            b"[",
            b"v 1 3\nm 1 -\ns ",
            b"m o 1 48 # (a) = 3\n",
            b"# malloc(8) = 0x1\nm o 1 8\n",
        ] {
            assert!(refused(fine).is_none(), "{}", fine.escape_ascii());
        }
    }
}
