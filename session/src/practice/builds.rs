//! Templates of the lessons that compare: arenas of another size, other builds, another order, 17, 21 and 25.

use trace_io::lesson::Show;

use super::arenas::Full;
use super::asked::{Said, and};
use super::draft::{Build, Draft, count_of};
use crate::dice::Dice;

/// A formula under another setting.
fn what_if(key: &str, value: &str, formula: &str) -> String {
    format!("what_if(\"{key}\", {value}, {formula})")
}

/// 17: what survivors hold in arenas of another size.
pub(super) fn what_ifs(dice: &mut Dice, level: u8, build: &Build<'_>) -> Draft {
    let arenas = if level < 3 { dice.within(2, 4) } else { dice.within(3, 6) };
    let full = Full::new(dice, build, arenas);
    let each = full.pools * full.each;
    let all: Vec<u64> = (0..arenas * each).collect();
    let count = if level == 1 { dice.within(1, 3) } else { dice.within(2, 5) };
    let mut survivors = dice.some(&all, count as usize);
    survivors.sort_unstable();
    let pools = dice.pick(&[full.pools / 4, full.pools / 2, full.pools * 2, full.pools * 4]).max(1);
    let other = pools * build.profile.pool_size;
    let value = other.to_string();
    let names: Vec<String> = survivors.iter().map(|block| format!("`x[{block}]`")).collect();
    let keeps: Vec<String> = survivors.iter().map(|block| format!("i != {block}")).collect();
    let then = vec![format!(
        "for i in range({}):\n    if {}:\n        free(x[i])",
        arenas * each,
        keeps.join(" and ")
    )];
    let bytes = level == 2;
    let (formula, question, unit) = if bytes {
        ("arenas * arena.size", "how many bytes would be held afterwards", other)
    } else {
        ("arenas", "how many arenas would there be afterwards", 1)
    };
    let text = format!(
        "An arena of {{arena.size:bytes}} holds {each} of these blocks, and {arenas} arenas are full. Next the program frees all but {}, from the first block to the last. If an arena had {{{other}:bytes}} instead, {question}?",
        and(&names)
    );
    // Those that hold a survivor, and nothing else.
    let mut held: Vec<u64> = survivors.iter().map(|block| block / (pools * full.each)).collect();
    held.dedup();
    let own = if bytes { formula.to_owned() } else { formula.replace("arenas", "arenas * 1") };
    Draft::worth(vec![full.line], then, text, what_if("arena_size", &value, formula), if bytes { Said::Bytes } else { Said::Plain })
        .m(1, format!("{} * {unit}", what_if("arena_size", &value, "arenas.obtained")))
        .m(2, format!("{}", held.len() as u64 * unit))
        .m(19, format!("{unit}"))
        .that("the size of arenas changes nothing", own.clone())
        .that("each survivor keeps an arena of its own", format!("{}", count * unit))
        .that("as many bytes are held in arenas of any size", if bytes { own.clone() } else { format!("(arenas * arena.size + {other} - 1) // {other}") })
        .that("nothing is held once most is free", "0".to_owned())
        .differs_from(own)
        .late()
        .at(Show::Arenas, "")
        .why("Each survivor keeps the arena that it lies in, whatever its size; a wholly free one that is last on its list may stay as well.".to_owned())
}

/// The builds that are told apart, with how they are called.
const BUILDS: [(&str, &str); 4] = [
    ("\"cpython-3.8\"", "3.8"),
    ("\"cpython-3.9\"", "3.9"),
    ("\"cpython-3.14\"", "3.14"),
    ("\"cpython-32bit\"", "a 32-bit build of 3.14"),
];

/// The misconception of who takes one of them for another.
fn taken(build: usize, other: usize) -> u32 {
    match (build.min(other), build.max(other)) {
        (0, 1) => 2,
        (_, 3) => 7,
        (_, 2) => 4,
        _ => 0,
    }
}

/// 21: which build is this; what would another one do?
pub(super) fn versions(dice: &mut Dice, level: u8, build: &Build<'_>) -> Draft {
    let size = dice.within(100, build.most);
    let count = dice.within(3, 12) * 100;
    let lines = vec![format!("for i in range({count}): a[i] = malloc({size})")];
    let kept = dice.within(0, 3) * count / 10;
    let then = vec![format!("for i in range({kept}, {count}): free(a[i])")];
    let left = if kept == 0 { "all of them".to_owned() } else { format!("all but the first {kept}") };
    let about = format!("A program makes {count} blocks of {size} bytes and then frees {left}.");
    let which = dice.within(0, 3) as usize;
    let (name, called) = BUILDS[which];
    let of = |which: usize, formula: &str| what_if("profile", BUILDS[which].0, formula);
    if level == 1 {
        let text = format!(
            "{about} One of these builds has this to say of it. Arenas obtained: {{{}}}; arenas left: {{{}}}; unused pools of these: {{{}}}. Which one?",
            of(which, "arenas.obtained"),
            of(which, "arenas"),
            of(which, "pools.unused")
        );
        let mut draft = Draft::which(lines, then, text).late();
        draft.told = false;
        for (other, (_, called)) in BUILDS.iter().enumerate() {
            let same = ["arenas.obtained", "arenas", "pools.unused"]
                .map(|formula| format!("{} == {}", of(other, formula), of(which, formula)));
            draft = draft.or((*called).to_owned(), same.join(" and "), taken(which, other));
        }
        return draft.at(Show::Arenas, "").why(
            "Arenas have 256 KiB until 3.9 and with 32 bits, else 1 MiB; 3.8 gives back each that is free, later versions keep the last one.".to_owned(),
        );
    }
    let bytes = level == 3 || dice.within(0, 1) == 0;
    let (formula, question) = if bytes {
        ("arenas * arena.size", "How many bytes do its arenas have afterwards")
    } else {
        ("pools.unused", "How many pools of its arenas are unused afterwards")
    };
    let text = format!("{about} {question}, on {called}?");
    let said = if bytes { Said::Bytes } else { Said::Plain };
    let mut draft = Draft::worth(lines, then, text, what_if("profile", name, formula), said).late();
    for other in (0..BUILDS.len()).filter(|&other| other != which) {
        let reckoned = of(other, formula);
        draft = match taken(which, other) {
            0 => draft.that("the builds do not differ", reckoned),
            m => draft.m(m, reckoned),
        };
    }
    let all = if bytes { "arenas.obtained * arena.size" } else { "arenas.obtained * arena.pools" };
    let draft = draft
        .m(1, of(which, all))
        .m(19, if bytes { (kept * size).to_string() } else { "0".to_owned() })
        .m(
            4,
            if bytes {
                format!("{} * 262144", of(which, "arenas"))
            } else {
                format!("{} * 64", of(which, "arenas"))
            },
        )
        .that("nothing is left", "0".to_owned());
    draft.at(Show::Arenas, "").why(format!(
        "There {{{}}} arenas of {{{}:bytes}} were obtained, and {{{}}} are left.",
        what_if("profile", name, "arenas.obtained"),
        what_if("profile", name, "arena.size"),
        what_if("profile", name, "arenas")
    ))
}

/// 25: who holds what is held, and what would help.
pub(super) fn diagnosis(dice: &mut Dice, level: u8, build: &Build<'_>) -> Option<Draft> {
    let block = build.some_block(dice, 400, build.most);
    let work = build.request(dice, block);
    let others = build.some_blocks(dice, 2, 64, 320);
    let (cache, log) = (build.request(dice, others[0]), build.request(dice, others[1]));
    let rounds = if level < 3 { dice.within(2, 3) } else { dice.within(3, 4) };
    let arena = build.pools() * build.blocks(work);
    let (mut lines, mut done, mut caches, mut logs) = (Vec::new(), 0, 0, 0);
    for _ in 0..rounds {
        let more = dice.within(arena / 2, arena * 3 / 2);
        lines.push(format!("for i in range({done}, {}): w[i] = malloc({work})", done + more));
        done += more;
        if dice.within(0, 3) > 0 {
            let few = dice.within(1, 4);
            lines.push(format!("for i in range({caches}, {}): c[i] = malloc({cache})", caches + few));
            caches += few;
        }
        if dice.within(0, 2) == 0 {
            let few = dice.within(1, 3);
            lines.push(format!("for i in range({logs}, {}): g[i] = malloc({log})", logs + few));
            logs += few;
        }
    }
    if caches == 0 {
        return None;
    }
    let free = |name: &str, count: u64| format!("for i in range({count}): free({name}[i])");
    let about = format!(
        "Blocks `w` of {work} bytes are the work of some rounds; a cache, `c`, and a log, `g`, grow between them."
    );
    let state = format!(
        "{about} The cache has {} of {cache} bytes, the log {} of {log} bytes.",
        count_of(caches, "block"),
        count_of(logs, "block")
    );
    match level {
        1 => {
            let number = dice.within(0, rounds - 1);
            let text = format!("{state} Next all the work is freed. Who holds arena {number} then?");
            let by = |class: u64| {
                format!(
                    "arena_exists({number}) and survivors({number}) > 0 and survivors_of_class({number}, {class}) == survivors({number})"
                )
            };
            let some =
                |class: u64| format!("arena_exists({number}) and survivors_of_class({number}, {class}) > 0");
            let both = format!("{} and {}", some(cache), some(log));
            Some(
                Draft::which(lines, vec![free("w", done)], text)
                    .or("the cache alone".to_owned(), by(cache), 0)
                    .or("the log alone".to_owned(), by(log), 0)
                    .or("the cache and the log".to_owned(), both, 0)
                    .or("the freed blocks of the work".to_owned(), some(work), 1)
                    .or("nobody: it is kept because it is the last one on the list".to_owned(), format!("arena_exists({number}) and survivors({number}) == 0"), 2)
                    .or("nobody: it has gone back".to_owned(), format!("not arena_exists({number}) and arenas.obtained > {number}"), 19)
                    .at(Show::Arenas, "")
                    .why("A live block keeps its arena; a wholly free one goes back, unless it is the last one on its list.".to_owned()),
            )
        }
        2 => {
            let text = format!(
                "{state} Next all the work is freed. How many arenas does nothing but the cache keep then?"
            );
            Some(
                Draft::worth(lines, vec![free("w", done)], text, format!("kept_by_class({cache})"), Said::Plain)
                    .m(1, "arenas.obtained".to_owned())
                    .m(2, "arenas".to_owned())
                    .m(19, "0".to_owned())
                    .that("each block keeps an arena of its own", caches.to_string())
                    .that("the log's count as well", (caches + logs).to_string())
                    .that("all of a size lie in one arena", "1".to_owned())
                    .at(Show::Arenas, "")
                    .why(format!("{{arenas}} arenas are left, and blocks of the cache lie in some of them; the log keeps {{kept_by_class({log})}} alone.")),
            )
        }
        _ => {
            lines.push(free("w", done));
            let mut then = Vec::new();
            for (name, count) in [("c", caches), ("g", logs)] {
                if count > 0 {
                    then.push(free(name, count));
                }
            }
            then.push(format!("for i in range({caches}): c[i] = malloc({cache})"));
            then.push(format!("for i in range({logs}): g[i] = malloc({log})"));
            then.push(format!("for i in range({done}): w[i] = malloc({work})"));
            then.push(free("w", done));
            let text = format!(
                "{state} All the work was freed, and {{arenas}} arenas are left. Now the cure: everything else is freed, too, and made again in another order: {caches} blocks of the cache and {logs} of the log first, then the {done} of the work, which are freed at the end. How many arenas are left?"
            );
            Some(
                Draft::worth(lines, then, text, "arenas".to_owned(), Said::Plain)
                    .m(1, "arenas.most".to_owned())
                    .m(2, what_if("keep_last_arena", "\"false\"", "arenas"))
                    .m(19, "0".to_owned())
                    .that("each survivor keeps an arena of its own", (caches + logs).to_string())
                    .that("cache and log keep an arena each", "3".to_owned())
                    .that("each round keeps an arena", rounds.to_string())
                    .at(Show::Arenas, "")
                    .why("What lives long lies together now and keeps one arena; one more may stay because it is the last on its list.".to_owned()),
            )
        }
    }
}
