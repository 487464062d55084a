//! The table of each domain and the chain it begins: what a call passes on its way to memory. The path
//! that the current operation took is lit, with what each table asked of the next.

use egui::{RichText, ScrollArea, Ui};
use session::format::{bytes, count, grouped};
use session::view::layers::TableCall;
use sim_core::Domain;
use sim_core::domains::{AllocatorTable, Context, Functions, UserAllocator, UserState};
use sim_core::event::Function;

use super::View;
use super::boxes::{arrow, boxed, boxes, function_line, table_head};

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>) {
    let Some(domains) = &view.picture.domains else { return };
    let (calls, layers) = (&domains.calls, view.head.layers);
    let room = ui.available_width() - ui.spacing().scroll.allocated_width();
    ScrollArea::both().auto_shrink(false).show(ui, |ui| {
        // On a phone tables have their names alone, and of their functions those that the step called.
        let brief = room < PHONE_WIDTH;
        if brief {
            ui.set_max_width(room);
        }
        if !layers {
            super::no_layers(ui, view, "A trace of calls does not say which tables stood in the domains");
            ui.label("These are the tables that the run begins with:");
        }
        ui.horizontal_wrapped(|ui| {
            ui.monospace("_PyMem_GetCurrentAllocatorName()");
            let name = domains.current_name.as_ref().map_or_else(|| "NULL".to_owned(), |n| format!("\"{n}\""));
            ui.label(RichText::new(name).monospace().strong())
                .on_hover_text("NULL as soon as the tables are none of the known sets");
            ui.add_space(12.0);
            if let Some((running, state_of)) = domains.interpreter {
                ui.monospace("interpreter");
                ui.label(RichText::new(interpreter(running, state_of)).monospace().strong())
                    .on_hover_text("The one that runs. Map, arenas and statistics show the pymalloc state it uses");
                ui.add_space(12.0);
            }
            ui.monospace("is_debug_enabled");
            ui.label(RichText::new(u8::from(domains.is_debug_enabled).to_string()).monospace().strong())
                .on_hover_text("Written by PYTHONMALLOC and PyMem_SetupDebugHooks() only: it stays 1 when a table is replaced later");
        });
        if layers {
            ui.horizontal_wrapped(|ui| {
                ui.label(path(calls));
            });
        }
        ui.add_space(4.0);
        let user = domains.user.as_slice();
        // Where four columns would be cut off, the arenas' comes below the three.
        let beside = room >= 4.0 * COLUMN_WIDTH + 42.0;
        let columns = if beside { 4.0 } else { 3.0 };
        let least = if brief { 90.0 } else { COLUMN_WIDTH };
        let spacing = if brief { 6.0 } else { 12.0 };
        let width = ((room - (spacing + 2.0) * (columns - 1.0)) / columns).clamp(least, 360.0);
        let hooks = &domains.hooks;
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing.x = spacing;
            for (domain, chain) in Domain::ALL.into_iter().zip(&domains.chains) {
                boxes(ui, width, |ui| column(ui, view, (domain, chain), user, calls, brief));
            }
            if beside {
                boxes(ui, width, |ui| super::arena_hook::column(ui, view, hooks));
            }
        });
        if brief {
            ui.add_space(12.0);
            boxes(ui, room, |ui| super::arena_hook::column(ui, view, hooks));
        } else if !beside {
            ui.add_space(12.0);
            super::arena_hook::row(ui, view, hooks, width);
        }
        if !user.is_empty() {
            ui.add_space(10.0);
            ui.label(RichText::new("Tables of the program's own").strong());
            for (at, state) in user.iter().enumerate() {
                ui.label(user_line(at, state, user));
            }
        }
        if !domains.log.is_empty() {
            ui.add_space(10.0);
            ui.label(RichText::new("Logged calls, the last first").strong());
            for call in &domains.log {
                let text = format!("{} #{}  {call}", call.table + 1, call.number + 1);
                ui.label(RichText::new(text).monospace().size(11.5));
            }
            let before = domains.logged - domains.log.len() as u64;
            if before > 0 {
                ui.weak(format!("and {} before", grouped(before)));
            }
        }
        if hooks.replaced {
            super::arena_hook::facts(ui, hooks);
        }
    });
}

/// The narrowest column in which the functions' names stand whole.
const COLUMN_WIDTH: f32 = 220.0;
/// The width in which three such columns do not stand.
const PHONE_WIDTH: f32 = 480.0;

fn interpreter(running: u32, state_of: u32) -> String {
    match (running, state_of) {
        (0, _) => "0 (main)".to_owned(),
        (n, 0) => format!("{n}, in the main one's state"),
        (n, _) => format!("{n}, in a state of its own"),
    }
}

/// What the current operation asked of whom, in a line.
fn path(calls: &[TableCall]) -> String {
    let Some(first) = calls.first() else {
        return "This step called no table.".to_owned();
    };
    if calls.iter().all(|c| c.function == Function::Free) {
        let count = calls.len() as u64;
        return format!(
            "This step passed {} to free, numbered below.",
            session::format::count(count, "table")
        );
    }
    let mut asked = vec![first.nbytes];
    for call in calls {
        if call.function != Function::Free && asked.last() != Some(&call.nbytes) {
            asked.push(call.nbytes);
        }
    }
    let steps: Vec<String> = asked.iter().map(ToString::to_string).collect();
    let tables = count(calls.len() as u64, "table");
    if asked.len() == 1 {
        return format!(
            "This step passed {tables}, each asked for {}; numbered below.",
            count(asked[0], "byte")
        );
    }
    format!("This step passed {tables}, numbered below. Bytes asked for: {}", steps.join(" -> "))
}

fn column(
    ui: &mut Ui,
    view: &View<'_>,
    (domain, chain): (Domain, &[AllocatorTable]),
    user: &[UserState],
    calls: &[TableCall],
    brief: bool,
) {
    let entry = calls.first().is_some_and(|c| c.domain == domain && chain.first() == Some(&c.table));
    boxed(ui, view, entry, |ui| {
        ui.label(RichText::new(domain.name()).strong().size(14.0));
        let functions = if brief {
            format!("{}…", domain.prefix())
        } else {
            format!("{0}Malloc … {0}Free", domain.prefix())
        };
        ui.label(RichText::new(functions).monospace().size(11.0));
    });
    let mut lit_before = entry;
    for table in chain {
        let mine: Vec<(usize, TableCall)> = calls
            .iter()
            .copied()
            .enumerate()
            .filter(|(_, c)| c.domain == domain && c.table == *table)
            .collect();
        let lit = !mine.is_empty();
        arrow(ui, view, lit && lit_before, "");
        boxed(ui, view, lit, |ui| {
            let title = title(*table, user);
            if brief {
                ui.label(RichText::new(title).strong());
            } else {
                table_head(ui, view, &title, &context(table.ctx))
                    .on_hover_text("The first argument of each of the four functions");
            }
            for (at, name) in table.function_names().into_iter().enumerate() {
                let here: Vec<String> = mine
                    .iter()
                    .filter(|(_, c)| c.function as usize == at)
                    .map(|(number, c)| match c.function {
                        Function::Free => format!("{}.", number + 1),
                        _ => format!("{}. {}", number + 1, count(c.nbytes, "byte")),
                    })
                    .collect();
                if !brief {
                    function_line(ui, view, name, &here);
                } else if !here.is_empty() {
                    ui.label(RichText::new(name).monospace().size(10.5).strong());
                    ui.label(RichText::new(here.join(", ")).size(11.5).strong().color(view.theme.touched));
                }
            }
        });
        lit_before = lit;
    }
    if chain.len() >= 16 {
        arrow(ui, view, false, "in a circle: the next call overflows the stack");
    } else if chain.last().is_some_and(|t| t.functions == Functions::Pymalloc) {
        let threshold = view.profile().small_request_threshold;
        let fell = calls.iter().any(|c| c.domain == Domain::Raw)
            && lit_before
            && calls.first().is_some_and(|c| c.domain == domain);
        let when = format!("0 or over {threshold} bytes");
        arrow(ui, view, fell, if brief { "" } else { &when });
        boxed(ui, view, fell, |ui| {
            if brief {
                ui.label(when);
            }
            ui.label("on to the top of RAW's column");
        });
    }
}

fn title(table: AllocatorTable, user: &[UserState]) -> String {
    match table.functions {
        Functions::Libc => "C library".to_owned(),
        Functions::Pymalloc => "pymalloc".to_owned(),
        Functions::MimallocRaw => "mimalloc, default heap".to_owned(),
        Functions::MimallocMem => "mimalloc".to_owned(),
        Functions::MimallocObj => "mimalloc, object heap".to_owned(),
        Functions::DebugRaw | Functions::Debug => "debug hooks".to_owned(),
        Functions::Tracemalloc => "tracemalloc".to_owned(),
        Functions::User(at) => {
            let kind = user.get(usize::from(at)).map_or_else(String::new, |u| kind_text(u.kind));
            format!("own table {}: {kind}", at + 1)
        }
    }
}

fn kind_text(kind: UserAllocator) -> String {
    match kind {
        UserAllocator::Count => "counts".to_owned(),
        UserAllocator::Log => "logs".to_owned(),
        UserAllocator::FailEvery(n) => format!("fails 1 call in {n}"),
        UserAllocator::Bump { bytes: room } => format!("bump, {}", bytes(room)),
    }
}

fn context(ctx: Context) -> String {
    match ctx {
        Context::Null => "NULL".to_owned(),
        Context::DebugRecord(domain) => {
            format!("debug.{} '{}'", domain.name().to_lowercase(), domain.letter())
        }
        Context::Saved(domain) => format!("saved {}", domain.name().to_lowercase()),
        Context::User(at) => format!("own {}", at + 1),
    }
}

fn user_line(at: usize, state: &UserState, user: &[UserState]) -> String {
    let [malloc, calloc, realloc, free] = state.calls.map(grouped);
    let used = match state.kind {
        UserAllocator::Bump { bytes: room } => {
            format!("; {} of its {} are gone", bytes(state.used_bytes), bytes(room))
        }
        _ => String::new(),
    };
    let does = match state.kind {
        UserAllocator::Count => "counts and passes on".to_owned(),
        UserAllocator::Log => "logs each call and passes on".to_owned(),
        UserAllocator::FailEvery(n) => format!("returns NULL for 1 request in {n}"),
        UserAllocator::Bump { .. } => "hands out memory of its own, free does nothing".to_owned(),
    };
    format!(
        "{}: {does}; over {}; malloc {malloc}, calloc {calloc}, realloc {realloc}, free {free}; {} asked for{used}",
        at + 1,
        title(state.inner, user),
        count(state.requested_bytes, "byte"),
    )
}
