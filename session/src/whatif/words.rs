//! What a grid, changed blocks, sites and bounds say, in a sentence each: the answer that every front begins with.

use serde::{Deserialize, Serialize};

use super::edit::{Deed, Edit, Matched};
use super::fewest::Fewest;
use super::grid::Cell;
use super::ideal::{Arenas, Blame, Ideal};
use super::pareto::{Front, Gain};
use super::run::{Allocator, Figures};
use crate::format::{bytes, count, grouped};

/// What the run as it is is called.
pub const AS_IT_IS: &str = "as it is";
/// What it is called with other blocks.
pub const AS_CHANGED: &str = "as changed";

/// Changes that a sentence names.
const NAMED: usize = 3;

/// A cell with what it came to, or why it has no figures.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Row {
    /// Its settings.
    pub cell: Cell,
    /// Its figures.
    pub result: Result<Box<Figures>, String>,
}

impl Row {
    /// Its figures, where it has some.
    pub fn figures(&self) -> Option<&Figures> {
        self.result.as_deref().ok()
    }

    /// Bytes at the end and at the most, where they can be compared with those of `base`.
    pub fn held(&self, base: &Self) -> Option<(u64, u64)> {
        let base = base.figures()?;
        self.figures().filter(|figures| figures.compares(base)).map(Figures::held)
    }

    /// Its settings as a person would give them.
    pub fn named(&self) -> String {
        self.cell.named()
    }

    /// Why it stands outside comparisons; nothing where its run went to the end.
    pub fn why_not(&self) -> String {
        match &self.result {
            Err(error) => error.clone(),
            Ok(figures) => figures.stopped.as_ref().map_or_else(String::new, |fatal| {
                format!("the process ends: {}", fatal.lines().next().unwrap_or_default())
            }),
        }
    }

    /// What stands behind the figures of a row that is not compared with `base`.
    pub fn beside(&self, base: &Self) -> Option<String> {
        let (of, base_of) = (self.figures()?, base.figures()?);
        Some(if of.compares(base_of) {
            return None;
        } else if of.stopped.is_some() {
            self.why_not()
        } else if of.allocator == base_of.allocator {
            "not compared: other RAW".to_owned()
        } else {
            "not compared: other allocator".to_owned()
        })
    }
}

impl Cell {
    /// Its settings as a person would give them.
    pub fn named(&self) -> String {
        let parts: Vec<String> = self.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if parts.is_empty() { AS_IT_IS.to_owned() } else { parts.join(" ") }
    }
}

/// What a grid says: rows by their numbers, and the answer in one sentence.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// In one sentence.
    pub answer: String,
    /// The row that holds least at the end.
    pub best: Option<usize>,
    /// Rows that no other beats both at the end and at the peak.
    pub front: Vec<usize>,
}

impl Verdict {
    /// Of rows beside the run that is called so.
    pub fn of(base: &Row, rows: &[Row], called: &str) -> Self {
        let held: Vec<_> = rows.iter().map(|row| row.held(base)).collect();
        let Front { rows: front, best } = Front::of(&held);
        Self { answer: answer(base, rows, &held, called), best, front }
    }
}

fn answer(base: &Row, rows: &[Row], held: &[Option<(u64, u64)>], called: &str) -> String {
    let Some((end, peak)) = base.held(base) else {
        return format!("the run {called} cannot be compared with: {}", base.why_not());
    };
    let told = |gain: &Gain, moment: &str| {
        rows.get(gain.row).map_or_else(String::new, |row| {
            format!("{} holds {} less {moment}", row.named(), bytes(gain.bytes))
        })
    };
    let at_end = Gain::over(end, held, |(end, _)| end);
    let at_peak = Gain::over(peak, held, |(_, peak)| peak);
    match (&at_end, &at_peak) {
        (None, None) => format!(
            "nothing here holds less than the run {called}, which has {} at the most and {} at the end",
            bytes(peak),
            bytes(end)
        ),
        (Some(gain), None) => format!("{}; nothing here lowers the peak", told(gain, "at the end")),
        (None, Some(gain)) => {
            format!("{}; nothing here leaves less at the end", told(gain, "at the peak"))
        }
        (Some(at_end), Some(at_peak)) if at_end.row == at_peak.row => {
            format!("{} and {} less at the peak", told(at_end, "at the end"), bytes(at_peak.bytes))
        }
        (Some(at_end), Some(at_peak)) => {
            format!("{}; {}", told(at_end, "at the end"), told(at_peak, "at the peak"))
        }
    }
}

/// What was done to blocks, and to how many.
fn told(edit: &Edit, matched: &Matched) -> String {
    let of = format!("{} ({}, {})", edit.want, count(matched.blocks, "block"), bytes(matched.bytes));
    match edit.deed {
        Deed::Without => format!("without {of}"),
        Deed::Raw => format!("with {of} from RAW"),
        Deed::Apart => format!("with {of} in arenas of their own"),
        Deed::Before(step) => format!("with {of} allocated at step {}", grouped(step)),
        Deed::FreeAt(step) => format!("with {of} freed at step {}", grouped(step)),
    }
}

/// What changes to blocks come to.
pub fn changed(edits: &[Edit], matched: &[Matched], before: &Figures, after: &Figures) -> String {
    let what = if before.allocator == Allocator::Mimalloc { "segment" } else { "arena" };
    let part = |moment: &str, arenas: (u64, u64), held: (u64, u64)| {
        let change = match (held.0.checked_sub(held.1), held.1.checked_sub(held.0)) {
            (Some(0), _) => return format!("as much {moment} ({})", count(arenas.0, what)),
            (Some(less), _) => format!("{} less", bytes(less)),
            (None, more) => format!("{} more", bytes(more.unwrap_or_default())),
        };
        format!("{change} {moment} ({} instead of {})", count(arenas.1, what), grouped(arenas.0))
    };
    let all = edits.iter().zip(matched);
    let mut told: Vec<String> = all.take(NAMED).map(|(edit, matched)| told(edit, matched)).collect();
    let more = edits.len().saturating_sub(NAMED) as u64;
    if more > 0 {
        told.push(format!("and {}", count(more, "more change")));
    }
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

impl Fewest {
    /// What the search says.
    pub fn answer(&self) -> String {
        let (base, saved, sites) = (self.base_bytes(), self.saved_bytes(), self.chosen().len() as u64);
        let held = format!("of {} of arenas at the end", bytes(base));
        if self.reached() {
            return format!(
                "without {} {} less is held, {held}, if the program does the same otherwise",
                count(sites, "site"),
                bytes(saved)
            );
        }
        format!(
            "{} cannot be saved by leaving sites out: {held}, {} less is held without {}, and nobody else keeps what is left",
            bytes(self.wanted()),
            bytes(saved),
            count(sites, "site")
        )
    }
}

impl Ideal {
    /// Whose doing it is, and by how much.
    pub fn sentence(&self, arena_bytes: u64) -> String {
        let Self { real, perfect_packing, known_lifetimes, gap, blame } = *self;
        // The moment at which more is held that need not be.
        let at_end = gap.final_arenas >= gap.peak_arenas;
        let of = |arenas: Arenas| if at_end { arenas.final_arenas } else { arenas.peak_arenas };
        let when = if at_end { "at the end" } else { "at the most" };
        let held = format!("{} {when}", count(of(real), "arena"));
        let (fill, known) = (grouped(of(perfect_packing)), grouped(of(known_lifetimes)));
        match blame {
            Blame::Neither => format!(
                "neither: the live blocks fill what is held ({held}, and they fill {fill}); to hold less, keep less alive"
            ),
            Blame::Allocator => format!(
                "the allocator: of {held} the live blocks fill {fill}, and placed by when they end they would lie in {known}, \
                 which is {} less",
                bytes((of(real) - of(known_lifetimes)) * arena_bytes)
            ),
            Blame::Program => format!(
                "the program: of {held} the live blocks fill {fill}, but even placed by when they end they would lie in {known}; \
                 free those that stay, or make them before the others"
            ),
        }
    }

    /// The run and its bounds, each with its name.
    pub fn rows(&self) -> [(&'static str, Arenas); 4] {
        [
            (AS_IT_IS, self.real),
            ("known lifetimes", self.known_lifetimes),
            ("perfect packing", self.perfect_packing),
            ("gap", self.gap),
        ]
    }
}
