//! What counts as right where a learner says where blocks go.

use session::Place;
use session::lesson::{Answer, Outcome, Task, Walk, compile};
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
