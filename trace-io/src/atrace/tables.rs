//! Tables that grow along the file: strings, frames, stacks; and what belongs between operations: notes, moments.

use sim_core::tape::{Frame, FrameId, NAMES_MAX, StackId, Stacks, StringId, TimeMark};
use sim_core::{Note, Trace, TraceBuilder};

use super::varint::{Numbers, distance, moved, put, put_text};

/// Entries from `from` to before `to` of one of the tables, as bytes.
pub(crate) type Put = fn(&Stacks, std::ops::Range<u32>, &mut Vec<u8>);

pub(crate) fn put_strings(stacks: &Stacks, range: std::ops::Range<u32>, out: &mut Vec<u8>) {
    range.for_each(|id| put_text(out, stacks.text(StringId(id))));
}

pub(crate) fn put_frames(stacks: &Stacks, range: std::ops::Range<u32>, out: &mut Vec<u8>) {
    let mut last = Frame::default();
    for frame in range.filter_map(|id| stacks.frame_at(FrameId(id))) {
        put(out, distance(u64::from(last.function.0), u64::from(frame.function.0)));
        put(out, distance(u64::from(last.file.0), u64::from(frame.file.0)));
        put(out, distance(u64::from(last.line), u64::from(frame.line)));
        last = frame;
    }
}

/// Stacks are numbered from 1, so entry `n` of the table is stack `n + 1`. A caller is counted back from
/// its callee: most often it is the stack just before.
pub(crate) fn put_stacks(stacks: &Stacks, range: std::ops::Range<u32>, out: &mut Vec<u8>) {
    let mut last = 0;
    for entry in range {
        if let Some((caller, frame)) = stacks.node(StackId(entry + 1)) {
            put(out, u64::from(entry - caller.0));
            put(out, distance(last, u64::from(frame.0)));
            last = u64::from(frame.0);
        }
    }
}

fn small(number: u64) -> Option<u32> {
    u32::try_from(number).ok()
}

pub(crate) fn take_strings(raw: &[u8], count: u32, stacks: &mut Stacks) -> Option<()> {
    let mut numbers = Numbers(raw);
    for _ in 0..count {
        stacks.append_string(numbers.text()?);
    }
    numbers.done().then_some(())
}

pub(crate) fn take_frames(raw: &[u8], count: u32, stacks: &mut Stacks) -> Option<()> {
    let (mut numbers, mut function, mut file, mut line) = (Numbers(raw), 0, 0, 0);
    for _ in 0..count {
        function = moved(function, numbers.next()?);
        file = moved(file, numbers.next()?);
        line = moved(line, numbers.next()?);
        let frame =
            Frame { function: StringId(small(function)?), file: StringId(small(file)?), line: small(line)? };
        stacks.append_frame(frame).then_some(())?;
    }
    numbers.done().then_some(())
}

pub(crate) fn take_stacks(raw: &[u8], count: u32, stacks: &mut Stacks) -> Option<()> {
    let (mut numbers, mut frame) = (Numbers(raw), 0);
    for _ in 0..count {
        let caller = stacks.len().checked_sub(numbers.small()?)?;
        frame = moved(frame, numbers.next()?);
        stacks.append_node(StackId(caller), FrameId(small(frame)?)).then_some(())?;
    }
    numbers.done().then_some(())
}

/// Names of snapshots.
pub(crate) fn put_names(trace: &Trace, range: std::ops::Range<u32>, out: &mut Vec<u8>) {
    range.for_each(|number| put_text(out, trace.name_of(number)));
}

pub(crate) fn take_names(raw: &[u8], count: u32, builder: &mut TraceBuilder) -> Option<()> {
    let mut numbers = Numbers(raw);
    for _ in 0..count {
        let next = builder.trace().name_count();
        // Looking for a name takes as long as there are names.
        (next < NAMES_MAX && builder.name_number(numbers.text()?) == next).then_some(())?;
    }
    numbers.done().then_some(())
}

pub(crate) fn put_notes(notes: &[Note], first: u64, out: &mut Vec<u8>) {
    let mut last = first;
    for note in notes {
        put(out, distance(last, note.at));
        put_text(out, &note.text);
        last = note.at;
    }
}

pub(crate) fn take_notes(raw: &[u8], count: u32, first: u64, notes: &mut Vec<Note>) -> Option<()> {
    let (mut numbers, mut at) = (Numbers(raw), first);
    for _ in 0..count {
        at = moved(at, numbers.next()?);
        notes.push(Note { at, text: numbers.text()?.to_owned() });
    }
    numbers.done().then_some(())
}

/// Each moment: operations since the one before, time since it, whether there is a resident set, and that.
pub(crate) fn put_times(marks: &[TimeMark], first: u64, out: &mut Vec<u8>) {
    let (mut at, mut time_ns, mut rss) = (first, 0, 0);
    for mark in marks {
        put(out, distance(at, mark.at));
        put(out, distance(time_ns, mark.time_ns));
        out.push(u8::from(mark.rss_bytes.is_some()));
        if let Some(bytes) = mark.rss_bytes {
            put(out, distance(rss, bytes));
            rss = bytes;
        }
        (at, time_ns) = (mark.at, mark.time_ns);
    }
}

pub(crate) fn take_times(raw: &[u8], count: u32, first: u64, marks: &mut Vec<TimeMark>) -> Option<()> {
    let (mut numbers, mut at, mut time_ns, mut rss) = (Numbers(raw), first, 0, 0);
    for _ in 0..count {
        let before = at;
        at = moved(at, numbers.next()?);
        time_ns = moved(time_ns, numbers.next()?);
        let rss_bytes = if numbers.bytes(1)?[0] == 0 {
            None
        } else {
            rss = moved(rss, numbers.next()?);
            Some(rss)
        };
        // Moments are searched by position, so they must be in order.
        if at < before {
            return None;
        }
        marks.push(TimeMark { at, time_ns, rss_bytes });
    }
    numbers.done().then_some(())
}
