//! Writes the file: one pass, a block at a time.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::ops::Range;

use sim_core::domains::ObjectHeap;
use sim_core::tape::{Splitter, TimeMark, Totals};
use sim_core::{Note, Trace};

use super::codec::{Codec, Packer};
use super::columns::{Block, BlockWriter};
use super::container::{BlockKind, COUNT_MAX, FileHeader, FileProfile, Header};
use super::index::{Entry, put_index, size_bit};
use super::meta::put_meta;
use super::prediction::Prediction;
use super::state::put_state;
use super::tables::{self, Put};
use super::varint::distance;
use crate::writer::Writer;

/// Operations of a block: what a killed program loses at most, and enough for columns to pack well.
pub(crate) const BLOCK_OPERATIONS: usize = 1 << 16;
/// Blocks between two STATE blocks at least …
const STATE_BLOCKS: u64 = 16;
/// … and as many operations for each slot, so that states stay a small part of the file.
const STATE_OPERATIONS_PER_SLOT: u64 = 64;
/// More slots than this make no STATE block.
const STATE_SLOTS_MAX: u32 = 1 << 22;
/// Bytes an operation, without addresses, between which an archive's columns become tight; so far under it they cease to be.
/// What is small anyway is better read fast, and so is what stays large.
pub(crate) const TIGHT: Range<f64> = 0.585..0.85;
const TIGHT_UNDER: f64 = 0.025;
/// Operations that tell how the first columns should be.
const TRIAL_OPERATIONS: u64 = 1 << 12;
/// Entries of a block of strings, frames or stacks.
const TABLE_ENTRIES: u32 = 1 << 14;
/// Raw bytes after which a block of strings is closed.
const TABLE_BYTES: usize = 1 << 20;

/// A writer of `.atrace`.
pub(crate) struct AtraceWriter<W> {
    out: W,
    offset: u64,
    block_operations: usize,
    profile: FileProfile,
    /// See [`TIGHT`].
    tight: Range<f64>,
    packer: Packer,
    blocks: BlockWriter,
    begun: bool,
    meta: Vec<u8>,
    entries: Vec<Entry>,
    splitter: Splitter,
    block: Block,
    prediction: Prediction,
    /// Operations in blocks that are written.
    first: u64,
    /// Bytes that addresses took so far.
    address_bytes: u64,
    last_state: u64,
    time_ns: u64,
    notes: VecDeque<Note>,
    notes_taken: usize,
    marks: VecDeque<TimeMark>,
    last_mark: Option<TimeMark>,
    /// Strings, frames and stacks written.
    tables: [u32; 3],
    /// Names of snapshots written.
    names: u32,
    has_stacks: bool,
    has_addresses: bool,
    threads: u64,
    sizes: u64,
}

const TABLES: [(BlockKind, Put); 3] = [
    (BlockKind::Strings, tables::put_strings),
    (BlockKind::Frames, tables::put_frames),
    (BlockKind::Stacks, tables::put_stacks),
];

impl<W: Write> AtraceWriter<W> {
    pub(crate) fn new(out: W, profile: FileProfile, block_operations: usize, tight: Range<f64>) -> Self {
        let codec = if profile == FileProfile::Archive { Codec::Zstd } else { Codec::Lz4 };
        Self {
            out,
            offset: 0,
            block_operations: block_operations.clamp(1, COUNT_MAX as usize),
            profile,
            tight,
            packer: Packer::new(codec),
            blocks: BlockWriter::new(codec),
            begun: false,
            meta: Vec::new(),
            entries: Vec::new(),
            splitter: Splitter::default(),
            block: Block::default(),
            prediction: Prediction::new(14),
            first: 0,
            address_bytes: 0,
            last_state: 0,
            time_ns: 0,
            notes: VecDeque::new(),
            notes_taken: 0,
            marks: VecDeque::new(),
            last_mark: None,
            // The empty string is in every table.
            tables: [1, 0, 0],
            names: 0,
            has_stacks: false,
            has_addresses: false,
            threads: 0,
            sizes: 0,
        }
    }

    fn begin(&mut self, trace: &Trace) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        let pool_bits = pool_bits(trace);
        self.prediction = Prediction::new(pool_bits);
        self.block.columns.id_rule = Splitter::better_rule(trace, BLOCK_OPERATIONS);
        if self.profile == FileProfile::Archive {
            let first = self.try_first(trace);
            self.block.columns.tight = self.tight.contains(&first);
        }
        let header = FileHeader { profile: self.profile, pool_bits }.encode();
        self.out.write_all(&header)?;
        self.offset = header.len() as u64;
        self.write_meta(trace)
    }

    /// Bytes an operation that the first block would take if it were not tight; 0 if it is too short to tell.
    fn try_first(&mut self, trace: &Trace) -> f64 {
        if trace.len() < TRIAL_OPERATIONS {
            return 0.0;
        }
        let mut block = Block::default();
        block.columns.id_rule = self.block.columns.id_rule;
        // A trace that cannot be split is refused when it is written.
        let _ = Splitter::default().split(trace, 0, self.block_operations, &mut block.columns);
        let mut payload = Vec::new();
        self.blocks.pack(&block, &mut payload);
        payload.len() as f64 / block.columns.heads.len().max(1) as f64
    }

    fn write_meta(&mut self, trace: &Trace) -> io::Result<()> {
        let mut meta = Vec::new();
        put_meta(trace, &mut meta);
        if meta != self.meta {
            self.write_packed(BlockKind::Meta, 1, 0, &meta)?;
            self.meta = meta;
        }
        Ok(())
    }

    /// Writes a block whose payload is packed as one.
    fn write_packed(&mut self, kind: BlockKind, count: u32, first: u64, raw: &[u8]) -> io::Result<()> {
        let (codec, stored) = self.packer.pack(raw);
        let header = Header {
            kind: kind.code(),
            codec: codec as u8,
            raw: raw.len() as u32,
            stored: stored.len() as u32,
            count,
            first,
            time_ns: self.time_ns,
        };
        self.out.write_all(&header.encode(stored))?;
        self.out.write_all(stored)?;
        let written = super::container::HEADER_BYTES as u64 + stored.len() as u64;
        self.note_block(kind, count, first, written);
        Ok(())
    }

    fn note_block(&mut self, kind: BlockKind, count: u32, first: u64, bytes: u64) {
        let operations = kind == BlockKind::Operations;
        self.entries.push(Entry {
            kind,
            offset: self.offset,
            count,
            first,
            time_ns: self.time_ns,
            threads: if operations { self.threads } else { 0 },
            sizes: if operations { self.sizes } else { 0 },
        });
        self.offset += bytes;
    }

    /// What is new in the tables, before operations can need it.
    fn write_tables(&mut self, trace: &Trace) -> io::Result<()> {
        let stacks = &trace.stacks;
        let lengths = [stacks.string_count(), stacks.frame_count(), stacks.len()];
        for (table, &(kind, put)) in TABLES.iter().enumerate() {
            while self.tables[table] < lengths[table] {
                let first = self.tables[table];
                let most = lengths[table].min(first + TABLE_ENTRIES);
                let mut raw = Vec::new();
                let mut end = first;
                if kind == BlockKind::Strings {
                    while end < most && raw.len() < TABLE_BYTES {
                        put(stacks, end..end + 1, &mut raw);
                        end += 1;
                    }
                } else {
                    put(stacks, first..most, &mut raw);
                    end = most;
                }
                self.write_packed(kind, end - first, u64::from(first), &raw)?;
                self.tables[table] = end;
            }
        }
        let (first, names) = (self.names, trace.name_count());
        if first < names {
            let mut raw = Vec::new();
            tables::put_names(trace, first..names, &mut raw);
            self.write_packed(BlockKind::Names, names - first, u64::from(first), &raw)?;
            self.names = names;
        }
        Ok(())
    }

    /// Takes notes and moments that were not here before.
    fn take_marks(&mut self, trace: &Trace) {
        self.notes.extend(trace.notes.iter().skip(self.notes_taken).cloned());
        self.notes_taken = self.notes_taken.max(trace.notes.len());
        let last = self.last_mark;
        let new = |m: &&TimeMark| last.is_some_and(|l| (m.at, m.time_ns) <= (l.at, l.time_ns));
        self.marks.extend(trace.marks.iter().skip_while(new));
        self.last_mark = self.marks.back().copied().or(last);
    }

    /// Writes notes and moments of the operations before `end`.
    fn write_marks(&mut self, end: u64) -> io::Result<()> {
        let first = self.first;
        let notes: Vec<Note> = drain_before(&mut self.notes, |n| n.at < end);
        for notes in notes.chunks(TABLE_ENTRIES as usize) {
            let mut raw = Vec::new();
            tables::put_notes(notes, first, &mut raw);
            self.write_packed(BlockKind::Notes, notes.len() as u32, first, &raw)?;
        }
        let marks: Vec<TimeMark> = drain_before(&mut self.marks, |m| m.at < end);
        for marks in marks.chunks(TABLE_ENTRIES as usize) {
            let mut raw = Vec::new();
            tables::put_times(marks, first, &mut raw);
            self.write_packed(BlockKind::Times, marks.len() as u32, first, &raw)?;
            self.time_ns = marks.last().map_or(self.time_ns, |m| m.time_ns);
        }
        Ok(())
    }

    /// Writes the state where the last one is long ago. It stands before the first operation of a block.
    fn write_state(&mut self) -> io::Result<()> {
        let slots = self.splitter.slot_count();
        let blocks = STATE_BLOCKS * self.block_operations as u64;
        let least = blocks.max(STATE_OPERATIONS_PER_SLOT * u64::from(slots));
        if self.first - self.last_state < least || slots > STATE_SLOTS_MAX {
            return Ok(());
        }
        self.last_state = self.first;
        self.splitter.forget_uses();
        let mut raw = Vec::new();
        let places = if self.has_addresses { &self.prediction.places[..] } else { &[] };
        put_state(&self.splitter.state(), places, &mut raw);
        self.prediction.restart();
        self.write_packed(BlockKind::State, slots, self.first, &raw)
    }

    fn row_extras(&mut self, trace: &Trace, index: usize) {
        let op = trace.packed(index);
        let thread = trace.thread(index);
        match self.block.threads.last_mut() {
            Some(run) if run.1 == thread => run.0 += 1,
            _ => self.block.threads.push((1, thread)),
        }
        self.threads |= 1 << (thread % 64);
        let heap = trace.object_heap(index);
        match self.block.heaps.last_mut() {
            Some(run) if run.1 == heap => run.0 += 1,
            _ => self.block.heaps.push((1, heap)),
        }
        if matches!(op.kind, sim_core::Kind::Malloc | sim_core::Kind::Calloc | sim_core::Kind::Realloc) {
            self.sizes |= size_bit(op.size);
        }
        if self.has_stacks {
            self.block.stacks.push(trace.stack_of(index).0);
        }
        if self.has_addresses {
            let actual = trace.address_of(index).map_or(0, |a| a.0);
            let predicted = self.prediction.predict(&op);
            let hit = actual == predicted;
            // Runs of right and wrong ones take turns, a right one first.
            if (self.block.hits.len() % 2 == 1) == hit
                && let Some(run) = self.block.hits.last_mut()
            {
                *run += 1;
            } else {
                if self.block.hits.is_empty() && !hit {
                    self.block.hits.push(0);
                }
                self.block.hits.push(1);
            }
            if !hit {
                let base = self.prediction.base(&op, predicted);
                self.block.misses.push(distance(base.rotate_right(4), actual.rotate_right(4)));
            }
            self.prediction.learn(&op, predicted, actual);
        }
    }

    fn rows(&mut self, trace: &Trace) -> io::Result<()> {
        // A column that begins in the middle of a block: the rows before had nothing to say.
        let waiting = self.block.columns.heads.len();
        if trace.has_stacks() && !self.has_stacks {
            self.has_stacks = true;
            self.block.stacks.resize(waiting, 0);
        }
        if trace.has_addresses() && !self.has_addresses {
            self.flush()?;
            self.has_addresses = true;
        }
        let mut index = 0;
        while index < trace.len() as usize {
            let room = self.block_operations - self.block.columns.heads.len();
            let rows = room.min(trace.len() as usize - index);
            self.splitter.split(trace, index, rows, &mut self.block.columns).map_err(io::Error::other)?;
            (index..index + rows).for_each(|i| self.row_extras(trace, i));
            index += rows;
            if rows == room {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Writes the block of operations that was filled.
    fn flush(&mut self) -> io::Result<()> {
        let count = self.block.columns.heads.len();
        if count == 0 {
            return Ok(());
        }
        self.write_marks(self.first + count as u64)?;
        if self.block.threads.iter().all(|run| run.1 == 0) {
            self.block.threads.clear();
        }
        if self.block.heaps.iter().all(|run| run.1 == ObjectHeap::Object) {
            self.block.heaps.clear();
        }
        let mut payload = Vec::new();
        let (raw, of_addresses) = self.blocks.pack(&self.block, &mut payload);
        self.address_bytes += of_addresses;
        let header = Header {
            kind: BlockKind::Operations.code(),
            codec: Codec::None as u8,
            raw,
            stored: payload.len() as u32,
            count: count as u32,
            first: self.first,
            time_ns: self.time_ns,
        };
        self.out.write_all(&header.encode(&payload))?;
        self.out.write_all(&payload)?;
        let written = super::container::HEADER_BYTES as u64 + payload.len() as u64;
        self.note_block(BlockKind::Operations, count as u32, self.first, written);
        self.block.clear();
        (self.threads, self.sizes) = (0, 0);
        self.first += count as u64;
        let average = (self.offset - self.address_bytes) as f64 / self.first as f64;
        let over = self.tight.start - if self.block.columns.tight { TIGHT_UNDER } else { 0.0 };
        self.block.columns.tight =
            self.profile == FileProfile::Archive && (over..self.tight.end).contains(&average);
        self.write_state()
    }

    fn write_end(&mut self, totals: &Totals) -> io::Result<()> {
        let mut raw = Vec::new();
        let entries = std::mem::take(&mut self.entries);
        put_index(&entries, totals, self.notes_taken as u64, &mut raw);
        let index = self.offset;
        self.write_packed(BlockKind::Index, entries.len() as u32, totals.operations, &raw)?;
        let end = Header {
            kind: BlockKind::End.code(),
            codec: Codec::None as u8,
            raw: 8,
            stored: 8,
            count: 0,
            first: totals.operations,
            time_ns: self.time_ns,
        };
        let payload = index.to_le_bytes();
        self.out.write_all(&end.encode(&payload))?;
        self.out.write_all(&payload)
    }
}

impl<W: Write> Writer for AtraceWriter<W> {
    fn write(&mut self, piece: &Trace) -> io::Result<()> {
        self.begin(piece)?;
        self.write_tables(piece)?;
        self.take_marks(piece);
        self.rows(piece)
    }

    fn finish(mut self: Box<Self>, trace: &Trace) -> io::Result<Vec<String>> {
        self.begin(trace)?;
        self.write_tables(trace)?;
        self.take_marks(trace);
        self.flush()?;
        self.write_marks(u64::MAX)?;
        self.write_meta(trace)?;
        self.write_end(&trace.totals())?;
        self.out.flush()?;
        Ok(Vec::new())
    }
}

/// The front of a queue, as far as it is wanted.
fn drain_before<T>(queue: &mut VecDeque<T>, wanted: impl Fn(&T) -> bool) -> Vec<T> {
    let count = queue.iter().take_while(|t| wanted(t)).count();
    queue.drain(..count).collect()
}

/// log2 of the bytes of a pool in the process that was recorded: 4 KiB up to 3.9.
fn pool_bits(trace: &Trace) -> u8 {
    let python = trace.source.get("python").unwrap_or_default();
    let minor =
        python.strip_prefix("3.").and_then(|m| m.split('.').next()).and_then(|m| m.parse::<u32>().ok());
    let old = ["cpython-3.9", "cpython-3.8"].iter().any(|&p| trace.profile.as_deref() == Some(p));
    if old || minor.is_some_and(|m| m < 10) { 12 } else { 14 }
}
