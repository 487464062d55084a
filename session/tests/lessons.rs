//! Lessons and the playground as a front uses them, and what the inspector says of a heap that a program broke.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use session::lesson::{Answer, LessonView, TaskView, Verdict, compile};
use session::view::inspect::Sheet;
use session::view::map::MapLook;
use session::view::{Look, Picture, Status};
use session::{Engine, Level, Opened, Order, Place};
use sim_core::Addr;
use sim_core::report::PoolState;
use trace_io::lesson::Lesson;

struct Front {
    engine: Engine,
    picture: Option<Picture>,
    status: Status,
}

impl Front {
    fn open(name: &str, bytes: &'static [u8]) -> Self {
        let mut engine = Engine::new(None);
        engine.look(Look { inspector: true, map: Some(MapLook::default()), ..Look::default() });
        engine.open(Opened::bytes(name.to_owned(), bytes));
        let mut front = Self { engine, picture: None, status: Status::default() };
        front.settle();
        front
    }

    fn settle(&mut self) {
        loop {
            self.engine.work(0.0, Duration::from_millis(5));
            while let Some(update) = self.engine.update(true) {
                self.picture = update.picture.map(|picture| *picture).or(self.picture.take());
                self.status = update.status;
            }
            if !self.engine.busy() {
                return;
            }
        }
    }

    fn order(&mut self, order: Order) {
        self.engine.order(order);
        self.settle();
    }

    fn picture(&self) -> &Picture {
        self.picture.as_ref().unwrap()
    }

    fn lesson(&self) -> &LessonView {
        self.picture().lesson.as_ref().unwrap()
    }

    /// Goes on until a beat has a task that is waited for.
    fn next_task(&mut self) -> TaskView {
        loop {
            if let Some(task) = self.lesson().beat.task.clone().filter(TaskView::open) {
                return task;
            }
            let at = self.lesson().at;
            self.order(Order::Beat(1));
            assert_ne!(self.lesson().at, at, "no task to the end");
        }
    }
}

const FIRST: &[u8] = include_bytes!("../../traces/course/01-first-block.ron");

#[test]
fn beats_go_to_their_step_and_put_in_front_what_they_speak_of() {
    let mut front = Front::open("01-first-block.ron", FIRST);
    assert_eq!((front.lesson().at, front.picture().step), (0, 0));
    assert_eq!(front.lesson().title, "1 A first block");
    for (step, level) in
        [(0, Level::Heap), (0, Level::Heap), (1, Level::Heap), (1, Level::Arena), (1, Level::Pool)]
    {
        // A question on the way is not passed over.
        front.order(Order::Answer(Answer::Reveal));
        front.order(Order::Beat(1));
        assert_eq!((front.picture().step, front.picture().selection.level), (step, level));
    }
    let Some(Place::Block(block)) = front.picture().selection.pinned else { panic!("a block is selected") };
    let names: Vec<(u64, &str)> =
        front.picture().names.iter().map(|(addr, name)| (addr.bytes_from(block), name.as_str())).collect();
    assert_eq!(names, [(0, "a")], "the map can write the program's own name on it");
    front.order(Order::Beat(-5));
    assert_eq!((front.lesson().at, front.picture().step), (0, 0));
}

#[test]
fn what_is_asked_is_answered_by_the_machine() {
    let mut front = Front::open("01-first-block.ron", FIRST);
    // The second question of the lesson.
    front.next_task();
    front.order(Order::Answer(Answer::Reveal));
    front.order(Order::Beat(1));
    let TaskView::Choose { choices, key: None, given: None, because } = front.next_task() else {
        panic!("choices")
    };
    assert!(because.is_empty(), "nothing tells the answer before it is given");
    let step = front.picture().step;
    let text = |index: usize| format!("{:?}", choices[index]);
    let wrong = (0..choices.len()).find(|&index| text(index).contains("right behind the 24")).unwrap();
    front.order(Order::Answer(Answer::Choice(wrong)));
    let Some(TaskView::Choose { key: Some(key), given: Some(given), because, .. }) =
        front.lesson().beat.task.clone()
    else {
        panic!("an answer was given")
    };
    assert_eq!((given.verdict, given.belief), (Verdict::Wrong, Some(17)));
    assert!(text(key).contains("80 bytes into the pool") && !because.is_empty(), "{}", text(key));
    assert_eq!(front.picture().step, step, "the result comes with the next beat");
    front.order(Order::Again);
    front.order(Order::Beat(1));
    let given = |front: &Front| match &front.lesson().beat.task {
        Some(TaskView::Choose { given: Some(given), .. }) => Some(given.verdict),
        _ => None,
    };
    assert_eq!(
        (given(&front), front.picture().step),
        (Some(Verdict::Shown), step),
        "nobody passes over a result unseen"
    );
    front.order(Order::Again);
    assert_eq!(given(&front), None);
    front.order(Order::Answer(Answer::Choice(key)));
    assert!(
        matches!(&front.lesson().beat.task, Some(TaskView::Choose { given: Some(given), .. }) if given.verdict == Verdict::Right)
    );
    front.order(Order::Beat(1));
    assert_eq!(front.picture().step, step + 1);
}

#[test]
fn a_piece_is_played_operation_by_operation() {
    let mut front = Front::open("01-first-block.ron", FIRST);
    let play = |front: &mut Front| {
        loop {
            if let TaskView::Play { call, .. } = front.next_task() {
                return call;
            }
            front.order(Order::Answer(Answer::Reveal));
            front.order(Order::Beat(1));
        }
    };
    assert_eq!(play(&mut front).as_deref(), Some("d = malloc(24)"));
    // d: behind b, which lies behind a.
    let pool = front.picture().crumbs.pool.unwrap().addr;
    front.order(Order::Pin(Place::Block(pool.offset(48 + 64))));
    let state = |front: &Front| match &front.lesson().beat.task {
        Some(TaskView::Play { call, right, differs, .. }) => {
            (call.clone(), *right, differs.clone().map(|(call, _)| call))
        }
        _ => panic!("it is played"),
    };
    assert_eq!(state(&front), (Some("e = malloc(90)".to_owned()), 1, None));
    // e needs a pool of its own; the C library is wrong.
    front.order(Order::Answer(Answer::Raw));
    assert_eq!(state(&front), (Some("f = malloc(24)".to_owned()), 1, Some("e = malloc(90)".to_owned())));
    front.order(Order::Pin(Place::Block(pool.offset(48 + 96))));
    assert_eq!(state(&front), (None, 2, Some("e = malloc(90)".to_owned())));
    front.order(Order::Again);
    assert_eq!(state(&front), (Some("d = malloc(24)".to_owned()), 0, None));
    front.order(Order::Pin(Place::Block(pool.offset(48 + 64))));
    front.order(Order::Answer(Answer::NewPool));
    front.order(Order::Pin(Place::Block(pool.offset(48 + 96))));
    assert_eq!(state(&front), (None, 3, None), "all as the machine does it");
}

#[test]
fn another_profile_keeps_the_beat_and_changes_the_numbers() {
    let mut front = Front::open("01-first-block.ron", FIRST);
    front.order(Order::BeatAt(4));
    let said = |front: &Front| format!("{:?}", front.lesson().beat.text);
    assert!(said(&front).contains("16 KiB"), "{}", said(&front));
    front.order(Order::Profile("cpython-3.9".to_owned()));
    assert_eq!(front.lesson().at, 4);
    assert!(said(&front).contains("4 KiB") && !said(&front).contains("16 KiB"), "{}", said(&front));
    front.order(Order::Profile("cpython-3.14t".to_owned()));
    assert!(front.lesson().elsewhere.as_deref().is_some_and(|why| why.contains("lesson 22")));
}

/// A question on mimalloc is asked of a build that uses it, whatever is open; one of a build that is named is that build's or none.
#[test]
fn questions_come_on_a_build_that_their_lesson_holds_for() {
    let mut front = Front::open("01-first-block.ron", FIRST);
    let practise = |front: &mut Front, lesson: &str, profile: Option<&str>| {
        let (lesson, profile) = (lesson.to_owned(), profile.map(str::to_owned));
        front.order(Order::Practise { lesson, level: 1, seed: 3, profile });
        front.picture().lesson.as_ref().map(|lesson| lesson.id.clone())
    };
    for lesson in session::practice::LESSONS {
        let id = practise(&mut front, lesson, None);
        assert_eq!(id.as_deref(), Some(format!("practice-{lesson}-1-3").as_str()));
        assert!(front.status.error.is_none() && front.lesson().elsewhere.is_none());
        assert!(
            front.lesson().beat.task.as_ref().is_some_and(TaskView::open),
            "{lesson} waits for an answer"
        );
    }
    practise(&mut front, "mi-lists", Some("cpython-3.14"));
    assert!(front.status.error.is_some(), "3.14 uses pymalloc");
}

const OBJECTS: &[u8] = include_bytes!("../../traces/course/18-objects.ron");

#[test]
fn a_lesson_from_python_shows_its_source_and_the_line_of_each_beat() {
    let mut front = Front::open("18-objects.ron", OBJECTS);
    let source = front.lesson().source.clone().unwrap();
    let line = |front: &Front| front.lesson().beat.line.unwrap();
    let said = |front: &Front| source.text.lines().nth(line(front) as usize - 1).unwrap().to_owned();
    assert_eq!(
        (said(&front).as_str(), source.recorded.as_str()),
        ("a = object()", "CPython 3.13.0, Linux x86-64")
    );
    // Each kind of beat says its line: those that speak, those that ask, and the one that is played.
    let mut seen = Vec::new();
    loop {
        let kind = match front.lesson().beat.task {
            None => "say",
            Some(TaskView::Play { .. }) => "play",
            Some(_) => "ask",
        };
        seen.push((kind, line(&front)));
        front.order(Order::Answer(Answer::Reveal));
        if front.lesson().at + 1 == front.lesson().len {
            break;
        }
        front.order(Order::Beat(1));
    }
    for kind in ["say", "ask", "play"] {
        assert!(seen.iter().any(|(which, _)| *which == kind), "{seen:?}");
    }
    assert!(seen.is_sorted_by_key(|(_, line)| *line) && seen.last().unwrap().1 == 18, "{seen:?}");
    assert_eq!(Front::open("01-first-block.ron", FIRST).lesson().source, None);
}

/// A lesson by hand, whose beats name lines that are not there.
#[test]
fn a_line_that_the_source_does_not_have_is_a_fault() {
    let faults = |source: &str, line: u32| {
        let text = format!(
            "Lesson(id: \"t\", name: \"t\", goal: \"t\", minutes: 1, {source} steps: [\n\
             say(text: \"It begins.\", line: {line}),\n\
             ask(text: \"What comes?\", number: \"size(a)\", line: {line}),\n\
             run(\"a = malloc(16)\"),\n\
             play(text: \"Play it.\", line: {line}),\n\
             run(\"b = malloc(16)\"),\n])"
        );
        let lesson = Lesson::parse(&text).unwrap();
        let (_, script) = compile(&lesson, None).unwrap();
        let lines: Vec<Option<u32>> = script.beats.iter().map(|beat| beat.line).collect();
        (lines, script.faults)
    };
    let source = "source: (text: \"x = []\\ny = []\\n\", recorded: \"CPython 3.13.0\"),";
    assert_eq!(faults(source, 2), (vec![Some(2); 3], Vec::new()));
    for (source, line, why) in
        [(source, 3, "has the lines 1 to 2"), (source, 0, "has the lines 1 to 2"), ("", 1, "has no source")]
    {
        let (lines, faults) = faults(source, line);
        assert_eq!((lines, faults.len()), (vec![None; 3], 3), "{faults:?}");
        assert!(
            faults.iter().all(|fault| fault.contains(why) && fault.contains(&format!("`line {line}`"))),
            "{faults:?}"
        );
        assert!(faults[0].starts_with("step 1, under"), "{faults:?}");
    }
}

#[test]
fn the_playground_follows_what_is_written() {
    let mut front = Front::open("t.ptrace", b"m o 1 48\nm o 2 48\nf o 1\n");
    front.order(Order::Program("a = malloc(48)\nb = malloc(48)\nfree(a)\n".to_owned()));
    let played = |front: &Front| front.status.played.clone().unwrap();
    assert_eq!((front.picture().step, played(&front).line, played(&front).fault), (3, Some(3), None));
    front.order(Order::Program("a = malloc(48)\nfree(a)\nfree(a)\n".to_owned()));
    let fault = played(&front).fault.unwrap();
    assert_eq!((fault.line, front.picture().step), (3, 3), "what was there stays");
    assert!(fault.problem.contains("freed before") && fault.remedy.contains("free_keep"), "{fault:?}");
    front.order(Order::Program("for i in range(10**9): x[i] = malloc(8)".to_owned()));
    assert!(played(&front).fault.unwrap().problem.contains("more than 1000000 operations"));
}

#[test]
fn what_is_open_can_be_taken_into_the_playground() {
    let mut front = Front::open("t.ptrace", b"m o 1 48\nm o 2 48\nf o 1\nf o 0\n");
    front.order(Order::Seek(3));
    front.order(Order::Fork);
    let (_, text) = front.status.played.clone().unwrap().forked.unwrap();
    assert!(text.ends_with("b[1] = malloc(48)\nb[2] = malloc(48)\nfree(b[1])\n"), "{text}");
    assert_eq!(front.picture().step, 3);
}

/// A link written over by the program: the list begins at an address that is no block, and is not empty for all that.
#[test]
fn the_header_of_a_broken_heap_is_read_from_memory() {
    let text = b"#! malloc=default\nm o 1 32\nm o 2 32\nm o 3 32\nk o 2\nx poke 2 0 3040000000000000\nm o 4 32\nm o 5 32\n";
    let mut front = Front::open("broken.ptrace", text);
    front.order(Order::Seek(6));
    let pool = front.picture().crumbs.pool.unwrap().addr;
    front.order(Order::Pin(Place::Pool(pool)));
    let Sheet::Place(sheet) = &front.picture().inspector.as_ref().unwrap().sheet else { panic!("a pool") };
    let sheet = sheet.pool.as_ref().unwrap();
    let header = sheet.header.unwrap();
    assert_eq!(
        (header.freeblock, header.broken, sheet.pool.state),
        (Some(Addr(0x4030)), true, PoolState::Used)
    );
}
