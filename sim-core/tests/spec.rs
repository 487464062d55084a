//! Tables and worked examples of obmalloc, as observed on the real one.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use sim_core::arena::{ArenaBackend as _, SimArenas, Target};
use sim_core::report::debugmallocstats;
use sim_core::{Call, Domain, Machine, Op, Profile, ProfileError, SizeClass, TraceBuilder};

/// `size:blocks/lost` of every class that the table names.
#[track_caller]
fn check_table(profile: &str, table: &str) {
    let profile = Profile::named(profile).unwrap();
    for entry in table.split_whitespace() {
        let (size, rest) = entry.split_once(':').unwrap();
        let (blocks, lost) = rest.split_once('/').unwrap();
        let class = SizeClass((size.parse::<u64>().unwrap() / profile.alignment - 1) as u16);
        assert_eq!(profile.block_size(class).to_string(), size);
        assert_eq!(profile.num_blocks(class).to_string(), blocks, "blocks of {size} bytes");
        assert_eq!(profile.quantization_bytes(class).to_string(), lost, "bytes lost with {size}");
    }
}

#[test]
fn pools_hold_as_many_blocks_as_in_cpython() {
    check_table(
        "cpython-3.14",
        "16:1021/0 32:510/16 48:340/16 64:255/16 80:204/16 96:170/16 112:145/96 128:127/80 144:113/64 160:102/16 \
         176:92/144 192:85/16 208:78/112 224:72/208 240:68/16 256:63/208 272:60/16 288:56/208 304:53/224 320:51/16 \
         336:48/208 352:46/144 368:44/144 384:42/208 400:40/336 416:39/112 432:37/352 448:36/208 464:35/96 480:34/16 \
         496:32/464 512:31/464",
    );
    check_table(
        "cpython-3.9",
        "16:253/0 32:126/16 48:84/16 64:63/16 80:50/48 96:42/16 112:36/16 128:31/80 256:15/208 400:10/48 512:7/464",
    );
    check_table(
        "cpython-32bit",
        "8:508/0 16:254/0 24:169/8 32:127/0 40:101/24 48:84/32 64:63/32 128:31/96 256:15/224 504:8/32 512:7/480",
    );
}

#[test]
fn radix_tree_has_cpythons_sizes() {
    let sizes = |name: &str| {
        let profile = Profile::named(name).unwrap();
        let machine = Machine::simulated(&profile, 0).unwrap();
        (profile.radix_bits(), machine.pymalloc().arena_map().node_bytes())
    };
    assert_eq!(sizes("cpython-3.14"), ((15, 15, 14), (262_144, 262_144, 131_072)));
    assert_eq!(sizes("cpython-3.15-hugepages"), ((15, 15, 13), (262_144, 262_144, 65_536)));
    assert_eq!(sizes("cpython-32bit").0, (0, 0, 14));
    assert_eq!(sizes("cpython-32bit").1.0, 131_072);
    assert_eq!(sizes("cpython-3.10").1.0, 8_192);
}

/// Runs lines such as `m 1 16`, `r 1 25`, `f 1` in OBJ on the default profile and compares where each
/// allocation or realloc landed, as offsets from the first arena's base.
struct Script {
    tape: TraceBuilder,
    done: usize,
    machine: Machine,
}

impl Script {
    fn new(sets: &[(&str, &str)]) -> Self {
        let mut profile = Profile::default();
        for (key, value) in sets {
            profile.set(key, value).unwrap();
        }
        Self {
            tape: TraceBuilder::new("script"),
            done: 0,
            machine: Machine::simulated(&profile, 8192).unwrap(),
        }
    }

    /// Offset from 0x7e0000000000 where the call landed; `None` for the C library, NULL and free.
    fn call(&mut self, call: Call) -> Option<u64> {
        self.tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
        let packed = self.tape.trace_mut().packed(self.done);
        self.done += 1;
        let ptr = self.machine.apply(packed, &mut ());
        self.machine.verify().unwrap();
        match SimArenas::target(ptr) {
            Target::Block(b) => Some(self.machine.pymalloc().memory().block_addr(b).0 - 0x7e00_0000_0000),
            _ => None,
        }
    }

    fn malloc(&mut self, id: u64, size: u64) -> Option<u64> {
        self.call(Call::Malloc { id, size })
    }

    fn realloc(&mut self, id: u64, size: u64) -> Option<u64> {
        self.call(Call::Realloc { id, newid: id, size })
    }

    fn free(&mut self, ids: impl IntoIterator<Item = u64>) {
        for id in ids {
            self.call(Call::Free { id });
        }
    }
}

#[test]
fn basic_sequence() {
    let mut s = Script::new(&[]);
    assert_eq!(s.malloc(1, 1), Some(0x30));
    assert_eq!(s.malloc(2, 16), Some(0x40));
    assert_eq!(s.malloc(3, 17), Some(0x4030));
    assert_eq!(s.malloc(4, 512), Some(0x8030));
    assert_eq!(s.malloc(5, 512), Some(0x8230));
    s.free([2, 1]);
    assert_eq!(s.malloc(6, 10), Some(0x30));
    assert_eq!(s.malloc(7, 10), Some(0x40));
    assert_eq!(s.malloc(8, 0), None);
    assert_eq!(s.malloc(9, 513), None);
    assert_eq!(s.realloc(3, 25), Some(0x4030));
    assert_eq!(s.realloc(3, 24), Some(0x4050));
    assert_eq!(s.realloc(3, 33), Some(0xc030));
    s.free([4, 5]);
    assert_eq!(s.malloc(10, 500), Some(0x8230));
    assert_eq!(s.malloc(11, 40), Some(0xc060));
    s.free([10]);
    assert_eq!(s.malloc(12, 100), Some(0x8030));
    let text = debugmallocstats(s.machine.pymalloc());
    assert!(text.contains("    2     48           1               2           338\n"), "{text}");
    assert!(text.contains("61 unused pools * 16384 bytes      =              999,424\n"), "{text}");
    assert!(text.ends_with("Total                              =              655,360\n"), "{text}");
}

#[test]
fn a_pool_that_was_full_goes_to_the_front() {
    let mut s = Script::new(&[]);
    for id in 0..63 {
        s.malloc(id + 1, 512);
    }
    s.free([6, 41]);
    assert_eq!(
        [s.malloc(101, 512), s.malloc(102, 512), s.malloc(103, 512)],
        [Some(0x5230), Some(0xa30), Some(0x8230)]
    );
}

#[test]
fn a_misaligned_arena_loses_a_pool() {
    let mut s = Script::new(&[("arena_placement", "page")]);
    assert_eq!(s.malloc(1, 16), Some(0x4030));
    let text = debugmallocstats(s.machine.pymalloc());
    assert!(text.contains("62 unused pools"), "{text}");
    assert!(text.contains("# bytes lost to arena alignment    =               16,384"), "{text}");
}

#[test]
fn ties_in_usable_arenas_follow_nfp2lasta() {
    let mut s = Script::new(&[]);
    let mut id = 0;
    for _ in 0..3 * 64 * 31 {
        id += 1;
        s.malloc(id, 512);
    }
    let pool = |arena: u64, pool: u64| {
        let first = (arena * 64 + pool) * 31 + 1;
        first..first + 31
    };
    for (arena, n) in [(0, 0), (0, 1), (1, 0), (2, 0), (2, 1)] {
        s.free(pool(arena, n));
    }
    let got: Vec<_> = [16, 32, 48, 64, 80, 96]
        .into_iter()
        .map(|size| {
            id += 1;
            s.malloc(id, size).unwrap()
        })
        .collect();
    assert_eq!(got, [0x10_0030, 0x20_4030, 0x20_0030, 0x4030, 0x30, 0x30_0030]);
}

#[test]
fn impossible_profiles_are_refused_with_the_reason() {
    for (key, value, why) in [
        ("arena_size", "1000000", "power of two"),
        ("arena_size", "32K", "four pools"),
        ("pool_size", "1K", "two blocks"),
        ("alignment", "4", "pointer"),
        ("small_request_threshold", "500", "multiple"),
        ("small_request_threshold", "0", "multiple"),
        ("pointer_bytes", "2", "8 or 4"),
        ("address_bits", "32", "64-bit"),
        ("ownership", "arenaindex", "system page"),
        ("pool_size", "2M", "65536"),
    ] {
        let mut profile = Profile::default();
        profile.set(key, value).unwrap();
        let error = profile.validate().unwrap_err();
        assert!(error.to_string().contains(why), "{key}={value}: {error}");
    }
    let mut profile = Profile::default();
    assert!(matches!(profile.set("arena_sise", "1M"), Err(ProfileError::UnknownKey { .. })));
    assert!(matches!(profile.set("arena_size", "99999999999G"), Err(ProfileError::BadValue { .. })));
    assert!(matches!(Profile::named("cpython-2.7"), Err(ProfileError::UnknownProfile { .. })));
}

#[test]
fn arenas_of_any_size_run() {
    for arena in ["64K", "256K", "2M", "16M"] {
        let mut s = Script::new(&[("arena_size", arena)]);
        for id in 1..4000 {
            assert!(s.tape.len() < 10_000);
            s.tape.push(Op { thread: 0, domain: Domain::Obj, call: Call::Malloc { id, size: 512 } }).unwrap();
            let packed = s.tape.trace_mut().packed(s.done);
            s.done += 1;
            s.machine.apply(packed, &mut ());
        }
        s.machine.verify().unwrap();
    }
}
