//! A quiz: questions of practice for a class, from a seed, and what came of them in a token that can be read aloud.
//!
//! A [`Sheet`] is a quiz for one student: its questions are made of the quiz, its seed and, if the quiz wants that, the student's name, the same
//! everywhere. The machine is the key. A token ([`write()`], [`read`]) holds the answers and a check sum over all of it, so that a slip of the pen is noticed, and
//! a teacher's program makes the same sheet again and marks them. It proves no more than that: a program that works without a
//! server has no secret, so whoever reads its source can make any token.

mod sitting;
mod token;

use sim_core::Profile;
use sim_core::report::Fnv64;
use trace_io::lesson::Quiz;

use crate::dice::Dice;
use crate::practice::{LESSONS, Question, Task, question};

pub use sitting::{QuizOrder, QuizView, Sitting, Stage};
pub use token::{read, write};

/// Questions of a quiz, at most.
pub const QUESTIONS_MAX: usize = 60;
/// Tries of a quiz, at most.
pub const TRIES_MAX: u8 = 8;
/// Characters of a name, at most.
const NAME_MAX: usize = 80;
/// Seeds that are tried for one question until it is given up.
const THROWS: u64 = 200;
/// Numbers that are typed are kept up to this; no key is larger.
const NUMBER_MAX: i64 = (1 << 29) - 1;

/// What a token's limits are, in a sentence for whoever holds one.
pub const LIMITS: &str = "The token shows that nobody mistyped or altered it in passing. It does not show who answered, or how often: \
                          a program without a server keeps no secret.";

/// Who sits down to a quiz.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Student {
    name: String,
}

impl Student {
    /// By a name or a number, as it is typed. How it is written in small and capital letters, and with how many spaces, does not matter.
    pub fn named(name: &str) -> Result<Self, String> {
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        if name.is_empty() {
            return Err("type your name, or the number that you were given".to_owned());
        }
        if name.chars().count() > NAME_MAX {
            return Err(format!("a name has at most {NAME_MAX} characters here; shorten it"));
        }
        Ok(Self { name })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What a token says of the name: 35 bits.
    pub fn number(&self) -> StudentNumber {
        let mut hash = Fnv64::default();
        hash.bytes(self.name.to_lowercase().as_bytes());
        StudentNumber(mixed(hash.0) >> (64 - token::STUDENT_BITS))
    }
}

/// What a token says of a student's name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct StudentNumber(u64);

impl std::fmt::Display for StudentNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&token::letters(self.0, token::STUDENT_BITS))
    }
}

/// An answer to a question.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, serde::Serialize, serde::Deserialize)]
pub enum Reply {
    /// None.
    #[default]
    Open,
    /// One of the choices, from 0.
    Choice(u8),
    /// A number.
    Number(i64),
}

impl Reply {
    /// A number that was typed. One that is larger than any key is kept as the largest: it is as wrong.
    pub fn number(number: i64) -> Self {
        Self::Number(number.clamp(-NUMBER_MAX, NUMBER_MAX))
    }
}

/// What came of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct Mark {
    /// The answer.
    pub reply: Reply,
    /// Whether it is what the machine does: one point.
    pub right: bool,
    /// The misconception that it belongs to.
    pub belief: Option<u32>,
}

/// A quiz for one student.
#[derive(Clone, PartialEq, Debug)]
pub struct Sheet {
    /// The build that it is about.
    pub profile: Profile,
    /// What is asked.
    pub questions: Vec<Question>,
    /// Who sits down to it.
    pub student: StudentNumber,
    /// Which try it is, from 1.
    pub attempt: u8,
    quiz: u64,
}

impl Sheet {
    /// The questions for a student. The error says what is wrong with the quiz, and where.
    pub fn new(quiz: &Quiz, student: StudentNumber, attempt: u8) -> Result<Self, String> {
        let profile = check(quiz)?;
        if !(1..=quiz.tries).contains(&attempt) {
            return Err(format!("this quiz has {} tries, and no try {attempt}", quiz.tries));
        }
        let mut questions: Vec<Question> = Vec::new();
        let own = if quiz.by_student { student.0 + 1 } else { 0 };
        for (number, item) in (1..).zip(&quiz.items) {
            for _ in 0..item.count {
                let place = questions.len() as u64;
                let mut dice = Dice::of(&[quiz.seed, own, u64::from(attempt), place]);
                let seed = dice.within(0, u64::MAX - THROWS);
                let found = (seed..seed + THROWS).find_map(|seed| {
                    let found = question(&item.lesson, item.level, seed, &profile)?;
                    // Paper has no map to click on, and nobody is asked the same twice.
                    let fits = matches!(found.task, Task::Choose { .. } | Task::Number { .. });
                    let again =
                        questions.iter().any(|q| (&q.text, &q.program) == (&found.text, &found.program));
                    (fits && !again).then_some(found)
                });
                questions.push(found.ok_or_else(|| {
                    format!(
                        "item {number}: there are no more questions on `{}` at level {} under {}; ask for fewer, or name another profile",
                        item.lesson, item.level, profile.name
                    )
                })?);
            }
        }
        Ok(Self { profile, questions, student, attempt, quiz: digest(quiz) })
    }

    /// Marks answers; those that are missing count as left open.
    pub fn mark(&self, replies: &[Reply]) -> Vec<Mark> {
        let replies = replies.iter().copied().chain(std::iter::repeat(Reply::Open));
        self.questions.iter().zip(replies).map(|(question, reply)| marked(question, reply)).collect()
    }

    /// What the questions are, as a number: another version of this program may make others.
    fn questions_digest(&self) -> u64 {
        let mut hash = Fnv64::default();
        for question in &self.questions {
            for text in [&question.program, &question.then, &question.text] {
                worded(&mut hash, text);
            }
            if let Task::Choose { choices, .. } = &question.task {
                for choice in choices {
                    worded(&mut hash, &choice.text);
                }
            }
        }
        mixed(hash.0)
    }
}

fn marked(question: &Question, reply: Reply) -> Mark {
    let (right, belief) = match (&question.task, reply) {
        (Task::Choose { choices, key }, Reply::Choice(choice)) => {
            let chosen = choices.get(usize::from(choice));
            (usize::from(choice) == *key, chosen.and_then(|choice| choice.misconception))
        }
        (Task::Number { key, wrong }, Reply::Number(number)) => {
            let betrays = wrong.iter().find(|wrong| wrong.value == number);
            (number == *key, betrays.and_then(|wrong| wrong.misconception))
        }
        _ => (false, None),
    };
    Mark { reply, right, belief: belief.filter(|_| !right) }
}

/// Whether a quiz can be asked, and under which build; else what is wrong with it, and where.
pub fn check(quiz: &Quiz) -> Result<Profile, String> {
    let profile = Profile::chosen(quiz.profile.as_deref()).map_err(|error| format!("`profile`: {error}"))?;
    if quiz.name.trim().is_empty() {
        return Err("`name` is empty; give the quiz a title".to_owned());
    }
    if !(1..=TRIES_MAX).contains(&quiz.tries) {
        return Err(format!("`tries` is {}; it can be 1, as in a graded quiz, to {TRIES_MAX}", quiz.tries));
    }
    for (number, item) in (1..).zip(&quiz.items) {
        if !LESSONS.contains(&item.lesson.as_str()) {
            return Err(format!(
                "item {number}: there are no questions on `{}`; there are on {}",
                item.lesson.chars().take(40).collect::<String>(),
                LESSONS.join(", ")
            ));
        }
        if !(1..=3).contains(&item.level) {
            return Err(format!("item {number}: `level` is {}; there are levels 1 to 3", item.level));
        }
        if item.count == 0 {
            return Err(format!("item {number}: `count` is 0; leave the item out instead"));
        }
    }
    let questions: usize = quiz.items.iter().map(|item| usize::from(item.count)).sum();
    if !(1..=QUESTIONS_MAX).contains(&questions) {
        return Err(format!("the items ask {questions} questions; a quiz has 1 to {QUESTIONS_MAX}"));
    }
    Ok(profile)
}

/// What a quiz is, as a number: all of its fields, however the file is laid out.
fn digest(quiz: &Quiz) -> u64 {
    let mut hash = Fnv64::default();
    worded(&mut hash, &quiz.name);
    worded(&mut hash, &Profile::chosen(quiz.profile.as_deref()).map_or_else(|_| String::new(), |p| p.name));
    hash.word(quiz.seed);
    hash.word(u64::from(quiz.by_student) << 8 | u64::from(quiz.tries));
    for item in &quiz.items {
        worded(&mut hash, &item.lesson);
        hash.word(u64::from(item.level) << 8 | u64::from(item.count));
    }
    mixed(hash.0)
}

fn worded(hash: &mut Fnv64, text: &str) {
    hash.word(text.len() as u64);
    hash.bytes(text.as_bytes());
}

/// Spreads what is in all bits over all bits, so that some of them stand for the whole.
fn mixed(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
