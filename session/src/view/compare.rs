//! Two moments beside each other as a front sees them, of one trace, of one under two builds, or of two traces; and several traces
//! side by side.

use std::fmt::Write as _;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use sim_core::Addr;

use crate::at::At;
use crate::diagnosis::compare::{Comparison, Figure, GroupPair, Pair};
use crate::diagnosis::verdict::Word;
use crate::diagnosis::{Key, Placed};
use crate::whatif::Cell;

/// One of the two sides.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SideLook {
    /// Which trace: 0 is the open one, then come those beside it.
    pub trace: u32,
    /// Under which preset; as it is open, or as the trace says, where it is left open.
    pub profile: Option<String>,
    /// Settings that the open trace is to have instead of those that it was opened with, where there are any.
    pub cell: Cell,
    /// When.
    pub at: At,
}

/// What is compared.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CompareLook {
    /// The first side,
    pub a: SideLook,
    /// and the second.
    pub b: SideLook,
    /// What puts blocks in a group; the usual one of the traces where it is left open.
    pub key: Option<Key>,
    /// Rows of groups that are in view.
    pub rows: Range<u32>,
}

/// A moment of a curve.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Operations done.
    pub step: u64,
    /// Bytes of arenas.
    pub held_bytes: u64,
    /// Bytes of live blocks, the C library's too.
    pub live_bytes: u64,
}

/// A trace among others.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TraceColumn {
    /// What it is called.
    pub name: String,
    /// What it runs under.
    pub profile: String,
    /// Its operations.
    pub operations: u64,
    /// What is known of it, once it was run: see [`TraceFigures`], or why it cannot be.
    pub figures: Option<Result<TraceFigures, String>>,
}

/// What a run along a whole trace came to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TraceFigures {
    /// On which heap.
    pub placed: Placed,
    /// The verdict.
    pub word: Word,
    /// How sure, in words.
    pub sure: String,
    /// Arenas at the most,
    pub peak_arenas: u64,
    /// and at the end, with their bytes,
    pub end_arenas: u64,
    /// what of them is live at the most,
    pub peak_live_bytes: u64,
    /// at the end,
    pub live_bytes: u64,
    /// and held.
    pub held_bytes: u64,
}

/// An arena on a small map.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SmallTile {
    /// Where it begins.
    pub base: Addr,
    /// Blocks in use.
    pub blocks: u64,
    /// The share of it that they take, in hundredths.
    pub percent: u8,
}

/// One side once it was reached.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SidePicture {
    /// The trace.
    pub name: String,
    /// What it runs under.
    pub profile: String,
    /// Operations done,
    pub step: u64,
    /// and all of them.
    pub operations: u64,
    /// On which heap.
    pub placed: Placed,
    /// Arenas by address, the first so many.
    pub tiles: Vec<SmallTile>,
    /// Arenas in all.
    pub arenas: u32,
}

/// The sides' curves, once the runs for them are done. Empty before.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TwoCurves {
    /// Of the first side,
    pub a: Vec<CurvePoint>,
    /// and of the second.
    pub b: Vec<CurvePoint>,
}

/// The comparison as far as it is in view.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ComparePicture {
    /// What it answers, rows left out.
    pub look: CompareLook,
    /// The two sides.
    pub sides: Box<[SidePicture; 2]>,
    /// Sums, classes, and the groups that are in view.
    pub comparison: Comparison,
    /// Groups in all.
    pub total: u32,
    /// The first of those in view.
    pub first: u32,
}

/// What is known of what is compared.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Compared {
    /// All traces, the open one first.
    pub traces: Vec<TraceColumn>,
    /// The last comparison.
    pub picture: Option<ComparePicture>,
    /// Curves of both sides.
    pub curves: TwoCurves,
    /// Why there is none of what is looked at.
    pub problem: Option<String>,
}

impl SidePicture {
    /// Tiles that are sent at most.
    pub const TILES: usize = 2048;
}

/// A change with its sign, `0` for none.
pub fn signed(change: i128, amount: impl Fn(u64) -> String) -> String {
    let size = u64::try_from(change.unsigned_abs()).unwrap_or(u64::MAX);
    match change.signum() {
        0 => "0".to_owned(),
        1 => format!("+{}", amount(size)),
        _ => format!("-{}", amount(size)),
    }
}

/// All of a comparison as text between tabs, or as a file of values.
pub(crate) fn text_of(comparison: &Comparison, as_csv: bool) -> String {
    let between = if as_csv { "," } else { "\t" };
    let mut text = ["section", "name", "unit", "a", "b", "change"].join(between) + "\n";
    let mut row = |section: &str, name: &str, unit: &str, pair: Pair| {
        let name =
            if as_csv { crate::format::csv_cell(name) } else { crate::format::printable(name).into_owned() };
        let numbers = [pair.a.to_string(), pair.b.to_string(), pair.change().to_string()].join(between);
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{section}{between}{name}{between}{unit}{between}{numbers}");
    };
    let unit = |figure: &Figure| if figure.bytes { "bytes" } else { "count" };
    for figure in &comparison.figures {
        row("figures", &figure.name, unit(figure), figure.pair);
    }
    for class in &comparison.classes {
        row("blocks by size class", &class.name, "count", class.pair);
    }
    let by = comparison.key.name();
    for GroupPair { label, blocks, bytes, arenas, arenas_alone, pinned_bytes } in &comparison.groups {
        for (unit, pair) in [
            ("bytes", bytes),
            ("blocks", blocks),
            ("arenas", arenas),
            ("arenas_alone", arenas_alone),
            ("pinned_bytes", pinned_bytes),
        ] {
            row(by, &label.to_string(), unit, *pair);
        }
    }
    text
}
