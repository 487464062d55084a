//! Puzzles and the playground in the window: what is written is held against the goals, and words are completed.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/clipboard.rs"]
mod clipboard;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Cursor;
use std::rc::Rc;

use app_ui::{App, Opened, Platform, Startup};
use egui::accesskit::Role;
use egui::{Event, Key, Modifiers, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};

/// Files that the window wanted saved.
type Saved = Rc<RefCell<VecDeque<(String, String)>>>;

struct Shell(Saved);

impl Platform for Shell {
    fn pick_file(&mut self, _ctx: &egui::Context) {}
    fn take_dropped(&mut self, _ctx: &egui::Context, _file: &egui::DroppedFileHandle) {}
    fn poll_opened(&mut self) -> Option<Result<Opened, String>> {
        None
    }
    fn save(&mut self, _ctx: &egui::Context, name: &str, text: String) {
        self.0.borrow_mut().push_back((name.to_owned(), text));
    }
    fn publish_status(&mut self, _status: &str) {}
}

struct Window {
    harness: Harness<'static, App>,
    saved: Saved,
}

impl Window {
    /// A window that follows a link.
    fn linked(link: &str) -> Self {
        let saved = Saved::default();
        let app = App::new(
            Box::new(Shell(Rc::clone(&saved))),
            Startup { link: Some(link.to_owned()), ..Startup::default() },
        );
        let harness = Harness::builder().with_size(vec2(1280.0, 900.0)).build_ui_state(
            |ui, app: &mut App| {
                app.logic(&ui.ctx().clone());
                app.ui(ui);
            },
            app,
        );
        let mut window = Self { harness, saved };
        window.harness.state_mut().keep_digests();
        window.settle();
        window
    }

    fn settle(&mut self) {
        for _ in 0..2000 {
            self.harness.step();
            if !self.harness.state().busy() {
                break;
            }
        }
        assert!(!self.harness.state().busy(), "never comes to rest");
        self.harness.run_steps(4);
    }

    fn says(&self, text: &str) -> bool {
        self.harness.query_all_by_label_contains(text).next().is_some()
    }

    fn all(&self) -> Vec<String> {
        let nodes = self.harness.root().children_recursive();
        nodes
            .filter_map(|node| node.accesskit_node().label().or_else(|| node.accesskit_node().value()))
            .collect()
    }

    fn click(&mut self, label: &str) {
        self.harness.get_by_role_and_label(Role::Button, label).click();
        self.settle();
    }

    fn key(&mut self, key: Key) {
        self.harness.key_press_modifiers(Modifiers::NONE, key);
        self.settle();
    }

    /// What stands in the editor.
    fn program(&self) -> String {
        let editor = self.harness.get_by_role_and_label(Role::MultilineTextInput, "Program");
        editor.accesskit_node().value().unwrap_or_default()
    }

    /// Puts the text cursor into the editor, behind all that stands there.
    fn focus(&mut self) {
        self.harness.get_by_role_and_label(Role::MultilineTextInput, "Program").focus();
        self.settle();
        self.harness.key_press_modifiers(Modifiers::COMMAND, Key::End);
        self.settle();
    }

    fn type_text(&mut self, text: &str) {
        self.harness.event(Event::Text(text.to_owned()));
        self.settle();
    }

    /// Writes a program in the place of what stands there.
    fn write(&mut self, text: &str) {
        self.focus();
        self.harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
        self.settle();
        if text.is_empty() {
            self.harness.key_press(Key::Backspace);
        } else {
            self.harness.event(Event::Paste(text.to_owned()));
        }
        self.settle();
        assert_eq!(self.program(), text);
    }
}

const SOLVED: &str = "for i in range(blocks(512)): a[i] = malloc(512)\n";

#[test]
fn a_puzzle_is_solved_by_what_is_written() {
    let mut window = Window::linked("#v=1&puzzle=full-pool");
    assert!(window.says("4 Fill a pool exactly") && window.says("Not yet:"), "{:?}", window.all());
    assert!(window.says("Best known: 31 requests") && !window.says("Solved"));
    assert_eq!(window.harness.state().trace_name(), Some("Puzzle 4 Fill a pool exactly"));
    // A wrong one says which goal fails, and why.
    window.write("for i in range(pool.size//512): a[i] = malloc(512)\n");
    assert!(
        window.says("Not yet:") && window.says("2 are in use.") && window.says("Reached:"),
        "{:?}",
        window.all()
    );
    assert!(window.says("Score: 32 requests") && !window.says("Solved"));
    window.write(SOLVED);
    assert!(
        !window.says("Not yet:") && window.says("Solved, with the best score that is known."),
        "{:?}",
        window.all()
    );
    // A program with a fault has reached nothing.
    window.write("for i in range(3): free(a[i])\n");
    assert!(
        window.says("this puzzle is done without `free`") && !window.says("Solved"),
        "{:?}",
        window.all()
    );
    window.write(SOLVED);
    window.click("All puzzles");
    assert!(window.says("Puzzles (1 of 23 solved)"), "{:?}", window.all());
}

/// What is known of progress outlives the window.
#[test]
fn a_solution_that_was_looked_at_does_not_count() {
    let mut window = Window::linked("#v=1&puzzle=full-pool");
    window.click("Hint");
    assert!(window.says("The larger the blocks, the fewer fit."));
    window.click("Solution");
    assert!(
        window.says("Then it does not count as solved by you.") && !window.says("Put it into the editor")
    );
    window.click("Show it anyway");
    window.click("Put it into the editor");
    assert_eq!(window.program(), SOLVED);
    assert!(window.says("You looked at the solution, so it does not count."), "{:?}", window.all());
    window.click("Next puzzle");
    assert!(window.says("5 Two, nought, one") && !window.says("Solved"), "{:?}", window.all());
    assert!(window.program().starts_with("free(a[0][0])"), "{}", window.program());
    window.click("All puzzles");
    assert!(window.says("Puzzles (0 of 23 solved)"), "{:?}", window.all());
    let saved = window.harness.state_mut().save();
    let mut later = Window::linked("#v=1");
    later.harness.state_mut().restore(&saved);
    later.harness.state_mut().open_link("#v=1&puzzle=full-pool");
    later.settle();
    later.write(SOLVED);
    assert!(later.says("so it does not count"), "{:?}", later.all());
}

#[test]
fn a_link_brings_a_puzzle_with_a_program_and_a_build() {
    let mut window = Window::linked("#v=1&puzzle=full-pool&profile=cpython-3.9");
    assert!(window.says("Best known: 7 requests"), "{:?}", window.all());
    window.write(SOLVED);
    let copied = clipboard::copied(&mut window.harness, "Copy link");
    assert!(
        copied.contains("&puzzle=full-pool&play=") && copied.contains("&profile=cpython-3.9"),
        "{copied}"
    );
    let again = Window::linked(&copied);
    assert_eq!(again.program(), SOLVED);
    assert!(again.says("Solved, with the best score"), "{:?}", again.all());
    assert_eq!(again.harness.state().state_digest(), window.harness.state().state_digest());
    // Where it makes no sense it says so.
    let elsewhere = Window::linked("#v=1&puzzle=full-pool&profile=cpython-3.14t");
    assert!(
        elsewhere.says("This build does without pymalloc") && !elsewhere.says("Not yet:"),
        "{:?}",
        elsewhere.all()
    );
    let missing = Window::linked("#v=1&puzzle=none-such");
    assert!(missing.says("asks for the puzzle `none-such`"));
}

/// A program of its own is none of the puzzle that was open before.
#[test]
fn the_playground_goes_on_without_the_puzzle() {
    let mut window = Window::linked("#v=1&puzzle=full-pool");
    window.harness.state_mut().open_link("#v=1&play=S1SwVchNzMnJT9YwsdDkSitKTdVI1OQCAA");
    window.settle();
    assert_eq!(window.harness.state().trace_name(), Some("Playground"));
    assert!(!window.says("All puzzles") && window.says("Take what is open"), "{:?}", window.all());
    window.write("a = malloc(8)\nfree(a)\n");
    assert_eq!(window.harness.state().step(), Some((2, 2)));
}

#[test]
fn a_program_is_saved_as_a_trace_that_leads_to_the_same_places() {
    let text = "#! arena_size=64K\nfor i in range(200): a[i] = malloc(16*(1 + i%32))\nfor i in range(0, 200, 3): free(a[i])\n\
                set_allocator(mem, \"count\")\nwith stack(\"a.py:3\"): b = malloc(600, mem)\nc = malloc(40, raw)\n";
    let mut window = Window::linked("#v=1&play=S1SwVchNzMnJT9YwsdDkSitKTdVI1OQCAA");
    window.write(text);
    window.click("Save as a trace");
    let (name, saved) = window.saved.borrow_mut().pop_front().unwrap();
    assert_eq!(name, "playground.ron");
    let digest = window.harness.state().state_digest();
    let file = Opened::new(name, Box::new(Cursor::new(saved.into_bytes())), None);
    let app = App::new(Box::new(Shell(Saved::default())), Startup { file: Some(file), ..Startup::default() });
    let mut again = Window {
        harness: Harness::builder().with_size(vec2(1280.0, 900.0)).build_ui_state(
            |ui, app: &mut App| {
                app.logic(&ui.ctx().clone());
                app.ui(ui);
            },
            app,
        ),
        saved: Saved::default(),
    };
    again.harness.state_mut().keep_digests();
    again.settle();
    again.key(Key::End);
    assert!(digest.is_some());
    assert_eq!(again.harness.state().state_digest(), digest);
    assert_eq!(again.harness.state().step(), window.harness.state().step());
    // What is not there cannot be saved.
    window.write("");
    window.click("Save as a trace");
    assert!(window.says("there are no operations to save") && window.saved.borrow().is_empty());
}

#[test]
fn words_are_completed_by_tab_and_left_alone_otherwise() {
    let mut window = Window::linked("#v=1&play=S1SwVchNzMnJT9YwsdDkSitKTdVI1OQCAA");
    window.write("first = malloc(48)\n");
    window.type_text("fr");
    assert!(window.says("gives x back, through the domain that it came from"), "{:?}", window.all());
    window.key(Key::Tab);
    assert_eq!(window.program(), "first = malloc(48)\nfree(");
    assert!(!window.says("gives x back"), "it is closed");
    window.type_text("fi");
    window.key(Key::Tab);
    window.type_text(")");
    assert_eq!(window.program(), "first = malloc(48)\nfree(first)");
    // Enter is the editor's, with the list open or not.
    window.key(Key::Enter);
    window.type_text("b = ma");
    assert!(window.says("asks for n bytes"));
    // Past `mark`.
    window.key(Key::ArrowDown);
    window.key(Key::ArrowDown);
    window.key(Key::Tab);
    assert_eq!(window.program(), "first = malloc(48)\nfree(first)\nb = max(");
    for _ in 0..4 {
        window.key(Key::Backspace);
    }
    window.type_text("m");
    window.key(Key::Escape);
    assert!(!window.says("asks for n bytes"), "Escape closes it");
    window.key(Key::Enter);
    assert_eq!(window.program(), "first = malloc(48)\nfree(first)\nb = m\n");
    window.key(Key::Tab);
    assert_eq!(window.program(), "first = malloc(48)\nfree(first)\nb = m\n    ", "it indents");
    window.type_text("ca");
    window.harness.get_by_role_and_label(Role::Button, "calloc(n, size)").click();
    window.settle();
    assert!(window.program().ends_with("calloc("), "{:?}", window.program());
    window.type_text("4, 25)");
    assert!(window.program().ends_with("calloc(4, 25)"), "{:?}", window.program());
}
