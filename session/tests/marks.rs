//! Marks in the engine: a step by its name, and what the front is told of marks.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write as _;
use std::time::Duration;

use session::view::tape::OperationsLook;
use session::view::{Look, MarkFacts, Shown};
use session::{At, Engine, Opened, Order};

/// Mallocs of which the C library's in the middle make the peak; marks at 0, 100, 200 and at the end.
fn text(blocks: u64) -> String {
    let mut text = String::from("#! mark begin\n");
    for id in 1..=blocks {
        writeln!(text, "m o {id} 40").unwrap();
        if id == 50 {
            text.push_str("m r 999999 1000000\nf r 999999\n");
        }
        if id == 98 || id == 198 {
            text.push_str("#! mark turn\n");
        }
    }
    text.push_str("#! mark end of it\n");
    text
}

fn settle(engine: &mut Engine, shown: &mut Shown) {
    loop {
        engine.work(0.0, Duration::from_millis(4));
        if let Some(update) = engine.update(true) {
            shown.take(update);
        }
        if !engine.busy() {
            return;
        }
    }
}

fn open(text: String) -> (Engine, Shown) {
    let (mut engine, mut shown) = (Engine::new(None), Shown::default());
    let operations = Some(OperationsLook { filter: String::new(), rows: 0..300 });
    engine.look(Look { narration: true, operations, ..Look::default() });
    engine.open(Opened::bytes("marked.ptrace", text.into_bytes()));
    settle(&mut engine, &mut shown);
    (engine, shown)
}

#[test]
fn orders_go_to_steps_by_name() {
    let (mut engine, mut shown) = open(text(250));
    for (at, step) in [
        ("mark:turn", 100),
        ("mark:turn#2", 200),
        ("mark:begin", 0),
        ("end", 252),
        ("peak", 51),
        ("start", 0),
        ("mark:end of it", 252),
        ("1_2", 12),
    ] {
        engine.order(Order::At(at.parse().unwrap()));
        settle(&mut engine, &mut shown);
        let session = engine.session().unwrap();
        assert_eq!((session.step(), session.notice()), (step, None), "{at}");
    }
    engine.order(Order::At(At::Mark("turns".to_owned())));
    settle(&mut engine, &mut shown);
    let session = engine.session().unwrap();
    assert_eq!(session.step(), 12, "it stays");
    assert_eq!(
        session.notice(),
        Some("mark:turns is not in marked, which has mark:turn, mark:begin, mark:end of it")
    );
}

#[test]
fn the_peak_is_waited_for_unless_something_else_is_asked() {
    let mut engine = Engine::new(None);
    engine.open(Opened::bytes("marked.ptrace", text(400_000).into_bytes()));
    while engine.session().is_none() {
        engine.work(0.0, Duration::from_millis(1));
    }
    assert!(engine.session().unwrap().overview().peak().is_none(), "not read ahead yet");
    let mut shown = Shown::default();
    engine.order(Order::At(At::Peak));
    assert!(engine.session().unwrap().notice().unwrap().contains("once the tape has been read ahead"));
    settle(&mut engine, &mut shown);
    let high = engine.session().unwrap().overview().peak().unwrap();
    assert_eq!((high.step, engine.session().unwrap().step()), (400_002, 400_002));

    let mut engine = Engine::new(None);
    engine.open(Opened::bytes("marked.ptrace", text(400_000).into_bytes()));
    while engine.session().is_none() {
        engine.work(0.0, Duration::from_millis(1));
    }
    engine.order(Order::At(At::Peak));
    engine.order(Order::Seek(7));
    settle(&mut engine, &mut shown);
    assert_eq!(engine.session().unwrap().step(), 7);
}

#[test]
fn a_front_is_told_of_marks() {
    let (mut engine, mut shown) = open(text(250));
    let mark = |step, name: &str| MarkFacts { step, name: name.to_owned() };
    let (head, _) = shown.open().unwrap();
    assert_eq!(head.marks, [mark(0, "begin"), mark(100, "turn"), mark(200, "turn"), mark(252, "end of it")]);
    for (step, marks, before, after) in [
        (0, &["begin"][..], false, true),
        (99, &[], true, true),
        (100, &["turn"], true, true),
        (252, &["end of it"], true, false),
    ] {
        engine.order(Order::Seek(step));
        settle(&mut engine, &mut shown);
        let (_, picture) = shown.open().unwrap();
        let narration = picture.narration.as_ref().unwrap();
        assert_eq!(
            (narration.marks.as_slice(), narration.previous, narration.next),
            (&marks.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>()[..], before, after),
            "{step}"
        );
    }
    let (_, picture) = shown.open().unwrap();
    let marked: Vec<u64> = picture
        .operations
        .as_ref()
        .unwrap()
        .rows
        .iter()
        .filter(|r| !r.marks.is_empty())
        .map(|r| r.index + 1)
        .collect();
    assert_eq!(marked, [100, 200, 252], "on the row of the operation that leads there");
    engine.order(Order::PreviousNote);
    settle(&mut engine, &mut shown);
    assert_eq!(engine.session().unwrap().step(), 200);
}

#[test]
fn many_marks_at_one_place_are_told_in_part() {
    let mut text = String::from("m o 1 8\n");
    (0..5000).for_each(|n| writeln!(text, "#! mark m{n}").unwrap());
    let (mut engine, mut shown) = open(text);
    engine.order(Order::End);
    settle(&mut engine, &mut shown);
    let (head, picture) = shown.open().unwrap();
    assert_eq!(head.marks.len(), 2000);
    let narration = picture.narration.as_ref().unwrap();
    assert_eq!((narration.marks.len(), narration.marks[12].as_str()), (13, "and 4988 more"));
}

#[test]
fn what_is_taken_into_the_playground_keeps_its_marks() {
    let text = "#! mark a\nm o 1 8\n#! mark \"b\" \\ c\nf o 1\n#! mark d\nm o 2 8\n#! mark not yet\n";
    let (mut engine, mut shown) = open(text.to_owned());
    engine.order(Order::Seek(2));
    settle(&mut engine, &mut shown);
    engine.order(Order::Fork);
    settle(&mut engine, &mut shown);
    let marks = &engine.session().unwrap().trace().head.marks;
    let marks: Vec<(u64, &str)> = marks.iter().map(|mark| (mark.at, mark.name())).collect();
    assert_eq!(marks, [(0, "a"), (1, "'b' \\ c"), (2, "d")]);
    engine.order(Order::At("mark:d".parse().unwrap()));
    settle(&mut engine, &mut shown);
    assert_eq!(engine.session().unwrap().step(), 2);
}
