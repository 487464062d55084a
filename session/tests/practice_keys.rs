//! Keys of practice from lesson 12 on, found in a second way: by accounts that are kept here, by the second pymalloc that wrong machines
//! are made of, and by what was recorded of Python.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use session::practice::{Answer, Asked, Question, Spot, Staged, question, wrong_record};
use sim_core::report::Placement;
use sim_core::tape::Action;
use sim_core::{Call, Domain, Machine, Profile};
use trace_io::lesson::{Lesson, Step};

const SEEDS: u64 = 150;

/// Asks a lesson's questions on some builds, and compares what `second` finds; how many it found.
fn compare(
    lesson: &str,
    builds: &[&str],
    mut second: impl FnMut(&Question, &Profile, &Staged) -> Option<Answer>,
) -> u64 {
    let mut found = 0;
    for name in builds {
        let profile = Profile::named(name).unwrap();
        for level in 1..=3 {
            for seed in 0..SEEDS {
                let question = question(lesson, level, seed + 1_000, &profile).unwrap();
                let build = question.build(&profile).unwrap();
                let staged = Staged::new(&question.program, &question.then, &build).unwrap();
                if let Some(answer) = second(&question, &build, &staged) {
                    assert_eq!(answer, question.answer, "{question:#?}");
                    found += 1;
                }
            }
        }
    }
    found
}

const PYMALLOC: [&str; 4] = ["cpython-3.14", "cpython-3.9", "cpython-3.8", "cpython-32bit"];

fn formula(question: &Question) -> &str {
    match &question.asked {
        Asked::Formula(formula, _) => formula,
        _ => "",
    }
}

fn number(value: impl TryInto<i64>) -> Option<Answer> {
    value.try_into().ok().map(Answer::Number)
}

/// The statement whose words begin so.
fn said(question: &Question, words: &str) -> Option<Answer> {
    let Asked::Which(all) = &question.asked else { return None };
    let mut one = all.iter().filter(|one| one.say.starts_with(words));
    let found = one.next().unwrap_or_else(|| panic!("\"{words}\": {question:#?}"));
    assert!(one.next().is_none(), "\"{words}\" is not one alone: {question:#?}");
    Some(Answer::Said(found.say.clone()))
}

/// A live block: its name, where it lies, and what was asked for.
struct Block {
    name: String,
    spot: Spot,
    size: u64,
}

/// All blocks that live at the end, by what each call of the machine returned.
fn ledger(staged: &Staged, profile: &Profile) -> Vec<Block> {
    let mut machine = Machine::for_trace(profile, &staged.trace, None).unwrap();
    let names: BTreeMap<u64, String> = staged.trace.head.names.iter().cloned().collect();
    let mut blocks: BTreeMap<u64, Block> = BTreeMap::new();
    for index in 0..staged.trace.len() {
        let pointer = machine.step(&staged.trace, index as usize, &mut ());
        let (id, size) = match staged.trace.op(index).unwrap().call {
            Call::Malloc { id, size } => (id, size),
            Call::Free { id } => {
                blocks.remove(&id);
                continue;
            }
            _ => continue,
        };
        let spot = match Placement::of_last(&machine, pointer) {
            Placement::Null => Spot::Null,
            Placement::Raw => Spot::Raw,
            Placement::Arena { ordinal, offset } => Spot::Block { arena: ordinal, offset },
        };
        blocks.insert(id, Block { name: names[&id].clone(), spot, size });
    }
    blocks.into_values().collect()
}

/// Pools that hold blocks, each with how many.
fn pools(blocks: &[Block], pool_size: u64) -> BTreeMap<(u64, u64), u64> {
    let mut pools = BTreeMap::new();
    for block in blocks {
        if let Spot::Block { arena, offset } = block.spot {
            *pools.entry((arena, offset / pool_size)).or_default() += 1;
        }
    }
    pools
}

/// Pools that fit between the borders of an arena that begins where the build's do.
fn whole_pools(profile: &Profile) -> u64 {
    let start = if profile.get("arena_placement").as_deref() == Some("page") { 4096 } else { 0 };
    (start + profile.arena_size) / profile.pool_size - u64::div_ceil(start, profile.pool_size)
}

#[test]
fn pools_of_an_arena_are_those_that_fit() {
    let found = compare("whose", &PYMALLOC, |question, profile, staged| {
        let blocks = ledger(staged, profile);
        if formula(question) == "pools.unused" {
            return number(whole_pools(profile) - pools(&blocks, profile.pool_size).len() as u64);
        }
        if formula(question).starts_with("arena_blocks(0)") {
            let first = |block: &&Block| matches!(block.spot, Spot::Block { arena: 0, .. });
            return number(blocks.iter().filter(first).filter(|block| block.name.starts_with('x')).count());
        }
        // Of addresses those are own that lie from the arena's first byte to its last.
        let asked = formula(question).replace(" + owned(", "\n");
        let listed = asked.strip_prefix("owned(")?.lines();
        let own = |address: &&str| {
            !["arena_addr(0) - 1)", "arena_addr(0) + arena.size)"].contains(address)
                && !address.starts_with("addr(y)")
        };
        number(listed.filter(own).count())
    });
    assert!(found > 1_000, "{found} keys");
}

#[test]
fn tables_see_what_comes_through_their_door() {
    let found = compare("domains", &PYMALLOC, |question, profile, staged| {
        let tables: Vec<Domain> = question
            .program
            .lines()
            .filter_map(|line| line.strip_prefix("set_allocator("))
            .map(|line| match &line[..3] {
                "raw" => Domain::Raw,
                "mem" => Domain::Mem,
                _ => Domain::Obj,
            })
            .collect();
        let mut sizes = BTreeMap::new();
        let mut seen: BTreeMap<Domain, u64> = BTreeMap::new();
        for index in 0..staged.trace.len() {
            let op = staged.trace.op(index).unwrap();
            let size = match op.call {
                Call::Malloc { id, size } => {
                    sizes.insert(id, size);
                    size
                }
                Call::Free { id } => sizes[&id],
                _ => continue,
            };
            if index < staged.shown as u64 {
                continue;
            }
            *seen.entry(op.domain).or_default() += 1;
            let small = (1..=profile.small_request_threshold).contains(&size);
            if op.domain != Domain::Raw && !small {
                *seen.entry(Domain::Raw).or_default() += 1;
            }
        }
        if question.level == 1 {
            let doors = [(Domain::Raw, "RAW"), (Domain::Mem, "MEM"), (Domain::Obj, "OBJ")];
            let names: Vec<&str> =
                doors.iter().filter(|(door, _)| seen.contains_key(door)).map(|(_, name)| *name).collect();
            return Some(Answer::Said(names.join(" and ")));
        }
        let table: usize = formula(question).strip_prefix("calls(")?.strip_suffix(')')?.parse().ok()?;
        number(seen.get(&tables[table - 1]).copied().unwrap_or(0))
    });
    assert_eq!(found, 4 * 3 * SEEDS);
}

/// The bytes around a block of N bytes, as the manual has them.
fn layout(at: i64, size: u64, pointer: i64, id: u8, freed: bool) -> u8 {
    let n = size.cast_signed();
    match at {
        _ if freed => 0xdd,
        _ if at < -pointer => size.to_be_bytes()[(8 + at + pointer) as usize],
        _ if at == -pointer => id,
        _ if at < 0 || at >= n => 0xfd,
        _ => 0xcd,
    }
}

#[test]
fn hooks_write_and_find_what_the_manual_says() {
    let found = compare("hooks", &PYMALLOC, |question, profile, staged| {
        let pointer = i64::from(profile.pointer_bytes);
        let all = format!("{}\n{}", question.program, question.then);
        let call = all.lines().find_map(|line| line.strip_prefix("x = malloc("));
        let x = call.map(|call| call.trim_end_matches(')').split_once(", ").unwrap());
        match question.level {
            1 => {
                let (size, domain) = x?;
                let at = formula(question).strip_prefix("byte(x, ")?.strip_suffix(')')?.parse().ok()?;
                let freed = question.then.starts_with("free_keep");
                number(layout(at, size.parse().ok()?, pointer, domain.as_bytes()[0], freed))
            }
            2 => {
                let (size, domain) = x?;
                let size: i64 = size.parse().ok()?;
                let poke = question.then.lines().find_map(|line| line.strip_prefix("poke(x, "))?;
                let at: i64 = poke.split(',').next()?.parse().ok()?;
                let through = question.then.lines().last()?.strip_prefix("free(x, ")?.trim_end_matches(')');
                said(
                    question,
                    match at {
                        _ if through != domain || at == -pointer => "the free reports a bad ID",
                        _ if (-pointer..0).contains(&at) => "the free reports a bad leading",
                        // A size that is one less has its tail a byte too early.
                        _ if at < 0 || at >= size => "the free reports a bad trailing",
                        _ => "nothing",
                    },
                )
            }
            _ => {
                let (mut of_class, mut last) = (BTreeMap::new(), 0);
                for index in 0..staged.trace.len() {
                    if let Call::Malloc { size, .. } = staged.trace.op(index).unwrap().call {
                        let block = (size + 3 * pointer.cast_unsigned()).next_multiple_of(profile.alignment);
                        let before: &mut u64 = of_class.entry(block).or_default();
                        last = profile.pool_overhead() + *before * block + 2 * pointer.cast_unsigned();
                        *before += 1;
                    }
                }
                number(last)
            }
        }
    });
    assert_eq!(found, 4 * 3 * SEEDS);
}

#[test]
fn traces_are_requests_since_the_start() {
    let builds = ["cpython-3.14", "cpython-3.8", "cpython-32bit", "cpython-3.14t"];
    let found = compare("tracemalloc", &builds, |question, _, staged| {
        let (mut traces, mut peak, mut tracing) = (BTreeMap::new(), 0, false);
        let mut line = String::new();
        let text = format!("{}\n{}", question.program, question.then);
        let mut lines = text.lines();
        for index in 0..staged.trace.len() {
            let written = lines.next()?;
            match staged.trace.op(index).unwrap().call {
                Call::Malloc { id, size } if tracing => {
                    traces.insert(id, (size, line.clone()));
                }
                Call::Realloc { id, newid, size } => {
                    traces.remove(&id);
                    traces.insert(newid, (size, line.clone()));
                }
                Call::Free { id } => {
                    traces.remove(&id);
                }
                Call::Act(Action::TracemallocStart(_)) => tracing = true,
                Call::Act(Action::TracemallocClear) => {
                    traces.clear();
                    peak = 0;
                }
                Call::Act(Action::Stack(_)) => written.clone_into(&mut line),
                _ => {}
            }
            peak = peak.max(traces.values().map(|(size, _)| size).sum::<u64>());
        }
        let current: u64 = traces.values().map(|(size, _)| size).sum();
        match formula(question) {
            "traced.current" => number(current),
            "traced.peak" => {
                assert_ne!(peak, current, "{question:#?}");
                number(peak)
            }
            _ => number(traces.values().filter(|(_, at)| *at == line).map(|(size, _)| size).sum::<u64>()),
        }
    });
    assert_eq!(found, 4 * 3 * SEEDS);
}

#[test]
fn statistics_follow_from_where_blocks_lie() {
    let found = compare("stats", &PYMALLOC, |question, profile, staged| {
        let blocks = ledger(staged, profile);
        let used = pools(&blocks, profile.pool_size);
        let (header, room) = (profile.pool_overhead(), profile.pool_size - profile.pool_overhead());
        // The block size of each pool.
        let mut size_of = BTreeMap::new();
        for block in &blocks {
            if let Spot::Block { arena, offset } = block.spot {
                let place = (arena, offset / profile.pool_size);
                size_of.insert(place, block.size.next_multiple_of(profile.alignment));
            }
        }
        let sum = |what: &dyn Fn(u64, u64) -> u64| {
            used.iter().map(|(place, &count)| what(size_of[place], count)).sum::<u64>()
        };
        let asked = formula(question);
        let avail = asked.strip_prefix("class_avail(").and_then(|rest| rest.strip_suffix(')'));
        assert_ne!(question.answer, Answer::Number(0), "a line with 0 tells nothing: {question:#?}");
        number(match asked {
            _ if let Some(class) = avail.and_then(|class| class.parse::<u64>().ok()) => {
                sum(&|block, count| if block == class { room / block - count } else { 0 })
            }
            _ if asked.contains("allocated blocks") => sum(&|block, count| block * count),
            _ if asked.contains("available blocks") => sum(&|block, count| (room / block - count) * block),
            _ if asked.contains("unused pools") => {
                (whole_pools(profile) - used.len() as u64) * profile.pool_size
            }
            _ if asked.contains("pool headers") => used.len() as u64 * header,
            _ => sum(&|block, _| room % block),
        })
    });
    assert_eq!(found, 4 * 3 * SEEDS);
}

/// Arenas of a build after a question's operations: by the pymalloc that wrong machines are made of.
fn arenas(question: &Question, profile: &Profile) -> (u64, u64) {
    let staged = Staged::new(&question.program, &question.then, profile).unwrap();
    let record = wrong_record(&[], &staged, profile).unwrap();
    let obtained: u64 = record.happened.iter().map(|happened| happened.obtained).sum();
    let released: usize = record.happened.iter().map(|happened| happened.released.len()).sum();
    (obtained, obtained - released as u64)
}

/// The value of a setting or a profile in `what_if("key", value, …)`.
fn alternative(question: &Question) -> Option<&str> {
    formula(question).split(", ").nth(1).map(|value| value.trim_matches('"'))
}

/// The program as it was written for the question's own arenas: its counts are no formulas any more.
fn with_counts(question: &Question, profile: &Profile) -> Question {
    let pools = (profile.arena_size / profile.pool_size).to_string();
    let mut fixed = question.clone();
    fixed.program = fixed.program.replace("arena.pools", &pools);
    fixed
}

#[test]
fn arenas_of_another_size_are_what_a_second_pymalloc_has() {
    let found = compare("what-ifs", &PYMALLOC, |question, profile, _| {
        let other = profile.clone().changed(&[("arena_size".to_owned(), alternative(question)?.to_owned())]);
        let other = other.unwrap();
        let (_, left) = arenas(&with_counts(question, profile), &other);
        let (_, now) = arenas(question, profile);
        let worth = |left: u64, profile: &Profile| {
            if formula(question).contains("arena.size") { left * profile.arena_size } else { left }
        };
        assert_ne!(worth(left, &other), worth(now, profile), "it changes nothing: {question:#?}");
        number(worth(left, &other))
    });
    assert_eq!(found, 4 * 3 * SEEDS);
}

#[test]
fn other_builds_have_what_a_second_pymalloc_has() {
    let found = compare("versions", &PYMALLOC[..2], |question, _, _| {
        if question.level == 1 || formula(question).contains("pools.unused") {
            return None;
        }
        let other = Profile::named(alternative(question)?).unwrap();
        number(arenas(question, &other).1 * other.arena_size)
    });
    assert!(found > 2 * SEEDS, "{found} keys");
}

#[test]
fn what_is_kept_is_kept_by_what_lives() {
    let found = compare("diagnosis", &PYMALLOC, |question, profile, staged| {
        let blocks = ledger(staged, profile);
        let mut keepers: BTreeMap<u64, BTreeSet<char>> = BTreeMap::new();
        for block in &blocks {
            if let Spot::Block { arena, .. } = block.spot {
                keepers.entry(arena).or_default().extend(block.name.chars().next());
            }
        }
        match question.level {
            1 => {
                let number: u64 =
                    question.text.split("holds arena ").nth(1)?.split(' ').next()?.parse().ok()?;
                let record = wrong_record(&[], staged, profile).unwrap();
                let gone = record.happened.iter().any(|happened| happened.released.contains(&number));
                let who: String = keepers.get(&number).into_iter().flatten().collect();
                said(
                    question,
                    match who.as_str() {
                        "c" => "the cache alone",
                        "g" => "the log alone",
                        "cg" => "the cache and",
                        _ if gone => "nobody: it has gone",
                        _ => "nobody: it is kept",
                    },
                )
            }
            2 => {
                let alone = |who: &&BTreeSet<char>| who.iter().collect::<String>() == "c";
                number(keepers.values().filter(alone).count())
            }
            _ => number(arenas(question, profile).1),
        }
    });
    assert_eq!(found, 4 * 3 * SEEDS);
}

fn recorded(name: &str) -> Lesson {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/python").join(name);
    Lesson::parse(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn runs(lesson: &Lesson) -> Vec<&str> {
    lesson
        .steps
        .iter()
        .filter_map(|step| match step {
            Step::Run(text) => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn expressions_ask_for_what_was_recorded() {
    // Of each version that was recorded, the bytes of a name.
    let sizes = |name: &str, block: &str| {
        let lesson = recorded(name);
        let all = runs(&lesson).join("\n");
        let call = all.lines().find_map(|line| line.strip_prefix(&format!("{block} = "))).unwrap().to_owned();
        let inner = call.split_once('(').unwrap().1.trim_end_matches(')').to_owned();
        inner.split(", ").last().unwrap().parse::<u64>().unwrap()
    };
    let mut known: BTreeMap<&str, u64> = BTreeMap::new();
    for version in ["objects-3.8.ron", "objects-3.11.ron", "objects-3.13.ron"] {
        for (text, name) in [
            ("object()", "a"),
            ("n / 3", "f"),
            ("k << 60", "big"),
            ("[]", "items"),
            ("Slots()", "slots"),
            ("(None, None)", "pair"),
        ] {
            let size = sizes(version, name);
            assert_eq!(*known.entry(text).or_insert(size), size, "{text} of {version}");
        }
    }
    assert_eq!((sizes("tuple-3.13.ron", "u"), sizes("bytes-3.13.ron", "a")), (40 + 4 * 8, 33 + 479));
    let mut seen = BTreeSet::new();
    let found = compare("objects", &["cpython-3.14", "cpython-3.9"], |question, profile, staged| {
        let mut blocks = 0;
        for (line, text) in question.then.lines().zip(question.text.split(" = ").skip(1)) {
            let text = text.split('`').next()?;
            let size: u64 = line.split_once("malloc(")?.1.trim_end_matches(')').parse().ok()?;
            let told = match text {
                _ if let Some(bytes) = text.strip_prefix("bytes(") => {
                    33 + bytes.trim_end_matches(')').parse::<u64>().ok()?
                }
                _ if text.contains("None") => 40 + 8 * text.matches("None").count() as u64,
                _ => known[text],
            };
            assert_eq!(size, told, "{text}");
            seen.insert(text.split('(').next()?.to_owned());
            blocks += size.next_multiple_of(profile.alignment);
        }
        if question.level == 2 {
            let record = wrong_record(&[], staged, profile).unwrap();
            return question.asked.answer(staged, &record);
        }
        number(blocks)
    });
    assert_eq!((found, seen.len()), (2 * 3 * SEEDS, known.len() + 1), "{seen:?}");
}

#[test]
fn lists_grow_as_they_were_recorded() {
    // Bytes that the items ask for, one after the other, while a list grows.
    let steps = |name: &str| {
        let lesson = recorded(name);
        let all = runs(&lesson).join("\n");
        let sizes = all.lines().filter(|line| line.contains("realloc("));
        sizes.map(|line| line.split(", ").nth(1).unwrap().parse().unwrap()).collect::<Vec<u64>>()
    };
    let mut longest = 0;
    for (build, name) in [("cpython-3.8", "list-append-3.8.ron"), ("cpython-3.14", "list-append-3.13.ron")] {
        let recorded = steps(name);
        assert!(recorded.len() > 10, "{recorded:?}");
        let found = compare("growth", &[build], |question, _, _| {
            let all = format!("{}\n{}", question.program, question.then);
            let sizes: Vec<u64> = all
                .lines()
                .filter(|line| line.contains("realloc("))
                .map(|line| line.split(", ").nth(1).unwrap().parse().unwrap())
                .collect();
            let both = sizes.len().min(recorded.len());
            assert_eq!(sizes[..both], recorded[..both], "{question:#?}");
            longest = longest.max(both);
            if question.level == 3 {
                // All in pools, and each step is of another class.
                let steps = question.then.matches("realloc(").count();
                let all = sizes[sizes.len() - steps..].iter().sum::<u64>();
                return if formula(question).starts_with("size(") { number(all) } else { number(steps) };
            }
            let per = if formula(question).ends_with("// 1") { 1 } else { 8 };
            number(sizes.last()? / per)
        });
        assert_eq!(found, 3 * SEEDS);
    }
    assert!(longest > 10, "{longest} steps");
}

#[test]
fn types_keep_as_many_as_was_recorded() {
    let lesson = recorded("type-lists-3.13.ron");
    let frees: Vec<&str> =
        runs(&lesson).into_iter().filter(|run| run.starts_with("for i in range(19, -1, -1)")).collect();
    // Of 100 lists and 120 floats, 20 went back each.
    assert!(
        frees.len() == 2 && frees[0].contains("free(x[i])") && frees[1].contains("free(f[i])"),
        "{frees:?}"
    );
    let found = compare("type-lists", &["cpython-3.14", "cpython-3.8"], |question, _, _| {
        let counts: Vec<u64> =
            question.text.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect();
        let most = if question.text.contains("empty lists") { 100 - 20 } else { 120 - 20 };
        let kept = counts[0].min(most);
        match question.level {
            1 if question.text.contains("stay with the type") => number(kept),
            1 => number(counts[0] - kept),
            2 => number(counts[1].saturating_sub(kept) + 1),
            _ => number(kept.max(counts[1]) + 1 + counts[3]),
        }
    });
    assert_eq!(found, 2 * 3 * SEEDS);
}

#[test]
fn mimalloc_exchanges_its_lists_only_when_one_is_empty() {
    let found =
        compare("mi-lists", &["cpython-3.13t", "cpython-3.14t", "cpython-3.15t"], |question, _, staged| {
            // Places by their numbers on the page, in the order in which they were made ready.
            let (mut free, mut local, mut made, mut ready) = (Vec::new(), Vec::new(), 0, 0);
            let mut places: BTreeMap<u64, u64> = BTreeMap::new();
            let names: BTreeMap<u64, String> = staged.trace.head.names.iter().cloned().collect();
            let mut by_name: BTreeMap<String, u64> = BTreeMap::new();
            let mut last = 0;
            for index in 0..staged.trace.len() {
                match staged.trace.op(index).unwrap().call {
                    Call::Malloc { id, size } => {
                        let block = size.next_multiple_of(if size > 512 { 128 } else { 64 });
                        if ready == 0 {
                            ready = (4096 / block).max(4);
                        }
                        if free.is_empty() {
                            free = std::mem::take(&mut local);
                        }
                        if free.is_empty() {
                            free.extend((made..made + ready).rev());
                            made += ready;
                        }
                        last = free.pop()?;
                        places.insert(id, last);
                        by_name.insert(names[&id].clone(), last);
                    }
                    Call::Free { id } => local.push(places[&id]),
                    _ => {}
                }
            }
            let whose = |n: u64| by_name.get(&format!("b[{n}]")).copied();
            if question.level == 3 {
                let about: u64 =
                    question.text.split("the place of `b[").nth(1)?.split(']').next()?.parse().ok()?;
                return number((1..100).find(|n| by_name.get(&format!("n[{n}]")) == whose(about).as_ref())?);
            }
            let freed: Vec<u64> = (1..20)
                .filter(|n| {
                    format!("{}\n{}", question.program, question.then).contains(&format!("free(b[{n}])"))
                })
                .collect();
            match freed.into_iter().find(|&n| whose(n) == Some(last)) {
                Some(n) => said(question, &format!("the place of `b[{n}]`")),
                None => said(question, "a place of the page"),
            }
        });
    assert_eq!(found, 3 * 3 * SEEDS);
}

#[test]
fn a_block_goes_to_its_owners_list_or_mailbox() {
    let found =
        compare("threads", &["cpython-3.13t", "cpython-3.14t", "cpython-3.15t"], |question, _, staged| {
            let mut owners = BTreeMap::new();
            let mut last = None;
            for index in 0..staged.trace.len() {
                let op = staged.trace.op(index).unwrap();
                match op.call {
                    Call::Malloc { id, .. } => {
                        owners.insert(id, op.thread);
                    }
                    Call::Free { id } => last = Some(owners[&id] == op.thread),
                    _ => {}
                }
            }
            if question.level > 1 {
                return None;
            }
            said(question, if last? { "on local_free" } else { "in the mailbox" })
        });
    assert_eq!(found, 3 * SEEDS);
}

#[test]
fn interpreters_have_the_arenas_of_their_states() {
    let found = compare("interpreters", &["cpython-3.12", "cpython-3.14"], |question, _, _| {
        // Whose state each interpreter uses, and the live blocks of each state.
        let (mut states, mut live) = (vec![0_usize], BTreeMap::from([(0, 0_i64)]));
        let mut kept = BTreeSet::from([0]);
        let mut running = 0;
        let mut fresh = false;
        let mut last = 0;
        for line in question.program.lines().chain(question.then.lines()) {
            let number =
                |line: &str| line.chars().filter(char::is_ascii_digit).collect::<String>().parse::<usize>();
            if line.starts_with("interpreter_new(") {
                let own = line.contains("True");
                states.push(if own { states.len() } else { 0 });
            } else if line.starts_with("interpreter_switch(") {
                running = number(line).unwrap();
            } else if line.starts_with("interpreter_end(") {
                let state = states[number(line).unwrap()];
                if state != 0 && live.get(&state) == Some(&0) {
                    kept.remove(&state);
                }
                running = 0;
            } else if line.starts_with("free(") {
                *live.entry(states[running]).or_default() -= 1;
            } else {
                last = states[running];
                fresh = kept.insert(last);
                *live.entry(last).or_default() += 1;
            }
        }
        if question.level > 1 {
            return number(kept.len());
        }
        match last {
            0 => said(question, "in the arena of `a`"),
            _ if fresh || live[&last] > 0 => said(question, "in a new arena, which is"),
            _ => None,
        }
    });
    assert_eq!(found, 2 * 3 * SEEDS);
}
