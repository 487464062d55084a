//! The inspector: every field of one arena, pool or block under its `CPython` name, with what it means.

use egui::{CollapsingHeader, Grid, RichText, ScrollArea, Ui};
use session::Place;
use session::facts::{BlockState, PoolFacts};
use session::format::{self, bytes, count, grouped};
use session::lesson::at_home;
use session::view::inspect::{ArenaSheet, BlockSheet, HeaderFacts, Inspected, PlaceSheet, PoolSheet, Sheet};
use sim_core::mimalloc::Totals;
use sim_core::report::PoolState;
use sim_core::{Addr, ArenaId};

use super::sheet::{holder_ui, title};
use super::{View, empty, inspector_held, inspector_recorded, place_link};
use crate::command::Command;

/// One field of a C structure.
struct Field {
    name: &'static str,
    value: String,
    /// Where a click on the value leads.
    link: Option<Place>,
    /// Bytes from the structure's start; none for what `CPython` does not store.
    offset: Option<u64>,
    meaning: &'static str,
}

/// Draws the pane.
pub(crate) fn ui(ui: &mut Ui, view: &View<'_>, commands: &mut Vec<Command>) {
    let Some(inspected) = &view.picture.inspector else { return };
    let Some(place) = inspected.place else {
        ui.weak(if view.picture.step > 0 && view.on_recorded() {
            "This step's block lies in no recorded pool; click anything to pin it"
        } else if view.picture.step == 0 {
            "Before the first operation; click anything to pin it"
        } else if inspected.released {
            "What this step touched went back to the system with its arena"
        } else if view.head.mimalloc {
            "MEM and OBJ are mimalloc's in this run; Map lists segments and pages"
        } else {
            "This step touched no pool; click anything to pin it"
        });
        ui.separator();
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| above_ui(ui, view, inspected, commands));
        return;
    };
    ui.horizontal_wrapped(|ui| {
        if view.pinned().is_some() {
            ui.label(RichText::new("Pinned").strong());
            if ui.link("follow the current step").on_hover_text("Unpin (Escape)").clicked() {
                commands.push(Command::Do(crate::command::Action::Clear));
            }
        } else {
            ui.weak("What the current step touched; click anything to pin it");
        }
    });
    ui.separator();
    if let Sheet::Recorded(sheet) = &inspected.sheet {
        ScrollArea::vertical()
            .auto_shrink(false)
            .show(ui, |ui| inspector_recorded::ui(ui, view, place, sheet, commands));
        return;
    }
    let Sheet::Place(sheet) = &inspected.sheet else { return };
    let PlaceSheet { block, pool, arena } = &**sheet;
    ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
        match (place, pool, arena) {
            (Place::Arena(id), _, None) => empty(ui, &format!("{id} does not exist at this step.")),
            (Place::Pool(addr) | Place::Block(addr), None, _) => {
                empty(ui, &format!("No arena holds {addr} at this step."));
            }
            _ => {}
        }
        if let Some(block) = block {
            block_ui(ui, view, block, commands);
            ui.add_space(8.0);
        }
        if let Some(pool) = pool {
            pool_ui(ui, view, pool, commands);
            ui.add_space(8.0);
        }
        if let Some(arena) = arena {
            arena_ui(ui, view, arena, commands);
        }
    });
}

/// What stands above all arenas, or all segments.
fn above_ui(ui: &mut Ui, view: &View<'_>, inspected: &Inspected, commands: &mut Vec<Command>) {
    match &inspected.sheet {
        Sheet::Pymalloc { usable, maxarenas, counters, raw_allocated_blocks } => {
            ui.label(RichText::new("Allocator").heading().size(15.0));
            let plain = |name, value, meaning| Field { name, value, link: None, offset: None, meaning };
            let list = [
                Field {
                    name: "usable_arenas",
                    value: usable.map_or_else(|| "NULL".to_owned(), |id| id.to_string()),
                    link: usable.map(Place::Arena),
                    offset: None,
                    meaning: "Head of the list of arenas with a free pool: the fullest, which gives the next new pool",
                },
                plain(
                    "maxarenas",
                    maxarenas.to_string(),
                    "Records in the arenas array, with or without an arena",
                ),
                plain(
                    "narenas_currently_allocated",
                    grouped(counters.narenas_currently_allocated),
                    "Arenas that exist now",
                ),
                plain(
                    "ntimes_arena_allocated",
                    grouped(counters.ntimes_arena_allocated),
                    "Arenas ever obtained",
                ),
                plain("narenas_highwater", grouped(counters.narenas_highwater), "The most arenas at once"),
                plain(
                    "raw_allocated_blocks",
                    raw_allocated_blocks.to_string(),
                    "Blocks that MEM and OBJ got from the C library because they were too large or of 0 bytes",
                ),
            ];
            fields(ui, view, "heap", &list, commands);
        }
        Sheet::Mimalloc(totals) => mimalloc_ui(ui, view, totals, commands),
        Sheet::Place(_) | Sheet::Recorded(_) => return,
    }
    ui.add_space(8.0);
    ui.label(RichText::new("C library").heading().size(15.0));
    if view.head.process.is_some() && inspected.raw_blocks == 0 {
        ui.weak("Process has what the process had of it when the picture was taken.");
        return;
    }
    ui.label(format!(
        "{} of {} in all",
        count(inspected.raw_blocks, "live block"),
        bytes(inspected.raw_bytes)
    ));
    ui.weak("Where it puts them is not modelled; they are named raw#0, raw#1 and so on.");
}

/// What stands above all segments.
fn mimalloc_ui(ui: &mut Ui, view: &View<'_>, totals: &Totals, commands: &mut Vec<Command>) {
    ui.label(RichText::new("mimalloc").heading().size(15.0));
    let row =
        |name, value: u64, meaning| Field { name, value: grouped(value), link: None, offset: None, meaning };
    let list = [
        row("segments", totals.segments, "Pieces of 32 MiB, or of one huge block"),
        row("abandoned", totals.abandoned_segments, "Segments whose thread has ended"),
        row(
            "segment bytes",
            totals.segment_bytes,
            "Addresses of all segments, of which pages in use are a part",
        ),
        row(
            "reserved address space",
            totals.system_bytes,
            "Addresses reserved from the system, in arenas and outside. They take no memory before they are touched: a \
             process reserves a GiB and uses a few MiB",
        ),
        row("pages", totals.pages, "Pages in use, each for blocks of one size"),
        row("full pages", totals.full_pages, "Pages in the full queue, which no search passes"),
        row("deferred pages", totals.deferred_pages, "Empty pages that wait for a goal of QSBR"),
        row("live blocks", totals.live_blocks, "Blocks that the program has"),
        row("live bytes", totals.live_bytes, "Their bytes, as blocks and not as asked for"),
    ];
    fields(ui, view, "mimalloc", &list, commands);
}

fn fields(ui: &mut Ui, view: &View<'_>, salt: &str, fields: &[Field], commands: &mut Vec<Command>) {
    let mono = |text: &str| RichText::new(text).monospace().size(11.5);
    Grid::new(salt).num_columns(3).striped(true).spacing([8.0, 3.0]).show(ui, |ui| {
        for field in fields {
            let pointed = view.points_at_field(field.name);
            let name = ui.label(if pointed { mono(field.name).strong() } else { mono(field.name) });
            let offset = field.offset.map_or_else(String::new, |o| format!("+{o}"));
            let value = if let Some(place) = field.link {
                place_link(ui, &field.value, place, commands)
            } else {
                ui.label(mono(&field.value))
            };
            let offset = ui.label(mono(&offset).weak());
            if pointed {
                let row = name.rect.union(value.rect).union(offset.rect).expand(2.0);
                super::outline(ui.painter(), row, 1.5, view.theme.touched);
                name.scroll_to_me(None);
            }
            for part in [name, value, offset] {
                part.on_hover_ui(|ui| {
                    ui.label(field.meaning);
                    // Looked up only for who points at it.
                    if let Some(entry) = at_home(field.name) {
                        ui.label(super::explained(entry));
                    }
                });
            }
            ui.end_row();
        }
    });
}

fn block_ui(ui: &mut Ui, view: &View<'_>, sheet: &BlockSheet, commands: &mut Vec<Command>) {
    let block = &sheet.block;
    let name = view.name_of(block.addr);
    let heading = match &name {
        Some(name) => format!("{name}, at place {} of its pool", block.index),
        None => format!("Place {} of its pool", block.index),
    };
    title(ui, &heading, Place::Block(block.addr), commands);
    let state = match block.state {
        BlockState::Live => "live".to_owned(),
        BlockState::Free(0) => "free, first".to_owned(),
        BlockState::Free(at) => format!("free, {} before", grouped(u64::from(at))),
        BlockState::NeverCarved => "never carved".to_owned(),
        BlockState::Unknown => "free, or from before the recording".to_owned(),
    };
    let plain = |name, value, meaning| Field { name, value, link: None, offset: None, meaning };
    let mut list = vec![
        plain(
            "state",
            state,
            "Live: the program holds it. Free: on the pool's free list. Never carved: beyond nextoffset",
        ),
        plain("address", block.addr.to_string(), "What the program's pointer is"),
        plain("offset", view.offset(u64::from(block.offset)), "Bytes from the start of its pool"),
        plain("size", format!("{} bytes", block.size), "INDEX2SIZE(szidx): every block of the pool has it"),
        plain("size class", block.class.to_string(), "szidx of its pool"),
    ];
    if let BlockState::Free(_) = block.state {
        let next = sheet.next_free;
        list.push(Field {
            name: "next free",
            value: format::address(next),
            link: next.map(Place::Block),
            offset: Some(0),
            meaning: "The first word of a free block points at the next free one; NULL ends the list",
        });
    }
    fields(ui, view, "block", &list, commands);
    if let Some(holder) = &sheet.holder {
        holder_ui(ui, holder, name.as_deref(), commands);
    }
}

fn pool_ui(ui: &mut Ui, view: &View<'_>, sheet: &PoolSheet, commands: &mut Vec<Command>) {
    let pool = &sheet.pool;
    title(ui, &format!("Pool {}", pool.index), Place::Pool(pool.addr), commands);
    let profile = view.profile();
    ui.label(match (pool.state, pool.class) {
        (PoolState::Used, Some(_)) => format!(
            "Used: {} of {} blocks of {} bytes, on usedpools",
            pool.used, pool.capacity, pool.block_size
        ),
        (PoolState::Full, Some(_)) => {
            format!("Full: all {} blocks of {} bytes, on no list", pool.capacity, pool.block_size)
        }
        (PoolState::Empty, Some(class)) => format!("Empty, last used for class {class}, on freepools"),
        _ => "Never carved: no header is written yet".to_owned(),
    });
    ui.horizontal(|ui| {
        ui.weak("address");
        place_link(ui, &pool.addr.to_string(), Place::Pool(pool.addr), commands);
        ui.weak(bytes(profile.pool_size));
    });
    inspector_held::ui(ui, view, Place::Pool(pool.addr));
    let Some(header) = &sheet.header else { return };
    if header.broken {
        ui.label("The program overwrote headers or links of this heap, or used a block after its free. This is what memory holds; links may point anywhere.");
    }
    fields(ui, view, "pool", &pool_fields(view, pool, header), commands);
    free_list_ui(ui, view, sheet, commands);
    CollapsingHeader::new("Header bytes in memory").id_salt("bytes").show(ui, |ui| {
        ui.weak("Little-endian, as a debugger would show them; \u{b7}\u{b7} is an address inside usedpools");
        for (name, text) in header_bytes(view, pool, header) {
            ui.horizontal(|ui| {
                ui.monospace(text);
                ui.weak(name);
            });
        }
    });
}

/// Offsets of the members of `struct pool_header`.
fn pool_offsets(pointer: u64) -> [u64; 8] {
    let ints = 4 * pointer;
    [0, pointer, 2 * pointer, 3 * pointer, ints, ints + 4, ints + 8, ints + 12]
}

fn pool_fields(view: &View<'_>, pool: &PoolFacts, header: &HeaderFacts) -> Vec<Field> {
    let at = pool_offsets(u64::from(view.profile().pointer_bytes));
    let (next, prev, free) = (header.nextpool, header.prevpool, header.freeblock);
    let head = || pool.class.map_or_else(|| "usedpools".to_owned(), |c| format!("usedpools[{c}]"));
    let used = pool.state == PoolState::Used;
    let link_text = |link: Option<Addr>| match link {
        None if used => head(),
        other => format::address(other),
    };
    let links = match pool.state {
        PoolState::Used => "Neighbour on the circular usedpools list of its class",
        PoolState::Empty => "nextpool chains the arena's freepools; prevpool is left over and never read",
        PoolState::Full | PoolState::NeverCarved => {
            "Left over: a full pool is on no list, and nothing reads this before it is linked again"
        }
    };
    let field =
        |name, value, link, offset, meaning| Field { name, value, link, offset: Some(offset), meaning };
    vec![
        field(
            "ref.count",
            header.ref_count.to_string(),
            None,
            at[0],
            "Blocks in use. At 0 the pool goes back to its arena's freepools",
        ),
        field(
            "freeblock",
            format::address(free),
            free.map(Place::Block),
            at[1],
            "Head of the free list: the block that the next allocation of this class gets. NULL in a full pool",
        ),
        field("nextpool", link_text(next), next.map(Place::Pool), at[2], links),
        field("prevpool", link_text(prev), prev.map(Place::Pool), at[3], links),
        field(
            "arenaindex",
            if header.arenaindex == pool.arena.index {
                format!("{} ({})", header.arenaindex, pool.arena)
            } else {
                header.arenaindex.to_string()
            },
            header.arenaindex_exists.then_some(Place::Arena(pool.arena)),
            at[4],
            "Which record of the arenas array owns this pool. Records are used again; an arena's own number, in order of creation, is not",
        ),
        field(
            "szidx",
            pool.class.map_or_else(|| "0xffff (none yet)".to_owned(), |c| c.to_string()),
            None,
            at[5],
            "Size class; kept while the pool is empty, so that the same class can take it over as it is",
        ),
        field(
            "nextoffset",
            format!("{} ({:#x})", header.nextoffset, header.nextoffset),
            None,
            at[6],
            "Bytes from the pool's start to the next block never handed out",
        ),
        field(
            "maxnextoffset",
            format!("{} ({:#x})", header.maxnextoffset, header.maxnextoffset),
            None,
            at[7],
            "The largest nextoffset that still leaves room for a block",
        ),
    ]
}

fn free_list_ui(ui: &mut Ui, view: &View<'_>, sheet: &PoolSheet, commands: &mut Vec<Command>) {
    let (pool, list) = (&sheet.pool, &sheet.free.blocks);
    let title = format!("Free list ({})", grouped(list.len() as u64));
    CollapsingHeader::new(title).id_salt("free list").default_open(true).show(ui, |ui| {
        if list.is_empty() {
            ui.weak("Empty: every block is in use, or the pool is full");
            return;
        }
        ui.weak("In the order in which blocks will be handed out");
        if let Some(back) = sheet.free.back_to {
            let last = "The last one links back to a block of the list, which is handed out more than once:";
            ui.label(RichText::new(last).strong());
            place_link(ui, &back.to_string(), Place::Block(back), commands);
        }
        let row = ui.spacing().interact_size.y;
        ui.spacing_mut().item_spacing.y = 2.0;
        let height = (row + 2.0) * (list.len().min(8) as f32);
        ScrollArea::vertical().id_salt("free").max_height(height).show_rows(
            ui,
            row,
            list.len(),
            |ui, rows| {
                for at in rows {
                    ui.horizontal(|ui| {
                        ui.weak(format!("{at:>4}"));
                        let block = list[at];
                        place_link(ui, &block.to_string(), Place::Block(block), commands);
                        ui.weak(view.offset(block.bytes_from(pool.addr)));
                        if let Some(name) = view.former_name_of(block) {
                            ui.weak(format!("was {name}"));
                        }
                    });
                }
            },
        );
    });
}

/// The header's members as bytes, one line each.
fn header_bytes(view: &View<'_>, pool: &PoolFacts, header: &HeaderFacts) -> Vec<(&'static str, String)> {
    let pointer = view.profile().pointer_bytes as usize;
    let word = |value: u64, size: usize| {
        value.to_le_bytes()[..size].iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
    };
    let link = |target: Option<Addr>| match target {
        // Its class's head of list, whose address belongs to the interpreter and not to the heap.
        None if pool.state == PoolState::Used => vec!["\u{b7}\u{b7}"; pointer].join(" "),
        other => word(other.unwrap_or_default().0, pointer),
    };
    vec![
        ("ref.count", word(u64::from(header.ref_count), 4)),
        ("freeblock", word(header.freeblock.unwrap_or_default().0, pointer)),
        ("nextpool", link(header.nextpool)),
        ("prevpool", link(header.prevpool)),
        ("arenaindex", word(u64::from(header.arenaindex), 4)),
        ("szidx", word(u64::from(header.szidx), 4)),
        ("nextoffset", word(u64::from(header.nextoffset), 4)),
        ("maxnextoffset", word(u64::from(header.maxnextoffset), 4)),
    ]
}

fn arena_ui(ui: &mut Ui, view: &View<'_>, sheet: &ArenaSheet, commands: &mut Vec<Command>) {
    let arena = &sheet.arena;
    title(ui, &format!("Arena {}", arena.id.ordinal), Place::Arena(arena.id), commands);
    let profile = view.profile();
    ui.weak(format!("arenas[{}]", arena.id.index))
        .on_hover_text("Its record, which its pools name as arenaindex; the arena's number counts arenas in order of creation");
    ui.label(format!(
        "{} of {} pools in use, {}",
        arena.pools_in_use(),
        arena.ntotalpools,
        bytes(profile.arena_size)
    ));
    inspector_held::ui(ui, view, Place::Arena(arena.id));
    if arena.first_pool != arena.base {
        ui.label("Its address is not a multiple of the pool size, so it loses one pool.");
    }
    let pointer = u64::from(profile.pointer_bytes);
    let at = [0, pointer, 2 * pointer, 2 * pointer + 4, 2 * pointer + 8, 3 * pointer + 8, 4 * pointer + 8];
    let link_text = |id: Option<ArenaId>| id.map_or_else(|| "NULL".to_owned(), |id| id.to_string());
    let (next, prev, top) = (sheet.nextarena, sheet.prevarena, sheet.freepools);
    let links = if sheet.before.is_some() {
        "Neighbour on usable_arenas, which is sorted by nfreepools: the fullest arena is used first"
    } else {
        "Left over: an arena without a free pool is on no list"
    };
    let field =
        |name, value, link, offset, meaning| Field { name, value, link, offset: Some(offset), meaning };
    let list = [
        field("address", arena.base.to_string(), None, at[0], "What the arena allocator returned"),
        field(
            "pool_address",
            arena.pool_address.to_string(),
            sheet.next_to_carve.map(Place::Pool),
            at[1],
            "The next pool to carve; everything below was a pool before",
        ),
        field(
            "nfreepools",
            arena.nfreepools.to_string(),
            None,
            at[2],
            "Pools that any class may take: emptied ones and those never carved",
        ),
        field(
            "ntotalpools",
            arena.ntotalpools.to_string(),
            None,
            at[3],
            "All pools of the arena; one less when its address is not pool-aligned",
        ),
        field(
            "freepools",
            format::address(top),
            top.map(Place::Pool),
            at[4],
            "Emptied pools, the last emptied on top and used first",
        ),
        field("nextarena", link_text(next), next.map(Place::Arena), at[5], links),
        field("prevarena", link_text(prev), prev.map(Place::Arena), at[6], links),
    ];
    fields(ui, view, "arena", &list, commands);
    ui.label(match sheet.before {
        Some(0) => "First on usable_arenas: the next new pool comes from here.".to_owned(),
        Some(at) => format!("On usable_arenas after {}.", count(u64::from(at), "other arena")),
        None => "On no list: no pool of it is free.".to_owned(),
    });
    if sheet.rightmost {
        ui.label(format!("nfp2lasta[{0}]: the rightmost arena with {0} free pools.", arena.nfreepools));
    }
    ui.weak(format!("Record {} of the arenas array", arena.id.index));
}
