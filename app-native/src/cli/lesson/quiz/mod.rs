//! `arenascope lesson quiz`: a quiz to begin with, on paper, and as a link. `lesson grade` marks what comes back.

mod sheet;

pub(super) use sheet::letter;

use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail};
use clap::Subcommand;
use session::link::{Link, What};
use trace_io::lesson::Quiz;

use super::super::output::Output;

/// What can be done with a quiz.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Write a quiz to begin with
    New(New),
    /// Write the questions for paper, or the answers
    Sheet(sheet::Args),
    /// Print the part of a link that opens the quiz on the page, to be put behind the page's address
    Link(LinkArgs),
}

/// Arguments of `lesson quiz new`.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  arenascope lesson quiz new -o friday.ron\n  arenascope friday.ron")]
pub(crate) struct New {
    /// The file to write; it must not exist
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
}

/// Arguments of `lesson quiz link`.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  arenascope lesson quiz link friday.ron\n  arenascope '#v=1&quiz=…' opens it in the window"
)]
pub(crate) struct LinkArgs {
    /// The quiz
    file: PathBuf,
}

/// A graded quiz, each part with a word on what it is for.
const TEMPLATE: &str = include_str!("template.ron");

pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::New(args) => new(args),
        Command::Sheet(args) => sheet::run(args),
        Command::Link(args) => link(args),
    }
}

fn new(args: &New) -> Result<()> {
    let shown = args.output.display();
    if args.output.exists() {
        bail!("{shown}: it is there already; choose another name");
    }
    // Two teachers' classes are not to have the same questions.
    let seed = RandomState::new().hash_one(0_u8) % 1_000_000_000;
    let mut out = Output::create(&args.output)?;
    out.write_all(TEMPLATE.replace("seed: 1,", &format!("seed: {seed},")).as_bytes())
        .with_context(|| shown.to_string())?;
    out.finish()
}

fn link(args: &LinkArgs) -> Result<()> {
    let (text, _) = read(&args.file)?;
    let link = Link { what: What::Quiz(text), ..Link::default() };
    let fragment = link.fragment().map_err(|why| anyhow!("{}: {why}", args.file.display()))?;
    writeln!(std::io::stdout().lock(), "{fragment}").context("standard output")
}

/// A quiz that can be asked, with its text.
pub(super) fn read(file: &Path) -> Result<(String, Quiz)> {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).with_context(|| name.clone())?;
    let quiz = Quiz::parse(&text).with_context(|| name.clone())?;
    session::quiz::Sitting::new(quiz.clone()).map_err(|why| anyhow!("{name}: {why}"))?;
    Ok((text, quiz))
}
