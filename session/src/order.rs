//! What an engine can be told. Fronts send orders; nothing else changes what is open, where it stands and what is
//! looked at.

use serde::{Deserialize, Serialize};
use sim_core::Addr;
use sim_core::index::RareEvent;

use crate::at::At;
use crate::find::{Aspect, Breakpoints};
use crate::lesson::Answer;
use crate::place::Place;
use crate::quiz::QuizOrder;
use crate::selection::{Level, Paint};
use crate::snapshots::Which;
use crate::view::whatif::WhatIfOrder;

/// One order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Order {
    /// Go to a step.
    Seek(u64),
    /// Go to a step by its name; what is wrong with that becomes a notice.
    At(At),
    /// Go so many steps on, or back.
    Step(i64),
    /// Go after the last operation.
    End,
    /// Go so many beats on in the lesson, or back.
    Beat(isize),
    /// Go to a beat of the lesson, counted from 0.
    BeatAt(usize),
    /// Answer what the lesson asks.
    Answer(Answer),
    /// Ask a fresh question on a lesson.
    Practise {
        /// The lesson's id.
        lesson: String,
        /// From 1 to 3.
        level: u8,
        /// The same seed gives the same question.
        seed: u64,
        /// The preset that it is asked for; the one that is open where none is named.
        profile: Option<String>,
    },
    /// Something that is done at a quiz.
    Quiz(QuizOrder),
    /// Leave the lesson; its trace stays open.
    LeaveLesson,
    /// Run the program that is written in the playground.
    Program(String),
    /// Take what is open into the playground.
    Fork,
    /// Take a program into the playground, or into the puzzle that is open, and run it.
    Take(String),
    /// Leave the puzzle that is open; its trace stays, and what is written next is the playground's.
    LeavePuzzle,
    /// Give the operations of what was written as a file to save.
    SaveProgram,
    /// Forget the answer, to try again.
    Again,
    /// Go to the author's next note, or the next mark.
    NextNote,
    /// Go to the author's note, or the mark, before this one.
    PreviousNote,
    /// Play, or pause.
    Play,
    /// Play at one of [`crate::run::SPEEDS`].
    Speed(usize),
    /// Play at a speed so many places further on in the list.
    Faster(isize),
    /// Look for the next, or the previous, arena obtained or released.
    Arena(Direction),
    /// Look for the next operation that touches what is selected.
    Touch(Direction),
    /// Look for the next rare event of a kind.
    RareEvent(RareEvent, Direction),
    /// Look for the next rare event of the kind that is chosen.
    Chosen(Direction),
    /// Look for where the condition holds that is written.
    Hold(Direction),
    /// Choose another aspect of the selection to follow.
    ChooseAspect(Aspect),
    /// Choose another rare event to go to.
    ChooseRareEvent(RareEvent),
    /// The text of the condition that is written now; `None` when it is no condition.
    Condition(Option<String>),
    /// Make the condition that is written a breakpoint.
    KeepCondition,
    /// Heed or pass over the breakpoint with a number.
    ToggleBreakpoint(usize),
    /// Remove the breakpoint with a number.
    RemoveBreakpoint(usize),
    /// Remove all breakpoints.
    RemoveBreakpoints,
    /// Take breakpoints as they were kept, by the names of their traces.
    Restore(Vec<(String, Breakpoints)>),
    /// Stay with a place and show it on the map.
    Pin(Place),
    /// Open a place on the map: an arena's pools, a pool's blocks.
    Enter(Place),
    /// Show one of the map's levels.
    Level(Level),
    /// Go a level in.
    ZoomIn,
    /// Go a level out.
    ZoomOut,
    /// Let the map go to where each step happens, or stay.
    Follow(bool),
    /// Leave out most of the blocks that were never carved, or show all.
    Fold(bool),
    /// Show the map in the colors of something, in a trace that begins with the picture of a process.
    Paint(Paint),
    /// Stop a search, else follow the current step again.
    Clear,
    /// Stop opening, seeking, searching and playing.
    Cancel,
    /// Replay under another preset.
    Profile(String),
    /// Try what would have been.
    WhatIf(WhatIfOrder),
    /// Keep what tracemalloc knows at this step.
    KeepSnapshot(Which),
    /// The same with a snapshot that the program took, by its name.
    UseSnapshot(Which, String),
    /// Give the text of `sys._debugmallocstats()` for the clipboard.
    CopyStats,
    /// Give all of tracemalloc's groups for the clipboard.
    CopyGroups,
    /// Give all holders for the clipboard, as they are sorted and searched.
    CopyHolders {
        /// Whether as a file of values between commas, for a spreadsheet; else as text between tabs.
        as_csv: bool,
    },
    /// Give all that is compared for the clipboard, the same way.
    CopyCompared {
        /// As above.
        as_csv: bool,
    },
    /// Go on finding out what became of the memory; of a trace that goes on anew.
    Judge,
    /// Free a trace beside the one that is open, by its number from 1 on.
    CloseBeside(u32),
    /// Go to a step, and stay there with the arena that begins at an address.
    ShowArena(u64, Addr),
    /// Do the operations up to this step once more, over real memory, and compare.
    RunOverMemory,
    /// Check the whole heap and say so.
    Verify,
    /// The error has been read.
    DismissError,
    /// The hint has been read.
    DismissHint,
}

/// Which way a search goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Direction {
    /// On along the tape.
    Ahead,
    /// Back to the start.
    Back,
}
