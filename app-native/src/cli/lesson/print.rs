//! `arenascope lesson print`: a lesson on paper.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use session::Setup;
use session::lesson::{Shown, Task, compile, misconception};
use trace_io::lesson::Lesson;
use trace_io::lesson::text::Piece;

use super::super::output::Output;
use super::super::render::escaped;
use super::HEAD;
use super::picture::Pictures;

/// Arguments of `lesson print`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  arenascope lesson print traces/course/03-lifo.ron -o lifo.html")]
pub(crate) struct Args {
    /// The lesson
    file: PathBuf,
    /// The page to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// Under another preset
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,
    /// Leave the answers out, for the class
    #[arg(long)]
    no_answers: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let name = args.file.display().to_string();
    let written = std::fs::read_to_string(&args.file).with_context(|| name.clone())?;
    let lesson = Lesson::parse(&written).with_context(|| name.clone())?;
    let (trace, script) = compile(&lesson, args.profile.as_deref()).with_context(|| name.clone())?;
    let setup = Setup::resolve(&trace, &session::Overrides::default()).with_context(|| name.clone())?;
    let mut pictures = Pictures::of(&name, &written, args.profile.as_deref());
    let title = escaped(&lesson.title());
    let mut page =
        format!("{HEAD}<title>{title}</title><h1>{title}</h1><p><em>{}</em></p>\n", escaped(&lesson.goal));
    let mut drawn = String::new();
    let mut answers = String::new();
    for (number, beat) in script.beats.iter().enumerate() {
        page.push_str("<section>");
        // A picture that stands there already is not drawn again.
        let picture = pictures.at(number);
        if picture != drawn {
            page.push_str(&picture);
            drawn = picture;
        }
        let class = if beat.task.is_some() { " class=\"ask\"" } else { "" };
        let _ = write!(page, "<p{class}><b>{}.</b> {}</p>", number + 1, html(&beat.text));
        if let Some(task) = &beat.task {
            let key = question(&mut page, task);
            if !key.is_empty() {
                let _ = write!(answers, "<p class=\"answer\"><b>{}.</b> {key}</p>", number + 1);
            }
        }
        page.push_str("</section>\n");
    }
    if !args.no_answers && !answers.is_empty() {
        let _ = write!(page, "<h2>Answers</h2>{answers}");
    }
    let _ = writeln!(page, "<p><small>{}</small></p></html>", escaped(&setup.profile.name));
    let mut out = Output::create(&args.output)?;
    out.write_all(page.as_bytes()).with_context(|| args.output.display().to_string())?;
    out.finish()
}

/// Writes what is asked; says what is right, with the beliefs behind what is not.
fn question(page: &mut String, task: &Task) -> String {
    match task {
        Task::Choose { choices, key, because } => {
            page.push_str("<ol type=\"a\">");
            for choice in choices {
                let _ = write!(page, "<li>{}</li>", html(&choice.text));
            }
            page.push_str("</ol>");
            let letter = |index: usize| char::from(b'a' + u8::try_from(index).unwrap_or(25).min(25));
            let mut answer = format!("{}. {}", letter(*key), html(because));
            for (index, choice) in choices.iter().enumerate() {
                if let Some(row) = choice.misconception.and_then(misconception) {
                    let _ = write!(
                        answer,
                        "<br>{}: some believe that {}. {}",
                        letter(index),
                        escaped(row.belief),
                        escaped(row.truth)
                    );
                }
            }
            answer
        }
        Task::Number { key, because, .. } => format!("{key}. {}", html(because)),
        Task::Click { because, .. } => html(because),
        Task::Play { rounds } => {
            page.push_str("<ul>");
            for round in rounds.iter().filter(|round| round.outcome.is_some()) {
                let _ = write!(page, "<li><code>{}</code></li>", escaped(&round.call));
            }
            page.push_str("</ul>");
            String::new()
        }
    }
}

fn html(text: &[Shown]) -> String {
    let piece = |shown: &Shown| {
        let words = escaped(shown.piece.text());
        match &shown.piece {
            Piece::Words(_) => words,
            Piece::Code(_) => format!("<code>{words}</code>"),
            Piece::Term(..) => format!("<b>{words}</b>"),
        }
    };
    text.iter().map(piece).collect()
}
