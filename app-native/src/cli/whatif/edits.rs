//! Changes to blocks as the command line names them, and what came of them in a sentence.

use anyhow::{Context as _, Result, bail};
use serde::Serialize;
use session::diagnosis::Choice;
use session::format::parse_step;
use session::whatif::{Deed, Edit, Figures, Matched};

/// What is done to which blocks.
#[derive(clap::Args)]
pub(super) struct EditArgs {
    /// Blocks that are never allocated, such as site=app.py:12; KEY is site, function, module, class, thread, domain, kind or
    /// age; may be repeated, as the others
    #[arg(long, value_name = "KEY=VALUE")]
    without: Vec<Choice>,
    /// Blocks that are the C library's
    #[arg(long, value_name = "KEY=VALUE")]
    raw: Vec<Choice>,
    /// Blocks that lie in arenas of their own
    #[arg(long, value_name = "KEY=VALUE")]
    apart: Vec<Choice>,
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
    want: Choice,
}

fn at_step(text: &str) -> Result<AtStep, String> {
    let (step, want) = text
        .split_once('=')
        .filter(|(_, want)| want.contains('='))
        .ok_or("write STEP=KEY=VALUE, for example 50%=site=app.py:12")?;
    let want = want.parse::<Choice>().map_err(|error| error.to_string())?;
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
        let plain = |deed: Deed, wants: &[Choice]| {
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
    let steps = (1..).map(|n| (n * stretch).min(operations));
    let pairs = before.curve.iter().zip(&after.curve).zip(steps);
    pairs
        .map(|((b, a), step)| Point { step, before: before.arenas_of(*b), after: after.arenas_of(*a) })
        .collect()
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
        assert!(at_step("site=app.py:12").unwrap_err().contains("write STEP=KEY=VALUE"));
        assert!(at_step("5=place=x").unwrap_err().contains("is no key; there are site, function"));
    }
}
