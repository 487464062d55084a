//! One row an arena: `usable_arenas` in its order first, then those that are on no list.

use egui::{Align2, FontId, Rect, RichText, Role, Sense, Ui, Vec2, WidgetInfo};
use egui_extras::{Column, TableBuilder};
use session::format::{bytes, count, grouped};
use session::real::{Real, RealReport};
use session::view::tables::{ArenaRow, ArenaTable, ArenasKnown};
use session::{Order, Place};
use sim_core::Addr;

use crate::command::Command;
use crate::theme::Theme;

use super::{View, Wishes, empty, place_link};

/// Rows that are asked for before it is known which are in view.
const ROWS: u32 = 64;

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, wishes: &mut Wishes) {
    if view.head.mimalloc {
        super::no_pymalloc(ui, view, "arenas");
        return;
    }
    wishes.look.arenas = Some(0..ROWS);
    let Some(table) = &view.picture.arena_table else { return };
    ui.horizontal_wrapped(|ui| known(ui, table));
    // A lesson's arenas are of its own making, and recorded ones are somebody else's.
    if view.picture.lesson.is_none() && !view.on_recorded() {
        over_memory(ui, &view.status.real, &mut wishes.commands);
    }
    if table.total == 0 {
        empty(ui, "No arena at this step.");
        return;
    }
    let here = view.picture.inspected_arena;
    // Where it is narrow in a lesson, the order on the list is what matters.
    let narrow = view.picture.lesson.is_some() && ui.available_width() < 560.0;
    let mut seen = super::Seen::default();
    TableBuilder::new(ui)
        .striped(true)
        .cell_layout(egui::Layout::left_to_right(egui::Align::Center))
        .columns(Column::exact(70.0), 1)
        .columns(Column::exact(112.0), usize::from(!narrow))
        .column(Column::exact(150.0))
        .columns(Column::exact(74.0), usize::from(!narrow))
        .column(Column::remainder().clip(true))
        .header(20.0, |mut header| {
            let columns = [
                ("arena", "In order of creation; the number is never reused"),
                ("address", "What the arena allocator returned"),
                (
                    "pools in use",
                    "Pools that a class has, of ntotalpools: the pale part. The dark part is what blocks in use fill: an arena \
                     that is pale and not dark is kept by a few blocks",
                ),
                if view.on_recorded() {
                    ("no block", "Pools without a live recorded block")
                } else {
                    ("nfreepools", "Pools that any class may take")
                },
                if view.on_recorded() {
                    ("bounds", "How surely it begins and ends where it is drawn")
                } else {
                    ("place", "Where it stands in usable_arenas, and whether nfp2lasta names it")
                },
            ];
            for (name, what) in columns {
                if narrow && matches!(name, "address" | "nfreepools" | "no block") {
                    continue;
                }
                header.col(|ui| {
                    ui.label(RichText::new(name).strong().size(12.0)).on_hover_text(what);
                });
            }
        })
        .body(|body| {
            body.rows(21.0, table.total as usize, |mut line| {
                let index = line.index() as u32;
                seen.note(index);
                let row = index.checked_sub(table.first).and_then(|at| table.rows.get(at as usize));
                // What scrolled into view is on its way.
                let Some(row) = row else { return };
                let arena = &row.arena;
                line.set_selected(here == Some(arena.id));
                line.col(|ui| {
                    place_link(ui, &arena.id.to_string(), Place::Arena(arena.id), &mut wishes.commands);
                });
                if !narrow {
                    line.col(|ui| {
                        let address = ui.monospace(arena.base.to_string());
                        let at = really(&view.status.real, arena.id.ordinal).filter(|_| !view.on_recorded());
                        if let Some(at) = at {
                            address.on_hover_text(format!("In real memory it lies at {at}"));
                        }
                    });
                }
                line.col(|ui| {
                    gauge(ui, view, row);
                });
                if !narrow {
                    line.col(|ui| {
                        ui.monospace(arena.nfreepools.to_string());
                    });
                }
                line.col(|ui| {
                    if let ArenasKnown::Recorded { rows, .. } = &table.known {
                        let at = index.checked_sub(table.first).map_or(usize::MAX, |at| at as usize);
                        bounds(ui, rows.get(at) == Some(&true));
                        return;
                    }
                    let mut text = match row.before {
                        Some(0) if narrow => "first".to_owned(),
                        Some(0) => "first: gives the next new pool".to_owned(),
                        Some(at) if narrow => format!("{} before it", grouped(u64::from(at))),
                        Some(at) => format!("usable_arenas, {} before it", grouped(u64::from(at))),
                        None if narrow => "on no list".to_owned(),
                        None => "no free pool, on no list".to_owned(),
                    };
                    if row.rightmost {
                        text.push_str(" \u{b7} nfp2lasta[");
                        text.push_str(&arena.nfreepools.to_string());
                        text.push(']');
                    }
                    ui.label(text);
                });
            });
        });
    wishes.look.arenas = Some(seen.range(ROWS));
}

/// What is known of all arenas, in a line.
fn known(ui: &mut Ui, table: &ArenaTable) {
    match &table.known {
        ArenasKnown::Model { counters, unused } => {
            ui.label(format!(
                "{} now, {} obtained in all, {} at most at once",
                count(counters.narenas_currently_allocated, "arena"),
                grouped(counters.ntimes_arena_allocated),
                grouped(counters.narenas_highwater)
            ));
            ui.weak(format!("{} unassociated", count(*unused, "record"))).on_hover_text(
                "unused_arena_objects: records of the arenas array without an arena, reused last in first out",
            );
        }
        ArenasKnown::Recorded { ever, certain, .. } => {
            ui.label(format!(
                "As recorded: {} with a live block now, {} ever seen, the bounds of {} of them certain",
                count(u64::from(table.total), "arena"),
                grouped(*ever),
                grouped(*certain)
            ));
            ui.weak("lists and counters are not in a recording").on_hover_text(
                "Nor are arenas that came and went unseen, or whose blocks are all from before the recording",
            );
        }
    }
}

/// How surely a recorded arena begins and ends where it is drawn.
fn bounds(ui: &mut Ui, certain: bool) {
    if certain {
        ui.label("bounds certain").on_hover_text(
            "It was obtained while recorded: all its pools were first used one after the other, from its first to its last",
        );
    } else {
        ui.weak("bounds as its pools tell").on_hover_text(
            "Its pools lie so, in as few arenas as can hold them; where it begins and ends may be a few pools off",
        );
    }
}

/// An arena's pools in use, and within them the bytes of blocks in use.
fn gauge(ui: &mut Ui, view: &View<'_>, row: &ArenaRow) {
    let (arena, theme) = (&row.arena, view.theme);
    let size = view.profile().arena_size;
    let (used, total, live) = (arena.pools_in_use(), arena.ntotalpools, row.live_share(size));
    let (rect, response) = ui.allocate_exact_size(Vec2::new(138.0, 15.0), Sense::hover());
    // Not rounded up to what it is not, nor down to nothing.
    let percent = match live * 100.0 {
        0.0 => "0".to_owned(),
        share if share < 1.0 => "under 1".to_owned(),
        share => format!("{:.0}", share.floor()),
    };
    let words = format!(
        "{used} of {}; blocks in use fill {percent} %, {} of {}",
        count(u64::from(total), "pool"),
        bytes(row.live_bytes),
        bytes(size)
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Label, true, &words));
    let painter = ui.painter();
    painter.rect_filled(rect, 2.0, theme.ground);
    let part = |share: f32| Rect::from_min_size(rect.min, Vec2::new(rect.width() * share, rect.height()));
    painter.rect_filled(part(used as f32 / total.max(1) as f32), 2.0, theme.held);
    let filled = part(live);
    painter.rect_filled(filled, 2.0, theme.live);
    let text = format!("{used}/{total} \u{b7} {percent} %");
    for (ground, ink) in [(filled, Theme::on(theme.live)), (rect.with_min_x(filled.right()), theme.text)] {
        let clipped = painter.with_clip_rect(ground.intersect(painter.clip_rect()));
        clipped.text(rect.center(), Align2::CENTER_CENTER, &text, FontId::proportional(11.0), ink);
    }
    response.on_hover_text(words);
}

/// Offers the run over real memory, and says what came of it.
fn over_memory(ui: &mut Ui, real: &Real, commands: &mut Vec<Command>) {
    const OFFER: &str = "Run over real memory";
    ui.horizontal_wrapped(|ui| {
        let again = match real {
            Real::None => {
                ui.add_enabled(false, egui::Button::new(OFFER)).on_disabled_hover_text(
                    "Only the desktop window can: a browser gives a page no memory at addresses of its own",
                );
                return;
            }
            Real::Running(share) => {
                ui.label("Over real memory:");
                ui.add(egui::ProgressBar::new(*share).desired_width(180.0).show_percentage());
                if ui.button("Cancel").on_hover_text("Stop that run; what is shown stays").clicked() {
                    commands.push(Command::Order(Order::Cancel));
                }
                return;
            }
            Real::Offered => OFFER,
            Real::Refused(why) => {
                ui.label(format!("Not over real memory: {why}."));
                return;
            }
            Real::Done(report) => {
                ui.label(in_words(report));
                "Run again"
            }
        };
        let tip = "Does the operations up to this step once more, over arenas that the operating system maps, with headers \
                   and links where CPython has them, and compares where every block lands";
        if ui.button(again).on_hover_text(tip).clicked() {
            commands.push(Command::Order(Order::RunOverMemory));
        }
    });
}

/// What came of the run, in a sentence.
fn in_words(report: &RealReport) -> String {
    let RealReport { steps, blocks, first_difference, same_state, .. } = report;
    let done = format!("Over real memory, {}: ", count(*steps, "operation"));
    match first_difference {
        Some(before) => format!("{done}the first difference is at step {}.", grouped(before + 1)),
        None if *same_state => format!(
            "{done}{} at the same place in the same arena, and every list, count and link the same.",
            count(*blocks, "block")
        ),
        None => format!("{done}every block at the same place, but lists or counts differ at the end."),
    }
}

/// Where an arena lies in the real memory of the last run.
fn really(real: &Real, ordinal: u64) -> Option<Addr> {
    let Real::Done(report) = real else { return None };
    report.arenas.iter().find(|(other, _)| *other == ordinal).map(|(_, at)| *at)
}
