//! Traces with stacks and threads, driven through the accessibility tree: what tracemalloc would say where it did not run, and who
//! called, in every pane that speaks of a call.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use egui::{Key, Modifiers, Theme};
use sim_core::tape::{Missing, SourceLine, StackId};
use sim_core::{Call, Domain, Op, TraceBuilder};
use support::window::{Window, packed};

fn recorded(stacks_of_c: bool) -> Vec<u8> {
    let mut tape = TraceBuilder::new("recorded");
    let source = &mut tape.trace_mut().origin.source;
    source.set("recorder", "memray, format 12");
    source.lacks(Missing::PROCESS_BIRTH, "it begins in mid-life");
    if stacks_of_c {
        source.lacks(Missing::PYTHON_STACKS, "it has C's");
    }
    let mut push = |call, stack: &str| {
        let lines: Vec<SourceLine> = stack.split_whitespace().map(|line| line.parse().unwrap()).collect();
        let stack = if lines.is_empty() { StackId(0) } else { tape.stack(&lines) };
        tape.push_recorded(Op { thread: 0, domain: Domain::Obj, call }, stack, None).unwrap();
    };
    push(Call::Malloc { id: 1, size: 1000 }, "cache.py:7 app.py:3");
    push(Call::Malloc { id: 2, size: 600 }, "request.py:1 app.py:5");
    push(Call::Free { id: 2 }, "");
    push(Call::Realloc { id: 1, newid: 1, size: 3000 }, "cache.py:9 app.py:3");
    push(Call::Malloc { id: 3, size: 50 }, "request.py:1 app.py:5");
    packed(&tape.finish())
}

fn window(stacks_of_c: bool) -> Window {
    let mut window = Window::new("recorded.atrace", &recorded(stacks_of_c), (1400.0, 1000.0), Theme::Dark);
    window.key(Modifiers::NONE, Key::Num9);
    window
}

#[track_caller]
fn must_say(window: &Window, text: &str) {
    let labels = window.labels();
    assert!(labels.iter().any(|label| label.contains(text)), "`{text}` is not on the screen: {labels:#?}");
}

fn says(window: &Window, text: &str) -> bool {
    window.labels().iter().any(|label| label.contains(text))
}

#[test]
fn a_recording_says_what_tracemalloc_would() {
    let mut window = window(false);
    window.seek(2);
    must_say(&window, "tracemalloc did not run here. This is what it would say");
    must_say(
        &window,
        "blocks from before the recording are not in it; calls of malloc by C code are in it too",
    );
    must_say(&window, "get_traced_memory() (1600, 1600)");
    must_say(&window, "cache.py:7: size=1000 B, count=1, average=1000 B");
    must_say(&window, "request.py:1: size=600 B, count=1, average=600 B");
    window.click("Keep A");
    window.key(Modifiers::NONE, Key::End);
    must_say(&window, "get_traced_memory() (3050, 3050)");
    must_say(&window, "cache.py:9: size=3000 B, count=1, average=3000 B");
    assert!(!says(&window, "As of step"), "the answer is of the step shown");
    window.click("B compared to A");
    must_say(&window, "Nothing to compare");
    window.click("Keep B");
    must_say(&window, "B (step 5) compared to A (step 2)");
    must_say(&window, "cache.py:9: size=3000 B (+3000 B), count=1 (+1), average=3000 B");
    must_say(&window, "request.py:1: size=50 B (-550 B), count=1 (+0), average=50 B");
    assert_eq!(
        window.copied("Copy"),
        "cache.py:9: size=3000 B (+3000 B), count=1 (+1), average=3000 B\n\
         cache.py:7: size=0 B (-1000 B), count=0 (-1)\n\
         request.py:1: size=50 B (-550 B), count=1 (+0), average=50 B"
    );
    // Another limit holds for both snapshots.
    window.click("all");
    window.click("cumulative");
    must_say(&window, "app.py:3: size=3000 B (+2000 B), count=1 (+0), average=3000 B");
    window.click("cumulative");
    window.click("this step");
    window.choose("Group by", "traceback");
    must_say(&window, "app.py:3: size=3000 B, count=1, average=3000 B");
    assert!(!says(&window, "File \"cache.py\", line 9"));
    window.click("app.py:3: size=3000 B, count=1, average=3000 B");
    must_say(&window, "File \"cache.py\", line 9");
    must_say(&window, "File \"app.py\", line 3");
    window.choose("Group by", "file");
    must_say(&window, "cache.py:0: size=3000 B, count=1, average=3000 B");
}

#[test]
fn stacks_of_c_code_are_not_taken_for_pythons() {
    let window = window(true);
    must_say(&window, "the stacks of this recording are those of C code");
    assert!(!says(&window, "get_traced_memory()"));
}

/// Two threads of which one has a name, and functions.
fn threads() -> Vec<u8> {
    let mut tape = TraceBuilder::new("threads");
    tape.trace_mut().origin.source.thread_names = vec![String::new(), "worker \u{1b}[2J".to_owned()];
    let line = |function: &str, file: &str, line| SourceLine {
        function: function.to_owned(),
        file: file.to_owned(),
        line,
    };
    let main = [line("main", "app.py", 3)];
    let worker = [line("render", "views.py", 7), line("run", "threading.py", 40)];
    for (id, thread, lines) in [(1, 0, &main[..]), (2, 1, &worker), (3, 0, &main)] {
        let stack = tape.stack(lines);
        let op = Op { thread, domain: Domain::Obj, call: Call::Malloc { id, size: 48 } };
        tape.push_recorded(op, stack, None).unwrap();
    }
    packed(&tape.finish())
}

#[test]
fn operations_inspector_and_narration_say_who_called_on_which_thread() {
    let mut window = Window::new("threads.atrace", &threads(), (1400.0, 1000.0), Theme::Light);
    window.seek(2);
    let name = "thread 1, worker \\u001b[2J";
    must_say(&window, &format!("Step 2: PyObject_Malloc(48), {name}, from render, views.py:7"));
    must_say(&window, "Step 1: PyObject_Malloc(48), thread 0, from main, app.py:3");
    // The narration above its stack, and the inspector's block above its own.
    let labels = window.labels();
    let count = |text: &str| labels.iter().filter(|label| label.as_str() == text).count();
    assert_eq!(count(&format!("on {name}")), 2, "{labels:#?}");
    assert_eq!((count("Called from"), count("Born by")), (1, 1), "{labels:#?}");
    assert_eq!((count("render, views.py:7"), count("run, threading.py:40")), (2, 2), "{labels:#?}");
    window.write("Filter operations", "@views.py:7 t:worker");
    must_say(&window, "1 of 3");
    assert!(!says(&window, "Step 1:"));
    window.write("Filter operations", "@MAIN");
    must_say(&window, "2 of 3");
}

#[test]
fn a_stack_that_an_action_sets_is_a_list() {
    let text = "x stack a.py:1 b.py:2 c.py:3 d.py:4 e.py:5\nm o 1 48\n";
    let mut window = Window::new("t.ptrace", text.as_bytes(), (1400.0, 1000.0), Theme::Dark);
    window.seek(1);
    must_say(&window, "Calls from here on come from this Python stack");
    let labels = window.labels();
    for frame in ["a.py:1", "b.py:2", "c.py:3", "d.py:4", "1 more frame up to the program's start"] {
        assert!(labels.iter().any(|label| label == frame), "{frame}: {labels:#?}");
    }
}
