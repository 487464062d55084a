//! Writes calls as they happen: what a recorder has, which knows pointers and no trace.
//!
//! The recorder keeps for each live pointer the slot that its birth was given here, and names the block by it. All else that the
//! format wants of an operation (which slot is free, how many births ago a block was born, what its address was predicted to be)
//! is kept here, in some twenty bytes for each block that is live at once.

use std::io::{self, Write};

use crate::columns::{Block, IdRule, SIZE_COLUMNS};
use crate::container::{BlockKind, COUNT_MAX, FileHeader, FileProfile};
use crate::head::{self, Domain};
use crate::index::Totals;
use crate::meta::Meta;
use crate::prediction::{Call, Prediction};
use crate::state::{Owner, Slot, State};
use crate::stream::Stream;
use crate::tables::{self, Frame, Moment};
use crate::version::MINOR_PLAIN;

/// Blocks between two STATE blocks at least …
const STATE_BLOCKS: u64 = 16;
/// … and as many operations for each slot, so that states stay a small part of the file.
const STATE_OPERATIONS_PER_SLOT: u64 = 64;
/// Raw bytes after which a block of strings is closed.
const TABLE_BYTES: usize = 1 << 20;
/// Frames or stacks of one block.
const TABLE_ENTRIES: usize = 1 << 14;

/// Who calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Caller {
    /// The thread's number, from 0.
    pub thread: u16,
    /// The stack, by its number; 0 is the one without frames.
    pub stack: u32,
}

/// A capture that is being written.
///
/// A call that failed is left out. What was written before the process dies is in the file, but for the operations of the block that is
/// being filled.
pub struct CallWriter<W> {
    stream: Stream<W>,
    block: Block,
    block_operations: usize,
    prediction: Prediction,
    slots: Vec<Owned>,
    /// Slots without a block, the last one is given out first.
    free: Vec<u32>,
    last_id: u64,
    births: u64,
    /// Births before the block that is being filled.
    births_before: u64,
    last_state: u64,
    meta: Vec<u8>,
    totals: Totals,
    new_strings: Vec<String>,
    new_frames: Vec<Frame>,
    new_stacks: Vec<(u32, u32)>,
    /// Strings, frames and stacks that are written; string 0 is in every table.
    written: [u32; 3],
    used_stacks: Vec<bool>,
    moments: Vec<Moment>,
}

/// A slot, and when its block was born or last resized: births up to its own.
#[derive(Clone, Copy, Debug)]
struct Owned {
    owner: Owner,
    born: u64,
}

impl<W: Write> CallWriter<W> {
    /// Begins a capture into `out`. Pools of the process have 2 to the power of `pool_bits` bytes, 12 up to Python 3.9 and 14 since. Blocks have
    /// `block_operations`: a process that is killed loses so many at most, and larger ones pack better.
    pub fn new(out: W, pool_bits: u8, block_operations: usize, meta: &Meta) -> io::Result<Self> {
        let mut stream = Stream::new(out, FileProfile::Capture);
        stream.begin(FileHeader { profile: FileProfile::Capture, pool_bits, minor: MINOR_PLAIN })?;
        let mut writer = Self {
            stream,
            block: Block { rule: IdRule::Slot, ..Block::default() },
            block_operations: block_operations.clamp(1, COUNT_MAX as usize),
            prediction: Prediction::new(pool_bits),
            slots: Vec::new(),
            free: Vec::new(),
            last_id: 0,
            births: 0,
            births_before: 0,
            last_state: 0,
            meta: Vec::new(),
            totals: Totals { has_addresses: true, ..Totals::default() },
            new_strings: Vec::new(),
            new_frames: Vec::new(),
            new_stacks: Vec::new(),
            written: [1, 0, 0],
            used_stacks: Vec::new(),
            moments: Vec::new(),
        };
        writer.write_meta(meta)?;
        Ok(writer)
    }

    /// The number of a new string. The same text must come once.
    pub fn string(&mut self, text: &str) -> u32 {
        self.new_strings.push(text.to_owned());
        self.written[0] + self.new_strings.len() as u32 - 1
    }

    /// The number of a new frame, its strings known. The same frame must come once.
    pub fn frame(&mut self, frame: Frame) -> u32 {
        self.new_frames.push(frame);
        self.written[1] + self.new_frames.len() as u32 - 1
    }

    /// The number of a new stack: a frame that was called from a stack. The same stack must come once.
    pub fn stack(&mut self, caller: u32, frame: u32) -> u32 {
        self.new_stacks.push((caller, frame));
        self.written[2] + self.new_stacks.len() as u32
    }

    /// A moment before the next operation: nanoseconds since the recording began, and the resident set in bytes where it is known.
    pub fn moment(&mut self, time_ns: u64, rss_bytes: Option<u64>) {
        self.moments.push(Moment { at: self.totals.operations, time_ns, rss_bytes });
        self.totals.timed = true;
    }

    /// `malloc(size)` gave an address; the block's slot.
    pub fn malloc(&mut self, from: Caller, domain: Domain, size: u64, address: u64) -> io::Result<u32> {
        let slot = self.birth(domain);
        let head = head::MALLOC | domain.bits() | self.push_size(size);
        self.push(from, domain, Call { head, slot, size }, address)?;
        Ok(slot)
    }

    /// `calloc(elements, bytes of one)` gave an address; the block's slot.
    pub fn calloc(
        &mut self,
        from: Caller,
        domain: Domain,
        (elements, bytes): (u64, u64),
        address: u64,
    ) -> io::Result<u32> {
        let slot = self.birth(domain);
        self.block.callocs.push((elements, bytes));
        let call = Call { head: head::CALLOC | domain.bits(), slot, size: elements.saturating_mul(bytes) };
        self.push(from, domain, call, address)?;
        Ok(slot)
    }

    /// `realloc` of the block in a slot, or of NULL, gave an address; the slot, which a block keeps.
    pub fn realloc(
        &mut self,
        from: Caller,
        domain: Domain,
        slot: Option<u32>,
        size: u64,
        address: u64,
    ) -> io::Result<u32> {
        let mut head = head::REALLOC | domain.bits();
        let slot = if let Some(slot) = slot {
            self.use_block(slot);
            self.births += 1;
            self.own(slot, domain);
            slot
        } else {
            head |= head::NULL;
            self.birth(domain)
        };
        head |= self.push_size(size);
        self.push(from, domain, Call { head, slot, size }, address)?;
        Ok(slot)
    }

    /// `free` of the block in a slot, at an address, or of NULL. The slot is another's from here on.
    pub fn free(&mut self, from: Caller, domain: Domain, block: Option<(u32, u64)>) -> io::Result<()> {
        let head = head::FREE | domain.bits();
        let Some((slot, address)) = block else {
            return self.push(from, domain, Call { head: head | head::NULL, slot: 0, size: 0 }, 0);
        };
        self.use_block(slot);
        if let Some(owned) = self.slots.get_mut(slot as usize) {
            owned.owner = Owner::Nobody;
        }
        self.free.push(slot);
        self.push(from, domain, Call { head, slot, size: 0 }, address)
    }

    /// Writes what is left, facts as they are known now, and the end of the file.
    pub fn finish(mut self, meta: &Meta) -> io::Result<()> {
        self.flush()?;
        self.write_tables()?;
        self.write_moments()?;
        self.write_meta(meta)?;
        self.totals.slots = self.slots.len() as u32;
        self.totals.stacks = self.used_stacks.iter().filter(|used| **used).count() as u64;
        self.stream.finish(&self.totals)
    }

    fn own(&mut self, slot: u32, domain: Domain) {
        let owner = if domain == Domain::Raw { Owner::Raw } else { Owner::Pymalloc };
        if let Some(owned) = self.slots.get_mut(slot as usize) {
            *owned = Owned { owner, born: self.births };
        }
    }

    /// A slot for a new block. Its id is the one that the slot's block before had, or else the next: so one more than the slot.
    fn birth(&mut self, domain: Domain) -> u32 {
        self.births += 1;
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Owned { owner: Owner::Nobody, born: 0 });
            self.slots.len() as u32 - 1
        });
        self.own(slot, domain);
        self.last_id = u64::from(slot) + 1;
        slot
    }

    /// Names the block that is used: by how long ago it was born, or else by its slot.
    fn use_block(&mut self, slot: u32) {
        let born = self.slots.get(slot as usize).map_or(0, |owned| owned.born);
        if born > self.births_before {
            self.block.near.push((self.births + 1 - born) as u32);
        } else {
            self.block.near.push(0);
            self.block.far.push(slot);
        }
    }

    /// Puts a size into its column; the bit of the head for one that is wide.
    fn push_size(&mut self, size: u64) -> u8 {
        if let Ok(size) = u32::try_from(size) {
            self.block.sizes[SIZE_COLUMNS - 1].push(size);
            0
        } else {
            self.block.wide.push(size);
            head::WIDE
        }
    }

    /// What every operation has.
    fn push(&mut self, from: Caller, domain: Domain, call: Call, address: u64) -> io::Result<()> {
        self.block.heads.push(call.head);
        self.block.push_thread(from.thread);
        self.block.stacks.push(from.stack);
        self.block.push_address(&call, address, &mut self.prediction);
        let totals = &mut self.totals;
        totals.counts[domain as usize][usize::from(call.head & head::KIND)] += 1;
        note_thread(&mut totals.threads, from.thread, totals.operations);
        totals.operations += 1;
        if from.stack != 0 {
            totals.has_stacks = true;
            let at = from.stack as usize;
            if at >= self.used_stacks.len() {
                self.used_stacks.resize(at + 1, false);
            }
            self.used_stacks[at] = true;
        }
        if self.block.heads.len() == self.block_operations { self.flush() } else { Ok(()) }
    }

    /// Writes the block of operations that was filled, and what it needs before it.
    fn flush(&mut self) -> io::Result<()> {
        if self.block.heads.is_empty() {
            return Ok(());
        }
        self.write_tables()?;
        self.write_moments()?;
        self.block.drop_plain_runs();
        self.stream.write_operations(&self.block)?;
        self.block.clear();
        self.births_before = self.births;
        self.write_state()
    }

    fn write_tables(&mut self) -> io::Result<()> {
        let strings = std::mem::take(&mut self.new_strings);
        let mut rest = &strings[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let count = rest.iter().take_while(|text| {
                bytes += text.len();
                bytes <= TABLE_BYTES
            });
            // One that is larger than a block should be has a block of its own.
            let (these, others) = rest.split_at(count.count().max(1));
            let mut raw = Vec::new();
            tables::put_texts(these.iter().map(String::as_str), &mut raw);
            self.write_table(BlockKind::Strings, 0, these.len(), &raw)?;
            rest = others;
        }
        for frames in std::mem::take(&mut self.new_frames).chunks(TABLE_ENTRIES) {
            let mut raw = Vec::new();
            tables::put_frames(frames.iter().copied(), &mut raw);
            self.write_table(BlockKind::Frames, 1, frames.len(), &raw)?;
        }
        for stacks in std::mem::take(&mut self.new_stacks).chunks(TABLE_ENTRIES) {
            let mut raw = Vec::new();
            tables::put_stacks(self.written[2], stacks.iter().copied(), &mut raw);
            self.write_table(BlockKind::Stacks, 2, stacks.len(), &raw)?;
        }
        Ok(())
    }

    fn write_table(&mut self, kind: BlockKind, table: usize, count: usize, raw: &[u8]) -> io::Result<()> {
        let first = self.written[table];
        self.written[table] += count as u32;
        self.stream.write(kind, count as u32, u64::from(first), raw)
    }

    fn write_moments(&mut self) -> io::Result<()> {
        let first = self.stream.operations();
        for moments in std::mem::take(&mut self.moments).chunks(TABLE_ENTRIES) {
            let mut raw = Vec::new();
            tables::put_times(first, moments.iter().copied(), &mut raw);
            self.stream.write(BlockKind::Times, moments.len() as u32, first, &raw)?;
            if let Some(last) = moments.last() {
                self.stream.set_time_ns(last.time_ns);
            }
        }
        Ok(())
    }

    /// Writes the state where the last one is long ago.
    fn write_state(&mut self) -> io::Result<()> {
        let (first, slots) = (self.stream.operations(), self.slots.len() as u64);
        let least = (STATE_BLOCKS * self.block_operations as u64).max(STATE_OPERATIONS_PER_SLOT * slots);
        if first - self.last_state < least || slots > u64::from(COUNT_MAX) {
            return Ok(());
        }
        self.last_state = first;
        let ids = (1..).zip(&self.slots);
        let state = State {
            slots: ids.map(|(id, owned)| Slot { id, owner: owned.owner }).collect(),
            free: self.free.clone(),
            last_id: self.last_id,
            max_id: slots,
            ..State::default()
        };
        let mut raw = Vec::new();
        state.put(self.prediction.blocks(), &mut raw);
        self.prediction.restart();
        self.stream.write(BlockKind::State, slots as u32, first, &raw)
    }

    fn write_meta(&mut self, meta: &Meta) -> io::Result<()> {
        let mut raw = Vec::new();
        meta.put(&mut raw);
        if raw != self.meta {
            self.stream.write(BlockKind::Meta, 1, 0, &raw)?;
            self.meta = raw;
        }
        Ok(())
    }
}

/// Notes that an operation after so many others was on a thread; nothing is noted while all are on thread 0.
fn note_thread(seen: &mut Vec<bool>, thread: u16, before: u64) {
    let at = usize::from(thread);
    if thread == 0 && seen.is_empty() {
        return;
    }
    if at >= seen.len() {
        if seen.is_empty() && before > 0 {
            seen.push(true);
        }
        seen.resize(at + 1, false);
    }
    seen[at] = true;
}
