//! memray's other kind of file (`--aggregate`): sums by stack, written when the program ends.

use std::collections::{BTreeMap, HashMap};

use foldhash::fast::RandomState;

use super::allocator::Function;
use super::header::Header;
use super::line_table;
use super::primitives::{Cursor, Fault, Read};
use crate::account::{Site, Sites};

type Map<K, V> = HashMap<K, V, RandomState>;

/// What a record was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Next {
    Record,
    Trailer,
}

/// A frame, by its function, file and line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
struct Place {
    function: String,
    file: String,
    line: u32,
}

#[derive(Debug)]
struct Code {
    function: String,
    file: String,
    first_line: i32,
    table: Vec<u8>,
}

/// Blocks and bytes, at the peak and at the end.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    peak: (u64, u64),
    leaked: (u64, u64),
}

/// The file as far as it was read.
#[derive(Debug)]
pub(super) struct Aggregate {
    /// Formats 12 and 13 name code objects, those before whole frames.
    new: bool,
    native: bool,
    version: u32,
    sites: Sites,
    codes: Map<u64, Code>,
    frames: Map<u64, Place>,
    /// The frame of each node of the tree of stacks; the first has number 1.
    nodes: Vec<u64>,
    /// By node and function.
    sums: BTreeMap<(u64, u8), Sums>,
    first_line: u64,
    segments: u64,
}

impl Aggregate {
    pub(super) fn new(header: &Header) -> Self {
        let version = header.python_version.unwrap_or(0);
        let python = header.python_version.map(|v| format!("{}.{}", v >> 24, v >> 16 & 0xff));
        Self {
            new: header.format >= 12,
            native: header.native,
            version,
            sites: Sites {
                file_format: header.format,
                command_line: header.command_line.clone(),
                python,
                allocator: header.allocator.name().to_owned(),
                python_allocators: header.python_allocators.unwrap_or(false),
                ..Sites::default()
            },
            codes: Map::default(),
            frames: Map::default(),
            nodes: Vec::new(),
            sums: BTreeMap::new(),
            first_line: 0,
            segments: 0,
        }
    }

    /// Reads all complete records: the bytes they take, and what follows.
    pub(super) fn read(&mut self, bytes: &[u8]) -> (usize, Read<Next>) {
        let mut cursor = Cursor::new(bytes);
        loop {
            let read = cursor.at();
            match self.record(&mut cursor) {
                Ok(Next::Record) => {}
                ended => return (read, ended),
            }
        }
    }

    fn record(&mut self, cursor: &mut Cursor<'_>) -> Read<Next> {
        let kind = cursor.byte()?;
        if self.segments > 0 {
            if kind != 8 {
                return Err(Fault::Damage(&"a segment of an image is missing"));
            }
            cursor.u64()?;
            cursor.varint()?;
            self.segments -= 1;
            return Ok(Next::Record);
        }
        match kind {
            1 => {
                let (_, resident, _) = (cursor.u64()?, cursor.u64()?, cursor.u64()?);
                self.sites.resident_bytes_max = self.sites.resident_bytes_max.max(resident);
            }
            2 => self.sum(cursor)?,
            3 if self.new => {
                let (frame, _) = (cursor.varint()?, cursor.varint()?);
                self.nodes.push(frame);
            }
            3 => {
                let (frame, _) = (cursor.u64()?, cursor.u32()?);
                self.nodes.push(frame);
            }
            4 => self.frame(cursor)?,
            // A native frame: its instruction and the one that called it.
            5 => {
                cursor.varint()?;
                cursor.varint()?;
            }
            6 => {}
            7 => {
                cursor.string()?;
                let segments = cursor.varint()?;
                cursor.u64()?;
                self.segments = segments;
            }
            10 => {
                cursor.string()?;
            }
            12 => {
                cursor.u64()?;
            }
            // An object that was alive at the end.
            13 if self.new => {
                cursor.varint()?;
                if self.native {
                    cursor.varint()?;
                }
            }
            14 if self.new => self.code(cursor)?,
            15 => return Ok(Next::Trailer),
            _ => return Err(Fault::Damage(&"no record of sums begins so")),
        }
        Ok(Next::Record)
    }

    /// A row of sums: thread, function, native frame, node, generation of images, and four counts.
    fn sum(&mut self, cursor: &mut Cursor<'_>) -> Read<()> {
        cursor.u64()?;
        let number = cursor.byte()?;
        cursor.take(7)?;
        let (_, node, _) = (cursor.u64()?, cursor.u64()?, cursor.u64()?);
        let [peak_blocks, leaked_blocks, peak_bytes, leaked_bytes] =
            [cursor.u64()?, cursor.u64()?, cursor.u64()?, cursor.u64()?];
        let function = if self.new { Function::new(number) } else { Function::old(number) };
        let function = function.ok_or(Fault::Damage(&"an allocation names no function"))?;
        let sums = self.sums.entry((node, function.number() as u8)).or_default();
        for (sum, (blocks, bytes)) in
            [(&mut sums.peak, (peak_blocks, peak_bytes)), (&mut sums.leaked, (leaked_blocks, leaked_bytes))]
        {
            *sum = (sum.0.saturating_add(blocks), sum.1.saturating_add(bytes));
        }
        Ok(())
    }

    fn frame(&mut self, cursor: &mut Cursor<'_>) -> Read<()> {
        if self.new {
            let (id, code, offset) = (cursor.varint()?, cursor.varint()?, cursor.signed()?);
            cursor.byte()?;
            let place = self.codes.get(&code).map(|code| Place {
                function: code.function.clone(),
                file: code.file.clone(),
                line: line_table::line(self.version, &code.table, code.first_line, offset),
            });
            self.frames.insert(id, place.unwrap_or_default());
        } else {
            let id = cursor.u64()?;
            let (function, file) = (text(cursor.string()?), text(cursor.string()?));
            let line = cursor.u32()?;
            cursor.byte()?;
            let line = u32::try_from(line.cast_signed()).unwrap_or(0);
            self.frames.insert(id, Place { function, file, line });
        }
        Ok(())
    }

    fn code(&mut self, cursor: &mut Cursor<'_>) -> Read<()> {
        let id = cursor.varint()?;
        let (function, file) = (text(cursor.string()?), text(cursor.string()?));
        let first_line = cursor.delta(self.first_line)?;
        let bytes = cursor.varint()?;
        let bytes = usize::try_from(bytes).ok().filter(|b| *b <= super::body::TABLE_BYTES_MAX as usize);
        let bytes = bytes.ok_or(Fault::Damage(&"a line table has more than 16 megabytes"))?;
        let table = cursor.take(bytes)?.to_vec();
        self.first_line = first_line;
        let first_line = (first_line as u32).cast_signed();
        self.codes.insert(id, Code { function, file, first_line, table });
        Ok(())
    }

    /// What was read, by place.
    pub(super) fn finish(&mut self, truncated: Option<String>) -> Sites {
        let nowhere = Place::default();
        let mut by_place: BTreeMap<(&Place, u8), Sums> = BTreeMap::new();
        for (&(node, function), sums) in &self.sums {
            let at = usize::try_from(node).ok().and_then(|n| n.checked_sub(1));
            let frame = at.and_then(|at| self.nodes.get(at));
            let place = frame.and_then(|frame| self.frames.get(frame)).unwrap_or(&nowhere);
            let all = by_place.entry((place, function)).or_default();
            for (all, one) in [(&mut all.peak, sums.peak), (&mut all.leaked, sums.leaked)] {
                *all = (all.0.saturating_add(one.0), all.1.saturating_add(one.1));
            }
        }
        let mut sites: Vec<Site> = by_place
            .into_iter()
            .map(|((place, function), sums)| Site {
                function: place.function.clone(),
                file: place.file.clone(),
                line: place.line,
                allocator: Function::new(function).map_or_else(String::new, |f| f.name().to_owned()),
                peak_blocks: sums.peak.0,
                peak_bytes: sums.peak.1,
                leaked_blocks: sums.leaked.0,
                leaked_bytes: sums.leaked.1,
            })
            .collect();
        sites.sort_by(|a, b| {
            (b.peak_bytes, b.leaked_bytes, &a.file, a.line, &a.function, &a.allocator).cmp(&(
                a.peak_bytes,
                a.leaked_bytes,
                &b.file,
                b.line,
                &b.function,
                &b.allocator,
            ))
        });
        let sum = |of: fn(&Site) -> u64| sites.iter().map(of).fold(0, u64::saturating_add);
        Sites {
            peak_bytes: sum(|s| s.peak_bytes),
            peak_blocks: sum(|s| s.peak_blocks),
            leaked_bytes: sum(|s| s.leaked_bytes),
            leaked_blocks: sum(|s| s.leaked_blocks),
            sites,
            truncated,
            ..std::mem::take(&mut self.sites)
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
