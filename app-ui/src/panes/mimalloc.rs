//! Segments and pages, in place of pymalloc's map in a run whose MEM and OBJ are mimalloc's.

use egui::{RichText, Ui};
use egui_extras::{Column, TableBuilder};
use session::Place;
use session::format::{bytes, count, grouped};
use session::lesson::TaskView;
use session::order::Order;
use session::view::tables::SegmentRow;
use sim_core::mimalloc::PageView;

use super::{View, Wishes, empty, mimalloc_page};
use crate::command::Command;

/// Rows that are asked for before it is known which are in view.
const ROWS: u32 = 64;
/// Columns that a narrow pane has no room for: address, heap, thread.
const WIDE_ONLY: [usize; 3] = [2, 5, 6];

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, wishes: &mut Wishes) {
    wishes.look.segments = Some(0..ROWS);
    let Some(table) = &view.picture.segments else { return };
    let totals = &table.totals;
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new(format!("mimalloc {}", table.version.name())).strong());
        ui.label(format!(
            "{} with {}, {} full; {} live blocks of {}",
            count(totals.segments, "segment"),
            count(totals.pages, "page"),
            grouped(totals.full_pages),
            grouped(totals.live_blocks),
            bytes(totals.live_bytes)
        ));
        if let Some((write, read)) = table.sequences {
            ui.weak(format!(
                "QSBR: written {write}, read {read}, {} waiting",
                count(totals.deferred_pages, "page")
            ))
            .on_hover_text(
                "An emptied page of an object heap is freed when every attached thread has seen its goal",
            );
        }
    });
    if table.total == 0 {
        empty(ui, "No segment: nothing is allocated through MEM or OBJ at this step.");
        return;
    }
    let page = view.picture.mi_page.as_ref();
    // The page below needs more room than its line in the table.
    let high = if page.is_some() { (ui.available_height() * 0.34).max(64.0) } else { f32::INFINITY };
    let narrow = view.picture.lesson.is_some() && ui.available_width() < 640.0;
    let wide = usize::from(!narrow);
    let mut seen = super::Seen::default();
    let mono = |text: String| RichText::new(text).monospace().size(11.5);
    // Where a lesson asks for a place, a page is one.
    let task = view.picture.lesson.as_ref().and_then(|lesson| lesson.beat.task.as_ref());
    let asked = task
        .is_some_and(|task| task.open() && matches!(task, TaskView::Click { .. } | TaskView::Play { .. }));
    let mut chosen = None;
    // Words that can be marked would take the click.
    ui.style_mut().interaction.selectable_labels = false;
    TableBuilder::new(ui)
        .striped(true)
        .sense(egui::Sense::click())
        .cell_layout(egui::Layout::left_to_right(egui::Align::Center))
        .auto_shrink([false, page.is_some()])
        .max_scroll_height(high)
        .column(Column::exact(if narrow { 56.0 } else { 84.0 }))
        .column(Column::exact(if narrow { 46.0 } else { 64.0 }))
        .columns(Column::exact(112.0), wide)
        .column(Column::exact(if narrow { 44.0 } else { 70.0 }))
        .column(Column::exact(120.0))
        .columns(Column::exact(62.0), wide)
        .columns(Column::exact(64.0), wide)
        .column(Column::remainder().at_least(if narrow { 40.0 } else { 90.0 }).clip(true))
        .header(20.0, |mut header| {
            let columns = [
                ("segment", "Its place in the arenas, in steps of 32 MiB; from 1000 on outside arenas"),
                ("slices", "Slices of 64 KiB: the first, and how many"),
                ("address", "Where the slices begin"),
                ("block", "Bytes of a block"),
                ("used", "Blocks handed out, of those made ready (capacity), of those that fit (reserved)"),
                ("heap", "The tag of its heap; with the GIL there is one heap a thread"),
                ("thread", "The thread that owns it"),
                ("state", "full: in the full queue; retired: empty, kept for some page misses; goal: waits for QSBR"),
            ];
            for (name, what) in columns {
                if narrow && matches!(name, "address" | "heap" | "thread") {
                    continue;
                }
                header.col(|ui| {
                    ui.label(RichText::new(name).strong().size(12.0)).on_hover_text(what);
                });
            }
        })
        .body(|body| {
            body.rows(19.0, table.total as usize, |mut line| {
                let index = line.index() as u32;
                seen.note(index);
                let row = index.checked_sub(table.first).and_then(|at| table.rows.get(at as usize));
                match row {
                // What scrolled into view is on its way.
                None => {}
                Some(SegmentRow::Segment(s)) => {
                    let state = if s.huge { "one block of its own" } else { "" };
                    let cells = [
                        s.ordinal.to_string(),
                        s.slices.to_string(),
                        s.base.to_string(),
                        String::new(),
                        count(u64::from(s.used), "page"),
                        String::new(),
                        owner(s.owner),
                        if s.huge { state.to_owned() } else { format!("{} free", count(u64::from(s.free_slices), "slice")) },
                    ];
                    for (at, text) in cells.into_iter().enumerate() {
                        if narrow && WIDE_ONLY.contains(&at) {
                            continue;
                        }
                        line.col(|ui| {
                            ui.label(mono(text).strong());
                        });
                    }
                }
                Some(SegmentRow::Page(p)) => {
                    line.set_selected(page.is_some_and(|page| page.page.id == p.id));
                    let heap_name = if table.free_threaded {
                        ["mem", "obj", "gc", "gc_pre"][usize::from(p.tag & 3)]
                    } else {
                        "only"
                    };
                    let cells = [
                        String::new(),
                        format!("{} +{}", p.slice, p.slices),
                        p.base.to_string(),
                        grouped(p.block_bytes),
                    ];
                    for (at, text) in cells.into_iter().enumerate() {
                        if narrow && WIDE_ONLY.contains(&at) {
                            continue;
                        }
                        line.col(|ui| {
                            ui.label(mono(text));
                        });
                    }
                    line.col(|ui| {
                        let share = p.used as f32 / p.reserved.max(1) as f32;
                        let text = format!("{}/{}/{}", p.used, p.capacity, p.reserved);
                        ui.add(
                            egui::ProgressBar::new(share)
                                .desired_width(112.0)
                                .desired_height(14.0)
                                .corner_radius(2)
                                .fill(view.theme.live)
                                .text(RichText::new(text).size(11.0)),
                        );
                    });
                    for (at, text) in [heap_name.to_owned(), owner(p.owner), state(p)].into_iter().enumerate() {
                        if narrow && WIDE_ONLY.contains(&(at + 5)) {
                            continue;
                        }
                        line.col(|ui| {
                            ui.label(mono(text));
                        });
                    }
                    let about = if asked { "The block begins on this page" } else { "Show the page's blocks" };
                    if line.response().on_hover_text(about).clicked() {
                        let (page, block) = (Place::Pool(p.base), Place::Block(p.first_block));
                        chosen = Some(if asked { page } else { block });
                    }
                }
                }
            });
        });
    wishes.look.segments = Some(seen.range(ROWS));
    wishes.commands.extend(chosen.map(|place| Command::Order(Order::Pin(place))));
    if let Some(page) = page {
        ui.add_space(6.0);
        mimalloc_page::ui(ui, view, page, &mut wishes.commands);
    }
}

fn owner(thread: Option<u16>) -> String {
    thread.map_or_else(|| "abandoned".to_owned(), |t| t.to_string())
}

fn state(page: &PageView) -> String {
    let mut words = Vec::new();
    if page.full {
        words.push("full".to_owned());
    }
    if page.retire > 0 {
        words.push(format!("retired, {} left", page.retire));
    }
    if page.goal > 0 {
        words.push(format!("waits for goal {}", page.goal));
    }
    words.join(", ")
}
