//! `arenascope verdict`: what became of the memory over a run, in a word.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;
use session::diagnosis::verdict::{self, Try, Verdict, View};
use session::format::printable;
use trace_io::Loaded;

use super::super::input::{self, RunArgs};
use super::survey;

#[derive(clap::Args)]
#[command(
    after_help = "growth: live data rises steadily. pinned: few blocks keep many arenas. high_water: the peak's arenas stay, spread over what \
                  lives. plateau: it rose and stays, as a cache does. churn: much comes and goes. not_pymalloc: most of it is the C \
                  library's. healthy: nothing to mend. docs/verdicts.md has the rules and their thresholds.\n\n\
                  FILE may also be the text of sys._debugmallocstats(), or what PYTHONMALLOCSTATS printed over a run; one picture \
                  alone never says growth.\n\n\
                  Example:\n  arenascope verdict capture.bin"
)]
pub(in super::super) struct Args {
    /// The trace; `-` is standard input
    file: PathBuf,
    #[command(flatten)]
    run: RunArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    verdict: &'static str,
    confidence: f64,
    says: &'a str,
    evidence: Vec<Evidence<'a>>,
    r#try: Vec<String>,
    doubts: &'a [String],
}

#[derive(Serialize)]
struct Evidence<'a> {
    text: &'a str,
    view: String,
}

pub(in super::super) fn run(args: &Args) -> Result<()> {
    let verdict = match input::load(&args.file, args.run.taken.domain)? {
        Loaded::Picture(stats) => verdict::of_pictures(&stats),
        loaded => {
            let shown = args.file.display().to_string();
            let trace = loaded.trace().with_context(|| shown.clone())?;
            let found = survey(trace, &args.run.overrides()).context(shown)?;
            verdict::of_run(&found.survey, &found.doubts)
        }
    };
    let file = args.file.display().to_string();
    let mut out = super::super::output::reported();
    if args.json {
        let evidence = verdict.evidence.iter();
        let report = Report {
            verdict: verdict.word.name(),
            confidence: (100.0 * verdict.confidence).round() / 100.0,
            says: &verdict.says,
            evidence: evidence.map(|e| Evidence { text: &e.text, view: view(e.view, &file) }).collect(),
            r#try: verdict.tries.iter().map(|tried| said(tried, &file)).collect(),
            doubts: &verdict.doubts,
        };
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
        return Ok(());
    }
    print(&mut out, &verdict, &file)
}

/// The call that shows a figure.
fn view(view: View, file: &str) -> String {
    match view {
        View::Timeline => format!("arenascope {file}"),
        View::Holders => format!("arenascope holders {file} --at end"),
        View::Waterfall => format!("arenascope waterfall {file} --at end"),
        View::Stats => format!("arenascope info {file}"),
    }
}

fn said(tried: &Try, file: &str) -> String {
    match tried {
        Try::Do(what) => what.clone(),
        Try::Ask(call) => format!("arenascope {}", call.replace("FILE", file)),
    }
}

fn print(out: &mut impl std::io::Write, verdict: &Verdict, file: &str) -> Result<()> {
    let sure = match verdict.confidence {
        0.8.. => "likely",
        0.6.. => "probably",
        _ => "perhaps",
    };
    writeln!(out, "{} ({sure}, {:.0} %)", verdict.word.name(), 100.0 * verdict.confidence)?;
    writeln!(out, "{}", printable(&verdict.says))?;
    for evidence in &verdict.evidence {
        writeln!(out, "  - {}", printable(&evidence.text))?;
    }
    for doubt in &verdict.doubts {
        writeln!(out, "  doubt: {}", printable(doubt))?;
    }
    if !verdict.tries.is_empty() {
        writeln!(out, "try:")?;
    }
    for tried in &verdict.tries {
        writeln!(out, "  - {}", printable(&said(tried, file)))?;
    }
    Ok(())
}
