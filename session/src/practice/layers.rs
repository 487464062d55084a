//! Templates of the lessons on what stands around pymalloc, 12 to 14: whose a pointer is, the domains' tables, the debug hooks.

use std::collections::BTreeSet;

use trace_io::lesson::Show;

use super::asked::Said;
use super::draft::{Blocks, Build, Draft, calls, count_of, letter};
use crate::dice::Dice;

/// 12: own or foreign; the pools of an arena.
pub(super) fn whose(dice: &mut Dice, level: u8, build: &Build<'_>) -> Option<Draft> {
    let place = |draft: Draft, page: bool| if page { draft.set("arena_placement", "page") } else { draft };
    let page = dice.within(0, 2) > 0;
    // Only a run with layers gives the C library's blocks an address.
    let mut lines = vec!["stack(\"app.py:1\")".to_owned()];
    let mut blocks = Blocks::default();
    let sizes = build.some_blocks(dice, 4, build.step, 320);
    let kinds = dice.within(2, 4) as usize;
    let count = dice.within(kinds as u64 + 1, if level < 3 { 6 } else { 8 });
    let mut classes: Vec<u64> = sizes[..kinds].to_vec();
    classes.extend((kinds as u64..count).map(|_| dice.pick(&sizes[..kinds])));
    dice.shuffle(&mut classes);
    let used: BTreeSet<u64> = classes.iter().copied().collect();
    let mut so_far: Vec<String> =
        classes.into_iter().map(|block| blocks.malloc(build.request(dice, block), block)).collect();
    let whole = build.pools();
    let pages = build.profile.arena_size / 4096;
    let used = used.len() as u64;
    let why = "An arena that begins between pool borders has a pool less; this one has {arena.pools}.";
    if level == 3 {
        lines.extend(so_far);
        let block = build.some_block(dice, 400, build.most);
        let size = build.request(dice, block);
        let each = build.blocks(size);
        let then = vec![format!("for i in range({}): x[i] = malloc({size})", whole * each + 1)];
        let text = format!(
            "The arena begins at address {{arena_addr(0):hex}}. Next the program asks for {size} bytes, again and again. How many of these blocks lie in the first arena when a second one has to come?"
        );
        let pool = build.profile.pool_size;
        let draft = Draft::worth(lines, then, text, format!("arena_blocks(0) - {count}"), Said::Plain)
            .m(18, format!("{}", (whole - used) * each))
            .m(
                5,
                format!("{}", pages.saturating_sub(used) * ((4096 - build.profile.pool_overhead()) / block)),
            )
            .that("every arena loses a pool", format!("{}", (whole - 1 - used) * each))
            .that("each call before has begun a pool", format!("(arena.pools - {count}) * {each}"))
            .that("the other sizes take no pools", format!("arena.pools * {each}"))
            .that("a pool has no header", format!("(arena.pools - {used}) * {}", pool / block))
            .at(Show::Arenas, "arena(0)")
            .why(format!("{why} {used} of them have other blocks, and a pool holds {each} of these."));
        return Some(place(draft, page));
    }
    let then = so_far.split_off(so_far.len() - if level == 1 { 1 } else { 2 });
    lines.extend(so_far);
    if dice.within(0, 1) == 0 {
        let text = format!(
            "The arena begins at address {{arena_addr(0):hex}}. Next: {}. How many pools of the arena are unused afterwards?",
            calls(&then)
        );
        let draft = Draft::worth(lines, then, text, "pools.unused".to_owned(), Said::Plain)
            .m(18, format!("{}", whole - used))
            .m(5, format!("{}", pages - used))
            .that("each call begins a pool", format!("arena.pools - {count}"))
            .that("a pool with room counts as unused", "arena.pools".to_owned())
            .that("the arena keeps a pool for itself", format!("arena.pools - {used} - 1"))
            .at(Show::Arenas, "arena(0)")
            .why(format!("{why} {used} have blocks."));
        return Some(place(draft, page));
    }
    let large = build.most + dice.within(1, 400);
    lines.push(format!("y = malloc({large})"));
    let last = blocks.live[blocks.live.len() - 1].0.clone();
    let first = blocks.live[0].0.clone();
    let inside = dice.within(1, build.step - 1);
    let beyond = dice.within(1, 16) * 4;
    let fresh = dice.within(used, whole - 3);
    // With the formula of an address, whether it is pymalloc's, and how it is said.
    let mut all = vec![
        (format!("addr({last}) + {inside}"), true, format!("{} into `{last}`", count_of(inside, "byte"))),
        ("arena_addr(0) + arena.size - 1".to_owned(), true, "the last byte of the arena".to_owned()),
        (
            format!("addr({first}) - offset({first}) + {fresh} * pool.size + pool.header + {beyond}"),
            true,
            format!(
                "{} bytes into pool {fresh}, which was never used",
                build.profile.pool_overhead() + beyond
            ),
        ),
        ("arena_addr(0) - 1".to_owned(), false, "the byte in front of the arena".to_owned()),
        ("arena_addr(0) + arena.size".to_owned(), false, "the byte behind the arena".to_owned()),
        ("addr(y)".to_owned(), false, format!("`y`, a block of {large} bytes")),
        (format!("addr(y) + {inside}"), false, format!("{} into `y`", count_of(inside, "byte"))),
    ];
    dice.shuffle(&mut all);
    let because = "Everything from the arena's first byte to its last is pymalloc's, whether a block lies there or not.";
    if level == 1 {
        let own = dice.within(0, 1) == 0;
        let odd = all.iter().position(|(_, is, _)| *is == own)?;
        let odd = all.remove(odd);
        all.retain(|(_, is, _)| *is != own);
        all.truncate(3);
        all.push(odd);
        let text = format!(
            "Next: {}. Which of these addresses {} afterwards?",
            calls(&then),
            if own {
                "would `free` take for pymalloc's own"
            } else {
                "is foreign, so that `free` hands it to the C library"
            }
        );
        let not = if own { "" } else { "not " };
        let draft = all.into_iter().fold(Draft::which(lines, then, text), |draft, (address, _, say)| {
            draft.or(say, format!("{not}owned({address})"), 0)
        });
        return Some(place(draft.at(Show::Arenas, "arena(0)").why(because.to_owned()), page));
    }
    all.truncate(dice.within(4, 6) as usize);
    if !all.iter().any(|(address, ..)| address.contains(&format!("({last})"))) {
        // Without the new block the picture would have the answer.
        return None;
    }
    let said: Vec<String> = all.iter().map(|(.., say)| say.clone()).collect();
    let formula: Vec<String> = all.iter().map(|(address, ..)| format!("owned({address})")).collect();
    let edge = ["arena_addr(0) - 1", "arena_addr(0) + arena.size"];
    let count =
        |what: &dyn Fn(&str) -> bool| all.iter().filter(|(address, ..)| what(address)).count().to_string();
    let text = format!(
        "Next: {}. Then look at {} addresses: {}. How many of them does `free` take for pymalloc's own?",
        calls(&then),
        all.len(),
        super::asked::and(&said)
    );
    let draft = Draft::worth(lines, then, text, formula.join(" + "), Said::Plain)
        .that("only bytes of blocks in use count", "1".to_owned())
        .that("only the beginnings of blocks count", "0".to_owned())
        .that("blocks of the C library count as well", count(&|address| !edge.contains(&address)))
        .that("the bytes around an arena count as well", count(&|address| !address.contains('y')))
        .that("every address counts", all.len().to_string())
        .at(Show::Arenas, "arena(0)")
        .why(because.to_owned());
    Some(place(draft, page))
}

/// A call of a program through tables.
struct Asks {
    domain: usize,
    size: u64,
    /// It takes the block away instead.
    free: bool,
}

const DOMAINS: [&str; 3] = ["raw", "mem", "obj"];
const DOORS: [&str; 3] = ["RAW", "MEM", "OBJ"];

/// How many calls a table on a domain sees, where requests up to `limit` are small.
fn seen(all: &[Asks], domain: usize, limit: u64, zero_is_small: bool, frees: bool) -> u64 {
    let sees = |call: &&Asks| {
        let small = call.size <= limit && (call.size > 0 || zero_is_small);
        (call.domain == domain || domain == 0 && !small) && (frees || !call.free)
    };
    all.iter().filter(sees).count() as u64
}

/// 13: which tables see a call.
pub(super) fn domains(dice: &mut Dice, level: u8, build: &Build<'_>) -> Draft {
    let most = build.most;
    let mut blocks = Blocks::default();
    // The records of the first arena come through RAW too; they are not asked about.
    let mut lines = vec![format!("w = malloc({})", dice.within(1, most))];
    let mut order = [0, 1, 2];
    dice.shuffle(&mut order);
    for domain in order {
        lines.push(format!("set_allocator({}, \"count\")", DOMAINS[domain]));
    }
    let sizes = [0, 1, 40, 256, 257, most - 1, most, most + 1, most + 88, 900];
    let call = |dice: &mut Dice, blocks: &mut Blocks| {
        let (domain, size) = (dice.within(0, 2) as usize, dice.pick(&sizes));
        let line = blocks.malloc(size, size).replace(')', &format!(", {})", DOMAINS[domain]));
        (Asks { domain, size, free: false }, line)
    };
    let table = |domain: usize| order.iter().position(|&other| other == domain).unwrap_or(0) + 1;
    let why = format!(
        "Each call is seen by its domain's table. What pymalloc does not serve, 0 bytes and more than {most}, it passes on through RAW's."
    );
    let hooks = "On each domain stands a table that counts its calls.";
    if level == 1 {
        let extra = dice.within(0, 2);
        for _ in 0..extra {
            lines.insert(1, call(dice, &mut blocks).1);
        }
        let (asks, line) = call(dice, &mut blocks);
        let mut draft = Draft::which(
            lines,
            vec![line.clone()],
            format!("{hooks} Next: `{line}`. Whose table sees this call?"),
        );
        let sets: [&[usize]; 7] = [&[0], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]];
        let large = asks.size > most;
        for set in sets {
            let say: Vec<String> = set.iter().map(|&domain| DOORS[domain].to_owned()).collect();
            let is: Vec<String> = (0..3)
                .map(|domain| format!("calls({}) == {}", table(domain), u8::from(set.contains(&domain))))
                .collect();
            // Who thinks what: of the sets without a belief behind them few are shown.
            let own = asks.domain > 0 && set.contains(&asks.domain);
            let m = match set {
                [_] if own && large => 37,
                [_] if own && asks.size == 0 => 10,
                [0, _] if own && asks.size == most => 9,
                [0, _] if own && asks.size > 256 && !large => 8,
                [0, _] if own && asks.size > 0 && !large => 11,
                _ => 0,
            };
            draft = draft.or(super::asked::and(&say), is.join(" and "), m);
        }
        return draft.at(Show::Domains, "").why(why);
    }
    let count = if level == 2 { dice.within(3, 6) } else { dice.within(8, 15) };
    let (mut all, mut then) = (Vec::new(), Vec::new());
    let mut live: Vec<(String, usize, u64)> = Vec::new();
    for _ in 0..count {
        if live.len() > 1 && dice.within(0, 3) == 0 {
            let at = dice.within(0, live.len() as u64 - 1) as usize;
            let (name, domain, size) = live.remove(at);
            then.push(format!("free({name})"));
            all.push(Asks { domain, size, free: true });
            continue;
        }
        let (asks, line) = call(dice, &mut blocks);
        live.push((blocks.last(), asks.domain, asks.size));
        all.push(asks);
        then.push(line);
    }
    let domain = dice.pick(&[0, 0, 0, 1, 2]);
    let of = |domains: &[usize]| all.iter().filter(|call| domains.contains(&call.domain)).count().to_string();
    let text = format!("{hooks} Next: {}. How many calls does {}'s table see?", calls(&then), DOORS[domain]);
    let limit = |limit: u64, zero: bool, frees: bool| format!("{}", seen(&all, domain, limit, zero, frees));
    let draft = Draft::worth(lines, then, text, format!("calls({})", table(domain)), Said::Plain)
        .m(9, limit(most - 1, false, true))
        .m(8, limit(256, false, true))
        .m(10, limit(most, true, true))
        .m(
            37,
            all.iter()
                .filter(|call| call.domain == domain && (domain == 0 || call.size <= most))
                .count()
                .to_string(),
        )
        .that("a table sees requests and no frees", limit(most, false, false))
        .that("a call for RAW is seen by all tables", of(&[0, domain]))
        .that("all tables see all calls", all.len().to_string());
    let draft = if domain == 0 {
        draft.m(11, all.len().to_string())
    } else {
        draft.that("MEM and OBJ have one table", of(&[1, 2]))
    };
    draft.at(Show::Domains, "").why(why)
}

/// 14: what debug hooks write, and what they find.
pub(super) fn hooks(dice: &mut Dice, level: u8, build: &Build<'_>) -> Option<Draft> {
    let pointer = u64::from(build.profile.pointer_bytes);
    let ids = ["r", "m", "o"];
    let domain = dice.within(0, 2) as usize;
    let mut lines = vec!["setup_debug_hooks()".to_owned(), format!("w = malloc({})", dice.within(1, 60))];
    let size = dice.within(1, 40);
    let (front, tail) = (i64::from(2 * build.profile.pointer_bytes), i64::from(build.profile.pointer_bytes));
    let n = size.cast_signed();
    match level {
        1 => {
            let new = format!("x = malloc({size}, {})", DOMAINS[domain]);
            let freed = domain > 0 && dice.within(0, 3) == 0;
            let at = loop {
                let at = dice.within(0, (front + n + tail - 1).cast_unsigned()).cast_signed() - front;
                // Two in three lie in the header or the tail; of a freed block the first bytes are pymalloc's link.
                if (at >= -tail || !freed) && ((at < 0 || at >= n) || dice.within(0, 2) == 0) {
                    break at;
                }
            };
            let mut then = vec![new];
            if freed {
                lines.append(&mut then);
                then.push("free_keep(x)".to_owned());
            }
            let text = format!(
                "Debug hooks stand on all domains. Next: {}. Which byte lies at `x[{at}]` afterwards, in hexadecimal?",
                calls(&then)
            );
            let mut draft = Draft::worth(lines, then, text, format!("byte(x, {at})"), Said::Byte);
            let id = u32::from(ids[domain].as_bytes()[0]);
            let others = [
                ("guards lie there", 253),
                ("fresh data lies there", 205),
                ("a freed block's bytes lie there", 221),
                ("the size's low byte lies there", size as u32),
                ("the API id lies there", id),
                ("nothing was written there", 0),
            ];
            for (belief, byte) in others {
                draft = draft.that(belief, format!("{byte}"));
            }
            Some(draft.at(Show::Debug, "w").why(format!(
                "In front of the data lie the size in {pointer} bytes, large end first, the API id and {} guards FD; behind it {pointer} guards. Fresh data is CD, freed blocks are DD.",
                pointer - 1
            )))
        }
        2 => {
            // Damage within the data is none that hooks see; a free through another domain comes before all guards.
            let at = match dice.within(0, 6) {
                0 | 1 => dice.within(0, pointer - 1).cast_signed() - tail,
                2 | 3 => n + dice.within(0, pointer - 1).cast_signed(),
                4 | 5 => dice.within(0, size - 1).cast_signed(),
                _ => -tail - 1,
            };
            let through = if dice.within(0, 3) == 0 { (domain + 1) % 3 } else { domain };
            let byte = dice.pick(&[0x00, 0x41, 0x5a, 0x7f]);
            let new = format!("x = malloc({size}, {})", DOMAINS[domain]);
            if at == -tail - 1 && size < 2 {
                return None;
            }
            // The size's low byte: one less, so that the tail is looked for a byte too early.
            let byte = if at == -tail - 1 { (size - 1) as u32 } else { byte };
            let mut then = vec![new, format!("poke(x, {at}, \"{byte:02x}\")")];
            for _ in 0..dice.within(0, 2) {
                let index = then.len();
                then.push(format!("{} = malloc({})", letter(index), dice.within(1, 60)));
            }
            then.push(format!("free(x, {})", DOMAINS[through]));
            lines.append(&mut then.drain(..1).collect());
            let says = |words: &str| format!("printed(\"{words}\")");
            let text = format!(
                "Debug hooks stand on all domains, and `x` has {size} bytes. Next: {}. What comes of it?",
                calls(&then)
            );
            let draft = Draft::which(lines, then, text)
                .or("the free reports a bad ID".to_owned(), says("bad ID"), 0)
                .or("the free reports a bad leading pad byte".to_owned(), says("bad leading pad byte"), 0)
                .or("the free reports a bad trailing pad byte".to_owned(), says("bad trailing pad byte"), 0)
                .or("nothing: the hooks find no damage".to_owned(), "not stopped".to_owned(), 0)
                .or(
                    "the write itself ends the process".to_owned(),
                    format!("stopped and not {}", says("bad ")),
                    0,
                );
            Some(draft.at(Show::Debug, "w").why(format!(
                "The hook looks at the API id first, then at the {} guards in front, then at the {pointer} behind. What lies between them is the program's.",
                pointer - 1
            )))
        }
        _ => {
            let sizes: Vec<u64> = {
                // Sizes that the hooks' bytes put into another class.
                let all = build.some_blocks(dice, 2, 32, 200);
                all.into_iter().map(|block| build.request(dice, block)).collect()
            };
            let count = dice.within(8, 12);
            let mut then = Vec::new();
            let mut blocks = Blocks::default();
            let mut made = Vec::new();
            for _ in 0..count {
                let size = dice.pick(&sizes).saturating_sub(dice.within(0, 3)).max(1);
                made.push(size);
                then.push(blocks.malloc(size, size));
            }
            let last = *made.last()?;
            let header = build.profile.pool_overhead();
            // Where the last one's data would begin if hooks took so many bytes, so many of them in front.
            let place = |extra: u64, lead: u64| {
                let class = build.block(last + extra);
                let before =
                    made.iter().filter(|&&size| build.block(size + extra) == class).count() as u64 - 1;
                format!("{}", header + before * class + lead)
            };
            let name = blocks.last();
            let text = format!(
                "Debug hooks stand on all domains. Next: {}. How many bytes into its pool does the data of `{name}` begin?",
                calls(&then)
            );
            lines.truncate(1);
            let draft = Draft::worth(lines, then, text, format!("offset({name})"), Said::Plain)
                .m(45, place(4 * pointer, 2 * pointer))
                .that("the hooks add bytes behind the data alone", place(3 * pointer, 0))
                .that("the hooks write within the bytes that were asked for", place(0, 0))
                .that(
                    "the hooks write their bytes within the block that there would be without them",
                    place(0, 2 * pointer),
                )
                .that("a pool under hooks has no header", format!("offset({name}) - {header}"));
            Some(draft.at(Show::Debug, "").why(format!(
                "The hook asks for {} bytes more, and {} of them lie in front of the data.",
                3 * pointer,
                2 * pointer
            )))
        }
    }
}
