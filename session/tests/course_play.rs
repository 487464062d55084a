//! What counts as right where a learner says where blocks go.

use std::path::Path;

use session::Place;
use session::lesson::{Answer, Outcome, Round, Task, TaskView, Walk, compile};
use sim_core::Profile;
use sim_core::profile::PRESETS;
use trace_io::TraceError;
use trace_io::lesson::Lesson;

/// A lesson that is played on the map's level `show`: the request goes into the pool that is there, behind `a`.
fn walk(show: &str) -> Result<Walk, TraceError> {
    play(show, "a = malloc(24)\\nb = malloc(100)", "c = malloc(24)")
}

fn play(show: &str, before: &str, play: &str) -> Result<Walk, TraceError> {
    let text = format!(
        "Lesson(id: \"x\", name: \"X\", goal: \"X.\", minutes: 1, steps: [run(\"{before}\"), \
         play(text: \"Do it.\", show: {show}, select: \"pool(a)\"), run(\"{play}\")])"
    );
    let lesson = Lesson::parse(&text)?;
    let (_, script) = compile(&lesson, None)?;
    assert_eq!(script.faults, [""; 0]);
    Ok(Walk::new(script))
}

fn key(walk: &Walk) -> Place {
    key_of(walk, 0)
}

fn key_of(walk: &Walk, round: usize) -> Place {
    let Some(Task::Play { rounds }) = &walk.script().beats[0].task else { panic!("it is played") };
    let Some(Outcome::Block(place)) = rounds[round].outcome else {
        panic!("it goes into a pool that was used")
    };
    place
}

fn right(walk: &mut Walk, answer: Answer) -> u32 {
    walk.answer(answer);
    let Some(session::lesson::TaskView::Play { right, .. }) = walk.view(None).and_then(|view| view.beat.task)
    else {
        panic!("it is played")
    };
    right
}

/// The pool that a block lies in, and the one behind it.
fn pools(block: Place) -> (Place, Place) {
    let Place::Block(addr) = block else { panic!("{block:?} is a block") };
    let pool = addr.0 & !0x3fff;
    (Place::Pool(sim_core::Addr(pool)), Place::Pool(sim_core::Addr(pool + 0x4000)))
}

#[test]
fn a_pool_is_an_answer_where_the_map_shows_pools() -> Result<(), TraceError> {
    for show in ["pools", "arenas"] {
        let mut played = walk(show)?;
        let (pool, _) = pools(key(&played));
        assert_eq!(right(&mut played, Answer::Place(pool)), 1, "{show}");
        let mut played = walk(show)?;
        let (_, behind) = pools(key(&played));
        assert_eq!(right(&mut played, Answer::Place(behind)), 0, "{show}: it is another pool");
    }
    Ok(())
}

#[test]
fn a_block_is_needed_where_the_map_shows_blocks() -> Result<(), TraceError> {
    let mut played = walk("blocks")?;
    let (pool, _) = pools(key(&played));
    assert_eq!(right(&mut played, Answer::Place(pool)), 0);
    // In a pool whose blocks are not shown, the pool is all that can be clicked.
    let mut elsewhere = play("blocks", "a = malloc(24)\\nb = malloc(100)", "c = malloc(100)")?;
    let (pool, behind) = pools(key(&elsewhere));
    assert_eq!(right(&mut elsewhere, Answer::Place(pool)), 1);
    let mut elsewhere = play("blocks", "a = malloc(24)\\nb = malloc(100)", "c = malloc(100)")?;
    assert_eq!(right(&mut elsewhere, Answer::Place(behind)), 0);
    let mut played = walk("blocks")?;
    let block = key(&played);
    assert_eq!(right(&mut played, Answer::Place(block)), 1);
    Ok(())
}

#[test]
fn an_emptied_pool_is_not_one_that_was_not_used_yet() -> Result<(), TraceError> {
    let emptied = || play("pools", "a = malloc(24)\\nfree(a)", "c = malloc(100)");
    assert_eq!(right(&mut emptied()?, Answer::NewPool), 0);
    let mut played = emptied()?;
    let (pool, _) = pools(key(&played));
    assert_eq!(right(&mut played, Answer::Place(pool)), 1);
    let mut fresh = play("pools", "a = malloc(24)", "c = malloc(100)")?;
    assert_eq!(right(&mut fresh, Answer::NewPool), 1);
    Ok(())
}

#[test]
fn frees_before_the_first_request_have_happened_when_it_is_asked_about() -> Result<(), TraceError> {
    let mut walk = play(
        "blocks",
        "a = malloc(24)\\nb = malloc(24)",
        "free(a)\\nc = malloc(24)\\nfree(b)\\nd = malloc(24)",
    )?;
    assert_eq!(walk.step(), 3);
    let first = key_of(&walk, 1);
    walk.answer(Answer::Place(first));
    assert_eq!(walk.step(), 5);
    let second = key_of(&walk, 3);
    assert_eq!(right(&mut walk, Answer::Place(second)), 2);
    assert_eq!(walk.step(), 6);
    Ok(())
}

/// What the machine does of an operation, as a learner says it on a map that shows pools, or mimalloc's pages.
fn as_the_machine(round: &Round) -> Option<Answer> {
    Some(match round.outcome? {
        Outcome::Block(place) => Answer::Place(round.pool.unwrap_or(place)),
        Outcome::NewPool(_) => Answer::NewPool,
        Outcome::NewArena(_) => Answer::NewArena,
        Outcome::Raw => Answer::Raw,
        Outcome::Null => Answer::Null,
    })
}

fn played(walk: &Walk) -> (u32, usize, bool) {
    match walk.view(None).and_then(|view| view.beat.task) {
        Some(TaskView::Play { right, rounds, differs, .. }) => (right, rounds, differs.is_some()),
        other => panic!("it is played: {other:?}"),
    }
}

/// Each piece of the course that is played, done as the machine does it and then otherwise, under each build.
#[test]
fn each_play_of_the_course_takes_what_the_machine_does_and_nothing_else() -> Result<(), TraceError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/course");
    let (mut plays, mut on_mimalloc) = (0, 0);
    let Ok(files) = std::fs::read_dir(folder) else { panic!("the course is not there") };
    for file in files.flatten() {
        let lesson = Lesson::parse(&std::fs::read_to_string(file.path()).unwrap_or_default())?;
        for (preset, _) in PRESETS {
            let Ok(profile) = Profile::named(preset) else { panic!("{preset}") };
            if lesson.holds(&profile).is_err() {
                continue;
            }
            let (_, script) = compile(&lesson, Some(preset))?;
            for beat in 0..script.beats.len() {
                let Some(Task::Play { rounds }) = &script.beats[beat].task else { continue };
                let rounds = rounds.clone();
                let answers: Vec<Answer> = rounds.iter().filter_map(as_the_machine).collect();
                let mut walk = Walk::new(script.clone());
                walk.go_to(beat);
                for answer in &answers {
                    walk.answer(answer.clone());
                }
                let all = answers.len();
                assert_eq!(played(&walk), (all as u32, all, false), "{}, {preset}, beat {beat}", lesson.id);
                // Another place than each of them.
                walk.again();
                for answer in &answers {
                    let far = Place::Pool(sim_core::Addr(8));
                    walk.answer(if *answer == Answer::Place(far) {
                        Answer::Null
                    } else {
                        Answer::Place(far)
                    });
                }
                assert_eq!(played(&walk), (0, all, true), "{}, {preset}, beat {beat}", lesson.id);
                plays += 1;
                on_mimalloc += u32::from(["mi-lists", "threads"].contains(&lesson.id.as_str()));
            }
        }
    }
    assert!(plays > 200 && on_mimalloc >= 6, "{plays} plays, {on_mimalloc} on mimalloc");
    Ok(())
}

/// With mimalloc a page is what is chosen: the one that has blocks of this size in this heap.
#[test]
fn a_page_of_mimallocs_is_an_answer_and_another_one_is_not() -> Result<(), TraceError> {
    let text = "Lesson(id: \"x\", name: \"X\", goal: \"X.\", minutes: 1, profile: \"cpython-3.14t\", steps: [\
                run(\"a = malloc(32)\\nb = malloc(600)\"), play(text: \"Do it.\", show: mimalloc), \
                run(\"c = malloc(32)\\nd = malloc(2000)\\nwith thread(1): e = malloc(32)\")])";
    let (_, script) = compile(&Lesson::parse(text)?, None)?;
    assert_eq!(script.faults, [""; 0]);
    let Some(Task::Play { rounds }) = &script.beats[0].task else { panic!("it is played") };
    let [c, d, e] = &rounds[..] else { panic!("{rounds:?}") };
    let (Some(Outcome::Block(block)), Some(Place::Pool(page))) = (c.outcome, c.pool) else { panic!("{c:?}") };
    assert!(matches!((d.outcome, e.outcome), (Some(Outcome::NewPool(_)), Some(Outcome::NewArena(_)))));
    assert_eq!(e.call, "e = malloc(32, thread=1)");
    let slice = sim_core::mimalloc::SLICE_BYTES;
    let right = |answer: Answer| {
        let mut walk = Walk::new(script.clone());
        right(&mut walk, answer)
    };
    assert_eq!(right(Answer::Place(block)), 1, "the block itself");
    assert_eq!(right(Answer::Place(Place::Pool(page))), 1, "its page");
    assert_eq!(right(Answer::Place(Place::Pool(page.offset(slice)))), 0, "the page of b");
    assert_eq!(right(Answer::NewPool), 0);
    Ok(())
}
