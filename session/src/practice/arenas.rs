//! Templates of the lessons on arenas, 7 to 9.

use trace_io::lesson::Show;

use super::asked::Asked;
use super::draft::{Build, Draft, calls};
use super::rule::Rule;
use crate::dice::Dice;

/// Arenas full of blocks of one size.
pub(super) struct Full {
    size: u64,
    /// Blocks of a pool.
    pub(super) each: u64,
    /// Pools of an arena.
    pub(super) pools: u64,
    pub(super) line: String,
}

impl Full {
    pub(super) fn new(dice: &mut Dice, build: &Build<'_>, arenas: u64) -> Self {
        let block = build.some_block(dice, 400, build.most);
        let size = build.request(dice, block);
        let line = format!("for i in range({arenas} * arena.pools * blocks({size})): x[i] = malloc({size})");
        Self { size, each: build.blocks(size), pools: build.pools(), line }
    }

    /// Frees a pool.
    fn pool(&self, dice: &mut Dice, arena: u64, pool: u64) -> String {
        let from = (arena * self.pools + pool) * self.each;
        range(dice, from, from + self.each)
    }

    /// Frees some pools of an arena, in a row.
    fn some(&self, dice: &mut Dice, arena: u64, from: u64, to: u64) -> String {
        let first = arena * self.pools * self.each;
        range(dice, first + from * self.each, first + to * self.each)
    }

    /// Frees a whole arena.
    fn arena(&self, dice: &mut Dice, arena: u64) -> String {
        self.some(dice, arena, 0, self.pools)
    }
}

/// Frees blocks, upwards or downwards.
fn range(dice: &mut Dice, from: u64, to: u64) -> String {
    if dice.within(0, 1) == 0 {
        format!("for i in range({from}, {to}): free(x[i])")
    } else {
        format!("for i in range({}, {}, -1): free(x[i])", to - 1, from.cast_signed() - 1)
    }
}

/// 7: which arena serves, and which pool of it.
pub(super) fn which_arena(dice: &mut Dice, level: u8, build: &Build<'_>) -> Option<Draft> {
    let arenas = dice.within(3, 4);
    let full = Full::new(dice, build, arenas);
    let most = (full.pools - 1).min(5);
    let mut counts: Vec<u64> = (1..=most).collect();
    dice.shuffle(&mut counts);
    let mut counts: Vec<u64> =
        (0..arenas)
            .map(|arena| {
                if level > 2 {
                    dice.within(1, most)
                } else {
                    counts.get(arena as usize).copied().unwrap_or(0)
                }
            })
            .collect();
    dice.shuffle(&mut counts);
    let fullest = (0..counts.len()).filter(|&arena| counts[arena] > 0).min_by_key(|&arena| counts[arena])?;
    // The lowest address would be right by chance.
    if level < 3 && fullest == 0 {
        return None;
    }
    let mut frees = Vec::new();
    for (arena, &count) in (0..arenas).zip(&counts) {
        let all: Vec<u64> = (0..full.pools).collect();
        for pool in dice.some(&all, count as usize) {
            frees.push(full.pool(dice, arena, pool));
        }
    }
    dice.shuffle(&mut frees);
    let kept = match level {
        1 => frees.len(),
        2 => frees.len().saturating_sub(dice.within(2, 4) as usize),
        _ => frees.len().saturating_sub(dice.within(5, 9) as usize),
    };
    let mut then = frees.split_off(kept);
    let mut lines = vec![full.line.clone()];
    lines.extend(frees);
    // Each of another class, so that each needs a pool.
    let count = match level {
        1 => 1,
        2 => dice.within(1, 2),
        _ => dice.within(3, 5),
    };
    let sizes = build.some_blocks(dice, count as usize, build.step, 256);
    for (index, &block) in sizes.iter().enumerate() {
        then.push(format!("n{} = malloc({})", index + 1, build.request(dice, block)));
    }
    let name = format!("n{}", sizes.len());
    let (each, arena) = (full.each, full.each * full.pools);
    let about = format!(
        "A pool holds {each} of these blocks, so `x[{each}]` is the first one of pool 1, and `x[{arena}]` that of arena 1. Next:"
    );
    let (text, asked) = match level {
        1 => (format!("{about} {}. Which arena gives the pool?", calls(&then)), Asked::Arena(name)),
        2 => (format!("{about} {}. Which pool does `{name}` lie in?", calls(&then)), Asked::Pool(name)),
        _ => (
            format!(
                "{about} {}. Number the pools through: an arena has {}, so pool 0 of arena 1 is pool {}. In which pool does `{name}` lie?",
                calls(&then),
                full.pools,
                full.pools
            ),
            Asked::PoolNumber(name),
        ),
    };
    let rules = [
        Rule::EmptiestArena,
        Rule::FirstFit,
        Rule::NewestArena,
        Rule::NeverReuse,
        Rule::KeepsClass,
        Rule::LastFit,
        Rule::OldestFirst,
    ];
    let needed = [Rule::EmptiestArena, Rule::FirstFit];
    let needed = if level < 3 { &needed[..] } else { &needed[..1] };
    Some(Draft::new(lines, then, text, asked).against(&rules).needs(needed).at(Show::ArenaList, "arena(0)"))
}

/// 8: does an arena go or stay?
pub(super) fn released(dice: &mut Dice, level: u8, build: &Build<'_>) -> Option<Draft> {
    let arenas = if level < 3 { dice.within(3, 4) } else { dice.within(5, 6) };
    let full = Full::new(dice, build, arenas);
    let mut order: Vec<u64> = (0..arenas).collect();
    dice.shuffle(&mut order);
    let mut lines = vec![full.line.clone()];
    let mut then = Vec::new();
    // A partner with some free pools, which may stand to the right of what becomes free.
    let partner = order.pop()?;
    let free = dice.within(0, full.pools - 1);
    if free > 0 {
        let from = dice.within(0, full.pools - free);
        lines.push(full.some(dice, partner, from, from + free));
    }
    if level == 1 {
        // Two neighbours in one go.
        let first = dice.within(0, arenas - 2);
        if [first, first + 1].contains(&partner) {
            return None;
        }
        let blocks = full.pools * full.each;
        then.push(range(dice, first * blocks, (first + 2) * blocks));
    } else {
        let whole = if level == 2 { dice.within(2, arenas - 1) } else { dice.within(3, arenas - 1) };
        for &arena in order.iter().take(whole as usize) {
            if dice.within(0, 2) == 0 {
                let part = dice.within(1, full.pools - 1);
                then.push(full.some(dice, arena, 0, part));
                then.push(full.some(dice, arena, part, full.pools));
            } else {
                then.push(full.arena(dice, arena));
            }
        }
        if level > 2 {
            for &arena in order.iter().skip(whole as usize) {
                let part = dice.within(1, full.pools - 1);
                then.insert(dice.within(0, then.len() as u64) as usize, full.some(dice, arena, 0, part));
            }
        }
    }
    let each = full.pools * full.each;
    let about = format!(
        "An arena holds {each} of these blocks of {} bytes, so `x[{each}]` is the first one of arena 1.",
        full.size
    );
    let (text, asked) = if level < 3 {
        (format!("{about} Next: {}. Which arenas are there afterwards?", calls(&then)), Asked::Arenas)
    } else {
        (
            format!(
                "{about} Next: {}. How many arenas have gone back to the system afterwards?",
                calls(&then)
            ),
            Asked::Released,
        )
    };
    let rules = [
        Rule::ReleaseWhenFree,
        Rule::NeverRelease,
        Rule::OtherGoes,
        Rule::BothGo,
        Rule::KeepsLast,
        Rule::MostlyFreeGoes,
        Rule::InProportion,
    ];
    let keep = if build.profile.keep_last_arena {
        "A wholly free arena goes back unless it is the last one in usable_arenas."
    } else {
        "This build gives every wholly free arena back."
    };
    Some(
        Draft::new(lines, then, text, asked)
            .against(&rules)
            .at(Show::ArenaList, "arena(0)")
            .why(keep.to_owned()),
    )
}

/// 9: what survivors hold.
pub(super) fn survivor(dice: &mut Dice, level: u8, build: &Build<'_>) -> Option<Draft> {
    let arenas = if level < 3 { dice.within(3, 5) } else { dice.within(5, 8) };
    let full = Full::new(dice, build, arenas);
    let each = full.pools * full.each;
    let all = arenas * each;
    // From a survivor in each few pools to one in several arenas, but none within a pool of an arena's border.
    let apart = match dice.within(0, 3) {
        0 => dice.within(full.each, each),
        _ => dice.within(each, each * 5 / 2),
    };
    let first = dice.within(0, apart - 1);
    let upto = dice.within(each / 2, all);
    let survivors: Vec<u64> = (first..upto).step_by(apart as usize).collect();
    let close = |block: &u64| (block % each).min(each - block % each) < full.each;
    if survivors.is_empty() || survivors.len() < 6 && survivors.iter().any(close) {
        return None;
    }
    let (program, then) = (
        vec![full.line.clone()],
        vec![format!(
            "for i in range({all}):\n    if i % {apart} != {first} or i >= {upto}:\n        free(x[i])"
        )],
    );
    let names: Vec<String> = survivors.iter().map(|block| format!("`x[{block}]`")).collect();
    let left = if survivors.len() < 6 {
        format!("all but {}", super::asked::and(&names))
    } else {
        format!("all but one block in {apart} of those before `x[{upto}]`, the first of them `x[{first}]`")
    };
    let about = format!(
        "An arena holds {each} of these blocks, so `x[{each}]` is the first one of arena 1. Next the program frees {left}, from the first block to the last."
    );
    let (text, asked) = if level == 2 {
        (format!("{about} Which arenas are there afterwards?"), Asked::Arenas)
    } else {
        (format!("{about} How many arenas have gone back to the system afterwards?"), Asked::Released)
    };
    let rules = [
        Rule::InProportion,
        Rule::MostlyFreeGoes,
        Rule::ReleaseWhenFree,
        Rule::NeverRelease,
        Rule::BothGo,
        Rule::KeepsLast,
        Rule::OtherGoes,
    ];
    let why = "A single block in use holds its whole arena, since blocks are never moved.";
    let draft = Draft::new(program, then, text, asked).against(&rules).needs(&[Rule::InProportion]);
    Some(draft.at(Show::Arenas, "").why(why.to_owned()))
}
