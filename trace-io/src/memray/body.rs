//! The records of formats 12 and 13.

use super::Codes;
use super::allocator::{Function, Role};
use super::primitives::{Cursor, Fault, Read, zig_zag};
use super::recording::Recording;

/// What a record was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// One of many.
    Record,
    /// The trailer, or filling after which nothing comes.
    Trailer,
    /// A byte of filling.
    Filler,
}

/// A line table is raw bytes; the longest functions have some 100 KB of it.
pub(super) const TABLE_BYTES_MAX: u64 = 1 << 24;

const MISS: u8 = 15;

/// More bytes than a record in a usual form has.
const WINDOW: usize = 32;

/// What the codes of format 12 refer back to. A record is read whole before any of it changes.
#[derive(Debug, Default)]
pub(super) struct Body {
    native: bool,
    /// The last address that missed the table, in units of 8 bytes.
    pointer: u64,
    first_line: u64,
    recent: Recent,
    /// Segments still to come of the image read last.
    segments: u64,
}

/// The last 15 addresses that missed, the latest first.
#[derive(Debug, Default)]
struct Recent {
    addresses: [u64; 16],
    first: u8,
}

impl Recent {
    #[inline]
    fn get(&self, at: u8) -> u64 {
        self.addresses[usize::from(self.first.wrapping_add(at) & 15)]
    }

    #[inline]
    fn insert(&mut self, address: u64) {
        self.first = self.first.wrapping_sub(1) & 15;
        self.addresses[usize::from(self.first)] = address;
    }
}

/// A number in at most eight bytes that begins at `at`, and where it ends. Three have room in a window.
#[inline]
fn number(window: &[u8; WINDOW], at: usize) -> Option<(u64, usize)> {
    let first = window[at % WINDOW];
    if first < 0x80 { Some((u64::from(first), at + 1)) } else { long_number(window, at) }
}

fn long_number(window: &[u8; WINDOW], at: usize) -> Option<(u64, usize)> {
    let mut number = 0;
    for n in 0..8 {
        let byte = window[(at + n) % WINDOW];
        number |= u64::from(byte & 0x7f) << (7 * n);
        if byte < 0x80 {
            return Some((number, at + n + 1));
        }
    }
    None
}

impl Codes for Body {
    fn usual(&mut self, cursor: &mut Cursor<'_>, to: &mut Recording) -> Read<()> {
        if self.segments > 0 {
            return Ok(());
        }
        while let Some(window) = cursor.window() {
            match self.usual_record(window, to)? {
                0 => break,
                read => cursor.skip(read),
            }
        }
        Ok(())
    }

    #[inline]
    fn record(&mut self, cursor: &mut Cursor<'_>, to: &mut Recording) -> Read<Next> {
        let head = cursor.byte()?;
        if self.segments > 0 {
            return segment(head, &mut self.segments, cursor);
        }
        match head {
            0x80.. => self.allocation(head, cursor, to)?,
            0x40.. => {
                let code = cursor.varint()?;
                let offset = cursor.signed()?;
                to.frame_push(code, offset, head & 1 != 0)?;
            }
            0x20.. => self.object(head, cursor, to)?,
            0x10.. => to.frame_pop(usize::from(head & 15) + 1)?,
            _ => return self.rare(head, cursor, to),
        }
        Ok(Next::Record)
    }
}

impl Body {
    pub(super) fn new(native: bool) -> Self {
        Self { native, ..Self::default() }
    }

    /// Reads a record in a usual form: the bytes it takes, 0 where it is something else.
    #[inline]
    fn usual_record(&mut self, window: &[u8; WINDOW], to: &mut Recording) -> Read<usize> {
        let head = window[0];
        if head < 0x80 {
            return match head {
                0x40.. => {
                    let Some((code, at)) = number(window, 1) else { return Ok(0) };
                    let Some((offset, end)) = number(window, at) else { return Ok(0) };
                    to.frame_push(code, zig_zag(offset), head & 1 != 0)?;
                    Ok(end)
                }
                0x10..0x20 => to.frame_pop(usize::from(head & 15) + 1).map(|()| 1),
                _ => Ok(0),
            };
        }
        let kind = head & 7;
        if kind == 0 {
            return Ok(0);
        }
        let function = Function::of_bits(u64::from(kind));
        let slot = head >> 3 & 15;
        let (mut address, mut pointer, mut read) = (self.recent.get(slot), self.pointer, 1);
        if slot == MISS {
            let Some((step, end)) = number(window, read) else { return Ok(0) };
            (pointer, read) = (pointer.wrapping_add_signed(zig_zag(step)), end);
            address = pointer << 3;
        }
        let mut size = 0;
        if function.role() != Role::Free {
            if self.native {
                let Some((_, end)) = number(window, read) else { return Ok(0) };
                read = end;
            }
            let Some(sized) = number(window, read) else { return Ok(0) };
            (size, read) = sized;
        }
        to.allocation_inlined(function, address, size)?;
        self.keep_address(slot, address, pointer);
        Ok(read)
    }

    #[inline]
    fn address(&self, slot: u8, cursor: &mut Cursor<'_>) -> Read<(u64, u64)> {
        if slot == MISS {
            let pointer = cursor.delta(self.pointer)?;
            Ok((pointer << 3, pointer))
        } else {
            Ok((self.recent.get(slot), self.pointer))
        }
    }

    #[inline]
    fn keep_address(&mut self, slot: u8, address: u64, pointer: u64) {
        if slot == MISS {
            self.pointer = pointer;
            self.recent.insert(address);
        }
    }

    #[inline]
    fn allocation(&mut self, head: u8, cursor: &mut Cursor<'_>, to: &mut Recording) -> Read<()> {
        let slot = head >> 3 & 15;
        let (address, pointer) = self.address(slot, cursor)?;
        let number = match head & 7 {
            0 => cursor.byte()?,
            number => number,
        };
        let function = Function::new(number).ok_or(Fault::Damage(&"an allocation names no function"))?;
        let death = function.role() == Role::Free;
        if self.native && !death {
            cursor.varint()?;
        }
        let size = if death { 0 } else { cursor.varint()? };
        self.keep_address(slot, address, pointer);
        to.allocation(function, address, size)
    }

    /// An object's birth or death, of which only the codes matter here.
    fn object(&mut self, head: u8, cursor: &mut Cursor<'_>, to: &mut Recording) -> Read<()> {
        let slot = head >> 1 & 15;
        let (address, pointer) = self.address(slot, cursor)?;
        if self.native && head & 1 != 0 {
            cursor.varint()?;
        }
        self.keep_address(slot, address, pointer);
        to.object();
        Ok(())
    }

    #[cold]
    fn rare(&mut self, head: u8, cursor: &mut Cursor<'_>, to: &mut Recording) -> Read<Next> {
        match head {
            0 => return Ok(Next::Filler),
            1 => return Ok(Next::Trailer),
            2 => time(cursor, to)?,
            14 => {
                let id = cursor.varint()?;
                let (function, file) = (cursor.string()?, cursor.string()?);
                let first_line = cursor.delta(self.first_line)?;
                let bytes = cursor.varint()?;
                if bytes > TABLE_BYTES_MAX {
                    return Err(Fault::Damage(&"a line table has more than 16 megabytes"));
                }
                let table = cursor.take(bytes as usize)?;
                self.first_line = first_line;
                to.code(id, function, file, (first_line as u32).cast_signed(), table);
            }
            kind => other(kind, &mut self.segments, cursor, to)?,
        }
        Ok(Next::Record)
    }
}

/// A record that formats 10 to 13 have alike, by its kind.
pub(super) fn other(kind: u8, segments: &mut u64, cursor: &mut Cursor<'_>, to: &mut Recording) -> Read<()> {
    match kind {
        // A native frame: its instruction and the one that called it.
        5 => {
            cursor.varint()?;
            cursor.varint()?;
        }
        // The images in memory are listed anew, each with so many segments.
        6 => {}
        7 => {
            cursor.string()?;
            let count = cursor.varint()?;
            cursor.u64()?;
            *segments = count;
        }
        10 => to.thread_name(cursor.string()?)?,
        12 => to.context_switch(cursor.u64()?),
        _ => return Err(Fault::Damage(&"no record begins so")),
    }
    Ok(())
}

/// A segment of an image, of which there are still some to come.
pub(super) fn segment(kind: u8, segments: &mut u64, cursor: &mut Cursor<'_>) -> Read<Next> {
    if kind != 8 {
        return Err(Fault::Damage(&"a segment of an image is missing"));
    }
    cursor.u64()?;
    cursor.varint()?;
    *segments -= 1;
    Ok(Next::Record)
}

/// The size of the process at a time.
pub(super) fn time(cursor: &mut Cursor<'_>, to: &mut Recording) -> Read<()> {
    let (rss_bytes, ms) = (cursor.varint()?, cursor.varint()?);
    to.time(ms, rss_bytes);
    Ok(())
}
