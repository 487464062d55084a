//! Reads ptrace.

use sim_core::domains::AllocatorName;
use sim_core::tape::{Action, Poked, SourceLine};
use sim_core::{Call, Domain, ObjectHeap, Op, Profile, TraceBuilder};

use super::directives::{DIRECTIVES, LESSON, MARK};
use crate::error::{LineColumn, TraceError};
use crate::reader::Reader;

/// The longest line that is read, with room for a deep Python stack.
const LINE_BYTES_MAX: usize = 4096;
const FORMS: &str =
    "write `m DOM ID SIZE`, `c DOM ID NELEM ELSIZE`, `r DOM ID NEWID SIZE` or `f DOM ID`, one space between";

/// Parses text as it comes in.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    builder: TraceBuilder,
    /// The start of a line whose end has not come yet.
    rest: Vec<u8>,
    /// Lines read to their end.
    lines: u64,
    /// Inside a comment too long to keep.
    in_comment: bool,
}

impl Parser {
    /// A parser for a trace called `name`.
    pub(crate) fn new(name: &str) -> Self {
        Self { builder: TraceBuilder::new(name), ..Self::default() }
    }

    fn too_long(&self) -> TraceError {
        self.syntax(LINE_BYTES_MAX, format!("the line is longer than {LINE_BYTES_MAX} bytes"), FORMS)
    }

    fn line_column(&self, column: usize) -> LineColumn {
        LineColumn { line: self.lines + 1, column: column as u64 + 1 }
    }

    fn syntax(&self, column: usize, problem: impl Into<String>, remedy: impl Into<String>) -> TraceError {
        TraceError::Syntax { at: self.line_column(column), problem: problem.into(), remedy: remedy.into() }
    }

    fn line(&mut self, line: &[u8]) -> Result<(), TraceError> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let line = if self.lines == 0 { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        match line.first() {
            None => {}
            Some(b'#') if line.starts_with(b"#!") => self.directives(line)?,
            Some(b'#') => self.comment(line),
            Some(_) if line.len() > LINE_BYTES_MAX => return Err(self.too_long()),
            Some(_) => {
                let (op, heap) = self.operation(line)?;
                self.builder
                    .push_in(op, heap)
                    .map_err(|error| TraceError::Operation { at: self.line_column(0), error })?;
                let line = self.lines + 1;
                let trace = self.builder.trace_mut();
                if trace.needs_mimalloc().is_some() && trace.origin.mimalloc_line.is_none() {
                    trace.origin.mimalloc_line = Some(line);
                }
            }
        }
        self.lines += 1;
        Ok(())
    }

    /// Reads a line that stands in a cell of a table, at a line of that; a directive gives no operation.
    pub(crate) fn cell(&mut self, line: u64, text: &[u8]) -> Result<Option<(Op, ObjectHeap)>, TraceError> {
        self.lines = line - 1;
        if text.starts_with(b"#!") {
            self.directives(text).map(|()| None)
        } else {
            self.operation(text).map(Some)
        }
    }

    /// The comments before the first operation describe the trace.
    fn comment(&mut self, line: &[u8]) {
        if !self.builder.is_empty() {
            return;
        }
        let text = String::from_utf8_lossy(&line[1..]);
        let text = text.trim();
        let trace = self.builder.trace_mut();
        if !text.is_empty() && trace.head.description.len() < 4096 {
            if !trace.head.description.is_empty() {
                trace.head.description.push(' ');
            }
            trace.head.description.push_str(text);
        }
    }

    /// `#! mark NAME`: the step where it stands has a name from here on.
    fn mark(&mut self, name: &[u8]) -> Result<(), TraceError> {
        let column = 2 + 1 + MARK.len();
        let name = std::str::from_utf8(name)
            .map_err(|_| self.syntax(column, "the mark's name is no UTF-8", "save the file as UTF-8"))?;
        let remedy = format!("write `#! {MARK} NAME` on a line of its own");
        self.builder.mark(name.trim()).map_err(|error| self.syntax(column, error.to_string(), remedy))
    }

    fn directives(&mut self, line: &[u8]) -> Result<(), TraceError> {
        let words = line[2..].trim_ascii();
        if let Some(name) = words.strip_prefix(MARK.as_bytes())
            && name.first().is_none_or(u8::is_ascii_whitespace)
        {
            return self.mark(name);
        }
        if !self.builder.is_empty() {
            return Err(self.syntax(
                0,
                "a `#!` line stands after the first operation",
                format!("move it to the top of the trace; `#! {MARK} NAME` alone stands anywhere"),
            ));
        }
        let text = String::from_utf8_lossy(&line[2..]).into_owned();
        for word in text.split_whitespace() {
            let column = 2 + text.find(word).unwrap_or(0);
            let known = || format!("known are: {}", DIRECTIVES.join(", "));
            let Some((key, value)) = word.split_once('=') else {
                return Err(self.syntax(
                    column,
                    format!("`{word}` is no directive"),
                    format!("write KEY=VALUE; {}", known()),
                ));
            };
            if !DIRECTIVES.contains(&key) {
                return Err(self.syntax(column, format!("the directive `{key}` is unknown"), known()));
            }
            if key == "malloc" {
                let name = AllocatorName::parse(value)
                    .map_err(|e| self.syntax(column, e.to_string(), "name one of them"))?;
                self.builder.trace_mut().head.malloc = Some(name);
                continue;
            }
            if key == LESSON.0 {
                if value != LESSON.1 {
                    let problem = format!("`{value}` is no value for lesson");
                    return Err(self.syntax(
                        column,
                        problem,
                        "write lesson=yes, or nothing where it is none",
                    ));
                }
                self.builder.trace_mut().head.lesson = true;
                continue;
            }
            if key == "malloc_stats" {
                self.builder.trace_mut().head.malloc_stats = Some(value.to_owned());
                continue;
            }
            Profile::default()
                .set(key, value)
                .map_err(|error| TraceError::Profile { at: self.line_column(column), error })?;
            self.builder.trace_mut().head.settings.push((key.to_owned(), value.to_owned()));
        }
        Ok(())
    }

    #[inline]
    fn operation(&mut self, line: &[u8]) -> Result<(Op, ObjectHeap), TraceError> {
        let mut fields = Fields { line, at: 0 };
        let mut thread = 0;
        let mut kind = fields.word();
        if let [b't', digits @ ..] = kind
            && !digits.is_empty()
        {
            thread = decimal(digits).and_then(|k| u16::try_from(k).ok()).ok_or_else(|| {
                self.syntax(0, "the thread number is not in 0..65535", "write t0 to t65535")
            })?;
            kind = fields.next(self)?;
        }
        if kind == b"x" && fields.at < line.len() {
            return Ok((self.action(line, thread)?, ObjectHeap::Object));
        }
        if let b"g" | b"x" | b"v" | b"q" | b"P" = kind {
            let action = match kind {
                b"g" => Action::HeapCollect { force: fields.flag(self)? },
                b"x" => Action::ThreadExit,
                b"v" => Action::HeapWalk { mask: fields.number(self)? },
                b"q" => Action::Quiescent,
                _ => Action::ProcessDelayed,
            };
            self.nothing_after(&fields)?;
            return Ok((Op { thread, domain: Domain::Obj, call: Call::Act(action) }, ObjectHeap::Object));
        }
        let (domain, heap) = match kind {
            b"m" | b"c" | b"r" | b"f" | b"k" | b"d" => fields.domain(self)?,
            other => return Err(self.syntax(0, format!("`{}` is no operation", shown(other)), FORMS)),
        };
        let call = match kind {
            b"m" => Call::Malloc { id: fields.number(self)?, size: fields.number(self)? },
            b"c" => Call::Calloc {
                id: fields.number(self)?,
                nelem: fields.number(self)?,
                elsize: fields.number(self)?,
            },
            b"r" => Call::Realloc {
                id: fields.number(self)?,
                newid: fields.number(self)?,
                size: fields.number(self)?,
            },
            b"k" => Call::FreeKeep { id: fields.number(self)? },
            b"d" => Call::Act(Action::FreeDelayed { id: fields.number(self)?, size: fields.number(self)? }),
            _ => Call::Free { id: fields.number(self)? },
        };
        self.nothing_after(&fields)?;
        Ok((Op { thread, domain, call }, heap))
    }

    fn nothing_after(&self, fields: &Fields<'_>) -> Result<(), TraceError> {
        let line = fields.line;
        if fields.at < line.len() {
            let extra = shown(&line[fields.at..]);
            return Err(self.syntax(fields.at, format!("`{extra}` stands after the operation"), FORMS));
        }
        Ok(())
    }

    /// `x WORD …`: what a scenario does besides calling allocators.
    fn action(&mut self, line: &[u8], thread: u16) -> Result<Op, TraceError> {
        let mut fields = Fields { line, at: line.iter().position(|&b| b == b'x').unwrap_or(0) + 1 };
        let fields = &mut fields;
        let at = fields.at + 1;
        let mut domain = Domain::Obj;
        let action = match fields.next(self)? {
            b"setup_debug_hooks" => Action::SetupDebugHooks,
            b"attach" => Action::ThreadState { attached: true },
            b"detach" => Action::ThreadState { attached: false },
            b"stack" => {
                let mut frames = Vec::new();
                while fields.at < line.len() {
                    let at = fields.at + 1;
                    let word = String::from_utf8_lossy(fields.next(self)?).replace("%20", " ");
                    let frame = word.parse::<SourceLine>();
                    frames.push(frame.map_err(|takes| self.syntax(at, "a frame is not understood", takes))?);
                }
                Action::Stack(self.builder.stack(&frames))
            }
            b"tracemalloc" => {
                let at = fields.at + 1;
                match fields.next(self)? {
                    b"start" => {
                        let at = fields.at + 1;
                        let word = fields.next(self)?;
                        let frames = std::str::from_utf8(word).ok().and_then(|w| w.parse::<i128>().ok());
                        let frames = frames.ok_or_else(|| {
                            let problem = format!("`{}` is no number of frames", shown(word));
                            self.syntax(
                                at,
                                problem,
                                "write 1 to 65535; Python refuses others, and so will the run",
                            )
                        })?;
                        let (least, most) = (i128::from(i32::MIN), i128::from(i32::MAX));
                        Action::TracemallocStart(frames.clamp(least, most) as i32)
                    }
                    b"stop" => Action::TracemallocStop,
                    b"clear_traces" => Action::TracemallocClear,
                    b"reset_peak" => Action::TracemallocResetPeak,
                    b"snapshot" => {
                        let name = String::from_utf8_lossy(fields.next(self)?).replace("%20", " ");
                        Action::TracemallocSnapshot(self.builder.name_number(&name))
                    }
                    other => {
                        let problem = format!("tracemalloc has no `{}`", shown(other));
                        return Err(self.syntax(
                            at,
                            problem,
                            "write start N, stop, clear_traces, reset_peak or snapshot NAME",
                        ));
                    }
                }
            }
            b"track" => Action::Track {
                domain: fields.trace_domain(self)?,
                id: fields.number(self)?,
                size: fields.number(self)?,
            },
            b"untrack" => Action::Untrack { domain: fields.trace_domain(self)?, id: fields.number(self)? },
            b"set_allocator" => {
                domain = fields.domain(self)?.0;
                let at = fields.at + 1;
                let word = shown(fields.next(self)?);
                let choice = word.parse().map_err(|takes: &str| {
                    self.syntax(at, format!("`{word}` is no allocator table"), takes)
                })?;
                Action::SetAllocator(choice)
            }
            b"set_arena_allocator" => {
                let at = fields.at + 1;
                let word = shown(fields.next(self)?);
                let choice = word
                    .parse()
                    .map_err(|takes: &str| self.syntax(at, format!("`{word}` is no arena hook"), takes))?;
                Action::SetArenaAllocator(choice)
            }
            b"virtual_alloc" => Action::VirtualAlloc { id: fields.number(self)?, size: fields.number(self)? },
            b"virtual_free" => Action::VirtualFree { id: fields.number(self)? },
            b"interpreter_new" => {
                let number = fields.interpreter(self)?;
                let at = fields.at + 1;
                let own_obmalloc = match fields.next(self)? {
                    b"own" => true,
                    b"main" => false,
                    other => {
                        let problem = format!("`{}` is no choice of obmalloc state", shown(other));
                        return Err(self.syntax(
                            at,
                            problem,
                            "write own for a state of its own, or main to share the main one's",
                        ));
                    }
                };
                Action::InterpreterNew { number, own_obmalloc }
            }
            b"interpreter_switch" => Action::InterpreterSwitch(fields.interpreter(self)?),
            b"interpreter_end" => Action::InterpreterEnd(fields.interpreter(self)?),
            b"poke" => {
                let id = fields.number(self)?;
                let at = fields.at + 1;
                let word = fields.next(self)?;
                let offset = std::str::from_utf8(word).ok().and_then(|w| w.parse().ok());
                let offset = offset.ok_or_else(|| {
                    self.syntax(
                        at,
                        format!("`{}` is no offset", shown(word)),
                        "write bytes from the pointer, such as -8 or 16",
                    )
                })?;
                let at = fields.at + 1;
                let word = fields.next(self)?;
                let bytes = std::str::from_utf8(word).ok().and_then(Poked::parse).ok_or_else(|| {
                    self.syntax(
                        at,
                        format!("`{}` are no bytes", shown(word)),
                        "write 1 to 16 bytes as pairs of hexadecimal digits",
                    )
                })?;
                Action::Poke { id, offset, bytes }
            }
            other => {
                let problem = format!("`{}` is no action", shown(other));
                return Err(self.syntax(
                    at,
                    problem,
                    "write setup_debug_hooks, set_allocator, set_arena_allocator, virtual_alloc, virtual_free, poke, stack, tracemalloc, track, untrack, interpreter_new, interpreter_switch, interpreter_end, attach or detach",
                ));
            }
        };
        self.nothing_after(fields)?;
        Ok(Op { thread, domain, call: Call::Act(action) })
    }
}

impl Reader for Parser {
    fn feed(&mut self, mut text: &[u8]) -> Result<(), TraceError> {
        while let Some(end) = text.iter().position(|&b| b == b'\n') {
            let (line, more) = (&text[..end], &text[end + 1..]);
            if self.in_comment {
                self.in_comment = false;
                self.lines += 1;
            } else if self.rest.is_empty() {
                self.line(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.rest);
                whole.extend_from_slice(line);
                self.line(&whole)?;
                whole.clear();
                self.rest = whole;
            }
            text = more;
        }
        if !self.in_comment {
            self.rest.extend_from_slice(text);
            if self.rest.len() > LINE_BYTES_MAX {
                if self.rest.starts_with(b"#") && !self.rest.starts_with(b"#!") {
                    self.in_comment = true;
                    self.rest.clear();
                } else {
                    return Err(self.too_long());
                }
            }
        }
        Ok(())
    }

    /// Takes what stands after the last line end.
    fn end(&mut self) -> Result<(), TraceError> {
        let last = std::mem::take(&mut self.rest);
        if last.is_empty() { Ok(()) } else { self.line(&last) }
    }

    fn builder(&self) -> &TraceBuilder {
        &self.builder
    }

    fn builder_mut(&mut self) -> &mut TraceBuilder {
        &mut self.builder
    }
}

/// The fields of a line, one space between.
struct Fields<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    #[inline]
    fn word(&mut self) -> &'a [u8] {
        let rest = &self.line[self.at..];
        let end = rest.iter().position(|&b| b == b' ').unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn trace_domain(&mut self, parser: &Parser) -> Result<u32, TraceError> {
        let at = self.at + 1;
        u32::try_from(self.number(parser)?).map_err(|_| {
            parser.syntax(at, "the tracemalloc domain has over 32 bits", "write 0 to 4294967295")
        })
    }

    fn interpreter(&mut self, parser: &Parser) -> Result<u32, TraceError> {
        let at = self.at + 1;
        u32::try_from(self.number(parser)?).map_err(|_| {
            parser.syntax(
                at,
                "the interpreter's number has over 32 bits",
                "number them from 1; 0 is the main one",
            )
        })
    }

    fn flag(&mut self, parser: &Parser) -> Result<bool, TraceError> {
        let at = self.at + 1;
        match self.next(parser)? {
            b"0" => Ok(false),
            b"1" => Ok(true),
            other => {
                let problem = format!("`{}` is neither 0 nor 1", shown(other));
                Err(parser.syntax(at, problem, "write 0, or 1 for a forced collect"))
            }
        }
    }

    #[inline]
    fn domain(&mut self, parser: &Parser) -> Result<(Domain, ObjectHeap), TraceError> {
        let at = self.at + 1;
        match self.next(parser)? {
            b"r" => Ok((Domain::Raw, ObjectHeap::Object)),
            b"m" => Ok((Domain::Mem, ObjectHeap::Object)),
            b"o" => Ok((Domain::Obj, ObjectHeap::Object)),
            b"g" => Ok((Domain::Obj, ObjectHeap::Gc)),
            b"p" => Ok((Domain::Obj, ObjectHeap::GcPre)),
            other => {
                let problem = format!("`{}` is no domain", shown(other));
                Err(parser.syntax(
                    at,
                    problem,
                    "write r (RAW), m (MEM) or o (OBJ); with mimalloc also g or p (OBJ in the heap gc or gc_pre)",
                ))
            }
        }
    }

    /// The next field, after exactly one space.
    #[inline]
    fn next(&mut self, parser: &Parser) -> Result<&'a [u8], TraceError> {
        if self.at >= self.line.len() {
            return Err(parser.syntax(self.at, "the line ends too early", FORMS));
        }
        self.at += 1;
        let start = self.at;
        let word = self.word();
        if word.is_empty() {
            return Err(parser.syntax(start, "a field is empty", FORMS));
        }
        Ok(word)
    }

    #[inline]
    fn number(&mut self, parser: &Parser) -> Result<u64, TraceError> {
        let start = self.at + 1;
        let word = self.next(parser)?;
        decimal(word).ok_or_else(|| {
            let problem = if word.iter().all(u8::is_ascii_digit) {
                format!("`{}` is over 18446744073709551615 (2^64 - 1)", shown(word))
            } else {
                format!("`{}` is no number", shown(word))
            };
            parser.syntax(start, problem, "ids and sizes are decimal and have 64 bits")
        })
    }
}

#[inline]
fn decimal(digits: &[u8]) -> Option<u64> {
    let mut n: u64 = 0;
    for &b in digits {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n = n.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    (!digits.is_empty()).then_some(n)
}

/// A word as an error shows it: short, and without control characters.
fn shown(word: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(word)
        .chars()
        .take(24)
        .map(|c| if c.is_control() { '?' } else { c })
        .collect();
    if word.len() > text.len() { format!("{text}…") } else { text }
}
