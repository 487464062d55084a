//! What would change it: other settings, and how few arenas the same blocks could lie in.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;

use anyhow::Result;
use session::Overrides;
use session::format::{bytes, grouped};
use session::whatif::words::AS_IT_IS;
use session::whatif::{Cell, Grid, Row, Verdict, ideal};

use super::super::super::whatif::trials;
use super::{Part, safe};

/// What is tried where nothing else is asked for, one after the other.
const USUAL: [&str; 2] = ["arena_size=256K,1M,4M", "malloc=pymalloc,mimalloc"];

/// The cells that are tried: all combinations of what is asked for, else the usual ones.
pub(super) fn cells(asked: &[String]) -> Result<Vec<Cell>> {
    let mut grid = Grid::default();
    for axis in asked {
        grid.add(axis)?;
    }
    if !asked.is_empty() {
        return Ok(grid.cells());
    }
    let mut cells = Vec::new();
    for axis in USUAL {
        let mut grid = Grid::default();
        grid.add(axis)?;
        cells.extend(grid.cells());
    }
    Ok(cells)
}

/// Runs the cells, and says what they come to beside the run as it is.
pub(super) fn change(html: &mut String, part: &Part, cells: &[Cell], overrides: &Overrides) {
    let trace = part.found.inquiry.trace();
    let all: Vec<Cell> = std::iter::once(Cell::default()).chain(cells.iter().cloned()).collect();
    let mut rows = trials(trace, &all, overrides);
    let base = rows.remove(0);
    let verdict = Verdict::of(&base, &rows, AS_IT_IS);
    let _ = writeln!(
        html,
        "<h3>What other settings would change</h3><p>{}. The program is taken to do the same whatever its allocator does.</p>\
         <div class=\"scroll\"><table><tr><th>at the most<th>at the end<th>arenas left<th>given back<th>lost at the end<th>settings",
        safe(&verdict.answer)
    );
    row(html, &base, &base, false);
    for (at, other) in rows.iter().enumerate() {
        row(html, other, &base, verdict.best == Some(at));
    }
    html.push_str("</table></div>");
    bounds(html, part);
}

fn row(html: &mut String, row: &Row, base: &Row, best: bool) {
    let Some(figures) = row.figures() else {
        let _ = writeln!(
            html,
            "<tr class=\"dim\"><td>-<td>-<td>-<td>-<td>-<td>{}: {}",
            safe(&row.named()),
            safe(&row.why_not())
        );
        return;
    };
    let beside = row.beside(base).map_or_else(String::new, |why| format!(" ({})", safe(&why)));
    let best = if best { " <b>holds least</b>" } else { "" };
    let _ = writeln!(
        html,
        "<tr><td>{}<td>{}<td>{}<td>{}<td>{}<td>{}{best}{beside}",
        bytes(figures.peak_bytes),
        bytes(figures.final_bytes),
        grouped(figures.final_arenas),
        grouped(figures.released),
        bytes(figures.losses.at_end.sum()),
        safe(&row.named())
    );
}

/// How few arenas the blocks could lie in; nothing where that is not asked of this allocator.
fn bounds(html: &mut String, part: &Part) {
    let inquiry = &part.found.inquiry;
    let setup = inquiry.setup();
    let Ok(ideal) = ideal(&Arc::clone(inquiry.trace()), setup, &mut |_| ControlFlow::Continue(())) else {
        return;
    };
    let _ = writeln!(
        html,
        "<h3>Whose doing it is</h3><p>{}.</p><div class=\"scroll\"><table><tr><th>arenas at the most<th>at the end<th>blocks placed",
        safe(&ideal.sentence(setup.profile.arena_size))
    );
    for (name, arenas) in ideal.rows() {
        let _ = writeln!(
            html,
            "<tr><td>{}<td>{}<td>{name}",
            grouped(arenas.peak_arenas),
            grouped(arenas.final_arenas)
        );
    }
    html.push_str("</table></div>");
}
