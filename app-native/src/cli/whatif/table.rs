//! A grid for a person: the answer, the rows, and where the bytes of the best one went.

use std::io::Write as _;

use anyhow::Result;
use session::format::{bytes, csv_cell};
use session::whatif::words::{AS_CHANGED, AS_IT_IS};
use session::whatif::{Figures, Grid, Row};

use super::Report;
use super::edits::{Point, drawn};
use crate::cli::output::{count, grouped};

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
    writeln!(out, "{}", report.verdict.answer)?;
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
        let mark = match (report.verdict.best == Some(at), report.verdict.front.contains(&at)) {
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
    if cells.iter().any(|row| row.beside(base).is_some()) {
        writeln!(
            out,
            "only rows on the same allocator, with the same asked of the C library, are compared: what that takes beside is not known,\n\
             nor how much of mimalloc's segments of 32 MiB is ever touched"
        )?;
    }
    let best = report
        .verdict
        .best
        .and_then(|best| report.rows.get(best))
        .and_then(|row| Some((row, row.figures()?)));
    if let (Some(base), Some((row, best))) = (base.figures(), best) {
        writeln!(out, "\nbytes of arenas at the end    {called:>20}{:>20}", "best")?;
        writeln!(
            out,
            "  {:<28}{:>20}{:>20}",
            "asked for",
            bytes(base.final_asked_bytes),
            bytes(best.final_asked_bytes)
        )?;
        for (of, to) in base.losses.at_end.parts().iter().zip(best.losses.at_end.parts()) {
            if of.1 + to.1 > 0 {
                writeln!(out, "  {:<28}{:>20}{:>20}", of.0.name(), bytes(of.1), bytes(to.1))?;
            }
        }
        writeln!(out, "best is {}", row.named())?;
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
        Ok(of) => {
            let mut cells = line(mark.to_owned(), &settings, &[]);
            cells.extend(figures(of));
            cells.extend(row.beside(base));
            cells
        }
        Err(error) => {
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
    let mut keys: Vec<String> = grid.keys().map(csv_cell).collect();
    keys.push(String::new());
    writeln!(
        out,
        "{}peak_arenas,final_arenas,released,peak_bytes,final_bytes,raw_peak_bytes,raw_final_bytes,\
         peak_lost_bytes,final_lost_bytes,error",
        keys.join(",")
    )?;
    for row in &report.rows {
        let settings: Vec<String> =
            row.cell.settings.iter().map(|(_, value)| format!("{},", csv_cell(value))).collect();
        write!(out, "{}", settings.concat())?;
        match &row.result {
            Ok(f) => {
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
                writeln!(out, "{}", csv_cell(&row.why_not()))?;
            }
            Err(error) => writeln!(out, ",,,,,,,,,{}", csv_cell(error))?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

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
