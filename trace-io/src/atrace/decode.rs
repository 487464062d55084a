//! What a block does to the trace that is being read.

use std::collections::VecDeque;

use sim_core::TraceBuilder;
use sim_core::tape::TimeMark;

use super::codec::Unpacker;
use super::columns::{Block, BlockReader};
use super::container::{BlockKind, Header};
use super::meta::take_meta;
use super::prediction::Prediction;
use super::state::take_state;
use super::tables;
use super::varint::moved;

/// The trace so far, and what the next block needs.
pub(crate) struct Decoder {
    pub(crate) builder: TraceBuilder,
    unpacker: Unpacker,
    blocks: BlockReader,
    block: Block,
    raw: Vec<u8>,
    prediction: Prediction,
    /// Moments of operations that have not come yet.
    marks: VecDeque<TimeMark>,
    addresses: Vec<u64>,
}

impl Decoder {
    pub(crate) fn new(builder: TraceBuilder, pool_bits: u8) -> Self {
        Self {
            builder,
            unpacker: Unpacker::default(),
            blocks: BlockReader::default(),
            block: Block::default(),
            raw: Vec::new(),
            prediction: Prediction::new(pool_bits),
            marks: VecDeque::new(),
            addresses: Vec::new(),
        }
    }

    /// The payload of a block that is packed as one.
    pub(crate) fn unpack(&mut self, header: &Header, payload: &[u8]) -> Result<Vec<u8>, String> {
        let mut raw = std::mem::take(&mut self.raw);
        raw.clear();
        let codec = header
            .codec()
            .ok_or_else(|| format!("codec {} is unknown; use a newer version", header.codec))?;
        self.unpacker
            .unpack(codec, payload, header.raw as usize, &mut raw)
            .ok_or_else(|| "a block cannot be unpacked".to_owned())?;
        Ok(raw)
    }

    /// Takes a block whose checksum holds; true at the end of the file. What is wrong, as the middle of
    /// a sentence.
    pub(crate) fn block(&mut self, header: &Header, payload: &[u8]) -> Result<bool, String> {
        match header.kind() {
            Some(BlockKind::Operations) => self.operations(header, payload)?,
            Some(BlockKind::State) => {
                self.prediction.restart();
                self.builder.forget_uses();
                if header.first != self.builder.len() {
                    return Err(self.misplaced(header.first));
                }
            }
            Some(BlockKind::End) => {
                if header.first != self.builder.len() {
                    return Err(self.misplaced(header.first));
                }
                self.place_marks(u64::MAX);
                return Ok(true);
            }
            Some(BlockKind::Index) | None => {}
            Some(kind) => {
                let raw = self.unpack(header, payload)?;
                let taken = self.entries(kind, header, &raw);
                self.raw = raw;
                taken?;
            }
        }
        Ok(false)
    }

    fn misplaced(&self, first: u64) -> String {
        format!("operation {} is announced where operation {} must follow", first, self.builder.len())
    }

    /// Takes what is no operation.
    fn entries(&mut self, kind: BlockKind, header: &Header, raw: &[u8]) -> Result<(), String> {
        if kind == BlockKind::Names {
            let names = u64::from(self.builder.trace().name_count());
            let taken =
                (header.first == names).then(|| tables::take_names(raw, header.count, &mut self.builder));
            return taken.flatten().ok_or_else(|| "a table does not hold what it must".to_owned());
        }
        let trace = self.builder.trace_mut();
        let (count, stacks) = (header.count, &mut trace.stacks);
        let expected = match kind {
            BlockKind::Strings => u64::from(stacks.string_count()),
            BlockKind::Frames => u64::from(stacks.frame_count()),
            BlockKind::Stacks => u64::from(stacks.len()),
            _ => header.first,
        };
        if header.first != expected {
            return Err(format!("entry {} of a table stands where {expected} must follow", header.first));
        }
        let taken = match kind {
            BlockKind::Meta => return take_meta(raw, trace),
            BlockKind::Strings => tables::take_strings(raw, count, stacks),
            BlockKind::Frames => tables::take_frames(raw, count, stacks),
            BlockKind::Stacks => tables::take_stacks(raw, count, stacks),
            BlockKind::Notes => tables::take_notes(raw, count, header.first, &mut trace.notes),
            _ => {
                let mut marks = Vec::new();
                let taken = tables::take_times(raw, count, header.first, &mut marks);
                self.marks.extend(marks);
                taken
            }
        };
        taken.ok_or_else(|| "a table does not hold what it must".to_owned())
    }

    fn operations(&mut self, header: &Header, payload: &[u8]) -> Result<(), String> {
        if header.first != self.builder.len() {
            return Err(self.misplaced(header.first));
        }
        self.blocks.unpack(payload, header.count, &mut self.block)?;
        let block = &self.block;
        let rows = block.columns.heads.len();
        let one_line = |e: sim_core::TapeError| e.to_string();
        self.builder.extend_rows(&block.columns).map_err(one_line)?;
        self.builder.extend_threads(rows, &block.threads).map_err(one_line)?;
        self.builder.extend_object_heaps(rows, &block.heaps).map_err(one_line)?;
        if !block.stacks.is_empty() {
            self.builder.extend_stacks(&block.stacks).map_err(one_line)?;
        }
        if !block.hits.is_empty() {
            self.address(rows).ok_or_else(|| "the addresses do not hold what they must".to_owned())?;
            self.builder.extend_addresses(&self.addresses).map_err(one_line)?;
        }
        self.place_marks(self.builder.len());
        Ok(())
    }

    /// Finds out the address of each of the last rows.
    fn address(&mut self, rows: usize) -> Option<()> {
        let trace = self.builder.trace();
        let from = (trace.len() as usize).checked_sub(rows)?;
        self.addresses.clear();
        let mut misses = self.block.misses.iter();
        let mut index = from;
        for (run, &length) in self.block.hits.iter().enumerate() {
            let end = index.checked_add(length as usize).filter(|&end| end <= from + rows)?;
            for index in index..end {
                let op = trace.packed(index);
                let predicted = self.prediction.predict(&op);
                let actual = if run % 2 == 0 {
                    predicted
                } else {
                    let base = self.prediction.base(&op, predicted).rotate_right(4);
                    moved(base, *misses.next()?).rotate_left(4)
                };
                self.prediction.learn(&op, predicted, actual);
                self.addresses.push(actual);
            }
            index = end;
        }
        (index == from + rows && misses.len() == 0).then_some(())
    }

    /// Moments up to where the operations are.
    fn place_marks(&mut self, end: u64) {
        let count = self.marks.iter().take_while(|m| m.at < end).count();
        self.builder.trace_mut().marks.extend(self.marks.drain(..count));
    }

    /// Goes to a STATE block's place. Tables and facts stay.
    pub(crate) fn resume(&mut self, header: &Header, payload: &[u8]) -> Result<(), String> {
        let raw = self.unpack(header, payload)?;
        let (state, places) = take_state(&raw, header.first).ok_or("a state does not hold what it must")?;
        self.builder.resume(&state).map_err(|e| e.to_string())?;
        self.prediction.restart();
        self.prediction.places = places;
        self.marks.clear();
        self.raw = raw;
        Ok(())
    }
}
