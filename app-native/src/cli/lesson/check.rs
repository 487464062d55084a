//! `arenascope lesson check`: every claim against the machine, and every puzzle with its solution and its wrong programs.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use session::lesson::{Choice, Task, compile, words};
use session::puzzle;
use sim_core::profile;
use trace_io::lesson::{Lesson, Puzzle};

/// Arguments of `lesson check`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  arenascope lesson check traces/course/*.ron\n  \
                        arenascope lesson check --live traces/course/*.ron\n  \
                        arenascope lesson check --live=/usr/lib/libpython3.13.so traces/course/*.ron")]
pub(crate) struct Args {
    /// Lessons and puzzles
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Under this profile alone; can be given several times
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
    /// Print the beats with their numbers, under the first profile
    #[arg(long)]
    print: bool,
    /// Against a real interpreter, under the profile of its version: the library that is named, else that of python3, else the newest that
    /// is found
    #[arg(long, value_name = "LIBPYTHON", num_args = 0..=1, require_equals = true, default_missing_value = "", conflicts_with_all = ["profile", "print"])]
    live: Option<OsString>,
    /// The result as one JSON object
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Serialize, Default)]
struct Checked {
    lessons: u64,
    puzzles: u64,
    /// Lesson or puzzle and profile together.
    runs: u64,
    claims: u64,
    beats: u64,
    faults: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if let Some(library) = &args.live {
        return live(args, Some(Path::new(library)).filter(|library| !library.as_os_str().is_empty()));
    }
    let presets: Vec<String> = if args.profile.is_empty() {
        profile::PRESETS.iter().map(|(name, _)| (*name).to_owned()).collect()
    } else {
        args.profile.clone()
    };
    let mut checked = Checked::default();
    let mut text = String::new();
    for file in &args.files {
        let name = file.display();
        let written = std::fs::read_to_string(file).with_context(|| name.to_string())?;
        if Puzzle::is_one(&written) {
            let puzzle = Puzzle::parse(&written).with_context(|| name.to_string())?;
            check_puzzle(&puzzle, &presets, args.print, &mut checked, &mut text, &name.to_string())?;
            continue;
        }
        let lesson = Lesson::parse(&written).with_context(|| name.to_string())?;
        checked.lessons += 1;
        let mut printed = !args.print;
        for preset in &presets {
            let profile = lesson.profile(Some(preset)).with_context(|| name.to_string())?;
            if lesson.holds(&profile).is_err() {
                continue;
            }
            let (_, script) = compile(&lesson, Some(preset)).with_context(|| name.to_string())?;
            checked.runs += 1;
            checked.claims += script.claims;
            checked.beats += script.beats.len() as u64;
            checked.faults.extend(script.faults.iter().map(|fault| format!("{name}: {fault}")));
            if !printed {
                printed = true;
                for (index, beat) in script.beats.iter().enumerate() {
                    let said = words(&beat.text);
                    writeln!(text, "{:3} step {:6} {:?}: {said}", index + 1, beat.step, beat.show)?;
                    if let Some(task) = &beat.task {
                        print_task(&mut text, task)?;
                    }
                }
            }
        }
    }
    let faults = checked.faults.len();
    if args.json {
        text = serde_json::to_string(&checked)?;
        text.push('\n');
    } else {
        for fault in &checked.faults {
            writeln!(text, "{fault}")?;
        }
        writeln!(
            text,
            "{} claims in {} beats, {} lessons under {} profiles each at most: {faults} not true",
            checked.claims,
            checked.beats,
            checked.lessons,
            presets.len()
        )?;
        if checked.puzzles > 0 {
            writeln!(text, "{} puzzles, with their solutions and wrong programs", checked.puzzles)?;
        }
    }
    std::io::stdout().lock().write_all(text.as_bytes()).context("standard output")?;
    if faults > 0 {
        bail!("{faults} claims are not true of the machine; the lines above name the step and the claim");
    }
    Ok(())
}

/// A puzzle under each profile that it holds for.
fn check_puzzle(
    puzzle: &Puzzle,
    presets: &[String],
    mut print: bool,
    checked: &mut Checked,
    text: &mut String,
    name: &str,
) -> Result<()> {
    checked.puzzles += 1;
    for preset in presets {
        let profile = puzzle.profile(Some(preset)).with_context(|| name.to_owned())?;
        if puzzle.holds(&profile).is_err() {
            continue;
        }
        checked.runs += 1;
        checked.claims += puzzle.goals.len() as u64 * (1 + puzzle.wrong.len() as u64);
        checked
            .faults
            .extend(puzzle::faults(puzzle, preset).into_iter().map(|fault| format!("{name}: {fault}")));
        if std::mem::take(&mut print)
            && let Ok(attempt) = puzzle::check(puzzle, &puzzle.solution, Some(preset))
        {
            let view = attempt.view;
            writeln!(text, "{}: {}", view.title, words(&view.task))?;
            for goal in &view.goals {
                writeln!(text, "      goal: {}", words(&goal.say))?;
            }
            writeln!(text, "      best: {} {}\n      hint: {}", view.best, view.unit, words(&view.hint))?;
        }
    }
    Ok(())
}

#[cfg(all(feature = "live", target_os = "linux", target_arch = "x86_64"))]
fn live(args: &Args, library: Option<&Path>) -> Result<()> {
    super::live::check(&args.files, library, args.json)
}

#[cfg(not(all(feature = "live", target_os = "linux", target_arch = "x86_64")))]
fn live(_: &Args, _: Option<&Path>) -> Result<()> {
    bail!(
        "--live drives a libpython, which builds for Linux on x86-64 with the feature `live` can do, and this one cannot"
    )
}

/// A question with its answers, the right one marked: a reader sees what a learner sees, and what it was worked out to be.
fn print_task(text: &mut String, task: &Task) -> Result<()> {
    let belief = |m: Option<u32>| m.map_or_else(String::new, |m| format!(" (misconception {m})"));
    let because = match task {
        Task::Choose { choices, key, because } => {
            for (index, Choice { text: choice, misconception }) in choices.iter().enumerate() {
                let mark = if index == *key { '+' } else { '-' };
                writeln!(text, "      {mark} {}{}", words(choice), belief(*misconception))?;
            }
            because
        }
        Task::Number { key, wrong, because } => {
            writeln!(text, "      + {key}")?;
            for (number, m) in wrong {
                writeln!(text, "      - {number}{}", belief(Some(*m)))?;
            }
            because
        }
        Task::Click { key, because } => {
            writeln!(text, "      + {key:?}")?;
            because
        }
        Task::Play { rounds } => {
            for round in rounds {
                if let Some(outcome) = round.outcome {
                    writeln!(text, "      {}: {outcome:?}", round.call)?;
                }
            }
            return Ok(());
        }
    };
    writeln!(text, "      because: {}", words(because))?;
    Ok(())
}
