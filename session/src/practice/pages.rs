//! Templates of the lessons on mimalloc's lists and threads, and on interpreters, 22 to 24.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use trace_io::lesson::Show;

use super::asked::{Said, and};
use super::draft::{Build, Draft, calls, letter};
use crate::dice::Dice;

/// Blocks of which few are made ready at once, with how many.
const FEW: [u64; 7] = [256, 320, 384, 448, 512, 640, 1024];

/// 22: which place comes next, and when one comes back.
pub(super) fn lists(dice: &mut Dice, level: u8, _: &Build<'_>) -> Option<Draft> {
    let block = dice.pick(&FEW);
    let ready = (4096 / block).max(4);
    let size = block - dice.within(0, 30);
    let made = dice.within(4, ready);
    let room = ready - made;
    if made < 4 || level == 1 && dice.within(0, 1) == 0 && room > 0 {
        return None;
    }
    let mut lines = vec![format!("for i in range(1, {}): b[i] = malloc({size})", made + 1)];
    let all: Vec<u64> = (1..=made).collect();
    // One stays, so that the page does.
    let many = dice.within(3, (made - 1).min(4));
    let freed = dice.some(&all, many as usize);
    let mut frees: Vec<String> = freed.iter().map(|block| format!("free(b[{block}])")).collect();
    let lowest = *freed.iter().min()?;
    let (first, last) = (freed[0], freed[freed.len() - 1]);
    // Otherwise the lowest or the oldest is right by chance.
    if last == lowest {
        return None;
    }
    let about =
        format!("Blocks of {size} bytes, {ready} of which are made ready at a time. {made} were made.");
    let why = "What the owner frees goes to local_free. Only when `free` is empty does that list become the new `free`, as it is: freed last, handed out first.";
    if level == 3 {
        let whose = dice.pick(&freed);
        let requests = room + freed.len() as u64 + 3;
        lines.append(&mut frees);
        let shown = freed.iter().map(|block| format!("`b[{block}]`")).collect::<Vec<_>>();
        let text = format!(
            "{about} Then {} were freed, in this order. Now come more requests of this size. Which of them, counted from 1, gets the place of `b[{whose}]`?",
            and(&shown)
        );
        let at = |order: &[u64]| order.iter().position(|&block| block == whose).map_or(0, |at| at as u64 + 1);
        let mut sorted = freed.clone();
        sorted.sort_unstable();
        let backwards: Vec<u64> = freed.iter().rev().copied().collect();
        let sum: Vec<String> =
            (1..=requests).map(|n| format!("{n} * (place(n[{n}]) == place(b[{whose}]))")).collect();
        let then = vec![format!("for i in range(1, {}): n[i] = malloc({size})", requests + 1)];
        return Some(
            Draft::worth(lines, then, text, sum.join(" + "), Said::Plain)
                .that("a freed place comes next at once", at(&backwards).to_string())
                .m(15, at(&sorted).to_string())
                .that("what was freed first comes back first", (room + at(&freed)).to_string())
                .m(13, (room + ready + at(&backwards)).to_string())
                .that("places in use count as well", (ready + at(&backwards)).to_string())
                .that(
                    "freed places come back in the order of their addresses",
                    (room + at(&sorted)).to_string(),
                )
                .that(
                    "the lists are exchanged a request earlier",
                    (room + at(&backwards)).saturating_sub(1).to_string(),
                )
                .at(Show::Mimalloc, "")
                .why(why.to_owned()),
        );
    }
    let mallocs = if level == 1 { 1 } else { dice.within(1, 3) };
    let news: Vec<String> = (1..=mallocs).map(|n| format!("n{n} = malloc({size})")).collect();
    let then: Vec<String> = if level == 1 {
        lines.append(&mut frees);
        news
    } else {
        frees.into_iter().chain(news).collect()
    };
    let name = format!("n{mallocs}");
    let shown: Vec<String> = freed.iter().map(|block| format!("`free(b[{block}])`")).collect();
    let before = if level == 1 { format!(" Then came {}.", and(&shown)) } else { String::new() };
    let text = format!("{about}{before} Next: {}. Which place does `{name}` get?", calls(&then));
    let mut draft = Draft::which(lines, then, text);
    let mut fresh = format!("page_slice({name}) == page_slice(b[1])");
    for &block in &freed {
        let _ = write!(fresh, " and place({name}) != place(b[{block}])");
        let m = if block == lowest || block == first { 15 } else { 0 };
        draft =
            draft.or(format!("the place of `b[{block}]`"), format!("place({name}) == place(b[{block}])"), m);
    }
    Some(
        draft
            .or("a place of the page that no block had yet".to_owned(), fresh, 13)
            .or("one on a new page".to_owned(), format!("page_slice({name}) != page_slice(b[1])"), 0)
            .at(Show::Mimalloc, "")
            .why(why.to_owned()),
    )
}

/// A block of a program with threads.
struct Made {
    name: String,
    thread: u64,
    heap: usize,
    size: u64,
    live: bool,
}

const HEAPS: [&str; 3] = ["mem", "obj", "gc"];

/// Which pages wait that were emptied.
fn waiting(dice: &mut Dice, level: u8) -> Draft {
    let size = dice.pick(&[160_u64, 320, 384, 512]);
    let all = dice.within(300, 1200);
    let watched = dice.pick(&["obj", "gc"]);
    let others = if level > 2 { dice.within(300, 1200) } else { 0 };
    let mut lines = vec![
        "with thread(1): z = malloc(64)".to_owned(),
        format!("for i in range({all}): m[i] = malloc({size}, {watched})"),
    ];
    let mut then = vec![format!("for i in range({all}): free(m[i])")];
    let mut said =
        vec![format!("thread 0 frees its {all} blocks of {size} bytes, all in {}", watched.to_uppercase())];
    if others > 0 {
        lines.push(format!("for i in range({others}): o[i] = malloc({size}, mem)"));
        then.push(format!("for i in range({others}): free(o[i])"));
        said.push(format!("the {others} of MEM that are as large"));
    }
    let mut passed = 0;
    for thread in 0..2 {
        if dice.within(0, 2) > 0 {
            passed += 1;
            then.push(if thread == 0 {
                "quiescent()".to_owned()
            } else {
                "with thread(1): quiescent()".to_owned()
            });
            said.push(format!("thread {thread} passes a quiescent state"));
        }
    }
    let needs = dice.within(0, 1) == 0;
    if needs {
        then.push("k = malloc(2000)".to_owned());
        said.push("thread 0 asks for 2,000 bytes, a size that has no page yet".to_owned());
    }
    let text = format!(
        "Threads 0 and 1 run, and each has blocks. Next: {}. How many emptied pages wait then for a quiescent state?",
        said.join("; then ")
    );
    let pages = |blocks: u64| (blocks * size).div_ceil(1 << 16);
    let draft = Draft::worth(lines, then, text, "pages.waiting".to_owned(), Said::Plain);
    // A page that stays for reasons of its own, where all others went, would need more words.
    let draft =
        if passed == 2 && needs { draft.differs_from("max(pages.waiting, 1)".to_owned()) } else { draft };
    draft
        .that("emptied pages are free at once", "0".to_owned())
        .that("all of them wait until somebody collects them", pages(all).to_string())
        .that("those of MEM wait as well", (pages(all) + pages(others)).to_string())
        .that("the last page of a size is kept and does not wait", (pages(all) - 1).to_string())
        .that("one quiescent state is enough for half of them", (pages(all) / 2).to_string())
        .that("all pages of the process wait", "pages".to_owned())
        .late()
        .at(Show::Mimalloc, "")
        .why("Emptied pages of objects wait until all threads have passed a quiescent state, and go when their owner next needs a page; those of MEM go at once. {pages} are in use, {pages.waiting} of them wait.".to_owned())
}

/// 23: where a block goes that a thread frees; pages and segments of threads.
pub(super) fn threads(dice: &mut Dice, level: u8, _: &Build<'_>) -> Option<Draft> {
    let sizes = dice.some(&[48_u64, 64, 96, 160, 320], 2);
    let mut made: Vec<Made> = Vec::new();
    let within =
        |thread: u64, call: String| if thread == 0 { call } else { format!("with thread({thread}): {call}") };
    let malloc = |dice: &mut Dice, made: &mut Vec<Made>, thread: u64| {
        let (heap, size) = (dice.within(0, 2) as usize, dice.pick(&sizes));
        let name = letter(made.len());
        let call = format!("{name} = malloc({size}, {})", HEAPS[heap]);
        made.push(Made { name, thread, heap, size, live: true });
        within(thread, call)
    };
    let mut lines = Vec::new();
    for at in 0..dice.within(4, 6) {
        let thread = if at < 3 { at } else { dice.within(0, 2) };
        lines.push(malloc(dice, &mut made, thread));
    }
    let about = "Three threads, 0 to 2, have made blocks.";
    if level > 1 && dice.within(0, 2) == 0 {
        return Some(waiting(dice, level));
    }
    if level == 1 {
        let at = dice.within(0, made.len() as u64 - 1) as usize;
        let by = dice.within(0, 2);
        let Made { name, thread, .. } = &made[at];
        // Another block keeps the page, which would go otherwise.
        lines.push(within(*thread, format!("y = malloc({}, {})", made[at].size, HEAPS[made[at].heap])));
        let then = vec![within(by, format!("free({name})"))];
        let text = format!(
            "{about} `{name}` was made by thread {thread}, and so was `y`, on the same page. Next thread {by} calls `free({name})`. Where is the block then?"
        );
        return Some(
            Draft::which(lines, then, text)
                .or("on local_free of its page".to_owned(), format!("on_local({name})"), 0)
                .or(format!("in the mailbox of thread {thread}"), format!("on_thread({name}) or on_delayed({name})"), 0)
                .or("first on `free` of its page: it comes next".to_owned(), format!("on_free({name})"), 15)
                .or("with one heap that all threads share".to_owned(), format!("page_owner({name}) != {thread}"), 47)
                .or("nowhere: the process ends, since another thread must not free it".to_owned(), "stopped".to_owned(), 0)
                .at(Show::Mimalloc, "")
                .why("What the page's own thread frees goes to local_free. Others may not touch the page's lists and leave the block in a mailbox.".to_owned()),
        );
    }
    let count = if level == 2 { dice.within(3, 6) } else { dice.within(8, 14) };
    let (mut then, mut said, mut crossed) = (Vec::new(), Vec::new(), 0);
    for _ in 0..count {
        let thread = dice.within(0, 2);
        let live: Vec<usize> = (0..made.len()).filter(|&at| made[at].live).collect();
        let call = if live.len() > 2 && dice.within(0, 2) == 0 {
            let at = dice.pick(&live);
            made[at].live = false;
            crossed += u64::from(made[at].thread != thread);
            within(thread, format!("free({})", made[at].name))
        } else {
            malloc(dice, &mut made, thread)
        };
        let words = call.rsplit(": ").next().unwrap_or_default();
        said.push(format!("thread {thread} `{words}`"));
        then.push(call);
    }
    let next = format!("{about} Next: {}.", and(&said));
    let why = "Each thread has heaps of its own, and each heap pages of its own for each size. Blocks in a mailbox count as used until the page's thread reads it.";
    let distinct = |what: &dyn Fn(&Made) -> (u64, usize, u64)| {
        made.iter().map(what).collect::<BTreeSet<_>>().len().to_string()
    };
    if dice.within(0, 1) == 0 {
        return Some(
            Draft::worth(
                lines,
                then,
                format!("{next} How many pages of mimalloc are in use then?"),
                "pages".to_owned(),
                Said::Plain,
            )
            .m(47, distinct(&|one| (one.thread, 0, one.size)))
            .that("all threads share the heaps", distinct(&|one| (0, one.heap, one.size)))
            .that("a page has blocks of all sizes", distinct(&|one| (one.thread, one.heap, 0)))
            .that("each block has a page", made.len().to_string())
            .that("there is one page for each size", distinct(&|one| (0, 0, one.size)))
            .that(
                "each size has a page in each heap of each thread",
                (3 * HEAPS.len() * sizes.len()).to_string(),
            )
            .at(Show::Mimalloc, "")
            .why(why.to_owned()),
        );
    }
    if crossed == 0 {
        return None;
    }
    let live: Vec<&Made> = made.iter().filter(|one| one.live).collect();
    let about = live[dice.within(0, live.len() as u64 - 1) as usize];
    let on_page =
        |one: &&Made| one.thread == about.thread && one.heap == about.heap && one.size == about.size;
    let text = format!("{next} How many blocks count as used then on the page of `{}`?", about.name);
    Some(
        Draft::worth(lines, then, text, format!("page_used({})", about.name), Said::Plain)
            .that(
                "a block that another thread frees is free at once",
                live.iter().filter(|one| on_page(one)).count().to_string(),
            )
            .that(
                "what its own thread frees stays used as well",
                made.iter().filter(on_page).count().to_string(),
            )
            .m(47, live.iter().filter(|one| one.size == about.size).count().to_string())
            .m(17, live.iter().filter(|one| one.thread == about.thread).count().to_string())
            .that(
                "pages are shared by the heaps of a thread",
                live.iter()
                    .filter(|one| one.thread == about.thread && one.size == about.size)
                    .count()
                    .to_string(),
            )
            .that(
                "pages are shared by all threads",
                live.iter()
                    .filter(|one| one.heap == about.heap && one.size == about.size)
                    .count()
                    .to_string(),
            )
            .at(Show::Mimalloc, "")
            .why(why.to_owned()),
    )
}

/// An interpreter: whether its state is its own, whether it runs still, names of its live blocks.
type Interpreter = (bool, bool, Vec<String>);

/// 24: whose arenas, and how many.
pub(super) fn interpreters(dice: &mut Dice, level: u8, build: &Build<'_>) -> Draft {
    let mut all: Vec<Interpreter> = vec![(true, true, Vec::new())];
    let mut names = 0;
    let block = build.some_block(dice, 32, 256);
    let size = build.request(dice, block);
    let mut malloc = |lines: &mut Vec<String>, mine: &mut Vec<String>| {
        let name = letter(names);
        names += 1;
        lines.push(format!("{name} = malloc({size})"));
        mine.push(name);
    };
    let mut lines = Vec::new();
    malloc(&mut lines, &mut all[0].2);
    let first = dice.within(1, 2) as usize;
    let more = if level < 3 { 1 } else { dice.within(2, 3) as usize };
    let mut then = Vec::new();
    for number in 1..=first + more {
        let own = dice.within(0, 2) > 0;
        let to = if number > first { &mut then } else { &mut lines };
        to.push(format!("interpreter_new({number}, own={})", if own { "True" } else { "False" }));
        to.push(format!("interpreter_switch({number})"));
        let mut mine = Vec::new();
        for _ in 0..dice.within(1, 2) {
            malloc(to, &mut mine);
        }
        let mut runs = true;
        let ends = number < first + more || level > 1 && dice.within(0, 1) == 0;
        if ends && dice.within(0, 1) == 0 {
            let forgets = dice.within(0, 1) == 0;
            let gone = mine.len() - usize::from(forgets);
            to.extend(mine.drain(..gone).map(|name| format!("free({name})")));
            to.push(format!("interpreter_end({number})"));
            runs = false;
        }
        all.push((own, runs, mine));
    }
    let name = letter(names - 1);
    let number = all.len() - 1;
    let about = "An interpreter made with `own=True` has a pymalloc state of its own; with `own=False` it shares that of the main one.";
    let why =
        format!("{about} Ended, it gives its arenas back if it left no block, and else they stay for good.");
    if level == 1 {
        let text = format!("{about} Next: {}. Where does `{name}` lie?", calls(&then));
        let other = (1..number).rev().find(|&other| all[other].0 && !all[other].2.is_empty());
        let mut draft = Draft::which(lines, then, text)
            // Whose state has the address: numbers of arenas are each state's own.
            .or(
                "in the arena of `a`".to_owned(),
                format!("pooled({name}) and owned(a) and arenas.here == 1"),
                0,
            )
            .or("with the C library".to_owned(), format!("raw({name})"), 0)
            .or(
                "in a new arena of the main interpreter's".to_owned(),
                "owned(a) and arenas.here == 2".to_owned(),
                0,
            );
        if let Some(left) = other.and_then(|other| all[other].2.first()) {
            draft = draft.or(
                format!("in the arena of `{left}`"),
                format!("pooled({name}) and owned({left}) and not owned(a)"),
                0,
            );
        }
        let fresh =
            format!("pooled({name}) and not owned(a) and interpreter.state == {number} and arenas.here == 1");
        return draft
            .or("in a new arena, which is its interpreter's own".to_owned(), fresh, 0)
            .at(Show::Arenas, "")
            .why(why);
    }
    let text = format!("{about} Next: {}. How many arenas does the process have then?", calls(&then));
    let count = |what: &dyn Fn(&Interpreter) -> bool| all.iter().filter(|one| what(one)).count().to_string();
    Draft::worth(lines, then, text, "arenas".to_owned(), Said::Plain)
        .m(1, count(&|(own, ..)| *own))
        .that("all interpreters share one state", "1".to_owned())
        .that("each interpreter has arenas of its own", count(&|(_, runs, left)| *runs || !left.is_empty()))
        .that("an interpreter takes its arenas along when it ends", count(&|(own, runs, _)| *own && *runs))
        .that("those that share a state need an arena as well", all.len().to_string())
        .that(
            "the arena of one that ended is the main interpreter's",
            count(&|(own, runs, _)| *own || !*runs),
        )
        .that("only those that run need arenas", count(&|(_, runs, _)| *runs))
        .at(Show::Arenas, "")
        .why(why)
}
