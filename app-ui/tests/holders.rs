//! The panes of holders and of the waterfall, driven through the accessibility tree, and their links with the map.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use egui::{Key, Modifiers, Theme, vec2};
use sim_core::tape::StackId;
use sim_core::{Call, Domain, Op, TraceBuilder};
use support::window::{Window, packed};

/// Arenas full of a burst that is over; a cache and a log are left in some of them.
fn planted() -> Vec<u8> {
    let mut builder = TraceBuilder::new("planted");
    let mut next = 0;
    let mut malloc = |builder: &mut TraceBuilder, site: &str, size: u64| {
        let lines: Vec<_> = site.split(" < ").map(|line| line.parse().unwrap()).collect();
        let stack = builder.stack(&lines);
        next += 1;
        let op = Op { thread: 0, domain: Domain::Obj, call: Call::Malloc { id: next, size } };
        builder.push_recorded(op, stack, None).unwrap();
        next
    };
    let mut burst = Vec::new();
    for arena in 0..9 {
        for block in 0..64 * (16384 - 48) / 512 {
            match (arena % 3, block) {
                (0, 700) => {
                    malloc(&mut builder, "cache.py:7 < app.py:3", 500);
                }
                (1, 10 | 1500) => {
                    malloc(&mut builder, "log.py:40 < app.py:9", 509);
                }
                _ => burst.push(malloc(&mut builder, "burst.py:1 < app.py:5", 512)),
            }
        }
    }
    for id in burst {
        let op = Op { thread: 0, domain: Domain::Obj, call: Call::Free { id } };
        builder.push_recorded(op, StackId(0), None).unwrap();
    }
    packed(&builder.finish())
}

/// A window at the end of the planted program, with the pane of holders in front.
fn window(theme: Theme) -> Window {
    let mut window = Window::new("planted.atrace", &planted(), (1400.0, 1000.0), theme);
    window.key(Modifiers::NONE, Key::End);
    window.key(Modifiers::NONE, Key::H);
    window
}

fn says(window: &Window, beginning: &str) -> bool {
    window.labels().iter().any(|label| label.starts_with(beginning))
}

/// Which of the two holders stands above the other.
fn above(window: &Window, upper: &str, lower: &str) -> bool {
    window.place_of(upper).top() < window.place_of(lower).top()
}

#[test]
fn holders_are_sorted_searched_ticked_and_forecast() {
    let mut window = window(Theme::Dark);
    let labels = window.labels();
    assert!(
        says(
            &window,
            "9 live blocks of 4.4 KiB in 2 groups. Of 6 arenas (6 MiB) 6 are held by one group alone."
        ),
        "{labels:#?}"
    );
    assert!(above(&window, "log.py:40", "cache.py:7"), "as many arenas, more blocks");
    window.click("Sort by holder");
    assert!(above(&window, "cache.py:7", "log.py:40"));
    window.click("Sort by holder, the smallest first");
    assert!(above(&window, "log.py:40", "cache.py:7"));
    window.click("Sort by bytes");
    assert!(says(&window, "Sort by bytes, the largest first") && above(&window, "log.py:40", "cache.py:7"));
    window.write("Search holders", "CACHE");
    assert!(says(&window, "cache.py:7") && !says(&window, "log.py:40"));
    window.write("Search holders", "nothing like it");
    assert!(says(&window, "No group has that in its name."));
    window.key(Modifiers::COMMAND, Key::A);
    window.key(Modifiers::NONE, Key::Delete);
    window.click("Free cache.py:7");
    assert!(
        says(
            &window,
            "Freeing 1 ticked group (3 blocks) gives 2 MiB back to the system in 2 arenas; 512 bytes can only be reused; 1 arena would be empty and is kept, as the last one with room."
        ),
        "{:#?}",
        window.labels()
    );
    window.click("untick");
    assert!(!says(&window, "Freeing"));
    window.write("Bytes to get back", "4 MiB");
    window.click("tick groups");
    assert!(says(&window, "Freeing 2 ticked groups (9 blocks) gives"), "{:#?}", window.labels());
    window.write("Bytes to get back", "1 GiB");
    window.click("tick groups");
    assert!(says(&window, "All groups together give"));
}

#[test]
fn the_map_marks_a_holder_and_leads_back_to_its_row() {
    let mut window = window(Theme::Light);
    assert!(!says(&window, "Marked:"));
    window.click("log.py:40");
    assert!(
        says(&window, "Marked: 6 blocks in 3 arenas, 3 of them alone: log.py:40"),
        "{:#?}",
        window.labels()
    );
    let marked = window.picture();
    window.click("unmark");
    assert!(!says(&window, "Marked:"));
    assert!(window.picture() != marked);
    // The first arena of the map has a block of the cache.
    let map = window.place_of("Map of 6 arenas");
    window.click_at(map.left_top() + vec2(30.0, 40.0));
    assert!(
        says(&window, "Marked: 3 blocks in 3 arenas, 3 of them alone: cache.py:7"),
        "{:#?}",
        window.labels()
    );
    // And the inspector says who holds what was clicked.
    assert!(
        window
            .labels()
            .iter()
            .any(|label| label.contains("Held by 1 block, 512 bytes, from one call site, cache.py:7")),
        "{:#?}",
        window.labels()
    );
    // Behind another pane the marks stay.
    window.key(Modifiers::NONE, Key::W);
    assert!(says(&window, "Marked: 3 blocks") && !says(&window, "Search holders"));
}

#[test]
fn the_icicle_is_walked_by_keys_and_zoomed() {
    let mut window = window(Theme::Dark);
    window.click("Icicle");
    // The one that the keys are at is said once more.
    let cells = |window: &Window| {
        let is_cell = |label: &String| label.ends_with('%') && label.contains(".py");
        window.labels().into_iter().filter(is_cell).collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(cells(&window).len(), 4, "{:#?}", window.labels());
    assert!(says(&window, "all live blocks, 4.4 KiB, 100.0 %"));
    let first = cells(&window).first().cloned().unwrap();
    window.click(&first);
    assert_eq!(cells(&window).len(), 2, "zoomed in");
    // Keys belong to the picture while it has the focus, and not to the tape.
    let step = window.app().step();
    window.key(Modifiers::NONE, Key::ArrowDown);
    window.key(Modifiers::NONE, Key::ArrowLeft);
    window.key(Modifiers::NONE, Key::ArrowRight);
    assert_eq!(window.app().step(), step);
    window.key(Modifiers::NONE, Key::Enter);
    assert_eq!(cells(&window).len(), 1, "one further in");
    window.key(Modifiers::NONE, Key::Backspace);
    window.key(Modifiers::NONE, Key::Backspace);
    assert_eq!(cells(&window).len(), 4, "and out");
    window.click("pinned bytes");
    assert!(says(&window, "all live blocks, 6 MiB, 100.0 %"), "{:#?}", window.labels());
    window.click("Table");
    assert!(says(&window, "Sort by pinned"));
}

#[test]
fn the_waterfall_opens_who_is_behind_a_bar() {
    let mut window = window(Theme::Dark);
    window.key(Modifiers::NONE, Key::W);
    let labels = window.labels();
    assert!(says(&window, "asked for: 4.4 KiB, "), "{labels:#?}");
    let modelled = labels.iter().find(|label| label.starts_with("class rounding: ")).unwrap();
    assert!(modelled.ends_with(", modelled"));
    window.click(&modelled.clone());
    assert!(says(&window, "Sort by rounding, the largest first"), "{:#?}", window.labels());
    assert!(above(&window, "cache.py:7", "log.py:40"));
}

#[test]
fn a_trace_without_stacks_says_so_and_offers_classes() {
    let mut window =
        Window::new("t.ptrace", b"m o 1 48\nm o 2 600\nm r 3 10\n", (1400.0, 1000.0), Theme::Light);
    window.key(Modifiers::NONE, Key::End);
    window.key(Modifiers::NONE, Key::H);
    assert!(says(&window, "3 live blocks of 658 bytes in 2 groups"), "{:#?}", window.labels());
    assert!(says(&window, "2 (48 bytes)"));
    window.key(Modifiers::NONE, Key::Home);
    assert!(says(&window, "No block is live at this step."), "{:#?}", window.labels());
}
