//! Tables that grow along the file: strings, frames, stacks, names; and what belongs between operations: notes, marks, moments.
//!
//! Each pair of functions puts entries into a block's payload and takes them out again. A block of entries says in its
//! header how many they are and which number the first one has.

use crate::varint::{Numbers, distance, moved, put, put_text};

/// A frame: a place in a function, in strings of the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Frame {
    /// The function's name; 0 where it is not known.
    pub function: u32,
    /// The file's name.
    pub file: u32,
    /// The line, 0 when unknown.
    pub line: u32,
}

/// A moment of the recording.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Moment {
    /// Operations before it.
    pub at: u64,
    /// Nanoseconds since the recording began.
    pub time_ns: u64,
    /// The process's resident set in bytes, where it is known.
    pub rss_bytes: Option<u64>,
}

/// Appends strings of the table, or names of snapshots.
pub fn put_texts<'a>(texts: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
    texts.for_each(|text| put_text(out, text));
}

/// Appends frames. A block of frames begins anew, so all of it must be put at once.
pub fn put_frames(frames: impl Iterator<Item = Frame>, out: &mut Vec<u8>) {
    let mut last = Frame::default();
    for frame in frames {
        put(out, distance(u64::from(last.function), u64::from(frame.function)));
        put(out, distance(u64::from(last.file), u64::from(frame.file)));
        put(out, distance(u64::from(last.line), u64::from(frame.line)));
        last = frame;
    }
}

/// Appends stacks, each its caller's number and the frame on top, all of a block at once. Stacks are numbered from 1, so entry
/// `first` of the table is stack `first + 1`. A caller is counted back from its callee: most often it is the stack just before.
pub fn put_stacks(first: u32, stacks: impl Iterator<Item = (u32, u32)>, out: &mut Vec<u8>) {
    let mut last = 0;
    for (entry, (caller, frame)) in (u64::from(first)..).zip(stacks) {
        put(out, entry.wrapping_sub(u64::from(caller)));
        put(out, distance(last, u64::from(frame)));
        last = u64::from(frame);
    }
}

/// Appends notes, or marks, each with the operations before it, all of a block at once. `first` is the block's.
pub fn put_notes<'a>(first: u64, notes: impl Iterator<Item = (u64, &'a str)>, out: &mut Vec<u8>) {
    let mut last = first;
    for (at, text) in notes {
        put(out, distance(last, at));
        put_text(out, text);
        last = at;
    }
}

/// Appends moments, all of a block at once: operations since the one before, time since it, whether there is a resident set, and that.
pub fn put_times(first: u64, moments: impl Iterator<Item = Moment>, out: &mut Vec<u8>) {
    let (mut at, mut time_ns, mut rss) = (first, 0, 0);
    for moment in moments {
        put(out, distance(at, moment.at));
        put(out, distance(time_ns, moment.time_ns));
        out.push(u8::from(moment.rss_bytes.is_some()));
        if let Some(bytes) = moment.rss_bytes {
            put(out, distance(rss, bytes));
            rss = bytes;
        }
        (at, time_ns) = (moment.at, moment.time_ns);
    }
}

fn small(number: u64) -> Option<u32> {
    u32::try_from(number).ok()
}

/// Gives each text of a block to `each`, which says whether it can stand; `None` where the block does not hold what it must.
pub fn take_texts(raw: &[u8], count: u32, mut each: impl FnMut(&str) -> bool) -> Option<()> {
    let mut numbers = Numbers(raw);
    for _ in 0..count {
        each(numbers.text()?).then_some(())?;
    }
    numbers.done().then_some(())
}

/// The same with frames.
pub fn take_frames(raw: &[u8], count: u32, mut each: impl FnMut(Frame) -> bool) -> Option<()> {
    let (mut numbers, mut function, mut file, mut line) = (Numbers(raw), 0, 0, 0);
    for _ in 0..count {
        function = moved(function, numbers.number()?);
        file = moved(file, numbers.number()?);
        line = moved(line, numbers.number()?);
        let frame = Frame { function: small(function)?, file: small(file)?, line: small(line)? };
        each(frame).then_some(())?;
    }
    numbers.done().then_some(())
}

/// The same with stacks: the caller's number and the frame.
pub fn take_stacks(first: u32, raw: &[u8], count: u32, mut each: impl FnMut(u32, u32) -> bool) -> Option<()> {
    let (mut numbers, mut frame, mut entry) = (Numbers(raw), 0, first);
    for _ in 0..count {
        let caller = entry.checked_sub(numbers.small()?)?;
        frame = moved(frame, numbers.number()?);
        each(caller, small(frame)?).then_some(())?;
        entry = entry.checked_add(1)?;
    }
    numbers.done().then_some(())
}

/// Gives each note or mark of a block to `each`, with the operations before it.
pub fn take_notes(first: u64, raw: &[u8], count: u32, mut each: impl FnMut(u64, &str)) -> Option<()> {
    let (mut numbers, mut at) = (Numbers(raw), first);
    for _ in 0..count {
        at = moved(at, numbers.number()?);
        each(at, numbers.text()?);
    }
    numbers.done().then_some(())
}

/// Gives each moment of a block to `each`.
pub fn take_times(first: u64, raw: &[u8], count: u32, mut each: impl FnMut(Moment)) -> Option<()> {
    let (mut numbers, mut at, mut time_ns, mut rss) = (Numbers(raw), first, 0, 0);
    for _ in 0..count {
        let before = at;
        at = moved(at, numbers.number()?);
        time_ns = moved(time_ns, numbers.number()?);
        let rss_bytes = if numbers.bytes(1)?[0] == 0 {
            None
        } else {
            rss = moved(rss, numbers.number()?);
            Some(rss)
        };
        // Moments are searched by position, so they must be in order.
        if at < before {
            return None;
        }
        each(Moment { at, time_ns, rss_bytes });
    }
    numbers.done().then_some(())
}
