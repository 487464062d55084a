//! `arenascope lesson quiz sheet`: the questions of a student on paper.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow};
use session::lesson::misconception;
use session::practice::{Question, Task};
use session::quiz::{LIMITS, Sheet, Student};

use super::super::super::output::Output;
use super::super::super::render::escaped;
use super::super::HEAD;
use super::super::picture::Pictures;

/// Arguments of `lesson quiz sheet`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  arenascope lesson quiz sheet friday.ron --student 'Ada Lovelace'\n  \
                        arenascope lesson quiz sheet friday.ron --student 'Ada Lovelace' --key -o ada.html")]
pub(crate) struct Args {
    /// The quiz
    file: PathBuf,
    /// Name or number of the student, as the student will type it
    #[arg(long, value_name = "NAME")]
    student: String,
    /// Which try, where the quiz has several
    #[arg(long = "try", value_name = "N", default_value_t = 1)]
    attempt: u8,
    /// With the answers, for the teacher
    #[arg(long)]
    key: bool,
    /// The file to write, as a page with pictures where it ends in .html, else as text [default: text on standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let (written, quiz) = super::read(&args.file)?;
    let student = Student::named(&args.student).map_err(|why| anyhow!("--student: {why}"))?;
    let sheet = Sheet::new(&quiz, student.number(), args.attempt).map_err(|why| anyhow!("--try: {why}"))?;
    let html = args
        .output
        .as_ref()
        .and_then(|path| path.extension())
        .is_some_and(|end| end.eq_ignore_ascii_case("html") || end.eq_ignore_ascii_case("htm"));
    let text = if html {
        page((&quiz.name, &written), &student, &sheet, args.key)
    } else {
        plain(&quiz.name, &student, &sheet, args.key)
    };
    let path = args.output.clone().unwrap_or_else(|| "-".into());
    let mut out = Output::create(&path)?;
    out.write_all(text.as_bytes()).with_context(|| path.display().to_string())?;
    out.finish()
}

/// The letter of a choice.
pub(in super::super) fn letter(index: usize) -> char {
    char::from(b'a' + u8::try_from(index).unwrap_or(25).min(25))
}

fn plain(name: &str, student: &Student, sheet: &Sheet, key: bool) -> String {
    let mut text = format!("{name}\n{}, for {}\n", student.name(), sheet.profile.name);
    for (number, question) in (1..).zip(&sheet.questions) {
        // Writing to a String cannot fail, here and below.
        let _ = write!(text, "\n{number}. ({}, level {}) So far:\n", question.lesson, question.level);
        for line in question.program.lines() {
            let _ = writeln!(text, "       {line}");
        }
        for setting in settings(question) {
            let _ = writeln!(text, "       ({setting})");
        }
        let _ = writeln!(text, "   {}", question.text.replace('`', ""));
        match &question.task {
            Task::Choose { choices, .. } => {
                for (index, choice) in choices.iter().enumerate() {
                    let _ = writeln!(text, "   {}) {}", letter(index), choice.text.replace('`', ""));
                }
            }
            _ => text.push_str("   Answer: ____________\n"),
        }
        if key {
            for line in answers(question) {
                let _ = writeln!(text, "   > {}", line.replace('`', ""));
            }
        }
    }
    let _ = writeln!(text, "\n{LIMITS}");
    text
}

fn page((name, written): (&str, &str), student: &Student, sheet: &Sheet, key: bool) -> String {
    let mut pictures = Pictures::of(name, written, None);
    pictures.sit(student.name(), sheet.attempt);
    let title = escaped(name);
    let mut page = format!(
        "{HEAD}<title>{title}</title><h1>{title}</h1><p>{}, for {}</p>\n",
        escaped(student.name()),
        escaped(&sheet.profile.name)
    );
    for (number, question) in (1..).zip(&sheet.questions) {
        let _ = write!(
            page,
            "<section><p><small>{} · level {}</small></p><pre>{}</pre>",
            escaped(&question.lesson),
            question.level,
            escaped(&question.program)
        );
        for setting in settings(question) {
            let _ = write!(page, "<p><small>{}</small></p>", escaped(&setting));
        }
        page.push_str(&pictures.at(number - 1));
        let _ = write!(page, "<p class=\"ask\"><b>{number}.</b> {}</p>", code(&question.text));
        match &question.task {
            Task::Choose { choices, .. } => {
                page.push_str("<ol type=\"a\">");
                for choice in choices {
                    let _ = write!(page, "<li>{}</li>", code(&choice.text));
                }
                page.push_str("</ol>");
            }
            _ => page.push_str("<p>Answer: ____________</p>"),
        }
        if key {
            let lines: Vec<String> = answers(question).iter().map(|line| code(line)).collect();
            let _ = write!(page, "<p class=\"answer\">{}</p>", lines.join("<br>"));
        }
        page.push_str("</section>\n");
    }
    let _ = writeln!(page, "<p><small>{}</small></p></html>", escaped(LIMITS));
    page
}

/// What a question changes of the build, as a student has to know it.
fn settings(question: &Question) -> impl Iterator<Item = String> + '_ {
    question.settings.iter().map(|(key, value)| format!("{key} = {value}"))
}

/// What is right, why, and what the other choices betray.
fn answers(question: &Question) -> Vec<String> {
    let mut lines = Vec::new();
    let because = question.because.join(" ");
    let betrays = |m: Option<u32>| {
        m.and_then(misconception).map_or_else(String::new, |row| format!("M{}: {}. ", row.number, row.belief))
    };
    match &question.task {
        Task::Choose { choices, key } => {
            lines.push(format!("{}. {because}", letter(*key)));
            for (index, choice) in choices.iter().enumerate().filter(|(index, _)| index != key) {
                let said = choice.differs.as_deref().unwrap_or_default();
                lines.push(format!("{}) {}{said}", letter(index), betrays(choice.misconception)));
            }
        }
        Task::Number { key, wrong } => {
            lines.push(format!("{key}. {because}"));
            for wrong in wrong {
                lines.push(format!("{}: {}{}", wrong.value, betrays(wrong.misconception), wrong.differs));
            }
        }
        Task::Click { .. } => {}
    }
    lines
}

/// A text whose code stands in backticks, for a page.
fn code(text: &str) -> String {
    let pieces = text.split('`').map(escaped).enumerate();
    pieces.map(|(at, piece)| if at % 2 == 1 { format!("<code>{piece}</code>") } else { piece }).collect()
}
