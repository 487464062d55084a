//! What the bytes of a damaged block mean.

use sim_core::occupancy::grouped;

use super::{BlockMessage, Pad, REPLACED};

/// No process has as many bytes.
const SIZE_MAX: u64 = 1 << 47;

/// The bytes that the hooks fill memory with.
#[derive(Clone, Copy)]
struct Fills {
    clean: u8,
    dead: u8,
    forbidden: u8,
}

impl Fills {
    fn of(message: &BlockMessage) -> Self {
        if message.forbidden == 0xfb {
            Self { clean: 0xcb, dead: 0xdb, forbidden: 0xfb }
        } else {
            Self { clean: 0xcd, dead: 0xdd, forbidden: 0xfd }
        }
    }

    /// What a byte that stands where it should not says of itself.
    fn meaning(self, byte: u8) -> Option<&'static str> {
        match byte {
            b if b == self.dead => Some("what freed memory is filled with"),
            b if b == self.clean => Some("what fresh memory is filled with"),
            b if b == self.forbidden => Some("what guards are made of"),
            _ => None,
        }
    }
}

/// What stands behind the address in the line of the block.
pub(super) fn size_and_api(message: &BlockMessage) -> String {
    let size = message.size.map_or_else(String::new, |size| format!(", {} bytes requested", grouped(size)));
    let api = message.api.map_or_else(String::new, |api| match function(api) {
        Some((domain, function)) => format!(", API '{}' ({domain}, {function})", char::from(api)),
        None if api == REPLACED => ", API of no readable character".to_owned(),
        None => format!(", API 0x{api:02x}, which is none"),
    });
    size + &api
}

fn function(api: u8) -> Option<(&'static str, &'static str)> {
    match api {
        b'r' => Some(("RAW", "PyMem_RawMalloc")),
        b'm' => Some(("MEM", "PyMem_Malloc")),
        b'o' => Some(("OBJ", "PyObject_Malloc")),
        _ => None,
    }
}

/// Sets the verdict, what the bytes show, and what to do.
pub(super) fn explain(message: &mut BlockMessage) {
    let fills = Fills::of(message);
    let mut shows = Vec::new();
    if message.address == "(nil)" || message.api.is_none() {
        message.verdict.push_str("No block: the address is NULL, or the message ends in its first line");
        message.next =
            vec!["paste all of the message, from `Debug memory block` to the last line".to_owned()];
        return;
    }
    let api = message.api.unwrap_or_default();
    let size = message.size.unwrap_or_default();
    let dead = |bytes: &[u8]| bytes.iter().all(|b| *b == fills.dead);
    let bogus = size > SIZE_MAX;
    if function(api).is_none() {
        shows.push(match fills.meaning(api) {
            Some(meaning) => format!("the API's byte is 0x{api:02x}, {meaning}"),
            None if api == REPLACED => {
                "the API's byte is no character of text, as that of a freed block would be".to_owned()
            }
            None => format!("the API's byte is 0x{api:02x}{}, and none of r, m and o", as_character(api)),
        });
    }
    if bogus {
        let bytes = size.to_be_bytes();
        shows.push(format!(
            "the size 0x{size:x} is none{}; the guard behind the data is looked for in the wrong place",
            content(&bytes, fills)
        ));
    }
    let leading = message.leading.as_ref().filter(|pad| !pad.intact);
    let trailing = message.trailing.as_ref().filter(|pad| !pad.intact);
    let before = leading.map(|pad| pad_says(pad, fills, "in front of the data", "p-", true));
    let behind = trailing.map(|pad| pad_says(pad, fills, "behind the data", "tail+", false));
    shows.extend(before.iter().flatten().cloned());
    shows.extend(behind.iter().flatten().cloned());
    if !message.data.is_empty() {
        let data = &message.data;
        let all = |byte: u8| data.iter().all(|b| *b == byte);
        shows.push(if all(fills.clean) {
            format!("the data shown is all 0x{:02x}: it was never written", fills.clean)
        } else if all(fills.dead) {
            format!("the data shown is all 0x{:02x}: it was freed", fills.dead)
        } else {
            format!(
                "the data begins {}{}",
                hexes(&data[..message.data_first]),
                content(&data[..message.data_first], fills)
            )
        });
    }
    // pymalloc puts its list's link over the size, and leaves the rest as it was filled.
    let freed = api == fills.dead
        || function(api).is_none()
            && (dead(&size.to_be_bytes()) || message.data.len() >= 8 && dead(&message.data));
    let verified = message.fatal.as_deref().and_then(|fatal| fatal.split_once("verified using API '"));
    let verified = verified.and_then(|(_, rest)| rest.bytes().next()).filter(|v| *v != api);
    let (verdict, next) = if freed {
        (
            "Freed twice, or used after it was freed: the block's own header is gone".to_owned(),
            "look for a second free, or for a pointer that is kept after Py_DECREF or PyMem_Free",
        )
    } else if function(api).is_none() {
        (
            "Not a block of these hooks, or one whose header was overwritten from in front of it".to_owned(),
            "see whether the pointer came from malloc() or is not the beginning of its block; else look at what lies in front",
        )
    } else if let (Some(verified), Some((_, made))) = (verified, function(api)) {
        let by = function(verified).map_or("another API", |(_, f)| f);
        (
            format!(
                "Allocated through one API and freed through another: made by {made}'s family, freed or resized as {by}'s"
            ),
            "give the block back through the family that made it, such as PyMem_Malloc with PyMem_Free",
        )
    } else if let Some(pad) = leading {
        (underrun(pad, fills), "look for an index below 0, or for an overrun of the block that lies in front")
    } else if let Some(pad) = trailing {
        (
            overrun(pad, fills, size),
            "look at what writes the last element, and whether the size counts a closing NUL",
        )
    } else {
        (
            "The block is sound: both guards, the size and the API are as they should be".to_owned(),
            "see what asked for the message; the fault may lie in another block",
        )
    };
    message.verdict = verdict;
    message.findings = shows;
    message.next = vec![next.to_owned()];
    if message.allocated_at.is_empty() {
        message.next.push(
            "run it again with PYTHONTRACEMALLOC=25: the message then says where the block was allocated"
                .to_owned(),
        );
    }
    if trailing.is_some() || leading.is_some() {
        message.next.push("to catch the write itself, run under AddressSanitizer, or set a watchpoint on the first wrong byte with `watch` in gdb".to_owned());
    }
}

/// The offsets in a pad of bytes that are not the guard's.
fn wrong(pad: &Pad, fills: Fills) -> Vec<usize> {
    (0..pad.bytes.len()).filter(|&at| pad.bytes[at] != fills.forbidden).collect()
}

/// A guard that is not whole: which bytes, and what they are.
fn pad_says(pad: &Pad, fills: Fills, place_of: &str, name: &str, counts_down: bool) -> Vec<String> {
    let wrong = wrong(pad, fills);
    let Some((&first, &last)) = wrong.first().zip(wrong.last()) else {
        return vec![format!("the guard {place_of} is damaged; the message does not have its bytes")];
    };
    let place = |at: usize| if counts_down { pad.bytes.len() - at } else { at };
    let bytes: Vec<u8> = pad.bytes[first..=last].to_vec();
    let mut says = vec![format!(
        "{} of {} bytes of the guard {place_of} are wrong, from {name}{} to {name}{}: {}{}",
        wrong.len(),
        pad.bytes.len(),
        place(first),
        place(last),
        hexes(&bytes),
        content(&bytes, fills)
    )];
    for at in wrong {
        let byte = pad.bytes[at];
        let what = match (fills.meaning(byte), byte) {
            (Some(meaning), _) => meaning.to_owned(),
            (None, 0) => "NUL, such as ends a string".to_owned(),
            (None, _) => format!("a value that was written{}", as_character(byte)),
        };
        says.push(format!("{name}{}: 0x{byte:02x}, {what}", place(at)));
    }
    says
}

fn underrun(pad: &Pad, fills: Fills) -> String {
    let wrong = wrong(pad, fills);
    let length = pad.bytes.len();
    match wrong.first() {
        Some(&first) if wrong.len() == 1 && first + 1 == length => {
            "Written one byte before the block's beginning".to_owned()
        }
        Some(&first) if wrong.last() == Some(&(length - 1)) => {
            format!("Written before the block's beginning, from {} bytes in front of it", length - first)
        }
        _ => "Written in front of the block: by what overran the block before, or at an index below 0"
            .to_owned(),
    }
}

fn overrun(pad: &Pad, fills: Fills, size: u64) -> String {
    let wrong = wrong(pad, fills);
    match (wrong.first(), wrong.last()) {
        (Some(0), Some(0)) if pad.bytes[0] == 0 => {
            format!(
                "Written one byte past the end: a NUL at index {size}, as of a string whose end was not counted"
            )
        }
        (Some(0), Some(0)) => format!("Written one byte past the end, at index {size} of {size} bytes"),
        (Some(0), Some(&last)) if last + 1 == pad.bytes.len() => {
            format!("Written past the end by {} bytes or more", pad.bytes.len())
        }
        (Some(0), Some(last)) => format!("Written past the end by {} bytes", last + 1),
        (Some(first), _) => {
            format!(
                "Written behind the end, at index {}: not by a run over the end, but at a wrong place",
                size.saturating_add(*first as u64)
            )
        }
        _ => "Written past the end".to_owned(),
    }
}

fn hexes(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect::<Vec<_>>().join(" ")
}

fn as_character(byte: u8) -> String {
    if byte.is_ascii_graphic() { format!(", the character `{}`", char::from(byte)) } else { String::new() }
}

/// Text with characters of several bytes, of which the first and the last may be cut.
fn utf8(bytes: &[u8]) -> Option<&str> {
    let cut = bytes.iter().take_while(|b| (0x80..0xc0).contains(*b)).count();
    let bytes = bytes.get(cut..).filter(|_| cut < 4)?;
    let whole = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).ok()?
        }
        Err(_) => return None,
    };
    (!whole.is_ascii() && !whole.chars().any(char::is_control)).then_some(whole)
}

/// What several bytes are together: fill, text, or a number as this kind of machine stores it.
fn content(bytes: &[u8], fills: Fills) -> String {
    let Some(&first) = bytes.first() else { return String::new() };
    if bytes.iter().all(|b| *b == first)
        && let Some(meaning) = fills.meaning(first)
    {
        return format!(", {meaning}");
    }
    let text = bytes.strip_suffix(&[0]).unwrap_or(bytes);
    if text.len() >= 2 && text.iter().all(|b| b.is_ascii_graphic() || *b == b' ') {
        let end = if text.len() < bytes.len() { " and its closing NUL" } else { "" };
        return format!(", the text `{}`{end}", String::from_utf8_lossy(text));
    }
    if let Some(text) = utf8(bytes) {
        return format!(", the UTF-8 text `{text}`");
    }
    if matches!(bytes.len(), 2 | 4 | 8) {
        let number = bytes.iter().rev().fold(0_u64, |n, b| n << 8 | u64::from(*b));
        let pointer = bytes.len() == 8 && matches!(number >> 40, 0x55..=0x56 | 0x7e..=0x7f);
        let what = if pointer { ", which looks like a pointer" } else { "" };
        return format!(", the little-endian number {number} (0x{number:x}){what}");
    }
    String::new()
}
