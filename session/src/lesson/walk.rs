//! A learner's way through a lesson.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sim_core::Addr;
use trace_io::lesson::{Show, Source};

use super::misconceptions::misconception;
use super::script::{Beat, Choice, Outcome, Point, Round, Script, Shown, Task};
use crate::place::Place;

/// What a learner answers.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// One of the choices.
    Choice(usize),
    /// A number.
    Number(i64),
    /// Something on the map.
    Place(Place),
    /// The first block of a pool that was not used yet: an emptied one is to be named.
    NewPool,
    /// A new arena.
    NewArena,
    /// The C library.
    Raw,
    /// NULL.
    Null,
    /// None: what is right is to be shown.
    Reveal,
}

/// What came of an answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Given {
    /// The answer.
    pub answer: Answer,
    /// Whether it was right.
    pub verdict: Verdict,
    /// What to say of it: the misconception that it belongs to.
    pub belief: Option<u32>,
}

/// Whether an answer was right.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Verdict {
    /// It was.
    Right,
    /// It was not.
    Wrong,
    /// It was shown.
    Shown,
}

/// A learner's way through a script.
#[derive(Clone, PartialEq, Debug)]
pub struct Walk {
    script: Script,
    beat: usize,
    /// By beat.
    given: BTreeMap<usize, Given>,
    /// The operation of a played piece that comes next, by beat; wrong answers on the way.
    rounds: BTreeMap<usize, Played>,
}

#[derive(Clone, PartialEq, Debug, Default)]
struct Played {
    round: usize,
    right: u32,
    /// The first operation that was answered otherwise than the machine does.
    differs: Option<usize>,
    /// The last one that was answered, and whether as the machine does.
    last: Option<(usize, bool)>,
    /// The rest was not answered but shown.
    shown: bool,
}

/// What a front shows of a lesson.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LessonView {
    /// What links call it.
    pub id: String,
    /// Its title, with its number.
    pub title: String,
    /// What who did it can do.
    pub goal: String,
    /// Which beat is shown, from 0, and how many there are.
    pub at: usize,
    /// How many beats there are.
    pub len: usize,
    /// For which builds it does not hold, in a sentence.
    pub elsewhere: Option<String>,
    /// The Python that its operations come from.
    pub source: Option<Source>,
    /// The beat.
    pub beat: BeatView,
}

/// A beat as it is shown.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct BeatView {
    /// What it says.
    pub text: Vec<Shown>,
    /// What is in front.
    pub show: Show,
    /// What is selected.
    pub select: Option<Place>,
    /// What is pointed at.
    pub point: Vec<Point>,
    /// Where blocks lay that were freed, by the names that they had.
    pub former: Vec<(Addr, String)>,
    /// The line of [`LessonView::source`] that it speaks of, from 1.
    pub line: Option<u32>,
    /// Where its numbers differ from those of old articles, in sentences.
    pub outdated: Vec<String>,
    /// What the learner does.
    pub task: Option<TaskView>,
}

impl BeatView {
    /// Places that it points at.
    pub fn pointed(&self) -> impl Iterator<Item = Place> {
        self.point.iter().filter_map(|point| match point {
            Point::Place(place) => Some(*place),
            Point::Field(_) | Point::Line(_) => None,
        })
    }

    /// All places that it names: pointed at, selected, and in its text.
    pub fn places(&self) -> impl Iterator<Item = Place> {
        self.pointed().chain(self.select).chain(self.text.iter().filter_map(|shown| shown.place))
    }
}

/// A task as it is shown: the key only once it was answered.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub enum TaskView {
    /// One of several answers.
    Choose {
        /// The answers.
        choices: Vec<Vec<Shown>>,
        /// Which one is right, once that is to be shown.
        key: Option<usize>,
        /// What was answered.
        given: Option<Given>,
        /// Why, once it was answered.
        because: Vec<Shown>,
    },
    /// A number.
    Number {
        /// The right one, once that is to be shown.
        key: Option<i64>,
        /// What was answered.
        given: Option<Given>,
        /// Why, once it was answered.
        because: Vec<Shown>,
    },
    /// Something on the map.
    Click {
        /// The right place, once that is to be shown.
        key: Option<Place>,
        /// What was answered.
        given: Option<Given>,
        /// Why, once it was answered.
        because: Vec<Shown>,
    },
    /// Operations, one after the other.
    Play {
        /// The operation that is asked about, as a call; none once all are done.
        call: Option<String>,
        /// Its place among those that are asked about, and how many there are.
        round: usize,
        /// How many are asked about.
        rounds: usize,
        /// How many were right at once.
        right: u32,
        /// The last one that was answered, and whether as the machine does.
        last: Option<(String, bool)>,
        /// Whether the rest was shown instead of answered.
        shown: bool,
        /// The first answer that was not what the machine does: the call, and what happens there.
        differs: Option<(String, Vec<String>)>,
    },
}

impl TaskView {
    /// Whether an answer is waited for.
    pub fn open(&self) -> bool {
        match self {
            Self::Choose { given, .. } | Self::Number { given, .. } | Self::Click { given, .. } => {
                given.is_none()
            }
            Self::Play { call, .. } => call.is_some(),
        }
    }
}

impl TaskView {
    /// Whether it was done as the machine does it.
    pub fn right(&self) -> bool {
        match self {
            Self::Choose { given, .. } | Self::Number { given, .. } | Self::Click { given, .. } => {
                given.as_ref().is_some_and(|given| given.verdict == Verdict::Right)
            }
            Self::Play { call, rounds, right, .. } => call.is_none() && *right as usize == *rounds,
        }
    }
}

impl Walk {
    /// At the first beat.
    pub fn new(script: Script) -> Self {
        Self { script, beat: 0, given: BTreeMap::new(), rounds: BTreeMap::new() }
    }

    /// The script.
    pub fn script(&self) -> &Script {
        &self.script
    }

    /// The beat that is shown, from 0.
    pub fn at(&self) -> usize {
        self.beat
    }

    fn beat(&self) -> Option<&Beat> {
        self.script.beats.get(self.beat)
    }

    /// The step that the beat stands at.
    pub fn step(&self) -> u64 {
        let Some(beat) = self.beat() else { return 0 };
        match (&beat.task, self.rounds.get(&self.beat)) {
            (Some(Task::Play { rounds }), Some(played)) => rounds
                .get(played.round)
                .map_or_else(|| rounds.last().map_or(beat.step, |last| last.step + 1), |round| round.step),
            // What is not asked about has happened: the first request is made in the state that it leaves.
            (Some(Task::Play { rounds }), None) => {
                rounds.get(first_asked(rounds, 0)).map_or(beat.step, |round| round.step)
            }
            _ => beat.step,
        }
    }

    /// Whether what the beat shows waits for an answer.
    pub fn waits(&self) -> bool {
        self.view_of_task().is_some_and(|task| task.open())
    }

    /// Whether that answer can be a place on the map.
    pub fn waits_for_a_place(&self) -> bool {
        let task = self.view_of_task().filter(TaskView::open);
        matches!(task, Some(TaskView::Click { .. } | TaskView::Play { .. }))
    }

    /// Goes to a beat; whether that is another one.
    pub fn go_to(&mut self, beat: usize) -> bool {
        let beat = beat.min(self.script.beats.len().saturating_sub(1));
        std::mem::replace(&mut self.beat, beat) != beat
    }

    /// Goes on, or back. On from a question that waits shows its answer first: nobody passes over a result unseen.
    pub fn go_on(&mut self, by: isize) -> bool {
        if by > 0 && self.waits() {
            self.answer(Answer::Reveal);
            return false;
        }
        self.go_to(self.beat.saturating_add_signed(by))
    }

    /// The beat that a step of the tape belongs to: the last one that stands there or before.
    pub fn beat_at(&self, step: u64) -> usize {
        self.script.beats.partition_point(|beat| beat.step <= step).saturating_sub(1)
    }

    /// Takes an answer, if one is waited for.
    pub fn answer(&mut self, answer: Answer) {
        if !self.waits() {
            return;
        }
        let Some(beat) = self.script.beats.get(self.beat) else { return };
        if let Some(Task::Play { rounds }) = &beat.task {
            let played = self
                .rounds
                .entry(self.beat)
                .or_insert_with(|| Played { round: first_asked(rounds, 0), ..Played::default() });
            if answer == Answer::Reveal {
                played.shown = true;
                played.round = rounds.len();
            } else if let Some(round) = rounds.get(played.round) {
                let right = meets(&answer, round);
                played.right += u32::from(right);
                played.last = Some((played.round, right));
                if !right {
                    played.differs.get_or_insert(played.round);
                }
                played.round = first_asked(rounds, played.round + 1);
            }
            return;
        }
        let (right, belief) = match &beat.task {
            Some(Task::Choose { choices, key, .. }) => match answer {
                Answer::Choice(index) => {
                    (index == *key, choices.get(index).and_then(|choice| choice.misconception))
                }
                _ => (false, None),
            },
            Some(Task::Number { key, wrong, .. }) => match answer {
                Answer::Number(number) => {
                    (number == *key, wrong.iter().find(|(value, _)| *value == number).map(|(_, m)| *m))
                }
                _ => (false, None),
            },
            Some(Task::Click { key, .. }) => (answer == Answer::Place(*key), None),
            Some(Task::Play { .. }) | None => return,
        };
        let verdict = match (&answer, right) {
            (Answer::Reveal, _) => Verdict::Shown,
            (_, true) => Verdict::Right,
            (_, false) => Verdict::Wrong,
        };
        let belief = belief.filter(|number| !right && misconception(*number).is_some());
        self.given.insert(self.beat, Given { answer, verdict, belief });
    }

    /// Forgets the answer to the beat that is shown.
    pub fn again(&mut self) {
        self.given.remove(&self.beat);
        self.rounds.remove(&self.beat);
    }

    /// What a front shows; nothing in a lesson without beats.
    pub fn view(&self, elsewhere: Option<String>) -> Option<LessonView> {
        let beat = self.beat()?;
        Some(LessonView {
            id: self.script.id.clone(),
            title: match self.script.number {
                0 => self.script.name.clone(),
                number => format!("{number} {}", self.script.name),
            },
            goal: self.script.goal.clone(),
            at: self.beat,
            len: self.script.beats.len(),
            elsewhere,
            source: self.script.source.clone(),
            beat: BeatView {
                text: beat.text.clone(),
                show: beat.show,
                select: beat.select,
                point: beat.point.clone(),
                former: beat.former.clone(),
                line: beat.line,
                outdated: beat.outdated.clone(),
                task: self.view_of_task(),
            },
        })
    }

    fn view_of_task(&self) -> Option<TaskView> {
        let task = self.beat()?.task.as_ref()?;
        let given = self.given.get(&self.beat).cloned();
        let told = |because: &[Shown]| if given.is_some() { because.to_vec() } else { Vec::new() };
        Some(match task {
            Task::Choose { choices, key, because } => TaskView::Choose {
                choices: choices.iter().map(|Choice { text, .. }| text.clone()).collect(),
                key: given.is_some().then_some(*key),
                because: told(because),
                given,
            },
            Task::Number { key, because, .. } => {
                TaskView::Number { key: given.is_some().then_some(*key), because: told(because), given }
            }
            Task::Click { key, because } => {
                TaskView::Click { key: given.is_some().then_some(*key), because: told(because), given }
            }
            Task::Play { rounds } => {
                let fresh = Played { round: first_asked(rounds, 0), ..Played::default() };
                let played = self.rounds.get(&self.beat).unwrap_or(&fresh);
                let asked =
                    |upto: usize| rounds.iter().take(upto).filter(|round| round.outcome.is_some()).count();
                TaskView::Play {
                    call: rounds.get(played.round).map(|round| round.call.clone()),
                    round: asked(played.round),
                    rounds: asked(rounds.len()),
                    right: played.right,
                    last: played.last.and_then(|(at, right)| Some((rounds.get(at)?.call.clone(), right))),
                    shown: played.shown,
                    differs: played.differs.and_then(|at| {
                        rounds.get(at).map(|round| (round.call.clone(), round.because.clone()))
                    }),
                }
            }
        })
    }
}

/// The first operation from `from` on that is asked about.
fn first_asked(rounds: &[Round], from: usize) -> usize {
    (from..rounds.len()).find(|&index| rounds[index].outcome.is_some()).unwrap_or(rounds.len())
}

/// Whether an answer is what the machine does. The block itself is right everywhere, its pool where the map does not show that pool's
/// blocks or where the pool begins with it.
fn meets(answer: &Answer, round: &Round) -> bool {
    match (answer, round.outcome) {
        (Answer::Raw, Some(Outcome::Raw))
        | (Answer::Null, Some(Outcome::Null))
        | (Answer::NewPool, Some(Outcome::NewPool(_)))
        | (Answer::NewArena, Some(Outcome::NewArena(_))) => true,
        (Answer::Place(place), Some(Outcome::Block(key))) => *place == key || Some(*place) == round.pool,
        (Answer::Place(place), Some(Outcome::NewPool(key) | Outcome::NewArena(key))) => {
            *place == key
                || Some(*place) == round.pool
                || matches!((place, key), (Place::Pool(pool), Place::Block(block)) if block.0.checked_sub(pool.0).is_some_and(|d| d < HEADER_MAX) && *pool != Addr(0))
        }
        _ => false,
    }
}

/// No pool has a larger header.
const HEADER_MAX: u64 = 64;
