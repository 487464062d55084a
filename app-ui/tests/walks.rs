//! Fixed walks through traces: where the window stands after each key, what state it shows, and what it says. They are compared with
//! `walks.txt`; `UPDATE_SNAPSHOTS=1 cargo test -p app-ui --test walks` writes that file anew.
//!
//! They know the window by its keys, its labels and the public functions of `App` alone, so that what is behind it can change.

#![allow(clippy::unwrap_used, reason = "tests")]

mod support;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use app_ui::{InPlace, Port};
use egui::{Key, Modifiers, Theme};
use session::port::Threaded;
use session::port::server::{Request, Server};
use session::view::{Look, Update};
use session::{Engine, Opened, Order};
use support::picture::{UPDATE, updating};
use support::window::Window;

const NONE: Modifiers = Modifiers::NONE;
const SHIFT: Modifiers = Modifiers::SHIFT;
const COMMAND: Modifiers = Modifiers::COMMAND;

/// What can be done by a key, and how often as against the others.
const MOVES: [(u64, &str, Modifiers, Key); 24] = [
    (9, "step forward", NONE, Key::ArrowRight),
    (7, "step back", NONE, Key::ArrowLeft),
    (5, "100 forward", SHIFT, Key::ArrowRight),
    (5, "100 back", SHIFT, Key::ArrowLeft),
    (2, "to the end", NONE, Key::End),
    (2, "to the start", NONE, Key::Home),
    (4, "next arena", NONE, Key::CloseBracket),
    (4, "previous arena", NONE, Key::OpenBracket),
    (4, "next touch", COMMAND, Key::ArrowRight),
    (4, "previous touch", COMMAND, Key::ArrowLeft),
    (2, "next chosen event", SHIFT, Key::CloseBracket),
    (2, "previous chosen event", SHIFT, Key::OpenBracket),
    (2, "next note", NONE, Key::N),
    (2, "previous note", NONE, Key::P),
    (3, "zoom in", NONE, Key::Plus),
    (2, "zoom out", NONE, Key::Minus),
    (1, "fold", NONE, Key::C),
    (1, "follow", NONE, Key::F),
    (1, "clear", NONE, Key::Escape),
    (1, "map", NONE, Key::Num1),
    (1, "size classes", NONE, Key::Num2),
    (1, "domains", NONE, Key::Num7),
    (1, "debug hooks", NONE, Key::Num8),
    (1, "tracemalloc", NONE, Key::Num9),
];
/// Every so many moves another profile is chosen.
const PROFILE_EVERY: usize = 17;
/// Every so many moves another thing is followed by "next touch" and "previous touch".
const ASPECT_EVERY: usize = 11;
/// Every so many moves the window is sent to some step, as by a drag along the tape.
const SEEK_EVERY: usize = 7;
/// Moves of a walk.
const LENGTH: usize = 120;

/// What "next touch" and "previous touch" can follow.
const ASPECTS: [&str; 6] = ["pool", "block's life", "arena", "size class", "call site", "address"];

/// One trace, a seed, and the profiles that are chosen on the way.
struct Walk {
    name: &'static str,
    file: &'static str,
    bytes: &'static [u8],
    seed: u64,
    profiles: &'static [&'static str],
}

const WALKS: [Walk; 8] = [
    Walk {
        name: "a script on 3.11",
        file: "tiny-script-3.11.ptrace.zst",
        bytes: include_bytes!("../../traces/tiny-script-3.11.ptrace.zst"),
        seed: 1,
        profiles: &["cpython-3.9", "cpython-32bit", "cpython-3.14"],
    },
    Walk {
        name: "a script on 3.14",
        file: "tiny-script-3.14.ptrace.zst",
        bytes: include_bytes!("../../traces/tiny-script-3.14.ptrace.zst"),
        seed: 2,
        profiles: &["cpython-3.14t", "cpython-3.8", "cpython-3.14"],
    },
    Walk {
        name: "a lesson on arenas",
        file: "6-arenas.ron",
        bytes: include_bytes!("../../trace-io/tests/data/lessons/6-arenas.ron"),
        seed: 3,
        profiles: &["cpython-3.13", "cpython-3.15-hugepages"],
    },
    Walk {
        name: "a pitfall under layers",
        file: "13-two-headers.ron",
        bytes: include_bytes!("../../traces/pitfalls/13-two-headers.ron"),
        seed: 4,
        profiles: &["cpython-3.9", "cpython-3.14"],
    },
    Walk {
        name: "a scenario with call sites",
        file: "6-tracemalloc.ron",
        bytes: include_bytes!("../../traces/scenarios/6-tracemalloc.ron"),
        seed: 7,
        profiles: &["cpython-3.13", "cpython-3.14"],
    },
    Walk {
        name: "a process that dies",
        file: "16-double-free.ron",
        bytes: include_bytes!("../../traces/pitfalls/16-double-free.ron"),
        seed: 8,
        profiles: &["cpython-3.10", "cpython-3.14"],
    },
    Walk {
        name: "a pitfall on mimalloc",
        file: "28-free-threaded.ron",
        bytes: include_bytes!("../../traces/pitfalls/28-free-threaded.ron"),
        seed: 5,
        profiles: &["cpython-3.13t", "cpython-3.14t"],
    },
    Walk {
        name: "a generated trace",
        file: "generated.ptrace",
        bytes: &[],
        seed: 6,
        profiles: &["cpython-3.10"],
    },
];

/// A workload of several arenas, of which some are given back.
fn generated() -> Vec<u8> {
    use trace_io::{ptrace, workload::Workload};
    let mut header = sim_core::Trace::default();
    "generated".clone_into(&mut header.head.name);
    let mut workload = Workload::python(7, 30_000, 9_000);
    let last = workload.phases.last_mut().unwrap();
    last.live_to = 200;
    let mut text = Vec::new();
    ptrace::write_header(&mut text, &header).unwrap();
    workload.iter().for_each(|op| ptrace::write_op(&mut text, &header, &op).unwrap());
    text
}

/// A sum that is the same everywhere (64-bit FNV-1a).
struct Sum(u64);

impl Sum {
    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}

/// The next of a sequence that a seed decides (`SplitMix64`).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The status, what went wrong, and what the pane on the current step says, a line each.
fn said(window: &Window) -> String {
    let labels = window.labels();
    let after = |title: &str| labels.iter().position(|label| label == title).unwrap();
    let happened = &labels[after("What happened")..after("Inspector")];
    let mut said = vec![window.app().status()];
    said.extend(window.app().error().map(str::to_owned));
    said.extend_from_slice(happened);
    said.join("\n")
}

/// A line for each move: what was done, the step, and a sum over state and words up to there. With it what was said last.
fn lines(walk: &Walk, port: Box<dyn Port>) -> Vec<(String, String)> {
    let bytes = if walk.bytes.is_empty() { generated() } else { walk.bytes.to_vec() };
    let mut window = Window::with_port(port, walk.file, &bytes, (1400.0, 900.0), Theme::Dark);
    assert_eq!(window.app().error(), None, "{}", walk.name);
    let all: u64 = MOVES.iter().map(|m| m.0).sum();
    let (mut random, mut sum) = (walk.seed, Sum(0xcbf2_9ce4_8422_2325));
    let mut lines = Vec::new();
    for number in 0..=LENGTH {
        let turn = |every: usize| (number > 0 && number % every == 0).then_some(number / every);
        let done = if number == 0 {
            "open"
        } else if let Some(turn) = turn(PROFILE_EVERY) {
            let profile = walk.profiles[turn % walk.profiles.len()];
            window.choose("Profile", profile);
            profile
        } else if let Some(turn) = turn(ASPECT_EVERY) {
            let aspect = ASPECTS[turn % ASPECTS.len()];
            window.choose("What of the selection to follow", aspect);
            aspect
        } else if turn(SEEK_EVERY).is_some() {
            let (_, len) = window.app().step().unwrap();
            window.seek(next(&mut random) % (len + 1));
            "seek"
        } else {
            let mut pick = next(&mut random) % all;
            let chosen = MOVES.iter().find(|m| {
                let here = pick < m.0;
                pick = pick.saturating_sub(m.0);
                here
            });
            let (_, what, modifiers, key) = chosen.unwrap();
            window.key(*modifiers, *key);
            what
        };
        let (step, _) = window.app().step().unwrap();
        let said = said(&window);
        sum.add(&step.to_le_bytes());
        sum.add(&window.app().state_digest().unwrap().to_le_bytes());
        sum.add(said.as_bytes());
        lines.push((format!("{number:>3}  {done:<22} step {step:<7} {:016x}", sum.0), said));
    }
    lines
}

/// Takes all walks over a port and compares them with what is committed, or writes that.
fn take(port: impl Fn() -> Box<dyn Port>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/walks.txt");
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let mut now = format!(
        "# Walks of tests/walks.rs: each move, the step it led to, and a sum over all states and words so far.\n\
         # Written by `{UPDATE}=1 cargo test -p app-ui --test walks`.\n"
    );
    let mut wrong = Vec::new();
    for walk in &WALKS {
        let _ = writeln!(now, "\n{}", walk.name);
        let mut expected =
            committed.split_once(&format!("\n{}\n", walk.name)).map_or("", |(_, rest)| rest).lines();
        let mut same = true;
        for (line, said) in lines(walk, port()) {
            let _ = writeln!(now, "{line}");
            let before = expected.next().unwrap_or("nothing");
            if same && before != line {
                same = false;
                wrong.push(format!("{}\nwas {before}\nis  {line}\nand says:\n{said}\n", walk.name));
            }
        }
    }
    if updating() {
        std::fs::write(&path, now).unwrap();
        return;
    }
    assert!(
        wrong.is_empty(),
        "walks part from {}; if they are to, accept that with {UPDATE}=1\n\n{}",
        path.display(),
        wrong.join("\n")
    );
    assert_eq!(committed, now, "there is more in it than walks");
}

#[test]
fn walks_lead_where_they_led() {
    take(|| Box::new(InPlace::new(None)));
}

/// With the engine in a thread of its own: every line, with its sum over states and words, is the same.
#[test]
fn walks_are_the_same_with_the_engine_in_a_thread() {
    if !updating() {
        take(|| Box::new(Threaded::new(|| Engine::new(None), || {}).unwrap()));
    }
}

/// The same with requests and updates that travel as bytes, as they do to the page's worker and back.
#[test]
fn walks_are_the_same_with_the_engine_behind_bytes() {
    if !updating() {
        take(|| Box::new(Bytes { server: Server::new(None), look: Look::default(), owes: false }));
    }
}

/// What the page's worker is without a browser: a server that is asked in bytes and answers in bytes.
struct Bytes {
    server: Server,
    look: Look,
    owes: bool,
}

impl Bytes {
    fn ask(&mut self, request: &Request) {
        self.owes |= *request != Request::Taken;
        let bytes = postcard::to_allocvec(request).unwrap();
        self.server.ask(postcard::from_bytes(&bytes).unwrap());
    }
}

impl Port for Bytes {
    fn open(&mut self, opened: Opened) {
        self.owes = true;
        self.server.open(opened);
    }

    fn order(&mut self, order: Order) {
        self.ask(&Request::Order(order));
    }

    fn look(&mut self, look: Look) -> bool {
        let new = self.look != look;
        if new {
            self.look = look.clone();
            self.ask(&Request::Look(Box::new(look)));
        }
        new
    }

    fn work(&mut self, _seconds: f64, _slice: Duration) -> bool {
        true
    }

    fn owes(&self) -> bool {
        self.owes
    }

    fn update(&mut self) -> Option<Update> {
        let bytes = postcard::to_allocvec(&self.server.turn().0?).unwrap();
        self.owes = false;
        self.ask(&Request::Taken);
        Some(postcard::from_bytes(&bytes).unwrap())
    }
}

/// Moves of a walk that the page takes, too: where each leads, and the digest there. `e2e/walks.test.mjs` presses the keys.
#[test]
fn the_page_is_given_the_same_walks() {
    /// What has the same name in a browser.
    const KEYS: [(&str, Modifiers, Key); 10] = [
        ("ArrowRight", NONE, Key::ArrowRight),
        ("ArrowLeft", NONE, Key::ArrowLeft),
        ("Shift+ArrowRight", SHIFT, Key::ArrowRight),
        ("Shift+ArrowLeft", SHIFT, Key::ArrowLeft),
        ("Control+ArrowRight", COMMAND, Key::ArrowRight),
        ("End", NONE, Key::End),
        ("]", NONE, Key::CloseBracket),
        ("[", NONE, Key::OpenBracket),
        ("n", NONE, Key::N),
        ("p", NONE, Key::P),
    ];
    const MOVES: usize = 24;
    let mut now = String::new();
    for walk in WALKS.iter().filter(|walk| !walk.bytes.is_empty()) {
        let port = Box::new(InPlace::new(None));
        let mut window = Window::with_port(port, walk.file, walk.bytes, (1400.0, 900.0), Theme::Dark);
        let (mut random, (_, len)) = (walk.seed, window.app().step().unwrap());
        let _ = writeln!(now, "{} {len}", walk.file);
        for _ in 0..MOVES {
            let (name, modifiers, key) = KEYS[(next(&mut random) % KEYS.len() as u64) as usize];
            window.key(modifiers, key);
            let (step, digest) = (window.app().step().unwrap().0, window.app().state_digest().unwrap());
            let _ = writeln!(now, "  {name} {step} {digest:016x}");
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keys.txt");
    if updating() {
        std::fs::write(&path, now).unwrap();
    } else {
        assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), now, "{UPDATE}=1 accepts it");
    }
}
