//! The course that ships: every claim of every lesson under every profile that it holds for.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use session::lesson::{
    GLOSSARY, MISCONCEPTIONS, STATE_FUNCTIONS, STATE_NAMES, Task, compile, definition, misconception,
};
use sim_core::profile::PRESETS;
use sim_core::{Call, Domain, Kind};
use trace_io::lesson::text::{Written, read};
use trace_io::lesson::{Lesson, Step};
use trace_io::program::expr::{CONSTANTS, FUNCTIONS};
use trace_io::program::words::CALLS;

fn course() -> Vec<Lesson> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/course");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let lessons: Vec<Lesson> = files
        .iter()
        .map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            let lesson = Lesson::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            assert_eq!(name, format!("{:02}-{}.ron", lesson.number, lesson.id));
            lesson
        })
        .collect();
    assert!(!lessons.is_empty());
    lessons
}

fn texts(lesson: &Lesson) -> Vec<&str> {
    let mut texts = Vec::new();
    for step in &lesson.steps {
        match step {
            Step::Say(say) => {
                texts.push(say.text.as_str());
                texts.extend(say.variants.iter().map(|variant| variant.text.as_str()));
            }
            Step::Ask(ask) => {
                texts.extend([ask.text.as_str(), ask.because.as_str()]);
                texts.extend(ask.options.iter().map(|option| option.say.as_str()));
            }
            Step::Play(play) => texts.push(play.text.as_str()),
            Step::Run(_) | Step::Keep(..) => {}
        }
    }
    texts
}

#[test]
fn every_claim_is_true_under_every_profile_that_it_is_made_for() {
    let (mut claims, mut runs, mut faults) = (0, 0, Vec::new());
    for lesson in course() {
        let mut held = 0;
        for (preset, _) in PRESETS {
            let profile = lesson.profile(Some(preset)).unwrap();
            if lesson.holds(&profile).is_err() {
                continue;
            }
            let (_, script) = compile(&lesson, Some(preset)).unwrap();
            held += 1;
            runs += 1;
            claims += script.claims;
            faults.extend(script.faults.iter().map(|fault| format!("{}: {fault}", lesson.id)));
            for (index, beat) in script.beats.iter().enumerate() {
                let text = format!("{:?}", beat.text);
                assert!(
                    !beat.text.is_empty() && !text.contains('{'.to_string().repeat(2).as_str()),
                    "{} beat {index}",
                    lesson.id
                );
            }
        }
        assert!(held > 0, "{} holds for no profile", lesson.id);
    }
    assert!(faults.is_empty(), "{} of {claims} claims are not true:\n{}", faults.len(), faults.join("\n"));
    println!("{claims} claims of lessons in {runs} runs");
}

fn recordings() -> Vec<(String, Lesson)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/python");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let read = |file: std::path::PathBuf| {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let lesson = Lesson::parse(&std::fs::read_to_string(&file).unwrap());
        let lesson = lesson.unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, lesson)
    };
    files.into_iter().map(read).collect()
}

/// What is said of a recording of Python is what the machine does with its calls, under each build that they fit.
#[test]
fn recordings_of_python_are_true() {
    let recordings = recordings();
    assert!(recordings.len() >= 12, "{}", recordings.len());
    for (name, lesson) in &recordings {
        let mut held = 0;
        for (preset, _) in PRESETS {
            if lesson.holds(&lesson.profile(Some(preset)).unwrap()).is_err() {
                continue;
            }
            held += 1;
            let (_, script) = compile(lesson, Some(preset)).unwrap();
            assert_eq!(script.faults, Vec::<String>::new(), "{name}");
            assert!(script.beats.iter().all(|beat| beat.line.is_some()), "{name}");
        }
        assert!(held >= 6, "{name} holds for {held} profiles");
    }
}

/// Each call of a lesson with its domain. Blocks are numbered in the order in which they come; those that stand for what an
/// interpreter had before are left out.
fn calls(lesson: &Lesson) -> Vec<(Domain, Kind, u64, usize)> {
    let (trace, _) = compile(lesson, None).unwrap();
    let names: BTreeMap<u64, &str> = trace.head.names.iter().map(|(id, name)| (*id, name.as_str())).collect();
    let mut order = Vec::new();
    let mut calls = Vec::new();
    for index in 0..trace.len() {
        let op = trace.op(index).unwrap();
        let (kind, id, size) = match op.call {
            Call::Malloc { id, size } => (Kind::Malloc, id, size),
            Call::Calloc { id, nelem, elsize } => (Kind::Calloc, id, nelem * elsize),
            Call::Realloc { newid, size, .. } => (Kind::Realloc, newid, size),
            Call::Free { id } => (Kind::Free, id, 0),
            Call::FreeKeep { .. } | Call::Act(_) => panic!("{}: Python does no such thing", lesson.id),
        };
        if names[&id].starts_with("before[") {
            continue;
        }
        let number = order.iter().position(|known| *known == id).unwrap_or_else(|| {
            order.push(id);
            order.len() - 1
        });
        calls.push((op.domain, kind, size, number));
    }
    calls
}

/// A lesson that says that its program was recorded begins with the calls of that recording.
#[test]
fn lessons_from_python_do_what_was_recorded() {
    let recordings = recordings();
    let mut found = 0;
    for lesson in course() {
        let Some(source) = &lesson.source else { continue };
        let recording = recordings.iter().find(|(_, recording)| recording.source.as_ref() == Some(source));
        let (name, recording) =
            recording.unwrap_or_else(|| panic!("no file of traces/python has the source of {}", lesson.id));
        let (said, recorded) = (calls(&lesson), calls(recording));
        assert!(recorded.len() >= 8, "{name}");
        let same = said.iter().zip(&recorded).take_while(|(a, b)| a == b).count();
        assert_eq!(same, recorded.len(), "{}: call {} is not that of {name}", lesson.id, same + 1);
        found += 1;
    }
    assert!(found >= 3, "{found}");
}

/// What is said in the first twenty seconds is what the machine does.
#[test]
fn the_opening_scene_is_true() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/opening.ron")).unwrap();
    let lesson = Lesson::parse(&text).unwrap();
    for (preset, _) in PRESETS {
        if lesson.holds(&lesson.profile(Some(preset)).unwrap()).is_ok() {
            let (_, script) = compile(&lesson, Some(preset)).unwrap();
            assert_eq!((script.faults.as_slice(), script.beats.len()), (&[][..], 8), "{preset}");
        }
    }
    let (_, script) = compile(&lesson, None).unwrap();
    let said = format!("{:?}", script.beats[6].text);
    assert!(said.contains("These 4 blocks hold 2 arenas: 128 KiB"), "{said}");
}

#[test]
fn no_term_is_used_before_the_lesson_that_explains_it() {
    let lessons = course();
    let mut explained: BTreeSet<String> = BTreeSet::new();
    for lesson in &lessons {
        for term in &lesson.terms {
            let entry =
                definition(term).unwrap_or_else(|| panic!("{}: `{term}` is not in the glossary", lesson.id));
            assert_eq!(entry.lesson, lesson.id, "{term}");
            explained.insert(term.to_lowercase());
        }
        for text in texts(lesson) {
            for piece in read(text).unwrap_or_else(|fault| panic!("{}: {text}: {}", lesson.id, fault.problem))
            {
                if let Written::Term(term, _) = piece {
                    assert!(
                        explained.contains(&term.to_lowercase()),
                        "{}: [[{term}]] comes before its explanation",
                        lesson.id
                    );
                }
            }
        }
    }
    let mut terms = BTreeMap::new();
    for entry in GLOSSARY {
        assert!(terms.insert(entry.term.to_lowercase(), entry).is_none(), "{} twice", entry.term);
    }
}

#[test]
fn lessons_ask_often_and_answers_belong_to_misconceptions() {
    for lesson in course() {
        let (_, script) = compile(&lesson, None).unwrap();
        let mut since = 0;
        let mut wrong = BTreeSet::new();
        for (index, beat) in script.beats.iter().enumerate() {
            since = if beat.task.is_some() { 0 } else { since + 1 };
            assert!(since <= 3, "{}: nothing is asked in the {since} beats up to {}", lesson.id, index + 1);
            match &beat.task {
                Some(Task::Choose { choices, .. }) => {
                    assert!(choices.len() >= 2, "{} beat {}", lesson.id, index + 1);
                    wrong.extend(choices.iter().filter_map(|choice| choice.misconception));
                }
                Some(Task::Number { wrong: numbers, .. }) => wrong.extend(numbers.iter().map(|(_, m)| *m)),
                _ => {}
            }
        }
        assert!(!wrong.is_empty(), "{}: no answer belongs to a misconception", lesson.id);
        for number in wrong {
            assert!(misconception(number).is_some(), "{}: there is no misconception {number}", lesson.id);
        }
    }
    let numbers: Vec<u32> = MISCONCEPTIONS.iter().map(|row| row.number).collect();
    assert_eq!(numbers, (1..=48).collect::<Vec<_>>());
}

#[test]
fn lessons_build_on_each_other() {
    let lessons = course();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for lesson in &lessons {
        for need in &lesson.needs {
            assert!(
                known.contains(need.as_str()),
                "{} needs {need}, which does not come before it",
                lesson.id
            );
        }
        assert!(known.insert(&lesson.id), "{} twice", lesson.id);
        assert!((5..=15).contains(&lesson.minutes), "{}: {} minutes", lesson.id, lesson.minutes);
    }
}

/// What formulas may name stands in two documents, which say the same.
#[test]
fn documents_list_what_formulas_know() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
    let (program, lessons) = (
        std::fs::read_to_string(root.join("program.md")).unwrap(),
        std::fs::read_to_string(root.join("lessons.md")).unwrap(),
    );
    for (name, _) in CONSTANTS.iter().chain(FUNCTIONS) {
        assert!(program.contains(&format!("`{name}`")), "docs/program.md lacks {name}");
    }
    for (call, _) in CALLS {
        let name = call.split('(').next().unwrap();
        assert!(program.contains(&format!("{name}(")), "docs/program.md lacks {name}");
    }
    for (name, about) in STATE_NAMES.iter().chain(STATE_FUNCTIONS) {
        let row = format!("| `{name}` | {about} |");
        assert!(lessons.contains(&row), "docs/lessons.md lacks {row}");
    }
}
