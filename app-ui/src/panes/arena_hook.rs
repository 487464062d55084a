//! The hook that arenas come from: what it is asked, what it passes on, and who made which arena.

use egui::{RichText, Ui};
use session::format::{bytes, grouped};
use sim_core::Event;
use sim_core::arena::ArenaHooks;
use sim_core::domains::{ArenaAllocator, ArenaChoice, ArenaFunction};

use super::View;
use super::boxes::{arrow, boxed, boxes, function_line, table_head};

/// Arenas and chunks that are listed.
const ARENA_LINES: usize = 12;

/// A call of a hook's function in the current operation.
struct Called {
    number: usize,
    hook: ArenaAllocator,
    function: ArenaFunction,
    size: u64,
}

/// What the current operation asked of hooks. While there is only the default one, its calls are known from
/// what became of arenas.
fn calls(view: &View<'_>, hooks: Option<&ArenaHooks>) -> Vec<Called> {
    let arena_size = view.session.profile().arena_size;
    let call = |event: &Event| match *event {
        Event::ArenaHookCalled { hook, function, size, .. } => Some((hook, function, size)),
        Event::ArenaObtained { .. } if hooks.is_none() => {
            Some((ArenaAllocator::Default, ArenaFunction::Alloc, arena_size))
        }
        Event::ArenaReleased { .. } if hooks.is_none() => {
            Some((ArenaAllocator::Default, ArenaFunction::Free, arena_size))
        }
        _ => None,
    };
    let found = view.session.events().iter().filter_map(call);
    found
        .enumerate()
        .map(|(at, (hook, function, size))| Called { number: at + 1, hook, function, size })
        .collect()
}

/// The hook that arenas come from, and what it passes calls on to: one below the other.
pub(super) fn column(ui: &mut Ui, view: &View<'_>, hooks: Option<&ArenaHooks>) {
    let calls = calls(view, hooks);
    head(ui, view, &calls);
    for hook in chain(hooks) {
        arrow(ui, view, calls.iter().any(|c| c.hook == hook), "");
        link(ui, view, hook, hooks, &calls);
    }
}

/// The same from left to right, in boxes of a width.
pub(super) fn row(ui: &mut Ui, view: &View<'_>, hooks: Option<&ArenaHooks>, width: f32) {
    let calls = calls(view, hooks);
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 12.0;
        boxes(ui, width, |ui| head(ui, view, &calls));
        for hook in chain(hooks) {
            boxes(ui, width, |ui| link(ui, view, hook, hooks, &calls));
        }
    });
}

fn chain(hooks: Option<&ArenaHooks>) -> Vec<ArenaAllocator> {
    hooks.map_or_else(|| vec![ArenaAllocator::Default], ArenaHooks::chain)
}

fn head(ui: &mut Ui, view: &View<'_>, calls: &[Called]) {
    boxed(ui, view, !calls.is_empty(), |ui| {
        ui.label(RichText::new("Arenas").strong().size(14.0));
        ui.label(RichText::new("obj_arena: alloc, free").monospace().size(11.0)).on_hover_text(
            "PyObjectArenaAllocator, set by PyObject_SetArenaAllocator; also for chunks of data stacks",
        );
    });
}

/// One hook of the chain.
fn link(ui: &mut Ui, view: &View<'_>, hook: ArenaAllocator, hooks: Option<&ArenaHooks>, calls: &[Called]) {
    let mine = || calls.iter().filter(|c| c.hook == hook);
    boxed(ui, view, mine().next().is_some(), |ui| {
        let context = match hook {
            ArenaAllocator::Default => "NULL".to_owned(),
            ArenaAllocator::User(at) => format!("own {}", at + 1),
        };
        table_head(ui, view, &hook_title(hook, hooks), &context);
        for (function, name) in
            [ArenaFunction::Alloc, ArenaFunction::Free].into_iter().zip(hook.function_names())
        {
            let here: Vec<String> = mine()
                .filter(|c| c.function == function)
                .map(|c| format!("{}. {}", c.number, bytes(c.size)))
                .take(3)
                .collect();
            function_line(ui, view, name, &here);
        }
    });
}

fn hook_title(hook: ArenaAllocator, hooks: Option<&ArenaHooks>) -> String {
    let ArenaAllocator::User(at) = hook else { return "mmap, munmap".to_owned() };
    let kind = hooks.and_then(|h| h.user().get(at as usize)).map(|state| state.kind);
    let does = match kind {
        Some(ArenaChoice::Count) => "counts".to_owned(),
        Some(ArenaChoice::FailEvery(n)) => format!("fails 1 alloc in {n}"),
        Some(ArenaChoice::FailFrom(n)) => format!("fails from alloc {n} on"),
        Some(ArenaChoice::Bump { bytes: room }) => format!("bump, {}", bytes(room)),
        Some(ArenaChoice::Malloc) => "malloc, free".to_owned(),
        Some(ArenaChoice::Default) | None => String::new(),
    };
    format!("own hook {}: {does}", at + 1)
}

/// What each hook was asked, and which one made each live arena.
pub(super) fn facts(ui: &mut Ui, view: &View<'_>, hooks: &ArenaHooks) {
    if !hooks.user().is_empty() {
        ui.add_space(10.0);
        ui.label(RichText::new("Arena hooks of the program's own").strong());
    }
    for (at, state) in hooks.user().iter().enumerate() {
        let hook = ArenaAllocator::User(at as u32);
        let [allocs, frees] = state.calls.map(grouped);
        let [arena_allocs, arena_frees] = state.arena_calls.map(grouped);
        ui.label(format!(
            "{}; {allocs} alloc, {frees} free, of which {arena_allocs} and {arena_frees} of an arena's size",
            hook_title(hook, Some(hooks)),
        ));
    }
    ui.add_space(10.0);
    ui.label(RichText::new("Live arenas, and the hook that made each").strong());
    let heap = view.session.heap();
    for arena in session::facts::arenas(heap).into_iter().take(ARENA_LINES) {
        ui.horizontal(|ui| {
            ui.monospace(format!("{} {}", arena.id, arena.base));
            ui.label(hook_title(hooks.maker(arena.base), Some(hooks)));
        });
    }
    let chunks: Vec<_> =
        hooks.made().filter(|(_, made)| made.size != view.session.profile().arena_size).collect();
    for (at, made) in chunks.into_iter().take(ARENA_LINES) {
        ui.horizontal(|ui| {
            ui.monospace(format!("chunk {at}"));
            ui.label(format!("{} of a data stack, {}", bytes(made.size), hook_title(made.by, Some(hooks))));
        });
    }
}
