//! A grid for a person: the answer, the rows, and where the bytes of the best one went.

use std::io::Write as _;

use anyhow::Result;
use session::format::bytes;
use session::whatif::{Figures, Gain, Grid};

use super::edits::{Point, drawn};
use super::{Gains, Outcome, Report, Row};
use crate::cli::output::{count, grouped};

/// What the run as it is is called.
pub(super) const AS_IT_IS: &str = "as it is";
/// What it is called with other blocks.
pub(super) const AS_CHANGED: &str = "as changed";

/// The settings of a row as a person would give them.
fn named(row: &Row) -> String {
    let parts: Vec<String> = row.cell.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    if parts.is_empty() { AS_IT_IS.to_owned() } else { parts.join(" ") }
}

/// What a grid says, in one sentence.
pub(super) fn answer(base: &Row, rows: &[Row], gains: &Gains, called: &str) -> String {
    let Some((end, peak)) = base.held(base) else {
        return format!("the run {called} cannot be compared with: {}", why_not(base));
    };
    let held = |gain: &Gain, moment: &str| {
        rows.get(gain.row).map_or_else(String::new, |row| {
            format!("{} holds {} less {moment}", named(row), bytes(gain.bytes))
        })
    };
    match (&gains.at_end, &gains.at_peak) {
        (None, None) => format!(
            "nothing here holds less than the run {called}, which has {} at the most and {} at the end",
            bytes(peak),
            bytes(end)
        ),
        (Some(gain), None) => format!("{}; nothing here lowers the peak", held(gain, "at the end")),
        (None, Some(gain)) => {
            format!("{}; nothing here leaves less at the end", held(gain, "at the peak"))
        }
        (Some(at_end), Some(at_peak)) if at_end.row == at_peak.row => {
            format!("{} and {} less at the peak", held(at_end, "at the end"), bytes(at_peak.bytes))
        }
        (Some(at_end), Some(at_peak)) => {
            format!("{}; {}", held(at_end, "at the end"), held(at_peak, "at the peak"))
        }
    }
}

/// Why a row stands outside comparisons.
pub(super) fn why_not(row: &Row) -> String {
    match &row.result {
        Outcome::Error { error } => error.clone(),
        Outcome::Figures(figures) => figures.stopped.as_ref().map_or_else(String::new, |fatal| {
            format!("the process ends: {}", fatal.lines().next().unwrap_or_default())
        }),
    }
}

/// What stands behind the figures of a row that is not compared.
fn beside(row: &Row, base: &Row) -> Option<String> {
    let (of, base_of) = (row.figures()?, base.figures()?);
    Some(if of.compares(base_of) {
        return None;
    } else if of.stopped.is_some() {
        why_not(row)
    } else if of.allocator == base_of.allocator {
        "not compared: other RAW".to_owned()
    } else {
        "not compared: other allocator".to_owned()
    })
}

/// How wide curves are drawn.
const CURVE_LETTERS: usize = 96;
/// The columns after those of the settings.
const COLUMNS: [&str; 9] = [
    "arenas",
    "at the most",
    "arenas left",
    "at the end",
    "given back",
    "RAW most",
    "RAW left",
    "lost at peak",
    "lost at end",
];

fn figures(figures: &Figures) -> [String; 9] {
    [
        grouped(figures.peak_arenas),
        bytes(figures.peak_bytes),
        grouped(figures.final_arenas),
        bytes(figures.final_bytes),
        grouped(figures.released),
        bytes(figures.raw_peak_bytes),
        bytes(figures.raw_final_bytes),
        bytes(figures.losses.at_peak.sum()),
        bytes(figures.losses.at_end.sum()),
    ]
}

pub(super) fn print(report: &Report, grid: &Grid) -> Result<()> {
    let mut out = super::super::output::reported();
    writeln!(out, "{}", report.answer)?;
    writeln!(out, "\n{}, {}\n", report.trace, count(report.operations, "operation"))?;
    let mut keys: Vec<&str> = grid.keys().collect();
    let cells = if keys.is_empty() { &[][..] } else { &report.rows };
    if keys.is_empty() {
        keys.push("");
    }
    // What rows are compared with.
    let (base, called) =
        report.edited.as_ref().map_or((&report.base, AS_IT_IS), |edited| (&edited.row, AS_CHANGED));
    let mut lines = vec![line(String::new(), &keys, &COLUMNS)];
    lines.push(row_of(&report.base, &report.base, "", &[AS_IT_IS], keys.len()));
    if report.edited.is_some() {
        lines.push(row_of(base, base, "", &[AS_CHANGED], keys.len()));
    }
    for (at, row) in cells.iter().enumerate() {
        let mark = match (report.best == Some(at), report.front.contains(&at)) {
            (true, _) => ">",
            (false, true) => "*",
            (false, false) => "",
        };
        let values: Vec<&str> = row.cell.settings.iter().map(|(_, value)| value.as_str()).collect();
        lines.push(row_of(row, base, mark, &values, keys.len()));
    }
    for text in aligned(&lines, keys.len() + 1) {
        writeln!(out, "{text}")?;
    }
    if let Some(edited) = &report.edited {
        let (before, after) = Point::columns(&edited.curve);
        let most = before.iter().chain(&after).copied().max().unwrap_or(0);
        writeln!(out, "\narenas along the trace, of {} at the most", grouped(most))?;
        for (name, values) in [(AS_IT_IS, &before), (AS_CHANGED, &after)] {
            writeln!(out, "  {name:<12}{}", drawn(values, most, CURVE_LETTERS))?;
        }
    }
    if cells.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\n> holds least at the end, * is on the front: no other row holds less both at the end and at the most, RAW included"
    )?;
    if cells.iter().any(|row| beside(row, base).is_some()) {
        writeln!(
            out,
            "only rows on the same allocator, with the same asked of the C library, are compared: what that takes beside is not known,\n\
             nor how much of mimalloc's segments of 32 MiB is ever touched"
        )?;
    }
    let best = report.best.and_then(|best| report.rows.get(best)).and_then(|row| Some((row, row.figures()?)));
    if let (Some(base), Some((row, best))) = (base.figures(), best) {
        writeln!(out, "\nbytes of arenas at the end{called:>20}{:>20}", "best")?;
        writeln!(
            out,
            "  {:<24}{:>20}{:>20}",
            "asked for",
            bytes(base.final_asked_bytes),
            bytes(best.final_asked_bytes)
        )?;
        for (of, to) in base.losses.at_end.parts().iter().zip(best.losses.at_end.parts()) {
            if of.1 + to.1 > 0 {
                writeln!(out, "  {:<24}{:>20}{:>20}", of.0, bytes(of.1), bytes(to.1))?;
            }
        }
        writeln!(out, "best is {}", named(row))?;
    }
    Ok(())
}

fn line(mark: String, settings: &[&str], columns: &[&str]) -> Vec<String> {
    let texts = settings.iter().chain(columns).map(|text| (*text).to_owned());
    std::iter::once(mark).chain(texts).collect()
}

fn row_of(row: &Row, base: &Row, mark: &str, values: &[&str], keys: usize) -> Vec<String> {
    let mut settings = values.to_vec();
    settings.resize(keys.max(values.len()), "");
    match &row.result {
        Outcome::Figures(of) => {
            let mut cells = line(mark.to_owned(), &settings, &[]);
            cells.extend(figures(of));
            cells.extend(beside(row, base));
            cells
        }
        Outcome::Error { error } => {
            let mut cells = line(mark.to_owned(), &settings, &[]);
            cells.push(error.clone());
            cells
        }
    }
}

/// Lines in columns, the first `left` of which begin at the left. A last cell beyond the columns, such as a reason, has no width.
fn aligned(lines: &[Vec<String>], left: usize) -> Vec<String> {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |at: usize| {
        let cells = lines.iter().filter(|line| line.len() >= columns).filter_map(|line| line.get(at));
        let settings = lines.iter().filter(|_| at < left).filter_map(|line| line.get(at));
        cells.chain(settings).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let text = |line: &Vec<String>| {
        let cells = line.iter().enumerate().map(|(at, cell)| match widths.get(at) {
            Some(width) if at < left => format!("{cell:<width$}"),
            Some(width) if line.len() >= columns => format!("{cell:>width$}"),
            _ => cell.clone(),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    lines.iter().map(text).collect()
}

/// The rows as CSV: settings, then figures in bytes, then what is wrong.
pub(super) fn csv(report: &Report, grid: &Grid) -> Result<()> {
    let mut out = super::super::output::reported();
    let mut keys: Vec<String> = grid.keys().map(quoted).collect();
    keys.push(String::new());
    writeln!(
        out,
        "{}peak_arenas,final_arenas,released,peak_bytes,final_bytes,raw_peak_bytes,raw_final_bytes,\
         peak_lost_bytes,final_lost_bytes,error",
        keys.join(",")
    )?;
    for row in &report.rows {
        let settings: Vec<String> =
            row.cell.settings.iter().map(|(_, value)| format!("{},", quoted(value))).collect();
        write!(out, "{}", settings.concat())?;
        match &row.result {
            Outcome::Figures(f) => {
                let numbers = [
                    f.peak_arenas,
                    f.final_arenas,
                    f.released,
                    f.peak_bytes,
                    f.final_bytes,
                    f.raw_peak_bytes,
                    f.raw_final_bytes,
                    f.losses.at_peak.sum(),
                    f.losses.at_end.sum(),
                ];
                for number in numbers {
                    write!(out, "{number},")?;
                }
                writeln!(out, "{}", quoted(f.stopped.as_deref().unwrap_or_default()))?;
            }
            Outcome::Error { error } => writeln!(out, ",,,,,,,,,{}", quoted(error))?,
        }
    }
    Ok(())
}

/// A field of CSV, on one line, which no spreadsheet takes for a formula.
fn quoted(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    let formula = line.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let line = if formula { format!("'{line}") } else { line.to_owned() };
    if line.contains([',', '"']) { format!("\"{}\"", line.replace('"', "\"\"")) } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_no_formula_and_one_field() {
        assert_eq!(quoted("=1+1"), "'=1+1");
        assert_eq!(quoted("a, \"b\"\nc"), "\"a, \"\"b\"\"\"");
        assert_eq!(quoted("256K"), "256K");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_reasons_have_no_width() {
        let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
        let lines = [
            row(&["", "key", "n"]),
            row(&[">", "long value", "1"]),
            row(&["", "v", "123"]),
            row(&["", "w", "why not"]),
        ];
        let lines = [&lines[..], &[row(&["", "x"])]].concat();
        assert_eq!(
            aligned(&lines, 2),
            [
                "   key               n",
                ">  long value        1",
                "   v               123",
                "   w           why not",
                "   x"
            ]
        );
    }
}
