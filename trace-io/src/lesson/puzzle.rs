//! Puzzles: a program to write, with goals that the machine checks and the best score that is known.
//!
//! `docs/lessons.md` shows the form. A puzzle gives a piece of a program that is fixed; what is written by who solves it runs after that, with
//! the same names.

use std::collections::BTreeMap;

use serde::Deserialize;
use sim_core::{Profile, TraceBuilder};

use super::form::{Form, form};
use super::under::{Holds, Under};
use crate::error::{LineColumn, TraceError};
use crate::program::{Bounds, Expanded, Expander, Fault, Program};

/// A puzzle, as it is written.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename = "Puzzle")]
pub struct Puzzle {
    /// What links call it.
    pub id: String,
    /// Its place among the puzzles: the number of its lesson; 0 for one that stands alone.
    #[serde(default)]
    pub number: u32,
    /// The id of the lesson whose matter it is.
    #[serde(default)]
    pub lesson: String,
    /// Its title.
    pub name: String,
    /// What to do, as text of a beat.
    pub task: String,
    /// The profile that it is written for.
    #[serde(default)]
    pub profile: Option<String>,
    /// `PYTHONMALLOC`.
    #[serde(default)]
    pub malloc: Option<String>,
    /// Fields of the profile that it changes; numbers may be formulas over the profile.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// For which builds it makes sense.
    #[serde(default)]
    pub holds: Option<Holds>,
    /// The program that runs first and cannot be changed.
    #[serde(default)]
    pub given: String,
    /// What stands in the editor at first.
    #[serde(default)]
    pub start: String,
    /// Calls that a solution may make.
    #[serde(default = "plain_calls")]
    pub allows: Vec<String>,
    /// Fields of the profile that a solution may change by a line `#!`.
    #[serde(default)]
    pub changes: Vec<String>,
    /// Whether a solution is to end the process; else one that does has failed.
    #[serde(default)]
    pub ends: bool,
    /// What has to be true at the end.
    pub goals: Vec<Goal>,
    /// What is counted.
    pub score: Score,
    /// The best score that is known, as a formula over the build's constants.
    pub best: String,
    /// A program with that score.
    pub solution: String,
    /// Programs that miss a goal.
    #[serde(default)]
    pub wrong: Vec<Wrong>,
    /// What helps, as text of a beat.
    pub hint: String,
}

/// Something that has to be true at the end.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Goal {
    /// What it is, as text of a beat.
    pub say: String,
    /// A formula over the machine.
    pub is: String,
    /// What is said where it is not true, as text of a beat.
    pub but: String,
}

/// What is counted.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Score {
    /// A formula over the machine, such as `operations`.
    pub of: String,
    /// What is counted, in the plural.
    pub unit: String,
    /// Whether more is better.
    #[serde(default)]
    pub more: bool,
}

/// A program that misses goals.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wrong {
    /// The program.
    pub program: String,
    /// Numbers of the goals that it misses, from 1; nothing where only its score is not the best.
    pub misses: Vec<usize>,
}

/// The operations of somebody's program after those that are given.
#[derive(Clone, Debug)]
pub struct Tried {
    /// All of them. Lines of those that are given are 0.
    pub expanded: Expanded,
    /// How many are given.
    pub given: u64,
}

fn plain_calls() -> Vec<String> {
    ["malloc", "calloc", "realloc", "free"].map(str::to_owned).to_vec()
}

impl Puzzle {
    /// What a program may do here: it is run at each change, so it ends soon.
    pub const BOUNDS: Bounds = Bounds { operations: 100_000, statements: 400_000 };

    /// Whether a text is a puzzle, and not a lesson or a plain trace.
    pub fn is_one(text: &str) -> bool {
        form(text) == Form::Puzzle
    }

    /// Reads a puzzle.
    pub fn parse(text: &str) -> Result<Self, TraceError> {
        let text = super::form::without_mark(text);
        let puzzle: Self = super::form::from_ron(text, ron::extensions::Extensions::empty())?;
        if puzzle.goals.is_empty() {
            return Err(TraceError::Syntax {
                at: super::form::line_column_of(text.as_bytes(), text.find("goals").unwrap_or(0)),
                problem: "a puzzle without goals is solved by any program".to_owned(),
                remedy: "write goals: [(say: \"…\", is: \"arenas == 1\", but: \"…\")]".to_owned(),
            });
        }
        Ok(puzzle)
    }

    fn under(&self) -> Under<'_> {
        Under {
            profile: self.profile.as_deref(),
            malloc: self.malloc.as_deref(),
            settings: &self.settings,
            holds: self.holds.as_ref(),
        }
    }

    /// The build that it runs on where no other is asked for.
    pub fn profile(&self, preset: Option<&str>) -> Result<Profile, TraceError> {
        self.under().profile(preset)
    }

    /// Whether it makes sense under a build; else what to say.
    pub fn holds(&self, profile: &Profile) -> Result<(), String> {
        self.under().holds(profile)
    }

    /// As menus name it.
    pub fn title(&self) -> String {
        if self.number == 0 { self.name.clone() } else { format!("{} {}", self.number, self.name) }
    }

    /// As its trace is called, which a window names.
    pub fn trace_name(&self) -> String {
        format!("Puzzle {}", self.title())
    }

    /// The operations of a program, once it keeps to what is allowed here, and the build with what it changes.
    pub fn tried(&self, program: &Program, profile: &Profile) -> Result<(Tried, Profile), Fault> {
        let top = LineColumn { line: 1, column: 1 };
        if program.profile.is_some() {
            return Err(Fault::new(
                top,
                "a puzzle has its own profile",
                "leave the line with `#! profile` out",
            ));
        }
        if let Some((key, _)) = program.settings.iter().find(|(key, _)| !self.changes.contains(key)) {
            let remedy = match &self.changes[..] {
                [] => "leave out the line with `#!`".to_owned(),
                changes => format!("this puzzle lets {} be changed", changes.join(", ")),
            };
            return Err(Fault::new(top, format!("`{key}` is fixed in this puzzle"), remedy));
        }
        if let Some((name, at)) =
            program.calls().into_iter().find(|(name, _)| !self.allows.iter().any(|a| a == name))
        {
            let remedy = match &self.allows[..] {
                [] => "write settings alone, as in `#! arena_size=64K`".to_owned(),
                allows => format!("it is done with {} alone", allows.join(", ")),
            };
            return Err(Fault::new(at, format!("this puzzle is done without `{name}`"), remedy));
        }
        let profile = profile
            .clone()
            .changed(&program.settings)
            .map_err(|error| Fault::new(top, error.to_string(), "change the line with `#!`"))?;
        let within = |fault: Fault| Fault { problem: format!("what is given: {}", fault.problem), ..fault };
        let mut expander = Expander::new(&self.trace_name(), &profile, Self::BOUNDS);
        let head = &mut expander.trace_mut().head;
        head.lesson = true;
        head.profile = Some(profile.name.clone());
        head.settings = self.under().settings(&Profile::named(&profile.name).unwrap_or_default());
        head.settings.extend(program.settings.iter().cloned());
        head.malloc = self
            .under()
            .allocator()
            .map_err(|error| Fault::new(top, error.to_string(), "mend the puzzle"))?;
        expander.run(&Program::parse(&self.given).map_err(within)?).map_err(within)?;
        let given = expander.len();
        expander.run(program)?;
        let mut expanded = expander.finish();
        expanded.lines.iter_mut().take(given as usize).for_each(|line| *line = 0);
        Ok((Tried { expanded, given }, profile))
    }

    /// A trace for who reads it without its goals: how it is solved.
    pub(crate) fn builder(&self) -> Result<TraceBuilder, TraceError> {
        let profile = self.profile(None)?;
        let (tried, _) = self.tried(&Program::parse(&self.solution)?, &profile)?;
        let mut builder = TraceBuilder::default();
        *builder.trace_mut() = tried.expanded.trace;
        Ok(builder)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn puzzle(more: &str) -> Result<Puzzle, TraceError> {
        Puzzle::parse(&format!(
            "Puzzle(id: \"t\", name: \"t\", task: \"t\", {more} score: (of: \"operations\", unit: \"operations\"), best: \"1\", \
             solution: \"a = malloc(8)\", hint: \"t\")"
        ))
    }

    const GOALS: &str = "goals: [(say: \"t\", is: \"arenas == 1\", but: \"t\")],";

    #[test]
    fn an_unknown_key_is_named_with_its_place() {
        let error = puzzle(&format!("{GOALS}\n gaols: [],")).unwrap_err().to_string();
        assert!(error.contains("gaols") && error.contains('2'), "{error}");
        let error = puzzle("goals: [(say: \"t\", si: \"1\", but: \"t\")],").unwrap_err().to_string();
        assert!(error.contains("si"), "{error}");
        let error = puzzle("\ngoals: [],").unwrap_err().to_string();
        assert!(error.contains("without goals"), "{error}");
    }

    /// Who reads it without its goals has how it is solved.
    #[test]
    fn a_file_is_known_with_or_without_its_name() {
        for name in ["Puzzle", ""] {
            let text = format!(
                "{name}(id: \"t\", name: \"t\", task: \"# arenas allocated total = 1\", {GOALS} given: \"x = malloc(8)\", \
                 score: (of: \"operations\", unit: \"o\"), best: \"1\", solution: \"free(x)\", hint: \"t\")"
            );
            let mut loader = crate::Loader::new("t.ron", Box::new(std::io::Cursor::new(text)), None);
            while !loader.advance().unwrap() {}
            assert_eq!(loader.take_puzzle().unwrap().id, "t");
            assert_eq!(loader.finish().unwrap().trace().unwrap().len(), 2);
        }
    }

    #[test]
    fn a_program_keeps_to_what_is_allowed() {
        let puzzle = puzzle(&format!(
            "{GOALS} allows: [\"malloc\", \"stack\"], changes: [\"arena_size\"], given: \"x = malloc(8)\","
        ));
        let puzzle = puzzle.unwrap();
        let profile = puzzle.profile(None).unwrap();
        let tried = |text: &str| puzzle.tried(&Program::parse(text).unwrap(), &profile);
        for (text, line, words) in [
            ("a = malloc(8)\nfree(a)", 2, "without `free`"),
            (
                "for i in range(3):\n    if i:\n        malloc(8)\n    else:\n        free(x)",
                5,
                "without `free`",
            ),
            ("with tracemalloc(3):\n    malloc(8)", 1, "without `tracemalloc`"),
            ("#! pool_size=4K", 1, "`pool_size` is fixed"),
            ("#! profile=cpython-3.9", 1, "its own profile"),
            ("#! arena_size=3", 1, "arena_size"),
            ("x = malloc(8)", 1, "still names a block"),
        ] {
            let fault = tried(text).unwrap_err();
            assert!(fault.at.line == line && fault.problem.contains(words), "{text}: {fault:?}");
        }
        let (tried, changed) = tried("#! arena_size=256K\nwith stack(\"a.py:1\"): a = malloc(8)").unwrap();
        assert_eq!((tried.given, tried.expanded.trace.len(), changed.arena_size), (1, 4, 256 << 10));
        assert_eq!(tried.expanded.lines, [0, 2, 2, 2]);
    }
}
