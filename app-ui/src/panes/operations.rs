//! All operations as rows. Only the rows in view exist, and their position is kept as a whole number:
//! a scroll offset in points would lose single rows in a list of millions.

use egui::{FontId, Key, Pos2, Rect, Role, Sense, Stroke, TextEdit, Ui, Vec2, WidgetInfo};
use session::filter::WORDS;
use session::format::grouped;
use session::order::Order;
use session::view::tape::{OperationRow, OperationsLook};

use super::{View, Wishes, flags};
use crate::command::Command;
use crate::theme::Theme;

/// Which row is on top, and what it was moved for.
#[derive(Default)]
pub(crate) struct OperationsState {
    top: f64,
    shown: Option<(u64, u64)>,
    text: String,
    focus: bool,
}

impl OperationsState {
    /// Puts the text cursor into the filter at the next frame.
    pub(crate) fn focus_filter(&mut self) {
        self.focus = true;
    }
}

const ROW: f32 = 19.0;
const BAR: f32 = 11.0;

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, state: &mut OperationsState, wishes: &mut Wishes) {
    if view.head.len == 0 {
        super::empty(ui, "The trace has no operation.");
        return;
    }
    filter_ui(ui, view, state);
    let look = OperationsLook { filter: state.text.clone(), rows: 0..0 };
    let look = wishes.look.operations.insert(look);
    // What answers other words says nothing about these.
    let operations = view.picture.operations.as_ref().filter(|o| o.filter == state.text);
    let Some(operations) = operations else { return };
    let total = operations.total;
    if total == 0 {
        super::empty(ui, if operations.complete { "No operation is like that." } else { "Looking\u{2026}" });
        return;
    }
    let area = ui.available_rect_before_wrap();
    ui.advance_cursor_after_rect(area);
    let rows = (area.height() / ROW).floor().max(1.0);
    let last_top = (total as f64 - f64::from(rows)).max(0.0);

    // The current row is always in view after a step; in between one may scroll away.
    // In a filtered list it is the last row that is done.
    let current = operations.current;
    if state.shown != Some((current, total)) {
        state.shown = Some((current, total));
        let row = current.saturating_sub(1) as f64;
        if row < state.top + 1.0 || row > state.top + f64::from(rows) - 3.0 {
            state.top = row - f64::from(rows) / 2.0;
        }
    }
    let list = area.with_max_x(area.right() - BAR);
    if ui.rect_contains_pointer(area) {
        let turn = ui.input(|i| i.smooth_scroll_delta().y);
        state.top -= f64::from(turn / ROW);
        let page = f64::from(rows - 1.0);
        ui.input(|i| {
            if i.key_pressed(Key::PageDown) {
                state.top += page;
            }
            if i.key_pressed(Key::PageUp) {
                state.top -= page;
            }
        });
    }
    state.top = state.top.clamp(0.0, last_top);
    bar(ui, area.with_min_x(area.right() - BAR + 2.0), state, last_top, total, f64::from(rows));

    let first = state.top.floor() as u64;
    let page = rows as u64 + 2;
    look.rows = first.saturating_sub(page)..(first + 2 * page).min(total);
    let offset = -(state.top.fract() as f32) * ROW;
    for i in 0..page {
        let index = first + i;
        let top = list.top() + offset + i as f32 * ROW;
        if index >= total || top >= list.bottom() {
            break;
        }
        let rect = Rect::from_min_size(Pos2::new(list.left(), top), Vec2::new(list.width(), ROW));
        let there = index.checked_sub(operations.first);
        // What scrolled into view is on its way.
        if let Some(operation) = there.and_then(|at| operations.rows.get(at as usize)) {
            row(ui, view, operation, rect, list, &mut wishes.commands);
        }
    }
}

fn filter_ui(ui: &mut Ui, view: &View<'_>, state: &mut OperationsState) {
    let hint = "filter: #id, size, free\u{2026}";
    let field = TextEdit::singleline(&mut state.text).hint_text(hint).desired_width(f32::INFINITY);
    let field = ui.add(field);
    field.widget_info(|| {
        let mut info = WidgetInfo::labeled(Role::TextInput, true, "Filter operations");
        info.current_text_value = Some(state.text.clone());
        info
    });
    if std::mem::take(&mut state.focus) {
        field.request_focus();
    }
    field.on_hover_text(format!("{WORDS} (/)"));
    let Some(operations) = view.picture.operations.as_ref().filter(|o| o.filter == state.text) else {
        return;
    };
    if let Some(wrong) = &operations.wrong {
        ui.label(format!("`{wrong}` is none of {WORDS}"));
    } else if operations.filtered {
        let more = if operations.complete { "" } else { ", looking\u{2026}" };
        ui.weak(format!("{} of {}{more}", grouped(operations.total), grouped(view.head.len)));
    }
}

fn row(ui: &Ui, view: &View<'_>, row: &OperationRow, rect: Rect, list: Rect, commands: &mut Vec<Command>) {
    let OperationRow { index, call, short, .. } = row;
    let step = index + 1;
    let current = step == view.picture.step;
    let id = ui.scope_id().with(("operation", index));
    let response = ui.interact(rect.intersect(list), id, Sense::click());
    response.widget_info(|| {
        let thread = row.thread_name.as_ref().map_or_else(String::new, |thread| format!(", {thread}"));
        let caller = row.caller.as_ref().map_or_else(String::new, |caller| format!(", from {}", caller.text));
        let marks = marks_of(row, ", ");
        let text = format!("Step {}: {call}{thread}{caller}{marks}", grouped(step));
        WidgetInfo::selected(Role::Button, true, current, text)
    });
    let painter = ui.painter_at(list);
    let visuals = ui.visuals();
    if current {
        painter.rect_filled(rect, 3.0, visuals.selection.bg_fill);
    } else if response.hovered() || response.has_focus() {
        painter.rect_filled(rect, 3.0, visuals.widgets.hovered.weak_bg_fill);
    }
    // What is still to come is paler than what was done.
    let done = step <= view.picture.step;
    let theme = view.theme;
    let color = if done { theme.text } else { theme.weak };
    let digits = grouped(view.head.len).len() as f32;
    let center = rect.center().y;
    let number = Pos2::new(rect.left() + 4.0 + digits * 6.6, center);
    painter.text(number, egui::Align2::RIGHT_CENTER, grouped(step), FontId::monospace(11.0), theme.weak);
    if row.noted {
        let at = Pos2::new(number.x + 6.0, center);
        painter.circle_filled(at, 2.5, theme.touched);
    }
    let mut call_rect = rect;
    call_rect.min.x = number.x + 12.0;
    if !row.marks.is_empty() {
        let foot = Pos2::new(call_rect.min.x, center + 6.0);
        flags::draw(&painter, foot, 12.0, theme.text);
        call_rect.min.x += flags::WIDTH + 4.0;
    }
    let thread = row.thread.map(|thread| format!("t{thread}"));
    let id_text: Vec<String> = row.id.map(|id| format!("#{id}")).into_iter().chain(thread).collect();
    let id_text = id_text.join(" ");
    let id_width = if call_rect.width() > 230.0 { id_text.len() as f32 * 6.6 + 8.0 } else { 0.0 };
    let fits = call.len() as f32 * 7.0 <= call_rect.width() - id_width;
    let text = if fits { call } else { short };
    let clipped = painter.with_clip_rect(call_rect.with_max_x(rect.right() - id_width).intersect(list));
    let drawn = clipped.text(
        Pos2::new(call_rect.left(), center),
        egui::Align2::LEFT_CENTER,
        text,
        FontId::monospace(11.5),
        color,
    );
    // Beside the call, as far as there is room: marks, and the function that calls.
    let marks = (!row.marks.is_empty()).then(|| row.marks.join(", "));
    let caller = row.caller.as_ref().map(|caller| caller.text.clone());
    let mut right = drawn.right();
    for text in marks.into_iter().chain(caller) {
        let beside = Pos2::new(right + 10.0, center);
        let font = FontId::proportional(11.0);
        right = clipped.text(beside, egui::Align2::LEFT_CENTER, text, font, theme.weak).right();
    }
    if id_width > 0.0 {
        painter.text(
            Pos2::new(rect.right() - 4.0, center),
            egui::Align2::RIGHT_CENTER,
            id_text,
            FontId::monospace(11.0),
            theme.weak,
        );
    }
    if response.clicked() {
        commands.push(Command::Order(Order::Seek(step)));
    }
    if response.hovered() {
        response.on_hover_text_at_pointer(format!(
            "Step {}: {call}{}{}{}\nClick to go there",
            grouped(step),
            row.id.map_or_else(String::new, |id| format!(", id {id}")),
            row.thread_name.as_ref().map_or_else(String::new, |thread| format!(", on {thread}")),
            row.caller.as_ref().map_or_else(String::new, |caller| format!("\nCalled from {}", caller.whole))
                + &marks_of(row, "\n")
        ));
    }
}

/// Marks of a row in words, after `between`.
fn marks_of(row: &OperationRow, between: &str) -> String {
    if row.marks.is_empty() { String::new() } else { format!("{between}mark: {}", row.marks.join(", ")) }
}

/// A scroll bar over whole rows.
fn bar(ui: &Ui, rect: Rect, state: &mut OperationsState, last_top: f64, total: u64, rows: f64) {
    if last_top <= 0.0 {
        return;
    }
    let response = ui.interact(rect, ui.scope_id().with("bar"), Sense::click_and_drag());
    response.widget_info(|| WidgetInfo::labeled(Role::ScrollBar, true, "Scroll operations"));
    let high = (f64::from(rect.height()) * rows / total as f64).max(24.0) as f32;
    let travel = rect.height() - high;
    if let Some(pos) = response.interact_pointer_pos()
        && travel > 0.0
    {
        let share = ((pos.y - rect.top() - high / 2.0) / travel).clamp(0.0, 1.0);
        state.top = f64::from(share) * last_top;
    }
    let top = rect.top() + travel * (state.top / last_top) as f32;
    let thumb = Rect::from_min_size(Pos2::new(rect.left(), top), Vec2::new(rect.width(), high));
    let painter = ui.painter_at(rect);
    painter.rect_filled(rect, 4.0, ui.visuals().extreme_bg_color);
    let color = ui.style().interact(&response).fg_stroke.color;
    painter.rect_filled(thumb, 4.0, Theme::faded(color, 0.45));
    // Where the current step is in the whole list.
    let step = state.shown.map_or(0, |s| s.0);
    let y = rect.top() + rect.height() * (step as f64 / total.max(1) as f64) as f32;
    let touched = Stroke::new(2.0, ui.visuals().selection.bg_fill);
    painter.line_segment([Pos2::new(rect.left(), y), Pos2::new(rect.right(), y)], touched);
}
