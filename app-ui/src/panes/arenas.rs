//! One row an arena: `usable_arenas` in its order first, then those that are on no list.

use egui::{RichText, Ui};
use egui_extras::{Column, TableBuilder};
use session::Place;
use session::facts::{self, ArenaFacts};
use session::format::{count, grouped};

use super::{View, empty, place_link};
use crate::command::Command;

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    if view.session.machine().mimalloc().is_some() {
        super::no_pymalloc(ui);
        return;
    }
    let heap = view.session.heap();
    let counters = heap.counters();
    ui.horizontal_wrapped(|ui| {
        ui.label(format!(
            "{} now, {} obtained in all, {} at most at once",
            count(counters.narenas_currently_allocated, "arena"),
            grouped(counters.ntimes_arena_allocated),
            grouped(counters.narenas_highwater)
        ));
        let unused = heap.unused_arena_objects().count() as u64;
        ui.weak(format!("{} unassociated", count(unused, "record"))).on_hover_text(
            "unused_arena_objects: records of the arenas array without an arena, reused last in first out",
        );
    });
    let mut rows: Vec<(Option<usize>, ArenaFacts<'_>)> = heap
        .usable_arenas()
        .enumerate()
        .filter_map(|(order, index)| facts::arena(heap, index).map(|a| (Some(order), a)))
        .collect();
    let usable: std::collections::BTreeSet<u32> = rows.iter().map(|(_, a)| a.id.index).collect();
    rows.extend(facts::arenas(heap).into_iter().filter(|a| !usable.contains(&a.id.index)).map(|a| (None, a)));
    if rows.is_empty() {
        empty(ui, "No arena at this step.");
        return;
    }
    let here = view.inspected.and_then(|p| p.resolve(heap).0);
    TableBuilder::new(ui)
        .striped(true)
        .cell_layout(egui::Layout::left_to_right(egui::Align::Center))
        .column(Column::exact(70.0))
        .column(Column::exact(112.0))
        .column(Column::exact(120.0))
        .column(Column::exact(74.0))
        .column(Column::remainder().clip(true))
        .header(20.0, |mut header| {
            let columns = [
                ("arena", "In order of creation; the number is never reused"),
                ("address", "What the arena allocator returned"),
                ("pools in use", "Of ntotalpools"),
                ("nfreepools", "Pools that any class may take"),
                ("place", "Where it stands in usable_arenas, and whether nfp2lasta names it"),
            ];
            for (name, what) in columns {
                header.col(|ui| {
                    ui.label(RichText::new(name).strong().size(12.0)).on_hover_text(what);
                });
            }
        })
        .body(|body| {
            body.rows(21.0, rows.len(), |mut table| {
                let (order, arena) = &rows[table.index()];
                let record = arena.record;
                table.set_selected(here == Some(arena.id));
                table.col(|ui| {
                    place_link(ui, &arena.id.to_string(), Place::Arena(arena.id), commands);
                });
                table.col(|ui| {
                    ui.monospace(arena.base.to_string());
                });
                table.col(|ui| {
                    let used = record.ntotalpools - record.nfreepools;
                    let share = used as f32 / record.ntotalpools.max(1) as f32;
                    ui.add(
                        egui::ProgressBar::new(share)
                            .desired_width(108.0)
                            .desired_height(15.0)
                            .corner_radius(2)
                            .fill(view.theme.live)
                            .text(RichText::new(format!("{used}/{}", record.ntotalpools)).size(11.0)),
                    );
                });
                table.col(|ui| {
                    ui.monospace(record.nfreepools.to_string());
                });
                table.col(|ui| {
                    let mut text = match order {
                        Some(0) => "first: gives the next new pool".to_owned(),
                        Some(at) => format!("usable_arenas, {} before it", grouped(*at as u64)),
                        None => "no free pool, on no list".to_owned(),
                    };
                    let last = heap.nfp2lasta().get(record.nfreepools as usize);
                    if order.is_some() && last == Some(&Some(arena.id.index)) {
                        text.push_str(" \u{b7} nfp2lasta[");
                        text.push_str(&record.nfreepools.to_string());
                        text.push(']');
                    }
                    ui.label(text);
                });
            });
        });
}
