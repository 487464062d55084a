//! How the window looks, compared with committed pictures. `UPDATE_SNAPSHOTS=1 cargo test -p app-ui --test snapshots` accepts what is
//! drawn now; look at what changed before it is committed.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use egui::{Key, Modifiers, Rect, Theme, pos2, vec2};
use support::window::Window;

const SCRIPT: &[u8] = include_bytes!("../../traces/tiny-script-3.11.ptrace.zst");

/// The colors, with what the pictures of each are called.
const THEMES: [(Theme, &str); 2] = [(Theme::Light, "light"), (Theme::Dark, "dark")];

/// A window in the middle of a script's run.
fn script(size: (f32, f32), theme: Theme) -> Window {
    Window::new("tiny-script-3.11.ptrace.zst", SCRIPT, size, theme)
}

fn key(window: &mut Window, key: Key) {
    window.key(Modifiers::NONE, key);
}

#[test]
fn the_map_looks_as_it_did() {
    let mut wrong = Vec::new();
    for (theme, colors) in THEMES {
        // So large that the map's pane is 900 by 600.
        let mut window = script((1630.0, 1110.0), theme);
        for level in ["heap", "arena", "pool"] {
            let map = window.place_of("Map of ");
            // With the row above it and the legend below.
            let pane = Rect::from_min_size(pos2(map.left() - 4.0, map.top() - 27.0), vec2(900.0, 600.0));
            for fold in ["folded", "whole"] {
                wrong.extend(window.picture().cut(pane).check(&format!("map-{level}-{fold}-{colors}")).err());
                key(&mut window, Key::C);
            }
            key(&mut window, Key::Plus);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_window_looks_as_it_did() {
    let mut wrong = Vec::new();
    for (theme, colors) in THEMES {
        let window = script((1400.0, 900.0), theme);
        wrong.extend(window.picture().check(&format!("window-{colors}")).err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
