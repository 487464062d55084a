//! The panes of findings and of comparisons, driven through the accessibility tree: each number leads somewhere.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use egui::{Key, Modifiers, Theme};
use sim_core::tape::StackId;
use sim_core::{Call, Domain, Op, Trace, TraceBuilder};
use support::window::{Window, packed};

/// A burst of which two sites keep some blocks.
fn planted(name: &str, many: u64) -> Trace {
    let mut builder = TraceBuilder::new(name);
    let mut burst = Vec::new();
    for id in 1..=many {
        let site = match (id % 4000, id % 8000) {
            (0, _) => "cache.py:7",
            (_, 1) => "log.py:40",
            _ => "burst.py:3",
        };
        let stack = builder.stack(&[site.parse().unwrap()]);
        let op = Op { thread: 0, domain: Domain::Obj, call: Call::Malloc { id, size: 500 } };
        builder.push_recorded(op, stack, None).unwrap();
        if site == "burst.py:3" {
            burst.push(id);
        }
    }
    for id in burst {
        let op = Op { thread: 0, domain: Domain::Obj, call: Call::Free { id } };
        builder.push_recorded(op, StackId(0), None).unwrap();
    }
    builder.finish()
}

fn window(size: (f32, f32), theme: Theme) -> Window {
    Window::new("planted.atrace", &packed(&planted("planted", 24_000)), size, theme)
}

fn says(window: &Window, beginning: &str) -> bool {
    window.labels().iter().any(|label| label.starts_with(beginning))
}

#[test]
fn numbers_of_the_verdict_lead_to_what_shows_them() {
    let mut window = window((1400.0, 1000.0), Theme::Dark);
    let (_, len) = window.app().step().unwrap();
    window.key(Modifiers::NONE, Key::D);
    assert!(says(&window, "pinned") && says(&window, "(likely, 9"), "{:#?}", window.labels());
    assert!(says(&window, "Few blocks keep many arenas: "));
    // A site leads to its row, at the end of the run.
    window.click("log.py:40");
    assert_eq!(window.app().step(), Some((len, len)));
    assert!(says(&window, "Search holders") && says(&window, "Marked: "), "{:#?}", window.labels());
    assert!(
        window
            .labels()
            .iter()
            .any(|label| label.starts_with("Marked: 3 blocks") && label.ends_with("log.py:40"))
    );
    // Bytes lead to what they are used for, and the peak to its step.
    window.click("11.7 MiB");
    assert!(window.app().step().unwrap().0 < len);
    window.click_at(window.place_of("7 MiB").center());
    assert!(says(&window, "asked for: "), "{:#?}", window.labels());
    // What to try is done here.
    window.click("See what freeing cache.py:7 gives back");
    assert!(says(&window, "Freeing 1 ticked group (6 blocks) gives"), "{:#?}", window.labels());
}

#[test]
fn an_arena_of_the_verdict_is_shown_on_the_map() {
    let mut window = window((1400.0, 1000.0), Theme::Light);
    window.key(Modifiers::NONE, Key::D);
    window.key(Modifiers::NONE, Key::Num2);
    // The one that a site keeps alone.
    window.click("1 arena");
    assert!(says(&window, "Map of "), "{:#?}", window.labels());
    let held = "Held by 1 block, 512 bytes, from one call site, log.py:40";
    assert!(says(&window, held), "{:#?}", window.labels());
}

#[test]
fn two_moments_are_set_by_keys_and_fields_and_a_row_opens_its_holder() {
    let mut window = window((1400.0, 1000.0), Theme::Light);
    let (_, len) = window.app().step().unwrap();
    window.key(Modifiers::NONE, Key::A);
    assert!(says(&window, "planted after step 24,000 of "), "the peak: {:#?}", window.labels());
    assert!(says(&window, "Small map of A: 13 arenas"), "{:#?}", window.labels());
    window.seek(100);
    window.key(Modifiers::SHIFT, Key::A);
    assert!(says(&window, "planted after step 100 of "), "{:#?}", window.labels());
    window.seek(8000);
    window.key(Modifiers::SHIFT, Key::B);
    assert!(says(&window, "planted after step 8,000 of "), "{:#?}", window.labels());
    window.write("Step of B", "end");
    assert!(says(&window, "Small map of B: "));
    window.write("Step of B", "nowhere");
    assert!(says(&window, "no step"));
    window.write("Step of B", "end");
    assert!(
        !says(&window, "no step") && says(&window, "planted after step 47,991 of "),
        "{:#?}",
        window.labels()
    );
    // 100 blocks of 500 bytes, of which one is the log's; in the end it has two more.
    window.press("Compared: log.py:40");
    assert_eq!(window.app().step(), Some((len, len)));
    assert!(says(&window, "Marked: 3 blocks"), "{:#?}", window.labels());
    window.key(Modifiers::NONE, Key::A);
    window.click("Two builds");
    window.choose("Other build", "cpython-3.9");
    assert!(
        window.labels().iter().any(|label| label.contains("cpython-3.9, the model")),
        "{:#?}",
        window.labels()
    );
}

#[test]
fn traces_beside_the_open_one_have_a_column_each_and_can_be_closed() {
    let mut window = window((1400.0, 1000.0), Theme::Dark);
    window.key(Modifiers::NONE, Key::A);
    window.click("Two traces");
    assert!(says(&window, "Open a trace to compare with; or drop one"), "{:#?}", window.labels());
    window.open_beside("other.atrace", &packed(&planted("other", 9_000)));
    window.open_beside("third.atrace", &packed(&planted("third", 17_000)));
    let labels = window.labels();
    for label in ["Close other", "Close third", "verdict", "pinned", "most arenas"] {
        assert!(labels.iter().any(|l| l == label), "{label}: {labels:#?}");
    }
    assert!(says(&window, "other after step 17,"), "{labels:#?}");
    window.choose("Other trace", "third");
    assert!(says(&window, "third after step 33,"), "{:#?}", window.labels());
    window.click("Close third");
    assert!(!says(&window, "Close third") && says(&window, "other after step 17,"), "{:#?}", window.labels());
}

#[test]
fn who_opens_a_recording_sees_first_what_became_of_it() {
    let mut trace = planted("recorded", 24_000);
    trace.origin.source.facts.push(("recorder".to_owned(), "a test".to_owned()));
    let capture = packed(&trace);
    for size in [(1400.0, 1000.0), (390.0, 844.0)] {
        let mut window = Window::new("capture.atrace", &capture, size, Theme::Dark);
        assert!(says(&window, "What speaks for it"), "{size:?}: {:#?}", window.labels());
        let findings = window.place_of("cache.py:7");
        assert!(findings.left() >= 0.0 && findings.right() <= size.0 && findings.top() > 0.0);
        window.key(Modifiers::NONE, Key::Num5);
        assert!(size.0 < 700.0 || !says(&window, "What speaks for it"), "operations stand in its place");
    }
}
