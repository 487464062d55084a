//! The window driven through its accessibility tree: no renderer, no display.

#[path = "support/clipboard.rs"]
mod clipboard;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Cursor;
use std::rc::Rc;

use app_ui::{App, Opened, Platform, Startup};
use egui::{Key, Modifiers, Theme, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};

/// What the shell was asked, and what it will hand in.
#[derive(Default)]
struct Desk {
    arrivals: VecDeque<Result<Opened, String>>,
    picks: u32,
    /// Whether the system asks for less motion.
    still: bool,
    /// Why there is no file dialog.
    refused: Option<String>,
    /// Paths that were typed.
    paths: Vec<String>,
    status: String,
    published: u32,
}

struct TestPlatform(Rc<RefCell<Desk>>);

impl Platform for TestPlatform {
    fn pick_file(&mut self, _ctx: &egui::Context) {
        self.0.borrow_mut().picks += 1;
    }
    fn reduces_motion(&self) -> bool {
        self.0.borrow().still
    }
    fn poll_refused(&mut self) -> Option<String> {
        self.0.borrow_mut().refused.take()
    }
    fn open_path(&mut self, _ctx: &egui::Context, path: &str) {
        self.0.borrow_mut().paths.push(path.to_owned());
    }
    fn take_dropped(&mut self, _ctx: &egui::Context, _file: &egui::DroppedFileHandle) {}
    fn poll_opened(&mut self) -> Option<Result<Opened, String>> {
        self.0.borrow_mut().arrivals.pop_front()
    }
    fn publish_status(&mut self, status: &str) {
        let mut desk = self.0.borrow_mut();
        status.clone_into(&mut desk.status);
        desk.published += 1;
    }
}

fn opened(name: &str, bytes: &[u8]) -> Opened {
    Opened::new(name, Box::new(Cursor::new(bytes.to_vec())), Some(bytes.len() as u64))
}

/// The bundled run of a small script.
fn recording() -> Opened {
    opened("tiny-script-3.11.ptrace.zst", include_bytes!("../../traces/tiny-script-3.11.ptrace.zst"))
}

struct Window {
    harness: Harness<'static, App>,
    desk: Rc<RefCell<Desk>>,
}

impl Window {
    fn new(file: Option<Opened>, size: (f32, f32), theme: Theme) -> Self {
        let desk = Rc::new(RefCell::new(Desk::default()));
        let app = App::new(Box::new(TestPlatform(Rc::clone(&desk))), Startup { file, ..Startup::default() });
        let harness = Harness::builder().with_size(vec2(size.0, size.1)).build_ui_state(
            |ui, app: &mut App| {
                app.logic(&ui.ctx().clone());
                app.ui(ui);
            },
            app,
        );
        let mut window = Self { harness, desk };
        window.harness.state_mut().keep_digests();
        // The window follows the system, so that this is what says light or dark.
        window.harness.input_mut().system_theme = Some(theme);
        window.settle();
        assert_eq!(window.harness.ctx.theme(), theme);
        window
    }

    fn recording(size: (f32, f32), theme: Theme) -> Self {
        Self::new(Some(recording()), size, theme)
    }

    fn lesson() -> Self {
        let text = b"m o 1 48\nm o 2 48\nf o 1\nm o 3 40\nm o 4 600\n";
        Self::new(Some(opened("lesson.ptrace", text)), (1400.0, 900.0), Theme::Dark)
    }

    /// Frames until nothing goes on any more.
    fn settle(&mut self) {
        for _ in 0..2000 {
            self.harness.step();
            if !self.harness.state().busy() && self.desk.borrow().arrivals.is_empty() {
                break;
            }
        }
        assert!(!self.harness.state().busy(), "never comes to rest");
        self.harness.run_steps(3);
    }

    fn key(&mut self, key: Key) {
        self.modified(Modifiers::NONE, key);
    }

    fn modified(&mut self, modifiers: Modifiers, key: Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.settle();
    }

    fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.settle();
    }

    fn step(&self) -> u64 {
        self.harness.state().step().map_or(u64::MAX, |s| s.0)
    }

    fn open(&mut self, name: &str, bytes: &[u8]) {
        self.desk.borrow_mut().arrivals.push_back(Ok(opened(name, bytes)));
        self.settle();
    }

    fn says(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some()
    }

    /// Whether a label on screen begins with a text.
    fn labels(&self, beginning: &str) -> bool {
        self.harness.root().children_recursive().any(|node| {
            let node = node.accesskit_node();
            node.label().or_else(|| node.value()).is_some_and(|label| label.starts_with(beginning))
        })
    }

    /// Whether a text was painted, which screen readers need not know of.
    fn paints(&self, text: &str) -> bool {
        fn has(shape: &egui::Shape, text: &str) -> bool {
            match shape {
                egui::Shape::Text(shape) => shape.galley.text().contains(text),
                egui::Shape::Vec(shapes) => shapes.iter().any(|shape| has(shape, text)),
                _ => false,
            }
        }
        self.harness.output().shapes.iter().any(|clipped| has(&clipped.shape, text))
    }
}

#[test]
fn a_recording_opens_half_way() {
    let window = Window::recording((1400.0, 900.0), Theme::Dark);
    let app = window.harness.state();
    assert_eq!(app.trace_name(), Some("tiny-script-3.11"));
    assert_eq!(app.step(), Some((63_316, 126_631)));
    assert!(app.state_digest().is_some());
    assert!(app.status().contains("step 63,316 of 126,631"), "{}", app.status());
    assert_eq!(window.desk.borrow().status, app.status());
    assert!(window.says("Map of"));
    assert!(window.says("heap during a run of"));
}

#[test]
fn the_status_is_published_when_it_changes_only() {
    let mut window = Window::lesson();
    let before = window.desk.borrow().published;
    window.harness.run_steps(5);
    assert_eq!(window.desk.borrow().published, before);
    window.key(Key::ArrowRight);
    assert_eq!(window.desk.borrow().published, before + 1);
}

#[test]
fn buttons_and_keys_move_through_the_tape() {
    let mut window = Window::lesson();
    assert_eq!(window.step(), 0);
    assert!(window.says("Nothing has happened yet"));
    window.key(Key::ArrowRight);
    assert_eq!(window.step(), 1);
    assert!(window.says("PyObject_Malloc(48) -> 0x7e0000000030"));
    let digest = window.harness.state().state_digest();
    window.click("Step forward");
    assert_eq!(window.step(), 2);
    assert_ne!(window.harness.state().state_digest(), digest);
    window.click("Step back");
    assert_eq!((window.step(), window.harness.state().state_digest()), (1, digest));
    window.key(Key::End);
    assert_eq!(window.step(), 5);
    window.key(Key::Home);
    assert_eq!(window.step(), 0);
    window.modified(Modifiers::SHIFT, Key::ArrowRight);
    assert_eq!(window.step(), 5);
    window.key(Key::OpenBracket);
    assert_eq!(window.step(), 1, "where the arena was obtained");
}

#[test]
fn the_heap_can_be_checked_at_any_step() {
    let mut window = Window::lesson();
    for step in ["0", "1", "2", "3"] {
        window.key(Key::V);
        assert!(window.says(&format!("The heap after step {step} is sound")), "{step}");
        window.key(Key::ArrowRight);
    }
}

#[test]
fn space_plays_to_the_end() {
    let mut window = Window::lesson();
    window.harness.key_press(Key::Space);
    window.harness.step();
    assert!(window.harness.state().busy());
    window.settle();
    assert_eq!(window.step(), 5);
}

#[test]
fn go_to_takes_steps_and_addresses() {
    let mut window = Window::lesson();
    window.key(Key::G);
    let field = "A step from 0 to 5, a share such as 50%, start, end, peak, a mark such as mark:NAME, or an address such as 0x7e0000004030";
    window.harness.get_by_role_and_label(egui::accesskit::Role::TextInput, field).type_text("4");
    window.harness.run_steps(2);
    window.key(Key::Enter);
    assert_eq!(window.step(), 4);
    assert!(!window.says("A step from 0 to 5"), "closed");
    // Single keys are letters while a field has the focus.
    window.key(Key::G);
    window.harness.get_by_role_and_label(egui::accesskit::Role::TextInput, field).type_text("0x7e0000000030");
    window.harness.key_press(Key::Home);
    window.harness.run_steps(2);
    assert_eq!(window.step(), 4);
    window.key(Key::Enter);
    assert!(window.says("Map of pool 0"));
}

#[test]
fn bad_files_are_explained_and_change_nothing() {
    let mut window = Window::lesson();
    window.key(Key::End);
    let before = window.harness.state().state_digest();
    let zst = include_bytes!("../../traces/tiny-script-3.14.ptrace.zst");
    for (name, bytes) in [
        ("empty.ptrace", &b""[..]),
        ("junk.bin", &[0, 1, 2, 3, 255, 254]),
        ("line.ptrace", b"m o 1 48\nfree it please\n"),
        ("twice.ptrace", b"m o 1 48\nm o 1 48\n"),
        ("cut.ron", b"(name: \"x\", ops: ["),
        ("cut.ptrace.zst", &zst[..zst.len() / 2]),
    ] {
        window.open(name, bytes);
        let error = window.harness.state().error().unwrap_or_default().to_owned();
        assert!(error.starts_with(name) && !error.contains('\n'), "{name}: {error}");
        assert!(window.says("What was open stays open"), "{name}");
        assert_eq!(window.harness.state().state_digest(), before, "{name}");
        assert_eq!(window.harness.state().trace_name(), Some("lesson"), "{name}");
    }
    window.click("Dismiss error");
    assert_eq!(window.harness.state().error(), None);
    window.desk.borrow_mut().arrivals.push_back(Err("gone.ptrace: cannot be read".to_owned()));
    window.settle();
    assert!(window.says("gone.ptrace: cannot be read"));
    window.open("good.ptrace", b"m o 1 16\n");
    assert_eq!(window.harness.state().error(), None);
    assert_eq!(window.harness.state().trace_name(), Some("good"));
}

#[test]
fn an_empty_window_says_what_to_do() {
    let window = Window::new(Some(opened("empty.ptrace", b"")), (1100.0, 700.0), Theme::Light);
    assert!(window.says("Nothing leaves this machine"));
    assert!(window.says("empty.ptrace"));
    assert_eq!(window.harness.state().step(), None);
}

#[test]
fn the_open_button_asks_the_shell() {
    let mut window = Window::lesson();
    window.click("Open\u{2026}");
    window.modified(Modifiers::COMMAND, Key::O);
    assert_eq!(window.desk.borrow().picks, 2);
}

#[test]
fn without_a_file_dialog_a_path_can_be_typed() {
    let mut window = Window::lesson();
    window.desk.borrow_mut().refused = Some("This desktop has no file dialog".to_owned());
    window.settle();
    assert!(window.says("This desktop has no file dialog. Type or paste the file's path here"));
    window.harness.event(egui::Event::Text(" /tmp/a.bin".to_owned()));
    window.settle();
    window.key(Key::Enter);
    assert_eq!(window.desk.borrow().paths, ["/tmp/a.bin"]);
    assert!(!window.says("Path of the file"), "it is closed");
}

#[test]
fn the_map_zooms_by_keys() {
    let mut window = Window::lesson();
    window.key(Key::ArrowRight);
    assert!(window.says("Map of 1 arena"));
    window.key(Key::Plus);
    assert!(window.says("Map of arena 0"));
    window.key(Key::Enter);
    assert!(window.says("Map of pool 0 of arena 0, used, 1 of 340 blocks used"));
    window.key(Key::Backspace);
    window.key(Key::Minus);
    assert!(window.says("Map of 1 arena"));
}

#[test]
fn help_and_palette_open_and_close() {
    let mut window = Window::lesson();
    window.modified(Modifiers::SHIFT, Key::Questionmark);
    assert!(window.says("pymalloc, after some number of operations"));
    assert!(window.says("a capture of memray"), "it lists what can be opened");
    window.key(Key::Escape);
    assert!(!window.says("pymalloc, after some number of operations"));
    window.modified(Modifiers::COMMAND | Modifiers::SHIFT, Key::P);
    let field = "Type a part of a command's name";
    window.harness.get_by_role_and_label(egui::accesskit::Role::TextInput, field).type_text("go to end");
    window.harness.run_steps(2);
    window.key(Key::Enter);
    assert_eq!(window.step(), 5);
    assert!(!window.says(field));
}

/// The panes that share a place, each with its key and a label that it alone has.
const SHARING: [(Key, &str); 8] = [
    (Key::Num1, "Map of "),
    (Key::Num2, "in use"),
    (Key::Num3, "pools in use"),
    (Key::Num4, "What sys._debugmallocstats() prints"),
    (Key::Num7, "_PyMem_GetCurrentAllocatorName()"),
    (Key::Num8, "Block at 0x"),
    (Key::Num9, "get_traced_memory()"),
    (Key::Num0, "Of the whole trace of"),
];

#[test]
fn every_pane_draws_at_every_size_and_theme() {
    let scenario = include_bytes!("../../traces/scenarios/2-overrun.ron");
    for theme in [Theme::Dark, Theme::Light] {
        for size in [(1600.0, 1000.0), (1100.0, 700.0), (720.0, 480.0), (300.0, 200.0)] {
            let mut window = Window::new(Some(opened("2-overrun.ron", scenario)), size, theme);
            for _ in 0..4 {
                window.key(Key::ArrowRight);
            }
            for (key, _) in SHARING {
                window.key(key);
                // The keys of what has a place of its own take nothing away.
                for own in [Key::Num5, Key::Num6] {
                    window.key(own);
                    for (other, label) in SHARING {
                        assert_eq!(window.labels(label), other == key, "{size:?}: {key:?} and `{label}`");
                    }
                    assert!(window.labels("Filter operations") && window.labels("Step "), "{size:?}");
                    assert!(window.labels("What the current step touched"), "inspector at {size:?}");
                    assert!(window.labels("Called from"), "what happened at {size:?}");
                }
            }
            // With something to draw on each level of the map.
            let mut window = Window::recording(size, theme);
            for (key, label) in [
                (Key::Num1, "Map of 3 arenas, "),
                (Key::Plus, "Map of arena 2"),
                (Key::Plus, "Map of pool 26 of arena 2, used, 74 of 340 blocks used"),
                (Key::End, "Map of pool "),
                (Key::Home, "No arena yet: pymalloc asks for its first one"),
            ] {
                window.key(key);
                assert!(window.labels(label), "{size:?}: {key:?} and `{label}`");
            }
            for (key, label) in [
                (Key::Num7, SHARING[4].1),
                (Key::Num8, "This run is plain CPython"),
                (Key::Num9, "This run is plain CPython"),
            ] {
                window.key(key);
                assert!(window.labels(label) && !window.labels("No arena yet"), "{size:?}: {key:?}");
            }
        }
    }
}

#[test]
fn a_recording_shows_how_far_to_trust_the_map() {
    let mut window = Window::lesson();
    assert!(!window.says("as recorded"), "a scenario has no addresses");
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/../trace-io/tests/data/memray13.bin");
    window.open("memray13.bin", &std::fs::read(capture).unwrap());
    assert!(window.says(" % as recorded") && !window.says("so far"));
    // It stays whatever is shown, and says more when asked.
    window.key(Key::End);
    assert!(window.says(" % as recorded"));
    window.harness.get_by_label_contains(" % as recorded").hover();
    window.harness.run_steps(60);
    assert!(window.says("at the recorded place in their pool") && window.says("Perhaps: unknown past"));
}

#[test]
fn the_badge_changes_to_the_recorded_heap_and_back() {
    let capture = concat!(env!("CARGO_MANIFEST_DIR"), "/../trace-io/tests/data/memray13.bin");
    let mut window = Window::lesson();
    window.key(Key::M);
    assert!(!window.says("recorded arena"), "a scenario has but one heap");
    window.open("memray13.bin", &std::fs::read(capture).unwrap());
    window.key(Key::End);
    assert!(window.says("Model\u{2019}s heap: ") && !window.says("All recorded arenas"));
    window.harness.get_by_label_contains(" % as recorded").click();
    window.settle();
    assert!(window.says("All recorded arenas (") && window.says("Heap as recorded: the model has "));
    assert!(window.paints("free, or from before") || window.paints("as full as recorded blocks make it"));
    assert!(window.says("pool headers, free lists and the lists of arenas are not in a recording"));
    window.key(Key::Num3);
    assert!(window.says("As recorded: ") && !window.says("Run over real memory"));
    // What is not known is said, and why the model may differ.
    window.harness.get_by_label_contains("Heap as recorded").hover();
    window.harness.run_steps(60);
    assert!(window.says("arenas that came and went unseen") && window.says("Perhaps: unknown past"));
    assert!(window.says("Click to see the heap as the model has it (M)"));
    // Steps go on, and the key leads back.
    window.key(Key::ArrowLeft);
    window.key(Key::Num1);
    assert!(window.says("All recorded arenas ("));
    window.key(Key::M);
    assert!(window.says("All arenas (") && window.says(" % as recorded"));
}

#[test]
fn every_profile_replays_to_the_same_step() {
    let mut window = Window::lesson();
    window.key(Key::End);
    for (name, _) in sim_core::profile::PRESETS.iter().rev() {
        window.harness.get_by_role_and_label(egui::accesskit::Role::ComboBox, "Profile").click();
        window.harness.run_steps(2);
        window.harness.get_by_role_and_label(egui::accesskit::Role::Button, name).click();
        window.settle();
        assert_eq!(window.step(), 5, "{name}");
        assert!(window.harness.state().status().contains(name), "{name}");
    }
}

#[test]
fn the_layout_survives_saving_and_nonsense_is_ignored() {
    let mut window = Window::lesson();
    window.key(Key::Num4);
    let saved = window.harness.state_mut().save();
    let mut other = Window::lesson();
    assert!(!other.says("byte for byte"));
    other.harness.state_mut().restore(&saved);
    other.settle();
    assert!(other.says("byte for byte"), "the same tab is in front");
    other.harness.state_mut().restore("no such thing");
    other.settle();
    assert!(other.says("byte for byte"));
}

#[test]
fn older_lessons_open_and_explain_each_step() {
    let lesson = include_str!("../../trace-io/tests/data/lessons/2-free-list.ron");
    let file = opened("2-free-list.ron", lesson.as_bytes());
    let mut window = Window::new(Some(file), (1400.0, 900.0), Theme::Dark);
    assert_eq!(window.harness.state().trace_name(), Some("2 The free list"));
    assert_eq!(window.step(), 0);
    assert!(window.says("Press the right arrow key"));
    let note = lesson.split("note(\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    assert!(window.says(&note[..40]), "the note of the first operation");
    window.key(Key::ArrowRight);
    assert_eq!(window.step(), 1);
}

/// Bytes as something to read.
struct Bytes<I>(I);

impl<I: Iterator<Item = u8>> std::io::Read for Bytes<I> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let mut filled = 0;
        for (place, byte) in buffer.iter_mut().zip(&mut self.0) {
            *place = byte;
            filled += 1;
        }
        Ok(filled)
    }
}

#[test]
fn opening_shows_progress_and_can_be_cancelled() {
    let mut window = Window::lesson();
    let endless = std::iter::repeat_with(|| b"f o 0\n".iter().copied()).flatten();
    let long = Opened::new("long.ptrace", Box::new(Bytes(endless)), Some(1 << 30));
    window.desk.borrow_mut().arrivals.push_back(Ok(long));
    window.harness.step();
    assert!(window.harness.state().busy());
    assert!(window.says("Opening long.ptrace"));
    assert!(window.harness.state().status().contains("opening long.ptrace"));
    assert_eq!(window.harness.state().trace_name(), Some("lesson"), "the old trace stays meanwhile");
    window.harness.get_by_label("Cancel").click();
    window.settle();
    assert_eq!(window.harness.state().trace_name(), Some("lesson"));
    assert!(!window.says("Opening"));
}

#[test]
fn a_file_over_the_window_is_announced() {
    let mut window = Window::lesson();
    assert!(!window.paints("Drop to open this trace"));
    window.harness.input_mut().hovered_files.push(egui::HoveredFile::default());
    window.harness.step();
    assert!(window.paints("Drop to open this trace") && window.paints("Nothing leaves this machine"));
    // It is let go elsewhere.
    window.harness.input_mut().hovered_files.clear();
    window.harness.step();
    assert!(!window.paints("Drop to open this trace"));
}

#[test]
fn single_keys_reach_the_window_after_a_click() {
    let mut window = Window::lesson();
    window.click("Step forward");
    window.harness.key_press(Key::Space);
    window.harness.step();
    assert!(window.harness.state().busy(), "plays");
    window.settle();
    assert_eq!(window.step(), 5);
}

#[test]
fn released_arenas_leave_the_window_in_order() {
    let text = include_bytes!("../../trace-io/tests/data/lessons/6-arenas.ron");
    let mut window = Window::new(Some(opened("6-arenas.ron", text)), (1400.0, 900.0), Theme::Light);
    assert!(window.harness.state().status().contains("arena_size=64K"));
    window.key(Key::End);
    window.key(Key::Plus);
    window.key(Key::Plus);
    // Back through every arena that came and went, at the level of blocks.
    for _ in 0..8 {
        window.key(Key::OpenBracket);
    }
    assert_eq!(window.step(), 1);
    for _ in 0..8 {
        window.key(Key::CloseBracket);
    }
    assert!(window.says("goes back to the system"));
    window.key(Key::N);
    window.key(Key::P);
}

#[test]
fn an_arena_that_few_blocks_keep_does_not_look_full() {
    // A block of each size class, and many that fill pools and go: an arena's pools stay in use for one block each.
    let born = (1..=1984).map(|id| format!("m o {id} 512"));
    let gone = (1..=1984).filter(|id| id % 31 != 1).map(|id| format!("f o {id}"));
    let text = born.chain(gone).collect::<Vec<_>>().join("\n");
    let mut window =
        Window::new(Some(opened("pinned.ptrace", text.as_bytes())), (1280.0, 800.0), Theme::Dark);
    window.key(Key::Num3);
    window.key(Key::End);
    let words = "64 of 64 pools; blocks in use fill 3 %, 32 KiB of 1 MiB";
    assert!(window.says(words));
    assert!(window.paints("64/64 \u{b7} 3 %"));
}

#[test]
fn operations_can_be_filtered() {
    let mut window = Window::lesson();
    window.key(Key::Slash);
    window
        .harness
        .get_by_role_and_label(egui::accesskit::Role::TextInput, "Filter operations")
        .type_text("48");
    window.settle();
    assert!(window.says("2 of 5"));
    assert!(!window.says("Step 3:"));
    window.click("Step 2: PyObject_Malloc(48)");
    assert_eq!(window.step(), 2);
    let mut window = Window::lesson();
    window.key(Key::Slash);
    window
        .harness
        .get_by_role_and_label(egui::accesskit::Role::TextInput, "Filter operations")
        .type_text("free lunch");
    window.settle();
    assert!(window.says("`lunch` is none of"));
}

#[test]
fn a_dense_screen_draws() {
    let desk = Rc::new(RefCell::new(Desk::default()));
    let app = App::new(
        Box::new(TestPlatform(Rc::clone(&desk))),
        Startup { file: Some(recording()), ..Startup::default() },
    );
    let harness =
        Harness::builder().with_size(vec2(1600.0, 1000.0)).with_pixels_per_point(2.5).build_ui_state(
            |ui, app: &mut App| {
                app.logic(&ui.ctx().clone());
                app.ui(ui);
            },
            app,
        );
    let mut window = Window { harness, desk };
    window.settle();
    assert!(window.says("Map of 3 arenas"));
    window.key(Key::Plus);
    assert!(window.says("Map of arena 2"));
    window.key(Key::Plus);
    assert!(window.says("Map of pool 26 of arena 2"));
    // The picture would be wider than a texture may be here, and is made as wide as one may be.
    let textures = window.harness.ctx.tex_manager();
    let textures = textures.read();
    let sizes: Vec<[usize; 2]> =
        textures.allocated().filter(|(_, t)| t.name == "map").map(|(_, t)| t.size).collect();
    let largest = egui::RawInput::default().max_texture_side.unwrap_or(2048);
    assert!(matches!(sizes[..], [[width, _]] if width <= largest && width > largest - 64), "{sizes:?}");
}

#[test]
fn the_controls_fit_a_phone() {
    // The harness leaves a margin free.
    let window = Window::recording((390.0 + 16.0, 844.0 + 16.0), Theme::Dark);
    let screen = egui::Rect::from_min_size(egui::Pos2::new(8.0, 8.0), vec2(390.0, 844.0));
    let within = |label: &str, least: egui::Vec2| {
        let rect = window.harness.get_by_label(label).rect();
        assert!(screen.contains_rect(rect), "{label} at {rect:?}");
        assert!(rect.width() >= least.x && rect.height() >= least.y, "{label} at {rect:?}");
    };
    // Nine buttons in a row, each as large as a finger finds it, over the bar of the whole tape.
    for label in [
        "Go to start",
        "Previous arena",
        "100 back",
        "Step back",
        "Play or pause",
        "Step forward",
        "100 forward",
        "Next arena",
        "Go to end",
    ] {
        within(label, vec2(28.0, 24.0));
    }
    within("Position on the trace", vec2(340.0, 40.0));
    within("Open\u{2026}", vec2(40.0, 20.0));
    within("Lessons", vec2(40.0, 20.0));
    within("Map of 3 arenas, 23,596 blocks in use", vec2(160.0, 200.0));
}

/// Blocks of 512 bytes, of which 1,984 fill an arena and 31 a pool: enough for some arenas, half of them freed again.
fn blocks() -> Window {
    use std::fmt::Write as _;
    // Writing into a string does not fail.
    let mut text = String::new();
    for id in 1..=8_000 {
        let _ = writeln!(text, "m o {id} 512");
    }
    for id in (1..=8_000).rev().step_by(2) {
        let _ = writeln!(text, "f o {id}");
    }
    text.push_str("m o 9001 5000\nf o 7999\n");
    for id in (3_969..7_999).step_by(2) {
        let _ = writeln!(text, "f o {id}");
    }
    let mut window =
        Window::new(Some(opened("blocks.ptrace", text.as_bytes())), (1400.0, 900.0), Theme::Dark);
    window.key(Key::Home);
    window
}

impl Window {
    /// Writes into the condition field, from an empty one.
    fn write_condition(&mut self, text: &str) {
        self.key(Key::R);
        self.modified(Modifiers::COMMAND, Key::A);
        self.field("Condition to run to").type_text(text);
        self.harness.run_steps(2);
    }

    fn field<'a>(&'a self, label: &'a str) -> egui_kittest::Node<'a> {
        self.harness.get_by_role_and_label(egui::accesskit::Role::TextInput, label)
    }

    fn choose(&mut self, combo: &str, entry: &str) {
        self.harness.get_by_role_and_label(egui::accesskit::Role::ComboBox, combo).click();
        self.harness.run_steps(2);
        self.harness.get_by_role_and_label(egui::accesskit::Role::Button, entry).click();
        self.settle();
    }

    /// Types a step or an address into the dialog for that.
    fn go_to(&mut self, text: &str) {
        self.key(Key::G);
        self.field("A step from 0 to 14,017, a share such as 50%, start, end, peak, a mark such as mark:NAME, or an address such as 0x7e0000004030")
            .type_text(text);
        self.harness.run_steps(2);
        self.key(Key::Enter);
    }

    fn palette(&mut self, name: &str) {
        self.key(Key::F2);
        self.field("Type a part of a command's name").type_text(name);
        self.harness.run_steps(2);
        self.key(Key::Enter);
    }
}

#[test]
fn touches_of_the_selection_are_gone_to() {
    let mut window = blocks();
    for _ in 0..3 {
        window.key(Key::ArrowRight);
    }
    // The block of step 3 is touched again when it is freed; its id is odd, so that happens late or never.
    window.modified(Modifiers::COMMAND, Key::ArrowRight);
    assert_eq!(window.step(), 3);
    assert!(window.says("Nothing of 0x7e"), "{}", window.harness.state().status());
    window.key(Key::ArrowRight);
    window.modified(Modifiers::COMMAND, Key::ArrowRight);
    let freed = 8_000 + (8_000 - 4) / 2 + 1;
    assert_eq!(window.step(), freed);
    window.modified(Modifiers::COMMAND, Key::ArrowLeft);
    assert_eq!(window.step(), 4);
    window.choose("What of the selection to follow", "block's life");
    window.click("Next touch");
    assert_eq!(window.step(), freed);
    window.click("Previous touch");
    assert_eq!(window.step(), 4);
    window.choose("What of the selection to follow", "pool");
    window.click("Next touch");
    assert_eq!(window.step(), 5);
    for _ in 0..3 {
        window.click("Previous touch");
    }
    assert_eq!(window.step(), 2);
    window.choose("What of the selection to follow", "arena");
    window.key(Key::End);
    window.click("Previous touch");
    assert!(window.step() > freed);
    window.choose("What of the selection to follow", "size class");
    window.click("Previous touch");
    assert!(window.harness.state().status().contains("step 14,0"), "{}", window.harness.state().status());
    window.choose("What of the selection to follow", "call site");
    window.click("Next touch");
    assert!(window.says("This trace has no call stacks"));
}

#[test]
fn a_pinned_block_is_followed_from_anywhere() {
    let mut window = blocks();
    // The block that step 100 allocates, the seventh of the fourth pool, is freed among those with even ids.
    let (born, freed, address) = (100, 8_000 + (8_000 - 100) / 2 + 1, "0x7e000000cc30");
    window.go_to("100");
    assert_eq!(window.step(), born);
    assert!(window.says(&format!("PyObject_Malloc(512) -> {address}")));
    assert!(!window.says("What you clicked"));
    window.go_to(address);
    assert!(window.says("Map of pool 3 of arena 0"));
    window.choose("What of the selection to follow", "block's life");
    // From far after its birth, where other blocks are what steps are about.
    window.go_to("5000");
    assert_eq!(window.step(), 5_000);
    window.click("Previous touch");
    assert_eq!(window.step(), born);
    window.click("Previous touch");
    assert_eq!(window.step(), born);
    assert!(window.says("Nothing of "), "{}", window.harness.state().status());
    window.go_to("5000");
    window.click("Next touch");
    assert_eq!(window.step(), freed);
    // Where nobody holds it, its place can be followed all the same: from its end, and from before its birth.
    window.key(Key::End);
    window.click("Previous touch");
    assert_eq!(window.step(), 14_017);
    assert!(window.says(&format!("Nothing of the block at {address} before step 14,017")));
    window.choose("What of the selection to follow", "address");
    window.click("Previous touch");
    assert_eq!(window.step(), freed);
    window.go_to("50");
    window.click("Next touch");
    assert_eq!(window.step(), born);
    // Let go, what the step itself is about is followed.
    window.go_to("5000");
    window.key(Key::Escape);
    window.click("Next touch");
    assert_eq!(window.step(), 8_000 + (8_000 - 5_000) / 2 + 1, "where the block of step 5,000 is freed");
}

#[test]
fn rare_events_are_gone_to_by_bar_palette_and_keys() {
    let mut window = blocks();
    window.click("Next of the chosen event");
    assert_eq!(window.step(), 1, "the first arena");
    window.modified(Modifiers::SHIFT, Key::CloseBracket);
    assert_eq!(window.step(), 1_985);
    window.modified(Modifiers::SHIFT, Key::OpenBracket);
    assert_eq!(window.step(), 1);
    window.click("Previous of the chosen event");
    assert!(window.says("Nothing of \u{201c}arena obtained\u{201d} before step 1"));
    window.choose("Event to go to", "arena released (2)");
    window.click("Next of the chosen event");
    let released = window.step();
    assert!(released > 12_002);
    window.key(Key::Home);
    window.palette("next arena released");
    assert_eq!(window.step(), released);
    window.key(Key::OpenBracket);
    assert_eq!(window.step(), 7_937, "obtained or released");
    for (command, step) in [
        ("next pool carved", 7_968),
        ("previous pool carved", 7_937),
        ("next raw fallback", 12_001),
        ("previous pool freed", 12_001),
        ("next hook failure", 12_001),
    ] {
        window.palette(command);
        assert_eq!(window.step(), step, "{command}");
    }
    assert!(window.says("Nothing of \u{201c}hook failure\u{201d} after step 12,001"));
}

#[test]
fn conditions_run_both_ways_and_errors_say_where() {
    let mut window = blocks();
    window.write_condition("arenas = 3");
    assert!(window.says("column 8: `=` alone means nothing; write `==`"));
    window.key(Key::Enter);
    assert_eq!(window.step(), 0, "nothing runs to an error");
    window.key(Key::Escape);
    window.write_condition("arena_obtained && arenas == 3");
    window.key(Key::Enter);
    assert_eq!(window.step(), 3_969);
    window.key(Key::F3);
    assert_eq!(window.step(), 3_969);
    assert!(window.says("Nothing of `arena_obtained && arenas == 3` after step 3,969"));
    window.key(Key::End);
    window.modified(Modifiers::SHIFT, Key::F3);
    assert_eq!(window.step(), 3_969);
    window.key(Key::Home);
    window.click("On to condition");
    assert_eq!(window.step(), 3_969);
    window.click("Back to condition");
    assert_eq!(window.step(), 3_969);
    assert_eq!(window.desk.borrow().status, window.harness.state().status(), "what came of it is published");
}

#[test]
fn a_search_is_stopped_by_escape() {
    // So long that no machine searches it within a frame.
    let tape = "m o 1 16\nf o 1\n".repeat(1_000_000);
    let mut window = Window::new(Some(opened("long.ptrace", tape.as_bytes())), (1400.0, 900.0), Theme::Dark);
    window.key(Key::Home);
    window.write_condition("size == 123456789");
    window.harness.key_press(Key::Enter);
    window.harness.step();
    assert!(window.harness.state().busy());
    window.harness.key_press(Key::Escape);
    window.harness.step();
    // Within the frame: a search that goes on to its end would say that there is nothing.
    assert!(!window.harness.state().busy(), "{}", window.harness.state().status());
    window.settle();
    assert_eq!(window.step(), 0);
    assert!(window.says("The search was stopped"), "{}", window.harness.state().status());
    assert!(!window.says("Nothing of"), "{}", window.harness.state().status());
}

#[test]
fn every_event_is_gone_to_by_its_command() {
    let mut window = blocks();
    for (event, condition) in sim_core::index::RareEvent::ALL {
        // Once along the index, once asking a condition after each operation.
        window.key(Key::Home);
        window.palette(&format!("next {}", name_of(event)));
        let by_command = (window.step(), window.says("Nothing of"));
        window.key(Key::Home);
        window.write_condition(condition);
        window.key(Key::Enter);
        assert_eq!(by_command, (window.step(), window.says("Nothing of")), "{condition}");
        window.key(Key::End);
        window.palette(&format!("previous {}", name_of(event)));
        let by_command = (window.step(), window.says("Nothing of"));
        window.key(Key::End);
        window.modified(Modifiers::SHIFT, Key::F3);
        assert_eq!(by_command, (window.step(), window.says("Nothing of")), "{condition}, back");
    }
}

/// What the window calls an event.
fn name_of(event: sim_core::index::RareEvent) -> &'static str {
    use sim_core::index::RareEvent;
    match event {
        RareEvent::ArenaObtained => "arena obtained",
        RareEvent::ArenaReleased => "arena released",
        RareEvent::ArenaRelinked => "arena relinked",
        RareEvent::ArenaFull => "arena full",
        RareEvent::ArenaRefused => "hook failure",
        RareEvent::PoolCarved => "pool carved",
        RareEvent::PoolInitialised => "pool initialised",
        RareEvent::PoolLinked => "pool linked",
        RareEvent::PoolFull => "pool full",
        RareEvent::PoolFreed => "pool freed",
        RareEvent::RawFallback => "RAW fallback",
        RareEvent::ReturnedNull => "NULL returned",
        RareEvent::Stopped => "end of the process",
    }
}

#[test]
fn breakpoints_stop_play_and_are_kept_listed_toggled_and_removed() {
    let mut window = blocks();
    window.write_condition("step == 1000");
    window.click("Keep as breakpoint");
    window.write_condition("raw_fallback");
    window.click("Keep as breakpoint");
    assert!(window.says("Breakpoints (2 of 2)"));
    for _ in 0..20 {
        window.key(Key::Period);
    }
    window.key(Key::Home);
    window.key(Key::Space);
    assert_eq!(window.step(), 1_000);
    assert!(window.says("Play stopped at a breakpoint: step == 1000"));
    window.key(Key::Space);
    assert_eq!(window.step(), 12_001);
    // They outlive the window.
    let saved = window.harness.state_mut().save();
    let mut window = blocks();
    window.harness.state_mut().restore(&saved);
    window.settle();
    window.click("Breakpoints (2 of 2)");
    window.click("step == 1000");
    assert!(window.says("Breakpoints (1 of 2)"));
    window.key(Key::Escape);
    for _ in 0..20 {
        window.key(Key::Period);
    }
    window.key(Key::Space);
    assert_eq!(window.step(), 12_001, "the other one is not heeded");
    window.click("Breakpoints (1 of 2)");
    window.click("Remove breakpoint raw_fallback");
    assert!(window.says("Breakpoints (0 of 1)"));
    window.key(Key::Escape);
    window.palette("remove all breakpoints");
    assert!(!window.says("Breakpoints (0 of 1)"));
    window.key(Key::Space);
    assert_eq!(window.step(), 14_017);
}

#[test]
fn breakpoints_stay_with_their_trace() {
    let mut window = blocks();
    window.write_condition("step == 1000");
    window.click("Keep as breakpoint");
    assert!(window.says("Breakpoints (1 of 1)"));
    window.open("other.ptrace", b"m o 1 48\nm o 2 48\n");
    assert!(!window.says("Breakpoints (1 of 1)"), "another trace has none");
    let saved = window.harness.state_mut().save();
    let mut window = blocks();
    window.harness.state_mut().restore(&saved);
    window.settle();
    assert!(window.says("Breakpoints (1 of 1)"), "they are kept for theirs");
}

#[test]
fn what_is_said_of_a_trace_stays_true() {
    let mut window = Window::lesson();
    assert!(window.says("This is before the first of 5 operations"));
    window.key(Key::Space);
    assert!(!window.says("This is before the first of"), "it plays");
    // A warning is not lost to what is asked in between.
    let mut window = Window::recording((1400.0, 900.0), Theme::Dark);
    let about = "CPython's heap during a run of tiny-script-3.11";
    assert!(window.says(about));
    window.key(Key::V);
    assert!(window.says("The heap after step 63,316 is sound") && !window.says(about));
    window.key(Key::ArrowRight);
    assert!(window.says(about) && !window.says("is sound"), "that was of another step");
    window.key(Key::V);
    window.click("Dismiss hint");
    assert!(window.says(about), "only what lay on top");
    window.click("Dismiss hint");
    assert!(!window.says(about));
}

#[test]
fn a_system_that_asks_for_less_motion_is_heeded() {
    let mut window = Window::lesson();
    assert!(window.harness.state_mut().save().contains("\"reduce_motion\":false"));
    let saved = window.harness.state_mut().save();
    window.desk.borrow_mut().still = true;
    window.harness.state_mut().restore(&saved);
    window.settle();
    assert!(window.harness.state_mut().save().contains("\"reduce_motion\":true"));
    assert!(window.harness.ctx.global_style().animation_time < f32::EPSILON);
}

#[test]
fn following_does_not_end_in_silence() {
    let mut window = Window::recording((1400.0, 900.0), Theme::Dark);
    window.key(Key::G);
    window
        .field("A step from 0 to 126,631, a share such as 50%, start, end, peak, a mark such as mark:NAME, or an address such as 0x7e0000004030")
        .type_text("0x7e0000000100");
    window.harness.run_steps(2);
    window.key(Key::Enter);
    assert!(window.says("The map stays here; Follow (F) has it go with the steps again"));
}

/// What a visitor sees first moves by itself until it is touched, and has three ways on.
#[test]
fn without_a_file_it_begins_with_a_scene() {
    let mut window = Window::new(None, (1280.0, 720.0), Theme::Dark);
    // The first picture may be over by the time that the window has settled.
    assert!(
        ["A program asks for a few bytes.", "Python fetches a whole arena"]
            .iter()
            .any(|first| window.says(first))
    );
    for caption in ["Python fetches a whole arena", "More requests: same place", "The heap grows"] {
        let mut frames = 0;
        while !window.says(caption) {
            window.harness.step();
            frames += 1;
            assert!(frames < 1_000, "{caption}");
        }
    }
    window.key(Key::ArrowRight);
    assert!(window.says("Almost everything is freed again."));
    window.harness.run_steps(200);
    assert!(window.says("Almost everything is freed again."), "who touches it has it stay");
    window.key(Key::ArrowRight);
    window.key(Key::ArrowRight);
    assert!(window.says("These 4 blocks hold 2 arenas: 128 KiB."));
    window.click("Play with it");
    assert_eq!(window.harness.state().trace_name(), Some("Playground"));
    assert_eq!(window.harness.state().step(), Some((740, 740)));
    assert!(window.says("Map of 2 arenas"), "arenas are as small as they were");
    window.click("Lessons");
    window.harness.get_by_role_and_label(egui::accesskit::Role::Button, "1 A first block").click();
    window.settle();
    assert!(window.says("Here is a Python program"));
    assert!(!window.says("Go to start"), "a lesson has its own way along the tape");
    window.click("All lessons");
    assert!(window.says("Go to start") && window.says("Operations"), "the layout is given back");
}

/// A lesson opened, read and answered with the mouse alone.
#[test]
fn a_lesson_is_read_and_answered() {
    let file = opened("01-first-block.ron", include_bytes!("../../traces/course/01-first-block.ron"));
    let mut window = Window::new(Some(file), (1280.0, 720.0), Theme::Dark);
    for _ in 0..2 {
        window.click("Next");
    }
    window.click("1 MiB at once");
    assert!(window.says("Right."));
    for _ in 0..4 {
        window.click("Next");
    }
    assert!(window.says("Where will") && !window.says("Right."));
    window.click("72 bytes into the pool, right behind the 24 bytes of a");
    assert!(
        window.says("Not so.") && window.says("Many believe that a block has exactly the size asked for")
    );
    assert!(window.says("Right: 80 bytes into the pool"));
    window.click("Next");
    assert!(window.says("lies right behind") && window.says("Map of pool 0 of arena 0"));
    window.click("Back");
    assert!(window.says("Not so."), "the answer stays");
    window.click("Try again");
    assert!(!window.says("Not so."));
    window.key(Key::ArrowRight);
    assert!(window.says("The answer:"), "nobody passes over a result unseen");
}

impl Window {
    fn copied(&mut self, click: &str) -> String {
        clipboard::copied(&mut self.harness, click)
    }

    fn linked(fragment: &str) -> Self {
        let mut window = Self::new(None, (1280.0, 720.0), Theme::Dark);
        window.harness.state_mut().open_link(fragment);
        window.settle();
        window
    }
}

#[test]
fn a_link_opens_a_lesson_at_its_beat_or_a_whole_program() {
    let window = Window::linked("#v=1&lesson=first-block&beat=5&profile=cpython-3.9");
    assert!(window.says("Beat 5 of 14") && window.says("of 4 KiB. Only the first one"));
    // Out of the playground of one window into another one.
    let mut window = Window::linked("#v=1&play=S1SwVchNzMnJT9YwsdDkSitKTdVI1OQCAA&step=1");
    assert_eq!(
        (window.harness.state().step(), window.says("The picture stands after line 1.")),
        (Some((1, 2)), true)
    );
    let copied = window.copied("Copy link");
    let again = Window::linked(&copied);
    assert_eq!(again.harness.state().step(), Some((1, 2)));
    assert_eq!(again.harness.state().state_digest(), window.harness.state().state_digest());
}

/// A link to a question of practice makes the same question again; one to lines of Python opens their recording.
#[test]
fn links_to_questions_and_recordings_hold() {
    let mut window = Window::linked("#v=1&lesson=practice-lifo-1-7&profile=cpython-3.12");
    assert_eq!(window.harness.state().trace_name(), Some("Practice"));
    let copied = window.copied("Copy link");
    assert!(
        copied.starts_with("#v=1&lesson=practice-lifo-1-7&beat=") && copied.contains("cpython-3.12"),
        "{copied}"
    );
    let again = Window::linked(&copied);
    assert_eq!(again.harness.state().state_digest(), window.harness.state().state_digest());
    let python = Window::linked("#v=1&lesson=python-growth-3.8");
    assert!(python.says("Recorded: CPython 3.8"), "{}", python.harness.state().status());
}

#[test]
fn a_link_that_cannot_be_followed_says_why() {
    for (fragment, why) in [
        ("#v=1&lesson=none-such", "asks for the lesson `none-such`"),
        ("#v=7&lesson=first-block", "is of version 7"),
        ("#v=1&play=AAAA", "is damaged"),
    ] {
        let window = Window::linked(fragment);
        assert!(window.says(why), "{fragment}");
        assert_eq!(window.harness.state().trace_name(), Some("The first twenty seconds"));
    }
}

#[test]
fn a_lesson_can_stand_alone_and_be_given_back() {
    let mut window = Window::linked("#v=1&lesson=first-block&beat=6&present=1");
    assert!(window.says("In the pool lies the") && window.says("Map of pool 0"));
    assert!(!window.says("Scenarios") && !window.says("What happened"), "nothing but text and picture");
    assert!((window.harness.ctx.zoom_factor() - 1.45).abs() < 0.01);
    window.key(Key::ArrowRight);
    assert!(window.says("Where will"));
    window.key(Key::Escape);
    assert!(window.says("Scenarios") && (window.harness.ctx.zoom_factor() - 1.0).abs() < 0.01);
    let embedded = Window::linked("#v=1&lesson=first-block&embed=1");
    assert!(!embedded.says("Scenarios") && (embedded.harness.ctx.zoom_factor() - 1.0).abs() < 0.01);
}

/// The Python that a lesson was recorded from stands above the text, with the line that the beat speaks of marked.
#[test]
fn a_lesson_from_python_marks_its_line() {
    let file = opened("18-objects.ron", include_bytes!("../../traces/course/18-objects.ron"));
    let mut window = Window::new(Some(file), (1280.0, 720.0), Theme::Light);
    assert!(window.says("Recorded: CPython 3.13.0, Linux x86-64"));
    assert!(window.says(">  8  a = object()") && window.says("   9  f = n / 3"));
    // On to the question, its answer, what came of it, and the next question.
    for _ in 0..4 {
        window.key(Key::ArrowRight);
    }
    assert!(window.says(">  9  f = n / 3") && window.says("   8  a = object()"), "one line at a time");
    assert!(!window.says(">  8  a = object()"));
}

#[test]
fn the_pitfalls_open_from_the_menu() {
    let mut window = Window::recording((1400.0, 900.0), Theme::Dark);
    window.click("Lessons");
    window.harness.get_by_label_contains("The 30 pitfalls").click();
    window.settle();
    window.harness.get_by_role_and_label(egui::accesskit::Role::Button, "16: double free").click();
    window.settle();
    assert_eq!(window.harness.state().trace_name(), Some("Pitfall 16: double free"));
}

#[test]
fn frame_times_can_be_shown_and_reset() {
    let mut window = Window::lesson();
    assert!(!window.says("median"));
    window.palette("frame times");
    assert!(window.says("median") && window.says("worst"));
    let before = window.harness.state().frame_times().frames;
    assert!(before > 5);
    window.palette("reset frame times");
    assert!(window.harness.state().frame_times().frames < before);
    window.palette("frame times");
    assert!(!window.says("median"));
}
