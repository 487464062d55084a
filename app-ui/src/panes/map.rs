//! The map: one picture of the heap at three levels.

use std::ops::Range;

use egui::{
    Button, Pos2, Rect, Role, ScrollArea, Sense, TextureHandle, TextureOptions, Ui, Vec2, WidgetInfo,
};
use session::diagnosis::Placed;
use session::format::grouped;
use session::order::Order;
use session::view::map::MapLook;
use session::{Level, Paint, Place};
use sim_core::{Addr, ArenaId};

use super::map_scene::{Frame, Scene};
use super::{View, Wishes, empty, map_held, map_legend, map_overlay, outline};
use crate::command::{Action, Command};

/// What the map keeps between frames: its picture, and how far the wheel was turned.
#[derive(Default)]
pub(crate) struct MapState {
    texture: Option<TextureHandle>,
    key: Option<PictureKey>,
    wheel: f32,
    wheel_until: f64,
    /// The revision whose place was scrolled to.
    scrolled: Option<u64>,
}

/// The picture is drawn anew when one of these changes.
#[derive(Clone, Copy, PartialEq, Debug)]
struct PictureKey {
    revision: u64,
    placed: Placed,
    level: Level,
    arena: Option<ArenaId>,
    pool: Option<Addr>,
    fold: bool,
    paint: Paint,
    /// The tiles that are there.
    tiles: (u32, usize),
    size: (i32, i32),
    scroll: i32,
    unit: f32,
    dark: bool,
}

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, state: &mut MapState, wishes: &mut Wishes) {
    breadcrumb(ui, view, &mut wishes.commands);
    map_held::line(ui, view, &mut wishes.commands);
    if picture_ui(ui, view, map_legend::legend_height(ui, view) + ui.spacing().item_spacing.y, state, wishes)
    {
        map_legend::legend(ui, view, &mut wishes.commands);
    }
}

/// The picture alone, for who has not met arenas and classes yet.
pub(crate) fn bare_ui(ui: &mut Ui, view: &View<'_>, state: &mut MapState, wishes: &mut Wishes) {
    if view.picture.arenas == 0 {
        wishes.look.map.get_or_insert_default();
        return;
    }
    picture_ui(ui, view, 0.0, state, wishes);
}

/// Draws the picture, with room left under it; whether there was one.
fn picture_ui(ui: &mut Ui, view: &View<'_>, below: f32, state: &mut MapState, wishes: &mut Wishes) -> bool {
    let look = wishes.look.map.insert(MapLook::default());
    if view.picture.arenas == 0 {
        let sentence = if view.on_recorded() {
            "No recorded block is live in an arena at this step."
        } else if view.travel.seeking.is_some() {
            "On the way to the step; the picture comes when it is reached."
        } else if view.picture.step == 0 {
            "No arena yet: pymalloc asks for its first one when the first small block is allocated. Step forward to see it."
        } else {
            "No arena: nothing small is allocated at this step."
        };
        empty(ui, sentence);
        return false;
    }
    if view.picture.map.is_none() {
        return false;
    }
    let size = ui.available_size() - Vec2::new(0.0, below);
    if let Some(tiles) = picture(ui, view, size.max(Vec2::splat(40.0)), state, &mut wishes.commands) {
        look.tiles = with_margin(&tiles);
    }
    true
}

/// Arenas in view with as many around them, in whole pieces, so that scrolling asks seldom.
fn with_margin(tiles: &Range<u32>) -> Range<u32> {
    const PIECE: u32 = 1024;
    let start = tiles.start.saturating_sub(PIECE / 2) / PIECE * PIECE;
    start..(tiles.end + PIECE / 2).next_multiple_of(PIECE)
}

fn breadcrumb(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let (selection, crumbs) = (&view.picture.selection, &view.picture.crumbs);
    ui.horizontal(|ui| {
        ui.with_layout(egui::Layout::right_to_left(egui::Align::Center), |ui| {
            for (action, text) in [(Action::ZoomIn, "+"), (Action::ZoomOut, "\u{2212}")] {
                let button = ui.add(Button::new(text).min_size(Vec2::new(24.0, 0.0)));
                button.widget_info(|| WidgetInfo::labeled(Role::Button, true, action.meta().label));
                if button.on_hover_text(action.tooltip(ui.ctx())).clicked() {
                    commands.push(Command::Do(action));
                }
            }
            if selection.level == Level::Pool {
                let mut fold = selection.fold;
                let response = ui.checkbox(&mut fold, "Fold");
                if response.on_hover_text(Action::Fold.tooltip(ui.ctx())).clicked() {
                    commands.push(Command::Do(Action::Fold));
                }
            }
            let mut follow = selection.follow;
            let response = ui.checkbox(&mut follow, "Follow");
            if response.on_hover_text(Action::Follow.tooltip(ui.ctx())).clicked() {
                commands.push(Command::Do(Action::Follow));
            }
            ui.with_layout(egui::Layout::left_to_right(egui::Align::Center), |ui| {
                let narrow = ui.available_width() < 320.0;
                let arenas = grouped(view.picture.arenas);
                let all = match (view.on_recorded(), narrow) {
                    (true, true) => format!("Recorded ({arenas})"),
                    (true, false) => format!("All recorded arenas ({arenas})"),
                    (false, true) => format!("All ({arenas})"),
                    (false, false) => format!("All arenas ({arenas})"),
                };
                crumb(ui, selection.level, Level::Heap, &all, commands);
                if let Some(arena) = crumbs.arena {
                    ui.weak("\u{203a}");
                    crumb(ui, selection.level, Level::Arena, &arena.to_string(), commands);
                }
                if let Some(pool) = crumbs.pool {
                    ui.weak("\u{203a}");
                    let class = pool.class.map_or_else(
                        || view.state_word(&pool).to_owned(),
                        |c| format!("class {c}, blocks of {}", pool.block_size),
                    );
                    let name = format!("pool {}", pool.index);
                    let name = if narrow { name } else { format!("{name} ({class})") };
                    crumb(ui, selection.level, Level::Pool, &name, commands);
                }
            });
        });
    });
}

fn crumb(ui: &mut Ui, now: Level, level: Level, text: &str, commands: &mut Vec<Command>) {
    let what = match level {
        Level::Heap => "Show all arenas",
        Level::Arena => "Show the pools of this arena",
        Level::Pool => "Show the blocks of this pool",
    };
    if ui.add(Button::selectable(now == level, text).truncate()).on_hover_text(what).clicked() {
        commands.push(Command::Order(Order::Level(level)));
    }
}

/// Draws the picture; says which arenas are in view, on the first level.
fn picture(
    ui: &mut Ui,
    view: &View<'_>,
    size: Vec2,
    state: &mut MapState,
    commands: &mut Vec<Command>,
) -> Option<Range<u32>> {
    let unit = ui.ctx().pixels_per_point();
    // A texture has a largest side; a screen beyond it gets a coarser picture.
    let largest = ui.input(|i| i.max_texture_side) as f32;
    let unit = unit.min(largest / size.x.max(size.y).max(1.0));
    let snap = |v: f32| (v * unit).round() / unit;
    let bar = ui.spacing().scroll.allocated_width() + 2.0;
    let width = ((size.x - bar) * unit).floor() as i32;
    let height = (size.y * unit).floor() as i32;
    let Some(scene) = Scene::of(view, width, height, unit) else {
        empty(ui, "The place shown is gone at this step.");
        return None;
    };
    let content = scene.height();
    let outer = ui.available_rect_before_wrap();
    let origin = Pos2::new(snap(outer.min.x), snap(outer.min.y));
    let rect = Rect::from_min_size(origin, Vec2::new(width as f32, height as f32) / unit);
    let mut area = ScrollArea::vertical()
        .id_salt(("map", view.picture.selection.level as u8))
        .max_height(size.y)
        .min_scrolled_height(size.y)
        .auto_shrink(false);
    if content > height
        && view.picture.selection.follow
        && state.scrolled != Some(view.picture.revision)
        && let Some(target) = scene.focus(view, unit)
    {
        let last = ui.data(|d| d.get_temp::<f32>(ui.scope_id().with("scroll"))).unwrap_or(0.0);
        let top = target.y as f32 / unit;
        if top < last || top + target.h as f32 / unit > last + size.y {
            area = area.vertical_scroll_offset((top - size.y / 2.0).max(0.0));
        }
    }
    state.scrolled = Some(view.picture.revision);
    let output = area.show_viewport(ui, |ui, viewport| {
        ui.set_min_size(Vec2::new(width as f32, content.min(i32::MAX / 2) as f32) / unit);
        let frame = Frame { rect, scroll: (viewport.min.y * unit).round() as i32, unit };
        paint(ui, view, &scene, &frame, (width, height), state);
        let response = ui.interact(rect, ui.scope_id().with("map"), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, map_overlay::description(view)));
        interact(ui, view, &scene, &frame, &response, content > height, state, commands);
        named_places(ui, view, &scene, &frame);
        viewport.min.y
    });
    ui.data_mut(|d| d.insert_temp(ui.scope_id().with("scroll"), output.inner));
    let top = (output.inner * unit).round() as i32;
    scene.in_view(top, top + height)
}

fn paint(ui: &Ui, view: &View<'_>, scene: &Scene<'_>, frame: &Frame, size: (i32, i32), state: &mut MapState) {
    let key = PictureKey {
        revision: view.picture.revision,
        placed: view.picture.placed,
        level: view.picture.selection.level,
        arena: view.picture.selection.arena,
        pool: view.picture.selection.pool,
        fold: view.picture.selection.fold,
        paint: view.picture.paint.as_ref().map_or(Paint::SizeClass, |paint| paint.by),
        tiles: scene.tiles(),
        size,
        scroll: frame.scroll,
        unit: frame.unit,
        dark: view.theme.dark,
    };
    if state.key != Some(key) {
        state.key = Some(key);
        let image = scene.image(view, frame.scroll, size);
        match &mut state.texture {
            Some(texture) => texture.set(image, TextureOptions::NEAREST),
            None => state.texture = Some(ui.ctx().load_texture("map", image, TextureOptions::NEAREST)),
        }
    }
    let painter = ui.painter_at(frame.rect);
    if let Some(texture) = &state.texture {
        let whole = Rect::from_min_max(Pos2::ZERO, Pos2::new(1.0, 1.0));
        painter.image(texture.id(), frame.rect, whole, egui::Color32::WHITE);
    }
    map_overlay::labels(&painter, view, scene, frame);
    map_held::paint(&painter, view, scene, frame);
    map_overlay::marks(&painter, view, scene, frame);
}

/// Gives what a lesson's beat speaks of a name and a place of its own, for who does not see the picture.
fn named_places(ui: &Ui, view: &View<'_>, scene: &Scene<'_>, frame: &Frame) {
    let Some(lesson) = &view.picture.lesson else { return };
    let mut named = Vec::new();
    for place in lesson.beat.places() {
        let Some(r) = scene.rect_of(view, place, frame.unit).filter(|_| !named.contains(&place)) else {
            continue;
        };
        let rect = frame.screen(r).intersect(frame.rect);
        if rect.is_positive() {
            let id = ui.scope_id().with(("place", named.len()));
            let response = ui.interact(rect, id, Sense::hover());
            response.widget_info(|| WidgetInfo::labeled(Role::Label, true, map_overlay::spoken(view, place)));
        }
        named.push(place);
    }
}

#[expect(clippy::too_many_arguments, reason = "all that a pointer can mean on the map, in one place")]
fn interact(
    ui: &Ui,
    view: &View<'_>,
    scene: &Scene<'_>,
    frame: &Frame,
    response: &egui::Response,
    scrolls: bool,
    state: &mut MapState,
    commands: &mut Vec<Command>,
) {
    let place = response.hover_pos().and_then(|pos| {
        let (x, y) = frame.pixel(pos);
        scene.hit(view, x, y)
    });
    if let Some(place) = place {
        if let Some(r) = scene.rect_of(view, place, frame.unit) {
            let painter = ui.painter_at(frame.rect);
            outline(&painter, frame.screen(r), 1.0, view.theme.pinned);
        }
        if response.double_clicked() {
            commands.push(Command::Order(Order::Enter(match (view.picture.selection.level, place) {
                (Level::Heap, place) => arena_of(view, place).map_or(place, Place::Arena),
                (_, place) => place,
            })));
        } else if response.clicked() {
            commands.push(Command::Order(Order::Pin(place)));
        }
        response.clone().on_hover_ui_at_pointer(|ui| map_overlay::tooltip(ui, view, place));
    }
    if response.contains_pointer() {
        wheel(ui, view, place, scrolls, state, commands);
    }
}

/// Turning the wheel goes a level in or out; where there is something to scroll it needs Ctrl for that.
fn wheel(
    ui: &Ui,
    view: &View<'_>,
    place: Option<Place>,
    scrolls: bool,
    state: &mut MapState,
    commands: &mut Vec<Command>,
) {
    let (turn, zoom, now) = ui.input(|i| (i.smooth_scroll_delta().y, i.zoom_delta(), i.time));
    state.wheel += (zoom - 1.0) * 200.0 + if scrolls { 0.0 } else { turn };
    if now < state.wheel_until || (turn == 0.0 && (zoom - 1.0).abs() < f32::EPSILON) {
        state.wheel = 0.0;
        return;
    }
    if state.wheel.abs() < 24.0 {
        return;
    }
    let inward = state.wheel > 0.0;
    state.wheel = 0.0;
    // One turn of the wheel arrives in many small parts: one level for all of them.
    state.wheel_until = now + 0.35;
    match (inward, view.picture.selection.level, place) {
        (false, ..) => commands.push(Command::Do(Action::ZoomOut)),
        (true, Level::Heap, Some(place)) => {
            if let Some(arena) = arena_of(view, place) {
                commands.push(Command::Order(Order::Enter(Place::Arena(arena))));
            }
        }
        (true, Level::Arena, Some(place @ Place::Pool(_))) => {
            commands.push(Command::Order(Order::Enter(place)));
        }
        (true, ..) => {}
    }
}

/// The arena that a place on the map lies in.
fn arena_of(view: &View<'_>, place: Place) -> Option<ArenaId> {
    view.picture.map.as_ref()?.arena_of(view.profile(), place)
}
