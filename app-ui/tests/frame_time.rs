//! How long a frame takes with a large heap. Run it by hand: `cargo test -p app-ui --release --test frame_time -- --ignored --nocapture`.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a measurement is there to be read")]

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::Cursor;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use app_ui::{App, Opened, Platform, Port, Startup};
use egui::{Event, Key, Modifiers, PointerButton, Pos2, RawInput, Rect, pos2, vec2};
use egui_kittest::Harness;
use session::Engine;
use session::link::{Link, What};
use session::port::Threaded;
use trace_io::workload::Workload;
use trace_io::{Format, writer};

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
    let app = App::new(Box::new(Nothing), Startup { file: Some(file), ..Startup::default() });
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

/// A shell with an engine in a thread, that opens the same file whenever it is told to.
struct Reopening {
    file: Arc<[u8]>,
    wanted: Rc<Cell<bool>>,
}

impl Platform for Reopening {
    fn pick_file(&mut self, _ctx: &egui::Context) {}
    fn take_dropped(&mut self, _ctx: &egui::Context, _file: &egui::DroppedFileHandle) {}
    fn poll_opened(&mut self) -> Option<Result<Opened, String>> {
        let file = Arc::clone(&self.file);
        let total = Some(file.len() as u64);
        self.wanted
            .replace(false)
            .then(|| Ok(Opened::new("large.atrace", Box::new(Cursor::new(file)), total)))
    }
    fn port(&mut self) -> Box<dyn Port> {
        Box::new(Threaded::new(|| Engine::new(None), || {}).unwrap())
    }
    fn publish_status(&mut self, _status: &str) {}
}

/// What this thread has computed.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Frames of a window over an engine in a thread while that reads ten million operations ahead, and the position is dragged
/// along the tape and back: update and tessellation, without the graphics card's driver.
#[test]
#[ignore = "a measurement, not a check"]
fn a_drag_while_ten_million_operations_are_read() {
    const FRAMES: usize = 2_500;
    const PACE: Duration = Duration::from_millis(8);
    let mut tape = sim_core::TraceBuilder::new("large");
    for op in &Workload::python(1, 10_000_000, 20_000) {
        tape.push(op).unwrap();
    }
    let trace = tape.finish();
    let mut file = Vec::new();
    let mut to = writer(Format::Atrace, &mut file).unwrap();
    to.write(&trace).unwrap();
    to.finish(&trace).unwrap();
    drop(trace);
    let wanted = Rc::new(Cell::new(true));
    let shell = Reopening { file: file.into(), wanted: Rc::clone(&wanted) };
    let mut app = App::waiting(Box::new(shell));
    let ctx = egui::Context::default();
    let screen = Rect::from_min_size(Pos2::ZERO, vec2(1440.0, 900.0));
    let (mut reading, mut opening, mut openings, mut held) = (Vec::new(), Vec::new(), 1, false);
    let started = Instant::now();
    for number in 0.. {
        let mut events = Vec::new();
        let is_opening = app.step().is_none() || app.status().contains("opening");
        if let Some(bar) = app.timeline() {
            // There and back in two seconds.
            let share = ((number % 250) as f32 / 125.0 - 1.0).abs();
            let pos = pos2(bar.left() + bar.width() * share, bar.center().y);
            events.push(Event::PointerMoved(pos));
            if held == is_opening {
                held = !is_opening;
                let (button, modifiers) = (PointerButton::Primary, Modifiers::NONE);
                events.push(Event::PointerButton { pos, button, pressed: held, modifiers });
            }
        }
        let time = Some(started.elapsed().as_secs_f64());
        let input = RawInput { screen_rect: Some(screen), time, events, ..RawInput::default() };
        let (begun, wall) = (cpu(), Instant::now());
        let mut output = ctx.run_ui(input, |ui| {
            app.logic(&ui.ctx().clone());
            app.ui(ui);
        });
        let drawn = ctx.tessellate(std::mem::take(&mut output.shapes), output.pixels_per_point);
        let took = cpu().saturating_sub(begun);
        output.textures_delta.clear();
        assert_eq!(app.error(), None);
        drop(drawn);
        if is_opening {
            opening.push(took);
        } else if held && number > 30 {
            reading.push(took);
        }
        if reading.len() >= FRAMES {
            break;
        }
        // It has been read: once more.
        if !is_opening && openings * 90 < reading.len() && !wanted.get() {
            wanted.set(true);
            openings += 1;
        }
        thread::sleep(PACE.saturating_sub(wall.elapsed()));
    }
    println!("{openings} openings of {}", app.status());
    report("dragging while it is read", reading);
    report("opening", opening);
}

/// A shell with an engine in a thread, as on a desktop, or between frames.
struct Typing {
    threaded: bool,
}

impl Platform for Typing {
    fn pick_file(&mut self, _ctx: &egui::Context) {}
    fn take_dropped(&mut self, _ctx: &egui::Context, _file: &egui::DroppedFileHandle) {}
    fn poll_opened(&mut self) -> Option<Result<Opened, String>> {
        None
    }
    fn port(&mut self) -> Box<dyn Port> {
        if self.threaded {
            Box::new(Threaded::new(|| Engine::new(None), || {}).unwrap())
        } else {
            Box::new(app_ui::InPlace::new(None))
        }
    }
    fn publish_status(&mut self, _status: &str) {}
}

/// Frames while somebody types at the end of a program of ten thousand operations, which runs anew with each letter: once a loop of a
/// few lines, once a line for each operation.
#[test]
#[ignore = "a measurement, not a check"]
fn typing_in_a_program_of_ten_thousand_operations() {
    const LETTERS: usize = 100;
    const PACE: Duration = Duration::from_millis(8);
    let looped = "for i in range(7000): a[i] = malloc(16 + i%500)\nfor i in range(0, 6000, 2): free(a[i])\n"
        .to_owned();
    let mut lines = String::new();
    for id in 0..7_000 {
        writeln!(lines, "a[{id}] = malloc({})", 16 + id % 500).unwrap();
    }
    for id in (0..6_000).step_by(2) {
        writeln!(lines, "free(a[{id}])").unwrap();
    }
    for (what, text) in [("in a loop", looped), ("line by line", lines)] {
        for threaded in [true, false] {
            let link = Link { what: What::Program(text.clone()), ..Link::default() }.fragment().unwrap();
            let shell = Box::new(Typing { threaded });
            let mut app = App::new(shell, Startup { link: Some(link), ..Startup::default() });
            let ctx = egui::Context::default();
            let screen = Rect::from_min_size(Pos2::ZERO, vec2(1440.0, 900.0));
            let started = Instant::now();
            let frame = |app: &mut App, events: Vec<Event>| {
                let time = Some(started.elapsed().as_secs_f64());
                let input = RawInput { screen_rect: Some(screen), time, events, ..RawInput::default() };
                let begun = cpu();
                let mut output = ctx.run_ui(input, |ui| {
                    app.logic(&ui.ctx().clone());
                    app.ui(ui);
                });
                let drawn = ctx.tessellate(std::mem::take(&mut output.shapes), output.pixels_per_point);
                let took = cpu().saturating_sub(begun);
                output.textures_delta.clear();
                drop(drawn);
                took
            };
            let mut first = vec![frame(&mut app, Vec::new())];
            while app.busy() || first.len() < 30 {
                first.push(frame(&mut app, Vec::new()));
                thread::sleep(PACE);
            }
            assert_eq!(app.step(), Some((10_000, 10_000)), "{:?}", app.error());
            // Into the editor, which is on the left.
            let pos = pos2(220.0, 260.0);
            for pressed in [true, false] {
                let button = Event::PointerButton {
                    pos,
                    button: PointerButton::Primary,
                    pressed,
                    modifiers: Modifiers::NONE,
                };
                frame(&mut app, vec![Event::PointerMoved(pos), button]);
            }
            frame(&mut app, vec![key(Key::End, Modifiers::COMMAND)]);
            let (mut typed, mut later, mut until) = (Vec::new(), Vec::new(), Vec::new());
            for letter in 0..LETTERS {
                let begun = Instant::now();
                // Each letter is another program, with one operation more or less now and then.
                let text = if letter % 2 == 0 { "\nb = malloc(8)" } else { "" };
                let events = if text.is_empty() {
                    vec![key(Key::Z, Modifiers::COMMAND)]
                } else {
                    vec![Event::Text(text.to_owned())]
                };
                typed.push(frame(&mut app, events));
                loop {
                    later.push(frame(&mut app, Vec::new()));
                    thread::sleep(PACE);
                    if !app.busy() {
                        break;
                    }
                }
                until.push(begun.elapsed());
                assert_eq!(app.step(), Some((10_001 - letter as u64 % 2, 10_001 - letter as u64 % 2)));
            }
            let engine = if threaded { "engine in a thread" } else { "engine between frames" };
            println!("{what}, {engine}: {}", app.status());
            report("  frames with a letter", typed);
            report("  frames after it", later);
            report("  until the picture followed", until);
        }
    }
}

fn key(key: Key, modifiers: Modifiers) -> Event {
    Event::Key { key, physical_key: None, pressed: true, repeat: false, modifiers }
}

fn report(what: &str, mut frames: Vec<Duration>) {
    if what.is_empty() {
        return;
    }
    frames.sort_unstable();
    println!(
        "{what}: {} frames, median {:?}, 99.9 % {:?}, worst {:?}",
        frames.len(),
        frames[frames.len() / 2],
        frames[frames.len() * 999 / 1000],
        frames[frames.len() - 1]
    );
}
