//! The pymalloc block of `sys._debugmallocstats()`, byte for byte (`_PyObject_DebugMallocStats`).

use std::fmt::Write as _;

use super::Occupancy;
use crate::arena::ArenaBackend;
use crate::pymalloc::Pymalloc;

/// The text that `_PyObject_DebugMallocStats` prints in this state.
pub fn debugmallocstats<A: ArenaBackend>(pymalloc: &Pymalloc<A>) -> String {
    let profile = pymalloc.profile();
    let use_ = Occupancy::of(pymalloc);
    let counters = pymalloc.counters();
    let mut out = format!(
        "Small block threshold = {}, in {} size classes.\n\n\
         class   size   num pools   blocks in use  avail blocks\n\
         -----   ----   ---------   -------------  ------------\n",
        profile.small_request_threshold,
        profile.nb_small_size_classes()
    );
    for c in use_.classes.iter().filter(|c| c.pools > 0) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:>5} {:>6} {:>11} {:>15} {:>13}",
            c.class.0, c.block_size, c.pools, c.blocks, c.avail
        );
    }
    out.push('\n');
    row(&mut out, "# arenas allocated total", counters.ntimes_arena_allocated);
    row(&mut out, "# arenas reclaimed", counters.ntimes_arena_allocated - use_.arenas);
    row(&mut out, "# arenas highwater mark", counters.narenas_highwater);
    row(&mut out, "# arenas allocated current", use_.arenas);
    let held = use_.arenas * profile.arena_size;
    row(&mut out, &format!("{} arenas * {} bytes/arena", use_.arenas, profile.arena_size), held);
    out.push('\n');

    let unused_bytes = use_.unused_pools * profile.pool_size;
    row(&mut out, "# bytes in allocated blocks", use_.allocated_bytes);
    row(&mut out, "# bytes in available blocks", use_.available_bytes);
    row(&mut out, &format!("{} unused pools * {} bytes", use_.unused_pools, profile.pool_size), unused_bytes);
    row(&mut out, "# bytes lost to pool headers", use_.header_bytes);
    row(&mut out, "# bytes lost to quantization", use_.quantization_bytes);
    row(&mut out, "# bytes lost to arena alignment", use_.alignment_bytes);
    row(&mut out, "Total", use_.total_bytes(profile));
    arena_map_rows(&mut out, pymalloc);
    out
}

fn arena_map_rows<A: ArenaBackend>(out: &mut String, pymalloc: &Pymalloc<A>) {
    let map = pymalloc.arena_map();
    if !map.enabled() {
        return;
    }
    let (root, mid, bot) = map.node_bytes();
    let (mids, bots) = map.node_counts();
    out.push_str("\narena map counts\n");
    if !map.single_level() {
        row(out, "# arena map mid nodes", mids);
        row(out, "# arena map bot nodes", bots);
        out.push('\n');
    }
    row(out, "# bytes lost to arena map root", root);
    if !map.single_level() {
        row(out, "# bytes lost to arena map mid", mid * mids);
        row(out, "# bytes lost to arena map bot", bot * bots);
        row(out, "Total", root + mid * mids + bot * bots);
    }
}

/// `printone`: the message padded to 35 columns, then the value with separators in 21.
fn row(out: &mut String, message: &str, value: u64) {
    let _ = writeln!(out, "{message:<35}={:>21}", grouped(value));
}

/// A number in decimal with a comma before each group of three digits.
pub fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
