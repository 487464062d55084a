//! Templates of the lessons on pools, 1 to 6.

use trace_io::lesson::Show;

use super::asked::Asked;
use super::draft::{Blocks, Build, Draft, calls};
use super::rule::Rule;
use crate::dice::Dice;

/// 1: where does X lie?
pub(super) fn first_block(dice: &mut Dice, level: u8, build: &Build<'_>) -> Option<Draft> {
    let classes = dice.within(1, 3) as usize;
    let sizes = build.some_blocks(dice, classes, build.step, 240);
    let (shown, asked) = match level {
        1 => (dice.within(2, 5), 1),
        2 => (dice.within(1, 3), 3),
        _ => (2, dice.within(8, 12)),
    };
    let mut blocks = Blocks::default();
    let mut lines = Vec::new();
    for _ in 0..shown + asked {
        let block = dice.pick(&sizes);
        let size = build.request(dice, block);
        lines.push(blocks.malloc(size, block));
    }
    let (name, block) = blocks.live.last()?.clone();
    // A block in a pool of its own lies behind the header, whatever anybody believes.
    if blocks.live.iter().filter(|(_, other)| *other == block).count() < 2 {
        return None;
    }
    let then = lines.split_off(shown as usize);
    let (text, place) = if level < 3 {
        (format!("Next: {}. Where will `{name}` begin?", calls(&then)), Asked::Spot(name))
    } else {
        let text = format!("Next: {}. How many bytes into its pool will `{name}` begin?", calls(&then));
        (text, Asked::OffsetInPool(name))
    };
    let draft = Draft::new(lines, then, text, place);
    Some(
        draft
            .against(&[
                Rule::ExactSize,
                Rule::PoolForEach,
                Rule::NoHeader,
                Rule::OtherSteps,
                Rule::PowersOfTwo,
            ])
            .needs(&[Rule::ExactSize])
            .at(Show::Blocks, "pool(a)"),
    )
}

/// 2: the class of a request, its block, its waste.
pub(super) fn classes(dice: &mut Dice, level: u8, build: &Build<'_>) -> Option<Draft> {
    if level == 2 {
        return Some(shares(dice, build));
    }
    if level > 2 {
        return Some(pools_in_use(dice, build));
    }
    let block = build.some_block(dice, 32, build.most);
    // Sizes that steps of 8 and of 16 round alike tell nothing.
    let size = block - build.step + dice.within(1, build.step.min(8));
    if (size - 1) % 16 >= 8 {
        return None;
    }
    let first = ("x".to_owned(), "y".to_owned());
    let (text, asked) = match dice.within(0, 2) {
        0 => ("How many bytes does the block have that it takes?", Asked::Block(first.0, first.1)),
        1 => ("Which size class is that, counted from 0?", Asked::Class(first.0, first.1)),
        _ => ("How many bytes of the block does nobody use?", Asked::Waste(first.0, first.1)),
    };
    let other = build.some_block(dice, build.step, build.most);
    let shown = build.request(dice, other);
    let then = vec![format!("x = malloc({size})"), format!("y = malloc({size})")];
    let text = format!("A request of {size} bytes comes, and a second one like it. {text}");
    let draft = Draft::new(vec![format!("w = malloc({shown})")], then, text, asked);
    Some(
        draft
            .against(&[Rule::ExactSize, Rule::OtherSteps, Rule::PowersOfTwo])
            .needs(&[Rule::ExactSize, Rule::OtherSteps])
            .at(Show::Classes, "")
            .why(format!(
                "Classes lie {} bytes apart: {size} bytes are rounded up to {}.",
                build.step,
                build.block(size)
            )),
    )
}

/// Which of some requests share a pool with one.
fn shares(dice: &mut Dice, build: &Build<'_>) -> Draft {
    let block = build.some_block(dice, 48, 480);
    let size = build.request(dice, block);
    let near = [
        size,
        size + 1,
        size.saturating_sub(1),
        block,
        block + 1,
        block - build.step,
        block - build.step + 1,
        size + 8,
        size.saturating_sub(8),
        block.next_power_of_two(),
    ];
    let mut blocks = Blocks::default();
    let count = dice.within(3, 5) as usize;
    let mut then: Vec<String> =
        dice.some(&near, count).into_iter().map(|size| blocks.malloc(size.clamp(1, build.most), 0)).collect();
    let others: Vec<String> = blocks.live.iter().map(|(name, _)| name.clone()).collect();
    then.push(format!("x = malloc({size})"));
    let text = format!("Next: {}. Which blocks lie in one pool with `x`?", calls(&then));
    let draft =
        Draft::new(vec!["w = malloc(24)".to_owned()], then, text, Asked::Shares("x".to_owned(), others));
    draft
        .against(&[Rule::ExactSize, Rule::OtherSteps, Rule::PowersOfTwo, Rule::PoolForEach])
        .needs(&[Rule::ExactSize])
        .at(Show::Classes, "")
        .why(format!(
            "Blocks of {} bytes hold requests of {} to {} bytes.",
            block,
            block - build.step + 1,
            block
        ))
}

/// How many pools some requests take.
fn pools_in_use(dice: &mut Dice, build: &Build<'_>) -> Draft {
    let mut blocks = Blocks::default();
    let then: Vec<String> = (0..dice.within(8, 15))
        .map(|_| {
            let near = dice.within(1, 12) * build.step.max(16);
            let edges = [near - 1, near, near + 1, near + 8, 257, 511, build.most, build.most + 1, 0];
            blocks.malloc(dice.pick(&edges), 0)
        })
        .collect();
    let text =
        format!("Next: {}. How many pools have blocks afterwards, that of `w` included?", calls(&then));
    let rules = [
        Rule::ExactSize,
        Rule::OtherSteps,
        Rule::PowersOfTwo,
        Rule::Limit(256),
        Rule::Limit(511),
        Rule::ZeroIsSmall,
        Rule::PoolForEach,
    ];
    let why = format!(
        "Each class with a block has a pool: classes lie {} bytes apart, up to {} bytes; 0 bytes and more than that are the C library's.",
        build.step, build.most
    );
    let draft = Draft::new(vec!["w = malloc(24)".to_owned()], then, text, Asked::Pools);
    draft.against(&rules).needs(&[Rule::ExactSize]).at(Show::Classes, "").why(why)
}

/// 3: the next place after frees.
pub(super) fn lifo(dice: &mut Dice, level: u8, build: &Build<'_>) -> Draft {
    let sizes = build.some_blocks(dice, if level < 3 { 1 } else { 2 }, build.step, 256);
    let mut blocks = Blocks::default();
    let shown = dice.within(4, 7) + if level < 3 { 0 } else { 3 };
    let mut lines: Vec<String> = Vec::new();
    for _ in 0..shown {
        let block = dice.pick(&sizes);
        let size = build.request(dice, block);
        lines.push(blocks.malloc(size, block));
    }
    let mut changes = Vec::new();
    let frees = if level < 3 { dice.within(2, 4) } else { dice.within(5, 7) };
    for free in 0..frees {
        changes.extend(blocks.free(dice));
        if level > 2 && free % 2 == 1 {
            let block = dice.pick(&sizes);
            let size = build.request(dice, block);
            changes.push(blocks.malloc(size, block));
        }
    }
    let extra = if level == 1 { 0 } else { dice.within(0, 1) };
    let mut last = Vec::new();
    for _ in 0..=extra {
        let block = dice.pick(&sizes);
        let size = build.request(dice, block);
        last.push(blocks.malloc(size, block));
    }
    let name = blocks.last();
    let then = if level == 1 {
        lines.extend(changes);
        last
    } else {
        changes.extend(last);
        changes
    };
    let (text, asked) = if level < 3 {
        (format!("Next: {}. Where will `{name}` begin?", calls(&then)), Asked::Spot(name))
    } else {
        let text = format!("Next: {}. How many bytes into its pool will `{name}` begin?", calls(&then));
        (text, Asked::OffsetInPool(name))
    };
    let rules = [Rule::FirstFit, Rule::OldestFirst, Rule::NeverReuse, Rule::LastFit, Rule::PoolForEach];
    Draft::new(lines, then, text, asked)
        .against(&rules)
        .needs(&[Rule::FirstFit, Rule::OldestFirst])
        .at(Show::Blocks, "pool(a)")
}

/// 4: how many blocks a pool holds, where the last one lies, the header after some calls.
pub(super) fn carving(dice: &mut Dice, level: u8, build: &Build<'_>) -> Option<Draft> {
    let block = build.some_block(dice, 32, build.most);
    let size = build.request(dice, block);
    let sizes = [Rule::ExactSize, Rule::OtherSteps, Rule::PowersOfTwo, Rule::NoHeader, Rule::PageIsPool];
    let kind = dice.within(0, 2);
    if level == 1 || level == 3 && kind < 2 {
        let other = build.some_block(dice, build.step, build.most);
        if other == block {
            return None;
        }
        let shown = build.request(dice, other);
        let then = vec![format!("for i in range(pool.size // {size} + 2): x[i] = malloc({size})")];
        let first = "x[0]".to_owned();
        let many = format!("Next the program asks for {size} bytes, again and again.");
        let (text, asked) = match (level, kind) {
            (1, _) => ("How many of the blocks does the first pool hold?", Asked::Capacity(first)),
            (_, 0) => {
                ("How many bytes into the first pool does its last block begin?", Asked::LastOffset(first))
            }
            // An answer of 0 is no answer to such a question.
            _ if (build.profile.pool_size - build.profile.pool_overhead()).is_multiple_of(block) => {
                return None;
            }
            _ => ("How many bytes at the end of the first pool can hold no block?", Asked::Lost(first)),
        };
        let draft = Draft::new(vec![format!("w = malloc({shown})")], then, format!("{many} {text}"), asked);
        let (room, header) = (build.profile.pool_size, build.profile.pool_overhead());
        return Some(draft.against(&sizes).at(Show::Blocks, "pool(w)").why(format!(
            "A pool of {room} bytes has a header of {header}; blocks of {block} go {} times into the rest.",
            build.blocks(size)
        )));
    }
    let mut blocks = Blocks::default();
    let mut lines = vec![blocks.malloc(size, block)];
    let second = build.some_block(dice, 32, build.most);
    let count = if level == 2 { dice.within(3, 6) } else { dice.within(8, 12) };
    let mut then = Vec::new();
    for index in 0..count {
        if level == 2 || index + 2 > count {
            let size = build.request(dice, block);
            then.push(blocks.malloc(size, block));
        } else if index % 3 == 2 {
            then.extend(blocks.free(dice));
        } else {
            let block = dice.pick(&[block, second]);
            let size = build.request(dice, block);
            then.push(blocks.malloc(size, block));
        }
    }
    let name = blocks.last();
    let linked = level > 2 && dice.within(0, 1) == 0;
    if level > 2 && dice.within(0, 1) == 0 {
        lines.push(format!("w = malloc({})", second.min(build.most)));
    }
    let (text, asked) = if linked {
        (format!("How many free blocks are linked in the pool of `{name}` afterwards?"), Asked::Linked(name))
    } else {
        (
            format!("What is `nextoffset` in the header of the pool of `{name}` afterwards?"),
            Asked::NextOffset(name),
        )
    };
    let text = format!("Next: {}. {text}", calls(&then));
    let draft = Draft::new(lines, then, text, asked)
        .against(&sizes)
        .against(&[Rule::LinksAll, Rule::LinksNone, Rule::NeverReuse])
        .against_all(&[Rule::LinksAll, Rule::PageIsPool])
        .against_all(&[Rule::LinksAll, Rule::ExactSize]);
    Some(draft.at(Show::Blocks, "pool(a)").why(
        "As long as there is room, one block more than was ever handed out is carved and linked.".to_owned(),
    ))
}

/// 5: which pool serves.
pub(super) fn full_pools(dice: &mut Dice, level: u8, build: &Build<'_>) -> Option<Draft> {
    let block = build.some_block(dice, 336, build.most);
    let size = build.request(dice, block);
    let each = build.blocks(size);
    let full = dice.within(3, 4);
    let over = dice.within(1, 3);
    let mut lines = vec![format!("for i in range({full} * blocks({size}) + {over}): x[i] = malloc({size})")];
    let mut left: Vec<u64> = (0..full * each + over).collect();
    let mut made = 0;
    let mut free = |dice: &mut Dice, pool: u64| {
        let there: Vec<u64> = left.iter().copied().filter(|block| block / each == pool).collect();
        // A pool that becomes empty is another lesson's.
        let block = (there.len() > 1).then(|| dice.pick(&there))?;
        left.retain(|&other| other != block);
        Some(format!("free(x[{block}])"))
    };
    let mut order: Vec<u64> = (0..=full).collect();
    dice.shuffle(&mut order);
    if order[0] == full {
        // Its pool stands on the list already; to free in it first changes nothing.
        order.swap(0, 1);
    }
    // The pool that is not full has few blocks, and must not become empty.
    order.retain(|&pool| pool != full || over > 1);
    let mut malloc = |dice: &mut Dice| {
        made += 1;
        format!("n{made} = malloc({})", build.request(dice, block))
    };
    let frees = dice.within(2, order.len() as u64 - u64::from(order.len() > 3));
    let mut then = Vec::new();
    match level {
        1 => {
            for &pool in order.iter().take(frees as usize) {
                lines.push(free(dice, pool)?);
            }
            if dice.within(0, 1) == 0 {
                lines.push(free(dice, order[0])?);
            }
            then.push(malloc(dice));
        }
        2 => {
            for &pool in order.iter().take(frees.min(3) as usize) {
                then.push(free(dice, pool)?);
            }
            for _ in 0..dice.within(1, 2) {
                then.push(malloc(dice));
            }
        }
        _ => {
            for round in 0..dice.within(4, 6) {
                let pool = dice.pick(&order);
                if pool != full || round == 0 {
                    then.push(free(dice, pool.min(full - 1))?);
                }
                if round % 2 == 1 {
                    then.push(malloc(dice));
                }
            }
            then.push(free(dice, order[0].min(full - 1))?);
            then.push(malloc(dice));
            then.push(malloc(dice));
        }
    }
    let name = format!("n{made}");
    let about =
        format!("A pool holds {each} of these blocks, so `x[{each}]` is the first one of pool 1. Next:");
    let (text, asked) = if level < 3 {
        (format!("{about} {}. Which pool gives `{name}` its block?", calls(&then)), Asked::Pool(name))
    } else {
        let text = format!("{about} {}. How many bytes into the arena will `{name}` begin?", calls(&then));
        (text, Asked::OffsetInArena(name))
    };
    let rules = [
        Rule::FirstFit,
        Rule::LastFit,
        Rule::BackOfTheList,
        Rule::NeverReuse,
        Rule::PoolForEach,
        Rule::MostRoom,
    ];
    Some(
        Draft::new(lines, then, text, asked)
            .against(&rules)
            .needs(&[Rule::FirstFit])
            .at(Show::Pools, "pool(x[0])"),
    )
}

/// 6: the place after a pool was emptied.
pub(super) fn emptied(dice: &mut Dice, level: u8, build: &Build<'_>) -> Draft {
    let sizes = build.some_blocks(dice, 4, build.step, 200);
    let kinds = dice.within(if level < 3 { 1 } else { 2 }, 3) as usize;
    let mut blocks = Blocks::default();
    let mut lines = Vec::new();
    if !build.profile.keep_last_arena {
        // Without it the arena would go with its last block.
        lines.push(format!("w = malloc({})", build.most));
    }
    for &block in sizes.iter().take(kinds) {
        for _ in 0..dice.within(2, if kinds == 1 { 5 } else { 3 }) {
            let size = build.request(dice, block);
            lines.push(blocks.malloc(size, block));
        }
    }
    let mut frees = Vec::new();
    while let Some(line) = blocks.free(dice) {
        frees.push(line);
    }
    let mut last = Vec::new();
    let count = match level {
        1 => 1,
        2 => dice.within(1, 2),
        _ => dice.within(3, 5),
    };
    for _ in 0..count {
        // One of the classes that the pools had, or another one.
        let block = sizes[dice.within(0, kinds as u64) as usize];
        let size = build.request(dice, block);
        last.push(blocks.malloc(size, block));
    }
    let name = blocks.last();
    // At level 2 so many frees are still to come that the pools are not empty in the picture.
    let shown = match level {
        1 => frees.len(),
        2 => frees.len().saturating_sub(dice.within(2, 4) as usize),
        _ => frees.len().saturating_sub(dice.within(5, 9) as usize),
    };
    let still = frees.split_off(shown);
    lines.extend(frees);
    let then: Vec<String> = still.into_iter().chain(last).collect();
    let (text, asked) = if level < 3 {
        (format!("Next: {}. Where will `{name}` begin?", calls(&then)), Asked::Spot(name))
    } else {
        let text = format!("Next: {}. How many bytes into the arena will `{name}` begin?", calls(&then));
        (text, Asked::OffsetInArena(name))
    };
    let rules = [
        Rule::FirstFit,
        Rule::StartsOver,
        Rule::KeepsClass,
        Rule::KeepsList,
        Rule::OldestFirst,
        Rule::NeverReuse,
        Rule::LastFit,
    ];
    Draft::new(lines, then, text, asked).against(&rules).needs(&[Rule::FirstFit]).at(Show::Pools, "arena(0)")
}
