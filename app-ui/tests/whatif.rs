//! The pane of what would have been, driven through the accessibility tree.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use egui::{Key, Modifiers, Theme};
use sim_core::tape::StackId;
use sim_core::{Call, Domain, Op, TraceBuilder};
use support::window::{Window, packed};

/// Eight arenas of a burst that is over; a log keeps a block in each.
fn leaky() -> Vec<u8> {
    let mut tape = TraceBuilder::new("leaky");
    let stacks = ["burst.py:1", "log.py:40"].map(|site| tape.stack(&[site.parse().unwrap()]));
    let (mut id, mut burst) = (0, Vec::new());
    for _ in 0..8 {
        for block in 0..64 * (16384 - 48) / 512 {
            id += 1;
            let site = usize::from(block == 700);
            let op = Op { thread: 0, domain: Domain::Obj, call: Call::Malloc { id, size: 512 } };
            tape.push_recorded(op, stacks[site], None).unwrap();
            if site == 0 {
                burst.push(id);
            }
        }
    }
    for id in burst {
        let op = Op { thread: 0, domain: Domain::Obj, call: Call::Free { id } };
        tape.push_recorded(op, StackId(0), None).unwrap();
    }
    packed(&tape.finish())
}

/// A window at the end of the program, with the pane in front.
fn window(theme: Theme) -> Window {
    let mut window = Window::new("leaky.atrace", &leaky(), (1400.0, 1000.0), theme);
    window.key(Modifiers::NONE, Key::End);
    window.key(Modifiers::NONE, Key::I);
    window
}

fn says(window: &Window, beginning: &str) -> bool {
    window.labels().iter().any(|label| label.starts_with(beginning))
}

#[test]
fn a_grid_answers_and_a_cell_opens_at_the_same_step() {
    let mut window = window(Theme::Dark);
    assert!(says(&window, "Each combination is a run of the whole trace"), "{:#?}", window.labels());
    window.write("Axis 1", "arena_size=256K,1M,3M,4M");
    window.click("Run");
    // A log of eight blocks keeps as many arenas, whatever they are, so that the smallest hold least.
    assert!(says(&window, "arena_size=256K pool_size=4K holds "), "{:#?}", window.labels());
    let step = window.app().step();
    assert!(
        says(&window, "arena_size=1M pool_size=16K: * 8 MiB, open")
            || says(&window, "arena_size=1M pool_size=16K: 8 MiB, open"),
        "{:#?}",
        window.labels()
    );
    window.click("arena_size=3M pool_size=4K: refused");
    assert!(window.labels().iter().any(|label| label.contains("power of two")), "{:#?}", window.labels());
    let small = window
        .labels()
        .into_iter()
        .find(|label| label.starts_with("arena_size=256K pool_size=16K: "))
        .unwrap();
    window.click(&small);
    assert!(says(&window, "held at the end") && says(&window, "empty pools in held arenas"));
    window.click("Open");
    assert_eq!(window.app().step(), step);
    assert!(
        window.app().status().contains("cpython-3.14 with arena_size=256K, pool_size=16K"),
        "{}",
        window.app().status()
    );
    assert!(
        says(&window, "arena_size=256K pool_size=16K: ")
            && window.labels().iter().any(
                |label| label.starts_with("arena_size=256K pool_size=16K: ") && label.ends_with(", open")
            ),
        "{:#?}",
        window.labels()
    );
    window.click("Back to the run as it is");
    assert!(
        window
            .labels()
            .iter()
            .any(|label| label.starts_with("arena_size=1M pool_size=16K: ") && label.ends_with(", open"))
    );
    window.click("Table");
    assert!(says(&window, "lost at end") && says(&window, "arena_size=4M pool_size=32K"));
    window.click("Front");
    assert!(
        says(&window, "15 cells by bytes held at the end and at the most")
            || says(&window, "12 cells by bytes"),
        "{:#?}",
        window.labels()
    );
    window.write("Axis 1", "arena=1M");
    window.click("Run");
    assert!(says(&window, "a profile has no field `arena`"), "{:#?}", window.labels());
}

#[test]
fn what_is_ticked_among_holders_is_left_out() {
    let mut window = window(Theme::Light);
    window.click("Blocks");
    window.click("Try");
    assert!(says(&window, "Tick groups in Holders, or write KEY=VALUE, such as"), "{:#?}", window.labels());
    window.key(Modifiers::NONE, Key::H);
    window.click("Free log.py:40");
    window.click("what if\u{2026}");
    assert!(says(&window, "Ticked in Holders: site=log.py:40"), "{:#?}", window.labels());
    window.click("Try");
    assert!(
        says(
            &window,
            "Without site=log.py:40 (8 blocks, 4 KiB) it holds 7 MiB less at the end (1 arena instead of 8) and as much at the most (9 arenas), if the program does the same otherwise."
        ),
        "{:#?}",
        window.labels()
    );
    assert!(says(&window, "Bytes of arenas along the trace, as it is and as changed, of 9 MiB at the most"));
    assert!(says(&window, "The program is assumed to behave the same"));
    window.choose("What is done to them", "in arenas of their own");
    window.write("Blocks", "site=nowhere.py:1");
    window.click("Try");
    assert!(says(&window, "no block matches site=nowhere.py:1; most alike: "), "{:#?}", window.labels());
    window.write("Bytes to save", "4 MiB");
    window.click("Find");
    assert!(says(&window, "Without 1 site 7 MiB less is held"), "{:#?}", window.labels());
    assert!(says(&window, "log.py:40  8 blocks"), "{:#?}", window.labels());
}

#[test]
fn bounds_say_who_is_to_blame() {
    let mut window = window(Theme::Dark);
    window.click("Ideal");
    window.click("Work it out");
    assert!(
        says(&window, "To blame is the allocator: of 8 arenas at the end the live blocks fill 1"),
        "{:#?}",
        window.labels()
    );
    assert!(says(&window, "perfect packing") && says(&window, "8 (8 MiB)"));
}
