//! Templates of the lessons on requests that leave the pools and on realloc, 10 and 11.

use trace_io::lesson::Show;

use super::asked::Asked;
use super::draft::{Blocks, Build, Draft, calls, letter};
use super::rule::Rule;
use crate::dice::Dice;

/// 10: pool, C library, or nothing; what is counted.
pub(super) fn library(dice: &mut Dice, level: u8, build: &Build<'_>) -> Draft {
    let most = build.most;
    let edges = [0, 0, 1, 100, 255, 256, 257, 300, 400, most - 1, most, most, most + 1, most + 2, 600, 1000];
    let mut blocks = Blocks::default();
    let mut lines = vec![blocks.malloc(dice.within(1, 200), 0)];
    if level > 1 {
        lines.push(blocks.malloc(dice.pick(&[most + 1, 600, 900]), 0));
        lines.push(blocks.malloc(dice.pick(&[257, 400, most]), 0));
    }
    let mut then = Vec::new();
    let count = match level {
        1 => dice.within(3, 4),
        2 => dice.within(4, 6),
        _ => dice.within(8, 15),
    };
    for index in 0..count {
        let roll = if level == 1 { 0 } else { dice.within(0, 9) };
        let many = blocks.live.len();
        match roll {
            0..=5 => then.push(blocks.malloc(dice.pick(&edges), 0)),
            6 | 7 if index > 0 => {
                let (name, _) = blocks.live[dice.within(0, many as u64 - 1) as usize].clone();
                then.push(format!(
                    "{name} = realloc({name}, {})",
                    dice.pick(&[10, 200, 300, most, most + 1, 700])
                ));
            }
            8 if many > 2 => then.extend(blocks.free(dice)),
            _ if level > 2 => {
                let line = blocks.malloc(dice.pick(&[40, 600, most]), 0);
                then.push(line.replace(')', ", raw)"));
            }
            _ => then.push(blocks.malloc(dice.pick(&edges), 0)),
        }
    }
    let rules = [Rule::Limit(511), Rule::Limit(256), Rule::ZeroIsSmall, Rule::ZeroIsNull, Rule::RawComesBack];
    let why = format!(
        "Requests of 1 to {most} bytes come from pools, 0 and more go on to the C library; a block that is there stays there."
    );
    if level > 2 {
        let why = format!(
            "{why} Only what pymalloc passes on is counted, as long as it lives: no direct call of RAW."
        );
        let text = format!("Next: {}. What is `raw_allocated_blocks` afterwards?", calls(&then));
        return Draft::new(lines, then, text, Asked::RawBlocks)
            .against(&rules)
            .against(&[Rule::CountsRawDomain, Rule::CountsFreed])
            .at(Show::Stats, "")
            .why(why);
    }
    let names: Vec<String> = blocks.live.iter().map(|(name, _)| name.clone()).collect();
    let asked: Vec<String> = if level == 1 { names.into_iter().skip(1).collect() } else { names };
    let listed: Vec<String> = asked.iter().map(|name| format!("`{name}`")).collect();
    let text = format!(
        "Next: {}. Which of {} lie in the C library's memory afterwards?",
        calls(&then),
        super::asked::and(&listed)
    );
    Draft::new(lines, then, text, Asked::ToLibrary(asked))
        .against(&rules)
        .against_all(&[Rule::Limit(511), Rule::ZeroIsSmall])
        .against_all(&[Rule::Limit(256), Rule::ZeroIsSmall])
        .at(Show::Narration, "")
        .why(why)
}

/// 11: stay or move, and where to.
pub(super) fn realloc(dice: &mut Dice, level: u8, build: &Build<'_>) -> Draft {
    let block = build.some_block(dice, 64, if level > 2 { 400 } else { build.most });
    let old = build.request(dice, block);
    let mut lines = Vec::new();
    let before = dice.within(1, 4);
    let behind = dice.within(1, 3);
    let smaller = build.block(block * 3 / 4);
    let mut kin = Vec::new();
    for index in 0..before + 1 + behind {
        if index == before {
            lines.push(format!("x = malloc({old})"));
        } else {
            let other = dice.pick(&[block, block, smaller, smaller, block + build.step]).min(build.most);
            let name = letter(index as usize);
            lines.push(format!("{name} = malloc({})", build.request(dice, other)));
            kin.push(name);
        }
    }
    for name in dice.some(&kin, dice.clone().within(1, kin.len() as u64) as usize) {
        lines.push(format!("free({name})"));
        kin.retain(|other| *other != name);
    }
    // The sizes at which it is decided.
    let near = |dice: &mut Dice, block: u64| {
        let quarters = block * 3 / 4;
        let edges = [
            quarters - 2,
            quarters - 1,
            quarters,
            quarters + 1,
            quarters + 2,
            block,
            block + 1,
            block - 1,
            block - build.step,
        ];
        dice.pick(&edges)
    };
    let mut then = Vec::new();
    let count = match level {
        1 => 1,
        2 => dice.within(3, 6),
        _ => dice.within(8, 15),
    };
    let mut now = block;
    let mut gone = false;
    let mut made = 0;
    for index in 0..count {
        if level > 1 && index + 1 < count && dice.within(0, 3) == 0 {
            if let Some(name) = kin.pop() {
                then.push(format!("free({name})"));
                continue;
            }
            made += 1;
            then.push(format!("m{made} = malloc({})", build.request(dice, now.min(build.most))));
            continue;
        }
        let leaves = level < 3 && dice.within(0, 11) == 0;
        let size =
            if leaves { build.most + dice.within(1, 100) } else { near(dice, now).min(build.most).max(1) };
        then.push(format!("x = realloc(x, {size})"));
        gone |= size > build.most;
        if 4 * size <= 3 * now || size > now {
            now = build.block(size.min(build.most));
        }
    }
    let name = "x".to_owned();
    let (text, asked) = match level {
        1 => (format!("Next: {}. Where does `x` lie afterwards?", calls(&then)), Asked::Moves(name)),
        2 => (format!("Next: {}. Where does `x` lie afterwards?", calls(&then)), Asked::Spot(name)),
        _ => (
            format!("Next: {}. How many bytes into the arena does `x` begin afterwards?", calls(&then)),
            Asked::OffsetInArena(name),
        ),
    };
    let draft = Draft::new(lines, then, text, asked)
        .against(&[
            Rule::StaysIfFits,
            Rule::StaysAtThreeQuarters,
            Rule::AlwaysMoves,
            Rule::FreesFirst,
            Rule::RawComesBack,
            Rule::FirstFit,
            Rule::OldestFirst,
            Rule::NeverReuse,
        ])
        .against_all(&[Rule::AlwaysMoves, Rule::FirstFit])
        .against_all(&[Rule::AlwaysMoves, Rule::NeverReuse])
        .against_all(&[Rule::AlwaysMoves, Rule::PoolForEach]);
    let why = if gone {
        "A block that has gone to the C library stays there, however small it becomes."
    } else {
        "It stays where the new size fits into its block and takes more than three quarters of it."
    };
    draft.at(Show::Blocks, "pool(x)").why(why.to_owned())
}
