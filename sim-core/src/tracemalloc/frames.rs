//! Frames and tracebacks as `Python/tracemalloc.c` keeps them: interned, most recent first.
//!
//! Ids stay valid for ever, also after `clear_traces()`, so that a window can go on showing what it
//! has. Which of them `CPython`'s own tables hold at the moment is the engine's business.

use std::collections::BTreeMap;
use std::sync::Arc;

/// A file name, interned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FileId(pub u32);

impl FileId {
    /// `"<unknown>"`: no frame, or a frame whose file name is no string. A file that is really called
    /// so has another id, as it is another string object in `CPython`.
    pub const UNKNOWN: Self = Self(0);
}

/// `frame_t`: a place in a source file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Frame {
    /// The file.
    pub filename: FileId,
    /// The line, counted from 1; 0 when unknown.
    pub lineno: u32,
}

/// `traceback_t`: the frames of a stack. Two are equal if the number of frames kept, the whole depth and
/// every frame are.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Traceback {
    frames: Box<[Frame]>,
    total_nframe: u16,
}

impl Traceback {
    /// `traceback_new`: what is kept of a stack. `stack` is most recent first, `depth` the number of
    /// frames it really had if the stack at hand is cut. A stack without frames gives the empty
    /// traceback: one frame, line 0 of `<unknown>`.
    #[must_use]
    pub fn new(stack: &[Frame], depth: usize, max_nframe: u16) -> Self {
        if stack.is_empty() {
            return Self::empty();
        }
        Self {
            frames: stack.iter().copied().take(usize::from(max_nframe.max(1))).collect(),
            total_nframe: u16::try_from(depth.max(stack.len())).unwrap_or(u16::MAX),
        }
    }

    /// `tracemalloc_empty_traceback`.
    fn empty() -> Self {
        Self { frames: Box::new([Frame { filename: FileId::UNKNOWN, lineno: 0 }]), total_nframe: 1 }
    }

    /// The frames kept, most recent first; at least one.
    pub fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// `nframe`: how many frames are kept.
    pub fn nframe(&self) -> usize {
        self.frames.len()
    }

    /// How many frames the stack had; 65535 means that or more.
    pub fn total_nframe(&self) -> u16 {
        self.total_nframe
    }
}

/// A traceback, interned.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TracebackId(pub u32);

impl TracebackId {
    /// The traceback of an allocation outside any Python frame.
    pub const EMPTY: Self = Self(0);
}

/// Every file name and traceback seen, each once. It only grows.
#[derive(Clone, Debug)]
pub struct Interner {
    files: Vec<Arc<str>>,
    file_ids: BTreeMap<Arc<str>, FileId>,
    tracebacks: Vec<Arc<Traceback>>,
    traceback_ids: BTreeMap<Arc<Traceback>, TracebackId>,
}

impl Default for Interner {
    fn default() -> Self {
        // The empty traceback is found by id only: as in CPython it is in no table.
        Self {
            files: vec![Arc::from("<unknown>")],
            file_ids: BTreeMap::new(),
            tracebacks: vec![Arc::new(Traceback::empty())],
            traceback_ids: BTreeMap::new(),
        }
    }
}

impl Interner {
    /// The id of a file name, a new one if it has none. Names are text; what `CPython` decodes with
    /// surrogates has to be replaced before.
    pub fn file(&mut self, name: &str) -> FileId {
        if let Some(&id) = self.file_ids.get(name) {
            return id;
        }
        let id = FileId(self.files.len() as u32);
        let name: Arc<str> = Arc::from(name);
        self.files.push(Arc::clone(&name));
        self.file_ids.insert(name, id);
        id
    }

    /// The name of a file; `<unknown>` for an id that this interner did not give.
    pub fn filename(&self, file: FileId) -> &Arc<str> {
        self.files.get(file.0 as usize).unwrap_or(&self.files[0])
    }

    /// The id of a traceback, a new one if it has none.
    pub fn traceback(&mut self, traceback: Traceback) -> TracebackId {
        if let [Frame { filename: FileId::UNKNOWN, lineno: 0 }] = *traceback.frames
            && traceback.total_nframe == 1
        {
            return TracebackId::EMPTY;
        }
        if let Some(&id) = self.traceback_ids.get(&traceback) {
            return id;
        }
        let id = TracebackId(self.tracebacks.len() as u32);
        let traceback = Arc::new(traceback);
        self.tracebacks.push(Arc::clone(&traceback));
        self.traceback_ids.insert(traceback, id);
        id
    }

    /// A traceback by its id; the empty one for an id that this interner did not give.
    pub fn get(&self, id: TracebackId) -> &Traceback {
        self.tracebacks.get(id.0 as usize).unwrap_or(&self.tracebacks[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(file: u32, lineno: u32) -> Frame {
        Frame { filename: FileId(file), lineno }
    }

    #[test]
    fn a_stack_is_cut_and_its_depth_kept_up_to_65535() {
        let stack: Vec<Frame> = (0..70_000).map(|lineno| frame(1, lineno)).collect();
        let kept = Traceback::new(&stack, 0, 3);
        assert_eq!(kept.frames(), &stack[..3]);
        assert_eq!((kept.nframe(), kept.total_nframe()), (3, 65535));
        assert_eq!(Traceback::new(&stack[..2], 9, 3).total_nframe(), 9);
        assert_eq!(Traceback::new(&stack[..2], 0, 65535).nframe(), 2);
    }

    #[test]
    fn no_frames_give_one_unknown_frame() {
        let empty = Traceback::new(&[], 5, 1);
        assert_eq!((empty.frames(), empty.total_nframe()), (&[frame(0, 0)][..], 1));
        assert_eq!(Interner::default().traceback(empty), TracebackId::EMPTY);
    }

    #[test]
    fn tracebacks_are_the_same_if_frames_and_depth_are() {
        let mut interner = Interner::default();
        let (a, b) = (interner.file("a.py"), interner.file("b.py"));
        assert_eq!(interner.file("a.py"), a);
        assert_eq!(&**interner.filename(b), "b.py");
        let stack = [Frame { filename: a, lineno: 1 }, Frame { filename: b, lineno: 2 }];
        let id = interner.traceback(Traceback::new(&stack, 2, 2));
        assert_eq!(interner.traceback(Traceback::new(&stack, 2, 5)), id);
        assert_ne!(interner.traceback(Traceback::new(&stack, 3, 2)), id, "deeper");
        assert_ne!(interner.traceback(Traceback::new(&stack, 2, 1)), id, "fewer frames kept");
        assert_eq!(interner.get(id).frames(), stack);
    }

    #[test]
    fn a_file_really_called_unknown_is_not_the_unknown_file() {
        let mut interner = Interner::default();
        let named = interner.file("<unknown>");
        assert_ne!(named, FileId::UNKNOWN);
        assert_eq!(interner.filename(named), interner.filename(FileId::UNKNOWN));
    }
}
