//! Python stacks, each kept once: a tree of frames whose root is the stack without Python code.
//!
//! A stack is the number of the frame on top; its parent is the stack of the caller. Programs call from
//! hundreds of thousands of stacks that share most of their frames, so a stack costs eight bytes here.

use std::fmt;

use foldhash::HashMap;
use foldhash::HashMapExt as _;

use super::grown::Grown;

/// A stack: a node of the tree. 0 is the stack without frames.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct StackId(pub u32);

/// A frame: a place in a function.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct FrameId(pub u32);

/// A string of the table; 0 is the empty one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct StringId(pub u32);

/// What a frame is, in strings of the table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Frame {
    /// The function's name, empty where the recording has none.
    pub function: StringId,
    /// The file's name.
    pub file: StringId,
    /// The line, 0 when unknown.
    pub line: u32,
}

/// A place in Python source. A stack is a list of them, most recent first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceLine {
    /// The function's name, empty where nobody knows it.
    pub function: String,
    /// The file's name.
    pub file: String,
    /// The line, 0 when unknown.
    pub line: u32,
}

impl fmt::Display for SourceLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl std::str::FromStr for SourceLine {
    /// What it takes.
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const TAKES: &str = "write FILE:LINE for each frame, most recent first";
        let (file, line) = text.rsplit_once(':').ok_or(TAKES)?;
        Ok(Self { function: String::new(), file: file.to_owned(), line: line.parse().map_err(|_| TAKES)? })
    }
}

/// All stacks of a trace with their frames and strings.
#[derive(Clone, Debug)]
pub struct Stacks {
    strings: Grown<Box<str>>,
    text_bytes: u64,
    frames: Grown<Frame>,
    /// Caller and frame of each stack but the empty one, from number 1 on.
    nodes: Grown<(StackId, FrameId)>,
    /// Whether an operation comes from the stack itself, and not only from those above it.
    used: Vec<bool>,
    used_count: u64,
    string_ids: HashMap<Box<str>, StringId>,
    frame_ids: HashMap<Frame, FrameId>,
    node_ids: HashMap<(u32, u32), StackId>,
    /// Strings, frames and nodes that the maps know; those read from tables come in when they are asked.
    indexed: (usize, usize, usize),
}

impl Default for Stacks {
    fn default() -> Self {
        let empty: Box<str> = "".into();
        let mut strings = Grown::default();
        strings.push(empty.clone());
        Self {
            strings,
            text_bytes: 0,
            frames: Grown::default(),
            nodes: Grown::default(),
            used: vec![false],
            used_count: 0,
            string_ids: HashMap::from_iter([(empty, StringId(0))]),
            frame_ids: HashMap::new(),
            node_ids: HashMap::new(),
            indexed: (1, 0, 0),
        }
    }
}

impl Stacks {
    /// A copy that shares the tables. What finds entries again is made anew where it is needed.
    pub(super) fn shared(&self) -> Self {
        Self {
            strings: self.strings.clone(),
            text_bytes: self.text_bytes,
            frames: self.frames.clone(),
            nodes: self.nodes.clone(),
            used: self.used.clone(),
            used_count: self.used_count,
            string_ids: HashMap::new(),
            frame_ids: HashMap::new(),
            node_ids: HashMap::new(),
            indexed: (0, 0, 0),
        }
    }

    /// Appends a string of a table in which each stands once; it is not looked for.
    pub fn append_string(&mut self, text: &str) {
        self.text_bytes += text.len() as u64;
        self.strings.push(text.into());
    }

    /// Appends a frame of such a table. False where its strings are not there.
    pub fn append_frame(&mut self, frame: Frame) -> bool {
        let strings = self.string_count();
        let stands = frame.function.0 < strings && frame.file.0 < strings;
        if stands {
            self.frames.push(frame);
        }
        stands
    }

    /// Appends a stack of such a table. False where caller or frame are not there.
    pub fn append_node(&mut self, caller: StackId, frame: FrameId) -> bool {
        let stands = caller.0 <= self.len() && frame.0 < self.frame_count();
        if stands {
            self.nodes.push((caller, frame));
            self.used.push(false);
        }
        stands
    }

    /// Lets the maps know what was appended. The first of several that are the same holds.
    #[cold]
    fn index(&mut self) {
        let (strings, frames, nodes) = self.indexed;
        for (at, text) in (strings..).zip(self.strings.iter_from(strings)) {
            self.string_ids.entry(text.clone()).or_insert(StringId(at as u32));
        }
        for (at, frame) in (frames..).zip(self.frames.iter_from(frames)) {
            self.frame_ids.entry(*frame).or_insert(FrameId(at as u32));
        }
        for (at, (caller, frame)) in (nodes..).zip(self.nodes.iter_from(nodes)) {
            self.node_ids.entry((caller.0, frame.0)).or_insert(StackId(at as u32 + 1));
        }
        self.indexed = self.lengths();
    }

    fn lengths(&self) -> (usize, usize, usize) {
        (self.strings.len(), self.frames.len(), self.nodes.len())
    }

    /// Whether an operation comes from the stack itself.
    pub fn is_used(&self, stack: StackId) -> bool {
        self.used.get(stack.0 as usize).is_some_and(|u| *u)
    }

    /// Keeps a string once.
    pub fn string(&mut self, text: &str) -> StringId {
        if self.indexed.0 < self.strings.len() {
            self.index();
        }
        if let Some(&id) = self.string_ids.get(text) {
            return id;
        }
        let id = StringId(self.strings.len() as u32);
        self.strings.push(text.into());
        self.text_bytes += text.len() as u64;
        self.string_ids.insert(text.into(), id);
        self.indexed.0 = self.strings.len();
        id
    }

    /// Keeps a frame once. Its strings must be of this table.
    pub fn frame(&mut self, frame: Frame) -> FrameId {
        if self.indexed.1 < self.frames.len() {
            self.index();
        }
        let next = FrameId(self.frames.len() as u32);
        let id = *self.frame_ids.entry(frame).or_insert(next);
        if id == next {
            self.frames.push(frame);
            self.indexed.1 = self.frames.len();
        }
        id
    }

    /// The stack in which a frame of this table was called from `caller`.
    pub fn push(&mut self, caller: StackId, frame: FrameId) -> StackId {
        if self.indexed.2 < self.nodes.len() {
            self.index();
        }
        let next = StackId(self.nodes.len() as u32 + 1);
        let id = *self.node_ids.entry((caller.0, frame.0)).or_insert(next);
        if id == next {
            self.nodes.push((caller, frame));
            self.used.push(false);
            self.indexed.2 = self.nodes.len();
        }
        id
    }

    /// Keeps a stack given by its lines, most recent first.
    pub fn intern(&mut self, lines: &[SourceLine]) -> StackId {
        lines.iter().rev().fold(StackId(0), |caller, line| {
            let frame = Frame {
                function: self.string(&line.function),
                file: self.string(&line.file),
                line: line.line,
            };
            let frame = self.frame(frame);
            self.push(caller, frame)
        })
    }

    /// Notes that an operation comes from a stack.
    #[inline]
    pub fn mark_used(&mut self, stack: StackId) {
        if let Some(used) = self.used.get_mut(stack.0 as usize)
            && !*used
        {
            *used = true;
            self.used_count += 1;
        }
    }

    pub(super) fn set_used_count(&mut self, count: u64) {
        self.used_count = count;
    }

    /// Different stacks that operations come from.
    pub fn used_count(&self) -> u64 {
        self.used_count
    }

    /// Stacks in the tree, the empty one excepted: numbers 1 to this are valid.
    pub fn len(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// Whether no stack but the empty one is there.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Frames in the table: numbers below this are valid.
    pub fn frame_count(&self) -> u32 {
        self.frames.len() as u32
    }

    /// Strings in the table: numbers below this are valid.
    pub fn string_count(&self) -> u32 {
        self.strings.len() as u32
    }

    /// A string; the empty one for a number not in the table.
    pub fn text(&self, id: StringId) -> &str {
        self.strings.get(id.0 as usize).map_or("", |s| s)
    }

    /// A frame, `None` for a number not in the table.
    pub fn frame_at(&self, id: FrameId) -> Option<Frame> {
        self.frames.get(id.0 as usize).copied()
    }

    /// A stack's caller and its frame on top; `None` for the empty stack.
    pub fn node(&self, stack: StackId) -> Option<(StackId, FrameId)> {
        self.nodes.get((stack.0 as usize).checked_sub(1)?).copied()
    }

    /// The frames of a stack, most recent first.
    pub fn frames(&self, stack: StackId) -> impl Iterator<Item = FrameId> + '_ {
        std::iter::successors(self.node(stack), |(caller, _)| self.node(*caller)).map(|(_, frame)| frame)
    }

    /// A frame as source line.
    pub fn line(&self, frame: FrameId) -> SourceLine {
        let frame = self.frame_at(frame).unwrap_or_default();
        SourceLine {
            function: self.text(frame.function).to_owned(),
            file: self.text(frame.file).to_owned(),
            line: frame.line,
        }
    }

    /// The lines of a stack, most recent first.
    pub fn lines(&self, stack: StackId) -> Vec<SourceLine> {
        self.frames(stack).map(|frame| self.line(frame)).collect()
    }

    /// Bytes that the tables take, the hash tables' slack estimated.
    pub fn state_bytes(&self) -> u64 {
        2 * self.text_bytes
            + (self.strings.len() * 64
                + self.frames.capacity() * (size_of::<Frame>() + 24)
                + self.nodes.capacity() * (size_of::<(StackId, FrameId)>() + 1 + 24)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_share_their_callers() {
        let lines: Vec<SourceLine> =
            ["leaf.py:1", "mid.py:2", "main.py:3"].iter().map(|l| l.parse().unwrap()).collect();
        let mut stacks = Stacks::default();
        let leaf = stacks.intern(&lines);
        let mid = stacks.intern(&lines[1..]);
        assert_eq!(stacks.node(leaf).map(|n| n.0), Some(mid));
        assert_eq!(stacks.lines(leaf), lines);
        assert_eq!(stacks.intern(&lines), leaf, "kept once");
        assert_eq!((stacks.len(), stacks.frame_count(), stacks.string_count()), (3, 3, 4));
        stacks.mark_used(leaf);
        stacks.mark_used(leaf);
        assert_eq!(stacks.used_count(), 1);
        assert!(stacks.is_used(leaf) && !stacks.is_used(mid));
        assert!(stacks.lines(StackId(0)).is_empty() && stacks.lines(StackId(99)).is_empty());
    }

    #[test]
    fn what_a_table_brought_is_found_again() {
        let mut stacks = Stacks::default();
        stacks.append_string("main.py");
        let frame = Frame { file: StringId(1), line: 3, ..Frame::default() };
        assert!(stacks.append_frame(frame) && !stacks.append_frame(Frame { file: StringId(2), ..frame }));
        assert!(stacks.append_node(StackId(0), FrameId(0)) && !stacks.append_node(StackId(2), FrameId(0)));
        assert_eq!(stacks.intern(&["main.py:3".parse().unwrap()]), StackId(1));
        assert_eq!((stacks.len(), stacks.frame_count(), stacks.string_count()), (1, 1, 2));
    }
}
