//! What a block does to the trace that is being read.

use std::collections::VecDeque;
use std::sync::Arc;

use sim_core::domains::ObjectHeap;
use sim_core::tape::{Columns, Frame, FrameId, NAMES_MAX, StackId, Stacks, StringId, TimeMark};
use sim_core::{Note, TraceBuilder};

use super::columns::{call, exchange, heap_of, take_actions};
use super::facts::set_meta;
use super::picture::PictureReader;
use super::slots::tape_state;
use crate::codec::Unpacker;
use crate::columns::{Block, BlockReader};
use crate::container::{BlockKind, Header};
use crate::meta::Meta;
use crate::prediction::Prediction;
use crate::state::State;
use crate::tables::{self, Moment};
use crate::varint::moved;

const WRONG_TABLE: &str = "a table does not hold what it must";

/// The trace so far, and what the next block needs.
pub(super) struct Decoder {
    pub(super) builder: TraceBuilder,
    unpacker: Unpacker,
    blocks: BlockReader,
    block: Block,
    columns: Columns,
    heaps: Vec<(u32, ObjectHeap)>,
    raw: Vec<u8>,
    prediction: Prediction,
    /// Moments of operations that have not come yet.
    moments: VecDeque<TimeMark>,
    addresses: Vec<u64>,
    /// The picture of which not all blocks have come.
    picture: Option<Box<PictureReader>>,
}

impl Decoder {
    pub(super) fn new(builder: TraceBuilder, pool_bits: u8) -> Self {
        Self {
            builder,
            unpacker: Unpacker::default(),
            blocks: BlockReader::default(),
            block: Block::default(),
            columns: Columns::default(),
            heaps: Vec::new(),
            raw: Vec::new(),
            prediction: Prediction::new(pool_bits),
            moments: VecDeque::new(),
            addresses: Vec::new(),
            picture: None,
        }
    }

    /// The payload of a block that is packed as one.
    pub(super) fn unpack(&mut self, header: &Header, payload: &[u8]) -> Result<Vec<u8>, String> {
        let mut raw = std::mem::take(&mut self.raw);
        raw.clear();
        header.unpack(&mut self.unpacker, payload, &mut raw)?;
        Ok(raw)
    }

    /// Takes a block whose checksum holds; true at the end of the file. What is wrong, as the middle of
    /// a sentence.
    pub(super) fn block(&mut self, header: &Header, payload: &[u8]) -> Result<bool, String> {
        let needs_all = [BlockKind::Operations, BlockKind::State, BlockKind::End];
        if self.picture.is_some() && header.kind().is_some_and(|kind| needs_all.contains(&kind)) {
            return Err("the picture of the process before it is not whole".to_owned());
        }
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
                if let Some(mark) = self.builder.trace().head.marks.last().filter(|m| m.at > header.first) {
                    return Err(format!("a mark stands after {} operations, past the end", mark.at));
                }
                self.place_moments(u64::MAX);
                return Ok(true);
            }
            Some(BlockKind::Picture) => {
                let raw = self.unpack(header, payload)?;
                let taken = self.picture(header, &raw);
                self.raw = raw;
                taken?;
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

    /// Takes a block of the picture.
    fn picture(&mut self, header: &Header, raw: &[u8]) -> Result<(), String> {
        if let Some(picture) = self.picture.get_or_insert_default().take(header, raw)? {
            self.picture = None;
            self.builder.begin_with(Arc::new(picture)).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    fn misplaced(&self, first: u64) -> String {
        format!("operation {} is announced where operation {} must follow", first, self.builder.len())
    }

    /// Takes what is no operation.
    fn entries(&mut self, kind: BlockKind, header: &Header, raw: &[u8]) -> Result<(), String> {
        let trace = self.builder.trace();
        let expected = match kind {
            BlockKind::Strings => trace.origin.stacks.string_count(),
            BlockKind::Frames => trace.origin.stacks.frame_count(),
            BlockKind::Stacks => trace.origin.stacks.len(),
            BlockKind::Names => trace.name_count(),
            BlockKind::Meta => return set_meta(Meta::take(raw)?, self.builder.trace_mut()),
            _ => return self.between(kind, header, raw),
        };
        if header.first != u64::from(expected) {
            return Err(format!("entry {} of a table stands where {expected} must follow", header.first));
        }
        let (count, builder) = (header.count, &mut self.builder);
        let taken = match kind {
            BlockKind::Names => tables::take_texts(raw, count, |name| add_name(builder, name)),
            _ => add_entries(kind, raw, count, &mut builder.trace_mut().origin.stacks),
        };
        taken.ok_or_else(|| WRONG_TABLE.to_owned())
    }

    /// Takes what stands between operations.
    fn between(&mut self, kind: BlockKind, header: &Header, raw: &[u8]) -> Result<(), String> {
        let (first, count) = (header.first, header.count);
        let taken = if kind == BlockKind::Marks {
            return take_marks(first, raw, count, &mut self.builder);
        } else if kind == BlockKind::Notes {
            let notes = &mut self.builder.trace_mut().head.notes;
            tables::take_notes(first, raw, count, |at, text| notes.push(Note { at, text: text.to_owned() }))
        } else {
            let moments = &mut self.moments;
            tables::take_times(first, raw, count, |moment| {
                let Moment { at, time_ns, rss_bytes } = moment;
                moments.push_back(TimeMark { at, time_ns, rss_bytes });
            })
        };
        taken.ok_or_else(|| WRONG_TABLE.to_owned())
    }

    fn operations(&mut self, header: &Header, payload: &[u8]) -> Result<(), String> {
        if header.first != self.builder.len() {
            return Err(self.misplaced(header.first));
        }
        self.blocks.unpack(payload, header.count, &mut self.block)?;
        take_actions(&self.block, &mut self.columns)
            .ok_or_else(|| "the column of actions does not hold what it must".to_owned())?;
        exchange(&mut self.columns, &mut self.block);
        let rows = self.columns.heads.len();
        self.heaps.clear();
        self.heaps.extend(self.block.heaps.iter().map(|&(length, heap)| (length, heap_of(heap))));
        let block = &self.block;
        let one_line = |e: sim_core::TapeError| e.to_string();
        self.builder.extend_rows(&self.columns).map_err(one_line)?;
        self.builder.extend_threads(rows, &block.threads).map_err(one_line)?;
        self.builder.extend_object_heaps(rows, &self.heaps).map_err(one_line)?;
        if !block.stacks.is_empty() {
            self.builder.extend_stacks(&block.stacks).map_err(one_line)?;
        }
        if !block.hits.is_empty() {
            self.address(rows).ok_or_else(|| "the addresses do not hold what they must".to_owned())?;
            self.builder.extend_addresses(&self.addresses).map_err(one_line)?;
        }
        self.place_moments(self.builder.len());
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
                let op = call(&trace.packed(index));
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
    fn place_moments(&mut self, end: u64) {
        let count = self.moments.iter().take_while(|m| m.at < end).count();
        self.builder.trace_mut().origin.moments.extend(self.moments.drain(..count));
    }

    /// Goes to a STATE block's place. Tables and facts stay.
    pub(super) fn resume(&mut self, header: &Header, payload: &[u8]) -> Result<(), String> {
        let raw = self.unpack(header, payload)?;
        let (state, blocks) = State::take(&raw).ok_or("a state does not hold what it must")?;
        self.builder.resume(&tape_state(state, header.first)).map_err(|e| e.to_string())?;
        self.prediction.restart_at(blocks);
        self.moments.clear();
        self.raw = raw;
        Ok(())
    }
}

/// Takes marks, which must stand in order and bear names that can be seen. What is wrong, as the middle of a sentence.
pub(super) fn take_marks(
    first: u64,
    raw: &[u8],
    count: u32,
    builder: &mut TraceBuilder,
) -> Result<(), String> {
    let mut wrong = None;
    let taken = tables::take_notes(first, raw, count, |at, name| {
        if wrong.is_none() {
            wrong = builder.mark_at(at, name).err();
        }
    });
    match wrong {
        Some(error) => Err(error.to_string()),
        None => taken.ok_or_else(|| WRONG_TABLE.to_owned()),
    }
}

/// Names a snapshot; false where that name is not the next one.
fn add_name(builder: &mut TraceBuilder, name: &str) -> bool {
    let next = builder.trace().name_count();
    // Looking for a name takes as long as there are names.
    next < NAMES_MAX && builder.name_number(name) == next
}

/// Appends entries of the tables of strings, frames or stacks.
fn add_entries(kind: BlockKind, raw: &[u8], count: u32, stacks: &mut Stacks) -> Option<()> {
    match kind {
        BlockKind::Strings => tables::take_texts(raw, count, |text| {
            stacks.append_string(text);
            true
        }),
        BlockKind::Frames => tables::take_frames(raw, count, |frame| {
            let (function, file) = (StringId(frame.function), StringId(frame.file));
            stacks.append_frame(Frame { function, file, line: frame.line })
        }),
        _ => tables::take_stacks(stacks.len(), raw, count, |caller, frame| {
            stacks.append_node(StackId(caller), FrameId(frame))
        }),
    }
}
