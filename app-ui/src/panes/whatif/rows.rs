//! Cells as a heat map and as rows.

use egui::{
    Align2, Button, FontId, Grid, Pos2, Rect, RichText, Role, ScrollArea, Sense, Stroke, Ui, Vec2, WidgetInfo,
};
use session::format::{bytes, grouped, printable};
use session::view::whatif::Matrix;
use session::whatif::{Figures, Row};

use super::super::{View, outline};
use super::combo;
use crate::theme::Theme;

const CELL: Vec2 = Vec2::new(82.0, 34.0);
const HEAD: f32 = 20.0;
const FONT: FontId = FontId::new(11.5, egui::FontFamily::Proportional);
const SMALL: FontId = FontId::new(9.5, egui::FontFamily::Proportional);

/// What the numbers of the heat map are.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Measure {
    #[default]
    End,
    Peak,
    Back,
    LostAtEnd,
    LostAtPeak,
}

const MEASURES: [(Measure, &str); 5] = [
    (Measure::End, "held at the end"),
    (Measure::Peak, "held at the most"),
    (Measure::Back, "given back"),
    (Measure::LostAtEnd, "lost at the end"),
    (Measure::LostAtPeak, "lost at the most"),
];

impl Measure {
    fn name(self) -> &'static str {
        MEASURES.iter().find(|of| of.0 == self).map_or("", |of| of.1)
    }

    fn of(self, figures: &Figures) -> u64 {
        match self {
            Self::End => figures.final_total_bytes,
            Self::Peak => figures.peak_total_bytes,
            Self::Back => figures.released,
            Self::LostAtEnd => figures.losses.at_end.sum(),
            Self::LostAtPeak => figures.losses.at_peak.sum(),
        }
    }

    fn word(self, value: u64) -> String {
        if self == Self::Back { grouped(value) } else { bytes(value).replace(" bytes", " B") }
    }
}

/// Chooses one.
pub(super) fn measures(ui: &mut Ui, now: &mut Measure) {
    combo(ui, "Figure", now.name(), |ui| {
        for (measure, word) in MEASURES {
            ui.selectable_value(now, measure, word);
        }
    });
    ui.weak("> least at the end, * on the front. Light is much.");
}

/// The sign of a row: the best one, or one on the front.
fn sign(matrix: &Matrix, row: usize) -> &'static str {
    match (matrix.verdict.best == Some(row), matrix.verdict.front.contains(&row)) {
        (true, _) => ">",
        (false, true) => "*",
        (false, false) => "",
    }
}

/// The values of a line of the heat map.
fn label(matrix: &Matrix, line: usize) -> String {
    let across = matrix.axes.last().map_or(1, |axis| axis.1.len());
    let row = matrix.rows.get(line * across);
    let settings = row.map_or(&[][..], |row| row.cell.settings.split_last().map_or(&[][..], |of| of.1));
    settings.iter().map(|(_, value)| value.as_str()).collect::<Vec<_>>().join(" ")
}

/// What the values of lines take before the cells.
fn left(ui: &Ui, matrix: &Matrix) -> f32 {
    let Some((_, down)) = matrix.axes.split_last().filter(|(_, down)| !down.is_empty()) else { return 0.0 };
    let names = down.iter().map(|axis| axis.0.as_str()).collect::<Vec<_>>().join(" ");
    let color = ui.visuals().text_color();
    let width = |text: String| ui.painter().layout_no_wrap(text, FONT, color).size().x;
    let lines = down.iter().map(|axis| axis.1.len()).product();
    (0..lines).map(|line| width(label(matrix, line))).fold(width(names), f32::max) + 12.0
}

/// How wide the heat map is.
pub(super) fn heat_width(ui: &Ui, matrix: &Matrix) -> f32 {
    let across = matrix.axes.last().map_or(0, |axis| axis.1.len());
    left(ui, matrix) + CELL.x * across as f32 + 4.0
}

/// Cells in rows and columns, the last axis across; a number in each.
pub(super) fn heat(
    ui: &mut Ui,
    view: &View<'_>,
    matrix: &Matrix,
    measure: Measure,
    selected: &mut Option<usize>,
) {
    let Some(((key, across), down)) = matrix.axes.split_last() else { return };
    let Some(base) = &matrix.base else { return };
    let theme = view.theme;
    let columns = across.len();
    let lines = matrix.cells() / columns.max(1);
    let label = |line| label(matrix, line);
    let names = down.iter().map(|axis| axis.0.as_str()).collect::<Vec<_>>().join(" ");
    let left = left(ui, matrix);
    let compared = |row: &Row| row.held(base).and(row.figures()).map(|figures| measure.of(figures));
    let values = || matrix.rows.iter().filter_map(compared).chain(base.figures().map(|f| measure.of(f)));
    let (least, most) = values().fold((u64::MAX, 0), |(a, b), value| (a.min(value), b.max(value)));
    ScrollArea::horizontal().id_salt("heat").auto_shrink([false, true]).show(ui, |ui| {
        let size = Vec2::new(left + CELL.x * columns as f32 + 4.0, 2.0 * HEAD + CELL.y * lines as f32 + 4.0);
        let (all, _) = ui.allocate_exact_size(size, Sense::hover());
        let painter = ui.painter_at(all);
        let text = |at: Pos2, align, text: &str| painter.text(at, align, text, FONT, theme.text);
        text(all.left_top() + Vec2::new(left + 2.0, HEAD / 2.0), Align2::LEFT_CENTER, key);
        text(all.left_top() + Vec2::new(0.0, 1.5 * HEAD), Align2::LEFT_CENTER, &names);
        for (at, value) in across.iter().enumerate() {
            let x = all.left() + left + (at as f32 + 0.5) * CELL.x;
            let short = value.strip_prefix("cpython-").unwrap_or(value);
            text(Pos2::new(x, all.top() + 1.5 * HEAD), Align2::CENTER_CENTER, short);
        }
        for line in 0..lines {
            let y = all.top() + 2.0 * HEAD + (line as f32 + 0.5) * CELL.y;
            text(Pos2::new(all.left(), y), Align2::LEFT_CENTER, &label(line));
            for column in 0..columns {
                let index = line * columns + column;
                let min = Pos2::new(all.left() + left + column as f32 * CELL.x, y - CELL.y / 2.0);
                let place = Rect::from_min_size(min, CELL).shrink(1.5);
                let Some(row) = matrix.rows.get(index) else {
                    painter.rect_stroke(place, 3.0, Stroke::new(1.0, theme.dot), egui::StrokeKind::Inside);
                    continue;
                };
                let share = compared(row).map(|value| {
                    if most > least { (value - least) as f32 / (most - least) as f32 } else { 0.0 }
                });
                let ground = share.map_or(theme.tile, |share| theme.ramp(share));
                let ink = if share.is_some() { Theme::on(ground) } else { theme.text };
                painter.rect_filled(place, 3.0, ground);
                let (number, small) = match (row.figures(), row.beside(base)) {
                    (None, _) => ("refused".to_owned(), ""),
                    (Some(figures), None) => (measure.word(measure.of(figures)), ""),
                    (Some(figures), Some(_)) => (measure.word(measure.of(figures)), "not compared"),
                };
                let open = if matrix.current == Some(index) { "open" } else { small };
                let sign = sign(matrix, index);
                let number = if sign.is_empty() { number } else { format!("{sign} {number}") };
                let lift = if open.is_empty() { 0.0 } else { 6.0 };
                painter.text(
                    place.center() - Vec2::new(0.0, lift),
                    Align2::CENTER_CENTER,
                    &number,
                    FONT,
                    ink,
                );
                painter.text(
                    place.center_bottom() - Vec2::new(0.0, 2.0),
                    Align2::CENTER_BOTTOM,
                    open,
                    SMALL,
                    ink,
                );
                if matrix.current == Some(index) {
                    painter.rect_stroke(place, 3.0, Stroke::new(1.5, ink), egui::StrokeKind::Inside);
                }
                let response = ui.interact(place, ui.scope_id().with(("cell", index)), Sense::click());
                let state = if open.is_empty() { String::new() } else { format!(", {open}") };
                let said = format!("{}: {number}{state}", printable(&row.named()));
                response.widget_info(|| {
                    WidgetInfo::selected(Role::Button, true, *selected == Some(index), &said)
                });
                if *selected == Some(index) || response.hovered() || response.has_focus() {
                    outline(&painter, place, 1.5, theme.pinned);
                }
                if response.clicked() {
                    *selected = Some(index);
                }
                let why = row.beside(base).unwrap_or_else(|| row.why_not());
                response.on_hover_ui(|ui| {
                    ui.label(format!("{}, {}", printable(&row.named()), measure.name()));
                    if !why.is_empty() {
                        ui.label(printable(&why));
                    }
                });
            }
        }
    });
}

/// Cells as rows.
pub(super) fn table(ui: &mut Ui, _view: &View<'_>, matrix: &Matrix, selected: &mut Option<usize>) {
    let Some(base) = &matrix.base else { return };
    ScrollArea::horizontal().id_salt("cells").auto_shrink([false, true]).show(ui, |ui| {
        Grid::new("cells").num_columns(7).min_col_width(8.0).striped(true).spacing([14.0, 2.0]).show(
            ui,
            |ui| {
                ui.label("");
                for title in
                    ["settings", "at the most", "at the end", "given back", "lost at most", "lost at end"]
                {
                    ui.strong(title);
                }
                ui.end_row();
                line(ui, "", base, base, None);
                for (index, row) in matrix.rows.iter().enumerate() {
                    let mut sign = sign(matrix, index).to_owned();
                    if matrix.current == Some(index) {
                        sign += " open";
                    }
                    line(ui, &sign, row, base, Some((index, &mut *selected)));
                }
            },
        );
    });
}

fn line(ui: &mut Ui, sign: &str, row: &Row, base: &Row, select: Option<(usize, &mut Option<usize>)>) {
    ui.label(sign);
    let name = RichText::new(printable(&row.named())).monospace().size(11.5);
    match select {
        Some((index, selected)) => {
            if ui.add(Button::selectable(*selected == Some(index), name)).clicked() {
                *selected = Some(index);
            }
        }
        None => {
            ui.label(name);
        }
    }
    match row.figures() {
        Some(figures) => {
            let order = [Measure::Peak, Measure::End, Measure::Back, Measure::LostAtPeak, Measure::LostAtEnd];
            for measure in order {
                ui.label(RichText::new(measure.word(measure.of(figures))).monospace().size(11.5));
            }
            if let Some(why) = row.beside(base) {
                ui.weak(printable(&why));
            }
        }
        None => {
            ui.weak(printable(&row.why_not()));
        }
    }
    ui.end_row();
}
