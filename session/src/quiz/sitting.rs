//! A student's way through a quiz: the name, one question after the other, the token.

use serde::{Deserialize, Serialize};
use sim_core::Profile;
use trace_io::lesson::Quiz;

use super::{Mark, Reply, Sheet, Student, check, write};
use crate::practice::{Choice, Question, Task};

/// What somebody at a quiz can do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum QuizOrder {
    /// Begin, under a name.
    Begin(String),
    /// Answer the question that is shown; it can be changed until the end.
    Reply(Reply),
    /// Go so many questions on, or back; on from the last one to the look back before the end.
    Go(isize),
    /// Go to a question, from 0.
    GoTo(usize),
    /// Hand in: nothing can be changed from here on.
    Finish,
    /// Sit down to it once more, where it has more tries.
    Again,
}

/// A quiz that somebody sits at.
#[derive(PartialEq, Debug)]
pub struct Sitting {
    quiz: Quiz,
    profile: Profile,
    attempt: u8,
    student: Option<Student>,
    sheet: Option<Sheet>,
    replies: Vec<Reply>,
    at: usize,
    done: bool,
    /// What is wrong with the name that was typed.
    fault: Option<String>,
}

/// What a front shows of a quiz.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QuizView {
    /// Its title.
    pub name: String,
    /// The preset that it is about.
    pub profile: String,
    /// How many questions it has.
    pub questions: usize,
    /// Who sits at it, once that is known.
    pub student: Option<String>,
    /// The answers so far.
    pub replies: Vec<Reply>,
    /// Which try it is, from 1.
    pub attempt: u8,
    /// How many there are.
    pub tries: u8,
    /// Where it stands.
    pub stage: Stage,
}

/// Where a quiz stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Stage {
    /// It asks for a name; what was wrong with the one that was typed.
    Name(Option<String>),
    /// A question, from 0; the beat has its text.
    Question {
        /// Which one.
        at: usize,
        /// What the program has done so far.
        program: String,
        /// The answers to choose from; none where a number is typed.
        choices: Vec<String>,
    },
    /// All questions were shown; it can be handed in.
    Review,
    /// It is handed in.
    Done {
        /// What came of each answer.
        marks: Vec<Mark>,
        /// What is to be handed in.
        token: String,
    },
}

impl Sitting {
    /// At the door. The error says what is wrong with the quiz.
    pub fn new(quiz: Quiz) -> Result<Self, String> {
        let profile = check(&quiz)?;
        // What its items ask for must be there whoever comes.
        Sheet::new(&quiz, super::StudentNumber(0), 1)?;
        let (student, sheet, fault) = (None, None, None);
        Ok(Self { quiz, profile, attempt: 1, student, sheet, replies: Vec::new(), at: 0, done: false, fault })
    }

    /// Its title.
    pub fn name(&self) -> &str {
        &self.quiz.name
    }

    /// The build that it is about.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Does what is ordered; whether another question is shown now, or none any more.
    pub fn order(&mut self, order: QuizOrder) -> bool {
        let before = self.question().map(|question| question.seed);
        match order {
            QuizOrder::Begin(name) if self.sheet.is_none() => {
                let begun = Student::named(&name).and_then(|student| {
                    let sheet = Sheet::new(&self.quiz, student.number(), self.attempt)?;
                    Ok((student, sheet))
                });
                match begun {
                    Ok((student, sheet)) => {
                        self.replies = vec![Reply::Open; sheet.questions.len()];
                        (self.student, self.sheet, self.fault) = (Some(student), Some(sheet), None);
                        self.at = 0;
                    }
                    Err(why) => self.fault = Some(why),
                }
            }
            QuizOrder::Reply(reply) if !self.done => {
                if let Some(answer) = self.replies.get_mut(self.at) {
                    *answer = reply;
                }
            }
            QuizOrder::Go(by) if !self.done => {
                self.at = self.at.saturating_add_signed(by).min(self.replies.len());
            }
            QuizOrder::GoTo(at) if !self.done => self.at = at.min(self.replies.len()),
            QuizOrder::Finish if self.sheet.is_some() => self.done = true,
            QuizOrder::Again if self.done && self.attempt < self.quiz.tries => {
                self.attempt += 1;
                self.done = false;
                self.sheet = None;
                if let Some(student) = self.student.take() {
                    return self.order(QuizOrder::Begin(student.name().to_owned()));
                }
            }
            _ => {}
        }
        before != self.question().map(|question| question.seed)
    }

    /// The question that is shown.
    pub fn question(&self) -> Option<&Question> {
        self.sheet.as_ref().filter(|_| !self.done)?.questions.get(self.at)
    }

    /// What a front shows.
    pub fn view(&self) -> QuizView {
        let stage = match (&self.sheet, self.question()) {
            (None, _) => Stage::Name(self.fault.clone()),
            (Some(_), Some(question)) => {
                let plain = |choice: &Choice| choice.text.replace('`', "");
                let choices = match &question.task {
                    Task::Choose { choices, .. } => choices.iter().map(plain).collect(),
                    _ => Vec::new(),
                };
                Stage::Question { at: self.at, program: question.program.clone(), choices }
            }
            (Some(sheet), None) if self.done => {
                Stage::Done { marks: sheet.mark(&self.replies), token: write(sheet, &self.replies) }
            }
            (Some(_), None) => Stage::Review,
        };
        QuizView {
            name: self.quiz.name.clone(),
            profile: self.profile.name.clone(),
            questions: self.quiz.items.iter().map(|item| usize::from(item.count)).sum(),
            student: self.student.as_ref().map(|student| student.name().to_owned()),
            replies: self.replies.clone(),
            attempt: self.attempt,
            tries: self.quiz.tries,
            stage,
        }
    }
}
