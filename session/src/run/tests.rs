//! Going, searching and playing, in slices.

use std::time::Duration;

use super::*;
use sim_core::{Call, Domain, TraceBuilder};

fn session(operations: u64) -> Session {
    let mut tape = TraceBuilder::new("t");
    for id in 1..=operations {
        let call = Call::Malloc { id, size: 1 + id % 600 };
        tape.push(Op { thread: 0, domain: Domain::Obj, call }).unwrap();
    }
    Session::new(Arc::new(tape.finish()), &Overrides::default(), 0).unwrap()
}

fn settle(session: &mut Session) {
    while session.busy() && !session.playback.playing {
        session.work(Duration::from_millis(1));
    }
}

#[test]
fn going_there_and_back_gives_the_same_state() {
    let mut session = session(300);
    session.seek(100);
    settle(&mut session);
    let (digest, revision) = (session.digest(), session.revision());
    session.seek(101);
    settle(&mut session);
    assert_ne!(session.digest(), digest);
    assert!(session.revision() > revision);
    session.seek(100);
    settle(&mut session);
    assert_eq!((session.step(), session.digest()), (100, digest));
    assert!(!session.events().is_empty());
}

#[test]
fn a_long_seek_goes_in_slices() {
    let mut session = session(400_000);
    session.seek(10);
    // The first pass has hardly begun, so that the way is long.
    session.work(Duration::ZERO);
    session.seek(400_000);
    session.work(Duration::ZERO);
    assert!(session.travels() && session.step() < 400_000);
    assert_eq!(session.target(), 400_000);
    assert!(session.seeking().is_some_and(|share| share < 1.0));
    settle(&mut session);
    assert_eq!(session.step(), 400_000);
}

#[test]
fn a_seek_can_be_cancelled_and_turned_round() {
    let mut session = session(400_000);
    session.seek(400_000);
    session.work(Duration::ZERO);
    session.seek(0);
    settle(&mut session);
    assert_eq!(session.step(), 0);
    session.seek(400_000);
    session.work(Duration::ZERO);
    session.cancel();
    assert!(session.seeking().is_none());
    settle(&mut session);
}

#[test]
fn playback_keeps_time_and_stops_at_the_end() {
    let mut session = session(30);
    session.playback = Playback { playing: true, speed: 3, due: 0.0 };
    session.tick(0.15);
    session.work(Duration::from_millis(5));
    assert_eq!(session.step(), 1, "ten a second");
    for _ in 0..100 {
        session.tick(0.2);
        session.work(Duration::from_millis(5));
    }
    assert_eq!(session.step(), 30);
    assert!(!session.playback.playing);
}

#[test]
fn arena_jumps_find_both_ways() {
    let mut session = session(9_000);
    let mut jump = |forward| {
        session.look_for(Aim::Arena, "an arena".to_owned(), forward);
        assert!(session.looking().is_some());
        settle(&mut session);
        assert!(session.looking().is_none());
        (session.step(), session.notice().map(str::to_owned))
    };
    assert_eq!(jump(true), (1, None));
    let (second, _) = jump(true);
    assert!(second > 1);
    assert_eq!(jump(false), (1, None));
    assert_eq!(jump(false), (1, Some("Nothing of an arena before step 1".to_owned())));
}

#[test]
fn conditions_are_found_both_ways_and_searches_can_be_stopped() {
    let mut session = session(300_000);
    let mut find = |text: &str, forward| {
        let condition = Condition::parse(text).unwrap();
        session.look_for(Aim::Condition(condition), format!("`{text}`"), forward);
        let mut rounds = 0;
        while session.busy() {
            session.work(Duration::ZERO);
            rounds += 1;
        }
        (session.step(), session.notice().map(str::to_owned), rounds)
    };
    let (at, notice, rounds) = find("step == 250000", true);
    assert_eq!((at, notice), (250_000, None));
    assert!(rounds > 20, "in slices: {rounds}");
    let (at, _, _) = find("arena_obtained && arenas < 3", false);
    assert!(find("arenas > 2 && arena_obtained", true).0 > at);
    let (stays, notice, _) = find("size > 9999", true);
    assert_eq!(
        notice,
        Some(format!("Nothing of `size > 9999` after step {}", crate::format::grouped(stays)))
    );
    session.seek(300_000);
    settle(&mut session);
    let condition = Condition::parse("size > 9999").unwrap();
    session.look_for(Aim::Condition(condition), "`size > 9999`".to_owned(), false);
    session.work(Duration::ZERO);
    let (doing, share) = session.looking().unwrap();
    assert_eq!(doing, "looking back for `size > 9999`");
    assert!(share.is_some_and(|s| s < 1.0));
    session.cancel();
    assert!(!session.under_way());
    assert_eq!((session.step(), session.notice()), (300_000, Some("The search was stopped")));
}

#[test]
fn play_stops_at_breakpoints_and_goes_on() {
    let mut session = session(60_000);
    let conditions = ["arena_obtained && arenas > 1", "step == 40000"];
    session.set_breakpoints(conditions.map(|text| Condition::parse(text).unwrap()).to_vec());
    let mut play = || {
        session.playback.playing = true;
        session.playback.speed = SPEEDS.len() - 1;
        for _ in 0..10_000 {
            session.tick(0.02);
            session.work(Duration::from_millis(1));
            if !session.playback.playing {
                break;
            }
        }
        assert!(!session.playback.playing, "it plays for ever");
        (session.step(), session.notice().map(str::to_owned))
    };
    let (second_arena, notice) = play();
    assert!(second_arena > 1 && second_arena < 40_000);
    assert_eq!(notice.as_deref(), Some("Play stopped at a breakpoint: arena_obtained && arenas > 1"));
    let mut stops = vec![second_arena];
    loop {
        let (step, notice) = play();
        stops.push(step);
        if step == 60_000 {
            assert_eq!(notice, None, "the end is no breakpoint");
            break;
        }
    }
    assert!(stops.contains(&40_000) && stops.is_sorted(), "{stops:?}");
    // Another one each time an arena is obtained.
    let marks = session.overview().marks.iter().filter(|m| m.obtained).count();
    assert_eq!(stops.len(), marks - 1 + 2, "{stops:?}");
}

#[test]
fn owners_are_found() {
    let mut session = session(300);
    session.seek(20);
    settle(&mut session);
    let Some(Place::Block(block)) = session.focus() else { panic!("a block") };
    session.ask_owner(block);
    assert_eq!(session.owner(block), Owner::Operation(19), "the operation itself");
    for step in [40, 300, 25, 20, 150] {
        session.seek(step);
        settle(&mut session);
        session.ask_owner(block);
        settle(&mut session);
        assert_eq!(session.owner(block), Owner::Operation(19), "at {step}");
    }
    session.seek(19);
    settle(&mut session);
    session.ask_owner(block);
    settle(&mut session);
    assert_eq!(session.owner(block), Owner::Nobody);
    session.seek(200);
    settle(&mut session);
    session.ask_owner(block);
    settle(&mut session);
    assert_eq!(session.owner(block), Owner::Operation(19), "found from nothing");
}

#[test]
fn notes_hold_until_the_next_one() {
    let mut tape = TraceBuilder::new("t");
    for id in 1..=6 {
        tape.push(Op { thread: 0, domain: Domain::Obj, call: Call::Malloc { id, size: 8 } }).unwrap();
    }
    for at in [0, 3] {
        tape.trace_mut().head.notes.push(Note { at, text: at.to_string() });
    }
    let mut session = Session::new(Arc::new(tape.finish()), &Overrides::default(), 0).unwrap();
    let text = |s: &Session| s.note().map(|n| n.text.clone());
    assert_eq!(text(&session).as_deref(), Some("0"), "what comes first");
    assert_eq!((session.previous_remark(), session.next_remark()), (None, Some(1)));
    for (step, note, previous, next) in [
        (1, "0", None, Some(4)),
        (3, "0", Some(1), Some(4)),
        (4, "3", Some(1), None),
        (6, "3", Some(4), None),
    ] {
        session.seek(step);
        settle(&mut session);
        assert_eq!(text(&session).as_deref(), Some(note), "{step}");
        assert_eq!((session.previous_remark(), session.next_remark()), (previous, next), "{step}");
    }
}

#[test]
fn unknown_profiles_are_refused() {
    let trace = Arc::new(TraceBuilder::new("t").finish());
    assert!(Session::new(trace, &Overrides::preset("cpython-2.7"), 0).is_err());
}

#[test]
fn notes_and_marks_are_stations_on_one_way() {
    let mut tape = TraceBuilder::new("t");
    for id in 1..=10 {
        if [0, 4, 5].contains(&tape.len()) {
            tape.mark(if id == 1 { "start" } else { "turn" }).unwrap();
        }
        tape.push(Op { thread: 0, domain: Domain::Obj, call: Call::Malloc { id, size: 8 } }).unwrap();
    }
    tape.mark("end").unwrap();
    for at in [2, 4, 7] {
        tape.trace_mut().head.notes.push(Note { at, text: at.to_string() });
    }
    let mut session = Session::new(Arc::new(tape.finish()), &Overrides::default(), 1).unwrap();
    // Notes hold at 3, 5 and 8; marks stand at 0, 4, 5 and 10.
    let stations = [0, 3, 4, 5, 8, 10];
    for step in 0..=10 {
        session.seek(step);
        settle(&mut session);
        assert_eq!(session.next_remark(), stations.into_iter().find(|&s| s > step), "{step}");
        assert_eq!(session.previous_remark(), stations.into_iter().rev().find(|&s| s < step), "{step}");
    }
}
