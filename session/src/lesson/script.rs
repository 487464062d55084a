//! A lesson under a profile, with everything worked out.

use serde::{Deserialize, Serialize};
use sim_core::Addr;
use trace_io::lesson::text::Piece;
use trace_io::lesson::{Show, Source};

use crate::place::Place;

/// A lesson, worked out.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Script {
    /// What links call it.
    pub id: String,
    /// Its place in the course, 0 for one that stands alone.
    pub number: u32,
    /// Its title.
    pub name: String,
    /// What who did it can do.
    pub goal: String,
    /// The Python that its operations come from.
    pub source: Option<Source>,
    /// Its beats, in order.
    pub beats: Vec<Beat>,
    /// Claims that were held against the machine.
    pub claims: u64,
    /// Those that are not true, and what could not be worked out, each in a sentence with its place.
    pub faults: Vec<String>,
}

/// One beat.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Beat {
    /// Operations done when it is shown.
    pub step: u64,
    /// What it says.
    pub text: Vec<Shown>,
    /// What is in front.
    pub show: Show,
    /// What is selected.
    pub select: Option<Place>,
    /// What is pointed at.
    pub point: Vec<Point>,
    /// Where blocks lay that were freed, by the names that they had.
    pub former: Vec<(Addr, String)>,
    /// The line of [`Script::source`] that it speaks of, from 1.
    pub line: Option<u32>,
    /// Where its numbers differ from those of old articles, in sentences.
    pub outdated: Vec<String>,
    /// What the learner does, if it is not only read.
    pub task: Option<Task>,
}

/// A piece of a text, with the block that it names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Shown {
    /// The piece.
    pub piece: Piece,
    /// The block, pool or arena that it names, as far as it can be shown.
    pub place: Option<Place>,
}

/// A text as plain words.
pub fn words(text: &[Shown]) -> String {
    text.iter().map(|shown| shown.piece.text()).collect()
}

/// Something that is pointed at.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Point {
    /// On the map.
    Place(Place),
    /// A field of the inspector, by its CPython name.
    Field(String),
    /// A line of the statistics, by how it begins.
    Line(String),
}

/// What the learner does.
#[derive(Clone, PartialEq, Debug)]
pub enum Task {
    /// Chooses one of several answers.
    Choose {
        /// In the order in which they are shown.
        choices: Vec<Choice>,
        /// Which one is true.
        key: usize,
        /// What really happens.
        because: Vec<Shown>,
    },
    /// Types a number.
    Number {
        /// The right one.
        key: i64,
        /// Numbers that betray a misconception, by its number.
        wrong: Vec<(i64, u32)>,
        /// What really happens.
        because: Vec<Shown>,
    },
    /// Clicks something on the map.
    Click {
        /// The right place.
        key: Place,
        /// What really happens.
        because: Vec<Shown>,
    },
    /// Does operations, one after the other.
    Play {
        /// The operations.
        rounds: Vec<Round>,
    },
}

/// An answer to choose.
#[derive(Clone, PartialEq, Debug)]
pub struct Choice {
    /// What it says.
    pub text: Vec<Shown>,
    /// The misconception that it belongs to.
    pub misconception: Option<u32>,
}

/// An operation that the learner does.
#[derive(Clone, PartialEq, Debug)]
pub struct Round {
    /// Operations before it.
    pub step: u64,
    /// As a call, with the lesson's names.
    pub call: String,
    /// What comes of it; none where there is nothing to choose.
    pub outcome: Option<Outcome>,
    /// The pool of its block, unless the map shows the blocks of just that pool: whoever clicks it said all that can be said there.
    pub pool: Option<Place>,
    /// What happens, in sentences.
    pub because: Vec<String>,
}

/// Where a request goes. With mimalloc a page stands for a pool, as [`Place::Pool`] at its first slice, and a segment for an arena.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// To a block of a pool that serves its class already, or of an emptied one.
    Block(Place),
    /// To the first block of a pool that was not used yet.
    NewPool(Place),
    /// To the first block of the first pool of a new arena.
    NewArena(Place),
    /// To the C library.
    Raw,
    /// Nowhere: NULL.
    Null,
}
