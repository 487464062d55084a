//! The arenas as tiles: how much of each is in use, and whose it is.

use std::fmt::Write as _;

use session::diagnosis::{Census, Holders};
use session::format::{bytes, count, grouped};

use super::safe;

/// Tiles of a row.
const COLUMNS: usize = 40;
/// A tile and the gap behind it.
const TILE: usize = 18;
const GAP: usize = 3;
/// Arenas that are drawn; the rest is counted.
const MOST: usize = 2000;
/// Steps of the shading.
const SHADES: u64 = 5;

/// One SVG picture of the arenas of a moment, by address, with a legend. `holders` are of the same census.
pub(super) fn map(census: &Census, holders: &Holders) -> String {
    let drawn = census.regions.len().min(MOST);
    if drawn == 0 {
        return String::new();
    }
    let (width, height) = (COLUMNS * (TILE + GAP), drawn.div_ceil(COLUMNS) * (TILE + GAP));
    let mut svg = format!(
        "<svg class=\"map\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{} by address, shaded by how much of each is in use\">",
        count(census.regions.len() as u64, "arena")
    );
    for (at, region) in census.regions.iter().take(MOST).enumerate() {
        let (x, y) = (at % COLUMNS * (TILE + GAP), at / COLUMNS * (TILE + GAP));
        let share = 100 * region.block_bytes / region.bytes.max(1);
        // Nothing in use is a shade of its own, and so is all.
        let shade = if region.block_bytes == 0 { 0 } else { 1 + (share * (SHADES - 1) / 101) };
        let shares = holders.shares_of(at);
        let whose =
            |group: u32| holders.groups.get(group as usize).map_or_else(String::new, |g| g.label.to_string());
        let held = match shares {
            [] => "no block in use".to_owned(),
            [alone] => format!("{} of {} alone", count(region.blocks, "block"), whose(alone.group)),
            [most, ..] => format!(
                "{} of {}, {} of them of {}",
                count(region.blocks, "block"),
                count(shares.len() as u64, "group"),
                grouped(most.blocks),
                whose(most.group)
            ),
        };
        let alone = if shares.len() == 1 { " alone" } else { "" };
        let _ = write!(
            svg,
            "<rect class=\"u{shade}{alone}\" x=\"{x}\" y=\"{y}\" width=\"{TILE}\" height=\"{TILE}\"><title>arena {} at {}: {share} % in use, {}</title></rect>",
            grouped(region.number),
            region.base,
            safe(&held)
        );
    }
    svg.push_str("</svg><p class=\"legend\">");
    for (shade, name) in (0..).zip(["empty", "little in use", "", "", "full"]) {
        let _ = write!(svg, "<i class=\"u{shade}\"></i>{name} ");
    }
    let _ = write!(
        svg,
        "<i class=\"alone u1\"></i>held by one {} alone. A tile is an arena of {}.",
        holders.key.name(),
        bytes(census.regions.first().map_or(0, |region| region.bytes))
    );
    if census.regions.len() > MOST {
        let _ = write!(svg, " {} more are not drawn.", grouped((census.regions.len() - MOST) as u64));
    }
    svg.push_str("</p>");
    svg
}
