//! Groups as rows.

use egui::{Align, Button, Layout, Rect, RichText, Role, Sense, Shape, Stroke, Ui, Vec2, WidgetInfo};
use egui_extras::{Column as Width, TableBuilder};
use session::diagnosis::{Group, Key};
use session::format::{bytes, grouped, short_path};
use session::view::holders::{Column, HoldersPicture};

use super::super::{Seen, View, empty};
use super::{HoldersState, ROWS, shown};

fn title(column: Column) -> (&'static str, &'static str, f32) {
    match column {
        Column::Pinned => ("pinned", "Bytes of arenas that count for the group", 78.0),
        Column::Alone => ("alone", "Arenas in which no block of another group lies", 52.0),
        Column::Arenas => ("arenas", "Arenas in which one of its blocks lies", 58.0),
        Column::Blocks => ("blocks", "Live blocks, those of the C library too", 72.0),
        Column::Bytes => ("bytes", "Bytes asked for in them", 78.0),
        Column::Slack => ("rounding", "What its blocks are larger than what was asked for", 78.0),
        Column::Lifetime => {
            ("bytes \u{d7} age", "Bytes asked for, each times the operations that it has been live for", 84.0)
        }
        Column::Name => ("holder", "What its blocks have in common", 0.0),
    }
}

/// Columns that there is room for; the one that sorts stays.
fn columns(width: f32, sort: Column) -> Vec<Column> {
    let dear: &[Column] = if width < 360.0 {
        &[Column::Arenas, Column::Blocks, Column::Slack, Column::Lifetime, Column::Alone]
    } else if width < 500.0 {
        &[Column::Arenas, Column::Slack, Column::Lifetime]
    } else if width < 860.0 {
        &[Column::Slack, Column::Lifetime]
    } else {
        &[]
    };
    let shown = Column::ALL.into_iter().filter(|column| *column == sort || !dear.contains(column));
    // Who, and then what of it.
    let (name, numbers): (Vec<_>, Vec<_>) = shown.partition(|column| *column == Column::Name);
    name.into_iter().chain(numbers).collect()
}

/// Draws the table; says which rows are in view.
pub(super) fn ui(
    ui: &mut Ui,
    view: &View<'_>,
    picture: &HoldersPicture,
    state: &mut HoldersState,
    height: f32,
) -> std::ops::Range<u32> {
    if picture.total == 0 {
        empty(
            ui,
            match (picture.groups, picture.sums.outside) {
                (0, 0) => "No block is live at this step.",
                (0, _) => "No live block is in this scope.",
                _ => "No group has that in its name.",
            },
        );
        return 0..ROWS;
    }
    let columns = columns(ui.available_width(), state.sort);
    let mut seen = Seen::default();
    let mut table = TableBuilder::new(ui)
        .striped(true)
        .sense(Sense::click())
        .min_scrolled_height(height - 30.0)
        .max_scroll_height(height - 30.0)
        .cell_layout(Layout::left_to_right(Align::Center))
        .column(Width::exact(22.0));
    for column in &columns {
        let (_, _, width) = title(*column);
        table = table.column(if *column == Column::Name {
            Width::remainder().clip(true)
        } else {
            Width::exact(width)
        });
    }
    if let Some(row) = state.scroll_to.take() {
        table = table.scroll_to_row(row as usize, Some(Align::Center));
    }
    table
        .header(20.0, |mut header| {
            header.col(|ui| {
                ui.label(RichText::new("free").size(10.5))
                    .on_hover_text("Tick groups to see what freeing them gives");
            });
            for column in &columns {
                header.col(|ui| sorter(ui, *column, state));
            }
        })
        .body(|body| {
            body.rows(20.0, picture.total as usize, |mut line| {
                let index = line.index() as u32;
                seen.note(index);
                let row = index.checked_sub(picture.first).and_then(|at| picture.rows.get(at as usize));
                // What scrolled into view is on its way.
                let Some(group) = row else { return };
                let name = &group.label.key;
                line.set_selected(state.selected.as_ref() == Some(name));
                line.col(|ui| tick(ui, group, state));
                let mut on_name = false;
                for column in &columns {
                    line.col(|ui| match column.of(group) {
                        None => on_name = holder(ui, view, picture.key, group, state),
                        Some(value) => number(ui, *column, value),
                    });
                }
                if on_name || line.response().clicked() {
                    let same = state.selected.as_ref() == Some(name);
                    state.selected = (!same).then(|| name.clone());
                }
            });
        });
    seen.range(ROWS)
}

/// A column's title, which sorts by it.
fn sorter(ui: &mut Ui, column: Column, state: &mut HoldersState) {
    let (name, what, _) = title(column);
    let text = RichText::new(name).strong().size(12.0);
    let button = ui.add(Button::new(text).frame(false).small());
    let way = match (state.sort == column, state.ascending) {
        (false, _) => "",
        (true, false) => ", the largest first",
        (true, true) => ", the smallest first",
    };
    button.widget_info(|| WidgetInfo::labeled(Role::Button, true, format!("Sort by {name}{way}")));
    if state.sort == column {
        way_sign(ui, button.rect, state.ascending);
    }
    if button.on_hover_text(what).clicked() {
        state.ascending = if state.sort == column { !state.ascending } else { column == Column::Name };
        state.sort = column;
    }
}

/// A triangle behind a title: down where the largest stand above.
fn way_sign(ui: &Ui, title: Rect, ascending: bool) {
    let at = title.right_center() + Vec2::new(6.0, 0.0);
    let up = if ascending { -1.0 } else { 1.0 };
    let points = [(-4.0, -2.5), (4.0, -2.5), (0.0, 3.5)].map(|(x, y)| at + Vec2::new(x, y * up)).to_vec();
    ui.painter().add(Shape::convex_polygon(points, ui.visuals().text_color(), Stroke::NONE));
}

fn tick(ui: &mut Ui, group: &Group, state: &mut HoldersState) {
    let name = &group.label.key;
    let mut on = state.picked.contains(name);
    let check = ui.checkbox(&mut on, "");
    let label = format!("Free {}", shown(name));
    check.widget_info(|| WidgetInfo::selected(Role::CheckBox, true, on, &label));
    if check.on_hover_text("Count it as freed in the forecast").changed() {
        state.said = None;
        if on {
            state.picked.push(name.clone());
        } else {
            state.picked.retain(|other| other != name);
        }
    }
}

fn number(ui: &mut Ui, column: Column, value: u64) {
    let text = match column {
        Column::Pinned | Column::Bytes | Column::Slack => {
            bytes(value).replace(" bytes", " B").replace(" byte", " B")
        }
        Column::Lifetime => short_number(value),
        _ => grouped(value),
    };
    let text = RichText::new(text).monospace().size(11.5);
    let text = if value == 0 { text.weak() } else { text };
    ui.label(text);
}

/// A large number in few digits.
fn short_number(value: u64) -> String {
    const UNITS: [(u64, &str); 5] = [
        (1_000_000_000_000_000, "P"),
        (1_000_000_000_000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
        (1000, "k"),
    ];
    match UNITS.iter().find(|(unit, _)| value >= *unit) {
        Some((unit, sign)) => format!("{:.1} {sign}", value as f64 / *unit as f64),
        None => value.to_string(),
    }
}

/// A group's name, shortened where it is a path; whether it was clicked.
fn holder(ui: &mut Ui, view: &View<'_>, key: Key, group: &Group, state: &HoldersState) -> bool {
    let label = &group.label;
    let short = match key {
        Key::Site(_) => label.key.split(" < ").map(short_path).collect::<Vec<_>>().join(" < "),
        Key::Function => match label.key.split_once(" (") {
            Some((function, file)) => format!("{function} ({}", short_path(file)),
            None => short_path(&label.key),
        },
        _ => label.key.clone(),
    };
    let beside = if label.beside.is_empty() { String::new() } else { format!("  {}", shown(&label.beside)) };
    let mut text = egui::text::LayoutJob::default();
    let font = egui::FontId::monospace(11.5);
    text.append(&shown(&short), 0.0, egui::TextFormat::simple(font.clone(), view.theme.text));
    text.append(&beside, 0.0, egui::TextFormat::simple(font, view.theme.weak));
    let selected = state.selected.as_ref() == Some(&label.key);
    let button = ui.add(Button::selectable(selected, text).frame(false).truncate());
    let whole = shown(&label.to_string());
    button.widget_info(|| WidgetInfo::selected(Role::Button, true, selected, &whole));
    button.on_hover_text(format!("{whole}\nClick to mark its places on the map")).clicked()
}
