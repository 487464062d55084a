//! The template of the lesson on the statistics, 16.

use std::collections::BTreeMap;

use trace_io::lesson::Show;

use super::asked::Said;
use super::draft::{Blocks, Build, Draft, calls};
use crate::dice::Dice;

/// 16: one line of the text.
pub(super) fn stats(dice: &mut Dice, level: u8, build: &Build<'_>) -> Option<Draft> {
    let (pool, header) = (build.profile.pool_size, build.profile.pool_overhead());
    let kinds = dice.within(2, if level < 3 { 4 } else { 5 }) as usize;
    let sizes = build.some_blocks(dice, kinds + 1, build.step, build.most);
    let mut blocks = Blocks::default();
    // Requests of what lives, and how often each class had a block.
    let mut live: BTreeMap<String, u64> = BTreeMap::new();
    let mut touched: BTreeMap<u64, u64> = BTreeMap::new();
    let malloc = |dice: &mut Dice,
                  blocks: &mut Blocks,
                  live: &mut BTreeMap<String, u64>,
                  touched: &mut BTreeMap<u64, u64>,
                  block: u64| {
        let size = build.request(dice, block);
        let line = blocks.malloc(size, block);
        live.insert(blocks.last(), size);
        *touched.entry(block).or_default() += 1;
        line
    };
    let mut lines = Vec::new();
    // A pool that becomes empty again, beside those that stay.
    for &block in &sizes {
        for _ in 0..dice.within(1, 3) {
            lines.push(malloc(dice, &mut blocks, &mut live, &mut touched, block));
        }
    }
    let emptied = sizes[kinds];
    let gone: Vec<String> =
        blocks.live.iter().filter(|(_, block)| *block == emptied).map(|(name, _)| name.clone()).collect();
    blocks.live.retain(|(_, block)| *block != emptied);
    for name in gone {
        live.remove(&name);
        lines.push(format!("free({name})"));
    }
    let count = match level {
        1 => 1,
        2 => dice.within(3, 6),
        _ => dice.within(8, 12),
    };
    let mut then = Vec::new();
    for _ in 0..count {
        if blocks.live.len() > 2 && dice.within(0, 2) == 0 {
            let line = blocks.free(dice)?;
            live.remove(line.trim_start_matches("free(").trim_end_matches(')'));
            then.push(line);
        } else {
            let block = dice.pick(&sizes);
            then.push(malloc(dice, &mut blocks, &mut live, &mut touched, block));
        }
    }
    let mut used: BTreeMap<u64, u64> = BTreeMap::new();
    for (_, block) in &blocks.live {
        *used.entry(*block).or_default() += 1;
    }
    let sum =
        |what: &dyn Fn(u64, u64) -> u64| used.iter().map(|(&block, &count)| what(block, count)).sum::<u64>();
    let (pools, alive) = (used.len() as u64, blocks.live.len() as u64);
    let whole = build.pools();
    // Most pools that had blocks at once: an emptied one serves any class.
    let ever = touched.len() as u64;
    let class = *used.keys().nth(dice.within(0, pools - 1) as usize)?;
    let of_class = used[&class];
    let asks = dice.within(0, 5);
    let (line, formula, said) = match asks {
        0 => (
            "\"# bytes in allocated blocks\"".to_owned(),
            "stat(\"# bytes in allocated blocks\")".to_owned(),
            Said::Bytes,
        ),
        1 => (
            "\"# bytes in available blocks\"".to_owned(),
            "stat(\"# bytes in available blocks\")".to_owned(),
            Said::Bytes,
        ),
        2 => (
            "\"unused pools\", in bytes,".to_owned(),
            "stat(\"{pools.unused} unused pools\")".to_owned(),
            Said::Bytes,
        ),
        3 => (
            "\"# bytes lost to pool headers\"".to_owned(),
            "stat(\"# bytes lost to pool headers\")".to_owned(),
            Said::Bytes,
        ),
        4 => (
            "\"# bytes lost to quantization\"".to_owned(),
            "stat(\"# bytes lost to quantization\")".to_owned(),
            Said::Bytes,
        ),
        _ => (
            format!("the row of size {class} under \"avail blocks\""),
            format!("class_avail({class})"),
            Said::Plain,
        ),
    };
    let text = format!(
        "Next: {}. Which number does `sys._debugmallocstats()` print then in {}{line}?",
        calls(&then),
        if asks < 5 { "the line " } else { "" }
    );
    let mut draft = Draft::worth(lines, then, text, formula, said);
    let room = |block: u64| (pool - header) / block;
    draft = match asks {
        0 => {
            let requests: u64 = live.values().sum();
            let blocks = sum(&|block, count| block * count);
            // What differs in its rounding alone tells too little.
            let draft =
                if blocks - requests < 2 * build.step { draft } else { draft.m(17, requests.to_string()) };
            draft
                .that("whole pools count", (pools * pool).to_string())
                .that(
                    "freed blocks count as well",
                    touched.iter().map(|(block, count)| block * count).sum::<u64>().to_string(),
                )
                .that("headers of pools count as well", (blocks + pools * header).to_string())
                .that(
                    "a block is as long as a power of two",
                    sum(&|block, count| block.next_power_of_two() * count).to_string(),
                )
        }
        1 => draft
            .that("pools have no header", sum(&|block, count| (pool / block - count) * block).to_string())
            .that(
                "only blocks that were handed out before are available",
                touched
                    .iter()
                    .map(|(block, count)| block * (count - used.get(block).copied().unwrap_or(0)))
                    .sum::<u64>()
                    .to_string(),
            )
            .that("blocks in use count as well", sum(&|block, _| room(block) * block).to_string())
            .that(
                "what is lost at the end of a pool counts as well",
                sum(&|block, count| pool - header - count * block).to_string(),
            )
            .m(5, sum(&|block, count| ((4096 - header) / block).saturating_sub(count) * block).to_string()),
        2 => draft
            .that("emptied pools are not among them", ((whole - ever) * pool).to_string())
            .that("pools that were never used are not among them", ((ever - pools) * pool).to_string())
            .that("pools with room are among them", (whole * pool).to_string())
            .that("headers do not count", ((whole - pools) * (pool - header)).to_string())
            .m(5, ((build.profile.arena_size / 4096 - pools) * 4096).to_string())
            .that("each block has a pool", (whole.saturating_sub(alive) * pool).to_string()),
        3 => draft
            .that("emptied pools count as well", (ever * header).to_string())
            .that("all pools of the arena count", (whole * header).to_string())
            .that("each block has such a header", (alive * header).to_string())
            .that("headers hold no more than a few pointers", (pools * header / 2).to_string()),
        4 => draft
            .that(
                "rounding within blocks is meant",
                (sum(&|block, count| block * count) - live.values().sum::<u64>()).to_string(),
            )
            .that(
                "emptied pools count as well",
                touched.keys().map(|&block| (pool - header) % block).sum::<u64>().to_string(),
            )
            .that("pools have no header", sum(&|block, _| pool % block).to_string())
            .that(
                "the header is lost in it as well",
                sum(&|block, _| (pool - header) % block + header).to_string(),
            )
            .m(5, sum(&|block, _| (4096 - header) % block).to_string()),
        _ => draft
            .that(
                "only blocks that were handed out before are available",
                (touched[&class] - of_class).to_string(),
            )
            .that("blocks in use count as well", room(class).to_string())
            .that("pools have no header", (pool / class - of_class).to_string())
            .that("only the one that is linked ahead is available", "1".to_owned())
            .m(5, ((4096 - header) / class).saturating_sub(of_class).to_string()),
    };
    let why = match asks {
        0 => "Blocks are counted as they are cut, those in use alone.",
        1 => "Available are the free places of pools in use, whether they were ever handed out or not.",
        2 => {
            "Unused are pools without a block in use: those that were emptied and those that were never carved. Here {pools.unused} of {arena.pools}."
        }
        3 => "Each of the {arena.pools - pools.unused} pools in use has a header of {pool.header} bytes.",
        4 => "What is left at the end of a pool in use is too small for one more of its blocks.",
        _ => {
            "All places of pools in use count that have no live block, whether they were ever handed out or not."
        }
    };
    Some(draft.at(Show::Stats, "").why(why.to_owned()))
}
