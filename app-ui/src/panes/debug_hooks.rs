//! A block's bytes as debug hooks lay them out: size, API id and pads around the data, and what the
//! checks say. Each byte has a letter besides its color.

use egui::{Align2, FontId, Rect, RichText, ScrollArea, Sense, Stroke, Ui, Vec2, WidgetInfo};
use session::Place;
use session::actions::domain_of_last;
use session::facts::{self, BlockState};
use session::format::count;
use sim_core::bytes::Unmapped;
use sim_core::debug_hooks::{self, DEADBYTE, FORBIDDENBYTE};
use sim_core::domains::{Context, Functions, UserAllocator};
use sim_core::machine::Layers;
use sim_core::{Addr, Domain};

use super::View;
use crate::command::Command;
use crate::theme::Theme;

/// Bytes of a row.
const ROW: u64 = 16;
/// Bytes shown where nothing tells how long a block is.
const UNKNOWN_BYTES: u64 = 96;
/// Of a longer block the rest is left out, which is said.
const SHOWN_BYTES_MAX: u64 = 64 << 10;
/// As far as a freed block of the C library is followed.
const FREED_BYTES_MAX: u64 = 4096;

/// What a byte is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Size,
    Id,
    Pad,
    Data,
    /// Room of the block below that nobody asked for.
    Rounding,
    /// The free list's link, or what the C library keeps in freed memory.
    Link,
    /// Filled by free.
    Dead,
    /// In freed memory, but not what free put there.
    Other,
}

impl Part {
    fn letter(self) -> char {
        match self {
            Self::Size => 'S',
            Self::Id => 'I',
            Self::Pad => 'F',
            Self::Data => 'D',
            Self::Rounding => '\u{b7}',
            Self::Link => 'L',
            Self::Dead => 'X',
            Self::Other => '?',
        }
    }

    fn color(self, theme: &Theme) -> egui::Color32 {
        match self {
            Self::Size => theme.ramp(0.0),
            Self::Id => theme.ramp(0.45),
            Self::Pad => theme.ramp(1.0),
            Self::Data | Self::Other => theme.tile,
            Self::Rounding => theme.ground,
            Self::Link => theme.held,
            Self::Dead => theme.lost,
        }
    }
}

/// A header that a debug hook put in front of a pointer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Header {
    /// The hook's domain.
    domain: Domain,
    /// The pointer that the hook gave out: data begins here.
    p: Addr,
}

/// Where a block really lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bottom {
    Pymalloc {
        free: bool,
    },
    Mimalloc {
        free: bool,
    },
    Libc {
        free: bool,
    },
    Own,
    /// No allocator knows a block that begins there.
    Nothing,
}

impl Bottom {
    fn is_free(self) -> bool {
        matches!(
            self,
            Self::Pymalloc { free: true } | Self::Mimalloc { free: true } | Self::Libc { free: true }
        )
    }
}

/// A block with everything around it.
#[derive(Clone, Debug)]
struct Anatomy {
    /// The program's pointer.
    p: Addr,
    /// From the program's side down.
    headers: Vec<Header>,
    bottom: Bottom,
    /// Where the block of the layer at the bottom begins.
    start: Addr,
    bytes: Vec<u8>,
    /// What each byte is, and whose header it belongs to.
    parts: Vec<(Part, Option<Domain>)>,
    /// Bytes that are not what they should be.
    damaged: Vec<bool>,
}

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let session = view.session;
    let Some(layers) = session.machine().layers() else {
        super::no_layers(ui);
        return;
    };
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        if let Some(text) = session.stopped() {
            fatal(ui, view, &text, commands);
        }
        let chosen = chosen(view, layers);
        let Some((p, domain, selected)) = chosen else {
            ui.label("Nothing to show: no operation has touched a block yet; step on, or click a block on the map.");
            return;
        };
        let anatomy = dissect(view, layers, p, domain);
        ui.horizontal_wrapped(|ui| {
            ui.label(RichText::new(format!("Block at {p}")).strong());
            ui.weak(if selected {
                "the selected block (Escape follows the steps again)"
            } else {
                "the block touched last"
            });
        });
        for line in words(layers, &anatomy, domain) {
            ui.label(line);
        }
        ui.add_space(4.0);
        dump(ui, view, &anatomy);
        ui.add_space(6.0);
        legend(ui, view, !anatomy.headers.is_empty());
    });
}

/// CPython's last words.
fn fatal(ui: &mut Ui, view: &View<'_>, text: &str, commands: &mut Vec<Command>) {
    egui::Frame::new().fill(view.theme.error).corner_radius(4).inner_margin(8).show(ui, |ui| {
        ui.horizontal(|ui| {
            ui.label(
                RichText::new("Here the process ends. It would have printed:")
                    .strong()
                    .color(view.theme.error_text),
            );
            if ui.button("Copy").on_hover_text("Copy the text that CPython prints").clicked() {
                commands.push(Command::Copy(text.to_owned()));
            }
        });
        let text = RichText::new(text).monospace().size(12.0).color(view.theme.error_text);
        ui.add(egui::Label::new(text).selectable(true).wrap());
    });
    ui.add_space(6.0);
}

/// The pointer to look at, the domain it goes through, and whether the user chose it.
fn chosen(view: &View<'_>, layers: &Layers) -> Option<(Addr, Domain, bool)> {
    if let Some(Place::Block(addr)) = view.selection.pinned
        && let Some(block) = facts::block_at(view.session.heap(), addr)
    {
        // The program's pointer lies behind as many headers as there are hooks over pymalloc.
        let id = layers.bytes().get(block.addr.offset(u64::from(layers.layout().word_bytes)));
        let domain = match id {
            Ok(b'm') => Domain::Mem,
            _ => Domain::Obj,
        };
        let hooks = layers
            .chain(domain)
            .iter()
            .take_while(|t| t.functions != Functions::Pymalloc)
            .filter(|t| matches!(t.ctx, Context::DebugRecord(_)))
            .count() as u64;
        return Some((block.addr.offset(hooks * layers.layout().front()), domain, true));
    }
    let p = layers.touched();
    (p != Addr(0)).then(|| (p, domain_of_last(view.session.trace(), view.session.step()), false))
}

/// Goes down the tables from a pointer to the block it lies in, as free would.
fn descend(view: &View<'_>, layers: &Layers, p: Addr, domain: Domain) -> (Vec<Header>, Addr, Bottom, u64) {
    let heap = view.session.heap();
    let machine = view.session.machine();
    let (mut headers, mut at, mut column) = (Vec::new(), p, domain);
    loop {
        let mut next = None;
        for table in layers.chain(column) {
            match (table.functions, table.ctx) {
                (Functions::Debug | Functions::DebugRaw, Context::DebugRecord(domain)) => {
                    headers.push(Header { domain, p: at });
                    at = layers.layout().inner(at);
                }
                (Functions::Pymalloc, _) if heap.address_in_range(at) => {
                    let block = facts::block_at(heap, at).filter(|b| b.addr == at);
                    return match block {
                        Some(b) => {
                            let free = b.state != BlockState::Live;
                            (headers, at, Bottom::Pymalloc { free }, u64::from(b.size))
                        }
                        None => (headers, at, Bottom::Nothing, UNKNOWN_BYTES),
                    };
                }
                (Functions::Pymalloc, _) => next = Some(Domain::Raw),
                (Functions::MimallocRaw | Functions::MimallocMem | Functions::MimallocObj, _) => {
                    let mimalloc = machine.mimalloc().map(sim_core::machine::MiRun::heap);
                    let block = mimalloc.and_then(|m| Some((m, m.block_around(at).filter(|b| b.1 == 0)?.0)));
                    return match block {
                        Some((m, block)) => {
                            let free = !m.is_live(block);
                            (headers, at, Bottom::Mimalloc { free }, m.block_bytes(block))
                        }
                        None => (headers, at, Bottom::Nothing, UNKNOWN_BYTES),
                    };
                }
                (Functions::Libc, _) => {
                    let Some(id) = layers.libc().get(at) else {
                        let free = !heap.address_in_range(at);
                        let bottom = if free { Bottom::Libc { free } } else { Bottom::Nothing };
                        return (headers, at, bottom, freed_length(layers, at));
                    };
                    return (headers, at, Bottom::Libc { free: false }, machine.raw().get(id).nbytes.max(1));
                }
                (Functions::User(own), _) => {
                    let kind = layers.user().get(usize::from(own)).map(|u| u.kind);
                    if matches!(kind, Some(UserAllocator::Bump { .. })) {
                        return (headers, at, Bottom::Own, UNKNOWN_BYTES);
                    }
                }
                _ => {}
            }
        }
        match next {
            Some(below) if column != Domain::Raw => column = below,
            _ => return (headers, at, Bottom::Nothing, UNKNOWN_BYTES),
        }
    }
}

/// A block that the C library freed has no size any more; what free filled is followed.
fn freed_length(layers: &Layers, at: Addr) -> u64 {
    let words = 2 * 8;
    let dead = (words..FREED_BYTES_MAX)
        .take_while(|i| layers.bytes().get(at.offset(*i)) == Ok(DEADBYTE))
        .count() as u64;
    if dead == 0 { UNKNOWN_BYTES } else { words + dead }
}

fn dissect(view: &View<'_>, layers: &Layers, p: Addr, domain: Domain) -> Anatomy {
    let (headers, start, bottom, len) = descend(view, layers, p, domain);
    let len = len.min(SHOWN_BYTES_MAX);
    let bytes = layers.bytes().read(start, len).unwrap_or_else(|_| {
        // Up to where memory ends.
        (0..len).map_while(|i| layers.bytes().get(start.offset(i)).ok()).collect()
    });
    let mut anatomy = Anatomy {
        p,
        parts: vec![(Part::Rounding, None); bytes.len()],
        damaged: vec![false; bytes.len()],
        headers,
        bottom,
        start,
        bytes,
    };
    if bottom.is_free() {
        mark_freed(&mut anatomy, u64::from(layers.layout().word_bytes));
    } else {
        mark_live(&mut anatomy, layers);
    }
    anatomy
}

fn mark_live(anatomy: &mut Anatomy, layers: &Layers) {
    let word = u64::from(layers.layout().word_bytes);
    let len = anatomy.bytes.len() as u64;
    let Anatomy { parts, damaged, bytes, start, .. } = anatomy;
    let mut mark = |from: u64, count: u64, part: Part, domain: Domain| {
        for i in from..(from.saturating_add(count)).min(len) {
            parts[i as usize] = (part, Some(domain));
            damaged[i as usize] = part == Part::Pad && bytes[i as usize] != FORBIDDENBYTE;
        }
    };
    if anatomy.headers.is_empty() {
        mark(0, len, Part::Data, Domain::Raw);
        for part in parts.iter_mut() {
            part.1 = None;
        }
        return;
    }
    for header in anatomy.headers.iter().rev() {
        let at = header.p.bytes_from(*start);
        let size = layers.layout().stored_size(layers.bytes(), header.p).unwrap_or(u64::MAX);
        let room = len.saturating_sub(at);
        mark(at - 2 * word, word, Part::Size, header.domain);
        mark(at - word, 1, Part::Id, header.domain);
        mark(at - word + 1, word - 1, Part::Pad, header.domain);
        mark(at, size.min(room), Part::Data, header.domain);
        if size <= room {
            mark(at + size, word, Part::Pad, header.domain);
        }
    }
}

fn mark_freed(anatomy: &mut Anatomy, word: u64) {
    let link = if matches!(anatomy.bottom, Bottom::Libc { .. }) { 2 * word } else { word };
    let dead: usize = anatomy.bytes.iter().map(|b| usize::from(*b == DEADBYTE)).sum();
    // A block that was never in use has a link and nothing else; there it would mean nothing.
    let filled = 2 * dead > anatomy.bytes.len();
    // What lies behind the last dead byte was the rounding.
    let last = anatomy.bytes.iter().rposition(|b| *b == DEADBYTE);
    for (i, byte) in anatomy.bytes.iter().enumerate() {
        let part = if (i as u64) < link {
            Part::Link
        } else if *byte == DEADBYTE {
            Part::Dead
        } else if last.is_none_or(|last| i > last) {
            Part::Rounding
        } else {
            Part::Other
        };
        anatomy.parts[i] = (part, None);
        anatomy.damaged[i] = filled && part == Part::Other;
    }
}

/// The headers and the checks in words, one line each.
fn words(layers: &Layers, anatomy: &Anatomy, domain: Domain) -> Vec<String> {
    let mut lines = Vec::new();
    let state = match anatomy.bottom {
        Bottom::Pymalloc { free: false } => {
            format!("It lies in a block of a pool, which begins at {}.", anatomy.start)
        }
        Bottom::Pymalloc { free: true } => {
            format!("The block of the pool at {} is free: a link of the free list, then what is left.", anatomy.start)
        }
        Bottom::Mimalloc { free: false } => {
            format!("It lies in a block of mimalloc's, which begins at {}.", anatomy.start)
        }
        Bottom::Mimalloc { free: true } => {
            format!("mimalloc's block at {} is free: a link of its list, then what is left.", anatomy.start)
        }
        Bottom::Libc { free: false } => {
            format!("It lies in a block of the C library, which begins at {}.", anatomy.start)
        }
        Bottom::Libc { free: true } => "The C library has it back: what it was is only what is left in its bytes.".to_owned(),
        Bottom::Own => "It lies in the room of a table of the program's own.".to_owned(),
        Bottom::Nothing => {
            "No block begins where the hooks would look for it: it came another way than it is looked at here."
                .to_owned()
        }
    };
    lines.push(state);
    if anatomy.headers.is_empty() {
        lines.push(format!("{} has no debug hook here, so these are plain bytes.", domain.name()));
    }
    let freed = anatomy.bottom.is_free();
    for (i, header) in anatomy.headers.iter().enumerate() {
        lines.push(if freed { freed_words(layers, *header, i == 0) } else { header_words(layers, *header) });
    }
    if anatomy.bytes.len() as u64 == SHOWN_BYTES_MAX {
        lines.push(format!("Only its first {} bytes are shown.", session::format::grouped(SHOWN_BYTES_MAX)));
    }
    let harm = anatomy.damaged.iter().filter(|d| **d).count() as u64;
    if harm > 0 {
        let what = if anatomy.bottom.is_free() {
            "written after the block was freed"
        } else {
            "of a pad overwritten"
        };
        lines.push(format!("{} {what}, marked with !.", count(harm, "byte")));
    }
    lines
}

/// The same once the block is freed: what a second free would find.
fn freed_words(layers: &Layers, header: Header, top: bool) -> String {
    let name = header.domain.name();
    let Ok(id) = layers.layout().stored_id(layers.bytes(), header.p) else {
        return format!("{name} header: not mapped any more.");
    };
    let gone = format!("{name} header: gone, its API id reads 0x{id:02x}");
    let check = debug_hooks::check(layers.layout(), layers.bytes(), header.p, header.domain);
    match (top, check) {
        (true, Ok(Some(damage))) => {
            let id = debug_hooks::Damage::BadId { stored: id, expected: header.domain };
            let word = if damage == id { "bad ID".to_owned() } else { damage.message() };
            format!("{gone}; a second free would end the process: {word}.")
        }
        _ => format!("{gone}."),
    }
}

fn header_words(layers: &Layers, header: Header) -> String {
    let (layout, bytes, name) = (layers.layout(), layers.bytes(), header.domain.name());
    let Header { p, domain } = header;
    let (Ok(size), Ok(id)) = (layout.stored_size(bytes, p), layout.stored_id(bytes, p)) else {
        return format!("{name}: the header in front of {p} is not mapped; looking at it would be SIGSEGV.");
    };
    let id = if id.is_ascii_graphic() {
        format!("'{}'", char::from(id))
    } else {
        format!("0x{id:02x}, which is none")
    };
    let check = match debug_hooks::check(layout, bytes, p, domain) {
        Ok(None) => "the check finds nothing wrong".to_owned(),
        Ok(Some(damage)) => format!("a free or realloc would end the process: {}", damage.message()),
        Err(Unmapped(at)) => format!("a free or realloc would end the process: SIGSEGV at {at}"),
    };
    let size = if size > 1 << 40 {
        format!("size field {size:#x}, which is no size")
    } else {
        format!("{} requested", count(size, "byte"))
    };
    format!("{name} header: {size}, API id {id}; {check}.")
}

/// The rows. Only those in view are drawn.
fn dump(ui: &mut Ui, view: &View<'_>, anatomy: &Anatomy) {
    let theme = view.theme;
    let two = anatomy.headers.len() > 1;
    let height = 33.0;
    let first = anatomy.start.0 / ROW * ROW;
    let lead = (anatomy.start.0 - first) as usize;
    let rows = (lead + anatomy.bytes.len()).div_ceil(ROW as usize);
    let high = (rows as f32 * (height + 2.0)).min((ui.available_height() - 60.0).max(180.0));
    ui.spacing_mut().item_spacing.y = 2.0;
    ScrollArea::both().id_salt("bytes").max_height(high).auto_shrink(false).show_rows(
        ui,
        height,
        rows,
        |ui, range| {
            for row in range {
                let cells: Vec<Option<usize>> = (0..ROW as usize)
                    .map(|i| {
                        (row * ROW as usize + i).checked_sub(lead).filter(|at| *at < anatomy.bytes.len())
                    })
                    .collect();
                let addr = Addr(first + row as u64 * ROW);
                let (rect, response) = ui.allocate_exact_size(Vec2::new(690.0, height), Sense::hover());
                response.widget_info(|| {
                    WidgetInfo::labeled(egui::Role::Label, true, spoken(anatomy, addr, &cells))
                });
                let painter = ui.painter();
                let mono = FontId::monospace(12.0);
                painter.text(rect.left_center(), Align2::LEFT_CENTER, addr, mono.clone(), theme.weak);
                for (i, cell) in cells.iter().enumerate() {
                    let Some(at) = *cell else { continue };
                    let (part, domain) = anatomy.parts[at];
                    let x = rect.left() + 118.0 + i as f32 * 27.0 + if i >= 8 { 6.0 } else { 0.0 };
                    let cell = Rect::from_min_size(egui::pos2(x, rect.top()), Vec2::new(26.0, height));
                    let ground = part.color(theme);
                    painter.rect_filled(cell, 2.0, ground);
                    let ink = Theme::on(ground);
                    let hex = format!("{:02x}", anatomy.bytes[at]);
                    painter.text(
                        cell.center_top() + Vec2::new(0.0, 2.0),
                        Align2::CENTER_TOP,
                        hex,
                        mono.clone(),
                        ink,
                    );
                    let mut letter = part.letter().to_string();
                    if two
                        && part != Part::Data
                        && let Some(domain) = domain
                    {
                        letter.push(domain.letter());
                    }
                    if anatomy.damaged[at] {
                        letter.insert(0, '!');
                        let mark = Stroke::new(2.5, theme.touched);
                        painter.rect_stroke(cell, 2.0, mark, egui::StrokeKind::Inside);
                    }
                    let foot = cell.center_bottom() - Vec2::new(0.0, 1.0);
                    painter.text(foot, Align2::CENTER_BOTTOM, letter, FontId::monospace(10.0), ink);
                    // The program's pointer.
                    if anatomy.start.offset(at as u64) == anatomy.p {
                        let stroke = Stroke::new(2.5, theme.pinned);
                        painter.line_segment([cell.left_top(), cell.left_bottom()], stroke);
                    }
                }
                let letters: String =
                    cells.iter().map(|c| c.map_or(' ', |at| shown(anatomy.bytes[at]))).collect();
                let x = rect.left() + 118.0 + 16.0 * 27.0 + 14.0;
                painter.text(egui::pos2(x, rect.center().y), Align2::LEFT_CENTER, letters, mono, theme.text);
            }
        },
    );
}

/// A row for a screen reader, and for whoever copies it.
fn spoken(anatomy: &Anatomy, addr: Addr, cells: &[Option<usize>]) -> String {
    let here = || cells.iter().flatten().copied();
    let hex: Vec<String> = here().map(|at| format!("{:02x}", anatomy.bytes[at])).collect();
    let parts: String = here().map(|at| anatomy.parts[at].0.letter()).collect();
    let text: String = here().map(|at| shown(anatomy.bytes[at])).collect();
    let harm = here().filter(|at| anatomy.damaged[*at]).count() as u64;
    let harm = if harm == 0 { String::new() } else { format!(" {} damaged", count(harm, "byte")) };
    format!("{addr}: {} {parts} {text}{harm}", hex.join(" "))
}

fn shown(byte: u8) -> char {
    if byte == b' ' || byte.is_ascii_graphic() { char::from(byte) } else { '.' }
}

fn legend(ui: &mut Ui, view: &View<'_>, hooks: bool) {
    let theme = view.theme;
    let entry = |ui: &mut Ui, part: Part, text: &str| {
        let font = FontId::proportional(12.0);
        let galley = ui.painter().layout_no_wrap(text.to_owned(), font, theme.text);
        let (rect, response) =
            ui.allocate_exact_size(Vec2::new(galley.size().x + 24.0, 18.0), Sense::hover());
        response.widget_info(|| {
            WidgetInfo::labeled(egui::Role::Label, true, format!("{}: {text}", part.letter()))
        });
        let chip = Rect::from_min_size(rect.min + Vec2::new(0.0, 1.0), Vec2::new(18.0, 16.0));
        let ground = part.color(theme);
        let painter = ui.painter();
        painter.rect_filled(chip, 2.0, ground);
        let font = FontId::monospace(11.0);
        painter.text(chip.center(), Align2::CENTER_CENTER, part.letter(), font, Theme::on(ground));
        let at = egui::pos2(chip.right() + 6.0, rect.center().y - galley.size().y / 2.0);
        painter.galley(at, galley, theme.text);
    };
    ui.horizontal_wrapped(|ui| {
        ui.spacing_mut().item_spacing = Vec2::new(14.0, 3.0);
        if hooks {
            entry(ui, Part::Size, "size asked for, big-endian");
            entry(ui, Part::Id, "API id: r, m or o");
            entry(ui, Part::Pad, "pad: FD, FORBIDDENBYTE");
        }
        entry(ui, Part::Data, if hooks { "data: CD (CLEANBYTE) when fresh, 0 after calloc" } else { "data" });
        if hooks {
            entry(ui, Part::Dead, "DD, DEADBYTE: filled by free");
        }
        entry(ui, Part::Other, "not what free left");
        entry(ui, Part::Link, "the allocator's own, in freed memory");
        entry(ui, Part::Rounding, "nobody asked for it");
    });
    if hooks {
        ui.label(
            RichText::new("With two headers the small letter says whose: m over r is MEM's block in RAW's. ! is damage; the thick line is the program's pointer.")
                .size(12.0)
                .color(theme.weak),
        );
    }
}
