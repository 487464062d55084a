//! What is looked at: which blocks, by which key, over which heap.

use egui::{ComboBox, RichText, Role, TextEdit, Ui, WidgetInfo};
use session::at::At;
use session::diagnosis::key::WHOLE_STACK;
use session::diagnosis::{Key, Placed, Rule, Scope};
use session::format::{grouped, parse_step};
use session::order::Order;
use session::view::holders::HoldersPicture;

use super::super::View;
use super::HoldersState;
use crate::command::{Action, Command};

/// Depths of a call site that are offered.
const DEPTHS: [u32; 5] = [1, 2, 3, 5, WHOLE_STACK];

/// Draws them.
pub(super) fn ui(
    ui: &mut Ui,
    view: &View<'_>,
    picture: &HoldersPicture,
    state: &mut HoldersState,
    commands: &mut Vec<Command>,
) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        keys(ui, picture, state);
        scopes(ui, view, state);
        peak(ui, commands);
        rules(ui, picture, state);
        if view.head.recorded {
            heaps(ui, picture, commands);
        }
    });
    if state.range.is_some() {
        stretch(ui, view, state);
    }
}

/// What names are to have.
pub(super) fn search(ui: &mut Ui, state: &mut HoldersState) {
    let field = ui.add(TextEdit::singleline(&mut state.search).hint_text("Search").desired_width(110.0));
    field.widget_info(|| WidgetInfo::labeled(Role::TextInput, true, "Search holders"));
    field.on_hover_text("Groups that have this in their name");
}

fn combo(ui: &mut Ui, name: &'static str, selected: &str, what: &str, content: impl FnOnce(&mut Ui)) {
    let combo = ComboBox::from_id_salt(name).selected_text(selected).show_ui(ui, content);
    combo.response.widget_info(|| WidgetInfo::labeled(Role::ComboBox, true, name));
    combo.response.on_hover_text(what);
}

fn keys(ui: &mut Ui, picture: &HoldersPicture, state: &mut HoldersState) {
    let now = picture.key;
    let what = "What the blocks of a group have in common";
    combo(ui, "Group by", &format!("by {}", now.words()), what, |ui| {
        for key in Key::choices(picture.known) {
            let on = std::mem::discriminant(&key) == std::mem::discriminant(&now);
            if ui.selectable_label(on, key.words()).clicked() && !on {
                state.set_key(Some(key));
            }
        }
    });
    if let Key::Site(depth) = now {
        let word = |depth| match depth {
            WHOLE_STACK => "whole stack".to_owned(),
            1 => "1 frame".to_owned(),
            depth => format!("{depth} frames"),
        };
        combo(ui, "Frames", &word(depth), "Frames of the stack that make a call site", |ui| {
            for other in DEPTHS {
                if ui.selectable_label(other == depth, word(other)).clicked() {
                    state.set_key(Some(Key::Site(other)));
                }
            }
        });
    }
}

fn scopes(ui: &mut Ui, view: &View<'_>, state: &mut HoldersState) {
    let now = match (&state.range, &state.scope) {
        (Some(_), _) | (None, Scope::Born(_)) => "born in a range",
        (None, Scope::NeverFreed) => "never freed",
        (None, Scope::Live) => "live now",
    };
    combo(ui, "Scope", now, "Which of the live blocks are looked at", |ui| {
        let choose = |ui: &mut Ui, word: &str, what: &str| {
            ui.selectable_label(now == word, word).on_hover_text(what).clicked()
        };
        if choose(ui, "live now", "All that are live at the step shown") {
            (state.scope, state.range) = (Scope::Live, None);
        }
        if choose(ui, "never freed", "Of those, the ones that the trace never frees up to its end") {
            (state.scope, state.range) = (Scope::NeverFreed, None);
        }
        if choose(ui, "born in a range", "Of those, the ones that were allocated between two steps")
            && state.range.is_none()
        {
            let until = view.picture.step;
            state.range = Some(("0".to_owned(), grouped(until)));
            state.scope = Scope::Born(0..until);
        }
    });
}

/// The two ends of a stretch of the tape.
fn stretch(ui: &mut Ui, view: &View<'_>, state: &mut HoldersState) {
    let Some((from, until)) = &mut state.range else { return };
    ui.horizontal_wrapped(|ui| {
        let here = view.picture.step;
        for (text, name, what) in [
            (from, "Born after step", "The stretch begins after this step"),
            (until, "up to step", "And ends with this one"),
        ] {
            ui.label(name);
            let wrong = parse_step(text, view.head.len).is_none();
            let field = ui.add(TextEdit::singleline(text).desired_width(84.0));
            field.widget_info(|| WidgetInfo::labeled(Role::TextInput, true, name));
            field.on_hover_text(what);
            if ui.small_button("here").on_hover_text("The step shown").clicked() {
                *text = grouped(here);
            }
            if wrong {
                ui.label(RichText::new("no step").strong())
                    .on_hover_text("Write a number of operations, or a share such as 50%");
            }
        }
    });
    if let Some((from, until)) = &state.range
        && let (Some(from), Some(until)) = (parse_step(from, view.head.len), parse_step(until, view.head.len))
    {
        state.scope = Scope::Born(from.min(until)..until.max(from));
    }
}

/// Leads to where the most is live.
fn peak(ui: &mut Ui, commands: &mut Vec<Command>) {
    let what = "Go to the first step at which the most bytes asked for are live, the C library's among them";
    if ui.button("At peak").on_hover_text(what).clicked() {
        commands.push(Command::Order(Order::At(At::Peak)));
    }
}

fn rules(ui: &mut Ui, picture: &HoldersPicture, state: &mut HoldersState) {
    let word = |rule| match rule {
        Rule::Sole => "pins alone",
        Rule::Split => "pins in parts",
        Rule::Marginal => "pins last",
    };
    let what = |rule| match rule {
        Rule::Sole => {
            "An arena counts for the one group that holds it alone: what freeing the group gives back"
        }
        Rule::Split => "Each group of an arena has the same part of it",
        Rule::Marginal => {
            "An arena counts for the last of its groups in the list: what freeing one after the other gives back"
        }
    };
    combo(ui, "Pinned", word(picture.rule), "How an arena that several groups hold is shared", |ui| {
        for rule in Rule::ALL {
            if ui.selectable_label(rule == state.rule, word(rule)).on_hover_text(what(rule)).clicked() {
                state.rule = rule;
            }
        }
    });
}

fn heaps(ui: &mut Ui, picture: &HoldersPicture, commands: &mut Vec<Command>) {
    let word = |placed| match placed {
        Placed::Model => "the model's heap",
        Placed::Recorded => "the heap as recorded",
    };
    let what =
        "Where blocks lie, here and on the map: as the model puts them, or at their recorded addresses";
    combo(ui, "Heap", word(picture.placed), what, |ui| {
        for placed in [Placed::Model, Placed::Recorded] {
            if ui.selectable_label(placed == picture.placed, word(placed)).clicked()
                && placed != picture.placed
            {
                commands.push(Command::Do(Action::Placement));
            }
        }
    });
}

/// Where the model is not to be believed, the way to the heap that is.
pub(super) fn doubted(ui: &mut Ui, view: &View<'_>, picture: &HoldersPicture, commands: &mut Vec<Command>) {
    let doubted = picture.doubted.filter(|_| view.head.recorded && picture.placed == Placed::Model);
    let Some(share) = doubted else { return };
    ui.horizontal_wrapped(|ui| {
        let percent = (1000.0 * share).floor() / 10.0;
        ui.label(format!("The model has only {percent:.1} % of the blocks where they were recorded."));
        if ui.button("See the heap as recorded").on_hover_text(Action::Placement.meta().tip).clicked() {
            commands.push(Command::Do(Action::Placement));
        }
    });
}
