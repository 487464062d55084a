//! What the memory of the step shown is used for: from what the program asked for down to what no block can use.

use egui::{Align2, FontId, Pos2, Rect, RichText, Role, ScrollArea, Sense, Stroke, Ui, Vec2, WidgetInfo};
use session::diagnosis::waterfall::{Cause, Part};
use session::diagnosis::{Key, Placed};
use session::format::{bytes, grouped};
use session::view::holders::{Column, WaterfallPicture};

use super::{View, Wishes, empty, outline};
use crate::command::{Action, Command, HoldersAsk};

const ROW: f32 = 24.0;
/// Panes narrower than this have bars below their names.
const NARROW: f32 = 330.0;
const NARROW_ROW: f32 = 38.0;

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, wishes: &mut Wishes) {
    wishes.look.waterfall = true;
    let held = view.held;
    let Some(waterfall) = &held.waterfall else {
        empty(ui, "Counting what the memory is used for\u{2026}");
        return;
    };
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing.x = 5.0;
        if held.step != view.picture.step {
            let old = format!("As of step {}:", grouped(held.step));
            ui.label(RichText::new(old).strong()).on_hover_text("It is counted anew once the position rests");
        }
        ui.label(format!("{} held in all.", bytes(waterfall.total_bytes)));
        ui.weak(match waterfall.placed {
            Placed::Model => "Striped: of the model, not of the trace. Click a bar to see who is behind it.",
            Placed::Recorded => {
                "The heap as recorded. Striped: implied by addresses, not said by the trace. Click a bar to see who is behind it."
            }
        });
    });
    if waterfall.parts.is_empty() {
        empty(ui, "Nothing is held at this step.");
        return;
    }
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        ui.spacing_mut().item_spacing.y = 1.0;
        let mut before = 0;
        for part in &waterfall.parts {
            bar(ui, view, waterfall, part, before, &mut wishes.commands);
            before += part.bytes;
        }
    });
}

fn bar(
    ui: &mut Ui,
    view: &View<'_>,
    waterfall: &WaterfallPicture,
    part: &Part,
    before: u64,
    commands: &mut Vec<Command>,
) {
    let theme = view.theme;
    let width = ui.available_width() - 4.0;
    // On a phone the bar goes below its name.
    let narrow = width < NARROW;
    let row = if narrow { NARROW_ROW } else { ROW };
    let (rect, response) = ui.allocate_exact_size(Vec2::new(width, row), Sense::click());
    let share = 100.0 * part.bytes as f64 / waterfall.total_bytes.max(1) as f64;
    let words = format!(
        "{}: {}, {share:.1} %{}",
        part.cause.name(),
        bytes(part.bytes),
        if part.modelled { ", modelled" } else { "" }
    );
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, &words));
    let painter = ui.painter();
    let names = (width * 0.34).clamp(120.0, 210.0);
    let values = if width < 420.0 { 74.0 } else { 130.0 };
    let (lane, line) = if narrow {
        (rect.shrink2(Vec2::new(2.0, 3.0)).with_min_y(rect.top() + 19.0), rect.with_max_y(rect.top() + 19.0))
    } else {
        let right = (rect.right() - values).max(rect.left() + names + 20.0);
        (rect.shrink2(Vec2::new(0.0, 3.0)).with_min_x(rect.left() + names).with_max_x(right), rect)
    };
    let named =
        if narrow { line.with_max_x(line.right() - values) } else { line.with_max_x(lane.left() - 4.0) };
    let clipped = painter.with_clip_rect(named.intersect(painter.clip_rect()));
    let at = line.left_center() + Vec2::new(2.0, 0.0);
    clipped.text(at, Align2::LEFT_CENTER, part.cause.name(), FontId::proportional(12.5), theme.text);
    let unit = lane.width() / waterfall.total_bytes.max(1) as f32;
    let from = lane.left() + before as f32 * unit;
    let fill = Rect::from_min_max(
        Pos2::new(from, lane.top()),
        Pos2::new((from + part.bytes as f32 * unit).max(from + 1.5), lane.bottom()),
    );
    painter.rect_filled(lane, 1.0, theme.ground);
    let color = if is_used(part.cause) { theme.live } else { theme.held };
    painter.rect_filled(fill, 1.0, color);
    if part.modelled {
        stripes(
            &painter.with_clip_rect(fill.intersect(painter.clip_rect())),
            fill,
            Stroke::new(1.0, theme.text.gamma_multiply(0.45)),
        );
    }
    let value =
        if values < 100.0 { bytes(part.bytes) } else { format!("{}  {share:.1} %", bytes(part.bytes)) };
    let at = line.right_center() - Vec2::new(2.0, 0.0);
    painter.text(at, Align2::RIGHT_CENTER, value, FontId::monospace(11.5), theme.text);
    if response.hovered() || response.has_focus() {
        outline(painter, rect.shrink(1.0), 1.0, theme.pinned);
    }
    let clicked = response.clicked();
    response.on_hover_ui(|ui| {
        ui.label(&words);
        ui.label(meaning(part.cause));
    });
    if clicked {
        commands.extend(opens(part.cause));
    }
}

/// Whether blocks of the program are made of it.
fn is_used(cause: Cause) -> bool {
    matches!(cause, Cause::Asked | Cause::FromBefore | Cause::Raw)
}

fn stripes(painter: &egui::Painter, rect: Rect, stroke: Stroke) {
    let mut x = rect.left() - rect.height();
    while x < rect.right() {
        painter.line_segment([Pos2::new(x, rect.bottom()), Pos2::new(x + rect.height(), rect.top())], stroke);
        x += 7.0;
    }
}

/// Where a click leads: who is behind the bytes.
fn opens(cause: Cause) -> Vec<Command> {
    let holders = |key, sort, search: &str| {
        let ask = HoldersAsk::Show { key, sort, search: search.to_owned() };
        vec![Command::Holders(ask), Command::Do(Action::TabHolders)]
    };
    match cause {
        Cause::Asked => holders(None, Column::Bytes, ""),
        Cause::Rounding | Cause::DebugHooks => holders(None, Column::Slack, ""),
        Cause::FromBefore => holders(None, Column::Bytes, session::diagnosis::key::FROM_BEFORE),
        // They stay because of blocks beside them.
        Cause::FreeBlocks
        | Cause::EmptyPools
        | Cause::UnseenPools
        | Cause::FreeSlices
        | Cause::SegmentHeaders => holders(None, Column::Pinned, ""),
        Cause::PoolHeaders | Cause::PoolTails => holders(Some(Key::Class), Column::Blocks, ""),
        Cause::Raw => holders(Some(Key::Domain), Column::Bytes, ""),
        Cause::Alignment | Cause::OtherInterpreters | Cause::ArenaMap => vec![Command::Do(Action::TabArenas)],
    }
}

fn meaning(cause: Cause) -> &'static str {
    match cause {
        Cause::Asked => {
            "What the program asked for, in blocks of arenas. A click shows who holds the most of it"
        }
        Cause::Rounding => {
            "Blocks are larger than what was asked for: a size class has one size. A click shows whose"
        }
        Cause::DebugHooks => {
            "Size, id and pads that debug hooks put around each block. A click shows whose blocks are largest beside what was asked for"
        }
        Cause::FromBefore => "Blocks that no operation of the trace gave",
        Cause::FreeBlocks => {
            "Free blocks of pools with a used one: only the same size class can have them. A click shows who pins the arenas"
        }
        Cause::EmptyPools => {
            "Pools without a used block in arenas that are held: any class can have them. A click shows who pins the arenas"
        }
        Cause::UnseenPools => {
            "Pools in which no block of the recording lives: empty, never carved, or held by blocks from before it"
        }
        Cause::PoolHeaders => "48 bytes and more at each pool's beginning. A click shows the size classes",
        Cause::PoolTails => "Ends of pools that are too short for a block. A click shows the size classes",
        Cause::Alignment => "An arena that does not begin at a pool's boundary loses one pool",
        Cause::OtherInterpreters => "Arenas of other interpreters of the process",
        Cause::ArenaMap => "The array of arenas and the radix tree, which the C library holds",
        Cause::Raw => {
            "Blocks of the C library: the domain RAW, and what is too large for pymalloc. A click shows the domains"
        }
        Cause::FreeSlices => {
            "Parts of mimalloc's segments without a page. A click shows who holds the segments"
        }
        Cause::SegmentHeaders => "Headers of mimalloc's segments",
    }
}
