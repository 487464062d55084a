//! CSV: a table with a header, one operation a row. `docs/formats.md` has the columns.

mod header;

pub(crate) use header::is_header;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, Write};

use csv_core::{ReadRecordResult, Reader as Records, ReaderBuilder};
use header::COLUMNS;
use sim_core::tape::{Action, SourceLine, StackId, TimeMark};
use sim_core::{Addr, Call, Domain, Mark, Note, ObjectHeap, Op, TapeError, Trace, TraceBuilder};

use crate::error::{LineColumn, TraceError};
use crate::lines::hexadecimal;
use crate::loss::Loss;
use crate::ptrace;
use crate::reader::Reader;

const OP: usize = 0;
const DOMAIN: usize = 1;
const ID: usize = 2;
const NEWID: usize = 3;
const SIZE: usize = 4;
const NELEM: usize = 5;
const ELSIZE: usize = 6;
const THREAD: usize = 7;
const TIME: usize = 8;
const RSS: usize = 9;
const ADDRESS: usize = 10;
const STACK: usize = 11;
const NOTE: usize = 12;

/// The longest row that is read, with room for a deep stack.
const ROW_BYTES_MAX: usize = 1 << 18;
/// Stacks whose text is remembered.
const STACKS_REMEMBERED: usize = 1 << 16;
/// The action that takes its frames from the column `stack`.
const SET_STACK: &[u8] = b"x stack";

/// Parses rows as they come in.
pub(crate) struct Parser {
    /// Has the trace, and reads cells that hold a line of its format.
    text: ptrace::Parser,
    records: Records,
    cells: Vec<u8>,
    filled: usize,
    ends: Vec<usize>,
    ended: usize,
    /// The column that each cell of a row belongs to; empty before the header.
    columns: Vec<usize>,
    /// The line that the row began on.
    line: u64,
    stacks: HashMap<Box<[u8]>, StackId>,
    domain: Option<Domain>,
    /// Whether it is known what stands between cells, which the first bytes tell.
    begun: bool,
}

impl Parser {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            text: ptrace::Parser::new(name),
            records: Records::new(),
            cells: vec![0; 1024],
            filled: 0,
            ends: vec![0; 2 * COLUMNS.len()],
            ended: 0,
            columns: Vec::new(),
            line: 1,
            stacks: HashMap::new(),
            domain: None,
            begun: false,
        }
    }

    fn problem(&self, problem: impl Into<String>, remedy: impl Into<String>) -> TraceError {
        let at = LineColumn { line: self.line, column: 1 };
        TraceError::Syntax { at, problem: problem.into(), remedy: remedy.into() }
    }

    /// Takes bytes; none means that the last row is complete.
    fn take(&mut self, mut bytes: &[u8]) -> Result<(), TraceError> {
        loop {
            let (result, read, written, ended) =
                self.records.read_record(bytes, &mut self.cells[self.filled..], &mut self.ends[self.ended..]);
            bytes = &bytes[read..];
            self.filled += written;
            self.ended += ended;
            match result {
                ReadRecordResult::InputEmpty | ReadRecordResult::End => return Ok(()),
                ReadRecordResult::OutputFull if self.cells.len() < ROW_BYTES_MAX => {
                    self.cells.resize(self.cells.len() * 2, 0);
                }
                ReadRecordResult::OutputFull => {
                    let problem = format!("the row is longer than {ROW_BYTES_MAX} bytes");
                    return Err(self.problem(problem, "close the quotes of its last cell"));
                }
                ReadRecordResult::OutputEndsFull => {
                    return Err(self.problem("the row has too many cells", "write one for each column"));
                }
                ReadRecordResult::Record => {
                    let cells = std::mem::take(&mut self.cells);
                    let ends = std::mem::take(&mut self.ends);
                    let done = self.row(&cells, &ends[..self.ended]);
                    (self.cells, self.ends) = (cells, ends);
                    done?;
                    (self.filled, self.ended) = (0, 0);
                    self.line = self.records.line();
                }
            }
        }
    }

    fn row(&mut self, cells: &[u8], ends: &[usize]) -> Result<(), TraceError> {
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let given = starts.zip(ends).map(|(from, &to)| &cells[from..to]);
        if self.columns.is_empty() {
            return self.header(given);
        }
        if ends.len() > self.columns.len() {
            return Err(self.problem("the row has more cells than the header", "write one for each column"));
        }
        let mut row: [&[u8]; COLUMNS.len()] = [&[]; COLUMNS.len()];
        for (&column, cell) in self.columns.iter().zip(given) {
            row[column] = cell.trim_ascii();
        }
        self.cells_of_row(&row)
    }

    fn header<'a>(&mut self, cells: impl Iterator<Item = &'a [u8]>) -> Result<(), TraceError> {
        for name in cells.map(header::name) {
            let column = COLUMNS.iter().position(|c| *c == name).filter(|c| !self.columns.contains(c));
            let Some(column) = column else {
                let problem = format!("`{}` is no column, or stands there twice", name.escape_debug());
                return Err(self.problem(problem, header::remedy(&name)));
            };
            self.columns.push(column);
        }
        if !self.columns.contains(&OP) {
            let remedy = "add one with malloc, calloc, realloc or free in each row";
            return Err(self.problem("the table has no column `op`", remedy));
        }
        let lacks = |column: usize| !self.columns.contains(&column);
        let missing: Vec<(&str, &str)> = [
            (
                lacks(DOMAIN) && self.domain.is_none(),
                ("domains", "add a column `domain`; calls without one are OBJ"),
            ),
            (lacks(THREAD), ("threads", "add a column `thread`")),
            (lacks(TIME), ("times", "add a column `time_ns`")),
            (lacks(ADDRESS), ("recorded addresses", "add a column `address`")),
            (lacks(STACK), ("call stacks", "add a column `stack`")),
        ]
        .into_iter()
        .filter_map(|(lacks, what)| lacks.then_some(what))
        .collect();
        for (what, remedy) in missing {
            self.builder_mut().trace_mut().origin.source.lacks(what, remedy);
        }
        Ok(())
    }

    fn number(&self, row: &[&[u8]], column: usize) -> Result<Option<u64>, TraceError> {
        let cell = row[column];
        if cell.is_empty() {
            return Ok(None);
        }
        let hex = cell.strip_prefix(b"0x").map(hexadecimal);
        let value = hex.unwrap_or_else(|| std::str::from_utf8(cell).ok()?.parse().ok());
        value.map(Some).ok_or_else(|| {
            let shown: String = String::from_utf8_lossy(cell).chars().take(24).collect();
            let problem = format!("`{}` in column `{}` is no number", shown.escape_debug(), COLUMNS[column]);
            self.problem(problem, "numbers have 64 bits and are decimal, or hexadecimal after 0x")
        })
    }

    fn needed(&self, row: &[&[u8]], column: usize) -> Result<u64, TraceError> {
        self.number(row, column)?.ok_or_else(|| {
            let problem = format!("the cell of column `{}` is empty", COLUMNS[column]);
            self.problem(problem, "this operation needs it, see docs/formats.md")
        })
    }

    fn stack(&mut self, cell: &[u8]) -> StackId {
        if cell.is_empty() {
            return StackId(0);
        }
        if let Some(&stack) = self.stacks.get(cell) {
            return stack;
        }
        let lines = parse_stack(&String::from_utf8_lossy(cell));
        let stack = self.builder_mut().trace_mut().origin.stacks.intern(&lines);
        if self.stacks.len() >= STACKS_REMEMBERED {
            self.stacks.clear();
        }
        self.stacks.insert(cell.into(), stack);
        stack
    }

    fn cells_of_row(&mut self, row: &[&[u8]; COLUMNS.len()]) -> Result<(), TraceError> {
        let (time, rss_bytes) = (self.number(row, TIME)?, self.number(row, RSS)?);
        let at = self.builder().len();
        if let Some(time_ns) = time {
            self.builder_mut().trace_mut().origin.moments.push(TimeMark { at, time_ns, rss_bytes });
        }
        if !row[NOTE].is_empty() {
            let text = String::from_utf8_lossy(row[NOTE]).into_owned();
            self.builder_mut().trace_mut().head.notes.push(Note { at, text });
        }
        let Some((op, heap)) = self.operation(row)? else { return Ok(()) };
        let stack = if row[OP] == SET_STACK { StackId(0) } else { self.stack(row[STACK]) };
        let address = self.number(row, ADDRESS)?.filter(|&a| a != 0).map(Addr);
        let push = |builder: &mut TraceBuilder, op: Op| builder.push_whole(op, heap, stack, address);
        let builder = self.builder_mut();
        let done = match (push(builder, op), op.call) {
            // The table may begin when the program has long been running.
            (Err(TapeError::UnknownId { .. }), Call::Free { .. }) => {
                builder.trace_mut().origin.source.doubt.unknown_frees += 1;
                Ok(())
            }
            (Err(TapeError::UnknownId { .. }), Call::Realloc { newid, size, .. }) => {
                builder.trace_mut().origin.source.doubt.unknown_reallocs += 1;
                push(builder, Op { call: Call::Malloc { id: newid, size }, ..op })
            }
            (done, _) => done,
        };
        done.map_err(|error| TraceError::Operation { at: LineColumn { line: self.line, column: 1 }, error })
    }

    fn operation(&mut self, row: &[&[u8]; COLUMNS.len()]) -> Result<Option<(Op, ObjectHeap)>, TraceError> {
        let thread = self.number(row, THREAD)?.unwrap_or(0);
        let thread = u16::try_from(thread)
            .map_err(|_| self.problem("the thread number is over 65535", "number threads from 0"))?;
        let (domain, heap) = match row[DOMAIN].to_ascii_lowercase().as_slice() {
            b"" => (self.domain.unwrap_or(Domain::Obj), ObjectHeap::Object),
            b"raw" | b"r" => (Domain::Raw, ObjectHeap::Object),
            b"mem" | b"m" => (Domain::Mem, ObjectHeap::Object),
            b"obj" | b"o" => (Domain::Obj, ObjectHeap::Object),
            b"gc" => (Domain::Obj, ObjectHeap::Gc),
            b"gc_pre" => (Domain::Obj, ObjectHeap::GcPre),
            _ => return Err(self.problem("the domain is unknown", "write raw, mem, obj, gc or gc_pre")),
        };
        let call = match row[OP] {
            b"" => return Ok(None),
            b"malloc" | b"m" => Call::Malloc { id: self.needed(row, ID)?, size: self.needed(row, SIZE)? },
            b"calloc" | b"c" => {
                let id = self.needed(row, ID)?;
                match self.number(row, NELEM)? {
                    Some(nelem) => Call::Calloc { id, nelem, elsize: self.needed(row, ELSIZE)? },
                    None => Call::Calloc { id, nelem: 1, elsize: self.needed(row, SIZE)? },
                }
            }
            b"realloc" | b"r" => {
                let id = self.needed(row, ID)?;
                let newid = self.number(row, NEWID)?.unwrap_or(id);
                Call::Realloc { id, newid, size: self.needed(row, SIZE)? }
            }
            b"free" | b"f" => Call::Free { id: self.needed(row, ID)? },
            b"keep" | b"k" => Call::FreeKeep { id: self.needed(row, ID)? },
            SET_STACK => {
                let stack = self.stack(row[STACK]);
                let builder = self.builder_mut();
                builder.trace_mut().origin.stacks.mark_used(stack);
                Call::Act(Action::Stack(stack))
            }
            [b'x' | b'g' | b'v' | b'q' | b'P' | b'd'] | [b'x' | b'g' | b'v' | b'd', b' ', ..] => {
                let op = self.text.cell(self.line, row[OP])?;
                return Ok(op.map(|(op, heap)| (Op { thread, ..op }, heap)));
            }
            [b'#', b'!', ..] => return self.text.cell(self.line, row[OP]),
            other => {
                const WORDS: [&str; 5] = ["malloc", "calloc", "realloc", "free", "keep"];
                if let Some(word) = WORDS.iter().find(|word| other.eq_ignore_ascii_case(word.as_bytes()))
                    && other != word.as_bytes()
                {
                    let mut small = *row;
                    small[OP] = word.as_bytes();
                    return self.operation(&small);
                }
                let shown: String = String::from_utf8_lossy(other).chars().take(24).collect();
                let problem = format!("`{}` is no operation", shown.escape_debug());
                return Err(self.problem(problem, "write malloc, calloc, realloc or free"));
            }
        };
        Ok(Some((Op { thread, domain, call }, heap)))
    }
}

impl Reader for Parser {
    fn feed(&mut self, bytes: &[u8]) -> Result<(), TraceError> {
        if !std::mem::replace(&mut self.begun, true) {
            let first = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
            self.records = ReaderBuilder::new().delimiter(header::separator(first)).build();
        }
        if bytes.is_empty() { Ok(()) } else { self.take(bytes) }
    }

    fn end(&mut self) -> Result<(), TraceError> {
        // The reader of rows learns of the end twice: for the last row, and then that there is no more.
        self.take(&[])
    }

    fn cut(&mut self, reason: TraceError) -> Result<(), TraceError> {
        if self.builder().is_empty() {
            return Err(reason);
        }
        // The row that the cut went through is left out.
        self.builder_mut().trace_mut().origin.source.doubt.truncated = Some(reason.to_string());
        Ok(())
    }

    fn take_as(&mut self, domain: Domain) -> bool {
        self.domain = Some(domain);
        true
    }

    fn builder(&self) -> &TraceBuilder {
        self.text.builder()
    }

    fn builder_mut(&mut self) -> &mut TraceBuilder {
        self.text.builder_mut()
    }
}

/// Frames, most recent first, separated by `;`, each `FILE:LINE` or `FUNCTION@FILE:LINE`, or a function alone.
fn parse_stack(text: &str) -> Vec<SourceLine> {
    let mut lines = Vec::new();
    let (mut function, mut word) = (None, String::new());
    let mut chars = text.chars();
    loop {
        match chars.next() {
            Some('\\') => word.extend(chars.next()),
            Some('@') if function.is_none() => function = Some(std::mem::take(&mut word)),
            end @ (Some(';') | None) => {
                lines.push(frame(function.take(), std::mem::take(&mut word)));
                if end.is_none() {
                    return lines;
                }
            }
            Some(c) => word.push(c),
        }
    }
}

fn frame(function: Option<String>, word: String) -> SourceLine {
    match word.rsplit_once(':').and_then(|(file, line)| Some((file.to_owned(), line.parse().ok()?))) {
        Some((file, line)) => SourceLine { function: function.unwrap_or_default(), file, line },
        None => match function {
            Some(function) => SourceLine { function, file: word, line: 0 },
            None => SourceLine { function: word, file: String::new(), line: 0 },
        },
    }
}

fn write_stack(out: &mut String, trace: &Trace, stack: StackId) {
    let escaped = |out: &mut String, text: &str| {
        for c in text.chars() {
            if matches!(c, '\\' | ';' | '@') {
                out.push('\\');
            }
            out.push(c);
        }
    };
    for (number, line) in trace.origin.stacks.lines(stack).iter().enumerate() {
        if number > 0 {
            out.push(';');
        }
        if !line.function.is_empty() {
            escaped(out, &line.function);
            out.push('@');
        }
        escaped(out, &line.file);
        // Writing into a string does not fail.
        let _ = write!(out, ":{}", line.line);
    }
}

/// Writes the header.
pub(crate) fn write_header(out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "{}", COLUMNS.join(","))
}

/// A cell, in quotes where it needs them.
fn quoted(out: &mut impl Write, cell: &str) -> io::Result<()> {
    if !cell.contains(['"', ',', '\n', '\r']) && cell.trim() == cell {
        return out.write_all(cell.as_bytes());
    }
    write!(out, "\"{}\"", cell.replace('"', "\"\""))
}

/// The cells of time and RSS.
fn write_mark(out: &mut impl Write, mark: Option<&TimeMark>) -> io::Result<()> {
    if let Some(mark) = mark {
        write!(out, "{}", mark.time_ns)?;
    }
    out.write_all(b",")?;
    if let Some(rss) = mark.and_then(|m| m.rss_bytes) {
        write!(out, "{rss}")?;
    }
    Ok(())
}

/// A row that has what a `#!` line says.
fn write_directive(out: &mut impl Write, words: &str) -> io::Result<()> {
    quoted(out, &format!("#! {words}"))?;
    writeln!(out, ",,,,,,,,,,,,")
}

fn write_marks(out: &mut impl Write, marks: &[Mark]) -> io::Result<()> {
    marks.iter().try_for_each(|mark| write_directive(out, &format!("{} {}", ptrace::MARK, mark.name())))
}

/// A row that has a moment and no operation.
fn write_moment(out: &mut impl Write, mark: &TimeMark) -> io::Result<()> {
    out.write_all(b",,,,,,,,")?;
    write_mark(out, Some(mark))?;
    out.write_all(b",,,\n")
}

/// Writes the operations that are here, with the moments and notes among them.
pub(crate) fn write_rows(out: &mut impl Write, trace: &Trace) -> io::Result<()> {
    if trace.first() == 0 {
        for (key, value) in directives(trace) {
            write_directive(out, &format!("{key}={value}"))?;
        }
    }
    let mut marks = trace.origin.moments.iter().peekable();
    let (mut stack_of_text, mut text) = (StackId(0), String::new());
    let mut action = Vec::new();
    for index in 0..trace.len() {
        let Some(op) = trace.op(index) else { break };
        write_marks(out, trace.marks_at(trace.first() + index))?;
        let mut here = None;
        while let Some(mark) = marks.next_if(|m| m.at <= trace.first() + index) {
            if let Some(before) = here.replace(mark) {
                write_moment(out, before)?;
            }
        }
        let heap = trace.object_heap(index as usize);
        let dom = match heap {
            ObjectHeap::Object => op.domain.name().to_ascii_lowercase(),
            ObjectHeap::Gc => "gc".to_owned(),
            ObjectHeap::GcPre => "gc_pre".to_owned(),
        };
        match op.call {
            Call::Malloc { id, size } => write!(out, "malloc,{dom},{id},,{size},,")?,
            Call::Calloc { id, nelem, elsize } => write!(out, "calloc,{dom},{id},,,{nelem},{elsize}")?,
            Call::Realloc { id, newid, size } => write!(out, "realloc,{dom},{id},{newid},{size},,")?,
            Call::Free { id } => write!(out, "free,{dom},{id},,,,")?,
            Call::FreeKeep { id } => write!(out, "keep,{dom},{id},,,,")?,
            Call::Act(Action::Stack(_)) => write!(out, "x stack,{dom},,,,,")?,
            Call::Act(_) => {
                action.clear();
                ptrace::write_op_in(&mut action, trace, &Op { thread: 0, ..op }, heap)?;
                quoted(out, String::from_utf8_lossy(&action).trim_end())?;
                write!(out, ",{dom},,,,,")?;
            }
        }
        out.write_all(b",")?;
        if op.thread != 0 {
            write!(out, "{}", op.thread)?;
        }
        out.write_all(b",")?;
        write_mark(out, here)?;
        out.write_all(b",")?;
        if let Some(address) = trace.address_of(index as usize) {
            write!(out, "{:#x}", address.0)?;
        }
        out.write_all(b",")?;
        let stack = match op.call {
            Call::Act(Action::Stack(stack)) => stack,
            _ => trace.stack_of(index as usize),
        };
        if stack != stack_of_text {
            text.clear();
            write_stack(&mut text, trace, stack);
            stack_of_text = stack;
        }
        quoted(out, &text)?;
        out.write_all(b",")?;
        if let Some(note) = trace.note_at(index) {
            quoted(out, &note.text)?;
        }
        out.write_all(b"\n")?;
    }
    marks.try_for_each(|mark| write_moment(out, mark))
}

/// Writes what stands after the last operation.
pub(crate) fn write_footer(out: &mut impl Write, trace: &Trace) -> io::Result<()> {
    let operations = trace.first() + trace.len();
    write_marks(out, trace.marks_at(operations))?;
    for note in trace.head.notes.iter().filter(|n| n.at >= operations) {
        out.write_all(b",,,,,,,,,,,,")?;
        quoted(out, &note.text)?;
        out.write_all(b"\n")?;
    }
    if trace.is_empty() {
        trace.origin.moments.iter().try_for_each(|mark| write_moment(out, mark))?;
    }
    Ok(())
}

/// What a `#!` line carries.
fn directives(trace: &Trace) -> impl Iterator<Item = (&str, &str)> {
    let settings = trace.head.settings.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let stats = trace.head.malloc_stats.iter().map(|value| ("malloc_stats", value.as_str()));
    trace
        .head
        .malloc
        .map(|m| ("malloc", m.name()))
        .into_iter()
        .chain(stats)
        .chain(trace.is_lesson().then_some(ptrace::LESSON))
        .chain(settings.filter(|(key, _)| ptrace::DIRECTIVES.contains(key)))
}

/// What a table cannot carry of this trace, a noun each.
pub(crate) fn losses(trace: &Trace) -> Vec<Loss> {
    let source = &trace.origin.source;
    let names = source.thread_names.iter().any(|n| !n.is_empty());
    let mut lost: Vec<Loss> = [
        (!trace.head.description.is_empty(), "the description"),
        (!source.facts.is_empty(), "facts about program and recorder"),
        (names, "names of threads"),
        (!source.calls.is_empty() || source.records.is_some(), "the recorder's own counts"),
        (source.doubt != sim_core::tape::Doubt::default(), "counts of what was passed over in reading"),
    ]
    .into_iter()
    .filter(|(has, _)| *has)
    .map(|(_, what)| Loss::of(what))
    .collect();
    lost.extend(trace.head.profile.iter().map(|p| Loss::profile(p)));
    let settings = trace.head.settings.iter().filter(|s| !ptrace::DIRECTIVES.contains(&s.0.as_str()));
    lost.extend(settings.map(|(key, value)| Loss::setting(key, value)));
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_read_as_people_write_them() {
        let frames = |text: &str| -> Vec<(String, String, u32)> {
            parse_stack(text).into_iter().map(|l| (l.function, l.file, l.line)).collect()
        };
        let frame = |a: &str, b: &str, line| (a.to_owned(), b.to_owned(), line);
        assert_eq!(frames("a.py:3;b.py:40"), [frame("", "a.py", 3), frame("", "b.py", 40)]);
        assert_eq!(frames("main;f@C:\\\\x.py:3"), [frame("main", "", 0), frame("f", "C:\\x.py", 3)]);
        assert_eq!(frames("a\\;b\\@c@d@e:7"), [frame("a;b@c", "d@e", 7)]);
    }

    fn read(text: &str) -> Result<u64, String> {
        let mut parser = Parser::new("t");
        let done = parser.feed(text.as_bytes()).and_then(|()| parser.end());
        done.map(|()| parser.builder().len()).map_err(|error| format!("{error}; {:?}", error.remedy()))
    }

    #[test]
    fn tables_of_other_tools_are_read_or_told_what_their_columns_lack() {
        for text in [
            "op,id,size\nmalloc,1,48\nfree,1,\n",
            "op;id;size\nmalloc;1;48\nfree;1;\n",
            "op\tid\tsize\r\nmalloc\t1\t48\r\nfree\t1\t\r\n",
            "OP,ID,SIZE\nMALLOC,1,48\nFree,1,\n",
        ] {
            assert_eq!(read(text), Ok(2), "{text}");
        }
        for (text, problem, remedy) in [
            ("id,size\n1,48\n", "no column `op`", "add one with malloc"),
            ("op,id,bytes\nmalloc,1,48\n", "`bytes` is no column", "call it `size`"),
            ("timestamp,op,id,size\n1.5,malloc,1,48\n", "`timestamp` is no column", "call it `time_ns`"),
            ("op,id,size\nALLOCATE,1,48\n", "`ALLOCATE` is no operation", "malloc, calloc"),
        ] {
            let said = read(text).err().unwrap_or_default();
            assert!(said.contains(problem) && said.contains(remedy), "{said}");
        }
    }
}
