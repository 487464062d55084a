//! heaptrack's raw recording (`heaptrack -r`): text, one record a line, all numbers hexadecimal.
//!
//! heaptrack writes a realloc as the free of the old pointer and the birth of the new one. Whether the two
//! were one call can be told in two ways. The C library gives a small block that was just freed only to a
//! request of about the same size; one that is at the same address and has grown or shrunk by more was
//! reallocated. And an instruction that was seen to call realloc calls nothing else, so that a free right
//! before a birth from there belongs to it, unless it was a `realloc(NULL)` by chance right after a free:
//! these are counted. All others are left as two calls and counted, too.

use std::collections::{HashMap, HashSet};

use sim_core::TapeError;
use sim_core::tape::{Frame, FrameId, StackId, StringId, TimeMark};

use crate::births::{Origin, PointerTape};
use crate::error::TraceError;
use crate::lines::{Line, LineFormat, hexadecimal};

/// The newest version of the file format that is known.
const VERSION: u64 = 3;
/// From this version on a string has its length before it.
const VERSION_WITH_LENGTHS: u64 = 3;

/// Why the file that heaptrack's own viewer opens is no trace.
pub(crate) const INTERPRETED: TraceError = TraceError::NoTrace {
    what: "a heaptrack recording that was interpreted already",
    reason: "its frees no longer say which block they free",
    remedy: "record with `heaptrack -r` and open the *.raw.zst",
};

/// A stretch of a loaded module.
#[derive(Debug)]
struct Segment {
    start: u64,
    end: u64,
    /// Where the module's address 0 is.
    base: u64,
    name: StringId,
}

/// A node of heaptrack's tree of calls.
#[derive(Clone, Copy, Debug)]
struct Node {
    stack: StackId,
    /// The instruction that called.
    caller: u64,
}

/// Reads the records.
#[derive(Debug)]
pub(crate) struct Format {
    tape: PointerTape,
    version: u64,
    page_bytes: u64,
    exe: String,
    segments: Vec<Segment>,
    sorted: bool,
    frames: HashMap<u64, FrameId>,
    nodes: Vec<Node>,
    /// A free that may be the first half of a realloc.
    freed: Option<u64>,
    /// Instructions that call realloc.
    reallocators: HashSet<u64>,
    records: u64,
}

impl Format {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            tape: PointerTape::new(name),
            version: VERSION,
            page_bytes: 4096,
            exe: String::new(),
            segments: Vec::new(),
            sorted: true,
            frames: HashMap::new(),
            nodes: Vec::new(),
            freed: None,
            reallocators: HashSet::new(),
            records: 0,
        }
    }

    fn record(&mut self, line: &[u8], at: Line) -> Result<(), TraceError> {
        let kind = line.first().copied().unwrap_or(b'#');
        let mut fields = Fields { line, at: 1, place: at };
        match kind {
            b't' => {
                let (ip, parent) = (fields.number()?, fields.number()?);
                self.node(ip, parent, &fields)
            }
            b'm' => self.module(&mut fields),
            b'+' => {
                let size = fields.number()?;
                // `+ CLASS` and no more is an interpreted file's.
                if fields.at >= line.len() && self.records == 0 {
                    return Err(INTERPRETED);
                }
                let (node, pointer) = (fields.number()?, fields.number()?);
                self.birth(size, node, pointer, &fields)
            }
            b'-' => {
                let pointer = fields.number()?;
                self.flush().map_err(|e| at.refused(e))?;
                self.records += 1;
                self.freed = Some(pointer);
                Ok(())
            }
            _ => {
                // Calls of one realloc are written under one lock, with nothing but nodes and modules between.
                self.flush().map_err(|e| at.refused(e))?;
                self.other(kind, &mut fields)
            }
        }
    }

    fn other(&mut self, kind: u8, fields: &mut Fields<'_>) -> Result<(), TraceError> {
        match kind {
            b'v' => {
                let (tool, version) = (fields.number()?, fields.number()?);
                if version > VERSION {
                    let problem = format!(
                        "file format {version} of heaptrack is newer than {VERSION}, the last one known"
                    );
                    return Err(fields.place.syntax(0, problem, "record with heaptrack 1.5 or older"));
                }
                self.version = version;
                let trace = self.tape.builder.trace_mut();
                let (major, minor, patch) = (tool >> 16 & 0xff, tool >> 8 & 0xff, tool & 0xff);
                trace.origin.source.set("recorder", format!("heaptrack {major}.{minor}.{patch}"));
                trace.origin.moments.push(TimeMark { at: 0, time_ns: 0, rss_bytes: None });
            }
            b'x' => {
                let exe = fields.string(self.version)?;
                self.tape.builder.trace_mut().origin.source.set("program", &exe);
                self.exe = exe;
            }
            b'X' => {
                let line = String::from_utf8_lossy(fields.line.get(2..).unwrap_or_default()).into_owned();
                self.tape.builder.trace_mut().origin.source.set("command_line", line);
            }
            b'I' => self.page_bytes = fields.number()?,
            b'c' => {
                let time_ns = fields.number()?.saturating_mul(1_000_000);
                let at = self.tape.builder.len();
                let marks = &mut self.tape.builder.trace_mut().origin.moments;
                let time_ns = marks.last().map_or(time_ns, |m| m.time_ns.max(time_ns));
                marks.push(TimeMark { at, time_ns, rss_bytes: None });
            }
            b'R' => {
                let bytes = fields.number()?.saturating_mul(self.page_bytes);
                let at = self.tape.builder.len();
                let last = self.tape.builder.trace_mut().origin.moments.last_mut();
                if let Some(mark) = last.filter(|m| m.at == at) {
                    mark.rss_bytes = Some(bytes);
                }
            }
            b'A' => self.tape.builder.trace_mut().origin.source.lacks(
                "the start of the program",
                "heaptrack was attached to it; start it with `heaptrack -r PROGRAM`",
            ),
            b's' | b'i' | b'a' => return Err(INTERPRETED),
            b'S' | b'#' => {}
            other => {
                let problem = format!("`{}` is no record of heaptrack", char::from(other).escape_default());
                return Err(fields.place.syntax(0, problem, "the file is damaged; record it again"));
            }
        }
        Ok(())
    }

    /// `m LENGTH PATH BASE {VADDR MEMSZ}`; the path `-` forgets all modules.
    fn module(&mut self, fields: &mut Fields<'_>) -> Result<(), TraceError> {
        let name = fields.string(self.version)?;
        self.frames.clear();
        if name == "-" {
            self.segments.clear();
            return Ok(());
        }
        // The program itself has no name here.
        let name = if name == "x" { &self.exe } else { &name };
        let name = self.tape.builder.trace_mut().origin.stacks.string(name);
        let base = fields.number()?;
        while fields.at < fields.line.len() {
            let (vaddr, bytes) = (fields.number()?, fields.number()?);
            let start = base.wrapping_add(vaddr);
            self.segments.push(Segment { start, end: start.saturating_add(bytes), base, name });
        }
        self.sorted = false;
        Ok(())
    }

    fn node(&mut self, ip: u64, parent: u64, fields: &Fields<'_>) -> Result<(), TraceError> {
        let caller = self.stack(parent, fields)?.map_or(StackId(0), |n| n.stack);
        let frame = self.frame(ip);
        let stack = self.tape.builder.trace_mut().origin.stacks.push(caller, frame);
        self.nodes.push(Node { stack, caller: ip });
        Ok(())
    }

    /// The node with a number; 0 is the root, which has none.
    fn stack(&self, number: u64, fields: &Fields<'_>) -> Result<Option<Node>, TraceError> {
        let Some(index) = number.checked_sub(1) else { return Ok(None) };
        let node = usize::try_from(index).ok().and_then(|i| self.nodes.get(i));
        node.copied().map(Some).ok_or_else(|| {
            let problem = format!("node {number:x} of the call tree does not exist yet");
            fields.place.syntax(0, problem, "the file is damaged; record it again")
        })
    }

    fn frame(&mut self, ip: u64) -> FrameId {
        if let Some(&frame) = self.frames.get(&ip) {
            return frame;
        }
        if !self.sorted {
            self.segments.sort_by_key(|s| s.start);
            self.sorted = true;
        }
        let before = self.segments.partition_point(|s| s.start <= ip);
        let segment = before.checked_sub(1).map(|i| &self.segments[i]).filter(|s| ip < s.end);
        let (offset, file) = segment.map_or((ip, StringId(0)), |s| (ip.wrapping_sub(s.base), s.name));
        let stacks = &mut self.tape.builder.trace_mut().origin.stacks;
        let function = stacks.string(&format!("{offset:#x}"));
        let frame = stacks.frame(Frame { function, file, line: 0 });
        self.frames.insert(ip, frame);
        frame
    }

    fn birth(&mut self, size: u64, node: u64, pointer: u64, fields: &Fields<'_>) -> Result<(), TraceError> {
        let node = self.stack(node, fields)?;
        self.records += 1;
        let from = Origin { thread: 0, stack: node.map_or(StackId(0), |n| n.stack) };
        self.call(size, node, pointer, from).map_err(|e| fields.place.refused(e))
    }

    fn call(&mut self, size: u64, node: Option<Node>, new: u64, from: Origin) -> Result<(), TapeError> {
        let known = self.freed.and_then(|old| Some((old, self.tape.births.get(old)?)));
        let Some((old, birth)) = known else {
            self.flush()?;
            return self.tape.malloc(from, new, size);
        };
        let caller = node.map_or(0, |n| n.caller);
        let proven = old == new && resized_in_place(birth.size, size);
        if proven {
            self.reallocators.insert(caller);
        }
        let doubt = &mut self.tape.builder.trace_mut().origin.source.doubt;
        if !self.reallocators.contains(&caller) {
            doubt.possible_reallocs += 1;
            self.flush()?;
            return self.tape.malloc(from, new, size);
        }
        doubt.ambiguous_reallocs += u64::from(!proven);
        self.freed = None;
        self.tape.realloc(from, old, new, size)
    }

    /// The free that waited was a call of its own.
    fn flush(&mut self) -> Result<(), TapeError> {
        match self.freed.take() {
            Some(pointer) => self.tape.free(Origin::default(), pointer),
            None => Ok(()),
        }
    }
}

/// Whether glibc's malloc, asked for `new` bytes right after a block of `old` bytes was freed, would not give
/// that block: freed blocks of up to 128 bytes lie in bins by their size, and are joined to others for large
/// requests alone. A block may be 16 bytes larger than its request needs, from a rest too small to split off.
fn resized_in_place(old: u64, new: u64) -> bool {
    let chunk = |bytes: u64| (bytes.saturating_add(8 + 15) & !15).max(32);
    chunk(old) <= 112 && new < 1024 && chunk(old).abs_diff(chunk(new)) > 16
}

impl LineFormat for Format {
    fn line(&mut self, line: &[u8], at: Line) -> Result<(), TraceError> {
        self.record(line, at)
    }

    fn end(&mut self, at: Line) -> Result<(), TraceError> {
        self.flush().map_err(|e| at.refused(e))?;
        self.tape.note_what_is_missing("heaptrack has native frames, here as module and offset");
        let source = &mut self.tape.builder.trace_mut().origin.source;
        source.lacks("threads", "heaptrack does not write which thread calls");
        source.records = Some(self.records);
        Ok(())
    }

    fn tape(&self) -> &PointerTape {
        &self.tape
    }

    fn tape_mut(&mut self) -> &mut PointerTape {
        &mut self.tape
    }
}

/// The fields of a record, a space before each.
struct Fields<'a> {
    line: &'a [u8],
    at: usize,
    place: Line,
}

impl<'a> Fields<'a> {
    fn word(&mut self) -> Result<&'a [u8], TraceError> {
        let start = self.at + 1;
        let rest = self.line.get(start..).filter(|_| self.line[self.at] == b' ');
        let Some(rest) = rest else {
            return Err(self.place.syntax(self.at, "the record ends too early", "record it again"));
        };
        let end = rest.iter().position(|&b| b == b' ').unwrap_or(rest.len());
        self.at = start + end;
        Ok(&rest[..end])
    }

    fn number(&mut self) -> Result<u64, TraceError> {
        let at = self.at + 1;
        let word = self.word()?;
        hexadecimal(word).ok_or_else(|| {
            let shown = String::from_utf8_lossy(&word[..word.len().min(24)]).escape_debug().to_string();
            self.place.syntax(at, format!("`{shown}` is no hexadecimal number"), "record it again")
        })
    }

    fn string(&mut self, version: u64) -> Result<String, TraceError> {
        if version < VERSION_WITH_LENGTHS {
            return Ok(String::from_utf8_lossy(self.word()?).into_owned());
        }
        let length = self.number()?;
        let start = self.at + 1;
        let end = usize::try_from(length).ok().and_then(|l| start.checked_add(l));
        let text = end.and_then(|end| self.line.get(start..end));
        let Some(text) = text else {
            let problem = "a string is shorter than its length says";
            return Err(self.place.syntax(self.at, problem, "record it again"));
        };
        self.at = start + text.len();
        Ok(String::from_utf8_lossy(text).into_owned())
    }
}
