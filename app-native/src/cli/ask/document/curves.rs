//! The run as curves: arenas, blocks in use, RAW, over operations.

use std::fmt::Write as _;

use session::diagnosis::Survey;
use session::diagnosis::survey::Point;
use session::format::{bytes, grouped};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 80.0;
const BELOW: f64 = 28.0;

/// A figure of a moment.
type Of = fn(&Point) -> u64;

/// One SVG picture. Lines differ by dashes as well as by colour.
pub(super) fn curves(survey: &Survey) -> String {
    let last = survey.points.last().map_or(1, |point| point.step).max(1) as f64;
    let most =
        survey.points.iter().map(|point| point.held_bytes.max(point.live_bytes())).max().unwrap_or(1).max(1);
    let x = |step: u64| LEFT + (WIDTH - LEFT) * step as f64 / last;
    let y = |amount: u64| (HEIGHT - BELOW) * (1.0 - amount as f64 / most as f64) + 4.0;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Bytes held in arenas, in blocks in use and in RAW over the run\">"
    );
    for part in 0..=4_u64 {
        let amount = most / 4 * part;
        let at = y(amount);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{WIDTH}\" y2=\"{at:.1}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 6.0,
            at + 4.0,
            bytes(amount)
        );
    }
    let lines: [(&str, Of); 3] =
        [("held", |p| p.held_bytes), ("live", |p| p.block_bytes), ("raw", |p| p.raw_bytes)];
    for (class, of) in lines {
        let points: Vec<String> =
            survey.points.iter().map(|p| format!("{:.1},{:.1}", x(p.step), y(of(p)))).collect();
        let _ = write!(svg, "<polyline class=\"{class}\" points=\"{}\"/>", points.join(" "));
    }
    let _ = write!(
        svg,
        "<text x=\"{LEFT}\" y=\"{0:.1}\">0</text><text x=\"{WIDTH}\" y=\"{0:.1}\" text-anchor=\"end\">{1} operations</text></svg>\
         <p class=\"legend\"><span class=\"held\">held in arenas</span><span class=\"live\">blocks in use in them</span>\
         <span class=\"raw\">RAW and large blocks</span></p>",
        HEIGHT - 8.0,
        grouped(last as u64)
    );
    svg
}
