//! What lies over the map's picture: labels, arrows, outlines and tooltips.

use egui::{Align2, Color32, FontId, Painter, Pos2, Rect, Stroke, StrokeKind, Ui, Vec2};
use session::Place;
use session::facts::{self, BlockState, PoolFacts};
use session::format::{address, count, grouped, printable};
use session::view::inspect::HeaderFacts;
use session::view::map::MapPicture;
use sim_core::Addr;
use sim_core::report::PoolState;

use super::map_arrows::FreeArrows;
use super::map_scene::{BAND, Frame, Scene, TOP_LEFT, arena_line};
use super::{View, outline};
use crate::theme::Theme;

/// Labels drawn at once in the picture of all arenas.
const LABELS: usize = 600;

/// What the current step touched and what the inspector is pinned to.
pub(super) fn marks(painter: &Painter, view: &View<'_>, scene: &Scene<'_>, frame: &Frame) {
    let focus = view.picture.focus;
    let mut drawn = Vec::new();
    for place in view.picture.touched.iter().copied().chain(focus) {
        let Some(r) = scene.rect_of(view, place, frame.unit) else { continue };
        // An arena's records change with most pools; its outline would drown the pool's own.
        let minor = matches!(place, Place::Arena(_)) && focus != Some(place);
        if minor || drawn.contains(&r) {
            continue;
        }
        drawn.push(r);
        let rect = frame.screen(r);
        // What the operation was about stands out from what it only passed through.
        let main = focus.and_then(|f| scene.rect_of(view, f, frame.unit)) == Some(r);
        outline(painter, rect, if main { 2.5 } else { 1.2 }, view.theme.touched);
        if view.pulse > 0.0 && main {
            let grown = rect.expand(3.0 + 9.0 * (1.0 - view.pulse));
            let color = Theme::faded(view.theme.touched, view.pulse);
            painter.rect_stroke(grown, 3.0, Stroke::new(2.0, color), StrokeKind::Middle);
        }
    }
    if let Some(lesson) = &view.picture.lesson {
        for place in lesson.beat.pointed() {
            if let Some(r) = scene.rect_of(view, place, frame.unit) {
                outline(painter, frame.screen(r).expand(2.0), 3.0, view.theme.touched);
            }
        }
    }
    if let Some(place) = view.pinned()
        && let Some(r) = scene.rect_of(view, place, frame.unit)
    {
        outline(painter, frame.screen(r).expand(3.0), 2.0, view.theme.pinned);
    }
}

/// Text and arrows of the level shown.
pub(super) fn labels(painter: &Painter, view: &View<'_>, scene: &Scene<'_>, frame: &Frame) {
    match scene {
        Scene::Heap { first, tiles, grid, .. } => {
            let height = (frame.rect.height() * frame.unit) as i32;
            let mut left = LABELS;
            for index in grid.between(frame.scroll, frame.scroll + height) {
                let Some(tile) = index.checked_sub(*first).and_then(|at| tiles.get(at as usize)) else {
                    continue;
                };
                let (arena, rect) = (&tile.arena, frame.screen(grid.tile(index)));
                if grid.label > 0 {
                    let used = arena.pools_in_use();
                    let long = format!("{}  {}  {used}/{} pools", arena.id, arena.base, arena.ntotalpools);
                    let short = format!("{}  {used}/{}", arena.id, arena.ntotalpools);
                    let at = rect.left_top() - Vec2::new(0.0, 19.0);
                    if !text(painter, at, TOP_LEFT, &long, 11.5, view.theme.weak, rect.width() + 6.0) {
                        text(painter, at, TOP_LEFT, &short, 11.5, view.theme.weak, rect.width() + 10.0);
                    }
                }
                let cells = grid.cells(index);
                let width = cells.cell_w as f32 / frame.unit;
                if width < 20.0 {
                    continue;
                }
                for at in 0..cells.count {
                    let Some(pool) = tile.pool(view.profile(), at) else {
                        continue;
                    };
                    if width >= 60.0 {
                        pool_labels(painter, view, &pool, frame.screen(cells.cell(at)), &[], false);
                        continue;
                    }
                    if left == 0 {
                        break;
                    }
                    if let (Some(class), PoolState::Used | PoolState::Full) = (pool.class, pool.state) {
                        left -= 1;
                        let rect = frame.screen(cells.cell(at));
                        let gauge = Gauge { view, pool: &pool, rect };
                        gauge.text(painter, rect.center(), Align2::CENTER_CENTER, &class.to_string(), 11.0);
                    }
                }
            }
        }
        Scene::Arena { tile, emptied, grid } => {
            let width = grid.cell_w as f32 / frame.unit;
            if width < 20.0 {
                return;
            }
            for index in 0..grid.count {
                let rect = frame.screen(grid.cell(index));
                if rect.bottom() < frame.rect.top() || rect.top() > frame.rect.bottom() {
                    continue;
                }
                match tile.pool(view.profile(), index) {
                    Some(pool) => {
                        let next = tile.arena.pool_address == pool.addr;
                        pool_labels(painter, view, &pool, rect, emptied, next);
                    }
                    None => {
                        text(
                            painter,
                            rect.center(),
                            Align2::CENTER_CENTER,
                            "lost",
                            11.0,
                            view.theme.weak,
                            width,
                        );
                    }
                }
            }
        }
        Scene::Pool { pool, fields, states, grid, header, folded, tail, back } => {
            header_labels(painter, view, pool, *fields, frame.screen(*header));
            let cell = frame.screen(grid.cell(0));
            for row in 0..grid.rows() {
                let index = row * grid.columns;
                let rect = frame.screen(grid.cell(index));
                if (index as usize) < states.len() && rect.intersects(frame.rect) {
                    let offset = facts::block_offset(view.profile(), pool, index);
                    let at = Pos2::new(frame.rect.left() + 2.0, rect.center().y);
                    let offset = if view.picture.lesson.is_some() {
                        view.offset(u64::from(offset))
                    } else {
                        format!("+{offset:#06x}")
                    };
                    mono(painter, at, Align2::LEFT_CENTER, &offset, 10.5, view.theme.weak);
                }
            }
            if let Some((cell, left_out)) = folded {
                let rect = frame.screen(*cell);
                let long = format!("{} more never carved", grouped(u64::from(*left_out)));
                let short = format!("+{}", grouped(u64::from(*left_out)));
                let weak = view.theme.weak;
                let at = rect.center();
                if !text(painter, at, Align2::CENTER_CENTER, &long, 10.5, weak, rect.width()) {
                    let upper = at - Vec2::new(0.0, 7.0);
                    let lower = at + Vec2::new(0.0, 7.0);
                    if rect.height() < 30.0
                        || !text(
                            painter,
                            lower,
                            Align2::CENTER_CENTER,
                            "never carved",
                            10.5,
                            weak,
                            rect.width(),
                        )
                    {
                        text(painter, at, Align2::CENTER_CENTER, &short, 10.5, weak, 60.0);
                    } else {
                        text(
                            painter,
                            upper,
                            Align2::CENTER_CENTER,
                            &format!("{short} more"),
                            10.5,
                            weak,
                            90.0,
                        );
                    }
                }
            }
            if tail.w > 0 {
                let rect = frame.screen(*tail);
                text(
                    painter,
                    rect.center(),
                    Align2::CENTER_CENTER,
                    "tail",
                    10.5,
                    view.theme.text,
                    rect.width(),
                );
            }
            for (index, state) in states.iter().enumerate() {
                let rect = frame.screen(grid.cell(index as u32));
                if rect.intersects(frame.rect) {
                    block_label(painter, view, pool, *state, index as u32, rect);
                }
            }
            let list = FreeArrows { states, back: *back, header: frame.screen(*header), first: cell };
            list.paint(painter, view, &|i| frame.screen(grid.cell(i)));
        }
    }
}

/// `next` is whether it is the next pool to be carved.
fn pool_labels(
    painter: &Painter,
    view: &View<'_>,
    pool: &PoolFacts,
    rect: Rect,
    emptied: &[Addr],
    next: bool,
) {
    let theme = view.theme;
    let inner = rect.shrink(6.0);
    let wide = inner.width();
    if rect.width() < 44.0 || rect.height() < 40.0 {
        if let (Some(class), PoolState::Used | PoolState::Full) = (pool.class, pool.state) {
            let gauge = Gauge { view, pool, rect };
            gauge.text(painter, rect.center(), Align2::CENTER_CENTER, &class.to_string(), 11.0);
        }
        return;
    }
    match (pool.state, pool.class) {
        (PoolState::Used | PoolState::Full, Some(class)) => {
            let gauge = Gauge { view, pool, rect };
            if !gauge.text(painter, inner.left_top(), TOP_LEFT, &format!("class {class}"), 12.0) {
                gauge.text(painter, inner.left_top(), TOP_LEFT, &class.to_string(), 12.0);
            }
            if rect.height() >= 62.0 {
                let size = format!("{} bytes", pool.block_size);
                let names = names_in(view, pool);
                let named = !names.is_empty()
                    && gauge.text(painter, inner.left_center(), Align2::LEFT_CENTER, &names, 11.0);
                if !named {
                    gauge.text(painter, inner.left_center(), Align2::LEFT_CENTER, &size, 11.0);
                }
            }
            let used = if pool.state == PoolState::Full {
                format!("full, {}", pool.used)
            } else {
                format!("{}/{}", pool.used, pool.capacity)
            };
            gauge.text(painter, inner.left_bottom(), Align2::LEFT_BOTTOM, &used, 11.0);
        }
        (PoolState::Empty, _) => {
            text(painter, inner.left_top(), TOP_LEFT, "empty", 12.0, theme.weak, wide);
            if let Some(order) = emptied.iter().position(|a| *a == pool.addr) {
                let what = if order == 0 { "next to use".to_owned() } else { format!("freepools {order}") };
                text(painter, inner.left_bottom(), Align2::LEFT_BOTTOM, &what, 10.5, theme.weak, wide);
            }
        }
        _ => {
            if next {
                text(painter, inner.left_top(), TOP_LEFT, "next to carve", 10.5, theme.weak, wide);
            }
        }
    }
}

/// What a place is called aloud.
pub(super) fn spoken(view: &View<'_>, place: Place) -> String {
    match place {
        Place::Arena(id) => id.to_string(),
        Place::Pool(addr) => {
            let pool = view.picture.map.as_ref().and_then(|map| map.pool(view.profile(), addr));
            pool.map_or_else(
                || format!("pool {addr}"),
                |pool| format!("pool {} of {}", pool.index, pool.arena),
            )
        }
        Place::Block(addr) => view.spoken_block(addr).unwrap_or_else(|| format!("block {addr}")),
    }
}

/// The author's names of a pool's blocks, in order of address.
fn names_in(view: &View<'_>, pool: &PoolFacts) -> String {
    let end = pool.addr.offset(view.profile().pool_size);
    let inside = view.picture.names.iter().filter(|(addr, _)| (pool.addr..end).contains(addr));
    inside.map(|(_, name)| name.as_str()).collect::<Vec<_>>().join(", ")
}

/// A pool's cell as a ground for text: filled from below, pale above.
struct Gauge<'a> {
    view: &'a View<'a>,
    pool: &'a PoolFacts,
    rect: Rect,
}

impl Gauge<'_> {
    /// Text that reads on both grounds; left out, and false, when the cell is too narrow for it.
    fn text(&self, painter: &Painter, at: Pos2, anchor: Align2, text: &str, size: f32) -> bool {
        let galley =
            painter.layout_no_wrap(text.to_owned(), FontId::proportional(size), Color32::PLACEHOLDER);
        if galley.size().x > self.rect.width() - 4.0 {
            return false;
        }
        let place = anchor.anchor_size(at, galley.size());
        let surface = self.rect.bottom() - self.rect.height() * self.pool.share();
        let theme = self.view.theme;
        let color = if surface <= place.top() {
            Theme::on(self.view.colors().of_pool(self.pool))
        } else {
            if surface < place.bottom() {
                // The surface runs through the text: a plate keeps it readable.
                painter.rect_filled(place.expand2(Vec2::new(2.0, 0.0)), 2.0, Theme::faded(theme.tile, 0.8));
            }
            theme.text
        };
        painter.galley_with_override_text_color(place.min, galley, color);
        true
    }
}

fn header_labels(
    painter: &Painter,
    view: &View<'_>,
    pool: &PoolFacts,
    header: Option<&HeaderFacts>,
    rect: Rect,
) {
    let theme = view.theme;
    let left = rect.left() + 8.0;
    let overhead = view.profile().pool_overhead();
    let state = view.state_word(pool);
    let long = format!(
        "pool_header, {overhead} bytes at {} \u{b7} pool {} of {} \u{b7} {state}",
        pool.addr, pool.index, pool.arena
    );
    let short = format!("pool_header, {overhead} bytes \u{b7} {state}");
    let on = theme.text;
    let (at, room) = (Pos2::new(left, rect.top() + 5.0), rect.width() - 12.0);
    if !text(painter, at, TOP_LEFT, &long, 12.0, on, room) {
        text(painter, at, TOP_LEFT, &short, 12.0, on, room);
    }
    let fields = match header {
        None if view.on_recorded() => "what the header holds is not in a recording".to_owned(),
        None => "never carved: these bytes are part of the arena but no pool yet".to_owned(),
        Some(h) => {
            // A lesson counts from the pool's start, and in decimal.
            let (freeblock, next, last) = if view.picture.lesson.is_some() {
                let freeblock = h.freeblock.map(|block| view.offset(block.bytes_from(pool.addr)));
                (
                    freeblock.unwrap_or_else(|| "NULL".to_owned()),
                    h.nextoffset.to_string(),
                    h.maxnextoffset.to_string(),
                )
            } else {
                (address(h.freeblock), format!("{:#x}", h.nextoffset), format!("{:#x}", h.maxnextoffset))
            };
            format!(
                "ref.count {}  freeblock {freeblock}  szidx {}  nextoffset {next}  maxnextoffset {last}  arenaindex {}",
                h.ref_count, h.szidx, h.arenaindex
            )
        }
    };
    let painter = painter.with_clip_rect(rect.intersect(painter.clip_rect()));
    // A narrow picture has room for two lines of them.
    let (first, second) = if rect.height() > BAND {
        fields.split_once("  nextoffset").map_or((&*fields, None), |(first, rest)| (first, Some(rest)))
    } else {
        (&*fields, None)
    };
    mono(&painter, Pos2::new(left, rect.top() + 22.0), TOP_LEFT, first, 11.0, on);
    if let Some(rest) = second {
        let rest = format!("nextoffset{rest}");
        mono(&painter, Pos2::new(left, rect.top() + 37.0), TOP_LEFT, &rest, 11.0, on);
    }
}

fn block_label(
    painter: &Painter,
    view: &View<'_>,
    pool: &PoolFacts,
    state: BlockState,
    index: u32,
    rect: Rect,
) {
    let theme = view.theme;
    let class = view.colors().of_block(pool, index as usize);
    let roomy = rect.width() >= 64.0 && rect.height() >= 30.0;
    let offset = || view.offset(u64::from(facts::block_offset(view.profile(), pool, index)));
    let inner = rect.shrink(5.0);
    let addr = pool.addr.offset(u64::from(facts::block_offset(view.profile(), pool, index)));
    let name = view.name_of(addr);
    match state {
        BlockState::Live if name.is_some() => {
            let name = name.unwrap_or_default();
            let font = if roomy { 14.0 } else { 11.0 };
            let shown = text(
                painter,
                rect.center(),
                Align2::CENTER_CENTER,
                &name,
                font,
                Theme::on(class),
                rect.width(),
            );
            if shown && roomy && rect.height() >= 48.0 {
                mono(painter, inner.left_top(), TOP_LEFT, &offset(), 10.5, Theme::on(class));
            }
        }
        BlockState::Live if roomy => {
            mono(painter, inner.left_top(), TOP_LEFT, &offset(), 10.5, Theme::on(class));
            text(painter, inner.left_bottom(), Align2::LEFT_BOTTOM, "live", 10.5, Theme::on(class), 60.0);
        }
        BlockState::Free(position) => {
            let what = if position == 0 { "head".to_owned() } else { position.to_string() };
            if roomy {
                mono(painter, inner.left_top(), TOP_LEFT, &offset(), 10.5, theme.weak);
                let what = match (&name, view.former_name_of(addr)) {
                    (Some(name), _) => format!("{name}, and free {what}"),
                    (None, Some(name)) => format!("free {what}, was {name}"),
                    (None, None) => format!("free {what}"),
                };
                if !text(
                    painter,
                    inner.left_bottom(),
                    Align2::LEFT_BOTTOM,
                    &what,
                    10.5,
                    theme.text,
                    inner.width(),
                ) {
                    let short = what.split(',').next().unwrap_or_default();
                    text(painter, inner.left_bottom(), Align2::LEFT_BOTTOM, short, 10.5, theme.text, 80.0);
                }
            } else if !text(
                painter,
                rect.center(),
                Align2::CENTER_CENTER,
                &what,
                10.0,
                theme.text,
                rect.width() - 3.0,
            ) {
                text(
                    painter,
                    rect.center(),
                    Align2::CENTER_CENTER,
                    &position.to_string(),
                    9.0,
                    theme.text,
                    rect.width() + 2.0,
                );
            }
        }
        BlockState::NeverCarved if roomy => {
            mono(painter, inner.left_top(), TOP_LEFT, &offset(), 10.5, theme.dot);
        }
        BlockState::Live | BlockState::NeverCarved | BlockState::Unknown => {}
    }
}

/// Text that is left out when it is wider than `room`; says whether it was drawn.
fn text(
    painter: &Painter,
    at: Pos2,
    anchor: Align2,
    text: &str,
    size: f32,
    color: Color32,
    room: f32,
) -> bool {
    let galley = painter.layout_no_wrap(text.to_owned(), FontId::proportional(size), color);
    if galley.size().x > room {
        return false;
    }
    let rect = anchor.anchor_size(at, galley.size());
    painter.galley(rect.min, galley, color);
    true
}

fn mono(painter: &Painter, at: Pos2, anchor: Align2, text: &str, size: f32, color: Color32) {
    painter.text(at, anchor, text, FontId::monospace(size), color);
}

/// What lies under the pointer.
pub(super) fn tooltip(ui: &mut Ui, view: &View<'_>, place: Place) {
    let Some(map) = &view.picture.map else { return };
    match place {
        Place::Arena(id) => {
            if let Some(tile) = map.tiles().iter().find(|tile| tile.arena.id == id) {
                ui.label(arena_line(view, &tile.arena));
            }
        }
        Place::Pool(addr) => {
            let Some(pool) = map.pool(view.profile(), addr) else { return };
            ui.label(format!("Pool {} of {} at {}", pool.index, pool.arena, pool.addr));
            match (pool.class, pool.state) {
                (Some(class), PoolState::Used | PoolState::Full) => {
                    ui.label(format!(
                        "Size class {class}, blocks of {} bytes: {} of {} in use ({:.0}%)",
                        pool.block_size,
                        pool.used,
                        pool.capacity,
                        pool.share() * 100.0
                    ));
                }
                (Some(class), _) => {
                    ui.label(format!("Empty, last used for size class {class}; any class may take it next"));
                }
                (None, PoolState::Empty) => {
                    ui.label("No recorded block is live here now; at other steps there is one");
                }
                (None, _) if view.on_recorded() => {
                    ui.label("No block was ever recorded here");
                }
                (None, _) => {
                    ui.label("Never carved: part of the arena, never used for any class");
                }
            }
            if let Some(name) = view.picture.paint.as_ref().and_then(|paint| paint.name_of_pool(addr)) {
                ui.label(format!(
                    "Most of it, by {}: {}",
                    view.picture.selection.paint.words(),
                    printable(name)
                ));
            }
        }
        Place::Block(addr) => {
            let Some(block) = map.block(view.profile(), addr) else { return };
            ui.label(format!("Block {} of {} bytes at {}", block.index, block.size, block.addr));
            ui.label(match block.state {
                BlockState::Live => "Live: the program holds it".to_owned(),
                BlockState::Free(0) => "Free, and next to be handed out from this pool".to_owned(),
                BlockState::Free(at) => {
                    format!("Free: {} before it on the list", count(u64::from(at), "block"))
                }
                BlockState::NeverCarved => "Never carved: beyond nextoffset, on no list yet".to_owned(),
                BlockState::Unknown => {
                    "No recorded block lies here: free, or one from before the recording".to_owned()
                }
            });
        }
    }
}

/// The picture in a sentence, for screen readers and tests.
pub(super) fn description(view: &View<'_>) -> String {
    match &view.picture.map {
        Some(MapPicture::Heap { total, .. }) => format!(
            "Map of {}, {} in use",
            count(u64::from(*total), "arena"),
            count(view.picture.blocks, "block")
        ),
        Some(MapPicture::Arena { tile, .. }) => format!("Map of {}", arena_line(view, &tile.arena)),
        Some(MapPicture::Pool { pool, .. }) => format!(
            "Map of pool {} of {}, {}, {} of {} blocks used",
            pool.index,
            pool.arena,
            view.state_word(pool),
            pool.used,
            pool.capacity
        ),
        Some(MapPicture::Nothing) | None => "Map".to_owned(),
    }
}
