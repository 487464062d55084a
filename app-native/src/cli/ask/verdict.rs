//! `arenascope verdict`: what became of the memory over a run, in a word.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use serde::Serialize;
use session::diagnosis::Placed;
use session::diagnosis::verdict::{self, Verdict};
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
    /// On which heap: as the model places blocks, or as their addresses were recorded
    #[arg(long, value_name = "model|recorded", value_parser = super::placed, default_value = "model")]
    placed: Placed,
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
            let found = survey(trace, &args.run.overrides(), args.placed).context(shown)?;
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
            says: &verdict.says.text,
            evidence: evidence
                .map(|e| {
                    let view = format!("arenascope {}", e.view.call(&file));
                    Evidence { text: &e.said.text, view }
                })
                .collect(),
            r#try: verdict.tries.iter().map(|tried| tried.on_command_line(&file)).collect(),
            doubts: &verdict.doubts,
        };
        serde_json::to_writer(&mut out, &report)?;
        writeln!(out)?;
        return Ok(());
    }
    print(&mut out, &verdict, &file)
}

fn print(out: &mut impl std::io::Write, verdict: &Verdict, file: &str) -> Result<()> {
    writeln!(out, "{} ({})", verdict.word.name(), verdict.sure())?;
    writeln!(out, "{}", printable(&verdict.says.text))?;
    for evidence in &verdict.evidence {
        writeln!(out, "  - {}", printable(&evidence.said.text))?;
    }
    for doubt in &verdict.doubts {
        writeln!(out, "  doubt: {}", printable(doubt))?;
    }
    if !verdict.tries.is_empty() {
        writeln!(out, "try:")?;
    }
    for tried in &verdict.tries {
        writeln!(out, "  - {}", printable(&tried.on_command_line(file)))?;
    }
    Ok(())
}
