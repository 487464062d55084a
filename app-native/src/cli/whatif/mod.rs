//! `arenascope whatif`: one trace under many settings.

mod table;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Result, bail};
use indicatif::ProgressBar;
use serde::Serialize;
use session::Overrides;
use session::whatif::{Cell, CellError, Figures, Front, Gain, Grid, Tape, run as run_tape};
use sim_core::Trace;
use sim_core::domains::AllocatorName;

use super::cores;
use super::input::{self, AsArgs, ProfileArgs, malloc_name};
use super::output;

#[derive(clap::Args)]
#[command(
    after_help = "KEY is profile, malloc (what PYTHONMALLOC takes) or a field of `arenascope profiles`; several --grid are combined. \
                        A combination that cannot be is a row with the reason.\n\n\
                        Example:\n  arenascope whatif trace.atrace --grid arena_size=256K,1M,4M --grid pool_size=4K,16K"
)]
pub(super) struct Args {
    /// The trace; `-` is standard input
    file: PathBuf,
    /// Values to try for a key, such as arena_size=256K,1M; may be repeated
    #[arg(long, value_name = "KEY=A,B,C", required = true)]
    grid: Vec<String>,
    #[command(flatten)]
    profile: ProfileArgs,
    /// What PYTHONMALLOC takes, for all cells that do not say otherwise; default: what the trace says, else default
    #[arg(long, value_name = "NAME", value_parser = malloc_name)]
    malloc: Option<AllocatorName>,
    #[command(flatten)]
    taken: AsArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Print the rows as CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

/// A cell with what it came to.
#[derive(Serialize)]
struct Row {
    settings: BTreeMap<String, String>,
    #[serde(skip)]
    cell: Cell,
    #[serde(flatten)]
    result: Outcome,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Figures(Box<Figures>),
    Error { error: String },
}

impl Row {
    fn figures(&self) -> Option<&Figures> {
        match &self.result {
            Outcome::Figures(figures) => Some(figures),
            Outcome::Error { .. } => None,
        }
    }

    /// Bytes at the end and at the most, where they can be compared with those of `base`.
    fn held(&self, base: &Self) -> Option<(u64, u64)> {
        let base = base.figures()?;
        self.figures().filter(|figures| figures.compares(base)).map(Figures::held)
    }
}

/// All rows. Sizes in bytes.
#[derive(Serialize)]
struct Report {
    trace: String,
    operations: u64,
    /// In one sentence.
    answer: String,
    /// The run as it is.
    base: Row,
    rows: Vec<Row>,
    /// The row that holds least at the end.
    best: Option<usize>,
    /// Rows that no other beats both at the end and at the peak.
    front: Vec<usize>,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let mut grid = Grid::default();
    for axis in &args.grid {
        grid.add(axis)?;
    }
    let trace = input::open(&args.file, args.taken.domain)?;
    if trace.is_empty() {
        bail!("{} has no operation", args.file.display());
    }
    let overrides = Overrides { malloc: args.malloc, ..args.profile.overrides() };
    let report = report(&Arc::new(trace), &grid, &overrides);
    if args.json {
        return output::json(&report);
    }
    if args.csv { table::csv(&report, &grid) } else { table::print(&report, &grid) }
}

fn report(trace: &Arc<Trace>, grid: &Grid, overrides: &Overrides) -> Report {
    let tape = Tape::of(trace);
    let cells: Vec<Cell> = std::iter::once(Cell::default()).chain(grid.cells()).collect();
    let bar = input::progress_bar(Some(cells.len() as u64 * tape.operations()), "running");
    let mut rows = cores::each(&cells, |cell| row(trace, &tape, cell, overrides, &bar));
    bar.finish_and_clear();
    let base = rows.remove(0);
    let held: Vec<_> = rows.iter().map(|row| row.held(&base)).collect();
    let Front { rows: front, best } = Front::of(&held);
    let answer = table::answer(&base, &rows, &Gains::of(&base, &held));
    Report { trace: trace.head.name.clone(), operations: trace.len(), answer, base, rows, best, front }
}

/// What the best rows gain.
struct Gains {
    at_end: Option<Gain>,
    at_peak: Option<Gain>,
}

impl Gains {
    fn of(base: &Row, held: &[Option<(u64, u64)>]) -> Self {
        let Some((end, peak)) = base.held(base) else { return Self { at_end: None, at_peak: None } };
        Self {
            at_end: Gain::over(end, held, |(end, _)| end),
            at_peak: Gain::over(peak, held, |(_, peak)| peak),
        }
    }
}

fn row(trace: &Trace, tape: &Tape, cell: &Cell, overrides: &Overrides, bar: &ProgressBar) -> Row {
    let mut known = 0;
    let figures = cell.setup(trace, overrides).map_err(CellError::from).and_then(|setup| {
        run_tape(tape, &setup, &mut |done| {
            bar.inc(done - known);
            known = done;
            ControlFlow::Continue(())
        })
    });
    // A cell that ends early is done all the same.
    bar.inc(tape.operations() - known);
    let result = match figures {
        Ok(figures) => Outcome::Figures(Box::new(figures)),
        Err(error) => Outcome::Error { error: super::words::line(&error.into()) },
    };
    Row { settings: cell.settings.iter().cloned().collect(), cell: cell.clone(), result }
}
