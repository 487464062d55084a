//! The whole window, driven by keys and read by its labels.

use std::io::Cursor;

use app_ui::{App, InPlace, Opened, Platform, Port, Startup};
use egui::accesskit::Role;
use egui::{Key, Modifiers, Pos2, Rect, Theme, pos2, vec2};
use egui_kittest::Harness;
use egui_kittest::kittest::{NodeT as _, Queryable as _};
use sim_core::Trace;
use trace_io::atrace::FileProfile;

use super::picture::Picture;
use super::renderer::Textures;

/// A shell that has nothing to give but a way to an engine.
struct NoShell(Option<Box<dyn Port>>);

impl Platform for NoShell {
    fn port(&mut self) -> Box<dyn Port> {
        self.0.take().unwrap_or_else(|| Box::new(InPlace::new(None)))
    }
    fn pick_file(&mut self, _ctx: &egui::Context) {}
    fn take_dropped(&mut self, _ctx: &egui::Context, _file: &egui::DroppedFileHandle) {}
    fn poll_opened(&mut self) -> Option<Result<Opened, String>> {
        None
    }
    fn publish_status(&mut self, _status: &str) {}
}

/// What the harness leaves free around a window.
const MARGIN: f32 = 8.0;

/// A trace as the bytes of a file.
pub(crate) fn packed(trace: &Trace) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = trace_io::atrace_writer(&mut bytes, FileProfile::Capture);
    writer.write(trace).unwrap();
    writer.finish(trace).unwrap();
    bytes
}

/// A window on a trace.
pub(crate) struct Window {
    harness: Harness<'static, App>,
    textures: Textures,
    size: (f32, f32),
}

impl Window {
    /// Opens a file and waits until it can be used; one pixel is one point. The colors are the system's, as in a window
    /// that nobody chose any for.
    pub(crate) fn new(name: &str, bytes: &[u8], size: (f32, f32), theme: Theme) -> Self {
        Self::with_port(Box::new(InPlace::new(None)), name, bytes, size, theme)
    }

    /// The same over another port.
    pub(crate) fn with_port(
        port: Box<dyn Port>,
        name: &str,
        bytes: &[u8],
        size: (f32, f32),
        theme: Theme,
    ) -> Self {
        let total = Some(bytes.len() as u64);
        let file = Opened::new(name, Box::new(Cursor::new(bytes.to_vec())), total);
        let app = App::new(Box::new(NoShell(Some(port))), Startup { file: Some(file), ..Startup::default() });
        let textures = Textures::default();
        let harness = Harness::builder()
            .with_size(vec2(size.0 + 2.0 * MARGIN, size.1 + 2.0 * MARGIN))
            .renderer(textures.clone())
            .build_ui_state(
                |ui, app: &mut App| {
                    app.logic(&ui.ctx().clone());
                    app.ui(ui);
                },
                app,
            );
        let mut window = Self { harness, textures, size };
        window.harness.state_mut().keep_digests();
        window.harness.input_mut().system_theme = Some(theme);
        window.settle();
        assert_eq!(window.harness.ctx.theme(), theme, "the window follows the system");
        window
    }

    /// Frames until nothing goes on any more, and until nothing moves.
    pub(crate) fn settle(&mut self) {
        for _ in 0..5_000 {
            self.harness.step();
            if !self.harness.state().busy() {
                break;
            }
            // An engine of its own thread gets its time.
            std::thread::sleep(std::time::Duration::from_micros(200));
        }
        assert!(!self.harness.state().busy(), "never comes to rest: {}", self.harness.state().status());
        self.harness.run_steps(3);
    }

    /// Opens a file beside what is open, as a shell hands it over.
    pub(crate) fn open_beside(&mut self, name: &str, bytes: &[u8]) {
        self.harness.state_mut().open(Opened::bytes(name, bytes.to_vec()).beside(true));
        self.settle();
    }

    /// Presses a key.
    pub(crate) fn key(&mut self, modifiers: Modifiers, key: Key) {
        self.harness.key_press_modifiers(modifiers, key);
        self.settle();
    }

    /// Goes to a step.
    pub(crate) fn seek(&mut self, step: u64) {
        self.harness.state_mut().seek(step);
        self.settle();
    }

    /// Types a text into what has the focus.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.harness.event(egui::Event::Text(text.to_owned()));
        self.settle();
    }

    /// Moves the pointer to a place in the window, in points, and waits until what is said of it is there.
    pub(crate) fn point_at(&mut self, place: Pos2) {
        self.harness.hover_at(place + vec2(MARGIN, MARGIN));
        self.harness.run_steps(60);
    }

    /// Clicks at a place in the window, in points.
    pub(crate) fn click_at(&mut self, place: Pos2) {
        let pos = place + vec2(MARGIN, MARGIN);
        for pressed in [true, false] {
            self.harness.event(egui::Event::PointerMoved(pos));
            let (button, modifiers) = (egui::PointerButton::Primary, Modifiers::NONE);
            self.harness.event(egui::Event::PointerButton { pos, button, pressed, modifiers });
            self.harness.step();
        }
        self.settle();
    }

    /// Chooses an entry of a box that opens.
    pub(crate) fn choose(&mut self, combo: &str, entry: &str) {
        self.harness.get_by_role_and_label(Role::ComboBox, combo).click();
        self.harness.run_steps(2);
        self.harness.get_by_role_and_label(Role::Button, entry).click();
        self.settle();
    }

    /// Clicks what is labelled so.
    pub(crate) fn click(&mut self, label: &str) {
        self.harness.get_by_label(label).click();
        self.settle();
    }

    /// Clicks what is labelled so and may have to be scrolled to, as a screen reader does.
    pub(crate) fn press(&mut self, label: &str) {
        self.harness.get_by_label(label).click_accesskit();
        self.settle();
    }

    /// Writes into the field that is called so, over what stands there.
    pub(crate) fn write(&mut self, field: &str, text: &str) {
        self.harness.get_by_role_and_label(Role::TextInput, field).focus();
        self.harness.run_steps(2);
        self.harness.key_press_modifiers(Modifiers::COMMAND, Key::A);
        self.harness.run_steps(1);
        self.harness.event(egui::Event::Text(text.to_owned()));
        self.settle();
    }

    /// Clicks a button, and what that put on the clipboard.
    pub(crate) fn copied(&mut self, button: &str) -> String {
        super::clipboard::copied(&mut self.harness, button)
    }

    /// The application.
    pub(crate) fn app(&self) -> &App {
        self.harness.state()
    }

    /// What a screen reader would say of everything, in order: labels, and the values of what has none.
    pub(crate) fn labels(&self) -> Vec<String> {
        let said = |node: egui_kittest::Node<'_>| {
            let node = node.accesskit_node();
            node.label().or_else(|| node.value())
        };
        self.harness.root().children_recursive().filter_map(said).collect()
    }

    /// Where something lies in the window whose label begins with a text, in points.
    pub(crate) fn place_of(&self, beginning: &str) -> Rect {
        let begins = |node: &egui_kittest::Node<'_>| {
            node.accesskit_node().label().is_some_and(|label| label.starts_with(beginning))
        };
        let node = self.harness.root().children_recursive().find(begins);
        node.unwrap_or_else(|| panic!("nothing is labelled `{beginning}`: {:?}", self.labels()))
            .rect()
            .translate(vec2(-MARGIN, -MARGIN))
    }

    /// A picture of the whole window.
    pub(crate) fn picture(&self) -> Picture {
        let (width, height) = self.size;
        let all = [(width + 2.0 * MARGIN) as usize, (height + 2.0 * MARGIN) as usize];
        let picture = self.textures.paint(&self.harness.ctx, self.harness.output(), all);
        picture.cut(Rect::from_min_size(pos2(MARGIN, MARGIN), vec2(width, height)))
    }
}
