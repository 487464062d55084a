//! Changes to blocks as the command line names them, and what came of them in a sentence.

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use session::format::{bytes, parse_step};
use session::whatif::{Allocator, Deed, Edit, Figures, Matched, Want};

use crate::cli::output::{count, grouped};

/// What is done to which blocks.
#[derive(clap::Args)]
pub(super) struct EditArgs {
    /// Blocks that are never allocated, such as site=app.py:12; KEY is site, function, module, class, thread, domain, kind or
    /// age; may be repeated, as the others
    #[arg(long, value_name = "KEY=VALUE")]
    without: Vec<Want>,
    /// Blocks that are the C library's
    #[arg(long, value_name = "KEY=VALUE")]
    raw: Vec<Want>,
    /// Blocks that lie in arenas of their own
    #[arg(long, value_name = "KEY=VALUE")]
    apart: Vec<Want>,
    /// Blocks that are allocated already after STEP operations, instead of later: a number, 50%, peak or end
    #[arg(long, value_name = "STEP=KEY=VALUE", value_parser = at_step)]
    before: Vec<AtStep>,
    /// Blocks that are freed after STEP operations, where they live then
    #[arg(long, value_name = "STEP=KEY=VALUE", value_parser = at_step)]
    free_at: Vec<AtStep>,
}

/// Blocks at a step, which may depend on the trace.
#[derive(Clone, Debug)]
struct AtStep {
    step: String,
    want: Want,
}

fn at_step(text: &str) -> Result<AtStep, String> {
    let (step, want) = text
        .split_once('=')
        .filter(|(_, want)| want.contains('='))
        .ok_or("write STEP=KEY=VALUE, for example 50%=site=app.py:12")?;
    let want = want.parse::<Want>().map_err(|error| error.to_string())?;
    Ok(AtStep { step: step.to_owned(), want })
}

impl EditArgs {
    pub(super) fn is_empty(&self) -> bool {
        let EditArgs { without, raw, apart, before, free_at } = self;
        without.is_empty() && raw.is_empty() && apart.is_empty() && before.is_empty() && free_at.is_empty()
    }

    /// The changes to a trace of so many operations, whose arenas are at their most after `peak`.
    pub(super) fn edits(&self, operations: u64, peak: u64) -> Result<Vec<Edit>> {
        let step = |text: &str| match text {
            "peak" => Ok(peak),
            "end" => Ok(operations),
            text => parse_step(text, operations).with_context(|| {
                format!("`{text}` is no step; write a number of operations, 50%, peak or end")
            }),
        };
        let plain = |deed: Deed, wants: &[Want]| {
            wants.iter().map(|want| Edit { deed, want: want.clone() }).collect::<Vec<_>>()
        };
        let mut edits = plain(Deed::Without, &self.without);
        edits.extend(plain(Deed::Raw, &self.raw));
        edits.extend(plain(Deed::Apart, &self.apart));
        for at in &self.before {
            edits.push(Edit { deed: Deed::Before(step(&at.step)?), want: at.want.clone() });
        }
        for at in &self.free_at {
            edits.push(Edit { deed: Deed::FreeAt(step(&at.step)?), want: at.want.clone() });
        }
        if edits.is_empty() {
            bail!("no change was asked for");
        }
        Ok(edits)
    }
}

/// A change with the blocks that it was for.
#[derive(Serialize)]
pub(super) struct EditLine {
    edit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<u64>,
    key: &'static str,
    value: String,
    blocks: u64,
    bytes: u64,
}

impl EditLine {
    pub(super) fn of(edit: &Edit, matched: &Matched) -> Self {
        let (name, step) = match edit.deed {
            Deed::Without => ("without", None),
            Deed::Raw => ("raw", None),
            Deed::Apart => ("apart", None),
            Deed::Before(step) => ("before", Some(step)),
            Deed::FreeAt(step) => ("free_at", Some(step)),
        };
        let (key, value) = (edit.want.key.name(), edit.want.value.clone());
        Self { edit: name, step, key, value, blocks: matched.blocks, bytes: matched.bytes }
    }

    /// What was done, to how many.
    fn told(&self) -> String {
        let of =
            format!("{}={} ({}, {})", self.key, self.value, count(self.blocks, "block"), bytes(self.bytes));
        let step = self.step.map(grouped).unwrap_or_default();
        match self.edit {
            "without" => format!("without {of}"),
            "raw" => format!("with {of} from RAW"),
            "apart" => format!("with {of} in arenas of their own"),
            "before" => format!("with {of} allocated at step {step}"),
            _ => format!("with {of} freed at step {step}"),
        }
    }
}

/// What is held less after the changes, more where it is negative.
#[derive(Serialize)]
pub(super) struct Saved {
    peak_arenas: i64,
    final_arenas: i64,
    peak_bytes: i64,
    final_bytes: i64,
}

impl Saved {
    pub(super) fn of(before: &Figures, after: &Figures) -> Self {
        let less = |of: fn(&Figures) -> u64| of(before).cast_signed() - of(after).cast_signed();
        Self {
            peak_arenas: less(|f| f.peak_arenas),
            final_arenas: less(|f| f.final_arenas),
            peak_bytes: less(|f| f.peak_bytes),
            final_bytes: less(|f| f.final_bytes),
        }
    }
}

/// Arenas, at the most in a stretch that ends after so many operations of the trace as it is.
#[derive(Serialize)]
pub(super) struct Point {
    step: u64,
    before: u64,
    after: u64,
}

/// Both curves.
pub(super) fn curve(before: &Figures, after: &Figures, stretch: u64, operations: u64) -> Vec<Point> {
    let arenas = |of: &Figures, bytes: u64| match of.allocator {
        Allocator::Mimalloc => bytes.div_ceil(32 << 20),
        _ => bytes / of.arena_size,
    };
    let steps = (1..).map(|n| (n * stretch).min(operations));
    let pairs = before.curve.iter().zip(&after.curve).zip(steps);
    pairs.map(|((b, a), step)| Point { step, before: arenas(before, *b), after: arenas(after, *a) }).collect()
}

/// The answer.
pub(super) fn sentence(lines: &[EditLine], before: &Figures, after: &Figures) -> String {
    let what = if before.allocator == Allocator::Mimalloc { "segment" } else { "arena" };
    let part = |moment: &str, arenas: (u64, u64), held: (u64, u64)| {
        let change = match (held.0.checked_sub(held.1), held.1.checked_sub(held.0)) {
            (Some(0), _) => return format!("as much {moment} ({})", count(arenas.0, what)),
            (Some(less), _) => format!("{} less", bytes(less)),
            (None, more) => format!("{} more", bytes(more.unwrap_or_default())),
        };
        format!("{change} {moment} ({} instead of {})", count(arenas.1, what), grouped(arenas.0))
    };
    let told: Vec<String> = lines.iter().map(EditLine::told).collect();
    let end = part(
        "at the end",
        (before.final_arenas, after.final_arenas),
        (before.final_bytes, after.final_bytes),
    );
    let peak =
        part("at the most", (before.peak_arenas, after.peak_arenas), (before.peak_bytes, after.peak_bytes));
    let raw = match after.raw_final_bytes.cast_signed() - before.raw_final_bytes.cast_signed() {
        0 => String::new(),
        more @ 1.. => format!("; RAW is asked for {} more", bytes(more.unsigned_abs())),
        less => format!("; RAW is asked for {} less", bytes(less.unsigned_abs())),
    };
    format!("{} it holds {end} and {peak}{raw}, if the program does the same otherwise", told.join(", "))
}

/// A curve in one line of so many letters: the most of each stretch, against `most`.
pub(super) fn drawn(values: &[u64], most: u64, letters: usize) -> String {
    const LEVELS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let per = values.len().div_ceil(letters).max(1);
    let level = |part: &[u64]| {
        let value = part.iter().copied().max().unwrap_or(0);
        LEVELS[(value * 8).div_ceil(most.max(1)).min(8) as usize]
    };
    values.chunks(per).map(level).collect()
}

impl Point {
    /// What was held before and after, all along.
    pub(super) fn columns(points: &[Self]) -> (Vec<u64>, Vec<u64>) {
        points.iter().map(|point| (point.before, point.after)).unzip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_drawn_against_the_most() {
        assert_eq!(drawn(&[0, 1, 4, 8, 8, 4], 8, 6), " ▁▄██▄");
        assert_eq!(drawn(&[0, 1, 4, 8, 8, 4], 8, 3), "▁██");
        assert_eq!(drawn(&[], 0, 3), "");
    }

    #[test]
    fn a_step_stands_before_the_key() {
        let at = at_step("1,000=site=app.py:12").unwrap();
        assert_eq!((at.step.as_str(), at.want.to_string()), ("1,000", "site=app.py:12".to_owned()));
        assert!(
            at_step("site=app.py:12").unwrap_err().contains("names no blocks")
                || at_step("site=app.py:12").is_err()
        );
        assert!(at_step("5=place=x").unwrap_err().contains("KEY is site, function"));
    }
}
