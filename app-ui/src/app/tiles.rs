//! Which pane each tile of the window has.

use egui::Ui;
use egui_tiles::{SimplificationOptions, TileId, UiResponse};

use super::Local;
use crate::layout::Pane;
use crate::panes::{self, View, Wishes};
use crate::progress::Progress;

/// Gives each tile its pane.
pub(super) struct Host<'a, 'v> {
    pub(super) view: &'a View<'v>,
    pub(super) local: &'a mut Local,
    pub(super) progress: &'a Progress,
    pub(super) wishes: &'a mut Wishes,
    /// Whether the window is a phone's.
    pub(super) narrow: bool,
}

impl Host<'_, '_> {
    /// Draws a pane.
    pub(super) fn draw(&mut self, ui: &mut Ui, pane: Pane) {
        let (view, wishes) = (self.view, &mut *self.wishes);
        match pane {
            Pane::Operations => panes::operations::ui(ui, view, &mut self.local.operations, wishes),
            Pane::Map if view.head.mimalloc => panes::mimalloc::ui(ui, view, wishes),
            Pane::Map => panes::map::ui(ui, view, &mut self.local.map, wishes),
            Pane::SizeClasses => panes::size_classes::ui(ui, view, wishes),
            Pane::Arenas => panes::arenas::ui(ui, view, wishes),
            Pane::MallocStats => {
                wishes.look.stats = true;
                panes::malloc_stats::ui(ui, view, &mut wishes.commands);
            }
            Pane::Domains => {
                wishes.look.domains = true;
                panes::domains::ui(ui, view);
            }
            Pane::DebugHooks => {
                wishes.look.debug = true;
                panes::debug_hooks::ui(ui, view, &mut wishes.commands);
            }
            Pane::Tracemalloc => {
                panes::tracemalloc::ui(ui, view, &mut self.local.tracemalloc, wishes);
            }
            Pane::Callers => {
                wishes.look.callers = true;
                panes::callers::ui(ui, view, &mut self.local.callers);
            }
            Pane::Holders => panes::holders::ui(ui, view, &mut self.local.holders, wishes),
            Pane::WhatIf => {
                let ticked = self.local.holders.ticked(view);
                panes::whatif::ui(ui, view, &mut self.local.whatif, &ticked, wishes);
            }
            Pane::Process => panes::process::ui(ui, view, wishes),
            Pane::Waterfall => panes::waterfall::ui(ui, view, wishes),
            Pane::Findings => panes::findings::ui(ui, view, wishes),
            Pane::Compare => panes::compare::ui(ui, view, &mut self.local.compare, wishes),
            Pane::Learn => {
                panes::lesson::ui(ui, view, self.progress, &mut self.local.lesson, &mut wishes.commands);
            }
            Pane::Playground => {
                let playground = &mut self.local.playground;
                panes::playground::ui(ui, view, self.progress, playground, &mut wishes.commands);
            }
            Pane::Narration => {
                wishes.look.narration = true;
                panes::narration::ui(ui, view, &mut wishes.commands);
            }
            Pane::Inspector => {
                wishes.look.inspector = true;
                panes::inspector::ui(ui, view, &mut wishes.commands);
            }
        }
    }
}

impl egui_tiles::Behavior<Pane> for Host<'_, '_> {
    fn pane_ui(&mut self, ui: &mut Ui, _tile: TileId, pane: &mut Pane) -> UiResponse {
        egui::Frame::new().inner_margin(8).show(ui, |ui| {
            self.draw(ui, *pane);
            // A pane fills its tile, however little it has to say.
            ui.take_available_space();
        });
        UiResponse::None
    }

    fn tab_title_for_pane(&mut self, pane: &Pane) -> egui::WidgetText {
        pane.title().into()
    }

    fn is_tab_bar_visible(&self, _tile: TileId, tabs: &egui_tiles::Tabs) -> bool {
        // A phone has no room for the names of all panes, and a lesson brings forward the one that it speaks of.
        !(self.narrow && self.view.picture.lesson.is_some() && tabs.children.len() > 3)
    }

    fn simplification_options(&self) -> SimplificationOptions {
        SimplificationOptions { all_panes_must_have_tabs: true, ..SimplificationOptions::default() }
    }

    fn gap_width(&self, _style: &egui::Style) -> f32 {
        3.0
    }
}
