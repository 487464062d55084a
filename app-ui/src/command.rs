//! Everything the user can ask for. Buttons, menus, keys, the palette and the help page read one table.

use egui::{Key, KeyboardShortcut, Modifiers};
use session::find::Aspect;
use session::snapshots::Which;
use session::{Level, Place};
use sim_core::breakpoint::Condition;
use sim_core::index::Mark;

/// What the window can be told; `apply` does it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Command {
    /// Something without arguments.
    Do(Action),
    /// Go to a step.
    Seek(u64),
    /// Stay with a place and show it on the map.
    Pin(Place),
    /// Open a place on the map: an arena's pools, a pool's blocks.
    Enter(Place),
    /// Show one of the map's levels.
    Level(Level),
    /// Play at one of the speeds.
    Speed(usize),
    /// Replay under another preset.
    Profile(&'static str),
    /// Open a bundled trace.
    Example(usize),
    /// Put a text on the clipboard.
    Copy(String),
    /// Keep what tracemalloc knows at this step, to compare it later.
    KeepSnapshot(Which),
    /// The same with a snapshot that the program took, by its name.
    UseSnapshot(Which, String),
    /// Follow another aspect of the selection.
    Aspect(Aspect),
    /// Choose another rare event to go to.
    Mark(Mark),
    /// What the condition field says now, if it is a condition.
    Condition(Option<Condition>),
    /// Write a condition into the field.
    WriteCondition(String),
    /// Heed or pass over the breakpoint with a number.
    ToggleBreakpoint(usize),
    /// Remove the breakpoint with a number.
    RemoveBreakpoint(usize),
    /// Close what lies over the panes.
    CloseOverlay,
}

/// A command that needs no argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    Open,
    Forward,
    Back,
    ForwardFar,
    BackFar,
    Start,
    End,
    GoTo,
    Play,
    Slower,
    Faster,
    NextArena,
    PreviousArena,
    NextTouch,
    PreviousTouch,
    Next(Mark),
    Previous(Mark),
    NextChosen,
    PreviousChosen,
    EditCondition,
    NextHold,
    PreviousHold,
    KeepCondition,
    RemoveBreakpoints,
    Filter,
    NextNote,
    PreviousNote,
    ZoomIn,
    ZoomOut,
    Follow,
    Fold,
    Verify,
    Clear,
    Cancel,
    TabMap,
    TabClasses,
    TabArenas,
    TabStats,
    TabDomains,
    TabDebug,
    TabTracemalloc,
    TabOperations,
    TabInspector,
    Palette,
    Help,
    ThemeSystem,
    ThemeDark,
    ThemeLight,
    ReduceMotion,
    ResetLayout,
    CopyStats,
    FrameTimes,
    ResetFrameTimes,
    DismissError,
    DismissHint,
}

/// What is said of an action, wherever it appears.
pub(crate) struct Meta {
    /// The action.
    pub(crate) action: Action,
    /// Its name on buttons, in menus and for screen readers.
    pub(crate) label: &'static str,
    /// A sentence on it.
    pub(crate) tip: &'static str,
    /// Keys that do it.
    pub(crate) keys: &'static [KeyboardShortcut],
    /// The group it is listed under.
    pub(crate) group: &'static str,
}

const NONE: Modifiers = Modifiers::NONE;
const SHIFT: Modifiers = Modifiers::SHIFT;

const fn key(modifiers: Modifiers, key: Key) -> KeyboardShortcut {
    KeyboardShortcut::new(modifiers, key)
}

const fn meta(
    group: &'static str,
    action: Action,
    label: &'static str,
    tip: &'static str,
    keys: &'static [KeyboardShortcut],
) -> Meta {
    Meta { action, label, tip, keys, group }
}

const TIME: &str = "Time";
const FIND: &str = "Find";
const MAP: &str = "Map";
const WINDOW: &str = "Window";

/// The table.
#[rustfmt::skip]
pub(crate) const ACTIONS: &[Meta] = &[
    meta(TIME, Action::Forward, "Step forward", "Do the next operation", &[key(NONE, Key::ArrowRight)]),
    meta(TIME, Action::Back, "Step back", "Undo the last operation", &[key(NONE, Key::ArrowLeft)]),
    meta(TIME, Action::ForwardFar, "100 forward", "Do the next 100 operations", &[key(SHIFT, Key::ArrowRight)]),
    meta(TIME, Action::BackFar, "100 back", "Undo the last 100 operations", &[key(SHIFT, Key::ArrowLeft)]),
    meta(TIME, Action::Start, "Go to start", "Before the first operation", &[key(NONE, Key::Home)]),
    meta(TIME, Action::End, "Go to end", "After the last operation", &[key(NONE, Key::End)]),
    meta(TIME, Action::GoTo, "Go to…", "Go to a step, a share of the trace or an address", &[key(NONE, Key::G)]),
    meta(TIME, Action::Play, "Play or pause", "Let the operations run by themselves", &[key(NONE, Key::Space)]),
    meta(TIME, Action::Slower, "Slower", "Play fewer operations a second", &[key(NONE, Key::Comma)]),
    meta(TIME, Action::Faster, "Faster", "Play more operations a second", &[key(NONE, Key::Period)]),
    meta(TIME, Action::PreviousArena, "Previous arena", "Go back to where an arena was obtained or released", &[key(NONE, Key::OpenBracket)]),
    meta(TIME, Action::NextArena, "Next arena", "Go on to where an arena is obtained or released", &[key(NONE, Key::CloseBracket)]),
    meta(TIME, Action::PreviousNote, "Previous note", "Go back to the author's note before this one", &[key(NONE, Key::P)]),
    meta(TIME, Action::NextNote, "Next note", "Go on to the author's next note", &[key(NONE, Key::N)]),
    meta(FIND, Action::PreviousTouch, "Previous touch", "Go back to the last operation that touched what is selected", &[key(Modifiers::COMMAND, Key::ArrowLeft)]),
    meta(FIND, Action::NextTouch, "Next touch", "Go on to the next operation that touches what is selected", &[key(Modifiers::COMMAND, Key::ArrowRight)]),
    meta(FIND, Action::PreviousChosen, "Previous of the chosen event", "Go back to the last operation with the event chosen in the bar", &[key(SHIFT, Key::OpenBracket)]),
    meta(FIND, Action::NextChosen, "Next of the chosen event", "Go on to the next operation with the event chosen in the bar", &[key(SHIFT, Key::CloseBracket)]),
    meta(FIND, Action::EditCondition, "Run to condition…", "Write a condition such as arena_released && arenas > 40", &[key(NONE, Key::R)]),
    meta(FIND, Action::PreviousHold, "Back to condition", "Go back to the last operation after which the condition holds", &[key(SHIFT, Key::F3)]),
    meta(FIND, Action::NextHold, "On to condition", "Go on to the next operation after which the condition holds", &[key(NONE, Key::F3)]),
    meta(FIND, Action::KeepCondition, "Keep as breakpoint", "Let Play stop where the condition holds", &[key(NONE, Key::K)]),
    meta(FIND, Action::RemoveBreakpoints, "Remove all breakpoints", "Let Play run to the end", &[]),
    meta(FIND, Action::Previous(Mark::ArenaObtained), "Previous arena obtained", "Go back to where an arena came from the system", &[]),
    meta(FIND, Action::Next(Mark::ArenaObtained), "Next arena obtained", "Go on to where an arena comes from the system", &[]),
    meta(FIND, Action::Previous(Mark::ArenaReleased), "Previous arena released", "Go back to where an arena was given back", &[]),
    meta(FIND, Action::Next(Mark::ArenaReleased), "Next arena released", "Go on to where an arena is given back", &[]),
    meta(FIND, Action::Previous(Mark::PoolCarved), "Previous pool carved", "Go back to where a pool was cut from an arena", &[]),
    meta(FIND, Action::Next(Mark::PoolCarved), "Next pool carved", "Go on to where a pool is cut from an arena", &[]),
    meta(FIND, Action::Previous(Mark::PoolFreed), "Previous pool freed", "Go back to where an empty pool went to its arena", &[]),
    meta(FIND, Action::Next(Mark::PoolFreed), "Next pool freed", "Go on to where an empty pool goes to its arena", &[]),
    meta(FIND, Action::Previous(Mark::RawFallback), "Previous RAW fallback", "Go back to where pymalloc passed a request on to RAW", &[]),
    meta(FIND, Action::Next(Mark::RawFallback), "Next RAW fallback", "Go on to where pymalloc passes a request on to RAW", &[]),
    meta(FIND, Action::Previous(Mark::ArenaRefused), "Previous hook failure", "Go back to where the arena allocator returned NULL", &[]),
    meta(FIND, Action::Next(Mark::ArenaRefused), "Next hook failure", "Go on to where the arena allocator returns NULL", &[]),
    meta(TIME, Action::Cancel, "Cancel", "Stop opening, seeking, searching or playing", &[]),
    meta(MAP, Action::ZoomIn, "Zoom in", "From all arenas to one arena's pools to one pool's blocks", &[key(NONE, Key::Plus), key(NONE, Key::Equals), key(NONE, Key::Enter)]),
    meta(MAP, Action::ZoomOut, "Zoom out", "From blocks to pools to arenas", &[key(NONE, Key::Minus), key(NONE, Key::Backspace)]),
    meta(MAP, Action::Follow, "Follow", "Let the map go to where each step happens", &[key(NONE, Key::F)]),
    meta(MAP, Action::Fold, "Fold", "Leave out most of the blocks that were never carved", &[key(NONE, Key::C)]),
    meta(MAP, Action::Verify, "Check the heap", "Check every list, count, link and sum of the heap at this step", &[key(NONE, Key::V)]),
    meta(MAP, Action::Clear, "Clear", "Stop a search, else let the inspector follow the current step again", &[key(NONE, Key::Escape)]),
    meta(WINDOW, Action::Open, "Open…", "Open a trace file: ptrace text or a RON lesson, plain or compressed with zstd", &[key(Modifiers::COMMAND, Key::O)]),
    meta(WINDOW, Action::TabMap, "Map", "Show the map", &[key(NONE, Key::Num1)]),
    meta(WINDOW, Action::TabClasses, "Size classes", "Show the size classes", &[key(NONE, Key::Num2)]),
    meta(WINDOW, Action::TabArenas, "Arenas", "Show the table of arenas", &[key(NONE, Key::Num3)]),
    meta(WINDOW, Action::TabStats, "Malloc stats", "Show what sys._debugmallocstats() prints", &[key(NONE, Key::Num4)]),
    meta(WINDOW, Action::TabOperations, "Operations", "Show the operations", &[key(NONE, Key::Num5)]),
    meta(WINDOW, Action::Filter, "Filter operations", "Show only the operations with some id, size, call or domain", &[key(NONE, Key::Slash)]),
    meta(WINDOW, Action::TabInspector, "Inspector", "Show the inspector", &[key(NONE, Key::Num6)]),
    meta(WINDOW, Action::TabDomains, "Domains", "Show the tables of each domain and the chains they form", &[key(NONE, Key::Num7)]),
    meta(WINDOW, Action::TabDebug, "Debug hooks", "Show a block's bytes with header and pads", &[key(NONE, Key::Num8)]),
    meta(WINDOW, Action::TabTracemalloc, "tracemalloc", "Show who allocated what is live", &[key(NONE, Key::Num9)]),
    meta(WINDOW, Action::Palette, "Commands…", "Find any command by its name", &[key(Modifiers::COMMAND.plus(SHIFT), Key::P), key(Modifiers::COMMAND, Key::P)]),
    meta(WINDOW, Action::Help, "Help", "What the picture means, and every key", &[key(NONE, Key::Questionmark), key(NONE, Key::F1)]),
    meta(WINDOW, Action::ThemeSystem, "Colors of the system", "Light or dark, as the system is", &[]),
    meta(WINDOW, Action::ThemeDark, "Dark colors", "Light on dark", &[]),
    meta(WINDOW, Action::ThemeLight, "Light colors", "Dark on light", &[]),
    meta(WINDOW, Action::ReduceMotion, "Reduce motion", "Mark what a step touched without a pulse", &[]),
    meta(WINDOW, Action::ResetLayout, "Reset layout", "Put all panes back where they were at first", &[]),
    meta(WINDOW, Action::CopyStats, "Copy malloc stats", "Copy the statistics text to the clipboard", &[]),
    meta(WINDOW, Action::FrameTimes, "Frame times", "Show how long frames take: median, 99 of a hundred, worst", &[]),
    meta(WINDOW, Action::ResetFrameTimes, "Reset frame times", "Measure frames from now on", &[]),
    meta(WINDOW, Action::DismissError, "Dismiss error", "Close the error message", &[]),
    meta(WINDOW, Action::DismissHint, "Dismiss hint", "Close the hint", &[]),
];

impl Action {
    /// Its row of the table.
    pub(crate) fn meta(self) -> &'static Meta {
        // Every action has a row; a test says so.
        ACTIONS.iter().find(|m| m.action == self).unwrap_or(&ACTIONS[0])
    }

    /// Its sentence with its keys.
    pub(crate) fn tooltip(self, ctx: &egui::Context) -> String {
        let meta = self.meta();
        let keys: Vec<String> = meta.keys.iter().map(|k| key_text(ctx, *k)).collect();
        if keys.is_empty() { meta.tip.to_owned() } else { format!("{} ({})", meta.tip, keys.join(" or ")) }
    }
}

/// A key as people write it.
pub(crate) fn key_text(ctx: &egui::Context, shortcut: KeyboardShortcut) -> String {
    let plain = match shortcut.logical_key {
        Key::ArrowLeft => "Left",
        Key::ArrowRight => "Right",
        Key::Plus => "+",
        Key::Equals => "=",
        Key::Minus => "-",
        Key::Comma => ",",
        Key::Period => ".",
        Key::OpenBracket => "[",
        Key::CloseBracket => "]",
        Key::Questionmark => "?",
        Key::Slash => "/",
        _ => return ctx.format_shortcut(&shortcut),
    };
    let command = if ctx.os() == egui::os::OperatingSystem::Mac { "Cmd+" } else { "Ctrl+" };
    let modifiers = [(shortcut.modifiers.command, command), (shortcut.modifiers.shift, "Shift+")];
    let held: String = modifiers.iter().filter(|(held, _)| *held).map(|(_, name)| *name).collect();
    held + plain
}

/// Keys that move a text cursor, whatever is held with them.
fn moves_cursor(key: Key) -> bool {
    matches!(key, Key::ArrowLeft | Key::ArrowRight)
}

/// Keys that a focused widget needs for itself.
fn belongs_to_focus(key: Key) -> bool {
    matches!(key, Key::Space | Key::Enter)
}

/// Takes the shortcuts out of this pass's input. Call it before any widget, so that none sees them.
pub(crate) fn consume_shortcuts(ctx: &egui::Context) -> Vec<Action> {
    let typing = ctx.text_edit_focused();
    let focused = ctx.memory(|m| m.focused().is_some());
    let in_menu = egui::Popup::is_any_open(ctx);
    let mut all: Vec<(Action, KeyboardShortcut)> =
        ACTIONS.iter().flat_map(|m| m.keys.iter().map(|k| (m.action, *k))).collect();
    // Extra modifiers are ignored when a key is matched, so the ones with most modifiers come first.
    all.sort_by_key(|(_, k)| std::cmp::Reverse(u8::from(k.modifiers.shift) + u8::from(k.modifiers.command)));
    ctx.input_mut(|input| {
        let modified = input.modifiers.command || input.modifiers.alt || input.modifiers.ctrl;
        let mut actions = Vec::new();
        for (action, shortcut) in &all {
            if (typing && moves_cursor(shortcut.logical_key))
                || (in_menu && shortcut.logical_key == Key::Escape)
            {
                continue;
            }
            if !shortcut.modifiers.command
                && (typing || modified || (focused && belongs_to_focus(shortcut.logical_key)))
            {
                continue;
            }
            let times = input.count_and_consume_key(shortcut.modifiers, shortcut.logical_key);
            actions.extend(std::iter::repeat_n(*action, times));
        }
        actions
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_actions_share_a_key_or_a_label() {
        let mut keys = BTreeSet::new();
        let mut labels = BTreeSet::new();
        for meta in ACTIONS {
            assert!(labels.insert(meta.label), "{} twice", meta.label);
            assert_eq!(meta.action.meta().label, meta.label);
            for k in meta.keys {
                assert!(
                    keys.insert(format!("{:?} {:?}", k.modifiers, k.logical_key)),
                    "{} clashes",
                    meta.label
                );
            }
        }
    }
}
