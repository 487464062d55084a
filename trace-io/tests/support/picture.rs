//! Traces that begin with the picture of a process, made up.

use std::sync::Arc;

use sim_core::picture::{
    BlockColumns, Cause, ChunkRow, ChunkState, Finding, HeapPicture, Inventory, MappingRow, PartRow,
    PictureSource, PoolMemory, ProcessPicture, TypeRow,
};
use sim_core::{Addr, Call, Domain, Machine, Op, Profile, Trace, TraceBuilder};

use super::support::Draw;

/// A heap with holes, as a program leaves it that does so many calls.
pub(crate) fn heap(profile: &Profile, seed: u64, calls: u64) -> HeapPicture {
    let mut draw = Draw(seed);
    let mut tape = TraceBuilder::new("before");
    pattern(&mut tape, &mut draw, Vec::new(), calls);
    let trace = tape.finish();
    let mut machine = Machine::simulated(profile, trace.slot_count()).unwrap();
    machine.run(&trace, 0, trace.len() as usize);
    machine.heap_picture().unwrap()
}

/// Calls on blocks of 1 to 512 bytes, some of them on those that are there.
pub(crate) fn pattern(tape: &mut TraceBuilder, draw: &mut Draw, mut live: Vec<u64>, calls: u64) {
    let mut next = live.len() as u64 + 1;
    for at in 0..calls {
        let grows = if (at * 4 / calls).is_multiple_of(2) { 70 } else { 30 };
        let (chance, size) = (draw.below(100), 1 + draw.below(512));
        let call = if live.is_empty() || chance < grows {
            live.push(next);
            next += 1;
            Call::Malloc { id: next - 1, size }
        } else {
            let at = draw.below(live.len() as u64) as usize;
            if chance.is_multiple_of(4) {
                Call::Realloc { id: live[at], newid: live[at], size }
            } else {
                Call::Free { id: live.swap_remove(at) }
            }
        };
        tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
    }
}

/// Two heaps, and something in every column and table.
pub(crate) fn process(profile: &Profile, calls: u64) -> ProcessPicture {
    let heaps: Vec<HeapPicture> = (1..=2).map(|seed| heap(profile, seed, calls)).collect();
    let blocks: u64 = heaps.iter().map(HeapPicture::blocks).sum();
    let column = |most: u32| (0..blocks as u32).map(|block| block % (most + 1)).collect::<Vec<u32>>();
    let text = |n: usize| format!("module.Name{n} \u{1b}]0;x\u{7}<script>é");
    let mut heaps = heaps;
    heaps[0].later_arenas = vec![Addr(0x7f00_0000_0000), Addr(0x7eff_fff0_3000)];
    ProcessPicture {
        heaps,
        inventory: Inventory {
            source: PictureSource {
                python: "3.14.2".to_owned(),
                pid: 4711,
                core: "core.17".to_owned(),
                taken_s: 1_800_000_000,
                pause_us: 12_345,
                resident_bytes: 1 << 33,
                approximate: true,
                contents: true,
            },
            types: (0..7)
                .map(|n| TypeRow {
                    name: text(n),
                    address: 0x7f00_0000_1000 + 416 * n as u64,
                    basicsize: 16 * n as u64,
                    flags: u64::MAX >> n,
                })
                .collect(),
            blocks: BlockColumns {
                types: column(7),
                owners: column(3),
                paths: column(2),
                flags: (0..blocks).map(|block| (block % 4) as u8).collect(),
            },
            owners: (0..3).map(text).collect(),
            paths: vec![String::new(), "m.CACHE['a'][*]".to_owned()],
            mappings: vec![
                MappingRow {
                    lo: 4096,
                    hi: 8192,
                    permissions: 5,
                    name: "python3.14".to_owned(),
                    resident_bytes: 4096,
                    private_bytes: 0,
                },
                MappingRow { lo: 1 << 46, hi: u64::MAX, permissions: 11, ..MappingRow::default() },
            ],
            parts: vec![PartRow { name: text(9), bytes: u64::MAX }, PartRow::default()],
            findings: vec![
                Finding { cause: Cause::Objects, bytes: 1 },
                Finding { cause: Cause::CLibraryFree, bytes: u64::MAX },
            ],
            pool_memory: vec![
                PoolMemory { resident_bytes: u32::MAX, private_bytes: 4096 },
                PoolMemory::default(),
            ],
            edges: (0..blocks as u32)
                .map(|block| (block, block / 2))
                .chain([(3, blocks as u32 + 1)])
                .collect(),
            chunks: vec![
                ChunkRow {
                    address: 0x5555_0000_0010,
                    bytes: 1000,
                    type_number: 7,
                    owner: 3,
                    path: 2,
                    state: ChunkState::Mapped,
                    flags: 1,
                },
                ChunkRow {
                    address: 0x5555_0001_0010,
                    bytes: 24,
                    state: ChunkState::Top,
                    ..ChunkRow::default()
                },
            ],
        },
    }
}

/// A trace that begins with it and goes on for so many calls.
pub(crate) fn begun(profile: &Profile, picture: ProcessPicture, calls: u64) -> Trace {
    let mut tape = TraceBuilder::new("begun in mid-life");
    let blocks = picture.main_blocks();
    tape.begin_with(Arc::new(picture)).unwrap();
    tape.trace_mut().head.profile = Some(profile.name.clone());
    pattern(&mut tape, &mut Draw(9), (1..=blocks).collect(), calls);
    tape.finish()
}
