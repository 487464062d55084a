//! Questions of practice, answered by real interpreters: each one's operations run in a process that has allocated nothing before, and the
//! key is read off where the blocks really landed.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Stdio;

use real_cpython::beside::Real;
use real_cpython::outside::{compared, grouped, long};
use real_cpython::{i386, or_not_run};
use session::practice::{Happened, Header, LESSONS, Question, Record, Scale, Spot, Staged, question_at};
use sim_core::{Call, Domain, Profile};

use super::{driver, libraries};

/// Questions in a few seconds, all versions together, and in some minutes.
const FEW: u64 = 2_000;
const MANY: u64 = 100_000;

/// Questions that one driver is given.
const BATCH: usize = 500;

/// Of so many questions one is on arenas: theirs are as large as the interpreter's, and fill several.
const ARENAS: u64 = 12;

/// Question `number` of a version.
fn numbered(number: u64, profile: &Profile) -> Question {
    // Lessons 7 to 9.
    let small: Vec<&str> =
        LESSONS.into_iter().filter(|l| !["which-arena", "released", "survivor"].contains(l)).collect();
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
