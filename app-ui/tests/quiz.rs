//! A quiz in the window: the name, the questions, the token, from a file and from a link.

#![allow(clippy::unwrap_used, reason = "tests")]

#[path = "support/clipboard.rs"]
mod clipboard;

use app_ui::{App, Opened, Platform, Startup};
use egui::accesskit::Role;
use egui::{Key, Modifiers, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::Queryable as _;
use session::link::{Link, What};
use session::practice::Task;
use session::quiz::{Reply, Sheet, Student, read};
use trace_io::lesson::Quiz;

const TEXT: &str =
    "Quiz(name: \"Friday\", profile: \"cpython-3.12\", seed: 11, by_student: true, tries: 2, items: [
    (lesson: \"classes\", level: 1), (lesson: \"lifo\", level: 1), (lesson: \"carving\", level: 3)])";

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
    fn new(startup: Startup, size: (f32, f32)) -> Self {
        let app = App::new(Box::new(NoShell), startup);
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
        assert!(!self.0.state().busy(), "never comes to rest");
        self.0.run_steps(4);
    }

    fn says(&self, text: &str) -> bool {
        self.0.query_all_by_label_contains(text).next().is_some()
    }

    fn press(&mut self, label: &str) {
        self.0.get_by_role_and_label(Role::Button, label).click();
        self.settle();
    }

    fn write(&mut self, field: &str, text: &str) {
        self.0.get_by_role_and_label(Role::TextInput, field).focus();
        self.0.step();
        self.0.get_by_role_and_label(Role::TextInput, field).type_text(text);
        self.settle();
    }
}

/// Sits the quiz and answers two of three; what was handed in.
fn sit(window: &mut Window, name: &str, sheet: &Sheet) -> String {
    assert!(window.says("A quiz of 3 questions on cpython-3.12"));
    window.press("Begin");
    assert!(window.says("type your name"), "nobody begins without a name");
    window.write("Your name", name);
    window.press("Begin");
    for (number, question) in (1..).zip(&sheet.questions) {
        assert!(window.says(&format!("Question {number} of 3")));
        assert!(!window.says("Leave the quiz") && !window.says("Show the answer"));
        match &question.task {
            Task::Choose { choices, key } if number == 1 => {
                // Another one first, which is then changed.
                for at in [(key + 1) % choices.len(), *key] {
                    let letter = char::from(b'a' + u8::try_from(at).unwrap());
                    window.press(&format!("{letter}) {}", choices[at].text.replace('`', "")));
                }
                assert!(!window.says("Right") && !window.says("Not so"), "no word on the answer");
            }
            Task::Number { key, .. } => window.write("Your answer", &key.to_string()),
            _ => {}
        }
        window.press("Next");
    }
    assert!(window.says("One question is left open.") && window.says("Question 2: left open"));
    // Nothing is lost on the way back and forth.
    window.0.key_press_modifiers(Modifiers::NONE, Key::ArrowLeft);
    window.settle();
    assert!(window.says("Question 3 of 3"));
    window.press("Next");
    window.press("Hand in");
    assert!(window.says(&format!("{name}: 2 of 3 points")) && window.says("keeps no secret"));
    clipboard::copied(&mut window.0, "Copy the token")
}

#[test]
fn a_quiz_is_sat_from_a_file_and_from_a_link() {
    let quiz = Quiz::parse(TEXT).unwrap();
    let sheet =
        |name: &str, attempt| Sheet::new(&quiz, Student::named(name).unwrap().number(), attempt).unwrap();
    let file = Opened::bytes("friday.ron", TEXT.as_bytes());
    let mut window = Window::new(Startup { file: Some(file), ..Startup::default() }, (1400.0, 900.0));
    let token = sit(&mut window, "Ada", &sheet("Ada", 1));
    let (read_back, replies) = read(&quiz, &token).unwrap();
    assert_eq!(read_back, sheet("Ada", 1));
    assert_eq!(
        (read_back.mark(&replies).iter().filter(|mark| mark.right).count(), replies[1]),
        (2, Reply::Open)
    );
    window.press("Try 2 of 2, with other questions");
    assert!(window.says("Question 1 of 3"));

    let link = Link { what: What::Quiz(TEXT.to_owned()), ..Link::default() };
    let link = Some(link.fragment().unwrap());
    let mut window = Window::new(Startup { link, ..Startup::default() }, (400.0, 800.0));
    let token = sit(&mut window, "Bob", &sheet("Bob", 1));
    assert_eq!(read(&quiz, &token).unwrap().0, sheet("Bob", 1));
    window.press("Leave the quiz");
    assert!(!window.says("Hand in this token"));
}
