//! How few arenas the same blocks could lie in, beside the real ones.

use egui::{Grid, RichText, Ui};
use session::format::{bytes, grouped, printable};
use session::view::whatif::WhatIfOrder;

use super::super::View;
use super::ask;
use crate::command::Command;

pub(super) fn ui(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let bounds = &view.tried.bounds;
    ui.horizontal_wrapped(|ui| {
        let text = if bounds.is_some() { "Work it out again" } else { "Work it out" };
        let button = ui.add_enabled(!view.head.mimalloc, egui::Button::new(text));
        let button = button
            .on_hover_text("Packs the blocks of the whole trace anew, under the settings that are open")
            .on_disabled_hover_text("The bound is on pymalloc's arenas, and this run is mimalloc's");
        if button.clicked() {
            commands.push(ask(WhatIfOrder::Ideal));
        }
        ui.weak("Is the allocator to blame for what is held, or the program?");
    });
    let Some(bounds) = bounds else { return };
    ui.label(RichText::new(format!("To blame is {}.", bounds.sentence)).strong());
    Grid::new("bounds").num_columns(3).striped(true).spacing([18.0, 4.0]).show(ui, |ui| {
        ui.strong("arenas");
        ui.strong("at the most");
        ui.strong("at the end");
        ui.end_row();
        for (name, arenas) in bounds.ideal.rows() {
            ui.label(name).on_hover_text(meaning(name));
            for arenas in [arenas.peak_arenas, arenas.final_arenas] {
                let text = format!("{} ({})", grouped(arenas), bytes(arenas * bounds.arena_bytes));
                ui.label(RichText::new(text).monospace().size(11.5));
            }
            ui.end_row();
        }
    });
    ui.weak(format!(
        "Under {}. Perfect packing: {}. Known lifetimes: {}.",
        printable(&bounds.under),
        meaning("perfect packing"),
        meaning("known lifetimes")
    ));
}

fn meaning(name: &str) -> &'static str {
    match name {
        "perfect packing" => "as many arenas as the live blocks of each step fill, which nothing goes below",
        "known lifetimes" => {
            "each block placed once, beside those that end when it does, which an allocator could only do that knows the future"
        }
        "gap" => "What the run has over perfect packing",
        _ => "What the run has",
    }
}
