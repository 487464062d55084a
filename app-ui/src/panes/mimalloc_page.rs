//! A page of mimalloc's as cells: which block is in use, which of the three lists each free one is on, and how many are not made yet.

use egui::{
    Align2, Color32, FontId, Painter, Pos2, Rect, RichText, Role, ScrollArea, Sense, Stroke, StrokeKind, Ui,
    Vec2, WidgetInfo,
};
use session::Place;
use session::format::{count, grouped};
use session::order::Order;
use session::view::mi_page::{MiBlock, MiPage};

use super::boxes::sign;
use super::{View, outline};
use crate::command::Command;
use crate::raster::grid::CellGrid;
use crate::theme::Theme;

/// Smallest and largest cell, in points.
const SMALLEST: (i32, i32) = (40, 24);
const LARGEST: (i32, i32) = (116, 52);

/// Draws the page with its blocks.
pub(super) fn ui(ui: &mut Ui, view: &View<'_>, page: &MiPage, commands: &mut Vec<Command>) {
    let [free, local, remote] = page.lists;
    ui.horizontal_wrapped(|ui| {
        ui.label(
            RichText::new(format!("Page at slice {} of segment {}", page.page.slice, page.page.segment))
                .strong(),
        );
        ui.label(format!(
            "{} of {} made ready ({} would fit); free {free}, local_free {local}, thread_free {remote}",
            grouped(u64::from(page.page.used)),
            count(u64::from(page.page.capacity), "block"),
            grouped(u64::from(page.page.reserved)),
        ));
    });
    legend(ui, view);
    let left_out = [(page.ready, "more on free"), (page.not_made, "not made yet")];
    let left_out = left_out.into_iter().filter(|(blocks, _)| *blocks > 0);
    let cells = page.blocks.len() as u32 + left_out.clone().count() as u32;
    let room = ui.available_size() - Vec2::new(ui.spacing().scroll.allocated_width() + 2.0, 4.0);
    let grid = CellGrid::flowing(cells, room.x as i32, room.y as i32, SMALLEST, LARGEST);
    ScrollArea::vertical().id_salt("page").auto_shrink(false).show(ui, |ui| {
        let size = Vec2::new(room.x, grid.height() as f32 + 4.0);
        let (area, response) = ui.allocate_exact_size(size, Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, description(page)));
        let cell = |index: u32| {
            let r = grid.cell(index);
            let at = area.min + Vec2::new(r.x as f32, r.y as f32 + 2.0);
            Rect::from_min_size(at, Vec2::new(r.w as f32, r.h as f32)).shrink(1.5)
        };
        let painter = ui.painter_at(area.expand(4.0));
        for (index, state) in (0..).zip(&page.blocks) {
            block(&painter, view, page, index, *state, cell(index));
        }
        for (at, (blocks, what)) in (page.blocks.len() as u32..).zip(left_out) {
            let rect = cell(at);
            let lines = [format!("+{}", grouped(u64::from(blocks))), what.to_owned()];
            for (line, dy) in lines.iter().zip([-7.0, 7.0]) {
                text(
                    &painter,
                    rect.center() + Vec2::new(0.0, dy),
                    Align2::CENTER_CENTER,
                    line,
                    10.5,
                    view.theme.weak,
                );
            }
        }
        marks(ui, &painter, view, page, &cell);
        let hit = |pos: Pos2| {
            let index = grid.hit((pos.x - area.min.x) as i32, (pos.y - area.min.y - 2.0) as i32)?;
            ((index as usize) < page.blocks.len()).then_some(index)
        };
        if let Some(index) = response.hover_pos().and_then(hit) {
            outline(&painter, cell(index), 1.0, view.theme.pinned);
            if response.clicked() {
                commands.push(Command::Order(Order::Pin(Place::Block(page.block_addr(index)))));
            }
            response.on_hover_text_at_pointer(sentence(view, page, index));
        }
    });
}

/// What the last operation returned, what the lesson points at and what is pinned; with their names for who does not see them.
fn marks(ui: &Ui, painter: &Painter, view: &View<'_>, page: &MiPage, cell: &dyn Fn(u32) -> Rect) {
    if let Some(index) = page.returned.filter(|index| (*index as usize) < page.blocks.len()) {
        outline(painter, cell(index), 2.5, view.theme.touched);
    }
    let index_of = |place: Place| match place {
        Place::Block(addr) => page.index_of(addr),
        Place::Arena(_) | Place::Pool(_) => None,
    };
    let mut named = Vec::new();
    if let Some(lesson) = &view.picture.lesson {
        for index in lesson.beat.pointed().filter_map(index_of) {
            outline(painter, cell(index).expand(2.0), 3.0, view.theme.touched);
        }
        for index in lesson.beat.places().filter_map(index_of) {
            if !named.contains(&index) {
                let response = ui.interact(cell(index), ui.scope_id().with(("block", index)), Sense::hover());
                response
                    .widget_info(|| WidgetInfo::labeled(Role::Label, true, spoken_name(view, page, index)));
                named.push(index);
            }
        }
    }
    if let Some(index) = view.pinned().and_then(index_of) {
        outline(painter, cell(index).expand(3.0), 2.0, view.theme.pinned);
    }
}

fn block(painter: &Painter, view: &View<'_>, page: &MiPage, index: u32, state: MiBlock, rect: Rect) {
    let theme = view.theme;
    let addr = page.block_addr(index);
    let roomy = rect.height() >= 30.0 && rect.width() >= 60.0;
    let (fill, stroke) = look(theme, state);
    painter.rect(rect, 2.0, fill, stroke, StrokeKind::Inside);
    let ink = if state == MiBlock::Live { Theme::on(fill) } else { theme.text };
    let list = list_label(state);
    let name = match state {
        MiBlock::Live => view.name_of(addr),
        _ => {
            view.former_name_of(addr).map(|name| if roomy { format!("was {name}") } else { name.to_owned() })
        }
    };
    match (name, list) {
        (Some(name), Some(list)) if roomy => {
            text(painter, rect.center() - Vec2::new(0.0, 8.0), Align2::CENTER_CENTER, &name, 12.0, ink);
            text(painter, rect.center() + Vec2::new(0.0, 8.0), Align2::CENTER_CENTER, &list, 10.5, ink);
        }
        (None, Some(list)) if roomy => text(painter, rect.center(), Align2::CENTER_CENTER, &list, 10.5, ink),
        (Some(name), _) => {
            let size = if roomy { 14.0 } else { 10.5 };
            text(painter, rect.center(), Align2::CENTER_CENTER, &name, size, ink);
        }
        (None, Some(list)) => {
            let short = list.rsplit(' ').next().unwrap_or_default();
            text(painter, rect.center(), Align2::CENTER_CENTER, short, 10.0, ink);
        }
        (None, None) => {}
    }
}

fn look(theme: &Theme, state: MiBlock) -> (Color32, Stroke) {
    match state {
        MiBlock::Live => (theme.live, Stroke::NONE),
        MiBlock::Free(_) => (theme.ground, Stroke::new(1.5, theme.live)),
        MiBlock::Local(_) => (theme.held, Stroke::new(1.5, theme.text)),
        MiBlock::Remote(_) | MiBlock::Delayed => (theme.lost, Stroke::new(1.5, theme.text)),
        MiBlock::NotMade => (theme.ground, Stroke::new(1.0, theme.dot)),
    }
}

fn list_label(state: MiBlock) -> Option<String> {
    let at = |list: &str, at: u32| if at == 0 { format!("{list} head") } else { format!("{list} {at}") };
    match state {
        MiBlock::Live | MiBlock::NotMade => None,
        MiBlock::Free(number) => Some(at("free", number)),
        MiBlock::Local(number) => Some(at("local_free", number)),
        MiBlock::Remote(number) => Some(at("thread_free", number)),
        MiBlock::Delayed => Some("delayed".to_owned()),
    }
}

fn legend(ui: &mut Ui, view: &View<'_>) {
    let entries = [
        (MiBlock::Live, "in use", "The program holds this block"),
        (MiBlock::Free(0), "free", "What malloc takes next, from the head on"),
        (MiBlock::Local(0), "local_free", "Freed by the page's own thread; becomes free when that is empty"),
        (MiBlock::Remote(0), "thread_free", "Freed by another thread; its owner collects it at times"),
        (MiBlock::NotMade, "not made yet", "Beyond the page's capacity: on no list"),
    ];
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 5.0;
        for (state, name, what) in entries {
            let (fill, stroke) = look(view.theme, state);
            let chip = |painter: &Painter, rect| {
                painter.rect(rect, 0.0, fill, stroke, StrokeKind::Inside);
            };
            sign(ui, view, name, chip).on_hover_text(what);
        }
    });
}

/// What a block is called aloud.
fn spoken_name(view: &View<'_>, page: &MiPage, index: u32) -> String {
    view.spoken_block(page.block_addr(index)).unwrap_or_else(|| format!("block {index} of the page"))
}

fn sentence(view: &View<'_>, page: &MiPage, index: u32) -> String {
    let addr = page.block_addr(index);
    let is = match page.blocks[index as usize] {
        MiBlock::Live => "in use: the program holds it".to_owned(),
        MiBlock::NotMade => "not made yet: beyond the page's capacity, on no list".to_owned(),
        MiBlock::Delayed => "freed by another thread, on the list of its heap".to_owned(),
        state => format!("on {}", list_label(state).unwrap_or_default().replace(" head", ", the head")),
    };
    format!("{}, of {} at {addr}: {is}", spoken_name(view, page, index), count(page.page.block_bytes, "byte"))
}

/// The picture in a sentence, for screen readers and tests.
fn description(page: &MiPage) -> String {
    let [free, local, remote] = page.lists;
    format!(
        "Page at slice {} of segment {}: {} in use, {free} on free, {local} on local_free, {remote} on thread_free",
        page.page.slice,
        page.page.segment,
        count(u64::from(page.page.used), "block"),
    )
}

fn text(painter: &Painter, at: Pos2, anchor: Align2, text: &str, size: f32, color: Color32) {
    painter.text(at, anchor, text, FontId::proportional(size), color);
}
