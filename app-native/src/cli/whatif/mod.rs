//! `arenascope whatif`: one trace under many settings, or without some of its blocks.

mod edits;
mod save;
mod table;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use indicatif::ProgressBar;
use serde::Serialize;
use session::format::parse_bytes;
use session::whatif::words::{AS_CHANGED, AS_IT_IS, changed as changed_says};
use session::whatif::{Cell, CellError, Edited, Grid, Row, Tape, Verdict, edit, run as run_tape};
use session::{Overrides, Setup};
use sim_core::Trace;

use self::edits::{EditArgs, EditLine, Point, Saved};

use super::cores;
use super::input::{self, RunArgs};
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
    #[arg(long, value_name = "KEY=A,B,C")]
    grid: Vec<String>,
    #[command(flatten)]
    edits: EditArgs,
    /// Find the fewest sites without which so many bytes less are held at the end (K, M, G suffixes)
    #[arg(long, value_name = "BYTES", value_parser = wanted,
          conflicts_with_all = ["grid", "without", "raw", "apart", "before", "free_at", "csv"])]
    save: Option<u64>,
    #[command(flatten)]
    run: RunArgs,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// Print the rows as CSV
    #[arg(long, conflicts_with = "json")]
    csv: bool,
}

fn wanted(text: &str) -> Result<u64, String> {
    parse_bytes(text).ok_or_else(|| "write bytes, with K, M or G for powers of 1024: 100M".to_owned())
}

/// A row as an object: its settings, and figures or why there are none.
#[derive(Serialize)]
struct RowLine<'a> {
    settings: BTreeMap<&'a str, &'a str>,
    #[serde(flatten)]
    result: serde_json::Map<String, serde_json::Value>,
}

fn row_line<S: serde::Serializer>(row: &Row, to: S) -> Result<S::Ok, S::Error> {
    use serde::ser::Error as _;
    let settings = row.cell.settings.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let mut result = serde_json::Map::new();
    match &row.result {
        Ok(figures) => {
            if let serde_json::Value::Object(all) = serde_json::to_value(figures).map_err(S::Error::custom)? {
                result = all;
            }
            // Curves are no figures, and only what stopped says so.
            result.retain(|key, value| {
                !matches!(key.as_str(), "curve" | "arena_size") && (key != "stopped" || !value.is_null())
            });
        }
        Err(error) => {
            result.insert("error".to_owned(), error.as_str().into());
        }
    }
    RowLine { settings, result }.serialize(to)
}

fn row_lines<S: serde::Serializer>(rows: &[Row], to: S) -> Result<S::Ok, S::Error> {
    struct Line<'a>(&'a Row);
    impl Serialize for Line<'_> {
        fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            row_line(self.0, to)
        }
    }
    to.collect_seq(rows.iter().map(Line))
}

/// All rows. Sizes in bytes.
#[derive(Serialize)]
struct Report {
    trace: String,
    operations: u64,
    #[serde(flatten)]
    verdict: Verdict,
    /// The run as it is.
    #[serde(serialize_with = "row_line")]
    base: Row,
    #[serde(flatten)]
    edited: Option<EditReport>,
    #[serde(serialize_with = "row_lines")]
    rows: Vec<Row>,
}

/// What came of changes to blocks.
#[derive(Serialize)]
struct EditReport {
    edits: Vec<EditLine>,
    saved: Saved,
    /// Arenas before and after, in stretches.
    curve: Vec<Point>,
    /// The changed run under the settings of the base; where there is no grid it is the only row.
    #[serde(skip)]
    row: Row,
}

pub(super) fn run(args: &Args) -> Result<()> {
    if args.grid.is_empty() && args.edits.is_empty() && args.save.is_none() {
        super::usage_error(
            "say what is to be tried: --grid KEY=A,B,C for other settings, --without KEY=VALUE and its like for other blocks, \
             or --save BYTES for the sites that keep so much",
        );
    }
    let mut grid = Grid::default();
    for axis in &args.grid {
        grid.add(axis)?;
    }
    let trace = Arc::new(input::open(&args.file, args.run.taken.domain)?);
    let shown = || args.file.display().to_string();
    if trace.is_empty() {
        bail!("{} has no operation", shown());
    }
    // What no cell could run under is an error and no row.
    let overrides = args.run.overrides();
    let setup = Setup::resolve(&trace, &overrides)?;
    if let Some(wanted) = args.save {
        return save::run(&trace, &setup, wanted, args.json).with_context(shown);
    }
    let edits = Some(&args.edits).filter(|edits| !edits.is_empty());
    let report = match edits {
        None => grid_report(&trace, &grid, &overrides),
        Some(edits) => edit_report(&trace, edits, &grid, &overrides, &setup).with_context(shown)?,
    };
    if args.json {
        return output::json(&report);
    }
    if args.csv { table::csv(&report, &grid) } else { table::print(&report, &grid) }
}

/// Runs cells of a tape on all cores.
fn rows(trace: &Trace, tape: &Tape, cells: &[Cell], overrides: &Overrides) -> Vec<Row> {
    let bar = input::progress_bar(Some(cells.len() as u64 * tape.operations()), "running");
    let rows = cores::each(cells, |cell| row(trace, tape, cell, overrides, &bar));
    bar.finish_and_clear();
    rows
}

/// Runs cells of a trace on all cores; rows in their order.
pub(super) fn trials(trace: &Arc<Trace>, cells: &[Cell], overrides: &Overrides) -> Vec<Row> {
    rows(trace, &Tape::of(trace), cells, overrides)
}

fn grid_report(trace: &Arc<Trace>, grid: &Grid, overrides: &Overrides) -> Report {
    let cells: Vec<Cell> = std::iter::once(Cell::default()).chain(grid.cells()).collect();
    let mut rows = trials(trace, &cells, overrides);
    let base = rows.remove(0);
    let verdict = Verdict::of(&base, &rows, AS_IT_IS);
    let (trace, operations) = (trace.head.name.clone(), trace.len());
    Report { trace, operations, verdict, base, edited: None, rows }
}

/// The same with changes to blocks: every cell is a run of what they leave.
fn edit_report(
    trace: &Arc<Trace>,
    args: &EditArgs,
    grid: &Grid,
    overrides: &Overrides,
    setup: &Setup,
) -> Result<Report> {
    let whole = Tape::of(trace);
    let base = rows(trace, &whole, &[Cell::default()], overrides).remove(0);
    let Some(before) = base.figures() else { bail!("the trace cannot be run as it is: {}", base.why_not()) };
    let edits = args.edits(trace.len(), before.peak_step)?;
    let Edited { tape, matched } = edit(trace, &edits, &setup.profile)?;
    let mut lines = Vec::new();
    for (edit, matched) in edits.iter().zip(&matched) {
        lines.push(EditLine::of(edit, matched));
    }
    let has_grid = grid.keys().next().is_some();
    let cells: Vec<Cell> =
        std::iter::once(Cell::default()).chain(grid.cells().into_iter().filter(|_| has_grid)).collect();
    let mut rows = rows(trace, &tape, &cells, overrides);
    let changed = rows.remove(0);
    let Some(after) = changed.figures() else {
        bail!("the changed trace cannot be run: {}", changed.why_not())
    };
    let answer = changed_says(&edits, &matched, before, after);
    let verdict = if has_grid {
        let of_grid = Verdict::of(&changed, &rows, AS_CHANGED);
        Verdict { answer: format!("{answer}; {}", of_grid.answer), ..of_grid }
    } else {
        Verdict { answer, ..Verdict::default() }
    };
    if !has_grid {
        rows.push(changed.clone());
    }
    let edited = Some(EditReport {
        saved: Saved::of(before, after),
        curve: edits::curve(before, after, whole.stretch, trace.len()),
        edits: lines,
        row: changed,
    });
    let (trace, operations) = (trace.head.name.clone(), trace.len());
    Ok(Report { trace, operations, verdict, base, edited, rows })
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
    let result = figures.map(Box::new).map_err(|error| super::words::line(&error.into()));
    Row { cell: cell.clone(), result }
}
