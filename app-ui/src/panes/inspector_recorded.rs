//! The inspector of the recorded heap: what addresses tell of one place. Headers and lists are not in a recording.

use egui::{Grid, RichText, Ui};
use session::Place;
use session::facts::BlockState;
use session::format::{bytes, count};
use session::view::inspect::RecordedSheet;

use super::sheet::{holder_ui, title};
use super::{View, empty, inspector_held, place_link};
use crate::command::Command;

/// Draws it.
pub(super) fn ui(
    ui: &mut Ui,
    view: &View<'_>,
    place: Place,
    sheet: &RecordedSheet,
    commands: &mut Vec<Command>,
) {
    let RecordedSheet { block, pool, arena } = sheet;
    match (place, pool, arena) {
        (Place::Arena(id), _, None) => empty(ui, &format!("No recorded block is live in {id} at this step.")),
        (Place::Pool(addr) | Place::Block(addr), None, _) => {
            empty(ui, &format!("No recorded arena holds {addr} at this step."));
        }
        _ => {}
    }
    if let Some((block, holder)) = block {
        title(ui, &format!("Place {} of its pool", block.index), Place::Block(block.addr), commands);
        let state = match block.state {
            BlockState::Live => "live",
            _ => "free, or from before the recording",
        };
        rows(
            ui,
            "recorded block",
            &[
                ("state", state.to_owned()),
                ("address", block.addr.to_string()),
                ("offset", view.offset(u64::from(block.offset))),
                ("size", format!("{} bytes", block.size)),
                ("size class", block.class.to_string()),
            ],
        );
        if let Some(holder) = holder {
            holder_ui(ui, holder, None, commands);
        }
        ui.add_space(8.0);
    }
    if let Some(pool) = pool {
        title(ui, &format!("Pool {}", pool.index), Place::Pool(pool.addr), commands);
        ui.label(match pool.class {
            Some(class) => format!(
                "Recorded blocks at {} of {} of class {class}, {} bytes each; the others are free, or from before the recording",
                pool.used,
                count(u64::from(pool.capacity), "place"),
                pool.block_size
            ),
            None => "No recorded block is live in it at this step".to_owned(),
        });
        ui.horizontal(|ui| {
            ui.weak("address");
            place_link(ui, &pool.addr.to_string(), Place::Pool(pool.addr), commands);
        });
        inspector_held::ui(ui, view, Place::Pool(pool.addr));
        ui.add_space(8.0);
    }
    if let Some((arena, certain)) = arena {
        title(ui, &arena.id.to_string(), Place::Arena(arena.id), commands);
        let bounds = if *certain { "certain" } else { "as its pools tell" };
        rows(
            ui,
            "recorded arena",
            &[
                ("first pool", arena.first_pool.to_string()),
                ("bounds", bounds.to_owned()),
                (
                    "with a live block",
                    format!("{} of {}", arena.pools_in_use(), count(u64::from(arena.ntotalpools), "pool")),
                ),
                ("size", bytes(view.profile().arena_size)),
            ],
        );
        inspector_held::ui(ui, view, Place::Arena(arena.id));
        ui.add_space(8.0);
    }
    ui.weak("As recorded: pool headers, free lists and the lists of arenas are not in a recording.");
}

fn rows(ui: &mut Ui, salt: &str, rows: &[(&str, String)]) {
    let mono = |text: &str| RichText::new(text).monospace().size(11.5);
    Grid::new(salt).num_columns(2).striped(true).spacing([8.0, 3.0]).show(ui, |ui| {
        for (name, value) in rows {
            ui.label(mono(name));
            ui.label(mono(value));
            ui.end_row();
        }
    });
}
