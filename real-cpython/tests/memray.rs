//! memray's own reader, from `PyPI`, and ours on the same captures: records by function, bytes, peak, addresses and sizes
//! in order, threads, and stacks with their lines.
//!
//! Captures are those of `../shared/captures` and fresh ones, recorded by several versions of memray under every interpreter
//! that is found. The virtual environments are kept under `target/` for the next time.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs::File;
use std::path::Path;

use real_cpython::interpreters::{self, Interpreter};
use real_cpython::memray::{self, Memray};
use real_cpython::or_not_run;
use real_cpython::outside::{self, compared, not_run};
use serde_json::Value;
use sim_core::{Call, Kind, Trace};
use trace_io::{Format, Loaded, Loader};

/// What [`Memray::record`] passes on to the program.
const RECORDINGS: [&[&str]; 4] = [&["python"], &["packed"], &["python", "native", "packed"], &["native"]];

fn load(capture: &Path) -> Trace {
    match Loader::new("x", Box::new(File::open(capture).unwrap()), None).finish().unwrap() {
        Loaded::Trace(trace, Format::Memray) => *trace,
        other => panic!("it is no capture: {other:?}"),
    }
}

/// Our reader on a capture against memray's. Returns the records compared.
fn compare(capture: &Path, memray: &Memray) -> u64 {
    let what = capture.display();
    let expected: Value = serde_json::from_slice(&memray.says(capture).unwrap()).unwrap();
    let number = |key: &str| expected[key].as_u64().unwrap();
    let trace = load(capture);
    let source = &trace.origin.source;
    assert_eq!(source.records, Some(number("records")), "{what}: records");
    assert_eq!(source.peak_bytes, Some(number("peak")), "{what}: peak");
    assert_eq!(source.get("command_line"), expected["command_line"].as_str(), "{what}");
    assert_eq!(trace.stack_count(), number("stacks"), "{what}: stacks");
    assert_eq!(source.get("stack_ids").unwrap(), number("stack_ids").to_string(), "{what}: stack ids");
    assert_eq!(trace.thread_count(), number("threads"), "{what}: threads");
    let calls = expected["calls"].as_object().unwrap();
    assert_eq!(source.calls.len(), calls.len(), "{what}: {:?} and {calls:?}", source.calls);
    for call in &source.calls {
        assert_eq!(Some(call.calls), calls[&call.function].as_u64(), "{what}: {}", call.function);
    }

    let mut samples = expected["samples"].as_array().unwrap().iter().peekable();
    let (mut births, mut bytes, mut digest, mut frees, mut moves) = (0, 0, 0_u64, 0, 0);
    for index in 0..trace.len() as usize {
        let op = trace.packed(index);
        if op.kind == Kind::Free {
            frees += 1;
            continue;
        }
        if let Some(sample) = samples.next_if(|s| s[0] == births) {
            assert_eq!(sample[1], op.size, "{what}: birth {births}");
            let lines: Vec<_> = trace
                .origin
                .stacks
                .lines(trace.stack_of(index))
                .into_iter()
                .map(|l| (l.function, l.file, l.line))
                .collect();
            assert_eq!(sample[2], serde_json::to_value(lines).unwrap(), "{what}: stack of birth {births}");
        }
        moves +=
            u64::from(matches!(trace.op(index as u64).unwrap().call, Call::Realloc { id, .. } if id != 0));
        births += 1;
        bytes += op.size;
        digest =
            digest.wrapping_mul(31).wrapping_add(trace.address_of(index).unwrap().0).wrapping_add(op.size);
    }
    assert_eq!(samples.next(), None, "{what}");
    assert_eq!((births, bytes), (number("births"), number("bytes")), "{what}: births");
    assert_eq!(digest, number("digest"), "{what}: addresses and sizes in order");
    let deaths = ["free", "pymalloc_free"].map(|f| calls.get(f).and_then(Value::as_u64).unwrap_or(0));
    let doubt = &source.doubt;
    assert_eq!(
        frees + moves + doubt.unknown_frees + doubt.unknown_reallocs,
        deaths.iter().sum::<u64>(),
        "{what}: frees"
    );
    assert_eq!(doubt.truncated, None, "{what}");
    births + frees
}

/// One interpreter of each minor version is enough. The newest memray has none for 3.8.
fn one_of_each(interpreters: &[Interpreter]) -> Vec<&Interpreter> {
    let mut interpreters: Vec<&Interpreter> =
        interpreters.iter().filter(|i| i.version >= (3, 9, 0)).collect();
    interpreters.dedup_by_key(|i| (i.version.0, i.version.1));
    interpreters
}

#[test]
fn recordings_are_read_as_memray_reads_them() {
    let Some(interpreters) = interpreters::compared() else { return };
    let (newest, newest_format) = memray::VERSIONS[0];
    let (mut tested, mut operations, mut objects) = (Vec::new(), 0, false);
    for (version, format) in memray::VERSIONS {
        for interpreter in one_of_each(interpreters) {
            // Wheels of every version exist for 3.11; the newest is to have them for all.
            let (major, minor, _) = interpreter.version;
            if (major, minor) != (3, 11) && format != newest_format {
                continue;
            }
            let what = format!("recordings of memray {version} under CPython {major}.{minor}");
            let Some(memray) = or_not_run(&what, Memray::new(interpreter, version, format)) else { continue };
            for flags in RECORDINGS {
                operations += compare(&memray.record(flags).unwrap(), &memray);
            }
            if memray.format >= 12 && memray.version >= (3, 13, 3) {
                operations += compare(&memray.record(&["python", "objects"]).unwrap(), &memray);
                objects = true;
            }
            let aggregated = memray.record(&["python", "aggregated"]).unwrap();
            let error = trace_io::open("x", Box::new(File::open(aggregated).unwrap())).unwrap_err();
            let remedy = error.remedy();
            assert!(format!("{remedy:?}").contains("without `--aggregate`"), "{error}: {remedy:?}");
            tested.push(memray.name);
        }
    }
    if !objects {
        let why = format!(
            "memray {newest} was found under no CPython from 3.13.3 on, which can track them; `pyenv install 3.13` builds one"
        );
        not_run("recordings of memray with Python's objects", why);
    }
    compared("recordings of memray", &format!("{}: {operations} operations", tested.join(", ")));
}

#[test]
fn captures_are_read_as_memray_reads_them() {
    let what = "captures of real programs beside memray";
    let Some(folder) = or_not_run(what, outside::shared("captures")) else { return };
    let Some(memray) = or_not_run(what, Memray::newest()) else { return };
    let captures = outside::files(&folder, ".bin").unwrap();
    let operations: u64 = captures.iter().map(|capture| compare(capture, &memray)).sum();
    compared(
        "captures of real programs",
        &format!("{}: {operations} operations of {} captures", memray.name, captures.len()),
    );
    let found = format!("{} captures with {operations} operations in {}", captures.len(), folder.display());
    assert!(captures.len() >= 7 && operations >= 18_107_021, "{found}; there were 7 with 18,107,021");
}
