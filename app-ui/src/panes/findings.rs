//! What became of the memory over the whole run: a word, what speaks for it, and what to try next. Each number leads to what shows it.

use egui::{RichText, ScrollArea, Ui};
use session::At;
use session::diagnosis::Placed;
use session::diagnosis::sentence::{Ask, Lead, Sentence, To};
use session::diagnosis::verdict::Try;
use session::format::{count, grouped, printable};
use session::order::Order;
use session::view::findings::{Findings, Surveying};

use super::{View, Wishes, empty, running};
use crate::command::{Action, Command, HoldersAsk};

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, wishes: &mut Wishes) {
    wishes.look.findings = true;
    let commands = &mut wishes.commands;
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        progress(ui, view, commands);
        if let Some(findings) = view.findings {
            verdict(ui, view, findings, commands);
        }
    });
}

/// How far the run for it is, or why there is none.
fn progress(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let again = |ui: &mut Ui, text: &str, button: &str, commands: &mut Vec<Command>| {
        ui.horizontal_wrapped(|ui| {
            ui.label(text);
            if ui.button(button).clicked() {
                commands.push(Command::Order(Order::Judge));
            }
        });
        ui.add_space(6.0);
    };
    match &view.status.surveying {
        Surveying::Runs(..) => running(ui, view, commands),
        Surveying::Waits if view.findings.is_none() => {
            empty(ui, "The whole run is judged once the tape has been read ahead\u{2026}");
        }
        Surveying::Stopped if view.findings.is_none() => {
            again(ui, "Judging the run was stopped.", "Go on", commands);
        }
        Surveying::OnDemand => match view.findings {
            Some(findings) => {
                let text = format!("Of the first {}:", count(findings.operations, "operation"));
                again(ui, &text, "Judge anew", commands);
            }
            None => again(ui, "The trace still comes.", "Judge what is there", commands),
        },
        Surveying::Failed(why) => empty(ui, &format!("It cannot be judged: {why}.")),
        _ => {}
    }
}

fn verdict(ui: &mut Ui, view: &View<'_>, findings: &Findings, commands: &mut Vec<Command>) {
    let Findings { placed, operations, verdict } = findings;
    ui.horizontal_wrapped(|ui| {
        ui.label(RichText::new(verdict.word.words()).size(20.0).strong())
            .on_hover_text(verdict.word.meaning());
        ui.weak(format!("({})", verdict.sure())).on_hover_text(
            "By how far the figures lie beyond the bounds of the rule, less what is to be doubted",
        );
    });
    sentence(ui, &verdict.says, commands);
    ui.add_space(2.0);
    let heap = match placed {
        Placed::Model => "the model\u{2019}s heap",
        Placed::Recorded => "the heap as recorded",
    };
    ui.weak(if *operations == 0 && view.head.process.is_some() {
        "Of a process at one moment.".to_owned()
    } else {
        format!("Of {}, on {heap}.", count(*operations, "operation"))
    });
    doubted(ui, view, commands);
    heading(ui, "What speaks for it");
    for evidence in &verdict.evidence {
        row(ui, |ui| sentence(ui, &evidence.said, commands));
    }
    if !verdict.doubts.is_empty() {
        heading(ui, "What to doubt");
        for doubt in &verdict.doubts {
            row(ui, |ui| {
                ui.label(printable(doubt));
            });
        }
    }
    if !verdict.tries.is_empty() {
        heading(ui, "What to try next");
        for tried in &verdict.tries {
            row(ui, |ui| attempt(ui, tried, (*operations, &view.head.name), commands));
        }
    }
}

/// Where the model is not to be believed, the way to the heap that is.
fn doubted(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let share =
        view.travel.trust.as_ref().filter(|trust| trust.complete).and_then(session::view::Agreed::share);
    let doubted = share.filter(|share| *share < session::diagnosis::inquiry::TRUSTED);
    let Some(share) = doubted.filter(|_| view.head.recorded && !view.on_recorded()) else { return };
    let button = ui.button("Judge the heap as recorded");
    let percent = (1000.0 * share).floor() / 10.0;
    let why = format!("The model has only {percent:.1} % of the blocks where they were recorded");
    if button.on_hover_text(why).clicked() {
        commands.push(Command::Do(Action::Placement));
    }
}

fn heading(ui: &mut Ui, text: &str) {
    ui.add_space(8.0);
    ui.label(RichText::new(text).strong());
}

/// A row with a dash before it, whose further lines stand under its first.
fn row(ui: &mut Ui, content: impl FnOnce(&mut Ui)) {
    ui.horizontal_top(|ui| {
        ui.spacing_mut().item_spacing.x = 5.0;
        ui.weak("\u{2013}");
        ui.vertical(content);
    });
}

/// Words, some of which lead somewhere.
fn sentence(ui: &mut Ui, said: &Sentence, commands: &mut Vec<Command>) {
    // A row of words is as high as words are.
    ui.spacing_mut().interact_size.y = ui.text_style_height(&egui::TextStyle::Body);
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = egui::vec2(0.0, 2.0);
        for (words, lead) in said.pieces() {
            let words = printable(words);
            match lead {
                None => {
                    ui.label(words);
                }
                Some(lead) => {
                    if ui.link(words).on_hover_text(whither(lead)).clicked() {
                        commands.extend(follow(lead));
                    }
                }
            }
        }
    });
}

/// Where a word leads, in words.
fn whither(lead: &Lead) -> String {
    let step = grouped(lead.step);
    match &lead.to {
        To::Step => format!("Go to step {step}"),
        To::Holders { name: Some(_), .. } => format!("See its row in Holders, at step {step}"),
        To::Holders { name: None, .. } => format!("See who holds it, at step {step}"),
        To::Waterfall => format!("See what the memory is used for, at step {step}"),
        To::Process => "See where the memory of the process is".to_owned(),
        To::Arena(_) => format!("See the first of them on the map, at step {step}"),
    }
}

fn follow(lead: &Lead) -> Vec<Command> {
    let seek = Command::Order(Order::Seek(lead.step));
    match &lead.to {
        To::Step => vec![seek],
        To::Holders { key, rule, name } => {
            let ask =
                HoldersAsk::Row { key: Some(*key), rule: *rule, name: name.clone(), at: Some(lead.step) };
            vec![seek, Command::Holders(ask), Command::Do(Action::TabHolders)]
        }
        To::Waterfall => vec![seek, Command::Do(Action::TabWaterfall)],
        To::Process => vec![Command::Do(Action::TabProcess)],
        To::Arena(base) => {
            vec![Command::Order(Order::ShowArena(lead.step, *base)), Command::Do(Action::TabMap)]
        }
    }
}

/// Something to do: in words, as a link where this window can, as a call of the command line where it cannot.
fn attempt(ui: &mut Ui, tried: &Try, (end, name): (u64, &str), commands: &mut Vec<Command>) {
    let ask = match tried {
        Try::Do(what) => {
            ui.label(printable(what));
            return;
        }
        Try::Ask(ask) => ask,
    };
    let Some(words) = ask.words() else {
        ui.label(format!("on the command line: arenascope {}", printable(&ask.call(name))));
        return;
    };
    if !ui.link(printable(&words)).clicked() {
        return;
    }
    let mut show = |at: At, ask: HoldersAsk| {
        commands.extend([
            Command::Order(Order::At(at)),
            Command::Holders(ask),
            Command::Do(Action::TabHolders),
        ]);
    };
    match ask {
        Ask::Holders { at, key, rule } => {
            let at = at.clone().unwrap_or(At::End);
            show(at, HoldersAsk::Row { key: *key, rule: *rule, name: None, at: None });
        }
        Ask::Free(key, name) => show(At::End, HoldersAsk::Free { key: *key, name: name.clone() }),
        Ask::Want(percent) => show(At::End, HoldersAsk::Want { percent: *percent, at: end }),
        Ask::Stats => {}
    }
}
