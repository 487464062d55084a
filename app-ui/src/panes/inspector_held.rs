//! Who holds the arena or the pool that the inspector shows, in a sentence.

use std::fmt::Write as _;

use egui::{RichText, Ui};
use session::Place;
use session::diagnosis::Key;
use session::format::{bytes, count, printable};
use session::view::holders::PlaceHeld;

use super::View;

/// Says it, once it is known.
pub(super) fn ui(ui: &mut Ui, view: &View<'_>, place: Place) {
    let held = view.held;
    let known = held.places.iter().find(|held| held.place == place);
    let Some(known) = known.filter(|_| held.revision == view.picture.revision) else { return };
    ui.label(RichText::new(sentence(known)).strong());
    // One place alone is named in the sentence.
    if known.most.len() > 1 {
        for (site, blocks) in &known.most {
            ui.weak(format!("{}: {}", printable(site), count(*blocks, "block")));
        }
        let more = known.sites.unwrap_or(0).saturating_sub(known.most.len() as u64);
        if more > 0 {
            ui.weak(format!("and {}", count(more, &format!("more {}", known.by.words()))));
        }
    }
}

/// How blocks come to what they are put together by.
fn by(held: &PlaceHeld) -> &'static str {
    match held.by {
        Key::Path | Key::Owner => "kept by",
        Key::Type => "of",
        _ => "from",
    }
}

fn sentence(held: &PlaceHeld) -> String {
    let is_arena = matches!(held.place, Place::Arena(_));
    if held.blocks == 0 {
        return if is_arena && held.kept {
            "Empty, kept because it is the last one with room.".to_owned()
        } else {
            "Held by no block.".to_owned()
        };
    }
    let mut text = format!("Held by {}, {}", count(held.blocks, "block"), bytes(held.block_bytes));
    match (held.sites, held.most.first()) {
        (Some(1), Some((site, _))) => {
            let _ = write!(text, ", {} one {}, {}", by(held), held.by.words(), printable(site));
        }
        (Some(sites), Some(_)) => {
            let _ = write!(text, ", {} {}", by(held), count(sites, held.by.words()));
        }
        _ => {}
    }
    let them = if held.blocks == 1 { "it" } else { "them" };
    if held.unborn > 0 {
        let _ = write!(
            text,
            "; {} from before the trace, so it is not known what would free it",
            count(held.unborn, "block")
        );
    } else if held.returned_bytes > 0 {
        let _ = write!(text, "; freeing {them} gives {} back", bytes(held.returned_bytes));
    } else if held.kept {
        let _ = write!(text, "; freeing {them} empties the arena, which is kept as the last one with room");
    } else if is_arena {
        let _ = write!(text, "; freeing {them} empties the arena");
    } else {
        let _ = write!(text, "; freeing {them} empties the pool for other classes");
    }
    text + "."
}
