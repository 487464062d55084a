//! The anatomy of a block under debug hooks: size, API id and pads around the data, and what the checks would say.

use serde::{Deserialize, Serialize};
use sim_core::bytes::Unmapped;
use sim_core::debug_hooks::{self, DEADBYTE, FORBIDDENBYTE};
use sim_core::domains::{Context, Functions, UserAllocator};
use sim_core::machine::Layers;
use sim_core::{Addr, Domain, Machine, Trace};

use crate::actions::domain_of_last;
use crate::facts::{self, BlockState};
use crate::format::count;
use crate::place::Place;

/// Bytes shown where nothing tells how long a block is.
const UNKNOWN_BYTES: u64 = 96;
/// Of a longer block the rest is left out, which is said.
const SHOWN_BYTES_MAX: u64 = 64 << 10;
/// As far as a freed block of the C library is followed.
const FREED_BYTES_MAX: u64 = 4096;

/// What a byte is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Part {
    /// Of the size asked for.
    Size,
    /// The API id.
    Id,
    /// Of a pad.
    Pad,
    /// The program's.
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

/// A block with everything around it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Anatomy {
    /// The program's pointer.
    pub p: Addr,
    /// Whether the user chose it; else it is the block touched last.
    pub chosen: bool,
    /// Headers of debug hooks around the data.
    pub headers: u32,
    /// Where the block of the layer at the bottom begins.
    pub start: Addr,
    /// What is there.
    pub bytes: Vec<u8>,
    /// What each byte is, and whose header it belongs to.
    pub parts: Vec<(Part, Option<Domain>)>,
    /// Bytes that are not what they should be.
    pub damaged: Vec<bool>,
    /// The headers and the checks in words, one line each.
    pub lines: Vec<String>,
}

/// A state of the machine on a trace.
#[derive(Clone, Copy)]
pub struct At<'a> {
    /// The machine.
    pub machine: &'a Machine,
    /// The trace.
    pub trace: &'a Trace,
    /// Operations done.
    pub step: u64,
}

/// The block that is pinned, else the one touched last; `None` without layers and before the first block.
pub fn anatomy(at: At<'_>, pinned: Option<Place>) -> Option<Anatomy> {
    let layers = at.machine.layers()?;
    let (p, domain, chosen) = chosen(&at, layers, pinned)?;
    let cut = dissect(&at, layers, p, domain);
    let lines = words(layers, &cut, domain);
    let Cut { p, headers, start, bytes, parts, damaged, .. } = cut;
    Some(Anatomy { p, chosen, headers: headers.len() as u32, start, bytes, parts, damaged, lines })
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
struct Cut {
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

/// The pointer to look at, the domain it goes through, and whether the user chose it.
fn chosen(at: &At<'_>, layers: &Layers, pinned: Option<Place>) -> Option<(Addr, Domain, bool)> {
    if let Some(Place::Block(addr)) = pinned
        && let Some(block) = facts::block_at(at.machine.pymalloc(), addr)
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
    (p != Addr(0)).then(|| (p, domain_of_last(at.trace, at.step), false))
}

/// Goes down the tables from a pointer to the block it lies in, as free would.
fn descend(at: &At<'_>, layers: &Layers, p: Addr, domain: Domain) -> (Vec<Header>, Addr, Bottom, u64) {
    let heap = at.machine.pymalloc();
    let machine = at.machine;
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

fn dissect(at: &At<'_>, layers: &Layers, p: Addr, domain: Domain) -> Cut {
    let (headers, start, bottom, len) = descend(at, layers, p, domain);
    let len = len.min(SHOWN_BYTES_MAX);
    let bytes = layers.bytes().read(start, len).unwrap_or_else(|_| {
        // Up to where memory ends.
        (0..len).map_while(|i| layers.bytes().get(start.offset(i)).ok()).collect()
    });
    let mut anatomy = Cut {
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

fn mark_live(anatomy: &mut Cut, layers: &Layers) {
    let word = u64::from(layers.layout().word_bytes);
    let len = anatomy.bytes.len() as u64;
    let Cut { parts, damaged, bytes, start, .. } = anatomy;
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

fn mark_freed(anatomy: &mut Cut, word: u64) {
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
fn words(layers: &Layers, anatomy: &Cut, domain: Domain) -> Vec<String> {
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
        lines.push(format!("Only its first {} bytes are shown.", crate::format::grouped(SHOWN_BYTES_MAX)));
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
