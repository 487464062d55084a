//! Everything the user can ask for. Buttons, menus, keys, the palette and the help page read one table.

use egui::{Key, KeyboardShortcut, Modifiers};
use session::Order;
use session::diagnosis::{Key as GroupKey, Rule};
use session::link::Link;
use session::view::holders::Column;
use session::whatif::Cell;
use sim_core::index::RareEvent;

use crate::platform::ProcessAsk;

/// What the window can be told; `apply` does it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Command {
    /// Something without arguments.
    Do(Action),
    /// An order to the engine.
    Order(Order),
    /// Open a bundled trace.
    Example(usize),
    /// Take what is open into the playground.
    Fork,
    /// Put a link to the lesson's beat, or to this program, on the clipboard.
    Share(Link),
    /// Ask a fresh question on a lesson, at a level from 1 to 3.
    Practise(String, u8),
    /// Leave the lesson that is open.
    LeaveLesson,
    /// Open the lesson after the one that is open.
    NextLesson,
    /// Leave the puzzle that is open.
    LeavePuzzle,
    /// Open the puzzle after the one that is open.
    NextPuzzle,
    /// The solution of the puzzle with this id is looked at.
    ShowSolution(String),
    /// Put a text on the clipboard.
    Copy(String),
    /// Write a condition into the field.
    WriteCondition(String),
    /// Open the file with this path, which was typed.
    OpenPath(String),
    /// What the pane of holders is to show.
    Holders(HoldersAsk),
    /// Open a trace to be compared with the one that is open.
    OpenBeside,
    /// Put settings that were tried beside the run that is open.
    CompareCell(Cell),
    /// Ask anew which processes there are.
    ListProcesses,
    /// Take a picture of a process.
    TakePicture(ProcessAsk),
    /// Close what lies over the panes.
    CloseOverlay,
}

/// What other panes ask of the pane of holders.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum HoldersAsk {
    /// Mark no holder on the map.
    Unmark,
    /// Show groups by a key, the usual one where none is named, the largest of a column first.
    Show {
        /// What puts blocks in a group.
        key: Option<GroupKey>,
        /// The column.
        sort: Column,
        /// What their names have.
        search: String,
    },
    /// Show groups, and select one of them.
    Row {
        /// What puts blocks in a group, the usual key where none is named.
        key: Option<GroupKey>,
        /// How arenas are shared.
        rule: Rule,
        /// The group.
        name: Option<String>,
        /// The step whose groups they are, to bring its row into view.
        at: Option<u64>,
    },
    /// Forecast what freeing a group gives back.
    Free {
        /// What puts blocks in a group.
        key: GroupKey,
        /// The group.
        name: String,
    },
    /// Tick groups so that so many hundredths of what is held at a step go back.
    Want {
        /// Hundredths.
        percent: u32,
        /// The step.
        at: u64,
    },
}

/// A command that needs no argument.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    Open,
    OpenProcess,
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
    Next(RareEvent),
    Previous(RareEvent),
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
    Placement,
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
    TabCallers,
    TabHolders,
    TabWaterfall,
    TabProcess,
    TabWhatIf,
    TabFindings,
    TabCompare,
    MarkA,
    MarkB,
    TabLearn,
    TabPlayground,
    Present,
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

/// Makes the table of actions and [`Action::meta`] of the same rows, so that an action without a row, or with two, does
/// not compile.
macro_rules! table {
    ($($group:ident $action:ident $(($event:ident))?, $label:literal, $tip:literal, [$($key:expr),*];)*) => {
        /// The table, in the order in which it is listed.
        pub(crate) const ACTIONS: &[Meta] =
            &[$(meta($group, Action::$action $((RareEvent::$event))?, $label, $tip, &[$($key),*])),*];

        impl Action {
            /// Its row of the table.
            pub(crate) fn meta(self) -> &'static Meta {
                match self {
                    $(Self::$action $((RareEvent::$event))? => {
                        const ROW: Meta =
                            meta($group, Action::$action $((RareEvent::$event))?, $label, $tip, &[$($key),*]);
                        &ROW
                    })*
                }
            }
        }
    };
}

table! {
    TIME Forward, "Step forward", "Do the next operation", [key(NONE, Key::ArrowRight)];
    TIME Back, "Step back", "Undo the last operation", [key(NONE, Key::ArrowLeft)];
    TIME ForwardFar, "100 forward", "Do the next 100 operations", [key(SHIFT, Key::ArrowRight)];
    TIME BackFar, "100 back", "Undo the last 100 operations", [key(SHIFT, Key::ArrowLeft)];
    TIME Start, "Go to start", "Before the first operation", [key(NONE, Key::Home)];
    TIME End, "Go to end", "After the last operation", [key(NONE, Key::End)];
    TIME GoTo, "Go to…", "Go to a step, a share of the trace, a mark, the peak or an address", [key(NONE, Key::G)];
    TIME Play, "Play or pause", "Let the operations run by themselves", [key(NONE, Key::Space)];
    TIME Slower, "Slower", "Play fewer operations a second", [key(NONE, Key::Comma)];
    TIME Faster, "Faster", "Play more operations a second", [key(NONE, Key::Period)];
    TIME PreviousArena, "Previous arena", "Go back to where an arena was obtained or released", [key(NONE, Key::OpenBracket)];
    TIME NextArena, "Next arena", "Go on to where an arena is obtained or released", [key(NONE, Key::CloseBracket)];
    TIME PreviousNote, "Previous note", "Go back to the author's note, or the mark, before this one", [key(NONE, Key::P)];
    TIME NextNote, "Next note", "Go on to the author's next note, or the next mark", [key(NONE, Key::N)];
    FIND PreviousTouch, "Previous touch", "Go back to the last operation that touched what is selected", [key(Modifiers::COMMAND, Key::ArrowLeft)];
    FIND NextTouch, "Next touch", "Go on to the next operation that touches what is selected", [key(Modifiers::COMMAND, Key::ArrowRight)];
    FIND PreviousChosen, "Previous of the chosen event", "Go back to the last operation with the event chosen in the bar", [key(SHIFT, Key::OpenBracket)];
    FIND NextChosen, "Next of the chosen event", "Go on to the next operation with the event chosen in the bar", [key(SHIFT, Key::CloseBracket)];
    FIND EditCondition, "Run to condition…", "Write a condition such as arena_released && arenas > 40", [key(NONE, Key::R)];
    FIND PreviousHold, "Back to condition", "Go back to the last operation after which the condition holds", [key(SHIFT, Key::F3)];
    FIND NextHold, "On to condition", "Go on to the next operation after which the condition holds", [key(NONE, Key::F3)];
    FIND KeepCondition, "Keep as breakpoint", "Let Play stop where the condition holds", [key(NONE, Key::K)];
    FIND RemoveBreakpoints, "Remove all breakpoints", "Let Play run to the end", [];
    FIND Previous(ArenaObtained), "Previous arena obtained", "Go back to where an arena came from the system", [];
    FIND Next(ArenaObtained), "Next arena obtained", "Go on to where an arena comes from the system", [];
    FIND Previous(ArenaReleased), "Previous arena released", "Go back to where an arena was given back", [];
    FIND Next(ArenaReleased), "Next arena released", "Go on to where an arena is given back", [];
    FIND Previous(ArenaRelinked), "Previous arena relinked", "Go back to where an arena moved in usable_arenas", [];
    FIND Next(ArenaRelinked), "Next arena relinked", "Go on to where an arena moves in usable_arenas", [];
    FIND Previous(ArenaFull), "Previous arena full", "Go back to where an arena's last free pool was taken", [];
    FIND Next(ArenaFull), "Next arena full", "Go on to where an arena's last free pool is taken", [];
    FIND Previous(ArenaRefused), "Previous hook failure", "Go back to where the arena allocator returned NULL", [];
    FIND Next(ArenaRefused), "Next hook failure", "Go on to where the arena allocator returns NULL", [];
    FIND Previous(PoolCarved), "Previous pool carved", "Go back to where a pool was cut from an arena", [];
    FIND Next(PoolCarved), "Next pool carved", "Go on to where a pool is cut from an arena", [];
    FIND Previous(PoolInitialised), "Previous pool initialised", "Go back to where a pool's header was written for a size class", [];
    FIND Next(PoolInitialised), "Next pool initialised", "Go on to where a pool's header is written for a size class", [];
    FIND Previous(PoolLinked), "Previous pool linked", "Go back to where a pool came to the front of its usedpools list", [];
    FIND Next(PoolLinked), "Next pool linked", "Go on to where a pool comes to the front of its usedpools list", [];
    FIND Previous(PoolFull), "Previous pool full", "Go back to where a pool's last free block was taken", [];
    FIND Next(PoolFull), "Next pool full", "Go on to where a pool's last free block is taken", [];
    FIND Previous(PoolFreed), "Previous pool freed", "Go back to where an empty pool went to its arena", [];
    FIND Next(PoolFreed), "Next pool freed", "Go on to where an empty pool goes to its arena", [];
    FIND Previous(RawFallback), "Previous RAW fallback", "Go back to where pymalloc passed a request on to RAW", [];
    FIND Next(RawFallback), "Next RAW fallback", "Go on to where pymalloc passes a request on to RAW", [];
    FIND Previous(ReturnedNull), "Previous NULL returned", "Go back to where a call returned NULL", [];
    FIND Next(ReturnedNull), "Next NULL returned", "Go on to where a call returns NULL", [];
    FIND Previous(Stopped), "Previous end of the process", "Go back to where the process would have ended", [];
    FIND Next(Stopped), "Next end of the process", "Go on to where the process would end", [];
    TIME Cancel, "Cancel", "Stop opening, seeking, searching or playing", [];
    MAP ZoomIn, "Zoom in", "From all arenas to one arena's pools to one pool's blocks", [key(NONE, Key::Plus), key(NONE, Key::Equals), key(NONE, Key::Enter)];
    MAP ZoomOut, "Zoom out", "From blocks to pools to arenas", [key(NONE, Key::Minus), key(NONE, Key::Backspace)];
    MAP Follow, "Follow", "Let the map go to where each step happens", [key(NONE, Key::F)];
    MAP Fold, "Fold", "Leave out most of the blocks that were never carved", [key(NONE, Key::C)];
    MAP Placement, "Model or recorded", "Show blocks where the model puts them, or where they were recorded", [key(NONE, Key::M)];
    MAP Verify, "Check the heap", "Check every list, count, link and sum of the heap at this step", [key(NONE, Key::V)];
    MAP Clear, "Clear", "Stop a search, else let the inspector follow the current step again", [key(NONE, Key::Escape)];
    WINDOW Open, "Open…", "Open a trace, a capture or a recording; Help lists the formats", [key(Modifiers::COMMAND, Key::O)];
    WINDOW OpenProcess, "Open process…", "Take a picture of the memory of a Python process that runs", [];
    WINDOW TabMap, "Map", "Show the map", [key(NONE, Key::Num1)];
    WINDOW TabClasses, "Size classes", "Show the size classes", [key(NONE, Key::Num2)];
    WINDOW TabArenas, "Arenas", "Show the table of arenas", [key(NONE, Key::Num3)];
    WINDOW TabStats, "Malloc stats", "Show what sys._debugmallocstats() prints", [key(NONE, Key::Num4)];
    WINDOW TabOperations, "Operations", "Show the operations", [key(NONE, Key::Num5)];
    WINDOW Filter, "Filter operations", "Show only the operations with some id, size, call or domain", [key(NONE, Key::Slash)];
    WINDOW TabInspector, "Inspector", "Show the inspector", [key(NONE, Key::Num6)];
    WINDOW TabDomains, "Domains", "Show the tables of each domain and the chains they form", [key(NONE, Key::Num7)];
    WINDOW TabDebug, "Debug hooks", "Show a block's bytes with header and pads", [key(NONE, Key::Num8)];
    WINDOW TabTracemalloc, "tracemalloc", "Show who allocated what is live", [key(NONE, Key::Num9)];
    WINDOW TabCallers, "Who allocates", "Show the threads, and the places in the source that allocate most", [key(NONE, Key::Num0)];
    WINDOW TabHolders, "Holders", "Show who holds the live blocks and the arenas, and what freeing them gives back", [key(NONE, Key::H)];
    WINDOW TabWaterfall, "Waterfall", "Show what the memory is used for, from what was asked for on", [key(NONE, Key::W)];
    WINDOW TabProcess, "Process", "Show the process that the trace has the picture of: where its memory is, and its types", [key(NONE, Key::X)];
    WINDOW TabWhatIf, "What if", "Show the trace under other settings or without some blocks, and whose doing what is held is", [key(NONE, Key::I)];
    WINDOW TabFindings, "Findings", "Show what became of the memory over the run, what speaks for it and what to try", [key(NONE, Key::D)];
    WINDOW TabCompare, "Compare", "Show two moments, two builds or two traces beside each other", [key(NONE, Key::A)];
    TIME MarkA, "A here", "Compare this step, as A, with another", [key(SHIFT, Key::A)];
    TIME MarkB, "B here", "Compare another step with this one, as B", [key(SHIFT, Key::B)];
    WINDOW TabLearn, "Learn", "Show the course, or the lesson that is open", [key(NONE, Key::L)];
    WINDOW TabPlayground, "Playground", "Write a program and see what the allocator does", [key(NONE, Key::E)];
    WINDOW Present, "Present", "Show the lesson alone, large, for a class; Escape ends it", [key(NONE, Key::F5)];
    WINDOW Palette, "Commands…", "Find any command by its name", [key(Modifiers::COMMAND.plus(SHIFT), Key::P), key(NONE, Key::F2)];
    WINDOW Help, "Help", "What the picture means, and every key", [key(NONE, Key::Questionmark), key(NONE, Key::F1)];
    WINDOW ThemeSystem, "Colors of the system", "Light or dark, as the system is", [];
    WINDOW ThemeDark, "Dark colors", "Light on dark", [];
    WINDOW ThemeLight, "Light colors", "Dark on light", [];
    WINDOW ReduceMotion, "Reduce motion", "Mark what a step touched without a pulse", [];
    WINDOW ResetLayout, "Reset layout", "Put all panes back where they were at first", [];
    WINDOW CopyStats, "Copy malloc stats", "Copy the statistics text to the clipboard", [];
    WINDOW FrameTimes, "Frame times", "Show how long frames take: median, 99 of a hundred, worst", [];
    WINDOW ResetFrameTimes, "Reset frame times", "Measure frames from now on", [];
    WINDOW DismissError, "Dismiss error", "Close the error message", [];
    WINDOW DismissHint, "Dismiss hint", "Close the hint", [];
}

impl Action {
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

/// Where it is kept which widget has arrow keys for itself.
fn arrows_id() -> egui::Id {
    egui::Id::unique("arrow keys")
}

/// While this widget has the focus, arrow keys are its own.
pub(crate) fn keep_arrows(ctx: &egui::Context, widget: egui::Id) {
    ctx.data_mut(|data| data.insert_temp(arrows_id(), widget));
}

/// Takes the shortcuts out of this pass's input. Call it before any widget, so that none sees them.
pub(crate) fn consume_shortcuts(ctx: &egui::Context) -> Vec<Action> {
    let typing = ctx.text_edit_focused();
    let focus = ctx.memory(egui::Memory::focused);
    let focused = focus.is_some();
    let arrows = focused && ctx.data(|data| data.get_temp::<egui::Id>(arrows_id())) == focus;
    let in_menu = egui::Popup::is_any_open(ctx);
    let mut all: Vec<(Action, KeyboardShortcut)> =
        ACTIONS.iter().flat_map(|m| m.keys.iter().map(|k| (m.action, *k))).collect();
    // Extra modifiers are ignored when a key is matched, so the ones with most modifiers come first.
    all.sort_by_key(|(_, k)| std::cmp::Reverse(u8::from(k.modifiers.shift) + u8::from(k.modifiers.command)));
    let allowed = |shortcut: &KeyboardShortcut, held: Modifiers| {
        let key = shortcut.logical_key;
        let taken = ((typing || arrows) && moves_cursor(key))
            || (arrows && key == Key::Backspace)
            || (in_menu && key == Key::Escape);
        let modified = held.command || held.alt || held.ctrl;
        let plain_taken = typing || modified || (focused && belongs_to_focus(key));
        !taken && (shortcut.modifiers.command || !plain_taken)
    };
    ctx.input_mut(|input| {
        let mut actions = Vec::new();
        // In the order in which they were pressed: a slow frame has several.
        input.events.retain(|event| {
            let egui::Event::Key { key, pressed: true, modifiers, .. } = event else { return true };
            let found = all.iter().find(|(_, shortcut)| {
                shortcut.logical_key == *key
                    && modifiers.matches_logically(shortcut.modifiers)
                    && allowed(shortcut, *modifiers)
            });
            actions.extend(found.map(|(action, _)| *action));
            found.is_none()
        });
        actions
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use session::search::rare_event_name;
    use std::collections::BTreeSet;

    #[test]
    fn keys_of_one_frame_keep_their_order_and_their_own_modifiers() {
        let ctx = egui::Context::default();
        let press = |key, modifiers| egui::Event::Key {
            key,
            physical_key: None,
            pressed: true,
            repeat: false,
            modifiers,
        };
        let events = vec![
            press(Key::End, Modifiers::NONE),
            press(Key::ArrowLeft, Modifiers::NONE),
            press(Key::ArrowLeft, Modifiers::SHIFT),
            press(Key::Home, Modifiers::NONE),
            press(Key::ArrowRight, Modifiers::NONE),
            press(Key::F7, Modifiers::NONE),
        ];
        let mut actions = Vec::new();
        let input = egui::RawInput { events, ..egui::RawInput::default() };
        let mut output = ctx.run_ui(input, |ui| {
            actions.extend(consume_shortcuts(ui.ctx()));
            assert_eq!(ui.input(|i| i.events.len()), 1, "what is nobody's stays");
        });
        output.textures_delta.clear();
        assert_eq!(actions, [Action::End, Action::Back, Action::BackFar, Action::Start, Action::Forward],);
    }

    #[test]
    fn every_event_can_be_gone_to_by_its_own_name() {
        for (event, _) in RareEvent::ALL {
            let name = rare_event_name(event);
            for (action, way) in [(Action::Previous(event), "Previous"), (Action::Next(event), "Next")] {
                assert_eq!(action.meta().label, format!("{way} {name}"));
                assert_eq!(action.meta().action, action);
                assert!(ACTIONS.iter().any(|row| row.action == action), "{way} {name} is listed");
            }
        }
    }

    #[test]
    fn no_two_actions_share_a_key_or_a_label() {
        let mut keys = BTreeSet::new();
        let mut labels = BTreeSet::new();
        for meta in ACTIONS {
            assert!(labels.insert(meta.label), "{} twice", meta.label);
            assert_eq!((meta.action.meta().action, meta.action.meta().label), (meta.action, meta.label));
            assert!(!meta.tip.is_empty(), "{} says nothing", meta.label);
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
