//! Each beat of each lesson with its picture: what the text names is on the screen at that moment, and no text is cut.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::Cursor;
use std::path::Path;

use app_ui::{App, Opened, Platform, Startup};
use egui::{Key, Modifiers, Rect, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::NodeT as _;
use session::Place;
use session::lesson::{Point, Script, Task, compile, words};
use trace_io::lesson::{Lesson, Show};

struct NoShell;

impl Platform for NoShell {
    fn pick_file(&mut self, _ctx: &egui::Context) {}
    fn take_dropped(&mut self, _ctx: &egui::Context, _file: &egui::DroppedFileHandle) {}
    fn poll_opened(&mut self) -> Option<Result<Opened, String>> {
        None
    }
    fn publish_status(&mut self, _status: &str) {}
}

struct Window(Harness<'static, App>);

impl Window {
    fn new(name: &str, text: &str, size: (f32, f32)) -> Self {
        let file = Opened::new(name, Box::new(Cursor::new(text.as_bytes().to_vec())), None);
        let app = App::new(Box::new(NoShell), Startup { file: Some(file), ..Startup::default() });
        let harness = Harness::builder().with_size(vec2(size.0, size.1)).build_ui_state(
            |ui, app: &mut App| {
                app.logic(&ui.ctx().clone());
                app.ui(ui);
            },
            app,
        );
        let mut window = Self(harness);
        window.settle();
        window
    }

    fn settle(&mut self) {
        for _ in 0..5_000 {
            self.0.step();
            if !self.0.state().busy() {
                break;
            }
        }
        self.0.run_steps(4);
    }

    fn next(&mut self) {
        self.0.key_press_modifiers(Modifiers::NONE, Key::ArrowRight);
        self.settle();
    }

    /// Presses the mouse's button on the first thing that is called so.
    fn press(&mut self, label: &str) {
        let found = self.named().into_iter().find(|(name, rect)| name == label && rect.is_positive());
        let (_, rect) = found.unwrap_or_else(|| panic!("`{label}` is not on the screen"));
        self.0.hover_at(rect.center());
        self.0.step();
        for pressed in [true, false] {
            let modifiers = Modifiers::NONE;
            let (pos, button) = (rect.center(), egui::PointerButton::Primary);
            self.0.event(egui::Event::PointerButton { pos, button, pressed, modifiers });
        }
        self.settle();
    }

    fn says(&self, words: &str) -> bool {
        self.named().iter().any(|(label, _)| label == words)
    }

    /// Everything that has a name, and where it is.
    fn named(&self) -> Vec<(String, Rect)> {
        let nodes = self.0.root().children_recursive().filter_map(|node| {
            let inner = node.accesskit_node();
            let label = inner.label().or_else(|| inner.value())?;
            // Some nodes have none, the window's own among them.
            inner.bounding_box().map(|_| (label, node.rect()))
        });
        nodes.collect()
    }
}

/// How a beat's places are named, in the order of its points.
fn pointed(script: &Script, beat: usize) -> usize {
    script.beats[beat].point.iter().filter(|point| matches!(point, Point::Place(_))).count()
}

/// Walks through all lessons in a window of one size; what is wrong with each beat.
fn walk(size: (f32, f32)) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/course");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut wrong = Vec::new();
    for file in files {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let text = std::fs::read_to_string(&file).unwrap();
        let lesson = Lesson::parse(&text).unwrap();
        let (_, script) = compile(&lesson, None).unwrap();
        let mut window = Window::new(&name, &text, size);
        let screen = Rect::from_min_size(egui::Pos2::ZERO, vec2(size.0, size.1));
        for beat in 0..script.beats.len() {
            let at = format!("{name} at {}x{}, beat {}", size.0, size.1, beat + 1);
            let named = window.named();
            let beat_label = format!("{} of {}", beat + 1, script.beats.len());
            if !named.iter().any(|(label, _)| *label == beat_label) {
                wrong.push(format!("{at}: is not shown"));
                break;
            }
            // No text runs out at the side, and none has to be scrolled to: it ends above the buttons.
            let buttons = named.iter().filter(|(label, _)| *label == beat_label).map(|(_, rect)| rect.top());
            let floor = buttons.fold(screen.bottom(), f32::min);
            for shown in &script.beats[beat].text {
                let piece = shown.piece.text();
                let mut places =
                    named.iter().filter(|(label, _)| *label == piece).map(|(_, rect)| *rect).peekable();
                if places.peek().is_none() {
                    wrong.push(format!("{at}: `{piece}` is not on the screen"));
                } else if !places.any(|rect| {
                    rect.left() >= -1.0
                        && rect.right() <= screen.right() + 1.0
                        && rect.bottom() <= floor + 1.0
                }) {
                    wrong.push(format!("{at}: `{piece}` is cut"));
                }
            }
            // Nothing runs out at the side of the screen, in the picture neither.
            for (label, rect) in &named {
                if rect.right() > screen.right() + 1.0 && rect.left() < screen.right() + 400.0 {
                    wrong.push(format!("{at}: `{label}` runs out at the side, {rect}"));
                }
            }
            // What is pointed at on the map has a name and a place there.
            let show = script.beats[beat].show;
            if matches!(show, Show::Arenas | Show::Pools | Show::Blocks | Show::Mimalloc) {
                let spoken = ["block ", "place of ", "pool ", "arena "];
                let places = named.iter().filter(|(label, rect)| {
                    spoken.iter().any(|beginning| label.starts_with(beginning))
                        && rect.is_positive()
                        && screen.contains_rect(*rect)
                });
                let wanted = pointed(&script, beat);
                let found = places.count();
                if found < wanted {
                    let text = words(&script.beats[beat].text);
                    wrong.push(format!("{at}: {found} of {wanted} places are visible: {text}"));
                }
            }
            if script.beats[beat].task.is_some() {
                window.next();
            }
            window.next();
        }
    }
    wrong
}

#[test]
fn what_a_beat_names_is_on_a_wide_screen() {
    let wrong = walk((1280.0, 720.0));
    assert!(wrong.is_empty(), "{} beats:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_a_beat_names_is_on_a_phone() {
    let wrong = walk((390.0, 844.0));
    assert!(wrong.is_empty(), "{} beats:\n{}", wrong.len(), wrong.join("\n"));
}

/// Pages of mimalloc are chosen in their table, by hand and in a play alone.
#[test]
fn a_page_of_mimallocs_is_chosen_by_its_row() {
    let text = include_str!("../../traces/course/22-mi-lists.ron");
    let (_, script) = compile(&Lesson::parse(text).unwrap(), None).unwrap();
    let played = script.beats.iter().position(|beat| matches!(beat.task, Some(Task::Play { .. }))).unwrap();
    let Some(Task::Play { rounds }) = &script.beats[played].task else { unreachable!() };
    let pages: Vec<String> = rounds
        .iter()
        .filter_map(|round| match round.pool? {
            Place::Pool(addr) => Some(addr.to_string()),
            _ => None,
        })
        .collect();
    let mut window = Window::new("22-mi-lists.ron", text, (1280.0, 720.0));
    for beat in &script.beats[..played] {
        if beat.task.is_some() {
            window.next();
        }
        window.next();
    }
    assert!(window.says("l = malloc(30)"));
    window.press(&pages[0]);
    assert!(window.says("as the machine does it.") && window.says("m = malloc(620)"), "the row of its page");
    // The page of the 32s once more: 620 bytes do not lie there.
    window.press(&pages[0]);
    assert!(window.says("the machine does it otherwise.") && window.says("n = malloc(1000)"));
    window.press("on a page not used yet");
    assert!(window.says("as the machine does it.") && window.says("o = malloc(32)"));
    window.press(&pages[0]);
    assert!(window.says("q = malloc(600000)"));
    window.press("on a page not used yet");
    assert!(window.says("4 of 5 as the machine does it."));
    // Afterwards a row is a row.
    window.press(&pages[0]);
    assert!(window.says("4 of 5 as the machine does it."));
}
