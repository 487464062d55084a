//! Signed tables: figures, size classes, holders; and traces side by side.

use egui::{Grid, RichText, ScrollArea, Ui};
use session::diagnosis::Rule;
use session::diagnosis::compare::{Figure, GroupPair, Pair};
use session::format::{bytes, count, grouped, printable, short_path};
use session::order::Order;
use session::view::compare::{ComparePicture, TraceColumn, TraceFigures, signed};

use super::super::View;
use crate::command::{Action, Command, HoldersAsk};
use crate::icons::{Icon, icon_button};

/// The width of a column of numbers.
const NUMBER: f32 = 78.0;

/// Bytes in few letters.
fn short(amount: u64) -> String {
    bytes(amount).replace(" bytes", " B").replace(" byte", " B")
}

fn number(ui: &mut Ui, text: String, weak: bool) {
    let text = RichText::new(text).monospace().size(11.5);
    right(ui, if weak { text.weak() } else { text });
}

/// A number's cell, or the title above: they end at one line.
fn right(ui: &mut Ui, text: RichText) {
    let size = egui::vec2(NUMBER, ui.spacing().interact_size.y);
    ui.allocate_ui_with_layout(size, egui::Layout::right_to_left(egui::Align::Center), |ui| {
        ui.set_min_width(NUMBER);
        ui.label(text);
    });
}

fn pair(ui: &mut Ui, pair: Pair, amount: impl Fn(u64) -> String + Copy) {
    number(ui, amount(pair.a), pair.a == 0);
    number(ui, amount(pair.b), pair.b == 0);
    number(ui, signed(pair.change(), amount), pair.change() == 0);
}

fn titles(ui: &mut Ui, titles: &[&str]) {
    for (at, title) in titles.iter().enumerate() {
        let text = RichText::new(*title).strong().size(12.0);
        if at == 0 {
            ui.label(text);
        } else {
            right(ui, text);
        }
    }
    ui.end_row();
}

/// Draws the tables of a comparison.
pub(super) fn ui(ui: &mut Ui, view: &View<'_>, picture: &ComparePicture, commands: &mut Vec<Command>) {
    let comparison = &picture.comparison;
    ui.horizontal_wrapped(|ui| {
        for (text, as_csv, what) in [
            ("Copy", false, "Copy all figures, classes and groups as text between tabs"),
            (
                "Copy CSV",
                true,
                "Copy all figures, classes and groups as values between commas, for a spreadsheet",
            ),
        ] {
            if ui.button(text).on_hover_text(what).clicked() {
                commands.push(Command::Order(Order::CopyCompared { as_csv }));
            }
        }
    });
    ScrollArea::horizontal().id_salt("compared").show(ui, |ui| {
        figures(ui, "figures", "figure", &comparison.figures);
        ui.add_space(6.0);
        groups(ui, view, picture, commands);
        let differ: Vec<Figure> =
            comparison.classes.iter().filter(|class| class.pair.change() != 0).cloned().collect();
        ui.add_space(6.0);
        if differ.is_empty() {
            ui.weak("Blocks in use are the same in every size class.");
        } else {
            figures(ui, "classes", "blocks in use by size", &differ);
        }
    });
}

fn figures(ui: &mut Ui, salt: &str, what: &str, figures: &[Figure]) {
    Grid::new(("compare", salt)).num_columns(4).striped(true).spacing([8.0, 2.0]).show(ui, |ui| {
        titles(ui, &[what, "A", "B", "change"]);
        for figure in figures {
            ui.label(&figure.name);
            let bytes = figure.bytes;
            pair(ui, figure.pair, move |amount| if bytes { short(amount) } else { grouped(amount) });
            ui.end_row();
        }
    });
}

fn groups(ui: &mut Ui, view: &View<'_>, picture: &ComparePicture, commands: &mut Vec<Command>) {
    let comparison = &picture.comparison;
    Grid::new("compare groups").num_columns(6).striped(true).spacing([8.0, 2.0]).show(ui, |ui| {
        titles(ui, &[comparison.key.words(), "bytes A", "bytes B", "change", "blocks", "arenas"]);
        for group in &comparison.groups {
            holder(ui, picture, group, commands);
            pair(ui, group.bytes, short);
            for of in [group.blocks, group.arenas] {
                number(ui, signed(of.change(), grouped), of.change() == 0);
            }
            ui.end_row();
        }
    });
    let shown = comparison.groups.len() as u32;
    if picture.total > shown {
        let more = count(u64::from(picture.total - shown), "more group");
        ui.weak(format!("{more} with less change; Copy CSV has all"));
    }
    if comparison.groups.is_empty() {
        ui.weak(format!("No block is live on either side of {}.", printable(&view.head.name)));
    }
}

/// A group's name, which opens it in the pane of holders where the open trace has it.
fn holder(ui: &mut Ui, picture: &ComparePicture, group: &GroupPair, commands: &mut Vec<Command>) {
    let label = &group.label;
    let whole = printable(&label.to_string()).into_owned();
    let short = match label.key.split_once(" < ") {
        Some((first, _)) => format!("{} <\u{2026}", short_path(first)),
        None => short_path(&label.key),
    };
    let mut short = printable(&short).into_owned();
    if let Some((at, _)) = short.char_indices().nth(44) {
        short.truncate(at);
        short.push('\u{2026}');
    }
    let link = ui.link(RichText::new(short).monospace().size(11.5));
    link.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Link, true, format!("Compared: {whole}")));
    let looks = [&picture.look.b, &picture.look.a];
    let sides = [&picture.sides[1], &picture.sides[0]];
    let blocks = [group.blocks.b, group.blocks.a];
    // Where it has blocks, of the open trace as it is open; B if both have some.
    let own = (0..2).filter(|at| looks[*at].trace == 0 && looks[*at].profile.is_none());
    let step = own.clone().find(|at| blocks[*at] > 0).or_else(|| own.clone().next()).map(|at| sides[at].step);
    if link.on_hover_text(format!("{whole}\nClick to see it in Holders")).clicked()
        && let Some(step) = step
    {
        let ask = HoldersAsk::Row {
            key: Some(picture.comparison.key),
            rule: Rule::Sole,
            name: Some(label.key.clone()),
            at: Some(step),
        };
        commands.extend([
            Command::Order(Order::Seek(step)),
            Command::Holders(ask),
            Command::Do(Action::TabHolders),
        ]);
    }
}

/// Draws the traces, a column each.
pub(super) fn side_by_side(ui: &mut Ui, traces: &[TraceColumn], commands: &mut Vec<Command>) {
    ScrollArea::horizontal().id_salt("traces").show(ui, |ui| {
        Grid::new("compare traces").striped(true).spacing([8.0, 2.0]).show(ui, |ui| {
            ui.label("");
            for (number, trace) in traces.iter().enumerate() {
                ui.horizontal(|ui| {
                    let name = printable(&trace.name);
                    ui.label(RichText::new(&*name).strong()).on_hover_text(if number == 0 {
                        "The trace that is open"
                    } else {
                        "A trace beside it"
                    });
                    let close = format!("Close {name}");
                    if number > 0
                        && icon_button(ui, Icon::Cross, &close, true).on_hover_text(&close).clicked()
                    {
                        commands.push(Command::Order(Order::CloseBeside(number as u32)));
                    }
                });
            }
            ui.end_row();
            row(ui, traces, "operations", |trace, _| Some(grouped(trace.operations)));
            row(ui, traces, "profile", |trace, _| Some(trace.profile.clone()));
            row(ui, traces, "verdict", |_, figures| Some(figures?.word.words().to_owned()));
            row(ui, traces, "sure", |_, figures| Some(figures?.sure.clone()));
            row(ui, traces, "most arenas", |_, figures| Some(grouped(figures?.peak_arenas)));
            row(ui, traces, "arenas at the end", |_, figures| Some(grouped(figures?.end_arenas)));
            row(ui, traces, "held at the end", |_, figures| Some(short(figures?.held_bytes)));
            row(ui, traces, "most live", |_, figures| Some(short(figures?.peak_live_bytes)));
            row(ui, traces, "live at the end", |_, figures| Some(short(figures?.live_bytes)));
        });
    });
    for trace in traces {
        if let Some(Err(why)) = &trace.figures {
            ui.label(format!("{}: {}", printable(&trace.name), printable(why)));
        }
    }
    ui.add_space(8.0);
}

fn row(
    ui: &mut Ui,
    traces: &[TraceColumn],
    name: &str,
    of: impl Fn(&TraceColumn, Option<&TraceFigures>) -> Option<String>,
) {
    ui.label(name);
    for trace in traces {
        let figures = trace.figures.as_ref().and_then(|figures| figures.as_ref().ok());
        let text = of(trace, figures).unwrap_or_else(|| "\u{2026}".to_owned());
        ui.label(RichText::new(printable(&text)).monospace().size(11.5));
    }
    ui.end_row();
}
