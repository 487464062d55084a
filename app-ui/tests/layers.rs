//! The panes on tables, debug hooks and tracemalloc, driven through the accessibility tree.

#[path = "support/clipboard.rs"]
mod clipboard;

use std::cell::RefCell;
use std::io::Cursor;
use std::rc::Rc;

use app_ui::{App, Opened, Platform, Startup};
use egui::accesskit::Role;
use egui::{Key, Theme, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;

/// A shell that has nothing to give.
struct NoShell(Rc<RefCell<String>>);

impl Platform for NoShell {
    fn pick_file(&mut self, _ctx: &egui::Context) {}
    fn take_dropped(&mut self, _ctx: &egui::Context, _file: &egui::DroppedFileHandle) {}
    fn poll_opened(&mut self) -> Option<Result<Opened, String>> {
        None
    }
    fn publish_status(&mut self, status: &str) {
        status.clone_into(&mut self.0.borrow_mut());
    }
}

struct Window {
    harness: Harness<'static, App>,
}

const DOMAINS: Key = Key::Num7;
const DEBUG: Key = Key::Num8;
const TRACEMALLOC: Key = Key::Num9;

const SCENARIOS: [(&str, &str); 6] = [
    ("1-layers.ron", include_str!("../../traces/scenarios/1-layers.ron")),
    ("2-overrun.ron", include_str!("../../traces/scenarios/2-overrun.ron")),
    ("3-use-after-free.ron", include_str!("../../traces/scenarios/3-use-after-free.ron")),
    ("4-wrong-domain.ron", include_str!("../../traces/scenarios/4-wrong-domain.ron")),
    ("5-own-tables.ron", include_str!("../../traces/scenarios/5-own-tables.ron")),
    ("6-tracemalloc.ron", include_str!("../../traces/scenarios/6-tracemalloc.ron")),
];

impl Window {
    fn new(name: &str, text: &str, theme: Theme) -> Self {
        let file =
            Opened::new(name, Box::new(Cursor::new(text.as_bytes().to_vec())), Some(text.len() as u64));
        let app =
            App::new(Box::new(NoShell(Rc::default())), Startup { file: Some(file), ..Startup::default() });
        let harness = Harness::builder().with_size(vec2(1600.0, 1600.0)).build_ui_state(
            |ui, app: &mut App| {
                app.logic(&ui.ctx().clone());
                app.ui(ui);
            },
            app,
        );
        let mut window = Self { harness };
        // The window follows the system, so that this is what says light or dark.
        window.harness.input_mut().system_theme = Some(theme);
        window.settle();
        assert_eq!(window.harness.ctx.theme(), theme);
        window
    }

    fn scenario(number: usize) -> Self {
        let (name, text) = SCENARIOS[number - 1];
        Self::new(name, text, Theme::Dark)
    }

    fn settle(&mut self) {
        for _ in 0..500 {
            self.harness.step();
            if !self.harness.state().busy() {
                break;
            }
        }
        assert!(!self.harness.state().busy(), "never comes to rest");
        self.harness.run_steps(3);
    }

    fn key(&mut self, key: Key) {
        self.harness.key_press(key);
        self.settle();
    }

    fn go(&mut self, step: u64) {
        self.harness.state_mut().seek(step);
        self.settle();
    }

    fn click(&mut self, role: Role, label: &str) {
        self.harness.get_by_role_and_label(role, label).click();
        self.settle();
    }

    fn says(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some()
    }

    #[track_caller]
    fn must_say(&self, text: &str) {
        assert!(self.says(text), "`{text}` is not on screen");
    }

    /// What the last frame put on the clipboard.
    fn copied(&mut self, click: &str) -> String {
        clipboard::copied(&mut self.harness, click)
    }
}

#[test]
fn every_pane_draws_every_step_of_every_scenario() {
    for theme in [Theme::Dark, Theme::Light] {
        for (name, text) in SCENARIOS {
            let mut window = Window::new(name, text, theme);
            let (_, len) = window.harness.state().step().unwrap();
            assert_eq!(window.harness.state().error(), None, "{name}");
            for pane in [DOMAINS, DEBUG, TRACEMALLOC] {
                window.key(pane);
                for step in 0..=len {
                    window.go(step);
                }
            }
            assert!(!window.says("This run is plain CPython"), "{name}");
        }
    }
}

#[test]
fn plain_runs_say_how_to_get_layers() {
    let mut window = Window::new("plain.ptrace", "m o 1 48\nf o 1\n", Theme::Light);
    for pane in [DOMAINS, DEBUG, TRACEMALLOC] {
        window.key(pane);
        window.must_say("This run is plain CPython");
        window.must_say("#! malloc=debug");
    }
    window.key(DEBUG);
    window.must_say("does not have the bytes that the program wrote");
    window.key(TRACEMALLOC);
    window.must_say("tracemalloc watches a program that runs");
    window.key(DOMAINS);
    window.must_say("\"pymalloc\"");
    window.must_say("_PyObject_Malloc");
    window.must_say("on to the top of RAW's column");
}

#[test]
fn a_request_is_followed_down_the_tables() {
    let mut window = Window::scenario(1);
    window.key(DOMAINS);
    window.must_say("\"pymalloc_debug\"");
    window.must_say("This step called no table");
    window.key(Key::ArrowRight);
    window.must_say("This step passed 4 tables, numbered below. Bytes asked for: 600 -> 624 -> 648");
    for asked in ["1. 600 bytes", "2. 624 bytes", "3. 624 bytes", "4. 648 bytes"] {
        window.must_say(asked);
    }
    window.key(DEBUG);
    window.must_say("MEM header: 600 bytes requested, API id 'm'; the check finds nothing wrong");
    window.must_say("RAW header: 624 bytes requested, API id 'r'; the check finds nothing wrong");
    window.must_say("0x555556000010: 00 00 00 00 00 00 02 70 72 fd fd fd fd fd fd fd SSSSSSSSIFFFFFFF");
    window.must_say("0x555556000020: 00 00 00 00 00 00 02 58 6d fd fd fd fd fd fd fd SSSSSSSSIFFFFFFF");
    // Freed to a pool: a link and what free left.
    window.key(Key::End);
    window.must_say("LLLLLLLLXXXXXXXX");
    window.must_say("MEM header: gone, its API id reads 0xdd; a second free would end the process: bad ID");
}

#[test]
fn an_overrun_is_shown_and_ends_in_the_words_of_cpython() {
    let mut window = Window::scenario(2);
    window.key(DEBUG);
    window.go(5);
    window.must_say("DDDDDDDDDDDDDDDD hello, world!...");
    assert!(!window.says("damaged"));
    window.go(6);
    window.must_say("1 byte damaged");
    window.must_say("a free or realloc would end the process: bad trailing pad byte");
    window.must_say("24 bytes behind the pointer");
    window.go(9);
    window.must_say("Here the process ends");
    let text = window.copied("Copy");
    assert!(text.starts_with("Debug memory block at address p=0x7e0000000040: API 'm'\n"), "{text}");
    assert!(text.contains("at tail+0: 0x00 *** OUCH"), "{text}");
    assert!(text.contains("  File \"parser.py\", line 12\n"), "{text}");
    assert!(text.ends_with("Fatal Python error: _PyMem_DebugRawFree: bad trailing pad byte"), "{text}");
}

#[test]
fn freed_memory_shows_who_wrote_to_it() {
    let mut window = Window::scenario(3);
    window.key(DEBUG);
    window.go(3);
    window.must_say("is free: a link of the free list");
    window.go(4);
    window.must_say("1 byte written after the block was freed");
    window.go(7);
    window.must_say("Segmentation fault");
    let mut window = Window::scenario(4);
    window.key(DEBUG);
    window.key(Key::End);
    window.must_say("bad ID: Allocated using API 'o', verified using API 'm'");
}

#[test]
fn own_tables_are_counted() {
    let mut window = Window::scenario(5);
    window.key(DOMAINS);
    window.go(2);
    window.must_say("NULL");
    window.must_say("own table 1: counts");
    window.key(Key::End);
    window.must_say("1: counts and passes on; over pymalloc; malloc 4, calloc 0, realloc 0, free 2");
    window.must_say("2: returns NULL for 1 request in 3; over own table 1: counts; malloc 3");
    window.must_say("This step passed 3 tables to free");
    window.go(6);
    window.must_say("MEM's table is replaced by one of the program's own");
}

#[test]
fn snapshots_are_kept_and_compared() {
    let mut window = Window::scenario(6);
    window.key(TRACEMALLOC);
    window.must_say("tracemalloc is not tracing at this step");
    window.go(8);
    window.must_say("get_traced_memory() (3328, 3328)");
    window.must_say("app.py:10: size=3200 B, count=2, average=1600 B");
    window.must_say("cache.py:7: size=128 B, count=2, average=64 B");
    for line in ["Calls now come from", "cache.py:7", "app.py:41", "main.py:5"] {
        window.must_say(line);
    }
    window.click(Role::Button, "Keep A");
    window.click(Role::CheckBox, "cumulative");
    window.must_say("main.py:5: size=3328 B, count=4, average=832 B");
    window.click(Role::CheckBox, "cumulative");
    window.go(18);
    window.click(Role::Button, "B compared to A");
    window.must_say("Nothing to compare");
    window.click(Role::Button, "Keep B");
    window.must_say("B (step 18) compared to A (step 8)");
    assert_eq!(
        window.copied("Copy"),
        "arrays.py:99: size=1024 KiB (+1024 KiB), count=1 (+1), average=1024 KiB\n\
         cache.py:7: size=0 B (-128 B), count=0 (-2)\n\
         app.py:10: size=3200 B (+0 B), count=2 (+0), average=1600 B"
    );
    // A snapshot stays what it was.
    window.go(8);
    window.must_say("B (step 18) compared to A (step 8)");
    window.must_say("arrays.py:99: size=1024 KiB (+1024 KiB), count=1 (+1)");
}

#[test]
fn actions_read_well() {
    let mut window = Window::scenario(6);
    window.must_say("Step 3: stack app.py:10 < app.py:40 < main.py:5");
    window.go(2);
    window.must_say("tracemalloc covers the tables of RAW, MEM and OBJ and keeps up to 5 frames");
    window.go(4);
    for line in ["Called from", "app.py:10", "app.py:40", "main.py:5"] {
        window.must_say(line);
    }
    window.go(11);
    window.must_say("PyTraceMalloc_Track(389047, #6, 1048576)");
    window.must_say("tracemalloc is told of 1,048,576 bytes at this pointer, in its domain 389047");
}

#[test]
fn a_chosen_block_is_shown_instead_of_the_last_one() {
    let mut window = Window::scenario(4);
    window.go(2);
    window.key(DEBUG);
    window.must_say("Block at 0x7e00000000a0");
    window.key(Key::G);
    let field = "A step from 0 to 4, a share such as 50%, start, end, peak, a mark such as mark:NAME, or an address such as 0x7e0000004030";
    window.harness.get_by_role_and_label(Role::TextInput, field).type_text("0x7e0000000030");
    window.harness.run_steps(2);
    window.key(Key::Enter);
    window.key(DEBUG);
    window.must_say("Block at 0x7e0000000040");
    window.must_say("the selected block");
    window.must_say("MEM header: 64 bytes requested, API id 'm'");
}

#[test]
fn hooks_interpreters_and_reports_are_on_screen() {
    const HOOKS: &str = include_str!("../../traces/pitfalls/25-hook-sizes.ron");
    const REPORTS: &str = include_str!("../../traces/pitfalls/26-malloc-stats.ron");
    const INTERPRETERS: &str = include_str!("../../traces/pitfalls/27-interpreters.ron");

    let mut window = Window::new("25-hook-sizes.ron", HOOKS, Theme::Dark);
    window.key(DOMAINS);
    window.go(0);
    window.must_say("mmap, munmap");
    for step in 1..=7 {
        window.go(step);
    }
    window.must_say("own hook 2: bump, 4 MiB");
    window.must_say("own hook 1: counts; 3 alloc, 1 free, of which 1 and 0 of an arena's size");
    window.must_say("that free does nothing, the memory leaks");
    window.go(2);
    window.must_say("Live arenas, and the hook that made each");

    let mut window = Window::new("26-malloc-stats.ron", REPORTS, Theme::Light);
    window.key(Key::Num4);
    window.go(2);
    window.must_say("This step printed the report that follows");
    window.must_say("0 arenas * 1048576 bytes/arena");
    window.go(3);
    window.must_say("1 report printed so far, none by this step");

    let mut window = Window::new("27-interpreters.ron", INTERPRETERS, Theme::Dark);
    window.key(DOMAINS);
    for step in 0..=14 {
        window.go(step);
        if step == 7 {
            window.must_say("1, in a state of its own");
        }
    }
    window.must_say("free(): invalid pointer");
    assert_eq!(window.harness.state().error(), None);
}

#[test]
fn snapshots_of_the_program_can_be_compared() {
    let text = "x tracemalloc start 1\nx stack a.py:1\nm o 1 100\nx tracemalloc snapshot early\n\
                m o 2 50\nx tracemalloc snapshot late\nx set_allocator o log\nm o 3 8\n";
    let mut window = Window::new("snapshots.ptrace", text, Theme::Light);
    window.go(8);
    window.key(DOMAINS);
    window.must_say("1 #1  malloc(8) = 0x7e");
    window.key(TRACEMALLOC);
    for (which, name) in [("A", "early"), ("B", "late")] {
        window.click(Role::ComboBox, &format!("Program's snapshot as {which}"));
        window.click(Role::Button, name);
    }
    window.must_say("A: early");
    window.click(Role::Button, "B compared to A");
    window.must_say("B (late) compared to A (early)");
    window.must_say("a.py:1: size=150 B (+50 B), count=2 (+1), average=75 B");
}

/// Map, size classes, arenas and statistics.
const SHARED: [Key; 4] = [Key::Num1, Key::Num2, Key::Num3, Key::Num4];

#[test]
fn runs_on_mimalloc_show_segments_and_pages() {
    let text = include_str!("../../traces/pitfalls/28-free-threaded.ron");
    let mut window = Window::new("28-free-threaded.ron", text, Theme::Dark);
    let (_, len) = window.harness.state().step().unwrap();
    for pane in SHARED.into_iter().chain([DOMAINS, DEBUG, TRACEMALLOC]) {
        window.key(pane);
        for step in 0..=len {
            window.go(step);
        }
    }
    window.key(SHARED[0]);
    window.must_say("mimalloc 2.5.2");
    window.must_say("1 segment with");
    window.must_say("5,120");
    window.key(SHARED[1]);
    window.must_say("MEM and OBJ are mimalloc's in this run");
    window.key(SHARED[3]);
    window.must_say("Medium block threshold = 65536");
    window.key(DOMAINS);
    window.must_say("_PyObject_MiMalloc");
    window.must_say("\"mimalloc\"");
}

#[test]
fn every_pane_under_mimalloc_says_what_stands_where() {
    let text = "(name: \"m\", profile: \"cpython-3.14t\", operations: [malloc(id: 1, size: 48), malloc(id: 2, size: 100000)])";
    let mut window = Window::new("m.ron", text, Theme::Dark);
    window.key(Key::End);
    window.must_say("1 segment \u{b7} 2 live blocks in mimalloc");
    assert!(!window.says("0 arenas") && !window.says("0 blocks"));
    for (pane, what) in [(Key::Num2, "has no size classes"), (Key::Num3, "has no arenas")] {
        window.key(pane);
        window.must_say(what);
        window.must_say("The 2 live blocks lie in mimalloc's segments and pages");
    }
    window.key(Key::Num4);
    window.must_say("In all there are 2 live blocks");
    window.must_say("Allocated Blocks: ");
}

#[test]
fn frees_by_another_thread_are_marked() {
    let text = "(name: \"m\", profile: \"cpython-3.14t\", operations: [malloc(id: 1, size: 48), malloc(id: 2, size: 48), \
                free(id: 1, thread: 1), free(id: 2)])";
    let mut window = Window::new("m.ron", text, Theme::Dark);
    window.go(3);
    window.must_say("on thread 1");
    window.must_say("frees another thread's block");
    window.go(4);
    window.must_say("on thread 0");
    assert!(!window.says("frees another thread's block"));
}

#[test]
fn stacks_are_lists_of_frames_and_callers_are_listed() {
    let text = "x stack /usr/lib/python3.12/json/decoder.py:10 a.py:40 b.py:5 c.py:6 d.py:7 e.py:8\nm o 1 48\nm o 2 100\n";
    let mut window = Window::new("s.ptrace", text, Theme::Dark);
    window.key(Key::End);
    for frame in ["json/decoder.py:10", "a.py:40", "2 more frames up to the program's start"] {
        window.must_say(frame);
    }
    window.key(Key::Num0);
    window.must_say("1 thread");
    window.must_say("148 bytes");
    window.must_say("json/decoder.py:10");
}

#[test]
fn debug_hooks_over_mimalloc_are_taken_apart() {
    let text = "#! malloc=mimalloc_debug\nm m 1 24\nr m 1 1 60\nf m 1\nx detach\n";
    let mut window = Window::new("debug.ptrace", text, Theme::Light);
    window.key(DEBUG);
    window.go(1);
    window.must_say("It lies in a block of mimalloc's");
    window.go(3);
    window.must_say("a link of its list, then what is left");
    window.key(DOMAINS);
    window.must_say("_PyMem_MiFree");
    window.must_say("\"mimalloc_debug\"");
}
