//! What a beat shows, on paper: the pane that the window would bring forward.

use std::fmt::Write as _;
use std::time::Duration;

use session::facts::{BlockState, PoolFacts};
use session::format::{bytes, count};
use session::lesson::Point;
use session::port::{InPlace, Port as _};
use session::quiz::QuizOrder;
use session::view::map::{MapPicture, Tile};
use session::view::mi_page::MiBlock;
use session::view::{Look, Picture, Shown};
use session::{Opened, Order, Place};
use sim_core::report::PoolState;
use sim_core::{Addr, Profile, SizeClass};
use trace_io::lesson::Show;

use super::super::output::grouped;
use super::super::render::{class_colour, escaped};

/// A lesson that is walked through, beat by beat, with all that a window could show.
pub(super) struct Pictures {
    port: InPlace,
    shown: Shown,
}

impl Pictures {
    /// Opens a lesson.
    pub(super) fn of(name: &str, text: &str, profile: Option<&str>) -> Self {
        let mut port = InPlace::new(None);
        port.look(Look {
            map: Some(session::view::map::MapLook::default()),
            classes: true,
            arenas: Some(0..64),
            segments: Some(0..64),
            stats: true,
            domains: true,
            debug: true,
            tracemalloc: Some(session::view::tracemalloc::TracemallocLook::default()),
            narration: true,
            ..Look::default()
        });
        port.open(Opened::bytes(name, text.as_bytes().to_vec()));
        let mut pictures = Self { port, shown: Shown::default() };
        pictures.settle();
        if let Some(profile) = profile {
            pictures.order(Order::Profile(profile.to_owned()));
        }
        pictures
    }

    /// Sits down to the quiz that was opened; its beats are its questions then.
    pub(super) fn sit(&mut self, student: &str, attempt: u8) {
        self.order(Order::Quiz(QuizOrder::Begin(student.to_owned())));
        for _ in 1..attempt {
            self.order(Order::Quiz(QuizOrder::Finish));
            self.order(Order::Quiz(QuizOrder::Again));
        }
    }

    fn order(&mut self, order: Order) {
        self.port.order(order);
        self.settle();
    }

    fn settle(&mut self) {
        loop {
            let more = self.port.work(0.0, Duration::from_millis(50));
            while let Some(update) = self.port.update() {
                self.shown.take(update);
            }
            if !more && !self.port.owes() && !self.shown.status.busy {
                return;
            }
        }
    }

    /// What the beat shows; nothing where there is nothing yet.
    pub(super) fn at(&mut self, beat: usize) -> String {
        self.order(Order::BeatAt(beat));
        let Some((head, picture)) = self.shown.open() else { return String::new() };
        let Some(lesson) = &picture.lesson else { return String::new() };
        let drawing = Drawing { picture, profile: &head.profile };
        match lesson.beat.show {
            Show::Arenas | Show::Pools | Show::Blocks => drawing.map(),
            Show::Classes => drawing.classes(),
            Show::ArenaList => drawing.arenas(),
            Show::Stats => drawing.stats(),
            Show::Domains => drawing.domains(),
            Show::Debug => drawing.debug(),
            Show::Tracemalloc => drawing.tracemalloc(),
            Show::Mimalloc => drawing.page(),
            Show::Narration => drawing.narration(),
        }
    }
}

/// Cells in a row of blocks, and their size.
const COLUMNS: usize = 8;
const CELL: (usize, usize) = (90, 40);
/// The side of a pool's cell.
const POOL: usize = 26;
/// The most blocks that are drawn.
const BLOCKS: usize = 64;

struct Drawing<'a> {
    picture: &'a Picture,
    profile: &'a Profile,
}

/// A cell: its fill, ink and frame, and two lines.
struct Cell {
    fill: String,
    ink: &'static str,
    dashed: bool,
    marked: bool,
    lines: [String; 2],
}

impl Drawing<'_> {
    fn map(&self) -> String {
        match &self.picture.map {
            Some(MapPicture::Heap { tiles, .. }) => self.tiles(tiles),
            Some(MapPicture::Arena { tile, .. }) => self.tiles(std::slice::from_ref(tile)),
            Some(MapPicture::Pool { pool, header, states, free }) => {
                let title = format!("pool {} of {}", pool.index, pool.arena);
                let fields = header.map_or_else(String::new, |h| {
                    let freeblock = h
                        .freeblock
                        .map_or_else(|| "NULL".to_owned(), |at| format!("+{}", at.bytes_from(pool.addr)));
                    format!(
                        ": ref.count {}, freeblock {freeblock}, szidx {}, nextoffset {}, maxnextoffset {}",
                        h.ref_count, h.szidx, h.nextoffset, h.maxnextoffset
                    )
                });
                let circle = if free.back_to.is_some() { "; the free list runs in a circle" } else { "" };
                let carved = states.iter().take_while(|state| **state != BlockState::NeverCarved).count();
                let shown = (carved + 4).min(states.len()).min(BLOCKS);
                let cells =
                    states[..shown].iter().enumerate().map(|(at, state)| self.block(pool, at, *state));
                let left_out = states.len() - shown;
                cells_svg(&format!("{title}{fields}{circle}"), cells.collect(), left_out)
            }
            Some(MapPicture::Nothing) | None => String::new(),
        }
    }

    fn block(&self, pool: &PoolFacts, at: usize, state: BlockState) -> Cell {
        let addr = pool.addr.offset(self.profile.pool_overhead() + at as u64 * u64::from(pool.block_size));
        let offset = format!("+{}", addr.bytes_from(pool.addr));
        let marked = self.marked(addr);
        let (name, former) = (self.name(addr), self.former(addr));
        match state {
            BlockState::Live => {
                let (fill, ink) =
                    class_colour(pool.class.unwrap_or(SizeClass(0)), self.profile.nb_small_size_classes());
                Cell { fill, ink, dashed: false, marked, lines: [name.unwrap_or_default(), offset] }
            }
            BlockState::Free(position) => {
                let list = if position == 0 { "free, head".to_owned() } else { format!("free, {position}") };
                let was = name.or_else(|| former.map(|name| format!("was {name}")));
                Cell { lines: [was.unwrap_or(offset), list], marked, ..Cell::empty() }
            }
            BlockState::NeverCarved | BlockState::Unknown => {
                Cell { lines: [String::new(), offset], dashed: true, marked, ..Cell::empty() }
            }
        }
    }

    fn page(&self) -> String {
        let Some(page) = &self.picture.mi_page else { return String::new() };
        let [free, local, remote] = page.lists;
        let title = format!(
            "page at slice {} of segment {}: {} in use, free {free}, local_free {local}, thread_free {remote}",
            page.page.slice,
            page.page.segment,
            count(u64::from(page.page.used), "block")
        );
        let shown = page.blocks.len().min(BLOCKS);
        let cell = |(index, state): (u32, &MiBlock)| {
            let addr = page.block_addr(index);
            let marked = self.marked(addr);
            let was = self.former(addr).map_or_else(String::new, |name| format!("was {name}"));
            let listed = |list: &str, at: u32| {
                let place = if at == 0 { format!("{list}, head") } else { format!("{list}, {at}") };
                Cell { lines: [was.clone(), place], marked, ..Cell::empty() }
            };
            match *state {
                MiBlock::Live => {
                    let (fill, ink) = class_colour(
                        SizeClass(self.profile.nb_small_size_classes() / 3),
                        self.profile.nb_small_size_classes(),
                    );
                    let lines = [self.name(addr).unwrap_or_default(), String::new()];
                    Cell { fill, ink, dashed: false, marked, lines }
                }
                MiBlock::Free(at) => listed("free", at),
                MiBlock::Local(at) => listed("local_free", at),
                MiBlock::Remote(at) => listed("thread_free", at),
                MiBlock::Delayed => Cell { lines: [was, "delayed".to_owned()], marked, ..Cell::empty() },
                MiBlock::NotMade => Cell { dashed: true, marked, ..Cell::empty() },
            }
        };
        let cells: Vec<Cell> = (0..).zip(&page.blocks[..shown]).map(cell).collect();
        cells_svg(&title, cells, page.page.reserved as usize - shown)
    }

    fn tiles(&self, tiles: &[Tile]) -> String {
        if tiles.is_empty() {
            return String::new();
        }
        let pools = self.profile.max_pools_in_arena() as usize;
        let columns = pools.isqrt().max(1) + usize::from(pools.isqrt().pow(2) != pools);
        let (width, height) = (columns * POOL + 14, pools.div_ceil(columns) * POOL + 34);
        let across = (740 / width).max(1).min(tiles.len());
        let shown = tiles.len().min(across * 4);
        let mut svg = svg_head(across * width, shown.div_ceil(across) * height);
        for (at, tile) in tiles[..shown].iter().enumerate() {
            let (x, y) = (at % across * width, at / across * height);
            let arena = &tile.arena;
            let line =
                format!("{}: {} of {} pools in use", arena.id, arena.pools_in_use(), arena.ntotalpools);
            let _ = write!(svg, "<text x=\"{x}\" y=\"{}\" font-size=\"11\">{line}</text>", y + 14);
            for index in 0..arena.ntotalpools {
                let Some(pool) = tile.pool(self.profile, index) else { continue };
                let (px, py) =
                    (x + index as usize % columns * POOL, y + 20 + index as usize / columns * POOL);
                let marked = self.points(Place::Pool(pool.addr)) || self.points(Place::Arena(arena.id));
                pool_svg(&mut svg, &pool, (px, py), self.profile, marked);
            }
        }
        svg.push_str("</svg>");
        if tiles.len() > shown {
            let _ = write!(
                svg,
                "<p><small>and {} more</small></p>",
                count((tiles.len() - shown) as u64, "arena")
            );
        }
        svg
    }

    fn classes(&self) -> String {
        let mut table = "<table><tr><th>class<th>bytes<th>used<th>full<th>usedpools, front first".to_owned();
        for row in self.picture.classes.iter().flatten().filter(|row| row.in_use.pools > 0) {
            let list = row.front.iter().map(|pool| format!("pool {}: {}", pool.index, pool.used));
            let list: Vec<String> = list.take(12).collect();
            let more = row.listed.saturating_sub(list.len() as u64);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let _ = write!(
                table,
                "<tr><td>{}<td>{}<td>{}<td>{}<td>{}{more}",
                row.in_use.class,
                row.in_use.block_size,
                grouped(row.in_use.blocks),
                row.in_use.pools.saturating_sub(row.listed),
                list.join(", ")
            );
        }
        table + "</table>"
    }

    fn arenas(&self) -> String {
        let Some(arenas) = &self.picture.arena_table else { return String::new() };
        let mut table = "<table><tr><th>arena<th>pools in use<th>nfreepools<th>usable_arenas".to_owned();
        for row in &arenas.rows {
            let place = match row.before {
                Some(0) => "first".to_owned(),
                Some(before) => format!("{before} before it"),
                None => "not on it".to_owned(),
            };
            let finger =
                if row.rightmost { format!(", nfp2lasta[{}]", row.arena.nfreepools) } else { String::new() };
            let _ = write!(
                table,
                "<tr><td>{}<td>{} of {}<td>{}<td>{place}{finger}",
                row.arena.id,
                row.arena.pools_in_use(),
                row.arena.ntotalpools,
                row.arena.nfreepools
            );
        }
        table + "</table>"
    }

    fn stats(&self) -> String {
        let Some(stats) = &self.picture.stats else { return String::new() };
        let points = self.picture.lesson.iter().flat_map(|lesson| &lesson.beat.point);
        let pointed: Vec<&str> = points
            .filter_map(|point| match point {
                Point::Line(words) => Some(words.as_str()),
                Point::Place(_) | Point::Field(_) => None,
            })
            .collect();
        let line = |line: &str| {
            let marked = pointed.iter().any(|words| line.trim_start().starts_with(words));
            if marked { format!("<mark>{}</mark>\n", escaped(line)) } else { format!("{}\n", escaped(line)) }
        };
        format!("<pre>{}</pre>", stats.text.lines().map(line).collect::<String>())
    }

    fn domains(&self) -> String {
        let Some(domains) = &self.picture.domains else { return String::new() };
        let mut table = "<table><tr><th>domain<th>its tables, from the top".to_owned();
        for (name, chain) in ["RAW", "MEM", "OBJ"].into_iter().zip(&domains.chains) {
            let called = |at: usize| {
                domains.calls.iter().any(|call| call.domain.name() == name && call.table == chain[at])
            };
            let tables: Vec<String> = (0..chain.len())
                .map(|at| {
                    let [malloc, ..] = chain[at].function_names();
                    if called(at) { format!("<mark>{malloc}</mark>") } else { malloc.to_owned() }
                })
                .collect();
            let _ = write!(table, "<tr><td>{name}<td>{}", tables.join(" \u{2192} "));
        }
        table + "</table>"
    }

    fn debug(&self) -> String {
        let Some(hooks) = &self.picture.debug else { return String::new() };
        let mut text = String::new();
        if let Some(fatal) = &hooks.fatal {
            let _ = write!(text, "<pre>{}</pre>", escaped(fatal));
        }
        if let Some(anatomy) = &hooks.block {
            text.push_str("<pre>");
            for line in &anatomy.lines {
                let _ = writeln!(text, "{}", escaped(line));
            }
            for (at, row) in anatomy.bytes.chunks(16).take(8).enumerate() {
                let hex: Vec<String> = row.iter().map(|byte| format!("{byte:02x}")).collect();
                let _ = writeln!(text, "{}: {}", anatomy.start.offset(16 * at as u64), hex.join(" "));
            }
            text.push_str("</pre>");
        }
        text
    }

    fn tracemalloc(&self) -> String {
        let Some(traced) = &self.picture.tracemalloc else { return String::new() };
        let (now, peak) = traced.traced_memory;
        format!(
            "<pre>is_tracing() {}\nget_traced_memory() ({now}, {peak})\nget_tracemalloc_memory() {}</pre>",
            if traced.is_tracing { "True" } else { "False" },
            bytes(traced.tracemalloc_memory)
        )
    }

    fn narration(&self) -> String {
        let Some(narration) = &self.picture.narration else { return String::new() };
        let line = |sentence: &session::view::tape::SentenceFacts| {
            format!("<li><code>{}</code> {}", escaped(&sentence.function), escaped(&sentence.text))
        };
        format!("<ul>{}</ul>", narration.sentences.iter().map(line).collect::<String>())
    }

    /// The author's names of what lies at an address.
    fn name(&self, addr: Addr) -> Option<String> {
        let names: Vec<&str> =
            self.picture.names.iter().filter(|(at, _)| *at == addr).map(|(_, name)| name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    }

    fn former(&self, addr: Addr) -> Option<&str> {
        let former = &self.picture.lesson.as_ref()?.beat.former;
        former.iter().find(|(at, _)| *at == addr).map(|(_, name)| name.as_str())
    }

    fn marked(&self, addr: Addr) -> bool {
        self.points(Place::Block(addr))
    }

    /// Whether the beat points at a place, or selects it.
    fn points(&self, place: Place) -> bool {
        self.picture.lesson.as_ref().is_some_and(|lesson| {
            lesson.beat.select == Some(place) || lesson.beat.point.contains(&Point::Place(place))
        })
    }
}

impl Cell {
    fn empty() -> Self {
        Self {
            fill: "#ffffff".to_owned(),
            ink: "#1b1b1b",
            dashed: false,
            marked: false,
            lines: Default::default(),
        }
    }
}

fn svg_head(width: usize, height: usize) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"-4 -4 {} {}\" font-family=\"sans-serif\">",
        width.max(740) + 8,
        height + 8
    )
}

fn cells_svg(title: &str, cells: Vec<Cell>, left_out: usize) -> String {
    let rows = (cells.len() + usize::from(left_out > 0)).div_ceil(COLUMNS);
    let mut svg = svg_head(COLUMNS * CELL.0, rows * CELL.1 + 24);
    let _ = write!(svg, "<text x=\"0\" y=\"13\" font-size=\"12\">{}</text>", escaped(title));
    let place = |at: usize| (at % COLUMNS * CELL.0, 22 + at / COLUMNS * CELL.1);
    let cell_count = cells.len();
    for (at, cell) in cells.into_iter().enumerate() {
        let (x, y) = place(at);
        let (stroke, width) = if cell.marked { ("#d9480f", "3") } else { ("#8a8a86", "1") };
        let dash = if cell.dashed { " stroke-dasharray=\"2 3\"" } else { "" };
        let _ = write!(
            svg,
            "<rect x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill=\"{}\" stroke=\"{stroke}\" stroke-width=\"{width}\"{dash}/>",
            CELL.0 - 5,
            CELL.1 - 5,
            cell.fill
        );
        for (line, dy, size) in [(&cell.lines[0], 15, 13), (&cell.lines[1], 30, 11)] {
            let _ = write!(
                svg,
                "<text x=\"{}\" y=\"{}\" font-size=\"{size}\" text-anchor=\"middle\" fill=\"{}\">{}</text>",
                x + CELL.0 / 2 - 2,
                y + dy,
                cell.ink,
                escaped(line)
            );
        }
    }
    if left_out > 0 {
        let (x, y) = place(cell_count);
        let _ = write!(
            svg,
            "<text x=\"{x}\" y=\"{}\" font-size=\"11\" fill=\"#555\">and {} more</text>",
            y + 22,
            grouped(left_out as u64)
        );
    }
    svg + "</svg>"
}

fn pool_svg(svg: &mut String, pool: &PoolFacts, (x, y): (usize, usize), profile: &Profile, marked: bool) {
    let side = POOL - 3;
    let (stroke, width) = if marked { ("#d9480f", "3") } else { ("#8a8a86", "1") };
    let dash = if pool.state == PoolState::NeverCarved { " stroke-dasharray=\"2 3\"" } else { "" };
    let _ = write!(
        svg,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{side}\" height=\"{side}\" fill=\"#ffffff\" stroke=\"{stroke}\" stroke-width=\"{width}\"{dash}/>"
    );
    let (Some(class), PoolState::Used | PoolState::Full) = (pool.class, pool.state) else { return };
    let (fill, _) = class_colour(class, profile.nb_small_size_classes());
    let high = ((side as f32 * pool.share()).round() as usize).clamp(2, side);
    let _ = write!(
        svg,
        "<rect x=\"{x}\" y=\"{}\" width=\"{side}\" height=\"{high}\" fill=\"{fill}\"/>\
         <text x=\"{}\" y=\"{}\" font-size=\"10\" text-anchor=\"middle\" stroke=\"#ffffff\" stroke-width=\"3\" paint-order=\"stroke\">{class}</text>",
        y + side - high,
        x + side / 2,
        y + side / 2 + 4
    );
}
