//! The trace with other blocks: the curve before and after, and the fewest sites that save so much.

use egui::{Grid, RichText, Ui};
use session::diagnosis::Choice;
use session::format::{bytes, count, grouped, parse_bytes, printable};
use session::view::whatif::{Changed, Fewer, WhatIfOrder};
use session::whatif::{Deed, Edit, Figures};

use super::super::View;
use super::{ask, chart, combo, field};
use crate::command::Command;

/// What is done to blocks.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum Doing {
    #[default]
    Without,
    FreeHere,
    BeforeHere,
    Raw,
    Apart,
}

const DOINGS: [(Doing, &str); 5] = [
    (Doing::Without, "never allocated"),
    (Doing::FreeHere, "freed at the step shown"),
    (Doing::BeforeHere, "allocated at the step shown, those born later"),
    (Doing::Raw, "sent to RAW"),
    (Doing::Apart, "in arenas of their own"),
];

/// What this part is set to.
#[derive(Default)]
pub(super) struct BlocksState {
    doing: Doing,
    text: String,
    wrong: Option<String>,
    save: String,
}

pub(super) fn ui(
    ui: &mut Ui,
    view: &View<'_>,
    state: &mut BlocksState,
    ticked: &[Choice],
    commands: &mut Vec<Command>,
) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        ui.label("If blocks of");
        let hint = if ticked.is_empty() { "site=app.py:12" } else { "what is ticked" };
        let entered = field(ui, "Blocks", hint, 150.0, &mut state.text);
        ui.label("were");
        let now = DOINGS.iter().find(|of| of.0 == state.doing).map_or("", |of| of.1);
        combo(ui, "What is done to them", now, |ui| {
            for (doing, word) in DOINGS {
                ui.selectable_value(&mut state.doing, doing, word);
            }
        });
        if ui.button("Try").clicked() || entered {
            match wanted(&state.text, ticked) {
                Ok(wants) => {
                    state.wrong = None;
                    let deed = deed(state.doing, view.picture.step);
                    let edits = wants.into_iter().map(|want| Edit { deed, want }).collect();
                    commands.push(ask(WhatIfOrder::Edit(edits)));
                }
                Err(why) => state.wrong = Some(why),
            }
        }
        if let Some(wrong) = &state.wrong {
            ui.label(printable(wrong));
        }
    });
    ui.horizontal_wrapped(|ui| {
        if ticked.is_empty() {
            ui.weak("Tick groups in Holders, or write KEY=VALUE: site, function, module, class, thread, domain, kind or age.");
        } else {
            let names: Vec<String> = ticked.iter().take(3).map(ToString::to_string).collect();
            let more = if ticked.len() > names.len() { ", \u{2026}" } else { "" };
            ui.weak(format!("Ticked in Holders: {}{more}", printable(&names.join(", "))));
        }
        ui.weak("All of their blocks are meant, over the whole trace.");
    });
    if let Some(changed) = &view.tried.changed {
        outcome(ui, view, changed);
    }
    ui.separator();
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        ui.label("Smallest set of sites that saves");
        let entered = field(ui, "Bytes to save", "50 MiB", 70.0, &mut state.save);
        let amount = parse_bytes(&state.save);
        let button = ui.add_enabled(amount.is_some() && view.head.stacks, egui::Button::new("Find"));
        let button = button
            .on_hover_text("Sites without which so many bytes less are in arenas at the end, found greedily by runs without them")
            .on_disabled_hover_text(if view.head.stacks {
                "Write bytes, such as 64K, 50 MiB or 2G"
            } else {
                "This trace has no Python stacks, so that no site is known"
            });
        if let Some(amount) = amount.filter(|_| view.head.stacks && (button.clicked() || entered)) {
            commands.push(ask(WhatIfOrder::Save(amount)));
        }
    });
    if let Some(fewer) = &view.tried.fewer {
        sites(ui, fewer);
    }
}

/// What is written, or else ticked.
fn wanted(text: &str, ticked: &[Choice]) -> Result<Vec<Choice>, String> {
    if text.trim().is_empty() {
        if ticked.is_empty() {
            return Err("Tick groups in Holders, or write KEY=VALUE, such as site=app.py:12.".to_owned());
        }
        return Ok(ticked.to_vec());
    }
    text.parse()
        .map(|choice| vec![choice])
        .map_err(|error: session::diagnosis::ChoiceError| error.to_string())
}

fn deed(doing: Doing, step: u64) -> Deed {
    match doing {
        Doing::Without => Deed::Without,
        Doing::FreeHere => Deed::FreeAt(step),
        Doing::BeforeHere => Deed::Before(step),
        Doing::Raw => Deed::Raw,
        Doing::Apart => Deed::Apart,
    }
}

/// A figure of a run.
type Of = fn(&Figures) -> u64;

fn outcome(ui: &mut Ui, view: &View<'_>, changed: &Changed) {
    let mut sentence = printable(&changed.sentence).into_owned();
    if let Some(first) = sentence.get(..1).map(str::to_uppercase) {
        sentence.replace_range(..1, &first);
    }
    ui.label(RichText::new(format!("{sentence}.")).strong());
    chart::curves(ui, view, changed);
    let (before, after) = (&*changed.before, &*changed.after);
    Grid::new("changed").num_columns(4).striped(true).spacing([18.0, 3.0]).show(ui, |ui| {
        for title in ["", "as it is", "as changed", "saved"] {
            ui.strong(title);
        }
        ui.end_row();
        let rows: [(&str, Of, bool); 5] = [
            ("arenas at the most", |f| f.peak_arenas, false),
            ("bytes at the most", |f| f.peak_bytes, true),
            ("arenas at the end", |f| f.final_arenas, false),
            ("bytes at the end", |f| f.final_bytes, true),
            ("RAW at the end", |f| f.raw_final_bytes, true),
        ];
        for (name, of, in_bytes) in rows {
            let word = |value: u64| if in_bytes { bytes(value) } else { grouped(value) };
            let (was, is) = (of(before), of(after));
            let sign = if is > was { "-" } else { "" };
            ui.label(name);
            for text in [word(was), word(is), format!("{sign}{}", word(was.abs_diff(is)))] {
                ui.label(RichText::new(text).monospace().size(11.5));
            }
            ui.end_row();
        }
    });
    ui.weak(format!(
        "The program is assumed to behave the same: the same calls in the same order, whatever its allocator does. Both under {}.",
        printable(&changed.under)
    ));
}

fn sites(ui: &mut Ui, fewer: &Fewer) {
    match &fewer.answer {
        Some(answer) => {
            let mut answer = answer.clone();
            if let Some(first) = answer.get(..1).map(str::to_uppercase) {
                answer.replace_range(..1, &first);
            }
            ui.label(RichText::new(format!("{answer}.")).strong())
        }
        None => ui.label(format!("Looking for sites that save {}\u{2026}", bytes(fewer.wanted))),
    };
    for site in &fewer.sites {
        let text = format!("{}  {}", printable(&site.site), count(site.blocks, "block"));
        ui.label(RichText::new(text).monospace().size(11.5));
    }
    if fewer.answer.is_some() {
        let runs = count(fewer.runs, "run");
        ui.weak(format!("Found greedily with {runs}: that no smaller set would do is not proven. Blocks are those in arenas at the end."));
    }
}
