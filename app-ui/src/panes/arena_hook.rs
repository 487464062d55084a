//! The hook that arenas come from: what it is asked, what it passes on, and who made which arena.

use egui::{RichText, Ui};
use session::format::{bytes, grouped};
use session::view::layers::{HookCall, Hooks};
use sim_core::domains::{ArenaAllocator, ArenaChoice, ArenaFunction};

use super::View;
use super::boxes::{arrow, boxed, boxes, function_line, table_head};

/// The hook that arenas come from, and what it passes calls on to: one below the other.
pub(super) fn column(ui: &mut Ui, view: &View<'_>, hooks: &Hooks) {
    head(ui, view, &hooks.calls);
    for hook in hooks.chain.iter().copied() {
        arrow(ui, view, hooks.calls.iter().any(|c| c.hook == hook), "");
        link(ui, view, hook, hooks);
    }
}

/// The same from left to right, in boxes of a width.
pub(super) fn row(ui: &mut Ui, view: &View<'_>, hooks: &Hooks, width: f32) {
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 12.0;
        boxes(ui, width, |ui| head(ui, view, &hooks.calls));
        for hook in hooks.chain.iter().copied() {
            boxes(ui, width, |ui| link(ui, view, hook, hooks));
        }
    });
}

fn head(ui: &mut Ui, view: &View<'_>, calls: &[HookCall]) {
    boxed(ui, view, !calls.is_empty(), |ui| {
        ui.label(RichText::new("Arenas").strong().size(14.0));
        ui.label(RichText::new("obj_arena: alloc, free").monospace().size(11.0)).on_hover_text(
            "PyObjectArenaAllocator, set by PyObject_SetArenaAllocator; also for chunks of data stacks",
        );
    });
}

/// One hook of the chain.
fn link(ui: &mut Ui, view: &View<'_>, hook: ArenaAllocator, hooks: &Hooks) {
    let mine = || hooks.calls.iter().zip(1..).filter(|(c, _)| c.hook == hook);
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
                .filter(|(c, _)| c.function == function)
                .map(|(c, number): (_, usize)| format!("{number}. {}", bytes(c.size)))
                .take(3)
                .collect();
            function_line(ui, view, name, &here);
        }
    });
}

fn hook_title(hook: ArenaAllocator, hooks: &Hooks) -> String {
    let ArenaAllocator::User(at) = hook else { return "mmap, munmap".to_owned() };
    let kind = hooks.user.get(at as usize).map(|state| state.kind);
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
pub(super) fn facts(ui: &mut Ui, hooks: &Hooks) {
    if !hooks.user.is_empty() {
        ui.add_space(10.0);
        ui.label(RichText::new("Arena hooks of the program's own").strong());
    }
    for (at, state) in hooks.user.iter().enumerate() {
        let hook = ArenaAllocator::User(at as u32);
        let [allocs, frees] = state.calls.map(grouped);
        let [arena_allocs, arena_frees] = state.arena_calls.map(grouped);
        ui.label(format!(
            "{}; {allocs} alloc, {frees} free, of which {arena_allocs} and {arena_frees} of an arena's size",
            hook_title(hook, hooks),
        ));
    }
    ui.add_space(10.0);
    ui.label(RichText::new("Live arenas, and the hook that made each").strong());
    for (id, base, maker) in &hooks.arenas {
        ui.horizontal(|ui| {
            ui.monospace(format!("{id} {base}"));
            ui.label(hook_title(*maker, hooks));
        });
    }
    for (at, (size, maker)) in hooks.chunks.iter().enumerate() {
        ui.horizontal(|ui| {
            ui.monospace(format!("chunk {at}"));
            ui.label(format!("{} of a data stack, {}", bytes(*size), hook_title(*maker, hooks)));
        });
    }
}
