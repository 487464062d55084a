//! Marks in the window: as flags on the bar and on rows, in words, by keys and by name.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fmt::Write as _;

use egui::{Key, Modifiers, Theme, pos2};
use support::window::Window;

const SIZE: (f32, f32) = (1400.0, 900.0);

/// 1000 operations; marks at 0, 250, 500 and, two of them, at the end.
fn marked() -> String {
    let mut text = String::from("# marked\n#! lesson=yes\n#! mark begin\n");
    for id in 1..=1000 {
        writeln!(text, "m o {id} 40").unwrap();
        if id == 250 || id == 500 {
            text.push_str("#! mark turn\n");
        }
    }
    text.push_str("#! mark shut down\n#! mark end of it\n");
    text
}

fn window(text: &str) -> Window {
    Window::new("marked.ptrace", text.as_bytes(), SIZE, Theme::Dark)
}

fn step(window: &Window) -> u64 {
    window.app().step().unwrap().0
}

fn says(window: &Window, text: &str) -> bool {
    window.labels().iter().any(|label| label.contains(text))
}

#[test]
fn keys_stop_at_marks_and_the_window_says_their_names() {
    let mut window = window(&marked());
    assert_eq!(step(&window), 0);
    assert!(says(&window, "mark:") && says(&window, "begin"), "{:?}", window.labels());
    for (key, expected) in [
        (Key::N, 250),
        (Key::N, 500),
        (Key::P, 250),
        (Key::N, 500),
        (Key::N, 1000),
        (Key::N, 1000),
        (Key::P, 500),
    ] {
        window.key(Modifiers::NONE, key);
        assert_eq!(step(&window), expected);
        let there = window.labels().iter().filter(|label| *label == "mark:").count();
        assert_eq!(there, if expected == 1000 { 2 } else { 1 });
    }
    assert!(says(&window, "Step 500: PyObject_Malloc(40), mark: turn"), "the row says so too");
    assert!(says(&window, "Next mark"));
    window.key(Modifiers::NONE, Key::ArrowRight);
    assert!(!window.labels().iter().any(|label| label == "mark:"));
    window.click("Previous mark");
    assert_eq!(step(&window), 500);
}

#[test]
fn a_mark_is_gone_to_by_its_name_or_from_the_list() {
    let mut window = window(&marked());
    for (text, expected) in [
        ("mark:turn#2", 500),
        ("mark:end of it", 1000),
        ("start", 0),
        ("peak", 1000),
        ("250", 250),
        ("50%", 500),
    ] {
        window.key(Modifiers::NONE, Key::G);
        window.type_text(text);
        window.key(Modifiers::NONE, Key::Enter);
        assert_eq!(step(&window), expected, "{text}");
    }
    window.key(Modifiers::NONE, Key::G);
    window.type_text("tur");
    assert!(says(&window, "turn, step 250") && says(&window, "turn, step 500"));
    assert!(!says(&window, "begin, step 0") && says(&window, "That is no step, share, mark or address."));
    window.click("turn, step 250");
    assert_eq!(step(&window), 250);
    window.key(Modifiers::NONE, Key::G);
    window.type_text("mark:turns");
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(step(&window), 250);
    assert!(says(&window, "mark:turns is not in marked, which has mark:turn, "), "{:?}", window.labels());
}

#[test]
fn a_flag_stands_at_its_step_and_a_click_on_it_goes_there() {
    // So many operations that a point of the bar is several steps wide.
    let mut text = String::from("# long\n");
    for id in 1..=20_000 {
        writeln!(text, "m o {id} 40").unwrap();
        if id == 7777 {
            text.push_str("#! mark here\n");
        }
    }
    let mut window = window(&text);
    let bar = window.place_of("Position on the trace");
    let x = |step: f32| bar.left() + bar.width() * step / 20_000.0;
    let with = window.picture();
    let without = {
        let plain = text.replace("#! mark here\n", "");
        self::window(&plain).picture()
    };
    // What differs is the pole, the flag and the name, and nothing but the name far to the right.
    let (with, without) = (with.cut(bar), without.cut(bar));
    let [width, _] = with.size;
    let differs: Vec<f32> = (0..width)
        .filter(|&at| with.pixels.iter().zip(&without.pixels).skip(at).step_by(width).any(|(a, b)| a != b))
        .map(|at| bar.left() + at as f32)
        .collect();
    assert!(differs.iter().any(|at| (at - x(7777.0)).abs() < 1.5), "{differs:?}, {}", x(7777.0));
    let near = x(7777.0) - 2.0..x(7777.0) + 60.0;
    assert!(differs.iter().all(|at| near.contains(at)), "{differs:?}");
    window.point_at(pos2(x(7777.0) + 2.0, bar.center().y));
    assert!(says(&window, "Mark: here, step 7,777"), "{:?}", window.labels());
    window.click_at(pos2(x(7777.0) + 2.0, bar.center().y));
    assert_eq!(step(&window), 7777);
    window.click_at(pos2(x(7000.0), bar.center().y));
    assert!(step(&window).abs_diff(7000) < 20, "{}", step(&window));
}
