//! The stacks that live blocks were born by as a picture: callers above what they call, as wide as what they hold.

use egui::{Align2, EventFilter, FontId, Key, Rect, Role, ScrollArea, Sense, Ui, Vec2, WidgetInfo};
use session::diagnosis::Weight;
use session::diagnosis::tree::{Cell, Icicle, Load};
use session::format::{bytes, count, grouped};
use session::view::holders::HoldersPicture;

use super::super::{View, empty, outline};
use super::{HoldersState, shown};
use crate::theme::Theme;

const ROW: f32 = 19.0;
/// Cells narrower than this are folded, in points.
const LEAST: f32 = 4.0;

fn weight_word(weight: Weight) -> &'static str {
    match weight {
        Weight::Live => "live bytes",
        Weight::Pinned => "pinned bytes",
        Weight::Lifetime => "bytes \u{d7} age",
    }
}

/// What makes a call wide.
pub(super) fn weights(ui: &mut Ui, state: &mut HoldersState) {
    ui.weak("as wide as");
    for weight in Weight::ALL {
        ui.selectable_value(&mut state.weight, weight, weight_word(weight)).on_hover_text(match weight {
            Weight::Live => "Bytes asked for in live blocks",
            Weight::Pinned => {
                "Bytes of arenas in which no block of another call lies: what freeing all of it gives back"
            }
            Weight::Lifetime => "Bytes asked for, each times the operations that it has been live for",
        });
    }
}

/// Draws the picture.
pub(super) fn ui(
    ui: &mut Ui,
    view: &View<'_>,
    picture: &HoldersPicture,
    state: &mut HoldersState,
    height: f32,
) {
    let bar = ui.spacing().scroll.allocated_width() + 2.0;
    let width = (ui.available_width() - bar).max(40.0);
    state.parts = ((width / LEAST) as u32).max(1);
    let Some(icicle) = &picture.icicle else { return };
    above(ui, icicle, state);
    if icicle.cells.is_empty() {
        empty(
            ui,
            match state.weight {
                Weight::Pinned => "No arena is held by this call alone.",
                Weight::Live | Weight::Lifetime => "Nothing of it is live at this step.",
            },
        );
        return;
    }
    let area = ScrollArea::vertical().id_salt("icicle").auto_shrink(false);
    area.max_height(height).min_scrolled_height(height).show(ui, |ui| {
        let deepest = icicle.cells.iter().map(|cell| cell.depth).max().unwrap_or(0);
        let size = Vec2::new(width, (deepest + 1) as f32 * ROW);
        let (rect, _) = ui.allocate_exact_size(size, Sense::hover());
        // What stands above it must not take the focus from it.
        let response = ui.interact(rect, egui::Id::unique("icicle of holders"), Sense::click());
        let words = format!(
            "Icicle of live stacks by {}, {}; arrow keys move, Enter zooms in, Backspace zooms out",
            weight_word(state.weight),
            count(icicle.cells.len() as u64, "cell")
        );
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, &words));
        let at = |cell: &Cell| {
            let unit = width / icicle.width.max(1) as f32;
            let min = rect.min + Vec2::new(cell.start as f32 * unit, cell.depth as f32 * ROW);
            Rect::from_min_size(min, Vec2::new((cell.width as f32 * unit).max(1.0), ROW))
        };
        if response.has_focus() {
            keys(ui, icicle, state, response.id);
        }
        let clip = ui.clip_rect();
        for (index, cell) in icicle.cells.iter().enumerate() {
            let place = at(cell);
            if !place.intersects(clip) {
                continue;
            }
            let of = Of { icicle, weight: state.weight };
            let inner = ui.interact(place, response.id.with(index), Sense::click());
            inner.widget_info(|| WidgetInfo::labeled(Role::Button, cell.path.is_some(), of.said(cell)));
            paint(ui, view, cell, place);
            if inner.hovered() {
                outline(ui.painter(), place.shrink(1.0), 1.0, view.theme.pinned);
            }
            if response.has_focus() && state.cursor == index {
                outline(ui.painter(), place.shrink(2.0), 2.0, view.theme.touched);
                // Who moves by keys hears and reads what a pointer would be told.
                ui.scroll_to_rect(place, None);
            }
            if inner.clicked() {
                response.request_focus();
                state.cursor = index;
                zoom(cell, state);
            }
            inner.on_hover_ui_at_pointer(|ui| told(ui, &of, cell));
        }
        if response.has_focus()
            && let Some(cell) = icicle.cells.get(state.cursor)
        {
            ui.label(Of { icicle, weight: state.weight }.said(cell));
        }
    });
}

/// The way from the root to what fills the picture.
fn above(ui: &mut Ui, icicle: &Icicle, state: &mut HoldersState) {
    /// The way may be long: its beginning and its end are what one goes back to.
    const NEAR: usize = 3;
    if icicle.above.len() < 2 {
        return;
    }
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 4.0;
        let last = icicle.above.len() - 1;
        let mut left_out = false;
        for (at, (text, path)) in icicle.above.iter().enumerate() {
            if at > 0 && at + NEAR < last {
                if !std::mem::replace(&mut left_out, true) {
                    ui.weak("\u{203a} \u{2026}");
                }
                continue;
            }
            if at > 0 {
                ui.weak("\u{203a}");
            }
            let text = if at == 0 { "all".to_owned() } else { shown(text) };
            if at == last {
                ui.strong(text);
            } else if ui.link(text).on_hover_text("Zoom out to it").clicked() {
                state.root.clone_from(path);
                state.cursor = 0;
            }
        }
    });
}

/// A cell among the others, for words.
struct Of<'a> {
    icicle: &'a Icicle,
    weight: Weight,
}

impl Of<'_> {
    fn share(&self, cell: &Cell) -> String {
        let share = 100.0 * cell.width as f64 / self.icicle.width.max(1) as f64;
        if share < 0.1 { "under 0.1 %".to_owned() } else { format!("{share:.1} %") }
    }

    fn value(&self, cell: &Cell) -> String {
        match self.weight {
            Weight::Live | Weight::Pinned => bytes(cell.width),
            Weight::Lifetime => format!("{} byte operations", grouped(cell.width)),
        }
    }

    /// A cell in a line.
    fn said(&self, cell: &Cell) -> String {
        format!("{}, {}, {}", shown(&cell.text), self.value(cell), self.share(cell))
    }
}

fn told(ui: &mut Ui, of: &Of<'_>, cell: &Cell) {
    ui.label(shown(&cell.whole));
    ui.label(format!("{} of {}: {}", of.share(cell), weight_word(of.weight), of.value(cell)));
    let Load { blocks, bytes: asked, pinned_bytes, .. } = cell.load;
    ui.label(format!(
        "{} of {}; alone in arenas of {}",
        count(blocks, "live block"),
        bytes(asked),
        bytes(pinned_bytes)
    ));
    if cell.path.is_some() {
        ui.weak("Click to zoom in");
    } else {
        ui.weak("Zoom in on what calls them to see each");
    }
}

fn paint(ui: &Ui, view: &View<'_>, cell: &Cell, place: Rect) {
    let theme = view.theme;
    let painter = ui.painter();
    let inner = place.shrink2(Vec2::new(if place.width() > 3.0 { 0.5 } else { 0.0 }, 0.5));
    let fill = if cell.path.is_none() {
        theme.tile
    } else if cell.depth == 0 {
        theme.held
    } else {
        theme.ramp(shade(&cell.whole))
    };
    painter.rect_filled(inner, 1.0, fill);
    if place.width() < 24.0 {
        return;
    }
    let ink = if cell.path.is_none() || cell.depth == 0 { theme.text } else { Theme::on(fill) };
    let mut text = egui::text::LayoutJob::single_section(
        shown(&cell.text),
        egui::TextFormat::simple(FontId::proportional(11.5), ink),
    );
    text.wrap = egui::text::TextWrapping::truncate_at_width(place.width() - 6.0);
    let galley = painter.layout_job(text);
    let corner = Align2::LEFT_CENTER.anchor_size(inner.left_center() + Vec2::new(3.0, 0.0), galley.size());
    painter.galley(corner.min, galley, ink);
}

/// The same color for the same file, wherever it stands.
fn shade(whole: &str) -> f32 {
    let file = whole.rsplit_once('(').map_or(whole, |(_, file)| file);
    let file = file.rsplit_once(':').map_or(file, |(file, _)| file);
    let mixed =
        file.bytes().fold(0x811c_9dc5_u32, |mixed, byte| (mixed ^ u32::from(byte)).wrapping_mul(16_777_619));
    (mixed % 97) as f32 / 96.0
}

fn zoom(cell: &Cell, state: &mut HoldersState) {
    let Some(path) = &cell.path else { return };
    // What fills the picture already leads out again.
    if *path == state.root {
        state.root.pop();
    } else {
        state.root.clone_from(path);
    }
    state.cursor = 0;
}

/// Arrow keys go to the cells around, Enter zooms in, Backspace out.
fn keys(ui: &Ui, icicle: &Icicle, state: &mut HoldersState, id: egui::Id) {
    let filter = EventFilter { horizontal_arrows: true, vertical_arrows: true, ..EventFilter::default() };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(id, filter));
    crate::command::keep_arrows(ui.ctx(), id);
    let cells = &icicle.cells;
    state.cursor = state.cursor.min(cells.len().saturating_sub(1));
    let Some(here) = cells.get(state.cursor) else { return };
    let inside = |outer: &Cell, inner: &Cell| {
        outer.start <= inner.start && inner.start + inner.width <= outer.start + outer.width
    };
    let pressed = |key| ui.input(|i| i.key_pressed(key));
    let find = |wanted: &dyn Fn(&Cell) -> bool| cells.iter().position(wanted);
    let next = if pressed(Key::ArrowDown) {
        find(&|cell| cell.depth == here.depth + 1 && inside(here, cell))
    } else if pressed(Key::ArrowUp) {
        here.depth.checked_sub(1).and_then(|depth| find(&|cell| cell.depth == depth && inside(cell, here)))
    } else if pressed(Key::ArrowRight) {
        let right = cells
            .iter()
            .enumerate()
            .filter(|(_, cell)| cell.depth == here.depth && cell.start >= here.start + here.width);
        right.min_by_key(|(_, cell)| cell.start).map(|(at, _)| at)
    } else if pressed(Key::ArrowLeft) {
        let left = cells
            .iter()
            .enumerate()
            .filter(|(_, cell)| cell.depth == here.depth && cell.start + cell.width <= here.start);
        left.max_by_key(|(_, cell)| cell.start).map(|(at, _)| at)
    } else {
        None
    };
    if let Some(next) = next {
        state.cursor = next;
    }
    if pressed(Key::Enter) {
        zoom(here, state);
    } else if pressed(Key::Backspace) {
        state.root.pop();
        state.cursor = 0;
    }
}
