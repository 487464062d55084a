//! The puzzles that ship: each solution, each wrong program, under every profile that the puzzle holds for.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use session::puzzle::{Standing, check, faults};
use session::view::Update;
use session::{Engine, Opened, Order};
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

/// An engine that does orders until nothing is left to do; what it tells then.
fn told(engine: &mut Engine, orders: Vec<Order>) -> Update {
    for order in orders {
        engine.order(order);
    }
    loop {
        engine.work(0.0, std::time::Duration::from_millis(5));
        if !engine.busy() {
            return engine.update(true).unwrap();
        }
    }
}

/// A puzzle keeps its goals under another build, and is gone once it is left.
#[test]
fn an_engine_holds_what_is_written_against_the_puzzle_that_is_open() {
    let text =
        std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/puzzles/04-full-pool.ron"));
    let mut engine = Engine::new(None);
    engine.open(Opened::bytes("04-full-pool.ron", text.unwrap()));
    let posed = told(&mut engine, Vec::new());
    let played = posed.status.played.unwrap();
    assert!(played.is("Puzzle 4 Fill a pool exactly") && played.line == Some(1));
    assert_eq!(played.forked, Some((1, "for i in range(10): a[i] = malloc(100)\n".to_owned())));
    let standing = |update: &Update| {
        let puzzle = update.status.played.as_ref().unwrap().puzzle.as_ref().unwrap();
        (puzzle.standing, puzzle.score, puzzle.best)
    };
    let program = Order::Program("for i in range(blocks(512)): a[i] = malloc(512)\n".to_owned());
    let solved = told(&mut engine, vec![program.clone()]);
    assert_eq!(standing(&solved), (Standing::Best, Some(31), 31));
    assert_eq!(engine.session().unwrap().step(), 31);
    let older = told(&mut engine, vec![Order::Profile("cpython-3.9".to_owned())]);
    assert_eq!(standing(&older), (Standing::Best, Some(7), 7));
    let wrong = told(&mut engine, vec![Order::Program("a = malloc(".to_owned())]);
    assert_eq!(standing(&wrong), (Standing::Open, None, 7));
    assert!(wrong.status.played.as_ref().is_some_and(|played| played.fault.is_some()));
    assert_eq!(engine.session().unwrap().step(), 7, "what was there stays");
    let left = told(&mut engine, vec![Order::LeavePuzzle, program]);
    assert_eq!(left.status.played.unwrap().puzzle, None);
    assert_eq!(engine.session().unwrap().trace().head.name, "Playground");
}
