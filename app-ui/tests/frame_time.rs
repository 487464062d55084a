//! How long a frame takes with a large heap. Run it by hand: `cargo test -p app-ui --release --test frame_time -- --ignored --nocapture`.

#![expect(clippy::print_stdout, reason = "a measurement is there to be read")]

use std::fmt::Write as _;
use std::io::Cursor;
use std::time::{Duration, Instant};

use app_ui::{App, Opened, Platform, Startup};
use egui::{Key, vec2};
use egui_kittest::Harness;

struct Nothing;

impl Platform for Nothing {
    fn pick_file(&mut self, _ctx: &egui::Context) {}
    fn take_dropped(&mut self, _ctx: &egui::Context, _file: &egui::DroppedFileHandle) {}
    fn poll_opened(&mut self) -> Option<Result<Opened, String>> {
        None
    }
    fn publish_status(&mut self, _status: &str) {}
}

#[test]
#[ignore = "a measurement, not a check"]
fn a_step_in_two_thousand_arenas() {
    // 1,984 blocks of 512 bytes fill an arena; three of four are freed again.
    const BLOCKS: u64 = 2_000 * 1_984;
    let mut text = String::new();
    for id in 1..=BLOCKS {
        writeln!(text, "m o {id} 512").unwrap();
    }
    for id in (1..=BLOCKS).filter(|id| id % 4 != 0) {
        writeln!(text, "f o {id}").unwrap();
    }
    let total_bytes = Some(text.len() as u64);
    let file = Opened::new("big.ptrace", Box::new(Cursor::new(text)), total_bytes);
    let app = App::new(Box::new(Nothing), Startup { file: Some(file) });
    let mut harness = Harness::builder().with_size(vec2(1600.0, 1000.0)).build_ui_state(
        |ui, app: &mut App| {
            app.logic(&ui.ctx().clone());
            app.ui(ui);
        },
        app,
    );
    let settle = |harness: &mut Harness<'_, App>, what: &str| {
        let mut frames = Vec::new();
        loop {
            let begun = Instant::now();
            harness.step();
            frames.push(begun.elapsed());
            if !harness.state().busy() {
                break;
            }
        }
        report(what, frames);
    };
    settle(&mut harness, "opening");
    harness.key_press(Key::End);
    settle(&mut harness, "to the end");
    println!("{}", harness.state().status());
    let mut frames = Vec::new();
    for _ in 0..200 {
        harness.key_press(Key::ArrowLeft);
        settle(&mut harness, "");
        harness.key_press(Key::ArrowRight);
        let begun = Instant::now();
        harness.step();
        frames.push(begun.elapsed());
        settle(&mut harness, "");
    }
    report("stepping on", frames);
    let mut frames = Vec::new();
    for _ in 0..100 {
        let begun = Instant::now();
        harness.step();
        frames.push(begun.elapsed());
    }
    report("standing still", frames);
}

fn report(what: &str, mut frames: Vec<Duration>) {
    if what.is_empty() {
        return;
    }
    frames.sort_unstable();
    println!(
        "{what}: {} frames, median {:?}, worst {:?}",
        frames.len(),
        frames[frames.len() / 2],
        frames[frames.len() - 1]
    );
}
