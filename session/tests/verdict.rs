//! Planted programs and the word that each deserves.

#![allow(clippy::unwrap_used, reason = "test code")]

use std::collections::VecDeque;
use std::sync::Arc;

use session::diagnosis::Surveyor;
use session::diagnosis::shrink::shrink;
use session::diagnosis::verdict::{self, Verdict, Word};
use session::{Overrides, Setup};
use sim_core::tape::StackId;
use sim_core::{Call, Domain, Op, Trace, TraceBuilder};
use trace_io::stats_text::StatsText;

/// A program on its way; sizes vary a little by a counter, so that no run is all one class.
struct Program {
    tape: TraceBuilder,
    next: u64,
}

impl Program {
    fn new() -> Self {
        Self { tape: TraceBuilder::new("t"), next: 1 }
    }

    fn call(&mut self, domain: Domain, call: Call, stack: StackId) {
        self.tape.push_recorded(Op { thread: 0, domain, call }, stack, None).unwrap();
    }

    fn malloc(&mut self, site: &str, size: u64) -> u64 {
        let stack = self.tape.stack(&[site.parse().unwrap()]);
        let id = self.next;
        self.next += 1;
        self.call(Domain::Obj, Call::Malloc { id, size }, stack);
        id
    }

    fn free(&mut self, id: u64) {
        self.call(Domain::Obj, Call::Free { id }, StackId(0));
    }

    /// A request: many objects that all go at its end.
    fn request(&mut self, objects: u64) {
        let ids: Vec<u64> = (0..objects).map(|n| self.malloc("views.py:20", 40 + n * 7 % 400)).collect();
        for id in ids {
            self.free(id);
        }
    }

    fn verdict(self) -> Verdict {
        verdict_of(self.tape.finish(), &Overrides::default())
    }
}

fn verdict_of(trace: Trace, overrides: &Overrides) -> Verdict {
    let setup = Setup::resolve(&trace, overrides).unwrap();
    let mut surveyor = Surveyor::new(Arc::new(trace), setup).unwrap();
    while !surveyor.advance() {}
    let found = surveyor.finish();
    verdict::of_run(&found.survey, &found.doubts)
}

fn texts(verdict: &Verdict) -> String {
    verdict.evidence.iter().map(|e| e.said.text.as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_leak_is_growth_whatever_churns_around_it() {
    for (leaked, size, domain) in [(3, 200, "small"), (20, 64, "small"), (1, 5000, "large")] {
        let mut program = Program::new();
        for _ in 0..400 {
            program.request(120);
            for _ in 0..leaked {
                program.malloc("leak.py:9", size);
            }
        }
        let verdict = program.verdict();
        assert_eq!(verdict.word, Word::Growth, "{domain} {leaked} {size}: {verdict:?}");
        assert!(texts(&verdict).contains("leak.py:9"), "{verdict:?}");
        assert!(verdict.confidence >= 0.8);
    }
}

#[test]
fn a_burst_that_leaves_survivors_is_pinned_and_names_them() {
    for every in [500, 3000] {
        let mut program = Program::new();
        let mut burst = Vec::new();
        for n in 0..60_000_u64 {
            if n % every == 0 {
                program.malloc("cache.py:7", 200);
            }
            burst.push(program.malloc("burst.py:3", 200));
        }
        for id in burst {
            program.free(id);
        }
        program.request(2000);
        let verdict = program.verdict();
        assert_eq!(verdict.word, Word::Pinned, "{every}: {verdict:?}");
        assert!(texts(&verdict).contains("cache.py:7 alone keeps 1"), "{verdict:?}");
        assert!(verdict.confidence >= 0.85, "{verdict:?}");
    }
}

#[test]
fn a_full_cache_is_a_plateau() {
    let mut program = Program::new();
    let mut cache = VecDeque::new();
    for n in 0..60_000_u64 {
        cache.push_back(program.malloc("cache.py:30", 300 + n * 11 % 200));
        if cache.len() > 15_000
            && let Some(oldest) = cache.pop_front()
        {
            program.free(oldest);
        }
    }
    let verdict = program.verdict();
    assert_eq!(verdict.word, Word::Plateau, "{verdict:?}");
}

#[test]
fn many_short_lives_are_churn() {
    let mut program = Program::new();
    let base: Vec<u64> = (0..2000).map(|_| program.malloc("app.py:1", 100)).collect();
    for _ in 0..300 {
        program.request(1000);
    }
    drop(base);
    let verdict = program.verdict();
    assert_eq!(verdict.word, Word::Churn, "{verdict:?}");
}

#[test]
fn a_peak_whose_arenas_stay_is_the_high_water_mark() {
    let mut program = Program::new();
    let all: Vec<u64> = (0..40_000).map(|_| program.malloc("build.py:5", 400)).collect();
    for (at, id) in all.into_iter().enumerate() {
        if at % 2 == 0 {
            program.free(id);
        }
    }
    for _ in 0..20 {
        program.request(500);
    }
    let verdict = program.verdict();
    assert_eq!(verdict.word, Word::HighWater, "{verdict:?}");
}

#[test]
fn large_buffers_are_not_pymallocs() {
    let mut program = Program::new();
    for _ in 0..8 {
        program.malloc("buffers.py:2", 16 << 20);
    }
    for _ in 0..200 {
        program.request(200);
    }
    let verdict = program.verdict();
    assert_eq!(verdict.word, Word::NotPymalloc, "{verdict:?}");
}

#[test]
fn what_needs_no_mending_is_healthy() {
    let mut program = Program::new();
    let all: Vec<u64> = (0..30_000).map(|_| program.malloc("app.py:5", 300)).collect();
    for id in all {
        program.free(id);
    }
    let verdict = program.verdict();
    assert_eq!(verdict.word, Word::Healthy, "{verdict:?}");
    let empty = TraceBuilder::new("t").finish();
    assert_eq!(verdict_of(empty, &Overrides::default()).word, Word::Healthy);
}

#[test]
fn the_word_is_the_same_on_other_builds() {
    for preset in ["cpython-3.9", "cpython-3.13", "cpython-32bit"] {
        let mut program = Program::new();
        for _ in 0..400 {
            program.request(120);
            program.malloc("leak.py:9", 480);
        }
        let verdict = verdict_of(program.tape.finish(), &Overrides::preset(preset));
        assert_eq!(verdict.word, Word::Growth, "{preset}: {verdict:?}");
    }
}

#[test]
fn one_picture_alone_never_says_growth() {
    let picture = |arenas: u64, in_use: u64| StatsText {
        numbers: vec![
            (format!("{arenas} arenas * 1048576 bytes/arena"), arenas << 20),
            ("# bytes in allocated blocks".to_owned(), in_use),
        ],
        ..StatsText::default()
    };
    for (arenas, in_use) in [(1, 1 << 20), (400, 390 << 20), (4000, 4 << 20)] {
        let verdict = verdict::of_pictures(&picture(arenas, in_use));
        assert_ne!(verdict.word, Word::Growth);
        assert!(verdict.doubts.iter().any(|doubt| doubt.contains("one picture")), "{verdict:?}");
    }
    assert_eq!(verdict::of_pictures(&picture(4000, 4 << 20)).word, Word::Pinned);
    let mut last = picture(12, 11 << 20);
    last.earlier = (4..12).map(|n| picture(n, n * 900_000)).collect();
    assert_eq!(verdict::of_pictures(&last).word, Word::Growth);
}

/// The small form of a planted program: its operations, and that it still shows the same.
fn shrunk(program: Program, word: Word, site: &str) -> Trace {
    let trace = Arc::new(program.tape.finish());
    let setup = Setup::resolve(&trace, &Overrides::default()).unwrap();
    let small = shrink(&trace, &setup, &mut |_| true).unwrap();
    assert_eq!(small.symptom.word, word);
    assert_eq!(small.symptom.site.as_deref(), Some(site));
    assert_eq!(small.operations, trace.len());
    // As a reader of the file finds it, and not only as it was tried.
    let mut text = Vec::new();
    trace_io::lesson::write(&mut text, &small.trace).unwrap();
    let mut loader = trace_io::Loader::new("small.ron", Box::new(std::io::Cursor::new(text)), None);
    while !loader.advance().unwrap() {}
    let read = loader.finish().unwrap().trace().unwrap();
    assert!(read.is_lesson() && read.len() == small.trace.len());
    let verdict = verdict_of(read, &Overrides::default());
    assert_eq!(verdict.word, word, "{verdict:?}");
    assert!(texts(&verdict).contains(site), "{verdict:?}");
    small.trace
}

#[test]
fn a_large_program_becomes_a_small_one_that_shows_the_same() {
    let mut program = Program::new();
    let mut burst = Vec::new();
    for n in 0..80_000_u64 {
        if n % 700 == 0 {
            program.malloc("cache.py:7", 150);
        }
        burst.push(program.malloc("burst.py:3", 100 + n % 90));
    }
    for id in burst {
        program.free(id);
    }
    let small = shrunk(program, Word::Pinned, "cache.py:7");
    assert!(small.len() < 500, "{}", small.len());

    let mut program = Program::new();
    for _ in 0..400 {
        program.request(120);
        program.malloc("leak.py:9", 300);
    }
    let small = shrunk(program, Word::Growth, "leak.py:9");
    assert!(small.len() < 500, "{}", small.len());
}

#[test]
fn what_shows_nothing_is_not_made_small() {
    let mut program = Program::new();
    let id = program.malloc("app.py:1", 100);
    program.free(id);
    let trace = Arc::new(program.tape.finish());
    let setup = Setup::resolve(&trace, &Overrides::default()).unwrap();
    let error = shrink(&trace, &setup, &mut |_| true).unwrap_err();
    assert_eq!(error.to_string(), "there is nothing to show: the verdict is healthy");
}
