//! Who holds the memory at a step: groups of live blocks, what freeing some of them gives back, and the stacks that they were born by.

mod choosers;
mod forecast;
mod icicle;
mod table;

use std::fmt::Write as _;

use egui::{RichText, ScrollArea, Ui};
use session::Place;
use session::diagnosis::{Choice, Key, Rule, Scope, Weight};
use session::format::{bytes, count, grouped, printable};
use session::order::Order;
use session::view::holders::{Column, HoldersLook, HoldersPicture, IcicleLook, NoHolders};

use super::{View, Wishes, empty};
use crate::command::{Action, Command, HoldersAsk};

/// Rows that are asked for before it is known which are in view.
const ROWS: u32 = 64;
/// A pane that is not this high scrolls as a whole, in points.
const SHORT: f32 = 330.0;
/// The height that rows have at least, or the icicle.
const LEAST_HEIGHT: f32 = 180.0;

/// What the pane is set to.
#[derive(Default)]
pub(crate) struct HoldersState {
    /// The trace and the profile that the rest belongs to.
    of: (String, String),
    key: Option<Key>,
    rule: Rule,
    scope: Scope,
    /// Whether the fields for a stretch of the tape are shown, and what is written in them.
    range: Option<(String, String)>,
    search: String,
    sort: Column,
    ascending: bool,
    picked: Vec<String>,
    selected: Option<String>,
    /// What is to be got back, as it was typed, and as it was last asked for.
    want: String,
    wanting: Option<u64>,
    /// What became of that, where it was not enough.
    said: Option<String>,
    graph: bool,
    weight: Weight,
    root: Vec<u32>,
    /// The cell that arrow keys moved to.
    cursor: usize,
    /// The width that the icicle has, in points.
    parts: u32,
    /// The place whose group was selected because the inspector stays with it.
    followed: Option<Place>,
    /// A row to be brought into view.
    scroll_to: Option<u32>,
    /// The step at which the selected group's row is to be brought into view.
    reveal: Option<u64>,
    /// So many hundredths of what is held at a step are to be got back.
    share: Option<(u32, u64)>,
}

impl HoldersState {
    /// Does what another pane asked for.
    pub(crate) fn ask(&mut self, ask: HoldersAsk) {
        match ask {
            HoldersAsk::Unmark => {
                self.selected = None;
                self.picked.clear();
            }
            HoldersAsk::Show { key, sort, search } => {
                self.set_key(key);
                (self.sort, self.ascending, self.graph) = (sort, false, false);
                self.search = search;
                self.all_live();
            }
            HoldersAsk::Row { key, rule, name, at } => {
                self.set_key(key);
                (self.rule, self.graph) = (rule, false);
                let sort = if rule == Rule::Sole { Column::Pinned } else { Column::Bytes };
                (self.sort, self.ascending) = (sort, false);
                self.all_live();
                self.search.clear();
                (self.selected, self.reveal) = (name, at);
            }
            HoldersAsk::Free { key, name } => {
                self.set_key(Some(key));
                (self.rule, self.graph) = (Rule::Sole, false);
                self.all_live();
                self.search.clear();
                self.picked = vec![name.clone()];
                self.selected = Some(name);
            }
            HoldersAsk::Want { percent, at } => {
                self.graph = false;
                self.all_live();
                self.share = Some((percent, at));
            }
        }
    }

    fn all_live(&mut self) {
        (self.scope, self.range) = (Scope::Live, None);
    }

    /// Another key has other groups.
    fn set_key(&mut self, key: Option<Key>) {
        if self.key != key {
            self.key = key;
            self.picked.clear();
            self.selected = None;
            self.said = None;
        }
    }

    /// What is ticked, as it can be asked for elsewhere.
    pub(crate) fn ticked(&self, view: &View<'_>) -> Vec<Choice> {
        let usual = Key::usual_for(view.head.known);
        let key = self.key.or(view.held.holders.as_ref().map(|held| held.key)).unwrap_or(usual);
        self.picked.iter().map(|name| Choice { key, value: name.clone() }).collect()
    }

    /// What is to be known for marks on the map, where the pane is not in front.
    pub(crate) fn look_for_marks(&self) -> Option<HoldersLook> {
        (self.selected.is_some() || !self.picked.is_empty()).then(|| HoldersLook {
            rows: 0..0,
            icicle: None,
            want_bytes: None,
            ..self.look(0..0)
        })
    }

    fn look(&self, rows: std::ops::Range<u32>) -> HoldersLook {
        HoldersLook {
            key: self.key,
            rule: self.rule,
            scope: self.scope.clone(),
            search: self.search.clone(),
            sort: self.sort,
            ascending: self.ascending,
            rows,
            picked: self.picked.clone(),
            want_bytes: self.wanting,
            marked: self.selected.clone(),
            icicle: self.graph.then(|| IcicleLook {
                weight: self.weight,
                root: self.root.clone(),
                parts: self.parts.max(1),
            }),
        }
    }

    /// What belongs to another trace is let go of.
    fn belong_to(&mut self, view: &View<'_>) {
        let of = (view.head.name.clone(), view.head.profile.name.clone());
        if self.of != of {
            let kept = Self {
                rule: self.rule,
                sort: self.sort,
                ascending: self.ascending,
                graph: self.graph,
                weight: self.weight,
                ..Self::default()
            };
            // What opened the pane may have chosen its key for this trace.
            let first = self.of.0.is_empty();
            *self = if first { Self { of, ..std::mem::take(self) } } else { kept };
            self.of = (view.head.name.clone(), view.head.profile.name.clone());
        }
    }
}

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, state: &mut HoldersState, wishes: &mut Wishes) {
    state.belong_to(view);
    let held = view.held;
    let Some(picture) = &held.holders else {
        wishes.look.holders = Some(state.look(0..ROWS));
        empty(ui, "Counting who holds the memory\u{2026}");
        return;
    };
    take_in(picture, held.step, state);
    // A short pane is one to scroll in; a high one keeps what it is set to in view.
    let commands = &mut wishes.commands;
    let rows = if ui.available_height() < SHORT {
        let scroll = ScrollArea::vertical().id_salt("holders").auto_shrink(false);
        scroll.show(ui, |ui| content(ui, view, picture, state, commands)).inner
    } else {
        content(ui, view, picture, state, commands)
    };
    wishes.look.holders = Some(state.look(rows));
}

fn content(
    ui: &mut Ui,
    view: &View<'_>,
    picture: &HoldersPicture,
    state: &mut HoldersState,
    commands: &mut Vec<Command>,
) -> std::ops::Range<u32> {
    choosers::ui(ui, view, picture, state, commands);
    if picture.none == Some(NoHolders::NoStacks) {
        no_stacks(ui, state);
        return 0..ROWS;
    }
    answer(ui, view, picture);
    choosers::doubted(ui, view, picture, commands);
    if !picture.known.stacks {
        state.graph = false;
    }
    tools(ui, picture, state, commands);
    let height = ui.available_height().max(LEAST_HEIGHT);
    if state.graph {
        icicle::ui(ui, view, picture, state, height);
        0..0
    } else {
        forecast::ui(ui, picture, state, commands);
        table::ui(ui, view, picture, state, height)
    }
}

/// What came with the last answer: groups for the bytes that were wanted, the group of the place that is pinned.
fn take_in(picture: &HoldersPicture, step: u64, state: &mut HoldersState) {
    if state.reveal == Some(step) && state.key.is_none_or(|key| key == picture.key) {
        state.reveal = None;
        state.scroll_to = picture.marked_row;
    }
    if let Some((percent, _)) = state.share.take_if(|(_, at)| *at == step) {
        let wanted = picture.sums.arena_bytes * u64::from(percent) / 100;
        state.want = bytes(wanted);
        state.wanting = Some(wanted);
    }
    if let Some(wanted) = picture.wanted.as_ref().filter(|wanted| state.wanting == Some(wanted.bytes)) {
        state.wanting = None;
        state.picked.clone_from(&wanted.groups);
        state.selected = None;
        let returned = wanted.forecast.returned_bytes;
        state.said = (returned < wanted.bytes).then(|| {
            format!("All groups together give {} back, which is less than was asked for.", bytes(returned))
        });
    }
    match &picture.found {
        Some(found) if state.followed != Some(found.place) => {
            state.followed = Some(found.place);
            state.selected = Some(found.group.clone());
            state.scroll_to = found.row;
        }
        Some(_) => {}
        None => state.followed = None,
    }
}

fn no_stacks(ui: &mut Ui, state: &mut HoldersState) {
    empty(ui, "This trace has no Python stacks, so no block has a place in the source.");
    ui.vertical_centered(|ui| {
        if ui.button("By size class instead").clicked() {
            state.set_key(Some(Key::Class));
        }
    });
}

/// What is held, and by how many, in a sentence; and of which step that is where it is not the one shown.
fn answer(ui: &mut Ui, view: &View<'_>, picture: &HoldersPicture) {
    let (held, sums) = (view.held, &picture.sums);
    let region = if view.head.mimalloc { "segment" } else { "arena" };
    let mut text = format!(
        "{} of {} in {}",
        count(sums.blocks, "live block"),
        bytes(sums.bytes),
        count(u64::from(picture.groups), "group")
    );
    if sums.outside > 0 {
        let _ = write!(text, ", {} outside of the scope", grouped(sums.outside));
    }
    let _ = write!(
        text,
        ". Of {} ({}) {} by one group alone",
        count(sums.arenas, region),
        bytes(sums.arena_bytes),
        match sums.alone {
            0 => "none is held".to_owned(),
            1 => "1 is held".to_owned(),
            alone => format!("{} are held", grouped(alone)),
        }
    );
    if sums.empty > 0 {
        let _ = write!(text, ", {} without a block", grouped(sums.empty));
    }
    text.push('.');
    if sums.astray > 0 {
        let _ = write!(
            text,
            " {} at recorded addresses where no pool has such a place.",
            count(sums.astray, "small block")
        );
    }
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 5.0;
        if held.step != view.picture.step {
            let old = format!("As of step {}:", grouped(held.step));
            ui.label(RichText::new(old).strong()).on_hover_text("It is counted anew once the position rests");
        }
        ui.label(text);
    });
}

/// Rows or icicle, and what can be done with either.
fn tools(ui: &mut Ui, picture: &HoldersPicture, state: &mut HoldersState, commands: &mut Vec<Command>) {
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 6.0;
        ui.selectable_value(&mut state.graph, false, "Table");
        ui.add_enabled_ui(picture.known.stacks, |ui| {
            ui.selectable_value(&mut state.graph, true, "Icicle")
                .on_hover_text("Stacks, callers above what they call, as wide as what they hold")
                .on_disabled_hover_text("This trace has no Python stacks");
        });
        ui.separator();
        if state.graph {
            icicle::weights(ui, state);
            return;
        }
        choosers::search(ui, state);
        forecast::want(ui, state);
        for (text, as_csv, what) in [
            ("Copy", false, "Copy all these rows as text between tabs"),
            ("Copy CSV", true, "Copy all these rows as values between commas, for a spreadsheet"),
        ] {
            if ui.button(text).on_hover_text(what).clicked() {
                commands.push(Command::Order(Order::CopyHolders { as_csv }));
            }
        }
        if let Some(selected) = &state.selected {
            let what = "Open the map, on which the places of this group are marked";
            let button = ui.button("Show on the map");
            if button.on_hover_text(format!("{what}: {}", shown(selected))).clicked() {
                commands.push(Command::Do(Action::TabMap));
            }
        }
    });
}

/// A group's name as it is shown: one line, without what could steer how it is drawn.
fn shown(text: &str) -> String {
    printable(text).into_owned()
}
