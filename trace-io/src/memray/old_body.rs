//! The records of formats 10 and 11.

use super::Codes;
use super::allocator::{Function, Role};
use super::body::{Next, other, segment, time};
use super::primitives::{Cursor, Fault, Read};
use super::recording::Recording;

/// What the codes of format 10 refer back to. A record is read whole before any of it changes.
#[derive(Debug, Default)]
pub(super) struct OldBody {
    pointer: u64,
    frame: u64,
    line: u64,
    /// Segments still to come of the image read last.
    segments: u64,
}

impl Codes for OldBody {
    /// Reads one record: its kind in the low half of the first byte, flags in the high half.
    fn record(&mut self, cursor: &mut Cursor<'_>, to: &mut Recording) -> Read<Next> {
        let head = cursor.byte()?;
        let (kind, flags) = (head & 15, head >> 4);
        if self.segments > 0 {
            return segment(kind, &mut self.segments, cursor);
        }
        if !matches!(kind, 0 | 12) {
            to.begin_on(0);
        }
        match kind {
            0 if flags == 1 => return Ok(Next::Trailer),
            0 if flags == 0 => return Ok(Next::Filler),
            1 | 2 => {
                let function =
                    Function::old(flags).ok_or(Fault::Damage(&"an allocation names no function"))?;
                let pointer = cursor.delta(self.pointer)?;
                let sized = kind == 2 || function.role() != Role::Free;
                let size = if sized { cursor.varint()? } else { 0 };
                if kind == 2 {
                    cursor.varint()?;
                }
                self.pointer = pointer;
                to.allocation(function, pointer, size)?;
            }
            3 => {
                let frame = cursor.delta(self.frame)?;
                let (function, file) = (cursor.string()?, cursor.string()?);
                let line = cursor.delta(self.line)?;
                (self.frame, self.line) = (frame, line);
                to.frame(frame, function, file, (line as u32).cast_signed());
            }
            4 => {
                self.frame = cursor.delta(self.frame)?;
                to.frame_push(self.frame, 0, true)?;
            }
            9 => to.frame_pop(usize::from(flags) + 1)?,
            11 => time(cursor, to)?,
            kind => other(kind, &mut self.segments, cursor, to)?,
        }
        Ok(Next::Record)
    }
}
