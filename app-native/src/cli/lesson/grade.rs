//! `arenascope lesson grade`: marks the tokens of a quiz, without a network.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use serde::Serialize;
use session::lesson::misconception;
use session::practice::{Question, Task};
use session::quiz::{Mark, Reply, Student, StudentNumber, read};
use trace_io::lesson::Quiz;

use super::quiz;

/// Arguments of `lesson grade`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  arenascope lesson grade friday.ron 8A1B2-…\n  \
                        arenascope lesson grade friday.ron --students class.csv\n\n\
                        A token shows that nobody mistyped or altered it in passing. It does not show who answered: a program without a \
                        server keeps no secret.")]
pub(crate) struct Args {
    /// The quiz
    quiz: PathBuf,
    /// Tokens that were handed in
    #[arg(required_unless_present = "students")]
    tokens: Vec<String>,
    /// The class: a line for each student, with the name and, after a comma, the token that was handed in
    #[arg(long, value_name = "FILE")]
    students: Option<PathBuf>,
    /// The result as one JSON object
    #[arg(long)]
    json: bool,
}

/// Misconceptions that are named: those open the next lesson.
const MOST: usize = 3;
/// Fewer letters are no token.
const TOKEN_LETTERS_MIN: usize = 22;

/// What came of it all.
#[derive(Serialize)]
struct Graded {
    quiz: String,
    profile: String,
    results: Vec<Marked>,
    refused: Vec<Refused>,
    /// Students of the list of whom there is no token.
    missing: Vec<String>,
    /// Of whom there are several tokens of the same try.
    several: Vec<String>,
    /// The most chosen first.
    misconceptions: Vec<Chosen>,
}

#[derive(Serialize)]
struct Marked {
    token: String,
    /// What the token says of the name.
    student: String,
    /// The name, where the list has it.
    name: Option<String>,
    #[serde(rename = "try")]
    attempt: u8,
    points: usize,
    of: usize,
    items: Vec<Item>,
}

#[derive(Serialize)]
struct Item {
    lesson: String,
    level: u8,
    /// The letter that was chosen, or the number; null where it was left open.
    given: Option<String>,
    key: String,
    right: bool,
    misconception: Option<u32>,
}

#[derive(Serialize)]
struct Refused {
    token: String,
    name: Option<String>,
    why: String,
}

#[derive(Serialize)]
struct Chosen {
    misconception: u32,
    count: usize,
    belief: &'static str,
    truth: &'static str,
    lesson: &'static str,
}

/// A token as it was handed in, and by whom, where that is said.
struct HandedIn {
    token: String,
    by: Option<Student>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let (_, quiz) = quiz::read(&args.quiz)?;
    let mut handed_in: Vec<HandedIn> =
        args.tokens.iter().map(|token| HandedIn { token: token.clone(), by: None }).collect();
    let mut class = Vec::new();
    if let Some(file) = &args.students {
        read_class(file, &mut class, &mut handed_in)?;
    }
    if handed_in.is_empty() {
        bail!("there is no token: give some as arguments, or after the names of --students");
    }
    let graded = grade(&quiz, &handed_in, &class)?;
    let refused = graded.refused.len();
    let text = if args.json { serde_json::to_string(&graded)? + "\n" } else { told(&graded) };
    std::io::stdout().lock().write_all(text.as_bytes()).context("standard output")?;
    if refused > 0 {
        bail!(
            "{refused} of {} tokens cannot be marked; the lines above say which and why",
            graded.results.len() + refused
        );
    }
    Ok(())
}

/// The list of a class: a name a line, with a token behind it or without.
fn read_class(file: &Path, class: &mut Vec<Student>, handed_in: &mut Vec<HandedIn>) -> Result<()> {
    let shown = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| shown.clone())?;
    let text = text.trim_start_matches('\u{feff}');
    let mut numbers: BTreeMap<StudentNumber, usize> = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, token) = match line.rsplit_once([',', ';', '\t']) {
            Some((name, token)) if token.trim().is_empty() || is_token(token) => (name, token.trim()),
            _ => (line, ""),
        };
        let name = name.trim().trim_matches('"');
        let student = Student::named(name).map_err(|_| {
            anyhow!("{shown}: line {number}: there is no name, or a long text; write NAME or NAME,TOKEN")
        })?;
        if let Some(before) = numbers.insert(student.number(), number) {
            bail!(
                "{shown}: line {number}: this is the name of line {before} again; tokens cannot tell them apart, so give one of them another name"
            );
        }
        if !token.is_empty() {
            handed_in.push(HandedIn { token: token.to_owned(), by: Some(student.clone()) });
        }
        class.push(student);
    }
    if class.is_empty() {
        bail!("{shown}: there is no name in it; write one a line");
    }
    Ok(())
}

/// Whether the last field of a line is meant as a token and no part of a name.
fn is_token(text: &str) -> bool {
    let letters = text.trim().trim_matches('"').chars().filter(|c| *c != '-');
    letters.clone().count() >= TOKEN_LETTERS_MIN
        && letters.clone().all(|c| c.is_ascii_alphanumeric())
        && letters.clone().any(|c| c.is_ascii_digit())
}

fn grade(quiz: &Quiz, handed_in: &[HandedIn], class: &[Student]) -> Result<Graded> {
    let mut graded = Graded {
        quiz: quiz.name.clone(),
        profile: session::quiz::check(quiz).map_err(anyhow::Error::msg)?.name,
        results: Vec::new(),
        refused: Vec::new(),
        missing: Vec::new(),
        several: Vec::new(),
        misconceptions: Vec::new(),
    };
    let mut chosen: BTreeMap<u32, usize> = BTreeMap::new();
    let mut seen: BTreeSet<(StudentNumber, u8)> = BTreeSet::new();
    for HandedIn { token, by } in handed_in {
        let token = token.trim_matches('"');
        let name_of = |number| class.iter().find(|student| student.number() == number).map(Student::name);
        let read = read(quiz, token).and_then(|(sheet, replies)| match by {
            Some(student) if student.number() != sheet.student => Err(match name_of(sheet.student) {
                Some(other) => {
                    format!("it was made under the name {other}, and handed in as {}'s", student.name())
                }
                None => format!(
                    "it was made under another name than {}, with other letters for it",
                    student.name()
                ),
            }),
            _ => Ok((sheet, replies)),
        });
        let (sheet, replies) = match read {
            Ok(read) => read,
            Err(why) => {
                let name = by.as_ref().map(|student| student.name().to_owned());
                graded.refused.push(Refused { token: token.to_owned(), name, why });
                continue;
            }
        };
        let name = name_of(sheet.student).map(str::to_owned);
        let called = name.clone().unwrap_or_else(|| format!("student {}", sheet.student));
        if !seen.insert((sheet.student, sheet.attempt)) && !graded.several.contains(&called) {
            graded.several.push(called);
        }
        let marks = sheet.mark(&replies);
        for belief in marks.iter().filter_map(|mark| mark.belief) {
            *chosen.entry(belief).or_default() += 1;
        }
        graded.results.push(Marked {
            token: token.to_owned(),
            student: sheet.student.to_string(),
            name,
            attempt: sheet.attempt,
            points: marks.iter().filter(|mark| mark.right).count(),
            of: marks.len(),
            items: sheet.questions.iter().zip(&marks).map(|(question, mark)| item(question, mark)).collect(),
        });
    }
    let handed: BTreeSet<StudentNumber> = seen.iter().map(|(student, _)| *student).collect();
    let missing = class.iter().filter(|student| !handed.contains(&student.number()));
    graded.missing = missing.map(|student| student.name().to_owned()).collect();
    let known = chosen.into_iter().filter_map(|(number, count)| Some((count, misconception(number)?)));
    graded.misconceptions = known
        .map(|(count, row)| Chosen {
            misconception: row.number,
            count,
            belief: row.belief,
            truth: row.truth,
            lesson: row.lesson,
        })
        .collect();
    graded.misconceptions.sort_by_key(|chosen| std::cmp::Reverse(chosen.count));
    Ok(graded)
}

fn item(question: &Question, mark: &Mark) -> Item {
    let letter = |index: usize| quiz::letter(index).to_string();
    Item {
        lesson: question.lesson.clone(),
        level: question.level,
        given: match mark.reply {
            Reply::Open => None,
            Reply::Choice(choice) => Some(letter(usize::from(choice))),
            Reply::Number(number) => Some(number.to_string()),
        },
        key: match &question.task {
            Task::Choose { key, .. } => letter(*key),
            Task::Number { key, .. } => key.to_string(),
            Task::Click { .. } => String::new(),
        },
        right: mark.right,
        misconception: mark.belief,
    }
}

fn told(graded: &Graded) -> String {
    let mut text = format!("{}, {}\n", graded.quiz, graded.profile);
    for Marked { student, name, attempt, points, of, items, .. } in &graded.results {
        let called = name.clone().unwrap_or_else(|| format!("student {student}"));
        let again = if *attempt > 1 { format!(", try {attempt}") } else { String::new() };
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(text, "\n{called}{again}: {points} of {of} points");
        for (number, Item { lesson, level, given, key, right, misconception }) in (1..).zip(items) {
            let point = u8::from(*right);
            let _ = write!(text, "  {number:2}  {point}  {lesson}, level {level}: ");
            let _ = match given {
                None => write!(text, "left open; {key} is right"),
                Some(given) if *right => write!(text, "{given}"),
                Some(given) => write!(text, "{given}; {key} is right"),
            };
            if let Some(m) = misconception {
                let _ = write!(text, " (M{m})");
            }
            text.push('\n');
        }
    }
    if !graded.results.is_empty() {
        let points: usize = graded.results.iter().map(|marked| marked.points).sum();
        let _ = writeln!(
            text,
            "\n{} tokens, {:.1} of {} points on average",
            graded.results.len(),
            points as f64 / graded.results.len() as f64,
            graded.results[0].of
        );
    }
    if !graded.misconceptions.is_empty() {
        text.push_str("\nThe wrong answers chosen most:\n");
        for Chosen { misconception, count, belief, truth, lesson } in graded.misconceptions.iter().take(MOST)
        {
            let _ =
                writeln!(text, "  M{misconception}, {count} times: {belief}. {truth} (lesson `{lesson}`)");
        }
    }
    for name in &graded.several {
        let _ = writeln!(text, "\nThere are several tokens of {name}.");
    }
    if !graded.missing.is_empty() {
        let _ = writeln!(text, "\nNo token of: {}", graded.missing.join(", "));
    }
    for Refused { token, name, why } in &graded.refused {
        let whose = name.as_ref().map_or_else(String::new, |name| format!(" of {name}"));
        let _ = writeln!(text, "\nNot marked: {token}{whose}: {why}");
    }
    text
}
