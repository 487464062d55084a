//! Frames of Python code that runs, and of generators: which local variable a word is.
//!
//! Up to 3.10 a frame is an object. From 3.11 on the frames of a thread lie in stretches of memory of their own, which the arena allocator gave,
//! and those of a generator within it.

use hashbrown::HashMap;

use super::edges::Edges;
use super::layout::Version;
use super::memory::{Memory, word_of};
use super::nodes::Node;
use super::objects;

/// Bytes of the smallest stretch of frames, and of the largest that is looked for.
const LEAST_CHUNK: u64 = 16 << 10;
const MOST_CHUNK: u64 = 1 << 30;
/// `previous`, `size` and `top` stand before the frames.
const CHUNK_HEADER: u64 = 24;
/// Where a stretch may begin.
const PAGE: u64 = 4096;
/// Names of variables that are read of a function.
const MOST_NAMES: u64 = 1024;

/// Members of code objects.
const CODE_NAMES: u64 = 96;
const CODE_QUALNAME: u64 = 128;
const OLD_CODE_VARNAMES: u64 = 72;
const OLD_CODE_NAME: u64 = 112;
/// Of a frame object up to 3.10: its code and globals.
const OLD_FRAME_CODE: u64 = 32;
const OLD_FRAME_GLOBALS: u64 = 48;
/// Items of a tuple.
const LENGTH: u64 = 16;

/// A function that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Frame {
    /// The function's module and name.
    pub(super) function: String,
    /// Its variables, by number; behind them lies what it computes with.
    pub(super) names: Vec<String>,
    /// Where the first variable lies.
    pub(super) locals: u64,
    /// Behind the last word.
    pub(super) end: u64,
    /// The frame object, where it is one.
    pub(super) object: Option<Node>,
}

/// Where a frame that is no object has its members.
#[derive(Clone, Copy, Debug)]
struct Members {
    code: u64,
    globals: u64,
    builtins: u64,
    locals: u64,
}

fn members(version: Version) -> Option<Members> {
    match version.minor {
        ..=10 => None,
        11 => Some(Members { code: 32, globals: 8, builtins: 16, locals: 72 }),
        12 | 13 => Some(Members { code: 0, globals: 24, builtins: 32, locals: 72 }),
        _ => Some(Members { code: 0, globals: 24, builtins: 32, locals: 80 }),
    }
}

/// Where a generator has its frame, or a frame object up to 3.10 its code.
fn frame_of_generator(version: Version) -> u64 {
    if version.minor == 11 { 80 } else { 72 }
}

/// All frames of threads, and the stretches in which they lie: what else is there is left over. They are looked for in memory that is in no block,
/// by address.
pub(super) fn find(
    edges: &Edges<'_>,
    outside: impl Iterator<Item = (u64, u64)>,
) -> (Vec<Frame>, Vec<(u64, u64)>) {
    let nodes = edges.nodes();
    let (mut frames, mut stretches) = (Vec::new(), Vec::new());
    if members(edges.version()).is_none() {
        for node in nodes.used() {
            let Some(object) = nodes.live_object(node) else { continue };
            if nodes.picture().types[object.of as usize].name != "builtins.frame" {
                continue;
            }
            let Some((start, shape)) = edges.object(node) else { continue };
            let (addr, room) = nodes.place(node);
            let end = start.saturating_add(shape.end(edges.memory, edges.version(), start, room));
            frames.extend(of_object(edges, start, end.min(addr + room)).map(|mut frame| {
                frame.object = Some(node);
                frame
            }));
        }
        return (frames, stretches);
    }
    for (lo, hi) in outside {
        let mut at = lo.next_multiple_of(PAGE);
        while at < hi {
            let bytes = chunk_bytes(edges, at, hi);
            if let Some(bytes) = bytes {
                stretches.push((at, at + bytes));
            }
            at += bytes.unwrap_or(PAGE);
        }
    }
    let tops = tops(edges.memory, &stretches);
    let is_frames =
        |&(lo, hi): &(u64, u64)| in_chunk(edges, lo, tops.get(&lo).copied().unwrap_or(hi), &mut frames);
    stretches.retain(is_frames);
    (frames, stretches)
}

/// Behind the last frame of each stretch: what its own header says, or where it is the one that a thread fills, what the thread's state says, which has
/// where the stretch begins, where its frames end, and where it ends, one after the other.
fn tops(memory: &Memory, stretches: &[(u64, u64)]) -> HashMap<u64, u64> {
    let mut tops: HashMap<u64, u64> = HashMap::new();
    for (lo, hi) in stretches {
        let top = memory.word(lo + 16).unwrap_or(0);
        // One that was never left has no top of its own.
        tops.insert(*lo, if top == 0 { *hi } else { lo + CHUNK_HEADER + 8 * top });
    }
    for region in memory.regions() {
        for (words, at) in region.bytes.windows(24).step_by(8).zip((region.lo..).step_by(8)) {
            let lo = word_of(words, 0);
            if !lo.is_multiple_of(PAGE) || lo == 0 || at == lo {
                continue;
            }
            let Ok(known) = stretches.binary_search_by_key(&lo, |stretch| stretch.0) else { continue };
            let (top, end) = (word_of(words, 8), word_of(words, 16));
            if end == stretches[known].1 && (lo + CHUNK_HEADER..=end).contains(&top) {
                tops.insert(lo, top);
            }
        }
    }
    tops
}

/// The bytes of the stretch of frames that begins at an address, if it may be one.
fn chunk_bytes(edges: &Edges<'_>, addr: u64, end: u64) -> Option<u64> {
    let memory = edges.memory;
    let (previous, size, top) = (memory.word(addr)?, memory.word(addr + 8)?, memory.word(addr + 16)?);
    let whole = (LEAST_CHUNK..=MOST_CHUNK).contains(&size) && size.is_power_of_two();
    if !whole || previous % PAGE != 0 || top > size / 8 || size > end - addr {
        return None;
    }
    Some(size)
}

/// Adds the frames of a stretch; says whether there is any.
fn in_chunk(edges: &Edges<'_>, addr: u64, end: u64, frames: &mut Vec<Frame>) -> bool {
    let before = frames.len();
    let mut at = addr + CHUNK_HEADER;
    while at + 8 <= end {
        match live(edges, at) {
            Some(frame) => {
                if let Some(last) = frames[before..].last_mut() {
                    last.end = last.end.min(at);
                }
                at = frame.locals;
                frames.push(Frame { end, ..frame });
            }
            None => at += 8,
        }
    }
    frames.len() > before
}

/// The frame at an address, where a code object and two dicts stand where a frame has them.
fn live(edges: &Edges<'_>, addr: u64) -> Option<Frame> {
    let members = members(edges.version())?;
    let word = |offset: u64| edges.memory.word(addr.checked_add(offset)?);
    let code = word(members.code)? & !7;
    if !is_a(edges, code, "builtins.code") {
        return None;
    }
    let (globals, builtins) = (word(members.globals)?, word(members.builtins)?);
    if !is_a(edges, globals, "builtins.dict") || !is_a(edges, builtins, "builtins.dict") {
        return None;
    }
    let locals = addr + members.locals;
    Some(Frame {
        function: function(edges, code, Some(globals)),
        names: names(edges.memory, edges.version(), code),
        locals,
        end: locals,
        object: None,
    })
}

fn is_a(edges: &Edges<'_>, addr: u64, name: &str) -> bool {
    let nodes = edges.nodes();
    let Some(node) = nodes.at(addr) else { return false };
    let begins = edges.object(node).is_some_and(|(start, _)| start == addr);
    let of = nodes.live_object(node).map(|object| nodes.picture().types[object.of as usize].name.as_str());
    begins && of == Some(name)
}

fn of_object(edges: &Edges<'_>, start: u64, end: u64) -> Option<Frame> {
    let code = edges.memory.word(start.checked_add(OLD_FRAME_CODE)?)?;
    let names = names(edges.memory, edges.version(), code);
    let locals = start + if edges.version().minor == 10 { 352 } else { 360 };
    let globals = edges.memory.word(start.checked_add(OLD_FRAME_GLOBALS)?)?;
    let globals = Some(globals).filter(|globals| is_a(edges, *globals, "builtins.dict"));
    Some(Frame { function: function(edges, code, globals), names, locals, end, object: None })
}

/// Where the variables of a generator or of a frame object begin, and what they are called.
pub(super) fn locals_of(edges: &Edges<'_>, start: u64, is_frame: bool) -> Option<(u64, Vec<String>)> {
    let version = edges.version();
    match (members(version), is_frame) {
        (None, true) => of_object(edges, start, start).map(|frame| (frame.locals, frame.names)),
        (Some(members), false) => {
            let frame = start.checked_add(frame_of_generator(version))?;
            let code = edges.memory.word(frame.checked_add(members.code)?)? & !7;
            Some((frame + members.locals, names(edges.memory, version, code)))
        }
        _ => None,
    }
}

fn function(edges: &Edges<'_>, code: u64, globals: Option<u64>) -> String {
    let (memory, version) = (edges.memory, edges.version());
    let at = if version.minor < 11 { OLD_CODE_NAME } else { CODE_QUALNAME };
    let name = memory.word(code.wrapping_add(at)).and_then(|name| objects::text(memory, version, name));
    let module = globals
        .and_then(|globals| objects::dict_value(memory, version, globals, "__name__"))
        .and_then(|name| objects::text(memory, version, name));
    let name = name.unwrap_or_else(|| "(function)".to_owned());
    module.map_or_else(|| format!("{name}()"), |module| format!("{module}.{name}()"))
}

/// The variables of a code object.
fn names(memory: &Memory, version: Version, code: u64) -> Vec<String> {
    let at = if version.minor < 11 { OLD_CODE_VARNAMES } else { CODE_NAMES };
    let Some(tuple) = memory.word(code.wrapping_add(at)) else { return Vec::new() };
    let count = memory.word(tuple.wrapping_add(LENGTH)).unwrap_or(0).min(MOST_NAMES);
    let name = |number: u64| {
        let item = memory.word(tuple.wrapping_add(version.tuple_items() + 8 * number))?;
        objects::text(memory, version, item)
    };
    (0..count).map_while(name).collect()
}
