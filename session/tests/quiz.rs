//! Quizzes: the same questions for the same seed and student, marks by the machine, and tokens in which a slip shows.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use session::lesson::{Answer, TaskView};
use session::practice::{LESSONS, Task};
use session::quiz::{QuizOrder, QuizView, Reply, Sheet, Sitting, Stage, Student, check, read, write};
use session::view::{Look, Picture, Status};
use session::{Engine, Opened, Order};
use trace_io::lesson::Quiz;

const LETTERS: &str = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

fn quiz(by_student: bool) -> Quiz {
    Quiz::parse(&format!(
        "Quiz(name: \"Pools\", profile: \"cpython-3.14\", seed: 7, by_student: {by_student}, tries: 2, items: [
            (lesson: \"classes\", level: 1, count: 2),
            (lesson: \"lifo\", level: 2),
            (lesson: \"emptied\", level: 3),
            (lesson: \"released\", level: 1),
        ])"
    ))
    .unwrap()
}

fn sheet(quiz: &Quiz, name: &str) -> Sheet {
    Sheet::new(quiz, Student::named(name).unwrap().number(), 1).unwrap()
}

/// Every question answered as the machine does.
fn right(sheet: &Sheet) -> Vec<Reply> {
    let key = |task: &Task| match task {
        Task::Choose { key, .. } => Reply::Choice(u8::try_from(*key).unwrap()),
        Task::Number { key, .. } => Reply::number(*key),
        Task::Click { .. } => panic!("nothing to click on paper"),
    };
    sheet.questions.iter().map(|question| key(&question.task)).collect()
}

#[test]
fn a_sheet_follows_from_quiz_and_student() {
    let own = quiz(true);
    assert_eq!(sheet(&own, "Ada Lovelace"), sheet(&own, "  ada   LOVELACE "), "however it is typed");
    let texts = |sheet: Sheet| sheet.questions.into_iter().map(|q| (q.program, q.text)).collect::<Vec<_>>();
    let (ada, bob) = (texts(sheet(&own, "Ada")), texts(sheet(&own, "Bob")));
    assert!(ada.iter().zip(&bob).filter(|(a, b)| a == b).count() <= 1, "each has questions of their own");
    let same = quiz(false);
    assert_eq!(texts(sheet(&same, "Ada")), texts(sheet(&same, "Bob")));
    let second = Sheet::new(&same, Student::named("Ada").unwrap().number(), 2).unwrap();
    assert_ne!(texts(sheet(&same, "Ada")), texts(second), "another try has other questions");
    let twice: std::collections::BTreeSet<_> = ada.iter().collect();
    assert_eq!(twice.len(), ada.len(), "nothing is asked twice");
}

#[test]
fn every_lesson_and_level_that_has_questions_can_be_asked() {
    let mut asked = 0;
    for lesson in LESSONS {
        for level in 1..=3 {
            let text =
                format!("(name: \"x\", seed: 3, items: [(lesson: \"{lesson}\", level: {level}, count: 3)])");
            let quiz = Quiz::parse(&text).unwrap();
            match Sheet::new(&quiz, Student::named("A").unwrap().number(), 1) {
                Ok(sheet) => {
                    asked += 1;
                    assert!(sheet.mark(&right(&sheet)).iter().all(|mark| mark.right), "{lesson}");
                }
                // A lesson may hold for other builds, or ask for nothing but clicks and rows.
                Err(why) => assert!(why.contains("no more questions"), "{why}"),
            }
        }
    }
    assert!(asked >= 33, "eleven lessons at three levels at least: {asked}");
}

#[test]
fn marks_say_what_was_believed() {
    let sheet = sheet(&quiz(false), "Ada");
    let mut replies = right(&sheet);
    assert_eq!(sheet.mark(&replies).iter().filter(|mark| mark.right).count(), 5);
    replies.pop();
    let marks = sheet.mark(&replies);
    assert_eq!((marks.len(), marks[4].right, marks[4].reply), (5, false, Reply::Open), "left open");
    let mut beliefs = 0;
    for (at, question) in sheet.questions.iter().enumerate() {
        let Task::Choose { choices, key } = &question.task else { continue };
        for (index, choice) in choices.iter().enumerate() {
            let mut replies = vec![Reply::Open; 5];
            replies[at] = Reply::Choice(u8::try_from(index).unwrap());
            let mark = sheet.mark(&replies)[at];
            assert_eq!(mark.right, index == *key);
            assert_eq!(mark.belief, choice.misconception.filter(|_| index != *key));
            beliefs += u32::from(mark.belief.is_some());
        }
    }
    assert!(beliefs > 4, "{beliefs}");
}

#[test]
fn tokens_say_what_was_answered() {
    for by_student in [false, true] {
        let quiz = quiz(by_student);
        let sheet = sheet(&quiz, "Ada");
        for replies in [
            right(&sheet),
            vec![Reply::Open; 5],
            vec![Reply::Choice(3), Reply::Open, Reply::Choice(0), Reply::Number(-1), Reply::Choice(1)],
            vec![Reply::Open, Reply::Open, Reply::Open, Reply::number(i64::MIN), Reply::Open],
            vec![Reply::Open, Reply::Open, Reply::Open, Reply::number(i64::MAX), Reply::Open],
        ] {
            let token = write(&sheet, &replies);
            assert!(token.len() < 44, "{token}");
            let (again, said) = read(&quiz, &token).unwrap();
            assert_eq!((again, said), (sheet.clone(), replies));
            // As it is read aloud and typed.
            let spoken = token.to_lowercase().replace('-', " ").replace('0', "o").replace('1', "l");
            assert!(read(&quiz, &spoken).is_ok(), "{spoken}");
        }
    }
}

#[test]
fn a_changed_letter_and_swapped_neighbours_are_noticed() {
    let (mut changed, mut swapped) = (0, 0);
    for number in 0..20_u8 {
        let quiz = quiz(number % 2 == 0);
        let sheet = sheet(&quiz, &format!("Student {number}"));
        let replies: Vec<Reply> = right(&sheet)
            .into_iter()
            .enumerate()
            .map(|(at, reply)| if (number >> (at % 4)) & 1 == 1 { Reply::Open } else { reply })
            .collect();
        let token: Vec<char> = write(&sheet, &replies).chars().filter(|c| *c != '-').collect();
        let refused = |letters: &[char]| {
            let text: String = letters.iter().collect();
            assert!(read(&quiz, &text).is_err(), "{text}");
        };
        for at in 0..token.len() {
            for other in LETTERS.chars().filter(|other| *other != token[at]) {
                let mut letters = token.clone();
                letters[at] = other;
                refused(&letters);
                changed += 1;
            }
            let mut letters = token.clone();
            letters.remove(at);
            refused(&letters);
            letters.insert(at, token[at]);
            letters.insert(at, token[at]);
            refused(&letters);
            if at > 0 && token[at - 1] != token[at] {
                let mut letters = token.clone();
                letters.swap(at - 1, at);
                refused(&letters);
                swapped += 1;
            }
        }
    }
    assert!(changed > 10_000 && swapped > 300, "{changed} changed, {swapped} swapped");
}

#[test]
fn a_token_belongs_to_one_student_and_one_quiz() {
    let quiz = quiz(false);
    let (ada, bob) = (sheet(&quiz, "Ada"), sheet(&quiz, "Bob"));
    let replies = right(&ada);
    let (theirs, ours) = (write(&ada, &replies), write(&bob, &replies));
    assert_ne!(theirs, ours, "the same answers to the same questions");
    let (read_back, _) = read(&quiz, &theirs).unwrap();
    assert_eq!(read_back.student, Student::named("Ada").unwrap().number());
    // The letters of Bob's name in Ada's token.
    let letters = |token: &str| token.chars().filter(|c| *c != '-').collect::<Vec<_>>();
    let (mut forged, bobs) = (letters(&theirs), letters(&ours));
    forged[4..11].copy_from_slice(&bobs[4..11]);
    assert!(read(&quiz, &forged.iter().collect::<String>()).is_err());
    let mut other = quiz.clone();
    other.seed += 1;
    assert!(read(&other, &theirs).unwrap_err().contains("not of this quiz"), "{:?}", read(&other, &theirs));
    let mut renamed = quiz;
    renamed.profile = Some("cpython-3.9".to_owned());
    assert!(read(&renamed, &theirs).is_err());
}

#[test]
fn what_is_wrong_with_a_token_is_said() {
    let quiz = quiz(false);
    for (token, words) in [
        ("", "too short"),
        ("ABC", "too short"),
        (&*"A".repeat(700), "too long"),
        ("UUUUU-UUUUU", "`U` is no letter"),
        ("00000-00000-00000-00000-00000", "not of this quiz"),
        ("00000-00000-00000", "too short"),
        ("\u{e9}", "is no letter"),
    ] {
        let error = read(&quiz, token).unwrap_err();
        assert!(error.contains(words) && error.len() < 160 && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_quiz_that_cannot_be_asked_is_refused_in_a_sentence() {
    for (fields, words) in [
        (
            "items: [(lesson: \"nothing\", level: 1)]",
            "item 1: there are no questions on `nothing`; there are on first-block,",
        ),
        ("items: [(lesson: \"lifo\", level: 1), (lesson: \"lifo\", level: 4)]", "item 2: `level` is 4"),
        ("items: [(lesson: \"lifo\", level: 1, count: 0)]", "item 1: `count` is 0"),
        ("items: [(lesson: \"lifo\", level: 1, count: 61)]", "ask 61 questions"),
        ("items: []", "ask 0 questions"),
        ("tries: 9, items: [(lesson: \"lifo\", level: 1)]", "`tries` is 9"),
        ("profile: \"cpython-2.7\", items: [(lesson: \"lifo\", level: 1)]", "`profile`: "),
        (
            "profile: \"cpython-3.14t\", items: [(lesson: \"lifo\", level: 1)]",
            "item 1: there are no more questions on `lifo` at level 1 under cpython-3.14t",
        ),
    ] {
        let quiz = Quiz::parse(&format!("(name: \"x\", seed: 1, {fields})")).unwrap();
        let error = Sitting::new(quiz).unwrap_err();
        assert!(error.contains(words) && !error.contains('\n'), "{error}");
    }
    assert!(check(&quiz(false)).is_ok());
    let unknown = Quiz::parse("(name: \"x\", seed: 1, itemz: [])").unwrap_err().to_string();
    assert!(unknown.contains("line 1, column"), "{unknown}");
}

#[test]
fn somebody_sits_down_answers_changes_an_answer_and_hands_in() {
    let quiz = quiz(true);
    let mut sitting = Sitting::new(quiz.clone()).unwrap();
    assert!(!sitting.order(QuizOrder::Begin("  ".to_owned())));
    assert!(matches!(sitting.view().stage, Stage::Name(Some(_))), "a name is needed");
    assert!(sitting.order(QuizOrder::Begin("Ada".to_owned())));
    let keys = right(&sheet(&quiz, "Ada"));
    for key in &keys {
        sitting.order(QuizOrder::Reply(Reply::Open));
        sitting.order(QuizOrder::Reply(*key));
        sitting.order(QuizOrder::Go(1));
    }
    assert_eq!(sitting.view().stage, Stage::Review);
    sitting.order(QuizOrder::GoTo(1));
    sitting.order(QuizOrder::Reply(Reply::Open));
    sitting.order(QuizOrder::Finish);
    let Stage::Done { marks, token } = sitting.view().stage else { panic!("{:?}", sitting.view()) };
    assert_eq!(marks.iter().filter(|mark| mark.right).count(), 4);
    assert_eq!(read(&quiz, &token).unwrap().1[1], Reply::Open);
    sitting.order(QuizOrder::Reply(keys[1]));
    sitting.order(QuizOrder::GoTo(1));
    assert!(matches!(sitting.view().stage, Stage::Done { .. }), "nothing changes any more");
    assert!(sitting.order(QuizOrder::Again));
    assert_eq!(sitting.view().attempt, 2);
    sitting.order(QuizOrder::Finish);
    let Stage::Done { token, .. } = sitting.view().stage else { panic!("not done") };
    assert_eq!(read(&quiz, &token).unwrap().0.attempt, 2);
    assert!(!sitting.order(QuizOrder::Again), "it has two tries");
}

/// A quiz in an engine, as a window has it.
struct Front {
    engine: Engine,
    picture: Option<Picture>,
    status: Status,
}

impl Front {
    fn order(&mut self, order: Order) {
        self.engine.order(order);
        self.settle();
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

    fn quiz(&self) -> &QuizView {
        self.picture.as_ref().unwrap().quiz.as_ref().unwrap()
    }

    fn task(&self) -> TaskView {
        self.picture.as_ref().unwrap().lesson.as_ref().unwrap().beat.task.clone().unwrap()
    }
}

#[test]
fn no_way_through_a_quiz_shows_an_answer_before_the_end() {
    const TEXT: &str = "Quiz(name: \"Here\", profile: \"cpython-3.9\", seed: 5, items: [(lesson: \"lifo\", level: 1, count: 2), (lesson: \"big\", level: 3)])";
    let mut engine = Engine::new(None);
    engine.look(Look { narration: true, ..Look::default() });
    engine.open(Opened::bytes("here.ron", TEXT.as_bytes()));
    let mut front = Front { engine, picture: None, status: Status::default() };
    front.settle();
    assert!(matches!(front.quiz().stage, Stage::Name(None)));
    front.order(Order::Quiz(QuizOrder::Begin("Ada".to_owned())));
    let quiz = Quiz::parse(TEXT).unwrap();
    let keys = right(&sheet(&quiz, "Ada"));
    for (number, key) in keys.iter().enumerate() {
        assert!(matches!(front.quiz().stage, Stage::Question { at, .. } if at == number));
        let session = front.engine.session().unwrap();
        let begun = session.step();
        assert_eq!(begun, session.len(), "the tape ends where the question begins");
        assert_eq!(session.profile().name, "cpython-3.9");
        for order in [
            Order::Answer(Answer::Reveal),
            Order::Answer(Answer::Choice(0)),
            Order::Again,
            Order::Fork,
            Order::Program("a = malloc(1)".to_owned()),
            Order::Take("a = malloc(1)".to_owned()),
            Order::Practise { lesson: "lifo".to_owned(), level: 1, seed: 1, profile: None },
            Order::Profile("cpython-3.14".to_owned()),
            Order::Seek(0),
            Order::End,
            Order::Step(5),
        ] {
            front.order(order);
            let task = front.task();
            assert!(task.open(), "{task:?}");
            match task {
                TaskView::Choose { key, because, .. } => assert!(key.is_none() && because.is_empty()),
                TaskView::Number { key, because, .. } => assert!(key.is_none() && because.is_empty()),
                other => panic!("{other:?}"),
            }
            let session = front.engine.session().unwrap();
            assert_eq!((session.len(), &*session.profile().name), (begun, "cpython-3.9"));
        }
        assert!(front.status.error.as_ref().unwrap().text.contains("the quiz goes on"));
        front.order(Order::DismissError);
        front.order(Order::Quiz(QuizOrder::Reply(*key)));
        // A key that goes on in a lesson goes on here.
        front.order(Order::Beat(1));
    }
    assert_eq!(front.quiz().stage, Stage::Review);
    front.order(Order::BeatAt(0));
    assert!(matches!(front.quiz().stage, Stage::Question { at: 0, .. }));
    assert_eq!(front.quiz().replies, keys);
    front.order(Order::Quiz(QuizOrder::Finish));
    let Stage::Done { marks, token } = &front.quiz().stage else { panic!("{:?}", front.quiz()) };
    assert!(marks.iter().all(|mark| mark.right), "choices stand in the order of the sheet: {marks:?}");
    assert_eq!(read(&quiz, token).unwrap().1, keys);
    front.order(Order::LeaveLesson);
    assert!(front.picture.as_ref().unwrap().quiz.is_none());
}

#[test]
fn a_quiz_that_cannot_be_asked_says_so_in_the_window() {
    let mut engine = Engine::new(None);
    engine.open(Opened::bytes(
        "x.ron",
        &b"(name: \"Hooks\", seed: 1, items: [(lesson: \"no-such\", level: 1)])"[..],
    ));
    let mut front = Front { engine, picture: None, status: Status::default() };
    front.settle();
    let error = front.status.error.clone().unwrap().text;
    assert!(
        error.contains("\u{201c}Hooks\u{201d} cannot be asked: item 1: there are no questions on `no-such`"),
        "{error}"
    );
}
