//! What a recorder writes without a trace is read as one: every call, pointer, stack, thread and moment, from the start and from
//! the middle.

#![cfg(feature = "tape")]
#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::HashMap;
use std::io::Cursor;

use atrace::head::Domain;
use atrace::tables::Frame;
use atrace::{AtraceFile, AtraceReader, BlockKind, CallWriter, Caller, Meta};
use sim_core::{Addr, Call, Op, Trace};

struct Draw(u64);

impl Draw {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

/// A call as it was made: what a trace must say of it.
struct Made {
    op: Op,
    address: u64,
    stack: Vec<String>,
}

fn sim(domain: Domain) -> sim_core::Domain {
    sim_core::Domain::ALL[domain as usize]
}

/// Records a random program whose allocator is a stack of freed blocks; what was written, and what was called.
fn record(seed: u64, calls: u64, block: usize) -> (Vec<u8>, Vec<Made>, Meta) {
    let mut draw = Draw(seed);
    let mut meta = Meta { name: "recorded".to_owned(), ..Meta::default() };
    meta.facts.push(("python".to_owned(), "3.14.1".to_owned()));
    let mut out = Vec::new();
    let mut writer = CallWriter::new(&mut out, 14, block, &meta).unwrap();
    let (mut made, mut stacks) = (Vec::new(), vec![Vec::new()]);
    let mut live: Vec<(u64, Domain, u32)> = Vec::new();
    let mut freed: HashMap<u64, Vec<u64>> = HashMap::new();
    let mut fresh = 0x7f00_0000_4000_u64;
    for at in 0..calls {
        if draw.below(40) == 0 {
            // A new place, called from any that is known.
            let (caller, line) = (draw.below(stacks.len() as u64) as usize, at as u32);
            let file = writer.string(&format!("m{at}.py"));
            let frame = writer.frame(Frame { function: 0, file, line });
            assert_eq!(writer.stack(caller as u32, frame) as usize, stacks.len());
            let mut lines = vec![format!("m{at}.py:{line}")];
            lines.extend_from_slice(&stacks[caller]);
            stacks.push(lines);
        }
        if draw.below(50) == 0 {
            writer.moment(1_000 * at, (draw.below(2) == 0).then_some(4096 * at));
        }
        let stack = draw.below(stacks.len() as u64) as u32;
        let thread = if at > calls / 2 { draw.below(3) as u16 } else { 0 };
        let from = Caller { thread, stack };
        let domain = [Domain::Raw, Domain::Mem, Domain::Obj, Domain::Obj][draw.below(4) as usize];
        let size = match draw.below(30) {
            0 => 1 << (33 + draw.below(9)),
            1 => 0,
            _ => 1 + draw.below(600),
        };
        let class = size.div_ceil(16).max(1);
        let mut place = |freed: &mut HashMap<u64, Vec<u64>>, class: u64| {
            freed.get_mut(&class).and_then(Vec::pop).unwrap_or_else(|| {
                fresh += 16 * class;
                fresh - 16 * class
            })
        };
        let pick = draw.below(live.len().max(1) as u64) as usize;
        let id = |slot: u32| u64::from(slot) + 1;
        let (call, domain, address) = match draw.below(10) {
            n if !live.is_empty() && (n < 2 || live.len() > 60) => {
                let (address, domain, slot) = live.swap_remove(pick);
                writer.free(from, domain, Some((slot, address))).unwrap();
                freed.entry(draw.below(8)).or_default().push(address);
                (Call::Free { id: id(slot) }, domain, address)
            }
            2 if !live.is_empty() => {
                let (_, domain, slot) = live[pick];
                let address = place(&mut freed, class);
                live[pick].0 = address;
                assert_eq!(writer.realloc(from, domain, Some(slot), size, address).unwrap(), slot);
                (Call::Realloc { id: id(slot), newid: id(slot), size }, domain, address)
            }
            3 => {
                let address = place(&mut freed, class);
                let slot = writer.realloc(from, domain, None, size, address).unwrap();
                live.push((address, domain, slot));
                (Call::Realloc { id: 0, newid: id(slot), size }, domain, address)
            }
            4 => {
                let address = place(&mut freed, 9);
                let slot = writer.calloc(from, domain, (9, 16), address).unwrap();
                live.push((address, domain, slot));
                (Call::Calloc { id: id(slot), nelem: 9, elsize: 16 }, domain, address)
            }
            5 if draw.below(4) == 0 => {
                writer.free(from, domain, None).unwrap();
                (Call::Free { id: 0 }, domain, 0)
            }
            _ => {
                let address = place(&mut freed, class);
                let slot = writer.malloc(from, domain, size, address).unwrap();
                live.push((address, domain, slot));
                (Call::Malloc { id: id(slot), size }, domain, address)
            }
        };
        let op = Op { thread, domain: sim(domain), call };
        made.push(Made { op, address, stack: stacks[stack as usize].clone() });
    }
    writer.moment(u64::MAX, None);
    meta.facts.push(("ended".to_owned(), "well".to_owned()));
    writer.finish(&meta).unwrap();
    (out, made, meta)
}

#[track_caller]
fn check(trace: &Trace, made: &[Made]) {
    for (at, made) in made.iter().enumerate() {
        assert_eq!(trace.op(at as u64), Some(made.op), "call {at}");
        assert_eq!(trace.address_of(at), Some(Addr(made.address)).filter(|a| a.0 != 0), "address of {at}");
        let lines = trace.origin.stacks.lines(trace.stack_of(at));
        let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(lines, made.stack, "stack of {at}");
    }
}

fn read(bytes: &[u8]) -> Trace {
    let mut reader = AtraceReader::new("x");
    reader.feed(bytes).unwrap();
    reader.end().unwrap();
    std::mem::take(reader.builder_mut()).finish()
}

#[test]
fn calls_come_back_as_a_trace() {
    for (seed, calls, block) in
        [(1, 1, 64), (2, 700, 64), (3, 30_000, 512), (4, 5_000, 1), (5, 3_000, 1 << 16)]
    {
        let (bytes, made, meta) = record(seed, calls, block);
        let trace = read(&bytes);
        assert_eq!(trace.len(), calls);
        check(&trace, &made);
        assert_eq!((&trace.head.name, trace.origin.source.get("ended")), (&meta.name, Some("well")));
        assert_eq!(trace.origin.moments.last().map(|m| (m.at, m.time_ns)), Some((calls, u64::MAX)));
        // The index says the same as all operations.
        let mut file = AtraceFile::open("x", Cursor::new(&bytes)).unwrap();
        assert!(file.truncated().is_none() && file.intact().unwrap());
        let (summary, _) = file.summary().unwrap().unwrap();
        assert_eq!(summary.totals(), trace.totals());
        // From the middle.
        let states: Vec<_> =
            file.blocks().iter().filter(|e| e.kind == BlockKind::State).map(|e| e.first).collect();
        assert!(states.len() > 2 || seed != 3, "{states:?}");
        for state in states {
            file.seek(state).unwrap();
            let block = file.next_block().unwrap().unwrap();
            assert_eq!(block.first(), state);
            check(block, &made[state as usize..(state + block.len()) as usize]);
        }
    }
}

#[test]
fn a_process_that_dies_leaves_its_whole_blocks() {
    let (bytes, made, _) = record(8, 4_000, 256);
    for end in (20..bytes.len()).step_by(bytes.len() / 37) {
        let mut reader = AtraceReader::new("x");
        if reader.feed(&bytes[..end]).and_then(|()| reader.end()).is_ok() {
            let trace = std::mem::take(reader.builder_mut()).finish();
            assert!(trace.len().is_multiple_of(256) || trace.len() == 4_000);
            assert!(trace.origin.source.doubt.truncated.is_some());
            check(&trace, &made[..trace.len() as usize]);
        }
    }
}
