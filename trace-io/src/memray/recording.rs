//! What records become: operations, each with its stack and recorded address.

use sim_core::TraceBuilder;
use sim_core::tape::{CallCount, Doubt, Frame, FrameId, TimeMark};

use super::allocator::{Function, NUMBERS, Role};
use super::callers::Callers;
use super::counter::Counter;
use super::facts;
use super::header::{Header, PythonAllocator};
use super::ledger::{Ledger, Record, dense};
use super::primitives::Read;

/// What becomes of the records.
#[derive(Debug)]
enum Books {
    /// Operations of the trace.
    Kept(Box<Ledger>),
    /// Counts.
    Counted(Counter),
}

/// A trace being made of records.
#[derive(Debug)]
pub(super) struct Recording {
    builder: TraceBuilder,
    header: Header,
    callers: Callers,
    books: Books,
    /// By the function's number.
    calls: [u64; NUMBERS],
    objects: u64,
    /// `PY_VERSION_HEX`, from the header or from the folder of the standard library.
    python_version: Option<u32>,
    /// Files of a free-threaded build's library were seen.
    free_threaded: bool,
    /// Bytes of the file before the slice at hand.
    bytes: u64,
}

impl Recording {
    pub(super) fn new(name: &str, header: Header, counting: bool) -> Self {
        let version = header.python_version;
        let ledger = Ledger::new(header.allocator);
        let mut recording = Self {
            builder: TraceBuilder::new(name),
            callers: Callers::new(header.main_thread, header.skipped_frames, version.unwrap_or(0)),
            books: if counting {
                Books::Counted(Counter::new(ledger))
            } else {
                Books::Kept(Box::new(ledger))
            },
            calls: [0; NUMBERS],
            objects: 0,
            python_version: None,
            free_threaded: false,
            bytes: 0,
            header,
        };
        facts::begin(recording.builder.trace_mut(), &recording.header);
        recording.builder.trace_mut().origin.moments.push(TimeMark { at: 0, time_ns: 0, rss_bytes: None });
        if let Some(version) = version {
            recording.set_version(version, "");
        }
        recording
    }

    fn set_version(&mut self, version: u32, how: &str) {
        self.python_version = Some(version);
        let mut geometry = facts::version(self.builder.trace_mut(), version, how);
        let pools = matches!(
            self.header.allocator,
            PythonAllocator::Pymalloc | PythonAllocator::PymallocDebug | PythonAllocator::Other
        );
        if !pools || self.header.python_allocators == Some(false) {
            geometry.pool_bytes = None;
        }
        match &mut self.books {
            Books::Kept(ledger) => ledger.set_geometry(geometry),
            Books::Counted(counter) => counter.set_geometry(geometry),
        }
    }

    pub(super) fn builder(&self) -> &TraceBuilder {
        &self.builder
    }

    pub(super) fn builder_mut(&mut self) -> &mut TraceBuilder {
        &mut self.builder
    }

    /// Bytes of the file were read before what comes now.
    pub(super) fn set_bytes(&mut self, bytes: u64) {
        self.bytes = bytes;
    }

    /// Brings the trace's doubts up to date; those of a trace that is only counted come at the end.
    pub(super) fn tell_doubt(&mut self) {
        if let Books::Kept(ledger) = &self.books {
            let trace = self.builder.trace_mut();
            trace.origin.source.doubt.clone_from(&ledger.doubt);
            if let Some(probed) = ledger.probed {
                facts::assumed(trace, probed);
            }
        }
    }

    /// The thread that records belong to before any switch: formats 10 and 11 have such.
    pub(super) fn begin_on(&mut self, thread: u64) {
        self.callers.begin_on(thread);
    }

    pub(super) fn context_switch(&mut self, thread: u64) {
        self.callers.switch(thread);
    }

    pub(super) fn thread_name(&mut self, name: &[u8]) -> Read<()> {
        let number = usize::from(dense(self.callers.thread()?));
        let names = &mut self.builder.trace_mut().origin.source.thread_names;
        if names.len() <= number {
            names.resize(number + 1, String::new());
        }
        names[number] = String::from_utf8_lossy(name).into_owned();
        Ok(())
    }

    pub(super) fn time(&mut self, ms: u64, rss_bytes: u64) {
        if let Books::Counted(_) = self.books {
            // It has no operation that a time could be told for, and one mark already.
            return;
        }
        let at = self.builder.len();
        let marks = &mut self.builder.trace_mut().origin.moments;
        let before_ns = marks.last().map_or(0, |m| m.time_ns);
        let time_ns = ms.saturating_mul(1_000_000).max(before_ns);
        marks.push(TimeMark { at, time_ns, rss_bytes: Some(rss_bytes) });
    }

    pub(super) fn object(&mut self) {
        self.objects += 1;
    }

    pub(super) fn code(&mut self, id: u64, function: &[u8], file: &[u8], first_line: i32, table: &[u8]) {
        let file = String::from_utf8_lossy(file);
        // Only builds with mimalloc can be free-threaded, and the version in the header does not say it.
        if !self.free_threaded
            && matches!(self.header.allocator, PythonAllocator::Mimalloc | PythonAllocator::MimallocDebug)
            && let Some(version) = self.python_version
            && facts::is_free_threaded(&file)
        {
            self.free_threaded = true;
            facts::free_threaded(self.builder.trace_mut(), version);
        }
        let stacks = &mut self.builder.trace_mut().origin.stacks;
        let function = stacks.string(&String::from_utf8_lossy(function));
        let file = stacks.string(&file);
        self.callers.code(id, function, file, first_line, table);
    }

    pub(super) fn frame(&mut self, id: u64, function: &[u8], file: &[u8], line: i32) {
        let file = String::from_utf8_lossy(file);
        if self.python_version.is_none()
            && let Some(version) = facts::version_of_path(&file)
        {
            self.set_version(version, " (from the folder of the standard library)");
        }
        let stacks = &mut self.builder.trace_mut().origin.stacks;
        let function = stacks.string(&String::from_utf8_lossy(function));
        let file = stacks.string(&file);
        let frame: FrameId = stacks.frame(Frame { function, file, line: u32::try_from(line).unwrap_or(0) });
        self.callers.frame(id, frame);
    }

    #[inline]
    pub(super) fn frame_push(&mut self, code: u64, offset: i64, entry: bool) -> Read<()> {
        self.callers.push(&mut self.builder.trace_mut().origin.stacks, code, offset, entry, self.bytes)
    }

    #[inline]
    pub(super) fn frame_pop(&mut self, frames: usize) -> Read<()> {
        self.callers.pop(frames)
    }

    /// A call of a recorded function.
    #[inline(never)]
    pub(super) fn allocation(&mut self, function: Function, address: u64, size: u64) -> Read<()> {
        self.allocation_inlined(function, address, size)
    }

    /// The same for the one place that reads nearly all of them.
    #[expect(clippy::inline_always, reason = "it is called for each record, and was not inlined")]
    #[inline(always)]
    pub(super) fn allocation_inlined(&mut self, function: Function, address: u64, size: u64) -> Read<()> {
        let thread = self.callers.thread()?;
        self.calls[function.number()] += 1;
        let role = function.role();
        if !matches!(role, Role::Free | Role::Unmap) && self.callers.is_fresh() {
            self.tell_stack(address != 0 && role != Role::Map);
        }
        if let Books::Counted(counter) = &mut self.books {
            counter.enter(Record { address, size, thread, function });
            return Ok(());
        }
        self.keep(function, address, size, thread)
    }

    /// Makes an operation of a call.
    #[inline(never)]
    fn keep(&mut self, function: Function, address: u64, size: u64, thread: u32) -> Read<()> {
        let Books::Kept(ledger) = &mut self.books else { return Ok(()) };
        ledger.enter(Record { address, size, thread, function }, self.callers.stack(), &mut self.builder)
    }

    /// The stack in force has a call, or at least a failed one or a map.
    fn tell_stack(&mut self, operates: bool) {
        self.callers.mark_used();
        let stack = self.callers.stack();
        if operates && matches!(self.books, Books::Counted(_)) {
            self.builder.tally_stack(stack);
        } else {
            self.builder.trace_mut().origin.stacks.mark_used(stack);
        }
        if operates {
            self.callers.set_told();
        }
    }

    /// No record follows. `truncated` says why, where the trailer does not.
    pub(super) fn finish(&mut self, truncated: Option<String>) {
        let book;
        let ledger = match &mut self.books {
            Books::Kept(ledger) => {
                // It can fail only where its birth has failed.
                let _ = ledger.close(&mut self.builder);
                &**ledger
            }
            Books::Counted(counter) => {
                book = counter.close();
                self.builder.tally(&book.tally.counts, &book.tally.threads, book.ledger.ids());
                &book.ledger
            }
        };
        if let Some(probed) = ledger.probed {
            facts::assumed(self.builder.trace_mut(), probed);
        }
        let at = self.builder.len();
        let span_ms = self.header.end_ms.saturating_sub(self.header.start_ms);
        let trace = self.builder.trace_mut();
        let time_ns = span_ms.saturating_mul(1_000_000);
        if trace.origin.moments.last().is_some_and(|m| m.time_ns < time_ns) {
            trace.origin.moments.push(TimeMark { at, time_ns, rss_bytes: None });
        }
        let source = &mut trace.origin.source;
        source.records = Some(self.calls.iter().sum());
        source.peak_bytes = (!ledger.maps.given_up()).then_some(ledger.peak_bytes);
        source.calls = Function::all()
            .map(|f| CallCount { function: f.name().to_owned(), calls: self.calls[f.number()] })
            .filter(|c| c.calls > 0)
            .collect();
        source.doubt = Doubt { truncated, ..ledger.doubt.clone() };
        let (arenas_most, arenas) = ledger.maps.arenas();
        facts::end(
            trace,
            &facts::Counts {
                python_calls: self.calls[1..=4].iter().sum(),
                stack_ids: self.callers.used(),
                objects: self.objects,
                failed: ledger.failed,
                guesses: ledger.guesses(),
                arenas,
                arenas_most,
                version_known: self.python_version.is_some(),
                pools_known: ledger.knows_pools(),
            },
        );
    }
}
