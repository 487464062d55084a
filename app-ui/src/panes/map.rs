//! The map: one picture of the heap at three levels.

use egui::{
    Align2, Button, ColorImage, Pos2, Rect, Role, ScrollArea, Sense, TextureHandle, TextureOptions, Ui, Vec2,
    WidgetInfo,
};
use sim_core::{Addr, ArenaId};

use super::{View, empty, map_overlay};
use crate::command::{Action, Command};
use crate::facts::{self, ArenaFacts, BlockState, PoolFacts};
use crate::format::{bytes, grouped};
use crate::raster::grid::{CellGrid, TileGrid, pool_columns};
use crate::raster::{self, BlockPicture, PixelRect};
use crate::selection::{Level, Place};

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
    level: Level,
    arena: Option<ArenaId>,
    pool: Option<Addr>,
    size: (i32, i32),
    scroll: i32,
    unit: f32,
    dark: bool,
}

/// The picture's geometry, in pixels from its top, unscrolled.
pub(super) enum Scene<'a> {
    /// All arenas.
    Heap { arenas: Vec<ArenaFacts<'a>>, grid: TileGrid },
    /// One arena.
    Arena { arena: ArenaFacts<'a>, grid: CellGrid },
    /// One pool.
    Pool {
        pool: PoolFacts<'a>,
        /// The blocks in the picture: all, or those that were carved and a few more.
        states: Vec<BlockState>,
        grid: CellGrid,
        header: PixelRect,
        /// Where the blocks lie that are left out, and how many they are.
        folded: Option<(PixelRect, u32)>,
        tail: PixelRect,
    },
}

/// Where the picture lies on the screen.
#[derive(Clone, Copy)]
pub(super) struct Frame {
    /// The visible part.
    pub(super) rect: Rect,
    /// Pixels scrolled off the top.
    pub(super) scroll: i32,
    /// Pixels of a point.
    pub(super) unit: f32,
}

impl Frame {
    /// Pixels to points.
    pub(super) fn screen(&self, r: PixelRect) -> Rect {
        let min = self.rect.min + Vec2::new(r.x as f32, (r.y - self.scroll) as f32) / self.unit;
        Rect::from_min_size(min, Vec2::new(r.w as f32, r.h as f32) / self.unit)
    }

    fn pixel(&self, pos: Pos2) -> (i32, i32) {
        let at = (pos - self.rect.min) * self.unit;
        (at.x.floor() as i32, at.y.floor() as i32 + self.scroll)
    }
}

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, state: &mut MapState, commands: &mut Vec<Command>) {
    breadcrumb(ui, view, commands);
    if facts::arenas(view.session.heap()).is_empty() {
        let sentence = if view.session.seeking().is_some() {
            "On the way to the step; the picture comes when it is reached."
        } else if view.session.step() == 0 {
            "No arena yet: pymalloc asks for its first one when the first small block is allocated. Step forward to see it."
        } else {
            "No arena: nothing small is allocated at this step."
        };
        empty(ui, sentence);
        return;
    }
    let legend = map_overlay::legend_height(ui);
    let size = ui.available_size() - Vec2::new(0.0, legend + ui.spacing().item_spacing.y);
    picture(ui, view, size.max(Vec2::splat(40.0)), state, commands);
    map_overlay::legend(ui, view);
}

fn breadcrumb(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let heap = view.session.heap();
    let selection = view.selection;
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
                let arenas = heap.counters().narenas_currently_allocated;
                crumb(
                    ui,
                    selection.level,
                    Level::Heap,
                    &format!("All arenas ({})", grouped(arenas)),
                    commands,
                );
                if let Some(arena) = selection.arena.and_then(|id| facts::same_arena(heap, id)) {
                    ui.weak("\u{203a}");
                    crumb(ui, selection.level, Level::Arena, &format!("{}", arena.id), commands);
                }
                if let Some(pool) = selection.pool.and_then(|addr| facts::pool_at(heap, addr)) {
                    ui.weak("\u{203a}");
                    let class = pool.class().map_or_else(
                        || facts::state_word(pool.state).to_owned(),
                        |c| format!("class {c}, blocks of {}", pool.block_size),
                    );
                    crumb(
                        ui,
                        selection.level,
                        Level::Pool,
                        &format!("pool {} ({class})", pool.index),
                        commands,
                    );
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
        commands.push(Command::Level(level));
    }
}

fn picture(ui: &mut Ui, view: &View<'_>, size: Vec2, state: &mut MapState, commands: &mut Vec<Command>) {
    let unit = ui.ctx().pixels_per_point();
    // A texture has a largest side; a screen beyond it gets a coarser picture.
    let largest = ui.input(|i| i.max_texture_side) as f32;
    let unit = unit.min(largest / size.x.max(size.y).max(1.0));
    let snap = |v: f32| (v * unit).round() / unit;
    let bar = ui.spacing().scroll.allocated_width() + 2.0;
    let width = ((size.x - bar) * unit).floor() as i32;
    let height = (size.y * unit).floor() as i32;
    let Some(scene) = scene(view, width, height, unit) else {
        empty(ui, "The place shown is gone at this step.");
        return;
    };
    let content = scene.height();
    let outer = ui.available_rect_before_wrap();
    let origin = Pos2::new(snap(outer.min.x), snap(outer.min.y));
    let rect = Rect::from_min_size(origin, Vec2::new(width as f32, height as f32) / unit);
    let mut area = ScrollArea::vertical()
        .id_salt(("map", view.selection.level as u8))
        .max_height(size.y)
        .min_scrolled_height(size.y)
        .auto_shrink(false);
    if content > height
        && view.selection.follow
        && state.scrolled != Some(view.session.revision())
        && let Some(target) = view.session.focus().and_then(|p| scene.rect_of(view, p, unit))
    {
        let last = ui.data(|d| d.get_temp::<f32>(ui.scope_id().with("scroll"))).unwrap_or(0.0);
        let top = target.y as f32 / unit;
        if top < last || top + target.h as f32 / unit > last + size.y {
            area = area.vertical_scroll_offset((top - size.y / 2.0).max(0.0));
        }
    }
    state.scrolled = Some(view.session.revision());
    let output = area.show_viewport(ui, |ui, viewport| {
        ui.set_min_size(Vec2::new(width as f32, content.min(i32::MAX / 2) as f32) / unit);
        let frame = Frame { rect, scroll: (viewport.min.y * unit).round() as i32, unit };
        paint(ui, view, &scene, &frame, (width, height), state);
        let response = ui.interact(rect, ui.scope_id().with("map"), Sense::click());
        response.widget_info(|| WidgetInfo::labeled(Role::Image, true, map_overlay::description(view)));
        interact(ui, view, &scene, &frame, &response, content > height, state, commands);
        viewport.min.y
    });
    ui.data_mut(|d| d.insert_temp(ui.scope_id().with("scroll"), output.inner));
}

fn paint(ui: &Ui, view: &View<'_>, scene: &Scene<'_>, frame: &Frame, size: (i32, i32), state: &mut MapState) {
    let key = PictureKey {
        revision: view.session.revision(),
        level: view.selection.level,
        arena: view.selection.arena,
        pool: view.selection.pool,
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
    map_overlay::marks(&painter, view, scene, frame);
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
            map_overlay::outline(&painter, frame.screen(r), 1.0, view.theme.pinned);
        }
        if response.double_clicked() {
            commands.push(Command::Enter(match (view.selection.level, place) {
                (Level::Heap, place) => place.resolve(view.session.heap()).0.map_or(place, Place::Arena),
                (_, place) => place,
            }));
        } else if response.clicked() {
            commands.push(Command::Pin(place));
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
    let heap = view.session.heap();
    match (inward, view.selection.level, place) {
        (false, ..) => commands.push(Command::Do(Action::ZoomOut)),
        (true, Level::Heap, Some(place)) => {
            if let Some(arena) = place.resolve(heap).0 {
                commands.push(Command::Enter(Place::Arena(arena)));
            }
        }
        (true, Level::Arena, Some(place @ Place::Pool(_))) => commands.push(Command::Enter(place)),
        (true, ..) => {}
    }
}

/// The geometry of the level shown.
fn scene<'a>(view: &View<'a>, width: i32, height: i32, unit: f32) -> Option<Scene<'a>> {
    let session: &'a crate::session::Session = view.session;
    let heap = session.heap();
    let profile = session.profile();
    let points = |p: f32| ((p * unit).round() as i32).max(1);
    match view.selection.level {
        Level::Heap => {
            let arenas = facts::arenas(heap);
            let pools = profile.max_pools_in_arena();
            let grid = TileGrid::fit(arenas.len() as u32, pools, width, height, unit);
            Some(Scene::Heap { arenas, grid })
        }
        Level::Arena => {
            let arena = facts::same_arena(heap, view.selection.arena?)?;
            let pools = profile.max_pools_in_arena();
            let largest = (points(128.0), points(76.0));
            // Room for outlines at the edges.
            let edge = points(3.0);
            let (w, h) = (width - 2 * edge, height - 2 * edge);
            let grid = CellGrid::fixed(pool_columns(pools), pools, w, h, largest).moved(edge, edge);
            Some(Scene::Arena { arena, grid })
        }
        Level::Pool => {
            let pool = facts::pool_at(heap, view.selection.pool?)?;
            let mut states = facts::block_states(heap, &pool);
            let left_out = if view.selection.fold { fold(&mut states) } else { 0 };
            let shown = states.len() as u32;
            let lost = pool.class().map_or(0, |c| profile.quantization_bytes(c));
            let band = points(40.0);
            let gutter = points(56.0);
            let cells = shown + u32::from(left_out > 0) + u32::from(lost > 0);
            let room = (width - gutter, height - band - points(8.0));
            let smallest = (points(26.0), points(20.0));
            let grid = CellGrid::flowing(cells, room.0, room.1, smallest, (points(116.0), points(52.0)));
            let grid = grid.moved(gutter, band + points(6.0));
            let tail = if lost > 0 && cells > 0 { grid.cell(cells - 1) } else { PixelRect::default() };
            let header = PixelRect { x: 0, y: 0, w: width, h: band };
            let folded = (left_out > 0).then(|| (grid.cell(shown), left_out));
            Some(Scene::Pool { pool, states, grid, header, folded, tail })
        }
    }
}

/// Cuts off all but a few of the blocks never carved, where they are most of a pool; says how many.
fn fold(states: &mut Vec<BlockState>) -> u32 {
    /// Never carved blocks that stay in the picture.
    const KEPT: usize = 8;
    let carved = states.iter().take_while(|s| **s != BlockState::NeverCarved).count();
    let kept = carved + KEPT;
    if kept * 2 > states.len() || states.len() < 4 * KEPT {
        return 0;
    }
    let left_out = states.len() - kept;
    states.truncate(kept);
    left_out as u32
}

impl Scene<'_> {
    fn height(&self) -> i32 {
        match self {
            Self::Heap { grid, .. } => grid.height(),
            Self::Arena { grid, .. } | Self::Pool { grid, .. } => grid.y + grid.height(),
        }
    }

    fn image(&self, view: &View<'_>, scroll: i32, size: (i32, i32)) -> ColorImage {
        let heap = view.session.heap();
        match self {
            Self::Heap { arenas, grid } => raster::heap(heap, arenas, grid, scroll, size, view.theme),
            Self::Arena { arena, grid } => {
                raster::arena(heap, arena, &grid.moved(0, -scroll), size, view.theme)
            }
            Self::Pool { pool, states, grid, header, tail, .. } => {
                let picture = BlockPicture {
                    states,
                    class: pool.class().map_or(0, |c| c.0),
                    grid: *grid,
                    header: *header,
                    tail: *tail,
                };
                raster::blocks(&picture, scroll, size, view.theme)
            }
        }
    }

    /// What lies at a pixel.
    fn hit(&self, view: &View<'_>, x: i32, y: i32) -> Option<Place> {
        let heap = view.session.heap();
        match self {
            Self::Heap { arenas, grid } => {
                let (tile, cell) = grid.hit(x, y)?;
                let arena = arenas.get(tile as usize)?;
                let pool = cell.and_then(|i| facts::pool_of_arena(heap, arena, i));
                Some(pool.map_or(Place::Arena(arena.id), |p| Place::Pool(p.addr)))
            }
            Self::Arena { arena, grid } => {
                facts::pool_of_arena(heap, arena, grid.hit(x, y)?).map(|p| Place::Pool(p.addr))
            }
            Self::Pool { pool, states, grid, header, .. } => {
                if header.contains(x, y) {
                    return Some(Place::Pool(pool.addr));
                }
                let index = grid.hit(x, y).filter(|i| (*i as usize) < states.len())?;
                let offset = facts::block_offset(view.session.profile(), pool, index);
                Some(Place::Block(pool.addr.offset(u64::from(offset))))
            }
        }
    }

    /// Where a place lies in the picture, if it is in it.
    pub(super) fn rect_of(&self, view: &View<'_>, place: Place, unit: f32) -> Option<PixelRect> {
        let heap = view.session.heap();
        let pool_index = |arena: &ArenaFacts<'_>, addr: Addr| {
            let inside = heap.arena_of(addr)? == arena.id && addr >= arena.first_pool;
            let index = addr.bytes_from(arena.first_pool) / view.session.profile().pool_size;
            inside.then_some(index as u32).filter(|i| *i < arena.record.ntotalpools)
        };
        match (self, place) {
            (Self::Heap { arenas, grid }, Place::Arena(id)) => {
                arenas.iter().position(|a| a.id == id).map(|i| grid.tile(i as u32))
            }
            (Self::Heap { arenas, grid }, Place::Pool(addr) | Place::Block(addr)) => {
                let id = heap.arena_of(addr)?;
                let at = arenas.iter().position(|a| a.id == id)?;
                Some(grid.cells(at as u32).cell(pool_index(&arenas[at], addr)?))
            }
            (Self::Arena { arena, grid }, Place::Pool(addr) | Place::Block(addr)) => {
                Some(grid.cell(pool_index(arena, addr)?))
            }
            (Self::Pool { pool, header, .. }, Place::Pool(addr)) => {
                // Its outline must fit between the edges of the picture.
                (addr == pool.addr).then_some(header.shrink(((6.0 * unit).round() as i32).max(1)))
            }
            (Self::Pool { pool, states, grid, .. }, Place::Block(addr)) => {
                let profile = view.session.profile();
                let offset = addr.bytes_from(pool.addr);
                let within = offset.checked_sub(profile.pool_overhead())?;
                let index = within.checked_div(u64::from(pool.block_size))?;
                (offset < profile.pool_size && index < states.len() as u64).then(|| grid.cell(index as u32))
            }
            (Self::Arena { .. } | Self::Pool { .. }, Place::Arena(_)) => None,
        }
    }
}

/// The sentence under an arena's tile and in tooltips.
pub(super) fn arena_line(view: &View<'_>, arena: &ArenaFacts<'_>) -> String {
    let used = arena.record.ntotalpools - arena.record.nfreepools;
    format!(
        "{} at {}: {} of {} pools in use, {}",
        arena.id,
        arena.base,
        grouped(u64::from(used)),
        arena.record.ntotalpools,
        bytes(view.session.profile().arena_size)
    )
}

/// Left top, for labels.
pub(super) const TOP_LEFT: Align2 = Align2::LEFT_TOP;
