//! Random traces of programs that break their heap: they free twice, keep pointers and write where they like.

use std::fmt::Write as _;
use std::io::Cursor;

use real_cpython::random::Random;
use sim_core::arena::region_base;
use sim_core::domains::AllocatorName;
use sim_core::{Profile, Trace};

/// A trace of `calls` calls of which some are not right. It has few classes, so that the heap gets to feel it.
pub(crate) fn broken(seed: u64, calls: u64, malloc: AllocatorName, profile: &Profile) -> Trace {
    let mut random = Random(seed);
    let word = u64::from(profile.pointer_bytes);
    // With debug hooks all of them still are pymalloc's.
    let largest = if malloc.is_debug() { 400 } else { 512 };
    let classes = [profile.alignment, 3 * profile.alignment, 112, largest];
    let mut text = format!("#! malloc={}\n", malloc.name());
    let (mut live, mut kept, mut next) = (Vec::new(), Vec::new(), 1_u64);
    // How often rules are broken differs, so that some traces go far.
    let rare = random.pick(&[4, 20, 60]);
    // Writing to a String cannot fail.
    for _ in 0..calls {
        match random.below(20) {
            0..9 => {
                let size = random.pick(&classes) - random.below(4);
                let calloc = if random.below(4) == 0 { "c o" } else { "m o" };
                let count = if calloc == "c o" { "1 " } else { "" };
                let _ = writeln!(text, "{calloc} {next} {count}{size}");
                live.push(next);
                next += 1;
            }
            9..16 if !live.is_empty() => {
                let at = random.below(live.len() as u64) as usize;
                let id = live.swap_remove(at);
                let keeps = random.below(4) == 0;
                let _ = writeln!(text, "{} o {id}", if keeps { "k" } else { "f" });
                if keeps {
                    kept.push(id);
                }
            }
            16..18 if !live.is_empty() => {
                let at = random.below(live.len() as u64) as usize;
                let _ = writeln!(text, "r o {} {next} {}", live[at], random.pick(&classes));
                live[at] = next;
                next += 1;
            }
            18.. if !kept.is_empty() && random.below(rare) == 0 => {
                let at = random.below(kept.len() as u64) as usize;
                match random.below(4) {
                    0 => {
                        let _ = writeln!(text, "f o {}", kept.swap_remove(at));
                    }
                    1 => {
                        let _ =
                            writeln!(text, "r o {} {next} {}", kept.swap_remove(at), random.pick(&classes));
                        live.push(next);
                        next += 1;
                    }
                    _ => {
                        let value = match random.below(6) {
                            0 => 0,
                            1 => 0x4030,
                            2 => region_base(profile).0 + random.below(4096),
                            _ => region_base(profile).0 + profile.alignment * random.below(3 * 1024),
                        };
                        let bytes = hex(value, word);
                        let _ = writeln!(text, "x poke {} 0 {bytes}", kept[at]);
                    }
                }
            }
            18.. if !live.is_empty() && random.below(2 * rare) == 0 => {
                // The first blocks of pools have a header in front of them; to others it is what lies in front of them. Left
                // out are an arenaindex beyond the records, a szidx beyond the classes and a nextoffset within the header,
                // with which the C program itself has no meaning.
                let id = random.pick(&live);
                let hooks = if malloc.is_debug() { 2 * word } else { 0 };
                let small = [0, 1, 2, 9];
                let (field, value, bytes) = match random.below(6) {
                    0 => (0, random.pick(&[0, 1, 2, 9, 48]), 4),
                    // To the second block of a pool these are its arenaindex and szidx.
                    1 => (random.pick(&[2 * word, 3 * word]), 0x3_0000_0009, word),
                    2 => (4 * word, random.pick(&small), 4),
                    3 => (4 * word + 4, random.pick(&small), 4),
                    4 => (4 * word + 8, random.pick(&[profile.pool_overhead(), 256, 2048, 4000]), 4),
                    _ => (4 * word + 12, random.pick(&[0, 256, 2048, 4000]), 4),
                };
                let back = profile.pool_overhead() - field + hooks;
                let _ = writeln!(text, "x poke {id} -{back} {}", hex(value, bytes));
            }
            _ => {}
        }
    }
    trace_io::open("broken.ptrace", Box::new(Cursor::new(text))).unwrap()
}

fn hex(value: u64, bytes: u64) -> String {
    value.to_le_bytes().iter().take(bytes as usize).fold(String::new(), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
