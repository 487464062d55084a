//! What the inspector's sheets have in common: a heading that leads to the map, and who holds a block.

use egui::{RichText, Ui};
use session::Place;
use session::format::{count, grouped, printable};
use session::order::Order;
use session::view::inspect::Holder;
use session::view::process::ObjectFacts;

use crate::command::Command;

/// A heading with the way to its place on the map.
pub(super) fn title(ui: &mut Ui, text: &str, place: Place, commands: &mut Vec<Command>) {
    ui.horizontal(|ui| {
        ui.label(RichText::new(text).heading().size(15.0));
        if ui.small_button("show").on_hover_text("Open it on the map").clicked() {
            commands.push(Command::Order(Order::Enter(place)));
        }
    });
}

/// What is in a block of the process that the trace has the picture of.
fn object_ui(ui: &mut Ui, object: &ObjectFacts) {
    let mut row = |title: &str, text: &str| {
        ui.horizontal_wrapped(|ui| {
            ui.weak(title);
            ui.label(RichText::new(printable(text)).monospace().size(11.5));
        });
    };
    row("Type", object.of_type.as_deref().unwrap_or("no object: a buffer of one, or of C code"));
    row("Owner", object.owner.as_deref().unwrap_or("not known"));
    row("Held by", object.way.as_deref().unwrap_or("nothing that is known"));
    for (title, beside) in [("Referred to by", &object.referrers), ("Refers to", &object.refers_to)] {
        let Some(beside) = beside else { continue };
        let types: Vec<String> =
            beside.types.iter().map(|(name, count)| format!("{} {name}", grouped(*count))).collect();
        row(&format!("{title} {}:", count(beside.blocks, "block")), &types.join(", "));
    }
    if object.free_listed {
        ui.weak("Python keeps it for the next object of its type; no program has it");
    }
    if object.in_flight {
        ui.weak("Its pool was being changed when the picture was taken");
    }
}

/// Who holds a block.
pub(super) fn holder_ui(ui: &mut Ui, holder: &Holder, name: Option<&str>, commands: &mut Vec<Command>) {
    match holder {
        Holder::Searching => {
            ui.weak("Looking for who holds it\u{2026}");
        }
        Holder::Nobody => {
            ui.weak("No pointer of the trace is this block");
        }
        Holder::Before(object) => object_ui(ui, object),
        Holder::Operation { step, call, id, thread, stack } => {
            ui.horizontal_wrapped(|ui| {
                if let Some(name) = name {
                    ui.label(format!("The program's {name}, since"));
                } else if let Some(id) = id {
                    ui.label(format!("Held by the trace's id {id}, since"));
                }
                if ui
                    .link(format!("step {}", grouped(*step)))
                    .on_hover_text("Go to the step that gave the program this pointer")
                    .clicked()
                {
                    commands.push(Command::Order(Order::Seek(*step)));
                }
                ui.monospace(call);
                if let Some(thread) = thread {
                    ui.weak(format!("on {thread}"));
                }
            });
            if !stack.is_empty() {
                super::stack(ui, "Born by", "birth", stack);
            }
        }
    }
}
