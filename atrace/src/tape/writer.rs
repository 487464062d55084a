//! Writes a trace, piece after piece.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use sim_core::tape::{Columns, FrameId, Splitter, StackId, Stacks, StringId, TimeMark};
use sim_core::{Mark, Note, Trace};

use super::columns::{call, exchange, heap_code, put_actions};
use super::facts::{meta_of, totals_of};
use super::picture::write_picture;
use super::slots::state_of;
use crate::columns::Block;
use crate::container::{BlockKind, COUNT_MAX, FileHeader, FileProfile};
use crate::prediction::Prediction;
use crate::stream::Stream;
use crate::tables::{self, Frame, Moment};
use crate::version::{MINOR, MINOR_PLAIN};

/// Operations of a block: what a killed program loses at most, and enough for columns to pack well.
pub const BLOCK_OPERATIONS: usize = 1 << 16;
/// Blocks between two STATE blocks at least …
const STATE_BLOCKS: u64 = 16;
/// … and as many operations for each slot, so that states stay a small part of the file.
const STATE_OPERATIONS_PER_SLOT: u64 = 64;
/// More slots than this make no STATE block.
const STATE_SLOTS_MAX: u32 = 1 << 22;
/// Bytes an operation, without addresses, between which an archive's columns become tight; so far under it they cease to be.
/// What is small anyway is better read fast, and so is what stays large.
pub const TIGHT: Range<f64> = 0.585..0.85;
const TIGHT_UNDER: f64 = 0.025;
/// Operations that tell how the first columns should be.
const TRIAL_OPERATIONS: u64 = 1 << 12;
/// Entries of a block of strings, frames or stacks.
const TABLE_ENTRIES: u32 = 1 << 14;
/// Raw bytes after which a block of strings is closed.
const TABLE_BYTES: usize = 1 << 20;

/// A writer of `.atrace`.
///
/// Pieces of a trace are written as they come, then the end. Rows are kept until they fill a block.
pub struct AtraceWriter<W> {
    stream: Stream<W>,
    block_operations: usize,
    profile: FileProfile,
    /// See [`TIGHT`].
    tight: Range<f64>,
    begun: bool,
    meta: Vec<u8>,
    splitter: Splitter,
    columns: Columns,
    /// What else belongs to the rows of `columns`.
    block: Block,
    prediction: Prediction,
    last_state: u64,
    notes: VecDeque<Note>,
    notes_taken: usize,
    marks: VecDeque<Mark>,
    marks_taken: usize,
    moments: VecDeque<TimeMark>,
    last_moment: Option<TimeMark>,
    /// Strings, frames and stacks written.
    tables: [u32; 3],
    /// Names of snapshots written.
    names: u32,
    has_stacks: bool,
    has_addresses: bool,
}

const TABLES: [BlockKind; 3] = [BlockKind::Strings, BlockKind::Frames, BlockKind::Stacks];

impl<W: Write> AtraceWriter<W> {
    /// A writer whose blocks have `block_operations`: [`BLOCK_OPERATIONS`] as a rule. Shorter ones are larger in all; a program that is
    /// killed loses less. An archive's columns are tight where they take between `tight` bytes an operation: [`TIGHT`] as a rule.
    pub fn new(out: W, profile: FileProfile, block_operations: usize, tight: Range<f64>) -> Self {
        Self {
            stream: Stream::new(out, profile),
            block_operations: block_operations.clamp(1, COUNT_MAX as usize),
            profile,
            tight,
            begun: false,
            meta: Vec::new(),
            splitter: Splitter::default(),
            columns: Columns::default(),
            block: Block::default(),
            prediction: Prediction::new(14),
            last_state: 0,
            notes: VecDeque::new(),
            notes_taken: 0,
            marks: VecDeque::new(),
            marks_taken: 0,
            moments: VecDeque::new(),
            last_moment: None,
            // The empty string is in every table.
            tables: [1, 0, 0],
            names: 0,
            has_stacks: false,
            has_addresses: false,
        }
    }

    fn begin(&mut self, trace: &Trace) -> io::Result<()> {
        if self.begun {
            return Ok(());
        }
        self.begun = true;
        let pool_bits = pool_bits(trace);
        self.prediction = Prediction::new(pool_bits);
        self.columns.id_rule = Splitter::better_rule(trace, BLOCK_OPERATIONS);
        if self.profile == FileProfile::Archive {
            let first = self.try_first(trace);
            self.columns.tight = self.tight.contains(&first);
        }
        let picture = trace.origin.picture.as_ref();
        let minor = if picture.is_some() { MINOR } else { MINOR_PLAIN };
        self.stream.begin(FileHeader { profile: self.profile, pool_bits, minor })?;
        self.write_meta(trace)?;
        if let Some(picture) = picture {
            self.splitter.begin_with(Arc::clone(picture)).map_err(io::Error::other)?;
            write_picture(&mut self.stream, picture)?;
        }
        Ok(())
    }

    /// Bytes an operation that the first block would take if it were not tight; 0 if it is too short to tell.
    fn try_first(&mut self, trace: &Trace) -> f64 {
        if trace.len() < TRIAL_OPERATIONS {
            return 0.0;
        }
        let mut columns = Columns { id_rule: self.columns.id_rule, ..Columns::default() };
        Splitter::try_first(trace, self.block_operations, &mut columns);
        let mut block = Block::default();
        put_actions(&columns, &mut block);
        exchange(&mut columns, &mut block);
        self.stream.try_operations(&block) as f64 / block.heads.len().max(1) as f64
    }

    fn write_meta(&mut self, trace: &Trace) -> io::Result<()> {
        let mut meta = Vec::new();
        meta_of(trace).put(&mut meta);
        if meta != self.meta {
            self.stream.write(BlockKind::Meta, 1, 0, &meta)?;
            self.meta = meta;
        }
        Ok(())
    }

    /// What is new in the tables, before operations can need it.
    fn write_tables(&mut self, trace: &Trace) -> io::Result<()> {
        let stacks = &trace.origin.stacks;
        let lengths = [stacks.string_count(), stacks.frame_count(), stacks.len()];
        for (table, &kind) in TABLES.iter().enumerate() {
            while self.tables[table] < lengths[table] {
                let first = self.tables[table];
                let most = lengths[table].min(first + TABLE_ENTRIES);
                let mut raw = Vec::new();
                let end = put_entries(kind, stacks, first..most, &mut raw);
                self.stream.write(kind, end - first, u64::from(first), &raw)?;
                self.tables[table] = end;
            }
        }
        let (first, names) = (self.names, trace.name_count());
        if first < names {
            let mut raw = Vec::new();
            tables::put_texts((first..names).map(|number| trace.name_of(number)), &mut raw);
            self.stream.write(BlockKind::Names, names - first, u64::from(first), &raw)?;
            self.names = names;
        }
        Ok(())
    }

    /// Takes notes, marks and moments that were not here before.
    fn take_remarks(&mut self, trace: &Trace) {
        self.notes.extend(trace.head.notes.iter().skip(self.notes_taken).cloned());
        self.notes_taken = self.notes_taken.max(trace.head.notes.len());
        self.marks.extend(trace.head.marks.iter().skip(self.marks_taken).cloned());
        self.marks_taken = self.marks_taken.max(trace.head.marks.len());
        let last = self.last_moment;
        let new = |m: &&TimeMark| last.is_some_and(|l| (m.at, m.time_ns) <= (l.at, l.time_ns));
        self.moments.extend(trace.origin.moments.iter().skip_while(new));
        self.last_moment = self.moments.back().copied().or(last);
    }

    /// Writes notes, marks and moments of the operations before `end`.
    fn write_remarks(&mut self, end: u64) -> io::Result<()> {
        let first = self.stream.operations();
        let notes: Vec<Note> = drain_before(&mut self.notes, |n| n.at < end);
        for notes in notes.chunks(TABLE_ENTRIES as usize) {
            let mut raw = Vec::new();
            tables::put_notes(first, notes.iter().map(|note| (note.at, note.text.as_str())), &mut raw);
            self.stream.write(BlockKind::Notes, notes.len() as u32, first, &raw)?;
        }
        let marks: Vec<Mark> = drain_before(&mut self.marks, |m| m.at < end);
        for marks in marks.chunks(TABLE_ENTRIES as usize) {
            let mut raw = Vec::new();
            tables::put_notes(first, marks.iter().map(|mark| (mark.at, mark.name())), &mut raw);
            self.stream.write(BlockKind::Marks, marks.len() as u32, first, &raw)?;
        }
        let moments: Vec<TimeMark> = drain_before(&mut self.moments, |m| m.at < end);
        for moments in moments.chunks(TABLE_ENTRIES as usize) {
            let mut raw = Vec::new();
            tables::put_times(first, moments.iter().map(moment), &mut raw);
            self.stream.write(BlockKind::Times, moments.len() as u32, first, &raw)?;
            if let Some(last) = moments.last() {
                self.stream.set_time_ns(last.time_ns);
            }
        }
        Ok(())
    }

    /// Writes the state where the last one is long ago. It stands before the first operation of a block.
    fn write_state(&mut self) -> io::Result<()> {
        let slots = self.splitter.slot_count();
        let blocks = STATE_BLOCKS * self.block_operations as u64;
        let least = blocks.max(STATE_OPERATIONS_PER_SLOT * u64::from(slots));
        let first = self.stream.operations();
        if first - self.last_state < least || slots > STATE_SLOTS_MAX {
            return Ok(());
        }
        self.last_state = first;
        self.splitter.forget_uses();
        let mut raw = Vec::new();
        let blocks = if self.has_addresses { self.prediction.blocks() } else { &[] };
        state_of(&self.splitter.state()).put(blocks, &mut raw);
        self.prediction.restart();
        self.stream.write(BlockKind::State, slots, first, &raw)
    }

    fn row_extras(&mut self, trace: &Trace, index: usize) {
        self.block.push_thread(trace.thread(index));
        self.block.push_heap(heap_code(trace.object_heap(index)));
        if self.has_stacks {
            self.block.stacks.push(trace.stack_of(index).0);
        }
        if self.has_addresses {
            let actual = trace.address_of(index).map_or(0, |a| a.0);
            self.block.push_address(&call(&trace.packed(index)), actual, &mut self.prediction);
        }
    }

    fn rows(&mut self, trace: &Trace) -> io::Result<()> {
        // A column that begins in the middle of a block: the rows before had nothing to say.
        let waiting = self.columns.heads.len();
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
            let room = self.block_operations - self.columns.heads.len();
            let rows = room.min(trace.len() as usize - index);
            self.splitter.split(trace, index, rows, &mut self.columns).map_err(io::Error::other)?;
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
        let count = self.columns.heads.len();
        if count == 0 {
            return Ok(());
        }
        self.write_remarks(self.stream.operations() + count as u64)?;
        self.block.drop_plain_runs();
        put_actions(&self.columns, &mut self.block);
        exchange(&mut self.columns, &mut self.block);
        let written = self.stream.write_operations(&self.block);
        exchange(&mut self.columns, &mut self.block);
        written?;
        self.columns.clear();
        self.block.clear();
        let average = self.stream.bytes_an_operation();
        let over = self.tight.start - if self.columns.tight { TIGHT_UNDER } else { 0.0 };
        self.columns.tight =
            self.profile == FileProfile::Archive && (over..self.tight.end).contains(&average);
        self.write_state()
    }

    /// Writes the operations that are here, which must follow those written before. What else is known of the trace may
    /// still grow.
    pub fn write(&mut self, piece: &Trace) -> io::Result<()> {
        self.begin(piece)?;
        self.write_tables(piece)?;
        self.take_remarks(piece);
        self.rows(piece)
    }

    /// Writes what stands after the operations. `trace` must be complete but for its operations.
    pub fn finish(&mut self, trace: &Trace) -> io::Result<()> {
        self.begin(trace)?;
        self.write_tables(trace)?;
        self.take_remarks(trace);
        self.flush()?;
        // A reader refuses marks past the end.
        let end = self.stream.operations();
        self.marks.retain(|mark| mark.at <= end);
        self.write_remarks(u64::MAX)?;
        self.write_meta(trace)?;
        self.stream.finish(&totals_of(trace.totals(), self.notes_taken as u64))
    }
}

/// Puts entries of a table of stacks into a block, as many as it may hold, and says before which one it stopped.
fn put_entries(kind: BlockKind, stacks: &Stacks, range: Range<u32>, out: &mut Vec<u8>) -> u32 {
    let mut end = range.end;
    match kind {
        BlockKind::Strings => {
            end = range.start;
            while end < range.end && out.len() < TABLE_BYTES {
                tables::put_texts(std::iter::once(stacks.text(StringId(end))), out);
                end += 1;
            }
        }
        BlockKind::Frames => {
            let frames = range.filter_map(|id| stacks.frame_at(FrameId(id)));
            let plain =
                |f: sim_core::tape::Frame| Frame { function: f.function.0, file: f.file.0, line: f.line };
            tables::put_frames(frames.map(plain), out);
        }
        _ => {
            let first = range.start;
            let nodes = range.filter_map(|entry| stacks.node(StackId(entry + 1)));
            tables::put_stacks(first, nodes.map(|(caller, frame)| (caller.0, frame.0)), out);
        }
    }
    end
}

fn moment(mark: &TimeMark) -> Moment {
    Moment { at: mark.at, time_ns: mark.time_ns, rss_bytes: mark.rss_bytes }
}

/// The front of a queue, as far as it is wanted.
fn drain_before<T>(queue: &mut VecDeque<T>, wanted: impl Fn(&T) -> bool) -> Vec<T> {
    let count = queue.iter().take_while(|t| wanted(t)).count();
    queue.drain(..count).collect()
}

/// log2 of the bytes of a pool in the process that was recorded: 4 KiB up to 3.9.
fn pool_bits(trace: &Trace) -> u8 {
    if let Some(heap) = trace.origin.picture.as_ref().and_then(|picture| picture.main()) {
        // A reader takes 8 to 24.
        return heap.pool_bytes.max(1).ilog2().clamp(8, 24) as u8;
    }
    let python = trace.origin.source.get("python").unwrap_or_default();
    let minor =
        python.strip_prefix("3.").and_then(|m| m.split('.').next()).and_then(|m| m.parse::<u32>().ok());
    let old = ["cpython-3.9", "cpython-3.8"].iter().any(|&p| trace.head.profile.as_deref() == Some(p));
    if old || minor.is_some_and(|m| m < 10) { 12 } else { 14 }
}
