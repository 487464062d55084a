//! The puzzles that ship: each solution, each wrong program, under every profile that the puzzle holds for.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use session::puzzle::{check, faults};
use sim_core::profile::PRESETS;
use trace_io::lesson::{Lesson, Puzzle};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn puzzles() -> Vec<Puzzle> {
    let puzzles: Vec<Puzzle> = files("puzzles")
        .iter()
        .map(|file| {
            let text = std::fs::read_to_string(file).unwrap();
            let puzzle = Puzzle::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            let name = file.file_name().unwrap().to_str().unwrap().to_owned();
            assert_eq!(name, format!("{:02}-{}.ron", puzzle.number, puzzle.id));
            puzzle
        })
        .collect();
    assert!(puzzles.len() >= 16, "{} puzzles", puzzles.len());
    puzzles
}

#[test]
fn solutions_solve_with_the_best_score_and_wrong_programs_miss_what_they_say() {
    let (mut runs, mut wrong) = (0, Vec::new());
    for puzzle in puzzles() {
        let mut held = 0;
        for (preset, _) in PRESETS {
            if puzzle.holds(&puzzle.profile(Some(preset)).unwrap()).is_ok() {
                held += 1;
                wrong.extend(
                    faults(&puzzle, preset).into_iter().map(|fault| format!("{}: {fault}", puzzle.id)),
                );
            }
        }
        assert!(held > 0, "{} holds for no profile", puzzle.id);
        runs += held;
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    println!("puzzles solved in {runs} runs");
}

/// A goal that no wrong program misses might be left out, or be written wrong.
#[test]
fn each_goal_is_missed_by_some_program() {
    for puzzle in puzzles() {
        assert!(!puzzle.wrong.is_empty(), "{}", puzzle.id);
        let mut missed: BTreeSet<usize> =
            puzzle.wrong.iter().flat_map(|wrong| wrong.misses.clone()).collect();
        let begun = check(&puzzle, "", None).ok().unwrap().view;
        missed.extend((1..).zip(&begun.goals).filter(|(_, goal)| !goal.holds).map(|(number, _)| number));
        let all: BTreeSet<usize> = (1..=puzzle.goals.len()).collect();
        assert_eq!(missed, all, "{}", puzzle.id);
    }
}

#[test]
fn puzzles_belong_to_lessons() {
    let lessons: Vec<Lesson> = files("course")
        .iter()
        .map(|file| Lesson::parse(&std::fs::read_to_string(file).unwrap()).unwrap())
        .collect();
    let mut ids = BTreeSet::new();
    for puzzle in puzzles() {
        let lesson = lessons.iter().find(|lesson| lesson.id == puzzle.lesson);
        assert_eq!(lesson.map(|lesson| lesson.number), Some(puzzle.number), "{}", puzzle.id);
        assert!(ids.insert(puzzle.id.clone()), "{} twice", puzzle.id);
        assert!(lessons.iter().all(|lesson| lesson.id != puzzle.id), "{} is a lesson's id", puzzle.id);
    }
}
