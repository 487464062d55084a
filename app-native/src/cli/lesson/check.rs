//! `arenascope lesson check`: every claim against the machine.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use session::Place;
use session::lesson::{Outcome, Shown, Task, compile};
use sim_core::profile;
use trace_io::lesson::Lesson;

/// Arguments of `lesson check`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  arenascope lesson check traces/lessons/*.ron")]
pub(crate) struct Args {
    /// Lessons
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Under this profile alone; can be given several times
    #[arg(long, value_name = "NAME")]
    profile: Vec<String>,
    /// Print the beats with their numbers, answers and keys, under the first profile
    #[arg(long)]
    print: bool,
    /// The result as one JSON object
    #[arg(long)]
    json: bool,
}

/// What came of it.
#[derive(Serialize, Default)]
struct Checked {
    lessons: u64,
    /// Lesson and profile together.
    runs: u64,
    claims: u64,
    beats: u64,
    faults: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
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
                    beat.task.as_ref().map_or(Ok(()), |task| print_task(task, &mut text))?;
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
    }
    std::io::stdout().lock().write_all(text.as_bytes()).context("standard output")?;
    if faults > 0 {
        bail!("{faults} claims are not true of the machine; the lines above name the step and the claim");
    }
    Ok(())
}

fn words(shown: &[Shown]) -> String {
    let pieces: Vec<_> = shown.iter().map(|shown| shown.piece.clone()).collect();
    trace_io::lesson::text::plain(&pieces)
}

fn place(place: Place) -> String {
    match place {
        Place::Arena(id) => id.to_string(),
        Place::Pool(addr) => format!("the pool at {addr}"),
        Place::Block(addr) => format!("the block at {addr}"),
    }
}

/// What is asked, with the key marked by `=`.
fn print_task(task: &Task, text: &mut String) -> std::fmt::Result {
    let belief = |number: Option<u32>| number.map_or_else(String::new, |number| format!(" (M{number})"));
    match task {
        Task::Choose { choices, key, because } => {
            for (index, choice) in choices.iter().enumerate() {
                let mark = if index == *key { '=' } else { '-' };
                writeln!(text, "      {mark} {}{}", words(&choice.text), belief(choice.misconception))?;
            }
            writeln!(text, "      {}", words(because))
        }
        Task::Number { key, wrong, because } => {
            writeln!(text, "      = {key}")?;
            for (value, number) in wrong {
                writeln!(text, "      - {value}{}", belief(Some(*number)))?;
            }
            writeln!(text, "      {}", words(because))
        }
        Task::Click { key, because } => {
            writeln!(text, "      = {}\n      {}", place(*key), words(because))
        }
        Task::Play { rounds } => rounds.iter().try_for_each(|round| {
            let outcome = match round.outcome {
                None => "nothing to choose".to_owned(),
                Some(Outcome::Block(at)) => place(at),
                Some(Outcome::NewPool(at)) => format!("new pool, {}", place(at)),
                Some(Outcome::NewArena(at)) => format!("new arena, {}", place(at)),
                Some(Outcome::Raw) => "C library".to_owned(),
                Some(Outcome::Null) => "NULL".to_owned(),
            };
            writeln!(text, "      {}: {outcome}", round.call)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_is_printed_with_its_key() {
        let lesson = r#"Lesson(id: "t", name: "t", goal: "t", minutes: 1, steps: [
            run("a = malloc(24)"),
            ask(text: "Where?", options: [
                (say: "behind", is: "offset(b) == pool.header + 32"),
                (say: "right behind", is: "offset(b) == pool.header + 24", m: 17),
            ], because: "It is rounded up."),
            run("b = malloc(24)"),
            ask(text: "How many?", now: true, number: "used(a)", wrong: [("1", 13)], because: "Two."),
            play(text: "You."),
            run("c = malloc(600)\nfree(c)"),
        ])"#;
        let lesson = Lesson::parse(lesson).unwrap();
        let (_, script) = compile(&lesson, Some("cpython-3.14")).unwrap();
        assert_eq!(script.faults, [""; 0]);
        let mut text = String::new();
        for task in script.beats.iter().filter_map(|beat| beat.task.as_ref()) {
            print_task(task, &mut text).unwrap();
        }
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert!(lines.contains(&"= behind") && lines.contains(&"- right behind (M17)"), "{text}");
        assert!(lines.contains(&"= 2") && lines.contains(&"- 1 (M13)"), "{text}");
        assert_eq!(lines[lines.len() - 2..], ["c = malloc(600): C library", "free(c): nothing to choose"]);
    }
}
