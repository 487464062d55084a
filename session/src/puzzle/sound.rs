//! Whether a puzzle is what it says: its solution solves it with the best score, its wrong programs miss what they are said to
//! miss, and what stands in the editor at first is no solution.

use trace_io::lesson::Puzzle;

use super::check::{PuzzleView, Standing, check};

/// What is wrong with a puzzle under a preset, each in a sentence; nothing where it does not hold there.
pub fn faults(puzzle: &Puzzle, preset: &str) -> Vec<String> {
    let solution = match check(puzzle, &puzzle.solution, Some(preset)) {
        Ok(attempt) => attempt.view,
        Err((fault, _)) => {
            return vec![format!("under {preset}: the solution, line {}: {}", fault.at.line, fault.problem)];
        }
    };
    if solution.elsewhere.is_some() {
        return Vec::new();
    }
    let mut faults = solution.faults.clone();
    for number in missed(&solution) {
        let why = crate::lesson::words(&solution.goals[number - 1].why);
        faults.push(format!("the solution misses goal {number}: {why}"));
    }
    if solution.standing != Standing::Best && missed(&solution).is_empty() {
        let score = solution.score.unwrap_or_default();
        faults.push(format!("the solution scores {score}, and the best is said to be {}", solution.best));
    }
    for (number, wrong) in (1..).zip(&puzzle.wrong) {
        match check(puzzle, &wrong.program, Some(preset)) {
            Err((fault, _)) => {
                faults.push(format!("wrong program {number}, line {}: {}", fault.at.line, fault.problem));
            }
            Ok(attempt) => {
                let found = missed(&attempt.view);
                if found != wrong.misses {
                    let expected = &wrong.misses;
                    faults.push(format!(
                        "wrong program {number} misses {found:?}, and is said to miss {expected:?}"
                    ));
                } else if found.is_empty() && attempt.view.standing != Standing::Solved {
                    faults.push(format!("wrong program {number} is as good as the solution"));
                }
            }
        }
    }
    for (what, program) in [("nothing at all", ""), ("what stands there first", puzzle.start.as_str())] {
        if check(puzzle, program, Some(preset)).is_ok_and(|attempt| attempt.view.standing.solved()) {
            faults.push(format!("{what} solves it"));
        }
    }
    faults.into_iter().map(|fault| format!("under {preset}: {fault}")).collect()
}

/// Numbers of the goals that are missed, from 1.
fn missed(view: &PuzzleView) -> Vec<usize> {
    (1..).zip(&view.goals).filter(|(_, goal)| !goal.holds).map(|(number, _)| number).collect()
}
