//! Random calls of `PyTraceMalloc_Track` and what they leave in the tables.

use std::fmt::Write as _;

use sim_core::Addr;
use sim_core::profile::TracemallocVersion;
use sim_core::tracemalloc::{Frame, KeyType, TracebackId, Tracemalloc, take_snapshot};

use crate::interpreters::Script;
use real_cpython::random::Random;

/// The program that answers.
pub(crate) const PROGRAM: &str = include_str!("state.py");

/// The frame that all stacks end in: the line of the program that makes the call.
fn base(tracemalloc: &mut Tracemalloc) -> Frame {
    let line = PROGRAM.lines().position(|line| line.ends_with("# all stacks end here")).unwrap();
    Frame { filename: tracemalloc.file("<string>"), lineno: 1 + line as u32 }
}

const FILES: [&str; 8] = [
    "a.py",
    "lib/b.py",
    "lib/\u{e9}t\u{e9}.py",
    "\u{1f40d}.py",
    "<frozen x>",
    "<unknown>",
    "A.py",
    "with space.py",
];

const DOMAINS: [u32; 12] = [0, 0, 0, 1, 5, 17, 33, 77, 78, 389_047, 1 << 31, u32::MAX];

/// The model, driven by the same requests as the interpreter.
struct Model {
    tracemalloc: Tracemalloc,
    script: Script,
    random: Random,
    live: Vec<(u32, u64)>,
}

impl Model {
    fn ask(&mut self, request: String, answer: &str) {
        let (current, peak) = self.tracemalloc.get_traced_memory();
        let memory = self.tracemalloc.get_tracemalloc_memory();
        let off = if self.tracemalloc.is_tracing() { "" } else { "off:" };
        let limit = self.tracemalloc.get_traceback_limit();
        self.script.ask(request, format!("{answer}\t{limit}\t{current}\t{peak}\t{off}{memory}"));
    }

    fn start(&mut self, nframe: i32) {
        let answer = match self.tracemalloc.start(nframe) {
            Ok(()) => "ok".to_owned(),
            Err(error) => format!("ValueError: {error}"),
        };
        self.ask(format!("start\t{nframe}"), &answer);
    }

    fn call(&mut self, name: &str, change: impl FnOnce(&mut Tracemalloc)) {
        change(&mut self.tracemalloc);
        self.ask(name.to_owned(), "None");
    }

    /// A block that may be tracked already, under aligned, unaligned and far addresses. None is the
    /// address of a real object, whose creation would renew the trace.
    fn pointer(&mut self) -> u64 {
        match self.random.below(4) {
            0 => 16 * self.random.below(512),
            1 => 4096 * self.random.below(512),
            2 => self.random.below(4096),
            _ => u64::MAX - (self.random.below(64) << 40) - self.random.below(64),
        }
    }

    fn track(&mut self) {
        let domain = self.random.pick(&DOMAINS);
        let ptr = self.pointer();
        let size = self.random.bits(&[1, 6, 10, 20, 40]);
        let mut request = format!("track\t{domain}\t{ptr}\t{size}");
        let mut stack = Vec::new();
        for _ in 0..self.random.below(7) {
            let (file, lineno) = (self.random.pick(&FILES), 1 + self.random.below(3) as u32);
            let _ = write!(request, "\t{file}\t{lineno}");
            stack.push(Frame { filename: self.tracemalloc.file(file), lineno });
        }
        stack.push(base(&mut self.tracemalloc));
        let traceback = self.tracemalloc.traceback(&stack, stack.len());
        let code = self.tracemalloc.track(domain, Addr(ptr), size, traceback);
        self.live.push((domain, ptr));
        self.ask(request, &code.to_string());
    }

    fn untrack(&mut self) {
        let (domain, ptr) = if self.live.is_empty() || self.random.percent(10) {
            (self.random.pick(&DOMAINS), self.pointer())
        } else {
            let index = self.random.below(self.live.len() as u64) as usize;
            self.live.swap_remove(index)
        };
        let code = self.tracemalloc.untrack(domain, Addr(ptr));
        self.ask(format!("untrack\t{domain}\t{ptr}"), &code.to_string());
    }

    fn get(&mut self) {
        let (domain, ptr) = if self.live.is_empty() || self.random.percent(10) {
            (self.random.pick(&DOMAINS), self.pointer())
        } else {
            self.random.pick(&self.live)
        };
        let found = self.tracemalloc.get_traceback(domain, Addr(ptr));
        let answer = found.map_or("None".to_owned(), |id| self.text_of(id));
        self.ask(format!("get\t{domain}\t{ptr}"), &answer);
    }

    fn traces(&mut self) {
        let traces: Vec<String> = self
            .tracemalloc
            .get_traces()
            .iter()
            .map(|trace| {
                let total = self.tracemalloc.interner().get(trace.traceback).total_nframe();
                format!("{}|{}|{total}|{}", trace.domain, trace.size, self.text_of(trace.traceback))
            })
            .collect();
        self.ask("traces".to_owned(), &traces.join(" "));
    }

    fn statistics(&mut self) {
        let answer = match take_snapshot(&self.tracemalloc) {
            Ok(snapshot) => {
                let statistics = snapshot.statistics(KeyType::Traceback, false).unwrap();
                statistics.iter().map(ToString::to_string).collect::<Vec<_>>().join(" / ")
            }
            Err(error) => format!("RuntimeError: {error}"),
        };
        self.ask("statistics".to_owned(), &answer);
    }

    fn text_of(&self, id: TracebackId) -> String {
        let interner = self.tracemalloc.interner();
        let frames = interner.get(id).frames().iter();
        frames
            .map(|f| format!("{}:{}", interner.filename(f.filename), f.lineno))
            .collect::<Vec<_>>()
            .join(";")
    }

    fn is_tracing(&mut self) {
        let answer = u8::from(self.tracemalloc.is_tracing()).to_string();
        self.ask("is_tracing".to_owned(), &answer);
    }

    /// Operations that let the tables grow to some hundred entries and shrink again.
    fn workload(&mut self, operations: u64) {
        for operation in 0..operations {
            let tracked_percent = if operation * 3 % operations < operations * 2 / 3 { 65 } else { 20 };
            match self.random.below(1000) {
                0 => self.call("clear_traces", Tracemalloc::clear_traces),
                1..20 => self.call("reset_peak", Tracemalloc::reset_peak),
                20..24 => {
                    let nframe = self.random.pick(&[-1, 0, 1, 65535, 65536, i32::MAX]);
                    self.start(nframe);
                }
                24..100 => self.get(),
                100..110 => self.traces(),
                110..115 => self.statistics(),
                _ if self.random.percent(tracked_percent) => self.track(),
                _ => self.untrack(),
            }
        }
        self.traces();
        // Down to nothing, so that every table comes by each of its sizes again.
        while !self.live.is_empty() {
            self.untrack();
        }
        self.traces();
    }

    /// A stack deeper than can be counted.
    fn deep(&mut self) {
        self.start(65535);
        let stack = vec![base(&mut self.tracemalloc); 70_000];
        let traceback = self.tracemalloc.traceback(&stack, stack.len());
        self.tracemalloc.track(1, Addr(16), 1, traceback);
        let interned = self.tracemalloc.interner().get(traceback);
        let answer = format!("{} {}", interned.nframe(), interned.total_nframe());
        self.ask("deep\t70000".to_owned(), &answer);
        self.call("stop", Tracemalloc::stop);
    }
}

/// All requests and answers.
pub(crate) fn script() -> Script {
    let mut model = Model {
        tracemalloc: Tracemalloc::new(8, TracemallocVersion::V3_14),
        script: Script::default(),
        random: Random(6),
        live: Vec::new(),
    };
    for nframe in [1, 3, 25, 2] {
        model.is_tracing();
        model.statistics();
        model.track();
        model.untrack();
        model.get();
        model.call("clear_traces", Tracemalloc::clear_traces);
        model.call("reset_peak", Tracemalloc::reset_peak);
        model.start(0);
        model.start(nframe);
        model.is_tracing();
        model.workload(5000);
        model.call("stop", Tracemalloc::stop);
        model.live.clear();
        model.traces();
    }
    model.deep();
    model.script
}
