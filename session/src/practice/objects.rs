//! Templates of the lessons on Python's objects, 18 to 20. What an expression asks for, how lists grow and how many dead objects a type keeps
//! was recorded (`traces/python`); of those the sizes are here that every recorded version has. What comes of such requests the machine says.

use trace_io::lesson::{Show, truth};

use super::asked::{Asked, Said, and};
use super::draft::{Build, Draft, letter};
use super::rule::Rule;
use crate::dice::Dice;

/// An expression, the bytes that it asks for, and how many of those the garbage collector's header takes.
type Object = (String, u64, u64);

fn object(dice: &mut Dice) -> Object {
    let fixed =
        [("object()", 16, 0), ("n / 3", 24, 0), ("k << 60", 36, 0), ("[]", 56, 16), ("Slots()", 56, 16)];
    match dice.within(0, 7) {
        kind @ 0..=4 => {
            let (text, size, header) = fixed[kind as usize];
            (text.to_owned(), size, header)
        }
        5 => {
            let items = dice.within(2, 9);
            let text: Vec<String> = (0..items).map(|_| "None".to_owned()).collect();
            (format!("({})", text.join(", ")), 40 + 8 * items, 16)
        }
        _ => {
            let bytes = dice.within(1, 400);
            (format!("bytes({bytes})"), 33 + bytes, 0)
        }
    }
}

/// What the names in the expressions are.
const NAMES: &str = "`n` and `k` are ints over 1,000, below 10,000; `Slots` is a class with three slots. No type has a dead object left.";

/// 18: the block that an expression takes.
pub(super) fn objects(dice: &mut Dice, level: u8, build: &Build<'_>) -> Draft {
    let count = match level {
        1 => 1,
        2 => dice.within(4, 6),
        _ => dice.within(8, 12),
    };
    let mut all: Vec<Object> = (0..count).map(|_| object(dice)).collect();
    if level == 2 {
        // Sizes around one class, so that rounding decides.
        let near = dice.within(40, 380);
        for (text, size, header) in &mut all {
            if *header == 0 {
                let bytes = near + dice.within(0, 32);
                (*text, *size) = (format!("bytes({bytes})"), 33 + bytes);
            }
        }
        all.push((format!("bytes({})", near + 16), 33 + near + 16, 0));
    }
    let name = |at: usize| letter(at);
    let said: Vec<String> =
        all.iter().enumerate().map(|(at, (text, ..))| format!("`{} = {text}`", name(at))).collect();
    let then: Vec<String> =
        all.iter().enumerate().map(|(at, (_, size, _))| format!("{} = malloc({size})", name(at))).collect();
    let lines = vec![format!("w = malloc({})", dice.within(1, 500))];
    let named = if all.iter().any(|(text, ..)| text.contains(['/', '<', 'S'])) {
        NAMES
    } else {
        "No type has a dead object left."
    };
    let next = format!("{named} Next: {}.", and(&said));
    let why = "An object asks for its own bytes, and one that can be in a cycle for 16 more in front of them; the request is rounded up to its class.";
    if level == 2 {
        let last = name(all.len() - 1);
        let others: Vec<String> = (0..all.len() - 1).map(name).collect();
        let rules = [Rule::ExactSize, Rule::OtherSteps, Rule::PowersOfTwo, Rule::PoolForEach];
        return Draft::new(
            lines,
            then,
            format!("{next} Which of the others lie in one pool with `{last}`?"),
            Asked::Shares(last, others),
        )
        .against(&rules)
        .needs(&rules[..1])
        .at(Show::Pools, "")
        .why(why.to_owned());
    }
    let sum = |what: &dyn Fn(&Object) -> u64| all.iter().map(what).sum::<u64>().to_string();
    let (text, formula) = if level == 1 {
        (format!("{next} How many bytes has the block that it takes?"), "block(size(a))".to_owned())
    } else {
        let formula = "bytes.live - block(size(w))".to_owned();
        (format!("{next} How many bytes have the blocks of these {count} objects together?"), formula)
    };
    Draft::worth(lines, then, text, formula, Said::Bytes)
        .m(27, sum(&|(_, size, _)| *size))
        .m(7, sum(&|(_, size, _)| size.next_multiple_of(8)))
        .that("the collector's header is not asked for", sum(&|(_, size, header)| build.block(size - header)))
        .that(
            "each object has the collector's header",
            sum(&|(_, size, header)| build.block(size + 16 - header)),
        )
        .that("blocks are as long as powers of two", sum(&|(_, size, _)| size.next_power_of_two()))
        .that(
            "an object has nothing but its value",
            sum(&|(_, size, header)| build.block((size - header).saturating_sub(16).max(1))),
        )
        .at(Show::Classes, "")
        .why(why.to_owned())
}

/// How many items a list has room for that grows to `length` by appends.
fn capacity(length: u64, old: bool) -> u64 {
    if old {
        length + (length >> 3) + if length < 9 { 3 } else { 6 }
    } else {
        (length + (length >> 3) + 6) & !3
    }
}

/// The capacities of a list that is appended to, from empty, with the lengths at which they come.
fn steps(to: u64, rule: &dyn Fn(u64) -> u64) -> Vec<(u64, u64)> {
    let (mut steps, mut room) = (Vec::new(), 0);
    while room < to {
        let length = room + 1;
        room = rule(length);
        steps.push((length, room));
    }
    steps
}

/// 19: the capacity of a list that grows; how often its items move.
pub(super) fn growth(dice: &mut Dice, level: u8, build: &Build<'_>) -> Option<Draft> {
    let old = truth("version < 309", build.profile).ok()?;
    let more = match level {
        1 => dice.within(1, 4),
        2 => dice.within(3, 6),
        _ => dice.within(8, 15),
    };
    let rule = |length: u64| capacity(length, old);
    // Of a long list the bytes are asked for: what is the C library's moves or not, as that likes.
    let sums = dice.within(0, 2) > 0;
    let length = if level == 3 {
        dice.within(5, if sums { 400 } else { 50 })
    } else {
        // Near a step: full, or not quite.
        let all = steps(200_000, &rule);
        let (_, room) = all[dice.within(1, all.len() as u64 - 2) as usize];
        room - dice.within(0, (more + 2).min(room - 5))
    };
    let (now, then_steps) = (steps(length, &rule), steps(length + more, &rule));
    let spare = now.last()?.1;
    let item = 8;
    let mut lines = vec!["x = malloc(56)".to_owned()];
    let mut calls = Vec::new();
    for (at, (_, room)) in then_steps.iter().enumerate() {
        calls.push(match at {
            0 => format!("y0 = realloc(NULL, {}, mem)", room * item),
            _ => format!("y{at} = realloc(y{}, {}, mem)", at - 1, room * item),
        });
    }
    let mut then = calls.split_off(now.len());
    let made = then.len();
    lines.extend(calls);
    // Something happens in any case.
    then.push("v = malloc(24)".to_owned());
    let last = format!("y{}", then_steps.len() - 1);
    let about = format!(
        "A list was filled by `append` alone and has {length} items{}. Next {more} more {} appended, and a float is made.",
        if level == 3 { String::new() } else { format!(" and room for {spare}") },
        if more == 1 { "is" } else { "are" }
    );
    let doubled = |length: u64| length.next_power_of_two().max(4);
    // The room after the appends, if it grows by another rule once it is full.
    let grown = |next: &dyn Fn(u64) -> u64| if length + more > spare { next(spare) } else { spare };
    let why = format!(
        "Where the items do not fit any more, this version makes room for {}.",
        if old {
            "n + n // 8 + 6 of them, and 3 instead of 6 below 9"
        } else {
            "n + n // 8 + 6 of them, rounded down to a multiple of 4"
        }
    );
    if level == 3 {
        if made < 1 {
            return None;
        }
        if sums {
            let asked: Vec<String> = (now.len()..then_steps.len()).map(|at| format!("size(y{at})")).collect();
            let sum = |rule: &dyn Fn(u64) -> u64| {
                let all = steps(length + more, rule);
                all.iter()
                    .filter(|(at, _)| *at > length)
                    .map(|(_, room)| room * item)
                    .sum::<u64>()
                    .to_string()
            };
            let text =
                format!("{about} How many bytes do its items ask for on the way, all requests together?");
            return Some(
                Draft::worth(lines, then, text, asked.join(" + "), Said::Bytes)
                    .m(30, sum(&doubled))
                    .m(31, sum(&|length| capacity(length, !old)))
                    .that(
                        "each append asks for one more",
                        (1..=more).map(|n| (length + n) * item).sum::<u64>().to_string(),
                    )
                    .that("only the new items are asked for", (more * item).to_string())
                    .that(
                        "the list ends with the room for its items alone",
                        ((length + more) * item).to_string(),
                    )
                    .late()
                    .at(Show::Pools, "")
                    .why(why),
            );
        }
        // All of them lie in pools, and each step is one of another class.
        if then_steps.last()?.1 * item > build.most {
            return None;
        }
        let moved: Vec<String> =
            (now.len()..then_steps.len()).map(|at| format!("(place(y{at}) != place(y{}))", at - 1)).collect();
        let moves = |rule: &dyn Fn(u64) -> u64| {
            (steps(length + more, rule).len() - steps(length, rule).len()).to_string()
        };
        return Some(
            Draft::worth(
                lines,
                then,
                format!("{about} How often do its items move?"),
                moved.join(" + "),
                Said::Plain,
            )
            .m(30, moves(&doubled))
            .m(31, moves(&|length| capacity(length, !old)))
            .m(32, "0".to_owned())
            .that("each append moves them", more.to_string())
            .that("they move at every fourth append", (more / 4).to_string())
            .that("they move at every eighth append", (more / 8).to_string())
            .at(Show::Pools, "")
            .why(why),
        );
    }
    let bytes = dice.within(0, 1) == 0;
    let (question, unit, said) = if bytes {
        ("How many bytes have its items asked for then?", item, Said::Bytes)
    } else {
        ("For how many items has it room then?", 1, Said::Plain)
    };
    let room = |items: u64| (items * unit).to_string();
    let formula = format!("size({last}) // {}", item / unit);
    let draft = Draft::worth(lines, then, format!("{about} {question}"), formula, said)
        .m(30, room(grown(&|room| 2 * room)))
        .m(31, room(grown(&|room| capacity(room + 1, !old))))
        .that("a list has no room to spare", room(length + more))
        .that("a list grows whenever it is appended to", room(capacity(length + more, old)))
        .that("a list that is nearly full grows at once", room(rule(spare + 1)))
        .that("a list grows by a half", room(grown(&|room| room + room / 2)))
        .that("it makes room for an eighth and no more", room(grown(&|room| room + room.div_ceil(8))));
    Some(draft.late().at(Show::Pools, "").why(why))
}

/// 20: what goes back to the pools and what a type keeps.
pub(super) fn type_lists(dice: &mut Dice, level: u8, _: &Build<'_>) -> Draft {
    let lists = dice.within(0, 1) == 0;
    let (kind, size, most) = if lists { ("empty lists", 56, 80) } else { ("floats", 24, 100) };
    let made = if dice.within(0, 3) == 0 { dice.within(20, most) } else { dice.within(most + 5, 260) };
    let kept = made.min(most);
    let mut lines = vec![format!("for i in range({made}): x[i] = malloc({size})")];
    let mut then = Vec::new();
    let (mut drop, text) =
        (Vec::new(), format!("A program made {made} {kind}, when the type had none of its own to hand out."));
    if made > kept {
        drop.push(format!("for i in range({}, -1, -1): free(x[i])", made - kept - 1));
    }
    let other = dice.within(100, 480);
    let why = format!(
        "The type keeps {most} dead objects at most and hands those out first; the others go to the pools. This was recorded, from 3.8 to 3.13."
    );
    let live = |kept: u64, new: u64, left: u64| (kept.max(new) + left).to_string();
    if level == 1 {
        then.append(&mut drop);
        then.push(format!("s = malloc({other})"));
        let asks_kept = dice.within(0, 1) == 0 || made == kept;
        let (question, formula) = if asks_kept {
            (format!("How many blocks of the {made} stay with the type?"), "blocks.live - 1".to_owned())
        } else {
            (
                format!("How many of the {made} blocks go back to the pools?"),
                format!("{made} - (blocks.live - 1)"),
            )
        };
        let value = |kept: u64| if asks_kept { kept } else { made - kept.min(made) }.to_string();
        let draft = Draft::worth(lines, then, format!("{text} Next all are dropped, the last one first, and a string is made of {other} bytes. {question}"), formula, Said::Plain)
            .m(24, value(made))
            .that("no type keeps dead objects", value(0))
            .that("lists and floats have the same limit", value(made.min(180 - most)))
            .that("a type keeps half of them", value(made / 2))
            .that("a type keeps ten at most", value(10));
        return draft.late().at(Show::Pools, "").why(why);
    }
    lines.append(&mut drop);
    let dead = format!("{text} All were dropped, the last one first.");
    let new = dice.within(10, 200);
    if new > kept {
        then.push(format!("for i in range({}): y[i] = malloc({size})", new - kept));
    }
    then.push(format!("s = malloc({other})"));
    let again = format!("Next {new} {kind} are made, and a string of {other} bytes.");
    if level == 2 {
        let draft = Draft::worth(
            lines,
            then,
            format!("{dead} {again} How often is the allocator asked for a block?"),
            format!("blocks.live - {kept}"),
            Said::Plain,
        )
        .m(14, (new + 1).to_string())
        .m(24, (new.saturating_sub(made) + 1).to_string())
        .that("the string comes from a type's list as well", new.saturating_sub(kept).to_string())
        .that("lists and floats have the same limit", (new.saturating_sub(180 - most) + 1).to_string())
        .that("one list serves all types", "1".to_owned());
        return draft.late().at(Show::Pools, "").why(why);
    }
    let more = dice.within(5, 120);
    let name = if lists { "tuples of two" } else { "ints over 1,000" };
    let other_size = if lists { 56 } else { 32 };
    then.push(format!("for i in range({more}): t[i] = malloc({other_size})"));
    let draft = Draft::worth(
        lines,
        then,
        format!("{dead} {again} Then {more} {name} are made, which take blocks of the same size. How many blocks do pools have in use then?"),
        "blocks.live".to_owned(),
        Said::Plain,
    )
    .m(14, live(kept, new + more, 1))
    .m(24, live(made, new, 1 + more))
    .that("no type keeps dead objects", (new + more + 1).to_string())
    .that("dead objects are no blocks in use", (new + more + 1).to_string())
    .that("new objects never take dead ones", (kept + new + more + 1).to_string())
    .that("lists and floats have the same limit", live(made.min(180 - most), new, 1 + more));
    draft.late().at(Show::Pools, "").why(why)
}
