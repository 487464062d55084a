//! `arenascope check`: the gate for who builds software.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde::{Deserialize, Serialize};
use session::at::At;
use session::diagnosis::Placed;
use session::diagnosis::gate::{Figures, Held, Limits};
use session::format::{bytes, count, grouped, printable};

use super::super::input::RunArgs;
use super::super::output::Output;
use super::forecast::bytes_of;
use super::moment::reach;

#[derive(clap::Args)]
#[command(
    after_help = "held arenas: those that the process would hold. pinned bytes: what is in no block in use of arenas that a block keeps. live bytes: blocks \
                  in use, those of the C library too. Ends with code 1 where a limit is exceeded.\n\n\
                  --limits FILE is TOML: max-held-arenas = 40, max-pinned-bytes = \"20M\", max-live-bytes = \"64M\", at = \"end\", and a table \
                  [files.\"NAME\"] for a file of its own. What the command line says counts before the file. --baseline FILE is what an \
                  earlier --json wrote.\n\n\
                  Examples:\n  \
                  arenascope check run.bin --max-held-arenas 40\n  \
                  arenascope check *.bin --limits limits.toml --junit results.xml\n  \
                  arenascope check run.bin --json > baseline.json; arenascope check run.bin --baseline baseline.json --tolerance 5"
)]
pub(in super::super) struct Args {
    /// The traces; `-` is standard input
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// When: operations done, start, end, peak, or mark:NAME
    #[arg(long, value_name = "STEP")]
    at: Option<At>,
    /// The most arenas that may be held
    #[arg(long, value_name = "N")]
    max_held_arenas: Option<u64>,
    /// The most bytes that arenas may hold beside blocks in use; K, M and G are powers of two
    #[arg(long, value_name = "BYTES", value_parser = bytes_of)]
    max_pinned_bytes: Option<u64>,
    /// The most bytes that blocks in use may take
    #[arg(long, value_name = "BYTES", value_parser = bytes_of)]
    max_live_bytes: Option<u64>,
    /// Limits from a file
    #[arg(long, value_name = "FILE")]
    limits: Option<PathBuf>,
    /// Figures of an earlier run, none of which may be exceeded
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// How much more than the baseline is allowed, in per cent
    #[arg(long, value_name = "PERCENT", default_value_t = 0, requires = "baseline")]
    tolerance: u64,
    /// Write the results as JUnit does; `-` is standard output
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Where blocks lie: as the model puts them, or as their addresses were recorded
    #[arg(long, value_name = "model|recorded", value_parser = super::placed)]
    placed: Option<Placed>,
    #[command(flatten)]
    run: RunArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// A file of limits.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct LimitsFile {
    at: Option<String>,
    max_held_arenas: Option<u64>,
    max_pinned_bytes: Option<Size>,
    max_live_bytes: Option<Size>,
    #[serde(default)]
    files: BTreeMap<String, Self>,
}

/// Bytes as a number, or as text with a unit.
#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    Bytes(u64),
    Text(String),
}

impl Size {
    fn bytes(&self) -> Result<u64> {
        match self {
            Self::Bytes(bytes) => Ok(*bytes),
            Self::Text(text) => bytes_of(text).map_err(|error| anyhow::anyhow!("{text:?}: {error}")),
        }
    }
}

impl LimitsFile {
    fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{shown} cannot be read; check the path"))?;
        toml::from_str(&text)
            .map_err(|error| anyhow::anyhow!("{shown}: {}", error.to_string().trim().replace('\n', " ")))
    }

    fn limits(&self) -> Result<Limits> {
        Ok(Limits {
            held_arenas: self.max_held_arenas,
            pinned_bytes: self.max_pinned_bytes.as_ref().map(Size::bytes).transpose()?,
            live_bytes: self.max_live_bytes.as_ref().map(Size::bytes).transpose()?,
        })
    }

    /// What is said of a file of its own.
    fn of(&self, file: &str) -> Option<&Self> {
        self.files.get(file).or_else(|| self.files.get(base_name(file)))
    }
}

/// What `--json` writes, and `--baseline` reads.
#[derive(Serialize, Deserialize)]
struct Results {
    passed: bool,
    files: Vec<FileResult>,
}

#[derive(Serialize, Deserialize)]
struct FileResult {
    file: String,
    step: u64,
    placed: String,
    #[serde(flatten)]
    figures: FiguresRow,
    #[serde(default)]
    limits: Vec<LimitRow>,
}

#[derive(Serialize, Deserialize, Clone, Copy)]
struct FiguresRow {
    held_arenas: u64,
    pinned_bytes: u64,
    live_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct LimitRow {
    name: String,
    figure: u64,
    limit: u64,
    passed: bool,
}

fn base_name(file: &str) -> &str {
    file.rsplit(['/', '\\']).next().unwrap_or(file)
}

pub(in super::super) fn run(args: &Args) -> Result<()> {
    let from_file = args.limits.as_deref().map(LimitsFile::read).transpose()?.unwrap_or_default();
    let baseline = args.baseline.as_deref().map(read_baseline).transpose()?;
    let said = Limits {
        held_arenas: args.max_held_arenas,
        pinned_bytes: args.max_pinned_bytes,
        live_bytes: args.max_live_bytes,
    };
    let mut files = Vec::new();
    for file in &args.files {
        let name = file.display().to_string();
        let own = from_file.of(&name);
        let written = own.and_then(|own| own.at.as_deref()).or(from_file.at.as_deref());
        let at = match (&args.at, written) {
            (Some(at), _) => at.clone(),
            (None, Some(written)) => written.parse()?,
            (None, None) => At::End,
        };
        let limits = limits_for(said, &from_file, own).with_context(|| {
            args.limits.as_ref().map_or_else(String::new, |path| path.display().to_string())
        })?;
        let limits = match &baseline {
            None => limits,
            Some(earlier) => limits.and(Limits::after(figures_of(earlier, &name, args)?, args.tolerance)),
        };
        ensure!(
            !limits.is_empty() || args.json,
            "{name}: there is no limit; give --max-held-arenas, --max-pinned-bytes, --max-live-bytes, --limits or --baseline"
        );
        let mut moment = reach(file, &at, args.placed, &args.run.overrides(), args.run.taken.domain)?;
        let census = moment.census();
        let figures = Figures::of(&census);
        files.push((name, census.step, census.placed, figures, limits.results(figures)));
    }
    let over = files.iter().flat_map(|file| &file.4).filter(|held| !held.is_kept()).count() as u64;
    let passed = over == 0;
    if let Some(path) = &args.junit {
        write_junit(path, &files)?;
    }
    // Standard output then carries exactly that.
    if args.junit.as_deref() != Some(Path::new("-")) {
        report(args, &files, passed)?;
    }
    if passed { Ok(()) } else { bail!("{} exceeded", count(over, "limit")) }
}

type Checked = (String, u64, Placed, Figures, Vec<Held>);

/// The command line's bounds before a file's own, and those before everybody's.
fn limits_for(said: Limits, file: &LimitsFile, own: Option<&LimitsFile>) -> Result<Limits> {
    let general = file.limits()?;
    let own = own.map(LimitsFile::limits).transpose()?.unwrap_or_default();
    Ok(Limits {
        held_arenas: said.held_arenas.or(own.held_arenas).or(general.held_arenas),
        pinned_bytes: said.pinned_bytes.or(own.pinned_bytes).or(general.pinned_bytes),
        live_bytes: said.live_bytes.or(own.live_bytes).or(general.live_bytes),
    })
}

fn read_baseline(path: &Path) -> Result<Results> {
    let shown = path.display();
    let text =
        std::fs::read_to_string(path).with_context(|| format!("{shown} cannot be read; check the path"))?;
    serde_json::from_str(&text)
        .with_context(|| format!("{shown} is no baseline; write one with `arenascope check FILE --json`"))
}

fn figures_of(baseline: &Results, name: &str, args: &Args) -> Result<Figures> {
    let same = |file: &&FileResult| file.file == name || base_name(&file.file) == base_name(name);
    let found = baseline.files.iter().find(same).with_context(|| {
        let path = args.baseline.as_ref().map_or_else(String::new, |path| path.display().to_string());
        format!("{path} has no figures of {name}; write it again with all files")
    })?;
    let FiguresRow { held_arenas, pinned_bytes, live_bytes } = found.figures;
    Ok(Figures { held_arenas, pinned_bytes, live_bytes })
}

fn amount(held: &Held, number: u64) -> String {
    if held.bytes { bytes(number) } else { grouped(number) }
}

fn report(args: &Args, files: &[Checked], passed: bool) -> Result<()> {
    let mut out = super::super::output::reported();
    if args.json {
        let files = files.iter().map(|(file, step, placed, figures, held)| FileResult {
            file: file.clone(),
            step: *step,
            placed: placed.name().to_owned(),
            figures: FiguresRow {
                held_arenas: figures.held_arenas,
                pinned_bytes: figures.pinned_bytes,
                live_bytes: figures.live_bytes,
            },
            limits: held
                .iter()
                .map(|held| LimitRow {
                    name: held.name.to_owned(),
                    figure: held.figure,
                    limit: held.limit,
                    passed: held.is_kept(),
                })
                .collect(),
        });
        serde_json::to_writer(&mut out, &Results { passed, files: files.collect() })?;
        writeln!(out)?;
        return Ok(());
    }
    for (file, step, placed, _, held) in files {
        let shown = printable(file);
        for held in held {
            writeln!(
                out,
                "{}  {shown}: {} are {}, the limit is {} (step {}, {})",
                if held.is_kept() { "ok  " } else { "over" },
                held.name,
                amount(held, held.figure),
                amount(held, held.limit),
                grouped(*step),
                placed.name()
            )?;
        }
    }
    Ok(())
}

/// One suite a file, one case a limit.
fn write_junit(path: &Path, files: &[Checked]) -> Result<()> {
    let mut report = Report::new("arenascope check");
    for (file, step, placed, _, held) in files {
        let file = printable(file);
        let mut suite = TestSuite::new(&*file);
        for held in held {
            let status = if held.is_kept() {
                TestCaseStatus::success()
            } else {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                status.set_message(format!(
                    "{} are {}, the limit is {} (step {step}, {})",
                    held.name,
                    held.figure,
                    held.limit,
                    placed.name()
                ));
                status
            };
            let mut case = TestCase::new(held.name, status);
            case.set_classname(&*file);
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    let mut out = Output::create(path)?;
    out.write_all(report.to_string()?.as_bytes()).with_context(|| path.display().to_string())?;
    out.finish()
}
