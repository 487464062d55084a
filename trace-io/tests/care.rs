//! Parts, merged and nameless traces replay, and lose what they say they lose.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::io::Cursor;

use sim_core::tape::{SourceLine, StackId, TimeMark};
use sim_core::{Addr, Call, Domain, Kind, Machine, Op, Profile, Trace, TraceBuilder};
use trace_io::care::{Anonymize, Bound, Merge, Order, Split, Stats, StatsReport, Trim};
use trace_io::workload::Workload;
use trace_io::{Format, Loader, writer};

/// A recording with threads, stacks, addresses and times, 10 operations a millisecond.
fn recording(seed: u64, operations: u64) -> Trace {
    let mut tape = TraceBuilder::new("secret_program");
    let line =
        |function: &str, file: &str, line| SourceLine { function: function.into(), file: file.into(), line };
    let main = line("main_entry", "/home/alice/secret/app.py", 7);
    let stacks: Vec<StackId> = (0..20)
        .map(|i| {
            tape.stack(&[line(&format!("leaf_{}", i % 7), "/home/alice/secret/lib.so", i), main.clone()])
        })
        .collect();
    for (index, op) in Workload::python(seed, operations, 60).iter().enumerate() {
        if index % 10 == 0 {
            let mark =
                TimeMark { at: index as u64, time_ns: index as u64 * 100_000, rss_bytes: Some(1 << 20) };
            tape.trace_mut().origin.moments.push(mark);
        }
        let op = Op { thread: (index as u64 * seed % 5 / 2) as u16, ..op };
        let address = Addr(0x7f00_0000_0000 + 16 * (index as u64 % 100));
        tape.push_recorded(op, stacks[index % stacks.len()], Some(address)).unwrap();
    }
    let source = &mut tape.trace_mut().origin.source;
    source.set("command_line", "python /home/alice/secret/app.py --token hunter2");
    source.set("pid", "4711");
    source.set("recorder", "test 1.0");
    source.thread_names = vec!["MainThread".into(), "alice-worker".into()];
    source.doubt.truncated = Some("line 3: `leaf_1` is no call".into());
    tape.trace_mut().head.description = "alice's secret".into();
    tape.finish()
}

fn ops(trace: &Trace) -> Vec<Op> {
    (0..trace.len()).map(|i| trace.op(i).unwrap()).collect()
}

fn verify(trace: &Trace) -> Machine {
    let mut machine = Machine::for_trace(&Profile::default(), trace, None).unwrap();
    (0..trace.len() as usize).for_each(|index| {
        machine.step(trace, index, &mut ());
    });
    machine.verify().unwrap();
    machine
}

/// Hands a trace out in pieces, as a loader does, by way of the CSV that carries all that matters here.
fn pieces(trace: &Trace, mut each: impl FnMut(&Trace)) -> Trace {
    let mut text = Vec::new();
    let mut csv = writer(Format::Csv, &mut text).unwrap();
    csv.write(trace).unwrap();
    csv.finish(trace).unwrap();
    let mut loader = Loader::new(&trace.head.name, Box::new(Cursor::new(text)), None);
    loop {
        let done = loader.advance().unwrap();
        each(loader.trace().unwrap());
        loader.forget();
        if done {
            return loader.finish().unwrap().trace().unwrap();
        }
    }
}

fn live_at(trace: &Trace, step: u64) -> BTreeMap<u64, u64> {
    let mut live = BTreeMap::new();
    for op in &ops(trace)[..step as usize] {
        match op.call {
            Call::Malloc { id, size } => drop(live.insert(id, size)),
            Call::Calloc { id, nelem, elsize } => drop(live.insert(id, nelem * elsize)),
            Call::Realloc { id, newid, size } => {
                live.remove(&id);
                live.insert(newid, size);
            }
            Call::Free { id } => drop(live.remove(&id)),
            _ => unreachable!(),
        }
    }
    live
}

fn trim(trace: &Trace, from: Bound, to: Bound, prelude: bool) -> (Trace, trace_io::care::TrimCounts) {
    let mut trim = Trim::new(from, to, prelude);
    let whole = pieces(trace, |piece| trim.take(piece).unwrap());
    trim.finish(&whole).unwrap();
    let counts = trim.counts();
    (std::mem::take(trim.out()).finish(), counts)
}

#[test]
fn a_trimmed_range_has_the_live_blocks_of_its_steps() {
    let whole = recording(3, 6000);
    for (from, to) in [(0, 6000), (2000, 2500), (1, 2), (5999, 6000), (0, 10)] {
        let (part, counts) = trim(&whole, Bound::Step(from), Bound::Step(to), true);
        let before = live_at(&whole, from);
        assert_eq!((counts.kept, counts.before, counts.after), (to - from, from, 6000 - to));
        assert_eq!((counts.prelude, counts.dropped_frees), (before.len() as u64, 0));
        assert_eq!(ops(&part)[before.len()..], ops(&whole)[from as usize..to as usize]);
        for step in [from, from.midpoint(to), to] {
            assert_eq!(
                live_at(&part, counts.prelude + step - from),
                live_at(&whole, step),
                "{from} {to} {step}"
            );
        }
        let (last, of) = (part.len() as usize - 1, to as usize - 1);
        assert_eq!(
            part.origin.stacks.lines(part.stack_of(last)),
            whole.origin.stacks.lines(whole.stack_of(of))
        );
        assert_eq!(part.address_of(last), whole.address_of(of));
        verify(&part);
    }
    let (by_time, counts) = trim(&whole, Bound::Time(100_000_000), Bound::Time(150_000_000), true);
    assert_eq!((counts.before, counts.kept), (1000, 500));
    assert_eq!(by_time.time_ns(counts.prelude), Some(100_000_000));

    let (bare, counts) = trim(&whole, Bound::Step(2000), Bound::Step(2500), false);
    let unseen = counts.dropped_frees + counts.births_from_realloc;
    assert!(counts.prelude == 0 && unseen > 0 && bare.len() == 500 - counts.dropped_frees);
    assert_eq!(bare.origin.source.doubt.unknown_frees, counts.dropped_frees);
    verify(&bare);

    let mut empty = Trim::new(Bound::Step(9000), Bound::Step(9001), true);
    empty.take(&whole).unwrap();
    assert!(empty.finish(&whole).unwrap_err().to_string().contains("no operation lies in the range"));
}

#[test]
fn an_anonymized_trace_has_none_of_the_names() {
    let whole = recording(4, 3000);
    let run = |key: &[u8]| {
        let mut anonymize = Anonymize::new(key);
        anonymize.take(&whole).unwrap();
        anonymize.finish(&whole).unwrap();
        std::mem::take(anonymize.out()).finish()
    };
    let (a, b, other) = (run(b"k"), run(b"k"), run(b"other"));
    assert_eq!(ops(&a), ops(&whole));
    assert_eq!(a.origin.moments, whole.origin.moments);
    for format in [Format::Ptrace, Format::Ron, Format::Csv] {
        let text = |trace: &Trace| {
            let mut out = Vec::new();
            let mut writer = writer(format, &mut out).unwrap();
            writer.write(trace).unwrap();
            writer.finish(trace).unwrap();
            String::from_utf8(out).unwrap()
        };
        let text_a = text(&a);
        for name in
            ["alice", "secret", "leaf", "main_entry", "lib.so", "app", "hunter2", "4711", "MainThread"]
        {
            assert!(!text_a.contains(name), "{name} in {format:?}");
        }
        assert_eq!(text_a, text(&b));
    }
    let told = format!("{:?}", a.origin.source);
    assert!(
        !["alice", "secret", "leaf", "hunter2", "4711", "Main"].iter().any(|n| told.contains(n)),
        "{told}"
    );
    assert_eq!(a.origin.source.get("recorder"), Some("test 1.0"));
    for index in 0..whole.len() as usize {
        let (hashed, named) =
            (a.origin.stacks.lines(a.stack_of(index)), whole.origin.stacks.lines(whole.stack_of(index)));
        assert_eq!(hashed.len(), named.len());
        let python = |l: &SourceLine| l.file.rsplit('.').next() == Some("py");
        assert!(hashed.iter().zip(&named).all(|(h, n)| h.line == n.line && python(h) == python(n)));
    }
    assert_eq!(
        (a.origin.stacks.len(), a.origin.stacks.string_count()),
        (whole.origin.stacks.len(), whole.origin.stacks.string_count())
    );
    assert_ne!(a.origin.stacks.lines(StackId(1)), other.origin.stacks.lines(StackId(1)));
}

#[test]
fn a_merge_keeps_every_operation_and_mistakes_none_for_another() {
    let traces = [recording(1, 2000), recording(2, 3000), recording(7, 100)];
    for order in [Order::Time, Order::Sequence] {
        let mut merge = Merge::new(order, traces.len());
        let mut open = vec![0, 1, 2];
        let mut turns = 0;
        while !open.is_empty() {
            let times: Vec<(u64, usize)> =
                open.iter().map(|&i| (merge.next_time(i, &traces[i]).unwrap_or(0), i)).collect();
            let mut sorted = times.clone();
            sorted.sort_unstable();
            let (input, until) = match order {
                Order::Time => (sorted[0].1, sorted.get(1).map_or(u64::MAX, |t| t.0)),
                Order::Sequence => (open[0], u64::MAX),
            };
            turns += 1;
            if !merge.take(input, &traces[input], until).unwrap() {
                merge.finish(input, &traces[input]).unwrap();
                open.retain(|&i| i != input);
            }
        }
        let merged = std::mem::take(merge.out()).finish();
        assert_eq!(merged.len(), 5100);
        assert_eq!(turns > 100, order == Order::Time);
        assert_eq!(merged.thread_count(), traces.iter().map(Trace::thread_count).sum::<u64>());
        let mut sum = [[0; 4]; 3];
        for trace in &traces {
            for (to, from) in sum.iter_mut().flatten().zip(trace.counts().iter().flatten()) {
                *to += from;
            }
        }
        assert_eq!(merged.counts(), sum);
        assert!(merged.origin.moments.is_sorted_by_key(|m| (m.at, m.time_ns)));
        if order == Order::Sequence {
            let sizes = |t: &Trace| -> Vec<u64> { (0..t.len() as usize).map(|i| t.packed(i).size).collect() };
            assert_eq!(sizes(&merged), traces.iter().flat_map(sizes).collect::<Vec<_>>());
        }
        assert_eq!(merged.origin.source.get("pid 2"), Some("4711"));
        verify(&merged);
    }
    let mut debug = TraceBuilder::new("debug");
    debug.trace_mut().head.malloc = Some(sim_core::domains::AllocatorName::parse("debug").unwrap());
    debug.push(Op { thread: 0, domain: Domain::Obj, call: Call::Malloc { id: 1, size: 1 } }).unwrap();
    let mut merge = Merge::new(Order::Sequence, 2);
    merge.take(0, &traces[0], u64::MAX).unwrap();
    let error = merge.take(1, &debug.finish(), u64::MAX).unwrap_err().to_string();
    assert!(error.contains("PYTHONMALLOC"), "{error}");
}

#[test]
fn a_split_puts_each_block_with_its_birth() {
    let whole = recording(3, 6000);
    let mut split = Split::default();
    let read = pieces(&whole, |piece| split.take(piece).unwrap());
    split.finish(&read).unwrap();
    let counts = split.counts();
    let parts: Vec<(u16, Trace)> = split.outs().map(|(t, out)| (t, std::mem::take(out).finish())).collect();
    assert_eq!(parts.len() as u64, whole.thread_count());
    assert_eq!(parts.iter().map(|p| p.1.len()).sum::<u64>(), 6000);
    let mut foreign = 0;
    for (thread, part) in &parts {
        let born = |op: &&Op| matches!(op.call, Call::Malloc { .. } | Call::Calloc { .. });
        assert!(ops(part).iter().filter(born).all(|op| op.thread == *thread));
        foreign += ops(part).iter().filter(|op| op.thread != *thread).count() as u64;
        assert!(part.timed() && part.has_stacks());
        verify(part);
    }
    assert!(foreign > 0);
    assert_eq!(counts.foreign_frees + counts.foreign_reallocs, foreign);
}

#[test]
fn statistics_are_what_a_slow_count_says() {
    let whole = recording(3, 6000);
    let mut stats = Stats::default();
    let read = pieces(&whole, |piece| stats.take(piece));
    let r: StatsReport = stats.report(&read, 3);
    let (mut births, mut grown, mut in_place) = (0, 0, 0);
    let (mut peak, mut live_sizes, mut addresses) = ((0, 0), BTreeMap::new(), BTreeMap::new());
    let (mut sites, mut lives) = (BTreeMap::<String, (u64, u64)>::new(), BTreeMap::new());
    let mut lifetimes = vec![0; r.lifetimes.by_power.len()];
    for index in 0..whole.len() as usize {
        let (packed, slot) = (whole.packed(index), whole.packed(index).slot);
        match packed.kind {
            Kind::Free => {
                live_sizes.remove(&slot);
                let age: usize = index - lives.remove(&slot).unwrap();
                lifetimes[(usize::BITS - 1 - age.leading_zeros()) as usize] += 1;
            }
            Kind::Realloc => {
                grown += u64::from(packed.size > live_sizes.insert(slot, packed.size).unwrap());
                in_place += u64::from(
                    addresses.insert(slot, whole.address_of(index)) == Some(whole.address_of(index)),
                );
            }
            _ => {
                births += 1;
                live_sizes.insert(slot, packed.size);
                lives.insert(slot, index);
                addresses.insert(slot, whole.address_of(index));
                let line = whole.origin.stacks.lines(whole.stack_of(index)).remove(0);
                let site = sites.entry(format!("{line} {}", line.function)).or_default();
                *site = (site.0 + packed.size, site.1 + 1);
            }
        }
        let bytes: u64 = live_sizes.values().sum();
        if bytes > peak.0 {
            peak = (bytes, index as u64 + 1);
        }
    }
    assert_eq!((r.births, r.reallocs.grown, r.reallocs.in_place), (births, grown, in_place));
    assert_eq!(r.peak_bytes, peak);
    assert_eq!((r.lifetimes.by_power.clone(), r.lifetimes.never), (lifetimes, live_sizes.len() as u64));
    let best = sites.iter().max_by_key(|s| *s.1).unwrap();
    let first = &r.by_bytes[0];
    assert_eq!(
        (format!("{} {}", first.line, first.line.function), (first.bytes, first.births)),
        (best.0.clone(), *best.1)
    );
    assert_eq!(r.by_count.len(), 3);
    assert_eq!(r.sizes.iter().map(|s| s.births).sum::<u64>(), births);
    assert_eq!(r.threads.iter().map(|t| t.operations).sum::<u64>(), 6000);
    assert_eq!(r.domains.iter().map(|d| d.births).sum::<u64>(), births);
}
