//! The state in words: the line for screen readers, and the bar at the bottom of the window.

use egui::{Align, Button, Layout as UiLayout, RichText, Ui};
use session::diagnosis::Placed;
use session::format::{count, grouped};
use session::view::{Agreed, Head, Picture, Shown};

use super::App;
use crate::command::{Action, Command, key_text};
use crate::layout::Layout;

impl App {
    /// The state as one line of text, for screen readers and tests.
    pub fn status(&self) -> String {
        let (shown, status) = (&self.state.shown, &self.state.shown.status);
        let mut parts = Vec::new();
        match shown.open() {
            Some((head, picture)) => parts.push(state_line(head, picture)),
            None => parts.push("No trace is open".to_owned()),
        }
        if let Some(opening) = &status.opening {
            parts.push(format!("opening {}", opening.name));
        }
        if let Some(notice) = status.travel.as_ref().and_then(|travel| travel.notice.as_ref()) {
            parts.push(notice.clone());
        }
        if let Some(still) = &self.state.still {
            parts.push(format!("statistics of {}", still.name));
        }
        if let Some(error) = self.state.error() {
            parts.push(format!("error: {error}"));
        }
        parts.join("; ")
    }

    /// The state in a line, how far the tape has been read ahead, and frame times if they are wanted.
    pub(super) fn status_bar(&self, ui: &mut Ui, commands: &mut Vec<Command>) {
        ui.with_layout(UiLayout::right_to_left(Align::Center), |ui| {
            if self.state.frame_times {
                ui.label(RichText::new(self.frame_times().to_string()).small().monospace());
            }
            let trust = self.state.shown.status.travel.as_ref().and_then(|t| t.trust.as_ref());
            if let (Some((head, picture)), Some(trust)) = (self.state.shown.open(), trust) {
                heap_badge(ui, head, picture.placed, trust, Layout::is_narrow(self.state.width), commands);
            }
            if let Some(reading) = reading_line(&self.state.shown) {
                ui.label(RichText::new(reading).small()).on_hover_text(
                    "A first pass over the tape notes which operation touched what, so that searches are instant and the way back is short",
                );
            }
            ui.with_layout(UiLayout::left_to_right(Align::Center), |ui| {
                let line = self.state.shown.open();
                let narrow = Layout::is_narrow(self.state.width);
                let line = line.map_or_else(
                    || self.status(),
                    |(head, picture)| if narrow { where_line(head, picture) } else { state_line(head, picture) },
                );
                ui.add(egui::Label::new(RichText::new(line).small()).truncate());
            });
        });
    }
}

/// Trace, profile, step and heap in a line.
fn state_line(head: &Head, picture: &Picture) -> String {
    let settings: Vec<String> = head.settings.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let with = if settings.is_empty() { String::new() } else { format!(" with {}", settings.join(", ")) };
    format!("{} \u{b7} {}{with} \u{b7} {}", head.name, head.profile.name, where_line(head, picture))
}

/// Step and heap.
fn where_line(head: &Head, picture: &Picture) -> String {
    let held = match &picture.mimalloc {
        Some(totals) => format!(
            "{} \u{b7} {} in mimalloc",
            count(totals.segments, "segment"),
            count(totals.live_blocks, "live block")
        ),
        None => {
            format!("{} \u{b7} {} in pools", count(picture.arenas, "arena"), count(picture.blocks, "block"))
        }
    };
    format!("step {} of {} \u{b7} {held}", grouped(picture.step), grouped(head.len))
}

/// Which heap is on the screen, and how far recorded addresses agree with the model: always in view, since a map that is not the
/// recorded one must not look like it. A click shows the other.
fn heap_badge(
    ui: &mut Ui,
    head: &Head,
    placed: Placed,
    trust: &Agreed,
    narrow: bool,
    commands: &mut Vec<Command>,
) {
    // Not rounded up: one block elsewhere is not all of them.
    let percent = trust.share().map(|share| format!("{:.1} %", (share * 1000.0).floor() / 10.0));
    let so_far = if trust.complete { "" } else { " so far" };
    let text = match (placed, percent) {
        (Placed::Model, Some(percent)) if narrow => format!("Model: {percent} as recorded"),
        (Placed::Model, Some(percent)) => format!("Model\u{2019}s heap: {percent} as recorded{so_far}"),
        (Placed::Recorded, Some(percent)) if !narrow => {
            format!("Heap as recorded: the model has {percent} of it{so_far}")
        }
        (Placed::Model, None) => "Model\u{2019}s heap".to_owned(),
        (Placed::Recorded, _) => "Heap as recorded".to_owned(),
    };
    let text = RichText::new(text).small().strong();
    // Without pools in the recording there is but the one heap.
    let response =
        ui.add_enabled(head.recorded, Button::selectable(placed == Placed::Recorded, text).small());
    let about = |ui: &mut Ui| {
        ui.set_max_width(440.0);
        ui.label(heap_text(placed));
        ui.label(trust_text(trust));
        if head.recorded {
            let other = if placed == Placed::Model { "as recorded" } else { "as the model has it" };
            let key = Action::Placement.meta().keys.first().map(|key| key_text(ui.ctx(), *key));
            let key = key.map_or_else(String::new, |key| format!(" ({key})"));
            ui.weak(format!("Click to see the heap {other}{key}."));
        }
    };
    if response.on_hover_ui(about).on_disabled_hover_ui(about).clicked() {
        commands.push(Command::Do(Action::Placement));
    }
}

/// What the heap on the screen is, and what is not known of it.
fn heap_text(placed: Placed) -> &'static str {
    match placed {
        Placed::Model => {
            "Map, arenas and inspector show where the model puts the blocks, with its lists and headers."
        }
        Placed::Recorded => {
            "Map, arenas and inspector show blocks where they were recorded, and the pools and arenas that their addresses imply. Free \
             lists are not in a recording; arenas that came and went unseen, and blocks from before it, are not known. What the last \
             operation did, size classes and statistics stay the model\u{2019}s."
        }
    }
}

/// The same in full.
fn trust_text(trust: &Agreed) -> String {
    let percent = |share: f64| format!("{:.2} %", 100.0 * share);
    let by_chance = trust.share_by_chance.map_or_else(String::new, |s| format!("; by chance {}", percent(s)));
    if trust.compared == 0 {
        return "No block with a recorded address has been compared with the model yet.".to_owned();
    }
    let places = format!(
        "{} of {} blocks with a recorded address lie in the model at the recorded place in their pool ({}{by_chance}).",
        grouped(trust.same),
        grouped(trust.compared),
        percent(trust.share().unwrap_or_default())
    );
    let first = trust
        .first_divergence
        .map(|step| format!("The first that does not is that of operation {}.", grouped(step + 1)));
    let reasons = trust.reasons.iter().map(|reason| format!("Perhaps: {reason}."));
    [places].into_iter().chain(first).chain(reasons).collect::<Vec<_>>().join("\n")
}

/// How far the first pass is, or what its index leaves out.
fn reading_line(shown: &Shown) -> Option<String> {
    let (head, travel) = (shown.head.as_ref()?, shown.status.travel.as_ref()?);
    if travel.known < head.len {
        return Some(format!("reading ahead {:.0}%", travel.known as f64 / head.len as f64 * 100.0));
    }
    (travel.covered < travel.known).then(|| format!("index up to step {}", grouped(travel.covered)))
}
