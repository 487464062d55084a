//! `arenascope lesson check --live`: lessons against a real interpreter.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use real_cpython::beside::{Driver, Real};
use real_cpython::course::{Agreed, Outcome, Part, run};
use real_cpython::libpython;
use serde::Serialize;
use trace_io::lesson::Lesson;

use super::super::DRIVE;
use super::super::output::{count, grouped};

/// What came of it.
#[derive(Serialize, Default)]
struct Checked {
    /// The interpreter's version.
    python: String,
    library: String,
    profile: String,
    operations: u64,
    /// Lessons that the interpreter did as they are, and claims that hold there.
    lessons: u64,
    claims: u64,
    /// The same with arenas as large as the interpreter's, of lessons that want others.
    own_arenas: Counted,
    /// Lessons that were done without the Python stacks that they tell of.
    without_stacks: Vec<String>,
    /// Claims on other settings of the build.
    model_only_claims: u64,
    not_driven: Vec<NotDriven>,
    not_for_this_build: Vec<String>,
    differences: Vec<String>,
}

#[derive(Serialize, Default)]
struct Counted {
    lessons: u64,
    claims: u64,
}

#[derive(Serialize)]
struct NotDriven {
    lesson: String,
    why: &'static str,
}

/// A folder for the files that pass between both sides, which goes with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("arenascope-live-{}", std::process::id()));
        std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed lies where the system clears up.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Checks lessons against the libpython that is named, or that is found.
pub(super) fn check(files: &[PathBuf], library: Option<&Path>, json: bool) -> Result<()> {
    let scratch = Scratch::new()?;
    let program = std::env::current_exe().context("this program's own file")?;
    let driver = Driver { program, words: vec![DRIVE.to_owned()], scratch: scratch.0.clone() };
    let real = libpython::find(library, driver).map_err(|why| anyhow!(why))?;
    let mut checked = Checked {
        python: real.name.clone(),
        library: real.library.display().to_string(),
        profile: real.profile.name.clone(),
        ..Checked::default()
    };
    let mut text = format!("CPython {}, {}, under {}\n", real.name, checked.library, real.profile.name);
    for (number, file) in files.iter().enumerate() {
        let name = file.display();
        let written = std::fs::read_to_string(file).with_context(|| name.to_string())?;
        let lesson = Lesson::parse(&written).with_context(|| name.to_string())?;
        let outcome = run(&real, &lesson, &format!("lesson-{number}"), false);
        let said = checked.take(&lesson, outcome);
        writeln!(text, "  {name}: {said}")?;
    }
    if json {
        text = serde_json::to_string(&checked)? + "\n";
    } else {
        checked.sum_up(&real, &mut text)?;
    }
    std::io::stdout().lock().write_all(text.as_bytes()).context("standard output")?;
    match checked.differences.len() {
        0 => Ok(()),
        1 => bail!("one lesson is not what CPython {} does; the lines above say which and where", real.name),
        many => bail!(
            "{many} lessons are not what CPython {} does; the lines above say which and where",
            real.name
        ),
    }
}

impl Checked {
    /// Counts what came of a lesson; says it.
    fn take(&mut self, lesson: &Lesson, outcome: Outcome) -> String {
        match outcome {
            Outcome::Elsewhere(why) => {
                self.not_for_this_build.push(lesson.id.clone());
                format!("not for this build: {why}")
            }
            Outcome::Left(why) => {
                self.not_driven.push(NotDriven { lesson: lesson.id.clone(), why });
                format!("not driven: {why}")
            }
            Outcome::Differs(why) => {
                self.differences.push(format!("{}: {why}", lesson.id));
                why
            }
            Outcome::Agreed(Agreed { operations, part, claims, model_only }) => {
                self.operations += operations;
                self.model_only_claims += model_only;
                // Writing to a String cannot fail, here and below.
                let mut said = format!("{} as the machine does them", count(operations, "operation"));
                match part {
                    Part::Whole => {
                        self.lessons += 1;
                        self.claims += claims;
                        let _ = write!(said, ", {} hold", count(claims, "claim"));
                    }
                    Part::OwnArenas => {
                        self.own_arenas.lessons += 1;
                        self.own_arenas.claims += claims;
                        let _ = write!(
                            said,
                            ", {} hold with this interpreter's own arenas, where the lesson wants others",
                            count(claims, "claim")
                        );
                    }
                    Part::NoStacks => {
                        self.without_stacks.push(lesson.id.clone());
                        said.push_str(
                            ", without the Python stacks that it tells of, so that no claim is counted",
                        );
                    }
                }
                if model_only > 0 {
                    let _ =
                        write!(said, "; {} on other settings by the model alone", count(model_only, "claim"));
                }
                said
            }
        }
    }

    fn sum_up(&self, real: &Real, text: &mut String) -> Result<()> {
        write!(
            text,
            "{} of {} hold of CPython {}: {}, {}",
            count(self.claims, "claim"),
            count(self.lessons, "lesson"),
            real.name,
            count(self.operations, "operation"),
            count(self.differences.len() as u64, "difference")
        )?;
        let Counted { lessons, claims } = self.own_arenas;
        if lessons > 0 {
            write!(text, "; {} more of {} with its own arenas", grouped(claims), count(lessons, "lesson"))?;
        }
        for (number, what) in [
            (self.without_stacks.len() as u64, "without the Python stacks that they tell of"),
            (self.not_driven.len() as u64, "not driven"),
            (self.not_for_this_build.len() as u64, "not for this build"),
        ] {
            if number > 0 {
                write!(text, "; {} {what}", count(number, "lesson"))?;
            }
        }
        if self.model_only_claims > 0 {
            write!(
                text,
                "; {} on other settings by the model alone",
                count(self.model_only_claims, "claim")
            )?;
        }
        text.push('\n');
        Ok(())
    }
}
