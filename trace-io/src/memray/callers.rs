//! Who calls: threads, their stacks of frames, and the tree that all stacks share.
//!
//! memray writes frames as they are pushed and popped, thread by thread. Each node of its tree is one here, so
//! that stacks are counted as memray counts them; the trace's own tree has lines instead of instructions, and lacks
//! the launcher's frames at the bottom of the main thread.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use sim_core::tape::{Frame, FrameId, StackId, Stacks, StringId};

use super::line_table;
use super::primitives::{Fault, Read};

type Map<K, V> = HashMap<K, V, RandomState>;

const NONE: u32 = u32::MAX;

/// Nodes that any file may have; beyond them it must have [`BYTES_A_NODE`] bytes for each. The records measured
/// have a hundred and more.
const NODES_FREE: u64 = 1 << 20;
const BYTES_A_NODE: u64 = 32;

/// A place in memray's own terms: what was called from where.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Call {
    /// The code object; in formats 10 and 11 the frame.
    code: u64,
    parent: u32,
    entry: bool,
    offset: i64,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    frame: FrameId,
    /// Frames below it, itself included.
    depth: u32,
    /// The trace's stack, without the launcher's frames and with them; [`NONE`] until somebody asks.
    stacks: [u32; 2],
    /// Whether an allocation came from it.
    used: bool,
    /// What was called from it last; 0 for nothing.
    last: u32,
    /// What its caller called after it the last time; 0 for nothing. Programs do the same again and again.
    next: u32,
    call: Call,
}

#[derive(Debug)]
struct Code {
    function: StringId,
    file: StringId,
    first_line: i32,
    table: Box<[u8]>,
}

/// A frame on a thread's stack; the default is the bottom.
#[derive(Clone, Copy, Debug, Default)]
struct OnStack {
    node: u32,
    stack: u32,
}

#[derive(Debug, Default)]
struct Thread {
    stack: Vec<OnStack>,
}

/// Threads and stacks.
#[derive(Debug)]
pub(super) struct Callers {
    skipped_frames: u64,
    python_version: u32,
    numbers: Map<u64, u32>,
    threads: Vec<Thread>,
    current: Option<u32>,
    /// The uppermost frame of the thread in force.
    top: OnStack,
    /// Whether nothing was told of it since it became that.
    fresh: bool,
    codes: Map<u64, Code>,
    frames: Map<(u64, i64), FrameId>,
    nodes: Vec<Node>,
    calls: Map<Call, u32>,
    used: u64,
}

impl Callers {
    pub(super) fn new(main_thread: u64, skipped_frames: u64, python_version: u32) -> Self {
        // Nothing is called from there, so that no call is this one.
        let call = Call { code: 0, parent: NONE, entry: false, offset: 0 };
        let root = Node { frame: FrameId(0), depth: 0, stacks: [0, 0], used: false, last: 0, next: 0, call };
        Self {
            skipped_frames,
            python_version,
            numbers: Map::from_iter([(main_thread, 0)]),
            threads: vec![Thread::default()],
            current: None,
            top: OnStack::default(),
            fresh: true,
            codes: Map::default(),
            frames: Map::default(),
            nodes: vec![root],
            calls: Map::default(),
            used: 0,
        }
    }

    /// What follows belongs to this thread. The main thread has number 0, the others count up.
    pub(super) fn switch(&mut self, thread: u64) {
        let next = self.threads.len() as u32;
        let number = *self.numbers.entry(thread).or_insert(next);
        if number == next {
            self.threads.push(Thread::default());
        }
        self.current = Some(number);
        self.settle(number);
    }

    /// What changed the stack of the thread in force is over.
    #[inline]
    fn settle(&mut self, number: u32) {
        self.top = self.threads[number as usize].stack.last().copied().unwrap_or_default();
        self.fresh = true;
    }

    /// The number of the thread in force.
    #[inline]
    pub(super) fn thread(&self) -> Read<u32> {
        self.current.ok_or(Fault::Damage(&"it belongs to no thread"))
    }

    /// Which thread is in force, if the file did not say so before the first record.
    pub(super) fn begin_on(&mut self, thread: u64) {
        if self.current.is_none() {
            self.switch(thread);
        }
    }

    /// A code object with its line table.
    pub(super) fn code(
        &mut self,
        id: u64,
        function: StringId,
        file: StringId,
        first_line: i32,
        table: &[u8],
    ) {
        self.codes.insert(id, Code { function, file, first_line, table: table.into() });
    }

    /// A frame of formats 10 and 11, whose line memray looked up itself.
    pub(super) fn frame(&mut self, id: u64, frame: FrameId) {
        self.frames.insert((id, 0), frame);
    }

    /// A call on the thread in force. `bytes` of the file were read so far.
    #[inline]
    pub(super) fn push(
        &mut self,
        stacks: &mut Stacks,
        code: u64,
        offset: i64,
        entry: bool,
        bytes: u64,
    ) -> Read<()> {
        let number = self.thread()?;
        let top = self.top;
        let call = Call { code, parent: top.node, entry, offset };
        let last = self.nodes[top.node as usize].last;
        let guess = self.nodes[last as usize].next;
        let node = if self.nodes[guess as usize].call == call {
            guess
        } else {
            let node = match self.calls.get(&call) {
                Some(&node) => node,
                None => self.add(stacks, call, bytes)?,
            };
            self.nodes[last as usize].next = node;
            node
        };
        self.nodes[top.node as usize].last = node;
        let form = usize::from(number != 0);
        let entry = &mut self.nodes[node as usize];
        if entry.stacks[form] == NONE {
            let dropped = number == 0 && u64::from(entry.depth) <= self.skipped_frames;
            entry.stacks[form] = if dropped { 0 } else { stacks.push(StackId(top.stack), entry.frame).0 };
        }
        let stack = entry.stacks[form];
        self.top = OnStack { node, stack };
        self.fresh = true;
        self.threads[number as usize].stack.push(self.top);
        Ok(())
    }

    #[cold]
    fn add(&mut self, stacks: &mut Stacks, call: Call, bytes: u64) -> Read<u32> {
        let node = self.nodes.len() as u64;
        if node > NODES_FREE + bytes / BYTES_A_NODE || node >= u64::from(NONE) {
            return Err(Fault::Damage(&"it has more stacks than a capture of its size can have"));
        }
        let depth = self.nodes[call.parent as usize].depth + 1;
        let frame = self.resolve(stacks, call.code, call.offset);
        self.nodes.push(Node { frame, depth, stacks: [NONE; 2], used: false, last: 0, next: 0, call });
        self.calls.insert(call, node as u32);
        Ok(node as u32)
    }

    /// The line of an instruction. A code object that was never described has neither name nor line.
    fn resolve(&mut self, stacks: &mut Stacks, code: u64, offset: i64) -> FrameId {
        if let Some(&frame) = self.frames.get(&(code, offset)) {
            return frame;
        }
        let frame = match self.codes.get(&code) {
            None => Frame::default(),
            Some(code) => Frame {
                function: code.function,
                file: code.file,
                line: line_table::line(self.python_version, &code.table, code.first_line, offset),
            },
        };
        let frame = stacks.frame(frame);
        self.frames.insert((code, offset), frame);
        frame
    }

    /// Returns from calls on the thread in force.
    #[inline]
    pub(super) fn pop(&mut self, frames: usize) -> Read<()> {
        let number = self.thread()?;
        let stack = &mut self.threads[number as usize].stack;
        let left = stack.len().checked_sub(frames);
        stack.truncate(left.ok_or(Fault::Damage(&"it returns from more calls than were made"))?);
        self.settle(number);
        Ok(())
    }

    /// The stack of the thread in force.
    #[inline]
    pub(super) fn stack(&self) -> StackId {
        StackId(self.top.stack)
    }

    /// Whether [`Self::set_told`] was not called since it became the stack in force.
    #[inline]
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    pub(super) fn set_told(&mut self) {
        self.fresh = false;
    }

    /// An allocation comes from the stack in force.
    pub(super) fn mark_used(&mut self) {
        let node = &mut self.nodes[self.top.node as usize];
        if !node.used {
            node.used = true;
            self.used += 1;
        }
    }

    /// Different stacks that allocations came from, in memray's own count: by instruction and code object.
    pub(super) fn used(&self) -> u64 {
        self.used
    }
}
