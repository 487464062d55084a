//! The application: one session, its panes and the shell.

use std::sync::Arc;

use egui::Key;
use sim_core::{Profile, Replay};
use trace_io::Loader;

use crate::platform::{Opened, Platform};

const BUNDLED: &[u8] = include_bytes!("../../traces/tiny-script-3.14.ptrace.zst");

/// What to begin with.
#[derive(Default)]
pub struct Startup {
    /// A file to open at once.
    pub file: Option<Opened>,
}

/// The whole window.
pub struct App {
    platform: Box<dyn Platform>,
    replay: Option<Replay>,
    loader: Option<(String, Loader)>,
    name: Option<String>,
    error: Option<String>,
    target: u64,
}

impl App {
    /// A window over a shell.
    pub fn new(platform: Box<dyn Platform>, startup: Startup) -> Self {
        let file = startup.file.unwrap_or_else(|| Opened {
            name: "tiny-script-3.14.ptrace.zst".to_owned(),
            source: Box::new(BUNDLED),
            total_bytes: Some(BUNDLED.len() as u64),
        });
        let mut app = Self { platform, replay: None, loader: None, name: None, error: None, target: 0 };
        app.begin(file);
        app
    }

    fn begin(&mut self, file: Opened) {
        let loader = Loader::new(&file.name, file.source, file.total_bytes);
        self.loader = Some((file.name, loader));
    }

    /// Work between frames: files that arrived, replay, playback.
    pub fn logic(&mut self, ctx: &egui::Context) {
        for file in ctx.input(|input| input.raw.dropped_files.clone()) {
            self.platform.take_dropped(ctx, &file);
        }
        match self.platform.poll_opened() {
            Some(Ok(file)) => self.begin(file),
            Some(Err(error)) => self.error = Some(error),
            None => {}
        }
        if let Some((name, mut loader)) = self.loader.take() {
            let mut done = Ok(false);
            for _ in 0..16 {
                done = loader.advance();
                if !matches!(done, Ok(false)) {
                    break;
                }
            }
            match done {
                Ok(false) => self.loader = Some((name, loader)),
                Err(error) => self.error = Some(format!("{name}: {error}")),
                Ok(true) => match loader.finish() {
                    Ok((trace, _)) => {
                        self.replay = Replay::new(Arc::new(trace), &Profile::default(), 64 << 20).ok();
                        self.name = Some(name);
                        self.error = None;
                        self.target = 0;
                    }
                    Err(error) => self.error = Some(format!("{name}: {error}")),
                },
            }
            ctx.request_repaint();
        }
        if let Some(replay) = &mut self.replay {
            ctx.input(|input| {
                if input.key_pressed(Key::Home) {
                    self.target = 0;
                }
                if input.key_pressed(Key::End) {
                    self.target = replay.len();
                }
                if input.key_pressed(Key::ArrowRight) {
                    self.target = (self.target + 1).min(replay.len());
                }
                if input.key_pressed(Key::ArrowLeft) {
                    self.target = self.target.saturating_sub(1);
                }
            });
            if !replay.seek(self.target, 200_000) {
                ctx.request_repaint();
            }
        }
        let status = self.status();
        self.platform.publish_status(&status);
    }

    /// Draws one frame.
    pub fn ui(&mut self, ui: &mut egui::Ui) {
        egui::CentralPanel::default().show(ui, |ui| {
            ui.heading("Arenascope");
            ui.label(self.status());
            if let Some(error) = &self.error {
                ui.label(error);
            }
            if ui.button("Open…").clicked() {
                let ctx = ui.ctx().clone();
                self.platform.pick_file(&ctx);
            }
        });
    }

    /// Layout and colors as [`Self::save`] wrote them.
    pub fn restore(&mut self, _saved: &str) {}

    /// Layout and colors as text, for the shell to keep.
    pub fn save(&mut self) -> String {
        String::new()
    }

    /// Whether opening or seeking goes on.
    pub fn busy(&self) -> bool {
        self.loader.is_some() || self.replay.as_ref().is_some_and(|replay| replay.step().0 != self.target)
    }

    /// The digest of the machine's state.
    pub fn state_digest(&self) -> Option<u64> {
        let replay = self.replay.as_ref()?;
        Some(sim_core::report::digest(replay.machine()))
    }

    /// Operations done, and how many there are.
    pub fn step(&self) -> Option<(u64, u64)> {
        self.replay.as_ref().map(|replay| (replay.step().0, replay.len()))
    }

    /// The open trace.
    pub fn trace_name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What went wrong last.
    pub fn error(&self) -> Option<&str> {
        self.error.as_deref()
    }

    /// The state in words.
    pub fn status(&self) -> String {
        let step = self.step().unwrap_or_default();
        format!("{}: step {} of {}", self.name.as_deref().unwrap_or("no trace"), step.0, step.1)
    }
}
