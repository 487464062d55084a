//! A program against a puzzle.

use serde::{Deserialize, Serialize};
use sim_core::{Profile, Trace};
use trace_io::LineColumn;
use trace_io::lesson::text::Piece;
use trace_io::lesson::{Puzzle, Tried};
use trace_io::program::expr::{Constants, Expr};
use trace_io::program::{Fault, Program};

use crate::lesson::{Runner, Shown};
use crate::setup::{Overrides, Setup};

/// A puzzle as a front shows it, with how the program stands that was written last.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct PuzzleView {
    /// What links call it.
    pub id: String,
    /// As menus name it.
    pub title: String,
    /// As its trace is called.
    pub trace: String,
    /// The lesson whose matter it is, by its id.
    pub lesson: String,
    /// What to do.
    pub task: Vec<Shown>,
    /// The program that runs first.
    pub given: String,
    /// What stands in the editor at first.
    pub start: String,
    /// Calls that a solution may make.
    pub allows: Vec<String>,
    /// What has to be true at the end.
    pub goals: Vec<GoalView>,
    /// What the program scores, once it ran.
    pub score: Option<i64>,
    /// What is counted, in the plural.
    pub unit: String,
    /// Whether more is better.
    pub more: bool,
    /// The best score that is known under this build.
    pub best: i64,
    /// How it stands.
    pub standing: Standing,
    /// What helps.
    pub hint: Vec<Shown>,
    /// A program with the best score.
    pub solution: String,
    /// What to say where the puzzle makes no sense under this build.
    pub elsewhere: Option<String>,
    /// What does not belong to the program but to the puzzle: a text or formula without a value.
    pub faults: Vec<String>,
}

/// A goal, and whether it is reached.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct GoalView {
    /// What it is.
    pub say: Vec<Shown>,
    /// Whether it is true at the end of the program.
    pub holds: bool,
    /// Why not.
    pub why: Vec<Shown>,
}

/// How a program stands to a puzzle.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Standing {
    /// A goal is missed.
    #[default]
    Open,
    /// All goals are reached, with a score that is not the best.
    Solved,
    /// The same with the best score that is known.
    Best,
    /// With a better one.
    Better,
}

impl Standing {
    /// Whether all goals are reached.
    pub fn solved(self) -> bool {
        self != Self::Open
    }
}

/// A program that ran.
pub struct Attempt {
    /// Its operations, with those that are given in front.
    pub trace: Trace,
    /// The line of each; 0 for what is given.
    pub lines: Vec<u32>,
    /// What it runs under.
    pub profile: Profile,
    /// How it stands.
    pub view: PuzzleView,
}

/// Runs a program after what a puzzle gives, under a preset or the puzzle's own. The error is the program's; with it comes the
/// puzzle without its program.
pub fn check(puzzle: &Puzzle, text: &str, preset: Option<&str>) -> Result<Attempt, (Fault, Box<PuzzleView>)> {
    let mut view = PuzzleView {
        id: puzzle.id.clone(),
        title: puzzle.title(),
        trace: puzzle.trace_name(),
        lesson: puzzle.lesson.clone(),
        given: puzzle.given.clone(),
        start: puzzle.start.clone(),
        allows: puzzle.allows.clone(),
        unit: puzzle.score.unit.clone(),
        more: puzzle.score.more,
        solution: puzzle.solution.clone(),
        ..PuzzleView::default()
    };
    let own = |problem: String| Fault {
        at: LineColumn { line: 1, column: 1 },
        problem,
        remedy: "choose another profile".to_owned(),
    };
    let build = match puzzle.profile(preset) {
        Ok(build) => build,
        Err(error) => return Err((own(error.to_string()), Box::new(view))),
    };
    view.elsewhere = puzzle.holds(&build).err();
    match best(puzzle, &build) {
        Ok(best) => view.best = best,
        Err(why) => view.faults.push(format!("best: {why}")),
    }
    // What is said before there is a program.
    let nothing = puzzle.tried(&Program::default(), &build).map_err(|fault| fault.problem);
    let said = nothing.and_then(|(tried, build)| {
        run(&tried, &build, |runner| {
            let mut faults = Vec::new();
            let mut text = |what: String, written: &str| {
                runner.text(written).unwrap_or_else(|why| {
                    faults.push(format!("{what}: {why}"));
                    Vec::new()
                })
            };
            view.task = text("task".to_owned(), &puzzle.task);
            view.hint = text("hint".to_owned(), &puzzle.hint);
            for (number, goal) in (1..).zip(&puzzle.goals) {
                let say = text(format!("goal {number}"), &goal.say);
                view.goals.push(GoalView { say, ..GoalView::default() });
            }
            faults
        })
    });
    match said {
        Ok(faults) => view.faults.extend(faults),
        Err(why) => view.faults.push(why),
    }
    let tried = Program::parse(text).and_then(|program| puzzle.tried(&program, &build));
    let (tried, profile) = match tried {
        Ok(tried) => tried,
        Err(fault) => return Err((fault, Box::new(view))),
    };
    if let Err(why) = run(&tried, &profile, |runner| judge(puzzle, runner, &mut view)) {
        return Err((own(why), Box::new(view)));
    }
    Ok(Attempt { trace: tried.expanded.trace, lines: tried.expanded.lines, profile, view })
}

/// Runs all operations and looks at what came of them.
fn run<T>(tried: &Tried, profile: &Profile, look: impl FnOnce(&Runner<'_>) -> T) -> Result<T, String> {
    let trace = &tried.expanded.trace;
    let setup = Setup::resolve(trace, &Overrides::default()).map_err(|error| error.to_string())?;
    let mut runner = Runner::new(trace, &setup, profile, tried.given)?;
    runner.finish();
    Ok(look(&runner))
}

/// The best score that is known under a build.
fn best(puzzle: &Puzzle, build: &Profile) -> Result<i64, String> {
    let formula = Expr::parse(&puzzle.best).map_err(|fault| fault.problem)?;
    formula.value(&Constants(build)).map_err(|fault| fault.problem)
}

fn judge(puzzle: &Puzzle, runner: &Runner<'_>, view: &mut PuzzleView) {
    let ended = runner.stopped().filter(|_| !puzzle.ends);
    for (goal, shown) in puzzle.goals.iter().zip(&mut view.goals) {
        let value = match &ended {
            Some(words) => Err(format!("the process ends: {}", words.lines().next().unwrap_or_default())),
            None => runner.value(&goal.is),
        };
        shown.holds = matches!(value, Ok(value) if value != 0);
        shown.why = match value {
            Ok(0) => runner.text(&goal.but).unwrap_or_else(|why| sentence(&why)),
            Ok(_) => Vec::new(),
            Err(why) => sentence(&why),
        };
    }
    match runner.value(&puzzle.score.of) {
        Ok(score) => view.score = Some(score),
        Err(why) => view.faults.push(format!("score: {why}")),
    }
    view.standing = match view.score {
        Some(score) if view.goals.iter().all(|goal| goal.holds) => {
            let ahead = if puzzle.score.more { score - view.best } else { view.best - score };
            match ahead {
                0 => Standing::Best,
                1.. => Standing::Better,
                _ => Standing::Solved,
            }
        }
        _ => Standing::Open,
    };
}

/// A reason as a sentence of its own.
fn sentence(why: &str) -> Vec<Shown> {
    let mut chars = why.chars();
    let first = chars.next().into_iter().flat_map(char::to_uppercase);
    let words: String = first.chain(chars).chain((!why.ends_with('.')).then_some('.')).collect();
    vec![Shown { piece: Piece::Words(words), place: None }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lesson::words;

    fn puzzle() -> Puzzle {
        Puzzle::parse(
            "Puzzle(id: \"t\", number: 3, lesson: \"lifo\", name: \"t\", task: \"Free `a`, of {size(a)} bytes.\", \
             given: \"a = malloc(40)\", goals: [(say: \"nothing lives\", is: \"blocks.live == 0\", but: \"{blocks.live} live.\"), \
             (say: \"x lies where a lay\", is: \"place(x) == place(a)\", but: \"`x` lies elsewhere.\")], \
             score: (of: \"operations\", unit: \"operations\"), best: \"3\", solution: \"free(a)\\nx = malloc(40)\\nfree(x)\", hint: \"t\")",
        )
        .unwrap()
    }

    fn goals(view: &PuzzleView) -> Vec<String> {
        view.goals.iter().map(|goal| if goal.holds { "yes".to_owned() } else { words(&goal.why) }).collect()
    }

    #[test]
    fn goals_are_told_in_words_and_scores_compared() {
        let check = |text: &str| check(&puzzle(), text, None).ok().unwrap().view;
        let begun = check("");
        assert_eq!(words(&begun.task), "Free a, of 40 bytes.");
        assert_eq!(goals(&begun), ["1 live.", "No block is called `x` yet."]);
        assert_eq!((begun.score, begun.standing), (Some(0), Standing::Open));
        let wrong = check("x = malloc(40)\nfree(a)\nfree(x)");
        assert_eq!(goals(&wrong), ["yes", "x lies elsewhere."]);
        let solved = check("free(a)\nx = malloc(40)\nfree(x)");
        assert_eq!(
            (goals(&solved), solved.score, solved.standing),
            (vec!["yes".to_owned(); 2], Some(3), Standing::Best)
        );
        let longer = check("free(a)\nx = malloc(40)\nfree(x)\nfree(NULL)");
        assert_eq!(longer.standing, Standing::Solved);
    }

    #[test]
    fn a_fault_of_the_program_leaves_the_puzzle_readable() {
        let (fault, view) = check(&puzzle(), "free(a)\nstack(\"a.py:1\")", None).err().unwrap();
        assert_eq!((fault.at.line, view.goals.len(), view.standing), (2, 2, Standing::Open));
        assert!(fault.problem.contains("without `stack`"), "{fault:?}");
    }

    #[test]
    fn a_process_that_ends_has_reached_nothing() {
        let mut hooked = puzzle();
        hooked.malloc = Some("debug".to_owned());
        let view = check(&hooked, "free(a, raw)", None).ok().unwrap().view;
        assert!(goals(&view).iter().all(|why| why.starts_with("The process ends: ")), "{:?}", goals(&view));
    }

    #[test]
    fn what_is_wrong_with_a_puzzle_itself_is_said() {
        let mut wrong = puzzle();
        wrong.task = "{nothing}".to_owned();
        wrong.best = "1 +".to_owned();
        let view = check(&wrong, "", None).ok().unwrap().view;
        assert_eq!(view.faults.len(), 2, "{:?}", view.faults);
    }
}
