//! Questions of practice, answered by real interpreters: each one's operations run in a process that has allocated nothing before, and the
//! key is read off where the blocks really landed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;

use real_cpython::beside::Real;
use real_cpython::outside::{compared, grouped, long};
use real_cpython::{i386, or_not_run};
use session::practice::{
    Answer, Asked, Happened, Header, LESSONS, Question, Record, Scale, Spot, Staged, question_at,
};
use sim_core::tape::Action;
use sim_core::{Call, Domain, Profile, Trace, TraceBuilder};

use super::{driver, libraries};

/// Questions in a few seconds, all versions together, and in some minutes.
const FEW: u64 = 2_000;
const MANY: u64 = 100_000;

/// Questions that one driver is given.
const BATCH: usize = 500;

/// Of so many questions one is on arenas: theirs are as large as the interpreter's, and fill several.
const ARENAS: u64 = 12;

/// The lessons, from the first on, whose keys are places.
const PLACES: usize = 11;

/// The lessons on what stands around pymalloc and its statistics: their keys follow from what a process prints in the end.
const LAYERS: std::ops::Range<usize> = PLACES..16;
/// Questions on each of them, level and version.
const LAYERED: u64 = 4;
const LAYERED_LONG: u64 = 60;

/// Question `number` of a version.
fn numbered(number: u64, profile: &Profile) -> Question {
    // Lessons 7 to 9.
    let small: Vec<&str> = LESSONS[..PLACES]
        .iter()
        .copied()
        .filter(|l| !["which-arena", "released", "survivor"].contains(l))
        .collect();
    let lesson = if number.is_multiple_of(ARENAS) {
        LESSONS[6 + (number / ARENAS % 3) as usize]
    } else {
        small[(number % small.len() as u64) as usize]
    };
    let level = (number / 7 % 3) as u8 + 1;
    let question = question_at(lesson, level, number, profile, Scale::Own);
    question.unwrap_or_else(|| panic!("{lesson}, level {level}, seed {number}, {}", profile.name))
}

/// What a real interpreter did of a question's operations.
fn record(told: &str, staged: &Staged, profile: &Profile) -> Result<Record, String> {
    let mut record = Record::of(profile);
    let mut now = Happened::default();
    let mut blocks = None;
    let mut whole = false;
    for line in told.lines() {
        let mut words = line.split(' ');
        let first = words.next().unwrap_or_default();
        let number = |word: Option<&str>| word.and_then(|w| w.parse::<u64>().ok()).ok_or(format!("`{line}`"));
        now.spot = match first {
            "" => continue,
            "+arena" => {
                now.obtained += 1;
                continue;
            }
            "-arena" => {
                now.released.push(number(words.next())?);
                continue;
            }
            "#pool" => {
                let (nextoffset, linked) = (number(words.next())?, number(words.next())?);
                record.header = Some(Header { nextoffset, linked });
                continue;
            }
            "#blocks" => {
                blocks = Some(number(words.next())?);
                continue;
            }
            "#end" => {
                whole = true;
                continue;
            }
            "-" => None,
            "raw" => Some(Spot::Raw),
            "null" => Some(Spot::Null),
            arena => Some(Spot::Block { arena: number(Some(arena))?, offset: number(words.next())? }),
        };
        record.happened.push(std::mem::take(&mut now));
    }
    if !whole || record.happened.len() as u64 != staged.trace.len() {
        return Err(format!("{} of {} operations: {told}", record.happened.len(), staged.trace.len()));
    }
    let (pooled, passed_on) = alive(staged, &record);
    // CPython counts both together.
    record.raw_blocks = blocks.map_or(passed_on, |blocks| blocks.cast_signed() - pooled);
    Ok(record)
}

/// Blocks that live in pools, and those that pymalloc passed on to the C library.
fn alive(staged: &Staged, record: &Record) -> (i64, i64) {
    let (mut pooled, mut passed_on) = (BTreeSet::new(), BTreeSet::new());
    for (index, happened) in record.happened.iter().enumerate() {
        let op = staged.trace.op(index as u64).unwrap();
        let id = match op.call {
            Call::Malloc { id, .. } | Call::Calloc { id, .. } => id,
            Call::Realloc { newid, id, .. } => {
                pooled.remove(&id);
                passed_on.remove(&id);
                newid
            }
            Call::Free { id } | Call::FreeKeep { id } => {
                pooled.remove(&id);
                passed_on.remove(&id);
                continue;
            }
            Call::Act(_) => continue,
        };
        match happened.spot {
            Some(Spot::Block { .. }) => {
                pooled.insert(id);
            }
            Some(Spot::Raw) if op.domain != Domain::Raw => {
                passed_on.insert(id);
            }
            _ => {}
        }
    }
    let count = |ids: &BTreeSet<u64>| i64::try_from(ids.len()).unwrap();
    (count(&pooled), count(&passed_on))
}

/// Asks a version so many questions, from a number on; those whose key is not what it does.
fn ask(real: &Real, profile: &Profile, from: u64, count: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    let numbers: Vec<u64> = (from..from + count).collect();
    for batch in numbers.chunks(BATCH) {
        let questions: Vec<(Question, Staged)> = batch
            .iter()
            .map(|&number| {
                let question = numbered(number, profile);
                let staged = Staged::new(&question.program, &question.then, profile).unwrap();
                (question, staged)
            })
            .collect();
        let mut text = Vec::new();
        for (index, (_, staged)) in questions.iter().enumerate() {
            if index > 0 {
                text.extend(b"# next\n");
            }
            trace_io::ptrace::write(&mut text, &staged.trace).unwrap();
        }
        let name = format!("{}-practice-{from}.ptrace", real.name.replace(' ', "-"));
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::write(&file, text).unwrap();
        let mut command = real.command(profile, &questions[0].1.trace, &file);
        command.args(["each=yes".to_owned(), format!("pool_size={}", profile.pool_size)]);
        let out = command.stderr(Stdio::inherit()).output().unwrap();
        assert!(out.status.success(), "{}: {}", real.name, out.status);
        let told = String::from_utf8(out.stdout).unwrap();
        let mut told = told.split_inclusive("#end\n");
        for (question, staged) in &questions {
            let answer = record(told.next().unwrap_or_default(), staged, profile)
                .map(|record| question.asked.answer(staged, &record));
            if answer.as_ref() != Ok(&Some(question.answer.clone())) {
                wrong.push(format!(
                    "CPython {}: {answer:?}, the key is {:?}: {}, level {}, seed {}",
                    real.name, question.answer, question.lesson, question.level, question.seed
                ));
            }
        }
        std::fs::remove_file(file).unwrap();
    }
    wrong
}

/// Asks all versions, in equal parts; what was wrong.
fn ask_all(versions: &[Real], all: u64, from: u64) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut text = String::new();
    for (index, real) in (0..).zip(versions) {
        let count = all / versions.len() as u64 + u64::from(index < all % versions.len() as u64);
        let here = ask(real, &real.profile, from + index * MANY, count);
        let _ = write!(text, "{}{} by {}", if index > 0 { ", " } else { "" }, grouped(count), real.name);
        wrong.extend(here);
    }
    compared("practice", &format!("{} questions, {} keys wrong ({text})", grouped(all), wrong.len()));
    wrong
}

#[test]
fn keys_of_practice_are_what_each_version_does() {
    let versions = libraries();
    if versions.is_empty() {
        return;
    }
    let wrong = ask_all(&versions, FEW, 0);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A question's operations as the driver can do them: a stack is told by nobody's code there.
fn driven(staged: &Staged) -> Trace {
    let mut tape = TraceBuilder::new("practice");
    for index in 0..staged.trace.len() {
        let op = staged.trace.op(index).unwrap();
        if !matches!(op.call, Call::Act(Action::Stack(_))) {
            tape.push(op).unwrap();
        }
    }
    tape.finish()
}

/// The key as a process's last words have it, where they do.
fn read_off(question: &Question, told: &str, profile: &Profile) -> Option<Answer> {
    let formula = match &question.asked {
        Asked::Formula(formula, _) => formula.as_str(),
        Asked::Which(all) if question.lesson == "hooks" => {
            let reports = |words: &str| told.contains(words);
            let words = ["bad ID", "bad leading pad byte", "bad trailing pad byte"];
            // The report ends before its last line, but what it found damaged stands in it.
            let found = match () {
                () if !told.contains("Debug memory block") => "nothing",
                () if !same_api(told, &question.then) => words[0],
                () if reports("pad bytes at p-")
                    && reports("are not all FORBIDDENBYTE (0xfd):\n        at p-") =>
                {
                    words[1]
                }
                () => words[2],
            };
            return all.iter().find(|one| one.say.contains(found)).map(|one| Answer::Said(one.say.clone()));
        }
        _ => return None,
    };
    let number = |words: &str| {
        let line = told.lines().find(|line| line.trim_start().starts_with(words))?;
        line.split_whitespace().rev().find_map(|word| word.replace(',', "").parse::<i64>().ok())
    };
    let traced = || {
        let line = told.lines().find_map(|line| line.strip_prefix("traced "))?;
        let mut numbers = line.split(' ').filter_map(|word| word.parse::<i64>().ok());
        Some((numbers.next()?, numbers.next()?))
    };
    let value = match formula {
        "traced.current" => traced()?.0,
        // Who asked was traced as well, for a moment.
        "traced.peak" => traced().filter(|(current, peak)| *peak > current + 28)?.1,
        _ if formula.starts_with("calls(") => {
            let table: usize = formula.strip_prefix("calls(")?.strip_suffix(')')?.parse().ok()?;
            let line = told.lines().filter(|line| line.starts_with("table ")).nth(table - 1)?;
            line.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse::<i64>().ok()).sum()
        }
        _ if formula.starts_with("offset(") => {
            let last = told.lines().take_while(|line| *line != "#stats").last()?;
            let offset: u64 = last.split(' ').nth(1)?.parse().ok()?;
            (offset % profile.pool_size).cast_signed()
        }
        "pools.unused" => {
            told.lines().find(|l| l.contains(" unused pools * "))?.split(' ').next()?.parse().ok()?
        }
        _ if formula.contains("unused pools") => {
            let line = told.lines().find(|line| line.contains(" unused pools * "))?;
            line.split_whitespace().last()?.replace(',', "").parse().ok()?
        }
        _ if formula.starts_with("stat(") => number(formula.split('"').nth(1)?)?,
        _ if formula.starts_with("class_avail(") => {
            let size = formula.strip_prefix("class_avail(")?.strip_suffix(')')?;
            let table = told.split("#stats").nth(1)?;
            let row = table.lines().find(|line| line.split_whitespace().nth(1) == Some(size))?;
            row.split_whitespace().last()?.parse().ok()?
        }
        _ if formula.starts_with("arena_blocks(0)") => {
            let before: usize = formula.split("- ").nth(1)?.parse().ok()?;
            let first =
                told.lines().take_while(|line| *line != "#stats").filter(|line| line.starts_with("0 "));
            i64::try_from(first.count() - before).ok()?
        }
        _ => return None,
    };
    Some(Answer::Number(value))
}

/// Whether a block was freed through the domain that its header names.
fn same_api(told: &str, then: &str) -> bool {
    let api = told.split(": API '").nth(1).and_then(|rest| rest.chars().next());
    let through =
        then.lines().last().and_then(|free| free.strip_prefix("free(x, ")).and_then(|d| d.chars().next());
    api == through
}

/// Without addresses in hexadecimal: those of the C library's blocks are each process's own.
fn without_addresses(told: &str) -> String {
    let lines = told.lines().map(|line| match line.split_once("=0x") {
        Some((before, rest)) => {
            format!("{before}{}\n", rest.trim_start_matches(|c: char| c.is_ascii_hexdigit()))
        }
        None => format!("{line}\n"),
    });
    lines.collect()
}

/// The lessons from 12 to 16: each question's operations in a process of their own, on both sides.
#[test]
fn keys_on_layers_are_what_each_version_does() {
    let versions = libraries();
    if versions.is_empty() {
        return;
    }
    let each = if std::env::var_os("ARENASCOPE_LONG").is_some_and(|value| !value.is_empty()) {
        LAYERED_LONG
    } else {
        LAYERED
    };
    let (mut asked, mut read, mut wrong) = (0, 0, Vec::new());
    for real in &versions {
        for lesson in &LESSONS[LAYERS] {
            for level in 1..=3 {
                for seed in 0..each {
                    let question =
                        question_at(lesson, level, seed + 5_000, &real.profile, Scale::Own).unwrap();
                    let profile = question.build(&real.profile).unwrap();
                    let staged = Staged::new(&question.program, &question.then, &profile).unwrap();
                    let name = format!("{}-practice-{lesson}-{level}-{seed}", real.name.replace(' ', "-"));
                    let (ours, theirs) = real.both(&profile, &driven(&staged), &name).unwrap();
                    asked += 1;
                    let found = read_off(&question, &theirs, &profile);
                    read += u64::from(found.is_some());
                    // What is not printed follows from what is: places, arenas, tables, statistics.
                    if without_addresses(&ours) != without_addresses(&theirs)
                        || found.is_some_and(|answer| answer != question.answer)
                    {
                        wrong.push(format!("CPython {}: {ours}\n--\n{theirs}\n{question:#?}", real.name));
                    }
                }
            }
        }
    }
    compared(
        "practice, layers",
        &format!(
            "{} questions on lessons 12 to 16 by {} versions, {} keys read off what they print, {} wrong; \
             lessons 22 and 23, on mimalloc, by the model only",
            grouped(asked),
            versions.len(),
            grouped(read),
            wrong.len()
        ),
    );
    assert!(wrong.is_empty(), "{} of {asked} wrong:\n{}", wrong.len(), wrong[0]);
    assert!(read > asked / 2, "{read} of {asked} keys were read off");
}

/// 3.8 gives back an arena that 3.9 keeps: questions that are made by the other one's rules must show it.
#[test]
fn keys_of_another_versions_rules_are_noticed() {
    let versions = libraries();
    for (minor, other) in [(8, "3.9"), (9, "3.8")] {
        let Some(real) = versions.iter().find(|real| real.name.starts_with(&format!("3.{minor}."))) else {
            continue;
        };
        let profile = Profile::for_python(other).profile;
        let count = 12 * ARENAS;
        let wrong = ask(real, &profile, 2_000_000, count);
        let right = count - wrong.len() as u64;
        assert!(!wrong.is_empty(), "CPython {} passes for {other}", real.name);
        assert!(right > count / 2, "{right} of {count}: {}", wrong.join("\n"));
    }
}

#[test]
fn many_keys_of_practice_are_what_each_version_does() {
    let what = "a hundred thousand questions of practice, answered by each CPython";
    if !long(what) {
        return;
    }
    let mut versions = libraries();
    let narrow = "questions of practice in a 32-bit CPython 3.11";
    if let Some((program, library)) = or_not_run(narrow, i386::driver_and_library()) {
        let profile = Profile::named("cpython-32bit").unwrap();
        let (name, driver) = ("32-bit 3.11".to_owned(), driver(program));
        versions.push(Real { name, driver, library, home: None, profile });
    }
    if versions.is_empty() {
        return;
    }
    let wrong = ask_all(&versions, MANY, 1_000_000);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
