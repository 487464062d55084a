//! Lessons of the course in real interpreters, see [`real_cpython::course`].

use std::fmt::Write as _;
use std::path::Path;

use real_cpython::beside::Real;
use real_cpython::course::{Agreed, Outcome, Part, run};
use real_cpython::outside::{compared, files, grouped};
use trace_io::lesson::Lesson;

use super::libraries;

/// The lessons that an interpreter with a GIL has a part in; those on threads and mimalloc hold for others alone.
const MODEL_ONLY: [&str; 2] = ["mi-lists", "threads"];

/// What came of the lessons in all versions.
#[derive(Default)]
struct Told {
    lessons: u64,
    claims: u64,
    /// Claims that hold too where arenas are as large as the interpreter's, of lessons that want others.
    claims_own: u64,
    /// Runs without the Python stacks that a lesson tells of.
    in_part: u64,
    /// Claims on other settings, of lessons that were driven.
    model_only: u64,
    /// Those that the driver cannot do, by lesson.
    left_out: Vec<String>,
    /// Lessons that hold for builds without a GIL alone.
    elsewhere: Vec<String>,
    operations: u64,
    wrong: Vec<String>,
}

fn lessons() -> Vec<Lesson> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/course");
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        Lesson::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    };
    let all = files(&folder, ".ron").unwrap();
    let mut lessons: Vec<Lesson> = all.iter().map(read).collect();
    lessons.sort_by_key(|lesson| lesson.number);
    lessons
}

/// A lesson in a version.
fn one(real: &Real, lesson: &Lesson, told: &mut Told) {
    let name = format!("{}-lesson-{}", real.name.replace(' ', "-"), lesson.id);
    let once = |ids: &mut Vec<String>| {
        if !ids.contains(&lesson.id) {
            ids.push(lesson.id.clone());
        }
    };
    match run(real, lesson, &name, true) {
        Outcome::Elsewhere(_) if MODEL_ONLY.contains(&&*lesson.id) => once(&mut told.elsewhere),
        // A lesson may be about later versions.
        Outcome::Elsewhere(_) => {}
        Outcome::Left(_) => once(&mut told.left_out),
        Outcome::Differs(why) => told.wrong.push(why),
        Outcome::Agreed(Agreed { operations, part, claims, model_only }) => {
            told.operations += operations;
            told.model_only += model_only;
            match part {
                Part::Whole => {
                    told.lessons += 1;
                    told.claims += claims;
                }
                Part::OwnArenas => told.claims_own += claims,
                Part::NoStacks => told.in_part += 1,
            }
        }
    }
}

#[test]
fn lessons_hold_in_each_version() {
    let versions = libraries();
    let lessons = lessons();
    assert!(!lessons.is_empty(), "traces/course has no lesson");
    let mut all = Told::default();
    for real in &versions {
        for lesson in &lessons {
            one(real, lesson, &mut all);
        }
    }
    if versions.is_empty() {
        return;
    }
    let mut text = format!(
        "{} claims, {} versions: {} operations, {} differences",
        grouped(all.claims),
        versions.len(),
        grouped(all.operations),
        all.wrong.len()
    );
    if all.claims_own > 0 {
        let _ = write!(text, "; {} more with the interpreter's own arenas", grouped(all.claims_own));
    }
    if all.in_part > 0 {
        let _ = write!(text, "; {} runs without the Python stacks of their lesson", all.in_part);
    }
    if all.model_only > 0 {
        let _ = write!(text, "; {} claims on other settings by the model alone", grouped(all.model_only));
    }
    if !all.left_out.is_empty() {
        let whose = "real interpreters fill arenas with their own objects, so tests/process.rs compares whose each block is";
        let _ = write!(text, "; not {}: {whose}", all.left_out.join(", "));
    }
    if !all.elsewhere.is_empty() {
        let _ =
            write!(text, "; {} by the model alone: no build here is without a GIL", all.elsewhere.join(", "));
    }
    compared("lessons", &text);
    assert!(all.wrong.is_empty(), "{}", all.wrong.join("\n"));
    assert!(all.lessons > 0 && all.claims > all.lessons, "no lesson was compared");
    assert!(all.left_out.iter().all(|id| id == "interpreters"), "{:?} are not driven", all.left_out);
    assert_eq!(all.elsewhere, MODEL_ONLY, "a build with a GIL can do every other lesson");
}
